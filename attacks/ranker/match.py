"""How well one step's change of the weights matches the gradient of a candidate.

A client that trained on the secret moved its weights against the gradients of the loss of its
sentence, on the way from the global model to its update. The rows of the secret's words were moved
by little else, and tell which words it has. What lies above them was moved by all sentences of the
client, but sees words and places together: it tells their order, among the best.
"""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain

import torch
from torch import Tensor
from transformers import PreTrainedModel

from attacks.oracle import GRADIENT_COST
from attacks.pool import Choices
from attacks.problem import Completion
from attacks.ranker.candidates import Described
from attacks.ranker.evidence import standardise
from attacks.ranker.margins import margin_oracle
from attacks.ranker.movement import Movement, weight_gradients
from attacks.vectors import input_table

MATCH, MATCH_WEIGHTS = "match", "match_weights"  # features of the first and of the second look
# Points of the straight line between the weights at which gradients are taken: where the step
# began, which suits maxima over time, whose gradients jump; or on the whole way (midpoint rule).
WAYS = ((0.0,), (0.25, 0.75))
BEST = 64  # candidates of the second look


class Match:
    """Matches candidates of one problem with the change of the weights; none is matched twice.

    Args:
        model: after the step.
        initial: before it.
        problem: whose candidates they are; its slots have tokens of their own.
    """

    def __init__(
        self, model: PreTrainedModel, initial: PreTrainedModel, problem: Completion
    ) -> None:
        self.model, self.initial, self.problem = model, initial, problem
        self.evaluations = 0
        self._points: tuple[float, ...] = ()
        self._known: dict[Choices, float] = {}

    def __call__(self, choices: Tensor) -> Tensor:
        """Return -<D, G(c)> / |G(c)| for each candidate c, (K,); higher is likelier.

        D is the change of the rows of the options, and G(c) the gradient of the loss of c on these
        rows, a mean over some points of the way; a row that stands in several slots has the sum of
        their gradients. Of two sets of points those are taken under which the best of the first
        candidates explains more of the change of its rows, by the cosine.

        Args:
            choices: (K, n) option of each slot.
        """
        rows = list(map(tuple, choices.tolist()))
        new = {row: at for at, row in enumerate(rows) if row not in self._known}
        if new:
            found = self._on_the_way(self._rows, choices[list(new.values())])
            self._known |= zip(new, found.tolist(), strict=True)
        return torch.tensor([self._known[row] for row in rows])

    def second_look(self, described: Described, best: Tensor, first: Tensor) -> Described:
        """Describe the best candidates by their match on the rows and on all other weights.

        Args:
            described: the candidates.
            best: rows (k,) of those to look at again.
            first: (k,) their match on the rows.
        """
        choices = described.choices[best]
        found = {MATCH: first, MATCH_WEIGHTS: self._on_the_way(self._weights, choices)}
        matrix, names = standardise(found)
        return Described(choices, matrix, names, self.evaluations, 0.0, len(best))

    def _on_the_way(self, match: Callable[[Movement, Tensor], Tensor], choices: Tensor) -> Tensor:
        with margin_oracle(self.model, self.problem) as oracle:
            found = match(Movement(oracle, self.initial), choices)
            self.evaluations += oracle.evaluations[0]
        return found

    def _rows(self, movement: Movement, choices: Tensor) -> Tensor:
        if not any(rows.any() for rows in movement.rows):  # the table of words is frozen
            self._points = WAYS[0]
            return self._weights(movement, choices)
        ways = (self._points,) if self._points else WAYS
        moved = torch.stack([rows[choices[:, i]] for i, rows in enumerate(movement.rows)], 1)
        same = same_row(self.problem, choices).to(moved)  # (K, n, n)
        length = (moved.square().sum(2) / same.sum(2)).sum(1).sqrt()  # (K,), each row once
        found, fits = [], []
        for points in ways:
            parts = [movement.gradients(share, choices) for share in points]
            gradient = torch.stack(
                [at.gradient * _slope(at.margin)[:, None, None] for at in parts]
            ).sum(0)  # (K, n, V)
            square = torch.einsum("kiv,kij,kjv->k", gradient, same, gradient)
            along = (gradient * moved).sum((1, 2)) / (square.clamp_min(0).sqrt() + 1e-12)
            best = along.argmax()
            found.append(along)
            fits.append(float(along[best] / (length[best] + 1e-12)))
        chosen = max(range(len(ways)), key=fits.__getitem__)
        self._points = ways[chosen]
        return found[chosen]

    def _weights(self, movement: Movement, choices: Tensor) -> Tensor:
        """Return the same (K,) on all weights that moved, but the table of words."""
        last, first = (dict(one.named_parameters()) for one in (self.model, self.initial))
        table = input_table(self.model)
        words = {id(weight) for weight in table.parameters()} if table else set()
        moved = {name: last[name] - first[name] for name in last if id(last[name]) not in words}
        names = [name for name, change in moved.items() if change.any()]
        if not names:
            return torch.zeros(len(choices))
        way = torch.cat([moved[name].detach().flatten() for name in names])
        found = []
        with ExitStack() as stack:
            points = [stack.enter_context(movement.between(share)) for share in self._points]
            only = torch.zeros(len(choices), dtype=torch.long)
            margins = [-point.evaluate(only, choices) for point in points]
            done = 0
            # Chunk by chunk: each candidate has a gradient as large as the model.
            for parts in zip(*(weight_gradients(p, choices, names) for p in points), strict=True):
                rows = slice(done, done + len(parts[0][0]))
                gradient = torch.stack(
                    [at * _slope(margin[rows])[:, None]
                     for (_, _, at), margin in zip(parts, margins, strict=True)]
                ).sum(0)  # fmt: skip
                found.append((gradient @ way) / (gradient.norm(dim=1) + 1e-12))
                done = rows.stop
        movement.oracle.charge(0, (1 + GRADIENT_COST) * len(self._points) * len(choices))
        return torch.cat(found).cpu()


def _slope(margin: Tensor) -> Tensor:
    """Return the length of the loss's gradient in terms of the margin's."""
    return torch.sigmoid(-margin)


def same_row(problem: Completion, choices: Tensor) -> Tensor:
    """Tell which slots of candidates (K, n) hold the same word, (K, n, n) bool."""
    numbers: dict[str, int] = {}
    for option in chain.from_iterable(problem.options):
        numbers.setdefault(option, len(numbers))
    words = torch.stack(
        [
            torch.tensor([numbers[option] for option in options])[choices[:, slot]]
            for slot, options in enumerate(problem.options)
        ],
        1,
    )  # (K, n)
    return words[:, :, None] == words[:, None, :]
