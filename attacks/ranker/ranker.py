"""Rankers: weights of features, fixed or learned on shadow models, that order candidates."""

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.guard import system_errors
from attacks.problem import Completion, problem_generators
from attacks.ranker.calibration import Usual, label_name
from attacks.ranker.candidates import Described, Describer, Effort, effort_for, second_look
from attacks.ranker.margins import ENUMERATED, margin_oracle
from attacks.ranker.match import BEST, MATCH, MATCH_WEIGHTS, Match
from attacks.ranker.movement import check_initial
from canaries.reading import parse_json, quote, read_bytes

FILE, USUAL_FILE = "ranker.json", "usual.safetensors"
USUAL = "usual"  # the feature that the shadow models' agreement gives
_FORMAT = 5
# What reading a file that is not a ranker's raises.
_DAMAGED = (
    TypeError, ValueError, AttributeError, KeyError, OSError, OverflowError, SafetensorError
)  # fmt: skip
# Scores that need no shadow models, each one kind of evidence by itself: weights of standardised
# features, set by hand. HIGHER IS LIKELIER. All know the weights, the words around the secret, what
# each slot may hold, and the label.
FIXED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # The margin against its mean over candidates with one slot changed.
        "contrast": {"contrast": 1.0},
        # Margin and contrast, both standardised: what the loss says, less what the words say alone.
        "standardised": {"margin": 1.0, "contrast": 1.0},
        # Cosine of the margin's gradient at a slot and the vector of the word in it.
        "alignment": {"cosine": 1.0},
        # Norms of the rows of the embedding table: rows that training met are longer.
        "rows": {"row_present": 1.0},
        # Needs the initial weights: how far the rows of the words have moved.
        "movement": {"moved_present": 1.0},
        # Needs the initial weights: what moved rows and the margin gained say together.
        "movement-gain": {"moved_present": 1.0, "gain": 0.2},
        # Needs the weights before a few steps, such as the update of a client: how well the change
        # of the rows matches the gradient of the candidate.
        "match": {MATCH: 1.0},
    }
)
# Of the best in a second look: both standardised, so that neither kind decides alone.
_SECOND: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"match": {MATCH: 1.0, MATCH_WEIGHTS: 1.0}}
)
_NEED_INITIAL = ("moved", "gain", MATCH)


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
        effort: how many candidates it looks at, and which second look it has, as it was fitted;
            None chooses by the model.
    """

    weights: Mapping[str, float]
    second: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    initial: bool = False
    usual: Usual = field(default_factory=Usual, compare=False)
    effort: Effort | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides an order."""
        effort = self.effort and asdict(self.effort)
        content = json.dumps([dict(self.weights), dict(self.second), effort], sort_keys=True)
        digest = hashlib.sha256(content.encode())
        for name, sums in sorted(self._tensors().items()):
            digest.update(name.encode() + sums.numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def learned(self) -> bool:
        """Whether the weights come from shadow models, and not from `FIXED`."""
        return USUAL in self.weights

    def joined(
        self,
        described: Described,
        model: PreTrainedModel,
        problem: Completion,
        match: Match | None = None,
    ) -> Described:
        """Add what the ranker asks for: the match of a step, and what is usual of candidates."""
        if match is not None:
            described = described.joined({MATCH: match(described.choices)})
        if not self.learned:
            return described
        usual = self.usual.feature(problem, label_name(model, problem), described.choices)
        return described.joined({USUAL: usual})

    def weighed(self, names: Sequence[str], *, second: bool = False) -> Tensor:
        """Return weights (F,) of the named features, 0 for those that are not used."""
        weights = self.second if second else self.weights
        return torch.tensor([weights.get(name, 0.0) for name in names])

    def utility(self, described: Described) -> Tensor:
        """Compute the utility (K,) of joined candidates; higher is likelier."""
        return described.features @ self.weighed(described.names)

    def save(self, folder: Path) -> Path:
        """Write `ranker.json` and `usual.safetensors` into `folder`; create it where missing."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "format": _FORMAT,
            "weights": dict(self.weights),
            "second": dict(self.second),
            "facts": dict(self.facts),
            "initial": self.initial,
            "effort": self.effort and asdict(self.effort),
            "usual": {key: dict(labels) for key, labels in self.usual.counts.items()},
        }
        path, tensors = folder / FILE, folder / USUAL_FILE
        partial = tensors.with_suffix(".partial")
        with system_errors(tensors):
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
            AttackError: the folder holds no ranker, or one of another version.
        """
        path = Path(folder) / FILE
        try:
            content = parse_json(read_bytes(path))
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
                raise ValueError(f"{USUAL_FILE} must hold finite vectors only")
            if not isinstance(content["initial"], bool):
                raise TypeError(f"initial is {quote(content['initial'])}")
            ranker = cls(
                weights=_numbers(content["weights"], float),
                second=_numbers(content["second"], float),
                facts=dict(content["facts"]),
                initial=content["initial"],
                usual=Usual(sums, counts),
                effort=None if content["effort"] is None else Effort(**content["effort"]),
            )
        except _DAMAGED as error:
            raise AttackError(f"{path} is not a whole ranker ({error}): fit it again") from error
        return ranker


def _numbers(values: Any, kind: type) -> dict[str, Any]:
    """Check a mapping of names to finite numbers of one kind, as JSON holds it."""
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
    seed: int = 0,
    known: dict[tuple[bool, int], Described] | None = None,
) -> Ranked:
    """Rank the candidates of one problem of a target.

    Args:
        ranker: fitted on shadow models of the target's architecture.
        model: the target.
        problem: what the attacker knows.
        initial: the target's weights before training; needed if the ranker uses them.
        seed: of every random draw.
        known: what other rankers made of this problem and model, by whether they use the initial
            weights and how many candidates they look at: taken where it is there, else left there
            for the next. What a climb finds stays with the ranker that climbed.

    Raises:
        AttackError: the ranker needs the initial weights, or they are not the target's.
    """
    if not ranker.initial:
        initial = None
    elif initial is None:
        raise AttackError(
            "this ranker uses the weights before training: give them (--initial FOLDER), or fit "
            "one without"
        )
    else:
        check_initial(model, initial)
    effort = ranker.effort or effort_for(model)
    match = None
    if MATCH in ranker.weights and initial is not None:
        match = Match(model, initial, problem)
    known = {} if known is None else known
    described = _described(ranker, model, problem, initial, seed, known, match)
    started, evaluations = time.perf_counter(), described.evaluations
    described = ranker.joined(described, model, problem, match)
    utility = ranker.utility(described)
    order = utility.argsort(descending=True, stable=True)
    if ranker.second and initial is not None:
        best, weights = order[: effort.second], ranker.weighed(described.names)
        if match is not None and not ranker.learned:
            best = best[:BEST]
            again = match.second_look(described, best, utility[best])
        else:
            again = second_look(model, problem, initial, described, best, weights, effort)
            evaluations += again.evaluations
        score = again.features @ ranker.weighed(again.names, second=True)
        # The second look orders the best among themselves; they stay before all others.
        rest = utility[order[len(best) :]]
        floor = rest.max() if len(rest) else torch.tensor(0.0)
        utility[best] = score - score.min() + floor
        order = utility.argsort(descending=True, stable=True)
    seconds = described.seconds + time.perf_counter() - started
    evaluations += 0 if match is None else match.evaluations
    return Ranked(described.choices[order], utility[order], evaluations, seconds)


def _described(
    ranker: Ranker,
    model: PreTrainedModel,
    problem: Completion,
    initial: PreTrainedModel | None,
    seed: int,
    known: dict[tuple[bool, int], Described],
    match: Match | None,
) -> Described:
    """Describe the candidates of a problem: all, a pool, or those that a climb from it finds.

    Fixed scores share one pool of a space that can be enumerated: those of a large model would
    else cost many times as much.
    """
    effort = ranker.effort or effort_for(model)
    size = effort.candidates(problem)
    climbs = problem.size > size and (ranker.learned or problem.size > ENUMERATED)
    if not climbs and (ranker.initial, size) in known:
        return known[ranker.initial, size]
    (generator,) = problem_generators([problem], seed)
    with margin_oracle(model, problem) as oracle:
        describer = Describer(oracle, generator, initial, effort)
        pool = describer.pool()
        if climbs:
            return describer.climb(
                pool, lambda found: ranker.utility(ranker.joined(found, model, problem, match))
            )
        known[ranker.initial, size] = describer.look(pool)
    return known[ranker.initial, size]


def fixed_ranker(name: str) -> Ranker:
    """Return the fixed ranker of that name.

    Raises:
        AttackError: the name is unknown; the message lists the known ones.
    """
    if name not in FIXED:
        raise AttackError(f"unknown score {name!r}: use one of {', '.join(FIXED)}")
    weights = FIXED[name]
    needs = any(feature.startswith(_NEED_INITIAL) for feature in weights)
    return Ranker(weights, _SECOND.get(name, {}), {"score": name}, needs)
