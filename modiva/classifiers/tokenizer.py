"""The word-level tokenizer of modiva's own classifiers, and how any tokenizer is applied."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from modiva.classifiers.configuration import PAD_ID, UNKNOWN_ID
from modiva.errors import ModivaError

PAD, UNKNOWN = "[PAD]", "[UNK]"
MAX_LENGTH = 128
_WORD = r"[\p{L}\p{N}\p{M}_]"
# Marks are words of their own; an apostrophe between two letters belongs to its word (o'clock).
_MARK = rf"(?<!{_WORD})'|'(?!{_WORD})|[[\p{{P}}\p{{S}}]&&[^'_]]"


def _splitter(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Replace(Regex("[\u2018\u2019\u02bc]"), "'"),
            normalizers.Replace(Regex(r"\p{Cc}"), " "),
            normalizers.Lowercase(),
            # Lower-casing can undo the composition of a letter with its marks.
            normalizers.NFKC(),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(_MARK), behavior="isolated")]
    )
    return tokenizer


def split_words(texts: Iterable[str]) -> list[list[str]]:
    """Split texts into the words that the word-level tokenizer sees, known or not."""
    splitter = _splitter({PAD: PAD_ID, UNKNOWN: UNKNOWN_ID})
    words = []
    for text in texts:
        pieces = splitter.pre_tokenizer.pre_tokenize_str(splitter.normalizer.normalize_str(text))
        words.append([piece for piece, _ in pieces])
    return words


def build_vocabulary(
    texts: Iterable[str], extra_words: Iterable[str] = (), *, min_count: int = 1
) -> dict[str, int]:
    """Number the words: padding, unknown, the public extra words, then the words of the texts.

    Extra words come first and sorted whether or not the texts hold them, so that the numbering does
    not tell an attacker which of the candidates occurred in training. No order tells a frequency.

    Args:
        texts: training sentences.
        extra_words: words that are public knowledge and always known to the tokenizer.
        min_count: occurrences in `texts` below which a word that is not extra stays unknown.
    """
    public = sorted({word for words in split_words(extra_words) for word in words})
    counts = Counter(word for words in split_words(texts) for word in words)
    known = set(public)
    private = sorted(word for word, n in counts.items() if n >= min_count and word not in known)
    words = [PAD, UNKNOWN, *(w for w in (*public, *private) if w not in (PAD, UNKNOWN))]
    return {word: index for index, word in enumerate(words)}


def word_tokenizer(vocabulary: dict[str, int]) -> PreTrainedTokenizerFast:
    """Wrap a vocabulary with padding 0 and unknown 1 as a Hugging Face tokenizer.

    Raises:
        ModivaError: when the vocabulary does not begin with padding and unknown.
    """
    if vocabulary.get(PAD) != PAD_ID or vocabulary.get(UNKNOWN) != UNKNOWN_ID:
        raise ModivaError(f"the vocabulary must number {PAD} {PAD_ID} and {UNKNOWN} {UNKNOWN_ID}")
    return PreTrainedTokenizerFast(
        tokenizer_object=_splitter(vocabulary),
        pad_token=PAD,
        unk_token=UNKNOWN,
        padding_side="right",
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int = MAX_LENGTH
) -> list[list[int]]:
    """Give the token ids of texts, special tokens included, without padding.

    A text without any word becomes one unknown token, so that no sentence is empty.

    Args:
        tokenizer: any Hugging Face tokenizer.
        texts: sentences.
        max_length: tokens beyond which a sentence is cut (or the tokenizer's own limit, if lower).
    """
    if not texts:
        return []
    limit = min(max_length, tokenizer.model_max_length)
    ids = tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]
    unknown = tokenizer.unk_token_id
    return [list(row) if row or unknown is None else [unknown] for row in ids]
