"""What can be checked of a study without its corpora, and mostly without PyTorch."""

import itertools
from pathlib import Path
from typing import Any, get_args

from canaries import load_patterns
from modiva.condition import NONE, Size, split_defense
from modiva.errors import ModivaError
from modiva.studies.identity import check_targets
from modiva.studies.spec import AuditSpec, Cell, Study

# Names that come with modiva: they need no check against the objects, which take seconds to load.
TARGETS = frozenset({"cnn", "lstm", "lstm-char", "transformer", "minilm"})
DEFENSES = frozenset(
    {"none", "dropout", "early-stopping", "char-embeddings", "head-only", "last-layers", "lora",
     "all-layers"}
)  # fmt: skip
ATTACKS = frozenset(
    {
        "relaxed", "gumbel", "coordinate", "beam", "exhaustive", "random",
        "parikh2022", "elmahdy2022", "gbda2021", "gcg2023",
        "contrast", "standardised", "alignment", "rows", "movement", "movement-gain", "match",
        "ranker", "ranker-initial", "traced", "traced-initial",
    }
)  # fmt: skip
OBJECTIVES = frozenset({"loss", "margin", "hinge"})
# Settings that rows of one group must have in common.
_POOLED = (
    "objective", "size", "sentences", "epochs", "learning_rate", "batch_size", "clip_norm",
    "label", "secrets", "share_valid", "clients", "rounds", "spread", "user_clip", "server_rate",
    "proximal", "temperature", "swaps", "word_space",
)  # fmt: skip


def check_names(spec: AuditSpec) -> None:
    """Raise on an unknown target, defense, objective or attack.

    Only names that do not come with modiva need PyTorch: an unknown one, a checkpoint's, or one
    that was registered.
    """
    if spec.patterns_file:
        load_patterns(Path(spec.patterns_file))
    _check_text(spec)
    defenses = [split_defense(defense)[0] for defense in spec.defense]
    if (
        spec.size in get_args(Size)
        and TARGETS.issuperset(spec.target)
        and DEFENSES.issuperset("+".join(defenses).split("+"))
        and ATTACKS.issuperset(spec.attacks)
        and spec.objective in OBJECTIVES
    ):
        return
    from attacks import get_attack
    from attacks.objectives import get_objective
    from modiva.classifiers import parse_target
    from modiva.training import resolve

    for target in spec.target:
        parse_target(target, spec.size)
    # One condition of each combination: the rest of it changes no name.
    for condition in {(c.target, c.defense): c for c in spec.conditions()}.values():
        resolve(condition)
    get_objective(spec.objective)
    for attack in spec.attacks:
        get_attack(attack)


def _check_text(spec: AuditSpec) -> None:
    """Raise on text protection that cannot work, or settings that none of it reads."""
    protected = [spelling for spelling in spec.privatize if spelling != NONE]
    of_sentences = [spelling for spelling in protected if spelling.startswith("adept")]
    if spec.autoencoder is not None and not of_sentences:
        raise ModivaError(
            f"--autoencoder {spec.autoencoder}: only adept and adept-published have one; give "
            "--privatize adept:50 with it, or leave it out"
        )
    if spec.word_space != AuditSpec.word_space and len(protected) == len(of_sentences):
        raise ModivaError(
            f"--word-space {spec.word_space}: only mechanisms of words have one; give --privatize "
            "tem:12 with it, or leave it out"
        )
    if protected:
        from modiva.training import textprivacy

        for spelling in protected:
            textprivacy.get_mechanism(
                spelling, word_space=spec.word_space, autoencoder=spec.autoencoder
            )


def check_grids(study: Study) -> None:
    """Raise on grids whose results would be pooled as if they were of more models, or alike.

    Raises:
        ModivaError: what differs, or what is measured twice.
    """
    for name in _POOLED:
        values = list(dict.fromkeys(getattr(grid, name) for grid in study.grids))
        if len(values) > 1:
            raise ModivaError(
                f"grids differ in {name} ({values[0]!r} and {values[1]!r}), which the results do "
                "not tell apart: make them studies of their own; with one --store they share what "
                "is equal"
            )
    measured: dict[Any, Cell] = {}
    for cell in study.cells():
        condition = cell.condition
        measured_as = (
            *(condition.corpus, condition.target, condition.protection, condition.privacy),
            *(condition.training, cell.seen),
        )
        copies = zip(condition.patterns, condition.copies, strict=True)
        for each in itertools.product(copies, cell.attacks or (None,)):
            other = measured.setdefault((measured_as, cell.seed, *each), cell)
            if other is not cell:
                raise ModivaError(
                    f"two grids measure {cell} seed {cell.seed} with pattern {each[0][0]} and "
                    f"attack {each[1]}, so its models would count twice: leave it out of one"
                )


def check_study(study: Study) -> None:
    """Check what can be checked of a study without its corpora.

    Raises:
        ModivaError, CanaryError, AttackError: an unknown name, or grids that do not go together.
    """
    for grid in study.grids:
        check_names(grid)
    check_targets([target for grid in study.grids for target in grid.target])
    check_grids(study)
