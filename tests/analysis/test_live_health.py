"""One headline, the most serious first, that says what happened and what it means for the prices."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from options_helper.analysis.live_health import Headline, Level, feed_labels, headline
from options_helper.model.announcement import MarketKind
from options_helper.model.clock_skew import ClockSkew
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.snapshot import DeskRemarks, LiveSnapshot, Phase, StreamHealth
from tests.kit.builders import AAPL_CALL, AS_OF, health, quote, snapshot_with

EVENING = datetime(2026, 11, 20, 18, 0, tzinfo=NEW_YORK)
LIMIT = "connection limit exceeded."


def with_streams(*streams: StreamHealth) -> LiveSnapshot:
    return snapshot_with(quote("AAPL"), quote(AAPL_CALL), streams=streams)


def test_everything_well_is_live():
    assert headline(with_streams()) == Headline(Level.OK, "Live.")


def test_before_the_first_start():
    nothing = LiveSnapshot(as_of=AS_OF)

    assert headline(nothing) == Headline(Level.INFO, "Not started: press Start to connect.")


def test_after_a_stop_the_prices_are_the_last_ones():
    stopped = snapshot_with(running=False, streams=[health("stocks", Phase.STOPPED)])

    assert headline(stopped) == Headline(Level.INFO, "Stopped: these are the last prices received.")


@pytest.mark.parametrize("running", [True, False])
def test_a_failure_says_what_alpaca_said(*, running: bool):
    reason = "Alpaca refused the opra feed: insufficient subscription."
    failed = snapshot_with(running=running, streams=[health("options", Phase.FAILED, last_error=reason)])

    assert headline(failed) == Headline(Level.ERROR, f"Failed: {reason}")


def test_the_same_failure_of_every_stream_is_said_once():
    reason = "Alpaca refused the key."
    failed = with_streams(
        *(health(name, Phase.FAILED, last_error=reason) for name in ("stocks", "options", "fills"))
    )

    assert headline(failed).sentence == "Failed: Alpaca refused the key."


def test_of_failures_that_differ_by_their_feed_the_remedy_is_said_once():
    failed = with_streams(
        *(
            health(
                name, Phase.FAILED, last_error=f"Alpaca refused the key on the {name} feed. Check the key."
            )
            for name in ("stocks", "options")
        )
    )

    assert headline(failed).sentence == (
        "Failed: Alpaca refused the key on the stocks feed. Check the key. "
        "Failed: Alpaca refused the key on the options feed."
    )


def test_streams_that_ended_elsewhere_are_said_once_and_are_not_live():
    stopped = (
        health(
            name, Phase.STOPPED, last_error="the owner has ended.", last_event_at=AS_OF - timedelta(seconds=9)
        )
        for name in ("stocks", "options")
    )

    assert headline(with_streams(*stopped)) == Headline(
        Level.WARNING, "Stocks and options stopped: the owner has ended. The newest price is 9 s old."
    )


def test_a_reconnect_says_which_attempt_when_and_why():
    lost = health(
        "options",
        Phase.RECONNECTING,
        reconnect_attempts=3,
        next_try_at=AS_OF + timedelta(seconds=3.2),
        last_error=LIMIT,
    )

    assert headline(with_streams(lost)) == Headline(
        Level.WARNING, f"Options reconnecting, attempt 3, next try in 4 s: {LIMIT}"
    )


def test_a_try_that_is_due_is_being_made():
    lost = health("stocks", Phase.RECONNECTING, reconnect_attempts=1, next_try_at=AS_OF, last_error=LIMIT)

    assert headline(with_streams(lost)).sentence == f"Stocks reconnecting, attempt 1, trying now: {LIMIT}"


def test_lost_streams_are_all_named_and_their_one_cause_once():
    """A server that is away says the same of each stream, with another path."""

    def lost(name: str, error: str, attempts: int):
        heard = AS_OF - timedelta(seconds=34)
        return health(
            name, Phase.RECONNECTING, reconnect_attempts=attempts, last_error=error, last_event_at=heard
        )

    away = "no connection to ws://127.0.0.1:9713/{}: [Errno 111] Connect call failed ('127.0.0.1', 9713)."
    streams = [lost(name, away.format(name), 2) for name in ("stocks", "options", "fills")]
    assert headline(with_streams(*streams)).sentence == (
        f"Stocks, options and fills reconnecting, attempt 2, trying now: {away.format('stocks')} "
        "The newest price is 34 s old."
    )

    other = headline(with_streams(lost("stocks", LIMIT, 1), lost("options", "HTTP 503.", 2))).sentence
    assert other.startswith("Stocks reconnecting")
    assert "Options reconnecting, attempt 2" in other


def test_one_cause_is_told_once_however_the_feeds_are_called():
    mute = "The {} server (127.0.0.1:4) took the connection and gave no answer to its handshake."
    feeds = {
        "stocks": "iex",
        "options": "indicative",
        "fills": "trading",
        "crypto": "crypto us",
        "news": "news",
    }
    lost = [
        health(name, Phase.RECONNECTING, last_error=mute.format(feed), reconnect_attempts=3)
        for name, feed in feeds.items()
    ]

    assert headline(with_streams(*lost)).sentence == (
        "Stocks, options, fills, crypto and news reconnecting, attempt 3, trying now: "
        "The server (127.0.0.1:4) took the connection and gave no answer to its handshake."
    )


def test_news_have_no_price_that_could_be_old():
    heard = AS_OF - timedelta(seconds=56)
    lost = health("news", Phase.RECONNECTING, last_error=LIMIT, last_event_at=heard)

    assert "price" not in headline(with_streams(lost)).sentence


def test_a_failure_outranks_a_reconnect_and_a_reconnect_a_stall():
    failed = health("stocks", Phase.FAILED, last_error="Refused.")
    lost = health("options", Phase.RECONNECTING, last_error=LIMIT)
    stalled = health("stocks", Phase.STALLED)

    assert headline(with_streams(failed, lost)).level is Level.ERROR
    assert headline(with_streams(stalled, lost)).sentence.startswith("Options reconnecting")


def test_a_stall_is_a_warning():
    assert headline(with_streams(health("stocks", Phase.STALLED))) == Headline(
        Level.WARNING, "Stocks stalled: connected, but silent although the market is open."
    )


def test_connecting_names_the_streams():
    connecting = [health("stocks", Phase.CONNECTING), health("fills", Phase.CONNECTING)]

    assert headline(with_streams(*connecting)) == Headline(Level.INFO, "Connecting: stocks, fills.")


@pytest.mark.parametrize("phase", [Phase.LIVE, Phase.QUIET])
def test_a_closed_market_says_so_and_when_it_opens(phase: Phase):
    closed = snapshot_with(as_of=EVENING, streams=[health("stocks", phase), health("options", phase)])

    assert headline(closed) == Headline(
        Level.INFO, "Market closed: last session's prices. Opens Mon 09:30 ET."
    )


def test_a_market_of_a_year_without_a_calendar_is_closed_and_nobody_knows_how_long():
    closed = snapshot_with(as_of=datetime(2262, 1, 3, 12, tzinfo=NEW_YORK))

    assert headline(closed).sentence == ("Market closed: last session's prices. When it opens is not known.")


def test_options_on_an_etf_keep_the_market_open_until_a_quarter_past_four():
    late = datetime(2026, 11, 20, 16, 10, tzinfo=NEW_YORK)

    assert headline(snapshot_with(requested=["SPY261218C00680000"], as_of=late)).level is Level.OK
    assert headline(snapshot_with(requested=[AAPL_CALL], as_of=late)).sentence.startswith("Market closed")


def test_a_night_feed_is_closed_by_day():
    streams = [health("stocks", feed="overnight"), health("options", Phase.OFF)]

    assert headline(with_streams(*streams)).sentence == (
        "Market closed: last session's prices. This feed opens 20:00 ET."
    )


def test_a_stream_that_is_off_does_not_keep_the_market_open():
    streams = [health("stocks", Phase.OFF, feed="test"), health("options", feed="opra")]

    assert headline(snapshot_with(as_of=EVENING, streams=streams)).sentence.startswith("Market closed")


def test_old_quotes_are_named():
    stale = ["AAPL 18 Dec 26 180 C", "SPY shares", "MSFT shares", "NVDA shares"]

    assert headline(with_streams(), stale_symbols=stale) == Headline(
        Level.WARNING, "Live, but 4 quotes too old: AAPL 18 Dec 26 180 C, SPY shares, MSFT shares and 1 more."
    )


def test_refused_symbols_are_named_in_words():
    refusing = health("options", requested=(AAPL_CALL,), acknowledged=(), refused_symbols=(AAPL_CALL,))

    assert headline(with_streams(refusing)) == Headline(
        Level.WARNING, "Live, but Alpaca refused 1 symbol: AAPL 18 Dec 26 180 C."
    )


def test_a_recording_that_has_ended_says_so():
    ended = replace(snapshot_with(market=MarketKind.REPLAY), played_out=True)

    assert headline(ended) == Headline(Level.INFO, "The recording has ended: these are its last prices.")


def test_what_was_lost_is_said():
    losing = health("stocks", received=1010, applied=7, dropped=1000, rejected=3)

    assert headline(with_streams(losing)) == Headline(
        Level.WARNING,
        "Live, but 1,000 events dropped because this computer did not keep up and 3 messages could not be read.",
    )


class TestSilence:
    """Nothing that comes is no loss, and nothing that can be called live without a word."""

    @staticmethod
    def said(*streams: StreamHealth, **more: Any) -> Headline:
        return headline(with_streams(*streams), **more)

    @staticmethod
    def silent(name: str, seconds: float, phase: Phase = Phase.LIVE, **facts: Any) -> StreamHealth:
        since = AS_OF - timedelta(seconds=seconds)
        return health(name, phase, silent_since=since, **{"last_event_at": since, **facts})

    def test_how_long_nothing_has_come_is_said_and_no_more_than_that(self):
        assert self.said(self.silent("options", 12.0)) == Headline(
            Level.OK, "Live, no word of options for 12 s."
        )

    @pytest.mark.parametrize(("seconds", "is_said"), [(9.9, False), (10.0, True)])
    def test_it_is_said_from_the_age_on_at_which_a_price_is_late(self, seconds: float, *, is_said: bool):
        assert (self.said(self.silent("stocks", seconds)).sentence != "Live.") is is_said

    def test_of_two_streams_the_last_word_of_either_counts(self):
        both = self.silent("stocks", 12.0), self.silent("options", 19.0)

        assert self.said(*both).sentence == "Live, no word of stocks and options for 12 s."

    @pytest.mark.parametrize(
        ("more", "sentence"),
        [
            ({"remarks": ("1 line quoted wide",)}, "Live, no word of options for 12 s, 1 line quoted wide."),
            (
                {"caveats": ("1 line without a price",)},
                "Live, no word of options for 12 s, but 1 line without a price.",
            ),
            (
                {"stale_symbols": ["SPY shares"]},
                "Live, no word of options for 12 s, but 1 quote too old: SPY shares.",
            ),
        ],
        ids=["a remark", "a caveat", "an old quote"],
    )
    def test_nothing_else_that_is_said_hides_it(self, more: dict[str, Any], sentence: str):
        assert self.said(self.silent("options", 12.0), **more).sentence == sentence

    def test_a_feed_that_has_been_silent_that_long_before_is_no_exception(self):
        assert self.said(self.silent("options", 45.0, Phase.QUIET)).sentence == (
            "Live, no word of options for 45 s."
        )

    def test_nothing_since_the_connection_is_as_silent(self):
        assert self.said(self.silent("options", 11.0, last_event_at=None)).sentence == (
            "Live, no word of options for 11 s."
        )

    def test_what_has_come_since_the_look_at_the_silence_ends_it(self):
        heard = self.silent("options", 12.0, last_event_at=AS_OF - timedelta(seconds=0.2))

        assert self.said(heard).sentence == "Live."

    @pytest.mark.parametrize("name", ["fills", "news"])
    def test_what_comes_when_it_comes_is_never_silent(self, name: str):
        assert self.said(self.silent(name, 600.0)).sentence == "Live."

    def test_where_nothing_has_to_come_nothing_is_silent(self):
        assert self.said(health("options", last_event_at=AS_OF - timedelta(hours=1))).sentence == "Live."

    def test_a_lost_stream_is_said_as_lost(self):
        lost = health("stocks", Phase.RECONNECTING)

        assert "no word" not in self.said(lost, self.silent("options", 12.0)).sentence

    def test_a_recording_is_played_and_has_no_connection_to_be_silent(self):
        played = replace(with_streams(self.silent("options", 40.0)), market=MarketKind.REPLAY)

        assert headline(played).sentence == "Live."


class TestFeedLabels:
    """What must be known of the prices stays in sight."""

    def test_alpacas_feeds_are_described(self):
        assert feed_labels(snapshot_with()) == ("indicative = modelled quotes", "IEX = not the national best")
        assert feed_labels(snapshot_with(stock_feed="delayed_sip", options_feed="opra")) == (
            "delayed 15 min",
        )
        assert feed_labels(snapshot_with(stock_feed="sip", options_feed="opra")) == ()

    def test_a_stream_that_is_off_has_no_label(self):
        off = health("options", Phase.OFF, feed="indicative")

        assert feed_labels(snapshot_with(streams=[off])) == ("IEX = not the national best",)

    def test_a_simulated_market_is_nothing_else(self):
        assert feed_labels(snapshot_with(market=MarketKind.SIMULATED)) == ("SIMULATED MARKET 2026-11-20",)

    def test_a_replay_says_the_time_it_has_reached(self):
        replayed = snapshot_with(
            market=MarketKind.REPLAY, as_of=datetime(2018, 1, 5, 10, 32, 59, tzinfo=NEW_YORK)
        )

        assert feed_labels(replayed) == ("REPLAY 2018-01-05 10:32 ET",)

    def test_a_replay_of_a_market_that_was_made_up_says_so(self):
        at = datetime(2018, 1, 5, 10, 32, 59, tzinfo=NEW_YORK)
        replayed = replace(snapshot_with(market=MarketKind.REPLAY, as_of=at), replay_of=MarketKind.SIMULATED)

        assert feed_labels(replayed) == ("REPLAY of a SIMULATED market 2018-01-05 10:32 ET",)


def test_what_the_numbers_rest_on_is_in_the_headline():
    """Everything crossed, missing or late, and a green "Live." above it, would be a lie."""
    assert headline(
        snapshot_with(), caveats=("3 lines without a price", "1 line with a crossed quote")
    ) == Headline(Level.WARNING, "Live, but 3 lines without a price, 1 line with a crossed quote.")


@pytest.mark.parametrize(
    ("skew", "says", "label"),
    [
        (ClockSkew(-600.0, 0.6), "clock is 10 min behind the servers'", ("CLOCK 10 min BEHIND",)),
        (ClockSkew(90.0, 0.6), "clock is 90 s ahead of the servers'", ("CLOCK 90 s AHEAD",)),
        (ClockSkew(-300.0, 0.0, at_least=True), "at least 5 min behind", ("CLOCK 5 min BEHIND",)),
        (ClockSkew(0.0, 0.6, feed_ahead=300.0), "streamed has times 5 min ahead", ()),
    ],
)
def test_a_clock_that_is_wrong_is_said_and_labelled(skew: ClockSkew, says: str, label: tuple[str, ...]):
    live = replace(with_streams(), clock_skew=skew)

    assert headline(live).level is Level.WARNING
    assert says in headline(live).sentence
    assert feed_labels(live)[-1:] == label or not label


@pytest.mark.parametrize("skew", [None, ClockSkew(0.4, 0.5), ClockSkew(2.4, 0.5)])
def test_a_clock_that_is_right_or_was_not_measured_is_no_news(skew: ClockSkew | None):
    live = replace(with_streams(), clock_skew=skew)

    assert headline(live) == Headline(Level.OK, "Live.")
    assert not any("CLOCK" in label for label in feed_labels(live))


def test_over_a_bus_it_is_said_that_the_feed_is_not_known_until_the_owner_names_it():
    def labels(*feeds: str | None) -> tuple[str, ...]:
        streams = [health(name, feed=feed) for name, feed in zip(("stocks", "options"), feeds, strict=True)]
        return feed_labels(replace(with_streams(*streams), desk=DeskRemarks("the desk")))

    assert "feed not known yet" in labels("sip", None)
    assert labels("sip", "opra") == ("streams over a bus",)
    assert "feed not known yet" not in feed_labels(with_streams(health("stocks", feed=None)))
