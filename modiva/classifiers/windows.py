"""Windows over time as one concatenation, so that a convolution is an ordinary `nn.Linear`."""

import torch
import torch.nn.functional as F


def shifted_windows(vectors: torch.Tensor, width: int) -> torch.Tensor:
    """Concatenate each vector with its neighbours, zeros beyond both ends.

    Args:
        vectors: (..., T, D).
        width: vectors in a window, which reaches (width - 1) // 2 to the left of its place and
            width // 2 to the right.

    Returns:
        (..., T, width * D), as many windows as there were vectors.
    """
    length = vectors.shape[-2]
    padded = F.pad(vectors, (0, 0, (width - 1) // 2, width // 2))  # (..., T + width - 1, D)
    shifts = [padded[..., start : start + length, :] for start in range(width)]
    return torch.cat(shifts, dim=-1)


def window_start(width: int, widest: int) -> int:
    """Return where a window of `width` vectors starts in the widest at its place, in vectors."""
    return (widest - 1) // 2 - (width - 1) // 2
