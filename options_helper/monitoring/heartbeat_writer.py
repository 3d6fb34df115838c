"""Write the heartbeat every second, in a thread of its own."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from options_helper.clock import utc_now
from options_helper.data.periodic_task import PeriodicTask
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.errors import OptionsHelperError
from options_helper.model.announcement import MarketKind
from options_helper.model.market_hours import expects_data
from options_helper.model.providers import Providers
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamId
from options_helper.monitoring.heartbeat import (
    PAGE_VARIABLE,
    Heartbeat,
    IngestionStatus,
    Role,
    RunState,
    Status,
    StreamBeat,
    Waiting,
    WatchStatus,
)
from options_helper.monitoring.heartbeat_file import write_heartbeat
from options_helper.monitoring.systemd import notify_systemd

log = logging.getLogger(__name__)


EVERY_SECONDS: Final = 1.0
_NAMED_AT_MOST: Final = 20
_JOIN_SECONDS: Final = 2.0

_CONNECTED: Final = {Phase.LIVE, Phase.QUIET, Phase.STALLED}
# Nothing will come, whatever the market does; or, for `quiet`, the stream itself has judged its silence.
_EXPECTING_NOTHING: Final = {Phase.OFF, Phase.QUIET, Phase.FAILED, Phase.STOPPED}


class HeartbeatWriter:
    """Writes the file at once, then every second, and a last time at the end; for use in a `with`.

    `market` is whose market is asked, for as long as nothing is connected, `market_key` with which server and key.

    `read` says how the run is, `providers` what it asked over REST; both are called on the thread of this object, but
    at the beginning and at the end on the caller's. A disk that refuses costs nothing but the file: it is logged once,
    and the file grows old, which tells.
    Begin it after the run has its folder, so that it does not write over the file of the run that really has it.
    """

    def __init__(
        self,
        path: Path,
        read: Callable[[], Status | None],
        *,
        role: Role = Role.CAPTURE,
        market: MarketKind = MarketKind.ALPACA,
        market_key: str | None = None,
        providers: Callable[[], Providers] = dict,
        every_seconds: float = EVERY_SECONDS,
        now: Callable[[], datetime] = utc_now,
        notify_service: Callable[[str], None] | None = None,
    ) -> None:
        self._path = path
        self._read = read
        self._providers = providers
        self._now = now
        self._notify_service = notify_service or notify_systemd
        self._expectations = _Expectations()
        # Replaced whole, as `last`.
        self._blank = Heartbeat(
            role=role,
            pid=os.getpid(),
            host=socket.gethostname(),
            started_at=now(),
            written_at=now(),
            state=RunState.RUNNING,
            page=os.environ.get(PAGE_VARIABLE),
            market=market,
            market_key=market_key,
        )
        self._task = PeriodicTask("live-heartbeat", self._beat, every_seconds)
        self._is_closed = False
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
        self._notify_service("READY=1")
        self._task.start()

    def now_of(self, market_key: str | None) -> None:
        """From now on market data are asked with this server and key. From any thread."""
        self._blank = replace(self._blank, market_key=market_key)

    def close(self, problem: str | None = None) -> None:
        """Write that the run has ended, and why if that was not wanted; harmless twice."""
        if self._is_closed:
            return
        self._is_closed = True
        # A disk that wakes up takes its time, and what is written last must be what is said here.
        self._task.stop(_JOIN_SECONDS)
        self._notify_service("STOPPING=1")
        last = self._described()
        self._write(replace(last, state=RunState.ENDED, waits_until=None, problem=problem or last.problem))

    def _beat(self) -> None:
        beat = self._described()
        self._write(beat)
        if beat.state is not RunState.ENDED:
            self._notify_service("WATCHDOG=1")

    def _described(self) -> Heartbeat:
        blank = replace(self._blank, written_at=self._now(), providers=self._providers())
        return describe(self._read(), blank, self._expectations)

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
        self._since: dict[StreamId, datetime] = {}

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
            streams = _stream_beats(status, expectations)
            return replace(
                blank,
                started_at=status.running_since or blank.started_at,
                state=RunState.RUNNING if status.running else RunState.ENDED,
                market=status.market,
                streams=streams,
                gaps=sum(beat.gaps for beat in streams.values()),
                lost=sum(beat.dropped + beat.rejected + beat.missed for beat in streams.values()),
                desk=None if status.desk is None else status.desk.owner,
                callbacks=status.callbacks if status.callbacks.offered else None,
            )
        case WatchStatus():
            of_streams = describe(status.snapshot, blank, expectations)
            # Following over REST it has no streams, and runs.
            return replace(
                of_streams,
                started_at=blank.started_at,
                state=RunState.RUNNING,
                activity=status.activity,
                problem=status.problem,
            )
        case CaptureStatus():
            return replace(
                blank,
                started_at=status.started_at,
                state=_STATES[status.state],
                problem=status.problem,
                market=status.market,
                session=status.session,
                desk=status.owner,
                streams=_stream_beats(status, expectations),
                gaps=status.gaps,
                lost=status.lost,
                uptime_seconds=round(status.running_seconds, 3),
                rows=status.store.total.written,
                rows_waiting=status.store.total.buffered + status.put_off,
                bytes=status.store.total.bytes_written,
                journal_bytes=status.journal_bytes,
                last_flush_at=status.store.last_flush_at,
            )
        case IngestionStatus():
            return replace(
                blank,
                started_at=status.started_at,
                state=status.state,
                problem=status.problem,
                market=status.market,
                uptime_seconds=round(status.running_seconds, 3),
                rows=status.rows,
                bytes=status.bytes,
                jobs=status.jobs,
            )


_STATES: Final[dict[CaptureState, RunState]] = {
    CaptureState.RECORDING: RunState.RUNNING,
    CaptureState.JOURNAL_ONLY: RunState.JOURNAL_ONLY,
    CaptureState.DISK_REFUSES: RunState.RUNNING,  # the problem says it
    CaptureState.ENDED: RunState.ENDED,
}


def _stream_beats(status: LiveSnapshot | CaptureStatus, expectations: _Expectations) -> dict[str, StreamBeat]:
    return {
        name: _stream_beat(health, _is_expected_to_move(health, status), status.as_of, expectations)
        for name, health in status.streams.items()
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
        asked=len(health.requested),
        acknowledged=len(health.acknowledged),
        refused=len(health.refused_symbols),
        refused_symbols=health.refused_symbols[:_NAMED_AT_MOST],
        received=health.received,
        applied=health.applied,
        dropped=health.dropped,
        rejected=health.rejected,
        missed=health.missed,
        queued=health.queued,
        gaps=health.gap_count,
        connections=health.connections,
        last_error=health.last_error,
    )


def _is_expected_to_move(health: StreamHealth, status: LiveSnapshot | CaptureStatus) -> bool:
    """Whether this stream should be heard from now: the market is open, and it is not known to be an idle one."""
    if health.phase is Phase.STOPPED and isinstance(status, LiveSnapshot) and status.running:
        pass  # its owner elsewhere has ended: this run goes on, and is deaf
    elif health.phase in _EXPECTING_NOTHING:
        return False
    if health.name.kind.silence_is_normal and health.phase in _CONNECTED:
        return False  # orders, for one, come when they come
    if status.market.plays:
        return True  # a played session is open until its stream is quiet
    at = status.market_time if isinstance(status, CaptureStatus) else status.as_of
    return expects_data(health.name, health.feed or "", at, health.requested, status.told_sessions)


def _seconds(since: datetime, until: datetime) -> float:
    return round(max(0.0, (until - since).total_seconds()), 3)
