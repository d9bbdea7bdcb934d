"""Is a sentence among the training data of a checkpoint? Members against non-members, as they are.

References are models of the checkpoint's architecture, each trained on the non-members that a coin
gives it. No reference holds a member, so that only offline attacks can be calibrated. Where a coin
gives a non-member to a reference, that reference does not judge it; coins that decide nothing are
tossed for members alike, so that both sides are judged by as many.
"""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from tqdm import tqdm
from transformers import PreTrainedModel

from attacks import AttackError
from attacks.guard import quiet
from attacks.loading import load_weights
from attacks.objectives import is_multi_label
from canaries.reading import quote
from modiva.classifiers import Classifier, TargetClassifier
from modiva.condition import Condition
from modiva.counts import count, plural
from modiva.errors import ModivaError
from modiva.measure import membership
from modiva.natural.labels import resolve_labels
from modiva.training import evaluate, resolve, resolve_device, train_stack

SIDES = ("members", "non-members")
LEVEL = 0.05
_NAMES = {
    "loss": "loss alone",
    "lira-offline": "LiRA, offline",
    "rmia-offline": "RMIA, offline",
}
FEWEST = 10  # sentences of a side
DIFFERENT = 1e-3  # p-value below which the labels of the two sides are said to differ
NARROW = 50  # hidden size up to which the defaults are those of small targets

Pair = tuple[str, str]


@dataclass(frozen=True)
class Inferred:
    """How well members are told from non-members.

    Args:
        rates: of each attack: AUC, TPR at 1 % and 0.1 % FPR with the FPR that was realised, each
            with its interval over records, and the p-value of no difference (one-sided).
        members: sentences on their side alone.
        nonmembers: the same.
        references: how many were trained.
        notes: what was left out, and how to read the rates.
    """

    rates: dict[str, dict[str, Any]]
    members: int
    nonmembers: int
    references: int
    notes: tuple[str, ...]

    @property
    def attack(self) -> str:
        """The attack of the verdict, fixed beforehand: LiRA where there are references."""
        return "lira-offline" if "lira-offline" in self.rates else "loss"

    def table(self) -> str:
        """Return the rates as a table, with the verdict and the notes under it."""
        lines = [["attack", "AUC", "95 %", "TPR", "at FPR", "p"]]
        for attack, rates in self.rates.items():
            tpr = [rates["tpr_1"], rates["fpr_1"]]
            ends = [rates["auc_lower"], rates["auc_upper"]]
            lines.append([
                _NAMES[attack],
                f"{rates['auc']:.3f}",
                "–".join(f"{end:.3f}" for end in ends),
                *("–" if value is None else f"{100 * value:.1f} %" for value in tpr),
                f"{rates['p_value']:.2g}",
            ])  # fmt: skip
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )
        hint = () if self.references else ("--references 8 calibrates each sentence.",)
        return "\n".join([f"{text}\n", self._verdict(), *self.notes, *hint])

    def _verdict(self) -> str:
        rates, name = self.rates[self.attack], _NAMES[self.attack]
        who = f"{count(self.members)} members and {count(self.nonmembers)} non-members"
        if rates["p_value"] < LEVEL:
            return (
                f"The checkpoint tells {who} apart: a member scores above a non-member in "
                f"{100 * rates['auc']:.0f} % of pairs ({name}; 50 % is guessing)."
            )
        return (
            f"No evidence that the checkpoint tells {who} apart ({name}, p = "
            f"{rates['p_value']:.2g}). That is no proof that it does not: a stronger attack may."
        )


def infer_members(
    classifier: Classifier,
    members: Sequence[Pair],
    nonmembers: Sequence[Pair],
    *,
    references: int = 0,
    initial: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> Inferred:
    """Tell sentences that a checkpoint was trained on from others of the same source.

    Args:
        classifier: the checkpoint, in evaluation mode.
        members: texts and labels that it was trained on.
        nonmembers: the same of the same source that it was not trained on.
        references: how many to train; 0 compares the loss alone.
        initial: the public checkpoint that it was fine-tuned from, which references start from;
            None starts from random weights of its configuration.
        epochs: of references; None takes the default of the architecture.
        seed: of every random draw.
        device: "auto", "cpu" or "cuda".
        progress: show a bar.

    Raises:
        ModivaError: sides that are the same or too small, one class, unknown labels.
        AttackError: a checkpoint to start from that does not fit.
    """
    sides, notes = _sides(classifier.model, members, nonmembers)
    records = [*sides[0], *sides[1]]
    own = np.arange(len(records)) < len(sides[0])  # (n,) members
    classifier.model.to(resolve_device(device))  # type: ignore[arg-type]
    signal = evaluate.confidences(classifier, records)[None]  # (1, n)
    scores = {"loss": signal}
    if references:
        coins = np.random.default_rng([seed, 4]).random((references, len(records))) < 0.5  # (R, n)
        found = _references(
            classifier, records, coins & ~own, initial, epochs,
            seed=seed, device=device, progress=progress,
        )  # fmt: skip
        none = np.empty((references, 0))
        judges = membership.Signals(found, coins, none)
        target = membership.Signals(signal, own[None], none[:1])
        scores |= membership.attack_scores(target, judges, ("lira-offline",))
        scores["rmia-offline"] = membership.log_ratios(signal, found, coins)
        notes += _about_references(classifier.model, initial)
    rates = {}
    for attack, values in scores.items():
        told = membership.pool_rates(values, own[None], seed=seed)
        test = stats.mannwhitneyu(values[0, own], values[0, ~own], alternative="greater")
        rates[attack] = {name: told[name] for name in told if "balanced" not in name}
        rates[attack]["p_value"] = float(test.pvalue)
    return Inferred(rates, len(sides[0]), len(sides[1]), references, tuple(notes))


def _sides(
    model: PreTrainedModel, members: Sequence[Pair], nonmembers: Sequence[Pair]
) -> tuple[list[list[Pair]], list[str]]:
    """Return the distinct sentences that stand on one side alone, with the model's label names."""
    if is_multi_label(model.config):
        raise ModivaError(
            "the checkpoint gives a sentence several labels (multi_label_classification): "
            "membership is told by the one label of a sentence; give a checkpoint that names one"
        )
    found = []
    for side, pairs in zip(SIDES, (members, nonmembers), strict=True):
        named = _labelled(model, side, pairs)
        found.append({" ".join(text.split()).casefold(): (text, name) for text, name in named})
    shared = found[0].keys() & found[1].keys()
    if shared and len(shared) in (len(found[0]), len(found[1])):
        same = "the same sentences" if len(found[0]) == len(found[1]) else "one part of the other"
        raise ModivaError(
            f"members and non-members are {same}: non-members must be sentences that the "
            "checkpoint was not trained on, such as the test split"
        )
    notes = []
    if shared:
        notes.append(f"{plural(len(shared), 'sentence')} in both files, left out of both.")
    sides = [[pair for key, pair in side.items() if key not in shared] for side in found]
    for side, pairs in zip(SIDES, sides, strict=True):
        if len(pairs) < FEWEST:
            raise ModivaError(
                f"{plural(len(pairs), 'sentence')} of {side} alone: give {FEWEST} or more"
            )
        labels = {label for _, label in pairs}
        if len(labels) == 1:
            raise ModivaError(
                f"all {count(len(pairs))} {side} have the label {quote(*labels)}: an attack would "
                "tell labels apart, not members; give sentences of two labels or more on each side"
            )
    if (p := _labels_differ(sides)) < DIFFERENT:
        notes.append(
            f"The labels of the two files differ (p = {p:.1g}): part of what is told may be the "
            "label and not the membership. Draw both files from one source."
        )
    return sides, notes


def _labelled(model: PreTrainedModel, side: str, pairs: Sequence[Pair]) -> list[Pair]:
    """Return texts with the names that the model gives their labels."""
    names = {int(index): str(name) for index, name in (model.config.id2label or {}).items()}
    labels = (label for _, label in pairs)
    known = resolve_labels(model, labels, checkpoint="checkpoint", side=side)
    return [(text, names[known[label]]) for text, label in pairs]


def _labels_differ(sides: Sequence[Sequence[Pair]]) -> float:
    """Return the p-value of labels that are spread alike over both sides (chi-squared)."""
    counts = [Counter(label for _, label in side) for side in sides]
    labels = sorted(counts[0] | counts[1])
    table = [[own[label] for label in labels] for own in counts]
    return float(stats.chi2_contingency(table).pvalue)


def _condition(model: PreTrainedModel, epochs: int | None) -> Condition:
    """Return a condition whose training settings are the defaults of the architecture."""
    own = isinstance(model, TargetClassifier)
    small = getattr(model.config, "hidden_size", 0) <= NARROW
    return Condition(
        target="cnn" if own else "minilm", size="small" if small else "full", epochs=epochs
    )


def _references(
    classifier: Classifier,
    records: Sequence[Pair],
    held: NDArray[np.bool_],
    initial: str | None,
    epochs: int | None,
    *,
    seed: int,
    device: str,
    progress: bool,
) -> NDArray[np.float64]:
    """Train one reference per row of `held` (R, n) and return its signals (R, n).

    References of our own architectures are trained side by side. Others are trained one by one, so
    that no more than one is held in memory.
    """
    own = isinstance(classifier.model, TargetClassifier)
    _, config = resolve(_condition(classifier.model, epochs), order_seed=seed, device=device)
    numbers = range(seed, seed + len(held))
    width = max(1, len(held)) if own else 1
    found = []
    with tqdm(
        total=len(held), desc="references", disable=None if progress else True, leave=False
    ) as bar:
        for start in range(0, len(held), width):
            group = numbers[start : start + width]
            references = [
                Classifier(_fresh(classifier.model, initial, number), classifier.tokenizer)
                for number in group
            ]
            data = [
                ([record for record, inside in zip(records, row, strict=True) if inside], (), ())
                for row in held[start : start + width]
            ]
            train_stack(references, data, config, seeds=group, progress=False)
            found += [evaluate.confidences(reference, records) for reference in references]
            bar.update(len(group))
    return np.stack(found)


def _fresh(model: PreTrainedModel, initial: str | None, seed: int) -> PreTrainedModel:
    """Return a model of the same configuration that has seen no member."""
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        config = copy.deepcopy(model.config)
        if initial is None:
            fresh: PreTrainedModel = type(model)(config)
            # Tables of spellings and the like belong to the tokenizer.
            fresh.load_state_dict(
                {**fresh.state_dict(), **dict(model.named_buffers())}, strict=False
            )
            return fresh
        fresh, taken = load_weights(type(model), initial, config)
    if len(taken.fresh) > len(fresh.state_dict()) // 2:
        raise AttackError(
            f"--initial {initial} is not what the checkpoint was fine-tuned from: it lacks "
            f"{len(taken.fresh)} of its {len(fresh.state_dict())} weights"
        )
    return fresh


def _about_references(model: PreTrainedModel, initial: str | None) -> list[str]:
    """List what references can tell, and what weakens them."""
    notes = [
        "References hold no member: of calibrated attacks only offline ones are possible, which "
        "are weaker than those of an audit with a pool (modiva audit --membership)."
    ]
    if initial is None and not isinstance(model, TargetClassifier):
        notes.append(
            "References started from random weights: if the checkpoint was fine-tuned from a "
            "public one, they are worse judges than they could be; give it by --initial. What is "
            "told stays told; what is not may be."
        )
    return notes
