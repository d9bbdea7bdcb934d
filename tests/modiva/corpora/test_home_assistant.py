"""The default corpus: what its sentences are, and that learning on it carries over."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hassil.intents import Intents, TextSlotList
from hassil.recognize import recognize_all
from home_assistant_intents import get_intents

from modiva.corpora import Corpus, home_assistant, load
from modiva.corpora.corpus import Example
from modiva.corpora.text import normalise


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load("home-assistant")


def test_it_is_made_in_seconds_and_balanced(corpus: Corpus) -> None:
    start = time.process_time()
    load("home-assistant", seed=5)
    assert time.process_time() - start < 10
    assert 3000 <= len(corpus.train) <= 4000
    assert len(corpus.intents) >= 30
    counts = Counter(e.intent for e in corpus.train)
    assert set(counts) == set(corpus.intents)
    assert min(counts.values()) >= 0.7 * max(counts.values())
    assert "not recorded users" in corpus.note


def test_the_seed_decides_it_and_nothing_else_does(corpus: Corpus) -> None:
    assert load("home-assistant", seed=1).fingerprint != corpus.fingerprint
    code = "from modiva.corpora import load; print(load('home-assistant').fingerprint)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == corpus.fingerprint


def test_a_sentence_is_in_one_split_once_and_has_one_intent(corpus: Corpus) -> None:
    texts = [e.text for e in corpus.train + corpus.valid + corpus.test]
    assert len(set(texts)) == len(texts)
    assert all(normalise(text) == text and "{" not in text and "<" not in text for text in texts)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_template_is_both_trained_and_tested(seed: int) -> None:
    rng = np.random.default_rng(seed)
    by_intent: dict[str, list[Any]] = {}
    for template in home_assistant.all_templates():
        by_intent.setdefault(template.intent, []).append(template)
    for templates in by_intent.values():
        split = home_assistant.deal(templates, rng)
        texts = [{t.text for t in part} for part in split.values()]
        assert sum(map(len, texts)) == len(set().union(*texts))
        assert split["train"]


def household() -> tuple[Intents, dict[str, Any]]:
    """The grammar as hassil's own recogniser takes it, with our household as its lists."""
    grammar = get_intents("en")
    assert grammar is not None
    own = yaml.safe_load(
        files("modiva.corpora").joinpath("home_assistant.yaml").read_text(encoding="utf-8")
    )
    open_lists = {"area": own["areas"], "floor": own["floors"], "zone": own["zones"]}
    lists: dict[str, Any] = {
        name: TextSlotList.from_strings(values)
        for name, values in {**open_lists, **own["wildcards"]}.items()
    }
    lists["name"] = TextSlotList.from_tuples(
        (name, name, {"domain": domain}) for domain, names in own["names"].items() for name in names
    )
    return Intents.from_dict(grammar), lists


def test_hassil_itself_recognises_each_sentence_as_its_one_intent(corpus: Corpus) -> None:
    intents, lists = household()
    lists = {**intents.slot_lists, **lists}
    known = 0
    for text, intent in corpus.test[::4]:
        spoken = text.replace(" %", "%").replace(" °", "°").replace("1 / 2", "1/2")
        found = recognize_all(
            spoken, intents, slot_lists=lists, intent_context={"area": "kitchen"}, language="en"
        )
        recognised = {result.intent.name for result in found}
        assert recognised <= {intent}, text
        known += bool(recognised)
    assert known >= 0.97 * len(corpus.test[::4])


def bags(examples: Sequence[Example], words: dict[str, int]) -> torch.Tensor:
    rows = torch.zeros(len(examples), len(words))  # (N, V)
    for row, (text, _) in zip(rows, examples, strict=True):
        row[[words[word] for word in text.split() if word in words]] = 1
    return rows


def linear_accuracy(corpus: Corpus, tests: Sequence[Example]) -> float:
    """Accuracy on `tests` of a softmax regression on the words of the training split."""
    words = {word: i for i, word in enumerate(corpus.vocabulary())}
    classes = {intent: i for i, intent in enumerate(corpus.intents)}
    inputs = bags(corpus.train, words)
    labels = torch.tensor([classes[e.intent] for e in corpus.train])
    weight = torch.zeros(len(words), len(classes), requires_grad=True)
    optimiser = torch.optim.Adam([weight], lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(inputs @ weight, labels).backward()
        optimiser.step()
    with torch.no_grad():
        guesses = (bags(tests, words) @ weight).argmax(1).tolist()
    return float(np.mean([g == classes[e.intent] for g, e in zip(guesses, tests, strict=True)]))


def test_unseen_templates_are_learned_but_harder(corpus: Corpus) -> None:
    assert 0.6 < linear_accuracy(corpus, corpus.test) < 0.99


def test_the_projects_own_test_sentences_are_of_the_same_language(
    corpora: Path, corpus: Corpus
) -> None:
    lines = (corpora / "home_assistant_en" / "official_tests.tsv").read_text().splitlines()
    official = [Example(normalise(t), i) for i, t in (line.split("\t") for line in lines)]
    official = [example for example in official if example.intent in corpus.intents]
    assert len(official) > 1000
    vocabulary = set(corpus.vocabulary())
    words = [word for text, _ in official for word in text.split()]
    assert np.mean([word in vocabulary for word in words]) > 0.95
    majority = Counter(e.intent for e in official).most_common(1)[0][1] / len(official)
    assert majority < 0.15
    assert linear_accuracy(corpus, official) > 0.75
