"""Training only those rows of an embedding table that the data can move.

Most of a pretrained model's weights are rows of words that a small corpus never holds: 29,000 of
30,522 rows and half of all weights of a MiniLM on 1,000 sentences. Their gradients are zero, and
AdamW then does nothing but decay them, which is as well done once, at the end.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modiva.training.batches import EncodedSplit

# A table is replaced where it has at least so many times the rows in use.
WORTHWHILE = 4


class UsedRows(nn.Module):
    """Some rows of an embedding table in its place, looked up by the ids of the whole table.

    Args:
        table: the embedding.
        used: (U,) ids of the rows, ascending, with the padding's.
    """

    steps: Tensor  # of the optimiser, () int64

    def __init__(self, table: nn.Embedding, used: Tensor) -> None:
        super().__init__()
        self.table, self.used = [table], used  # in a list: it is no part of the model meanwhile
        self.weight = nn.Parameter(table.weight.detach()[used])  # (U, D)
        # Outside of the table where there is no row: an id that is not in use raises.
        places = torch.full((table.num_embeddings,), -1, device=used.device)
        places[used] = torch.arange(len(used), device=used.device)
        self.places = places  # (V,)
        self.padding = None if table.padding_idx is None else int(places[table.padding_idx])
        # Part of the state, so that weights of an earlier epoch have the decay of that epoch.
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, ids: Tensor) -> Tensor:
        """Look up vectors (..., D) of ids (...)."""
        return F.embedding(self.places[ids], self.weight, self.padding)

    @torch.no_grad()
    def put_back(self, model: nn.Module, decay: float) -> None:
        """Give the model its table again, with the rows that were trained.

        Args:
            model: whose table it is.
            decay: share of a weight without gradient that one optimiser step takes.
        """
        (table,) = self.table
        table.weight *= (1 - decay) ** int(self.steps)
        table.weight[self.used] = self.weight
        model.set_input_embeddings(table)  # type: ignore[operator]


def use_rows(model: nn.Module, splits: Sequence[EncodedSplit]) -> UsedRows | None:
    """Replace the embedding of a model by the rows that some splits hold.

    None, and nothing is replaced, where the table is small, frozen, shared with other layers or of
    another kind than `nn.Embedding`, or where the logits with the rows alone are others.

    Args:
        model: a sequence classifier.
        splits: all that the model is given until the table is put back; the first is not empty.
    """
    table = _replaceable(model)
    if table is None:
        return None
    used = torch.cat([split.ids.reshape(-1) for split in splits])
    if table.padding_idx is not None:
        used = torch.cat([used, used.new_tensor([table.padding_idx])])
    used = used.unique()
    if len(used) * WORTHWHILE > table.num_embeddings:
        return None
    rows = UsedRows(table, used)
    before = _sample(model, splits[0])
    same = False
    try:
        model.set_input_embeddings(rows)  # type: ignore[operator]
        same = torch.equal(before, _sample(model, splits[0]))
    finally:
        if not same:
            model.set_input_embeddings(table)  # type: ignore[operator]
    return rows if same else None


def _replaceable(model: nn.Module) -> nn.Embedding | None:
    """Return the model's embedding, if it is a plain one that nothing shares and training moves."""
    table = getattr(model, "get_input_embeddings", lambda: None)()
    if type(table) is not nn.Embedding or not table.weight.requires_grad:
        return None
    if table.max_norm is not None or table.scale_grad_by_freq or table.sparse:
        return None
    tensors = [p is table.weight for _, p in model.named_parameters(remove_duplicate=False)]
    modules = [m is table for _, m in model.named_modules(remove_duplicate=False)]
    return table if sum(tensors) == sum(modules) == 1 else None


@torch.no_grad()
def _sample(model: nn.Module, split: EncodedSplit) -> Tensor:
    """Return the logits (B, C) of a few sentences, in evaluation mode."""
    was_training = model.training
    model.eval()
    ids, mask, _ = split.take(torch.arange(min(len(split), 4)))
    logits: Tensor = model(input_ids=ids, attention_mask=mask).logits
    model.train(was_training)
    return logits
