"""Legs that may end on either side of their strike: each with both sides, and all of an evening at their worst."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import fsum, inf
from typing import Final

from options_helper.analysis.attention.delivery import Demand, Outcome, demand, is_pinned, together
from options_helper.analysis.attention.entries import AttentionKind, Entry, due
from options_helper.analysis.attention.expiring import (
    Ending,
    Moment,
    Power,
    Taken,
    prices_around,
    settlement_of,
    settles_at_open,
    taken_at,
    unless_in_doubt,
)
from options_helper.analysis.attention.held_legs import CENT, HeldLine, basis_words
from options_helper.analysis.attention.remedies import SEE_FIRST, to_close_on_either_side
from options_helper.analysis.attention.words import (
    Purse,
    dollars,
    listed,
    money_words,
    outcome_words,
    place_words,
    shortage_words,
)
from options_helper.analysis.live_health import Level
from options_helper.model.contract_symbols import plain_number
from options_helper.model.text import format_count, named

_NAMED_AT_MOST: Final = 6
_LOOK: Final = "Look at the positions before the next open."
_EACH_SAYS: Final = "What can be done about each stands with it; one buying power pays for all of them."


def pin_entries(found: Sequence[Ending], moment: Moment, power: Power) -> Iterator[Entry]:
    """Of each leg that is pinned today until the close, and then until the morning's match; and of all together."""
    pinned = {n: legs for n, ending in enumerate(found) if (legs := _pinned(ending, moment))}
    for n, legs in pinned.items():
        yield from _either_side(found[n], legs, moment, power)
    delivering = [
        (found[n], left) for n, legs in pinned.items() if (left := [one for one in legs if not _is_cash(one)])
    ]
    if sum(len({one.instrument.strike for one in legs}) for _, legs in delivering) > 1:
        yield _together(delivering, moment, power)


def _pinned(ending: Ending, moment: Moment) -> list[HeldLine]:
    if settles_at_open(ending) or (ending.last_day > moment.today and not ending.is_fixed):
        return []
    # Entries that cancel each other out deliver nothing.
    return [one for one in ending.all_legs if one.counted and is_pinned(one, moment.at)]


def _is_cash(one: HeldLine) -> bool:
    return one.life is not None and one.life.is_cash


@dataclass(frozen=True, slots=True)
class _Worst:
    """What the end of one underlying takes at the closing prices that are worst for it, of those that are possible."""

    ending: Ending
    of_money: Taken
    of_shares: Taken

    @property
    def words(self) -> Iterator[str]:
        """What it takes of either: "AAPL at 179.99 takes $18,000"."""
        name, said = self.ending.underlying, self.ending.judged.quantities.value
        if self.of_money.dollars:
            yield f"{name} at {plain_number(self.of_money.price)}{said} takes {dollars(self.of_money.dollars)}"
        if self.of_shares.shares:
            lacks = f"{plain_number(self.of_shares.shares)} {name} are to be delivered that are not free"
            yield f"at {plain_number(self.of_shares.price)}{said} {lacks}"
        elif self.of_shares.shares is None:
            yield f"whether the {name} to be delivered are free is not known"

    @property
    def is_of_two_prices(self) -> bool:
        needs_both = bool(self.of_money.dollars and self.of_shares.shares)
        return needs_both and self.of_money.price != self.of_shares.price


def _worst(ending: Ending, pinned: Iterable[HeldLine]) -> _Worst | None:
    """Between the pinned strikes and a cent beyond them; None: what a leg delivers is not known."""
    counted = ending.judged
    strikes = [one.instrument.strike or 0.0 for one in pinned]
    between = {one.instrument.strike or 0.0 for one in counted.legs}
    between = {strike for strike in between if min(strikes) <= strike <= max(strikes)} | {*strikes}
    found = taken_at(ending, prices_around(between))
    if found is None:
        return None
    of_money = max(found, key=lambda one: one.beside)
    of_shares = max(found, key=lambda one: inf if one.shares is None else one.shares)
    return _Worst(ending, of_money, of_shares)


def _together(pinned: Sequence[tuple[Ending, Sequence[HeldLine]]], moment: Moment, power: Power) -> Entry:
    """All pins of an evening: their prices go their own ways, so what each takes at its worst adds up."""
    legs = [one for _, of_end in pinned for one in of_end]
    labels = named([one.instrument.label for one in legs], _NAMED_AT_MOST)
    names = list(dict.fromkeys(ending.underlying for ending, _ in pinned))
    each = [_worst(ending, of_end) for ending, of_end in pinned]
    known = [one for one in each if one is not None]
    unknown = [ending.underlying for (ending, _), one in zip(pinned, each, strict=True) if one is None]
    now = fsum(ending.takes for ending, _ in pinned if not ending.is_over)
    purse = Purse(
        power.has,
        aside=0.0 if power.has is None else fsum(one.of_money.aside for one in known),
        others=max(0.0, power.together - now),
    )
    needs = fsum(one.of_money.dollars for one in known)
    taken = [words for one in known for words in one.words]
    total = f"together {dollars(needs)}" if sum(bool(one.of_money.dollars) for one in known) > 1 else ""
    said = "; ".join(filter(None, (listed(taken) if taken else "nothing", total, money_words(needs, purse))))
    deadlines = tuple(
        sorted({one for ending, _ in pinned for one in ending.deadlines}, key=lambda one: (one.at, one.what))
    )
    is_over = all(ending.is_over for ending, _ in pinned)
    in_doubt = any(ending.judged.quantities.is_in_doubt for ending, _ in pinned)
    return Entry(
        kind=AttentionKind.PIN,
        level=Level.ERROR,
        subject=named(names, _NAMED_AT_MOST),
        symbols=tuple(one.instrument.live_symbol for one in legs),
        what=(
            f"{format_count(len(legs), 'leg')} are pinned, {labels}: "
            "each may end on either side, and what they take adds up."
        ),
        by=due(deadlines, moment.at),
        deadlines=deadlines,
        amounts=f"At the worst closing price of each: {said}.{_limits(known, unknown)}",
        remedy=_LOOK if is_over else SEE_FIRST if in_doubt else _EACH_SAYS,
        needs=needs or None,
        has=power.has,
        set_aside=purse.aside,
    )


def _limits(known: Iterable[_Worst], unknown: Sequence[str]) -> str:
    """Where that is more than can come, or less; empty: it is what can."""
    apart = [one.ending.underlying for one in known if one.is_of_two_prices]
    said = (
        f" Of {listed(apart)} one closing price takes the dollars and another the shares: both together are a bound."
        if apart
        else ""
    )
    return f"{said} What ends on {listed(unknown)} is not known, and not in it." if unknown else said


def _either_side(ending: Ending, pinned: Iterable[HeldLine], moment: Moment, power: Power) -> Iterator[Entry]:
    counted = ending.judged
    for one in pinned:
        strike = one.instrument.strike or 0.0
        is_cash = _is_cash(one)
        prices = (strike + CENT, strike - CENT)
        above, below = (together(counted.legs, price) for price in prices)
        purses = [power.purse(ending, price) for price in prices]
        remedy = unless_in_doubt(counted) or to_close_on_either_side(
            next((leg for leg in counted.legs if leg.instrument == one.instrument), one),
            counted.legs,
            settlement_of(ending, power),
            [settlement_of(ending, power, price) for price in prices],
        )
        said = f"{one.instrument.label} is pinned: {place_words(one.inside or 0.0)}"
        matched = (
            " at the close, and until 17:30 a holder may decide otherwise; the match in the morning tells."
            if ending.is_fixed
            else ", and may end on either side."
        )
        yield Entry(
            kind=AttentionKind.PIN,
            level=Level.ERROR,
            subject=ending.underlying,
            symbols=(one.instrument.live_symbol,),
            what=f"{said}{matched}{basis_words([one])}",
            by=due(ending.deadlines, moment.at),
            deadlines=ending.deadlines,
            amounts=(
                _by_the_point(one)
                if is_cash
                else f"Above {plain_number(strike)}{counted.quantities.value}: {_sides(above, below, ending, purses)}."
                f"{_sides_by_file(ending, strike)}"
            ),
            remedy=_LOOK if ending.is_over else remedy.words,
            remedy_without_amounts="" if ending.is_over else remedy.discreet,
            needs=None if is_cash else _most_needed(above, below),
            has=power.has,
            set_aside=max(purse.aside for purse in purses),
            shares=None if is_cash or above is None or below is None else _farthest(above, below),
        )


def _by_the_point(one: HeldLine) -> str:
    """What is settled in cash turns on no strike: it pays by how far beyond it the price is."""
    beyond = "above" if one.instrument.option_type == "call" else "below"
    does = "costs" if one.is_short else "pays"
    whose = ", by the account's quantity" if one.in_account is not None else ""
    each = abs(one.counted) * (one.instrument.multiplier or 0)
    return (
        f"Settled in cash{whose}: each point {beyond} {plain_number(one.instrument.strike or 0.0)} {does} "
        f"{dollars(each)}, and there is no jump at the strike."
    )


def _sides(above: Outcome | None, below: Outcome | None, ending: Ending, purses: Sequence[Purse] = ()) -> str:
    """What either side brings, and what of it is missing where it is said what is there for each."""
    # By the file's quantities, beside the account's, nothing is held against what is there.
    wanted = ending.judged.demand if purses else None
    up, down = (
        f"{outcome_words(side, ending.underlying)}{_lacking(side, purse, wanted, ending.underlying)}"
        for side, purse in zip((above, below), purses or (Purse(None), Purse(None)), strict=True)
    )
    return f"{up}; below: {down}"


def _sides_by_file(ending: Ending, strike: float) -> str:
    """Both sides by the file's quantities, where the account's are others; else empty."""
    if ending.by_account is None:
        return ""
    above, below = (together(ending.legs, strike + step) for step in (CENT, -CENT))
    return f" By the file's, above: {_sides(above, below, ending)}."


def _lacking(side: Outcome | None, purse: Purse, wanted: Demand | None, name: str) -> str:
    """What one side takes that is not there, dollars beside all else that ends; empty where nobody knows what is."""
    if side is None:
        return ""
    money = "" if purse.has is None else money_words(max(0.0, -side.cash), purse)
    shares = (
        "" if wanted is None else shortage_words(demand(Outcome(side.shares, 0.0), wanted.free), purse, name)
    )
    said = "; ".join(filter(None, (money, shares)))
    return f" ({said})" if said else ""


def _most_needed(above: Outcome | None, below: Outcome | None) -> float | None:
    known = [one for one in (above, below) if one is not None]
    return max((-one.cash for one in known if one.cash < 0), default=None)


def _farthest(above: Outcome, below: Outcome) -> float:
    return max((above.shares, below.shares), key=abs)
