"""Which candidates a ranker looks at, and all that it knows of each."""

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.frontier import candidate_pool
from attacks.oracle import Oracle
from attacks.problem import Completion
from attacks.ranker.features import (
    Features,
    gradient_features,
    margin_features,
    option_features,
    row_evidence,
    shape_features,
    sharpness_features,
    standardise,
)
from attacks.ranker.gradients import slot_gradients, slot_vectors
from attacks.ranker.initial import (
    decay,
    initial_features,
    margin_oracle,
    moved_rows,
    movement_evidence,
)
from attacks.ranker.margins import Margins
from attacks.vectors import input_table, vocabulary_vectors

# Candidates that are looked at closely, by the size of the target: gradients cost the time.
POOL_SMALL, POOL_LARGE = 10_000, 400
SMALL = 2_000_000  # weights outside of the embeddings
POOL_BEYOND = 1_000  # of a space too large to enumerate, from which a climb starts


@dataclass(frozen=True, eq=False)
class Described:
    """Candidates of one problem and their features, standardised.

    Args:
        choices: (K, n) option of each slot.
        features: (K, F).
        names: of the features (F).
        evaluations: model evaluations spent.
        seconds: time spent.
        pooled: how many of the first rows are the pool, on whose scale the features are.
    """

    choices: Tensor
    features: Tensor
    names: tuple[str, ...]
    evaluations: int
    seconds: float
    pooled: int

    def column(self, name: str) -> Tensor:
        """One feature (K,)."""
        return self.features[:, self.names.index(name)]

    def after(self, evaluations: int, seconds: float) -> "Described":
        """The same, after so much was spent."""
        return replace(self, evaluations=evaluations, seconds=seconds)

    def joined(self, features: Features) -> "Described":
        """These candidates with more features (K,) each."""
        matrix, names = standardise(features, self.pooled)
        return replace(
            self, features=torch.cat([self.features, matrix], 1), names=(*self.names, *names)
        )


def is_large(model: PreTrainedModel) -> bool:
    """Whether a model is so large that its gradients are counted."""
    table = input_table(model)
    embeddings = {id(weight) for weight in table.parameters()} if table else set()
    return sum(w.numel() for w in model.parameters() if id(w) not in embeddings) > SMALL


def default_pool(model: PreTrainedModel, whole: bool) -> int:
    """How many candidates a ranker looks at by default."""
    if is_large(model):
        return POOL_LARGE
    return POOL_SMALL if whole else POOL_BEYOND


class Describer:
    """Looks at candidates of one problem under one model; what they share is computed once.

    Args:
        oracle: of one problem, with the objective `margin`, inside its context.
        generator: of every random draw.
        initial: the weights before training, where the attacker knows them.
    """

    def __init__(
        self,
        oracle: Oracle,
        generator: torch.Generator,
        initial: PreTrainedModel | None = None,
    ) -> None:
        started = time.perf_counter()
        self.oracle = oracle
        self.problem = oracle.problems[0]
        self.generator = generator
        self.initial = initial
        self.margins = Margins(oracle, generator)
        self.groups = slot_groups(self.problem)
        self.evidence: list[Tensor] | None = None
        if initial is not None:
            with margin_oracle(initial, self.problem, oracle.memory) as before:
                moved = moved_rows(oracle, before, decay(oracle.model, initial))
            self.evidence = movement_evidence(moved)
        self.seconds = time.perf_counter() - started  # what looking once at the model took

    def pool(self, size: int | None = None) -> Tensor:
        """Choices (K, n): the whole space if it is small, else the most promising of it."""
        size = size or default_pool(self.oracle.model, self.margins.whole)
        if self.problem.size <= size:
            return self.margins.sample
        if not self.margins.whole:
            (choices,) = candidate_pool(self.oracle, [self.generator], size)
            return choices.cpu()
        everything = self.margins.sample
        half = size // 2 if self.evidence else size
        kept = [self.margins.sample_margins.topk(half).indices]
        if self.evidence:
            named = option_features(self.evidence, everything, self.groups, tag="moved")
            # Candidates of the same words tie: the margin orders them.
            order = named["moved_present"] + 1e-6 * self.margins.sample_margins
            kept.append(order.topk(size - half).indices)
        return everything[torch.cat(kept).unique()]

    def look(self, choices: Tensor, extra: Tensor | None = None) -> Described:
        """Features of candidates (K, n) and of more (E, n), on the scale of the former.

        Candidates among the latter that are there already are left out.
        """
        started, spent = time.perf_counter(), self.oracle.evaluations[0]
        pooled = len(choices)
        if extra is not None and len(extra):
            choices = torch.cat([choices, absent(extra, choices)])
        gradients = slot_gradients(self.oracle, choices)
        vectors = slot_vectors(self.oracle)
        vocabulary = vocabulary_vectors(self.oracle.model).norm(dim=1).cpu()
        rows = row_evidence(vectors, vocabulary, self.oracle.layout.positions.shape[2])
        features: Features = margin_features(self.margins, choices)
        features |= gradient_features(gradients, vectors, choices, self.groups)
        features |= sharpness_features(gradients)
        features |= option_features(rows, choices, self.groups, tag="row")
        features |= shape_features(choices, self.groups)
        if self.initial is not None:
            features |= initial_features(self.oracle, self.initial, choices, self.groups, gradients)
        matrix, names = standardise(features, pooled)
        spent = self.oracle.evaluations[0] - spent
        return Described(choices, matrix, names, spent, time.perf_counter() - started, pooled)


def describe(
    oracle: Oracle,
    generator: torch.Generator,
    *,
    initial: PreTrainedModel | None = None,
    pool: int | None = None,
) -> Described:
    """Collect the candidates of a problem and compute their features.

    Args:
        oracle: of one problem, with the objective `margin`, inside its context.
        generator: of every random draw.
        initial: the weights before training, where the attacker knows them.
        pool: how many; None chooses by the model.
    """
    started, before = time.perf_counter(), oracle.evaluations[0]
    describer = Describer(oracle, generator, initial)
    its = describer.look(describer.pool(pool))
    spent = oracle.evaluations[0] - before
    return its.after(spent, time.perf_counter() - started)


def absent(choices: Tensor, present: Tensor) -> Tensor:
    """The distinct rows of choices (m, n) that `present` (K, n) does not have, in their order."""
    known = set(map(tuple, present.tolist()))
    found = [row for row in dict.fromkeys(map(tuple, choices.tolist())) if row not in known]
    return torch.tensor(found, dtype=choices.dtype).view(len(found), choices.shape[1])


def slot_groups(problem: Completion) -> Tensor:
    """(n, n) bool: which slots hold the same options."""
    options = problem.options
    return torch.tensor([[one == other for other in options] for one in options])
