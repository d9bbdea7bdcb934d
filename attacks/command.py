"""The attack command: one checkpoint, one sentence with slots, ranked candidates on the screen."""

import json
from collections.abc import Sequence
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
from attacks.vocabulary import slot_spaces


def run(arguments: AttackArguments) -> int:
    """Attack one checkpoint and print the ranked candidates; returns the exit code 0.

    Raises:
        AttackError, CanaryError, OSError: input that the user can mend.
    """
    if arguments.top < 1:
        raise AttackError(f"--top is {arguments.top}, must be at least 1")
    for name, words in (("prefix", arguments.prefix), ("suffix", arguments.suffix)):
        if any("\ud800" <= c <= "\udfff" for c in words):
            raise AttackError(f"--{name} {words!r} is not UTF-8 text: give it as UTF-8")
    logging.disable_progress_bar()  # loading takes a moment; the search has a bar of its own
    attack, ranker = chosen_attack(arguments)
    model, tokenizer = load_checkpoint(arguments.checkpoint, device=arguments.device)
    spaces = slot_spaces(arguments.slots, tokenizer, model)
    problem = build_completion(
        tokenizer,
        model,
        prefix=arguments.prefix,
        slots=spaces,
        suffix=arguments.suffix,
        label=arguments.label,
        name=arguments.prefix,
    )
    initial = load_initial(arguments.initial, model) if arguments.initial else None
    (found,) = attack.run(
        model,
        [problem],
        knowledge=Knowledge(initial=initial, ranker=ranker),
        seed=arguments.seed,
        progress=not arguments.json,
    )
    names: dict[Any, Any] = dict(model.config.id2label or {})
    label = str(names[problem.label])
    if arguments.json:
        print(json.dumps(as_dict(problem, found, label, arguments), indent=2))
    else:
        print(as_table(problem, found, label, arguments.top))
    return 0


def chosen_attack(arguments: AttackArguments) -> tuple[Attack, Ranker | None]:
    """Choose the attack that the arguments ask for, and the ranker.

    Raises:
        AttackError: an unknown attack, objective or setting, something that the attack needs and
            that was not given, or something that it does not take and that was.
    """
    name = arguments.attack
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
    if "initial" not in attack.needs and arguments.initial:
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
    problem: Completion, found: Reconstruction, label: str, arguments: AttackArguments
) -> dict[str, Any]:
    """Build what `--json` prints."""
    return {
        "checkpoint": arguments.checkpoint,
        "attack": found.attack,
        "objective": found.objective,
        "label": label,
        "label_index": problem.label,
        "prefix": arguments.prefix,
        "suffix": arguments.suffix,
        "slots": arguments.slots,
        "seed": arguments.seed,
        "space_size": problem.size,
        "evaluations": found.evaluations,
        "seconds": found.seconds,
        "candidates": [
            {"rank": rank, "secret": list(secret), "text": problem.text(secret), "score": score}
            for rank, (secret, score) in enumerate(_top(found, arguments.top), 1)
        ],
    }


def as_table(problem: Completion, found: Reconstruction, label: str, top: int) -> str:
    """Write the ranked candidates as lines of text; scores are the objective, lower is better."""
    # What ranks has a score of its own, which is no objective.
    by = (
        f"{found.attack} (lowest score first)"
        if found.objective == found.attack
        else f"{found.attack} on {found.objective} (lower is better)"
    )
    lines = [
        f"{by}, label {label}: {problem.size:,} possible secrets, "
        f"{found.evaluations:,} model evaluation{'s' * (found.evaluations != 1)}, "
        f"{found.seconds:.2f} s",
        f"{'rank':>4}  {'score':>12}  sentence",
    ]
    lines += [
        f"{rank:>4}  {score:>12.6g}  {problem.text(secret)}"
        for rank, (secret, score) in enumerate(_top(found, top), 1)
    ]
    return "\n".join(lines)


def _top(found: Reconstruction, top: int) -> list[tuple[tuple[str, ...], float]]:
    return list(zip(found.candidates, found.scores, strict=True))[:top]
