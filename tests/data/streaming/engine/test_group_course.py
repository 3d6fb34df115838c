"""Which streams of a run are started and ended, as values: when symbols change, at the end, and after a failure."""

from __future__ import annotations

from datetime import UTC, datetime

from options_helper.data.streaming.engine.group_course import STAGGER_SECONDS, GroupCourse, Start
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.model.market_hours import NOTHING_TOLD
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamName
from tests.kit.builders import AAPL_CALL, nanoseconds, new_york

STOCKS, OPTIONS, FILLS, CRYPTO = StreamName.STOCKS, StreamName.OPTIONS, StreamName.FILLS, StreamName.CRYPTO
OFFERED = (STOCKS, OPTIONS, FILLS, CRYPTO)
ALWAYS = (STOCKS, OPTIONS, FILLS)
SHARES = LiveStreamConfig(stocks=("AAPL",))
BOTH = LiveStreamConfig(stocks=("AAPL",), option_contracts=(AAPL_CALL,))
LIVE = StreamHealth(
    STOCKS, phase=Phase.LIVE, connected_since=datetime(2026, 11, 20, tzinfo=UTC), events_per_second=3.0
)


def begun(config: LiveStreamConfig = SHARES) -> GroupCourse:
    course = GroupCourse(config, OFFERED, ALWAYS)
    course.start()
    return course


def test_what_is_wanted_starts_one_soon_after_the_other():
    course = GroupCourse(BOTH, OFFERED, ALWAYS)

    assert course.start() == (
        Start(STOCKS, 0.0),
        Start(OPTIONS, STAGGER_SECONDS),
        Start(FILLS, 2 * STAGGER_SECONDS),
    )
    assert course.start() == ()


def test_a_stream_that_gets_its_first_symbols_starts_and_one_that_loses_its_last_ends():
    course = begun()
    assert course.change_symbols(BOTH) == ()
    assert course.start() == (Start(OPTIONS, 2 * STAGGER_SECONDS),)

    assert course.change_symbols(SHARES) == (OPTIONS,)
    assert course.start() == ()
    assert course.change_symbols(BOTH) == ()
    assert [one.stream for one in course.start()] == [OPTIONS], "made anew"


def test_one_that_is_kept_is_not_started_again():
    course = begun(BOTH)
    assert course.change_symbols(SHARES, keep_idle=True) == ()
    assert course.change_symbols(BOTH) == ()
    assert course.start() == ()


def test_those_of_a_portfolio_are_always_shown_and_others_while_they_are_wanted():
    course = begun()
    assert [name for name in course.names if course.is_shown(name)] == [*ALWAYS]
    course.change_symbols(LiveStreamConfig(crypto=("BTC/USD",)))
    assert course.is_shown(CRYPTO)


def test_at_the_end_nothing_counts_any_more_and_what_failed_stays_so():
    course = begun()
    assert course.told(LIVE) == LIVE
    course.stop()
    stopped = course.told(LIVE)

    assert (stopped.phase, stopped.connected_since, stopped.events_per_second) == (Phase.STOPPED, None, 0.0)
    refused = StreamHealth(STOCKS, phase=Phase.FAILED, last_error="refused")
    assert course.told(refused) == refused


def test_after_a_failure_all_have_failed_with_its_sentence_and_none_starts():
    course = begun()
    course.fail("Nobody takes it in.")
    course.change_symbols(BOTH)

    assert course.start() == ()
    failed = course.told(LIVE)
    assert (failed.phase, failed.last_error, failed.connected_since) == (
        Phase.FAILED,
        "Nobody takes it in.",
        None,
    )


def test_data_is_expected_of_what_has_symbols_while_its_market_is_open():
    course = begun()
    noon, night = (nanoseconds(new_york(f"2026-11-20 {at}")) for at in ("12:00", "23:00"))

    assert course.expects_data(STOCKS, noon, NOTHING_TOLD)
    assert not course.expects_data(STOCKS, night, NOTHING_TOLD)
    assert not course.expects_data(OPTIONS, noon, NOTHING_TOLD), "it has no symbols"
    assert course.expects_data(STOCKS, night, NOTHING_TOLD, lambda _: True)
