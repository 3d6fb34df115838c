"""News through the real client: streamed, asked for, told to callbacks, and complete after a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.news import read_latest_news, read_news
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.errors import RestError
from options_helper.model.account import RestPhase, RestReport, RestTask
from options_helper.model.events import News
from options_helper.model.instants import utc_datetime
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.fakes import NOON, SteppedClock
from tests.kit.news import news_message
from tests.kit.simulated import PATIENT_REST, settings_for
from tests.kit.waiting import until_no_thread, wait_until

Simulators = Callable[..., SimulatorServer]
NEWS = StreamName.NEWS
SECOND = 10**9
CONFIG = LiveStreamConfig(
    stream_fills=False, news=("AAPL",), reconnect_base_seconds=0.05, reconnect_cap_seconds=0.1
)
SOON = WatchPolicy(initial_delay=0.05, poll=0.05, again=0.05)


@pytest.fixture
def server(running_simulator: Simulators) -> SimulatorServer:
    return running_simulator(SilentMarket(start_ns=NOON))


@contextmanager
def watching(
    server: SimulatorServer, config: LiveStreamConfig = CONFIG, **more: Any
) -> Iterator[LiveStreamManager]:
    manager = LiveStreamManager(
        settings_for(server), watch=SOON, retry=RetryPolicy(slow_base_seconds=0.1), **more
    )
    manager.start(config)
    try:
        yield manager
    finally:
        manager.stop()
        until_no_thread("live-")


def headlines(manager: LiveStreamManager) -> list[str]:
    return [article.headline for article in manager.snapshot().news]


def report(manager: LiveStreamManager) -> RestReport:
    return manager.snapshot().account.reports[RestTask.NEWS]


def until_asked(manager: LiveStreamManager) -> None:
    wait_until(lambda: report(manager).phase is RestPhase.DONE, saw=lambda: report(manager))


def until_headlines(manager: LiveStreamManager, *wanted: str) -> None:
    wait_until(lambda: headlines(manager) == list(wanted), saw=lambda: headlines(manager))


def until_connected(manager: LiveStreamManager, times: int) -> None:
    wait_until(lambda: manager.snapshot().streams[NEWS].connections >= times)


def test_what_was_written_before_the_start_is_asked_for_and_what_follows_is_streamed(server: SimulatorServer):
    server.push(NEWS, [news_message(1, "Before"), news_message(2, "Of others", symbols=("MSFT",))])
    server.flush()
    told: list[News] = []
    with watching(server) as manager:
        manager.on_news("AAPL", told.append)
        until_asked(manager)
        until_headlines(manager, "Before")
        server.push(NEWS, [news_message(3, "After", made_ns=NOON + SECOND, symbols=("AAPL", "MSFT"))])
        server.push(NEWS, [news_message(4, "Of others", symbols=("MSFT",))])
        until_headlines(manager, "After", "Before")
        wait_until(lambda: [news.article_id for news in told][-1:] == [3], saw=lambda: told)
        streamed, asked = manager.snapshot().news
        health = manager.snapshot().streams[NEWS]

    assert (streamed.is_asked, asked.is_asked) == (False, True)
    assert streamed.symbols == ("AAPL", "MSFT")
    assert asked.received_at >= utc_datetime(NOON)
    assert (health.applied, health.rejected, health.dropped) == (1, 0, 0)


def test_a_star_stands_for_every_symbol(server: SimulatorServer):
    server.push(NEWS, [news_message(1, "Of others", symbols=("MSFT",))])
    server.flush()
    with watching(server, replace(CONFIG, news=("*",))) as manager:
        until_asked(manager)
        server.push(NEWS, [news_message(2, "Of nobody", made_ns=NOON + 1, symbols=())])
        until_headlines(manager, "Of nobody", "Of others")

    assert server.connections["/v1beta1/news"] == 1


def test_what_was_written_while_nobody_listened_is_asked_for_and_told(server: SimulatorServer):
    told: list[int] = []
    with watching(server) as manager:
        manager.on_news(None, lambda news: told.append(news.article_id))
        until_asked(manager)
        server.push(NEWS, [news_message(1, "Heard", made_ns=NOON)])
        until_headlines(manager, "Heard")
        server.mute(stream=NEWS)
        missed = [news_message(number, f"No. {number}", made_ns=NOON + number) for number in range(2, 130)]
        server.push(NEWS, [*missed, news_message(1, "Heard, corrected", updated_ns=NOON + 200)])
        server.flush()
        server.reset_all(NEWS)
        until_connected(manager, 2)
        wait_until(lambda: len(told) == 130, saw=lambda: told)
        found = manager.snapshot()

    assert sorted(told) == sorted([1, *range(1, 130)])
    assert len(found.news) == 100
    assert (found.news[0].headline, found.news[0].is_asked) == ("Heard, corrected", True)
    assert found.streams[NEWS].applied == 1
    assert found.streams[NEWS].gap_count == 1


def test_new_symbols_bring_their_newest_articles_over_the_same_connection(server: SimulatorServer):
    server.push(NEWS, [news_message(1, "Of others", symbols=("MSFT",))])
    server.flush()
    with watching(server) as manager:
        until_asked(manager)
        manager.start(replace(CONFIG, news=("AAPL", "MSFT")))
        until_headlines(manager, "Of others")
        wait_until(lambda: server.subscribed(NEWS) == {"AAPL", "MSFT"})

    assert server.connections["/v1beta1/news"] == 1


def test_an_answer_that_fails_is_a_sentence_and_is_asked_again(server: SimulatorServer):
    server.push(NEWS, [news_message(1, "Before")])
    server.flush()
    server.set_faults(Faults(rest_status=500, rest_path="/v1beta1/news"))
    with watching(server) as manager:
        wait_until(lambda: "HTTP 500" in (report(manager).problem or ""), saw=lambda: report(manager))
        server.push(NEWS, [news_message(2, "Streamed", made_ns=NOON + 1)])
        until_headlines(manager, "Streamed")
        server.set_faults(Faults())
        until_headlines(manager, "Streamed", "Before")
        until_asked(manager)


@pytest.mark.parametrize(
    ("faults", "rejected"),
    [
        (Faults(oversized=True), 0),
        (Faults(duplicate=True), 0),
        (Faults(malformed=True), 1),
        (Faults(unknown_type=True), 1),
    ],
    ids=["of a megabyte", "twice", "malformed", "unknown"],
)
def test_what_is_wrong_with_a_message_costs_no_article(
    server: SimulatorServer, faults: Faults, rejected: int
):
    server.set_faults(faults)
    with watching(server, rest_cls=None) as manager:
        until_connected(manager, 1)
        server.push(NEWS, [news_message(1, "Heard")])
        until_headlines(manager, "Heard")
        health = manager.snapshot().streams[NEWS]

    assert (health.rejected, health.accounted, health.connections) == (rejected, True, 1)


def test_silence_is_normal(server: SimulatorServer):
    clock = SteppedClock()
    with watching(server, now_ns=clock, monotonic=clock.monotonic, rest_cls=None) as manager:
        until_connected(manager, 1)
        assert manager.snapshot().streams[NEWS].phase is Phase.LIVE
        clock.advance(4 * 3_600)
        wait_until(lambda: manager.snapshot().streams[NEWS].phase is Phase.QUIET)
        server.push(NEWS, [news_message(1, "At last")])
        until_headlines(manager, "At last")
        health = manager.snapshot().streams[NEWS]

    assert (health.phase, health.connections, health.gap_count) == (Phase.LIVE, 1, 0)


@pytest.mark.parametrize("page", [None, 3])
def test_every_page_is_read_and_what_lies_outside_is_not(server: SimulatorServer, page: int | None):
    server.set_faults(Faults(rest_page=page))
    server.push(NEWS, [news_message(number, made_ns=NOON + number * SECOND) for number in range(120)])
    server.flush()
    with AlpacaRest(settings_for(server), policy=PATIENT_REST) as rest:
        since, until = utc_datetime(NOON + 10 * SECOND), utc_datetime(NOON + 80 * SECOND)
        found = [one.article_id for each in read_news(rest, since, until, ["AAPL"]) for one in each.articles]
        newest = [one.article_id for each in read_latest_news(rest, ["AAPL"]) for one in each.articles]

    assert found == list(range(10, 81))
    assert newest == list(range(119, 119 - (page or 50), -1))


def test_a_server_that_repeats_its_pages_is_left(server: SimulatorServer):
    server.set_faults(Faults(rest_page=1))
    server.push(NEWS, [news_message(number) for number in range(101)])
    server.flush()
    with (
        AlpacaRest(settings_for(server), policy=PATIENT_REST) as rest,
        pytest.raises(RestError, match="100 pages"),
    ):
        list(read_news(rest, utc_datetime(NOON)))
