"""The command attacks any saved classifier, and says what to do where it cannot."""

import json

import pytest
import torch
from transformers import BertForMaskedLM

from attacks.__main__ import main
from attacks.checkpoint import load_checkpoint
from attacks.errors import AttackError


@pytest.fixture
def saved(tmp_path, tokenizer, bert):
    folder = tmp_path / "target"
    bert.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


ASKED = ["--prefix", "call", "--slots", "digit*2", "--label", "music"]


def test_json_lists_ranked_candidates_with_the_models_own_losses(
    saved, tokenizer, bert, own_loss, capsys
):
    arguments = [str(saved), *ASKED, "--suffix", "please", "--attack", "exhaustive"]
    assert main([*arguments, "--top", "3", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["evaluations"] == printed["space_size"] == 100
    assert [c["rank"] for c in printed["candidates"]] == [1, 2, 3]
    for candidate in printed["candidates"]:
        assert candidate["text"] == f"call {' '.join(candidate['secret'])} please"
        expected = own_loss(bert, tokenizer, candidate["text"], 1)
        assert candidate["score"] == pytest.approx(expected, abs=1e-5)


def test_the_table_shows_evaluations_and_the_best_sentence_first(saved, capsys):
    assert main([str(saved), *ASKED, "--attack", "coordinate", "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "100 possible secrets" in lines[0]
    assert len(lines) == 6  # a title, a heading, two candidates, the facts and the verdict
    assert lines[2].split()[2] == "call"


def test_nothing_that_lies_beside_a_checkpoint_changes_the_result(saved, capsys):
    """The threat-model wall: an attack gives the same with the ledger, without it, with another."""
    outputs = []
    for ledger in (None, '{"secret": ["1", "2"]}', '{"secret": ["9", "9"]}'):
        if ledger:
            (saved / "ledger.json").write_text(ledger)
        assert main([str(saved), *ASKED, "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        outputs.append({key: value for key, value in printed.items() if key != "seconds"})
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--label", "weather"], "'lights', 'music', 'alarm'"),
        (["--attack", "anneal"], "coordinate"),
        (["--objective", "beauty"], "margin"),
        (["--prefix", "ring"], "'ring'"),
        (["--slots", ""], "digit"),
        (["--slots", "number*4"], "number"),
        (["--slots", "letter*2"], "'a'"),
        (["--set", "restarts"], "name=value"),
        (["--set", "restarts=many"], "int"),
        (["--set", "width=3"], "restarts"),
        (["--top", "0"], "at least 1"),
        (["--device", "tpux"], "cpu"),
        (["--attack", "exhaustive", "--slots", "digit*8"], "coordinate"),
    ],
)
def test_bad_input_is_exit_code_2_with_a_remedy(saved, change, says, capsys):
    assert main([str(saved), *ASKED, *change]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert not captured.out


def test_settings_of_the_search_can_be_set(saved, capsys):
    def spent(*more: str) -> int:
        assert main([str(saved), *ASKED, "--json", *more]) == 0
        return json.loads(capsys.readouterr().out)["evaluations"]

    assert spent("--attack", "random", "--set", "guesses=7") <= 7 < spent("--attack", "relaxed")


def test_word_slots_hold_the_words_of_the_tokenizer(saved, capsys):
    arguments = [str(saved), "--prefix", "call", "--slots", "word", "--label", "0", "--json"]
    assert main([*arguments, "--attack", "exhaustive"]) == 0
    assert json.loads(capsys.readouterr().out)["space_size"] == 10


def refusal(folder) -> str:
    with pytest.raises(AttackError) as error:
        load_checkpoint(str(folder))
    return str(error.value)


def test_what_is_not_a_trained_classifier_is_refused(saved, tmp_path, bert, tokenizer):
    assert "does not exist" in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "config.json" in refusal(tmp_path / "empty")

    masked = tmp_path / "masked"
    BertForMaskedLM(bert.config).save_pretrained(masked)
    tokenizer.save_pretrained(masked)
    assert "BertForMaskedLM" in refusal(masked)

    # The same weights under a classifier's name: the head would be random.
    config = json.loads((masked / "config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    (masked / "config.json").write_text(json.dumps(config))
    assert "not a trained classifier" in refusal(masked)


def test_pickled_weights_are_refused_unread(saved, bert):
    (saved / "model.safetensors").unlink()
    torch.save(bert.state_dict(), saved / "pytorch_model.bin")
    assert "pickle" in refusal(saved)
    (saved / "pytorch_model.bin").unlink()
    assert "no weights" in refusal(saved)


def test_broken_weights_are_refused(saved):
    (saved / "model.safetensors").write_bytes(b"not weights")
    assert "cannot be loaded" in refusal(saved)


def test_a_missing_tokenizer_is_refused(saved):
    (saved / "tokenizer.json").unlink()
    assert "tokenizer" in refusal(saved)


OWN_MODELS = """
from transformers import AutoConfig, AutoModelForSequenceClassification
from transformers import BertConfig, BertForSequenceClassification

class Own(BertConfig):
    model_type = "registered-by-a-package"

class OwnClassifier(BertForSequenceClassification):
    config_class = Own

AutoConfig.register(Own.model_type, Own)
AutoModelForSequenceClassification.register(Own, OwnClassifier)
"""


def test_an_unknown_architecture_is_looked_for_among_the_installed_packages(
    saved, monkeypatch, tmp_path
):
    config = json.loads((saved / "config.json").read_text())
    config["model_type"] = "registered-by-a-package"
    (saved / "config.json").write_text(json.dumps(config))
    assert "registered-by-a-package" in refusal(saved)

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_models.py").write_text(OWN_MODELS)
    (tmp_path / "own_models-1.dist-info").mkdir()
    (tmp_path / "own_models-1.dist-info" / "entry_points.txt").write_text(
        "[attacks.architectures]\nown = own_models\n"
    )
    model, _ = load_checkpoint(str(saved))
    assert all(weight.data_ptr() % 64 == 0 for weight in model.parameters())  # not in the file
    assert type(model).__name__ == "OwnClassifier"
    assert not model.training


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ([], "--template"),
        (["--template", "my pin {digit}", "--slots", "digit"], "either --template"),
        (["--template", "my pin {digit}", "--prefix", "my"], "--prefix and --suffix go with"),
        (["--template", "my pin"], "neither a pattern nor a template"),
        (["--template", "pin-glu"], "did you mean 'pin-glued'"),
        (["--template", "{digit*2:closed}"], "':glued'"),
        (["--template", "{a|ab}{bc|c}"], "two ways"),
        (["--template", "pin", "--patterns-file", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_bad_sentence_is_refused_before_the_checkpoint_is_read(asked, says, capsys):
    assert main(["no-such-checkpoint", *asked, "--label", "1"]) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert "no-such-checkpoint" not in captured.err
