"""A book that somebody holds on a streams day, as the file has it, and what each line of it is worth by one quote."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.portfolio import (
    Leg,
    MultiLegPosition,
    Portfolio,
    PortfolioEntry,
    Position,
    ShareHolding,
    ShareLeg,
)
from tests.days.world.market import Made

CALL, PUT = "AAPL270115C00180000", "SPY270115P00500000"
UNSTREAMED: Final = "QQQ"


class Worth(NamedTuple):
    """What a quote is worth to who holds it, dollars for each share; None: nothing that anybody would say."""

    mark: float | None
    natural: float | None
    is_narrow: bool  # the middle of two sides near each other: nothing speaks against it but its age


NOTHING: Final = Worth(None, None, is_narrow=False)


@dataclass(frozen=True, slots=True)
class Line:
    """One contract or holding; short is negative."""

    symbol: str
    quantity: int
    cost: float | None  # dollars for each share

    @property
    def is_option(self) -> bool:
        """Whether it is a contract."""
        return len(self.symbol) > 9

    @property
    def dollars(self) -> int:
        """For each dollar of its price."""
        return self.quantity * (100 if self.is_option else 1)

    def worth(self, made: Made) -> Worth:
        """By this quote, as the page's own words have it."""
        side = made.bid if self.quantity > 0 else made.ask
        match made.kind:
            case "crossed":
                return NOTHING
            case "one side":
                return Worth(made.bid, made.bid if self.quantity > 0 else None, is_narrow=False)
            case "no size" | "too wide":
                return Worth(side, side, is_narrow=False)
            case "wide" if not self.is_option:
                return Worth(side, side, is_narrow=False)  # nobody quotes a share so
            case kind:
                return Worth((made.bid + made.ask) / 2, side, is_narrow=kind == "")


@dataclass(frozen=True, slots=True)
class Entry:
    """A position of the file: one line, or the legs of a structure."""

    name: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class HeldBook:
    """All of it, singles first, as the tables of the page have them."""

    entries: tuple[Entry, ...]

    @property
    def lines(self) -> Sequence[Line]:
        """Each single and each leg."""
        return [line for entry in self.entries for line in entry.lines]

    def portfolio(self) -> Portfolio:
        """The same as a file says it."""
        return Portfolio(cash=None, positions=tuple(map(_position, self.entries)))


def some_book(dice: random.Random) -> HeldBook:
    """Shares and contracts, long and short; a structure; on some days something without a cost, or a price."""
    return HeldBook(tuple(_entries(dice)))


def _entries(dice: random.Random) -> Iterator[Entry]:
    yield Entry("long shares", (Line("AAPL", 100, 50.0),))
    yield Entry("short shares", (Line("SPY", -10, 60.0),))
    yield Entry("puts", (Line(PUT, 2, 1.0),))
    if dice.random() < 0.4:
        yield Entry("given shares", (Line("MSFT", 5, None),))
    if dice.random() < 0.4:
        yield Entry("not streamed", (Line(UNSTREAMED, 10, 40.0),))
    # More shares than the call covers, so that it is worth something whatever the two are quoted at.
    yield Entry("covered", (Line("AAPL", 500, 50.0), Line(CALL, -1, 2.0)))


def _position(entry: Entry) -> PortfolioEntry:
    if len(entry.lines) > 1:
        return MultiLegPosition(id=entry.name, symbol="AAPL", legs=tuple(map(_leg, entry.lines)))
    (line,) = entry.lines
    if not line.is_option:
        return ShareHolding(
            id=entry.name, symbol=line.symbol, shares=float(line.quantity), cost_basis=line.cost
        )
    terms = parse_contract_symbol(line.symbol)
    return Position(
        id=entry.name,
        symbol=terms.underlying,
        option_type=terms.option_type,
        expiry=terms.expiry,
        strike=terms.strike,
        contracts=line.quantity,
        cost_basis=line.cost,
    )


def _leg(line: Line) -> Leg | ShareLeg:
    side: Literal["long", "short"] = "long" if line.quantity > 0 else "short"
    if not line.is_option:
        return ShareLeg(side=side, shares=float(abs(line.quantity)), cost_basis=line.cost)
    terms = parse_contract_symbol(line.symbol)
    return Leg(
        side=side,
        option_type=terms.option_type,
        expiry=terms.expiry,
        strike=terms.strike,
        contracts=abs(line.quantity),
        cost_basis=line.cost,
    )


def total_of(parts: Iterable[float | None]) -> float | None:
    """Their sum; None where one is not known."""
    known = list(parts)
    return None if None in known else sum(one for one in known if one is not None)
