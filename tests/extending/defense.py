"""A defense: more weight decay."""

from modiva.condition import Condition
from modiva.training import resolve
from modiva.training.defenses import Defense, register_defense


def heavy_decay(spec, settings):
    return spec, {**settings, "weight_decay": 0.3}


register_defense(Defense("heavy-decay", "thirty times the usual weight decay", heavy_decay))


def test_heavy_decay_changes_the_decay_and_joins_with_others():
    spec, _ = resolve(Condition(target="cnn"))
    changed_spec, changed = resolve(Condition(target="cnn", defense="heavy-decay+early-stopping"))
    assert changed_spec == spec
    assert changed.weight_decay == 0.3
    assert changed.patience is not None
