"""What a file says of a contract's terms beside Alpaca's record and what is usual: what it lacks, and what cannot be.

A multiplier that an entry lacks is that which another entry names of the contract, else the record's, wherever a figure
depends on it, unless what the file says of a cost contradicts that. One that it names counts as it is named, and so
does a style where no record says it; what contradicts the record, or all contracts of its kind, is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pydantic import ValidationError

from options_helper.analysis.remembered import remembered
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_records import ContractRecord
from options_helper.model.contract_symbols import plain_number, root_of, usual_multiplier
from options_helper.model.portfolio import (
    Instrument,
    Leg,
    MultiLegPosition,
    Portfolio,
    PortfolioEntry,
    Position,
)

_CORRECT: Final = "Correct the file, or compare its symbol with the account's."


class TermWords(NamedTuple):
    """Something that is said of one contract's terms."""

    symbol: str  # of the contract, as Alpaca writes it
    label: str
    words: str  # a sentence without its subject: "counts …"

    @property
    def sentence(self) -> str:
        """The whole sentence."""
        return f"{self.label} {self.words}"


class _Told(NamedTuple):
    """The multiplier of a contract that some entry lacks."""

    points: int  # dollars per point
    is_of_file: bool  # another entry names it; else Alpaca's record does


class _Taken(NamedTuple):
    """What becomes of a portfolio by the multipliers that are told of it."""

    portfolio: Portfolio
    told: Mapping[str, _Told]  # by symbol, of the contracts that count by it
    refused: Mapping[str, tuple[_Told, str]]  # with the id of the entry that contradicts it


def with_told_multipliers(portfolio: Portfolio, records: Mapping[str, ContractRecord]) -> Portfolio:
    """The portfolio with the multipliers that entries lack, as told elsewhere; the same one where they lack none."""
    told = _told(portfolio, records)
    return _taken(portfolio, told).portfolio if told else portfolio


def with_told_multiplier(entry: PortfolioEntry, records: Mapping[str, ContractRecord]) -> PortfolioEntry:
    """The same of one entry that stands beside a portfolio."""
    return with_told_multipliers(Portfolio(positions=(entry,)), records).positions[0]


def told_multipliers(portfolio: Portfolio, records: Mapping[str, ContractRecord]) -> Iterator[TermWords]:
    """Which multipliers are told elsewhere, since an entry names none."""
    told = _taken(portfolio, _told(portfolio, records)).told
    for one in _contracts(portfolio, None):
        found = told.get(one.live_symbol)
        if found is not None and one.multiplier is None:
            by = (
                ", as another entry of the file names it."
                if found.is_of_file
                else " by Alpaca's record; the file names no multiplier."
            )
            yield TermWords(one.live_symbol, one.label, f"counts {found.points} dollars per point{by}")


def term_doubts(portfolio: Portfolio, records: Mapping[str, ContractRecord]) -> Iterator[TermWords]:
    """What the file says of a contract that its record, or without one all contracts of its kind, contradict."""
    yield from dict.fromkeys(_term_doubts(portfolio, records))


def _term_doubts(portfolio: Portfolio, records: Mapping[str, ContractRecord]) -> Iterator[TermWords]:
    refused = _taken(portfolio, _told(portfolio, records)).refused
    for one in _contracts(portfolio, None):
        record = records.get(one.live_symbol)
        by = refused.get(one.live_symbol) if one.multiplier is None else None
        for words in (_about_multiplier(one, record, by), _about_style(one, record)):
            if words:
                yield TermWords(one.live_symbol, one.label, words)


def _about_multiplier(
    one: Instrument, record: ContractRecord | None, refused: tuple[_Told, str] | None
) -> str:
    if refused is not None:
        found, entry_id = refused
        by = "another entry of the file" if found.is_of_file else "Alpaca's record"
        return (
            f"counts no dollars: by {by} it has {found.points} per point, and so the legs of '{entry_id}' would "
            "cost something else than its net_debit. Correct that or a cost_basis, or name its multiplier."
        )
    told = _points(record)
    usual = told or usual_multiplier(root_of(one.live_symbol))
    if one.multiplier is None or usual is None or one.multiplier == usual:
        return ""
    by = "by Alpaca's record it has" if told else "contracts of its root have"
    times = plain_number(one.multiplier / usual)
    return (
        f"counts {one.multiplier} dollars per point by the file, and {by} {usual}: if the file is wrong, each dollar "
        f"figure of it is {times} times what it should be. {_CORRECT}"
    )


def _about_style(one: Instrument, record: ContractRecord | None) -> str:
    """Of options on shares: all that are listed are American."""
    told = None if record is None else record.exercise_style
    style = one.exercise_style
    if style is None or style == told or (told is None and (style == "american" or is_index(one.underlying))):
        return ""
    if told is not None:
        return (
            f"is {style.capitalize()} by the file, and {told.capitalize()} by Alpaca's record, which counts."
        )
    return (
        f"is {style.capitalize()} by the file, which counts, and listed options on shares are American: if the file is "
        f"wrong, its volatility, its Greeks and whether it may be assigned early are too. {_CORRECT}"
    )


@remembered
def _contracts(portfolio: Portfolio, _: None) -> tuple[Instrument, ...]:
    """Each contract once in each way in which the file has its terms, in the order of the file."""
    options = [one for one in portfolio.instruments if one.is_option]
    return tuple({(one.live_symbol, one.multiplier, one.exercise_style): one for one in options}.values())


def _points(record: ContractRecord | None) -> int | None:
    """Dollars per point, where the record says so many as a contract can have."""
    said = None if record is None else record.multiplier
    return None if said is None or said <= 0 or said % 1 else int(said)


def _told(portfolio: Portfolio, records: Mapping[str, ContractRecord]) -> tuple[tuple[str, _Told], ...]:
    found = []
    for symbol, named in _lacking(portfolio, None):
        points = _points(records.get(symbol)) if named is None else named
        if points is not None:
            found.append((symbol, _Told(points, named is not None)))
    return tuple(found)


@remembered
def _lacking(portfolio: Portfolio, _: None) -> tuple[tuple[str, int | None], ...]:
    """The contracts of which some entry names no multiplier, with that which all others name; None: they name none."""
    named: dict[str, set[int | None]] = {}
    for one in portfolio.instruments:
        if one.is_option:
            named.setdefault(one.live_symbol, set()).add(one.multiplier)
    lacking = {symbol: found - {None} for symbol, found in named.items() if None in found}
    return tuple((symbol, found.pop() if len(found) == 1 else None) for symbol, found in lacking.items())


@remembered
def _taken(portfolio: Portfolio, told: tuple[tuple[str, _Told], ...]) -> _Taken:
    """The same object at each refresh, as what follows from a portfolio is remembered by it.

    What one entry contradicts counts in none: a contract has one multiplier, whoever holds it.
    """
    known = dict(told)
    refused = {
        one.live_symbol: (known[one.live_symbol], entry.id)
        for entry in portfolio.positions
        if _with(entry, known) is None
        for one in entry.instruments
        if _of(one, known) is not None
    }
    if refused:
        known = {symbol: one for symbol, one in known.items() if symbol not in refused}
    if not known:
        return _Taken(portfolio, known, refused)
    entries = tuple(_with(one, known) or one for one in portfolio.positions)
    return _Taken(portfolio.changed(positions=entries), known, refused)


def _with(entry: PortfolioEntry, told: Mapping[str, _Told]) -> PortfolioEntry | None:
    """The entry with what is told; None where its legs would cost something else than all of it."""
    if isinstance(entry, Position):
        multiplier = _of(entry.instrument, told)
        return entry if multiplier is None else entry.changed(multiplier=multiplier)
    if not isinstance(entry, MultiLegPosition):
        return entry
    multipliers = [_of(one, told) for one in entry.instruments]
    if not any(multipliers):
        return entry
    legs = tuple(
        leg.changed(multiplier=multiplier) if isinstance(leg, Leg) and multiplier is not None else leg
        for leg, multiplier in zip(entry.legs, multipliers, strict=True)
    )
    try:
        return entry.changed(legs=legs)
    except ValidationError:
        return None


def _of(one: Instrument, told: Mapping[str, _Told]) -> int | None:
    found = told.get(one.live_symbol)
    return None if found is None or one.multiplier is not None else found.points
