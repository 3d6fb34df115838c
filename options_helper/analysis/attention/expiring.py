"""What ends today or in the next session: what it brings if it expires now, what that lacks, and what is pinned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from options_helper.analysis.attention.deadlines import last_day_deadlines
from options_helper.analysis.attention.delivery import (
    Demand,
    Outcome,
    demand,
    free_shares,
    is_pinned,
    outcome_at,
    together,
)
from options_helper.analysis.attention.entries import AttentionKind, Deadline, Entry, due
from options_helper.analysis.attention.held_legs import HeldLine, is_fixed, is_over
from options_helper.analysis.attention.words import (
    clock,
    day_word,
    dollars,
    listed,
    outcome_words,
    shortage_words,
)
from options_helper.analysis.live_health import Level
from options_helper.model.contract_symbols import plain_number, short_date
from options_helper.model.market_hours import (
    ToldSessions,
    new_york_date,
    next_session,
    regular_session,
)
from options_helper.model.text import format_count

_CENT: Final = 0.01
_CLOSE_IT: Final = "Close it, or roll it to a later expiry."


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is judged, and the two days on which something may end soon."""

    at: datetime
    today: date  # New York's
    following: date | None  # the next session after today; None: the calendar does not reach
    told: ToldSessions

    @classmethod
    def of(cls, at: datetime, told: ToldSessions) -> Moment:
        """The moment at an instant."""
        today = new_york_date(at)
        return cls(at, today, next_session(today, told), told)


@dataclass(frozen=True, slots=True)
class Ending:
    """All legs of one underlying whose worth is fixed at one instant, and what that brings at the price of now."""

    underlying: str
    legs: tuple[HeldLine, ...]
    last_day: date  # on which they are traded
    settles: datetime
    is_fixed: bool  # the price that decides has been made
    is_over: bool  # and nothing of it is traded any more
    deadlines: tuple[Deadline, ...]
    outcome: Outcome | None  # None: there is no price, or what is delivered is not known
    demand: Demand | None

    def level(self, moment: Moment) -> Level:
        """Today's is grave."""
        return Level.ERROR if self.last_day <= moment.today else Level.WARNING

    @property
    def symbols(self) -> tuple[str, ...]:
        """Its contracts."""
        return tuple(one.instrument.live_symbol for one in self.legs)


def endings(book: Sequence[HeldLine], moment: Moment) -> tuple[Ending, ...]:
    """What is traded for the last time today or in the next session, or was and is not matched before the next one."""
    groups: dict[tuple[str, datetime], list[HeldLine]] = {}
    for one in book:
        life = one.life
        if life is None or life.settles is None or not _is_near(one, moment):
            continue
        groups.setdefault((one.instrument.underlying, life.settles), []).append(one)
    return tuple(_ending(name, settles, legs, book, moment) for (name, settles), legs in groups.items())


def _is_near(one: HeldLine, moment: Moment) -> bool:
    """Whether its end is today's or the next session's, or lies behind with no session begun since."""
    life = one.life
    if life is None or life.settles is None:
        return False
    if life.last_day in (moment.today, moment.following):
        return True
    if moment.at < life.settles:
        return life.last_day < moment.today  # traded no more, and not settled yet
    after = next_session(new_york_date(life.settles), moment.told)
    session = None if after is None else regular_session(after, moment.told)
    return session is not None and moment.at < session.opens


def _ending(
    name: str, settles: datetime, legs: Sequence[HeldLine], book: Sequence[HeldLine], moment: Moment
) -> Ending:
    first = legs[0]
    life, spot = first.life, next((one.spot for one in legs if one.spot is not None), None)
    outcome = None if spot is None else together(legs, spot)
    return Ending(
        underlying=name,
        legs=tuple(legs),
        last_day=settles.date() if life is None else life.last_day,
        settles=settles,
        is_fixed=all(is_fixed(one, moment.at) for one in legs),
        is_over=all(is_over(one, moment.at) for one in legs),
        deadlines=() if life is None else last_day_deadlines(life, moment.told),
        outcome=outcome,
        demand=None if outcome is None else demand(outcome, free_shares(name, book, legs)),
    )


def ending_entries(found: Sequence[Ending], moment: Moment, has: float | None) -> Iterator[Entry]:
    """The entries of all that ends soon; `has` is the account's options buying power, dollars."""
    together_needed = sum(one.demand.dollars for one in found if one.demand is not None and not one.is_over)
    for ending in found:
        if not ending.is_over:
            yield _at_open(ending, moment) if _settles_at_open(ending) else _expiring(ending, moment, has)
            yield from _without_money(ending, moment, has, together_needed)
        if not _settles_at_open(ending):
            yield from _pins(ending, moment)


def _settles_at_open(ending: Ending) -> bool:
    life = ending.legs[0].life
    return life is not None and life.at_open


def _expiring(ending: Ending, moment: Moment, has: float | None) -> Entry:
    life = ending.legs[0].life
    ends = None if life is None else life.trading_ends
    until = "" if ends is None else f", traded until {clock(ends)} in New York"
    alone = ending.legs[0] if len(ending.legs) == 1 else None
    what = format_count(len(ending.legs), "line") if alone is None else alone.instrument.label
    verb = "expires" if alone is not None else "expire"
    where = "" if alone is None or alone.inside is None else f", {_place_words(alone.inside)}"
    said = f"{what} {verb} {day_word(ending.last_day, moment.today)}{until}{where}."
    shortage = "" if ending.demand is None else shortage_words(ending.demand, has, ending.underlying)
    amounts = (
        f"What becomes of it cannot be judged: {_why_unknown(ending)}."
        if ending.outcome is None
        else f"If it expires now: {outcome_words(ending.outcome, ending.underlying)}"
        f"{f'; {shortage}' if shortage else ''}."
    )
    return Entry(
        kind=AttentionKind.EXPIRING,
        level=ending.level(moment),
        subject=ending.underlying,
        symbols=ending.symbols,
        what=f"{said}{_broker_words(ending, moment)}",
        by=due(ending.deadlines, moment.at),
        deadlines=ending.deadlines,
        amounts=amounts,
        remedy="Close or roll what must not be exercised or assigned.",
        needs=None if ending.demand is None else ending.demand.dollars or None,
        has=has,
        shares=None if ending.outcome is None else ending.outcome.shares,
    )


def _place_words(inside: float) -> str:
    """Where a price is beside a strike: "in the money by 0.89"."""
    if not inside:
        return "at the money"
    return f"{'in' if inside > 0 else 'out of'} the money by {abs(inside):,.2f}"


def _why_unknown(ending: Ending) -> str:
    if any(one.instrument.adjusted or one.instrument.multiplier is None for one in ending.legs):
        return "an adjusted contract delivers something else"
    return f"{ending.underlying} has no price"


def _broker_words(ending: Ending, moment: Moment) -> str:
    """Both of the broker's instants, the stricter first; once it has passed, that it has."""
    sell_outs = [one for one in ending.deadlines if one.sells_out]
    if not sell_outs or ending.last_day != moment.today:
        return ""
    strict = sell_outs[0]
    others = "".join(f", {clock(one.at)} by another page" for one in sell_outs[1:])
    if moment.at >= strict.at:
        return f" Since {clock(strict.at)}{others} Alpaca may close what lacks money or shares."
    return f" Alpaca may close what lacks money or shares from {clock(strict.at)}{others}."


def _at_open(ending: Ending, moment: Moment) -> Entry:
    first = ending.legs[0]
    life = first.life
    over = life is not None and life.trading_ends is not None and moment.at >= life.trading_ends
    opens = f"the opening prices of {short_date(ending.settles.date())}"
    said = (
        f"Not traded any more: {opens} decide."
        if over
        else f"Traded for the last time {day_word(ending.last_day, moment.today)}"
        f"{'' if life is None or life.trading_ends is None else f' until {clock(life.trading_ends)}'}: {opens} decide."
    )
    source = "" if life is None else f" (by {life.settlement_source})"
    return Entry(
        kind=AttentionKind.AM_SETTLED,
        level=Level.WARNING if over else ending.level(moment),
        subject=ending.underlying,
        symbols=ending.symbols,
        what=f"{said[:-1]}{source}.",
        by=due(ending.deadlines, moment.at),
        deadlines=ending.deadlines,
        amounts=""
        if ending.outcome is None
        else f"At the price of now: {outcome_words(ending.outcome, ending.underlying)}.",
        remedy="Nothing can be done but wait for the opening." if over else _CLOSE_IT,
        needs=None if ending.demand is None else ending.demand.dollars or None,
        shares=None if ending.outcome is None else ending.outcome.shares,
    )


def _without_money(
    ending: Ending, moment: Moment, has: float | None, together_needed: float
) -> Iterator[Entry]:
    """Where what is long and in the money is exercised without the money, or the shares, that takes."""
    wanted = ending.demand
    if wanted is None or all(one.life is None or one.life.is_cash for one in ending.legs):
        return
    longs = [one for one in ending.legs if one.quantity > 0 and one.is_in_the_money]
    lacks_money = wanted.dollars > 0 and (has is None or together_needed > has)
    if not longs or not (lacks_money or wanted.shares):
        return
    alone = has is not None and wanted.dollars <= has
    others = (
        f" All that ends with it needs {dollars(together_needed)} together." if alone and lacks_money else ""
    )
    unknown = has is None and wanted.dollars > 0 and not wanted.shares
    yield Entry(
        kind=AttentionKind.LONG_WITHOUT_MONEY,
        level=Level.WARNING if unknown else ending.level(moment),
        subject=ending.underlying,
        symbols=tuple(one.instrument.live_symbol for one in longs),
        what=(
            f"{listed([one.instrument.label for one in longs])} in the money, and whether the account can exercise "
            "is not known."
            if unknown
            else f"{listed([one.instrument.label for one in longs])} in the money without what exercising takes."
        ),
        by=due(ending.deadlines, moment.at),
        deadlines=ending.deadlines,
        amounts=(
            f"If it expires now: {outcome_words(ending.outcome, ending.underlying)}; "
            f"{shortage_words(wanted, has, ending.underlying) or 'enough of it alone'}.{others}"
        ),
        remedy=_to_sell(longs),
        needs=wanted.dollars or None,
        has=has,
        shares=wanted.outcome.shares,
    )


def _to_sell(longs: Iterable[HeldLine]) -> str:
    """That selling loses nothing that exercising keeps."""
    kept = [one.extrinsic_at_bid for one in longs]
    known = [one for one in kept if one is not None and one > 0]
    gives_up = f" Exercising would give up {max(known):,.2f} a share of time value." if known else ""
    return f"Sell it, or ask Alpaca not to exercise it.{gives_up}"


def _pins(ending: Ending, moment: Moment) -> Iterator[Entry]:
    """Legs that may end on either side of their strike: today until the close, and then until the morning's match."""
    if ending.last_day > moment.today and not ending.is_fixed:
        return
    for one in ending.legs:
        if not is_pinned(one, moment.at):
            continue
        strike = one.instrument.strike or 0.0
        above, below = (together(ending.legs, strike + step) for step in (_CENT, -_CENT))
        said = f"{one.instrument.label} is pinned: {_place_words(one.inside or 0.0)}"
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
            what=f"{said}{matched}",
            by=due(ending.deadlines, moment.at),
            deadlines=ending.deadlines,
            amounts=(
                f"Above {plain_number(strike)}: {outcome_words(above, ending.underlying)}; below: "
                f"{outcome_words(below, ending.underlying)}."
            ),
            remedy="Look at the positions before the next open." if ending.is_over else _CLOSE_IT,
            needs=_most_needed(above, below),
            shares=None if above is None or below is None else _farthest(above, below),
        )


def _most_needed(above: Outcome | None, below: Outcome | None) -> float | None:
    known = [one for one in (above, below) if one is not None]
    return max((-one.cash for one in known if one.cash < 0), default=None)


def _farthest(above: Outcome, below: Outcome) -> float:
    return max((above.shares, below.shares), key=abs)


def short_entries(
    book: Sequence[HeldLine], found: Sequence[Ending], moment: Moment, has: float | None
) -> Iterator[Entry]:
    """Every short leg in the money; what ends today or next is grave, of the rest it is to be known."""
    near = {id(one): ending for ending in found for one in ending.legs}
    for one in book:
        if not one.is_short or not one.is_in_the_money or one.life is None or is_over(one, moment.at):
            continue
        ending = near.get(id(one))
        outcome = None if one.spot is None else outcome_at(one, one.spot)
        deadlines = last_day_deadlines(one.life, moment.told)
        yield Entry(
            kind=AttentionKind.IN_THE_MONEY_SHORT,
            level=Level.INFO if ending is None else ending.level(moment),
            subject=one.instrument.underlying,
            symbols=(one.instrument.live_symbol,),
            what=_short_words(one, ending, moment, book),
            by=due(deadlines, moment.at),
            deadlines=deadlines,
            amounts=_assigned(outcome, ending, one.instrument.underlying, has),
            remedy=_CLOSE_IT if ending is not None else "Its time value at the bid says how near that is.",
            needs=None if outcome is None or outcome.cash >= 0 else -outcome.cash,
            has=has,
            shares=None if outcome is None else outcome.shares,
        )


def _assigned(outcome: Outcome | None, ending: Ending | None, name: str, has: float | None) -> str:
    """What the assignment brings, and what all that ends with it lacks."""
    wanted = None if ending is None else ending.demand
    lacks = "" if wanted is None else shortage_words(wanted, has, name)
    with_it = f"; with all that ends with it: {lacks}" if lacks else ""
    return f"Assigned: {outcome_words(outcome, name)}{with_it}."


def _short_words(one: HeldLine, ending: Ending | None, moment: Moment, book: Sequence[HeldLine]) -> str:
    life = one.life
    said = f"{one.instrument.label} is in the money by {one.inside or 0.0:,.2f}"
    if life is not None and life.is_cash:
        happens = "is settled in cash"
    elif life is not None and not life.is_american:
        happens = "is assigned at its end"
    else:
        happens = "is assigned unless it is closed" if ending is not None else "may be assigned any day"
    when = f" {day_word(ending.last_day, moment.today)}" if ending is not None else ""
    partners = partner_words(one, book)
    return f"{said}, and {happens}{when}.{f' {partners}' if partners else ''}"


def partner_words(one: HeldLine, book: Sequence[HeldLine]) -> str:
    """What becomes of the other legs of its structure when it ends; empty where it has none."""
    partners = [
        other for other in book if other.entry_id == one.entry_id and other is not one and not other.ended
    ]
    if not partners:
        return ""
    return f"Partner: {listed([_partner(other, one) for other in partners])}."


def _partner(other: HeldLine, one: HeldLine) -> str:
    label = other.instrument.label
    if not other.instrument.is_option:
        return f"{label} shares, which are delivered" if one.is_short else f"{label} shares"
    if other.life is None or one.life is None or other.life.settles != one.life.settles:
        return f"{label}, which goes on"
    inside = other.is_in_the_money
    if inside is None:
        return f"{label}, of which nothing is known"
    happens = "assigned too" if other.is_short else "exercised too"
    return f"{label}, {'which is ' + happens if inside else 'which ends worthless'}"
