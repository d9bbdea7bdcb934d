"""Sentences that hold no secret, to compare a question with: the same slots after other words."""

import random
import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from attacks.errors import AttackError
from attacks.problem import Completion
from attacks.tokenise import text_inputs
from attacks.vocabulary import whole_words

# Words that touch no slot: text with a space on both sides somewhere.
_WORD = re.compile(r"(?<=\s)[^\W\d_]+(?=\S*\s)")
# Words that keep a decoy a sentence; they are replaced where a prefix has no others.
KEPT = (
    "a an and are at be by do for from has have i in is it me my of on or our please that the this "
    "to was we with you your"
)
EVERYDAY = (
    "address album alarm answer bag balance bank bed bike birthday boat book bottle box bread "
    "brother bus camera car card cat chair channel city class clock code coffee color company "
    "computer cost country cup date daughter day desk dinner doctor dog door dress evening family "
    "father flight flower food friend game garden gate girl glass group hand hotel hour house idea "
    "job key kitchen lamp letter light list lunch map meeting milk minute money morning mother "
    "movie music name night number office order page paper party payment phone picture place plan "
    "price problem question radio reason report restaurant road room salary school score seat "
    "shirt shop sister size son song speaker store story street student table taxi teacher team "
    "test ticket time tool town train trip user video voice volume water weather week window wine "
    "word work year"
)
TRIES = 5  # drawn prefixes for each that is wanted: some are known, or change the slots' tokens


def decoys(
    problem: Completion, model: PreTrainedModel, count: int, rng: random.Random
) -> list[Completion]:
    """Draw problems with the slots of `problem` and other words before them.

    Words of the prefix (of the suffix where the slots come first) are replaced by words that the
    tokenizer knows; of each two, one is an everyday noun where it is known. Articles, pronouns and
    the like stay, unless the prefix has no other words.

    Args:
        problem: the question.
        model: the target.
        count: how many; fewer are returned where the words do not give so many.
        rng: the only source of randomness.
    """
    last = len(problem.parts) - 1
    literal = {
        place: " " * (place == 0) + part + " " * (place == last)
        for place, part in enumerate(problem.parts)
        if isinstance(part, str)
    }
    place = next((place for place, text in literal.items() if _WORD.search(text)), None)
    if place is None:
        return []
    tokenizer = problem.texts.tokenizer
    everyday = _known(tokenizer, problem.texts.limits.unknown, EVERYDAY.split())
    vocabulary = whole_words(tokenizer, model)
    pools = [pool for pool in (everyday, vocabulary) if pool]
    if not pools:
        return []
    found: dict[str, Completion] = {}
    for _ in range(TRIES * count):
        if len(found) == count:
            break
        other = _reworded(literal[place], pools, rng)[place == 0 :]
        other = other.removesuffix(" ") if place == last else other
        if other == problem.parts[place] or other in found:
            continue
        parts = (*problem.parts[:place], other, *problem.parts[place + 1 :])
        decoy = _with_parts(problem, model, parts)
        if decoy is not None:
            found[other] = decoy
    return list(found.values())


def _known(
    tokenizer: PreTrainedTokenizerBase, unknown: int | None, words: Sequence[str]
) -> list[str]:
    ids = tokenizer(list(words), add_special_tokens=False)["input_ids"]
    return [word for word, its in zip(words, ids, strict=True) if its and unknown not in its]


def _reworded(text: str, pools: Sequence[Sequence[str]], rng: random.Random) -> str:
    """Return `text` with other words in the same case."""
    kept = set(KEPT.split())
    if all(word.lower() in kept for word in _WORD.findall(text)):
        kept = set()

    def other(match: re.Match[str]) -> str:
        word = match[0]
        if word.lower() in kept:
            return word
        drawn = rng.choice(rng.choice(pools))
        if word.isupper():
            return drawn.upper() if len(word) > 1 else drawn.capitalize()
        return drawn.capitalize() if word[0].isupper() else drawn

    return _WORD.sub(other, text)


def _with_parts(
    problem: Completion, model: PreTrainedModel, parts: tuple[str | tuple[str, ...], ...]
) -> Completion | None:
    """Put other words around the slots of a problem; None if the sentence cannot be built."""
    texts = replace(problem.texts, parts=parts)
    unknown, limits = texts.limits.unknown, texts.limits
    choices = problem.examples()
    before = problem.texts.encode([problem.texts.text(row) for row in choices])
    after = texts.encode([texts.text(row) for row in choices])
    for ids, its in zip(after, before, strict=True):
        if unknown is not None and ids.count(unknown) > its.count(unknown):
            return None
        if len(ids) > limits.length or (limits.rows is not None and max(ids) >= limits.rows):
            return None
    shift = len(after[0]) - len(before[0])
    decoy = replace(
        problem,
        name=texts.text(choices[0]),
        parts=parts,
        input_ids=torch.tensor(after[0]),
        positions=tuple(where + shift * (int(where.min()) > 0) for where in problem.positions),
        texts=texts,
    )
    if not problem.placed:
        try:
            texts.tokens(torch.tensor(choices))
        except AttackError:  # a longer sentence of the space
            return None
        return decoy
    inputs = text_inputs(texts.tokenizer, model, decoy)
    if inputs is None or not decoy.is_text(torch.tensor(choices)).all():
        return None
    return replace(decoy, inputs=inputs)
