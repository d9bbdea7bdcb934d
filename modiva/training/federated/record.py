"""What was sent in the rounds that an attacker may look into, kept in files.

ROUNDS/rounds.json              of each round: which update is of the device of which canary
ROUNDS/round-7.safetensors      global/NAME, aggregate/NAME and update-CLIENT/NAME
ROUNDS/state.safetensors        where an interrupted run goes on; none in a finished one
"""

import copy
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from modiva.errors import ModivaError
from modiva.files import write_json
from modiva.handling import Seen
from modiva.training.federated.server import Weights

INDEX_FILE, STATE_FILE = "rounds.json", "state.safetensors"


@dataclass(frozen=True)
class Device:
    """The device of a canary.

    Args:
        holders: devices that have copies of it.
        share: of all training sentences, that it has.
        rounds: in which it took part.
        sampling_rate: probability with which it takes part in a round, at most.
    """

    holders: int
    share: float
    rounds: int
    sampling_rate: float


class Rounds:
    """The rounds of a federated run that an attacker may look into.

    Args:
        folder: where they are; None keeps them in a temporary one as long as this lives.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="modiva-rounds-")
        self.folder = Path(self._temporary.name) if self._temporary else Path(folder or "")
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def index(self) -> dict[int, dict[str, int]]:
        """Of each round that is kept, the device whose update an attacker looks at, by canary."""
        path = self.folder / INDEX_FILE
        kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return {int(number): devices for number, devices in kept.items()}

    def add(self, round_: int, parts: Mapping[str, Weights], devices: Mapping[str, int]) -> None:
        """Keep a round.

        Args:
            round_: its number, from 1.
            parts: weights by name of "global", and updates of "aggregate" and "update-CLIENT".
            devices: by canary, the client whose update an attacker looks at.
        """
        _save(self._file(round_), _flat(parts))
        write_json(self.folder / INDEX_FILE, {**self.index, round_: dict(devices)})

    def _file(self, round_: int) -> Path:
        return self.folder / f"round-{round_}.safetensors"

    def state(self, run: str) -> tuple[dict[str, Weights], dict[str, Any]] | None:
        """Return the tensors and facts of an interrupted run; None where it was another run.

        Args:
            run: all that decides it, as text.
        """
        path = self.folder / STATE_FILE
        if not path.is_file():
            return None
        with safe_open(path, "pt") as file:
            facts = json.loads(file.metadata()["facts"])
        return (_nested(load_file(path)), facts) if facts["run"] == run else None

    def interrupted(self, parts: Mapping[str, Weights], facts: Mapping[str, Any]) -> None:
        """Keep where a run goes on after an interruption."""
        _save(self.folder / STATE_FILE, _flat(parts), {"facts": json.dumps(facts)})

    def start(self) -> None:
        """Remove what another run left."""
        for path in (*self.folder.glob("*.safetensors"), self.folder / INDEX_FILE):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Remove the state: there is nothing to go on with."""
        (self.folder / STATE_FILE).unlink(missing_ok=True)

    def copy_to(self, folder: Path) -> None:
        """Copy the rounds into a new folder."""
        shutil.copytree(self.folder, folder)

    def views(
        self, final: PreTrainedModel, canary: str, seen: Seen
    ) -> Iterator[tuple[PreTrainedModel, PreTrainedModel]]:
        """Yield the weights before and after each step that an attacker sees.

        Args:
            final: the model that training ended with.
            canary: whose device is looked at; one that never took part shows the update of another
                device.
            seen: "update" are the local models of the device, "aggregate" the averages of the
                rounds in which it took part, "rounds" all global models.

        Raises:
            ModivaError: every global model, of a training that did not keep them.
        """
        numbers = [n for n, devices in self.index.items() if seen == "rounds" or canary in devices]
        for number in numbers:
            parts = _nested(load_file(self._file(number)))
            before = parts["global"]
            if seen != "rounds":
                device = self.index[number][canary]
                moved = parts["aggregate" if seen == "aggregate" else f"update-{device}"]
                after = {name: value + moved[name] for name, value in before.items()}
            elif self._file(number + 1).is_file():
                after = _nested(load_file(self._file(number + 1)))["global"]
            elif number == max(numbers):
                after = {name: final.state_dict()[name] for name in before}
            else:
                raise ModivaError(
                    "the global models of the rounds were not kept: train with --seen rounds"
                )
            yield _with(final, before), _with(final, after)


def _with(model: PreTrainedModel, weights: Weights) -> PreTrainedModel:
    """Copy a model, with some weights replaced."""
    found = copy.deepcopy(model)
    found.load_state_dict(weights, strict=False)
    return found


def _flat(parts: Mapping[str, Weights]) -> Weights:
    return {
        f"{part}/{name}": value.contiguous()
        for part, weights in parts.items()
        for name, value in weights.items()
    }


def _nested(tensors: Weights) -> dict[str, Weights]:
    """Group tensors by part; each lies where a freshly trained weight does (see `load_targets`)."""
    parts: dict[str, Weights] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = value.clone()
    return parts


def _save(path: Path, tensors: Weights, metadata: dict[str, str] | None = None) -> None:
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata)
    partial.replace(path)
