"""When a request may leave: an account keeps one pace, and a server that is busy may say how long to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Final, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from options_helper.data.rest.server_clock import http_date
from options_helper.settings import Settings

TOO_MANY_REQUESTS: Final = 429
# Answers that another try may better; those from 520 on are of what stands before Alpaca (Cloudflare).
PASSING_STATUSES: Final = frozenset({408, 425, TOO_MANY_REQUESTS, 500, 502, 503, 504, *range(520, 525)})
# No server is believed that wants silence for longer.
LONGEST_PAUSE_SECONDS: Final = 86_400.0


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


DEFAULT_POLICY: Final = RestPolicy()


class RequestLimiter:
    """At most so many requests within any minute, and none while a server asked for silence; never waits itself.

    Counted over all threads.
    """

    def __init__(self, per_minute: int, *, now: Callable[[], float] = time.monotonic) -> None:
        from pyrate_limiter import Duration, InMemoryBucket, Rate

        self._now = now
        # Guarded by self._lock: a refusal and the wait that follows from it belong together.
        self._lock = threading.Lock()
        self._bucket = InMemoryBucket([Rate(per_minute, Duration.MINUTE)])
        self._held_until = 0.0

    def allow(self, per_minute: int) -> None:
        """From now on so many; those that have left still count."""
        from pyrate_limiter import Duration, Rate

        with self._lock:
            self._bucket.rates = [Rate(per_minute, Duration.MINUTE)]

    def hold(self, seconds: float) -> None:
        """Let nobody through before this time is over; a longer pause that was asked for before stays."""
        with self._lock:
            self._held_until = max(self._held_until, self._now() + seconds)

    def held(self) -> float:
        """The seconds until a pause that a server asked for is over; 0 when there is none."""
        with self._lock:
            return self._held()

    def take(self) -> float:
        """Take one request out of the minute and return 0, or return the seconds until there may be one to take."""
        from pyrate_limiter import RateItem

        with self._lock:
            if held := self._held():
                return held
            request = RateItem("request", int(self._now() * 1000))
            self._bucket.leak(request.timestamp)
            if self._bucket.put(request):
                return 0.0
            # Only buckets of other kinds answer by an awaitable.
            return max(1, cast("int", self._bucket.waiting(request))) / 1000

    def _held(self) -> float:
        return max(0.0, self._held_until - self._now())


class RequestLimits:
    """The limiters of a program, one for an account at a host: made where it begins, and passed to all who ask.

    Alpaca counts by account, and apart for trading and for data. Callable from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Guarded by self._lock; by the key and the host.
        self._limiters: dict[tuple[SecretStr | None, str], RequestLimiter] = {}

    def limiter(self, settings: Settings, host: str) -> RequestLimiter:
        """The one of the settings' account at this host, whoever asks; it allows what the settings say."""
        with self._lock:
            limiter = self._limiters.get((settings.api_key, host))
            if limiter is None:
                limiter = RequestLimiter(settings.rest_per_minute)
                self._limiters[settings.api_key, host] = limiter
        limiter.allow(settings.rest_per_minute)
        return limiter

    def held(self, settings: Settings) -> float:
        """The seconds until the account may ask both of its hosts again; 0 when neither wants a pause."""
        hosts = {urlsplit(url).netloc for url in (settings.base_url, settings.data_url)}
        with self._lock:
            limiters = [self._limiters.get((settings.api_key, host)) for host in hosts]
        return max((limiter.held() for limiter in limiters if limiter is not None), default=0.0)


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
