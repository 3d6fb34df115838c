"""Coins made up from a number: an order book that moves, and the quotes, trades and bars that follow from it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.instants import NANOSECONDS, timestamp_extension, utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Message
from options_helper.simulator.market.last_values import SymbolSnapshot, daily_bar
from options_helper.simulator.market.market import Interest

TICKS_PER_SECOND: Final = 10
MINUTE_TICKS: Final = 60 * TICKS_PER_SECOND
MINUTE_NS: Final = 60 * NANOSECONDS
SECONDS_PER_YEAR: Final = 365 * 86_400
# About where these have been; any other coin gets a price from its dice.
KNOWN_PRICES: Final = {"BTC": 64_000.0, "ETH": 3_200.0, "SOL": 150.0, "LTC": 80.0, "DOGE": 0.15}
VOLATILITY: Final = 0.6
# Price steps of a book: about so many fit into the price, so that each has five significant digits.
STEPS_IN_PRICE: Final = 10_000
BOOK_LEVELS: Final = 25
TRADES_PER_TICK: Final = 0.08
# A quote that stands still is said again after so many ticks.
REPEATED_QUOTE_TICKS: Final = 50

BIDS, ASKS = "b", "a"


class SeededCoin:
    """One pair, tick by tick, ten ticks a second; same symbol and seed, same market, in any process.

    It starts `near` a price, else where coins of this name have been.
    """

    def __init__(self, symbol: str, seed: int, *, near: float | None = None) -> None:
        self.symbol = symbol
        self._path = random.Random(f"{seed}:{symbol}:path")
        self._dice = random.Random(f"{seed}:{symbol}:book")
        self._tape = random.Random(f"{seed}:{symbol}:tape")
        coin, _, _ = symbol.partition("/")
        self.opening = near or KNOWN_PRICES.get(coin) or round(self._path.uniform(1, 400), 2)
        self._price = self.opening
        self.previous_close = self.opening * math.exp(self._path.gauss(0, VOLATILITY / math.sqrt(365)))
        self._deviation = VOLATILITY / math.sqrt(SECONDS_PER_YEAR * TICKS_PER_SECOND)
        self._step = 10.0 ** math.floor(math.log10(self.opening / STEPS_IN_PRICE))
        # Size by price, which is counted in steps so that a level is found again exactly.
        self._sides: dict[str, dict[int, float]] = {BIDS: {}, ASKS: {}}
        self._changes: dict[str, dict[int, float]] = {BIDS: {}, ASKS: {}}
        self._trade_id = self._tape.randrange(10_000, 90_000)
        self._minute = [self._price]
        self._last_bar: Message | None = None
        self._last_quote: Message | None = None
        self._quoted_tick = 0
        self._settle_around_price()

    def move(self) -> None:
        """One tick: the price moves, levels in its way are taken, others come, go and change their size."""
        self._price *= math.exp(self._deviation * self._path.gauss(0, 1))
        self._minute.append(self._price)
        self._settle_around_price()
        for side, levels in self._sides.items():
            self._set(side, self._dice.choice(sorted(levels)), self._size())

    def _settle_around_price(self) -> None:
        """Both sides end at the price, and have as many levels as a book has."""
        highest_bid = math.floor(self._price / self._step)
        self._settle(BIDS, highest_bid, outwards=-1)
        self._settle(ASKS, highest_bid + 1, outwards=1)

    def _settle(self, side: str, best: int, *, outwards: int) -> None:
        levels = self._sides[side]
        for price in [price for price in levels if (price - best) * outwards < 0]:
            self._set(side, price, 0.0)
        if best not in levels:
            self._set(side, best, self._size())
        while len(levels) < BOOK_LEVELS:
            furthest = max(levels, key=lambda price: price * outwards)
            self._set(side, furthest + outwards * self._dice.randint(1, 3), self._size())
        while len(levels) > BOOK_LEVELS:
            self._set(side, max(levels, key=lambda price: price * outwards), 0.0)

    def _set(self, side: str, price: int, size: float) -> None:
        self._changes[side][price] = size
        if size:
            self._sides[side][price] = size
        else:
            del self._sides[side][price]

    def _size(self) -> float:
        return round(self._dice.lognormvariate(0, 1) * 20_000 / self.opening, 6)

    def _levels(self, levels: dict[int, float], *, highest_first: bool) -> list[Message]:
        ordered = sorted(levels.items(), reverse=highest_first)
        return [{"p": self._money(price), "s": size} for price, size in ordered]

    def _money(self, steps: float) -> float:
        return round(steps * self._step, 10)

    def _book(self, sides: dict[str, dict[int, float]]) -> Message:
        return {
            "T": "o",
            "S": self.symbol,
            "b": self._levels(sides[BIDS], highest_first=True),
            "a": self._levels(sides[ASKS], highest_first=False),
        }

    def whole_book(self) -> Message:
        """The wire's reset, without its time."""
        return {**self._book(self._sides), "r": True}

    def take_changes(self) -> Message | None:
        """The wire's change of the book since the last call, without its time."""
        changes, self._changes = self._changes, {BIDS: {}, ASKS: {}}
        return self._book(changes) if changes[BIDS] or changes[ASKS] else None

    def quote(self) -> Message:
        """The wire's best bid and ask, without its time."""
        bids, asks = self._sides[BIDS], self._sides[ASKS]
        bid, ask = max(bids), min(asks)
        return {
            "T": "q",
            "S": self.symbol,
            "bp": self._money(bid),
            "bs": bids[bid],
            "ap": self._money(ask),
            "as": asks[ask],
        }

    def new_quote(self, tick: int, *, at_once: bool) -> Message | None:
        """The quote where it is another than the last one told, or was told long ago."""
        quote = self.quote()
        if not at_once and quote == self._last_quote and tick - self._quoted_tick < REPEATED_QUOTE_TICKS:
            return None
        self._last_quote, self._quoted_tick = quote, tick
        return quote

    def trade(self) -> Message | None:
        """The wire's trade, without its time, where somebody trades in this tick."""
        if self._tape.random() >= TRADES_PER_TICK:
            return None
        self._trade_id += self._tape.randint(1, 9)
        quote, buys = self.quote(), self._tape.random() < 0.5
        size = round(quote["as" if buys else "bs"] * self._tape.random(), 6) or 1e-6
        return {
            "T": "t",
            "S": self.symbol,
            "i": self._trade_id,
            "p": quote["ap" if buys else "bp"],
            "s": size,
            "tks": "B" if buys else "S",
        }

    def end_minute(self, now_ns: int) -> Message:
        """The wire's bar of the minute that just ended."""
        prices, self._minute = self._minute, []
        self._last_bar = {
            "T": "b",
            "S": self.symbol,
            "t": timestamp_extension(now_ns - MINUTE_NS),
            "o": self._rounded(prices[0]),
            "h": self._rounded(max(prices)),
            "l": self._rounded(min(prices)),
            "c": self._rounded(prices[-1]),
            "v": round(self._tape.uniform(1, 50) * 20_000 / self.opening, 6),
            "n": self._tape.randrange(5, 60),
            "vw": self._rounded(sum(prices) / len(prices)),
        }
        return self._last_bar

    def _rounded(self, price: float) -> float:
        return self._money(round(price / self._step, 2))

    def snapshot(self, now_ns: int, last_session: date) -> SymbolSnapshot:
        """Its prices and its book at this moment; asking rolls no dice."""
        at = timestamp_extension(now_ns)
        today = new_york_date(utc_datetime(now_ns))
        quote, price = self.quote(), self._rounded(self._price)
        return SymbolSnapshot(
            quote={**quote, "t": at},
            trade={"t": at, "i": 1, "p": quote["ap"], "s": 0.01, "tks": "B"},
            minute_bar=self._last_bar,
            daily_bars={
                last_session: daily_bar(last_session, self._rounded(self.previous_close)),
                today: daily_bar(today, price, opening=self.opening),
            },
            book={**self._book(self._sides), "t": at},
        )


class CoinMarket:
    """All pairs that somebody subscribed to, day and night."""

    def __init__(self, seed: int, held: Mapping[str, float | None] = MappingProxyType({})) -> None:
        self._seed = seed
        self._held = held  # each with what it cost
        self._coins: dict[str, SeededCoin] = {}

    def messages(self, interest: Interest, tick: int, now_ns: int, *, anew: bool) -> Iterator[Message]:
        """What is due in one tick; `anew` after a client came or changed its mind: whole books, and every quote."""
        booked = self._subscribed(interest, "orderbooks")
        quoted = self._subscribed(interest, "quotes")
        traded = self._subscribed(interest, "trades")
        barred = self._subscribed(interest, "bars")
        is_minute = tick > 0 and now_ns % MINUTE_NS == 0
        for symbol, coin in sorted(self._coins.items()):
            coin.move()
            change = coin.take_changes()
            if symbol in booked and (anew or change is not None):
                yield coin.whole_book() if anew or change is None else change
            if symbol in quoted and (quote := coin.new_quote(tick, at_once=anew)):
                yield quote
            if symbol in traded and (trade := coin.trade()):
                yield trade
            if is_minute:
                bar = coin.end_minute(now_ns)
                if symbol in barred:
                    yield bar

    def _subscribed(self, interest: Interest, channel: str) -> frozenset[str]:
        symbols = interest.symbols(StreamName.CRYPTO, channel)
        if "*" in symbols:
            symbols = symbols.union(self._held) - {"*"}
        for symbol in symbols:
            self._coin(symbol)
        return symbols

    def _coin(self, symbol: str) -> SeededCoin:
        coin = self._coins.get(symbol)
        if coin is None:
            coin = self._coins[symbol] = SeededCoin(symbol, self._seed, near=self._held.get(symbol))
        return coin

    def price(self, symbol: str) -> float:
        """About what a pair costs."""
        quote = self._coin(symbol).quote()
        return float(quote["ap"])

    def snapshot(self, symbol: str, now_ns: int, last_session: date) -> SymbolSnapshot:
        """The prices of a pair; empty for what is none."""
        if not is_coin_pair(symbol):
            return SymbolSnapshot()
        return self._coin(symbol).snapshot(now_ns, last_session)
