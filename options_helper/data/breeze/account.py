"""What Breeze is asked over HTTP: the daily session's key, the list of instruments, and one signed question.

Nothing but GET leaves here; Breeze wants a body in it. ICICI allows 100 calls a minute and 5,000 a day, and a day's
first connection needs two.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import SecretStr
from requests import Request, Response, Session
from requests.exceptions import RequestException, Timeout

from options_helper.clock import utc_now
from options_helper.data.breeze.master import Instrument, Master, read_master
from options_helper.data.get_only import GetOnlyAdapter
from options_helper.data.network import CERTIFICATE_REMEDY, certificate_problem
from options_helper.errors import ConfigError, RestStopped, StreamError, StreamRefused
from options_helper.settings import BREEZE_LOGIN, BreezeSettings

LONGEST_MESSAGE: Final = 200
SESSION_OVER: Final = (
    f"A session ends after 24 hours, and at midnight in India. {BREEZE_LOGIN}; "
    "what runs reads the file by itself."
)
# What Breeze says in place of an error's number.
_REMEDIES: Final = {
    "invalid session": SESSION_OVER,
    "resource not available": SESSION_OVER,
    "session key is expired": SESSION_OVER,
    "public key does not exist": "Check BREEZE_API_KEY.",
    "invalid checksum": "Check BREEZE_API_SECRET, and that the date and time of this computer are right.",
}


@dataclass(frozen=True, slots=True)
class BreezeTiming:
    """How long an answer is waited for, in seconds; the list of instruments has some megabytes."""

    connect: float = 5.0
    read: float = 10.0
    whole: float = 60.0


@dataclass(frozen=True, slots=True)
class Access:
    """What opens the stream until the day's session ends."""

    user: str
    key: SecretStr


def without_secrets(text: str, settings: BreezeSettings, access: Access | None) -> str:
    """What ICICI's servers say, without what they were told: they repeat it in refusals."""
    secrets = [settings.api_key, settings.api_secret, settings.session]
    told = [secret.get_secret_value() for secret in secrets if secret is not None]
    if access is not None:
        told += [_session_token(access), access.key.get_secret_value(), access.user]
    for secret in filter(None, told):
        text = text.replace(secret, "…")
    return text


def _session_token(access: Access) -> str:
    return base64.b64encode(f"{access.user}:{access.key.get_secret_value()}".encode()).decode()


class BreezeAccount:
    """Asks for one user, one thing at a time; blocks while it does.

    StreamRefused where the same question would get the same answer, StreamError where another try may help, RestStopped
    as soon as `stop` was called, from any thread, and before the next question where `stopping` is set.
    """

    def __init__(
        self,
        settings: BreezeSettings,
        *,
        timing: BreezeTiming | None = None,
        stopping: threading.Event | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._access: Access | None = None  # the last one that was used
        self._timing = timing or BreezeTiming()
        self._now = now
        self._stopping = stopping or threading.Event()
        self._adapter = GetOnlyAdapter(self._timing.whole)
        self._http = Session()
        self._http.mount("https://", self._adapter)
        self._http.mount("http://", self._adapter)

    def stop(self) -> None:
        """End the question under way and all later ones."""
        self._stopping.set()
        self._adapter.shut()

    def close(self) -> None:
        """Free the sockets."""
        self._http.close()

    def log_in(self) -> Access:
        """The user and the key that stand behind the session of the settings."""
        api_key, session = self._settings.require_session()
        success = self._ask("customerdetails", {"SessionToken": session, "AppKey": api_key}, {})
        return _read_access(success.get("session_token"))

    def master(self) -> Master:
        """The instruments of today."""
        what, url = "the list of instruments", self._settings.master_url
        response = self._get(what, url, b"", {})
        _require_success(_where(what, url), response)
        return read_master(response.content)

    def last_price(self, access: Access, instrument: Instrument) -> float | None:
        """What a share was last traded at, in rupees: a signed question, which tries the secret too."""
        body = {"stock_code": instrument.name, "exchange_code": instrument.exchange, "product_type": "cash"}
        self._access = access
        success = self._ask("quotes", body, self._signed(access, body))
        price = success.get("ltp")
        return float(price) if isinstance(price, int | float) and not isinstance(price, bool) else None

    def _signed(self, access: Access, body: Mapping[str, str]) -> dict[str, str]:
        """The headers that prove the secret without telling it: a sum over moment, body and secret."""
        moment = f"{self._now():%Y-%m-%dT%H:%M:%S}.000Z"
        api_key, secret = self._settings.require_secret()
        checksum = hashlib.sha256(f"{moment}{_compact(body)}{secret}".encode()).hexdigest()
        return {
            "X-Checksum": f"token {checksum}",
            "X-Timestamp": moment,
            "X-AppKey": api_key,
            "X-SessionToken": _session_token(access),
        }

    def _ask(self, endpoint: str, body: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, Any]:
        """The part `Success` of an answer; of a list of them the first."""
        url = f"{self._settings.rest_url}/{endpoint}"
        response = self._get(endpoint, url, _compact(body).encode(), headers)
        # What Breeze says of a refusal stands in the body, whatever the status is.
        answer = _content(response)
        if answer is None:
            _require_success(_where(endpoint, url), response)
            raise StreamError(
                f"{_where(endpoint, url)} gave an answer that cannot be read. Check BREEZE_REST_URL; it is tried again."
            )
        success = answer.get("Success")
        found = success[0] if isinstance(success, list) and success else success
        if not isinstance(found, dict):
            raise self._refusal(_where(endpoint, url), answer.get("Error"), response.status_code)
        return found

    def _get(self, what: str, url: str, body: bytes, headers: Mapping[str, str]) -> Response:
        where = _where(what, url)
        self._require_running()
        request = Request("GET", url, data=body, headers={"Content-Type": "application/json", **headers})
        try:
            with self._http.send(
                self._http.prepare_request(request),
                timeout=(self._timing.connect, self._timing.read),
                proxies=self._http.merge_environment_settings(url, {}, None, None, None)["proxies"],
                allow_redirects=False,
            ) as response:
                _ = response.content
        except ConfigError:
            raise
        except (RequestException, OSError) as error:
            self._require_running()
            raise _failure(where, error) from error
        self._require_running()
        return response

    def _require_running(self) -> None:
        if self._stopping.is_set():
            raise RestStopped

    def _refusal(self, where: str, said: Any, status: int) -> StreamError:
        cleaned = without_secrets(" ".join(str(said or "no reason").split()), self._settings, self._access)
        text = cleaned[:LONGEST_MESSAGE].rstrip(" .")
        sentence = f"{where} refused: {text}."
        remedy = next((way for words, way in _REMEDIES.items() if words in text.lower()), None)
        if remedy is None:
            slowly = status == HTTPStatus.TOO_MANY_REQUESTS
            return StreamError(f"{sentence} It is tried again.", retry_slowly=slowly)
        return StreamRefused(f"{sentence} {remedy}")


def _compact(body: Mapping[str, str]) -> str:
    return json.dumps(body, separators=(",", ":"))


def _where(what: str, url: str) -> str:
    return f"Breeze ({urlsplit(url).hostname}, {what})"


def _content(response: Response) -> dict[str, Any] | None:
    """The map in an answer's body; None where it has none, as a redirect or a proxy's page."""
    try:
        content = response.json()
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and {"Success", "Error"} & content.keys() else None


def _read_access(token: Any) -> Access:
    try:
        user, colon, key = base64.b64decode(str(token), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        user, colon, key = "", "", ""
    if not (user and colon and key):
        raise StreamError("Breeze gave a session without a user and a key in it; it is tried again.")
    return Access(user, SecretStr(key))


def _require_success(where: str, response: Response) -> None:
    status = response.status_code
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if status < HTTPStatus.BAD_REQUEST:
        raise StreamRefused(
            f"{where} points to another address (HTTP {status}), where keys are never sent. "
            "Check BREEZE_REST_URL and BREEZE_MASTER_URL.",
            code=status,
        )
    said = f"{where} answered with HTTP {status}."
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise StreamRefused(f"{said} {SESSION_OVER}", code=status)
    if status == HTTPStatus.NOT_FOUND:
        raise StreamRefused(f"{said} Check BREEZE_REST_URL and BREEZE_MASTER_URL.", code=status)
    slowly = status == HTTPStatus.TOO_MANY_REQUESTS
    raise StreamError(f"{said} It is tried again.", code=status, retry_slowly=slowly)


def _failure(where: str, error: Exception) -> StreamError:
    if (reason := certificate_problem(error)) is not None:
        return StreamError(
            f"{where} shows a certificate that is not trusted here ({reason}). {CERTIFICATE_REMEDY}"
        )
    if isinstance(error, Timeout | TimeoutError):
        return StreamError(f"{where} did not answer in time; it is tried again.")
    return StreamError(
        f"{where} cannot be reached, or the connection broke off ({type(error).__name__}). Check the network and the "
        "proxy; it is tried again."
    )
