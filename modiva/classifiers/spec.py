"""Which classifier to audit: its architecture, size and regularisation, by name or by hand."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from canaries.spaces import suggest
from modiva.classifiers.configuration import POOLINGS
from modiva.classifiers.registry import OWN_ARCHITECTURES
from modiva.errors import ModivaError
from modiva.validate import at_least, require


@dataclass(frozen=True)
class TargetSpec:
    """A target classifier before it is built.

    Args:
        architecture: "cnn", "lstm", "transformer", "minilm", or a Hugging Face folder or name.
        embedding_dim: size of a word embedding (own architectures).
        hidden_size: filters a kernel size, units a direction, or model width (own architectures).
        layers: encoder layers (own LSTM and transformer).
        char_embeddings: append the features of a character CNN to the word embedding (own
            architectures).
        pooling: "max" over time or "last" state (own LSTM).
        embedding_dropout: share of input features dropped in training, in [0, 1).
        encoder_dropout: share of encoder features dropped in training, in [0, 1).
        head_dropout: share of the sentence vector dropped in training, in [0, 1).
        freeze_embeddings: do not train the word embedding table.
        freeze_encoder: train a linear head alone, on the mean of the encoder's states (pretrained
            targets; see `modiva.classifiers.sentence`).
        word_vectors: a text file of word vectors in GloVe format (own architectures).

    Raises:
        ModivaError: for a value out of range, or an option that the architecture does not have.
    """

    architecture: str
    embedding_dim: int = 100
    hidden_size: int = 100
    layers: int = 1
    char_embeddings: bool = False
    pooling: str = "max"
    embedding_dropout: float = 0.0
    encoder_dropout: float = 0.0
    head_dropout: float = 0.0
    freeze_embeddings: bool = False
    word_vectors: str | None = None
    freeze_encoder: bool = False

    def __post_init__(self) -> None:
        at_least(self, 1, "embedding_dim", "hidden_size", "layers")
        for name in ("embedding_dropout", "encoder_dropout", "head_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, name, value, "in [0, 1)")
        if self.pooling not in POOLINGS:
            raise ModivaError(
                f"unknown pooling {self.pooling!r}: it is one of {', '.join(POOLINGS)}"
            )
        if self.architecture == "transformer" and self.hidden_size % 2:
            raise ModivaError(f"hidden_size is {self.hidden_size}: a transformer needs an even one")
        if self.is_own and self.freeze_encoder:
            raise ModivaError(
                f"freeze_encoder with target {self.architecture!r}, whose encoder starts at "
                "random: it is for pretrained targets, such as minilm"
            )
        if not self.is_own and (self.char_embeddings or self.word_vectors is not None):
            raise ModivaError(
                f"target {self.architecture!r} brings its own pretrained inputs: character "
                f"embeddings and word vectors are for {', '.join(OWN_ARCHITECTURES)}"
            )

    @property
    def is_own(self) -> bool:
        """Whether it is one of modiva's own architectures, trained from scratch."""
        return self.architecture in OWN_ARCHITECTURES


def target_names() -> tuple[str, ...]:
    """List the targets that need no folder: own architectures, a variant of one, and minilm."""
    return (*OWN_ARCHITECTURES, "lstm-char", "minilm")


def parse_target(name: str, size: Literal["small", "full"] = "full") -> TargetSpec:
    """Give the spec of a target that is named on a command line.

    Args:
        name: one of `target_names`, a folder, or the hub name ("owner/model") of a checkpoint.
        size: "small" makes own architectures 32 wide, "full" 100 wide.

    Raises:
        ModivaError: for an unknown name or size.
    """
    widths = {"small": 32, "full": 100}
    if size not in widths:
        raise ModivaError(f"unknown size {size!r}: it is one of {', '.join(widths)}")
    own = name.removesuffix("-char") if name in target_names() else name
    if own in OWN_ARCHITECTURES:
        spec = TargetSpec(own, embedding_dim=widths[size], hidden_size=widths[size])
        return replace(spec, char_embeddings=own != name)
    if name == "minilm" or (name and Path(name).is_dir()) or is_hub_name(name):
        # What pretrained encoders are fine-tuned with unless the user chooses otherwise.
        return TargetSpec(name, embedding_dropout=0.1, encoder_dropout=0.1, head_dropout=0.1)
    raise ModivaError(
        f"unknown target {name!r}{suggest(name, target_names())}: it is one of "
        f"{', '.join(target_names())}, or the folder or hub name (owner/model) of a "
        "Hugging Face checkpoint"
    )


def is_hub_name(name: str) -> bool:
    """Return whether `name` has the form owner/model of the hub and is no path into a folder."""
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        return False
    return not Path(name).parent.exists()
