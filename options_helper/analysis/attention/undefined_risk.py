"""Calls and shares sold short that nothing held as long covers: what they can cost has no end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Final

from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.attention.held_legs import HeldLine
from options_helper.analysis.attention.remedies import Remedy, to_end_risk
from options_helper.analysis.attention.shortage import Settlement
from options_helper.analysis.attention.two_books import Quantities, TwoBooks
from options_helper.analysis.attention.words import dollars, listed
from options_helper.analysis.live_health import Level
from options_helper.analysis.payoffs import NEVER, Uncovered, end_of, slope_of, uncovered_entries
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_symbols import plain_number, short_date
from options_helper.model.portfolio import PortfolioLine
from options_helper.model.text import format_count, named

_NAMED_AT_MOST: Final = 4
_ENDS: Final = "a call bought against them ends, and they do not"


@dataclass(frozen=True, slots=True)
class _Short:
    """What of one underlying is uncovered until one end, and the lines that are sold."""

    uncovered: Uncovered
    lines: tuple[HeldLine, ...]

    @property
    def is_shares(self) -> bool:
        return self.uncovered.end == NEVER

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


def undefined_entries(
    books: TwoBooks, near: Mapping[str, Settlement | None], has: float | None
) -> Iterator[Entry]:
    """An entry for each underlying on which a loss has no end; `books` have the lines of each entry.

    By the account's quantities where they are known; where only by the file's something is uncovered, that is told less
    gravely, and where some are unread, by those that are known of it. `near` is what the contracts that end soon are
    settled with, by their symbols; `has` is the account's options buying power.
    """
    for name in dict.fromkeys((*books.file_on, *books.account_on)):
        for quantities, lines in _sides(name, books):
            if found := _uncovered(lines):
                yield _entry(name, found, quantities, near, has)
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
    living = [one for one in lines if not one.ended and one.instrument.option_type != "put" and one.quantity]
    # Most books have nothing sold that a put is not, so little is asked of them.
    if not any(one.quantity < 0 for one in living):
        return ()
    held = [(one.entry_id or one.instrument.live_symbol, _line(one, one.quantity)) for one in living]
    return tuple(_Short(short, _sold(short, living, entries)) for short, entries in uncovered_entries(held))


def _sold(short: Uncovered, living: Sequence[HeldLine], entries: tuple[str, ...]) -> tuple[HeldLine, ...]:
    """The lines of these entries that are sold and end then; where they end later, those."""
    sold = [
        one for one in living if one.quantity < 0 and (one.entry_id or one.instrument.live_symbol) in entries
    ]
    return tuple(one for one in sold if end_of(one.instrument) == short.end) or tuple(
        one for one in sold if end_of(one.instrument) > short.end
    )


def _line(one: HeldLine, quantity: float) -> PortfolioLine:
    return PortfolioLine(one.instrument, Decimal(str(quantity)), None)


def _entry(
    name: str,
    found: tuple[_Short, ...],
    quantities: Quantities,
    near: Mapping[str, Settlement | None],
    has: float | None,
) -> Entry:
    remedies = [_remedy(name, short, near, has) for short in found]
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
    return f"{short.partial_units} of {short.part}" if short.partial_units and not is_told else short.part


def _remedy(name: str, short: _Short, near: Mapping[str, Settlement | None], has: float | None) -> Remedy:
    """What can be done about one part of it; where it ends soon, without leaving more missing at its end."""
    if short.is_shares:
        return Remedy(f"Buy back {short.part}: {_ENDS}.", f"Buy back what is uncovered: {_ENDS}.")
    closed = short.closed()
    for settled in {id(one): one for symbol in closed if (one := near.get(symbol)) is not None}.values():
        if remedy := to_end_risk(short.part, closed, name, settled):
            return remedy
    words, discreet = (
        f"Close {part}{_cover(short, has, shares)}."
        for part, shares in (
            (short.part, short.partial_units or "the shares"),
            ("what is uncovered", "the shares"),
        )
    )
    return Remedy(words, discreet)


def _cover(short: _Short, has: float | None, shares: str) -> str:
    """By what it can be covered in place of that; nothing for which the money is known to be missing."""
    if has is not None and has <= 0:
        return ""
    calls = ", or cover that with calls that end no sooner"
    return calls if short.is_on_index or short.costs_more_than(has) else f"{calls}, or with {shares}"
