"""How the report words numbers and names: alike in tables, figures and sentences."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from modiva.counts import count as count
from modiva.counts import plural as plural
from modiva.measure import Group, Interval, as_frame

NO_DEFENSE = "no defense"
# What stands beside a claim that the audit of ranks refutes.
VIOLATED = "VIOLATED"
_ACRONYMS = {"cnn": "CNN", "lstm": "LSTM", "minilm": "MiniLM", "bilstm": "BiLSTM", "dp": "DP"}


# Bidirectional controls and the like: they change how the text around them reads.
_INVISIBLE = (
    "\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
)
_CONTROL = re.compile(f"[\x00-\x1f\x7f-\x9f{_INVISIBLE}\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text in which every control character is a mark that can be seen and does nothing.

    The name and notes of a corpus may hold escapes of terminals, line ends, or marks that
    turn the direction of reading; a page, a figure or a table that shows them would be another.
    """
    return _CONTROL.sub(lambda match: _mark(ord(match[0])), text)


def _mark(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)  # the control pictures of Unicode
    return "\u2421" if code == 0x7F else "\ufffd"


def percent(rate: float) -> str:
    """Return a rate as a percentage that never rounds something to nothing or to everything."""
    if 0 < rate < 0.005:
        return "<1 %"
    if 0.995 < rate < 1:
        return ">99 %"
    return f"{100 * rate:.0f} %"


def share(bound: float) -> str:
    """Return a bound on a rate as a percentage of two digits, never too low: "0.26 %"."""
    shown = 100 * bound
    if shown >= 99.5:
        return "100 %"
    digits = 1 - math.floor(math.log10(shown))
    up = math.ceil(shown * 10**digits * (1 - 1e-9)) / 10**digits
    return f"{short(up, 2)} %"


def percent_range(measure: Interval) -> str:
    """Return the interval of a rate, say "48–74 %"."""
    return f"{100 * measure.lower:.0f}–{100 * measure.upper:.0f} %"


def compact(number: float) -> str:
    """Return a positive number in a few signs: 4.08, 302, 5.2k, 944k, 1.3M; never too low."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * unit:
            scaled = number / unit
            digits = 1 if scaled < 9.9 else 0
            return f"{math.ceil(scaled * 10**digits) / 10**digits:.{digits}f}{name}"
    return short(number)


def odds(chance: float) -> str:
    """Return a small probability as "1 in 10,000"."""
    return f"1 in {count(1 / chance)}" if chance < 0.5 else percent(chance)


def short(number: float | None, digits: int = 3) -> str:
    """Return a number to some significant digits; nothing where there is none."""
    if number is None or math.isnan(number):
        return "–"
    if math.isinf(number):
        return "∞"
    if abs(number) >= 10**digits:
        return count(number) if abs(number) < 1e9 else f"{number:.1e}".replace("e+", "e")
    return f"{number:.{digits}g}".replace("e-0", "e-")


def bound(group: Group) -> str:
    """Return the epsilon that holds for a secret: of all R sentences that hold it, "∞" for none."""
    found = group.group_epsilon if group.get("repetitions", 1) > 1 else group.epsilon
    return short(math.inf if found is None else found)


def sentence_bound(group: Group) -> str:
    """Return what to add of one sentence's epsilon where a secret stands in several, or ""."""
    if group["repetitions"] <= 1 or group.epsilon is None:
        return ""
    return f"{short(group.epsilon)} for one sentence"


def target_name(target: str) -> str:
    """Return a target as people write it; of a folder only its last part."""
    name = PurePath(target).name or target
    return "-".join(_ACRONYMS.get(part, part) for part in name.split("-"))


# Defenses that are private training, and what a noise multiplier is said to be of.
PRIVATE = {"dp": "DP", "edp": "eDP-SGD", "loop": "DP in a loop"}


def base_defense(defense: str) -> str:
    """Return what a defense consists of beside differential privacy, or "none"."""
    parts = [part for part in str(defense).split("+") if part not in {*PRIVATE, "none", "nan", ""}]
    return "+".join(parts) or "none"


def condition(defense: str, noise_multiplier: float, target_epsilon: float | None = None) -> str:
    """Return how a target was defended, say "dropout, DP σ = 0.5", or "DP ε = 3" if so asked."""
    base = base_defense(defense)
    parts = [] if base == "none" else [base.replace("+", " + ")]
    private = [PRIVATE[part] for part in str(defense).split("+") if part in PRIVATE]
    if noise_multiplier > 0 or private:
        asked = target_epsilon is not None and not math.isnan(target_epsilon)
        level = f"ε = {target_epsilon:g}" if asked else f"σ = {noise_multiplier:g}"
        parts.append(f"{(private or ['DP'])[0]} {level}")
    return ", ".join(parts) or NO_DEFENSE


def trained(row: Mapping[str, Any]) -> str:
    """Return how clients or a teacher trained, and what of it was seen; "" for one trainer."""
    name = row.get("training")
    if not isinstance(name, str) or name == "central":
        return ""
    if not isinstance(row.get("partition"), str):
        return name
    parts = [f"{name} {row['partition']}", f"{row['per_round']:g} a round"]
    if row["selection"] != "uniform":
        parts.append(f"by {row['selection']}")
    if row["periods"] > 1:
        parts.append(f"{row['periods']:g} periods")
    if isinstance(row.get("seen"), str):
        parts.append(f"{row['seen']} seen")
    return ", ".join(parts)


def handled(row: Mapping[str, Any]) -> str:
    """Return how a target was trained and defended, or "no defense"."""
    defended = condition(row["defense"], row["noise_multiplier"], row.get("target_epsilon"))
    how = trained(row)
    parts = [part for part in (how, defended) if part and not (how and part == NO_DEFENSE)]
    return ", ".join(parts)


def defense_order(defense: str, noise_multiplier: float) -> tuple[bool, int, str, float]:
    """Return a sorting key: no defense, then defenses without noise, then more noise."""
    base = base_defense(defense)
    parts = 0 if base == "none" else base.count("+") + 1
    return noise_multiplier > 0, parts, base, noise_multiplier


def prepare(rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows with `condition`, how each target was defended, and names fit to be shown.

    Within a corpus and target: no defense first, then defenses without noise, then more noise.
    """
    frame = as_frame(rows)
    if frame.empty:
        return frame.assign(condition=[])
    for name in {"corpus", "target", "attack", "pattern", "planting"} & set(frame.columns):
        frame[name] = frame[name].map({text: visible(str(text)) for text in frame[name].unique()})
    levels = frame[[name for name in _HANDLING if name in frame]]
    number = levels.groupby(list(levels), dropna=False, sort=False).ngroup().to_numpy()
    _, first = np.unique(number, return_index=True)
    kinds = records(levels.iloc[first])
    bases = [_base(kind) for kind in kinds]
    frame["base_defense"] = [bases[place] for place in number]
    order = sorted(kinds, key=_kind_order)
    names = list(dict.fromkeys(map(handled, order)))
    said = [handled(kind) for kind in kinds]
    found = [said[place] for place in number]
    frame["condition"] = pd.Categorical(found, names, ordered=True)
    return frame


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, each by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


# Columns that say how a target was trained and defended.
_HANDLING = (
    *("defense", "noise_multiplier", "target_epsilon", "training", "partition", "selection"),
    *("per_round", "periods", "seen"),
)


def _base(kind: Mapping[str, Any]) -> str:
    """Return what tells targets apart beside the amount of noise, or "none"."""
    base = base_defense(kind["defense"])
    return ", ".join(part for part in (trained(kind), base) if part and part != "none") or "none"


def _kind_order(kind: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*defense_order(kind["defense"], kind["noise_multiplier"]), trained(kind))


def least_defended(frame: pd.DataFrame) -> str:
    """Return the condition of the rows that comes first: no defense where there is one."""
    return str(frame["condition"].cat.remove_unused_categories().cat.categories[0])


def strongest_attack(frame: pd.DataFrame) -> str:
    """Return the attack with the highest rate of exact matches of planted secrets."""
    planted = frame[frame["planted"] == 1]
    pool = planted if len(planted) else frame
    return str(pool.groupby("attack", sort=False)["exact"].mean().idxmax())
