"""Pinned downloads from a local server: real files pass, altered or absent ones are told."""

import hashlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import requests

from modiva.corpora import Corpus, describe, load, names, public
from modiva.corpora.public import Download, PinnedFile
from modiva.errors import ModivaError

ROWS = [(f"text {i}, of intent {i % 2}", f"intent_{i % 2}") for i in range(60)]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a line a request."""

    def log_message(self, format: str, *args: object) -> None:
        del format, args


Serve = Callable[..., str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server of a folder and return its address; all stop after the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(folder: Path, kind: type[Quiet] = Quiet) -> str:
        handler = partial(kind, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def mirror(corpora: Path, tmp_path: Path) -> Path:
    """A folder with the real SNIPS files where a mirror of GitHub has them."""
    pinned = public.files_of("snips")[0]
    place = tmp_path / "mirror" / pinned.repository / pinned.commit / public.PUBLIC["snips"].root
    place.parent.mkdir(parents=True)
    place.symlink_to(corpora / "snips_original")
    return tmp_path / "mirror"


def pin(folder: Path, name: str, contents: dict[str, str]) -> tuple[PinnedFile, ...]:
    """Write files where a mirror has them and return the table that pins them."""
    repository = public.PUBLIC[name].repository
    pinned = []
    for path, content in contents.items():
        file = folder / repository / "c0ffee" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode())
        digest = hashlib.sha256(content.encode()).hexdigest()
        pinned.append(PinnedFile(repository, path, "c0ffee", len(content), digest))
    return tuple(pinned)


def sizes(corpus: Corpus) -> tuple[int, int, int]:
    return len(corpus.train), len(corpus.valid), len(corpus.test)


def test_snips_arrives_whole_and_is_then_read_offline(
    mirror: Path, serve: Serve, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    corpus = load("snips", cache=cache, base_url=serve(mirror))
    assert sum(sizes(corpus)) == 13784 + 700
    assert (corpus.name, corpus.licence) == ("snips", "CC0 1.0")
    assert "sonos/nlu-benchmark at b86ac7f15778" in corpus.source
    again = load("snips", cache=cache, base_url="http://127.0.0.1:9")
    assert again.fingerprint == corpus.fingerprint


def test_address_and_cache_come_from_the_environment(
    mirror: Path, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODIVA_BASE_URL", serve(mirror) + "/")
    monkeypatch.setenv("MODIVA_CACHE", str(tmp_path / "elsewhere"))
    place = describe("snips").fetch()
    assert place.is_relative_to(tmp_path / "elsewhere")
    assert (place / "RateBook" / "train_RateBook_full.json").is_file()


def test_the_other_sets_are_read_in_their_published_layouts(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold = public.PUBLIC["hwu64"].root
    answers = {
        f"{fold}/{split}/{intent}.csv": "id;answer_from_anno\n"
        + "".join(f'1;"{text}"\n' for text, label in rows if label == intent)
        for split, rows in (("trainset", ROWS[:40]), ("testset/csv", ROWS[40:]))
        for intent in ("intent_0", "intent_1")
    }
    clinc = {"train": ROWS[:40], "val": ROWS[40:50], "test": ROWS[50:], "oos_test": [["a", "oos"]]}
    table = {
        split: "text,category\n" + "".join(f'"{text}",{label}\n' for text, label in rows)
        for split, rows in (("train", ROWS[:40]), ("test", ROWS[40:]))
    }
    folder = tmp_path / "mirror"
    pinned = (
        *pin(folder, "hwu64", answers),
        *pin(folder, "clinc150", {"data/data_full.json": json.dumps(clinc)}),
        *pin(folder, "banking77", {f"banking_data/{s}.csv": text for s, text in table.items()}),
    )
    monkeypatch.setattr(public, "pinned_files", lambda: pinned)
    address = serve(folder)
    for name, test in (("hwu64", 20), ("clinc150", 10), ("banking77", 20)):
        corpus = load(name, cache=tmp_path / "cache", base_url=address)
        assert corpus.intents == ("intent_0", "intent_1")
        assert sum(sizes(corpus)) == 60
        assert len(corpus.test) == test
        assert corpus.train[0].text.startswith("text ")


def test_an_altered_file_is_refused_and_not_kept(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mirror"
    pinned = pin(folder, "clinc150", {"data/data_full.json": "{}"})
    monkeypatch.setattr(public, "pinned_files", lambda: pinned)
    (folder / pinned[0].address).write_text("<html>log in first</html>")
    with pytest.raises(ModivaError, match=r"SHA-256 differs.*MODIVA_BASE_URL"):
        load("clinc150", cache=tmp_path / "cache", base_url=serve(folder))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


class Endless(Quiet):
    """Sends bytes without end, few or many at a time."""

    block, pause = b"x" * 2**16, 0.0

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        while True:
            try:
                self.wfile.write(self.block)
            except OSError:  # the reader has left
                return
            time.sleep(self.pause)


class Dripping(Endless):
    block, pause = b"x", 0.05


class Breaking(Quiet):
    """Sends less than it said."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"x" * 100)


def test_a_server_that_breaks_off_is_a_broken_connection(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(requests.ConnectionError, match="100 bytes read"):
        Download(1000)(serve(tmp_path, Breaking), str(tmp_path / "file"), None)


@pytest.mark.parametrize(
    ("handler", "error", "message"),
    [(Endless, ValueError, "more than 1,000,000 bytes"), (Dripping, requests.Timeout, "bytes in")],
)
def test_a_server_without_end_is_left(
    serve: Serve, tmp_path: Path, handler: type[Endless], error: type[Exception], message: str
) -> None:
    started = time.monotonic()
    with pytest.raises(error, match=message):
        Download(10**6, seconds=0.5)(serve(tmp_path, handler), str(tmp_path / "file"), None)
    assert time.monotonic() - started < 20
    assert (tmp_path / "file").stat().st_size < 1.2e6


def test_a_host_that_cannot_be_reached_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ModivaError, match="cannot be reached") as error:
        load("banking77", cache=tmp_path, base_url=address)
    assert address in str(error.value)
    assert "MODIVA_BASE_URL" in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_mirror_without_the_file_is_told_from_an_unreachable_one(
    serve: Serve, tmp_path: Path
) -> None:
    with pytest.raises(ModivaError, match=r"cannot be fetched .*404"):
        describe("hwu64").fetch(cache=tmp_path / "cache", base_url=serve(tmp_path))


def test_every_public_set_is_pinned_and_described() -> None:
    counts = {name: len(public.files_of(name)) for name in public.PUBLIC}
    assert counts == {
        "snips": 14, "snips-goo2018": 6, "hwu64": 128, "hwu64-zhang2020": 6,
        "clinc150": 1, "banking77": 2,
    }  # fmt: skip
    assert names()[0] == "home-assistant"
    for name in names():
        about = describe(name)
        assert about.licence
        assert (about.download_bytes > 0) == (name != "home-assistant")
    for file in public.pinned_files():
        assert len(file.commit) == 40
        assert len(file.sha256) == 64


def test_the_default_needs_no_download() -> None:
    assert describe("home-assistant").fetch().is_file()
