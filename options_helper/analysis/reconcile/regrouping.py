"""Group an account again and again without shuffling it: a structure that is still held stays that structure.

By rule alone, one more contract could put all the others together in another way; a row that somebody watches would be
gone, with its history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import chain, count
from math import gcd
from typing import Final

from options_helper.analysis.reconcile.grouping import group_entries
from options_helper.model.contract_symbols import plain_number, short_date
from options_helper.model.portfolio import (
    Leg,
    MultiLegPosition,
    PortfolioEntry,
    Position,
    ShareHolding,
    ShareLeg,
    Side,
)

Single = Position | ShareHolding
# An id may have 80 characters, some of which are kept for a number behind it.
_STEM_AT_MOST: Final = 72
# How much of each symbol one unit holds, with its sign.
_Ratio = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class _Structure:
    """So many units of a structure, under the id that they have, or had before."""

    identity: str
    ratio: _Ratio
    units: int


def regroup(entries: Sequence[Single], before: Iterable[PortfolioEntry] = ()) -> tuple[PortfolioEntry, ...]:
    """The same holdings in structures: first those of `before` as far as they are still held, then by rule.

    `entries` are of one symbol each, as `import_portfolio` makes them, and `before` is what this made of the holdings
    before. Each leg has the cost of its entry. More units of a structure are the same structure; its id follows from
    its kind and its legs, so that it is the same in another process.
    """
    by_symbol = {_symbol(entry): entry for entry in entries}
    left = {symbol: entry.lines[0].quantity for symbol, entry in by_symbol.items()}
    kept: list[_Structure] = []
    for entry in before:
        if isinstance(entry, MultiLegPosition) and (held := _still_held(entry, left)) is not None:
            _take(held, left)
            kept.append(held)
    rest = [_of_quantity(entry, left[symbol]) for symbol, entry in by_symbol.items() if left[symbol]]
    grouping = group_entries(rest)
    kinds = {proposal.entries[0]: proposal.kind.value for proposal in grouping.proposals}
    for entry in grouping.entries:
        if isinstance(entry, MultiLegPosition):
            new = _structure_of(entry, _identity(entry, kinds[entry.id]))
            _take(new, left)
            _add(new, kept)
    return _in_order(by_symbol, left, kept)


def _symbol(entry: Single) -> str:
    return entry.instrument.live_symbol


def _of_quantity(entry: Single, quantity: Decimal) -> Single:
    if isinstance(entry, ShareHolding):
        return entry.changed(shares=float(quantity))
    return entry.changed(contracts=int(quantity))


def _still_held(entry: MultiLegPosition, left: Mapping[str, Decimal]) -> _Structure | None:
    """As many of its units as are left of all legs, and no more than it had; None where it is none."""
    structure = _structure_of(entry, entry.id)
    # A leg that is held on the other side by now has a quotient below zero.
    of_legs = (int(left.get(symbol, Decimal()) / each) for symbol, each in structure.ratio)
    units = min(structure.units, *of_legs)
    return _Structure(entry.id, structure.ratio, units) if units > 0 else None


def _structure_of(entry: MultiLegPosition, identity: str) -> _Structure:
    units = gcd(*(leg.contracts for leg in entry.contract_legs))
    ratio = ((line.instrument.live_symbol, int(line.quantity) // units) for line in entry.lines)
    return _Structure(identity, tuple(ratio), units)


def _take(structure: _Structure, left: dict[str, Decimal]) -> None:
    for symbol, each in structure.ratio:
        left[symbol] -= each * structure.units


def _add(new: _Structure, kept: list[_Structure]) -> None:
    """More units of one that is there already, or one more; two of the same id and other ratios are numbered."""
    for index, one in enumerate(kept):
        if sorted(one.ratio) == sorted(new.ratio):
            kept[index] = _Structure(one.identity, one.ratio, one.units + new.units)
            return
    taken = {one.identity for one in kept}
    numbered = chain([new.identity], (f"{new.identity}-{number}" for number in count(2)))
    identity = next(one for one in numbered if one not in taken)
    kept.append(_Structure(identity, new.ratio, new.units))


def _identity(entry: MultiLegPosition, kind: str) -> str:
    """`spy-18dec26-iron-condor-640p-655p-705c-720c`; a leg that expires on another day names it."""
    first = entry.contract_legs[0].expiry
    words = [entry.symbol, _day(first), kind.replace(" ", "-")]
    for leg in entry.contract_legs:
        words.append(f"{plain_number(leg.strike)}{leg.option_type[0]}")
        if leg.expiry != first:
            words.append(_day(leg.expiry))
    return "-".join(words).lower()[:_STEM_AT_MOST]


def _day(expiry: date) -> str:
    return short_date(expiry).replace(" ", "")


def _in_order(
    by_symbol: Mapping[str, Single], left: Mapping[str, Decimal], structures: Iterable[_Structure]
) -> tuple[PortfolioEntry, ...]:
    """In the order of the entries, a structure at the place of its first part and before what is left of that."""
    places = {symbol: place for place, symbol in enumerate(by_symbol)}
    found: dict[int, list[PortfolioEntry]] = {place: [] for place in places.values()}
    for structure in structures:
        first = min(places[symbol] for symbol, _ in structure.ratio)
        found[first].append(_written(structure, by_symbol))
    for symbol, entry in by_symbol.items():
        if left[symbol]:
            found[places[symbol]].append(_of_quantity(entry, left[symbol]))
    return tuple(chain.from_iterable(found.values()))


def _written(structure: _Structure, by_symbol: Mapping[str, Single]) -> MultiLegPosition:
    parts = [(by_symbol[symbol], each * structure.units) for symbol, each in structure.ratio]
    symbol = next(entry.symbol for entry, _ in parts if isinstance(entry, Position))
    return MultiLegPosition(
        id=structure.identity, symbol=symbol, legs=tuple(_leg(entry, quantity) for entry, quantity in parts)
    )


def _leg(entry: Single, quantity: int) -> Leg | ShareLeg:
    side: Side = "long" if quantity > 0 else "short"
    if isinstance(entry, ShareHolding):
        return ShareLeg(side=side, shares=float(abs(quantity)), cost_basis=entry.cost_basis)
    return Leg(
        side=side,
        option_type=entry.option_type,
        expiry=entry.expiry,
        strike=entry.strike,
        contracts=abs(quantity),
        cost_basis=entry.cost_basis,
    )
