"""Membership inference in words: one sentence, a small table, and warnings."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from modiva.report.words import (
    NO_DEFENSE,
    VIOLATED,
    count,
    records,
    share,
    short,
    target_name,
)

# The attack that the page is about, fixed beforehand: audits rest on its likelihood ratios.
ATTACK = "lira-online"
HEADINGS = (
    "Target", "Defense", "Records", "AUC by loss", "AUC by LiRA", "At most",
    "TPR at FPR", "At most", "One run: ε ≥", "ε claimed",
)  # fmt: skip


def sentence(pools: pd.DataFrame) -> str:
    """Return how well members are told, without a defense and with the most noise, or ""."""
    told = pools[(pools["inference"] == ATTACK) & (pools["records"] == "sentences")]
    if told.empty:
        return ""
    bare = told[told["condition"] == NO_DEFENSE]
    best = records((bare if len(bare) else told).sort_values("auc"))[-1]
    text = (
        f"LiRA, which compares a model with {count(best['pool'] - 1)} others trained on random "
        f"halves, tells the training sentences of {_name(best)} from others with an AUC of "
        f"{_auc(best)} (0.5 is guessing)"
    )
    same = told[(told["corpus"] == best["corpus"]) & (told["target"] == best["target"])]
    private = same[same["auc_bound"].notna() & (same["condition"] != best["condition"])]
    if len(private):
        last = records(private.sort_values("noise_multiplier"))[-1]
        text += (
            f"; with {last['condition']} {_auc(last)}, where {last['auc_bound']:.2f} is the most "
            "that any attack can reach"
        )
    return f"{text}."


def table(pools: pd.DataFrame) -> list[list[str]]:
    """Return lines of texts under `HEADINGS`: each kind of records of each pool."""
    keys = ["corpus", "target", "condition", "planting", "pool_seed", "records", "repetitions"]
    loss = pools[pools["inference"] == "loss"].set_index(keys)["auc"]
    lines = []
    for row in records(pools[pools["inference"] == ATTACK]):
        found = loss.get(tuple(row[key] for key in keys))
        lines.append([
            f"{row['corpus']} · {target_name(row['target'])}",
            row["condition"],
            _records(row),
            "–" if found is None else f"{found:.2f}",
            _auc(row),
            "–" if _none(row["auc_bound"]) else f"{row['auc_bound']:.2f}",
            _tpr(row),
            "–" if _none(row["tpr_1_bound"]) else share(row["tpr_1_bound"]),
            f"{short(row['one_epsilon_lower'])}{_violated(row)}",
            "–" if row["records"] == "controls" else short(_claimed(row)),
        ])  # fmt: skip
    return lines


def refuted(pools: pd.DataFrame) -> list[str]:
    """Return a warning for every claim that the audits of pools refute."""
    warnings = []
    for row in records(pools):
        if not _violated(row):
            continue
        lower = max(row["one_epsilon_lower"], row["many_epsilon_lower"])
        warnings.append(
            f"THE PRIVACY CLAIM IS {VIOLATED}. {_name(row)}, {_records(row)}: membership shows an "
            f"ε of at least {short(lower)} where {short(row['claimed_epsilon'])} is claimed. "
            "Noise, clipping or sampling did not run as accounted."
        )
    return warnings


def _violated(row: Mapping[str, Any]) -> str:
    """Return a mark where an audit shows more than is claimed."""
    lowers = [row["one_epsilon_lower"], row["many_epsilon_lower"]]
    claimed = row["claimed_epsilon"]
    if _none(claimed) or all(map(_none, lowers)):
        return ""
    return f" {VIOLATED}" if max(lowers) > claimed else ""


def _claimed(row: Mapping[str, Any]) -> float:
    return float("inf") if _none(row["claimed_epsilon"]) else row["claimed_epsilon"]


def _records(row: Mapping[str, Any]) -> str:
    kind = f"{count(row['n_records'])} {row['records']}"
    return f"{kind}, R = {count(row['repetitions'])}" if row["records"] == "canaries" else kind


def _name(row: Mapping[str, Any]) -> str:
    how = row["condition"]
    how = "without a defense" if how == NO_DEFENSE else f"with {how}"
    return f"the {target_name(row['target'])} on {row['corpus']} {how}"


def _auc(row: Mapping[str, Any]) -> str:
    if _none(row["auc"]):
        return "–"
    ends = "" if _none(row["auc_lower"]) else f" ({row['auc_lower']:.2f}–{row['auc_upper']:.2f})"
    return f"{row['auc']:.2f}{ends}"


def _tpr(row: Mapping[str, Any]) -> str:
    if _none(row["tpr_1"]):
        return "–"
    return f"{100 * row['tpr_1']:.1f} % at {100 * row['fpr_1']:.1f} %"


def _none(value: Any) -> bool:
    return bool(pd.isna(value))
