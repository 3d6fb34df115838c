"""What the simulated market and account answer over plain HTTP, without a socket."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from options_helper.errors import ConfigError
from options_helper.model.instants import timestamp_extension
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.account import Holding, SimulatedAccount
from options_helper.simulator.market.last_values import LastValues
from options_helper.simulator.market.market import Market, SilentMarket
from options_helper.simulator.market.past import PlayedPast
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.rest.context import RequestContext
from options_helper.simulator.rest.routes import answer_request
from options_helper.simulator.wire.protocol import FREE_PLAN, TO_JSON
from tests.kit.builders import AAPL_CALL, AS_OF, holding, leg, nanoseconds, portfolio, position, structure

NOW = nanoseconds(AS_OF)
TODAY = date(2026, 11, 20)
YESTERDAY = date(2026, 11, 19)
HOUR = 3_600 * 10**9
OTHER_CALL = "AAPL261218C00190000"


def context(
    market: Market | None = None, *, messages: list[dict[str, Any]] | None = None, **faults: Any
) -> RequestContext:
    last_values = LastValues()
    last_values.note(messages or [])
    past = PlayedPast()
    past.note(messages or [])
    return RequestContext(
        market or SilentMarket(),
        last_values,
        SimulatedAccount(cash=Decimal("18250.5")),
        NOW,
        YESTERDAY,
        past,
        faults=Faults(**faults),
    )


def refused(at: RequestContext, path: str, **query: Any) -> tuple[HTTPStatus, str]:
    status, content = answer_request(path, urlencode(query), at)
    return status, content["message"]


def answer(at: RequestContext, path: str, **query: Any) -> Any:
    """The JSON of a good answer, as a client reads it."""
    status, content = answer_request(path, urlencode(query), at)
    assert status == HTTPStatus.OK, content
    return msgspec.json.decode(TO_JSON(content))


def quote(symbol: str = AAPL_CALL, *, at_ns: int = NOW, **more: Any) -> dict[str, Any]:
    answered = {"T": "q", "S": symbol, "bp": 1.0, "bs": 3, "bx": "C", "ap": 1.2, "as": 4, "ax": "C", "c": "A"}
    return answered | {"t": timestamp_extension(at_ns)} | more


def trade(symbol: str = AAPL_CALL, price: float = 1.1, *, at_ns: int = NOW) -> dict[str, Any]:
    return {"T": "t", "S": symbol, "p": price, "s": 2, "x": "C", "c": "I", "t": timestamp_extension(at_ns)}


def seeded(*entries: Any) -> SeededMarket:
    return SeededMarket(portfolio(*(entries or [position()])), start=AS_OF)


# Prices.


def test_a_snapshot_has_the_last_quote_and_trade_with_their_times():
    at = context(messages=[quote(bp=0.9), quote(), trade(at_ns=NOW - HOUR)])

    snapshots = answer(at, "/v1beta1/options/snapshots", symbols=AAPL_CALL, feed="indicative")

    assert snapshots["next_page_token"] is None
    row = snapshots["snapshots"][AAPL_CALL]
    assert (row["latestQuote"]["bp"], row["latestQuote"]["t"]) == (1.0, "2026-11-20T15:00:00.000000000Z")
    assert (row["latestTrade"]["p"], row["latestTrade"]["t"]) == (1.1, "2026-11-20T14:00:00.000000000Z")
    assert "S" not in row["latestQuote"]


def test_stock_snapshots_lie_under_their_symbols_without_a_wrapper():
    at = context(messages=[quote("AAPL"), trade("MSFT", 500.0)])

    rows = answer(at, "/v2/stocks/snapshots", symbols="AAPL,MSFT,NVDA", feed="iex")

    assert set(rows) == {"AAPL", "MSFT"}
    assert set(rows["AAPL"]) == {"latestQuote"}
    assert set(rows["MSFT"]) == {"latestTrade", "dailyBar"}


@pytest.mark.parametrize(
    ("path", "wrapper", "symbol", "price"),
    [
        ("/v2/stocks/quotes/latest", "quotes", "AAPL", ("bp", 1.0)),
        ("/v2/stocks/trades/latest", "trades", "AAPL", ("p", 1.1)),
        ("/v1beta1/options/quotes/latest", "quotes", AAPL_CALL, ("bp", 1.0)),
        ("/v1beta1/options/trades/latest", "trades", AAPL_CALL, ("p", 1.1)),
    ],
)
def test_the_latest_alone_leaves_out_what_was_never_heard(
    path: str, wrapper: str, symbol: str, price: tuple[str, float]
):
    at = context(messages=[quote(symbol), trade(symbol)])
    unheard = "MSFT" if symbol == "AAPL" else OTHER_CALL

    rows = answer(at, path, symbols=f"{symbol},{unheard}")[wrapper]

    assert {name: row[price[0]] for name, row in rows.items()} == {symbol: price[1]}


def test_a_close_that_was_set_is_the_newest_bar_until_something_trades_today():
    """So Alpaca has it: `dailyBar` is the last day on which there was a trade."""
    quiet, traded = context(messages=[quote()]), context(messages=[quote(), trade(price=1.3)])
    for at in (quiet, traded):
        at.last_values.set_close(AAPL_CALL, 0.8, YESTERDAY)

    before = answer(quiet, "/v1beta1/options/snapshots", symbols=AAPL_CALL)["snapshots"][AAPL_CALL]
    after = answer(traded, "/v1beta1/options/snapshots", symbols=AAPL_CALL)["snapshots"][AAPL_CALL]

    assert (before["dailyBar"]["c"], before["dailyBar"]["t"][:13]) == (0.8, "2026-11-19T05")
    assert "prevDailyBar" not in before
    assert (after["dailyBar"]["c"], after["prevDailyBar"]["c"]) == (1.3, 0.8)


@pytest.mark.parametrize(
    ("path", "query", "status", "says"),
    [
        ("/v1beta1/options/snapshots", {"symbols": "AAPL"}, 400, "invalid symbol: AAPL"),
        ("/v2/stocks/snapshots", {"symbols": "AAPL,BRK-B"}, 400, "invalid symbol: BRK-B"),
        ("/v2/stocks/snapshots", {}, 400, "symbols is required"),
        ("/v2/stocks/snapshots", {"symbols": "AAPL", "feed": "nowhere"}, 400, "invalid feed"),
        ("/v1beta1/options/snapshots", {"symbols": AAPL_CALL, "feed": "opra"}, 403, "does not permit"),
        ("/v2/orders", {"limit": 501}, 422, "limit must be a number from 1 to 500"),
        ("/v2/orders", {"status": "some"}, 422, "open, closed, all"),
        ("/v2/account/activities", {"page_size": 101}, 422, "from 1 to 100"),
        ("/v2/account/activities", {"activity_types": "SPLIT,SSP"}, 422, "invalid activity type: SSP"),
        ("/v2/account/activities", {"page_token": "never given"}, 422, "page_token"),
        ("/v2/account/activities", {"after": "soon"}, 422, "after must be a day or a time"),
        ("/v2/assets/NOPE", {}, 404, "NOPE"),
        ("/v2/options/contracts/NOPE", {}, 404, "NOPE"),
        ("/v2/watchlists", {}, 404, "/v2/watchlists"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_a_reason(
    path: str, query: dict[str, Any], status: int, says: str
):
    answered, message = refused(replace(context(), limits=FREE_PLAN), path, **query)

    assert answered == status
    assert says in message


def test_more_than_a_hundred_contracts_in_one_request_are_refused():
    symbols = [f"AAPL261218C{strike:08}" for strike in range(1_000, 102_000, 1_000)]

    status, message = refused(context(), "/v1beta1/options/snapshots", symbols=",".join(symbols))

    assert status == HTTPStatus.BAD_REQUEST
    assert "at most 100" in message
    assert answer(context(), "/v1beta1/options/snapshots", symbols=",".join(symbols[:100]))["snapshots"] == {}


@pytest.mark.parametrize(
    "message",
    ["no map", None, {"T": ["q"], "S": "AAPL"}, {"T": "q"}, {"T": "q", "S": None}, {"T": "z", "S": "AAPL"}],
)
def test_what_is_no_price_leaves_the_tape_as_it_is(message: Any):
    at = context(messages=[quote("AAPL"), message])

    assert answer(at, "/v2/stocks/quotes/latest", symbols="AAPL")["quotes"]["AAPL"]["bp"] == 1.0


# The market that is made up.


def test_a_made_up_market_prices_all_it_was_made_for_though_nobody_listens():
    market = seeded(position(), structure(leg("long", 190.0), leg("short", 200.0)), holding("MSFT"))
    at = context(market)
    symbols = ",".join(market.contracts)

    rows = answer(at, "/v1beta1/options/snapshots", symbols=symbols)["snapshots"]
    stocks = answer(at, "/v2/stocks/snapshots", symbols="AAPL,MSFT,NVDA")

    assert set(rows) == set(market.contracts)
    assert set(stocks) == {"AAPL", "MSFT"}
    for row in [*rows.values(), *stocks.values()]:
        assert row["latestQuote"]["bp"] < row["latestQuote"]["ap"]
        assert row["latestQuote"]["t"] == row["latestTrade"]["t"] == "2026-11-20T15:00:00.000000000Z"
        assert row["dailyBar"]["t"][:10] == "2026-11-20"
        assert row["prevDailyBar"]["t"][:10] == "2026-11-19"
        assert row["prevDailyBar"]["c"] > 0
    assert all(0 < row["greeks"]["delta"] < 1 and row["impliedVolatility"] > 0 for row in rows.values())


def test_the_previous_close_is_a_usual_day_s_move_away_and_always_the_same():
    first = answer(context(seeded()), "/v2/stocks/snapshots", symbols="AAPL")["AAPL"]
    again = answer(context(seeded()), "/v2/stocks/snapshots", symbols="AAPL")["AAPL"]

    assert first == again
    assert first["prevDailyBar"]["c"] == pytest.approx(first["latestTrade"]["p"], rel=0.1)
    assert first["prevDailyBar"]["c"] != first["latestTrade"]["p"]


def test_a_contract_that_expires_today_has_no_greeks():
    rows = answer(
        context(seeded(position(expiry=TODAY))), "/v1beta1/options/snapshots", symbols="AAPL261120C00180000"
    )

    assert "greeks" not in rows["snapshots"]["AAPL261120C00180000"]


def test_what_was_just_heard_is_what_rest_says_too():
    at = context(seeded(), messages=[quote(bp=7.77)])
    stale = context(seeded(), messages=[quote(bp=7.77, at_ns=NOW - HOUR)])

    fresh_row = answer(at, "/v1beta1/options/quotes/latest", symbols=AAPL_CALL)["quotes"][AAPL_CALL]
    stale_row = answer(stale, "/v1beta1/options/quotes/latest", symbols=AAPL_CALL)["quotes"][AAPL_CALL]

    assert fresh_row["bp"] == 7.77
    assert stale_row["bp"] != 7.77


def test_asking_changes_nothing_of_what_is_streamed():
    """A market that is asked plays the same messages as one that is not."""
    from itertools import islice

    from options_helper.simulator.market.market import Interest

    queried, unqueried = seeded(), seeded()
    steps, expected = queried.steps(Interest()), unqueried.steps(Interest())
    played = []
    for step in islice(steps, 200):
        played.append(step)
        queried.snapshot(AAPL_CALL, step.market_ns, YESTERDAY)
        queried.snapshot("AAPL", step.market_ns, YESTERDAY)

    assert played == list(islice(expected, 200))


# The account.


def test_positions_are_written_as_alpaca_writes_them():
    at = context(messages=[trade(price=1.5)])
    at.last_values.set_close(AAPL_CALL, 1.2, YESTERDAY)
    at.account.set_holding(Holding(AAPL_CALL, Decimal(-2), Decimal("1.25")))

    (row,) = answer(at, "/v2/positions")

    assert isinstance(row.pop("asset_id"), str)
    assert row == {
        "symbol": AAPL_CALL,
        "exchange": "",
        "asset_class": "us_option",
        "asset_marginable": False,
        "qty": "-2",
        "qty_available": "-2",
        "side": "short",
        "avg_entry_price": "1.25",
        "cost_basis": "-250",
        "market_value": "-300",
        "current_price": "1.5",
        "lastday_price": "1.2",
        "change_today": "0.25",
        "unrealized_pl": "-50",
        "unrealized_plpc": "-0.2",
        "unrealized_intraday_pl": "-60",
        "unrealized_intraday_plpc": "-0.24",
    }


def test_a_position_without_any_price_has_nulls_and_keeps_its_cost():
    at = context()
    at.account.set_holding(Holding("AAPL", Decimal("0.5"), Decimal(200)))

    (row,) = answer(at, "/v2/positions")

    assert (row["qty"], row["cost_basis"], row["market_value"]) == ("0.5", "100", None)
    assert (row["current_price"], row["lastday_price"], row["unrealized_pl"]) == (None, None, None)


def test_a_test_may_have_any_field_of_a_position_as_it_likes():
    at = context()
    at.account.set_holding(Holding(AAPL_CALL, Decimal(-2), None, {"qty": "2", "asset_class": "us_future"}))

    (row,) = answer(at, "/v2/positions")

    assert (row["qty"], row["side"], row["asset_class"]) == ("2", "short", "us_future")


def test_the_account_tells_its_cash_and_what_it_is_worth():
    at = context(messages=[trade(price=1.5)])
    at.account.set_holding(Holding(AAPL_CALL, Decimal(1), Decimal(1)))

    answered = answer(at, "/v2/account")

    assert (answered["cash"], answered["equity"], answered["status"]) == ("18250.5", "18400.5", "ACTIVE")


def order(number: int, status: str = "new", **more: Any) -> dict[str, Any]:
    """The n-th order, n hours before now."""
    return {"id": f"order-{number}", "status": status, "symbol": AAPL_CALL, **more}


@pytest.fixture
def ordered() -> RequestContext:
    at = context()
    for number, status in enumerate(["filled", "new", "partially_filled", "canceled"]):
        at.account.add_order(order(number, status), NOW - (9 - number) * HOUR)
    return at


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [2, 1]),
        ({"status": "closed"}, [3, 0]),
        ({"status": "all"}, [3, 2, 1, 0]),
        ({"status": "all", "direction": "asc"}, [0, 1, 2, 3]),
        ({"status": "all", "direction": "asc", "limit": 2}, [0, 1]),
        ({"status": "all", "after": "2026-11-20T07:00:00Z"}, [3, 2]),
        ({"status": "all", "until": "2026-11-20T07:00:00Z"}, [0]),
        ({"status": "all", "after": "2026-11-21"}, []),
    ],
)
def test_orders_are_found_by_status_and_time(
    ordered: RequestContext, query: dict[str, Any], numbers: list[int]
):
    found = answer(ordered, "/v2/orders", **query)

    assert [row["id"] for row in found] == [f"order-{number}" for number in numbers]


@pytest.mark.parametrize(("nested", "ids"), [("true", ["order-1"]), ("false", ["order-1", "leg-1", "leg-2"])])
def test_legs_lie_in_their_order_or_beside_it(nested: str, ids: list[str]):
    at = context()
    legs = [{"id": "leg-1", "status": "new"}, {"id": "leg-2", "status": "new"}]
    at.account.add_order(order(1, legs=legs), NOW)

    rows = answer(at, "/v2/orders", nested=nested)

    assert [row["id"] for row in rows] == ids
    assert rows[0]["legs"] == (legs if nested == "true" else None)


@pytest.fixture
def active() -> RequestContext:
    """Ten fills, one an hour up to now, and an expiry yesterday."""
    at = context()
    at.account.add_activity("OPEXP", NOW - 24 * HOUR, {"symbol": OTHER_CALL, "qty": "-1"})
    for number in range(10):
        fields = {"symbol": AAPL_CALL, "qty": "1", "price": str(number), "side": "buy"}
        at.account.add_activity("FILL", NOW - (9 - number) * HOUR, fields)
    return at


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_of_activities_follow_each_other_without_gap_or_repetition(
    active: RequestContext, direction: str
):
    whole = answer(active, "/v2/account/activities", direction=direction)
    pages: list[Any] = []
    while page := answer(
        active,
        "/v2/account/activities",
        direction=direction,
        page_size=5,
        **({"page_token": pages[-1]["id"]} if pages else {}),
    ):
        assert len(page) <= 5
        pages += page

    assert pages == whole
    assert len({row["id"] for row in pages}) == 11


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"activity_types": "OPEXP"}, 1),
        ({"activity_types": "OPEXP,FILL"}, 11),
        ({"activity_types": "DIV"}, 0),
        ({"date": "2026-11-19"}, 1),
        ({"date": "2026-11-20"}, 10),
        ({"after": "2026-11-20T13:00:00Z"}, 2),
        ({"until": "2026-11-20T05:00:00Z"}, 1),
    ],
)
def test_activities_are_found_by_kind_day_and_time(active: RequestContext, query: dict[str, Any], count: int):
    assert len(answer(active, "/v2/account/activities", **query)) == count


def test_what_the_account_holds_is_listed_and_what_nobody_knows_is_not():
    at = context(SilentMarket(contracts=(AAPL_CALL,), prices={"AAPL": 180.0}))
    at.account.set_holding(Holding(OTHER_CALL, Decimal(1), None))

    for symbol in (AAPL_CALL, OTHER_CALL):
        assert answer(at, f"/v2/options/contracts/{symbol}")["symbol"] == symbol
    assert answer(at, "/v2/assets/AAPL")["class"] == "us_equity"
    assert refused(at, "/v2/options/contracts/AAPL261218C00200000")[0] == HTTPStatus.NOT_FOUND
    assert refused(at, "/v2/assets/MSFT")[0] == HTTPStatus.NOT_FOUND


# Faults of what is said.


@pytest.mark.parametrize("text", ["rest_page=0", "rest_status=200", "rest_hang=1"])
def test_a_rest_fault_that_cannot_happen_is_a_sentence(text: str):
    with pytest.raises(ConfigError, match=text.partition("=")[0]):
        Faults.parse([text])


def test_one_greek_may_be_null():
    at = context(seeded(position(), position(strike=190.0)), rest_null_greek=True)

    rows = answer(at, "/v1beta1/options/snapshots", symbols=f"{AAPL_CALL},{OTHER_CALL}")["snapshots"]

    assert [row["greeks"]["theta"] is None for row in rows.values()] == [True, False]


def test_one_exchange_may_be_unknown_to_everybody():
    at = context(messages=[quote(), quote(OTHER_CALL)], rest_unknown_exchange=True)
    for symbol in (AAPL_CALL, OTHER_CALL):
        at.account.set_holding(Holding(symbol, Decimal(1), None))

    rows = answer(at, "/v1beta1/options/snapshots", symbols=f"{AAPL_CALL},{OTHER_CALL}")["snapshots"]
    positions = answer(at, "/v2/positions")

    assert [row["latestQuote"]["bx"] for row in rows.values()] == ["?", "C"]
    assert [row["asset_class"] for row in positions] == ["us_nowhere", "us_option"]
    assert at.last_values.snapshot(AAPL_CALL).quote == quote()


def test_pages_may_be_shorter_than_asked_for(active: RequestContext):
    short = replace(active, faults=Faults(rest_page=4))
    snapshots = context(messages=[quote(), quote(OTHER_CALL)], rest_page=1)

    assert len(answer(short, "/v2/account/activities")) == 4
    first = answer(snapshots, "/v1beta1/options/snapshots", symbols=f"{AAPL_CALL},{OTHER_CALL}")
    second = answer(
        snapshots,
        "/v1beta1/options/snapshots",
        symbols=f"{AAPL_CALL},{OTHER_CALL}",
        page_token=first["next_page_token"],
    )
    assert [*first["snapshots"], *second["snapshots"]] == [AAPL_CALL, OTHER_CALL]
    assert second["next_page_token"] is None
