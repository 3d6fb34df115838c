"""What today made of each symbol, by the account's own record; no cost basis and no matching of lots comes into it.

The identity, per share: today = held now × price now − held at midnight × previous close + sold today − bought today.
It holds for what was held overnight, opened today, or both. Where a part of it is not known, today is not known.
Days begin at midnight in New York.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Final, Self, assert_never

import numpy as np

from options_helper.analysis.marks import UNKNOWN_TIME, Findings, Flags, Integers, Numbers, QuoteWarning
from options_helper.analysis.osi import parse_contract_symbol, short_date
from options_helper.analysis.priced_lines import numbers
from options_helper.analysis.wording import in_words, named
from options_helper.data.account import (
    AccountTruth,
    AccountView,
    Execution,
    RestPhase,
    RestReport,
    RestTask,
)
from options_helper.data.market_hours import NEW_YORK, new_york_date, regular_session
from options_helper.data.streaming.events import NANOSECONDS, epoch_nanoseconds
from options_helper.data.streaming.snapshot import LiveSnapshot
from options_helper.errors import SymbolError
from options_helper.portfolio import (
    STANDARD_MULTIPLIER,
    MultiLegPosition,
    Portfolio,
    Position,
    ShareHolding,
)

_ZERO: Final = Decimal(0)
_UNKNOWN: Final = Decimal("NaN")
# Clocks differ, and an answer takes its time: whether it counts a fill this near to the asking, nobody can say.
# Asked again a moment later, the account settles it.
_UNCERTAIN_NS: Final = 2 * NANOSECONDS
_ONE_DAY: Final = timedelta(days=1)
_DAY_WARNINGS: Final = (
    QuoteWarning.TRADES_UNKNOWN,
    QuoteWarning.ACCOUNT_DIFFERS,
    QuoteWarning.SHARED_CONTRACT,
    QuoteWarning.NO_PREVIOUS_CLOSE,
    QuoteWarning.FILE_BEHIND,
)


@dataclass(frozen=True, slots=True)
class Lot:
    """What is held of one symbol at one moment of the day; dollars per share, NaN where a price is not known."""

    quantity: Decimal
    average: Decimal  # the previous close, averaged with the prices of what was opened today
    base: (
        Decimal  # what percentages are of: held at midnight at the previous close, and what was opened today
    )
    realized: Decimal = _ZERO

    @classmethod
    def at_midnight(cls, quantity: Decimal, close: Decimal | None) -> Self:
        """What was held overnight."""
        price = _UNKNOWN if close is None else close
        return cls(quantity, price, abs(quantity) * price if quantity else _ZERO)

    def after(self, execution: Execution) -> Lot:
        """The lot that an execution leaves: it opens more, closes some, or closes all and opens the other way."""
        change = execution.quantity
        price = _UNKNOWN if execution.price is None else execution.price
        is_closing = change * self.quantity < 0
        closed = min(abs(change), abs(self.quantity)).copy_sign(self.quantity) if is_closing else _ZERO
        kept, opened = self.quantity - closed, change + closed
        # Nothing times an unknown price would be unknown, and it is nothing.
        return Lot(
            quantity=kept + opened,
            average=_average(kept, self.average, opened, price),
            base=self.base + (abs(opened) * price if opened else _ZERO),
            realized=self.realized + (closed * (price - self.average) if closed else _ZERO),
        )

    @property
    def is_known(self) -> bool:
        """Whether today follows from this and a price of now."""
        return not self.realized.is_nan() and not (self.quantity and self.average.is_nan())


def _average(kept: Decimal, average: Decimal, opened: Decimal, price: Decimal) -> Decimal:
    if not opened:
        return average
    if not kept:
        return price
    return (kept * average + opened * price) / (kept + opened)


_NO_LOT: Final = Lot(_ZERO, _UNKNOWN, _UNKNOWN, _UNKNOWN)


@dataclass(frozen=True, slots=True)
class Traded:
    """A symbol that was traded today, at the last moment at which the account held what the file does."""

    lot: Lot | None  # None: there was no such moment, or nobody can tell
    reason: QuoteWarning | None = None  # why today is not known
    moved: bool = False  # at least one execution led to it
    behind: bool = False  # more followed


@dataclass(frozen=True, slots=True)
class AccountDay:
    """What the account says of today, set against the quantities of the file; symbols in Alpaca's spelling."""

    asked: bool  # for positions or fills
    obstacle: str | None = None  # why nothing is known of today, as a sentence
    base_day: date | None = None  # the last session before today
    base_closes: Mapping[str, Decimal] = field(default_factory=dict)  # of that session and no other
    lines: Mapping[str, int] = field(default_factory=dict)  # how many lines of the file a symbol has
    traded: Mapping[str, Traded] = field(default_factory=dict)
    unknown: Mapping[str, QuoteWarning] = field(
        default_factory=dict
    )  # why, where nothing is known of a symbol


def read_account_day(portfolio: Portfolio, live: LiveSnapshot) -> AccountDay:
    """Follow today's executions from what was held at midnight to what the file holds."""
    today = new_york_date(live.as_of)
    account = live.account
    if account.executions_day != today:
        return _nothing_known(account, RestTask.FILLS, "Today's fills")
    if account.view is None or new_york_date(account.view.as_of) != today:
        return _nothing_known(account, RestTask.POSITIONS, "The account's positions")
    view, held, base_day = account.view, _held(portfolio), _last_session_before(today)
    base_closes = {symbol: close.price for symbol, close in account.closes.items() if close.day == base_day}
    traded = {
        symbol: _follow(view, symbol, done, held.get(symbol, _ZERO), base_closes.get(symbol))
        for symbol, done in _by_symbol(account.executions).items()
    }
    differing = [
        symbol
        for symbol, quantity in held.items()
        if symbol not in traded and quantity != _quantity(view, symbol)
    ]
    return AccountDay(
        asked=True,
        base_day=base_day,
        base_closes=base_closes,
        lines=Counter(item.live_symbol for item in portfolio.instruments),
        traded=traded,
        unknown={
            **dict.fromkeys(differing, QuoteWarning.ACCOUNT_DIFFERS),
            **dict.fromkeys(view.left_out, QuoteWarning.TRADES_UNKNOWN),
            **{symbol: done.reason for symbol, done in traded.items() if done.lot is None and done.reason},
        },
    )


def _nothing_known(account: AccountTruth, task: RestTask, what: str) -> AccountDay:
    asked = any(account.reports[of].phase is not RestPhase.OFF for of in (RestTask.FILLS, RestTask.POSITIONS))
    return AccountDay(asked, obstacle=_obstacle(account.reports[task], what))


def _obstacle(report: RestReport, what: str) -> str:
    match report.phase:
        case RestPhase.OFF:
            return f"{what} were not asked for."
        case RestPhase.FAILED:
            return f"{what} could not be read: {report.problem or 'the reason is not known.'}"
        case RestPhase.WAITING | RestPhase.ASKING | RestPhase.DONE:
            return f"{what} have not been read yet."
        case _:
            assert_never(report.phase)


def _last_session_before(day: date) -> date:
    earlier = day - _ONE_DAY
    while regular_session(earlier) is None:
        earlier -= _ONE_DAY
    return earlier


def _held(portfolio: Portfolio) -> Mapping[str, Decimal]:
    """How much of each symbol the file holds, all its lines together."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    for item, quantity in zip(portfolio.instruments, _quantities(portfolio), strict=True):
        held[item.live_symbol] += quantity
    return held


def _quantities(portfolio: Portfolio) -> Iterator[Decimal]:
    for entry in portfolio.positions:
        match entry:
            case Position():
                yield Decimal(entry.contracts)
            case ShareHolding():
                # The shortest text of a float is what the file says.
                yield Decimal(str(entry.shares))
            case MultiLegPosition():
                yield from (Decimal(leg.signed_contracts) for leg in entry.legs)
            case _:
                assert_never(entry)


def _by_symbol(executions: Sequence[Execution]) -> Mapping[str, list[Execution]]:
    grouped: dict[str, list[Execution]] = defaultdict(list)
    for execution in executions:
        grouped[execution.symbol].append(execution)
    return grouped


def _quantity(view: AccountView, symbol: str) -> Decimal:
    position = view.positions.get(symbol)
    return _ZERO if position is None else position.quantity


def _follow(
    view: AccountView, symbol: str, executions: Sequence[Execution], held: Decimal, close: Decimal | None
) -> Traded:
    """Go from what was held at midnight to the last moment at which the account held as much as the file does."""
    asked_ns = epoch_nanoseconds(view.as_of) or 0
    # What has a day but no time of day happened when the account was settled, before its markets opened.
    since_asked = [(execution.at_ns or 0) - asked_ns for execution in executions]
    if any(abs(elapsed) < _UNCERTAIN_NS for elapsed in since_asked):
        return Traded(None, QuoteWarning.TRADES_UNKNOWN)
    counted = [done for done, elapsed in zip(executions, since_asked, strict=True) if elapsed < 0]
    overnight = _quantity(view, symbol) - sum((done.quantity for done in counted), _ZERO)
    lots = list(accumulate(executions, Lot.after, initial=Lot.at_midnight(overnight, close)))
    moments = [moment for moment, lot in enumerate(lots) if lot.quantity == held]
    if not moments:
        return Traded(None, QuoteWarning.ACCOUNT_DIFFERS)
    moment = moments[-1]
    lacking = QuoteWarning.NO_PREVIOUS_CLOSE if overnight and close is None else QuoteWarning.TRADES_UNKNOWN
    return Traded(
        lots[moment],
        reason=None if lots[moment].is_known else lacking,
        moved=moment > 0,
        behind=moment < len(executions),
    )


@dataclass(frozen=True, slots=True)
class HeldLines:
    """Lines of a table, as far as today's profit needs them."""

    words: Sequence[str]
    symbols: Sequence[str]
    quantity: Numbers  # short is negative
    multiplier: Numbers
    price: Numbers  # NaN: there is none of today


@dataclass(frozen=True, slots=True)
class LineDays:
    """Today's profit of each line in dollars, NaN where it is not known."""

    realized: Numbers
    unrealized: Numbers
    base: (
        Numbers  # what a percentage is of: held at midnight at the previous close, and what was opened today
    )
    findings: Findings

    @property
    def pnl(self) -> Numbers:
        """Both together."""
        return self.realized + self.unrealized


def made_today(time_ns: Integers, age: Numbers, as_of: datetime) -> Flags:
    """Where a price is of today: before the first one, yesterday's says nothing of today."""
    midnight = datetime.combine(new_york_date(as_of), time(), NEW_YORK)
    seconds = (as_of.astimezone(UTC) - midnight).total_seconds()
    return np.where(time_ns == UNKNOWN_TIME, age <= seconds, time_ns >= (epoch_nanoseconds(midnight) or 0))


def line_days(day: AccountDay, held: HeldLines) -> LineDays:
    """Today's profit of each line; what several lines hold cannot be told apart once it was traded."""
    count = len(held.symbols)
    flags = {warning: np.zeros(count, dtype=bool) for warning in _DAY_WARNINGS}
    if day.obstacle is not None:
        flags[QuoteWarning.TRADES_UNKNOWN] |= day.asked
        nothing = np.full(count, np.nan)
        return LineDays(nothing, nothing, nothing, flags)
    average = numbers(day.base_closes.get(symbol) for symbol in held.symbols)
    realized = np.zeros(count)
    base = np.abs(held.quantity * held.multiplier * average)
    flags[QuoteWarning.NO_PREVIOUS_CLOSE] = np.isnan(average)
    for place, symbol in enumerate(held.symbols):
        if symbol not in day.unknown and symbol not in day.traded:
            continue
        lot, reasons = _line_lot(day, symbol)
        factor = held.multiplier[place]
        average[place] = float(lot.average)
        realized[place], base[place] = float(lot.realized) * factor, float(lot.base) * factor
        for warning in _DAY_WARNINGS:
            flags[warning][place] = warning in reasons
    unrealized = held.quantity * held.multiplier * (held.price - average)
    return LineDays(realized, unrealized, base, flags)


def _line_lot(day: AccountDay, symbol: str) -> tuple[Lot, set[QuoteWarning]]:
    """What a single line has of a symbol that was traded or is not known, and what is to be said of it."""
    if symbol in day.unknown:
        return _NO_LOT, {day.unknown[symbol]}
    traded = day.traded[symbol]
    reasons = {QuoteWarning.FILE_BEHIND} if traded.behind else set()
    if day.lines[symbol] > 1 or traded.lot is None:
        return _NO_LOT, {*reasons, QuoteWarning.SHARED_CONTRACT}
    return traded.lot, reasons | ({traded.reason} if traded.reason else set())


@dataclass(frozen=True, slots=True)
class BookDay:
    """Today's profit of the whole book in dollars, one element for each part, NaN where it is not known.

    A part is a line; or a contract that several lines hold and that was traded; or a contract that the file holds no
    more because it was closed today.
    """

    realized: Numbers
    unrealized: Numbers
    closed: tuple[str, ...]  # in words
    reasons: tuple[str, ...]  # sentences: why what is missing is missing


def sum_up_day(day: AccountDay, held: HeldLines) -> BookDay:
    """Today's profit of these lines, which are all of the file, and of what it holds no more."""
    if day.obstacle is not None:
        # A file without positions may have had some this morning.
        nothing = np.full(max(len(held.symbols), 1), np.nan)
        return BookDay(nothing, nothing, (), (day.obstacle,))
    lines = line_days(day, held)
    alone = ~lines.findings[QuoteWarning.SHARED_CONTRACT]
    shared = dict.fromkeys(symbol for symbol, single in zip(held.symbols, alone, strict=True) if not single)
    gone = [symbol for symbol in day.traded if symbol not in day.lines]
    closed = [symbol for symbol in gone if _may_have_been_held(day.traded[symbol])]
    parts = [
        *(_shared_profit(day, held, symbol) for symbol in shared),
        *(_closed_profit(day.traded[symbol], symbol) for symbol in closed),
    ]
    realized, unrealized = np.array(parts, dtype=np.float64).reshape(-1, 2).T
    return BookDay(
        realized=np.concatenate([lines.realized[alone], realized]),
        unrealized=np.concatenate([lines.unrealized[alone], unrealized]),
        closed=tuple(_words(symbol) for symbol in closed if day.traded[symbol].lot),
        reasons=tuple(_reasons(day, held, lines, gone)),
    )


def _may_have_been_held(traded: Traded) -> bool:
    """Whether the file may have held it before: it was closed today, or nobody can tell."""
    return traded.moved or traded.reason is QuoteWarning.TRADES_UNKNOWN


def _shared_profit(day: AccountDay, held: HeldLines, symbol: str) -> tuple[float, float]:
    """Realized and unrealized today of a contract that several lines hold, all of them together."""
    lot = day.traded[symbol].lot or _NO_LOT
    places = [place for place, other in enumerate(held.symbols) if other == symbol]
    factors = set(held.multiplier[places].tolist())
    factor = factors.pop() if len(factors) == 1 else np.nan
    price = float(held.price[places[0]])
    return float(lot.realized) * factor, float(lot.quantity) * factor * (price - float(lot.average))


def _closed_profit(traded: Traded, symbol: str) -> tuple[float, float]:
    if traded.lot is None:
        return np.nan, np.nan
    return float(traded.lot.realized) * _multiplier(symbol), 0.0


def _multiplier(symbol: str) -> float:
    """Dollars per point of a symbol that the file does not have; NaN for an adjusted contract."""
    try:
        return np.nan if parse_contract_symbol(symbol).adjusted else STANDARD_MULTIPLIER
    except SymbolError:
        return 1.0


def _words(symbol: str) -> str:
    words = in_words(symbol)
    return f"{words} shares" if words == symbol else words


def _reasons(day: AccountDay, held: HeldLines, lines: LineDays, gone: Sequence[str]) -> Iterator[str]:
    """Why what is missing is missing, in sentences that name a few of the lines each."""

    def that(warning: QuoteWarning) -> list[str]:
        return _chosen(held, lines.findings[warning]) + [
            _words(symbol) for symbol in gone if day.traded[symbol].reason is warning
        ]

    base_day = short_date(day.base_day) if day.base_day else "the last session"
    unpriced = np.isnan(held.price)
    without_factor = _chosen(held, np.isnan(held.multiplier)) + [
        _words(symbol) for symbol in gone if day.traded[symbol].moved and np.isnan(_multiplier(symbol))
    ]
    unheld = [_words(symbol) for symbol in gone if not _may_have_been_held(day.traded[symbol])]
    for sentence, words in (
        ("What was traded today is not clear yet", that(QuoteWarning.TRADES_UNKNOWN)),
        ("The account holds another quantity than the file", that(QuoteWarning.ACCOUNT_DIFFERS)),
        (f"There is no close of {base_day}", that(QuoteWarning.NO_PREVIOUS_CLOSE)),
        ("There is no price of today", _chosen(held, unpriced)),
        ("The multiplier is not given", without_factor),
        (
            "Held by several lines and traded today, so counted in the total only",
            that(QuoteWarning.SHARED_CONTRACT),
        ),
        ("The file is behind, so later trades are not counted", that(QuoteWarning.FILE_BEHIND)),
        ("Traded today but not in the file, so not counted", unheld),
    ):
        if words:
            yield f"{sentence}: {named(list(dict.fromkeys(words)))}."


def _chosen(held: HeldLines, flags: Flags) -> list[str]:
    return [words for words, chosen in zip(held.words, flags, strict=True) if chosen]
