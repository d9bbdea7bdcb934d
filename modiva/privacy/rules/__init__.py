"""One rule a layer family: how its per-example gradient norms and clipped sums are computed."""

from modiva.privacy.rules import embedding, layer_norm, linear, recurrence
from modiva.privacy.rules.registry import (
    Cache,
    Call,
    Contribution,
    Rule,
    accumulate,
    register_rule,
    rule_for,
)

__all__ = [
    "Cache",
    "Call",
    "Contribution",
    "Rule",
    "accumulate",
    "embedding",
    "layer_norm",
    "linear",
    "recurrence",
    "register_rule",
    "rule_for",
]
