"""The lease: one has it, the next takes over when that one is gone or stopped, and the stopped one knows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest

from options_helper.data.file_lock import lock_file
from options_helper.data.lease import Lease
from options_helper.data.lease_course import STALE_SECONDS, carry_out

SINCE = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alerts" / "account.lease"


def lease(path: Path, who: str, clock: Clock | None = None) -> Lease:
    return Lease(path, who, since=SINCE, monotonic=clock or Clock())


def test_one_has_it_and_the_other_sees_who(path: Path):
    page, watch = lease(path, "dashboard"), lease(path, "watch")

    assert page.keep()
    assert not watch.keep()

    assert (page.is_mine, watch.is_mine) == (True, False)
    holder = watch.holder()
    assert holder is not None
    assert (holder.who, holder.pid, holder.since) == ("dashboard", os.getpid(), SINCE)
    page.release()


@pytest.mark.parametrize("ends", [Lease.let_go, Lease.release, None], ids=["killed", "in order", "stopped"])
def test_who_takes_it_goes_on_from_the_look_of_who_had_it(path: Path, ends: Callable[[Lease], None] | None):
    """Its own may be of long before: it was stopped, and another looked meanwhile."""
    clock = Clock()
    page, watch = lease(path, "dashboard", clock), lease(path, "watch", clock)
    watch.keep(1_050.0)
    if ends is None:
        clock.seconds += STALE_SECONDS
    else:
        ends(watch)

    assert page.keep(900.0)
    assert page.looked_at() == 1_050.0
    assert page.keep(1_060.0)
    assert page.looked_at() == 1_060.0, "and then from its own"


def test_a_look_that_is_still_to_come_is_of_before_the_computer_was_started(path: Path):
    watch, page = lease(path, "watch"), lease(path, "dashboard")
    watch.keep(50_000.0)
    watch.let_go()

    assert carry_out(page.course.keep(900.0, 1_000.0), page.do)
    assert page.looked_at() == 900.0


def test_given_back_it_is_the_next_ones_at_once(path: Path):
    page, watch = lease(path, "dashboard"), lease(path, "watch")
    page.keep()

    page.release()

    assert not page.is_mine
    assert watch.keep()
    assert not page.keep()
    watch.release()


def test_one_that_lives_keeps_it_for_ever(path: Path):
    clock = Clock()
    page, watch = lease(path, "dashboard", clock), lease(path, "watch", clock)
    for _ in range(20):
        assert page.keep()
        clock.seconds += STALE_SECONDS - 1
        assert not watch.keep()
    page.release()


def test_one_that_was_stopped_loses_it_and_knows_when_it_goes_on(path: Path):
    clock = Clock()
    page, watch, third = (lease(path, who, clock) for who in ("dashboard", "watch", "third"))
    page.keep()
    clock.seconds += STALE_SECONDS

    assert watch.keep()
    assert not page.is_mine, "whatever it was about to send, it does not"
    assert not third.keep(), "one of those who wait takes it"
    assert not page.keep()

    watch.release()
    assert page.keep()
    page.release()


def test_of_two_who_find_it_stopped_at_the_same_moment_one_takes_it(path: Path):
    clock = Clock()
    page, watch = lease(path, "dashboard", clock), lease(path, "watch", clock)
    page.keep()
    clock.seconds += STALE_SECONDS
    has_taken: list[bool] = []

    def while_the_third_looks() -> float:
        if not has_taken:
            has_taken.append(True)
            has_taken[0] = watch.keep()
        return clock.seconds

    third = Lease(path, "third", since=SINCE, monotonic=while_the_third_looks)

    assert not third.keep(), "whom it found stopped is not the holder any more"
    assert (has_taken, watch.is_mine) == ([True], True)
    watch.release()
    page.release()


def test_one_that_was_stopped_over_its_first_use_blocks_nobody_for_ever(path: Path):
    """It has the lock of a file in which nothing stands, and runs no more."""
    clock = Clock()
    path.parent.mkdir()
    held = lock_file(path)
    assert held is not None
    watch, page = lease(path, "watch", clock), lease(path, "dashboard", clock)

    assert not watch.keep()
    clock.seconds += STALE_SECONDS
    assert not watch.keep(), "what it saw so long ago was perhaps another"
    for _ in range(5):
        clock.seconds += STALE_SECONDS / 6
        assert not watch.keep()
    clock.seconds += STALE_SECONDS / 6
    assert watch.keep()
    assert not page.keep()
    os.close(held)
    watch.release()


def test_who_cannot_write_in_the_place_of_one_who_wrote_nothing_leaves_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It may live, on the same full disk: then it sends, and two would."""
    clock = Clock()
    path.parent.mkdir()
    held = lock_file(path)
    assert held is not None
    watch = lease(path, "watch", clock)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", Mock(side_effect=OSError(28, "No space left on device")))
        for _ in range(8):
            assert not watch.keep()
            clock.seconds += STALE_SECONDS / 6
    os.close(held)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="counts open descriptors")
def test_a_full_disk_costs_no_descriptor_and_no_file(path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = Clock()
    page, watch = lease(path, "dashboard", clock), lease(path, "watch", clock)
    page.keep()
    clock.seconds += STALE_SECONDS
    opened: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", Mock(side_effect=OSError(28, "No space left on device")))
        for _ in range(3):
            with pytest.raises(OSError, match="No space left"):
                watch.keep()
            opened.append(len(list(Path("/dev/fd").iterdir())))

    assert len(set(opened)) == 1
    assert {one.suffix for one in path.parent.iterdir()} == {".lease", ".turn"}
    assert (page.is_mine, watch.keep()) == (True, True)
    watch.release()
    page.release()


def test_a_folder_that_was_emptied_costs_a_moment_of_the_lease(path: Path):
    page = lease(path, "dashboard")
    page.keep()
    path.unlink()

    assert not page.is_mine
    assert page.keep()
    page.release()


HOLDER = """
import sys, time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from options_helper.data.lease import Lease
lease = Lease(Path(sys.argv[1]), "watch", since=datetime(2026, 11, 27, tzinfo=UTC))
print(lease.keep(), flush=True)
sys.stdin.read()
"""


@pytest.mark.processes
def test_the_end_of_its_process_gives_it_back_however_that_ends(path: Path):
    clock = Clock()
    page = lease(path, "dashboard", clock)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        found = page.holder()
        assert found is not None
        clock.seconds = found.renewed + STALE_SECONDS - 1
        assert not page.keep()
        os.kill(holder.pid, signal.SIGSTOP)
        clock.seconds += 1
        assert page.keep(), "one that is stopped does not do it"
        page.release()
    finally:
        holder.kill()
        holder.communicate()

    assert page.keep()
    page.release()
