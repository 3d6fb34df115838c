"""Calls and shares sold short that nothing held as long covers: what they can cost has no end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from math import ceil, fsum
from typing import Final

from msgspec import structs

from options_helper.analysis.attention.at_end import AtEnd, Paid
from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.remedies import (
    CORRECT_THE_FILE,
    SEE_FIRST,
    Remedy,
    part_words,
    to_end_risk,
)
from options_helper.analysis.attention.shortage import Part
from options_helper.analysis.attention.two_books import Quantities, TwoBooks
from options_helper.analysis.attention.words import dollars, listed
from options_helper.analysis.live_health import Level
from options_helper.analysis.payoffs import (
    NEVER,
    Uncovered,
    end_of,
    slope_of,
    uncovered_ends,
    uncovered_entries,
)
from options_helper.analysis.remembered import Itself
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_symbols import plain_number, short_date
from options_helper.model.portfolio import Instrument, PortfolioLine
from options_helper.model.text import format_count, named

_NAMED_AT_MOST: Final = 4
_ENDS: Final = "a call bought against them ends, and they do not"


@dataclass(frozen=True, slots=True)
class _Short:
    """What of one underlying is uncovered until one end, and the lines that are sold."""

    uncovered: Uncovered
    lines: tuple[HeldLine, ...]
    others: tuple[HeldLine, ...] = ()  # sold too, and there until that end: closing these ends it as well
    living: tuple[HeldLine, ...] = ()  # all calls and shares on the underlying
    covers_puts: bool = (
        False  # shares that are short stand behind puts that were sold: those gain what these lose
    )

    @property
    def is_shares(self) -> bool:
        return self.uncovered.end == NEVER

    @property
    def is_passing(self) -> bool:
        """Whether what is sold goes on, and is covered once something else has ended."""
        return any(end_of(one.instrument) > self.uncovered.end for one in self.lines)

    @property
    def cost(self) -> float | None:
        """Dollars that closing it takes at the ask; None: not known."""
        asks = {one.instrument.live_symbol: one.ask for one in self.lines}
        each = {one.instrument.live_symbol: float(abs(slope_of(_line(one, 1)))) for one in self.lines}
        costs = [(asks[symbol], count * each[symbol]) for symbol, count in self.closed().items()]
        known = [ask * units for ask, units in costs if ask is not None]
        return fsum(known) if costs and len(known) == len(costs) else None

    def instead(self) -> Iterator[_Short]:
        """Each other line whose closing ends it too, and is known to cost less; the cheapest first."""
        found = [replace(self, lines=(one,)) for one in self.others if one not in self.lines]
        if self.is_shares or not found or (own := self.cost) is None:
            return
        costs = [(cost, other) for other in found if other.is_enough and (cost := other.cost) is not None]
        yield from (other for cost, other in sorted(costs, key=lambda pair: pair[0]) if cost < own)

    @property
    def is_enough(self) -> bool:
        """Whether so much of it is sold."""
        sold = fsum(abs(float(slope_of(_line(one, one.quantity)))) for one in self.lines)
        return sold >= float(self.uncovered.slope)

    def closed(self) -> dict[str, float]:
        """The contracts that it takes to close it, by their symbols."""
        found: dict[str, float] = {}
        left = float(self.uncovered.slope)
        for one in self.lines:
            each = float(abs(slope_of(_line(one, 1))))
            count = min(abs(one.quantity), ceil(left / each))
            left -= count * each
            if count > 0:
                found[one.instrument.live_symbol] = found.get(one.instrument.live_symbol, 0.0) + count
        return found

    @property
    def part(self) -> str:
        """How much of it, in words: "2 of 3 contracts of AAPL 18 Dec 26 180 C"."""
        if self.is_shares:
            return self._units
        if len({one.instrument.live_symbol for one in self.lines}) > 1 or not self.lines:
            calls = f"calls of {self._units}" if self.is_on_index else f"calls on {self._units}"
            return f"{calls} until {short_date(self.uncovered.end.day)}"
        instrument = self.lines[0].instrument
        sold = sum(abs(one.quantity) for one in self.lines)
        surplus = min(ceil(self._exact), sold)  # a part of a contract cannot be closed
        beginning = "" if surplus == sold else f"{plain_number(surplus)} of "
        return f"{beginning}{format_count(round(sold), 'contract')} of {instrument.label}"

    @property
    def _exact(self) -> float:
        """How many contracts of its first line it is, not rounded."""
        return float(self.uncovered.slope / abs(slope_of(_line(self.lines[0], 1))))

    def costs_more_than(self, has: float | None) -> bool:
        """Whether so many shares are known to cost more; what calls would cost is not known here."""
        spot = next((one.spot for one in self.lines if one.spot is not None), None)
        return has is not None and spot is not None and float(self.uncovered.slope) * spot > has

    @property
    def is_on_index(self) -> bool:
        """Whether nothing is delivered."""
        return any(is_index(one.instrument.underlying) for one in self.lines)

    @property
    def _units(self) -> str:
        """How much it is: "10 shares", or of an index, which has none, "$10 a point"."""
        slope = float(self.uncovered.slope)
        return f"{dollars(slope)} a point" if self.is_on_index else f"{plain_number(slope)} shares"

    @property
    def partial_units(self) -> str:
        """How much, where that is no whole number of contracts; else empty."""
        return "" if self.is_shares or not self.lines or self._exact % 1 == 0 else self._units


def undefined_entries(books: TwoBooks, at_end: AtEnd, has: float | None) -> Iterator[Entry]:
    """An entry for each underlying on which a loss has no end; `books` have the lines of each entry.

    By the account's quantities where they are known; where only by the file's something is uncovered, that is told less
    gravely, and where some are unread, by those that are known of it. `at_end` is what contracts are settled with;
    `has` is the account's options buying power.
    """
    for name in dict.fromkeys((*books.file_on, *books.account_on)):
        for quantities, lines in _sides(name, books):
            if found := _uncovered(lines):
                yield _entry(name, found, quantities, at_end, has)
                break


def _sides(name: str, books: TwoBooks) -> Iterator[tuple[Quantities, Sequence[HeldLine]]]:
    """The lines on one underlying by each quantity that may count, the likeliest first."""
    of_file = books.file_on.get(name, ())
    match books.quantities(name):
        case Quantities.AGREED:
            yield Quantities.AGREED, of_file
        case Quantities.IN_DOUBT:
            yield Quantities.IN_DOUBT, of_file
            if books.has_last_known(name):
                yield Quantities.LAST_KNOWN, books.last_known_on.get(name, ())
        case _:
            alone = all(one.account_alone for one in books.account_on.get(name, ()))
            yield (
                Quantities.ACCOUNT_ALONE if alone else Quantities.ACCOUNT,
                books.account_on.get(name, ()),
            )
            yield Quantities.FILE, of_file


def _uncovered(lines: Sequence[HeldLine]) -> tuple[_Short, ...]:
    # Most underlyings have nothing sold that a put is not, so little is asked of them.
    if not any(one.quantity < 0 and one.instrument.option_type != "put" for one in lines):
        return ()
    living = [one for one in lines if not one.ended and one.instrument.option_type != "put" and one.quantity]
    if not any(one.quantity < 0 for one in living):
        return ()
    held = [(one.entry_id or one.instrument.live_symbol, _line(one, one.quantity)) for one in living]
    sells_puts = any(
        one.instrument.option_type == "put" and one.quantity < 0 and not one.ended for one in lines
    )
    return tuple(
        _Short(short, _sold(short, living, entries), _alive(short, living), tuple(living), sells_puts)
        for short, entries in uncovered_entries(held)
    )


def _alive(short: Uncovered, living: Sequence[HeldLine]) -> tuple[HeldLine, ...]:
    """The calls that are sold and do not end before."""
    sold = [one for one in living if one.quantity < 0 and one.instrument.is_option]
    return tuple(one for one in sold if end_of(one.instrument) >= short.end)


def _sold(short: Uncovered, living: Sequence[HeldLine], entries: tuple[str, ...]) -> tuple[HeldLine, ...]:
    """The lines of these entries that are sold and end then; where they end later, those."""
    sold = [
        one for one in living if one.quantity < 0 and (one.entry_id or one.instrument.live_symbol) in entries
    ]
    return tuple(one for one in sold if end_of(one.instrument) == short.end) or tuple(
        one for one in sold if end_of(one.instrument) > short.end
    )


def _line(one: HeldLine, quantity: float) -> PortfolioLine:
    return _line_of(Itself(one.instrument), quantity)


@lru_cache(maxsize=4_096)  # asked of each line several times at each refresh
def _line_of(instrument: Itself[Instrument], quantity: float) -> PortfolioLine:
    return PortfolioLine(instrument.value, Decimal(str(quantity)), None)


def _entry(
    name: str,
    found: tuple[_Short, ...],
    quantities: Quantities,
    at_end: AtEnd,
    has: float | None,
) -> Entry:
    remedies = _remedies(name, found, quantities, at_end, has)
    lines = [one for short in found for one in short.lines]
    labels = list(dict.fromkeys(one.instrument.label for one in lines))
    adjusted = dict.fromkeys(one.instrument.label for one in lines if one.instrument.adjusted)
    slope = float(sum(short.uncovered.slope for short in found))
    each = "point" if is_index(name) else "dollar"
    also = f" {listed(list(adjusted))}, adjusted, is counted as if usual." if adjusted else ""
    return Entry(
        kind=AttentionKind.UNDEFINED_RISK,
        level=Level.WARNING if quantities is Quantities.FILE else Level.ERROR,
        subject=name,
        symbols=tuple(dict.fromkeys(one.instrument.live_symbol for one in lines)),
        what=(
            f"{named(labels, _NAMED_AT_MOST)}: sold, and nothing that is held as long covers all of it"
            f"{quantities.value}. What it could cost is undefined: there is no limit.{also}"
        ),
        amounts=(
            f"Uncovered: {listed([_uncovered_words(short) for short in found])}, so each {each} by which {name} "
            f"rises beyond costs {dollars(slope)} more."
        ),
        remedy=" ".join(one.words for one in remedies),
        remedy_without_amounts=" ".join(dict.fromkeys(one.discreet for one in remedies)),
        shares=None if is_index(name) else -slope,
    )


def _uncovered_words(short: _Short) -> str:
    is_told = short.part.startswith("calls o")
    said = f"{short.partial_units} of {short.part}" if short.partial_units and not is_told else short.part
    return f"{said} until {short_date(short.uncovered.end.day)}" if short.is_passing and not is_told else said


def _remedies(
    name: str, found: Sequence[_Short], quantities: Quantities, at_end: AtEnd, has: float | None
) -> list[Remedy]:
    """Only ever about what the account holds: to close what only the file has would open it."""
    if quantities is Quantities.FILE:
        return [Remedy(CORRECT_THE_FILE, CORRECT_THE_FILE)]
    if quantities.is_in_doubt:
        return [Remedy(SEE_FIRST, SEE_FIRST)]
    return [_remedy(name, short, at_end, has) for short in found]


def _remedy(name: str, short: _Short, at_end: AtEnd, has: float | None) -> Remedy:
    """What can be done about one part of it: the cheapest that ends it and leaves nothing worse when it ends itself."""
    if short.is_shares:
        words, discreet = _or_exercise(short, at_end) or Remedy("", "")
        return Remedy(
            f"Buy back {short.part}: {_ENDS}.{words}", f"Buy back what is uncovered: {_ENDS}.{discreet}"
        )
    for other in short.instead():
        if _needed_with(name, other, at_end) is None:
            return _waited(short, Remedy(f"Close {other.part}", f"Close {other.lines[0].instrument.label}"))
    if remedy := _needed_with(name, short, at_end):
        return remedy
    words, discreet = (
        f"Close {part}{_cover(short, has, shares)}"
        for part, shares in (
            (short.part, short.partial_units or "the shares"),
            ("what is uncovered", "the shares"),
        )
    )
    return _waited(short, Remedy(words, discreet))


def _or_exercise(short: _Short, at_end: AtEnd) -> Remedy | None:
    """Which call of one's own delivers shares that were sold short, and what that takes and gives up; None: none does.

    It is the one of the lowest strike, since any other would cost more than what the shares can cost as they stand. No
    more of it than shares are short: the rest could fall to 0. And not where puts are sold as well: what these lose in
    a fall the shares that are short gain.
    """
    part = _call_for(short)
    if part is None or short.covers_puts or not _covers(short, part):
        return None
    one = structs.replace(part.leg, quantity=part.contracts)
    cost = _delivered(part) * (one.instrument.strike or 0.0)
    paid = at_end.paid(one, cost)
    if paid not in (Paid.YES, Paid.NOT_KNOWN):
        return None
    is_paid = "" if paid is Paid.YES else ", if the money is there"
    value = one.extrinsic_at_bid
    gives_up = (
        f"{one.no_bid}, so what time value that gives up is not known"
        if value is None
        else f"it gives up {max(value, 0.0):,.2f} a share of time value"
    )
    return Remedy(
        f" Or exercise {part_words(part)}{is_paid}: that takes {dollars(cost)}, and {gives_up}.",
        f" Or exercise {part_words(part, with_amounts=False)}{is_paid}: {gives_up}.",
    )


def _call_for(short: _Short) -> Part | None:
    """What is held of the lowest strike, if that may be exercised and is worth it."""
    calls = [one for one in short.living if one.instrument.option_type == "call" and one.quantity > 0]
    one = min(calls, key=lambda call: call.instrument.strike or 0.0, default=None)
    if one is None or one.life is None or not one.life.is_american or not one.is_in_the_money:
        return None
    count = min(one.quantity, float(short.uncovered.slope) // _delivered(Part(one, 1)))
    return Part(one, count) if count else None


def _delivered(part: Part) -> float:
    """Shares."""
    return float(slope_of(_line(part.leg, part.contracts)))


def _covers(short: _Short, part: Part) -> bool:
    """Whether less is uncovered once so much of a call has become shares, and does not only lay another call bare."""
    left = [
        _line(one, one.quantity - part.contracts if one is part.leg else one.quantity) for one in short.living
    ]
    shares = next(one for one in short.living if not one.instrument.is_option)
    brought = _line(shares, _delivered(part))
    return _uncovered_in_all([*left, brought]) < _uncovered_in_all(
        [_line(one, one.quantity) for one in short.living]
    )


def _uncovered_in_all(lines: Sequence[PortfolioLine]) -> Decimal:
    return sum((one.slope for one in uncovered_ends(line for line in lines if line.quantity)), Decimal(0))


def _waited(short: _Short, remedy: Remedy) -> Remedy:
    """And until when it is uncovered, where it is not for as long as it is sold."""
    if not short.is_passing:
        return Remedy(f"{remedy.words}.", f"{remedy.discreet}.")
    day = short_date(short.uncovered.end.day)
    ends = listed(
        [one.instrument.label for one in short.others if end_of(one.instrument) == short.uncovered.end]
    )
    wait = f", or wait until {day}: it is covered then if {ends} ends worthless." if ends else "."
    return Remedy(f"{remedy.words}{wait}", f"{remedy.discreet}{wait}")


def _needed_with(name: str, short: _Short, at_end: AtEnd) -> Remedy | None:
    """What it must be closed with; None: it may be closed alone."""
    closed = short.closed()
    of_group = {id(found): (found, one) for one in short.lines if (found := at_end.of(one)) is not None}
    for settled, one in of_group.values():
        is_near = at_end.is_near(one.instrument.live_symbol)
        if remedy := to_end_risk(short.part, closed, name, settled, is_near=is_near):
            return remedy
    return None


def _cover(short: _Short, has: float | None, shares: str) -> str:
    """By what it can be covered in place of that; nothing for which the money is known to be missing."""
    if has is not None and has <= 0:
        return ""
    calls = ", or cover that with calls that end no sooner"
    return calls if short.is_on_index or short.costs_more_than(has) else f"{calls}, or with {shares}"
