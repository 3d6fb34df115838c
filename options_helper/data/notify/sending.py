"""One try to send one message by Apprise, which blocks, and says why it failed without quoting anything.

Apprise and what it stands on write addresses into their log, tokens included. What they log on a thread that sends is
taken out there and read for a few words; none of it goes further.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from options_helper.data.notify.messages import Message, Outcome
from options_helper.data.notify.targets import Target
from options_helper.errors import ConfigError

CONNECT_SECONDS: Final = 4.0
ANSWER_SECONDS: Final = 6.0
NO_APPRISE: Final = (
    "Messages are sent by Apprise, which is not installed. Install the extra notify: "
    "pip install 'options-helper[notify]'"
)
_LOGGERS: Final = (
    "apprise",
    "requests_oauthlib",
    "urllib3.connectionpool",
    "urllib3.util.retry",
    "urllib3.connection",
)
_STATUS: Final = re.compile(r"error=(\d{3})\b")
# In this order: the first that stands in what was logged is what happened.
_CAUSES: Final = (
    (
        "Name or service not known|NameResolutionError|getaddrinfo|nodename nor servname|name resolution",
        "its host is not known",
    ),
    ("CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerification", "its certificate was not believed"),
    ("Connection refused|actively refused", "the connection was refused"),
    ("ConnectTimeout|connect timeout", "no connection within the time"),
    ("unreachable", "its network cannot be reached"),
    ("SMTPAuthenticationError|Authentication|Unauthorized", "it did not take the name and password"),
    ("SMTPRecipientsRefused|SMTPSenderRefused|SMTPDataError", "it did not take the mail"),
)
_NO_ANSWER: Final = re.compile(
    "timed out|ReadTimeout|RemoteDisconnected|Connection aborted|reset by peer|unexpectedly closed|Broken pipe",
    re.IGNORECASE,
)
# Statuses that may pass; what else begins with 4 says that the address or the message is wrong.
_PASSING: Final = frozenset({408, 409, 421, 423, 425, 429})


@dataclass(frozen=True, slots=True)
class Sent:
    """How one try ended; `is_final` where another would end in the same way."""

    outcome: Outcome
    why: str | None = None
    is_final: bool = False


def require_apprise() -> Any:
    """Apprise; ConfigError that names the extra where it is missing."""
    try:
        import apprise
    except ModuleNotFoundError as error:
        raise ConfigError(NO_APPRISE) from error
    return apprise


def send(target: Target, message: Message) -> Sent:
    """Try once; never raises, and blocks for some ten seconds where nothing answers."""
    with _listening() as heard:
        try:
            apprise = require_apprise()
            service = apprise.Apprise.instantiate(
                target.url.get_secret_value(), asset=_asset(apprise), suppress_exceptions=True
            )
            if service is None:
                return Sent(
                    Outcome.FAILED,
                    "Apprise does not take this address, or cannot send by it here",
                    is_final=True,
                )
            service.socket_connect_timeout, service.socket_read_timeout = CONNECT_SECONDS, ANSWER_SECONDS
            service.retry = 0  # tried again by whoever asked for this one
            # Not by `Apprise.notify`, which takes a thread of its own, where nobody would hear what it logs.
            is_sent = service.notify(
                body=message.body(amounts=target.amounts),
                title=message.title,
                notify_type=apprise.NotifyType(message.urgency.value),
                body_format=apprise.NotifyFormat.TEXT,
            )
        except ConfigError as error:
            return Sent(Outcome.FAILED, str(error), is_final=True)
        except Exception as error:  # noqa: BLE001 - a foreign error may quote the address: only its kind is told
            return Sent(Outcome.FAILED, f"Apprise failed ({type(error).__name__})")
        return Sent(Outcome.DELIVERED) if is_sent else _reason(heard)


def _asset(apprise: Any) -> Any:
    # One thread for one target is what this is called on; secure_logging masks what a filter might ever miss.
    return apprise.AppriseAsset(
        app_id="options-helper", app_desc="options-helper", async_mode=False, secure_logging=True
    )


def _reason(heard: list[str]) -> Sent:
    said = "\n".join(heard)
    if status := _STATUS.search(said):
        number = int(status[1])
        return Sent(
            Outcome.FAILED,
            f"it answered with HTTP {number}",
            is_final=number // 100 == 4 and number not in _PASSING,
        )
    for pattern, why in _CAUSES:
        if re.search(pattern, said):
            return Sent(Outcome.FAILED, why)
    if _NO_ANSWER.search(said):
        return Sent(Outcome.UNANSWERED, "it did not answer")
    return Sent(Outcome.FAILED, "Apprise could not send it")


_begun: Final = threading.Lock()


class _Heard(threading.local):
    """What was logged on this thread while it sends; None while it does not."""

    lines: list[str] | None = None


_heard: Final = _Heard()


class _TakeOut(logging.Filter):
    """Keeps what is logged on a thread that sends from every handler, and Apprise's words on any thread meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.sending = 0  # threads; guarded by the lock

    def filter(self, record: logging.LogRecord) -> bool:
        if _heard.lines is not None:
            return False
        # A service that sends by threads of its own; and Apprise logs more since we listen, which nobody has asked for.
        return record.name != "apprise" or (not self.sending and record.levelno >= logging.WARNING)

    def count(self, change: int) -> None:
        with self._lock:
            self.sending += change


_take_out: Final = _TakeOut()
LEFT_OUT: Final = "(what a library said while a message was sent; it may name the address)"


def _without_addresses() -> None:
    """From now on, whatever library logs on a thread that sends: it is heard here, and nothing of it goes further.

    A filter stands at one logger, and what a logger below it says passes by; a service may bring any library.
    """
    make = logging.getLogRecordFactory()
    if getattr(make, "hears", False):
        return

    def hearing(*arguments: Any, **more: Any) -> logging.LogRecord:
        record = make(*arguments, **more)
        if _heard.lines is not None:
            _heard.lines.append(record.getMessage())
            record.msg, record.args, record.exc_info, record.stack_info = LEFT_OUT, (), None, None
        return record

    hearing.hears = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(hearing)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Listen to what Apprise says on this thread."""
    with _begun:
        _without_addresses()
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_take_out)  # harmless when it is there
    # Why something failed stands in what it says to those who debug.
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    lines: list[str] = []
    _heard.lines = lines
    _take_out.count(1)
    try:
        yield lines
    finally:
        _take_out.count(-1)
        _heard.lines = None
