"""Terms on a real server: one owner begins after another, and the one of before is refused, whatever it does or not."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Coroutine
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace as replace_told

from options_helper.bus.batch import Batch, decode
from options_helper.bus.connection import BusConnection
from options_helper.bus.continuity import Position
from options_helper.bus.names import Names
from options_helper.bus.publisher import DeskPublisher, Fenced, Progress
from options_helper.bus.stores import further_stores_of, stores_of
from options_helper.bus.teller import DeskTeller
from options_helper.bus.truth import DeskHealth, Published
from options_helper.bus.truth import decode as read_truth
from options_helper.bus.viewer import BusManager
from options_helper.errors import StreamError
from options_helper.model.announcement import MarketKind
from options_helper.model.frames import Continuity, Frame
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName, fills_of
from options_helper.settings import Settings
from tests.kit.bus import NatsServer, both_servers, nats_server
from tests.kit.fakes import CONFIG, NOON, ScriptedStream, deliver, wait_for
from tests.kit.serving import KEEP, Relay, Serving, quotes, serving
from tests.kit.waiting import AT_ONCE, wait_until

NAMES = Names()
STOCKS = StreamName.STOCKS


def frames(first: int, count: int) -> list[Frame]:
    return [Frame(STOCKS, f"frame {number}".encode(), 2, number) for number in range(first, first + count)]


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(AT_ONCE * 2):
            await work

    asyncio.run(bounded())


async def connect(server: NatsServer) -> BusConnection:
    connection = BusConnection(server.address)
    await connection.open("a test")
    for wish in (*stores_of(NAMES, KEEP), *further_stores_of(NAMES)):
        await connection.keep(wish)
    return connection


async def followed(connection: BusConnection) -> tuple[Position, list[bytes]]:
    """What a reader of the whole store counts, and the frames."""
    position, payloads = Position(), []
    for sequence in range(1, await connection.last_sequence(NAMES.market_store) + 1):
        message = await connection.message(NAMES.market_store, sequence)
        batch = None if message is None else decode(message.data)
        assert isinstance(batch, Batch)
        if batch.records[0].stream != STOCKS:
            continue
        position, arrival = position.take(batch.head)
        assert arrival.is_new
        payloads += [record.payload for record in batch.records if record.payload]
    return position, payloads


def health(host: str) -> DeskHealth:
    return DeskHealth(program="1", host=host, pid=1, at_ns=0, market=MarketKind.ALPACA)


@both_servers
def test_an_owner_takes_over_from_one_that_publishes_all_the_while_and_every_event_is_counted(binary):
    """What the former one stores after the newer has looked is in the newer one's count."""

    class Overtaken:
        """Lets the former owner publish between the look at what is there and the first batch of the term."""

        def __init__(self, connection: BusConnection) -> None:
            self.room = connection.room
            self.last, self.last_sequence = connection.last, connection.last_sequence
            self.message = connection.message
            self._connection = connection
            self.interruptions = 3

        async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
            if self.interruptions:
                self.interruptions -= 1
                former.offer(frames(100 + self.interruptions, 1))
                await former.publish(self._connection)
            return await self._connection.store_fenced(subject, data, message_id=message_id, last=last)

    former = DeskPublisher(NAMES, [STOCKS], 1)

    async def story(server: NatsServer) -> None:
        connection = await connect(server)
        await former.begin(connection, {})
        former.offer(frames(0, 5))
        await former.publish(connection)
        newer, overtaken = DeskPublisher(NAMES, [STOCKS], 2), Overtaken(connection)
        await newer.begin(overtaken, {})
        newer.offer(frames(5, 5))
        await newer.publish(overtaken)

        assert overtaken.interruptions == 0
        position, payloads = await followed(connection)
        assert len(payloads) == 13
        assert (position.received, position.missed, position.lost_count) == (26, 0, 0)
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


@both_servers
def test_what_is_no_batch_in_between_begins_no_term_and_hides_no_other_owner(binary):
    """`bus check` asks by saying nothing, and a message without anything in it is stored as well."""

    async def story(server: NatsServer) -> None:
        connection = await connect(server)
        mine = DeskPublisher(NAMES, [STOCKS], 5)
        await mine.begin(connection, {})
        for number in range(3):
            await connection.send("oh.desk.in.check", b"")
            await connection.settle()
            mine.offer(frames(number, 1))
            await mine.publish(connection)
        assert (mine.epoch, mine.lost_messages, mine.counts[STOCKS].stored) == (5, 0, 6)

        other = DeskPublisher(NAMES, [STOCKS], 9)
        await other.begin(connection, {})
        await connection.send("oh.desk.in.check", b"")
        await connection.settle()
        mine.offer(frames(9, 1))
        with pytest.raises(Fenced):
            await mine.publish(connection)
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


IRA, ROTH = fills_of("ira"), fills_of("roth")


@both_servers
@pytest.mark.parametrize(
    ("mine", "theirs"), [(IRA, ROTH), (STOCKS, StreamName.CRYPTO)], ids=["accounts", "prices"]
)
@pytest.mark.parametrize("has_published", [True, False])
def test_who_led_before_is_refused_at_once_by_one_that_has_none_of_its_streams(
    binary, mine, theirs, has_published
):
    """They share a store: what the former one says in it would stand behind the newer one's first word."""

    async def story(server: NatsServer) -> None:
        connection = await connect(server)
        former, newer = DeskPublisher(NAMES, [mine], 1), DeskPublisher(NAMES, [theirs], 2)
        await former.begin(connection, {})
        if has_published:
            former.offer([Frame(mine, b"before", 1, 1)])
            await former.publish(connection)
        await newer.begin(connection, {})
        last = await connection.last_sequence(NAMES.store(mine))

        former.offer([Frame(mine, b"of a former owner", 1, 2)])
        with pytest.raises(Fenced):
            await former.publish(connection)

        assert await connection.last_sequence(NAMES.store(mine)) == last
        assert former.counts[mine].waiting == 1
        newer.offer([Frame(theirs, b"of the newer one", 1, 3)])
        await newer.publish(connection)
        assert (newer.epoch, newer.lost_messages) == (2, 0), "nothing came between"
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


@both_servers
def test_a_term_is_newer_than_any_batch_of_its_store_whatever_streams_that_is_of(binary):
    """One that began and was killed before it said so has left nothing but its first batch."""

    async def story(server: NatsServer) -> None:
        connection = await connect(server)
        killed, next_one = DeskPublisher(NAMES, [IRA], 7), DeskPublisher(NAMES, [ROTH], 1)
        await killed.begin(connection, {})
        await connection.send(NAMES.stored_further[0].replace(">", "check"), b"")
        await connection.settle()
        await next_one.begin(connection, {})
        assert next_one.epoch == 8
        killed.offer([Frame(IRA, b"{}", 1, 1)])
        with pytest.raises(Fenced):
            await killed.publish(connection)
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


@both_servers
def test_a_batch_whose_answer_was_lost_is_known_to_be_stored_also_by_who_was_followed_since(binary):
    async def story(server: NatsServer, relay: Relay) -> None:
        direct, former = await connect(server), DeskPublisher(NAMES, [IRA], 1)
        await former.begin(direct, {})
        cut = BusConnection(relay.address)
        await cut.open("an owner")
        before = await direct.last_sequence(NAMES.further_store)
        relay.mute()
        former.offer([Frame(IRA, b"{}", 1, 1)])
        publishing = asyncio.create_task(former.publish(cut))
        while await direct.last_sequence(NAMES.further_store) == before:
            pass
        relay.cut()
        with pytest.raises(StreamError):
            await publishing
        await DeskPublisher(NAMES, [IRA, ROTH], 2).begin(direct, {})

        former.offer([Frame(IRA, b"{}", 1, 2)])
        with pytest.raises(Fenced):
            await former.publish(direct)
        assert (former.counts[IRA].stored, former.counts[IRA].waiting) == (1, 1)
        await cut.close()
        await direct.close()

    with nats_server(binary) as server, Relay(server.port) as relay:
        run(story(server, relay))


@both_servers
def test_a_bus_that_was_emptied_and_has_another_past_since_goes_on_from_the_larger_count(binary):
    async def story(server: NatsServer) -> None:
        connection = await connect(server)
        mine = DeskPublisher(NAMES, [STOCKS], 5)
        await mine.begin(connection, {})
        mine.offer(frames(0, 2))
        await mine.publish(connection)
        await connection.close()
        server.kill()
        server.forget()
        server.start()
        connection = await connect(server)
        other = DeskPublisher(NAMES, [STOCKS], 1)
        await other.begin(connection, {})
        for first in (0, 20):
            other.offer(frames(first, 20))
            await other.publish(connection)

        mine.offer(frames(40, 1))
        await mine.publish(connection)

        position, payloads = await followed(connection)
        assert (len(payloads), position.received, position.lost_count) == (41, 82, 0)
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


@both_servers
def test_a_former_owner_with_nothing_to_publish_is_refused_at_its_next_word(binary):
    async def story(server: NatsServer) -> None:
        connection = await connect(server)
        former, newer = DeskTeller(NAMES), DeskTeller(NAMES)
        await former.begin(connection, 1)
        await former.tell(connection, "health", health("former"))
        heard: list[bytes] = []
        for subject in (NAMES.told(">"), NAMES.account_told(">")):
            await connection.subscribe(subject, lambda _, data, __: heard.append(data))
        assert await newer.newest_term(connection) == 1
        await newer.begin(connection, 2)
        await connection.settle()
        heard.clear()

        with pytest.raises(Fenced):
            await former.tell(connection, "health", health("again"))
        with pytest.raises(Fenced):
            await former.tell_account(connection, "truth", health("again"))

        await newer.tell(connection, "health", health("newer"))
        await connection.settle()
        assert [read_truth(data, DeskHealth) for data in heard] == [health("newer")]
        kept = await connection.last(NAMES.state_store, NAMES.state("health"))
        assert kept is not None
        assert read_truth(kept.data, DeskHealth) == health("newer")
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


def test_a_term_that_is_older_than_one_there_was_does_not_begin():
    async def story(server: NatsServer) -> None:
        connection = await connect(server)
        await DeskTeller(NAMES).begin(connection, 7)
        with pytest.raises(Fenced):
            await DeskTeller(NAMES).begin(connection, 6)
        newer = DeskPublisher(NAMES, [STOCKS], 1)
        await newer.begin(connection, {}, newer_than=7)
        assert newer.epoch == 8
        await connection.close()

    with nats_server() as server:
        run(story(server))


@pytest.mark.parametrize(
    ("known", "begins"),
    [(Progress(50, 900), (51, 900)), (Progress(2, 6), (10, 10)), (Progress(50, 6), (51, 10))],
)
def test_a_term_goes_on_from_whatever_knows_of_more_the_batches_or_the_owner_of_before(known, begins):
    async def story(server: NatsServer) -> None:
        connection = await connect(server)
        former = DeskPublisher(NAMES, [STOCKS], 9)
        await former.begin(connection, {})
        former.offer(frames(0, 5))
        await former.publish(connection)
        newer = DeskPublisher(NAMES, [STOCKS], 1)
        await newer.begin(connection, {STOCKS: known})

        assert newer.progress == {STOCKS: begins}
        await connection.close()

    with nats_server() as server:
        run(story(server))


def test_a_word_whose_acknowledgement_was_lost_is_said_again_and_ends_no_term():
    class Mute:
        """Stores, and its answer is lost once."""

        def __init__(self, connection: BusConnection) -> None:
            self.last, self.last_sequence = connection.last, connection.last_sequence
            self._connection = connection
            self.loses = False

        async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
            sequence = await self._connection.store_fenced(subject, data, message_id=message_id, last=last)
            if self.loses:
                self.loses = False
                raise StreamError("cut")
            return sequence

    async def story(server: NatsServer) -> None:
        connection, teller = await connect(server), DeskTeller(NAMES)
        mute = Mute(connection)
        await teller.begin(mute, 3)
        mute.loses = True
        with pytest.raises(StreamError, match="cut"):
            await teller.tell(mute, "health", health("one"))
        await teller.tell(mute, "health", health("two"))
        kept = await connection.last(NAMES.state_store, NAMES.state("health"))
        assert kept is not None
        assert read_truth(kept.data, DeskHealth) == health("two")
        assert await teller.newest_term(connection) == 3
        await connection.close()

    with nats_server() as server:
        run(story(server))


@both_servers
def test_what_was_told_is_told_again_to_a_server_that_has_forgotten_it(binary):
    with nats_server(binary) as server, serving(server) as owner:
        wait_until(lambda: read(server, "news"))
        server.kill()
        server.forget()
        server.start()

        wait_until(lambda: read(server, "news"), saw=lambda: owner.owner.problem)
        assert owner.owner.fenced is None


def read(server: NatsServer, what: str) -> bytes | None:
    async def look() -> bytes | None:
        connection = BusConnection(server.address)
        await connection.open("a test")
        stored = await connection.kept(NAMES.state_store, NAMES.state(what))
        await connection.close()
        return None if stored is None else stored.data

    return asyncio.run(asyncio.wait_for(look(), AT_ONCE))


@both_servers
def test_whoever_follows_has_each_batch_before_the_word_that_says_how_far_the_stream_was_published(binary):
    """By that a viewer knows what will not come any more: the two are of two stores, and come over one connection."""

    async def story(server: NatsServer) -> None:
        owner = await connect(server)
        made, teller = DeskPublisher(NAMES, [STOCKS], 1), DeskTeller(NAMES)
        await made.begin(owner, {})
        await teller.begin(owner, 1)
        viewers, late = [BusConnection(server.address) for _ in range(3)], []
        behind = [Position() for _ in viewers]

        def follow(number: int, _: str, data: bytes, __: object) -> None:
            batch = decode(data)
            assert isinstance(batch, Batch)
            behind[number] = behind[number].take(batch.head)[0]

        def hear(number: int, _: str, data: bytes, __: object) -> None:
            told = read_truth(data, DeskHealth)
            assert told is not None
            at = told.published[str(STOCKS)]
            if behind[number].is_behind(at.epoch, at.events):
                late.append((number, at, behind[number].last))

        for number, viewer in enumerate(viewers):
            await viewer.open("a viewer")
            await viewer.subscribe(NAMES.followed(STOCKS), partial(follow, number))
            await viewer.subscribe(NAMES.told("health"), partial(hear, number), behind_others=True)
        for number in range(500):
            # Small ones and such as take the server a while to send.
            payload = bytes(200_000 if number % 10 == 0 else 20)
            made.offer([Frame(STOCKS, payload, 1, number)])
            await made.publish(owner)
            published = {str(name): Published(*at) for name, at in made.progress.items()}
            await teller.tell(owner, "health", replace_told(health("here"), published=published))
        for viewer in viewers:
            await viewer.settle()
            await viewer.close()
        await owner.close()

        assert not late
        assert [one.received for one in behind] == [500] * len(viewers)

    with nats_server(binary) as server:
        run(story(server))


def test_an_idle_owner_notices_that_another_has_begun_and_what_it_says_is_heard_by_nobody():
    """No frame comes to either: the first one is refused at its next word, and says no goodbye."""
    with nats_server() as server, serving(server) as first:
        wait_until(lambda: read(server, "health"))
        with serving(server, epoch=NOON + 1) as second:
            wait_until(lambda: first.owner.fenced, saw=lambda: first.owner.problem)
            first.manager.stop()
            first.owner.close()
            assert second.owner.fenced is None

            def newest() -> DeskHealth | None:
                data = read(server, "health")
                return None if data is None else read_truth(data, DeskHealth)

            def is_of_the_second() -> bool:
                told = newest()
                return told is not None and told.epoch == NOON + 1 and not told.ended

            wait_until(is_of_the_second, saw=newest)


def test_what_found_no_room_is_told_in_its_place_and_a_connection_made_anew_too():
    made = DeskPublisher(NAMES, [STOCKS], 1)

    async def story(server: NatsServer) -> None:
        connection = await connect(server)
        await made.begin(connection, {})
        for number, heard in enumerate(
            (Continuity(1, 0), Continuity(1, 7), Continuity(2, 7), Continuity(1, 0))
        ):
            made.offer([Frame(STOCKS, b"f", 1, 10 * number, heard)])
            await made.publish(connection)
        gaps = []
        for sequence in range(2, await connection.last_sequence(NAMES.market_store) + 1):
            message = await connection.message(NAMES.market_store, sequence)
            batch = None if message is None else decode(message.data)
            assert isinstance(batch, Batch)
            *before, frame = batch.records
            assert frame.payload == b"f"
            gaps += [(one.gap.since_ns, one.gap.until_ns, one.gap.lost) for one in before]
        assert gaps == [(0, 10, 7), (10, 20, None), (20, 30, None)]
        await connection.close()

    with nats_server() as server:
        run(story(server))


def stored_batches(server: NatsServer) -> int:
    async def count() -> int:
        connection = BusConnection(server.address)
        await connection.open("a test")
        last = await connection.last_sequence(NAMES.market_store)
        await connection.close()
        return last

    return asyncio.run(asyncio.wait_for(count(), AT_ONCE))


def test_a_batch_that_was_stored_without_an_answer_is_no_loss_at_the_end():
    """What is on its way is looked for before the ledger is told."""
    go_on = threading.Event()
    with (
        nats_server() as server,
        Relay(server.port) as relay,
        serving(relay, wait_for(go_on), deliver(*quotes(0, 10)), wait_for(threading.Event())) as owner,
    ):
        wait_until(lambda: owner.manager.snapshot().streams[STOCKS].phase in (Phase.LIVE, Phase.QUIET))
        before = stored_batches(server)
        relay.mute()
        go_on.set()
        wait_until(lambda: stored_batches(server) > before)
        owner.manager.stop()
        stocks = owner.manager.snapshot().streams[STOCKS]
        assert (stocks.received, stocks.queued) == (20, 20), "the run knows nothing of it"
        assert owner.owner.unknown > 0

        relay.unmute()
        owner.owner.close()

        assert owner.owner.counts[STOCKS].stored == owner.owner.stored_unsettled
        assert owner.owner.unknown == 0
        assert owner.owner.counts[STOCKS].stored > 0


async def stored_after(connection: BusConnection, sequence: int) -> None:
    """Wait until something more is stored."""
    while await connection.last_sequence(NAMES.market_store) == sequence:
        pass


@both_servers
def test_a_hundred_answers_that_are_cut_off_on_their_way_cost_nothing_and_double_nothing(binary):
    """The batch arrives, its acknowledgement does not: the servers say different things of it afterwards."""

    async def story(server: NatsServer, relay: Relay) -> None:
        direct, made = await connect(server), DeskPublisher(NAMES, [STOCKS], 1)
        await made.begin(direct, {})
        position, heard = Position(), []

        def hear(data: bytes) -> None:
            nonlocal position
            batch = decode(data)
            assert isinstance(batch, Batch)
            position, arrival = position.take(batch.head)
            assert arrival.is_new
            heard.extend(record.payload for record in batch.records)

        await direct.subscribe(NAMES.followed(STOCKS), lambda _, data, __: hear(data))
        for number in range(100):
            cut = BusConnection(relay.address)
            await cut.open("an owner")
            before = await direct.last_sequence(NAMES.market_store)
            relay.mute()
            made.offer(frames(number, 1))
            publishing = asyncio.create_task(made.publish(cut))
            await stored_after(direct, before)
            relay.cut()
            with pytest.raises(StreamError):
                await publishing
            relay.unmute()
            await cut.close()
            # The next connection finds out what became of it.
            await made.publish(direct)
        await direct.settle()

        assert heard == [frame.payload for frame in frames(0, 100)]
        assert (position.received, position.missed, made.lost_messages) == (200, 0, 0)
        assert made.counts[STOCKS].stored == 200
        await direct.close()

    with nats_server(binary) as server, Relay(server.port) as relay:
        run(story(server, relay))


def goes_on(owner: Serving) -> None:
    """Wait until something more is stored and folded."""
    events = owner.events()
    wait_until(lambda: owner.events() > events, saw=lambda: owner.owner.problem)


@both_servers
def test_a_server_that_is_killed_twenty_times_has_what_was_acknowledged_and_viewers_count_to_the_event(
    binary,
):
    dice = random.Random(20)
    market = threading.Event()

    def quote_until_told(stream: ScriptedStream) -> None:
        for payload in quotes(0, 100_000):
            if market.wait(0.003) or stream.stopped.is_set():
                return
            stream.sink.frame(payload, 2)

    with (
        nats_server(binary) as server,
        serving(server, quote_until_told, wait_for(threading.Event())) as owner,
    ):
        viewer = BusManager(Settings(), server.address)
        viewer.start(replace(CONFIG, stocks=("AAPL", "MSFT"), option_contracts=()))
        try:
            wait_until(lambda: viewer.snapshot().streams[STOCKS].applied > 0)
            for _ in range(20):
                server.kill()
                time.sleep(dice.uniform(0.0, 0.4))  # so long it is away; nothing is waited for
                server.start()
                goes_on(owner)
                for health in (owner.manager.snapshot().streams[STOCKS], viewer.snapshot().streams[STOCKS]):
                    assert health.accounted, health
            market.set()
            wait_until(lambda: owner.manager.snapshot().streams[STOCKS].queued == 0)
            theirs = owner.manager.snapshot()
            # The last of what was missed is known with the next batch.
            owner.source_stream().sink.frame(quotes(200_000, 1)[0], 2)
            wait_until(
                lambda: viewer.snapshot().quotes["AAPL"].bid_price == 200_100,
                saw=lambda: viewer.snapshot().streams,
            )

            async def read() -> tuple[Position, list[bytes]]:
                connection = await connect(server)
                found = await followed(connection)
                await connection.close()
                return found

            position, payloads = asyncio.run(asyncio.wait_for(read(), AT_ONCE))
            ours = viewer.snapshot().streams[STOCKS]
            assert theirs.streams[STOCKS].dropped == 0
            assert position.received == theirs.streams[STOCKS].received + 2
            assert payloads[:-1] == quotes(0, len(payloads) - 1), "each once and in order"
            assert (position.missed, owner.owner.lost_messages) == (0, 0)
            assert ours.accounted
            assert ours.received <= position.received
        finally:
            viewer.stop()
