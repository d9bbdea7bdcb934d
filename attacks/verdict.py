"""Whether the best candidate stands out as a secret does, or as the best of any space does."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.attack import Reconstruction
from attacks.decoys import decoys
from attacks.errors import AttackError
from attacks.objectives import OBJECTIVES, is_multi_label, label_margins
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.search.exhaustive import unravel

LEVEL = 0.05  # a p-value below it is evidence
FEWEST = 20  # decoys: with 19, the smallest p-value would be 0.05
BUDGET = 100_000  # candidates scored of all sentences, before the climb
LARGEST, SMALLEST = 20_000, 500  # candidates scored of one sentence
SENTENCES = 2  # other sentences at least, however many labels there are
SWEEPS, SWAPS = 10, 16  # of the climb in spaces that are not scored whole
ROUNDING = 1e-5  # scores whose relative difference is below it tie


@dataclass(frozen=True)
class Verdict:
    """What the first candidate of an attack is worth.

    Args:
        sentence: the answer.
        evidence: whether `p_value` is below 0.05.
        p_value: (1 + decoys that reach the statistic) / (1 + decoys).
        decoys: how many.
        statistic: the label's logit with the first candidate, less the mean of all labels', less
            the median of this over the space; and less the same in the reference model where there
            is one.
        ahead_of_next: the second candidate's score less the first's, in the attack's scores; None
            where there is no second.
        tied: candidates of the attack whose scores equal the first's, the first included.
        label_given: whether the model gives the label to the first candidate's sentence.
        given: the label that it gives.
        reference: whether a reference model was taken into account.
        whole: whether all candidates were scored; else a sample, and what a search found.
    """

    sentence: str
    evidence: bool
    p_value: float
    decoys: int
    statistic: float
    ahead_of_next: float | None
    tied: int
    label_given: bool
    given: str
    reference: bool
    whole: bool

    def lines(self) -> tuple[str, str]:
        """Return the facts and the sentence, as printed under a table."""
        facts = [f"its label's logit {self.statistic:.3g} above the median of the space"]
        if self.ahead_of_next is not None:
            facts.append(f"{self.ahead_of_next:.3g} ahead of the next by score")
        if self.tied > 1:
            facts.append(f"{self.tied} tie for the first place")
        facts.append(f"the model gives it the label {self.given}")
        if self.reference:
            facts.append("less the reference's")
        if not self.whole:
            facts.append("by a sample of the space and a search")
        return f"best candidate: {', '.join(facts)}", self.sentence


def judge(
    model: PreTrainedModel,
    problem: Completion,
    found: Reconstruction,
    *,
    count: int = 200,
    reference: PreTrainedModel | None = None,
    seed: int = 0,
) -> Verdict:
    """Compare the first candidate of an attack with the best candidates of decoys.

    The statistic is the logit of a label with the best candidate in the slots, less the mean of all
    labels', less the median of this over the space. (Log-odds would tell a label that the model
    gives to the sentence from the others: their sum of exponentials holds its logit.) Decoys are
    other labels of the same sentence, and other labels of sentences whose prefix has other words;
    not the question's label, since what a model keeps of a code it gives away after other prefixes,
    too. Where a model has one label, decoys have it. With a reference, the same statistic at the
    same candidate in that model is taken off each.

    Spaces that are too large to be scored whole for every decoy are sampled, and the best of the
    sample climbs by swaps of one option. The question then counts by the lower of its first
    candidate and what the climb finds, so that its attack's harder search gives no advantage.

    Args:
        model: the target.
        problem: the question.
        found: what an attack on it found.
        count: decoys wanted, at least 20.
        reference: a model trained without the secret, or the one before training.
        seed: of every random draw.

    Raises:
        AttackError: fewer than 20 decoys are asked for, or the model gives no finite logits.
    """
    check_count(count)
    rng = random.Random(f"{seed}:{problem.fingerprint}")
    labels = int(model.config.num_labels or 0)
    others = [label for label in range(labels) if label != problem.label] or [problem.label]
    own = others if labels > 1 else []
    wanted = max(SENTENCES, -(-(count - len(own)) // len(others)))
    problems = [problem, *decoys(problem, model, wanted, rng)]
    pairs = [(p, label) for p in range(len(problems)) for label in (others if p else own)]
    pairs = rng.sample(pairs, min(count, len(pairs)))

    size = min(problem.size, LARGEST, max(SMALLEST, BUDGET // len(problems)))
    generator = torch.Generator().manual_seed(rng.getrandbits(63))
    first = torch.tensor([problem.choices(found.candidates[0])])  # (1, n)
    values = []
    for p, decoy in enumerate(problems):
        columns = [label for at, label in pairs if at == p]
        space = _Space(model, reference, decoy, size, generator)
        values += space.best([*columns, *([] if p else [problem.label])])
        if p == 0:
            climbed, here = values.pop(), space.lift(first, [problem.label])[0]
            statistic = min(climbed, here)
            logits = space.logits(model, first)[0]  # (L,)
    given = int(logits.argmax())
    label_given = given == problem.label
    if is_multi_label(model.config):
        label_given = bool(logits[problem.label] > 0)
    names: dict[Any, Any] = dict(model.config.id2label or {})
    facts: dict[str, Any] = {
        "p_value": p_value(statistic, values),
        "decoys": len(values),
        "statistic": statistic,
        "ahead_of_next": found.scores[1] - found.scores[0] if len(found.scores) > 1 else None,
        "tied": tied(found.scores),
        "label_given": label_given,
        "given": str(names.get(given, given)),
        "reference": reference is not None,
        "whole": size == problem.size,
    }
    evidence = facts["p_value"] < LEVEL
    text = problem.text(found.candidates[0])
    label = str(names.get(problem.label, problem.label))
    sentence = _sentence(text, label, evidence, facts)
    return Verdict(sentence=sentence, evidence=evidence, **facts)


def check_count(count: int) -> None:
    """Raise AttackError for fewer decoys than evidence takes."""
    if count < FEWEST:
        raise AttackError(
            f"--decoys is {count}, must be at least {FEWEST}: with fewer no p-value is below 0.05"
        )


def check_reference(
    name: str,
    reference: PreTrainedModel,
    its: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Raise AttackError where a reference has other classes or other tokens than the target."""
    if dict(reference.config.id2label or {}) != dict(model.config.id2label or {}):
        raise AttackError(
            f"--reference {name} has other labels than the target: take one of the same classes "
            "in the same order"
        )
    if its.get_vocab() != tokenizer.get_vocab():
        raise AttackError(
            f"--reference {name} has another tokenizer than the target: take a model that was "
            "trained with the same one"
        )


def p_value(statistic: float, decoys: Sequence[float]) -> float:
    """Return (1 + decoys at or above the statistic) / (1 + decoys): valid under exchange."""
    return (1 + sum(value >= statistic for value in decoys)) / (1 + len(decoys))


def tied(scores: Sequence[float]) -> int:
    """Count scores equal to the first within float rounding, the first included."""
    close = ROUNDING * max(abs(scores[0]), 1e-30)
    return sum(abs(score - scores[0]) <= close for score in scores)


class _Space:
    """The candidates of one sentence that are scored for all labels: all of them, or a sample."""

    def __init__(
        self,
        model: PreTrainedModel,
        reference: PreTrainedModel | None,
        problem: Completion,
        size: int,
        generator: torch.Generator,
    ) -> None:
        self.model, self.reference, self.problem = model, reference, problem
        self.generator = generator
        self.whole = size == problem.size
        if self.whole:
            self.choices = unravel(torch.arange(size), problem.sizes)  # (K, n)
        else:
            drawn = [torch.randint(s, (size,), generator=generator) for s in problem.sizes]
            self.choices = torch.stack(drawn, dim=1)
        logits = self.logits(model, self.choices)
        self.margins = label_margins(logits, model.config)  # (K, L)
        self.median = self._contrast(self.choices, logits).median(0).values  # (L,)

    def logits(self, model: PreTrainedModel, choices: Tensor) -> Tensor:
        """Compute logits (N, L) of choices (N, n)."""
        with Oracle(model, [self.problem], OBJECTIVES["margin"]) as oracle:
            return oracle.logits(torch.zeros(len(choices), dtype=torch.long), choices).double()

    def _contrast(self, choices: Tensor, logits: Tensor) -> Tensor:
        """Centre logits (N, L) of choices over labels, and subtract a reference's."""
        found = _centred(logits)
        if self.reference is not None:
            found = found - _centred(self.logits(self.reference, choices))
        return found

    def best(self, labels: Sequence[int]) -> list[float]:
        """Return the statistic of the best candidate of each label."""
        if not labels:
            return []
        column = torch.tensor(labels)
        top, at = self.margins[:, column].max(0)
        best = self.choices[at]  # (A, n)
        moving = torch.arange(0 if self.whole else len(labels))
        for _ in range(SWEEPS):
            if not len(moving):
                break
            trial, owner = self._swaps(best[moving])
            margins = label_margins(self.logits(self.model, trial), self.model.config)
            score = margins[torch.arange(len(trial)), column[moving[owner]]]
            risen = []
            for place, row in enumerate(moving.tolist()):
                mine = (owner == place).nonzero().squeeze(1)
                up = mine[score[mine].argmax()]
                if score[up] > top[row]:
                    top[row], best[row] = score[up], trial[up]
                    risen.append(row)
            moving = torch.tensor(risen, dtype=torch.long)
        return self.lift(best, labels)

    def lift(self, choices: Tensor, labels: Sequence[int]) -> list[float]:
        """Compute the statistic of choices (A, n), each for its label."""
        lifts = self._contrast(choices, self.logits(self.model, choices)) - self.median
        return [float(lifts[row, label]) for row, label in enumerate(labels)]

    def _swaps(self, choices: Tensor) -> tuple[Tensor, Tensor]:
        """Return choices (M, n) one slot away from rows (A, n), and each one's row (M,)."""
        trials, owners = [], []
        for slot, size in enumerate(self.problem.sizes):
            options = torch.randperm(size, generator=self.generator)[:SWAPS]
            rows = torch.arange(len(choices)).repeat_interleave(len(options))
            trial = choices[rows].clone()
            trial[:, slot] = options.repeat(len(choices))
            trials.append(trial)
            owners.append(rows)
        return torch.cat(trials), torch.cat(owners)


def _centred(logits: Tensor) -> Tensor:
    """Subtract the mean of each row from logits (N, L); a single label stays as it is."""
    return logits - logits.mean(1, keepdim=True) if logits.shape[1] > 1 else logits


def _sentence(text: str, label: str, evidence: bool, facts: dict[str, Any]) -> str:
    """Return the verdict in plain words."""
    number, p = facts["decoys"], facts["p_value"]
    if number < FEWEST:
        return (
            f"No evidence that the model holds a secret here: only {number} decoys could be made, "
            f"and it takes {FEWEST} to tell."
        )
    share = f"{100 * (1 - p):.1f} % of {number} decoys (p = {p:.2g})"
    tie = f"; {facts['tied']} candidates tie for the first place" * (facts["tied"] > 1)
    gives = f"; the model gives {text!r} the label {facts['given']}, not {label}"
    gives *= not facts["label_given"]
    if not evidence:
        return (
            "No evidence that the model holds a secret here: the first guess is stronger than "
            f"{share}, as a guess in a space without a secret is{tie}{gives}."
        )
    return (
        f"Evidence that the model holds a secret like {text!r}: stronger than {share}{tie}{gives}."
    )
