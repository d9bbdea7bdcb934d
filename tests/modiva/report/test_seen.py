"""The figure of what is seen of federated training."""

import json

from modiva.report.plots import figures

CLIENTS = {
    "training": "fedavg", "partition": "label:1", "selection": "uniform", "per_round": 10,
    "periods": 1,
}  # fmt: skip


def test_extraction_is_drawn_by_what_is_seen(simulated, tmp_path):
    rows = [
        {**row, **CLIENTS, "seen": seen}
        for number, seen in enumerate(("final", "aggregate", "update"))
        for row in simulated(noises=(0.0,), repetitions=(10,), seed=number, models=6)
    ]
    drawn = {path.name for path in figures(rows, tmp_path)}
    assert {"extraction_by_seen.png", "extraction_by_seen.svg"} <= drawn
    alt = json.loads((tmp_path / "captions.json").read_text())["extraction_by_seen"]["alt"]
    assert all(f"{seen} seen" in alt for seen in ("final", "aggregate", "update"))


def test_one_trainer_has_no_such_figure(simulated, tmp_path):
    rows = simulated(noises=(0.0,), repetitions=(10,), models=4)
    assert "extraction_by_seen.png" not in {path.name for path in figures(rows, tmp_path)}
