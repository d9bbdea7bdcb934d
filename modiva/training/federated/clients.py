"""Local training: plain SGD on each client's own sentences, a stack of clients side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from modiva.classifiers import TargetClassifier
from modiva.training.batches import EncodedSplit
from modiva.training.config import TrainConfig
from modiva.training.federated.server import Weights
from modiva.training.losses import frozen_vectors
from modiva.training.seeds import generator, stream_seed, training_process
from modiva.training.stacked import VOCABULARY_TABLES, ModelStack

TABLE = VOCABULARY_TABLES[0]
STACK = 20  # clients side by side: more take memory and no less time


@dataclass(frozen=True)
class Updates:
    """Updates of some clients.

    Args:
        clients: their numbers.
        weights: how far each weight moved, by name (m, ...), one row per client.
        losses: (m,) mean training loss of each.
        steps: taken by all of them.
    """

    clients: tuple[int, ...]
    weights: Weights
    losses: Tensor
    steps: int


class LocalTraining:
    """Trains clients from the weights of one model, which is left as it was.

    Models of our own architectures train side by side, others one after the other.

    Args:
        model: holds the global weights.
        split: the sentences of all clients.
        config: `epochs`, `batch_size` and `learning_rate` of a client.
        proximal: mu of FedProx (Li et al. 2020): half of it times the squared distance from the
            global weights is added to the loss.
        seed: of batches and dropout.
        stacked: None decides by the model.
    """

    def __init__(
        self,
        model: nn.Module,
        split: EncodedSplit,
        config: TrainConfig,
        *,
        proximal: float = 0.0,
        seed: int,
        stacked: bool | None = None,
    ) -> None:
        self.model, self.split, self.config = model, split, config
        self.proximal, self.seed = proximal, seed
        own = isinstance(model, TargetClassifier)
        self.stacked = own if stacked is None else stacked
        self.vectors = None if own else frozen_vectors(model, split)
        self.names = [name for name, value in model.named_parameters() if value.requires_grad]

    def global_weights(self) -> Weights:
        """Return the trained weights of the model, by name; they share its memory."""
        every = dict(self.model.named_parameters())
        return {name: every[name].data for name in self.names}

    def updates(self, round_: int, members: dict[int, Tensor]) -> Iterator[Updates]:
        """Train clients and yield their updates, some clients at a time.

        Args:
            round_: its number, from 1.
            members: sentences (n_k,) of each client that takes part.
        """
        batches = {
            client: self.batches(round_, client, sentences)
            for client, sentences in members.items()
            if len(sentences)
        }
        # Clients with like numbers of steps side by side, so that few wait for others.
        order = sorted(batches, key=lambda client: (-len(batches[client]), client))
        device, size = self.split.ids.device, STACK if self.stacked else 1
        for first in range(0, len(order), size):
            chunk = tuple(order[first : first + size])
            own = [batches[client] for client in chunk]
            with training_process([self.seed, round_, chunk[0]], device):
                moved, losses = self._stack(own) if self.stacked else self._alone(own[0])
            yield Updates(chunk, moved, losses, sum(map(len, own)))

    def batches(self, round_: int, client: int, sentences: Tensor) -> list[Tensor]:
        """Draw the batches of a client in a round from its sentences (n,): shuffled, each once."""
        draws = generator(stream_seed([self.seed, round_, client], "client"), "batches")
        found: list[Tensor] = []
        for _ in range(self.config.epochs):
            shuffled = sentences[torch.randperm(len(sentences), generator=draws)]
            found += shuffled.split(self.config.batch_size)
        return found

    def _stack(self, batches: Sequence[list[Tensor]]) -> tuple[Weights, Tensor]:
        """Return how far the weights of clients moved (m, ...), and their mean losses (m,).

        The client with the most steps comes first; one that has ended leaves the stack.
        Only the rows of lookup tables that these clients read are stacked: SGD moves no other.
        """
        used = self.split.ids[torch.cat([b for own in batches for b in own])].unique()
        used = torch.cat([used.new_zeros(1), used[used > 0]])  # (U,), the padding's row first
        places = torch.zeros(int(used.max()) + 1, dtype=torch.long, device=used.device)
        places[used] = torch.arange(len(used), device=used.device)
        stack = ModelStack([self.model] * len(batches), rows=used)
        stack.skeleton.train()
        start = {name: stack.parameters[name].detach().clone() for name in self.names}
        moved = {name: torch.zeros_like(value) for name, value in start.items()}
        total = torch.zeros(len(batches), device=self.split.ids.device)
        for step in range(len(batches[0])):
            running = [own[step] for own in batches if step < len(own)]
            if len(running) < len(stack.rows):
                self._leave(stack, len(running), start, moved)
            total[: len(running)] += self._step(stack, running, places, start)
        self._leave(stack, 0, start, moved)
        steps = torch.tensor([len(own) for own in batches]).to(total)
        if TABLE in moved:
            rows = moved[TABLE]
            every = dict(self.model.named_parameters())[TABLE]
            moved[TABLE] = every.new_zeros(len(batches), *every.shape)
            moved[TABLE][:, used] = rows
        return moved, total / steps

    def _step(
        self, stack: ModelStack, running: Sequence[Tensor], places: Tensor, start: Weights
    ) -> Tensor:
        """Take a step of SGD of each client of a stack; return their losses (m,)."""
        columns, real = _columns(running)  # (m, B)
        ids, mask, labels = self.split.take(columns.flatten())
        shape = (*columns.shape, -1)
        logits = stack.logits(places[ids].view(shape), mask.view(shape))  # (m, B, C)
        losses = F.cross_entropy(logits.flatten(0, 1), labels, reduction="none")
        weights = real.to(losses)
        means = (losses.view_as(weights) * weights).sum(1) / weights.sum(1)  # (m,)
        parameters = [stack.parameters[name] for name in self.names]
        gradients = torch.autograd.grad(means.sum(), parameters)
        first = [start[name][: len(running)] for name in self.names]
        with torch.no_grad():
            self._descend(parameters, gradients, first)
        return means.detach()

    def _leave(self, stack: ModelStack, kept: int, start: Weights, moved: Weights) -> None:
        """Take the clients that have ended, the last ones, out of the stack; note their moves."""
        left = slice(kept, len(stack.rows))
        for name in self.names:
            moved[name][left] = stack.parameters[name].detach()[left] - start[name][left]
        stack.keep_first(kept)

    def _alone(self, batches: list[Tensor]) -> tuple[Weights, Tensor]:
        """Return the same of one client, (1, ...), by the model itself."""
        every = dict(self.model.named_parameters())
        parameters = [every[name] for name in self.names]
        start = [parameter.detach().clone() for parameter in parameters]
        self.model.train()
        total = torch.zeros(1, device=self.split.ids.device)
        for indices in batches:
            if self.vectors is None:
                ids, mask, labels = self.split.take(indices)
                logits = self.model(input_ids=ids, attention_mask=mask).logits  # (B, C)
            else:
                where = indices.to(self.vectors.device)
                logits = self.model(vectors=self.vectors[where]).logits
                labels = self.split.labels[where]
            loss = F.cross_entropy(logits, labels)
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            with torch.no_grad():
                self._descend(parameters, gradients, start)
            total += loss.detach()
        moved: Weights = {}
        with torch.no_grad():
            for name, parameter, first in zip(self.names, parameters, start, strict=True):
                moved[name] = (parameter - first)[None]
                parameter.copy_(first)
        return moved, total / len(batches)

    def _descend(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        start: Sequence[Tensor],
    ) -> None:
        """Take a step of SGD on the loss and on the distance from where the round began."""
        rate = self.config.learning_rate
        for parameter, gradient, first in zip(parameters, gradients, start, strict=True):
            if self.proximal:
                parameter.sub_(parameter - first, alpha=rate * self.proximal)
            if gradient is not None:
                parameter.sub_(gradient, alpha=rate)


def _columns(batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return sentences (m, B) of one step, and which are real: shorter batches are filled up."""
    columns = pad_sequence(list(batches), batch_first=True, padding_value=-1)
    real = columns >= 0
    return torch.where(real, columns, columns[:, :1]), real
