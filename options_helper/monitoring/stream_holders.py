"""Who on this computer has an account's one connection to a feed, by the heartbeats, and how to share it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from options_helper.data.atomic_file import make_folder
from options_helper.data.secret_name import secret_name
from options_helper.data.state_folder import state_folder
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.heartbeat_file import known_heartbeats
from options_helper.monitoring.judgement import RunStatus
from options_helper.monitoring.run_report import read_run
from options_helper.settings import Settings

# The heartbeat of a run that lives is written every second.
LIVING_SECONDS: Final = 30.0
HOLDING: Final = frozenset({Phase.LIVE, Phase.QUIET, Phase.STALLED})


def market_key(settings: Settings, environ: Mapping[str, str] | None = None) -> str | None:
    """A name for the server and the key of these market data, the same in all programs of this user.

    Nobody can tell anything else from it. None where there is no key, or no folder for the number that it is made with.
    """
    asked = settings.market_data
    if asked.api_key is None:
        return None
    try:
        folder = state_folder(environ)
        make_folder(folder, mode=0o700)
        return secret_name(folder, f"{asked.stream_url}\0{asked.api_key.get_secret_value()}")
    except (OSError, RuntimeError):
        return None


@dataclass(frozen=True, slots=True)
class StreamHolder:
    """A program of this user that has a connection."""

    role: Role
    pid: int
    feed: str
    page: str | None = None  # where its live portfolio is opened

    @property
    def words(self) -> str:
        """Who that is."""
        return f"the {self.role} on this computer (process {self.pid})"

    def sentence(self, asking: Role) -> str:
        """Who has it, and how somebody who asks for it shares it."""
        return (
            f"{self.words[0].upper()}{self.words[1:]} has the connection to {self.feed}. {self._way(asking)}"
        )

    def _way(self, asking: Role) -> str:
        if asking is Role.DASHBOARD and self.page is not None:
            return f"Its page is at {self.page}: open that one."
        if self.role is Role.OWNER and asking in (Role.DASHBOARD, Role.WATCH):
            return "Follow it over its bus, with --bus and the address that it was given."
        if asking is Role.DASHBOARD and self.role is Role.CAPTURE:
            return "To see what it records, end it, and begin it again with --page: both then share the connection."
        if asking is Role.CAPTURE and self.role is Role.DASHBOARD:
            return (
                "To record beside its page, end it, and open it again with `options-helper ui --record DIR`: both then "
                "share the connection."
            )
        return "End it first."


def find_holder(
    feeds: Iterable[tuple[StreamId, str]],
    now: datetime,
    environ: Mapping[str, str] | None = None,
    *,
    but_not: int | None = None,
    local_market: bool | None = None,
    key: str | None = None,
) -> StreamHolder | None:
    """The program of this user whose heartbeat says that it uses one of these feeds; None where none does.

    `but_not` is a process that does not count. `local_market` is whether only those on a market of this computer count,
    or only the others; None: all. With a `market_key` those of another server or account do not count; one that does
    not say whose its market data are may have it. Reads files.
    """
    found = list(_holders(tuple(feeds), now, environ, but_not=but_not, local_market=local_market, key=key))
    # A page's process that records as well is found twice, and is told by what must not be ended lightly.
    same = [one for one in found if one.pid == found[0].pid]
    return min(same, key=lambda one: one.role is not Role.CAPTURE, default=None)


def _holders(
    wanted: Sequence[tuple[StreamId, str]],
    now: datetime,
    environ: Mapping[str, str] | None,
    *,
    but_not: int | None,
    local_market: bool | None,
    key: str | None,
) -> Iterator[StreamHolder]:
    with suppress(RuntimeError):
        for path in known_heartbeats(environ):
            report = read_run(path, now, LIVING_SECONDS)
            beat = report.heartbeat
            if beat is None or report.status is RunStatus.NOT_RUNNING or beat.pid == but_not:
                continue
            if beat.desk is not None:
                continue  # it follows another program's
            if local_market is not None and local_market is not (beat.market is not MarketKind.ALPACA):
                continue
            is_anothers = key is not None and beat.market_key not in (None, key)
            for name, feed in wanted:
                if is_anothers and not name.kind.carries_orders:
                    continue
                stream = beat.streams.get(name)
                if stream is not None and stream.phase in HOLDING and stream.feed in (None, feed):
                    yield StreamHolder(beat.role, beat.pid, feed, beat.page)
                    break


def stream_holder(
    feeds: Iterable[tuple[StreamId, str]],
    now: datetime,
    environ: Mapping[str, str] | None = None,
    *,
    but_not: int | None = None,
    local_market: bool | None = None,
    key: str | None = None,
) -> str | None:
    """The same in words: "the capture on this computer (process 7)"."""
    holder = find_holder(feeds, now, environ, but_not=but_not, local_market=local_market, key=key)
    return None if holder is None else holder.words


def who_has_it(
    streams: Iterable[StreamHealth],
    now: datetime,
    asking: Role,
    environ: Mapping[str, str] | None = None,
    *,
    local_market: bool,
    key: str | None = None,
) -> str | None:
    """Of streams of which the server says that another has the connection: who that is, and how to share it.

    None where none of them is, and where nobody on this computer is known to have it. Reads files in the first case.
    """
    taken = [
        (one.name, one.feed or "") for one in streams if one.is_taken and one.phase is Phase.RECONNECTING
    ]
    if not taken:
        return None
    holder = find_holder(taken, now, environ, but_not=os.getpid(), local_market=local_market, key=key)
    return None if holder is None else holder.sentence(asking)
