"""Rounds of federated training: select clients, train them, average, and take the server's step."""

import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from modiva.handling import NATURAL, Federated, parse_partition
from modiva.training.batches import EncodedSplits, encode_splits
from modiva.training.config import EpochRecord, Splits, TrainConfig, TrainResult
from modiva.training.evaluate import evaluate
from modiva.training.federated.clients import LocalTraining
from modiva.training.federated.clusters import sentence_clusters
from modiva.training.federated.partition import Integers, assign, assign_people, whose
from modiva.training.federated.privacy import UserPrivacy
from modiva.training.federated.record import Device, Rounds
from modiva.training.federated.selection import Floats, draw_fixed, draw_poisson, inclusion
from modiva.training.federated.server import ServerOptimizer, Weights
from modiva.training.seeds import resolve_device, stream_seed, training_process

if TYPE_CHECKING:
    from modiva.classifiers import Classifier


@dataclass(frozen=True)
class Holdings:
    """Who holds what, and when.

    Args:
        client: (N,) of each training sentence.
        period: (N,) in which its client holds it, from 0.
        holders: by canary, the clients with copies of it, the one with most first.
        sizes: (periods, clients) sentences of each.
    """

    client: Integers
    period: Integers
    holders: Mapping[str, tuple[int, ...]]
    sizes: Integers

    @classmethod
    def of(
        cls,
        settings: Federated,
        examples: Sequence[tuple[str, str]],
        canaries: Mapping[str, str],
        seed: int,
    ) -> "Holdings":
        """Draw a partition.

        The sentences of the corpus are assigned first; then each canary goes to one client, drawn
        uniformly, with all its copies, or each copy to a client of its own where it is spread.

        Args:
            settings: of the federation.
            examples: the training split (text, intent).
            canaries: text of each, by its name.
            seed: of all draws.
        """
        rng = np.random.default_rng(stream_seed(seed, "partition"))
        names = {text: name for name, text in canaries.items()}
        planted = [names.get(text) for text, _ in examples]
        own = np.array([name is None for name in planted])
        kind, number = parse_partition(settings.partition)
        kept = [example for example, is_own in zip(examples, own, strict=True) if is_own]
        client = np.empty(len(examples), dtype=np.int64)
        if kind == NATURAL:
            (column,) = settings.columns
            client[own] = assign_people(whose(kept, column), settings.clients)
        else:
            _, groups = np.unique([intent for _, intent in kept], return_inverse=True)
            if kind == "cluster":
                groups = sentence_clusters(tuple(text for text, _ in kept), int(number), seed)
            client[own] = assign(kind, number, groups, settings.clients, rng)
        holders: dict[str, tuple[int, ...]] = {}
        for name in canaries:
            copies = np.flatnonzero([other == name for other in planted])
            drawn = rng.integers(settings.clients, size=len(copies) if settings.spread else 1)
            client[copies] = drawn
            found, counts = np.unique(client[copies], return_counts=True)
            holders[name] = tuple(found[np.argsort(-counts, kind="stable")].tolist())
        period = rng.permuted(np.arange(len(examples)) % settings.periods)
        sizes = np.zeros((settings.periods, settings.clients), dtype=np.int64)
        np.add.at(sizes, (period, client), 1)
        return cls(client, period, holders, sizes)

    def probabilities(self, settings: Federated) -> Floats:
        """Return (periods, clients) probabilities of taking part in a round."""
        found = [inclusion(sizes, settings.power, settings.per_round) for sizes in self.sizes]
        return np.stack(found)


class FederatedRun:
    """One federated training; randomness is a function of the seeds and the round.

    Args:
        classifier: trained in place.
        data: three splits; canaries are in the first.
        canaries: text of each planted canary, by its name.
        settings: of the federation.
        config: `epochs`, `batch_size` and `learning_rate` are those of a client.
        seed: of the partition.
        training_seed: of selection, batches, dropout and noise.
        rounds: where rounds are kept; one that holds the state of this run goes on from there.
        held: the training sentences as the devices have them, in the same order, where each device
            rewrites its own before it trains; None takes those of `data`.
    """

    def __init__(
        self,
        classifier: "Classifier",
        data: Splits,
        canaries: Mapping[str, str],
        settings: Federated,
        config: TrainConfig,
        *,
        seed: int,
        training_seed: int,
        rounds: Rounds,
        held: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        self.started = time.perf_counter()
        held = data.train if held is None else held
        self.settings, self.rounds, self.seed = settings, rounds, training_seed
        self.model = classifier.model
        self.model.to(resolve_device(config.device))  # type: ignore[arg-type]
        self.splits: EncodedSplits = encode_splits(classifier, data).to(self.model.device)
        self.holdings = Holdings.of(settings, held, canaries, seed)
        self.probabilities = self.holdings.probabilities(settings)
        proximal = settings.proximal if settings.server == "fedprox" else 0.0
        self.local = LocalTraining(
            self.model, self.splits.train, config, proximal=proximal, seed=training_seed
        )
        self.weights = self.local.global_weights()
        content = repr((settings, config, seed, training_seed, held, data.train))
        self.name = hashlib.sha256(content.encode()).hexdigest()
        self.history: list[EpochRecord] = []
        self.clip_norms: list[float] = []
        self.took_part = dict.fromkeys(canaries, 0)
        self.steps = 0
        self._resume()

    def _resume(self) -> None:
        """Go on from the last round of an interrupted run, or begin."""
        parts, facts = self.rounds.state(self.name) or ({}, {})
        self.server = ServerOptimizer(self.settings, self.weights, parts.get("server"))
        self.privacy = None
        if self.settings.private:
            most = self.probabilities.max(0)
            clip_norm = facts.get("clip_norm")
            self.privacy = UserPrivacy(self.settings, most, self.seed, clip_norm)
        if not facts:
            self.rounds.start()
            return
        for name, value in parts["weights"].items():
            self.weights[name].copy_(value)
        self.history = [EpochRecord(**record) for record in facts["history"]]
        self.clip_norms, self.took_part = facts["clip_norms"], facts["took_part"]
        self.steps = facts["steps"]

    def fit(self, progress: bool = False) -> TrainResult:
        """Train the rounds that are left."""
        done, total = len(self.history), self.settings.rounds
        bar = tqdm(range(done + 1, total + 1), "rounds", total, initial=done, disable=not progress)
        with training_process(self.seed, self.model.device):
            for round_ in bar:
                loss = self._round(round_)
                valid = evaluate(self.model, self.splits.valid)
                self.history.append(EpochRecord(round_, loss, valid.loss, valid.accuracy))
                bar.set_postfix(loss=f"{loss:.3f}", valid=f"{valid.accuracy or 0:.3f}")
                if round_ < total:
                    self._keep_state()
        self.rounds.finish()
        self.model.eval()
        return self._result()

    def _round(self, round_: int) -> float:
        """Train one round; returns the mean training loss of its clients, 0 without any."""
        period = (round_ - 1) * self.settings.periods // self.settings.rounds
        rng = np.random.default_rng(stream_seed([self.seed, round_], "selection"))
        draw = draw_poisson if self.privacy else draw_fixed
        chosen = draw(self.probabilities[period], rng).tolist()
        here = self.holdings.period == period
        members = {
            client: torch.from_numpy(np.flatnonzero(here & (self.holdings.client == client)))
            for client in chosen
        }
        shares = self._shares(members)
        watched = self._watched(chosen, round_)
        parts: dict[str, Weights] = {}
        if watched or self.settings.keep_rounds:
            parts["global"] = {name: value.clone() for name, value in self.weights.items()}
        total, nothing = self._zeros(), self._zeros()
        parts |= {f"update-{client}": nothing for client in watched.values()}
        losses: list[float] = []
        for updates in self.local.updates(round_, members):
            if self.privacy:
                self.privacy.clip(updates.weights)
            weights = torch.tensor([shares[client] for client in updates.clients])
            for name, moved in updates.weights.items():
                total[name] += torch.tensordot(weights.to(moved), moved, dims=1)
            for row, client in enumerate(updates.clients):
                if f"update-{client}" in parts:
                    own = {name: moved[row].clone() for name, moved in updates.weights.items()}
                    parts[f"update-{client}"] = own
            losses += updates.losses.tolist()
            self.steps += updates.steps
        if watched:
            divisor = self.settings.per_round if self.privacy else 1
            parts["aggregate"] = {name: value / divisor for name, value in total.items()}
        if parts:
            self.rounds.add(round_, parts, watched)
        if self.privacy:
            self.clip_norms.append(self.privacy.clip_norm)
            self.privacy.release(total, round_)
        self.server.step(self.weights, total)
        return float(np.mean(losses)) if losses else 0.0

    def _zeros(self) -> Weights:
        return {name: torch.zeros_like(value) for name, value in self.weights.items()}

    def _shares(self, members: Mapping[int, Tensor]) -> dict[int, float]:
        """Return the weight of each client in the sum of updates.

        Under privacy all are 1. Else n ** (1 - power), normalised: by their sentences where
        selection is uniform, equally where it is in proportion to them, so that heavy clients are
        not favoured twice.
        """
        if self.privacy:
            return dict.fromkeys(members, 1.0)
        power = max(1 - self.settings.power, 0.0)
        weights = {c: float(len(own)) ** power for c, own in members.items() if len(own)}
        total = sum(weights.values()) or 1.0
        return {client: weight / total for client, weight in weights.items()}

    def _watched(self, chosen: Sequence[int], round_: int) -> dict[str, int]:
        """Return the client whose update an attacker looks at, by canary; most rounds have none.

        The device of a canary that never took part is stood in for by another of the last round:
        its attacker sees updates, and the secret is in none.
        """
        watched: dict[str, int] = {}
        for name, holders in self.holdings.holders.items():
            there = [client for client in holders if client in chosen]
            if there:
                watched[name] = there[0]
                self.took_part[name] += 1
            elif round_ == self.settings.rounds and not self.took_part[name]:
                watched[name] = chosen[0] if chosen else -1
        return watched

    def _keep_state(self) -> None:
        facts = {
            "run": self.name,
            "history": [dataclasses.asdict(record) for record in self.history],
            "clip_norms": self.clip_norms,
            "clip_norm": self.privacy and self.privacy.clip_norm,
            "took_part": self.took_part,
            "steps": self.steps,
        }
        self.rounds.interrupted({"weights": self.weights, "server": self.server.moments}, facts)

    def devices(self) -> dict[str, Device]:
        """Return the devices of the canaries, after training."""
        sizes = self.holdings.sizes.sum(0)
        rates = self.probabilities.max(0)
        return {
            name: Device(
                holders=len(holders),
                share=float(sizes[holders[0]] / sizes.sum()),
                rounds=self.took_part[name],
                sampling_rate=float(max(rates[client] for client in holders)),
            )
            for name, holders in self.holdings.holders.items()
            if holders
        }

    def _result(self) -> TrainResult:
        plan: dict[str, Any] | None = None
        if self.privacy:
            plan = self.privacy.describe(self.clip_norms)
        accuracy = evaluate(self.model, self.splits.train).accuracy
        assert accuracy is not None
        return TrainResult(
            test_accuracy=evaluate(self.model, self.splits.test).accuracy,
            valid_accuracy=self.history[-1].valid_accuracy,
            train_accuracy=accuracy,
            majority_accuracy=self.splits.majority_accuracy,
            epochs_run=self.settings.rounds,
            best_epoch=self.settings.rounds,
            steps=self.steps,
            history=tuple(self.history),
            seconds=time.perf_counter() - self.started,
            epsilon=plan["epsilon"] if plan else None,
            delta=plan["delta"] if plan else None,
            plan=plan,
        )
