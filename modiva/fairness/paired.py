"""What each protection costs each group: paired by model seed, with intervals over models."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from modiva.fairness.groupings import GROUPINGS
from modiva.measure import Interval, columns, intervals

# What tells models apart that are compared: all that is no protection.
PAIRED = ("corpus", "target", "size", "planting")
# What a protection is: every other condition of a model.
PROTECTION = tuple(
    name for name in columns.names("condition", of=columns.ModelColumns) if name not in PAIRED
)
# Values of these columns in models without any protection.
BARE = ("none", "central", "", 0)


def own_columns(groups: pd.DataFrame) -> list[str]:
    """Return the groupings that are columns of the user's file."""
    return [name for name in dict.fromkeys(groups["grouping"]) if name not in GROUPINGS]


def costs(groups: pd.DataFrame, also: Sequence[str] = ()) -> pd.DataFrame:
    """Return one line per protection and group: accuracy, and what the protection takes of it.

    The cost of a group is its accuracy without a protection minus that with it, of the model of
    the same seed and secrets; the interval is Student's, over models.

    Args:
        groups: rows of `GroupRow`, all of one study.
        also: further columns that follow from the protection, such as its name in words.

    Returns:
        Columns of `PAIRED` (without planting) and `PROTECTION`, grouping, group, tested, floor,
        accuracy (Interval), cost (Interval; None without an unprotected model of the same seed).
    """
    whole = groups[groups["intent"].fillna("") == ""]
    told = (*PAIRED, *PROTECTION, *also)
    kept = [name for name in told if name in whole and name != "planting"]
    keys = [*PAIRED, "grouping", "group", "model_seed"]
    bare = whole[_unprotected(whole)].drop_duplicates(keys)
    paired = whole.merge(bare[[*keys, "accuracy"]], on=keys, how="left", suffixes=("", "_bare"))
    lines = []
    for key, part in paired.groupby([*kept, "grouping", "group"], dropna=False, sort=False):
        lost = part["accuracy_bare"] - part["accuracy"]
        there = lost.notna()
        line: dict[str, Any] = dict(zip([*kept, "grouping", "group"], key, strict=True))
        line["tested"] = int(part["tested"].iloc[0])
        line["floor"] = float(part["floor"].mean())
        accuracy = intervals.student_interval(part["accuracy"], part["model_seed"])
        ends = np.clip([accuracy.lower, accuracy.upper], 0, 1)
        line["accuracy"] = replace(accuracy, lower=float(ends[0]), upper=float(ends[1]))
        line["cost"] = (
            intervals.student_interval(lost[there], part["model_seed"][there])
            if there.any()
            else None
        )
        lines.append(line)
    return pd.DataFrame(lines)


def exposures(rows: pd.DataFrame, groups: pd.DataFrame, also: Sequence[str] = ()) -> pd.DataFrame:
    """Return one line per protection, repetitions and frequency group of the canaries' labels.

    Args:
        rows: of `Row`, of the same study, with an attack that ranks; of several the one of the
            largest mean exposure is taken.
        groups: rows of `GroupRow`, the grouping `frequency` among them.
        also: as of `costs`.

    Returns:
        Columns of `PROTECTION` and corpus, target, attack, repetitions, group, exposure and exact
        (Interval each) of planted secrets, control_exposure of those never planted.
    """
    frequency = groups[(groups["grouping"] == "frequency") & (groups["intent"].fillna("") != "")]
    owned = frequency[frequency["tested"] > 0]
    group_of = owned.drop_duplicates(["corpus", "intent"]).set_index(["corpus", "intent"])["group"]
    ranked = rows[rows["exposure"].notna()]
    if ranked.empty or group_of.empty:
        return pd.DataFrame()
    labels = pd.MultiIndex.from_frame(ranked[["corpus", "label"]])
    ranked = ranked.assign(group=group_of.reindex(labels).to_numpy())
    best = ranked[ranked["planted"] == 1].groupby("attack")["exposure"].mean().idxmax()
    ranked = ranked[(ranked["attack"] == best) & ranked["group"].notna()]
    keys = [
        name
        for name in ("corpus", "target", *PROTECTION, *also, "attack", "repetitions", "group")
        if name in ranked
    ]
    return pd.DataFrame(_exposed(ranked, keys))


def _exposed(ranked: pd.DataFrame, keys: list[str]) -> Iterator[dict[str, Any]]:
    for key, part in ranked.groupby(keys, dropna=False, sort=False):
        planted, controls = part[part["planted"] == 1], part[part["planted"] == 0]
        if planted.empty:
            continue
        bits = float(np.log2(planted["space_size"].max()))
        yield {
            **dict(zip(keys, key, strict=True)),
            "exposure": _interval(planted, "exposure", bits),
            "exact": _interval(planted, "exact", 1.0),
            "control_exposure": float(controls["exposure"].mean()) if len(controls) else None,
        }


def _interval(part: pd.DataFrame, name: str, high: float) -> Interval:
    return intervals.bounded_interval(part[name], part["model_seed"], high=high)


def _unprotected(frame: pd.DataFrame) -> pd.Series:
    """Tell which rows are of models without any protection."""
    told = frame[[name for name in PROTECTION if name in frame]]
    return (told.isna() | told.isin(BARE)).all(axis=1)
