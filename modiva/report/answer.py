"""The answer in plain sentences: what was extracted, from what, at which epsilon, against what."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pandas as pd

from modiva.measure import Group, Interval, columns, summarise
from modiva.report import groups, members, names
from modiva.report.words import (
    NO_DEFENSE,
    VIOLATED,
    bound,
    count,
    odds,
    percent,
    percent_range,
    plural,
    prepare,
    sentence_bound,
    share,
    short,
    target_name,
    visible,
)

NULL = 0.01  # the p-value below which controls are no null
USEFUL = 0.5  # a bound on extraction of more excludes little
LEARNED = 0.25  # share of the way from the floor to the undefended accuracy
_CELL = ["corpus", "target", "condition", "noise_multiplier", "repetitions", "attack"]


@dataclass(frozen=True)
class Fact:
    """One number of the answer, with what it is, its interval in words and to draw."""

    label: str
    value: str
    note: str
    rate: Interval | None = None


@dataclass(frozen=True)
class Answer:
    """A headline, its numbers, sentences under them, and warnings how they must be read."""

    headline: str
    facts: tuple[Fact, ...]
    sentences: tuple[str, ...]
    private: tuple[Group, ...]  # one a noise level, least noise first; empty without private cells
    floor: float | None  # accuracy of always naming the most common intent
    warnings: tuple[str, ...]


def answer(frame: pd.DataFrame, others: Mapping[str, pd.DataFrame] | None = None) -> Answer:
    """Sum up rows (with their `condition`), strongest undefended cell first.

    Args:
        frame: of attacks, or of trained models where there was none.
        others: rows of other measurements (membership, groups), with their `condition`.
    """
    found = _answer(frame)
    others = others or {}
    if len(pools := others.get("membership", frame[:0])):
        found = replace(
            found,
            sentences=(*found.sentences, members.sentence(pools)),
            warnings=(*members.refuted(pools), *found.warnings),
        )
    if len(tested := others.get("groups", frame[:0])):
        told = groups.sentence(frame, tested)
        found = replace(found, sentences=(*found.sentences, *filter(None, [told])))
    if len(swapped := others.get("names", frame[:0])):
        found = replace(found, sentences=(*found.sentences, names.sentence(swapped)))
    return found


def _answer(frame: pd.DataFrame) -> Answer:
    # Categories would make a group of every combination, also of those that did not run.
    frame = frame.assign(condition=frame["condition"].astype(str))
    if "attack" not in frame:
        return _trained(frame)
    planted = frame[frame["planted"] == 1]
    if planted.empty:
        sentence = (
            "They are the floor: what an attack matches by luck in models without the secret."
        )
        return Answer("Nothing was planted in these targets.", (), (sentence,), (), None, ())
    cells = summarise(planted, _CELL)
    bare = [cell for cell in cells if cell["condition"] == NO_DEFENSE]
    best = max(bare or cells, key=lambda cell: exact(cell).mean)
    control = _control(best, frame)
    sentences = [_what(best), _against(best, control)]
    among = bare or cells
    if len(among) > 1:
        sentences.append(_among(best, among, "undefended " if bare else ""))
    private = _private(best, cells) if best["noise_multiplier"] == 0 else ()
    if private:
        sentences.append(_before(best))
    elif not any(cell["noise_multiplier"] > 0 for cell in cells):
        sentences.append("No target of this run was trained with differential privacy.")
    sentences += _theory(best, cells)
    return Answer(
        headline=_headline(best),
        facts=tuple(_facts(best, control, private)),
        sentences=tuple(sentences),
        private=private,
        floor=best.majority_accuracy,
        warnings=(*_refuted(frame), *_undertrained(cells)),
    )


def _trained(frame: pd.DataFrame) -> Answer:
    """Sum up the rows of trained models where none was attacked."""
    cells = summarise(frame, ["corpus", "target", "condition", "noise_multiplier"])
    rated = [cell for cell in cells if cell.test_accuracy]
    ranked = sorted(rated, key=lambda cell: cell.test_accuracy.mean if cell.test_accuracy else 0)
    said = [("Highest", ranked[-1]), ("Lowest", ranked[0])] if ranked else []
    models = sum(cell.n_models for cell in cells)
    return Answer(
        headline=f"{plural(models, 'model')} trained, none attacked.",
        facts=tuple(
            Fact(f"{which} test accuracy", f"{cell.test_accuracy.mean:.2f}", _cell_name(cell))
            for which, cell in said
            if cell.test_accuracy
        ),
        sentences=("What was planted was not searched for: this says nothing of leakage.",),
        private=(),
        floor=None,
        warnings=tuple(_undertrained(cells)),
    )


def _cell_name(cell: Group) -> str:
    return f"{target_name(cell['target'])} on {cell['corpus']}, {cell['condition']}"


def exact(cell: Group) -> Interval:
    """Return the rate of exact matches, which every scored row has."""
    assert cell.exact is not None
    return cell.exact


def level_sentence(level: Group) -> str:
    """Return what came back at one noise multiplier, at which price and with which bound."""
    claims = []
    if level.epsilon is not None:
        # The bound of the secret first: that of one sentence does not cover it.
        if level["repetitions"] > 1:
            known = level.group_epsilon is not None
            group = f"ε = {bound(level)}" if known else "no useful bound"
            claims.append(f"{group} for all {count(level['repetitions'])} repetitions")
        claims.append(f"ε = {short(level.epsilon)} for one sentence")
    if level.delta:
        claims.append(f"δ = {short(level.delta)}")
    line = f"σ = {level['noise_multiplier']:g}: {percent(exact(level).mean)} came back "
    line += f"(interval {percent_range(exact(level))})"
    line += f", test accuracy {level.test_accuracy.mean:.2f}" if level.test_accuracy else ""
    return f"{line}; {', '.join(claims)}." if claims else f"{line}."


def headline(rows: pd.DataFrame) -> str:
    """Return the sentence that the page opens with, for rows as `prepare` takes them."""
    return visible(answer(prepare(rows)).headline) if len(rows) else "Nothing was measured."


def _facts(best: Group, control: Group | None, private: tuple[Group, ...]) -> list[Fact]:
    """Return the answer at a glance: what came out, against what, by luck, and under DP."""
    facts = [_rate_fact("Planted secrets that came back", exact(best))]
    if control is not None:
        facts.append(_rate_fact("Controls that were matched", exact(control)))
    if best.chance:
        size = f"guessing one of {count(1 / best.chance)} secrets"
        facts.append(Fact("By luck", odds(best.chance), size))
    if private:
        level, rate = private[-1], exact(private[-1])
        note = f"σ = {level['noise_multiplier']:g}, interval {percent_range(rate)}"
        label = "Came back with DP"
        if level.epsilon:
            group = "group " if level["repetitions"] > 1 else ""
            label = f"Came back at {group}ε = {bound(level)}"
            note += f"; ε = {one}" if (one := sentence_bound(level)) else ""
        facts.append(Fact(label, percent(rate.mean), note, rate))
    elif best["noise_multiplier"] == 0:
        facts.append(Fact("Privacy loss ε of these targets", "∞", "no bound: no noise in training"))
    else:
        repeated = best["repetitions"] > 1
        whose = f"all {count(best['repetitions'])} repetitions" if repeated else "one sentence"
        note = ", ".join(part for part in ("an upper bound", sentence_bound(best)) if part)
        facts.append(Fact(f"Privacy loss of {whose}", f"ε = {bound(best)}", note))
    return facts


def _rate_fact(label: str, measure: Interval) -> Fact:
    value = f"{count(measure.successes or 0)} of {count(measure.n)}"
    note = f"{percent(measure.mean)}, interval {percent_range(measure)}"
    return Fact(label, value, note, measure)


def _headline(cell: Group) -> str:
    found, n = exact(cell).successes, exact(cell).n
    target = f"{target_name(cell['target'])} trained on {cell['corpus']}"
    defended = cell["condition"]
    how = "without a defense" if defended == NO_DEFENSE else f"with {defended}"
    if not found:
        return f"None of {count(n)} planted secrets came back whole out of the {target} {how}."
    verb = "secret" if n == 1 else "secrets"
    return f"{count(found)} of {count(n)} planted {verb} came back out of the {target} {how}."


def _what(cell: Group) -> str:
    rate = exact(cell)
    text = (
        f"That is {percent(rate.mean)} (95 % interval {percent_range(rate)}, "
        f"{plural(rate.n_models, 'independently trained model')}) by the {cell['attack']} "
        f"attack, each secret planted {_times(cell['repetitions'])}"
    )
    if not cell.exposure:
        return f"{text}."
    return f"{text}; their exposure is {cell.exposure.mean:.1f} bits on average."


def _control(cell: Group, frame: pd.DataFrame) -> Group | None:
    """Return the group of never-planted secrets scored against the same reconstructions."""
    same = frame[frame["planted"] == 0]
    for name in ("corpus", "target", "condition", "repetitions", "attack"):
        same = same[same[name] == cell[name]]
    return None if same.empty else summarise(same, _CELL)[0]


def _against(cell: Group, control: Group | None) -> str:
    chance = cell.chance
    guess = f"guessing succeeds with probability {odds(chance)}" if chance else ""
    if control is None:
        return f"No controls were scored{'; ' + guess if guess else ''}."
    rate, bits = exact(control), control.exposure
    text = (
        f"Control secrets, drawn the same way and never planted, were matched in "
        f"{count(rate.successes or 0)} of {count(rate.n)} cases "
        f"(interval {percent_range(rate)})"
    )
    text += f", at {bits.mean:.1f} bits" if bits and cell.exposure else ""
    text += f"; {guess}" if guess else ""
    if chance and exact(cell).lower <= chance:
        text += ". What came out is not distinguishable from guessing"
    return text + "."


def _among(best: Group, cells: list[Group], kind: str) -> str:
    """Return a note that the best cell was chosen by its outcome, and the rate of all cells."""
    same = [cell for cell in cells if cell["attack"] == best["attack"]]
    found = sum(exact(cell).successes or 0 for cell in same)
    n = sum(exact(cell).n for cell in same)
    text = (
        f"This is the highest of {count(len(cells))} {kind}cells: its interval does not account "
        "for that choice."
    )
    if len(same) > 1:
        text += (
            f" Over all {count(len(same))} {kind}cells of the {best['attack']} attack, "
            f"{count(found)} of {count(n)} came back."
        )
    return text


def _private(best: Group, cells: list[Group]) -> tuple[Group, ...]:
    """Return every noise level of the same target, repetitions and attack."""
    same = ("corpus", "target", "repetitions", "attack")
    noisy = [
        cell
        for cell in cells
        if cell["condition"].startswith("DP") and all(cell[name] == best[name] for name in same)
    ]
    levels = [best, *noisy] if noisy else []
    return tuple(sorted(levels, key=lambda level: float(level["noise_multiplier"])))


def _before(best: Group) -> str:
    """Return the sentence that leads to the lines of noise levels."""
    accuracy, floor = best.test_accuracy, best.majority_accuracy
    compare = ""
    if accuracy and floor is not None:
        compare = (
            f" Without noise its test accuracy is {accuracy.mean:.2f}; always naming the most "
            f"common intent gives {floor:.2f}."
        )
    return f"The same target was also trained with DP-SGD at noise multipliers σ.{compare}"


def _theory(best: Group, cells: list[Group]) -> list[str]:
    """Return what the noise allows any attack beside what the strongest one here reached.

    Of the private cells of the same target the one whose bound is the largest that still says
    something: that is below one half.
    """
    bounded = [
        (cell.exact_bound, cell)
        for cell in cells
        if cell.exact_bound is not None
        and all(cell[name] == best[name] for name in ("corpus", "target"))
    ]
    if not bounded:
        return []
    useful = [pair for pair in bounded if pair[0] < USEFUL]
    pick = max(useful or bounded, key=lambda pair: pair[0] if useful else -pair[0])[1]
    same = [
        cell
        for cell in cells
        if all(cell[name] == pick[name] for name in _CELL if name != "attack")
    ]
    bits = [(cell.exposure.mean if cell.exposure else 0.0) for cell in same]
    cell = max(zip(same, bits, strict=True), key=lambda pair: (exact(pair[0]).mean, pair[1]))[0]
    assert cell.exact_bound is not None
    target = f"the {target_name(cell['target'])} with {cell['condition']}"
    most = f"{share(cell.exact_bound)} of secrets said {_times(cell['repetitions'])}"
    said = f"No attack on {target} can name more than {most}"
    if not useful:
        said = f"The noise of this run excludes little: attacks on {target} may name up to {most}"
    said += (
        f"; the strongest here, {cell['attack']}, named {count(exact(cell).successes or 0)} of "
        f"{count(exact(cell).n)}"
    )
    if cell.exposure and cell.exposure_bound is not None:
        said += (
            f", and their exposure was {cell.exposure.mean:.1f} bits of at most "
            f"{cell.exposure_bound:.1f}"
        )
    return [f"{said}."]


def _refuted(frame: pd.DataFrame) -> list[str]:
    """Return a warning for every claim that the audit of ranks refutes, and for its own null."""
    if "rank" not in frame or not frame["rank"].notna().any():
        return []
    by = [*_CELL, "pattern", "planted"]
    claims = [name for name, column in columns.COLUMNS.items() if column.role == "privacy"]
    # Of the measures none is needed, and their intervals take most of the time.
    needed = {*by, *claims, "rank", "space_size", "cell", "model_seed"}
    groups = [
        group
        for group in summarise(frame[[name for name in frame if name in needed]], by)
        if group["pattern"] != "all"
    ]
    warnings = []
    for cell in groups:
        if not cell["planted"] or not cell.violated:
            continue
        name = (
            f"{_cell_name(cell)}, {plural(cell['repetitions'], 'repetition')}, {cell['pattern']}, "
            f"by {cell['attack']}"
        )
        shown = f"ranks show a group ε of at least {short(cell.epsilon_lower)}"
        if cell.group_epsilon is not None:
            shown += f" where {short(cell.group_epsilon)} is claimed"
        if cell.audit_p is not None:
            shown += f"; under the claim ranks this good have probability {short(cell.audit_p)}"
        warnings.append(
            f"THE PRIVACY CLAIM IS {VIOLATED}. {name}: {shown}. Noise, clipping or sampling did "
            "not run as accounted, or the secrets were not drawn at random."
        )
    nulls = [cell.audit_p for cell in groups if not cell["planted"] and cell.audit_p is not None]
    if nulls and min(nulls) * len(nulls) < NULL:
        warnings.append(
            "The audit of ranks refutes its own null: controls, which were never planted, rank "
            f"better than chance (p = {short(min(nulls) * len(nulls))} over {len(nulls)} groups). "
            "Its lower bounds do not hold in this run."
        )
    return warnings


def _undertrained(cells: list[Group]) -> list[str]:
    """Return a warning for noisy targets that learned little beyond the most common intent."""
    bare: dict[tuple[str, str], float] = {}
    for cell in cells:
        if cell["noise_multiplier"] == 0 and cell.test_accuracy:
            key = (cell["corpus"], cell["target"])
            bare[key] = max(bare.get(key, 0.0), cell.test_accuracy.mean)
    found: dict[str, str] = {}
    for cell in cells:
        key = (cell["corpus"], cell["target"])
        floor, accuracy = cell.majority_accuracy, cell.test_accuracy
        if cell["noise_multiplier"] == 0 or key not in bare or floor is None or not accuracy:
            continue
        if accuracy.mean - floor < LEARNED * (bare[key] - floor):
            name = _cell_name(cell)
            found.setdefault(
                name,
                f"{name}: accuracy {accuracy.mean:.2f} against {bare[key]:.2f} without noise "
                f"and {floor:.2f} by always naming the most common intent. It has hardly learned "
                "the task, so a low extraction rate is no evidence of a defense.",
            )
    return list(found.values())


def _times(repetitions: int) -> str:
    return "once" if repetitions == 1 else f"{count(repetitions)} times"
