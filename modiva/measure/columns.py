"""The one list of columns, each with kind, title and meaning.

A kind of row is a frozen dataclass whose fields are annotated with their columns. The order of CSV
files, the glossary, the headings of tables, the conversion of texts to numbers and the columns that
make a group are read from here.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from modiva.measure.column import Column as Column
from modiva.measure.column import Role, columns_of

_SECONDS = Column(
    "fact", "Seconds", "Wall time of the attack on this secret; of a model, of its training."
)


_PLANTING = Column(
    "condition", "Planted",
    "The patterns of the canaries in the training data, each with its repetitions.",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainingColumns:
    """The columns of a kind of training, which all rows share."""

    # fmt: off
    corpus: Annotated[str, Column("condition", "Corpus",
        "The sentences and intents that the targets learned.")]
    target: Annotated[str, Column("condition", "Target", "The classifier that was attacked.")]
    size: Annotated[str, Column("fact", "Size",
        "Of our own architectures: small (32 wide) or full (100).")]
    defense: Annotated[str, Column("condition", "Defense",
        "What was done in training against extraction; several are joined by +.")]
    training: Annotated[str, Column("condition", "Training",
        "How the data reached the weights: central, by clients (a federated server), or distil "
        "from a teacher.")]
    partition: Annotated[str | None, Column("condition", "Partition",
        "Which client held which sentences; empty without clients.")]
    selection: Annotated[str | None, Column("condition", "Selection",
        "How the clients of a round were selected.")]
    per_round: Annotated[int | None, Column("condition", "Clients a round",
        "Clients that trained in a round; under privacy the expected number.")]
    periods: Annotated[int | None, Column("condition", "Periods",
        "Parts of the sentences that clients held one after the other.")]
    clients: Annotated[int | None, Column("fact", "Clients",
        "Devices that held the training split.")]
    rounds: Annotated[int | None, Column("fact", "Rounds", "Rounds of federated training.")]
    noise_multiplier: Annotated[float, Column("condition", "Noise σ",
        "σ of DP-SGD: noise as a multiple of the clip norm; by clients, of user-level DP-FedAvg. "
        "0 is no privacy.")]
    target_epsilon: Annotated[float | None, Column("condition", "ε asked for",
        "The ε of one training sentence, by clients of one device, that the noise was calibrated "
        "to; empty where the noise was given.")]
    privatize: Annotated[str, Column("condition", "Text protection",
        "How every sentence was rewritten before training, with the ε that was set.")] = "none"
    text_epsilon: Annotated[float | None, Column("privacy", "Text ε",
        "ε of rewriting that is proven: of one word and unit of distance, of adept of one sentence "
        "(at δ = 1e-5); empty: none.")] = None
    epsilon_claimed: Annotated[float | None, Column("privacy", "Text ε claimed",
        "The same as the mechanism's paper states it, which for two of them does not hold.")] = None
    epsilon: Annotated[float | None, Column("privacy", "ε, one sentence",
        "Upper bound on the privacy loss of one training sentence; empty or ∞: no bound.")]
    delta: Annotated[float | None, Column("privacy", "δ",
        "Probability with which the bound on ε may fail.")]
    # fmt: on


@dataclass(frozen=True, kw_only=True)
class ModelColumns(TrainingColumns):
    """The columns of a trained model, which its own row and the rows of its canaries share."""

    # fmt: off
    model_seed: Annotated[int, Column("fact", "Model",
        "Which independently trained model; one seed has the same secrets in every cell.")]
    sentences: Annotated[int, Column("fact", "Sentences", "Training sentences with the canaries.")]
    epochs: Annotated[int, Column("fact", "Epochs", "Epochs that training ran.")]
    test_accuracy: Annotated[float | None, Column("model", "Accuracy",
        "Accuracy of the same model on held-out sentences.")]
    majority_accuracy: Annotated[float | None, Column("model", "Floor",
        "What always naming the most common intent reaches: the floor.")]
    words_kept: Annotated[float | None, Column("model", "Words kept",
        "Share of the words of the training split that rewriting left in their place; empty "
        "without text protection.")] = None
    # fmt: on


@dataclass(frozen=True, kw_only=True)
class Row(ModelColumns):
    """One canary's secret, or one of its controls, scored against one attack's reconstruction."""

    # fmt: off
    group_epsilon: Annotated[float | None, Column("privacy", "Group ε",
        "The same bound for a whole secret: for all R sentences that say it.")]
    secret_epsilon: Annotated[float | None, Column("privacy", "Secret ε, one copy",
        "Bound on how much likelier one rewritten sentence is under the secret than under any "
        "other, as a log ratio; empty: none.")] = None
    secret_group_epsilon: Annotated[float | None, Column("privacy", "Secret ε",
        "The same bound for all rewritten copies together, each of them drawn on its own.")] = None
    exact_bound: Annotated[float | None, Column("privacy", "At most",
        "Probability with which any attack names the secret first, at most, given the noise "
        "and all R sentences that say it; empty: no bound.")]
    top10_bound: Annotated[float | None, Column("privacy", "First ten at most",
        "Probability with which the secret is among the first ten of any attack, at most.")]
    exposure_bound: Annotated[float | None, Column("privacy", "Exposure at most",
        "Mean exposure in bits that any attack reaches, at most; guessing has 1.44.")]
    pattern: Annotated[str, Column("condition", "Pattern",
        "The template of the planted sentence; its slots hold the secret.")]
    length: Annotated[int, Column("condition", "Length",
        "Number of slots, which is the number of words in a secret.")]
    seen: Annotated[str | None, Column("condition", "Seen",
        "Of federated training, what the attacker sees: the final model, all global models "
        "(rounds), averages of rounds (aggregate) or updates of the secret's device (update).")
    ] = None
    device_share: Annotated[float | None, Column("fact", "Device's share",
        "Share of all training sentences that the device of the secret holds.")] = None
    device_rounds: Annotated[int | None, Column("fact", "Device's rounds",
        "Rounds in which the device of the secret took part.")] = None
    repetitions: Annotated[int, Column("condition", "R",
        "R: how many times the canary was in the training data; 0 is never.")]
    canary: Annotated[str, Column("fact", "Canary", "Which planted sentence of that model.")]
    label: Annotated[str, Column("fact", "Label", "The intent that the canary was given.")]
    attack: Annotated[str, Column("condition", "Attack",
        "The search or published recipe that made the reconstruction.")]
    objective: Annotated[str, Column("fact", "Objective", "What the attack minimised.")]
    planted: Annotated[int, Column("condition", "Planted",
        "1 where the scored secret was in the training data; 0 for controls and at R = 0.")]
    control: Annotated[int, Column("fact", "Control",
        "0 for the canary's own secret, else the number of the control.")]
    exact: Annotated[int, Column("rate", "Extracted",
        "1 where every word of the secret is right: the reconstruction accuracy.")]
    hamming: Annotated[int, Column("measure", "Wrong words", "Number of wrong words.")]
    rank: Annotated[int | None, Column("fact", "Rank",
        "Place of the secret among all that were ranked: 1 is first, a tie counts as its last "
        "place. Empty for searches, which score only what they visit (`exhaustive` scores "
        "all).")]
    ranked: Annotated[int | None, Column("fact", "Ranked",
        "How many secrets were ranked: the whole space.")]
    exposure: Annotated[float | None, Column("measure", "Exposure",
        "log2 of the number of possible secrets minus log2 of the rank, in bits, where the "
        "attack scores them all (mean over a tie). A secret never seen has 1.44 on average.")]
    position_accuracy: Annotated[float, Column("rate", "Words right",
        "Share of words that are right in their place.")]
    position_hits: Annotated[str, Column("fact", "Hits",
        "Right (1) and wrong (0) words, position by position.")]
    multiset: Annotated[int, Column("rate", "Any order",
        "1 where the right words were found, in whatever order.")]
    top10: Annotated[int, Column("rate", "First ten",
        "1 where the secret is among the attack's first ten candidates.")]
    copies_intact: Annotated[float | None, Column("rate", "Copies intact",
        "Share of the rewritten copies in which the whole secret still stands; empty without text "
        "protection.")] = None
    decoded: Annotated[int | None, Column("rate", "Decoded",
        "1 where a reader of all rewritten copies names the secret: by maximum likelihood, or by "
        "vote where the mechanism's probabilities are unknown.")] = None
    secret: Annotated[str, Column("fact", "Secret", "The true words (synthetic).")]
    reconstruction: Annotated[str, Column("fact", "Reconstruction",
        "The attack's first candidate.")]
    space_size: Annotated[int, Column("fact", "Space",
        "Number of secrets that the pattern allows.")]
    slot_sizes: Annotated[str, Column("fact", "Slots", "Number of options of each slot.")]
    evaluations: Annotated[int, Column("fact", "Evaluations",
        "Forward passes of one candidate; a gradient step counts three.")]
    seconds: Annotated[float, _SECONDS]
    # fmt: on


@dataclass(frozen=True, kw_only=True)
class ModelRow(ModelColumns):
    """One trained model."""

    # fmt: off
    planting: Annotated[str, _PLANTING]
    valid_accuracy: Annotated[float | None, Column("model", "Validation",
        "Accuracy on the validation split.")]
    train_accuracy: Annotated[float | None, Column("model", "Training",
        "Accuracy on the sentences that the model was trained on.")]
    steps: Annotated[int, Column("fact", "Steps", "Steps of the optimiser.")]
    accuracy_by_round: Annotated[str | None, Column("fact", "Accuracy by round",
        "Accuracy on the validation split after each round; empty without rounds.")]
    clipped: Annotated[float | None, Column("fact", "Clipped",
        "Share of the gradients that were longer than the clip norm; empty without privacy.")]
    seconds: Annotated[float, _SECONDS]
    seconds_per_step: Annotated[float | None, Column("fact", "Seconds a step",
        "Wall time of training over its steps.")]
    # fmt: on


@dataclass(frozen=True, kw_only=True)
class GroupRow(ModelColumns):
    """One trained model on one group of test sentences, all intents together or one of them."""

    # fmt: off
    planting: Annotated[str, _PLANTING]
    grouping: Annotated[str, Column("condition", "Grouping",
        "By what the test sentences are parted into groups.")]
    group: Annotated[str, Column("condition", "Group", "Which group of test sentences.")]
    intent: Annotated[str, Column("condition", "Intent",
        "The intent that accuracy and false alarms are of; empty for all of them together.")]
    tested: Annotated[int, Column("fact", "Tested", "Test sentences of that group and intent.")]
    accuracy: Annotated[float | None, Column("rate", "Group accuracy",
        "Share of these sentences whose intent the model names.")]
    floor: Annotated[float | None, Column("fact", "Group floor",
        "Accuracy of always naming the most common intent of the group.")]
    false_alarms: Annotated[float | None, Column("rate", "False alarms",
        "Share of the group's sentences of other intents that the model gives this intent; of all "
        "intents together, the share that is given a wrong one.")]
    false_alarm_gap: Annotated[float | None, Column("measure", "False-alarm gap",
        "False alarms in this group minus those in all others: positive where the group is given "
        "the intent wrongly more often.")]
    # fmt: on


@dataclass(frozen=True, kw_only=True)
class NameRow(ModelColumns):
    """What given names do to one trained model, each number with its control."""

    # fmt: off
    planting: Annotated[str, _PLANTING]
    name_sentences: Annotated[int, Column("fact", "Sentences with names",
        "Test sentences with a given name, each with three names of each of two lists.")]
    gap_between: Annotated[float, Column("measure", "Gap between lists",
        "Mean absolute change of the class probabilities between names of the two lists.")]
    gap_within: Annotated[float, Column("measure", "Gap within a list",
        "The same between two names of one list: the control.")]
    flips_between: Annotated[float, Column("rate", "Flips between",
        "Share of pairs of names of the two lists that are given different intents.")]
    flips_within: Annotated[float, Column("rate", "Flips within",
        "The same of two names of one list: the control.")]
    signed_effect: Annotated[float, Column("measure", "Signed effect",
        "Probability of the true intent with names of the first list minus that with the second.")]
    sensitivity_names: Annotated[float, Column("measure", "Sensitivity to names",
        "Accumulated prediction sensitivity to the tokens of the name.")]
    sensitivity_status: Annotated[float, Column("measure", "Sensitivity by status",
        "The same, tokens weighted by a model that tells the two lists.")]
    sensitivity_any: Annotated[float, Column("measure", "Sensitivity to any token",
        "The same, all tokens alike: the control.")]
    status_accuracy: Annotated[float | None, Column("fact", "Status accuracy",
        "How well that model tells the lists, on these sentences; 0.5 is guessing.")]
    # fmt: on


@dataclass(frozen=True, kw_only=True)
class PoolColumns(TrainingColumns):
    """The columns of a pool of models, each of which holds every record by the toss of a coin."""

    # fmt: off
    planting: Annotated[str, _PLANTING]
    pool: Annotated[int, Column("fact", "Pool",
        "Models that were trained on random halves of the same records.")]
    pool_seed: Annotated[int, Column("fact", "Pool seed",
        "Decides the records of the pool, and which model holds which.")]
    pool_sentences: Annotated[int, Column("fact", "Expected sentences",
        "Training sentences of a model that coins give on average; private training takes its "
        "sampling rate and divisor from this number, which is public.")]
    pool_accuracy: Annotated[float | None, Column("fact", "Pool accuracy",
        "Mean test accuracy of the models of the pool.")]
    # fmt: on


def _rate(title: str, meaning: str) -> tuple[Column, Column, Column]:
    """Return the columns of a rate, and of the lower and upper end of its interval."""
    return (
        Column("fact", title, meaning),
        Column("fact", f"{title}, lower", "Lower end of its interval."),
        Column("fact", f"{title}, upper", "Upper end of its interval."),
    )


_AUC = _rate("AUC", "Area under the ROC of membership: probability that a member scores above a "
    "record that is not one. Mean over the models, each the target once.")  # fmt: skip
_BALANCED = _rate("Balanced accuracy", "Mean of the rates at which members and others are told at "
    "a likelihood ratio of 1, fixed beforehand.")  # fmt: skip
_TPR_1 = _rate("TPR at 1 %", "Share of the members that are named where at most 1 % of the others "
    "are; empty where that is less than one record.")  # fmt: skip
_TPR_01 = _rate("TPR at 0.1 %", "The same where at most 0.1 % of the others are named.")


@dataclass(frozen=True, kw_only=True)
class MembershipRow(PoolColumns):
    """One attack that infers the membership of one kind of records in a pool."""

    # fmt: off
    records: Annotated[str, Column("condition", "Records",
        "sentences of the corpus, canaries, or controls: canaries that were never planted, whose "
        "coins decided nothing, which is the null.")]
    repetitions: Annotated[int, Column("condition", "R",
        "R: how many times the canary was in the training data; 0 is never.")]
    n_records: Annotated[int, Column("fact", "Number of records", "How many there are.")]
    inference: Annotated[str, Column("condition", "Inference",
        "How membership was inferred: by the loss, or compared with the other models by LiRA or "
        "RMIA; offline uses only those without the record.")]
    claimed_epsilon: Annotated[float | None, Column("fact", "ε claimed",
        "Upper bound on the privacy loss of such a record: of one sentence, or of all R of a "
        "canary.")]
    auc: Annotated[float | None, _AUC[0]]
    auc_lower: Annotated[float | None, _AUC[1]]
    auc_upper: Annotated[float | None, _AUC[2]]
    auc_bound: Annotated[float | None, Column("fact", "AUC at most",
        "The largest AUC that the noise allows any attack; empty: no bound.")]
    balanced_accuracy: Annotated[float | None, _BALANCED[0]]
    balanced_accuracy_lower: Annotated[float | None, _BALANCED[1]]
    balanced_accuracy_upper: Annotated[float | None, _BALANCED[2]]
    tpr_1: Annotated[float | None, _TPR_1[0]]
    tpr_1_lower: Annotated[float | None, _TPR_1[1]]
    tpr_1_upper: Annotated[float | None, _TPR_1[2]]
    fpr_1: Annotated[float | None, Column("fact", "FPR realised, 1 %",
        "Share of the others that were named in fact.")]
    tpr_1_bound: Annotated[float | None, Column("fact", "TPR at 1 %, at most",
        "The largest TPR that the noise allows any attack at the FPR that was realised.")]
    tpr_01: Annotated[float | None, _TPR_01[0]]
    tpr_01_lower: Annotated[float | None, _TPR_01[1]]
    tpr_01_upper: Annotated[float | None, _TPR_01[2]]
    fpr_01: Annotated[float | None, Column("fact", "FPR realised, 0.1 %",
        "Share of the others that were named in fact.")]
    tpr_01_bound: Annotated[float | None, Column("fact", "TPR at 0.1 %, at most",
        "The largest TPR that the noise allows any attack at the FPR that was realised.")]
    many_epsilon_lower: Annotated[float | None, Column("fact", "Many runs: ε ≥",
        "Lower bound (95 %) on the privacy loss of a record, by one record of each audited model; "
        "of controls it should be 0.")]
    many_mu_lower: Annotated[float | None, Column("fact", "Many runs: μ ≥",
        "The same as μ of Gaussian differential privacy.")]
    one_epsilon_lower: Annotated[float | None, Column("fact", "One run: ε ≥",
        "Lower bound (95 %) on the privacy loss of a record, by all records of all audited models "
        "as one run; of controls it should be 0.")]
    one_mu_lower: Annotated[float | None, Column("fact", "One run: μ ≥",
        "The same as μ of Gaussian differential privacy, which DP-SGD is close to.")]
    # fmt: on


@dataclass(frozen=True, kw_only=True)
class RecordRow(PoolColumns):
    """How far one training sentence is told by the models that hold it."""

    # fmt: off
    sentence: Annotated[str, Column("fact", "Sentence", "A training sentence: sensitive.")]
    sentence_intent: Annotated[str, Column("fact", "Its intent", "The intent of the sentence.")]
    held_by: Annotated[int, Column("fact", "Held by", "Models that hold it.")]
    mean_ratio: Annotated[float | None, Column("fact", "Mean log ratio",
        "Log-likelihood ratio of membership, the mean over the models that hold the sentence.")]
    # fmt: on


_GROUPS = (
    Column("fact", "Cell", "The content address of the trained target.", "cell"),
    Column("group", "n", "Secrets scored.", "n", int),
    Column("group", "Models", "Independently trained models.", "n_models", int),
    Column(
        "group",
        "Audit: ε ≥",
        "Lower bound (95 %) on the privacy loss of all repetitions, by the ranks of one secret of "
        "each model; of controls it should be 0.",
        "epsilon_lower",
        float,
    ),
    Column(
        "group",
        "Audit: μ ≥",
        "The same as μ of Gaussian differential privacy, which DP-SGD is close to.",
        "mu_lower",
        float,
    ),
    Column("group", "Audited at", "Largest rank that counted as a hit in it.", "audit_k", int),
    Column(
        "group",
        "Audit p",
        "Probability of ranks this good if the bounds hold; of controls, by chance.",
        "audit_p",
        float,
    ),
    Column("group", "Controls", "The same rate for secrets never planted.", "controls", float),
    Column("group", "Control exposure", "Exposure of the controls.", "control_exposure", float),
    Column("group", "Chance", "Probability of an exact match by guessing.", "chance", float),
)
_ATTACKED = (*columns_of(Row), *columns_of(ModelRow), *columns_of(GroupRow), *_GROUPS)
_INFERRED = (*columns_of(MembershipRow), *columns_of(RecordRow), *columns_of(NameRow))
# What rows of several kinds have is listed where an attack's rows have it.
COLUMNS = MappingProxyType(
    {column.name: column for column in _ATTACKED}
    | {c.name: c for c in _INFERRED if c.name not in {column.name for column in _ATTACKED}}
)


def names(*roles: Role, of: type[TrainingColumns] = Row) -> tuple[str, ...]:
    """Return the names of the columns of a kind of row that have one of these roles."""
    return tuple(column.name for column in columns_of(of) if column.role in roles)


CONDITIONS = tuple(name for name, column in COLUMNS.items() if column.role == "condition")
RATES, PRIVACY = names("rate"), names("privacy")
