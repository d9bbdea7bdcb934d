"""Trained targets with planted secrets, and the problems that an attacker makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attacks import build_completion
from attacks.problem import Completion
from canaries import Pattern, Planting, get_pattern, plant
from canaries.planting import candidate_words
from modiva.classifiers import Classifier, build, parse_target
from modiva.condition import Condition
from modiva.corpora import Corpus, load
from modiva.training import resolve
from modiva.training.stack import train_stack

SENTENCES = 800
REPETITIONS = 10
STACK = 20

PATTERNS = {
    "digits-4": "call {digit*4}",
    "digits-6": "my pin code is {digit*6}",
    "digits-10": "my phone number is {digit*10}",
    "words-6": "my passphrase is {word*6}",
}


@dataclass(frozen=True)
class Planted:
    """A trained target; for each kind of secret its problem and the planted choices."""

    classifier: Classifier
    accuracy: float
    problems: dict[str, Completion]
    secrets: dict[str, tuple[int, ...]]


def corpus_and_patterns(
    folder: Path, kinds: Sequence[str], words: int = 5000
) -> tuple[Corpus, dict[str, Pattern]]:
    """HWU64, and patterns whose word slots hold the commonest words of HWU64 and SNIPS."""
    corpus = load(folder / "hwu64")
    vocabulary: tuple[str, ...] = ()
    if "words-6" in kinds:
        both = dict.fromkeys([*corpus.vocabulary(), *load(folder / "snips_original").vocabulary()])
        vocabulary = tuple(both)[:words]
    patterns = {kind: get_pattern(PATTERNS[kind], vocabulary=vocabulary) for kind in kinds}
    return corpus, patterns


def train_planted(
    folder: Path, target: str, kinds: Sequence[str], models: int, first_seed: int = 0
) -> list[Planted]:
    """Train small targets on 800 sentences each, with one secret of each kind planted 10 times."""
    corpus, patterns = corpus_and_patterns(folder, kinds)
    plantings = [Planting(p, REPETITIONS, controls=0) for p in patterns.values()]
    _, config = resolve(Condition(target=target, size="small"), device="cpu")
    found = []
    for start in range(first_seed, first_seed + models, STACK):
        seeds = range(start, min(start + STACK, first_seed + models))
        planted = [
            plant(data.train, data.valid, plantings, seed=seed)
            for seed in seeds
            for data in [corpus.subset(SENTENCES, seed=seed)]
        ]
        classifiers = [
            build(
                parse_target(target, "small"),
                texts=[text for text, _ in one.train],
                intents=corpus.intents,
                extra_words=candidate_words(patterns.values()),
                seed=seed,
            )
            for seed, one in zip(seeds, planted, strict=True)
        ]
        datas = [(one.train, (), corpus.test[:400]) for one in planted]
        results = train_stack(
            classifiers, datas, replace(config, order_seed=start), list(seeds), progress=False
        )
        for classifier, one, result in zip(classifiers, planted, results, strict=True):
            problems, secrets = {}, {}
            for (kind, pattern), canary in zip(patterns.items(), one.ledger.canaries, strict=True):
                problems[kind] = build_completion(
                    classifier.tokenizer,
                    classifier.model,
                    pattern=pattern,
                    label=canary.label,
                    name=kind,
                )
                secrets[kind] = problems[kind].choices(canary.secret)
            found.append(Planted(classifier, result.test_accuracy or 0.0, problems, secrets))
    return found
