"""What a simulated option is worth and how wide its market is: Black-Scholes with a smile, in plain arithmetic.

What early exercise adds is in `early_exercise`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from options_helper.model.contract_symbols import OptionType

RATE: Final = 0.04
SECONDS_PER_YEAR: Final = 365 * 86_400
# Half a minute before the end a model needs no more time value than this.
SHORTEST_YEARS: Final = 30 / SECONDS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Valuation:
    """A model's price per share, its change per dollar of the underlying, and per 1.00 of volatility."""

    price: float
    delta: float
    vega: float


@dataclass(frozen=True, slots=True)
class Carry:
    """What holding the underlying until the end brings and costs whoever sells an option on it."""

    dividends: float = 0.0  # present value of those that are to come, dollars per share
    yearly: float = 0.0  # continuous, as a fraction: an index's dividends, or what borrowing a share costs


NO_CARRY: Final = Carry()


def value_option(
    option_type: OptionType,
    *,
    spot: float,
    strike: float,
    years: float,
    volatility: float,
    carry: Carry = NO_CARRY,
    european: bool = False,
) -> Valuation:
    """Black-Scholes on the share less its dividends; not below what exercising now would bring, unless `european`."""
    years = max(years, SHORTEST_YEARS)
    deviation = volatility * math.sqrt(years)
    present_spot = (spot - carry.dividends) * math.exp(-carry.yearly * years)
    present_strike = strike * math.exp(-RATE * years)
    d1 = math.log(present_spot / present_strike) / deviation + deviation / 2
    call = present_spot * _normal(d1) - present_strike * _normal(d1 - deviation)
    vega = present_spot * math.sqrt(years) * math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    share = present_spot / (spot - carry.dividends)  # by how much the share moves in them
    sign = 1 if option_type == "call" else -1
    price = call if sign == 1 else call - present_spot + present_strike
    floor = 0.0 if european else max(0.0, sign * (spot - strike))
    return Valuation(max(price, floor), sign * share * _normal(sign * d1), vega)


def greeks_of(
    option_type: OptionType, *, spot: float, strike: float, years: float, volatility: float
) -> dict[str, float]:
    """How the value moves, in Alpaca's units: theta is a day's, vega and rho are for 0.01 of volatility and rate."""
    deviation = volatility * math.sqrt(years)
    d1 = (math.log(spot / strike) + RATE * years) / deviation + deviation / 2
    density = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
    sign = 1 if option_type == "call" else -1
    carry = sign * strike * math.exp(-RATE * years) * _normal(sign * (d1 - deviation))
    decay = -spot * density * volatility / (2 * math.sqrt(years)) - RATE * carry
    found = {
        "delta": sign * _normal(sign * d1),
        "gamma": density / (spot * deviation),
        "rho": years * carry / 100,
        "theta": decay / 365,
        "vega": spot * math.sqrt(years) * density / 100,
    }
    return {name: round(value, 4) for name, value in found.items()}


def _normal(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def smile(volatility: float, *, spot: float, strike: float, years: float, skew: float = 1.0) -> float:
    """The volatility at a strike: low strikes are dearer than high ones, and both wings than the middle."""
    deviation = volatility * math.sqrt(max(years, 1 / 365))
    distance = max(-4.0, min(4.0, math.log(strike / spot) / deviation))
    return volatility * (1 - 0.05 * skew * distance + 0.02 * distance * distance)


@dataclass(frozen=True, slots=True)
class Liquidity:
    """How tightly the options of an underlying are quoted: ticks, and the market makers' margin in volatility."""

    tick_below_3: float
    tick_from_3: float
    margin: float  # half of the quoted width, in volatility
    seconds_between_quotes: float

    def tick(self, price: float) -> float:
        """The smallest step of a price."""
        return self.tick_below_3 if price < 3 else self.tick_from_3


ALL_PENNIES: Final = Liquidity(0.01, 0.01, margin=0.0004, seconds_between_quotes=0.8)
PENNY_CLASS: Final = Liquidity(0.01, 0.05, margin=0.0010, seconds_between_quotes=1.0)
NICKEL_CLASS: Final = Liquidity(0.05, 0.10, margin=0.0030, seconds_between_quotes=2.5)

_LIQUIDITIES: Final = dict.fromkeys(("SPY", "QQQ", "IWM"), ALL_PENNIES) | dict.fromkeys(
    ("AAPL", "AMD", "AMZN", "GLD", "GOOG", "GOOGL", "INTC", "META", "MSFT", "NFLX", "NVDA", "TLT", "TSLA"),
    PENNY_CLASS,
)


def liquidity_of(underlying: str) -> Liquidity:
    """What is known of a few names; the rest trade in nickels and dimes."""
    return _LIQUIDITIES.get(underlying, NICKEL_CLASS)


def quote_around(
    valuation: Valuation, *, spot: float, liquidity: Liquidity, width: float = 1.0
) -> tuple[float, float]:
    """Bid and ask of one contract: whole ticks around the value; a worthless one has a bid of zero."""
    tick = liquidity.tick(valuation.price)
    hedging = abs(valuation.delta) * spot * 0.00002
    half = width * (liquidity.margin * valuation.vega + hedging + 0.25 * tick)
    bid = max(0, math.floor((valuation.price - half) / tick))
    ask = max(bid + 1, math.ceil((valuation.price + half) / tick))
    return round(bid * tick, 2), round(ask * tick, 2)
