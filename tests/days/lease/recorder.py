"""Who records a desk from another program: the product's own `PlaceReader` over one consumer after another.

What is written here is what the product's threads do: go on from the place that the journal names, take what the store
has as far as there is room, and write it down, in members that are there as a whole or not at all.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from options_helper.bus.place_reader import PlaceReader
from options_helper.bus.recorded_place import first_behind, place_to_begin
from options_helper.bus.recording import EMPTY_FETCHES, FETCH_MESSAGES, FETCH_SECONDS, FULL, WAIT_SECONDS
from options_helper.data.recording.journal import RecordKind
from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.errors import StreamError
from options_helper.model.frames import Mark, Place
from tests.days.lease.lines import Delivered, Line, Network, Pull, Server, Work
from tests.days.lease.owner import NAMES
from tests.days.lease.record_oracle import STOCKS
from tests.days.life import Life

if TYPE_CHECKING:
    from tests.days.lease.record_oracle import RecordOracle
    from tests.days.stage import Stage

STORE: Final = NAMES.store(STOCKS)
SUBJECT: Final = NAMES.published(STOCKS)
AGAIN_SECONDS: Final = 1.0
WRITE_SECONDS: Final = 0.2
CALL_SECONDS: Final = 5.0
# The server would wait with its answer for so long as nothing is there; here it is asked again.
POLL_SECONDS: Final = 0.25
EMPTY_POLLS: Final = int(EMPTY_FETCHES * FETCH_SECONDS / POLL_SECONDS)


class Recorder(Life):
    """One program; it may be killed, frozen, and cut off. Its journal outlives it."""

    def __init__(
        self, stage: Stage, oracle: RecordOracle, server: Server, network: Network, room: int
    ) -> None:
        super().__init__(stage)
        self.oracle, self._server, self.network, self._room = oracle, server, network, room
        self._dice = stage.dice("how much a recorder writes at once")
        self.is_slow = False
        self.away: float | None = None  # it is killed for so long as soon as a batch is written down in part
        self._line: Line | None = None
        self._reader: PlaceReader | None = None

    @property
    def runs(self) -> bool:
        """Whether it does anything at this moment."""
        return self.is_alive and not self.is_frozen and not self.stage.agenda.is_asleep

    @property
    def place(self) -> Place | None:
        """How far it has come, written down or not."""
        return None if self._reader is None else self._reader.place

    def start(self) -> None:
        """Begin, from what the journal says."""
        if self.is_alive or self.oracle.is_over:
            return
        self.begin_life()
        self.stage.note("the recorder starts")
        self._queue = FrameQueue(self._room, (STOCKS,), self.stage.clocks.elapsed)
        place = self.oracle.place
        self._reader = None if place is None else PlaceReader(STOCKS, place)
        self._connect()
        self.later(WRITE_SECONDS, self._write)

    def kill(self) -> None:
        """What was not written down is gone."""
        self.away = None
        if self.is_alive:
            self.stage.note("the recorder ends")
            self.end_life()
            for line in list(self.network.lines):
                line.end()

    def write_again(self) -> None:
        """What held up its writer is over."""
        self.is_slow = False

    # The way there.

    def _connect(self) -> None:
        line = self._line = Line(self._server, self.network, self)
        if self._server.is_down:
            line.end()
        Work(self, self._greet(line), partial(self._pulls, line), within=CALL_SECONDS)

    async def _greet(self, line: Line) -> Pull:
        await line.greet()
        if self._reader is None:
            place = await place_to_begin(line, STORE, SUBJECT, 0)
            self._queue.note(STOCKS, Mark(place), self.stage.clocks.wall_ns())
            self._reader = PlaceReader(STOCKS, place)
        return await self._begin_anew(line, self._reader)

    @staticmethod
    async def _begin_anew(line: Line, reader: PlaceReader) -> Pull:
        first = await first_behind(line, STORE, SUBJECT, reader.place, STOCKS)
        reader.begin()
        return line.pull(STORE, SUBJECT, first)

    def _pulls(self, line: Line, pull: Pull | None, error: StreamError | None) -> None:
        if line is not self._line:
            return
        if error is not None or pull is None:
            line.end()
            self.later(AGAIN_SECONDS, self._connect)
        else:
            self._fetch(line, pull, 0)

    def _fetch(self, line: Line, pull: Pull, empty: int) -> None:
        Work(self, pull.fetch(FETCH_MESSAGES), partial(self._fetched, line, pull, empty))

    def _fetched(
        self, line: Line, pull: Pull, empty: int, found: list[Delivered] | None, error: StreamError | None
    ) -> None:
        if line is not self._line:
            return
        if line.is_ended:
            self.later(AGAIN_SECONDS, self._connect)
        elif error is not None or found is None or empty >= EMPTY_POLLS:
            self._pull_anew(line)
        else:
            take = partial(self._take, line, pull, 0 if found else empty + 1, deque(found))
            self.later(0.0 if found else POLL_SECONDS, take)

    def _pull_anew(self, line: Line) -> None:
        assert self._reader is not None
        begun = self._begin_anew(line, self._reader)
        Work(self, begun, partial(self._pulls, line), within=CALL_SECONDS)

    def _take(self, line: Line, pull: Pull, empty: int, found: deque[Delivered]) -> None:
        """Hand over one after another, as far as there is room."""
        if line is not self._line:
            return
        assert self._reader is not None
        while found:
            if self._queue.fill > FULL:
                self.later(WAIT_SECONDS, partial(self._take, line, pull, empty, found))
                return
            items = self._reader.take(*found.popleft())
            if items is None:
                self._pull_anew(line)
                return
            for record, mark in items:
                if record is not None and record.kind is RecordKind.FRAME:
                    self._queue.put(STOCKS, record.payload, record.events, record.received_ns, mark)
                else:
                    self._queue.note(STOCKS, mark, mark.place.received_ns or self.stage.clocks.wall_ns())
        self._fetch(line, pull, empty)

    # The journal.

    def _write(self) -> None:
        if not self.is_slow:
            # Some of what waits, so that a batch is in part on the disk when the next kill comes.
            most = 1 if self.away is not None else self._dice.choice((1, 2, 5, 1_000_000))
            frames = self._queue.take(0.0, most)
            self.oracle.wrote(frames)
            self._queue.settle(frames)
            if self.oracle.place is not None and not self.oracle.place.whole:
                self.kill_where_due()
        self.later(WRITE_SECONDS, self._write)

    def kill_where_due(self) -> None:
        """As was asked for."""
        if (away := self.away) is not None:
            self.kill()
            self.stage.agenda.after(away, self.start, product=True)
