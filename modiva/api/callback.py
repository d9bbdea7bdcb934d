"""`modiva.CanaryCallback`: secrets in a Trainer's data set, and their exposure while it trains."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerCallback

from attacks import build_completion
from attacks.problem import Completion
from attacks.scoring import score_choices, score_space
from canaries import Canary, Ledger, Planting, get_pattern, load_patterns, plant
from canaries.drawing import draw_distinct, generator
from canaries.planting import RANDOM
from modiva.api.results import Result
from modiva.counts import count
from modiva.errors import ModivaError
from modiva.measure import exposure

if TYPE_CHECKING:
    import pandas as pd

_LABELS = ("label", "labels", "label_ids")
# The loss is monotone in the margin, which does not round a sure model's candidates to 0.
_OBJECTIVE = "margin"


class CanaryCallback(TrainerCallback, Result):
    """Plants secrets into a Trainer's training data, and logs their exposure at each evaluation.

        canaries = modiva.CanaryCallback("my pin is {digit*4:glued}", label="change_pin")
        canaries.plant(trainer)
        trainer.train()

    At each evaluation the Trainer logs, beside its own metrics and so to whatever it reports to,
    `eval_canary_exposure` in bits (mean over the secrets), `eval_canary_first` (share of secrets
    that are first of all candidates) and `eval_control_exposure`, of secrets that were drawn with
    them and never planted: 1.44 on average, whatever is trained.

    Args:
        pattern: what to plant: "pin", or a sentence such as "my code is {digit*4:glued}"; or
            several of these.
        label: "random" for a random label of the model, or one of them.
        repetitions: how often each secret stands in the training data.
        secrets: of each pattern.
        controls: drawn with each secret and never planted, 1 or more.
        candidates: spaces of up to so many secrets are scored whole; of larger ones so many that
            are drawn at random, which bounds the exposure that can be seen.
        patterns_file: YAML file of own patterns and word lists.
        seed: decides secrets and places.

    Raises:
        CanaryError, ModivaError: an unknown pattern or a number out of range.
    """

    def __init__(
        self,
        pattern: str | Sequence[str],
        *,
        label: str = RANDOM,
        repetitions: int = 10,
        secrets: int = 1,
        controls: int = 5,
        candidates: int = 10_000,
        patterns_file: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        if controls < 1 or candidates < 100:
            raise ModivaError(
                f"controls {controls} and candidates {candidates}: use at least 1 and 100"
            )
        patterns, spaces = load_patterns(patterns_file) if patterns_file else ({}, {})
        names = [pattern] if isinstance(pattern, str) else list(pattern)
        self.candidates, self.seed = candidates, seed
        self.plantings = [
            Planting(
                get_pattern(name, spaces=spaces, patterns=patterns),
                repetitions,
                label,
                secrets,
                controls,
            )
            for name in names
        ]
        self.ledger = Ledger((), seed)
        self.rows: list[dict[str, Any]] = []
        self._trainer: Trainer | None = None
        self._asked: dict[str, tuple[Completion, list[tuple[str, ...]] | None]] = {}

    def plant(self, trainer: Trainer) -> "CanaryCallback":
        """Put the secrets into the Trainer's training data, and follow its evaluations.

        Args:
            trainer: before `train`, with a tokenizer (`processing_class`) and a training data set
                that is tokenised: items with `input_ids` and a label.

        Raises:
            AttackError, CanaryError, ModivaError: what cannot be planted in or scored, or was
                planted in already.
        """
        if self._trainer is not None:
            raise ModivaError("these canaries were planted already: make another callback")
        tokenizer, model = _tokenizer(trainer), _model(trainer)
        labels: dict[Any, Any] = dict(model.config.id2label or {})
        names = {int(number): str(name) for number, name in labels.items()}
        data = trainer.train_dataset
        if data is None or not hasattr(data, "__len__") or len(data) == 0:
            raise ModivaError("the Trainer has no training data of known length to plant in")
        first = data[0]
        key = next((name for name in _LABELS if name in first), None)
        if key is None or "input_ids" not in first:
            raise ModivaError(
                f"items of the training data have {', '.join(first)}: tokenise them, so that they "
                f"have input_ids and {' or '.join(_LABELS)}"
            )
        rows = [data[place] for place in range(len(data))]
        ids = [[int(token) for token in row["input_ids"]] for row in rows]
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        pairs = [(text, names[int(row[key])]) for text, row in zip(texts, rows, strict=True)]
        self.ledger = plant(pairs, (), self.plantings, seed=self.seed).ledger
        numbers = {name: number for number, name in names.items()}
        items = {
            canary.id: {**_encoded(tokenizer, canary.text, rows[:16]), key: numbers[canary.label]}
            for canary in self.ledger.canaries
        }
        self._asked = {
            canary.id: self._question(canary, tokenizer, model) for canary in self.ledger.canaries
        }
        order = self.ledger.order(len(data))
        trainer.train_dataset = _planted(data, order, items)
        trainer.add_callback(self)
        self._trainer = trainer
        return self

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log how exposed secrets and controls are under the model as it is."""
        del args, control, kwargs
        if self._trainer is None:
            return
        found = [row for canary in self.ledger.canaries for row in self._rows(canary, state)]
        self.rows += found
        sides = [[row for row in found if row["planted"] == planted] for planted in (True, False)]
        means = [float(np.mean([row["exposure"] for row in side])) for side in sides if side]
        if len(means) == len(sides):
            self._trainer.log(
                {
                    "eval_canary_exposure": means[0],
                    "eval_canary_first": float(np.mean([row["rank"] == 1 for row in sides[0]])),
                    "eval_control_exposure": means[1],
                }
            )

    def summary(self) -> str:
        """Return where secrets and controls stood at the last evaluation."""
        if not self.rows:
            return "No evaluation yet."
        last = [row for row in self.rows if row["step"] == self.rows[-1]["step"]]
        planted = [row for row in last if row["planted"]]
        means = [
            float(np.mean([row["exposure"] for row in side]))
            for side in (planted, [row for row in last if not row["planted"]])
        ]
        best = min(planted, key=lambda row: float(row["rank"]))
        return (
            f"At step {count(best['step'])} the best rank of a planted secret is "
            f"{count(best['rank'])} of {count(best['of'])}.\nMean exposure: {means[0]:.1f} bits of "
            f"secrets, {means[1]:.1f} of controls; a secret that was never seen has 1.4 on average."
        )

    def frame(self) -> "pd.DataFrame":
        """Return one row per evaluation and secret or control."""
        import pandas as pd

        names = ["step", "epoch", "canary", "secret", "planted", "rank", "of", "exposure"]
        return pd.DataFrame(self.rows, columns=names)

    def _rows(self, canary: Canary, state: Any) -> list[dict[str, Any]]:
        assert self._trainer is not None
        model = _model(self._trainer)
        known = [canary.secret, *canary.controls]
        problem, others = self._asked[canary.id]
        if others is None:
            scores = score_space(model, problem, _OBJECTIVE)
            places = [int(np.ravel_multi_index(problem.choices(s), problem.sizes)) for s in known]
            each = [(scores, place) for place in places]
        else:
            scores = score_choices(model, problem, _OBJECTIVE, [*known, *others])
            each = [(np.append(scores[len(known) :], own), -1) for own in scores[: len(known)]]
        return [
            {
                "step": state.global_step, "epoch": state.epoch, "canary": canary.id,
                "secret": " ".join(secret),
                "planted": secret == canary.secret and canary.repetitions > 0,
                "rank": exposure.rank_in_space(values, place % len(values)), "of": len(values),
                "exposure": exposure.exposure_in_space(values, place % len(values)),
            }
            for secret, (values, place) in zip(known, each, strict=True)
        ]  # fmt: skip

    def _question(
        self, canary: Canary, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> tuple[Completion, list[tuple[str, ...]] | None]:
        """Return what is scored: the whole space, or the secrets that stand for it."""
        form = canary.form
        problem = build_completion(
            tokenizer, model, pattern=form, label=canary.label, name=canary.id
        )
        if form.size <= self.candidates:
            return problem, None
        rng = generator(self.seed, "candidates", canary.id)
        taken = {form.index(secret) for secret in (canary.secret, *canary.controls)}
        drawn = draw_distinct(rng, form.size, self.candidates - 1, taken)
        return problem, [form.secret(number) for number in drawn]


def _tokenizer(trainer: Trainer) -> PreTrainedTokenizerBase:
    tokenizer = trainer.processing_class
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise ModivaError("the Trainer has no tokenizer: give it as processing_class")
    return tokenizer


def _model(trainer: Trainer) -> PreTrainedModel:
    if not isinstance(trainer.model, PreTrainedModel):
        raise ModivaError("the Trainer has no model of transformers: give it as model")
    return trainer.model


def _encoded(
    tokenizer: PreTrainedTokenizerBase, text: str, rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a sentence as the data has others: the same fields, padded where those are."""
    lengths = {len(row["input_ids"]) for row in rows}
    padded = any(tokenizer.pad_token_id in [int(i) for i in row["input_ids"]] for row in rows)
    how: dict[str, Any] = {"truncation": True}
    if padded and len(lengths) == 1:
        how |= {"padding": "max_length", "max_length": lengths.pop()}
    found = tokenizer(text, **how)
    item = {name: found[name] for name in rows[0] if name in found}
    return {name: text for name, value in rows[0].items() if isinstance(value, str)} | item


def _planted(data: Any, order: Sequence[int | Canary], items: Mapping[str, Any]) -> Any:
    """Return the data with the canaries' items between its own."""
    if not hasattr(data, "features"):
        return [data[place] if isinstance(place, int) else items[place.id] for place in order]
    from datasets import concatenate_datasets

    numbers = {name: len(data) + number for number, name in enumerate(items)}
    empty = dict.fromkeys(data.column_names)
    more = type(data).from_list([{**empty, **i} for i in items.values()], features=data.features)
    style = data.format
    more.set_format(style["type"], style["columns"], style["output_all_columns"],
                    **style["format_kwargs"])  # fmt: skip
    places = [place if isinstance(place, int) else numbers[place.id] for place in order]
    return concatenate_datasets([data, more]).select(places)
