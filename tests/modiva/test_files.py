"""Files are written whole or not at all, also when the disk is full or the writer dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from modiva.files import atomic_folder, remove_parts, write_bytes, write_json, write_text


def test_what_is_written_is_there_and_nothing_else(tmp_path):
    path = write_text(tmp_path / "new" / "folder" / "note.txt", "ε = 3")
    assert path.read_text(encoding="utf-8") == "ε = 3"
    assert [p.name for p in path.parent.iterdir()] == ["note.txt"]


def test_a_value_that_is_not_json_leaves_the_old_file(tmp_path):
    path = write_json(tmp_path / "value.json", {"epsilon": 1.0})
    before = path.read_bytes()
    with pytest.raises(ValueError):
        write_json(path, {"epsilon": float("inf")})
    with pytest.raises(TypeError):
        write_json(path, {"epsilon": object()})
    assert path.read_bytes() == before


def test_a_folder_appears_when_its_block_ends_and_not_before(tmp_path):
    target = tmp_path / "model"
    with atomic_folder(target) as folder:
        (folder / "weights").write_text("1")
        assert not target.exists()
    assert (target / "weights").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_failed_block_leaves_the_old_folder(tmp_path):
    target = tmp_path / "model"
    with atomic_folder(target) as folder:
        (folder / "weights").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:  # noqa: PT012
        (folder / "weights").write_text("new")
        raise RuntimeError
    assert (target / "weights").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_disk_that_is_full_leaves_no_part_of_a_file(tmp_path):
    # A limit on the size of files stands in for a full disk: the write fails in the middle.
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom modiva.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_bytes(Path(sys.argv[1]), b'x' * 100_000)\n"
        "except OSError as error: print('refused', error.errno)\n"
    )
    path = tmp_path / "rows.csv"
    write_bytes(path, b"old")
    run = [sys.executable, "-B", "-c", code, str(path)]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert printed.startswith("refused")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [Path(path)]


KILLED = """
import os, signal, sys
from pathlib import Path
from modiva.files import atomic_folder, write_bytes
path = Path(sys.argv[2])
if sys.argv[1] == "folder":
    with atomic_folder(path) as folder:
        (folder / "weights").write_text("half")
        print(folder, flush=True)
        os.kill(os.getpid(), int(sys.argv[3])) if sys.argv[3] != "0" else sys.stdin.read()
else:
    def stop(handle):
        print("there", flush=True)
        os.kill(os.getpid(), int(sys.argv[3])) if sys.argv[3] != "0" else sys.stdin.read()
    os.fsync = stop
    write_bytes(path, b"half")
"""


def _writer(kind, path, kill):
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, kind, str(path), str(kill)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def _write(kind, path):
    if kind == "file":
        write_text(path, "new")
    else:
        with atomic_folder(path) as folder:
            (folder / "weights").write_text("new")


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("name", ["page", "a [1]*?.x"])
def test_what_a_killed_writer_leaves_is_removed_by_the_next_and_a_running_one_keeps_its_own(
    kind, name, tmp_path
):
    path = tmp_path / name
    _write(kind, tmp_path / "other")
    with _writer(kind, path, signal.SIGKILL) as killed:
        assert killed.wait() == -signal.SIGKILL
    (left,) = tmp_path.glob(".*.part")
    remove_parts(tmp_path, "another")
    assert left.exists()
    with _writer(kind, path, 0) as running:
        assert running.stdout.readline()
        (own,) = tmp_path.glob(".*.part")  # the killed one's is gone
        assert own != left
        remove_parts(tmp_path)
        _write(kind, path)
        assert list(tmp_path.glob(".*.part")) == [own]
        running.communicate("")
    assert running.returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "other"])
    assert (path if kind == "file" else path / "weights").read_text() == "half"


def test_what_others_left_is_not_touched(tmp_path):
    for name in (".page.html", "page.part", ".page.part.txt"):
        (tmp_path / name).write_text("mine")
    remove_parts(tmp_path)
    remove_parts(tmp_path / "gone")
    assert len(list(tmp_path.iterdir())) == 3
