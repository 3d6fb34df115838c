"""What those who follow want streamed: united, limited, and forgotten when nobody wants it any more."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.bus.demand import (
    BOOKS,
    BURST,
    EXPIRES_SECONDS,
    HALTS,
    MISSED_SECONDS,
    MOST_BOOKS,
    MOST_SYMBOLS,
    MOST_VIEWERS,
    RECORDS,
    Answer,
    Demand,
    Wish,
    read_wish,
)
from options_helper.bus.viewer import BusManager
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.model.streams import StreamName
from options_helper.settings import Settings
from tests.kit.bus import nats_server
from tests.kit.fakes import CONFIG
from tests.kit.serving import serving
from tests.kit.waiting import wait_until

STOCKS = StreamName.STOCKS
LETTERS = st.sampled_from("ABCDEF")


def wish(viewer: str, *symbols: str) -> Wish:
    return Wish(viewer, STOCKS, symbols)


def test_wishes_are_united_and_each_is_taken_once():
    demand = Demand(STOCKS)
    demand.hold(("SPY",))

    demand.ask(wish("one", "AAPL", "SPY"), 0)
    demand.ask(wish("two", "aapl", "MSFT"), 1)

    assert demand.symbols == ("SPY", "AAPL", "MSFT")
    assert demand.viewers == 2


def test_names_that_ask_once_take_nobody_s_place_for_longer_than_two_askings():
    """One client with ever new names locked out all others for two minutes."""
    demand = Demand(STOCKS)
    for number in range(MOST_VIEWERS - 1):
        demand.ask(wish(f"made up {number}", "AAPL"), 0)
    demand.ask(wish("one that lives", "TSLA"), 0)
    assert demand.ask(wish("newcomer", "MSFT"), 1).refusals
    demand.ask(wish("one that lives", "TSLA"), 20)

    assert not demand.ask(wish("newcomer", "MSFT"), MISSED_SECONDS + 1).refusals
    assert (demand.symbols, demand.viewers) == (("TSLA", "MSFT"), 2)


def test_at_the_limit_a_newcomer_is_refused_with_the_figures_and_nobody_loses_anything():
    demand = Demand(STOCKS, limit=3)
    demand.hold(("SPY",))
    demand.ask(wish("one", "AAPL", "MSFT"), 0)

    answer = demand.ask(wish("two", "TSLA", "AAPL", "NVDA"), 1)

    assert demand.symbols == ("SPY", "AAPL", "MSFT")
    assert set(answer.refusals) == {"TSLA", "NVDA"}
    assert answer.refusals["TSLA"] == (
        "The owner streams 3 symbols of stocks, which is its limit: 2 of your 3 are not streamed."
    )


def test_a_recorder_gets_no_room_that_somebody_awaits_who_looks_and_loses_none_that_it_has():
    demand = Demand(STOCKS, limit=3)
    recorder = Wish("recorder", STOCKS, ("A", "B", "X"), RECORDS)
    demand.ask(Wish("recorder", STOCKS, ("A",), RECORDS), 0)
    demand.ask(wish("leaves", "M", "N"), 0)
    demand.ask(wish("page", "X", "Y"), 1)

    demand.ask(wish("leaves"), 2)
    answer = demand.ask(recorder, 3)
    assert [*demand.symbols] == ["A", "X"], "what both want is no loss for the page"
    assert set(answer.refusals) == {"B"}
    assert "awaited by those who look: 1 of your 3" in answer.refusals["B"]
    demand.ask(wish("page", "X", "Y"), 4)
    assert [*demand.symbols] == ["A", "X", "Y"]
    demand.ask(wish("another", "Z"), 5)
    assert "A" in demand.symbols, "nobody is evicted"


def test_nobody_goes_before_those_who_look_by_saying_so():
    demand = Demand(STOCKS, limit=2)
    demand.ask(wish("one", "A", "B"), 0)
    demand.ask(Wish("pushes", STOCKS, ("P", "Q"), -9), 0)
    demand.ask(wish("one"), 1)

    assert not demand.ask(wish("two", "C", "D"), 2).refusals


def test_the_owners_own_symbols_that_come_later_find_the_limit_too_and_have_the_next_room():
    demand = Demand(STOCKS, limit=3)
    demand.ask(wish("one", "AAPL", "MSFT"), 0)

    demand.hold(("SPY", "QQQ", "IWM"))
    assert set(demand.symbols) == {"AAPL", "MSFT", "SPY"}, "nobody loses what is streamed"
    assert demand.left_out == ("QQQ", "IWM")

    assert demand.ask(wish("one", "AAPL", "TSLA"), 1).refusals.keys() == {"TSLA"}
    assert set(demand.symbols) == {"SPY", "QQQ", "AAPL"}
    assert list(demand.left_out) == ["IWM"]
    assert demand.left_out_sentence == (
        "The limit of 3 symbols of stocks is reached by what others see: IWM of the owner's own is not streamed."
    )


@given(st.data())
def test_whoever_comes_when_the_limit_holds(data):
    limit = data.draw(st.integers(1, 4))
    demand = Demand(STOCKS, limit)
    for now in range(data.draw(st.integers(1, 12))):
        symbols = data.draw(st.lists(LETTERS, unique=True, max_size=6))
        if data.draw(st.booleans()):
            demand.hold(symbols)
        else:
            demand.ask(wish(data.draw(st.sampled_from(["one", "two"])), *symbols), now)

        assert len(demand.symbols) <= limit
        assert set(demand.own) <= {*demand.symbols, *demand.left_out}


def test_the_owner_asks_for_what_is_left_when_a_viewer_has_expired_though_nobody_asks():
    """`expire` alone makes the room: a viewer that was killed says nothing more."""
    demand = Demand(STOCKS, limit=1)
    demand.ask(wish("gone", "AAPL"), 0)
    demand.hold(("SPY",))
    assert list(demand.symbols) == ["AAPL"]

    demand.expire(EXPIRES_SECONDS + 1)

    assert (list(demand.symbols), demand.left_out, demand.viewers) == (["SPY"], (), 0)


def test_what_nobody_wants_any_more_makes_room():
    demand = Demand(STOCKS, limit=1)
    demand.ask(wish("one", "AAPL"), 0)
    assert demand.ask(wish("two", "MSFT"), 1).refusals

    demand.ask(wish("one"), 2)

    assert not demand.ask(wish("two", "MSFT"), 3).refusals
    assert demand.symbols == ("MSFT",)


def test_a_viewer_that_is_gone_is_forgotten_and_one_that_asks_again_is_not():
    demand = Demand(STOCKS)
    demand.ask(wish("gone", "AAPL"), 0)
    demand.ask(wish("here", "MSFT"), 0)
    demand.ask(wish("here", "MSFT"), EXPIRES_SECONDS)

    kept = []
    for now in (EXPIRES_SECONDS, EXPIRES_SECONDS + 1):
        demand.expire(now)
        kept.append(demand.symbols)

    assert kept == [("AAPL", "MSFT"), ("MSFT",)], "a page that is loaded again is away for a moment"


@given(st.data())
def test_whatever_is_asked_nobody_is_evicted_and_the_limit_holds(data):
    limit = data.draw(st.integers(1, 4))
    demand, wanted = Demand(STOCKS, limit), {}
    for now in range(data.draw(st.integers(1, 15))):
        viewer = data.draw(st.sampled_from(["one", "two", "three"]))
        symbols = data.draw(st.lists(LETTERS, unique=True, max_size=5))
        before = demand.symbols
        answer = demand.ask(wish(viewer, *symbols), now)
        wanted[viewer] = symbols
        everybodys = {symbol for of_one in wanted.values() for symbol in of_one}

        assert len(demand.symbols) <= limit
        assert [one for one in before if one in everybodys] == [
            one for one in demand.symbols if one in before
        ]
        assert set(symbols) == {one for one in symbols if one in demand.symbols} | set(answer.refusals)
        assert set(demand.symbols) <= everybodys


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff",
        msgspec.msgpack.encode({"viewer": 5}),
        bytes(300_000),
    ],
)
def test_what_is_no_wish_or_too_large_is_none(data):
    assert read_wish(data) is None


@pytest.mark.parametrize("too_many", [0, 1, 7_000])
def test_each_channel_has_its_own_bound_and_what_is_beyond_is_refused_by_name(too_many: int):
    symbols = tuple(f"S{number}" for number in range(MOST_SYMBOLS + too_many))
    sent = msgspec.msgpack.encode(
        Wish("one", STOCKS, symbols, channels=dict.fromkeys((*HALTS, "bars"), symbols[: MOST_SYMBOLS + 1]))
    )

    asked = read_wish(sent)
    assert asked is not None
    answer = Demand(STOCKS).ask(asked, 0)

    assert len(msgspec.msgpack.encode(answer)) < 1_000_000, "as much as a bus takes"
    assert answer.channels == dict.fromkeys(HALTS, symbols[:MOST_SYMBOLS])
    assert answer.refusals == dict.fromkeys(
        symbols[MOST_SYMBOLS : 2 * MOST_SYMBOLS], "Of one viewer 5,000 are streamed."
    )


def test_the_owner_streams_what_its_viewers_want_and_refuses_beyond_its_limit():
    with nats_server() as server, serving(server) as owner:
        config = replace(CONFIG, option_contracts=())
        viewers = [BusManager(Settings(), server.address) for _ in range(2)]
        try:
            viewers[0].start(replace(config, stocks=("AAPL", "MSFT")))
            wait_until(lambda: owner.owner.unite({STOCKS: ("SPY",)})[STOCKS] == ("SPY", "AAPL", "MSFT"))
            viewers[1].start(replace(config, stocks=("MSFT", "TSLA")))
            refused = wait_until(
                lambda: viewers[1].snapshot().streams[STOCKS].refused_symbols,
                saw=lambda: viewers[1].snapshot().streams[STOCKS],
            )
            assert refused == ("TSLA",)
            assert owner.owner.unite({STOCKS: ("SPY",)})[STOCKS] == ("SPY", "AAPL", "MSFT")
            assert viewers[0].snapshot().streams[STOCKS].refused_symbols == ()

            viewers[0].start(replace(config, stocks=("AAPL",)))
            wait_until(lambda: "TSLA" not in owner.owner.unite({STOCKS: ()})[STOCKS])
            assert owner.owner.viewers == 2
        finally:
            for viewer in viewers:
                viewer.stop()


def test_symbols_that_the_owner_holds_no_more_give_their_places_back():
    demand = Demand(StreamName.STOCKS, limit=2)
    demand.hold(("A", "B"))
    demand.hold(("C", "D"))

    assert list(demand.symbols) == ["C", "D"]


def test_one_that_asks_too_often_is_not_read_until_its_second_has_passed_and_no_other_waits_for_it():
    demand = Demand(STOCKS)
    read = 0
    for number in range(1_000):
        if demand.may_ask("one", number / 1_000):
            demand.ask(wish("one", "AAPL"), number / 1_000)
            read += 1

    assert read == BURST + 1, "some at once, as of a page that is opened"
    assert demand.may_ask("two", 1.0)
    assert not demand.may_ask("one", 1.0)
    assert demand.may_ask("one", 2.0)
    assert not demand.may_ask("one", 2.0)
    assert demand.symbols == ("AAPL",), "its last wish stands"


def test_order_books_are_wanted_of_symbols_that_need_no_prices_and_of_so_many_at_most():
    demand = Demand(StreamName.CRYPTO)
    many = tuple(f"C{number}/USD" for number in range(MOST_BOOKS))
    first = demand.ask(Wish("one", "crypto", ("BTC/USD",), channels={BOOKS: ("BTC/USD", *many[1:])}), 0)
    second = demand.ask(
        Wish("two", "crypto", (), channels={BOOKS: (many[1], "NEW/USD"), "odd": ("X/USD",)}), 1
    )

    assert first == Answer({}, {BOOKS: ("BTC/USD", *many[1:])})
    assert second.channels == {BOOKS: (many[1],)}
    assert list(second.refusals) == ["NEW/USD"]
    assert demand.symbols == ("BTC/USD",)
    demand.expire(EXPIRES_SECONDS + 0.5)
    assert demand.channels == {BOOKS: (many[1],)}, "what nobody wants any more has left"


def test_a_pair_of_a_coin_is_spelled_as_one_and_what_is_none_leaves_the_owners_streams_as_they_are():
    demand = Demand(StreamName.CRYPTO)
    demand.ask(Wish("one", "crypto", ("btc/usd", "AAPL", "ETH.USD")), 0)

    assert demand.symbols == ("BTC/USD",)
    assert LiveStreamConfig(crypto=demand.symbols).crypto == ("BTC/USD",)


def test_halts_are_wanted_of_what_is_streamed_and_take_nobodys_room():
    demand = Demand(STOCKS, limit=2)
    asked = dict.fromkeys(HALTS, ("AAPL", "TSLA", "X"))
    answer = demand.ask(Wish("one", STOCKS, ("AAPL", "TSLA", "X"), channels=asked), 0)

    assert answer.channels == dict.fromkeys(HALTS, ("AAPL", "TSLA"))
    assert demand.channels == answer.channels
    demand.ask(wish("one", "AAPL"), 1)
    assert demand.channels == {}
