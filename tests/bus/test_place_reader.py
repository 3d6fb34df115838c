"""A place in the midst of a batch, behind one, or before all: whoever goes on from it gets each record once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.bus.batch import Head, encode, opening
from options_helper.bus.place_reader import Item, PlaceReader, is_place_of
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.model.frames import Place
from options_helper.model.streams import StreamName

STOCKS = StreamName.STOCKS
SECOND = 1_000_000_000
BEGIN = Place(sequence=4, epoch=1, number=0)

# Of each batch how many events its records announce; None: the store has lost it.
contents = st.lists(st.one_of(st.none(), st.lists(st.integers(0, 3), max_size=4)), max_size=8)


def written(contents: list[list[int] | None]) -> tuple[dict[int, bytes], list[bytes], int]:
    """The messages by sequence, the payloads that are in them, and the events that are not."""
    messages, payloads, before, lost = {}, [], 0, 0
    for number, sizes in enumerate(contents, 1):
        events = sum(sizes or ())
        records = [
            Record(RecordKind.FRAME, 1_000 + number, f"{number}/{place}".encode(), STOCKS, size)
            for place, size in enumerate(sizes or ())
        ]
        if sizes is None:
            # As much as a batch of two would have had.
            before, lost = before + 2, lost + 2
            continue
        messages[4 + 3 * number] = encode(Head(1, number, before, events), records)
        payloads += [record.payload for record in records]
        before += events
    return messages, payloads, lost


def read(reader: PlaceReader, messages: dict[int, bytes]) -> list[Item]:
    """What a consumer brings that is begun at the reader's place, and begun anew where it has to be."""
    found: list[Item] = []
    while True:
        reader.begin()
        first = reader.place.sequence + reader.place.whole
        rest = [(sequence, data) for sequence, data in messages.items() if sequence >= first]
        for nth, (sequence, data) in enumerate(rest, 1):
            items = reader.take(sequence, nth, data)
            if items is None:
                break
            found += items
        else:
            return found


@given(contents)
def test_it_goes_on_behind_any_item_and_counts_what_is_missing(contents: list[list[int] | None]):
    messages, payloads, lost = written(contents)
    whole = PlaceReader(STOCKS, BEGIN)
    items = read(whole, messages)
    ends_with_loss = any(one is not None for one in contents) and contents[-1:] == [None]
    known = sum(item.mark.gap.lost or 0 for item in items if item.mark.gap is not None)

    assert [item.record.payload for item in items if item.record is not None] == payloads
    assert known == whole.missed <= lost
    if messages and not ends_with_loss:
        assert known == lost
    for number, item in enumerate(items, 1):
        later = read(PlaceReader(STOCKS, item.mark.place), messages)
        again = [one.record.payload for one in later if one.record is not None]
        assert again == [one.record.payload for one in items[number:] if one.record is not None]


@given(contents)
def test_a_message_that_died_on_the_way_is_asked_for_again_and_never_called_lost(
    contents: list[list[int] | None],
):
    messages, _, _ = written(contents)
    for dead in range(1, len(messages)):
        reader = PlaceReader(STOCKS, BEGIN)
        reader.begin()
        told = [
            reader.take(at, nth, data) for nth, (at, data) in enumerate(messages.items(), 1) if nth != dead
        ]
        assert told[dead - 1] is None
        assert reader.place.sequence < list(messages)[dead - 1] or dead == 1


def test_the_message_of_a_place_is_known_by_its_batch_and_its_stream():
    data = encode(Head(1, 2, 5, 1), [Record(RecordKind.FRAME, 1, b"x", STOCKS, 1)])

    assert is_place_of(Place(9, 1, 2, 6), STOCKS, data)
    assert is_place_of(Place(9, 1, 2, 5, taken=0, whole=False), STOCKS, data)
    for place in (Place(9, 1, 3, 6), Place(9, 2, 2, 6), Place(9, 1, 2, 7)):
        assert not is_place_of(place, STOCKS, data)
    assert not is_place_of(Place(9, 1, 2, 6), StreamName.OPTIONS, data)
    assert not is_place_of(Place(9, 1, 2, 6), STOCKS, b"nothing")


def takeover(*opening: Record, first_ns: int, connected: tuple[int, int] | None = None) -> list[Item]:
    """What is read where an owner's last frame came at 5 s, and another's first one then, behind its opening."""
    reader = PlaceReader(STOCKS, Place(sequence=4, epoch=1, number=0, events=2, received_ns=5 * SECOND))
    if connected is not None:
        reader.connected(*connected)
    batches = [*([one] for one in opening), [Record(RecordKind.FRAME, first_ns, b"first", STOCKS, 1)]]
    messages = {
        5 + number: encode(Head(2, number, 2, sum(one.events for one in records)), records)
        for number, records in enumerate(batches)
    }
    return read(reader, messages)


TICK = Record(RecordKind.TICK, 8 * SECOND, stream=STOCKS)
MARKET = Record(RecordKind.MARKET, 8 * SECOND, b"{}", STOCKS)


@pytest.mark.parametrize("opening", [(), (TICK,), (TICK, MARKET), (TICK, MARKET, MARKET)])
def test_the_gap_of_a_takeover_lasts_until_the_first_frame_whatever_the_new_owner_announces(
    opening: tuple[Record, ...],
):
    first, *rest = takeover(*opening, first_ns=9 * SECOND)

    assert first.mark.gap is not None
    assert (first.mark.gap.since_ns, first.mark.gap.until_ns) == (5 * SECOND, 9 * SECOND)
    assert first.mark.gap.lost is None, "nobody could count"
    handed = [one.record for one in rest if one.record is not None]
    assert [one.kind for one in handed] == [*(one.kind for one in opening), RecordKind.FRAME]
    assert all(one.mark.gap is None for one in rest)


@pytest.mark.parametrize(
    ("connected", "until"),
    [
        ((2, 8 * SECOND), 8 * SECOND),
        ((1, 8 * SECOND), 3600 * SECOND),  # another's word
        ((2, 3 * SECOND), 3600 * SECOND),  # it was there all the time, and the bus lost what it had
        ((2, 4000 * SECOND), 3600 * SECOND),  # it has connected anew since
    ],
)
def test_where_nothing_trades_the_gap_of_a_takeover_ends_when_the_new_owner_is_connected(
    connected: tuple[int, int], until: int
):
    first, *_ = takeover(TICK, MARKET, first_ns=3600 * SECOND, connected=connected)

    assert first.mark.gap is not None
    assert (first.mark.gap.since_ns, first.mark.gap.until_ns) == (5 * SECOND, until)


def terms(*owners: tuple[str, int, int]) -> dict[int, bytes]:
    """What owners stored one after another: of each the feed that it says, and its frames, so many from that second."""
    messages, before = {}, 0
    for epoch, (feed, frames, first) in enumerate(owners, 2):
        batches = [[opening(first * SECOND, STOCKS, feed)]]
        batches += [
            [Record(RecordKind.FRAME, (first + nth) * SECOND, b"%d" % (first + nth), STOCKS, 1)]
            for nth in range(frames)
        ]
        for number, records in enumerate(batches):
            events = sum(one.events for one in records)
            messages[5 + len(messages)] = encode(Head(epoch, number, before, events), records)
            before += events
    return messages


FROM_BEFORE = Place(sequence=4, epoch=1, number=0, received_ns=5 * SECOND)


@pytest.mark.parametrize("place", [FROM_BEFORE, Place(sequence=4)])
def test_terms_of_another_feed_are_a_gap_to_the_event_wherever_it_is_begun_and_whichever_comes_first(
    place: Place,
):
    messages = terms(("sip", 3, 10), ("otc", 2, 20), ("iex", 2, 30), ("sip", 1, 40), ("iex", 1, 50))
    reader = PlaceReader(STOCKS, place, "iex")
    items = read(reader, messages)
    gaps = [item.mark.gap for item in items if item.mark.gap is not None]

    assert [one.record.received_ns for one in items if one.record and one.record.events] == [
        30 * SECOND,
        31 * SECOND,
        50 * SECOND,
    ]
    assert [gap.lost for gap in gaps] == [5, 1]
    assert (
        "5 events came of the sip and the otc feed, and this recording is of the iex feed" in gaps[0].reason
    )
    assert reader.missed == 6
    # Somebody listened, though not for this: from 10 to 12 and from 20 to 21.
    assert reader.unowned_ns == (25 - 2 - 1 + 19 if place is FROM_BEFORE else 19) * SECOND
    for number, item in enumerate(items, 1):
        later = read(PlaceReader(STOCKS, item.mark.place, "iex"), messages)
        assert [one.record for one in later if one.record is not None] == [
            one.record for one in items[number:] if one.record is not None
        ]


@pytest.mark.parametrize(("events", "said"), [(0, ()), (2, (True, False))])
def test_a_gap_tells_of_another_feed_only_where_events_of_it_are_what_is_missing(
    events: int, said: tuple[bool, ...]
):
    """The second gap is after a term of this feed, and has nothing to do with what was before that."""
    messages = terms(("iex", events, 10), ("sip", 1, 30), ("sip", 1, 40))
    items = read(PlaceReader(STOCKS, Place(sequence=4), "sip"), messages)
    gaps = [item.mark.gap for item in items if item.mark.gap is not None]

    assert tuple("feed" in gap.reason for gap in gaps) == (said or (False,))


def test_a_term_that_does_not_say_its_feed_is_of_the_one_that_its_owner_says_beside_it():
    messages = terms(("", 2, 10))
    silent, told = (PlaceReader(STOCKS, FROM_BEFORE, "iex") for _ in range(2))
    told.say(2, "sip")

    assert not silent.knows_feed(Head(2, 0, 0, 0))
    assert told.knows_feed(Head(2, 0, 0, 0))
    assert len([one for one in read(silent, messages) if one.record and one.record.events]) == 2
    assert read(told, messages) == []
