"""`modiva corpus list|show|fetch`: what there is to train on."""

import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, subcommand

from modiva.corpora import describe, load, names


@dataclass(frozen=True)
class List:
    """List the corpora that have a name."""

    def run(self) -> int:
        """Print one line per corpus."""
        for name in names():
            about = describe(name)
            download = f", {about.download_bytes / 1e6:.1f} MB" if about.download_bytes else ""
            if about.local_copy is not None:
                download = f", local copy {about.local_copy}"
            print(f"{name:16} {about.summary} ({about.licence}{download})")
        print("\nMODIVA_CORPORA=FOLDER takes local copies instead of downloads.")
        print("Or name a file or folder: seq.in + label, SNIPS JSON, HWU64 CSV, CLINC150 JSON,")
        print("CSV, TSV, JSONL, Parquet or Arrow with the columns text and intent.")
        return 0


@dataclass(frozen=True)
class Show:
    """Show sizes, intents and some sentences of a corpus."""

    corpus: Positional[str]
    """A name from `modiva corpus list`, or a file or folder."""
    text_column: str | None = None
    """Name or number of the column of texts, where a file of your own has several."""
    label_column: str | None = None
    """Name or number of the column of intents."""
    sentences: int = 10
    """How many training sentences to print."""

    def run(self) -> int:
        """Print the corpus."""
        corpus = load(self.corpus, text_column=self.text_column, label_column=self.label_column)
        counts = Counter(intent for _, intent in corpus.train)
        licence = "" if corpus.licence == "unknown" else f" ({corpus.licence})"
        print(f"{corpus.name}: {corpus.source}{licence}")
        if corpus.note:
            print(corpus.note)
        print(
            f"sentences: {len(corpus.train)} train, {len(corpus.valid)} valid, "
            f"{len(corpus.test)} test; {len(corpus.intents)} intents; "
            f"{len(corpus.vocabulary())} words; fingerprint {corpus.fingerprint[:16]}"
        )
        listed = "intents:   " + ", ".join(f"{name} {n}" for name, n in counts.most_common())
        print(textwrap.fill(listed, width=100, subsequent_indent=" " * 11))
        step = max(1, len(corpus.train) // max(self.sentences, 1))
        for text, intent in corpus.train[::step][: self.sentences]:
            print(f"  {intent:24} {text}")
        return 0


@dataclass(frozen=True)
class Fetch:
    """Download a public corpus into the cache, checking every file against its checksum."""

    corpus: Positional[str]
    """A name from `modiva corpus list`."""
    base_url: str | None = None
    """Another host that serves the same paths; also the variable MODIVA_BASE_URL."""
    cache: Path | None = None
    """Cache folder; the user's cache folder if not given."""

    def run(self) -> int:
        """Download and print where the files are."""
        print(describe(self.corpus).fetch(cache=self.cache, base_url=self.base_url))
        return 0


@dataclass(frozen=True)
class CorpusCommand:
    """List, show or fetch corpora."""

    action: (
        Annotated[List, subcommand("list")]
        | Annotated[Show, subcommand("show")]
        | Annotated[Fetch, subcommand("fetch")]
    )

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()
