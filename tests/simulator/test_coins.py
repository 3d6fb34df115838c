"""The made-up coins: books that stay whole through their changes, repeatable, and asked for over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import Any

import pytest

from options_helper.data.streaming.state.order_book import OrderBook, are_possible
from options_helper.model.events import BookLevel
from options_helper.model.portfolio import Portfolio
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults, FaultyWire
from options_helper.simulator.market.coins import BOOK_LEVELS, SeededCoin
from options_helper.simulator.market.last_values import LastValues
from options_helper.simulator.market.market import Interest
from options_helper.simulator.market.seeded import SeededMarket
from tests.kit.books import book_message

BTC = "BTC/USD"
NOTHING = Portfolio(positions=())
CHANNELS = ("orderbooks", "quotes", "trades", "bars")
Levels = list[BookLevel]


def levels_of(message: dict[str, Any]) -> tuple[Levels, Levels]:
    bids, asks = ([BookLevel(level["p"], level["s"]) for level in message[side]] for side in "ba")
    return bids, asks


def applied(book: OrderBook, message: dict[str, Any]) -> None:
    (book.replace if message.get("r") else book.update)(*levels_of(message))


def coin_messages(seed: int, steps: int, symbols: frozenset[str] = frozenset({BTC})) -> list[dict[str, Any]]:
    interest = Interest()
    interest.replace({(StreamName.CRYPTO, channel): symbols for channel in CHANNELS})
    played = (
        step for step in SeededMarket(NOTHING, seed=seed).steps(interest) if step.stream is StreamName.CRYPTO
    )
    return [message for step in islice(played, steps) for message in step.messages]


def of_type(messages: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [message for message in messages if message["T"] == kind]


@pytest.mark.parametrize("symbol", [BTC, "DOGE/USD", "INVENTED/USD"])
def test_changes_lead_from_one_whole_book_to_the_next(symbol: str):
    """Whoever applies every change has what a reset would bring, and it never crosses."""
    coin, book = SeededCoin(symbol, seed=7), OrderBook()
    applied(book, coin.whole_book())
    coin.take_changes()
    for _ in range(500):
        coin.move()
        if change := coin.take_changes():
            assert all(are_possible(side) for side in levels_of(change))
            applied(book, change)
        assert not book.is_crossed

    bids, asks = levels_of(coin.whole_book())
    assert (book.bids.levels(), book.asks.levels()) == (tuple(bids), tuple(asks))
    assert (len(bids), len(asks)) == (BOOK_LEVELS, BOOK_LEVELS)


def test_same_seed_same_messages_and_another_seed_others():
    assert coin_messages(7, 100) == coin_messages(7, 100)
    assert coin_messages(7, 100) != coin_messages(8, 100)


def test_a_subscriber_gets_a_whole_book_first_and_then_changes_quotes_trades_and_bars():
    messages = coin_messages(7, 700)
    books = of_type(messages, "o")

    assert [bool(message.get("r")) for message in books[:3]] == [True, False, False]
    assert sum(bool(message.get("r")) for message in books) == 1
    assert len(of_type(messages, "b")) == 1
    assert {message["tks"] for message in of_type(messages, "t")} == {"B", "S"}
    assert all(message["bp"] < message["ap"] for message in of_type(messages, "q"))


def test_quotes_are_the_best_of_the_book():
    coin = SeededCoin(BTC, seed=3)
    whole, quote = coin.whole_book(), coin.quote()

    assert (quote["bp"], quote["bs"]) == (whole["b"][0]["p"], whole["b"][0]["s"])
    assert (quote["ap"], quote["as"]) == (whole["a"][0]["p"], whole["a"][0]["s"])


def test_whoever_comes_later_makes_every_book_come_whole_again():
    interest = Interest()
    wanted = {(StreamName.CRYPTO, "orderbooks"): frozenset({BTC})}
    interest.replace(wanted)
    steps: Iterator[Any] = (
        step for step in SeededMarket(NOTHING).steps(interest) if step.stream is StreamName.CRYPTO
    )
    before = [message.get("r") for step in islice(steps, 5) for message in step.messages]
    interest.replace(wanted)
    after = [message.get("r") for step in islice(steps, 1) for message in step.messages]

    assert (before[0], before[-1], after) == (True, None, [True])


def test_the_market_tells_the_book_it_has_to_whoever_asks():
    market = SeededMarket(NOTHING)

    snapshot = market.snapshot(BTC, market.start_ns, date(2026, 11, 19))

    assert snapshot.book is not None
    assert len(snapshot.book["b"]) == BOOK_LEVELS
    assert snapshot.quote is not None
    assert snapshot.quote["bp"] == snapshot.book["b"][0]["p"]


def test_what_was_said_in_parts_is_told_as_a_whole():
    said = LastValues()
    said.note([book_message({9.0: 1.0, 8.0: 2.0}, {10.0: 1.0}, reset=True)])
    said.note([book_message({9.0: 0.0, 8.5: 3.0}, {}), {"T": "o", "S": BTC, "b": ["no level"]}])

    book = said.snapshot(BTC).book

    assert book is not None
    assert book["b"] == [{"p": 8.5, "s": 3.0}, {"p": 8.0, "s": 2.0}]
    assert said.snapshot("ETH/USD").book is None


def sent(fault: str, *messages: dict[str, Any]) -> list[Any]:
    wire = FaultyWire(Faults.parse([fault]), StreamName.CRYPTO)
    return [message for frame in wire.outgoing(messages) for message in frame.messages]


WHOLE = book_message({9.0: 1.0}, {10.0: 1.0}, reset=True)
CHANGE = book_message({9.0: 2.0}, {10.0: 2.0})


def test_a_reset_can_be_missing():
    assert sent("book-without-reset", WHOLE) == [{**WHOLE, "r": False}]


def test_every_nth_change_can_be_lost_and_no_whole_book():
    assert sent("book-loses=2", WHOLE, CHANGE, CHANGE, CHANGE) == [WHOLE, CHANGE, CHANGE]


def test_a_change_can_cross_the_book():
    (crossed,) = sent("book-crossed", CHANGE)

    assert crossed["b"][-1]["p"] > 10.0
