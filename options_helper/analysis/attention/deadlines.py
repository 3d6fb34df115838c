"""By when something can still be done about a contract that ends: the broker's, exchange's and OCC's instants.

Where two pages of the broker differ, both stand here with their source, and the stricter one is the first. Half days
move them all: they keep their distance from the close, which no page says, so it is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from options_helper.analysis.attention.entries import Deadline, Who
from options_helper.analysis.remembered import Itself
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_hours import (
    is_settled_at_open,
    last_trading_day,
    option_trading_ends_at,
    settles_at,
)
from options_helper.model.contract_records import (
    ContractRecord,
    is_american,
    is_usual,
    named_at_open,
)
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.market_hours import (
    EXTRA_OPTION_TIME,
    NOTHING_TOLD,
    ToldSessions,
    regular_session,
    session_before,
)
from options_helper.model.portfolio import Instrument

_USUAL_CLOSE: Final = (16, 0)
_INFERRED: Final = "; on a half day it is taken to keep its distance from the close"
OPTIONS_PAGE: Final = 'Alpaca, "Options Trading" (docs, copy of 2026-06-17): within 1 hour before expiry'
LIQUIDATION_PAGE: Final = (
    'Alpaca support, "Why was my option position closed out" (undated, read 2026-11-27): typically 15:15'
)
EXERCISE_PAGE: Final = 'Alpaca, "Exercise an options position" (API reference, read 2026-11-27)'
OLD_EXERCISE_PAGE: Final = (
    'Alpaca support, "What happens when my option position expires" (undated, read 2026-11-27)'
)
OCC_RULE: Final = "FINRA rule 2360 (secondary copy): holders may instruct otherwise until 17:30"


@dataclass(frozen=True, slots=True)
class ContractLife:
    """When one contract stops, and what says so."""

    at_open: bool  # settled by opening prices
    settlement_source: str
    is_cash: bool  # nothing is delivered
    is_american: bool
    last_day: date  # on which it is traded
    trading_ends: datetime | None  # of its last day; None, as below: the calendar does not reach
    hours_source: str
    settles: datetime | None  # the instant by whose price its worth is fixed
    is_odd: bool = (
        False  # by the record it delivers something else than so many shares as its dollars a point are
    )
    delivers: str = ""  # what, by the record, as in "110 AAPL and $12.50"; empty where it does not say
    # When the sources of settlement and hours were asked, on the market's clock; None: nobody was.
    settlement_read_at: datetime | None = None
    hours_read_at: datetime | None = None


class ClassEnd(NamedTuple):
    """When options on something are traded for the last time on a day, and what says so."""

    at: datetime | None  # None: the calendar does not reach
    source: str
    read_at: datetime | None = None  # when that was asked; None: nobody was


def contract_life(one: Instrument, facts: ExpiryFacts, told: ToldSessions) -> ContractLife | None:
    """The life of a contract: by Alpaca's record, else by the file, else by its root; None of a share."""
    if one.expiry is None:
        return None
    record = facts.records.get(one.live_symbol)
    if told:
        return _life(one, one.expiry, record, facts, told)
    # Asked of each contract at each refresh; where a market told of other sessions, the answer may change.
    late_close = facts.late_close.get(one.underlying), facts.late_close_read_at.get(one.underlying)
    return _usual_life(one, one.expiry, Itself(record), late_close)


@lru_cache(maxsize=4_096)
def _usual_life(
    one: Instrument,
    expiry: date,
    told: Itself[ContractRecord | None],
    late_close: tuple[bool | None, datetime | None],
) -> ContractLife:
    record, (is_late, read_at) = told.value, late_close
    facts = ExpiryFacts(
        records={} if record is None else {one.live_symbol: record},
        late_close={} if is_late is None else {one.underlying: is_late},
        late_close_read_at={} if read_at is None else {one.underlying: read_at},
    )
    return _life(one, expiry, record, facts, NOTHING_TOLD)


def _life(
    one: Instrument, expiry: date, record: ContractRecord | None, facts: ExpiryFacts, told: ToldSessions
) -> ContractLife:
    from_record = None if record is None else record.settled_at_open
    named = named_at_open(one, facts.records)
    on_index = is_index(one.underlying)
    told_day = None if record is None else record.last_trading_day
    last_day = told_day or last_trading_day(one.live_symbol, expiry, told, at_open=named)
    settles = settles_at(one.live_symbol, expiry, told, at_open=named)
    ends = _trading_ends(one, last_day, settles, facts, told)
    return ContractLife(
        at_open=is_settled_at_open(one.live_symbol, expiry, told, named=named),
        settlement_source=(
            "Alpaca's record"
            if from_record is not None
            else "your file"
            if named is not None
            else "its root, since no record says it"
            if on_index
            else "options on shares end with the shares' close"
        ),
        is_cash=one.delivery == "cash" or (one.delivery is None and on_index),
        is_american=is_american(one, facts.records),
        last_day=last_day,
        trading_ends=ends.at,
        hours_source=ends.source,
        settles=settles,
        is_odd=not one.adjusted and not is_usual(one, facts.records),
        delivers="" if record is None else record.delivers,
        settlement_read_at=None if record is None or from_record is None else record.read_at,
        hours_read_at=ends.read_at,
    )


def _trading_ends(
    one: Instrument, last_day: date, settles: datetime | None, facts: ExpiryFacts, told: ToldSessions
) -> ClassEnd:
    session = regular_session(last_day, told)
    if session is None:
        return ClassEnd(None, "the calendar does not reach")
    if is_index(one.underlying):
        # What expires by the closing prices of an index ends with the shares; another day it is traded longer.
        if settles is not None and settles.date() == last_day:
            return ClassEnd(session.closes, "Cboe: an expiring index option ends with the shares")
        return ClassEnd(option_trading_ends_at(one.live_symbol, last_day, told), "Cboe's hours of the class")
    return class_ends(one.live_symbol, one.underlying, last_day, facts, told)


def class_ends(symbol: str, underlying: str, day: date, facts: ExpiryFacts, told: ToldSessions) -> ClassEnd:
    """When the options on a share are traded for the last time on a day, and what says so."""
    session, late = regular_session(day, told), facts.late_close.get(underlying)
    if session is None or late is None:
        source = "a list of brokers', since no asset record says it"
        return ClassEnd(option_trading_ends_at(symbol, day, told), source)
    source = f"Alpaca's asset record {'has' if late else 'lacks'} options_late_close"
    ends = session.closes + (EXTRA_OPTION_TIME if late else timedelta())
    return ClassEnd(ends, source, facts.late_close_read_at.get(underlying))


def last_day_deadlines(life: ContractLife, told: ToldSessions) -> tuple[Deadline, ...]:
    """The instants of the last day of a contract, in order; none where the calendar does not reach."""
    return _last_day_deadlines(life, told) if told else _usual_last_day_deadlines(life)


@lru_cache(maxsize=4_096)  # asked of each contract at each refresh
def _usual_last_day_deadlines(life: ContractLife) -> tuple[Deadline, ...]:
    return _last_day_deadlines(life, NOTHING_TOLD)


def _last_day_deadlines(life: ContractLife, told: ToldSessions) -> tuple[Deadline, ...]:
    return tuple(sorted(_of_last_day(life, told), key=lambda one: one.at))


def _of_last_day(life: ContractLife, told: ToldSessions) -> Iterator[Deadline]:
    session = regular_session(life.last_day, told)
    if session is None or life.trading_ends is None:
        return
    if not life.is_cash and not life.at_open:
        yield from _of_broker(session.closes)
    yield Deadline(
        life.trading_ends,
        Who.EXCHANGE,
        "trading ends",
        life.hours_source,
        read_at=life.hours_read_at,
    )
    if life.settles is not None and life.at_open:
        yield Deadline(
            life.settles,
            Who.EXCHANGE,
            "settled by the opening prices",
            life.settlement_source,
            counts_down=False,
            read_at=life.settlement_read_at,
        )
    elif life.settles is not None and life.settles != life.trading_ends:
        yield Deadline(
            life.settles,
            Who.EXCHANGE,
            "its worth is fixed",
            life.settlement_source,
            counts_down=False,
            read_at=life.settlement_read_at,
        )


def _of_broker(closes: datetime) -> Iterator[Deadline]:
    note = "" if (closes.hour, closes.minute) == _USUAL_CLOSE else _INFERRED
    sold = "may close what is in the money without the money or the shares"
    yield Deadline(closes - timedelta(minutes=60), Who.BROKER, sold, f"{OPTIONS_PAGE}{note}", sells_out=True)
    yield Deadline(
        closes - timedelta(minutes=45),
        Who.BROKER,
        "typically closes what is in or near the money without the money or the shares",
        f"{LIQUIDATION_PAGE}{note}",
        sells_out=True,
    )
    yield Deadline(
        closes,
        Who.BROKER,
        "takes no exercise and no do-not-exercise any more",
        f"{EXERCISE_PAGE}{note}",
    )
    yield Deadline(
        closes + timedelta(minutes=30),
        Who.BROKER,
        "a do-not-exercise by an older page",
        f"{OLD_EXERCISE_PAGE}{note}",
        counts_down=False,
    )
    yield Deadline(
        closes + timedelta(minutes=90),
        Who.CLEARING,
        "holders may still exercise, or not, what is out of or in the money",
        f"{OCC_RULE}{note}",
        counts_down=False,
    )


def before_ex_date(
    one: Instrument, ex_date: date, facts: ExpiryFacts, told: ToldSessions, *, held: bool
) -> tuple[Deadline, ...]:
    """The instants of the session before an ex-date: until then a call can be sold, or closed, or exercised if held."""
    if told:
        return _before_ex_date(one.live_symbol, one.underlying, ex_date, facts, told, held=held)
    late_close = facts.late_close.get(one.underlying)
    return _usual_before_ex_date(one.live_symbol, one.underlying, ex_date, late_close=late_close, held=held)


@lru_cache(maxsize=4_096)  # asked of each underlying at each refresh
def _usual_before_ex_date(
    symbol: str, underlying: str, ex_date: date, *, late_close: bool | None, held: bool
) -> tuple[Deadline, ...]:
    facts = ExpiryFacts(late_close={} if late_close is None else {underlying: late_close})
    return _before_ex_date(symbol, underlying, ex_date, facts, NOTHING_TOLD, held=held)


def _before_ex_date(
    symbol: str, underlying: str, ex_date: date, facts: ExpiryFacts, told: ToldSessions, *, held: bool
) -> tuple[Deadline, ...]:
    day = session_before(ex_date, told)
    session = None if day is None else regular_session(day, told)
    if day is None or session is None:
        return ()
    ends = class_ends(symbol, underlying, day, facts, told)
    exercise = Deadline(
        session.closes, Who.BROKER, "takes no exercise any more before the ex-date", EXERCISE_PAGE
    )
    trading = Deadline(
        ends.at or session.closes,
        Who.EXCHANGE,
        "trading ends before it",
        ends.source,
        read_at=ends.read_at,
    )
    return tuple(sorted((exercise, trading) if held else (trading,), key=lambda one: one.at))


def share_before_ex_date(ex_date: date, told: ToldSessions) -> tuple[Deadline, ...]:
    """The close before an ex-date: until then a share is bought and sold with the dividend."""
    day = session_before(ex_date, told)
    session = None if day is None else regular_session(day, told)
    if session is None:
        return ()
    return (
        Deadline(
            session.closes,
            Who.EXCHANGE,
            "trading of the share with its dividend ends in the regular session",
            "the exchange's calendar",
        ),
    )
