"""Fine-tuning a part of a pretrained model: what moves, what stays, what is left behind."""

from dataclasses import replace

import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2Model

from modiva.classifiers import Classifier, build
from modiva.classifiers.checkpoint import save
from modiva.condition import Condition, Privacy
from modiva.errors import ModivaError
from modiva.training import resolve
from modiva.training.batches import encode_split
from modiva.training.loop import train
from modiva.training.private import PrivateSteps
from modiva.training.tuning import RANK, tuned

from .conftest import WORDS, make_classifier, make_splits, weights

SPLITS = make_splits(60)
ENCODERS = {
    "bert": lambda: BertModel(
        BertConfig(vocab_size=60, hidden_size=16, num_hidden_layers=3, num_attention_heads=2,
                   intermediate_size=16)
    ),
    "gpt2": lambda: GPT2Model(
        GPT2Config(vocab_size=60, n_embd=16, n_layer=3, n_head=2, pad_token_id=0)
    ),
}  # fmt: skip


@pytest.fixture(params=ENCODERS, scope="module")
def folder(request, tmp_path_factory):
    torch.manual_seed(0)
    encoder = ENCODERS[request.param]()
    tokenizer = make_classifier(SPLITS).tokenizer
    return str(save(Classifier(encoder, tokenizer), tmp_path_factory.mktemp("encoder") / "one"))


def fine_tuned(folder, defense, privacy=None):
    """Names and movements of the weights that training moved, and the classifier."""
    condition = Condition(target=folder, defense=defense, privacy=privacy, epochs=2)
    spec, config = resolve(condition)
    classifier = build(spec, texts=[], intents=sorted(WORDS))
    before = weights(classifier)
    result = train(classifier, SPLITS, config, progress=False)
    after = weights(classifier)
    assert after.keys() == before.keys()
    assert (result.epsilon is not None) == (privacy is not None)
    moved = {k: v - before[k] for k, v in after.items() if not torch.equal(v, before[k])}
    return moved, classifier


def test_last_layers_are_the_last_two_what_follows_them_and_the_head(folder):
    moved, classifier = fine_tuned(folder, "last-layers")
    assert not any("embedding" in name or "wte" in name or ".0." in name for name in moved)
    assert {".1.", ".2."} <= {part for name in moved for part in (".1.", ".2.") if part in name}
    assert any(name.startswith(("classifier", "score")) for name in moved)
    assert all(parameter.requires_grad for parameter in classifier.model.parameters())


def test_lora_moves_the_maps_of_all_layers_by_low_rank_and_leaves_no_adapter(folder):
    moved, classifier = fine_tuned(folder, "lora")
    inner = {name: change for name, change in moved.items() if ".weight" in name and ".0." in name}
    assert inner
    assert all(torch.linalg.matrix_rank(change, tol=1e-5) <= RANK for change in inner.values())
    assert not any("LayerNorm" in name or "ln_" in name or "embedding" in name for name in moved)
    assert not hasattr(classifier.model, "peft_config")
    assert all(parameter.requires_grad for parameter in classifier.model.parameters())


@pytest.mark.parametrize("part", ["lora", "last-layers"])
def test_merging_changes_no_logit_and_a_seed_gives_the_same_adapters(folder, part):
    spec, _ = resolve(Condition(target=folder))
    found = []
    for _ in range(2):
        model = build(spec, texts=[], intents=sorted(WORDS)).model.eval()
        torch.manual_seed(5)
        ids = torch.randint(1, 40, (4, 6))
        with tuned(model, part):
            trained = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(trained, lr=0.05)
            for _ in range(3):
                optimizer.zero_grad()
                model(input_ids=ids, labels=torch.tensor([0, 1, 2, 0])).loss.backward()
                optimizer.step()
            inside = model(input_ids=ids).logits
        found.append(model(input_ids=ids).logits)
        assert torch.allclose(inside, found[-1], atol=1e-5)
    assert torch.equal(*found)


@pytest.mark.parametrize("part", ["lora", "last-layers"])
def test_a_model_that_cannot_be_tuned_is_left_as_it_was(folder, part):
    spec, _ = resolve(Condition(target=folder))
    model = build(spec, texts=[], intents=sorted(WORDS)).model
    model.counts = torch.nn.Parameter(torch.zeros(2, dtype=torch.long), requires_grad=False)
    before = {name: value.requires_grad for name, value in model.named_parameters()}
    with pytest.raises(RuntimeError, match="floating point"), tuned(model, part):
        pass
    assert {name: value.requires_grad for name, value in model.named_parameters()} == before
    assert not hasattr(model, "peft_config")


@pytest.mark.parametrize("defense", ["lora", "last-layers", "all-layers"])
def test_the_clipped_sum_of_a_part_is_that_of_the_loop_over_examples(folder, defense):
    spec, config = resolve(
        Condition(target=folder, defense=defense, privacy=Privacy(noise_multiplier=1.0))
    )
    classifier = build(spec, texts=[], intents=sorted(WORDS))
    for module in classifier.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    split = encode_split(classifier, SPLITS.train)
    if defense != "lora" and classifier.model.config.model_type == "gpt2":
        with pytest.raises(ModivaError, match="Conv1D"), tuned(classifier.model, config.part):
            PrivateSteps(classifier.model.train(), split, config)
        return
    torch.manual_seed(3)
    with tuned(classifier.model, config.part):
        for name, parameter in classifier.model.named_parameters():
            if ".lora_B" in name:  # zero at first, and then A has no gradient
                torch.nn.init.normal_(parameter)
        sums = []
        for method in ("dp", "loop"):
            private = replace(config.privacy, method=method)
            steps = PrivateSteps(classifier.model.train(), split, replace(config, privacy=private))
            steps.optimizer.zero_grad()
            steps.clip(torch.arange(0, 60, 3))
            sums.append([parameter.grad.clone() for parameter in steps.parameters])
            steps.close()
    assert len(sums[0]) == len(sums[1]) > 2
    for ours, theirs in zip(*sums, strict=True):
        assert ours.abs().max() > 0
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_private_training_moves_a_part_and_claims_its_epsilon(folder):
    moved, _ = fine_tuned(folder, "lora", Privacy(noise_multiplier=1.0))
    assert any(".0." in name for name in moved)
    assert not any("embedding" in name or "wte" in name for name in moved)


def test_a_head_alone_leaves_the_encoder(folder):
    moved, _ = fine_tuned(folder, "head-only")
    assert set(moved) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("defense", ["head-only", "last-layers", "lora", "all-layers"])
def test_targets_that_start_at_random_are_trained_whole(defense):
    with pytest.raises(ModivaError, match="for pretrained targets"):
        resolve(Condition(target="cnn", defense=defense))
