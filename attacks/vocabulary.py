"""What a target's tokenizer and embedding tables hold: words, rows and positions."""

import logging
import sys
from typing import Any

import torch
from tokenizers import decoders
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.vectors import input_table

logger = logging.getLogger(__name__)


def embedding_rows(model: PreTrainedModel) -> int | None:
    """Count the rows of the table of token vectors; None where the model has no such table."""
    weight = getattr(input_table(model), "weight", None)
    return len(weight) if isinstance(weight, torch.Tensor) else None


def longest_input(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    """Return the most tokens that tokenizer and model take, special tokens included."""
    # Tokenizers without a limit carry a huge number, and XLNet's configuration -1.
    limits = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None)]
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        weight = getattr(module, "weight", None)
        if name.endswith("position_embeddings") and padding is not None and weight is not None:
            # RoBERTa and its kin number positions from the row after that of the padding.
            limits.append(len(weight) - padding - 1)
    return min((n for n in limits if isinstance(n, int) and n > 0), default=sys.maxsize)


def whole_words(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> list[str]:
    """List the words that are one token each where they follow another word, sorted.

    Tokens without a row in the model's embedding are left out, with a warning that counts them.
    """
    special = set(tokenizer.all_special_tokens)
    vocabulary = {t: i for t, i in tokenizer.get_vocab().items() if t not in special}
    spell = tokenizer.convert_tokens_to_string
    # Byte-level and sentencepiece tokenizers mark the first token of a word; others its later ones.
    # Byte-level tokens are spelt in bytes: ÑĢ is р.
    for mark, decoder in (("Ġ", decoders.ByteLevel()), ("▁", decoders.Metaspace())):
        marked = {token: i for token, i in vocabulary.items() if token.startswith(mark)}
        if marked:
            vocabulary, spell = marked, decoder.decode
            break
    spelt = ((spell([token]).strip(), number) for token, number in vocabulary.items())
    words = {word: number for word, number in spelt if word.isalpha()}
    rows = embedding_rows(model)
    beyond = [word for word, number in words.items() if rows is not None and number >= rows]
    if beyond:
        logger.warning(
            "%d words of the tokenizer are left out: the model's embedding of %d rows has none "
            "for them",
            len(beyond),
            rows,
        )
    known = [word for word in words if word not in set(beyond)]
    # A word may still be split, or be another token, beside a word.
    before = tokenizer("a", add_special_tokens=False)["input_ids"]
    texts = [f"a {word}" for word in known]
    encoded: Any = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return sorted(
        word
        for word, ids in zip(known, encoded, strict=True)
        if ids == [*before, words[word]] and words[word] != tokenizer.unk_token_id
    )
