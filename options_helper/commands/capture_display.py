"""Show a capture: a live table at a terminal, plain lines elsewhere, and at the end what became of everything."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol, TextIO, cast

from rich import filesize

from options_helper.commands.background_writer import BackgroundWriter
from options_helper.data.intraday.layout import kinds_of
from options_helper.data.intraday.recording import KindCounts
from options_helper.data.recording.status import CaptureStatus
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.text import format_count

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

LINE_EVERY_SECONDS: Final = 30.0
_COLORS: Final[Mapping[Phase, str]] = {
    Phase.LIVE: "green",
    Phase.QUIET: "cyan",
    Phase.STALLED: "yellow",
    Phase.RECONNECTING: "yellow",
    Phase.CONNECTING: "yellow",
    Phase.FAILED: "bold red",
}


class Display(Protocol):
    """Where a capture tells how it goes; called on one thread."""

    def say(self, sentence: str) -> None:
        """Tell something that stays on the screen."""

    def waiting(self, text: str) -> None:
        """Tell that the market is closed, as often as one likes."""

    def show(self, status: CaptureStatus, activity: str) -> None:
        """Tell how it goes now, as often as one likes."""

    def summary(self, status: CaptureStatus) -> None:
        """Tell what became of everything."""


@contextmanager
def open_display(now: Callable[[], datetime]) -> Iterator[Display]:
    """The display that fits what stdout is; whoever reads it, or does not, never holds up those who tell."""
    with open_console() as (console, live):
        yield LineDisplay(console, now) if live is None else TableDisplay(live, console)


@contextmanager
def open_console() -> Iterator[tuple[Console, Live | None]]:
    """What writes to stdout without ever waiting for it; and where that is a terminal, what is drawn anew in place."""
    from rich.console import Console

    with _writer(sys.stdout) as out, _writer(sys.stderr) as errors:
        console = Console(file=out, highlight=False)
        if not console.is_terminal:
            with _log_written_to(errors):
                yield console, None
            return
        from rich.file_proxy import FileProxy
        from rich.live import Live

        # Above the table, where it is on the same screen.
        log_file = cast("TextIO", FileProxy(console, errors)) if errors.isatty() else errors
        with (
            _log_written_to(log_file),
            Live(
                console=console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            ) as live,
        ):
            yield console, live


@contextmanager
def _writer(stream: TextIO | None) -> Iterator[TextIO]:
    if stream is None:  # closed before the program began
        yield io.StringIO()
        return
    try:
        writer = BackgroundWriter(stream)
    except io.UnsupportedOperation:  # a file in memory keeps nobody waiting
        yield stream
        return
    with writer:
        yield cast("TextIO", writer)


@contextmanager
def _log_written_to(file: TextIO) -> Iterator[None]:
    """What is logged goes there for a while, in place of stderr."""
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    ]
    for handler in handlers:
        handler.setStream(file)
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(sys.stderr)


class LineDisplay:
    """A line every half minute, and at every change."""

    def __init__(self, console: Console, now: Callable[[], datetime]) -> None:
        self._console = console
        self._now = now
        self._said: object = None
        self._said_at: datetime | None = None

    def say(self, sentence: str) -> None:
        """With the time."""
        self._print(f"{self._now():%H:%M:%S}Z {sentence}")

    def waiting(self, text: str) -> None:
        """Once for each time that is waited for."""
        if text != self._said:
            self._said = text
            self.say(text)

    def show(self, status: CaptureStatus, activity: str) -> None:
        """When the last line is old or no longer true."""
        wanted = _wanted(status)
        facts = (activity, status.gaps, status.problem, [(one.phase, one.last_error) for one in wanted])
        since = None if self._said_at is None else (self._now() - self._said_at).total_seconds()
        # A clock that was set back is no reason to be silent.
        due = since is None or not 0 <= since < LINE_EVERY_SECONDS
        if facts == self._said and not due:
            return
        self._said, self._said_at = facts, self._now()
        self.say("; ".join([activity, *(_stream_line(one, status) for one in wanted), *_format_run(status)]))

    def summary(self, status: CaptureStatus) -> None:
        """The same table that a terminal gets."""
        self._print(_summary_table(status))

    def _print(self, what: RenderableType) -> None:
        self._console.print(what, markup=False, soft_wrap=isinstance(what, str))
        self._console.file.flush()


class TableDisplay:
    """A table that is drawn anew in its place."""

    def __init__(self, live: object, console: Console) -> None:
        self._live = live
        self._console = console

    def say(self, sentence: str) -> None:
        """Above the table."""
        self._console.print(sentence, markup=False, soft_wrap=True)

    def waiting(self, text: str) -> None:
        """In the table's place."""
        self._update(text)

    def show(self, status: CaptureStatus, activity: str) -> None:
        """Everything at this moment."""
        self._update(_live_table(status, activity))

    def summary(self, status: CaptureStatus) -> None:
        """The table that stays."""
        self._update("")
        self._console.print(_summary_table(status))

    def _update(self, what: RenderableType) -> None:
        self._live.update(what, refresh=True)  # type: ignore[attr-defined]


def format_summary(status: CaptureStatus) -> str:
    """The table of the end, as text."""
    from rich.console import Console

    console = Console(file=io.StringIO(), width=100)
    with console.capture() as captured:
        console.print(_summary_table(status), markup=False)
    return captured.get().rstrip()


def _live_table(status: CaptureStatus, activity: str) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    wanted = _wanted(status)
    table = _table(wanted)
    _add_rows(
        table,
        wanted,
        {
            "feed": lambda one: one.feed or "",
            "phase": lambda one: f"[{_COLORS.get(one.phase, 'default')}]{one.phase}",
            "events/s": lambda one: f"{one.events_per_second:,.1f}",
            "rows": lambda one: f"{_counts(one, status).written:,}",
            "bytes": lambda one: filesize.decimal(_counts(one, status).bytes_written),
            "queue": lambda one: f"{one.queued:,}",
            "dropped": lambda one: f"{one.dropped:,}",
            "rejected": lambda one: f"{one.rejected:,}",
            **_missed(wanted),
            "gaps": lambda one: f"{one.gap_count:,}",
        },
    )
    errors = [f"{one.name}: {one.last_error}" for one in wanted if one.last_error and one.phase != Phase.LIVE]
    line = " · ".join([activity, *_format_run(status)])
    return Group(table, Text("\n".join([line, *errors]), style="dim"))


def _summary_table(status: CaptureStatus) -> RenderableType:
    from rich.console import Group

    wanted = _wanted(status)
    table = _table(wanted)
    _add_rows(
        table,
        wanted,
        {
            "feed": lambda one: one.feed or "",
            "received": lambda one: f"{one.received:,}",
            "rows": lambda one: f"{_counts(one, status).written:,}",
            "bytes of rows": lambda one: filesize.decimal(_counts(one, status).bytes_written),
            "dropped": lambda one: f"{one.dropped:,}",
            "rejected": lambda one: f"{one.rejected:,}",
            "left": lambda one: f"{one.queued:,}",
            **_missed(wanted),
            "gaps": lambda one: f"{one.gap_count:,}",
        },
    )
    return Group(f"Session {status.session}: {status.running_seconds:,.0f} s", table)


def _table(streams: Sequence[StreamHealth]) -> Table:
    """A column for each stream, which are few: a row for each would be too wide for a narrow terminal."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("stream")
    for one in streams:
        table.add_column(one.name, justify="right")
    return table


def _add_rows(
    table: Table, streams: Sequence[StreamHealth], facts: Mapping[str, Callable[[StreamHealth], str]]
) -> None:
    for name, fact in facts.items():
        table.add_row(name, *map(fact, streams))


def _missed(streams: Sequence[StreamHealth]) -> dict[str, Callable[[StreamHealth], str]]:
    """A line for what was missed on the way from an owner, where something was."""
    if not any(one.missed for one in streams):
        return {}
    return {"missed": lambda one: f"{one.missed:,}"}


def _counts(health: StreamHealth, status: CaptureStatus) -> KindCounts:
    return status.store.of(kinds_of(health.name))


def _wanted(status: CaptureStatus) -> list[StreamHealth]:
    return [health for health in status.streams.values() if health.phase is not Phase.OFF]


def _stream_line(health: StreamHealth, status: CaptureStatus) -> str:
    error = f" ({health.last_error})" if health.last_error and health.phase is not Phase.LIVE else ""
    missed = f"missed {health.missed:,} " if health.missed else ""
    return (
        f"{health.name} {health.feed} {health.phase}{error} {health.events_per_second:,.1f}/s "
        f"rows {_counts(health, status).written:,} queue {health.queued:,} "
        f"dropped {health.dropped:,} rejected {health.rejected:,} {missed}gaps {health.gap_count:,}"
    )


def _format_run(status: CaptureStatus) -> list[str]:
    """What concerns all streams."""
    flushed = status.store.last_flush_at
    parts = [f"files {filesize.decimal(status.store.total.bytes_written)}"]
    if status.journal_bytes:
        parts.append(f"journal {filesize.decimal(status.journal_bytes)}")
    if status.put_off:
        parts.append(f"{format_count(status.put_off, 'event')} put off")
    parts.append("nothing flushed yet" if flushed is None else f"last flush {flushed:%H:%M:%S}Z")
    if status.problem:
        parts.append(status.problem)
    return parts


def format_market_time(moment: datetime) -> str:
    """When, as New York says it: "Mon 23 Nov 09:30 in New York"."""
    local = moment.astimezone(NEW_YORK)
    return f"{local:%a} {local.day} {local:%b %H:%M} in New York"
