"""The corpora by name, and the one way from a name or a path to a Corpus."""

import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from canaries.spaces import suggest
from modiva.corpora import arrow, detect, given, home_assistant, public
from modiva.corpora.columns import Columns, parse_columns
from modiva.corpora.corpus import NOTHING, Corpus, Example
from modiva.corpora.reading import Pair, RawCorpus
from modiva.corpora.splits import SPLITS, complete
from modiva.corpora.text import normalise
from modiva.counts import plural
from modiva.errors import ModivaError

_HALF = re.compile("[\ud800-\udfff]")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Description:
    """The catalog's entry for a named corpus, known before it is loaded.

    Args:
        name: what `load` takes.
        summary: one line on what it holds.
        source: where it comes from.
        licence: licence of the data.
        note: what a reader of results must know.
        download_bytes: size of its download; 0 for one that needs no network.
    """

    name: str
    summary: str
    source: str
    licence: str
    note: str
    download_bytes: int

    @property
    def local_copy(self) -> Path | None:
        """The copy of it that MODIVA_CORPORA holds, if any."""
        return _local_copy(self.name)

    def fetch(self, *, cache: Path | None = None, base_url: str | None = None) -> Path:
        """Download it into the cache, where it is not there yet, and return its place.

        The default corpus needs no download: its place is the installed grammar file.

        Args:
            cache: folder of downloads; default MODIVA_CACHE, else the user's cache folder.
            base_url: address of a mirror; default MODIVA_BASE_URL, else the publisher's.

        Raises:
            ModivaError: a download that fails.
        """
        if self.name == home_assistant.NAME:
            return Path(str(files("home_assistant_intents").joinpath("data", "en.json")))
        return public.download(self.name, cache=cache, base_url=base_url)


def names() -> tuple[str, ...]:
    """Return the named corpora, the default first."""
    return (home_assistant.NAME, *public.PUBLIC)


def describe(name: str) -> Description:
    """Describe a named corpus without loading it.

    Raises:
        ModivaError: an unknown name; the message lists the known ones.
    """
    if name == home_assistant.NAME:
        summary = "commands to a smart home, 36 intents, about 3,900 for training; the default"
        return Description(
            name, summary, home_assistant.SOURCE, home_assistant.LICENCE, home_assistant.NOTE, 0
        )
    known = _public(name)
    pinned = public.files_of(name)
    source = f"https://github.com/{known.repository} at {pinned[0].commit[:12]}"
    size = sum(file.size for file in pinned)
    return Description(name, known.summary, source, known.licence, known.note, size)


def load(
    data: Any,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    beside: tuple[str, ...] = (),
    seed: int = 0,
    cache: Path | None = None,
    base_url: str | None = None,
) -> Corpus:
    """Load a corpus by its name, from a file or folder of a known layout, or from what is given.

    A name wins over a folder of that name: write ./snips for the folder. A public corpus is read
    from the local copy below the folder that MODIVA_CORPORA names, where it holds one and neither
    `cache` nor `base_url` is given; else it is downloaded.

    Args:
        data: one of `names()`, or a path; FILE#text=COLUMN,intent=COLUMN chooses columns of tables.
            Or the sentences: pairs, records, a DataFrame, a Dataset, or these by split.
        text_column: name or number of the column of texts; found by its name if not given.
        label_column: of the column of intents.
        beside: further columns, whose values stand beside each sentence (`Example.beside`).
        seed: decides the splits that the data does not bring, and the default corpus' sentences.
        cache: folder of downloads, as for `Description.fetch`.
        base_url: address of a mirror, as there.

    Raises:
        ModivaError: an unknown name, a missing path, or data that cannot be a corpus.
    """
    if not isinstance(data, str | Path):
        raw = given.read(data, Columns(text_column, label_column, beside))
        return _corpus(raw, "data", "the data", "unknown", "", seed)
    name = choose_columns(str(data), text_column, label_column)
    if name == home_assistant.NAME:
        if beside:
            raise ModivaError(
                f"corpus {name} has no columns beside its sentences: leave {beside[0]!r} out"
            )
        return home_assistant.build(seed)
    if name in public.PUBLIC:
        about = describe(name)
        local = public.local_copy(name) if cache is None and base_url is None else None
        place = local or about.fetch(cache=cache, base_url=base_url)
        source, note = about.source, about.note
        if local is not None:
            source, note = _local(name, local, about)
        raw = detect.read(place, Columns(beside=beside))
        return _corpus(raw, name, source, about.licence, note, seed)
    path, chosen = parse_columns(name)
    chosen = replace(chosen, beside=beside)
    if path.exists():
        # Named as the user does, through a link too; only "." and ".." have no name of their own.
        folder = path.absolute().name.strip(".") or path.resolve().name
        title = path.stem if path.is_file() else folder
        return _corpus(detect.read(path, chosen), title, str(path), "unknown", "", seed)
    if os.sep in name or path.suffix or name.startswith((".", "~")):
        raise ModivaError(
            f"no file or folder {str(path)!r}: check the path, or take one of the named corpora "
            f"{', '.join(names())}"
        )
    raise _unknown(name)


def read_pairs(
    data: Any,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    split: str | None = None,
    name: str = "the data",
) -> list[Pair]:
    """Read texts as they are written, with their intents; blank ones are left out.

    Args:
        data: a path of a file without splits, where FILE#text=COLUMN,intent=COLUMN chooses columns
            of tables; or the sentences: pairs, records, a DataFrame or a Dataset.
        text_column: name or number of the column of texts; found by its name if not given.
        label_column: of the column of intents.
        split: of sentences that are given by split; None refuses those.
        name: what an error calls sentences that are given.

    Raises:
        ModivaError: no such file, or one that holds no sentences with intents.
    """
    if isinstance(data, str | Path):
        path, columns = parse_columns(choose_columns(str(data), text_column, label_column))
        if not path.is_file() and not arrow.matches(path):
            raise ModivaError(f"no file {str(path)!r}: give a CSV, TSV, JSON lines or Parquet file")
        splits, name = detect.read(path, columns).splits, str(path)
    else:
        splits = given.read(data, Columns(text_column, label_column), name).splits
        splits = splits if split is None else {"train": splits[split]}
    if list(splits) != ["train"]:
        raise ModivaError(
            f"{name} holds the splits {', '.join(splits)}: give the sentences of one of them"
        )
    # No tokenizer and no file takes half a character, which a broken JSON escape leaves.
    rows = [(_HALF.sub(" ", text), intent) for text, intent in splits["train"]]
    found = [(text, intent) for text, intent in rows if text.strip()]
    if not found:
        raise ModivaError(f"{name} holds no sentences: add some")
    return found


def choose_columns(spec: str, text_column: str | None, label_column: str | None) -> str:
    """Return a path with its columns chosen, as FILE#text=COLUMN,intent=COLUMN.

    Args:
        spec: a path, with or without chosen columns; or the name of a corpus.
        text_column: name or number of the column of texts; None leaves it as it is.
        label_column: of the column of intents.

    Raises:
        ModivaError: columns for a named corpus, which has none to choose.
    """
    if not text_column and not label_column:
        return spec
    if spec in names():
        raise ModivaError(
            f"corpus {spec} has no columns to choose: leave {text_column or label_column!r} out"
        )
    path, columns = parse_columns(spec)
    chosen = {"text": text_column or columns.text, "intent": label_column or columns.intent}
    return f"{path}#" + ",".join(f"{role}={name}" for role, name in chosen.items() if name)


def _local_copy(name: str) -> Path | None:
    return public.local_copy(name) if name in public.PUBLIC else None


def source_files(spec: str) -> list[Path]:
    """Return the files that loading a corpus reads here; none of one that is not on this machine.

    Args:
        spec: as `load` takes it.

    Raises:
        ModivaError: a folder of no known layout.
    """
    return detect.files(_local_copy(spec) or parse_columns(spec)[0])


def missing(specs: Iterable[str]) -> tuple[Description, ...]:
    """Return the named corpora among `specs` that loading would download."""
    return tuple(
        describe(name)
        for name in dict.fromkeys(specs)
        if name in public.PUBLIC and public.local_copy(name) is None and not public.is_cached(name)
    )


def _local(name: str, place: Path, about: Description) -> tuple[str, str]:
    """Return source and note of a local copy; the note tells if files differ."""
    if public.is_published(name, place):
        return f"{about.source}, local copy {place}", about.note
    twin = next((other for other in public.PUBLIC if public.is_published(other, place)), None)
    files = "other files than the published ones" if twin is None else f"the files of {twin}"
    note = f"The local copy holds {files}."
    logger.warning("%s: the local copy %s holds %s", name, place, files)
    return str(place), note


def _public(name: str) -> public.PublicSet:
    if name not in public.PUBLIC:
        raise _unknown(name)
    return public.PUBLIC[name]


def _unknown(name: str) -> ModivaError:
    return ModivaError(
        f"unknown corpus {name!r}{suggest(name, names())}: known are {', '.join(names())}, or "
        "give the path of a file or folder"
    )


def _corpus(raw: RawCorpus, name: str, source: str, licence: str, note: str, seed: int) -> Corpus:
    """Normalise the pairs, make the missing splits, and refuse what cannot train a classifier."""
    notes = [note, raw.note]
    splits: dict[str, Sequence[Example]] = {}
    blank = 0
    for split, pairs in raw.splits.items():
        normal = [
            Example(normalise(pair[0]), pair[1], getattr(pair, "beside", NOTHING)) for pair in pairs
        ]
        splits[split] = [pair for pair in normal if pair.text]
        blank += len(normal) - len(splits[split])
        if not splits[split]:
            raise ModivaError(f"{source}: the {split} split holds no sentences: add some")
    if blank:
        logger.warning("%s: %s left out", source, plural(blank, "blank sentence"))
        notes.append(f"Left out: {plural(blank, 'blank sentence')}.")
    intents = sorted({intent for _, intent in splits["train"]})
    if len(intents) < 2:
        raise ModivaError(
            f"{source} has one intent only ({intents[0]!r}) in its training data: a classifier "
            "needs two or more"
        )
    whole = complete(splits, seed=seed, name=source)
    made = [split for split in SPLITS if split not in splits]
    if made:
        notes.append(f"{' and '.join(made)} held out from train by seed {seed}, by intent.")
    train, valid, test = (tuple(whole[split]) for split in SPLITS)
    return Corpus(name, train, valid, test, source, licence, " ".join(filter(None, notes)))
