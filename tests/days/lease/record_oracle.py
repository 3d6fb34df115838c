"""What must be true of who records a desk: each frame that was stored is there once, and each hole is written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from options_helper.model.frames import Frame, Place
from options_helper.model.streams import StreamId, StreamName
from tests.days.clocks import NS

if TYPE_CHECKING:
    from tests.days.lease.oracle import DeskOracle
    from tests.days.lease.recorder import Recorder
    from tests.days.stage import Stage

STOCKS: Final = StreamName.STOCKS  # which is recorded
# So long after the last thing that went wrong everything is written down, but what is on its way.
CALM_SECONDS: Final = 20.0
ON_ITS_WAY_SECONDS: Final = 3.0


class RecordOracle:
    """Hears what was stored of one stream, and what its recorder's journal has of that, over all its processes."""

    def __init__(self, stage: Stage, desk: DeskOracle) -> None:
        self._stage, self._desk = stage, desk
        self.recorder: Recorder | None = None
        self.place: Place | None = None  # of the journal
        # By the number of a frame, which the market gives: its events, and when it was stored.
        self._stored: dict[int, tuple[int, int]] = {}
        self._last = -1  # of the frames that are written down
        self._told: list[int | None] = []  # since that one, what each hole has lost
        # What was stored when the server lost something that it had acknowledged: it may be gone, or there once more.
        self._doubtful = set[int]()
        self._troubled_ns = stage.clocks.true_ns

    @property
    def is_over(self) -> bool:
        """Whether the desk is closed."""
        return self._desk.is_over

    def trouble(self) -> None:
        """Something went wrong, or is well again."""
        self._troubled_ns = self._stage.clocks.true_ns

    def forgot(self, stream: StreamId) -> None:
        """The server has lost some of it."""
        if stream == STOCKS:
            self._doubtful |= self._stored.keys()

    def stored(self, stream: StreamId, numbers: Sequence[tuple[int, int]]) -> None:
        """The server has these frames, with so many events each."""
        if stream != STOCKS:
            return
        now = self._stage.clocks.true_ns
        self._stored |= {number: (events, now) for number, events in numbers if number not in self._stored}
        if self.place is not None and self._desk.leads_before(self.place.epoch):
            self._doubtful |= self._stored.keys()

    def wrote(self, frames: Sequence[Frame]) -> None:
        """The journal has these, as a whole, and how far they reach."""
        for frame in frames:
            assert frame.mark is not None
            if frame.mark.gap is not None:
                self._told.append(frame.mark.gap.lost)
            if frame.is_message:
                self._follow(int(frame.payload), frame.events)
            self.place = frame.mark.place

    def _follow(self, number: int, events: int) -> None:
        last, told = self._last, self._told
        self._last, self._told = max(number, last), []
        if self._stored.get(number, (0, 0))[0] != events:
            self._desk.breaks(f"frame {number} is recorded with {events} events, and was not stored so")
        if number <= last:
            # Its answer was lost, and then what the server had: it is stored again.
            if number not in self._doubtful:
                self._desk.breaks(f"frame {number} is recorded behind frame {last}")
            return
        if last < 0 or number == last + 1:
            return
        between = range(last + 1, number)
        if not told:
            self._desk.breaks(f"nothing is written down of what lies between {last} and {number}")
        if kept := [one for one in between if one in self._stored and one not in self._doubtful]:
            self._desk.breaks(f"frame {kept[0]} is stored, and not recorded before frame {number}")
        lost, there = sum(one or 0 for one in told), sum(1 + one % 3 for one in between)
        if lost > there and not self._doubtful:
            self._desk.breaks(f"{lost} events are told as lost before frame {number}, and there were {there}")

    def look(self) -> None:
        """Once in a while."""
        recorder, now = self.recorder, self._stage.clocks.true_ns
        is_led = any(
            one.leads and one.desk is not None and one.desk.is_streaming for one in self._desk.owners
        )
        if recorder is None or not recorder.runs or recorder.is_slow or not is_led:
            self.trouble()
            return
        way = recorder.network
        if way.is_cut or way.is_slow or way.loses_answers or way.loses_some:
            self.trouble()
        calm_ns = now - max(self._troubled_ns, self._desk.troubled_ns)
        place = recorder.place
        if calm_ns < CALM_SECONDS * NS or (place is not None and self._desk.leads_before(place.epoch)):
            return
        late_ns = now - int(ON_ITS_WAY_SECONDS * NS)
        late = [number for number, (_, at) in self._stored.items() if self._last < number and at < late_ns]
        if late:
            self._desk.breaks(f"frame {late[0]} was stored and is not recorded, and all is well")
