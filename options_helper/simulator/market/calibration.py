"""Find today's price and volatility of an underlying, so that a portfolio's book values look lived with."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from options_helper.model.contract_symbols import OptionType
from options_helper.model.portfolio import MultiLegPosition, Portfolio, PortfolioEntry, PortfolioLine
from options_helper.simulator.market.account import CONTRACT_SHARES
from options_helper.simulator.market.pricing import smile, value_option

VOLATILITIES: Final = (0.13, 0.17, 0.22, 0.28, 0.36, 0.48, 0.65)
SPOT_STEPS: Final = 60
# Where the funds start that betas are told against, with their volatility, while no position says it: against an index
# at a tenth of its price a book comes to ten times the shares.
KNOWN: Final[Mapping[str, tuple[float, float]]] = {
    "SPY": (660.0, 0.13),
    "VOO": (605.0, 0.13),
    "IVV": (662.0, 0.13),
    "VTI": (325.0, 0.13),
    "RSP": (188.0, 0.13),
    "QQQ": (600.0, 0.17),
    "IWM": (240.0, 0.22),
    "DIA": (465.0, 0.13),
    "MDY": (590.0, 0.17),
    "EFA": (95.0, 0.13),
    "EEM": (54.0, 0.17),
    "TLT": (90.0, 0.13),
    "GLD": (375.0, 0.17),
}
# More positions in one underlying would not move its calibration, but cost time to fit.
FITTED_AT_MOST: Final = 12


@dataclass(frozen=True, slots=True)
class Calibration:
    """Where an underlying starts, and its yearly volatility."""

    spot: float
    volatility: float


@dataclass(frozen=True, slots=True)
class _Holding:
    """One contract, or the share itself, in shares with their sign."""

    quantity: float
    option_type: OptionType | None = None
    strike: float = 0.0
    expiry: date = date.max

    def value(self, spot: float, volatility: float, day: date) -> float:
        if self.option_type is None:
            return self.quantity * spot
        years = max(0.25, (self.expiry - day).days) / 365
        at_strike = smile(volatility, spot=spot, strike=self.strike, years=years)
        model = value_option(
            self.option_type, spot=spot, strike=self.strike, years=years, volatility=at_strike
        )
        return self.quantity * model.price


@dataclass(frozen=True, slots=True)
class _Target:
    """What an entry should be worth today, and the dollars by which a miss is measured."""

    holdings: tuple[_Holding, ...]
    value: float
    scale: float

    def miss(self, spot: float, volatility: float, day: date) -> float:
        worth = sum(holding.value(spot, volatility, day) for holding in self.holdings)
        return ((worth - self.value) / self.scale) ** 2


def calibrate(
    underlying: str, entries: Sequence[PortfolioEntry], day: date, dice: random.Random
) -> Calibration:
    """Where an underlying makes its entries worth about what was paid, some more and some less."""
    targets = [_target_of(entry, dice) for entry in entries[:FITTED_AT_MOST]]
    landmarks = [mark for entry in entries for mark in _landmarks(entry, underlying)]
    if not landmarks:
        return invented(underlying, dice)
    spots = list(_spots(min(landmarks), max(landmarks)))
    known = [target for target in targets if target is not None]
    middle = math.sqrt(min(landmarks) * max(landmarks))

    def miss(calibration: Calibration) -> float:
        # The last two terms decide where the book does not: near the strikes, and a usual volatility.
        apart = math.log(calibration.spot / middle) ** 2 + 0.1 * math.log(calibration.volatility / 0.22) ** 2
        return sum(target.miss(calibration.spot, calibration.volatility, day) for target in known) + apart

    volatilities = VOLATILITIES if known else (0.22,)
    return min((Calibration(spot, volatility) for spot in spots for volatility in volatilities), key=miss)


def invented(symbol: str, dice: random.Random, *, near: float | None = None) -> Calibration:
    """Where one starts that no position names: about its real price where that is known, else anywhere.

    `near` is a strike that its price should be near, and goes before what is known.
    """
    known = KNOWN.get(symbol)
    middle = near if near or known is None else known[0]
    spot = middle * dice.uniform(0.95, 1.05) if middle else dice.uniform(20, 400)
    return Calibration(round(spot, 2), dice.choice(VOLATILITIES) if known is None else known[1])


def _spots(lowest: float, highest: float) -> Iterator[float]:
    start, end = math.log(0.88 * lowest), math.log(1.12 * highest)
    for step in range(SPOT_STEPS + 1):
        yield round(math.exp(start + (end - start) * step / SPOT_STEPS), 2)


def _landmarks(entry: PortfolioEntry, underlying: str) -> Iterator[float]:
    for line in entry.lines:
        if line.instrument.underlying != underlying:
            continue
        if line.instrument.strike is not None:
            yield line.instrument.strike
        elif line.cost_basis:
            yield float(line.cost_basis)


def _target_of(entry: PortfolioEntry, dice: random.Random) -> _Target | None:
    if entry.opening_cost is None or len({one.underlying for one in entry.instruments}) > 1:
        return None
    if entry.opening_cost == 0 and not isinstance(entry, MultiLegPosition):
        return None
    holdings, paid = tuple(map(_holding, entry.lines)), float(entry.opening_cost)
    if any(holding.option_type is None for holding in holdings):
        # Shares pin the price down: a tenth of their value is a large miss.
        return _Target(holdings, paid * dice.uniform(0.96, 1.06), abs(paid) / 10)
    if isinstance(entry, MultiLegPosition):
        return _Target(holdings, paid * dice.uniform(0.75, 1.3), max(abs(paid), 100.0))
    return _Target(holdings, paid * dice.uniform(0.75, 1.35), abs(paid))


def _holding(line: PortfolioLine) -> _Holding:
    one, quantity = line.instrument, float(line.quantity)
    if one.option_type is None or one.strike is None or one.expiry is None:
        return _Holding(quantity)
    shares = one.multiplier or CONTRACT_SHARES
    return _Holding(quantity * shares, one.option_type, one.strike, one.expiry)


def entries_by_underlying(portfolio: Portfolio) -> dict[str, list[PortfolioEntry]]:
    """The portfolio's entries under what they are written on, as Alpaca spells it, in the file's order; no coins."""
    found: dict[str, list[PortfolioEntry]] = {}
    for entry in portfolio.positions:
        for underlying in dict.fromkeys(one.underlying for one in entry.instruments if not one.is_coin):
            found.setdefault(underlying, []).append(entry)
    return found
