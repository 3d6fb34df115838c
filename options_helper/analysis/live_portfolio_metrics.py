"""A portfolio and a snapshot → the tables and totals of the page; pure, so that every number can be checked.

Rows come in portfolio order, indexed by position id. Money is dollars, prices are dollars per share, percentages are
percent. A number that is not known is NaN (NA in whole-number columns) and is never counted as 0; a sum with a
missing part is not known either, and says how much of it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache, partial
from math import fsum
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from options_helper.analysis.columns import COLUMNS, Column, Kind, Table, column_names, stored_columns
from options_helper.analysis.day_pnl import (
    HeldLines,
    LineDays,
    line_days,
    made_today,
    read_account_day,
    sum_up_day,
)
from options_helper.analysis.marks import Integers, MarkSource, Numbers, QuoteWarning, warning_lists
from options_helper.analysis.priced_lines import PricedLines, numbers, price_lines
from options_helper.model.account import Source
from options_helper.model.portfolio import MultiLegPosition, Portfolio, Position, ShareHolding
from options_helper.model.snapshot import LiveSnapshot

DEFAULT_WIDE_SPREAD_PCT: Final = 25.0

POSITION_COLUMNS: Final = column_names(Table.POSITION)
STRUCTURE_COLUMNS: Final = column_names(Table.STRUCTURE)
LEG_COLUMNS: Final = column_names(Table.LEG)


def compute_live_position_rows(
    portfolio: Portfolio,
    live: LiveSnapshot,
    *,
    stale_after_seconds: float,
    wide_spread_pct: float = DEFAULT_WIDE_SPREAD_PCT,
) -> pd.DataFrame:
    """One row for each single contract and share holding: `POSITION_COLUMNS`."""
    entries = [entry for entry in portfolio.positions if not isinstance(entry, MultiLegPosition)]
    quantity = numbers(_quantity(entry) for entry in entries)
    lines = price_lines(
        [entry.instrument for entry in entries], quantity, live, stale_after_seconds, wide_spread_pct
    )
    basis = numbers(entry.cost_basis for entry in entries)
    pnl = lines.worth * (lines.mark - basis)
    day = line_days(read_account_day(portfolio, live), _held_lines(lines, quantity, live.as_of))
    findings = {**lines.findings, **day.findings, QuoteWarning.NO_COST_BASIS: np.isnan(basis)}
    columns = {
        **lines.columns,
        **_day_columns(day),
        **_closes(lines, live),
        "id": [entry.id for entry in entries],
        "kind": ["option" if isinstance(entry, Position) else "shares" for entry in entries],
        "contracts": [entry.contracts if isinstance(entry, Position) else None for entry in entries],
        "quantity": quantity,
        "cost_basis": basis,
        "market_value": lines.worth * lines.mark,
        "natural_value": lines.worth * lines.natural,
        "pnl_abs": pnl,
        "pnl_pct": _percent(pnl, lines.worth * basis),
        "pnl_natural_abs": lines.worth * (lines.natural - basis),
        "warnings": warning_lists(findings, len(entries)),
    }
    return table_frame(columns, Table.POSITION, columns["id"])


def compute_live_multileg_rows(
    portfolio: Portfolio,
    live: LiveSnapshot,
    *,
    stale_after_seconds: float,
    wide_spread_pct: float = DEFAULT_WIDE_SPREAD_PCT,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row for each structure (`STRUCTURE_COLUMNS`), and one for each of their legs (`LEG_COLUMNS`)."""
    structures = portfolio.structures
    owned_legs = [(entry, place, leg) for entry in structures for place, leg in enumerate(entry.legs)]
    signed = [leg.signed_contracts for _, _, leg in owned_legs]
    quantity = numbers(signed)
    lines = price_lines(
        [instrument for entry in structures for instrument in entry.instruments],
        quantity,
        live,
        stale_after_seconds,
        wide_spread_pct,
    )
    leg_value = lines.worth * lines.mark
    leg_natural = lines.worth * lines.natural
    day = line_days(read_account_day(portfolio, live), _held_lines(lines, quantity, live.as_of))
    lines = replace(lines, findings={**lines.findings, **day.findings})
    leg_columns = {
        **lines.columns,
        **_day_columns(day),
        **_closes(lines, live),
        "position_id": [entry.id for entry, _, _ in owned_legs],
        "leg_index": [place for _, place, _ in owned_legs],
        "side": [leg.side for _, _, leg in owned_legs],
        "contracts": [leg.contracts for _, _, leg in owned_legs],
        "signed_contracts": signed,
        "leg_value": leg_value,
        "leg_natural": leg_natural,
        "warnings": warning_lists(lines.findings, len(owned_legs)),
    }
    identities = [f"{entry.id}/{place}" for entry, place, _ in owned_legs]
    legs = table_frame(leg_columns, Table.LEG, identities)
    return _structure_rows(structures, lines, leg_value, leg_natural, day), legs


def _structure_rows(
    structures: Sequence[MultiLegPosition],
    lines: PricedLines,
    leg_value: Numbers,
    leg_natural: Numbers,
    day: LineDays,
) -> pd.DataFrame:
    counts = np.array([len(entry.legs) for entry in structures], dtype=np.int64)
    first_legs = np.cumsum(counts) - counts
    priced = _per_structure(np.add, (~np.isnan(leg_value)).astype(np.int64), first_legs)
    debit = numbers(entry.net_debit for entry in structures)
    # NaN plus anything is NaN: a sum with a missing leg does not come out as a sum.
    net_mark = _per_structure(np.add, leg_value, first_legs)
    net_natural = _per_structure(np.add, leg_natural, first_legs)
    nearest = [_nearest(entry, lines.today) for entry in structures]
    findings = {
        warning: _per_structure(np.logical_or, flags, first_legs) for warning, flags in lines.findings.items()
    }
    findings[QuoteWarning.MISSING_LEGS] = priced < counts
    structure_day = LineDays(
        realized=_per_structure(np.add, day.realized, first_legs),
        unrealized=_per_structure(np.add, day.unrealized, first_legs),
        # As with a net debit, what was sold takes from what was paid.
        base=np.abs(_per_structure(np.add, np.sign(lines.worth) * day.base, first_legs)),
        findings={},
    )
    columns = {
        "id": [entry.id for entry in structures],
        "symbol": [entry.symbol for entry in structures],
        "words": [entry.words for entry in structures],
        "expiry": nearest,
        "dte": [(expiry - lines.today).days for expiry in nearest],
        "legs": counts,
        "priced_legs": priced,
        "priced": [f"{known} of {count} legs" for known, count in zip(priced, counts, strict=True)],
        "net_debit": debit,
        "net_mark": net_mark,
        "net_natural": net_natural,
        "net_pnl_abs": net_mark - debit,
        "net_pnl_pct": _percent(net_mark - debit, debit),
        "net_pnl_natural_abs": net_natural - debit,
        **_day_columns(structure_day),
        "marks_from": _marks_from(lines.columns["mark_source"], lines.columns["mark_via"], first_legs),
        # Of the oldest leg: a structure is as old as its oldest part.
        "mark_age_seconds": _per_structure(np.maximum, lines.columns["mark_age_seconds"], first_legs),
        "quote_age_seconds": _per_structure(np.maximum, lines.columns["quote_age_seconds"], first_legs),
        "underlying_price": lines.columns["underlying_price"][first_legs],
        "warnings": warning_lists(findings, len(structures)),
    }
    return table_frame(columns, Table.STRUCTURE, columns["id"])


def _held_lines(lines: PricedLines, quantity: Numbers, as_of: datetime) -> HeldLines:
    columns = lines.columns
    is_of_today = made_today(columns["mark_at"], columns["mark_age_seconds"], as_of)
    return HeldLines(
        words=columns["words"],
        symbols=columns["live_symbol"],
        quantity=quantity,
        multiplier=columns["multiplier"],
        price=np.where(is_of_today, lines.mark, np.nan),
    )


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


def _marks_from(sources: Any, vias: Any, first_legs: Integers) -> list[str | None]:
    """How many legs are marked by which event, and how many of those were asked for: "3 mid, 1 trade · 2 REST"."""

    def count(flags: Any) -> list[int]:
        counts: list[int] = _per_structure(np.add, flags.astype(np.int64), first_legs).tolist()
        return counts

    of_source = zip(*(count(sources == source) for source in MarkSource), strict=True)
    return [
        _mark_counts(counts, asked_for)
        for counts, asked_for in zip(of_source, count(vias == Source.REST), strict=True)
    ]


@cache
def _mark_counts(counts: Sequence[int], asked_for: int) -> str | None:
    words = ", ".join(f"{count} {source}" for source, count in zip(MarkSource, counts, strict=True) if count)
    return (f"{words} · {asked_for} REST" if asked_for else words) or None


def _nearest(structure: MultiLegPosition, today: date) -> date:
    """The first expiry still to come; the last one where all are past."""
    expiries = [leg.expiry for leg in structure.legs]
    return min((expiry for expiry in expiries if expiry >= today), default=max(expiries))


def _per_structure(fold: np.ufunc, values: Any, first_legs: Integers) -> Any:
    return fold.reduceat(values, first_legs) if len(first_legs) else values[:0]


def _quantity(entry: Position | ShareHolding) -> float:
    return entry.contracts if isinstance(entry, Position) else entry.shares


def _percent(part: Numbers, base: Numbers) -> Numbers:
    """Percent of the size of `base`; NaN where that is 0."""
    size = np.abs(base)
    return 100 * np.divide(part, size, out=np.full_like(part, np.nan), where=size != 0)


def table_frame(
    values: Mapping[str, Any],
    table: Table,
    identities: Sequence[str],
    declared: tuple[Column, ...] = COLUMNS,
) -> pd.DataFrame:
    """The table of these values by column name, n of each, with its columns in order and of their declared types."""
    typed = {
        column.name: _TYPES.get(column.kind, _as_it_is)(values[column.name])
        for column in stored_columns(table, declared)
    }
    return pd.DataFrame(typed, index=pd.Index(list(identities), dtype=str))


def _as_it_is(values: Any) -> Any:
    return values


def _whole(values: Any) -> Any:
    """Whole numbers, NA where there is none."""
    column = values if isinstance(values, np.ndarray) else numbers(values)
    missing = np.isnan(column)
    return pd.arrays.IntegerArray(np.where(missing, 0, column).astype(np.int64), missing)


def _dates(values: Sequence[date | None]) -> Any:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _times(nanoseconds: Integers) -> Any:
    return pd.DatetimeIndex(nanoseconds.view("datetime64[ns]")).tz_localize("UTC")


# What pandas would not guess the type of, or not the same for every portfolio.
_TYPES: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.WHOLE: _whole,
    Kind.DATE: _dates,
    Kind.TIME: _times,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """A sum that knows how much of it is known; what is known of an incomplete one is not its total."""

    known: float
    counted: int
    of: int

    @property
    def complete(self) -> bool:
        """Whether every part is known."""
        return self.counted == self.of

    @property
    def total(self) -> float | None:
        """The sum, or None while a part is missing."""
        return self.known if self.complete else None


@dataclass(frozen=True, slots=True)
class NearestExpiry:
    """The first expiry still to come."""

    dte: int
    words: str  # the first contract that expires then, and how many more


@dataclass(frozen=True, slots=True)
class WidestSpread:
    """The line that costs most to close, for its price."""

    pct: float
    words: str


@dataclass(frozen=True, slots=True)
class LiveTotals:
    """The book in one line. Sums are counted by position, prices by leg: each single, holding or leg."""

    pnl: Tally
    pnl_natural: Tally
    at_mark: Tally
    at_natural: Tally
    opened_for: Tally
    at_risk: Tally
    # Of today, counted by line; and what the file holds no more, because it was closed today.
    day: Tally
    day_realized: Tally
    day_unrealized: Tally
    closed_today: tuple[str, ...]  # in words
    day_behind: tuple[str, ...]  # contracts whose later trades are not in today's profit, in words
    day_reasons: tuple[str, ...]  # sentences: why what is missing of today is missing
    priced_legs: int
    legs: int
    cash: float | None
    nearest_expiry: NearestExpiry | None
    widest_spread: WidestSpread | None
    stale: tuple[str, ...]  # lines whose quote is older than the threshold while the market is open, in words
    expired: tuple[str, ...]  # lines that have expired, in words
    unpriced: tuple[str, ...]  # lines without a price that have not expired
    not_subscribed: tuple[str, ...]
    delayed: tuple[str, ...]  # lines whose price was long made when it came
    crossed: tuple[str, ...]
    zero_bid: tuple[str, ...]  # lines marked at half of an ask, beside a bid of zero

    @property
    def complete(self) -> bool:
        """Whether the value of every leg is known."""
        return self.priced_legs == self.legs

    @property
    def pnl_abs(self) -> float | None:
        """Unrealized profit at the mark."""
        return self.pnl.total

    @property
    def pnl_natural_abs(self) -> float | None:
        """Unrealized profit if everything were closed now, longs at the bid and shorts at the ask."""
        return self.pnl_natural.total

    @property
    def pnl_pct(self) -> float | None:
        """Profit at the mark in percent of what the positions were opened for."""
        if self.pnl.total is None or not self.opened_for.total:
            return None
        return 100 * self.pnl.total / self.opened_for.total

    @property
    def market_value(self) -> float | None:
        """All positions at the mark, shorts negative; without cash."""
        return self.at_mark.total

    @property
    def liquidation_value(self) -> float | None:
        """All positions at natural, plus the cash of the portfolio file where it names some."""
        return None if self.at_natural.total is None else self.at_natural.total + (self.cash or 0.0)

    @property
    def liquidation_covers(self) -> str:
        """What the liquidation value counts, in words."""
        return "positions only" if self.cash is None else "positions and cash"

    @property
    def premium_at_risk(self) -> float | None:
        """What was paid for long options and debit structures that have not wholly expired."""
        return self.at_risk.total


def compute_live_totals(
    portfolio: Portfolio,
    live: LiveSnapshot,
    position_rows: pd.DataFrame,
    structure_df: pd.DataFrame,
    legs_df: pd.DataFrame,
) -> LiveTotals:
    """Sum the tables of one snapshot; a missing part makes a total unknown, never smaller."""
    single, structure = partial(_column, position_rows), partial(_column, structure_df)
    paid = np.abs(single("cost_basis") * single("quantity") * single("multiplier"))
    debit = structure("net_debit")
    may_lose = (single("quantity") > 0) & (single("dte") >= 0)
    still_running = legs_df["position_id"][_column(legs_df, "dte") >= 0]
    may_lose_debit = (debit > 0) & structure_df["id"].isin(still_running).to_numpy()
    lines = _book_lines(position_rows, legs_df)
    today = sum_up_day(read_account_day(portfolio, live), _all_held_lines(position_rows, legs_df, live.as_of))
    return LiveTotals(
        pnl=_tally(single("pnl_abs"), structure("net_pnl_abs")),
        pnl_natural=_tally(single("pnl_natural_abs"), structure("net_pnl_natural_abs")),
        at_mark=_tally(single("market_value"), structure("net_mark")),
        at_natural=_tally(single("natural_value"), structure("net_natural")),
        opened_for=_tally(paid, np.abs(debit)),
        at_risk=_tally(paid[may_lose], debit[may_lose_debit]),
        day=_tally(today.realized + today.unrealized),
        day_realized=_tally(today.realized),
        day_unrealized=_tally(today.unrealized),
        closed_today=today.closed,
        day_behind=today.behind,
        day_reasons=today.reasons,
        priced_legs=sum(line.is_priced for line in lines),
        legs=len(lines),
        cash=portfolio.cash,
        nearest_expiry=_nearest_expiry(lines),
        widest_spread=_widest_spread(lines),
        stale=_named(lines, QuoteWarning.STALE_QUOTE),
        expired=_named(lines, QuoteWarning.EXPIRED),
        unpriced=tuple(
            dict.fromkeys(
                line.words
                for line in lines
                if not line.is_priced and QuoteWarning.EXPIRED not in line.warnings
            )
        ),
        not_subscribed=_named(lines, QuoteWarning.NOT_SUBSCRIBED),
        delayed=_named(lines, QuoteWarning.DELAYED_PRICE),
        crossed=_named(lines, QuoteWarning.CROSSED_MARKET),
        zero_bid=_named(lines, QuoteWarning.ZERO_BID),
    )


def _all_held_lines(position_rows: pd.DataFrame, legs_df: pd.DataFrame, as_of: datetime) -> HeldLines:
    tables = (position_rows, legs_df)

    def both(name: str) -> Numbers:
        return np.concatenate([_column(table, name) for table in tables])

    times = [table["mark_at"].to_numpy(dtype="datetime64[ns]").view(np.int64) for table in tables]
    is_of_today = made_today(np.concatenate(times), both("mark_age_seconds"), as_of)
    return HeldLines(
        words=[*position_rows["words"], *legs_df["words"]],
        symbols=[*position_rows["live_symbol"], *legs_df["live_symbol"]],
        quantity=np.concatenate([_column(position_rows, "quantity"), _column(legs_df, "signed_contracts")]),
        multiplier=both("multiplier"),
        price=np.where(is_of_today, both("mark"), np.nan),
    )


def _column(table: pd.DataFrame, name: str) -> Numbers:
    return table[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _tally(*columns: Numbers) -> Tally:
    values = np.concatenate(columns)
    known = values[~np.isnan(values)]
    return Tally(fsum(known), counted=len(known), of=len(values))


class _BookLine(NamedTuple):
    words: str
    dte: float
    is_priced: bool
    spread_pct: float
    warnings: list[QuoteWarning]


def _book_lines(position_rows: pd.DataFrame, legs_df: pd.DataFrame) -> list[_BookLine]:
    lines: list[_BookLine] = []
    for table, value in ((position_rows, "market_value"), (legs_df, "leg_value")):
        is_priced = table[value].notna()
        parts = (table["words"], _column(table, "dte"), is_priced, table["spread_pct"], table["warnings"])
        lines.extend(map(_BookLine._make, zip(*parts, strict=True)))
    return lines


def _nearest_expiry(lines: Sequence[_BookLine]) -> NearestExpiry | None:
    coming = [line for line in lines if line.dte >= 0]
    if not coming:
        return None
    first = min(coming, key=lambda line: line.dte)
    others = len({line.words for line in coming if line.dte == first.dte}) - 1
    words = f"{first.words} and {others} more" if others else first.words
    return NearestExpiry(int(first.dte), words)


def _widest_spread(lines: Sequence[_BookLine]) -> WidestSpread | None:
    spreads = [line for line in lines if line.is_priced and line.spread_pct >= 0]
    if not spreads:
        return None
    widest = max(spreads, key=lambda line: line.spread_pct)
    return WidestSpread(float(widest.spread_pct), widest.words)


def _named(lines: Sequence[_BookLine], warning: QuoteWarning) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.words for line in lines if warning in line.warnings))
