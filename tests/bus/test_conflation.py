"""The slow feed: quotes that a newer one of their symbol follows are left out, nothing else is, and all are counted."""

from __future__ import annotations

from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from options_helper.bus.batch import Batch, Head, decode, split
from options_helper.bus.conflation import Conflater, behind, left_out
from options_helper.bus.slow_feed import KEPT_SECONDS, SlowFeed
from options_helper.data.recording.journal import Record, RecordKind, gap_record, record_parts
from options_helper.model.gaps import Gap
from options_helper.model.streams import StreamName
from tests.kit.fakes import frame as payload_of
from tests.kit.fakes import quote_message, trade_message

STOCKS = StreamName.STOCKS
Said = tuple[str, str, int]  # what, of which symbol, with which number


def message(said: Said) -> dict[str, object]:
    what, symbol, number = said
    return quote_message(symbol, bid=number) if what == "q" else trade_message(symbol, price=number)


def frame(at_ns: int, *messages: Said) -> Record:
    return Record(RecordKind.FRAME, at_ns, payload_of(*map(message, messages)), STOCKS, len(messages))


def said(records: list[Record]) -> list[Said]:
    found: list[Said] = []
    for record in records:
        if record.kind is RecordKind.FRAME:
            messages = msgspec.msgpack.decode(record.payload)
            assert len(messages) == record.events
            found += [(one["T"], one["S"], int(one.get("bp", one.get("p")))) for one in messages]
    return found


def conflated(*batches: list[Record]) -> list[Record]:
    conflater, before = Conflater(), 100
    for number, records in enumerate(batches):
        events = sum(one.events for one in records)
        conflater.take(Head(1, number, before, events), records)
        before += events
    (interval,) = conflater.flush()
    found = interval.records()
    assert sum(one.events for one in found) == interval.events == before - 100
    return found


def test_of_the_quotes_of_a_symbol_the_newest_is_told_with_its_own_receipt():
    found = conflated(
        [frame(1, ("q", "A", 1), ("q", "B", 2)), frame(2, ("q", "A", 3))],
        [frame(3, ("q", "A", 4))],
    )

    assert said(found) == [("q", "B", 2), ("q", "A", 4)]
    assert [one.received_ns for one in found if one.kind is RecordKind.FRAME] == [1, 3]
    assert left_out(found) == 2


def test_a_trade_keeps_the_quote_before_it_and_no_trade_is_ever_left_out():
    found = conflated([frame(1, ("q", "A", 1), ("q", "A", 2), ("t", "A", 3), ("t", "A", 4), ("q", "A", 5))])

    assert said(found) == [("q", "A", 2), ("t", "A", 3), ("t", "A", 4), ("q", "A", 5)]


def test_a_gap_stands_where_it_was_and_what_cannot_be_read_is_passed_on():
    gap = gap_record(2, Gap(STOCKS, 1, 2, "lost", 7))._replace(stream=STOCKS)
    odd = Record(RecordKind.FRAME, 4, b"\xff", STOCKS, 1)
    records = [frame(1, ("q", "A", 1)), gap, frame(3, ("q", "A", 2)), odd, frame(5, ("q", "A", 3))]

    assert conflated(records) == records


said_of = st.tuples(st.sampled_from("qqqt"), st.sampled_from("AB"), st.integers(1, 99))
batches_of = st.lists(st.lists(st.lists(said_of, min_size=1, max_size=4), max_size=3), min_size=1, max_size=4)


@given(batches_of, st.integers(0, 60))
def test_whatever_comes_the_end_is_the_same_all_that_is_no_quote_is_there_and_any_place_of_a_frame_is_found(
    batches: list[list[list[Said]]], at: int
):
    frames = [[frame(1 + number, *one) for one in batch] for number, batch in enumerate(batches)]
    everything = [one for batch in batches for messages in batch for one in messages]
    found = conflated(*frames)
    told = said(found)

    assert [one for one in told if one[0] == "t"] == [one for one in everything if one[0] == "t"]
    for symbol in "AB":
        of_all = [one for one in everything if one[1] == symbol]
        of_told = [one for one in told if one[1] == symbol]
        assert of_told[-1:] == of_all[-1:]
        # Each trade stands behind the quote that it had before it.
        assert [one for one in pairs(of_told) if one[1][0] == "t"] == [
            one for one in pairs(of_all) if one[1][0] == "t"
        ]
    # Whoever has come to the end of any batch goes on behind it.
    ends, until = [0], 0
    for batch in frames:
        until += sum(one.events for one in batch)
        ends.append(until)
    known = ends[at % len(ends)]
    rest = behind(found, known)
    assert sum(one.events for one in rest) == until - known


def pairs(of: list[Said]) -> list[tuple[Said, Said]]:
    return list(pairwise(of))


def decoded(data: bytes) -> Batch:
    batch = decode(data)
    assert isinstance(batch, Batch)
    return batch


def test_a_batch_that_does_not_go_on_from_the_last_begins_anew_so_that_the_hole_is_counted():
    feed = SlowFeed()
    feed.want(STOCKS, 0.0)
    feed.take(STOCKS, Head(1, 0, 0, 1), [frame(1, ("q", "A", 1))])
    feed.take(STOCKS, Head(1, 2, 5, 1), [frame(2, ("q", "A", 2))])
    feed.take(STOCKS, Head(2, 0, 6, 1), [frame(3, ("q", "A", 3))])
    heads = [decoded(data).head for _, data in feed.flush(0.3, 1_000_000)]

    assert heads == [Head(1, 0, 0, 1), Head(1, 1, 5, 1), Head(2, 0, 6, 1)]


def test_what_is_larger_than_a_message_is_told_in_several():
    feed = SlowFeed()
    feed.want(STOCKS, 0.0)
    feed.take(STOCKS, Head(1, 0, 0, 60), [frame(at, ("t", "A", at)) for at in range(1, 61)])
    batches = [decoded(data) for _, data in feed.flush(0.3, 1_000)]

    assert len(batches) > 2
    assert [batch.head.events_before for batch in batches[1:]] == [
        batch.head.events_until for batch in batches[:-1]
    ]
    assert [batch.head.number for batch in batches] == list(range(len(batches)))
    assert len(said([one for batch in batches for one in batch.records])) == 60


def test_what_nobody_follows_any_more_costs_nothing():
    feed = SlowFeed()
    feed.want(STOCKS, 0.0)
    assert feed.flush(KEPT_SECONDS + 1, 1_000_000) == []
    feed.take(STOCKS, Head(1, 0, 0, 1), [frame(1, ("q", "A", 1))])
    feed.take(StreamName.OPTIONS, Head(1, 0, 0, 1), [frame(1, ("q", "A", 1))])

    assert feed.flush(KEPT_SECONDS + 2, 1_000_000) == []


def test_what_is_left_out_of_a_frame_is_in_one_batch_with_it_and_no_frame_is_cut():
    left = Record(RecordKind.LEFT_OUT, 1, stream=STOCKS, events=1)
    one = frame(1, ("t", "A", 1))
    large = one._replace(payload=bytes(200))
    room = 32 + sum(len(part) for record in (left, large, left) for part in record_parts(record))
    assert list(split([left, large, left, large], room)) == [[left, large], [left, large]]
    assert behind([frame(1, ("t", "A", 1), ("t", "B", 2))], 1) == [frame(1, ("t", "A", 1), ("t", "B", 2))]
    assert behind([left._replace(events=3), one], 2) == [left, one]


def test_a_frame_that_holds_other_than_it_announces_is_passed_on_as_it_came():
    """Its events are what the ledger counts: by its messages another number would be told as left out."""
    odd = frame(2, ("q", "A", 1), ("q", "A", 2))._replace(events=1)
    records = [frame(1, ("q", "A", 1)), odd, frame(3, ("q", "A", 3))]

    assert conflated(records) == records
