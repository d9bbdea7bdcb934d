"""Turns a sentence with slots into a Completion, exactly, for any fast Hugging Face tokenizer."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.calling import text_inputs
from attacks.errors import AttackError
from attacks.labels import resolve_label
from attacks.problem import WHOLE, Completion, some
from attacks.vocabulary import embedding_rows, longest_input
from canaries.patterns import Pattern
from canaries.spaces import SecretSpace

Span = tuple[int, int]
SAMPLED = 1_000  # secrets tokenised of a space that is too large to tokenise whole


def build_completion(
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    *,
    label: str | int,
    pattern: Pattern | None = None,
    prefix: str = "",
    slots: Sequence[SecretSpace] = (),
    suffix: str = "",
    name: str = "",
) -> Completion:
    """Tokenise what the attacker knows for the tokenizer of one target.

    Every option is tokenised in its place in the sentence, since subword tokenizers treat a word
    by its surroundings; an option may be several tokens, as many as the other options of its slot.

    Args:
        tokenizer: the target's; must give character offsets (a "fast" tokenizer).
        model: the target, for its labels and longest input.
        label: the class that the completed sentence has: a name or an index.
        pattern: the sentence; or give `prefix`, `slots` and `suffix`.
        prefix: known words before the slots.
        slots: what each slot may hold.
        suffix: known words after the slots.
        name: how results name the problem; the pattern's name by default.

    Raises:
        AttackError: no slots, an unknown label, tokens that are unknown or have no vector, options
            of unequal token counts or with equal tokens, slots that the tokenizer merges, or a
            sentence longer than the model takes.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise AttackError(
            f"{type(tokenizer).__name__} gives no character offsets: save the checkpoint with a "
            "fast tokenizer (a tokenizer.json)"
        )
    parts: tuple[str | SecretSpace, ...] = (
        pattern.parts if pattern else _spaced(prefix, slots, suffix)
    )
    spaces = [part for part in parts if isinstance(part, SecretSpace)]
    if not spaces:
        raise AttackError("no slots to fill: give at least one, such as 'digit*4'")
    first = [space.options[0] for space in spaces]
    sentence = _Sentence(tokenizer, parts)
    base, spans = sentence.tokens(first)
    unknown, table = tokenizer.unk_token_id, embedding_rows(model)
    _check_length(tokenizer, model, len(base))
    _check_known(sentence.text(first), base, spans, unknown, table, sentence.slot_spans(first))

    positions, candidates = [], []
    for slot, space in enumerate(spaces):
        where = sentence.slot_tokens(first, spans, slot)
        outside = [t for i, t in enumerate(base) if i not in set(where)]
        rows = []
        for option, (ids, its_spans) in zip(
            space.options, sentence.each_option(first, slot, space.options), strict=True
        ):
            filled = [*first[:slot], option, *first[slot + 1 :]]
            inside = sentence.slot_tokens(filled, its_spans, slot)
            moved = not inside or (len(inside) == len(where) and inside != where)
            if moved or outside != [t for i, t in enumerate(ids) if i not in set(inside)]:
                raise AttackError(
                    f"option {option!r} of slot {slot + 1} ({space.name}) changes the tokens "
                    "around it: use options that the tokenizer keeps apart from other words"
                )
            rows.append([ids[i] for i in inside])
        _check_options(space, slot, rows, unknown, table)
        positions.append(torch.tensor(where))
        candidates.append(torch.tensor(rows))

    problem = Completion(
        name=name or (pattern.name if pattern else ""),
        parts=tuple(part if isinstance(part, str) else tuple(part.options) for part in parts),
        input_ids=torch.tensor(base),
        positions=tuple(positions),
        candidates=tuple(candidates),
        options=tuple(tuple(space.options) for space in spaces),
        label=resolve_label(model, label),
        encode=sentence.encode,
    )
    problem.check(_joint_fills(problem))
    return replace(problem, inputs=text_inputs(tokenizer, model, problem))


def _spaced(
    prefix: str, slots: Sequence[SecretSpace], suffix: str
) -> tuple[str | SecretSpace, ...]:
    """The parts of a sentence with single spaces between its words and slots."""
    words: list[str | SecretSpace] = [*prefix.split(), *slots, *suffix.split()]
    return tuple(part for word in words for part in (" ", word))[1:]


class _Sentence:
    """A template whose options are put in and tokenised, with the places of its slots."""

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, parts: Sequence[str | SecretSpace]
    ) -> None:
        self.tokenizer = tokenizer
        self.parts = parts

    def _pieces(self, secret: Sequence[str]) -> list[str]:
        options = iter(secret)
        return [part if isinstance(part, str) else next(options) for part in self.parts]

    def text(self, secret: Sequence[str]) -> str:
        return "".join(self._pieces(secret))

    def slot_spans(self, secret: Sequence[str]) -> list[Span]:
        """The characters (start, end) that each slot takes."""
        spans, start = [], 0
        for part, piece in zip(self.parts, self._pieces(secret), strict=True):
            if not isinstance(part, str):
                spans.append((start, start + len(piece)))
            start += len(piece)
        return spans

    def tokens(self, secret: Sequence[str]) -> tuple[list[int], list[Span]]:
        return self._encode([self.text(secret)])[0]

    def each_option(
        self, secret: Sequence[str], slot: int, options: Sequence[str]
    ) -> list[tuple[list[int], list[Span]]]:
        """Tokens and spans of the sentence with each option in `slot`."""
        return self._encode(
            [self.text([*secret[:slot], option, *secret[slot + 1 :]]) for option in options]
        )

    def slot_tokens(self, secret: Sequence[str], spans: Sequence[Span], slot: int) -> list[int]:
        """Positions of the tokens that overlap the slot; a leading space may belong to one."""
        start, end = self.slot_spans(secret)[slot]
        return [i for i, (a, b) in enumerate(spans) if a < end and b > start]

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of sentences, special tokens included."""
        encoded: Any = self.tokenizer(
            texts, truncation=False, return_attention_mask=False, return_token_type_ids=False
        )
        return list(encoded["input_ids"])

    def _encode(self, texts: list[str]) -> list[tuple[list[int], list[Span]]]:
        encoded: Any = self.tokenizer(texts, return_offsets_mapping=True, truncation=False)
        return list(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))


def _check_length(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, length: int) -> None:
    limit = longest_input(tokenizer, model)
    if length > limit:
        raise AttackError(
            f"the sentence has {length} tokens and the model takes {limit}: shorten the prefix, "
            "the suffix or the number of slots"
        )


def _check_known(
    text: str,
    ids: list[int],
    spans: list[Span],
    unknown: int | None,
    table: int | None,
    slots: list[Span],
) -> None:
    # Tokens of no characters come with every sentence: OPT's first is its unknown token.
    words = [
        (text[a:b].strip(), token)
        for token, (a, b) in zip(ids, spans, strict=True)
        if not any(a < end and b > start for start, end in slots)
    ]
    strange = [word for word, token in words if token == unknown and word]
    if strange:
        raise AttackError(
            f"the tokenizer does not know {some(strange)}: use words of its vocabulary in the "
            "prefix and suffix (spelling and case as in the training data)"
        )
    beyond = [
        word or f"token {token}" for word, token in words if table is not None and token >= table
    ]
    if beyond:
        raise AttackError(
            f"the model's embedding of {table} rows has none for {some(beyond)}, which the "
            "tokenizer knows: leave it out of the prefix and suffix"
        )


def _check_options(
    space: SecretSpace,
    slot: int,
    rows: list[list[int]],
    unknown: int | None,
    table: int | None,
) -> None:
    where = f"slot {slot + 1} ({space.name})"
    strange = [o for o, row in zip(space.options, rows, strict=True) if unknown in row]
    if strange:
        raise AttackError(
            f"the tokenizer does not know the options {some(strange)} of {where}: use a space "
            "whose words are in its vocabulary"
        )
    if table is not None:
        beyond = [o for o, row in zip(space.options, rows, strict=True) if max(row) >= table]
        if beyond:
            raise AttackError(
                f"the model's embedding of {table} rows has none for the options {some(beyond)} "
                f"of {where}, which the tokenizer knows: use a space without them"
            )
    width = Counter(len(row) for row in rows).most_common(1)[0][0]
    uneven = [o for o, row in zip(space.options, rows, strict=True) if len(row) != width]
    if uneven:
        count = len(rows[space.options.index(uneven[0])])
        raise AttackError(
            f"option {uneven[0]!r} of {where} is {count} tokens of the target's tokenizer where "
            f"most options are {width}: use a space without {some(uneven)}, or attack the "
            f"options of each token count by themselves"
        )
    seen: dict[tuple[int, ...], str] = {}
    for option, row in zip(space.options, rows, strict=True):
        twin = seen.setdefault(tuple(row), option)
        if twin != option:
            raise AttackError(
                f"options {twin!r} and {option!r} of {where} are the same tokens: keep one"
            )


def _joint_fills(problem: Completion) -> Tensor:
    """Choices (N, n) to tokenise whole: all of a space up to `WHOLE`, else a sample."""
    if problem.size <= WHOLE:
        return torch.cartesian_prod(*map(torch.arange, problem.sizes)).view(problem.size, -1)
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randint(size, (SAMPLED,), generator=generator) for size in problem.sizes]
    return torch.stack(draws, dim=1)
