"""Remember how the book's P&L and marks moved, in bounded memory and without drawing over what was not heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypeVar

from options_helper.model.snapshot import EMPTY, LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamName

MAX_POINTS: Final = 600
TREND_POINTS: Final = 24
PRICE_STREAMS: Final = (StreamName.STOCKS, StreamName.OPTIONS, StreamName.CRYPTO)
DEAF_PHASES: Final = (
    Phase.CONNECTING,
    Phase.STALLED,
    Phase.RECONNECTING,
    Phase.FAILED,
    Phase.STOPPED,
)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Measure:
    """What one snapshot says the book is worth; `pnl` is the sum of the `counted` ones."""

    pnl: float | None
    natural: float | None
    counted: int
    positions: int
    marks: Mapping[str, float] = field(
        default_factory=lambda: EMPTY
    )  # position id → mark, where there is one


@dataclass(frozen=True, slots=True)
class PnlPoint:
    """The book's P&L at one instant; a line is drawn only between points of one segment.

    `book` counts the portfolios: what was summed before the file changed is another sum.
    """

    at: datetime
    pnl: float
    natural: float | None
    counted: int
    positions: int
    segment: int
    book: int = 0


class Thinned(Generic[Item]):
    """A series that covers all of its time with few items: when it is full, every second one goes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: list[Item] = []  # every `stride`-th item
        self._stride = 1
        self._count = 0
        self._newer: tuple[Item, ...] = ()  # the newest item, unless it is kept

    def append(self, item: Item) -> None:
        """Add the newest item."""
        if len(self._kept) == self._limit:
            del self._kept[1::2]
            self._stride *= 2
        due = self._count % self._stride == 0
        self._count += 1
        if due:
            self._kept.append(item)
        self._newer = () if due else (item,)

    def keep(self, wanted: Callable[[Item], bool]) -> None:
        """Drop the items that are not wanted."""
        self._kept = list(filter(wanted, self._kept))
        self._newer = tuple(filter(wanted, self._newer))

    def items(self) -> tuple[Item, ...]:
        """The items kept and, in any case, the newest; oldest first."""
        return (*self._kept, *self._newer)


class PnlHistory:
    """The points of one session on the market's clock. Knows no thread: its owner guards it."""

    def __init__(self, max_points: int = MAX_POINTS, trend_points: int = TREND_POINTS) -> None:
        self._points: Thinned[PnlPoint] = Thinned(max_points)
        self._trend_points = trend_points
        self._trends: dict[str, Thinned[float]] = {}
        self._last: PnlPoint | None = None
        self._seen_until: datetime | None = None
        self._broken = False
        self._book = 0

    @property
    def seen_until(self) -> datetime | None:
        """The time of the newest snapshot, whether it gave a point or a break."""
        return self._seen_until

    def points(self) -> tuple[PnlPoint, ...]:
        """The P&L so far, oldest first."""
        return self._points.items()

    def trends(self) -> dict[str, tuple[float, ...]]:
        """Position id → its marks so far, oldest first."""
        return {key: series.items() for key, series in self._trends.items()}

    def add(self, snapshot: LiveSnapshot, measure: Measure) -> None:
        """Note what this snapshot says, or a break in the line where it cannot say."""
        broken = self._broken or was_interrupted(snapshot, self._seen_until)
        self._seen_until = snapshot.as_of
        self._broken = measure.pnl is None or not is_heard(snapshot)
        if measure.pnl is None or self._broken:
            return
        self._last = PnlPoint(
            at=snapshot.as_of,
            pnl=measure.pnl,
            natural=measure.natural,
            counted=measure.counted,
            positions=measure.positions,
            segment=self._segment(measure, broken=broken),
            book=self._book,
        )
        self._points.append(self._last)
        self._follow(measure.marks)

    def forget_after(self, now: datetime) -> None:
        """Drop what was noted of later than now, by a clock that was ahead; what comes is on a new line."""
        self._points.keep(lambda point: point.at <= now)
        self._seen_until = now
        self.break_line()

    def break_line(self) -> None:
        """Leave a gap before the next point: what comes is not the same sum going on."""
        self._broken = True

    def begin_book(self) -> None:
        """Leave a gap, and count what comes as another portfolio's."""
        self._broken = True
        self._book += 1

    def _segment(self, measure: Measure, *, broken: bool) -> int:
        last = self._last
        if last is None:
            return 0
        # One more leg priced is another sum, not a move of the market.
        same_sum = (last.counted, last.positions) == (measure.counted, measure.positions)
        return last.segment + (broken or not same_sum)

    def _follow(self, marks: Mapping[str, float]) -> None:
        for key, mark in marks.items():
            if key not in self._trends:
                self._trends[key] = Thinned(self._trend_points)
            self._trends[key].append(mark)


def was_interrupted(snapshot: LiveSnapshot, since: datetime | None) -> bool:
    """Whether a stream of prices was lost since then, for however short a time."""
    if since is None:
        return False
    newest = (health.gaps[-1].until for health in _price_streams(snapshot) if health.gaps)
    # A gap begins where the stream was last heard, which may be before the last point; its end tells.
    return any(until is None or until > since for until in newest)


def is_heard(snapshot: LiveSnapshot) -> bool:
    """Whether every stream of prices that is wanted can be heard."""
    return all(health.phase not in DEAF_PHASES for health in _price_streams(snapshot))


def _price_streams(snapshot: LiveSnapshot) -> Iterator[StreamHealth]:
    # The crypto stream is there only while it is wanted.
    return (snapshot.streams[name] for name in PRICE_STREAMS if name in snapshot.streams)
