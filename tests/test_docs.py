"""What README and docs say is so: links lead somewhere, commands and snippets run."""

import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tyro
import yaml

import attacks.__main__
import modiva.cli
from attacks import ATTACKS
from canaries import load_patterns
from modiva.classifiers import build, parse_target
from modiva.classifiers.checkpoint import save
from modiva.corpora import load as load_corpus
from modiva.measure.column import columns_of
from modiva.measure.columns import GroupRow, MembershipRow, ModelRow, NameRow, RecordRow, Row
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


@dataclass(frozen=True)
class Command:
    """A simple command of a shell block: its line, its words, and the file its output goes to."""

    line: int
    words: tuple[str, ...]
    output: str | None

    def __str__(self) -> str:
        return shlex.join(self.words)


def commands(page: Path) -> list[Command]:
    """Every simple command in the page's shell blocks."""
    found = []
    for number, text in blocks(page, "sh", "bash", "shell"):
        for line in text.replace("\\\n", "\0").split("\n"):  # a continued line stays one
            lexer = shlex.shlex(line.replace("\0", " "), posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            found += [Command(number, *parts) for parts in simple_commands(lexer)]
            number += 1 + line.count("\0")
    return found


def simple_commands(words: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Split at pipes and the like; assignments before the command are dropped."""
    command: list[str] = []
    redirection, output = "", None
    for word in [*words, ";"]:
        if redirection:
            output = word if redirection == ">" else output
            redirection = ""
        elif set(word) <= set("<>&") and set(word) & set("<>"):
            redirection = word
        elif word and set(word) <= set(";&|()"):
            if command:
                yield tuple(command), output
            command, output = [], None
        elif command or not re.match(r"\w+=", word):
            command.append(word)


EXTENDING = REPOSITORY / "docs" / "extending.md"
EXAMPLES = sorted((REPOSITORY / "tests" / "extending").glob("*.py"))
TUTORIAL = REPOSITORY / "docs" / "tutorial.md"
# The Python blocks of a page are one program, from top to bottom; those of EXTENDING are excerpts,
# and those of TUTORIAL run before its commands, which read the files that they make.
WITH_PYTHON = {page for page in PAGES if any(blocks(page, "python"))}
PROGRAMS = sorted(WITH_PYTHON - {REPOSITORY / "README.md", EXTENDING, TUTORIAL})


def test_there_are_pages_and_commands():
    assert {page.name for page in PAGES} >= {"tutorial.md", "attacks.md", EXTENDING.name}
    assert sum(len(commands(page)) for page in PAGES) > 10


@pytest.mark.skipif(PAGES[0].name != "README.md", reason="this copy has no README")
def test_the_readme_links_every_page():
    links = _LINK.findall(prose(PAGES[0]))
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= set(links)


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


def main_of(words: Sequence[str]) -> tuple[Any, Sequence[str]] | None:
    """The program that a command line starts, with its arguments; None if it is not ours."""
    program = Path(words[0]).name
    if program == "modiva":
        return modiva.cli.main, words[1:]
    if program in ("python", "python3") and tuple(words[1:3]) == ("-m", "attacks"):
        return attacks.__main__.main, words[3:]
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_parse(page, parse_only):
    for command in commands(page):
        ours = main_of(command.words)
        if ours is None:
            continue
        main, arguments = ours
        try:
            main(arguments)
        except Parsed:
            continue
        except SystemExit as stopped:
            if stopped.code in (0, None):  # --help
                continue
        pytest.fail(f"{page.name}, line {command.line}: {command} is not understood")


# What a command gets so that it takes seconds: small data, one model, one epoch, a cheap attack.
TINY = {
    "audit": (
        *("--models", "1", "--sentences", "150", "--epochs", "1"),
        *("--shadows", "4", "--engine", "debug"),
    ),
    "attack": ("--decoys", "20"),
    "train": ("--size", "small", "--sentences", "150", "--epochs", "1"),
    "ranker fit": ("--size", "small", "--sentences", "150", "--epochs", "1", "--shadows", "4"),
    "study run": ("--engine", "debug"),
    "groups": ("--engine", "debug"),
}
CHEAP = (("--repetitions", "1"), ("--noise", "0"), ("--attack", "random"))  # where not given
LABELS = ("contact", "change_pin")
TARGET = "results/runs/target"
PLANTED = ("--pattern", "pin", "--repetitions", "10", "--label", "HassTurnOn")
# What is not run, and why. Of an audit or study `--dry-run` still checks every setting.
NOT_RUN = {
    r"make |\. \.venv": "this suite runs in the environment that they make, from `make test`",
    r"pip install": "it would change the environment of this suite",
    r"study (report|gc) results/": "it reads what `study run` leaves after hours",
    r"--engine ray": "a test of the engine runs one on a cluster of its own",
    r"ray (start|stop|status)": "a test of the engine starts a cluster of its own",
}
DRY = {
    r"--corpus (snips|hwu64|clinc150|banking77)": "worker processes would ask the real server",
    r"audit .*--target minilm": "ranking 10,000 sentences by a MiniLM takes minutes",
    r"study run results/": "twenty models a cell take hours",
}


@pytest.fixture(scope="session")
def own_files(tmp_path_factory) -> Path:
    """A folder with the files that the pages speak of and do not make: data, studies, a model."""
    folder = tmp_path_factory.mktemp("own")
    corpus = load_corpus("home-assistant")
    rows = "".join(f'"{text}",{intent},{text[:1]}\n' for text, intent in corpus.train[:600])
    (folder / "my_intents.csv").write_text(f"text,intent,locale\n{rows}")
    for study in (REPOSITORY / "results").rglob("*.yaml"):
        place = folder / study.relative_to(REPOSITORY)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(study.read_bytes())
    words = ["call me at my pin code is my card pin is", *map(str, range(10))]
    model = build(
        parse_target("cnn", "small"),
        texts=words,
        intents=["change_pin", "contact", "HassTurnOn"],
        extra_words=[f"{code:04}" for code in range(10_000)],  # as the tokenizer of words needs
    )
    save(model, folder / "my-intent-model")
    for name, first in (("train", 100), ("test", 500)):  # of codes that the model does not know
        rows = "".join(f"my pin code is {first + n},{LABELS[n % 2]}\n" for n in range(12))
        (folder / f"{name}.csv").write_text(f"text,intent\n{rows}")
    return folder


@pytest.fixture
def workplace(own_files, tmp_path, monkeypatch) -> Path:
    """A copy of them, as the folder that commands run in."""
    folder = tmp_path / "workplace"
    shutil.copytree(own_files, folder)
    monkeypatch.chdir(folder)
    return folder


def write_yaml_blocks(page: Path, folder: Path) -> None:
    """Write every YAML block to the file that the sentence before it names."""
    text = page.read_text(encoding="utf-8").splitlines()
    for number, block in blocks(page, "yaml"):
        named = re.findall(r"`([\w-]+\.yaml)`", "\n".join(text[max(0, number - 8) : number]))
        if named:
            (folder / named[-1]).write_text(block, encoding="utf-8")


def reason(command: Command, reasons: dict[str, str]) -> bool:
    return any(re.search(pattern, str(command)) for pattern in reasons)


def trained_before(page: Path, command: Command) -> bool:
    """Whether an earlier page trains the same target, and this one does nothing with it."""
    if command.words[:2] != ("modiva", "train"):
        return False
    earlier = (other for one in PAGES[: PAGES.index(page)] for other in commands(one))
    folder = command.words[command.words.index("--out") + 1]
    used = sum(folder in other.words for other in commands(page)) > 1
    return not used and any(command.words == other.words for other in earlier)


def tiny(command: Command) -> list[str]:
    """The arguments of a command of ours, made to end in seconds."""
    words = list(command.words)
    arguments = words[words.index("attacks") + 1 :] if "attacks" in words else words[1:]
    for name, extra in TINY.items():
        # A flag that is given twice has its last value.
        if arguments[: len(name.split())] == name.split() and "--help" not in arguments:
            arguments += extra
            if name == "audit":
                for cheap in CHEAP:
                    arguments += cheap if cheap[0] not in arguments else ()
            dry = name not in ("train", "ranker fit") and reason(command, DRY)
            arguments += ["--dry-run"] if dry and "--dry-run" not in arguments else []
    return arguments


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_runs(page, workplace, mirror, capsys):
    """From top to bottom, in a folder of its own, after the page's Python and YAML."""
    if page == TUTORIAL:
        run_python_blocks(page, workplace)
        write_yaml_blocks(page, workplace)
        shrink(Path("study.yaml"))
    found = commands(page)
    made = [command for command in found if command.words[:2] == ("modiva", "train")]
    if any(TARGET in command.words for command in found) and not any(
        TARGET in command.words for command in made
    ):  # a page that goes on where another ended
        train = Command(0, ("modiva", "train", "--out", TARGET, *PLANTED), None)
        found.insert(0, train)
    for command in found:
        if reason(command, NOT_RUN) or trained_before(page, command):
            continue
        ours = main_of(command.words)
        assert ours is not None, f"{page.name}, line {command.line}: nothing runs {command}"
        capsys.readouterr()
        code = ours[0](tiny(command))
        output, errors = capsys.readouterr()
        assert code in (0, None), f"{page.name}, line {command.line}: {command}\n{output}{errors}"
        if command.output is not None:
            Path(command.output).write_text(output, encoding="utf-8")


def shrink(study: Path) -> None:
    """Give a study the sizes of `TINY`, whatever else stands in it."""
    settings = yaml.safe_load(study.read_text(encoding="utf-8"))
    settings |= {"models": 1, "sentences": 150, "epochs": 1, "attack": ["random"]}
    settings |= {"repetitions": [0, 1], "target": settings["target"][:1], "noise": 0}
    study.write_text(yaml.safe_dump(settings), encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page):
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for command in commands(page):
        if command.words[0] == "make":
            words = command.words[1:]
            named = {word for word in words if "=" not in word and not word.startswith("-")}
            assert named <= targets, f"{page.name}, line {command.line}"


def run_python(words: Sequence[str], folder: Path) -> None:
    """Run Python in a process of its own: what a page or an example registers stays there."""
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run_python_blocks(page: Path, folder: Path) -> None:
    lines = [""] * page.read_text(encoding="utf-8").count("\n")
    for start, text in blocks(page, "python"):
        block = text.splitlines()
        lines[start - 1 : start - 1 + len(block)] = block  # errors name the page's own lines
    program = folder / f"{page.stem}.py"
    program.write_text("\n".join(lines) + "\n", encoding="utf-8")
    run_python([program.name], folder)


@pytest.mark.parametrize("page", PROGRAMS, ids=lambda page: page.name)
def test_python_blocks_run(page, tmp_path):
    run_python_blocks(page, tmp_path)


def test_the_page_on_extending_links_every_example_and_shows_lines_of_them():
    links = _LINK.findall(prose(EXTENDING))
    assert {f"../tests/extending/{path.name}" for path in EXAMPLES} <= set(links)
    shown = [text for _, text in blocks(EXTENDING, "python")]
    files = [path.read_text(encoding="utf-8") for path in EXAMPLES]
    assert shown
    for text in shown:
        indented = (textwrap.indent(text, " " * width) for width in (0, 4, 8, 12))
        assert any(one in file for one in indented for file in files), text


@pytest.mark.slow
def test_the_examples_of_the_page_on_extending_pass():
    run_python(["-m", "pytest", "-q", *map(str, EXAMPLES)], REPOSITORY)


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
        settings = dict(attack.settings)
        if objective := settings.pop("objective", ""):  # attacks that rank have none
            listed = " ".join(f"{key}={value}" for key, value in settings.items())
            assert f"{name} {objective} {listed}".strip() in shown
        assert re.search(rf"^\| `{name}` \|", text, re.MULTILINE), name


def test_every_column_is_in_the_glossary():
    text = (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    kinds = (Row, ModelRow, MembershipRow, RecordRow, GroupRow, NameRow)
    assert {column.name for kind in kinds for column in columns_of(kind)} <= described
