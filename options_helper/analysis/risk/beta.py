"""How much a share moves with an index, from daily closes, and what a book comes to in shares of that index.

The beta is the slope of a least-squares line through daily log returns (share on index), over the newest 252 sessions
that both have. It describes the year past. One that is not known is named and never taken for 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise
from math import fsum, isfinite, log
from typing import Final, NamedTuple

SESSIONS: Final = 252  # about a year
AT_LEAST: Final = 60  # returns; fewer say nothing that one could rely on
_WEAK: Final = 0.1  # of R²: the index explains less than a tenth of the share's moves


class BetaSource(StrEnum):
    """Where a beta is from."""

    DAILY_CLOSES = "daily closes"
    OWN = "own"  # from the user's file
    INDEX = "index"  # of the index itself: 1, by definition
    FUND = "fund"  # of another index, which the fund follows that betas are measured against: 1 too


@dataclass(frozen=True, slots=True)
class Beta:
    """The beta of one share on one index, with what it rests on; without a value, the reason."""

    value: float | None
    source: BetaSource | None = None
    returns: int = 0  # how many daily returns
    first: date | None = None  # the sessions between which they lie
    last: date | None = None
    r_squared: float | None = None  # the part of the share's moves that the index explains, 0 to 1
    reason: str = ""  # in words, why there is no value
    fund: str | None = None  # an index has no closes, so these are of the fund that follows it

    @property
    def is_weak(self) -> bool:
        """Whether the index explains so little that the beta says nearly nothing."""
        return self.r_squared is not None and self.r_squared < _WEAK

    @property
    def words(self) -> str:
        """All of it in a line: "1.21 (252 days to 2026-11-27, R² 0.46)"."""
        if self.value is None:
            return f"not known: {self.reason}"
        whose = "" if self.fund is None else f"of {self.fund}, which follows it"
        if self.r_squared is None:
            return f"{self.value:.2f} ({whose or self.source})"
        weak = ", weak" if self.is_weak else ""
        by = whose and f"{whose}: "
        return f"{self.value:.2f} ({by}{self.returns} days to {self.last}, R² {self.r_squared:.2f}{weak})"


class DeltaDollars(NamedTuple):
    """One leg, or shares."""

    label: str  # what a person calls it
    underlying: str
    dollars: float | None  # position delta times the underlying's price; None: not known
    is_bound: bool = False  # its delta lies between 0 and that


@dataclass(frozen=True, slots=True)
class BetaWeighted:
    """A book as if it were shares of the index, with how many of its legs are counted."""

    index: str
    shares: float | None  # of the index; None where no leg of some is counted, or the index has no price
    dollars_per_percent: (
        float | None
    )  # gained when the index rises by 1 %; None where no leg of some is counted
    counted: int
    of: int
    missing: tuple[str, ...]  # sentences: which legs are not counted, and why; one for all that lack the same
    bounds: tuple[str, ...] = ()  # labels of those that are counted with a bound of their delta
    # Between what the truth lies, where a bound is in it: each lies between 0 and what is counted.
    share_ends: tuple[float, float] | None = None
    dollar_ends: tuple[float, float] | None = None  # for 1 %

    @property
    def complete(self) -> bool:
        """Whether every leg is counted."""
        return self.counted == self.of


def beta_of(
    symbol: str,
    closes: Mapping[date, float],
    index: str,
    index_closes: Mapping[date, float],
    own: Mapping[str, float] | None = None,
    *,
    fund: str | None = None,
) -> Beta:
    """The beta of a share; what the user wrote himself (`own`, by symbol) goes before what closes say.

    Of an index the `closes` are those of the `fund` that follows it. Closes are dollars by session, all of finished
    sessions and adjusted for splits: a split is no return.
    """
    if own is not None and symbol in own:
        return Beta(own[symbol], BetaSource.OWN)
    if symbol == index:
        return Beta(1.0, BetaSource.INDEX)
    if fund == index:
        return Beta(1.0, BetaSource.FUND, fund=fund)
    days = [day for day in sorted(closes) if _is_price(closes[day]) and _is_price(index_closes.get(day))]
    days = days[-SESSIONS - 1 :]
    returns = len(days) - 1
    if returns < AT_LEAST:
        both = f"{fund or symbol} and {index} have {max(returns, 0)} daily returns in common"
        return Beta(None, returns=max(returns, 0), reason=f"{both}, {AT_LEAST} are needed")
    slope = _slope(_returns(index_closes, days), _returns(closes, days))
    if slope is None:
        return Beta(None, returns=returns, reason=f"the closes of {index} do not move")
    return Beta(slope.value, BetaSource.DAILY_CLOSES, returns, days[0], days[-1], slope.r_squared, fund=fund)


def beta_weighted(
    legs: Iterable[DeltaDollars], betas: Mapping[str, Beta], index: str, index_price: float | None
) -> BetaWeighted:
    """Sum what each leg gains with the index; a leg without delta or beta is named and not counted.

    Shares are Σ delta · S · beta / S of the index, dollars for 1 % are 0.01 · Σ delta · S · beta.
    """
    held = list(legs)
    weighted: list[float] = []
    of_bounds: list[float] = []
    bounds: list[str] = []
    # Labels by what is said of them; of a contract that several lines have, once.
    missing: dict[str, dict[str, None]] = {}
    for leg in held:
        beta = betas.get(leg.underlying)
        if leg.dollars is None or not isfinite(leg.dollars):
            missing.setdefault("its delta is not known", {})[leg.label] = None
        elif beta is None or beta.value is None:
            reason = "nobody has asked for it" if beta is None else beta.reason
            missing.setdefault(f"the beta of {leg.underlying} is not known ({reason})", {})[leg.label] = None
        else:
            weighted.append(leg.dollars * beta.value)
            if leg.is_bound:
                bounds.append(leg.label)
                of_bounds.append(weighted[-1])
    # Of nothing at all the sum is known.
    total = fsum(weighted) if weighted or not held else None
    has_price = index_price is not None and _is_price(index_price)
    ends = None
    if total is not None and bounds:
        ends = (
            total - fsum([max(0.0, one) for one in of_bounds]),
            total + fsum([max(0.0, -one) for one in of_bounds]),
        )
    return BetaWeighted(
        index=index,
        shares=total / index_price if total is not None and index_price and has_price else None,
        dollars_per_percent=None if total is None else 0.01 * total,
        counted=len(weighted),
        of=len(held),
        missing=tuple(_of_labels(list(labels), words) for words, labels in missing.items()),
        bounds=tuple(dict.fromkeys(bounds)),
        share_ends=(
            (ends[0] / index_price, ends[1] / index_price)
            if ends is not None and index_price and has_price
            else None
        ),
        dollar_ends=None if ends is None else (0.01 * ends[0], 0.01 * ends[1]),
    )


def _of_labels(labels: Sequence[str], words: str) -> str:
    return f"{', '.join(labels)}: {words if len(labels) == 1 else words.replace('its delta', 'their delta')}"


class _Slope(NamedTuple):
    value: float
    r_squared: float


def _slope(xs: Sequence[float], ys: Sequence[float]) -> _Slope | None:
    """The least-squares line through the points; None where x does not move."""
    mean_x, mean_y = fsum(xs) / len(xs), fsum(ys) / len(ys)
    around_x, around_y = [x - mean_x for x in xs], [y - mean_y for y in ys]
    of_x, of_y = fsum(x * x for x in around_x), fsum(y * y for y in around_y)
    both = fsum(x * y for x, y in zip(around_x, around_y, strict=True))
    if of_x <= 0:
        return None
    return _Slope(both / of_x, both * both / (of_x * of_y) if of_y > 0 else 0.0)


def _returns(closes: Mapping[date, float], days: Sequence[date]) -> list[float]:
    return [log(closes[day] / closes[before]) for before, day in pairwise(days)]


def _is_price(value: float | None) -> bool:
    return value is not None and isfinite(value) and value > 0
