"""What is new in how the streams are: gaps that open and close, phases that change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from options_helper.model.callbacks import CallbackKind, Told
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId


class HealthNews:
    """Compares each look at the streams of one run with the one before; it begins with streams that are off."""

    def __init__(self) -> None:
        self._before: dict[StreamId, StreamHealth] = {}

    def observe(self, healths: Mapping[StreamId, StreamHealth]) -> list[Told]:
        """What changed since the last look, gaps first: a strategy must know of one before of what came after it.

        A gap is told when it opens, without an end, and when it is over; one that did both between two looks is told
        once. It concerns the symbols of its stream, or those that it names.
        """
        told = [told for name, health in healths.items() for told in self._of_stream(name, health)]
        self._before = dict(healths)
        return told

    def present(self) -> list[Told]:
        """How things stood at the last look, for whoever was told nothing so far: open gaps, then phases."""
        gaps = [
            Told(CallbackKind.GAP, health.gaps[-1].symbols or health.requested, health.gaps[-1])
            for health in self._before.values()
            if health.gaps and health.gaps[-1].until_ns is None
        ]
        healths = [
            Told(CallbackKind.HEALTH, health.requested, health)
            for health in self._before.values()
            if health.phase is not Phase.OFF
        ]
        return gaps + healths

    def _of_stream(self, name: StreamId, health: StreamHealth) -> Iterator[Told]:
        before = self._before.get(name, StreamHealth(name))
        if health.gap_count < before.gap_count:
            # The stream ended for want of symbols, and began anew.
            before = StreamHealth(name, before.phase)
        fresh = health.gap_count - before.gap_count
        was_open = bool(before.gaps) and before.gaps[-1].until_ns is None
        for gap in health.gaps[-fresh - was_open :] if fresh + was_open else ():
            if gap not in before.gaps[-1:]:
                yield Told(CallbackKind.GAP, gap.symbols or health.requested, gap)
        if health.phase is not before.phase:
            yield Told(CallbackKind.HEALTH, health.requested, health)
