"""Show from outside that a run is alive, and how it is: a small file, replaced once a second.

The file is JSON, readable by its owner only, and holds no key. A capture keeps it in the folder it records into, the
dashboard in the user's state folder; `options-helper stream health` reads it, and so may any other program.

What a reader finds is at most a second old while the writer lives. Silence is measured where it can be judged: by the
writer, which knows whether its feeds are expected to move (`lag_seconds`).
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from options_helper import __version__
from options_helper.clock import utc_now
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.errors import OptionsHelperError, StoreError
from options_helper.model.announcement import MarketKind
from options_helper.model.events import StreamName
from options_helper.model.market_hours import market_open
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 1
CAPTURE_FILE: Final = ".health.json"
DASHBOARD_FILE: Final = "dashboard.json"
# In the state folder: a link to the file of the capture that began last, so that a person need not name it.
LAST_CAPTURE_LINK: Final = "last-capture.json"
EVERY_SECONDS: Final = 1.0
_NAMED_AT_MOST: Final = 20
_JOIN_SECONDS: Final = 2.0
# The file's size is a multiple of this, so that a full disk, which has no new block, can still take the next one.
_BLOCK: Final = 4_096

_CONNECTED: Final = {Phase.LIVE, Phase.QUIET, Phase.STALLED}
# Nothing will come, whatever the market does; or, for `quiet`, the stream itself has judged its silence.
_EXPECTING_NOTHING: Final = {Phase.OFF, Phase.QUIET, Phase.FAILED, Phase.STOPPED}


class Role(StrEnum):
    """Who writes the file."""

    CAPTURE = "capture"
    DASHBOARD = "dashboard"


class RunState(StrEnum):
    """Where a run is."""

    WAITING = "waiting"  # for the market to open; nothing is connected
    RUNNING = "running"
    JOURNAL_ONLY = "journal only"  # under pressure: rows are put off, nothing is lost
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A capture that is not connected yet."""

    until: datetime


Status = CaptureStatus | LiveSnapshot | Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBeat:
    """One stream, in numbers. Ages are as of the writing, on the market's clock."""

    phase: Phase
    feed: str | None
    expects_data: bool  # whether silence would mean trouble
    silent_seconds: float | None  # since the newest event; None before the first
    lag_seconds: float | None  # how much of that while data is expected; None while none is
    events_per_second: float
    asked: int  # symbols
    acknowledged: int
    refused: int
    refused_symbols: tuple[str, ...] = ()  # the first few
    received: int  # events, as are the next four
    applied: int
    dropped: int
    rejected: int
    queued: int
    gaps: int
    connections: int
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One run at one moment. Times are UTC on the computer's clock."""

    schema_version: int = SCHEMA_VERSION
    program: str = __version__
    role: Role
    pid: int
    host: str
    started_at: datetime
    written_at: datetime
    state: RunState
    waits_until: datetime | None = None
    problem: str | None = None
    market: MarketKind = MarketKind.ALPACA
    session: str | None = None  # of a capture: its name in journal, gap ledger and meta files
    streams: Mapping[StreamName, StreamBeat] = field(default_factory=dict)  # those that were asked for
    gaps: int = 0
    lost: int = 0  # events that are in no file, or were never shown
    # Of a capture.
    rows: int | None = None
    rows_waiting: int | None = None
    bytes: int | None = None
    journal_bytes: int | None = None
    last_flush_at: datetime | None = None

    @property
    def lag_seconds(self) -> float | None:
        """The longest silence of a stream that should be moving; None where none should."""
        return max(
            (beat.lag_seconds for beat in self.streams.values() if beat.lag_seconds is not None), default=None
        )


class HeartbeatWriter:
    """Writes the file at once, then every second, and a last time at the end; for use in a `with`.

    `read` says how the run is; it is called on the thread of this object, but at the beginning and at the end on the
    caller's. A disk that refuses costs nothing but the file: it is logged once, and the file grows old, which tells.
    Begin it after the run has its folder, so that it does not write over the file of the run that really has it.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[], Status | None],
        *,
        role: Role = Role.CAPTURE,
        every_seconds: float = EVERY_SECONDS,
        now: Callable[[], datetime] = utc_now,
        tell_service: Callable[[str], None] | None = None,
    ) -> None:
        self._path = path
        self._read = read
        self._every_seconds = every_seconds
        self._now = now
        self._tell_service = tell_service or tell_systemd
        self._expectations = _Expectations()
        self._blank = Heartbeat(
            role=role,
            pid=os.getpid(),
            host=socket.gethostname(),
            started_at=now(),
            written_at=now(),
            state=RunState.RUNNING,
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="live-heartbeat", daemon=True)
        self._refused = False
        # Replaced whole, so any thread may read it.
        self.last = self._blank

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(None if error is None else _why(error))

    def start(self) -> None:
        """Write the first one and go on by itself."""
        self._beat()
        self._tell_service("READY=1")
        self._thread.start()

    def close(self, problem: str | None = None) -> None:
        """Write that the run has ended, and why if that was not wanted; harmless twice."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._thread.join(_JOIN_SECONDS)
        self._tell_service("STOPPING=1")
        last = self._described()
        self._write(replace(last, state=RunState.ENDED, waits_until=None, problem=problem or last.problem))

    def _work(self) -> None:
        while not self._stopping.wait(self._every_seconds):
            try:
                self._beat()
            except Exception:
                # A thread's last line: a round that fails makes the file old, and must not end the next ones.
                log.exception("the heartbeat could not be made")

    def _beat(self) -> None:
        beat = self._described()
        self._write(beat)
        if beat.state is not RunState.ENDED:
            self._tell_service("WATCHDOG=1")

    def _described(self) -> Heartbeat:
        return describe(self._read(), replace(self._blank, written_at=self._now()), self._expectations)

    def _write(self, beat: Heartbeat) -> None:
        self.last = beat
        try:
            write_heartbeat(self._path, beat)
        except OSError as error:
            if not self._refused:
                log.warning("the heartbeat %s cannot be written: %s", self._path, error.strerror or error)
            self._refused = True
        else:
            self._refused = False


def _why(error: BaseException) -> str:
    if isinstance(error, OptionsHelperError):
        return str(error)
    return f"It ended unexpectedly ({type(error).__name__}): {error}"


class _Expectations:
    """Since when each stream has been expected to move without a pause."""

    def __init__(self) -> None:
        self._since: dict[StreamName, datetime] = {}

    def lag(self, health: StreamHealth, expects: bool, as_of: datetime) -> float | None:  # noqa: FBT001 - a fact
        if not expects:
            self._since.pop(health.name, None)
            return None
        since = self._since.setdefault(health.name, as_of)
        return _seconds(max(since, health.last_event_at or since), as_of)


def describe(status: Status | None, blank: Heartbeat, expectations: _Expectations) -> Heartbeat:
    """The heartbeat of a run that is so; `blank` has what does not change, and the time."""
    match status:
        case None:  # it is about to begin
            return blank
        case Waiting():
            return replace(blank, state=RunState.WAITING, waits_until=status.until)
        case LiveSnapshot():
            streams = _stream_beats(status.streams, status.market, status.as_of, expectations)
            return replace(
                blank,
                started_at=status.running_since or blank.started_at,
                state=RunState.RUNNING if status.running else RunState.ENDED,
                market=status.market,
                streams=streams,
                gaps=sum(beat.gaps for beat in streams.values()),
                lost=sum(beat.dropped + beat.rejected for beat in streams.values()),
            )
        case CaptureStatus():
            return replace(
                blank,
                started_at=status.started_at,
                state=_STATES[status.state],
                problem=status.problem,
                market=status.market,
                session=status.session,
                streams=_stream_beats(status.streams, status.market, status.as_of, expectations),
                gaps=status.gaps,
                lost=status.lost,
                rows=status.store.total.written,
                rows_waiting=status.store.total.buffered + status.put_off,
                bytes=status.store.total.bytes_written,
                journal_bytes=status.journal_bytes,
                last_flush_at=status.store.last_flush_at,
            )


_STATES: Final[dict[CaptureState, RunState]] = {
    CaptureState.RECORDING: RunState.RUNNING,
    CaptureState.JOURNAL_ONLY: RunState.JOURNAL_ONLY,
    CaptureState.DISK_REFUSES: RunState.RUNNING,  # the problem says it
    CaptureState.ENDED: RunState.ENDED,
}


def _stream_beats(
    streams: Mapping[StreamName, StreamHealth],
    market: MarketKind,
    as_of: datetime,
    expectations: _Expectations,
) -> dict[StreamName, StreamBeat]:
    return {
        name: _stream_beat(health, _expects_data(health, market, as_of), as_of, expectations)
        for name, health in streams.items()
        if health.phase is not Phase.OFF
    }


def _stream_beat(
    health: StreamHealth,
    expects: bool,  # noqa: FBT001 - a fact
    as_of: datetime,
    expectations: _Expectations,
) -> StreamBeat:
    return StreamBeat(
        phase=health.phase,
        feed=health.feed,
        expects_data=expects,
        silent_seconds=None if health.last_event_at is None else _seconds(health.last_event_at, as_of),
        lag_seconds=expectations.lag(health, expects, as_of),
        events_per_second=round(health.events_per_second, 1),
        asked=len(health.asked),
        acknowledged=len(health.acknowledged),
        refused=len(health.refused_symbols),
        refused_symbols=health.refused_symbols[:_NAMED_AT_MOST],
        received=health.received,
        applied=health.applied,
        dropped=health.dropped,
        rejected=health.rejected,
        queued=health.queued,
        gaps=health.gap_count,
        connections=health.connections,
        last_error=health.last_error,
    )


def _expects_data(health: StreamHealth, market: MarketKind, as_of: datetime) -> bool:
    """Whether this stream should be heard from now: the market is open, and it is not known to be an idle one."""
    if health.phase in _EXPECTING_NOTHING:
        return False
    if health.name is StreamName.FILLS and health.phase in _CONNECTED:
        return False  # orders come when they come
    if market is not MarketKind.ALPACA:
        return True  # a played session is open until its stream is quiet
    roots = {contract[:-15] for contract in health.asked} if health.name is StreamName.OPTIONS else set()
    return market_open(health.name, health.feed or "", as_of, roots)


def _seconds(since: datetime, until: datetime) -> float:
    return round(max(0.0, (until - since).total_seconds()), 3)


# ---- the file


def write_heartbeat(path: Path, beat: Heartbeat) -> None:
    """Replace the file in one step, for its owner only; OSError when the disk refuses.

    A disk that is full, which is what somebody should learn from it, takes it in place of the old one, in one write.
    """
    data = msgspec.json.format(msgspec.json.encode(beat), indent=1)
    data = data.ljust(-(-(len(data) + 1) // _BLOCK) * _BLOCK - 1) + b"\n"
    try:
        _replace(path, data)
    except OSError as error:
        if error.errno != errno.ENOSPC or not _overwrite(path, data):
            raise


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name.lstrip('.')}.new")
    # Made afresh, so that mode and owner are ours and no link is followed.
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise


def _overwrite(path: Path, data: bytes) -> bool:
    """Write over the file's own blocks; whether there is such a file and it is long enough."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        size = os.fstat(descriptor).st_size
        return size >= len(data) and os.write(descriptor, data.ljust(size)) == size
    finally:
        os.close(descriptor)


def read_heartbeat(path: Path) -> Heartbeat | None:
    """What was written last; None where there is no file. StoreError where it cannot be read or is no heartbeat."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Heartbeat)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"The heartbeat {path} cannot be read: {error.strerror or error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{path} is no heartbeat of this version: {error}. Name the file of a capture or of the dashboard."
        ) from error


def state_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where programs keep what is theirs for this user; it may not exist yet."""
    environ = os.environ if environ is None else environ
    if base := environ.get("XDG_STATE_HOME"):
        return Path(base) / "options-helper"
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "options-helper"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "options-helper"
    return Path.home() / ".local" / "state" / "options-helper"


def dashboard_file() -> Path | None:
    """Where the dashboard keeps its heartbeat; None for a user without a home."""
    try:
        return state_folder() / DASHBOARD_FILE
    except RuntimeError:
        return None


def remember_capture(path: Path) -> None:
    """Let `stream health` without a name find this file; a system that refuses only loses that."""
    link = state_folder() / LAST_CAPTURE_LINK
    try:
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
    except OSError as error:
        log.info("%s cannot be made: %s", link, error)


def newest_heartbeat() -> Path:
    """The file that was written last, of the last capture and of the dashboard; the dashboard's where there is none."""
    folder = state_folder()
    found = [folder / name for name in (DASHBOARD_FILE, LAST_CAPTURE_LINK)]
    return max(found, key=_written_ns)


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


# ---- the service manager


def tell_systemd(message: str) -> None:
    """Say `READY=1`, `WATCHDOG=1` or `STOPPING=1` to the service manager that started this process, if one did."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
        # A leading @ stands for the zero byte of an abstract name.
        to.sendto(message.encode(), "\0" + address[1:] if address.startswith("@") else address)
