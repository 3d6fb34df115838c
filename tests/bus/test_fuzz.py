"""Whatever bytes come over the bus: nothing raises, and what is no batch is counted as rejected."""

# ruff: noqa: SLF001 - what a subscription hands in is handed in here, without a server

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from options_helper.analysis.live_health import headline
from options_helper.bus.address import BusAddress
from options_helper.bus.batch import Head, encode
from options_helper.bus.clocks import DeskClock
from options_helper.bus.demand import Answer, Wish, demands, read_wish
from options_helper.bus.detail import Detail
from options_helper.bus.follower import Desk, DeskFollower
from options_helper.bus.lease import Claim, read_claim
from options_helper.bus.place_reader import Item, PlaceReader
from options_helper.bus.streamer import BusStreamer, Legs
from options_helper.bus.truth import (
    DeskAccount,
    DeskBooks,
    DeskHealth,
    DeskNews,
    DeskRisk,
    Picture,
    Published,
)
from options_helper.bus.truth import encode as encode_truth
from options_helper.bus.viewer import BusManager
from options_helper.data.recording.journal import Record, RecordKind, gap_record
from options_helper.model.account import AccountState
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.events import Quote
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.frames import Place
from options_helper.model.gaps import Gap
from options_helper.model.instants import utc_datetime
from options_helper.model.order_book import Book, BookState
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.settings import Settings
from tests.bus.test_streamer import Heard
from tests.kit.fakes import NOON, frame, quote_message
from tests.kit.pace import runs

STOCKS = StreamName.STOCKS
ADDRESS = BusAddress.parse("nats://127.0.0.1:4222")
ROUNDS = runs(300, 10_000)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Some bytes other, some missing, some more, or none of it."""
    made = bytearray(data)
    while bytes(made) == data:
        _mutate(made, chance)
    return bytes(made)


def _mutate(made: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(5):
            case 0:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del made[at : at + chance.randrange(1, 20)]
            case 2:
                made[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 3:
                made[at:] = made[: chance.randrange(len(made) + 1)]
            case _:
                made[:] = chance.randbytes(chance.randrange(60))


def a_batch(number: int, before: int) -> bytes:
    payload = frame(quote_message("AAPL", bid=number), quote_message("MSFT", bid=number))
    records = [
        Record(
            RecordKind.MARKET,
            NOON,
            Announcement(MarketKind.SIMULATED, 5, 1.0, None).header().encode(),
            STOCKS,
        ),
        gap_record(NOON, Gap(STOCKS, NOON - 5, NOON, "no room", 3))._replace(stream=STOCKS),
        Record(RecordKind.FRAME, NOON + number, payload, STOCKS, 2),
        Record(RecordKind.LEFT_OUT, NOON + number, stream=STOCKS, events=1),
    ]
    return encode(Head(1, number, before, 3), records)


def test_batches(chance: random.Random):
    """Half of them as they were: after each, all events are counted, as heard or as missed."""
    heard = Heard()
    streamer = BusStreamer(ADDRESS, STOCKS, heard, Legs(), viewer="v")  # type: ignore[arg-type]
    spoilt = 0
    for number in range(ROUNDS):
        data = a_batch(number, 3 * number)
        if number % 2:
            data, spoilt = mutated(data, chance), spoilt + 1
        streamer._viewed.hear(data, Detail.FULL, 0.0)
        leg = streamer._viewed.leg
        if not number % 2:
            assert heard.events + leg.missed == 3 * (number + 1)
    assert leg.damaged == spoilt, "each is rejected"
    assert len(heard.problems) == 1, "and that is said once"


def lost_of(item: Item) -> int:
    """What its row says of what could not be read."""
    gap = item.mark.gap
    return (gap.lost or 0) if gap is not None and "could not be read" in gap.reason else 0


def test_a_recording_reads_on_and_has_a_row_of_each_stretch(chance: random.Random):
    reader = PlaceReader(STOCKS, Place(sequence=0, epoch=1, number=0))
    reader.begin()
    told = good = 0
    first = a_batch(1, 0)
    reader.take(1, 1, first)
    for number in range(2, ROUNDS):
        data = a_batch(number, 3 * (number - 1))
        if number % 2:
            data = mutated(data, chance)
        else:
            good += 3
        items = reader.take(number, number, data)
        assert items is not None
        told += sum(
            item.mark.gap.lost or 0
            for item in items
            if item.mark.gap and "could not be read" in item.mark.gap.reason
        )
    assert told == reader.rejected
    assert reader.missed == 0
    assert reader.place.events == 3 + good + reader.rejected


def health() -> DeskHealth:
    stream = StreamHealth(
        STOCKS,
        Phase.LIVE,
        "iex",
        connected_since=utc_datetime(NOON),
        last_event_at=utc_datetime(NOON),
        acknowledged=("AAPL", "MSFT"),
        gaps=(Gap(STOCKS, NOON - 5, NOON, "made anew"), Gap(STOCKS, NOON - 2, None, "cut", 7)),
        gap_count=2,
        received=9,
        applied=9,
    )
    return DeskHealth(
        program="1",
        host="den",
        pid=7,
        at_ns=NOON,
        as_of_ns=NOON,
        epoch=5,
        market=MarketKind.SIMULATED,
        announcement=Announcement(MarketKind.SIMULATED, 5, 1.0, None).header(),
        running=True,
        streams={"stocks": stream},
        published={"stocks": Published(5, 9)},
        picture_parts=1,
    )


STATES = {
    "health": health(),
    "truth": DeskAccount(AccountState(), (), ExpiryFacts()),
    "risk": DeskRisk.of(RiskInputs()),
    "news": DeskNews(()),
    "books": DeskBooks({"BTC/USD": Book("BTC/USD", BookState.SYNCED, "crypto", received_ns=NOON)}),
}


def test_states_and_what_a_viewer_shows_of_them(chance: random.Random):
    """Bytes that happen to be a state may say anything; the screen is made of it all the same."""
    follower = DeskFollower(
        ADDRESS,
        clock=DeskClock(lambda: NOON, lambda: 1.0),
        monotonic=lambda: 1.0,
        holes=lambda: 0,
        pictured=lambda *_: None,
    )
    viewer = BusManager(Settings(), ADDRESS, now_ns=lambda: NOON, monotonic=lambda: 1.0)
    viewer._follower = follower
    taken = 0
    for _ in range(ROUNDS):
        what = chance.choice(list(STATES))
        follower.desk = Desk()
        follower._take(f"oh.desk.md.state.{what}", mutated(encode_truth(STATES[what]), chance), heard=True)
        taken += follower.desk != Desk()
        headline(viewer.snapshot())
    follower.stop()
    assert taken, "some are well-formed"


def test_an_owner_that_names_more_pictures_than_there_are_is_asked_for_no_more_than_a_desk_has():
    asked: list[str] = []

    class Asked:
        async def kept(self, _: str, subject: str) -> None:
            asked.append(subject)

    follower = DeskFollower(
        ADDRESS,
        clock=DeskClock(lambda: NOON, lambda: 1.0),
        monotonic=lambda: 1.0,
        holes=lambda: 0,
        pictured=lambda *_: None,
    )
    follower.desk = replace(follower.desk, health=msgspec.structs.replace(health(), picture_parts=2**40))
    asyncio.run(asyncio.wait_for(follower._look(Asked()), 60))  # type: ignore[arg-type]
    follower.stop()
    assert 0 < len(asked) <= 1_000


OTHERS: dict[str, tuple[msgspec.Struct, Callable[[bytes], object]]] = {
    "a wish": (Wish("v", "stocks", ("AAPL", "MSFT")), read_wish),
    "a claim": (Claim("den", "host", 7), read_claim),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_asked_of_an_owner(name: str, chance: random.Random):
    made, read = OTHERS[name]
    demand = demands({STOCKS: 3})[STOCKS]
    for number in range(ROUNDS):
        found = read(mutated(msgspec.msgpack.encode(made), chance))
        if isinstance(found, Wish):
            assert isinstance(demand.ask(found, float(number)), Answer)
            assert len(demand.symbols) <= 3


def test_pictures(chance: random.Random):
    quote = Quote(symbol="AAPL", bid_price=1.0, ask_price=2.0)
    data = encode_truth(Picture([quote]))
    from options_helper.bus.truth import decode

    for _ in range(ROUNDS):
        found = decode(mutated(data, chance), Picture)
        assert found is None or isinstance(found.events, list)


@pytest.fixture
def chance() -> random.Random:
    return random.Random(16)
