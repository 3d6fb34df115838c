"""CPU of implied volatility and five Greeks of 20, 250 and 1,000 American legs: against QuantLib and a closed form.

The baselines of the same run: QuantLib's QdFp engine (fast), one process for each leg and Greeks by bumps, and Black's
formula in NumPy as if all legs were European. Ours is measured as the sheet did it (the middle's volatility and the
Greeks), and as the page does it: band, reasons and Greeks of all legs, first and after each leg's quote has moved.
Reach: the first at most 0.36 of QdFp (10 ms where that takes 28), at 250 legs.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from options_helper.analysis.marks import Numbers
from options_helper.analysis.risk.black import european_greeks
from options_helper.analysis.risk.implied_volatility import OptionQuotes
from options_helper.analysis.risk.inversion import black_volatility, solve
from options_helper.analysis.risk.leg_risk import LegInputs, refresh
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms, greeks, value

SIZES = (20, 250, 1_000)
ROUNDS = 9
SPOT = 100.0
RATE = 0.043
NEWTON_STEPS = 2
VOLATILITY_BUMP = 1e-3
SPOT_BUMP = 0.1
RATE_BUMP = 1e-3


def random_legs(count: int) -> LegInputs:
    """Strikes 30 % around the spot, a day to two years, 12 to 80 % of volatility, yields up to 3 %; quoted by value."""
    dice = np.random.default_rng(count)
    terms = Terms(
        SPOT * dice.uniform(0.7, 1.3, count),
        dice.random(count) < 0.5,
        np.ones(count, dtype=bool),
        dice.uniform(1, 730, count) / 365,
    )
    market = Market(
        np.full(count, SPOT),
        np.full(count, RATE),
        dice.uniform(0, 0.03, count),
        CashDividends.none(count),
    )
    mid = value(terms, market, dice.uniform(0.12, 0.8, count))
    return LegInputs(
        keys=tuple(map(str, range(count))),
        terms=terms,
        market=market,
        quotes=quotes_of(mid),
        quoted_spot=market.spot,
        quoted_years=terms.years,
        as_of=np.zeros(count),
        partners=OptionQuotes.none(count),
        partner_names=("",) * count,
    )


def quotes_of(mid: Numbers) -> OptionQuotes:
    """Two per cent wide, a cent at least."""
    half = np.maximum(0.005, 0.01 * mid)
    return OptionQuotes(mid - half, mid + half, mid, np.full(len(mid), 0.01))


class QuantLibLeg:
    """One leg with a process of its own: what is bumped is a quote, and nothing else is told."""

    def __init__(self, ql: Any, inputs: LegInputs, leg: int) -> None:
        today, day_count = ql.Date(1, 1, 2100), ql.Actual365Fixed()
        self.years = float(inputs.terms.years[leg])
        # A year for QuantLib, which counts whole days, with rates and variance to match.
        self.spot, self.rate = ql.SimpleQuote(SPOT), ql.SimpleQuote(RATE * self.years)
        carry = ql.SimpleQuote(float(inputs.market.carry[leg]) * self.years)
        self.volatility = ql.SimpleQuote(0.3)

        def curve(quote: Any) -> Any:
            return ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(quote), day_count))

        steady = ql.BlackConstantVol(today, ql.NullCalendar(), ql.QuoteHandle(self.volatility), day_count)
        process = ql.BlackScholesMertonProcess(
            ql.QuoteHandle(self.spot), curve(carry), curve(self.rate), ql.BlackVolTermStructureHandle(steady)
        )
        kind = ql.Option.Call if inputs.terms.is_call[leg] else ql.Option.Put
        self.option = ql.VanillaOption(
            ql.PlainVanillaPayoff(kind, float(inputs.terms.strike[leg])),
            ql.AmericanExercise(today, today + 365),
        )
        self.option.setPricingEngine(ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.fastScheme()))

    def price_at(self, volatility: float) -> float:
        """Dollars per share."""
        self.volatility.setValue(volatility * math.sqrt(self.years))
        return float(self.option.NPV())

    def figures(self, price: float, start: float) -> tuple[float, ...]:
        """Volatility, delta, gamma, vega and rho by bumps; theta follows from them at no cost."""
        at, vega = start, 1.0
        for _ in range(NEWTON_STEPS):
            here = self.price_at(at)
            vega = (self.price_at(at + VOLATILITY_BUMP) - here) / VOLATILITY_BUMP
            at = max(at - (here - price) / max(vega, 1e-3), 0.01)
        middle = self.price_at(at)
        self.spot.setValue(SPOT + SPOT_BUMP)
        high = float(self.option.NPV())
        self.spot.setValue(SPOT - SPOT_BUMP)
        low = float(self.option.NPV())
        self.spot.setValue(SPOT)
        self.rate.setValue((RATE + RATE_BUMP) * self.years)
        rho = (float(self.option.NPV()) - middle) / RATE_BUMP
        self.rate.setValue(RATE * self.years)
        return at, (high - low) / (2 * SPOT_BUMP), (high + low - 2 * middle) / SPOT_BUMP**2, vega, rho


def milliseconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Of this thread's CPU, the best of some rounds."""
    times = []
    for _ in range(rounds):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return 1e3 * min(times)


def measure(ql: Any, count: int) -> dict[str, float]:
    """CPU milliseconds of each way; ours and QdFp begin with the European volatility."""
    inputs = random_legs(count)
    terms, market, mid = inputs.terms, inputs.market, inputs.quotes.mid
    tick = np.full(count, 0.01)
    european = Terms(terms.strike, terms.is_call, ~terms.is_american, terms.years)
    legs = [QuantLibLeg(ql, inputs, leg) for leg in range(count)]
    first = refresh(inputs)
    spot = market.spot * 1.0002
    moved = replace(
        inputs,
        market=replace(market, spot=spot),
        quoted_spot=spot,
        quotes=quotes_of(mid + 0.01),
    )

    def sheet() -> None:
        greeks(terms, market, solve(terms, market, mid, tick).volatility)

    def closed_form() -> None:
        known = np.flatnonzero(~np.isnan(volatility := black_volatility(european, market, mid)))
        european_greeks(european.take(known), market.take(known), volatility[known])

    def quantlib() -> None:
        start = np.nan_to_num(black_volatility(terms, market, mid), nan=0.3)
        for leg, price, at in zip(legs, mid.tolist(), start.tolist(), strict=True):
            leg.figures(price, at)

    return {
        "ours": milliseconds(sheet),
        "page, first": milliseconds(lambda: refresh(inputs)),
        "page, all moved": milliseconds(lambda: refresh(moved, first, budget=count)),
        "page, none moved": milliseconds(lambda: refresh(inputs, first)),
        "QdFp": milliseconds(quantlib, rounds=3),
        "European": milliseconds(closed_form),
    }


def main() -> None:
    """Print the times and the ratios to the baselines of the same run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import QuantLib
    print("CPU in ms: implied volatility and five Greeks of American legs")
    for count in SIZES:
        found = measure(QuantLib, count)
        print(f"{count:5d} legs: " + ", ".join(f"{name} {ms:.2f}" for name, ms in found.items()))
        print(
            f"{'':12}ours / QdFp {found['ours'] / found['QdFp']:.2f} (reach 0.36 at 250 legs); "
            f"page, all moved / QdFp {found['page, all moved'] / found['QdFp']:.2f}; "
            f"ours / European {found['ours'] / found['European']:.1f}"
        )


if __name__ == "__main__":
    main()
