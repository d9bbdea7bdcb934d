"""Measures what a private step costs over the same model's ordinary step: time and peak memory.

Steps alternate (A B A B) in one process on one thread, so that both meet the same machine. Run:

    python tests/benchmarks/bench_dp_step.py --csv dp_step.csv --batch-sizes 64 256

Opacus's engines are measured beside ours where Opacus is installed.
"""

import argparse
import copy
import csv
import io
import multiprocessing
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, BertConfig

from modiva.classifiers.cnn import CnnClassifier
from modiva.classifiers.configuration import CnnConfig, LstmConfig, TransformerConfig
from modiva.classifiers.lstm import LstmClassifier
from modiva.classifiers.transformer import TransformerClassifier
from modiva.files import write_text
from modiva.privacy import add_noise_
from modiva.privacy.engine import PerExampleClipper
from modiva.training.memory import retain_freed_memory

LABELS, VOCABULARY = 64, 3000
Step = Callable[[], None]


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    own = {"vocab_size": VOCABULARY, "num_labels": LABELS}
    if name == "cnn":
        return CnnClassifier(CnnConfig(**own)).train()
    if name == "lstm":
        return LstmClassifier(LstmConfig(**own)).train()
    if name == "transformer":
        return TransformerClassifier(TransformerConfig(hidden_size=128, layers=2, **own)).train()
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12}
    config = BertConfig(vocab_size=30522, intermediate_size=1536, num_labels=LABELS, **sizes)
    return AutoModelForSequenceClassification.from_config(config).train()


def batch(size: int, length: int) -> tuple[dict[str, Tensor], Tensor]:
    """Return sentences of 4 to `length` words with frequent words more frequent, and labels."""
    generator = torch.Generator().manual_seed(1)
    ids = (VOCABULARY - 2) ** torch.rand(size, length, generator=generator) + 1
    lengths = torch.randint(4, length + 1, (size, 1), generator=generator)
    lengths[0] = length
    mask = (torch.arange(length) < lengths).long()
    labels = torch.randint(0, LABELS, (size,), generator=generator)
    return {"input_ids": ids.long() * mask, "attention_mask": mask}, labels


def ordinary(model: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> Step:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(**inputs).logits, labels).backward()
        optimizer.step()

    return step


def private(model: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> Step:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    clipper = PerExampleClipper(model, 1.0)
    generator = torch.Generator(labels.device).manual_seed(0)

    def step() -> None:
        optimizer.zero_grad()
        clipper.backward(F.cross_entropy(model(**inputs).logits, labels, reduction="none"))
        gradients = [p.grad for p in clipper.parameters if p.grad is not None]
        add_noise_(gradients, 1.0, generator)
        torch._foreach_div_(gradients, len(labels))
        optimizer.step()

    return step


def opacus(mode: str) -> Callable[[nn.Module, dict[str, Tensor], Tensor], Step]:
    """Return Opacus's step ("hooks" or "ghost"), as its documentation sets it up."""

    def make(model: nn.Module, inputs: dict[str, Tensor], labels: Tensor) -> Step:
        from opacus import GradSampleModule
        from opacus.grad_sample import GradSampleModuleFastGradientClipping
        from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
        from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping

        inner = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        noise = {"noise_multiplier": 1.0, "max_grad_norm": 1.0}
        size = {"expected_batch_size": len(labels)}
        criterion = nn.CrossEntropyLoss()
        if mode == "hooks":
            wrapped = GradSampleModule(model)
            optimizer = DPOptimizer(inner, **noise, **size)
        else:
            wrapped = GradSampleModuleFastGradientClipping(
                model, max_grad_norm=1.0, use_ghost_clipping=True
            )
            optimizer = DPOptimizerFastGradientClipping(inner, **noise, **size)
            criterion = DPLossFastGradientClipping(wrapped, optimizer, criterion)

        def step() -> None:
            optimizer.zero_grad()
            criterion(wrapped(**inputs).logits, labels).backward()
            optimizer.step()

        return step

    return make


def timed(step: Step, clock: Callable[[], float]) -> float:
    start = clock()
    step()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return clock() - start


def compare(plain: Step, other: Step, pairs: int, clock: Callable[[], float]) -> dict[str, float]:
    """Return medians in milliseconds, and quartiles of the ratio of neighbouring steps."""
    for step in (plain, other, plain, other):
        step()
    times = [(timed(plain, clock), timed(other, clock)) for _ in range(pairs)]
    ratios = [b / a for a, b in times]
    low, _, high = statistics.quantiles(ratios, n=4)
    plain_ms = 1000 * statistics.median(a for a, _ in times)
    other_ms = 1000 * statistics.median(b for _, b in times)
    return {
        "ordinary_ms": round(plain_ms, 2),
        "private_ms": round(other_ms, 2),
        "ratio": round(other_ms / plain_ms, 3),
        "ratio_q25": round(low, 3),
        "ratio_q75": round(high, 3),
    }


def resident(field: str) -> float:
    """Return "VmRSS" (now) or "VmHWM" (the peak) of this process in MiB, as Linux reports it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def peak_memory(maker: str, name: str, size: int, length: int) -> float:
    """Return by how many MiB steps raise a process that has the model and the batch."""
    torch.set_num_threads(1)
    inputs, labels = batch(size, length)
    step = {"ordinary": ordinary, "private": private}[maker](build(name), inputs, labels)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    before = resident("VmRSS")
    for _ in range(5):
        step()
    return resident("VmHWM") - before


def measure_memory(name: str, size: int, length: int) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    peaks = {}
    for maker in ("ordinary", "private"):
        with context.Pool(1) as pool:  # its own process: peaks do not go down again
            peaks[maker] = pool.apply(peak_memory, (maker, name, size, length))
    return {
        "ordinary_mib": round(peaks["ordinary"], 1),
        "private_mib": round(peaks["private"], 1),
        "memory_ratio": round(peaks["private"] / peaks["ordinary"], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=None, help="where to write the table")
    parser.add_argument("--models", nargs="+", default=["cnn", "lstm", "transformer", "minilm"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--length", type=int, default=16, help="words of the longest sentence")
    parser.add_argument("--seconds", type=float, default=20, help="about this long a comparison")
    parser.add_argument("--memory", action="store_true", help="measure peak memory, too")
    parser.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall", help="cpu: for a machine that is shared"
    )
    parser.add_argument(
        "--plain-malloc", action="store_true", help="do not keep freed memory in the process"
    )
    parser.add_argument("--opacus", action="store_true", help="measure Opacus, too")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    if options.device == "cuda" and (options.memory or options.clock == "cpu"):
        parser.error("--device cuda: memory and processor time are measured on the CPU alone")
    torch.set_num_threads(1)
    if not options.plain_malloc:
        retain_freed_memory()
    clock = {"wall": time.perf_counter, "cpu": time.process_time}[options.clock]
    engines = {"modiva": private}
    if options.opacus:
        if find_spec("opacus") is None:
            parser.error("Opacus is not installed here: pip install opacus, or leave out --opacus")
        engines |= {"opacus hooks": opacus("hooks"), "opacus ghost": opacus("ghost")}
    rows = []
    for name in options.models:
        for size in options.batch_sizes:
            inputs, labels = batch(size, options.length)
            inputs = {name: value.to(options.device) for name, value in inputs.items()}
            labels = labels.to(options.device)
            for engine, make in engines.items():
                model = build(name).to(options.device)
                plain = ordinary(copy.deepcopy(model), inputs, labels)
                row: dict[str, object] = {"model": name, "batch_size": size, "engine": engine}
                row |= {"length": options.length, "clock": options.clock}
                row["device"] = options.device
                try:
                    other = make(model, inputs, labels)
                    other()
                    seconds = timed(plain, clock) + timed(other, clock)
                    pairs = min(200, max(5, int(options.seconds / seconds)))
                    row |= {"pairs": pairs, **compare(plain, other, pairs, clock)}
                    if options.memory and engine == "modiva":
                        row |= measure_memory(name, size, options.length)
                # What another engine cannot run is part of the result; what ours cannot is a bug.
                except (RuntimeError, ValueError, AttributeError, TypeError) as error:
                    if engine == "modiva":
                        raise
                    row["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
                rows.append(row)
                print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)
    if options.csv is not None:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
        writer.writeheader()
        writer.writerows(rows)
        write_text(options.csv, text.getvalue())


if __name__ == "__main__":
    main()
