"""Sold puts that may be assigned any night, and so in one: what is there for each beside what all others take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from types import MappingProxyType
from typing import Final

from msgspec import structs

from options_helper.analysis.attention.at_end import AtEnd
from options_helper.analysis.attention.collateral import Collateral
from options_helper.analysis.attention.delivery import outcome_at
from options_helper.analysis.attention.expiring import Ending, Power
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.two_books import TwoBooks
from options_helper.analysis.attention.words import Purse

_NIGHT: Final = "what else may be assigned that night"
_BOTH: Final = "what else ends soon or may be assigned that night"


def purses_of_night(
    puts: Sequence[HeldLine], books: TwoBooks, power: Power, settle: AtEnd
) -> Mapping[str, Purse]:
    """What is there for the assignment of each, by its symbol, if all of them are assigned and what ends soon ends.

    What ends in the next session may be assigned before, and takes its dollars once.
    """
    if power.has is None:
        return MappingProxyType({one.instrument.live_symbol: Purse(None) for one in puts})
    near = {symbol: ending for ending in power.living for symbol in ending.symbols}
    of_name: dict[str, list[HeldLine]] = {}
    for one in puts:
        if one.instrument.live_symbol not in near:
            of_name.setdefault(one.instrument.underlying, []).append(one)
    aside = {name: _set_aside(name, lines, books, power.living, settle) for name, lines in of_name.items()}
    needs = {name: fsum(_dollars(one, settle) for one in lines) for name, lines in of_name.items()}
    takes = {name: max(0.0, needs[name] - aside[name]) for name in of_name}
    purses = {}
    for one in puts:
        symbol, name = one.instrument.live_symbol, one.instrument.underlying
        if symbol in near:
            purse, others = power.purse(near[symbol]), fsum(takes.values())
        else:
            # What is set aside on the name pays for the others first: all are assigned.
            needed = needs[name] - _dollars(one, settle)
            purse = Purse(power.has, max(0.0, aside[name] - needed), power.together)
            others = fsum(takes.values()) - takes[name] + max(0.0, needed - aside[name])
        if others:
            by = _BOTH if purse.others else _NIGHT
            purse = structs.replace(purse, others=purse.others + others, by=by)
        purses[symbol] = purse
    return purses


def _dollars(one: HeldLine, settle: AtEnd) -> float:
    """What its assignment takes at the price of now; 0 where that is not known."""
    outcome = None if one.spot is None else outcome_at(settle.counted(one), one.spot)
    return 0.0 if outcome is None else max(0.0, -outcome.cash)


def _set_aside(
    name: str, puts: Iterable[HeldLine], books: TwoBooks, living: Iterable[Ending], settle: AtEnd
) -> float:
    """Dollars that the account set aside for all of them together, and for nothing that ends soon beside them.

    What covers two of them does so once: what is set aside for each by itself would come to more.
    """
    counted = [settle.counted(one) for one in puts]
    spot = next((one.spot for one in counted if one.spot is not None), None)
    if spot is None:
        return 0.0
    book = [one for one in books.account_on.get(name, ()) if not one.ended]
    ends = [ending.judged for ending in living if ending.underlying == name]
    near = [leg for ending in ends for leg in ending.legs]
    own, together = (
        Collateral(tuple(legs), tuple(one for one in book if one not in legs), books.is_as_asked(name)).at(
            spot
        )
        for legs in (counted, [*counted, *near])
    )
    return min(own, max(0.0, together - fsum(ending.collateral.at(spot) for ending in ends)))
