"""What needs a hand, as values: what, where, by when, what it would cost and what can be done; never an order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from options_helper.analysis.live_health import Level


class AttentionKind(StrEnum):
    """Everything that may need a hand; of two with one level and one instant the first here stands first."""

    PIN = "pin"
    LONG_WITHOUT_MONEY = "long_without_money"
    IN_THE_MONEY_SHORT = "in_the_money_short"
    EARLY_EXERCISE = "early_exercise"
    UNDEFINED_RISK = "undefined_risk"
    AM_SETTLED = "am_settled"
    EXPIRING = "expiring"
    DEAF = "deaf"
    CLOCK_SKEW = "clock_skew"
    UNPRICED = "unpriced"
    FILE_ACCOUNT = "file_account"
    STALE = "stale"
    WIDE = "wide"
    EX_DIVIDEND = "ex_dividend"
    EARNINGS = "earnings"


class Who(StrEnum):
    """Whose instant it is."""

    BROKER = "Alpaca"
    EXCHANGE = "exchange"
    CLEARING = "OCC"


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant after which somebody may act, or nobody can any more."""

    at: datetime  # New York's
    who: Who
    what: str  # what happens then, in a few words
    source: str  # where that stands, with its date; what is inferred is said
    counts_down: bool = True  # False: it is to be known, and nothing can be done by it
    sells_out: bool = False  # from then on the broker may close a position
    read_at: datetime | None = (
        None  # when its source was asked, on the market's clock; None: it is a page, a list or a file
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that needs a hand. `what` names no amount of the holder's; `amounts` does, and can be hidden."""

    kind: AttentionKind
    level: Level  # ERROR: today, or wrong; WARNING: soon, or to look at; INFO: to know
    subject: str  # what it is about, in a word or two
    symbols: tuple[str, ...]
    what: str  # a sentence
    by: datetime | None = None  # the first instant still ahead that counts, or the last that has passed
    deadlines: tuple[Deadline, ...] = ()  # in order
    amounts: str = ""  # a sentence
    remedy: str = ""  # what can be done, a sentence
    remedy_without_amounts: str = (
        ""  # the same without how much is held; empty: the remedy names nothing of that
    )
    needs: float | None = None  # dollars; None: nothing, or not known
    has: float | None = None  # dollars of buying power; None: not known, or of no account here
    set_aside: float | None = (
        None  # dollars that the account set aside for it, as computed here; None: not asked for
    )
    shares: float | None = None  # that come, or go where negative
    also: tuple[AttentionKind, ...] = ()  # kinds that hold too, and are not told again

    def is_of(self, kind: AttentionKind | str) -> bool:
        """Whether that kind holds of what it is about."""
        return self.kind == kind or kind in self.also

    @property
    def sentence(self) -> str:
        """What it is, with the amounts."""
        return f"{self.what} {self.amounts}".strip()

    @property
    def discreet_remedy(self) -> str:
        """What can be done, without how much is held."""
        return self.remedy_without_amounts or self.remedy


_LEVELS: Final = {Level.ERROR: 0, Level.WARNING: 1, Level.INFO: 2, Level.OK: 3}
_KINDS: Final = {kind: place for place, kind in enumerate(AttentionKind)}
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Worst first, then by when, then by kind and symbols; the same entries always come in the same order."""
    return tuple(
        sorted(
            entries,
            key=lambda one: (
                _LEVELS[one.level],
                (one.by or _NEVER).astimezone(UTC),
                _KINDS[one.kind],
                one.symbols,
                one.what,
                one.amounts,
            ),
        )
    )


def due(deadlines: Iterable[Deadline], now: datetime) -> datetime | None:
    """The first that counts and is ahead, of those in order; the last where all have passed; None: there is none."""
    last = None
    for one in deadlines:
        if one.counts_down:
            last = one.at
            if last > now:
                break
    return last
