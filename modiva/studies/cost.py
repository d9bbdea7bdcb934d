"""About how long a cell takes, for `--dry-run` and for running the longest cells first.

The constants are medians measured with `modiva audit` on one core of a server CPU (2026): they
order cells well and are right within a factor of two or so on other machines.
"""

from modiva.studies.spec import Cell

# Seconds a model for 1,000 training sentences at the default epochs, small size: ordinary, private.
_TRAINING = {
    "cnn": (0.5, 2.0),
    "lstm": (1.5, 6.0),
    "lstm-char": (2.0, 8.0),
    "transformer": (1.0, 5.0),
    "minilm": (60.0, 200.0),
}
_FULL_SIZE = 4.0  # size "full" against "small"
_DEFAULT_SENTENCES = 9_000
# Seconds to attack and rank one canary with one attack.
_ATTACK = {"cnn": 0.5, "lstm": 0.9, "lstm-char": 0.9, "transformer": 1.0, "minilm": 40.0}


def estimate_seconds(cell: Cell) -> float:
    """Seconds that `cell` takes on one core, roughly."""
    ordinary, private = _TRAINING.get(cell.target, _TRAINING["minilm"])
    sentences = cell.sentences or _DEFAULT_SENTENCES
    sentences += cell.repetitions * len(cell.pattern)
    training = (private if cell.private else ordinary) * sentences / 1000
    if cell.size == "full" and cell.target in _TRAINING and cell.target != "minilm":
        training *= _FULL_SIZE
    attack = _ATTACK.get(cell.target, _ATTACK["minilm"]) * len(cell.pattern) * len(cell.attack)
    return cell.models * (training + attack)
