"""What README and docs say is so: links lead somewhere, commands parse, snippets run."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml

import attacks.__main__
import modiva.cli
from attacks import ATTACKS
from canaries import load_patterns
from modiva.report.glossary import GLOSSARY
from modiva.studies import load_study

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = [
    *(page for page in [REPOSITORY / "README.md"] if page.is_file()),
    *sorted((REPOSITORY / "docs").glob("*.md")),
]
_FENCE = re.compile(r"^ *(```+|~~~+) *(\w*)[^\n]*\n(.*?)^ *\1 *$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+(?:\([^()]*\))?)(?:\s+\"[^\"]*\")?\)")


def blocks(page: Path, *languages: str) -> Iterator[tuple[int, str]]:
    """First line number and text of the page's fenced blocks in these languages."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        if match[2] in languages:
            yield text.count("\n", 0, match.start(3)) + 1, match[3]


def prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(page), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 1
        name = slug
        while name in found:
            name = f"{slug}-{number}"
            number += 1
        found.add(name)
    return found


def commands(page: Path) -> list[tuple[int, list[str]]]:
    """Line number and words of every simple command in the page's shell blocks."""
    found = []
    for number, text in blocks(page, "sh", "bash", "shell"):
        for line in text.replace("\\\n", "\0").split("\n"):  # a continued line stays one
            lexer = shlex.shlex(line.replace("\0", " "), posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            found += [(number, words) for words in simple_commands(lexer)]
            number += 1 + line.count("\0")
    return found


def simple_commands(words: Iterable[str]) -> Iterator[list[str]]:
    """Split at pipes and the like; redirections and assignments before the command are dropped."""
    command: list[str] = []
    file = False
    for word in [*words, ";"]:
        if file:
            file = False
        elif set(word) <= set("<>&") and set(word) & set("<>"):
            file = True
        elif word and set(word) <= set(";&|()"):
            if command:
                yield command
            command = []
        elif command or not re.match(r"\w+=", word):
            command.append(word)


# The Python blocks of a page are one program, from top to bottom.
PROGRAMS = [page for page in PAGES if page.parent.name == "docs" and any(blocks(page, "python"))]


def test_there_are_pages_and_commands():
    assert {page.name for page in PAGES} >= {"tutorial.md", "attacks.md", "extending.md"}
    assert sum(len(commands(page)) for page in PAGES) > 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_a_file_and_an_anchor(page):
    broken = []
    for link in _LINK.findall(prose(page)):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        name, _, anchor = link.partition("#")
        place = (page.parent / name).resolve() if name else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(link)
    assert not broken


class Parsed(Exception):
    """Stops a command once its words were understood."""


@pytest.fixture
def parse_only(monkeypatch):
    real = tyro.cli

    def cli(*args: Any, **kwargs: Any) -> None:
        raise Parsed(real(*args, **kwargs))

    monkeypatch.setattr(tyro, "cli", cli)


def main_of(words: list[str]) -> tuple[Any, list[str]] | None:
    """The program that a command line starts, with its arguments; None if it is not ours."""
    program = Path(words[0]).name
    if program == "modiva":
        return modiva.cli.main, words[1:]
    if program in ("python", "python3") and words[1:3] == ["-m", "attacks"]:
        return attacks.__main__.main, words[3:]
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page, parse_only):
    for number, words in commands(page):
        command = main_of(words)
        if command is None:
            continue
        main, arguments = command
        try:
            main(arguments)
        except Parsed:
            continue
        except SystemExit as stopped:
            if stopped.code in (0, None):  # --help
                continue
        pytest.fail(f"{page.name}, line {number}: {shlex.join(words)} is not understood")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page):
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    for number, words in commands(page):
        if words[0] == "make":
            named = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
            assert named <= targets, f"{page.name}, line {number}"


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.name)
def test_python_blocks_run_and_their_tests_pass(page, tmp_path):
    """Each page runs in a process of its own: what it registers stays there."""
    lines = [""] * page.read_text(encoding="utf-8").count("\n")
    for start, text in blocks(page, "python"):
        block = text.splitlines()
        lines[start - 1 : start - 1 + len(block)] = block  # errors name the page's own lines
    lines += [
        "for _name, _test in list(globals().items()):",
        "    if _name.startswith('test_'):",
        "        _test()",
    ]
    program = tmp_path / f"{page.stem}.py"
    program.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, program.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_yaml_blocks_are_studies_or_patterns(page, tmp_path):
    for number, text in blocks(page, "yaml"):
        file = tmp_path / f"line{number}.yaml"
        file.write_text(text, encoding="utf-8")
        load = load_patterns if {"patterns", "spaces"} & set(yaml.safe_load(text)) else load_study
        assert load(file)


def test_attacks_and_their_settings_are_those_of_the_page():
    text = (REPOSITORY / "docs" / "attacks.md").read_text(encoding="utf-8")
    shown = {" ".join(line.split()) for line in text.splitlines()}
    for name, attack in ATTACKS.items():
        settings = " ".join(f"{key}={value}" for key, value in attack.settings.items())
        assert f"{name} {attack.objective.name} {settings}".strip() in shown
        assert re.search(rf"^\| `{name}` \|", text, re.MULTILINE), name


def test_every_column_is_in_the_glossary():
    text = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert set(GLOSSARY) <= described
