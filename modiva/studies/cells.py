"""One cell in memory, without store and engine: what the steps of a study must give bit for bit."""

import time

from modiva.studies.engines.task import Rows
from modiva.studies.spec import Cell
from modiva.studies.steps.attack import Tokenised, attack_target, named_attack
from modiva.studies.steps.planting import cell_patterns, load_corpus
from modiva.studies.steps.train import chunks, target_settings, train_targets


def run_cell(cell: Cell, device: str = "auto") -> tuple[Rows, dict[str, float]]:
    """Train, attack and score one cell; return its rows and the seconds of each phase."""
    started = time.perf_counter()
    corpus = load_corpus(cell.corpus)
    patterns = cell_patterns(cell, corpus)
    targets = [
        target
        for models in chunks(cell, *target_settings(cell))
        for target in train_targets(cell, corpus, patterns, models, device)
    ]
    trained = time.perf_counter()
    tokenised: Tokenised = {}
    rows = [
        row
        for target in targets
        for name in cell.attack
        for row in attack_target(
            cell, corpus, patterns, target, named_attack(name, cell.objective), tokenised
        )
    ]
    attacked = time.perf_counter()
    return rows, {"training": trained - started, "attacks": attacked - trained}
