"""A portfolio and a snapshot → the tables of the page; pure, so that every number can be checked.

Rows come in portfolio order. Money is dollars, prices are dollars per share, percentages are percent. A number that is
not known is NaN and is never counted as 0; a sum with a missing part is not known either, and says how much of it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final

import numpy as np

from options_helper.analysis.columns import PRICE_COLUMNS, Table
from options_helper.analysis.day_pnl import (
    AccountDay,
    HeldLines,
    LineDays,
    line_days,
    made_today,
    read_account_day,
)
from options_helper.analysis.grades import RANKS, Grade, grades_of
from options_helper.analysis.marks import (
    Findings,
    Flags,
    Integers,
    MarkSource,
    Numbers,
    QuoteWarning,
    warning_lists,
)
from options_helper.analysis.payoffs import believable_range
from options_helper.analysis.priced_lines import PricedLines, numbers, price_entries
from options_helper.analysis.remembered import remembered
from options_helper.analysis.row_table import RowTable, row_table
from options_helper.analysis.structure_kinds import structure_kind
from options_helper.model.account import Source
from options_helper.model.alpaca_symbols import underlying_symbol
from options_helper.model.portfolio import Leg, MultiLegPosition, Portfolio, PortfolioEntry, Position
from options_helper.model.snapshot import LiveSnapshot

DEFAULT_WIDE_SPREAD_PCT: Final = 25.0
# Of what the legs were worth one by one: on less than that no percentage of a day stands.
_SMALLEST_BASE: Final = 0.05
_ANY_TIME: Final = datetime(2026, 1, 2, 15, 0, tzinfo=UTC)


def position_table(
    portfolio: Portfolio, live: LiveSnapshot, priced: PricedLines, account_day: AccountDay | None = None
) -> RowTable:
    """One row for each single contract and share holding; `priced` are all lines of the portfolio, in its order.

    `account_day` is what the account says of today, where that has been read already.
    """
    entries = [entry for entry in portfolio.positions if not isinstance(entry, MultiLegPosition)]
    quantity = numbers(entry.lines[0].quantity for entry in entries)
    lines = priced.take(_places(portfolio, of_structures=False))
    basis = numbers(entry.lines[0].cost_basis for entry in entries)
    pnl = lines.worth * (lines.mark - basis)
    account_day = account_day or read_account_day(portfolio, live)
    day = line_days(account_day, _held_lines(lines, quantity, live.as_of))
    findings = {**_findings_with_day(lines, day), QuoteWarning.NO_COST_BASIS: np.isnan(basis)}
    columns = {
        **lines.columns,
        **_day_columns(day),
        **_closes(lines, live),
        "id": [entry.id for entry in entries],
        "grade": grades_of(lines.rank),
        "kind": ["option" if isinstance(entry, Position) else "shares" for entry in entries],
        "contracts": [entry.contracts if isinstance(entry, Position) else None for entry in entries],
        "quantity": quantity,
        "cost_basis": basis,
        "market_value": lines.worth * lines.mark,
        "natural_value": lines.worth * lines.natural,
        "pnl_abs": pnl,
        "pnl_pct": _percent(pnl, lines.worth * basis),
        "pnl_natural_abs": lines.worth * (lines.natural - basis),
        **_carried_columns(entries, pnl),
        "warnings": warning_lists(findings, len(entries)),
    }
    return row_table(columns, Table.POSITION, columns["id"], PRICE_COLUMNS)


def multileg_tables(
    portfolio: Portfolio, live: LiveSnapshot, priced: PricedLines, account_day: AccountDay | None = None
) -> tuple[RowTable, RowTable]:
    """One row for each structure, and one for each of their legs; `priced` and the day as for the positions."""
    if not portfolio.structures:
        return _no_structures(portfolio, None)
    return _multileg_tables(portfolio, live, priced, account_day)


@remembered
def _no_structures(portfolio: Portfolio, _: None) -> tuple[RowTable, RowTable]:
    """Tables without rows, which no price changes."""
    live = LiveSnapshot(as_of=_ANY_TIME)
    priced = price_entries(
        portfolio.positions,
        portfolio,
        live,
        stale_after_seconds=0,
        wide_spread_pct=DEFAULT_WIDE_SPREAD_PCT,
    )
    return _multileg_tables(portfolio, live, priced, None)


def _multileg_tables(
    portfolio: Portfolio, live: LiveSnapshot, priced: PricedLines, account_day: AccountDay | None
) -> tuple[RowTable, RowTable]:
    structures = portfolio.structures
    owned_legs = [
        (entry, index, leg, line)
        for entry in structures
        for index, (leg, line) in enumerate(zip(entry.legs, entry.lines, strict=True))
    ]
    quantity = numbers(line.quantity for *_, line in owned_legs)
    basis = numbers(line.cost_basis for *_, line in owned_legs)
    lines = priced.take(_places(portfolio, of_structures=True))
    leg_value = lines.worth * lines.mark
    leg_natural = lines.worth * lines.natural
    groups = _LegGroups(structures)
    not_believed = _not_believed(structures, groups.sums(leg_value), lines.today)
    held = _held_lines(lines, quantity, live.as_of)
    of_leg = np.repeat(not_believed, groups.sizes)
    held = replace(held, price=np.where(of_leg, np.nan, held.price))
    day = line_days(account_day or read_account_day(portfolio, live), held)
    lines = replace(lines, findings=_findings_with_day(lines, day))
    leg_columns = {
        **lines.columns,
        **_day_columns(day),
        **_closes(lines, live),
        "position_id": [entry.id for entry, *_ in owned_legs],
        "leg_index": [index for _, index, *_ in owned_legs],
        "side": [leg.side for *_, leg, _ in owned_legs],
        "contracts": [leg.contracts if isinstance(leg, Leg) else None for *_, leg, _ in owned_legs],
        "signed_contracts": quantity,
        "cost_basis": basis,
        "leg_pnl": lines.worth * (lines.mark - basis),
        "grade": grades_of(lines.rank),
        "leg_value": leg_value,
        "leg_natural": leg_natural,
        "warnings": warning_lists(lines.findings, len(owned_legs)),
    }
    identities = [f"{entry.id}/{index}" for entry, index, *_ in owned_legs]
    legs = row_table(leg_columns, Table.LEG, identities, PRICE_COLUMNS)
    days = _structure_days(day, quantity, groups, numbers(entry.opening_cost for entry in structures))
    values = np.where(of_leg, np.nan, leg_value), leg_natural
    return _structure_rows(structures, lines, groups, values, days, not_believed=not_believed), legs


def _places(portfolio: Portfolio, *, of_structures: bool) -> list[int]:
    """Where among all lines of the portfolio those of its structures are, or the others."""
    owned = (isinstance(entry, MultiLegPosition) for entry in portfolio.positions for _ in entry.lines)
    return [place for place, is_leg in enumerate(owned) if is_leg is of_structures]


def _not_believed(structures: Sequence[MultiLegPosition], net_marks: Numbers, today: date) -> Flags:
    """Where the marks of the legs come to more, or less, than the structure can be worth."""
    ranges = [believable_range(entry.lines, today) for entry in structures]
    least, greatest = np.array(ranges, dtype=np.float64).reshape(-1, 2).T
    return (net_marks < least) | (net_marks > greatest)


class _LegGroups:
    """Which legs belong to which of n structures: folds a column of legs into one of structures."""

    def __init__(self, structures: Sequence[MultiLegPosition]) -> None:
        self.sizes = np.array([len(entry.legs) for entry in structures], dtype=np.int64)
        self.first_legs = np.cumsum(self.sizes) - self.sizes

    def sums(self, values: Any) -> Any:
        """NaN plus anything is NaN: a sum with a missing leg does not come out as a sum."""
        return self._fold(np.add, values)

    def counts(self, flags: Flags) -> Integers:
        counted: Integers = self._fold(np.add, flags.astype(np.int64))
        return counted

    def any(self, flags: Flags) -> Flags:
        found: Flags = self._fold(np.logical_or, flags)
        return found

    def oldest(self, ages: Numbers) -> Numbers:
        """A structure is as old as its oldest part."""
        oldest: Numbers = self._fold(np.maximum, ages)
        return oldest

    def worst(self, ranks: Integers) -> Integers:
        """A structure is of the grade of its worst leg."""
        worst: Integers = self._fold(np.maximum, ranks)
        return worst

    def firsts(self, values: Any) -> Any:
        return values[self.first_legs]

    def _fold(self, how: np.ufunc, values: Any) -> Any:
        return how.reduceat(values, self.first_legs) if len(self.first_legs) else values[:0]


def _structure_rows(
    structures: Sequence[MultiLegPosition],
    lines: PricedLines,
    groups: _LegGroups,
    values: tuple[Numbers, Numbers],
    day: LineDays,
    *,
    not_believed: Flags,
) -> RowTable:
    leg_value, leg_natural = values
    priced = groups.counts(~np.isnan(lines.worth * lines.mark))
    ends = np.split(lines.ended, groups.first_legs[1:])
    nearest = [_nearest(entry, ended) for entry, ended in zip(structures, ends, strict=False)]
    findings = {warning: groups.any(flags) for warning, flags in lines.findings.items()}
    findings[QuoteWarning.MISSING_LEGS] = priced < groups.sizes
    findings[QuoteWarning.IMPOSSIBLE_MARK] = not_believed
    debit = numbers(entry.opening_cost for entry in structures)
    findings[QuoteWarning.NO_COST_BASIS] = np.isnan(debit)
    columns = {
        "id": [entry.id for entry in structures],
        "kind": [structure_kind(entry) for entry in structures],
        "symbol": [entry.symbol for entry in structures],
        "underlying": [_underlying(entry) for entry in structures],
        "words": [entry.label for entry in structures],
        "expiry": nearest,
        "dte": numbers((expiry - lines.today).days if expiry else None for expiry in nearest),
        "legs": groups.sizes,
        "priced_legs": priced,
        "priced": [f"{known} of {count} legs" for known, count in zip(priced, groups.sizes, strict=True)],
        **_net_columns(debit, groups.sums(leg_value), groups.sums(leg_natural)),
        **_carried_columns(structures, groups.sums(leg_value) - debit),
        **_day_columns(day),
        "grade": grades_of(
            np.maximum(groups.worst(lines.rank), np.where(not_believed, RANKS[Grade.NOT_BELIEVED], 0))
        ),
        "marks_from": _marks_from(lines.columns["mark_source"], lines.columns["mark_via"], groups),
        "mark_age_seconds": groups.oldest(lines.columns["mark_age_seconds"]),
        "quote_age_seconds": groups.oldest(lines.columns["quote_age_seconds"]),
        "underlying_price": _one_spot(structures, groups.firsts(lines.columns["underlying_price"])),
        "warnings": warning_lists(findings, len(structures)),
    }
    return row_table(columns, Table.STRUCTURE, columns["id"], PRICE_COLUMNS)


def _underlying(entry: MultiLegPosition) -> str:
    """What all its legs are written on; where these are several, what its own symbol is."""
    names = {one.underlying for one in entry.instruments}
    return names.pop() if len(names) == 1 else underlying_symbol(entry.symbol)


def _one_spot(structures: Sequence[MultiLegPosition], of_first_legs: Numbers) -> Numbers:
    """The price of what a structure is written on; NaN where its legs are written on several."""
    several = [len({one.underlying for one in entry.instruments}) > 1 for entry in structures]
    return np.where(np.array(several, dtype=bool), np.nan, of_first_legs)


def _net_columns(debit: Numbers, mark: Numbers, natural: Numbers) -> dict[str, Numbers]:
    return {
        "net_debit": debit,
        "net_mark": mark,
        "net_natural": natural,
        "net_pnl_abs": mark - debit,
        "net_pnl_pct": _percent(mark - debit, debit),
        "net_pnl_natural_abs": natural - debit,
    }


def _carried_columns(entries: Sequence[PortfolioEntry], pnl: Numbers) -> dict[str, Numbers]:
    """What the file says of gains and fees so far; a net profit only where it says something of either."""
    return {
        "realized": numbers(entry.realized for entry in entries),
        "fees": numbers(entry.fees for entry in entries),
        "pnl_net": pnl + numbers(entry.carried for entry in entries),
    }


def _structure_days(day: LineDays, quantity: Numbers, groups: _LegGroups, debit: Numbers) -> LineDays:
    """The day of each structure; its percentage is of what it was worth at midnight, or was opened for today.

    Both are net, and neither moves when a leg is traded to and fro. Where they come to little beside what the legs are
    worth one by one, a percentage would say nothing.
    """
    # Of a leg that was not held at midnight, what it was opened for.
    opened = np.where(day.overnight == 0, np.sign(quantity) * day.base, 0.0)
    net = np.abs(groups.sums(day.overnight + opened))
    gross = groups.sums(np.abs(day.overnight) + np.abs(opened))
    is_of_today = ~groups.any(day.overnight != 0) & ~np.isnan(debit)
    base = np.where(is_of_today, np.abs(debit), net)
    return LineDays(
        realized=groups.sums(day.realized),
        unrealized=groups.sums(day.unrealized),
        base=np.where(base < _SMALLEST_BASE * gross, np.nan, base),
        overnight=groups.sums(day.overnight),
        findings={},
    )


def _held_lines(lines: PricedLines, quantity: Numbers, as_of: datetime) -> HeldLines:
    columns = lines.columns
    is_of_today = made_today(columns["mark_at"], columns["mark_age_seconds"], as_of)
    return HeldLines(
        labels=columns["words"],
        symbols=columns["live_symbol"],
        quantity=quantity,
        multiplier=columns["multiplier"],
        price=np.where(is_of_today, lines.mark, np.nan),
    )


def _findings_with_day(lines: PricedLines, day: LineDays) -> Findings:
    """All that speaks against the lines; why a quantity is in doubt says more than that it is."""
    doubt = lines.findings[QuoteWarning.QUANTITY_IN_DOUBT]
    for reason in (QuoteWarning.ACCOUNT_DIFFERS, QuoteWarning.FILE_BEHIND):
        if reason in day.findings:
            doubt = doubt & ~day.findings[reason]
    return {**lines.findings, **day.findings, QuoteWarning.QUANTITY_IN_DOUBT: doubt}


def _day_columns(day: LineDays) -> dict[str, Any]:
    return {
        "day_pnl": day.pnl,
        "day_pct": _percent(day.pnl, day.base),
        "day_realized": day.realized,
        "day_unrealized": day.unrealized,
    }


def _closes(lines: PricedLines, live: LiveSnapshot) -> dict[str, Any]:
    """The newest close that is known, whether or not today begins with it."""
    closes = [live.account.closes.get(symbol) for symbol in lines.columns["live_symbol"]]
    return {
        "previous_close": numbers(close.price if close else None for close in closes),
        "previous_close_day": [close.day if close else None for close in closes],
    }


def _marks_from(sources: Any, vias: Any, groups: _LegGroups) -> list[str | None]:
    """How many legs are marked by which event, and how many of those were asked for: "3 mid, 1 trade · 2 REST"."""
    of_source = zip(*(groups.counts(sources == source).tolist() for source in MarkSource), strict=True)
    from_rest = groups.counts(vias == Source.REST).tolist()
    return [_mark_counts(counts, by_rest) for counts, by_rest in zip(of_source, from_rest, strict=True)]


@cache
def _mark_counts(counts: Sequence[int], by_rest: int) -> str | None:
    words = ", ".join(f"{count} {source}" for source, count in zip(MarkSource, counts, strict=True) if count)
    return (f"{words} · {by_rest} REST" if by_rest else words) or None


def _nearest(structure: MultiLegPosition, ended: Flags) -> date | None:
    """The first expiry still to come; the last one where all contracts have ended, None where all legs are shares."""
    expiries = [one.expiry for one in structure.instruments]
    to_come = [day for day, over in zip(expiries, ended, strict=True) if day is not None and not over]
    return min(to_come) if to_come else max((day for day in expiries if day is not None), default=None)


def _percent(part: Numbers, base: Numbers) -> Numbers:
    """Percent of the size of `base`; NaN where that is 0."""
    size = np.abs(base)
    return 100 * np.divide(part, size, out=np.full_like(part, np.nan), where=size != 0)
