"""An owner with scripted streams and a real server: what came is on the bus, and what is not is counted."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.batch import Batch, decode
from options_helper.bus.clocks import process_named
from options_helper.bus.connection import BusConnection, StoreWish
from options_helper.bus.demand import Wish
from options_helper.bus.names import Names
from options_helper.bus.owner import BusOwner
from options_helper.bus.publisher import Fenced
from options_helper.bus.term_carrier import Owner
from options_helper.bus.truth import DeskHealth, Picture
from options_helper.bus.truth import decode as read_truth
from options_helper.clock import utc_now_ns
from options_helper.data.recording.journal import RecordKind
from options_helper.errors import ConfigError, StreamError
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.frames import Frame
from options_helper.model.instants import NANOSECONDS
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from tests.kit.bus import NatsServer, nats_server
from tests.kit.fakes import (
    NOON,
    announce,
    deliver,
    wait_for,
)
from tests.kit.serving import Relay, Serving, quotes, serving
from tests.kit.waiting import AT_ONCE, wait_until

NAMES = Names()


def stored(server: NatsServer, stream: StreamName = StreamName.STOCKS) -> list[Batch]:
    async def read() -> list[Batch]:
        connection = BusConnection(server.address)
        await connection.open("a test")
        store, found = NAMES.store(stream), []
        for sequence in range(1, await connection.last_sequence(store) + 1):
            message = await connection.message(store, sequence)
            assert message is not None
            batch = decode(message.data)
            assert isinstance(batch, Batch)
            found.append(batch)
        await connection.close()
        return [batch for batch in found if batch.head.number]

    return asyncio.run(asyncio.wait_for(read(), AT_ONCE))


def told(server: NatsServer, subject: str, kind: type) -> Any:
    async def read() -> Any:
        connection = BusConnection(server.address)
        await connection.open("a test")
        message = await connection.last(NAMES.state_store, NAMES.state(subject))
        await connection.close()
        return None if message is None else read_truth(message.data, kind)

    return asyncio.run(asyncio.wait_for(read(), AT_ONCE))


def payloads(batches: list[Batch]) -> list[bytes]:
    return [record.payload for batch in batches for record in batch.records]


def test_every_frame_is_on_the_bus_as_it_came_and_only_then_in_the_state():
    frames = quotes(0, 500)
    with nats_server() as server, serving(server, deliver(*frames)) as run:
        wait_until(lambda: run.events() == 1_000, saw=run.events)
        batches = stored(server)

        assert payloads(batches) == frames
        assert sum(batch.head.events for batch in batches) == 1_000
        assert run.owner.counts[StreamName.STOCKS].stored == 1_000
        assert run.manager.snapshot().quotes["AAPL"].bid_price == 599


def test_what_the_owner_knows_is_told_and_kept_for_whoever_comes_late():
    with nats_server() as server:
        with serving(server, deliver(*quotes(0, 3))) as run:
            wait_until(lambda: run.events() == 6)
            health = wait_until(
                lambda: (
                    (found := told(server, "health", DeskHealth))
                    and found.streams["stocks"].applied == 6
                    and found
                )
            )
            picture = wait_until(
                lambda: (found := told(server, "picture.0", Picture)) and found.events and found
            )
        assert health.streams["stocks"].phase in (Phase.LIVE, Phase.QUIET)
        assert health.streams["stocks"].acknowledged == ("AAPL", "MSFT")
        assert health.published["stocks"].events == 6
        assert health.picture_parts == 1
        assert {(event.symbol, event.bid_price) for event in picture.events} == {("AAPL", 102), ("MSFT", 202)}

        last = told(server, "health", DeskHealth)
        assert isinstance(last, DeskHealth)
        assert (last.ended, last.running) == (True, False)


def test_while_the_server_is_gone_frames_wait_and_none_is_lost():

    go_on = threading.Event()
    before, after = quotes(0, 50), quotes(50, 50)
    with (
        nats_server() as server,
        serving(server, deliver(*before), wait_for(go_on), deliver(*after)) as run,
    ):
        wait_until(lambda: run.events() == 100)
        server.kill()
        go_on.set()
        wait_until(lambda: run.owner.problem)
        wait_until(lambda: run.manager.snapshot().streams[StreamName.STOCKS].received == 200)
        health = run.manager.snapshot().streams[StreamName.STOCKS]
        assert health.accounted
        assert health.queued == 100, "nothing is folded that nobody else could know"
        server.start()
        wait_until(lambda: run.events() == 200, saw=lambda: (run.owner.problem, run.events()))

        assert payloads(stored(server)) == before + after
        assert run.owner.lost_messages == 0


def test_what_finds_the_queue_full_is_dropped_counted_and_the_rest_goes_on():

    go_on, later = threading.Event(), threading.Event()
    flood = quotes(0, 300)
    with (
        nats_server() as server,
        serving(
            server, wait_for(go_on), deliver(*flood), wait_for(later), deliver(*quotes(900, 1)), queue=200
        ) as run,
    ):
        server.kill()
        go_on.set()
        wait_until(lambda: run.manager.snapshot().streams[StreamName.STOCKS].received == 600)
        server.start()
        wait_until(lambda: run.manager.snapshot().streams[StreamName.STOCKS].queued == 0)
        later.set()
        wait_until(lambda: run.manager.snapshot().quotes["AAPL"].bid_price == 1_000)

        health = run.manager.snapshot().streams[StreamName.STOCKS]
        batches = stored(server)
        assert health.dropped > 0
        assert health.received == health.dropped + sum(batch.head.events for batch in batches)
        told = [record.gap for batch in batches for record in batch.records if record.kind is RecordKind.GAP]
        assert sum(gap.lost or 0 for gap in told) == health.dropped, "each loss in its place among the frames"
        assert payloads(batches)[-1] == quotes(900, 1)[0]


def test_an_owner_that_was_followed_by_another_closes_its_streams():

    go_on = threading.Event()
    with (
        nats_server() as server,
        serving(server, deliver(*quotes(0, 5)), wait_for(go_on), deliver(*quotes(90, 5))) as first,
    ):
        wait_until(lambda: first.events() == 10)
        with serving(server, deliver(*quotes(5, 5)), epoch=NOON + 1) as second:
            wait_until(lambda: second.events() == 10)
            go_on.set()
            wait_until(lambda: first.owner.fenced)
            wait_until(lambda: first.manager.snapshot().streams[StreamName.STOCKS].phase is Phase.FAILED)

            assert payloads(stored(server)) == quotes(0, 10)


def test_one_that_yields_while_it_connects_publishes_nothing_more(monkeypatch):
    connecting, go_on = threading.Event(), threading.Event()
    keep = BusConnection.keep

    async def keep_late(self: BusConnection, wish: StoreWish) -> None:
        connecting.set()
        await asyncio.to_thread(go_on.wait, AT_ONCE)
        await keep(self, wish)

    def carry() -> None:
        with suppress(Fenced):
            while True:
                owner.carry([Frame(StreamName.STOCKS, b"[]", 1, NOON)])

    with nats_server() as server, Relay(server.port) as relay:
        owner = Serving(relay).owner
        owner.open()
        monkeypatch.setattr(BusConnection, "keep", keep_late)
        relay.cut()
        carrying = threading.Thread(target=carry)
        carrying.start()
        assert connecting.wait(AT_ONCE)
        owner.yield_to_another("another leads")
        go_on.set()
        carrying.join(AT_ONCE)
        owner.close()

        assert not carrying.is_alive()
        assert stored(server) == []


def test_its_time_tells_only_who_is_asked_and_a_program_of_before_which_names_nobody():
    async def ask(server: NatsServer, owner: Owner) -> tuple[bool, list[int]]:
        connection = BusConnection(server.address)
        await connection.open("a test")
        try:
            of_another = asyncio.create_task(connection.ask(NAMES.ask("time"), process_named("attic", 1)))
            await asyncio.sleep(0)  # it is asked first
            whoms = process_named(owner.host, owner.pid), b""
            told = [int(await connection.ask(NAMES.ask("time"), whom)) for whom in whoms]
            is_answered = of_another.done()
            of_another.cancel()
            with suppress(asyncio.CancelledError):
                await of_another
        finally:
            await connection.close()
        return is_answered, told

    with nats_server() as server, serving(server, deliver(*quotes(0, 1))) as run:
        wait_until(lambda: run.events() == 2)
        owner = vars(run.owner)["_owner"]
        is_answered, told = asyncio.run(asyncio.wait_for(ask(server, owner), AT_ONCE))

    assert not is_answered
    assert all(abs(one - utc_now_ns()) < 60 * NANOSECONDS for one in told)


@pytest.mark.parametrize(("followed_by", "answers"), [(None, 2), ("another leads", 0)])
def test_one_that_another_has_followed_answers_nobody_any_more(followed_by: str | None, answers: int):
    """Its connection may be open for a while yet; whoever serves now was asked as well."""
    answered: list[bytes] = []
    asked: dict[str, Any] = {}

    async def subscribe(subject: str, hear: Any) -> None:
        asked[subject] = hear

    async def answer(data: bytes) -> None:
        answered.append(data)

    async def story() -> None:
        await vars(BusOwner)["_begun"](owner, SimpleNamespace(subscribe=subscribe))
        if followed_by is not None:
            vars(owner)["_term"].yield_to_another(followed_by)
        wish = Wish("a viewer", StreamName.STOCKS, ("AAPL",))
        for what, data in (("time", b""), ("want", msgspec.msgpack.encode(wish))):
            asked[NAMES.ask(what)]("", data, answer)
        await asyncio.gather(*vars(owner)["_answers"])

    limits = {StreamName.STOCKS: None}
    here = BusAddress.parse("127.0.0.1")
    owner = BusOwner(here, Owner("den", 1, NOON), list(limits), now_ns=lambda: NOON, limits=limits)
    try:
        asyncio.run(story())
    finally:
        owner.close()
    assert len(answered) == answers


def test_a_simulated_market_is_announced_as_of_now():
    header = Announcement(MarketKind.SIMULATED, NOON, 1.0, None).header()
    with nats_server() as server, serving(server, announce(header), deliver(*quotes(0, 1))) as run:
        wait_until(lambda: run.events() == 2)
        health = wait_until(
            lambda: (found := told(server, "health", DeskHealth)) and found.announcement and found
        )

        assert health.market is MarketKind.SIMULATED
        announced = Announcement.parse(health.announcement)
        assert announced.kind is MarketKind.SIMULATED
        assert abs(announced.now_ns - NOON) < AT_ONCE * NANOSECONDS


def test_without_a_server_it_does_not_begin_and_leaves_nothing_behind():
    with nats_server() as server:
        server.kill()
        made = Serving(server)
        with pytest.raises(StreamError, match="cannot be reached"):
            made.owner.open()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("nats://10.0.0.7:4222", "on another computer"),
        ("nats://bus.example.com", "on another computer"),
        ("nats://me:secret@127.0.0.1", "no user and no password"),
        ("http://127.0.0.1:4222", "no address of a bus"),
        ("nats://127.0.0.1:x", "no address of a bus"),
        ("nats://", "no address of a bus"),
    ],
)
def test_an_address_that_is_not_of_this_computer_is_refused_with_its_reason(url, why):
    with pytest.raises(ConfigError, match=why) as refused:
        BusAddress.parse(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["127.0.0.1", "nats://localhost", "nats://[::1]:4333", "nats://127.0.0.1:4222/"]
)
def test_an_address_of_this_computer_is_enough(url):
    assert BusAddress.parse(url).url.startswith("nats://")


def test_what_is_told_of_the_account_is_told_again_to_a_server_that_has_lost_it_though_nothing_has_changed():
    with nats_server() as server, serving(server, deliver(*quotes(0, 1))) as owner:
        wait_until(lambda: owner.events() == 2)
        wait_until(lambda: kept_truth(server))
        server.kill()
        server.forget()
        server.start()

        wait_until(lambda: kept_truth(server))


def kept_truth(server: NatsServer) -> bytes | None:
    """What the bus keeps of the account."""
    names = server.address.names

    async def look() -> bytes | None:
        connection = BusConnection(server.address)
        await connection.open("a test")
        stored = await connection.kept(names.account_state_store, names.account_state("truth"))
        await connection.close()
        return None if stored is None else stored.data

    return asyncio.run(asyncio.wait_for(look(), AT_ONCE))
