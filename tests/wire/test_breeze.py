"""Our Breeze client and the engine over real sockets against the fake, each fault in turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date

import pytest

from options_helper.data.streaming.breeze.source import BREEZE_BOOKS, BreezeSource
from options_helper.data.streaming.breeze.streamer import BreezeStreamer, Pass
from options_helper.data.streaming.connection.connection_runner import LoggingSink
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.doctor.findings import Check, Verdict
from options_helper.doctor.run import Checkup, Environment
from options_helper.errors import ConfigError
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import utc_datetime
from options_helper.model.snapshot import Phase
from options_helper.settings import Settings
from options_helper.simulator.breeze.server import SESSION, BreezeFaults, BreezeServer
from options_helper.simulator.breeze.wire import Level, quotes
from tests.kit.breeze import (
    INDIAN_NOON,
    PATIENT,
    RELIANCE,
    TCS,
    Watched,
    config_for,
    settings_of,
    watched,
)
from tests.kit.fakes import SteppedClock
from tests.kit.waiting import FOREVER, at_once, until_no_thread, wait_until

ONE = config_for("NSE:RELIANCE")


@pytest.fixture
def server() -> Iterator[BreezeServer]:
    with BreezeServer(now_ns=lambda: INDIAN_NOON) as made:
        yield made


def until_joined(watch: Watched, *tokens: str) -> None:
    wait_until(lambda: watch.server.joined >= set(tokens), saw=lambda: (watch.server.joined, watch.health))


def until_heard(watch: Watched, listing=RELIANCE) -> None:
    """The tick of a symbol is what acknowledges it."""
    until_joined(watch, listing.number.format(kind=2))
    watch.push_book(listing)
    wait_until(lambda: watch.health.acknowledged, saw=lambda: watch.health)


def until_failed(watch: Watched, words: str) -> str:
    def sentence() -> str:
        said = watch.health.last_error or ""
        return said if words in said else ""

    return wait_until(sentence, saw=lambda: watch.health)


def assert_adds_up(watch: Watched, *, received: int) -> None:
    wait_until(
        lambda: watch.health.received == received and not watch.health.queued, saw=lambda: watch.health
    )
    assert watch.health.accounted, watch.health


def test_books_and_quotes_come_with_their_symbols_and_the_ledger_adds_up(server):
    with watched(server, config_for("NSE:RELIANCE", channels=("depth", "quotes"))) as watch:
        until_heard(watch)
        server.push(RELIANCE.number.format(kind=1), quotes(RELIANCE, 1, Level(99.5, 5), Level(100.5, 7)))
        wait_until(lambda: "NSE:RELIANCE" in watch.manager.snapshot().quotes)
        assert_adds_up(watch, received=2)
        snapshot = watch.manager.snapshot()

    quote = snapshot.quotes["NSE:RELIANCE"]
    assert (quote.bid_price, quote.ask_price) == (99.5, 100.5)
    assert (watch.health.requested, watch.health.acknowledged) == (("NSE:RELIANCE",), ("NSE:RELIANCE",))
    assert snapshot.streams[BREEZE_BOOKS].phase is Phase.LIVE
    assert snapshot.market is MarketKind.SIMULATED
    assert server.counts["log_ins"] == server.counts["masters"] == 1
    until_no_thread("live-")


def test_a_symbol_is_acknowledged_by_its_first_tick_and_not_before(server):
    with watched(server, config_for("NSE:RELIANCE", "NSE:TCS")) as watch:
        until_heard(watch, TCS)
        health = watch.health

    assert health.acknowledged == ("NSE:TCS",)
    assert health.requested == ("NSE:RELIANCE", "NSE:TCS")
    assert health.refused_symbols == ()


def test_an_unknown_symbol_is_refused_before_joining_and_costs_itself_only(server):
    with watched(server, config_for("NSE:RELAINCE", "NSE:RELIANCE")) as watch:
        until_heard(watch)
        health = watch.health
        joined = server.joined

    assert health.refused_symbols == ("NSE:RELAINCE",)
    assert "NSE:RELAINCE" in (health.last_error or "")
    assert joined == {"4.2!2885"}


def test_without_a_single_known_symbol_the_stream_fails_with_the_remedy(server):
    with watched(server, config_for("NSE:RELAINCE")) as watch:
        sentence = until_failed(watch, "None of the symbols")
        wait_until(lambda: watch.health.phase is Phase.FAILED)

    assert "NSE:RELIANCE" in sentence


def test_symbols_change_on_the_open_connection(server):
    with watched(server, ONE) as watch:
        until_heard(watch)
        watch.manager.start(config_for("NSE:TCS"))
        wait_until(lambda: server.joined == {"4.2!11536"}, saw=lambda: server.joined)
        until_heard(watch, TCS)

    assert server.counts["connections"] == 1


def test_a_book_in_doubt_is_left_and_joined_again_and_an_event_of_another_kind_is_no_data(server):
    with watched(server, config_for("NSE:RELIANCE", "NSE:TCS")) as watch:
        until_heard(watch)
        server.push("4.2!2885", '42["order",["x"]]')
        server.push("4.2!2885", '42["stock",["4.2!2885",nonsense')
        wait_until(lambda: server.counts["joins"] == 2, saw=lambda: server.counts)
        until_heard(watch)
        assert server.counts["leaves"] == 1
        assert_adds_up(watch, received=3)
        watch.push_book()
        wait_until(lambda: watch.manager.snapshot().books["NSE:RELIANCE"].state.has_levels)
        assert (watch.health.rejected, watch.health.connections) == (1, 1)


@pytest.mark.parametrize("how", ["close", "packet", "abort"])
def test_each_way_of_losing_the_connection_is_a_gap_and_a_new_one(server, how):
    """A dismissal by Socket.IO's own packet too, after which ICICI's client stays mute for ever."""
    with watched(server, ONE) as watch:
        until_heard(watch)
        server.disconnect(how)
        wait_until(lambda: watch.health.connections == 2, saw=lambda: watch.health)
        until_heard(watch)
        assert_adds_up(watch, received=2)
        health = watch.health

    assert [gap.until_ns is None for gap in health.gaps] == [False]
    assert server.counts["log_ins"] == 1  # the day's key is good for the next connection


def test_a_session_that_is_over_fails_with_the_remedy_and_a_new_one_is_taken_without_a_restart(server):
    """As at midnight: the stream refuses the key, HTTP the session, until the file holds another."""
    held = {"BREEZE_SESSION": "99999999"}
    source = BreezeSource(lambda: settings_of(server, **held), PATIENT)

    with watched(server, ONE, source=source) as watch:
        sentence = until_failed(watch, "Invalid session")
        wait_until(lambda: watch.health.phase is Phase.FAILED)
        held["BREEZE_SESSION"] = SESSION
        until_heard(watch)

    assert all(words in sentence for words in ("24 hours", "Log in at https://", "BREEZE_SESSION"))
    assert "99999999" not in sentence


def test_a_key_that_the_stream_refuses_is_asked_for_anew_before_it_is_called_failed(server):
    with watched(server, ONE) as watch:
        until_heard(watch)
        server.faults.key_void = True
        server.disconnect()
        wait_until(lambda: server.counts["refused"] >= 2, saw=lambda: server.counts)
        sentence = until_failed(watch, "did not let the stream in")
        server.faults.key_void = False
        until_heard(watch)

    assert server.counts["log_ins"] >= 2
    assert "BREEZE_SESSION" in sentence


def test_what_cannot_be_read_is_counted_and_costs_itself_only(server):
    server.faults.garbage_every = 1
    with watched(server, ONE) as watch:
        until_heard(watch)
        assert_adds_up(watch, received=2)
        health = watch.health

    assert (health.applied, health.rejected) == (1, 1)


def test_pings_are_answered_and_a_server_that_stops_them_is_left():
    with BreezeServer(now_ns=lambda: INDIAN_NOON, ping_interval=0.02, ping_timeout=FOREVER) as server:
        with watched(server, ONE) as watch:
            wait_until(lambda: server.counts["pongs"] > 2, saw=lambda: server.counts)
        assert server.counts["connections"] == 1

    with (
        BreezeServer(
            faults=BreezeFaults(pings=False),
            now_ns=lambda: INDIAN_NOON,
            ping_interval=0.05,
            ping_timeout=0.05,
        ) as mute,
        watched(mute, ONE) as watch,
    ):
        wait_until(lambda: watch.health.connections > 1, saw=lambda: watch.health)
        assert "no ping came" in watch.health.gaps[0].reason


def test_a_stream_that_is_silent_while_india_trades_is_ended_and_made_again(server):
    clock = SteppedClock(INDIAN_NOON)
    with watched(server, ONE, clock=clock) as watch:
        until_joined(watch, "4.2!2885")
        wait_until(lambda: watch.health.phase is Phase.LIVE)
        clock.wait_for_looks("live-consumer")
        clock.advance(61.0)
        wait_until(lambda: watch.health.gap_count, saw=lambda: watch.health)

    assert "although the market is open" in watch.health.gaps[0].reason


def test_a_night_in_india_is_no_silence(server):
    clock = SteppedClock(INDIAN_NOON + 9 * 3_600 * 10**9)
    with BreezeServer(now_ns=clock) as night, watched(night, ONE, clock=clock) as watch:
        wait_until(lambda: watch.health.phase is Phase.QUIET, saw=lambda: watch.health)
        clock.advance(3_600.0)
        clock.wait_for_looks("live-consumer")
        assert watch.health.gap_count == 0


def test_a_key_that_was_asked_for_just_now_and_is_refused_is_a_failure(server):
    """Another one would be no better: it is said, and not asked for without end."""
    server.faults.key_void = True
    with watched(server, ONE, retry=RetryPolicy(refused_pauses=(FOREVER,))) as watch:
        wait_until(lambda: watch.health.phase is Phase.FAILED, saw=lambda: watch.health)

    assert server.counts["log_ins"] <= 2, "once, and once more to confirm"


def test_a_stop_while_the_settings_are_read_asks_nothing(server):
    def load():
        streamer.stop()
        return settings_of(server)

    streamer = BreezeStreamer(load, Pass(), sink=LoggingSink(), timing=PATIENT)
    streamer.subscribe(["NSE:RELIANCE"])
    streamer.run()

    assert (server.counts["log_ins"], server.counts["masters"]) == (0, 0)


def test_a_list_that_does_not_come_costs_no_second_login(server):
    server.faults.master_broken = True
    with watched(server, ONE) as watch:
        wait_until(lambda: server.counts["masters"] > 2, saw=lambda: server.counts)
        server.faults.master_broken = False
        until_heard(watch)

    assert server.counts["log_ins"] == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"master_broken": True}, "list of instruments cannot be used"),
        ({"status": 503}, "HTTP 503"),
        ({"status": 404}, "Check BREEZE_REST_URL"),
        ({"status": 302}, "points to another address"),
    ],
)
def test_a_server_that_does_not_answer_as_breeze_does_is_named_and_tried_again(server, spoil, words):
    server.faults = BreezeFaults(**spoil)
    with watched(server, ONE) as watch:
        until_failed(watch, words)
        server.faults = BreezeFaults()
        until_heard(watch)


def test_what_speaks_another_protocol_is_named(server):
    stream_elsewhere = {"BREEZE_STREAM_URL": f"{server.variables['BREEZE_STREAM_URL']}/elsewhere"}
    source = BreezeSource(lambda: settings_of(server, **stream_elsewhere), PATIENT)

    with watched(server, ONE, source=source) as watch:
        assert "check BREEZE_STREAM_URL" in until_failed(watch, "HTTP 404")


def test_a_fake_that_is_left_alone_ticks_by_itself():
    with (
        BreezeServer(now_ns=lambda: INDIAN_NOON, pace_seconds=0.01) as server,
        watched(server, config_for("NSE:RELIANCE", "BSE:RELIANCE")) as watch,
    ):
        wait_until(lambda: len(watch.health.acknowledged) == 2, saw=lambda: watch.health)
        wait_until(lambda: watch.manager.snapshot().books["BSE:RELIANCE"].bids)
        book = watch.manager.snapshot().books["BSE:RELIANCE"]

    assert (len(book.bids), len(book.asks)) == (5, 5)


def test_a_stop_ends_what_is_being_asked(server):
    """While the list of instruments is on its way, which takes longest."""
    asked, release = threading.Event(), threading.Event()
    answer = server.answer

    def answer_late(*arguments):
        asked.set()
        release.wait(FOREVER)
        return answer(*arguments)

    server.answer = answer_late
    manager = LiveStreamManager(
        Settings(), source=BreezeSource(lambda: settings_of(server), PATIENT), rest_cls=None
    )
    manager.start(ONE)
    asked.wait(FOREVER)
    with at_once():
        manager.stop()
        until_no_thread("live-")
    release.set()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("BREEZE_ENABLED", "switched off"),
        ("BREEZE_API_KEY", "no BREEZE_API_KEY"),
        ("BREEZE_SESSION", "Log in at"),
    ],
)
def test_it_is_off_unless_enabled_and_asks_nobody(server, missing: str, words: str):
    source = BreezeSource(lambda: settings_of(server, **{missing: ""}))
    manager = LiveStreamManager(Settings(), source=source, rest_cls=None)

    with pytest.raises(ConfigError, match=words):
        manager.start(ONE)

    assert not server.counts


def test_no_secret_is_in_what_is_said_logged_or_shown(server, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    with watched(server, ONE) as watch:
        until_heard(watch)
        server.faults.session_over = True
        server.disconnect()
        until_failed(watch, "Invalid session")
        said = f"{watch.health}{watch.manager.snapshot()}{settings_of(server)}"

    for secret in (
        SESSION,
        server.variables["BREEZE_API_SECRET"],
        server.variables["BREEZE_API_KEY"],
        "ZGVtbw",
    ):
        assert secret not in caplog.text
        assert secret not in said


def doctors_line(server, tmp_path, *, offline: bool = False, **others: str):
    environment = Environment(
        environ={**server.variables, **others},
        env_file=tmp_path / "none.env",
        now=lambda: utc_datetime(INDIAN_NOON),
        stream_seconds=FOREVER,
    )
    lines = Checkup(environment=environment, offline=offline).lines()
    return {line.check: line.finding for line in lines}.get(Check.BREEZE)


def test_the_doctor_tells_whether_session_list_and_secret_are_good(server, tmp_path):
    found = doctors_line(server, tmp_path)

    assert (found.verdict, found.remedy) == (Verdict.OK, None)
    assert (
        "session is good, 7 instruments, the secret is right (NSE:RELIANCE was last traded at 1,540.00)"
        in found.message
    )


@pytest.mark.parametrize(
    ("spoilt", "verdict", "words"),
    [
        ({"BREEZE_SESSION": "9"}, Verdict.FAILED, "Log in at https://"),
        ({"BREEZE_API_KEY": "other"}, Verdict.FAILED, "Check BREEZE_API_KEY"),
        ({"BREEZE_API_SECRET": "other"}, Verdict.FAILED, "Check BREEZE_API_SECRET"),
        ({"BREEZE_API_SECRET": ""}, Verdict.OK, "no BREEZE_API_SECRET"),
        ({"BREEZE_SESSION": ""}, Verdict.FAILED, "BREEZE_SESSION"),
        ({"BREEZE_ENABLED": "perhaps"}, Verdict.FAILED, "neither yes nor no"),
        ({"BREEZE_ENABLED": "no"}, Verdict.SKIPPED, "BREEZE_ENABLED is not yes"),
    ],
)
def test_the_doctor_says_of_breeze_what_to_do(server, tmp_path, spoilt, verdict, words):
    found = doctors_line(server, tmp_path, **spoilt)

    assert found.verdict is verdict
    assert words in f"{found.message} {found.remedy}"


def test_the_doctor_is_silent_of_breeze_where_nobody_has_set_it_up(server, tmp_path):
    assert doctors_line(server, tmp_path, offline=True).verdict is Verdict.SKIPPED
    assert doctors_line(server, tmp_path, BREEZE_ENABLED="", BREEZE_API_KEY="", BREEZE_SESSION="") is None
    assert server.counts["log_ins"] == 0


def test_the_doctor_warns_of_a_calendar_that_ends_soon(server, tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("options_helper.doctor.breeze.indian_days_known_until", lambda: date(2026, 12, 1))

    found = doctors_line(server, tmp_path)

    assert found.verdict is Verdict.WARNING
    assert "01 Dec 2026" in found.message
