"""A market made up for a portfolio: every price follows from the portfolio and a number, and none is real."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from functools import cached_property, partial
from itertools import count
from typing import Final

from options_helper.errors import SymbolError
from options_helper.model.alpaca_symbols import is_coin_pair, is_index, underlying_symbol
from options_helper.model.announcement import MarketKind
from options_helper.model.contract_hours import contract_ended_at, last_trading_day
from options_helper.model.contract_symbols import ParsedContract, parse_contract_symbol
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds, timestamp_extension, utc_datetime
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.portfolio import Portfolio, PortfolioEntry
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Message
from options_helper.simulator.market.account import Holding
from options_helper.simulator.market.calibration import (
    VOLATILITIES,
    Calibration,
    calibrate,
    entries_by_underlying,
)
from options_helper.simulator.market.coins import CoinMarket
from options_helper.simulator.market.last_values import SymbolSnapshot, daily_bar
from options_helper.simulator.market.market import Interest, Step
from options_helper.simulator.market.newsroom import Newsroom
from options_helper.simulator.market.opening import opening_holdings
from options_helper.simulator.market.orders import OrderScript, Tradable
from options_helper.simulator.market.pricing import (
    SECONDS_PER_YEAR,
    Valuation,
    greeks_of,
    liquidity_of,
    quote_around,
    smile,
    value_option,
)

DEFAULT_SEED: Final = 7
# For a portfolio without options; any trading day would do.
DEFAULT_DAY: Final = date(2026, 11, 20)
START: Final = time(10, 0)
CLOSE: Final = time(16, 0)

TICKS_PER_SECOND: Final = 10
TICK_NS: Final = NANOSECONDS // TICKS_PER_SECOND
MINUTE_NS: Final = 60 * NANOSECONDS
TRADING_SECONDS_PER_YEAR: Final = 252 * 6.5 * 3600

SECONDS_BETWEEN_STOCK_QUOTES: Final = 0.35
SECONDS_BETWEEN_STOCK_TRADES: Final = 0.9
# An option trades this many times more rarely than it is quoted.
QUOTES_PER_OPTION_TRADE: Final = 12
LONGEST_SILENCE_SECONDS: Final = 8.0

# The share of an underlying's moves that the whole market makes.
CORRELATION: Final = 0.6
FUND_CORRELATION: Final = 0.97
BROAD_FUNDS: Final = frozenset({"DIA", "IWM", "QQQ", "SPY", "VOO", "VTI", "SPX", "NDX", "RUT", "XSP"})

STOCK_EXCHANGES: Final = "VQNPZK"
OPTION_EXCHANGES: Final = "ABCDEHIJMNOPQTUWXZ"
OPTION_TRADE_CONDITIONS: Final = "Iag"
STOCK_VOLUME: Final = 1_000_000
OPTION_VOLUME: Final = 250


class SeededMarket:
    """Correlated underlyings, options quoted from a model around them, and the account's orders.

    It never closes: it starts at 10:00 in New York on the portfolio's first expiry day, so that a contract expires
    today whenever somebody looks, and runs at the pace of real time. A contract that has ended is neither quoted nor
    traded. Same portfolio, seed and subscriptions: same messages.
    """

    kind: Final = MarketKind.SIMULATED
    until_ns: Final = None
    speed: Final = 1.0
    awaited: Final[frozenset[StreamName]] = frozenset()
    lossless: Final = False

    def __init__(
        self, portfolio: Portfolio, *, seed: int = DEFAULT_SEED, start: datetime | None = None
    ) -> None:
        self._portfolio = portfolio
        self._seed = seed
        self._start = start or datetime.combine(_first_day(portfolio), START, NEW_YORK)
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

    @property
    def cash(self) -> float | None:
        """The portfolio's."""
        return self._portfolio.cash

    def holdings(self) -> list[Holding]:
        """The portfolio's positions, at what it says that they cost; what it does not say, the market makes up."""
        return opening_holdings(self._portfolio, self._opening.price)

    def price(self, underlying: str) -> float | None:
        """Where the underlying starts; None when the portfolio has nothing on it."""
        calibration = self._calibrations.get(underlying)
        return None if calibration is None else calibration.spot

    def snapshot(self, symbol: str, now_ns: int, last_session: date) -> SymbolSnapshot:
        """The prices of anything that the portfolio holds or somebody subscribed to."""
        return (self._running or self._opening).snapshot(symbol, now_ns, last_session)

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
        return _Session(self._portfolio, self._calibrations, self._seed, self._start, interest)


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


def _previous_close(symbol: str, calibration: Calibration, seed: int) -> float:
    """Where the underlying ended its last session: a usual day's move away from where it starts."""
    move = random.Random(f"{seed}:{symbol}:close").gauss(0, calibration.volatility / math.sqrt(252))
    return max(0.01, round(calibration.spot * math.exp(move), 2))


class _Turn:
    """When something is due again: quotes at once and then after random pauses, trades only after pauses."""

    def __init__(self, dice: random.Random, mean_seconds: float, *, at_once: bool = True) -> None:
        self._dice = dice
        self._mean_ticks = mean_seconds * TICKS_PER_SECOND
        self._at_once = at_once
        self._due: int | None = None

    def reset(self) -> None:
        """Begin anew."""
        self._due = None

    def take(self, tick: int) -> bool:
        """Whether it is due at this tick; if so, the next pause begins."""
        if self._due is not None and tick < self._due:
            return False
        due = self._at_once or self._due is not None
        longest = LONGEST_SILENCE_SECONDS * TICKS_PER_SECOND
        pause = min(longest, self._dice.expovariate(1 / self._mean_ticks))
        self._due = tick + max(1, round(pause))
        return due


class _Stock:
    """One underlying: its path, its quotes, trades and minute bars."""

    def __init__(self, symbol: str, calibration: Calibration, seed: int) -> None:
        self.symbol = symbol
        self.price = calibration.spot
        self.opening = calibration.spot
        self.volatility = calibration.volatility
        self.previous_close = _previous_close(symbol, calibration, seed)
        self._path = random.Random(f"{seed}:{symbol}:path")
        self._dice = random.Random(f"{seed}:{symbol}:tape")
        self._correlation = FUND_CORRELATION if symbol in BROAD_FUNDS else CORRELATION
        self._deviation = calibration.volatility / math.sqrt(TRADING_SECONDS_PER_YEAR * TICKS_PER_SECOND)
        self._half_spread = max(0.005, calibration.spot * (0.00001 if symbol in BROAD_FUNDS else 0.00003))
        self._trade_id = self._dice.randrange(10_000, 90_000)
        self._minute = [calibration.spot]
        self._last_bar: Message | None = None
        self.quote_turn = _Turn(self._dice, SECONDS_BETWEEN_STOCK_QUOTES)
        self.trade_turn = _Turn(self._dice, SECONDS_BETWEEN_STOCK_TRADES, at_once=False)

    def move(self, market_shock: float) -> None:
        """One tick: partly with the market, partly alone."""
        own = math.sqrt(1 - self._correlation**2) * self._path.gauss(0, 1)
        self.price *= math.exp(self._deviation * (self._correlation * market_shock + own))
        self._minute.append(self.price)

    def bid_and_ask(self) -> tuple[float, float]:
        """Whole cents around the price."""
        bid = math.floor((self.price - self._half_spread) * 100)
        ask = max(bid + 1, math.ceil((self.price + self._half_spread) * 100))
        return max(1, bid) / 100, ask / 100

    def quote(self) -> Message:
        """The wire's quote, without its time."""
        bid, ask = self.bid_and_ask()
        return {
            "T": "q",
            "S": self.symbol,
            "bx": self._dice.choice(STOCK_EXCHANGES),
            "bp": bid,
            "bs": self._dice.randint(1, 12),
            "ax": self._dice.choice(STOCK_EXCHANGES),
            "ap": ask,
            "as": self._dice.randint(1, 12),
            "c": ["R"],
            "z": "C",
        }

    def trade(self) -> Message:
        """The wire's trade, without its time."""
        self._trade_id += self._dice.randint(1, 9)
        size = self._dice.choice((1, 5, 25, 100, 100, 100, 200, 500))
        return {
            "T": "t",
            "S": self.symbol,
            "i": self._trade_id,
            "x": self._dice.choice(STOCK_EXCHANGES),
            "p": self._dice.choice(self.bid_and_ask()),
            "s": size,
            "c": ["@"] if size >= 100 else ["@", "I"],
            "z": "C",
        }

    def end_minute(self, now_ns: int) -> Message:
        """The wire's bar of the minute that just ended."""
        prices, self._minute = self._minute, []
        self._last_bar = {
            "T": "b",
            "S": self.symbol,
            "t": timestamp_extension(now_ns - MINUTE_NS),
            "o": round(prices[0], 2),
            "h": round(max(prices), 2),
            "l": round(min(prices), 2),
            "c": round(prices[-1], 2),
            "v": self._dice.randrange(2_000, 40_000),
            "n": self._dice.randrange(50, 600),
            "vw": round(sum(prices) / len(prices), 4),
        }
        return self._last_bar

    def snapshot(self, now_ns: int, last_session: date) -> SymbolSnapshot:
        """Its prices at this moment; asking rolls no dice."""
        bid, ask = self.bid_and_ask()
        at = timestamp_extension(now_ns)
        price = round(self.price, 2)
        today = new_york_date(utc_datetime(now_ns))
        return SymbolSnapshot(
            quote={
                "t": at,
                "bx": "V",
                "bp": bid,
                "bs": 2,
                "ax": "V",
                "ap": ask,
                "as": 2,
                "c": ["R"],
                "z": "C",
            },
            trade={"t": at, "i": 1, "x": "V", "p": price, "s": 100, "c": ["@"], "z": "C"},
            minute_bar=self._last_bar,
            daily_bars={
                last_session: daily_bar(last_session, self.previous_close, volume=STOCK_VOLUME),
                today: daily_bar(today, price, opening=self.opening, volume=STOCK_VOLUME),
            },
        )


class _Contract:
    """One option: a model's value around its underlying's price."""

    def __init__(
        self, symbol: str, terms: ParsedContract, stock: _Stock, seed: int, *, at_open: bool | None = None
    ) -> None:
        self.symbol = symbol
        self._terms = terms
        self._stock = stock
        self._dice = random.Random(f"{seed}:{symbol}")
        self._liquidity = liquidity_of(stock.symbol)
        closes = datetime.combine(terms.expiry, CLOSE, NEW_YORK)
        ends = contract_ended_at(symbol, terms.expiry, at_open=at_open) or closes
        self.ends_ns = epoch_nanoseconds(ends) or 0
        # What trades on for a quarter of an hour is worth what the shares closed at.
        self._expires_ns = min(self.ends_ns, epoch_nanoseconds(closes) or 0)
        pause = self._liquidity.seconds_between_quotes * self._remoteness
        self.quote_turn = _Turn(self._dice, pause)
        self.trade_turn = _Turn(self._dice, pause * QUOTES_PER_OPTION_TRADE, at_once=False)

    @property
    def _remoteness(self) -> float:
        """1 at the money, up to 3 far from it."""
        return 1 + min(2.0, 8 * abs(math.log(self._stock.price / self._terms.strike)))

    @property
    def spot(self) -> float:
        """What the underlying costs."""
        return self._stock.price

    def bid_and_ask(self, now_ns: int, width: float = 1.0) -> tuple[float, float]:
        """Whole ticks around the model's value."""
        return quote_around(
            self._value(now_ns), spot=self._stock.price, liquidity=self._liquidity, width=width
        )

    def _value(self, now_ns: int) -> Valuation:
        return self._value_at(self._stock.price, now_ns)

    def _value_at(self, spot: float, now_ns: int) -> Valuation:
        years = self._years(now_ns)
        return value_option(
            self._terms.option_type,
            spot=spot,
            strike=self._terms.strike,
            years=years,
            volatility=self._volatility(spot, years),
        )

    def _years(self, now_ns: int) -> float:
        return (self._expires_ns - now_ns) / NANOSECONDS / SECONDS_PER_YEAR

    def _volatility(self, spot: float, years: float) -> float:
        return smile(self._stock.volatility, spot=spot, strike=self._terms.strike, years=years)

    def last_price(self, spot: float, now_ns: int) -> float:
        """A whole tick near the value; nobody sells for nothing."""
        value = self._value_at(spot, now_ns).price
        tick = self._liquidity.tick(value)
        return round(max(1, round(value / tick)) * tick, 2)

    def snapshot(self, now_ns: int, last_session: date) -> SymbolSnapshot:
        """Its prices at this moment; asking rolls no dice. Of one that has ended, what it was worth a session ago."""
        closed_ns = epoch_nanoseconds(datetime.combine(last_session, CLOSE, NEW_YORK)) or 0
        close = self.last_price(self._stock.previous_close, closed_ns)
        if now_ns >= self.ends_ns:
            traded = last_session <= self._terms.expiry
            bars = {last_session: daily_bar(last_session, close, volume=OPTION_VOLUME)} if traded else {}
            return SymbolSnapshot(daily_bars=bars)
        bid, ask = self.bid_and_ask(now_ns)
        at = timestamp_extension(now_ns)
        price = self.last_price(self._stock.price, now_ns)
        today = new_york_date(utc_datetime(now_ns))
        opening = self.last_price(self._stock.opening, now_ns)
        quoted = bid > 0 and self._terms.expiry > today
        years = self._years(now_ns)
        volatility = self._volatility(self._stock.price, years)
        return SymbolSnapshot(
            quote={
                "t": at,
                "bx": "C",
                "bp": bid,
                "bs": 10 if bid else 0,
                "ax": "C",
                "ap": ask,
                "as": 10,
                "c": "A",
            },
            trade={"t": at, "x": "C", "p": price, "s": 1, "c": "I"},
            daily_bars={
                last_session: daily_bar(last_session, close, volume=OPTION_VOLUME),
                today: daily_bar(today, price, opening=opening, volume=OPTION_VOLUME),
            },
            greeks=self._greeks(years, volatility) if quoted else None,
            implied_volatility=round(volatility, 4) if quoted else None,
        )

    def _greeks(self, years: float, volatility: float) -> dict[str, float]:
        spot, strike = self._stock.price, self._terms.strike
        return greeks_of(
            self._terms.option_type, spot=spot, strike=strike, years=years, volatility=volatility
        )

    def quote(self, now_ns: int) -> Message:
        """The wire's quote, without its time."""
        bid, ask = self.bid_and_ask(now_ns, width=self._dice.uniform(0.8, 1.4))
        return {
            "T": "q",
            "S": self.symbol,
            "bx": self._dice.choice(OPTION_EXCHANGES),
            "bp": bid,
            "bs": self._dice.randint(1, 150) if bid else 0,
            "ax": self._dice.choice(OPTION_EXCHANGES),
            "ap": ask,
            "as": self._dice.randint(1, 150),
            "c": "A",
        }

    def trade(self, now_ns: int) -> Message:
        """The wire's trade, without its time; nobody sells for nothing."""
        bid, ask = self.bid_and_ask(now_ns)
        return {
            "T": "t",
            "S": self.symbol,
            "p": self._dice.choice((bid, ask)) or ask,
            "s": self._dice.choice((1, 1, 1, 2, 3, 5, 10, 25)),
            "x": self._dice.choice(OPTION_EXCHANGES),
            "c": self._dice.choice(OPTION_TRADE_CONDITIONS),
        }


class _Session:
    """One run of the market from its start."""

    def __init__(
        self,
        portfolio: Portfolio,
        calibrations: Mapping[str, Calibration],
        seed: int,
        start: datetime,
        interest: Interest,
    ) -> None:
        self._seed = seed
        self._start_ns = epoch_nanoseconds(start) or 0
        self._market = random.Random(f"{seed}:market")
        self._interest = interest
        self._seen_version: int | None = None
        self._stocks = {
            symbol: _Stock(symbol, calibration, seed) for symbol, calibration in calibrations.items()
        }
        self._contracts: dict[str, _Contract] = {}
        self._coins = CoinMarket(seed, _coins_held(portfolio))
        self._coins_version: int | None = None
        self._held = {item.live_symbol: item for item in portfolio.instruments}
        held = _held(portfolio)
        self._held_stocks = [symbol for symbol in self._stocks if not is_index(symbol)]
        self._held_contracts = [symbol for symbol in held if self._contract(symbol)]
        self._orders = OrderScript(self._tradables(held), random.Random(f"{seed}:orders"), self._start_ns)
        self._newsroom = Newsroom(sorted(self._stocks), seed, self._start_ns)
        # What is subscribed, in a fixed order: the order of a set is another one in every process.
        self._quoted_stocks: list[_Stock] = []
        self._traded_stocks: list[_Stock] = []
        self._barred_stocks: list[_Stock] = []
        self._quoted_contracts: list[_Contract] = []
        self._traded_contracts: list[_Contract] = []

    def snapshot(self, symbol: str, now_ns: int, last_session: date) -> SymbolSnapshot:
        """The prices of a share or contract that is there; an index is no share."""
        if is_coin_pair(symbol):
            return self._coins.snapshot(symbol, now_ns, last_session)
        priced = self._contracts.get(symbol) or (None if is_index(symbol) else self._stocks.get(symbol))
        return SymbolSnapshot() if priced is None else priced.snapshot(now_ns, last_session)

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
            for update in self._orders.updates(now_ns):
                yield Step(now_ns, StreamName.FILLS, [update])
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

    def _quote_turns(self) -> Iterator[_Turn]:
        yield from (stock.quote_turn for stock in self._quoted_stocks)
        yield from (contract.quote_turn for contract in self._quoted_contracts)

    def _subscribed_stocks(self, channel: str) -> list[_Stock]:
        symbols = _in_order(self._interest.symbols(StreamName.STOCKS, channel), self._held_stocks)
        return [self._stock(symbol) for symbol in symbols]

    def _subscribed_contracts(self, channel: str) -> list[_Contract]:
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

    def _stock(self, symbol: str, near: float | None = None) -> _Stock:
        """An underlying, made up now if nobody holds it; `near` is a strike that its price should be near."""
        stock = self._stocks.get(symbol)
        if stock is None:
            dice = random.Random(f"{self._seed}:{symbol}:anchor")
            spot = near * dice.uniform(0.95, 1.05) if near else dice.uniform(20, 400)
            calibration = Calibration(round(spot, 2), dice.choice(VOLATILITIES))
            stock = self._stocks[symbol] = _Stock(symbol, calibration, self._seed)
        return stock

    def _contract(self, symbol: str) -> _Contract | None:
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
            contract = _Contract(symbol, terms, stock, self._seed, at_open=at_open)
            self._contracts[symbol] = contract
        return contract

    def _tradables(self, held: Mapping[str, float]) -> list[Tradable]:
        """The contracts held, or in a book without options the shares."""
        contracts = [self._contracts[symbol] for symbol in self._held_contracts]
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
