"""One rule per layer family: how its per-example gradient norms and clipped sums are computed."""

# Importing a file registers its rules.
from modiva.privacy.rules import embedding, filters, layer_norm, linear, recurrence  # noqa: F401
