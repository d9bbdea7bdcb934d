"""Steps that take milliseconds, for tests of everything around them: run, store, engines."""

import hashlib
import os
import sys
import time
from pathlib import Path

from modiva.studies.plan import Plan, PlannedCell, Step
from modiva.studies.run import EngineSettings, run_plan
from modiva.studies.spec import content_key


def _spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def train(settings, context):
    """Leave "weights" that are a function of the seed."""
    if settings.get("fails") and Path(settings["fails"]).exists():
        raise RuntimeError("this target does not train")
    _spin(settings["work"])
    weights = hashlib.sha512(str(settings["seed"]).encode()).digest() * 8
    (context.out / "model").mkdir()
    (context.out / "model" / "weights").write_bytes(weights)
    (context.out / "facts.txt").write_text(str(settings["seed"]))
    return []


def attack(settings, context):
    """Rows that are a function of the weights and the attack."""
    if settings.get("dies") and not Path(settings["dies"]).exists():
        Path(settings["dies"]).write_text("once")
        os.kill(os.getpid(), 9)
    _spin(settings["work"])
    weights = (context.inputs["target"] / "model" / "weights").read_bytes()
    digest = hashlib.sha256(weights + settings["attack"].encode()).digest()
    return [
        {
            "attack": settings["attack"],
            "model_seed": settings["seed"],
            "secret": f"{byte:03d}",
            "exact": byte % 2,
            "exposure": byte / 7,
            "epsilon": None if settings["seed"] % 2 else 1.5,
        }
        for byte in digest[: settings["rows"]]
    ]


class Plans:
    """A study of synthetic cells, as `run_plan` takes it."""

    def __init__(self, cells, work=0.002, rows=4, attacks=("a", "b"), version="", **settings):
        self.settings = {"cells": cells, "attacks": list(attacks)}
        self.signature = content_key(cells, work, rows, attacks, version, settings)
        self._made = (cells, work, rows, attacks, version, settings)

    def make(self):
        cells, work, rows, attacks, version, settings = self._made
        steps, planned = {}, []
        # What the attack "learned" needs beside the target; it may fail by itself.
        told = {"seed": cells, "work": work, "fails": settings.get("breaks")}
        ranker = Step(content_key("train", "ranker"), "synthetic:train", told)
        if "learned" in attacks:
            steps[ranker.key] = ranker
        for seed in range(cells):
            told = {"seed": seed, "work": work, "rows": rows, **settings}
            trained = Step(content_key("train", seed), "synthetic:train", told)
            steps[trained.key] = trained
            goals = []
            for name in attacks:
                needs = (("target", trained.key),)
                if name == "learned":
                    needs += ((name, ranker.key),)
                key = content_key("attack", name, version, rows, needs)
                goals.append(key)
                steps[key] = Step(key, "synthetic:attack", {**told, "attack": name}, needs)
            columns = {"target": f"t{seed % 3}", "repetitions": seed}
            planned.append(PlannedCell(f"cell {seed}", f"c{seed}", columns, 1, tuple(goals)))
        goals = {key for cell in planned for key in cell.goals}
        artefacts = tuple(key for key in steps if key not in goals)
        return Plan(self.signature, self.settings, tuple(planned), artefacts, steps)


def run(out, cells, workers=2, **settings):
    """Run a synthetic study to its end."""
    return run_plan(
        Plans(cells, **settings), Path(out), EngineSettings(workers=workers), progress=False
    )


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]))
