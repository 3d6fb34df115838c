"""What today made of each symbol, by the account's own record; no cost basis and no matching of lots comes into it.

The identity, per share: today = held now × price now − held at midnight × previous close + sold today − bought today.
It holds for what was held overnight, opened today, or both. Where a part of it is not known, today is not known.
Days begin at midnight in New York.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Final, Self, assert_never

import numpy as np

from options_helper.analysis.changed_shares import of_yesterdays_close
from options_helper.analysis.holdings import is_unread
from options_helper.analysis.marks import (
    UNKNOWN_TIME,
    Findings,
    Flags,
    Integers,
    Numbers,
    QuoteWarning,
    believed_middle,
)
from options_helper.analysis.option_events import halves
from options_helper.analysis.priced_lines import numbers
from options_helper.errors import SymbolError
from options_helper.model.account import (
    AccountPosition,
    AccountPositions,
    AccountState,
    Execution,
    RestPhase,
    RestReport,
    RestTask,
    executions_by_symbol,
)
from options_helper.model.alpaca_symbols import is_coin_pair, underlying_root
from options_helper.model.contract_symbols import (
    has_contract_length,
    parse_contract_symbol,
    short_date,
    usual_multiplier,
)
from options_helper.model.instants import epoch_nanoseconds
from options_helper.model.market_hours import NEW_YORK, new_york_date, session_before
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.text import format_holding, named

# Of what the file holds no more, these leave the total unknown: the file may have held it this morning.
_UNCLEAR: Final = frozenset(
    {QuoteWarning.TRADES_UNKNOWN, QuoteWarning.POSITION_MOVED, QuoteWarning.ACCOUNT_DIFFERS}
)
_ZERO: Final = Decimal(0)
_UNKNOWN: Final = Decimal("NaN")
# Two closes of one session are as near as this: the official one, the last trade, the closing auction.
_SAME_CLOSE_OF_SHARE: Final = Decimal("1.25")
_SAME_CLOSE_OF_CONTRACT: Final = Decimal(3)
_NEAR_OF_CONTRACT: Final = Decimal("0.5")
# The smallest splits (3:2 and 1:2) are beyond it, and hardly a session of a share is.
_LARGEST_JUMP: Final = Decimal("1.45")
# What exactly is not known of a symbol whose trades are: a fill that stands in the list of fills is known.
_UNREAD: Final = "How much of it the account holds could not be read"
_HALF: Final = "Of what was assigned or exercised today only one half is told, the contract or the shares"
_FEES: Final = "Traded today, and of coins fees are taken in coins, so what was held at midnight is not known"
_OPEN: Final = "Whether the last fills are in the account's positions is not known yet"
_UNTOLD: Final = "The account holds another quantity of it than what it tells of today comes to"
_NO_MIDNIGHT: Final = "There is no price at which the day began, at midnight in New York"
_NO_PRICE: Final = "A price at which it was executed today is not known"
# What may be said against the profit of a day.
_REASONS: Final = {
    QuoteWarning.TRADES_UNKNOWN: _NO_PRICE,  # or what else of them is not known
    QuoteWarning.POSITION_MOVED: "Split, transfer or the like today",
    QuoteWarning.ACCOUNT_DIFFERS: "The account holds another quantity than the file",
    QuoteWarning.SHARED_CONTRACT: "Held by several lines and traded today, so counted in the total only",
    QuoteWarning.NO_PREVIOUS_CLOSE: "There is no close of {day}",
    QuoteWarning.UNLIKELY_CLOSE: "The close of {day} cannot be in today's share (a split?)",
    QuoteWarning.FILE_BEHIND: "The file is behind, so later trades are not counted",
}


@dataclass(frozen=True, slots=True)
class RunningPosition:
    """What is held of one symbol at one moment of the day; dollars per share, NaN where a price is not known."""

    quantity: Decimal
    average: Decimal  # the previous close, averaged with the prices of what was opened today
    # What percentages are of: the close of what was held at midnight, and the cost of what was opened since.
    base: Decimal
    realized: Decimal = _ZERO
    overnight: Decimal = _ZERO  # what was held at midnight, at the previous close; short is negative

    @classmethod
    def at_midnight(cls, quantity: Decimal, close: Decimal | None) -> Self:
        """What was held overnight."""
        price = _UNKNOWN if close is None else close
        worth = quantity * price if quantity else _ZERO
        return cls(quantity, price, abs(worth), overnight=worth)

    def after(self, execution: Execution) -> RunningPosition:
        """The position that an execution leaves: it opens more, closes some, or closes all and opens the other way."""
        change = execution.quantity
        price = _UNKNOWN if execution.price is None else execution.price
        is_closing = change * self.quantity < 0
        closed = min(abs(change), abs(self.quantity)).copy_sign(self.quantity) if is_closing else _ZERO
        kept, opened = self.quantity - closed, change + closed
        # Nothing times an unknown price would be unknown, and it is nothing.
        return RunningPosition(
            quantity=kept + opened,
            average=_average(kept, self.average, opened, price),
            base=self.base + (abs(opened) * price if opened else _ZERO),
            realized=self.realized + (closed * (price - self.average) if closed else _ZERO),
            overnight=self.overnight,
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


_UNKNOWN_POSITION: Final = RunningPosition(_ZERO, _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN)


@dataclass(frozen=True, slots=True)
class Followed:
    """A symbol that was traded today, at the last moment at which the account held what the file does."""

    position: RunningPosition
    lacking: QuoteWarning | None  # what today cannot be known without
    moved: bool  # at least one execution led to it
    behind: bool  # more executions came after it
    changed: Decimal = _ZERO  # by how much those that led to it changed the quantity
    spent: Decimal = _ZERO  # their quantities times their prices; NaN: not all are known


@dataclass(frozen=True, slots=True)
class AccountDay:
    """What the account says of today, set against the quantities of the file; symbols in Alpaca's spelling."""

    requested: bool  # for positions or fills
    obstacles: tuple[str, ...] = ()  # why nothing is known of today, in sentences
    base_day: date | None = None  # the last session before today
    base_closes: Mapping[str, Decimal] = field(default_factory=dict)  # of that session and no other
    lines: Mapping[str, int] = field(default_factory=dict)  # how many lines of the file a symbol has
    followed: Mapping[str, Followed] = field(default_factory=dict)  # what was traded
    unknown: Mapping[str, QuoteWarning] = field(default_factory=dict)  # why nothing is known of a symbol
    unclear: Mapping[str, str] = field(default_factory=dict)  # of those whose trades are not: what of them
    foreign: tuple[str, ...] = ()  # what was traded and no file can hold
    unlikely: frozenset[str] = frozenset()  # whose close of that session cannot be in today's share


def read_account_day(portfolio: Portfolio, live: LiveSnapshot) -> AccountDay:
    """Follow today's executions from what was held at midnight to what the file holds."""
    today = new_york_date(live.as_of)
    account = live.account
    if account.executions_day != today or account.view is None or new_york_date(account.view.as_of) != today:
        return _nothing_known(account, today)
    view, held = account.view, portfolio.quantities
    base_day = session_before(today, live.told_sessions)
    # Coins have no session: of theirs it is the price at midnight.
    yesterday = today - timedelta(days=1)
    base_closes = {
        symbol: close.price
        for symbol, close in account.closes.items()
        if close.day == (yesterday if is_coin_pair(symbol) else base_day)
    }
    unlikely = {
        symbol
        for symbol, close in base_closes.items()
        if not is_coin_pair(symbol) and not _is_of_todays_share(symbol, close, live)
    }
    base_closes = {symbol: close for symbol, close in base_closes.items() if symbol not in unlikely}
    followed: dict[str, Followed] = {}
    counted, later = executions_by_symbol(account.executions), executions_by_symbol(account.later)
    executed = dict.fromkeys((*counted, *later))
    # What was traded of a coin and what is held of it differ by the fees, which are taken in coins.
    with_fees = {symbol for symbol in executed if is_coin_pair(symbol) and symbol in held}
    foreign = [symbol for symbol in executed if view.is_foreign(symbol) and symbol not in with_fees]
    traded = dict.fromkeys(symbol for symbol in executed if symbol not in foreign)
    unread = {symbol for symbol in (*held, *traded) if is_unread(view, symbol)}
    half_told = halves((*account.executions, *account.later))
    doubtful = (
        {symbol for symbol in (*held, *traded) if underlying_root(symbol) in half_told}
        if half_told
        else set()
    )
    unclear = {
        **dict.fromkeys(account.unexplained, _UNTOLD),
        **dict.fromkeys(account.unsettled, _OPEN),
        **dict.fromkeys(doubtful, _HALF),
        **dict.fromkeys(with_fees, _FEES),
        **dict.fromkeys(unread, _UNREAD),
    }
    unknown = dict.fromkeys(unclear, QuoteWarning.TRADES_UNKNOWN)
    changed = of_yesterdays_close((*held, *traded), live)
    unknown |= dict.fromkeys((*account.moved, *changed), QuoteWarning.POSITION_MOVED)
    for symbol in traded:
        if symbol in unknown:
            continue
        in_view = counted.get(symbol, ())
        overnight = _quantity(view, symbol) - sum((done.quantity for done in in_view), _ZERO)
        executions = (*in_view, *later.get(symbol, ()))
        without_close = QuoteWarning.UNLIKELY_CLOSE if symbol in unlikely else QuoteWarning.NO_PREVIOUS_CLOSE
        close = base_closes.get(symbol)
        outcome = _follow(overnight, executions, held.get(symbol, _ZERO), close, without_close)
        if isinstance(outcome, Followed):
            followed[symbol] = outcome
        else:
            unknown[symbol] = outcome
    for symbol, quantity in held.items():
        if symbol not in traded and quantity != _quantity(view, symbol):
            unknown.setdefault(symbol, QuoteWarning.ACCOUNT_DIFFERS)
    lines = Counter([instrument.live_symbol for instrument in portfolio.instruments])
    return AccountDay(
        requested=True,
        base_day=base_day,
        base_closes=base_closes,
        lines=lines,
        followed=followed,
        unknown=unknown,
        unclear=unclear,
        foreign=tuple(foreign),
        unlikely=frozenset(unlikely),
    )


def _nothing_known(account: AccountState, today: date) -> AccountDay:
    fills, positions = account.reports[RestTask.FILLS], account.reports[RestTask.POSITIONS]
    requested = {fills.phase, positions.phase} != {RestPhase.OFF}
    # Both are told together, so the fills may have been read while the positions are waited for.
    fills_are_read = fills.phase is RestPhase.DONE and positions.phase is not RestPhase.DONE
    if fills_are_read or account.executions_day == today:
        obstacle = _obstacle(positions, "The account's positions")
    else:
        obstacle = _obstacle(fills, "Today's fills")
    return AccountDay(requested, obstacles=account.doubts or (obstacle,))


def _obstacle(report: RestReport, what: str) -> str:
    match report.phase:
        case RestPhase.OFF:
            return f"{what} were not asked for."
        case RestPhase.FAILED:
            return f"{what} could not be read: {report.problem or 'the reason is not known.'}"
        case RestPhase.REQUESTING if report.problem is not None:
            return f"{what} are asked for again, after this: {report.problem}"
        case RestPhase.WAITING | RestPhase.REQUESTING | RestPhase.DONE:
            return f"{what} have not been read yet."
        case _:
            assert_never(report.phase)


def _quantity(view: AccountPositions, symbol: str) -> Decimal:
    position = view.positions.get(symbol)
    return _ZERO if position is None else position.quantity


def _is_of_todays_share(symbol: str, close: Decimal, live: LiveSnapshot) -> bool:
    """Whether a close can be what today is measured from: a split leaves that of yesterday's share behind.

    The account's own price of the last day is the witness. Without it a share is believed as long as some session has
    made such a jump; a contract can make any.
    """
    is_option = has_contract_length(symbol)
    position = live.account.view.positions.get(symbol) if live.account.view else None
    witness = position.lastday_price if position else None
    if witness:
        factor = _SAME_CLOSE_OF_CONTRACT if is_option else _SAME_CLOSE_OF_SHARE
        is_near = is_option and abs(close - witness) <= _NEAR_OF_CONTRACT
        return is_near or _are_within(factor, close, witness)
    if is_option:
        return True
    price = _price_now(symbol, live, position)
    return price is None or _are_within(_LARGEST_JUMP, price, close)


def _are_within(factor: Decimal, one: Decimal, other: Decimal) -> bool:
    return one <= factor * other and other <= factor * one


def _price_now(symbol: str, live: LiveSnapshot, position: AccountPosition | None) -> Decimal | None:
    trade, quote = live.trades.get(symbol), live.quotes.get(symbol)
    if trade is not None and trade.price > 0:
        return Decimal(str(trade.price))
    if (middle := believed_middle(quote)) is not None:
        return Decimal(str(middle))
    return position.current_price if position else None


def _follow(
    overnight: Decimal,
    executions: Sequence[Execution],
    held: Decimal,
    close: Decimal | None,
    without_close: QuoteWarning,
) -> Followed | QuoteWarning:
    """Go from what was held at midnight to the last moment at which the account held as much as the file does."""
    positions = list(
        accumulate(executions, RunningPosition.after, initial=RunningPosition.at_midnight(overnight, close))
    )
    moment = max(
        (moment for moment, position in enumerate(positions) if position.quantity == held), default=None
    )
    if moment is None:
        return QuoteWarning.ACCOUNT_DIFFERS
    lacking = without_close if overnight and close is None else QuoteWarning.TRADES_UNKNOWN
    led_to_it = executions[:moment]
    return Followed(
        positions[moment],
        lacking=None if positions[moment].is_known else lacking,
        moved=moment > 0,
        behind=moment < len(executions),
        changed=sum((one.quantity for one in led_to_it), _ZERO),
        spent=sum(
            (one.quantity * (_UNKNOWN if one.price is None else one.price) for one in led_to_it), _ZERO
        ),
    )


@dataclass(frozen=True, slots=True)
class HeldLines:
    """Lines of a table, as far as today's profit needs them."""

    labels: Sequence[str]
    symbols: Sequence[str]
    quantity: Numbers  # short is negative
    multiplier: Numbers
    price: Numbers  # NaN: there is none of today
    # Legs whose structure cannot be worth what they come to: they have no price either.
    not_believed: Flags | None = None


@dataclass(frozen=True, slots=True)
class LineDays:
    """Today's profit of each line in dollars, NaN where it is not known."""

    realized: Numbers
    unrealized: Numbers
    base: Numbers  # what percentages are of, as in `RunningPosition`
    overnight: Numbers  # what was held at midnight, as there
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
    flags = {warning: np.zeros(count, dtype=bool) for warning in _REASONS}
    if day.obstacles:
        flags[QuoteWarning.TRADES_UNKNOWN] |= day.requested
        nothing = np.full(count, np.nan)
        return LineDays(nothing, nothing, nothing, nothing, flags)
    average = numbers(day.base_closes.get(symbol) for symbol in held.symbols)
    realized = np.zeros(count)
    overnight = held.quantity * held.multiplier * average
    base = np.abs(overnight)
    unlikely = np.array([symbol in day.unlikely for symbol in held.symbols], dtype=bool)
    flags[QuoteWarning.NO_PREVIOUS_CLOSE] = np.isnan(average) & ~unlikely
    flags[QuoteWarning.UNLIKELY_CLOSE] = unlikely
    for index, symbol in enumerate(held.symbols):
        if symbol not in day.unknown and symbol not in day.followed:
            continue
        position, reasons = _line_position(day, symbol)
        factor = held.multiplier[index]
        average[index] = float(position.average)
        realized[index], base[index] = float(position.realized) * factor, float(position.base) * factor
        overnight[index] = float(position.overnight) * factor
        for warning in _REASONS:
            flags[warning][index] = warning in reasons
    unrealized = held.quantity * held.multiplier * (held.price - average)
    return LineDays(realized, unrealized, base, overnight, flags)


def _line_position(day: AccountDay, symbol: str) -> tuple[RunningPosition, set[QuoteWarning | None]]:
    """What one line has of a symbol that was traded or is not known, and what is to be said of it."""
    if symbol in day.unknown:
        return _UNKNOWN_POSITION, {day.unknown[symbol]}
    followed = day.followed[symbol]
    reasons = {QuoteWarning.FILE_BEHIND if followed.behind else None, followed.lacking}
    if day.lines[symbol] > 1:
        return _UNKNOWN_POSITION, {*reasons, QuoteWarning.SHARED_CONTRACT}
    return followed.position, reasons


@dataclass(frozen=True, slots=True)
class BookDay:
    """Today's profit of the whole book in dollars, one element for each part, NaN where it is not known.

    A part is a position, a structure as a whole; or a contract that several lines hold and that was traded; or a
    contract that the file holds no more because it was closed today.
    """

    realized: Numbers
    unrealized: Numbers
    ranks: Integers  # of the grade of its price
    base_day: (
        date | None
    )  # the session whose close a part of it is measured from; None: all but coins was opened today
    closed: tuple[str, ...]  # symbols
    # Symbols that were traded after the file was as the account, which is not counted.
    behind: tuple[str, ...]
    reasons: tuple[str, ...]  # sentences: why what is missing is missing


def sum_up_day(day: AccountDay, held: HeldLines, entries: Sequence[str], ranks: Integers) -> BookDay:
    """Today's profit of these lines, which are all of the file, and of what it holds no more.

    `entries` are the ids of the positions that the lines belong to, `ranks` those of the lines' grades.
    """
    if day.obstacles:
        # A file without positions may have had some this morning.
        nothing = np.full(max(len(held.symbols), 1), np.nan)
        return BookDay(nothing, nothing, np.zeros(len(nothing), dtype=np.int64), None, (), (), day.obstacles)
    lines = line_days(day, held)
    is_shared = lines.findings[QuoteWarning.SHARED_CONTRACT]
    alone = np.flatnonzero(~is_shared).tolist()
    # Its row adds the legs of a structure up, and where one is not known neither is the sum: so it is here.
    places = {entry: place for place, entry in enumerate(dict.fromkeys(entries[line] for line in alone))}
    place_of = np.array([places[entries[line]] for line in alone], dtype=np.int64)
    realized, unrealized = np.zeros(len(places)), np.zeros(len(places))
    worst = np.zeros(len(places), dtype=np.int64)
    np.add.at(realized, place_of, lines.realized[alone])
    np.add.at(unrealized, place_of, lines.unrealized[alone])
    np.maximum.at(worst, place_of, ranks[alone])
    shared = {held.symbols[line]: line for line in reversed(np.flatnonzero(is_shared).tolist())}
    gone = [symbol for symbol in (*day.followed, *day.unknown) if symbol not in day.lines]
    closed = [symbol for symbol in gone if symbol in day.followed and day.followed[symbol].moved]
    unclear = [symbol for symbol in gone if day.unknown.get(symbol) in _UNCLEAR]
    others = [
        *(
            (*_shared_profit(held, symbol, day.followed[symbol].position), ranks[line])
            for symbol, line in shared.items()
        ),
        *(
            (float(day.followed[symbol].position.realized) * dollars_per_point(symbol), 0.0, 0)
            for symbol in closed
        ),
        *((np.nan, np.nan, 0) for _ in unclear),
    ]
    other = np.array(others, dtype=np.float64).reshape(-1, 3).T
    # A coin has no close: what was held of it is measured from midnight.
    is_coin = np.array([is_coin_pair(symbol) for symbol in held.symbols], dtype=bool)
    was_held = bool(np.any((np.nan_to_num(lines.overnight) != 0) & ~np.isnan(lines.pnl) & ~is_coin)) or any(
        day.followed[symbol].position.overnight for symbol in (*shared, *closed)
    )
    return BookDay(
        realized=np.concatenate([realized, other[0]]),
        unrealized=np.concatenate([unrealized, other[1]]),
        ranks=np.concatenate([worst, other[2].astype(np.int64)]),
        base_day=day.base_day if was_held else None,
        closed=tuple(closed),
        behind=tuple(symbol for symbol, followed in day.followed.items() if followed.behind),
        reasons=tuple(_reasons(day, held, lines, gone)),
    )


def _shared_profit(held: HeldLines, symbol: str, position: RunningPosition) -> tuple[float, float]:
    """Realized and unrealized today of a contract that several lines hold, all of them together."""
    indices = [index for index, other in enumerate(held.symbols) if other == symbol]
    factors = set(held.multiplier[indices].tolist())
    factor = factors.pop() if len(factors) == 1 else np.nan
    # Lines that cancel each other out are worth nothing, whatever the price.
    rise = float(held.price[indices[0]]) - float(position.average) if position.quantity else 0.0
    return float(position.realized) * factor, float(position.quantity) * factor * rise


def dollars_per_point(symbol: str) -> float:
    """Of a symbol that the file does not have; NaN for an adjusted contract."""
    try:
        multiplier = usual_multiplier(parse_contract_symbol(symbol).underlying)
    except SymbolError:
        return 1.0
    return np.nan if multiplier is None else multiplier


def _reasons(day: AccountDay, held: HeldLines, lines: LineDays, gone: Sequence[str]) -> Iterator[str]:
    """Why what is missing is missing, in sentences that name a few of the lines each."""
    base_day = short_date(day.base_day) if day.base_day else "the last session"
    for warning, sentence in _REASONS.items():
        flags = lines.findings[warning]
        of_lines = [(held.symbols[n], held.labels[n]) for n in np.flatnonzero(flags).tolist()]
        of_gone = [(one, format_holding(one)) for one in gone if _said_of(day, one) is warning]
        said: dict[str, list[str]] = {}
        for symbol, label in (*of_lines, *of_gone):
            unclear = day.unclear.get(symbol) if warning is QuoteWarning.TRADES_UNKNOWN else None
            is_of_midnight = warning is QuoteWarning.NO_PREVIOUS_CLOSE and is_coin_pair(symbol)
            beginning = _NO_MIDNIGHT if is_of_midnight else sentence.format(day=base_day)
            said.setdefault(unclear or beginning, []).append(label)
        for beginning, labels in said.items():
            yield from _sentence(beginning, labels)
    not_believed = np.zeros(len(held.symbols), dtype=bool) if held.not_believed is None else held.not_believed
    yield from _sentence("There is no price of today", _chosen(held, np.isnan(held.price) & ~not_believed))
    yield from _sentence("Their structure cannot be worth what they come to", _chosen(held, not_believed))
    closed = [symbol for symbol in gone if symbol in day.followed and day.followed[symbol].moved]
    not_given = [format_holding(symbol) for symbol in closed if np.isnan(dollars_per_point(symbol))]
    yield from _sentence("The multiplier is not given", _chosen(held, np.isnan(held.multiplier)) + not_given)
    opened = [format_holding(symbol) for symbol in gone if symbol in day.followed and symbol not in closed]
    yield from _sentence("Traded today but in no position here, so not counted", opened)
    yield from _sentence("No portfolio file can hold these, so their trades are not counted", day.foreign)


def _said_of(day: AccountDay, symbol: str) -> QuoteWarning | None:
    return day.unknown[symbol] if symbol in day.unknown else day.followed[symbol].lacking


def _sentence(beginning: str, labels: Sequence[str]) -> Iterator[str]:
    if labels:
        yield f"{beginning}: {named(list(dict.fromkeys(labels)), 3)}."


def _chosen(held: HeldLines, flags: Flags) -> list[str]:
    return [label for label, chosen in zip(held.labels, flags, strict=True) if chosen]
