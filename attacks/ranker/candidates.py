"""Which candidates a ranker looks at, and all that it computes of each.

A space that is small enough is looked at whole, else the candidates of the highest margin. Where
a space cannot be enumerated, the margin ranks many a secret too low to be among those. The utility
of a ranker is a better guide, so a climb follows it: the neighbours of the candidates of the
highest utility are looked at, then those of the best so far, until the best have no new one.
"""

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, replace
from itertools import product

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.frontier import candidate_pool, expand
from attacks.neighbours import changes, exchanges, move, reordered
from attacks.oracle import Oracle
from attacks.pool import Choices
from attacks.problem import Completion
from attacks.ranker.evidence import (
    Features,
    gradient_features,
    margin_features,
    option_features,
    row_evidence,
    shape_features,
    sharpness_features,
    slot_gradients,
    slot_vectors,
    standardise,
)
from attacks.ranker.margins import ENUMERATED, Margins, margin_oracle
from attacks.ranker.movement import (
    Movement,
    movement_features,
    replay_features,
    weight_features,
)
from attacks.ranker.pieces import piece_features
from attacks.vectors import input_table, vocabulary_vectors

ROUNDS = 10  # of a climb
KEPT = 1_000  # candidates beside the pool that stay from round to round
SHORTLIST = 32  # options tried in a larger slot, by each kind of evidence


@dataclass(frozen=True)
class Effort:
    """How many candidates are looked at, and how closely: a ranker keeps what it was fitted with.

    Args:
        pool: candidates of a space that can be enumerated.
        beyond: candidates of a larger space, from which a climb starts.
        width: candidates whose neighbours are looked at in a round of a climb.
        second: of the best candidates that get a second look.
        closely: whether the second look replays training and takes the first features once more;
            else it takes the gradients of weights alone, as where shadow models are few.

    Raises:
        ValueError: a number that is not a whole number of at least 1.
    """

    pool: int
    beyond: int
    width: int
    second: int
    closely: bool

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            kind = bool if each.name == "closely" else int
            if type(value) is not kind or (kind is int and value < 1):
                raise ValueError(f"{each.name} is {value!r}")

    def candidates(self, problem: Completion) -> int:
        """Return how many candidates of a problem are looked at."""
        return self.pool if problem.size <= ENUMERATED else self.beyond


SMALL = Effort(pool=10_000, beyond=1_000, width=8, second=200, closely=True)
LARGE = Effort(pool=400, beyond=400, width=2, second=30, closely=False)
LARGE_WEIGHTS = 2_000_000  # outside of the embeddings; beyond, gradients take most of the time


def effort_for(model: PreTrainedModel) -> Effort:
    """Choose the effort by the number of weights outside of the embeddings."""
    table = input_table(model)
    embeddings = {id(weight) for weight in table.parameters()} if table else set()
    weights = sum(w.numel() for w in model.parameters() if id(w) not in embeddings)
    return LARGE if weights > LARGE_WEIGHTS else SMALL


@dataclass(frozen=True, eq=False)
class Described:
    """Candidates of one problem and their features, standardised.

    Args:
        choices: (K, n) option of each slot.
        features: (K, F).
        names: of the features (F).
        evaluations: model evaluations spent on the problem so far.
        seconds: time spent so far.
        pooled: how many of the first rows are the pool, on whose scale the features are.
    """

    choices: Tensor
    features: Tensor
    names: tuple[str, ...]
    evaluations: int
    seconds: float
    pooled: int

    def column(self, name: str) -> Tensor:
        """Return one feature (K,)."""
        return self.features[:, self.names.index(name)]

    def joined(self, features: Features) -> "Described":
        """Add features (K,) each."""
        matrix, names = standardise(features, self.pooled)
        return replace(
            self, features=torch.cat([self.features, matrix], 1), names=(*self.names, *names)
        )


class Describer:
    """Looks at candidates of one problem under one model; what they share is computed once.

    Args:
        oracle: of one problem, with the objective `margin`, inside its context.
        generator: of every random draw.
        initial: the weights before training, where the attacker knows them.
        effort: how many candidates are looked at; None chooses by the model.
    """

    def __init__(
        self,
        oracle: Oracle,
        generator: torch.Generator,
        initial: PreTrainedModel | None = None,
        effort: Effort | None = None,
    ) -> None:
        self._started = time.perf_counter()
        self.oracle = oracle
        self.problem = oracle.problems[0]
        self.effort = effort or effort_for(oracle.model)
        self._generator = generator
        self.margins = Margins(oracle, generator)
        self._groups = slot_groups(self.problem)
        self._movement = None if initial is None else Movement(oracle, initial)
        self.evidence = self._movement and self._movement.evidence()

    def pool(self) -> Tensor:
        """Choose candidates (K, n): the whole space if it is small, else the most promising."""
        size = self.effort.candidates(self.problem)
        if self.problem.size <= size:
            return self.margins.sample
        if not self.margins.whole:
            (choices,) = candidate_pool(self.oracle, [self._generator], size)
            return choices.cpu()
        everything = self.margins.sample
        half = size // 2 if self.evidence else size
        kept = [self.margins.sample_margins.topk(half).indices]
        if self.evidence:
            named = option_features(self.evidence, everything, self._groups, tag="moved")
            # Candidates of the same words tie: the margin orders them.
            order = named["moved_present"] + 1e-6 * self.margins.sample_margins
            kept.append(order.topk(size - half).indices)
        return everything[torch.cat(kept).unique()]

    def look(self, choices: Tensor, extra: Tensor | None = None) -> Described:
        """Compute features of candidates (K, n) and of more (E, n), on the scale of the former.

        Candidates among the latter that are there already are left out.
        """
        pooled = len(choices)
        if extra is not None and len(extra):
            choices = torch.cat([choices, absent(extra, choices)])
        vocabulary = vocabulary_vectors(self.oracle.model).norm(dim=1).cpu()
        features: Features = margin_features(self.margins, choices)
        if self.problem.placed:
            gradients = slot_gradients(self.oracle, choices)
            vectors = slot_vectors(self.oracle)
            rows = row_evidence(vectors, vocabulary, self.oracle.layout.positions.shape[2])
            features |= gradient_features(gradients, vectors, choices, self._groups)
            features |= sharpness_features(gradients)
            features |= option_features(rows, choices, self._groups, tag="row")
            if self._movement is not None:
                features |= movement_features(self._movement, choices, self._groups, gradients)
        else:
            features |= piece_features(self.oracle, choices, vocabulary)
        features |= shape_features(choices, self._groups)
        matrix, names = standardise(features, pooled)
        seconds = time.perf_counter() - self._started
        return Described(choices, matrix, names, self.oracle.evaluations[0], seconds, pooled)

    def climb(self, pool: Tensor, utility: Callable[[Described], Tensor]) -> Described:
        """Climb by a utility from a pool; return the pool and what was found, on the pool's scale.

        Args:
            pool: choices (K, n) to start from.
            utility: (K,) of described candidates; higher is likelier.
        """
        described = self.look(pool)
        scores = utility(described)
        options = self.shortlist()

        def best(expanded: AbstractSet[Choices]) -> list[Choices]:
            rows = scores.topk(min(self.effort.width, len(scores))).indices
            found = map(tuple, described.choices[rows].tolist())
            return [candidate for candidate in found if candidate not in expanded]

        def look(centres: Sequence[Choices]) -> None:
            nonlocal described, scores
            near = absent(neighbours(self.problem, centres, options), described.choices)
            beside = described.choices[described.pooled :]
            if len(beside) > KEPT:
                beside = beside[scores[described.pooled :].topk(KEPT).indices]
            described = self.look(pool, torch.cat([beside, near]))
            scores = utility(described)

        expand(best, look, ROUNDS)
        return described

    def shortlist(self) -> list[list[int]]:
        """List the options to try in each slot: all of a small one, else those of most evidence."""
        evidence = [self.margins.effects(), *([self.evidence] if self.evidence else [])]
        sizes = self.problem.sizes
        chosen = [dict.fromkeys(range(size) if size <= SHORTLIST else ()) for size in sizes]
        for slots, (slot, tried) in product(evidence, enumerate(chosen)):
            if sizes[slot] > SHORTLIST:
                tried.update(dict.fromkeys(slots[slot].topk(SHORTLIST).indices.tolist()))
        return [list(tried) for tried in chosen]


def second_look(
    model: PreTrainedModel,
    problem: Completion,
    initial: PreTrainedModel,
    described: Described,
    best: Tensor,
    weights: Tensor,
    effort: Effort,
) -> Described:
    """Describe the best candidates by the first utility and by what costs too much for all.

    Args:
        model: the target.
        problem: of the candidates.
        initial: the weights before training.
        described: the candidates.
        best: rows (k,) of those to look at again.
        weights: (F,) of the first features.
        effort: how closely.
    """
    first, choices = described.features[best], described.choices[best]
    with margin_oracle(model, problem) as oracle:
        movement = Movement(oracle, initial)
        found = weight_features(movement, choices)
        if effort.closely:
            found |= replay_features(movement, choices)
        evaluations = oracle.evaluations[0]
    matrix, names = standardise(found)
    parts, every = [(first @ weights)[:, None], matrix], ("first_utility", *names)
    if effort.closely:
        parts.insert(1, first)
        every = ("first_utility", *described.names, *names)
    return Described(choices, torch.cat(parts, 1), every, evaluations, 0.0, len(best))


def neighbours(
    problem: Completion, centres: Sequence[Choices], options: Sequence[Sequence[int]]
) -> Tensor:
    """List the candidates (m, n) beside centres.

    One slot is changed, two of the same options are exchanged, or the word of one is moved to
    another place past slots of the same options: models lose order more easily than words.
    """
    orders = []
    for (i, j), exchange in exchanges(problem.options).items():
        orders.append(exchange)
        if len(set(problem.options[i : j + 1])) == 1:
            slots = len(problem.options)
            orders += [move(slots, i, j), move(slots, j, i)]
    found: dict[Choices, None] = {}
    for at in centres:
        found |= dict.fromkeys(changes(at, options))
        found |= dict.fromkeys(reordered(at, order) for order in orders)
    return torch.tensor(list(found))


def absent(choices: Tensor, present: Tensor) -> Tensor:
    """Return the distinct rows of choices (m, n) that `present` (K, n) lacks, in order."""
    known = set(map(tuple, present.tolist()))
    found = [row for row in dict.fromkeys(map(tuple, choices.tolist())) if row not in known]
    return torch.tensor(found, dtype=choices.dtype).view(len(found), choices.shape[1])


def slot_groups(problem: Completion) -> Tensor:
    """Tell which slots hold the same options, (n, n) bool."""
    options = problem.options
    return torch.tensor([[one == other for other in options] for one in options])
