"""Say what to change in a portfolio file so that it holds what the account holds; the change is the user's to make."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain, count
from types import MappingProxyType
from typing import Any, Final, assert_never

from options_helper.analysis.reconcile.account_import import (
    NotImportableError,
    contract_identity,
    entry_of,
    entry_text,
    multiplier_of,
    opening_cost,
    opening_price,
)
from options_helper.analysis.reconcile.entry_names import fits
from options_helper.analysis.reconcile.openings import new_entries, opened_since, rolls
from options_helper.analysis.structure_kinds import structure_kind
from options_helper.model.account import AccountPosition, AccountPositions
from options_helper.model.contract_symbols import STANDARD_MULTIPLIER, parse_contract_symbol, short_date
from options_helper.model.portfolio import (
    COST_TOLERANCE,
    Instrument,
    Leg,
    MultiLegPosition,
    Portfolio,
    PortfolioEntry,
    PortfolioLine,
    Position,
    ShareHolding,
    ShareLeg,
    Side,
    lots_after,
    lots_through_split,
)
from options_helper.model.text import format_holding, format_price

# Of a cost: a roll or a part that was closed may be in it, and Alpaca's would erase that.
UNLESS_MEANT: Final = (
    "Keep the file's cost if it carries what closed parts brought or cost, or "
    "name that as realized. Otherwise:"
)


@dataclass(frozen=True, slots=True)
class Advice:
    """One change of the file."""

    sentence: str
    entry: str | None = None  # the entry that the sentence speaks of, as JSON to copy

    def unless_meant(self) -> Advice:
        """The same, of a cost that the file may name on purpose; nothing where there is nothing to change."""
        return self if self.entry is None else replace(self, sentence=f"{UNLESS_MEANT} {self.sentence}")


@dataclass(frozen=True, slots=True)
class Lot:
    """What one entry holds of one instrument."""

    entry: PortfolioEntry
    line: PortfolioLine

    @property
    def instrument(self) -> Instrument:
        """What it is in."""
        return self.line.instrument

    @property
    def names_cost(self) -> bool:
        """Whether the file says what it cost, by itself or with the rest of its structure."""
        if isinstance(self.entry, MultiLegPosition) and self.entry.net_debit is not None:
            return True
        return self.line.cost_basis is not None


def lots_by_symbol(portfolio: Portfolio) -> dict[str, list[Lot]]:
    """Everything the file holds, by Alpaca's symbol, in the order of the file."""
    found: dict[str, list[Lot]] = {}
    for entry in portfolio.positions:
        for line in entry.lines:
            found.setdefault(line.instrument.live_symbol, []).append(Lot(entry, line))
    return found


class FileEdits:
    """What to change in this file so that it holds what this account holds."""

    def __init__(
        self,
        portfolio: Portfolio,
        lots: Mapping[str, Sequence[Lot]],
        view: AccountPositions,
        successors: Mapping[str, str] = MappingProxyType({}),
        *,
        split: Collection[str] = (),
        over: Collection[str] = (),
    ) -> None:
        self._identities = {entry.id for entry in portfolio.positions}
        self._renamed: dict[str, str] = {}
        self._lots = lots
        self._positions = view.positions
        self._left_out = view.left_out
        # Neither of the file nor of a corporate action.
        opened = opened_since(
            position
            for symbol, position in view.positions.items()
            # What has ended is not worth an entry: the account lists it until it has booked the end.
            if symbol not in lots and symbol not in successors.values() and symbol not in over
        )
        gone = lots.keys() - view.positions.keys() - view.left_out - successors.keys()
        shared = {symbol for symbol in lots if len(self.holders(symbol)) > 1}
        self._rolled = rolls(portfolio.structures, gone - shared, opened)
        # What a corporate action made of a symbol, or what it was rolled to.
        self._successors = {**successors, **self._rolled}
        self._split = split  # symbols of the file that were split
        self._predecessors = {now: old for old, now in self._successors.items()}
        self._new_entries = new_entries(
            [one for one in opened if one.instrument.live_symbol not in self._predecessors]
        )
        self._new_ids: dict[str, str] = {}

    def for_symbol(self, symbol: str) -> Advice:
        """The change for one contract or share."""
        holders = self.holders(symbol)
        if not holders and symbol in self._predecessors:
            return self.for_symbol(self._predecessors[symbol])
        if not holders:
            return self._addition(self._positions[symbol])
        if len(holders) > 1:
            return Advice(f"Change {format_ids(holders)} so that together they hold {self._held(symbol)}.")
        return self.for_entry(holders[0])

    def _held(self, symbol: str) -> str:
        """What the account holds of it, as a sentence ends."""
        position = self._position(symbol)
        label = next(lot.instrument.label for lot in self._lots[symbol])
        if position is None:
            return f"no {label}"
        if position.symbol != symbol:
            label = format_holding(position.symbol)
        price = "" if position.average_price is None else f" at {format_price(position.average_price)}"
        return f"{position.quantity.normalize():f} {label}{price}"

    def _position(self, symbol: str) -> AccountPosition | None:
        """What the account holds of it, or of what became of it."""
        found = self._positions.get(symbol)
        return self._positions.get(self._successors.get(symbol, "")) if found is None else found

    def holders(self, symbol: str) -> list[PortfolioEntry]:
        """The entries of the file that hold it."""
        return list({lot.entry.id: lot.entry for lot in self._lots.get(symbol, ())}.values())

    def for_entry(self, entry: PortfolioEntry) -> Advice:
        """The change of one entry."""
        match entry:
            case Position() | ShareHolding():
                position = self._position(entry.instrument.live_symbol)
                if position is None:
                    return _removal(entry)
                if entry.lots and position.quantity == entry.lines[0].quantity:
                    return _lots_by_hand(entry, opening_cost(position, entry.instrument.multiplier))
                return self._replacement(
                    entry, _as_held(entry, position, was_split=entry.instrument.live_symbol in self._split)
                )
            case MultiLegPosition():
                return self._structure(entry)
            case _:
                assert_never(entry)

    def _addition(self, position: AccountPosition) -> Advice:
        entry = self._new_entries.get(position.symbol)
        if entry is None:
            try:
                entry = entry_of(position)
            except NotImportableError as error:
                return Advice(str(error))
        kind = structure_kind(entry) if isinstance(entry, MultiLegPosition) else None
        what = f"this entry, {kind.with_article}" if kind else "this entry"
        # Each of its legs has a row, and all of them say the same.
        if entry.id not in self._new_ids:
            self._new_ids[entry.id] = self._new_id(entry.id)
            self._identities.add(self._new_ids[entry.id])
        return Advice(f"Add {what}:", entry_text(entry.changed(id=self._new_ids[entry.id])))

    def _new_id(self, wanted: str) -> str:
        return next(
            identity
            for identity in chain([wanted], (f"{wanted}-{number}" for number in count(2)))
            if identity not in self._identities
        )

    def _structure(self, entry: MultiLegPosition) -> Advice:
        instruments = {instrument.live_symbol: instrument for instrument in entry.instruments}
        shared = [one.label for symbol, one in instruments.items() if len(self.holders(symbol)) > 1]
        if shared:
            return Advice(f"Change '{entry.id}' by hand: another entry holds {', '.join(shared)} too.")
        unread = [one.label for symbol, one in instruments.items() if symbol in self._left_out]
        if unread:
            return Advice(
                f"Change '{entry.id}' by hand: the account's row of {', '.join(unread)} cannot be read."
            )
        legs = {
            one.live_symbol: leg for one, leg in reversed([*zip(entry.instruments, entry.legs, strict=True)])
        }
        held = {symbol: one for symbol in instruments if (one := self._position(symbol)) is not None}
        if not held:
            return _removal(entry)
        if len(held) == 1:
            ((symbol, position),) = held.items()
            return self._replacement(entry, _single(entry, legs[symbol], instruments[symbol], position))
        names_debit = entry.net_debit is not None
        kept = [_leg_as_held(legs[one], instruments[one], held[one], named=not names_debit) for one in held]
        costs = [opening_cost(position, instruments[one].multiplier) for one, position in held.items()]
        known = [cost for cost in costs if cost is not None]
        if names_debit and len(known) < len(costs):
            return Advice(f"Change '{entry.id}' by hand: the account does not say what its legs cost.")
        # What follows from the costs of all legs is not said twice.
        in_legs = all(leg.cost_basis is not None for leg in kept)
        net_debit = float(sum(known)) if names_debit and not in_legs else None
        return self._replacement(entry, _with_legs(entry, kept, net_debit))

    def _replacement(self, entry: PortfolioEntry, changed: PortfolioEntry) -> Advice:
        if changed == entry:
            return Advice(
                f"Leave the entry '{entry.id}' as it is: its price is the account's, "
                "and the account's total does not follow from that price."
            )
        if fits(entry.id, entry) and not fits(entry.id, changed):
            if entry.id not in self._renamed:
                self._renamed[entry.id] = self._new_id(_fitting_id(changed))
                self._identities.add(self._renamed[entry.id])
            changed = changed.changed(id=self._renamed[entry.id])
        rolled = any(one.live_symbol in self._rolled for one in entry.instruments)
        note = ", which was rolled (what the closed part brought belongs into realized)," if rolled else ""
        return Advice(f"Replace the entry '{entry.id}'{note} by:", entry_text(changed))


def format_ids(entries: Iterable[PortfolioEntry]) -> str:
    """Entries as a sentence names them: "'a', 'b' and 'c'"."""
    *others, last = (f"'{entry.id}'" for entry in entries)
    return f"{', '.join(others)} and {last}" if others else last


def _removal(entry: PortfolioEntry) -> Advice:
    return Advice(f"Remove the entry '{entry.id}'.")


def _fitting_id(entry: PortfolioEntry) -> str:
    """An id that says what an entry holds, as import gives it."""
    match entry:
        case Position():
            return contract_identity(entry.symbol, parse_contract_symbol(entry.instrument.live_symbol))
        case ShareHolding():
            return f"{entry.symbol}-shares".lower()
        case MultiLegPosition():
            day = (
                f"{short_date(entry.contract_legs[0].expiry)}-".replace(" ", "")
                if entry.contract_legs
                else ""
            )
            return f"{entry.symbol}-{day}{structure_kind(entry) or 'structure'}".replace(" ", "-").lower()
        case _:
            assert_never(entry)


def _as_held(
    entry: Position | ShareHolding, position: AccountPosition, *, was_split: bool
) -> Position | ShareHolding:
    """The entry with the account's quantity and cost; what else it says stays, as far as it can still be true."""
    became = position.symbol != entry.instrument.live_symbol
    if became:
        entry = _become(entry, position)
    price = opening_price(position, entry.instrument.multiplier)
    turned = (entry.lines[0].quantity > 0) != (position.quantity > 0)
    fields: dict[str, Any] = {"cost_basis": _float(price)}
    if entry.lots:
        # Where a split has not simply multiplied them, nobody says what became of each lot.
        lots = lots_through_split(entry, position.quantity, price) if was_split and not turned else ()
        if not lots and not (turned or became):
            lots = lots_after(entry, position.quantity, price)
        fields = {"lots": lots} if lots else {"lots": None, **fields}
    if entry.opened_at is not None and turned:
        fields["opened_at"] = None
    if isinstance(entry, ShareHolding):
        return entry.changed(shares=float(position.quantity), **fields)
    multiplier = other_multiplier(entry, position) or entry.multiplier
    return entry.changed(contracts=int(position.quantity), multiplier=multiplier, **fields)


def _as_written(in_file: float | None, price: Decimal | None) -> float | None:
    """The account's price, or the file's where both are the same but for rounding."""
    if price is None or in_file is None:
        return _float(price)
    return in_file if abs(Decimal(str(in_file)) - price) <= COST_TOLERANCE else float(price)


def _float(price: Decimal | None) -> float | None:
    return None if price is None else float(price)


def _lots_by_hand(entry: PortfolioEntry, cost: Decimal | None) -> Advice:
    said = (
        "the account does not say what they cost" if cost is None else f"by the account they cost {cost:,.2f}"
    )
    return Advice(f"Change the lots of '{entry.id}' by hand: {said} together.")


def _become(entry: Position | ShareHolding, position: AccountPosition) -> Position | ShareHolding:
    """The entry in what a corporate action made of it: another symbol, strike or multiplier, the same id and day."""
    now = entry_of(position)
    if isinstance(now, ShareHolding):
        return entry.changed(symbol=now.symbol)
    return entry.changed(symbol=now.symbol, expiry=now.expiry, strike=now.strike, multiplier=now.multiplier)


def other_multiplier(entry: PortfolioEntry, position: AccountPosition) -> int | None:
    """The multiplier that follows from the account's costs, where the entry's is another one; None otherwise."""
    if not isinstance(entry, Position) or (entry.multiplier is None and not entry.instrument.adjusted):
        return None
    multiplier = multiplier_of(position)
    return None if multiplier == entry.multiplier else multiplier


def _single(
    entry: MultiLegPosition, leg: Leg | ShareLeg, one: Instrument, position: AccountPosition
) -> Position | ShareHolding:
    """What remains of a structure when one leg is left."""
    if position.symbol != one.live_symbol:
        return entry_of(position).changed(
            id=entry.id, opened_at=entry.opened_at, realized=entry.realized, fees=entry.fees
        )
    cost_basis = _as_written(leg.cost_basis, opening_price(position, one.multiplier or STANDARD_MULTIPLIER))
    if isinstance(leg, ShareLeg):
        return ShareHolding(
            id=entry.id,
            symbol=one.symbol,
            shares=float(position.quantity),
            cost_basis=cost_basis,
            opened_at=entry.opened_at,
            realized=entry.realized,
            fees=entry.fees,
        )
    return Position(
        id=entry.id,
        symbol=one.symbol,
        option_type=leg.option_type,
        expiry=leg.expiry,
        strike=leg.strike,
        contracts=int(position.quantity),
        cost_basis=cost_basis,
        opened_at=entry.opened_at,
        realized=entry.realized,
        fees=entry.fees,
        multiplier=leg.multiplier or (entry.multiplier if leg.symbol in (None, entry.symbol) else None),
        settlement=leg.settlement,
        delivery=leg.delivery,
        exercise_style=leg.exercise_style,
    )


def _with_legs(
    entry: MultiLegPosition, legs: Sequence[Leg | ShareLeg], net_debit: float | None
) -> MultiLegPosition:
    """The structure with these legs; where all of them have got one new symbol, it is the structure's."""
    symbols = {leg.symbol for leg in legs}
    (symbol, *others) = symbols
    if symbol is None or others or any(one.symbol == symbol for one in entry.legs):
        return entry.changed(legs=tuple(legs), net_debit=net_debit)
    return entry.changed(
        symbol=symbol, legs=tuple(leg.changed(symbol=None) for leg in legs), net_debit=net_debit
    )


def _leg_as_held(
    leg: Leg | ShareLeg, one: Instrument, position: AccountPosition, *, named: bool
) -> Leg | ShareLeg:
    """A leg with the account's quantity; with its cost where the file has one, or is to have one (`named`)."""
    price = opening_price(position, one.multiplier) if named or leg.cost_basis is not None else None
    cost: dict[str, float | None] = {}
    if price is not None:
        cost = {"cost_basis": _as_written(leg.cost_basis, price)}
    if price is None and leg.cost_basis is not None:
        cost = {"cost_basis": None}
    if position.symbol != one.live_symbol:
        now = entry_of(position)
        if now.symbol != one.symbol:
            leg = leg.changed(symbol=now.symbol)
        if isinstance(leg, Leg) and isinstance(now, Position):
            leg = leg.changed(expiry=now.expiry, strike=now.strike, multiplier=now.multiplier)
    side: Side = "long" if position.quantity > 0 else "short"
    if isinstance(leg, ShareLeg):
        return leg.changed(side=side, shares=abs(float(position.quantity)), **cost)
    return leg.changed(side=side, contracts=abs(int(position.quantity)), **cost)
