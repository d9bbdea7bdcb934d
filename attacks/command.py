"""The attack command: one checkpoint, one sentence with slots, ranked candidates on the screen."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers.utils import logging

from attacks.arguments import AttackArguments
from attacks.attack import Attack, Knowledge, Reconstruction
from attacks.checkpoint import load_checkpoint, load_initial
from attacks.errors import AttackError
from attacks.problem import Completion
from attacks.ranker.ranker import Ranker
from attacks.registry import get_attack
from attacks.tokenise import build_completion
from attacks.verdict import Verdict, check_count, check_reference, judge
from attacks.vocabulary import whole_words
from canaries.patterns import CATALOG, Pattern, get_pattern, listed_pattern, load_patterns
from canaries.spaces import SPACES, WORD

ENUMERATED = 20_000  # candidates of which all are scored, unless another attack is asked for


def run(arguments: AttackArguments) -> int:
    """Attack one checkpoint and print the ranked candidates; returns the exit code 0.

    Raises:
        AttackError, CanaryError, OSError: input that the user can mend.
    """
    if arguments.top < 1:
        raise AttackError(f"--top is {arguments.top}, must be at least 1")
    check_count(arguments.decoys)
    if arguments.reference and not arguments.verdict:
        raise AttackError("--reference is for the verdict, which --no-verdict leaves out")
    logging.disable_progress_bar()  # loading takes a moment; the search has a bar of its own
    build = pattern_builder(arguments)
    attack, ranker = chosen_attack(arguments)
    model, tokenizer = load_checkpoint(arguments.checkpoint, device=arguments.device)
    pattern = build(lambda: whole_words(tokenizer, model))
    problem = build_completion(
        tokenizer, model, pattern=pattern, label=arguments.label, drop_unknown=True
    )
    free = not (arguments.attack or arguments.ranker or arguments.set)
    if free and problem.size <= ENUMERATED:
        attack = configure("exhaustive", arguments.objective, ())
    initial = load_initial(arguments.initial, model) if arguments.initial else None
    reference = None
    if arguments.reference:
        reference, its = load_checkpoint(arguments.reference, device=arguments.device)
        check_reference(arguments.reference, reference, its, model, tokenizer)
    (found,) = attack.run(
        model,
        [problem],
        knowledge=Knowledge(initial=initial, ranker=ranker),
        seed=arguments.seed,
        progress=not arguments.json,
    )
    verdict = None
    if arguments.verdict:
        verdict = judge(
            model,
            problem,
            found,
            count=arguments.decoys,
            reference=reference or initial,
            seed=arguments.seed,
        )
    names: dict[Any, Any] = dict(model.config.id2label or {})
    label = str(names[problem.label])
    if arguments.json:
        print(json.dumps(as_dict(problem, found, label, pattern, verdict, arguments), indent=2))
    else:
        print(as_table(problem, found, label, verdict, arguments.top))
    return 0


def pattern_builder(
    arguments: AttackArguments,
) -> Callable[[Callable[[], Sequence[str]]], Pattern]:
    """Return a function that builds the sentence of the arguments from the target's words.

    The words are asked for where a slot may hold any of them; else the sentence is made at once.

    Raises:
        AttackError, CanaryError, OSError: not one sentence, a bad template, a bad file.
    """
    given = {name: getattr(arguments, name) or "" for name in
             ("template", "slots", "prefix", "suffix")}  # fmt: skip
    for name, text in given.items():
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise AttackError(f"--{name} {text!r} is not UTF-8 text: give it as UTF-8")
    if bool(given["template"]) == (arguments.slots != ""):
        raise AttackError(
            "give either --template, such as 'my pin is {digit*4:glued}', or --slots, such as "
            "'digit*4' with --prefix 'my pin is'"
        )
    if given["template"] and (given["prefix"] or given["suffix"]):
        raise AttackError("--prefix and --suffix go with --slots: write them into the template")
    patterns, spaces = (
        load_patterns(arguments.patterns_file) if arguments.patterns_file else ({}, {})
    )

    def build(vocabulary: Sequence[str] | None) -> Pattern:
        if given["template"]:
            return get_pattern(
                given["template"], vocabulary=vocabulary, spaces=spaces, patterns=patterns
            )
        return listed_pattern(
            given["slots"], prefix=given["prefix"], suffix=given["suffix"],
            vocabulary=vocabulary, spaces=spaces,
        )  # fmt: skip

    name = given["template"].partition(":")[0]
    text = {**CATALOG, **patterns}.get(name, given["template"] or given["slots"])
    if WORD in re.findall(r"[\w-]+", text):
        return lambda words: build(words())
    pattern = build(None)
    return lambda words: pattern


def chosen_attack(arguments: AttackArguments) -> tuple[Attack, Ranker | None]:
    """Choose the attack that the arguments ask for, and the ranker.

    Raises:
        AttackError: an unknown attack, objective or setting, something that the attack needs and
            that was not given, or something that it does not take and that was.
    """
    name = arguments.attack or "coordinate"
    ranker = Ranker.load(Path(arguments.ranker)) if arguments.ranker else None
    if ranker is not None:
        name = "ranker-initial" if ranker.initial else "ranker"
    attack = configure(name, arguments.objective, arguments.set)
    if "ranker" in attack.needs and ranker is None:
        raise AttackError(f"attack {name} needs --ranker FOLDER: make one with `modiva ranker fit`")
    if "initial" in attack.needs and not arguments.initial:
        raise AttackError(
            f"attack {name} needs --initial CHECKPOINT: what the target was fine-tuned from"
        )
    if "initial" not in attack.needs and arguments.initial and not arguments.verdict:
        raise AttackError(f"--initial: attack {name} does not use the weights before training")
    return attack, ranker


def configure(name: str, objective: str | None, settings: Sequence[str]) -> Attack:
    """Return the attack of that name with settings written as "name=value".

    Raises:
        AttackError: an unknown attack, objective or setting, or a value of another type.
    """
    attack = get_attack(name, objective=objective)
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise AttackError(f"--set {setting!r}: write it as name=value")
        present = getattr(getattr(attack, "search", None), key, None)
        try:
            overrides[key] = text if present is None else type(present)(text)
        except ValueError as error:
            kind = type(present).__name__
            raise AttackError(f"--set {setting!r}: {key} takes a value of type {kind}") from error
    return get_attack(name, objective=objective, **overrides)


def as_dict(
    problem: Completion,
    found: Reconstruction,
    label: str,
    pattern: Pattern,
    verdict: Verdict | None,
    arguments: AttackArguments,
) -> dict[str, Any]:
    """Build what `--json` prints."""
    return {
        "checkpoint": arguments.checkpoint,
        "attack": found.attack,
        "objective": found.objective,
        "label": label,
        "label_index": problem.label,
        "template": pattern.template,
        "prefix": arguments.prefix or pattern.prefix,
        "suffix": arguments.suffix or pattern.suffix,
        "slots": arguments.slots,
        "spaces": {
            space.name: list(space.options)
            for space in dict.fromkeys(pattern.slots)
            if space != SPACES.get(space.name) and space.name != WORD
        },
        "seed": arguments.seed,
        "space_size": problem.size,
        "evaluations": found.evaluations,
        "seconds": found.seconds,
        "candidates": [
            {"rank": rank, "secret": list(secret), "text": problem.text(secret), "score": score}
            for rank, (secret, score) in enumerate(_top(found, arguments.top), 1)
        ],
        "verdict": None if verdict is None else asdict(verdict),
    }


def as_table(
    problem: Completion, found: Reconstruction, label: str, verdict: Verdict | None, top: int
) -> str:
    """Write the ranked candidates as lines of text; scores are the objective, lower is better."""
    # What ranks has a score of its own, which is no objective.
    by = (
        f"{found.attack} (lowest score first)"
        if found.objective == found.attack
        else f"{found.attack} on {found.objective} (lower is better)"
    )
    # Without evidence a candidate is no find.
    sure = verdict is not None and verdict.evidence
    lines = [
        f"{by}, label {label}: {problem.size:,} possible secrets, "
        f"{found.evaluations:,} model evaluation{'s' * (found.evaluations != 1)}, "
        f"{found.seconds:.2f} s",
        f"{'rank':>4}  {'score':>12}  {'sentence' if sure else 'guess'}",
    ]
    lines += [
        f"{rank:>4}  {score:>12.6g}  {problem.text(secret)}"
        for rank, (secret, score) in enumerate(_top(found, top), 1)
    ]
    return "\n".join([*lines, *(verdict.lines() if verdict else ())])


def _top(found: Reconstruction, top: int) -> list[tuple[tuple[str, ...], float]]:
    return list(zip(found.candidates, found.scores, strict=True))[:top]
