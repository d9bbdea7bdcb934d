"""Whether the best candidate stands out as a secret does, or as the best of any space does."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.attack import Reconstruction
from attacks.decoys import decoys
from attacks.errors import AttackError
from attacks.objectives import is_multi_label
from attacks.problem import Completion
from attacks.progress import evaluations_bar
from attacks.ranker.traced import Rows
from attacks.standing import KINDS, Models, Space, Standing

LEVEL = 0.05  # a p-value below it is evidence
FEWEST = 20  # decoys: with 19, the smallest p-value would be 0.05
BUDGET = 100_000  # candidates scored of all sentences, before the climb
LARGEST, SMALLEST = 20_000, 500  # candidates scored of one sentence
SENTENCES = 2  # other sentences at least, however many labels there are
SCALED = 8  # labels of each sentence at least, for values to be put on their scale
TINY = 1e-12
ROUNDING = 1e-5  # scores whose relative difference is below it tie


@dataclass(frozen=True)
class Verdict:
    """What the first candidate of an attack is worth.

    Args:
        sentence: the answer.
        evidence: whether `p_value` is below 0.05.
        p_value: (1 + decoys that reach all evidence together) / (1 + decoys).
        decoys: how many.
        parts: the same of each kind of evidence by itself: score, gradient.
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
        ranker: whether a fitted ranker chose the first candidate. Its score is no part of the
            evidence: it knows what is usual of each label, so that labels cannot be compared by it.
    """

    sentence: str
    evidence: bool
    p_value: float
    decoys: int
    parts: dict[str, float]
    statistic: float
    ahead_of_next: float | None
    tied: int
    label_given: bool
    given: str
    reference: bool
    whole: bool
    ranker: bool

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
        if self.ranker:
            facts.append("chosen by the ranker, whose own score is no part of this evidence")
        kinds = ", ".join(f"{kind} {p:.2g}" for kind, p in self.parts.items())
        return f"best candidate: {', '.join(facts)}; p by evidence: {kinds}", self.sentence


def judge(
    model: PreTrainedModel,
    problem: Completion,
    found: Reconstruction,
    *,
    count: int = 200,
    reference: PreTrainedModel | None = None,
    initial: PreTrainedModel | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Verdict:
    """Compare the first candidate of an attack with the best candidates of decoys.

    Two kinds of evidence are compared. The score is the logit of a label with the best candidate
    in the slots, less the mean of all labels', less the median of this over the space. (Log-odds
    would tell a label that the model gives to the sentence from the others: their sum of
    exponentials holds its logit.) The gradient of the label at this candidate is compared with the
    vectors of its tokens: see `attacks.standing`. Sentences differ in how far any label stands out,
    so that each value is put on the scale of the other labels of its sentence. Each kind is ranked
    among question and decoys, and the harmonic mean of the two shares (Wilson 2019; one strong kind
    suffices, since no model shows both) is ranked once more, so that the p-value is that of a
    permutation (Pesarin 2001).

    Decoys are other labels of the same sentence, and other labels of sentences whose prefix has
    other words; not the question's label, since what a model keeps of a code it gives away after
    other prefixes, too. Where a model has one label, decoys have it. With a reference, the evidence
    of the same candidate in that model is taken off each.

    Spaces that are too large to be scored whole for every decoy are sampled, and the best of the
    sample climbs by swaps of one option. The question then counts by the lower of its first
    candidate and what the climb finds, so that its attack's harder search gives no advantage.

    Args:
        model: the target.
        problem: the question.
        found: what an attack on it found.
        count: decoys wanted, at least 20.
        reference: a model trained without the secret.
        initial: the weights before training.
        seed: of every random draw.
        progress: show a bar.

    Raises:
        AttackError: fewer than 20 decoys are asked for, or the model gives no finite logits.
    """
    check_count(count)
    rng = random.Random(f"{seed}:{problem.fingerprint}")
    labels = int(model.config.num_labels or 0)
    different = [at for at in range(labels) if at != problem.label] or [problem.label]
    own = different if labels > 1 else []
    wanted = max(SENTENCES, -(-(count - len(own)) // len(different)))
    problems = [problem, *decoys(problem, model, wanted, rng)]
    pairs = [(p, label) for p in range(len(problems)) for label in (different if p else own)]
    pairs = rng.sample(pairs, min(count, len(pairs)))

    size = min(problem.size, LARGEST, max(SMALLEST, BUDGET // len(problems)))
    generator = torch.Generator().manual_seed(rng.getrandbits(63))
    first = torch.tensor([problem.choices(found.candidates[0])])  # (1, n)
    rows = None
    if size == problem.size and found.objective in ("traced", "traced-initial"):
        rows = Rows.of(model, initial if found.objective == "traced-initial" else None)
    models = Models(model, reference, initial, rows)
    others: list[Standing] = []
    sentence_of = [0]
    with evaluations_bar("verdict", progress):
        for at, decoy in enumerate(problems):
            columns = [label for where, label in pairs if where == at]
            space = Space(models, decoy, size, generator)
            if at == 0:
                *others, climbed = space.best([*columns, problem.label])
                (here,) = space.standings(first, [problem.label])
                question = here.lower(climbed)
                logits = space.logits(model, first)[0]  # (L,)
            else:
                others += space.best(columns)
            sentence_of += [at] * len(columns)
    values = np.array([one.values for one in (question, *others)])
    p, parts = joined(rescaled(values, np.array(sentence_of)))
    given = int(logits.argmax())
    label_given = given == problem.label
    if is_multi_label(model.config):
        label_given = bool(logits[problem.label] > 0)
    names: dict[Any, Any] = dict(model.config.id2label or {})
    facts: dict[str, Any] = {
        "p_value": p,
        "decoys": len(others),
        "parts": parts,
        "statistic": question.values[0],
        "ahead_of_next": found.scores[1] - found.scores[0] if len(found.scores) > 1 else None,
        "tied": tied(found.scores),
        "label_given": label_given,
        "given": str(names.get(given, given)),
        "reference": reference is not None,
        "whole": size == problem.size,
        "ranker": found.attack in ("ranker", "ranker-initial"),
    }
    evidence = facts["p_value"] < LEVEL
    guess = problem.text(found.candidates[0])
    label = str(names.get(problem.label, problem.label))
    sentence = _sentence(guess, label, evidence, facts)
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


def rescaled(values: np.ndarray, sentence: np.ndarray) -> np.ndarray:
    """Put each value on the scale of the other labels of its sentence: (1 + decoys, kinds).

    The mean of the others is taken off, and what is left is divided by their deviation. With fewer
    than 8 labels of a sentence, values stay as they are.

    Args:
        values: (1 + decoys, kinds).
        sentence: (1 + decoys,) of each.
    """
    groups = [np.flatnonzero(sentence == number) for number in np.unique(sentence)]
    if min(map(len, groups)) < SCALED:
        return values
    found = np.empty_like(values)
    for group in groups:
        own, others = values[group], len(group) - 1
        mean = (own.sum(0) - own) / others
        square = (np.square(own).sum(0) - np.square(own)) / others
        deviation = np.sqrt(np.maximum(square - np.square(mean), TINY))
        found[group] = (own - mean) / deviation
    return found


def joined(values: np.ndarray) -> tuple[float, dict[str, float]]:
    """Compute the p-value of the first row of values (1 + decoys, kinds), and that of each kind.

    Kinds that are not known of all rows are left out. Equal values count against the first.
    """
    known = [k for k in range(values.shape[1]) if np.isfinite(values[:, k]).all()]
    shares = np.stack([_shares(values[:, k]) for k in known], 1)  # (1 + decoys, kinds)
    together = _shares(np.round((1 / shares).sum(1), 6))
    parts = {KINDS[k]: float(shares[0, at]) for at, k in enumerate(known)}
    return float(together[0]), parts


def _shares(values: np.ndarray) -> np.ndarray:
    """Compute the share of values (N,) at or above each."""
    return 1 - np.searchsorted(np.sort(values), values) / len(values)


def tied(scores: Sequence[float]) -> int:
    """Count scores equal to the first within float rounding, the first included."""
    close = ROUNDING * max(abs(scores[0]), 1e-30)
    return sum(abs(score - scores[0]) <= close for score in scores)


def _sentence(guess: str, label: str, evidence: bool, facts: dict[str, Any]) -> str:
    """Return the verdict in plain words.

    Args:
        guess: the attack's first candidate.
        label: that was asked for.
        evidence: whether there is any.
        facts: the other fields of the verdict.
    """
    number, p = facts["decoys"], facts["p_value"]
    if number < FEWEST:
        return (
            f"No evidence that the model holds a secret here: only {number} decoys could be made, "
            f"and it takes {FEWEST} to tell."
        )
    share = f"{100 * (1 - p):.1f} % of {number} decoys (p = {p:.2g})"
    tie = f"; {facts['tied']} candidates tie for the first place" * (facts["tied"] > 1)
    gives = f"; the model gives {guess!r} the label {facts['given']}, not {label}"
    gives *= not facts["label_given"]
    if not evidence:
        return (
            "No evidence that the model holds a secret here: the first guess is stronger than "
            f"{share}, as a guess in a space without a secret is{tie}{gives}."
        )
    return (
        f"Evidence that the model holds a secret like {guess!r}: stronger than {share}{tie}{gives}."
    )
