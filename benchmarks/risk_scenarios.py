"""CPU of the curve of today, of the worst of a book and of a step of what changed, for 20, 250 and 1,000 American legs.

The curve has 41 prices. Its baseline in the same run is Black's formula over the same legs and prices, as if all were
European; that of the others is one refresh of the legs' volatilities and Greeks, beside which they are to be small.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
from risk import SIZES, milliseconds, random_legs

from options_helper.analysis.marks import MarkSource
from options_helper.analysis.risk.black import european_value
from options_helper.analysis.risk.extremes import book_risk
from options_helper.analysis.risk.leg_risk import LegInputs, refresh
from options_helper.analysis.risk.pricing import Market, greeks
from options_helper.analysis.risk.readings import Reading
from options_helper.analysis.risk.scenario import ScenarioLines, curve
from options_helper.analysis.risk.what_changed import begin, fold
from options_helper.model.contract_symbols import OptionType
from options_helper.model.portfolio import Leg, MultiLegPosition, Portfolio, Side

PRICES = np.linspace(0.8, 1.2, 41)
OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
FIRST_EXPIRY = date(2026, 12, 18)
UNDERLYINGS, EXPIRIES = 12, 6


def lines_of(inputs: LegInputs) -> ScenarioLines:
    """All legs long one contract at their quotes' middles."""
    count = len(inputs.keys)
    return ScenarioLines(
        inputs.keys,
        inputs.terms,
        inputs.market,
        refresh(inputs).volatility.volatility,
        inputs.quotes.mid,
        np.full(count, 100.0),
        (),
        np.zeros(0),
    )


def reading_of(lines: ScenarioLines, seconds: int) -> Reading:
    """The same legs so many seconds after the open."""
    count = len(lines.labels)
    found = greeks(lines.terms, lines.market, lines.volatility)
    return Reading(
        at=OPEN + timedelta(seconds=seconds),
        keys=lines.labels,
        underlying=np.full(count, "SPX", dtype=object),
        is_option=np.ones(count, dtype=bool),
        slope=lines.slope,
        paid=np.zeros(count),
        fills=np.zeros(count, dtype=np.int64),
        mark=lines.mark + 0.01 * seconds,
        source=np.full(count, MarkSource.MID, dtype=object),
        spot=lines.market.spot,
        forward=np.full(count, "spot", dtype=object),
        volatility=lines.volatility,
        delta=found.delta,
        vega=found.vega,
        theta=found.theta,
    )


def book_of(legs: int) -> Portfolio:
    """Iron condors, over a dozen underlyings and half a dozen expiries."""
    return Portfolio(positions=tuple(_condor(n) for n in range(legs // 4)))


def _condor(number: int) -> MultiLegPosition:
    expiry = FIRST_EXPIRY + timedelta(days=7 * (number % EXPIRIES))
    sides: tuple[tuple[Side, float, OptionType], ...] = (
        ("long", 90.0, "put"),
        ("short", 95.0, "put"),
        ("short", 105.0, "call"),
        ("long", 110.0, "call"),
    )
    return MultiLegPosition(
        id=str(number),
        symbol=f"S{number % UNDERLYINGS}",
        net_debit=-100.0,
        legs=tuple(
            Leg(side=side, option_type=kind, expiry=expiry, strike=strike + number % 5, contracts=1)
            for side, strike, kind in sides
        ),
    )


def measure(count: int) -> dict[str, float]:
    """CPU milliseconds of each."""
    inputs = random_legs(count)
    lines = lines_of(inputs)
    places = np.tile(np.arange(count), len(PRICES))
    terms, market = lines.terms.take(places), lines.market.take(places)
    at_prices = Market(market.spot * np.repeat(PRICES, count), market.rate, market.carry, market.dividends)
    volatility = np.nan_to_num(lines.volatility[places], nan=0.3)
    strip, later = begin(reading_of(lines, 0)), reading_of(lines, 60)
    return {
        "curve": milliseconds(partial(curve, lines, PRICES)),
        "European grid": milliseconds(partial(european_value, terms, at_prices, volatility)),
        "worst of the book": milliseconds(partial(book_risk, book_of(count))),
        "step of what changed": milliseconds(partial(fold, strip, later)),
        "refresh": milliseconds(partial(refresh, inputs)),
    }


def main() -> None:
    """Print the times and the ratios to the baselines of the same run."""
    print(f"CPU in ms: scenarios of American legs, {len(PRICES)} prices")
    for count in SIZES:
        found = measure(count)
        print(f"{count:5d} legs: " + ", ".join(f"{name} {ms:.2f}" for name, ms in found.items()))
        beside = (found["worst of the book"] + found["step of what changed"]) / found["refresh"]
        print(
            f"{'':12}curve / European grid {found['curve'] / found['European grid']:.1f}; "
            f"worst and step / refresh {beside:.2f}"
        )


if __name__ == "__main__":
    main()
