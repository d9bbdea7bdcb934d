"""A fresh classifier for a spec: vocabulary, label names and seeded initial weights."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.guard import quiet, system_errors
from modiva.classifiers.base import TargetClassifier
from modiva.classifiers.characters import spelling_table
from modiva.classifiers.pretrained import build_pretrained
from modiva.classifiers.registry import OWN_ARCHITECTURES
from modiva.classifiers.spec import TargetSpec
from modiva.classifiers.tokenizer import build_vocabulary, encode, word_tokenizer
from modiva.classifiers.vectors import load_word_vectors
from modiva.errors import ModivaError


@dataclass
class Classifier:
    """A model and the tokenizer that belongs to it; label names are in `model.config`."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the token ids of texts, special tokens included, without padding."""
        return encode(self.tokenizer, texts)

    def write_into(self, folder: Path) -> None:
        """Write model and tokenizer into an existing folder, for callers with files of their own.

        Raises:
            OSError: they cannot be written.
        """
        with quiet(), system_errors(folder):
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)


def build(
    spec: TargetSpec,
    *,
    texts: Sequence[str],
    intents: Iterable[str],
    extra_words: Iterable[str] = (),
    seed: int = 0,
    min_count: int = 1,
) -> Classifier:
    """Build an untrained classifier; the same arguments give the same weights.

    The global random state of PyTorch is left as it was.

    Args:
        spec: what to build.
        texts: training sentences, whose words are the vocabulary of own architectures.
        intents: label names; repetitions are folded, the order is alphabetical.
        extra_words: public candidate words in the vocabulary of every target of own architecture.
        seed: of the initial weights (own architectures: all; pretrained: the new head).
        min_count: occurrences in `texts` below which a word that is not extra is unknown.

    Raises:
        ModivaError: for fewer than two intents, an unknown architecture or unusable word vectors.
    """
    names = sorted(set(intents))
    if len(names) < 2:
        raise ModivaError(f"a classifier needs at least 2 intents, not {len(names)}: {names}")
    labels = {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**64)  # PyTorch's limit, not that of the other streams
        if spec.is_own:
            vocabulary = build_vocabulary(texts, extra_words, min_count=min_count)
            return _build_own(spec, vocabulary, labels)
        model, tokenizer = build_pretrained(spec, labels)
        return Classifier(model, tokenizer)


def _build_own(spec: TargetSpec, vocabulary: dict[str, int], labels: dict[str, Any]) -> Classifier:
    model_class = OWN_ARCHITECTURES[spec.architecture]
    table, characters = spelling_table(list(vocabulary))
    config = model_class.config_class(
        vocab_size=len(vocabulary),
        embedding_dim=spec.embedding_dim,
        hidden_size=spec.hidden_size,
        layers=spec.layers,
        pooling=spec.pooling,
        embedding_dropout=spec.embedding_dropout,
        encoder_dropout=spec.encoder_dropout,
        head_dropout=spec.head_dropout,
        freeze_embeddings=spec.freeze_embeddings,
        char_embeddings=spec.char_embeddings,
        characters=characters,
        characters_per_word=table.shape[1],
        # In proportion to the model: 16 and 50 at the usual width of 100.
        char_embedding_dim=max(8, spec.hidden_size // 6),
        char_filters=max(8, spec.hidden_size // 2),
        **labels,
    )
    construct: Callable[..., TargetClassifier] = (
        model_class  # subclasses take a configuration alone
    )
    model = construct(config)
    if model.embedding.characters is not None:
        model.embedding.characters.table.copy_(table)
    if spec.word_vectors is not None:
        vectors, found = load_word_vectors(spec.word_vectors, vocabulary, spec.embedding_dim)
        with torch.no_grad():
            model.embedding.words.weight[found] = vectors[found]
    model.eval()  # type: ignore[no-untyped-call]  # of transformers
    return Classifier(model, word_tokenizer(vocabulary))
