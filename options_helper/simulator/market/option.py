"""One option of a made-up market: a model's value around its underlying's price."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Final
from zlib import crc32

from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_hours import contract_ended_at, option_trading_ends_at
from options_helper.model.contract_symbols import ParsedContract
from options_helper.model.instants import (
    NANOSECONDS,
    datetime_nanoseconds,
    epoch_nanoseconds,
    timestamp_extension,
    utc_datetime,
)
from options_helper.model.market_hours import NEW_YORK, new_york_date, regular_session
from options_helper.simulator.faults import Message
from options_helper.simulator.market.conditions import BORROW_COST, NO_CONDITIONS, Conditions
from options_helper.simulator.market.early_exercise import EarlyExercise
from options_helper.simulator.market.last_values import SymbolSnapshot, daily_bar
from options_helper.simulator.market.payouts import dividends_until
from options_helper.simulator.market.pricing import (
    RATE,
    SECONDS_PER_YEAR,
    Carry,
    Valuation,
    greeks_of,
    liquidity_of,
    quote_around,
    smile,
    value_option,
)
from options_helper.simulator.market.share import Share, Turn

CLOSE: Final = time(16, 0)
# An option trades this many times more rarely than it is quoted.
QUOTES_PER_OPTION_TRADE: Final = 12
OPTION_EXCHANGES: Final = "ABCDEHIJMNOPQTUWXZ"
OPTION_TRADE_CONDITIONS: Final = "Iag"
OPTION_VOLUME: Final = 250


class Contract:
    """One option: a model's value around its underlying's price."""

    def __init__(
        self,
        symbol: str,
        terms: ParsedContract,
        stock: Share,
        seed: int,
        *,
        at_open: bool | None = None,
        conditions: Conditions = NO_CONDITIONS,
        today: date | None = None,
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
        self._conditions = conditions
        self._is_european = is_index(stock.symbol)
        self._yearly = self._cost_of_holding()
        self._dividends = (
            []
            if self._is_european or today is None
            else dividends_until(stock.symbol, stock.opening, today + timedelta(days=1), terms.expiry)
        )
        self._early_exercise = (
            EarlyExercise(
                terms.option_type,
                terms.strike,
                expires_ns=self._expires_ns,
                dividends=self._dividends,
                carry=self._yearly,
                volatility=self._volatility,
            )
            if conditions.american and not self._is_european
            else None
        )
        pause = self._liquidity.seconds_between_quotes * self._remoteness
        self.quote_turn = Turn(self._dice, pause)
        self.trade_turn = Turn(self._dice, pause * QUOTES_PER_OPTION_TRADE, at_once=False)

    def _cost_of_holding(self) -> float:
        """A year, as a fraction, besides interest."""
        if self._is_european:
            return self._conditions.index_yield
        return BORROW_COST if self._stock.symbol == self._conditions.hard_to_borrow else 0.0

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
        valuation = value_option(
            self._terms.option_type,
            spot=spot,
            strike=self._terms.strike,
            years=years,
            volatility=self._volatility(spot, years),
            carry=Carry(self._present_dividends(now_ns), self._yearly),
            european=self._is_european or self._early_exercise is not None,
        )
        if self._early_exercise is None:
            return valuation
        intrinsic = (spot - self._terms.strike) * (1 if self._terms.option_type == "call" else -1)
        price = max(intrinsic, valuation.price + self._early_exercise.premium(spot, now_ns))
        return replace(valuation, price=price)

    def _present_dividends(self, now_ns: int) -> float:
        """What is to come until the end, per share."""
        return sum(
            amount * math.exp(-RATE * (ex_ns - now_ns) / NANOSECONDS / SECONDS_PER_YEAR)
            for ex_ns, amount in self._dividends
            if ex_ns > now_ns
        )

    def _years(self, now_ns: int) -> float:
        return (self._expires_ns - now_ns) / NANOSECONDS / SECONDS_PER_YEAR

    def _volatility(self, spot: float, years: float) -> float:
        return smile(
            self._stock.volatility,
            spot=spot,
            strike=self._terms.strike,
            years=years,
            skew=self._conditions.skew,
        )

    def last_price(self, spot: float, now_ns: int) -> float:
        """A whole tick near the value; nobody sells for nothing."""
        value = self._value_at(spot, now_ns).price
        tick = self._liquidity.tick(value)
        return round(max(1, round(value / tick)) * tick, 2)

    def _quoted(self, now_ns: int, last_session: date) -> tuple[int, float]:
        """When it was quoted last, and on which price: now in its session, and else at the end of the newest."""
        day = new_york_date(utc_datetime(now_ns))
        session = regular_session(day)
        is_before = session is None or now_ns < datetime_nanoseconds(session.opens)
        ends = option_trading_ends_at(self.symbol, last_session if is_before else day)
        quoted_ns = now_ns if ends is None else min(now_ns, datetime_nanoseconds(ends))
        return quoted_ns, self._stock.previous_close if is_before else self._stock.price

    def snapshot(self, now_ns: int, last_session: date) -> SymbolSnapshot:
        """Its newest prices; asking rolls no dice. Of one that has ended, what it was worth a session ago."""
        closed_ns = epoch_nanoseconds(datetime.combine(last_session, CLOSE, NEW_YORK)) or 0
        close = self.last_price(self._stock.previous_close, closed_ns)
        if now_ns >= self.ends_ns:
            traded = last_session <= self._terms.expiry
            bars = {last_session: daily_bar(last_session, close, volume=OPTION_VOLUME)} if traded else {}
            return SymbolSnapshot(daily_bars=bars)
        quoted_ns, spot = self._quoted(now_ns, last_session)
        bid, ask = quote_around(self._value_at(spot, quoted_ns), spot=spot, liquidity=self._liquidity)
        at = timestamp_extension(quoted_ns)
        price = self.last_price(spot, quoted_ns)
        today = new_york_date(utc_datetime(now_ns))
        opening = self.last_price(self._stock.opening, now_ns)
        quoted = bid > 0 and self._terms.expiry > today
        years = self._years(quoted_ns)
        volatility = self._volatility(spot, years)
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
            greeks=self._greeks(spot, years, volatility) if quoted and not self._lacks(0) else None,
            implied_volatility=round(volatility, 4) if quoted and not self._lacks(1) else None,
        )

    def _greeks(self, spot: float, years: float, volatility: float) -> dict[str, float | None]:
        """A vendor's: it knows neither dividends nor early exercise."""
        strike = self._terms.strike
        greeks: dict[str, float | None] = {
            **greeks_of(self._terms.option_type, spot=spot, strike=strike, years=years, volatility=volatility)
        }
        return greeks | {"theta": None, "vega": None} if self._lacks(2) else greeks

    def _lacks(self, what: int) -> bool:
        """Whether a vendor with holes has none of it: all Greeks (0), the volatility (1), or some Greeks (2)."""
        return self._conditions.greek_holes and crc32(self.symbol.encode()) % 4 == what

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
