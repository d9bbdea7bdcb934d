"""Distillation: a student learns the soft labels that a teacher gives to transfer sentences.

Source: Hinton et al. 2015 (arXiv 1503.02531), equation 1 and section 2: T squared times the
cross-entropy of the distributions softened by the temperature T.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from canaries import Ledger
from modiva.classifiers import Classifier
from modiva.errors import ModivaError
from modiva.handling import Distilled
from modiva.swaps import load_swaps, reverse
from modiva.training.batches import encode_split, encode_splits, majority_accuracy
from modiva.training.config import EpochRecord, Examples, Splits, TrainConfig, TrainResult
from modiva.training.evaluate import evaluate, logits_of
from modiva.training.seeds import resolve_device, stream_seed, training_process
from modiva.training.steps import epoch_batches, make_optimizer, trainable


def transfer_texts(
    settings: Distilled, taught: Examples, pool: Examples, ledger: Ledger, seed: int
) -> list[str]:
    """Return the sentences that a student learns from.

    Args:
        settings: same, other or decoys.
        taught: the teacher's training split, canaries included.
        pool: all training sentences of the corpus, from which others are drawn: as many as the
            teacher's, or what there is.
        ledger: canaries; their secrets and controls are no decoys.
        seed: of all draws.

    Raises:
        ModivaError: the teacher has all sentences of the corpus.
    """
    if settings.transfer == "same":
        return [text for text, _ in taught]
    known = {text for text, _ in taught}
    others = list(dict.fromkeys(text for text, _ in pool if text not in known))
    if not others:
        refuse_all_taught(settings, len(pool))
    rng = np.random.default_rng(stream_seed(seed, "transfer"))
    drawn = [others[place] for place in rng.permutation(len(others))[: len(taught)]]
    if settings.transfer == "decoys":
        for canary in ledger.canaries:
            form = canary.form
            kept = {form.index(secret) for secret in (canary.secret, *canary.controls)}
            wanted = min(settings.decoys, form.size - len(kept))
            drawn += [form.fill(s) for s in form.draw(rng, wanted, exclude=kept)]
    return drawn


def refuse_all_taught(settings: Distilled, sentences: int) -> NoReturn:
    """Refuse other sentences where the teacher has all of them.

    Raises:
        ModivaError: always.
    """
    raise ModivaError(
        f"--training {settings}: the teacher has all {sentences} sentences of the corpus; give it "
        "fewer with --sentences"
    )


def check_reversal(settings: Distilled, texts: Sequence[str]) -> None:
    """Refuse a reversal that would change no sentence.

    Raises:
        ModivaError: no word of the swap lists stands in the sentences.
    """
    words = load_swaps(settings.swaps).keys()
    if not any(words & set(text.split(" ")) for text in texts):
        raise ModivaError(
            f"--reversal {settings.reversal}: no word of the swap lists stands in the {len(texts)} "
            "training sentences; give lists of your own with --swaps"
        )


def taught_logits(
    teacher: Classifier, texts: Sequence[str], settings: Distilled
) -> tuple[list[str], Tensor]:
    """Return the sentences that a student learns, with the teacher's logits (N, C) of them.

    With a reversal, logits z of a sentence and z' of the same with swapped words are joined, and
    both sentences are taught with the result. Augmenting alone, with z and z' each, would teach
    what the teacher thinks of either.
    """
    logits = _logits(teacher, texts)
    if settings.reversal == "none":
        return list(texts), logits
    swaps = load_swaps(settings.swaps)
    turned = [reverse(text, swaps) for text in texts]
    joined = _JOINED[settings.reversal](torch.stack([logits, _logits(teacher, turned)]))
    changed = [place for place, text in enumerate(turned) if text != texts[place]]
    return [*texts, *(turned[place] for place in changed)], torch.cat([joined, joined[changed]])


_JOINED: Mapping[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda both: both.mean(0),
    "max": lambda both: both.amax(0),
    "logmeanexp": lambda both: both.logsumexp(0) - math.log(2),
}


def distil(
    student: Classifier,
    texts: Sequence[str],
    logits: Tensor,
    data: Splits,
    config: TrainConfig,
    temperature: float,
    progress: bool = False,
) -> TrainResult:
    """Fit a student in place to the soft labels of its teacher.

    Args:
        student: untrained, of the teacher's intents.
        texts: transfer sentences.
        logits: (N, C), the teacher's.
        data: validation and test sentences; of its training split the commonest intent alone.
        config: of the student's training; AdamW, as ordinary training.
        temperature: above 0.
        progress: show a bar.
    """
    started = time.perf_counter()
    device = resolve_device(config.device)
    names = student.model.config.id2label
    assert names is not None
    logits = logits.to(device)
    student.model.to(device)  # type: ignore[arg-type]
    hard = [(text, str(names[k])) for text, k in zip(texts, logits.argmax(1).tolist(), strict=True)]
    splits = encode_splits(student, Splits(hard, data.valid, data.test)).to(device)
    soft = (logits / temperature).softmax(1)
    model: nn.Module = student.model
    optimizer = make_optimizer(trainable(model), config)
    batches = epoch_batches(splits.train, config, config.seed)
    history: list[EpochRecord] = []
    steps = 0
    with training_process(config.seed, device):
        for epoch in tqdm(range(1, config.epochs + 1), "distilling", disable=not progress):
            model.train()
            total = 0.0
            for indices in next(batches):
                ids, mask, _ = splits.train.take(indices)
                found = model(input_ids=ids, attention_mask=mask).logits  # (B, C)
                loss = soft_loss(found, soft[indices.to(device)], temperature)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * len(indices)
                steps += 1
            history.append(EpochRecord(epoch, total / len(texts), None, None))
    model.eval()
    return TrainResult(
        test_accuracy=evaluate(model, splits.test).accuracy,
        valid_accuracy=evaluate(model, splits.valid).accuracy,
        train_accuracy=evaluate(model, splits.train).accuracy or 0.0,
        majority_accuracy=majority_accuracy(data.train, data.test),
        epochs_run=config.epochs,
        best_epoch=config.epochs,
        steps=steps,
        history=tuple(history),
        seconds=time.perf_counter() - started,
    )


def soft_loss(logits: Tensor, soft: Tensor, temperature: float) -> Tensor:
    """Return T**2 times the mean cross-entropy of softened logits with soft labels (B, C)."""
    return temperature**2 * F.cross_entropy(logits.float() / temperature, soft)


def _logits(teacher: Classifier, texts: Sequence[str]) -> Tensor:
    """Return the teacher's logits (N, C) of sentences."""
    first = next(iter(teacher.model.config.label2id or {}))  # a label that nothing reads
    split = encode_split(teacher, [(text, str(first)) for text in texts])
    return logits_of(teacher, split.to(teacher.model.device)).float()
