"""What a file says of a contract's terms beside Alpaca's record and what is usual: what it lacks, and what cannot be.

A multiplier that the file lacks is the record's, wherever a figure depends on it, unless what the file says of a cost
contradicts that. One that it names counts as it is named, and so does a style where no record says it; what
contradicts the record, or all contracts of its kind, is said.
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


class _Taken(NamedTuple):
    """What becomes of a portfolio by the multipliers of Alpaca's records."""

    portfolio: Portfolio
    told: Mapping[str, int]  # dollars per point by symbol, of the contracts that count by it
    refused: Mapping[str, str]  # the id of the entry that contradicts it, by symbol


def with_told_multipliers(portfolio: Portfolio, records: Mapping[str, ContractRecord]) -> Portfolio:
    """The portfolio with the multipliers that it lacks by Alpaca's records; the same one where it lacks none."""
    told = _told(portfolio, records)
    return _taken(portfolio, told).portfolio if told else portfolio


def with_told_multiplier(entry: PortfolioEntry, records: Mapping[str, ContractRecord]) -> PortfolioEntry:
    """The same of one entry that stands beside a portfolio."""
    return with_told_multipliers(Portfolio(positions=(entry,)), records).positions[0]


def told_multipliers(portfolio: Portfolio, records: Mapping[str, ContractRecord]) -> Iterator[TermWords]:
    """Which multipliers are the record's, since the file names none."""
    told = _taken(portfolio, _told(portfolio, records)).told
    for one in _contracts(portfolio, None):
        if one.live_symbol in told:
            points = f"counts {told[one.live_symbol]} dollars per point by Alpaca's record"
            yield TermWords(one.live_symbol, one.label, f"{points}; the file names no multiplier.")


def term_doubts(portfolio: Portfolio, records: Mapping[str, ContractRecord]) -> Iterator[TermWords]:
    """What the file says of a contract that its record, or without one all contracts of its kind, contradict."""
    refused = _taken(portfolio, _told(portfolio, records)).refused
    for one in _contracts(portfolio, None):
        record = records.get(one.live_symbol)
        by = refused.get(one.live_symbol)
        for words in (_about_multiplier(one, record, by), _about_style(one, record)):
            if words:
                yield TermWords(one.live_symbol, one.label, words)


def _about_multiplier(one: Instrument, record: ContractRecord | None, refused_by: str | None) -> str:
    told = _points(record)
    if refused_by is not None:
        return (
            f"counts no dollars: by Alpaca's record it has {told} per point, and so the legs of '{refused_by}' would "
            "cost something else than its net_debit. Correct that or a cost_basis, or name its multiplier."
        )
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
    """Each contract once, in the order of the file."""
    return tuple({one.live_symbol: one for one in portfolio.instruments if one.is_option}.values())


def _points(record: ContractRecord | None) -> int | None:
    """Dollars per point, where the record says so many as a contract can have."""
    said = None if record is None else record.multiplier
    return None if said is None or said <= 0 or said % 1 else int(said)


def _told(portfolio: Portfolio, records: Mapping[str, ContractRecord]) -> tuple[tuple[str, int], ...]:
    if not records:
        return ()
    each = ((symbol, _points(records.get(symbol))) for symbol in _lacking(portfolio, None))
    return tuple((symbol, points) for symbol, points in each if points is not None)


@remembered
def _lacking(portfolio: Portfolio, _: None) -> tuple[str, ...]:
    """The contracts of which some entry names no multiplier."""
    symbols = (one.live_symbol for one in portfolio.instruments if one.is_option and one.multiplier is None)
    return tuple(dict.fromkeys(symbols))


@remembered
def _taken(portfolio: Portfolio, told: tuple[tuple[str, int], ...]) -> _Taken:
    """The same object at each refresh, as what follows from a portfolio is remembered by it.

    What one entry contradicts counts in none: a contract has one multiplier, whoever holds it.
    """
    known = dict(told)
    refused = {
        one.live_symbol: entry.id
        for entry in portfolio.positions
        if _with(entry, known) is None
        for one in entry.instruments
        if _of(one, known) is not None
    }
    if refused:
        known = {symbol: points for symbol, points in known.items() if symbol not in refused}
    if not known:
        return _Taken(portfolio, known, refused)
    entries = tuple(_with(one, known) or one for one in portfolio.positions)
    return _Taken(portfolio.changed(positions=entries), known, refused)


def _with(entry: PortfolioEntry, told: Mapping[str, int]) -> PortfolioEntry | None:
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


def _of(one: Instrument, told: Mapping[str, int]) -> int | None:
    return told.get(one.live_symbol) if one.multiplier is None else None
