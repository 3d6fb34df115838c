"""What a server keeps is not there where it says so, and not where its answer is late."""

# ruff: noqa: SLF001 - what goes over a connection is asked for here, without one

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.batch import Head, encode
from options_helper.bus.clocks import DeskClock
from options_helper.bus.connection import BusConnection, NoStore, Stored
from options_helper.bus.first_look import look_at_desk
from options_helper.bus.follower import DeskFollower
from options_helper.bus.place_reader import PlaceReader
from options_helper.bus.recorded_place import first_behind
from options_helper.bus.recording import BusRecording, BusRecordStreamer
from options_helper.bus.truth import DeskAccount, DeskBooks, DeskHealth, DeskNews, DeskRisk
from options_helper.bus.truth import encode as encode_truth
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.errors import StreamError, StreamRefused, Unavailable
from options_helper.model.account import AccountState
from options_helper.model.announcement import MarketKind
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.frames import Mark
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.streams import StreamName
from tests.kit.bus import both_servers, nats_server
from tests.kit.fakes import NOON
from tests.kit.waiting import AT_ONCE

STOCKS = StreamName.STOCKS
ADDRESS = BusAddress.parse("nats://127.0.0.1:4222", "desk")
NAMES = ADDRESS.names
CURRENT, OLDER = (2, 15, 1), (2, 9, 10)
LATE = StreamError("What OH_desk_STATE keeps cannot be read (timeout).")
THERE = Stored(7, b"there")
NONE = NoStore("nobody is there to answer")
REFUSED = StreamRefused("not for this role")


class Server(BusConnection):
    """A connection whose server gives these answers to each question in turn, and the last of them from then on."""

    def __init__(
        self, *answers: Stored | StreamError | None, version: tuple[int, int, int] = CURRENT, **of: Stored
    ) -> None:
        super().__init__(ADDRESS)
        self.answers = answers
        self.of = of  # by the last word of a subject
        self.asked: list[str] = []
        self._version = version

    @property
    def version(self) -> tuple[int, int, int]:
        return self._version

    def answer(self, subject: str) -> Stored | None:
        what = subject.rpartition(".")[2]
        number = self.asked.count(what)
        self.asked.append(what)
        found = self.answers[min(number, len(self.answers) - 1)]
        if isinstance(found, StreamError):
            raise found
        return self.of.get(what, found)

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        return self.answer(subject)

    async def last_sequence(self, store: str) -> int:
        found = self.answer("sequence")
        return 0 if found is None else found.sequence

    async def message(self, store: str, sequence: int, *, direct: bool = True) -> Stored | None:
        return self.of["stocks"]

    async def subscribe(self, *_: object, **__: object) -> Any: ...

    async def ask(self, *_: object, **__: object) -> bytes:
        self.ended.set_result("cut, once all was asked for")
        return b"1"


@pytest.mark.parametrize("version", [CURRENT, OLDER])
@pytest.mark.parametrize(
    ("answers", "expected"), [([THERE], THERE), ([None], None), ([NONE], None), ([LATE, THERE], THERE)]
)
def test_one_answer_that_is_late_is_asked_for_again(
    answers: list[Stored | StreamError | None], expected: Stored | None, version: tuple[int, int, int]
):
    async def story() -> Stored | None:
        return await Server(*answers, version=version).kept("OH_desk_STATE", "oh.desk.state.health")

    assert asyncio.run(story()) == expected


@pytest.mark.parametrize(
    ("answers", "version", "raised"),
    [
        ([LATE], CURRENT, StreamError),
        ([REFUSED], CURRENT, StreamRefused),
        ([REFUSED], OLDER, StreamRefused),
        ([LATE], OLDER, None),  # what it says of a store that is not there
    ],
)
def test_a_server_that_does_not_answer_has_not_said_that_nothing_is_there(
    answers: list[StreamError], version: tuple[int, int, int], raised: type[StreamError] | None
):
    async def story() -> Stored | None:
        return await Server(*answers, version=version).kept("OH_desk_STATE", "oh.desk.state.health")

    if raised is None:
        assert asyncio.run(story()) is None
        return
    with pytest.raises(raised):
        asyncio.run(story())


@both_servers
def test_of_a_store_that_is_not_there_a_real_server_says_so_to_whoever_looks_and_whoever_records(binary):
    async def story() -> list[Stored | None]:
        bus = BusConnection(server.address)
        await bus.open("a test")
        found = [
            await bus.kept(NAMES.state_store, NAMES.state("health")),
            await bus.recorded(NAMES.market_store, NAMES.published(STOCKS)),
        ]
        await bus.close()
        return found

    with nats_server(binary) as server:
        assert asyncio.run(story()) == [None, None]


NEWEST = Stored(
    500_000, encode(Head(7, 499_999, 9_999_990, 10), [Record(RecordKind.FRAME, NOON, b"x", STOCKS, 10)])
)


class Marks:
    """A sink that notes which places are to be written down."""

    def __init__(self) -> None:
        self.marked: list[Mark] = []

    def mark(self, mark: Mark, received_ns: int) -> None:
        self.marked.append(mark)


@pytest.mark.parametrize("version", [CURRENT, OLDER])
def test_a_recording_whose_server_is_slow_as_it_begins_has_no_place_yet_and_begins_behind_what_is_there(
    version: tuple[int, int, int],
):
    """It began at the first message, and what had been sent for hours came as if it had been asked for."""
    marks = Marks()
    recording = BusRecording(ADDRESS, now_ns=lambda: NOON)
    streamer = BusRecordStreamer(recording, STOCKS, "iex", marks)  # type: ignore[arg-type]

    async def begun(bus: BusConnection) -> PlaceReader:
        return await streamer._begin(bus, NAMES.store(STOCKS), NAMES.published(STOCKS))

    async def story() -> int:
        with pytest.raises(StreamError):
            await begun(Server(LATE, version=version))
        assert not marks.marked
        bus = Server(NEWEST, version=version, stocks=NEWEST)
        reader = await begun(bus)
        with pytest.raises(StreamError):
            await first_behind(Server(LATE, version=version), "store", "subject", reader.place, STOCKS)
        return await first_behind(bus, "store", "subject", reader.place, STOCKS)

    assert asyncio.run(story()) == 500_001
    assert [mark.place.sequence for mark in marks.marked] == [500_000]


def health() -> DeskHealth:
    return DeskHealth(program="1", host="den", pid=7, epoch=1, at_ns=NOON, market=MarketKind.ALPACA)


KEPT = {
    "health": health(),
    "risk": DeskRisk.of(RiskInputs()),
    "news": DeskNews(()),
    "books": DeskBooks({}),
    "truth": DeskAccount(AccountState(), (), ExpiryFacts(), "paper"),
}


@pytest.mark.parametrize(
    "of",
    [
        lambda desk: desk.account,
        lambda desk: desk.news,
        lambda desk: desk.books,
        lambda desk: desk.risk_inputs,
    ],
)
def test_a_follower_whose_first_answers_are_late_knows_all_of_the_desk(of: Callable[[Any], object]):
    """What is told when it changes is perhaps not told again today."""

    async def story() -> object:
        stored = {what: Stored(1, encode_truth(value)) for what, value in KEPT.items()}
        bus = Server(LATE, None, **stored)
        follower = DeskFollower(
            ADDRESS,
            clock=DeskClock(lambda: NOON, lambda: 1.0),
            monotonic=lambda: 1.0,
            holes=lambda: 0,
            pictured=lambda _: None,
        )
        with pytest.raises(StreamError, match="cut, once"):
            async with asyncio.timeout(AT_ONCE):
                await follower._hear(bus)
        follower.stop()
        return of(follower.desk)

    assert asyncio.run(story()) is not None


def test_a_first_look_whose_server_does_not_answer_says_so_and_not_that_nobody_has_served(
    monkeypatch: pytest.MonkeyPatch,
):
    async def late(*_: object, **__: object) -> None:
        raise LATE

    with nats_server() as server:
        monkeypatch.setattr(BusConnection, "last", late)
        with pytest.raises(Unavailable, match="timeout"):
            look_at_desk(server.address)
