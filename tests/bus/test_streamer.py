"""What a viewer makes of the batches and the health that an owner sends, without a bus."""

# ruff: noqa: SLF001 - what a subscription hands in is handed in here, without a server

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.msgpack import encode as encode_answer

from options_helper.bus.address import BusAddress
from options_helper.bus.batch import Head, encode
from options_helper.bus.connection import Stored
from options_helper.bus.demand import BOOKS, Answer
from options_helper.bus.detail import Detail
from options_helper.bus.follower import Desk
from options_helper.bus.legs import Leg
from options_helper.bus.streamer import NO_BOOKS, SILENT_SECONDS, BusStreamer, Legs
from options_helper.bus.truth import DeskHealth, Published
from options_helper.bus.truth import encode as encode_truth
from options_helper.bus.viewer import BusManager
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.state.market_clock import MarketClock
from options_helper.errors import StreamError
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.streams import StreamName
from tests.kit.builders import nanoseconds, new_york
from tests.kit.fakes import NOON, SETTINGS
from tests.kit.waiting import AT_ONCE

STOCKS = StreamName.STOCKS
ADDRESS = BusAddress.parse("nats://127.0.0.1:4222", "desk")
PLAYED = Announcement(MarketKind.SIMULATED, 5, 1.0, None).header()


class Heard:
    """A sink that reads what is announced, as a worker does."""

    def __init__(self) -> None:
        self.events = 0
        self.announced: list[str | None] = []
        self.problems: list[str] = []
        self.refusals: dict[str, str] = {}
        self.told: list[str] = []

    def connected(self, announcement: str | None) -> None:
        if announcement is not None:
            Announcement.parse(announcement)
        self.announced.append(announcement)

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        self.refusals = dict(refusals)
        self.told.append("answer")

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        self.events += events
        self.told.append("frame")

    def notice(self, problem: str) -> None:
        self.problems.append(problem)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.mark.parametrize(
    ("published", "came", "behind"),
    [
        ({}, [], False),  # an owner of before does not say it
        ({"stocks": Published(1, 9)}, [], True),  # it was at 3 when this viewer began to follow it
        ({"stocks": Published(1, 3)}, [], False),
        ({"stocks": Published(1, 9)}, [(1, 3, 3)], True),
        ({"stocks": Published(1, 9)}, [(1, 3, 6)], False),
        ({"stocks": Published(1, 9)}, [(1, 3, 9)], False),  # its word is older than what came since
        ({"stocks": Published(2, 9)}, [(1, 3, 6)], True),  # each term begins with a message
    ],
)
def test_a_viewer_expects_what_its_owner_has_published_and_nothing_else_at_any_hour(
    published: dict[str, Published], came: list[tuple[int, int, int]], *, behind: bool
):
    """An owner that is silent itself, for a minute or all night, is no reason to leave a bus that is well."""
    viewer = BusManager(SETTINGS, ADDRESS)
    viewer._follower = cast("Any", SimpleNamespace(desk=Desk(word(published=published))))
    leg, _ = Leg(STOCKS).begin(word(published={"stocks": Published(1, 3)}))
    for number, (epoch, before, events) in enumerate(came):
        leg, _ = leg.take(Head(epoch, number, before, events), 5, 6)
    viewer._source.legs.put(leg, hole=False)
    group: StreamGroup = cast("Any", viewer.streams)._run_cls.keywords["group_cls"](
        LiveStreamConfig(stocks=("AAPL",), stock_feed="iex"),
        SETTINGS,
        AlpacaSource(),
        RetryPolicy(),
        clock=MarketClock(),
        lock=threading.Lock(),
        announced=lambda _: None,
        now_ns=lambda: NOON,
    )

    noon, night = (nanoseconds(new_york(f"2026-06-11 {at}")) for at in ("12:00", "22:00"))
    assert (group.expects_data(STOCKS, noon), group.expects_data(STOCKS, night)) == (behind, behind)


@pytest.fixture
def streamer(heard: Heard) -> BusStreamer:
    return BusStreamer(ADDRESS, STOCKS, heard, Legs(), viewer="v")  # type: ignore[arg-type]


@pytest.mark.parametrize("payload", [b"of a newer version", b"kind=dreamt; now_ns=5; speed=1", b"\xff"])
def test_what_is_in_a_batch_beside_a_market_that_cannot_be_read_is_heard(
    streamer: BusStreamer, heard: Heard, payload: bytes
):
    streamer._viewed.hear(
        encode(Head(1, 0, 0, 0), [Record(RecordKind.TICK, 1, stream=STOCKS)]), Detail.FULL, 0.0
    )
    frame = Record(RecordKind.FRAME, 6, b"[]", STOCKS, 3)
    streamer._viewed.hear(
        encode(Head(1, 1, 0, 3), [Record(RecordKind.MARKET, 5, payload, STOCKS), frame]), Detail.FULL, 0.0
    )

    assert (heard.events, heard.announced, heard.problems) == (3, [None], [])


def test_what_is_of_another_stream_is_rejected_and_said_and_takes_no_place(
    streamer: BusStreamer, heard: Heard
):
    """Whoever may make consumers may have the server deliver one stream's batches as another's."""
    mine = Record(RecordKind.FRAME, 6, b"[]", STOCKS, 3)
    streamer._viewed.hear(encode(Head(1, 0, 0, 3), [mine]), Detail.FULL, 0.0)
    strange = Record(RecordKind.FRAME, 7, b"[]", StreamName.OPTIONS, 60)
    streamer._viewed.hear(encode(Head(1, 9, 3, 60), [strange]), Detail.FULL, 0.0)
    streamer._viewed.hear(encode(Head(1, 1, 3, 3), [mine]), Detail.FULL, 0.0)

    leg = streamer._viewed.leg
    assert heard.events == 6
    assert (leg.damaged, leg.gap_count) == (1, 0)
    assert heard.problems == ["A message of another stream came as one of stocks."]


def test_a_market_that_can_be_read_is_told(streamer: BusStreamer, heard: Heard):
    streamer._viewed.hear(
        encode(Head(1, 0, 0, 0), [Record(RecordKind.MARKET, 5, PLAYED.encode(), STOCKS)]), Detail.FULL, 0.0
    )

    assert heard.announced == [PLAYED]


def test_another_owner_whose_market_cannot_be_read_is_followed(streamer: BusStreamer, heard: Heard):
    async def hear() -> bool:
        news = asyncio.Event()
        streamer._told = "something"
        streamer._ask_now = asyncio.Event()
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
            assert not streamer._ask_now.is_set()
            streamer._hear_health(encode_truth(health), news)
        assert streamer._ask_now.is_set(), "it knows of nobody's wishes"
        return news.is_set()

    assert asyncio.run(hear())
    assert heard.announced == [None]


def test_what_an_owner_of_before_answered_is_none_of_the_next_ones_words(streamer: BusStreamer, heard: Heard):
    """Neither that it refuses a symbol nor that it streams an order book: it was not asked yet."""

    def takes_over(epoch: int) -> None:
        health = DeskHealth(program="1", host="den", pid=7, at_ns=0, epoch=epoch, market=MarketKind.ALPACA)
        streamer._hear_health(encode_truth(health), asyncio.Event())
        streamer._answer()

    streamer.subscribe(["TSLA"], channels=["quotes"])
    streamer.subscribe(["BTC/USD"], channels=[BOOKS])
    streamer._last_answer = 1, Answer({"TSLA": "no room"}, {BOOKS: ("BTC/USD",)})
    takes_over(1)
    assert heard.refusals == {"TSLA": "no room"}
    takes_over(2)
    assert heard.refusals == {"BTC/USD": NO_BOOKS}


def test_whatever_goes_wrong_with_a_wish_it_is_asked_for_again(streamer: BusStreamer, heard: Heard):
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

    async def story() -> Mapping[str, str]:
        bus, news, again = Stumbling(), asyncio.Event(), asyncio.Event()
        asking = asyncio.create_task(streamer._keep_asking(bus, news, again))  # type: ignore[arg-type]
        await bus.asked.wait()
        again.set()
        await asyncio.wait_for(news.wait(), AT_ONCE)
        asking.cancel()
        streamer.subscribe(["TSLA"], channels=["quotes"])
        streamer._answer()
        return heard.refusals

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


class Followable:
    """A bus on which subjects are followed and left, and whose owner says this of itself."""

    def __init__(self, health: DeskHealth | None = None) -> None:
        self.followed: list[str] = []
        self.health = health
        self.bus = self
        self.ended = asyncio.get_running_loop().create_future()

    async def require_may_follow(self, _: str) -> None: ...

    async def kept(self, *_: str) -> Stored | None:
        return None if self.health is None else Stored(1, encode_truth(self.health))

    async def ask(self, *_: object) -> bytes:
        return b"1"

    async def subscribe(self, subject: str, _: object, *, behind_others: bool = False) -> Followable:
        self.followed.append(subject.rpartition(".")[0])
        return self

    async def leave(self) -> None:
        self.followed.append("left")

    def loss(self) -> StreamError:
        return StreamError("it is gone")


class Slowly:
    """A viewer that wants the slow feed from the moment 100 on; the owner has published so many events of a term."""

    def __init__(self, published: int) -> None:
        self.now, self.ask_now, self.bus = 100.0, asyncio.Event(), Followable()
        address = BusAddress.parse("nats://127.0.0.1:4222", "desk")
        self.legs = Legs(Detail.SLOW)
        self.streamer = BusStreamer(
            address,
            STOCKS,
            Heard(),
            self.legs,
            viewer="v",
            monotonic=lambda: self.now,  # type: ignore[arg-type]
        )
        self.streamer._health = word(published={"stocks": Published(1, published)})
        self.streamer._viewed.hear(batch(1, 0, 3), Detail.FULL, 0.0)

    async def look(self, now: float) -> Detail:
        """What it changes to then."""
        self.now = now
        self.ask_now.clear()
        await self.streamer._change_feed(self.bus, self.ask_now)  # type: ignore[arg-type]
        return self.streamer._viewed.feeds.wanted


def word(**more: Any) -> DeskHealth:
    return DeskHealth(program="1", host="den", pid=7, at_ns=0, market=MarketKind.ALPACA, **more)


def batch(number: int, before: int, events: int) -> bytes:
    return encode(Head(1, number, before, events), [Record(RecordKind.FRAME, 6, b"[]", STOCKS, events)])


def test_a_slow_feed_that_says_nothing_though_the_owner_publishes_is_given_up_after_a_moment():
    async def story() -> None:
        viewer = Slowly(published=9)
        assert await viewer.look(100.0) is Detail.SLOW
        assert viewer.ask_now.is_set(), "the owner makes one only of what somebody says he follows"
        assert await viewer.look(100.0 + SILENT_SECONDS) is Detail.SLOW
        viewer.streamer._viewed.hear(batch(2, 3, 3), Detail.SLOW, viewer.now)
        assert await viewer.look(100.0 + 2 * SILENT_SECONDS) is Detail.SLOW, "it has spoken meanwhile"
        assert await viewer.look(100.1 + 2 * SILENT_SECONDS) is Detail.FULL

    asyncio.run(story())


@pytest.mark.parametrize("published", [{}, {"stocks": Published(1, 3)}, {"stocks": Published(0, 900)}])
def test_a_slow_feed_of_an_owner_that_has_published_nothing_more_is_silent_and_no_less_well(
    published: dict[str, Published],
):
    async def story() -> None:
        viewer = Slowly(published=3)
        viewer.streamer._health = word(published=published)
        await viewer.look(100.0)
        assert await viewer.look(1_000.0) is Detail.SLOW
        viewer.legs.forget()
        viewer.streamer._health = word(published={"stocks": Published(1, 9)})
        assert await viewer.look(2_000.0) is Detail.SLOW, "nothing has come yet of either"

    asyncio.run(story())


def test_the_feed_that_is_used_no_more_is_left_and_the_owner_is_told_at_once():
    async def story() -> None:
        viewer = Slowly(published=3)
        viewer.streamer._followed[Detail.FULL] = viewer.bus  # type: ignore[assignment]
        await viewer.look(100.0)
        viewer.streamer._viewed.hear(batch(0, 3, 1), Detail.SLOW, viewer.now)
        await viewer.look(100.1)
        assert viewer.bus.followed == ["oh.desk.slow", "left"]
        assert viewer.ask_now.is_set()

    asyncio.run(story())


def test_a_connection_that_is_made_anew_begins_with_all_prices_whatever_the_last_one_followed(
    streamer: BusStreamer,
):
    async def story() -> None:
        connection = Followable(word())
        streamer._viewed.feeds.at_hand = Detail.SLOW
        streamer._followed[Detail.SLOW] = connection  # type: ignore[assignment]
        ended = asyncio.create_task(asyncio.sleep(0))
        await ended
        with pytest.raises(StreamError, match="it is gone"):
            await streamer._communicate(connection, asyncio.Event(), ended)  # type: ignore[arg-type]

    asyncio.run(story())
    assert streamer._viewed.feeds.at_hand is None
    assert list(streamer._followed) == [Detail.FULL]


class Prompt(Followable):
    """A bus that brings a batch of stocks before it has said that it will."""

    def __init__(self, health: DeskHealth, heard: Heard) -> None:
        super().__init__(health)
        self.heard = heard
        self.told_before: list[str] = []

    async def subscribe(self, subject: str, told: Any, *, behind_others: bool = False) -> Followable:
        if subject == ADDRESS.names.followed(STOCKS):
            told(subject, batch(0, 0, 3), None)
            await asyncio.sleep(0)
            self.told_before = list(self.heard.told)
        return await super().subscribe(subject, told)


def test_nobody_is_told_that_a_stream_is_heard_before_it_is_and_what_came_by_then_comes_after_that(
    streamer: BusStreamer, heard: Heard
):
    async def story() -> list[str]:
        connection = Prompt(word(), heard)
        ended = asyncio.create_task(asyncio.sleep(0))
        await ended
        with pytest.raises(StreamError, match="it is gone"):
            await streamer._communicate(connection, asyncio.Event(), ended)  # type: ignore[arg-type]
        return connection.told_before

    assert asyncio.run(story()) == []
    assert heard.told == ["answer", "frame"]


def test_what_is_wanted_anew_is_asked_for_at_once(streamer: BusStreamer):
    streamer._ask_now = asyncio.Event()
    streamer._answer()
    assert not streamer._ask_now.is_set()
    streamer.subscribe(("TSLA",), channels=("quotes",))
    streamer._answer()

    assert streamer._ask_now.is_set()
