"""Ask FRED (Federal Reserve Bank of St. Louis) for its series; only GET leaves here, and the key never becomes text.

FRED takes its key in the address and nowhere else. So no error here repeats an address, no error of `requests`, which
would, is chained to one of ours, and what `urllib3` logs of a connection loses the key.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Self
from urllib.parse import urlsplit

from options_helper.clock import elapsed_seconds, utc_now
from options_helper.data.rest.question import Addressee, Failure, kind_of
from options_helper.data.rest.rate_limit import (
    DEFAULT_POLICY,
    PASSING_STATUSES,
    RequestLimits,
    RestPolicy,
    requested_pause_seconds,
)
from options_helper.data.rest.retrying import Retrying
from options_helper.errors import ConfigError, RestError
from options_helper.model.providers import FailureKind
from options_helper.model.tolerant import amount, field, items, word
from options_helper.settings import FredSettings

# What FRED allows a key.
PER_MINUTE: Final = 120
PATH: Final = "/fred/series/observations"
_REFUSALS: Final = frozenset({400, 401, 403})


@dataclass(frozen=True, slots=True)
class Observation:
    """One value of a series; `vintage` is the day on which FRED had it so, since values are revised."""

    day: date
    value: Decimal | None  # None: FRED has the day without a value, a holiday mostly
    vintage: date | None


class Fred:
    """Asks with one account's key; blocks while it does. RestError with the remedy, RestStopped after `stop`.

    With `limits` its requests are counted, share the key's minute, and spare an endpoint that fails again and again, as
    Alpaca's do. `now` is this computer's time, `random` for the pauses between tries.
    """

    def __init__(
        self,
        settings: FredSettings,
        *,
        random: Callable[[], float],
        limits: RequestLimits | None = None,
        policy: RestPolicy = DEFAULT_POLICY,
        stopping: threading.Event | None = None,
        now: Callable[[], datetime] = utc_now,
        elapsed: Callable[[], float] = elapsed_seconds,
    ) -> None:
        from requests import Session

        from options_helper.data.get_only import GetOnlyAdapter

        self._settings = settings
        self._key = settings.require_key()
        self._limits = limits or RequestLimits()
        self._stopping = stopping or threading.Event()
        self._now = now
        self._retrying = Retrying[Any](policy, self._stopping, now=now, elapsed=elapsed, random=random)
        self._timeout = (policy.connect_seconds, policy.read_seconds)
        self._adapter = GetOnlyAdapter(policy.answer_seconds)
        self._http = Session()
        for scheme in ("https://", "http://"):
            self._http.mount(scheme, self._adapter)
        self._hider = _KeyHider(self._key)
        logging.getLogger("urllib3.connectionpool").addFilter(self._hider)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End what is asked, and let nothing more leave; harmless when repeated. From any thread."""
        self._stopping.set()
        self._adapter.shut()
        self._http.close()
        logging.getLogger("urllib3.connectionpool").removeFilter(self._hider)

    def observations(self, series: str, first: date) -> list[Observation]:
        """The values of a series from a day on, as FRED has them now."""
        parts = urlsplit(self._settings.url)
        host = self._limits.host_of(self._settings.api_key, parts.netloc, PER_MINUTE)
        answer = self._retrying.ask(host, PATH, self._where(series), lambda: self._try(series, first))
        return list(_observations(answer))

    def _try(self, series: str, first: date) -> Any:
        """What came, or a Failure: without a cause, since what `requests` says of it has the key in it."""
        from requests.exceptions import RequestException, Timeout

        query = {
            "series_id": series,
            "observation_start": first.isoformat(),
            "file_type": "json",
            "api_key": self._key,
        }
        try:
            with self._http.get(
                f"{self._settings.url}{PATH}", params=query, timeout=self._timeout, allow_redirects=False
            ) as response:
                status, headers, content = response.status_code, response.headers, response.content
        except ConfigError as error:
            return Failure(RestError(str(error)), FailureKind.OTHER)
        except Timeout:
            said = "did not answer in time. It is tried again."
            return self._failure(series, said, FailureKind.TIMEOUT, passing=True)
        except (RequestException, OSError):
            said = "cannot be reached. Check the network and FRED_URL."
            return self._failure(series, said, FailureKind.NETWORK, passing=True)
        if status != 200:
            return self._refused(series, status, headers)
        if (answer := _json(content)) is None:
            said = "gave an answer that cannot be read. Check FRED_URL."
            return self._failure(series, said, FailureKind.UNREADABLE, passing=True)
        return answer

    def _refused(self, series: str, status: int, headers: Mapping[str, str]) -> Failure:
        kind, passing = kind_of(status), status in PASSING_STATUSES
        if status in _REFUSALS:
            said = f"refused (HTTP {status}). Check FRED_API_KEY, and whether the series still exists."
        else:
            said = f"answered with HTTP {status}. It is tried again."
        pause = requested_pause_seconds(status, headers, self._now()) if passing else None
        return self._failure(series, said, kind, passing=passing, status=status, pause=pause)

    def _failure(
        self,
        series: str,
        said: str,
        kind: FailureKind,
        *,
        passing: bool,
        status: int | None = None,
        pause: float | None = None,
    ) -> Failure:
        error = RestError(f"{self._where(series)} {said}", status=status, retry_after=pause)
        return Failure(error, kind, passing, pause)

    def _where(self, series: str) -> Addressee:
        return Addressee("FRED", urlsplit(self._settings.url).hostname or "", series)


class _KeyHider(logging.Filter):
    """Takes the key out of what is logged."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def filter(self, record: logging.LogRecord) -> bool:
        """Always let it pass."""
        said = record.getMessage()
        if self._key in said:
            record.msg, record.args = said.replace(self._key, "…"), ()
        return True


def _json(content: bytes) -> Any:
    import msgspec

    try:
        answer = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return answer if isinstance(answer, dict) and "observations" in answer else None


def _observations(answer: Any) -> Iterator[Observation]:
    """Those that can be read; FRED writes a point where there is no value."""
    for row in items(field(answer, "observations")):
        day = _day(row, "date")
        if day is not None:
            yield Observation(day, amount(field(row, "value")), _day(row, "realtime_start"))


def _day(row: Any, name: str) -> date | None:
    try:
        return date.fromisoformat(word(field(row, name)) or "")
    except ValueError:
        return None
