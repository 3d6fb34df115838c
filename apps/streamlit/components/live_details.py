"""All about the streams: how each is, what they did with every event, and what was asked for beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from html import escape
from typing import Final

from apps.streamlit.components.formatting import UNKNOWN, age, clock, rate
from apps.streamlit.components.live_rest import rest_is_troubled, rest_line, rest_table
from apps.streamlit.components.live_truth import GOING_ON
from apps.streamlit.components.style import draw, tag
from options_helper.live.screen import ScreenModel, State
from options_helper.model.account import RestTask
from options_helper.model.announcement import MarketKind
from options_helper.model.gaps import Gap
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.text import format_count, named, without_amounts

# A sign and a word beside every colour: a chip must be readable without its colour.
PHASES: Final = {
    Phase.OFF: ("quiet", "○"),
    Phase.CONNECTING: ("accent", "◌"),
    Phase.LIVE: ("gain", "●"),
    Phase.QUIET: ("quiet", "◐"),
    Phase.STALLED: ("warning", "▲"),
    Phase.RECONNECTING: ("warning", "↻"),
    Phase.FAILED: ("error", "✕"),
    Phase.STOPPED: ("quiet", "■"),
}
NAMED_AT_MOST: Final = 12
SILENT: Final = "connected, but silent although the market is open"


def stream_details(screen: ScreenModel) -> None:
    """Draw the details."""
    draw(details_html(screen))


def details_html(screen: ScreenModel) -> str:
    """The ledger of every stream: nothing that was received is unaccounted for, nothing lost is hidden."""
    # What the bar says whole need not be said again.
    sentence = tag("p", screen.headline.sentence, "oh-details-sentence") if screen.state in GOING_ON else ""
    # With a problem it stands on the page itself.
    rest = rest_line(screen) if screen.run and not rest_is_troubled(screen) else ""
    return (
        sentence
        + _chips(screen)
        + _desk(screen)
        + rest
        + _ledger(screen)
        + _gaps(screen)
        + rest_table(screen)
    )


def _desk(screen: ScreenModel) -> str:
    """Who has the streams, where that is another program, and what is to be said of the way from there."""
    desk = screen.snapshot.desk
    if desk is None:
        return ""
    several = [name for name, one in screen.snapshot.accounts.items() if not _is_lost(one)]
    alone = [] if desk.account is None else [desk.account]
    accounts = desk.said_of_accounts(several if screen.snapshot.accounts else alone)
    said = (f"Streams over the bus, from {desk.owner}.", *filter(None, [accounts]), *desk.remarks)
    return tag("p", " ".join(said), "oh-aside")


def _is_lost(account: LiveSnapshot) -> bool:
    """Whether nothing is known of an account, and why."""
    return account.account.view is None and account.account.reports[RestTask.POSITIONS].problem is not None


def _chips(screen: ScreenModel) -> str:
    if screen.run is None:
        return tag("div", format_count(screen.viewers, "viewer"), "oh-aside")
    snapshot = screen.snapshot
    # A recording has no account, so there is no stream of fills to speak of.
    played = snapshot.market is MarketKind.REPLAY
    chips = [
        _chip(health, screen)
        for health in snapshot.streams.values()
        if not (played and health.name.kind.carries_orders)
    ]
    aside = format_count(screen.viewers, "viewer") + _running_or_stopped(screen)
    return f'<div class="oh-chips">{"".join(chips)}{tag("span", aside, "oh-aside")}</div>'


def _running_or_stopped(screen: ScreenModel) -> str:
    """The one time on the page that is this computer's, which is said where the market has another."""
    ended_at = None if screen.run is None else screen.run.ended_at
    word, moment = (
        ("stopped at", ended_at)
        if screen.state is State.STOPPED
        else ("running since", screen.snapshot.running_since)
    )
    if moment is None:
        return ""
    said = clock(moment, screen.options.zone, today=screen.now)
    return f" · {word} {said}" + (" by this computer's clock" if screen.plays else "")


def _chip(health: StreamHealth, screen: ScreenModel) -> str:
    colour, sign = PHASES[health.phase]
    facts = [str(health.name)]
    word = str(health.phase)
    if screen.state is State.ENDED:
        colour, sign, word = "quiet", "■", "ended"
    elif health.phase in (Phase.LIVE, Phase.QUIET, Phase.STALLED):
        last = health.last_event_at
        seconds = None if last is None else (screen.snapshot.as_of - last).total_seconds()
        facts.append("nothing yet" if seconds is None else f"{age(seconds)} ago")
        facts.append(rate(health.events_per_second))
    if health.phase is Phase.RECONNECTING:
        facts.append(f"attempt {health.reconnect_attempts}")
    words = " · ".join(facts[1:])
    return (
        f'<span class="oh-chip" style="--level:var(--{colour})" data-stream="{escape(health.name)}" '
        f'data-phase="{escape(health.phase)}" title="{escape(health.last_error or "")}">{sign} {escape(facts[0])} '
        f"<b>{escape(word)}</b>{escape(' · ' + words if words else '')}</span>"
    )


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
        **(
            {} if screen.snapshot.desk is None else {"missed on the way": lambda health: f"{health.missed:,}"}
        ),
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
