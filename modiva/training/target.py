"""From a condition to trained targets: draw the sentences, plant, build, train; and keep them."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import PreTrainedModel

from canaries import Ledger, Pattern, Planting, get_pattern, load_patterns, plant
from canaries.planting import Planted, candidate_words
from canaries.questions import Question
from modiva.classifiers import Classifier, TargetSpec, build, parse_target
from modiva.condition import Condition
from modiva.corpora import Corpus
from modiva.corpora import load as load_from
from modiva.errors import ModivaError
from modiva.handling import Distilled, Federated, Seen, parse_partition
from modiva.privacy import ClipperFactory
from modiva.training.config import Splits, TrainConfig, TrainResult
from modiva.training.distilled import (
    check_reversal,
    distil,
    refuse_all_taught,
    taught_logits,
    transfer_texts,
)
from modiva.training.federated.partition import assign_people, check_clients, whose
from modiva.training.federated.privacy import user_plan
from modiva.training.federated.record import Device, Rounds
from modiva.training.federated.run import FederatedRun
from modiva.training.pool import Records
from modiva.training.resolve import resolve
from modiva.training.seeds import stream_seed
from modiva.training.stack import train_stack
from modiva.training.textprivacy.mechanism import Mechanism
from modiva.training.textprivacy.protect import protect
from modiva.training.textprivacy.reading import Reader
from modiva.training.textprivacy.registry import mechanism_of


@dataclass(frozen=True)
class Target:
    """One trained target and the attacker's questions; what was planted is kept apart.

    Args:
        classifier: model and tokenizer.
        result: of its training.
        questions: what an attacker knows of each canary.
        sentences: of its training split, canaries included.
        model_seed: of its sentences, secrets, weights, batches and noise.
        devices: of federated training, the device of each canary, by its name.
        rounds: of federated training, what an attacker may see of it.
        words_kept: share of the words of its training split that text protection left; or None.
    """

    classifier: Classifier
    result: TrainResult
    questions: tuple[Question, ...]
    sentences: int
    model_seed: int
    devices: Mapping[str, Device] = field(default_factory=dict)
    rounds: Rounds | None = None
    words_kept: float | None = None

    def views(self, canary: str, seen: Seen) -> Iterator[tuple[PreTrainedModel, PreTrainedModel]]:
        """Yield the weights before and after each step of the rounds that an attacker sees."""
        if self.rounds is None:
            raise ModivaError(f"--seen {seen}: this target was not trained by clients")
        return self.rounds.views(self.classifier.model, canary, seen)


@dataclass(frozen=True)
class Prepared:
    """A condition with all that it names: its sentences, patterns and settings.

    Args:
        condition: what was asked for.
        corpus: all its sentences, in three splits.
        patterns: one per name in the condition.
        spec: of the targets.
        config: of their training; seeds are given by `train`.
    """

    condition: Condition
    corpus: Corpus
    patterns: tuple[Pattern, ...]
    spec: TargetSpec
    config: TrainConfig

    @functools.cached_property
    def mechanism(self) -> Mechanism | None:
        """The text protection, which stays loaded; None without."""
        return mechanism_of(self.condition, self.corpus)

    @functools.cached_property
    def reader(self) -> Reader | None:
        """Who reads the rewritten sentences; None without text protection."""
        return None if self.mechanism is None else Reader(self.mechanism)

    @functools.cached_property
    def pool(self) -> Corpus:
        """The corpus with the training sentences that the targets may have."""
        return one_side(self.condition, self.corpus)

    def draw(self, seed: int) -> Corpus:
        """Draw the training sentences of one target.

        Raises:
            ModivaError: fewer sentences than their intents need.
        """
        if 0 < self.condition.sentences < len(self.pool.train):
            return self.pool.subset(self.condition.sentences, seed=seed)
        return self.pool

    def check_training(self) -> None:
        """Raise on clients or a teacher that the sentences are too few for, before any training.

        Raises:
            ModivaError: more clients than sentences, no sentence that the teacher does not have, no
                encoder to cluster with, or privacy that cannot be accounted for.
        """
        training = self.condition.training
        if training is None:
            return
        most = len(self.pool.train)
        sentences = min(self.condition.sentences or most, most)
        if isinstance(training, Distilled):
            if training.transfer != "same" and sentences == most:
                refuse_all_taught(training, most)
            if training.reversal != "none":
                check_reversal(training, [text for text, _ in self.pool.train])
            return
        check_clients(sentences, training.clients)
        if training.columns and sentences == most:
            assign_people(whose(self.pool.train, *training.columns), training.clients)
        if parse_partition(training.partition)[0] == "cluster":
            build(parse_target("minilm"), texts=[], intents=self.corpus.intents)
        if training.private:
            user_plan(training, training.per_round / training.clients)

    @functools.cached_property
    def records(self) -> Records:
        """All that the models of a pool may hold, of a condition whose side is that."""
        return Records.of(self.condition, self.corpus, self._plantings())

    def plant(self, seed: int) -> Planted:
        """Draw the training sentences of one target and plant its own secrets among them."""
        if self.condition.side == "pool":
            return self.records.held(seed)
        data, share = self.draw(seed), self.condition.share_valid
        return plant(data.train, data.valid, self._plantings(), seed=seed, share_valid=share)

    def _plantings(self) -> list[Planting]:
        condition = self.condition
        return [
            Planting(pattern, copies, condition.label, condition.secrets, condition.controls)
            for pattern, copies in zip(self.patterns, condition.copies, strict=True)
        ]

    def build(self, planted: Planted, seed: int) -> Classifier:
        """Build a target before training: of distillation the teacher."""
        return self._build(planted, self._texts(planted), seed)

    def _texts(self, planted: Planted) -> list[str]:
        """Return the sentences whose words a target knows."""
        # The models of a pool share a vocabulary: it would tell the sentences of each, and private
        # training takes it as public. What text protection puts out tells no more than it may.
        pool = self.condition.side == "pool" and self.mechanism is None
        return [text for text, _ in (self.records.planted.train if pool else planted.train)]

    def _build(self, planted: Planted, texts: Sequence[str], seed: int) -> Classifier:
        labels = (canary.label for canary in planted.ledger.canaries)
        # Words of canaries are known because they are candidates, never because they were planted.
        canaries = {canary.text for canary in planted.ledger.canaries}
        return build(
            self.spec,
            texts=[text for text in texts if text not in canaries],
            intents=sorted({*self.corpus.intents, *labels}),
            extra_words=candidate_words(self.patterns),
            seed=seed,
        )

    def train(
        self,
        seeds: Sequence[int],
        *,
        order_seed: int | None = None,
        training_seeds: Sequence[int] | None = None,
        planted: Sequence[Planted] | None = None,
        progress: bool = False,
        clipper: ClipperFactory | None = None,
        rounds: Path | None = None,
    ) -> list[tuple[Target, Ledger]]:
        """Train one target per seed, side by side where that is possible, each with its ledger.

        Args:
            seeds: of the targets.
            order_seed: of the order of batch lengths, which targets of one stack share; None
                takes the first seed.
            training_seeds: of batches, dropout and noise, on gradients and on text; None takes
                `seeds`. Privacy holds against those who do not know them.
            planted: sentences of each, with canaries; None plants by the seeds.
            progress: show a bar.
            clipper: of private training, in place of its method's; see `loop.train`.
            rounds: folder in which federated training keeps its rounds, and goes on after an
                interruption; None takes a temporary one.

        Raises:
            CanaryError, ModivaError: what cannot be planted, built or trained, and the remedy.
        """
        training = self.condition.training
        planted = planted or [self.plant(seed) for seed in seeds]
        training_seeds = seeds if training_seeds is None else training_seeds
        kept: list[float | None] = [None] * len(seeds)
        held = planted
        if self.mechanism is not None:
            protected = protect(planted, self.mechanism, training_seeds)
            planted, kept = [one.planted for one in protected], [o.words_kept for o in protected]
        if isinstance(training, Federated):
            return [
                self._train_federated(training, *one, progress, rounds)
                for one in zip(planted, held, kept, seeds, training_seeds, strict=True)
            ]
        classifiers = [self.build(one, seed) for one, seed in zip(planted, seeds, strict=True)]
        data = [Splits(one.train, one.valid, self.corpus.test) for one in planted]
        config = dataclasses.replace(
            self.config, order_seed=seeds[0] if order_seed is None else order_seed
        )
        results = train_stack(
            classifiers, data, config, seeds=training_seeds, progress=progress, clipper=clipper
        )
        if isinstance(training, Distilled):
            teachers, classifiers, results = classifiers, [], []
            for number, (teacher, seed) in enumerate(zip(teachers, seeds, strict=True)):
                one = planted[number]
                texts = transfer_texts(training, one.train, self.pool.train, one.ledger, seed)
                texts, logits = taught_logits(teacher, texts, training)
                student = self._build(one, texts, stream_seed(seed, "student"))
                own = dataclasses.replace(
                    config, seed=stream_seed(training_seeds[number], "distil")
                )
                result = distil(
                    student, texts, logits, data[number], own, training.temperature, progress
                )
                classifiers.append(student)
                results.append(result)
        return [
            (
                Target(
                    *(classifier, result, one.ledger.questions, len(one.train), seed),
                    words_kept=words,
                ),
                one.ledger,
            )
            for classifier, result, one, seed, words in zip(
                classifiers, results, planted, seeds, kept, strict=True
            )
        ]

    def _train_federated(
        self,
        training: Federated,
        planted: Planted,
        held: Planted,
        words_kept: float | None,
        seed: int,
        training_seed: int,
        progress: bool,
        folder: Path | None,
    ) -> tuple[Target, Ledger]:
        classifier = self.build(planted, seed)
        rounds = Rounds(None if folder is None else folder / str(seed))
        run = FederatedRun(
            classifier,
            Splits(planted.train, planted.valid, self.corpus.test),
            {canary.id: canary.text for canary in planted.ledger.canaries},
            training,
            self.config,
            seed=seed,
            training_seed=training_seed,
            rounds=rounds,
            held=held.train,
        )
        result = run.fit(progress)
        questions, sentences = planted.ledger.questions, len(planted.train)
        devices = run.devices()
        target = Target(classifier, result, questions, sentences, seed, devices, rounds, words_kept)
        return target, planted.ledger

    def initial_model(self, target: Target) -> PreTrainedModel:
        """Return the model that `target` was before training, as far as an attacker may know it.

        The encoder of a pretrained target is public. The head, drawn for the target's classes, is
        not: it takes the trained values.
        """
        model, tokenizer = target.classifier.model, target.classifier.tokenizer
        student = isinstance(self.condition.training, Distilled)
        seed = stream_seed(target.model_seed, "student") if student else target.model_seed
        # Words and labels are the target's own: planting again would protect the text again.
        words = set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)
        initial = build(
            self.spec,
            texts=sorted(words) if self.spec.is_own else [],
            intents=map(str, (model.config.label2id or {}).keys()),
            extra_words=candidate_words(self.patterns),
            seed=seed,
        ).model
        if not self.spec.is_own:
            inside = {id(parameter) for parameter in initial.base_model.parameters()}
            final = dict(model.named_parameters())
            for name, parameter in initial.named_parameters():
                if id(parameter) not in inside:
                    parameter.data = final[name].data.clone()
        initial.eval().to(model.device)
        return initial


def prepare(
    condition: Condition,
    *,
    corpus: Corpus | None = None,
    fingerprint: str | None = None,
    device: str = "auto",
) -> Prepared:
    """Load what a condition names.

    Args:
        condition: of the targets.
        corpus: its sentences; None loads what `condition.corpus` names.
        fingerprint: of the whole corpus, which it must have.
        device: "auto", "cpu" or "cuda".

    Raises:
        CanaryError, ModivaError: what is unknown or does not fit, and the remedy.
    """
    if corpus is None:
        corpus = load_corpus(condition.corpus, condition.columns)
    if fingerprint is not None and corpus.fingerprint != fingerprint:
        raise ModivaError(
            f"corpus {condition.corpus} is not the one that the study was planned with: it "
            "changed, or this machine has another under this name; run again, from a folder that "
            "all share"
        )
    spec, config = resolve(condition, device=device)
    patterns = condition_patterns(condition, corpus)
    prepared = Prepared(condition, corpus, patterns, spec, config)
    prepared.mechanism  # noqa: B018  # refuses what cannot protect this corpus
    return prepared


@functools.lru_cache(maxsize=4)
def load_corpus(name: str, beside: tuple[str, ...] = ()) -> Corpus:
    """Load a corpus once per process, with columns beside its sentences (`Example.beside`)."""
    return load_from(name, beside=beside)


def prepare_process() -> None:
    """Make a process compute as all others do: one thread, and no slow denormal numbers."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def condition_patterns(condition: Condition, corpus: Corpus) -> tuple[Pattern, ...]:
    """Return a condition's patterns; the options of word slots are the whole corpus's words."""
    file = condition.patterns_file
    patterns, spaces = load_patterns(file) if file else ({}, {})
    vocabulary = corpus.vocabulary(min_count=2)
    return tuple(
        get_pattern(name, vocabulary=vocabulary, patterns=patterns, spaces=spaces)
        for name in condition.patterns
    )


def one_side(condition: Condition, corpus: Corpus) -> Corpus:
    """Return the corpus with the part of the training split that a condition's targets may have.

    Where shadow models are trained, a text is either the targets' or the attacker's, by its hash.

    Raises:
        ModivaError: a side has no sentence.
    """
    if condition.side in ("all", "pool"):
        return corpus
    mine = condition.side == "targets"
    seed = condition.half_seed
    train = tuple(e for e in corpus.train if (_half(e[0], seed) == 0) == mine)
    if not train:
        raise ModivaError(
            f"corpus {corpus.name} has {len(corpus.train)} training sentences: too few to keep "
            "some for the attacker's shadow models; take an attack that needs none"
        )
    return dataclasses.replace(corpus, train=train)


def _half(text: str, seed: int) -> int:
    return hashlib.sha256(f"{seed}:{text}".encode()).digest()[0] % 2
