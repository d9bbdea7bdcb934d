"""The answer in plain sentences: what was extracted, from what, at which epsilon, against what."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from modiva.measure import summarise
from modiva.report.words import (
    NO_DEFENSE,
    count,
    odds,
    percent,
    percent_range,
    plural,
    short,
    target_name,
)

LEARNED = 0.25  # share of the way from the floor to the undefended accuracy
_CELL = ["corpus", "target", "condition", "noise_multiplier", "repetitions", "attack"]


@dataclass(frozen=True)
class Answer:
    """A headline, the sentences under it, and warnings that change how it must be read."""

    headline: str
    sentences: tuple[str, ...]
    private: tuple[str, ...]  # one line a noise level, under the last sentence
    warnings: tuple[str, ...]


def answer(frame: pd.DataFrame) -> Answer:
    """Return what rows (with their `condition`) say, strongest undefended cell first."""
    # Categories would make a group of every combination, also of those that did not run.
    frame = frame.assign(condition=frame["condition"].astype(str))
    planted = frame[frame["planted"] == 1]
    if planted.empty:
        return Answer(
            "Nothing was planted in these targets.",
            ("They are the floor: what an attack matches by luck in models without the secret.",),
            (),
            (),
        )
    cells = summarise(planted, _CELL)
    bare = [cell for cell in cells if cell["condition"] == NO_DEFENSE]
    best = max(bare or cells, key=lambda cell: cell["exact"]["mean"])
    sentences = [_what(best), _against(best, frame)]
    among = bare or cells
    if len(among) > 1:
        sentences.append(
            f"This is the highest of {count(len(among))} {'undefended ' if bare else ''}cells: its "
            "interval does not account for that choice."
        )
    private = _private(best, cells) if best["noise_multiplier"] == 0 else ()
    if private:
        sentences.append(_before(best))
    elif not any(cell["noise_multiplier"] > 0 for cell in cells):
        sentences.append("No target of this run was trained with differential privacy.")
    return Answer(_headline(best), tuple(sentences), private, tuple(_undertrained(cells)))


def _headline(cell: Mapping[str, Any]) -> str:
    found, n = _successes(cell["exact"]), cell["exact"]["n"]
    target = f"{target_name(cell['target'])} trained on {cell['corpus']}"
    defended = cell["condition"]
    how = "without a defense" if defended == NO_DEFENSE else f"with {defended}"
    if not found:
        return f"None of {count(n)} planted secrets came back whole out of the {target} {how}."
    verb = "secret" if n == 1 else "secrets"
    return f"{count(found)} of {count(n)} planted {verb} came back out of the {target} {how}."


def _what(cell: Mapping[str, Any]) -> str:
    exact = cell["exact"]
    rate = (
        f"That is {percent(exact['mean'])} (95 % interval {percent_range(exact)}, "
        f"{plural(exact['n_models'], 'independently trained model')}) by the {cell['attack']} "
        f"attack, each secret planted {_times(cell['repetitions'])}"
    )
    if not cell["exposure"]:
        return rate + "."
    bits = cell["exposure"]
    return f"{rate}; their exposure is {bits['mean']:.1f} bits on average."


def _against(cell: Mapping[str, Any], frame: pd.DataFrame) -> str:
    same = frame[frame["planted"] == 0]
    for name in ("corpus", "target", "condition", "repetitions", "attack"):
        same = same[same[name] == cell[name]]
    chance = cell["chance"]
    guess = f"guessing succeeds with probability {odds(chance)}" if chance else ""
    if same.empty:
        return f"No controls were scored{'; ' + guess if guess else ''}."
    control = summarise(same, _CELL)[0]
    exact, bits = control["exact"], control["exposure"]
    text = (
        f"Control secrets, drawn the same way and never planted, were matched in "
        f"{count(_successes(exact))} of {count(exact['n'])} cases "
        f"(interval {percent_range(exact)})"
    )
    text += f", at {bits['mean']:.1f} bits" if bits and cell["exposure"] else ""
    text += f"; {guess}" if guess else ""
    if chance and cell["exact"]["lower"] <= chance:
        text += ". What came out is not distinguishable from guessing"
    return text + "."


def _private(best: Mapping[str, Any], cells: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return a line for every noise level of the same target, repetitions and attack."""
    same = ("corpus", "target", "repetitions", "attack")
    noisy = [
        cell
        for cell in cells
        if cell["condition"].startswith("DP") and all(cell[name] == best[name] for name in same)
    ]
    lines = []
    for cell in sorted(noisy, key=lambda cell: float(cell["noise_multiplier"])):
        exact, accuracy = cell["exact"], cell["test_accuracy"]
        claims = []
        if cell["epsilon"] is not None:
            claims.append(f"ε = {short(cell['epsilon'])} for one sentence")
        if cell["group_epsilon"] is not None and cell["repetitions"] > 1:
            claims.append(
                f"{short(cell['group_epsilon'])} for all {count(cell['repetitions'])} repetitions"
            )
        if cell["delta"]:
            claims.append(f"δ = {short(cell['delta'])}")
        line = f"σ = {cell['noise_multiplier']:g}: {percent(exact['mean'])} came back "
        line += f"(interval {percent_range(exact)})"
        line += f", test accuracy {accuracy['mean']:.2f}" if accuracy else ""
        lines.append(f"{line}; {', '.join(claims)}." if claims else f"{line}.")
    return tuple(lines)


def _before(best: Mapping[str, Any]) -> str:
    """Return the sentence that leads to the lines of noise levels."""
    accuracy, floor = best["test_accuracy"], best["majority_accuracy"]
    compare = ""
    if accuracy and floor is not None:
        compare = (
            f" Without noise its test accuracy is {accuracy['mean']:.2f}; always naming the most "
            f"common intent gives {floor:.2f}."
        )
    return f"The same target was also trained with DP-SGD at noise multipliers σ.{compare}"


def _undertrained(cells: list[dict[str, Any]]) -> list[str]:
    """Return a warning for noisy targets that learned little beyond the most common intent."""
    bare: dict[tuple[str, str], float] = {}
    for cell in cells:
        if cell["noise_multiplier"] == 0 and cell["test_accuracy"]:
            key = (cell["corpus"], cell["target"])
            bare[key] = max(bare.get(key, 0.0), cell["test_accuracy"]["mean"])
    found: dict[str, str] = {}
    for cell in cells:
        key = (cell["corpus"], cell["target"])
        floor, accuracy = cell["majority_accuracy"], cell["test_accuracy"]
        if cell["noise_multiplier"] == 0 or key not in bare or floor is None or not accuracy:
            continue
        if accuracy["mean"] - floor < LEARNED * (bare[key] - floor):
            name = f"{target_name(cell['target'])} on {cell['corpus']}, {cell['condition']}"
            found.setdefault(
                name,
                f"{name}: accuracy {accuracy['mean']:.2f} against {bare[key]:.2f} without noise "
                f"and {floor:.2f} by always naming the most common intent. It has hardly learned "
                "the task, so a low extraction rate is no evidence of a defense.",
            )
    return list(found.values())


def _successes(measure: Mapping[str, Any]) -> int:
    return round(measure["mean"] * measure["n"])


def _times(repetitions: int) -> str:
    return "once" if repetitions == 1 else f"{count(repetitions)} times"
