"""The figure of text protection: two adversaries and the accuracy, one panel per mechanism."""

import matplotlib as mpl
import pytest

from modiva.report.plots.protection import by_text_epsilon
from modiva.report.plots.style import STYLE
from modiva.report.words import prepare

PROTECTED = {0.5: ("tem", 12.0), 1.0: ("madlib", 60.0)}


@pytest.fixture(scope="module")
def rows(simulated):
    """Rows in which the levels of noise are mechanisms instead; a reader decodes every other."""
    found = []
    for row in simulated(targets=("cnn",), repetitions=(1, 10), models=4):
        name, epsilon = PROTECTED.get(row["noise_multiplier"], ("none", None))
        spelled = f"{name}:{epsilon:g}" if epsilon else "none"
        found.append(
            row
            | {"noise_multiplier": 0.0, "defense": spelled, "privatize": spelled}
            | {"epsilon": None, "group_epsilon": None, "delta": None, "epsilon_claimed": epsilon}
            | {"decoded": row["model_seed"] % 2 if epsilon else None}
        )
    return found


def test_a_panel_for_each_mechanism_says_what_both_adversaries_reach(rows):
    with mpl.rc_context(STYLE):
        drawing = by_text_epsilon(prepare(rows))
    assert drawing is not None
    for mechanism, epsilon in PROTECTED.values():
        assert f"{mechanism} · CNN, reader of the rewritten data: 50 %" in drawing.alt
        assert f"ε = {epsilon:g}" in drawing.alt
    assert "owner of the model" in drawing.alt
    assert "test accuracy" in drawing.alt


def test_rows_without_text_protection_have_no_such_figure(rows, audit_rows):
    assert by_text_epsilon(prepare(audit_rows)) is None
    assert by_text_epsilon(prepare([row for row in rows if row["privatize"] == "none"])) is None
