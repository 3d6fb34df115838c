"""Show from outside that a run is alive, and how it is: a small file, replaced once a second.

The file is JSON, readable by its owner only, and holds no key. A capture keeps it in the folder it records into, the
dashboard in the user's state folder; `options-helper stream health` reads it, and so may any other program.

What a reader finds is at most a second old while the writer lives. Silence is measured where it can be judged: by the
writer, which knows whether its feeds are expected to move (`lag_seconds`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from options_helper import __version__
from options_helper.data.recording.status import CaptureStatus
from options_helper.model.announcement import MarketKind
from options_helper.model.callbacks import CallbackStats
from options_helper.model.providers import Providers
from options_helper.model.snapshot import LiveSnapshot, Phase

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 1
# How the launcher tells the page's process where it is opened.
PAGE_VARIABLE: Final = "OH_PAGE_ADDRESS"


class Role(StrEnum):
    """Who writes the file."""

    CAPTURE = "capture"
    DASHBOARD = "dashboard"
    INGESTION = "ingestion"
    WATCH = "watch"
    OWNER = "owner"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBeat:
    """One job of an ingestion, in numbers. Ages are as of the writing, on the market's clock."""

    every_seconds: float  # while its windows come due
    watermark_at: datetime | None = None  # up to where the store has it; None: it has nothing
    watermark_age_seconds: float | None = None
    next_due_at: datetime | None = None  # None: nothing comes due any more, as far as is known
    late_seconds: float | None = (
        None  # for how long the oldest window that is not done has been due; None: none is
    )
    successes: int = 0  # windows, as are the next two
    failures: int = 0
    failing: int = 0  # since the last success
    last_success_at: datetime | None = None
    rows: int = 0
    problem: str | None = None  # what went wrong last, and what to do; None once it went well
    ahead_to: datetime | None = None  # up to where a clock that was wrong has stored what counts as nothing
    empty: int = 0  # sessions that are stored without a single row
    again_at: datetime | None = None  # when the first of these is asked for again


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestionStatus:
    """Everything about an ingestion at one instant; `jobs` by their names."""

    started_at: datetime
    state: RunState = RunState.RUNNING
    market: MarketKind = MarketKind.ALPACA
    running_seconds: float = 0.0
    jobs: Mapping[str, JobBeat] = field(default_factory=dict)
    rows: int = 0
    bytes: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """A watch at one instant: what its own streams say, and in words what it is at."""

    snapshot: LiveSnapshot
    activity: str
    problem: str | None = None


Status = CaptureStatus | LiveSnapshot | Waiting | IngestionStatus | WatchStatus


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
    missed: int = 0  # on the way from the owner of the streams
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
    activity: str | None = None  # of a watch: "watching 12 legs, 5 rules, since 09:30"
    page: str | None = None  # where its live portfolio is opened; None: it serves none, or nobody said
    market: MarketKind = MarketKind.ALPACA
    market_key: str | None = None  # a name for server and key of the market data; None: not known
    desk: str | None = None  # the owner of the streams, where that is another program, in words
    session: str | None = None  # of a capture: its name in journal, gap ledger and meta files
    streams: Mapping[str, StreamBeat] = field(default_factory=dict)  # those that were asked for
    gaps: int = 0
    lost: int = 0  # events that are in no file, or were never shown
    callbacks: CallbackStats | None = None  # of a dashboard or a program; None: it has never had any
    # Of a capture; rows, bytes and uptime of an ingestion too.
    rows: int | None = None
    rows_waiting: int | None = None
    uptime_seconds: float | None = None  # by a clock that nobody sets; None: take the times
    bytes: int | None = None
    journal_bytes: int | None = None
    last_flush_at: datetime | None = None
    # Of an ingestion, by job.
    jobs: Mapping[str, JobBeat] = field(default_factory=dict)
    # What was asked over REST, by host.
    providers: Providers = field(default_factory=dict)

    @property
    def lag_seconds(self) -> float | None:
        """The longest silence of a stream that should be moving; None where none should."""
        return max(
            (beat.lag_seconds for beat in self.streams.values() if beat.lag_seconds is not None), default=None
        )
