"""Callbacks beside a manager's streams: who is told, in which order, and that nobody holds up anybody."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import pytest

from options_helper.data.streaming.engine.stream_group import StreamGroup
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.model.callbacks import CallbackStats
from options_helper.model.events import (
    Bar,
    DailyBar,
    LimitBand,
    Quote,
    Trade,
    TradeCancel,
    TradeCorrection,
    TradingStatus,
    UpdatedBar,
)
from options_helper.model.gaps import Gap
from options_helper.model.snapshot import Phase
from tests.kit.fakes import (
    CONFIG,
    SETTINGS,
    ScriptedStreams,
    acknowledge,
    deliver,
    fail,
    frame,
    quote_message,
    running_manager,
    trade_message,
    wait_for,
)
from tests.kit.waiting import AT_ONCE, FOREVER, at_once, until_no_thread, wait_until

BAR = {"S": "AAPL", "o": 1.0, "h": 2.0, "l": 0.5, "c": 1.5, "v": 10}
FILL = b'{"stream":"trade_updates","data":{"event":"fill","order":{"id":"1","symbol":"AAPL","qty":"1"}}}'


class Stocks:
    """A stock stream to which a test sends when it likes."""

    def __init__(self) -> None:
        self.streams = ScriptedStreams()

    def send(self, *messages: dict[str, Any]) -> None:
        deliver(frame(*messages))(self.streams.made[-1])


@pytest.fixture
def stocks() -> Stocks:
    return Stocks()


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What a stuck callback of a test waits for; the test's end lets it go."""
    event = threading.Event()
    yield event
    event.set()
    until_no_thread("live-callbacks")


@pytest.fixture
def manager(stocks: Stocks, release: threading.Event) -> Iterator[LiveStreamManager]:
    with running_manager(stocks=stocks.streams) as manager:
        wait_until(lambda: stocks.streams.made)
        yield manager
    assert manager.snapshot().callbacks.accounted
    assert manager.snapshot().callbacks.pending == 0


def quotes(*symbols: str) -> list[dict[str, Any]]:
    return [quote_message(symbol) for symbol in symbols]


def test_each_kind_goes_to_its_own_callbacks(manager: LiveStreamManager, stocks: Stocks):
    told: list[Any] = []

    def note(kind: str, value: Any) -> None:
        told.append((kind, type(value)))

    kinds = ("quote", "trade", "bar", "updated_bar", "daily_bar", "status", "luld", "correction", "cancel")
    for kind in kinds:
        manager.on(kind, "AAPL", partial(note, kind))

    stocks.send(
        quote_message("AAPL"),
        trade_message("AAPL"),
        *({"T": tag, **BAR} for tag in "bud"),
        *({"T": tag, "S": "AAPL"} for tag in "slcx"),
    )

    wait_until(lambda: len(told) == 9)
    assert told == list(
        zip(
            kinds,
            (Quote, Trade, Bar, UpdatedBar, DailyBar, TradingStatus, LimitBand, TradeCorrection, TradeCancel),
            strict=True,
        )
    )


def test_of_three_symbols_with_two_callbacks_each_the_failing_one_costs_only_itself(
    manager: LiveStreamManager, stocks: Stocks, caplog: pytest.LogCaptureFixture
):
    """One of the usage examples of a service of this kind."""
    seen: dict[str, list[str]] = {}

    def broken(_: Quote) -> None:
        raise ValueError("a bug of the user's")

    good = [
        manager.on_quote(symbol, lambda quote: seen.setdefault(quote.symbol, []).append(quote.symbol))
        for symbol in ("AAPL", "MSFT", "TSLA")
    ]
    others = [manager.on_quote(symbol, lambda _: None) for symbol in ("AAPL", "TSLA")]
    failing = manager.on_quote("MSFT", broken)

    stocks.send(*quotes("AAPL", "MSFT", "TSLA") * 5)

    wait_until(lambda: manager.snapshot().callbacks.pending == 0 and failing.stats.failed == 5)
    assert {symbol: len(of) for symbol, of in seen.items()} == {"AAPL": 5, "MSFT": 5, "TSLA": 5}
    assert [handle.stats.delivered for handle in (*good, *others)] == [5] * 5
    assert failing.stats == CallbackStats(
        offered=5, failed=5, slowest=failing.stats.slowest, last_error="ValueError: a bug of the user's"
    )
    assert manager.snapshot().callbacks.offered == 30
    assert len([record for record in caplog.records if "broken" in record.getMessage()]) == 1


def test_plain_functions_are_called_in_the_order_of_the_events_whatever_their_kind(
    manager: LiveStreamManager, stocks: Stocks
):
    order: list[str] = []
    manager.on_quote(None, lambda _: order.append("q"))
    manager.on_trade(None, lambda _: order.append("t"))

    stocks.send(*[trade_message("AAPL"), quote_message("AAPL")] * 20)

    wait_until(lambda: len(order) == 40)
    assert "".join(order) == "tq" * 20


def test_each_callback_gets_everything_in_order_whether_it_is_awaited_or_not(
    manager: LiveStreamManager, stocks: Stocks
):
    plain: list[float] = []
    awaited: list[float] = []

    async def slowly(quote: Quote) -> None:
        await asyncio.sleep(0)
        awaited.append(quote.bid_price or 0)

    manager.on_quote("AAPL", lambda quote: plain.append(quote.bid_price))
    manager.on_quote("AAPL", slowly)

    for number in range(10):
        stocks.send(*(quote_message("AAPL", number * 10 + place) for place in range(10)))

    wait_until(lambda: len(plain) == len(awaited) == 100)
    assert plain == awaited == list(range(100))


def test_a_removed_callback_is_called_no_more(manager: LiveStreamManager, stocks: Stocks):
    kept: list[Quote] = []
    removed: list[Quote] = []
    manager.on_quote("AAPL", kept.append)
    with manager.on_quote("aapl ", removed.append) as handle:
        stocks.send(*quotes("AAPL"))
        wait_until(lambda: kept and removed)

    stocks.send(*quotes("AAPL"))

    wait_until(lambda: len(kept) == 2)
    assert len(removed) == 1
    assert (handle.stats.offered, handle.stats.delivered) == (1, 1)
    assert manager.snapshot().callbacks.offered == 3, "what was removed still counts"


def test_all_callbacks_of_a_symbol_go_at_once(manager: LiveStreamManager, stocks: Stocks):
    kept: list[Quote] = []
    manager.on_quote("AAPL", kept.append)
    manager.on_quote("AAPL", kept.append)
    manager.on_trade("AAPL", kept.append)
    manager.on_quote(None, kept.append)

    assert manager.remove_callbacks("AAPL") == 3

    stocks.send(*quotes("AAPL"), trade_message("AAPL"))
    wait_until(lambda: kept)
    assert manager.remove_callbacks(None) == 1
    assert manager.remove_callbacks("AAPL") == 0


def blocks(_: Any, *, until: threading.Event) -> None:
    until.wait(FOREVER)


async def blocks_the_loop(_: Any, *, until: threading.Event) -> None:
    until.wait(FOREVER)


async def hangs(_: Any, *, until: threading.Event) -> None:
    await asyncio.sleep(FOREVER)


def test_stuck_callbacks_hold_up_nobody_else_and_no_stop(
    manager: LiveStreamManager, stocks: Stocks, release: threading.Event
):
    called: list[str] = []
    awaited: list[str] = []

    async def awaiting(quote: Quote) -> None:
        await asyncio.sleep(0)
        awaited.append(quote.symbol)

    stuck = [
        manager.on_quote(None, partial(way, until=release))
        for way in (blocks, blocks_the_loop, hangs, blocks)
    ]
    manager.on_quote("MSFT", lambda quote: called.append(quote.symbol))
    manager.on_quote("MSFT", awaiting)

    for _ in range(5):
        stocks.send(*quotes("MSFT", "AAPL", "MSFT"))

    wait_until(lambda: len(called) == len(awaited) == 10)
    assert manager.snapshot().streams["stocks"].applied == 15
    assert [handle.stats.pending for handle in stuck] == [15] * 4
    with at_once():
        manager.stop()
    assert [handle.stats.given_up for handle in stuck] == [15] * 4
    assert all(handle.stats.accounted for handle in stuck)


def test_of_one_object_s_coroutines_a_blocking_one_holds_up_the_others_for_a_moment_only(
    manager: LiveStreamManager, stocks: Stocks, release: threading.Event
):
    """They share an event loop; the one that blocks it keeps it, and the others go on on another."""

    class Bot:
        def __init__(self) -> None:
            self.seen: list[str] = []

        async def on_quote(self, quote: Quote) -> None:
            if quote.symbol == "AAPL":
                release.wait(FOREVER)
            self.seen.append(quote.symbol)

    bot = Bot()
    manager.on_quote("AAPL", bot.on_quote)
    manager.on_quote("MSFT", bot.on_quote)

    stocks.send(*quotes("AAPL", "MSFT"))

    wait_until(lambda: bot.seen == ["MSFT"])
    stocks.send(*quotes("MSFT"))
    wait_until(lambda: bot.seen == ["MSFT", "MSFT"])
    release.set()


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("way", ["called", "awaited"])
def test_whatever_a_callback_raises_is_counted_and_the_next_one_is_called(
    manager: LiveStreamManager, stocks: Stocks, error: type[BaseException], way: str
):
    def raises(_: Quote) -> None:
        raise error

    async def raises_later(_: Quote) -> None:
        await asyncio.sleep(0)
        raise error

    handle = manager.on_quote(None, raises_later if way == "awaited" else raises)

    stocks.send(*quotes("AAPL", "MSFT"))
    wait_until(lambda: handle.stats.failed == 2)
    stocks.send(*quotes("TSLA"))
    wait_until(lambda: handle.stats.failed == 3)
    assert handle.stats.last_error == f"{error.__name__}: "


def test_a_task_of_a_callback_that_wants_to_end_the_program_ends_only_itself(
    manager: LiveStreamManager, stocks: Stocks, caplog: pytest.LogCaptureFixture
):
    started: list[asyncio.Task[None]] = []
    seen: list[Quote] = []

    async def leave() -> None:
        raise SystemExit

    async def starts(quote: Quote) -> None:
        if not started:
            started.append(asyncio.get_running_loop().create_task(leave()))
        seen.append(quote)

    manager.on_quote("AAPL", starts)
    stocks.send(*quotes("AAPL"))
    wait_until(lambda: started and started[0].done())

    stocks.send(*quotes("AAPL"))

    wait_until(lambda: len(seen) == 2)
    assert "something that a callback started raised an error" in caplog.text
    assert isinstance(started[0].exception(), SystemExit)


def test_a_callback_that_cancels_its_own_task_fails_and_is_called_again(
    manager: LiveStreamManager, stocks: Stocks
):
    seen: list[Quote] = []

    async def cancels(quote: Quote) -> None:
        seen.append(quote)
        if len(seen) == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    handle = manager.on_quote("AAPL", cancels)

    stocks.send(*quotes("AAPL") * 3)

    wait_until(lambda: handle.stats.pending == 0 and len(seen) == 3)
    assert (handle.stats.failed, handle.stats.delivered) == (1, 2)


def test_a_plain_function_that_returns_something_to_await_is_awaited_in_order(
    manager: LiveStreamManager, stocks: Stocks
):
    seen: list[float] = []

    async def note(number: float) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    handle = manager.on_quote("AAPL", lambda quote: note(quote.bid_price))

    stocks.send(*(quote_message("AAPL", number) for number in range(50)))

    wait_until(lambda: handle.stats.delivered == 50)
    assert seen == list(range(50))


def test_the_coroutines_of_one_object_share_an_event_loop(manager: LiveStreamManager, stocks: Stocks):
    class Bot:
        def __init__(self) -> None:
            self.loops: set[asyncio.AbstractEventLoop] = set()

        async def on_quote(self, _: Quote) -> None:
            self.loops.add(asyncio.get_running_loop())

        async def on_trade(self, _: Trade) -> None:
            self.loops.add(asyncio.get_running_loop())

    bot = Bot()
    first, second = manager.on_quote(None, bot.on_quote), manager.on_trade(None, bot.on_trade)

    stocks.send(*quotes("AAPL"), trade_message("AAPL"))

    wait_until(lambda: first.stats.delivered and second.stats.delivered)
    assert len(bot.loops) == 1


def test_a_full_queue_gives_up_what_does_not_fit(
    manager: LiveStreamManager, stocks: Stocks, release: threading.Event
):
    handle = manager.on_quote("AAPL", partial(blocks, until=release), queue_size=10)

    stocks.send(*quotes("AAPL"))
    wait_until(lambda: handle.stats.slowest > 0)
    stocks.send(*quotes("AAPL") * 30)

    wait_until(lambda: handle.stats.offered == 31)
    assert (handle.stats.given_up, handle.stats.pending) == (20, 11)
    release.set()
    wait_until(lambda: handle.stats.delivered == 11)


def test_newest_skips_what_is_old_by_the_time_it_is_looked_at(
    manager: LiveStreamManager, stocks: Stocks, release: threading.Event
):
    seen: list[tuple[str, float]] = []

    def slow(quote: Quote) -> None:
        seen.append((quote.symbol, quote.bid_price or 0))
        release.wait(AT_ONCE)

    handle = manager.on_quote(None, slow, newest=True)
    stocks.send(quote_message("AAPL", 1))
    wait_until(lambda: seen)
    stocks.send(*(quote_message(symbol, bid) for bid in range(2, 10) for symbol in ("AAPL", "MSFT")))
    wait_until(lambda: handle.stats.offered == 17)

    release.set()

    wait_until(lambda: handle.stats.pending == 0)
    assert seen == [("AAPL", 1), ("AAPL", 9), ("MSFT", 9)]
    assert (handle.stats.delivered, handle.stats.given_up) == (3, 14)


@pytest.mark.parametrize("way", ["called", "awaited"])
def test_a_callback_may_stop_the_manager_it_is_called_by(stocks: Stocks, way: str):
    """One of the usage examples of a service of this kind."""
    stopped = threading.Event()

    def stop(manager: LiveStreamManager) -> None:
        with at_once():
            manager.stop()
        stopped.set()

    with running_manager(stocks=stocks.streams) as manager:
        wait_until(lambda: stocks.streams.made)

        async def stop_and_await(_: Quote) -> None:
            stop(manager)
            await asyncio.sleep(0)

        handle = manager.on_quote("AAPL", stop_and_await if way == "awaited" else lambda _: stop(manager))
        stocks.send(*quotes("AAPL") * 3)
        assert stopped.wait(AT_ONCE)
        wait_until(lambda: handle.stats.pending == 0)
        until_no_thread("live-")
    assert (handle.stats.delivered, handle.stats.given_up) == (1, 2)
    assert not manager.is_running()


def test_a_callback_may_restart_the_manager_and_is_called_by_the_new_run(stocks: Stocks):
    seen: list[Quote] = []
    with running_manager(stocks=stocks.streams) as manager:
        wait_until(lambda: stocks.streams.made)

        def restart(quote: Quote) -> None:
            seen.append(quote)
            if len(seen) == 1:
                manager.stop()
                manager.start(CONFIG)

        handle = manager.on_quote("AAPL", restart)
        stocks.send(*quotes("AAPL"))
        wait_until(lambda: len(stocks.streams.made) == 2)
        stocks.send(*quotes("AAPL"))
        wait_until(lambda: handle.stats.delivered == 2)


def test_callbacks_outlive_a_stop_and_a_reconnect(stocks: Stocks):
    seen: list[float] = []
    scripts = ScriptedStreams(
        [acknowledge(), deliver(frame(quote_message("AAPL", 1))), fail("lost")],
        [acknowledge(), deliver(frame(quote_message("AAPL", 2)))],
    )
    with running_manager(stocks=scripts) as manager:
        manager.on_quote("AAPL", lambda quote: seen.append(quote.bid_price))
        wait_until(lambda: 2 in seen)
        manager.stop()
        seen.clear()
        manager.start(CONFIG)
        wait_until(lambda: seen == [2])


def test_what_waits_at_a_stop_is_delivered_where_there_is_time(manager: LiveStreamManager, stocks: Stocks):
    seen: list[Quote] = []
    begun = threading.Event()

    def slow_at_first(quote: Quote) -> None:
        begun.set()
        if not seen:
            time.sleep(0.01)
        seen.append(quote)

    handle = manager.on_quote("AAPL", slow_at_first)
    stocks.send(*quotes("AAPL") * 100)
    assert begun.wait(AT_ONCE)

    manager.stop()

    assert handle.stats.offered == len(seen) + handle.stats.given_up == 100
    assert manager.snapshot().callbacks.accounted


def test_callbacks_may_register_and_remove_callbacks(manager: LiveStreamManager, stocks: Stocks):
    later: list[Quote] = []
    handles: list[Any] = []

    def once(_: Quote) -> None:
        handles[0].remove()
        manager.on_quote("AAPL", later.append)

    handles.append(manager.on_quote("AAPL", once))
    stocks.send(*quotes("AAPL"))
    wait_until(lambda: handles[0].stats.delivered == 1)

    stocks.send(*quotes("AAPL"))

    wait_until(lambda: later)
    assert handles[0].stats.offered == 1


def test_order_updates_reach_their_callbacks():
    seen: list[Any] = []
    fills = ScriptedStreams([acknowledge(), deliver(FILL)])

    with running_manager(fills=fills) as manager:
        manager.on_order_update("AAPL", seen.append)
        manager.stop()
        manager.start(CONFIG)
        wait_until(lambda: seen)

    assert (seen[0].event, seen[0].order_id) == ("fill", "1")


@pytest.mark.parametrize("is_behind", [False, True])
def test_ten_disconnects_are_ten_gaps_and_each_ends_before_what_follows_it(
    monkeypatch: pytest.MonkeyPatch, *, is_behind: bool
):
    """One of the usage examples of a service of this kind; among callbacks times tell the order, not threads.

    Nothing is lost either where the consumer is held up until all of it is over.
    """
    quotes: list[Quote] = []
    gaps: list[Gap] = []
    lives = [[acknowledge(), deliver(frame(quote_message("AAPL", bid))), fail("lost")] for bid in range(10)]
    go, going_on = threading.Event(), threading.Event()
    lives[0].insert(0, wait_for(go))
    stocks = ScriptedStreams(*lives, [acknowledge(), deliver(frame(quote_message("AAPL", 10)))])
    if is_behind:
        monkeypatch.setattr(StreamGroup, "load_calendar", lambda _: going_on.wait(FOREVER))

    with running_manager(stocks=stocks) as manager:
        handles = [manager.on_quote("AAPL", quotes.append), manager.on_gap("AAPL", gaps.append)]
        go.set()
        wait_until(lambda: manager.snapshot().streams["stocks"].received == 11)
        going_on.set()
        wait_until(lambda: len(quotes) == 11 and len(ended(gaps)) == 10, saw=lambda: (quotes, gaps))
        wait_until(lambda: all(handle.stats.accounted and not handle.stats.pending for handle in handles))

    assert [quote.bid_price for quote in quotes] == list(range(11))
    for gap, before, after in zip(ended(gaps), quotes, quotes[1:], strict=False):
        until_ns = gap.until_ns or 0
        assert before.received_ns <= gap.since_ns <= until_ns <= after.received_ns


def ended(gaps: Iterable[Gap]) -> list[Gap]:
    return [gap for gap in gaps if gap.until_ns is not None]


def test_phases_are_told_until_the_last_one():
    phases: list[tuple[str, Phase]] = []
    go = threading.Event()

    with running_manager(stocks=ScriptedStreams([wait_for(go), acknowledge()])) as manager:
        manager.on_health("AAPL", lambda health: phases.append((health.name, health.phase)))
        go.set()
        wait_until(lambda: ("stocks", Phase.LIVE) in phases or ("stocks", Phase.QUIET) in phases)
        manager.stop()

    assert phases[-1] == ("stocks", Phase.STOPPED)
    assert {name for name, _ in phases} == {"stocks"}


def test_who_registers_late_is_told_how_the_streams_are(manager: LiveStreamManager):
    wait_until(lambda: manager.snapshot().streams["stocks"].phase in (Phase.LIVE, Phase.QUIET))
    phases: list[tuple[str, Phase]] = []

    manager.on_health("AAPL", lambda health: phases.append((health.name, health.phase)))

    wait_until(lambda: phases)
    assert phases == [("stocks", manager.snapshot().streams["stocks"].phase)]


def test_who_registers_in_a_gap_is_told_of_it_and_when_it_is_over():
    go = threading.Event()
    stocks = ScriptedStreams([acknowledge(), fail("lost")], [wait_for(go), acknowledge()])
    gaps: list[Any] = []

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: manager.snapshot().streams["stocks"].gaps)
        manager.on_gap("AAPL", gaps.append)
        wait_until(lambda: gaps)
        go.set()
        wait_until(lambda: len(gaps) == 2)

    assert [gap.until_ns is None for gap in gaps] == [True, False]
    assert gaps[0].since_ns == gaps[1].since_ns


def test_who_registers_when_a_gap_is_over_is_not_told_of_it():
    """Nobody looked for news until then: how things stand is told, and not how they came to be so."""
    stocks = ScriptedStreams([acknowledge(), fail("lost")], [acknowledge()])
    gaps: list[Any] = []
    phases: list[Phase] = []

    with running_manager(stocks=stocks) as manager:
        wait_until(lambda: manager.snapshot().streams["stocks"].connections == 2)
        manager.on_gap("AAPL", gaps.append)
        manager.on_health("AAPL", lambda health: phases.append(health.phase))
        wait_until(lambda: phases)

    assert gaps == []


def test_what_is_no_callback_is_refused_when_it_is_registered():
    manager = LiveStreamManager(SETTINGS)

    with pytest.raises(TypeError, match="cannot be called"):
        manager.on_quote("AAPL", [])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="choose one of quote, trade"):
        manager.on("quotes", "AAPL", print)
    assert manager.snapshot().callbacks == CallbackStats()


def test_the_law_holds_at_every_look_while_events_stream(manager: LiveStreamManager, stocks: Stocks):
    async def awaiting(_: Quote) -> None:
        await asyncio.sleep(0)

    handles = [manager.on_quote(None, lambda _: None), manager.on_quote("AAPL", awaiting, queue_size=5)]
    for _ in range(40):
        stocks.send(*quotes("AAPL") * 20)
        snapshot = manager.snapshot()
        assert snapshot.callbacks.accounted
        assert all(handle.stats.accounted for handle in handles)

    wait_until(lambda: manager.snapshot().callbacks.pending == 0 and handles[0].stats.offered == 800)
