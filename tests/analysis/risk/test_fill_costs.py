"""A fill costs what its execution says, wherever its contract stands in the book; the lines' costs add up to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import fsum, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.marks import MarkSource
from options_helper.analysis.risk.fill_costs import DayTrades, FillCosts, HeldLine, Traded
from options_helper.analysis.risk.readings import Reading
from options_helper.analysis.risk.what_changed import Change, Part, Strip, begin, change_of, fold

OPEN = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
CALL, PUT = "XYZ261218C00100000", "XYZ261218P00090000"
QUIET: Mapping[str, tuple[float, float]] = {}


def trades(of: Mapping[str, tuple[float, float]], *, unknown: frozenset[str] = frozenset()) -> DayTrades:
    return DayTrades(date(2026, 11, 20), {key: Traded(*one) for key, one in of.items()}, unknown)


@dataclass
class Day:
    """A book, look after look; each line is (entry, symbol): (contracts, mark)."""

    costs: FillCosts = field(default_factory=FillCosts)
    strip: Strip | None = None
    minute: int = 0
    first_worth: float = 0.0
    worth: float = 0.0

    def look(
        self, lines: Mapping[tuple[str, str], tuple[float, float]], known: DayTrades | None = None
    ) -> Reading:
        held = {
            f"{entry} {symbol} 0": HeldLine(symbol, "XYZ", quantity, 100, mark)
            for (entry, symbol), (quantity, mark) in lines.items()
        }
        known = trades(QUIET) if known is None else known
        self.costs, now = self.costs.priced(self.reading_of(held), held, known)
        self.strip = begin(now) if self.strip is None else fold(self.strip, now)
        self.minute += 1
        return now

    def reading_of(self, held: Mapping[str, HeldLine]) -> Reading:
        count = len(held)
        return Reading(
            at=OPEN + timedelta(minutes=self.minute),
            keys=tuple(held),
            underlying=np.full(count, "XYZ", dtype=object),
            is_option=np.ones(count, dtype=bool),
            slope=np.array([one.quantity * 100.0 for one in held.values()]),
            paid=np.zeros(count),
            fills=np.zeros(count, dtype=np.int64),
            mark=np.array([one.mark for one in held.values()]),
            source=np.full(count, MarkSource.MID, dtype=object),
            spot=np.full(count, 100.0),
            forward=np.full(count, "spot", dtype=object),
            volatility=np.full(count, 0.2),
            delta=np.full(count, 0.5),
            vega=np.full(count, 10.0),
            theta=np.full(count, -5.0),
        )

    @property
    def change(self) -> Change:
        assert self.strip is not None
        change = change_of(self.strip)
        assert fsum(change.parts.values()) == pytest.approx(change.profit, abs=1e-9)
        return change


def test_a_purchase_costs_its_price_and_what_it_was_away_from_the_mark_has_a_line_of_its_own():
    day = Day()
    day.look({("call", CALL): (1, 4.50)})
    day.look({("call", CALL): (3, 4.50)}, trades({CALL: (2, 2 * 4.55)}))

    assert day.change.parts[Part.FILLS] == day.change.profit == pytest.approx(-10.0)
    assert day.change.unpriced == 0


def test_what_was_bought_before_the_first_look_is_none_of_its_fills():
    day = Day()
    earlier = {CALL: (1.0, 4.0)}
    day.look({("call", CALL): (1, 4.50)}, trades(earlier))
    day.look({("call", CALL): (1, 4.50)}, trades(earlier))

    assert day.change.profit == 0


def test_a_sale_of_all_is_told_at_its_price_long_after_the_line_has_gone():
    day = Day()
    day.look({("call", CALL): (2, 4.50)})
    sold = trades({CALL: (-2, -2 * 4.40)})
    for _ in range(3):
        day.look({}, sold)

    assert day.change.parts[Part.FILLS] == pytest.approx(-20.0)
    assert day.change.unpriced == 0


def test_a_contract_that_expires_is_gone_at_nothing_and_not_at_its_mark():
    day = Day()
    day.look({("call", CALL): (-1, 0.02)})
    day.look({}, trades({CALL: (1, 0.0)}))

    assert day.change.profit == pytest.approx(2.0)
    assert day.change.unpriced == 0


def test_a_round_trip_between_two_looks_is_a_fill_though_no_line_ever_showed_it():
    day = Day()
    day.look({("put", PUT): (1, 2.0)})
    day.look({("put", PUT): (1, 2.0)}, trades({CALL: (0, -0.30)}))

    assert day.change.parts[Part.FILLS] == pytest.approx(30.0)


def test_a_contract_that_becomes_a_leg_of_a_structure_passes_at_the_mark_and_brings_nothing():
    day = Day()
    day.look({("single", CALL): (1, 4.50), ("put", PUT): (1, 2.0)})
    day.look({("pair", CALL): (1, 4.70), ("pair", PUT): (1, 2.0)})

    assert day.change.profit == pytest.approx(20.0)
    assert day.change.parts[Part.FILLS] == pytest.approx(0.0)
    assert day.change.unpriced == 0


def test_a_purchase_that_regroups_the_book_costs_once_what_was_paid():
    day = Day()
    bought = trades({CALL: (1, 4.40)})
    day.look({("single", CALL): (1, 4.50)}, bought)
    more = trades({CALL: (3, 4.40 + 2 * 4.60)})
    day.look({("pair", CALL): (2, 4.50), ("rest", CALL): (1, 4.50)}, more)

    assert day.change.parts[Part.FILLS] == day.change.profit == pytest.approx(-20.0)


def test_a_quantity_that_no_execution_explains_counts_at_the_mark_and_is_counted():
    day = Day()
    day.look({("call", CALL): (1, 4.50)})
    day.look({("call", CALL): (2, 4.60)})

    assert day.change.profit == pytest.approx(10.0)
    assert day.change.unpriced == 1


@pytest.mark.parametrize(
    "known",
    [
        None,
        trades({CALL: (1, nan)}),
        trades(QUIET, unknown=frozenset({CALL})),
        DayTrades(date(2026, 11, 21), {CALL: Traded(1, 4.0)}),
    ],
)
def test_a_price_that_is_not_known_is_never_made_up(known: DayTrades | None):
    day = Day()
    day.look({("call", CALL): (1, 4.50)})
    held = {f"call {CALL} 0": HeldLine(CALL, "XYZ", 2, 100, 4.60)}
    _, now = day.costs.priced(day.reading_of(held), held, known)

    assert now.paid.tolist() == [0.0]
    assert day.strip is not None
    assert change_of(fold(day.strip, now)).unpriced == 1


def test_an_entry_that_becomes_another_contract_is_another_line():
    """Its mark has not jumped from one contract's to the other's."""
    day = Day()
    day.look({("roll", CALL): (1, 4.50)})
    day.look({("roll", PUT): (1, 9.50)}, trades({CALL: (-1, -4.50), PUT: (1, 9.50)}))

    assert day.change.profit == pytest.approx(0.0)


steps = st.lists(
    st.tuples(
        st.sampled_from(["single", "pair", "rest"]),
        st.sampled_from([CALL, PUT]),
        st.integers(-3, 3),
        st.integers(100, 900),  # cents
        st.integers(100, 900),
        st.sampled_from(["single", "pair", "rest"]),
    ),
    min_size=1,
    max_size=12,
)


@given(steps)
def test_the_profit_is_what_the_book_is_worth_less_what_was_paid_whatever_was_traded_and_regrouped(
    story: list[tuple[str, str, int, int, int, str]],
):
    book: dict[tuple[str, str], float] = {("single", CALL): 1.0}
    marks = {CALL: 4.0, PUT: 2.0}
    done = {CALL: (0.0, 0.0), PUT: (0.0, 0.0)}
    day = Day()
    day.look({line: (count, marks[line[1]]) for line, count in book.items()})
    began = fsum(100 * count * marks[line[1]] for line, count in book.items())
    for entry, symbol, count, price, mark, other in story:
        marks[symbol] = mark / 100
        book[entry, symbol] = book.get((entry, symbol), 0.0) + count
        # And one of it passes from one entry to another.
        book[entry, symbol] -= 1
        book[other, symbol] = book.get((other, symbol), 0.0) + 1
        done[symbol] = (done[symbol][0] + count, done[symbol][1] + count * price / 100)
        held = {line: (quantity, marks[line[1]]) for line, quantity in book.items() if quantity}
        day.look(held, trades(done))
    worth = fsum(100 * count * marks[line[1]] for line, count in book.items())
    paid = fsum(100 * spent for _, spent in done.values())

    assert day.change.profit == pytest.approx(worth - began - paid, abs=1e-6)
    assert day.change.unpriced == 0
