"""The figures of federated training: what is seen, whose share, and accuracy by round."""

import json

from modiva.report.plots import figures
from modiva.report.plots.shares import by_share
from modiva.report.words import prepare

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


def test_extraction_is_drawn_by_the_share_of_the_device(simulated):
    """Light devices that one selection leaves out are told from heavy ones."""
    rows = [
        {**row, **CLIENTS, "partition": "zipf:1", "selection": selection, "seen": "update",
         "device_share": share, "device_rounds": 3, "exact": int(row["planted"] and found)}
        for number, (selection, share, found) in enumerate(
            [("uniform", 0.01, 1), ("uniform", 0.1, 1), ("activity", 0.01, 0), ("activity", 0.1, 1)]
        )
        for row in simulated(noises=(0.0,), repetitions=(10,), seed=number, models=6)
    ]  # fmt: skip
    alt = by_share(prepare(rows)).alt
    light = alt[alt.index("activity selection: ") :]
    assert light.startswith("activity selection: 0 %")
    assert "at 1.0 %" in light
    assert by_share(prepare([{**row, "device_share": 0.01} for row in rows])) is None


def test_accuracy_is_drawn_by_round_beside_one_trainer(model_rows, tmp_path):
    central = [row for row in model_rows if row["noise_multiplier"] == 0]
    clients = [
        {**row, **CLIENTS, "training": training, "accuracy_by_round": "0.3 0.6 0.8"}
        for row in central
        for training in ("fedavg", "fedyogi")
    ]
    models = prepare([*central, *clients])
    drawn = {path.name for path in figures(models, tmp_path, {"models": models})}
    assert {"accuracy_by_round.svg", "accuracy_by_round.png"} <= drawn
    alt = json.loads((tmp_path / "captions.json").read_text())["accuracy_by_round"]["alt"]
    assert "CNN, label:1, fedyogi: 30 % after 1 rounds, 60 % after 2 rounds" in alt
    assert "one trainer: " in alt
    alone = prepare(central)
    assert not figures(alone, tmp_path, {"models": alone})
