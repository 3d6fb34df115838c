"""Ask over REST what no stream tells: prices before the first quote, fills from while nobody listened, positions.

Several threads ask, so that a market that does not answer keeps nobody from the account. Streams and page wait for
neither: what came back is in the next snapshot, and what did not is a sentence in it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from options_helper.clock import elapsed_seconds
from options_helper.data.rest.calendar_watch import CalendarWatch
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.rest.server_clock import ServerClock
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.polling.account_poller import AccountPoller
from options_helper.data.streaming.polling.book_poller import BookPoller
from options_helper.data.streaming.polling.chain_course import ChainCourse
from options_helper.data.streaming.polling.context import PollContext
from options_helper.data.streaming.polling.expiry_course import ExpiryCourse
from options_helper.data.streaming.polling.held_poller import HeldPoller
from options_helper.data.streaming.polling.news_poller import NewsPoller
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.data.streaming.polling.price_course import PRICE_STREAMS
from options_helper.data.streaming.polling.price_poller import PricePoller
from options_helper.data.streaming.polling.risk_course import RiskCourse
from options_helper.data.streaming.polling.watch_course import WatchCourse
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.model.account import AccountState, RestPhase, RestTask
from options_helper.model.callbacks import Told
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.frames import Frame
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import ToldSessions
from options_helper.model.problems import Problem
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.snapshot import StreamHealth
from options_helper.model.streams import StreamId, StreamName
from options_helper.settings import Settings


class AccountWatch:
    """Asks at the start of a run, after each reconnect, and each minute; `account_state` is what it knows.

    `lock` is the run's: it guards `state` and `account_state`. `observe` is called on the consumer's thread about twice
    a second; `start`, `change_symbols` and `stop` one at a time. Without a `rest_cls` nothing is asked. `tell` hears of
    the articles that were asked for.
    """

    def __init__(
        self,
        config: LiveStreamConfig,
        settings: Settings,
        state: LiveState,
        *,
        lock: threading.Lock,
        now_ns: Callable[[], int],
        rest_cls: Callable[..., AlpacaRest] | None,
        policy: WatchPolicy,
        limits: RequestLimits | None = None,
        elapsed: Callable[[], float] = elapsed_seconds,
        tell: Callable[[Sequence[Told]], object] = lambda _: None,
    ) -> None:
        self._policy = policy
        self._polls = rest_cls is not None
        self._orders = config.orders
        self._polls_account = self._polls and self._orders is not None
        account = settings.for_account(paper=config.paper)
        limits = limits or RequestLimits()
        server_clock = ServerClock(now_ns, elapsed)

        def connect(stopping: threading.Event) -> AlpacaRest:
            return (rest_cls or AlpacaRest)(
                account,
                stopping=stopping,
                limits=limits,
                server_clock=server_clock,
                now=lambda: utc_datetime(now_ns()),
            )

        self._context = PollContext(
            state,
            lock,
            now_ns,
            connect,
            partial(limits.held, account),
            busy=partial(limits.busy, account),
            server_clock=server_clock,
            elapsed=elapsed,
        )
        self._prices = PricePoller(self._context, config, policy)
        self._books = BookPoller(self._context, config, policy)
        self._news = NewsPoller(self._context, config, policy, tell)
        context = self._context
        self._risk = HeldPoller(
            "live-risk", context, RiskCourse(context, config, policy), policy, every=policy.poll
        )
        chains = ChainCourse(context, config, policy, state)
        self._chains = HeldPoller("live-chains", context, chains, policy, every=policy.chains)
        expiries = ExpiryCourse(context, config, policy, traded=self._polls_account)
        self._expiries = HeldPoller("live-expiries", context, expiries, policy, every=policy.poll)
        self._calendar = CalendarWatch(
            self._context.rest,
            self._context.now,
            self._hear_hours,
            self._report_hours,
            lock=lock,
            poll=policy.poll,
            again=policy.again,
            doubt=policy.doubt,
            stopping=self._context.stopping,
        )
        self._account = AccountPoller(self._context, policy, self._prices.want_closes_of)
        self._course = WatchCourse()  # of the consumer's thread

    @property
    def account_state(self) -> AccountState:
        """What is known; read it under the lock that guards the state."""
        return self._context.account_state

    @property
    def risk_inputs(self) -> RiskInputs:
        """What the risk figures are computed from beside prices; read it under the lock that guards the state."""
        return self._context.risk_inputs

    @property
    def expiry_facts(self) -> ExpiryFacts:
        """What is told of contracts that end or did; read it under the lock that guards the state."""
        return self._context.expiry_facts

    def start(self) -> None:
        """Begin; asks nothing before the streams had a moment to connect."""
        if self._polls:
            self._prices.begin()
            self._books.begin()
            self._risk.begin()
            self._chains.begin()
            self._expiries.begin()
            self._report_hours(RestPhase.WAITING, None)
            self._calendar.start(self._policy.initial_delay)
        if self._polls_account:
            self._account.begin()

    def change_symbols(self, config: LiveStreamConfig) -> None:
        """From now on these symbols; the prices of a stream that got new ones are asked for at once."""
        if self._polls:
            self._prices.change_symbols(config)
            self._books.change_symbols(config)
            self._news.change_symbols(config)
            self._risk.change_symbols(config)
            self._chains.change_symbols(config)
            self._expiries.change_symbols(config)

    def forget(self) -> None:
        """Another session is played: nothing of the one before counts. Called under the lock."""
        self._context.account_state = replace(AccountState(), reports=self.account_state.reports)
        self._context.risk_inputs = RiskInputs()
        self._context.expiry_facts = ExpiryFacts()
        self._account.forget()
        self._news.forget()
        self._risk.forget()
        self._chains.forget()
        self._expiries.forget()
        self._calendar.forget()

    def stop(self) -> None:
        """Ask nothing more, and end what is being asked."""
        deadline = time.monotonic() + self._policy.stop_timeout
        self._context.stop()
        self._prices.stop(deadline - time.monotonic())
        self._books.stop(deadline - time.monotonic())
        self._news.stop(deadline - time.monotonic())
        self._risk.stop(deadline - time.monotonic())
        self._chains.stop(deadline - time.monotonic())
        self._expiries.stop(deadline - time.monotonic())
        self._calendar.stop(deadline - time.monotonic())
        self._account.stop(deadline - time.monotonic())

    def _hear_hours(self, told: ToldSessions) -> None:
        """Under the lock."""
        if not self._context.stopping.is_set():
            self._context.state.clock.told = told

    def _report_hours(self, phase: RestPhase, problem: Problem | None) -> None:
        changes: dict[str, Any] = {"phase": phase}
        if phase is RestPhase.DONE:
            with self._context.lock:
                # The answer itself says what time it is there.
                self._context.correct_clock()
            changes |= {"finished_at": self._context.now(), "problems": ()}
        elif problem is not None:
            # It stays while it is asked again.
            changes["problems"] = (problem,)
        self._context.report(RestTask.CALENDAR, **changes)

    def notice_set_clock(self) -> None:
        """Before anything is received or looked at, so that no age jumps where the clock was set. Under the lock."""
        self._context.notice_set_clock()

    def received(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """The frames as received by the clock as it is set now; after that was noticed."""
        return self._context.received(frames)

    def observe(self, streams: Mapping[StreamId, StreamHealth], fills_applied: int) -> None:
        """Notice what has to be asked for: a stream that connected, a fill that changed a position."""
        with self._context.lock:
            self._context.correct_clock()
        if not self._polls:
            return
        self._context.report_pause()
        noticed = self._course.observe(streams, fills_applied)
        if noticed.is_any_stalled:
            self._calendar.doubt()
        self._news.observe(noticed.listening.get(StreamName.NEWS))
        for name in noticed.connected:
            if name == self._orders:
                self._account.connected()
            elif name in PRICE_STREAMS:
                self._prices.want(name)
            if name == StreamName.CRYPTO:
                self._books.want()
        if self._polls_account and noticed.has_order_update:
            self._account.on_order_update()
