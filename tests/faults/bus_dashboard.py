"""Programs of the soak on a bus: an owner that sends at a rate, and a dashboard that follows; each told by its input.

`python -m tests.faults.bus_dashboard owner URL RATE` or `… viewer URL DETAIL`. A line in asks for a line out, JSON; an
empty one ends it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from options_helper.analysis.live_health import headline
from options_helper.bus.address import BusAddress
from options_helper.bus.detail import Detail
from options_helper.bus.owner import BusOwner
from options_helper.bus.term_carrier import Owner
from options_helper.bus.viewer import BusManager
from options_helper.clock import utc_now_ns
from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.data.streaming.messages import Decode, decode_frame
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamId, StreamName
from options_helper.settings import Settings
from tests.kit.fakes import frame, quote_message, trade_message

STOCKS: Final = StreamName.STOCKS
SYMBOLS: Final = tuple(f"S{number:03d}" for number in range(100))
PER_FRAME: Final = 20
TICK_SECONDS: Final = 0.02
DRAW_SECONDS: Final = 0.5
CONFIG: Final = LiveStreamConfig(stocks=SYMBOLS, stream_options=False, stream_fills=False)


class Sending:
    """A source whose one stream sends at a rate, from the first `go` until `enough`."""

    streams: tuple[StreamId, ...] = (STOCKS,)

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.go, self.enough, self._end = threading.Event(), threading.Event(), threading.Event()
        self.sent = 0
        # Every tenth message a trade, so that the slow feed has some of both.
        messages = [
            trade_message(SYMBOLS[at % 100], price=at)
            if at % 10 == 0
            else quote_message(SYMBOLS[at % 100], bid=at)
            for at in range(PER_FRAME * 500)
        ]
        self._frames = [frame(*messages[at : at + PER_FRAME]) for at in range(0, len(messages), PER_FRAME)]

    def check(self, settings: Settings) -> None:
        """It needs nothing."""

    def decoder(self, _: StreamId) -> Decode:
        """As Alpaca's."""
        return decode_frame

    def streamer(self, _: StreamId, __: Settings, ___: LiveStreamConfig, sink: StreamSink) -> Sending:
        """Itself."""
        self._sink = sink
        return self

    def subscribe(self, symbols: Sequence[str], **_: object) -> None:
        """All are streamed."""

    def unsubscribe(self, symbols: Sequence[str], **_: object) -> None:
        """Nothing."""

    def stop(self) -> None:
        """End."""
        self._end.set()
        self.go.set()

    abandon = stop

    def run(self) -> None:
        """As a socket's thread would."""
        self._sink.connected(None)
        self._sink.subscribed(SYMBOLS, SYMBOLS, {})
        self.go.wait()
        began = time.monotonic()
        while not self.enough.is_set() and not self._end.wait(TICK_SECONDS):
            due = int((time.monotonic() - began) * self._rate)
            while self.sent < due:
                self._sink.frame(self._frames[self.sent // PER_FRAME % len(self._frames)], PER_FRAME)
                self.sent += PER_FRAME
        self._end.wait()


def ledger(snapshot: LiveSnapshot) -> dict[str, object]:
    """What a stream says of itself, and whether it adds up."""
    health = snapshot.streams[STOCKS]
    return {
        "accounted": health.accounted,
        "phase": str(health.phase),
        "received": health.received,
        "applied": health.applied,
        "dropped": health.dropped,
        "rejected": health.rejected,
        "queued": health.queued,
        "missed": health.missed,
    }


def converse(answer: Callable[[str], dict[str, object]]) -> None:
    """A line out for each line in."""
    for line in sys.stdin:
        if not line.strip():
            return
        sys.stdout.write(f"{json.dumps(answer(line.strip()))}\n")
        sys.stdout.flush()


def be_owner(url: str, rate: int) -> None:
    """Serve: `go`, `enough`, or anything else for the ledger."""
    source = Sending(rate)
    owner = BusOwner(
        BusAddress.parse(url),
        Owner("here", os.getpid(), utc_now_ns()),
        (STOCKS,),
        now_ns=utc_now_ns,
        limits={STOCKS: None},
    )
    owner.open()
    manager = LiveStreamManager(Settings(), source=source, rest_cls=None, carry=owner.carry)
    owner.tell_of(manager.snapshot)
    manager.start(CONFIG)

    def answer(word: str) -> dict[str, object]:
        if word in ("go", "enough"):
            getattr(source, word).set()
        return {**ledger(manager.snapshot()), "sent": source.sent}

    converse(answer)
    manager.stop()
    owner.close()


def be_viewer(url: str, detail: str) -> None:
    """Follow, and look twice a second as a page does; whether the law ever failed is remembered."""
    viewer = BusManager(Settings(), BusAddress.parse(url, detail=Detail(detail)))
    viewer.start(CONFIG)
    broken: list[dict[str, object]] = []
    ending = threading.Event()

    def look() -> None:
        while not ending.wait(DRAW_SECONDS):
            snapshot = viewer.snapshot()
            headline(snapshot)
            if not snapshot.streams[STOCKS].accounted:
                broken.append(ledger(snapshot))

    looking = threading.Thread(target=look, name="live-dashboard")
    looking.start()
    converse(lambda _: {**ledger(viewer.snapshot()), "broken": broken})
    ending.set()
    looking.join()
    viewer.stop()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["owner", url, rate]:
            be_owner(url, int(rate))
        case ["viewer", url, detail]:
            be_viewer(url, detail)
