"""The one way out to Alpaca's plain HTTP: it only reads, keeps the pace, tries again, and ends when told to stop.

It stands below the SDK's clients, so that nothing they offer gets around it. It is imported where it is used, because
`requests` is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.exceptions import (
    ChunkedEncodingError,
    ContentDecodingError,
    InvalidSchema,
    ProxyError,
    RequestException,
    SSLError,
    Timeout,
)
from requests.exceptions import (
    ConnectionError as ConnectionFailed,
)
from requests.utils import select_proxy
from urllib3.exceptions import ReadTimeoutError

from options_helper.data.get_only import GetOnlyAdapter, require_reading
from options_helper.data.network import (
    CERTIFICATE_REMEDY,
    certificate_problem,
    without_password,
)
from options_helper.data.rest.question import Addressee, Failure, kind_of
from options_helper.data.rest.rate_limit import (
    PASSING_STATUSES,
    HostRequests,
    RestPolicy,
    requested_pause_seconds,
)
from options_helper.data.rest.retrying import Retrying
from options_helper.data.rest.server_clock import ServerClock
from options_helper.errors import ConfigError, RestError
from options_helper.model.problems import again_words
from options_helper.model.providers import FailureKind
from options_helper.model.tolerant import field, word

SECRET_HEADERS: Final = ("APCA-API-KEY-ID", "APCA-API-SECRET-KEY")
LONGEST_MESSAGE: Final = 200

_REMEDIES: Final = {
    400: "Check the symbols and the feed.",
    401: "Check APCA_API_KEY_ID, APCA_API_SECRET_KEY and APCA_API_BASE_URL; paper and live keys differ.",
    403: "Check APCA_API_KEY_ID, APCA_API_SECRET_KEY and whether the plan includes the feed.",
    404: "Check the symbol, APCA_API_BASE_URL and OH_ALPACA_DATA_URL.",
    408: "It waited too long for the question: try again in a minute.",
    422: "Check the symbols.",
    425: "It was asked too early: try again in a minute.",
    429: "It allows no more requests for the moment: wait a minute, or lower OH_ALPACA_REST_PER_MINUTE.",
    511: "The network wants you to log in first: open any page in a browser, then try again.",
}
_REMEDY_FOR_FAULTS: Final = "It is a fault on its side: try again in a minute."
_REMEDY_FOR_OTHERS: Final = "Try again; please report it if it stays so."


class ReadOnlyAdapter(GetOnlyAdapter):
    """Sends what the SDK prepared, if it is a GET; everything but a readable answer becomes RestError.

    Blocks for the policy's attempts, for the pauses between them, and while the host's limiter lets nobody through;
    RestStopped as soon as `stop` was called.
    """

    def __init__(
        self,
        policy: RestPolicy,
        host_of: Callable[[str], HostRequests],
        stopping: threading.Event,
        *,
        now: Callable[[], datetime],
        random: Callable[[], float],
        server_clock: ServerClock | None = None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host_of = host_of
        self._stopping = stopping
        self._now = now
        self._retrying = Retrying[Response](policy, stopping, now=now, elapsed=elapsed, random=random)
        self._server_clock = server_clock or ServerClock()
        self._timeout = (policy.connect_seconds, policy.read_seconds)
        super().__init__(policy.answer_seconds)

    def stop(self) -> None:
        """End the requests under way and all later ones; callable from any thread."""
        self._stopping.set()
        self.shut()

    def send(self, request: PreparedRequest, *_arguments: Any, **options: Any) -> Response:
        """The answer to a GET, tried again where that may help."""
        require_reading(request)
        parts = urlsplit(str(request.url))
        return self._retrying.ask(
            self._host_of(parts.netloc), parts.path, _where(request), lambda: self._attempt(request, options)
        )

    def _attempt(self, request: PreparedRequest, options: dict[str, Any]) -> Response | Failure:
        where, asked = _where(request), self._server_clock.elapsed()
        try:
            response = super().send(request, **{**options, "timeout": self._timeout})
            received_at, took = self._now(), self._server_clock.elapsed() - asked
            # Read here and not by the SDK, so that an answer that breaks off is tried again too.
            _ = response.content
        except (ConfigError, RequestException) as error:
            return _failure(where, error, _proxy_of(request, options))
        # JSON is UTF-8; without this the SDK has the encoding of an answer that names none guessed, slowly.
        response.encoding = "utf-8"
        judged = self._judge(where, request, response)
        if isinstance(judged, Response):
            # Whatever else answers on the way, a login page for one, has a clock of its own.
            self._server_clock.answered(response.headers, received_at, took)
        return judged

    def _judge(self, where: Addressee, request: PreparedRequest, response: Response) -> Response | Failure:
        status = response.status_code
        if 300 <= status < 400:
            return Failure(
                RestError(
                    f"{where} points to another address (HTTP {status}), where keys are never sent. "
                    "Check APCA_API_BASE_URL and OH_ALPACA_DATA_URL.",
                    status=status,
                ),
                FailureKind.OTHER,
            )
        if status >= 400:
            return self._refused(where, request, response)
        try:
            response.json()
        except (ValueError, RecursionError) as error:
            return Failure(
                RestError(f"{where} gave {_about_unreadable(response)}", status=status),
                FailureKind.UNREADABLE,
                passing=True,
                cause=error,
            )
        return response

    def _refused(self, where: Addressee, request: PreparedRequest, response: Response) -> Failure:
        status, now = response.status_code, self._now()
        passing = status in PASSING_STATUSES
        pause = requested_pause_seconds(status, response.headers, now) if passing else None
        message = _message_in(response, request)
        said = f"{where} answered with HTTP {status}{f': {message}' if message else ''}."
        if pause:
            again_at = now + timedelta(seconds=pause)
            error = RestError(
                f"{said} {again_words(again_at)}",
                status=status,
                retry_after=pause,
                cause=said,
                again_at=again_at,
            )
        else:
            error = RestError(f"{said} {_remedy(status)}", status=status)
        return Failure(error, kind_of(status), passing, pause)


def _where(request: PreparedRequest) -> Addressee:
    parts = urlsplit(str(request.url))
    return Addressee("Alpaca", parts.hostname or "", parts.path)


def _failure(where: Addressee, error: Exception, proxy: str) -> Failure:
    """What kept the answer away, in a sentence; `proxy` is the one that was to be taken."""
    match error:
        case ConfigError():
            failure = Failure(RestError(str(error)), FailureKind.OTHER, cause=error)
        case Timeout():
            failure = _late(where, error)
        case SSLError():
            failure = _not_encrypted(where, error)
        case ProxyError():
            failure = _no_way_through(where, error, proxy)
        # How requests tells of a body that does not come.
        case ConnectionFailed(args=args) if any(isinstance(cause, ReadTimeoutError) for cause in args):
            failure = _late(where, error)
        case ConnectionFailed() | ChunkedEncodingError() | ContentDecodingError():
            said = (
                f"{where} cannot be reached, or the connection broke off. "
                "Check the network, APCA_API_BASE_URL and OH_ALPACA_DATA_URL."
            )
            failure = Failure(RestError(said), FailureKind.NETWORK, passing=True, cause=error)
        case InvalidSchema():
            failure = _no_such_proxy(where, error, proxy)
        case _:
            said = f"{where} cannot be asked ({type(error).__name__}). {_REMEDY_FOR_OTHERS}"
            failure = Failure(RestError(said), FailureKind.OTHER, cause=error)
    return failure


def _late(where: Addressee, error: Exception) -> Failure:
    return Failure(
        RestError(f"{where} did not answer in time. Check the network, or try again in a minute."),
        FailureKind.TIMEOUT,
        passing=True,
        cause=error,
    )


def _about_unreadable(response: Response) -> str:
    """What came in place of JSON, and what to do."""
    if response.content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return (
            "a web page in place of data. It may be the login page of a hotel's or a company's network: open any page "
            "in a browser, log in, and try again; otherwise check APCA_API_BASE_URL and OH_ALPACA_DATA_URL."
        )
    return f"an answer that cannot be read. {_REMEDY_FOR_OTHERS}"


def _not_encrypted(where: Addressee, error: Exception) -> Failure:
    reason = certificate_problem(error)
    if reason is None:
        said = (
            f"{where} and this computer could not agree on encryption. Check the address, and a firewall or proxy in "
            "between."
        )
        # A connection that breaks off in the midst of it looks the same.
        return Failure(RestError(said), FailureKind.NETWORK, passing=True, cause=error)
    said = f"{where} shows a certificate that is not trusted here ({reason}). {CERTIFICATE_REMEDY}"
    return Failure(RestError(said), FailureKind.NETWORK, cause=error)


def _proxy_of(request: PreparedRequest, options: dict[str, Any]) -> str:
    """Host and port of the proxy that was to be taken."""
    return without_password(select_proxy(str(request.url), options.get("proxies")) or "")


def _no_way_through(where: Addressee, error: Exception, proxy: str) -> Failure:
    if " 407 " in f"{error} ":
        said = (
            f"The proxy {proxy} wants to know who asks (407). Write its name and password into HTTPS_PROXY, as in "
            f"http://NAME:PASSWORD@{proxy}; it is on the way to {where}."
        )
        return Failure(RestError(said), FailureKind.NETWORK, cause=error)
    if (reason := certificate_problem(error)) is not None:
        said = (
            f"The proxy {proxy} shows a certificate that is not trusted here ({reason}). {CERTIFICATE_REMEDY}"
        )
        return Failure(RestError(said), FailureKind.NETWORK, cause=error)
    said = (
        f"The proxy {proxy}, which HTTPS_PROXY or ALL_PROXY names, does not lead to {where}. Check that variable, or "
        "name the host in NO_PROXY where it can be reached without."
    )
    return Failure(RestError(said), FailureKind.NETWORK, passing=True, cause=error)


def _no_such_proxy(where: Addressee, error: Exception, proxy: str) -> Failure:
    if "SOCKS" in str(error):
        said = (
            f"{where} is to be asked through the SOCKS proxy {proxy}, and the package PySocks is not installed. "
            "Install it: pip install 'requests[socks]', or name an HTTP proxy in HTTPS_PROXY."
        )
    else:
        said = f"{where} cannot be asked through {proxy}. Correct HTTPS_PROXY or ALL_PROXY, or unset it."
    return Failure(RestError(said), FailureKind.NETWORK, cause=error)


def _remedy(status: int) -> str:
    return _REMEDIES.get(status, _REMEDY_FOR_FAULTS if status >= 500 else _REMEDY_FOR_OTHERS)


def _message_in(response: Response, request: PreparedRequest) -> str:
    """What the server says, on one line and without anything of the keys."""
    try:
        said = word(field(response.json(), "message")) or ""
    except (ValueError, RecursionError):
        return ""
    for name in SECRET_HEADERS:
        if secret := request.headers.get(name):
            said = said.replace(str(secret), "…")
    return " ".join(said.split())[:LONGEST_MESSAGE].rstrip(" .")
