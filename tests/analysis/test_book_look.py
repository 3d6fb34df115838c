"""One look at a book prices each line once, and says the same as tables and risk that are computed one by one."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.live_portfolio_metrics import (
    LEG_COLUMNS,
    POSITION_COLUMNS,
    STRUCTURE_COLUMNS,
    compute_live_multileg_rows,
    compute_live_position_rows,
)
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.model.portfolio import Portfolio, load_portfolio
from tests.analysis.risk.test_book_risk import index_chain
from tests.kit.builders import position
from tests.portal import scenes

SAMPLE = load_portfolio(scenes.SAMPLE)
THRESHOLDS = {"stale_after_seconds": 30, "wide_spread_pct": 25}


def look(portfolio: Portfolio = SAMPLE, scene=scenes.live, earlier: BookLook | None = None) -> BookLook:
    return look_at_book(portfolio, scene(), RiskChoices(), earlier=earlier, **THRESHOLDS)


@pytest.mark.parametrize("scene", [scenes.live, scenes.stale, scenes.connecting])
@pytest.mark.parametrize("order", [1, -1])
def test_the_tables_are_those_that_are_computed_one_by_one(scene, order):
    """In whichever order the file has structures and singles, a row gets its own prices."""
    book = SAMPLE.changed(positions=SAMPLE.positions[::order])
    found = look(book, scene)
    structures, legs = compute_live_multileg_rows(book, scene(), **THRESHOLDS)

    positions = compute_live_position_rows(book, scene(), **THRESHOLDS)

    for shown, names, alone in (
        (found.positions, POSITION_COLUMNS, positions),
        (found.structures, STRUCTURE_COLUMNS, structures),
        (found.legs, LEG_COLUMNS, legs),
    ):
        pd.testing.assert_frame_equal(shown.frame()[list(names)], alone)


def test_the_risk_has_the_marks_and_the_profits_of_the_tables():
    found = look()
    marks = dict(zip(found.positions["id"], found.positions["mark"], strict=True))
    singles = {line.position_id: line.mark for line in found.risk.lines if line.position_id in marks}

    assert singles == pytest.approx(marks)
    assert found.risk.profits.book_unrealized == found.totals.pnl_abs
    assert found.risk.profits.unrealized.keys() == {entry.id for entry in SAMPLE.positions}


def test_delta_in_dollars_stands_beside_the_price_that_it_is_made_of():
    """Of an index too, which has no price in the other columns."""
    chain = index_chain(6_000, strikes=range(5_900, 6_101, 50))
    book = SAMPLE.changed(positions=(*SAMPLE.positions, position("SPXW", 6_000, identity="index")))
    live = scenes.live()
    live = replace(live, quotes={**live.quotes, **{one.symbol: one for one in chain}})
    found = look(book, lambda: live)

    rows = [table.row(place) for table in (found.positions, found.legs) for place in range(len(table))]
    of_index = next(row for row in rows if row.get("id") == "index")
    assert of_index["underlying_price"] is None
    assert of_index["risk_spot_source"] == "from options: parity forward, discounted"
    known = [row for row in rows if row["delta_dollars"] is not None]
    assert len(known) > 5
    for row in known:
        assert row["delta_dollars"] == pytest.approx(row["delta"] * row["risk_spot"])
        assert row["risk_spot_source"] is not None


def test_a_second_look_at_the_same_prices_computes_no_leg_anew():
    first = look()

    assert first.risk.computed.computed > 0
    assert look(earlier=first).risk.computed.computed == 0


def test_nothing_held_is_a_look_too():
    found = look(Portfolio(positions=()))

    assert (len(found.positions), len(found.legs), found.risk.lines) == (0, 0, ())
