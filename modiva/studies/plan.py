"""The plan of a study: its cells, and the steps that they need, each with what it depends on."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modiva.files import write_text
from modiva.studies.engines.task import Job, Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One step.

    Args:
        key: content address: of its job, its data, its code and its inputs.
        job: what it computes.
        needs: the steps whose artefacts it reads, (role, key) each.
        seconds: about how long it takes on one core.
    """

    key: str
    job: Job
    needs: tuple[tuple[str, str], ...] = ()
    seconds: float = 1.0

    @property
    def kind(self) -> str:
        """The kind of its job."""
        return self.job.kind


@dataclass(frozen=True)
class PlannedCell:
    """One cell of a plan.

    Args:
        name: as progress and errors call it.
        key: tells it from all other cells of the plan.
        columns: columns of its rows that are its own, whichever cell the steps were run for.
        models: how many targets it trains.
        goals: keys of the steps that it is run for, in order: attacks, or training where there is
            none. The rows of attacks are its rows.
        trained: keys of the steps whose rows are its models.
    """

    name: str
    key: str
    columns: Mapping[str, Any]
    models: int
    goals: tuple[str, ...]
    trained: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The cells of a study and their steps.

    Args:
        signature: of what it was made from; another one needs another plan.
        settings: of the study, as plain JSON values.
        cells: in the order of the grid.
        artefacts: keys of the steps that only others need.
        steps: by key; empty in a plan that was read from its file.
    """

    signature: str
    settings: Mapping[str, Any]
    cells: tuple[PlannedCell, ...]
    artefacts: tuple[str, ...] = ()
    steps: Mapping[str, Step] = field(default_factory=dict)

    @property
    def goals(self) -> set[str]:
        """Keys of the steps that the study is run for."""
        return {key for cell in self.cells for key in cell.goals}

    def keys(self) -> set[str]:
        """Return the keys of all steps."""
        return self.goals | set(self.artefacts)


def save_plan(path: Path, plan: Plan, out: str, place: str = "") -> None:
    """Write what tells whether a study is finished, and which steps it uses.

    Args:
        path: the file.
        plan: of the study.
        out: the folder of its results, relative to the store.
        place: the same folder, absolute: one of the two leads there when either is moved.
    """
    content = json.dumps(
        {
            "out": out,
            "place": place,
            "signature": plan.signature,
            "settings": plan.settings,
            "cells": [[c.name, c.key, c.columns, c.models, c.goals, c.trained] for c in plan.cells],
            "artefacts": plan.artefacts,
        }
    )
    digest = hashlib.sha256(content.encode()).hexdigest()
    write_text(path, f"{digest}\n{content}\n")


def read_plan(path: Path) -> tuple[Plan, tuple[str, ...]] | None:
    """Read a file's plan, without steps, and places of its results; None if it is not whole."""
    try:
        digest, _, content = path.read_text(encoding="utf-8").partition("\n")
        content = content.removesuffix("\n")
        if hashlib.sha256(content.encode()).hexdigest() != digest:
            raise ValueError("checksum")
        record = json.loads(content)
        cells = tuple(
            PlannedCell(name, key, columns, models, tuple(goals), tuple(trained))
            for name, key, columns, models, goals, trained in record["cells"]
        )
        plan = Plan(record["signature"], record["settings"], cells, tuple(record["artefacts"]))
        return plan, tuple(filter(None, (record["out"], record.get("place"))))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        logger.warning("%s is damaged: the study is planned again", path)
        return None


def task_of(steps: list[Step], device: str) -> Task:
    """Join steps of one kind into one task, which needs what any of them needs."""
    return Task(
        steps=tuple((step.key, step.job) for step in steps),
        needs=tuple(dict.fromkeys(need for step in steps for need in step.needs)),
        device=device,
    )
