"""What is asked of the server, and what its answers mean, without a socket."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.connection.subscription_protocol import Request, SubscriptionProtocol

BOTH = ("quotes", "trades")


class Server:
    """Answers requests as Alpaca does: all or nothing."""

    def __init__(
        self, *, limit: int = 10_000, bad: Sequence[str] = (), leaves_out: Sequence[str] = ()
    ) -> None:
        self.has: dict[str, list[str]] = {"quotes": [], "trades": [], "bars": []}
        self.requests: list[Request] = []
        self._limit = limit
        self._bad = set(bad)
        self._leaves_out = set(leaves_out)

    def answer(self, protocol: SubscriptionProtocol, request: Request) -> None:
        self.requests.append(request)
        if request.action == "unsubscribe":
            for channel in request.channels:
                self.has[channel] = [s for s in self.has[channel] if s not in request.symbols]
        elif self._bad & set(request.symbols):
            protocol.refused(400, "invalid syntax")
            return
        elif len({*self.has["quotes"], *request.symbols}) > self._limit:
            protocol.refused(405, "symbol limit exceeded")
            return
        else:
            for channel in request.channels:
                self.has[channel] += [s for s in request.symbols if s not in self._leaves_out]
        protocol.acknowledged({"T": "subscription", **self.has})


def subscribed(server: Server, *steps: Callable[[SubscriptionProtocol], object]) -> SubscriptionProtocol:
    protocol = SubscriptionProtocol()
    for step in steps:
        step(protocol)
        while (request := protocol.next_request()) is not None:
            server.answer(protocol, request)
    assert not protocol.busy
    return protocol


def want(*symbols: str, channels: Sequence[str] = BOTH) -> Callable[[SubscriptionProtocol], object]:
    return lambda protocol: protocol.want(symbols, channels)


def test_all_symbols_are_asked_in_one_message():
    server = Server()
    protocol = subscribed(server, want("A", "B"))

    assert server.requests == [Request("subscribe", BOTH, ("A", "B"))]
    assert protocol.acknowledged_symbols == ("A", "B")
    assert protocol.refusals == {}


def test_one_thing_is_asked_at_a_time():
    protocol = SubscriptionProtocol()
    protocol.want(["A"], BOTH)
    protocol.want(["B"], BOTH)

    assert protocol.next_request() is not None
    assert protocol.next_request() is None
    assert protocol.busy


def test_what_was_asked_and_what_the_server_has_is_known_by_channel():
    protocol = subscribed(Server(), want("A", channels=("quotes",)), want("A", "B", channels=("bars",)))

    assert protocol.asked_channels == {"A": ("quotes", "bars"), "B": ("bars",)}
    assert protocol.held_channels == protocol.asked_channels
    protocol.want(["B"], ["quotes"])
    assert protocol.asked_channels["B"] == ("quotes", "bars")
    assert protocol.held_channels["B"] == ("bars",)


def test_what_is_wanted_already_is_not_asked_again():
    server = Server()
    subscribed(server, want("A", "B"), want("B", "C"))

    assert server.requests[1].symbols == ("C",)


def test_channels_are_asked_selectively():
    server = Server()
    subscribed(server, want("A", channels=["quotes"]), want("A", channels=["quotes", "bars"]))

    assert server.requests[1] == Request("subscribe", ("bars",), ("A",))


def test_a_symbol_that_the_acknowledgement_leaves_out_is_refused():
    protocol = subscribed(Server(leaves_out=["B"]), want("A", "B"))

    assert protocol.acknowledged_symbols == ("A",)
    assert protocol.refusals == {"B": "The server's acknowledgement leaves it out."}


def test_a_malformed_symbol_costs_itself_only():
    symbols = [f"S{number}" for number in range(40)]
    protocol = subscribed(Server(bad=["S3", "S29"]), want(*symbols))

    assert set(protocol.refusals) == {"S3", "S29"}
    assert len(protocol.acknowledged_symbols) == 38


def test_over_the_plan_s_limit_the_first_symbols_stream():
    symbols = [f"S{number}" for number in range(40)]
    server = Server(limit=30)
    protocol = subscribed(server, want(*symbols))

    assert protocol.acknowledged_symbols == tuple(symbols[:30])
    assert set(protocol.refusals) == set(symbols[30:])
    assert len(server.requests) <= 12


def test_a_refused_symbol_can_be_dropped_and_is_forgotten():
    protocol = subscribed(Server(limit=1), want("A", "B"), lambda d: d.unwant(["B"], BOTH))

    assert protocol.refusals == {}
    assert protocol.requested == ("A",)


def test_dropping_symbols_sends_only_those_that_were_wanted():
    server = Server()
    subscribed(server, want("A", "B"), lambda d: d.unwant(["B", "Z"], BOTH))

    assert server.requests[1:] == [Request("unsubscribe", (channel,), ("B",)) for channel in BOTH]
    assert server.has["quotes"] == server.has["trades"] == ["A"]


def test_a_change_of_symbols_is_understood_answer_by_answer():
    server = Server()
    protocol = subscribed(server, want("A"), lambda d: (d.unwant(["A"], BOTH), d.want(["B"], BOTH)))

    assert protocol.acknowledged_symbols == ("B",)
    assert protocol.refusals == {}


def test_an_error_that_answers_nothing_changes_nothing():
    protocol = subscribed(Server(), want("A"))
    protocol.refused(400, "invalid syntax")

    assert protocol.acknowledged_symbols == ("A",)
    assert protocol.refusals == {}


def test_a_symbol_dropped_while_its_answer_is_awaited_is_not_refused():
    protocol = SubscriptionProtocol()
    protocol.want(["BAD"], BOTH)
    protocol.next_request()
    protocol.unwant(["BAD"], BOTH)
    protocol.refused(400, "invalid syntax")

    assert protocol.refusals == {}


def test_when_something_is_dropped_what_had_no_room_is_asked_for_again():
    protocol = subscribed(Server(limit=2), want("A", "B", "C"), lambda d: d.unwant(["A"], BOTH))

    assert protocol.acknowledged_symbols == ("B", "C")
    assert protocol.refusals == {}


def test_a_refused_symbol_that_is_wanted_again_is_asked_for_again():
    server = Server(bad=["A"])
    subscribed(server, want("A"), want("A"))

    assert [request.symbols for request in server.requests] == [("A",), ("A",)]


@given(st.integers(1, 60), st.integers(0, 60), st.sets(st.integers(0, 59)))
def test_each_wanted_symbol_is_acknowledged_or_refused(count: int, limit: int, bad: set[int]):
    symbols = [f"S{number}" for number in range(count)]
    protocol = subscribed(Server(limit=limit, bad=[f"S{number}" for number in bad]), want(*symbols))

    assert {*protocol.acknowledged_symbols, *protocol.refusals} == set(symbols)
    assert not {*protocol.acknowledged_symbols} & set(protocol.refusals)


def test_an_acknowledgement_in_parts_refuses_nothing_in_the_end():
    """One message for each channel, or symbol by symbol: only the last says what the server has."""
    by_channel, by_symbol = SubscriptionProtocol(), SubscriptionProtocol()
    for protocol in (by_channel, by_symbol):
        protocol.want(["A", "B"], BOTH)
        assert protocol.next_request() is not None

    by_channel.acknowledged({"T": "subscription", "quotes": ["A", "B"]})
    assert set(by_channel.refusals) == {"A", "B"}, "as far as is known"
    by_channel.acknowledged({"T": "subscription", "trades": ["A", "B"]})
    by_symbol.acknowledged({"T": "subscription", "quotes": ["A"], "trades": ["A"]})
    by_symbol.acknowledged({"T": "subscription", "quotes": ["A", "B"], "trades": ["A", "B"]})

    for protocol in (by_channel, by_symbol):
        assert protocol.refusals == {}
        assert protocol.acknowledged_symbols == ("A", "B")


def test_a_symbol_that_stays_left_out_stays_refused():
    protocol = SubscriptionProtocol()
    protocol.want(["A", "B"], BOTH)
    protocol.next_request()
    for _ in range(2):
        protocol.acknowledged({"T": "subscription", "quotes": ["A"], "trades": ["A"]})
    assert set(protocol.refusals) == {"B"}


def test_an_odd_acknowledgement_costs_itself():
    protocol = SubscriptionProtocol()
    protocol.want(["A"], BOTH)
    protocol.next_request()
    protocol.acknowledged(
        {"T": "subscription", "quotes": ["A", None, {}, ["A"]], "trades": ["A"], "bars": None}
    )
    assert (protocol.acknowledged_symbols, protocol.refusals) == (("A",), {})


def test_a_conversation_that_begins_anew_asks_for_all_that_is_wanted():
    protocol = SubscriptionProtocol()
    protocol.begin()
    protocol.want(["A", "B", "C"], BOTH)
    protocol.next_request()
    protocol.refused(405, "limit")
    protocol.want(["D"], ["bars"])
    protocol.unwant(["C"], BOTH)

    protocol.begin()
    assert not protocol.refusals
    assert not protocol.acknowledged_symbols
    first = protocol.next_request()
    assert first == Request("subscribe", BOTH, ("A", "B"))
    protocol.acknowledged({"T": "subscription", "quotes": ["A", "B"], "trades": ["A", "B"]})
    assert protocol.next_request() == Request("subscribe", ("bars",), ("D",))
    protocol.acknowledged({"T": "subscription", "bars": ["D"]})
    assert protocol.next_request() is None
    assert protocol.acknowledged_symbols == ("A", "B", "D")


def test_what_is_renewed_keeps_its_place_beside_what_found_no_room():
    """Asked anew for its book alone: nobody dropped it, so its place is nobody else's."""
    server = Server(limit=1)
    protocol = subscribed(server, want("A"), want("B"), lambda d: d.renew(["A", "Z"], "quotes"))

    assert server.requests[-2:] == [
        Request("unsubscribe", ("quotes",), ("A",)),
        Request("subscribe", ("quotes",), ("A",)),
    ]
    assert server.has["quotes"] == server.has["trades"] == ["A"]
    assert set(protocol.refusals) == {"B"}


def test_a_limit_that_is_met_while_something_is_renewed_costs_it_nothing():
    server = Server(limit=1)
    protocol = subscribed(server, want("A"))
    protocol.want(["B"], BOTH)
    asked = protocol.next_request()
    protocol.renew(["A"], "quotes")
    assert asked is not None
    server.answer(protocol, asked)
    while (request := protocol.next_request()) is not None:
        server.answer(protocol, request)

    assert server.has["quotes"] == ["A"]
    assert set(protocol.refusals) == {"B"}


def test_what_is_dropped_is_not_renewed():
    server = Server()
    subscribed(server, want("A"), lambda d: (d.unwant(["A"], BOTH), d.renew(["A"], "quotes")))

    assert server.has["quotes"] == []
