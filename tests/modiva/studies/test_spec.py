"""The grid: what it expands to, and what it refuses before any work."""

import pytest

from attacks.errors import AttackError
from modiva.errors import ModivaError
from modiva.studies import AuditSpec, estimate_seconds, validate


def test_noise_decides_whether_a_cell_is_private_and_duplicates_fall_together():
    spec = AuditSpec(defense=("none", "dp", "dropout"), noise=(0.0, 1.0), target=("cnn",))
    defenses = [(cell.defense, cell.noise) for cell in spec.cells() if cell.repetitions == 1]
    assert defenses == [("none", 0.0), ("dp", 1.0), ("dropout", 0.0), ("dropout+dp", 1.0)]


def test_edp_is_private_training_of_its_own():
    spec = AuditSpec(defense=("edp",), noise=(0.0, 1.0), target=("cnn",), repetitions=(1,))
    assert [(cell.defense, cell.noise) for cell in spec.cells()] == [("none", 0.0), ("edp", 1.0)]


def test_every_combination_is_one_cell():
    spec = AuditSpec(target=("cnn", "lstm"), repetitions=(0, 1, 10), noise=(0.0, 0.5))
    cells = spec.cells()
    assert len(cells) == len(set(cells)) == 2 * 3 * 2


def test_a_key_depends_on_settings_data_and_code():
    one, other = AuditSpec(repetitions=(1, 10), target=("cnn",), noise=(0.0,)).cells()
    keys = {one.key("data", "code"), other.key("data", "code")}
    keys |= {one.key("other data", "code"), one.key("data", "other code")}
    assert len(keys) == 4
    assert one.key("data", "code") == one.key("data", "code")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"repetitions": (-1,)}, "-1"),
        ({"noise": (-0.5,)}, "-0.5"),
        ({"noise": (float("nan"),)}, "nan"),
        ({"models": 0}, "--models 0"),
        ({"controls": 0}, "--controls 0"),
        ({"epochs": 0}, "--epochs 0"),
        ({"target": ("resnet",)}, "resnet"),
        ({"defense": ("prayer",)}, "prayer"),
        ({"target": ("cnn", "cnn")}, "twice"),
        ({"pattern": ()}, "--pattern"),
    ],
)
def test_bad_settings_are_refused_by_value(settings, named):
    with pytest.raises(ModivaError, match=named):
        AuditSpec(**settings)


@pytest.mark.parametrize("settings", [{"attack": ("guess",)}, {"objective": "luck"}])
def test_unknown_attacks_and_objectives_are_refused(settings):
    with pytest.raises(AttackError, match=r"guess|luck"):
        AuditSpec(**settings)


def test_a_space_smaller_than_secret_and_controls_is_refused():
    spec = AuditSpec(pattern=("color {color}",), controls=12, target=("cnn",), noise=(0.0,))
    with pytest.raises(ModivaError, match="12 secrets"):
        validate(spec)


def test_an_unknown_label_is_refused():
    with pytest.raises(ModivaError, match="no_such_intent"):
        validate(AuditSpec(label="no_such_intent", target=("cnn",), noise=(0.0,)))


def test_a_private_cell_and_a_larger_one_are_estimated_longer():
    plain, private = AuditSpec(target=("lstm",), repetitions=(10,), noise=(0.0, 1.0)).cells()
    (full,) = AuditSpec(target=("lstm",), repetitions=(10,), noise=(0.0,), size="full").cells()
    assert estimate_seconds(plain) < estimate_seconds(private)
    assert estimate_seconds(plain) < estimate_seconds(full)
