"""A condition: checked by value, and told by the spellings that tables use."""

import json
import subprocess
import sys

import pytest

from modiva.condition import Condition, Privacy, join_defense, split_defense
from modiva.errors import ModivaError


@pytest.mark.parametrize(
    ("spelling", "parts", "again"),
    [
        ("none", ("none", None), "none"),
        ("dp", ("none", "dp"), "dp"),
        ("dropout+dp", ("dropout", "dp"), "dropout+dp"),
        ("edp + dropout", ("dropout", "edp"), "dropout+edp"),
        ("none+dropout", ("dropout", None), "dropout"),
    ],
)
def test_a_spelling_is_a_defense_and_a_private_method(spelling, parts, again):
    assert split_defense(spelling) == parts
    assert join_defense(*parts) == again


def test_two_private_methods_are_refused():
    with pytest.raises(ModivaError, match="2 ways: keep one of dp, edp"):
        split_defense("dp+edp")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"noise_multiplier": 1.0, "epsilon": 3.0}, "exactly one"),
        ({}, "exactly one"),
        ({"noise_multiplier": 0.0}, "noise_multiplier=0.0"),
        ({"epsilon": float("nan")}, "epsilon=nan"),
        ({"epsilon": 3.0, "delta": 1.0}, "delta=1.0"),
        ({"epsilon": 3.0, "method": "magic"}, "magic"),
    ],
)
def test_privacy_is_asked_for_in_one_way(settings, named):
    with pytest.raises(ModivaError, match=named):
        Privacy(**settings)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"repetitions": (-1,)}, "-1"),
        ({"patterns": ("call", "pin"), "repetitions": (1, 2, 3)}, "3 numbers for 2 patterns"),
        ({"epochs": 0}, "--epochs 0"),
        ({"learning_rate": 0.0}, "--learning-rate 0.0"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"secrets": 0}, "--secrets 0"),
    ],
)
def test_values_out_of_range_are_refused(settings, named):
    with pytest.raises(ModivaError, match=named):
        Condition(**settings)


def test_repetitions_are_one_number_or_one_a_pattern():
    assert Condition(patterns=("call", "pin"), repetitions=(3,)).copies == (3, 3)
    assert Condition(patterns=("call", "pin"), repetitions=(3, 10)).copies == (3, 10)
    assert Condition().copies == ()


def test_a_condition_is_plain_json():
    condition = Condition(patterns=("call",), privacy=Privacy(epsilon=3.0))
    assert json.loads(json.dumps(condition.as_dict())) == condition.as_dict()
    assert str(condition) == "home-assistant cnn dp epsilon 3 R=1"


def test_studies_of_conditions_are_told_without_pytorch():
    code = "import sys, modiva.condition, modiva.studies; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
