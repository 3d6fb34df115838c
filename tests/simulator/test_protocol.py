"""What the simulated endpoints answer, message by message, without a socket."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import msgpack
import msgspec
import pytest

from options_helper.errors import ConfigError
from options_helper.model.instants import epoch_nanoseconds, timestamp_extension
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults, fault_meanings
from options_helper.simulator.wire.protocol import (
    ENDPOINTS,
    ERRORS,
    FIRST_ACCOUNT,
    FREE_PLAN,
    OFFERS,
    Encoding,
    Keys,
    Limits,
    Payload,
    Reply,
    ServerProtocol,
    protocol_for,
    rfc3339,
    websocket_frame,
)

CALL = "AAPL260320C00180000"
PUT = "AAPL260320P00180000"
AUTHENTICATION = {"action": "auth", "key": "demo-key", "secret": "demo-secret"}
NOON_NS = 1_767_373_200_123_456_789


def protocol_at(path: str, **options: Any) -> ServerProtocol:
    options.setdefault("encoding", Encoding.JSON if path == "/stream" else Encoding.MSGPACK)
    return protocol_for(ENDPOINTS[path], **options)


def authenticated(path: str = "/v2/iex", **options: Any) -> ServerProtocol:
    protocol = protocol_at(path, **options)
    protocol.open()
    send(protocol, AUTHENTICATION)
    assert protocol.authenticated
    return protocol


def send(protocol: ServerProtocol, message: Any) -> Any:
    """Say something in the client's encoding and read the one answer."""
    content = json.dumps(message) if protocol.encoding is Encoding.JSON else msgpack.packb(message)
    return only_answer(protocol.receive(content))


def only_answer(reply: Reply) -> Any:
    if not reply.payloads:
        return None
    (payload,) = reply.payloads
    content = read(payload)
    if isinstance(content, list):
        assert len(content) == 1, "a control message is an array of length 1"
        return content[0]
    return content


def read(payload: Payload) -> Any:
    return json.loads(payload.data) if payload.data[:1] in (b"{", b"[") else msgpack.unpackb(payload.data)


def error(code: int) -> dict[str, Any]:
    return {"T": "error", "code": code, "msg": ERRORS[code]}


# Market data: welcome and authentication.


def test_a_client_is_welcomed_before_it_speaks():
    assert only_answer(protocol_at("/v2/iex").open()) == {"T": "success", "msg": "connected"}


def test_the_right_key_authenticates():
    protocol = protocol_at("/v2/iex")
    assert send(protocol, AUTHENTICATION) == {"T": "success", "msg": "authenticated"}


def test_keys_in_the_handshake_authenticate_at_once():
    replies = protocol_at("/v2/iex").open("demo-key", "demo-secret").payloads
    assert [read(payload)[0]["msg"] for payload in replies] == ["connected", "authenticated"]


@pytest.mark.parametrize("wrong", [{"key": "other"}, {"secret": "other"}, {"secret": None}])
def test_a_wrong_key_or_secret_is_error_402(wrong):
    protocol = protocol_at("/v2/iex")
    assert send(protocol, AUTHENTICATION | wrong) == error(402)
    assert not protocol.authenticated


def test_authenticating_twice_is_error_403():
    assert send(authenticated(), AUTHENTICATION) == error(403)


def test_a_feed_outside_the_plan_is_error_409():
    assert send(protocol_at("/v2/sip", limits=FREE_PLAN), AUTHENTICATION) == error(409)


def test_a_second_connection_is_error_406_and_may_try_again_on_the_same_socket():
    free = iter([False, True])
    protocol = protocol_at("/v2/iex", claim_slot=lambda: next(free))
    assert send(protocol, AUTHENTICATION) == error(406)
    assert send(protocol, AUTHENTICATION) == {"T": "success", "msg": "authenticated"}


def test_a_wrong_key_takes_no_place():
    protocol = protocol_at("/v2/iex", claim_slot=lambda: pytest.fail("a place was taken"))
    assert send(protocol, AUTHENTICATION | {"key": "other"}) == error(402)


def test_an_option_client_in_json_is_error_412():
    assert send(protocol_at("/v1beta1/opra", encoding=Encoding.JSON), AUTHENTICATION) == error(412)


def test_a_client_that_does_not_authenticate_in_time_gets_error_404_and_is_closed():
    reply = protocol_at("/v2/iex").time_out()
    assert only_answer(reply) == error(404)
    assert reply.close_code == 1000


# Market data: subscriptions.


def test_the_acknowledgement_lists_the_complete_subscription_with_every_channel():
    protocol = authenticated()
    send(protocol, {"quotes": ["AAPL"], "action": "subscribe"})
    answer = send(protocol, {"quotes": ["SPY"], "bars": ["SPY"], "action": "subscribe"})
    assert answer == {
        "T": "subscription",
        **{channel: [] for channel in OFFERS[StreamName.STOCKS][0]},
        "quotes": ["AAPL", "SPY"],
        "bars": ["SPY"],
    }
    assert next(iter(answer)) == "T", "some decoders need the type first"


def test_a_trades_subscription_brings_corrections_and_cancellations():
    answer = send(authenticated(), {"trades": ["AAPL"], "action": "subscribe"})
    assert answer["corrections"] == answer["cancelErrors"] == ["AAPL"]


def test_the_option_acknowledgement_knows_trades_and_quotes_only():
    answer = send(authenticated("/v1beta1/indicative"), {"quotes": [CALL], "action": "subscribe"})
    assert answer == {"T": "subscription", "trades": [], "quotes": [CALL]}


def test_unsubscribing_leaves_the_rest():
    protocol = authenticated()
    send(protocol, {"quotes": ["AAPL", "SPY"], "trades": ["AAPL"], "action": "subscribe"})
    answer = send(protocol, {"quotes": ["AAPL"], "action": "unsubscribe"})
    assert (answer["quotes"], answer["trades"]) == (["SPY"], ["AAPL"])


@pytest.mark.parametrize(
    ("path", "request_", "code"),
    [
        ("/v2/iex", {"quotes": ["BRK-B"]}, 400),
        ("/v2/iex", {"quotes": "AAPL"}, 400),
        ("/v2/iex", {"quotes": [7]}, 400),
        ("/v2/iex", {"news": ["AAPL"]}, 410),
        ("/v1beta1/indicative", {"bars": [CALL]}, 410),
        ("/v1beta1/indicative", {"quotes": ["AAPL  260320C00180000"]}, 400),
        ("/v1beta1/indicative", {"quotes": ["*"]}, 413),
    ],
)
def test_a_request_the_feed_cannot_serve_is_refused_and_changes_nothing(path, request_, code):
    protocol = authenticated(path)
    assert send(protocol, {**request_, "action": "subscribe"}) == error(code)
    assert not protocol.listening


def test_every_option_trade_may_be_subscribed_with_a_star():
    protocol = authenticated("/v1beta1/indicative")
    send(protocol, {"trades": ["*"], "action": "subscribe"})
    assert protocol.wants({"T": "t", "S": CALL})
    assert not protocol.wants({"T": "q", "S": CALL})


def test_the_symbol_above_the_limit_is_error_405_and_the_earlier_subscription_stays():
    protocol = authenticated(limits=Limits(stock_symbols=2))
    send(protocol, {"quotes": ["AAPL", "SPY"], "trades": ["SPY"], "action": "subscribe"})
    assert send(protocol, {"trades": ["MSFT"], "action": "subscribe"}) == error(405)
    assert protocol.subscription["quotes"] == ("AAPL", "SPY")
    assert protocol.subscription["trades"] == ("SPY",)


def test_the_option_limit_counts_quotes_only():
    protocol = authenticated("/v1beta1/indicative", limits=Limits(option_quotes=1))
    assert (
        send(protocol, {"quotes": [CALL], "trades": [CALL, PUT], "action": "subscribe"})["T"]
        == "subscription"
    )
    assert send(protocol, {"quotes": [PUT], "action": "subscribe"}) == error(405)


def test_subscribing_before_authenticating_is_error_401():
    assert send(protocol_at("/v2/iex"), {"quotes": ["AAPL"], "action": "subscribe"}) == error(401)


@pytest.mark.parametrize("nonsense", [b"\xc1", b"", "no json", b"\x01", '{"action": "dance"}'])
def test_what_is_no_request_is_error_400(nonsense):
    assert only_answer(authenticated().receive(nonsense)) == error(400)


# Market data: messages.


def test_a_client_gets_the_channels_and_symbols_it_subscribed_to():
    protocol = authenticated()
    send(protocol, {"quotes": ["AAPL"], "trades": ["SPY"], "action": "subscribe"})
    wanted = [("q", "AAPL"), ("t", "SPY"), ("c", "SPY"), ("x", "SPY")]
    unwanted = [("q", "SPY"), ("t", "AAPL"), ("b", "AAPL")]
    assert all(protocol.wants({"T": kind, "S": symbol}) for kind, symbol in wanted)
    assert not any(protocol.wants({"T": kind, "S": symbol}) for kind, symbol in unwanted)


def test_what_belongs_to_no_channel_reaches_whoever_listens():
    protocol = authenticated()
    assert not protocol.wants({"T": "z9"})
    send(protocol, {"quotes": ["AAPL"], "action": "subscribe"})
    assert protocol.wants({"T": "z9"})
    assert protocol.wants("no map")


def test_times_are_exact_to_the_nanosecond_in_both_encodings():
    quote = {"T": "q", "S": "AAPL", "t": timestamp_extension(NOON_NS)}
    (binary,) = protocol_at("/v2/iex").payloads([quote])
    (text,) = protocol_at("/v2/iex", encoding=Encoding.JSON).payloads([quote])
    assert msgpack.unpackb(binary.data)[0]["t"].to_unix_nano() == NOON_NS
    assert text.text
    assert read(text)[0]["t"] == rfc3339(NOON_NS) == "2026-01-02T17:00:00.123456789Z"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_what_a_websocket_library_writes(size):
    from websockets.frames import Frame, Opcode

    payload = b"x" * size
    for text, opcode in ((False, Opcode.BINARY), (True, Opcode.TEXT)):
        assert websocket_frame(Payload(payload, text)) == Frame(opcode, payload).serialize(mask=False)


# The account's endpoint.


@pytest.mark.parametrize(
    "message",
    [
        AUTHENTICATION,
        {"action": "authenticate", "data": {"key_id": "demo-key", "secret_key": "demo-secret"}},
    ],
)
def test_the_account_accepts_the_old_and_the_new_authentication(message):
    answer = send(protocol_at("/stream"), message)
    assert answer == {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}


def test_the_account_refuses_a_wrong_key_and_says_why():
    answer = send(protocol_at("/stream"), AUTHENTICATION | {"secret": "other"})
    assert answer["data"]["status"] == "unauthorized"
    assert "verification failed" in answer["data"]["message"]


@pytest.mark.parametrize("secret", ["of the ira", "wrong"])
def test_a_connection_of_the_account_stays_that_account_s(secret):
    """Whoever authenticates again, with whatever keys, would hear of another account's orders."""
    protocol = authenticated("/stream", keys=Keys(others={"ira": "of the ira", "roth": "of the roth"}))
    other = protocol_at("/stream", keys=Keys(others={"ira": "of the ira", "roth": "of the roth"}))
    send(other, {"action": "auth", "key": "roth", "secret": "of the roth"})

    for conversation, account in ((protocol, FIRST_ACCOUNT), (other, "roth")):
        reply = conversation.receive(json.dumps({"action": "auth", "key": "ira", "secret": secret}))

        assert only_answer(reply) == {"action": "error", "data": {"error_message": "already authenticated"}}
        assert reply.close_code == 1000
        assert conversation.account == account


def test_listening_is_acknowledged_and_absolute():
    protocol = authenticated("/stream")
    listen = {"action": "listen", "data": {"streams": ["trade_updates", "weather"]}}
    assert send(protocol, listen) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
    assert protocol.listening
    send(protocol, {"action": "listen", "data": {"streams": []}})
    assert not protocol.listening


def test_listening_before_authenticating_is_unauthorized():
    answer = send(protocol_at("/stream"), {"action": "listen", "data": {"streams": ["trade_updates"]}})
    assert answer == {"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}


def test_the_account_answers_nonsense_with_an_error_and_closes():
    reply = authenticated("/stream").receive('{"action": "dance"}')
    assert only_answer(reply) == {"action": "error", "data": {"error_message": "unknown action 'dance'"}}
    assert reply.close_code == 1000


def test_each_trade_update_has_a_binary_frame_of_its_own_that_carries_json():
    payloads = protocol_at("/stream").payloads([{"stream": "trade_updates", "data": {"event": "new"}}] * 2)
    assert [payload.text for payload in payloads] == [False, False]
    assert json.loads(payloads[0].data)["data"] == {"event": "new"}


def test_the_account_speaks_msgpack_to_who_asks_for_it():
    (payload,) = protocol_at("/stream", encoding=Encoding.MSGPACK).payloads([{"stream": "trade_updates"}])
    assert msgpack.unpackb(payload.data) == {"stream": "trade_updates"}


# Faults in the conversation.


def test_a_silent_server_says_nothing_even_when_the_time_is_up():
    for faults in (Faults(silent_welcome=True), Faults(silent_auth=True)):
        protocol = protocol_at("/v2/iex", faults=faults)
        assert only_answer(protocol.open()) == (
            {"T": "success", "msg": "connected"} if faults.silent_auth else None
        )
        assert send(protocol, AUTHENTICATION) is None or not faults.silent_auth
        assert only_answer(protocol.time_out()) is None


@pytest.mark.parametrize("code", sorted(ERRORS))
def test_any_error_can_answer_the_authentication_or_the_subscription(code):
    assert send(protocol_at("/v2/iex", faults=Faults(auth_error=code)), AUTHENTICATION) == error(code)
    protocol = authenticated(faults=Faults(subscribe_error=code))
    assert send(protocol, {"quotes": ["AAPL"], "action": "subscribe"}) == error(code)
    assert not protocol.listening


def test_an_absent_acknowledgement_means_no_data_either():
    protocol = authenticated(faults=Faults(no_ack=True))
    assert send(protocol, {"quotes": ["AAPL"], "action": "subscribe"}) is None
    assert not protocol.wants({"T": "q", "S": "AAPL"})


def test_a_partial_acknowledgement_leaves_the_last_symbols_out():
    protocol = authenticated(faults=Faults(partial_ack=1))
    answer = send(protocol, {"quotes": ["AAPL", "SPY"], "trades": ["AAPL", "SPY"], "action": "subscribe"})
    assert (answer["quotes"], answer["trades"]) == (["AAPL"], ["AAPL"])


# Faults in the data.


def quote(symbol: str = "AAPL", **other: Any) -> dict[str, Any]:
    plain = {"T": "q", "S": symbol, "bp": 1.0, "bs": 3, "ap": 2.0, "as": 4, "t": timestamp_extension(NOON_NS)}
    return plain | other


def sent_with(faults: Faults, *messages: Any, stream: StreamName = StreamName.STOCKS) -> list[Any]:
    path = {StreamName.STOCKS: "/v2/iex", StreamName.FILLS: "/stream"}[stream]
    wire = protocol_at(path, faults=faults).wire
    return [message for frame in wire.outgoing(list(messages)) for message in frame.messages]


def times_of(messages: list[Any]) -> list[int]:
    return [epoch_nanoseconds(message["t"]) or 0 for message in messages]


def test_without_faults_messages_leave_as_they_are():
    assert protocol_at("/v2/iex").wire.transparent
    assert sent_with(Faults(), quote(), quote("SPY")) == [quote(), quote("SPY")]


def test_a_silent_symbol_is_left_out_while_the_others_go_on():
    assert sent_with(Faults(silent_symbol="AAPL"), quote(), quote("SPY")) == [quote("SPY")]


def test_late_and_disordered_times():
    assert times_of(sent_with(Faults(late_seconds=1.5), quote())) == [NOON_NS - 1_500_000_000]
    assert times_of(sent_with(Faults(out_of_order=True), quote(), quote())) == [
        NOON_NS,
        NOON_NS - 1_000_000_000,
    ]


def test_duplicates_are_sent_and_counted_twice():
    wire = protocol_at("/v2/iex", faults=Faults(duplicate=True)).wire
    (frame,) = wire.outgoing([quote()])
    assert frame.messages == [quote(), quote()]
    assert wire.sent == 2


@pytest.mark.parametrize(
    ("faults", "changed"),
    [
        (Faults(crossed_quotes=True), {"bp": 2.0, "ap": 1.0}),
        (Faults(zero_bids=True), {"bp": 0, "bs": 0}),
        (Faults(zero_quotes=True), {"bp": 0, "bs": 0, "ap": 0, "as": 0}),
    ],
)
def test_odd_quotes(faults, changed):
    assert sent_with(faults, quote()) == [quote(**changed)]


def test_strangers_travel_in_the_same_frame_as_good_messages():
    faults = Faults(malformed=True, unknown_type=True)
    assert sent_with(faults, quote()) == [quote(), "a message that is no map", {"T": "z9", "S": "AAPL"}]


def test_one_frame_is_above_a_mebibyte():
    wire = protocol_at("/v2/iex", faults=Faults(oversized=True)).wire
    sizes = [len(msgspec.msgpack.encode(wire.outgoing([quote()])[0].messages)) for _ in range(2)]
    assert sizes[0] > 2**20 > sizes[1]


def test_faults_begin_after_the_given_number_of_events_and_not_one_earlier():
    faults = Faults(zero_bids=True, after_events=3)
    bids = [message["bp"] for message in sent_with(faults, *[quote()] * 5)]
    assert bids == [1.0, 1.0, 1.0, 0, 0]


@pytest.mark.parametrize(
    "faults", [Faults(mute=True, after_events=3), Faults(close_code=1011, after_events=3)]
)
def test_exactly_the_given_number_of_events_leaves_before_the_silence(faults):
    wire = protocol_at("/v2/iex", faults=faults).wire
    assert len(wire.outgoing([quote()] * 5)[0].messages) == wire.sent == 3
    assert wire.outgoing([quote()]) == []


def test_an_ending_is_told_once():
    wire = protocol_at("/v2/iex", faults=Faults(close_code=1011, after_events=1)).wire
    assert wire.take_ending() is None
    wire.outgoing([quote()])
    ending = wire.take_ending()
    assert ending is not None
    assert ending.close_code == 1011
    assert wire.take_ending() is None
    assert wire.outgoing([quote()]) == []


def test_an_error_in_passing_does_not_stop_the_stream():
    wire = protocol_at("/v2/iex", faults=Faults(stream_error=500, after_events=1)).wire
    wire.outgoing([quote()])
    assert wire.take_ending() is not None
    assert len(wire.outgoing([quote()])) == 1


def test_a_slow_client_is_told_so_and_closed():
    ending = Faults(stream_error=407).ending
    assert ending is not None
    assert (ending.error, ending.close_code) == (407, 1000)


UPDATE: dict[str, Any] = {
    "stream": "trade_updates",
    "data": {"event": "fill", "timestamp": rfc3339(NOON_NS), "order": {"id": "1", "status": "filled"}},
}


def test_odd_trade_updates():
    no_time = sent_with(Faults(fill_without_timestamp=True), UPDATE, stream=StreamName.FILLS)
    odd_status = sent_with(Faults(fill_unknown_status=True), UPDATE, stream=StreamName.FILLS)
    no_data = sent_with(Faults(fill_null_data=True), UPDATE, stream=StreamName.FILLS)
    assert "timestamp" not in no_time[0]["data"]
    assert odd_status[0]["data"]["order"] == {"id": "1", "status": "under_review"}
    assert no_data == [{"stream": "trade_updates", "data": None}]


# The list of faults.


def test_faults_are_read_from_the_command_line():
    faults = Faults.parse(["auth-error=406", "mute", "stream=options", "hold_session_seconds=1.5"])
    assert faults == Faults(auth_error=406, mute=True, stream=StreamName.OPTIONS, hold_session_seconds=1.5)


@pytest.mark.parametrize("text", ["no_such", "mute=1", "auth_error", "auth_error=x", "stream=weather"])
def test_a_wrong_fault_is_a_sentence_that_repeats_it(text):
    with pytest.raises(ConfigError, match=f"^--fault {text}: "):
        Faults.parse([text])


@pytest.mark.parametrize("text", ["http_status=200", "rest_status=7", "close_code=1006", "close_code=99"])
def test_a_fault_that_cannot_happen_is_a_sentence(text):
    with pytest.raises(ConfigError, match=f"^The fault {text} cannot happen"):
        Faults.parse([text])


def test_every_fault_has_a_meaning_for_the_help():
    assert set(fault_meanings()) == {field.name for field in fields(Faults)}
    assert all(fault_meanings().values())


def test_faults_concern_the_first_connections_of_their_stream():
    faults = Faults(mute=True, stream=StreamName.OPTIONS, first_connections=2)
    assert faults.concern(StreamName.OPTIONS, 2)
    assert not faults.concern(StreamName.OPTIONS, 3)
    assert not faults.concern(StreamName.STOCKS, 1)
