"""What a viewer makes of the batches and the health that an owner sends, without a bus."""

# ruff: noqa: SLF001 - what a subscription hands in is handed in here, without a server

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from msgspec.msgpack import encode as encode_answer

from options_helper.bus.address import BusAddress
from options_helper.bus.batch import Head, encode
from options_helper.bus.demand import Answer
from options_helper.bus.streamer import BusStreamer, Legs
from options_helper.bus.truth import DeskHealth
from options_helper.bus.truth import encode as encode_truth
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.streams import StreamName
from tests.kit.waiting import AT_ONCE

STOCKS = StreamName.STOCKS
PLAYED = Announcement(MarketKind.SIMULATED, 5, 1.0, None).header()


class Heard:
    """A sink that reads what is announced, as a worker does."""

    def __init__(self) -> None:
        self.events = 0
        self.announced: list[str | None] = []
        self.problems: list[str] = []

    def connected(self, announcement: str | None) -> None:
        if announcement is not None:
            Announcement.parse(announcement)
        self.announced.append(announcement)

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        pass

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        self.events += events

    def notice(self, problem: str) -> None:
        self.problems.append(problem)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def streamer(heard: Heard) -> BusStreamer:
    address = BusAddress.parse("nats://127.0.0.1:4222", "desk")
    return BusStreamer(address, STOCKS, heard, Legs(), viewer="v")  # type: ignore[arg-type]


@pytest.mark.parametrize("payload", [b"of a newer version", b"kind=dreamt; now_ns=5; speed=1", b"\xff"])
def test_what_is_in_a_batch_beside_a_market_that_cannot_be_read_is_heard(
    streamer: BusStreamer, heard: Heard, payload: bytes
):
    streamer._hear(encode(Head(1, 0, 0, 0), [Record(RecordKind.TICK, 1, stream=STOCKS)]))
    frame = Record(RecordKind.FRAME, 6, b"[]", STOCKS, 3)
    streamer._hear(encode(Head(1, 1, 0, 3), [Record(RecordKind.MARKET, 5, payload, STOCKS), frame]))

    assert (heard.events, heard.announced, heard.problems) == (3, [None], [])


def test_what_is_of_another_stream_is_rejected_and_said_and_takes_no_place(
    streamer: BusStreamer, heard: Heard
):
    """Whoever may make consumers may have the server deliver one stream's batches as another's."""
    mine = Record(RecordKind.FRAME, 6, b"[]", STOCKS, 3)
    streamer._hear(encode(Head(1, 0, 0, 3), [mine]))
    strange = Record(RecordKind.FRAME, 7, b"[]", StreamName.OPTIONS, 60)
    streamer._hear(encode(Head(1, 9, 3, 60), [strange]))
    streamer._hear(encode(Head(1, 1, 3, 3), [mine]))

    leg = streamer._legs.of(STOCKS)
    assert heard.events == 6
    assert (leg.damaged, leg.gap_count) == (1, 0)
    assert heard.problems == ["A message of another stream came as one of stocks."]


def test_a_market_that_can_be_read_is_told(streamer: BusStreamer, heard: Heard):
    streamer._hear(encode(Head(1, 0, 0, 0), [Record(RecordKind.MARKET, 5, PLAYED.encode(), STOCKS)]))

    assert heard.announced == [PLAYED]


def test_another_owner_whose_market_cannot_be_read_is_followed(streamer: BusStreamer, heard: Heard):
    async def hear() -> bool:
        news = asyncio.Event()
        streamer._told = "something"
        for epoch in (1, 2):
            health = DeskHealth(
                program="1",
                host="den",
                pid=7,
                at_ns=0,
                epoch=epoch,
                market=MarketKind.ALPACA,
                announcement="newer",
            )
            news.clear()
            streamer._hear_health(encode_truth(health), news)
        return news.is_set()

    assert asyncio.run(hear())
    assert heard.announced == [None]


def test_whatever_goes_wrong_with_a_wish_it_is_asked_for_again(streamer: BusStreamer):
    """One that ended would be felt two minutes later: its symbols would be left."""

    class Stumbling:
        def __init__(self) -> None:
            self.asked = asyncio.Event()
            self.ended = asyncio.get_running_loop().create_future()

        async def ask(self, subject: str, data: bytes) -> bytes:
            if not self.asked.is_set():
                self.asked.set()
                raise AttributeError("nobody thought of this")
            return encode_answer(Answer({"TSLA": "no room"}))

    async def story() -> dict[str, str]:
        bus, news, again = Stumbling(), asyncio.Event(), asyncio.Event()
        asking = asyncio.create_task(streamer._keep_asking(bus, news, again))  # type: ignore[arg-type]
        await bus.asked.wait()
        again.set()
        await asyncio.wait_for(news.wait(), AT_ONCE)
        asking.cancel()
        return streamer._refusals

    assert asyncio.run(story()) == {"TSLA": "no room"}


def test_nothing_is_asked_of_a_connection_that_has_ended(streamer: BusStreamer):
    """Whoever swallowed the cancellation at its end would ask for ever, and the stream would not reconnect."""

    class Ended:
        def __init__(self) -> None:
            self.ended = asyncio.get_running_loop().create_future()
            self.ended.set_result("cut")

    async def story() -> None:
        bus, news, again = Ended(), asyncio.Event(), asyncio.Event()
        async with asyncio.timeout(AT_ONCE):
            await streamer._keep_asking(bus, news, again)  # type: ignore[arg-type]
            await streamer._keep_pace(bus, again)  # type: ignore[arg-type]

    asyncio.run(story())
