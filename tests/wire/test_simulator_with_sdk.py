"""The unmodified alpaca-py against the simulated server: what both sides see, in peace and with every fault."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgpack
import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.models import Bar, Quote, Trade
from alpaca.trading.client import TradingClient
from alpaca.trading.models import TradeUpdate
from websockets.sync.client import ClientConnection, connect

from options_helper.data.streaming.subscriptions import build_subscription_plan
from options_helper.errors import ConfigError
from options_helper.model.announcement import ANNOUNCEMENT_HEADER, Announcement, MarketKind
from options_helper.model.instants import epoch_nanoseconds, timestamp_extension
from options_helper.model.portfolio import load_portfolio
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import Interest, SilentMarket, Step
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.market.seeded import SeededMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import FREE_PLAN, Limits
from tests.kit.pace import LONG
from tests.kit.recordings import taq_rows, write_partition
from tests.kit.waiting import AT_ONCE, FOREVER, until_no_thread, wait_until
from tests.wire.bare_sdk import (
    FRAGMENT_BYTES,
    KEYS,
    Received,
    got_a_pong,
    has_subscribed,
    option_stream,
    running,
    stock_stream,
    trading_stream,
)

STOCKS, OPTIONS, FILLS = StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS
CALL = "AAPL260320C00180000"
FRIDAY_NOON_NS = 1_774_022_400_123_456_789  # 2026-03-20 12:00 in New York, and some nanoseconds
FRIDAY_NOON = datetime(2026, 3, 20, 16, 0, 0, 123_456, tzinfo=UTC)


def quote(symbol: str = "AAPL", **other: Any) -> dict[str, Any]:
    plain = {
        "T": "q",
        "S": symbol,
        "bx": "V",
        "bp": 180.1,
        "bs": 2,
        "ax": "Q",
        "ap": 180.12,
        "as": 3,
        "c": ["R"],
        "z": "C",
        "t": timestamp_extension(FRIDAY_NOON_NS),
    }
    return plain | other


def trade_update(event: str = "fill") -> dict[str, Any]:
    moment = "2026-03-20T16:00:00.123456789Z"
    order = {
        "id": "00000000-0000-4000-8000-00000000000a",
        "client_order_id": "mine",
        "created_at": moment,
        "updated_at": moment,
        "submitted_at": moment,
        "symbol": CALL,
        "asset_class": "us_option",
        "qty": "2",
        "filled_qty": "2",
        "filled_avg_price": "1.25",
        "order_class": "simple",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "time_in_force": "day",
        "limit_price": "1.3",
        "status": "filled",
        "extended_hours": False,
    }
    return {
        "stream": "trade_updates",
        "data": {"event": event, "timestamp": moment, "price": "1.25", "qty": "2", "order": order},
    }


@contextmanager
def raw_client(
    server: SimulatorServer,
    path: str,
    *,
    encoding: str = "application/msgpack",
    read_at_most: int | None = 16,
    greetings: int = 2,
) -> Iterator[ClientConnection]:
    """A plain websocket that authenticated in its handshake and has read the answers: `connected`, `authenticated`."""
    headers = {"Content-Type": encoding, "APCA-API-KEY-ID": KEYS[0], "APCA-API-SECRET-KEY": KEYS[1]}
    with connect(
        f"{server.stream_url}{path}",
        additional_headers=headers,
        compression=None,
        max_queue=read_at_most,
        close_timeout=0.1,
    ) as websocket:
        for _ in range(greetings):
            websocket.recv(timeout=AT_ONCE)
        yield websocket


def subscribed(server: SimulatorServer, stream: StreamName, count: int = 1) -> None:
    wait_until(lambda: len(server.subscribed(stream)) >= count, saw=lambda: server.clients)


def said(caplog: pytest.LogCaptureFixture, words: str, times: int = 1) -> None:
    """Wait until the SDK has logged these words."""
    wait_until(lambda: caplog.text.count(words) >= times, saw=lambda: caplog.text)


# In peace.


def test_stock_quotes_trades_and_bars_arrive_as_models(running_simulator):
    server = running_simulator()
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL")
    stream.subscribe_trades(received.on_message, "AAPL")
    stream.subscribe_bars(received.on_message, "AAPL")
    moment = timestamp_extension(FRIDAY_NOON_NS)
    trade = {"T": "t", "S": "AAPL", "i": 7, "x": "V", "p": 180.11, "s": 5, "c": ["@"], "t": moment, "z": "C"}
    bar = {
        "T": "b",
        "S": "AAPL",
        "o": 1.0,
        "h": 2.0,
        "l": 0.5,
        "c": 1.5,
        "v": 9,
        "t": moment,
        "n": 3,
        "vw": 1.2,
    }

    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote(), trade, bar])
        got = received.wait(3)

        assert [type(model) for model in got] == [Quote, Trade, Bar]
        assert [model.symbol for model in got] == ["AAPL"] * 3
        assert (got[0].bid_price, got[0].ask_price, got[0].timestamp) == (180.1, 180.12, FRIDAY_NOON)
        assert (got[1].id, got[1].price, got[2].trade_count) == (7, 180.11, 3)
        (client,) = server.clients["/v2/iex"]
        assert client.subscription["trades"] == client.subscription["corrections"] == ("AAPL",)
        assert server.sent == {STOCKS: 3}
    assert server.connections == {"/v2/iex": 1}


def test_raw_messages_keep_the_nanoseconds_and_put_the_type_first(running_simulator):
    server = running_simulator()
    received = Received()
    stream = option_stream(server, raw_data=True)
    stream.subscribe_quotes(received.on_message, CALL)
    with running(server, stream):
        subscribed(server, OPTIONS)
        server.push(OPTIONS, [quote(CALL, c=" ")])
        (message,) = received.wait()
        assert next(iter(message)) == "T"
        assert message["t"].to_unix_nano() == FRIDAY_NOON_NS


def test_a_client_gets_only_what_it_subscribed_to(running_simulator):
    server = running_simulator()
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL", "SPY")
    with running(server, stream):
        subscribed(server, STOCKS, 2)
        server.push(STOCKS, [quote("MSFT"), quote("SPY"), {"T": "t", "S": "AAPL"}])
        assert [model.symbol for model in received.wait()] == ["SPY"]
        assert server.sent[STOCKS] == 1


def test_symbols_may_be_added_and_removed_while_it_runs(running_simulator):
    server = running_simulator()
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        wait_until(lambda: has_subscribed(stream))
        stream.subscribe_quotes(received.on_message, "SPY")
        wait_until(lambda: server.subscribed(STOCKS, "quotes") == {"AAPL", "SPY"})
        stream.unsubscribe_quotes("AAPL")
        wait_until(lambda: server.subscribed(STOCKS, "quotes") == {"SPY"})
    assert server.connections["/v2/iex"] == 1


@pytest.mark.parametrize(
    ("stream", "channel", "wish", "end"),
    [
        (
            STOCKS,
            "quotes",
            {"action": "subscribe", "quotes": ["AAPL"]},
            {"action": "unsubscribe", "quotes": ["AAPL"]},
        ),
        (
            FILLS,
            "trade_updates",
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
            {"action": "listen", "data": {"streams": []}},
        ),
    ],
    ids=["market data", "orders"],
)
def test_a_market_is_told_that_nobody_is_interested_any_more(running_simulator, stream, channel, wish, end):
    path, greetings = ("/stream", 0) if stream is FILLS else ("/v2/iex", 2)
    told: list[Interest] = []

    class Listening(SilentMarket):
        def steps(self, interest: Interest) -> Iterator[Step]:
            told.append(interest)
            return iter(())

    server = running_simulator(Listening())
    with raw_client(server, path, encoding="application/json", greetings=greetings) as client:
        client.send(json.dumps(wish))
        wait_until(lambda: told and told[0].symbols(stream, channel))
        client.send(json.dumps(end))
        wait_until(lambda: not told[0].symbols(stream, channel))


def test_a_subscribe_message_in_many_fragments_is_put_together(running_simulator, caplog):
    caplog.set_level("INFO", logger="alpaca")
    server = running_simulator()
    contracts = [f"SPY260320C{strike:05d}000" for strike in range(1, 2_001)]
    stream = option_stream(server)
    stream.subscribe_quotes(Received().on_message, *contracts)
    assert sum(map(len, contracts)) > FRAGMENT_BYTES
    with running(server, stream):
        subscribed(server, OPTIONS, 2_000)
        said(caplog, "SPY260320C02000000")


def test_trade_updates_arrive_as_models(running_simulator):
    server = running_simulator()
    received = Received()
    stream = trading_stream(server)
    stream.subscribe_trade_updates(received.on_message)
    with running(server, stream):
        subscribed(server, FILLS)
        server.push(FILLS, [trade_update("partial_fill"), trade_update()])
        first, second = received.wait(2)
        assert isinstance(first, TradeUpdate)
        assert (first.event, second.event, second.price, second.order.symbol) == (
            "partial_fill",
            "fill",
            1.25,
            CALL,
        )
        assert server.sent == {FILLS: 2}


def test_a_frame_encoded_elsewhere_arrives_as_it_is_and_is_counted_by_its_messages(running_simulator):
    import msgspec

    server = running_simulator()
    received = Received()
    stream = stock_stream(server, raw_data=True)
    stream.subscribe_quotes(received.on_message, "*")
    with running(server, stream):
        subscribed(server, STOCKS)
        payload = msgspec.msgpack.encode([quote(bs=size) for size in range(100)])
        for _ in range(30):
            server.push_frame(STOCKS, payload)
        got = received.wait(3_000)
        assert [message["bs"] for message in got] == list(range(100)) * 30
        assert server.sent == {STOCKS: 3_000}


def test_what_a_client_has_heard_of_is_counted_as_sent(running_simulator):
    server = running_simulator()
    with raw_client(server, "/v2/iex") as websocket:
        websocket.send(msgpack.packb({"action": "subscribe", "quotes": ["AAPL"]}))
        websocket.recv(timeout=AT_ONCE)
        for number in range(1, 1_001):
            server.push(STOCKS, [quote()])
            websocket.recv(timeout=AT_ONCE)
            assert server.sent[STOCKS] == number


def test_the_rest_clock_tells_the_market_s_time(running_simulator):
    server = running_simulator(SilentMarket(start_ns=FRIDAY_NOON_NS))
    clock: Any = TradingClient(*KEYS, url_override=server.rest_url).get_clock()
    assert clock.is_open
    assert clock.timestamp == FRIDAY_NOON
    assert (clock.next_close.hour, clock.next_open.strftime("%a %H:%M")) == (16, "Mon 09:30")
    assert server.requests == {"/v2/clock": 1}


def test_rest_wants_the_key_too(running_simulator):
    server = running_simulator()
    account: Any = TradingClient(*KEYS, url_override=server.rest_url).get_account()
    assert account.status == "ACTIVE"
    with pytest.raises(APIError, match="verification failed"):
        TradingClient("other", "keys", url_override=server.rest_url).get_account()


def test_rest_faults(running_simulator):
    server = running_simulator(faults=Faults(rest_status=500))
    answer = requests.get(f"{server.rest_url}/v2/clock", timeout=AT_ONCE)
    assert answer.status_code == 500
    server.set_faults(Faults(rest_slow=30))
    with pytest.raises(requests.Timeout):
        requests.get(f"{server.rest_url}/v2/clock", timeout=0.1)


def test_a_json_client_gets_json(running_simulator):
    server = running_simulator()
    with raw_client(server, "/v2/iex", encoding="application/json") as websocket:
        websocket.send(json.dumps({"action": "subscribe", "quotes": ["AAPL"]}))
        assert json.loads(websocket.recv(timeout=AT_ONCE))[0]["quotes"] == ["AAPL"]
        server.push(STOCKS, [quote()])
        (message,) = json.loads(websocket.recv(timeout=AT_ONCE))
        assert message["t"] == "2026-03-20T16:00:00.123456789Z"


def test_the_handshake_announces_the_simulated_market(running_simulator):
    server = running_simulator(SilentMarket(start_ns=FRIDAY_NOON_NS))
    with connect(f"{server.stream_url}/stream", compression=None) as websocket:
        assert websocket.response is not None
        header = websocket.response.headers[ANNOUNCEMENT_HEADER]
    assert Announcement.parse(header) == Announcement(MarketKind.SIMULATED, FRIDAY_NOON_NS, 1.0, None)


# The server's life.


def test_it_listens_on_loopback_only_and_stops_with_clients_connected(running_simulator):
    server = running_simulator()
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        assert server.stream_url.startswith("ws://127.0.0.1:")
        server.stop()
        until_no_thread("simulator")
        server.stop()


def test_it_stops_though_a_client_never_speaks(running_simulator):
    import socket

    server = running_simulator()
    with socket.create_connection(("127.0.0.1", server.port)) as mute:
        server.stop()
        until_no_thread("simulator")
        with suppress(ConnectionResetError):  # where it was not even let in
            assert mute.recv(1) == b""


def test_a_taken_port_is_a_sentence(running_simulator):
    server = running_simulator()
    with pytest.raises(ConfigError, match=f"Port {server.port} on 127.0.0.1 is taken"):
        SimulatorServer(SilentMarket(), port=server.port).start()


def test_a_stopped_server_comes_back_on_the_same_port_and_the_client_finds_it(running_simulator):
    server = running_simulator()
    stream = stock_stream(server)
    received = Received()
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.stop()
        server.start()
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote()])
        received.wait()
    assert server.connections["/v2/iex"] >= 2


# Refusals.


def test_a_wrong_key_is_refused_with_402_and_tried_again(running_simulator, caplog):
    server = running_simulator()
    stream = stock_stream(server, keys=("other", "keys"))
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        said(caplog, "error during websocket communication: auth failed", 2)
        assert not server.subscribed(STOCKS)
    assert server.connections["/v2/iex"] >= 2


def test_a_wrong_key_is_refused_by_the_account_too(running_simulator, caplog):
    server = running_simulator()
    stream = trading_stream(server, keys=("other", "keys"))
    stream.subscribe_trade_updates(Received().on_message)
    with running(server, stream):
        said(caplog, "failed to authenticate")
        assert not server.subscribed(FILLS)


def test_a_feed_outside_the_plan_ends_the_client_for_good(running_simulator, caplog):
    server = running_simulator(limits=FREE_PLAN)
    stream = stock_stream(server, "sip")
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream) as (thread,):
        thread.join(AT_ONCE)
        assert not thread.is_alive()
    assert "insufficient subscription" in caplog.text
    assert server.connections == {"/v2/sip": 1}


@pytest.mark.parametrize(
    ("code", "words"), [(404, "auth timeout"), (411, "insufficient scope"), (500, "internal")]
)
def test_any_error_at_authentication(running_simulator, caplog, code, words):
    server = running_simulator(faults=Faults(auth_error=code, first_connections=1))
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        said(caplog, f"error during websocket communication: {words}")
        subscribed(server, STOCKS)
    assert server.connections["/v2/iex"] == 2


def test_a_second_client_on_the_same_endpoint_is_refused_with_406_until_the_first_leaves(
    running_simulator, caplog
):
    server = running_simulator()
    first, second = stock_stream(server), stock_stream(server)
    for stream in (first, second):
        stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, first):
        subscribed(server, STOCKS)
        with running(server, second):
            said(caplog, "connection limit exceeded")
            authenticated = [client for client in server.clients["/v2/iex"] if client.authenticated]
            assert len(authenticated) == 1


def test_other_endpoints_are_counted_apart(running_simulator):
    server = running_simulator()
    stocks, options = stock_stream(server), option_stream(server)
    stocks.subscribe_quotes(Received().on_message, "AAPL")
    options.subscribe_quotes(Received().on_message, CALL)
    with running(server, stocks, options):
        subscribed(server, STOCKS)
        subscribed(server, OPTIONS)


def test_a_departed_client_s_place_is_held(running_simulator, caplog):
    # The SDK comes back within a second, on a machine that has time for it.
    server = running_simulator(faults=Faults(hold_session_seconds=3.0))
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.disconnect_all()
        said(caplog, "connection limit exceeded")
        subscribed(server, STOCKS)


def test_the_symbol_above_the_limit_is_refused_with_405_and_the_others_go_on(running_simulator, caplog):
    server = running_simulator(limits=Limits(option_quotes=1))
    received = Received()
    stream = option_stream(server)
    stream.subscribe_quotes(received.on_message, CALL)
    with running(server, stream):
        wait_until(lambda: has_subscribed(stream))
        stream.subscribe_quotes(received.on_message, "AAPL260320P00180000")
        said(caplog, "error: symbol limit exceeded (405)")
        assert server.subscribed(OPTIONS, "quotes") == {CALL}
        server.push(OPTIONS, [quote(CALL)])
        received.wait()


@pytest.mark.parametrize(
    ("symbol", "words"),
    [("*", "star subscription is not allowed for option quotes (413)"), ("AAPL", "invalid syntax (400)")],
)
def test_a_request_that_the_option_feed_cannot_serve(running_simulator, caplog, symbol, words):
    server = running_simulator()
    stream = option_stream(server)
    stream.subscribe_quotes(Received().on_message, symbol)
    with running(server, stream):
        said(caplog, words)
        assert not server.subscribed(OPTIONS)


@pytest.mark.parametrize("status", [401, 404, 429, 503])
def test_the_handshake_is_answered_with_an_http_status(running_simulator, caplog, status):
    server = running_simulator(faults=Faults(http_status=status, first_connections=1))
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        said(caplog, f"HTTP {status}")
        subscribed(server, STOCKS)
    assert server.connections["/v2/iex"] == 2


def test_an_unknown_path_is_not_found(running_simulator, caplog):
    server = running_simulator()
    stream = stock_stream(server, "weather")
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        said(caplog, "HTTP 404")


# Silences.


def test_a_server_that_never_upgrades_leaves_the_client_waiting(running_simulator):
    server = running_simulator(faults=Faults(never_upgrade=True))
    stream = stock_stream(server, websocket={"open_timeout": 0.3})
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        wait_until(lambda: server.connections["/v2/iex"] == 2)
        assert not server.clients


@pytest.mark.parametrize("faults", [Faults(silent_welcome=True), Faults(silent_auth=True)])
def test_a_silent_server_keeps_the_connection_and_the_client_waits_for_ever(running_simulator, faults):
    server = running_simulator(faults=faults, limits=Limits(auth_timeout_seconds=0.1))
    # The first ping goes out when the time for authentication is long over.
    stream = stock_stream(server, websocket={"ping_interval": 0.3})
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        wait_until(lambda: got_a_pong(stream))
        (client,) = server.clients["/v2/iex"]
        assert not client.authenticated
        assert not has_subscribed(stream)
    assert server.connections["/v2/iex"] == 1


def test_without_an_acknowledgement_the_client_believes_it_runs(running_simulator):
    server = running_simulator(faults=Faults(no_ack=True))
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        wait_until(lambda: has_subscribed(stream))
        wait_until(lambda: server.clients["/v2/iex"][0].authenticated)
        server.push(STOCKS, [quote()])
        assert not server.subscribed(STOCKS)
    assert received.messages == []
    assert server.sent[STOCKS] == 0


def test_a_partial_acknowledgement_serves_only_what_it_names(running_simulator, caplog):
    caplog.set_level("INFO", logger="alpaca")
    server = running_simulator(faults=Faults(partial_ack=1))
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL", "SPY")
    with running(server, stream):
        said(caplog, "subscribed to quotes: ['AAPL']")
        server.push(STOCKS, [quote("SPY"), quote("AAPL")])
        assert [model.symbol for model in received.wait()] == ["AAPL"]


def test_a_muted_server_still_answers_pings(running_simulator):
    server = running_simulator(faults=Faults(mute=True, after_events=2))
    received = Received()
    stream = stock_stream(server, websocket={"ping_interval": 0.1, "ping_timeout": 0.5})
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote()] * 5)
        received.wait(2)
        wait_until(lambda: got_a_pong(stream))
        server.flush()
        assert len(received.messages) == server.sent[STOCKS] == 2
        assert server.connections["/v2/iex"] == 1


def test_muting_and_unmuting_at_run_time(running_simulator):
    server = running_simulator()
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.mute(on=True)
        server.push(STOCKS, [quote(bs=1)])
        server.flush()
        server.mute(on=False)
        server.push(STOCKS, [quote(bs=2)])
        assert [model.bid_size for model in received.wait()] == [2]


def test_one_stream_may_be_muted_while_the_others_go_on(running_simulator):
    server = running_simulator()
    received, updates = Received(), Received()
    stocks, account = stock_stream(server), trading_stream(server)
    stocks.subscribe_quotes(received.on_message, "AAPL")
    account.subscribe_trade_updates(updates.on_message)
    with running(server, stocks, account):
        subscribed(server, STOCKS)
        subscribed(server, FILLS)
        server.mute(stream=STOCKS)
        server.push(STOCKS, [quote()])
        server.push(FILLS, [trade_update()])
        updates.wait()
        assert received.messages == []


def test_faults_set_at_run_time_count_connections_anew(running_simulator, caplog):
    server = running_simulator()
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.set_faults(Faults(auth_error=500, first_connections=1))
        server.disconnect_all()
        said(caplog, "error during websocket communication: internal error")
        subscribed(server, STOCKS)
    assert server.connections["/v2/iex"] == 3


def test_a_half_open_connection_answers_no_ping_and_is_noticed_by_that(running_simulator, caplog):
    server = running_simulator(faults=Faults(half_open=True, after_events=1, first_connections=1))
    received = Received()
    stream = stock_stream(server, websocket={"ping_interval": 0.2, "ping_timeout": 0.3})
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote(bs=1)])
        received.wait(1)
        wait_until(lambda: server.connections["/v2/iex"] == 2)
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote(bs=2)])
        received.wait(2)
    assert "keepalive ping timeout" in caplog.text


def test_freezing_every_connection_at_run_time(running_simulator):
    server = running_simulator()
    stream = stock_stream(server, websocket={"ping_interval": 0.2, "ping_timeout": 0.3})
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.freeze_all(STOCKS)
        wait_until(lambda: server.connections["/v2/iex"] == 2)


# Ends.


@pytest.mark.parametrize("code", [1000, 1001, 1009, 1011])
def test_a_close_after_some_events_and_a_recovery(running_simulator, caplog, code):
    server = running_simulator(faults=Faults(close_code=code, after_events=2, first_connections=1))
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote()] * 5)
        received.wait(2)
        said(caplog, f"received {code}")
        # By the second connection: the server may see the first one for a moment longer.
        wait_until(
            lambda: any(
                one.number > 1 and one.subscription for views in server.clients.values() for one in views
            )
        )
        server.push(STOCKS, [quote()])
        received.wait(3)
        assert server.sent[STOCKS] == 3


def test_an_aborted_connection(running_simulator, caplog):
    server = running_simulator(faults=Faults(reset=True, after_events=1, first_connections=1))
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote()])
        said(caplog, "no close frame received")
        subscribed(server, STOCKS)


def test_aborting_every_connection_at_run_time(running_simulator, caplog):
    server = running_simulator()
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.reset_all()
        said(caplog, "no close frame received")
        subscribed(server, STOCKS)


def test_a_slow_client_is_told_and_closed(running_simulator, caplog):
    server = running_simulator(faults=Faults(stream_error=407, after_events=1, first_connections=1))
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote()])
        said(caplog, "error: slow client (407)")
        said(caplog, "received 1000")


@dataclass(frozen=True)
class Flood:
    """A market that has more to say than a client that does not read can be sent, and waits for nobody."""

    start_ns: int = FRIDAY_NOON_NS
    until_ns: int | None = None
    speed: float = 0.0
    kind: MarketKind = MarketKind.SIMULATED
    awaited: frozenset[StreamName] = frozenset()
    lossless: bool = False

    def steps(self, interest: Interest) -> Iterator[Step]:
        burst = [quote() for _ in range(1_000)]
        while True:
            yield Step(FRIDAY_NOON_NS, STOCKS, burst)


def test_a_client_that_does_not_read_is_cut_off_by_a_market_that_does_not_wait(running_simulator):
    server = running_simulator(Flood())
    with raw_client(server, "/v2/iex", read_at_most=1) as websocket:
        websocket.send(msgpack.packb({"action": "subscribe", "quotes": ["AAPL"]}))
        # As much as fits between the two is made first, which is work.
        wait_until(lambda: server.connections["/v2/iex"] and not server.clients, FOREVER)
    assert server.sent[STOCKS] > 50_000


class Broken(Flood):
    """A market that fails."""

    def steps(self, interest: Interest) -> Iterator[Step]:
        yield Step(FRIDAY_NOON_NS, STOCKS, [quote()])
        raise RuntimeError("the dice are lost")


def test_a_market_that_fails_says_so_and_leaves_its_clients_connected(running_simulator, caplog):
    server = running_simulator(Broken())
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        said(caplog, "the dice are lost")
        wait_until(lambda: server.finished)
        server.push(STOCKS, [quote()])
        received.wait()
        assert server.connections["/v2/iex"] == 1


def test_an_error_in_passing_does_not_end_the_stream(running_simulator, caplog):
    server = running_simulator(faults=Faults(stream_error=500, after_events=1))
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote()])
        server.push(STOCKS, [quote()])
        received.wait(2)
        said(caplog, "error: internal error (500)")
    assert server.connections["/v2/iex"] == 1


def test_the_account_ends_a_stream_with_an_error(running_simulator, caplog):
    server = running_simulator(faults=Faults(stream_error=500, after_events=1, first_connections=1))
    received = Received()
    stream = trading_stream(server)
    stream.subscribe_trade_updates(received.on_message)
    with running(server, stream):
        subscribed(server, FILLS)
        server.push(FILLS, [trade_update()])
        received.wait()
        said(caplog, "received 1000")
        subscribed(server, FILLS)


# Odd data.


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(crossed_quotes=True), (180.12, 180.1)),
        (Faults(zero_bids=True), (0, 180.12)),
        (Faults(zero_quotes=True), (0, 0)),
    ],
)
def test_odd_quotes_arrive_as_quotes(running_simulator, faults, expected):
    server = running_simulator(faults=faults)
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote()])
        (got,) = received.wait()
        assert (got.bid_price, got.ask_price) == expected


def test_late_duplicate_and_silent_symbols_together(running_simulator):
    server = running_simulator(faults=Faults(late_seconds=900, duplicate=True, silent_symbol="SPY"))
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL", "SPY")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote("SPY"), quote("AAPL")])
        first, second = received.wait(2)
        assert first == second
        assert (first.symbol, first.timestamp.minute) == ("AAPL", 45)


@pytest.mark.parametrize(("faults", "events"), [(Faults(malformed=True), 3), (Faults(unknown_type=True), 3)])
def test_a_stranger_follows_the_good_messages_in_the_frame(running_simulator, faults, events):
    server = running_simulator(faults=faults)
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_quotes(received.on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote(), quote()])
        received.wait(2)
        assert server.sent[STOCKS] == events


def test_json_text_to_a_msgpack_client_is_an_error_in_the_client(running_simulator, caplog):
    server = running_simulator(faults=Faults(json_text=True))
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote()])
        said(caplog, "TypeError")


def test_a_frame_above_a_mebibyte_is_too_much_for_the_client_s_default(running_simulator, caplog):
    server = running_simulator(faults=Faults(oversized=True, first_connections=1))
    stream = stock_stream(server)
    stream.subscribe_quotes(Received().on_message, "AAPL")
    with running(server, stream):
        subscribed(server, STOCKS)
        server.push(STOCKS, [quote()])
        said(caplog, "1009")
        subscribed(server, STOCKS)


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        (Faults(fill_without_timestamp=True), "validation error"),
        (Faults(fill_unknown_status=True), "validation error"),
        (Faults(fill_null_data=True), "must be a mapping"),
    ],
)
def test_odd_trade_updates_are_lost_by_the_bare_client(running_simulator, caplog, faults, words):
    server = running_simulator(faults=faults)
    received = Received()
    stream = trading_stream(server)
    stream.subscribe_trade_updates(received.on_message)
    with running(server, stream):
        subscribed(server, FILLS)
        server.push(FILLS, [trade_update()])
        said(caplog, words)
    assert received.messages == []
    assert server.sent[FILLS] == 1


def test_trade_updates_in_text_frames(running_simulator):
    server = running_simulator(faults=Faults(text_fills=True))
    received = Received()
    stream = trading_stream(server)
    stream.subscribe_trade_updates(received.on_message)
    with running(server, stream):
        subscribed(server, FILLS)
        server.push(FILLS, [trade_update()])
        received.wait()


# A market that plays by itself.


def test_the_sample_portfolio_s_market_reaches_all_three_clients_as_models(running_simulator, repository):
    sample = load_portfolio(repository / "portfolio.json")
    plan = build_subscription_plan(sample, stream_stocks=True, stream_options=True, max_option_contracts=250)
    server = running_simulator(SeededMarket(sample))
    quotes, options, updates = Received(), Received(), Received()
    stock_client, option_client, account = stock_stream(server), option_stream(server), trading_stream(server)
    stock_client.subscribe_quotes(quotes.on_message, *plan.stocks)
    option_client.subscribe_quotes(options.on_message, *plan.option_contracts)
    account.subscribe_trade_updates(updates.on_message)

    with running(server, stock_client, option_client, account):
        wait_until(
            lambda: {model.symbol for model in quotes.messages} == set(plan.stocks), saw=lambda: quotes
        )
        wait_until(lambda: {model.symbol for model in options.messages} == set(plan.option_contracts))
        wait_until(lambda: updates.messages)
        first = updates.messages[0]
        assert (first.event, first.order.status, first.order.symbol in plan.option_contracts) == (
            "new",
            "new",
            True,
        )
        assert all(model.timestamp.date() == date(2026, 11, 20) for model in options.messages)
    assert server.sent[STOCKS] >= len(quotes.messages)


# A recording that is played again.


TRADE_COLUMNS = ("ts_ns", "symbol", "price", "size")


def recorded(folder: Path, count: int, *, symbol: str = "AAPL", apart_ns: int = 1_000) -> Path:
    """A recording of trades whose price says which one it is."""
    rows = [(FRIDAY_NOON_NS + number * apart_ns, symbol, number, 1) for number in range(count)]
    kind = "options" if symbol == CALL else "stocks"
    write_partition(folder, f"{kind}/trades/tick/{symbol}/2026-03-20", TRADE_COLUMNS, rows)
    return folder


def test_at_full_speed_every_recorded_event_reaches_a_slow_client_in_order(running_simulator, tmp_path):
    server = running_simulator(ReplayMarket(recorded(tmp_path, 20_000), speed=0))
    prices: list[float] = []

    async def slowly(message: Any) -> None:
        prices.append(message["p"])
        if len(prices) % 4_000 == 0:
            await asyncio.sleep(0.2)

    stream = stock_stream(server, raw_data=True, websocket={"max_queue": 8})
    stream.subscribe_trades(slowly, "AAPL")
    with running(server, stream):
        wait_until(lambda: len(prices) == 20_000, timeout=FOREVER, saw=lambda: len(prices))
        assert prices == list(range(20_000))
        assert server.sent[STOCKS] == 20_000
        wait_until(lambda: server.finished)
        assert server.now_ns == FRIDAY_NOON_NS + 19_999_000


def test_the_recorded_pace_is_kept_and_the_clock_ends_with_the_data(running_simulator, tmp_path):
    minute_ns = 60_000_000_000
    market = ReplayMarket(recorded(tmp_path, 5, apart_ns=minute_ns), speed=600)
    server = running_simulator(market)
    arrivals: list[float] = []

    async def note(_: Any) -> None:
        arrivals.append(time.monotonic())

    stream = stock_stream(server, raw_data=True)
    stream.subscribe_trades(note, "AAPL")
    began = time.monotonic()
    with running(server, stream):
        # Four minutes at six hundred times the pace: never earlier, and a busy machine may be late.
        wait_until(lambda: len(arrivals) == 5)
        assert arrivals[-1] - began >= 0.4
        wait_until(lambda: server.finished)
        assert server.now_ns == market.until_ns


def test_the_clock_waits_for_a_client_of_every_recorded_stream(running_simulator, tmp_path):
    recorded(tmp_path, 10)
    market = ReplayMarket(recorded(tmp_path, 10, symbol=CALL), speed=0)
    server = running_simulator(market, gathering_seconds=FOREVER)
    stocks, options = Received(), Received()
    early, late = stock_stream(server), option_stream(server)
    early.subscribe_trades(stocks.on_message, "AAPL")
    late.subscribe_trades(options.on_message, CALL)
    with running(server, early):
        subscribed(server, STOCKS)
        with running(server, late):
            options.wait(10)
            stocks.wait(10)


def test_the_clock_does_not_wait_for_ever(running_simulator, tmp_path):
    recorded(tmp_path, 10)
    server = running_simulator(ReplayMarket(recorded(tmp_path, 10, symbol=CALL), speed=0))
    stocks = Received()
    stream = stock_stream(server)
    stream.subscribe_trades(stocks.on_message, "AAPL")
    with running(server, stream):
        stocks.wait(10)


def test_nobody_waits_for_a_night(running_simulator, tmp_path):
    server = running_simulator(ReplayMarket(recorded(tmp_path, 2, apart_ns=60_000_000_000_000), speed=10))
    received = Received()
    stream = stock_stream(server)
    stream.subscribe_trades(received.on_message, "AAPL")
    with running(server, stream):
        received.wait(2)


def test_a_replay_announces_itself_with_its_time_speed_and_end(running_simulator, tmp_path):
    server = running_simulator(ReplayMarket(recorded(tmp_path, 2), speed=10))
    with connect(f"{server.stream_url}/v2/iex", compression=None) as websocket:
        assert websocket.response is not None
        announced = Announcement.parse(websocket.response.headers[ANNOUNCEMENT_HEADER])
    assert announced == Announcement(MarketKind.REPLAY, FRIDAY_NOON_NS, 10.0, FRIDAY_NOON_NS + 1_000)


def test_a_real_stock_s_two_days_pass_through_the_socket_unchanged(running_simulator, recordings, real_data):
    source = list(taq_rows(real_data, "trades", opening=not LONG))
    server = running_simulator(ReplayMarket(recordings.folder("trades", opening=not LONG), speed=0))
    received = Received()
    stream = stock_stream(server, raw_data=True)
    stream.subscribe_trades(received.on_message, source[0]["symbol"])
    with running(server, stream):
        wait_until(
            lambda: len(received.messages) == len(source), timeout=60, saw=lambda: len(received.messages)
        )
    for message, row in zip(received.messages, source, strict=True):
        assert message["t"].to_unix_nano() == epoch_nanoseconds(row["timestamp"])
        assert (message["p"], message["s"], message["x"]) == (
            float(row["price"]),
            int(row["size"]),
            row["exchange"],
        )


def test_whoever_debugs_finds_no_key_in_what_the_server_logs(running_simulator, caplog):
    caplog.set_level(logging.DEBUG)
    server = running_simulator(key="debugged-key", secret="debugged-secret")  # noqa: S106 - made up
    requests.get(
        f"{server.rest_url}/v2/account",
        headers={"APCA-API-KEY-ID": "debugged-key", "APCA-API-SECRET-KEY": "debugged-secret"},
        timeout=AT_ONCE,
    ).raise_for_status()

    assert server.requests
    assert "debugged-secret" not in caplog.text
