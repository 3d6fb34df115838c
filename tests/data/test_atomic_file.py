"""Whoever reads a file that is replaced, whenever, finds the old one or the new one, and nothing is left beside it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from options_helper.data.atomic_file import replace_file

if sys.platform != "win32":
    import fcntl

SIZE = 200_000
# Is killed when the new bytes are written and have not got the name.
REPLACING_UNTIL_KILLED = """
import os, signal, sys
from pathlib import Path
from options_helper.data.atomic_file import replace_file
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
replace_file(Path(sys.argv[1]), b"new", durable=True)
"""
# The system lets nobody write more than a hundred bytes into a file here.
REPLACING_WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
from options_helper.data.atomic_file import replace_file
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    replace_file(Path(sys.argv[1]), b"new" * 100)
except OSError:
    sys.exit(7)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "data.json"
    file.write_bytes(b"old")
    return file


def is_whole(data: bytes) -> bool:
    return data == data[:1] * SIZE


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("durable", [False, True])
def test_the_new_one_is_there_and_nothing_else(file: Path, *, durable: bool):
    replace_file(file, b"new", durable=durable)

    assert file.read_bytes() == b"new"
    assert list(file.parent.iterdir()) == [file]


def test_nobody_sees_a_half_file_though_several_write_at_once(file: Path):
    file.write_bytes(b"0" * SIZE)

    def write(digit: bytes) -> None:
        for _ in range(50):
            replace_file(file, digit * SIZE)

    writers = [threading.Thread(target=write, args=(b"%d" % one,), name=f"writer-{one}") for one in (1, 2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert is_whole(file.read_bytes())
    for writer in writers:
        writer.join()

    assert file.read_bytes()[:1] in {b"1", b"2"}
    assert list(file.parent.iterdir()) == [file]


def test_a_kill_leaves_the_old_one(file: Path):
    killed = subprocess.run([sys.executable, "-c", REPLACING_UNTIL_KILLED, str(file)], check=False)

    assert killed.returncode == -signal.SIGKILL
    assert file.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_what_killed_writers_left_is_removed_by_the_next_and_nothing_else(file: Path):
    others = [file.with_name(name) for name in (".data.json", ".data.json.new", ".other.json.1234abcd.new")]
    for other in others:
        other.touch()
    subprocess.run([sys.executable, "-c", REPLACING_UNTIL_KILLED, str(file)], check=False)
    assert len(list(file.parent.iterdir())) == 2 + len(others)

    replace_file(file, b"newer")

    assert sorted(file.parent.iterdir()) == sorted([file, *others])


def test_what_a_living_writer_is_at_is_left_to_it(file: Path, monkeypatch: pytest.MonkeyPatch):
    """Of two writers one waits for the disk, and the other comes and goes meanwhile."""

    def another_writes(_: int) -> None:
        monkeypatch.undo()
        replace_file(file, b"another's")
        assert len(list(file.parent.iterdir())) == 2

    monkeypatch.setattr(os, "fsync", another_writes)
    replace_file(file, b"new", durable=True)

    assert file.read_bytes() == b"new"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(sys.platform == "win32", reason="has no such locks")
def test_who_is_taken_for_killed_before_the_lock_is_had_begins_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    lock = fcntl.flock

    def lose(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        replace_file(file, b"another's")
        assert list(file.parent.iterdir()) == [file]
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lose)
    replace_file(file, b"new")

    assert file.read_bytes() == b"new"
    assert list(file.parent.iterdir()) == [file]


def test_a_disk_that_refuses_leaves_the_old_one(file: Path):
    refused = subprocess.run([sys.executable, "-c", REPLACING_WITHOUT_ROOM, str(file)], check=False)

    assert refused.returncode == 7
    assert file.read_bytes() == b"old"
    assert list(file.parent.iterdir()) == [file]


def test_what_cannot_be_replaced_stays_and_nothing_is_left_beside_it(tmp_path: Path):
    folder = tmp_path / "data.json"
    folder.mkdir()

    with pytest.raises(OSError, match="directory"):
        replace_file(folder, b"new")

    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_is_missing_is_not_made(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "nowhere" / "data.json", b"new")

    assert list(tmp_path.iterdir()) == []


def test_a_link_is_replaced_and_not_followed(file: Path):
    link = file.with_name("link.json")
    link.symlink_to(file)

    replace_file(link, b"new")

    assert not link.is_symlink()
    assert (link.read_bytes(), file.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("wanted", [0o600, 0o640, 0o664, 0o444])
def test_it_has_the_permissions_asked_for_whatever_the_process_gives_its_files(file: Path, wanted: int):
    file.chmod(0o666)

    replace_file(file, b"new", mode=wanted)

    assert mode(file) == wanted


def test_it_has_the_permissions_of_any_new_file_when_none_are_asked_for(file: Path):
    file.chmod(0o600)
    other = file.with_name("other.json")
    other.touch()

    replace_file(file, b"new")

    assert mode(file) == mode(other)


def test_the_disk_has_the_file_before_its_name_and_then_the_name(file: Path, monkeypatch: pytest.MonkeyPatch):
    """A name that came to the disk before its bytes is an empty file after a power cut."""
    synced: list[tuple[str, bytes]] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        what = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((what, file.read_bytes()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)

    replace_file(file, b"new")
    assert synced == []

    replace_file(file, b"newer", durable=True)
    assert synced == [("file", b"new"), ("folder", b"newer")]
