"""`modiva.train`: one classifier on data of any form, with what was planted in it."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from canaries import Planting
from canaries.planting import plant_again
from modiva.api.planting import PlantedData
from modiva.api.results import Result
from modiva.condition import Condition, Size, private_by
from modiva.corpora import load
from modiva.training import Prepared, Target, resolve, save_checkpoint

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class TrainedModel(Result):
    """A trained classifier.

    Args:
        target: model, tokenizer and the record of the training.
        prepared: the settings.
        seed_is_secret: whether batches and noise were drawn from a seed that is not kept.
    """

    target: Target
    prepared: Prepared
    seed_is_secret: bool

    @property
    def model(self) -> PreTrainedModel:
        """The classifier, in evaluation mode."""
        return self.target.classifier.model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Of the classifier."""
        return self.target.classifier.tokenizer

    def save(self, folder: str | Path) -> Path:
        """Write a Hugging Face checkpoint with training.json; what was planted is not in it."""
        return save_checkpoint(
            Path(folder), self.target, prepared=self.prepared, seed_is_secret=self.seed_is_secret
        )

    def summary(self) -> str:
        """Return accuracy and floor, and what private training guarantees of one sentence."""
        result = self.target.result
        lines = [
            f"{type(self.model).__name__}, trained on {self.target.sentences:,} sentences for "
            f"{result.epochs_run} epochs: accuracy {result.test_accuracy:.3f} on test "
            f"(always naming the commonest label: {result.majority_accuracy:.3f})."
        ]
        if result.epsilon is not None:
            lines.append(
                f"Epsilon {result.epsilon:.3g} for one sentence, delta {result.delta:g}; a secret "
                "in several sentences has more."
            )
        return "\n".join(lines)

    def frame(self) -> "pd.DataFrame":
        """Return one row per epoch: its number and the mean training loss.

        Training that may stop early has the loss and accuracy on the validation split, too. No
        other training looks at that split between epochs.
        """
        import pandas as pd

        rows = pd.DataFrame([vars(epoch) for epoch in self.target.result.history])
        return rows.dropna(axis="columns", how="all")


def train(
    data: Any,
    target: str = "cnn",
    *,
    size: Size = "full",
    defense: str = "none",
    noise: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    sentences: int = 0,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    seed: int | None = None,
    device: str = "auto",
    progress: bool = False,
) -> TrainedModel:
    """Train one text classifier.

    Args:
        data: what `modiva.plant` returned; or pairs, records, a DataFrame, a Dataset, these by
            split, a file, or a corpus's name. Splits that are missing are held out from train.
        target: cnn, lstm, lstm-char, transformer, minilm, or a Hugging Face folder or name.
        size: of our own architectures: embeddings and hidden 32 (small) or 100 (full).
        defense: none, dropout, early-stopping, char-embeddings, dp, edp, loop, or several joined
            with +.
        noise: noise multiplier of private training; 0 is ordinary training.
        epsilon: privacy budget of one sentence; the noise is calibrated to it.
        delta: of epsilon; 1e-5 if not given.
        sentences: at most so many, drawn by the seed; 0 is the whole split.
        epochs: at most so many; the default depends on target and defense.
        learning_rate: of AdamW; the default depends on target and privacy.
        batch_size: sentences of a step, of a private one the expected number.
        text_column: name of the column of texts; found by its name if not given.
        label_column: of the column of labels.
        seed: decides weights, batches and noise; 0 if not given. Private training then draws
            batches and noise from a secret seed: epsilon does not hold against those who know it.
        device: "auto", "cpu" or "cuda".
        progress: show a bar.

    Raises:
        CanaryError, ModivaError: what cannot be read or trained, and the remedy.
    """
    planted = data if isinstance(data, PlantedData) else None
    if planted:
        data, text_column, label_column = (
            planted.original,
            planted.text_column,
            planted.label_column,
        )
    corpus = load(data, text_column=text_column, label_column=label_column)
    defense, privacy = private_by(defense, noise=noise, epsilon=epsilon, delta=delta)
    if 0 < sentences < len(corpus.train):
        corpus = corpus.subset(sentences, seed=seed or 0)
    plantings = planted.plantings if planted else ()
    condition = Condition(
        corpus=corpus.name,
        target=target,
        size=size,
        patterns=tuple(one.pattern.template for one in plantings),
        **({} if not plantings else _asked(plantings[0])),
        defense=defense,
        privacy=privacy,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
    )
    patterns = tuple(one.pattern for one in plantings)
    prepared = Prepared(condition, corpus, patterns, *resolve(condition, device=device))
    hidden = seed is None and privacy is not None
    ((trained, _),) = prepared.train(
        [seed or 0],
        training_seeds=[secrets.randbits(128)] if hidden else None,
        planted=[plant_again(corpus.train, corpus.valid, planted.ledger)] if planted else None,
        progress=progress,
    )
    return TrainedModel(trained, prepared, hidden)


def _asked(planting: Planting) -> dict[str, Any]:
    """Return the fields of a condition that a planting decides."""
    return {
        "repetitions": (planting.repetitions,), "label": planting.label,
        "secrets": planting.count, "controls": planting.controls,
    }  # fmt: skip
