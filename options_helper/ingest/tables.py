"""What servers answer, as rows: one odd value costs itself, and a row without its key is left out.

Times are epoch nanoseconds, in columns that end with `_ns`; days are ISO dates. Prices are as the server wrote them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final

from options_helper.analysis.own_volatility import OptionQuote, Term, ThirtyDayVolatility
from options_helper.data.fred import Observation
from options_helper.data.rest.risk_readings import ACTION_SYMBOLS
from options_helper.errors import SymbolError
from options_helper.ingest.store import Cell, Table
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.events import News
from options_helper.model.instants import datetime_nanoseconds, epoch_nanoseconds
from options_helper.model.tolerant import amount, field, items, word

Row = Mapping[str, Any]

CHAIN: Final = (
    "slot_ns", "asked_ns", "feed", "symbol", "expiry", "type", "strike", "bid", "bid_size", "ask", "ask_size",
    "quote_ns", "last", "last_size", "last_ns", "volume", "implied_volatility", "delta", "gamma", "theta", "vega",
    "rho",
)  # fmt: skip
CHAIN_SYMBOL: Final = CHAIN.index("symbol")
FRED: Final = ("asked_ns", "series", "day", "value", "vintage", "what")
NEWS: Final = (
    "asked_ns", "id", "created_ns", "updated_ns", "source", "author", "headline", "summary", "url", "symbols",
)  # fmt: skip
_GREEKS: Final = ("delta", "gamma", "theta", "vega", "rho")
CONTRACTS: Final = (
    "day", "asked_ns", "symbol", "status", "tradable", "expiry", "type", "strike", "style", "multiplier", "size",
    "open_interest", "open_interest_day", "close", "close_day",
)  # fmt: skip
ACTIONS: Final = (
    "asked_ns", "type", "id", "symbol", "ex_date", "process_date", "record_date", "payable_date", "rate", "old_rate",
    "new_rate", "new_symbol", "detail",
)  # fmt: skip
BARS: Final = (
    "symbol", "ts_ns", "timeframe", "feed", "open", "high", "low", "close", "volume", "trade_count", "vwap",
)  # fmt: skip
PROXIES: Final = (*BARS, "stands_for")
VOLATILITY: Final = (
    "slot_ns", "underlying", "percent", "rate", "rate_source", "near_expiry", "near_days", "near_strikes",
    "near_forward", "near_variance", "far_expiry", "far_days", "far_strikes", "far_forward", "far_variance", "missing",
)  # fmt: skip


def chain_table(snapshots: Mapping[str, Any], slot: datetime, asked_at: datetime, feed: str) -> Table:
    """One snapshot of an underlying's contracts, by symbol; contracts whose symbol is none are left out."""
    slot_ns, asked_ns = datetime_nanoseconds(slot), datetime_nanoseconds(asked_at)
    rows = [
        (slot_ns, asked_ns, feed, symbol, *terms, *_prices(snapshot))
        for symbol, snapshot in sorted(snapshots.items(), key=itemgetter(0))
        if (terms := _terms(symbol)) is not None
    ]
    return Table(CHAIN, rows)


def _terms(symbol: str) -> tuple[Cell, ...] | None:
    try:
        terms = parse_contract_symbol(symbol)
    except SymbolError:
        return None
    return terms.expiry.isoformat(), terms.option_type, terms.strike


def _prices(snapshot: Any) -> Iterator[Cell]:
    quote, trade, greeks = (field(snapshot, name) for name in ("latestQuote", "latestTrade", "greeks"))
    yield from (_number(quote, name) for name in ("bp", "bs", "ap", "as"))
    yield _time_ns(quote, "t")
    yield from (_number(trade, name) for name in ("p", "s"))
    yield _time_ns(trade, "t")
    yield _number(field(snapshot, "dailyBar"), "v")
    yield _number(snapshot, "impliedVolatility")
    yield from (_number(greeks, name) for name in _GREEKS)


def contracts_table(rows: Iterable[Row], day: str, asked_at: datetime) -> Table:
    """The listed contracts of an underlying, with their open interest."""
    asked_ns = datetime_nanoseconds(asked_at)
    by_symbol = {symbol: row for row in rows if (symbol := word(field(row, "symbol"))) is not None}
    return Table(
        CONTRACTS,
        [
            (
                day,
                asked_ns,
                symbol,
                word(field(row, "status")),
                _flag(row, "tradable"),
                word(field(row, "expiration_date")),
                word(field(row, "type")),
                _number(row, "strike_price"),
                word(field(row, "style")),
                *(_number(row, name) for name in ("multiplier", "size", "open_interest")),
                word(field(row, "open_interest_date")),
                _number(row, "close_price"),
                word(field(row, "close_price_date")),
            )
            for symbol, row in sorted(by_symbol.items())
        ],
    )


def actions_table(pages: Iterable[Row], asked_at: datetime) -> Table:
    """Corporate actions of all types; `detail` is the whole of what was said, as JSON."""
    asked_ns = datetime_nanoseconds(asked_at)
    found: dict[tuple[str, str], Sequence[Cell]] = {}
    for page in pages:
        by_type = field(page, "corporate_actions")
        for kind, actions in by_type.items() if isinstance(by_type, Mapping) else ():
            for action in items(actions):
                detail = json.dumps(action, sort_keys=True, ensure_ascii=False)
                identity = word(field(action, "id"))
                found[kind, identity or detail] = (
                    asked_ns,
                    kind,
                    identity,
                    next((name for key in ACTION_SYMBOLS if (name := word(field(action, key)))), None),
                    *(word(field(action, name)) for name in ACTIONS[4:8]),
                    *(_number(action, name) for name in ("rate", "old_rate", "new_rate")),
                    word(field(action, "new_symbol")),
                    detail,
                )
    return Table(ACTIONS, [found[key] for key in sorted(found)])


def bars_table(
    pages: Iterable[Row], timeframe: str, feed: str, stands_for: Mapping[str, str] | None = None
) -> Table:
    """Bars by symbol and time; with `stands_for`, what each symbol is a proxy of."""
    found: dict[tuple[str, int], Sequence[Cell]] = {}
    for page in pages:
        by_symbol = field(page, "bars")
        for symbol, bars in by_symbol.items() if isinstance(by_symbol, Mapping) else ():
            for bar in items(bars):
                if (time_ns := _time_ns(bar, "t")) is None:
                    continue
                values = (_number(bar, name) for name in ("o", "h", "l", "c", "v", "n", "vw"))
                proxy = () if stands_for is None else (stands_for.get(symbol),)
                found[symbol, time_ns] = (symbol, time_ns, timeframe, feed, *values, *proxy)
    return Table(BARS if stands_for is None else PROXIES, [found[key] for key in sorted(found)])


def news_table(articles: Iterable[News], asked_at: datetime) -> Table:
    """Articles in the order of their changes, each once; `symbols` with spaces between. Their HTML is left out."""
    asked_ns = datetime_nanoseconds(asked_at)
    each_once = {(one.timestamp_ns or 0, one.article_id): one for one in articles}
    return Table(NEWS, [_news_row(each_once[key], asked_ns) for key in sorted(each_once)])


def _news_row(one: News, asked_ns: int) -> Sequence[Cell]:
    return (
        asked_ns,
        one.article_id,
        epoch_nanoseconds(one.created),
        one.timestamp_ns,
        one.source,
        one.author,
        one.headline,
        one.summary,
        one.url,
        " ".join(one.symbols or ()),
    )


def fred_table(
    found: Mapping[str, Sequence[Observation]], what: Mapping[str, str], asked_at: datetime
) -> Table:
    """Values by series and day, as FRED had them when it was asked."""
    asked_ns = datetime_nanoseconds(asked_at)
    rows = [
        (asked_ns, series, one.day.isoformat(), _text(one.value), _iso(one.vintage), what.get(series))
        for series, values in sorted(found.items())
        for one in sorted(values, key=lambda value: value.day)
    ]
    return Table(FRED, rows)


def option_quotes(rows: Iterable[Mapping[str, str]]) -> Iterator[OptionQuote]:
    """The quotes of a stored chain."""
    for row in rows:
        terms = parse_contract_symbol(row["symbol"])
        bid, ask = (float(row[name]) if row[name] else None for name in ("bid", "ask"))
        yield OptionQuote(terms.expiry, terms.option_type, terms.strike, bid, ask)


def volatility_row(
    slot: datetime, underlying: str, found: ThirtyDayVolatility, rate: float, rate_source: str
) -> Sequence[Cell]:
    """One of our own figures, with what it was made of."""
    return (
        datetime_nanoseconds(slot),
        underlying,
        None if found.percent is None else round(found.percent, 4),
        rate,
        rate_source,
        *_term_cells(found.near),
        *_term_cells(found.far),
        found.missing,
    )


def _term_cells(term: Term | None) -> tuple[Cell, ...]:
    if term is None:
        return (None,) * 5
    return (
        term.expiry.isoformat(),
        round(term.days, 4),
        term.strikes,
        round(term.forward, 4),
        round(term.variance, 8),
    )


def _number(holder: Any, name: str) -> str | None:
    return _text(amount(field(holder, name)))


def _text(number: Decimal | None) -> str | None:
    return None if number is None else f"{number:f}"


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _flag(holder: Any, name: str) -> str | None:
    value = field(holder, name)
    return str(value).lower() if isinstance(value, bool) else None


def _time_ns(holder: Any, name: str) -> int | None:
    """An instant; Alpaca writes the year 1 where there has been none."""
    text = field(holder, name)
    at_ns = epoch_nanoseconds(text) if isinstance(text, str) else None
    return at_ns if at_ns is not None and at_ns > 0 else None
