"""A recorder on a bus that is killed again and again while its way is cut: each event once, and what is not is told."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from options_helper.bus.batch import Batch, decode
from options_helper.bus.recording import NOBODY
from options_helper.capture.runner import CaptureEngine
from options_helper.data.recording.loss_log import loss_rows
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.verify import audit
from options_helper.model.events import Quote
from tests.faults.bus_capturer import capturing_bus
from tests.kit.bus import NatsServer, nats_server
from tests.kit.pace import runs
from tests.kit.rebuilt import partitions
from tests.kit.recording_bus import bids, recording, stocks
from tests.kit.serving import Relay, quotes
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until
from tests.kit.written import NAMES, STOCKS, WrittenDesk

LOST = 7  # one batch in so many is lost by the store


@contextmanager
def busy_desk(desk: WrittenDesk, *, pause: float = 0.005) -> Iterator[list[int]]:
    """Batches without end, some of which nobody stores; the numbers of the quotes that are stored."""
    ending = threading.Event()
    kept: list[int] = []

    def write() -> None:
        for number in count():
            if ending.wait(pause):
                return
            payloads = quotes(number * 3, 3)
            if number % LOST == LOST - 1:
                desk.skip(payloads)
            else:
                desk.write(payloads)
                kept.extend(range(number * 3, number * 3 + 3))

    thread = threading.Thread(target=write, name="busy-desk")
    thread.start()
    try:
        yield kept
    finally:
        ending.set()
        thread.join()


@contextmanager
def cuts(relay: Relay, chance: random.Random) -> Iterator[None]:
    """The way is cut at random moments."""
    ending = threading.Event()

    def cut() -> None:
        while not ending.wait(chance.uniform(0.05, 0.5)):
            relay.cut()

    thread = threading.Thread(target=cut, name="cuts")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def test_killed_again_and_again_it_has_each_event_once_and_tells_of_every_other(tmp_path: Path):
    chance = random.Random(5)
    out, again = tmp_path / "out", tmp_path / "again"
    with nats_server() as server, Relay(server.port) as relay:
        desk = WrittenDesk(server.address)
        with recording(server.address, out) as first:
            wait_until(lambda: stocks(first).connections and first.status().journal_bytes)
            wait_until(lambda: list(first._records._places))  # noqa: SLF001 - where it begins is written down
        with busy_desk(desk) as kept:
            for _ in range(runs(6, 100)):
                with cuts(relay, chance), capturing_bus(relay.address, out) as capturer:
                    if chance.random() < 0.8:
                        capturer.wait_until_it_receives()
                    # Not waiting for a fact: the moment of the kill is what is drawn.
                    time.sleep(chance.uniform(0, 0.5))
        desk.write(quotes(1_000_000, 1))  # behind it every hole is known
        with recording(server.address, out) as last:
            wait_until(lambda: has_heard(last, "MSFT", 1_000_200), A_PROCESS, saw=lambda: stocks(last))

    got = bids(out)
    assert got == [100 + number for number in [*kept, 1_000_000]], "each once, in order, and nothing else"
    rows = [
        row for row in loss_rows(out) if row.stream == STOCKS and NOBODY not in row.reason
    ]  # nobody is an owner here
    told = sum(row.lost or 0 for row in rows)
    assert 2 * len(got) == desk.sent - told, "rows are what was sent minus what is told as lost"
    assert told > 0
    assert [row.reason for row in rows if "does not have" not in row.reason] == [], (
        "no kill and no cut is a loss"
    )
    rebuild(out, again)
    assert partitions(again) == partitions(out)
    assert all("were lost" in problem for problem in audit(out).problems)


def has_heard(engine: CaptureEngine, symbol: str, bid: float) -> bool:
    """Whether that was the last quote of all."""
    event = engine._recorder.maker.last_event  # noqa: SLF001 - what its rows end with
    return isinstance(event, Quote) and (event.symbol, event.bid_price) == (symbol, bid)


@pytest.mark.parametrize("own_place", [True, False], ids=["own place", "durable, acknowledge all"])
def test_what_dies_in_a_cut_socket_is_lost_by_a_durable_consumer_and_not_by_a_place_of_ones_own(
    tmp_path: Path, *, own_place: bool
):
    """The reason why nothing on the server remembers what a recorder has."""
    with nats_server() as server:
        desk = WrittenDesk(server.address)
        got = _by_place(server, desk) if own_place else _by_acknowledging_all(server, desk)

    is_whole = got == list(range(6))
    assert is_whole is own_place, got


def _numbers(batch: Batch | str) -> list[int]:
    assert isinstance(batch, Batch)
    return [batch.head.number]


def _by_acknowledging_all(server: NatsServer, desk: WrittenDesk) -> list[int]:
    """Fetch, lose what comes in a cut socket, come back, fetch on, acknowledge; what was had in the end."""
    import nats
    from nats.js import api

    async def run() -> list[int]:
        got: list[int] = []
        config = api.ConsumerConfig(
            durable_name="recorder", ack_policy=api.AckPolicy.ALL, filter_subject=NAMES.published(STOCKS)
        )
        for is_cut, is_last in ((False, False), (True, False), (False, False), (False, True)):
            client = await nats.connect(server.url, allow_reconnect=False)
            stream = client.jetstream()
            pull = await stream.pull_subscribe(
                NAMES.published(STOCKS), "recorder", stream=NAMES.market_store, config=config
            )
            try:
                messages = await pull.fetch(2, timeout=0.5 if is_last else AT_ONCE)
            except TimeoutError:
                messages = []
            if not is_cut:  # else it had left for a socket that nobody reads any more
                got += [number for one in messages for number in _numbers(decode(one.data))]
                if messages:
                    await messages[-1].ack()
                    await client.flush()
            await client.close()
        # Whatever the server still holds for it.
        client = await nats.connect(server.url, allow_reconnect=False)
        info = await client.jetstream().consumer_info(NAMES.market_store, "recorder")
        assert (info.num_pending, info.num_ack_pending) == (0, 0), "the server thinks that it has everything"
        await client.close()
        return got

    desk.write(*([one] for one in quotes(0, 6)))
    return asyncio.run(asyncio.wait_for(run(), A_PROCESS))


def _by_place(server: NatsServer, desk: WrittenDesk) -> list[int]:
    """The same cut, for a reader that begins each time where it is."""
    from options_helper.bus.connection import BusConnection
    from options_helper.bus.place_reader import PlaceReader
    from options_helper.model.frames import Place

    async def run() -> list[int]:
        reader, got = PlaceReader(STOCKS, Place()), list[int]()
        for is_cut in (False, True, False, False):
            bus = BusConnection(server.address)
            await bus.open("a test")
            reader.begin()
            first = reader.place.sequence + 1
            pull = await bus.pull(NAMES.market_store, NAMES.published(STOCKS), first)
            found = await pull.fetch(2, AT_ONCE)
            if not is_cut:
                for one in found:
                    assert reader.take(*one) is not None
                    got += _numbers(decode(one.data))
            await bus.close()
        return got

    desk.write(*([one] for one in quotes(0, 6)))
    return asyncio.run(asyncio.wait_for(run(), A_PROCESS))
