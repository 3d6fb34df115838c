"""Hand-made moments of a live portfolio, and a manager that shows them: what the page can meet, without a market."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from options_helper.analysis.reconcile.file_edits import lots_by_symbol
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.model.account import (
    AccountPosition,
    AccountPositions,
    AccountState,
    Execution,
    ExecutionKind,
    PreviousClose,
    RestPhase,
    RestReport,
    RestTask,
    Source,
)
from options_helper.model.announcement import MarketKind
from options_helper.model.events import Quote, Trade
from options_helper.model.order_updates import BlotterEntry
from options_helper.model.portfolio import Portfolio, load_portfolio
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.streams import StreamName
from options_helper.settings import Settings
from tests.kit.builders import gap, health, is_contract, nanoseconds, quote, snapshot_with, trade

SAMPLE = Path(__file__).parents[2] / "portfolio.json"
# A Friday on which a contract of the sample expires, 10:32 in New York: the market is open.
OPEN = datetime(2026, 11, 20, 15, 32, 4, tzinfo=UTC)
THURSDAY = date(2026, 11, 19)
CLOSED = datetime(2026, 11, 21, 15, 32, 4, tzinfo=UTC)


class ShowingManager:
    """Shows the scene it was given and keeps account of what it was told.

    A scene in which no simulator has announced itself is of the market that the settings lead to.
    """

    def __init__(self, scene: Callable[[], LiveSnapshot], market: MarketKind = MarketKind.ALPACA) -> None:
        self._scene = scene
        self._market = market
        self.runs: list[LiveStreamConfig] = []
        self.config: LiveStreamConfig | None = None

    def start(self, config: LiveStreamConfig) -> None:
        """Begin a run, or change the symbols of the present one."""
        if self.config is None or self.config.without_symbols() != config.without_symbols():
            self.runs.append(config)
        self.config = config

    def stop(self) -> None:
        """End the run."""
        self.config = None

    def is_running(self) -> bool:
        """Whether a run is on."""
        return self.config is not None

    def snapshot(self) -> LiveSnapshot:
        """The scene; after a stop, its end."""
        scene = self._scene()
        if not scene.market.plays:
            scene = replace(scene, market=self._market)
        if self.is_running():
            return scene
        streams = {
            name: replace(given, phase=Phase.STOPPED, alive=False) for name, given in scene.streams.items()
        }
        return replace(scene, running=False, streams=MappingProxyType(streams))


def prices(portfolio: Portfolio, *, as_of: datetime, age: float = 0.4, step: int = 0) -> list[Quote | Trade]:
    """A quote for every contract and share; each step moves them by a cent or two."""
    events: list[Quote | Trade] = []
    for index, item in enumerate(dict.fromkeys(portfolio.instruments)):
        # A call is worth less with each strike and a put more, so that a structure is worth what it can be.
        rise = 0.02 * (-1 if item.option_type == "call" else 1) * (item.strike or 0.0)
        base = 20.0 + rise if item.is_option else 500.0 + index * 1.37
        middle = base + 0.01 * ((step * (index + 1)) % 29)
        half = 0.02 + 0.01 * (index % 4)
        events.append(
            quote(
                item.live_symbol,
                round(middle - half, 2),
                round(middle + half, 2),
                age=age + index % 3,
                as_of=as_of,
            )
        )
        if not item.is_option or index % 2:
            events.append(trade(item.live_symbol, round(middle, 2), age=age + 20, as_of=as_of))
    events.extend(
        quote(symbol, 680.1, 680.12, age=age, as_of=as_of)
        for symbol in dict.fromkeys(item.underlying for item in portfolio.instruments if item.is_option)
    )
    return events


def fill(number: int = 1, *, at: datetime | None = OPEN, **facts: Any) -> BlotterEntry:
    """One execution, as the blotter has it."""
    entry = BlotterEntry(
        timestamp_ns=None if at is None else nanoseconds(at) + number,
        received_at=at,
        day=OPEN.date(),
        event="fill",
        order_id=f"order-{number}",
        execution_id=f"execution-{number}",
        identity=f"execution-{number}",
        symbol="AAPL270115C00275000",
        side="buy",
        qty=Decimal(1),
        filled_qty=Decimal(1),
        filled_avg_price=Decimal("9.15"),
        status="filled",
        price=Decimal("9.15"),
        fill_qty=Decimal(1),
        order_type="limit",
        tif="day",
        limit_price=Decimal("9.20"),
        position_qty=Decimal(4),
        source=Source.STREAM,
    )
    return replace(entry, **facts)


def backfilled(number: int = 1, **facts: Any) -> BlotterEntry:
    """One execution that only REST reported."""
    return fill(number, **{"source": Source.REST, **facts})


def gone(event: str = "expiry", number: int = 1, **facts: Any) -> BlotterEntry:
    """What ends a contract without an order: it has a day and no time."""
    without_order = dict.fromkeys(("order_id", "side", "qty", "filled_qty", "filled_avg_price", "order_type"))
    reported = {"event": event, "at": None, "price": Decimal(0), "status": "executed", "fill_qty": Decimal(2)}
    return backfilled(number, **{**without_order, **reported, **facts})


def execution(symbol: str, quantity: int, price: str, *, at: datetime) -> Execution:
    """One change of one position today; a sale is negative."""
    return Execution(
        identity=f"{symbol} {quantity} {at}",
        kind=ExecutionKind.FILL,
        symbol=symbol,
        quantity=Decimal(quantity),
        price=Decimal(price),
        day=OPEN.date(),
        at_ns=nanoseconds(at),
        order_id=None,
        source=Source.REST,
    )


def known_account(
    book: Portfolio | None = None,
    *executions: Execution,
    closes_of: date = THURSDAY,
    without_close: Collection[str] = (),
    **facts: Any,
) -> AccountState:
    """An account that holds what the file holds and, on top, what these executions changed; all of it was read."""
    held = quantities(book or load_portfolio(SAMPLE))
    for done in executions:
        held[done.symbol] = held.get(done.symbol, Decimal(0)) + done.quantity
    reports = {task: RestReport(task, RestPhase.DONE, 15, None, OPEN) for task in RestTask}
    reports[RestTask.PRICES] = RestReport(RestTask.PRICES, RestPhase.DONE, 20, 20, OPEN)
    closes = {
        symbol: PreviousClose(symbol, Decimal(3 if is_contract(symbol) else 500), closes_of)
        for symbol in held
        if symbol not in without_close
    }
    return AccountState(
        **{
            "reports": MappingProxyType(reports),
            "view": AccountPositions(
                OPEN, {symbol: account_position(symbol, count) for symbol, count in held.items() if count}
            ),
            "closes": MappingProxyType(closes),
            "executions": executions,
            "executions_day": OPEN.date(),
            **facts,
        }
    )


def quantities(book: Portfolio) -> dict[str, Decimal]:
    """What a file holds of each symbol."""
    return {
        symbol: sum((lot.line.quantity for lot in lots), Decimal(0))
        for symbol, lots in lots_by_symbol(book).items()
    }


def account_position(symbol: str, quantity: Decimal) -> AccountPosition:
    """A position whose cost and value the account does not say."""
    nothing: dict[str, Any] = dict.fromkeys(field.name for field in fields(AccountPosition))
    return AccountPosition(
        **{**nothing, "symbol": symbol, "quantity": quantity, "is_option": is_contract(symbol)}
    )


def account_with(task: RestTask, phase: RestPhase, **facts: Any) -> AccountState:
    """An account of which nothing is known, with one task under way or failed."""
    reports = {name: RestReport(name, RestPhase.WAITING) for name in RestTask if name is not RestTask.NEWS}
    reports[RestTask.NEWS] = RestReport(RestTask.NEWS)
    reports[task] = RestReport(task, phase, **facts)
    return AccountState(reports=MappingProxyType(reports))


def live(
    portfolio: Portfolio | None = None, *, as_of: datetime = OPEN, step: int = 0, **facts: Any
) -> LiveSnapshot:
    """Every stream live, every leg priced."""
    book = portfolio or load_portfolio(SAMPLE)
    facts.setdefault("events", prices(book, as_of=as_of, step=step))
    counted: dict[str, Any] = {
        "received": 12_345 + step,
        "applied": 12_345 + step,
        "connections": 1,
        "events_per_second": 41.6,
    }
    requested = tuple(dict.fromkeys(item.live_symbol for item in book.instruments if item.is_option))
    streams = {
        StreamName.STOCKS: health(
            "stocks",
            feed="iex",
            requested=tuple(dict.fromkeys(i.underlying for i in book.instruments)),
            **counted,
        ),
        StreamName.OPTIONS: health("options", feed="indicative", requested=requested, **counted),
        StreamName.FILLS: health("fills", feed="paper"),
    }
    for name in (StreamName.STOCKS, StreamName.OPTIONS):
        since = as_of - timedelta(minutes=5)
        streams[name] = replace(
            streams[name], connected_since=since, last_event_at=as_of - timedelta(seconds=0.4)
        )
    streams |= {given.name: given for given in facts.pop("streams", ())}
    account = facts.pop("account", AccountState())
    shown = snapshot_with(*facts.pop("events"), as_of=as_of, streams=streams.values(), **facts)
    return replace(shown, account=account)


def with_account(*executions: Execution, **facts: Any) -> Callable[[], LiveSnapshot]:
    """The live scene beside an account that was read a minute ago, always the same one."""
    account = known_account(None, *executions, **facts)
    return lambda: live(account=account, as_of=OPEN + timedelta(minutes=1))


def with_costs() -> LiveSnapshot:
    """The same, and of each position the account says what it was opened for."""
    account = known_account()
    assert account.view is not None
    priced = {
        symbol: replace(one, average_price=Decimal(2)) for symbol, one in account.view.positions.items()
    }
    return live(account=replace(account, view=replace(account.view, positions=priced)))


def quiet() -> LiveSnapshot:
    """A Saturday: connected, and nothing is expected to move."""
    friday = OPEN + timedelta(hours=5.5)
    events = prices(load_portfolio(SAMPLE), as_of=friday)
    streams = [
        health(name, Phase.QUIET, feed=feed) for name, feed in (("stocks", "iex"), ("options", "indicative"))
    ]
    return live(as_of=CLOSED, events=events, streams=streams)


def reconnecting() -> LiveSnapshot:
    """The options stream was lost and tries again."""
    lost = health(
        "options",
        Phase.RECONNECTING,
        feed="indicative",
        last_error="connection limit exceeded: another program uses this account's one connection",
        reconnect_attempts=3,
        next_try_at=OPEN + timedelta(seconds=4),
        gaps=(gap("options", OPEN - timedelta(seconds=20), None, "connection limit exceeded"),),
        connections=1,
    )
    return live(events=prices(load_portfolio(SAMPLE), as_of=OPEN, age=20), streams=[lost])


def failed() -> LiveSnapshot:
    """Alpaca refuses the options feed for good."""
    refused = health(
        "options",
        Phase.FAILED,
        feed="opra",
        last_error="Alpaca refused the opra feed: insufficient subscription. Choose indicative, or check the plan.",
    )
    stocks_only = [event for event in prices(load_portfolio(SAMPLE), as_of=OPEN) if len(event.symbol) < 10]
    return live(events=stocks_only, streams=[refused])


def stalled() -> LiveSnapshot:
    """Connected, but nothing comes although the market is open."""
    silent = health(
        "options",
        Phase.STALLED,
        feed="indicative",
        connections=1,
        connected_since=OPEN - timedelta(minutes=5),
        last_event_at=OPEN - timedelta(seconds=70),
    )
    return live(streams=[silent])


def stale() -> LiveSnapshot:
    """Connected, but some quotes are old while the market is open."""
    events = prices(load_portfolio(SAMPLE), as_of=OPEN)
    old = [replace_age(event, 90) if index % 5 == 0 else event for index, event in enumerate(events)]
    return live(events=old)


def replace_age(event: Quote | Trade, seconds: float) -> Quote | Trade:
    """The same event, received longer ago."""
    if isinstance(event, Quote):
        return quote(event.symbol, event.bid_price, event.ask_price, age=seconds, as_of=OPEN)
    return event


def partial() -> LiveSnapshot:
    """One leg has no quote yet."""
    events = prices(load_portfolio(SAMPLE), as_of=OPEN)
    missing = next(event.symbol for event in events if len(event.symbol) > 10)
    return live(events=[event for event in events if event.symbol != missing])


def replay() -> LiveSnapshot:
    """Recorded data of a day in 2018."""
    day = datetime(2018, 1, 5, 15, 32, tzinfo=UTC)
    return live(as_of=day, market=MarketKind.REPLAY)


def simulated() -> LiveSnapshot:
    """The demo."""
    return live(market=MarketKind.SIMULATED, fills=[fill()])


def connecting(as_of: datetime = OPEN) -> LiveSnapshot:
    """The first second after Start."""
    streams = [
        health(name, Phase.CONNECTING, feed=feed)
        for name, feed in (("stocks", "iex"), ("options", "indicative"))
    ]
    return live(as_of=as_of, events=[], streams=[*streams, health("fills", Phase.CONNECTING)])


def manager_for(scene: Callable[[], LiveSnapshot]) -> Callable[[Settings], ShowingManager]:
    """What a session builds its manager with."""
    return lambda settings: ShowingManager(scene, settings.market_kind)
