"""Captures and heartbeats in one line each, for the tests of what is shown of a run."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from options_helper.data.intraday_store import KindCounts, StoreCounts
from options_helper.data.recording.status import CaptureState, CaptureStatus
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import PORTFOLIO_STREAMS, StreamName
from options_helper.monitoring.heartbeat import Heartbeat, Role, RunState, StreamBeat
from options_helper.monitoring.heartbeat_file import write_heartbeat
from tests.kit.builders import AS_OF


class Clock:
    """Tells the time that a test set."""

    def __init__(self, now: datetime = AS_OF) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def stocks_health(
    *, silent: float | None = 0.5, as_of: datetime = AS_OF, phase: Phase = Phase.LIVE, **more: Any
) -> StreamHealth:
    """A stock stream whose newest event came `silent` seconds ago."""
    last = None if silent is None else as_of - timedelta(seconds=silent)
    return StreamHealth(StreamName.STOCKS, phase, "iex", alive=True, last_event_at=last, **more)


def capture_status(*streams: StreamHealth, as_of: datetime = AS_OF, **more: Any) -> CaptureStatus:
    """A capture that has run for ten minutes."""
    facts: dict[str, Any] = {
        "state": CaptureState.RECORDING,
        "session": "20261120T145000Z-1",
        "started_at": AS_OF - timedelta(minutes=10),
        "market": MarketKind.ALPACA,
        "store": StoreCounts(
            {"stocks": KindCounts(appended=12, written=10, buffered=2, bytes_written=2_000)}
        ),
        "put_off": 3,
        "journal_bytes": 1_000,
        "gaps": 1,
        **more,
    }
    healths = {name: StreamHealth(name) for name in PORTFOLIO_STREAMS} | {one.name: one for one in streams}
    return CaptureStatus(as_of=as_of, streams=healths, **facts)


def stream_beat(**more: Any) -> StreamBeat:
    """A stream that moves."""
    facts: dict[str, Any] = {
        "phase": Phase.LIVE,
        "feed": "iex",
        "expects_data": True,
        "silent_seconds": 0.5,
        "lag_seconds": 0.5,
        "events_per_second": 12.5,
        "asked": 2,
        "acknowledged": 2,
        "refused": 0,
        "received": 100,
        "applied": 97,
        "dropped": 2,
        "rejected": 1,
        "queued": 0,
        "gaps": 1,
        "connections": 2,
        "last_error": None,
    }
    return StreamBeat(**{**facts, **more})


def heartbeat(**more: Any) -> Heartbeat:
    """A capture of this process that is well."""
    facts: dict[str, Any] = {
        "role": Role.CAPTURE,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started_at": AS_OF - timedelta(minutes=10),
        "written_at": AS_OF,
        "state": RunState.RUNNING,
        "streams": {StreamName.STOCKS: stream_beat()},
        "gaps": 1,
        "lost": 3,
        "rows": 97,
        "rows_waiting": 0,
        "bytes": 2_000,
        "journal_bytes": 1_000,
    }
    return Heartbeat(**{**facts, **more})


def heartbeat_file(folder: Path, **more: Any) -> Path:
    """The file of such a capture."""
    path = folder / ".health.json"
    write_heartbeat(path, heartbeat(**more))
    return path
