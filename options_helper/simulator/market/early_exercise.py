"""How much more an option is worth because it may be exercised early: a grid of spots, valued anew each minute.

The grid lies at fixed distances from the strike, so that a price does not depend on who asked for another one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from options_helper.analysis.risk.pricing import CashDividends, Market, Terms, value
from options_helper.model.contract_symbols import OptionType
from options_helper.model.instants import NANOSECONDS
from options_helper.simulator.market.pricing import RATE, SECONDS_PER_YEAR, SHORTEST_YEARS

_MINUTE_NS: Final = 60 * NANOSECONDS
# Two neighbours differ by half a percent, within which the premium is nearly a line.
_STEP: Final = 0.005
# So many on each side are valued at once, for the spots to come.
_AROUND: Final = 4
# More are of minutes that have passed.
_REMEMBERED: Final = 256


class EarlyExercise:
    """Of one contract; `dividends` are ex-times in epoch nanoseconds and dollars, `volatility` by spot and years."""

    def __init__(
        self,
        option_type: OptionType,
        strike: float,
        *,
        expires_ns: int,
        dividends: Sequence[tuple[int, float]],
        carry: float,
        volatility: Callable[[float, float], float],
    ) -> None:
        self._is_call = option_type == "call"
        self._strike = strike
        self._expires_ns = expires_ns
        self._dividends = dividends
        self._carry = carry
        self._volatility = volatility
        self._premiums: dict[tuple[int, int], float] = {}

    def premium(self, spot: float, now_ns: int) -> float:
        """Dollars per share above the European value."""
        minute = now_ns // _MINUTE_NS
        place = math.log(spot / self._strike) / _STEP
        left = math.floor(place)
        if (minute, left) not in self._premiums or (minute, left + 1) not in self._premiums:
            self._value_around(minute, left)
        below, above = self._premiums[minute, left], self._premiums[minute, left + 1]
        return below + (place - left) * (above - below)

    def _value_around(self, minute: int, left: int) -> None:
        if len(self._premiums) > _REMEMBERED:
            self._premiums.clear()
        places = range(left - _AROUND, left + 2 + _AROUND)
        spots = np.array([self._strike * math.exp(place * _STEP) for place in places])
        now_ns, count = minute * _MINUTE_NS, len(places)
        years = max(SHORTEST_YEARS, (self._expires_ns - now_ns) / NANOSECONDS / SECONDS_PER_YEAR)
        market = Market(
            spots,
            np.full(count, RATE),
            np.full(count, self._carry),
            self._dividends_ahead(now_ns, count),
        )
        volatility = np.array([self._volatility(spot, years) for spot in spots])
        american, european = (
            value(
                Terms(
                    np.full(count, self._strike),
                    np.full(count, self._is_call),
                    np.full(count, is_american),
                    np.full(count, years),
                ),
                market,
                volatility,
            )
            for is_american in (True, False)
        )
        premiums = np.nan_to_num(np.maximum(0.0, american - european))
        self._premiums |= {(minute, place): float(premiums[at]) for at, place in enumerate(places)}

    def _dividends_ahead(self, now_ns: int, count: int) -> CashDividends:
        ahead = [(ex_ns, amount) for ex_ns, amount in self._dividends if ex_ns > now_ns]
        years = [(ex_ns - now_ns) / NANOSECONDS / SECONDS_PER_YEAR for ex_ns, _ in ahead]
        shape = (len(ahead), count)
        return CashDividends(
            np.broadcast_to(np.reshape(years, (-1, 1)), shape),
            np.broadcast_to(np.reshape([amount for _, amount in ahead], (-1, 1)), shape),
        )
