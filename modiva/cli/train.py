"""`modiva train`: one target classifier, with or without canaries and defenses."""

import dataclasses
import math
import secrets
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from attacks import build_completion
from canaries import Pattern, Planting, candidate_words, get_pattern, load_patterns, plant
from modiva.classifiers import TargetSpec, build, parse_target
from modiva.corpora import load
from modiva.errors import ModivaError
from modiva.privacy import plan_from
from modiva.studies.planning import with_noise
from modiva.training import (
    DEFENSES,
    TrainConfig,
    apply_defense,
    default_config,
    parse_defense,
    save_checkpoint,
    train,
)
from modiva.training.private import finite

_SECRET_SEED = (
    "secret and not kept: batches and noise cannot be drawn again (secrets and first weights are "
    "those of seed 0)"
)
_PUBLIC_SEED = (
    "{} was given: whoever knows it can compute the noise, and epsilon does not hold against them; "
    "leave out --seed for what you release"
)


@dataclass(frozen=True)
class Train:
    """Train one classifier and write a Hugging Face checkpoint folder with training.json.

    With --pattern, secrets are planted in the training split; what was planted goes to a ledger
    file BESIDE the folder (OUT.ledger.json), which only `modiva score` reads.
    """

    out: Path
    """The checkpoint folder to write; must not exist yet."""
    corpus: str = "home-assistant"
    """A name from `modiva corpus list`, or a file or folder."""
    target: str = "cnn"
    """cnn, lstm, lstm-char, transformer, minilm, or a Hugging Face folder or name."""
    size: Literal["small", "full"] = "full"
    """Of our own architectures: embeddings and hidden 32 (small) or 100 (full)."""
    pattern: tuple[str, ...] = ()
    """Patterns to plant, such as call, pin:6, or a template 'my code is {digit*4}'."""
    patterns_file: Path | None = None
    """YAML file of own patterns and word lists."""
    repetitions: int = 10
    """How often each canary stands in the training split."""
    label: str = "random"
    """The canaries' intent: random, new, or a given one."""
    secrets: int = 1
    """Secrets of every pattern to plant."""
    controls: int = 5
    """Secrets drawn with each planted one and never planted."""
    share_valid: bool = False
    """Plant the same share in the validation split too."""
    defense: str = "none"
    """none, dropout, early-stopping, char-embeddings, dp, edp, or several joined with +."""
    noise: float | None = None
    """Noise multiplier of private training; 0 is ordinary training."""
    epsilon: float | None = None
    """Privacy budget per example; the noise multiplier is calibrated to it."""
    delta: float | None = None
    """The delta of epsilon; 1e-5 if not given."""
    sentences: int = 0
    """Train on at most so many sentences, drawn by the seed; 0 is the whole split."""
    epochs: int | None = None
    """At most so many epochs; the default depends on target and defense."""
    word_vectors: str | None = None
    """GloVe-format text file for the embeddings of our own architectures."""
    freeze_embeddings: bool = False
    """Keep the embeddings as they are; private training then spends no noise on them."""
    seed: int | None = None
    """Decides secrets, weights, batches and noise; 0 if not given. Private training then draws
    batches and noise from a secret seed: epsilon does not hold against those who know it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is for CUDA."""

    def run(self) -> int:
        """Train, save, and print what came of it."""
        ledger_path = self.out.parent / f"{self.out.name}.ledger.json"
        for path in (self.out, ledger_path):
            if path.exists():
                raise ModivaError(f"--out {self.out}: {path} exists; name another or remove it")
        defense, spec, config = self._settings()
        corpus = load(self.corpus)
        if 0 < self.sentences < len(corpus.train):
            corpus = corpus.subset(self.sentences, seed=self._public_seed)
        patterns = self._patterns(corpus.vocabulary(min_count=2))
        planted = plant(
            corpus.train,
            corpus.valid,
            [
                Planting(pattern, self.repetitions, self.label, self.secrets, self.controls)
                for pattern in patterns
            ],
            seed=self._public_seed,
            share_valid=self.share_valid,
        )
        intents = sorted({*corpus.intents, *(canary.label for canary in planted.ledger.canaries)})
        classifier = build(
            spec,
            texts=[text for text, _ in planted.train],
            intents=intents,
            extra_words=candidate_words(patterns),
            seed=self._public_seed,
        )
        for pattern in patterns:  # what no attack could ask for is refused before training
            build_completion(classifier.tokenizer, classifier.model, pattern=pattern, label=0)
        secret = self.seed is None and config.privacy is not None
        if secret:
            config = dataclasses.replace(config, seed=secrets.randbits(128))
        result = train(classifier, (planted.train, planted.valid, corpus.test), config)
        group_epsilon = None
        if result.plan is not None and patterns:
            group_epsilon = plan_from(result.plan).group_epsilon(self.repetitions)
        save_checkpoint(
            self.out,
            classifier,
            spec=spec,
            config=config,
            result=result,
            corpus=corpus,
            defense=defense,
            planting={
                "patterns": [pattern.template for pattern in patterns],
                "repetitions": self.repetitions,
                "group_epsilon": None if group_epsilon is None else finite(group_epsilon),
                "group_neighbouring": f"add-or-remove-{self.repetitions}",
            },
            seed_is_secret=secret,
            command=shlex.join(["modiva", *sys.argv[1:]]),
        )
        if patterns:
            planted.ledger.save(ledger_path)
            print(f"ledger      {ledger_path}")
        print(f"checkpoint  {self.out}")
        print(
            f"accuracy    {result.test_accuracy:.3f} on test "
            f"(majority class {result.majority_accuracy:.3f})"
        )
        if result.epsilon is not None:
            if group_epsilon and self.repetitions > 1:
                bound = f"{group_epsilon:.3g}" if math.isfinite(group_epsilon) else "no bound"
                print(f"epsilon     {bound} for a secret in {self.repetitions} sentences")
            print(f"epsilon     {result.epsilon:.3g} for one sentence, delta {result.delta:g}")
        if config.privacy is not None:
            print(f"seed        {_SECRET_SEED if secret else _PUBLIC_SEED.format(self.seed)}")
        return 0

    @property
    def _public_seed(self) -> int:
        """What draws secrets, first weights and subset: an experiment's, repeatable to the bit."""
        return self.seed or 0

    def _settings(self) -> tuple[str, TargetSpec, TrainConfig]:
        """The defense, with `dp` where noise or epsilon ask for it, and the settings it makes."""
        defense = self.defense
        if self.noise or self.epsilon is not None:
            if not _private(defense):
                defense = "dp" if defense == "none" else f"{defense}+dp"
        elif self.noise == 0:
            defense = with_noise(defense, 0)
        spec = dataclasses.replace(
            parse_target(self.target, self.size),
            word_vectors=self.word_vectors,
            freeze_embeddings=self.freeze_embeddings,
        )
        config = default_config(
            self.target,
            size=self.size,
            epochs=self.epochs,
            device=self.device,
            seed=self._public_seed,
            precision=self.precision,
        )
        private = {"noise_multiplier": self.noise, "epsilon": self.epsilon, "delta": self.delta}
        given = private if _private(defense) else {**private, "noise_multiplier": None}
        spec, config = apply_defense(defense, spec, config, **given)
        if self.epochs is not None:  # a defense changes the default, not what was asked for
            config = dataclasses.replace(config, epochs=self.epochs)
        return defense, spec, config

    def _patterns(self, vocabulary: tuple[str, ...]) -> list[Pattern]:
        patterns, spaces = load_patterns(self.patterns_file) if self.patterns_file else ({}, {})
        return [
            get_pattern(name, vocabulary=vocabulary, patterns=patterns, spaces=spaces)
            for name in self.pattern
        ]


def _private(defense: str) -> bool:
    return any(DEFENSES[part].private for part in parse_defense(defense))
