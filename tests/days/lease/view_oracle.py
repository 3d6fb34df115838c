"""What must be true of who follows a desk: each event counts once, no hole is untold, nobody who is gone looks live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from options_helper.bus.batch import Head
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamId
from tests.days.clocks import NS

if TYPE_CHECKING:
    from tests.days.lease.oracle import DeskOracle
    from tests.days.lease.viewer import Viewer, Viewing
    from tests.days.stage import Stage

# From an owner's last word to a page that does not believe it any more: a word's way, and a look.
BELIEVED_SECONDS: Final = 4.0
# So long after the last thing that went wrong everything has come again, and so long what is new is on its way.
CALM_SECONDS: Final = 20.0
ON_ITS_WAY_SECONDS: Final = 2.0
SHOWN_AS_WELL: Final = (Phase.LIVE, Phase.QUIET)


@dataclass(slots=True)
class Published:
    """What was stored of a stream, as anybody could have followed it."""

    total: int = 0
    totals: dict[tuple[int, int], int] = field(default_factory=dict)  # by term and events until then
    numbers: dict[int, int] = field(default_factory=dict)  # of the frames: which of all that were stored
    newest: tuple[int, int] = (0, 0)
    newest_ns: int = 0
    is_forgotten: bool = False  # the counts begin anew somewhere, and those who follow say so


@dataclass(slots=True)
class Heard:
    """What a viewer was handed of a stream."""

    last: int = -1
    gaps: int = 0


class ViewOracle:
    """Hears what was stored and what came of it."""

    def __init__(self, stage: Stage, desk: DeskOracle, streams: Sequence[StreamId]) -> None:
        self._stage, self._desk = stage, desk
        self._published = {stream: Published() for stream in streams}
        self._heard: dict[Viewing, Heard] = {}
        self.viewer: Viewer | None = None
        self._troubled_ns = self._told_ns = self._reached_ns = stage.clocks.true_ns

    @property
    def is_over(self) -> bool:
        """Whether the desk is closed."""
        return self._desk.is_over

    @property
    def _now_ns(self) -> int:
        return self._stage.clocks.true_ns

    def trouble(self) -> None:
        """Something went wrong, or is well again."""
        self._troubled_ns = self._now_ns

    def woke(self) -> None:
        """The computer slept: an owner on it spoke to nobody, and from now on has its seconds to be heard."""
        self._reached_ns = self._now_ns
        self.trouble()

    def forgot(self, stream: StreamId) -> None:
        """The server has lost what it had of this stream."""
        self._published[stream].is_forgotten = True

    def stored(self, stream: StreamId, head: Head, numbers: list[int]) -> None:
        """A batch that follows the one before it."""
        published = self._published[stream]
        published.totals.setdefault((head.epoch, head.events_before), published.total)
        published.total += head.events
        for viewing in () if self.viewer is None else self.viewer.viewings:
            if viewing.stream == stream:
                viewing.is_sent(head.events)
        published.newest = head.epoch, head.events_until
        published.newest_ns = self._now_ns
        published.totals[published.newest] = published.total
        for number in numbers:
            published.numbers.setdefault(number, len(published.numbers))

    def heard(self, viewing: Viewing, number: int) -> None:
        """It was handed this frame."""
        published, stream = self._published[viewing.stream], viewing.stream
        heard = self._heard.setdefault(viewing, Heard())
        at, gaps = published.numbers.get(number), viewing.viewed.leg.gap_count
        if published.is_forgotten:
            return
        if at is None:
            self._desk.breaks(f"a viewer has frame {number} of {stream}, which nobody stored")
            return
        if heard.last >= 0 and at <= heard.last:
            self._desk.breaks(f"a viewer has frame {number} of {stream} twice")
        if heard.last >= 0 and at > heard.last + 1 and gaps == heard.gaps:
            self._desk.breaks(f"a viewer is told of no gap before frame {number} of {stream}")
        heard.last, heard.gaps = at, gaps

    def told(self) -> None:
        """An owner's word was stored."""
        self._told_ns = self._now_ns

    def complained(self, viewing: Viewing, sentence: str) -> None:
        """It could not read something."""
        self._desk.breaks(f"a viewer says of {viewing.stream}: {sentence}")

    def look(self) -> None:
        """Once in a while."""
        now, viewer = self._now_ns, self.viewer
        is_led = any(
            one.leads and one.desk is not None and one.desk.is_streaming for one in self._desk.owners
        )
        if viewer is None or not viewer.runs:
            self._reached_ns = now
            self.trouble()
            return
        way = viewer.network
        if way.is_cut or way.is_slow or way.loses_answers:
            self._reached_ns = now
            self.trouble()
        if not is_led or viewer.is_slow:
            self.trouble()
        for one in viewer.viewings:
            self._judge(one, self._desk.breaks)

    def _judge(self, viewing: Viewing, breaks: Callable[[str], None]) -> None:
        published, now, stream = self._published[viewing.stream], self._now_ns, viewing.stream
        shown, position = viewing.shown(), viewing.viewed.leg.position
        if not shown.accounted:
            breaks(f"a viewer's {stream} do not add up: {shown}")
        known = position.begun if position.last is None else (position.last.epoch, position.last.events_until)
        if known is not None and viewing.baseline is not None and not published.is_forgotten:
            since, until = published.totals.get(tuple(viewing.baseline)), published.totals.get(tuple(known))
            if since is None or until is None:
                breaks(f"a viewer's {stream} are at {known}, where nobody is")
            elif until - since != shown.received:
                breaks(f"of {until - since} events of {stream} a viewer has received {shown.received}")
            elif position.missed > viewing.may_miss:
                breaks(
                    f"a viewer has missed {position.missed} events of {stream}, and {viewing.may_miss} went past it"
                )
        last_word_ns = max(self._told_ns, self._reached_ns)
        if shown.phase in SHOWN_AS_WELL and now - last_word_ns > BELIEVED_SECONDS * NS:
            breaks(
                f"a viewer shows {stream} as {shown.phase}, and no owner spoke for {(now - last_word_ns) / NS:.1f} s"
            )
        troubled_ns = max(self._troubled_ns, self._desk.troubled_ns)
        is_calm = now - troubled_ns >= CALM_SECONDS * NS
        last = position.last if published.is_forgotten else None
        newest = max(published.newest[0], 0 if last is None else last.epoch)
        if not is_calm or not self._desk.owners or self._desk.leads_before(newest):
            return
        if shown.phase is not Phase.LIVE:
            breaks(f"a viewer shows {stream} as {shown.phase} ({shown.last_error}), and all is well")
        if known != published.newest and now - published.newest_ns > ON_ITS_WAY_SECONDS * NS:
            breaks(f"a viewer's {stream} are at {known}, and {published.newest} is stored")
