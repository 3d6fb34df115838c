"""A computer's clock is wrong, and the real client asks a server whose clock is right: nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from options_helper.analysis.live_health import clock_caveat, feed_labels
from options_helper.clock import utc_now, utc_now_ns
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.instants import timestamp_extension, utc_datetime
from options_helper.settings import Settings
from tests.kit.fakes import ScriptedStreams, frame, quote_message, running_manager
from tests.kit.scripted_server import Reply, Request, ScriptedServer
from tests.kit.waiting import wait_until

MINUTES = 10
CALL = "AAPL301220C00180000"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Its snapshots are of this moment, and so is the date in its headers."""
    scripted = ScriptedServer()

    def answer(request: Request) -> Reply:
        if not request.path.endswith("/snapshots"):
            return Reply([] if request.path != "/v2/account" else {})
        made = {"t": utc_now().isoformat().replace("+00:00", "Z"), "bp": 1.0, "ap": 1.1, "bs": 1, "as": 1}
        answered = {symbol: {"latestQuote": made} for symbol in request.query["symbols"].split(",")}
        return Reply({"snapshots": answered} if "options" in request.path else answered)

    scripted.answer = answer
    yield scripted
    scripted.close()


def managed(server: ScriptedServer, minutes_ahead: int, stocks: ScriptedStreams) -> Any:
    settings = Settings(
        api_key=SecretStr("k"), api_secret=SecretStr("s"), base_url=server.url, data_url=server.url
    )
    return running_manager(
        stocks=stocks,
        settings=settings,
        config=LiveStreamConfig(stocks=("SPY",), option_contracts=(CALL,), stock_feed="iex"),
        rest_cls=AlpacaRest,
        watch=WatchPolicy(initial_delay=0, poll=0.1),
        now_ns=lambda: utc_now_ns() + minutes_ahead * 60 * 1_000_000_000,
    )


def until_priced(manager: LiveStreamManager) -> None:
    wait_until(
        lambda: manager.snapshot().account.reports[RestTask.PRICES].phase is RestPhase.DONE,
        saw=lambda: manager.snapshot().account.reports,
    )


@pytest.mark.parametrize("minutes_ahead", [-MINUTES, 0, MINUTES])
def test_prices_that_were_asked_for_are_shown_however_wrong_the_clock_is(
    server: ScriptedServer, minutes_ahead: int
):
    with managed(server, minutes_ahead, ScriptedStreams()) as manager:
        until_priced(manager)
        snapshot = manager.snapshot()

    assert set(snapshot.stock_quotes) == {"SPY"}
    assert set(snapshot.option_quotes) == {CALL}
    assert snapshot.account.reports[RestTask.PRICES].problem is None
    assert abs(snapshot.as_of - utc_now()) < timedelta(minutes=1)


@pytest.mark.parametrize(("minutes_ahead", "direction"), [(-MINUTES, "behind"), (MINUTES, "ahead")])
def test_a_wrong_clock_is_said_on_the_page(server: ScriptedServer, minutes_ahead: int, direction: str):
    with managed(server, minutes_ahead, ScriptedStreams()) as manager:
        until_priced(manager)
        wait_until(lambda: manager.snapshot().clock_skew is not None)
        snapshot = manager.snapshot()

    skew = snapshot.clock_skew
    assert skew is not None
    assert skew.ahead == pytest.approx(minutes_ahead * 60, abs=20)
    assert any(
        label.startswith("CLOCK ") and label.endswith(direction.upper()) for label in feed_labels(snapshot)
    )
    assert f"min {direction}" in (clock_caveat(skew) or "")


@pytest.mark.parametrize("minutes_ahead", [-MINUTES, MINUTES])
def test_a_wrong_clock_is_not_told_as_a_delay_of_the_feed(server: ScriptedServer, minutes_ahead: int):
    """Neither of what comes after the clock was measured nor of what came before."""
    stocks = ScriptedStreams()

    def streamed(manager: LiveStreamManager, count: int) -> timedelta:
        payload = frame({**quote_message("SPY"), "t": timestamp_extension(utc_now_ns())})
        wait_until(lambda: stocks.made)
        stocks.made[0].sink.frame(payload, 1)
        wait_until(lambda: manager.snapshot().streams["stocks"].applied == count)
        quote = manager.snapshot().stock_quotes["SPY"]
        return quote.received_at - utc_datetime(quote.timestamp_ns or 0)

    with managed(server, minutes_ahead, stocks) as manager:
        streamed(manager, 1)
        wait_until(lambda: manager.snapshot().clock_skew is not None)
        first = manager.snapshot().stock_quotes["SPY"]

        assert abs(first.received_at - utc_datetime(first.timestamp_ns or 0)) < timedelta(seconds=30)
        assert abs(streamed(manager, 2)) < timedelta(seconds=30)
