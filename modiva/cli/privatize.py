"""`modiva privatize` and `modiva autoencoder`: rewrite sentences that are to be given away."""

import csv
import io
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from modiva.condition import NONE
from modiva.errors import ModivaError
from modiva.files import write_text
from modiva.validate import require

_FORMATS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Privatize:
    """Rewrite every sentence of a corpus with noise, so that it can be given away.

    All splits are rewritten, the test split too; intents stay as they are. To measure what a
    mechanism costs and what it stops, use `modiva audit --privatize`, whose test split stays clean.

    $ modiva privatize my.csv --mechanism tem:12 --out protected.csv
    """

    corpus: Positional[str]
    """A name from `modiva corpus list`, or a file or folder."""
    mechanism: str
    """Name and epsilon: tem:12, madlib:60, mahalanobis:80, gumbel:90, adept:50 ..."""
    out: Path
    """Table of split, text and intent to write: .csv, .tsv or .jsonl; must not exist yet."""
    word_space: str = "minilm"
    """Words and vectors of mechanisms of words: minilm, or a text file in GloVe format."""
    autoencoder: Path | None = None
    """Of adept and adept-published: a folder of `modiva autoencoder`, from another corpus."""
    seed: int | None = None
    """Of the noise. Secret and kept nowhere if not given: whoever knows it can undo the noise."""

    def run(self) -> int:
        """Rewrite, write the table, and say what was kept and what is guaranteed."""
        from modiva.corpora import load
        from modiva.training import textprivacy

        if self.out.exists():
            raise ModivaError(f"--out {self.out} exists: name another or remove it")
        suffix = self.out.suffix
        known = (*_FORMATS, ".jsonl")
        require(suffix in known, "--out", self.out, f"a file of {', '.join(known)}")
        require(self.seed is None or self.seed >= 0, "--seed", self.seed, "0 or more")
        if self.mechanism == NONE:
            raise ModivaError("--mechanism none rewrites nothing: give such as tem:12")
        mechanism = textprivacy.get_mechanism(
            self.mechanism,
            word_space=self.word_space,
            autoencoder=None if self.autoencoder is None else str(self.autoencoder),
        )
        corpus = load(self.corpus)
        mechanism.check_corpus(corpus.name, corpus.fingerprint)
        before = [(split, *example) for split, own in corpus.splits.items() for example in own]
        seed = secrets.randbits(128) if self.seed is None else self.seed
        texts = mechanism.rewrite([text for _, text, _ in before], seed)
        rows = [
            (split, text, intent) for (split, _, intent), text in zip(before, texts, strict=True)
        ]
        write_text(self.out, _table(rows, suffix))
        print(f"sentences   {len(rows)} in {self.out}")
        kept = mechanism.words_kept([text for _, text, _ in before], texts)
        print(f"words kept  {kept:.1%}")
        unit = "word, per unit of distance" if mechanism.of_words else "sentence, at delta 1e-5"
        proven = "none proven" if mechanism.proven is None else f"{mechanism.proven:.3g}"
        print(f"epsilon     {proven} for one {unit} (claimed: {mechanism.claimed:g})")
        told = "secret and not kept" if self.seed is None else f"{self.seed}: keep it secret"
        print(f"seed        {told}")
        return 0


@dataclass(frozen=True)
class TrainAutoencoder:
    """Train the autoencoder of ADePT on a public corpus.

    Its decoder memorises the sentences that it is trained on, outside of every epsilon: it must
    never see the sentences that it is to protect.

    $ modiva autoencoder snips --out snips-autoencoder
    """

    corpus: Positional[str]
    """Public sentences: a name from `modiva corpus list`, or a file or folder."""
    out: Path
    """Folder to write; must not exist yet."""
    epochs: int = 20
    """Passes over the training sentences."""
    seed: int = 0
    """Of weights and batches."""

    def run(self) -> int:
        """Train, save, and say where."""
        from modiva.corpora import load
        from modiva.training import textprivacy

        if self.out.exists():
            raise ModivaError(f"--out {self.out} exists: name another or remove it")
        corpus = load(self.corpus)
        model = textprivacy.Autoencoder.train_on(
            corpus, epochs=self.epochs, seed=self.seed, progress=True
        )
        model.save(self.out)
        print(f"autoencoder {self.out}, {len(model.words)} words of {corpus.name}")
        return 0


def _table(rows: Iterable[tuple[str, str, str]], suffix: str) -> str:
    names = ("split", "text", "intent")
    if suffix == ".jsonl":
        return "".join(
            json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n"
            for row in rows
        )
    text = io.StringIO()
    writer = csv.writer(text, delimiter=_FORMATS[suffix], lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue()
