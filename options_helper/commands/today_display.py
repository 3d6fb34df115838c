"""Tell what needs a hand: as one object of JSON, or in lines for a person; what is not known is null, or a dash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.cockpit import CockpitLine
from options_helper.analysis.attention.delivery import Outcome
from options_helper.analysis.attention.entries import Deadline, Entry
from options_helper.analysis.attention.morning_after import EndedContract
from options_helper.analysis.live_health import Level
from options_helper.model.clock_skew import format_span
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.text import table_lines

_UNKNOWN: Final = "–"
_SIGNS: Final = {Level.ERROR: "!!", Level.WARNING: " !"}
_OF_COCKPIT: Final = (
    "position_id",
    "label",
    "underlying",
    "is_structure",
    "quantity",
    "spot",
    "spot_source",
    "strike",
    "to_strike",
    "pin_band",
    "iv",
    "delta",
    "time_value",
    "no_time_value",
    "given_up_by_exercise",
    "partners",
    "quantity_in_doubt",
    "in_account",
    "account_alone",
)
DISCLAIMER: Final = "Not financial advice."


def json_text(found: Attention, problems: Sequence[str]) -> str:
    """The object that `options-helper today --json` prints; instants are New York's with their offset."""
    import json

    return json.dumps(
        {
            "as_of": _text(found.as_of),
            "attention": [_entry(one) for one in found.entries],
            "cockpit": [_cockpit(one) for one in found.cockpit],
            "morning_after": [_ended(one) for one in found.morning_after],
            "buying_power": found.buying_power,
            "buying_power_at": _text(found.buying_power_at),
            "activities_at": _text(found.activities_at),
            "not_judged": list(found.not_judged),
            "problems": list(problems),
        },
        indent=2,
        allow_nan=False,
    )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(NEW_YORK).isoformat()


def _entry(one: Entry) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "also": [kind.value for kind in one.also],
        "level": one.level.value,
        "subject": one.subject,
        "symbols": list(one.symbols),
        "what": one.sentence,
        "by": _text(one.by),
        "deadlines": [_deadline(each) for each in one.deadlines],
        "needs": one.needs,
        "has": one.has,
        "set_aside": one.set_aside,
        "shares": one.shares,
        "remedy": one.remedy,
    }


def _deadline(one: Deadline) -> dict[str, Any]:
    return {
        "who": one.who.value,
        "at": _text(one.at),
        "what": one.what,
        "source": one.source,
        "counts_down": one.counts_down,
        "read_at": _text(one.read_at),
    }


def _cockpit(one: CockpitLine) -> dict[str, Any]:
    return {
        "symbols": list(one.symbols),
        "state": one.state.value,
        **{name: getattr(one, name) for name in _OF_COCKPIT},
        "if_now": _outcome(one.if_now),
        "if_now_by_account": _outcome(one.if_now_by_account),
        "above": _outcome(one.above),
        "below": _outcome(one.below),
        "settles": _text(one.settles),
        "deadlines": [_deadline(each) for each in one.deadlines],
    }


def _outcome(one: Outcome | None) -> dict[str, float] | None:
    return None if one is None else {"shares": one.shares, "cash": one.cash}


def _ended(one: EndedContract) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "label": one.label,
        "state": one.state.value,
        "why": one.why,
        "ended": _text(one.ended),
        "quantity": one.quantity,
    }


def lines_of(found: Attention, problems: Sequence[str]) -> Iterator[str]:
    """What a person at a terminal reads, worst first."""
    yield f"{found.as_of.astimezone(NEW_YORK):%a %d %b %Y %H:%M} in New York. {DISCLAIMER}"
    if found.buying_power is not None and found.buying_power_at is not None:
        yield f"Options buying power ${found.buying_power:,.2f}{_asked(found.buying_power_at, found.as_of)}."
    if not found.entries:
        yield "Nothing needs your hand."
    for entry in found.entries:
        yield from _entry_lines(entry, found.as_of)
    yield from _deadline_lines(found.entries, found.as_of)
    if found.cockpit:
        yield ""
        yield "Ends today:"
        yield from table_lines(
            ("what", "state", "to the strike", "time value", "if it expires now"),
            [_cockpit_row(one) for one in found.cockpit],
            frozenset({"to the strike", "time value"}),
        )
    if found.morning_after:
        yield ""
        yield f"Ended in the last week{_asked(found.activities_at, found.as_of)}:"
        yield from (f"{one.state.value:<11}  {one.label}: {one.why}" for one in found.morning_after)
    for sentence in (*found.not_judged, *problems):
        yield f"Could not be judged: {sentence}"


def _entry_lines(one: Entry, now: datetime) -> Iterator[str]:
    """The entry, by when, and what can be done."""
    yield f"{_SIGNS.get(one.level, '  ')} {one.subject}{_countdown(one, now)}: {one.sentence}"
    if one.remedy:
        yield f"     {one.remedy}"


def _deadline_lines(entries: Sequence[Entry], now: datetime) -> Iterator[str]:
    """Whose instants count for what needs a hand, each once, with where it stands."""
    graver = [one for one in entries if one.level is not Level.INFO]
    every: dict[tuple[datetime, str, str, str], list[datetime]] = {}
    for each in (each for one in graver for each in one.deadlines):
        read_at = every.setdefault((each.at, each.who.value, each.what, each.source), [])
        read_at += () if each.read_at is None else (each.read_at,)
    if not every:
        return
    yield ""
    yield "By when, and who says so:"
    for (at, who, what, source), asked in sorted(every.items()):
        yield f"  {_clock(at, now)}{'' if at > now else ' (passed)'} {who}: {what}"
        yield f"        {source}{_asked(min(asked, default=None), now)}"


def _asked(at: datetime | None, now: datetime) -> str:
    """How long ago that was asked: ", asked 3 min ago"; empty where nobody was."""
    if at is None:
        return ""
    return f", asked {format_span(max(0.0, (now - at).total_seconds()))} ago"


def _countdown(one: Entry, now: datetime) -> str:
    if one.by is None:
        return ""
    left = (one.by - now).total_seconds()
    said = f"{format_span(left)} left" if left > 0 else "passed"
    return f", by {_clock(one.by, now)} ({said})"


def _clock(at: datetime, now: datetime) -> str:
    local = at.astimezone(NEW_YORK)
    is_today = local.date() == now.astimezone(NEW_YORK).date()
    return f"{local:%H:%M}" if is_today else f"{local:%a %d %b %H:%M}"


def _cockpit_row(one: CockpitLine) -> tuple[str, ...]:
    return (
        f"  {one.label}" if not one.is_structure else one.label,
        one.state.value,
        one.to_strike_words or _UNKNOWN,
        one.time_value_words or _UNKNOWN,
        one.if_now_words or _UNKNOWN,
    )
