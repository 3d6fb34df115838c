"""A journal holds all of a live run: played back it gives the same snapshots, the same files, the same market."""

from __future__ import annotations

import hashlib
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest

from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.journal import (
    JournalWriter,
    Record,
    RecordKind,
    journal_files,
    read_records,
)
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.announcement import Announcement
from options_helper.model.frames import Frame
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.market.replay import ReplayMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.fakes import trade_message
from tests.kit.pace import LONG
from tests.kit.rebuilt import partitions
from tests.kit.recordings import Recordings
from tests.kit.simulated import settings_for
from tests.kit.waiting import FOREVER, wait_until
from tests.wire.test_capture import capture_all
from tests.wire.test_engine import CALL, CONFIG, FILL, NOON, quote

STOCKS, OPTIONS, FILLS = StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS
FILLS_KEPT = 50
# Real days go through a socket several times over; on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(300)

Simulators = Callable[..., SimulatorServer]


class SnapshotChain:
    """A digest over every snapshot since the beginning, one after each frame."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.links = 0

    def add(self, state: LiveState, wall_ns: int) -> None:
        """Whatever a page would see at that moment, and what was counted."""
        shown = state.snapshot(wall_ns, running=True, running_since=None, streams={})
        caches = (
            shown.stock_quotes, shown.stock_trades, shown.stock_bars, shown.option_quotes, shown.option_trades,
        )  # fmt: skip
        seen = (
            shown.as_of, shown.market, shown.fills, sorted(state.tallies.items()),
        )  # fmt: skip
        self._digest.update(repr(seen).encode())
        # A time from the wire has no readable form of its own, so events are written as the wire has them.
        self._digest.update(msgspec.msgpack.encode([sorted(cache.items()) for cache in caches]))
        self.links += 1

    @property
    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class JournaledRun:
    """The streams of the live page, folded as there, with each frame in a journal first."""

    def __init__(self, server: SimulatorServer, root: Path, config: LiveStreamConfig) -> None:
        self.chain = SnapshotChain()
        self._journal = JournalWriter(root, "live")
        self._state = LiveState(fills_cache_size=FILLS_KEPT)
        self._announced: deque[Announcement] = deque()
        self.streams = StreamGroup(
            config,
            settings_for(server),
            AlpacaSource(),
            RetryPolicy(),
            clock=self._state.clock,
            lock=threading.Lock(),
            announced=self._announced.append,
            now_ns=lambda: NOON,
        )
        self._consumer = threading.Thread(target=self._consume, name="live-consumer")

    def start(self) -> None:
        self._consumer.start()
        self.streams.start()

    def stop(self) -> None:
        self.streams.stop(1.0)
        self._consumer.join()
        self._journal.close()

    def _consume(self) -> None:
        while not self.streams.queue.drained:
            frames = self.streams.queue.take(0.1, 10_000)
            while self._announced:
                announcement = self._announced.popleft()
                self._journal.append(Record(RecordKind.MARKET, NOON, announcement.header().encode()))
                self._state.announce(announcement)
            for frame in frames:
                self._journal.append(
                    Record(RecordKind.FRAME, frame.received_ns, frame.payload, frame.stream, frame.events)
                )
                self._state.apply(frame)
                self.chain.add(self._state, frame.received_ns)
            self._journal.flush()
            self.streams.queue.settle(frames)


def played_back(root: Path) -> SnapshotChain:
    chain, state = SnapshotChain(), LiveState(fills_cache_size=FILLS_KEPT)
    for record in read_records(journal_files(root)):
        if record.kind is RecordKind.MARKET:
            state.announce(Announcement.parse(record.payload.decode()))
        if record.kind is RecordKind.FRAME:
            state.apply(Frame(record.stream, record.payload, record.events, record.received_ns))
            chain.add(state, record.received_ns)
    return chain


@contextmanager
def journaled_run(server: SimulatorServer, root: Path, config: LiveStreamConfig) -> Iterator[JournaledRun]:
    run = JournaledRun(server, root, config)
    run.start()
    try:
        yield run
    finally:
        run.stop()


def until_received(run: JournaledRun, server: SimulatorServer) -> None:
    server.flush()
    wait_until(
        lambda: all(
            counts.received == server.sent[name] and not counts.queued
            for name, counts in run.streams.queue.counts().items()
        ),
        FOREVER,
        saw=run.streams.queue.counts,
    )


def random_messages(chance: random.Random, number: int) -> list[object]:
    at = NOON + number * 1_000_000 - chance.choice([0, 0, 3_000_000_000])
    kind = chance.choice(["quote", "quote", "trade", "bar", "correction", "cancel", "nonsense"])
    symbol = chance.choice(["AAPL", "MSFT"])
    stamped = {"t": timestamp_extension(at)}
    match kind:
        case "quote":
            return [{**quote(symbol, number / 100), **stamped} for _ in range(chance.randint(1, 4))]
        case "trade":
            return [{**trade_message(symbol, number / 100, i=number % 5), **stamped}]
        case "bar":
            return [
                {
                    "T": "b",
                    "S": symbol,
                    "o": 1,
                    "h": 2,
                    "l": 1,
                    "c": number,
                    "v": 9,
                    "n": 2,
                    "vw": 1.5,
                    **stamped,
                }
            ]
        case "correction":
            return [{"T": "c", "S": symbol, "oi": number % 5, "ci": number, "cp": 7.5, "cs": 3, **stamped}]
        case "cancel":
            return [{"T": "x", "S": symbol, "i": number % 5, "p": 1.0, "s": 1, **stamped}]
        case _:
            return [{"T": "q", "S": 7}, "no map", quote(symbol)]


def test_the_journal_of_a_run_gives_the_same_snapshots(running_simulator: Simulators, tmp_path: Path):
    """Every kind of message, nonsense, and a second connection with the simulator's time announced again."""
    server = running_simulator(SilentMarket(start_ns=NOON), faults=Faults(unknown_type=True))
    chance = random.Random(11)
    config = replace(CONFIG, stock_channels=("quotes", "trades", "bars"))
    with journaled_run(server, tmp_path, config) as run:
        for part in range(2):
            connected = 3 + 3 * part
            wait_until(lambda connected=connected: sum(server.connections.values()) == connected)  # type: ignore[misc]
            wait_until(lambda: server.subscribed(STOCKS) and server.subscribed(OPTIONS))
            wait_until(lambda: any("stream" in path and views for path, views in server.clients.items()))
            for number in range(part * 150, part * 150 + 150):
                server.push(STOCKS, random_messages(chance, number))
                server.push(OPTIONS, [{**quote(CALL, number / 10), "t": timestamp_extension(NOON + number)}])
                if number % 10 == 0:
                    server.push(FILLS, [FILL])
            until_received(run, server)
            if not part:
                server.disconnect_all()
                wait_until(lambda: not server.clients)

    again = played_back(tmp_path)
    assert run.chain.links == again.links > 300
    assert run.chain.hexdigest == again.hexdigest


def test_another_order_of_frames_would_have_been_noticed(running_simulator: Simulators, tmp_path: Path):
    """The chain proves something: it tells two journals apart that differ in one pair of frames."""
    server = running_simulator(SilentMarket(start_ns=NOON))
    with journaled_run(server, tmp_path / "live", replace(CONFIG, stream_fills=False)) as run:
        wait_until(lambda: server.subscribed(STOCKS))
        for number in range(20):
            server.push(STOCKS, [{**quote("AAPL", number), "t": timestamp_extension(NOON + number)}])
        until_received(run, server)

    records = list(read_records(journal_files(tmp_path / "live")))
    swapped = JournalWriter(tmp_path / "swapped", "live")
    for record in [*records[:-2], records[-1], records[-2]]:
        swapped.append(record)
    swapped.close()
    assert played_back(tmp_path / "live").hexdigest == run.chain.hexdigest
    assert played_back(tmp_path / "swapped").hexdigest != run.chain.hexdigest


def test_the_journal_of_two_real_days_gives_the_same_snapshots(
    recordings: Recordings, running_simulator: Simulators, tmp_path: Path
):
    recorded = recordings.folder("quotes", "trades", opening=not LONG)
    (symbol,) = IntradayStore(recorded).list_symbols("stocks", "trades")
    config = LiveStreamConfig(
        stocks=(symbol,), stream_options=False, stream_fills=False, queue_maxsize=1_000_000
    )
    server = running_simulator(ReplayMarket(recorded, speed=0))
    with journaled_run(server, tmp_path / "live", config) as run:
        wait_until(lambda: server.finished, FOREVER)
        until_received(run, server)

    assert played_back(tmp_path / "live").hexdigest == run.chain.hexdigest


def test_real_recordings_are_rebuilt_member_for_member_and_replayed_row_for_row(
    recordings: Recordings, running_simulator: Simulators, tmp_path: Path
):
    """Captured from the simulator, rebuilt from the journal, and captured once more from the captured folder."""
    recorded = recordings.folder("quotes", "trades", "spxw", opening=not LONG)
    streams = LiveStreamConfig(
        stocks=IntradayStore(recorded).list_symbols("stocks", "trades"),
        option_contracts=IntradayStore(recorded).list_symbols("options", "quotes"),
        stream_fills=False,
        queue_maxsize=1_000_000,
    )
    serve = partial(ReplayMarket, speed=0)

    # A replay that begins without the client of a stream is not a replay of all.
    simulator = partial(running_simulator, gathering_seconds=FOREVER)
    first = capture_all(simulator(serve(recorded)), tmp_path / "first", streams)
    second = capture_all(simulator(serve(tmp_path / "first")), tmp_path / "second", streams)

    assert (first.lost, second.lost) == (0, 0)
    rebuild(tmp_path / "first", tmp_path / "again")
    assert partitions(tmp_path / "again") == partitions(tmp_path / "first")
    assert audit(tmp_path / "first").problems == ()
    assert events_in(tmp_path / "second") == events_in(tmp_path / "first")


def events_in(root: Path) -> dict[tuple[str, ...], list[tuple[object, ...]]]:
    """All rows without the moment of receipt, which is the capture's own."""
    store = IntradayStore(root)
    return {
        (kind, dataset, symbol): list(
            store.read(kind, dataset, symbol)
            .drop(columns="recv_ns")
            .astype(str)
            .itertuples(index=False, name=None)
        )
        for kind in ("stocks", "options")
        for dataset in ("quotes", "trades")
        for symbol in store.list_symbols(kind, dataset)
    }
