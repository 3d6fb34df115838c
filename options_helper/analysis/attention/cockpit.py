"""The expiry cockpit: each leg and each structure that ends today, and what it brings on either side of its strike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import fsum
from typing import Final

from msgspec import structs

from options_helper.analysis.attention.assignments import partner_words
from options_helper.analysis.attention.delivery import (
    Outcome,
    is_pinned,
    outcome_at,
    pin_band,
    together,
)
from options_helper.analysis.attention.entries import Deadline
from options_helper.analysis.attention.expiring import Ending, Moment
from options_helper.analysis.attention.held_legs import Entries, HeldLine
from options_helper.analysis.attention.words import outcome_words
from options_helper.analysis.risk.book_values import SpotSource
from options_helper.model.text import format_count, price_text

_CENT: Final = 0.01


class EndState(StrEnum):
    """Where a leg stands; of a structure, the worst of its legs."""

    IN_THE_MONEY = "itm"
    OUT_OF_THE_MONEY = "otm"
    PIN = "pin"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CockpitLine:
    """One leg, or one structure, on the day on which it ends; dollars, None is "not known"."""

    position_id: str
    label: str
    symbols: tuple[str, ...]
    underlying: str
    is_structure: bool
    quantity: float | None  # of a leg, signed
    state: EndState
    spot: float | None
    strike: float | None
    to_strike: float | None  # dollars a share that it is in the money, out of it where negative
    pin_band: float | None  # within so many dollars it is pinned
    iv: float | None
    delta: float | None  # shares
    time_value: float | None  # dollars a share at the bid
    no_time_value: str  # in a few words, why a leg with a price of its underlying has none; else empty
    given_up_by_exercise: float | None  # dollars of a long leg in the money, at the bid
    if_now: Outcome | None
    above: Outcome | None  # a cent above its strike, of a structure above its highest
    below: Outcome | None  # a cent below it, of a structure below its lowest
    partners: str
    settles: datetime
    deadlines: tuple[Deadline, ...]
    quantity_in_doubt: bool = False  # the account holds another than the file, or may
    in_account: float | None = None  # of a leg, the account's quantity, signed, where it is another and known
    if_now_by_account: Outcome | None = (
        None  # the same as `if_now` by those; None: not in doubt, or not known
    )
    account_alone: bool = False  # the file lacks it, so all of it is the account's
    spot_source: SpotSource | None = None  # None: there is no price

    @property
    def to_strike_words(self) -> str | None:
        """The dollars to its strike, and where the price comes from if not from a quote; None: not known."""
        if self.to_strike is None:
            return None
        implied = " (from options)" if self.spot_source is SpotSource.OPTIONS else ""
        return f"{price_text(self.to_strike, '+')}{implied}"

    @property
    def time_value_words(self) -> str | None:
        """Its time value at the bid, or why there is none; of what is bid at or below what exercising brings, that."""
        if self.time_value is None:
            return self.no_time_value or None
        is_inside = self.to_strike is not None and self.to_strike > 0
        return "at or below intrinsic" if is_inside and self.time_value <= 0 else price_text(self.time_value)

    @property
    def if_now_words(self) -> str | None:
        """What its end brings now, and by whose quantity where file and account are apart; None: not known."""
        if self.if_now is None:
            return None
        said = outcome_words(self.if_now, self.underlying)
        if self.account_alone:
            return f"{said} (in the account alone)"
        if not self.quantity_in_doubt:
            return said
        if self.if_now_by_account is None:
            return f"{said} (by the file, quantity in doubt)"
        return f"{outcome_words(self.if_now_by_account, self.underlying)} by the account, {said} by the file"


def cockpit_lines(found: Sequence[Ending], entries: Entries, moment: Moment) -> tuple[CockpitLine, ...]:
    """Of everything whose last day is today, its legs in the book's order and each structure before its own.

    `entries` are those of the file.
    """
    lines: list[CockpitLine] = []
    for ending in found:
        if ending.last_day != moment.today:
            continue
        ids = dict.fromkeys(one.entry_id for one in ending.all_legs)
        for entry_id in ids:
            legs = [one for one in ending.all_legs if one.entry_id == entry_id]
            if len(entries.of(entry_id)) > 1:
                lines.append(_structure(entry_id, legs, ending, entries, moment))
            lines.extend(_leg(one, ending, entries, moment) for one in legs)
    return tuple(lines)


def _state(one: HeldLine, moment: Moment) -> EndState:
    inside = one.is_in_the_money
    if inside is None:
        return EndState.UNKNOWN
    if is_pinned(one, moment.at):
        return EndState.PIN
    return EndState.IN_THE_MONEY if inside else EndState.OUT_OF_THE_MONEY


def _leg(one: HeldLine, ending: Ending, entries: Entries, moment: Moment) -> CockpitLine:
    strike, extrinsic = one.instrument.strike or 0.0, one.extrinsic_at_bid
    gives_up = one.is_long and bool(one.is_in_the_money) and extrinsic is not None
    return CockpitLine(
        position_id=one.entry_id,
        label=one.instrument.label,
        symbols=(one.instrument.live_symbol,),
        underlying=ending.underlying,
        is_structure=False,
        quantity=one.quantity,
        state=_state(one, moment),
        spot=one.spot,
        strike=one.instrument.strike,
        to_strike=one.inside,
        pin_band=pin_band(one, moment.at),
        iv=one.iv,
        delta=one.delta,
        time_value=extrinsic,
        no_time_value=one.no_bid_shortly if one.bid is None and one.inside is not None else "",
        given_up_by_exercise=max(extrinsic or 0.0, 0.0) * one.shares if gives_up else None,
        if_now=None if one.spot is None else outcome_at(one, one.spot),
        above=outcome_at(one, strike + _CENT),
        below=outcome_at(one, strike - _CENT),
        partners=partner_words(one, entries, moment.today),
        settles=ending.settles,
        deadlines=ending.deadlines,
        quantity_in_doubt=one.in_doubt,
        in_account=one.in_account,
        if_now_by_account=None if one.spot is None else _by_account([one], one.spot),
        account_alone=one.account_alone,
        spot_source=one.spot_source,
    )


def _by_account(legs: Sequence[HeldLine], spot: float) -> Outcome | None:
    """What they bring in the account's quantities; None where those are the file's, or of one not known."""
    if not any(one.in_doubt for one in legs) or any(one.in_doubt and one.in_account is None for one in legs):
        return None
    return together([structs.replace(one, quantity=one.counted) for one in legs], spot)


_GRAVITY: Final = (EndState.UNKNOWN, EndState.PIN, EndState.IN_THE_MONEY, EndState.OUT_OF_THE_MONEY)


def _structure(
    entry_id: str, legs: Sequence[HeldLine], ending: Ending, entries: Entries, moment: Moment
) -> CockpitLine:
    """What ends of a structure, together; what of it goes on is said among its partners."""
    states = {_state(one, moment) for one in legs}
    deltas = [one.delta for one in legs]
    known = [one for one in deltas if one is not None]
    spot = next((one.spot for one in legs if one.spot is not None), None)
    strikes = [one.instrument.strike or 0.0 for one in legs]
    going_on = [one.instrument.label for one in entries.of(entry_id) if one not in legs and not one.ended]
    return CockpitLine(
        position_id=entry_id,
        label=f"{ending.underlying}: {format_count(len(legs), 'leg')} of {entry_id}",
        symbols=tuple(one.instrument.live_symbol for one in legs),
        underlying=ending.underlying,
        is_structure=True,
        quantity=None,
        state=next(state for state in _GRAVITY if state in states),
        spot=spot,
        strike=None,
        to_strike=None,
        pin_band=None,
        iv=None,
        delta=fsum(known) if len(known) == len(deltas) else None,
        time_value=None,
        no_time_value="",
        given_up_by_exercise=None,
        if_now=None if spot is None else together(legs, spot),
        above=together(legs, max(strikes) + _CENT),
        below=together(legs, min(strikes) - _CENT),
        partners=f"{', '.join(going_on)} goes on." if going_on else "",
        settles=ending.settles,
        deadlines=ending.deadlines,
        quantity_in_doubt=any(one.in_doubt for one in legs),
        spot_source=next((one.spot_source for one in legs if one.spot is not None), None),
        if_now_by_account=None if spot is None else _by_account(legs, spot),
    )
