"""The weights before training, as far as an attacker may know them."""

from collections.abc import Sequence

from transformers import PreTrainedModel

from canaries import Pattern
from modiva.corpora import Corpus
from modiva.studies.spec import Cell
from modiva.studies.steps.planting import plant_target
from modiva.studies.steps.train import Target, target_settings, untrained


def initial_model(
    cell: Cell, corpus: Corpus, patterns: Sequence[Pattern], target: Target
) -> PreTrainedModel:
    """The model that `target` was before training.

    Of a pretrained target the encoder is public and the head, drawn for its classes, is not: it
    takes the trained values.
    """
    spec, _ = target_settings(cell)
    planted = plant_target(cell, corpus, patterns, target.model_seed)
    initial = untrained(spec, corpus, patterns, planted, target.model_seed).model
    if not spec.is_own:
        inside = {id(parameter) for parameter in initial.base_model.parameters()}
        final = dict(target.classifier.model.named_parameters())
        for name, parameter in initial.named_parameters():
            if id(parameter) not in inside:
                parameter.data = final[name].data.clone()
    return initial.to(target.classifier.model.device).eval()  # type: ignore[arg-type]
