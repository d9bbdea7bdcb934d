"""Fixtures that every test shares."""

import hashlib
import http.server
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora in their original formats; tests that need it skip without it."""
    folder = Path(os.environ.get("MODIVA_CORPORA", REPOSITORY.parent / "shared" / "corpora"))
    if not folder.is_dir():
        pytest.skip(
            f"no real corpora at {folder}: set MODIVA_CORPORA to the folder that holds them"
        )
    return folder


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which no file grows beyond so many bytes, in place of a disk without space.

    Python writes no bytecode in it: it would keep what the limit cuts, and fail on it ever after.
    """
    resource = pytest.importorskip("resource", reason="needs a limit on file sizes")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before, writes = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            sys.dont_write_bytecode = writes

    return limited


@pytest.fixture
def mirror(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A local server of small public corpora, in the layouts and at the paths of the real ones."""
    folder = tmp_path_factory.mktemp("mirror")
    from modiva.corpora import public

    pinned = []
    for file in public.pinned_files():
        data = _published(file.path).encode()
        place = folder / file.address
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        pinned.append(file._replace(size=len(data), sha256=digest))
    monkeypatch.setattr(public, "pinned_files", lambda: tuple(pinned))
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MODIVA_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("MODIVA_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("MODIVA_CORPORA", raising=False)
    yield
    server.shutdown()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a line a request."""

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def _published(path: str) -> str:
    """A small file in the layout of the public one at this path."""
    name = Path(path).stem
    texts = [f"{word} number {n}" for n in range(12) for word in name.lower().split("_")]
    if "custom-intent-engines" in path:
        intent = Path(path).parent.name
        return json.dumps({intent: [{"data": [{"text": text}]} for text in texts]})
    if path.endswith("data_full.json"):
        pairs = [[f"{text} {n}", f"intent {n}"] for text in texts for n in range(3)]
        return json.dumps(dict.fromkeys(("train", "val", "test", "oos_train"), pairs))
    if name in ("seq", "label"):
        return "".join(f"{name} {n % 3}\n" for n in range(60))
    if "banking" in path:
        return "text,category\n" + "".join(f"{text} {n},c{n}\n" for text in texts for n in (1, 2))
    header = "answerid;scenario;intent;answer_annotation;answer_from_anno;answer_from_user\n"
    return header + "".join(f'1;a;b;"{text}";"{text}";"{text}"\n' for text in texts)


@pytest.fixture(autouse=True)
def _denormal_numbers() -> Iterator[None]:
    """Steps that run in this process flush denormal numbers, which other tests draw."""
    import torch

    yield
    torch.set_flush_denormal(False)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that workers end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: item.path not in slow)


def pytest_configure(config: pytest.Config) -> None:
    """One thread a process: workers run side by side, and results do not depend on the machine.

    Programs that tests start import the code beside the tests, whatever is installed and wherever
    they run: in an environment that several checkouts share, another one may be installed.
    """
    import torch

    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))

    # How long an example takes says how busy the machine is.
    settings.register_profile("modiva", deadline=None)
    settings.load_profile("modiva")
    torch.set_num_threads(1)
