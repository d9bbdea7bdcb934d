"""Starting is quick: help, lists and states load none of the libraries that take seconds."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from modiva.cli import COMMANDS
from modiva.condition import METHODS
from modiva.studies import EngineSettings, checks, load_study, run_study

SLOW = ("torch", "transformers", "pandas", "scipy", "matplotlib")
REPORTING = f"""
import sys
from modiva.cli import main
try:
    code = main(sys.argv[1:])
except SystemExit as ended:
    code = ended.code
print(*(name for name in {SLOW} if name in sys.modules), file=sys.stderr)
sys.exit(code)
"""


def slow_libraries(program: str, *arguments: str, cwd: Path) -> tuple[str, list[str]]:
    """What a program printed, and the slow libraries that it says it loaded."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout, ended.stderr.split()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        *([name, "--help"] for name in COMMANDS),
        ["study", "status", "--help"],
        ["ranker", "fit", "--help"],
        ["corpus", "list"],
    ],
    ids=" ".join,
)
def test_a_command_that_only_tells_loads_no_slow_library(arguments, tmp_path):
    told, loaded = slow_libraries(REPORTING, *arguments, cwd=tmp_path)
    assert told
    assert loaded == []


def test_help_of_the_attack_script_loads_no_slow_library(tmp_path):
    script = REPORTING.replace("modiva.cli", "attacks.__main__")
    told, loaded = slow_libraries(script, "--help", cwd=tmp_path)
    assert "--slots" in told
    assert loaded == []


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("attack", checks.ATTACKS | checks.OBJECTIVES),
        ("audit", checks.TARGETS | checks.DEFENSES),
        ("train", checks.TARGETS | checks.DEFENSES | set(METHODS)),
    ],
)
def test_help_names_all_that_comes_with_modiva(command, names, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "500")  # no name is broken at the end of a line
    told, _ = slow_libraries(REPORTING, command, "--help", cwd=tmp_path)
    assert names <= set(re.findall(r"[a-z0-9][a-z0-9-]*", told))


STUDY = """
corpus: home-assistant
sentences: 60
target: cnn
defense: [none, dropout+early-stopping]
noise: 0
pattern: color
repetitions: 1
epochs: 1
models: 1
attack: random
"""


def test_the_state_of_a_study_is_told_from_its_file_plan_and_index(tmp_path):
    file = tmp_path / "colors.yaml"
    file.write_text(STUDY)
    out = tmp_path / "out"
    status = ["study", "status", str(file), "--out", str(out)]
    told, loaded = slow_libraries(REPORTING, *status, cwd=tmp_path)
    assert "0 of 2 cells finished" in told
    assert loaded == []
    run_study(load_study(file), out, EngineSettings("debug"), progress=False)
    told, loaded = slow_libraries(REPORTING, *status, cwd=tmp_path)
    assert "2 of 2 cells finished" in told
    assert loaded == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_commands_say(name):
    module, kind, summary = COMMANDS[name]
    paragraph, *_ = inspect.getdoc(getattr(import_module(module), kind)).split("\n\n")
    assert summary == paragraph.replace("\n", " ")


def test_help_lists_every_command_with_its_summary(tmp_path):
    told, _ = slow_libraries(REPORTING, "--help", cwd=tmp_path)
    listed = " ".join(told.replace("│", " ").split())
    for name, (_, _, summary) in COMMANDS.items():
        assert f"• {name} {summary}" in listed


def test_python_m_modiva_is_the_script(tmp_path):
    told = [
        subprocess.run(
            [sys.executable, *command, "--help"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in (["-m", "modiva"], ["-c", "from modiva.cli import main; main()"])
    ]
    assert told[0] == told[1]


def test_the_names_of_attacks_are_there_when_they_are_used(tmp_path):
    program = (
        "import sys, attacks\n"
        f"print(*(name for name in {SLOW} if name in sys.modules), file=sys.stderr)\n"
        "print(*(name for name in attacks.__all__ if hasattr(attacks, name)), sep='\\n')"
    )
    told, loaded = slow_libraries(program, cwd=tmp_path)
    assert loaded == []
    assert told.split() == import_module("attacks").__all__
