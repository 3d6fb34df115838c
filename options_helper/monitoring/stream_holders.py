"""Who on this computer has an account's one connection to a feed, by the heartbeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamId
from options_helper.monitoring.heartbeat_file import known_heartbeats
from options_helper.monitoring.judgement import RunStatus
from options_helper.monitoring.run_report import read_run

# The heartbeat of a run that lives is written every second.
LIVING_SECONDS: Final = 30.0
HOLDING: Final = frozenset({Phase.LIVE, Phase.QUIET, Phase.STALLED})


def stream_holder(
    feeds: Iterable[tuple[StreamId, str]],
    now: datetime,
    environ: Mapping[str, str] | None = None,
    *,
    but_not: int | None = None,
    local_market: bool | None = None,
) -> str | None:
    """The program of this user whose heartbeat says that it uses one of these feeds; None where none does.

    `but_not` is a process that does not count. `local_market` is whether only those on a market of this computer count,
    or only the others; None: all.
    """
    wanted = tuple(feeds)
    with suppress(RuntimeError):
        for path in known_heartbeats(environ):
            report = read_run(path, now, LIVING_SECONDS)
            beat = report.heartbeat
            if beat is None or report.status is RunStatus.NOT_RUNNING or beat.pid == but_not:
                continue
            if local_market is not None and local_market is not (beat.market is not MarketKind.ALPACA):
                continue
            for name, feed in wanted:
                stream = beat.streams.get(name)
                if stream is not None and stream.phase in HOLDING and stream.feed in (None, feed):
                    return f"the {beat.role} on this computer (process {beat.pid})"
    return None
