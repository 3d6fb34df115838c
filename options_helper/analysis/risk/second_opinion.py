"""What QuantLib says of the same legs: on demand, and in the tests; it is too slow and too heavy for each refresh.

American legs without cash dividends by its QdFp engine (Andersen, Lake and Offengenden 2016), with them by finite
differences with escrowed dividends, European ones by Black's formula. QuantLib counts days; so that minutes count too,
each leg is asked as one of a hundred years with rates and variance to match.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np

from options_helper.analysis.marks import Numbers
from options_helper.analysis.risk.pricing import Market, Terms, can_be_priced
from options_helper.errors import ConfigError

_DAYS: Final = 36_500
_YEARS: Final = 100.0
# Far enough ahead that QuantLib, which looks at the clock, takes no leg for expired; its last year is 2199.
_FIRST_YEAR: Final = 2100
_BUMP: Final = 1e-3  # of the spot
_GRID: Final = 200


def require_second_opinion() -> None:
    """ConfigError where QuantLib is not installed, before anything is asked for in vain."""
    _quantlib()


def second_value(terms: Terms, market: Market, volatility: Numbers, grid: int = _GRID) -> Numbers:
    """Dollars per share by QuantLib, leg by leg; NaN where an input is not known. ConfigError: it is not installed.

    A leg takes some 0.05 ms, one with dividends 4 ms, which is that of `grid` nodes in time and in price.
    """
    ql = _quantlib()
    worth = np.full(len(terms.strike), np.nan)
    known = can_be_priced(terms, market) & np.isfinite(volatility) & (volatility > 0)
    for leg in np.flatnonzero(known):
        one = np.array([leg])
        worth[leg] = _price(ql, terms.take(one), market.take(one), float(volatility[leg]), grid)
    return worth


def second_delta(terms: Terms, market: Market, volatility: Numbers, grid: int = _GRID) -> Numbers:
    """Delta per share by QuantLib's prices a thousandth of the spot above and below."""
    bump = _BUMP * market.spot
    high, low = (
        second_value(terms, Market(spot, market.rate, market.carry, market.dividends), volatility, grid)
        for spot in (market.spot + bump, market.spot - bump)
    )
    return (high - low) / (2 * bump)


def _quantlib() -> Any:
    try:
        with warnings.catch_warnings():
            # Of SWIG, with which QuantLib's interface is made, on Python 3.12 and later.
            warnings.filterwarnings("ignore", "builtin type .* has no __module__", DeprecationWarning)
            import QuantLib
    except ImportError as error:
        raise ConfigError(
            "A second opinion needs QuantLib, which is not installed. Install it: pip install 'options-helper[risk]'"
        ) from error
    return QuantLib


def _price(ql: Any, terms: Terms, market: Market, volatility: float, grid: int) -> float:
    """One leg's price; the arrays have one element."""
    years, strike = float(terms.years[0]), float(terms.strike[0])
    kind = ql.Option.Call if terms.is_call[0] else ql.Option.Put
    if not terms.is_american[0]:
        forward, discount = float(market.forward(terms.years)[0]), float(np.exp(-market.rate[0] * years))
        return float(ql.blackFormula(kind, strike, forward, volatility * np.sqrt(years), discount))
    stretch = years / _YEARS
    today = ql.Date(1, 1, _FIRST_YEAR)
    process = _process(ql, today, market, volatility, stretch)
    option = ql.VanillaOption(ql.PlainVanillaPayoff(kind, strike), ql.AmericanExercise(today, today + _DAYS))
    option.setPricingEngine(_engine(ql, process, _dividends(ql, today, market, terms), grid))
    return float(option.NPV())


def _process(ql: Any, today: Any, market: Market, volatility: float, stretch: float) -> Any:
    counted = ql.Actual365Fixed()

    def flat(rate: float) -> Any:
        return ql.YieldTermStructureHandle(ql.FlatForward(today, rate * stretch, counted))

    steady = ql.BlackConstantVol(today, ql.NullCalendar(), volatility * np.sqrt(stretch), counted)
    return ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(float(market.spot[0]))),
        flat(float(market.carry[0])),
        flat(float(market.rate[0])),
        ql.BlackVolTermStructureHandle(steady),
    )


def _dividends(ql: Any, today: Any, market: Market, terms: Terms) -> list[Any]:
    paid = market.dividends.until(terms.years)[:, 0]
    when = market.dividends.years[:, 0] / terms.years[0]
    order = np.argsort(when)
    return [
        ql.FixedDividend(float(paid[row]), today + round(float(when[row]) * _DAYS))
        for row in order
        if paid[row]
    ]


def _engine(ql: Any, process: Any, dividends: list[Any], grid: int) -> Any:
    if not dividends:
        return ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.fastScheme())
    engine = ql.FdBlackScholesVanillaEngine
    douglas = ql.FdmSchemeDesc.Douglas()
    no_local_volatility = (False, -ql.nullDouble())
    return engine(process, dividends, grid, grid, 0, douglas, *no_local_volatility, engine.Escrowed)
