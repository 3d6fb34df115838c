"""Short legs in the money: what an assignment of each brings, and what becomes of the other legs of its structure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, date, datetime
from math import fsum
from typing import Final

from msgspec import structs

from options_helper.analysis.attention.aftermath import units_of
from options_helper.analysis.attention.at_end import AtEnd
from options_helper.analysis.attention.deadlines import ContractLife, last_day_deadlines
from options_helper.analysis.attention.delivery import Outcome, outcome_at
from options_helper.analysis.attention.entries import AttentionKind, Entry, due
from options_helper.analysis.attention.expiring import (
    Ending,
    Moment,
    Power,
)
from options_helper.analysis.attention.held_legs import Entries, HeldLine, basis_words, is_over
from options_helper.analysis.attention.remedies import SEE_FIRST, Remedy, to_close
from options_helper.analysis.attention.same_night import purses_of_night
from options_helper.analysis.attention.shortage import Settlement
from options_helper.analysis.attention.two_books import TwoBooks
from options_helper.analysis.attention.words import (
    day_word,
    listed,
    money_words,
    outcome_words,
    shortage_words,
)
from options_helper.analysis.live_health import Level
from options_helper.model.contract_symbols import plain_number, short_date
from options_helper.model.market_hours import new_york_date

LACKING: Final = ", which is in the account alone,"
_NOT_NEAR: Final = "How near that is cannot be said: not all that it delivers has a price here."
_NOT_BEFORE_ITS_END: Final = "It cannot be exercised before its end."


def short_entries(
    books: TwoBooks,
    found: Sequence[Ending],
    moment: Moment,
    power: Power,
    at_end: AtEnd,
    *,
    told: Collection[str] = (),
) -> Iterator[Entry]:
    """Every short leg in the money; what ends today or next is grave, the rest is to be known.

    Of the symbols that were `told` to be exercised early nothing is said again. All puts that may be assigned any day
    may be in one night, so none is paid with the money of another.
    """
    near = {one.instrument.live_symbol: ending for ending in found for one in ending.all_legs}
    entries = books.entries
    shorts = [one for one in (*books.of_file, *books.account_alone) if _may_be_assigned(one, moment)]
    purses = purses_of_night([one for one in shorts if _is_any_day(one)], books, power, at_end)
    for one in shorts:
        symbol = one.instrument.live_symbol
        if symbol in told or one.life is None:
            continue
        ending = near.get(symbol)
        said, outcome = if_exercised("Assigned", one)
        wanted = None if ending is None else ending.judged.demand
        needs = None if outcome is None or outcome.cash >= 0 else -outcome.cash
        purse = purses.get(symbol) or at_end.purse(one) if ending is None else power.purse(ending)
        alone = "" if power.has is None or ending is not None else money_words(needs, purse)
        # What the rest of its end lacks is of quantities that may be of the other sign, while its own is in doubt.
        is_read = not one.in_doubt or one.in_account is not None
        lacks = (
            "" if wanted is None or not is_read else shortage_words(wanted, purse, one.instrument.underlying)
        )
        deadlines = last_day_deadlines(one.life, moment.told)
        remedy = Remedy(_how_near(one)) if ending is None else closing(one, ending, at_end.of(one))
        said += _bought_back(one, books)
        yield Entry(
            kind=AttentionKind.IN_THE_MONEY_SHORT,
            level=Level.INFO if ending is None else ending.level(moment),
            subject=one.instrument.underlying,
            symbols=(symbol,),
            what=_short_words(one, ending, moment, entries),
            by=due(deadlines, moment.at),
            deadlines=deadlines,
            amounts=f"{said}{f'; with all that ends with it: {lacks}' if lacks else f'; {alone}' if alone else ''}.",
            remedy=remedy.words,
            remedy_without_amounts=remedy.discreet,
            needs=needs,
            has=power.has,
            set_aside=purse.aside,
            shares=None if outcome is None else outcome.shares,
        )


def _bought_back(one: HeldLine, books: TwoBooks) -> str:
    """That the assignment of a put buys back shares sold short, and what is not known of the money; else empty."""
    name = one.instrument.underlying
    shares = fsum(
        other.quantity for other in books.account_on.get(name, ()) if not other.instrument.is_option
    )
    if one.instrument.option_type != "put" or one.delivers_something_else or shares >= 0:
        return ""
    bought = min(-shares, abs(one.counted) * units_of(one))
    return (
        f", which buys back {plain_number(bought)} {name} that are sold short: whether what was received for these is "
        "in the buying power the account does not say"
    )


def odd_short_entries(
    books: TwoBooks, found: Sequence[Ending], moment: Moment, at_end: AtEnd
) -> Iterator[Entry]:
    """Adjusted calls that were sold and are surely in the money, though not all that they deliver has a price here."""
    near = {one.instrument.live_symbol: ending for ending in found for one in ending.all_legs}
    for one in (*books.of_file, *books.account_alone):
        if not one.is_short or one.sure_inside is None or one.life is None or is_over(one, moment.at):
            continue
        ending = near.get(one.instrument.live_symbol)
        deadlines = last_day_deadlines(one.life, moment.told)
        remedy = Remedy(_NOT_NEAR) if ending is None else closing(one, ending, at_end.of(one))
        lacking = LACKING if one.account_alone else ""
        happens = _what_happens(one, ending, moment)
        yield Entry(
            kind=AttentionKind.IN_THE_MONEY_SHORT,
            level=Level.INFO if ending is None else ending.level(moment),
            subject=one.instrument.underlying,
            symbols=(one.instrument.live_symbol,),
            what=(
                f"{one.instrument.label}{lacking} delivers {one.life.delivers} by Alpaca's record: by its "
                f"{one.instrument.underlying} alone it is in the money by {one.sure_inside:,.2f} a contract at least, "
                f"and {happens}."
            ),
            by=due(deadlines, moment.at),
            deadlines=deadlines,
            amounts=f"Assigned: {plain_number(abs(one.counted))} times {one.life.delivers} are delivered.",
            remedy=remedy.words,
            remedy_without_amounts=remedy.discreet,
        )


def _may_be_assigned(one: HeldLine, moment: Moment) -> bool:
    return one.is_short and bool(one.is_in_the_money) and one.life is not None and not is_over(one, moment.at)


def _is_any_day(one: HeldLine) -> bool:
    """Whether it is a put that may be assigned before its end."""
    return one.instrument.option_type == "put" and one.life is not None and one.life.is_american


def if_exercised(verb: str, one: HeldLine) -> tuple[str, Outcome | None]:
    """What its exercise or assignment brings in words, and the outcome that counts: the account's where it is known."""
    name = one.instrument.underlying
    outcome = None if one.spot is None else outcome_at(one, one.spot)
    said = outcome_words(outcome, name)
    if one.account_alone:
        return f"{verb}, of what the account alone holds: {said}", outcome
    if not one.in_doubt:
        return f"{verb}: {said}", outcome
    if one.in_account is None or one.spot is None:
        return f"{verb}, by the file's quantity, which is in doubt: {said}", outcome
    theirs = outcome_at(structs.replace(one, quantity=one.in_account), one.spot)
    if one.quantity * one.in_account < 0:
        return (
            f"{verb}, by the account's quantity: {outcome_words(theirs, name)}; the file has its opposite",
            theirs,
        )
    return f"{verb}, by the account's quantity: {outcome_words(theirs, name)}; by the file's: {said}", theirs


def closing(one: HeldLine, ending: Ending, settled: Settlement | None) -> Remedy:
    """What can be done about a short leg that ends soon, in the quantity that counts."""
    if ending.judged.quantities.is_in_doubt or (one.in_doubt and one.in_account is None):
        return Remedy(SEE_FIRST)  # of the two that it may be, neither is known to be there
    legs = ending.judged.legs
    counted = next((leg for leg in legs if leg.instrument == one.instrument), one)
    return to_close(counted, legs, settled)


def _how_near(one: HeldLine) -> str:
    """How little a holder would give up by exercising it now."""
    if one.life is not None and not one.life.is_american:
        return _NOT_BEFORE_ITS_END
    value = one.extrinsic_at_bid
    if value is None:
        return f"{one.no_bid[0].upper()}{one.no_bid[1:]}, so how near that is cannot be said."
    if value <= 0:
        return "Its bid is at or below what exercising brings: a holder gives nothing up by it."
    return f"Its time value at the bid is {value:,.2f} a share: what a holder gives up who exercises it now."


def _short_words(one: HeldLine, ending: Ending | None, moment: Moment, entries: Entries) -> str:
    lacking = LACKING if one.account_alone else ""
    said = f"{one.instrument.label}{lacking} is in the money by {one.inside or 0.0:,.2f}"
    happens = _what_happens(one, ending, moment)
    partners = partner_words(one, entries, moment.today)
    return f"{said}, and {happens}.{f' {partners}' if partners else ''}{basis_words([one])}"


def _what_happens(one: HeldLine, ending: Ending | None, moment: Moment) -> str:
    """What becomes of a sold leg in the money, and when: "is assigned unless it is closed today"."""
    life = one.life
    if life is not None and life.is_cash:
        happens = "is settled in cash"
    elif life is not None and not life.is_american:
        happens = "is assigned at its end"
    else:
        happens = "is assigned unless it is closed" if ending is not None else "may be assigned any day"
    when = f" {day_word(ending.last_day, moment.today)}" if ending is not None else ""
    if ending is not None and life is not None and life.at_open and life.settles is not None:
        # Its last day of trading is the day before, and a night lies between the two.
        when = f" at the open {day_word(new_york_date(life.settles), moment.today)}"
    return f"{happens}{when}"


def partner_words(one: HeldLine, entries: Entries, today: date) -> str:
    """What becomes of the other legs of its structure when it ends; empty where it has none."""
    partners = [] if one.account_alone else [other for other in entries.beside(one) if not other.ended]
    if not partners:
        return ""
    return f"Partner: {listed([_partner(other, one, today) for other in partners])}."


def _partner(other: HeldLine, one: HeldLine, today: date) -> str:
    label = other.instrument.label
    if not other.instrument.is_option:
        return f"{label}, which are delivered" if one.is_short else label
    if other.life is None or one.life is None:
        return f"{label}, of which nothing is known"
    if _end(other.life) < _end(one.life):
        # An assignment may come before that too; by its end nothing of the partner is left to cover it.
        return f"{label}, which ends before it, on {short_date(other.life.last_day)}"
    if other.life.settles != one.life.settles:
        return f"{label}, which goes on"
    return f"{label}, {_fate(other, is_today=other.life.last_day <= today)}"


def _fate(other: HeldLine, *, is_today: bool) -> str:
    """What becomes of a leg that ends with another; before its last day only where it stands now."""
    inside = other.is_in_the_money
    if inside is None:
        return "of which nothing is known"
    if not is_today:
        return f"which is {'in' if inside else 'out of'} the money now"
    happens = "assigned too" if other.is_short else "exercised too"
    return f"which is {happens}" if inside else "which ends worthless"


def _end(life: ContractLife) -> tuple[date, datetime]:
    """By its last day, and of one day by when it is settled: in the morning or at the close."""
    return life.last_day, life.settles or datetime.max.replace(tzinfo=UTC)
