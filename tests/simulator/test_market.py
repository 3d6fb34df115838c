"""The market made up for a portfolio: what it shows, how it moves, and that it can be repeated exactly."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from options_helper.data.streaming.subscriptions import build_subscription_plan
from options_helper.data.streaming.trading_normalizers import normalize_trade_update
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds, utc_datetime
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import Portfolio, Position, load_portfolio
from options_helper.model.streams import StreamName
from options_helper.simulator.market.market import Interest, PlayingClock, SilentMarket, Step
from options_helper.simulator.market.pricing import (
    NICKEL_CLASS,
    PENNY_CLASS,
    quote_around,
    smile,
    value_option,
)
from options_helper.simulator.market.seeded import SeededMarket
from tests.kit.builders import holding, new_york, position, structure

STOCKS, OPTIONS, FILLS = StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS
FRIDAY = date(2026, 12, 18)
NEAR = position("AAPL", 180.0, expiry=FRIDAY)
INDEX_FUNDS = ("SPY", "QQQ", "IWM", "DIA", "VTI")
BOOK = Portfolio(positions=(NEAR, position("MSFT", 500.0, "put", expiry=date(2027, 1, 15)), structure()))
CALL = NEAR.instrument.live_symbol


def interest_in(
    stocks: Collection[str] = (), options: Collection[str] = (), channels: Collection[str] = ("quotes",)
) -> Interest:
    interest = Interest()
    subscribe(interest, stocks, options, channels)
    return interest


def subscribe(
    interest: Interest,
    stocks: Collection[str] = (),
    options: Collection[str] = (),
    channels: Collection[str] = ("quotes",),
) -> None:
    interest.replace(
        {(STOCKS, channel): frozenset(stocks) for channel in channels}
        | {(OPTIONS, channel): frozenset(options) for channel in channels}
    )


def everything(portfolio: Portfolio) -> Interest:
    plan = build_subscription_plan(
        portfolio, stream_stocks=True, stream_options=True, max_option_contracts=1_000
    )
    return interest_in(plan.stocks, plan.option_contracts, ("quotes", "trades", "bars"))


def seconds_of(steps: Iterator[Step], market: SeededMarket, until: float) -> list[Step]:
    """The steps before this many seconds after the market's start."""
    found: list[Step] = []
    for step in steps:
        if step.market_ns >= market.start_ns + until * NANOSECONDS:
            break
        found.append(step)
    return found


def played(market: SeededMarket, interest: Interest, seconds: float) -> list[Step]:
    return seconds_of(market.steps(interest), market, seconds)


def messages(steps: list[Step], kind: str | None = None, symbol: str | None = None) -> list[dict[str, Any]]:
    """Without the news, which have no symbol and ask for no subscriber."""
    return [
        message
        for step in steps
        if step.stream is not StreamName.NEWS
        for message in step.messages
        if kind in (None, message.get("T")) and symbol in (None, message.get("S"))
    ]


def middles(steps: list[Step], symbol: str) -> list[float]:
    return [(quote["bp"] + quote["ap"]) / 2 for quote in messages(steps, "q", symbol)]


# It can be repeated.


def test_the_same_portfolio_and_seed_play_the_same_market():
    one, other = (played(SeededMarket(BOOK, seed=3), everything(BOOK), 90) for _ in range(2))
    assert one == other


def test_another_seed_plays_another_market():
    one, other = (played(SeededMarket(BOOK, seed=seed), everything(BOOK), 5) for seed in (3, 4))
    assert messages(one) != messages(other)


def test_prices_do_not_depend_on_who_looks():
    alone = played(SeededMarket(BOOK), interest_in(["AAPL"]), 30)
    crowd = played(SeededMarket(BOOK), interest_in(["AAPL", "MSFT", "ZZZ"], [CALL]), 30)
    assert messages(alone, "q", "AAPL")[-1]["bp"] == messages(crowd, "q", "AAPL")[-1]["bp"]


def test_a_market_can_be_played_again_from_its_start():
    market = SeededMarket(BOOK)
    assert played(market, everything(BOOK), 5) == played(market, everything(BOOK), 5)


# Its time.


def started_at(portfolio: Portfolio, **options: Any) -> datetime:
    return utc_datetime(SeededMarket(portfolio, **options).start_ns).astimezone(NEW_YORK)


def test_it_starts_at_ten_in_new_york_on_the_day_the_first_contract_expires():
    assert started_at(BOOK) == datetime(2026, 12, 18, 10, 0, tzinfo=NEW_YORK)


def test_it_starts_on_friday_for_contracts_that_are_named_after_a_saturday():
    book = Portfolio(positions=(position(expiry=date(2014, 1, 18)),))
    assert started_at(book) == datetime(2014, 1, 17, 10, 0, tzinfo=NEW_YORK)


def test_it_starts_when_it_is_told_to():
    noon = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
    assert started_at(BOOK, start=noon) == noon


THIRD_FRIDAY = date(2026, 11, 20)
AT_OPEN = position("SPX", 6700.0, "put", expiry=THIRD_FRIDAY)
AT_CLOSE = position("SPXW", 6700.0, "put", expiry=THIRD_FRIDAY)


def test_a_contract_settled_at_the_open_is_neither_quoted_nor_traded_nor_ordered_after_it():
    book = Portfolio(positions=(AT_OPEN, AT_CLOSE))
    market = SeededMarket(book)
    ended, trading = AT_OPEN.instrument.live_symbol, AT_CLOSE.instrument.live_symbol
    steps = played(market, everything(book), 600)
    ordered = {
        data["data"]["order"]["symbol"] for step in steps if step.stream is FILLS for data in step.messages
    }

    assert utc_datetime(market.start_ns) == datetime.combine(THIRD_FRIDAY, time(10), NEW_YORK)
    assert messages(steps, symbol=ended) == []
    assert messages(steps, "q", trading)
    assert messages(steps, "t", trading)
    assert ordered == {trading}
    told = market.snapshot(ended, market.start_ns, date(2026, 11, 19))
    assert (told.quote, told.trade, list(told.daily_bars)) == (None, None, [date(2026, 11, 19)])
    assert market.snapshot(trading, market.start_ns, date(2026, 11, 19)).quote


def test_a_contract_is_quoted_until_its_end_and_not_after_it_and_no_order_outlives_it():
    book = Portfolio(positions=(NEAR,))
    market = SeededMarket(book, start=datetime.combine(FRIDAY, time(15, 59), NEW_YORK))
    ends_ns = market.start_ns + 60 * NANOSECONDS
    steps = played(market, everything(book), 180)

    spoken = [step.market_ns for step in steps if messages([step], symbol=CALL)]
    orders = [step.market_ns for step in steps if step.stream is FILLS]
    assert max(spoken) < ends_ns
    assert orders
    assert max(orders) < ends_ns


def test_a_file_may_name_when_its_contract_is_settled():
    named = position("AAPL", 180.0, expiry=FRIDAY, settlement="am")
    other = position("MSFT", 500.0, expiry=FRIDAY)
    book = Portfolio(positions=(named, other))

    steps = played(SeededMarket(book), everything(book), 30)

    assert messages(steps, symbol=named.instrument.live_symbol) == []
    assert messages(steps, "q", other.instrument.live_symbol)


@pytest.mark.parametrize("later", [(), (position("SPX", 6500.0, "put", expiry=date(2026, 12, 18)),)])
def test_where_all_that_expires_first_is_settled_at_the_open_the_market_starts_on_its_last_day(later):
    """A day later it would show nothing of it."""
    market = SeededMarket(Portfolio(positions=(AT_OPEN, *later)))

    assert utc_datetime(market.start_ns) == datetime.combine(date(2026, 11, 19), time(10), NEW_YORK)


def test_it_starts_on_the_session_before_a_holiday_on_which_contracts_expire():
    market = SeededMarket(Portfolio(positions=(position("AAPL", 180.0, expiry=date(2027, 6, 18)),)))

    assert utc_datetime(market.start_ns).astimezone(NEW_YORK).date() == date(2027, 6, 17)


def test_a_book_of_shares_has_a_market_too():
    book = Portfolio(positions=(holding("AAPL", cost_basis=250.0),))
    steps = played(SeededMarket(book), interest_in(["AAPL"]), 30)
    assert middles(steps, "AAPL")[0] == pytest.approx(250, rel=0.1)
    assert messages(steps)[-1].get("T") == "q"
    assert {
        message["data"]["order"]["asset_class"]
        for step in steps
        if step.stream is FILLS
        for message in step.messages
    } == {"us_equity"}


def test_an_empty_book_has_a_silent_market():
    steps = played(SeededMarket(Portfolio(positions=())), Interest(), 60)
    assert messages(steps) == []


def test_times_rise_and_are_close_to_the_step_s():
    steps = played(SeededMarket(BOOK), everything(BOOK), 10)
    for stream in (STOCKS, OPTIONS):
        own = [step for step in steps if step.stream is stream]
        times = [
            epoch_nanoseconds(message["t"]) or 0
            for step in own
            for message in step.messages
            if message["T"] != "b"
        ]
        assert all(earlier < later for earlier, later in pairwise(times))
        assert all(
            0 <= step.market_ns - (epoch_nanoseconds(step.messages[0]["t"]) or 0) < 100_000_000
            for step in own
            if step.messages
        )
    assert all(earlier.market_ns <= later.market_ns for earlier, later in pairwise(steps))


# Who gets what.


def test_everything_subscribed_is_quoted_at_once():
    steps = played(SeededMarket(BOOK), everything(BOOK), 0.1)
    quoted = {message["S"] for message in messages(steps, "q")}
    assert quoted == {"AAPL", "MSFT"} | {item.live_symbol for item in BOOK.instruments}


def test_nothing_is_said_that_nobody_subscribed_to():
    steps = played(SeededMarket(BOOK), interest_in(["MSFT"]), 60)
    assert {message["S"] for step in steps if step.stream is STOCKS for message in step.messages} == {"MSFT"}
    assert not [step for step in steps if step.stream is OPTIONS and step.messages]


def test_a_symbol_subscribed_later_is_quoted_at_the_next_tick_and_again_after_a_reconnect():
    market, interest = SeededMarket(BOOK), interest_in()
    steps = market.steps(interest)
    seconds_of(steps, market, 1.0)
    for second in (1.2, 1.4, 1.6):
        subscribe(interest, options=[CALL])
        assert messages(seconds_of(steps, market, second), "q", CALL)


def test_symbols_that_nobody_holds_have_prices_too():
    steps = played(SeededMarket(BOOK), interest_in(["KO"], ["KO261218C00070000"]), 0.1)
    assert middles(steps, "KO")[0] > 0
    assert messages(steps, "q", "KO261218C00070000")


def test_a_contract_of_an_unknown_underlying_is_near_the_money():
    steps = played(SeededMarket(BOOK), interest_in(["ABC"], ["ABC261218C00070000"]), 0.1)
    assert 0 < messages(steps, "q", "ABC261218C00070000")[0]["ap"] < 10


def test_a_symbol_that_is_none_stays_silent():
    assert not messages(played(SeededMarket(BOOK), interest_in(options=["nonsense"]), 1))


def test_a_star_brings_all_that_is_held():
    steps = played(SeededMarket(BOOK), interest_in(["*"]), 0.1)
    assert {message["S"] for message in messages(steps)} == {"AAPL", "MSFT"}


# What it shows.


def test_underlyings_move_several_times_a_second_and_options_about_once():
    steps = played(SeededMarket(BOOK), everything(BOOK), 60)
    assert 120 < len(messages(steps, "q", "AAPL")) < 300
    assert 15 < len(messages(steps, "q", CALL)) < 90
    assert len(set(middles(steps, "AAPL"))) > 20


def test_quotes_are_whole_ticks_and_never_crossed():
    steps = played(SeededMarket(BOOK), everything(BOOK), 30)
    for quote in messages(steps, "q"):
        assert 0 <= quote["bp"] < quote["ap"]
        for price in (quote["bp"], quote["ap"]):
            assert round(price * 100) == pytest.approx(price * 100)
        assert (quote["bs"] > 0) == (quote["bp"] > 0)
        assert quote["as"] > 0


def test_trades_happen_at_the_quote_and_ids_rise():
    steps = played(SeededMarket(BOOK), everything(BOOK), 120)
    prints = messages(steps, "t", "AAPL")
    assert len(prints) > 50
    assert all(one["i"] < next_one["i"] for one, next_one in pairwise(prints))
    assert messages(steps, "t", CALL)
    assert all(isinstance(trade["c"], list) for trade in prints)
    assert all(isinstance(trade["c"], str) for trade in messages(steps, "t", CALL))


def test_a_bar_of_every_full_minute_follows_it():
    steps = played(SeededMarket(BOOK), interest_in(["AAPL"], channels=("bars",)), 130)
    bars = messages(steps, "b", "AAPL")
    assert [utc_datetime(epoch_nanoseconds(bar["t"]) or 0).minute for bar in bars] == [0, 1]
    assert all(bar["l"] <= min(bar["o"], bar["c"]) <= bar["vw"] + 1 for bar in bars)
    assert all(bar["h"] >= max(bar["o"], bar["c"]) for bar in bars)


def test_underlyings_move_together_and_by_a_realistic_amount():
    names = ["SPY", "AAPL", "MSFT"]
    book = Portfolio(positions=tuple(position(name, 300.0) for name in names))
    steps = played(SeededMarket(book), interest_in(names), 900)
    moves = {name: _moves(steps, name) for name in names}
    assert statistics.correlation(moves["SPY"], moves["AAPL"]) > 0.3
    assert statistics.correlation(moves["MSFT"], moves["AAPL"]) > 0.1
    yearly = statistics.stdev(moves["AAPL"]) * math.sqrt(252 * 6.5 * 3600 / 5)
    assert 0.1 < yearly < 0.8


def _moves(steps: list[Step], symbol: str) -> list[float]:
    """Log returns over five seconds."""
    last: dict[int, float] = {}
    for step in steps:
        for quote in step.messages:
            if quote.get("S") == symbol:
                last[step.market_ns // (5 * NANOSECONDS)] = (quote["bp"] + quote["ap"]) / 2
    return [math.log(after / before) for before, after in pairwise(last.values())]


def test_the_sample_portfolio_shows_a_plausible_book(repository: Path):
    sample = load_portfolio(repository / "portfolio.json")
    steps = played(SeededMarket(sample), everything(sample), 1)
    for entry in sample.positions:
        if isinstance(entry, Position):
            mark, cost = middles(steps, entry.instrument.live_symbol)[0], entry.cost_basis or 0
            assert 0.4 < mark / cost < 2.0, entry.id


# The model.


def test_black_scholes_by_the_book():
    value = value_option("call", spot=100, strike=100, years=1, volatility=0.2)
    put = value_option("put", spot=100, strike=100, years=1, volatility=0.2)
    assert value.price == pytest.approx(9.9251, abs=1e-4)
    assert value.price - put.price == pytest.approx(100 - 100 * math.exp(-0.04), abs=1e-9)
    assert value.delta == pytest.approx(0.6179, abs=1e-4)
    assert value.vega == pytest.approx(38.139, abs=1e-2)


def test_an_expired_contract_is_worth_what_exercising_brings():
    assert value_option("put", spot=90, strike=100, years=-1, volatility=0.2).price == pytest.approx(
        10, abs=0.01
    )
    assert value_option("call", spot=90, strike=100, years=-1, volatility=0.2).price == 0


def test_low_strikes_are_dearer_than_high_ones():
    low, middle, high = (smile(0.2, spot=100, strike=strike, years=0.1) for strike in (90, 100, 110))
    assert low > high > middle * 0.9
    assert middle == pytest.approx(0.2)


def test_a_worthless_option_has_a_bid_of_zero_and_an_ask_of_one_tick():
    worthless = value_option("call", spot=100, strike=200, years=0.05, volatility=0.2)
    assert quote_around(worthless, spot=100, liquidity=PENNY_CLASS) == (0, 0.01)


def test_illiquid_and_distant_contracts_are_quoted_wider():
    near = value_option("call", spot=100, strike=100, years=0.1, volatility=0.2)
    far = value_option("call", spot=100, strike=100, years=1.0, volatility=0.2)
    widths = [
        ask - bid
        for value, liquidity in ((near, PENNY_CLASS), (far, PENNY_CLASS), (far, NICKEL_CLASS))
        for bid, ask in [quote_around(value, spot=100, liquidity=liquidity)]
    ]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


# The account's orders.


def updates_in(seconds: float, book: Portfolio = BOOK) -> list[dict[str, Any]]:
    return [
        message
        for step in played(SeededMarket(book), Interest(), seconds)
        if step.stream is FILLS
        for message in step.messages
    ]


def test_an_order_is_new_then_partly_filled_then_filled():
    events = [update["data"]["event"] for update in updates_in(20)]
    assert events[:3] == ["new", "partial_fill", "fill"]


def test_the_amounts_of_an_order_are_text_and_add_up():
    new, partial, fill = updates_in(20)[:3]
    order = fill["data"]["order"]
    assert (order["status"], new["data"]["order"]["status"]) == ("filled", "new")
    assert all(
        isinstance(order[name], str) for name in ("qty", "filled_qty", "filled_avg_price", "limit_price")
    )
    assert Decimal(partial["data"]["qty"]) + Decimal(fill["data"]["qty"]) == Decimal(order["qty"])
    assert order["filled_qty"] == order["qty"]
    assert Decimal(order["filled_avg_price"]) == Decimal(order["limit_price"])


def test_the_position_after_a_fill_is_what_was_held_and_what_was_traded():
    """The book holds the contract twice: alone, and as a leg."""
    held = 2
    for update in updates_in(600):
        data = update["data"]
        if data["order"]["symbol"] == CALL and "qty" in data:
            held += int(data["qty"]) * (1 if data["order"]["side"] == "buy" else -1)
            assert data["position_qty"] == str(held)
    assert held != 2


def test_some_orders_are_cancelled_and_every_one_ends():
    updates = updates_in(3_600)
    events = [update["data"]["event"] for update in updates]
    assert events.count("canceled") > 3
    assert events.count("fill") > events.count("canceled")
    assert abs(events.count("new") - events.count("fill") - events.count("canceled")) <= 1


def test_every_update_can_be_read_by_the_page_and_is_about_a_contract_held():
    rows = [normalize_trade_update(update) for update in updates_in(600)]
    contracts = {item.live_symbol for item in BOOK.instruments}
    assert all(row is not None and row["symbol"] in contracts and row["timestamp_ns"] for row in rows)


# The clock of what is played.


class Watch:
    """A steady clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def playing_clock(**market: Any) -> tuple[PlayingClock, Watch]:
    watch = Watch()
    return PlayingClock(SilentMarket(**market), steady=watch, computer_ns=lambda: 77), watch


def test_the_clock_stands_still_until_it_is_started_and_then_runs_at_its_speed():
    clock, watch = playing_clock(start_ns=1_000, speed=10.0)
    watch.seconds += 5
    assert clock.now_ns() == 1_000
    clock.start()
    watch.seconds += 2
    clock.start()
    assert clock.now_ns() == 1_000 + 20 * NANOSECONDS
    assert clock.seconds_until(1_000 + 30 * NANOSECONDS) == pytest.approx(1.0)
    assert clock.seconds_until(1_000) == 0


def test_at_full_speed_the_clock_is_at_the_last_step():
    clock, watch = playing_clock(start_ns=1_000, speed=0.0)
    clock.start()
    watch.seconds += 5
    clock.reach(5_000)
    assert clock.now_ns() == 5_000
    assert clock.seconds_until(10**18) == 0


def test_the_clock_announces_what_it_shows():
    clock, _ = playing_clock(start_ns=1_000, speed=4.0, until_ns=9_000)
    assert clock.announcement().header() == "kind=simulated; now_ns=1000; speed=4.0; until_ns=9000"


def test_the_clock_ends_with_the_data():
    clock, watch = playing_clock(start_ns=1_000, until_ns=2_000)
    clock.start()
    watch.seconds += 5
    assert clock.now_ns() == 2_000


def test_a_market_without_a_time_of_its_own_has_the_computer_s():
    assert playing_clock()[0].now_ns() == 77


@pytest.mark.parametrize(
    ("at", "last_session", "quoted"),
    [
        ("2026-11-20 10:00", date(2026, 11, 19), "2026-11-20 10:00"),
        ("2026-11-20 18:30", date(2026, 11, 19), "2026-11-20 16:00"),
        ("2026-11-22 12:00", date(2026, 11, 20), "2026-11-20 16:00"),
        ("2026-11-23 09:00", date(2026, 11, 20), "2026-11-20 16:00"),
        # A half day, the Friday after Thanksgiving.
        ("2026-11-27 15:00", date(2026, 11, 25), "2026-11-27 13:00"),
    ],
    ids=["in the session", "in the evening", "on a Sunday", "before the open", "after a half day"],
)
def test_asked_while_it_is_not_traded_a_contract_has_the_quote_of_its_last_session(
    at: str, last_session: date, quoted: str
):
    """Nobody quotes an option at night; before the open it is the price of the close that it was quoted on."""
    market = SeededMarket(BOOK, start=new_york(at))
    snapshot = market.snapshot(CALL, market.start_ns, last_session)
    share = market.snapshot("AAPL", market.start_ns, last_session)

    assert snapshot.quote is not None
    assert snapshot.trade is not None
    for told in (snapshot.quote, snapshot.trade):
        assert epoch_nanoseconds(told["t"]) == epoch_nanoseconds(new_york(quoted))
    on = (
        share.daily_bars[last_session]["c"]
        if new_york(quoted).date() == last_session
        else (share.quote["bp"] + share.quote["ap"]) / 2
        if share.quote
        else None
    )
    years = (new_york("2026-12-18 16:00") - new_york(quoted)).total_seconds() / (365 * 86_400)
    volatility = snapshot.implied_volatility
    assert on is not None
    assert volatility is not None
    worth = value_option("call", spot=on, strike=180, years=years, volatility=volatility).price
    assert snapshot.quote["bp"] <= worth + 0.01
    assert worth - 0.01 <= snapshot.quote["ap"]


@pytest.mark.parametrize("fund", INDEX_FUNDS)
def test_an_index_fund_that_nobody_holds_starts_near_its_real_price(fund: str):
    """At 21.59 for SPY the shares that a book comes to were thirty times too many."""
    for seed in range(5):
        steps = played(SeededMarket(BOOK, seed=seed), interest_in([fund]), 30)

        assert min(middles(steps, fund)) > 150
