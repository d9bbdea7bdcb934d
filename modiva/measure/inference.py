"""Attacks that infer membership: does a model tell the records that it was trained on from others?

The signal of a record is phi = log p / (1 - p), where p is the probability that a model gives to
the record's label. References are other models, some of which hold the record (IN) and some do not
(OUT): they say how it scores in models with it and without it.

- loss: phi of the target alone (Yeom et al. 2018, arXiv 1709.01604).
- lira-offline, lira-online: how far phi is above that of OUT references; the log of the likelihood
  ratio of IN to OUT, both normal (Carlini et al. 2022, arXiv 2112.03570). The standard deviations
  are shared by all records, as references are few.
- rmia-offline, rmia-online: the share of a population of other records over which the target raises
  p / mean p of the references by less (Zarifzadeh et al. 2024, arXiv 2312.03262).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

OFFLINE, ONLINE = ("loss", "lira-offline", "rmia-offline"), ("lira-online", "rmia-online")
# Of RMIA: gamma is 1, and mean p without IN references is (1 + a) / 2 OUT + (1 - a) / 2.
RMIA_A = 0.3


@dataclass(frozen=True, eq=False)
class Signals:
    """What models show of records.

    Args:
        records: (M, n) phi of each record in each model.
        held: (M, n) whether the model was trained on it.
        population: (M, z) phi of records that none was trained on; z may be 0.
    """

    records: Array
    held: Flags
    population: Array

    def rows(self, models: ArrayLike) -> "Signals":
        """Return the same of some of the models, by number or flag."""
        chosen = np.asarray(models)
        return Signals(self.records[chosen], self.held[chosen], self.population[chosen])

    def columns(self, records: NDArray[np.int64]) -> "Signals":
        """Return the same of some of the records, by number."""
        return Signals(self.records[:, records], self.held[:, records], self.population)


def join(models: Sequence[Signals]) -> Signals:
    """Return the signals of several models as one."""
    return Signals(
        np.concatenate([one.records for one in models]),
        np.concatenate([one.held for one in models]),
        np.concatenate([one.population for one in models]),
    )


def attack_scores(
    targets: Signals, references: Signals, attacks: Sequence[str] = (*OFFLINE, *ONLINE)
) -> dict[str, Array]:
    """Return what each attack says of each record in each target, (T, n): higher is a member.

    Args:
        targets: the models that are attacked.
        references: other models, whose records are known; at least one.
        attacks: which ones; RMIA is left out where there is no population.
    """
    outside, out_spread = _means(references.records, ~references.held)
    inside, in_spread = _means(references.records, references.held)
    scores: dict[str, Array] = {}
    for attack in attacks:
        if attack == "loss":
            scores[attack] = targets.records
        elif attack == "lira-offline":
            scores[attack] = (targets.records - outside) / out_spread
        elif attack == "lira-online":
            scores[attack] = _log_normal(targets.records, inside, in_spread) - _log_normal(
                targets.records, outside, out_spread
            )
        elif targets.population.shape[1]:
            scores[attack] = _rmia(targets, references, online=attack == "rmia-online")
    return scores


def leave_one_out(pool: Signals, attacks: Sequence[str] = (*OFFLINE, *ONLINE)) -> dict[str, Array]:
    """Return the scores (M, n) of a pool: each model is the target once, the others references."""
    models = np.arange(len(pool.records))
    each = [attack_scores(pool.rows([t]), pool.rows(models != t), attacks) for t in models]
    return {attack: np.concatenate([one[attack] for one in each]) for attack in each[0]}


def _means(signals: Array, chosen: Flags) -> tuple[Array, float]:
    """Return the mean (n,) of the chosen signals of each record, and their spread within records.

    A record without any takes the mean of all.
    """
    counts = chosen.sum(0)
    sums = np.where(chosen, signals, 0.0).sum(0)
    overall = sums.sum() / max(counts.sum(), 1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
    squares = float((np.where(chosen, signals - means, 0.0) ** 2).sum())
    free = int(counts.sum() - np.count_nonzero(counts))
    return means, math.sqrt(squares / free) if free > 0 and squares > 0 else 1.0


def _log_normal(values: Array, means: Array, spread: float) -> Array:
    """Return the log density of N(means, spread^2) without its constant."""
    found: Array = -(((values - means) / spread) ** 2) / 2 - math.log(spread)
    return found


def log_ratios(signals: Array, references: Array, held: Flags, *, online: bool = False) -> Array:
    """Return log of p over the mean p of references, (T, n): what RMIA compares.

    In one target its order is that of RMIA, whatever the population.

    Args:
        signals: (T, n) phi in the targets.
        references: (R, n) phi in the references.
        held: (R, n) which of them hold which record.
        online: whether references with the record count.
    """
    logs = special.log_expit(references)
    means = _log_average(logs, np.ones_like(held) if online else ~held)
    if not online:
        means = np.log(((1 + RMIA_A) * np.exp(means) + 1 - RMIA_A) / 2)
    found: Array = special.log_expit(signals) - means
    return found


def _rmia(targets: Signals, references: Signals, *, online: bool) -> Array:
    never = np.zeros(references.population.shape, dtype=bool)
    ratios = log_ratios(targets.records, references.records, references.held, online=online)
    others = log_ratios(targets.population, references.population, never, online=online)
    found = [
        np.searchsorted(np.sort(other), own, side="right") / len(other)
        for own, other in zip(ratios, others, strict=True)
    ]
    return np.stack(found)


def _log_average(logs: Array, chosen: Flags) -> Array:
    """Return log of the mean of exp(logs) over the chosen (n,); of all where none is chosen."""
    counts = chosen.sum(0)
    with np.errstate(divide="ignore"):
        own = special.logsumexp(logs, axis=0, b=chosen) - np.log(np.maximum(counts, 1))
    overall = special.logsumexp(logs, b=chosen) - math.log(max(int(counts.sum()), 1))
    found: Array = np.where(counts > 0, own, overall)
    return found
