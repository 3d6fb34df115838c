"""The options around the money are asked for again and again, and never more than a share of a minute's requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.account_watch import AccountWatch
from options_helper.data.streaming.polling.chain_course import (
    INDEX_EXPIRIES_A_LOOK,
    PARTNERS_AT_MOST,
)
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.errors import RestError, RestStopped
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.events import RestQuote
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.streams import StreamName
from tests.kit.builders import nanoseconds
from tests.kit.fakes import SETTINGS
from tests.kit.waiting import FOREVER, at_once, wait_until

INDEX_PUT, CALL = "SPXW261218P06500000", "MSFT261218C00480000"
AT = "2026-11-20 10:00"
QUOTED = {"latestQuote": {"t": "2026-11-20T15:00:00Z", "bp": 9.9, "ap": 10.1, "bs": 1, "as": 1}}


def config_of(*contracts: str, feed: str = "indicative") -> LiveStreamConfig:
    return LiveStreamConfig(option_contracts=contracts, stream_fills=False, options_feed=feed)


class Alpaca:
    """Whom to ask: each chain is three strikes around what it is asked for."""

    def __init__(self, *, mute: bool = False) -> None:
        self.chains: list[tuple[str, Mapping[str, Any]]] = []
        self.snapshots: list[tuple[str, ...]] = []
        self.shares: list[tuple[str, ...]] = []
        self.status: int | None = None
        self.quoted = QUOTED
        self._mute = mute
        self._stopped = threading.Event()
        self.is_asked = threading.Event()

    def __call__(self, *_: Any, **__: Any) -> Alpaca:
        return self

    def option_chain(self, underlying: str, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """Both types at three strikes, in one class."""
        self.chains.append((underlying, query))
        self.is_asked.set()
        if self._mute:
            self._stopped.wait(FOREVER)
            raise RestStopped
        if self.status is not None:
            raise RestError("Alpaca does not say.", status=self.status)
        day = datetime.fromisoformat(query["expiration_date"])
        root = "SPXW" if underlying == "SPX" else underlying
        strikes = (6600, 6700, 6800) if underlying == "SPX" else (490, 500, 510)
        yield {f"{root}{day:%y%m%d}{kind}{strike:05d}000": self.quoted for kind in "CP" for strike in strikes}

    def option_snapshots(self, symbols: Sequence[str], _: str) -> dict[str, Any]:
        """Quotes of all."""
        self.snapshots.append(tuple(symbols))
        return dict.fromkeys(symbols, self.quoted)

    def stock_snapshots(self, symbols: Sequence[str], _: str) -> dict[str, Any]:
        """A bar of the day."""
        self.shares.append(tuple(symbols))
        return {one: {"dailyBar": {"t": "2026-11-20T05:00:00Z", "c": 498.5}} for one in symbols}

    def data_pages(self, *_: Any) -> Iterator[dict[str, Any]]:
        """Nothing is announced."""
        yield {}

    def calendar(self, *_: Any) -> list[Any]:
        """It keeps none."""
        return []

    def stop(self) -> None:
        """End what is being asked."""
        self._stopped.set()


class Run:
    """A run at a moment, in which MSFT costs 500."""

    def __init__(
        self, alpaca: Alpaca, *contracts: str, at: str = AT, closed: float = FOREVER, **config: Any
    ) -> None:
        self.alpaca = alpaca
        self.lock = threading.Lock()
        self.now = datetime.fromisoformat(at).replace(tzinfo=NEW_YORK)
        state = LiveState(fills_cache_size=1)
        now_ns = nanoseconds(self.now)
        share = RestQuote(
            symbol="MSFT", timestamp=now_ns, received_ns=now_ns, bid_price=499.99, ask_price=500.01
        )
        state.seed(StreamName.STOCKS, [share], now_ns)
        self.watch = AccountWatch(
            config_of(*contracts, **config),
            SETTINGS,
            state,
            lock=self.lock,
            now_ns=lambda: now_ns,
            rest_cls=alpaca,
            policy=WatchPolicy(initial_delay=0, poll=0.02, again=0.02, chains=0.01, closed=closed),
        )

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

    def until_asked(self, times: int) -> list[tuple[str, Mapping[str, Any]]]:
        wait_until(lambda: len(self.alpaca.chains) >= times, saw=lambda: self.alpaca.chains)
        return self.alpaca.chains[:times]


def test_the_chain_of_an_index_is_read_at_all_strikes_and_then_near_the_money():
    with Run(Alpaca(), INDEX_PUT).started() as run:
        first, second = run.until_asked(2)
        wait_until(lambda: bool(run.inputs.chains), saw=lambda: run.inputs)
        (chain,) = run.inputs.chains.values()

    assert first == ("SPX", {"feed": "indicative", "expiration_date": "2026-12-18"})
    assert float(second[1]["strike_price_gte"]) == pytest.approx(6600 * 0.98)
    assert (chain.underlying, chain.read_at, chain.spot) == ("SPX", run.now, None)
    assert len(chain.quotes) == 6
    assert run.inputs.chains.keys() == {"SPXW261218"}


@pytest.mark.parametrize("made", ["2026-11-20T21:20:00Z", "2026-11-21T13:00:00Z"])
def test_what_is_left_standing_after_the_session_takes_the_place_of_no_quote_of_it(made: str):
    """Of a chain and of partners: at night they are asked for as by day, and an index has no other price."""
    alpaca = Alpaca()
    alpaca.quoted = {"latestQuote": {**QUOTED["latestQuote"], "t": "2026-11-20T20:59:59Z"}}
    with Run(alpaca, INDEX_PUT, CALL, at="2026-11-21 09:00", closed=0.01).started() as run:
        wait_until(lambda: bool(run.inputs.partners), saw=lambda: run.inputs)
        alpaca.quoted = {"latestQuote": {"t": made, "bp": 0.05, "ap": 40.0, "bs": 1, "as": 1}}
        asked = len(alpaca.snapshots)
        wait_until(lambda: len(alpaca.snapshots) >= asked + 3, saw=lambda: alpaca.snapshots)
        inputs = run.inputs

    quotes = [
        *inputs.partners.values(),
        *(one for chain in inputs.chains.values() for one in chain.quotes.values()),
    ]
    assert {name.partition("2")[0] for name in (one.symbol for one in quotes)} == {"SPXW", "MSFT"}
    assert {one.bid_price for one in quotes} == {9.9}


def test_the_chain_of_a_share_has_its_quote_of_that_moment():
    with Run(Alpaca(), CALL).started() as run:
        wait_until(lambda: bool(run.inputs.chains), saw=lambda: run.inputs)
        (chain,) = run.inputs.chains.values()

    assert chain.spot is not None
    assert chain.spot.bid_price == 499.99
    assert run.alpaca.chains[0][1]["strike_price_lte"] == "525.000"


def test_a_leg_in_the_money_has_the_quote_of_the_other_type_beside_it():
    """One out of the money says its volatility itself."""
    with Run(Alpaca(), CALL, "MSFT261218C00520000").started() as run:
        wait_until(lambda: bool(run.inputs.partners), saw=lambda: run.inputs)

    assert run.inputs.partners.keys() == {"MSFT261218P00480000"}


def test_of_many_only_so_many_are_asked_in_one_look_and_each_has_its_turn():
    days = [date(2026, 11, 23) + timedelta(days=one) for one in range(14)]
    indices = [f"SPXW{day:%y%m%d}P06500000" for day in days]
    partners = [f"MSFT261218C{strike:05d}000" for strike in range(100, 400)]
    with Run(Alpaca(), *indices, *partners).started() as run:
        asked = run.until_asked(4 * INDEX_EXPIRIES_A_LOOK)
        wait_until(lambda: bool(run.inputs.partners), saw=lambda: len(run.alpaca.snapshots))

    names = [name for name, _ in asked]
    assert names[: INDEX_EXPIRIES_A_LOOK + 1] == ["SPX"] * INDEX_EXPIRIES_A_LOOK + ["MSFT"]
    assert {query["expiration_date"] for name, query in asked if name == "SPX"} == {
        f"{day:%Y-%m-%d}" for day in days
    }
    assert len(run.inputs.partners) == PARTNERS_AT_MOST


def test_what_is_held_no_longer_is_forgotten():
    with Run(Alpaca(), INDEX_PUT, CALL).started() as run:
        wait_until(lambda: len(run.inputs.chains) == 2, saw=lambda: run.inputs)
        run.watch.change_symbols(config_of(INDEX_PUT))
        wait_until(lambda: run.inputs.chains.keys() == {"SPXW261218"}, saw=lambda: run.inputs)


def test_a_refusal_is_said_and_it_is_asked_again():
    alpaca = Alpaca()
    alpaca.status = 403
    with Run(alpaca, INDEX_PUT).started() as run:
        reports = run.watch.account_state.reports
        wait_until(
            lambda: run.watch.account_state.reports[RestTask.CHAINS].phase is RestPhase.FAILED,
            saw=reports.get,
        )
        assert run.watch.account_state.reports[RestTask.CHAINS].problem == "Alpaca does not say."
        alpaca.status = None
        wait_until(lambda: bool(run.inputs.chains), saw=lambda: run.inputs)


def test_while_the_market_is_closed_one_look_is_enough():
    with Run(Alpaca(), INDEX_PUT, at="2026-11-21 10:00").started() as run:
        wait_until(
            lambda: run.watch.account_state.reports[RestTask.CHAINS].phase is RestPhase.DONE,
            saw=lambda: run.watch.account_state.reports,
        )
        with run.lock:
            assert len(run.alpaca.chains) == 1


@pytest.mark.parametrize("contracts", [(), ("MSFT1261218C00480000",)])
def test_nothing_is_asked_where_nothing_would_be_said(contracts: tuple[str, ...]):
    with Run(Alpaca(), *contracts).started() as run:
        pass

    assert run.alpaca.chains == []


def test_a_stop_does_not_wait_for_an_answer():
    alpaca = Alpaca(mute=True)
    run = Run(alpaca, INDEX_PUT)
    with run.started():
        wait_until(alpaca.is_asked.is_set)
        with at_once():
            run.watch.stop()


def test_another_session_forgets_what_was_asked_for_in_the_one_before():
    with Run(Alpaca(), INDEX_PUT).started() as run:
        run.until_asked(2)
        with run.lock:
            run.watch.forget()
            assert run.watch.risk_inputs == RiskInputs()
        wait_until(lambda: bool(run.inputs.chains), saw=lambda: run.inputs)


def test_after_the_close_the_price_of_the_close_is_asked_for_once():
    """In the session it would be a price of now."""
    with Run(Alpaca(), CALL).started() as run:
        run.until_asked(2)
        assert run.alpaca.shares == []
    with Run(Alpaca(), CALL, at="2026-11-20 16:00:30").started() as run:
        run.until_asked(3)
        close = run.inputs.session_closes["MSFT", date(2026, 11, 20)]

    assert (close.day, close.price, close.read_at) == (date(2026, 11, 20), 498.5, run.now)
    assert run.alpaca.shares == [("MSFT",)]
