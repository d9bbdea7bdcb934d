"""The LSTM autoencoder of ADePT, trained on a public corpus, saved and used again."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from modiva.corpora import Corpus
from modiva.errors import ModivaError
from modiva.files import atomic_folder, write_json
from modiva.training.seeds import generator, stream_seed
from modiva.validate import require

SETTINGS_FILE, WEIGHTS_FILE = "autoencoder.json", "model.safetensors"
PAD, UNKNOWN, START, END = range(4)
SPECIAL = ("[PAD]", "[UNK]", "[START]", "[END]")
LONGEST = 32  # words of a sentence, those beyond are cut
CLIP_NORM = 1.0  # of codes: only the noise as a multiple of it matters
EMBEDDING, HIDDEN = 64, 128
BATCH, LEARNING_RATE = 64, 3e-3


class Autoencoder(nn.Module):
    """A sentence becomes the clipped code [h; c] of one LSTM, and another LSTM writes it again.

    Args:
        words: the vocabulary, `SPECIAL` first.
        facts: what it was trained on, for those who use it.
    """

    def __init__(self, words: Sequence[str], facts: dict[str, Any]) -> None:
        super().__init__()
        self.words, self.facts = tuple(words), facts
        self.places = {word: place for place, word in enumerate(self.words)}
        self.embedding = nn.Embedding(len(words), EMBEDDING, padding_idx=PAD)
        self.encoder = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
        self.expand = nn.Linear(2 * HIDDEN, 2 * HIDDEN)
        self.decoder = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
        self.output = nn.Linear(HIDDEN, len(words))

    @property
    def code_size(self) -> int:
        """Coordinates of a code: n."""
        return 2 * HIDDEN

    def numbers(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the words (B, T) of sentences, padded, and their lengths (B,), 1 at least."""
        rows = [
            [self.places.get(word, UNKNOWN) for word in sentence.split()[:LONGEST]] or [UNKNOWN]
            for sentence in sentences
        ]
        lengths = torch.tensor([len(row) for row in rows])
        padded = [row + [PAD] * (int(lengths.max()) - len(row)) for row in rows]
        return torch.tensor(padded), lengths

    def encode(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Return codes (B, n), of an L2 norm of `CLIP_NORM` at most."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(words), lengths, batch_first=True, enforce_sorted=False
        )
        _, (hidden, cell) = self.encoder(packed)
        code: Tensor = torch.cat([hidden[0], cell[0]], dim=1)
        clipped: Tensor = code * (CLIP_NORM / code.norm(dim=1, keepdim=True)).clamp(max=1)
        return clipped

    def losses(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Return the mean loss of writing sentences (B, T) again, given the words before."""
        begin = torch.full((len(words), 1), START)
        end = torch.cat([words, torch.full((len(words), 1), PAD)], dim=1)  # (B, T + 1)
        end[torch.arange(len(words)), lengths] = END
        states, _ = self.decoder(
            self.embedding(torch.cat([begin, words], dim=1)),
            self._start(self.encode(words, lengths)),
        )
        return nn.functional.cross_entropy(
            self.output(states).flatten(0, 1), end.flatten(), ignore_index=PAD
        )

    @torch.no_grad()
    def decode(self, codes: Tensor) -> list[str]:
        """Return the sentences that codes (B, n) are decoded to, the likeliest word each time."""
        state = self._start(codes)
        word = torch.full((len(codes), 1), START)
        written = []
        for _ in range(LONGEST):
            output, state = self.decoder(self.embedding(word), state)
            logits = self.output(output)  # (B, 1, V)
            logits[..., [PAD, UNKNOWN, START]] = -torch.inf
            word = logits.argmax(dim=2)
            written.append(word)
        sentences = []
        for row in torch.cat(written, dim=1).tolist():
            row = row[: row.index(END)] if END in row else row
            sentences.append(" ".join(self.words[place] for place in row))
        return sentences

    @torch.no_grad()
    def codes(self, sentences: Sequence[str]) -> NDArray[np.float64]:
        """Return the codes (B, n) of sentences before noise."""
        return self.encode(*self.numbers(sentences)).double().numpy()

    def _start(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = self.expand(codes).chunk(2, dim=1)
        return torch.tanh(hidden)[None].contiguous(), cell[None].contiguous()

    @classmethod
    def train_on(
        cls, corpus: Corpus, *, epochs: int = 20, seed: int = 0, progress: bool = False
    ) -> "Autoencoder":
        """Train on the training sentences of a public corpus.

        The decoder memorises them outside of every epsilon: never take the sentences that are to
        be protected.

        Args:
            corpus: public sentences; words of them are all that is ever put out.
            epochs: passes over them.
            seed: of weights and batches.
            progress: show a bar.
        """
        require(epochs >= 1, "--epochs", epochs, "1 or more")
        sentences = [text for text, _ in corpus.train if text]
        facts = {"corpus": corpus.name, "fingerprint": corpus.fingerprint, "epochs": epochs}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_seed(seed, "autoencoder"))
            model = cls([*SPECIAL, *sorted(corpus.vocabulary())], facts)
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
        steps = list(_batches(sentences, epochs, seed))
        for batch in tqdm(steps, "autoencoder", unit="batch", disable=not progress):
            optimizer.zero_grad()
            model.losses(*model.numbers(batch)).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
        return model.eval()

    def save(self, folder: Path) -> None:
        """Write a folder, whole or not at all.

        Raises:
            ModivaError: it exists.
        """
        if folder.exists():
            raise ModivaError(f"--out {folder} exists: name another or remove it")
        with atomic_folder(folder) as part:
            save_file(self.state_dict(), part / WEIGHTS_FILE)
            write_json(part / SETTINGS_FILE, {**self.facts, "words": list(self.words)})

    @classmethod
    def load(cls, folder: Path) -> "Autoencoder":
        """Read a folder that `save` wrote.

        Raises:
            ModivaError: it holds no autoencoder, or another.
        """
        try:
            facts = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
            model = cls(facts.pop("words"), facts)
            model.load_state_dict(load_file(folder / WEIGHTS_FILE))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise ModivaError(
                f"--autoencoder {folder}: it holds no autoencoder ({type(error).__name__}); make "
                "one with: modiva autoencoder PUBLIC_CORPUS --out FOLDER"
            ) from error
        return model.eval()


def _batches(sentences: Sequence[str], epochs: int, seed: int) -> Iterator[list[str]]:
    """Yield batches of sentences, of like length to waste no time on padding."""
    rng = generator(seed, "autoencoder batches")
    lengths = torch.tensor([len(sentence.split()) for sentence in sentences])
    for _ in range(epochs):
        order = torch.randperm(len(sentences), generator=rng)
        order = order[torch.argsort(lengths[order], stable=True)]
        starts = torch.randperm(-(-len(order) // BATCH), generator=rng) * BATCH
        for start in starts.tolist():
            yield [sentences[place] for place in order[start : start + BATCH].tolist()]
