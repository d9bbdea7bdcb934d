"""Steps that take milliseconds, for tests of everything around them: run, store, engines."""

import hashlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from modiva.studies.plan import Plan, PlannedCell, Step
from modiva.studies.run import EngineSettings, run_plan
from modiva.studies.spec import content_key

CELLS = 12


def _spin(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@dataclass(frozen=True)
class Train:
    """Leaves "weights" that are a function of the seed."""

    seed: int
    work: float
    fails: str | None = None
    kind = "train"

    def __call__(self, context):
        if self.fails and Path(self.fails).exists():
            raise RuntimeError("this target does not train")
        _spin(self.work)
        weights = hashlib.sha512(str(self.seed).encode()).digest() * 8
        (context.out / "model").mkdir()
        (context.out / "model" / "weights").write_bytes(weights)
        (context.out / "facts.txt").write_text(str(self.seed))
        return []


@dataclass(frozen=True)
class Attack:
    """Measures rows that are a function of the weights and the attack."""

    attack: str
    seed: int
    work: float
    rows: int
    dies: str | None = None
    kind = "attack"

    def __call__(self, context):
        if self.dies and not Path(self.dies).exists():
            Path(self.dies).write_text("once")
            os.kill(os.getpid(), 9)
        _spin(self.work)
        weights = (context.inputs["target"] / "model" / "weights").read_bytes()
        digest = hashlib.sha256(weights + self.attack.encode()).digest()
        return [
            {
                "attack": self.attack,
                "model_seed": self.seed,
                "secret": f"{byte:03d}",
                "exact": byte % 2,
                "exposure": byte / 7,
                "epsilon": None if self.seed % 2 else 1.5,
            }
            for byte in digest[: self.rows]
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
        fit = Train(cells, work, settings.get("breaks"))
        ranker = Step(content_key("train", "ranker"), fit)
        if "learned" in attacks:
            steps[ranker.key] = ranker
        for seed in range(cells):
            job = Train(seed, work, settings.get("fails"))
            trained = Step(content_key("train", seed), job)
            steps[trained.key] = trained
            goals = []
            for name in attacks:
                needs = (("target", trained.key),)
                if name == "learned":
                    needs += ((name, ranker.key),)
                key = content_key("attack", name, version, rows, needs)
                goals.append(key)
                measure = Attack(name, seed, work, rows, settings.get("dies"))
                steps[key] = Step(key, measure, needs)
            columns = {"target": f"t{seed % 3}", "repetitions": seed}
            planned.append(PlannedCell(f"cell {seed}", f"c{seed}", columns, 1, tuple(goals)))
        goals = {key for cell in planned for key in cell.goals}
        artefacts = tuple(key for key in steps if key not in goals)
        return Plan(self.signature, self.settings, tuple(planned), artefacts, steps)


def run(out, cells, engine="debug", **settings):
    """Run a synthetic study to its end."""
    engine = EngineSettings(engine, workers=2)
    return run_plan(Plans(cells, **settings), Path(out), engine, progress=False)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), "local")
