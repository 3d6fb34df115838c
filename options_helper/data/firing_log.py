"""What rules have fired, where that was sent, and where the rules stand: rows at the end of one file, never changed.

A row is on the disk before anything of it is sent. What fired and the state of the rules after it are one row, so that
whoever is killed in between has either both or none, and the next run neither loses a crossing nor repeats one. Whether
a message arrived is written after its server has answered: who is killed between the two finds a try without an end
later, and that message is sent again and says that it may have come before.

A row that was torn costs itself: each begins on a line of its own, whatever stands before it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, assert_never

import msgspec
from msgspec import Struct

from options_helper.data.atomic_file import make_folder, sync_folder
from options_helper.data.file_lock import lock_file
from options_helper.data.notify.messages import Attempt, Outcome
from options_helper.decoders import json_decoder
from options_helper.model.alerts import Firing, RuleState

log = logging.getLogger(__name__)

# From this size on the file is written anew, with what is still of use; then from twice of what that was.
LARGE_BYTES: Final = 2_000_000
KEPT: Final = timedelta(days=30)
KEPT_AT_MOST: Final = 1_000
_BUSY_SECONDS: Final = 0.01
# By then whoever holds the lock is not at work, but stopped in the midst of it.
_PATIENCE_SECONDS: Final = 1.0
_SETTLED: Final = (Outcome.DELIVERED, Outcome.GAVE_UP)


class Took(Struct, frozen=True, tag="took", tag_field="row"):
    """A program has taken the lease, and its term begins."""

    term: int
    at: datetime


class Round(Struct, frozen=True, tag="round", tag_field="row"):
    """What one evaluation brought: firings, and what changed in the state of the rules; None: it is no more.

    Of no use below a newer term's beginning: its program was stopped before it could write it, and lost the lease.
    """

    fired: tuple[Firing, ...] = ()
    states: dict[str, RuleState | None] = {}
    unaddressed: tuple[str, ...] = ()  # of the firings by their keys, whose targets are not known yet
    term: int = 0  # its program's; 0: of none


class Trying(Struct, frozen=True, tag="try", tag_field="row"):
    """A message is about to be sent."""

    key: str
    target: str
    number: int
    at: datetime
    term: int = 0  # as in a round


class Tried(Struct, frozen=True, tag="tried", tag_field="row"):
    """What became of it."""

    key: str
    target: str
    number: int
    at: datetime
    outcome: Outcome
    why: str | None = None


class Acknowledged(Struct, frozen=True, tag="acknowledged", tag_field="row"):
    """Somebody has seen it."""

    key: str
    at: datetime


Row = Took | Round | Trying | Tried | Acknowledged


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where one firing stands at one target."""

    outcome: Outcome | None = None  # of the last try; None: none has ended
    at: datetime | None = None
    tries: int = 0
    why: str | None = None
    is_open: bool = False  # a try has begun, and nobody knows how it ended

    @property
    def is_settled(self) -> bool:
        """Whether nothing is sent any more."""
        return self.outcome in _SETTLED and not self.is_open

    @property
    def may_have_come(self) -> bool:
        """Whether a try has ended without an answer."""
        return self.is_open or self.outcome is Outcome.UNANSWERED


@dataclass(frozen=True, slots=True)
class LoggedFiring:
    """One firing with all that the log knows of it."""

    firing: Firing
    deliveries: Mapping[str, Delivered] = field(default_factory=lambda: MappingProxyType({}))
    acknowledged_at: datetime | None = None
    is_unaddressed: bool = False  # to whom it goes was not known when it fired

    @property
    def unsettled(self) -> tuple[str, ...]:
        """The targets that it must still be sent to."""
        return tuple(name for name, one in self.deliveries.items() if not one.is_settled)


@dataclass(frozen=True, slots=True)
class Logged:
    """Everything at one moment; firings in the order in which they were written."""

    firings: Mapping[str, LoggedFiring] = field(default_factory=lambda: MappingProxyType({}))
    states: Mapping[str, RuleState] = field(default_factory=lambda: MappingProxyType({}))
    torn: int = 0  # rows that cannot be read
    term: int = 0  # of who took the lease last

    def delivery(self, key: str, target: str) -> Delivered:
        """How that firing stands at that target; untried where nothing is known of it."""
        logged = self.firings.get(key)
        return Delivered() if logged is None else logged.deliveries.get(target, Delivered())


class FiringLog:
    """One account's log; callable from any thread, and several processes may have it open.

    Rows that the disk does not take are kept in mind and written with the next, and `problem` says so: an alert is
    worth more than its row.
    """

    def __init__(
        self,
        path: Path,
        *,
        append: Callable[..., None] | None = None,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._path = path
        self._patience_seconds = patience_seconds
        self._to_disk = append
        # Held while another process's lock is waited for and while the disk is: whoever only looks waits for neither.
        self._writing = threading.RLock()
        # Guarded by that one: rows that the disk has refused, and how the file and what it says were before them.
        self._unwritten: list[Row] = []
        self._refused_at: tuple[int, int, int] | None = None
        self._stood = Logged()
        self._depth = 0  # of `exclusive`
        self._is_locked = False  # by this one, in `exclusive`
        self._is_barred = False  # another has the lock, and runs no more
        self._lock = threading.Lock()
        # Guarded by that one, which may be taken while the other is held.
        self._fold = _Fold()
        self._read_to = 0
        self._inode: tuple[int, int] | None = None
        self._anew_bytes = 0  # of the file when this one wrote it anew; 0: it has not
        self._shown: Logged | None = None
        self.problem: str | None = None  # replaced whole, so any thread may read it

    def look(self) -> Logged:
        """What stands in it now, other processes' rows too."""
        with self._lock:
            self._follow()
            if self._shown is None:
                self._shown = self._fold.logged()
            return self._shown

    def append(self, *rows: Row, durable: bool = True) -> None:
        """Write these rows; `durable` waits until the disk has them, else the computer's end could lose them."""
        with self.exclusive():
            if self._unwritten and self._state_of_file() != self._refused_at:
                self._unwritten = list(self._still_true(self._unwritten))
            self._unwritten += rows
            self._write(rows, durable=durable)

    def catch_up(self) -> None:
        """Write what the disk has refused, where it takes it now: whoever takes over knows nothing of it before."""
        with self._writing:
            if self._unwritten:
                self.append()

    def shorten(self, now: datetime) -> None:
        """Write the file anew with what is of use, where it has grown large; only its lease's holder does."""
        with self.exclusive():
            with self._lock:
                self._follow()
            # Without the lock two programs would write one file of one name.
            if self._read_to >= max(LARGE_BYTES, 2 * self._anew_bytes) and self._is_locked:
                with suppress(OSError):
                    self._write_anew(now)

    def _write_anew(self, now: datetime) -> None:
        """The new file has its name before the old one is read: who writes meanwhile takes it away.

        Whoever is stopped in the midst of this is not waited for. What others have written by the time that it goes on
        it has read, or it finds nothing to put in the place of the file.
        """
        self._new.unlink(missing_ok=True)  # of one who was killed
        try:
            with open(os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor
                with self._lock:
                    self._read_on()
                    rows = tuple(self._fold.worth_keeping(now))
                file.write(b"".join(map(_line, rows)))
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            self._new.replace(self._path)
            self._anew_bytes = size
        except BaseException:
            self._new.unlink(missing_ok=True)
            raise
        sync_folder(self._path.parent)

    @property
    def _new(self) -> Path:
        """What is to be put in the place of the file."""
        return self._path.with_suffix(".new")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Let no other thread or process append meanwhile; one that was stopped while it did is not waited for."""
        with self._writing:
            descriptor = self._locked() if self._depth == 0 else None
            self._is_locked = self._is_locked if self._depth else descriptor is not None
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if descriptor is not None:
                    os.close(descriptor)

    def _locked(self) -> int | None:
        self._is_barred = False
        deadline = time.monotonic() + self._patience_seconds
        try:
            make_folder(self._path.parent, mode=0o700)
            while (descriptor := lock_file(self._path.with_suffix(".lock"))) is None:
                if time.monotonic() >= deadline:
                    self._is_barred = True
                    return None
                time.sleep(_BUSY_SECONDS)
        except OSError:
            return None  # writing will say so
        return descriptor

    def _follow(self) -> None:
        """Read what has come to the file since the last look, as far as it can be read now; under the lock."""
        with suppress(OSError):
            self._read_on()

    def _read_on(self) -> None:
        """Read what has come to the file since the last look; OSError where it cannot be read now; under the lock."""
        with self._path.open("rb") as file:
            status = os.fstat(file.fileno())
            inode = (status.st_dev, status.st_ino)
            if inode != self._inode or status.st_size < self._read_to:
                self._fold, self._read_to, self._inode, self._shown = _Fold(), 0, inode, None
            if status.st_size == self._read_to:
                return
            file.seek(self._read_to)
            # A row whose end is not written yet is read when it is.
            data, newline, _ = file.read().rpartition(b"\n")
        self._read_to += len(data) + len(newline)
        self._fold.read(data)
        self._shown = None

    def _write(self, rows: Sequence[Row], *, durable: bool) -> None:
        data = b"".join(map(_line, self._unwritten))
        try:
            self._add_to_file(data, durable=durable)
        except OSError as error:
            self._say(
                f"What alerts have fired cannot be written down: {error.strerror}. A restart may repeat it."
            )
            is_first = len(self._unwritten) == len(rows)
            self._refused_at = self._state_of_file()
            # Known to this process at least.
            with self._lock:
                self._follow()
                if is_first:
                    self._stood = self._fold.logged()
                # All of them: the fold was made anew from the file where another process has written.
                for row in self._unwritten:
                    self._fold.add(row)
                self._shown = None
        else:
            self._unwritten = []
            self._say(None)
            with self._lock:
                self._follow()

    def _add_to_file(self, data: bytes, *, durable: bool) -> None:
        while True:
            before = self._state_of_file()
            (self._to_disk or _append)(self._path, data, durable=durable)
            if self._is_locked:
                return
            # Whoever was stopped over a new file has not read this, and may be about to put it in the place. It is
            # taken away after the rows are written: if it was put there before that, they are written once more.
            with suppress(FileNotFoundError):
                self._new.unlink()
            after = self._state_of_file()
            if before is None or after is None or before[:2] == after[:2]:
                return

    def _state_of_file(self) -> tuple[int, int, int] | None:
        """By which it is known whether another process has written; None: there is none."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_size

    def _still_true(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Of rows that come late what another process's rows have not overtaken: it went on without knowing them.

        What fired is told in any order, and so of no term. Where a rule stands that it has judged since, and how a
        message stands that it has tried to send since, the other one knows better.
        """
        with self._lock:
            # As the file says, without what is known to this process alone.
            self._fold, self._read_to, self._inode, self._shown = _Fold(), 0, None, None
            self._follow()
            known = self._fold.logged()
        for row in rows:
            match row:
                case Round():
                    new = {
                        key: state
                        for key, state in row.states.items()
                        if known.states.get(key) == self._stood.states.get(key)
                    }
                    yield Round(row.fired, new, row.unaddressed)
                case Trying() | Tried():
                    # By what stands there and by no time: the clock may have been set between two programs' rows.
                    if known.delivery(row.key, row.target) == self._stood.delivery(row.key, row.target):
                        yield row
                case Acknowledged() | Took():
                    yield row
                case _:
                    assert_never(row)
        self._stood = known

    def _say(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem


class _Fold:
    """What the rows say together; adding one twice changes nothing."""

    def __init__(self) -> None:
        self._firings: dict[str, LoggedFiring] = {}
        self._states: dict[str, RuleState] = {}
        self._torn = self._term = 0

    def read(self, data: bytes) -> None:
        for line in data.split(b"\n"):
            if not line:
                continue
            try:
                self.add(_decoder.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._torn += 1

    def add(self, row: Row) -> None:
        if isinstance(row, Round | Trying) and 0 < row.term < self._term:
            return
        match row:
            case Took():
                self._term = max(self._term, row.term)
            case Round():
                self._add_round(row)
            case Trying():
                self._change(row.key, row.target, tries=row.number, at=row.at, is_open=True)
            case Tried():
                self._change(
                    row.key,
                    row.target,
                    tries=row.number,
                    at=row.at,
                    outcome=row.outcome,
                    why=row.why,
                    is_open=False,
                )
            case Acknowledged():
                if (logged := self._firings.get(row.key)) and logged.acknowledged_at is None:
                    self._firings[row.key] = replace(logged, acknowledged_at=row.at)
            case _:
                assert_never(row)

    def _add_round(self, row: Round) -> None:
        for firing in row.fired:
            known = self._firings.get(firing.key)
            # One that fired before its targets were known is told again with them.
            if known is None or not known.firing.targets:
                blank = MappingProxyType({name: Delivered() for name in firing.targets})
                acknowledged_at = None if known is None else known.acknowledged_at
                waits = firing.key in row.unaddressed
                self._firings[firing.key] = LoggedFiring(firing, blank, acknowledged_at, waits)
        for key, state in row.states.items():
            if state is None:
                self._states.pop(key, None)
            else:
                self._states[key] = state

    def logged(self) -> Logged:
        """A copy."""
        return Logged(
            MappingProxyType(dict(self._firings)),
            MappingProxyType(dict(self._states)),
            self._torn,
            self._term,
        )

    def worth_keeping(self, now: datetime) -> Iterator[Row]:
        """Rows that say the same of what has fired lately, and of all that is still to be sent."""
        since, settled_from = now - KEPT, len(self._firings) - KEPT_AT_MOST
        yield Took(self._term, now)
        yield Round(states=dict(self._states))
        for place, logged in enumerate(self._firings.values()):
            is_old = place < settled_from or logged.firing.fired_at < since
            if is_old and not (logged.unsettled or logged.is_unaddressed):
                continue
            key = logged.firing.key
            yield Round(fired=(logged.firing,), unaddressed=(key,) * logged.is_unaddressed)
            for name, one in logged.deliveries.items():
                if one.outcome is not None and one.at is not None:
                    yield Tried(key, name, one.tries, one.at, one.outcome, one.why)
                if one.is_open and one.at is not None:
                    yield Trying(key, name, one.tries, one.at)
            if logged.acknowledged_at is not None:
                yield Acknowledged(key, logged.acknowledged_at)

    def _change(self, key: str, target: str, **changes: Any) -> None:
        if (logged := self._firings.get(key)) is not None:
            now = logged.deliveries.get(target, Delivered())
            deliveries = {**logged.deliveries, target: replace(now, **changes)}
            self._firings[key] = replace(logged, deliveries=MappingProxyType(deliveries))


_decoder: Final = json_decoder(Row)


def tried(attempt: Attempt) -> Tried:
    """The row of what became of a message."""
    return Tried(attempt.key, attempt.target, attempt.number, attempt.at, attempt.outcome, attempt.why)


def _append(path: Path, data: bytes, *, durable: bool) -> None:
    """Add it; OSError when the disk refuses, and then a part of it may stand there.

    `durable` waits for the name of a new file too: without it the disk has a row that nobody finds.
    """
    is_new = not path.exists()
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(path, flags, 0o600), "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    if durable and is_new:
        sync_folder(path.parent)


def _line(row: Row) -> bytes:
    # Whatever a writer who was killed has left before it, it begins a line.
    return b"\n" + msgspec.json.encode(row) + b"\n"
