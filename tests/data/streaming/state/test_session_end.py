"""An option quote made after its session's end does not replace the session's last."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from options_helper.data.streaming.messages import count_messages
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.events import RestQuote
from options_helper.model.frames import Frame
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.market_hours import NEW_YORK, Session
from options_helper.model.streams import StreamName
from tests.kit.fakes import frame, quote_message

CALL, FUND_CALL, SHARE = "AAPL261218C00180000", "SPY261218C00680000", "AAPL"


def at(text: str) -> int:
    """A moment of 2026-11-20 in New York, or of the day that the text names, in epoch nanoseconds."""
    moment = text if "-" in text else f"2026-11-20 {text}"
    return datetime_nanoseconds(datetime.fromisoformat(moment).replace(tzinfo=NEW_YORK))


def hear(state: LiveState, symbol: str, bid: float, made: str, *, received: str | None = None) -> None:
    stream = StreamName.STOCKS if symbol == SHARE else StreamName.OPTIONS
    payload = frame(quote_message(symbol, bid, at_ns=at(made)))
    state.apply(Frame(stream, payload, count_messages(payload), at(received or made)))


def bid_of(state: LiveState, symbol: str) -> float | None:
    snapshot = state.snapshot(at("23:00"), running=True, running_since=None, streams={})
    return snapshot.quotes[symbol].bid_price


@pytest.fixture
def state() -> LiveState:
    return LiveState(fills_cache_size=3)


@pytest.mark.parametrize(
    ("symbol", "made", "replaces"),
    [
        (CALL, "15:59:59.9", True),
        (CALL, "16:00:00", True),  # the closing quote
        (CALL, "16:00:00.1", False),
        (CALL, "21:00", False),
        (CALL, "2026-11-21 12:00", False),  # Saturday
        (CALL, "2026-11-23 08:00", False),  # before the open of Monday
        (CALL, "2026-11-23 09:30:01", True),
        (FUND_CALL, "16:14", True),  # its class is traded longer
        (FUND_CALL, "16:15:01", False),
        (SHARE, "17:30", True),  # shares are quoted on, and the page says so
    ],
)
def test_only_a_quote_of_a_session_replaces_the_sessions_last(
    state: LiveState, symbol: str, made: str, *, replaces: bool
):
    hear(state, symbol, 4.0, "15:55")
    hear(state, symbol, 0.01, made)

    assert bid_of(state, symbol) == (0.01 if replaces else 4.0)
    assert sum(tally.applied for tally in state.tallies.values()) == 2


def test_what_was_made_in_the_session_counts_though_it_comes_later(state: LiveState):
    hear(state, CALL, 4.0, "15:55")
    hear(state, CALL, 4.1, "15:59:59", received="16:00:02")

    assert bid_of(state, CALL) == 4.1


def test_where_nothing_of_the_session_is_known_a_later_quote_is_better_than_nothing(state: LiveState):
    hear(state, CALL, 3.0, "17:00")
    hear(state, CALL, 3.1, "17:30")

    assert bid_of(state, CALL) == 3.1


def test_the_same_holds_for_what_was_asked_for(state: LiveState):
    hear(state, CALL, 4.0, "15:55")
    made = at("18:00")
    asked = RestQuote(symbol=CALL, timestamp=made, received_ns=made, bid_price=0.01, ask_price=25.0)

    assert state.seed(StreamName.OPTIONS, [asked], at("18:01")) == 0
    assert bid_of(state, CALL) == 4.0


def test_a_half_day_and_hours_that_the_market_told_end_earlier(state: LiveState):
    hear(state, CALL, 4.0, "2026-11-27 12:59")
    hear(state, CALL, 0.01, "2026-11-27 13:01")
    assert bid_of(state, CALL) == 4.0

    told = LiveState(fills_cache_size=3)
    friday = date(2026, 11, 20)
    opens, closes = (datetime(2026, 11, 20, hour, tzinfo=NEW_YORK) for hour in (10, 12))
    told.clock.told = {friday: Session(opens, closes)}
    hear(told, CALL, 4.0, "11:59")
    hear(told, CALL, 0.01, "12:01")
    assert bid_of(told, CALL) == 4.0


def test_with_a_clock_that_is_behind_the_first_quote_of_a_session_replaces_the_last_of_the_one_before(state):
    """Found on a simulated day (seed 1): the clock was put back by ten minutes in the night."""
    hear(state, CALL, 1.0, "15:59")
    hear(state, CALL, 2.0, "2026-11-23 09:30:10", received="2026-11-23 09:20:10")
    assert bid_of(state, CALL) == 2.0
