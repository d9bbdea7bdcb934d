"""How a target is called, so that the logits of candidates are those of their text.

Attacks want to give a target input vectors, which can be mixed and differentiated. But a target may
read more than vectors: token types, the ids themselves (for the last token that is not padding, for
positions, for a decoder's input), or no vectors at all. So the ways of calling are compared, at
the start, with the call that a user makes: one sentence, everything that the tokenizer gives.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from transformers import PreTrainedModel

from attacks.errors import AttackError
from attacks.layout import Layout
from attacks.patching import FIRST, numbered_vectors, quiet, without_padding
from attacks.problem import Completion
from attacks.references import compared, first_line, placed_logits, whole_logits
from attacks.vectors import input_vectors

logger = logging.getLogger(__name__)

VECTORS = "vectors"  # alone, which is fastest
NUMBERS = "numbers"  # ids, where those of the slots are beyond the vocabulary and mean vectors
IDS = "ids"  # exact candidates only

# Rounding in parts of the largest logit. Where vectors differ by more, ids are exact and as fast;
# where sentences side by side do, they go one by one.
_ROUNDING, _SIDE_BY_SIDE = 3e-5, 3e-4
_CHECKED = 16  # sentences compared at once


class Call:
    """Calls one target on candidates of a layout's problems.

    Args:
        model: in evaluation mode.
        layout: on the model's device.

    Raises:
        AttackError: the model fails on the text itself, or gives other logits every time.
    """

    def __init__(self, model: PreTrainedModel, layout: Layout) -> None:
        self.model = model
        self.layout = layout
        self.way = IDS
        self.alone = False  # whether sentences go through the model one by one
        self.obstacle = ""  # why vectors cannot be given
        try:
            # (U + means, D): a number of the layout to its vector.
            tokens = input_vectors(model, layout.tokens)  # (U, D)
            means = [tokens[table].mean(0) for table in layout.tables]  # (W, D) each
            self._vectors: Tensor | None = torch.cat([tokens, *means])
        except Exception as error:  # models of all kinds fail in all ways
            self._vectors = None
            why = "" if isinstance(error, AttackError) else f": {first_line(error)}"
            self.obstacle = f"no table of token vectors{why}"

    @property
    def vectors(self) -> Tensor:
        """(U + means, D) the vector of each number of the layout.

        Raises:
            AttackError: the model cannot be given vectors.
        """
        if self.way == IDS or self._vectors is None:
            raise AttackError(
                f"{type(self.model).__name__} cannot be given mixtures of words "
                f"({self.obstacle}): use an attack that scores whole candidates only, such as "
                "exhaustive, coordinate on slots of at most 100 options, or random"
            )
        return self._vectors

    @property
    def width(self) -> int:
        """Numbers in the vector of a token."""
        if self._vectors is not None:
            return self._vectors.shape[1]
        config = self.model.config
        named: Any = getattr(config, "hidden_size", None) or getattr(config, "d_model", 1)
        return int(named)

    def exact(self, tokens: Tensor, problem: Tensor, columns: Tensor | None = None) -> Tensor:
        """Compute logits (N, C), float32, of sentences.

        Args:
            tokens: (N, T) numbers of the layout.
            problem: (N,).
            columns: (N, T) the places of the tokens in their sentences; all in order by default.
        """
        if self.way == VECTORS:
            return self._logits({"inputs_embeds": self.vectors[tokens]})
        if columns is None:
            if bool((tokens >= len(self.layout.tokens)).any()):  # means of options have no id
                return self.mixed(self.vectors[tokens], problem)
            columns = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        inputs = self._inputs(problem, columns)
        return self._logits({"input_ids": self.layout.tokens[tokens], **inputs})

    def text(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Compute logits (N, C), float32, of sentences of one length as tokenised.

        Args:
            inputs: by name, each (N, T, ...).
        """
        return self._logits(dict(inputs))

    def text_mixed(self, inputs: Mapping[str, Tensor], vectors: Tensor, way: str) -> Tensor:
        """Compute logits (N, C) of sentences of one length from vectors instead of tokens.

        Args:
            inputs: by name, each (N, T, ...), as the tokenizer gives them.
            vectors: (N, T, D).
            way: `VECTORS` or `NUMBERS`.
        """
        if way == VECTORS:
            return self._logits({"inputs_embeds": vectors})
        ids = inputs["input_ids"]
        numbers = FIRST + torch.arange(ids.numel(), device=ids.device).view(ids.shape)
        with numbered_vectors(self.model, vectors.flatten(0, 1)):
            return self._logits({**inputs, "input_ids": numbers})

    def text_way(self, inputs: Mapping[str, Tensor]) -> str:
        """Find the way in which `text_mixed` gives the logits of these sentences' text.

        Raises:
            AttackError: there is none.
        """
        obstacle = self.obstacle
        rows = torch.arange(len(inputs["input_ids"]), device=inputs["input_ids"].device)
        try:
            vectors = input_vectors(self.model, inputs["input_ids"])
        except Exception as error:  # models of all kinds fail in all ways
            obstacle, ways = first_line(error), []
        else:
            ways = [VECTORS] if _takes(self.model, "inputs_embeds") else []
            ways.append(NUMBERS)
        with quiet(), torch.no_grad():
            expected = self.text(inputs)
            for way in ways:
                call = partial(self._all_mixed, inputs, vectors, way)
                obstacle = _difference(call, rows, expected, _ROUNDING)
                if not obstacle:
                    return way
        raise AttackError(
            f"{type(self.model).__name__} cannot be given vectors in place of its tokens "
            f"({obstacle}): use an attack that scores whole candidates only, such as exhaustive, "
            "coordinate or random"
        )

    def _all_mixed(
        self, inputs: Mapping[str, Tensor], vectors: Tensor, way: str, rows: Tensor
    ) -> Tensor:
        """Compute logits of `rows` of the sentences."""
        return self.text_mixed({n: its[rows] for n, its in inputs.items()}, vectors[rows], way)

    def mixed(
        self, vectors: Tensor, problem: Tensor, weights: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Compute logits (N, C), float32, of sentences given as vectors, with gradients if asked.

        Args:
            vectors: (N, T, D); those of known words must be the model's own.
            problem: (N,).
            weights: the model's parameters by name; its own by default.

        Raises:
            AttackError: the model cannot be given vectors.
        """
        if self.way == IDS:
            _ = self.vectors  # raises
        if self.way == VECTORS:
            return self._logits({"inputs_embeds": vectors}, weights)
        rows, length, _ = vectors.shape
        columns = torch.arange(length, device=problem.device).expand(rows, -1)
        ids = self.layout.tokens[self.layout.sentences[problem, :length]]  # (N, T), option 0
        numbers = FIRST + torch.arange(ids.numel(), device=ids.device).view(ids.shape)
        ids = torch.where(self._slots(problem)[:, :length], numbers, ids)
        inputs = {"input_ids": ids, **self._inputs(problem, columns)}
        with numbered_vectors(self.model, vectors.flatten(0, 1)):
            return self._logits(inputs, weights)

    def choose(
        self, problems: Sequence[Completion], texts: Sequence[tuple[Tensor, Tensor]]
    ) -> None:
        """Take the fastest way whose logits are those of `texts`.

        Args:
            problems: those of the layout, of which one at least has places.
            texts: row numbers of `compared` of one length, and their logits by `placed_logits`.

        Raises:
            AttackError: the model gives other logits when it is called again.
        """
        problem, choices = compared(problems)
        problem, choices = problem.to(self.model.device), choices.to(self.model.device)
        tokens = self.layout.fill(problem, choices)
        lengths = self.layout.lengths[problem]

        def logits(rows: Tensor) -> Tensor:
            length = int(lengths[rows[0]])
            parts = rows.split(1 if self.alone else _CHECKED)
            return torch.cat([self.exact(tokens[one, :length], problem[one]) for one in parts])

        def mixed(rows: Tensor) -> Tensor:
            length = int(lengths[rows[0]])
            return torch.cat([
                self.mixed(self.vectors[tokens[one, :length]], problem[one])
                for one in rows.split(_CHECKED)
            ])  # fmt: skip

        self._settle(
            lambda: [_difference(logits, rows, text, _SIDE_BY_SIDE) for rows, text in texts]
        )
        if self._vectors is None:
            return
        every = [(lengths == length).nonzero().squeeze(1) for length in lengths.unique().tolist()]
        exact = [logits(rows) for rows in every]
        for way in (VECTORS, NUMBERS):
            if way == VECTORS and not _takes(self.model, "inputs_embeds"):
                continue
            self.way = way
            found = [
                _difference(mixed, rows, its, _ROUNDING)
                for rows, its in zip(every, exact, strict=True)
            ]
            found.append(self._gradient_obstacle(tokens[:1, : int(lengths[0])], problem[:1]))
            if not any(found):
                self.alone = self.alone and way != VECTORS
                return
            self.obstacle = f"vectors in place of its tokens: {next(filter(None, found))}"
        self.way = IDS

    def check_texts(self, texts: Sequence[tuple[Mapping[str, Tensor], Tensor]]) -> None:
        """Check sentences that are tokenised whole: inputs (N, T, ...) and logits of each length.

        Raises:
            AttackError: the model gives other logits when it is called again.
        """

        def differs(inputs: Mapping[str, Tensor], expected: Tensor) -> str:
            # One sentence of its length is given twice, so that two go through side by side.
            rows = torch.arange(max(2, len(expected)), device=expected.device) % len(expected)

            def logits(rows: Tensor) -> Tensor:
                parts = rows.split(1 if self.alone else _CHECKED)
                return torch.cat(
                    [self.text({n: v[one] for n, v in inputs.items()}) for one in parts]
                )

            return _difference(logits, rows, expected[rows], _SIDE_BY_SIDE)

        self._settle(lambda: [differs(*one) for one in texts])

    def _settle(self, compare: Callable[[], list[str]]) -> None:
        """Let sentences go one by one where `compare` finds differences between side by side ones.

        Raises:
            AttackError: there are differences all the same.
        """
        differs = compare()
        if any(differs) and not self.alone:
            self.alone = True
            differs = compare()
            if not any(differs):
                logger.warning(
                    "%s gives other logits to sentences that go through it together: they go one "
                    "by one, which is slower",
                    type(self.model).__name__,
                )
        if any(differs):
            raise AttackError(
                f"{type(self.model).__name__} does not give the same sentence the same logits "
                f"({next(filter(None, differs))}): its scores would mean nothing; fix its random "
                "seed in the configuration, or attack another model"
            )

    def _gradient_obstacle(self, tokens: Tensor, problem: Tensor) -> str:
        """Why the logits of a sentence (1, T) have no gradient; empty where they have."""
        vectors = self.vectors[tokens].requires_grad_()
        try:
            with torch.enable_grad():
                torch.autograd.grad(self.mixed(vectors, problem).sum(), vectors)
        except Exception as error:  # models of all kinds fail in all ways
            return first_line(error)
        return ""

    def _inputs(self, problem: Tensor, columns: Tensor) -> dict[str, Tensor]:
        """Return what else the tokenizer gives, each (N, T, ...)."""
        return {name: its[problem[:, None], columns] for name, its in self.layout.inputs.items()}

    def _slots(self, problem: Tensor) -> Tensor:
        """Tell which columns hold a slot, (N, T + 1) bool."""
        sentences = self.layout.sentences[problem]
        where = self.layout.positions[problem].flatten(1)
        return torch.zeros_like(sentences, dtype=torch.bool).scatter_(1, where, True)

    def _logits(
        self, inputs: dict[str, Tensor], weights: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        if weights is None:
            found = self.model(**inputs)
        else:
            found = functional_call(self.model, dict(weights), (), inputs)
        logits: Tensor = found.logits.float()
        return logits


@contextmanager
def calling(
    model: PreTrainedModel, problems: Sequence[Completion], layout: Layout
) -> Iterator[Call]:
    """Return the call of a model in evaluation mode by which candidates score as their text.

    Raises:
        AttackError: the model cannot classify the text itself, or gives other logits every time.
    """
    with quiet(), torch.no_grad():
        placed = placed_logits(model, problems) if any(p.placed for p in problems) else []
        whole = whole_logits(model, [p for p in problems if not p.placed])
    call = Call(model, layout)
    with without_padding(model):
        with quiet(), torch.no_grad():
            if placed:
                call.choose(problems, placed)
            call.check_texts(whole)
        yield call


def _difference(
    call: Callable[[Tensor], Tensor], rows: Tensor, expected: Tensor, rounding: float
) -> str:
    """Say how the logits of `call` differ from those of the text; empty where they do not."""
    try:
        found = call(rows)
    except Exception as error:  # models of all kinds fail in all ways
        return first_line(error)
    if found.shape != expected.shape:
        return f"logits of shape {tuple(found.shape)}, not {tuple(expected.shape)}"
    finite = expected[expected.isfinite()]
    size = float(finite.abs().max()) if finite.numel() else 0.0
    if torch.allclose(found, expected, rtol=0, atol=1e-6 + rounding * size, equal_nan=True):
        return ""
    worst = float((found - expected).abs().nan_to_num(torch.inf).max())
    return f"logits up to {size:.3g} differ by {worst:.3g}"


def _takes(model: PreTrainedModel, name: str) -> bool:
    return name in inspect.signature(model.forward).parameters
