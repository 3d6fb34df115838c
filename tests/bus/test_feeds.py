"""From all prices to the slow feed and back: nothing twice, nothing lost, and when a viewer is called behind."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from options_helper.bus.batch import Batch, Head
from options_helper.bus.conflation import Conflater, behind, left_out
from options_helper.bus.continuity import Position
from options_helper.bus.detail import WELL_SECONDS, Detail, Pace, slowness
from options_helper.bus.feeds import MOST_WAITING, PATIENCE_SECONDS, Feeds
from options_helper.bus.legs import Leg
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.model.streams import StreamName
from tests.kit.fakes import frame as payload_of
from tests.kit.fakes import trade_message

STOCKS = StreamName.STOCKS
FULL, SLOW = Detail.FULL, Detail.SLOW


class Following:
    """A viewer of one stream, as a streamer is one; what is told of trades is noted by number."""

    def __init__(self) -> None:
        self.feeds, self.leg = Feeds(), Leg(STOCKS)
        self.trades: list[int] = []
        self.heard = 0

    def hear(self, feed: Detail, batch: Batch, now: float = 0.0) -> None:
        for one, of in self.feeds.take(feed, batch, self.leg.position.last, now):
            self.leg, arrival = self.leg.take(one.head, 1, 1, (), of)
            if not arrival.is_new:
                continue
            records = behind(one.records, arrival.known)
            self.leg = self.leg.leave_out(left_out(records))
            frames = [record for record in records if record.kind is RecordKind.FRAME]
            self.heard += sum(record.events for record in frames)
            self.trades += [record.received_ns for record in frames]

    @property
    def received(self) -> int:
        return self.heard + self.leg.missed


def batch_of(number: int, before: int, *trades: int) -> Batch:
    records = [
        Record(RecordKind.FRAME, one, payload_of(trade_message("A", price=one)), STOCKS, 1) for one in trades
    ]
    return Batch(Head(1, number, before, len(records)), tuple(records))


class Desk:
    """An owner whose batches hold one trade each, and its slow feed; each is delivered a moment later, in order."""

    def __init__(self) -> None:
        self.conflater, self.sent, self.slow_sent = Conflater(), 0, 0

    def publish(self) -> Batch:
        batch = batch_of(self.sent, self.sent, self.sent)
        self.sent += 1
        self.conflater.take(batch.head, batch.records)
        return batch

    def flush(self) -> list[Batch]:
        found = []
        for interval in self.conflater.flush():
            head = Head(1, self.slow_sent, interval.events_before, interval.events)
            self.slow_sent += 1
            found.append(Batch(head, tuple(interval.records())))
        return found


class Way:
    """Both feeds from a desk to a viewer: what is sent while one is followed is on its way until it is delivered.

    What is on its way of a feed that is left comes no more, as the bus's client has it.
    """

    def __init__(self) -> None:
        self.desk, self.viewer = Desk(), Following()
        self._ways: dict[Detail, list[Batch]] = {FULL: [], SLOW: []}
        self._followed = {FULL}

    def _send(self, feed: Detail, batches: list[Batch]) -> None:
        if feed in self._followed:
            self._ways[feed] += batches

    def publish(self) -> None:
        self._send(FULL, [self.desk.publish()])

    def flush(self) -> None:
        self._send(SLOW, self.desk.flush())

    def change(self) -> None:
        want = FULL if self.viewer.feeds.wanted is SLOW else SLOW
        self._followed.add(want)
        self.viewer.feeds.want(want)

    def deliver(self) -> None:
        for feed, way in self._ways.items():
            if way:
                self.viewer.hear(feed, way.pop(0))
        if self.viewer.feeds.at_hand is self.viewer.feeds.wanted:
            self._followed = {self.viewer.feeds.wanted}
            for feed in Detail:
                if feed not in self._followed:
                    self._ways[feed].clear()

    def deliver_all(self) -> None:
        while any(self._ways.values()):
            self.deliver()


STEPS = ("publish", "publish", "flush", "deliver", "deliver", "change")
END = ("deliver_all", "publish", "flush") * 3


@given(st.lists(st.sampled_from(STEPS), max_size=60))
# A feed that is followed anew while the last of it was still on its way.
@example(["publish", "publish", "change", "flush", "deliver", "publish", "change"])
def test_however_often_the_feed_is_changed_each_trade_comes_once_and_in_order(steps: list[str]):
    way = Way()
    for step in ("publish", "deliver", "flush", *steps, *END, "deliver_all"):
        getattr(way, step)()

    viewer = way.viewer
    assert viewer.trades == list(range(way.desk.sent))
    assert (viewer.leg.missed, viewer.leg.gap_count) == (0, 0)
    assert viewer.received == way.desk.sent


def test_a_feed_that_has_ended_is_left_after_a_moment_and_the_hole_is_counted():
    viewer = Following()
    viewer.hear(FULL, batch_of(0, 0, 0))
    viewer.feeds.want(SLOW)
    viewer.hear(SLOW, batch_of(7, 5, 5), 10.0)
    assert viewer.trades == [0]
    viewer.hear(SLOW, batch_of(8, 6, 6), 10.0 + PATIENCE_SECONDS)

    assert viewer.trades == [0, 5, 6]
    assert (viewer.leg.missed, viewer.received, viewer.leg.gap_count) == (4, 7, 1)


def test_a_new_owner_is_followed_at_once():
    viewer = Following()
    viewer.hear(FULL, batch_of(0, 0, 0))
    viewer.feeds.want(SLOW)
    later = batch_of(0, 4, 4)
    viewer.hear(SLOW, later._replace(head=later.head._replace(epoch=2)))

    assert viewer.trades == [0, 4]
    assert viewer.leg.missed == 3


def test_who_is_behind_has_the_slow_feed_until_the_queue_has_been_half_empty_for_a_while():
    pace = Pace().judge(0.74, 0.0)
    assert (pace.wanted, pace.reason) == (FULL, None)
    pace = pace.judge(0.75, 1.0)
    assert (pace.wanted, pace.reason) == (SLOW, "it is behind")
    assert pace.judge(0.5, 2.0).reason == "it is behind"
    pace = pace.judge(0.49, 3.0)
    assert (pace.wanted, pace.reason) == (SLOW, "it was behind")
    assert pace.judge(0.1, 3.0 + WELL_SECONDS - 0.1).wanted is SLOW
    assert pace.judge(0.1, 3.0 + WELL_SECONDS).wanted is FULL
    assert pace.judge(0.8, 4.0).judge(0.1, 5.0).judge(0.1, 3.0 + WELL_SECONDS).wanted is SLOW, "counted anew"


def test_what_is_said_of_the_slow_feed():
    asked = Pace(SLOW)

    assert slowness(Pace(), 0, 0, None) is None
    assert slowness(asked, 3_602, 3_598, 0.4) == (
        "This computer shows every second price (as asked): 3,602 missed, newest 0.4 s old."
    )
    assert slowness(asked, 0, 0, None) == (
        "The slow feed is wanted (as asked) and has not come: all prices are shown."
    )
    assert "one price of 21 (it is behind)" in (slowness(Pace(is_behind=True), 2_000, 100, 9.0) or "")
    assert slowness(Pace(), 7, 1, None) == "7 prices were left out while this computer had the slow feed."


def test_a_batch_without_events_that_came_before_does_not_set_a_position_back():
    before, _ = Position().take(Head(7, 0, 0, 10))
    after, arrival = before.on_another_feed().take(Head(7, 3, 4, 0))
    assert not arrival.is_new
    assert (after.delivered, after.missed, after.last) == (10, 0, before.on_another_feed().last)
    next_one, arrival = before.on_another_feed().take(Head(7, 9, 10, 0))  # the present announcement is told
    assert arrival.is_new
    assert next_one.received == 10


def test_an_announcement_among_what_waits_of_the_next_feed_brings_no_trade_twice():
    viewer = Following()
    viewer.feeds.want(SLOW)
    viewer.hear(SLOW, batch_of(0, 0, 0))
    viewer.feeds.want(FULL)
    announced = Batch(Head(1, 2, 2, 0), (Record(RecordKind.MARKET, 1, b"", STOCKS),))
    for waiting in (announced, batch_of(3, 2, 2), batch_of(4, 3, 3)):
        viewer.hear(FULL, waiting)
    viewer.hear(SLOW, batch_of(1, 1, 1, 2, 3))
    assert viewer.trades == [0, 1, 2, 3]
    assert viewer.leg.position.delivered == viewer.received == 4


def test_a_feed_that_begins_where_the_other_one_ended_joins_on_at_once():
    viewer = Following()
    viewer.hear(FULL, batch_of(0, 0, 0))
    viewer.feeds.want(SLOW)
    viewer.hear(SLOW, batch_of(0, 1, 1))

    assert viewer.trades == [0, 1]


def test_what_waits_for_the_feed_at_hand_is_no_more_than_has_room():
    viewer = Following()
    viewer.hear(FULL, batch_of(0, 0, 0))
    viewer.feeds.want(SLOW)
    for number in range(MOST_WAITING):
        viewer.hear(SLOW, batch_of(number, 5 + number, 5 + number))
    assert viewer.trades == [0]
    viewer.hear(SLOW, batch_of(MOST_WAITING, 5 + MOST_WAITING, 5 + MOST_WAITING))

    assert viewer.trades == [0, *range(5, 6 + MOST_WAITING)]
    assert viewer.leg.missed == 4
