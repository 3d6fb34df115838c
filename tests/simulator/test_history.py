"""The simulated market's past over plain HTTP: what was played or recorded, page by page, and nothing of the future."""

from __future__ import annotations

import shutil
import tracemalloc
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from options_helper.model.instants import epoch_nanoseconds, nanosecond_text
from options_helper.model.market_hours import NEW_YORK
from options_helper.simulator.market.past import A_PACK, REMEMBERED, PlayedPast
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.rest.context import RequestContext
from options_helper.simulator.wire.protocol import Limits
from tests.kit.builders import AAPL_CALL, AS_OF, holding, nanoseconds, portfolio
from tests.kit.fakes import NOON
from tests.kit.recordings import write_partition
from tests.simulator.test_rest import NOW, answer, context, quote, refused, trade

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
STOCK_QUOTES = "/v2/stocks/quotes"


def bar(symbol: str = "AAPL", *, at_ns: int) -> dict[str, Any]:
    return quote(symbol, at_ns=at_ns) | {"T": "b", "o": 1, "h": 1, "l": 1, "c": 1, "v": 10, "n": 1, "vw": 1}


def stretch(since_ns: int, until_ns: int) -> dict[str, str]:
    return {"start": str(nanosecond_text(since_ns)), "end": str(nanosecond_text(until_ns))}


def test_a_stretch_has_its_two_ends_and_nothing_beside_them():
    at = context(messages=[quote("AAPL", at_ns=NOW - age, bs=age) for age in (40, 30, 20, 10)])

    told = answer(at, STOCK_QUOTES, symbols="AAPL", feed="iex", **stretch(NOW - 30, NOW - 20))

    assert [row["bs"] for row in told["quotes"]["AAPL"]] == [30, 20]
    assert told["next_page_token"] is None


def test_pages_follow_each_other_symbol_by_symbol_without_gap_or_repetition():
    messages = [quote(symbol, at_ns=NOW - age) for age in (30, 20, 10) for symbol in ("MSFT", "AAPL")]
    at = context(messages=messages)
    query = {"symbols": "MSFT,AAPL", "feed": "iex", "limit": 2}
    found, token = [], None
    while True:
        page = answer(at, STOCK_QUOTES, **query, **({"page_token": token} if token else {}))
        found += [(symbol, row["t"]) for symbol, rows in page["quotes"].items() for row in rows]
        token = page["next_page_token"]
        if token is None:
            break

    assert found == sorted(found)
    assert len(set(found)) == 6


def test_trades_and_bars_of_contracts_have_a_past_and_quotes_of_them_have_none():
    at = context(messages=[trade(at_ns=NOW - SECOND), bar(AAPL_CALL, at_ns=NOW - 2 * MINUTE)])

    assert len(answer(at, "/v1beta1/options/trades", symbols=AAPL_CALL)["trades"][AAPL_CALL]) == 1
    assert (
        len(answer(at, "/v1beta1/options/bars", symbols=AAPL_CALL, timeframe="1Min")["bars"][AAPL_CALL]) == 1
    )
    status, _ = refused(at, "/v1beta1/options/quotes", symbols=AAPL_CALL)
    assert status == HTTPStatus.NOT_FOUND


def test_coins_are_asked_for_by_their_pair_at_a_location():
    at = context(messages=[quote("BTC/USD", at_ns=NOW - SECOND)])

    assert len(answer(at, "/v1beta3/crypto/us-1/quotes", symbols="BTC/USD")["quotes"]["BTC/USD"]) == 1


def test_a_minute_is_known_when_it_is_over_and_nothing_is_told_of_what_is_to_come():
    messages = [bar(at_ns=NOW - MINUTE), bar(at_ns=NOW - MINUTE + 1), quote("AAPL", at_ns=NOW + 1)]
    at = context(messages=messages)

    assert len(answer(at, "/v2/stocks/bars", symbols="AAPL", timeframe="1Min")["bars"]["AAPL"]) == 1
    assert answer(at, STOCK_QUOTES, symbols="AAPL")["quotes"] == {}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, HTTPStatus.BAD_REQUEST),
        ({"symbols": "AAPL", "feed": "none"}, HTTPStatus.BAD_REQUEST),
        ({"symbols": "AAPL", "limit": 10_001}, HTTPStatus.UNPROCESSABLE_ENTITY),
        ({"symbols": "AAPL", "start": "yesterday"}, HTTPStatus.UNPROCESSABLE_ENTITY),
    ],
)
def test_what_alpaca_refuses_is_refused(query: dict[str, Any], status: HTTPStatus):
    assert refused(context(), STOCK_QUOTES, **query)[0] == status


def test_the_free_plan_has_no_last_quarter_of_an_hour_of_the_consolidated_feed():
    at = context()
    limited = RequestContext(
        at.market, at.last_values, at.account, NOW, at.last_session, at.past, Limits(sip_delay_ns=15 * MINUTE)
    )
    asked = {"symbols": "AAPL", **stretch(NOW - 20 * MINUTE, NOW - 14 * MINUTE)}

    assert refused(limited, STOCK_QUOTES, **asked, feed="sip")[0] == HTTPStatus.FORBIDDEN
    assert answer(limited, STOCK_QUOTES, **asked, feed="iex")["quotes"] == {}


def test_a_recording_is_its_own_past_across_days(tmp_path: Path):
    day = NOON
    columns = ("ts_ns", "symbol", "price", "size")
    for offset, name in ((0, "2026-11-05"), (24 * 60 * MINUTE, "2026-11-06")):
        rows = [(day + offset + age, "AAPL", 1 + age, 1) for age in (30, 10, 20)]
        write_partition(tmp_path, f"stocks/trades/tick/AAPL/{name}", columns, rows)
    market = ReplayMarket(tmp_path)

    told = market.past("t", "AAPL", day + 20, day + 24 * 60 * MINUTE + 10)

    assert [message["p"] for message in told] == [21, 31, 11]
    assert market.past("q", "AAPL", day, day + SECOND) == []


def test_of_a_busy_symbol_the_oldest_is_forgotten():
    past = PlayedPast(remembered=2 * A_PACK)
    times = [NOW + at for at in range(5 * A_PACK + 1)]
    past.note(
        [*(quote("AAPL", at_ns=at_ns) for at_ns in times), quote("MSFT", at_ns=NOW), "no map", {"T": []}]
    )

    found = past.past("q", "AAPL", NOW, times[-1])

    assert [epoch_nanoseconds(one["t"]) for one in found] == times[-len(found) :]
    assert 2 * A_PACK <= len(found) < 3 * A_PACK
    assert len(past.past("q", "MSFT", NOW, NOW + 3)) == 1


@pytest.mark.parametrize("count", [A_PACK - 1, A_PACK, 2 * A_PACK + 7])
def test_what_was_played_is_told_as_it_was_to_the_nanosecond_and_in_time(count: int):
    past = PlayedPast()
    played = [
        quote("AAPL", at_ns=NOW + (at * 7) % count, bs=at, c=["R", "@"], note="é") for at in range(count)
    ]
    past.note(played)

    told = past.past("q", "AAPL", NOW, NOW + count)

    assert told == sorted(played, key=lambda one: epoch_nanoseconds(one["t"]) or 0)
    assert past.past("q", "AAPL", NOW + 1, NOW + 1) == [told[1]]


def test_what_no_wire_can_carry_is_nobody_s_past():
    past = PlayedPast()

    past.note([quote("AAPL") | {"bp": object()}, quote("AAPL") | {"bs": 2**70}, quote("AAPL")])

    assert len(past.past("q", "AAPL", NOW, NOW)) == 1


def test_a_busy_symbol_s_past_takes_little_memory():
    """A mebibyte and a half for what as maps were eleven; of what repeats itself as prices do."""
    past = PlayedPast()
    tracemalloc.start()
    try:
        past.note(
            quote("AAPL", at_ns=NOW + at * SECOND + at * at % 997, bp=at % 97 / 7) for at in range(REMEMBERED)
        )
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < 1.5 * 2**20


def test_a_replayed_market_s_first_price_is_known_without_its_files(tmp_path: Path):
    columns = ("ts_ns", "symbol", "price", "size")
    write_partition(tmp_path, "stocks/trades/tick/AAPL/2026-11-05", columns, [(NOON, "AAPL", 187.5, 1)])
    market = ReplayMarket(tmp_path)
    shutil.rmtree(tmp_path)

    assert market.price("AAPL") == 187.5
    assert market.price("MSFT") is None


@pytest.mark.parametrize("is_played", [True, False], ids=["played", "not played"])
def test_a_coins_minute_before_midnight_is_told_once_and_in_order(*, is_played: bool):
    midnight_ns = nanoseconds(datetime(2026, 11, 20, tzinfo=NEW_YORK))
    ages = [3, 2, *([1] if is_played else []), 0]
    messages = [bar("BTC/USD", at_ns=midnight_ns - age * MINUTE) for age in ages]
    coin = SeededMarket(portfolio(holding("BTC/USD", 1)), start=AS_OF)
    asked = stretch(midnight_ns - 60 * MINUTE, midnight_ns)

    told = answer(context(coin, messages=messages), "/v1beta3/crypto/us/bars", symbols="BTC/USD", **asked)

    found = [(epoch_nanoseconds(row["t"]), row["n"]) for row in told["bars"]["BTC/USD"]]
    last = (midnight_ns - MINUTE, 1 if is_played else 0)
    assert found == [
        (midnight_ns - 3 * MINUTE, 1),
        (midnight_ns - 2 * MINUTE, 1),
        last,
        (midnight_ns, 1),
    ]
