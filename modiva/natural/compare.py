"""Are members ranked higher than non-members? A permutation test that keeps kinds apart."""

import numpy as np

PERMUTATIONS = 9_999
LEAST = 10  # sentences of each side, below which no test is made
_BLOCK = 500  # permutations at once


def permutation_p_value(
    values: np.ndarray,
    members: np.ndarray,
    strata: np.ndarray,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> float:
    """Test one-sided whether members have lower values than non-members of the same stratum.

    The statistic is the sum over members of how far they lie below the mean of their stratum. Who
    is a member is permuted within each stratum: exact where members and non-members of a stratum
    were parted at random (Phipson and Smyth 2010, with the one added to both counts).

    Args:
        values: (N,) one for each sentence.
        members: (N,) bool.
        strata: (N,) what a sentence is compared within.
        permutations: how many are drawn.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    observed, drawn = 0.0, np.zeros(permutations)
    for stratum in np.unique(strata):
        at = strata == stratum
        below = values[at].mean() - values[at]  # (M,) higher is more exposed
        count = int(members[at].sum())
        observed += below[members[at]].sum()
        if 0 < count < len(below):
            for start in range(0, permutations, _BLOCK):
                rows = min(_BLOCK, permutations - start)
                shuffled = rng.permuted(np.tile(below, (rows, 1)), axis=1)  # (rows, M)
                drawn[start : start + rows] += shuffled[:, :count].sum(1)
    slack = 1e-9 * max(1.0, abs(observed))  # sums in another order round otherwise
    return float((1 + (drawn >= observed - slack).sum()) / (1 + permutations))
