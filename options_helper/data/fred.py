"""Ask FRED (Federal Reserve Bank of St. Louis) for its series; only GET leaves here, and the key never becomes text.

FRED takes its key in the address and nowhere else. So no error here repeats an address, no error of `requests`, which
would, is chained to one of ours, and what `urllib3` logs of a connection loses the key.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, Self
from urllib.parse import urlsplit

from options_helper.errors import ConfigError, RestError, RestStopped
from options_helper.model.backoff import compute_backoff_seconds
from options_helper.model.tolerant import amount, field, items, word
from options_helper.settings import FredSettings

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 20.0
TRIES: Final = 3
# FRED allows 120 requests a minute; a handful of series a day is far below it, and need not come all at once.
PAUSE_SECONDS: Final = 0.6
_AGAIN_SECONDS: Final = 1.0
_AGAIN_SECONDS_AT_MOST: Final = 8.0
_REFUSALS: Final = frozenset({400, 401, 403})
_PASSING: Final = frozenset({408, 429})


@dataclass(frozen=True, slots=True)
class Observation:
    """One value of a series; `vintage` is the day on which FRED had it so, since values are revised."""

    day: date
    value: Decimal | None  # None: FRED has the day without a value, a holiday mostly
    vintage: date | None


class Fred:
    """Asks with one account's key; blocks while it does. RestError with the remedy, RestStopped after `stop`.

    `random` is for the pauses between tries.
    """

    def __init__(
        self,
        settings: FredSettings,
        *,
        random: Callable[[], float],
        stopping: threading.Event | None = None,
        pause_seconds: float = PAUSE_SECONDS,
        again_seconds: float = _AGAIN_SECONDS,
    ) -> None:
        from requests import Session

        from options_helper.data.get_only import GetOnlyAdapter

        self._settings = settings
        self._key = settings.require_key()
        self._random = random
        self._stopping = stopping or threading.Event()
        self._pause_seconds = pause_seconds
        self._again_seconds = again_seconds
        self._adapter = GetOnlyAdapter(ANSWER_SECONDS)
        self._http = Session()
        for scheme in ("https://", "http://"):
            self._http.mount(scheme, self._adapter)
        self._hider = _KeyHider(self._key)
        logging.getLogger("urllib3.connectionpool").addFilter(self._hider)
        self.requests = 0  # that left

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End what is asked, and let nothing more leave; harmless when repeated. From any thread."""
        self._stopping.set()
        self._adapter.shut()
        logging.getLogger("urllib3.connectionpool").removeFilter(self._hider)

    def observations(self, series: str, first: date) -> list[Observation]:
        """The values of a series from a day on, as FRED has them now."""
        answer = self._answer(series, first)
        return list(_observations(answer))

    def _answer(self, series: str, first: date) -> Any:
        attempt = 1
        while isinstance(answer := self._try(series, first), _Failure):
            if self._stopping.is_set():
                raise RestStopped
            if not answer.passing or attempt == TRIES:
                # Here and not where it was caught: what `requests` says has the key in it, and is no error's cause.
                raise RestError(f"{self._where(series)} {answer.said}", status=answer.status)
            pause = compute_backoff_seconds(
                attempt,
                base_seconds=self._again_seconds,
                cap_seconds=_AGAIN_SECONDS_AT_MOST,
                random=self._random,
            )
            self._wait(pause)
            attempt += 1
        return answer

    def _try(self, series: str, first: date) -> Any:
        from requests.exceptions import RequestException, Timeout

        query = {
            "series_id": series,
            "observation_start": first.isoformat(),
            "file_type": "json",
            "api_key": self._key,
        }
        self._wait(self._pause_seconds if self.requests else 0.0)
        self.requests += 1
        try:
            with self._http.get(
                f"{self._settings.url}/fred/series/observations",
                params=query,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
            ) as response:
                status, content = response.status_code, response.content
                answer = _json(content) if status == 200 else None
        except ConfigError:
            raise
        except Timeout:
            return _Failure("did not answer in time. It is tried again.", passing=True)
        except (RequestException, OSError):
            return _Failure("cannot be reached. Check the network and FRED_URL.", passing=True)
        if answer is not None:
            return answer
        if status in _REFUSALS:
            said = f"refused (HTTP {status}). Check FRED_API_KEY, and whether the series still exists."
            return _Failure(said, status=status)
        if status == 200:
            return _Failure("gave an answer that cannot be read. Check FRED_URL.", passing=True)
        passing = status in _PASSING or status >= 500
        return _Failure(f"answered with HTTP {status}. It is tried again.", status=status, passing=passing)

    def _wait(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise RestStopped

    def _where(self, series: str) -> str:
        return f"FRED ({urlsplit(self._settings.url).hostname}, {series})"


@dataclass(frozen=True, slots=True)
class _Failure:
    said: str
    status: int | None = None
    passing: bool = False  # it may be well at the next try


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
