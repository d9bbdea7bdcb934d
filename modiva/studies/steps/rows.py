"""The rows of a trained target: what its condition, its training and its canaries say."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from canaries import Canary, Ledger
from modiva.condition import Condition
from modiva.measure import Claims, ModelRow, Row, columns, membership
from modiva.privacy import plan_from
from modiva.studies.engines.task import Rows
from modiva.training import Prepared, Target


def plain(
    rows: Iterable[
        Row | ModelRow | columns.GroupRow | membership.MembershipRow | membership.RecordRow
    ],
) -> Rows:
    """Return rows as a step gives them."""
    return [dict(vars(row)) for row in rows]


def condition_columns(condition: Condition, corpus: str) -> dict[str, Any]:
    """Return the columns of a row's condition: equal targets under two names share the rest.

    Args:
        condition: of the targets.
        corpus: the name that tables show.
    """
    return {
        "corpus": corpus,
        "target": condition.target,
        "size": condition.size,
        "defense": condition.protection,
        "target_epsilon": condition.privacy.epsilon if condition.privacy else None,
    }


def training_columns(prepared: Prepared, target: Target) -> dict[str, Any]:
    """Return the columns of the kind of training that a target had."""
    result = target.result
    return {
        **condition_columns(prepared.condition, prepared.corpus.name),
        "noise_multiplier": _first_noise(result.plan),
        "epsilon": result.epsilon,
        "delta": result.delta,
    }


def planting_text(copies: Mapping[str, int]) -> str:
    """Return patterns with their repetitions as tables show them."""
    return ", ".join(f"{name} × {count}" for name, count in copies.items()) or "nothing"


def model_columns(prepared: Prepared, target: Target) -> columns.ModelColumns:
    """Return the columns of a trained target."""
    result = target.result
    return columns.ModelColumns(
        **training_columns(prepared, target),
        model_seed=target.model_seed,
        sentences=target.sentences,
        epochs=result.epochs_run,
        test_accuracy=result.test_accuracy,
        majority_accuracy=result.majority_accuracy,
    )


def model_row(prepared: Prepared, target: Target, ledger: Ledger) -> ModelRow:
    """Return the row of a trained target."""
    result = target.result
    copies = {canary.pattern: canary.repetitions for canary in ledger.canaries}
    return ModelRow(
        **vars(model_columns(prepared, target)),
        planting=planting_text(copies),
        valid_accuracy=result.valid_accuracy,
        train_accuracy=result.train_accuracy,
        steps=result.steps,
        clipped=result.plan["ran"].get("clipped_fraction") if result.plan else None,
        seconds=result.seconds,
        seconds_per_step=result.seconds / result.steps if result.steps else None,
    )


def claims_of(target: Target, canary: Canary) -> Claims | None:
    """Return what a target's training guarantees of a canary; None without privacy or noise."""
    if target.result.plan is None:
        return None
    plan = plan_from(target.result.plan)
    if not math.isfinite(plan.epsilon()):
        return None
    epsilon = plan.group_epsilon(canary.repetitions)
    bounds = plan.bounds(canary.form.size, canary.repetitions)
    return Claims(
        epsilon if math.isfinite(epsilon) else None,
        bounds.exact_bound,
        bounds.top10_bound,
        bounds.exposure_bound,
    )


def _first_noise(plan: dict[str, Any] | None) -> float:
    """Return the noise multiplier of a training, in its first step; 0 without privacy."""
    if plan is None:
        return 0.0
    noise = plan["noise_multiplier"]
    return float(noise if isinstance(noise, int | float) else noise[0])
