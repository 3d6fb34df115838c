"""What the account says of itself, in values that keep their cents: positions, executions and previous closes.

Symbols are in Alpaca's spelling, contracts compact: "AAPL260320C00180000". Quantities are signed, short is negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from options_helper.model.alpaca_symbols import is_coin_pair
from options_helper.model.problems import Problem, in_words


class Source(StrEnum):
    """Over which way something came."""

    STREAM = "stream"
    REST = "rest"


class ExecutionKind(StrEnum):
    """What changed a position; all but the fill never come over a socket."""

    FILL = "fill"
    EXPIRY = "expiry"  # OPEXP
    ASSIGNMENT = "assignment"  # OPASN
    EXERCISE = "exercise"  # OPEXC, OPXRC
    CASH_SETTLEMENT = "cash_settlement"  # OPCSH
    OPTION_TRADE = "option_trade"  # OPTRD: the shares that an assignment or exercise moved


@dataclass(frozen=True, slots=True)
class Execution:
    """One change of one position."""

    identity: str  # the same for the same event, over whichever way it came
    kind: ExecutionKind
    symbol: str
    quantity: Decimal  # of the position's change: a purchase is positive
    price: Decimal | None  # dollars per share; 0 where a contract went without one
    day: date  # in New York
    at_ns: int | None  # epoch nanoseconds; None: only its day is known
    order_id: str | None
    source: Source


def executions_by_symbol(executions: Iterable[Execution]) -> dict[str, tuple[Execution, ...]]:
    """The executions of each symbol that has any, in the order they come in."""
    found: dict[str, list[Execution]] = {}
    for execution in executions:
        found.setdefault(execution.symbol, []).append(execution)
    return {symbol: tuple(of_symbol) for symbol, of_symbol in found.items()}


class PositionMove(StrEnum):
    """What else changes a position, and reports neither price nor order."""

    ALLOCATION = "allocation"
    CORRECTION = "correction"
    EXTERNAL_TRADE = "external_trade"
    JOURNAL_OF_SHARES = "journal_of_shares"
    MERGER = "merger"
    NAME_CHANGE = "name_change"
    OPTION_CORPORATE_ACTION = "option_corporate_action"
    REORGANIZATION = "reorganization"
    SPIN_OFF = "spin-off"
    SPLIT = "split"
    STOCK_DIVIDEND = "stock_dividend"
    SYMBOL_CHANGE = "symbol_change"
    TRANSFER = "transfer"
    VOLUNTARY_OFFERING = "voluntary_offering"


@dataclass(frozen=True, slots=True)
class AccountMove:
    """One change of one position that no execution tells."""

    identity: str
    move: PositionMove
    symbol: str
    quantity: Decimal | None  # of the position's change; None: not said
    day: date  # in New York


@dataclass(frozen=True, slots=True)
class AccountPosition:
    """One position as the account has it; amounts are Alpaca's own, None where it did not say."""

    symbol: str
    quantity: Decimal
    is_option: bool
    average_price: Decimal | None  # per share
    cost_basis: Decimal | None  # dollars
    market_value: Decimal | None  # dollars, by the last trade
    current_price: Decimal | None  # per share
    lastday_price: Decimal | None = None  # per share: where the last session closed, in today's share


@dataclass(frozen=True, slots=True)
class PreviousClose:
    """The close of the newest session before today."""

    symbol: str
    price: Decimal  # dollars per share
    day: date  # the session's, in New York


class RestTask(StrEnum):
    """What is asked of the account and of the market beside the streams."""

    PRICES = "prices"  # latest quotes and trades, previous closes
    FILLS = "fills"  # executions and orders
    POSITIONS = "positions"
    CALENDAR = "calendar"  # the market's own hours
    BOOKS = "books"  # order books, to compare the streamed ones with
    NEWS = "news"  # what was written before the stream, and while it was down
    DIVIDENDS = "dividends"  # announced corporate actions, for the risk figures
    CLOSES = "daily closes"  # a year of them, for betas
    EXPIRIES = "expiries"  # records of contracts that end soon, and what became of those that did
    CHAINS = "option chains"  # around the money, for what they imply of their underlying


class RestPhase(StrEnum):
    """Where a task is."""

    OFF = "off"  # not asked for
    WAITING = "waiting"  # has not begun
    REQUESTING = "asking"  # as the page says it
    DONE = "done"
    FAILED = "failed"  # it will be tried again; the streams go on


@dataclass(frozen=True, slots=True)
class RestReport:
    """How one task is getting on."""

    task: RestTask
    phase: RestPhase = RestPhase.OFF
    done: int = 0  # symbols, or rows
    of: int | None = None  # None: not known beforehand
    finished_at: datetime | None = None  # the last success, on the market's clock
    problems: tuple[Problem, ...] = ()  # what went wrong, what to do, and what is not known for it

    @property
    def problem(self) -> str | None:
        """The problems in words; None where there is none."""
        return in_words(self.problems)


@dataclass(frozen=True, slots=True)
class AccountPositions:
    """The account at one instant. `positions` by symbol."""

    as_of: datetime  # when it was asked, on the market's clock
    positions: Mapping[str, AccountPosition]
    cash: Decimal | None = None
    left_out: frozenset[str] = frozenset()  # held, but their rows could not be read: how much is not known
    unnamed: int = 0  # rows that could not be read and do not even say of what they are
    foreign: frozenset[str] = frozenset()  # held, and left out because no portfolio file can hold such things
    options_buying_power: Decimal | None = None  # dollars, as Alpaca says; None: it does not

    def is_foreign(self, symbol: str) -> bool:
        """Whether a symbol is of what is left out here; a coin has a slash in trades, and none in positions."""
        return is_coin_pair(symbol) or symbol.replace("/", "") in self.foreign


EMPTY_CLOSES: Final[Mapping[str, PreviousClose]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AccountState:
    """Everything that REST added to a snapshot."""

    reports: Mapping[RestTask, RestReport] = field(
        default_factory=lambda: MappingProxyType({task: RestReport(task) for task in RestTask})
    )
    view: AccountPositions | None = None  # None: not known
    closes: Mapping[str, PreviousClose] = field(default_factory=lambda: EMPTY_CLOSES)
    # All executions of `executions_day` that are in `view`, oldest first.
    executions: tuple[Execution, ...] = ()
    executions_day: date | None = None  # in New York; None: whether these are all of today's is not known
    # Executions known by now that `view` does not have yet, oldest first; where it may have them, their symbols.
    later: tuple[Execution, ...] = ()
    unsettled: frozenset[str] = frozenset()
    # Symbols of which more or less is held than what is told of the day comes to: what moved them is not told yet.
    unexplained: frozenset[str] = frozenset()
    # What a split, a transfer or the like moved on that day: no execution says by how much.
    moved: frozenset[str] = frozenset()
    moves: tuple[AccountMove, ...] = ()  # the same, one by one
    doubts: tuple[str, ...] = ()  # why it is not, as sentences
