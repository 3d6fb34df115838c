"""When a request may leave: an account keeps one pace, and a server that is busy may say how long to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Final, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from options_helper.clock import elapsed_seconds
from options_helper.data.rest.budget_ledger import (
    COMMAND,
    MINUTE,
    Answer,
    Member,
    Share,
    Window,
    recent,
    size,
    take_alone,
    tick_of,
)
from options_helper.data.rest.endpoints import Endpoint, family_of
from options_helper.data.rest.server_clock import http_date
from options_helper.data.rest.shared_budget import SharedBudget
from options_helper.model.providers import BudgetReport, ProviderReport, Providers
from options_helper.settings import MOST_REST_PER_MINUTE, Settings

TOO_MANY_REQUESTS: Final = 429
# Answers that another try may better; those from 520 on are of what stands before Alpaca (Cloudflare).
PASSING_STATUSES: Final = frozenset({408, 425, TOO_MANY_REQUESTS, 500, 502, 503, 504, *range(520, 525)})
# No server is believed that wants silence for longer.
LONGEST_PAUSE_SECONDS: Final = 86_400.0
# Whoever waits for its turn for less is not late.
SHORT_WAIT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class RestPolicy:
    """How long an answer is waited for, and how often a request is tried."""

    connect_seconds: float = 5.0
    read_seconds: float = 10.0  # for the next bytes
    answer_seconds: float = 20.0  # for the whole of an answer; looked at whenever bytes come
    attempts: int = 3
    backoff_base_seconds: float = 1.0
    backoff_cap_seconds: float = 8.0
    # The longest pause that is waited for when a server asks for it; a longer one is an error that says so.
    requested_pause_cap_seconds: float = 60.0
    # For so long an endpoint is left alone that fails again and again; then ever longer, up to four times this.
    breaker_pause_seconds: float = 30.0


DEFAULT_POLICY: Final = RestPolicy()


class Budget(Protocol):
    """Who decides whether a request may leave."""

    def take(self, per_minute: int, at_most: int, sent: Window, held_until: float, now: float) -> Answer:
        """Let a request leave, or say when one may; `sent` is what this program has sent."""

    def hold(self, held_until: float) -> None:
        """A server wants silence until then."""


class RequestLimiter:
    """At most so many requests within any minute, and none while a server asked for silence; never waits itself.

    Counted over all threads, and with a shared `budget` over all programs. `now` is then a clock that these share.
    """

    def __init__(
        self,
        per_minute: int,
        *,
        now: Callable[[], float] = elapsed_seconds,
        budget: Budget | None = None,
        at_most: int | None = None,
    ) -> None:
        self._now = now
        self._budget = budget or OwnBudget()
        self._at_most = MOST_REST_PER_MINUTE if at_most is None else at_most
        # Held while the budget is asked, which may read and write a file; whoever only looks does not take it.
        self._asking = threading.Lock()
        # Guarded by self._lock.
        self._lock = threading.Lock()
        self._per_minute = per_minute
        self._held_until = 0.0
        self._answer: Answer | None = None
        self._answered_at = 0.0

    def allow(self, per_minute: int) -> None:
        """From now on so many; those that have left still count."""
        with self._lock:
            self._per_minute = per_minute

    def hold(self, seconds: float) -> None:
        """Let nobody through before this time is over; a longer pause that was asked for before stays."""
        if seconds <= 0:
            return
        with self._lock:
            self._held_until = max(self._held_until, self._now() + seconds)
            held_until = self._held_until
        with self._asking:
            self._budget.hold(held_until)

    def held(self) -> float:
        """The seconds until a pause that a server asked for is over; 0 when there is none."""
        with self._lock:
            return self._held()

    def busy(self) -> str | None:
        """Why a request waits, for longer than a moment, for its turn in the minute; None: none does."""
        with self._lock:
            since, answer = self._now() - self._answered_at, self._answer
        if answer is None or answer.turn.wait - since < SHORT_WAIT_SECONDS:
            return None
        turn = answer.turn
        others = "" if turn.programs == 1 else f", shared by {turn.programs} programs"
        used_up = (
            f"The minute's requests are used up ({turn.share} for this program{others}); "
            "the next leaves when its turn comes."
        )
        return used_up if answer.problem is None else f"{used_up} {answer.problem}"

    def take(self) -> float:
        """Take one request out of the minute and return 0, or return the seconds until there may be one to take."""
        with self._asking:
            with self._lock:
                sent = () if self._answer is None else self._answer.sent
                per_minute, held_until = self._per_minute, self._held_until
            answer = self._budget.take(per_minute, self._at_most, sent, held_until, self._now())
            with self._lock:
                self._answer = answer
                self._answered_at = self._now()
                self._held_until = max(self._held_until, answer.held_until)
        return answer.turn.wait

    def report(self) -> BudgetReport:
        """What is left, as far as this program knows: what others have sent since it asked last, it does not."""
        with self._lock:
            held, answer, whole = self._held(), self._answer, self._per_minute
            if answer is None:
                share = min(whole, self._at_most)
                return BudgetReport(per_minute=whole, share=share, left=share, held_seconds=held)
            turn, now = answer.turn, tick_of(self._now())
            expired = size(answer.sent) - size(recent(answer.sent, now))
            is_over = now - tick_of(self._answered_at) > MINUTE  # also what the others had sent then
            return BudgetReport(
                per_minute=whole,
                share=turn.share,
                left=turn.share if is_over else min(turn.share, turn.left + expired),
                held_seconds=held,
                programs=turn.programs,
                problem=answer.problem,
            )

    def _held(self) -> float:
        return max(0.0, self._held_until - self._now())


class OwnBudget:
    """All of the minute is this program's."""

    def take(self, per_minute: int, at_most: int, sent: Window, held_until: float, now: float) -> Answer:
        """Let a request leave, or say when one may."""
        return take_alone(Member("", COMMAND, per_minute, at_most, tick_of(now), sent), held_until, now)

    def hold(self, held_until: float) -> None:
        """Nobody else has to know."""


class HostRequests:
    """What all that a program asks one host has in common: its pace, and of each endpoint how it answers."""

    def __init__(self, limiter: RequestLimiter, now: Callable[[], float] = elapsed_seconds) -> None:
        self.limiter = limiter
        self._now = now
        # Guarded by self._lock; endpoints are added and never taken away.
        self._lock = threading.Lock()
        self._endpoints: dict[str, Endpoint] = {}

    def endpoint(self, path: str) -> Endpoint:
        """The family that an address belongs to."""
        with self._lock:
            return self._endpoints.setdefault(family_of(path), Endpoint(self._now))

    def report(self) -> ProviderReport:
        """All of it at this instant."""
        with self._lock:
            endpoints = dict(self._endpoints)
        return ProviderReport(
            budget=self.limiter.report(),
            endpoints={family: endpoint.report() for family, endpoint in sorted(endpoints.items())},
        )


class RequestLimits:
    """What a program asks, by account and host: made where it begins, and passed to all who ask.

    Alpaca counts by account, and apart for trading and for data. With a `share` the minute is shared with all of this
    user's programs on this computer that have one, through files in the user's state folder; without, this program has
    all of it. `at_most` is the most this program takes in a minute, whatever it could. `now` is a clock that all of
    them share. Callable from several threads.
    """

    def __init__(
        self,
        share: Share | None = None,
        *,
        at_most: int | None = None,
        now: Callable[[], float] = elapsed_seconds,
    ) -> None:
        self._share = share
        self._at_most = at_most
        self._now = now
        self._lock = threading.Lock()
        # Guarded by self._lock; by the key and the host, the one asked last at the end.
        self._hosts: dict[tuple[SecretStr | None, str], HostRequests] = {}

    def host(self, settings: Settings, host: str) -> HostRequests:
        """What the settings' account asks this host, whoever does; it is allowed what the settings say."""
        return self.host_of(settings.api_key, host, settings.rest_per_minute)

    def host_of(self, account: SecretStr | None, host: str, per_minute: int) -> HostRequests:
        """What an account, by its key, asks a host of any provider's; it is allowed so many requests a minute."""
        key = (account, host)
        with self._lock:
            found = self._hosts.pop(key, None)
            if found is None:
                found = self._new_host(account, host, per_minute)
            self._hosts[key] = found
        found.limiter.allow(per_minute)
        return found

    def held(self, settings: Settings) -> float:
        """The seconds until the account may ask both of its hosts again; 0 when neither wants a pause."""
        return max((one.limiter.held() for one in self._asked(settings)), default=0.0)

    def busy(self, settings: Settings) -> str | None:
        """Why the account's requests wait for their turn, as a sentence; None: they do not, or for a moment only."""
        return next((why for one in self._asked(settings) if (why := one.limiter.busy())), None)

    def report(self) -> Providers:
        """Each host, for the account that asked it last; reads no file."""
        with self._lock:
            hosts = {host: one for (_, host), one in self._hosts.items()}
        return {host: one.report() for host, one in sorted(hosts.items())}

    def _asked(self, settings: Settings) -> list[HostRequests]:
        data = settings.market_data
        asked = dict.fromkeys(
            (one.api_key, urlsplit(url).netloc)
            for one, url in ((settings, settings.base_url), (data, data.data_url))
        )
        with self._lock:
            return [one for key in asked if (one := self._hosts.get(key))]

    def _new_host(self, account: SecretStr | None, host: str, per_minute: int) -> HostRequests:
        budget = None if self._share is None else SharedBudget(account, host, self._share)
        limiter = RequestLimiter(per_minute, now=self._now, budget=budget, at_most=self._at_most)
        return HostRequests(limiter, self._now)


def requested_pause_seconds(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """The pause that a server asks for by its refusal; None when it asks for none that can be read.

    `Retry-After` is seconds or a date. Alpaca's account side tells in `X-RateLimit-Reset` when its minute ends, and
    does so in every answer: only for one request too many is that the time to come again. `now` serves where the
    server does not tell its own.
    """
    if (retry_after := headers.get("Retry-After")) is not None:
        seconds = _seconds(retry_after)
        return (
            _until(http_date(retry_after), headers, now)
            if seconds is None
            else min(seconds, LONGEST_PAUSE_SECONDS)
        )
    if status != TOO_MANY_REQUESTS:
        return None
    return _until(_unix_date(headers.get("X-RateLimit-Reset", "")), headers, now)


def _seconds(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) and number >= 0 else None


def _unix_date(text: str) -> datetime | None:
    seconds = _seconds(text)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _until(moment: datetime | None, headers: Mapping[str, str], now: datetime) -> float | None:
    if moment is None:
        return None
    # By the server's clock where it tells it: ours may be wrong by more than the pause.
    servers_now = http_date(headers.get("Date", "")) or now
    return min(max(0.0, (moment - servers_now).total_seconds()), LONGEST_PAUSE_SECONDS)
