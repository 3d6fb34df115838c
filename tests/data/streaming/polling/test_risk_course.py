"""Dividends, daily closes and the vendor's Greeks are asked for beside the streams: after Start, and once a day."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.account_watch import AccountWatch
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.risk_course import shares_of
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError, RestStopped
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.risk_inputs import Dividend, RiskInputs
from tests.kit.builders import nanoseconds
from tests.kit.fakes import SETTINGS
from tests.kit.waiting import FOREVER, at_once, wait_until

ACTIONS, BARS = "/corporate-actions", "/stocks/bars"
TASKS = (RestTask.DIVIDENDS, RestTask.CLOSES)
CALL, INDEX_PUT = "MSFT261218C00530000", "SPXW261218P06500000"
CONFIG = LiveStreamConfig(stocks=("AAPL", "MSFT"), option_contracts=(CALL,), stream_fills=False)
DIVIDEND = {"id": "1", "symbol": "MSFT", "rate": 0.91, "ex_date": "2026-12-02"}
SNAPSHOT = {"greeks": {"delta": 0.4, "theta": None}, "impliedVolatility": 0.22}


class Alpaca:
    """Whom to ask; each question is `(path, symbols)`, and `refuses` is a path that fails."""

    def __init__(self, *, mute: bool = False) -> None:
        self.questions: list[tuple[str, str]] = []
        self.refuses: str | None = None
        self.status: int | None = None
        self._mute = mute
        self._stopped = threading.Event()
        self.is_asked = threading.Event()

    def __call__(self, *_: Any, **__: Any) -> Alpaca:
        return self

    def data_pages(self, _: str, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """What is announced, or two closes."""
        self.questions.append((path, query["symbols"]))
        self.is_asked.set()
        if self._mute:
            self._stopped.wait(FOREVER)
            raise RestStopped
        if path == self.refuses:
            raise RestError("Alpaca does not say.", status=self.status)
        symbols = query["symbols"].split(",")
        bars = [{"t": f"2026-11-{day}T05:00:00Z", "c": 100 + day} for day in (18, 19)]
        yield {"corporate_actions": {"cash_dividends": [DIVIDEND]}, "bars": dict.fromkeys(symbols, bars)}

    def option_snapshots(self, symbols: Sequence[str], _: str) -> dict[str, Any]:
        """Greeks with a hole."""
        return dict.fromkeys(symbols, SNAPSHOT)

    def option_chain(self, *_: Any) -> Iterator[dict[str, Any]]:
        """Nothing is listed."""
        yield {}

    def stock_snapshots(self, *_: Any) -> dict[str, Any]:
        """Nothing is known of shares."""
        return {}

    def calendar(self, *_: Any) -> list[Any]:
        """It keeps none."""
        return []

    def stop(self) -> None:
        """End what is being asked."""
        self._stopped.set()


class Run:
    """A run at a moment that the test moves."""

    def __init__(self, alpaca: Alpaca, config: LiveStreamConfig = CONFIG) -> None:
        self.alpaca = alpaca
        self.at = "2026-11-20 10:00"
        self.lock = threading.Lock()
        self.watch = AccountWatch(
            config,
            SETTINGS,
            LiveState(fills_cache_size=1),
            lock=self.lock,
            now_ns=lambda: nanoseconds(self.now),
            rest_cls=alpaca,
            policy=WatchPolicy(initial_delay=0, poll=0.02, again=0.02),
        )

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(self.at).replace(tzinfo=NEW_YORK)

    @property
    def inputs(self) -> RiskInputs:
        with self.lock:
            return self.watch.risk_inputs

    @contextmanager
    def started(self) -> Iterator[Run]:
        self.watch.start()
        try:
            yield self
        finally:
            self.watch.stop()

    def until(self, phase: RestPhase, *tasks: RestTask) -> None:
        wait_until(
            lambda: all(self.watch.account_state.reports[task].phase is phase for task in tasks),
            saw=lambda: self.watch.account_state.reports,
        )


def read_times(inputs: RiskInputs) -> set[datetime]:
    """When dividends and closes were read."""
    return {one.read_at for one in inputs.actions.values()} | {one.read_at for one in inputs.closes.values()}


def test_shares_are_those_that_are_streamed_and_what_contracts_are_written_on():
    config = LiveStreamConfig(
        stocks=("AAPL",),
        option_contracts=("BRKB261218C00500000", INDEX_PUT, "AAPL1261218C00180000"),
        crypto=("BTC/USD",),
    )

    assert shares_of(config) == ("AAPL", "BRK.B")


def test_before_start_nothing_is_asked_and_nothing_is_known():
    alpaca = Alpaca()

    assert Run(alpaca).inputs == RiskInputs()
    assert alpaca.questions == []


def test_after_start_each_share_has_its_dividends_and_closes_with_the_time_at_which_they_were_read():
    with Run(Alpaca()).started() as run:
        run.until(RestPhase.DONE, *TASKS)
        inputs = run.inputs

    assert inputs.actions.keys() == {"AAPL", "MSFT"}
    assert inputs.actions["MSFT"].dividends == (Dividend("MSFT", date(2026, 12, 2), 0.91),)
    assert inputs.actions["AAPL"].dividends == ()
    assert inputs.actions["AAPL"].read_at == run.now
    assert inputs.closes.keys() == {"SPY", "AAPL", "MSFT"}
    assert list(inputs.closes["SPY"].closes.values()) == [118.0, 119.0]
    assert inputs.closes["SPY"].read_at == run.now


def test_they_are_asked_once_and_again_the_next_day():
    with Run(Alpaca()).started() as run:
        run.until(RestPhase.DONE, *TASKS)
        run.at = "2026-11-21 00:30"
        wait_until(lambda: read_times(run.inputs) == {run.now}, saw=lambda: run.inputs)

    assert run.alpaca.questions == [(ACTIONS, "AAPL,MSFT"), (BARS, "SPY,AAPL,MSFT")] * 2


def test_a_question_that_fails_leaves_the_other_its_answer_and_is_asked_again():
    alpaca = Alpaca()
    alpaca.refuses = ACTIONS
    with Run(alpaca).started() as run:
        run.until(RestPhase.FAILED, RestTask.DIVIDENDS)
        run.until(RestPhase.DONE, RestTask.CLOSES)
        # Not read is not the same as nothing announced.
        assert run.inputs.actions == {}
        assert run.watch.account_state.reports[RestTask.DIVIDENDS].problem == "Alpaca does not say."
        alpaca.refuses = None
        run.until(RestPhase.DONE, RestTask.DIVIDENDS)

    assert run.inputs.actions.keys() == {"AAPL", "MSFT"}
    assert [path for path, _ in alpaca.questions].count(BARS) == 1


def test_a_recording_that_has_none_leaves_dividends_unknown_and_is_not_asked_again():
    alpaca = Alpaca()
    alpaca.refuses, alpaca.status = ACTIONS, 404
    with Run(alpaca).started() as run:
        run.until(RestPhase.DONE, *TASKS)
        run.at = "2026-11-21 00:30"
        wait_until(lambda: run.inputs.closes["SPY"].read_at == run.now, saw=lambda: run.inputs)

    assert run.inputs.actions == {}
    assert run.watch.account_state.reports[RestTask.DIVIDENDS].problem is None
    assert [path for path, _ in alpaca.questions] == [ACTIONS, BARS] * 2


def test_of_new_symbols_only_the_new_ones_are_asked():
    with Run(Alpaca()).started() as run:
        run.until(RestPhase.DONE, *TASKS)
        run.watch.change_symbols(
            LiveStreamConfig(stocks=("MSFT", "NVDA"), option_contracts=(CALL,), stream_fills=False)
        )
        wait_until(lambda: "NVDA" in run.inputs.closes, saw=lambda: run.inputs)

    assert run.alpaca.questions[2:] == [(ACTIONS, "NVDA"), (BARS, "NVDA")]
    assert run.inputs.actions.keys() == {"AAPL", "MSFT", "NVDA"}


def test_of_an_index_the_bars_of_the_fund_are_asked_that_follows_it_and_no_dividends():
    config = LiveStreamConfig(
        option_contracts=("NDXP261218P20000000", "VIX261216C00020000"), stream_fills=False
    )
    with Run(Alpaca(), config).started() as run:
        run.until(RestPhase.DONE, RestTask.CLOSES)

    assert run.alpaca.questions == [(BARS, "SPY,QQQ")]


def test_an_index_that_no_fund_follows_has_nothing_to_be_asked():
    config = LiveStreamConfig(option_contracts=("VIX261216C00020000",), stream_fills=False)
    with Run(Alpaca(), config).started() as run:
        run.until(RestPhase.DONE, RestTask.PRICES)

    assert run.alpaca.questions == []
    assert run.watch.account_state.reports[RestTask.CLOSES].phase is RestPhase.OFF


def test_another_session_forgets_what_was_known_and_asks_anew():
    with Run(Alpaca()).started() as run:
        run.until(RestPhase.DONE, *TASKS)
        with run.lock:
            run.watch.forget()
            assert run.watch.risk_inputs == RiskInputs()
        wait_until(lambda: "SPY" in run.inputs.closes and run.inputs.actions, saw=lambda: run.inputs)


def test_who_never_answers_delays_no_stop():
    alpaca = Alpaca(mute=True)
    run = Run(alpaca)
    with run.started():
        wait_until(alpaca.is_asked.is_set)
        with at_once():
            run.watch.stop()

    assert run.inputs.closes == {}


def test_the_vendors_greeks_come_with_the_prices_and_no_further_request():
    with Run(Alpaca()).started() as run:
        run.until(RestPhase.DONE, RestTask.PRICES)
        greeks = run.inputs.vendor_greeks

    assert greeks.keys() == {CALL}
    assert (greeks[CALL].implied_volatility, greeks[CALL].delta, greeks[CALL].theta) == (0.22, 0.4, None)
    assert greeks[CALL].read_at == run.now
