"""Whether an owner listens, judged from its words alone: how long none did, to the moment that they tell of."""

from __future__ import annotations

from datetime import timedelta

import pytest

from options_helper.bus.listening import SILENT_SECONDS, Listening, Span
from options_helper.bus.truth import DeskHealth, Published
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.frames import Place
from options_helper.model.instants import utc_datetime
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.fakes import NOON

STOCKS = StreamName.STOCKS
SECOND = 1_000_000_000


def word(
    phase: Phase,
    connected_for: float | None = None,
    *,
    ended: bool = False,
    header: str | None = None,
    published: tuple[int, int] | None = (1, 0),
) -> DeskHealth:
    """What an owner says at noon by the clock of its streams, and at another time by its computer's."""
    since = None if connected_for is None else utc_datetime(NOON) - timedelta(seconds=connected_for)
    return DeskHealth(
        program="1",
        host="den",
        pid=7,
        at_ns=NOON + 500 * SECOND,
        as_of_ns=NOON,
        market=MarketKind.ALPACA,
        announcement=header,
        ended=ended,
        streams={"stocks": StreamHealth(STOCKS, phase, connected_since=since)},
        published={} if published is None else {"stocks": Published(*published)},
    )


LIVE = word(Phase.LIVE, 1000.0)


def heard(*words: tuple[float, DeskHealth]) -> Listening:
    """The bus was reached at 100 s, and these words were heard then."""
    known = Listening(until=100.0, reached=100.0)
    for at, one in words:
        known = known.hear(one, STOCKS, at)
    return known


def test_one_that_listens_all_the_while_leaves_nothing():
    assert heard((100.4, LIVE), (100.9, LIVE)).seconds(101.5) == 0.0


GOODBYE = word(Phase.STOPPED, ended=True)


@pytest.mark.parametrize("last", [GOODBYE, word(Phase.RECONNECTING)])
def test_from_its_last_good_word_on_nobody_listens_where_it_has_ended_or_lost_its_connection(
    last: DeskHealth,
):
    known = heard((100.4, LIVE), (100.9, last))

    assert known.spans(103.0) == (Span(100.4, 103.0),)


def test_one_that_falls_silent_is_gone_from_its_last_word_on_after_a_moment():
    known = heard((100.4, LIVE))

    assert known.spans(100.4 + SILENT_SECONDS) == ()
    assert known.spans(102.4) == (Span(100.4, 102.4),)


def test_the_next_one_listens_since_when_it_says():
    known = heard((100.4, LIVE), (108.0, word(Phase.CONNECTING)), (110.0, word(Phase.LIVE, 0.5)))

    assert known.untold == (Span(100.4, 109.5),)
    assert known.hear(word(Phase.LIVE, 1.0), STOCKS, 110.5).seconds(110.6) == pytest.approx(9.1)


def place(epoch: int, events: int) -> Place:
    """Where a frame of that term ends."""
    return Place(epoch=epoch, events=events)


def test_what_a_row_tells_is_told_and_what_none_will_tell_stays_counted():
    known = heard((100.4, LIVE), (110.0, word(Phase.LIVE, 0.5)))

    assert known.told(place(1, 2), 110.1).seconds(110.2) == 0.0
    assert known.go_on(place(1, 2), 110.1).seconds(110.2) == pytest.approx(9.1)
    assert known.go_on(place(1, 2), 110.1).told(place(1, 4), 110.1).seconds(110.2) == pytest.approx(9.1)
    assert known.go_on(place(1, 2), 110.1).spans(110.2) == (Span(100.4, 109.5),), "it can be written as a row"


@pytest.mark.parametrize("late", [place(1, 7), place(2, 8)])
def test_a_frame_from_before_the_word_that_comes_after_it_says_nothing_of_the_row_to_come(late: Place):
    """Frames come by another way: those of the former owner may still be on theirs when the next one speaks."""
    known = heard(
        (100.4, word(Phase.LIVE, 1000.0, published=(1, 5))),
        (101.0, word(Phase.STOPPED, ended=True, published=(1, 7))),
        (103.0, word(Phase.LIVE, 0.5, published=(2, 8))),
    )

    known = known.go_on(late, 103.1)
    assert known.untold == (Span(100.4, 102.5),)
    assert known.told(place(2, 9), 103.2).seconds(103.3) == 0.0


def test_a_row_of_the_former_owners_that_comes_late_tells_nothing_of_the_takeover():
    known = heard(
        (100.4, word(Phase.LIVE, 1000.0)),
        (103.0, word(Phase.LIVE, 0.5, published=(2, 8))),
    )

    assert known.told(place(1, 7), 103.1).untold == (Span(100.4, 102.5),)


def test_frames_of_the_next_owner_show_that_it_listens_before_it_says_so():
    known = heard(
        (100.4, word(Phase.LIVE, 1000.0, published=(1, 5))),
        (103.0, word(Phase.CONNECTING, published=(2, 5))),
    )

    known = known.told(place(2, 7), 103.4)
    assert known.spans(104.0) == ()
    assert known.go_on(place(2, 9), 105.0).spans(106.0) == (), "though its words are late"


def test_where_no_owner_ever_says_a_word_nobody_listens_from_the_beginning():
    assert heard().spans(160.0) == (Span(100.0, 160.0),)


def test_the_first_owner_that_comes_late_is_told_from_the_beginning_to_its_first_word():
    known = heard((160.0, word(Phase.OFF)), (160.5, word(Phase.CONNECTING)), (161.0, word(Phase.LIVE, 0.2)))

    assert known.untold == (Span(100.0, 160.0),)


def test_what_is_asked_for_just_now_was_not_to_be_listened_to_before():
    known = heard((100.4, word(Phase.OFF)), (101.9, word(Phase.CONNECTING)), (102.4, word(Phase.LIVE, 0.1)))

    assert known.seconds(102.5) == 0.0


def test_while_the_bus_is_not_reached_nothing_is_known_of_its_owner():
    known = heard((100.4, LIVE)).lose()

    assert known.seconds(200.0) == 0.0
    back = known.reach(200.0)
    assert back.seconds(201.0) == 0.0, "its next word has half a second"
    assert back.hear(LIVE, STOCKS, 200.5).seconds(201.0) == 0.0
    assert back.spans(202.0) == (Span(100.4, 202.0),)


def test_on_a_market_that_is_played_the_owner_speaks_of_its_time_and_it_is_ours_that_is_counted():
    header = Announcement(MarketKind.SIMULATED, NOON, 10.0, None).header()
    known = heard((100.4, LIVE), (110.0, word(Phase.LIVE, 5.0, header=header)))

    assert known.untold == (Span(100.4, 109.5),)


def test_an_owner_that_has_ended_before_its_streams_began_listens_to_nothing():
    assert heard((100.4, word(Phase.OFF, ended=True))).spans(103.0) == (Span(100.0, 103.0),)


def test_a_stream_that_the_owner_does_not_name_yet_is_asked_for_just_now():
    unnamed = DeskHealth(program="1", host="den", pid=7, at_ns=NOON, market=MarketKind.ALPACA)

    assert heard((100.4, unnamed), (101.0, word(Phase.LIVE, 0.2))).seconds(101.1) == 0.0


def test_one_that_begins_slowly_and_says_nothing_meanwhile_is_asked_for_just_now_all_the_same():
    assert heard((100.4, word(Phase.OFF)), (103.0, word(Phase.CONNECTING))).seconds(103.1) == 0.0


def test_one_that_does_not_say_since_when_it_is_connected_listens_from_its_last_word_on():
    assert heard((100.4, LIVE), (100.9, word(Phase.LIVE))).seconds(101.0) == 0.0


def test_frames_of_the_next_owner_without_a_row_leave_the_time_before_them_counted():
    known = heard((100.4, word(Phase.LIVE, 1000.0, published=(1, 5))), (101.0, GOODBYE))

    known = known.go_on(place(2, 7), 103.0)
    assert known.counted == (Span(100.4, 103.0),)
    assert known.spans(110.0) == (Span(100.4, 103.0), Span(103.0, 110.0)), "it has fallen silent since"


def test_frames_from_before_the_first_word_may_be_of_any_time():
    assert heard().go_on(place(1, 3), 105.0).spans(106.0) == (Span(100.0, 106.0),)


def test_a_word_that_tells_of_no_publishing_leaves_what_is_known_of_that():
    known = heard(
        (100.4, word(Phase.LIVE, 9.0, published=(1, 5))), (101.0, word(Phase.CONNECTING, published=None))
    )

    assert known.go_on(place(1, 4), 103.0) == known, "it is from before"


def test_what_was_listened_to_by_its_frames_is_not_asked_for_just_now_when_it_is_lost():
    known = heard((100.4, word(Phase.OFF))).go_on(place(1, 3), 101.0)

    assert known.hear(word(Phase.CONNECTING), STOCKS, 101.4).spans(102.0) == (Span(101.0, 102.0),)


def test_a_goodbye_from_before_the_bus_was_reached_again_says_nothing_of_who_leads_by_now():
    known = heard((100.4, LIVE), (100.9, GOODBYE)).lose().reach(200.0)

    assert known.spans(200.5) == ()
    assert known.spans(202.0) == (Span(100.4, 202.0),)


def test_a_time_of_no_length_is_none():
    assert heard((100.4, LIVE), (100.4, word(Phase.RECONNECTING))).spans(100.4) == ()
