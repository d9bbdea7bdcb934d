"""Membership in a pool: rates of attacks with two-way intervals, and audits.

A pool of models is trained, each with every record by the toss of a coin. Each model is the target
once, and the others are its references.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modiva.measure.audits import ALPHA, Lower, many_run_audit, one_of_each, one_run_audit
from modiva.measure.columns import MembershipRow, PoolColumns, RecordRow
from modiva.measure.inference import (
    Array,
    Flags,
    Signals,
    attack_scores,
    join,
    leave_one_out,
    log_ratios,
)
from modiva.measure.intervals import MIN_INFORMATIVE, expanded_tail

__all__ = [
    "Allowed",
    "Claim",
    "MembershipRow",
    "Parts",
    "PoolColumns",
    "RecordRow",
    "Signals",
    "attack_scores",
    "audit_pool",
    "join",
    "log_ratios",
    "pool_rates",
    "score_pool",
    "score_records",
]

# False positive rates at which the true positive rate is read off, by the ends of its columns.
RATES = {"1": 0.01, "01": 0.001}
RESAMPLES = 400
# Shares of the records that the audit of one run guesses, fixed beforehand; each has half of alpha.
GUESSED = (0.25, 1.0)
# Of audits of training that claims none: the default of what does.
DELTA = 1e-5


class Allowed(Protocol):
    """The trade-off that training guarantees, such as `PrivacyPlan.trade_off`."""

    def __call__(self, rates: ArrayLike) -> Array:
        """Return the largest true positive rate at each false positive rate."""

    def area(self) -> float:
        """Return the largest AUC."""


@dataclass(frozen=True)
class Claim:
    """What training guarantees of the records: of one sentence, or of all R of a canary.

    Args:
        allowed: their trade-off; None without a guarantee.
        epsilon: None without a finite bound.
        delta: of epsilon; None without a guarantee.
    """

    allowed: Allowed | None = None
    epsilon: float | None = None
    delta: float | None = None


# Numbers (k,) of records and what is claimed of them, by kind and repetitions.
Parts = Mapping[tuple[str, int], tuple[NDArray[np.int64], Claim]]


def score_pool(
    pool: Signals,
    about: PoolColumns,
    parts: Parts,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Iterator[MembershipRow]:
    """Yield one row per part of the records and attack.

    Args:
        pool: of all records; references are compared over all of them.
        about: the columns of the pool.
        parts: numbers (k,) and claim of the records, by their kind and repetitions; those of
            repetitions 0 were never planted, and their coins are the null of everything.
        resamples: of models and records, for the intervals.
        seed: of the resamples.
    """
    scores = leave_one_out(pool)
    for (kind, repetitions), (places, claim) in parts.items():
        part = pool.columns(places)
        audited = audit_pool(part, claim.delta or DELTA, seed)
        for attack, whole in scores.items():
            rates = pool_rates(
                whole[:, places], part.held, llr=attack == "lira-online",
                resamples=resamples, seed=seed,
            )  # fmt: skip
            yield MembershipRow(
                **vars(about),
                **rates,
                **_allowed(claim.allowed, rates),
                **_audits(audited if attack == "lira-online" else None),
                records=kind,
                repetitions=repetitions,
                n_records=part.held.shape[1],
                inference=attack,
                claimed_epsilon=claim.epsilon,
            )


def pool_rates(
    scores: Array, held: Flags, *, llr: bool = False, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Any]:
    """Return rates of an attack, each the mean over models, with intervals of 95 %.

    Resamples draw models and records, both with replacement: a record that is easy is so in every
    model (Owen 2007, the pigeonhole bootstrap). There is no interval below five of either; that of
    a single model is for this model.

    Args:
        scores: (M, n).
        held: (M, n) what is so.
        llr: whether scores are log-likelihood ratios, whose zero is a threshold fixed beforehand.
        resamples: for the intervals.
        seed: of the resamples.
    """
    models, records = scores.shape
    alone = models == 1
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(records, np.full(records, 1 / records), size=resamples)
    chosen = rng.multinomial(models, np.full(models, 1 / models), size=resamples)
    weights = np.vstack([np.ones(records), drawn])  # (1 + B, n), first the records as they are
    by_model = [
        model_rates(own, flags, weights, llr) for own, flags in zip(scores, held, strict=True)
    ]
    counts = np.vstack([np.ones(models), chosen])  # (1 + B, M)
    tail = expanded_tail(models) if not alone else 0.025
    found: dict[str, Any] = {}
    for name in by_model[0]:
        each = np.stack([rates[name] for rates in by_model], axis=1)  # (1 + B, M)
        there = ~np.isnan(each)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = (np.where(there, each, 0) * counts).sum(1) / (there * counts).sum(1)  # (1 + B,)
        found[name] = _number(means[0])
        if name.startswith("fpr"):
            continue
        told = (alone or models >= MIN_INFORMATIVE) and records >= MIN_INFORMATIVE
        told = told and not np.isnan(means[0])
        ends = np.nanquantile(means[1:], [tail, 1 - tail]) if told else (math.nan, math.nan)
        found[f"{name}_lower"], found[f"{name}_upper"] = map(_number, ends)
    return found


def model_rates(scores: Array, held: Flags, weights: Array, llr: bool) -> dict[str, Array]:
    """Return the rates (B,) of one model, under each of B weightings of its records.

    The threshold of a false positive rate is the lowest that does not exceed it; there is none
    where that rate is less than one record.

    Args:
        scores: (n,).
        held: (n,).
        weights: (B, n), the first of which are ones.
        llr: whether 0 is a threshold.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, flags, drawn = scores[order], held[order], weights[:, order]
    last = np.append(ranked[1:] != ranked[:-1], True)  # of the records that tie
    members = np.cumsum(drawn * flags, axis=1)[:, last]  # (B, g) above each threshold
    others = np.cumsum(drawn * ~flags, axis=1)[:, last]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = members / members[:, -1:]
        alarms = others / others[:, -1:]
    found, alarms = (np.pad(rates, ((0, 0), (1, 0))) for rates in (found, alarms))
    rates = {"auc": np.asarray(np.trapezoid(found, alarms, axis=1))}
    zero = np.count_nonzero(ranked[last] > 0)
    rates["balanced_accuracy"] = (
        (1 + found[:, zero] - alarms[:, zero]) / 2 if llr else np.full(len(weights), math.nan)
    )
    for name, rate in RATES.items():
        place = np.count_nonzero(alarms <= rate + 1e-12, axis=1) - 1
        chosen = np.arange(len(weights)), np.maximum(place, 0)
        unknown = rate * np.count_nonzero(~held) < 1
        rates[f"tpr_{name}"] = np.where(unknown, math.nan, found[chosen])
        rates[f"fpr_{name}"] = np.where(unknown, math.nan, alarms[chosen])
    return rates


def audit_pool(pool: Signals, delta: float, seed: int = 0) -> tuple[Lower, Lower]:
    """Return the audits of many runs and of one run: lower bounds on the loss of one record.

    The first half of the models are references of LiRA, the second is audited: a guess must use no
    coin of another model that is audited. All audited models are one run of their records
    together; many runs take one record of each, drawn at random, and the threshold 0.
    """
    models = np.arange(len(pool.held))
    second = models >= len(models) // 2
    audited = pool.rows(second)
    (scores,) = attack_scores(audited, pool.rows(~second), ("lira-online",)).values()
    guess, truth = scores > 0, audited.held
    bits = scores.size
    order = np.argsort(-np.abs(scores), axis=None)
    right = (guess == truth).ravel()[order]
    one = Lower(0.0, 0.0)
    for share in GUESSED:
        guesses = max(int(share * bits), 1)
        found = one_run_audit(
            bits, guesses, int(right[:guesses].sum()), delta, alpha=ALPHA / len(GUESSED)
        )
        one = Lower(max(one.epsilon, found.epsilon), max(one.mu, found.mu))
    model = np.repeat(np.arange(len(truth)), truth.shape[1])
    drawn = one_of_each(model, seed)
    said, so = guess.ravel()[drawn], truth.ravel()[drawn]
    many = many_run_audit(
        int((said & so).sum()), int(so.sum()), int((said & ~so).sum()), int((~so).sum()), delta
    )
    return many, one


def _audits(found: tuple[Lower, Lower] | None) -> dict[str, Any]:
    """Return the columns of the bounds of many runs and of one run."""
    return {
        f"{name}_{unit}_lower": None if found is None else getattr(found[place], unit)
        for place, name in enumerate(("many", "one"))
        for unit in ("epsilon", "mu")
    }


def score_records(
    pool: Signals, about: PoolColumns, sentences: Sequence[tuple[str, str]]
) -> Iterator[RecordRow]:
    """Yield one row per sentence, (text, intent) pairs that are the first records of the pool."""
    ratios = leave_one_out(pool, ("lira-online",))["lira-online"]
    sums, counts = np.where(pool.held, ratios, 0.0).sum(0), pool.held.sum(0)
    for (text, intent), total, count in zip(sentences, sums, counts, strict=False):
        yield RecordRow(
            **vars(about),
            sentence=text,
            sentence_intent=intent,
            held_by=int(count),
            mean_ratio=float(total / count) if count else None,
        )


def _allowed(allowed: Allowed | None, rates: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the most that each rate may be, at the false positive rates that were realised."""
    found: dict[str, Any] = {"auc_bound": None if allowed is None else allowed.area()}
    for name in RATES:
        rate = rates[f"fpr_{name}"]
        found[f"tpr_{name}_bound"] = float(allowed(rate)) if allowed and rate is not None else None
    return found


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)
