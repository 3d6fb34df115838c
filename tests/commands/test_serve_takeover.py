"""Two `stream serve` on one desk, as processes: one leads, the other stands by, whatever becomes of the first."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.batch import Batch, Head, decode
from options_helper.bus.connection import BusConnection
from options_helper.bus.continuity import Position
from options_helper.bus.loop import LoopThread
from options_helper.bus.viewer import BusManager
from options_helper.clock import utc_now_ns
from options_helper.data.recording.journal import RecordKind
from options_helper.data.recording.loss_log import read_losses
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.messages import decode_frame
from options_helper.model.events import Quote
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat import Heartbeat
from options_helper.monitoring.heartbeat_file import CAPTURE_FILE, read_heartbeat
from options_helper.settings import DEMO_KEY, DEMO_SECRET, Settings
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.commands.test_bus_commands import command
from tests.commands.test_serve_command import environment
from tests.kit.builders import nanoseconds, new_york
from tests.kit.bus import CURRENT, NatsServer, both_servers, nats_server
from tests.kit.fakes import CONFIG, quote_message
from tests.kit.programs import Program
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until

STOCKS = StreamName.STOCKS
IEX = "/v2/iex"
WELL = (Phase.LIVE, Phase.QUIET)
# Of a lease, of an open connection at Alpaca that is not missed yet, and of a machine with other things to do.
TAKEN_OVER_WITHIN = 5.0 + AT_ONCE

pytestmark = pytest.mark.processes


@dataclass
class Reader:
    """Whoever follows the stocks of a desk, from the beginning."""

    address: BusAddress
    bids: list[float] = field(default_factory=list)
    heads: list[tuple[float, Head]] = field(default_factory=list)
    position: Position = field(default_factory=Position)

    def __enter__(self) -> Self:
        self._loop = LoopThread("live-reader")
        self._loop.start()
        self._connection = self._loop.call(self._follow(), AT_ONCE)
        return self

    async def _follow(self) -> BusConnection:
        connection = BusConnection(self.address)
        await connection.open("a reader")
        await connection.subscribe(self.address.names.followed(STOCKS), lambda _, data, __: self._hear(data))
        return connection

    def _hear(self, data: bytes) -> None:
        batch = decode(data)
        assert isinstance(batch, Batch)
        self.position, arrival = self.position.take(batch.head)
        self.heads.append((time.monotonic(), batch.head))
        assert arrival.is_new, "nothing comes twice, and nothing of an owner that was followed by another"
        for record in batch.records:
            if record.kind is RecordKind.FRAME:
                events, _, _ = decode_frame(record.payload)
                self.bids += [event.bid_price or 0.0 for event in events if isinstance(event, Quote)]

    @property
    def epochs(self) -> list[int]:
        """The terms that were heard, each once."""
        return list(dict.fromkeys(head.epoch for _, head in self.heads))

    def __exit__(self, *_: object) -> None:
        self._loop.call(self._connection.close(), AT_ONCE)
        self._loop.stop(AT_ONCE)


class Quoting:
    """Numbered quotes, one after another, all the while; and what of the connection was seen at each."""

    def __init__(self, market: SimulatorServer) -> None:
        self._market = market
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._push, name="quoting")
        self.last = 0
        self.most_clients = 0

    def _push(self) -> None:
        while not self._stopping.wait(0.02):
            self.last += 1
            self._market.push(
                STOCKS, [quote_message("AAPL", bid=float(self.last), at_ns=self._market.now_ns)]
            )
            clients = self._market.clients.get(IEX, ())
            self.most_clients = max(self.most_clients, sum(client.authenticated for client in clients))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(AT_ONCE)


class Owner:
    """One `stream serve`."""

    def __init__(self, name: str, folder: Path, nats: NatsServer, market: SimulatorServer) -> None:
        self._state = folder / f"{name}.json"
        (folder / name).mkdir()
        command = ["stream", "serve", "--bus", nats.url, "--stocks", "AAPL", "--keep", "0.05"]
        self.process = Program(
            *command, "--state", str(self._state), cwd=folder, env=environment(market, folder / name)
        )

    @property
    def beat(self) -> Heartbeat | None:
        return read_heartbeat(self._state)

    @property
    def activity(self) -> str:
        return "" if (beat := self.beat) is None else beat.activity or ""

    def until(self, words: str) -> None:
        wait_until(lambda: words in self.activity, A_PROCESS, saw=lambda: (self.process.poll(), self.beat))

    def until_streams(self) -> None:
        def acknowledged() -> int:
            beat = self.beat
            return 0 if beat is None or "stocks" not in beat.streams else beat.streams["stocks"].acknowledged

        wait_until(lambda: acknowledged() == 1, A_PROCESS, saw=lambda: (self.process.poll(), self.beat))

    def send(self, what: int) -> None:
        os.kill(self.process.pid, what)

    def end(self) -> str:
        """Ask it to end; what it said."""
        self.send(signal.SIGTERM)
        said, _ = self.process.communicate(timeout=A_PROCESS)
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@dataclass
class Scene:
    """A market, a bus, one owner that leads, one that stands by, and a reader."""

    market: SimulatorServer
    nats: NatsServer
    leads: Owner
    waits: Owner
    reader: Reader
    quoting: Quoting

    def until_heard(self, more: int = 5) -> None:
        """Until the reader has heard so many more quotes."""
        before = len(self.reader.bids)
        wait_until(
            lambda: len(self.reader.bids) > before + more, A_PROCESS, saw=lambda: self.reader.heads[-3:]
        )

    def until_taken_over(self, terms: int = 2) -> float:
        """Until another term has begun; when that was heard."""
        wait_until(lambda: len(self.reader.epochs) == terms, A_PROCESS, saw=lambda: self.reader.epochs)
        epoch = self.reader.epochs[-1]
        return next(at for at, head in self.reader.heads if head.epoch == epoch)

    def check_one_story(self) -> None:
        """What was sent, in its order, none twice, with one hole for each change of owners at most."""
        bids = self.reader.bids
        assert bids == sorted(set(bids)), "in order, and none twice"
        assert set(bids) <= {float(number) for number in range(1, self.quoting.last + 1)}
        holes = [(one, two) for one, two in pairwise(bids) if two != one + 1]
        assert len(holes) <= len(self.reader.epochs) - 1, holes
        assert (self.reader.position.missed, self.reader.position.lost_count) == (0, 0)
        assert self.quoting.most_clients == 1, "the account has one connection"


@contextmanager
def scene(folder: Path, binary: str | Path | None) -> Iterator[Scene]:
    start = nanoseconds(new_york("2026-11-20 11:00"))
    with ExitStack() as stack:
        market = stack.enter_context(
            SimulatorServer(SilentMarket(start_ns=start), key=DEMO_KEY, secret=DEMO_SECRET)
        )
        nats = stack.enter_context(nats_server(binary))
        leads = stack.enter_context(Owner("first", folder, nats, market))
        leads.until_streams()
        reader = stack.enter_context(Reader(nats.address))
        quoting = stack.enter_context(Quoting(market))
        waits = stack.enter_context(Owner("second", folder, nats, market))
        waits.until("standing by")
        made = Scene(market, nats, leads, waits, reader, quoting)
        made.until_heard()
        yield made


@contextmanager
def viewing(address: BusAddress) -> Iterator[BusManager]:
    viewer = BusManager(Settings(), address)
    viewer.start(replace(CONFIG, stocks=("AAPL",), option_contracts=()))
    try:
        wait_until(lambda: viewer.snapshot().streams[STOCKS].phase in WELL, A_PROCESS)
        yield viewer
    finally:
        viewer.stop()


@both_servers
def test_an_owner_that_is_killed_is_followed_with_one_hole_and_nobody_calls_it_live_in_between(
    tmp_path: Path, binary: str | Path | None
):
    with scene(tmp_path, binary) as made, viewing(made.nats.address) as viewer:
        assert "leads the desk" in made.waits.activity
        time_killed = time.monotonic()
        made.leads.send(signal.SIGKILL)
        wait_until(lambda: not made.market.clients.get(IEX))
        told_well: list[bool] = []

        def look() -> bool:
            """Whether the next one streams; what the viewer says until then."""
            stocks = viewer.snapshot().streams[STOCKS]
            streams = bool(made.market.subscribed(STOCKS))
            if not streams:
                told_well.append(stocks.phase in WELL)
            return streams

        wait_until(look, A_PROCESS, every=0.005)
        took = made.until_taken_over() - time_killed
        made.until_heard(20)
        wait_until(lambda: viewer.snapshot().streams[STOCKS].phase in WELL, A_PROCESS)
        stocks = viewer.snapshot().streams[STOCKS]

        # Well until the first one was unheard for three seconds, or the next one spoke; never again before it streams.
        assert told_well == sorted(told_well, reverse=True)
        assert told_well[-1] is False
        assert took < TAKEN_OVER_WITHIN
        assert [gap.reason for gap in stocks.gaps if "Another owner" in gap.reason] != []
        said = made.waits.end()
    made.check_one_story()
    assert "serving 1 stock" in said
    print(f"taken over after {took:.1f} s")  # noqa: T201 - shown with -s, for whoever measures


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_recording_has_the_time_without_an_owner_as_a_gap_and_says_how_long_it_was(
    tmp_path: Path, how: signal.Signals
):
    out = tmp_path / "out"

    def applied() -> int:
        beat = read_heartbeat(out / CAPTURE_FILE)
        return 0 if beat is None or "stocks" not in beat.streams else beat.streams["stocks"].applied

    with (
        scene(tmp_path, CURRENT) as made,
        command(
            tmp_path, {}, "stream", "capture", "--bus", made.nats.url, "--stocks", "AAPL", "--out", str(out)
        ) as capture,
    ):
        wait_until(lambda: applied() > 5, A_PROCESS)
        # However late this thread looks, each of the two was between these.
        looked_ns = [utc_now_ns()]

        def is_back() -> bool:
            before = utc_now_ns()
            found = bool(made.market.subscribed(STOCKS))
            looked_ns.append(utc_now_ns() if found else before)
            return found

        made.leads.send(how)
        wait_until(lambda: not made.market.clients.get(IEX), every=0.005)
        looked_ns.append(utc_now_ns())
        wait_until(is_back, A_PROCESS, every=0.005)
        made.until_taken_over()
        made.until_heard(20)
        before = applied()
        wait_until(lambda: applied() > before + 20, A_PROCESS)
        capture.send_signal(signal.SIGTERM)
        said, _ = capture.communicate(timeout=A_PROCESS)

    (row,) = read_losses(out).rows
    assert row.until_ns is not None
    second = 1_000_000_000
    assert looked_ns[0] - second < row.since_ns < looked_ns[1] + second, (row, looked_ns)
    assert looked_ns[-2] - second < row.until_ns < looked_ns[-1] + second, (row, looked_ns)
    assert row.lost is None, "nobody could count"
    lasted = f"{(row.until_ns - row.since_ns) / 1_000_000_000:.1f} s"
    assert f"For {lasted} no owner of the desk listened" in said
    assert "Nothing was lost" not in said
    assert capture.returncode == 0, said
    verified = audit(out)
    assert verified.ok
    assert [(one.since_ns, one.until_ns) for one in verified.gaps] == [(row.since_ns, row.until_ns)]


@both_servers
def test_an_owner_that_is_frozen_steps_down_when_it_wakes_and_nothing_of_it_is_heard(
    tmp_path: Path, binary: str | Path | None
):
    with scene(tmp_path, binary) as made:
        made.leads.send(signal.SIGSTOP)
        made.until_taken_over()
        heard = len(made.reader.heads)
        # Its connection is open all the while, so the new one is refused until it has closed that.
        last = made.quoting.last
        wait_until(lambda: made.quoting.last > last + 100)
        made.leads.send(signal.SIGCONT)
        made.leads.until("standing by")
        made.until_heard(20)

        newest = made.reader.epochs[-1]
        assert {head.epoch for _, head in made.reader.heads[heard:]} <= {newest}
        said = made.leads.end()
        assert "steps down" in said or "This one ends" in said
    made.check_one_story()


def test_an_owner_that_is_asked_to_end_is_followed_at_once(tmp_path: Path):
    with scene(tmp_path, CURRENT) as made:
        asked = time.monotonic()
        said = made.leads.end()
        took = made.until_taken_over() - asked
        made.until_heard(20)

        assert made.leads.process.returncode == 0, said
        assert took < TAKEN_OVER_WITHIN
    made.check_one_story()
    print(f"handed over after {took:.1f} s")  # noqa: T201 - as above
