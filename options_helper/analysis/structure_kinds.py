"""Call a structure by its name: what it is follows from sides, quantities, strikes and expiries, not from any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import groupby, pairwise
from math import gcd
from typing import Final

from options_helper.model.contract_symbols import STANDARD_MULTIPLIER, OptionType
from options_helper.model.portfolio import MultiLegPosition


class StructureKind(StrEnum):
    """Every structure that is known by a name."""

    IRON_BUTTERFLY = "iron butterfly"
    IRON_CONDOR = "iron condor"
    BUTTERFLY = "butterfly"
    BROKEN_WING_BUTTERFLY = "broken wing butterfly"
    CONDOR = "condor"
    BROKEN_WING_CONDOR = "broken wing condor"
    BOX_SPREAD = "box spread"
    JADE_LIZARD = "jade lizard"
    REVERSE_JADE_LIZARD = "reverse jade lizard"
    VERTICAL = "vertical"
    RATIO_SPREAD = "ratio spread"
    BACK_SPREAD = "back spread"
    CALENDAR = "calendar"
    DOUBLE_CALENDAR = "double calendar"
    DIAGONAL = "diagonal"
    SHORT_DIAGONAL = "short diagonal"
    DOUBLE_DIAGONAL = "double diagonal"
    STRADDLE = "straddle"
    STRANGLE = "strangle"
    INVERTED_STRANGLE = "inverted strangle"
    SYNTHETIC_LONG = "synthetic long"
    SYNTHETIC_SHORT = "synthetic short"
    RISK_REVERSAL = "risk reversal"
    COVERED_CALL = "covered call"
    COVERED_PUT = "covered put"
    COVERED_STRADDLE = "covered straddle"
    COVERED_STRANGLE = "covered strangle"
    PROTECTIVE_PUT = "protective put"
    PROTECTIVE_CALL = "protective call"
    COLLAR = "collar"
    CONVERSION = "conversion"
    REVERSAL = "reversal"

    @property
    def with_article(self) -> str:
        """The name with its article."""
        return f"{'an' if self.value.startswith('i') else 'a'} {self.value}"


@dataclass(frozen=True, slots=True)
class _Held:
    """So many of one contract; short is negative."""

    expiry: date
    strike: Decimal
    option_type: OptionType
    units: int


# By whether the shares are long, and whether the contracts beside them are.
_BESIDE_ONE_SIDE: Final[Mapping[tuple[bool, OptionType, bool], StructureKind]] = {
    (True, "call", False): StructureKind.COVERED_CALL,
    (True, "put", True): StructureKind.PROTECTIVE_PUT,
    (False, "put", False): StructureKind.COVERED_PUT,
    (False, "call", True): StructureKind.PROTECTIVE_CALL,
}
# By whether shares, put and call are long.
_BESIDE_SAME_STRIKE: Final[Mapping[tuple[bool, bool, bool], StructureKind]] = {
    (True, True, False): StructureKind.CONVERSION,
    (False, False, True): StructureKind.REVERSAL,
    (True, False, False): StructureKind.COVERED_STRADDLE,
}
_BESIDE_PUT_BELOW_CALL: Final[Mapping[tuple[bool, bool, bool], StructureKind]] = {
    (True, True, False): StructureKind.COLLAR,
    (True, False, False): StructureKind.COVERED_STRANGLE,
}
_BUTTERFLY: Final = (1, -2, 1)
_CONDOR: Final = (1, -1, -1, 1)


@lru_cache(maxsize=4096)  # asked at each refresh, and an entry never changes
def structure_kind(structure: MultiLegPosition) -> StructureKind | None:
    """What a structure is called; None when no rule knows it as a whole."""
    shares = sum(line.quantity for line in structure.lines if not line.instrument.is_option)
    contracts = [one for one in structure.instruments if one.is_option]
    if not contracts or len({one.symbol for one in contracts}) > 1:
        return None
    if not structure.has_shares:
        return _of_contracts(_reduced(_held(structure)))
    if {one.underlying for one in structure.instruments} != {contracts[0].underlying}:
        return None
    # Shares cannot be delivered to what is settled in cash, so they cover none of it.
    if any(one.delivery == "cash" for one in contracts):
        return None
    return _beside_shares(
        Decimal(shares) / (contracts[0].multiplier or STANDARD_MULTIPLIER), _held(structure)
    )


def _held(structure: MultiLegPosition) -> list[_Held]:
    """Each contract once, near expiries first, low strikes first, a put before the call beside it."""
    found: Counter[tuple[date, Decimal, OptionType]] = Counter()
    for leg in structure.contract_legs:
        found[leg.expiry, Decimal(str(leg.strike)), leg.option_type] += leg.signed_contracts
    ordered = sorted(found.items(), key=lambda item: (item[0][0], item[0][1], item[0][2] != "put"))
    return [_Held(*terms, units) for terms, units in ordered if units]


def _reduced(held: Sequence[_Held]) -> list[_Held]:
    """The same ratio in the smallest whole numbers."""
    many = gcd(*(one.units for one in held)) or 1
    return [_Held(one.expiry, one.strike, one.option_type, one.units // many) for one in held]


def _of_contracts(held: Sequence[_Held]) -> StructureKind | None:
    expiries = len({one.expiry for one in held})
    if expiries == 1:
        return _of_one_type(held) if len({one.option_type for one in held}) == 1 else _of_both_types(held)
    return _of_two_expiries(held) if expiries == 2 else None


def _of_one_type(held: Sequence[_Held]) -> StructureKind | None:
    """Calls alone or puts alone, of one expiry."""
    units, strikes = [one.units for one in held], [one.strike for one in held]
    widths = [above - below for below, above in pairwise(strikes)]
    match units:
        case [one, other] if one == -other:
            return StructureKind.VERTICAL
        case [one, other] if one * other < 0:
            return StructureKind.RATIO_SPREAD if one + other < 0 else StructureKind.BACK_SPREAD
        case [_, _, _] if _is(units, _BUTTERFLY):
            even = widths[0] == widths[1]
            return StructureKind.BUTTERFLY if even else StructureKind.BROKEN_WING_BUTTERFLY
        case [_, _, _, _] if _is(units, _CONDOR):
            even = widths[0] == widths[2]
            return StructureKind.CONDOR if even else StructureKind.BROKEN_WING_CONDOR
    return None


def _of_both_types(held: Sequence[_Held]) -> StructureKind | None:
    """Puts and calls of one expiry."""
    puts, calls = _split(held)
    match [one.units for one in puts], [one.units for one in calls]:
        case [put], [call] if abs(put) == abs(call):
            return _of_put_and_call(puts[0], calls[0])
        case [-1], [-1, 1] if puts[0].strike <= calls[0].strike:
            return StructureKind.JADE_LIZARD
        case [1, -1], [-1] if puts[1].strike <= calls[0].strike:
            return StructureKind.REVERSE_JADE_LIZARD
        case [one, other], [call, last] if one == -other == -call == last:
            if [put.strike for put in puts] == [call.strike for call in calls]:
                return StructureKind.BOX_SPREAD
            return _iron(puts[1].strike, calls[0].strike)
    return None


def _of_put_and_call(put: _Held, call: _Held) -> StructureKind:
    if put.units == call.units:
        if put.strike == call.strike:
            return StructureKind.STRADDLE
        return StructureKind.STRANGLE if put.strike < call.strike else StructureKind.INVERTED_STRANGLE
    if put.strike != call.strike:
        return StructureKind.RISK_REVERSAL
    return StructureKind.SYNTHETIC_LONG if call.units > 0 else StructureKind.SYNTHETIC_SHORT


def _iron(highest_put: Decimal, lowest_call: Decimal) -> StructureKind | None:
    if highest_put > lowest_call:
        return None
    return StructureKind.IRON_BUTTERFLY if highest_put == lowest_call else StructureKind.IRON_CONDOR


def _of_two_expiries(held: Sequence[_Held]) -> StructureKind | None:
    near, far = (list(group) for _, group in groupby(held, key=lambda one: one.expiry))
    sides = {one.units for one in near}
    # One for one, and all of an expiry on the same side.
    if len(near) != len(far) or len(sides) != 1 or {-one.units for one in far} != sides:
        return None
    same_types = Counter(one.option_type for one in near) == Counter(one.option_type for one in far)
    same_contracts = {(one.strike, one.option_type) for one in near} == {
        (one.strike, one.option_type) for one in far
    }
    match len(near):
        case 1 if same_contracts:
            return StructureKind.CALENDAR
        case 1 if same_types:
            return StructureKind.DIAGONAL if near[0].units < 0 else StructureKind.SHORT_DIAGONAL
        case 2 if same_contracts:
            return StructureKind.DOUBLE_CALENDAR
        case 2 if same_types and len({one.option_type for one in near}) == 2:
            return StructureKind.DOUBLE_DIAGONAL
    return None


def _beside_shares(lots: Decimal, held: Sequence[_Held]) -> StructureKind | None:
    """Shares, in as many as one contract delivers, beside contracts; enough of them to stand for each contract."""
    puts, calls = _split(held)
    of_puts, of_calls = sum(one.units for one in puts), sum(one.units for one in calls)
    one_sided = all(len({one.units > 0 for one in side}) <= 1 for side in (puts, calls))
    if not one_sided or abs(lots) < max(abs(of_puts), abs(of_calls)):
        return None
    if puts and calls:
        return _beside_put_and_call(lots, puts, calls) if abs(of_puts) == abs(of_calls) else None
    return _BESIDE_ONE_SIDE.get((lots > 0, "call" if calls else "put", of_puts + of_calls > 0))


def _beside_put_and_call(
    lots: Decimal, puts: Sequence[_Held], calls: Sequence[_Held]
) -> StructureKind | None:
    if len(puts) > 1 or len(calls) > 1:
        return None
    put, call = puts[0], calls[0]
    sides = (lots > 0, put.units > 0, call.units > 0)
    if (put.strike, put.expiry) == (call.strike, call.expiry):
        return _BESIDE_SAME_STRIKE.get(sides)
    return _BESIDE_PUT_BELOW_CALL.get(sides) if put.strike < call.strike else None


def _is(units: Sequence[int], pattern: Sequence[int]) -> bool:
    """Whether these are the pattern's quantities, bought or sold."""
    return list(units) in (list(pattern), [-one for one in pattern])


def _split(held: Iterable[_Held]) -> tuple[list[_Held], list[_Held]]:
    """Puts and calls, each in their order."""
    both = list(held)
    return [one for one in both if one.option_type == "put"], [
        one for one in both if one.option_type == "call"
    ]
