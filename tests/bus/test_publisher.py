"""Publishing to a real server: each batch stored once and in order, whatever is cut, and by one owner alone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from options_helper.bus.batch import Batch, decode, opened_feed
from options_helper.bus.connection import BusConnection, Stored, TooLarge, WrongSequence
from options_helper.bus.continuity import Position
from options_helper.bus.names import Names
from options_helper.bus.publisher import DeskPublisher, Fenced, Progress
from options_helper.bus.stores import stores_of
from options_helper.errors import ConfigError, StreamError
from options_helper.model.frames import Frame
from options_helper.model.streams import StreamName
from tests.kit.bus import CURRENT, NatsServer, both_servers, nats_server
from tests.kit.jetstream import AnswersAtOnce, JetStream, at_once
from tests.kit.waiting import AT_ONCE

NAMES = Names()
STREAMS = (StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS)
KEEP = 64 * 1024 * 1024


def frames(first: int, count: int, stream: StreamName = StreamName.STOCKS) -> list[Frame]:
    return [Frame(stream, f"frame {number}".encode(), 2, number) for number in range(first, first + count)]


def publisher(epoch: int = 1) -> DeskPublisher:
    return DeskPublisher(NAMES, STREAMS, epoch)


def test_a_term_begins_with_a_batch_of_each_stream_that_says_its_feed():
    server = JetStream([(wish, wish.subjects[0].rstrip(".>*")) for wish in stores_of(NAMES, KEEP)])
    bus = AnswersAtOnce(server)
    made = DeskPublisher(NAMES, STREAMS, 1, feeds={StreamName.STOCKS: "sip", StreamName.OPTIONS: "opra"})
    at_once(made.begin(bus, {}))

    said = {}
    for stream in STREAMS:
        newest = at_once(bus.last(NAMES.store(stream), NAMES.published(stream)))
        batch = None if newest is None else decode(newest.data)
        assert isinstance(batch, Batch)
        assert (batch.head.events, len(batch.records)) == (0, 1)
        said[stream] = opened_feed(batch)
    assert said == {StreamName.STOCKS: "sip", StreamName.OPTIONS: "opra", StreamName.FILLS: None}


async def connect(server: NatsServer) -> BusConnection:
    connection = BusConnection(server.address)
    await connection.open("a test")
    for wish in stores_of(NAMES, KEEP):
        await connection.keep(wish)
    return connection


async def begin(server: NatsServer, epoch: int = 1) -> tuple[BusConnection, DeskPublisher]:
    connection, made = await connect(server), publisher(epoch)
    await made.begin(connection, {})
    return connection, made


async def stored(connection: BusConnection, stream: StreamName = StreamName.STOCKS) -> list[Batch]:
    found = []
    store = NAMES.store(stream)
    for sequence in range(1, await connection.last_sequence(store) + 1):
        message = await connection.message(store, sequence)
        assert message is not None
        batch = decode(message.data)
        assert isinstance(batch, Batch)
        found.append(batch)
    return [batch for batch in found if batch.head.number]


def payloads(batches: list[Batch]) -> list[bytes]:
    return [record.payload for batch in batches for record in batch.records]


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(AT_ONCE * 4):
            await work

    asyncio.run(bounded())


class LosesAnswers:
    """A connection whose acknowledgements are lost, each `every` so many: the message itself has arrived."""

    def __init__(self, connection: BusConnection, every: int) -> None:
        self._connection = connection
        self._every = every
        self.last, self.message = connection.last, connection.message
        self.last_sequence, self.room = connection.last_sequence, connection.room
        self.lost = 0
        self._sent = 0

    async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
        sequence = await self._connection.store_fenced(subject, data, message_id=message_id, last=last)
        self._sent += 1
        if self._sent % self._every == 0:
            self.lost += 1
            raise StreamError("cut before the answer")
        return sequence


@both_servers
def test_what_is_offered_is_stored_in_order_and_told_to_whoever_follows(binary):
    async def story(server: NatsServer) -> None:
        connection, made = await begin(server)
        heard: list[bytes] = []
        await connection.subscribe(NAMES.followed(StreamName.STOCKS), lambda _, data, __: heard.append(data))
        for first in (0, 10, 20):
            made.offer(frames(first, 10))
            await made.publish(connection)
        made.offer(frames(0, 1, StreamName.FILLS))
        await made.publish(connection)

        batches = await stored(connection)
        assert payloads(batches) == [frame.payload for frame in frames(0, 30)]
        assert [batch.head.events_before for batch in batches] == [0, 20, 40]
        assert len(await stored(connection, StreamName.FILLS)) == 1, "in a store of its own"
        await connection.settle()
        assert [decode(data) for data in heard] == batches
        assert made.counts[StreamName.STOCKS].stored == 60
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


@both_servers
def test_a_batch_whose_acknowledgement_was_lost_is_stored_once(binary):
    """Both kinds of servers: one says that it has it already, the other that the sequence is wrong."""

    async def story(server: NatsServer) -> None:
        connection, made = await begin(server)
        cut = LosesAnswers(connection, every=2)
        for first in range(100):
            made.offer(frames(first, 1))
            for _ in range(3):
                try:
                    await made.publish(cut)
                    break
                except StreamError:
                    continue
        assert made.is_done
        assert cut.lost >= 50
        assert payloads(await stored(connection)) == [frame.payload for frame in frames(0, 100)]
        assert made.counts[StreamName.STOCKS].stored == 200
        assert made.lost_messages == 0
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


@both_servers
def test_an_owner_that_was_followed_by_another_is_refused_by_the_server(binary):
    async def story(server: NatsServer) -> None:
        connection, first = await begin(server)
        first.offer(frames(0, 5))
        await first.publish(connection)
        second = publisher()
        await second.begin(connection, {})
        second.offer(frames(5, 5))
        await second.publish(connection)

        first.offer(frames(90, 5))
        with pytest.raises(Fenced):
            await first.publish(connection)

        batches = await stored(connection)
        assert payloads(batches) == [frame.payload for frame in frames(0, 10)]
        position = Position()
        for batch in batches:
            position, arrival = position.take(batch.head)
            assert arrival.missed == 0
        assert position.received == 20
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


@both_servers
def test_a_server_that_is_killed_again_and_again_has_what_it_acknowledged(binary):
    async def story(server: NatsServer) -> None:
        connection, made = await begin(server)
        for round_ in range(8):
            made.offer(frames(round_ * 10, 10))
            if round_ % 2:
                server.kill()
                with pytest.raises(StreamError):
                    await made.publish(connection)
                await connection.close()
                server.start()
                connection = await connect(server)
            await made.publish(connection)

        assert payloads(await stored(connection)) == [frame.payload for frame in frames(0, 80)]
        assert made.lost_messages == 0
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


@both_servers
def test_a_server_that_forgot_everything_is_told_and_the_count_goes_on(binary):
    async def story(server: NatsServer) -> None:
        connection, made = await begin(server)
        position = Position()
        for first in (0, 5):
            made.offer(frames(first, 5))
            await made.publish(connection)
        for batch in await stored(connection):
            position, _ = position.take(batch.head)
        server.kill()
        server.forget()
        server.start()
        await connection.close()
        connection = await connect(server)

        made.offer(frames(10, 5))
        await made.publish(connection)

        (batch,) = await stored(connection)
        position, arrival = position.take(batch.head)
        # Two batches, and those with which the term began, of two streams.
        assert (made.lost_messages, arrival.missed, position.received) == (4, 0, 30)
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


@both_servers
def test_a_frame_that_the_server_does_not_take_costs_itself_alone(binary):
    async def story(server: NatsServer) -> None:
        connection, made = await begin(server)
        large = Frame(StreamName.STOCKS, bytes(connection.most_bytes), 7, 1)
        made.offer([*frames(0, 1), large, *frames(1, 1)])
        await made.publish(connection)

        batches = await stored(connection)
        position = Position()
        for batch in batches:
            position, _ = position.take(batch.head)
        assert payloads(batches) == [b"frame 0", b"frame 1"]
        assert (position.missed, made.counts[StreamName.STOCKS].unsendable) == (7, 7)
        await connection.close()

    with nats_server(binary) as server:
        run(story(server))


def test_a_new_owner_goes_on_counting_where_the_last_one_ended_also_when_its_batches_have_aged_away():
    class Emptied:
        """A store whose messages have grown too old, of which it knows the last number."""

        room = 1_000_000
        sequence = 12

        async def last_sequence(self, store: str) -> int:
            return self.sequence

        async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
            return None

        async def message(self, store: str, sequence: int, *, direct: bool = True) -> Stored | None:
            return None

        async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
            assert last == self.sequence
            self.batch = decode(data)
            self.sequence += 1
            return self.sequence

    async def story() -> None:
        made, bus = DeskPublisher(NAMES, [StreamName.STOCKS], 1), Emptied()
        await made.begin(bus, {StreamName.STOCKS: Progress(7, 900)})
        made.offer(frames(0, 1))
        await made.publish(bus)
        assert isinstance(bus.batch, Batch)
        assert bus.batch.head[:3] == (8, 1, 900)

    run(story())


def test_whoever_finds_all_batches_aged_away_and_the_store_gone_on_yields():
    """Somebody stored what is gone by now, when this one did not: a term that began anew would be a second owner's."""

    class GoneOn(Shrinking):
        aged = False

        async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
            return None if self.aged else await super().last(store, subject, direct=direct)

        async def message(self, store: str, sequence: int, *, direct: bool = True) -> Stored | None:
            return None if self.aged else await super().message(store, sequence, direct=direct)

    async def story() -> None:
        made, bus = DeskPublisher(NAMES, [StreamName.STOCKS], 1), GoneOn()
        await made.begin(bus, {})
        bus.batches.append(b"of another owner, and gone by now")
        bus.aged = True
        made.offer(frames(0, 1))
        with pytest.raises(Fenced):
            await made.publish(bus)
        assert made.lost_messages == 0

    run(story())


def test_a_term_that_is_begun_anew_and_cut_off_midway_says_the_feed_of_each_stream():
    """Whoever records one feed would take another for its own, or none for all it knows."""

    class CutOff(AnswersAtOnce):
        left = 100  # messages that it stores

        async def store_fenced(
            self, subject: str, data: bytes, *, message_id: str, last: int, of_subject: bool = False
        ) -> int:
            if self.left == 0:
                raise StreamError("no answer")
            stored = await super().store_fenced(
                subject, data, message_id=message_id, last=last, of_subject=of_subject
            )
            self.left -= 1
            return stored

    server = JetStream([(wish, wish.subjects[0].rstrip(".>*")) for wish in stores_of(NAMES, KEEP)])
    bus, feeds = CutOff(server), {StreamName.STOCKS: "sip", StreamName.OPTIONS: "opra"}
    made = DeskPublisher(NAMES, feeds, 1, feeds=feeds)
    at_once(made.begin(bus, {}))
    server.put_back(NAMES.market_store, 0)
    made.offer([*frames(0, 1), *frames(0, 1, StreamName.OPTIONS)])
    bus.left = 1
    with pytest.raises(StreamError):
        at_once(made.publish(bus))
    assert not made.is_done
    bus.left = 100
    at_once(made.publish(bus))

    for stream, feed in feeds.items():
        stored = [one.data for one in server.stores[NAMES.market_store].messages]
        first, second = (
            one for one in map(decode, stored) if isinstance(one, Batch) and one.records[0].stream is stream
        )
        assert (first.head.epoch, first.head.number, opened_feed(first)) == (made.epoch, 0, feed)
        assert [record.payload for record in second.records] == [b"frame 0"]


def test_a_server_that_refuses_every_term_is_asked_a_few_times_and_not_for_ever():
    class Refusing(Shrinking):
        refused = 0

        async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
            if not self.batches:
                return await super().store_fenced(subject, data, message_id=message_id, last=last)
            self.refused += 1
            assert self.refused < 10
            raise WrongSequence("wrong")

    made, bus = DeskPublisher(NAMES, [StreamName.STOCKS], 1), Refusing()
    at_once(made.begin(bus, {}))
    made.offer(frames(0, 1))
    with pytest.raises(StreamError, match="again and again"):
        at_once(made.publish(bus))
    assert not made.is_done


def test_a_batch_is_as_large_as_the_server_takes_headers_included_and_no_larger(tmp_path: Path):
    """Of more it would end the connection, again and again."""
    payload = bytes(600)

    async def story(server: NatsServer) -> None:
        connection, made = await begin(server)
        made.offer([Frame(StreamName.STOCKS, payload, 1, number) for number in range(1_000)])
        await made.publish(connection)

        batches = await stored(connection)
        assert sum(len(batch.records) for batch in batches) == 1_000
        assert len(batches) > 1_000 * 618 // (64 * 1024)
        assert made.counts[StreamName.STOCKS].unsendable == 0
        # To the byte: what just fits is sent, and one byte more is left out.
        fits = connection.room - 32 - 18
        made.offer(
            [Frame(StreamName.STOCKS, bytes(fits), 5, 1), Frame(StreamName.STOCKS, bytes(fits + 1), 7, 2)]
        )
        await made.publish(connection)
        assert (made.counts[StreamName.STOCKS].stored, made.counts[StreamName.STOCKS].unsendable) == (
            1_005,
            7,
        )
        assert not connection.ended.done()
        await connection.close()

    def configuration(port: int) -> Path:
        file = tmp_path / "nats.conf"
        file.write_text(
            f'listen: "127.0.0.1:{port}"\nmax_payload: 65536\njetstream {{ store_dir: "{tmp_path}" }}\n'
        )
        return file

    with NatsServer(CURRENT, configuration) as server:
        run(story(server))


class Shrinking:
    """A server that was started again with a smaller limit, after it had stored a batch without an answer."""

    def __init__(self) -> None:
        self.room = 4_000
        self.batches: list[bytes] = []
        self.is_mute = False

    async def last_sequence(self, store: str) -> int:
        return len(self.batches)

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        return Stored(len(self.batches), self.batches[-1]) if self.batches else None

    async def message(self, store: str, sequence: int, *, direct: bool = True) -> Stored | None:
        return Stored(sequence, self.batches[sequence - 1])

    async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
        if len(data) > self.room:
            raise TooLarge("too large")
        if last != len(self.batches):
            raise WrongSequence("wrong")
        self.batches.append(data)
        if self.is_mute:
            raise StreamError("no answer")
        return len(self.batches)


def test_a_batch_that_a_server_took_before_it_takes_less_is_stored_once_and_the_rest_in_smaller_ones():
    async def story() -> None:
        made, bus = DeskPublisher(NAMES, [StreamName.STOCKS], 1), Shrinking()
        await made.begin(bus, {})
        bus.is_mute = True
        made.offer([Frame(StreamName.STOCKS, bytes(900), 1, number) for number in range(4)])
        with pytest.raises(StreamError):
            await made.publish(bus)
        bus.is_mute, bus.room = False, 2_000
        made.offer([Frame(StreamName.STOCKS, bytes(900), 1, number) for number in range(4, 8)])
        await made.publish(bus)

        records = [record for data in bus.batches[1:] for record in read(data).records]
        assert [record.received_ns for record in records] == list(range(8))
        assert [len(read(data).records) for data in bus.batches[1:]] == [4, 2, 2]
        assert made.counts[StreamName.STOCKS].stored == 8

    def read(data: bytes) -> Batch:
        batch = decode(data)
        assert isinstance(batch, Batch)
        return batch

    run(story())


def test_a_store_that_was_made_for_something_else_is_not_used():
    async def story(server: NatsServer) -> None:
        connection = BusConnection(server.address)
        await connection.open("a test")
        plain, *_ = stores_of(NAMES, KEEP)
        await connection.keep(plain.__class__(plain.name, plain.subjects, max_bytes=KEEP))
        with pytest.raises(ConfigError, match="made for something else"):
            await connection.keep(plain)
        await connection.close()

    with nats_server() as server:
        run(story(server))


def test_more_than_the_server_has_room_for_is_a_sentence():
    async def story(server: NatsServer) -> None:
        connection = BusConnection(server.address)
        await connection.open("a test")
        market, *_ = stores_of(NAMES, 1 << 50)
        with pytest.raises(ConfigError, match="Keep less"):
            await connection.keep(market)
        await connection.close()

    with nats_server() as server:
        run(story(server))


def test_where_nothing_listens_is_a_sentence():
    async def story(server: NatsServer) -> None:
        server.kill()
        with pytest.raises(StreamError, match="cannot be reached"):
            await BusConnection(server.address).open("a test")

    with nats_server() as server:
        run(story(server))
