"""About how long a cell takes, for `--dry-run` and for running the longest steps first.

The constants are medians over the cells of the runs in results/ on one core of a server CPU (2026);
private training is scaled by what stacks save, that of lstm-char and transformer from steps alone.
They order cells well and are right within a factor of two or so on other machines.
"""

from modiva.condition import Condition
from modiva.handling import Federated, Seen
from modiva.studies.spec import Cell

# Seconds a model for 1,000 training sentences at the default epochs, small size: ordinary, private.
_TRAINING = {
    "cnn": (0.55, 1.6),
    "lstm": (0.9, 2.3),
    "lstm-char": (2.1, 6.0),
    "transformer": (0.75, 2.2),
    "minilm": (110.0, 14.0),  # privately the head alone: the encoder runs twice
}
# Time of a step by the method of private training, over that of "dp".
_METHODS = {"dp": 1.0, "edp": 3.8, "loop": 38.0}  # these train alone
_FULL_SIZE = 4.0  # size "full" against "small"
_DEFAULT_SENTENCES = 9_000
_DEFAULT_PASSES = 2  # of ordinary training that cost as much as one over clients side by side
# Ranking the candidates of the weights before and after a round, over one ordinary attack.
_ROUND_ATTACK = 15.0
# Seconds to attack and rank one canary with one attack.
_ATTACK = {"cnn": 0.1, "lstm": 0.2, "lstm-char": 0.3, "transformer": 0.15, "minilm": 25.0}

_INFERENCE = 5e-4  # seconds to infer one record in one model


def estimate_seconds(cell: Cell) -> float:
    """Estimate the seconds that `cell` takes on one core, roughly."""
    attacks = estimate_attack(cell.condition, cell.seen) * len(cell.attacks)
    training = estimate_training(cell.condition)
    # The models of a pool hold half of the sentences.
    return cell.models * (training + attacks) + cell.membership * training / 2


def estimate_training(condition: Condition) -> float:
    """Estimate the seconds to train one target of a condition."""
    ordinary, private = _TRAINING.get(condition.target, _TRAINING["minilm"])
    sentences = condition.sentences or _DEFAULT_SENTENCES
    sentences += sum(condition.copies)
    if isinstance(condition.training, Federated):
        share = condition.training.per_round / condition.training.clients
        sentences = int(sentences * share * condition.training.rounds) // _DEFAULT_PASSES
    rate = private * _METHODS[condition.privacy.method] if condition.privacy else ordinary
    training = rate * sentences / 1000
    if condition.size == "full" and condition.target in _TRAINING and condition.target != "minilm":
        training *= _FULL_SIZE
    return training


def estimate_attack(condition: Condition, seen: Seen = "final") -> float:
    """Estimate the seconds for one attack on one target of a condition."""
    rounds = 1.0
    if isinstance(condition.training, Federated) and seen != "final":
        rounds = _ROUND_ATTACK * condition.training.rounds
        if seen != "rounds":
            rounds *= condition.training.per_round / condition.training.clients
    return rounds * _ATTACK.get(condition.target, _ATTACK["minilm"]) * len(condition.patterns)


def estimate_inference(pool: Cell) -> float:
    """Estimate the seconds to infer the members of a pool: its models read all of its records."""
    sentences = pool.condition.sentences or _DEFAULT_SENTENCES
    return pool.models * sentences * _INFERENCE
