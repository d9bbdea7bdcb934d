"""The steps `groups` and `names`: how the targets of one step do on groups of test sentences."""

from dataclasses import dataclass
from pathlib import Path

from modiva.condition import Condition
from modiva.fairness import groups, names
from modiva.studies.engines.task import Context, Rows
from modiva.studies.steps.rows import model_row, plain
from modiva.training import (
    Prepared,
    evaluate,
    load_corpus,
    load_ledgers,
    load_targets,
    prepare,
    prepare_process,
)


@dataclass(frozen=True)
class GroupsJob:
    """Groups of test sentences, by one or several groupings.

    Args:
        kind: "groups" gives one row per model, group and intent, "names" one per model.
        condition: of the targets.
        fingerprint: of the corpus that the study was planned with.
        groupings: their names.
        columns: of the corpus, whose values are groups too.
    """

    kind: str
    condition: Condition
    fingerprint: str
    groupings: tuple[str, ...]
    columns: tuple[str, ...] = ()

    def __call__(self, context: Context) -> Rows:
        """Classify every group by every model."""
        prepare_process()
        corpus = load_corpus(self.condition.corpus, self.columns)
        prepared = prepare(self.condition, corpus=corpus, fingerprint=self.fingerprint)
        asked = {name: groups.grouped(name, corpus) for name in (*self.groupings, *self.columns)}
        folder = context.inputs["target"]
        if self.kind == "names":
            return self._names(prepared, folder, asked["name"], context.device)
        rows = []
        targets = load_targets(folder, context.device)
        for target, ledger in zip(targets, load_ledgers(folder), strict=True):
            classifier = target.classifier
            model = model_row(prepared, target, ledger)
            named: dict[int, str] = classifier.model.config.id2label or {}  # type: ignore[assignment]
            for name, sentences in asked.items():
                likeliest = evaluate.probabilities(
                    classifier, [one[:2] for one in sentences]
                ).argmax(-1)
                predicted = [named[index] for index in likeliest.tolist()]
                rows += groups.group_rows(model, name, sentences, predicted)
        return plain(rows)

    def _names(
        self, prepared: Prepared, folder: Path, sentences: list[groups.Grouped], device: str
    ) -> Rows:
        targets = list(load_targets(folder, device))
        classifiers = [target.classifier for target in targets]
        told = names.status_models(self.condition, prepared.corpus, classifiers, device)
        several = zip(targets, load_ledgers(folder), classifiers, told, strict=True)
        return plain(
            names.name_row(model_row(prepared, target, ledger), own, *status, sentences)
            for target, ledger, own, status in several
        )
