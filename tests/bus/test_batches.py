"""Batches and the count of what did not arrive."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.bus.batch import BATCH_BYTES, Batch, Head, decode, encode, read_head, split
from options_helper.bus.continuity import Arrival, Begun, Position, Verdict
from options_helper.bus.names import Names, message_id, stream_of
from options_helper.data.recording.journal import Record, RecordKind, gap_record
from options_helper.errors import ConfigError
from options_helper.model.gaps import Gap
from options_helper.model.streams import BOOKS, StreamId, StreamName

STREAMS = (*StreamName, StreamId(BOOKS, "breeze", "main.1"))
RECORDS = st.builds(
    Record,
    kind=st.sampled_from([RecordKind.FRAME, RecordKind.MARKET, RecordKind.TICK]),
    received_ns=st.integers(0, 2**63),
    payload=st.binary(max_size=60),
    stream=st.sampled_from(STREAMS),
    events=st.integers(0, 1_000),
)


def frame(events: int = 1, payload: bytes = b"x") -> Record:
    return Record(RecordKind.FRAME, 1, payload, StreamName.STOCKS, events)


def batch(records: list[Record], *, epoch: int = 7, number: int = 0, before: int = 0) -> bytes:
    return encode(Head(epoch, number, before, sum(one.events for one in records)), records)


@given(
    st.lists(RECORDS, max_size=30),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**63),
)
def test_a_batch_is_read_as_it_was_written(records, epoch, number, before):
    head = Head(epoch, number, before, sum(record.events for record in records))

    read = decode(encode(head, records))

    assert read == Batch(head, tuple(records))


def test_a_gap_travels_among_the_frames_in_its_place():
    gap = Gap("stocks", 5, 9, "The stream ended.", lost=3)
    records = [frame(), gap_record(9, gap), frame(2)]

    read = decode(batch(records))

    assert isinstance(read, Batch)
    assert [record.kind for record in read.records] == [RecordKind.FRAME, RecordKind.GAP, RecordKind.FRAME]
    assert read.records[1].gap == gap


@given(st.data())
def test_no_damage_passes_for_a_batch(data):
    """A byte that flipped, a tail that is gone, bytes that were added: told as a sentence, never an error."""
    whole = batch([frame(3, b"abcdef"), frame(1)], before=40)
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = data.draw(
        st.sampled_from(
            [
                whole[:at],
                whole + b"\0",
                whole[:at] + bytes((whole[at] ^ data.draw(st.integers(1, 255)),)) + whole[at + 1 :],
            ]
        )
    )

    assert isinstance(decode(damaged), str)
    assert read_head(damaged) is None


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_a_sentence_at_most(payload):
    assert isinstance(decode(payload), (str, Batch))


def test_ten_thousand_mutations_of_a_batch_end_nothing():
    dice = random.Random(7)
    whole = bytearray(batch([frame(2, b"abc" * 30) for _ in range(5)]))

    for _ in range(10_000):
        mutated = bytearray(whole)
        for _ in range(dice.randint(1, 8)):
            mutated[dice.randrange(len(mutated))] = dice.randrange(256)
        assert mutated == whole or isinstance(decode(bytes(mutated)), str)


def test_what_another_version_wrote_is_told_as_that():
    whole = batch([frame()])

    assert "version 2" in str(decode(b"\x02\x00" + whole[2:]))


def test_a_head_that_announces_other_events_is_refused_where_it_is_written():
    with pytest.raises(ValueError, match="do not announce 5"):
        encode(Head(1, 0, 0, 5), [frame(4)])


@given(st.lists(RECORDS, max_size=40), st.integers(1, 400))
def test_splitting_keeps_every_record_in_its_order(records, limit):
    parts = list(split(records, limit))

    assert [record for part in parts for record in part] == records
    assert all(part for part in parts)
    assert all(len(part) == 1 or len(batch(part)) <= limit for part in parts)


def test_the_head_of_a_batch_is_read_without_its_records(monkeypatch):
    whole = batch([frame(3)], epoch=9, number=4, before=40)
    monkeypatch.setattr("options_helper.bus.batch.records_in", lambda _: pytest.fail("the records were read"))

    assert read_head(whole) == Head(9, 4, 40, 3)


def test_a_frame_larger_than_a_batch_has_one_of_its_own():
    small, large = frame(), frame(1, b"x" * (BATCH_BYTES + 1))

    assert list(split([small, large, small])) == [[small], [large], [small]]


def story(data: st.DataObject, owners: int) -> list[Head]:
    """What some owners published, one after another: the count of events goes on from each to the next."""
    heads, before = [], data.draw(st.integers(0, 1_000))
    for epoch in range(1, owners + 1):
        for number in range(data.draw(st.integers(1, 8))):
            events = data.draw(st.integers(0, 50))
            heads.append(Head(epoch, number, before, events))
            before += events
    return heads


@given(st.data())
def test_every_event_that_was_published_is_delivered_or_counted_as_missed(data):
    """Whatever is lost on the way, comes twice or late: the sum is what the owner published since the first."""
    heads = story(data, data.draw(st.integers(1, 4)))
    arriving = [head for head in heads if data.draw(st.booleans())]
    for _ in range(data.draw(st.integers(0, 3))):
        if arriving:
            arriving.insert(data.draw(st.integers(0, len(arriving))), data.draw(st.sampled_from(heads)))

    position, used = Position(), []
    for head in arriving:
        position, arrival = position.take(head)
        if arrival.is_new:
            used.append(head)

    assert used == sorted(set(used)), "in order, and none twice"
    assert position.delivered == sum(head.events for head in used)
    if used:
        assert position.received == used[-1].events_until - used[0].events_before
        between = [head for head in heads if used[0] <= head <= used[-1] and head not in used]
        assert position.missed == sum(head.events for head in between)
    assert position.lost_count == 0


@given(st.data())
def test_who_knows_how_far_a_stream_was_published_when_it_began_counts_all_since(data):
    """Also what came before the first batch: a viewer that was parted from the bus just then would not know of it."""
    heads = story(data, data.draw(st.integers(1, 3)))
    at = data.draw(st.integers(0, len(heads) - 1))
    late = [head for head in heads[at:] if data.draw(st.booleans())]
    begun = Begun(heads[at - 1].epoch if at else 1, heads[at].events_before)
    position, _ = Position().begin(begun)

    for head in late:
        assert position.is_behind(head.epoch, head.events_until) or head[:2] == begun or not head.events
        position, arrival = position.take(head)
        assert arrival.is_new
        assert not position.is_behind(head.epoch, head.events_until)
    if late:
        assert position.received == late[-1].events_until - begun.events
        assert position.delivered == sum(head.events for head in late)
        assert position.begin(Begun(late[-1].epoch, 0)) == (position, Arrival(Verdict.NEXT))
    assert position.lost_count == 0


@pytest.mark.parametrize("came", [True, False])
@pytest.mark.parametrize(
    ("at", "verdict", "missed"),
    [
        (Begun(2, 10), Verdict.NEXT, 0),
        (Begun(2, 14), Verdict.HOLE, 4),
        (Begun(3, 10), Verdict.NEW_OWNER, 0),
        (Begun(3, 14), Verdict.NEW_OWNER, 4),
        (Begun(3, 0), Verdict.NEW_OWNER, None),  # it was emptied
    ],
)
def test_what_a_new_connection_finds_published_and_never_had_is_missed_though_nothing_more_comes(
    at: Begun, verdict: Verdict, missed: int | None, *, came: bool
):
    position = Position(begun=Begun(2, 4) if came else Begun(2, 10))
    if came:
        position, _ = position.take(Head(2, 7, 4, 6))
    position, arrival = position.begin(at)

    assert (arrival.verdict, arrival.missed, position.missed) == (verdict, missed, missed or 0)
    assert position.lost_count == (missed is None)
    assert not position.is_behind(at.epoch, at.events), "what is known to be missed is not waited for"
    assert position.begin(at) == (position, Arrival(Verdict.NEXT)), "and is counted once"
    position, arrival = position.take(Head(at.epoch, 8, at.events, 3))
    assert (arrival.verdict, arrival.missed) in ((Verdict.NEXT, 0), (Verdict.FIRST, 0))
    assert position.is_behind(at.epoch, at.events + 4)


def test_what_was_on_its_way_when_a_stream_was_begun_is_used_and_nothing_is_missed_for_it():
    for head in (Head(1, 3, 4, 6), Head(2, 3, 4, 6)):
        position, arrival = Position(begun=Begun(2, 10)).take(head)
        assert (arrival.verdict, position.delivered, position.missed) == (Verdict.FIRST, 6, 0)
    position, arrival = Position(begun=Begun(2, 10)).take(Head(3, 0, 0, 6))
    assert (arrival.verdict, arrival.missed, position.lost_count) == (Verdict.NEW_OWNER, None, 1), (
        "it was emptied"
    )


def test_a_stream_that_is_heard_whole_has_nothing_missing():
    position = Position()
    verdicts = []
    for head in (Head(1, 0, 0, 4), Head(1, 1, 4, 6), Head(1, 2, 10, 0), Head(1, 3, 10, 1)):
        position, arrival = position.take(head)
        verdicts.append(arrival.verdict)

    assert verdicts == [Verdict.FIRST, Verdict.NEXT, Verdict.NEXT, Verdict.NEXT]
    assert (position.received, position.missed) == (11, 0)


@pytest.mark.parametrize(
    ("head", "verdict", "missed"),
    [
        (Head(1, 1, 4, 2), Verdict.NEXT, 0),
        (
            Head(1, 1, 9, 2),
            Verdict.HOLE,
            5,
        ),  # the next number, but events are missing: of a frame that was left out
        (
            Head(1, 3, 4, 2),
            Verdict.HOLE,
            0,
        ),  # batches are missing that had no events, such as a market's time
        (Head(1, 0, 4, 2), Verdict.DUPLICATE, 0),
        (Head(2, 1, 4, 2), Verdict.NEW_OWNER, 0),
        (Head(2, 0, 9, 2), Verdict.NEW_OWNER, 5),
    ],
)
def test_what_a_batch_is_follows_from_its_number_and_the_events_before_it(head, verdict, missed):
    position, _ = Position().take(Head(1, 0, 0, 4))

    _, arrival = position.take(head)

    assert (arrival.verdict, arrival.missed) == (verdict, missed)


def test_an_owner_that_was_followed_by_another_is_not_heard_any_more():
    position, _ = Position().take(Head(1, 0, 0, 4))
    position, taken_over = position.take(Head(2, 0, 4, 4))
    same, zombie = position.take(Head(1, 1, 4, 9))

    assert (taken_over.verdict, taken_over.missed) == (Verdict.NEW_OWNER, 0)
    assert (zombie.verdict, zombie.is_new, same) == (Verdict.OLD, False, position)


def test_a_bus_that_was_emptied_leaves_a_hole_that_nobody_can_count():
    position, _ = Position().take(Head(1, 0, 900, 4))

    position, arrival = position.take(Head(2, 0, 0, 4))

    assert (arrival.verdict, arrival.missed, position.lost_count) == (Verdict.NEW_OWNER, None, 1)


def test_orders_have_subjects_and_a_store_of_their_own():
    names = Names("home")

    assert names.published(StreamName.OPTIONS) == "oh.home.in.options"
    assert names.followed(StreamName.FILLS) == "oh.home.acct.md.fills"
    assert names.store(StreamName.FILLS) != names.store(StreamName.OPTIONS)


@pytest.mark.parametrize("stream", STREAMS)
def test_a_subject_tells_its_stream(stream):
    subject = Names().followed(stream)

    assert stream_of(subject) == stream
    assert len(subject.split(".")) == (5 if stream.kind.carries_orders else 4)


@pytest.mark.parametrize("desk", ["", "a.b", "a b", "*", "x" * 33, "bürö"])
def test_a_desk_has_a_name_that_can_stand_in_a_subject(desk):
    with pytest.raises(ConfigError, match="no name for a desk"):
        Names(desk)


def test_each_batch_has_an_id_of_its_own():
    ids = {message_id(stream, *numbers) for stream in STREAMS for numbers in ((1, 11), (11, 1), (11, 11))}

    assert len(ids) == 3 * len(STREAMS)
