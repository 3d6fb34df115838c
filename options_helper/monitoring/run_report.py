"""Say of a run, from its heartbeat, whether all is well: for a person, for cron and for a monitor."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from rich import filesize

from options_helper.errors import StoreError
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase
from options_helper.model.text import format_count
from options_helper.monitoring.heartbeat import Heartbeat, RunState, StreamBeat
from options_helper.monitoring.heartbeat_file import read_heartbeat


class RunStatus(StrEnum):
    """How a run is; only `running` is healthy."""

    RUNNING = "running"
    STALE = "stale"  # it is there and does not keep up: the heartbeat is old, or a feed is silent that should move
    NOT_RUNNING = "not_running"
    FAILED = "failed"  # something keeps it from its work, most likely until somebody acts


@dataclass(frozen=True, slots=True)
class RunReport:
    """One look at a run. `message` is a sentence; what is not known is None."""

    status: RunStatus
    message: str
    heartbeat: Heartbeat | None = None
    heartbeat_age_seconds: float | None = None
    path: Path | None = None  # of the heartbeat's file

    @property
    def name(self) -> str:
        """Which run it is: "the capture (process 4711)"."""
        beat = self.heartbeat
        return "nobody's run" if beat is None else f"the {beat.role} (process {beat.pid})"

    @property
    def healthy(self) -> bool:
        """Whether nobody needs to look."""
        return self.status is RunStatus.RUNNING

    @property
    def ended(self) -> bool:
        """Whether the run is over: the heartbeat is its last word, and nothing in it is so now."""
        over = self.heartbeat is not None and self.heartbeat.state is RunState.ENDED
        return over or self.status is RunStatus.NOT_RUNNING

    @property
    def lag_seconds(self) -> float | None:
        """The longest silence of a stream that should be moving, as of the heartbeat; None where none should."""
        return None if self.heartbeat is None or self.ended else self.heartbeat.lag_seconds

    @property
    def uptime_seconds(self) -> float | None:
        """How long the run has lasted, or did."""
        beat = self.heartbeat
        if beat is None or beat.uptime_seconds is not None:
            return None if beat is None else beat.uptime_seconds
        return max(0.0, (beat.written_at - beat.started_at).total_seconds())

    def facts(self) -> dict[str, Any]:
        """Everything, for JSON."""
        beat = self.heartbeat
        streams = () if beat is None else beat.streams.values()
        return {
            "status": self.status,
            "healthy": self.healthy,
            "words": self.message,
            "file": None if self.path is None else str(self.path),
            "role": None if beat is None else beat.role,
            "lag_seconds": self.lag_seconds,
            "heartbeat_age_seconds": self.heartbeat_age_seconds,
            "uptime_seconds": self.uptime_seconds,
            "totals": {name: sum(getattr(one, name) for one in streams) for name in _COUNTS},
            "symbols": {name: sum(getattr(one, name) for one in streams) for name in _SYMBOLS},
            "gaps": None if beat is None else beat.gaps,
            "heartbeat": None if beat is None else asdict(beat),
        }


_COUNTS: Final = ("received", "applied", "dropped", "rejected", "queued")
_NAMED_AT_MOST: Final = 5
_SYMBOLS: Final = ("asked", "acknowledged", "refused")


def process_lives(pid: int) -> bool | None:
    """Whether the process of this number is there and no zombie; None where asking would end it."""
    if sys.platform == "win32":
        return None  # asking would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether it is dead and only its number is left, as in a container where nobody collects it."""
    try:
        said = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False  # another kind of system, or just gone
    return said.rpartition(b")")[2].split()[:1] == [b"Z"]


def read_run(
    path: Path,
    at: datetime,
    max_lag_seconds: float,
    *,
    process_lives: Callable[[int], bool | None] = process_lives,
) -> RunReport:
    """Read the heartbeat at `path` and judge it; never raises for what it finds there."""
    try:
        beat = read_heartbeat(path)
    except StoreError as error:
        return RunReport(RunStatus.FAILED, str(error), path=path)
    if beat is None:
        return RunReport(
            RunStatus.NOT_RUNNING,
            f"There is no heartbeat at {path}: nothing has run. Start a capture or the dashboard, or name --state.",
            path=path,
        )
    # A number means nothing on another computer, which a shared folder may be from.
    here = beat.host == socket.gethostname()
    lives = process_lives(beat.pid) if here else None
    age = round((at - beat.written_at).total_seconds(), 3)
    status, message = _judge(beat, age, max_lag_seconds, lives=lives)
    return RunReport(status, message, beat, age, path)


def _judge(beat: Heartbeat, age: float, max_lag: float, *, lives: bool | None) -> tuple[RunStatus, str]:
    if beat.state is RunState.ENDED:
        return _judge_ended(beat)
    if lives is False:
        return RunStatus.NOT_RUNNING, (
            f"The {beat.role} (process {beat.pid}) is gone without a word; its last sign is {format_age(age)} old. "
            "It was killed, or it crashed."
        )
    if age > max_lag:
        return RunStatus.STALE, (
            f"The {beat.role} (process {beat.pid}) last wrote its heartbeat {format_age(age)} ago: it is stopped, or "
            "its disk is full or hangs."
        )
    if age < -max_lag:
        return RunStatus.STALE, (
            f"The {beat.role} wrote its heartbeat {format_age(-age)} in the future: the computer's clock was set back."
        )
    if beat.problem:
        return RunStatus.FAILED, f"The {beat.role} runs, but: {beat.problem}"
    return _judge_streams(beat, max(0.0, age), max_lag)


def _judge_ended(beat: Heartbeat) -> tuple[RunStatus, str]:
    if why := beat.problem or _failures(beat):
        return RunStatus.FAILED, f"The {beat.role} has ended. {why}"
    return (
        RunStatus.NOT_RUNNING,
        f"The {beat.role} ended in order at {beat.written_at:%Y-%m-%d %H:%M:%S} UTC.",
    )


def _judge_streams(beat: Heartbeat, age: float, max_lag: float) -> tuple[RunStatus, str]:
    if failures := _failures(beat):
        return RunStatus.FAILED, failures
    late = {
        name: one.lag_seconds + age
        for name, one in beat.streams.items()
        if one.lag_seconds is not None and one.lag_seconds + age > max_lag
    }
    if late:
        said = " ".join(
            f"No {name} data for {format_age(lag)} although the market is open ({beat.streams[name].phase}). "
            f"{_reason(beat.streams[name])}"
            for name, lag in late.items()
        )
        return RunStatus.STALE, said.strip()
    return RunStatus.RUNNING, _wellness(beat)


def _failures(beat: Heartbeat) -> str:
    """A sentence for each stream that is refused or has given up, however often it is still tried; empty: none is."""
    failed = {name: one for name, one in beat.streams.items() if one.phase is Phase.FAILED}
    return " ".join(f"The {name} stream has failed. {_reason(one)}".strip() for name, one in failed.items())


def _wellness(beat: Heartbeat) -> str:
    if beat.state is RunState.WAITING:
        until = "" if beat.waits_until is None else f" at {beat.waits_until:%a %Y-%m-%d %H:%M %Z}"
        return f"The {beat.role} waits for the market to open{until}."
    doing = {
        RunState.RUNNING: "runs",
        RunState.JOURNAL_ONLY: "runs; under pressure it writes the journal first, and the rows later",
    }[beat.state]
    played = {
        MarketKind.ALPACA: "",
        MarketKind.LOCAL: " on a market of this computer",
        MarketKind.SIMULATED: " on a simulated market",
        MarketKind.REPLAY: " on a replay",
    }
    silence = (
        ""
        if any(one.expects_data for one in beat.streams.values())
        else "; nothing is expected from its feeds now"
    )
    return f"The {beat.role} {doing}{played[beat.market]}{silence}.{_unconnected(beat)}"


def _unconnected(beat: Heartbeat) -> str:
    """Which streams have never been connected, and why; empty where all have."""
    waiting = {name: one for name, one in beat.streams.items() if not one.connections}
    if not waiting:
        return ""
    reasons = dict.fromkeys(filter(None, map(_reason, waiting.values())))
    return " ".join((f" Never connected so far: {', '.join(waiting)}.", *reasons))


def _reason(one: StreamBeat) -> str:
    return "" if one.last_error is None else one.last_error


def format_age(seconds: float) -> str:
    """A stretch of time as one reads it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3_600:.1f} h"
    return f"{seconds / 86_400:.1f} days"


def report_lines(report: RunReport) -> list[str]:
    """The report as a person reads it in a terminal."""
    beat = report.heartbeat
    lines = [f"{report.status}: {report.message}"]
    if beat is None:
        return lines
    lines.append(f"{report.name}, {report.path}")
    up, age = format_age(report.uptime_seconds or 0.0), max(0.0, report.heartbeat_age_seconds or 0.0)
    if report.ended:
        lines.append(f"It was up {up}; this is how it was {format_age(age)} ago:")
    else:
        lag = "nothing expected" if report.lag_seconds is None else format_age(report.lag_seconds)
        lines.append(f"up {up}, heartbeat {format_age(age)} old, lag: {lag}")
    lines += [_stream_line(name, one, age, ended=report.ended) for name, one in beat.streams.items()]
    if beat.rows is not None:
        size = filesize.decimal((beat.bytes or 0) + (beat.journal_bytes or 0))
        lines.append(f"{format_count(beat.rows, 'row')} written, {beat.rows_waiting or 0:,} waiting, {size}")
    lines.append(f"{format_count(beat.gaps, 'gap')}, {format_count(beat.lost, 'event')} lost")
    return lines


def _stream_line(name: str, one: StreamBeat, age: float, *, ended: bool) -> str:
    silent = one.silent_seconds
    last = "no event yet" if silent is None else f"last event {format_age(silent + age)} ago"
    refused = f", {one.refused} refused ({_some(one)})" if one.refused else ""
    rate = "" if ended else f"{one.events_per_second:,.1f} events/s, "
    return (
        f"{name} ({one.feed}): {'was ' if ended else ''}{one.phase}, {last}, {rate}"
        f"{one.acknowledged} of {one.asked} symbols{refused}, {one.received:,} events received, "
        f"{one.dropped:,} dropped, {one.rejected:,} rejected"
    )


def _some(one: StreamBeat) -> str:
    named = one.refused_symbols[:_NAMED_AT_MOST]
    more = one.refused - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
