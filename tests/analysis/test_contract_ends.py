"""A day is not an instant: a contract whose trading is over has no price that evening, and the row says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from options_helper.analysis.attention.deadlines import contract_life
from options_helper.analysis.live_portfolio_metrics import (
    compute_live_multileg_rows,
)
from options_helper.analysis.marks import QuoteWarning
from options_helper.analysis.priced_lines import PricedLines, price_entries
from options_helper.analysis.risk.book_risk import assess_book
from options_helper.analysis.risk.leg_inputs import RiskChoices, session_ended_ns
from options_helper.model.contract_hours import is_settled_at_open, option_trading_ends_at
from options_helper.model.contract_records import ContractRecord
from options_helper.model.contract_symbols import INDEX_ROOTS
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.market_hours import NOTHING_TOLD, Session
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.builders import (
    health,
    leg,
    nanoseconds,
    new_york,
    portfolio,
    position,
    quote,
    snapshot_with,
    structure,
)
from tests.kit.tables import row, totals_of

FRIDAY, HALF_DAY = date(2026, 11, 20), date(2026, 11, 27)


@pytest.mark.parametrize(
    ("symbol", "expiry", "as_of", "has_ended"),
    [
        ("AAPL", FRIDAY, "2026-11-20 15:59:59", False),
        ("AAPL", FRIDAY, "2026-11-20 16:00", True),
        ("AAPL", FRIDAY, "2026-11-20 18:00", True),
        ("AAPL", HALF_DAY, "2026-11-27 13:00", True),  # the exchange closes at 13:00
        ("AAPL", HALF_DAY, "2026-11-27 12:59", False),
        ("SPY", FRIDAY, "2026-11-20 16:10", False),  # its options trade until 16:15
        ("SPXW", FRIDAY, "2026-11-20 16:10", True),
    ],
)
def test_from_the_end_of_its_last_session_a_contract_has_no_price_and_no_natural_value(
    symbol: str, expiry: date, as_of: str, *, has_ended: bool
):
    book = portfolio(position(symbol, expiry=expiry, contracts=5, cost_basis=4.0))
    contract = book.instruments[0].live_symbol
    moment = new_york(as_of)
    live = snapshot_with(quote(contract, 3.0, 3.2, age=60, as_of=moment), as_of=moment)
    total = totals_of(book, live)

    assert ("expired" in row(book, live)["warnings"]) is has_ended
    assert ("expires_today" in row(book, live)["warnings"]) is not has_ended
    assert (total.pnl.counted, total.liquidation_value, total.long_premium_paid) == (
        (0, None, 0) if has_ended else (1, 1500, 2000)
    )
    assert (total.nearest_expiry is None) is has_ended


def priced(book: Portfolio, live: LiveSnapshot) -> PricedLines:
    return price_entries(book.positions, book, live, stale_after_seconds=30, wide_spread_pct=25)


def test_what_lasts_a_day_is_looked_up_once_and_the_end_of_a_contract_comes_at_its_instant():
    """The same portfolio is priced each second; what the day before, or the last record, said holds no longer."""
    book = portfolio(position("SPY", expiry=FRIDAY), position("SPX", expiry=FRIDAY), position("AAPL"))
    symbols = [one.live_symbol for one in book.instruments]
    day = [new_york(f"2026-11-20 {time}") for time in ("09:31", "15:59:59", "16:14:59", "16:15")]
    moments = [new_york("2026-11-19 12:00"), *day, new_york("2026-11-21 00:00")]
    ended, days = [], []
    for moment in moments:
        found = priced(book, snapshot_with(requested=symbols, as_of=moment))
        ended.append(found.ended.tolist())
        days.append(found.columns["dte"].tolist())

    # SPX ends at the open of its third Friday, SPY a quarter of an hour after the close.
    assert ended == [[False] * 3, *[[False, True, False]] * 3, *[[True, True, False]] * 2]
    assert days == [[1, 1, 29], *[[0, 0, 28]] * 4, [-1, -1, 27]]

    at_close = ContractRecord(symbol=symbols[1], settled_at_open=False)
    live = snapshot_with(requested=symbols, as_of=day[0])
    told = replace(live, expiry_facts=ExpiryFacts(records={symbols[1]: at_close}))
    assert priced(book, told).ended.tolist() == [False] * 3
    short = replace(live, as_of=day[1], told_sessions={FRIDAY: Session(day[0], new_york("2026-11-20 13:00"))})
    assert priced(book, short).ended.tolist() == [True, True, False]


def test_what_a_stream_was_asked_for_is_looked_at_whenever_it_is_another():
    book = portfolio(position(), position("SPY"))
    first, second = (one.live_symbol for one in book.instruments)
    both, one_of_them = snapshot_with(requested=[first, second]), snapshot_with(requested=[first])
    refused = health("options", requested=(first, second), refused_symbols=(second,))

    def said(live: LiveSnapshot) -> tuple[list[bool], list[bool]]:
        findings = priced(book, live).findings
        return findings[QuoteWarning.NOT_SUBSCRIBED].tolist(), findings[QuoteWarning.REFUSED_SYMBOL].tolist()

    for _ in range(2):
        assert said(both) == ([False, False], [False, False])
        assert said(one_of_them) == ([False, True], [False, False])
        assert said(snapshot_with(streams=[refused])) == ([False, False], [False, True])


@pytest.mark.parametrize(
    ("symbol", "at", "ended"),
    [
        ("AAPL", "2026-11-20 16:00", None),
        ("AAPL", "2026-11-20 16:00:01", "2026-11-20 16:00"),
        ("SPY", "2026-11-20 16:15", None),
        ("SPY", "2026-11-20 16:15:01", "2026-11-20 16:15"),
        ("SPY", "2026-11-27 13:10", None),
        ("AAPL", "2026-11-27 13:10", "2026-11-27 13:00"),
        ("AAPL", "2026-11-23 09:29:59", "2026-11-20 16:00"),
        ("AAPL", "2026-11-23 09:30", None),
    ],
)
def test_the_session_of_a_class_ends_with_the_shares_or_a_quarter_of_an_hour_later(
    symbol: str, at: str, ended: str | None
):
    found = session_ended_ns(symbol, new_york(at), NOTHING_TOLD)

    assert found == (None if ended is None else nanoseconds(new_york(ended)))


def test_a_calendar_whose_front_has_ended_tonight_waits_for_its_back():
    book = portfolio(structure(leg("short", 180, expiry=FRIDAY), leg("long", 180), net_debit=300.0))
    live = snapshot_with(as_of=new_york("2026-11-20 18:00"))
    structures, _ = compute_live_multileg_rows(book, live, stale_after_seconds=30)

    assert structures["dte"].tolist() == [28]
    assert totals_of(book, live).nearest_expiry.dte == 28  # type: ignore[union-attr]


class TestSettledAtTheOpen:
    """SPX on a third Friday: traded for the last time on Thursday, settled by Friday's opening prices."""

    BOOK = portfolio(position("SPX", 6600, "put", expiry=FRIDAY, cost_basis=20.0))
    LAST = quote("SPX261120P06600000", 12.2, 12.4, as_of=new_york("2026-11-19 16:14"))

    def test_on_thursday_it_is_the_last_chance_to_trade(self):
        found = row(self.BOOK, snapshot_with(self.LAST, as_of=new_york("2026-11-19 15:00")))

        assert (found["dte"], found["last_day"]) == (1, date(2026, 11, 19))
        assert "last_trading_day" in found["warnings"]

    def test_before_the_open_of_friday_it_still_is_what_it_was(self):
        found = row(self.BOOK, snapshot_with(self.LAST, as_of=new_york("2026-11-20 09:29")))

        assert found["mark"] == pytest.approx(12.3)
        assert [word for word in found["warnings"] if word != "other_session"] == [
            "expires_today",
            "settled_at_open",
        ]

    def test_from_the_open_of_friday_thursdays_quote_is_no_price(self):
        live = snapshot_with(self.LAST, as_of=new_york("2026-11-20 11:00"))

        assert row(self.BOOK, live)["warnings"] == ["expired", "settled_at_open"]
        assert totals_of(self.BOOK, live).pnl.counted == 0


@pytest.mark.parametrize(
    ("symbol", "settlement", "as_of", "ended"),
    [
        ("MRUT", None, "2026-11-20 11:00", False),
        ("MRUT", "am", "2026-11-20 11:00", True),
        ("SPX", None, "2026-11-20 11:00", True),
        ("SPX", "pm", "2026-11-20 11:00", False),
        ("SPX", "pm", "2026-11-20 16:00", True),
    ],
)
def test_a_settlement_that_the_file_names_goes_before_what_the_root_says(
    symbol: str,
    settlement: Any,
    as_of: str,
    ended: bool,  # noqa: FBT001 - an outcome
):
    """A root can be listed for both, and then only the contract's terms tell."""
    terms = {"settlement": settlement}
    single = position(symbol, 180, expiry=FRIDAY, **terms)
    spread = structure(
        leg("long", 180, expiry=FRIDAY, **terms), leg("short", 185, expiry=FRIDAY, **terms), symbol=symbol
    )
    symbols = [one.live_symbol for one in portfolio(single, spread).instruments]
    live = snapshot_with(
        *(quote(one, 3.0, 3.2, age=60, as_of=new_york(as_of)) for one in dict.fromkeys(symbols)),
        as_of=new_york(as_of),
    )

    _, legs = compute_live_multileg_rows(portfolio(spread), live, stale_after_seconds=30)
    assert (row(portfolio(single), live)["grade"] == "ended") is ended
    assert [grade == "ended" for grade in legs["grade"]] == [ended, ended]


def test_the_last_day_of_a_contract_that_is_settled_at_the_open_is_the_session_before():
    live = snapshot_with(as_of=new_york("2026-11-18 11:00"))

    assert row(portfolio(position("MRUT", 180, expiry=FRIDAY, settlement="am")), live)["last_day"] == date(
        2026, 11, 19
    )
    assert row(portfolio(position("MRUT", 180, expiry=FRIDAY)), live)["last_day"] == FRIDAY


# By Cboe's and Nasdaq's specifications: root, exercise style, and whether a third Friday's and another Friday's series
# are settled by opening prices. VIX ends on Wednesdays and is always settled so.
INDEX_CLASSES = [
    ("DJX", "european", True, False),
    ("MRUT", "european", False, False),
    ("NDX", "european", True, False),
    ("NDXP", "european", False, False),
    ("OEX", "american", False, False),
    ("RUT", "european", True, False),
    ("RUTW", "european", False, False),
    ("SPX", "european", True, False),
    ("SPXW", "european", False, False),
    ("VIX", "european", True, True),
    ("VIXW", "european", True, True),
    ("XEO", "european", False, False),
    ("XND", "european", False, False),
    ("XSP", "european", False, False),
]


@pytest.mark.parametrize(("root", "style", "third_at_open", "other_at_open"), INDEX_CLASSES)
def test_each_class_on_an_index_has_its_style_its_settlement_its_cash_and_its_hours(
    root: str, style: str, *, third_at_open: bool, other_at_open: bool
):
    found = []
    for expiry, at_open in ((FRIDAY, third_at_open), (date(2026, 11, 13), other_at_open)):
        one = position(root, 5.0, expiry=expiry).instrument
        life = contract_life(one, ExpiryFacts(), NOTHING_TOLD)
        assert life is not None
        found.append((life.is_american, life.is_cash, one.multiplier, life.at_open))
        assert is_settled_at_open(one.live_symbol, expiry) is at_open
        assert option_trading_ends_at(root, expiry) == new_york(f"{expiry} 16:15")
        assert life.last_day == (expiry - timedelta(days=1) if at_open else expiry)

    assert found == [(style == "american", True, 100, at_open) for at_open in (third_at_open, other_at_open)]


def test_the_table_of_index_classes_is_whole():
    assert [root for root, *_ in INDEX_CLASSES] == sorted(INDEX_ROOTS)


def test_what_alpacas_record_says_of_the_settlement_holds_for_table_and_risk_too():
    """A class that is listed for both kinds ended at 09:30 for one of them, and at the close for the others."""
    book = portfolio(position("MRUT", 250, "put", expiry=FRIDAY))
    contract = book.instruments[0].live_symbol
    live = snapshot_with(as_of=new_york("2026-11-20 10:00"))

    def said(*, at_open: bool | None) -> tuple[bool, bool]:
        records = {contract: ContractRecord(symbol=contract, settled_at_open=at_open)}
        told = replace(live, expiry_facts=ExpiryFacts(records=records))
        risk = assess_book(book, told, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)
        return "expired" in row(book, told)["warnings"], risk.lines[0].iv_state == "expired"

    assert [said(at_open=at_open) for at_open in (None, False, True)] == [(False, False)] * 2 + [(True, True)]


def test_what_alpacas_record_says_of_the_style_holds_for_the_model_and_for_assignments():
    contract = position("XSP", 600, "put").instrument
    american = ExpiryFacts(
        records={contract.live_symbol: ContractRecord(symbol=contract.live_symbol, exercise_style="american")}
    )
    live = replace(snapshot_with(), expiry_facts=american)
    book = portfolio(position("XSP", 600, "put"))
    risk = assess_book(book, live, RiskChoices(), stale_after_seconds=30, wide_spread_pct=25)

    life = contract_life(contract, american, NOTHING_TOLD)
    assert life is not None
    assert life.is_american
    assert risk.scenario.terms.is_american.tolist() == [True]
