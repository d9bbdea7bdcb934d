"""Every figure is drawn when, and only when, the rows hold something to draw."""

import json
import re

import numpy as np
import pytest
from matplotlib.image import imread

from modiva.report import figures
from modiva.report.plots import NARROW
from modiva.report.plots.attacks import side_by_side
from modiva.report.plots.noise import by_noise
from modiva.report.plots.repetitions import by_defense
from modiva.report.plots.style import PALETTE
from modiva.report.words import prepare

ALWAYS = {"reconstruction_by_repetitions", "exposure", "position_accuracy"}


def names(paths):
    return {path.stem for path in paths}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory, audit_rows):
    folder = tmp_path_factory.mktemp("figures")
    return folder, figures(audit_rows, folder)


def test_an_audit_has_the_figures_of_a_paper(drawn):
    folder, paths = drawn
    assert names(paths) == ALWAYS | {"extraction_by_noise", "reconstruction_by_pattern"}
    assert {path.suffix for path in paths} == {".png", ".svg"}
    assert all(path.stat().st_size > 5000 for path in paths)
    captions = json.loads((folder / "captions.json").read_text())
    assert set(captions) == names(paths)
    for words in captions.values():
        assert words["title"]
        assert words["caption"].endswith(".")
        assert "CNN" in words["alt"]
        assert "LSTM" in words["alt"]


def test_the_words_for_those_who_do_not_see_hold_the_numbers(drawn, audit_rows):
    folder, _ = drawn
    alt = json.loads((folder / "captions.json").read_text())["reconstruction_by_repetitions"]["alt"]
    chosen = [
        row["exact"]
        for row in audit_rows
        if (row["target"], row["noise_multiplier"], row["repetitions"]) == ("cnn", 0.0, 100)
        and row["planted"]
    ]
    rate = round(100 * sum(chosen) / len(chosen))
    assert re.search(rf"CNN, no defense: .*{rate} % \(\d+–\d+ %\) at R = 100", alt)


def test_a_figure_without_its_caption_still_names_its_attack(simulated):
    rows = simulated(attacks=("exhaustive", "random"), noises=(0.0,), models=4)
    drawing = by_defense(prepare(rows))
    assert drawing.figure.axes[0].get_ylabel() == "reconstructed exactly\nby exhaustive"


def test_pngs_are_sharp_and_not_blank(drawn):
    _, paths = drawn
    for path in paths:
        if path.suffix == ".png":
            pixels = imread(path)
            assert pixels.shape[1] >= 900
            assert pixels[..., :3].std() > 0.05


def test_the_same_rows_give_the_same_bytes(drawn, audit_rows, tmp_path):
    _, first = drawn
    again = figures(audit_rows, tmp_path)
    assert [path.name for path in again] == [path.name for path in first]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(first, again, strict=True))
    narrow = sorted(first[0].parent.glob("*.narrow.svg"))
    assert len(narrow) == len(first) / 2
    assert all((tmp_path / path.name).read_bytes() == path.read_bytes() for path in narrow)


def test_a_phone_gets_the_panels_below_each_other(drawn):
    _, paths = drawn
    for path in paths:
        if path.suffix == ".svg":
            narrow = path.with_name(f"{path.stem}{NARROW}")
            boxes = [
                [float(side) for side in re.search(r'viewBox="([\d. ]+)"', text)[1].split()[2:]]
                for text in (path.read_text(), narrow.read_text())
            ]
            assert boxes[1][0] < 0.7 * boxes[0][0]
            assert boxes[1][1] > 1.5 * boxes[0][1]


def test_noise_is_drawn_with_both_attacks_exposure_accuracy_and_both_bounds(simulated):
    rows = simulated(
        targets=("cnn",),
        attacks=("coordinate", "relaxed"),
        noises=(0.0, 0.1, 0.3, 0.5, 1.0),
        repetitions=(1, 10, 100),
        models=4,
    )
    rows = [row | {"attack": row["attack"].replace("relaxed", "parikh2022")} for row in rows]
    drawing = by_noise(prepare(rows))
    top, strongest, published, exposure, accuracy = drawing.figure.axes
    labels = [label.get_text() for label in top.get_yticklabels()]
    assert labels == ["ε, one sentence", "group ε, R = 10", "group ε, R = 100"]
    texts = [text.get_text() for text in top.texts]
    assert texts[:5] == ["∞", "3.2k", "61.2", "20.1", "3.42"]
    assert "34.2" in texts
    assert "342" in texts
    assert "coordinate" in strongest.get_ylabel()
    assert "parikh2022" in published.get_ylabel()
    assert "exposure" in exposure.get_ylabel()
    assert "accuracy" in accuracy.get_ylabel()
    assert accuracy.get_xticks() == pytest.approx([-1.35, -1, np.log10(0.3), np.log10(0.5), 0])
    for words in ("R = 100", "controls", "test accuracy", "mean exposure in bits"):
        assert words in drawing.alt


def test_noise_levels_close_together_stand_evenly(simulated):
    rows = simulated(targets=("cnn",), noises=(0.0, 0.1, 0.3, 0.32, 1.0), models=2)
    drawing = by_noise(prepare(rows))
    assert list(drawing.figure.axes[-1].get_xticks()) == [0, 1, 2, 3, 4]


def test_attacks_are_compared_by_three_metrics_beside_their_controls(simulated):
    rows = simulated(attacks=("exhaustive", "random"), noises=(0.0,), models=4)
    drawing = side_by_side(prepare(rows))
    axes = drawing.figure.axes
    assert [axis.get_xlabel() for axis in axes[:3]] == [
        "reconstructed exactly",
        "among the first ten",
        "exposure (bits)",
    ]
    assert len(axes) == 2 * 3
    assert [label.get_text().split("\n")[0] for label in axes[0].get_yticklabels()] == [
        "random",
        "exhaustive",  # the best on top
    ]
    assert "CNN, reconstructed exactly, controls (never planted)" in drawing.alt


def test_one_noise_level_one_pattern_and_one_attack_leave_those_figures_out(simulated, tmp_path):
    rows = simulated(targets=("cnn",), patterns=("call",), noises=(0.0,), models=3)
    assert names(figures(rows, tmp_path)) == ALWAYS


def test_attacks_and_corpora_are_shown_side_by_side(simulated, tmp_path):
    rows = simulated(
        corpora=("snips", "hwu64"),
        targets=("cnn",),
        patterns=("call", "zip"),
        noises=(0.0,),
        repetitions=(0, 10),
        attacks=("exhaustive", "random"),
        models=3,
    )
    paths = figures(rows, tmp_path)
    assert names(paths) == ALWAYS | {"attacks", "reconstruction_by_pattern"}
    words = json.loads((tmp_path / "captions.json").read_text())
    assert "hwu64 · CNN" in words["attacks"]["alt"]
    assert "snips · CNN, 5 words" in words["position_accuracy"]["alt"]
    assert "10,000 evaluations" not in words["attacks"]["alt"]


def test_one_model_without_controls_ranks_or_privacy_is_drawn(simulated, tmp_path):
    rows = simulated(
        targets=("cnn",),
        patterns=("call",),
        repetitions=(10,),
        noises=(0.0,),
        models=1,
        controls=0,
    )
    for row in rows:
        row["exposure"] = row["rank"] = None
    assert names(figures(rows, tmp_path)) == ALWAYS - {"exposure"}


def test_nothing_planted_draws_only_the_floor(simulated, tmp_path):
    rows = simulated(targets=("cnn",), repetitions=(0,), noises=(0.0,), models=2)
    assert names(figures(rows, tmp_path)) == {"exposure"}


def test_no_rows_no_figures(tmp_path):
    assert figures([], tmp_path) == []


def test_names_are_data_and_never_markup(simulated, tmp_path):
    rows = simulated(targets=("$x^2_$--><script>",), models=2, noises=(0.0,), patterns=("call",))
    for path in figures(rows, tmp_path):
        if path.suffix == ".svg":
            assert "<script" not in path.read_text()


def luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_first_colors_stand_out_from_white():
    for color in PALETTE[:3]:
        assert 1.05 / (luminance(color) + 0.05) > 3


def test_no_word_is_cut_off_at_the_edge(drawn):
    """The outermost pixels of every side are paper."""
    _, paths = drawn
    for path in paths:
        if path.suffix == ".png":
            pixels = imread(path)[..., :3]
            for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
                assert edge.min() > 0.9, path.name
