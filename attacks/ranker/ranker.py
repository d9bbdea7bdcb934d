"""A ranker: weights of features, learned on shadow models, that order a target's candidates."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from attacks.attack import Reconstruction
from attacks.errors import AttackError
from attacks.pool import TOP
from attacks.problem import Completion, problem_generators
from attacks.ranker.candidates import Described, Describer, default_pool, describe
from attacks.ranker.climb import climb, neighbours, shortlist
from attacks.ranker.fit import FOLDS, PENALTY, conditional_logit, cross_validate
from attacks.ranker.initial import check_initial, margin_oracle
from attacks.ranker.margins import ENUMERATED, draw
from attacks.ranker.second import how_many, second_look
from attacks.ranker.usual import Effects, Usual, label_name, option_effects, problem_key

FILE, USUAL_FILE = "ranker.json", "usual.safetensors"
_USUAL = "usual"  # the feature that the shadow models' agreement gives
_FORMAT = 3
DRAWN = 100  # candidates that a climb has not met yet, seen in fitting where there is one


@dataclass(frozen=True, eq=False)
class Shadow:
    """A model that the attacker trained on data of its own, with a secret it planted itself.

    Args:
        model: trained as the targets are.
        problem: the sentence with slots, for this model.
        choices: option of each slot of the planted secret.
        initial: its weights before training, if the ranker is to use the target's.
    """

    model: PreTrainedModel
    problem: Completion
    choices: tuple[int, ...]
    initial: PreTrainedModel | None = None


@dataclass(frozen=True)
class Ranker:
    """Ranks candidates by a weighted sum of features.

    Args:
        weights: of the features that every candidate has.
        replay: of the features that a second look at the best candidates gives; empty where the
            ranker does not use the initial weights.
        facts: what it was fitted on: architecture, corpus, shadow models, repetitions ...
        initial: whether it needs the weights before training.
        usual: what the shadow models make of each option, for the problems they were asked.
    """

    weights: Mapping[str, float]
    replay: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    initial: bool = False
    usual: Usual = field(default_factory=Usual, compare=False)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides an order."""
        content = json.dumps([dict(self.weights), dict(self.replay)], sort_keys=True)
        digest = hashlib.sha256(content.encode())
        for name, sums in sorted(self._tensors().items()):
            digest.update(name.encode() + sums.numpy().tobytes())
        return digest.hexdigest()[:16]

    def save(self, folder: Path) -> Path:
        """Write `ranker.json` and `usual.safetensors` into `folder`, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "format": _FORMAT,
            "weights": dict(self.weights),
            "replay": dict(self.replay),
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
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise AttackError(
                f"{folder} holds no {FILE}: make one with `modiva ranker fit`"
            ) from error
        except ValueError as error:
            raise AttackError(f"{path} is not JSON ({error}): fit the ranker again") from error
        if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
            raise AttackError(f"{path} is not a ranker of this version: fit it again")
        try:
            counts = content.pop("usual", {})
            tensors = load_file(path.with_name(USUAL_FILE)) if counts else {}
            sums = {
                key: {label: tensors[f"{key}/{label}"] for label in labels}
                for key, labels in counts.items()
            }
            ranker = cls(**content, usual=Usual(sums, counts))
            for weights in (ranker.weights, ranker.replay):
                {name: float(value) for name, value in weights.items()}
        except (
            TypeError,
            ValueError,
            AttributeError,
            KeyError,
            OSError,
            SafetensorError,
        ) as error:
            raise AttackError(f"{path} is not a whole ranker ({error}): fit it again") from error
        return ranker


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

    def reconstruction(self, problem: Completion, attack: str) -> Reconstruction:
        """The best candidates as any attack gives them back; scores are negated utilities."""
        return Reconstruction(
            problem=problem.name,
            attack=attack,
            objective=attack,
            candidates=tuple(problem.secret(c) for c in self.choices[:TOP].tolist()),
            scores=tuple((-self.utility[:TOP]).tolist()),
            evaluations=self.evaluations,
            seconds=self.seconds,
        )


def fit_ranker(
    shadows: Sequence[Shadow],
    *,
    facts: Mapping[str, Any] | None = None,
    penalty: float | None = None,
    pool: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Ranker:
    """Learn to rank from shadow models, all with initial weights or all without.

    Args:
        shadows: a few dozen; 20 give most of the gain.
        facts: kept in the ranker's file.
        penalty: of the conditional logit; None chooses by cross-validation over the models.
        pool: candidates a shadow; None chooses by the model.
        seed: of every random draw.
        progress: show a bar.

    Raises:
        AttackError: no shadows, or only some with initial weights.
    """
    known = {shadow.initial is not None for shadow in shadows}
    if len(known) > 1:
        raise AttackError("give the initial weights of all shadow models, or of none")
    described, true = [], []
    effects: list[tuple[str, Effects]] = []
    bar = tqdm(shadows, desc="shadow models", disable=None if progress else True, leave=False)
    for shadow in bar:
        secret = torch.tensor([shadow.choices])
        (generator,) = problem_generators([shadow.problem], seed)
        with margin_oracle(shadow.model, shadow.problem) as oracle:
            describer = Describer(oracle, generator, shadow.initial)
            candidates, include = describer.pool(pool), secret
            if len(candidates) < shadow.problem.size:  # what a climb has to tell from the secret
                near = neighbours(shadow.problem, [shadow.choices], shortlist(describer))
                include = torch.cat([secret, near, draw(shadow.problem.sizes, DRAWN, generator)])
            described.append(describer.look(candidates, include))
            effects.append((problem_key(shadow.problem), option_effects(oracle, generator)))
        true.append(int((described[-1].choices == secret).all(1).nonzero()[0, 0]))
    usual = Usual.of(effects)
    for number, (shadow, (_, own)) in enumerate(zip(shadows, effects, strict=True)):
        label = label_name(shadow.model, shadow.problem)
        its = described[number]
        values = usual.feature(shadow.problem, label, its.choices, without=own)
        described[number] = its.joined({_USUAL: values})
    models = [id(shadow.model) for shadow in shadows]
    weights, outside, chosen = _learn(
        [d.features for d in described], true, models, penalty=penalty, seed=seed
    )
    replay: dict[str, float] = {}
    if known == {True}:
        matrices, at, seen = [], [], []
        bar = tqdm(list(zip(shadows, described, strict=True)), desc="second look", leave=False,
                   disable=None if progress else True)  # fmt: skip
        for (shadow, its), row, first in zip(bar, true, outside, strict=True):
            looked_at = min(how_many(shadow.model), len(its.choices))
            best = (its.features @ first).topk(looked_at).indices
            # One that is not among the best teaches nothing of how to order them.
            if not (best == row).any():
                continue
            with margin_oracle(shadow.model, shadow.problem) as oracle:
                matrix, replay_names = second_look(oracle, shadow.initial, its, best, first)
            matrices.append(matrix)
            at.append(int((best == row).nonzero()[0, 0]))
            seen.append(id(shadow.model))
        if matrices:
            second, _, _ = _learn(matrices, at, seen, penalty=penalty, seed=seed)
            replay = dict(zip(replay_names, second.tolist(), strict=True))
    return Ranker(
        dict(zip(described[0].names, weights.tolist(), strict=True)),
        replay,
        {**(facts or {}), "penalty": chosen},
        known == {True},
        usual,
    )


def _learn(
    features: Sequence[Tensor],
    true: Sequence[int],
    models: Sequence[int],
    *,
    penalty: float | None,
    seed: int,
) -> tuple[Tensor, list[Tensor], float]:
    """Weights (F,); for each problem the weights of a fit without its model; the penalty.

    Too few models to leave some out share the weights of all.
    """
    outside = None
    if penalty is None:
        penalty = PENALTY
        if len(set(models)) >= FOLDS:
            penalty, outside = cross_validate(features, true, models, seed=seed)
    weights = conditional_logit(features, true, penalty=penalty, seed=seed)
    return weights, outside or [weights] * len(features), penalty


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
            weights: taken where it is there, else left there for the next. Of a space too large
            to enumerate every ranker looks at candidates of its own.

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
    if ranker.replay and initial is not None:
        best = order[: how_many(model)]
        with margin_oracle(model, problem) as oracle:
            matrix, names = second_look(oracle, initial, its, best, weights)
            spent += oracle.evaluations[0]
        again = matrix @ torch.tensor([ranker.replay.get(name, 0.0) for name in names])
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
    """The candidates of a problem; of a space too large to enumerate, those a climb finds."""
    climbs = look.problem.size > (pool or default_pool(model, look.problem.size <= ENUMERATED))
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
        if _USUAL not in self.ranker.weights:
            return its
        usual = self.ranker.usual.feature(self.problem, self.label, its.choices)
        return its.joined({_USUAL: usual})

    def weights(self, its: Described) -> Tensor:
        """(F,) in the order of the features."""
        return torch.tensor([self.ranker.weights.get(name, 0.0) for name in its.names])

    def utility(self, its: Described) -> Tensor:
        """(K,) higher is likelier."""
        joined = self.joined(its)
        return joined.features @ self.weights(joined)
