"""Propose which single contracts were probably opened together, by rules that can be named; every one is used once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import chain, combinations, count
from math import gcd
from typing import Any, Final, Protocol, TypeGuard, TypeVar

from options_helper.analysis.structure_kinds import StructureKind
from options_helper.model.contract_symbols import STANDARD_MULTIPLIER, short_date
from options_helper.model.portfolio import (
    Leg,
    MultiLegPosition,
    PortfolioEntry,
    Position,
    ShareHolding,
    ShareLeg,
)

_REASONS: Final[Mapping[StructureKind, str]] = {
    StructureKind.IRON_BUTTERFLY: "a put and a call vertical of one expiry meet at the middle strike",
    StructureKind.IRON_CONDOR: "a put vertical lies below a call vertical of the same expiry",
    StructureKind.BUTTERFLY: "two verticals of one expiry, equally wide, meet at the middle strike",
    StructureKind.CONDOR: "two verticals of one expiry, equally wide, one bought and one sold",
    StructureKind.VERTICAL: "one bought and one sold, of the same type and expiry",
    StructureKind.CALENDAR: "one bought and one sold, of the same type and strike",
    StructureKind.COLLAR: "the shares could be delivered to the call, and the put protects them",
    StructureKind.COVERED_CALL: "the shares could be delivered",
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

    @property
    def order(self) -> tuple[date, float, int, int]:
        """Near expiries first, low strikes first, a put before the call beside it."""
        return self.entry.expiry, self.entry.strike, self.entry.option_type != "put", self.index


@dataclass(slots=True, eq=False)
class _Holding:
    """Shares of the file, with what no rule has taken of them yet."""

    index: int
    entry: ShareHolding
    left: Decimal = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.entry.lines[0].quantity


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
    shares: tuple[_Holding, int] | None = None

    @property
    def index(self) -> int:
        """The place of the first entry that is part of it."""
        places = [leg.index for leg, _ in self.parts]
        return min([*places, self.shares[0].index] if self.shares else places)


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

    The rules are tried in this order: verticals, and of two of them condors and butterflies; calendars, collars and
    covered calls, straddles, strangles, diagonals. Each takes equal quantities before parts of larger ones, and near
    strikes and expiries before far ones. Contracts and shares whose cost is known are put together, and those whose
    cost is not; each leg keeps its own. An adjusted contract stays single, and so does what has lots, gains or fees
    of its own.
    """
    singles = [_SingleLeg(index, one, one.contracts) for index, one in enumerate(entries) if _is_plain(one)]
    found = [*_of_verticals(singles), *_of_pairs(StructureKind.CALENDAR, _CALENDARS, singles)]
    holdings = [
        _Holding(index, one)
        for index, one in enumerate(entries)
        if isinstance(one, ShareHolding) and not _has_more_to_say(one)
    ]
    found += _covered(holdings, singles)
    found += _of_pairs(StructureKind.STRADDLE, _STRADDLES, singles)
    found += _of_pairs(StructureKind.STRANGLE, _STRANGLES, singles)
    found += _of_pairs(StructureKind.DIAGONAL, _DIAGONALS, singles)
    return _Writer(entries).write(singles, holdings, found)


def _is_plain(entry: PortfolioEntry) -> TypeGuard[Position]:
    if not isinstance(entry, Position) or entry.instrument.adjusted or _has_more_to_say(entry):
        return False
    return entry.instrument.multiplier == STANDARD_MULTIPLIER


def _has_more_to_say(entry: Position | ShareHolding) -> bool:
    """Whether it has lots, gains or fees, which nobody could divide."""
    return entry.lots is not None or entry.carried is not None


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
        # Beside a leg of unknown cost the profit of a known one would be lost.
        alike[rule.alike(leg.entry), leg.entry.cost_basis is None].append(leg)
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


def _covered(holdings: Sequence[_Holding], singles: Sequence[_SingleLeg]) -> Iterator[_Found]:
    """The short calls that shares cover, the nearest expiry first; with a long put of that expiry, a collar."""
    for leg in sorted(singles, key=lambda leg: leg.order):
        for holding in holdings:
            while calls := _coverable(holding, leg):
                # The nearest below the call, wherever it stands in the file.
                put = max(
                    (one for one in singles if _protects(one, leg)), key=lambda one: one.order, default=None
                )
                units = calls if put is None else min(calls, put.left)
                parts = [(leg, _take(leg, units)), *([] if put is None else [(put, _take(put, units))])]
                kind = StructureKind.COVERED_CALL if put is None else StructureKind.COLLAR
                shares = units * STANDARD_MULTIPLIER
                holding.left -= shares
                yield _Found(kind, tuple(parts), (holding, shares))


def _coverable(holding: _Holding, leg: _SingleLeg) -> int:
    """How many of these calls the shares could be delivered to."""
    one = leg.entry
    fits = one.instrument.underlying == holding.entry.instrument.underlying and one.option_type == "call"
    if not fits or leg.left >= 0 or (one.cost_basis is None) != (holding.entry.cost_basis is None):
        return 0
    return max(0, min(-leg.left, int(holding.left // STANDARD_MULTIPLIER)))


def _protects(put: _SingleLeg, call: _SingleLeg) -> bool:
    one, other = put.entry, call.entry
    alike = (one.symbol, one.expiry) == (other.symbol, other.expiry)
    known = (one.cost_basis is None) == (other.cost_basis is None)
    return alike and known and one.option_type == "put" and put.left > 0 and one.strike < other.strike


class _Writer:
    """Writes what was found as entries, each with an id of its own."""

    def __init__(self, entries: Sequence[PortfolioEntry]) -> None:
        self._entries = entries
        self._identities = {entry.id for entry in entries}

    def write(
        self, singles: Sequence[_SingleLeg], holdings: Sequence[_Holding], found: Sequence[_Found]
    ) -> Grouping:
        """Everything in the order of the entries, a structure at the place of its first part."""
        kept: dict[int, PortfolioEntry | None] = {leg.index: _rest_of_contract(leg) for leg in singles}
        kept |= {holding.index: _rest_of_shares(holding) for holding in holdings}
        written: dict[int, list[tuple[MultiLegPosition, Proposal]]] = defaultdict(list)
        for one in found:
            written[one.index].append(self._structure(one))
        entries: list[PortfolioEntry] = []
        proposals: list[Proposal] = []
        for index, entry in enumerate(self._entries):
            for structure, proposal in written[index]:
                entries.append(structure)
                proposals.append(proposal)
            if (rest := kept.get(index, entry)) is not None:
                entries.append(rest)
        return Grouping(tuple(entries), tuple(proposals))

    def _structure(self, found: _Found) -> tuple[MultiLegPosition, Proposal]:
        parts = sorted(found.parts, key=lambda part: part[0].order)
        first = parts[0][0].entry
        day = short_date(first.expiry).replace(" ", "")
        opened = {leg.entry.opened_at for leg, _ in parts}
        structure = MultiLegPosition(
            id=self._new_identity(f"{first.symbol}-{day}-{found.kind.replace(' ', '-')}".lower()),
            symbol=first.symbol,
            opened_at=opened.pop() if len(opened) == 1 else None,
            legs=(*_share_legs(found), *_legs(parts)),
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


def _rest_of_contract(leg: _SingleLeg) -> Position | None:
    """What no structure took of a contract."""
    return leg.entry.changed(contracts=leg.left) if leg.left else None


def _rest_of_shares(holding: _Holding) -> ShareHolding | None:
    return holding.entry.changed(shares=float(holding.left)) if holding.left else None


def _share_legs(found: _Found) -> Iterator[ShareLeg]:
    if found.shares is None:
        return
    holding, count = found.shares
    yield ShareLeg(side="long", shares=float(count), cost_basis=holding.entry.cost_basis)


def _legs(parts: Iterable[_Part]) -> Iterator[Leg]:
    """One leg for each contract at its cost; two verticals may share one."""
    together: dict[tuple[str, float | None], tuple[Position, int]] = {}
    for leg, units in parts:
        key = leg.entry.instrument.live_symbol, leg.entry.cost_basis
        together[key] = leg.entry, together.get(key, (leg.entry, 0))[1] + units
    for entry, units in together.values():
        yield Leg(
            side="long" if units > 0 else "short",
            option_type=entry.option_type,
            expiry=entry.expiry,
            strike=entry.strike,
            contracts=abs(units),
            cost_basis=entry.cost_basis,
        )


def _exact(value: float) -> Decimal:
    return Decimal(str(value))
