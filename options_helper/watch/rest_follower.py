"""Prices over REST at a steady pace, for as long as the streams are another program's."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from options_helper.data.periodic_task import PeriodicTask
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.market_time import server_time
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.rest.seeding import seed
from options_helper.errors import OptionsHelperError
from options_helper.model.market_hours import new_york_date
from options_helper.model.snapshot import LiveSnapshot, StreamHealth
from options_helper.model.streams import StreamName
from options_helper.settings import Settings

log = logging.getLogger(__name__)

PACE_SECONDS: Final = 15.0
STOP_SECONDS: Final = 0.9


@dataclass(slots=True)
class _Asking:
    """One stretch of asking, and all that it has; what comes late of one that was stopped is nobody's any more."""

    stopping: threading.Event = field(default_factory=threading.Event)
    rest: AlpacaRest | None = None
    # Replaced whole, so that any thread may read them.
    snapshot: LiveSnapshot | None = None  # of prices only; None: none yet
    problem: str | None = None


class RestFollower:
    """Asks for the newest prices of what is watched on a thread of its own, `live-look`, until it is stopped.

    `symbols` are shares and contracts. Callable from any thread; nothing but `stop` waits, for a second at most.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        now: Callable[[], datetime],
        rest_cls: Callable[..., AlpacaRest] = AlpacaRest,
        limits: RequestLimits | None = None,
        pace_seconds: float = PACE_SECONDS,
    ) -> None:
        self._settings, self._now, self._rest_cls = settings, now, rest_cls
        self._limits, self._pace = limits or RequestLimits(), pace_seconds
        self._symbols: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._task: PeriodicTask | None = None
        self._asking: _Asking | None = None

    @property
    def is_on(self) -> bool:
        """Whether it asks."""
        return self._asking is not None

    @property
    def problem(self) -> str | None:
        """What is wrong with what was asked last, as a sentence."""
        asking = self._asking
        return None if asking is None else asking.problem

    def follow(self, stocks: tuple[str, ...], contracts: tuple[str, ...]) -> None:
        """Ask for these from now on; at once where they are others than before."""
        has_changed = (stocks, contracts) != self._symbols
        self._symbols = (stocks, contracts)
        if self._task is None:
            self._asking = asking = _Asking()
            self._task = PeriodicTask(
                "live-look",
                partial(self._look, asking),
                self._pace,
                partial(_note, asking),
                stopping=asking.stopping,
            )
            self._task.start(after=0)
        elif has_changed:
            self._task.run_within(0)

    def stop(self) -> None:
        """Ask no more, and forget what was told; harmless when it does not."""
        task, asking = self._task, self._asking
        self._task = self._asking = None
        if task is None or asking is None:
            return
        task.request_stop()
        if (
            rest := asking.rest
        ) is not None:  # else it is being made, and hears of it with its first question
            rest.stop()
        task.stop(STOP_SECONDS)

    def _look(self, asking: _Asking) -> None:
        rest = asking.rest
        if rest is None:
            # On this thread, since the SDK may have to be imported for it.
            asking.rest = rest = self._rest_cls(self._settings, stopping=asking.stopping, limits=self._limits)
        at = server_time(rest) or self._now()
        stocks, contracts = self._symbols
        quotes: dict[str, Any] = {}
        trades: dict[str, Any] = {}
        closes: dict[str, Any] = {}
        greeks: dict[str, Any] = {}
        problem = None
        try:
            for batch in seed(
                rest,
                stocks,
                contracts,
                stock_feed=self._settings.stock_feed,
                options_feed=self._settings.options_feed,
                today=new_york_date(at),
            ):
                quotes |= {one.symbol: one for one in batch.quotes}
                trades |= {one.symbol: one for one in batch.trades}
                closes |= {one.symbol: one for one in batch.closes}
                greeks |= {one.symbol: one for one in batch.greeks}
        except OptionsHelperError as error:
            problem = f"Not everything could be priced: {error}"
        before = asking.snapshot or LiveSnapshot(at)
        asking.problem = problem
        asking.snapshot = replace(
            before,
            as_of=at,
            quotes=MappingProxyType({**before.quotes, **quotes}),
            trades=MappingProxyType({**before.trades, **trades}),
            account=replace(before.account, closes=MappingProxyType({**before.account.closes, **closes})),
            risk_inputs=replace(
                before.risk_inputs,
                vendor_greeks=MappingProxyType({**before.risk_inputs.vendor_greeks, **greeks}),
            ),
        )

    def beside(self, own: LiveSnapshot) -> LiveSnapshot | None:
        """The newest look, with what the run's own threads know beside prices; None before the first."""
        asking = self._asking
        told = None if asking is None else asking.snapshot
        if told is None:
            return None
        feeds = {
            StreamName.STOCKS: self._settings.stock_feed,
            StreamName.OPTIONS: self._settings.options_feed,
        }
        return replace(
            own,
            as_of=told.as_of,
            quotes=told.quotes,
            trades=told.trades,
            account=replace(own.account, closes={**told.account.closes, **own.account.closes}),
            risk_inputs=replace(
                own.risk_inputs,
                vendor_greeks={**told.risk_inputs.vendor_greeks, **own.risk_inputs.vendor_greeks},
            ),
            streams={**own.streams, **{name: StreamHealth(name, feed=feed) for name, feed in feeds.items()}},
        )


def _note(asking: _Asking, error: Exception) -> None:
    """A round that failed; what was told before stays, and grows old."""
    asking.problem = (
        str(error) if isinstance(error, OptionsHelperError) else f"{type(error).__name__} over REST"
    )
