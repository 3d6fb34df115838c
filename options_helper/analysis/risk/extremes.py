"""The most that can be won and lost: of an entry alone, of all that is held on one underlying, and of the book.

Everything is counted from a basis: what was paid (negative: received), or what it is worth now if the caller says so.
Nothing here is a margin, and fees, interest, dividends and assignment are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import chain
from typing import Final

from msgspec import Struct

from options_helper.analysis.deliveries import ALL_USUAL, Usual, as_usual
from options_helper.analysis.payoffs import (
    NEVER,
    Given,
    Uncovered,
    end_of,
    given_by,
    is_apart_by_expiry,
    payoff_bounds,
    slope_of,
    uncovered_ends,
    undefined_risks,
)
from options_helper.analysis.remembered import remembered
from options_helper.analysis.risk.least_worth import Least, least_and_given, least_worth
from options_helper.analysis.risk.payoff import Payoff, Stretch, payoff_of, unknown_deliveries, why_no_payoff
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_symbols import plain_number, short_date
from options_helper.model.portfolio import Instrument, Portfolio, PortfolioEntry, PortfolioLine

_NOTHING: Final = Decimal(0)
_CENT: Final = Decimal("0.01")
_UNREAD: Final = "how much of it the account holds is not known"
NO_BASIS: Final = "what was paid is not known"
_OF_SEVERAL: Final = "part of it was paid together with what is on another underlying"
_OF_THE_REST: Final = "what was paid for it without the contracts in doubt is not known"
_NO_WORTH: Final = "what it is worth now is not known"
ENDED_WORTH: Final = "it has ended, and what it settled at is not known here"


class Limit(StrEnum):
    """Whether there is such a number."""

    NUMBER = "number"
    UNLIMITED = "unlimited"  # a gain that grows with the price for ever
    UNDEFINED = "undefined"  # a loss that does
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Extreme:
    """The best or the worst in dollars; where it is no number, the reason in words."""

    limit: Limit
    amount: Decimal | None = None  # a loss is negative
    reason: str = ""
    # The last day on which a worst holds: on it the last contract ends, and what is left can lose more after it. None:
    # nothing can make it worse.
    until: date | None = None
    # With what it counts, where something that can be exercised at its end alone stands for what ends before it.
    given: tuple[Given, ...] = ()

    @property
    def until_words(self) -> str:
        """Until when it holds, as "until 20 Nov 26"; empty where nothing after it can make it worse."""
        return "" if self.until is None else f"until {short_date(self.until)}"

    @property
    def given_words(self) -> str:
        """With what it counts, as "at interest up to 10 % a year"; empty where it counts with nothing."""
        return f"at {' and '.join(self.given)} a year" if self.given else ""

    @property
    def holds_words(self) -> str:
        """Until when it holds and with what it counts; empty where it always holds."""
        return ", ".join(filter(None, (self.until_words, self.given_words)))

    def less(self, basis: Decimal | None, without: str = NO_BASIS) -> Extreme:
        """The profit where this is the worth; that there is no limit needs no basis. `without` is why there is none."""
        if self.amount is None:
            return self
        return _unknown(without) if basis is None else replace(self, amount=self.amount - basis)


@dataclass(frozen=True)
class Held:
    """Lines as if nothing else were held: those of one entry, or all on one underlying.

    Without slots: no price changes it, so what follows from it is worked out once and not at each refresh.
    """

    name: str  # the entry's id, or the underlying
    lines: tuple[PortfolioLine, ...]  # without what has ended
    basis: Decimal | None  # dollars from which profit is counted; None: not known
    least: Extreme  # that they can come to, dollars without the basis
    most: Extreme
    why_no_basis: str = NO_BASIS  # in words, where there is none
    # In how many accounts: of several, least and most are each one's own, added up, and no price need bring them.
    accounts: int = 1

    @cached_property
    def worst(self) -> Extreme:
        """The profit at the worst price, negative where it is a loss."""
        return self.least.less(self.basis, self.why_no_basis)

    @cached_property
    def best(self) -> Extreme:
        """The profit at the best price."""
        return self.most.less(self.basis, self.why_no_basis)

    @cached_property
    def why_no_payoff(self) -> str | None:
        """In words, why no one price decides what they come to; None where one does."""
        return why_no_payoff(self.lines)

    @cached_property
    def payoff(self) -> Payoff | None:
        """What they come to by the price at their end, dollars without the basis."""
        return None if self.why_no_payoff else payoff_of(self.lines)

    @cached_property
    def break_evens(self) -> tuple[Decimal, ...] | None:
        """At which prices of the underlying they end without profit or loss; None where that is not known."""
        payoff = self.payoff
        return None if payoff is None or self.basis is None else payoff.break_evens(self.basis)

    @cached_property
    def winning(self) -> tuple[Stretch, ...]:
        """The prices of the underlying at which they end with a cent of profit or more; none where not known."""
        payoff = self.payoff
        return () if payoff is None or self.basis is None else payoff.stretches_from(self.basis + _CENT)

    @cached_property
    def first_end(self) -> date | None:
        """The expiry of the first contract; None where there is none."""
        ends = (end_of(line.instrument) for line in self.lines)
        return min((end.day for end in ends if end != NEVER), default=None)


class EndedLegs(Struct, frozen=True, gc=False):
    """Contracts that are traded no more and are in no figure: what they cost or bring at their end is not known here.

    That is so until file and account have what became of them: of an index its settlement value, of others the shares.
    """

    lines: tuple[tuple[str, PortfolioLine], ...] = ()  # each with its entry's id

    def of_entry(self, name: str) -> EndedLegs:
        """Those of one entry."""
        return EndedLegs(tuple(one for one in self.lines if one[0] == name))

    def on(self, underlying: str) -> EndedLegs:
        """Those on one underlying."""
        return EndedLegs(tuple(one for one in self.lines if one[1].instrument.underlying == underlying))

    @property
    def delivering(self) -> EndedLegs:
        """Those whose end may bring or take shares."""
        return EndedLegs(tuple(one for one in self.lines if _delivers(one[1].instrument)))

    @property
    def labels(self) -> tuple[str, ...]:
        """What a person calls them, each once."""
        return tuple(dict.fromkeys(line.instrument.label for _, line in self.lines))

    @property
    def words(self) -> str:
        """That a figure is without them; empty where there are none."""
        count = len(self.lines)
        if not count:
            return ""
        return (
            f"{count} legs that have ended are not in it"
            if count > 1
            else "1 leg that has ended is not in it"
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each with what it is that no figure has."""
        return tuple(
            f"{label} has ended, and what its end costs or brings is in no figure." for label in self.labels
        )

    @property
    def alone(self) -> Extreme | None:
        """What stands for a limit where nothing else is left; None where none has ended."""
        return _unknown(ENDED_WORTH) if self.lines else None


NOTHING_ENDED: Final = EndedLegs()


@dataclass(frozen=True)
class BookRisk:
    """Everything held, in the order of the portfolio; without slots as `Held` is."""

    entries: tuple[Held, ...]
    underlyings: tuple[Held, ...]
    worst: Extreme  # the sum of each underlying's worst, as if all came at once
    undefined: tuple[str, ...]  # ids of the entries whose loss has no end, whatever else is held
    ended: EndedLegs = NOTHING_ENDED  # in none of these

    @cached_property
    def unknown_words(self) -> tuple[str, ...]:
        """Of which underlyings the worst is not known, and why: a sentence each."""
        return tuple(
            f"{one.name}: its greatest loss is not known: {one.worst.reason}."
            for one in self.underlyings
            if one.worst.limit is Limit.UNKNOWN
        )

    @property
    def known_worst(self) -> Extreme:
        """The worst; where all that is held has ended it is not known, and no 0."""
        return self.worst if self.entries else self.ended.alone or self.worst


def book_risk(
    portfolio: Portfolio,
    *,
    ended: Collection[str] = (),
    basis: Mapping[str, Decimal | None] | None = None,
    usual: Usual = ALL_USUAL,
) -> BookRisk:
    """Judge each entry, each underlying and the book.

    `ended` are contracts that are gone: what they brought is not known here, so they are in no figure. `basis` has
    dollars by an entry's id, as what it is worth now; without one it is what was paid for what is left of each.
    Where adjusted contracts have `usual` ones, these are counted in their place.
    """
    if basis is None:
        return _by_what_was_paid(portfolio, (frozenset(ended), usual))
    return _of_portfolio(portfolio, frozenset(ended), basis, usual)


@remembered
def _by_what_was_paid(portfolio: Portfolio, key: tuple[frozenset[str], Usual]) -> BookRisk:
    ended, usual = key
    return _of_portfolio(portfolio, ended, None, usual)


def _of_portfolio(
    portfolio: Portfolio,
    ended: frozenset[str],
    basis: Mapping[str, Decimal | None] | None,
    usual: Usual,
) -> BookRisk:
    entries: list[Held] = []
    for entry in portfolio.positions:
        if lines := _left(entry, ended):
            paid = _paid(entry, lines) if basis is None else basis.get(entry.id)
            why = _why_unpaid(entry, lines) if basis is None else _NO_WORTH
            entries.append(_held(entry.id, lines, paid, why, usual))
    gone = EndedLegs(
        tuple(
            (entry.id, line)
            for entry in portfolio.positions
            for line in entry.lines
            if line.quantity and line.instrument.live_symbol in ended
        )
    )
    return replace(_of_entries(entries, undefined_risks(portfolio, ended, usual)), ended=gone)


def book_risk_by_account(
    portfolio: Portfolio,
    in_doubt: Collection[str],
    lines: Iterable[PortfolioLine],
    *,
    ended: Collection[str] = (),
    unread: Collection[str] = (),
    usual: Usual = ALL_USUAL,
) -> BookRisk:
    """The same where `lines`, each an entry of its own, take the place of the symbols that are in doubt.

    Of an entry without them what was paid is known where each of its other legs says it. Of the underlyings that are
    `unread` how much is held is not known, so neither is their worst; that of others is.
    """
    entries: list[Held] = []
    for entry in portfolio.positions:
        left = _left(entry, ended)
        kept = tuple(line for line in left if line.instrument.live_symbol not in in_doubt)
        if kept:
            paid = _paid(entry, left) if kept == left else sum_if_known(line.opening_cost for line in kept)
            why = _why_unpaid(entry, left) if kept == left else _OF_THE_REST
            entries.append(_held(entry.id, kept, paid, why, usual))
    entries.extend(
        _held(line.instrument.label, (line,), line.opening_cost, NO_BASIS, usual)
        for line in lines
        if line.instrument.live_symbol not in ended
    )
    found = _of_entries(entries, ())
    underlyings = (
        *(one for one in found.underlyings if one.name not in unread),
        *(Held(name, (), None, _unknown(_UNREAD), _unknown(_UNREAD)) for name in unread),
    )
    return replace(found, underlyings=underlyings, worst=_worst_of_book(underlyings, entries))


def _held(name: str, lines: Sequence[PortfolioLine], paid: Decimal | None, why: str, usual: Usual) -> Held:
    counted = tuple(as_usual(line, usual) for line in lines) if usual else tuple(lines)
    return Held(name, counted, paid, least_of(counted), most_of(counted), why)


def _of_entries(entries: Sequence[Held], undefined: tuple[str, ...]) -> BookRisk:
    touching: dict[str, list[Held]] = {}  # by underlying, which entries have a line on it
    for one in entries:
        for name in dict.fromkeys(line.instrument.underlying for line in one.lines):
            touching.setdefault(name, []).append(one)
    underlyings = tuple(_all_on(name, held) for name, held in touching.items())
    return BookRisk(tuple(entries), underlyings, _worst_of_book(underlyings, entries), undefined)


def together(entries: Sequence[Held]) -> Held:
    """Entries as if they were one, under the name of the first: shares with the calls sold against them."""
    lines = tuple(line for one in entries for line in one.lines)
    basis = sum_if_known(one.basis for one in entries)
    return Held(entries[0].name, lines, basis, least_of(lines), most_of(lines), _reasons_of(entries))


@lru_cache(maxsize=4096)  # asked at each refresh, and lines never change
def least_of(lines: tuple[PortfolioLine, ...]) -> Extreme:
    """The least worth in dollars that lines can come to; of several underlyings, the sum."""
    return _least_of_groups((lines,))


@lru_cache(maxsize=4096)
def _least_of_groups(groups: tuple[tuple[PortfolioLine, ...], ...]) -> Extreme:
    """The same of several groups of lines together, at least as good as each of them by itself."""
    lines = tuple(chain.from_iterable(groups))
    of_names = _by_underlying(lines)
    for held in of_names.values():
        if uncovered := uncovered_ends(held):
            return Extreme(Limit.UNDEFINED, reason=_why_undefined(uncovered, held))
    if unknown := unknown_deliveries(line.instrument for line in lines):
        return _unknown(unknown)
    found = {
        name: _least_on_one([of_group for group in groups if (of_group := _by_underlying(group).get(name))])
        for name in of_names
    }
    for name, least in found.items():
        # Something that ends later stands for something sold there, and is written on another price.
        if least.given and any(is_apart_by_expiry(line.instrument) for line in of_names[name]):
            return _unknown(
                f"options on {name} of each expiry are written on a price of its own, "
                "so what ends later covers nothing"
            )
    return added(found.values())


def _least_on_one(groups: Sequence[Sequence[PortfolioLine]]) -> Extreme:
    """Until the last contract on an underlying ends; of lines of which nothing is uncovered."""
    lines = tuple(chain.from_iterable(groups))
    least, given = least_and_given(groups) or Least(_NOTHING)
    ends = {end_of(line.instrument) for line in lines}
    if NEVER not in ends or (least_worth(groups, forever=True) or _NOTHING) >= least:
        return Extreme(Limit.NUMBER, least, given=given)
    # Without a contract, all is for ever.
    return Extreme(Limit.NUMBER, least, until=max(ends - {NEVER}).day, given=given)


def added(numbers: Iterable[Extreme]) -> Extreme:
    """The sum of numbers; it holds until the first of them does no more."""
    several = list(numbers)
    return Extreme(
        Limit.NUMBER,
        sum((one.amount or _NOTHING for one in several), _NOTHING),
        until=min((one.until for one in several if one.until is not None), default=None),
        given=tuple(one for one in Given if any(one in other.given for other in several)),
    )


@lru_cache(maxsize=4096)
def most_of(lines: tuple[PortfolioLine, ...]) -> Extreme:
    """The greatest worth in dollars that lines can come to; of several underlyings, the sum."""
    if unknown := unknown_deliveries(line.instrument for line in lines):
        return _unknown(unknown)
    total = _NOTHING
    unsaid = ""
    given: list[Given] = []
    for name, held in _by_underlying(lines).items():
        most = payoff_bounds(held).most
        if sum(slope_of(line) for line in held if line.instrument.option_type != "put") > 0:
            return Extreme(Limit.UNLIMITED, reason=f"it gains with each dollar by which {name} rises")
        if most is None:
            unsaid = f"{why_no_payoff(held)}, and what is left at the first of them has no payoff yet"
        else:
            total += most
            given.extend(given_by(replace(line, quantity=-line.quantity) for line in held))
    return _unknown(unsaid) if unsaid else replace(_number(total), given=tuple(dict.fromkeys(given)))


def _all_on(name: str, touching: Sequence[Held]) -> Held:
    """Everything on one underlying; what was paid for two underlyings at once is of neither."""
    every = [line for one in touching for line in one.lines]
    lines = tuple(line for line in every if line.instrument.underlying == name)
    are_whole = len(lines) == len(every)
    of_entries = (tuple(line for line in one.lines if line.instrument.underlying == name) for one in touching)
    least = _least_of_groups(tuple(of_entries))
    basis = sum_if_known(one.basis for one in touching) if are_whole else None
    why = _unpaid(touching) if are_whole else _OF_SEVERAL
    return Held(name, lines, basis, least, most_of(lines), why)


def _reasons_of(entries: Iterable[Held]) -> str:
    """Why what several began with is not known: the reasons of each that lacks it, each once."""
    return "; ".join(dict.fromkeys(one.why_no_basis for one in entries if one.basis is None)) or NO_BASIS


def _worst_of_book(underlyings: Sequence[Held], entries: Sequence[Held]) -> Extreme:
    for limit in (Limit.UNDEFINED, Limit.UNKNOWN):
        reasons = [f"{one.name}: {one.least.reason}" for one in underlyings if one.least.limit is limit]
        if reasons:
            return Extreme(limit, reason="; ".join(reasons))
    if unpaid := _unpaid(entries):
        return _unknown(unpaid)
    least = added(one.least for one in underlyings)
    return least.less(sum_if_known(one.basis for one in entries))


def _unpaid(entries: Iterable[Held]) -> str:
    """Of which entries what they began with is not known, and why; empty where all is known."""
    unpaid: dict[str, list[str]] = defaultdict(list)
    for one in entries:
        if one.basis is None:
            unpaid[one.why_no_basis].append(one.name)
    return "; ".join(_of_each(why, names) for why, names in unpaid.items())


def _of_each(why: str, names: Sequence[str]) -> str:
    """Whose basis is not known, and why."""
    said = ", ".join(names)
    return f"{why} of {said}" if why == NO_BASIS else f"{said}: {why}"


def _why_undefined(uncovered: Iterable[Uncovered], held: Sequence[PortfolioLine]) -> str:
    """What nothing covers, the longest first."""
    adjusted = dict.fromkeys(
        line.instrument.label
        for line in held
        if line.instrument.option_type == "call" and line.instrument.adjusted
    )
    # One may deliver 110 shares, or shares and cash: how many are sold, or cover, is not known then.
    also = f" ({', '.join(adjusted)} counted as if usual, and adjusted)" if adjusted else ""
    on_index = any(is_index(line.instrument.underlying) for line in held)
    sold = " and ".join(_sold(one, on_index=on_index) for one in uncovered)
    return f"{sold}{also}, and nothing that is held as long covers them"


def _sold(one: Uncovered, *, on_index: bool) -> str:
    if on_index:  # which has no shares
        return f"calls of ${plain_number(float(one.slope))} a point are sold until {short_date(one.end.day)}"
    shares = f"{plain_number(float(one.slope))} shares"
    if one.end == NEVER:
        return f"{shares} are sold short"
    return f"calls on {shares} are sold until {short_date(one.end.day)}"


def _left(entry: PortfolioEntry, ended: Collection[str]) -> tuple[PortfolioLine, ...]:
    return tuple(line for line in entry.lines if line.quantity and line.instrument.live_symbol not in ended)


def _paid(entry: PortfolioEntry, left: Sequence[PortfolioLine]) -> Decimal | None:
    """What was paid for what is left; what a whole structure cost does not say what its legs did."""
    return (
        entry.opening_cost
        if len(left) == len(entry.lines)
        else sum_if_known(line.opening_cost for line in left)
    )


def _why_unpaid(entry: PortfolioEntry, left: Sequence[PortfolioLine]) -> str:
    """Why the file does not say what was paid for what is left."""
    kept = set(map(id, left))
    gone = [line.instrument.label for line in entry.lines if line.quantity and id(line) not in kept]
    if entry.opening_cost is None or not gone:
        return NO_BASIS
    has, its = ("have", "their") if len(gone) > 1 else ("has", "its")
    return (
        f"{' and '.join(gone)} {has} ended and {its} settlement is owed; "
        "the file has the cost of all legs together, and not of those that are left"
    )


def _delivers(instrument: Instrument) -> bool:
    """Whether its end may bring or take shares; what is not named is the root's business."""
    return instrument.delivery != "cash" if instrument.delivery else not is_index(instrument.symbol)


def _by_underlying(lines: Iterable[PortfolioLine]) -> Mapping[str, list[PortfolioLine]]:
    found: dict[str, list[PortfolioLine]] = defaultdict(list)
    for line in lines:
        found[line.instrument.underlying].append(line)
    return found


def sum_if_known(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """All of them together; None while one is not known."""
    total = _NOTHING
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


def _number(amount: Decimal) -> Extreme:
    return Extreme(Limit.NUMBER, amount)


def _unknown(reason: str) -> Extreme:
    return Extreme(Limit.UNKNOWN, reason=reason)
