"""Published attacks: objective, search and settings of each paper, one file for each paper."""

from attacks.recipes.elmahdy2022 import ELMAHDY2022
from attacks.recipes.gbda2021 import GBDA2021
from attacks.recipes.gcg2023 import GCG2023
from attacks.recipes.parikh2022 import PARIKH2022

__all__ = ["ELMAHDY2022", "GBDA2021", "GCG2023", "PARIKH2022"]
