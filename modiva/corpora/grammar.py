"""Random sentences of a hassil grammar, by a walk down its parsed expression trees.

hassil's own sampler enumerates one template to its end before it starts the next; a walk gives
every template, and every choice inside it, its share from the first sentence on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from hassil.expression import (
    Alternative,
    Expression,
    Group,
    ListReference,
    Permutation,
    RuleReference,
    Sentence,
    TextChunk,
)
from hassil.intents import RangeSlotList, SlotList, TextSlotList
from hassil.numbers import get_rbnf_engine

from modiva.errors import ModivaError


@dataclass(frozen=True)
class Template:
    """One written sentence template of one intent, and the values that its open lists take.

    Args:
        intent: the intent that its sentences belong to.
        text: the template as written; the unit of the split into train, valid and test.
        expression: its parsed tree.
        lists: values of each list that it may refer to.
        rules: expansion rules by name.
    """

    intent: str
    text: str
    expression: Expression
    lists: Mapping[str, SlotList]
    rules: Mapping[str, Sentence]

    def sample(self, rng: np.random.Generator) -> str:
        """Return one sentence; every choice on the way down is uniform and independent."""
        return "".join(self._walk(self.expression, rng))

    def _walk(self, node: Expression, rng: np.random.Generator) -> Sequence[str]:
        if isinstance(node, TextChunk):
            return [node.original_text]
        if isinstance(node, RuleReference):
            return self._walk(self.rules[node.rule_name].expression, rng)
        if isinstance(node, ListReference):
            return self._value(node, rng)
        if isinstance(node, Alternative):
            return self._walk(node.items[rng.integers(len(node.items))], rng)
        if isinstance(node, Group):
            items = list(node.items)
            if isinstance(node, Permutation):
                items = [items[i] for i in rng.permutation(len(items))]
            return [piece for item in items for piece in self._walk(item, rng)]
        raise ModivaError(
            f"the grammar holds a {type(node).__name__} ({self.text!r}), which is not known here: "
            "install the hassil version of the lock file"
        )

    def _value(self, node: ListReference, rng: np.random.Generator) -> Sequence[str]:
        """Return a random value of a list: a text (itself a template) or a number."""
        values = self.lists.get(node.list_name)
        if isinstance(values, TextSlotList):
            return self._walk(values.values[rng.integers(len(values.values))].text_in, rng)
        if isinstance(values, RangeSlotList):
            return [_number(values, rng)]
        raise ModivaError(
            f"the grammar refers to the list {node.list_name!r} ({self.text!r}), which has no "
            "values here: install the home-assistant-intents version of the lock file"
        )


def _number(values: RangeSlotList, rng: np.random.Generator) -> str:
    """Return a number of a range: half of them spelled out where the grammar allows both."""
    number = values.start + values.step * int(
        rng.integers((values.stop - values.start) // values.step + 1)
    )
    if values.words and (not values.digits or rng.random() < 0.5):
        words = get_rbnf_engine("en").format_number(number).text
        return words.replace("-", " ")
    return str(number)
