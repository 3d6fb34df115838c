"""What a run is sent of a frame that several hear: the messages that it asked for, and no other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from options_helper.data.streaming.engine.frame_share import FrameHeads, Wanted
from options_helper.data.streaming.messages import count_messages
from tests.kit.fakes import frame, quote_message, trade_message

QUOTES = ("quotes",)
TYPES = ("q", "t", "b", "u", "d", "s", "l", "c", "x", "o", "n", "?")


def shared(payload: bytes, wishes: dict[str, tuple[str, ...]]) -> bytes | None:
    """The share of one who wishes that."""
    share = FrameHeads(payload, count_messages(payload)).share(Wanted(wishes))
    assert share is None or share.events == count_messages(share.payload)
    return None if share is None else share.payload


def messages_in(payload: bytes | None) -> list[dict[str, Any]]:
    return (
        [] if payload is None else msgspec.msgpack.decode(payload, ext_hook=lambda code, data: (code, data))
    )


def test_a_frame_of_which_everything_is_wanted_is_passed_on_as_it_came():
    payload = frame(quote_message("SPY"), quote_message("AAPL"))
    assert shared(payload, {"SPY": QUOTES, "AAPL": QUOTES}) is payload


def test_symbols_that_another_run_asked_for_are_left_out():
    payload = frame(quote_message("SPY", 1), quote_message("AAPL", 2), quote_message("SPY", 3))
    share = shared(payload, {"SPY": QUOTES})
    assert [(one["S"], one["bp"]) for one in messages_in(share)] == [("SPY", 1), ("SPY", 3)]


def test_a_frame_without_anything_that_is_wanted_is_not_sent():
    assert shared(frame(quote_message("SPY")), {"AAPL": QUOTES}) is None


@pytest.mark.parametrize(
    ("kind", "channels", "has"),
    [
        ("q", ("quotes",), True),
        ("q", ("trades", "bars"), False),
        ("t", ("trades",), True),
        ("t", ("quotes",), False),
        ("b", ("bars",), True),
        ("b", ("updatedBars", "dailyBars"), False),
        ("u", ("updatedBars",), True),
        ("u", ("bars",), False),
        ("d", ("dailyBars",), True),
        ("d", ("bars",), False),
        ("s", ("statuses",), True),
        ("s", ("quotes", "lulds"), False),
        ("l", ("lulds",), True),
        ("l", ("quotes", "trades", "statuses"), False),
        ("c", ("corrections",), True),
        ("x", ("cancelErrors",), True),
        ("c", ("trades",), True),  # the server sends corrections and cancels to whoever has trades
        ("x", ("trades",), True),
        ("x", ("quotes",), False),
        ("c", ("quotes",), False),
        ("o", ("orderbooks",), True),
        ("o", ("quotes",), False),
        ("?", ("bars",), True),  # of a kind that nobody knows yet: whoever has the symbol counts it
    ],
)
def test_a_channel_that_another_run_asked_for_is_left_out(kind: str, channels: tuple[str, ...], *, has: bool):
    assert (shared(frame({"T": kind, "S": "SPY"}), {"SPY": channels}) is not None) is has


@pytest.mark.parametrize(("kind", "has"), [("q", True), ("t", False)])
def test_whoever_asked_for_every_symbol_of_a_channel_has_them_all(kind: str, *, has: bool):
    assert (shared(frame({"T": kind, "S": "SPY"}), {"*": QUOTES}) is not None) is has


@pytest.mark.parametrize(
    ("wished", "symbols", "has"),
    [
        ("AAPL", ["MSFT", "AAPL"], True),
        ("AAPL", ["MSFT"], False),
        ("AAPL", [], False),
        ("*", ["MSFT"], True),
        ("*", [], True),
    ],
)
def test_an_article_is_for_whoever_asked_for_one_of_its_symbols(
    wished: str, symbols: list[str], *, has: bool
):
    payload = frame({"T": "n", "id": 1, "symbols": symbols})
    assert (shared(payload, {wished: ("news",)}) is not None) is has


@pytest.mark.parametrize("odd", [7, {"T": 5}, {"S": ["SPY"], "T": "q"}, {"T": "q"}])
def test_a_message_of_which_nobody_can_say_whose_it_is_is_everybodys(odd: Any):
    """Each counts it as rejected, as with a connection of its own."""
    share = shared(frame(odd, quote_message("SPY")), {"AAPL": QUOTES})
    assert messages_in(share) == messages_in(frame(odd))


@pytest.mark.parametrize("payload", [b"", b"\xc1", frame(quote_message("SPY"))[:-1], b"[1]"])
def test_a_frame_that_cannot_be_read_is_everybodys_as_it_came(payload: bytes):
    assert shared(payload, {"AAPL": QUOTES}) is payload


@given(
    some.lists(
        some.tuples(some.sampled_from(TYPES), some.sampled_from(("A", "B", "C")), some.integers(0, 9)),
        max_size=12,
    ),
    some.sets(some.sampled_from(("A", "B", "C"))),
)
def test_the_shares_of_runs_that_want_different_symbols_are_the_frame(
    content: list[tuple[str, str, int]], mine: set[str]
):
    """Nothing is lost and nothing is sent to both, and all stays in order."""
    payload = frame(
        *({"T": kind, "S": symbol, "symbols": [symbol], "i": number} for kind, symbol, number in content)
    )
    every = (
        "quotes",
        "trades",
        "bars",
        "updatedBars",
        "dailyBars",
        "statuses",
        "lulds",
        "orderbooks",
        "news",
    )
    shares = [
        messages_in(shared(payload, dict.fromkeys(wanted, every)))
        for wanted in (mine, {"A", "B", "C"} - mine)
    ]
    whole = messages_in(payload)
    assert shares[0] == [one for one in whole if one["S"] in mine]
    assert shares[1] == [one for one in whole if one["S"] not in mine]


def test_a_trade_and_a_quote_of_one_symbol_are_told_apart():
    payload = frame(quote_message("SPY"), trade_message("SPY"))
    assert [one["T"] for one in messages_in(shared(payload, {"SPY": ("trades",)}))] == ["t"]
