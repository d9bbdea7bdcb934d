"""One extraction: attack one sentence with slots of one classifier, and judge the result."""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.arguments import AttackArguments
from attacks.attack import Attack, Knowledge, Reconstruction
from attacks.errors import AttackError
from attacks.problem import Completion
from attacks.ranker.ranker import Ranker
from attacks.ranker.traced import Rows
from attacks.registry import get_attack
from attacks.tokenise import build_completion
from attacks.verdict import Verdict, check_count, check_reference, judge
from attacks.vocabulary import whole_words
from canaries.patterns import CATALOG, Pattern, get_pattern, listed_pattern, load_patterns
from canaries.spaces import SPACES, WORD

ENUMERATED = 20_000  # candidates of which all are scored, unless another attack is asked for


@dataclass(frozen=True)
class Extraction:
    """What an attack took out of one classifier.

    Args:
        arguments: what was asked for.
        pattern: the sentence with its slots.
        problem: the same for the target's tokenizer.
        label: name of the class.
        found: ranked candidates.
        verdict: whether the first stands out; None where that was not asked.
    """

    arguments: AttackArguments
    pattern: Pattern
    problem: Completion
    label: str
    found: Reconstruction
    verdict: Verdict | None

    @property
    def top(self) -> list[tuple[tuple[str, ...], float]]:
        """The first candidates with their scores, as many as were asked for."""
        pairs = zip(self.found.candidates, self.found.scores, strict=True)
        return list(pairs)[: self.arguments.top]

    @property
    def heading(self) -> str:
        """The attack and what it cost, in a line."""
        found = self.found
        # What ranks has a score of its own, which is no objective.
        by = (
            f"{found.attack} (lowest score first)"
            if found.objective == found.attack
            else f"{found.attack} on {found.objective} (lower is better)"
        )
        return (
            f"{by}, label {self.label}: {self.problem.size:,} possible secrets, "
            f"{found.evaluations:,} model evaluation{'s' * (found.evaluations != 1)}, "
            f"{found.seconds:.2f} s"
        )

    def candidates(self) -> list[dict[str, Any]]:
        """Return one row per candidate, best first."""
        return [
            {
                "rank": rank,
                "secret": list(secret),
                "text": self.problem.text(secret),
                "score": score,
            }
            for rank, (secret, score) in enumerate(self.top, 1)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        arguments, pattern, found = self.arguments, self.pattern, self.found
        return {
            "checkpoint": arguments.checkpoint,
            "attack": found.attack,
            "objective": found.objective,
            "label": self.label,
            "label_index": self.problem.label,
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
            "space_size": self.problem.size,
            "evaluations": found.evaluations,
            "seconds": found.seconds,
            "candidates": self.candidates(),
            "verdict": None if self.verdict is None else asdict(self.verdict),
        }

    def as_table(self) -> str:
        """Return the ranked candidates as lines of text, and the verdict."""
        # Without evidence a candidate is no find.
        sure = self.verdict is not None and self.verdict.evidence
        lines = [self.heading, f"{'rank':>4}  {'score':>12}  {'sentence' if sure else 'guess'}"]
        lines += [
            f"{one['rank']:>4}  {one['score']:>12.6g}  {one['text']}" for one in self.candidates()
        ]
        return "\n".join([*lines, *(self.verdict.lines() if self.verdict else ())])


class Extractor:
    """The arguments of an attack, checked before any model is loaded.

    Raises:
        AttackError, CanaryError, OSError: what the user can mend.
    """

    def __init__(self, arguments: AttackArguments) -> None:
        if arguments.top < 1:
            raise AttackError(f"--top is {arguments.top}, must be at least 1")
        check_count(arguments.decoys)
        if arguments.reference and not arguments.verdict:
            raise AttackError("--reference is for the verdict, which --no-verdict leaves out")
        self.arguments = arguments
        self._build = pattern_builder(arguments)
        self._attack, self._ranker = chosen_attack(arguments)

    def run(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        initial: PreTrainedModel | None = None,
        reference: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None = None,
        progress: bool = False,
    ) -> Extraction:
        """Attack a classifier, and judge the first candidate.

        Args:
            model: the target, in evaluation mode.
            tokenizer: of the target.
            initial: the model before training.
            reference: a model of the same classes that was trained without the secret.
            progress: show a bar.

        Raises:
            AttackError, CanaryError: what the target or the attack cannot take.
        """
        arguments = self.arguments
        pattern = self._build(lambda: whole_words(tokenizer, model))
        problem = build_completion(
            tokenizer, model, pattern=pattern, label=arguments.label, drop_unknown=True
        )
        attack = self._attack
        free = not (arguments.attack or arguments.ranker or arguments.set)
        if free and problem.size <= ENUMERATED:
            attack = configure(self._enumerating(model, problem, initial), arguments.objective, ())
        if reference is not None:
            check_reference(arguments.reference or "the reference", *reference, model, tokenizer)
        (found,) = attack.run(
            model,
            [problem],
            knowledge=Knowledge(initial=initial, ranker=self._ranker),
            seed=arguments.seed,
            progress=progress,
        )
        verdict = None
        if arguments.verdict:
            verdict = judge(
                model,
                problem,
                found,
                count=arguments.decoys,
                reference=reference[0] if reference else None,
                initial=initial,
                seed=arguments.seed,
                progress=progress,
            )
        names: dict[Any, Any] = dict(model.config.id2label or {})
        return Extraction(arguments, pattern, problem, str(names[problem.label]), found, verdict)

    def _enumerating(
        self, model: PreTrainedModel, problem: Completion, initial: PreTrainedModel | None
    ) -> str:
        """Name the attack on a space that is scored whole, where none was asked for."""
        if problem.placed or self.arguments.objective is not None:
            return "exhaustive"
        if initial is not None:
            return "traced-initial"
        return "exhaustive" if Rows.of(model) is None else "traced"


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
