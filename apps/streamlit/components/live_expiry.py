"""The expiry cockpit, on a day on which something ends, and what became of what ended before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from typing import Final

from apps.streamlit.components.style import tag
from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.cockpit import CockpitLine, EndState
from options_helper.analysis.attention.delivery import Outcome
from options_helper.analysis.attention.morning_after import EndedContract, EndedState
from options_helper.analysis.attention.words import outcome_words
from options_helper.live.screen import ScreenModel
from options_helper.model.clock_skew import format_span
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.text import HIDDEN

UNKNOWN: Final = "–"
# State, what it is called and its colour.
STATES: Final = {
    EndState.IN_THE_MONEY: ("in the money", "warning"),
    EndState.OUT_OF_THE_MONEY: ("out", "quiet"),
    EndState.PIN: ("pin", "error"),
    EndState.UNKNOWN: ("not known", "error"),
}
ENDED: Final = {
    EndedState.EXPLAINED: "quiet",
    EndedState.AWAITED: "warning",
    EndedState.UNEXPLAINED: "error",
}
EXPIRY_STYLE: Final = """
<style>
.oh-cockpit { margin-top: 8px; overflow-x: auto; }
.oh-cockpit table { width: 100%; border-collapse: collapse; font-size: 12px; margin: 0; border: 0; }
.oh-cockpit th, .oh-cockpit td { padding: .25rem .6rem; text-align: left; border: 0; vertical-align: top;
  border-bottom: 1px solid var(--oh-line); font-weight: 400; }
.oh-cockpit thead th { color: var(--quiet); } .oh-cockpit tr:last-child > * { border-bottom: 0; }
.oh-cockpit tr[data-structure] th { font-weight: 650; }
.oh-cockpit .oh-number { text-align: right; white-space: nowrap; }
.oh-cockpit td[data-state] { color: var(--state); white-space: nowrap; }
.oh-cockpit p { margin: 0; padding: .3rem .75rem; font-size: 12px; color: var(--quiet); }
/* Beside the chart all of it has the chart's height, or a laptop's screen would not hold the page. */
@media (min-width: 901px) and (max-width: 1699px) {
  .oh-cockpit { max-height: 72px; overflow-y: auto; }
  .oh:has(> .oh-cockpit) .oh-items { max-height: 136px; }
  .oh:has(> .oh-cockpit) .oh-crowded { --lines: 1; }
}
/* On a phone five columns break each name into words, and the last, what all of it comes to, is out of sight. */
@media (max-width: 640px) {
  .oh-cockpit tr { display: grid; grid-template-columns: 1fr 10.5em 6.5em; border-bottom: 1px solid var(--oh-line); }
  .oh-cockpit tbody tr:last-child { border-bottom: 0; }
  .oh-cockpit tr > * { border-bottom: 0; padding-block: .15rem; }
  /* Words in place of a number ("at or below intrinsic") are wider than their column, and break. */
  .oh-cockpit .oh-number { white-space: normal; }
  .oh-cockpit tr > :first-child, .oh-cockpit tr > :last-child { grid-column: 1 / -1; }
}
</style>
"""


def expiry_panels(screen: ScreenModel) -> str:
    """The cockpit where something is traded for the last time today, and what ended until all of it is explained."""
    found = screen.attention
    hidden = screen.options.preferences.hide_amounts
    # Before a start nothing is known of prices and account.
    if screen.run is None:
        return ""
    told = (
        found.morning_after
        if any(one.state is not EndedState.EXPLAINED for one in found.morning_after)
        else ()
    )
    return f"{_cockpit(screen, hidden=hidden)}{_ended(told, found)}"


def _cockpit(screen: ScreenModel, *, hidden: bool) -> str:
    lines, now = screen.attention.cockpit, screen.snapshot.as_of
    if not lines:
        return ""
    heads = (
        ("Ends today", ""),
        ("State", ""),
        ("To the strike", "oh-number"),
        ("Time value", "oh-number"),
        ("If it expires now", ""),
    )
    head = "".join(tag("th", text, kind) for text, kind in heads)
    rows = "".join(_row(one, hidden=hidden) for one in lines)
    said = (_buying_power(screen, hidden=hidden), *_records(lines, now), *_clocks(lines, now))
    clocks = "".join(tag("p", text, "") for text in said)
    return (
        '<div class="oh-panel oh-cockpit" role="group" tabindex="0" aria-label="Expiry cockpit">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{clocks}</div>"
    )


def _row(one: CockpitLine, *, hidden: bool) -> str:
    word, colour = STATES[one.state]
    to_strike = one.to_strike_words or UNKNOWN
    value = one.time_value_words or UNKNOWN
    sides = (
        f"above: {_brings(one.above, one, hidden=hidden)}; below: {_brings(one.below, one, hidden=hidden)}"
    )
    title = f"{sides}. {one.partners}".strip()
    structure = " data-structure" if one.is_structure else ""
    return (
        f"<tr{structure}>{tag('th', one.label, '')}"
        f'<td data-state="{escape(one.state)}" style="--state:var(--{colour})">{word}</td>'
        f"{tag('td', to_strike, 'oh-number')}{tag('td', value, 'oh-number')}"
        f"{tag('td', _brings_now(one, hidden=hidden), '', title=title)}</tr>"
    )


def _brings(outcome: Outcome | None, one: CockpitLine, *, hidden: bool) -> str:
    if outcome is None:
        return UNKNOWN
    return HIDDEN if hidden else outcome_words(outcome, one.underlying)


def _brings_now(one: CockpitLine, *, hidden: bool) -> str:
    if hidden and one.if_now is not None:
        return f"{HIDDEN} (quantity in doubt)" if one.quantity_in_doubt else HIDDEN
    return one.if_now_words or UNKNOWN


def _buying_power(screen: ScreenModel, *, hidden: bool) -> str:
    """What the account says that it has for options, and how old that is; of several, each its own."""
    if screen.accounts:
        each = {name: _buying_power(one, hidden=hidden) for name, one in screen.accounts.items()}
        return " ".join(f"{name}: {said}" for name, said in each.items())
    found = screen.attention
    if found.buying_power is None or found.buying_power_at is None:
        return "The options buying power is not known."
    amount = HIDDEN if hidden else f"${found.buying_power:,.2f}"
    return f"Options buying power {amount}, asked {_ago(found.buying_power_at, found.as_of)}."


def _records(lines: Sequence[CockpitLine], now: datetime) -> Iterator[str]:
    """How old the oldest record is that says how and until when something is traded."""
    asked = [each.read_at for one in lines for each in one.deadlines if each.read_at is not None]
    if asked:
        yield f"Settlement and hours by Alpaca's records, asked {_ago(min(asked), now)}."


def _ago(at: datetime, now: datetime) -> str:
    return f"{format_span(max(0.0, (now - at).total_seconds()))} ago"


def _clocks(lines: Sequence[CockpitLine], now: datetime) -> Iterator[str]:
    """Whose instants are ahead, each once."""
    # Those of one class and day are the same value, which most lines have.
    of_each = {id(one.deadlines): one.deadlines for one in lines}
    ahead = {
        (each.at, each.who, each.what)
        for deadlines in of_each.values()
        for each in deadlines
        if each.counts_down and each.at > now
    }
    for at, who, what in sorted(ahead):
        left = format_span((at - now).total_seconds())
        yield f"{at.astimezone(NEW_YORK):%H:%M} ET, {left} left: {who} {what}"


def _ended(ended: Sequence[EndedContract], found: Attention) -> str:
    if not ended:
        return ""
    rows = "".join(
        f'<tr>{tag("th", one.label, "")}<td data-state="{escape(one.state)}" '
        f'style="--state:var(--{ENDED[one.state]})">{one.state}</td>{tag("td", one.why, "")}</tr>'
        for one in ended
    )
    at = found.activities_at
    asked = "" if at is None else tag("p", f"The account's activities, asked {_ago(at, found.as_of)}.", "")
    return (
        f'<div class="oh-panel oh-cockpit" role="group" aria-label="What ended"><table><thead><tr>'
        f"{tag('th', 'Ended', '')}{tag('th', 'State', '')}{tag('th', 'Why', '')}</tr></thead>"
        f"<tbody>{rows}</tbody></table>{asked}</div>"
    )
