"""Reconstructions beside the truth, chosen by order and never by outcome."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from modiva.report.words import strongest_attack, target_name

PER_CELL = 3
LIMIT = 180


@dataclass(frozen=True)
class Side:
    """One secret, what the attack made of it word by word, and how far it got."""

    where: str
    pattern: str
    repetitions: int
    secret: str
    words: tuple[tuple[str, bool], ...]  # (word, right)
    rank: str
    exposure: str


@dataclass(frozen=True)
class Sides:
    """The chosen reconstructions and how they were chosen."""

    sides: tuple[Side, ...]
    total: int
    attack: str


def side_by_side(frame: pd.DataFrame) -> Sides | None:
    """Return the first few models of every cell, or None where nothing was planted."""
    needed = {"secret", "reconstruction"}
    if frame.empty or not needed <= set(frame.columns) or not (frame["planted"] == 1).any():
        return None
    attack = strongest_attack(frame)
    planted = frame[(frame["planted"] == 1) & (frame["attack"] == attack)]
    cell = ["corpus", "target", "condition", "repetitions", "pattern"]
    nth = planted.groupby(cell, observed=True, sort=False).cumcount()
    # The n-th of every cell before the next of any: a limit then cuts no cell off.
    chosen = planted[nth < PER_CELL].assign(nth=nth).sort_values("nth", kind="stable")[:LIMIT]
    chosen = chosen.sort_values(cell, kind="stable")
    several = frame["corpus"].nunique() > 1
    sides = tuple(_side(row, several) for row in chosen.to_dict("records"))
    return Sides(sides, len(planted), attack)


def _side(row: dict[Any, Any], several_corpora: bool) -> Side:
    secret, found = str(row["secret"]).split(), str(row["reconstruction"]).split()
    where = [str(row["corpus"])] if several_corpora else []
    where += [target_name(str(row["target"])), str(row["condition"])]
    rank, bits = row.get("rank"), row.get("exposure")
    return Side(
        where=", ".join(where),
        pattern=str(row["pattern"]),
        repetitions=int(row["repetitions"]),
        secret=" ".join(secret),
        words=tuple((ours, ours == theirs) for ours, theirs in zip(found, secret, strict=False)),
        rank="–" if rank is None or pd.isna(rank) else f"{int(rank):,}",
        exposure="–" if bits is None or pd.isna(bits) else f"{float(bits):.1f}",
    )
