"""Rows that were put off are made from the journal, in order and to the last, or it is said why they cannot be."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from options_helper.capture.write_ahead import CATCH_UP_RECORDS, WriteAhead
from options_helper.data.intraday.files import Disk
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.recording.journal import (
    JournalWriter,
    Record,
    RecordKind,
    facts_record,
    journal_files,
    read_records,
)
from options_helper.data.recording.recorder import Recorder
from options_helper.data.streaming.engine.frame_queue import FrameQueue
from options_helper.model.frames import Mark, Place
from options_helper.model.instants import NANOSECONDS
from options_helper.model.order_book import BookState
from options_helper.model.streams import StreamName
from tests.kit.books import book_message
from tests.kit.captured import AAPL_QUOTES, bid_sizes, rows_in
from tests.kit.fakes import NOON, frame, quote_message

STOCKS, CRYPTO = StreamName.STOCKS, StreamName.CRYPTO


class FullDisk:
    """One that takes nothing while it is full."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.is_full = is_full

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.is_full:
            raise OSError(28, "No space left on device")
        return os.write(descriptor, data)


class Hands:
    """Records in a writer's hands, all of which are put off as soon as they are in the journal."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.queue = FrameQueue(100_000, (STOCKS,))
        self.recorder = Recorder(root, "one", StorePolicy(min_free_bytes=0))
        self.recorder.apply(facts_record(RecordKind.SESSION, NOON, {}))
        self.records = WriteAhead(self.queue, JournalWriter(root, "one"), self.recorder)
        self.arrived = 0

    def put_off(self, count: int) -> None:
        """Frames arrive, and no rows are made of them."""
        for _ in range(count):
            self.arrived += 1
            self.queue.put(STOCKS, frame(quote_message("AAPL", bs=self.arrived)), 1, NOON)
        self.records.add((), self.queue.take(0.0, count))
        assert self.records.flush().waiting == 0
        self.records.put_off_rows()

    def catch_up(self) -> int:
        return self.records.catch_up(lambda: False)


@pytest.fixture
def hands(tmp_path: Path) -> Iterator[Hands]:
    hands = Hands(tmp_path)
    yield hands
    hands.records.close()
    hands.recorder.close()


def test_what_a_disk_refuses_without_a_journal_is_not_kept_until_it_is_written(tmp_path: Path):
    """Who is killed meanwhile loses more than the rows of the last seconds, and the next capture must tell of all."""

    def refuse(_descriptor: int, _data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    queue = FrameQueue(100, (STOCKS,))
    policy = StorePolicy(min_free_bytes=0, flush_rows=1)
    recorder = Recorder(tmp_path, "one", policy, disk=Disk(write=refuse))
    recorder.apply(facts_record(RecordKind.SESSION, NOON, {}))
    records = WriteAhead(queue, None, recorder)
    assert records.kept_until(NOON + 5) == NOON + 5
    for at in (7, 8):
        queue.put(STOCKS, frame(quote_message("AAPL", bs=at)), 1, NOON + at)
        records.add((), queue.take(0.0, 1))
        records.make_rows(lambda: False)
    assert records.kept_until(NOON + 90) == NOON + 7
    recorder.close()


@pytest.mark.parametrize("gives_up", [True, False])
def test_a_desk_was_followed_no_further_than_what_was_not_given_up(tmp_path: Path, *, gives_up: bool):
    """The disk is full to the last, and free again for the end: the bus still has what was given up."""
    full = FullDisk()
    queue = FrameQueue(100, (STOCKS,))
    recorder = Recorder(tmp_path, "one", StorePolicy(min_free_bytes=0))
    records = WriteAhead(queue, JournalWriter(tmp_path, "one", Disk(write=full.write)), recorder, "desk")
    for number in (1, 2):
        full.is_full = number == 2
        place = Place(sequence=number, epoch=1, number=number, events=number)
        queue.put(STOCKS, frame(quote_message("AAPL")), 1, NOON + number, Mark(place))
        records.add((), queue.take(0.0, 1))
        records.flush()
    if gives_up:
        records.give_up()
    full.is_full = False
    records.close()
    recorder.close()

    assert {place.sequence for place in records.places.values()} == (set() if gives_up else {2})


def test_what_a_disk_refuses_the_journal_is_not_kept_and_a_desk_was_not_followed_so_far(tmp_path: Path):
    """Who is killed then asks a bus for it again, and tells of it where there is none."""
    full = FullDisk(is_full=True)
    queue = FrameQueue(100, (STOCKS,))
    recorder = Recorder(tmp_path, "one", StorePolicy(min_free_bytes=0))
    disk = Disk(write=full.write)
    records = WriteAhead(queue, JournalWriter(tmp_path, "one", disk), recorder, "desk")
    for number in (1, 2):
        place = Place(sequence=number, epoch=1, number=number, events=number)
        mark = Mark(place)
        queue.put(STOCKS, frame(quote_message("AAPL")), 1, NOON + number, mark)
        records.add((), queue.take(0.0, 1))
        assert records.flush().waiting
        assert records.make_rows(lambda: False) == 0
        assert records.kept_until(NOON + 90) == NOON + 1
        assert not list(read_records(journal_files(tmp_path)))
    full.is_full = False
    assert records.flush().waiting == 0

    assert records.kept_until(NOON + 90) == NOON + 90
    kinds = [record.kind for record in read_records(journal_files(tmp_path))]
    assert kinds == [RecordKind.FRAME, RecordKind.BUS] * 2
    records.close()
    recorder.close()


def test_nothing_that_a_capture_says_of_itself_is_told_at_a_moment_after_what_still_waits(hands: Hands):
    """A later capture counts what came after the journal's last moment as lost: nothing of that may be in it."""
    hands.queue.put(STOCKS, frame(quote_message("AAPL")), 1, NOON + 5)
    hands.records.add([facts_record(RecordKind.GAP, NOON + 120, {})])
    frames = hands.queue.take(0.0, 1)
    hands.queue.put(STOCKS, frame(quote_message("AAPL")), 1, NOON + 9)
    hands.records.add(
        [facts_record(RecordKind.GAP, NOON + 121, {})], frames, Record(RecordKind.TICK, NOON + 122)
    )
    hands.queue.take(0.0, 1)
    hands.records.add([], (), Record(RecordKind.TICK, NOON + 123))
    assert hands.records.flush().waiting == 0

    told = [record.received_ns - NOON for record in read_records(journal_files(hands.root))]
    assert told == [5, 5, 5, 9, 123]


def test_a_frame_behind_a_loss_or_on_a_new_connection_has_a_record_before_it_that_ends_the_books(
    tmp_path: Path,
):
    """Only of streams that bring books: the journals of the others are what they were."""
    queue = FrameQueue(4, (STOCKS, CRYPTO))
    recorder = Recorder(tmp_path, "one", StorePolicy(min_free_bytes=0))
    records = WriteAhead(queue, JournalWriter(tmp_path, "one"), recorder)
    book = frame(book_message({1.0: 1.0}, {2.0: 1.0}, reset=True))

    def arrive(*streams: StreamName) -> None:
        for stream in streams:
            queue.put(stream, book if stream is CRYPTO else frame(quote_message("AAPL")), 1, NOON)
        records.add((), queue.take(0.0, 100))
        records.flush()
        records.make_rows(lambda: False)

    arrive(STOCKS, CRYPTO)
    queue.connected(STOCKS)
    queue.connected(CRYPTO)
    arrive(STOCKS, CRYPTO)
    arrive(CRYPTO, CRYPTO, CRYPTO, CRYPTO, CRYPTO)  # the last ones find no room
    arrive(CRYPTO)
    records.close()
    recorder.close()

    written = list(read_records(journal_files(tmp_path)))
    breaks = [(at, record.facts) for at, record in enumerate(written) if record.kind is RecordKind.BREAK]
    assert [(facts["stream"], facts["connected"]) for _, facts in breaks] == [("crypto", True)] * 2
    assert [written[at + 1].stream for at, _ in breaks] == [CRYPTO] * 2
    assert "connected anew" in breaks[0][1]["reason"]
    assert "dropped" in breaks[1][1]["reason"]


def test_what_is_put_off_while_others_are_caught_up_follows_without_an_idle_step(
    hands: Hands, tmp_path: Path
):
    """What was opened to be read back ends where the journal ended then."""
    hands.put_off(CATCH_UP_RECORDS)
    assert hands.catch_up() == CATCH_UP_RECORDS
    hands.put_off(CATCH_UP_RECORDS + 1)
    first = hands.catch_up()
    hands.put_off(5)

    made = [first]
    while hands.records.put_off:
        made.append(hands.catch_up())

    assert 0 not in made
    hands.recorder.close()
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == list(range(1, hands.arrived + 1))


def test_rows_whose_journal_is_gone_are_counted_and_the_recorder_goes_on(hands: Hands, tmp_path: Path):
    hands.put_off(3)
    for path in journal_files(tmp_path):
        path.unlink()
    hands.put_off(2)

    while hands.records.put_off:
        assert hands.catch_up()

    assert hands.records.take_gone() == [(STOCKS, 3)]
    counts, _ = hands.records.ledger().streams[STOCKS]
    assert (counts.received, counts.queued, hands.records.ledger().gone) == (5, 3, 3)
    hands.recorder.close()
    assert bid_sizes(rows_in(tmp_path / AAPL_QUOTES)) == [4, 5]


def test_no_book_goes_on_behind_rows_whose_journal_is_gone(tmp_path: Path):
    """What the lost records changed in it, nobody knows: the next change alone would be taken for the whole."""
    queue, recorder = FrameQueue(100, (CRYPTO,)), Recorder(tmp_path, "one", StorePolicy(min_free_bytes=0))
    records = WriteAhead(queue, JournalWriter(tmp_path, "one"), recorder)

    def arrive(*messages: dict[str, Any]) -> None:
        for message in messages:
            queue.put(CRYPTO, frame(message), 1, NOON)
        records.add((), queue.take(0.0, len(messages)))
        records.flush()

    arrive(book_message({1.0: 1.0}, {2.0: 1.0}, reset=True))
    records.make_rows(lambda: False)
    arrive(book_message({1.0: 2.0}, {}))
    records.put_off_rows()
    for path in journal_files(tmp_path):
        path.unlink()
    arrive(book_message({1.0: 3.0}, {}))
    records.put_off_rows()
    while records.put_off:
        assert records.catch_up(lambda: False)
    records.close()

    assert records.take_gone() == [(CRYPTO, 1)]
    assert recorder.maker.books.look(None)["BTC/USD"].state is BookState.WAITING
    recorder.close()


def test_catching_up_begins_where_it_was_left_and_not_at_the_beginning(hands: Hands, tmp_path: Path):
    """A day has a million members: whoever hops over all of them journals nothing meanwhile."""
    for _ in range(3):
        hands.put_off(CATCH_UP_RECORDS)
        while hands.records.put_off:
            hands.catch_up()
    (path,) = journal_files(tmp_path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(bytes(size * 2 // 3))
    hands.put_off(10)

    assert hands.catch_up() == 10
    assert hands.records.take_gone() == []


def test_nothing_is_caught_up_where_nothing_was_put_off(hands: Hands):
    assert hands.catch_up() == 0


def filed_each_five_seconds(
    folder: Path, seconds: int, refusal: Callable[[int], OSError | None], note_flushed_after: int
) -> tuple[WriteAhead, Recorder, list[int]]:
    """What is filed after a quote each, on a disk that refuses a sync at some seconds; all is closed by then."""
    refused: OSError | None = None

    def sync(_: int) -> None:
        if refused is not None:
            raise refused

    queue = FrameQueue(100, (STOCKS,))
    policy = StorePolicy(min_free_bytes=0, flush_rows=1)
    recorder = Recorder(folder, "one", policy, disk=Disk(sync=sync, sync_all=lambda _: False))
    recorder.apply(facts_record(RecordKind.SESSION, NOON, {}))
    records = WriteAhead(queue, JournalWriter(folder, "one"), recorder)
    filed = list[int]()
    for second in range(0, seconds, 5):
        refused = refusal(second)
        at = NOON + second * NANOSECONDS
        queue.put(STOCKS, frame(quote_message("AAPL", bs=second)), 1, at)
        records.add((), queue.take(0.0, 1), Record(RecordKind.TICK, at))
        assert records.flush().waiting == 0
        records.make_rows(lambda: False)
        filed.append(records.filed())
        if second > note_flushed_after:
            records.note_flushed()
    records.close()
    recorder.close()
    return records, recorder, filed


def test_rows_that_the_disk_may_have_failed_to_keep_are_never_filed(tmp_path: Path):
    """It says so once, and that all is well the next time: the journal is needed to the end."""
    records, recorder, filed = filed_each_five_seconds(
        tmp_path, 120, lambda second: OSError(5, "Input/output error") if second == 60 else None, 60
    )

    assert recorder.counts().sync_failures == 1
    assert filed[11] > 0
    assert filed[12:] == [filed[11]] * 12
    assert records.has_unproven_rows


def test_while_files_cannot_be_opened_to_be_synced_the_journal_is_needed_and_after_that_no_more(
    tmp_path: Path,
):
    records, _, filed = filed_each_five_seconds(
        tmp_path, 180, lambda second: OSError(24, "Too many open files") if 60 <= second < 120 else None, 180
    )

    assert filed[12:24] == [filed[11]] * 12
    assert filed[24] > filed[11] > 0
    assert not records.has_unproven_rows
