"""The only place where an attack calls the target: batched, chunked, counted."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from attacks.calling import calling
from attacks.errors import AttackError
from attacks.layout import build_layout
from attacks.objectives import Objective
from attacks.problem import Completion
from attacks.progress import scored
from attacks.texts import BLOCK
from attacks.vectors import check_precision

GRADIENT_COST = 3  # evaluations: a backward pass costs about two forward passes
# Bytes of activations of a chunk: what a core's caches like, and what keeps a GPU busy.
CPU_MEMORY = 16 * 2**20
DEVICE_MEMORY = 256 * 2**20


class Oracle:
    """Scores of candidate secrets under one model and one objective, LOWER IS BETTER.

    Used as a context manager: inside, the model is in evaluation mode and its parameters ask for
    no gradient; both are as before afterwards. Rows of one length go through the model together,
    so that no result depends on how a model treats padding. Scores are those of the text, which
    is checked on entry (`attacks.calling`).

    Args:
        model: a sequence classifier.
        problems: at least one; they may differ in length, slots and options.
        objective: what is scored.
        memory: bound in bytes on the activations of one chunk; None chooses by device.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        problems: Sequence[Completion],
        objective: Objective,
        *,
        memory: int | None = None,
    ) -> None:
        if not problems:
            raise AttackError("no problems: give at least one completion to attack")
        check_precision(model)
        self.model = model
        self.problems = tuple(problems)
        self.objective = objective.on_head(model.config)
        self.device = model.device
        cpu = self.device.type == "cpu"
        self.memory = memory or (CPU_MEMORY if cpu else DEVICE_MEMORY)
        self.layout = build_layout(self.problems).to(self.device)
        self._spent = torch.zeros(len(self.problems), dtype=torch.long)

    def __enter__(self) -> "Oracle":
        with ExitStack() as stack:
            stack.enter_context(_evaluating(self.model))
            # Here and not before: input vectors may pass through dropout while a model trains.
            self.call = stack.enter_context(calling(self.model, self.problems, self.layout))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def vectors(self) -> Tensor:
        """(U + means, D) the input vector of each number of the layout.

        Raises:
            AttackError: the model cannot be given vectors, or slots have no places for them.
        """
        self.check_places()
        return self.call.vectors

    def check_places(self) -> None:
        """Raise AttackError where the slots of a problem have no places of their own."""
        for problem in self.problems:
            if not problem.placed:
                first = problem.text(problem.secret([0] * len(problem.sizes)))
                raise AttackError(
                    f"the tokenizer merges the slots of {first!r} with what stands beside them, or "
                    "gives their options different numbers of tokens, so that there are no places "
                    "for mixtures of options: use an attack that scores whole candidates, such as "
                    "exhaustive, coordinate, beam, random or contrast"
                )

    @property
    def evaluations(self) -> tuple[int, ...]:
        """Model evaluations spent on each problem so far; a gradient is three."""
        return tuple(self._spent.tolist())

    def evaluate(self, problem: Tensor, choices: Tensor) -> Tensor:
        """Score exactly these candidates.

        Args:
            problem: (N,) which problem a row belongs to.
            choices: (N, n) option of each slot; the number of a slot's options stands for their
                mean vector.

        Returns:
            Scores (N,), float32, on the device of `choices`.

        Raises:
            AttackError: a sentence that is longer than the model takes, or logits that are not
                finite.
        """
        return self._read(self._score, problem, choices)

    def logits(self, problem: Tensor, choices: Tensor) -> Tensor:
        """Compute logits (N, labels) of exactly these candidates, else as `evaluate`."""
        labels = int(self.model.config.num_labels or 0)
        return self._read(lambda logits, _: logits, problem, choices, width=(labels,))

    def evaluate_shortened(self, problem: Tensor, choices: Tensor, filled: int) -> Tensor:
        """Score sentences that leave out every slot from number `filled` on; else as `evaluate`."""
        return self._read(self._score, problem, choices, filled=filled)

    def _read(
        self,
        read: Callable[[Tensor, Tensor], Tensor],
        problem: Tensor,
        choices: Tensor,
        *,
        width: tuple[int, ...] = (),
        filled: int | None = None,
    ) -> Tensor:
        """Apply `read` to logits and problems chunk by chunk, (N, *width), and count each row.

        Args:
            read: logits (B, labels) and problems (B,) to (B, *width).
            problem: (N,).
            choices: (N, n).
            width: shape of what is read of one row.
            filled: slots from this number on are left out; None leaves out none.
        """
        home, (problem, choices) = choices.device, self._here(problem, choices)
        found = torch.empty(len(problem), *width, device=self.device)
        with torch.inference_mode():
            for part in (self._placed, self._whole):
                for rows, logits in part(problem, choices, filled):
                    self._check_finite(logits)
                    found[rows] = read(logits, problem[rows])
                    scored(len(rows))
        self._count(problem, 1)
        return found.to(home)

    def _check_finite(self, logits: Tensor) -> None:
        """Raise where scores could not be compared."""
        if not logits.isfinite().all():
            raise AttackError(
                f"{type(self.model).__name__} {self.model.name_or_path} gives NaN or infinite "
                "logits to some candidates, which cannot be ranked: train it again, or save it "
                "again if its weights are damaged"
            )

    def _placed(
        self, problem: Tensor, choices: Tensor, filled: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield row numbers (B,) and logits (B, C) of problems whose slots have places."""
        placed = self.layout.placed[problem].nonzero().squeeze(1)
        columns = None if filled is None else self._columns(filled)
        lengths = self.layout.lengths if columns is None else columns[1]
        for chunk, length in self._chunks(lengths[problem[placed]]):
            rows = placed[chunk]
            tokens, at = self.layout.fill(problem[rows], choices[rows]), None
            if columns is not None:
                at = columns[0][problem[rows], :length]
            tokens = tokens[:, :length] if at is None else tokens.gather(1, at)
            yield rows, self.call.exact(tokens, problem[rows], at)

    def _whole(
        self, problem: Tensor, choices: Tensor, filled: int | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield row numbers (B,) and logits (B, C) of problems that are tokenised whole."""
        for p in problem[~self.layout.placed[problem]].unique().tolist():
            its = self.problems[p]
            for rows in (problem == p).nonzero().squeeze(1).split(BLOCK):
                chosen = choices[rows, : len(its.sizes)].cpu()
                tokens = (
                    its.texts.tokens(chosen)
                    if filled is None
                    else its.texts.shortened(chosen, filled)
                )
                for at, length in self._chunks(tokens.lengths):
                    inputs = tokens.rows(at, length, self.device)
                    yield rows[at.to(rows.device)], self.call.text(inputs)

    def _columns(self, filled: int) -> tuple[Tensor, Tensor]:
        """Order each problem's columns (P, T + 1) with those of missing slots at the end.

        Returns:
            The order, and how many columns (P,) the model sees.
        """
        columns = torch.arange(self.layout.sentences.shape[1], device=self.device)
        missing = self.layout.positions[:, filled:].flatten(1)  # (P, m)
        gone = (columns == missing.unsqueeze(2)).any(1) if missing.shape[1] else columns < 0
        gone = gone | (columns >= self.layout.lengths.unsqueeze(1))  # (P, T + 1)
        return gone.long().argsort(dim=1, stable=True), (~gone).sum(1)

    def relaxed(self, problem: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Score mixtures of options and differentiate.

        Args:
            problem: (N,) which problem a row belongs to.
            weights: (N, n, K) weight of each option of each slot; the input vector of a slot is
                the weighted sum of its options' vectors. One-hot rows give the gradient that
                HotFlip and GCG use.

        Returns:
            Scores (N,) and their gradient with respect to the weights (N, n, K), both detached.
            Absent slots and options have gradient zero.
        """
        self.check_places()
        problem, weights = self._here(problem, weights.detach())
        scores = torch.empty(len(problem), device=self.device)
        gradient = torch.empty_like(weights)
        with torch.enable_grad():
            for rows, length in self._chunks(self.layout.lengths[problem], gradient=True):
                leaf = weights[rows].requires_grad_()
                vectors = self._mix(problem[rows], leaf)[:, :length]
                logits = self.call.mixed(vectors, problem[rows])
                part = self._score(logits, problem[rows], optimised=True)
                (gradient[rows],) = torch.autograd.grad(part.sum(), leaf)
                scores[rows] = part.detach()
        self._count(problem, GRADIENT_COST)
        return scores, gradient

    def _mix(self, problem: Tensor, weights: Tensor) -> Tensor:
        """Build input vectors (N, T + 1, D) with each slot a weighted sum of its options."""
        layout = self.layout
        rows, slots, _ = weights.shape
        width, dim = layout.positions.shape[2], self.vectors.shape[1]
        known = self.vectors[layout.sentences[problem]]  # (N, T + 1, D)
        soft = known.new_zeros(rows, slots, width, dim)
        for s, table in enumerate(layout.tables):
            at = (layout.table[problem] == s).nonzero(as_tuple=True)
            if s and len(at[0]):
                its = self.vectors[table].flatten(1)  # (K, W * D)
                mixed = weights[at][:, : len(table)].to(its.dtype) @ its
                mixed = mixed.view(len(at[0]), -1, dim)
                soft = soft.index_put(at, F.pad(mixed, (0, 0, 0, width - mixed.shape[1])))
        where = layout.positions[problem].view(rows, -1, 1).expand(-1, -1, dim)
        return known.scatter(1, where, soft.view(rows, -1, dim))

    def _score(self, logits: Tensor, problem: Tensor, *, optimised: bool = False) -> Tensor:
        function = self.objective.optimised if optimised else self.objective.score
        return function(logits, self.layout.labels[problem])

    def _chunks(self, lengths: Tensor, *, gradient: bool = False) -> Iterator[tuple[Tensor, int]]:
        """Yield row numbers that go through the model together, and their length."""
        for length in lengths.unique().tolist():
            rows = (lengths == length).nonzero().squeeze(1)
            for chunk in rows.split(self.rows_per_chunk(length, gradient=gradient)):
                yield chunk, length

    def rows_per_chunk(self, length: int, *, gradient: bool = False) -> int:
        """Return how many rows of `length` tokens fit the memory bound, at least one."""
        if self.call.alone:
            return 1
        width = self.call.width
        hidden = self._declared("hidden_size", width)
        inner = self._declared("intermediate_size", 4 * hidden)
        heads = self._declared("num_attention_heads", 0)
        floats = length * (width + 4 * hidden + inner + 2 * heads * length)
        if gradient:  # all layers' activations live until the backward pass
            floats *= 1 + self._declared("num_hidden_layers", 1)
        return max(1, self.memory // (4 * floats))

    def _declared(self, name: str, otherwise: int) -> int:
        """Return a size that the configuration declares, which may lack it or hold anything."""
        value = getattr(self.model.config, name, None)
        return value if isinstance(value, int) and value > 0 else otherwise

    def charge(self, problem: int, evaluations: int) -> None:
        """Count evaluations that a caller spent on the model by itself."""
        self._spent[problem] += evaluations

    def _here(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.to(self.device) for tensor in tensors)

    def _count(self, problem: Tensor, cost: int) -> None:
        self._spent += cost * problem.cpu().bincount(minlength=len(self.problems))


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Enter evaluation mode without parameter gradients, and restore both afterwards."""
    training = [(module, module.training) for module in model.modules()]
    trainable = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval()
    model.requires_grad_(False)
    try:
        yield
    finally:
        for module, was in training:
            module.training = was
        for parameter, was in trainable:
            parameter.requires_grad_(was)
