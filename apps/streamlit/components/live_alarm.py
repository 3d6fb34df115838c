"""Let a page look as it is: an alarm where nothing refreshes it any more, and its state for whoever does not see it.

No script stands behind the alarm. Each refresh puts the same hidden elements there anew, and what makes them seen is an
animation that begins with them: where the next refresh does not come, because the program has ended, hangs or cannot be
reached, nobody begins it again, and it runs out. The seconds count by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any, Final

import streamlit as st
from streamlit.errors import StreamlitAPIException

from apps.streamlit.components.live_alerts import firing_events
from apps.streamlit.components.live_fills import NEWS, fill_key, fill_sentence
from apps.streamlit.components.style import LIGHT, tag
from options_helper.analysis.live_health import Level
from options_helper.live.attention import Item, attention
from options_helper.live.screen import ScreenModel, State
from options_helper.model.announcement import MarketKind
from options_helper.model.market_hours import new_york_date
from options_helper.model.snapshot import Phase
from options_helper.model.text import named, with_minus

MISSED_REFRESHES: Final = 3
LONGEST_SECONDS: Final = 86_400
REMEDY: Final = (
    "All figures are of then: the program has ended, hangs, or cannot be reached. "
    "If it has ended, start it again: options-helper&nbsp;ui"
)
ALARM_STYLE: Final = f"""
<style>
/* Streamlit drops a style with an opening angle bracket before a letter. */
@property --oh-late {{ syntax: '\\3c integer\\3e'; inherits: true; initial-value: 0; }}
@keyframes oh-appear {{ to {{ visibility: visible; }} }}
@keyframes oh-count {{ from {{ --oh-late: var(--oh-from); }} to {{ --oh-late: {LONGEST_SECONDS}; }} }}
.oh-veil, .oh-late {{ visibility: hidden; position: fixed; left: 0; right: 0; }}
.oh-veil {{ top: 0; bottom: 0; z-index: 999980; pointer-events: none; backdrop-filter: grayscale(1);
  background: color-mix(in srgb, Canvas 55%, transparent); animation: oh-appear 0s linear var(--oh-after) forwards; }}
/* Above everything, the dialog included with which Streamlit says that its server is gone. */
.oh-late {{ top: 0; z-index: 10000010; padding: .5rem 1rem; background: #b42318; color: #fff; line-height: 1.35;
  animation: oh-appear 0s linear var(--oh-after) forwards,
    oh-count calc({LONGEST_SECONDS}s - var(--oh-after)) linear var(--oh-after) forwards; }}
.oh-late b::after {{ counter-reset: oh-late var(--oh-late); content: " " counter(oh-late) " s"; }}
.oh-late .oh-label {{ border-color: #fff; color: #fff; margin-left: .6rem; white-space: nowrap; }}
:is(.st-key-announcement, .st-key-pieces) {{ position: absolute; max-width: 1px; overflow: hidden; }}
</style>
"""
WHOSE_MARKET: Final = {
    MarketKind.LOCAL: ", on a market of this computer",
    MarketKind.SIMULATED: ", on a simulated market",
    MarketKind.REPLAY: ", on a replay",
}
MAX_FILLS: Final = 3
MAX_GRAVE: Final = 6
# What needs a hand when a run begins is listed, and no news.
QUIET_SECONDS: Final = 60.0
SHAPES: Final[Mapping[State, tuple[str, str]]] = {
    State.NOT_STARTED: ("ring", LIGHT.quiet),
    State.CONNECTING: ("ring", LIGHT.accent),
    State.RUNNING: ("circle", LIGHT.gain),
    State.PLAYING: ("circle", LIGHT.accent),
    State.ENDED: ("square", LIGHT.quiet),
    State.STALLED: ("triangle", LIGHT.warning),
    State.RECONNECTING: ("triangle", LIGHT.warning),
    State.ERROR: ("cross", LIGHT.error),
    State.STOPPED: ("square", LIGHT.quiet),
}
ASSETS: Final = files("options_helper.live") / "assets"
HTML: Final = "<div data-window></div>"


@cache
def _window(*, served: bool) -> Any:
    """What is around the page, as one component: its nodes stay, so that a reader hears what changes in them."""
    if served:
        with suppress(StreamlitAPIException):
            return st.components.v2.component(
                "options-helper.window", html=HTML, js="window.js", isolate_styles=False
            )
    script = (ASSETS / "window.js").read_text(encoding="utf-8")
    return st.components.v2.component("options_helper_window", html=HTML, js=script, isolate_styles=False)


def alarm(screen: ScreenModel) -> str:
    """The hidden elements that are seen when the next refreshes do not come; of each refresh its own."""
    after = MISSED_REFRESHES * screen.options.preferences.refresh_seconds
    # Without a difference the browser would keep the elements, and they would raise the alarm.
    facts = f'data-drawn="{screen.now.isoformat()}" style="--oh-after:{after}s;--oh-from:{after}"'
    labels = "".join(tag("span", label, "oh-label") for label in screen.labels)
    said = f"<b>NOT REFRESHED FOR</b>. {REMEDY}{labels}"
    return f'<div class="oh-veil" {facts}></div><div class="oh-late" role="alert" {facts}>{said}</div>'


def announce_state(screen: ScreenModel) -> None:
    """Tell window, screen reader and notifications what is new; what is as it was changes nothing there."""
    _window(served=st.runtime.exists())(key="announcement", data=screen.once(window_message))


def notification_button() -> None:
    """Draw the button that asks the browser for leave to notify: it only does so at a click."""
    _window(served=st.runtime.exists())(key="notifications", data={"button": True})


def window_message(screen: ScreenModel) -> dict[str, Any]:
    """What the component of the window is sent at each refresh."""
    grave = [item for item in screen.once(attention) if item.level is Level.ERROR]
    return {
        "words": state_words(screen),
        "alert": f"Needs your hand: {named(list(dict.fromkeys(item.subject for item in grave)), 4)}."
        if grave
        else "",
        "title": window_title(screen, len(grave)),
        "icon": _icon(screen),
        "events": [*_fill_events(screen), *_grave_events(screen, grave), *firing_events(screen)],
    }


def window_title(screen: ScreenModel, grave: int) -> str:
    """`(2) −196 · Live portfolio`: how much is grave, the state unless it runs, today's profit where it is known."""
    parts = [] if screen.state in (State.RUNNING, State.PLAYING) else [str(screen.state)]
    today = screen.totals.day.total if screen.totals.day.counted else None
    if today is not None and not screen.options.preferences.hide_amounts:
        parts.append(with_minus(today, "+,.0f"))
    name = "Live portfolio"
    if screen.snapshot.market is not MarketKind.ALPACA and screen.run is not None:
        # An amount of a made-up market must not be taken for one's own.
        name += f" ({screen.snapshot.market})"
    return f"{f'({grave}) ' if grave else ''}{' · '.join([*parts, name])}"


def _icon(screen: ScreenModel) -> tuple[str, str]:
    if screen.state is State.RUNNING and screen.headline.level is not Level.OK:
        return "triangle", LIGHT.warning
    return SHAPES[screen.state]


def _fill_events(screen: ScreenModel) -> Iterator[dict[str, Any]]:
    """The last fills of this run; of an earlier hour of the day there is no news."""
    since = screen.snapshot.running_since
    news = [
        fill
        for fill in screen.snapshot.fills
        if fill.execution_kind in NEWS
        and (not fill.backfilled or (since and fill.timestamp and fill.timestamp >= since))
    ]
    for fill in news[-MAX_FILLS:]:
        yield {"id": f"fill {fill_key(fill)}", "text": fill_sentence(fill, screen)}


def _grave_events(screen: ScreenModel, grave: Sequence[Item]) -> Iterator[dict[str, Any]]:
    since = screen.snapshot.running_since
    quiet = since is None or (screen.snapshot.as_of - since).total_seconds() < QUIET_SECONDS
    for item in [item for item in grave if item.kind is not None][:MAX_GRAVE]:
        # Not what is told of it: its figures change with every price.
        identity = f"{item.kind} {item.subject} {new_york_date(screen.snapshot.as_of)}"
        yield {"id": identity, "text": f"{item.subject}: {item.what}", "quiet": quiet}


def state_words(screen: ScreenModel) -> str:
    """The state in a sentence without a number that counts: each change of it is read aloud."""
    troubled = [
        f"{health.name} {health.phase}"
        for health in screen.snapshot.streams.values()
        if health.phase in (Phase.STALLED, Phase.RECONNECTING, Phase.FAILED)
    ]
    which = f": {', '.join(troubled)}" if troubled and screen.state is not State.STOPPED else ""
    return f"Live portfolio {screen.state}{which}{WHOSE_MARKET.get(screen.snapshot.market, '')}."
