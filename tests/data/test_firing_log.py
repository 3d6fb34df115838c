"""The log of what has fired: on the disk before it is sent, by any number of processes, whatever kills them."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data import firing_log
from options_helper.data.file_lock import lock_file
from options_helper.data.firing_log import (
    Acknowledged,
    FiringLog,
    Logged,
    Round,
    Took,
    Tried,
    Trying,
)
from options_helper.data.notify.messages import Outcome
from options_helper.model.alerts import Evidence, Firing, RuleState
from tests.kit.waiting import AT_ONCE, FOREVER

AT = datetime(2026, 11, 27, 20, 50, tzinfo=UTC)


FIRED, ARMED = RuleState(is_armed=False, is_known=True, fired_at=AT), RuleState(is_known=True)
UNSURE = RuleState(is_unknown_told=True)


def firing(key: str = "k1", **more) -> Firing:
    facts = {
        "rule": "tested", "subject": "underlying:SPY", "crossed_at": AT, "fired_at": AT, "severity": "warning",
        "title": "SPY is tested", "text": "0.4 %", "text_with_amounts": "$1,234", "targets": ("phone", "mail"),
        "evidence": (Evidence("spot", "560.10", "trade", 0.4),),
    } | more  # fmt: skip
    return Firing(key=key, **facts)


def tried(outcome: Outcome, target: str = "phone", number: int = 1) -> Tried:
    return Tried("k1", target, number, AT, outcome)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alerts" / "account.jsonl"


def test_what_has_fired_is_there_for_the_next_run_with_all_that_is_known_of_it(path: Path):
    log = FiringLog(path)
    log.append(Round(fired=(firing(),), states={"tested; SPY": FIRED}))
    log.append(Trying("k1", "phone", 1, AT), tried(Outcome.DELIVERED), Acknowledged("k1", AT))

    logged = FiringLog(path).look()

    one = logged.firings["k1"]
    assert one.firing == firing()
    assert (one.deliveries["phone"].outcome, one.deliveries["phone"].at) == (Outcome.DELIVERED, AT)
    assert (one.unsettled, one.acknowledged_at, logged.torn) == (("mail",), AT, 0)
    assert logged.states == {"tested; SPY": FIRED}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_it_is_for_its_owner_only(path: Path):
    FiringLog(path).append(Round(fired=(firing(),)))

    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize(
    ("rows", "stands"),
    [
        ((), (True, False)),
        ((Trying("k1", "phone", 1, AT),), (True, True)),
        ((Trying("k1", "phone", 1, AT), tried(Outcome.FAILED)), (True, False)),
        ((tried(Outcome.FAILED), Trying("k1", "phone", 2, AT)), (True, True)),
        ((tried(Outcome.UNANSWERED),), (True, True)),
        ((tried(Outcome.DELIVERED),), (False, False)),
        ((tried(Outcome.GAVE_UP),), (False, False)),
    ],
)
def test_what_must_still_be_sent_and_may_have_come_follows_from_the_rows(
    path: Path, rows, stands: tuple[bool, bool]
):
    log = FiringLog(path)
    log.append(Round(fired=(firing(targets=("phone",)),)), *rows)

    one = log.look().firings["k1"]

    assert (one.unsettled == ("phone",), one.deliveries["phone"].may_have_come) == stands


def test_another_process_sees_each_row_and_may_add_its_own(path: Path):
    one, other = FiringLog(path), FiringLog(path)
    assert other.look().firings == {}

    one.append(Round(fired=(firing(),)))
    other.append(Acknowledged("k1", AT))
    one.append(tried(Outcome.DELIVERED))

    assert one.look().firings["k1"].acknowledged_at == AT
    assert one.look() == other.look()


def test_a_state_changes_and_goes(path: Path):
    log = FiringLog(path)
    log.append(Round(states={"a": FIRED, "b": ARMED}))
    log.append(Round(states={"a": None, "b": FIRED}))

    assert FiringLog(path).look().states == {"b": FIRED}


@given(cut=st.integers(0, 2_000), damage=st.binary(max_size=20))
def test_a_torn_row_costs_itself_and_none_that_follows(
    tmp_path_factory: pytest.TempPathFactory, cut: int, damage: bytes
):
    path = tmp_path_factory.mktemp("torn") / "account.jsonl"
    log = FiringLog(path)
    log.append(Round(fired=(firing("k1"),)))
    kept = path.stat().st_size
    log.append(Round(fired=(firing("k2"),)))
    written = path.read_bytes()
    path.write_bytes(written[: min(kept + cut, len(written))] + damage.replace(b"\n", b" "))

    FiringLog(path).append(Round(fired=(firing("k3"),)))

    firings = FiringLog(path).look().firings
    assert {"k1", "k3"} <= firings.keys() <= {"k1", "k2", "k3"}


def test_a_disk_that_refuses_costs_no_alert_and_is_told(path: Path, monkeypatch: pytest.MonkeyPatch):
    log = FiringLog(path)
    with monkeypatch.context() as patched:
        patched.setattr(firing_log, "_append", Mock(side_effect=OSError(28, "No space left on device")))
        log.append(Round(fired=(firing(),), states={"a": FIRED}))
        assert "No space left" in (log.problem or "")
        assert log.look().firings.keys() == {"k1"}

    log.append(tried(Outcome.DELIVERED))

    assert log.problem is None
    logged = FiringLog(path).look()
    assert (logged.firings["k1"].unsettled, logged.states) == (("mail",), {"a": FIRED})


def test_what_a_full_disk_refused_is_written_as_soon_as_it_has_room(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = FiringLog(path)
    with monkeypatch.context() as patched:
        patched.setattr(firing_log, "_append", Mock(side_effect=OSError(28, "No space left on device")))
        log.append(Round(fired=(firing(),), states={"a": FIRED}))
        log.catch_up()
        assert "No space left" in (log.problem or "")

    log.catch_up()

    assert log.problem is None
    assert FiringLog(path).look().firings.keys() == {"k1"}
    written = path.read_bytes()
    log.catch_up()
    assert path.read_bytes() == written


@pytest.mark.parametrize("minutes", [5, 0, -60])
def test_rows_that_come_late_do_not_undo_what_another_program_has_written_since(
    path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int
):
    """The disk was full for the first; the second took over, judged on, and sent what had fired.

    Whatever its clock said: somebody may have set it back meanwhile.
    """
    one, other = FiringLog(path), FiringLog(path)
    later = AT + timedelta(minutes=minutes)
    other.append(Round(fired=(firing("k0"),), states={"a": UNSURE, "b": FIRED, "untouched": ARMED}))
    with monkeypatch.context() as patched:
        patched.setattr(firing_log, "_append", Mock(side_effect=OSError(28, "No space left on device")))
        one.append(Round(fired=(firing("k1"),), states={"a": FIRED, "b": ARMED, "mine": ARMED}))
        one.append(Trying("k0", "phone", 1, AT), Round(states={"untouched": FIRED}))
    other.append(Round(states={"a": ARMED, "b": None}))
    other.append(Acknowledged("k0", later))
    other.append(Tried("k0", "phone", 2, later, Outcome.DELIVERED))

    one.append(Acknowledged("k0", later))

    logged = FiringLog(path).look()
    assert one.look() == other.look() == logged
    # What the other one has not judged since stands as the first left it, else it would fire a second time.
    assert logged.states == {"a": ARMED, "mine": ARMED, "untouched": FIRED}
    assert logged.firings["k0"].deliveries["phone"].outcome is Outcome.DELIVERED
    assert logged.firings["k0"].unsettled == ("mail",)
    # What fired is lost by nobody.
    assert "k1" in logged.firings


def test_how_a_try_ended_is_written_late_where_nobody_else_has_tried(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also by a clock that was set back while the message was under way."""
    one, other = FiringLog(path), FiringLog(path)
    one.append(Round(fired=(firing("k0"), firing("k1"))), Trying("k0", "phone", 1, AT))
    with monkeypatch.context() as patched:
        patched.setattr(firing_log, "_append", Mock(side_effect=OSError(28, "No space left on device")))
        one.append(Tried("k0", "phone", 1, AT - timedelta(hours=1), Outcome.DELIVERED))
    other.append(
        Tried("k0", "mail", 1, AT, Outcome.DELIVERED), Tried("k1", "phone", 1, AT, Outcome.DELIVERED)
    )

    one.catch_up()

    assert other.look().firings["k0"].unsettled == ()


def test_what_the_disk_refused_stays_known_when_it_refuses_again_after_another_wrote(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Else the rule would be armed again, and fire a second time."""
    one, other = FiringLog(path), FiringLog(path)
    one.append(Round(states={"a": ARMED}))
    full = Mock(side_effect=OSError(28, "No space left on device"))
    with monkeypatch.context() as patched:
        patched.setattr(firing_log, "_append", full)
        one.append(Round(fired=(firing(),), states={"a": FIRED}))
    other.append(Round(states={"b": ARMED}))
    with monkeypatch.context() as patched:
        patched.setattr(firing_log, "_append", full)
        one.append(Round(states={"c": ARMED}))

    assert one.look().firings.keys() == {"k1"}
    assert one.look().states == {"a": FIRED, "b": ARMED, "c": ARMED}


def test_rows_that_come_late_stay_whole_where_nobody_wrote_meanwhile(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    log = FiringLog(path)
    log.append(Round(states={"a": ARMED}))
    with monkeypatch.context() as patched:
        patched.setattr(firing_log, "_append", Mock(side_effect=OSError(28, "No space left on device")))
        log.append(Round(states={"a": FIRED}))
        log.append(Round(states={"a": None, "b": FIRED}))
    log.append(Round(states={"c": ARMED}))

    assert log.look() == FiringLog(path).look()
    assert log.look().states == {"b": FIRED, "c": ARMED}


def test_a_row_of_one_in_whose_place_another_is_counts_for_nothing(path: Path):
    """It looked whether it had the lease, was stopped right before its row, and goes on."""
    log = FiringLog(path)
    log.append(Took(1, AT), Round(fired=(firing("k0"),), states={"a": ARMED}, term=1), Took(2, AT))
    log.append(
        Round(fired=(firing("k1"),), states={"a": FIRED}, term=1), Trying("k0", "phone", 1, AT, term=1)
    )
    log.append(tried(Outcome.DELIVERED), Round(fired=(firing("k2"),), term=2), Round(fired=(firing("k3"),)))

    logged = FiringLog(path).look()

    assert (list(logged.firings), logged.states, logged.term) == (["k0", "k2", "k3"], {"a": ARMED}, 2)
    assert not logged.firings["k0"].deliveries["phone"].is_open


def test_a_program_that_was_stopped_while_it_wrote_is_not_waited_for(path: Path):
    path.parent.mkdir()
    held = lock_file(path.with_suffix(".lock"))
    assert held is not None

    FiringLog(path, patience_seconds=0.05).append(Round(fired=(firing(),)))
    os.close(held)

    assert FiringLog(path).look().firings.keys() == {"k1"}


def test_a_log_on_a_disk_without_locks_is_never_written_anew(path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two programs would both do it, and put half of it in its place."""
    monkeypatch.setattr(firing_log, "LARGE_BYTES", 1)
    monkeypatch.setattr(firing_log, "lock_file", Mock(side_effect=OSError(errno.ENOLCK, "no locks")))
    log = FiringLog(path)
    log.append(Round(fired=(firing(),)))
    monkeypatch.setattr(log, "_write_anew", lambda _: pytest.fail("it is written anew"))

    log.shorten(AT)

    assert FiringLog(path).look().firings.keys() == {"k1"}


def test_who_only_looks_waits_for_nobody_who_writes(path: Path, monkeypatch: pytest.MonkeyPatch):
    """The page shows the log while another process has its lock, and while the disk takes its time."""
    log = FiringLog(path, patience_seconds=FOREVER)
    log.append(Round(fired=(firing(),)))
    held = lock_file(path.with_suffix(".lock"))
    assert held is not None
    waits, is_syncing, may_sync = threading.Event(), threading.Event(), threading.Event()

    def polled(lock: Path) -> int | None:
        if (descriptor := lock_file(lock)) is None:
            waits.set()
        return descriptor

    def slow(_: int) -> None:
        is_syncing.set()
        may_sync.wait(FOREVER)

    monkeypatch.setattr(firing_log, "lock_file", polled)
    monkeypatch.setattr(os, "fsync", slow)
    looked: list[Logged] = []
    writer = threading.Thread(target=log.append, args=(tried(Outcome.DELIVERED),))
    readers = [threading.Thread(target=lambda: looked.append(log.look())) for _ in range(2)]
    writer.start()
    try:
        for reader, moment in zip(readers, (waits, is_syncing), strict=True):
            assert moment.wait(AT_ONCE)
            reader.start()
            reader.join(AT_ONCE)
            assert not reader.is_alive()
            if moment is waits:
                os.close(held)
    finally:
        may_sync.set()
        writer.join()

    assert [one.firings["k1"].unsettled for one in looked] == [("phone", "mail"), ("mail",)]


def test_what_is_to_be_sent_is_on_the_disk_before_it_is_said_to_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The power may go before the kernel writes by itself."""
    on_disk: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        if not stat.S_ISDIR((status := os.fstat(descriptor)).st_mode):
            on_disk.append(status.st_size)

    monkeypatch.setattr(os, "fsync", noted)
    log = FiringLog(path)
    for row in (Round(fired=(firing(),)), Trying("k1", "phone", 1, AT), tried(Outcome.DELIVERED)):
        log.append(row)
        assert on_disk[-1:] == [path.stat().st_size]

    log.append(Round(states={"a": ARMED}), durable=False)
    assert on_disk[-1] < path.stat().st_size, "where a rule stands is not worth a wait each time"


def test_a_large_file_is_written_anew_with_what_is_of_use(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(firing_log, "LARGE_BYTES", 1)
    old = AT - timedelta(days=40)
    log, reader = FiringLog(path), FiringLog(path)
    settled = [Tried("old", name, 1, old, Outcome.GAVE_UP) for name in ("phone", "mail")]
    log.append(Round(fired=(firing("old", fired_at=old),)), *settled)
    log.append(Round(fired=(firing("unsent", fired_at=old),), states={"a": FIRED, "b": ARMED}))
    log.append(Round(fired=(firing("k1"),), states={"a": None}), Acknowledged("k1", AT))
    log.append(tried(Outcome.FAILED), Trying("k1", "phone", 2, AT), Took(3, AT))
    before = reader.look()

    log.shorten(AT)
    log.append(tried(Outcome.DELIVERED, "mail"))

    after = reader.look()
    assert after == log.look() == FiringLog(path).look()
    assert list(after.firings) == ["unsent", "k1"]
    assert after.firings["k1"].deliveries["phone"] == before.firings["k1"].deliveries["phone"]
    assert (after.states, after.firings["k1"].acknowledged_at, after.term) == ({"b": ARMED}, AT, 3)
    assert after.firings["k1"].unsettled == ("phone",)


def test_a_file_that_cannot_be_read_to_its_end_is_not_written_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What another program has written since the last look would be in none of both."""
    log, other = FiringLog(path), FiringLog(path)
    log.append(Round(fired=(firing("k1"),)))
    log.look()
    other.append(Round(fired=(firing("k2"),)))
    monkeypatch.setattr(firing_log, "LARGE_BYTES", 1)
    opened = Path.open

    def refuse(file: Path, *arguments: Any, **more: Any) -> Any:
        if file == path:
            raise OSError(errno.EMFILE, "too many open files")
        return opened(file, *arguments, **more)

    with monkeypatch.context() as crowded:
        crowded.setattr(Path, "open", refuse)
        log.shorten(AT)

    assert FiringLog(path).look().firings.keys() == {"k1", "k2"}


def test_what_is_still_to_be_sent_is_kept_however_much_has_fired_since(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(firing_log, "LARGE_BYTES", 1)
    monkeypatch.setattr(firing_log, "KEPT_AT_MOST", 2)
    log = FiringLog(path)
    log.append(
        Round(fired=(firing("unsent"), firing("unaddressed", targets=())), unaddressed=("unaddressed",))
    )
    log.append(Round(fired=tuple(firing(f"shown {number}", targets=()) for number in range(3))))

    log.shorten(AT)

    assert list(FiringLog(path).look().firings) == ["unsent", "unaddressed", "shown 1", "shown 2"]


def test_a_file_that_stays_large_is_written_anew_once_it_has_doubled(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A thousand long firings are more than a file may have; each look would write, and wait for the disk."""
    log = FiringLog(path)
    log.append(Round(fired=tuple(firing(f"k{number}") for number in range(10))))
    large = path.stat().st_size
    monkeypatch.setattr(firing_log, "LARGE_BYTES", large)

    times, inode = [], path.stat().st_ino
    for number in range(50):
        log.append(Round(fired=(firing(f"later {number}"),)))
        log.shorten(AT)
        if path.stat().st_ino != inode:
            inode = path.stat().st_ino
            times.append(number)

    assert times == [0, 12, 36], "at first, then at twice and at four times of what is kept"


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folder")
def test_of_the_first_row_the_disk_has_the_names_of_file_and_folders_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The power may go right after it was sent: a row in a file without a name is told of again."""
    on_disk: list[os.stat_result] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        on_disk.append(os.fstat(descriptor))

    monkeypatch.setattr(os, "fsync", noted)
    FiringLog(path).append(Round(fired=(firing(),)))

    for one in (path, path.parent, path.parent.parent):
        assert any(os.path.samestat(one.stat(), known) for known in on_disk), one


@pytest.mark.parametrize("step", ["os.open", "os.fsync", "pathlib.Path.replace"])
def test_who_is_stopped_over_the_new_file_overwrites_nothing_that_another_has_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    """Before it has a name, before the disk has it, and before it is put in the place."""
    monkeypatch.setattr(firing_log, "LARGE_BYTES", 1)
    log, other = FiringLog(path), FiringLog(path, patience_seconds=0.0)
    log.append(Round(fired=(firing("k1"),)))
    folder, _, name = step.rpartition(".")
    owner = os if folder == "os" else Path
    real = getattr(owner, name)
    left = iter([True])

    def stopped(*args, **kwargs):
        # Only at the new file; what the other does meanwhile goes on.
        is_new = step != "os.open" or str(args[0]).endswith(".new")
        if is_new and next(left, False):
            other.append(Round(fired=(firing("k2"),)))
        return real(*args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, stopped)
        log.shorten(AT)

    assert next(left, None) is None, "it was stopped"
    for one in (log, other, FiringLog(path)):
        assert list(one.look().firings) == ["k1", "k2"]
    log.shorten(AT)
    assert list(FiringLog(path).look().firings) == ["k1", "k2"]
    assert {one.suffix for one in path.parent.iterdir()} == {".jsonl", ".lock"}


WRITER = """
import sys
from pathlib import Path
from options_helper.data.firing_log import FiringLog, Round
from options_helper.model.alerts import Firing
from datetime import UTC, datetime
at = datetime(2026, 11, 27, tzinfo=UTC)
log = FiringLog(Path(sys.argv[1]))
for number in range(100_000):
    key = f"{sys.argv[2]}-{number}"
    log.append(Round(fired=(Firing(key=key, rule="r", subject="s", crossed_at=at, fired_at=at, severity="info",
        title="t" * 3_000, text="", text_with_amounts=""),)))
    print(key, flush=True)
"""


@pytest.mark.processes
def test_what_a_killed_program_said_it_wrote_is_there(path: Path):
    """Two write beside each other, and are killed in the midst of it."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, name], stdout=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    said: list[str] = []
    for writer in writers:
        assert writer.stdout is not None
        said += [writer.stdout.readline().strip() for _ in range(20)]
    for writer in writers:
        writer.kill()
        rest, _ = writer.communicate()
        said += [line for line in rest.split("\n")[:-1] if line]

    logged = FiringLog(path).look()

    assert set(said) <= logged.firings.keys()
    assert logged.torn <= 2
