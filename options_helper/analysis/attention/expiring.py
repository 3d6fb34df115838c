"""What ends today or in the next session: what it brings if it expires now, and what that lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property, lru_cache
from math import fsum
from typing import NamedTuple, TypeAlias

from options_helper.analysis.attention.aftermath import Aftermath
from options_helper.analysis.attention.collateral import Collateral
from options_helper.analysis.attention.deadlines import last_day_deadlines
from options_helper.analysis.attention.delivery import (
    Demand,
    Outcome,
    demand,
    free_shares,
    together,
)
from options_helper.analysis.attention.entries import AttentionKind, Deadline, Entry, due
from options_helper.analysis.attention.held_legs import CENT, HeldLine, basis_words, is_fixed, is_over
from options_helper.analysis.attention.remedies import (
    CLOSE_IT,
    SEE_FIRST,
    Remedy,
    to_sell,
)
from options_helper.analysis.attention.shortage import Settlement, settlement
from options_helper.analysis.attention.two_books import Quantities, TwoBooks
from options_helper.analysis.attention.words import (
    Purse,
    clock,
    day_word,
    listed,
    outcome_words,
    place_words,
    shortage_words,
)
from options_helper.analysis.live_health import Level
from options_helper.analysis.remembered import Itself
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import (
    ToldSessions,
    new_york_date,
    next_session,
    regular_session,
)
from options_helper.model.text import format_count


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
    beside: tuple[HeldLine, ...]  # what else is held on the underlying and has not ended
    collateral: Collateral  # what is set aside for what of it was sold
    quantities: Quantities = Quantities.AGREED
    by_account: Ending | None = None  # where the account's quantities are others, and known

    @property
    def judged(self) -> Ending:
        """What is laid beside the account's money."""
        return self.by_account or self

    @property
    def takes(self) -> float:
        """Dollars of the buying power, beside what is set aside for it."""
        counted = self.judged
        if counted.demand is None:
            return 0.0
        aside = 0.0 if counted.spot is None else counted.collateral.at(counted.spot)
        return max(0.0, counted.demand.dollars - aside)

    @property
    def spot(self) -> float | None:
        """The price of now."""
        return next((one.spot for one in self.legs if one.spot is not None), None)

    @property
    def all_legs(self) -> tuple[HeldLine, ...]:
        """Its legs, and beside them those that the account alone holds."""
        alone = self.judged.legs if self.by_account is not None else ()
        return (*self.legs, *(one for one in alone if one.account_alone))

    def level(self, moment: Moment) -> Level:
        """Today's is grave."""
        return Level.ERROR if self.last_day <= moment.today else Level.WARNING

    @property
    def symbols(self) -> tuple[str, ...]:
        """Its contracts."""
        return tuple(one.instrument.live_symbol for one in self.all_legs)


class Taken(NamedTuple):
    """What an end takes at one price."""

    price: float
    dollars: float  # to be paid, 0 or more
    aside: float  # of these, set aside for what ends
    shares: float | None  # to be delivered and not free, 0 or more; None: not known

    @property
    def beside(self) -> float:
        """Dollars of the buying power, beside what is set aside."""
        return self.dollars - self.aside


def taken_at(ending: Ending, prices: Iterable[float]) -> list[Taken] | None:
    """What it takes at each of these prices, in the quantities that count; None: what a leg delivers is not known."""
    counted = ending.judged
    if counted.demand is None:
        return None
    found = []
    for price in prices:
        outcome = together(counted.legs, price)
        if outcome is None:
            return None
        wanted = demand(outcome, counted.demand.free)
        aside = min(wanted.dollars, counted.collateral.at(price))
        found.append(Taken(price, wanted.dollars, aside, wanted.shares))
    return found


def prices_around(strikes: Iterable[float]) -> list[float]:
    """Each strike and a cent on either side: between two of them the same is exercised at every price."""
    return sorted({round(strike + step, 6) for strike in strikes for step in (-CENT, 0.0, CENT)})


@dataclass(frozen=True)
class Power:
    """The account's options buying power, and what all that ends soon takes of it.

    Without slots: what is taken at the worst is asked for by few, and worked out once.
    """

    has: float | None  # dollars; None: not known
    living: tuple[Ending, ...]  # what ends soon and can still be traded

    @classmethod
    def of(cls, has: float | None, found: Iterable[Ending]) -> Power:
        """What all takes that can still be traded."""
        return cls(has, tuple(one for one in found if not one.is_over))

    @cached_property
    def together(self) -> float:
        """Dollars that all of it takes at the prices of now, beside what is set aside."""
        return fsum(one.takes for one in self.living)

    @property
    def left(self) -> float | None:
        """After all of it; negative: so much is missing."""
        return None if self.has is None else self.has - self.together

    def sure_beside(self, one: HeldLine) -> float | None:
        """What is left at whatever prices all ends but that of this line; None: not known."""
        symbol = one.instrument.live_symbol
        found = [
            most
            for ending, most in zip(self.living, self._at_most, strict=True)
            if symbol not in ending.symbols
        ]
        known = [most for most in found if most is not None]
        return None if self.has is None or len(known) < len(found) else self.has - fsum(known)

    @cached_property
    def _at_most(self) -> list[float | None]:
        """What each takes at the price that is worst for it; what is beyond all strikes counts at twice the last."""
        return [_takes_at_most(one) for one in self.living]

    def purse(self, ending: Ending, price: float | None = None) -> Purse:
        """What is there for one end, at a price or at that of now."""
        counted = ending.judged
        at = counted.spot if price is None else price
        takes = 0.0 if ending.is_over else ending.takes
        return Purse(
            self.has,
            aside=0.0 if at is None or self.has is None else counted.collateral.at(at),
            others=max(0.0, self.together - takes),
        )


def endings(books: TwoBooks, moment: Moment) -> tuple[Ending, ...]:
    """What is traded for the last time today or in the next session, or was and is not matched before the next one."""
    of_file = _by_end(books.of_file, moment)
    of_account = of_file if books.of_account is books.of_file else _by_end(books.of_account, moment)
    last_known = _by_end(books.of_last_known, moment)
    return tuple(
        _of_two(
            key, *(one.get(key, []) for one in (of_file, of_account, last_known)), books=books, moment=moment
        )
        for key in dict.fromkeys((*of_file, *of_account))
    )


def _by_end(book: Sequence[HeldLine], moment: Moment) -> dict[tuple[str, datetime], list[HeldLine]]:
    groups: dict[tuple[str, datetime], list[HeldLine]] = {}
    for one in book:
        life = one.life
        if life is not None and life.settles is not None and _is_near(one, moment):
            groups.setdefault((one.instrument.underlying, life.settles), []).append(one)
    return groups


def _of_two(
    key: tuple[str, datetime],
    ours: Sequence[HeldLine],
    theirs: Sequence[HeldLine],
    last_known: Sequence[HeldLine],
    *,
    books: TwoBooks,
    moment: Moment,
) -> Ending:
    """The file's, and beside it the account's where the two are apart."""
    name, settles = key
    if not ours:
        alone = _ending(
            name, settles, theirs, books.account_on[name], moment, is_as_asked=books.is_as_asked(name)
        )
        return replace(alone, quantities=Quantities.ACCOUNT_ALONE)
    by_file = _ending(name, settles, ours, books.file_on[name], moment, is_as_asked=books.is_as_asked(name))
    quantities = books.quantities(name)
    if quantities is Quantities.ACCOUNT:
        beside = _beside(
            by_file,
            theirs,
            books.account_on.get(name, ()),
            quantities,
            is_as_asked=books.is_as_asked(name),
        )
        # Where nothing that ends here is apart, and what else is there covers as much, both are one and the same; but
        # what may be sold of it hangs on the shares that stay, which are the account's.
        is_apart = any(one.in_doubt or one.account_alone for one in (*ours, *theirs))
        if not is_apart and _taken(beside.demand) == _taken(by_file.demand):
            return replace(by_file, demand=beside.demand, beside=beside.beside, collateral=beside.collateral)
        return replace(by_file, by_account=beside)
    if quantities is Quantities.IN_DOUBT and books.has_last_known(name):
        # For the seconds in which they are read anew a warning must not shrink.
        before = _beside(by_file, last_known, books.last_known_on.get(name, ()), Quantities.LAST_KNOWN)
        if _takes_more(before.demand, by_file.demand):
            return replace(by_file, by_account=before)
    return by_file if quantities is by_file.quantities else replace(by_file, quantities=quantities)


def _beside(
    by_file: Ending,
    legs: Sequence[HeldLine],
    book: Sequence[HeldLine],
    quantities: Quantities,
    *,
    is_as_asked: bool = False,
) -> Ending:
    """The same end by other quantities."""
    spot = next((one.spot for one in by_file.legs if one.spot is not None), None)
    outcome = None if spot is None else together(legs, spot)
    return replace(
        by_file,
        legs=tuple(legs),
        outcome=outcome,
        demand=None if outcome is None else demand(outcome, free_shares(book, legs)),
        beside=_others(book, legs),
        collateral=Collateral(tuple(legs), _others(book, legs), is_as_asked),
        quantities=quantities,
    )


def _takes_more(one: Demand | None, other: Demand | None) -> bool:
    if one is None or other is None:
        return False
    return (one.dollars, one.shares or 0.0) > (other.dollars, other.shares or 0.0)


def _taken(one: Demand | None) -> tuple[float, float | None] | None:
    return None if one is None else (one.dollars, one.shares)


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
    name: str,
    settles: datetime,
    legs: Sequence[HeldLine],
    book: Sequence[HeldLine],
    moment: Moment,
    *,
    is_as_asked: bool,
) -> Ending:
    first = legs[0]
    life, spot = first.life, next((one.spot for one in legs if one.spot is not None), None)
    outcome = None if spot is None else together(legs, spot)
    others = _others(book, legs)
    return Ending(
        underlying=name,
        legs=tuple(legs),
        last_day=settles.date() if life is None else life.last_day,
        settles=settles,
        is_fixed=all(is_fixed(one, moment.at) for one in legs),
        is_over=all(is_over(one, moment.at) for one in legs),
        deadlines=() if life is None else last_day_deadlines(life, moment.told),
        outcome=outcome,
        demand=None if outcome is None else demand(outcome, free_shares(book, legs)),
        beside=others,
        collateral=Collateral(tuple(legs), others, is_as_asked),
    )


def _others(book: Sequence[HeldLine], legs: Sequence[HeldLine]) -> tuple[HeldLine, ...]:
    return tuple(one for one in book if not one.ended and one not in legs)


def ending_entries(
    found: Sequence[Ending], moment: Moment, power: Power, settled: Settled
) -> Iterator[Entry]:
    """The entries of all that ends soon and is `settled` so; what of it is pinned is told apart."""
    for ending in found:
        if not ending.is_over:
            yield (
                _at_open(ending, moment, power.has)
                if settles_at_open(ending)
                else _expiring(ending, moment, power)
            )
            yield from _without_money(ending, moment, power, settled[ending.settles, ending.underlying])


def settles_at_open(ending: Ending) -> bool:
    """Whether the opening prices of the day after its last one decide."""
    life = ending.legs[0].life
    return life is not None and life.at_open


def _expiring(ending: Ending, moment: Moment, power: Power) -> Entry:
    life = ending.legs[0].life
    ends = None if life is None else life.trading_ends
    until = "" if ends is None else f", traded until {clock(ends)} in New York"
    alone = ending.legs[0] if len(ending.legs) == 1 else None
    what = format_count(len(ending.legs), "line") if alone is None else alone.instrument.label
    verb = "expires" if alone is not None else "expire"
    lacking = " It is in the account alone." if ending.quantities is Quantities.ACCOUNT_ALONE else ""
    where = "" if alone is None or alone.inside is None else f", {place_words(alone.inside)}"
    said = f"{what} {verb} {day_word(ending.last_day, moment.today)}{until}{where}."
    counted = ending.judged
    purse = power.purse(ending)
    shortage = "" if counted.demand is None else shortage_words(counted.demand, purse, ending.underlying)
    amounts = (
        f"What becomes of it cannot be judged: {_why_unknown(counted)}."
        if counted.outcome is None
        else f"{_if_now(ending)}{f'; {shortage}' if shortage else ''}.{_by_file(ending)}"
    )
    return Entry(
        kind=AttentionKind.EXPIRING,
        level=ending.level(moment),
        subject=ending.underlying,
        symbols=ending.symbols,
        what=f"{said}{lacking}{_broker_words(ending, moment)}{basis_words(ending.all_legs)}",
        by=due(ending.deadlines, moment.at),
        deadlines=ending.deadlines,
        amounts=amounts,
        remedy=SEE_FIRST
        if counted.quantities.is_in_doubt
        else f"Close or roll what must not be exercised or assigned.{_as_one(counted)}",
        needs=None if counted.demand is None else counted.demand.dollars or None,
        has=power.has,
        set_aside=purse.aside,
        shares=None if counted.outcome is None else counted.outcome.shares,
    )


def _as_one(ending: Ending) -> str:
    """That what covers another is not closed without it, where some are sold and some are held."""
    options = [one for one in (*ending.legs, *ending.beside) if one.quantity]
    if not any(one.quantity > 0 for one in ending.legs) or not any(one.quantity < 0 for one in options):
        return ""
    return " Nothing that is held goes before the sold legs that it covers."


def _if_now(ending: Ending, when: str = "If it expires now") -> str:
    """What it brings, and by whose quantities."""
    counted = ending.judged
    return f"{when}{counted.quantities.value}: {outcome_words(counted.outcome, ending.underlying)}"


def _by_file(ending: Ending) -> str:
    """What it brings by the file's quantities too, where the account's are others; else empty."""
    if ending.by_account is None:
        return ""
    same = ending.outcome == ending.by_account.outcome
    return f" By the file's: {'the same' if same else outcome_words(ending.outcome, ending.underlying)}."


def _why_unknown(ending: Ending) -> str:
    odd = [one for one in ending.legs if one.delivers_something_else or one.instrument.multiplier is None]
    if odd:
        told = next((one.life.delivers for one in odd if one.life is not None and one.life.delivers), "")
        by = f": {told} for each contract by Alpaca's record" if told else ""
        return f"an adjusted contract delivers something else{by}"
    return f"{ending.underlying} has no price"


def _broker_words(ending: Ending, moment: Moment) -> str:
    """Both of the broker's instants, the stricter first; once it has passed, that it has."""
    strict = next((one for one in ending.deadlines if one.sells_out), None)
    if strict is None or ending.last_day != moment.today:
        return ""
    return _sold_out_words(Itself(ending.deadlines), is_since=moment.at >= strict.at)


@lru_cache(maxsize=1_024)  # asked of each end at each refresh
def _sold_out_words(deadlines: Itself[tuple[Deadline, ...]], *, is_since: bool) -> str:
    strict, *others = [one for one in deadlines.value if one.sells_out]
    times = f"{clock(strict.at)}{''.join(f', {clock(one.at)} by another page' for one in others)}"
    if is_since:
        return f" Since {times} Alpaca may close what lacks money or shares."
    return f" Alpaca may close what lacks money or shares from {times}."


def _at_open(ending: Ending, moment: Moment, has: float | None) -> Entry:
    counted = ending.judged
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
    lacking = " It is in the account alone." if ending.quantities is Quantities.ACCOUNT_ALONE else ""
    source = "" if life is None else f" (by {life.settlement_source})"
    return Entry(
        kind=AttentionKind.AM_SETTLED,
        level=Level.WARNING if over else ending.level(moment),
        subject=ending.underlying,
        symbols=ending.symbols,
        what=f"{said[:-1]}{source}.{lacking}{basis_words(ending.all_legs)}",
        by=due(ending.deadlines, moment.at),
        deadlines=ending.deadlines,
        amounts=""
        if counted.outcome is None
        else f"{_if_now(ending, 'At the price of now')}.{_by_file(ending)}",
        remedy="Nothing can be done but wait for the opening."
        if over
        else SEE_FIRST
        if counted.quantities.is_in_doubt
        else f"{CLOSE_IT}{_as_one(counted)}",
        needs=None if counted.demand is None else counted.demand.dollars or None,
        has=has,
        shares=None if counted.outcome is None else counted.outcome.shares,
    )


def settlement_of(ending: Ending, power: Power, spot: float | None = None) -> Settlement | None:
    """What ends, at a price, or at that of now, beside all else that ends soon; None: what it brings is not known."""
    counted = ending.judged
    wanted = counted.demand
    if wanted is None:
        return None
    if all(one.life is None or one.life.is_cash for one in counted.legs):
        nothing = Aftermath(counted.legs, counted.beside, 0.0, 0.0, 0.0, Collateral())
        return Settlement((), (), 0.0, 0.0, nothing)  # nothing is delivered
    money = None if power.has is None else power.has - (power.together - ending.takes)
    return settlement(
        counted.legs,
        counted.spot if spot is None else spot,
        wanted.free,
        money,
        counted.beside,
        is_money_asked_of_these=counted.collateral.is_known,
    )


def _takes_at_most(ending: Ending) -> float | None:
    strikes = [one.instrument.strike or 0.0 for one in ending.judged.legs]
    found = taken_at(ending, [0.0, *prices_around(strikes), 2 * max(strikes, default=0.0)])
    return None if found is None else max(one.beside for one in found)


# By when and of which underlying; None: what it brings is not known.
Settled: TypeAlias = Mapping[tuple[datetime, str], Settlement | None]


def settlements(found: Iterable[Ending], power: Power) -> Settled:
    """Of each end that can still be traded, worked out once for all that is said of it."""
    living = [one for one in found if not one.is_over]
    return {(one.settles, one.underlying): settlement_of(one, power) for one in living}


def _without_money(
    ending: Ending, moment: Moment, power: Power, settled: Settlement | None
) -> Iterator[Entry]:
    """What is long and in the money where less money, or fewer shares, are missing if it is not exercised."""
    counted = ending.judged
    wanted = counted.demand
    found = None if settled is None else to_sell(settled)
    if wanted is None or found is None:
        return
    longs, remedy = found
    remedy = unless_in_doubt(counted) or remedy
    purse = power.purse(ending)
    unknown = not wanted.shares and (power.has is None or not purse.lacks(wanted.dollars))
    labels = listed([one.leg.instrument.label for one in longs])
    yield Entry(
        kind=AttentionKind.LONG_WITHOUT_MONEY,
        level=Level.WARNING if unknown else ending.level(moment),
        subject=ending.underlying,
        symbols=tuple(one.leg.instrument.live_symbol for one in longs),
        what=(
            f"{labels} in the money, and whether the account can exercise is not known."
            if unknown
            else f"{labels} in the money without what exercising takes."
        ),
        by=due(ending.deadlines, moment.at),
        deadlines=ending.deadlines,
        amounts=(
            f"{_if_now(ending)}; {shortage_words(wanted, purse, ending.underlying) or 'enough of it'}."
            f"{_by_file(ending)}"
        ),
        remedy=remedy.words,
        remedy_without_amounts=remedy.discreet,
        needs=wanted.dollars or None,
        has=power.has,
        set_aside=purse.aside,
        shares=wanted.outcome.shares,
    )


def unless_in_doubt(counted: Ending) -> Remedy | None:
    """What is said of any leg in place of closing it while how much is held is in doubt; None: that is known."""
    return Remedy(SEE_FIRST) if counted.quantities.is_in_doubt else None
