"""Calls and shares sold short that nothing held as long covers: what they can cost has no end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import ceil, fsum
from typing import Final

from msgspec import structs

from options_helper.analysis.attention.at_end import AtEnd, Paid
from options_helper.analysis.attention.covering import Covering
from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.attention.held_legs import HeldLine, by_contract
from options_helper.analysis.attention.remedies import (
    CORRECT_THE_FILE,
    LESS,
    SEE_FIRST,
    Remedy,
    counted_words,
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
from options_helper.model.contract_symbols import STANDARD_MULTIPLIER, plain_number, short_date
from options_helper.model.portfolio import Instrument, PortfolioLine
from options_helper.model.text import format_count, named

_NAMED_AT_MOST: Final = 4
# Nothing of that is worse: the shares would have to be bought, and cost more.
_IN_PLACE: Final = " That {}, in place of shares that would cost more."
_ENDS: Final = "a call bought against them ends, and they do not"
_UNKNOWN_PUTS: Final = "together with the puts that are sold: alone that leaves these uncovered"


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
                yield _entry(name, found, quantities, _remedies(found, lines, quantities, at_end, has))
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
    # Not as the file happens to have them.
    living.sort(key=lambda one: (one.instrument.live_symbol, one.entry_id))
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


def _entry(name: str, found: tuple[_Short, ...], quantities: Quantities, remedies: Sequence[Remedy]) -> Entry:
    lines = [one for short in found for one in short.lines]
    labels = list(dict.fromkeys(one.instrument.label for one in lines))
    adjusted = dict.fromkeys(one.instrument.label for one in lines if one.instrument.adjusted)
    slope = float(sum(short.uncovered.slope for short in found))
    each = "point" if is_index(name) else "dollar"
    sized = any(one.instrument.multiplier is None for one in lines)
    at = f", at {STANDARD_MULTIPLIER} a contract, since its multiplier is not known" if sized else ""
    also = f" {listed(list(adjusted))}, adjusted, is counted as if usual{at}." if adjusted else ""
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
    found: Sequence[_Short],
    lines: Sequence[HeldLine],
    quantities: Quantities,
    at_end: AtEnd,
    has: float | None,
) -> list[Remedy]:
    """Only ever about what the account holds: to close what only the file has would open it."""
    if quantities is Quantities.FILE:
        return [Remedy(CORRECT_THE_FILE, CORRECT_THE_FILE)]
    if quantities.is_in_doubt:
        return [Remedy(SEE_FIRST, SEE_FIRST)]
    calls = [short for short in found if not short.is_shares]
    shares = next((short for short in found if short.is_shares), None)
    if shares is None:
        return [_close(calls, lines, at_end, has)] if calls else []
    if not calls:
        return [_buy_back(shares, _puts_behind(shares, lines, at_end), _or_exercise(shares, at_end))]
    puts = _puts_behind(shares, lines, at_end)
    if puts:
        closed = _covering(calls, lines, at_end, puts).closed
        return [_buy_back(shares, _most_of_each((*puts, *closed)))]
    # What covers the shares until it ends may be closed with the rest, once they are bought back.
    closing = _close(calls, lines, at_end, has)
    return [_buy_back(shares, puts), Remedy(*(f"Then {words[0].lower()}{words[1:]}" for words in closing))]


def _most_of_each(parts: Iterable[Part]) -> Sequence[Part]:
    """Each leg once, what is sold first."""
    found: dict[str, Part] = {}
    for part in parts:
        found[part.symbol] = max(part, found.get(part.symbol, part), key=lambda each: each.contracts)
    return sorted(found.values(), key=lambda part: part.leg.quantity > 0)


def _puts_behind(short: _Short, lines: Sequence[HeldLine], at_end: AtEnd) -> Sequence[Part] | None:
    """What goes with shares that are bought back: sold puts lose in a fall what these won; None: that is not known."""
    if not short.covers_puts:
        return ()
    shares = {
        one.instrument.live_symbol: -one.quantity for one in short.living if not one.instrument.is_option
    }
    found: list[Part] = []
    for one in _net(lines):
        if one.instrument.option_type != "put" or one.quantity > 0:
            continue
        settled = at_end.of(one)
        if settled is None:
            return None
        found.extend(part for part in settled.with_what_offsets(shares) if part.symbol not in shares)
    return _most_of_each(found)


def _buy_back(short: _Short, puts: Sequence[Part] | None, instead: Remedy | None = None) -> Remedy:
    words, discreet = instead or Remedy("", "")
    is_covered = any(one.instrument.is_option and one.quantity > 0 for one in short.living)
    why = f": {_ENDS}" if is_covered else ""
    with_puts = discreetly = f" {_UNKNOWN_PUTS}" if puts is None else ""
    if puts:
        sold = listed([part.leg.instrument.label for part in puts if _is_sold_put(part)])
        with_puts, discreetly = (
            f" together with {listed([part_words(part, with_amounts=amounts) for part in puts])}: "
            f"alone that leaves {sold} uncovered"
            for amounts in (True, False)
        )
    elif not with_puts:
        with_puts = discreetly = why
    bought = _bought_by_assignment(puts or ())
    return Remedy(
        f"Buy back {short.part}{with_puts}.{bought}{words}",
        f"Buy back what is uncovered{discreetly}.{bought}{discreet}",
    )


def _bought_by_assignment(puts: Iterable[Part]) -> str:
    """That the assignment of what is in the money buys shares back too, where nothing is done."""
    inside = [part for part in puts if _is_sold_put(part) and part.leg.is_in_the_money]
    if not inside:
        return ""
    labels = listed([part.leg.instrument.label for part in inside])
    return f" Left as they are, the assignment of {labels} buys back as many."


def _is_sold_put(part: Part) -> bool:
    return part.leg.quantity < 0 and part.leg.instrument.option_type == "put"


def _covering(
    calls: Sequence[_Short], lines: Sequence[HeldLine], at_end: AtEnd, first: Sequence[Part] = ()
) -> Covering:
    blamed = frozenset(one.instrument.live_symbol for short in calls for one in short.lines)
    held = tuple(sorted(_net(lines), key=lambda one: one.instrument.live_symbol))
    settled = {end_of(one.instrument): at_end.of(one) for one in held if one.instrument.is_option}
    known = {end: one for end, one in settled.items() if one is not None}
    return Covering(held, known, blamed, tuple(first))


def _close(calls: Sequence[_Short], lines: Sequence[HeldLine], at_end: AtEnd, has: float | None) -> Remedy:
    """What ends all of it and leaves nothing worse when it ends itself, whatever is uncovered until which end."""
    covering = _covering(calls, lines, at_end)
    blamed = covering.blamed
    own, others = covering.own_and_others
    if others:
        return to_end_risk(
            own,
            others,
            covering.settlements_of(covering.closed),
            is_all=covering.closes_all,
            is_near=any(at_end.is_near(part.symbol) for part in own),
            less=LESS if covering.may_take_less else "",
        )
    words, discreet = f"Close {counted_words(own)}", "Close what is uncovered"
    if all(part.symbol in blamed for part in own):
        slope = float(sum(short.uncovered.slope for short in calls))
        is_more = fsum(_delivered(part) for part in own) > slope
        words += _cover(calls[0], slope, has, f"{plain_number(slope)} shares" if is_more else "the shares")
        discreet += _cover(calls[0], slope, has, "the shares")
    else:
        discreet = f"Close {listed([part_words(part, with_amounts=False) for part in own])}"
    waits = f"{_waits(calls)}{'' if covering.lacks is None else _IN_PLACE.format(covering.lacks.words)}"
    return Remedy(f"{words}{waits}", f"{discreet}{waits}")


def _net(lines: Iterable[HeldLine]) -> Iterator[HeldLine]:
    """Each contract once, with all of it: the account knows no entries."""
    return (one for one in by_contract([one for one in lines if not one.ended]) if one.quantity)


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


def _waits(calls: Sequence[_Short]) -> str:
    """And until when it is uncovered, where it is not for as long as it is sold; with what ends the sentence."""
    passing = [(short, ends) for short in calls if short.is_passing and (ends := _ending_then(short))]
    if len(calls) == len(passing) == 1:
        ((short, ends),) = passing
        return f", or wait until {_day(short)}: it is covered then if {ends} ends worthless."
    said = (
        f" What is uncovered until {_day(short)} is covered then if {ends} ends worthless."
        for short, ends in passing
    )
    return f".{''.join(said)}"


def _day(short: _Short) -> str:
    return short_date(short.uncovered.end.day)


def _ending_then(short: _Short) -> str:
    """What is sold and ends when it is covered again."""
    labels = [one.instrument.label for one in short.others if end_of(one.instrument) == short.uncovered.end]
    return listed(list(dict.fromkeys(labels))) if labels else ""


def _cover(short: _Short, slope: float, has: float | None, shares: str) -> str:
    """By what so many shares can be covered in place of that; nothing for which the money is known to be missing.

    What calls would cost is not known here.
    """
    if has is not None and has <= 0:
        return ""
    calls = ", or cover that with calls that end no sooner"
    spot = next((one.spot for one in short.lines if one.spot is not None), None)
    costs_more = has is not None and spot is not None and slope * spot > has
    return calls if short.is_on_index or costs_more else f"{calls}, or with {shares}"
