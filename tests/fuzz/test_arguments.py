"""Every flag out of range, and files where folders are expected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .mutations import NUMBERS, WORDS, arguments
from .oracle import contents, empty_folder, fuzzed, modiva

# More than a machine can hold or wait for is accepted where it costs nothing to say so.
FEW = tuple(value for value in NUMBERS if len(value) != 20)
AUDIT = {
    **{f"--{name}": NUMBERS for name in (
        "models", "secrets", "controls", "seed", "sentences", "epochs", "shadows", "stack",
        "repetitions", "noise", "workers", "gpus-per-cell")},
    **{f"--{name}": WORDS for name in (
        "corpus", "target", "pattern", "defense", "attack", "objective", "label", "size",
        "device", "engine", "patterns-file", "store")},
}  # fmt: skip
TRAIN = {
    **{f"--{name}": NUMBERS for name in (
        "repetitions", "secrets", "controls", "noise", "epsilon", "delta", "sentences", "seed")},
    **{f"--{name}": WORDS for name in (
        "corpus", "target", "pattern", "defense", "label", "patterns-file", "word-vectors")},
    "--epochs": FEW,
}  # fmt: skip
FIT = {
    **{f"--{name}": NUMBERS for name in ("sentences", "seed")},
    **{f"--{name}": WORDS for name in ("corpus", "target", "pattern", "defense", "patterns-file")},
    **{f"--{name}": FEW for name in ("epochs", "shadows")},
}
SETTINGS = ("restarts", "steps", "sweeps", "width", "temperature", "learning_rate", "top", "batch")
SEARCHES = ("coordinate", "exhaustive", "relaxed", "gumbel", "beam", "random", "parikh2022",
            "gcg2023", "elmahdy2022", "gbda2021", "contrast",
            "standardised", "alignment", "rows")  # fmt: skip
ATTACK = {
    **{f"--{name}": NUMBERS for name in ("top", "seed")},
    **{f"--{name}": WORDS for name in (
        "slots", "label", "prefix", "suffix", "objective", "ranker", "initial", "device")},
    "--attack": (*SEARCHES, *WORDS),
    "--set": (*(f"{name}={value}" for name in SETTINGS for value in FEW), *WORDS),
}  # fmt: skip


@fuzzed(80)
@given(arguments(AUDIT))
def test_a_dry_audit_with_odd_flags_writes_nothing(made, flags):
    with empty_folder() as folder:
        base = ["--corpus", made / "own.csv", "--target", "cnn", "--sentences", "0"]
        modiva("audit", *base, "--out", folder / "out", *flags, "--dry-run")
        assert not contents(folder)


@fuzzed(50)
@given(arguments(TRAIN))
def test_training_with_odd_flags_is_whole_or_not_there(made, flags):
    with empty_folder() as folder:
        base = ["--corpus", made / "own.csv", "--size", "small", "--epochs", "1"]
        done = modiva("train", *base, "--out", folder / "target", *flags)
        if done.code == 0:
            assert {"target/model.safetensors", "target/training.json"} <= set(contents(folder))
        else:
            assert not contents(folder)


@pytest.mark.parametrize("command", ["train", "ranker fit"])
def test_a_seed_may_be_of_any_size(command, made, tmp_path):
    base = ["--corpus", made / "own.csv", "--target", "cnn", "--size", "small", "--epochs", "1"]
    few = ["--shadows", "1", "--pattern", "color"] if command == "ranker fit" else []
    flags = [*base, *few, "--seed", 10**30, "--out", tmp_path / "out"]
    assert modiva(*command.split(), *flags).code == 0


@fuzzed(80)
@given(arguments(ATTACK))
def test_attacks_with_odd_flags_print_candidates_or_are_refused(made, flags):
    ask = ["--slots", "digit*2", "--prefix", "call", "--label", "open", "--attack", "random"]
    done = modiva("attack", made / "target", *ask, *flags)
    assert (done.code == 0) == bool(done.out)


@fuzzed(12)
@given(arguments(FIT))
def test_a_ranker_is_whole_or_not_there(made, flags):
    with empty_folder() as folder:
        base = ["--corpus", made / "own.csv", "--target", "cnn", "--size", "small", "--epochs", "1"]
        fit = [*base, "--shadows", "2", "--pattern", "color", "--out", folder / "ranker"]
        done = modiva("ranker", "fit", *fit, *flags)
        files = {"ranker/ranker.json", "ranker/usual.safetensors"} if done.code == 0 else set()
        assert set(contents(folder)) == files


@st.composite
def places(draw, made, folder):
    """A path of another kind than the one that is expected."""
    kinds = (
        "missing",
        "file",
        "empty",
        "folder",
        "full",
        "readonly",
        "inside",
        "long",
        "null",
        "none",
    )
    kind = draw(st.sampled_from(kinds))
    path = folder / kind
    if kind in ("file", "empty"):
        path.write_bytes(b"\x00\x01text" if kind == "file" else b"")
    elif kind in ("folder", "full", "readonly"):
        path.mkdir()
        if kind == "full":
            (path / "x").write_text("x")
        if kind == "readonly":
            path.chmod(0o500)
    elif kind == "inside":
        return made / "own.csv" / "x"
    elif kind == "long":
        return folder / ("x" * 300)
    elif kind == "null":
        return "/dev/null"
    elif kind == "none":
        return ""
    return path


COMMANDS = (
    ["corpus", "show", "PATH"], ["corpus", "fetch", "snips", "--cache", "PATH", "--base-url", "http://[x"],
    ["train", "--corpus", "CSV", "--epochs", "1", "--size", "small", "--out", "PATH"],
    ["train", "--corpus", "CSV", "--epochs", "1", "--target", "PATH", "--out", "OUT"],
    ["train", "--corpus", "CSV", "--epochs", "1", "--word-vectors", "PATH", "--out", "OUT"],
    ["train", "--corpus", "CSV", "--epochs", "1", "--patterns-file", "PATH", "--out", "OUT"],
    ["attack", "PATH", "--slots", "digit", "--label", "open"],
    ["attack", "TARGET", "--slots", "digit", "--label", "open", "--ranker", "PATH"],
    ["attack", "TARGET", "--slots", "digit", "--label", "open", "--attack", "movement",
     "--initial", "PATH"],
    ["score", "PATH", "--secret", "1 2 3 4"], ["score", "FOUND", "--ledger", "PATH"],
    ["score", "FOUND", "--secret", "1 2 3 4", "--checkpoint", "PATH"],
    ["ranker", "show", "PATH"],
    ["ranker", "fit", "--target", "cnn", "--shadows", "1", "--epochs", "1",
     "--corpus", "CSV", "--out", "PATH"],
    ["audit", "--corpus", "PATH", "--dry-run"],
    ["audit", "--corpus", "CSV", "--store", "PATH", "--dry-run"],
    ["audit", "--corpus", "CSV", "--target", "PATH", "--dry-run"],
    ["study", "run", "PATH", "--dry-run"], ["study", "status", "PATH"], ["study", "gc", "PATH"],
    ["study", "status", "STUDY", "--out", "PATH"], ["study", "report", "STUDY", "--out", "PATH"],
    ["study", "export", "STUDY", "--out", "PATH"], ["study", "report", "STUDY", "--store", "PATH"],
)  # fmt: skip


@fuzzed(150)
@given(st.data())
def test_paths_of_another_kind_than_expected(made, data):
    with empty_folder() as folder:
        path = data.draw(places(made, folder))
        command = data.draw(st.sampled_from(COMMANDS))
        names = {"PATH": path, "CSV": made / "own.csv", "TARGET": made / "target",
                 "FOUND": made / "found.json", "OUT": folder / "out",
                 "STUDY": folder / "study.yaml"}  # fmt: skip
        (folder / "study.yaml").write_text(f"corpus: {made / 'own.csv'}\ntarget: cnn\n")
        before = contents(folder)
        done = modiva(*(names.get(word, word) for word in command))
        if done.code == 2:
            assert contents(folder) == before
