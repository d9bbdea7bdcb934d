"""Pretrained word vectors from a text file in GloVe format, only the words that are needed."""

import functools
import logging
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from canaries.reading import regular_size
from modiva.errors import ModivaError

logger = logging.getLogger(__name__)


def load_word_vectors(
    path: str | Path, vocabulary: Mapping[str, int], dim: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the vectors of a vocabulary's words, a line at a time.

    Args:
        path: a UTF-8 text file, "word x1 ... xd" a line; a first line "count dim" (as word2vec
            writes it) is skipped.
        vocabulary: word -> id.
        dim: expected size of a vector.

    Returns:
        Vectors (V, dim) float32, zero where the file has none, and whether it had one (V,) bool.

    Raises:
        ModivaError: when the file is not such a text, has vectors of another size, or not one word
            of the vocabulary.
        OSError: when the file cannot be read.
    """
    vectors = torch.zeros(len(vocabulary), dim)
    found = torch.zeros(len(vocabulary), dtype=torch.bool)
    for word, numbers in read_word_vectors(path, dim):
        index = vocabulary.get(word)
        if index is not None and not found[index]:
            vectors[index] = torch.from_numpy(numbers())
            found[index] = True
    covered = int(found.sum())
    if covered == 0:
        raise ModivaError(
            f"word vectors {path}: it has none of the {len(vocabulary)} words of the vocabulary; "
            "expected lines 'word x1 ... xd' with lower-case words"
        )
    logger.info(
        "word vectors %s cover %d of %d words (%.1f %%)",
        path,
        covered,
        len(vocabulary),
        100 * covered / len(vocabulary),
    )
    return vectors, found


def read_word_vectors(
    path: str | Path, dim: int | None = None
) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Yield each word of a file with what parses its vector, a line at a time.

    Args:
        path: as of `load_word_vectors`.
        dim: expected size of a vector; None takes that of the first one.

    Raises:
        ModivaError: as of `load_word_vectors`; a vector that is none, where it is parsed.
        OSError: when the file cannot be read.
    """
    path = Path(path)
    regular_size(path)
    if path.is_dir() or zipfile.is_zipfile(path):
        raise ModivaError(
            f"word vectors {path}: give the unpacked text file, not a folder or archive"
        )
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                # The word of some files holds spaces: the numbers are counted from the right.
                fields = line.rstrip().split(" ")
                if number == 1:
                    if len(fields) == 2 and all(field.isdigit() for field in fields):
                        dim = int(fields[1]) if dim is None else dim
                        _check_size(path, number, int(fields[1]), dim)
                        continue
                    dim = len(fields) - 1 if dim is None else dim
                    _check_size(path, number, len(fields) - 1, dim)
                assert dim is not None
                parsed = functools.partial(_numbers, path, number, fields[-dim:])
                yield " ".join(fields[:-dim]), parsed
    except UnicodeDecodeError as error:
        raise ModivaError(f"word vectors {path}: not UTF-8 text ({error.reason})") from None


def _check_size(path: Path, number: int, size: int, dim: int) -> None:
    if size != dim:
        raise ModivaError(
            f"word vectors {path}, line {number}: vectors of {size} numbers, but the target's "
            f"embeddings have {dim}: set the embedding size to {size} or give another file"
        )


def _numbers(path: Path, number: int, fields: list[str]) -> np.ndarray:
    try:
        vector = np.array(fields, dtype=np.float32)
    except ValueError:
        vector = np.array([np.nan], dtype=np.float32)
    if not np.isfinite(vector).all():
        raise ModivaError(f"word vectors {path}, line {number}: not of the form 'word x1 ... xd'")
    return vector
