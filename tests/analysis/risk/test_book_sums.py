"""Whatever is held, and whatever of it is not known: each sum is that of its legs, and says what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from math import fsum, isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.analysis.risk.book_values import BookFigures, LineRisk, theta_parts
from options_helper.analysis.risk.greeks import FigureState, GreekSum, GreekSums
from options_helper.analysis.risk.risk_tables import risk_tables
from options_helper.model.contract_symbols import OptionType
from options_helper.model.portfolio import PortfolioEntry
from options_helper.model.risk_inputs import CorporateActions, RiskInputs
from options_helper.model.snapshot import LiveSnapshot
from tests.analysis.risk.test_book_risk import risk_of
from tests.kit.builders import holding, leg, portfolio, position, quote, snapshot_with, structure
from tests.kit.pace import runs

NOW = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)  # an hour before the close of a third Friday
TODAY, SOON, LATER, GONE = date(2026, 11, 20), date(2026, 12, 18), date(2027, 3, 19), date(2026, 11, 13)
NAMES = ("AAPL", "MSFT", "NVDA")  # of the last nobody knows the price
FIGURES = ("delta", "delta_dollars", "gamma", "vega", "theta", "rho")
# What is quoted of a strike: a leg that says its volatility, one for which nobody bids, one at intrinsic value, and
# one of which nothing is quoted.
KINDS: tuple[OptionType, ...] = ("call", "put")
STRIKES: dict[float, tuple[float, float] | None] = {
    180.0: (4.0, 4.1),
    220.0: (0.0, 0.05),
    100.0: (79.5, 80.5),
    190.0: None,
}


@cache
def market() -> LiveSnapshot:
    quotes = [
        quote(position(name, strike, kind, expiry=day).instrument.live_symbol, *sides, as_of=NOW)
        for name in NAMES
        for day in (TODAY, SOON, LATER)
        for kind in KINDS
        for strike, sides in STRIKES.items()
        if sides is not None
    ]
    quotes += [quote(name, 179.95, 180.05, as_of=NOW) for name in NAMES[:2]]
    actions = {name: CorporateActions(name, NOW, date(2027, 6, 1)) for name in NAMES[1:]}
    return replace(snapshot_with(*quotes, as_of=NOW), risk_inputs=RiskInputs(actions=actions))


LEGS = st.builds(
    leg,
    st.sampled_from(("long", "short")),
    st.sampled_from(tuple(STRIKES)),
    st.sampled_from(KINDS),
    contracts=st.integers(1, 7),
    expiry=st.sampled_from((TODAY, SOON, LATER, GONE)),
)
SINGLES = st.builds(
    position,
    st.sampled_from((*NAMES, "AAPL1")),
    st.sampled_from(tuple(STRIKES)),
    st.sampled_from(KINDS),
    contracts=st.integers(-5, 5).filter(bool),
    expiry=st.sampled_from((TODAY, SOON, LATER, GONE)),
)
SPREADS = st.builds(
    lambda legs, symbol: structure(*legs, symbol=symbol),
    st.lists(LEGS, min_size=2, max_size=4, unique_by=lambda one: (one.option_type, one.expiry, one.strike)),
    st.sampled_from(NAMES),
)
SHARES = st.builds(holding, st.sampled_from(NAMES), st.floats(1, 500))


@st.composite
def books(draw: st.DrawFn) -> list[PortfolioEntry]:
    entries = draw(st.lists(st.one_of(SINGLES, SPREADS, SHARES), min_size=1, max_size=6))
    return [one.model_copy(update={"id": f"entry-{n}"}) for n, one in enumerate(entries)]


def check(told: GreekSum, lines: Iterable[LineRisk], figure: str) -> None:
    """A sum by hand: what is held and not known lacks in it, and never counts as 0."""
    held = [one for one in lines if not one.is_over]
    options = [one for one in held if one.iv_state is not None]
    known = [value for one in held if (value := getattr(one, figure)) is not None]
    of_options = [one for one in options if getattr(one, figure) is not None]
    bounds = sum(
        one.delta_state is FigureState.BOUND for one in of_options if figure in {"delta", "delta_dollars"}
    )
    assert told.coverage.of == len(options)
    assert (told.coverage.known, told.coverage.bound) == (len(of_options) - bounds, bounds)
    assert told.missing == len(held) - len(known)
    says_nothing = told.missing and not of_options and not fsum(known)
    assert told.amount == (None if says_nothing else pytest.approx(fsum(known), rel=1e-12, abs=1e-12))


def check_all(told: GreekSums, lines: list[LineRisk]) -> None:
    for figure in FIGURES:
        check(getattr(told, figure), lines, figure)


def grouped(book: BookFigures, key: Callable[[LineRisk], object]) -> dict[object, list[LineRisk]]:
    found: dict[object, list[LineRisk]] = {}
    for line in book.lines:
        found.setdefault(key(line), []).append(line)
    return found


@settings(max_examples=runs(60, 1500))
@given(books())
def test_each_sum_is_that_of_its_lines(entries: list[PortfolioEntry]):
    book = risk_of(*entries, live=market())

    check_all(book.sums, list(book.lines))
    for key, sums in (
        (lambda one: one.position_id, book.sums_by_entry),
        (lambda one: one.expiry, book.sums_by_expiry),
        (lambda one: one.underlying, {one.symbol: one.sums for one in book.underlyings}),
    ):
        groups = grouped(book, key)
        assert groups.keys() == sums.keys()
        for name, lines in groups.items():
            check_all(sums[name], lines)  # type: ignore[index]
    # Theta in its two parts, days and what is left of time value, is the same theta.
    parts = theta_parts(book.lines)
    both = [one for one in (parts.per_day, parts.time_value_left) if one is not None]
    assert fsum(both) == pytest.approx(book.sums.theta.amount or 0.0, rel=1e-12, abs=1e-12)


@settings(max_examples=runs(30, 500))
@given(books())
def test_a_row_of_a_structure_is_the_sum_of_the_rows_of_its_legs_or_empty(entries: list[PortfolioEntry]):
    """Of the table of the page: a leg that lacks a figure leaves its structure none, and no part of one."""
    book = risk_of(*entries, live=market())
    tables = risk_tables(portfolio(*entries), book)
    structures, legs = tables.structures, tables.legs
    for place, identity in enumerate(structures.identities):
        held = [line for line in book.lines if line.position_id == identity]
        rows = [n for n, one in enumerate(legs.identities) if one.split("/")[0] == identity]
        for figure in FIGURES:
            told = float(structures.columns[figure][place])
            of_legs = [float(legs.columns[figure][n]) for n in rows]
            left = [value for value, line in zip(of_legs, held, strict=True) if not line.is_over]
            if any(map(isnan, left)) or all(line.has_ended for line in held):
                assert isnan(told)
            else:
                assert told == pytest.approx(fsum(left), rel=1e-12, abs=1e-12)
