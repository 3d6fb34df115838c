"""One underlying of a made-up market: its path, its quotes, trades, minutes and days."""

from __future__ import annotations

import math
import random
from datetime import date
from typing import Final

from options_helper.model.instants import NANOSECONDS, timestamp_extension, utc_datetime
from options_helper.model.market_hours import new_york_date, session_before
from options_helper.simulator.faults import Message
from options_helper.simulator.market.calibration import Calibration
from options_helper.simulator.market.conditions import NO_CONDITIONS, OFF_SPOT, Conditions
from options_helper.simulator.market.last_values import SymbolSnapshot, daily_bar

TICKS_PER_SECOND: Final = 10
MINUTE_NS: Final = 60 * NANOSECONDS
SESSIONS_PER_YEAR: Final = 252
TRADING_SECONDS_PER_YEAR: Final = SESSIONS_PER_YEAR * 6.5 * 3600

SECONDS_BETWEEN_STOCK_QUOTES: Final = 0.35
SECONDS_BETWEEN_STOCK_TRADES: Final = 0.9
LONGEST_SILENCE_SECONDS: Final = 8.0

# The share of an underlying's moves that the whole market makes.
CORRELATION: Final = 0.6
FUND_CORRELATION: Final = 0.97
BROAD_FUNDS: Final = frozenset({"DIA", "IWM", "QQQ", "SPY", "VOO", "VTI", "SPX", "NDX", "RUT", "XSP"})

STOCK_EXCHANGES: Final = "VQNPZK"
STOCK_VOLUME: Final = 1_000_000
# A year of sessions and some more.
SESSIONS_KNOWN: Final = 300


def previous_close(symbol: str, calibration: Calibration, seed: int) -> float:
    """Where the underlying ended its last session: a usual day's move away from where it starts."""
    move = random.Random(f"{seed}:{symbol}:close").gauss(0, calibration.volatility / math.sqrt(252))
    return max(0.01, round(calibration.spot * math.exp(move), 2))


class Turn:
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


class Share:
    """One underlying: its path, its quotes, trades and minute bars."""

    def __init__(
        self,
        symbol: str,
        calibration: Calibration,
        seed: int,
        start_ns: int = 0,
        conditions: Conditions = NO_CONDITIONS,
    ) -> None:
        self.symbol = symbol
        self.is_stale = symbol == conditions.stale_spot
        self._seed = seed
        self._start_ns = start_ns
        self._part_shown = 1 - OFF_SPOT if symbol == conditions.off_spot else 1.0
        self.price = calibration.spot
        self.opening = calibration.spot
        self.volatility = calibration.volatility
        self.previous_close = previous_close(symbol, calibration, seed)
        self._path = random.Random(f"{seed}:{symbol}:path")
        self._dice = random.Random(f"{seed}:{symbol}:tape")
        self._correlation = FUND_CORRELATION if symbol in BROAD_FUNDS else CORRELATION
        self._deviation = calibration.volatility / math.sqrt(TRADING_SECONDS_PER_YEAR * TICKS_PER_SECOND)
        self._half_spread = max(0.005, calibration.spot * (0.00001 if symbol in BROAD_FUNDS else 0.00003))
        self._trade_id = self._dice.randrange(10_000, 90_000)
        self._minute = [calibration.spot]
        self._last_bar: Message | None = None
        self.quote_turn = Turn(self._dice, SECONDS_BETWEEN_STOCK_QUOTES)
        self.trade_turn = Turn(self._dice, SECONDS_BETWEEN_STOCK_TRADES, at_once=False)

    def move(self, market_shock: float) -> None:
        """One tick: partly with the market, partly alone."""
        own = math.sqrt(1 - self._correlation**2) * self._path.gauss(0, 1)
        self.price *= math.exp(self._deviation * (self._correlation * market_shock + own))
        self._minute.append(self.price)

    @property
    def _shown(self) -> float:
        return (self.opening if self.is_stale else self.price) * self._part_shown

    def bid_and_ask(self) -> tuple[float, float]:
        """Whole cents around the price at which it is quoted; its options may know another one."""
        price = self._shown
        bid = math.floor((price - self._half_spread) * 100)
        ask = max(bid + 1, math.ceil((price + self._half_spread) * 100))
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
        at = timestamp_extension(self._start_ns if self.is_stale else now_ns)
        price = round(self._shown, 2)
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

    def past_days(self, first: date, last_session: date) -> dict[date, Message]:
        """The bars of the sessions from a day until the last one; as far back as a year and some weeks.

        A share moves with the market of that day as much as it does while it is played.
        """
        bars: dict[date, Message] = {}
        day: date | None = last_session
        close = self.previous_close
        while day is not None and day >= first and len(bars) < SESSIONS_KNOWN:
            before = close / math.exp(self._move_of(day))
            bars[day] = daily_bar(day, round(close, 2), opening=round(before, 2), volume=STOCK_VOLUME)
            close, day = before, session_before(day)
        return bars

    def _move_of(self, day: date) -> float:
        """The logarithm of what the session made of its price."""
        market = random.Random(f"{self._seed}:{day}").gauss(0, 1)
        own = random.Random(f"{self._seed}:{self.symbol}:{day}").gauss(0, 1)
        together = self._correlation * market + math.sqrt(1 - self._correlation**2) * own
        return self.volatility / math.sqrt(SESSIONS_PER_YEAR) * together
