"""What tables of positions and of legs have in common: each line's marks, days, moneyness and warnings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from options_helper.analysis.changed_shares import of_yesterdays_share
from options_helper.analysis.grades import rank_lines
from options_helper.analysis.holdings import Holdings, compare_holdings
from options_helper.analysis.marks import (
    UNKNOWN_TIME,
    Findings,
    Flags,
    Integers,
    Marks,
    MarkSource,
    Numbers,
    QuoteWarning,
    SessionTimes,
    read_marks,
)
from options_helper.analysis.remembered import Itself, remembered
from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.contract_hours import (
    ended_since,
    is_settled_at_open,
    last_trading_day,
    latest_session,
    option_trading_ends_at,
)
from options_helper.model.contract_records import ContractRecord, named_at_open
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.market_hours import Session, ToldSessions, expects_data, new_york_date
from options_helper.model.portfolio import Instrument, Portfolio, PortfolioEntry
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.streams import StreamName

_NO_SOURCE: Final = np.array(None, dtype=object)
_COIN_SESSION: Final = timedelta(days=1)
_NEVER_NS: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class PricedLines:
    """What tables of positions and of legs have in common: n lines, and n elements in each array and column.

    Prices are dollars per share; `columns` has the names and units of `analysis.columns`.
    """

    today: date  # in New York
    ended: Flags  # contracts that have no price any more
    rank: Integers  # of the line's grade
    mark: Numbers
    natural: Numbers
    # Dollars for each dollar of price: quantity times multiplier, short is negative. NaN where one is not known.
    worth: Numbers
    findings: Findings
    columns: Mapping[str, Any]
    holdings: Holdings  # of the whole portfolio

    def take(self, places: Sequence[int]) -> PricedLines:
        """The lines in these places, in this order."""
        chosen = np.array(places, dtype=np.int64)
        return PricedLines(
            today=self.today,
            ended=self.ended[chosen],
            rank=self.rank[chosen],
            mark=self.mark[chosen],
            natural=self.natural[chosen],
            worth=self.worth[chosen],
            findings={warning: flags[chosen] for warning, flags in self.findings.items()},
            columns={
                name: values[chosen] if isinstance(values, np.ndarray) else [values[n] for n in places]
                for name, values in self.columns.items()
            },
            holdings=self.holdings,
        )


def price_entries(
    entries: Sequence[PortfolioEntry],
    portfolio: Portfolio,
    live: LiveSnapshot,
    *,
    stale_after_seconds: float,
    wide_spread_pct: float,
) -> PricedLines:
    """Price every line of these entries of the portfolio, in their order."""
    return _price_lines(
        _all_held(portfolio, None) if entries is portfolio.positions else _held(entries),
        live,
        holdings=compare_holdings(portfolio, live.account, live.told_sessions),
        stale_after_seconds=stale_after_seconds,
        wide_spread_pct=wide_spread_pct,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """What of n lines follows from the portfolio alone; nobody changes it."""

    instruments: tuple[Instrument, ...]
    quantity: Numbers  # short is negative
    multiplier: Numbers
    strike: Numbers
    is_option: Flags
    is_call: Flags
    adjusted: Flags
    underlyings: tuple[str, ...]  # each once
    underlying_of: Integers  # of each line, its place among them
    columns: Mapping[str, Any]

    @property
    def symbols(self) -> Sequence[str]:
        """The symbol of each line, as it is streamed."""
        symbols: Sequence[str] = self.columns["live_symbol"]
        return symbols


@remembered
def _all_held(portfolio: Portfolio, _: None) -> _Held:
    return _held(portfolio.positions)


def _held(entries: Iterable[PortfolioEntry]) -> _Held:
    lines = [line for entry in entries for line in entry.lines]
    instruments = tuple(line.instrument for line in lines)
    places = {
        name: place for place, name in enumerate(dict.fromkeys(item.underlying for item in instruments))
    }
    return _Held(
        instruments=instruments,
        quantity=numbers(line.quantity for line in lines),
        multiplier=numbers(item.multiplier for item in instruments),
        strike=numbers(item.strike for item in instruments),
        is_option=_flags(item.is_option for item in instruments),
        is_call=_flags(item.option_type == "call" for item in instruments),
        adjusted=_flags(item.adjusted for item in instruments),
        underlyings=tuple(places),
        underlying_of=np.array([places[item.underlying] for item in instruments], dtype=np.int64),
        columns=_contract_columns(instruments),
    )


def _price_lines(
    held: _Held,
    live: LiveSnapshot,
    *,
    holdings: Holdings,
    stale_after_seconds: float,
    wide_spread_pct: float,
) -> PricedLines:
    """Price each line by the snapshot."""
    quantity = held.quantity
    marks = read_marks(
        list(map(live.quotes.get, held.symbols)),
        list(map(live.trades.get, held.symbols)),
        is_option=held.is_option,
        as_of=live.as_of,
        short=quantity < 0,
        hours=latest_hours(held.instruments, live),
    )
    today = new_york_date(live.as_of)
    of_day = _of_day(held, (today, Itself(live.told_sessions), Itself(live.expiry_facts.records)))
    # After its end the last quote is no price any more: what it settled at is not known here.
    ended = of_day.ended_ns <= datetime_nanoseconds(live.as_of)
    price = np.where(ended, np.nan, marks.price)
    natural = np.where(ended, np.nan, marks.natural(long=quantity > 0))
    is_moved = _among(held, holdings.moved)
    is_changing = _among(held, of_yesterdays_share(held.symbols, live))
    findings = {
        QuoteWarning.EXPIRED: ended,
        **of_day.findings(ended),
        QuoteWarning.ADJUSTED_CONTRACT: held.adjusted,
        QuoteWarning.QUANTITY_IN_DOUBT: ~ended & _among(held, holdings.in_doubt),
        QuoteWarning.OTHER_SHARE: ~ended & is_moved,
        QuoteWarning.CHANGES_TODAY: ~ended & is_changing,
        **_only(~ended, _quote_findings(marks, held, live, stale_after_seconds, wide_spread_pct)),
    }
    return PricedLines(
        today=today,
        ended=ended,
        mark=price,
        natural=natural,
        # A price of today's share times a quantity of another one is no value.
        worth=np.where(is_moved | is_changing, np.nan, quantity * held.multiplier),
        rank=rank_lines(marks, findings, short=quantity < 0),
        findings=findings,
        columns={
            **held.columns,
            **_mark_columns(marks, ended),
            **_underlying_columns(held, live, is_changing),
            "dte": of_day.dte,
            "last_day": of_day.last_days,
            "multiplier": held.multiplier,
            "mark": price,
            "natural": natural,
        },
        holdings=holdings,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _OfDay:
    """What of n lines follows from portfolio, calendar and records, and so lasts a day; nobody changes it."""

    ended_ns: Integers  # from when on each has no price any more, epoch nanoseconds
    last_days: list[date | None]  # on which each is traded; None: it has no end
    dte: Numbers
    is_last: Flags
    expires: Flags
    at_open: Flags  # settled by the opening prices

    def findings(self, ended: Flags) -> Findings:
        """What is to be said of their last days."""
        return {
            QuoteWarning.EXPIRES_TODAY: self.expires & ~ended,
            QuoteWarning.LAST_TRADING_DAY: self.is_last & ~self.expires & ~ended,
            QuoteWarning.SETTLED_AT_OPEN: self.at_open & (ended | self.expires),
        }


@remembered
def _of_day(
    held: _Held, known: tuple[date, Itself[ToldSessions], Itself[Mapping[str, ContractRecord]]]
) -> _OfDay:
    today, told, records = known[0], known[1].value, known[2].value
    ended_ns: list[int] = []
    last_days: list[date | None] = []
    at_open: list[bool] = []
    for item in held.instruments:
        if item.expiry is None:
            ended_ns.append(_NEVER_NS)
            last_days.append(None)
            at_open.append(False)
            continue
        named = named_at_open(item, records)
        since = ended_since(item.live_symbol, item.expiry, today, told, at_open=named)
        ended_ns.append(_NEVER_NS if since is None else datetime_nanoseconds(since))
        last_days.append(last_trading_day(item.live_symbol, item.expiry, told, at_open=named))
        at_open.append(is_settled_at_open(item.live_symbol, item.expiry, told, named=named))
    return _OfDay(
        ended_ns=np.array(ended_ns, dtype=np.int64),
        last_days=last_days,
        dte=numbers((item.expiry - today).days if item.expiry else None for item in held.instruments),
        is_last=_flags(day == today for day in last_days),
        expires=_flags(item.expiry == today for item in held.instruments),
        at_open=_flags(at_open),
    )


def latest_hours(
    instruments: Sequence[Instrument] | Sequence[str], live: LiveSnapshot
) -> SessionTimes | None:
    """The hours of the latest session; a line that is only a name is a share's or a coin's.

    A coin's session is the day up to now, whatever the exchange does.
    """
    session = latest_session(live.as_of, live.told_sessions)
    if session is None:
        return None
    hours, is_coin = _hours_of(instruments, (session, Itself(live.told_sessions)))
    if not is_coin.any():
        return hours
    a_day_ago_ns = datetime_nanoseconds(live.as_of - _COIN_SESSION)
    return SessionTimes(np.where(is_coin, a_day_ago_ns, hours.opens_ns), hours.ends_ns)


@remembered
def _hours_of(
    instruments: Sequence[Instrument] | Sequence[str], known: tuple[Session, Itself[ToldSessions]]
) -> tuple[SessionTimes, Flags]:
    """The hours of a session for each line, and which lines are coins, whose own have no end."""
    session, told = known[0], known[1].value
    opens_ns, closes_ns = datetime_nanoseconds(session.opens), datetime_nanoseconds(session.closes)
    day = session.opens.date()
    of_class: dict[str, int] = {}
    ends: list[int] = []
    coins: list[bool] = []
    for item in instruments:
        coins.append(is_coin_pair(item) if isinstance(item, str) else item.is_coin)
        if coins[-1] or isinstance(item, str) or not item.is_option:
            ends.append(_NEVER_NS if coins[-1] else closes_ns)
            continue
        if item.underlying not in of_class:
            ends_at = option_trading_ends_at(item.underlying, day, told)
            of_class[item.underlying] = datetime_nanoseconds(ends_at or session.closes)
        ends.append(of_class[item.underlying])
    times = SessionTimes(np.full(len(ends), opens_ns, dtype=np.int64), np.array(ends, dtype=np.int64))
    return times, _flags(coins)


def _contract_columns(instruments: Sequence[Instrument]) -> dict[str, Any]:
    return {
        "symbol": [item.symbol for item in instruments],
        "underlying": [item.underlying for item in instruments],
        "words": [item.label for item in instruments],
        "contract_symbol": [item.live_symbol if item.is_option else None for item in instruments],
        "live_symbol": [item.live_symbol for item in instruments],
        "option_type": [item.option_type for item in instruments],
        "expiry": [item.expiry for item in instruments],
        "strike": numbers(item.strike for item in instruments),
    }


def _mark_columns(marks: Marks, ended: Flags) -> dict[str, Any]:
    return {
        "bid": marks.bid,
        "ask": marks.ask,
        "last": marks.last,
        "mark_source": np.where(ended, _NO_SOURCE, marks.source),
        "mark_via": np.where(ended, _NO_SOURCE, marks.via),
        "mark_age_seconds": np.where(ended, np.nan, marks.age),
        "mark_at": np.where(ended, UNKNOWN_TIME, marks.time_ns),
        "quote_age_seconds": marks.quote_age,
        "spread_pct": marks.spread_pct,
    }


def _underlying_columns(held: _Held, live: LiveSnapshot, is_changing: Flags) -> dict[str, Any]:
    price, age, via = _underlyings(held, live)
    # A strike in yesterday's share has no price in today's.
    price = np.where(held.is_option & is_changing, np.nan, price)
    in_the_money = np.where(held.is_call, price - held.strike, held.strike - price)
    return {
        "underlying_price": price,
        "underlying_age_seconds": age,
        "underlying_via": via,
        # What an adjusted contract delivers is not known, so neither is how its strike compares.
        "moneyness_pct": np.where(held.adjusted, np.nan, 100 * in_the_money / price),
    }


def _underlyings(held: _Held, live: LiveSnapshot) -> tuple[Numbers, Numbers, NDArray[np.object_]]:
    """Price of what each line is written on, the age of that price and the way it came."""
    names, places = held.underlyings, held.underlying_of
    marks = read_marks(
        list(map(live.quotes.get, names)),
        list(map(live.trades.get, names)),
        is_option=np.zeros(len(names), dtype=bool),
        as_of=live.as_of,
        hours=latest_hours(names, live),
    )
    # One side of a quote that is too wide is no price of anything.
    is_bound = (marks.source == MarkSource.BID) | (marks.source == MarkSource.ASK)
    price = np.where(marks.findings[QuoteWarning.TOO_WIDE] & is_bound, np.nan, marks.price)
    return price[places], marks.age[places], marks.via[places]


def _quote_findings(
    marks: Marks,
    held: _Held,
    live: LiveSnapshot,
    stale_after_seconds: float,
    wide_spread_pct: float,
) -> Findings:
    moving = _expected_to_move(held.instruments, live)
    from_trade = marks.findings[QuoteWarning.MARK_FROM_TRADE]
    return {
        **marks.findings,
        **_subscription_findings(held, live),
        QuoteWarning.STALE_QUOTE: moving & (marks.quote_age > stale_after_seconds),
        QuoteWarning.STALE_TRADE: moving & from_trade & (marks.age > stale_after_seconds),
        QuoteWarning.WIDE_SPREAD: marks.is_wide(wide_spread_pct),
    }


def _subscription_findings(held: _Held, live: LiveSnapshot) -> Findings:
    # Whichever stream brings a symbol's prices, one of any provider among them.
    priced = [health for name, health in live.streams.items() if not name.kind.carries_orders]
    return _subscribed(
        held,
        (
            tuple([stream.requested for stream in priced]),
            tuple([stream.refused_symbols for stream in priced]),
            # A stream that has not got round to asking yet has left nothing out.
            tuple([live.running and _has_asked(live, name) for name in _PRICE_STREAMS]),
        ),
    )


@remembered
def _subscribed(
    held: _Held, told: tuple[tuple[Sequence[str], ...], tuple[Sequence[str], ...], tuple[bool, ...]]
) -> Findings:
    """What of these lines no stream was asked for, or refused; `told` is what each was, and which have asked."""
    requested, refused = ({symbol for symbols in each for symbol in symbols} for each in told[:2])
    settled = dict(zip(_PRICE_STREAMS, told[2], strict=True))
    return {
        QuoteWarning.NOT_SUBSCRIBED: _flags(
            settled[_stream_of(item)] and item.live_symbol not in requested for item in held.instruments
        ),
        QuoteWarning.REFUSED_SYMBOL: _flags(item.live_symbol in refused for item in held.instruments),
    }


_PRICE_STREAMS: Final = (StreamName.STOCKS, StreamName.OPTIONS, StreamName.CRYPTO)


def _stream_of(item: Instrument) -> StreamName:
    if item.is_option:
        return StreamName.OPTIONS
    return StreamName.CRYPTO if item.is_coin else StreamName.STOCKS


def _has_asked(live: LiveSnapshot, name: StreamName) -> bool:
    """Whether the stream has asked for all that it will; one that is in no snapshot is not wanted."""
    stream = live.streams.get(name)
    return stream is None or stream.phase is Phase.OFF or bool(stream.requested)


def _expected_to_move(instruments: Sequence[Instrument], live: LiveSnapshot) -> Flags:
    """Where silence makes a quote stale: while the market is closed, it is the session's last."""
    options_feed = live.streams[StreamName.OPTIONS].feed or ""
    stocks_feed, told = live.streams[StreamName.STOCKS].feed or "", live.told_sessions
    stocks_move = expects_data(StreamName.STOCKS, stocks_feed, live.as_of, told=told)
    # In the session all do, after it those of some classes for a while.
    all_move = expects_data(StreamName.OPTIONS, options_feed, live.as_of, told=told)
    if all_move and stocks_move:
        return np.ones(len(instruments), dtype=bool)
    options_move = {
        name: all_move or expects_data(StreamName.OPTIONS, options_feed, live.as_of, (name,), told)
        for name in {item.underlying for item in instruments}
    }
    return _flags(
        options_move[item.underlying] if item.is_option else item.is_coin or stocks_move
        for item in instruments
    )


def _among(held: _Held, symbols: Collection[str]) -> Flags:
    """Which lines are of these symbols, in Alpaca's spelling; mostly there are none."""
    if not symbols:
        return np.zeros(len(held.instruments), dtype=bool)
    wanted = frozenset(symbols)
    return _flags(item.live_symbol in wanted for item in held.instruments)


def _only(where: Flags, findings: Findings) -> dict[QuoteWarning, Flags]:
    return {warning: flags & where for warning, flags in findings.items()}


def numbers(values: Iterable[float | Decimal | None]) -> Numbers:
    """A column of numbers, NaN for None."""
    return np.array(list(values), dtype=np.float64)


def _flags(values: Iterable[bool]) -> Flags:
    return np.array(list(values), dtype=bool)
