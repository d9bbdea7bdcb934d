"""Every figure is drawn when, and only when, the rows hold something to draw."""

import json
import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from modiva.measure import summarise
from modiva.report.plots import _DRAW, NARROW, axes, figures
from modiva.report.plots.attacks import side_by_side
from modiva.report.plots.noise import by_epsilon, by_noise
from modiva.report.plots.style import PALETTE, STYLE, settle
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
    assert names(paths) == ALWAYS | {
        "extraction_by_noise", "privacy_loss", "reconstruction_by_pattern",
    }  # fmt: skip
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


def words_of(drawing):
    """All that the picture itself says, without its caption."""
    texts = [text.get_text() for text in drawing.figure.findobj(Text)]
    return " ".join(" ".join(texts).replace("\u00a0", " ").split())


def draw_all(rows, **options):
    with mpl.rc_context(STYLE):
        return [drawing for draw in _DRAW if (drawing := draw(prepare(rows), **options))]


def test_every_figure_stands_alone(simulated):
    """Title, corpus, n, attack, and what a bar is, whoever cuts the picture out of its page."""
    drawings = draw_all(simulated(attacks=("exhaustive", "random"), models=4))
    assert len(drawings) == 7
    for drawing in drawings:
        words = words_of(drawing)
        for word in (drawing.title, "home-assistant", "exhaustive", "R", "controls"):
            assert word in words, (drawing.name, word)
        assert re.search(r"n = \d+", words)
        assert re.search(
            r"Bars are 95 % intervals over|Boxes: median, quartiles|lower bound \(95 %\)", words
        )


def test_a_figure_fits_a_page_and_is_legible_in_a_column(simulated):
    """At most 7.2 by 9.5 inches; of two panels in a column of 3.4 inches, text of 5 points."""
    rows = simulated(
        corpora=("snips", "hwu64"),
        targets=("cnn", "lstm", "transformer"),
        repetitions=(1, 3, 10, 30, 100),
        noises=(0.0, 0.5),
        attacks=("exhaustive", "coordinate", "relaxed", "random"),
        patterns=("call",),
        models=2,
    )
    rows += [row | {"attack": f"{row['attack']}-{n}"} for row in rows for n in (1, 2, 3, 4)]
    for drawing in draw_all(rows):
        width, height = drawing.figure.get_size_inches()
        assert width <= 7.2
        assert height <= 9.5, drawing.name
        settle(drawing.figure)  # shrinks titles that are wider than their panel
        sizes = [text.get_fontsize() for text in drawing.figure.findobj(Text) if text.get_text()]
        assert min(sizes) >= 7
    attacks = side_by_side(prepare(rows)).figure
    assert 7 * 3.4 / attacks.get_figwidth() > 5
    assert len(attacks.axes[0].get_yticklabels()) > 10
    two = draw_all([row for row in rows if row["corpus"] == "snips" and row["target"] != "cnn"])
    assert all(7 * 3.4 / drawing.figure.get_figwidth() > 5 for drawing in two)


def bars(axis):
    """Ends of the intervals that are drawn in a panel."""
    collections = [own for own in axis.collections if isinstance(own, LineCollection)]
    return [path.vertices[:, 1] for own in collections for path in own.get_paths()]


def test_a_point_that_guessing_explains_has_no_bar(simulated):
    """What guessing reaches is drawn once, and the longest interval left out is told."""
    rows = simulated(targets=("cnn",), patterns=("call",), models=12)
    for row in rows:
        row["exact"] = int(row["planted"] and row["noise_multiplier"] == 0)
    drawing = by_noise(prepare(rows))
    extraction = drawing.figure.axes[1]
    assert len(bars(extraction)) == 3  # R = 1, 10, 100 without noise
    assert all(low > 0.5 for low, _ in bars(extraction))
    marks = [line for line in extraction.lines if line.get_marker() in ("o", "s", "^")]
    hollow = [line for line in marks if line.get_markerfacecolor() == "#ffffff"]
    assert [list(line.get_ydata()) for line in hollow] == [[0, 0]] * 3
    upper = max(
        group.exact.upper
        for group in summarise(rows)
        if group["planted"] and group["noise_multiplier"]
    )
    assert f"their intervals end at {upper:.0%}".replace("%", " %") in words_of(drawing)


def test_where_nothing_came_back_no_interval_is_drawn(simulated):
    rows = [row | {"exact": 0} for row in simulated(patterns=("call",), models=3)]
    for drawing in draw_all(rows):
        if drawing.name.startswith(("extraction", "reconstruction")):
            rates = [axis for axis in drawing.figure.axes if "accuracy" not in axis.get_ylabel()]
            heights = [bars(axis) for axis in rates if axis.get_subplotspec().is_first_col()]
            assert not any(heights), drawing.name


def test_zero_is_set_apart_by_a_marked_break():
    axis = Figure().subplots()
    places = axes.log_places([0, 0.1, 1])
    assert axes.place_axis(axis, places, 2.0, "noise") == (places[0], places[0.1])
    assert len(axis.lines) == 2  # the gap in the axis and its two strokes
    axis = Figure().subplots()
    assert axes.place_axis(axis, axes.log_places([1, 10]), 2.0, "R") is None
    assert not axis.lines


def test_each_number_of_repetitions_has_the_epsilon_of_its_own_targets(simulated):
    """Targets with more repetitions have more sentences, and so another epsilon."""
    rows = simulated(targets=("cnn",), noises=(0.0, 1.0), models=2)
    for row in rows:
        if row["noise_multiplier"]:
            row["epsilon"] = {1: 24.9, 10: 24.4, 100: 23.2}[row["repetitions"]]
            row["group_epsilon"] = {1: 24.9, 10: 839.0, 100: None}[row["repetitions"]]
    top = by_noise(prepare(rows)).figure.axes[0]
    assert [text.get_text() for text in top.texts] == ["∞", "24.9", "∞", "839", "∞", "∞"]


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
            assert boxes[1][0] < 0.8 * boxes[0][0]
            assert boxes[1][1] > 1.2 * boxes[0][1]


def test_noise_is_drawn_with_both_attacks_accuracy_and_bounds(simulated):
    rows = simulated(
        targets=("cnn",),
        attacks=("coordinate", "relaxed"),
        noises=(0.0, 0.1, 0.3, 0.5, 1.0),
        repetitions=(1, 10, 100),
        models=4,
    )
    rows = [row | {"attack": row["attack"].replace("relaxed", "parikh2022")} for row in rows]
    drawing = by_noise(prepare(rows))
    top, strongest, published, accuracy = drawing.figure.axes
    labels = [label.get_text() for label in top.get_yticklabels()]
    assert labels == ["ε, R = 1", "ε, R = 10", "ε, R = 100"]
    texts = [text.get_text() for text in top.texts]
    assert texts[:5] == ["∞", "3.2k", "61.2", "20.1", "3.42"]
    assert "34.2" in texts
    assert "342" in texts
    assert "coordinate" in strongest.get_ylabel()
    assert "parikh2022" in published.get_ylabel()
    assert "accuracy" in accuracy.get_ylabel()
    assert accuracy.get_xticks() == pytest.approx([-1.35, -1, np.log10(0.3), np.log10(0.5), 0])
    for words in ("R = 100", "test accuracy", "R = 1 at most: σ = 0.1: 100 %"):
        assert words in drawing.alt
    assert "σ = 0.5: 14 %, σ = 1: 0.16 %" in drawing.alt
    for axis in (strongest, published):
        edges = [line.get_ydata() for line in axis.lines if line.get_linewidth() == 2.4]
        assert len(edges) == 3  # one a number of repetitions
        assert list(edges[0]) == pytest.approx([1, 0.929, 0.1335, 0.0016, 0.0016], abs=1e-3)
        assert list(edges[2]) == pytest.approx([1] * 5)
    assert "any attack" in drawing.caption


def test_noise_levels_close_together_stand_evenly(simulated):
    rows = simulated(targets=("cnn",), noises=(0.0, 0.1, 0.3, 0.32, 1.0), models=2)
    drawing = by_noise(prepare(rows))
    assert list(drawing.figure.axes[-1].get_xticks()) == [0, 1, 2, 3, 4]


def test_epsilons_that_were_asked_for_are_an_axis_of_their_own(asked_by_epsilon):
    frame = prepare(asked_by_epsilon)
    assert by_noise(frame) is None  # one level: none
    drawing = by_epsilon(frame)
    assert drawing.name == "extraction_by_epsilon"
    axis = drawing.figure.axes[-1]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["∞", "8", "3"]
    assert list(axis.get_xticks()) == sorted(axis.get_xticks())
    assert "at ε = 3" in drawing.alt
    defenses = draw_all(asked_by_epsilon)[0]
    assert "DP ε = 8" in words_of(defenses)


def test_models_that_were_not_attacked_have_no_figures_of_extraction(model_rows, tmp_path):
    assert figures(model_rows, tmp_path) == []


def test_attacks_are_compared_at_the_middle_number_of_repetitions(simulated):
    rows = simulated(attacks=("random", "exhaustive"), noises=(0.0,), models=4)
    drawing = side_by_side(prepare(rows))
    axes = drawing.figure.axes
    assert len(axes) == 2
    assert [label.get_text() for label in axes[0].get_yticklabels()] == [
        "random (2.0k)",
        "exhaustive (10k)",  # the best on top
    ]
    found = [
        row["exact"]
        for row in rows
        if (row["target"], row["attack"], row["repetitions"]) == ("cnn", "exhaustive", 10)
        and row["planted"]
    ]
    rate = round(100 * sum(found) / len(found))
    assert f"CNN, exhaustive: exactly {rate} %" in drawing.alt
    assert "R = 10 ·" in words_of(drawing)
    assert "CNN, controls, never planted" in drawing.alt


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


def test_nothing_planted_draws_nothing(simulated, tmp_path):
    rows = simulated(targets=("cnn",), repetitions=(0,), noises=(0.0,), models=2)
    assert names(figures(rows, tmp_path)) == set()


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


@pytest.mark.parametrize("asked", [None, 8.0])
def test_private_methods_of_one_level_are_not_pooled(simulated, asked):
    rows = []
    for row in simulated(targets=("cnn",)):
        methods = ("dp", "edp", "loop") if row["noise_multiplier"] else ("none",)
        for method in methods:
            found = {**row, "defense": method, "target_epsilon": None}
            if method != "none":
                found |= {"exact": int(method == "dp"), "target_epsilon": asked}
            rows.append(found)
    drawing = (by_epsilon if asked else by_noise)(prepare(rows))
    said = drawing.alt.split("CNN")[1:]
    for method, rate in (("DP", "100 %"), ("eDP-SGD", "0 %"), ("DP in a loop", "0 %")):
        mine = [
            part
            for part in said
            if part.startswith(f", {method},") and " at most: " not in part  # what theory allows
        ]
        assert mine
        assert any(rate in part for part in mine)
        assert method == "DP" or not any("100 %" in part.partition("test")[0] for part in mine)
