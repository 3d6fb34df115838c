"""Every number of the tables is checked, and every known defect of other products has a test of its name."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from options_helper.analysis.live_health import book_caveats
from options_helper.analysis.live_portfolio_metrics import (
    LEG_COLUMNS,
    POSITION_COLUMNS,
    STRUCTURE_COLUMNS,
    compute_live_multileg_rows,
    compute_live_position_rows,
)
from options_helper.analysis.marks import QuoteWarning
from options_helper.analysis.totals import labels
from options_helper.model.events import RestQuote
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import Portfolio, PortfolioEntry, load_portfolio
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamId, StreamName
from tests.kit.builders import (
    AAPL_CALL,
    AS_OF,
    health,
    holding,
    leg,
    lots_of,
    nanoseconds,
    portfolio,
    position,
    quote,
    share_leg,
    snapshot_with,
    structure,
    trade,
)
from tests.kit.tables import totals_of

C180, C185 = "AAPL261218C00180000", "AAPL261218C00185000"
P170, P175 = "AAPL261218P00170000", "AAPL261218P00175000"
CONDOR = structure(
    leg("long", 170, "put"), leg("short", 175, "put"), leg("short", 180), leg("long", 185), net_debit=-150.0
)
CONDOR_QUOTES = (quote(P170, 0.4, 0.5), quote(P175, 1.0, 1.2), quote(C180, 0.9, 1.1), quote(C185, 0.3, 0.35))


def rows_of(entries: Portfolio | PortfolioEntry, live: LiveSnapshot, **thresholds: float) -> pd.DataFrame:
    book = entries if isinstance(entries, Portfolio) else portfolio(entries)
    return compute_live_position_rows(
        book, live, stale_after_seconds=thresholds.pop("stale", 30), **thresholds
    )


def row_of(entry: PortfolioEntry, live: LiveSnapshot, **thresholds: float) -> dict[str, Any]:
    """The row of a single position; what is not known comes as None."""
    return known(rows_of(entry, live, **thresholds))


def known(table: pd.DataFrame) -> dict[str, Any]:
    assert len(table) == 1
    row = {str(name): value for name, value in table.iloc[0].items()}
    return {
        name: None if not isinstance(value, list) and pd.isna(value) else value for name, value in row.items()
    }


def structure_of(entry: PortfolioEntry, live: LiveSnapshot) -> tuple[dict[str, Any], pd.DataFrame]:
    structures, legs = compute_live_multileg_rows(portfolio(entry), live, stale_after_seconds=30)
    return known(structures), legs


class TestPositionRows:
    """Single contracts and shares."""

    def test_a_long_contract(self):
        live = snapshot_with(
            quote(AAPL_CALL, 1.0, 1.2, age=3),
            trade(AAPL_CALL, 1.15, age=60),
            quote("AAPL", 189.0, 191.0, age=1),
        )
        row = row_of(position(contracts=2, cost_basis=0.9), live)

        assert (row["words"], row["contract_symbol"], row["live_symbol"]) == (
            "AAPL 18 Dec 26 180 C",
            AAPL_CALL,
            AAPL_CALL,
        )
        assert (row["bid"], row["ask"], row["last"], row["natural"]) == (1.0, 1.2, 1.15, 1.0)
        assert (row["mark"], row["mark_source"], row["mark_age_seconds"]) == (pytest.approx(1.1), "mid", 3.0)
        assert row["quote_age_seconds"] == 3.0
        assert row["market_value"] == pytest.approx(220)
        assert row["natural_value"] == pytest.approx(200)
        assert row["pnl_abs"] == pytest.approx(40)
        assert row["pnl_pct"] == pytest.approx(100 * 40 / 180)
        assert row["pnl_natural_abs"] == pytest.approx(20)
        assert (row["underlying_price"], row["underlying_age_seconds"]) == (190.0, 1.0)
        assert row["moneyness_pct"] == pytest.approx(100 * 10 / 190)
        assert row["warnings"] == []

    def test_a_put_is_in_the_money_below_its_strike(self):
        live = snapshot_with(quote("AAPL", 149.5, 150.5))

        assert row_of(position(strike=180, option_type="put"), live)["moneyness_pct"] == pytest.approx(20)
        assert row_of(position(strike=180, option_type="call"), live)["moneyness_pct"] == pytest.approx(-20)

    def test_shares_are_worth_their_stock_quote(self):
        row = row_of(holding("BRK-B", 10, cost_basis=480), snapshot_with(quote("BRK.B", 499.0, 501.0)))

        assert (row["kind"], row["live_symbol"], row["words"]) == ("shares", "BRK.B", "BRK-B shares")
        assert (row["quantity"], row["multiplier"], row["contracts"]) == (10.0, 1, None)
        assert (row["option_type"], row["expiry"], row["dte"], row["strike"]) == (None, None, None, None)
        assert (row["mark"], row["market_value"], row["natural_value"]) == (500.0, 5000.0, 4990.0)
        assert (row["pnl_abs"], row["underlying_price"]) == (200.0, 500.0)

    def test_what_was_asked_for_is_told_from_what_was_streamed(self):
        by_rest = RestQuote(**structs.asdict(quote(AAPL_CALL, age=90)))
        streamed, both = quote(AAPL_CALL), snapshot_with(by_rest, quote("AAPL"))
        rows = rows_of(portfolio(position(), position(strike=185, identity="unpriced")), both)

        assert [known(rows[:1])[name] for name in ("mark_via", "underlying_via")] == ["rest", "stream"]
        assert (known(rows[:1])["mark_age_seconds"], known(rows[:1])["warnings"]) == (90.0, ["stale_quote"])
        assert known(rows[1:])["mark_via"] is None
        assert row_of(position(), snapshot_with(streamed))["mark_via"] == "stream"

    def test_a_percentage_of_nothing_is_not_known(self):
        row = row_of(position(cost_basis=0.0), snapshot_with(quote(AAPL_CALL)))

        assert row["pnl_abs"] == pytest.approx(105)
        assert row["pnl_pct"] is None

    def test_without_a_cost_basis_there_is_value_but_no_profit(self):
        row = row_of(position(cost_basis=None), snapshot_with(quote(AAPL_CALL)))

        assert row["market_value"] == pytest.approx(105)
        assert (row["pnl_abs"], row["pnl_pct"], row["pnl_natural_abs"]) == (None, None, None)
        assert row["warnings"] == ["no_cost_basis"]

    def test_rows_keep_portfolio_order_and_are_indexed_by_id(self):
        book = portfolio(position("SPY", 680), structure(), holding("AAPL"), position("AAPL", 180))
        table = rows_of(book, snapshot_with())

        assert list(table.columns) == list(POSITION_COLUMNS)
        assert list(table.index) == ["SPY-680-call-2026-12-18", "AAPL-shares", "AAPL-180-call-2026-12-18"]
        assert list(table["id"]) == list(table.index)

    def test_types_do_not_depend_on_what_is_known(self):
        book = portfolio(position(), holding())
        full = rows_of(book, snapshot_with(quote(AAPL_CALL), trade(AAPL_CALL), quote("AAPL")))
        blank = rows_of(book, snapshot_with())
        nothing = rows_of(portfolio(), snapshot_with())

        # Whether a column of words has any decides its type.
        words = {"mark_source", "mark_via", "underlying_via", "option_type", "contract_symbol"}
        numeric = [name for name in POSITION_COLUMNS if name not in words]
        assert list(full[numeric].dtypes) == list(blank[numeric].dtypes)
        assert list(nothing.columns) == list(POSITION_COLUMNS)
        assert full["dte"].dtype == "Int64"
        assert str(full["mark_at"].dtype) == "datetime64[ns, UTC]"

    def test_the_same_snapshot_gives_the_same_table(self):
        live = snapshot_with(*CONDOR_QUOTES, quote("AAPL"))
        book = portfolio(position(), CONDOR, holding())

        pd.testing.assert_frame_equal(rows_of(book, live), rows_of(book, live))


class TestWarnings:
    """What is wrong with a number is said beside it, from a closed set of words."""

    def warnings(self, live: LiveSnapshot, **thresholds: float) -> list[str]:
        return list(row_of(position(), live, **thresholds)["warnings"])

    def test_a_quote_is_stale_after_the_threshold(self):
        assert self.warnings(snapshot_with(quote(AAPL_CALL, age=30))) == []
        assert self.warnings(snapshot_with(quote(AAPL_CALL, age=31))) == ["stale_quote"]
        assert self.warnings(snapshot_with(quote(AAPL_CALL, age=31)), stale=60) == []

    def test_a_closed_market_is_not_stale(self):
        evening = datetime(2026, 11, 20, 18, 0, tzinfo=NEW_YORK)
        live = snapshot_with(quote(AAPL_CALL, age=7200, as_of=evening), as_of=evening)
        row = row_of(position(), live)

        assert row["quote_age_seconds"] == 7200
        assert row["warnings"] == []

    def test_options_on_an_etf_can_be_stale_until_a_quarter_past_four(self):
        late = datetime(2026, 11, 20, 16, 10, tzinfo=NEW_YORK)
        symbols = ("SPY261218C00180000", AAPL_CALL)
        live = snapshot_with(*(quote(symbol, age=600, as_of=late) for symbol in symbols), as_of=late)
        table = rows_of(portfolio(position("SPY"), position("AAPL")), live)

        assert list(table["warnings"]) == [["stale_quote"], []]

    def test_a_wide_spread_is_a_matter_of_the_threshold(self):
        live = snapshot_with(quote(AAPL_CALL, 1.0, 1.4))

        assert self.warnings(live, wide_spread_pct=40) == []
        assert self.warnings(live, wide_spread_pct=30) == ["wide_spread"]

    def test_a_contract_that_was_not_asked_for_says_so(self):
        assert self.warnings(snapshot_with(requested=[C185])) == ["not_subscribed", "missing_quote"]
        assert self.warnings(snapshot_with(requested=[AAPL_CALL])) == ["missing_quote"]
        assert self.warnings(snapshot_with(running=False)) == ["missing_quote"]

    def test_a_stream_that_is_off_is_not_subscribed_and_one_that_still_connects_is(self):
        off = snapshot_with(streams=[health("options", Phase.OFF)])
        connecting = snapshot_with(streams=[health("options", Phase.CONNECTING)])

        assert self.warnings(off) == ["not_subscribed", "missing_quote"]
        assert self.warnings(connecting) == ["missing_quote"]

    def test_a_contract_whose_prices_another_provider_streams_is_subscribed(self):
        """Which stream brings them does not matter, nor that Alpaca's own is off."""
        elsewhere = StreamId(StreamName.OPTIONS.kind, provider="elsewhere")
        further = StreamHealth(elsewhere, Phase.LIVE, requested=(AAPL_CALL,), acknowledged=(AAPL_CALL,))
        live = snapshot_with(streams=[health("options", Phase.OFF), further])

        assert self.warnings(live) == ["missing_quote"]

    def test_a_contract_that_alpaca_refused_says_so(self):
        options = health(
            "options", Phase.LIVE, requested=(AAPL_CALL,), acknowledged=(), refused_symbols=(AAPL_CALL,)
        )

        assert self.warnings(snapshot_with(streams=[options])) == ["refused_symbol", "missing_quote"]

    def test_an_old_trade_is_as_suspect_as_an_old_quote(self):
        live = snapshot_with(trade(AAPL_CALL, age=600), requested=[AAPL_CALL])

        assert self.warnings(live) == ["missing_quote", "mark_from_trade", "stale_trade"]

    def test_a_contract_expires_today(self):
        row = row_of(position(expiry=date(2026, 11, 20)), snapshot_with(quote("AAPL261120C00180000")))

        assert (row["dte"], row["warnings"]) == (0, ["expires_today"])


class TestDefectsOfOtherProducts:
    """Each was found in a shipped product; see the decisions on numbers."""

    def test_zero_bid_treated_as_missing(self):
        live = snapshot_with(quote(AAPL_CALL, 0.0, 0.05), trade(AAPL_CALL, 2.0, age=86_400))
        row = row_of(position(cost_basis=1.0), live)

        assert (row["bid"], row["mark"], row["mark_source"]) == (0.0, 0.025, "mid")
        assert (row["natural"], row["natural_value"], row["pnl_natural_abs"]) == (0.0, 0.0, -100.0)
        assert row["warnings"] == ["zero_bid"]

    def test_age_of_one_thing_price_of_another(self):
        live = snapshot_with(quote(AAPL_CALL, 1.3, 1.1, age=1), trade(AAPL_CALL, 1.2, age=500))
        row = row_of(position(), live)

        assert (row["mark"], row["mark_source"]) == (1.2, "trade")
        assert (row["mark_age_seconds"], row["quote_age_seconds"]) == (500.0, 1.0)
        assert row["mark_at"].to_pydatetime() == AS_OF - timedelta(seconds=500)

    def test_quantity_missing_from_totals(self):
        live = snapshot_with(quote(C180, 1.0, 1.2), quote("AAPL", 189, 191))
        book = portfolio(position(contracts=3, cost_basis=1.0), holding("AAPL", 50, cost_basis=180))
        totals = totals_of(book, live)

        assert totals.pnl_abs == pytest.approx(3 * 100 * 0.1 + 50 * 10)
        assert totals.market_value == pytest.approx(3 * 110 + 50 * 190)

    @pytest.mark.parametrize(
        ("utc", "dte"),
        [
            ("2026-12-18T00:30:00+00:00", 1),  # 19:30 in New York the day before
            ("2026-12-19T00:30:00+00:00", 0),  # the evening of the expiry day
            ("2026-12-19T05:00:00+00:00", -1),  # midnight in New York
        ],
    )
    def test_dte_counted_in_utc_and_clamped_at_zero(self, utc: str, dte: int):
        as_of = datetime.fromisoformat(utc)
        row = row_of(position(), snapshot_with(quote(AAPL_CALL, as_of=as_of), as_of=as_of))

        assert row["dte"] == dte

    def test_expired_means_worthless(self):
        """After expiry nothing is known of the value: not zero, and not the last quote either."""
        gone = date(2026, 11, 19)
        symbol = "AAPL261119C00180000"
        live = snapshot_with(quote(symbol, 9.0, 9.2), trade(symbol, 9.1), quote("AAPL", 189, 191))
        book = portfolio(position(expiry=gone, contracts=-1))
        row = known(rows_of(book, live))

        assert row["warnings"] == ["expired"]
        assert row["dte"] == -1
        for column in (
            "mark",
            "mark_source",
            "natural",
            "market_value",
            "pnl_abs",
            "pnl_pct",
            "pnl_natural_abs",
        ):
            assert row[column] is None, column
        totals = totals_of(book, live)
        assert (totals.pnl_abs, totals.market_value) == (None, None)
        assert labels(totals.with_warning(QuoteWarning.EXPIRED)) == ["AAPL 19 Nov 26 180 C"]

    def test_an_expired_leg_makes_its_structure_partial(self):
        calendar = structure(leg("short", 180, expiry=date(2026, 11, 19)), leg("long", 180))
        row, _ = structure_of(calendar, snapshot_with(quote("AAPL261119C00180000"), quote(C180)))

        assert (row["net_mark"], row["priced"]) == (None, "1 of 2 legs")
        assert row["warnings"] == ["expired", "missing_legs"]

    def test_structure_sum_with_a_missing_leg(self):
        row, legs = structure_of(CONDOR, snapshot_with(*CONDOR_QUOTES[:3], requested=[C185]))

        assert (row["legs"], row["priced_legs"], row["priced"]) == (4, 3, "3 of 4 legs")
        for column in ("net_mark", "net_natural", "net_pnl_abs", "net_pnl_pct", "net_pnl_natural_abs"):
            assert row[column] is None, column
        assert row["warnings"] == ["missing_legs", "missing_quote"]
        assert legs["leg_value"].notna().tolist() == [True, True, True, False]

    def test_a_missing_part_makes_a_total_unknown(self):
        live = snapshot_with(quote(C180, 1.0, 1.2), requested=[C185])
        totals = totals_of(portfolio(position(strike=180), position(strike=185)), live)

        assert (totals.pnl_abs, totals.pnl_pct, totals.market_value, totals.liquidation_value) == (None,) * 4
        assert (totals.priced_legs, totals.legs, totals.complete) == (1, 2, False)
        assert totals.pnl.known == pytest.approx(10)
        assert (totals.pnl.counted, totals.pnl.of) == (1, 2)

    def test_synthetic_zero_quotes(self):
        row = row_of(position(), snapshot_with(quote(AAPL_CALL, 0.0, 0.0)))

        assert (row["mark"], row["market_value"], row["pnl_abs"]) == (None, None, None)
        assert row["warnings"] == ["missing_quote"]

    def test_short_sign_error(self):
        """A short gains when its price falls, and is worth less than nothing."""
        live = snapshot_with(quote(AAPL_CALL, 1.0, 1.2))
        row = row_of(position(contracts=-2, cost_basis=1.5), live)

        assert row["market_value"] == pytest.approx(-220)
        assert row["pnl_abs"] == pytest.approx(80)
        assert row["pnl_pct"] == pytest.approx(100 * 80 / 300)
        assert (row["natural"], row["natural_value"]) == (1.2, pytest.approx(-240))
        assert row["pnl_natural_abs"] == pytest.approx(60)

    def test_short_shares_lose_when_the_price_rises(self):
        row = row_of(holding("AAPL", -100, cost_basis=190), snapshot_with(quote("AAPL", 199, 201)))

        assert (row["pnl_abs"], row["natural"], row["market_value"]) == (-1000.0, 201.0, -20_000.0)

    def test_wrong_multiplier(self):
        """Of an adjusted contract the multiplier must be given; 100 is not assumed."""
        symbol = "AAPL1261218C00180000"
        live = snapshot_with(quote(symbol, 1.0, 1.2), quote("AAPL", 189, 191))
        unknown = row_of(position("AAPL1"), live)
        given_ten = row_of(position("AAPL1", multiplier=10, cost_basis=1.0), live)

        assert (unknown["mark"], unknown["multiplier"]) == (pytest.approx(1.1), None)
        assert (unknown["market_value"], unknown["pnl_abs"]) == (None, None)
        total = totals_of(portfolio(position("AAPL1")), live)
        assert not total.complete
        assert (total.unpriced, labels(total.without_multiplier)) == ((), ["AAPL1 18 Dec 26 180 C"])
        assert book_caveats(total) == ("1 line without a multiplier, so without a value",)
        unquoted = totals_of(portfolio(position("AAPL1")), snapshot_with())
        assert (labels(unquoted.unpriced), unquoted.without_multiplier) == (["AAPL1 18 Dec 26 180 C"], ())
        assert unknown["warnings"] == given_ten["warnings"] == ["adjusted_contract"]
        assert given_ten["pnl_abs"] == pytest.approx(1.0)
        assert unknown["moneyness_pct"] is given_ten["moneyness_pct"] is None

    def test_a_structure_of_adjusted_contracts_needs_its_multiplier_too(self):
        live = snapshot_with(quote("AAPL1261218C00180000", 2.0, 2.2), quote("AAPL1261218C00185000", 1.0, 1.2))
        unknown, _ = structure_of(structure(symbol="AAPL1", net_debit=80), live)
        given_hundred, _ = structure_of(structure(symbol="AAPL1", net_debit=80, multiplier=100), live)

        assert (unknown["net_mark"], unknown["priced_legs"]) == (None, 0)
        assert given_hundred["net_pnl_abs"] == pytest.approx(20)

    def test_max_profit_beyond_the_payoff(self):
        """A credit spread bought back at its quotes cannot have earned more than its credit."""
        live = snapshot_with(quote(C180, 0.0, 0.05), quote(C185, 0.0, 0.05))
        row, _ = structure_of(structure(leg("short", 180), leg("long", 185), net_debit=-120), live)

        assert row["net_pnl_abs"] == 120.0
        assert row["net_pnl_natural_abs"] == pytest.approx(115)

    def test_silent_fallback(self):
        """A mark that is no mid says what it is instead."""
        live = snapshot_with(quote(AAPL_CALL, 1.0, None, age=4), trade(AAPL_CALL, 0.2))
        row = row_of(position(), live)

        assert (row["mark"], row["mark_source"], row["mark_age_seconds"]) == (1.0, "bid", 4.0)
        assert row["warnings"] == ["one_sided"]

    def test_underlying_price_of_unknown_age(self):
        aged = row_of(position(), snapshot_with(quote("AAPL", 189, 191, age=400)))
        missing = row_of(position(), snapshot_with(quote(AAPL_CALL)))

        assert (aged["underlying_price"], aged["underlying_age_seconds"]) == (190.0, 400.0)
        assert (missing["underlying_price"], missing["moneyness_pct"]) == (None, None)

    def test_a_short_without_an_ask_cannot_be_closed(self):
        row = row_of(position(contracts=-1), snapshot_with(quote(AAPL_CALL, 1.0, None)))

        assert (row["natural"], row["natural_value"], row["pnl_natural_abs"]) == (None, None, None)

    def test_a_crossed_quote_is_not_used_silently(self):
        row = row_of(position(), snapshot_with(quote(AAPL_CALL, 1.3, 1.1)))

        assert (row["bid"], row["ask"]) == (1.3, 1.1)
        assert (row["mark"], row["natural"], row["pnl_abs"]) == (None, None, None)
        assert row["warnings"] == ["crossed_market"]


class TestStructures:
    """Several legs, one result."""

    def test_an_iron_condor(self):
        row, legs = structure_of(CONDOR, snapshot_with(*CONDOR_QUOTES, quote("AAPL", 177, 179)))

        assert legs["leg_value"].tolist() == pytest.approx([45, -110, -100, 32.5])
        assert legs["leg_natural"].tolist() == pytest.approx([40, -120, -110, 30])
        assert legs["signed_contracts"].tolist() == [1, -1, -1, 1]
        assert (row["net_mark"], row["net_natural"]) == (pytest.approx(-132.5), pytest.approx(-160))
        assert (row["net_pnl_abs"], row["net_pnl_natural_abs"]) == (pytest.approx(17.5), pytest.approx(-10))
        assert row["net_pnl_pct"] == pytest.approx(100 * 17.5 / 150)
        assert (row["priced"], row["dte"], row["underlying_price"]) == ("4 of 4 legs", 28, 178.0)
        assert row["warnings"] == []

    def test_a_percentage_of_an_even_structure_is_not_known(self):
        row, _ = structure_of(structure(net_debit=0), snapshot_with(quote(C180), quote(C185)))

        assert row["net_pnl_abs"] == 0.0
        assert row["net_pnl_pct"] is None

    def test_a_structure_is_as_old_as_its_oldest_leg_and_as_near_as_its_nearest(self):
        calendar = structure(leg("long", 180, expiry=date(2027, 1, 15)), leg("short", 180))
        live = snapshot_with(quote("AAPL270115C00180000", age=2), quote(C180, age=45))
        row, _ = structure_of(calendar, live)

        assert (row["quote_age_seconds"], row["mark_age_seconds"]) == (45.0, 45.0)
        assert (row["expiry"], row["dte"]) == (date(2026, 12, 18), 28)
        assert row["warnings"] == ["stale_quote"]

    def test_a_structure_counts_its_legs_by_the_event_of_their_marks_and_those_that_were_asked_for(self):
        moment = nanoseconds(AS_OF)
        by_rest = RestQuote(symbol=C180, timestamp=moment, received_ns=moment, bid_price=0.9, ask_price=1.1)
        live = snapshot_with(quote(P170, 0.4, 0.5), trade(P175, 1.1), by_rest, quote(C185, 0.3, 0.35))
        missing = snapshot_with(quote(P170, 0.4, 0.5))

        assert structure_of(CONDOR, live)[0]["marks_from"] == "3 mid, 1 trade · 1 REST"
        assert structure_of(CONDOR, missing)[0]["marks_from"] == "1 mid"
        assert structure_of(CONDOR, snapshot_with())[0]["marks_from"] is None

    def test_legs_are_told_apart_by_structure_and_place(self):
        book = portfolio(structure(identity="a"), position(), structure(identity="b"))
        structures, legs = compute_live_multileg_rows(book, snapshot_with(), stale_after_seconds=30)

        assert list(structures.columns) == list(STRUCTURE_COLUMNS)
        assert list(legs.columns) == list(LEG_COLUMNS)
        assert list(structures.index) == ["a", "b"]
        assert list(legs.index) == ["a/0", "a/1", "b/0", "b/1"]
        assert legs["leg_index"].tolist() == [0, 1, 0, 1]

    def test_a_portfolio_without_structures_has_empty_tables(self):
        structures, legs = compute_live_multileg_rows(
            portfolio(position()), snapshot_with(), stale_after_seconds=30
        )

        assert (len(structures), len(legs)) == (0, 0)
        assert list(structures.columns) == list(STRUCTURE_COLUMNS)


COVERED_CALL = structure(share_leg(), leg("short", 270), net_debit=24_300.0)
COVERED_QUOTES = (
    quote("AAPL", 249.0, 251.0),
    quote("AAPL261218C00270000", 5.0, 5.4),
    quote(C180, 70.0, 71.0),
)


class TestStructuresThatPeopleHold:
    """Shares as a leg, a debit that nobody knows, costs by leg, several symbols."""

    def test_a_covered_call_is_shares_and_call_together(self):
        row, legs = structure_of(COVERED_CALL, snapshot_with(*COVERED_QUOTES))

        assert (row["words"], row["expiry"], row["dte"]) == (
            "AAPL shares/18 Dec 26 270C",
            date(2026, 12, 18),
            28,
        )
        assert row["net_mark"] == pytest.approx(100 * 250 - 520)
        assert row["net_natural"] == pytest.approx(100 * 249 - 540)
        assert row["net_pnl_abs"] == pytest.approx(24_480 - 24_300)
        assert row["underlying_price"] == 250
        assert legs["signed_contracts"].tolist() == [100, -1]
        assert legs["contracts"].tolist() == [pd.NA, 1]
        assert legs["leg_value"].tolist() == pytest.approx([25_000, -520])
        assert legs["multiplier"].tolist() == [1, 100]

    def test_part_of_a_share_is_part_of_a_leg(self):
        _, legs = structure_of(structure(share_leg(shares=12.5)), snapshot_with(*COVERED_QUOTES))

        assert legs["signed_contracts"].tolist() == [12.5]
        assert legs["leg_value"].tolist() == [3125]

    def test_a_structure_of_unknown_cost_has_value_and_no_profit_and_says_so(self):
        unknown = COVERED_CALL.changed(net_debit=None)
        live = snapshot_with(*COVERED_QUOTES)
        row, _ = structure_of(unknown, live)

        assert row["net_mark"] == pytest.approx(24_480)
        assert (row["net_debit"], row["net_pnl_abs"], row["net_pnl_natural_abs"]) == (None, None, None)
        assert QuoteWarning.NO_COST_BASIS in row["warnings"]
        pnl = totals_of(portfolio(unknown, position()), live).pnl
        assert (pnl.total, pnl.counted, pnl.of) == (None, 1, 2)

    def test_the_costs_of_all_legs_are_the_net_debit(self):
        by_leg = structure(
            leg("long", 180, cost_basis=0.9), leg("short", 185, cost_basis=0.3), net_debit=None
        )
        row, legs = structure_of(by_leg, snapshot_with(*CONDOR_QUOTES))

        assert row["net_debit"] == pytest.approx(60)
        assert row["net_pnl_abs"] == pytest.approx((1.0 - 0.325) * 100 - 60)
        assert legs["cost_basis"].tolist() == [0.9, 0.3]
        assert legs["leg_pnl"].tolist() == pytest.approx([10, -2.5])

    def test_a_pair_of_shares_has_no_expiry_and_no_single_spot(self):
        pair = structure(
            share_leg(symbol="KO"), share_leg("short", 50, symbol="PEP"), symbol="KO", net_debit=-500
        )
        row, _ = structure_of(pair, snapshot_with(quote("KO", 70, 70.2), quote("PEP", 150, 150.2)))

        assert (row["expiry"], row["dte"], row["underlying_price"]) == (None, None, None)
        assert row["net_mark"] == pytest.approx(100 * 70.1 - 50 * 150.1)

    def test_an_adjusted_leg_without_multiplier_leaves_its_structure_unknown(self):
        mixed = structure(leg("long", 180, symbol="AAPL1"), leg("short", 180), net_debit=0)
        row, _ = structure_of(mixed, snapshot_with(quote("AAPL1261218C00180000", 2, 2.2), *COVERED_QUOTES))

        assert (row["net_mark"], row["priced_legs"]) == (None, 1)

    def test_lots_are_one_line_at_their_average_cost(self):
        lots = lots_of((1, 0.9, None), (2, 0.6, None))
        row = row_of(lots, snapshot_with(quote(C180, 1.0, 1.2)))

        assert (row["quantity"], row["cost_basis"]) == (3, pytest.approx(0.7))
        assert row["pnl_abs"] == pytest.approx(330 - 210)

    def test_a_lot_of_unknown_cost_leaves_the_profit_unknown(self):
        row = row_of(lots_of((1, 0.9, None), (2, None, None)), snapshot_with(quote(C180, 1.0, 1.2)))

        assert (row["market_value"], row["pnl_abs"]) == (pytest.approx(330), None)
        assert QuoteWarning.NO_COST_BASIS in row["warnings"]

    def test_gains_and_fees_so_far_are_in_the_net_profit_alone(self):
        live = snapshot_with(quote(C180, 1.0, 1.2), quote(C185, 0.3, 0.4))
        rolled = position(cost_basis=0.9, realized=150.0, fees=2.6)
        vertical = structure(realized=-40.0, net_debit=60.0)
        row = row_of(rolled, live)
        of_structure, _ = structure_of(vertical, live)
        totals = totals_of(portfolio(rolled, vertical, position(strike=185.0)), live)

        assert (row["pnl_abs"], row["pnl_net"]) == (pytest.approx(20), pytest.approx(167.4))
        assert (row["realized"], row["fees"]) == (150, 2.6)
        assert (of_structure["net_pnl_abs"], of_structure["pnl_net"]) == (
            pytest.approx(15),
            pytest.approx(-25),
        )
        assert totals.pnl.total == pytest.approx(20 + 15 - 65)
        assert totals.carried.net == pytest.approx(107.4)
        assert totals.carried.entries == 2

    def test_a_net_profit_is_not_known_where_the_file_names_neither_gains_nor_fees(self):
        assert row_of(position(), snapshot_with(quote(C180, 1.0, 1.2)))["pnl_net"] is None

    def test_what_was_paid_for_shares_is_no_long_premium_paid(self):
        totals = totals_of(portfolio(COVERED_CALL, position(cost_basis=2.0)), snapshot_with(*COVERED_QUOTES))

        assert totals.long_premium_paid == 200


class TestTotals:
    """The book in one line."""

    LIVE = snapshot_with(*CONDOR_QUOTES, quote("AAPL", 177.9, 178.1))

    def test_everything_is_counted_once(self):
        book = portfolio(position(strike=180, cost_basis=0.8), CONDOR, holding("AAPL", 10, cost_basis=170))
        totals = totals_of(book, self.LIVE)

        assert totals.pnl_abs == pytest.approx(20 + 17.5 + 80)
        assert totals.pnl_natural_abs == pytest.approx(10 - 10 + 79)
        assert totals.pnl_pct == pytest.approx(100 * 117.5 / (80 + 150 + 1700))
        assert totals.market_value == pytest.approx(100 - 132.5 + 1780)
        assert (totals.priced_legs, totals.legs, totals.complete) == (6, 6, True)

    def test_liquidation_is_at_natural_and_counts_the_cash_that_the_file_names(self):
        without_cash = totals_of(portfolio(CONDOR), self.LIVE)
        with_cash = totals_of(portfolio(CONDOR, cash=1000), self.LIVE)

        assert without_cash.cash is None
        assert without_cash.liquidation_value == pytest.approx(-160)
        assert with_cash.liquidation_value == pytest.approx(840)

    def test_long_premium_paid_is_what_was_paid_for_what_still_runs(self):
        book = portfolio(
            position(strike=180, contracts=2, cost_basis=1.5),
            position(strike=185, contracts=-1, cost_basis=9.0),
            position(strike=190, expiry=date(2026, 11, 19), cost_basis=7.0),
            structure(identity="debit", net_debit=250),
            structure(identity="credit", net_debit=-100),
            holding("AAPL"),
        )

        assert totals_of(book, self.LIVE).long_premium_paid == pytest.approx(300 + 250)

    def test_a_structure_is_at_risk_until_its_last_leg_expires(self):
        gone = date(2026, 11, 19)
        calendar = structure(
            leg("short", 180, expiry=gone), leg("long", 180), identity="calendar", net_debit=70
        )
        vertical = structure(leg("long", 180, expiry=gone), leg("short", 185, expiry=gone), net_debit=250)

        assert totals_of(portfolio(calendar, vertical), self.LIVE).long_premium_paid == 70

    def test_the_nearest_expiry_and_the_widest_spread_are_named(self):
        book = portfolio(CONDOR, position("AAPL", 190, expiry=date(2026, 11, 19)), position("AAPL", 180))
        totals = totals_of(book, self.LIVE)

        assert totals.nearest_expiry is not None
        assert totals.nearest_expiry.dte == 28
        assert labels(totals.nearest_expiry.lines) == [
            "AAPL 18 Dec 26 180 C",
            "AAPL 18 Dec 26 170 P",
            "AAPL 18 Dec 26 175 P",
            "AAPL 18 Dec 26 185 C",
        ]
        assert totals.widest_spread is not None
        assert totals.widest_spread.spread_pct == pytest.approx(100 * 0.1 / 0.45)
        assert totals.widest_spread.label == "AAPL 18 Dec 26 170 P"

    def test_stale_lines_are_named_once(self):
        live = snapshot_with(quote(C180, age=100), quote(C185))
        totals = totals_of(portfolio(position(strike=180), structure()), live)

        assert labels(totals.with_warning(QuoteWarning.STALE_QUOTE)) == ["AAPL 18 Dec 26 180 C"]

    def test_an_empty_book_is_worth_nothing_and_complete(self):
        totals = totals_of(portfolio(), snapshot_with())

        assert (totals.pnl_abs, totals.market_value, totals.pnl_pct) == (0.0, 0.0, None)
        assert (totals.complete, totals.nearest_expiry, totals.widest_spread) == (True, None, None)


CENTS = st.integers(0, 3_000).map(lambda cents: cents / 100)
QUOTES = st.tuples(CENTS, CENTS).map(sorted)


@given(QUOTES, CENTS, st.integers(1, 50))
def test_a_short_gains_what_a_long_loses(sides: list[float], basis: float, contracts: int):
    live = snapshot_with(quote(AAPL_CALL, *sides))
    long = row_of(position(contracts=contracts, cost_basis=basis), live)
    short = row_of(position(contracts=-contracts, cost_basis=basis), live)

    if long["mark"] is None:
        # Where no middle is believed, what a short costs at most may still be known.
        assert long["pnl_abs"] is None
        assert short["mark"] in (None, short["ask"])
        return
    if long["mark_source"] == "mid":
        assert long["pnl_abs"] == -short["pnl_abs"]
    assert long["pnl_natural_abs"] <= long["pnl_abs"]
    assert short["pnl_natural_abs"] <= short["pnl_abs"]


@given(st.lists(QUOTES, min_size=2, max_size=2), st.floats(-1e4, 1e4).map(lambda debit: round(debit, 2)))
def test_a_structure_is_the_sum_of_its_legs(sides: list[list[float]], debit: float):
    live = snapshot_with(quote(C180, *sides[0]), quote(C185, *sides[1]))
    row, legs = structure_of(structure(net_debit=debit), live)

    if legs["leg_value"].isna().any() or "impossible_mark" in row["warnings"]:
        assert row["net_pnl_abs"] is None
        return
    assert -55 - 1e-9 <= row["net_mark"] <= 555 + 1e-9  # 0 to 500, a tenth of it and a tick
    assert row["net_mark"] == pytest.approx(legs["leg_value"].sum())
    assert row["net_pnl_abs"] == pytest.approx(row["net_mark"] - debit)
    assert row["net_natural"] <= row["net_mark"] + 1e-9


def test_the_sample_is_priced_completely_when_everything_is_quoted(repository: Path):
    book = load_portfolio(repository / "portfolio.json")
    totals = totals_of(book, snapshot_with(*(quote(item.live_symbol, 5.0, 5.2) for item in book.instruments)))

    assert totals.complete
    assert totals.legs == 15
    assert totals.nearest_expiry is not None
    assert (totals.nearest_expiry.dte, labels(totals.nearest_expiry.lines)) == (0, ["SPY 20 Nov 26 681 C"])


def test_a_recorded_minute_of_spxw_agrees_with_a_calculation_from_the_file(real_data: Path):
    """952 contracts as they were quoted at 10:32 on their own market's clock, one in three of them short."""
    with gzip.open(real_data / "spxw_option_quotes_1min_20180105.csv.gz", "rt", newline="") as lines:
        recorded = [row for row in csv.DictReader(lines) if row["quote_datetime"] == "2018-01-05 10:32:00"]
    as_of = datetime(2018, 1, 5, 10, 32, 1, tzinfo=NEW_YORK).astimezone(UTC)
    contracts = [(-1 if index % 3 == 0 else 1) * (1 + index % 4) for index in range(len(recorded))]
    basis = Decimal("12.35")
    book = portfolio(
        *(
            position(
                "SPXW",
                float(row["strike"]),
                "call" if row["option_type"] == "C" else "put",
                expiry=date.fromisoformat(row["expiration"]),
                contracts=held,
                cost_basis=float(basis),
            )
            for row, held in zip(recorded, contracts, strict=True)
        )
    )
    index = [float(recorded[0][side]) for side in ("underlying_bid", "underlying_ask")]
    spot = quote("SPX", *index, as_of=as_of)
    quotes = [
        quote(item.live_symbol, float(row["bid"]), float(row["ask"]), age=1, as_of=as_of)
        for item, row in zip(book.instruments, recorded, strict=True)
    ]
    live = snapshot_with(spot, *quotes, as_of=as_of)
    table = rows_of(book, live)

    assert len(table) == 952
    mids = [(Decimal(row["bid"]) + Decimal(row["ask"])) / 2 for row in recorded]
    profits = [(mid - basis) * 100 * held for mid, held in zip(mids, contracts, strict=True)]
    closing = [
        Decimal(row["bid"] if held > 0 else row["ask"]) for row, held in zip(recorded, contracts, strict=True)
    ]
    assert table["mark"].tolist() == pytest.approx([float(mid) for mid in mids])
    assert table["pnl_abs"].tolist() == pytest.approx([float(profit) for profit in profits])
    assert table["natural"].tolist() == [float(price) for price in closing]
    days = [(date.fromisoformat(row["expiration"]) - date(2018, 1, 5)).days for row in recorded]
    assert table["dte"].tolist() == days
    zero_bids = [float(row["bid"]) == 0 for row in recorded]
    assert ["zero_bid" in warnings for warnings in table["warnings"]] == zero_bids
    assert ["expires_today" in warnings for warnings in table["warnings"]] == [day == 0 for day in days]
    assert set(table["underlying_price"]) == {sum(index) / 2}
    assert totals_of(book, live).pnl_abs == pytest.approx(float(sum(profits)))


def test_the_moneyness_of_a_recorded_chain_is_the_publishers(real_data: Path):
    with gzip.open(real_data / "nvda_option_chain_20251029.csv.gz", "rt", newline="") as lines:
        recorded = list(csv.DictReader(lines))
    as_of = datetime(2025, 10, 29, 12, 0, tzinfo=NEW_YORK)
    spot = float(recorded[0]["underlying_price"])
    book = portfolio(
        *(
            position(
                "NVDA",
                float(row["Strike"]),
                "call" if row["Type"] == "Call" else "put",
                expiry=date.fromisoformat(row["expiration"]),
            )
            for row in recorded
        )
    )
    table = rows_of(book, snapshot_with(quote("NVDA", spot, spot, as_of=as_of), as_of=as_of))

    # To three digits, and of a spot that moved by a few cents while the chain was printed.
    published = [100 * float(row["Moneyness"]) for row in recorded]
    assert table["moneyness_pct"].tolist() == pytest.approx(published, abs=0.06)
    assert set(table["dte"]) == {79}


class TestCoins:
    """What is traded day and night."""

    SATURDAY = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)
    BTC = "BTC/USD"

    def row(self, age: float, *, requested: bool = True) -> dict[str, Any]:
        asked = health(StreamName.CRYPTO, requested=(self.BTC,) if requested else ("ETH/USD",))
        live = snapshot_with(
            quote(self.BTC, 64_000.0, 64_002.0, age=age, as_of=self.SATURDAY),
            as_of=self.SATURDAY,
            streams=[asked],
        )
        return row_of(holding(self.BTC, 0.5, cost_basis=60_000.0), live)

    def test_a_coin_has_a_price_of_now_on_a_saturday(self):
        row = self.row(age=2.0)

        assert (row["words"], row["mark"], row["mark_age_seconds"]) == (self.BTC, 64_001.0, 2.0)
        assert row["warnings"] == []
        assert row["pnl_abs"] == pytest.approx(0.5 * (64_001.0 - 60_000.0))

    def test_a_coin_that_is_silent_is_stale_on_a_saturday_too(self):
        assert self.row(age=31.0)["warnings"] == [QuoteWarning.STALE_QUOTE]

    def test_a_coins_price_of_the_day_before_is_of_another_session(self):
        assert QuoteWarning.OTHER_SESSION in self.row(age=86_401.0)["warnings"]
