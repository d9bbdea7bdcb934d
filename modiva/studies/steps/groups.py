"""The step `groups`: how well the targets of one step do on groups of test sentences."""

from dataclasses import dataclass

from modiva.condition import Condition
from modiva.fairness import group_rows, grouped
from modiva.studies.engines.task import Context, Rows
from modiva.studies.steps.rows import model_row, plain
from modiva.training import (
    evaluate,
    load_corpus,
    load_ledgers,
    load_targets,
    prepare,
    prepare_process,
    resolve_device,
)


@dataclass(frozen=True)
class GroupsJob:
    """Groups of test sentences, by one or several groupings.

    Args:
        condition: of the targets.
        fingerprint: of the corpus that the study was planned with.
        groupings: their names.
        columns: of the corpus, whose values are groups too.
    """

    condition: Condition
    fingerprint: str
    groupings: tuple[str, ...]
    columns: tuple[str, ...] = ()
    kind = "groups"

    def __call__(self, context: Context) -> Rows:
        """Classify every group by every model; one row per model, group and intent."""
        prepare_process()
        corpus = load_corpus(self.condition.corpus, self.columns)
        prepared = prepare(self.condition, corpus=corpus, fingerprint=self.fingerprint)
        asked = {name: grouped(name, corpus) for name in (*self.groupings, *self.columns)}
        folder = context.inputs["target"]
        rows = []
        for target, ledger in zip(load_targets(folder), load_ledgers(folder), strict=True):
            classifier = target.classifier
            classifier.model.to(resolve_device(context.device))  # type: ignore[arg-type]
            model = model_row(prepared, target, ledger)
            named: dict[int, str] = classifier.model.config.id2label or {}  # type: ignore[assignment]
            for name, sentences in asked.items():
                likeliest = evaluate.probabilities(
                    classifier, [one[:2] for one in sentences]
                ).argmax(-1)
                predicted = [named[index] for index in likeliest.tolist()]
                rows += group_rows(model, name, sentences, predicted)
        return plain(rows)
