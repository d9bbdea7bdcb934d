"""What given names do to predictions, in words: one sentence and a small table."""

import pandas as pd

from modiva.measure import Interval, intervals
from modiva.report.words import NO_DEFENSE, percent, records, target_name

HEADINGS = (
    "Target", "Defense", "Models", "Flips: other list", "Flips: same list", "Gap: other list",
    "Gap: same list", "Signed effect, points", "Sensitivity: names / any token",
    "Tokens that tell the list / any",
)  # fmt: skip
_CELL = ["corpus", "target", "condition"]


def by_condition(names: pd.DataFrame) -> pd.DataFrame:
    """Return one line per protection, means over models, with the signed effect as an interval.

    Ratios of sensitivities are of means; of models that never move there is none.
    """
    lines = []
    for key, part in names.groupby(_CELL, sort=False, observed=True):
        measured = part.select_dtypes("number").mean()
        signed = intervals.student_interval(part["signed_effect"], part["model_seed"])
        cell = dict(zip(_CELL, key, strict=True))
        lines.append({**measured, **cell, "models": len(part), "signed": signed})
    found = pd.DataFrame(lines)
    for kind in ("names", "status"):
        found[f"ratio_{kind}"] = found[f"sensitivity_{kind}"] / found["sensitivity_any"]
    return found


def sentence(names: pd.DataFrame) -> str:
    """Return how often a name decides, without a defense and with the most flips, or ""."""
    found = by_condition(names)
    bare = found[found["condition"] == NO_DEFENSE]
    first = records(bare if len(bare) else found)[0]
    text = (
        f"In sentences with a given name the {target_name(first['target'])} names another intent "
        f"for {_flips(first)}; the signed effect on the true intent is {_points(first['signed'])}"
    )
    same = found[(found[_CELL[:2]] == [first[name] for name in _CELL[:2]]).all(axis=1)]
    others = records(same[same["condition"] != first["condition"]].sort_values("flips_between"))
    if others:
        last = others[-1]
        text += f"; with {last['condition']}, for {_flips(last)}, {_points(last['signed'])}"
    return f"{text}."


def table(names: pd.DataFrame) -> list[list[str]]:
    """Return lines of texts under `HEADINGS`: each protection."""
    return [
        [
            f"{row['corpus']} · {target_name(row['target'])}",
            row["condition"],
            str(row["models"]),
            percent(row["flips_between"]),
            percent(row["flips_within"]),
            f"{row['gap_between']:.4f}",
            f"{row['gap_within']:.4f}",
            _points(row["signed"]),
            f"{row['ratio_names']:.2f}",
            f"{row['ratio_status']:.2f}",
        ]
        for row in records(by_condition(names))
    ]


def _flips(row: dict[str, float]) -> str:
    return (
        f"{percent(row['flips_between'])} of pairs of names of two lists and for "
        f"{percent(row['flips_within'])} of those of one"
    )


def _points(signed: Interval) -> str:
    ends = f" ({100 * signed.lower:.1f} to {100 * signed.upper:.1f})" if signed.known else ""
    return f"{100 * signed.mean:+.1f} points{ends}"
