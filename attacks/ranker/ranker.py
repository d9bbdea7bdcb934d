"""A ranker: weights of features, learned on shadow models, that order a target's candidates."""

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.problem import Completion, problem_generators
from attacks.ranker.candidates import Described, Describer, default_pool, describe
from attacks.ranker.climb import climb
from attacks.ranker.initial import check_initial, margin_oracle
from attacks.ranker.margins import ENUMERATED
from attacks.ranker.second import how_many, second_look
from attacks.ranker.usual import Usual, label_name
from canaries.reading import parse_json, quote

FILE, USUAL_FILE = "ranker.json", "usual.safetensors"
USUAL = "usual"  # the feature that the shadow models' agreement gives
_FORMAT = 4


@dataclass(frozen=True)
class Ranker:
    """Ranks candidates by a weighted sum of features.

    Args:
        weights: of the features that every candidate has.
        second: of the features that a second look at the best candidates gives; empty where the
            ranker does not use the initial weights.
        facts: what it was fitted on: architecture, corpus, shadow models, repetitions ...
        initial: whether it needs the weights before training.
        usual: what the shadow models make of each option, for the problems they were asked.
    """

    weights: Mapping[str, float]
    second: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    initial: bool = False
    usual: Usual = field(default_factory=Usual, compare=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides an order."""
        content = json.dumps([dict(self.weights), dict(self.second)], sort_keys=True)
        digest = hashlib.sha256(content.encode())
        for name, sums in sorted(self._tensors().items()):
            digest.update(name.encode() + sums.numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def learned(self) -> bool:
        """Whether shadow models gave the weights, as they do not of a fixed score."""
        return USUAL in self.weights

    def save(self, folder: Path) -> Path:
        """Write `ranker.json` and `usual.safetensors` into `folder`, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "format": _FORMAT,
            "weights": dict(self.weights),
            "second": dict(self.second),
            "facts": dict(self.facts),
            "initial": self.initial,
            "usual": {key: dict(labels) for key, labels in self.usual.counts.items()},
        }
        path, tensors = folder / FILE, folder / USUAL_FILE
        partial = tensors.with_suffix(".partial")
        save_file(self._tensors(), partial)
        partial.replace(tensors)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=1) + "\n")
        partial.replace(path)
        return path

    def _tensors(self) -> dict[str, Tensor]:
        return {
            f"{key}/{label}": sums.contiguous()
            for key, labels in self.usual.sums.items()
            for label, sums in labels.items()
        }

    @classmethod
    def load(cls, folder: Path) -> "Ranker":
        """Read a ranker's folder.

        Raises:
            AttackError: there is none, or it is not one of this version.
        """
        path = Path(folder) / FILE
        try:
            content = parse_json(path.read_bytes())
        except OSError as error:
            raise AttackError(
                f"{folder} holds no {FILE}: make one with `modiva ranker fit`"
            ) from error
        except ValueError as error:
            raise AttackError(f"{path} is not JSON ({error}): fit the ranker again") from error
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise AttackError(f"{path} is not a ranker of this version: fit it again")
        try:
            counts = {key: _numbers(labels, int) for key, labels in content["usual"].items()}
            tensors = load_file(path.with_name(USUAL_FILE)) if counts else {}
            sums = {
                key: {label: tensors[f"{key}/{label}"] for label in labels}
                for key, labels in counts.items()
            }
            if not all(total.dim() == 1 and total.isfinite().all() for total in tensors.values()):
                raise ValueError(f"{USUAL_FILE} holds something else than finite vectors")
            if not isinstance(content["initial"], bool):
                raise TypeError(f"initial is {quote(content['initial'])}")
            ranker = cls(
                weights=_numbers(content["weights"], float),
                second=_numbers(content["second"], float),
                facts=dict(content["facts"]),
                initial=content["initial"],
                usual=Usual(sums, counts),
            )
        except (
            TypeError,
            ValueError,
            AttributeError,
            KeyError,
            OSError,
            OverflowError,
            SafetensorError,
        ) as error:
            raise AttackError(f"{path} is not a whole ranker ({error}): fit it again") from error
        return ranker


def _numbers(values: Any, kind: type) -> dict[str, Any]:
    """A mapping of names to finite numbers of one kind, as JSON holds it."""
    for name, value in values.items():
        if type(value) not in (int, kind) or not math.isfinite(value):
            raise TypeError(f"{name} is {quote(value)}")
    return dict(values)


@dataclass(frozen=True, eq=False)
class Ranked:
    """The candidates of one problem in a ranker's order.

    Args:
        choices: (K, n), best first.
        utility: (K,) falling.
        evaluations: model evaluations spent.
        seconds: time spent.
    """

    choices: Tensor
    utility: Tensor
    evaluations: int
    seconds: float


def rank(
    ranker: Ranker,
    model: PreTrainedModel,
    problem: Completion,
    *,
    initial: PreTrainedModel | None = None,
    pool: int | None = None,
    seed: int = 0,
    known: dict[bool, Described] | None = None,
) -> Ranked:
    """Rank the candidates of one problem of a target.

    Args:
        ranker: fitted on shadow models of the target's architecture.
        model: the target.
        problem: what the attacker knows.
        initial: the target's weights before training; needed if the ranker uses them.
        pool: candidates looked at; None chooses by the model.
        seed: of every random draw.
        known: what other rankers made of this problem and model, without and with the initial
            weights: taken where it is there, else left there for the next. What a climb finds stays
            with the ranker that climbed.

    Raises:
        AttackError: the ranker needs the initial weights, or they are not the target's.
    """
    if ranker.initial:
        if initial is None:
            raise AttackError(
                "this ranker uses the weights before training: give them (--initial FOLDER), or "
                "fit one without"
            )
        check_initial(model, initial)
    else:
        initial = None
    look = _Look(ranker, label_name(model, problem), problem)
    its = _described(look, model, initial, pool, seed, {} if known is None else known)
    started = time.perf_counter()
    its, spent = look.joined(its), its.evaluations
    weights = look.weights(its)
    utility = its.features @ weights
    order = utility.argsort(descending=True, stable=True)
    if ranker.second and initial is not None:
        best = order[: how_many(model)]
        with margin_oracle(model, problem) as oracle:
            matrix, names = second_look(oracle, initial, its, best, weights)
            spent += oracle.evaluations[0]
        again = matrix @ torch.tensor([ranker.second.get(name, 0.0) for name in names])
        # The second look orders the best among themselves; they stay before all others.
        rest = utility[order[len(best) :]]
        floor = rest.max() if len(rest) else torch.tensor(0.0)
        utility[best] = again - again.min() + floor
        order = utility.argsort(descending=True, stable=True)
    seconds = its.seconds + time.perf_counter() - started
    return Ranked(its.choices[order], utility[order], int(spent), seconds)


def _described(
    look: "_Look",
    model: PreTrainedModel,
    initial: PreTrainedModel | None,
    pool: int | None,
    seed: int,
    known: dict[bool, Described],
) -> Described:
    """The candidates of a problem: all of them, a pool, or those that a climb from it finds.

    Fixed scores share one pool of a space that can be enumerated: those of a large model would
    else cost many times of it.
    """
    whole = look.problem.size <= ENUMERATED
    all_in = look.problem.size <= (pool or default_pool(model, whole))
    climbs = not all_in and (look.ranker.learned or not whole)
    if climbs or look.ranker.initial not in known:
        (generator,) = problem_generators([look.problem], seed)
        with margin_oracle(model, look.problem) as oracle:
            if climbs:  # a climb is the ranker's own
                describer = Describer(oracle, generator, initial)
                return climb(describer, describer.pool(pool), look.utility)
            known[look.ranker.initial] = describe(oracle, generator, initial=initial, pool=pool)
    return known[look.ranker.initial]


@dataclass(frozen=True, eq=False)
class _Look:
    """What a ranker makes of described candidates of one problem."""

    ranker: Ranker
    label: str
    problem: Completion

    def joined(self, its: Described) -> Described:
        """With what is usual of them, if the ranker knows."""
        if not self.ranker.learned:
            return its
        usual = self.ranker.usual.feature(self.problem, self.label, its.choices)
        return its.joined({USUAL: usual})

    def weights(self, its: Described) -> Tensor:
        """(F,) in the order of the features."""
        return torch.tensor([self.ranker.weights.get(name, 0.0) for name in its.names])

    def utility(self, its: Described) -> Tensor:
        """(K,) higher is likelier."""
        joined = self.joined(its)
        return joined.features @ self.weights(joined)
