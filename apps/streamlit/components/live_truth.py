"""The truth bar: one line on what these numbers are worth now, and below it what stands against them."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from apps.streamlit.components.formatting import age, clock
from apps.streamlit.components.live_alarm import alarm, announce_state
from apps.streamlit.components.live_rest import rest_is_troubled, rest_line
from apps.streamlit.components.live_sidebar import Controls, lifecycle_buttons
from apps.streamlit.components.style import draw, tag
from options_helper.analysis.live_health import Level
from options_helper.live.screen import Banner, ScreenModel, State
from options_helper.live.session import LiveSession
from options_helper.model.account import RestTask
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.text import named

# A sign and a word beside every colour: the state must be readable without it.
STATES: Final = {
    State.NOT_STARTED: ("quiet", "○"),
    State.CONNECTING: ("accent", "◌"),
    State.RUNNING: ("gain", "●"),
    State.PLAYING: ("accent", "▶"),
    State.ENDED: ("quiet", "■"),
    State.STALLED: ("warning", "▲"),
    State.RECONNECTING: ("warning", "↻"),
    State.ERROR: ("error", "✕"),
    State.STOPPED: ("quiet", "■"),
}
LEVELS: Final = {Level.OK: "gain", Level.INFO: "accent", Level.WARNING: "warning", Level.ERROR: "error"}


# What goes on by itself is told in one line, whose end may be cut off; all else is said whole.
GOING_ON: Final = (State.RUNNING, State.PLAYING, State.ENDED, State.RECONNECTING)
PLAIN_SENTENCES: Final = ("Live.", "Playing.")
LOST: Final = {Phase.STALLED: "▲", Phase.RECONNECTING: "↻", Phase.FAILED: "✕"}


def header(session: LiveSession, controls: Controls, name: str) -> tuple[DeltaGenerator, DeltaGenerator]:
    """Lay out the strip that lies in Streamlit's own: the place of the bar, and that of its details, in this order.

    The `name` of the page is for those who hear it; the window's title has it for those who see.
    """
    draw(tag("h1", name, "oh-unseen"))
    with st.container(horizontal=True, vertical_alignment="top", gap="xsmall", key="header"):
        bar = st.container(key="truth")
        details = st.popover("Details", width="content").container(key="details")
        lifecycle_buttons(session, controls)
    return bar, details


def truth_line(screen: ScreenModel, recording: str = "") -> None:
    """Draw the bar, with what it says of a `recording`, and the alarm, in one piece."""
    draw(bar_and_alarm(screen, recording))
    announce_state(screen)


def banners(screen: ScreenModel) -> None:
    """Draw what stands against the whole page."""
    # Drawn even where nothing is said: a refresh cannot fill a place of the page that was left empty at first.
    draw(banners_html(screen))


def banners_html(screen: ScreenModel) -> str:
    """What stands against the whole page: why Start failed, and what was asked for in vain."""
    failed = [banner for banner in screen.banners if banner.level is Level.ERROR]
    return "".join(map(_banner, failed)) + (rest_line(screen) if rest_is_troubled(screen) else "")


def bar_and_alarm(screen: ScreenModel, recording: str = "") -> str:
    """The truth bar, with what it says of a `recording`, and what is seen when the next refreshes do not come."""
    before, after = screen.once(_bar)
    return before + recording + after + alarm(screen)


def _bar(screen: ScreenModel) -> tuple[str, str]:
    """What stands before a recording, and what after it."""
    colour, sign = STATES[screen.state]
    if screen.state is State.RUNNING or screen.headline.level is Level.WARNING:
        colour = LEVELS[screen.headline.level]
    calm = screen.state in GOING_ON
    return (
        f'<div class="oh-bar{"" if calm else " oh-whole"}" style="--level:var(--{colour})">'
        + tag("span", f"{sign} {screen.state.upper()}", "oh-word", **{"data-state": screen.state})
        + _sentence(screen)
        + (_ages(screen) if calm else "")
        + "".join(tag("span", label, "oh-label") for label in screen.labels)
    ), tag("span", _as_of(screen), "oh-time", title=screen.options.zone.key) + "</div>"


def _said(screen: ScreenModel) -> str:
    """The headline, unless the word before it says as much; of lost streams first what their prices are worth."""
    if screen.state is State.RECONNECTING:
        return _of_lost_streams(screen)
    return "" if screen.headline.sentence in PLAIN_SENTENCES else screen.headline.sentence


def _of_lost_streams(screen: ScreenModel) -> str:
    """Which are lost, how old the newest price is, when the next try is, and why; Details have the whole sentence."""
    as_of = screen.snapshot.as_of
    lost = [health for health in screen.snapshot.streams.values() if health.phase is Phase.RECONNECTING]
    parts = [f"{named([str(health.name) for health in lost])} lost"]
    newest = [
        health.last_event_at
        for health in lost
        if health.last_event_at and not health.name.kind.carries_orders
    ]
    if newest:
        parts.append(f"newest price {age((as_of - max(newest)).total_seconds())} old")
    tries = [health.next_try_at for health in lost if health.next_try_at]
    if tries:
        parts.append(f"next try in {max(0, ceil((min(tries) - as_of).total_seconds()))} s")
    parts += list(dict.fromkeys(health.last_error for health in lost if health.last_error))[:1]
    return " · ".join(parts)


def _sentence(screen: ScreenModel) -> str:
    # Only what may be cut off is told under a pointer as well.
    under = {"title": _said(screen)} if screen.state in GOING_ON else {}
    return tag("span", _said(screen), "oh-sentence", **under)


def _as_of(screen: ScreenModel) -> str:
    """Which instant all of it is of: a simulated or replayed market keeps its own time; a label has its date."""
    time = clock(screen.snapshot.as_of, screen.options.zone, today=screen.snapshot.as_of)
    if screen.plays:
        return f"market time {time}"
    return time if screen.run is None else f"as of {time}"


def _ages(screen: ScreenModel) -> str:
    """How old the newest of each stream is, and the last reading of the account."""
    snapshot = screen.snapshot
    # A recording has no account, so there is no stream of fills to speak of.
    played = snapshot.market is MarketKind.REPLAY
    parts = [
        part
        for health in snapshot.streams.values()
        if not (played and health.name.kind.carries_orders)
        for part in _age_of_stream(health, screen)
    ]
    read_at = snapshot.account.reports[RestTask.POSITIONS].finished_at
    if read_at is not None:
        parts.append(f"account <b>{age((snapshot.as_of - read_at).total_seconds())}</b>")
    feeds = " · ".join(health.feed or "" for health in snapshot.streams.values() if _names_its_feed(health))
    return f'<span class="oh-ages">{" · ".join(parts)}</span>' + (
        tag("span", feeds, "oh-feeds") if feeds else ""
    )


def _age_of_stream(health: StreamHealth, screen: ScreenModel) -> Iterator[str]:
    if health.phase is Phase.OFF:
        return
    last = health.last_event_at
    sign = LOST.get(health.phase)
    if sign is not None and screen.state is not State.ENDED:
        yield f"{health.name} <b>{sign} {health.phase}</b>"
    elif last is not None:
        yield f"{health.name} <b>{age((screen.snapshot.as_of - last).total_seconds())}</b>"


def _names_its_feed(health: StreamHealth) -> bool:
    return health.feed is not None and health.phase is not Phase.OFF and not health.name.kind.carries_orders


def _banner(banner: Banner) -> str:
    # None is cut off: its remedy stands at the sentence's end.
    return tag("div", banner.text, "oh-banner", style=f"--level:var(--{LEVELS[banner.level]})")
