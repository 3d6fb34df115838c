"""How a stream's silence is judged: a mute connection is ended, a closed market and an illiquid contract are not."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.data.streaming.engine.pulse import Absence
from options_helper.data.streaming.engine.worker import REFUSED_PAUSES, RetryPolicy, StreamWorker
from options_helper.errors import StreamError, StreamRefused
from options_helper.model.instants import utc_datetime
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.fakes import (
    SETTINGS,
    ScriptedStream,
    ScriptedStreams,
    Step,
    SteppedClock,
    acknowledge,
    deliver,
    fail,
    frame,
    quote_message,
    wait_for,
)
from tests.kit.waiting import AT_ONCE, wait_until

DATA = deliver(frame(quote_message("AAPL")))


@dataclass
class Watched:
    """A worker whose clock and market the test moves."""

    worker: StreamWorker
    clock: SteppedClock
    streams: ScriptedStreams
    market_is_open: bool = True
    began: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.began = utc_datetime(self.clock())

    @property
    def health(self) -> StreamHealth:
        return self.worker.health("iex", self.clock())

    def after(self, seconds: float) -> Phase:
        """Let time pass, look once a second as the consumer does, and say how the stream looks then."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            phase = self.health.phase
            self.worker.watch()
        return phase

    def receive(self) -> None:
        self.worker.frame(frame(quote_message("AAPL")), 1)

    def quietly_for(self, seconds: float) -> StreamHealth:
        """Let time pass, and look at the end of it."""
        self.clock.advance(seconds)
        self.worker.watch()
        return self.health

    def wait_for_connections(self, count: int) -> None:
        wait_until(lambda: self.health.connections >= count, saw=lambda: self.health)


def _wanting(stream: ScriptedStream, *symbols: str) -> ScriptedStream:
    stream.subscribe(symbols)
    return stream


@contextmanager
def watched(
    *script: Step,
    before: Sequence[Step] = (),
    stall_seconds: float = 60.0,
    name: StreamName = StreamName.STOCKS,
    streams: ScriptedStreams | None = None,
    refused_pauses: tuple[float, ...] = REFUSED_PAUSES,
    max_reconnects: int | None = None,
    connections: int = 1,
    **more: Any,
) -> Iterator[Watched]:
    clock = SteppedClock()
    steps = script or (acknowledge(), DATA)
    streams = streams or (ScriptedStreams(before, steps) if before else ScriptedStreams(steps))
    worker = StreamWorker(
        name,
        lambda sink: _wanting(streams(SETTINGS, sink=sink), "AAPL", "ZZZZ"),
        FrameQueue(1_000),
        policy=RetryPolicy(
            stall_seconds=stall_seconds,
            base_seconds=0.01,
            cap_seconds=0.02,
            refused_pauses=refused_pauses,
            max_reconnects=max_reconnects,
        ),
        announce=lambda _: None,
        market_ns=lambda wall_ns: wall_ns,
        expects_data=lambda _: subject.market_is_open,
        now_ns=clock,
        monotonic=clock.monotonic,
        **more,
    )
    subject = Watched(worker, clock, streams)
    worker.start()
    try:
        subject.wait_for_connections(connections)
        yield subject
    finally:
        worker.stop()
        assert worker.join(AT_ONCE)


def test_a_stream_that_hears_is_live():
    with watched() as stream:
        assert stream.after(10) is Phase.LIVE


def test_a_silent_stream_is_called_stalled_before_it_is_ended():
    with watched() as stream:
        assert stream.after(45) is Phase.STALLED
        assert len(stream.streams.made) == 1


def test_a_mute_connection_is_ended_and_made_anew():
    with watched() as stream:
        stream.after(61)
        stream.wait_for_connections(2)
        # Also for whoever shares it: leaving alone would find the same mute connection again.
        assert stream.streams.made[0].is_abandoned
        (gap,) = stream.health.gaps
        assert "No stocks data for 60 s" in gap.reason
        assert gap.until is not None
        assert gap.until - gap.since == timedelta(seconds=61), "from the last frame on, however long ago"


def test_deafness_before_the_first_connection_is_a_gap():
    """A server that still holds a dead session refuses for a minute and a half."""
    with watched(before=[fail("connection limit exceeded")]) as stream:
        (gap,) = stream.health.gaps
        assert gap.until is not None
        assert (gap.reason, gap.since) == ("connection limit exceeded", stream.began)


def test_a_first_connection_that_simply_takes_its_time_is_no_gap():
    with watched() as stream:
        assert stream.health.gaps == ()


def test_gaps_are_told_on_the_clock_that_is_asked_for():
    hour_ns = 3_600 * 1_000_000_000
    with watched(acknowledge(), fail("cut"), report_clock=lambda wall_ns: wall_ns + hour_ns) as stream:
        wait_until(lambda: stream.health.gaps)
        assert stream.health.gaps[0].since == stream.began + timedelta(hours=1)


def test_patience_doubles_while_nothing_comes_at_all():
    """An illiquid contract and a mute server look the same; the first must not be torn down every minute."""
    with watched(acknowledge()) as stream:
        stream.after(60)
        stream.wait_for_connections(2)
        stream.after(119)
        assert len(stream.streams.made) == 2
        stream.after(1)
        stream.wait_for_connections(3)


def test_a_closed_market_is_quiet_for_as_long_as_it_lasts():
    with watched() as stream:
        stream.market_is_open = False
        assert stream.after(3_600) is Phase.QUIET
        assert len(stream.streams.made) == 1


def test_the_silence_of_a_closed_market_does_not_count_after_the_open():
    with watched() as stream:
        stream.market_is_open = False
        stream.after(300)
        stream.receive()
        stream.market_is_open = True
        assert stream.after(5) is Phase.LIVE


def test_a_connection_that_is_mute_since_before_the_open_is_made_anew_a_minute_after_it():
    """The recorder connects half a minute before the open, by design."""
    with watched(acknowledge()) as stream:
        stream.market_is_open = False
        stream.quietly_for(30)
        stream.market_is_open = True
        opened = utc_datetime(stream.clock())
        stream.quietly_for(0)
        assert stream.quietly_for(59).phase is Phase.STALLED
        stream.quietly_for(1)
        stream.wait_for_connections(2)
        wait_until(lambda: stream.health.gaps and stream.health.gaps[0].until)
        (gap,) = stream.health.gaps
        assert (gap.since, gap.seconds) == (opened, 60), "not from the connection on"


def test_a_night_is_no_silence_at_the_next_open():
    with watched() as stream:
        stream.quietly_for(1)
        stream.market_is_open = False
        stream.quietly_for(63_000)
        stream.market_is_open = True
        assert stream.quietly_for(1).phase is Phase.LIVE
        assert stream.quietly_for(1).gap_count == 0


def test_a_clock_that_is_put_forward_makes_no_silence():
    with watched() as stream:
        stream.quietly_for(1)
        stream.clock.put_forward(300)
        assert stream.quietly_for(1).phase is Phase.LIVE
        assert (stream.health.gap_count, stream.health.connections) == (0, 1)


def test_a_clock_that_is_put_back_hides_no_silence():
    with watched() as stream:
        stream.quietly_for(1)
        stream.clock.put_forward(-1_800)
        stream.receive()
        stream.quietly_for(100)
        stream.wait_for_connections(2)
        wait_until(lambda: stream.health.gaps and stream.health.gaps[0].until)
        assert stream.health.gaps[0].seconds == 100


def test_a_gap_during_which_the_clock_is_put_back_is_no_negative_one():
    again = threading.Event()
    with watched(wait_for(again), acknowledge(), before=[acknowledge(), fail("cut")]) as stream:
        wait_until(lambda: stream.health.gaps)
        stream.clock.put_forward(-3_600)
        again.set()
        stream.wait_for_connections(2)
        wait_until(lambda: stream.health.gaps[0].until)
        assert stream.health.gaps[0].seconds == 0


def test_a_stream_of_which_nothing_can_be_read_is_left_as_if_it_were_silent():
    with watched() as stream:
        stream.worker.watch(applied=1)
        for number in range(1, 70):
            stream.receive()
            stream.clock.advance(1)
            stream.worker.watch(applied=1, rejected=number)
        stream.wait_for_connections(2)
        assert "No stocks data that can be read for 60 s" in stream.health.gaps[0].reason


def test_an_illiquid_contract_may_be_as_quiet_as_it_was_before():
    with watched() as stream:
        for _ in range(3):
            stream.after(50)
            stream.receive()
        assert stream.after(70) is Phase.QUIET
        assert len(stream.streams.made) == 1


def test_a_quiet_account_is_never_stalled():
    with watched(acknowledge(), name=StreamName.FILLS) as stream:
        assert stream.after(600) is Phase.LIVE


def test_only_a_connection_that_lived_makes_the_next_failure_the_first():
    """A server that accepts and drops at once must not be hammered."""
    with watched(acknowledge(), fail("cut")) as stream:
        stream.wait_for_connections(4)
        assert len(stream.health.gaps) >= 3
        wait_until(lambda: stream.health.reconnect_attempts >= 3)


def absence(stream: Watched, seconds: float) -> Absence:
    """A stretch until now in which nothing ran."""
    return Absence(stream.clock() - int(seconds * 1e9), stream.clock())


def test_a_connection_that_is_lost_on_waking_has_its_gap_from_the_last_look_on():
    """What the kernel had kept is read at once, and must not move the beginning of the gap to the waking."""
    cut = threading.Event()
    looked: list[str] = []

    def look() -> None:
        if not looked and cut.is_set():
            looked.append("once")
            stream.worker.absent(absence(stream, 7_200))

    streams = ScriptedStreams([acknowledge(), wait_for(cut), DATA, fail("reset")], [acknowledge()])
    with watched(streams=streams, look=look) as stream:
        stream.clock.advance(7_200)
        cut.set()
        stream.wait_for_connections(2)
        wait_until(lambda: stream.health.gap_count == 2 and stream.health.gaps[-1].until)
        slept, lost = stream.health.gaps
        assert (slept.since, slept.seconds) == (stream.began, 7_200)
        assert (lost.reason, lost.since) == ("reset", slept.until), "they do not overlap"


def test_a_half_open_connection_after_a_sleep_makes_no_second_gap_over_the_first():
    """Its pings fail a quarter of a minute after the waking, and it may have been dead for as long before."""
    cut = threading.Event()
    streams = ScriptedStreams([acknowledge(), DATA, wait_for(cut), fail("no pong")], [acknowledge()])
    with watched(streams=streams) as stream:
        stream.clock.advance(600)
        stream.worker.absent(absence(stream, 600))
        stream.clock.advance(10)
        cut.set()
        stream.wait_for_connections(2)
        wait_until(lambda: stream.health.gap_count == 2 and stream.health.gaps[-1].until)
        slept, lost = stream.health.gaps
        assert lost.since == slept.until
        assert lost.seconds == 10


def test_a_stream_that_was_lost_already_needs_no_gap_for_the_sleep():
    again = threading.Event()
    with watched(wait_for(again), acknowledge(), before=[acknowledge(), fail("cut")]) as stream:
        wait_until(lambda: stream.health.gaps)
        stream.clock.advance(600)
        stream.worker.absent(absence(stream, 600))
        again.set()
        stream.wait_for_connections(2)
        assert stream.health.gap_count == 1


def test_the_silence_of_a_process_that_did_not_run_is_none():
    with watched() as stream:
        stream.quietly_for(1)
        stream.clock.advance(600)
        stream.worker.absent(absence(stream, 600))
        assert stream.quietly_for(0).phase is Phase.LIVE
        assert stream.quietly_for(29).phase is Phase.LIVE
        assert stream.quietly_for(31).phase is not Phase.LIVE, "a minute after the waking it is"


REFUSED = [fail(StreamRefused("key refused"))]
BROKEN = [fail(StreamError("no route"))]


def test_a_refused_stream_is_looked_at_again_by_itself_and_recovers():
    streams = ScriptedStreams(*[REFUSED] * 5, [acknowledge()])
    with watched(streams=streams, refused_pauses=(0.01, 0.02)) as stream:
        assert stream.health.phase is Phase.LIVE
        assert len(streams.made) == 6, "one try at a time"
        (gap,) = stream.health.gaps
        assert (gap.reason, gap.until is not None) == ("key refused", True)


def test_a_refused_stream_says_when_it_is_looked_at_again_and_for_how_long_it_has_been():
    pauses = (0.01, 3_600.0)
    with watched(streams=ScriptedStreams(REFUSED), refused_pauses=pauses, connections=0) as stream:
        wait_until(lambda: len(stream.streams.made) == 3 and stream.health.next_try_at)
        stream.clock.advance(600)
        health = stream.health
        assert health.next_try_at == stream.began + timedelta(seconds=3_600)
        assert (health.phase, health.refused_seconds, health.alive) == (Phase.FAILED, 600, True)
        stream.worker.revive()
        wait_until(lambda: len(stream.streams.made) == 4)


def test_a_look_that_meets_another_fault_is_no_refusal_and_no_hammer():
    """Refused, then unreachable, then refused again: that is one confirmation already."""
    streams = ScriptedStreams(REFUSED, REFUSED, BROKEN, REFUSED, [acknowledge()])
    with watched(streams=streams, refused_pauses=(0.01, 3_600.0), connections=0) as stream:
        wait_until(lambda: len(streams.made) == 4 and stream.health.phase is Phase.FAILED)
        assert stream.health.last_error == "key refused"


def test_a_limit_of_tries_counts_those_of_a_refused_stream_too():
    streams = ScriptedStreams(REFUSED)
    with watched(streams=streams, refused_pauses=(0.01,), max_reconnects=5, connections=0) as stream:
        wait_until(lambda: not stream.health.alive)
        assert "Gave up after 5 reconnects" in (stream.health.last_error or "")
        assert (len(streams.made), stream.health.next_try_at) == (6, None)


def test_a_refused_stream_is_stopped_at_once():
    with watched(streams=ScriptedStreams(REFUSED), connections=0) as stream:
        wait_until(lambda: stream.health.phase is Phase.FAILED)
        stream.worker.stop()
        assert stream.worker.join(AT_ONCE)
        assert stream.health.phase is Phase.FAILED, "which it was to the end"


def test_a_refusal_is_forgotten_when_the_symbol_is_dropped():
    with watched(acknowledge("ZZZZ")) as stream:
        assert "ZZZZ" in (stream.health.last_error or "")
        stream.worker.subscribed(("AAPL",), ("AAPL",), {})
        assert stream.health.last_error is None


def test_a_stopped_worker_says_so():
    with watched() as stream:
        stream.worker.stop()
        assert stream.worker.join(AT_ONCE)
        assert stream.health.phase is Phase.STOPPED
        assert not stream.health.alive
