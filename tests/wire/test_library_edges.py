"""What a library user may do wrong, and what a server may say oddly, on a real socket: it costs itself and no more."""

from __future__ import annotations

import asyncio
import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest

from options_helper.data.streaming.alpaca_stream import AlpacaStockStreamer
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.connection import connection_runner
from options_helper.data.streaming.connection.connection_runner import ConnectionRunner
from options_helper.errors import ConfigError, StreamError
from options_helper.model.events import Quote
from options_helper.model.instants import utc_datetime
from options_helper.model.snapshot import Phase
from options_helper.simulator.faults import Faults
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.simulated import settings_for
from tests.kit.waiting import AT_ONCE, wait_until
from tests.wire.conftest import running_simulator as running_simulator  # noqa: PLC0414 - a fixture
from tests.wire.test_engine import (
    FILL,
    FILLS,
    NOON,
    ONLY_FILLS,
    ONLY_STOCKS,
    PATIENT,
    STOCK_PATH,
    STOCKS,
    TRADING_PATH,
    quote,
    watching,
)

Simulators = Callable[..., SimulatorServer]


@pytest.fixture
def simulator(running_simulator: Simulators) -> Simulators:
    return partial(running_simulator, SilentMarket(start_ns=NOON))


def streamer_of(server: SimulatorServer, **handlers: Any) -> AlpacaStockStreamer:
    streamer = AlpacaStockStreamer(settings_for(server), feed="iex", timing=PATIENT, **handlers)
    streamer.subscribe(["AAPL"])
    return streamer


class Run:
    """One `run` on a thread of its own, and what it raised."""

    def __init__(self, streamer: ConnectionRunner[Any]) -> None:
        self.error: BaseException | None = None
        self._streamer = streamer
        self.thread = threading.Thread(target=self._run, name="live-library-user")
        self.thread.start()

    def _run(self) -> None:
        try:
            self._streamer.run()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def ended(self) -> BaseException | None:
        self.thread.join(AT_ONCE)
        assert not self.thread.is_alive()
        return self.error


@contextmanager
def run_of(streamer: ConnectionRunner[Any]) -> Iterator[Run]:
    run = Run(streamer)
    try:
        yield run
    finally:
        streamer.stop()
        run.ended()


def test_a_streamer_that_is_run_again_asks_for_everything_again(simulator: Simulators):
    """As in a `while True: try: run() except StreamError` loop."""
    server = simulator()
    received: list[Any] = []
    streamer = streamer_of(server, on_quotes=received.append)
    first = Run(streamer)
    wait_until(lambda: server.subscribed(STOCKS))
    server.disconnect_all(1011)
    assert isinstance(first.ended(), StreamError)
    streamer.subscribe(["MSFT"])

    with run_of(streamer):
        wait_until(lambda: server.subscribed(STOCKS, "quotes") == {"AAPL", "MSFT"})
        assert server.subscribed(STOCKS, "trades") == {"AAPL", "MSFT"}
        server.push(STOCKS, [quote("AAPL"), quote("MSFT")])
        wait_until(lambda: len(received) == 2)
    assert server.connections[STOCK_PATH] == 2


def test_order_updates_are_listened_to_in_a_second_run_too(simulator: Simulators):
    server = simulator(faults=Faults(stream_error=500, first_connections=1))
    received: list[Any] = []
    streamer = AlpacaTradingStreamer(settings_for(server), on_trade_updates=received.append, timing=PATIENT)
    streamer.subscribe_trade_updates()
    assert isinstance(Run(streamer).ended(), StreamError)
    wait_until(lambda: not server.subscribed(FILLS))  # the first one's end has reached the server
    with run_of(streamer) as second:
        wait_until(lambda: server.subscribed(FILLS))
        server.push(FILLS, [FILL])
        wait_until(lambda: received)
        assert second.thread.is_alive(), "the first run's complaint is not the second's"
    assert server.connections[TRADING_PATH] == 2


def test_symbols_are_asked_for_in_alpaca_s_spelling(simulator: Simulators):
    server = simulator()
    received: list[Quote] = []
    streamer = AlpacaStockStreamer(
        settings_for(server), feed="iex", timing=PATIENT, on_quotes=received.append
    )
    streamer.subscribe(["bf-b", "NVDA", "nvda", "", "MSFT"])
    streamer.unsubscribe(["msft"])
    with run_of(streamer):
        wait_until(lambda: server.subscribed(STOCKS, "quotes") == {"BF.B", "NVDA"})
        server.push(STOCKS, [quote("BF.B")])
        wait_until(lambda: received)
    assert received[0].exchange_at == utc_datetime(NOON)
    with pytest.raises(ConfigError, match=r"write \['NVDA'\]"):
        streamer.subscribe("NVDA")


@pytest.mark.parametrize("way", ["called", "awaited"])
def test_a_handler_that_raises_a_cancellation_ends_no_connection(simulator: Simulators, way: str):
    server = simulator()
    seen: list[Quote] = []

    def cancels(quote: Quote) -> None:
        seen.append(quote)
        raise asyncio.CancelledError

    async def cancels_later(quote: Quote) -> None:
        cancels(quote)

    streamer = streamer_of(server, on_quotes=cancels_later if way == "awaited" else cancels)
    with run_of(streamer) as run:
        wait_until(lambda: server.subscribed(STOCKS))
        server.push(STOCKS, [quote("AAPL")])
        wait_until(lambda: len(seen) == 1)
        server.push(STOCKS, [quote("AAPL")])
        wait_until(lambda: len(seen) == 2)
        assert run.thread.is_alive()
    assert run.error is None
    assert streamer.unhandled_events == 2


def test_what_is_no_handler_is_refused_at_once(simulator: Simulators):
    server = simulator()
    with pytest.raises(TypeError, match="on_quotes is a function or a coroutine function, and \\[\\] cannot"):
        streamer_of(server, on_quotes=[])
    with pytest.raises(TypeError, match="on_trade_updates"):
        AlpacaTradingStreamer(settings_for(server), on_trade_updates=17)  # type: ignore[arg-type]


def test_two_runs_at_once_are_refused_and_the_first_goes_on(simulator: Simulators):
    server = simulator()
    streamer = streamer_of(server)
    with run_of(streamer) as first:
        wait_until(lambda: server.subscribed(STOCKS))
        with pytest.raises(RuntimeError, match="runs already; make a second one"):
            streamer.run()
        assert first.thread.is_alive()
    assert first.ended() is None


def test_a_run_inside_a_running_loop_is_a_sentence_and_leaves_nothing_open(simulator: Simulators):
    server = simulator()
    streamer = streamer_of(server)

    async def cell_of_a_notebook() -> None:
        with pytest.raises(RuntimeError, match=r"await asyncio.to_thread\(streamer.run\)"):
            streamer.run()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(cell_of_a_notebook())
    assert not server.connections

    async def as_it_says() -> None:
        running = asyncio.create_task(asyncio.to_thread(streamer.run))
        await asyncio.to_thread(wait_until, lambda: server.subscribed(STOCKS))
        streamer.stop()
        await running

    asyncio.run(as_it_says())


def test_a_handler_that_always_fails_is_logged_once_and_counted(
    simulator: Simulators, caplog: pytest.LogCaptureFixture
):
    server = simulator()

    def fails(_: object) -> None:
        raise ValueError("a bug of the user's")

    streamer = streamer_of(server, on_quotes=fails)
    with run_of(streamer):
        wait_until(lambda: server.subscribed(STOCKS))
        server.push(STOCKS, [quote()] * 500)
        wait_until(lambda: streamer.unhandled_events == 500)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert said == ["a handler failed", "a handler failed (ValueError): 500 times"]


def test_a_handler_that_is_too_slow_is_logged_once_and_counted(
    simulator: Simulators, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection_runner, "HANDLED_AT_ONCE", 10)
    server = simulator()
    go_on = asyncio.Event()

    async def waits(_: object) -> None:
        await go_on.wait()

    streamer = streamer_of(server, on_quotes=waits)
    with run_of(streamer):
        wait_until(lambda: server.subscribed(STOCKS))
        server.push(STOCKS, [quote()] * 500)
        wait_until(lambda: streamer.unhandled_events >= 489)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert [("too slow" in sentence, "at the end" in sentence) for sentence in said] == [
        (True, False),
        (False, True),
        (True, False),
        (False, True),
    ]
    assert streamer.unhandled_events >= 499, "none of them came to its end"


def test_what_cannot_be_read_is_logged_once_and_counted(
    simulator: Simulators, caplog: pytest.LogCaptureFixture
):
    server = simulator(faults=Faults(malformed=True))
    received: list[Any] = []
    with run_of(streamer_of(server, on_quotes=received.append)):
        wait_until(lambda: server.subscribed(STOCKS))
        for _ in range(20):
            server.push(STOCKS, [quote()])
        wait_until(lambda: len(received) == 20)
    said = [record.getMessage() for record in caplog.records if "could not be read" in record.getMessage()]
    assert len(said) == 2
    assert said[1] == "a message could not be read: 20 times"


def test_a_streamer_is_stopped_from_its_own_handler(simulator: Simulators):
    server = simulator()

    def on_quote(_: object) -> None:
        streamer.stop()

    streamer = streamer_of(server, on_quotes=on_quote)
    run = Run(streamer)
    wait_until(lambda: server.subscribed(STOCKS))
    server.push(STOCKS, [quote()])
    assert run.ended() is None


def test_an_update_with_an_error_in_it_is_an_update(simulator: Simulators):
    """A rejected order says why; the stream of the orders goes on."""
    server = simulator(faults=Faults(fill_error_message=True))
    with watching(server, ONLY_FILLS) as watch:
        watch.until_live(FILLS)
        server.push(FILLS, [FILL])
        watch.until(lambda health: health.applied == 1, FILLS)
        assert watch.health(FILLS).gap_count == 0


def test_an_acknowledgement_in_several_messages_refuses_nothing(simulator: Simulators):
    server = simulator(faults=Faults(split_ack=True))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until(lambda health: health.acknowledged == ("AAPL", "MSFT") and not health.refused_symbols)
        assert watch.health().last_error is None
        server.push(STOCKS, [quote()])
        watch.until(lambda health: health.applied == 1)


def test_an_acknowledgement_behind_data_in_one_frame_is_seen(simulator: Simulators):
    server = simulator(faults=Faults(late_ack=True))
    with watching(server, ONLY_STOCKS) as watch:
        watch.until(lambda health: health.acknowledged == ("AAPL", "MSFT"))
        health = watch.until(lambda health: health.applied == 1)
        assert (health.rejected, health.gap_count) == (0, 0)


@pytest.mark.parametrize("code", ["", "nonsense", "777"])
def test_an_error_of_an_unheard_kind_answers_the_request(simulator: Simulators, code: str):
    """Not ten seconds of waiting for another answer, again and again."""
    server = simulator(faults=Faults(odd_subscribe_error=code))
    with watching(server, ONLY_STOCKS) as watch:
        health = watch.until(lambda health: health.phase is Phase.FAILED)
    assert "not today" in (health.last_error or "")


def test_a_code_as_text_is_the_code(simulator: Simulators):
    server = simulator(faults=Faults(odd_subscribe_error="405"))
    with watching(server, ONLY_STOCKS) as watch:
        health = watch.until(lambda health: health.phase is Phase.FAILED)
    assert "30 stocks" in (health.last_error or "")


@pytest.mark.parametrize("stream", ["stocks", "fills"])
def test_an_answer_that_does_not_come_is_missed_in_time_however_much_else_is_news(
    simulator: Simulators, stream: str
):
    """Somebody who asks for one symbol after the other must not put off the end of a connection that is deaf."""
    settings = settings_for(simulator(faults=Faults(no_ack=True)))
    timing = replace(PATIENT, acknowledgement=0.4)
    if stream == "stocks":
        streamer: ConnectionRunner[Any] = AlpacaStockStreamer(settings, feed="iex", timing=timing)
        cast("AlpacaStockStreamer", streamer).subscribe(["AAPL"])
    else:
        streamer = AlpacaTradingStreamer(settings, paper=True, timing=timing)
        streamer.subscribe_trade_updates()

    with run_of(streamer) as run:
        for _ in range(200):
            streamer.wake()
            run.thread.join(0.05)
            if not run.thread.is_alive():
                break
        assert "did not acknowledge" in str(run.error)
