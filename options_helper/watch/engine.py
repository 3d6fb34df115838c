"""One turn after another: follow the portfolio, decide whose streams are used, and have each new snapshot judged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar

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

T = TypeVar("T")
D = TypeVar("D")

MAX_CONTRACTS: Final = 250
# A stream that is not heard for so long is another's, or is gone: meanwhile prices are asked for.
PATIENCE_SECONDS: Final = 20.0
# So often at least rules are judged, however seldom prices are asked for: time alone makes some of them hold.
JUDGED_EVERY_SECONDS: Final = 15.0
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
    problems: tuple[str, ...] = ()  # in sentences

    @property
    def activity(self) -> str:
        """In one line what it is at: "watching 12 legs, 5 rules, since 09:30"."""
        return (
            f"watching {format_count(self.legs, 'leg')}, {format_count(self.alerts.rules, 'rule')}, "
            f"since {self.since.astimezone(NEW_YORK):%H:%M} New York; {self.source}; {self.alerts.sends}"
        )


class Watch:
    """One run; `turn` is called each second or two, on one thread, and waits for nothing but a stop of the streams.

    Without a `follower` prices come over the manager's streams alone: they are another program's, over a bus.
    """

    def __init__(
        self,
        settings: Settings,
        book: Book,
        *,
        manager: Manager,
        follower: RestFollower | None,
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
        self._own = LiveSnapshot(self._since)
        self._portfolio: Portfolio | None = None  # that is judged
        # What is streamed: of positions that are not told of for a while prices go on.
        self._followed: Portfolio | None = None
        self._holder_then: str | None = None
        # In sentences, of this turn and of the one before, whose log needs no second line.
        self._problems: list[str] = []
        self._problems_then: tuple[str, ...] = ()
        self._config: LiveStreamConfig | None = None
        self._heard_at = monotonic()
        # Of what was asked for over REST: its instant, and when it was seen first and judged last.
        self._asked_at: datetime | None = None
        self._heard_of_it_at = self._judged_at = monotonic()

    def turn(self, *, is_open: bool = True) -> Watching:
        """One turn; while the market `is_open` prices are followed, and everything else always is.

        Whatever fails in it costs this turn alone, and is among the problems.
        """
        self._problems = []
        own = self._tried("The streams cannot be asked", self._manager.snapshot, None)
        if own is None:
            # Told again, the last one would pass for new.
            return self._stands(self._own, "the streams are not known")
        self._own = own
        beside = self._look_at_book(own)
        plan = self._tried("The portfolio cannot be streamed", lambda: _plan(self._followed), None)
        if is_open:
            self._holder_then = self._tried(
                "Who has the streams is not known", self._holder, self._holder_then
            )
        holder = self._holder_then if is_open else None
        self._tried(
            "The streams cannot be started",
            lambda: self._go_on_with(plan, streams=is_open and holder is None),
            None,
        )
        snapshot, source = self._tried(
            "Prices cannot be asked for",
            lambda: self._prices(beside, plan, holder, is_open=is_open),
            (beside, "the streams as they are"),
        )
        self._note(None if self._follower is None else self._follower.problem)
        if (unjudged := self._unjudged(snapshot, beside)) is not None:
            self._tried("A snapshot could not be judged", partial(self._judge, unjudged), None)
        return self._stands(beside, source)

    def _look_at_book(self, own: LiveSnapshot) -> LiveSnapshot:
        """Follow the portfolio; what the streams say, with the account as the portfolio counts it."""
        book = self._tried("The portfolio cannot be read", lambda: self._book.look(own), None)
        if book is None:
            return own
        self._portfolio = book.portfolio
        self._followed = book.portfolio or self._followed
        self._note(book.problem)
        return book.snapshot

    def _judge(self, snapshot: LiveSnapshot) -> None:
        self._alerts.observe(self._observer.observe(self._portfolio, snapshot))

    def _note(self, problem: str | None) -> None:
        if problem is not None:
            self._problems.append(problem)

    def _tried(self, what: str, call: Callable[[], T], otherwise: D) -> T | D:
        """What this answers; where it fails, that is a problem of this turn, and the watch goes on with `otherwise`."""
        try:
            return call()
        except OptionsHelperError as error:
            said = f"{what}: {error}"
            if said not in self._problems_then:
                log.warning("%s", said)
        except Exception as error:
            said = f"{what} ({type(error).__name__}); the log has more."
            if said not in self._problems_then:
                log.exception("%s", what)
        self._problems.append(said)
        return otherwise

    def _stands(self, own: LiveSnapshot, source: str) -> Watching:
        self._problems_then = tuple(self._problems)
        return Watching(
            own,
            self._alerts.status(),
            0 if self._portfolio is None else len(self._portfolio.instruments),
            self._since,
            source,
            tuple(dict.fromkeys(self._problems)),
        )

    def stop(self) -> None:
        """End streams and questions; two seconds at most."""
        self._end_questions()
        self._manager.stop()

    def _end_questions(self) -> None:
        if self._follower is not None:
            self._follower.stop()

    def _unjudged(self, snapshot: LiveSnapshot | None, beside: LiveSnapshot) -> LiveSnapshot | None:
        """What was not judged yet: what the streams say is new each time, what was asked for once.

        An answer that nothing follows is judged again now and then, as old as it is by then; where there is none, what
        is known without one.
        """
        now, asked_at = self._monotonic(), None if snapshot is None else snapshot.as_of
        if snapshot is beside or asked_at not in (None, self._asked_at):
            self._asked_at, self._heard_of_it_at, self._judged_at = asked_at, now, now
            return snapshot
        if now - self._judged_at < JUDGED_EVERY_SECONDS:
            return None
        self._judged_at = now
        if snapshot is None:
            return beside
        return replace(snapshot, as_of=snapshot.as_of + timedelta(seconds=now - self._heard_of_it_at))

    def _go_on_with(self, plan: SubscriptionPlan | None, *, streams: bool) -> None:
        """Have the manager stream what is planned; the account and the fills are followed in any case."""
        config = _config(plan, self._settings, streams=streams and plan is not None)
        if config == self._config:
            return
        self._manager.start(config)
        self._config = config
        self._heard_at = self._monotonic()

    def _prices(
        self, own: LiveSnapshot, plan: SubscriptionPlan | None, holder: str | None, *, is_open: bool
    ) -> tuple[LiveSnapshot | None, str]:
        """The snapshot to judge, None while there is none yet; and where its prices come from."""
        if plan is None or not is_open:
            self._end_questions()
            return own, "nothing is held" if is_open else "the market is closed"
        if self._follower is None:
            return own, "streams over the bus" if self._is_heard(own) else "the owner's streams are not heard"
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


def _plan(portfolio: Portfolio | None) -> SubscriptionPlan | None:
    return (
        None
        if portfolio is None
        else build_subscription_plan(
            portfolio, stream_stocks=True, stream_options=True, max_option_contracts=MAX_CONTRACTS
        )
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
