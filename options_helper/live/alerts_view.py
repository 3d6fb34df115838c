"""What this account's alerts have fired, from the log that all programs of this computer share, and who sends it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

from options_helper.alerting.books import AlertBooks, Scope, open_books
from options_helper.alerting.judging import Observed, followed_rules
from options_helper.alerting.program import ProgramAlerts, newest_first
from options_helper.analysis.book_look import BookLook
from options_helper.data.firing_log import Acknowledged, FiringLog, LoggedFiring
from options_helper.data.lease import RENEW_SECONDS
from options_helper.data.lease_course import Holder
from options_helper.data.notify.targets import load_targets
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.monitoring.run_readings import reports_of_others, run_readings
from options_helper.settings import Settings

log = logging.getLogger(__name__)

MAX_LAG_SECONDS: Final = 30.0
Books = Mapping[Scope, AlertBooks]
OpenBooks = Callable[
    ..., Books
]  # of settings, portfolio, who and since; and of `account`, where that is said
# Who has not renewed for so long is gone, or hangs.
GONE_AFTER_SECONDS: Final = 3 * RENEW_SECONDS


@dataclass(frozen=True, slots=True)
class AlertsView:
    """All that fired, the newest first, and who sends messages."""

    firings: tuple[LoggedFiring, ...] = ()
    senders: Mapping[Scope, Holder] = field(default_factory=lambda: MappingProxyType({}))  # who send now
    problem: str | None = None  # why the log cannot be read or written, as a sentence

    @property
    def open(self) -> tuple[LoggedFiring, ...]:
        """What nobody has acknowledged."""
        return tuple(one for one in self.firings if one.acknowledged_at is None)


def judging(books: Books, settings: Settings) -> ProgramAlerts:
    """By the rules and targets of this user's files, as they are at each look."""
    return ProgramAlerts(
        books, followed_rules(), load_targets, simulated=settings.local_market, account=settings.account
    )


class AlertsReader:
    """Follows the alerts of one account and one portfolio at a time, and judges its rules where `judging` is given.

    Callable from any thread, `follow`, `observe` and `stop` one at a time.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        open_books: OpenBooks = open_books,
        judging: Callable[[Books, Settings], ProgramAlerts] | None = None,
    ) -> None:
        self._open_books = open_books
        self._monotonic = monotonic
        self._make_judging = judging
        # Replaced in one step.
        self._books: Books = {}
        self._earlier: tuple[FiringLog, ...] = ()  # in which nothing is judged here any more
        self._problem: str | None = None
        self._remark: str | None = None
        self._judging: ProgramAlerts | None = None
        self.is_shut = False  # whether what was to be followed could not be

    def follow(
        self,
        settings: Settings,
        portfolio: Path | None,
        now: datetime,
        account: str | None = None,
        remark: str | None = None,
        *,
        earlier: str | None = None,
    ) -> None:
        """Look at the logs of this account and portfolio, None: its own, from now on, and take part in judging.

        `account` says in place of the settings whose logs they are, where it is another program's; `remark` is said in
        the view, as a sentence. `earlier` says whose they were called before that was known: what has fired in those
        logs is in the view as well. What keeps them shut is said in the view, and `is_shut` until they are followed
        again: the streams run without them.
        """
        self.stop()
        self._remark = remark

        def opened(whose: str | None) -> Books:
            open_of = self._open_books if whose is None else partial(self._open_books, account=whose)
            return open_of(settings, portfolio, "dashboard", now)

        try:
            books = opened(account)
            logs = () if earlier is None else tuple(one.log for one in opened(earlier).values())
            if self._make_judging is not None:
                judging = self._make_judging(books, settings)
                judging.start()
                self._judging = judging
        except OSError as error:
            self._shut(error.strerror or str(error))
        except Exception as error:
            log.exception("the log of alerts cannot be opened")
            self._shut(f"{type(error).__name__}; the log of this program has more")
        else:
            self._books, self._earlier, self._problem, self.is_shut = books, logs, None, False

    def _shut(self, reason: str) -> None:
        problem = (
            f"No rule is judged, because the log of alerts cannot be opened: {reason}. It is tried again."
        )
        self._books, self._earlier, self._problem, self.is_shut = {}, (), problem, True

    def observe(
        self,
        portfolio: Portfolio | None,
        snapshot: LiveSnapshot,
        now: datetime,
        look: Callable[[Portfolio], BookLook],
        *,
        without_book: bool = False,
    ) -> None:
        """Have one snapshot judged; `look` is asked only where a rule needs the book.

        `portfolio` is None while it is not known: rules that need one cannot be judged then, and all others are. Of
        those nothing is told `without_book`, not even that they cannot be judged.
        """
        judging = self._judging
        if judging is None:
            return
        try:
            runs = run_readings(reports_of_others(now, MAX_LAG_SECONDS))
            book = portfolio if judging.needs_book and not without_book else None
            judging.observe(
                Observed(
                    snapshot, runs, book, None if book is None else look(book), without_book=without_book
                )
            )
        except Exception as error:
            # What nobody thought of costs this snapshot's judgement, and not the session.
            log.exception("a snapshot could not be judged")
            self._problem = f"A snapshot could not be judged ({type(error).__name__}); the log has more."
        else:
            self._problem = None

    def stop(self) -> None:
        """Judge no more, and give the lease back; harmless twice, a second at most."""
        judging, self._judging = self._judging, None
        if judging is not None:
            judging.stop()

    def view(self) -> AlertsView:
        """How it stands now; empty before an account is followed."""
        books = self._books
        holders = {scope: one.lease.holder() for scope, one in books.items()}
        now = self._monotonic()
        senders = {
            scope: holder
            for scope, holder in holders.items()
            if holder is not None and 0 <= now - holder.renewed <= GONE_AFTER_SECONDS
        }
        firings = newest_first(tuple(log.look().firings.values()) for log in self._logs)
        return AlertsView(firings, senders, self._problems())

    @property
    def _logs(self) -> tuple[FiringLog, ...]:
        return (*(one.log for one in self._books.values()), *self._earlier)

    def _problems(self) -> str | None:
        """All that is wrong, each once."""
        judging = self._judging
        of_runners = () if judging is None else judging.status().problems
        of_logs = (one.problem for one in self._logs)
        said = dict.fromkeys(filter(None, (self._remark, self._problem, *of_logs, *of_runners)))
        return " ".join(said) or None

    def acknowledge(self, key: str, now: datetime) -> None:
        """Note for every tab and program that somebody has seen it; harmless for what is noted already."""
        for one in self._logs:
            known = one.look().firings.get(key)
            if known is not None and known.acknowledged_at is None:
                one.append(Acknowledged(key, now))
