"""Turn what the streams say of themselves into rows of the loss log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, NamedTuple

from options_helper.data.recording.loss_log import NOT_RECORDED
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId
from options_helper.model.text import format_count, named

# Losses that go on are a row for each so many seconds, not one for each observation.
LOSSES_EVERY_SECONDS: Final = 60.0


class Instant(NamedTuple):
    """One moment on both clocks: epoch nanoseconds of the one that can be set, seconds of the one that nobody sets."""

    ns: int
    elapsed: float  # also while the computer sleeps

    def until(self, later: Instant) -> int:
        """When a gap ends that begins here: by this clock, where it was put back since, so that it keeps its length."""
        by_this_clock_ns = self._by_this_clock(later)
        return by_this_clock_ns if by_this_clock_ns - later.ns > NANOSECONDS else later.ns

    def as_of(self, later: Instant) -> Instant:
        """The same moment by the clock as it goes then: another, where it was set since."""
        moved_ns = later.ns - self._by_this_clock(later)
        return self if abs(moved_ns) <= NANOSECONDS else self._replace(ns=self.ns + moved_ns)

    def _by_this_clock(self, later: Instant) -> int:
        return self.ns + int((later.elapsed - self.elapsed) * NANOSECONDS)


@dataclass(slots=True)
class _Losses:
    """Events of one stream that were lost for one reason, as far as they are in the ledger and beyond."""

    since: Instant
    until: Instant
    reported_at: float = float("-inf")  # seconds that nobody sets
    seen: int = 0
    reported: int = 0


class GapWatch:
    """Notices, each time it observes them, what the streams lost since the last time; for one thread.

    What it tells has the length that it had: also where this computer's clock was put back while it lasted.
    """

    def __init__(self, began: Instant) -> None:
        self._began = began
        self._observed = began  # when it looked last, by the clock of now
        self._seen_gaps: dict[StreamId, int] = defaultdict(int)
        # Every gap that a stream had up to here was returned.
        self._returned_until_ns: dict[StreamId, int] = {}
        self._losses: dict[tuple[StreamId, str], _Losses] = {}
        # Since when: connected and silent, though data was expected; cut, as the stream tells it and as this saw it;
        # and the symbols that the server left out.
        self._silent_since: dict[StreamId, Instant] = {}
        self._silent_connection: dict[StreamId, int] = defaultdict(int)
        self._cut_since: dict[StreamId, tuple[int, Instant]] = {}
        self._refused_since: dict[StreamId, dict[str, Instant]] = defaultdict(dict)

    def observe(
        self,
        healths: Mapping[StreamId, StreamHealth],
        now: Instant,
        *,
        unwritten: Mapping[StreamId, int] | None = None,
        ending: bool = False,
    ) -> list[Gap]:
        """New gaps that are over, and events lost since the last time; at the end, also the gaps that still last.

        `unwritten` counts the rows that were lost for want of room on the disk.
        """
        found: list[Gap] = []
        before, self._observed = self._observed, self._observed.as_of(now)
        was_set = self._observed != before
        for health in healths.values():
            self._note_silence(health, now)
            self._note_cut(health, now)
            found += self._closed_gaps(health)
            found += self._ended_refusals(health, now)
            lost = (unwritten or {}).get(health.name, 0)
            found += self._losses_of(health, lost, now, at_once=ending, was_set=was_set)
        if ending:
            found += [_ended(gap, since.until(now)) for gap, since in self._lasting(healths)]
            found += self._never_connected(healths, now)
            self._silent_since.clear()
            self._seen_gaps.update({name: health.gap_count for name, health in healths.items()})
        self._observed = now
        return found

    def unseen(self, healths: Mapping[StreamId, StreamHealth]) -> int:
        """Gaps that are still to be returned, mostly because they last; those that were not kept are one."""
        found = 0
        for name, health in healths.items():
            kept = len(self._kept_unseen(health))
            found += kept + (health.gap_count - self._seen_gaps.get(name, 0) > kept)
            found += name in self._silent_since and not _is_cut(health)
        return found

    def lasting(self, healths: Mapping[StreamId, StreamHealth]) -> list[Gap]:
        """What is not received now, for the reasons that rows would give if the capture ended."""
        return [gap for gap, _ in self._lasting(healths)]

    def _lasting(self, healths: Mapping[StreamId, StreamHealth]) -> Iterator[tuple[Gap, Instant]]:
        """These, each with an instant of its own clock from which to count how long it lasts."""
        for name, health in healths.items():
            if _is_cut(health):
                gap = health.gaps[-1]
                hopeless = health.phase is Phase.FAILED or not health.connections
                reason = f"{NOT_RECORDED}{health.last_error or gap.reason}" if hopeless else gap.reason
                yield replace(gap, reason=reason), self._cut_since.get(name, (0, self._observed))[1]
            elif (since := self._silent_since.get(name)) is not None:
                yield Gap(name, since.ns, None, _silence(name)), since
            for since, symbols in _grouped(self._refused_since[name]):
                yield Gap(name, since.ns, None, _refusal(health, symbols), symbols=symbols), since

    def _never_connected(self, healths: Mapping[StreamId, StreamHealth], now: Instant) -> Iterator[Gap]:
        for name, health in healths.items():
            if health.phase is not Phase.OFF and not health.connections and not _is_cut(health):
                reason = f"{NOT_RECORDED}the capture ended before there was a connection."
                yield Gap(name, self._began.ns, self._began.until(now), reason)

    def _closed_gaps(self, health: StreamHealth) -> Iterator[Gap]:
        """Those that are over, and one that stands for all that the stream kept no longer: a disk refused so long."""
        kept = self._kept_unseen(health)
        if forgotten := health.gap_count - self._seen_gaps[health.name] - len(kept):
            since_ns = self._returned_until_ns.get(health.name, self._began.ns)
            until_ns = kept[0].since_ns if kept else self._observed.ns
            yield Gap(health.name, since_ns, max(since_ns, until_ns), _forgotten(forgotten))
        closed = [gap for gap in kept if gap.until_ns is not None]
        yield from closed
        self._seen_gaps[health.name] = health.gap_count - (len(kept) - len(closed))
        if kept:
            self._returned_until_ns[health.name] = kept[-1].until_ns or kept[-1].since_ns

    def _kept_unseen(self, health: StreamHealth) -> tuple[Gap, ...]:
        """Of the gaps that were not returned yet those that the stream kept: the newest."""
        unseen = health.gap_count - self._seen_gaps.get(health.name, 0)
        return health.gaps[-unseen:] if unseen > 0 else ()

    def _note_silence(self, health: StreamHealth, now: Instant) -> None:
        if health.phase is Phase.STALLED:
            since_ns = epoch_nanoseconds(health.silent_since) or self._observed.ns
            # It is told by the clock of now at each look.
            self._silent_since[health.name] = Instant(
                since_ns, now.elapsed - (now.ns - since_ns) / NANOSECONDS
            )
            self._silent_connection[health.name] = health.connections
        elif health.phase is not Phase.STOPPED or health.connections != self._silent_connection[health.name]:
            # One that was stopped before anybody saw its next connection was left for its silence, and has that gap.
            self._silent_since.pop(health.name, None)

    def _note_cut(self, health: StreamHealth, now: Instant) -> None:
        """The stream tells its gap by the clock of its beginning, which is that of the look that finds it."""
        if not _is_cut(health):
            self._cut_since.pop(health.name, None)
        elif self._cut_since.get(health.name, (0, now))[0] != (since_ns := health.gaps[-1].since_ns):
            self._cut_since[health.name] = since_ns, now

    def _ended_refusals(self, health: StreamHealth, now: Instant) -> list[Gap]:
        """Symbols that the server leaves out no longer; where it leaves out all, the stream itself has a gap."""
        since = self._refused_since[health.name]
        refused = health.refused_symbols if health.acknowledged else ()
        over = {symbol: since.pop(symbol) for symbol in list(since) if symbol not in refused}
        for symbol in refused:
            since.setdefault(symbol, self._observed)
        return [
            Gap(health.name, at.ns, at.until(now), _refusal(health, symbols), symbols=symbols)
            for at, symbols in _grouped(over)
        ]

    def _losses_of(
        self, health: StreamHealth, unwritten: int, now: Instant, *, at_once: bool, was_set: bool
    ) -> Iterator[Gap]:
        example = health.last_rejections[-1] if health.last_rejections else "unreadable"
        for kind, total, reason in (
            ("dropped", health.dropped, "dropped: the queue was full"),
            ("rejected", health.rejected, f"rejected: {example}"),
            ("unwritten", unwritten, "dropped: the disk took no more, and neither did the memory"),
        ):
            begin = _Losses(self._observed, self._observed)
            losses = self._losses.setdefault((health.name, kind), begin)
            if was_set:
                # Those of before are told by the clock of then, and by themselves.
                yield from _reported(losses, health.name, reason, now)
            if total > losses.seen:
                losses.since = self._observed if losses.seen == losses.reported else losses.since
                losses.seen, losses.until = total, now
            if at_once or now.elapsed - losses.reported_at >= LOSSES_EVERY_SECONDS:
                yield from _reported(losses, health.name, reason, now)


def _reported(losses: _Losses, stream: StreamId, reason: str, now: Instant) -> Iterator[Gap]:
    """Those that are in the ledger from now on; none where all are."""
    if (count := losses.seen - losses.reported) > 0:
        losses.reported, losses.reported_at = losses.seen, now.elapsed
        yield Gap(stream, losses.since.ns, losses.since.until(losses.until), reason, count)


def _is_cut(health: StreamHealth) -> bool:
    """Whether the stream itself says that it receives nothing now."""
    return bool(health.gaps) and health.gaps[-1].until_ns is None


def _silence(stream: str) -> str:
    return f"No {stream} data although the market is open."


def _ended(gap: Gap, until_ns: int) -> Gap:
    """A gap that lasts, as the row that the end of the capture makes of it."""
    silence = _silence(gap.stream)
    reason = f"{silence[:-1]}, to the end of the capture." if gap.reason == silence else gap.reason
    return replace(gap, until_ns=until_ns, reason=reason)


def _forgotten(gaps: int) -> str:
    return f"{format_count(gaps, 'gap')} somewhere in here: there were more than are kept until they are written down"


def _grouped(since: Mapping[str, Instant]) -> Iterator[tuple[Instant, tuple[str, ...]]]:
    by_time = sorted((at, symbol) for symbol, at in since.items())
    for at, group in groupby(by_time, key=lambda one: one[0]):
        yield at, tuple(symbol for _, symbol in group)


def _refusal(health: StreamHealth, symbols: tuple[str, ...]) -> str:
    return (
        f"{NOT_RECORDED}{named(symbols)} refused by the {health.feed} feed. {health.last_error or ''}".strip()
    )
