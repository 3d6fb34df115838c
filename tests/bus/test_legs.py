"""The two legs of what a viewer shows, as values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.bus.batch import Head
from options_helper.bus.clocks import Offset
from options_helper.bus.legs import Leg, both_legs
from options_helper.bus.losses import counted_gaps
from options_helper.bus.truth import DeskHealth
from options_helper.data.recording.journal import Record, RecordKind, gap_record
from options_helper.model.announcement import MarketKind
from options_helper.model.gaps import Gap
from options_helper.model.instants import utc_datetime
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName

STOCKS = StreamName.STOCKS
SECOND = 1_000_000_000
REASON = "the owner on den (process 7) has ended "
GOING = (Phase.LIVE, Phase.QUIET, Phase.CONNECTING, Phase.RECONNECTING, Phase.STALLED, Phase.FAILED)


def health(phase: Phase = Phase.LIVE, error: str | None = None, **more) -> StreamHealth:
    return StreamHealth(STOCKS, phase=phase, last_error=error, requested=("AAPL", "TSLA"), **more)


def desk(owner: StreamHealth, **more) -> DeskHealth:
    return DeskHealth(
        program="1", host="den", pid=7, at_ns=0, market=MarketKind.ALPACA, streams={"stocks": owner}, **more
    )


def shown(mine: StreamHealth, owner: StreamHealth, heard_ago: float | None = 0.2, **more) -> StreamHealth:
    return both_legs(mine, desk(owner, **more), Leg(STOCKS), heard_ago=heard_ago)


@pytest.mark.parametrize("mine", GOING)
@pytest.mark.parametrize("owner", GOING)
def test_the_worse_phase_is_shown_with_the_leg_that_it_is_of(mine, owner):
    found = shown(health(mine, "here"), health(owner, "there"))

    # That little comes here is the owner's to explain.
    ours = Phase.LIVE if mine is Phase.QUIET else mine
    worse = max(ours, owner, key=GOING.index)
    assert found.phase is worse
    leg = "From the owner to this program: here" if worse is ours else "From Alpaca to the owner: there"
    assert found.last_error == leg


def test_the_feed_is_the_owners_and_not_this_programs_own_before_that_is_known():
    mine = health(Phase.CONNECTING, feed="iex")

    assert both_legs(mine, None, None, heard_ago=None).feed is None
    assert shown(mine, health(Phase.CONNECTING)).feed is None, "its first word says none"
    for phase in (Phase.CONNECTING, Phase.STOPPED, Phase.OFF):
        assert shown(replace(mine, phase=phase), health(feed="sip")).feed == "sip"
    assert both_legs(mine, desk(health(), feeds={"stocks": "sip"}), None, heard_ago=0.1).feed == "sip"


@pytest.mark.parametrize("heard_ago", [None, 3.5, 500.0])
@pytest.mark.parametrize("owner", GOING)
def test_an_owner_that_is_not_heard_is_never_live(heard_ago, owner):
    found = shown(health(), health(owner), heard_ago)

    assert found.phase in (Phase.CONNECTING, Phase.RECONNECTING)
    assert "From Alpaca to the owner" in (found.last_error or "")


@pytest.mark.parametrize("heard_ago", [None, 0.2, 500.0])
@pytest.mark.parametrize("mine", [one for one in GOING if one is not Phase.FAILED])
def test_an_owner_that_has_ended_as_it_should_is_stopped_however_silent_it_is_here(mine, heard_ago):
    found = shown(health(mine, "silent"), health(Phase.STOPPED), heard_ago, ended=True)

    assert (found.phase, found.last_error) == (
        Phase.STOPPED,
        f"From Alpaca to the owner: {REASON}in order; the next one is followed as soon as it begins.",
    )


def test_an_owner_that_ended_after_its_recording_or_a_failure_says_so_and_tries_no_more():
    owner = health(Phase.FAILED, "no such key.", next_try_at=utc_datetime(SECOND))
    played, failed = (
        shown(health(), health(), ended=True, played_out=True),
        shown(health(), owner, ended=True),
    )

    assert f"{REASON}after its recording was played out;" in (played.last_error or "")
    assert (failed.phase, failed.next_try_at) == (Phase.STOPPED, None)
    assert (failed.last_error or "").endswith("Before that it had failed: no such key.")


@pytest.mark.parametrize("mine", [Phase.RECONNECTING, Phase.STALLED, Phase.FAILED])
def test_a_program_that_does_not_reach_the_bus_does_not_say_that_the_owner_is_stopped(mine):
    found = both_legs(
        health(mine, "cut."), desk(health(), ended=True), Leg(STOCKS), heard_ago=9.0, reached=False
    )

    assert (found.phase, found.last_error) == (mine, "From the owner to this program: cut.")


def test_what_is_refused_here_stays_so_when_the_owner_ends():
    assert shown(health(Phase.FAILED, "refused."), health(), ended=True).phase is Phase.FAILED


def test_an_owner_that_ended_and_has_been_followed_is_no_longer_the_reason():
    leg, _ = Leg(STOCKS).take(Head(8, 0, 0, 0), None, None)

    found = both_legs(health(), desk(health(), epoch=7, ended=True), leg, heard_ago=0.1)

    assert found.phase is Phase.RECONNECTING
    assert "another owner has taken over" in (found.last_error or "")


def test_an_owner_that_has_been_followed_is_not_live_though_it_was_heard_just_now():
    leg, _ = Leg(STOCKS).take(Head(8, 0, 0, 0), None, None)

    found = both_legs(health(), desk(health(), epoch=7), leg, heard_ago=0.1)

    assert (found.phase, found.last_error) == (
        Phase.RECONNECTING,
        "From Alpaca to the owner: another owner has taken over, and has not told of itself yet.",
    )
    assert both_legs(health(), desk(health(), epoch=8), leg, heard_ago=0.1).phase is Phase.LIVE


def test_the_gap_of_a_takeover_lasts_until_the_new_owner_is_connected_or_something_of_it_comes():
    leg, _ = Leg(STOCKS).take(Head(1, 0, 0, 2), 10 * SECOND, 11 * SECOND)
    leg, _ = leg.take(Head(2, 0, 2, 0), None, None)

    def gaps(leg: Leg, owner: StreamHealth, epoch: int = 2) -> list[tuple[int, int | None]]:
        found = both_legs(health(), desk(owner, epoch=epoch), leg, heard_ago=0.0, shift_ns=SECOND)
        return [(gap.since_ns // SECOND, gap.until_ns and gap.until_ns // SECOND) for gap in found.gaps]

    connected = health(connected_since=utc_datetime(20 * SECOND))
    assert gaps(leg, health(Phase.CONNECTING)) == [(12, None)]
    assert gaps(leg, connected, epoch=1) == [(12, None)], "of the owner before"
    assert gaps(leg, connected) == [(12, 20)]

    leg, _ = leg.take(Head(2, 1, 2, 2), 15 * SECOND, 16 * SECOND)
    assert gaps(leg, health(Phase.CONNECTING)) == [(12, 16)]


def test_a_gap_of_this_program_that_lasts_is_not_over_because_the_owner_is_well():
    mine = health(Phase.RECONNECTING, gaps=(Gap(STOCKS, 5, None, "mine"),), gap_count=1)
    owner = health(connected_since=utc_datetime(20 * SECOND))

    found = both_legs(mine, desk(owner, epoch=1), Leg(STOCKS), heard_ago=0.0)

    assert [gap.until_ns for gap in found.gaps] == [None]


def test_what_the_owner_counted_as_lost_breaks_the_chart_in_its_place_and_is_nothing_missed_on_the_way():
    leg, _ = Leg(STOCKS).take(Head(1, 0, 0, 2), 10, 11)
    leg, _ = leg.take(Head(1, 1, 2, 2), 20, 21, [Gap(STOCKS, 11, 20, "no room", lost=7)])

    assert [(gap.since_ns, gap.until_ns, gap.lost) for gap in leg.gaps] == [(11, 20, 7)]
    assert (leg.gap_count, leg.position.missed) == (1, 0)


def test_only_gaps_in_which_something_was_counted_are_taken_from_among_the_frames_and_no_odd_one():
    counted, open_, odd = (
        gap_record(5, Gap(STOCKS, 1, 5, "no room", lost=3)),
        gap_record(5, Gap(STOCKS, 1, 5, "made anew")),
        Record(RecordKind.GAP, 5, b"{}"),
    )

    assert [gap.lost for gap in counted_gaps([counted, open_, odd, Record(RecordKind.GAP, 5, b"\xff")])] == [
        3
    ]


@pytest.mark.parametrize("phase", [Phase.OFF, Phase.STOPPED])
def test_what_is_off_here_is_off_whatever_the_owner_does(phase):
    assert shown(health(phase), health(Phase.FAILED)).phase is phase


def test_what_the_owner_does_not_stream_is_no_live_stream():
    found = both_legs(health(), desk(StreamHealth(StreamName.OPTIONS)), Leg(STOCKS), heard_ago=0.0)

    assert found.phase is Phase.CONNECTING
    assert "does not stream it" in (found.last_error or "")


def test_only_what_the_server_acknowledged_to_the_owner_is_acknowledged_here():
    found = shown(health(), health(acknowledged=("TSLA", "MSFT")))

    assert (found.requested, found.acknowledged) == (("AAPL", "TSLA"), ("TSLA",))


def test_gaps_of_both_legs_break_the_chart_in_their_order():
    mine = health(gaps=(Gap(STOCKS, 5, 6, "mine"),), gap_count=1)
    owner = health(gaps=(Gap(STOCKS, 1, 2, "theirs"),), gap_count=1)
    leg, _ = Leg(STOCKS).take(Head(1, 0, 0, 2), 10, 11)
    leg, _ = leg.take(Head(1, 2, 9, 2), 30, 31)

    found = both_legs(mine, desk(owner), leg, heard_ago=0.0)

    assert [(gap.since_ns, gap.until_ns) for gap in found.gaps] == [(1, 2), (5, 6), (11, 30)]
    assert found.gap_count == 3
    assert found.gaps[-1].lost == 7


@given(st.data())
def test_the_ledger_holds_over_both_legs_whatever_was_missed(data):
    leg, before = Leg(STOCKS), 0
    received = 0
    for number in range(data.draw(st.integers(1, 12))):
        events = data.draw(st.integers(0, 9))
        if data.draw(st.booleans()):
            leg, _ = leg.take(Head(1, number, before, events), 1, 2)
            received += events
        before += events
    dropped = data.draw(st.integers(0, received))
    mine = health(received=received, applied=received - dropped, dropped=dropped)

    found = both_legs(mine, desk(health()), leg, heard_ago=0.0)

    assert found.accounted
    assert found.received == received + leg.position.missed


def test_a_message_that_is_no_batch_changes_no_count():
    leg, _ = Leg(STOCKS).take(Head(1, 0, 0, 2), 10, 11)

    assert replace(leg.spoil(), damaged=0) == leg
    assert leg.spoil().damaged == 1


@pytest.mark.parametrize(
    ("ahead", "sentence"),
    [
        (5 * SECOND, "This computer's clock is 5 s behind the owner's; ages are corrected."),
        (-120 * SECOND, "This computer's clock is 2 min ahead of the owner's; ages are corrected."),
        (SECOND // 2, None),
    ],
)
def test_a_difference_of_the_clocks_is_said_from_a_second_on(ahead, sentence):
    offset = Offset.of(sent_ns=0, owner_ns=ahead + 1_000, answered_ns=2_000)

    assert offset.sentence == sentence
    assert offset.here(10 * SECOND) == 10 * SECOND - (ahead if sentence else 0)


def test_a_slow_answer_makes_no_difference_of_the_clocks():
    assert not Offset.of(sent_ns=0, owner_ns=3 * SECOND, answered_ns=5 * SECOND).matters


def test_what_the_owner_was_refused_is_refused_here_too_of_what_is_asked_for_and_not_streamed():
    mine = replace(health(), requested=("AAPL", "TSLA", "X"), refused_symbols=("X",))
    owner = health(acknowledged=("AAPL",), refused_symbols=("TSLA", "NOT.MINE"))

    assert shown(mine, owner).refused_symbols == ("TSLA", "X")
    assert shown(mine, health(acknowledged=("AAPL", "X"))).refused_symbols == ()
