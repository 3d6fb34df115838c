"""Order books are recorded as rows that tell of each message, read alone day by day, and come back from the journal."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections import deque
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from options_helper.data.intraday.book_messages import book_messages
from options_helper.data.intraday.book_rows import BookStart
from options_helper.data.intraday.contents import reading
from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday.listing import recorded_days
from options_helper.data.intraday.members import encode_member, member_text, scan
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.book_recorder import BookBreak, BookRecorder, BookSampling
from options_helper.data.recording.journal import (
    JournalWriter,
    Record,
    RecordKind,
    break_record,
    facts_record,
    journal_files,
    read_records,
)
from options_helper.data.recording.latest_books import LatestBooks
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.row_maker import RowMaker
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.state.live_state import StreamTally
from options_helper.data.streaming.state.order_book import OrderBook
from options_helper.errors import ConfigError
from options_helper.model.events import BookLevel, BookUpdate
from options_helper.model.instants import datetime_nanoseconds, utc_datetime
from options_helper.model.order_book import BookState
from options_helper.model.streams import BOOKS, StreamId, StreamName, stream_named
from options_helper.simulator.market.book_walk import BookWalk
from tests.data.recording.test_rebuild import record_session
from tests.kit.books import Sizes, book_message, book_update
from tests.kit.rebuilt import partitions

SECOND = 1_000_000_000
CRYPTO = StreamName.CRYPTO
BREEZE = StreamId(BOOKS, "breeze")
MIDNIGHT = datetime_nanoseconds(datetime(2026, 11, 28, tzinfo=UTC))
BEFORE, AFTER = date(2026, 11, 27), date(2026, 11, 28)
BTC_UPDATES = "books/book_updates/tick/BTC%2FUSD"


def began(at_ns: int, levels: int = 10, interval_seconds: float = 1.0) -> Record:
    books = {"levels": levels, "interval_seconds": interval_seconds}
    facts = {"flush_events": 7, "flush_seconds": 1.0, "books": books}
    return facts_record(RecordKind.SESSION, at_ns, facts)


def ended(at_ns: int) -> Record:
    return facts_record(RecordKind.END, at_ns, {"streams": {}})


def received(at_ns: int, *messages: object, stream: StreamId = CRYPTO) -> Record:
    return Record(RecordKind.FRAME, at_ns, msgpack.encode(messages), stream, len(messages))


def tick(at_ns: int) -> Record:
    return Record(RecordKind.TICK, at_ns)


def folded(
    root: Path, day: date, symbol: str = "BTC/USD"
) -> dict[int, tuple[tuple[BookLevel, ...], tuple[BookLevel, ...]]]:
    """The ten best levels after each message, from one day's file alone; nothing where nothing is known."""
    book, known, after = OrderBook(), False, {}
    for message in book_messages(root, symbol, day):
        if message.start is not BookStart.NOT:
            book.replace(message.bids, message.asks)
            known = message.start is not BookStart.LOST
        elif known:
            book.update(message.bids, message.asks)
        after[message.received_ns] = (book.bids.levels(10), book.asks.levels(10)) if known else ((), ())
    return after


def sampled(
    root: Path, day: date, symbol: str = "BTC/USD"
) -> list[tuple[int, str, tuple[BookLevel, ...], tuple[BookLevel, ...]]]:
    frame = IntradayStore(root).read("books", "book_snapshots_10", symbol, day=day)
    return [
        (row["recv_ns"], row["state"], _levels(row, "bid"), _levels(row, "ask"))
        for row in frame.to_dict("records")
    ]


def _levels(row: dict[str, float], side: str) -> tuple[BookLevel, ...]:
    pairs = (BookLevel(row[f"{side}_px_{n:02}"], row[f"{side}_sz_{n:02}"]) for n in range(10))
    return tuple(pair for pair in pairs if pair.price == pair.price)


def test_a_message_is_a_row_for_each_level_and_the_file_says_where_the_book_begins(tmp_path: Path):
    whole = book_message({10.0: 1.5}, {11.0: 2.0}, reset=True)
    record_session(
        tmp_path,
        "one",
        [
            began(MIDNIGHT),
            received(MIDNIGHT + 1, whole, book_message({10.0: 0.0, 9.5: 3}, {})),
            received(MIDNIGHT + 2, book_message({}, {})),
            ended(MIDNIGHT + SECOND),
        ],
    )

    frame = IntradayStore(tmp_path).read("books", "book_updates", "BTC/USD", day=AFTER)

    columns = ["recv_ns", "message", "reset", "side", "price", "size"]
    assert frame[columns].astype(object).where(frame[columns].notna(), None).values.tolist() == [
        [MIDNIGHT + 1, 0, "feed", "bid", 10.0, 1.5],
        [MIDNIGHT + 1, 0, "feed", "ask", 11.0, 2.0],
        [MIDNIGHT + 1, 1, None, "bid", 10.0, 0.0],
        [MIDNIGHT + 1, 1, None, "bid", 9.5, 3.0],
        [MIDNIGHT + 2, 0, None, None, None, None],
    ]
    assert frame["seq"].tolist() == [1, 2, 3, 4, 5]
    assert audit(tmp_path).ok


def test_each_days_file_is_read_without_the_day_before(tmp_path: Path):
    """A day of coins is one by UTC; the book that stood at midnight stands at the head of the new file."""
    walk = BookWalk("BTC/USD", seed=7)
    first_ns = MIDNIGHT - 30 * SECOND
    frames = [received(first_ns + n * SECOND // 2 + 1, walk.next_message(first_ns)) for n in range(120)]
    ticks = [tick(first_ns + n * SECOND // 2 + 2) for n in range(120)]
    mixed = [record for pair in zip(frames, ticks, strict=True) for record in pair]
    record_session(tmp_path, "one", [began(first_ns), *mixed, ended(first_ns + 61 * SECOND)])

    assert sorted(path.name for path in (tmp_path / BTC_UPDATES).glob("*.gz")) == [
        "2026-11-27.csv.gz",
        "2026-11-28.csv.gz",
    ]
    head = next(book_messages(tmp_path, "BTC/USD", AFTER))
    assert head.start is BookStart.CARRIED
    assert len(head.bids) >= 15
    for day in (BEFORE, AFTER):
        after = folded(tmp_path, day)
        for at_ns, state, bids, asks in sampled(tmp_path, day)[1:]:
            last = max(moment for moment in after if moment < at_ns)
            assert (state, (bids, asks)) == ("synced", after[last])
    assert audit(tmp_path).ok


def test_a_book_is_never_carried_over_a_gap(tmp_path: Path):
    """While the stream is lost there are no levels, and none after it until the whole book has come again."""
    whole = book_message({10.0: 1.0}, {11.0: 1.0}, reset=True)
    change = book_message({9.0: 1.0}, {})
    record_session(
        tmp_path,
        "one",
        [
            began(MIDNIGHT),
            received(MIDNIGHT + 1, whole),
            tick(MIDNIGHT + SECOND + 1),
            break_record(MIDNIGHT + 2 * SECOND + 1, "crypto", "cut", connected=False),
            tick(MIDNIGHT + 3 * SECOND + 1),
            break_record(MIDNIGHT + 4 * SECOND + 1, "crypto", "anew", connected=True),
            received(MIDNIGHT + 4 * SECOND + 1, change),
            tick(MIDNIGHT + 5 * SECOND + 1),
            received(MIDNIGHT + 5 * SECOND + 2, whole),
            tick(MIDNIGHT + 6 * SECOND + 1),
            ended(MIDNIGHT + 7 * SECOND),
        ],
    )

    states = [(state, len(bids)) for _, state, bids, _ in sampled(tmp_path, AFTER)]
    assert states == [*[("synced", 1)] * 2, *[("lost", 0)] * 2, ("waiting", 0), *[("synced", 1)] * 2]
    starts = [message.start for message in book_messages(tmp_path, "BTC/USD", AFTER)]
    assert starts == [BookStart.FEED, BookStart.LOST, BookStart.NOT, BookStart.FEED]
    assert audit(tmp_path).ok


def test_a_hole_in_the_journal_ends_a_book_where_it_is_made_from_that(tmp_path: Path):
    """What the missing records changed, nobody knows."""
    walk = BookWalk("BTC/USD", seed=7)
    frames = [received(MIDNIGHT + n, walk.next_message(MIDNIGHT)) for n in range(6)]
    record_session(tmp_path, "one", [began(MIDNIGHT), *frames, ended(MIDNIGHT + SECOND)])
    (path,) = journal_files(tmp_path)
    with reading(path) as (read_at, size):
        lost = scan(read_at, size).members[4]
    data = path.read_bytes()
    path.write_bytes(data[: lost.offset] + bytes(lost.length) + data[lost.end :])

    rebuild(tmp_path, tmp_path / "rebuilt")

    starts = [message.start for message in book_messages(tmp_path / "rebuilt", "BTC/USD", AFTER)]
    assert starts == [BookStart.FEED, BookStart.NOT, BookStart.LOST, *[BookStart.NOT] * 3]


def test_a_place_that_was_lost_ends_the_books_once(tmp_path: Path):
    """What comes behind the hole is taken as it comes: the next whole book is one, and goes on."""
    maker, tally = RowMaker(), StreamTally()

    def state_after(*messages: object) -> BookState:
        deque(maker.rows_of(received(MIDNIGHT, *messages), tally), maxlen=0)
        return maker.books.look(1)["BTC/USD"].state

    whole, change = book_message({10.0: 1.0}, {11.0: 1.0}, reset=True), book_message({9.0: 1.0}, {})
    assert state_after(whole) is BookState.SYNCED
    maker.lose_place()

    assert state_after(change) is BookState.WAITING
    assert [state_after(whole), state_after(change)] == [BookState.SYNCED] * 2


def test_a_message_that_cannot_be_read_ends_the_book_that_it_was_about(tmp_path: Path):
    whole = book_message({10.0: 1.0}, {11.0: 1.0}, reset=True)
    odd = {**book_message({}, {}), "b": "nothing that has levels"}
    record_session(
        tmp_path, "one", [began(MIDNIGHT), received(MIDNIGHT + 1, whole, odd), ended(MIDNIGHT + 2)]
    )

    starts = [message.start for message in book_messages(tmp_path, "BTC/USD", AFTER)]
    assert sorted(starts) == sorted([BookStart.FEED, BookStart.LOST])


def test_a_book_that_ends_after_midnight_is_marked_once_in_the_new_days_file():
    books = BookRecorder()
    books.rows_of(CRYPTO, update(MIDNIGHT - SECOND, reset=True), 0)

    (mark,) = books.break_off(BookBreak("crypto", "cut", connected=True), MIDNIGHT + 1)
    after = books.rows_of(CRYPTO, update(MIDNIGHT + 2), 0)

    assert (mark.start, [row.start for row in after]) == (BookStart.LOST, [BookStart.NOT] * 2)


def test_the_latest_books_are_written_once_a_second_at_the_end_and_where_the_clock_was_set_back(
    tmp_path: Path,
):
    books = BookRecorder()
    books.rows_of(CRYPTO, update(MIDNIGHT, reset=True), 0)
    latest, file = LatestBooks(tmp_path, "me"), tmp_path / "books/latest/BTC%2FUSD/latest.json"

    def written(seconds: float, *, ended: bool = False) -> tuple[str, bool]:
        as_of = utc_datetime(MIDNIGHT + int(seconds * SECOND))
        latest.write(books.look(1), as_of, "simulated", ended=ended)
        facts = json.loads(file.read_text())
        return facts["as_of"][11:21], facts["recording"]

    assert [written(10), written(10.9), written(11)] == [
        ("00:00:10Z", True), ("00:00:10Z", True), ("00:00:11Z", True),
    ]  # fmt: skip
    assert [written(3), written(3.5, ended=True)] == [("00:00:03Z", True), ("00:00:03.5", False)]


def update(at_ns: int, *, reset: bool = False, price: float = 10.0) -> BookUpdate:
    return book_update({price: 1.0}, {11.0: 1.0}, reset=reset, received_ns=at_ns)


def test_only_the_books_of_that_stream_and_those_symbols_are_lost():
    books = BookRecorder()
    books.rows_of(CRYPTO, update(MIDNIGHT, reset=True), 0)

    assert books.break_off(BookBreak("breeze/default/books", "cut", connected=False), MIDNIGHT + 1) == []
    assert books.doubt(CRYPTO, ("ETH/USD",), "unreadable", MIDNIGHT + 2) == []
    assert books.look(1)["BTC/USD"].best_bid == BookLevel(10.0, 1.0)
    (mark,) = books.doubt(CRYPTO, ("*",), "unreadable", MIDNIGHT + 3)
    assert (mark.start, books.look(1)["BTC/USD"].state) == (BookStart.LOST, BookState.UNSURE)
    assert books.take_resyncs(MIDNIGHT + 4) == {CRYPTO: ["BTC/USD"]}


def test_changes_before_the_first_whole_book_are_recorded_and_make_no_book():
    """What another session left in the same file is not theirs either: a mark stands before them."""
    books = BookRecorder()
    mark, *levels = books.rows_of(CRYPTO, update(MIDNIGHT), 0)

    assert (mark.start, len(levels)) == (BookStart.LOST, 2)
    book = books.look(5)["BTC/USD"]
    assert (book.state, book.bids, book.received_ns) == (BookState.WAITING, (), MIDNIGHT)


def test_a_crossed_book_says_so_and_keeps_its_levels():
    books = BookRecorder()
    books.rows_of(CRYPTO, update(MIDNIGHT, reset=True), 0)
    books.rows_of(CRYPTO, update(MIDNIGHT + 1, price=12.0), 0)

    book = books.look(5)["BTC/USD"]
    assert (book.state, book.best_bid, book.since_ns) == (
        BookState.CROSSED,
        BookLevel(12.0, 1.0),
        MIDNIGHT + 1,
    )


CROSSED = [
    received(MIDNIGHT + 1, book_message({10.0: 1.0}, {11.0: 1.0}, reset=True)),
    received(MIDNIGHT + 2, book_message({12.0: 1.0}, {})),
    tick(MIDNIGHT + SECOND + 1),
]
UNCROSSED = [
    received(MIDNIGHT + 3 * SECOND, book_message({12.0: 0.0}, {})),
    tick(MIDNIGHT + 4 * SECOND + 1),
    received(MIDNIGHT + 5 * SECOND, book_message({10.0: 2.0}, {11.0: 1.0}, reset=True)),
    tick(MIDNIGHT + 6 * SECOND + 1),
    ended(MIDNIGHT + 7 * SECOND),
]


def test_a_book_that_is_asked_for_anew_does_not_go_on_and_the_journal_says_which(tmp_path: Path):
    """What changed until it was subscribed again reached nobody; the stream's other books are whole."""
    other = received(MIDNIGHT + 1, book_message({3.0: 1.0}, {4.0: 1.0}, symbol="ETH/USD", reset=True))
    asked = break_record(MIDNIGHT + 2 * SECOND + 5, "crypto", "anew", connected=True, symbols=["BTC/USD"])
    record_session(tmp_path, "one", [began(MIDNIGHT), other, *CROSSED, asked, *UNCROSSED])

    samples = [(state, len(bids)) for _, state, bids, _ in sampled(tmp_path, AFTER)]
    assert samples == [*[("crossed", 2)] * 2, *[("unsure", 0)] * 3, *[("synced", 1)] * 2]
    starts = [message.start for message in book_messages(tmp_path, "BTC/USD", AFTER)]
    assert starts == [BookStart.FEED, BookStart.NOT, BookStart.LOST, BookStart.NOT, BookStart.FEED]
    assert [one.start for one in book_messages(tmp_path, "ETH/USD", AFTER)] == [BookStart.FEED]
    assert audit(tmp_path).ok
    rebuild(tmp_path, tmp_path / "rebuilt")
    assert partitions(tmp_path / "rebuilt") == partitions(tmp_path)


def test_a_journal_that_does_not_say_what_was_asked_for_anew_gives_the_rows_that_it_gave(tmp_path: Path):
    """Earlier versions went on with a crossed book, and their files are right as what they had heard."""
    record_session(tmp_path, "one", [began(MIDNIGHT), *CROSSED, *UNCROSSED])

    starts = [message.start for message in book_messages(tmp_path, "BTC/USD", AFTER)]
    assert starts == [BookStart.FEED, BookStart.NOT, BookStart.NOT, BookStart.FEED]
    assert audit(tmp_path).ok


def test_a_record_that_ends_the_books_of_a_whole_stream_is_written_as_it_always_was():
    record = break_record(1, "crypto", "cut", connected=True)

    assert record.payload == b'{"stream":"crypto","reason":"cut","connected":true}'


def test_only_what_is_whole_is_ended_by_asking_anew():
    """A book that waits goes on waiting: it says why, and since when."""
    books = BookRecorder()
    books.rows_of(CRYPTO, update(MIDNIGHT), 0)

    assert books.take_resyncs(MIDNIGHT + 6 * SECOND) == {CRYPTO: ["BTC/USD"]}
    asked = BookBreak("crypto", "anew", connected=True, symbols=["BTC/USD"])
    assert books.break_off(asked, MIDNIGHT + 6 * SECOND) == []
    book = books.look(1)["BTC/USD"]
    assert (book.state, book.since_ns) == (BookState.WAITING, MIDNIGHT)


@pytest.mark.parametrize(
    ("bids", "asks"), [({10.0: -1.0}, {}), ({}, {11.0: -1.0}), ({10.0: 1.0}, {0.0: 1.0})]
)
def test_a_level_that_cannot_be_costs_its_message_and_is_counted(tmp_path: Path, bids: Sizes, asks: Sizes):
    """Nobody knows what it should have been, so the book begins anew with the next whole one."""
    whole = book_message({10.0: 1.0}, {11.0: 1.0}, reset=True)
    bad = book_message(bids, asks)
    record_session(
        tmp_path, "one", [began(MIDNIGHT), received(MIDNIGHT + 1, whole, bad), ended(MIDNIGHT + 2)]
    )

    starts = [message.start for message in book_messages(tmp_path, "BTC/USD", AFTER)]
    assert starts == [BookStart.FEED, BookStart.LOST]
    assert "1 events could not be read" in audit(tmp_path).problems[0]


@pytest.mark.parametrize(("levels", "interval"), [(0, 1.0), (51, 1.0), (10, 0.05)])
def test_what_cannot_be_sampled_is_refused_with_a_sentence(levels: int, interval: float):
    with pytest.raises(ConfigError, match="book"):
        BookSampling(levels, interval)


def test_after_a_pause_one_sample_is_taken_and_a_clock_set_back_ends_none():
    books = BookRecorder()
    books.rows_of(CRYPTO, update(MIDNIGHT, reset=True), 0)
    moments = [0.1, 0.9, 1.0, 5.2, 5.1, 5.9, 6.0, -3_600.0, -3_599.0]

    taken = [books.sampled_until(MIDNIGHT + int(seconds * SECOND)) for seconds in moments]

    times = [(rows[0].received_ns - MIDNIGHT) / SECOND if rows else None for rows in taken]
    assert times == [None, None, 1.0, 5.0, None, None, 6.0, -3_600.0, -3_599.0]


def test_within_a_silence_a_sample_has_no_levels_and_is_not_called_synced(tmp_path: Path):
    """It may be a gap, which the ledger lists only when it is over; its receipt is there, and so is its age."""
    whole = book_message({10.0: 1.0}, {11.0: 1.0}, reset=True)
    records = [received(MIDNIGHT, whole), *(tick(MIDNIGHT + n * SECOND + 1) for n in range(1, 9))]
    after = [received(MIDNIGHT + 9 * SECOND, book_message({9.0: 1.0}, {})), tick(MIDNIGHT + 10 * SECOND + 1)]
    record_session(tmp_path, "one", [began(MIDNIGHT), *records, *after, ended(MIDNIGHT + 11 * SECOND)])

    states = [(state, len(bids), len(asks)) for _, state, bids, asks in sampled(tmp_path, AFTER)]
    assert states == [*[("synced", 1, 1)] * 5, *[("quiet", 0, 0)] * 4, *[("synced", 2, 1)] * 2]
    assert audit(tmp_path).ok
    rebuild(tmp_path, tmp_path / "rebuilt")
    assert partitions(tmp_path / "rebuilt") == partitions(tmp_path)


@st.composite
def book_traffic(draw: st.DrawFn) -> list[list[Record]]:
    """Sessions of two coins and a share of another provider around midnight, with gaps that last and gaps that end."""
    now_ns = MIDNIGHT - 4 * SECOND
    drawn = []
    for number in range(draw(st.integers(1, 3))):
        walks = [BookWalk(symbol, seed=number) for symbol in ("BTC/USD", "ETH/USD")]
        foreign = BookWalk("RELIND", seed=number, whole=True)
        records = [began(now_ns, draw(st.sampled_from([5, 10, 11])), draw(st.sampled_from([0.5, 1.0])))]
        for _ in range(draw(st.integers(0, 30))):
            now_ns += draw(st.sampled_from([1, SECOND // 4, SECOND]))
            match draw(st.integers(0, 8)):
                case 0:
                    records.append(tick(now_ns))
                case 1:
                    connected = draw(st.booleans())
                    records.append(break_record(now_ns, "crypto", "cut", connected=connected))
                case 2:
                    asked = draw(st.sampled_from([["BTC/USD"], ["BTC/USD", "ETH/USD"]]))
                    records.append(break_record(now_ns, "crypto", "anew", connected=True, symbols=asked))
                case 3:
                    records.append(received(now_ns, foreign.next_message(now_ns), stream=BREEZE))
                case 4:
                    records.append(received(now_ns, *(walk.whole_book(now_ns) for walk in walks)))
                case _:
                    records.append(received(now_ns, *(walk.next_message(now_ns) for walk in walks)))
        drawn.append([*records, ended(now_ns + 1)])
        now_ns += SECOND
    return drawn


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(captured=book_traffic())
def test_whatever_came_the_journal_gives_the_same_files_again(
    captured: list[list[Record]], tmp_path_factory: pytest.TempPathFactory
):
    root = tmp_path_factory.mktemp("books")
    for number, records in enumerate(captured):
        record_session(root, f"20261128T00000{number}.000000Z-1", records)

    rebuilt = rebuild(root, root / "rebuilt")

    assert not [one.problem for one in rebuilt if one.problem]
    assert partitions(root / "rebuilt") == partitions(root)
    disagreements = [one for one in audit(root).problems if "journal" in one and "note" not in one]
    assert disagreements == []


def test_a_stream_of_another_provider_has_its_name_in_each_record(tmp_path: Path):
    """Also where the reading begins in the midst of the journal."""
    journal = JournalWriter(tmp_path, "one")
    for number in range(3):
        journal.append(received(MIDNIGHT + number, {"T": "o"}, stream=BREEZE))
        journal.flush()
    journal.append(received(MIDNIGHT + 3, {"T": "o"}))
    journal.close()

    records = list(read_records(journal_files(tmp_path), skip=1))

    assert [str(record.stream) for record in records] == ["breeze/default/books"] * 2 + ["crypto"]
    assert {record.stream.provider for record in records[:2]} == {"breeze"}
    assert {record.payload for record in records} == {msgpack.encode([{"T": "o"}])}


def test_a_journal_of_an_older_version_reads_as_it_did(tmp_path: Path):
    """Its streams are the numbers 0 to 2, and what is written for those today is the same, byte for byte."""
    old = [(1, 0, b"stocks"), (1, 1, b"options"), (4, 0, b"{}"), (1, 2, b"fills")]
    text = b"".join(
        struct.pack("<BBQII", kind, stream, MIDNIGHT + number, 1, len(payload)) + payload
        for number, (kind, stream, payload) in enumerate(old)
    )
    folder = tmp_path / "journal" / "2026-11-27"
    folder.mkdir(parents=True)
    (folder / "old-000.jnl.gz").write_bytes(encode_member(b"", 0, 0) + encode_member(text, 0, len(old)))

    records = list(read_records(journal_files(tmp_path)))

    streams = [StreamName.STOCKS, StreamName.OPTIONS, StreamName.STOCKS, StreamName.FILLS]
    assert [(record.stream, record.payload) for record in records] == [
        (stream, payload) for stream, (_, _, payload) in zip(streams, old, strict=True)
    ]
    journal = JournalWriter(tmp_path / "new", "one")
    for record in records:
        journal.append(record)
    journal.close()
    (path,) = journal_files(tmp_path / "new")
    with reading(path) as (read_at, size):
        written = member_text(read_at, scan(read_at, size).members[1])
    assert written == text


@pytest.mark.parametrize("text", ["books/a", "nothing", "a/b/c/books", "breeze/default/nothing"])
def test_a_text_that_names_no_stream_is_refused(text: str):
    with pytest.raises(ValueError, match="there is no stream"):
        stream_named(text)


@pytest.mark.parametrize("stream", [*StreamName, BREEZE, StreamId(BOOKS, "dry-run", "me")])
def test_a_streams_text_names_it_again(stream: StreamId):
    again = stream_named(str(stream))
    assert (again, again.kind, again.provider, again.account) == (
        stream, stream.kind, stream.provider, stream.account,
    )  # fmt: skip


def test_books_are_listed_like_anything_else(tmp_path: Path):
    walk = BookWalk("BTC/USD", seed=7)
    frames = [received(MIDNIGHT + n * SECOND, walk.next_message(MIDNIGHT)) for n in range(5)]
    record_session(tmp_path / "in", "one", [began(MIDNIGHT), *frames, ended(MIDNIGHT + 9 * SECOND)])

    listed = {(one.kind, one.dataset, one.symbol, one.day) for one in recorded_days(tmp_path / "in")}

    assert listed == {
        ("books", "book_updates", "BTC/USD", AFTER),
        ("books", "book_snapshots_10", "BTC/USD", AFTER),
    }
    (part,) = find_parts(tmp_path / "in", kind="books", dataset="book_snapshots_10")
    assert part.path.parent.name == "BTC%2FUSD"


def test_a_sealed_day_of_books_has_a_copy_from_which_it_is_made_anew(tmp_path: Path):
    walk = BookWalk("BTC/USD", seed=7)
    frames = [received(MIDNIGHT + n * SECOND, walk.next_message(MIDNIGHT)) for n in range(5)]
    record_session(tmp_path, "one", [began(MIDNIGHT), *frames, ended(MIDNIGHT + 9 * SECOND)])
    store = IntradayStore(tmp_path)
    assert not [one.problem for one in store.seal(AFTER, parquet=True) if one.problem]
    whole = folded(tmp_path, AFTER)
    (part,) = find_parts(tmp_path, kind="books", dataset="book_updates")

    part.path.unlink()
    assert [one.made_anew for one in store.repair(day=AFTER) if one.part == part] == [True]

    assert folded(tmp_path, AFTER) == whole
    assert audit(tmp_path).ok


def test_the_same_seed_gives_the_same_book_in_any_process():
    """Neither the hash of a text, which is another in each process, nor anybody else's random numbers have a part."""
    program = (
        "import hashlib, random, sys; random.seed(int(sys.argv[1]));"
        "from options_helper.simulator.market.book_walk import BookWalk;"
        "walks = [BookWalk(s, 7) for s in ('BTC/USD', 'DOGE/USD')] + [BookWalk('TCS', 7, whole=True)];"
        "print(hashlib.sha256(repr([w.next_message(n) for n in range(300) for w in walks]).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, seed],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@given(seed=st.integers(0, 50), symbol=st.sampled_from(["BTC/USD", "PEPE/USD", "TCS"]))
@settings(max_examples=20, deadline=None)
def test_an_invented_book_never_crosses_and_its_changes_lead_to_its_whole(seed: int, symbol: str):
    walk, book = BookWalk(symbol, seed), OrderBook()
    for number in range(300):
        message = walk.next_message(number)
        bids, asks = ([BookLevel(one["p"], one["s"]) for one in message[side]] for side in "ba")
        (book.replace if message.get("r") else book.update)(bids, asks)
        assert not book.is_crossed
        assert min(len(book.bids), len(book.asks)) >= 10
    whole = walk.whole_book(0)
    assert book.bids.levels() == tuple(BookLevel(one["p"], one["s"]) for one in whole["b"])
    assert book.asks.levels() == tuple(BookLevel(one["p"], one["s"]) for one in whole["a"])
