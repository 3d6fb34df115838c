"""What an owner's page would say of its streams, each viewer's says, with the leg: mute, 402, 405, 406."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import msgspec
import pytest

from options_helper.bus.clocks import Offset
from options_helper.bus.connection import BusConnection
from options_helper.bus.first_look import look_at_desk
from options_helper.bus.owner import AnnouncedSource, BusOwner
from options_helper.bus.term_carrier import Owner
from options_helper.bus.viewer import BusManager
from options_helper.clock import utc_now_ns
from options_helper.data.streaming.engine.stream_source import AlpacaSource, StreamSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.settings import Settings
from options_helper.simulator.faults import Faults
from options_helper.simulator.server import SimulatorServer
from tests.bus.test_viewer import said, viewing
from tests.kit.bus import NatsServer, both_servers, nats_server
from tests.kit.fakes import (
    NOON,
    SETTINGS,
    ScriptedSource,
    ScriptedStreams,
    SteppedClock,
    acknowledge,
    deliver,
    wait_for,
)
from tests.kit.order_updates import order_update
from tests.kit.serving import quotes, serving
from tests.kit.simulated import settings_for
from tests.kit.waiting import wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture

STOCKS = StreamName.STOCKS
SECOND = 1_000_000_000
WANTED = LiveStreamConfig(stocks=("AAPL", "NO.SUCH"), stream_options=False, stream_fills=False)
FIRST_LEG = "From Alpaca to the owner: "


@contextmanager
def owning(
    nats: NatsServer, settings: Settings, source: StreamSource | None = None, **more: object
) -> Iterator[LiveStreamManager]:
    """An owner of a simulated market's streams, or of those."""
    source = AnnouncedSource(source or AlpacaSource())
    owner = BusOwner(
        nats.address,
        Owner("here", 1, utc_now_ns()),
        (STOCKS,),
        now_ns=utc_now_ns,
        announced=lambda: source.announced,
    )
    manager = LiveStreamManager(
        settings,
        source=source,
        rest_cls=None,
        carry=owner.carry,
        retry=RetryPolicy(slow_base_seconds=60.0),
        **more,  # type: ignore[arg-type]
    )
    owner.open()
    owner.tell_of(manager.snapshot)
    manager.start(WANTED)
    try:
        yield manager
    finally:
        manager.stop()
        owner.close()


def of(manager: LiveStreamManager | BusManager) -> StreamHealth:
    return manager.snapshot().streams[STOCKS]


def says_the_same(viewer: BusManager, owner: LiveStreamManager) -> bool:
    """Phase, sentence, whether it is tried again, and which symbols are streamed and which refused."""
    theirs, ours = of(owner), of(viewer)
    sentence = None if theirs.last_error is None else f"{FIRST_LEG}{theirs.last_error}"
    return (
        (ours.phase, ours.last_error) == (theirs.phase, sentence)
        and (ours.next_try_at is None) is (theirs.next_try_at is None)
        and (ours.acknowledged, ours.refused_symbols) == (theirs.acknowledged, theirs.refused_symbols)
    )


@pytest.mark.parametrize(
    ("faults", "phase", "word"),
    [
        (Faults(auth_error=402), Phase.FAILED, "APCA_API_KEY_ID"),
        (Faults(auth_error=406), Phase.RECONNECTING, "406"),
        (Faults(subscribe_error=405), Phase.FAILED, "405"),
    ],
)
def test_what_alpaca_refuses_the_owner_each_viewer_says_as_the_owner_does(
    running_simulator: Callable[..., SimulatorServer], faults: Faults, phase: Phase, word: str
):
    market = running_simulator(faults=faults)
    with (
        nats_server() as nats,
        owning(nats, settings_for(market)) as owner,
        viewing(nats.address, config=WANTED) as one,
        viewing(nats.address, config=WANTED) as other,
    ):
        wait_until(lambda: of(owner).phase is phase, saw=lambda: of(owner))
        assert word in (of(owner).last_error or ""), of(owner)
        for viewer in (one, other):
            wait_until(lambda: says_the_same(viewer, owner), saw=lambda: (of(viewer), of(owner)))  # noqa: B023


def test_an_owner_whose_stream_is_mute_is_shown_as_stalled_by_each_viewer():
    """By the owner's clock: a viewer hears nothing either way, and cannot know."""
    clock = SteppedClock()
    mute = ScriptedSource({STOCKS: ScriptedStreams([acknowledge()])})
    with (
        nats_server() as nats,
        owning(nats, SETTINGS, source=mute, now_ns=clock, monotonic=clock.monotonic) as owner,
        viewing(nats.address, config=WANTED) as viewer,
    ):
        wait_until(lambda: of(viewer).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: of(viewer))

        def stalls() -> bool:
            clock.advance(0.2)
            return of(owner).phase is Phase.STALLED

        wait_until(stalls, saw=lambda: of(owner))
        wait_until(lambda: says_the_same(viewer, owner), saw=lambda: (of(viewer), of(owner)))
        assert of(viewer).silent_since is not None


@pytest.mark.parametrize("off_seconds", [-5, 5])
@pytest.mark.parametrize("way_ms", [(0, 0), (40, 10), (2, 90)])
def test_an_age_is_the_owners_to_fifty_milliseconds_with_a_clock_that_is_five_seconds_off(
    off_seconds: int, way_ms: tuple[int, int]
):
    """Of a way there and back of a tenth of a second at most, the half is the most that nobody can know."""
    there, back = (ms * 1_000_000 for ms in way_ms)
    here_ns = NOON + off_seconds * SECOND
    offset = Offset.of(here_ns, NOON + there, here_ns + there + back)
    received_ns = NOON - 3 * SECOND  # by the owner's clock
    later_here, later_there = here_ns + SECOND, NOON + SECOND

    assert offset.matters
    age_here, age_there = later_here - offset.here(received_ns), later_there - received_ns
    assert abs(age_here - age_there) <= 50_000_000


@pytest.mark.parametrize("off_seconds", [-5, 5])
def test_between_two_looks_at_the_owners_age_the_viewers_is_between_them(off_seconds: int):
    numbers = count(1)

    def between(viewer: BusManager, owner: LiveStreamManager, push: Callable[[bytes], object]) -> bool:
        number = next(numbers)
        push(quotes(number, 1)[0])
        wait_until(lambda: bid(viewer.snapshot()) == bid(owner.snapshot()) == 100 + number)
        before, ours, after = age(owner.snapshot()), age(viewer.snapshot()), age(owner.snapshot())
        return before - 0.05 <= ours <= after + 0.05

    with (
        nats_server() as nats,
        serving(nats, deliver(*quotes(0, 1))) as owner,
        viewing(nats.address, now_ns=lambda: utc_now_ns() + off_seconds * SECOND) as viewer,
    ):
        wait_until(lambda: "ages are corrected" in said(viewer))
        sink = owner.source_stream().sink
        wait_until(lambda: between(viewer, owner.manager, lambda payload: sink.frame(payload, 2)))


@pytest.mark.parametrize("ahead_seconds", [-60, 60])
def test_a_viewer_that_stays_has_the_next_owners_prices_by_that_ones_clock(ahead_seconds: int):
    """It stands by on another computer, and whoever follows the desk keeps the connection."""
    with nats_server() as nats, viewing(nats.address) as viewer:
        with serving(nats, deliver(*quotes(0, 1))):
            wait_until(lambda: bid(viewer.snapshot()) == 100)
        gate = threading.Event()
        with serving(
            nats,
            wait_for(gate),
            deliver(*quotes(50, 1)),
            epoch=NOON + 1,
            host="attic",
            now_ns=lambda: utc_now_ns() + ahead_seconds * SECOND,
        ):
            wait_until(lambda: of(viewer).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: of(viewer))
            sent = utc_now_ns()
            gate.set()
            wait_until(lambda: bid(viewer.snapshot()) == 150)
            wait_until(lambda: "ages are corrected" in said(viewer), saw=lambda: said(viewer))
            received = datetime_nanoseconds(viewer.snapshot().quotes["AAPL"].received_at)
            assert sent - SECOND <= received <= utc_now_ns()


@both_servers
def test_a_viewer_that_comes_when_a_store_had_to_begin_anew_has_all_prices_by_the_owners_clock(binary):
    """The bus lost what it had of orders: their term is another one since, and that of prices is not."""
    more, fill = threading.Event(), threading.Event()
    with (
        nats_server(binary) as nats,
        serving(
            nats,
            deliver(*quotes(0, 1)),
            wait_for(more),
            deliver(*quotes(50, 1)),
            fills=(wait_for(fill), deliver(msgspec.json.encode(order_update()))),
            now_ns=lambda: utc_now_ns() + 60 * SECOND,
        ) as owner,
    ):
        wait_until(lambda: owner.events() == 2)
        lose(nats, nats.address.names.account_store)
        fill.set()
        wait_until(lambda: owner.manager.snapshot().fills, saw=lambda: owner.owner.problem)
        wait_until(lambda: (word := look_at_desk(nats.address)) is not None and word.epoch > NOON)
        with viewing(nats.address) as viewer:
            wait_until(lambda: of(viewer).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: of(viewer))
            wait_until(lambda: "ages are corrected" in said(viewer), saw=lambda: said(viewer))
            sent = utc_now_ns()
            more.set()
            # And not with the owner's picture alone.
            wait_until(lambda: of(viewer).applied == 2 and bid(viewer.snapshot()) == 150)
            received = datetime_nanoseconds(viewer.snapshot().quotes["AAPL"].received_at)
            assert sent - SECOND <= received <= utc_now_ns()
        terms = {term for term, _ in owner.owner._term.progress.values()}  # noqa: SLF001 - that it was so
        assert len(terms) == 2


def lose(nats: NatsServer, store: str) -> None:
    """Have the server forget all that is stored there."""

    async def forget() -> None:
        connection = BusConnection(nats.address)
        await connection.open("a test")
        await connection._open_client.jsm().delete_stream(store)  # noqa: SLF001 - our code has no way to do that
        await connection.close()

    asyncio.run(forget())


def bid(snapshot: LiveSnapshot) -> float | None:
    quote = snapshot.quotes.get("AAPL")
    return None if quote is None else quote.bid_price


def age(snapshot: LiveSnapshot) -> float:
    return (snapshot.as_of - snapshot.quotes["AAPL"].received_at).total_seconds()
