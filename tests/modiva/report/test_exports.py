"""Every format holds the same numbers, and whatever is in a name stays a name."""

import csv
import importlib.util
import json
import re
from importlib.resources import files

import pandas as pd
import pytest

from modiva.errors import ModivaError
from modiva.measure import summarise
from modiva.report import export
from modiva.report.exports import FORMATS
from modiva.report.latex import escape as latex
from modiva.report.markdown import escape as markdown
from modiva.report.plots import figures
from modiva.report.tables import read_rows

EVIL = "=cmd|' /C calc'!A0 <img src=x onerror=alert(1)> \\input{/etc/passwd} %x & $y$ #1 `z` *b*"
SETTINGS = {"title": "audit", "command": "modiva audit --models 12", "models": 12}
NEEDS_PARQUET = pytest.mark.skipif(
    importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed"
)


@pytest.fixture(scope="module")
def rows(simulated):
    return simulated(attacks=("coordinate", "random"), models=3)


def test_each_format_writes_its_files(rows, tmp_path):
    formats = [name for name in FORMATS if name != "parquet"]
    paths = export(pd.DataFrame(rows), summarise(rows), SETTINGS, tmp_path / "out", formats)
    names = ["report.md", "rows.csv", "summary.csv", "rows.jsonl", "summary.json"]
    assert [path.name for path in paths] == [*names, "extraction.tex", "privacy.tex"]
    assert all(path.stat().st_size > 500 for path in paths)
    assert {path.parent for path in paths} == {tmp_path / "out"}


def test_json_lines_are_the_rows_and_json_is_strict(rows, tmp_path):
    lines_file, groups_file = export(rows, summarise(rows), {}, tmp_path, ["json"])
    lines = [json.loads(line, parse_constant=pytest.fail) for line in lines_file.open()]
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        assert line["secret"] == row["secret"]
        assert line["position_hits"] == row["position_hits"]  # "0011" keeps its zeros
        assert line["exposure"] == pytest.approx(row["exposure"], rel=1e-12)
        assert line["epsilon"] == row["epsilon"]
    assert json.loads(groups_file.read_text(), parse_constant=pytest.fail) == [
        group.as_dict() for group in summarise(rows)
    ]


@NEEDS_PARQUET
def test_parquet_comes_back_with_its_types(rows, tmp_path):
    mixed = [row | {"canary": number if number % 2 else "x"} for number, row in enumerate(rows)]
    rows_file, groups_file = export(mixed, summarise(rows), {}, tmp_path, ["parquet"])
    back = pd.read_parquet(rows_file)
    assert len(back) == len(rows)
    assert list(back["secret"]) == [row["secret"] for row in rows]
    assert back["exposure"].dtype == float
    assert list(back["repetitions"]) == [row["repetitions"] for row in rows]
    assert set(back["canary"][:4]) == {"x", "1", "3"}
    groups = pd.read_parquet(groups_file)
    assert list(groups["exact_upper"]) == [group.exact.upper for group in summarise(rows)]


def test_models_that_were_not_attacked_are_exported(model_rows, tmp_path):
    formats = [name for name in FORMATS if name != "parquet"]
    paths = {
        path.name: path
        for path in export(model_rows, summarise(model_rows), SETTINGS, tmp_path, formats)
    }
    assert "24 models trained" in paths["report.md"].read_text()
    assert "Validation" in paths["accuracy.tex"].read_text()
    with paths["summary.csv"].open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6
    assert "exact" not in lines[0]
    accuracies = [row["test_accuracy"] for row in model_rows[:4]]
    (bare,) = [line for line in lines if (line["target"], line["defense"]) == ("cnn", "none")]
    assert float(bare["test_accuracy"]) == pytest.approx(sum(accuracies) / 4, rel=1e-5)
    assert len(read_rows(paths["models.csv"])) == len(model_rows)


def test_parquet_without_pyarrow_says_what_to_install(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModivaError, match=r"pip install 'modiva\[parquet\]'"):
        export(rows, [], {}, tmp_path, ["csv", "parquet"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("formats", [["csv", "xlsx"], []])
def test_an_unknown_format_is_refused_before_anything_is_written(rows, tmp_path, formats):
    with pytest.raises(ModivaError, match="md, csv, json, parquet, latex"):
        export(rows, summarise(rows), {}, tmp_path, formats)
    assert list(tmp_path.iterdir()) == []


def test_the_markdown_says_the_answer_first_and_shows_figures(rows, tmp_path):
    drawn = figures(rows, tmp_path / "figures")
    (path,) = export(rows, summarise(rows), SETTINGS, tmp_path, ["md"])
    text = path.read_text()
    assert re.search(r"^# \d+ of \d+ planted secrets came back", text.split("\n\n")[1])
    for png in {path.name for path in drawn if path.suffix == ".png"}:
        assert f"(figures/{png})" in text
    assert "```sh\nmodiva audit --models 12\n```" in text
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(tables) > 20
    header = next(line for line in tables if line.startswith("| Target"))
    body = tables[tables.index(header) :]
    width = header.count(" | ")
    groups = [group for group in summarise(rows) if group["planted"] and group["pattern"] == "all"]
    assert all(line.count(" | ") == width for line in body[: len(groups) + 2])


def test_markdown_of_nothing_is_still_a_page(tmp_path):
    (path,) = export([], [], {}, tmp_path, ["md"])
    assert "# Nothing was measured." in path.read_text()


def test_hostile_names_stay_names_in_markdown(simulated, tmp_path):
    rows = simulated(corpora=(EVIL, "b|c"), targets=("cnn",), models=2)
    settings = {"command": "x ``` \n# heading", EVIL: "http://evil.example @everyone"}
    (path,) = export(rows, summarise(rows), settings, tmp_path, ["md"])
    text = path.read_text()
    assert "<" not in text.replace("&lt;", "")
    assert not re.search(r"(?<!\\)\|c", text)
    assert "://evil" not in text
    assert "@everyone" not in text
    assert "````sh\nx ``` ␊# heading\n````" in text  # nothing inside ends the block


def test_a_newline_in_a_name_makes_no_line(simulated, tmp_path):
    rows = simulated(corpora=("a\n\n# b",), targets=("cnn",), models=2)
    (path,) = export(rows, summarise(rows), {}, tmp_path, ["md"])
    assert not re.search(r"^# b", path.read_text(), re.MULTILINE)


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)&", line.removesuffix(r" \\"))


def test_latex_tables_are_whole(rows, tmp_path):
    extraction, privacy = export(rows, summarise(rows), {}, tmp_path, ["latex"])
    for path in (extraction, privacy):
        text = path.read_text()
        columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
        body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        header = text.split("\\toprule\n")[1].splitlines()[0]
        assert len(body) >= 12
        for line in [header, *body]:
            assert line.endswith(r" \\")
            assert len(cells(line)) == len(columns)
        assert text.count("{") == text.count("}")
        assert text.isascii()
    assert "Extracted (\\%)" in extraction.read_text()
    assert r"$\varepsilon$" in privacy.read_text()
    assert "random" not in privacy.read_text()  # of the strongest attack alone


def test_a_long_latex_table_goes_over_several_pages(simulated, tmp_path):
    rows = simulated(
        corpora=tuple(f"c{n}" for n in range(50)),
        targets=("cnn",),
        repetitions=(1,),
        noises=(0.0,),
        patterns=("call",),
        models=1,
    )
    (path,) = export(rows, summarise(rows), {}, tmp_path, ["latex"])
    assert r"\begin{longtable}" in path.read_text()


def test_hostile_names_are_no_commands_in_latex(simulated, tmp_path):
    rows = simulated(corpora=(EVIL, "new\nline ␛\x1b"), targets=("cnn",), models=2)
    for path in export(rows, summarise(rows), {}, tmp_path, ["latex"]):
        text = path.read_text()
        for line in text.splitlines():
            if line.startswith("%"):
                continue
            assert r"\input{" not in line
            assert not re.search(r"(?<!\\)[%#_]", line)
        assert r"\textbackslash{}input\{/etc/passwd\}" in text
        assert "\x1b" not in text


def test_latex_keeps_hyphens_quotes_and_brackets():
    assert latex("a--b---c") == "a-{}-b-{}-{}-c"
    assert latex('~^"') == r"\textasciitilde{}\textasciicircum{}''"
    assert latex("48–74 %") == r"48--74 \%"


def test_markdown_keeps_what_reads_as_markup():
    assert markdown("a|b*c_d`e<f>") == r"a\|b\*c\_d\`e&lt;f&gt;"


def test_csv_quotes_formulas_everywhere_and_numbers_nowhere(simulated, tmp_path):
    begins = ("=1+1", "+1", "-1", "@A1", "\t=1", " =1", "＝1", "\n=1", "\r-1")
    rows = simulated(corpora=begins, targets=("=t",), patterns=("call",), models=1, noises=(0.0,))
    for row in rows:
        row["secret"], row["drift"] = "-1 2", -0.5
    rows_file, summary_file = export(rows, summarise(rows), {}, tmp_path, ["csv"])
    for path in (rows_file, summary_file):
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        assert {line["corpus"] for line in lines} == {f"'{text}" for text in begins}
        assert {line["target"] for line in lines} == {"'=t"}
    with rows_file.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert {line["secret"] for line in lines} == {"'-1 2"}
    assert {line["drift"] for line in lines} == {"-0.5"}
    assert set(read_rows(rows_file)["corpus"]) == set(begins)


@pytest.mark.parametrize(
    ("text", "quoted"),
    [("=1", True), ("+1", True), ("-1", True), ("@A1", True), (" '=1", True), ("\t1", True),
     ("\uff1d1", True), ("\uff0b1", True), ("\uff0d1", True), ("\uff201", True),
     ("20news", False), ("1", False), ("<b>", False), ("?", False), (";", False), ("cnn", False)],
)  # fmt: skip
def test_the_page_saves_the_same_cells_quoted_as_the_export_does(simulated, tmp_path, text, quoted):
    """The expression of the page is one of Python, too."""
    script = (files("modiva.report") / "page.js").read_text(encoding="utf-8")
    (expression,) = re.findall(r"const safe = /(.+)/\.test", script)
    assert expression.isascii()  # signs as escapes: some tool made other signs of them before
    assert bool(re.match(expression, text)) == quoted
    rows = simulated(corpora=(text,), targets=("cnn",), patterns=("call",), models=1, noises=(0.0,))
    (path, _) = export(rows, summarise(rows), {}, tmp_path, ["csv"])
    with path.open(newline="", encoding="utf-8") as file:
        assert {row["corpus"] for row in csv.DictReader(file)} == {"'" * quoted + text}
