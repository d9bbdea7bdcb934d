"""The default corpus: commands to a smart home, drawn from a public grammar without a network.

Templates are those of home-assistant-intents, parsed by hassil; what fills their open slots is
the invented household of home_assistant.yaml.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from itertools import groupby
from typing import Any

import numpy as np
import yaml
from hassil.intents import IntentData, Intents, SlotList, TextSlotList
from home_assistant_intents import get_intents

from modiva.corpora.corpus import Corpus, Example
from modiva.corpora.grammar import Template
from modiva.corpora.text import normalise
from modiva.errors import ModivaError

logger = logging.getLogger(__name__)

NAME = "home-assistant"
# Sentences an intent may have in each split; 36 intents give about 3,800 for training.
QUOTAS: Mapping[str, int] = {"test": 30, "valid": 20, "train": 110}
# An intent below this is a handful of phrases that every model memorises.
SMALLEST_INTENT = 100
# Walks down every template that only look for sentences which two intents share.
WITNESSES = 15
SOURCE = "https://pypi.org/project/home-assistant-intents, read by hassil"
LICENCE = "Apache-2.0"
NOTE = (
    "Sentences drawn from a grammar, not recorded users: read accuracies as easier than on real "
    "requests. Device, area and floor names and free texts are invented. Split by template: no "
    "template of valid or test occurs in train; an intent of a single template is in train only."
)


@lru_cache(maxsize=2)  # takes a second
def build(seed: int = 0) -> Corpus:
    """Draw the corpus; a pure function of `seed` and the versions of the two packages.

    Args:
        seed: seed of the split and of every sentence.

    Raises:
        ModivaError: the installed grammar holds something unknown here.
    """
    rng = np.random.default_rng([seed, 3])
    by_intent = {
        intent: list(group) for intent, group in groupby(all_templates(), key=lambda t: t.intent)
    }
    drawn: dict[str, list[Example]] = {split: [] for split in QUOTAS}
    owners: dict[str, set[str]] = defaultdict(set)
    dropped = []
    for intent, templates in by_intent.items():
        for template in templates:
            for _ in range(WITNESSES):
                owners[_sentence(template, rng)].add(intent)
        if not _reaches(templates, SMALLEST_INTENT, rng):
            dropped.append(intent)
            continue
        taken: set[str] = set()
        for split, chosen in deal(templates, rng).items():
            texts = _draw(chosen, QUOTAS[split], taken, rng)
            taken.update(texts)
            drawn[split] += [Example(text, intent) for text in texts]
    logger.info("intents of fewer than %d sentences left out: %s", SMALLEST_INTENT, dropped)
    for examples in drawn.values():
        for text, intent in examples:
            owners[text].add(intent)
    splits = {}
    for split, examples in drawn.items():
        clear = [example for example in examples if len(owners[example.text]) == 1]
        splits[split] = tuple(clear[i] for i in rng.permutation(len(clear)))
    return Corpus(NAME, **splits, source=_source(), licence=LICENCE, note=NOTE)


def _source() -> str:
    packages = ", ".join(f"{p} {version(p)}" for p in ("home-assistant-intents", "hassil"))
    return f"{SOURCE}; {packages}"


def all_templates() -> list[Template]:
    """Return all templates of the English grammar with their values, in alphabetical order."""
    grammar = get_intents("en")
    if grammar is None:
        raise ModivaError(
            "the installed home-assistant-intents has no English grammar: install the version of "
            "the lock file"
        )
    intents = Intents.from_dict(grammar)
    household: dict[str, Any] = yaml.safe_load(
        files("modiva.corpora").joinpath("home_assistant.yaml").read_text(encoding="utf-8")
    )
    lists: dict[str, SlotList] = dict(intents.slot_lists)
    own = {"area": household["areas"], "floor": household["floors"], "zone": household["zones"]}
    for name, values in {**own, **household["wildcards"]}.items():
        lists[name] = TextSlotList.from_strings(values)
    templates = [
        Template(
            intent.name,
            sentence.text or "",
            sentence.expression,
            {**lists, **block.slot_lists, "name": _names(block, household["names"])},
            {**intents.expansion_rules, **block.expansion_rules},
        )
        for intent in intents.intents.values()
        for block in intent.data
        for sentence in block.sentences
    ]
    return sorted(templates, key=lambda template: (template.intent, template.text))


def _names(block: IntentData, names: Mapping[str, Sequence[str]]) -> TextSlotList:
    """Return the devices that a block of templates fits: one can lock a door, not a lamp."""
    wanted = block.requires_context.get("domain", ())
    domains = [wanted] if isinstance(wanted, str) else list(wanted)
    return TextSlotList.from_strings(name for domain in domains for name in names.get(domain, ()))


def _sentence(template: Template, rng: np.random.Generator) -> str:
    """Return one normalised sentence; nobody pronounces the hyphen of "5-minute timer"."""
    return normalise(template.sample(rng).replace("-", " "))


def _reaches(templates: Sequence[Template], count: int, rng: np.random.Generator) -> bool:
    """Return whether `count` distinct sentences turn up in twenty times as many walks."""
    found: set[str] = set()
    for walk in range(20 * count):
        found.add(_sentence(templates[walk % len(templates)], rng))
        if len(found) >= count:
            return True
    return False


def deal(templates: Iterable[Template], rng: np.random.Generator) -> dict[str, list[Template]]:
    """Deal the templates of one intent over the splits; equally written ones stay together.

    A fifth goes to test and a tenth to valid, at least one each; of two templates one is tested.
    Where there are few, train takes the one with most sentences: the others cannot fill it.
    """
    written = [list(group) for _, group in groupby(templates, key=lambda t: t.text)]
    order = [written[i] for i in rng.permutation(len(written))]
    if 1 < len(order) < 6:
        sizes = [len({_sentence(group[0], rng) for _ in range(200)}) for group in order]
        order.append(order.pop(int(np.argmax(sizes))))
    test = max(1, round(len(order) / 5)) if len(order) > 1 else 0
    valid = max(1, round(len(order) / 10)) if len(order) > 2 else 0
    cut = {
        "test": order[:test],
        "valid": order[test : test + valid],
        "train": order[test + valid :],
    }
    return {split: [t for group in groups for t in group] for split, groups in cut.items()}


def _draw(
    templates: Sequence[Template], quota: int, taken: set[str], rng: np.random.Generator
) -> list[str]:
    """Return up to `quota` distinct sentences outside `taken`, the templates taking turns."""
    found: dict[str, None] = {}
    for walk in range(20 * quota if templates else 0):
        text = _sentence(templates[walk % len(templates)], rng)
        if text not in taken:
            found[text] = None
        if len(found) == quota:
            break
    return list(found)
