"""What a study costs beside its work: a cell's share of engine, store and keys, and reading it all.

    python tests/benchmarks/bench_studies.py [--cells 1000] [--large 100000]

Cells are synthetic: one training and one attack, which keep a core busy for a known time.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "modiva" / "studies"))

import synthetic

from modiva.studies.engines.task import Outcome
from modiva.studies.plan import Plan, PlannedCell, read_plan, save_plan
from modiva.studies.spec import content_key
from modiva.studies.store import Store

WORK = 0.02  # seconds of each of the two steps of a cell


def overhead(cells: int, workers: int) -> None:
    """A study of tiny cells against the same work divided by the workers."""
    with tempfile.TemporaryDirectory() as folder:
        times, cpu = {}, 0.0
        # Once without work: what is left is engine, store and keys on both cores.
        for work in (0.0, WORK):
            out = Path(folder) / f"work-{work}"
            started, before = time.perf_counter(), _cpu()
            synthetic.run(out, cells, workers, work=work, attacks=("a",), rows=10)
            times[work] = time.perf_counter() - started
            cpu = cpu or _cpu() - before
        started = time.perf_counter()
        synthetic.run(out, cells, workers, work=WORK, attacks=("a",), rows=10)
        again = time.perf_counter() - started
    ideal = cells * 2 * WORK / workers
    print(
        f"{cells} cells of {2000 * WORK:.0f} ms on {workers} workers: {times[WORK]:.1f} s, "
        f"{1000 * (times[WORK] - ideal) / cells:.1f} ms a cell more than the work alone "
        f"({ideal:.1f} s); without work {1000 * times[0.0] / cells:.1f} ms a cell, "
        f"{1000 * cpu / cells:.1f} ms of core time; "
        f"run again {again:.2f} s"
    )


def _cpu() -> float:
    """Core seconds of this process and of its workers that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def large(cells: int, rows_a_cell: int) -> None:
    """Fill a store; then tell its state and aggregate it, each in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.perf_counter()
        _fill(folder, cells, rows_a_cell)
        spent = time.perf_counter() - started
        size = (folder / "index.sqlite").stat().st_size
        print(
            f"{cells} cells, {cells * rows_a_cell} rows: filled in {spent:.0f} s, index "
            f"{size / 1e6:.0f} MB"
        )
        for task in (_status, _report):
            _measured(task, folder)


def _fill(folder: Path, cells: int, rows_a_cell: int) -> None:
    planned = []
    with Store(folder).locked() as store:
        for number in range(cells):
            key = content_key("cell", number)
            store.write("attack", Outcome(key, _rows(number, rows_a_cell), 0.05))
            columns = _columns(number)
            planned.append(PlannedCell(f"cell {number}", key, columns, 1, (key,)))
    save_plan(folder / "studies" / "self.json", Plan("benchmark", {}, tuple(planned)), ".")


def _columns(number: int) -> dict:
    """The grid: 1,000 conditions, the rest are seeds."""
    return {
        "corpus": ("snips", "hwu64")[number % 2],
        "target": ("cnn", "lstm", "lstm-char", "transformer", "minilm")[number // 2 % 5],
        "size": "small",
        "defense": ("none", "dropout", "early-stopping", "dp", "edp")[number // 10 % 5],
        "noise_multiplier": (0.0, 0.5, 1.0, 2.0)[number // 50 % 4],
        "repetitions": (1, 3, 10, 30, 100)[number // 200 % 5],
    }


def _rows(number: int, count: int) -> list[dict]:
    """Rows with the columns of real ones."""
    return [
        {
            "attack": "coordinate", **_columns(number), "sentences": 1000, "epsilon": 3.4,
            "delta": 1e-5, "group_epsilon": 11.2, "pattern": "call", "length": 4,
            "model_seed": number, "canary": f"call-{place // 2}", "label": "PlayMusic",
            "objective": "loss", "test_accuracy": 0.9 - number % 7 / 100,
            "majority_accuracy": 0.15, "epochs": 12, "evaluations": 120, "seconds": 0.01,
            "reconstruction": f"{number % 10} 1 2 {place}", "space_size": 10_000,
            "slot_sizes": "10 10 10 10", "planted": int(place % 2 == 0), "control": place % 2,
            "secret": f"{number % 10} 1 2 {place % 3}", "exact": int(place % 3 == 0),
            "hamming": place % 4, "position_accuracy": 1 - place % 4 / 4,
            "position_hits": "1101", "multiset": 0, "top10": place % 2,
            "rank": 1 + (number * 37 + place) % 10_000, "ranked": 10_000,
            "exposure": (number + place) % 13 + 0.5,
        }
        for place in range(count)
    ]  # fmt: skip


def _status(folder: Path) -> str:
    from modiva.studies.results import finished_steps

    found = read_plan(folder / "studies" / "self.json")
    assert found
    finished = finished_steps(Store(folder))
    return f"status of {sum(finished.issuperset(c.goals) for c in found[0].cells)} cells"


def _report(folder: Path) -> str:
    from modiva.measure import summarise
    from modiva.measure.columns import CONDITIONS, PRIVACY, RATES
    from modiva.studies.frame import study_frame

    found = read_plan(folder / "studies" / "self.json")
    assert found
    others = ("hamming", "exposure", "length", "space_size", "test_accuracy", "majority_accuracy")
    columns = (*CONDITIONS, *RATES, *PRIVACY, *others, "model_seed")
    started = time.perf_counter()
    frame = study_frame(Store(folder), found[0], columns)
    read = time.perf_counter() - started
    groups = summarise(frame)
    return f"report: {len(frame)} rows read in {read:.1f} s, {len(groups)} groups"


def _measured(task, folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measure, args=(task.__name__, folder, queue))
    process.start()
    print(queue.get())
    process.join()


def _measure(name: str, folder: Path, queue) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    text = globals()[name](folder)
    spent, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    queue.put(f"{text}, {spent:.1f} s in all ({cpu:.1f} s of a core), at most {peak:.0f} MiB")


def main() -> None:
    """Run both benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", type=int, default=1000, help="tiny cells; 0 skips them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--large", type=int, default=100_000, help="cells to read; 0 skips them")
    parser.add_argument("--rows", type=int, default=10, help="rows a cell of those")
    arguments = parser.parse_args()
    if arguments.cells:
        overhead(arguments.cells, arguments.workers)
    if arguments.large:
        large(arguments.large, arguments.rows)


if __name__ == "__main__":
    main()
