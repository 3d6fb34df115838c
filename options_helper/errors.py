"""The errors a user can act on; every message says what, where, and what to do."""

from __future__ import annotations

from datetime import datetime


class OptionsHelperError(Exception):
    """Base of every error whose message is written for the user."""


class ConfigError(OptionsHelperError):
    """A portfolio, a setting or a path is wrong: the command exits with 2, the page disables Start."""


class Unavailable(ConfigError):
    """What is in the way may pass by itself, such as a port that is taken: the command exits with 75."""


class SymbolError(OptionsHelperError, ValueError):
    """A text that is no contract symbol."""


class StoreError(OptionsHelperError):
    """Recorded files are held by another writer, damaged, or the disk does not take them."""


class StreamError(OptionsHelperError):
    """A connection ended or could not be made; trying again may help."""

    def __init__(self, message: str, *, code: int | None = None, retry_slowly: bool = False) -> None:
        super().__init__(message)
        self.code = code
        # The server may hold a dead session for about 90 s (406, HTTP 429): quick retries prolong it.
        self.retry_slowly = retry_slowly


class StreamRefused(StreamError):
    """The server's answer would be the same again: wrong key, no entitlement, wrong address."""


class RestError(OptionsHelperError):
    """A question to Alpaca's plain HTTP side brought no usable answer, though it was tried again."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        cause: str | None = None,
        again_at: datetime | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status  # HTTP's; None: no answer came, or it could not be read
        self.retry_after = retry_after  # seconds that the server wants to be left alone; None: it did not say
        # The message without what differs between questions to one server: which it was, and when it is asked again.
        self.cause = cause or message
        self.asked = ""
        self.again_at = again_at  # this computer's time; None: it is not put off


class TooManyPages(RestError):
    """An answer went on for longer than it is followed; the pages that came are good."""


class RestStopped(OptionsHelperError):
    """A stop ended the question before its answer."""

    def __init__(self) -> None:
        super().__init__("Stopped before Alpaca answered. Start again to ask again.")
