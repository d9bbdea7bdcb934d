"""The page answers first, holds everything it shows, and runs nothing that it was given."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from modiva.measure import summarise
from modiva.report.answer import answer, level_sentence
from modiva.report.cells import table_of
from modiva.report.page import LINES, write_report
from modiva.report.plots import figures
from modiva.report.words import prepare

COMMAND = "modiva audit --models 12 --out results/runs/audit"


class Page(HTMLParser):
    """What a reader of the page's source meets."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def make(folder, rows, **settings):
    path = write_report(folder, rows, summarise(rows), settings, figures(rows, folder / "figures"))
    text = path.read_text()
    return text, Page(text)


@pytest.fixture(scope="module")
def page(tmp_path_factory, audit_rows):
    return make(
        tmp_path_factory.mktemp("report"), audit_rows, title="audit", command=COMMAND, models=12
    )


def test_the_answer_comes_first(page):
    text, _ = page
    headline = re.search(r"<h1>(.*?)</h1>", text)[1]
    assert re.fullmatch(
        r"\d+ of 24 planted secrets came back out of the CNN trained on home-assistant "
        r"without a defense\.",
        headline,
    )
    order = [text.index(f'id="{name}"') for name in ("answer", "figures", "cells", "sides")]
    assert order == sorted(order)


def test_no_request_leaves_the_page(page):
    text, parsed = page
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            target = attributes.get(name)
            assert target is None or target.startswith(("#", "data:")), (tag, target)
    assert not re.search(r"url\((?!#)|@import", text)
    assert not parsed.all("iframe")


def test_only_our_own_script_may_run(page):
    text, parsed = page
    policy = next(m["content"] for m in parsed.all("meta") if m.get("http-equiv"))
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert [script.get("type") for script in parsed.all("script")] == ["application/json", None]


def test_figures_do_not_share_parts_and_have_words(page):
    _, parsed = page
    assert len(parsed.ids) == len(set(parsed.ids))
    plots = [a for a in parsed.all("div") if a.get("role") == "img"]
    assert [plot["class"] for plot in plots] == ["plot wide", "plot narrow"] * 6
    assert all(len(plot["aria-label"]) > 50 for plot in plots)


def test_figures_follow_light_and_dark(page):
    text, _ = page
    svgs = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(svgs) == 12
    for svg in svgs:
        assert "var(--ink)" in svg
        assert "#1b1f24" not in svg
    assert "prefers-color-scheme: dark" in text


def test_the_table_holds_every_cell_and_works_without_its_script(page, audit_rows):
    text, parsed = page
    planted = [group for group in summarise(audit_rows) if group["planted"]]
    body = re.search(r'<table id="table".*?</table>', text, re.DOTALL)[0]
    assert len(planted) == 54
    assert body.count("<tr>") == LINES + 1
    assert f"The first {LINES} of 54 lines" in re.search(r"<noscript>(.*?)</noscript>", text)[1]
    assert "hidden" in parsed.all("form")[0]  # shown by the script that makes it work


def test_settings_command_glossary_and_notes_are_there(page):
    _, parsed = page
    for words in (
        COMMAND,
        "Threat model",
        "Wilson",
        "adding or removing one sentence",
        "R = 0 is the floor",
        "under-trained",
        "position_hits",
    ):
        assert words in parsed.text


def test_every_line_travels_with_the_page(page, audit_rows):
    text, _ = page
    script = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1]
    columns = {column["name"]: column for column in json.loads(script)["columns"]}
    planted = [group for group in summarise(audit_rows) if group["planted"]]
    means = sorted(float(f"{group.exact.mean:.5g}") for group in planted)
    exact = columns["exact"]
    assert sorted(exact["cells"][place][1] for place in exact["lines"]) == means
    repetitions = columns["repetitions"]
    assert {cell[1] for cell in repetitions["cells"]} == {1, 10, 100}
    assert len(repetitions["cells"]) == 3
    assert len(repetitions["lines"]) == len(planted)


def test_a_page_is_a_function_of_its_rows(page, audit_rows, tmp_path):
    text, _ = make(tmp_path, audit_rows, title="audit", command=COMMAND, models=12)
    assert text == page[0]


def test_hostile_names_are_shown_and_never_run(simulated, tmp_path):
    evil = "<img src=x onerror=alert(1)>\"'--></script><script>alert(2)</script>"
    rows = simulated(
        corpora=(evil, "b"), targets=("cnn",), patterns=("call",), noises=(0.0,), models=2
    )
    for row in rows:
        row["secret"] = row["reconstruction"] = evil
    _, parsed = make(tmp_path, rows, title=evil, command=evil, own=[evil, {"x": evil}])
    assert not parsed.all("img")
    assert len(parsed.all("script")) == 2
    assert all("onerror" not in attributes for _, attributes in parsed.tags)
    assert evil in parsed.text


def test_rows_without_anything_make_a_page(tmp_path):
    text, _ = make(tmp_path, [])
    assert "Nothing was measured." in text


def test_models_that_were_not_attacked_make_a_page(model_rows, tmp_path):
    text, parsed = make(tmp_path, model_rows)
    assert "24 models trained, none attacked." in parsed.text
    columns = re.findall(r'<th scope="col" title="[^"]*" class="[^"]*">([^<]*)</th>', text)
    assert columns == [
        *("Target", "Defense", "ε, one sentence", "Accuracy", "Validation", "Training"),
        "Models",
    ]


def say(rows):
    return answer(prepare(rows))


def test_the_answer_states_rate_interval_controls_chance_epsilon_and_accuracy(audit_rows):
    said = say(audit_rows)
    text = " ".join(said.sentences)
    assert re.search(r"\d+ % \(95 % interval \d+–\d+ %, 12 independently trained models\)", text)
    assert re.search(r"never planted, were matched in \d+ of 72 cases \(interval", text)
    assert "1 in 10,000" in text
    assert "highest of 6 undefended cells" in text
    assert "always naming the most common intent gives 0.69" in text
    assert "of the exhaustive attack" in text
    assert [level["noise_multiplier"] for level in said.private] == [0, 0.5, 1]
    line = level_sentence(said.private[1])
    assert line.startswith("σ = 0.5: ")
    assert "; ε = 2,006 for all 100 repetitions, ε = 20.1 for one sentence" in line


def test_the_facts_are_extraction_controls_luck_and_what_dp_leaves(audit_rows):
    extracted, controls, luck, private = say(audit_rows).facts
    assert re.fullmatch(r"\d+ of 24", extracted.value)
    assert re.fullmatch(r"\d+ of 72", controls.value)
    assert extracted.rate.lower > controls.rate.upper
    assert luck.value == "1 in 10,000"
    assert private.label == "Came back at group ε = 342"
    assert private.note.endswith("ε = 3.42 for one sentence")
    assert private.rate.mean < extracted.rate.mean


def test_without_private_targets_the_fact_is_that_there_is_no_bound(simulated):
    facts = say(simulated(targets=("cnn",), noises=(0.0,), models=2)).facts
    assert facts[-1].value == "∞"


def test_a_group_without_a_useful_bound_is_said_to_have_none(audit_rows):
    rows = [row | {"group_epsilon": float("inf") if row["epsilon"] else None} for row in audit_rows]
    level = say(rows).private[1]
    assert "no useful bound for all 100 repetitions" in level_sentence(level)
    table = table_of(summarise(rows))
    group, one = ([c.name for c in table.columns].index(n) for n in ("group_epsilon", "epsilon"))
    assert {line[group].text for line in table.lines} == {"∞"}
    assert {line[one].text for line in table.lines} == {"∞", "20.1", "3.42"}


def test_control_characters_become_marks(simulated, tmp_path):
    rows = simulated(corpora=("a\x1b[31m\u202eb\r\n",), targets=("cnn",), models=2)
    text, parsed = make(tmp_path, rows, title="\x00")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert "a␛[31m\ufffdb␍␊" in parsed.text


def test_a_grid_of_many_panels_says_what_it_left_out(simulated, tmp_path):
    corpora = tuple(f"c{n}" for n in range(14))
    rows = simulated(
        corpora=corpora,
        targets=("cnn",),
        patterns=("call",),
        noises=(0.0,),
        repetitions=(1,),
        models=1,
    )
    paths = figures(rows, tmp_path)
    captions = json.loads((tmp_path / "captions.json").read_text())
    assert "The first 8 of 14 panels" in captions["exposure"]["caption"]
    assert "c7" in captions["exposure"]["alt"]
    assert "c9" not in captions["exposure"]["alt"]
    assert paths


def test_an_undertrained_private_model_is_called_so(audit_rows):
    warnings = say(audit_rows).warnings
    assert len(warnings) == 2
    assert all("DP σ = 1" in warning and "no evidence" in warning for warning in warnings)


def test_nothing_extracted_is_said_with_its_uncertainty(simulated):
    rows = simulated(targets=("cnn",), patterns=("call",), noises=(0.0,), repetitions=(1,))
    for row in rows:
        row["exact"] = 0
    said = say(rows)
    assert said.headline.startswith("None of 12 planted secrets came back whole")
    assert "interval 0–24 %" in said.sentences[0]
    assert "not distinguishable from guessing" in said.sentences[1]
    assert said.private == ()


def test_a_run_with_nothing_planted_says_so(simulated):
    said = say(simulated(targets=("cnn",), repetitions=(0,), noises=(0.0,), models=2))
    assert said.headline == "Nothing was planted in these targets."
