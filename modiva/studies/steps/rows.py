"""The rows of a trained target: what its condition, its training and its canaries say."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from canaries import Canary, Ledger
from modiva.condition import Condition
from modiva.handling import Federated, Seen
from modiva.measure import Claims, columns, membership
from modiva.privacy import PrivacyPlan
from modiva.studies.engines.task import Rows
from modiva.training import Prepared, Target

# What is seen before noise is added to it.
BEFORE_NOISE = ("aggregate", "update")


def plain(
    rows: Iterable[
        columns.Row
        | columns.ModelRow
        | columns.GroupRow
        | columns.NameRow
        | membership.MembershipRow
        | membership.RecordRow
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
    clients = condition.training if isinstance(condition.training, Federated) else None
    private = condition.privacy or clients
    return {
        "corpus": corpus,
        "target": condition.target,
        "size": condition.size,
        "defense": condition.protection,
        "training": condition.method,
        "partition": clients and clients.partition,
        "selection": clients and clients.selection,
        "per_round": clients and clients.per_round,
        "periods": clients and clients.periods,
        "clients": clients and clients.clients,
        "rounds": clients and clients.rounds,
        "target_epsilon": private and private.epsilon,
        "privatize": condition.privatize,
    }


def training_columns(prepared: Prepared, target: Target) -> dict[str, Any]:
    """Return the columns of the kind of training that a target had."""
    result, mechanism = target.result, prepared.mechanism
    return {
        **condition_columns(prepared.condition, prepared.corpus.name),
        "text_epsilon": None if mechanism is None else mechanism.proven,
        "epsilon_claimed": None if mechanism is None else mechanism.claimed,
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
        words_kept=target.words_kept,
        model_seed=target.model_seed,
        sentences=target.sentences,
        epochs=result.epochs_run,
        test_accuracy=result.test_accuracy,
        majority_accuracy=result.majority_accuracy,
    )


def model_row(prepared: Prepared, target: Target, ledger: Ledger) -> columns.ModelRow:
    """Return the row of a trained target."""
    result = target.result
    copies = {canary.pattern: canary.repetitions for canary in ledger.canaries}
    return columns.ModelRow(
        **vars(model_columns(prepared, target)),
        planting=planting_text(copies),
        valid_accuracy=result.valid_accuracy,
        train_accuracy=result.train_accuracy,
        steps=result.steps,
        accuracy_by_round=_by_round(target),
        clipped=result.plan["ran"].get("clipped_fraction") if result.plan else None,
        seconds=result.seconds,
        seconds_per_step=result.seconds / result.steps if result.steps else None,
    )


def claims_of(
    prepared: Prepared, target: Target, canary: Canary, seen: Seen = "final"
) -> Claims | None:
    """Return what is guaranteed of a canary; None without privacy, noise and text protection."""
    claims, reader = _training_claims(target, canary, seen), prepared.reader
    if reader is None or canary.rewritten is None:
        return claims
    return replace(
        claims or Claims(),
        secret_epsilon=reader.secret_epsilon(canary.form, 1),
        secret_group_epsilon=reader.secret_epsilon(canary.form, len(canary.rewritten)),
    )


def decoded(prepared: Prepared, canary: Canary) -> tuple[str, ...] | None:
    """Return the secret that the rewritten copies of a canary name; None where it has none."""
    if prepared.reader is None or canary.rewritten is None:
        return None
    return prepared.reader.decode(canary.form, canary.rewritten)


def _training_claims(target: Target, canary: Canary, seen: Seen) -> Claims | None:
    """Return what private training guarantees; None without privacy or noise.

    Of federated training it holds for all sentences of a device, so for a secret in one device
    whatever its repetitions, at the rate at which that device takes part. It holds against those
    who see global models: noise is added to the sum of updates, after the server has seen them.
    """
    if target.result.plan is None or seen in BEFORE_NOISE:
        return None
    plan, copies = PrivacyPlan.read(target.result.plan), canary.repetitions
    if target.rounds is not None:
        device = target.devices.get(canary.id)
        copies = device.holders if device else 0
        plan = replace(plan, sampling_rate=device.sampling_rate) if device else plan
    if not math.isfinite(plan.epsilon()):
        return None
    epsilon = plan.group_epsilon(copies)
    bounds = plan.bounds(canary.form.size, copies)
    return Claims(
        epsilon if math.isfinite(epsilon) else None,
        bounds.exact_bound,
        bounds.top10_bound,
        bounds.exposure_bound,
    )


def sight_of(target: Target, canary: Canary, seen: Seen) -> dict[str, Any]:
    """Return the columns of what an attacker saw of the device of a canary; none without one."""
    if target.rounds is None:
        return {}
    device = target.devices.get(canary.id)
    if device is None:
        return {"seen": seen}
    return {"seen": seen, "device_share": device.share, "device_rounds": device.rounds}


def _by_round(target: Target) -> str | None:
    if target.rounds is None:
        return None
    return " ".join(f"{record.valid_accuracy or 0:.4f}" for record in target.result.history)


def _first_noise(plan: dict[str, Any] | None) -> float:
    """Return the noise multiplier of a training, in its first step; 0 without privacy."""
    if plan is None:
        return 0.0
    noise = plan["noise_multiplier"]
    return float(noise if isinstance(noise, int | float) else noise[0])
