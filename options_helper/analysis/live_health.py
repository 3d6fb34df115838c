"""A snapshot → one headline for the page: how far can these prices be trusted, in a sentence and a level."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from math import ceil
from typing import Final, assert_never

from options_helper.analysis.grades import Grade
from options_helper.analysis.marks import DELAYED_SECONDS, QuoteWarning
from options_helper.analysis.totals import LiveTotals
from options_helper.model.announcement import MarketKind
from options_helper.model.clock_skew import FEED_AHEAD_SECONDS, ClockSkew, format_span
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import (
    NEW_YORK,
    expects_data,
    in_regular_hours,
    new_york_date,
    next_change,
)
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamName
from options_helper.model.text import format_count, format_symbol, named
from options_helper.model.told_sessions import format_hours

_LIVE: Final = "Live"
_NEXT_SENTENCE: Final = re.compile(r"(?<=[.!?]) (?=[A-Z])")
_WEEK: Final = timedelta(days=7)
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


# What is said of lines by their grade; what is stale, crossed or unpriced is said by name or already.
_CAVEATS: Final = {
    Grade.AT_BEST: "counted at best",
    Grade.AT_LEAST: "counted at the least it is worth",
    Grade.OTHER_SESSION: "with a price of another session",
    Grade.AFTER_HOURS: "with a price of after hours",
    Grade.QUANTITY: "with a quantity in doubt",
}
_REMARKS: Final = {Grade.WIDE: "quoted wide", Grade.LAST_TRADE: "at the last trade"}
# A stream of which nothing came for so long is no lost one, and no longer one that tells of now: so far behind the
# exchange a price is told as late, too.
SILENT_SECONDS: Final = DELAYED_SECONDS


class Level(StrEnum):
    """How much the reader should worry."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Headline:
    """The one sentence above everything else."""

    level: Level
    sentence: str


def headline(
    snapshot: LiveSnapshot,
    *,
    stale_symbols: Sequence[str] = (),
    caveats: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> Headline:
    """The most serious thing there is to say.

    `stale_symbols` are the lines whose quotes are too old, in words; `caveats` what else speaks against the book's
    numbers (`book_caveats`), `remarks` what should be known of them and is no reason to worry (`book_remarks`).
    """
    if not snapshot.running:
        return _not_running(snapshot)
    findings = chain(
        _stream_findings(snapshot, (*caveats, *remarks)),
        _price_findings(snapshot, stale_symbols, caveats, remarks),
    )
    return _with_silence(next(findings), snapshot)


def _with_silence(found: Headline, snapshot: LiveSnapshot) -> Headline:
    """The same, with how long nothing has come of what should move, where it says that the prices live.

    It is no reason to worry by itself: what is seldom traded is silent for that long, and a connection that is lost is
    found out by its pings. So it is said with its length, and nothing is concluded from it.
    """
    if not found.sentence.startswith(_LIVE) or snapshot.market is MarketKind.REPLAY:
        return found
    silent = {
        str(health.name): seconds
        for health in snapshot.streams.values()
        if (seconds := _silent_seconds(health, snapshot.as_of)) >= SILENT_SECONDS
    }
    if not silent:
        return found
    said = f"{_LIVE}, no word of {' and '.join(silent)} for {format_span(min(silent.values()))}"
    return Headline(found.level, said + found.sentence.removeprefix(_LIVE))


def _silent_seconds(health: StreamHealth, as_of: datetime) -> float:
    """For how long nothing has come of a connected stream that should move; 0 where nothing has to come."""
    if health.silent_since is None or health.name.kind.silence_is_normal:
        return 0.0
    # What has come since the silence was last looked at is known already.
    since = max(health.silent_since, health.last_event_at or health.silent_since)
    return (as_of - since).total_seconds()


def book_caveats(totals: LiveTotals) -> tuple[str, ...]:
    """What the totals rest on that is no good price of now, or no quantity of the account's, each in a few words."""
    facts = (
        (
            totals.with_warning(QuoteWarning.DELAYED_PRICE),
            f"more than {DELAYED_SECONDS} s behind the exchange",
        ),
        (totals.unpriced, "without a price"),
        (totals.without_multiplier, "without a multiplier, so without a value"),
        (totals.holdings.account_only, f"of {totals.holdings.holder} that {totals.holdings.lacking}"),
        (totals.with_warning(QuoteWarning.CROSSED_MARKET), "with a crossed quote"),
        *((totals.of_grade(grade), words) for grade, words in _CAVEATS.items()),
    )
    beyond = len(totals.not_believed)
    impossible = f"{format_count(beyond, 'structure')} quoted beyond what it can be worth"
    lines = tuple(f"{format_count(len(lines), 'line')} {what}" for lines, what in facts if lines)
    not_compared, without = totals.holdings.not_compared, " and ".join(totals.holdings.without)
    return (
        *((f"without what the account {without} holds, which is not known",) if without else ()),
        *((f"quantities {not_compared}",) if not_compared else ()),
        *lines,
        *((impossible,) if beyond else ()),
    )


def book_remarks(totals: LiveTotals) -> tuple[str, ...]:
    """Which prices are less than the middle of a narrow quote, and good for what they are."""
    facts = ((totals.of_grade(grade), words) for grade, words in _REMARKS.items())
    return tuple(f"{format_count(len(lines), 'line')} {what}" for lines, what in facts if lines)


def _not_running(snapshot: LiveSnapshot) -> Headline:
    failed = _in_phase(snapshot, Phase.FAILED)
    if failed:
        return Headline(Level.ERROR, _failure(failed, snapshot.as_of))
    if _in_phase(snapshot, Phase.STOPPED):
        return Headline(Level.INFO, "Stopped: these are the last prices received.")
    return Headline(Level.INFO, "Not started: press Start to connect.")


def _stream_findings(snapshot: LiveSnapshot, exceptions: Sequence[str]) -> Iterator[Headline]:
    """Why a running session's prices may not be of now, the most serious first.

    `exceptions` are the lines of which it is not true that they have the last session's price.
    """
    if failed := _in_phase(snapshot, Phase.FAILED):
        yield Headline(Level.ERROR, _failure(failed, snapshot.as_of))
    if lost := _in_phase(snapshot, Phase.RECONNECTING):
        yield Headline(Level.WARNING, " ".join(_reconnecting(lost, snapshot.as_of)))
    if stopped := _in_phase(snapshot, Phase.STOPPED):
        yield Headline(Level.WARNING, " ".join(_stopped(stopped, snapshot.as_of)))
    if stalled := _in_phase(snapshot, Phase.STALLED):
        yield Headline(Level.WARNING, " ".join(_stalled(health) for health in stalled))
    if connecting := _in_phase(snapshot, Phase.CONNECTING):
        yield Headline(Level.INFO, f"Connecting: {', '.join(health.name for health in connecting)}.")
    if snapshot.played_out:
        yield Headline(Level.INFO, "The recording has ended: these are its last prices.")
    if not _market_is_open(snapshot):
        but = f", but {', '.join(exceptions)}" if exceptions else ""
        yield Headline(Level.INFO, f"Market closed: last session's prices{but}. {_next_open(snapshot)}.")


def _price_findings(
    snapshot: LiveSnapshot, stale_symbols: Sequence[str], caveats: Sequence[str], remarks: Sequence[str]
) -> Iterator[Headline]:
    """What can be said of prices that come in, the most serious first."""
    if stale_symbols:
        yield Headline(
            Level.WARNING,
            f"Live, but {format_count(len(stale_symbols), 'quote')} too old: {named(stale_symbols, 3)}.",
        )
    if caveats:
        yield Headline(Level.WARNING, f"Live, but {', '.join((*caveats, *remarks))}.")
    if said := clock_caveat(snapshot.clock_skew):
        yield Headline(Level.WARNING, f"Live, but {said}")
    if refused := [symbol for health in snapshot.streams.values() for symbol in health.refused_symbols]:
        labels = [format_symbol(symbol) for symbol in refused]
        yield Headline(
            Level.WARNING,
            f"Live, but Alpaca refused {format_count(len(refused), 'symbol')}: {named(labels, 3)}.",
        )
    if loss := _losses(snapshot):
        yield Headline(Level.WARNING, f"Live, but {loss}.")
    yield Headline(Level.OK, f"Live, {', '.join(remarks)}." if remarks else "Live.")


def clock_caveat(skew: ClockSkew | None) -> str | None:
    """What is wrong with the times, as a sentence; None where nothing is, or nothing is known."""
    if skew is None:
        return None
    if skew.matters:
        return (
            f"this computer's clock is {skew.words}. Times and ages here are put right by theirs; set the clock, since "
            "recordings and other programs go by it."
        )
    if skew.feed_ahead >= FEED_AHEAD_SECONDS:
        ahead = format_span(skew.feed_ahead)
        return f"what is streamed has times {ahead} ahead of the servers' clock, so quotes look younger than they are."
    return None


def _told_labels(snapshot: LiveSnapshot) -> tuple[str, ...]:
    """Where the market's own hours differ from the calendar, today and in the week ahead: it is believed, and said."""
    today = new_york_date(snapshot.as_of)
    days = sorted(day for day in snapshot.told_sessions if timedelta() <= day - today <= _WEEK)
    whose = "THE MARKET'S" if snapshot.market.plays else "ALPACA'S"
    return tuple(
        f"{format_hours(snapshot.told_sessions[day]).upper()} {'TODAY' if day == today else short_date(day)} "
        f"({whose} CALENDAR)"
        for day in days
    )


def _clock_label(skew: ClockSkew | None) -> tuple[str, ...]:
    if skew is None or not skew.matters:
        return ()
    return (f"CLOCK {format_span(abs(skew.ahead))} {'AHEAD' if skew.ahead > 0 else 'BEHIND'}",)


def _in_phase(snapshot: LiveSnapshot, phase: Phase) -> list[StreamHealth]:
    return [health for health in snapshot.streams.values() if health.phase is phase]


def _failure(failed: Sequence[StreamHealth], as_of: datetime) -> str:
    reasons = [_named_reason(health) for health in failed]
    # A wrong key fails every stream with the same sentence, or with one that names its feed and the same remedy.
    said: dict[str, None] = {}
    sentences = []
    for reason in dict.fromkeys(reasons):
        new = [one for one in _NEXT_SENTENCE.split(reason) if one not in said]
        said |= dict.fromkeys(new)
        sentences += [f"Failed: {' '.join(new)}"] if new else []
    if tries := [health.next_try_at for health in failed if health.next_try_at]:
        sentences.append(f"It is tried again in {max(0, ceil((min(tries) - as_of).total_seconds()))} s.")
    return " ".join(sentences)


def _named_reason(health: StreamHealth) -> str:
    """Why a stream failed; of an account that has a name, whose it is: the keys of one are none of another's."""
    reason = health.last_error or f"the {health.name} stream ended and said nothing."
    return reason if health.name.account == DEFAULT_ACCOUNT else f"{health.name.label}: {reason}"


def _reconnecting(lost: Sequence[StreamHealth], as_of: datetime) -> Iterator[str]:
    """One sentence for each cause: a server that is away is so for all its streams, and is named once."""
    causes: dict[str, list[StreamHealth]] = {}
    for health in lost:
        reason = health.last_error or "the connection was lost."
        causes.setdefault(_without_address(_without_feed(reason)), []).append(health)
    for several in causes.values():
        tries = [health.next_try_at for health in several if health.next_try_at]
        seconds = ceil((min(tries) - as_of).total_seconds()) if tries else 0
        when = f"next try in {seconds} s" if seconds > 0 else "trying now"
        attempt = max(health.reconnect_attempts for health in several)
        reason = several[0].last_error or "the connection was lost."
        if len(several) > 1:
            reason = _without_feed(reason)
        yield f"{_labels(several)} reconnecting, attempt {attempt}, {when}: {reason}{_age_of_prices(several, as_of)}"


def _stopped(stopped: Sequence[StreamHealth], as_of: datetime) -> Iterator[str]:
    """One sentence for each cause: streams that ended elsewhere while this run goes on, such as with their owner."""
    causes: dict[str, list[StreamHealth]] = {}
    for health in stopped:
        causes.setdefault(health.last_error or "it was ended.", []).append(health)
    for reason, several in causes.items():
        yield f"{_labels(several)} stopped: {reason}{_age_of_prices(several, as_of)}"


def _without_address(reason: str) -> str:
    """A reason without the address in it, in which alone the sentences of one server differ."""
    return re.sub(r"\b(wss?|https?)://\S+|\('[^']*', \d+\)|/\S+", "", reason)


def _without_feed(reason: str) -> str:
    """A reason without the name of the feed whose connection or server it tells of."""
    return re.sub(r"^The [\w -]+? (?=(connection|server)\b)", "The ", reason)


def _labels(several: Sequence[StreamHealth]) -> str:
    first, *others = [health.name.label for health in several]
    if not others:
        return first
    return f"{', '.join([first, *map(str.lower, others[:-1])])} and {others[-1].lower()}"


def _age_of_prices(several: Sequence[StreamHealth], as_of: datetime) -> str:
    heard = [
        health.last_event_at for health in several if health.last_event_at is not None and _has_prices(health)
    ]
    if not heard:
        return ""
    return f" The newest price is {max(0, round((as_of - max(heard)).total_seconds()))} s old."


def _has_prices(health: StreamHealth) -> bool:
    return health.name != StreamName.NEWS and not health.name.kind.carries_orders


def _stalled(health: StreamHealth) -> str:
    reason = health.last_error or "connected, but silent although the market is open."
    return f"{health.name.label} stalled: {reason}"


def _market_is_open(snapshot: LiveSnapshot) -> bool:
    """Whether at least one of the streams asked for is expected to move."""
    streams = [health for health in snapshot.streams.values() if health.phase is not Phase.OFF]
    prices = [health for health in streams if not health.name.kind.carries_orders]
    return any(
        expects_data(health.name, health.feed or "", snapshot.as_of, health.requested, snapshot.told_sessions)
        for health in prices or streams
    )


def _next_open(snapshot: LiveSnapshot) -> str:
    change = next_change(snapshot.as_of, snapshot.told_sessions)
    if in_regular_hours(snapshot.as_of, snapshot.told_sessions):
        return "This feed opens 20:00 ET"
    if change is None:
        return "When it opens is not known"
    return f"Opens {_WEEKDAYS[change.weekday()]} {change:%H:%M} ET"


def _losses(snapshot: LiveSnapshot) -> str:
    dropped = sum(health.dropped for health in snapshot.streams.values())
    rejected = sum(health.rejected for health in snapshot.streams.values())
    facts = []
    if dropped:
        facts.append(f"{format_count(dropped, 'event')} dropped because this computer did not keep up")
    if rejected:
        facts.append(f"{format_count(rejected, 'message')} could not be read")
    if missed := sum(health.missed for health in snapshot.streams.values()):
        facts.append(f"{format_count(missed, 'event')} missed on the way from the owner of the streams")
    return " and ".join(facts)


def feed_labels(snapshot: LiveSnapshot) -> tuple[str, ...]:
    """What must be known of these prices for as long as they are shown."""
    return (*_source_labels(snapshot), *_told_labels(snapshot), *_bus_labels(snapshot))


def _bus_labels(snapshot: LiveSnapshot) -> tuple[str, ...]:
    """That another program has the connections, and has yet to say of which feeds they are."""
    if snapshot.desk is None:
        return ()
    shown = (one for one in snapshot.streams.values() if one.name.kind.feeds and one.phase is not Phase.OFF)
    unknown = any(one.feed is None for one in shown)
    return ("streams over a bus", *(("feed not known yet",) if unknown else ()))


def _source_labels(snapshot: LiveSnapshot) -> tuple[str, ...]:
    match snapshot.market:
        case MarketKind.SIMULATED:
            return (f"SIMULATED MARKET {snapshot.as_of.astimezone(NEW_YORK):%Y-%m-%d}",)
        case MarketKind.REPLAY:
            # What was made up once is made up each time it is played.
            of = "" if snapshot.replay_of is None else f" of a {snapshot.replay_of.upper()} market"
            return (f"REPLAY{of} {snapshot.as_of.astimezone(NEW_YORK):%Y-%m-%d %H:%M} ET",)
        case MarketKind.LOCAL:
            return ("NOT ALPACA: a market on this computer", *_clock_label(snapshot.clock_skew))
        case MarketKind.ALPACA:
            # Options first: a modelled price says less than a part of the market's.
            labels = map(_caveat, reversed(list(snapshot.streams.values())))
            return (*(label for label in labels if label), *_clock_label(snapshot.clock_skew))
        case _:
            assert_never(snapshot.market)


def _caveat(health: StreamHealth) -> str | None:
    return None if health.phase is Phase.OFF else health.name.kind.caveat_of(health.feed or "")
