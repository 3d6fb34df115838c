"""Propose which single contracts were probably opened together, by rules that can be named; every one is used once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import chain, combinations, count
from math import gcd
from typing import Any, Final, Protocol, TypeGuard, TypeVar

from options_helper.model.contract_symbols import short_date
from options_helper.model.portfolio import (
    STANDARD_MULTIPLIER,
    Leg,
    MultiLegPosition,
    PortfolioEntry,
    Position,
    ShareHolding,
)


class StructureKind(StrEnum):
    """Every structure that is known by a name."""

    IRON_BUTTERFLY = "iron butterfly"
    IRON_CONDOR = "iron condor"
    BUTTERFLY = "butterfly"
    CONDOR = "condor"
    VERTICAL = "vertical"
    CALENDAR = "calendar"
    COVERED_CALL = "covered call"
    STRADDLE = "straddle"
    STRANGLE = "strangle"
    DIAGONAL = "diagonal"

    @property
    def with_article(self) -> str:
        """The name with its article."""
        return f"{'an' if self.value.startswith('i') else 'a'} {self.value}"


_REASONS: Final[Mapping[StructureKind, str]] = {
    StructureKind.IRON_BUTTERFLY: "a put and a call vertical of one expiry meet at the middle strike",
    StructureKind.IRON_CONDOR: "a put vertical lies below a call vertical of the same expiry",
    StructureKind.BUTTERFLY: "two verticals of one expiry, equally wide, meet at the middle strike",
    StructureKind.CONDOR: "two verticals of one expiry, equally wide, one bought and one sold",
    StructureKind.VERTICAL: "one bought and one sold, of the same type and expiry",
    StructureKind.CALENDAR: "one bought and one sold, of the same type and strike",
    StructureKind.STRADDLE: "a call and a put of the same strike and expiry, both bought or both sold",
    StructureKind.STRANGLE: "a put below a call of the same expiry, both bought or both sold",
    StructureKind.DIAGONAL: "one sold against a later one bought, of the same type at another strike",
}

# An id may have 80 characters, some of which are kept for a number behind it.
_STEM_AT_MOST: Final = 72


@dataclass(frozen=True, slots=True)
class Proposal:
    """One structure that was recognised, and why."""

    kind: StructureKind
    entries: tuple[str, ...]  # the ids that hold it
    reason: str


@dataclass(frozen=True, slots=True)
class Grouping:
    """The same holdings, in structures where a rule fits."""

    entries: tuple[PortfolioEntry, ...]
    proposals: tuple[Proposal, ...]


class _Divisible(Protocol):
    left: int  # of what the rules take parts of; negative is short


@dataclass(slots=True, eq=False)
class _SingleLeg:
    """A position of the file in a single contract, with what no rule has taken of it yet."""

    index: int
    entry: Position
    left: int
    covered: int = 0  # of its calls, by shares; negative as they are

    @property
    def order(self) -> tuple[date, float, int, int]:
        """Near expiries first, low strikes first, a put before the call beside it."""
        return self.entry.expiry, self.entry.strike, self.entry.option_type != "put", self.index


@dataclass(slots=True, eq=False)
class _Vertical:
    """Two contracts of one type and expiry; negative when the lower strike is the one sold."""

    low: _SingleLeg
    high: _SingleLeg
    left: int

    def contracts(self, units: int) -> tuple[_Part, _Part]:
        """So many of it."""
        return (self.low, units), (self.high, -units)


_Part = tuple[_SingleLeg, int]  # so many, with their sign, of one contract
_Pair = tuple[_SingleLeg, _SingleLeg]
_T = TypeVar("_T", bound=_Divisible)


@dataclass(frozen=True, slots=True)
class _Found:
    """A structure before it is written down."""

    kind: StructureKind
    parts: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _PairRule:
    """What makes two contracts a structure. The first of two has the nearer expiry, then the lower strike."""

    alike: Callable[[Position], Any]
    fits: Callable[[_SingleLeg, _SingleLeg], bool]


_VERTICALS: Final = _PairRule(
    lambda one: (one.symbol, one.expiry, one.option_type),
    lambda low, high: _opposite(low, high) and low.entry.strike < high.entry.strike,
)
_CALENDARS: Final = _PairRule(
    lambda one: (one.symbol, one.option_type, one.strike),
    lambda near, far: _opposite(near, far) and near.entry.expiry < far.entry.expiry,
)
_STRADDLES: Final = _PairRule(
    lambda one: (one.symbol, one.expiry, one.strike),
    lambda put, call: not _opposite(put, call) and put.entry.option_type != call.entry.option_type,
)
_STRANGLES: Final = _PairRule(
    lambda one: (one.symbol, one.expiry),
    lambda put, call: (
        not _opposite(put, call)
        and (put.entry.option_type, call.entry.option_type) == ("put", "call")
        and put.entry.strike < call.entry.strike
    ),
)
_DIAGONALS: Final = _PairRule(
    lambda one: (one.symbol, one.option_type),
    lambda sold, bought: sold.left < 0 < bought.left and sold.entry.expiry < bought.entry.expiry,
)


def _opposite(one: _Divisible, other: _Divisible) -> bool:
    return (one.left < 0) != (other.left < 0)


def group_entries(entries: Sequence[PortfolioEntry]) -> Grouping:
    """Put single contracts together by rule; what is in a structure already, or fits no rule, stays as it is.

    The rules are tried in this order: verticals, and of two of them condors and butterflies; calendars, covered
    calls, straddles, strangles, diagonals. Each takes equal quantities before parts of larger ones, and near strikes
    and expiries before far ones. A contract without a cost stays single, because a structure has to name its net
    debit; so does an adjusted one. Shares and the calls that they cover stay entries of their own.
    """
    singles = [_SingleLeg(index, one, one.contracts) for index, one in enumerate(entries) if _is_plain(one)]
    priced = [leg for leg in singles if leg.entry.cost_basis is not None]
    found = [*_of_verticals(priced), *_of_pairs(StructureKind.CALENDAR, _CALENDARS, priced)]
    covers = list(_covers(entries, singles))
    found += _of_pairs(StructureKind.STRADDLE, _STRADDLES, priced)
    found += _of_pairs(StructureKind.STRANGLE, _STRANGLES, priced)
    found += _of_pairs(StructureKind.DIAGONAL, _DIAGONALS, priced)
    return _Writer(entries).write(singles, found, covers)


def structure_kind(structure: MultiLegPosition) -> StructureKind | None:
    """What a structure is called; None when no rule knows it as a whole."""
    if structure.has_shares or len({one.symbol for one in structure.instruments}) > 1:
        return None
    legs = [
        Position(
            id=str(index),
            symbol=structure.symbol,
            option_type=leg.option_type,
            expiry=leg.expiry,
            strike=leg.strike,
            contracts=leg.signed_contracts,
            cost_basis=0.0,
        )
        for index, leg in enumerate(structure.contract_legs)
    ]
    grouping = group_entries(legs)
    return grouping.proposals[0].kind if len(grouping.entries) == len(grouping.proposals) == 1 else None


def _is_plain(entry: PortfolioEntry) -> TypeGuard[Position]:
    if not isinstance(entry, Position) or entry.instrument.adjusted:
        return False
    return entry.instrument.multiplier == STANDARD_MULTIPLIER


def _pair_up(candidates: Sequence[tuple[_T, _T]]) -> Iterator[tuple[_T, int, _T, int]]:
    """Take from both as long as both have some, equal quantities first; what was taken has its sign."""
    for only_equal in (True, False):
        for one, other in candidates:
            units = min(abs(one.left), abs(other.left))
            if units and not (only_equal and abs(one.left) != abs(other.left)):
                yield one, _take(one, units), other, _take(other, units)


def _take(one: _Divisible, units: int) -> int:
    taken = units if one.left > 0 else -units
    one.left -= taken
    return taken


def _candidates(rule: _PairRule, singles: Iterable[_SingleLeg]) -> list[_Pair]:
    """All pairs that fit, the nearest first."""
    alike: dict[Any, list[_SingleLeg]] = defaultdict(list)
    for leg in sorted((leg for leg in singles if leg.left), key=lambda leg: leg.order):
        alike[rule.alike(leg.entry)].append(leg)
    pairs = chain.from_iterable(combinations(group, 2) for group in alike.values())
    return sorted((pair for pair in pairs if rule.fits(*pair)), key=_distance)


def _distance(pair: _Pair) -> tuple[Any, ...]:
    first, second = pair[0].entry, pair[1].entry
    apart = abs(_exact(second.strike) - _exact(first.strike))
    return (second.expiry - first.expiry).days, apart, pair[0].order, pair[1].order


def _of_pairs(kind: StructureKind, rule: _PairRule, singles: Sequence[_SingleLeg]) -> list[_Found]:
    paired = _pair_up(_candidates(rule, singles))
    return [_Found(kind, ((one, units), (other, of_other))) for one, units, other, of_other in paired]


def _of_verticals(singles: Sequence[_SingleLeg]) -> Iterator[_Found]:
    """Verticals, after two that belong together have been made one structure."""
    paired = _pair_up(_candidates(_VERTICALS, singles))
    verticals = [_Vertical(low, high, units) for low, units, high, _ in paired]
    doubles = [
        (kind, low, high)
        for low in verticals
        for high in verticals
        if (kind := _kind_of_two(low, high)) is not None
    ]
    for kind in StructureKind:
        alike = [(low, high) for found, low, high in doubles if found is kind]
        for low, of_low, high, of_high in _pair_up(sorted(alike, key=_gap)):
            yield _Found(kind, (*low.contracts(of_low), *high.contracts(of_high)))
    for one in verticals:
        if one.left:
            yield _Found(StructureKind.VERTICAL, one.contracts(one.left))


def _kind_of_two(low: _Vertical, high: _Vertical) -> StructureKind | None:
    """What two verticals are together, the second at higher strikes, one the mirror of the other."""
    below, above = low.high.entry, high.low.entry
    same_expiry = (below.symbol, below.expiry) == (above.symbol, above.expiry)
    if not same_expiry or not _opposite(low, high) or below.strike > above.strike:
        return None
    meet = below.strike == above.strike
    if (below.option_type, above.option_type) == ("put", "call"):
        return StructureKind.IRON_BUTTERFLY if meet else StructureKind.IRON_CONDOR
    if below.option_type != above.option_type or _width(low) != _width(high):
        return None
    return StructureKind.BUTTERFLY if meet else StructureKind.CONDOR


def _width(vertical: _Vertical) -> Decimal:
    return _exact(vertical.high.entry.strike) - _exact(vertical.low.entry.strike)


def _gap(pair: tuple[_Vertical, _Vertical]) -> tuple[Any, ...]:
    low, high = pair
    return _exact(high.low.entry.strike) - _exact(low.high.entry.strike), low.low.order, high.high.order


@dataclass(frozen=True, slots=True)
class _Cover:
    """Shares beside the short calls that they could be delivered to."""

    leg: _SingleLeg
    calls: int
    holdings: tuple[ShareHolding, ...]


def _covers(entries: Sequence[PortfolioEntry], singles: Sequence[_SingleLeg]) -> Iterator[_Cover]:
    """The short calls that shares cover, the nearest expiry first."""
    holdings: dict[str, list[ShareHolding]] = defaultdict(list)
    for entry in entries:
        if isinstance(entry, ShareHolding):
            holdings[entry.instrument.underlying].append(entry)
    free = {
        name: int(sum(_exact(one.shares) for one in held)) // STANDARD_MULTIPLIER
        for name, held in holdings.items()
    }
    for leg in sorted(singles, key=lambda leg: leg.order):
        underlying = leg.entry.instrument.underlying
        if leg.entry.option_type != "call" or leg.left >= 0 or free.get(underlying, 0) <= 0:
            continue
        calls = min(-leg.left, free[underlying])
        free[underlying] -= calls
        leg.covered = _take(leg, calls)
        yield _Cover(leg, calls, tuple(holdings[underlying]))


class _Writer:
    """Writes what was found as entries, each with an id of its own."""

    def __init__(self, entries: Sequence[PortfolioEntry]) -> None:
        self._entries = entries
        self._identities = {entry.id for entry in entries}

    def write(
        self, singles: Sequence[_SingleLeg], found: Sequence[_Found], covers: Sequence[_Cover]
    ) -> Grouping:
        """Everything in the order of the entries, a structure at the place of its first contract."""
        kept = {leg.index: self._single(leg) for leg in singles}
        written: dict[int, list[tuple[MultiLegPosition, Proposal]]] = defaultdict(list)
        for one in found:
            written[min(leg.index for leg, _ in one.parts)].append(self._structure(one))
        covering = {cover.leg.index: cover for cover in covers}
        entries: list[PortfolioEntry] = []
        proposals: list[Proposal] = []
        for index, entry in enumerate(self._entries):
            for structure, proposal in written[index]:
                entries.append(structure)
                proposals.append(proposal)
            single = kept.get(index, entry)
            if single is not None:
                entries.append(single)
            if index in covering and single is not None:
                proposals.append(_covered_call(covering[index], single))
        return Grouping(tuple(entries), tuple(proposals))

    def _single(self, leg: _SingleLeg) -> Position | None:
        """What no structure took of a contract."""
        contracts = leg.left + leg.covered
        if contracts == 0:
            return None
        named = f"{leg.entry.id}-covered-call" if leg.covered == contracts else leg.entry.id
        identity = named if named == leg.entry.id else self._new_identity(named)
        return leg.entry.changed(id=identity, contracts=contracts)

    def _structure(self, found: _Found) -> tuple[MultiLegPosition, Proposal]:
        parts = sorted(found.parts, key=lambda part: part[0].order)
        first = parts[0][0].entry
        day = short_date(first.expiry).replace(" ", "")
        opened = {leg.entry.opened_at for leg, _ in parts}
        structure = MultiLegPosition(
            id=self._new_identity(f"{first.symbol}-{day}-{found.kind.replace(' ', '-')}".lower()),
            symbol=first.symbol,
            net_debit=float(sum((_cost(leg, units) for leg, units in parts), Decimal(0))),
            opened_at=opened.pop() if len(opened) == 1 else None,
            legs=tuple(_legs(parts)),
        )
        many = gcd(*(leg.contracts for leg in structure.contract_legs))
        reason = f"{many} × {structure.label} is {found.kind.with_article}: {_REASONS[found.kind]}."
        return structure, Proposal(found.kind, (structure.id,), reason)

    def _new_identity(self, wanted: str) -> str:
        stem = wanted[:_STEM_AT_MOST]
        numbered = chain([stem], (f"{stem}-{number}" for number in count(2)))
        identity = next(one for one in numbered if one not in self._identities)
        self._identities.add(identity)
        return identity


def _cost(leg: _SingleLeg, units: int) -> Decimal:
    return units * _exact(leg.entry.cost_basis or 0) * STANDARD_MULTIPLIER


def _legs(parts: Iterable[_Part]) -> Iterator[Leg]:
    """One leg for each contract; two verticals may share one."""
    together: dict[str, tuple[Position, int]] = {}
    for leg, units in parts:
        symbol = leg.entry.instrument.live_symbol
        together[symbol] = leg.entry, together.get(symbol, (leg.entry, 0))[1] + units
    for entry, units in together.values():
        yield Leg(
            side="long" if units > 0 else "short",
            option_type=entry.option_type,
            expiry=entry.expiry,
            strike=entry.strike,
            contracts=abs(units),
        )


def _covered_call(cover: _Cover, call: PortfolioEntry) -> Proposal:
    kind = StructureKind.COVERED_CALL
    shares = f"{cover.calls * STANDARD_MULTIPLIER} {cover.leg.entry.symbol} shares"
    reason = f"{cover.calls} × {cover.leg.entry.instrument.label} is {kind.with_article}: {shares} could be delivered."
    return Proposal(kind, (*(holding.id for holding in cover.holdings), call.id), reason)


def _exact(value: float) -> Decimal:
    return Decimal(str(value))
