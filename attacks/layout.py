"""Problems of different length, slots and options as tensors that one batch can index."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attacks.problem import Completion


@dataclass(frozen=True, eq=False)
class Layout:
    """Problems side by side: P problems of up to n slots of up to K options of up to W tokens.

    A problem with fewer slots gets slots of one option whose tokens are written to a scratch
    column that no model sees; so searches treat all problems alike. Tokens are numbered by
    their place in `tokens`, so that vectors come from one small table.

    Args:
        tokens: (U,) the distinct token ids of all problems.
        sentences: (P, T + 1) tokens of each sentence; column T is scratch.
        lengths: (P,) tokens of each sentence.
        positions: (P, n, W) columns of each slot's tokens.
        tables: the distinct tables of candidate tokens, each (K, W).
        padded: (S, K + 1, W) the same as one tensor; the row after a table's last option stands
            for their mean and holds the numbers U, U + 1, ..., one a table and column.
        table: (P, n) which table a slot takes its options from.
        sizes: (P, n) options of each slot.
        slots: (P,) real slots of each problem.
        labels: (P,) class indices.
        placed: (P,) whether the slots of a problem have places; sentences of others are tokenised
            whole, and nothing here but their sizes and labels is theirs.
        inputs: what models take besides the tokens, by name: each (P, T + 1, ...).
    """

    tokens: Tensor
    sentences: Tensor
    lengths: Tensor
    positions: Tensor
    tables: tuple[Tensor, ...]
    padded: Tensor
    table: Tensor
    sizes: Tensor
    slots: Tensor
    labels: Tensor
    placed: Tensor
    inputs: dict[str, Tensor]

    def to(self, device: torch.device) -> "Layout":
        """Return the same tensors on `device`."""
        moved: dict[str, Any] = {
            name: value.to(device) if isinstance(value, Tensor) else value
            for name, value in vars(self).items()
        }
        moved["tables"] = tuple(table.to(device) for table in self.tables)
        moved["inputs"] = {name: value.to(device) for name, value in self.inputs.items()}
        return Layout(**moved)

    def fill(self, problem: Tensor, choices: Tensor) -> Tensor:
        """Tokens (N, T + 1) of each row's sentence with its choices.

        Args:
            problem: (N,) problem of each row.
            choices: (N, n) option of each slot; the number of options means their mean.
        """
        rows = len(problem)
        sentences = self.sentences[problem]  # (N, T + 1)
        tokens = self.padded[self.table[problem], choices]  # (N, n, W)
        return sentences.scatter_(
            1, self.positions[problem].view(rows, -1), tokens.reshape(rows, -1)
        )


def build_layout(problems: Sequence[Completion]) -> Layout:
    """Lay `problems` (at least one) out side by side."""
    tokens = torch.cat(
        [p.input_ids for p in problems] + [c.flatten() for p in problems for c in p.candidates]
    ).unique()
    number = {token: i for i, token in enumerate(tokens.tolist())}

    def renumber(ids: Tensor) -> Tensor:
        return torch.tensor([number[t] for t in ids.flatten().tolist()]).view(ids.shape)

    longest = max(len(p.input_ids) for p in problems)
    most = max(len(p.options) for p in problems)
    widest = max((c.shape[1] for p in problems for c in p.candidates), default=1)
    count = len(problems)
    sentences = torch.zeros(count, longest + 1, dtype=torch.long)
    positions = torch.full((count, most, widest), longest)
    sizes = torch.ones(count, most, dtype=torch.long)
    table = torch.zeros(count, most, dtype=torch.long)
    # Table 0 serves the absent slots; many slots share few distinct tables.
    tables = [torch.zeros(1, 1, dtype=torch.long)]
    known: dict[bytes, int] = {}
    for p, problem in enumerate(problems):
        sentences[p, : len(problem.input_ids)] = renumber(problem.input_ids)
        sizes[p, : len(problem.sizes)] = torch.tensor(problem.sizes)
        for slot, candidates in enumerate(problem.candidates):
            width = candidates.shape[1]
            key = bytes([width]) + candidates.numpy().tobytes()
            if key not in known:
                known[key] = len(tables)
                tables.append(renumber(candidates))
            positions[p, slot, :width] = problem.positions[slot]
            table[p, slot] = known[key]

    padded = torch.zeros(len(tables), max(len(t) for t in tables) + 1, widest, dtype=torch.long)
    mean = len(tokens)
    for s, its in enumerate(tables):
        options, width = its.shape
        padded[s, :options, :width] = its
        padded[s, options, :width] = torch.arange(mean, mean + width)
        mean += width
    return Layout(
        tokens=tokens,
        sentences=sentences,
        lengths=torch.tensor([len(p.input_ids) for p in problems]),
        positions=positions,
        tables=tuple(tables),
        padded=padded,
        table=table,
        sizes=sizes,
        slots=torch.tensor([len(p.options) for p in problems]),
        labels=torch.tensor([p.label for p in problems]),
        placed=torch.tensor([p.placed for p in problems]),
        inputs={
            name: torch.stack([_padded(p.inputs.get(name, its[:0]), longest + 1) for p in problems])
            for name, its in next((p.inputs for p in problems if p.placed), {}).items()
        },
    )


def _padded(values: Tensor, length: int) -> Tensor:
    """Values (T, ...) and zeros up to (length, ...)."""
    return torch.cat([values, values.new_zeros(length - len(values), *values.shape[1:])])
