"""What given names do to the predictions of a model: each number beside its control."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from modiva.classifiers import Classifier, build, parse_target
from modiva.condition import Condition
from modiva.corpora import Corpus
from modiva.fairness.groupings import NAME, Grouped, by_name
from modiva.fairness.groups import shared_columns
from modiva.fairness.sensitivity import counterfactual_gaps, jacobian, prediction_sensitivity
from modiva.measure import columns
from modiva.swaps import NAMES
from modiva.training import evaluate, resolve, train_stack

SENTENCES = 100  # whose derivatives are taken, each with one name of each list
TAUGHT = 200  # training sentences that a model of the lists learns from, each with six names
BATCH = 16


def status_models(
    condition: Condition, corpus: Corpus, targets: Sequence[Classifier], device: str
) -> list[tuple[Classifier, float | None]]:
    """Train beside each target a model that tells the two lists of names; with its accuracy.

    It has the architecture and the words of its target, and learns from training sentences with a
    name (test sentences where there are none).

    Args:
        condition: of the targets.
        corpus: its sentences.
        targets: whose words they know.
        device: as of training.
    """
    spec = parse_target(condition.target, condition.size)
    plain = Condition(corpus=condition.corpus, target=condition.target, size=condition.size)
    _, config = resolve(plain, device=device)
    tested = _labelled(by_name(corpus))
    known = tuple(one for one in corpus.train if NAME.search(one.text))[:TAUGHT]
    taught = _labelled(by_name(replace(corpus, test=known))) or tested
    made = [
        build(spec, texts=sorted(own.tokenizer.get_vocab()), intents=NAMES, seed=number)
        for number, own in enumerate(targets)
    ]
    seeds = range(len(made))
    results = train_stack(made, [(taught, (), tested) for _ in seeds], config, seeds, False)
    accuracies = [result.test_accuracy for result in results]
    return list(zip(made, accuracies, strict=True))


def name_row(
    model: columns.ModelRow,
    target: Classifier,
    status: Classifier,
    status_accuracy: float | None,
    sentences: Sequence[Grouped],
) -> columns.NameRow:
    """Measure what names do to one model.

    Args:
        model: the row of the model.
        target: the model with its tokenizer.
        status: a model that tells the lists of names, whose tokens are those of the target.
        status_accuracy: on the same sentences.
        sentences: of the grouping `name`: each in order with the names of the first list, then
            with those of the second.
    """
    lists = len(NAMES)
    swaps = [one.group for one in sentences].index(sentences[-1].group)  # names of a list
    labels = target.model.config.label2id or {}
    chances = evaluate.probabilities(target, _pairs(sentences)).numpy()
    whole = chances.reshape(-1, lists, swaps, chances.shape[1])  # (N, 2, S, C)
    true = [int(labels[one.intent]) for one in sentences[:: lists * swaps]]
    gaps = counterfactual_gaps(whole, true)
    moved = _sensitivities(target, status, [one.text for one in sentences[::swaps]])
    return columns.NameRow(
        **shared_columns(model, columns.NameRow),
        name_sentences=gaps.sentences,
        gap_between=gaps.between,
        gap_within=gaps.within,
        flips_between=gaps.flips_between,
        flips_within=gaps.flips_within,
        signed_effect=gaps.signed,
        sensitivity_names=moved[0],
        sensitivity_status=moved[1],
        sensitivity_any=moved[2],
        status_accuracy=status_accuracy,
    )


def _sensitivities(target: Classifier, status: Classifier, texts: Sequence[str]) -> list[float]:
    """Return the mean sensitivity to names, to tokens of the status model, and to any token."""
    found = []
    chosen = texts[: 2 * SENTENCES]
    for start in range(0, len(chosen), BATCH):
        batch = list(chosen[start : start + BATCH])
        ids, mask, names, words = _encoded(target, batch)
        own = jacobian(target.model, ids, mask)  # (B, C, T, D)
        other_ids, other_mask, _, _ = _encoded(status, batch)
        telling = jacobian(status.model, other_ids, other_mask).abs().sum((1, 3)) * words
        rows = [prediction_sensitivity(own, weights) for weights in (names, telling, words)]
        found.append(torch.stack(rows, 1))  # (B, 3)
    return [float(mean) for mean in torch.cat(found).nanmean(0)]


def _encoded(classifier: Classifier, texts: list[str]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ids, mask, and which tokens are of a name and which of any word, (B, T) each."""
    coded = classifier.tokenizer(
        texts, padding=True, return_offsets_mapping=True, return_special_tokens_mask=True,
        return_tensors="pt",
    )  # fmt: skip
    words = (1 - coded["special_tokens_mask"]) * coded["attention_mask"]
    spans = [[found.span() for found in NAME.finditer(text)] for text in texts]
    names = torch.tensor([
        [any(a < end and start < b for a, b in own) for start, end in offsets]
        for own, offsets in zip(spans, coded["offset_mapping"].tolist(), strict=True)
    ])  # fmt: skip
    device = classifier.model.device
    parts = (coded["input_ids"], coded["attention_mask"], (names * words).float(), words.float())
    return tuple(part.to(device) for part in parts)


def _pairs(sentences: Sequence[Grouped]) -> list[tuple[str, str]]:
    return [(one.text, one.intent) for one in sentences]


def _labelled(sentences: Sequence[Grouped]) -> list[tuple[str, str]]:
    """Return sentences labelled with the list that their name is of."""
    return [(one.text, one.group) for one in sentences]
