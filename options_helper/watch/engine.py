"""One turn after another: follow the portfolio, decide whose streams are used, and have each new snapshot judged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from options_helper.alerting.judging import Observed
from options_helper.alerting.program import ProgramStatus
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.data.streaming.subscriptions import SubscriptionPlan, build_subscription_plan
from options_helper.errors import OptionsHelperError
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.streams import StreamName
from options_helper.model.text import format_count
from options_helper.settings import Settings
from options_helper.watch.book import Book
from options_helper.watch.readings import Observer
from options_helper.watch.rest_follower import RestFollower

log = logging.getLogger(__name__)

MAX_CONTRACTS: Final = 250
# A stream that is not heard for so long is another's, or is gone: meanwhile prices are asked for.
PATIENCE_SECONDS: Final = 20.0
_HEARD: Final = frozenset({Phase.LIVE, Phase.QUIET, Phase.STALLED})
_PRICES: Final = (StreamName.STOCKS, StreamName.OPTIONS)


class Manager(Protocol):
    """What a watch needs of `LiveStreamManager`."""

    def start(self, config: LiveStreamConfig) -> None:
        """Run with this config."""

    def stop(self) -> None:
        """End the run."""

    def snapshot(self) -> LiveSnapshot:
        """What is known now."""


class Alerts(Protocol):
    """What a watch needs of `ProgramAlerts`."""

    def observe(self, observed: Observed) -> None:
        """Judge a snapshot."""

    def status(self) -> ProgramStatus:
        """How it stands."""


@dataclass(frozen=True, slots=True)
class Watching:
    """How the watch stands after a turn."""

    snapshot: LiveSnapshot  # of its own streams
    alerts: ProgramStatus
    legs: int
    since: datetime
    source: str  # of the prices, in words
    problem: str | None = None

    @property
    def activity(self) -> str:
        """In one line what it is at: "watching 12 legs, 5 rules, since 09:30"."""
        return (
            f"watching {format_count(self.legs, 'leg')}, {format_count(self.alerts.rules, 'rule')}, "
            f"since {self.since.astimezone(NEW_YORK):%H:%M} New York; {self.source}; {self.alerts.sends}"
        )


class Watch:
    """One run; `turn` is called each second or two, on one thread, and waits for nothing but a stop of the streams."""

    def __init__(
        self,
        settings: Settings,
        book: Book,
        *,
        manager: Manager,
        follower: RestFollower,
        alerts: Alerts,
        observer: Observer,
        holder: Callable[[], str | None],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._settings, self._book, self._manager = settings, book, manager
        self._follower, self._alerts, self._observer, self._holder = follower, alerts, observer, holder
        self._monotonic = monotonic
        self._since = now()
        self._config: LiveStreamConfig | None = None
        self._heard_at = monotonic()
        self._judged_at: datetime | None = None  # what was asked for over REST, when that was

    def turn(self, *, is_open: bool = True) -> Watching:
        """One turn; while the market `is_open` prices are followed, and everything else always is."""
        own = self._manager.snapshot()
        portfolio = self._book.look(own.account)
        plan = None if portfolio is None else _plan(portfolio)
        holder = self._holder() if is_open else None
        self._go_on_with(plan, streams=is_open and holder is None)
        snapshot, source = self._prices(own, plan, holder, is_open=is_open)
        problem = self._book.problem or self._follower.problem
        if snapshot is not None and self._is_new(snapshot, own):
            try:
                self._alerts.observe(self._observer.observe(portfolio, snapshot))
            except Exception as error:
                # What nobody thought of costs this snapshot, and not the night.
                log.exception("a snapshot could not be judged")
                problem = f"A snapshot could not be judged ({type(error).__name__}); the log has more."
        return Watching(
            own,
            self._alerts.status(),
            0 if portfolio is None else len(portfolio.instruments),
            self._since,
            source,
            problem,
        )

    def stop(self) -> None:
        """End streams and questions; two seconds at most."""
        self._follower.stop()
        self._manager.stop()

    def _is_new(self, snapshot: LiveSnapshot, own: LiveSnapshot) -> bool:
        """Whether it was not judged yet: what the streams say is new each time, what was asked for once."""
        asked_at = None if snapshot is own else snapshot.as_of
        is_new = asked_at is None or asked_at != self._judged_at
        self._judged_at = asked_at
        return is_new

    def _go_on_with(self, plan: SubscriptionPlan | None, *, streams: bool) -> None:
        """Have the manager stream what is planned; the account and the fills are followed in any case."""
        config = _config(plan, self._settings, streams=streams and plan is not None)
        if config == self._config:
            return
        try:
            self._manager.start(config)
        except OptionsHelperError as error:
            log.warning("the streams could not be started: %s", error)
            return
        self._config = config
        self._heard_at = self._monotonic()

    def _prices(
        self, own: LiveSnapshot, plan: SubscriptionPlan | None, holder: str | None, *, is_open: bool
    ) -> tuple[LiveSnapshot | None, str]:
        """The snapshot to judge, None while there is none yet; and where its prices come from."""
        if plan is None or not is_open:
            self._follower.stop()
            return own, "nothing is held" if is_open else "the market is closed"
        if holder is None and self._is_heard(own):
            self._follower.stop()
            return own, "streams"
        if holder is None and self._monotonic() - self._heard_at < PATIENCE_SECONDS:
            return (
                (self._follower.beside(own), "streams begin")
                if self._follower.is_on
                else (own, "streams begin")
            )
        self._follower.follow(plan.stocks, plan.option_contracts)
        why = f"{holder} has the streams" if holder else "the streams are not heard"
        return self._follower.beside(own), f"prices over REST, since {why}"

    def _is_heard(self, own: LiveSnapshot) -> bool:
        """Whether every stream of prices that is wanted is connected."""
        wanted = [
            health for name in _PRICES if (health := own.streams.get(name)) and health.phase is not Phase.OFF
        ]
        is_heard = bool(wanted) and all(health.phase in _HEARD for health in wanted)
        if is_heard:
            self._heard_at = self._monotonic()
        return is_heard


def _plan(portfolio: Portfolio) -> SubscriptionPlan:
    return build_subscription_plan(
        portfolio, stream_stocks=True, stream_options=True, max_option_contracts=MAX_CONTRACTS
    )


def _config(plan: SubscriptionPlan | None, settings: Settings, *, streams: bool) -> LiveStreamConfig:
    return LiveStreamConfig(
        stocks=plan.stocks if plan else (),
        option_contracts=plan.option_contracts if plan else (),
        crypto=plan.crypto if plan and streams else (),
        stream_stocks=streams,
        stream_options=streams,
        stream_fills=True,
        stock_feed=settings.stock_feed,
        options_feed=settings.options_feed,
    )
