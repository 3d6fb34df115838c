"""Which streams of a run are to run, what each is to bring, and what is said of them once it is over.

Knows no thread, lock or clock and starts nothing: who is to start, and who is to end, goes out as values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig, StreamRequest
from options_helper.model.instants import NANOSECONDS, utc_datetime
from options_helper.model.market_hours import ToldSessions, expects_data
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId

# Several connections in one moment can earn an HTTP 429, so each stream starts this much after the one before.
STAGGER_SECONDS: Final = 0.2


class Start(NamedTuple):
    """Let a stream begin, so much later."""

    stream: StreamId
    delay_seconds: float


class GroupCourse:
    """The streams of one run, from `start` to `stop` or `fail`. One call at a time; any thread may read.

    `offered` are those that there is a connection for, in the order in which they start; `always` those of which it is
    said how they are, also while nobody wants them.
    """

    def __init__(
        self, config: LiveStreamConfig, offered: Sequence[StreamId], always: Sequence[StreamId]
    ) -> None:
        self.names: tuple[StreamId, ...] = tuple(dict.fromkeys((*always, *offered)))
        self._offered, self._always = offered, always
        # Each of these is replaced whole.
        self._running: frozenset[StreamId] = frozenset()
        self._become(config)
        self._is_stopped = False
        self.failure: str | None = None  # why nobody takes anything in any more, a sentence
        # Whether each should be moving, as it was asked last: by whole seconds, which is when sessions open and close.
        # Entries are replaced whole, by any thread.
        self._expected: dict[StreamId, tuple[tuple[object, ...], bool]] = {}

    def _become(self, config: LiveStreamConfig) -> None:
        self.config = config
        self._requests = {name: config.request(name) for name in self.names}
        self._wanted = frozenset(name for name in self.names if config.wants(name))

    def request(self, name: StreamId) -> StreamRequest:
        """What is wanted of a stream."""
        return self._requests[name]

    def start(self) -> tuple[Start, ...]:
        """Those that have something to do and do not run yet, one soon after the other; none after a failure."""
        if self.failure is not None:
            return ()
        new = [name for name in self._offered if name in self._wanted and name not in self._running]
        first = len(self._running)
        self._running |= frozenset(new)
        return tuple(Start(name, STAGGER_SECONDS * number) for number, name in enumerate(new, first))

    def change_symbols(self, config: LiveStreamConfig, *, keep_idle: bool = False) -> tuple[StreamId, ...]:
        """From now on this is wanted; those that are to end, as nothing is any more. Then those may `start` that begin.

        With `keep_idle` they go on, for what is wanted of them later.
        """
        self._become(config)
        idle = () if keep_idle else tuple(name for name in self.names if self._is_idle(name))
        self._running -= frozenset(idle)
        return idle

    def _is_idle(self, name: StreamId) -> bool:
        return name in self._running and name not in self._wanted

    def stop(self) -> None:
        """Nothing of them counts from now on."""
        self._is_stopped = True

    def fail(self, sentence: str) -> None:
        """Nobody takes anything in any more: every stream has failed with this sentence."""
        self.failure = sentence

    def is_shown(self, name: StreamId) -> bool:
        """Whether it is said how a stream is: of one that a portfolio does not need only while it is wanted."""
        return name in self._always or name in self._running or name in self._wanted

    def told(self, health: StreamHealth) -> StreamHealth:
        """What is said of a stream whose own health this is."""
        if self.failure is not None:
            return replace(_over(health), phase=Phase.FAILED, last_error=self.failure)
        if self._is_stopped and health.phase is not Phase.FAILED:
            # Also where a thread is still busy closing.
            return replace(_over(health), phase=Phase.STOPPED)
        return health

    def expects_data(
        self,
        name: StreamId,
        market_ns: int,
        told: ToldSessions,
        otherwise: Callable[[StreamId], bool] | None = None,
    ) -> bool:
        """Whether a stream should be moving at that market time: by its hours, or as `otherwise` says."""
        request = self._requests[name]
        if name.kind.channels and not request.symbols:
            return False
        if otherwise is not None:
            return otherwise(name)
        asked = (market_ns // NANOSECONDS, request, told)
        before = self._expected.get(name)
        if before is None or before[0] != asked:
            expected = expects_data(name, request.feed, utc_datetime(market_ns), request.symbols, told)
            self._expected[name] = before = (asked, expected)
        return before[1]


def _over(health: StreamHealth) -> StreamHealth:
    return replace(health, connected_since=None, next_try_at=None, events_per_second=0.0)
