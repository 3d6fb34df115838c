"""Whether holders gain by exercising early: calls before an ex-date, and puts for the interest.

A call is exercised for a dividend that is more than the time value that exercising gives up (Cboe, "Covered Calls",
part 5); that value is taken at the bid, since that is what a holder gets who sells. A put is exercised when the
interest on its strike is more than its time value and the dividends that its holder is spared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import exp, expm1, fsum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from options_helper.analysis.attention.assignments import LACKING, if_exercised, partner_words
from options_helper.analysis.attention.at_end import AtEnd, Paid
from options_helper.analysis.attention.deadlines import before_ex_date, class_ends
from options_helper.analysis.attention.entries import AttentionKind, Deadline, Entry, Who, due
from options_helper.analysis.attention.expiring import Ending, Moment, Power
from options_helper.analysis.attention.held_legs import Entries, HeldLine, basis_words, is_over
from options_helper.analysis.attention.over_ex_date import Delivered, delivered_before, paid_words
from options_helper.analysis.attention.remedies import SEE_FIRST, Remedy, to_close_early
from options_helper.analysis.attention.same_night import purses_of_night
from options_helper.analysis.attention.two_books import TwoBooks
from options_helper.analysis.attention.words import Purse, dollars, money_words
from options_helper.analysis.live_health import Level
from options_helper.analysis.marks import believed_sides
from options_helper.analysis.risk.dividends import LegDividends, dividends_of_leg
from options_helper.analysis.risk.leg_inputs import made_until, session_ended_ns
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_hours import MINUTES_A_YEAR
from options_helper.model.contract_symbols import other_type
from options_helper.model.market_hours import new_york_date
from options_helper.model.risk_inputs import Dividend
from options_helper.model.snapshot import LiveSnapshot

# What may be exercised early is in the money, and is told here alone.
_SHORT: Final = (AttentionKind.IN_THE_MONEY_SHORT,)
_THEN_SHARES: Final = "then it is shares, which can fall to 0."


class LegLife(Struct, frozen=True, gc=False):
    """One leg with the dividends in its life."""

    held: HeldLine
    dividends: LegDividends | None  # None: it has no end that is known, or is written on an index


def leg_lives(
    book: Sequence[HeldLine],
    live: LiveSnapshot,
    own_dividends: Mapping[str, tuple[Dividend, ...]] = MappingProxyType({}),
) -> tuple[LegLife, ...]:
    """Every leg that has not ended, with what goes ex before it does, today's ex-date not among it.

    `own_dividends` are the user's, by symbol.
    """
    return tuple(
        LegLife(one, _dividends(one, live, own_dividends.get(one.instrument.underlying, ())))
        for one in book
        if one.life is not None and not one.ended
    )


def _dividends(one: HeldLine, live: LiveSnapshot, own: tuple[Dividend, ...]) -> LegDividends | None:
    settles = None if one.life is None else one.life.settles
    if settles is None or is_index(one.instrument.underlying):
        return None
    actions = live.risk_inputs.actions.get(one.instrument.underlying)
    return dividends_of_leg(actions, live.as_of, settles, own=own)


def early_entries(
    lives: Sequence[LegLife],
    live: LiveSnapshot,
    moment: Moment,
    power: Power,
    at_end: Mapping[str, Remedy] = MappingProxyType({}),
    *,
    books: TwoBooks,
    found: Sequence[Ending],
    settle: AtEnd,
) -> Iterator[Entry]:
    """Calls before an ex-date and puts on carry, in the money and American; both those sold and those held.

    `at_end` are remedies of contracts which end soon, and which to close alone may leave more missing then; `settle` is
    what any leg ends with. What ends soon takes its own of the buying power before anything is exercised. `books` have
    the partners of each leg and the shares that a sold call delivers; what ends soon (`found`) has its own of these.
    """
    early = [leg for leg in lives if _may_be_exercised(leg.held, moment)]
    money = _Money(power, fsum(_to_exercise(leg, moment) for leg in early))
    calls = {leg.held.instrument.live_symbol: _reasons(leg, live, moment) for leg in early if _is_call(leg)}
    sold = [(leg.held, _owed(reasons.dividend, leg.held, live)) for leg, reasons in _sold_calls(early, calls)]
    delivered = delivered_before(sold, books, found, moment)
    puts = [(leg.held, signs) for leg in early if _is_sold_put(leg) and (signs := _put_signs(leg, moment.at))]
    purses = purses_of_night([one for one, _ in puts], books, power, settle)
    signs_of = {one.instrument.live_symbol: signs for one, signs in puts}
    for leg in early:
        one = leg.held
        symbol = one.instrument.live_symbol
        if (reasons := calls.get(symbol)) is not None:
            entries = _of_call(
                one,
                reasons,
                live,
                moment,
                books.entries,
                delivered=delivered.get(symbol),
                settle=settle,
                money=money,
            )
        elif symbol in purses:
            entry = _short_put(
                one, signs_of[symbol], live, moment, entries=books.entries, purse=purses[symbol]
            )
            entries = iter((_with_its_group(entry, one, settle),))
        else:
            continue
        other = at_end.get(one.instrument.live_symbol) if one.is_short else None
        yield from (
            entry
            if other is None or not entry.remedy.startswith("Close")
            else replace(entry, remedy=other.words, remedy_without_amounts=other.discreet)
            for entry in entries
        )


def _may_be_exercised(one: HeldLine, moment: Moment) -> bool:
    """Whether that would be worth something, and before its end; what ends today is assigned today."""
    if one.life is None or not one.life.is_american or not one.is_in_the_money:
        return False
    return not is_over(one, moment.at) and one.life.last_day != moment.today


def _is_call(leg: LegLife) -> bool:
    return leg.held.instrument.option_type == "call"


def _is_sold_put(leg: LegLife) -> bool:
    return leg.held.instrument.option_type == "put" and leg.held.is_short


@dataclass(frozen=True, slots=True)
class _Reasons:
    """Why a holder gains by exercising a call for a dividend."""

    dividend: Dividend
    signs: tuple[str, ...]  # what says so; of a call of one's own that is its time value alone


def _reasons(leg: LegLife, live: LiveSnapshot, moment: Moment) -> _Reasons | None:
    """None: nothing says that a holder would."""
    dividend, one = next_session_dividend(leg, moment), leg.held
    if dividend is None:
        return None
    signs = _signs(one, dividend, live)
    extrinsic = one.extrinsic_at_bid
    return _Reasons(dividend, signs) if extrinsic is None or extrinsic < dividend.amount or signs else None


def _sold_calls(
    legs: Iterable[LegLife], calls: Mapping[str, _Reasons | None]
) -> Iterator[tuple[LegLife, _Reasons]]:
    for leg in legs:
        reasons = calls.get(leg.held.instrument.live_symbol)
        if reasons is not None and leg.held.is_short:
            yield leg, reasons


def _of_call(
    one: HeldLine,
    reasons: _Reasons,
    live: LiveSnapshot,
    moment: Moment,
    entries: Entries,
    *,
    delivered: Delivered | None,
    settle: AtEnd,
    money: _Money,
) -> Iterator[Entry]:
    """`delivered` is with which shares, of a call that was sold."""
    dividend, extrinsic = reasons.dividend, one.extrinsic_at_bid
    deadlines = before_ex_date(
        one.instrument, dividend.ex_date, live.expiry_facts, live.told_sessions, held=not one.is_short
    )
    by = due(deadlines, moment.at)
    pays = f"{one.instrument.underlying} goes ex {paid_words(dividend)}"
    passed = by is not None and moment.at >= by
    if delivered is not None:
        against = _against(one, dividend)
        entry = _short_call(
            one,
            pays,
            (*reasons.signs, against) if against else reasons.signs,
            partner_words(one, entries, moment.today),
            delivered,
            by=by,
            deadlines=deadlines,
            passed=passed,
            has=money.power.has,
        )
        yield entry if passed else _with_its_group(entry, one, settle)
    elif one.is_long and extrinsic is not None and extrinsic < dividend.amount:
        yield _long_call(
            one,
            pays,
            dividend,
            by=by,
            deadlines=deadlines,
            money=money,
            settle=settle,
        )


@dataclass(frozen=True, slots=True)
class _Money:
    """What is there for exercising."""

    power: Power
    may_take: float  # dollars of all of that kind together

    @property
    def purse(self) -> Purse:
        """What is there for it."""
        return Purse(self.power.has, others=0.0 if self.power.has is None else self.power.together)

    def exercise_words(self, one: HeldLine, needs: float | None, settle: AtEnd) -> str:
        """That a call may be exercised instead, a sentence more; empty where the money is known to be missing."""
        match settle.paid(one, needs):
            case Paid.NO:
                return ""
            case Paid.AT_RISK:
                return " To exercise it would take money or shares that what else ends may need."
            case Paid.NOT_KNOWN:
                return f" Or exercise it before the ex-date, if the money is there: {_THEN_SHARES}"
            case Paid.YES:
                sure = self.power.sure_beside(one) or 0.0
                others = "" if self.may_take <= sure else " and nothing else that takes its money"
                return f" Or exercise it{others} before the ex-date: {_THEN_SHARES}"


def _to_exercise(leg: LegLife, moment: Moment) -> float:
    """Dollars that exercising a call of one's own for the next dividend takes; 0 where nobody gains by it."""
    one, dividend = leg.held, next_session_dividend(leg, moment)
    extrinsic = one.extrinsic_at_bid
    is_call = one.instrument.option_type == "call" and one.is_long and bool(one.is_in_the_money)
    if not is_call or dividend is None or extrinsic is None or extrinsic >= dividend.amount:
        return 0.0
    return one.shares * (one.instrument.strike or 0.0)


def _needed_with(one: HeldLine, settle: AtEnd) -> Remedy | None:
    """What it must be closed with, in the quantity that counts; None: it may be closed alone."""
    if one.in_doubt and one.in_account is None:
        return Remedy(SEE_FIRST)
    settled = settle.of(one)
    return None if settled is None else to_close_early(settle.counted(one), settled)


def _with_its_group(entry: Entry, one: HeldLine, settle: AtEnd) -> Entry:
    """With what a leg is to be closed that covers another, in place of alone."""
    found = _needed_with(one, settle)
    return (
        entry if found is None else replace(entry, remedy=found.words, remedy_without_amounts=found.discreet)
    )


def _sell(one: HeldLine, settle: AtEnd) -> Remedy:
    return _needed_with(one, settle) or Remedy("Sell it before the ex-date.")


def next_session_dividend(leg: LegLife, moment: Moment) -> Dividend | None:
    """What goes ex on the next session, all of it as one: a holder who exercises has all of it."""
    known = () if leg.dividends is None else leg.dividends.dividends
    found = [one for one in known if one.ex_date == moment.following]
    # As time values are: what equals in decimals equals here.
    return replace(found[0], amount=round(fsum(one.amount for one in found), 6)) if found else None


def _owed(dividend: Dividend, one: HeldLine, live: LiveSnapshot) -> Dividend:
    """What who is short of a share pays: special ones of that day too, for which contracts may be adjusted."""
    actions = live.risk_inputs.actions.get(one.instrument.underlying)
    found = () if actions is None else actions.dividends
    special = fsum(other.amount for other in found if other.special and other.ex_date == dividend.ex_date)
    return replace(dividend, amount=dividend.amount + special)


def _signs(one: HeldLine, dividend: Dividend, live: LiveSnapshot) -> tuple[str, ...]:
    """Everything that says a holder gains by exercising it for this dividend."""
    found = []
    extrinsic = one.extrinsic_at_bid
    if extrinsic is None:
        found.append(f"{one.no_bid}, so its time value is not known")
    elif extrinsic < dividend.amount:
        found.append(f"its time value at the bid is {max(extrinsic, 0.0):,.2f}, less than the dividend")
    put = live.quotes.get(other_type(one.instrument.live_symbol))
    ended_ns = session_ended_ns(one.instrument.underlying, live.as_of, live.told_sessions)
    is_of_session = put is not None and bool(made_until(ended_ns, [put]))
    _, offered = believed_sides(put)
    asked = None if offered is None else offered * one.points_a_share
    if is_of_session and asked is not None and asked < dividend.amount:
        found.append(f"the put of its strike is offered at {asked:,.2f}, less than the dividend")
    if one.in_exercise_region:
        found.append("by the model it is worth no more than exercising it now")
    return tuple(found)


def _against(one: HeldLine, dividend: Dividend) -> str:
    """What its own time value says, where that alone would keep a holder from exercising it."""
    extrinsic = one.extrinsic_at_bid
    if extrinsic is None or extrinsic < dividend.amount:
        return ""
    return (
        f"its own time value at the bid, {extrinsic:,.2f}, is no less than the dividend and speaks against it"
    )


def _named(one: HeldLine) -> str:
    """Its label, and that the file lacks it where it does."""
    return f"{one.instrument.label}{LACKING if one.account_alone else ''}"


def _short_call(
    one: HeldLine,
    pays: str,
    signs: Sequence[str],
    partners: str,
    delivered: Delivered,
    *,
    by: datetime | None,
    deadlines: tuple[Deadline, ...],
    passed: bool,
    has: float | None,
) -> Entry:
    said, outcome = if_exercised("Assigned", one)
    told = "An assignment shows on the ex-date." if passed else "It may be assigned on the ex-date."
    return Entry(
        kind=AttentionKind.EARLY_EXERCISE,
        also=_SHORT,
        level=Level.ERROR,
        subject=one.instrument.underlying,
        symbols=(one.instrument.live_symbol,),
        what=(
            f"{_named(one)} is short and in the money, and {pays}: {'; '.join(signs)}. {told}{delivered.warning} "
            f"{partners}".rstrip()
            + basis_words([one])
        ),
        by=by,
        deadlines=deadlines,
        amounts=f"{said}{delivered.words}.",
        remedy="Look at the account on the ex-date." if passed else "Close it or roll it before the ex-date.",
        needs=delivered.owed,
        has=has,
        shares=None if outcome is None else outcome.shares,
    )


def _long_call(
    one: HeldLine,
    pays: str,
    dividend: Dividend,
    *,
    by: datetime | None,
    deadlines: tuple[Deadline, ...],
    money: _Money,
    settle: AtEnd,
) -> Entry:
    said, outcome = if_exercised("Exercised", one)
    needs = None if outcome is None or outcome.cash >= 0 else -outcome.cash
    lacks = money_words(needs, money.purse)
    is_read = not one.in_doubt or one.in_account is not None
    sell = _sell(one, settle)
    exercise = money.exercise_words(settle.counted(one), needs, settle) if is_read else ""
    extrinsic = max(one.extrinsic_at_bid or 0.0, 0.0)
    gain = (dividend.amount - extrinsic) * one.shares
    return Entry(
        kind=AttentionKind.EARLY_EXERCISE,
        level=Level.WARNING,
        subject=one.instrument.underlying,
        symbols=(one.instrument.live_symbol,),
        what=(
            f"{_named(one)} is held and in the money, and {pays}: exercising gives up {extrinsic:,.2f} a "
            f"share of time value, keeping it the dividend.{basis_words([one])}"
        ),
        by=by,
        deadlines=deadlines,
        amounts=f"{said}{f'; {lacks}' if lacks else ''}; keeping it would give up {dollars(gain)}.",
        remedy=f"{sell.words}{exercise}",
        remedy_without_amounts=f"{sell.discreet}{exercise}" if sell.discreet else "",
        needs=needs,
        has=money.power.has,
        shares=None if outcome is None else outcome.shares,
    )


def _put_signs(leg: LegLife, at: datetime) -> tuple[str, ...]:
    """What says that the holder of a put earns more by having its strike now than by waiting, if anything does."""
    one = leg.held
    extrinsic, interest = one.extrinsic_at_bid, interest_to_come(leg, at)
    by_region = bool(one.in_exercise_region)
    by_carry = extrinsic is not None and interest is not None and extrinsic < interest
    if not by_carry and not by_region:
        return ()
    signs = ("by the model it is worth no more than exercising it now",) if by_region else ()
    value = one.no_bid if extrinsic is None else f"its time value at the bid is {max(extrinsic, 0.0):,.2f}"
    if interest is None:
        return (*signs, value)
    if by_carry:
        return (f"{value}, less than {interest:,.2f} of interest on its strike", *signs)
    return (*signs, f"{value}, beside {interest:,.2f} of interest on its strike")


def _short_put(
    one: HeldLine, signs: Sequence[str], live: LiveSnapshot, moment: Moment, *, entries: Entries, purse: Purse
) -> Entry:
    partners = partner_words(one, entries, moment.today)
    deadlines = _closing_tonight(one, live, moment)
    said, outcome = if_exercised("Assigned", one)
    needs = None if outcome is None or outcome.cash >= 0 else -outcome.cash
    money = money_words(needs, purse)
    is_short = purse.has is not None and purse.lacks(needs) > 0
    return Entry(
        kind=AttentionKind.EARLY_EXERCISE,
        also=_SHORT,
        level=Level.WARNING,
        subject=one.instrument.underlying,
        symbols=(one.instrument.live_symbol,),
        what=f"{_named(one)} is short and may be assigned any night: {'; '.join(signs)}. {partners}".rstrip()
        + basis_words([one]),
        by=due(deadlines, moment.at),
        deadlines=deadlines,
        amounts=f"{said}{f'; {money}' if money else ''}.",
        remedy=f"Close it or roll it{': its money is not there' if is_short else ', if the shares are not wanted'}.",
        needs=needs,
        has=purse.has,
        set_aside=purse.aside,
        shares=None if outcome is None else outcome.shares,
    )


def interest_to_come(leg: LegLife, at: datetime) -> float | None:
    """Interest on the strike until the end less the dividends that fall before it, dollars a share; None: not known."""
    one = leg.held
    settles = None if one.life is None else one.life.settles
    if settles is None or one.rate is None or leg.dividends is None or one.instrument.strike is None:
        return None
    if leg.dividends.is_unread:
        return None
    years = max(0.0, (settles - at).total_seconds() / 60 / MINUTES_A_YEAR)
    spared = sum(
        dividend.amount * exp(-one.rate * max(0.0, (dividend.ex_date - new_york_date(at)).days / 365))
        for dividend in leg.dividends.dividends
    )
    return one.instrument.strike * expm1(one.rate * years) - spared


def _closing_tonight(one: HeldLine, live: LiveSnapshot, moment: Moment) -> tuple[Deadline, ...]:
    """Until when it can be closed before the next night in which it may be assigned."""
    instrument, told = one.instrument, live.told_sessions
    for day in (moment.today, moment.following):
        if day is None:
            continue
        ends = class_ends(instrument.live_symbol, instrument.underlying, day, live.expiry_facts, told)
        if ends.at is not None and moment.at < ends.at:
            said = "trading ends before the next night"
            return (Deadline(ends.at, Who.EXCHANGE, said, ends.source, read_at=ends.read_at),)
    return ()


def unread_dividends(lives: Sequence[LegLife]) -> Iterator[str]:
    """Of which short calls in the money nobody can say whether a dividend calls for them, a sentence each name."""
    names = {
        leg.held.instrument.underlying: leg.dividends.is_unread
        for leg in lives
        if leg.held.is_short
        and leg.held.is_in_the_money
        and leg.held.instrument.option_type == "call"
        and leg.dividends is not None
        and leg.dividends.is_unknown
    }
    for name, is_unread in names.items():
        why = "its dividends were not read" if is_unread else "one that is announced cannot be read"
        yield (
            f"{name}: whether its short calls may be exercised for a dividend cannot be judged, since {why}."
        )
