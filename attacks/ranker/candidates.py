"""Which candidates a ranker looks at, and all that it knows of each."""

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import PreTrainedModel

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
from attacks.search.candidates import candidate_pool
from attacks.vectors import vocabulary_vectors

# Candidates that are looked at closely, by the size of the target: gradients cost the time.
POOL_SMALL, POOL_LARGE = 10_000, 600
SMALL = 2_000_000  # weights outside of the embeddings
POOL_BEYOND = 3_000  # of a space too large to enumerate


@dataclass(frozen=True, eq=False)
class Described:
    """Candidates of one problem and their features, standardised.

    Args:
        choices: (K, n) option of each slot.
        features: (K, F).
        names: of the features (F).
        evaluations: model evaluations spent.
        seconds: time spent.
    """

    choices: Tensor
    features: Tensor
    names: tuple[str, ...]
    evaluations: int
    seconds: float

    def column(self, name: str) -> Tensor:
        """One feature (K,)."""
        return self.features[:, self.names.index(name)]

    def joined(self, features: Features) -> "Described":
        """These candidates with more features (K,) each."""
        matrix, names = standardise(features)
        return replace(
            self, features=torch.cat([self.features, matrix], 1), names=(*self.names, *names)
        )


def is_large(model: PreTrainedModel) -> bool:
    """Whether a model is so large that its gradients are counted."""
    embeddings = {id(weight) for weight in model.get_input_embeddings().parameters()}
    return sum(w.numel() for w in model.parameters() if id(w) not in embeddings) > SMALL


def default_pool(model: PreTrainedModel, whole: bool) -> int:
    """How many candidates a ranker looks at by default."""
    if is_large(model):
        return POOL_LARGE
    return POOL_SMALL if whole else POOL_BEYOND


def describe(
    oracle: Oracle,
    generator: torch.Generator,
    *,
    initial: PreTrainedModel | None = None,
    include: Tensor | None = None,
    pool: int | None = None,
) -> Described:
    """Collect the candidates of a problem and compute their features.

    Args:
        oracle: of one problem, with the objective `margin`, inside its context.
        generator: of every random draw.
        initial: the weights before training, where the attacker knows them.
        include: (m, n) candidates that must be among them: the secrets of shadow models.
        pool: how many; None chooses by the model.
    """
    started, before_all = time.perf_counter(), oracle.evaluations[0]
    problem = oracle.problems[0]
    margins = Margins(oracle, generator)
    size = pool or default_pool(oracle.model, margins.whole)
    vectors = slot_vectors(oracle)
    moved = None
    if initial is not None:
        with margin_oracle(initial, problem, oracle.memory) as before:
            moved = moved_rows(oracle, before, decay(oracle.model, initial))
    evidence = movement_evidence(moved) if moved else None
    groups = slot_groups(problem)
    choices = _choose(oracle, margins, generator, evidence, groups, size)
    if include is not None and len(include):
        extra = include[~(include[:, None] == choices[None]).all(2).any(1)]
        choices = torch.cat([choices, extra])
    gradients = slot_gradients(oracle, choices)
    vocabulary = vocabulary_vectors(oracle.model).norm(dim=1).cpu()
    rows = row_evidence(vectors, vocabulary, oracle.layout.positions.shape[2])
    features: Features = margin_features(margins, choices)
    features |= gradient_features(gradients, vectors, choices, groups)
    features |= sharpness_features(gradients)
    features |= option_features(rows, choices, groups, tag="row")
    features |= shape_features(choices, groups)
    if initial is not None:
        features |= initial_features(oracle, initial, choices, groups, gradients)
    matrix, names = standardise(features)
    spent = oracle.evaluations[0] - before_all
    return Described(choices, matrix, names, spent, time.perf_counter() - started)


def slot_groups(problem: Completion) -> Tensor:
    """(n, n) bool: which slots hold the same options."""
    options = problem.options
    return torch.tensor([[one == other for other in options] for one in options])


def _choose(
    oracle: Oracle,
    margins: Margins,
    generator: torch.Generator,
    evidence: list[Tensor] | None,
    groups: Tensor,
    size: int,
) -> Tensor:
    """Choices (K, n): the whole space if it is small, else the most promising of it."""
    problem = oracle.problems[0]
    if problem.size <= size:
        return margins.sample
    if not margins.whole:
        (choices,) = candidate_pool(oracle, [generator], size)
        return choices.cpu()
    everything = margins.sample
    kept = [margins.sample_margins.topk(size // 2 if evidence else size).indices]
    if evidence:
        present = option_features(evidence, everything, groups, tag="moved")["moved_present"]
        # Candidates of the same words tie: the margin orders them.
        order = present + 1e-6 * margins.sample_margins
        kept.append(order.topk(size - size // 2).indices)
    index = torch.cat(kept).unique()
    return everything[index]
