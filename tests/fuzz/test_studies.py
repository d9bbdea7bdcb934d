"""Study files and pattern files with whatever YAML can say."""

import json

from hypothesis import given
from hypothesis import strategies as st

from .mutations import byte_strings, json_trees, yaml_texts
from .oracle import contents, empty_folder, fuzzed, modiva

SETTINGS = {
    "corpus": "own.csv", "target": ["cnn", "lstm"], "pattern": ["call", "color"],
    "repetitions": [1, 10], "defense": ["none"], "noise": [0, 1.0], "models": 2,
    "attack": ["random", "coordinate"], "objective": "loss", "seed": 0, "size": "small",
    "sentences": 20, "epochs": 1, "label": "random", "secrets": 1, "controls": 2,
    "share_valid": False, "patterns_file": None, "stack": 2, "shadows": 2,
}  # fmt: skip
PATTERNS = {
    "patterns": {"badge": "my badge is {team} {digit*3}", "who": "ask {team}"},
    "spaces": {"team": ["red", "blue"], "list": "words.txt"},
}


@fuzzed(90)
@given(yaml_texts(SETTINGS), st.sampled_from([("run", "--dry-run"), ("status",)]))
def test_a_damaged_study_is_planned_or_refused_and_writes_nothing(made, text, command):
    with empty_folder() as folder:
        (folder / "study.yaml").write_bytes(text.replace(b"own.csv", bytes(made / "own.csv")))
        modiva("study", command[0], folder / "study.yaml", "--out", folder / "out", *command[1:])
        assert set(contents(folder)) == {"study.yaml"}


@fuzzed(30)
@given(json_trees({"defaults": {"models": 1}, "grids": [SETTINGS, {**SETTINGS, "noise": 2}]}))
def test_damaged_grids_are_planned_or_refused(made, tree):
    text = json.dumps(tree).replace("own.csv", str(made / "own.csv"))
    with empty_folder() as folder:
        (folder / "study.yaml").write_text(text)
        modiva("study", "run", folder / "study.yaml", "--out", folder / "out", "--dry-run")
        assert set(contents(folder)) == {"study.yaml"}


@fuzzed(40)
@given(yaml_texts(PATTERNS), byte_strings(b"north\nsouth\neast\n"))
def test_a_damaged_pattern_file_is_read_or_refused(made, text, words):
    with empty_folder() as folder:
        (folder / "own.yaml").write_bytes(text)
        (folder / "words.txt").write_bytes(words)
        flags = ["--patterns-file", folder / "own.yaml", "--pattern", "badge", "--target", "cnn"]
        modiva("audit", "--corpus", made / "own.csv", *flags, "--dry-run", "--out", folder / "out")
        assert set(contents(folder)) == {"own.yaml", "words.txt"}
