"""A market made up for a portfolio: every price follows from the portfolio and a number, and none is real."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from functools import cached_property, partial
from itertools import count
from types import MappingProxyType
from typing import Final

from options_helper.errors import SymbolError
from options_helper.model.alpaca_symbols import is_coin_pair, is_index, underlying_symbol
from options_helper.model.announcement import MarketKind
from options_helper.model.contract_hours import last_trading_day
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds, timestamp_extension
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.portfolio import Portfolio, PortfolioEntry
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Message
from options_helper.simulator.market.account import Holding
from options_helper.simulator.market.calibration import (
    Calibration,
    calibrate,
    entries_by_underlying,
    invented,
)
from options_helper.simulator.market.coins import CoinMarket
from options_helper.simulator.market.conditions import NO_CONDITIONS, Conditions
from options_helper.simulator.market.last_values import SymbolSnapshot
from options_helper.simulator.market.listing import listed_beside
from options_helper.simulator.market.market import Interest, Step
from options_helper.simulator.market.newsroom import Newsroom
from options_helper.simulator.market.opening import opening_holdings
from options_helper.simulator.market.option import Contract
from options_helper.simulator.market.orders import OrderScript, Tradable
from options_helper.simulator.market.share import (
    MINUTE_NS,
    TICKS_PER_SECOND,
    Share,
    Turn,
)
from options_helper.simulator.wire.protocol import FIRST_ACCOUNT

DEFAULT_SEED: Final = 7
# For a portfolio without options; any trading day would do.
DEFAULT_DAY: Final = date(2026, 11, 20)
START: Final = time(10, 0)
# Everybody's betas are measured against it, whether it is held or not.
INDEX_FUND: Final = "SPY"
CLOSE: Final = time(16, 0)

TICK_NS: Final = NANOSECONDS // TICKS_PER_SECOND


class SeededMarket:
    """Correlated underlyings, options quoted from a model around them, and the account's orders.

    It never closes: it starts at 10:00 in New York on the portfolio's first expiry day, so that a contract expires
    today whenever somebody looks, and runs at the pace of real time. A contract that has ended is neither quoted nor
    traded. Same portfolio, seed and subscriptions: same messages. `further` are the portfolios of other accounts by
    their keys; each has orders of its own.
    """

    kind: Final = MarketKind.SIMULATED
    until_ns: Final = None
    speed: Final = 1.0
    awaited: Final[frozenset[StreamName]] = frozenset()
    lossless: Final = False

    def __init__(
        self,
        portfolio: Portfolio,
        *,
        seed: int = DEFAULT_SEED,
        start: datetime | None = None,
        conditions: Conditions = NO_CONDITIONS,
        further: Mapping[str, Portfolio] = MappingProxyType({}),
    ) -> None:
        self.conditions: Final = conditions
        self._held = portfolio
        self._further = further
        self._portfolio = _whole(portfolio, further)
        self._seed = seed
        self._start = start or datetime.combine(_first_day(self._portfolio), START, NEW_YORK)
        self._running: _Session | None = None

    @property
    def start_ns(self) -> int:
        """When it starts."""
        return epoch_nanoseconds(self._start) or 0

    @property
    def contracts(self) -> tuple[str, ...]:
        """The contracts that the portfolio holds; any other is made up when somebody subscribes to it."""
        options = [item.live_symbol for item in self._portfolio.instruments if item.is_option]
        return tuple(dict.fromkeys(options))

    @cached_property
    def chain(self) -> frozenset[str]:
        """Both types at strikes around the money and at those held, of every expiry that is held."""
        spots = {symbol: calibration.spot for symbol, calibration in self._calibrations.items()}
        return listed_beside(self._portfolio.instruments, spots)

    @property
    def cash(self) -> float | None:
        """The portfolio's."""
        return self._held.cash

    def holdings(self) -> list[Holding]:
        """The portfolio's positions, at what it says that they cost; what it does not say, the market makes up."""
        return opening_holdings(self._held, self._opening.price)

    def further_holdings(self, account: str) -> list[Holding]:
        """The same of another account."""
        held = self._further.get(account)
        return [] if held is None else opening_holdings(held, self._opening.price)

    def further_cash(self, account: str) -> float | None:
        """What its portfolio says."""
        held = self._further.get(account)
        return None if held is None else held.cash

    def price(self, underlying: str) -> float | None:
        """Where the underlying starts; None when the portfolio has nothing on it."""
        calibration = self._calibrations.get(underlying)
        return None if calibration is None else calibration.spot

    def snapshot(self, symbol: str, now_ns: int, last_session: date) -> SymbolSnapshot:
        """The prices of anything that the portfolio holds, somebody subscribed to, or its chains list."""
        session = self._running or self._opening
        if symbol in self.chain:
            session.make_up(symbol)
        return session.snapshot(symbol, now_ns, last_session)

    def past_days(self, symbol: str, first: date, last_session: date) -> Mapping[date, Message]:
        """The daily bars of a share that is there, and of SPY, which betas need; an index has none."""
        return (self._running or self._opening).past_days(symbol, first, last_session)

    def steps(self, interest: Interest) -> Iterator[Step]:
        """Ten times a second what is due for the subscribed symbols; endless, and from the start each time."""
        self._running = self._session(interest)
        return self._running.steps()

    @cached_property
    def _calibrations(self) -> Mapping[str, Calibration]:
        found = entries_by_underlying(self._portfolio)
        return {
            symbol: _calibration_of(symbol, entries, self._start, self._seed)
            for symbol, entries in found.items()
        }

    @cached_property
    def _opening(self) -> _Session:
        """The market before its clock runs; it never moves."""
        return self._session(Interest())

    def _session(self, interest: Interest) -> _Session:
        return _Session(
            self._portfolio,
            self._calibrations,
            self._seed,
            start=self._start,
            interest=interest,
            conditions=self.conditions,
            accounts={FIRST_ACCOUNT: self._held, **self._further},
        )


def _whole(portfolio: Portfolio, further: Mapping[str, Portfolio]) -> Portfolio:
    """What all accounts hold; of one account, its portfolio as it is."""
    if not further:
        return portfolio
    held = {FIRST_ACCOUNT: portfolio, **further}
    return Portfolio(
        positions=tuple(
            entry.changed(id=f"{account}/{entry.id}")
            for account, of in held.items()
            for entry in of.positions
        )
    )


def _first_day(portfolio: Portfolio) -> date:
    """The first expiry; the session before it where the market is closed or all of that day is settled at the open."""
    expiries = {item: item.expiry for item in portfolio.instruments if item.expiry is not None}
    first = min(expiries.values(), default=DEFAULT_DAY)
    return max(
        (
            last_trading_day(item.live_symbol, expiry, at_open=item.settled_at_open)
            for item, expiry in expiries.items()
            if expiry == first
        ),
        default=first,
    )


def _calibration_of(
    symbol: str, entries: Sequence[PortfolioEntry], start: datetime, seed: int
) -> Calibration:
    day = start.astimezone(NEW_YORK).date()
    return calibrate(symbol, entries, day, random.Random(f"{seed}:{symbol}:anchor"))


class _Session:
    """One run of the market from its start."""

    def __init__(
        self,
        portfolio: Portfolio,
        calibrations: Mapping[str, Calibration],
        seed: int,
        *,
        start: datetime,
        interest: Interest,
        conditions: Conditions,
        accounts: Mapping[str, Portfolio],
    ) -> None:
        self._seed = seed
        self._conditions = conditions
        self._today = new_york_date(start)
        self._start_ns = epoch_nanoseconds(start) or 0
        self._market = random.Random(f"{seed}:market")
        self._interest = interest
        self._seen_version: int | None = None
        self._stocks = {
            symbol: Share(symbol, calibration, seed, self._start_ns, conditions)
            for symbol, calibration in calibrations.items()
        }
        self._contracts: dict[str, Contract] = {}
        self._coins = CoinMarket(seed, _coins_held(portfolio))
        self._coins_version: int | None = None
        self._held = {item.live_symbol: item for item in portfolio.instruments}
        held = _held(portfolio)
        self._held_stocks = [symbol for symbol in self._stocks if not is_index(symbol)]
        self._held_contracts = [symbol for symbol in held if self._contract(symbol)]
        self._orders = {
            account: OrderScript(
                self._tradables(_held(of)),
                # Whose orders come when has nothing to do with those of others.
                random.Random(f"{seed}:orders{'' if account == FIRST_ACCOUNT else f':{account}'}"),
                self._start_ns,
            )
            for account, of in accounts.items()
        }
        self._newsroom = Newsroom(sorted(self._stocks), seed, self._start_ns)
        # What is subscribed, in a fixed order: the order of a set is another one in every process.
        self._quoted_stocks: list[Share] = []
        self._traded_stocks: list[Share] = []
        self._barred_stocks: list[Share] = []
        self._quoted_contracts: list[Contract] = []
        self._traded_contracts: list[Contract] = []

    def snapshot(self, symbol: str, now_ns: int, last_session: date) -> SymbolSnapshot:
        """The prices of a share or contract that is there; an index is no share."""
        if is_coin_pair(symbol):
            return self._coins.snapshot(symbol, now_ns, last_session)
        priced = self._contracts.get(symbol) or (None if is_index(symbol) else self._stocks.get(symbol))
        return SymbolSnapshot() if priced is None else priced.snapshot(now_ns, last_session)

    def make_up(self, symbol: str) -> None:
        """Have a contract that nobody holds; it rolls dice of its own."""
        self._contract(symbol)

    def past_days(self, symbol: str, first: date, last_session: date) -> Mapping[date, Message]:
        """The daily bars of a share."""
        if is_index(symbol) or is_coin_pair(symbol):
            return {}
        stock = self._stock(symbol) if symbol == INDEX_FUND else self._stocks.get(symbol)
        return {} if stock is None else stock.past_days(first, last_session)

    def price(self, symbol: str) -> float | None:
        """About what a share or contract costs."""
        if is_coin_pair(symbol):
            return self._coins.price(symbol)
        contract, stock = self._contracts.get(symbol), self._stocks.get(symbol)
        if contract is not None:
            return contract.last_price(contract.spot, self._start_ns)
        return None if stock is None else round(stock.price, 2)

    def steps(self) -> Iterator[Step]:
        """Tick by tick; a tick without messages still tells the time."""
        for tick in count():
            now_ns = self._start_ns + tick * TICK_NS
            self._move()
            self._observe_interest()
            yield Step(now_ns, StreamName.STOCKS, _timed(self._stock_messages(tick, now_ns), now_ns))
            yield Step(now_ns, StreamName.OPTIONS, _timed(self._option_messages(tick, now_ns), now_ns))
            yield Step(now_ns, StreamName.CRYPTO, _timed(self._coin_messages(tick, now_ns), now_ns))
            for account, orders in self._orders.items():
                for update in orders.updates(now_ns):
                    yield Step(now_ns, StreamName.FILLS, [update], account)
            if news := list(self._newsroom.due(now_ns)):
                yield Step(now_ns, StreamName.NEWS, news)

    def _move(self) -> None:
        shock = self._market.gauss(0, 1)
        for stock in self._stocks.values():
            stock.move(shock)

    def _observe_interest(self) -> None:
        """After a client came or changed its mind, everything subscribed is quoted at once."""
        if self._seen_version == self._interest.version:
            return
        self._seen_version = self._interest.version
        # Contracts first: the underlying of one that nobody holds gets a price near its strike.
        self._quoted_contracts = self._subscribed_contracts("quotes")
        self._traded_contracts = self._subscribed_contracts("trades")
        self._quoted_stocks = self._subscribed_stocks("quotes")
        self._traded_stocks = self._subscribed_stocks("trades")
        self._barred_stocks = self._subscribed_stocks("bars")
        for turn in self._quote_turns():
            turn.reset()

    def _quote_turns(self) -> Iterator[Turn]:
        yield from (stock.quote_turn for stock in self._quoted_stocks)
        yield from (contract.quote_turn for contract in self._quoted_contracts)

    def _subscribed_stocks(self, channel: str) -> list[Share]:
        symbols = _in_order(self._interest.symbols(StreamName.STOCKS, channel), self._held_stocks)
        # What is stale says nothing more.
        return [stock for stock in map(self._stock, symbols) if not stock.is_stale]

    def _subscribed_contracts(self, channel: str) -> list[Contract]:
        symbols = _in_order(self._interest.symbols(StreamName.OPTIONS, channel), self._held_contracts)
        contracts = [self._contract(symbol) for symbol in symbols]
        return [contract for contract in contracts if contract is not None]

    def _stock_messages(self, tick: int, now_ns: int) -> Iterator[Message]:
        yield from (stock.quote() for stock in self._quoted_stocks if stock.quote_turn.take(tick))
        yield from (stock.trade() for stock in self._traded_stocks if stock.trade_turn.take(tick))
        if tick and now_ns % MINUTE_NS == 0:
            yield from self._end_minute(now_ns)

    def _end_minute(self, now_ns: int) -> Iterator[Message]:
        bars = {stock.symbol: stock.end_minute(now_ns) for stock in self._stocks.values()}
        for stock in self._barred_stocks:
            yield bars[stock.symbol]

    def _option_messages(self, tick: int, now_ns: int) -> Iterator[Message]:
        for contract in self._quoted_contracts:
            if now_ns < contract.ends_ns and contract.quote_turn.take(tick):
                yield contract.quote(now_ns)
        for contract in self._traded_contracts:
            if now_ns < contract.ends_ns and contract.trade_turn.take(tick):
                yield contract.trade(now_ns)

    def _coin_messages(self, tick: int, now_ns: int) -> Iterator[Message]:
        anew, self._coins_version = self._coins_version != self._interest.version, self._interest.version
        return self._coins.messages(self._interest, tick, now_ns, anew=anew)

    def _stock(self, symbol: str, near: float | None = None) -> Share:
        """An underlying, made up now if nobody holds it; `near` is a strike that its price should be near."""
        stock = self._stocks.get(symbol)
        if stock is None:
            dice = random.Random(f"{self._seed}:{symbol}:anchor")
            calibration = invented(symbol, dice, near=near)
            stock = self._stocks[symbol] = Share(
                symbol, calibration, self._seed, self._start_ns, self._conditions
            )
        return stock

    def _contract(self, symbol: str) -> Contract | None:
        contract = self._contracts.get(symbol)
        if contract is None:
            try:
                terms = parse_contract_symbol(symbol)
            except SymbolError:
                return None
            held = self._held.get(symbol)
            underlying = underlying_symbol(terms.underlying_norm) if held is None else held.underlying
            stock = self._stock(underlying, near=terms.strike)
            at_open = None if held is None else held.settled_at_open
            contract = Contract(
                symbol,
                terms,
                stock,
                self._seed,
                at_open=at_open,
                conditions=self._conditions,
                today=self._today,
            )
            self._contracts[symbol] = contract
        return contract

    def _tradables(self, held: Mapping[str, float]) -> list[Tradable]:
        """The contracts held, or in a book without options the shares."""
        contracts = [self._contracts[symbol] for symbol in self._held_contracts if symbol in held]
        if contracts:
            return [
                Tradable(
                    item.symbol,
                    held[item.symbol],
                    is_option=True,
                    quote=item.bid_and_ask,
                    ends_ns=item.ends_ns,
                )
                for item in contracts
            ]
        return [
            Tradable(symbol, held[symbol], is_option=False, quote=partial(self._stock_quote, symbol))
            for symbol in self._held_stocks
            if symbol in held
        ]

    def _stock_quote(self, symbol: str, _: int) -> tuple[float, float]:
        """A stock knows no time but now, and orders happen in time order."""
        return self._stocks[symbol].bid_and_ask()


def _coins_held(portfolio: Portfolio) -> dict[str, float | None]:
    """The coins of the portfolio, each with what one cost, where that is known."""
    return {
        line.instrument.live_symbol: None if line.cost_basis is None else float(line.cost_basis)
        for line in portfolio.lines
        if line.instrument.is_coin
    }


def _held(portfolio: Portfolio) -> dict[str, float]:
    """How much of each contract and share the portfolio holds, by Alpaca's symbols and in the file's order."""
    held: dict[str, float] = {}
    for line in portfolio.lines:
        symbol = line.instrument.live_symbol
        # An update says "4" of contracts and "4.5" of shares.
        quantity = int(line.quantity) if line.instrument.is_option else float(line.quantity)
        held[symbol] = held.get(symbol, 0) + quantity
    return held


def _in_order(symbols: Collection[str], all_held: Sequence[str]) -> list[str]:
    """Sorted, with `*` as everything held."""
    named = set(symbols) - {"*"}
    return sorted(named.union(all_held) if "*" in symbols else named)


def _timed(messages: Iterable[Message], now_ns: int) -> list[Message]:
    """Messages of one tick with times a little before it, each a little after the one before."""
    first_ns = now_ns - 3_000_000
    return [
        message if "t" in message else {**message, "t": timestamp_extension(first_ns + index * 1_237)}
        for index, message in enumerate(messages)
    ]
