"""The writer's thread of a capture: carries out, one after the other, the commands that `pressure` decides on."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, assert_never

from options_helper.capture.deadline import Deadline
from options_helper.capture.earlier_sessions import EarlierSessions
from options_helper.capture.pressure import (
    AwaitDisk,
    Broke,
    CaughtUp,
    Command,
    Done,
    EarlierRowsMade,
    Flushed,
    GivenUp,
    Happened,
    Noted,
    RowsMade,
    Seen,
    Step,
    Take,
    Taken,
    WriterState,
    decide,
)
from options_helper.capture.session_log import SessionLog
from options_helper.capture.write_ahead import WriteAhead
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.data.recording.recorder import Recorder
from options_helper.data.recording.status import CaptureStatus
from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.errors import OptionsHelperError, StoreError
from options_helper.model.frames import Frame
from options_helper.model.gaps import Gap
from options_helper.model.streams import StreamId
from options_helper.model.text import format_count, named

log = logging.getLogger(__name__)

COMMIT_EVENTS: Final = 20_000
GATHER_SECONDS: Final = 0.1


class CaptureWriter:
    """Owns the thread `live-writer`, and with it all that a capture writes; `state` and `problem` are read by any.

    `status` gives the whole capture's; `on_rows` is called when rows were made; `announcements` is filled by the stream
    threads.
    """

    def __init__(
        self,
        state: WriterState,
        streams: StreamGroup,
        *,
        records: WriteAhead,
        recorder: Recorder,
        session_log: SessionLog,
        earlier: EarlierSessions,
        announcements: deque[Record],
        deadline: Deadline,
        status: Callable[[], CaptureStatus],
        on_rows: Callable[[], object],
        now_ns: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._streams = streams
        self._records = records
        self._recorder = recorder
        self._log = session_log
        self._earlier = earlier
        self._announcements = announcements
        self._deadline = deadline
        self._status = status
        self._on_rows = on_rows
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._thread = threading.Thread(target=self._run, name="live-writer", daemon=True)
        self._connections: dict[StreamId, int] = {}  # the one that each stream was heard on last
        self._absent_seconds = 0.0  # for which this process did not run, as far as that is told
        # Only the thread changes these; others may see them a moment old.
        self.state = state
        self.problem: str | None = None
        self.has_ended = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until everything is written."""
        self._thread.join()

    def close_unstarted(self) -> None:
        """Give back everything and note the end, where `start` is never called."""
        self._close()

    @property
    def is_alive(self) -> bool:
        """Whether it writes."""
        return self._thread.is_alive()

    @property
    def refusal(self) -> str | None:
        """What the disk says to that, in a sentence; None while it takes everything."""
        reason = self.state.refusal
        return None if reason is None else f"The disk takes no more ({reason}); events wait in memory."

    def _seen(self) -> Seen:
        queue = self._streams.queue
        return Seen(self._monotonic(), queue.fill, queue.drained, self._deadline.at)

    def _run(self) -> None:
        try:
            happened = self._attempt(self._begin)
            while (command := self._decide(happened)) is not Step.END:
                happened = self._attempt(partial(self._carry_out, command))
        except Exception as error:  # noqa: BLE001 - where nothing can be decided any more, it ends as well as it can
            self._end_unexpectedly(error)
            self._attempt(self._conclude)
        finally:
            self._close()

    def _decide(self, happened: Happened) -> Command:
        before, seen = self.state, self._seen()
        self.state, command = decide(before, happened, seen)
        self._log_turn(before, seen)
        return command

    def _log_turn(self, before: WriterState, seen: Seen) -> None:
        writer = self.state
        if writer.refusal is not None and writer.refused:
            log.warning("%s", self.refusal)
        if writer.behind and not before.behind:
            why = "the end is due" if seen.past_deadline else f"the queue is {seen.fill:.0%} full"
            log.warning("%s: rows are put off, the journal goes on", why)
        elif before.behind and not writer.behind:
            log.info("the rows have caught up with the journal")

    def _attempt(self, work: Callable[[], Happened]) -> Happened:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - the thread's last line: it must not look alive much longer
            self._end_unexpectedly(error)
            return Broke(self._records.unwritten, self._records.put_off, self._records.pending)

    def _begin(self) -> Happened:
        # Another kill may come at any moment: the end of the capture before is written down first.
        gaps = [*self._earlier.gaps_since_kills(), *self._log.late_begin()]
        self._log.write_gaps(gaps, self._now_ns())
        self._confirm_missed()
        resumed = self._records.resumed(self._now_ns())
        return Noted(self._records.add([self._log.began, *resumed, *self._log.take_records()]))

    def _confirm_missed(self) -> None:
        """Only what is in the loss log is told: where the disk took no row, the next capture finds it again."""
        if not self._log.unwritten_gaps:
            self._earlier.confirm_missed()

    def _carry_out(self, command: Command) -> Happened:  # noqa: C901, PLR0911, PLR0912 - a line for each
        match command:
            case Take(seconds):
                return self._take(seconds)
            case AwaitDisk(seconds):
                # Nothing is read while the disk refuses, and the connections are well.
                self._streams.keep_house(None)
                self._deadline.wait_to_leave(seconds)
            case Step.FLUSH:
                return self._flush()
            case Step.MAKE_ROWS:
                return self._make_rows()
            case Step.PUT_OFF:
                self._records.put_off_rows()
                return RowsMade(0)
            case Step.CATCH_UP:
                return self._catch_up()
            case Step.MAKE_EARLIER_ROWS:
                return self._make_earlier_rows()
            case Step.GATHER:
                self._deadline.wait_for_drain(GATHER_SECONDS)
            case Step.OBSERVE:
                return self._observe()
            case Step.SYNC:
                self._sync()
            case Step.TAKE_REST:
                return self._take_rest()
            case Step.GIVE_UP:
                self._records.give_up()
                return GivenUp()
            case Step.CONCLUDE:
                return self._conclude()
            case Step.END:
                pass
            case _:
                assert_never(command)
        return Done()

    def _take(self, seconds: float) -> Happened:
        frames = self._streams.queue.take(seconds, COMMIT_EVENTS)
        try:
            self._write_gaps_before(frames)
        finally:  # whatever went wrong: they are in no queue any more
            taken = self._add(frames, Record(RecordKind.TICK, self._now_ns()))
        return Taken(taken)

    def _take_rest(self) -> Taken:
        self._streams.queue.close()
        frames = self._streams.queue.take(0.0, COMMIT_EVENTS)
        if not frames:
            return Taken(0)  # what there is to say behind the last frame is the end's
        # Behind an error it would be the end, and what is left in the queue be lost.
        self._attempt_to_end(partial(self._write_gaps_before, frames))
        return Taken(self._add(frames))

    def _add(self, frames: Sequence[Frame], *after: Record) -> int:
        """Take these frames behind all that is to be said before them; how many records that is."""
        return self._records.add(self._taken_records(), frames, *after)

    def _taken_records(self) -> list[Record]:
        # A connection announces its market before its first frame.
        announced = [self._announcements.popleft() for _ in range(len(self._announcements))]
        return [*announced, *self._log.take_records()]

    def _write_gaps_before(self, frames: Sequence[Frame]) -> None:
        """What these frames lie behind: who is killed after them has told of it, as the next one tells from them on."""
        self._write_gaps_on_the_way(frames)
        connections = {frame.stream: frame.heard.connection for frame in frames}
        self._streams.look()
        absent_seconds = self._streams.absent_seconds
        if connections.items() <= self._connections.items() and absent_seconds == self._absent_seconds:
            return
        self._connections |= connections
        self._absent_seconds = absent_seconds
        now_ns = self._now_ns()
        # These frames themselves are on no disk yet.
        kept_until_ns = self._records.kept_until(now_ns)
        if frames:
            kept_until_ns = min(kept_until_ns, frames[0].received_ns)
        self._log.observe(self._status(), now_ns, kept_until_ns)

    def _write_gaps_on_the_way(self, frames: Sequence[Frame]) -> None:
        """Write down what a bus lacks before these frames: on the disk before the journal says that it went on."""
        gaps = [frame.mark.gap for frame in frames if frame.mark is not None and frame.mark.gap is not None]
        self._log.write_once(gaps, self._now_ns())

    def _flush(self) -> Flushed:
        self._keep_folder()
        flushed = self._records.flush()
        if not flushed.waiting and not self._log.unwritten_gaps:
            self._earlier.confirm_completed()
        return flushed

    def _make_rows(self) -> RowsMade:
        must_stop = self._rows_press if self.state.journals else self._deadline.is_past
        made = self._records.make_rows(must_stop)
        self._on_rows()
        return RowsMade(made)

    def _catch_up(self) -> CaughtUp:
        try:
            made = self._records.catch_up(self._rows_press)
        except OSError as error:
            # Too many open files, for instance: they are tried again, and the journal goes on meanwhile.
            log.warning("rows that were put off cannot be read back now: %s", error)
            made = 0
        self._on_rows()
        return CaughtUp(made)

    def _rows_press(self) -> bool:
        return self._seen().pressed

    def _make_earlier_rows(self) -> EarlierRowsMade:
        self._log.write_gaps(self._earlier.make_rows(), self._now_ns())
        return EarlierRowsMade(self._earlier.are_incomplete, self._records.add(self._log.take_records()))

    def _observe(self) -> Noted:
        # Rows that are put off are looked at later: until then what was read of a stream stands still.
        self._streams.keep_house(None if self.state.behind else self._recorder.tallies)
        if not self.state.behind:
            self._ask_for_books()
        self._keep_folder()
        self._note_displaced()
        self._note_gone()
        self._log.restore_losses(self._now_ns())
        now_ns = self._now_ns()
        self._log.observe(self._status(), now_ns, self._records.kept_until(now_ns))
        self._confirm_missed()
        return Noted(self._records.add(self._log.take_records()))

    def _ask_for_books(self) -> None:
        """Subscribe anew where a book cannot be believed: the whole of it comes then, and none goes on until it does.

        No frame is taken before the log's records are, so they stand before whatever the subscription brings.
        """
        now_ns = self._now_ns()
        due = self._recorder.maker.books.take_resyncs(now_ns)
        self._log.ask_for_books(due, now_ns)
        for stream, symbols in due.items():
            log.warning("%s: asking anew for the order books of %s", stream, named(symbols))
            if (channel := stream.kind.book_channel) is not None:
                self._streams.resubscribe(stream, symbols, channel)

    def _keep_folder(self) -> None:
        """StoreError where another recorder has the folder's name: this one ends, and writes nothing there."""
        try:
            self._recorder.store.keep_folder()
        except OSError as error:
            if error.errno != errno.EBUSY:
                return  # the next write meets it, and says so
            raise StoreError(f"{error.filename}: {error.strerror}. This one has ended.") from error

    def _note_displaced(self) -> None:
        """Files are no longer where they were: what is in memory goes to the new ones, and the loss is written down."""
        store = self._recorder.store
        found = [*self._records.take_displaced(), *store.take_displaced()]
        if not found:
            return
        try:
            # What is deleted is mostly deleted together.
            store.look_for_files()
            store.flush()
            # The records of a journal that is gone are not needed then.
            self._records.note_flushed()
        finally:
            found += store.take_displaced()
            now_ns = self._now_ns()
            self._log.stay_alive(now_ns, self._records.kept_until(now_ns), self._records.filed())
            self._log.note_displaced(found, now_ns)

    def _note_gone(self) -> None:
        """Events that were put off, and whose journal is gone."""
        self._log.note_gone(self._records.take_gone(), self._now_ns())

    def _sync(self) -> None:
        now_ns = self._now_ns()
        self._log.stay_alive(now_ns, self._records.kept_until(now_ns), self._records.filed())
        try:
            self._records.sync()
        except OSError as error:
            log.warning("the journal could not be synced: %s", error)
        if self._records.unproven:
            self._add_problem(
                "The disk fails to keep the journal: a loss of power would cost what is in it alone."
            )

    def _conclude(self) -> Noted:
        """Write the last rows and the last gaps; whatever is still in memory is written down as lost.

        Whatever fails on the way, the rest is told.
        """
        self._streams.queue.close()
        end: list[Record] = []
        for work in (
            self._earlier.close,
            self._recorder.settle,
            self._recorder.store.look_for_files,
            self._note_displaced,
            self._note_gone,
            self._observe_the_end,
            self._write_left_in_memory,
            self._confirm_missed,
            lambda: end.append(self._log.end_record(self._status(), self._now_ns())),
        ):
            self._attempt_to_end(work)
        if unwritten := self._log.unwritten_gaps:
            self._add_problem(f"The disk took no more; not in the ledger: {format_count(unwritten, 'gap')}.")
        # Books do not go on anyway.
        said = [record for record in self._taken_records() if record.kind is not RecordKind.BREAK]
        return Noted(self._records.conclude([*said, *end]))

    def _observe_the_end(self) -> None:
        self._streams.look()
        now_ns = self._now_ns()
        self._log.restore_losses(now_ns)
        self._log.observe_the_end(self._status(), now_ns)

    def _write_left_in_memory(self) -> None:
        if not self._records.follows_bus:  # what is not in the journal is asked for again
            now_ns = self._now_ns()
            self._log.write_gaps(self._left_in_memory(now_ns), now_ns)

    def _left_in_memory(self, now_ns: int) -> list[Gap]:
        """Events that nothing more can be done for."""
        return [
            Gap(name, now_ns, now_ns, "in memory at the end", counts.queued)
            for name, counts in self._streams.queue.counts().items()
            if counts.queued
        ]

    def _close(self) -> None:
        """Whatever fails on the way, the rest is given back, and whoever asks finds that it has ended."""
        try:
            for close in (self._records.close, self._recorder.close):
                self._attempt_to_end(close)
            self._attempt_to_end(self._note_end)
        finally:
            self.has_ended = True

    def _note_end(self) -> None:
        # Whether the files have all, nobody knows then: the next capture holds them against the journal.
        unproven = self._records.has_unproven_rows
        self._log.end(self._final_put_off(), self._now_ns(), self._records.places, unproven=unproven)

    def _final_put_off(self) -> int:
        """Events that are no rows; where nobody can count those, their records."""
        try:
            return self._status().put_off
        except Exception as error:  # noqa: BLE001 - the thread's last line, as below
            self._end_unexpectedly(error)
            return self._records.put_off

    def _attempt_to_end(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError as error:
            self._add_problem(f"The disk took no more at the end ({error.strerror or error}).")
        except Exception as error:  # noqa: BLE001 - the thread's last line: the note of the end is written in any case
            self._end_unexpectedly(error)

    def _end_unexpectedly(self, error: Exception) -> None:
        if isinstance(error, OptionsHelperError):
            log.error("the capture ends: %s", error)
            self._add_problem(str(error))
            return
        log.error("the capture ends unexpectedly", exc_info=error)
        self._add_problem(f"The capture ended unexpectedly ({type(error).__name__}): {error}")

    def _add_problem(self, problem: str) -> None:
        """The first one is mostly the cause of the others."""
        if problem not in (self.problem or ""):
            self.problem = " ".join(filter(None, (self.problem, problem)))
