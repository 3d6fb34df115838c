"""Quotes, trades, snapshots and portfolios in one line each; what a test does not mention does not matter to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any

from options_helper.errors import SymbolError
from options_helper.model.announcement import MarketKind
from options_helper.model.contract_symbols import OptionType, parse_contract_symbol
from options_helper.model.events import Bar, Quote, Trade
from options_helper.model.gaps import Gap
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import (
    ContractLot,
    Leg,
    MultiLegPosition,
    Portfolio,
    PortfolioEntry,
    Position,
    ShareHolding,
    ShareLeg,
    Side,
)
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamId, StreamName

# A Friday with options expiring, 10:00 in New York: the market is open.
AS_OF = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
EXPIRY = date(2026, 12, 18)
AAPL_CALL = "AAPL261218C00180000"


def new_york(text: str) -> datetime:
    """An instant by New York's clock: "2026-11-20 15:59"."""
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def nanoseconds(moment: datetime) -> int:
    """A datetime in epoch nanoseconds."""
    return datetime_nanoseconds(moment)


def quote(
    symbol: str,
    bid: float | None = 1.0,
    ask: float | None = 1.1,
    *,
    age: float = 0.0,
    bid_size: int | None = 10,
    ask_size: int | None = 10,
    as_of: datetime = AS_OF,
) -> Quote:
    """A quote received `age` seconds before `as_of`."""
    received = nanoseconds(as_of - timedelta(seconds=age))
    return Quote(
        symbol=symbol,
        timestamp=received,
        received_ns=received,
        bid_price=bid,
        bid_size=bid_size,
        ask_price=ask,
        ask_size=ask_size,
    )


def trade(
    symbol: str, price: float = 1.05, *, age: float = 0.0, size: int | None = 1, as_of: datetime = AS_OF
) -> Trade:
    """A print received `age` seconds before `as_of`."""
    received = nanoseconds(as_of - timedelta(seconds=age))
    return Trade(symbol=symbol, timestamp=received, received_ns=received, price=price, size=size)


def bar(symbol: str, close: float = 1.05, *, age: float = 0.0, as_of: datetime = AS_OF) -> Bar:
    """A flat minute bar received `age` seconds before `as_of`."""
    received = nanoseconds(as_of - timedelta(seconds=age))
    return Bar(
        symbol=symbol,
        timestamp=received,
        received_ns=received,
        open=close,
        high=close,
        low=close,
        close=close,
    )


def is_contract(symbol: str) -> bool:
    """Whether a symbol is an option contract's."""
    try:
        parse_contract_symbol(symbol)
    except SymbolError:
        return False
    return True


def health(name: StreamName | str, phase: Phase = Phase.LIVE, **facts: Any) -> StreamHealth:
    """One stream's health; every symbol asked for counts as acknowledged unless said otherwise."""
    facts.setdefault("acknowledged", facts.get("requested", ()))
    facts.setdefault("alive", phase not in {Phase.OFF, Phase.FAILED, Phase.STOPPED})
    return StreamHealth(StreamName(name), phase, **facts)


def gap(
    stream: StreamName | str, since: datetime, until: datetime | None = None, reason: str = "lost"
) -> Gap:
    """A stretch in which a stream could not hear."""
    return Gap(StreamName(stream), nanoseconds(since), None if until is None else nanoseconds(until), reason)


def snapshot_with(
    *events: Quote | Trade | Bar,
    requested: Collection[str] = (),
    as_of: datetime = AS_OF,
    running: bool = True,
    market: MarketKind = MarketKind.ALPACA,
    stock_feed: str = "iex",
    options_feed: str = "indicative",
    streams: Iterable[StreamHealth] = (),
    fills: Iterable[Mapping[str, Any]] = (),
) -> LiveSnapshot:
    """A snapshot that holds these events, of streams that asked for their symbols and for `requested`."""
    symbols = dict.fromkeys([*requested, *(event.symbol for event in events)])
    stocks = tuple(symbol for symbol in symbols if not is_contract(symbol))
    contracts = tuple(symbol for symbol in symbols if is_contract(symbol))
    healths: dict[StreamId, StreamHealth] = {
        StreamName.STOCKS: health("stocks", feed=stock_feed, requested=stocks),
        StreamName.OPTIONS: health("options", feed=options_feed, requested=contracts),
        StreamName.FILLS: health("fills"),
    }
    healths.update({given.name: given for given in streams})
    return LiveSnapshot(
        as_of=as_of,
        running=running,
        running_since=as_of - timedelta(minutes=5) if running else None,
        market=market,
        quotes=_by_symbol(events, Quote),
        trades=_by_symbol(events, Trade),
        bars=_by_symbol(events, Bar),
        fills=tuple(fills),
        streams=MappingProxyType(healths),
    )


def _by_symbol(events: Iterable[Any], kind: type[Any]) -> Mapping[str, Any]:
    return MappingProxyType({event.symbol: event for event in events if isinstance(event, kind)})


def position(
    symbol: str = "AAPL",
    strike: float = 180.0,
    option_type: OptionType = "call",
    *,
    contracts: int = 1,
    cost_basis: float | None = 1.0,
    expiry: date = EXPIRY,
    multiplier: int | None = None,
    identity: str | None = None,
    **more: Any,
) -> Position:
    """A single contract; its id says what it is unless given. `more` may be gains and fees."""
    return Position(
        id=identity or f"{symbol}-{strike:g}-{option_type}-{expiry}",
        symbol=symbol,
        option_type=option_type,
        expiry=expiry,
        strike=strike,
        contracts=contracts,
        cost_basis=cost_basis,
        multiplier=multiplier,
        **more,
    )


def lots_of(*lots: tuple[int, float | None, date | None], identity: str = "in-lots", **more: Any) -> Position:
    """The 180 call in lots of so many contracts, at a cost, opened on a day."""
    return Position(
        id=identity,
        symbol="AAPL",
        option_type="call",
        expiry=EXPIRY,
        strike=180.0,
        lots=tuple(ContractLot(contracts=many, cost_basis=cost, opened_at=day) for many, cost, day in lots),
        **more,
    )


def leg(
    side: Side,
    strike: float,
    option_type: OptionType = "call",
    *,
    contracts: int = 1,
    expiry: date = EXPIRY,
    **more: Any,
) -> Leg:
    """One leg of a structure; `more` may be its symbol, multiplier or cost_basis."""
    return Leg(side=side, option_type=option_type, expiry=expiry, strike=strike, contracts=contracts, **more)


def share_leg(side: Side = "long", shares: float = 100.0, **more: Any) -> ShareLeg:
    """A leg of shares; `more` may be their symbol or cost_basis."""
    return ShareLeg(side=side, shares=shares, **more)


def structure(
    *legs: Leg | ShareLeg,
    symbol: str = "AAPL",
    net_debit: float | None = 100.0,
    multiplier: int | None = None,
    identity: str = "structure",
    **more: Any,
) -> MultiLegPosition:
    """A structure; without legs given it is a 180/185 call vertical. `more` may be gains and fees."""
    return MultiLegPosition(
        id=identity,
        symbol=symbol,
        net_debit=net_debit,
        legs=legs or (leg("long", 180.0), leg("short", 185.0)),
        multiplier=multiplier,
        **more,
    )


def holding(
    symbol: str = "AAPL", shares: float = 100.0, *, cost_basis: float | None = 250.0, **more: Any
) -> ShareHolding:
    """Plain shares; `more` may be gains and fees."""
    return ShareHolding(id=f"{symbol}-shares", symbol=symbol, shares=shares, cost_basis=cost_basis, **more)


def portfolio(*entries: PortfolioEntry, cash: float | None = None) -> Portfolio:
    """A portfolio of these entries, in this order."""
    return Portfolio(cash=cash, positions=entries)
