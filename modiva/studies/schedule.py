"""Which step runs when: what nothing waits for, the longest first, artefacts only where needed."""

import heapq
import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from modiva.studies.engines.task import Engine, Outcome, Task
from modiva.studies.plan import Plan, Step, task_of
from modiva.studies.progress import Progress
from modiva.studies.store import Store

logger = logging.getLogger(__name__)

# Kind and first need of steps that are one task, and the key of one that is a task of its own.
Group = tuple[str, tuple[tuple[str, str], ...], str]


class Schedule:
    """The unfinished steps of a plan; one failing step does not stop the others."""

    def __init__(self, plan: Plan, store: Store, device: str) -> None:
        """Find out what is to be done.

        Args:
            plan: with its steps.
            store: locked; finished steps in it are not run again.
            device: "auto", "cpu" or "cuda".
        """
        self._plan, self._store, self._device = plan, store, device
        self.failed: dict[str, Path] = {}
        self.computed = 0
        self._finished = store.finished()
        self._intact: set[str] = set()
        self._seen: set[str] = set()
        self._order = {key: place for place, key in enumerate(plan.steps)}
        self._members: dict[Group, list[str]] = defaultdict(list)
        self._dependents: dict[str, list[Group]] = defaultdict(list)
        self._open: dict[Group, set[str]] = {}  # groups that wait, and the needs they wait for
        self._ready: list[tuple[bool, float, int, Group]] = []
        self._left = {
            number: {key for key in cell.goals if key not in self._finished}
            for number, cell in enumerate(plan.cells)
        }
        self._cells_of: dict[str, list[int]] = defaultdict(list)
        for number, keys in self._left.items():
            for key in keys:
                self._cells_of[key].append(number)
        self._want(self._cells_of)

    @property
    def reused(self) -> int:
        """Cells that need no work."""
        return sum(not keys for keys in self._left.values())

    def failed_cells(self) -> tuple[tuple[str, Path], ...]:
        """Return name and file of the error of every cell that failed."""
        return tuple(
            (cell.name, next(self.failed[key] for key in cell.goals if key in self.failed))
            for cell in self._plan.cells
            if any(key in self.failed for key in cell.goals)
        )

    def run(self, engine: Engine, progress: bool) -> None:
        """Run all that is to be done; `failed` and `computed` tell what came of it."""
        models = sum(cell.models for cell in self._plan.cells)
        done = sum(map(self._ended, range(len(self._plan.cells))))
        cost = sum(self._plan.steps[key].seconds for keys in self._members.values() for key in keys)
        running: dict[str, Group] = {}
        with engine, Progress(models, done, cost, progress) as bar:
            while self._ready or running:
                tasks = set(running.values())
                while self._ready and len(tasks) < engine.slots:
                    group = self._next()
                    if group is None:
                        continue
                    task = self._task(group)
                    engine.submit(task, self._inputs(task))
                    running |= dict.fromkeys((key for key, _ in task.steps), group)
                    tasks.add(group)
                bar.tick(len(tasks))
                for outcome in engine.wait(1.0) if running else []:
                    running.pop(outcome.key)
                    self._end(outcome, bar)

    def _want(self, keys: Iterable[str]) -> None:
        """Add steps, and the steps that they need and that are not finished."""
        todo, added = list(keys), []
        while todo:
            key = todo.pop()
            if key in self._seen:
                continue
            self._seen.add(key)
            step = self._plan.steps[key]
            group = self._group(step)
            if group not in self._open:
                self._open[group] = set()
                added.append(group)
            self._members[group].append(key)
            for _, need in step.needs:
                if group not in self._dependents[need]:
                    self._dependents[need].append(group)
                if need not in self._finished:
                    self._open[group].add(need)
                    todo.append(need)
        for group in added:
            self._members[group].sort(key=self._order.__getitem__)
            if not self._open[group]:
                self._push(group)

    def _group(self, step: Step) -> Group:
        """Group measurements of the same artefact; any other step is a group of its own."""
        together = step.needs and step.key in self._cells_of
        return step.kind, step.needs[:1], "" if together else step.key

    def _push(self, group: Group) -> None:
        """Queue a group that can run. What others wait for comes after what ends a cell."""
        steps = self._plan.steps
        cost = sum(steps[key].seconds for key in self._members[group])
        for key in self._members[group]:
            for later in self._dependents.get(key, ()):
                cost += sum(steps[each].seconds for each in self._members[later])
        heapq.heappush(self._ready, (not group[1], -cost, len(self._ready), group))

    def _next(self) -> Group | None:
        """Return the next group if what it needs is there; else queue its needs first."""
        *_, group = heapq.heappop(self._ready)
        missing = {key for _, key in self._task(group).needs if not self._is_intact(key)}
        if not missing:
            return group
        self._open[group] = missing
        self._finished -= missing
        self._want(missing)
        return None

    def _is_intact(self, key: str) -> bool:
        if key not in self._intact:
            # A folder that `gc` removed on purpose is no damage.
            if not self._store.artefact(key).is_dir() or not self._store.intact(key):
                self._store.discard(key)
                return False
            self._intact.add(key)
        return True

    def _task(self, group: Group) -> Task:
        return task_of([self._plan.steps[key] for key in self._members[group]], self._device)

    def _inputs(self, task: Task) -> dict[str, Path]:
        return {role: self._store.artefact(key) for role, key in task.needs}

    def _end(self, outcome: Outcome, bar: Progress) -> None:
        step = self._plan.steps[outcome.key]
        if outcome.disk is not None:
            raise OSError(*outcome.disk)
        if outcome.error is not None:
            path = self._fail(step.key, outcome.error, bar)
            logger.error("%s failed: see %s", self._name(step), path)
            return
        self._store.write(step.kind, outcome)
        self.computed += 1
        self._finished.add(step.key)
        self._intact.add(step.key)
        bar.worked(step.seconds)
        self._end_cells(step.key, bar)
        for group in self._dependents.get(step.key, ()):
            self._met(step.key, group)

    def _met(self, key: str, group: Group) -> None:
        """Note that a group need not wait for `key`; it can run once it waits for nothing."""
        if key in self._open[group]:
            self._open[group].discard(key)
            if not self._open[group] and self._members[group]:
                self._push(group)

    def _fail(self, key: str, error: str, bar: Progress) -> Path:
        """Mark a step as failed, and with it all that needs it."""
        if key not in self.failed:
            self.failed[key] = self._store.write_failure(key, error)
            bar.worked(self._plan.steps[key].seconds)
            self._end_cells(key, bar)
            for group in self._dependents.get(key, ()):
                members = self._members[group]
                lost = [one for one in members if key in dict(self._plan.steps[one].needs).values()]
                self._members[group] = [one for one in members if one not in lost]
                for dependent in lost:
                    self._fail(dependent, error, bar)
                self._met(key, group)
        return self.failed[key]

    def _end_cells(self, key: str, bar: Progress) -> None:
        for number in self._cells_of.get(key, ()):
            before = self._ended(number)
            self._left[number].discard(key)
            bar.ended(self._ended(number) - before)
            goals = self._plan.cells[number].goals
            if not self._left[number] and any(goal in self.failed for goal in goals):
                bar.cell_failed()

    def _ended(self, number: int) -> int:
        """Return how many models of a cell have ended: in proportion to its measurements."""
        cell = self._plan.cells[number]
        left = len(self._left[number])
        return cell.models * (len(set(cell.goals)) - left) // max(len(set(cell.goals)), 1)

    def _name(self, step: Step) -> str:
        """Return the first cell that a step is run for."""
        cells = self._cells_of.get(step.key) or [
            number
            for group in self._dependents.get(step.key, ())
            for key in self._members[group]
            for number in self._cells_of.get(key, ())
        ]
        return self._plan.cells[cells[0]].name if cells else step.key
