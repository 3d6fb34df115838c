"""A sum knows the grade of its parts: a mark that the book cannot support is not counted as if it were one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from options_helper.analysis.grades import GRADES, Grade, count_words
from options_helper.analysis.live_health import Level, book_caveats, book_remarks, headline
from options_helper.analysis.live_portfolio_metrics import (
    compute_live_multileg_rows,
)
from options_helper.model.events import Quote, Trade
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.builders import AAPL_CALL, holding, portfolio, position, quote, snapshot_with, structure, trade
from tests.kit.tables import row, totals_of

EVENING = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)  # 18:00 in New York
PUT = "AAPL261218P00250000"


def sentence(book: Portfolio, live: LiveSnapshot) -> str:
    total = totals_of(book, live)
    return headline(live, caveats=book_caveats(total), remarks=book_remarks(total)).sentence


class TestTheMiddleOfAQuoteThatTheBookCannotSupport:
    """Seen elsewhere: a stub of 0.01 × 25, or a spread of 250 dollars on one venue, is averaged and summed."""

    def test_the_fresh_trade_inside_it_counts_and_says_so(self):
        book = portfolio(holding("AMZN", 100, cost_basis=190.0))
        live = snapshot_with(quote("AMZN", 150.0, 400.0), trade("AMZN", 200.0))
        total = totals_of(book, live)

        assert total.pnl.total == pytest.approx(1000)
        assert total.pnl.caveat == "1 by the last trade"
        assert sentence(book, live) == "Live, 1 line at the last trade."

    def test_without_a_trade_it_is_only_a_bound(self):
        book = portfolio(position(contracts=10, cost_basis=4.0))
        live = snapshot_with(quote(AAPL_CALL, 0.6, 25.0))
        total = totals_of(book, live)

        assert total.pnl.total == pytest.approx(-3400)
        assert total.pnl.caveat == "1 at least"
        assert "1 line counted at the least it is worth" in sentence(book, live)

    def test_a_wide_quote_is_counted_and_said(self):
        total = totals_of(
            portfolio(position(), position(strike=185)), snapshot_with(quote(AAPL_CALL, 1.0, 1.5))
        )

        assert (total.pnl.counted, total.pnl.caveat) == (1, "1 wide")

    @pytest.mark.parametrize("contracts", [1, -1])
    def test_where_nobody_bids_the_middle_is_a_guess_however_small(self, contracts: int):
        """0.00 × 0.01 is a cent apart, and has one side."""
        book, live = portfolio(position(contracts=contracts)), snapshot_with(quote(AAPL_CALL, 0.0, 0.01))
        total = totals_of(book, live)

        assert (row(book, live)["mark"], row(book, live)["grade"]) == (0.005, "wide")
        assert (total.pnl.caveat, total.pnl_natural.caveat) == ("1 wide", "")
        assert sentence(book, live) == "Live, 1 line quoted wide."

    def test_a_bid_of_a_cent_is_a_bid(self):
        live = snapshot_with(quote(AAPL_CALL, 0.01, 0.02))

        assert row(portfolio(position()), live)["grade"] == "two-sided"


class TestABoundIsNoPrice:
    """A short with a bid and no ask owes at least the bid: what it makes is the best case."""

    @pytest.mark.parametrize(
        ("contracts", "bid", "ask", "caveat"),
        [
            (-10, 1.0, None, "1 at best"),
            (10, 1.0, None, "1 at least"),
            (10, None, 1.0, "1 at best"),
            (-10, None, 1.0, "1 at least"),
        ],
    )
    def test_a_sum_says_which_way_it_errs(
        self, contracts: int, bid: float | None, ask: float | None, caveat: str
    ):
        book = portfolio(position(contracts=contracts, cost_basis=3.0))
        total = totals_of(book, snapshot_with(quote(AAPL_CALL, bid, ask)))

        assert total.pnl.total == pytest.approx(-200 * contracts)
        assert total.pnl.caveat == caveat

    def test_it_is_not_live_without_a_word(self):
        book = portfolio(position(contracts=-10, cost_basis=3.0))
        live = snapshot_with(quote(AAPL_CALL, 1.0, None))
        total = totals_of(book, live)

        said = headline(live, caveats=book_caveats(total))
        assert (said.level, said.sentence) == (Level.WARNING, "Live, but 1 line counted at best.")
        assert total.liquidation_value is None


class TestPricesOfDifferentSessions:
    """After hours a share is quoted on and a contract is not; a quote made after its session is no market."""

    def test_shares_of_now_and_options_of_the_close_are_not_one_total_without_a_word(self):
        book = portfolio(holding("AAPL", 100), position(strike=250, option_type="put", cost_basis=5.0))
        live = snapshot_with(
            quote("AAPL", 224.9, 225.1, age=2, as_of=EVENING),
            quote(PUT, 5.0, 5.2, age=7260, as_of=EVENING),
            as_of=EVENING,
        )

        assert totals_of(book, live).pnl.caveat == "1 of after hours"
        assert sentence(book, live) == (
            "Market closed: last session's prices, but 1 line with a price of after hours. Opens Mon 09:30 ET."
        )

    def test_prices_of_one_session_need_no_word(self):
        book = portfolio(holding("AAPL", 100), position(strike=250, option_type="put"))
        live = snapshot_with(
            quote("AAPL", 249.9, 250.1, age=7210, as_of=EVENING),
            quote(PUT, 5.0, 5.2, age=7260, as_of=EVENING),
            as_of=EVENING,
        )

        assert totals_of(book, live).pnl.caveat == ""
        assert sentence(book, live) == "Market closed: last session's prices. Opens Mon 09:30 ET."

    @pytest.mark.parametrize(("bid", "ask"), [(0.01, 25.0), (3.0, 3.2)])
    def test_a_contract_quoted_after_its_session_is_worth_the_sessions_trade(self, bid: float, ask: float):
        book = portfolio(position(contracts=10, cost_basis=4.0))
        live = snapshot_with(
            quote(AAPL_CALL, bid, ask, age=3600, as_of=EVENING),
            trade(AAPL_CALL, 4.2, age=7300, as_of=EVENING),
            as_of=EVENING,
        )
        total = totals_of(book, live)

        assert total.pnl.total == pytest.approx(200)
        assert total.pnl.caveat == "1 by the last trade"

    def test_where_the_session_left_nothing_a_later_quote_is_a_bound_of_after_hours(self):
        live = snapshot_with(quote(AAPL_CALL, 4.0, 4.2, age=3600, as_of=EVENING), as_of=EVENING)
        total = totals_of(portfolio(position()), live)

        assert (total.market_value, total.pnl.caveat) == (400, "1 of after hours")

    def test_yesterdays_quote_is_of_another_session_also_before_it_is_stale(self):
        opening = datetime(2026, 11, 20, 9, 30, 5, tzinfo=NEW_YORK)
        live = snapshot_with(quote(AAPL_CALL, age=18 * 3600, as_of=opening), as_of=opening)

        assert row(portfolio(position()), live)["grade"] == "other session"

    def test_options_that_trade_longer_are_of_the_session_until_a_quarter_past(self):
        late = datetime(2026, 11, 20, 18, tzinfo=NEW_YORK)
        made = [(3600 + 46 * 60), (3600 + 44 * 60)]  # 16:14 and 16:16
        grades = [
            row(
                portfolio(position("SPY")),
                snapshot_with(quote("SPY261218C00180000", age=age, as_of=late), as_of=late),
            )["grade"]
            for age in made
        ]

        assert grades == ["two-sided", "after hours"]


@pytest.mark.parametrize(
    ("event", "grade"),
    [
        (quote(AAPL_CALL), "two-sided"),
        (trade(AAPL_CALL), "last trade"),
        (quote(AAPL_CALL, 1.0, 1.5), "wide"),
        (quote(AAPL_CALL, 1.0, None), "at least"),
        (quote(AAPL_CALL, None, 1.0), "at best"),
        (quote(AAPL_CALL, age=31), "stale"),
        (quote(AAPL_CALL, 1.2, 1.0), "no price"),
        (quote("MSFT"), "no price"),
    ],
)
def test_every_line_has_one_grade_and_it_is_the_worst(event: Quote | Trade, grade: str):
    assert row(portfolio(position()), snapshot_with(event))["grade"] == grade


def test_a_structure_is_of_the_grade_of_its_worst_leg():
    live = snapshot_with(quote(AAPL_CALL, 3.0, 3.1), quote("AAPL261218C00185000", 1.0, 1.5))
    structures, legs = compute_live_multileg_rows(portfolio(structure()), live, stale_after_seconds=30)

    assert list(legs["grade"]) == ["two-sided", "wide"]
    assert list(structures["grade"]) == ["wide"]


def test_closing_now_needs_no_middle():
    """A wide quote speaks against the mark and not against what closing would fetch; an old one against both."""
    wide = totals_of(portfolio(position()), snapshot_with(quote(AAPL_CALL, 1.0, 1.5)))
    stale = totals_of(portfolio(position()), snapshot_with(quote(AAPL_CALL, age=31)))

    assert (wide.pnl.caveat, wide.at_natural.caveat) == ("1 wide", "")
    assert (stale.pnl.caveat, stale.at_natural.caveat) == ("1 stale", "1 stale")


def test_the_worst_is_said_first_and_the_first_grade_is_not_said():
    assert count_words([Grade.TWO_SIDED, Grade.WIDE, Grade.AT_BEST, Grade.WIDE]) == "1 at best, 2 wide"
    assert count_words([Grade.TWO_SIDED] * 3) == ""
    assert all(grade.counted(2).startswith("2 ") for grade in GRADES)
