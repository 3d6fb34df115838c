"""Per share → per position, and sums that say what they cover: what is not known never counts as 0.

With s signed contracts (short is negative), M shares for each contract and the figures of one share in lower case:

    delta    s M δ           shares: a short put has a positive one, a short call a negative one
    delta $  s M δ S         dollars
    gamma    s M γ           shares per dollar of spot;  s M γ S / 100  shares per 1 % of spot
    vega     s M ν / 100     dollars per point of volatility
    theta    s M θ / 365     dollars per calendar day; in the last 24 hours what is left of time value, as a loss
    rho      s M ρ / 100     dollars per point of rate
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from math import fsum, isnan
from typing import Final, Self, TypeVar

import numpy as np
from msgspec import Struct

from options_helper.analysis.marks import Flags, Numbers
from options_helper.analysis.risk.implied_volatility import (
    ImpliedVolatility,
    VolatilityState,
    Words,
    intrinsic_value,
)
from options_helper.analysis.risk.pricing import Market, PerShareGreeks, Terms

K = TypeVar("K", bound=Hashable)

_DAYS_A_YEAR: Final = 365.0
_PER_POINT: Final = 0.01
# Dollars a share; a cent is the least that anything costs.
_NOTHING: Final = 1e-9
# A share of one company is none of another: these have no sum over several.
OF_ONE_UNDERLYING: Final = frozenset({"delta", "gamma", "gamma_percent"})
FIGURES: Final = ("delta", "delta_dollars", "gamma", "gamma_percent", "vega", "theta", "rho")


class FigureState(StrEnum):
    """Whether a leg's delta is one."""

    OK = "ok"
    BOUND = "bound"  # between 0 and this
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class PositionGreeks:
    """The figures of n lines in the units above, NaN where not known."""

    delta: Numbers
    delta_dollars: Numbers
    gamma: Numbers
    gamma_percent: Numbers
    vega: Numbers
    theta: Numbers
    rho: Numbers
    delta_state: Words  # FigureState
    is_last_day: Flags  # theta is what is left of time value, not per day
    is_counted: Flags  # an option leg that has not ended
    is_held: Flags  # not ended: what lacks of it lacks in a sum

    def followed_by(self, others: PositionGreeks) -> PositionGreeks:
        """These lines and then the others."""
        return PositionGreeks(
            *(np.concatenate([getattr(self, f.name), getattr(others, f.name)]) for f in fields(self))
        )


def position_greeks(
    terms: Terms,
    market: Market,
    volatility: ImpliedVolatility,
    per_share: PerShareGreeks,
    *,
    mark: Numbers,
    worth: Numbers,
) -> PositionGreeks:
    """The figures of n option legs.

    `mark` is dollars per share, NaN where there is none; `worth` is signed contracts times shares for each, NaN where
    one is not known (an adjusted contract delivers something else).
    """
    is_bound = np.isnan(per_share.delta) & ~np.isnan(volatility.delta_bound)

    def held(figure: Numbers) -> Numbers:
        # A negative zero is none.
        of_position: Numbers = worth * figure + 0.0
        return of_position

    delta, gamma = held(np.where(is_bound, volatility.delta_bound, per_share.delta)), held(per_share.gamma)
    is_last_day = (terms.years > 0) & (terms.years < 1 / _DAYS_A_YEAR)
    time_value = _time_value(terms, market, per_share, mark)
    ended = volatility.state == VolatilityState.EXPIRED
    return PositionGreeks(
        delta=delta,
        delta_dollars=delta * market.spot,
        gamma=gamma,
        gamma_percent=gamma * market.spot * _PER_POINT,
        vega=held(per_share.vega * _PER_POINT),
        theta=held(np.where(is_last_day, -time_value, per_share.theta / _DAYS_A_YEAR)),
        rho=held(per_share.rho * _PER_POINT),
        delta_state=_delta_states(delta, is_bound),
        is_last_day=is_last_day,
        is_counted=~ended,
        is_held=~ended,
    )


def share_greeks(quantity: Numbers, spot: Numbers) -> PositionGreeks:
    """The figures of shares: each is a delta of 1, and nothing else. No option legs, so no coverage counts them."""
    nothing = np.where(np.isnan(quantity), np.nan, 0.0)
    no = np.zeros(len(quantity), dtype=bool)
    return PositionGreeks(
        delta=quantity,
        delta_dollars=quantity * spot,
        gamma=nothing,
        gamma_percent=nothing,
        vega=nothing,
        theta=nothing,
        rho=nothing,
        delta_state=_delta_states(quantity, no),
        is_last_day=no,
        is_counted=no,
        is_held=~no,
    )


def _time_value(terms: Terms, market: Market, per_share: PerShareGreeks, mark: Numbers) -> Numbers:
    """What the leg costs above intrinsic value, dollars per share; a mark below it has none, and NaN stays NaN."""
    price = np.where(np.isnan(mark), per_share.price, mark)
    intrinsic = intrinsic_value(terms, market)
    # Within a day neither interest nor a dividend is much, so one that is not known leaves the spot to say it.
    by_spot = np.maximum(terms.sign * (market.spot - terms.strike), 0.0)
    left = price - np.where(np.isnan(intrinsic), by_spot, intrinsic)
    # What is left of a subtraction is no value. A comparison with NaN is false, so what is not known is not replaced.
    return np.where(left <= _NOTHING, 0.0, left)


def _delta_states(delta: Numbers, is_bound: Flags) -> Words:
    # Filled by NumPy it would hold plain text.
    states = np.array([FigureState.OK] * len(delta), dtype=object)
    states[is_bound] = FigureState.BOUND
    states[np.isnan(delta)] = FigureState.UNKNOWN
    return states


class Coverage(Struct, frozen=True, gc=False):
    """Of how many option legs that have not ended a figure is known, a bound, or neither."""

    known: int
    bound: int
    of: int

    @property
    def words(self) -> str:
        """As in "11 of 12 legs (1 bound)"."""
        legs = "leg" if self.of == 1 else "legs"
        return f"{self.known} of {self.of} {legs}" + (f" ({self.bound} bound)" if self.bound else "")


class GreekSum(Struct, frozen=True, gc=False):
    """A sum and what it covers; the amount is None where nothing of it is known."""

    amount: float | None
    coverage: Coverage
    missing: int  # lines that lack in the amount, shares without a price among them
    # By how much the true sum may be less and more, 0 or more: a bound of a leg lies between 0 and what is counted.
    below: float = 0.0
    above: float = 0.0

    @property
    def ends(self) -> tuple[float, float] | None:
        """Between what the true sum of these lies; None: no bound is in it, or nothing is known."""
        if self.amount is None or not self.coverage.bound:
            return None
        return self.amount - self.below, self.amount + self.above

    @property
    def is_whole(self) -> bool:
        """Whether nothing lacks and nothing is a bound."""
        return not self.missing and not self.coverage.bound

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Sums of different lines as one; the amount is None where nothing of any part is known."""
        known = [part.amount for part in parts if part.amount is not None]
        coverage = Coverage(
            sum(part.coverage.known for part in parts),
            sum(part.coverage.bound for part in parts),
            of=sum(part.coverage.of for part in parts),
        )
        missing = sum(part.missing for part in parts)
        amount = fsum(known) if known or not parts else None
        below, above = (
            (fsum(ends) for ends in zip(*((one.below, one.above) for one in parts), strict=True))
            if parts
            else (0.0, 0.0)
        )
        return cls(_said(amount, coverage, missing), coverage, missing, below, above)


def _said(amount: float | None, coverage: Coverage, missing: int) -> float | None:
    """The amount, unless it is only the nothing of shares or of what has ended, beside legs that are not known."""
    says_nothing = missing and not coverage.known + coverage.bound and not amount
    return None if says_nothing else amount


class GreekSums(Struct, frozen=True, gc=False):
    """One sum for each figure, in the units of `PositionGreeks`.

    Vegas of several expiries are points of several volatilities: show their sum only beside those of each expiry.
    """

    delta: GreekSum
    delta_dollars: GreekSum
    gamma: GreekSum
    gamma_percent: GreekSum
    vega: GreekSum
    theta: GreekSum
    rho: GreekSum


def sum_greeks(greeks: PositionGreeks) -> GreekSums:
    """The sums of all lines."""
    return GreekAdder(greeks).whole()


def sums_by(keys: Sequence[K], greeks: PositionGreeks) -> dict[K, GreekSums]:
    """The sums of the lines that share a key (structure, underlying, expiry …), in the order of first appearance."""
    return GreekAdder(greeks).by(keys)


class GreekAdder:
    """Adds up the same lines in several ways; lines that one way has added together are not added again."""

    def __init__(self, greeks: PositionGreeks) -> None:
        self._columns = _Columns.of(greeks)
        self._count = len(greeks.delta)
        self._known: dict[tuple[int, ...], GreekSums] = {}

    def whole(self) -> GreekSums:
        """As `sum_greeks`."""
        return self._of(tuple(range(self._count)))

    def by(self, keys: Sequence[K]) -> dict[K, GreekSums]:
        """As `sums_by`."""
        lines: defaultdict[K, list[int]] = defaultdict(list)
        for line, key in enumerate(keys):
            lines[key].append(line)
        return {key: self._of(tuple(of_key)) for key, of_key in lines.items()}

    def _of(self, lines: tuple[int, ...]) -> GreekSums:
        found = self._known.get(lines)
        if found is None:
            columns = self._columns
            found = self._known[lines] = (
                _of_one(columns, lines[0]) if len(lines) == 1 else _sums(columns, lines)
            )
        return found


@dataclass(frozen=True, slots=True)
class _Columns:
    """The lines as lists: with few lines to a sum, a loop is quicker than arrays are made."""

    figures: list[list[float]]  # in the order of `FIGURES`
    held: list[bool]
    counted: list[bool]
    bound: list[bool]  # of delta

    @classmethod
    def of(cls, greeks: PositionGreeks) -> Self:
        states = greeks.delta_state.tolist()
        return cls(
            [getattr(greeks, name).tolist() for name in FIGURES],
            greeks.is_held.tolist(),
            greeks.is_counted.tolist(),
            [state is FigureState.BOUND for state in states],
        )


def _of_one(columns: _Columns, line: int) -> GreekSums:
    """As `_sums`, of one line: most groups of a book of single legs are that."""
    of = int(columns.counted[line])
    if not columns.held[line]:
        return GreekSums(*[GreekSum(0.0, Coverage(0, 0, of), missing=0)] * len(FIGURES))
    unknown = GreekSum(None, Coverage(0, 0, of), missing=1)
    whole = Coverage(of, 0, of)
    of_delta = Coverage(0, of, of) if columns.bound[line] else whole
    return GreekSums(
        *(
            unknown
            if isnan(value := values[line])
            # A negative zero is none, as in any sum.
            else GreekSum(value + 0.0, of_delta, 0, *_room([value] if columns.bound[line] else []))
            if name in _OF_DELTA
            else GreekSum(value + 0.0, whole, missing=0)
            for name, values in zip(FIGURES, columns.figures, strict=True)
        )
    )


def _sums(columns: _Columns, lines: Sequence[int]) -> GreekSums:
    held = [line for line in lines if columns.held[line]]
    of = sum([columns.counted[line] for line in lines])
    counted = [line for line in held if columns.counted[line]]
    bounds = sum([columns.bound[line] for line in counted])
    whole, of_delta = Coverage(len(counted), 0, of), Coverage(len(counted) - bounds, bounds, of)
    found = []
    for name, values in zip(FIGURES, columns.figures, strict=True):
        is_delta = name in _OF_DELTA
        amount = fsum([values[line] for line in held])
        # Mostly all are known, and the sum has what is not known of any.
        found.append(
            _sum(values, held, columns.counted, columns.bound if is_delta else None, of)
            if isnan(amount)
            else GreekSum(
                amount, of_delta, 0, *_room([values[line] for line in counted if columns.bound[line]])
            )
            if is_delta
            else GreekSum(amount, whole, missing=0)
        )
    return GreekSums(*found)


def _room(bounds: Sequence[float]) -> tuple[float, float]:
    """By how much the truth may be less and more than the sum of these bounds."""
    return fsum([max(0.0, one) for one in bounds]), fsum([max(0.0, -one) for one in bounds])


_OF_DELTA: Final = ("delta", "delta_dollars")


def _sum(
    values: list[float], held: list[int], is_counted: list[bool], is_bound: list[bool] | None, of: int
) -> GreekSum:
    known = [line for line in held if not isnan(values[line])]
    counted = [line for line in known if is_counted[line]]
    bounds = 0 if is_bound is None else sum(is_bound[line] for line in counted)
    # Exact before it is rounded once: long and short of one leg leave nothing, whatever stands between them.
    amount = fsum([values[line] for line in known]) if known or not held else None
    coverage, missing = Coverage(len(counted) - bounds, bounds, of), len(held) - len(known)
    room = _room([] if is_bound is None else [values[line] for line in counted if is_bound[line]])
    return GreekSum(_said(amount, coverage, missing), coverage, missing, *room)
