"""Differentially private training: exact per-example clipping, its plan and its accounting."""

from modiva.privacy.accounting import epsilon
from modiva.privacy.engine import PerExampleClipper
from modiva.privacy.memory import retain_freed_memory
from modiva.privacy.microbatch import MicrobatchClipper
from modiva.privacy.plan import PrivacyPlan, calibrate, plan_from
from modiva.privacy.reference import ReferenceClipper
from modiva.privacy.rules import Call, Contribution, Rule, register_rule
from modiva.privacy.sampling import add_noise_, poisson_batches

__all__ = [
    "Call",
    "Contribution",
    "MicrobatchClipper",
    "PerExampleClipper",
    "PrivacyPlan",
    "ReferenceClipper",
    "Rule",
    "add_noise_",
    "calibrate",
    "epsilon",
    "plan_from",
    "poisson_batches",
    "register_rule",
    "retain_freed_memory",
]
