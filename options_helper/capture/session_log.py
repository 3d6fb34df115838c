"""What a capture writes down of itself: its note, its losses, and the facts in its journal."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from options_helper.capture.capture_config import CaptureConfig
from options_helper.capture.gap_watch import GapWatch
from options_helper.data.intraday.files import Disk
from options_helper.data.recording.journal import Record, RecordKind, facts_record, gap_record
from options_helper.data.recording.loss_log import LossLog
from options_helper.data.recording.session_notes import SessionNote, save_note
from options_helper.data.recording.status import CaptureStatus
from options_helper.model.gaps import Gap
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId, StreamName

log = logging.getLogger(__name__)


class SessionLog:
    """Keeps the session's note and its loss log; for the writer's thread, but `gap_count` may be asked by any.

    All times are the computer's, epoch nanoseconds. What the disk refuses is tried again at the next observation.
    """

    def __init__(self, config: CaptureConfig, session: str, began_ns: int, disk: Disk) -> None:
        self._root = config.out
        self._began = facts_record(RecordKind.SESSION, began_ns, config.facts())
        self._note = _first_note(config, session, began_ns)
        self._losses = LossLog(config.out, session, disk)
        self._gap_watch = GapWatch(began_ns)
        self._gaps = 0
        self._unwritten: deque[Gap] = deque()

    @property
    def began(self) -> Record:
        """The first record of the session."""
        return self._began

    @property
    def unwritten_gaps(self) -> int:
        """Rows that the loss log's disk has not taken yet."""
        return len(self._unwritten)

    def gap_count(self, streams: Mapping[StreamId, StreamHealth]) -> int:
        """Rows of the loss log, and those that are still to come of what these streams say."""
        return self._gaps + self._gap_watch.unseen(streams)

    def save(self, *, durable: bool = False) -> None:
        """Write the note as it is."""
        try:
            save_note(self._root, self._note, durable=durable)
        except OSError as error:
            log.info("the note of this session cannot be written: %s", error)

    def write_gaps(self, gaps: Sequence[Gap], now_ns: int) -> list[Record]:
        """Add them to the loss log; returns what the journal is to say of them."""
        self._gaps += len(gaps)
        self._unwritten.extend(gaps)
        try:
            while self._unwritten:
                self._losses.write(self._unwritten[0])
                self._unwritten.popleft()
        except OSError as error:
            log.warning("a gap could not be written down yet: %s", error)
        return [gap_record(now_ns, gap) for gap in gaps]

    def observe(self, status: CaptureStatus, now_ns: int) -> list[Record]:
        """Write down the gaps that are over and note those that last; returns what the journal is to say of it."""
        records = self.write_gaps(self._found(status, now_ns, ending=False), now_ns)
        lasting = tuple(self._gap_watch.lasting(status.streams))
        if lasting != self._note.gaps:
            self._note = replace(self._note, gaps=lasting)
            self.stay_alive(now_ns)
        return records

    def stay_alive(self, now_ns: int) -> None:
        """Note that the capture is at work at this moment."""
        self._note = replace(self._note, seen_ns=now_ns)
        self.save()

    def observe_the_end(self, status: CaptureStatus, now_ns: int) -> list[Record]:
        """Write down every gap, those too that last; returns what the journal is to say of it."""
        return self.write_gaps(self._found(status, now_ns, ending=True), now_ns)

    def end_record(self, status: CaptureStatus, now_ns: int) -> Record:
        """The last record of a session that ends as it should."""
        return facts_record(RecordKind.END, now_ns, _totals(status))

    def end(self, put_off: int, now_ns: int) -> None:
        """Note that the capture has ended, how much its files lack, and what the server would not send."""
        refused = tuple(gap for gap in self._note.gaps if gap.symbols)
        self._note = replace(
            self._note, seen_ns=now_ns, ended_ns=now_ns, put_off=put_off, gaps=(), refused=refused
        )
        self.save(durable=True)

    def _found(self, status: CaptureStatus, now_ns: int, *, ending: bool) -> list[Gap]:
        # With a journal, rows that found no room are in it.
        unwritten: dict[StreamId, int] = (
            {}
            if self._note.journal
            else {StreamName(kind): counts.lost for kind, counts in status.store.kinds.items()}
        )
        return self._gap_watch.observe(status.streams, now_ns, unwritten=unwritten, ending=ending)


def _first_note(config: CaptureConfig, session: str, began_ns: int) -> SessionNote:
    return SessionNote(
        session=session,
        began_ns=began_ns,
        seen_ns=began_ns,
        journal=config.journal,
        flush_events=config.policy.flush_rows,
        flush_seconds=config.policy.flush_seconds,
        asked={
            name: tuple(config.streams.symbols(name)) for name in StreamName if config.streams.wants(name)
        },
    )


def _totals(status: CaptureStatus) -> dict[str, object]:
    return {
        "gaps": status.gaps,
        "streams": {
            name: {"received": health.received, "dropped": health.dropped}
            for name, health in status.streams.items()
            if health.phase is not Phase.OFF
        },
    }
