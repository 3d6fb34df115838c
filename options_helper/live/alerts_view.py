"""What this account's alerts have fired, from the log that all programs of this computer share, and who sends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from options_helper.alerting.books import AlertBooks, open_books
from options_helper.data.firing_log import Acknowledged, LoggedFiring
from options_helper.data.lease import RENEW_SECONDS, Holder
from options_helper.settings import Settings

OpenBooks = Callable[[Settings, str, datetime], AlertBooks]
# Who has not renewed for so long is gone, or hangs.
GONE_AFTER_SECONDS: Final = 3 * RENEW_SECONDS


@dataclass(frozen=True, slots=True)
class AlertsView:
    """All that fired, the newest first, and who sends messages."""

    firings: tuple[LoggedFiring, ...] = ()
    sender: Holder | None = None  # None: nobody sends now
    problem: str | None = None  # why the log cannot be read or written, as a sentence

    @property
    def open(self) -> tuple[LoggedFiring, ...]:
        """What nobody has acknowledged."""
        return tuple(one for one in self.firings if one.acknowledged_at is None)


class AlertsReader:
    """Follows the log of one account at a time. Callable from any thread."""

    def __init__(self, monotonic: Callable[[], float], open_books: OpenBooks = open_books) -> None:
        self._open_books = open_books
        self._monotonic = monotonic
        # Replaced in one step.
        self._books: AlertBooks | None = None
        self._problem: str | None = None

    def follow(self, settings: Settings, now: datetime) -> None:
        """Look at the log of this account from now on."""
        try:
            self._books, self._problem = self._open_books(settings, "dashboard", now), None
        except OSError as error:
            reason = error.strerror or str(error)
            self._books, self._problem = None, f"The log of alerts cannot be opened: {reason}."

    def view(self) -> AlertsView:
        """How it stands now; empty before an account is followed."""
        books = self._books
        if books is None:
            return AlertsView(problem=self._problem)
        holder = books.lease.holder()
        sends = holder is not None and 0 <= self._monotonic() - holder.renewed <= GONE_AFTER_SECONDS
        firings = tuple(reversed(tuple(books.log.look().firings.values())))
        return AlertsView(firings, holder if sends else None, books.log.problem)

    def acknowledge(self, key: str, now: datetime) -> None:
        """Note for every tab and program that somebody has seen it; harmless for what is noted already."""
        books = self._books
        if books is None:
            return
        known = books.log.look().firings.get(key)
        if known is not None and known.acknowledged_at is None:
            books.log.append(Acknowledged(key, now))
