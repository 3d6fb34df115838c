"""What a capture will record, when, and what the command line means, before anything connects."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from options_helper.capture.hours import CaptureHours
from options_helper.capture.plan import Selection, plan_capture
from options_helper.commands.capture_options import (
    read_coins,
    read_contracts,
    read_day,
    read_filter,
    read_news,
    read_seconds,
    read_symbols,
)
from options_helper.data.rest.option_contracts import Chain, Contract, ContractFilter, ExpirySpan
from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import contract_symbol
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.streams import StreamName
from tests.kit.builders import holding, portfolio

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
NEAR, FAR = date(2026, 11, 20), date(2026, 12, 18)
STOCK_HOURS = CaptureHours(((STOCKS, "iex"),))
FUND_OPTION_HOURS = CaptureHours(((STOCKS, "iex"), (OPTIONS, "indicative")), frozenset({"SPY"}))


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(UTC)


def chain(
    underlying: str, *, strikes: range, price: float = 100, expiries: tuple[date, ...] = (NEAR, FAR)
) -> Chain:
    contracts = [
        Contract(contract_symbol(underlying, expiry, "call", strike), expiry, strike)
        for expiry in expiries
        for strike in sorted(strikes, key=lambda strike: abs(strike - price))
    ]
    return Chain(underlying, tuple(contracts), price)


def test_every_contract_is_recorded_while_there_is_room():
    plan = plan_capture(Selection(underlyings=("SPY",)), [chain("SPY", strikes=range(95, 106))])

    assert len(plan.streams.option_contracts) == 22
    assert plan.warnings == ()


def test_beyond_the_limit_the_nearest_expiry_and_the_nearest_the_money_are_kept():
    selection = Selection(underlyings=("SPY",), max_contracts=14)

    plan = plan_capture(selection, [chain("SPY", strikes=range(95, 106))])

    kept = plan.streams.option_contracts
    assert kept[:11] == tuple(one.symbol for one in chain("SPY", strikes=range(95, 106)).contracts[:11])
    assert {symbol[-8:] for symbol in kept[11:]} == {"00099000", "00100000", "00101000"}


def test_what_is_left_out_is_said_with_numbers_and_the_last_expiry_that_is_kept():
    selection = Selection(underlyings=("SPY", "QQQ"), max_contracts=4)

    plan = plan_capture(
        selection, [chain(name, strikes=range(95, 106), expiries=(NEAR,)) for name in selection.underlyings]
    )

    (warning,) = plan.warnings
    assert warning.startswith("18 of 22 contracts of the underlyings are left out")
    assert "SPY keeps 2 of 11, up to 20 Nov 26; QQQ keeps 2 of 11" in warning


def test_named_contracts_come_before_those_that_were_looked_up():
    named = contract_symbol("AAPL", FAR, "put", 180)
    selection = Selection(option_contracts=(named,), underlyings=("SPY",), max_contracts=2)

    plan = plan_capture(selection, [chain("SPY", strikes=range(95, 106))])

    assert plan.streams.option_contracts == (named, contract_symbol("SPY", NEAR, "call", 100))


def test_named_contracts_beyond_the_limit_are_named():
    named = tuple(contract_symbol("AAPL", FAR, "put", strike) for strike in (180, 185))

    plan = plan_capture(Selection(option_contracts=named, max_contracts=1), ())

    assert plan.warnings == (f"1 of 2 named contracts are left out (--max-contracts 1): {named[1]}.",)


def test_options_have_no_bars():
    plan = plan_capture(Selection(stocks=("SPY",), quotes=False), ())

    assert plan.streams.stock_channels == ("trades", "bars")
    assert plan.streams.option_channels == ("trades",)


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        (Selection(), "nothing to record"),
        (Selection(stocks=("SPY",), quotes=False, trades=False, bars=False), "nothing is left to record"),
        (Selection(underlyings=("SPY",), quotes=False, trades=False), "no bars of options"),
        (Selection(stocks=("SPY",), stock_feed="imaginary"), "no stock feed 'imaginary'"),
    ],
)
def test_a_wish_that_records_nothing_is_refused(selection: Selection, says: str):
    with pytest.raises(ConfigError, match=says):
        plan_capture(selection, ())


def test_coins_news_and_halts_are_recorded_where_they_are_wished_for():
    plan = plan_capture(
        Selection(
            stocks=("SPY",),
            trades=False,
            halts=True,
            crypto=("BTC/USD",),
            crypto_location="eu-1",
            news=("*",),
        ),
        (),
    )

    assert plan.streams.stock_channels == ("quotes", "bars", "statuses", "lulds")
    assert plan.streams.crypto_channels == ("quotes", "bars")
    assert (plan.streams.crypto, plan.streams.crypto_location, plan.streams.news) == (
        ("BTC/USD",),
        "eu-1",
        ("*",),
    )
    assert plan.partitions == 4 + 2 + 1
    assert (
        plan.estimate().rows
        > plan_capture(Selection(stocks=("SPY",), trades=False), ()).estimate().rows + 100_000
    )


def test_news_alone_are_enough_to_record():
    plan = plan_capture(Selection(news=("AAPL",), quotes=False, trades=False, bars=False), ())

    assert (plan.partitions, plan.estimate().rows) == (1, 20)


def test_what_never_closes_is_recorded_around_the_clock():
    hours = plan_capture(Selection(stocks=("SPY",), crypto=("BTC/USD",)), ()).hours

    assert hours.connected(new_york("2026-11-07 03:00"))
    assert hours.next_change(new_york("2026-11-07 03:00")) is None


def test_a_plan_for_another_day_has_no_expired_contracts():
    plan = plan_capture(Selection(underlyings=("SPY",)), [chain("SPY", strikes=range(99, 102))])

    assert len(plan.without_expired(NEAR).streams.option_contracts) == 6
    assert len(plan.without_expired(NEAR + timedelta(days=1)).streams.option_contracts) == 3


def test_the_estimate_grows_with_symbols_and_channels():
    one = plan_capture(Selection(stocks=("SPY",)), ()).estimate()
    two = plan_capture(Selection(stocks=("SPY", "AAPL")), ()).estimate()
    bars = plan_capture(Selection(stocks=("SPY",), quotes=False, trades=False), ()).estimate()

    assert two.rows == 2 * one.rows
    assert bars.rows == 390


@pytest.mark.parametrize(
    ("selection", "journal", "files"),
    [
        # Measured: 191 bytes of journal for an event at 1.2 events/s, 120 at 7.9, 21 at 225. As for the files: 30 for a
        # quote of these, and 119 for a trade or bar that comes alone and is a member of its own.
        (Selection(stocks=("SPY",)), 180, 43),
        (Selection(stocks=tuple(f"S{number}" for number in range(5))), 126, 43),
        (Selection(stocks=tuple(f"S{number}" for number in range(150))), 22, 43),
        (Selection(stocks=("SPY",), quotes=False, trades=False), 5_500, 119),
    ],
)
def test_few_events_take_more_bytes_each(selection: Selection, journal: int, files: int):
    estimate = plan_capture(selection, ()).estimate()

    assert estimate.journal_bytes / estimate.rows == pytest.approx(journal, rel=0.1)
    assert estimate.file_bytes / estimate.rows == pytest.approx(files, rel=0.1)


@pytest.mark.parametrize(
    ("hours", "at", "change"),
    [
        # From half a minute before the open to a minute after the close.
        (STOCK_HOURS, "2026-11-20T08:00", "2026-11-20T09:29:30"),
        (STOCK_HOURS, "2026-11-20T10:00", "2026-11-20T16:01:00"),
        # Options on a fund trade a quarter of an hour longer.
        (FUND_OPTION_HOURS, "2026-11-20T10:00", "2026-11-20T16:16:00"),
        # A weekend; Thanksgiving, and the half day after it.
        (STOCK_HOURS, "2026-11-20T17:00", "2026-11-23T09:29:30"),
        (STOCK_HOURS, "2026-11-25T17:00", "2026-11-27T09:29:30"),
        (STOCK_HOURS, "2026-11-27T10:00", "2026-11-27T13:01:00"),
        (FUND_OPTION_HOURS, "2026-11-27T10:00", "2026-11-27T13:16:00"),
        # The clock goes forward on Sunday 2026-03-08 and back on 2026-11-01.
        (STOCK_HOURS, "2026-03-06T17:00", "2026-03-09T09:29:30"),
        (STOCK_HOURS, "2026-10-30T17:00", "2026-11-02T09:29:30"),
        # The turn of the year.
        (STOCK_HOURS, "2026-12-31T17:00", "2027-01-04T09:29:30"),
        # The night session, over midnight.
        (CaptureHours(((STOCKS, "overnight"),)), "2026-11-18T12:00", "2026-11-18T19:59:30"),
        (CaptureHours(((STOCKS, "overnight"),)), "2026-11-18T23:00", "2026-11-19T04:01:00"),
        (CaptureHours(((STOCKS, "overnight"),)), "2026-11-20T12:00", "2026-11-22T19:59:30"),
    ],
)
def test_a_capture_follows_the_hours_of_its_feeds(hours: CaptureHours, at: str, change: str):
    assert hours.next_change(new_york(at)) == new_york(change)


def test_at_the_change_it_is_otherwise():
    begins, ends = new_york("2026-11-20T09:29:30"), new_york("2026-11-20T16:01:00")
    moment = timedelta(microseconds=1)

    assert [STOCK_HOURS.connected(at) for at in (begins - moment, begins, ends - moment, ends)] == [
        False,
        True,
        True,
        False,
    ]


def test_the_test_feed_never_closes():
    hours = CaptureHours(((STOCKS, "test"),))

    assert hours.connected(new_york("2026-11-21T03:00"))
    assert hours.next_change(new_york("2026-11-21T03:00")) is None


def test_lists_have_commas_and_options_may_be_repeated():
    assert read_symbols("--stocks", ["spy, AAPL", "BRK-B", "SPY"]) == ("SPY", "AAPL", "BRK.B")


def test_coins_are_pairs_and_news_may_be_of_everything():
    assert read_coins("--crypto", ["btc/usd, ETH/USD", "BTC/USD"]) == ("BTC/USD", "ETH/USD")
    assert read_news("--news", ["aapl", "brk-b", "btc/usd"]) == ("AAPL", "BRK.B", "BTCUSD")
    assert read_news("--news", ["AAPL,all"]) == read_news("--news", ["*"]) == ("*",)
    assert read_coins("--crypto", None) == read_news("--news", None) == ()
    with pytest.raises(ConfigError, match="--crypto: 'AAPL' is no pair"):
        read_coins("--crypto", ["AAPL"])


def test_contracts_may_be_padded():
    assert read_contracts("--option-contracts", ["SPY   261218C00700000"]) == ("SPY261218C00700000",)


def test_expiries_are_days_spans_and_the_next_days():
    read = read_filter(["2026-11-20,2026-12-01..2026-12-31", "30d"], "10%")

    assert read == ContractFilter(
        (ExpirySpan(NEAR, NEAR), ExpirySpan(date(2026, 12, 1), date(2026, 12, 31))), 30, 0.1
    )
    assert ExpirySpan(NEAR, NEAR + timedelta(days=30)) in read.spans(NEAR)


def test_all_strikes_are_no_filter():
    assert read_filter(None, "all") == ContractFilter()


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (lambda: read_symbols("--stocks", ["SPY;AAPL"]), "--stocks: 'SPY;AAPL' is no symbol"),
        (lambda: read_symbols("--stocks", ["*"]), "is no symbol"),
        (lambda: read_contracts("--option-contracts", ["SPY"]), "--option-contracts: 'SPY' is no option"),
        (lambda: read_filter(["friday"], "all"), r"--expiries friday: that is no day\. Write days"),
        (lambda: read_day("--day", "foo"), r"--day foo: that is no day\. Write it as 2026-12-18"),
        (lambda: read_filter(["2026-12-31..2026-12-01"], "all"), "before the first"),
        (lambda: read_filter([".."], "all"), "no day in it"),
        (lambda: read_filter(None, "near"), "--moneyness near"),
        (lambda: read_filter(None, "-3%"), "--moneyness -3%"),
        (lambda: read_filter(None, "nan"), "--moneyness nan"),
        (lambda: read_seconds("--duration", "soon"), "--duration: 'soon'"),
        (lambda: read_seconds("--duration", "0s"), "longer than nothing"),
    ],
)
def test_what_cannot_be_read_names_its_option(read, says: str):
    with pytest.raises(ConfigError, match=says):
        read()


def test_coins_of_a_portfolio_are_recorded_beside_those_that_are_named():
    book = portfolio(holding("AAPL"), holding("BTC/USD", 0.5))
    plan = plan_capture(Selection(portfolio=book, crypto=("ETH/USD", "BTC/USD")), ())

    assert (plan.streams.stocks, plan.streams.crypto) == (("AAPL",), ("ETH/USD", "BTC/USD"))
    assert plan_capture(Selection(portfolio=book), ()).streams.crypto == ("BTC/USD",)
