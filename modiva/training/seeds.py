"""Random streams that do not disturb each other, and the state of a process that trains."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from modiva.errors import ModivaError


def stream_seed(seed: int | Sequence[int], stream: str) -> int:
    """Return a 64-bit seed for one named stream, independent of other streams and seeds."""
    seeds = [seed] if isinstance(seed, int) else list(seed)
    words = np.random.SeedSequence([*seeds, zlib.crc32(stream.encode())]).generate_state(
        1, np.uint64
    )
    return int(words[0])


def generator(seed: int, stream: str) -> torch.Generator:
    """Return a CPU generator for one named stream of `seed`."""
    return torch.Generator().manual_seed(stream_seed(seed, stream))


@contextmanager
def training_process(seed: int | Sequence[int], device: torch.device) -> Iterator[None]:
    """Give dropout its own stream and leave the caller's global random state as it was."""
    # Weights of tiny models decay into denormals, which are up to 100 times slower.
    torch.set_flush_denormal(True)
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(stream_seed(seed, "dropout"))
        yield


def resolve_device(name: str) -> torch.device:
    """Return the device that "auto", "cpu" or "cuda" means on this machine.

    Raises:
        ModivaError: "cuda" where there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ModivaError("device='cuda': this machine or this build of torch has none; use 'auto'")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse bfloat16 where it is only slower.

    Raises:
        ModivaError: bfloat16 on a processor that has no instructions for it.
    """
    if precision == "bfloat16" and device.type != "cuda" and not fast_bfloat16():
        raise ModivaError(
            "precision='bfloat16': this processor has no instructions for it (avx512_bf16 or "
            "amx_bf16), and it would be slower; use 'float32', or CUDA"
        )


def fast_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 matrices faster than float32 ones.

    On an AMD EPYC with avx512_bf16 an epoch of MiniLM takes two thirds of the processor time.
    """
    # Older versions of torch cannot tell.
    found: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
