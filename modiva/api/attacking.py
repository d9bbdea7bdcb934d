"""`modiva.attack`: what stood in the slots of a sentence, for a model that is at hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.arguments import AttackArguments
from attacks.checkpoint import load_checkpoint, load_initial
from attacks.extraction import Extraction, Extractor
from modiva.api.results import Result
from modiva.errors import ModivaError

if TYPE_CHECKING:
    import pandas as pd

Model = PreTrainedModel | str | Path
Pair = tuple[PreTrainedModel, PreTrainedTokenizerBase]


@dataclass(frozen=True, repr=False)
class AttackResult(Result):
    """Ranked candidates for the slots of one sentence, and whether the first stands out.

    Args:
        extraction: all that the attack found.
    """

    extraction: Extraction

    @property
    def best(self) -> str:
        """The sentence with the first candidate."""
        return self.extraction.problem.text(self.extraction.found.candidates[0])

    def summary(self) -> str:
        """Return the verdict and its facts; without a verdict, the first candidate."""
        verdict = self.extraction.verdict
        if verdict is None:
            return f"First candidate: {self.best!r}.\n{self.extraction.heading}."
        facts, sentence = verdict.lines()
        return f"{sentence}\n{facts[:1].upper()}{facts[1:]}.\n{self.extraction.heading}."

    def frame(self) -> "pd.DataFrame":
        """Return one row per candidate, best first: rank, text, secret and score (lower first)."""
        import pandas as pd

        rows = [{**row, "secret": " ".join(row["secret"])} for row in self.extraction.candidates()]
        return pd.DataFrame(rows, columns=["rank", "text", "secret", "score"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """What was asked for."""
        found = self.extraction
        return {
            "template": found.pattern.template, "label": found.label,
            "attack": found.found.attack, "objective": found.found.objective,
            "seed": found.arguments.seed,
        }  # fmt: skip


def attack(
    model: Model,
    tokenizer: PreTrainedTokenizerBase | None,
    template: str,
    *,
    label: str | int,
    initial: Model | None = None,
    reference: Pair | str | Path | None = None,
    top: int = 100,
    device: str = "auto",
    progress: bool = False,
    **settings: Any,
) -> AttackResult:
    """Attack one sentence with slots of a trained text classifier.

    Args:
        model: a sequence classifier, or a folder or hub name of one.
        tokenizer: of the model; None for a folder, which has its own.
        template: the sentence, such as "my card pin is {digit*4:glued}", or a pattern's name.
        label: the class of the sentence, by name or index.
        initial: the model that the target was fine-tuned from, or its folder.
        reference: a model of the same classes that was trained without the secret, with its
            tokenizer; or its folder.
        top: candidates kept, 100 at most.
        device: of models that are loaded.
        progress: show a bar.
        settings: of `modiva attack`, such as attack="coordinate", seed=1, decoys=500,
            verdict=False, ranker=FOLDER, patterns_file=FILE, set=("restarts=32",).

    Raises:
        AttackError, CanaryError, ModivaError: what is unknown or does not fit, and the remedy.
    """
    known = set(AttackArguments.__dataclass_fields__) - {"json"}
    for name in settings:
        if name not in known:
            raise ModivaError(f"unknown setting {name!r} of an attack: use {', '.join(known)}")
    arguments = AttackArguments(
        checkpoint=str(model) if isinstance(model, str | Path) else type(model).__name__,
        label=f"index:{label}" if isinstance(label, int) else label,
        template=template,
        initial=None if initial is None else "the initial model",
        reference=None if reference is None else "the reference",
        top=top,
        device=device,
        **settings,
    )
    extractor = Extractor(arguments)
    target, its = loaded(model, tokenizer, device)
    if isinstance(initial, str | Path):
        initial = load_initial(str(initial), target)
    if isinstance(reference, str | Path):
        reference = load_checkpoint(str(reference), device=device)
    found = extractor.run(target, its, initial=initial, reference=reference, progress=progress)
    return AttackResult(found)


def loaded(model: Model, tokenizer: PreTrainedTokenizerBase | None, device: str) -> Pair:
    """Return a model in evaluation mode with its tokenizer, loaded where it is a folder's name.

    Raises:
        AttackError: what `load_checkpoint` refuses.
        ModivaError: a model without a tokenizer.
    """
    if isinstance(model, str | Path):
        return load_checkpoint(str(model), device=device)
    if tokenizer is None:
        raise ModivaError("a model without its tokenizer: give both, or the folder of both")
    return model, tokenizer
