"""Turn what the streams say of themselves into rows of the loss log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final

from options_helper.data.recording.loss_log import NOT_RECORDED
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId
from options_helper.model.text import format_count, named

# Losses that go on are a row for each so many seconds, not one for each observation.
LOSSES_EVERY_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Losses:
    """Events of one stream that were lost for one reason, as far as they are in the ledger and beyond."""

    seen: int = 0
    reported: int = 0
    reported_at_ns: int = 0
    since_ns: int = 0
    until_ns: int = 0


class GapWatch:
    """Notices, each time it observes them, what the streams lost since the last time; for one thread."""

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self._observed_ns = began_ns
        self._seen_gaps: dict[StreamId, int] = defaultdict(int)
        # Every gap that a stream had up to here was returned.
        self._returned_until_ns: dict[StreamId, int] = {}
        self._losses: dict[tuple[StreamId, str], _Losses] = {}
        # Since when: connected and silent, though data was expected; and the symbols that the server left out.
        self._silent_since_ns: dict[StreamId, int] = {}
        self._silent_connection: dict[StreamId, int] = defaultdict(int)
        self._refused_since_ns: dict[StreamId, dict[str, int]] = defaultdict(dict)

    def observe(
        self,
        healths: Mapping[StreamId, StreamHealth],
        now_ns: int,
        *,
        unwritten: Mapping[StreamId, int] | None = None,
        ending: bool = False,
    ) -> list[Gap]:
        """New gaps that are over, and events lost since the last time; at the end, also the gaps that still last.

        `unwritten` counts the rows that were lost for want of room on the disk.
        """
        found: list[Gap] = []
        for health in healths.values():
            self._note_silence(health)
            found += self._closed_gaps(health)
            found += self._ended_refusals(health, now_ns)
            lost = (unwritten or {}).get(health.name, 0)
            found += self._losses_of(health, lost, now_ns, ending=ending)
        if ending:
            found += [_ended(gap, now_ns) for gap in self.lasting(healths)]
            found += self._never_connected(healths, now_ns)
            self._silent_since_ns.clear()
            self._seen_gaps.update({name: health.gap_count for name, health in healths.items()})
        self._observed_ns = now_ns
        return found

    def unseen(self, healths: Mapping[StreamId, StreamHealth]) -> int:
        """Gaps that are still to be returned, mostly because they last; those that were not kept are one."""
        found = 0
        for name, health in healths.items():
            kept = len(self._kept_unseen(health))
            found += kept + (health.gap_count - self._seen_gaps.get(name, 0) > kept)
            found += name in self._silent_since_ns and not _is_cut(health)
        return found

    def lasting(self, healths: Mapping[StreamId, StreamHealth]) -> list[Gap]:
        """What is not received now, for the reasons that rows would give if the capture ended."""
        found = []
        for name, health in healths.items():
            if _is_cut(health):
                gap = health.gaps[-1]
                hopeless = health.phase is Phase.FAILED or not health.connections
                reason = f"{NOT_RECORDED}{health.last_error or gap.reason}" if hopeless else gap.reason
                found.append(replace(gap, reason=reason))
            elif name in self._silent_since_ns:
                found.append(Gap(name, self._silent_since_ns[name], None, _silence(name)))
            found += self._refusals(health, self._refused_since_ns[name], None)
        return found

    def _never_connected(self, healths: Mapping[StreamId, StreamHealth], now_ns: int) -> Iterator[Gap]:
        for name, health in healths.items():
            if health.phase is not Phase.OFF and not health.connections and not _is_cut(health):
                reason = f"{NOT_RECORDED}the capture ended before there was a connection."
                yield Gap(name, self._began_ns, now_ns, reason)

    def _closed_gaps(self, health: StreamHealth) -> Iterator[Gap]:
        """Those that are over, and one that stands for all that the stream kept no longer: a disk refused so long."""
        kept = self._kept_unseen(health)
        if forgotten := health.gap_count - self._seen_gaps[health.name] - len(kept):
            since_ns = self._returned_until_ns.get(health.name, self._began_ns)
            until_ns = kept[0].since_ns if kept else self._observed_ns
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

    def _note_silence(self, health: StreamHealth) -> None:
        if health.phase is Phase.STALLED:
            self._silent_since_ns[health.name] = epoch_nanoseconds(health.silent_since) or self._observed_ns
            self._silent_connection[health.name] = health.connections
        elif health.phase is not Phase.STOPPED or health.connections != self._silent_connection[health.name]:
            # One that was stopped before anybody saw its next connection was left for its silence, and has that gap.
            self._silent_since_ns.pop(health.name, None)

    def _ended_refusals(self, health: StreamHealth, now_ns: int) -> list[Gap]:
        """Symbols that the server leaves out no longer; where it leaves out all, the stream itself has a gap."""
        since_ns = self._refused_since_ns[health.name]
        refused = health.refused_symbols if health.acknowledged else ()
        over = {symbol: since_ns.pop(symbol) for symbol in list(since_ns) if symbol not in refused}
        for symbol in refused:
            since_ns.setdefault(symbol, self._observed_ns)
        return self._refusals(health, over, now_ns)

    def _refusals(self, health: StreamHealth, since_ns: Mapping[str, int], until_ns: int | None) -> list[Gap]:
        return [
            Gap(health.name, since, until_ns, _refusal(health, symbols), symbols=symbols)
            for since, symbols in _grouped(since_ns)
        ]

    def _losses_of(self, health: StreamHealth, unwritten: int, now_ns: int, *, ending: bool) -> Iterator[Gap]:
        example = health.last_rejections[-1] if health.last_rejections else "unreadable"
        for kind, total, reason in (
            ("dropped", health.dropped, "dropped: the queue was full"),
            ("rejected", health.rejected, f"rejected: {example}"),
            ("unwritten", unwritten, "dropped: the disk took no more, and neither did the memory"),
        ):
            losses = self._losses.setdefault((health.name, kind), _Losses())
            if total > losses.seen:
                losses.since_ns = self._observed_ns if losses.seen == losses.reported else losses.since_ns
                losses.seen, losses.until_ns = total, now_ns
            # Where the clock was set back, they are not held back for as long.
            waited_ns = abs(now_ns - losses.reported_at_ns)
            due = ending or waited_ns >= LOSSES_EVERY_SECONDS * NANOSECONDS
            if due and losses.seen > losses.reported:
                count = losses.seen - losses.reported
                losses.reported, losses.reported_at_ns = losses.seen, now_ns
                yield Gap(health.name, losses.since_ns, losses.until_ns, reason, count)


def _is_cut(health: StreamHealth) -> bool:
    """Whether the stream itself says that it receives nothing now."""
    return bool(health.gaps) and health.gaps[-1].until_ns is None


def _silence(stream: str) -> str:
    return f"No {stream} data although the market is open."


def _ended(gap: Gap, now_ns: int) -> Gap:
    """A gap that lasts, as the row that the end of the capture makes of it."""
    silence = _silence(gap.stream)
    reason = f"{silence[:-1]}, to the end of the capture." if gap.reason == silence else gap.reason
    return replace(gap, until_ns=now_ns, reason=reason)


def _forgotten(gaps: int) -> str:
    return f"{format_count(gaps, 'gap')} somewhere in here: there were more than are kept until they are written down"


def _grouped(since_ns: Mapping[str, int]) -> Iterator[tuple[int, tuple[str, ...]]]:
    by_time = sorted((since, symbol) for symbol, since in since_ns.items())
    for since, group in groupby(by_time, key=lambda one: one[0]):
        yield since, tuple(symbol for _, symbol in group)


def _refusal(health: StreamHealth, symbols: tuple[str, ...]) -> str:
    return (
        f"{NOT_RECORDED}{named(symbols)} refused by the {health.feed} feed. {health.last_error or ''}".strip()
    )
