"""A mark is the best that the events say, and nothing more: its source, its age and its bounds travel with it."""

from __future__ import annotations

import csv
import gzip
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from options_helper.analysis.marks import (
    DELAYED_SECONDS,
    UNKNOWN_TIME,
    MarkSource,
    QuoteWarning,
    believed_middle,
    believed_sides,
    plain_middle,
    read_marks,
    warning_lists,
)
from options_helper.model.events import Quote, RestQuote, RestTrade, Trade
from options_helper.model.instants import utc_datetime
from tests.kit.builders import AAPL_CALL, AS_OF, nanoseconds, quote, trade


@pytest.mark.parametrize(
    ("bid", "ask", "sides", "middle"),
    [
        (1.0, 1.2, (1.0, 1.2), 1.1),
        (1.1, 1.1, (1.1, 1.1), 1.1),
        (1.2, 1.0, (None, None), None),
        (1.0, None, (1.0, None), None),
        (None, 1.0, (None, 1.0), None),
        (1.0, 0.0, (1.0, 0.0), None),  # no order on that side
    ],
)
def test_what_is_read_of_a_quote_alone_is_not_read_of_a_crossed_one(
    bid: float | None, ask: float | None, sides: tuple[float | None, float | None], middle: float | None
):
    of_quote = quote("AAPL", bid, ask)

    assert believed_sides(of_quote) == sides
    assert believed_middle(of_quote) == (None if middle is None else pytest.approx(middle))
    assert (believed_sides(None), believed_middle(None)) == ((None, None), None)


PRICES = st.integers(0, 5_000).map(lambda cents: cents / 100)
SIDES = st.one_of(st.none(), PRICES)


@dataclass(frozen=True)
class OneMark:
    """The columns of a single line; NaN read back as None."""

    price: float | None
    source: MarkSource | None
    age: float | None
    bid: float | None
    ask: float | None
    spread_pct: float | None
    sells_at: float | None
    buys_at: float | None
    warnings: list[QuoteWarning]


def mark_of(of_quote: Quote | None = None, of_trade: Trade | None = None, *, option: bool = True) -> OneMark:
    marks = read_marks([of_quote], [of_trade], is_option=np.array([option]), as_of=AS_OF)
    (warnings,) = warning_lists(marks.findings, 1)

    def known(column: np.ndarray) -> float | None:
        return None if np.isnan(column[0]) else float(column[0])

    return OneMark(
        price=known(marks.price),
        source=marks.source[0],
        age=known(marks.age),
        bid=known(marks.bid),
        ask=known(marks.ask),
        spread_pct=known(marks.spread_pct),
        sells_at=known(marks.natural(long=np.array([True]))),
        buys_at=known(marks.natural(long=np.array([False]))),
        warnings=warnings,
    )


def test_the_middle_of_a_quote_is_its_mark():
    mark = mark_of(quote(AAPL_CALL, 1.0, 1.2, age=3), trade(AAPL_CALL, 5.0, age=1))

    assert mark.price == pytest.approx(1.1)
    assert (mark.source, mark.age) == (MarkSource.MID, 3.0)
    assert mark.spread_pct == pytest.approx(100 * 0.2 / 1.1)
    assert mark.warnings == []


def test_zero_bid_treated_as_missing():
    """A contract bid at zero and offered at 0.05 is worth between the two, whatever it last traded at."""
    mark = mark_of(quote(AAPL_CALL, 0.0, 0.05), trade(AAPL_CALL, 3.0))

    assert (mark.price, mark.source) == (0.025, MarkSource.MID)
    assert (mark.bid, mark.sells_at) == (0.0, 0.0)
    assert mark.warnings == [QuoteWarning.ZERO_BID]


def test_synthetic_zero_quotes():
    """Zero on both sides is no quote, and no value of zero."""
    mark = mark_of(quote(AAPL_CALL, 0.0, 0.0))

    assert (mark.price, mark.source, mark.age) == (None, None, None)
    assert (mark.bid, mark.ask, mark.spread_pct) == (None, None, None)
    assert mark.warnings == [QuoteWarning.MISSING_QUOTE]


def test_a_zero_in_a_shares_quote_is_a_side_without_an_order():
    mark = mark_of(quote("AAPL", 0.0, 272.5), trade("AAPL", 272.1), option=False)

    assert (mark.price, mark.source) == (272.1, MarkSource.TRADE)
    assert mark.warnings == [QuoteWarning.ONE_SIDED, QuoteWarning.MARK_FROM_TRADE]


def test_age_of_one_thing_price_of_another():
    """A mark from an old trade is as old as the trade, however fresh the quote that could not be used."""
    mark = mark_of(quote(AAPL_CALL, 1.1, 1.0, age=2), trade(AAPL_CALL, 1.05, age=600))

    assert (mark.price, mark.source, mark.age) == (1.05, MarkSource.TRADE, 600.0)


def test_the_way_of_a_mark_is_that_of_the_event_it_came_from():
    """A streamed quote beside a trade that was asked for, the other way round, and nothing."""
    crossed, printed = quote(AAPL_CALL, 1.1, 1.0), trade(AAPL_CALL, 1.05)
    rest_quote, rest_trade = RestQuote(**structs.asdict(crossed)), RestTrade(**structs.asdict(printed))
    marks = read_marks(
        [crossed, rest_quote, structs.replace(rest_quote, bid_price=0.9), quote(AAPL_CALL), None],
        [rest_trade, printed, printed, rest_trade, None],
        is_option=np.array([True] * 5),
        as_of=AS_OF,
    )

    assert list(marks.source) == ["trade", "trade", "mid", "mid", None]
    assert list(marks.via) == ["rest", "stream", "rest", "stream", None]


def test_the_time_of_a_mark_is_the_exchange_time_of_its_event():
    marks = read_marks(
        [quote(AAPL_CALL, 1.1, 1.0, age=2)],
        [trade(AAPL_CALL, 1.05, age=600)],
        is_option=np.array([True]),
        as_of=AS_OF,
    )

    assert (AS_OF - utc_datetime(int(marks.time_ns[0]))).total_seconds() == 600


@pytest.mark.parametrize("beyond", [2**63, 10**40, -1, None])
def test_a_time_that_no_calendar_has_is_not_known(beyond: int | None):
    event = structs.replace(quote(AAPL_CALL), timestamp=beyond)
    marks = read_marks([event], [None], is_option=np.array([True]), as_of=AS_OF)

    assert marks.price.tolist() == [pytest.approx(1.05)]
    assert marks.time_ns.tolist() == [UNKNOWN_TIME]


def test_a_crossed_quote_gives_no_mid_and_no_natural_price():
    mark = mark_of(quote(AAPL_CALL, 1.2, 1.0))

    assert (mark.price, mark.sells_at, mark.buys_at) == (None, None, None)
    assert (mark.bid, mark.ask) == (1.2, 1.0)
    assert mark.warnings == [QuoteWarning.CROSSED_MARKET]


def test_a_trade_between_crossed_sides_is_the_mark():
    mark = mark_of(quote(AAPL_CALL, 1.2, 1.0), trade(AAPL_CALL, 1.1))

    assert (mark.price, mark.source) == (1.1, MarkSource.TRADE)
    assert mark.warnings == [QuoteWarning.CROSSED_MARKET, QuoteWarning.MARK_FROM_TRADE]


def test_a_locked_quote_is_used_and_flagged():
    mark = mark_of(quote(AAPL_CALL, 1.0, 1.0))

    assert (mark.price, mark.source, mark.warnings) == (1.0, MarkSource.MID, [QuoteWarning.LOCKED_MARKET])


@pytest.mark.parametrize(
    ("bid", "ask", "price", "source"),
    [(1.0, 0.0, 1.0, MarkSource.BID), (1.0, None, 1.0, MarkSource.BID), (None, 1.2, 1.2, MarkSource.ASK)],
)
def test_a_one_sided_quote_is_only_a_bound(
    bid: float | None, ask: float | None, price: float, source: MarkSource
):
    mark = mark_of(quote(AAPL_CALL, bid, ask))

    assert (mark.price, mark.source) == (price, source)
    assert mark.spread_pct is None
    assert mark.warnings == [QuoteWarning.ONE_SIDED]


def test_a_short_has_no_natural_price_without_an_ask():
    mark = mark_of(quote(AAPL_CALL, 1.0, None))

    assert (mark.sells_at, mark.buys_at) == (1.0, None)


@pytest.mark.parametrize(("last", "used"), [(0.9, False), (1.0, True), (4.0, True)])
def test_a_trade_is_used_only_inside_what_is_known_of_the_quote(*, last: float, used: bool):
    mark = mark_of(quote(AAPL_CALL, 1.0, None), trade(AAPL_CALL, last))

    assert mark.price == (last if used else 1.0)
    assert mark.source is (MarkSource.TRADE if used else MarkSource.BID)


def test_a_trade_alone_is_a_mark_that_says_so():
    mark = mark_of(None, trade(AAPL_CALL, 1.5, age=90))

    assert (mark.price, mark.source, mark.age) == (1.5, MarkSource.TRADE, 90.0)
    assert mark.warnings == [QuoteWarning.MISSING_QUOTE, QuoteWarning.MARK_FROM_TRADE]


def test_nothing_known_is_no_mark():
    mark = mark_of()

    assert (mark.price, mark.source, mark.age) == (None, None, None)
    assert mark.warnings == [QuoteWarning.MISSING_QUOTE]


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -1.0])
def test_a_price_that_is_no_price_is_not_known(nonsense: float):
    assert mark_of(quote(AAPL_CALL, 1.0, nonsense)).ask is None
    assert mark_of(quote(AAPL_CALL, nonsense, 1.0)).bid is None
    assert mark_of(None, trade(AAPL_CALL, nonsense)).price is None


def test_an_event_received_while_the_snapshot_is_taken_has_no_negative_age():
    assert mark_of(quote(AAPL_CALL, age=-0.5)).age == 0.0


PRICES = st.one_of(
    st.none(),
    st.sampled_from([0.0, -1.0, inf, float("nan")]),
    st.integers(1, 3_000).map(lambda cents: cents / 100),
)
SIZES = st.sampled_from([None, 0, 5])


@given(bid=PRICES, ask=PRICES, sizes=st.tuples(SIZES, SIZES), last=PRICES)
def test_a_middle_that_is_told_without_arrays_is_the_mark(
    bid: float | None, ask: float | None, sizes: tuple[int | None, int | None], last: float | None
):
    one = quote("SPY", bid, ask, bid_size=sizes[0], ask_size=sizes[1])
    trades = [None if last is None else trade("SPY", last)]
    told, marks = plain_middle(one), read_marks([one], trades, is_option=np.array([False]), as_of=AS_OF)

    assert (told is not None) == (marks.source[0] == MarkSource.MID)
    assert told is None or told == marks.price[0]
    assert plain_middle(None) is None


@pytest.mark.parametrize(
    ("bid", "ask", "wide"),
    [(1.0, 1.2, False), (1.0, 1.5, True), (0.01, 0.06, False), (0.01, 0.07, True)],
)
def test_a_spread_of_one_tick_is_never_wide(*, bid: float, ask: float, wide: bool):
    marks = read_marks([quote(AAPL_CALL, bid, ask)], [None], is_option=np.array([True]), as_of=AS_OF)

    assert bool(marks.is_wide(25.0)[0]) is wide


class TestAQuoteThatSupportsNoMiddle:
    """Sides too far apart, or without an order behind them: a trade between them counts, else they are bounds."""

    @pytest.mark.parametrize(
        ("bid", "ask", "option", "supports"),
        [
            (0.01, 25.0, True, False),  # a stub
            (0.2, 0.7, True, True),  # half a dollar apart
            (0.2, 0.71, True, False),
            (2.0, 6.0, True, True),  # the ask is three times the bid: wide, and believed as far as that goes
            (2.0, 6.01, True, False),
            (0.0, 0.5, True, True),
            (150.0, 400.0, False, False),
            (95.0, 104.0, False, True),
            (95.0, 106.0, False, False),
            (0.4, 0.5, False, True),  # a penny stock's dime
        ],
    )
    def test_where_it_begins(self, bid: float, ask: float, *, option: bool, supports: bool):
        mark = mark_of(quote(AAPL_CALL, bid, ask), option=option)

        assert (mark.source is MarkSource.MID) is supports
        assert (QuoteWarning.TOO_WIDE in mark.warnings) is not supports

    def test_a_trade_between_its_sides_is_the_mark(self):
        mark = mark_of(quote("AMZN", 150.0, 400.0), trade("AMZN", 200.0, age=4), option=False)

        assert (mark.price, mark.source, mark.age) == (200.0, MarkSource.TRADE, 4.0)

    def test_without_one_a_long_is_worth_the_bid_at_least_and_a_short_costs_the_ask_at_most(self):
        sides = [quote(AAPL_CALL, 0.6, 25.0)] * 2
        marks = read_marks(
            sides, [None, None], is_option=np.array([True] * 2), as_of=AS_OF, short=np.array([False, True])
        )

        assert marks.price.tolist() == [0.6, 25.0]
        assert list(marks.source) == [MarkSource.BID, MarkSource.ASK]

    def test_worth_at_least_nothing_says_nothing(self):
        mark = mark_of(quote(AAPL_CALL, 0.0, 4.3))

        assert (mark.price, mark.sells_at, mark.buys_at) == (None, 0.0, 4.3)

    @pytest.mark.parametrize(("bid_size", "ask_size"), [(0, 0), (0, 5), (5, 0)])
    def test_prices_without_an_order_behind_them_are_no_market(self, bid_size: int, ask_size: int):
        empty = quote(AAPL_CALL, 1.0, 1.1, bid_size=bid_size, ask_size=ask_size)

        assert mark_of(empty).source is MarkSource.BID
        assert mark_of(empty, trade(AAPL_CALL, 1.08)).price == 1.08
        assert QuoteWarning.NO_SIZE in mark_of(empty).warnings

    def test_a_size_that_is_not_said_and_a_zero_bid_are_no_fault(self):
        assert mark_of(quote(AAPL_CALL, bid_size=None, ask_size=None)).warnings == []
        assert mark_of(quote(AAPL_CALL, 0.0, 0.05, bid_size=0)).source is MarkSource.MID


@given(SIDES, SIDES, st.one_of(st.none(), PRICES), st.booleans())
def test_a_mark_never_leaves_what_is_known_of_the_quote(
    bid: float | None,
    ask: float | None,
    last: float | None,
    option: bool,  # noqa: FBT001 - given by position
):
    mark = mark_of(
        quote(AAPL_CALL, bid, ask), None if last is None else trade(AAPL_CALL, last), option=option
    )

    assert (mark.price is None) == (mark.source is None) == (mark.age is None)
    if mark.price is None:
        return
    # Of a crossed quote the ask is the lower bound.
    sides = [side for side in (mark.bid, mark.ask) if side is not None]
    lowest = min(sides) if mark.bid is not None else 0.0
    highest = max(sides) if mark.ask is not None else inf
    assert lowest <= mark.price <= highest


@given(PRICES, PRICES)
def test_closing_at_natural_is_never_better_than_at_the_mark(bid: float, ask: float):
    mark = mark_of(quote(AAPL_CALL, bid, ask))

    if mark.price is not None and mark.sells_at is not None and mark.buys_at is not None:
        assert mark.sells_at <= mark.price <= mark.buys_at


def test_the_mids_of_a_recorded_chain_are_the_publishers(real_data: Path):
    with gzip.open(real_data / "nvda_option_chain_20251029.csv.gz", "rt", newline="") as lines:
        rows = list(csv.DictReader(lines))
    quotes = [quote(f"NVDA-{index}", float(row["Bid"]), float(row["Ask"])) for index, row in enumerate(rows)]
    marks = read_marks(quotes, [None] * len(rows), is_option=np.ones(len(rows), dtype=bool), as_of=AS_OF)

    # The publisher rounds to the cent, half cents up or down as its floats fell.
    assert len(rows) == 520
    assert marks.price.tolist() == pytest.approx([float(row["Mid"]) for row in rows], abs=0.005 + 1e-9)


def test_a_price_that_was_long_made_when_it_came_is_said_to_be_delayed():
    """A feed a quarter of an hour behind arrives fresh: the age of its receipt alone would hide that."""
    received, late = nanoseconds(AS_OF), (900.0, DELAYED_SECONDS + 0.1, DELAYED_SECONDS - 0.1, 1.0)
    quotes = [
        Quote(
            symbol=f"S{seconds:g}",
            timestamp=received - round(seconds * 1e9),
            received_ns=received,
            bid_price=1.0,
            ask_price=1.1,
        )
        for seconds in late
    ]

    marks = read_marks([*quotes, None], [None] * 5, is_option=np.array([True] * 5), as_of=AS_OF)

    assert list(marks.findings[QuoteWarning.DELAYED_PRICE]) == [True, True, False, False, False]
