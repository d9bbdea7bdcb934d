"""The notebooks run from top to bottom and show what they show; `make notebooks` writes it."""

import ast
import contextlib
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
_NUMBER = re.compile(r"[-+]?[\d][\d,.]*(?:e[-+]?\d+)?")


def run(notebook: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Run the code cells in order in one namespace, and return the outputs of each.

    As in a notebook, what is printed is shown, and the value of a last line that is an expression.
    Standard error, where bars and warnings go, is not.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [_run_cell("".join(cell["source"]), number, names) for number, cell in enumerate(cells)]


def _run_cell(source: str, number: int, names: dict[str, Any]) -> list[dict[str, Any]]:
    body = ast.parse(source, f"cell {number + 1}").body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), f"cell {number + 1}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {number + 1}", "eval"), names)
    outputs: list[dict[str, Any]] = []
    if text := printed.getvalue():
        outputs.append({"output_type": "stream", "name": "stdout", "text": _lines(text)})
    if value is not None:
        data = {"text/plain": _lines(repr(value))}
        if hasattr(value, "_repr_html_"):
            data["text/html"] = _lines(value._repr_html_())
        outputs.append(
            {
                "output_type": "execute_result",
                "execution_count": number + 1,
                "metadata": {},
                "data": data,
            }
        )
    return outputs


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def write(path: Path) -> None:
    """Run a notebook in an empty folder and write its outputs into it."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        outputs = run(notebook)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    for number, (cell, shown) in enumerate(zip(cells, outputs, strict=True), start=1):
        cell |= {"execution_count": number, "outputs": shown}
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def words(outputs: list[dict[str, Any]]) -> list[str]:
    """Return the sentences that are shown, without their numbers.

    Numbers, and so the order of rows in tables, are reproducible on one machine only.
    """
    shown = ["".join(o.get("text") or o["data"]["text/plain"]) for o in outputs]
    return [_NUMBER.sub("#", text) if text.startswith("<") or "data" not in o else ""
            for text, o in zip(shown, outputs, strict=True)]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_running_it_shows(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    kept = [cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    shown = run(notebook)
    for number, (ours, theirs) in enumerate(zip(kept, shown, strict=True), start=1):
        assert words(ours) == words(theirs), f"cell {number} of {path.name}: run `make notebooks`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_small_and_whole(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    assert path.stat().st_size < 40_000
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert all(cell["outputs"] for cell in code[1:])


def test_there_are_two_notebooks():
    assert len(NOTEBOOKS) == 2


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for one in NOTEBOOKS:
        write(one)
        print(one, file=sys.stderr)
