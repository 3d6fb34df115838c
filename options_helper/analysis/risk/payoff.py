"""What lines that end together come to at their end: straight between the strikes, so exact, and without a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from options_helper.analysis.payoffs import NEVER, end_of, slope_of, worth_at_end
from options_helper.model.contract_symbols import short_date
from options_helper.model.portfolio import Instrument, PortfolioLine

_NOTHING: Final = Decimal(0)


class Stretch(NamedTuple):
    """Prices of the underlying, dollars per share; `above` None: there is no end to it."""

    below: Decimal
    above: Decimal | None


class _Segment(NamedTuple):
    """Between two kinks the payoff is straight; the last segment has no end."""

    low: Decimal
    high: Decimal | None
    worth: Decimal  # at `low`, dollars
    slope: Decimal  # dollars for each dollar of price

    def crosses(self, level: Decimal) -> Decimal | None:
        """The price inside it (its ends are kinks) at which it passes this worth; None where it does not."""
        if not self.slope:
            return None
        price = self.low + (level - self.worth) / self.slope
        return price if self.low < price and (self.high is None or price < self.high) else None


@dataclass(frozen=True, slots=True)
class Payoff:
    """Dollars at the end, of all lines together, by the price of the underlying; `paid` is not taken off."""

    kinks: tuple[tuple[Decimal, Decimal], ...]  # price and worth: at 0, and at each strike from the lowest
    rise: Decimal  # dollars for each dollar above the highest of them

    @property
    def least(self) -> Decimal | None:
        """The least it can come to, dollars; None where it falls without an end."""
        return min(worth for _, worth in self.kinks) if self.rise >= 0 else None

    @property
    def most(self) -> Decimal | None:
        """The most it can come to, dollars; None where it rises without an end."""
        return max(worth for _, worth in self.kinks) if self.rise <= 0 else None

    def at(self, price: Decimal) -> Decimal:
        """What it comes to at this price of the underlying (0 or more, dollars per share)."""
        segment = [one for one in self._segments() if one.low <= price][-1]
        return segment.worth + segment.slope * (price - segment.low)

    def break_evens(self, paid: Decimal) -> tuple[Decimal, ...]:
        """At which prices above 0 it comes to just what was paid; of a stretch at which it does, the two ends.

        Each is the root of a straight line, so it is exact as far as a fraction of cents can be written.
        """
        crossed = (segment.crosses(paid) for segment in self._segments())
        found = {price for price in (*crossed, *self._kinks_at(paid)) if price is not None and price > 0}
        return tuple(sorted(found))

    def stretches_from(self, level: Decimal) -> tuple[Stretch, ...]:
        """The prices at which it comes to this much or more, as stretches that do not touch."""
        joined: list[Stretch] = []
        for below, above in self._parts_from(level):
            if joined and joined[-1].above == below:
                joined[-1] = Stretch(joined[-1].below, above)
            else:
                joined.append(Stretch(below, above))
        return tuple(joined)

    def _parts_from(self, level: Decimal) -> Iterator[Stretch]:
        for segment in self._segments():
            root = segment.crosses(level)
            if root is not None:
                yield Stretch(root, segment.high) if segment.slope > 0 else Stretch(segment.low, root)
            elif segment.worth > level or (segment.worth == level and segment.slope >= 0):
                yield Stretch(segment.low, segment.high)

    def _kinks_at(self, level: Decimal) -> Iterator[Decimal]:
        """The kinks that lie at this worth, without those in the midst of a stretch that does."""
        slopes = [_NOTHING, *(segment.slope for segment in self._segments())]
        for (price, worth), before, after in zip(self.kinks, slopes, slopes[1:], strict=False):
            if worth == level and (before or after):
                yield price

    def _segments(self) -> Iterator[_Segment]:
        for (low, worth), (high, then) in pairwise(self.kinks):
            yield _Segment(low, high, worth, (then - worth) / (high - low))
        yield _Segment(self.kinks[-1][0], None, self.kinks[-1][1], self.rise)


@lru_cache(maxsize=4096)  # asked at each refresh, and lines never change
def payoff_of(lines: tuple[PortfolioLine, ...]) -> Payoff:
    """The payoff of lines that one price decides on; of others (see `why_no_payoff`) it is none."""
    strikes = {Decimal(str(line.instrument.strike)) for line in lines if line.instrument.strike is not None}
    prices = sorted({_NOTHING, *strikes})
    return Payoff(
        kinks=tuple(
            (price, sum((worth_at_end(line, price) for line in lines), _NOTHING)) for price in prices
        ),
        rise=sum((slope_of(line) for line in lines if line.instrument.option_type != "put"), _NOTHING),
    )


def why_no_payoff(lines: Sequence[PortfolioLine]) -> str | None:
    """In words, why no one price decides what these lines come to; None where one does."""
    if not lines:
        return "nothing is held"
    instruments = [line.instrument for line in lines]
    if unknown := unknown_deliveries(instruments):
        return unknown
    names = dict.fromkeys(one.underlying for one in instruments)
    if len(names) > 1:
        return f"it is over {len(names)} underlyings: {', '.join(names)}"
    ends = sorted({end_of(one) for one in instruments} - {NEVER})
    if len(ends) < 2:
        return None
    days = dict.fromkeys(end.day for end in ends)
    if len(days) == 1:
        return f"of {short_date(ends[0].day)} some is settled at the open, some at the close"
    return f"it ends on {len(days)} days: {', '.join(short_date(day) for day in days)}"


def unknown_deliveries(instruments: Iterable[Instrument]) -> str | None:
    """In words, which contracts deliver something that is not known; None where none does."""
    labels = dict.fromkeys(one.label for one in instruments if one.adjusted or one.multiplier is None)
    if not labels:
        return None
    verb = "is an adjusted contract" if len(labels) == 1 else "are adjusted contracts"
    return f"{', '.join(labels)} {verb}: the file does not say what is delivered"
