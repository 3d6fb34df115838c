"""A made-up market of one share, which costs what a test says at each instant and is played as fast as it says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from options_helper.model.announcement import MarketKind
from options_helper.model.contract_hours import settles_at
from options_helper.model.contract_symbols import is_contract_symbol, parse_contract_symbol
from options_helper.model.instants import NANOSECONDS, timestamp_extension, utc_datetime
from options_helper.model.portfolio import Portfolio
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Message
from options_helper.simulator.market.account import Holding
from options_helper.simulator.market.conditions import NO_CONDITIONS, Conditions
from options_helper.simulator.market.last_values import SymbolSnapshot
from options_helper.simulator.market.market import Interest, Step
from options_helper.simulator.market.opening import opening_holdings
from options_helper.simulator.market.pricing import value_option
from tests.kit.builders import nanoseconds

TICKS_A_SECOND: Final = 5  # of the computer's
VOLATILITY: Final = 0.30
SECONDS_A_YEAR: Final = 365 * 86_400

# Between two acts the market's clock jumps, if more than an hour lies between them.
Act = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class ScriptedMarket:
    """Plays its acts one after another and ends; `prices` are what `share` costs from each instant on, in dollars.

    It waits until somebody listens to shares, options and order updates. A contract costs what Black and Scholes say
    at 30 %, a few cents to either side; one that has ended is not quoted.
    """

    held: Portfolio
    share: str
    prices: Sequence[tuple[datetime, float]]
    acts: Sequence[Act]
    speed: float
    conditions: Conditions = NO_CONDITIONS
    kind: MarketKind = MarketKind.SIMULATED
    awaited: frozenset[StreamName] = frozenset({StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS})
    lossless: bool = True

    @property
    def start_ns(self) -> int:
        """When the first act begins."""
        return nanoseconds(self.acts[0][0])

    @property
    def until_ns(self) -> int:
        """When the last one ends."""
        return nanoseconds(self.acts[-1][1])

    @property
    def cash(self) -> float | None:
        """The portfolio's."""
        return self.held.cash

    @property
    def contracts(self) -> tuple[str, ...]:
        """Those that are held."""
        return tuple(one.live_symbol for one in self.held.instruments if one.is_option)

    def holdings(self) -> list[Holding]:
        """The portfolio's."""
        return opening_holdings(self.held, lambda _: None)

    def price(self, underlying: str) -> float | None:
        """Of the share at the start."""
        return self._spot(self.start_ns) if underlying == self.share else None

    def past_days(self, symbol: str, first: date, last_session: date) -> Mapping[date, Message]:
        """None."""
        return {}

    def snapshot(self, symbol: str, now_ns: int, last_session: date) -> SymbolSnapshot:
        """Quote and trade as they are at that time."""
        quoted = self._quoted(symbol, now_ns)
        if quoted is None:
            return SymbolSnapshot()
        bid, ask = quoted
        at = timestamp_extension(now_ns - NANOSECONDS)
        return SymbolSnapshot(
            quote=_quote(symbol, bid, ask) | {"t": at},
            trade={"T": "t", "S": symbol, "i": 1, "x": "V", "p": bid, "s": 1, "c": ["@"], "z": "C", "t": at},
        )

    def steps(self, interest: Interest) -> Iterator[Step]:
        """At each tick everything that is subscribed; who is not heard of tells the time none the less."""
        tick_ns = round(self.speed / TICKS_A_SECOND * NANOSECONDS)
        for begins, ends in self.acts:
            for now_ns in range(nanoseconds(begins), nanoseconds(ends) + 1, tick_ns):
                for stream in (StreamName.STOCKS, StreamName.OPTIONS):
                    yield Step(now_ns, stream, list(self._messages(interest, stream, now_ns)))

    def _messages(self, interest: Interest, stream: StreamName, now_ns: int) -> Iterator[Message]:
        for symbol in sorted(interest.symbols(stream, "quotes") - {"*"}):
            quoted = self._quoted(symbol, now_ns)
            if quoted is not None:
                yield _quote(symbol, *quoted) | {"t": timestamp_extension(now_ns)}

    def _quoted(self, symbol: str, now_ns: int) -> tuple[float, float] | None:
        if symbol == self.share:
            spot = self._spot(now_ns)
            return spot - 0.01, spot + 0.01
        if not is_contract_symbol(symbol):
            return None
        terms = parse_contract_symbol(symbol)
        ends = settles_at(symbol, terms.expiry)
        if ends is None or (left := (ends - utc_datetime(now_ns)).total_seconds()) <= 0:
            return None
        worth = value_option(
            terms.option_type,
            spot=self._spot(now_ns),
            strike=terms.strike,
            years=left / SECONDS_A_YEAR,
            volatility=VOLATILITY,
        ).price
        return round(max(0.01, worth), 2), round(max(0.01, worth) + 0.05, 2)

    def _spot(self, now_ns: int) -> float:
        return [price for since, price in self.prices if nanoseconds(since) <= now_ns][-1]


def _quote(symbol: str, bid: float, ask: float) -> dict[str, Any]:
    sides = {"bx": "V", "bp": round(bid, 2), "bs": 10, "ax": "V", "ap": round(ask, 2), "as": 10}
    return {"T": "q", "S": symbol, **sides, "c": ["R"], "z": "C"}
