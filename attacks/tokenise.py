"""Turns a sentence with slots into a Completion, exactly, for any fast Hugging Face tokenizer."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.errors import AttackError
from attacks.labels import resolve_label
from attacks.problem import Completion, some
from attacks.texts import WHOLE, Limits, Texts, taken_inputs
from canaries.patterns import Pattern
from canaries.spaces import SecretSpace
from canaries.spelling import split_words

logger = logging.getLogger(__name__)

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
    drop_unknown: bool = False,
) -> Completion:
    """Tokenise what the attacker knows for the tokenizer of one target.

    Every option is tokenised in its place in the sentence, since subword tokenizers treat a word
    by its surroundings; an option may be several tokens. Where each slot keeps places of its own,
    which is checked for every sentence of a space of up to 2^16 and for 1,000 of a larger one,
    the completion has them; elsewhere its sentences are tokenised whole.

    Args:
        tokenizer: the target's; must give character offsets (a "fast" tokenizer).
        model: the target, for its labels and longest input.
        label: the class that the completed sentence has: a name or an index.
        pattern: the sentence; or give `prefix`, `slots` and `suffix`, with spaces between.
        prefix: known words before the slots.
        slots: what each slot may hold.
        suffix: known words after the slots.
        name: how results name the problem; the pattern's name by default.
        drop_unknown: leave out, with a warning, options that the tokenizer does not know or the
            model has no vector for, unless none is left; else they are refused.

    Raises:
        AttackError: no slots, an unknown label, text or options that are unknown or have no vector,
            options with equal tokens, or a sentence longer than the model takes.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise AttackError(
            f"{type(tokenizer).__name__} gives no character offsets: save the checkpoint with a "
            "fast tokenizer (a tokenizer.json)"
        )
    parts = pattern.parts if pattern else _spaced(prefix, slots, suffix)
    if all(isinstance(part, str) for part in parts):
        raise AttackError("no slots to fill: give at least one, such as 'digit*4'")
    limits = Limits.of(tokenizer, model)
    sentence = _Sentence(tokenizer, limits, _slots(parts)).known(drop=drop_unknown)
    sentence.check()
    places = sentence.places()
    problem = Completion(
        name=name or (pattern.name if pattern else ""),
        parts=sentence.options,
        input_ids=torch.tensor(sentence.tokens(sentence.first)[0]),
        positions=places[0] if places else (),
        candidates=places[1] if places else (),
        options=tuple(slot.options for slot in sentence.slots),
        label=resolve_label(model, label),
        texts=Texts(sentence.options, tokenizer, taken_inputs(model), limits),
    )
    if places:
        inputs = text_inputs(tokenizer, model, problem)
        if inputs is not None and problem.is_text(_joint_fills(problem)).all():
            return replace(problem, inputs=inputs)
    return _whole(replace(problem, positions=(), candidates=()), sentence, drop=drop_unknown)


def text_inputs(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, problem: Completion
) -> dict[str, Tensor] | None:
    """Return what the tokenizer gives besides `input_ids`: for each name (T, ...).

    None where it depends on what stands in the slots.
    """
    taken = taken_inputs(model)
    found: dict[str, Tensor] = {}
    for choices in problem.examples():
        encoded: Any = tokenizer(problem.text(problem.secret(choices)), return_tensors="pt")
        inputs = {name: encoded[name][0] for name in encoded if name in taken}
        found = found or inputs
        if not all(torch.equal(found[name], value) for name, value in inputs.items()):
            return None
    return found


@dataclass(frozen=True)
class _Slot:
    """A slot's options, and whether no letter, digit or other slot is glued to it."""

    name: str
    options: tuple[str, ...]
    alone: bool


def _spaced(
    prefix: str, slots: Sequence[SecretSpace], suffix: str
) -> tuple[str | SecretSpace, ...]:
    """Join words and slots with single spaces between them."""
    words: list[str | SecretSpace] = [*prefix.split(), *slots, *suffix.split()]
    return tuple(part for word in words for part in (" ", word))[1:]


def _slots(parts: Sequence[str | SecretSpace]) -> tuple[str | _Slot, ...]:
    words = split_words(parts)
    alone = iter([
        sum(not isinstance(other, str) or any(map(str.isalnum, other)) for other in word) == 1
        for word in words
        for part in word
        if isinstance(part, SecretSpace)
    ])  # fmt: skip
    return tuple(
        part if isinstance(part, str) else _Slot(part.name, part.options, next(alone))
        for part in parts
    )


@dataclass(frozen=True)
class _Sentence:
    """A template whose options are put in and tokenised, with the places of its slots."""

    tokenizer: PreTrainedTokenizerBase
    limits: Limits
    parts: tuple[str | _Slot, ...]

    @property
    def slots(self) -> list[_Slot]:
        return [part for part in self.parts if isinstance(part, _Slot)]

    @property
    def options(self) -> tuple[str | tuple[str, ...], ...]:
        return tuple(part if isinstance(part, str) else part.options for part in self.parts)

    @property
    def first(self) -> list[str]:
        return [slot.options[0] for slot in self.slots]

    def known(self, *, drop: bool) -> "_Sentence":
        """Drop the options that the tokenizer or the model does not know.

        Raises:
            AttackError: options of a slot are unknown and not to be dropped, or all of them are.
        """
        kept = list(self.parts)
        slot = -1
        for place, part in enumerate(self.parts):
            if isinstance(part, str):
                continue
            slot += 1
            if not part.alone:  # glued options are known together or not at all
                continue
            taken = self.option_tokens(slot)
            unknown = [option for option, ids in taken if self.limits.unknown in ids]
            rows = self.limits.rows
            beyond = [o for o, ids in taken if rows is not None and max(ids, default=0) >= rows]
            strange = {*unknown, *beyond}
            where = f"slot {slot + 1} ({part.name})"
            if not strange:
                continue
            if drop and len(strange) < len(part.options):
                logger.warning(
                    "%d of %d options of %s are left out, since the tokenizer does not know them: "
                    "%s", len(strange), len(part.options), where,
                    some([o for o in part.options if o in strange]),
                )  # fmt: skip
                options = tuple(o for o in part.options if o not in strange)
                kept[place] = replace(part, options=options)
            elif unknown:
                raise AttackError(
                    f"the tokenizer does not know the options {some(unknown)} of {where}: use a "
                    "space whose words are in its vocabulary"
                )
            else:
                raise AttackError(
                    f"the model's embedding of {rows} rows has none for the options "
                    f"{some(beyond)} of {where}, which the tokenizer knows: use a space without "
                    "them"
                )
        return replace(self, parts=tuple(kept))

    def check(self) -> None:
        """Raise AttackError for text that is unknown or too long."""
        ids, spans = self.tokens(self.first)
        self.limits.check_length(len(ids))
        text, slots = self.text(self.first), self.slot_spans(self.first)
        # Tokens of no characters come with every sentence: OPT's first is its unknown token.
        words = [
            (text[a:b].strip(), token)
            for token, (a, b) in zip(ids, spans, strict=True)
            if not any(a < end and b > start for start, end in slots)
        ]
        strange = [word for word, token in words if token == self.limits.unknown and word]
        if strange:
            raise AttackError(
                f"the tokenizer does not know {some(strange)}: use words of its vocabulary in the "
                "prefix and suffix (spelling and case as in the training data)"
            )
        rows = self.limits.rows
        beyond = [
            word or f"token {token}" for word, token in words if rows is not None and token >= rows
        ]
        if beyond:
            raise AttackError(
                f"the model's embedding of {rows} rows has none for {some(beyond)}, which the "
                "tokenizer knows: leave it out of the prefix and suffix"
            )

    def places(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]] | None:
        """Positions and candidates of every slot; None where an option moves other tokens.

        Glued options that are the same tokens may differ in other company.

        Raises:
            AttackError: two options of a slot are the same tokens.
        """
        base, spans = self.tokens(self.first)
        positions, candidates = [], []
        for number, slot in enumerate(self.slots):
            where = self.slot_tokens(self.first, spans, number)
            outside = [t for i, t in enumerate(base) if i not in set(where)]
            rows = []
            for ids, inside in self._filled(number):
                its = [ids[i] for i in inside]
                if inside != where or outside != [t for i, t in enumerate(ids) if i not in inside]:
                    return None
                if not slot.alone and self.limits.unknown in its:
                    return None
                rows.append(its)
            seen: dict[tuple[int, ...], str] = {}
            for option, row in zip(slot.options, rows, strict=True):
                twin = seen.setdefault(tuple(row), option)
                if twin != option and not slot.alone:
                    return None
                if twin != option:
                    raise AttackError(
                        f"options {twin!r} and {option!r} of slot {number + 1} ({slot.name}) are "
                        "the same tokens: keep one"
                    )
            positions.append(torch.tensor(where))
            candidates.append(torch.tensor(rows))
        return tuple(positions), tuple(candidates)

    def option_tokens(self, slot: int) -> list[tuple[str, list[int]]]:
        """Yield each option of a slot and its tokens in the sentence."""
        return [
            (option, [ids[i] for i in inside])
            for option, (ids, inside) in zip(
                self.slots[slot].options, self._filled(slot), strict=True
            )
        ]

    def _filled(self, slot: int) -> list[tuple[list[int], list[int]]]:
        """Tokens of the sentence with each option in a slot, and which of them are the slot's."""
        first = self.first
        secrets = [[*first[:slot], o, *first[slot + 1 :]] for o in self.slots[slot].options]
        encoded = self._encode([self.text(secret) for secret in secrets])
        return [
            (ids, self.slot_tokens(secret, spans, slot))
            for secret, (ids, spans) in zip(secrets, encoded, strict=True)
        ]

    def text(self, secret: Sequence[str]) -> str:
        return "".join(self._pieces(secret))

    def slot_spans(self, secret: Sequence[str]) -> list[Span]:
        """Return the characters (start, end) of each slot."""
        spans, start = [], 0
        for part, piece in zip(self.parts, self._pieces(secret), strict=True):
            if not isinstance(part, str):
                spans.append((start, start + len(piece)))
            start += len(piece)
        return spans

    def tokens(self, secret: Sequence[str]) -> tuple[list[int], list[Span]]:
        return self._encode([self.text(secret)])[0]

    def slot_tokens(self, secret: Sequence[str], spans: Sequence[Span], slot: int) -> list[int]:
        """Positions of the tokens that overlap the slot; a leading space may belong to one."""
        start, end = self.slot_spans(secret)[slot]
        return [i for i, (a, b) in enumerate(spans) if a < end and b > start]

    def _pieces(self, secret: Sequence[str]) -> list[str]:
        options = iter(secret)
        return [part if isinstance(part, str) else next(options) for part in self.parts]

    def _encode(self, texts: list[str]) -> list[tuple[list[int], list[Span]]]:
        encoded: Any = self.tokenizer(texts, return_offsets_mapping=True, truncation=False)
        return list(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))


def _whole(problem: Completion, sentence: _Sentence, *, drop: bool) -> Completion:
    """Tokenise the sentences whole; refuse candidates that have the same tokens.

    Raises:
        AttackError: the tokenizer gives all candidates the same tokens, or sentences other tokens
            together than alone.
    """
    _check_alone(problem)
    choices = _joint_fills(problem)  # (N, n)
    tokens = problem.texts.tokens(choices)
    ids = tokens.inputs["input_ids"]
    unknown = sentence.limits.unknown
    inside = torch.arange(ids.shape[1]) < tokens.lengths.unsqueeze(1)
    counts = ((ids == unknown) & inside).sum(1) if unknown is not None else torch.zeros(len(ids))
    # Unknown tokens that come with every sentence are OPT's first.
    base, spans = sentence.tokens(sentence.first)
    always = sum(t == unknown and a == b for t, (a, b) in zip(base, spans, strict=True))
    strange = counts > always  # (N,)
    which = "candidates" if problem.size <= WHOLE else "candidates drawn at random"
    if len(ids.unique(dim=0)) == 1:
        raise AttackError(
            f"the tokenizer gives all {len(ids):,} {which} of {problem.name!r} the same tokens, so "
            "that no attack can tell them apart: use slots whose words are in its vocabulary, or "
            "spaces between them"
        )
    if drop and problem.size <= WHOLE and bool(strange.any()) and not bool(strange.all()):
        options = _known_options(problem, choices, ~strange)
        dropped = sum(problem.sizes) - sum(map(len, options))
        if dropped:
            logger.warning(
                "%d of %d options are left out, since the tokenizer knows no candidate with them",
                dropped, sum(problem.sizes),
            )  # fmt: skip
            left = iter(options)
            parts = tuple(p if isinstance(p, str) else next(left) for p in problem.parts)
            texts = replace(problem.texts, parts=parts)
            problem = replace(problem, parts=parts, options=options, texts=texts)
            first = texts.tokens(torch.zeros(1, len(options), dtype=torch.long))
            return replace(problem, input_ids=first.inputs["input_ids"][0].long())
    if strange.any():
        logger.warning(
            "%d of %d %s hold words that the tokenizer does not know, which look alike to the "
            "model: such candidates tie", int(strange.sum()), len(strange), which,
        )  # fmt: skip
    return problem


def _check_alone(problem: Completion) -> None:
    """Check for a few sentences that the tokenizer gives them the same one by one and together."""
    choices = torch.tensor(problem.examples())
    tokens = problem.texts.tokens(choices)
    for row, length in enumerate(tokens.lengths.tolist()):
        text = problem.texts.text(choices[row].tolist())
        alone: Any = problem.texts.tokenizer(text, return_tensors="pt", truncation=False)
        together = tokens.rows(torch.tensor([row]), length, torch.device("cpu"))
        if not all(torch.equal(alone[name], its) for name, its in together.items()):
            raise AttackError(
                f"the tokenizer gives {text!r} other tokens or inputs alone than among other "
                "sentences: modiva attacks only tokenizers to which sentences are independent"
            )


def _known_options(
    problem: Completion, choices: Tensor, known: Tensor
) -> tuple[tuple[str, ...], ...]:
    """Return the options of each slot that a known candidate holds."""
    kept = []
    for slot, options in enumerate(problem.options):
        present = set(choices[known, slot].unique().tolist())
        kept.append(tuple(o for number, o in enumerate(options) if number in present))
    return tuple(kept)


def _joint_fills(problem: Completion) -> Tensor:
    """Choose choices (N, n) to tokenise whole: all of a space up to `WHOLE`, else a sample."""
    if problem.size <= WHOLE:
        return torch.cartesian_prod(*map(torch.arange, problem.sizes)).view(problem.size, -1)
    generator = torch.Generator().manual_seed(0)
    draws = [torch.randint(size, (SAMPLED,), generator=generator) for size in problem.sizes]
    return torch.stack(draws, dim=1)
