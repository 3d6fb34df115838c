"""The truth line: one sentence on what these numbers are worth now, a chip for each stream, and every caveat."""

from __future__ import annotations

from html import escape
from typing import Final

from apps.streamlit.components.formatting import age, clock, rate
from apps.streamlit.components.live_alarm import alarm, announce_state
from apps.streamlit.components.live_rest import rest_line
from apps.streamlit.components.style import draw, line, tag
from options_helper.analysis.live_health import Level
from options_helper.live.screen import Banner, ScreenModel, State
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.text import format_count

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


def truth_line(screen: ScreenModel) -> None:
    """Draw the headline, the chips, what was asked for beside the streams, the banners and the alarm, in one piece."""
    banners = "".join(_banner(banner) for banner in screen.banners)
    rest = rest_line(screen) if screen.run else ""
    draw(_headline(screen) + _chips(screen) + rest + banners + alarm(screen))
    announce_state(screen)


def _headline(screen: ScreenModel) -> str:
    colour, sign = STATES[screen.state]
    if screen.state is State.RUNNING or screen.headline.level is Level.WARNING:
        colour = LEVELS[screen.headline.level]
    time = clock(screen.snapshot.as_of, screen.options.zone, today=screen.snapshot.as_of)
    # A simulated or replayed market keeps its own time, which every age is counted in; a label has its date.
    as_of = f"market time {time}" if screen.plays else f"as of {time}"
    if screen.run is None:
        as_of = f"{as_of if screen.plays else time} · {format_count(screen.viewers, 'viewer')}"
    return (
        f'<div class="oh-bar" style="--level:var(--{colour})">'
        + tag("span", f"{sign} {screen.state.upper()}", "oh-word", **{"data-state": screen.state})
        + tag("span", screen.headline.sentence, "oh-sentence")
        + tag("span", as_of, "oh-time", title=screen.options.zone.key)
        + "</div>"
    )


def _chips(screen: ScreenModel) -> str:
    labels = [tag("span", label, "oh-label") for label in screen.labels]
    if screen.run is None:
        return f'<div class="oh-chips">{"".join(labels)}</div>' if labels else ""
    snapshot = screen.snapshot
    # A recording has no account, so there is no stream of fills to speak of.
    played = snapshot.market is MarketKind.REPLAY
    chips = [
        _chip(health, screen)
        for health in snapshot.streams.values()
        if not (played and health.name.kind.carries_orders)
    ]
    aside = format_count(screen.viewers, "viewer") + _running_or_stopped(screen)
    return f'<div class="oh-chips">{"".join([*chips, *labels])}{tag("span", aside, "oh-aside")}</div>'


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


def _banner(banner: Banner) -> str:
    colour = LEVELS[banner.level]
    # No other is cut off: its remedy stands at the sentence's end.
    return line(banner.text, "oh-banner", whole=not banner.told_below, style=f"--level:var(--{colour})")
