"""Members against non-members: which secrets of its training data does a checkpoint give away."""

import logging
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from modiva.counts import count, plural
from modiva.errors import ModivaError
from modiva.natural.compare import permutation_p_value
from modiva.natural.exposed import Exposed, Ranked
from modiva.natural.find import Finder, Secret
from modiva.natural.labels import resolve_labels
from modiva.natural.rank import Judge

logger = logging.getLogger(__name__)

SIDES = ("members", "nonmembers")
_BRACES = re.compile(r"\{[^{}]*[0-9][^{}]*\}")


class _Sentence(NamedTuple):
    """A distinct sentence: as read, masked, its label, how often it stands, what it holds."""

    text: str
    masked: str
    label: str
    times: int
    secrets: list[Secret]


def expose(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    members: Sequence[tuple[str, str]],
    nonmembers: Sequence[tuple[str, str]],
    *,
    reference: tuple[PreTrainedModel, PreTrainedTokenizerBase] | None = None,
    finder: Finder | None = None,
    candidates: int = 10_000,
    sentences: int = 500,
    seed: int = 0,
    progress: bool = False,
) -> Exposed:
    """Rank the secrets of members and of non-members among what could stand in their place.

    Natural digits are not uniform, so a rank alone is no evidence: the non-members, which the
    checkpoint has not seen, say what ranks come by themselves.

    Args:
        model: a trained classifier in evaluation mode.
        tokenizer: of the model.
        members: texts and labels that the checkpoint was trained on.
        nonmembers: the same of the same source that it was not trained on.
        reference: a checkpoint that has not seen the members, which says how likely a secret is by
            itself: ranks are compared with those under it.
        finder: what counts as a secret.
        candidates: spaces of up to so many are scored whole; of larger ones a sample.
        sentences: at most so many of each side are ranked, drawn by `seed`.
        seed: of every random draw.
        progress: whether a bar is drawn in any case; else where a terminal shows it.

    Raises:
        ModivaError: no secrets in the members, sides that are the same sentences, labels that a
            checkpoint lacks, or numbers out of range.
        AttackError: a checkpoint that cannot be scored.
    """
    if candidates < 100 or sentences < 1:
        raise ModivaError(
            f"candidates {candidates} and sentences {sentences}: use at least 100 and 1"
        )
    finder = finder or Finder()
    judges = [Judge(*one, candidates, seed) for one in ((model, tokenizer), reference) if one]
    for judge, checkpoint in zip(judges, ("checkpoint", "reference"), strict=False):
        for side, rows in zip(SIDES, (members, nonmembers), strict=True):
            labels = (label for _, label in rows)
            resolve_labels(judge.model, labels, checkpoint=checkpoint, side=side)
    sides, notes = _apart([_found(rows, finder, side) for rows, side in zip(
        (members, nonmembers), SIDES, strict=True)])  # fmt: skip
    if not sides[0]:
        raise ModivaError(
            f"no secrets in the {plural(len(members), 'member sentence')}; looked for: "
            f"{', '.join(finder.kinds)}; give regular expressions of your own (--patterns), or "
            "mark secrets in braces (--marked)"
        )
    braces = sum(bool(_BRACES.search(text)) for text, _ in members)
    if braces and not finder.marked:
        notes.append(
            f"{plural(braces, 'member sentence')} with braces around a digit: --marked takes what "
            "stands in braces as the secret, and the braces away."
        )
    drawn = []
    for side, found in zip(SIDES, sides, strict=True):
        kept = _sample(found, sentences, seed)
        if len(kept) < len(found):
            notes.append(
                f"{count(len(kept))} of {count(len(found))} sentences with secrets of the {side} "
                "were ranked, drawn at random."
            )
        drawn.append(kept)
    total = sum(len(sentence.secrets) for found in drawn for sentence in found)
    ranked: list[Ranked] = []
    too_long = number = 0
    with tqdm(total=total, desc="secrets", disable=None if progress else True, leave=False) as bar:
        for side, found in zip(SIDES, drawn, strict=True):
            for sentence in found:
                number += 1
                for secret in sentence.secrets:
                    places = [judge.place(secret, sentence.label) for judge in judges]
                    bar.update()
                    own = places[0]
                    if own is None or None in places:
                        too_long += 1
                        continue
                    start, end = secret.span
                    ranked.append(Ranked(
                        side=side, sentence=number, kind=secret.kind, label=sentence.label,
                        masked=sentence.masked, text=sentence.text,
                        secret=sentence.text[start:end], times=sentence.times,
                        place=own, reference=places[1] if reference else None,
                    ))  # fmt: skip
    if too_long:
        notes.append(
            f"{plural(too_long, 'secret')} left out: the checkpoint does not take their sentences, "
            "which are too long or hold tokens without a vector."
        )
    return _compared(ranked, notes, finder, seed)


def _compared(ranked: list[Ranked], notes: list[str], finder: Finder, seed: int) -> Exposed:
    """Return the result with its test, where both sides have enough sentences."""
    tied = sum(one.place.tied for one in ranked)
    if tied:
        notes.append(
            f"{count(tied)} of {plural(len(ranked), 'secret')} cannot be told from any other "
            "candidate, as the checkpoint reads or scores them all alike: they count as the middle "
            "of their space."
        )
    both = {one.secret for one in ranked if one.side == SIDES[0]} & {
        one.secret for one in ranked if one.side == SIDES[1]
    }
    if both:
        notes.append(
            f"{plural(len(both), 'secret')} of the non-members stand in other sentences of the "
            "members, too, which makes differences smaller."
        )
    units: dict[int, list[Ranked]] = {}
    for one in ranked:
        units.setdefault(one.sentence, []).append(one)
    groups = list(units.values())
    values = np.array([np.mean([one.value for one in group]) for group in groups])
    members = np.array([group[0].side == SIDES[0] for group in groups], dtype=bool)
    strata = np.array([group[0].kind for group in groups])
    result = Exposed(tuple(ranked), None, tuple(notes), finder.kinds)
    if not result.testable:
        return result
    p_value = permutation_p_value(values, members, strata, seed=seed)
    return Exposed(tuple(ranked), p_value, tuple(notes), finder.kinds)


def _found(rows: Sequence[tuple[str, str]], finder: Finder, side: str) -> dict[str, _Sentence]:
    """Collect the distinct sentences by their words; repeated ones once."""
    found: dict[str, _Sentence] = {}
    for number, (written, label) in enumerate(rows, 1):
        try:
            text, masked, secrets = finder.find(written.strip())
        except ModivaError as error:
            raise ModivaError(f"sentence {number} of the {side}: {error}") from error
        key = " ".join(text.split()).casefold()
        if key in found:
            found[key] = found[key]._replace(times=found[key].times + 1)
        else:
            found[key] = _Sentence(text, masked, label, 1, secrets)
    return found


def _apart(sides: Sequence[dict[str, _Sentence]]) -> tuple[list[list[_Sentence]], list[str]]:
    """Return the sentences with secrets that stand on one side only, and what was left out.

    Raises:
        ModivaError: no side has sentences of its own.
    """
    members, nonmembers = sides
    shared = members.keys() & nonmembers.keys()
    if shared and (len(shared) in (len(members), len(nonmembers))):
        raise ModivaError(
            f"all {count(min(len(members), len(nonmembers)))} distinct sentences of the "
            f"{SIDES[len(shared) == len(nonmembers)]} stand among the other side's, too: "
            "non-members must be sentences that the checkpoint was not trained on"
        )
    notes = []
    if shared:
        notes.append(
            f"{plural(len(shared), 'sentence')} in both files, left out of both."
        )  # fmt: skip
        logger.warning("%s in both files, left out of both", plural(len(shared), "sentence"))
    return [
        [s for key, s in side.items() if s.secrets and key not in shared] for side in sides
    ], notes


def _sample(found: list[_Sentence], most: int, seed: int) -> list[_Sentence]:
    """Draw at most so many sentences, in the order in which they stand."""
    if len(found) <= most:
        return found
    drawn = np.random.default_rng(seed).permutation(len(found))[:most]
    return [found[place] for place in sorted(drawn.tolist())]
