"""What the streams did with every event, when they could not hear, and what was asked for beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from html import escape
from typing import Final

from apps.streamlit.components.formatting import UNKNOWN, clock
from apps.streamlit.components.live_rest import rest_table
from apps.streamlit.components.style import draw, tag
from options_helper.live.screen import ScreenModel
from options_helper.model.gaps import Gap
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.text import named, without_amounts

NAMED_AT_MOST: Final = 12
SILENT: Final = "connected, but silent although the market is open"


def stream_details(screen: ScreenModel) -> None:
    """Draw the ledger of every stream: nothing that was received is unaccounted for, nothing lost is hidden."""
    draw(_ledger(screen) + _gaps(screen) + rest_table(screen))


def _ledger(screen: ScreenModel) -> str:
    streams = list(screen.snapshot.streams.values())
    head = "".join(f"<th>{escape(health.name.capitalize())}</th>" for health in streams)
    rows = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(cell(health))}</td>' for health in streams)}</tr>"
        for name, cell in _facts(screen).items()
    )
    return f'<div class="oh-scroll"><table class="oh-table"><tr><th></th>{head}</tr>{rows}</table></div>'


def _facts(screen: ScreenModel) -> dict[str, Callable[[StreamHealth], str]]:
    def when(moment: datetime | None) -> str:
        return clock(moment, screen.options.zone, today=screen.snapshot.as_of)

    return {
        "phase": lambda health: health.phase,
        "feed": lambda health: health.feed or UNKNOWN,
        "received": lambda health: f"{health.received:,}",
        "applied": lambda health: f"{health.applied:,}",
        "dropped, queue full": lambda health: f"{health.dropped:,}",
        "rejected, unreadable": lambda health: f"{health.rejected:,}",
        "queued": lambda health: f"{health.queued:,}",
        "accounts for all": lambda health: "yes" if health.accounted else "NO",
        "connected since": lambda health: when(health.connected_since),
        "connections": lambda health: f"{health.connections:,}",
        "reconnect attempts": lambda health: f"{health.reconnect_attempts:,}",
        "next try": lambda health: when(health.next_try_at),
        "last event": lambda health: when(health.last_event_at),
        "subscriptions": lambda health: (
            f"{len(health.acknowledged):,} of {len(health.requested):,} acknowledged"
        ),
        "refused": lambda health: named(health.refused_symbols, NAMED_AT_MOST) or "none",
        "last error": lambda health: health.last_error or "none",
        "last rejected": lambda health: _rejected(health, screen) or "none",
    }


def _rejected(health: StreamHealth, screen: ScreenModel) -> str:
    said = named(health.last_rejections, NAMED_AT_MOST)
    return without_amounts(f": {said}")[2:] if screen.options.preferences.hide_amounts else said


def _gaps(screen: ScreenModel) -> str:
    streams = screen.snapshot.streams.values()
    gaps = [gap for health in streams for gap in (*health.gaps, *_silence(health))]
    if not gaps:
        return tag("p", "No gaps: no connection was lost.", "oh-quiet")
    newest = sorted(gaps, key=lambda gap: gap.since_ns, reverse=True)[:NAMED_AT_MOST]
    rows = "".join(_gap_row(gap, screen) for gap in newest)
    return f'<table class="oh-table"><tr><th>Gap in</th><th>from</th><th>to</th><th>because</th></tr>{rows}</table>'


def _silence(health: StreamHealth) -> Iterator[Gap]:
    """The gap that a silent connection is, though nothing was disconnected."""
    since = health.last_event_at or health.connected_since
    is_noted = any(gap.until_ns is None for gap in health.gaps)
    if health.phase is Phase.STALLED and since is not None and not is_noted:
        yield Gap(health.name, datetime_nanoseconds(since), None, health.last_error or SILENT)


def _gap_row(gap: Gap, screen: ScreenModel) -> str:
    since = clock(gap.since, screen.options.zone, today=screen.snapshot.as_of)
    until = clock(gap.until, screen.options.zone, today=screen.snapshot.as_of) if gap.until else "still open"
    return f"<tr>{''.join(tag('td', text, '') for text in (gap.stream, since, until, gap.reason))}</tr>"
