"""The page in a browser: it sorts, filters, pages, saves, and asks the network for nothing.

`visit` fails a test whose page logged, threw, opened a dialog or asked for anything.
"""

import csv
import io
from dataclasses import replace

import pytest

from modiva.measure import summarise

pytestmark = pytest.mark.xdist_group("browser")  # what its tests share is made once

ROWS = "#table tbody tr"


def column(page, title):
    """Texts of a column of the lines shown, without intervals."""
    return page.evaluate(
        """title => [...document.querySelectorAll("#table tbody tr")].map(row => {
            const cell = [...row.cells].find(cell => cell.dataset.label === title);
            return cell.firstChild.textContent.trim();
        })""",
        title,
    )


def numbers(texts):
    return [float(text.strip("<> %").replace(",", "").replace("∞", "inf")) for text in texts]


def test_a_heading_sorts_one_way_and_then_the_other(visit, report):
    page = visit(report)
    before = column(page, "Extracted")
    head = page.locator("#table th", has_text="Extracted")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    values = numbers(column(page, "Extracted"))
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 5
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    values = numbers(column(page, "Extracted"))
    assert values == sorted(values)
    page.locator("#table th button", has_text="Target").click()
    assert head.get_attribute("aria-sort") is None
    targets = column(page, "Target")
    assert targets == sorted(targets)
    page.click("#reset")
    assert column(page, "Extracted") == before


def test_numbers_sort_by_value_and_no_bound_above_all(visit, report):
    page = visit(report)
    page.locator("#table th button", has_text="Group ε").click()
    values = numbers(column(page, "Group ε"))
    assert values == sorted(values, reverse=True)
    assert values[0] == float("inf")
    assert any(value > 1000 for value in values[1:] if value != float("inf"))


def test_words_and_choices_filter_together(visit, report):
    page = visit(report)
    total = int(page.text_content("#shown").split(" of ")[-1].split()[0])
    page.fill("#find", "LSTM coordinate")
    assert set(column(page, "Target")) == {"LSTM"}
    assert set(column(page, "Attack")) == {"coordinate"}
    page.get_by_label("R", exact=True).select_option(label="10")
    assert set(column(page, "R")) == {"10"}
    page.get_by_label("Defense", exact=True).select_option(label="DP σ = 1")
    kept = page.locator(ROWS).count()
    assert 0 < kept < total
    assert page.text_content("#shown") == f"{kept} (of {total}) lines"
    page.fill("#find", "nothing is called so")
    assert page.locator(ROWS).count() == 0
    page.click("#reset")
    assert page.text_content("#shown") == f"Lines 1–50 of {total}"


def test_the_script_draws_the_lines_that_stand_in_the_page(visit, report):
    quiet = visit(report, java_script_enabled=False)
    assert quiet.locator(ROWS).count() == 50
    assert quiet.locator(".filters:visible").count() == 0
    drawing = """rows => rows.map(row => [...row.cells].map(cell => [
        cell.textContent.replace(/\\s+/g, " ").trim(), cell.className, cell.dataset.label,
        ...[...cell.querySelectorAll(".bar *")].map(part => [part.style.left, part.style.width]),
    ]))"""
    page = visit(report)
    static = page.locator(ROWS).evaluate_all(drawing)
    page.click("#reset")  # draws every line anew
    assert page.locator(ROWS).evaluate_all(drawing) == static


def test_all_columns_are_shown_on_request(visit, report):
    page = visit(report)
    hidden = page.locator("#table th", has_text="Any order")
    assert not hidden.is_visible()
    page.check("#all")
    assert hidden.is_visible()


def many(simulated, corpora):
    """About as many groups of planted secrets as a large grid has, each with its controls."""
    rows = simulated(targets=("cnn",), patterns=("call",), noises=(0.0,), models=2)
    groups = summarise(rows)
    return rows, [
        replace(group, key={**group.key, "corpus": f"c{n:04d}"})
        for n in range(corpora)
        for group in groups
    ]


def test_ten_thousand_groups_stay_a_page(visit, make_page, simulated):
    rows, groups = many(simulated, 3400)  # R = 1, 10, 100
    path = make_page(rows, groups, draw=False)
    assert path.stat().st_size < 2_000_000
    page = visit(path)
    assert page.locator(ROWS).count() == 50
    assert page.text_content("#shown") == "Lines 1–50 of 10,200"
    assert page.locator("#back").is_disabled()
    page.click("#next")
    assert page.text_content("#shown") == "Lines 51–100 of 10,200"
    page.locator("#table th button", has_text="Corpus").click()
    page.locator("#table th button", has_text="Corpus").click()
    assert column(page, "Corpus")[0] == "c3399"
    page.fill("#find", "c1234")
    assert column(page, "Corpus") == ["c1234"] * 3
    assert page.locator("#next").is_hidden()
    page.fill("#find", "c33")
    assert page.text_content("#shown") == "Lines 1–50 of 300 (of 10,200)"
    for _ in range(5):
        page.click("#next")
    assert page.locator("#next").is_disabled()


def test_lines_are_saved_as_csv_and_a_spreadsheet_runs_nothing(visit, make_page, simulated):
    rows = simulated(corpora=("=cmd|' /C calc'!A0", "@a,b"), patterns=("call",), models=2)
    page = visit(make_page(rows, draw=False))
    page.get_by_label("R", exact=True).select_option(label="10")
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "cells.csv"
    lines = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert len(lines) == page.locator(ROWS).count() == 12
    assert {line["corpus"] for line in lines} == {"'=cmd|' /C calc'!A0", "'@a,b"}
    for line in lines:
        assert 0 <= float(line["exact_lower"]) <= float(line["exact"]) <= float(line["exact_upper"])
        assert line["epsilon"] == "inf" or float(line["epsilon"]) > 0


def test_hostile_names_are_shown_and_never_run(visit, make_page, simulated):
    evil = (
        "</script><script>alert(1)</script><img src=http://x.example/ onerror=alert(2)>\u202e\x1b"
    )
    rows = simulated(corpora=(evil, "b"), patterns=("call",), models=2)
    for row in rows:
        row["secret"] = row["reconstruction"] = "<b>javascript:alert(3)</b>"
    page = visit(make_page(rows, draw=False, title=evil, command=evil))
    page.locator("#table th button", has_text="Corpus").click()
    page.fill("#find", "alert")
    assert page.locator(ROWS).count() > 0
    shown = column(page, "Corpus")[0]
    assert shown.startswith("</script><script>alert(1)</script><img src=http://x.example/")
    assert shown.endswith("�␛")
    assert page.locator("img").count() == 0
    assert page.locator("script:not([type])").count() == 1


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_nothing_is_wider_than_the_screen_and_figures_fit_it(visit, report, width, scheme):
    page = visit(report, width=width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    narrow = page.locator(".plot.narrow:visible").count()
    assert (narrow > 0) == (width < 500)
    for plot in page.locator(".plot:visible").all():
        assert plot.evaluate("plot => plot.scrollWidth <= plot.clientWidth")
    cards = page.locator("#table tbody tr").first.evaluate("row => getComputedStyle(row).display")
    assert cards == ("flex" if width < 500 else "table-row")


@pytest.mark.parametrize("width", [390, 800, 1280, 1600])
def test_no_word_of_the_facts_is_cut_off(visit, report, width):
    page = visit(report, width=width)
    parts = page.locator(".facts div, .facts dt, .facts small, .facts small span")
    # 3 px: the mark of a rate of 0 or 100 % stands half beside its bar
    wide = [
        part
        for part in parts.all()
        if part.evaluate("part => part.clientWidth && part.scrollWidth > part.clientWidth + 3")
    ]
    assert parts.count() > 8
    assert wide == []


def test_at_1280_pixels_the_whole_table_is_seen(visit, make_page, simulated):
    rows = simulated(
        corpora=("home-assistant", "snips"),
        attacks=("coordinate", "random"),
        defenses=("none", "dropout+label-smoothing"),
        patterns=("call", "zip"),
        models=2,
    )
    page = visit(make_page(rows, draw=False), width=1280)
    table = page.locator("#cells .scroll")
    assert table.evaluate("table => table.scrollWidth - table.clientWidth") <= 0
    assert page.locator("#table th:visible").count() == 16


def test_a_choice_is_offered_once(visit, report):
    page = visit(report)
    options = page.get_by_label("Pattern", exact=True).locator("option").all_text_contents()
    assert sorted(options) == ["all together", "any", "call", "pin"]
    page.get_by_label("Pattern", exact=True).select_option(label="all together")
    assert set(column(page, "Pattern")) == {"all together"}


def test_every_line_is_printed_that_the_filters_keep(visit, report):
    page = visit(report)
    total = int(page.text_content("#shown").split(" of ")[-1].split()[0])
    page.evaluate(
        """() => addEventListener("beforeprint", () => {
            window.printed = document.querySelectorAll("#table tbody tr").length;
        })"""
    )
    page.pdf(format="A4")
    assert page.evaluate("window.printed") == total > 50
    assert page.locator(ROWS).count() == 50
    page.fill("#find", "lstm")
    page.pdf(format="A4")
    assert page.evaluate("window.printed") == total / 2


def test_on_a_phone_a_list_sorts(visit, report):
    page = visit(report, width=390, height=844)
    assert page.locator(ROWS).count() == 10
    page.get_by_label("Sort by").select_option(label="Exposure")
    values = numbers(column(page, "Exposure"))
    assert values == sorted(values, reverse=True)


@pytest.mark.slow
def test_paper_gets_no_controls_and_both_columns_of_figures(visit, report):
    page = visit(report)
    page.emulate_media(media="print")
    for hidden in ("nav", "#find", "#save", ".plot.narrow"):
        assert not page.locator(hidden).first.is_visible()
    assert page.locator(".plot.wide").first.is_visible()
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")
