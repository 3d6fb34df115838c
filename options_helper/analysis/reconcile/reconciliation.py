"""Lay the portfolio file beside the account: where they differ, why that is likely, and what to put into the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, assert_never

from options_helper.analysis.holdings import was_split
from options_helper.analysis.option_events import halves
from options_helper.analysis.reconcile.account_import import (
    NotImportableError,
    contradicts_itself,
    entry_of,
    opening_cost,
)
from options_helper.analysis.reconcile.file_edits import (
    UNLESS_MEANT,
    FileEdits,
    Lot,
    format_ids,
    lots_by_symbol,
    other_multiplier,
)
from options_helper.analysis.reconcile.moves import Holding, Moves
from options_helper.model.account import (
    AccountMove,
    AccountPosition,
    AccountPositions,
    AccountState,
    Execution,
    ExecutionKind,
    PositionMove,
    executions_by_symbol,
)
from options_helper.model.alpaca_symbols import underlying_root
from options_helper.model.contract_hours import has_ended
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions, new_york_date
from options_helper.model.portfolio import (
    COST_TOLERANCE,
    Instrument,
    MultiLegPosition,
    Portfolio,
    PortfolioEntry,
)
from options_helper.model.text import format_price, format_symbol, named

UNNAMED: Final = "a position without a symbol"
_SAID_AT_MOST: Final = 3
_AVERAGE_DIGITS: Final = 4
_NONE: Final = Decimal(0)


class Cause(StrEnum):
    """Everything that may be said of why file and account differ."""

    FILL_AFTER_FILE = "fill_after_file"
    EXPIRY = "expiry"
    ASSIGNMENT = "assignment"
    EXERCISE = "exercise"
    CASH_SETTLEMENT = "cash_settlement"
    OPTION_TRADE = "option_trade"
    SPLIT = "split"
    NAME_CHANGE = "name_change"
    SPIN_OFF = "spin_off"
    MERGER = "merger"
    STOCK_DIVIDEND = "stock_dividend"
    ADJUSTED = "adjusted"
    TRANSFER = "transfer"
    CORRECTION = "correction"
    NOT_IN_FILE = "not_in_file"
    NOT_IN_ACCOUNT = "not_in_account"
    UNEXPLAINED = "unexplained"
    NOT_READ = "not_read"
    MULTIPLIER = "multiplier"
    COST_METHOD = "cost_method"
    NOT_COMPARED = "not_compared"
    COST_NOT_IN_FILE = "cost_not_in_file"
    CONTRADICTION = "contradiction"
    NO_PLACE_IN_FILE = "no_place_in_file"
    LAST_TRADE_VALUATION = "last_trade_valuation"

    @property
    def label(self) -> str:
        """The cause as a person reads it."""
        return _CAUSE_LABELS[self]


_CAUSE_LABELS: Final[Mapping[Cause, str]] = {
    Cause.FILL_AFTER_FILE: "filled after the file was written",
    Cause.EXPIRY: "expired",
    Cause.ASSIGNMENT: "assigned",
    Cause.EXERCISE: "exercised",
    Cause.CASH_SETTLEMENT: "settled in cash",
    Cause.OPTION_TRADE: "shares moved by an assignment or exercise",
    Cause.SPLIT: "split",
    Cause.NAME_CHANGE: "name or symbol change",
    Cause.SPIN_OFF: "spin-off",
    Cause.MERGER: "merger or reorganization",
    Cause.STOCK_DIVIDEND: "dividend in shares",
    Cause.ADJUSTED: "contract adjusted by a corporate action",
    Cause.TRANSFER: "transfer",
    Cause.CORRECTION: "corrected or allocated by Alpaca",
    Cause.NOT_IN_FILE: "not in the file, and no known execution says why",
    Cause.NOT_IN_ACCOUNT: "not in the account, and no known execution says why",
    Cause.UNEXPLAINED: "no known execution explains the quantity",
    Cause.NOT_READ: "the account's row cannot be read",
    Cause.MULTIPLIER: "the file has another multiplier than follows from Alpaca's cost",
    Cause.COST_METHOD: (
        "cost method or cost carried over: Alpaca averages today's lots, takes older ones first in, first out, "
        "and knows nothing of what closed parts brought"
    ),
    Cause.NOT_COMPARED: "not compared, because contracts are shared and not every cost is known",
    Cause.COST_NOT_IN_FILE: "the file names no cost",
    Cause.CONTRADICTION: "Alpaca's price per share and its total contradict each other, so costs were not compared",
    Cause.NO_PLACE_IN_FILE: "no portfolio file can hold it",
    Cause.LAST_TRADE_VALUATION: "Alpaca values by the last trade",
}
_BY_KIND: Final[Mapping[ExecutionKind, Cause]] = {
    ExecutionKind.FILL: Cause.FILL_AFTER_FILE,
    ExecutionKind.EXPIRY: Cause.EXPIRY,
    ExecutionKind.ASSIGNMENT: Cause.ASSIGNMENT,
    ExecutionKind.EXERCISE: Cause.EXERCISE,
    ExecutionKind.CASH_SETTLEMENT: Cause.CASH_SETTLEMENT,
    ExecutionKind.OPTION_TRADE: Cause.OPTION_TRADE,
}
_BY_MOVE: Final[Mapping[PositionMove, Cause]] = {
    PositionMove.ALLOCATION: Cause.CORRECTION,
    PositionMove.CORRECTION: Cause.CORRECTION,
    PositionMove.EXTERNAL_TRADE: Cause.TRANSFER,
    PositionMove.JOURNAL_OF_SHARES: Cause.TRANSFER,
    PositionMove.MERGER: Cause.MERGER,
    PositionMove.NAME_CHANGE: Cause.NAME_CHANGE,
    PositionMove.OPTION_CORPORATE_ACTION: Cause.ADJUSTED,
    PositionMove.REORGANIZATION: Cause.MERGER,
    PositionMove.SPIN_OFF: Cause.SPIN_OFF,
    PositionMove.SPLIT: Cause.SPLIT,
    PositionMove.STOCK_DIVIDEND: Cause.STOCK_DIVIDEND,
    PositionMove.SYMBOL_CHANGE: Cause.NAME_CHANGE,
    PositionMove.TRANSFER: Cause.TRANSFER,
    PositionMove.VOLUNTARY_OFFERING: Cause.MERGER,
}


@dataclass(frozen=True, slots=True)
class ReconciledRow:
    """One contract, share, or net debit of a structure, in the file and in the account.

    Costs and values are dollars with the sign of the quantity: what a short brought in is negative.
    """

    symbol: (
        str | None
    )  # as Alpaca writes it; None: the net debit of a structure, or a position that is not named
    label: str
    agrees: bool | None  # by quantity and cost; None: not known
    file_quantity: Decimal | None = None  # None, like the account's, where there is no symbol
    account_quantity: Decimal | None = None
    file_cost: Decimal | None = None
    account_cost: Decimal | None = None
    file_value: Decimal | None = None
    account_value: Decimal | None = None
    causes: tuple[Cause, ...] = ()
    unknown_to_file: tuple[Execution, ...] = ()  # the executions that explain the quantities, oldest first
    moves: tuple[AccountMove, ...] = ()  # the splits, transfers and the like that do
    advice: str | None = None  # what to do with the file
    edit: str | None = None  # the entry that `advice` speaks of, as JSON
    cash_edit: str | None = None  # what to do with the file's cash when positions follow `advice`

    @property
    def reasons(self) -> tuple[str, ...]:
        """The causes as a person reads them, with the day of a split, a transfer or the like."""
        days = {_BY_MOVE[one.move]: short_date(one.day) for one in self.moves}
        return tuple(f"{one.label} on {days[one]}" if one in days else one.label for one in self.causes)


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Everything that the file or the account holds, in the order of the file."""

    rows: tuple[ReconciledRow, ...]
    remarks: tuple[str, ...] = ()  # what the account holds and no file can: nothing is there to compare

    @property
    def unexplained(self) -> int:
        """How many rows differ in quantity for no reason that is known."""
        unknown = {Cause.NOT_IN_FILE, Cause.NOT_IN_ACCOUNT, Cause.UNEXPLAINED}
        return sum(not unknown.isdisjoint(row.causes) for row in self.rows)

    @property
    def agrees(self) -> bool | None:
        """Whether quantities and costs agree in every row; None: where they can be compared, they do."""
        answers = {row.agrees for row in self.rows}
        return False if False in answers else None if None in answers else True


@dataclass(frozen=True, slots=True)
class Behind:
    """The account's executions of today that the file does not know."""

    sentence: str
    edit: str  # what to change in the file, with the entries to copy
    symbols: frozenset[str]  # whose quantities these executions explain


def file_behind(
    portfolio: Portfolio, account: AccountState, told: ToldSessions = NOTHING_TOLD
) -> Behind | None:
    """What the banner says when executions, splits and the like explain why file and account differ; None when not.

    It needs no complete list of them: those that make up the difference exactly are the ones.
    """
    if account.view is None or not (account.executions or account.moves):
        return None
    today = new_york_date(account.view.as_of)
    found = reconcile(
        portfolio, account.view, account.executions, today=today, moves=account.moves, told=told
    )
    rows = [row for row in found.rows if row.unknown_to_file or row.moves]
    if not rows:
        return None
    said = [sentence for row in rows for sentence in _happened(row)]
    more = f"; and {len(said) - _SAID_AT_MOST} more" if len(said) > _SAID_AT_MOST else ""
    return Behind(
        f"Your file is behind the account: {'; '.join(said[:_SAID_AT_MOST])}{more}.",
        proposed_edit(rows),
        frozenset(row.symbol for row in rows if row.symbol),
    )


def proposed_edit(rows: Iterable[ReconciledRow]) -> str:
    """The advice of all rows in one text, every entry once, and the cash that goes with new positions."""
    advised = [row for row in rows if row.advice]
    changes = dict.fromkeys(
        row.advice if row.edit is None else f"{row.advice}\n{row.edit}" for row in advised
    )
    cash = dict.fromkeys(row.cash_edit for row in advised)
    return "\n\n".join(filter(None, (*changes, *cash)))


def _by_order(executions: Iterable[Execution]) -> Iterator[Execution]:
    """The partial fills of an order as one, at their average price; executions are of one symbol."""
    orders: dict[tuple[object, ...], list[Execution]] = {}
    for index, one in enumerate(executions):
        is_part = one.kind is ExecutionKind.FILL and one.order_id is not None
        # A correction goes the other way and is told apart.
        key = (one.order_id, one.quantity > 0) if is_part else (index,)
        orders.setdefault(key, []).append(one)
    for parts in orders.values():
        quantity = sum((one.quantity for one in parts), _NONE)
        amounts = [one.quantity * one.price for one in parts if one.price is not None]
        average = sum(amounts, _NONE) / quantity if len(amounts) == len(parts) and quantity else None
        price = None if average is None else round(average, _AVERAGE_DIGITS).normalize()
        yield parts[0] if len(parts) == 1 else replace(parts[0], quantity=quantity, price=price)


def _happened(row: ReconciledRow) -> Iterator[str]:
    """What changed a position, as a banner says it."""
    if row.moves:
        causes = named([cause.label for cause in dict.fromkeys(_BY_MOVE[one.move] for one in row.moves)], 3)
        before, after = row.file_quantity or _NONE, row.account_quantity or _NONE
        yield f"{before.normalize():f} → {after.normalize():f} {row.label} ({causes})"
    yield from (_format_execution(one, row.label) for one in _by_order(row.unknown_to_file))


def _format_execution(execution: Execution, label: str) -> str:
    many = f"{abs(execution.quantity).normalize():f} {label}"
    price = "" if execution.price is None else f" at {format_price(execution.price)}"
    verb = "bought" if execution.quantity > 0 else "sold"
    match execution.kind:
        case ExecutionKind.FILL:
            return f"{verb} {many}{price}"
        case ExecutionKind.EXPIRY:
            return f"{many} expired"
        case ExecutionKind.ASSIGNMENT:
            return f"{many} assigned"
        case ExecutionKind.EXERCISE:
            return f"{many} exercised"
        case ExecutionKind.CASH_SETTLEMENT:
            return f"{many} settled in cash{price}"
        case ExecutionKind.OPTION_TRADE:
            return f"{verb} {many}{price} by assignment or exercise"
        case _:
            assert_never(execution.kind)


def reconcile(
    portfolio: Portfolio,
    view: AccountPositions,
    executions: Sequence[Execution],
    *,
    today: date,
    marks: Mapping[str, float] | None = None,
    file_date: date | None = None,
    moves: Sequence[AccountMove] = (),
    told: ToldSessions = NOTHING_TOLD,
) -> Reconciliation:
    """Compare a portfolio with the account.

    `executions`, oldest first, and `moves` explain quantities; those before `file_date` are in the file. `marks` are
    this program's own, in dollars per share by Alpaca's symbol; without them the file has no values. What the market
    `told` of its hours decides when a contract has ended.
    """
    lots = lots_by_symbol(portfolio)
    later = executions_by_symbol(one for one in executions if file_date is None or one.day >= file_date)
    half_told = halves(one for of_symbol in later.values() for one in of_symbol)
    later_moves = Moves(one for one in moves if file_date is None or one.day >= file_date)
    homeless = {
        symbol: why
        for symbol, position in sorted(view.positions.items())
        if symbol not in lots and (why := _no_place(position)) is not None
    }
    sides = {
        symbol: _Sides(
            symbol=symbol,
            lots=tuple(lots.get(symbol, ())),
            position=view.positions.get(symbol),
            readable=symbol not in view.left_out,
            foreign=symbol in view.foreign,
            executions=later.get(symbol, ()),
            shares_moved=underlying_root(symbol) in half_told,
            own_moves=later_moves.of(symbol),
            related_moves=later_moves.about(symbol),
            mark=(marks or {}).get(symbol),
            as_of=view.as_of,
            told=told,
        )
        for symbol in dict.fromkeys([*lots, *sorted(view.positions.keys() | view.left_out)])
        if symbol not in homeless
    }
    over = frozenset(symbol for symbol, one in sides.items() if one.is_over)
    edits = FileEdits(portfolio, lots, view, _successors(sides, later_moves), split=_split(sides), over=over)
    cash = _cash_edit(portfolio, view)
    rows = {symbol: _row(one, edits, today, cash) for symbol, one in sides.items()}
    unnamed = [ReconciledRow(None, UNNAMED, agrees=None, causes=(Cause.NOT_READ,))] * view.unnamed
    return Reconciliation(
        rows=(*_in_order(portfolio, sides, rows, edits), *unnamed),
        remarks=tuple(homeless.values()),
    )


def _successors(sides: Mapping[str, _Sides], moves: Moves) -> Mapping[str, str]:
    gone = [Holding(name, one.file_quantity) for name, one in sides.items() if one.is_gone]
    new = [
        Holding(name, one.position.quantity)
        for name, one in sides.items()
        if one.position and not one.lots and not one.is_over
    ]
    return moves.successors(gone, new)


def _split(sides: Mapping[str, _Sides]) -> frozenset[str]:
    kinds = {PositionMove.SPLIT, PositionMove.STOCK_DIVIDEND}
    return frozenset(name for name, one in sides.items() if any(move.move in kinds for move in one.moves))


def _no_place(position: AccountPosition | None) -> str | None:
    """Why no portfolio file can hold a position; None where one can."""
    try:
        if position is not None:
            entry_of(position)
    except NotImportableError as error:
        return str(error)
    return None


def _in_order(
    portfolio: Portfolio, sides: Mapping[str, _Sides], rows: dict[str, ReconciledRow], edits: FileEdits
) -> Iterator[ReconciledRow]:
    """The rows in the order of the file, a structure's net debit after its legs, then what the file does not have."""
    sharing = _sharing(portfolio, sides)
    for entry in portfolio.positions:
        yield from (rows.pop(symbol) for symbol in _symbols([entry]) if symbol in rows)
        together = sharing[entry.id]
        if entry != together[-1] or not any(isinstance(one, MultiLegPosition) for one in together):
            continue
        legs = [sides[symbol] for symbol in _symbols(together)]
        if not all(leg.same_quantity for leg in legs):
            continue
        # The rows of the contracts have compared what each leg names itself.
        names_debit = any(isinstance(one, MultiLegPosition) and one.net_debit is not None for one in together)
        if len(together) > 1 and names_debit:
            yield _shared_row(together, legs)
        elif isinstance(entry, MultiLegPosition) and names_debit:
            yield from _net_debit_row(entry, legs, edits)
    yield from rows.values()


def _symbols(entries: Iterable[PortfolioEntry]) -> dict[str, None]:
    return dict.fromkeys(one.live_symbol for entry in entries for one in entry.instruments)


def _sharing(portfolio: Portfolio, sides: Mapping[str, _Sides]) -> dict[str, tuple[PortfolioEntry, ...]]:
    """By id, the entries that hang together by contracts they share, itself among them, in the order of the file."""
    entries = {entry.id: entry for entry in portfolio.positions}
    indices = {identity: index for index, identity in enumerate(entries)}
    found: dict[str, tuple[PortfolioEntry, ...]] = {}
    for identity in entries:
        if identity in found:
            continue
        together, to_follow = {identity}, [identity]
        while to_follow:
            for symbol in _symbols([entries[to_follow.pop()]]):
                fresh = sides[symbol].holders - together
                together |= fresh
                to_follow += fresh
        members = tuple(entries[one] for one in sorted(together, key=indices.__getitem__))
        found |= dict.fromkeys(together, members)
    return found


@dataclass(frozen=True, slots=True)
class _Sides:
    """One contract or share, in the file and in the account."""

    symbol: str
    lots: tuple[Lot, ...]
    position: AccountPosition | None
    readable: bool
    foreign: bool  # the account holds it, and no file of ours can
    executions: tuple[Execution, ...]  # that the file may not know
    shares_moved: bool  # for a contract on this underlying, of which nobody says which one it was
    own_moves: tuple[AccountMove, ...]  # that the file may not know
    related_moves: tuple[AccountMove, ...]  # these, or those of what a contract is written on
    mark: float | None
    as_of: datetime  # when the account was asked
    told: ToldSessions

    @property
    def instrument(self) -> Instrument | None:
        """What it is; None for a position that no file can hold."""
        if self.lots:
            return self.lots[0].instrument
        try:
            return entry_of(self.position).instrument if self.position else None
        except NotImportableError:
            return None

    @property
    def holders(self) -> set[str]:
        """The entries of the file that hold it."""
        return {lot.entry.id for lot in self.lots}

    @property
    def file_quantity(self) -> Decimal:
        return sum((lot.line.quantity for lot in self.lots), _NONE)

    @property
    def account_quantity(self) -> Decimal | None:
        if not self.readable:
            return None
        return self.position.quantity if self.position else _NONE

    @property
    def same_quantity(self) -> bool:
        return self.account_quantity == self.file_quantity

    @property
    def is_gone(self) -> bool:
        """Whether the file holds it and the account does not."""
        return bool(self.lots and self.readable and self.position is None and not self.foreign)

    @property
    def is_over(self) -> bool:
        """Whether only the account holds it, and that no longer than until it has booked the end."""
        return not self.lots and self.position is not None and self.has_ended()

    @property
    def multiplier(self) -> int | None:
        instrument = self.instrument
        return instrument.multiplier if instrument else None

    @property
    def other_multiplier(self) -> bool:
        """Whether the account's costs say that the file has a wrong multiplier."""
        position = self.position
        return position is not None and any(other_multiplier(lot.entry, position) for lot in self.lots)

    @property
    def file_cost(self) -> Decimal | None:
        return _sum_of_known([lot.line.opening_cost for lot in self.lots]) if self.lots else None

    @property
    def account_cost(self) -> Decimal | None:
        return opening_cost(self.position, self.multiplier) if self.position else None

    def has_ended(self, today: date | None = None) -> bool:
        """Whether it is a contract that has expired, when the account was asked or before `today`."""
        one = self.instrument
        if one is None or one.expiry is None:
            return False
        return (today is not None and one.expiry < today) or has_ended(
            one.live_symbol, one.expiry, self.as_of, self.told, at_open=one.settled_at_open
        )

    @property
    def contradicts_itself(self) -> bool:
        """Whether the account says two things of what it cost."""
        position = self.position
        return position is not None and contradicts_itself(position) and not self.other_multiplier

    @property
    def cost_in_doubt(self) -> bool:
        """Whether the file's cost is neither of the two that the account says."""
        position, in_file = self.position, self.file_cost
        if position is None or in_file is None or not (self.same_quantity and self.contradicts_itself):
            return False
        by_price = (position.average_price or _NONE) * position.quantity * (self.multiplier or 1)
        in_all = abs(position.cost_basis or _NONE).copy_sign(position.quantity)
        return all(_differ(in_file, said, [self]) for said in (by_price, in_all))

    @property
    def file_value(self) -> Decimal | None:
        """At the mark; None where there is none, where it has ended, and where the mark is of another share."""
        if self.mark is None or not self.lots or self.multiplier is None:
            return None
        if self.has_ended() or self.moves or was_split(self.position, self.file_quantity, self.file_cost):
            return None
        return Decimal(str(self.mark)) * self.file_quantity * self.multiplier

    @property
    def account_value(self) -> Decimal | None:
        if self.position is None or self.position.market_value is None:
            return None
        return abs(self.position.market_value).copy_sign(self.position.quantity)

    @property
    def lacks_cost(self) -> bool:
        """Whether the account knows a cost that the file could name and does not."""
        return self.account_cost is not None and not all(lot.names_cost for lot in self.lots)

    @property
    def unknown_to_file(self) -> tuple[Execution, ...]:
        """The newest executions that make up the difference, alone or with all moves; none where they do not."""
        if self.is_over:
            return ()
        return self._newest(_NONE) or (self._newest(self._moved) if self._moved is not None else ())

    @property
    def moves(self) -> tuple[AccountMove, ...]:
        """The moves that have to do with a difference which executions alone do not make up."""
        differs = self.account_quantity is not None and not self.same_quantity and not self.is_over
        is_told = bool(self._newest(_NONE)) or (self.is_gone and self.has_ended())
        return self.related_moves if differs and not is_told else ()

    @property
    def are_moves_all(self) -> bool:
        """Whether moves, with or without executions, make up the difference as far as they tell of it."""
        if self.account_quantity is None or self._moved is None or not self.own_moves:
            return bool(self.moves)
        return self.account_quantity - self.file_quantity == self._moved or bool(self._newest(self._moved))

    @property
    def _moved(self) -> Decimal | None:
        """By how much moves changed it; None where one does not say."""
        return _sum_of_known([one.quantity for one in self.own_moves])

    def _newest(self, moved: Decimal) -> tuple[Execution, ...]:
        if self.account_quantity is None:
            return ()
        open_difference = self.account_quantity - self.file_quantity - moved
        for index in range(len(self.executions) - 1, -1, -1):
            if open_difference == 0:
                break
            open_difference -= self.executions[index].quantity
            if open_difference == 0:
                return self.executions[index:]
        return ()


def _cash_edit(portfolio: Portfolio, view: AccountPositions) -> str | None:
    """The account's cash as a line of the file; None where one does not say it, or both say the same."""
    if portfolio.cash is None or view.cash is None:
        return None
    named = Decimal(str(portfolio.cash))
    if abs(named - view.cash) <= COST_TOLERANCE:
        return None
    return (
        f"Replace the cash of {named:,.2f}, which does not go with these positions, by the account's:\n"
        f'"cash": {view.cash:f}'
    )


def _row(sides: _Sides, edits: FileEdits, today: date, cash_edit: str | None) -> ReconciledRow:
    differences = tuple(_differences(sides, today))
    remarks = tuple(_remarks(sides, today))
    improvable = sides.readable and (differences or Cause.COST_NOT_IN_FILE in remarks)
    advice = edits.for_symbol(sides.symbol) if improvable else None
    if advice and differences == (Cause.COST_METHOD,):
        advice = advice.unless_meant()
    moved = not sides.same_quantity and sides.instrument is not None and not sides.is_over
    return ReconciledRow(
        symbol=sides.symbol,
        label=sides.instrument.label if sides.instrument else format_symbol(sides.symbol),
        agrees=not differences if sides.readable and not sides.cost_in_doubt else None,
        file_quantity=sides.file_quantity,
        account_quantity=sides.account_quantity,
        file_cost=sides.file_cost,
        account_cost=sides.account_cost,
        file_value=sides.file_value,
        account_value=sides.account_value,
        causes=differences + remarks,
        unknown_to_file=sides.unknown_to_file,
        moves=sides.moves,
        advice=advice.sentence if advice else None,
        edit=advice.entry if advice else None,
        cash_edit=cash_edit if moved else None,
    )


def _differences(sides: _Sides, today: date) -> Iterator[Cause]:
    """What speaks against the file."""
    if not sides.readable:
        yield Cause.NOT_READ
    elif sides.is_over:
        return
    elif sides.same_quantity:
        if _differ(sides.file_cost, sides.account_cost, [sides]):
            yield Cause.MULTIPLIER if sides.other_multiplier else Cause.COST_METHOD
    elif sides.unknown_to_file or sides.moves:
        yield from dict.fromkeys(_BY_MOVE[one.move] for one in sides.moves)
        yield from dict.fromkeys(_BY_KIND[one.kind] for one in sides.unknown_to_file)
        if sides.moves and not sides.are_moves_all:
            yield _unexplained(sides, today)
    else:
        yield _unexplained(sides, today)


def _unexplained(sides: _Sides, today: date) -> Cause:
    """The likely cause of a quantity that no execution explains."""
    if sides.foreign:
        return Cause.NO_PLACE_IN_FILE
    if not sides.lots:
        return Cause.NOT_IN_FILE
    if sides.position is not None:
        return Cause.UNEXPLAINED
    if sides.shares_moved and sides.instrument is not None and sides.instrument.is_option:
        return Cause.OPTION_TRADE
    return Cause.EXPIRY if sides.has_ended(today) else Cause.NOT_IN_ACCOUNT


def _remarks(sides: _Sides, today: date) -> Iterator[Cause]:
    """What file and account say differently, or only one of them says, though nothing is wrong with either."""
    if sides.is_over:
        yield Cause.EXPIRY
    if not sides.same_quantity:
        return
    if sides.account_quantity and sides.has_ended(today):
        yield Cause.EXPIRY
    if sides.lacks_cost:
        yield Cause.COST_NOT_IN_FILE
    if sides.contradicts_itself:
        yield Cause.CONTRADICTION
    if _differ(sides.file_value, sides.account_value, [sides]):
        yield Cause.LAST_TRADE_VALUATION


def _net_debit_row(
    entry: MultiLegPosition, legs: Sequence[_Sides], edits: FileEdits
) -> Iterator[ReconciledRow]:
    """What a structure cost, where the account says it of all of its legs."""
    file_cost, account_cost = entry.opening_cost, _sum_of_known([leg.account_cost for leg in legs])
    if account_cost is None:
        return
    differs = _differ(file_cost, account_cost, legs)
    advice = edits.for_entry(entry).unless_meant() if differs else None
    yield ReconciledRow(
        symbol=None,
        label=f"{entry.label} (net debit)",
        agrees=not differs,
        file_cost=file_cost,
        account_cost=account_cost,
        causes=(Cause.COST_METHOD,) if differs else (),
        advice=advice.sentence if advice else None,
        edit=advice.entry if advice else None,
    )


def _shared_row(together: Sequence[PortfolioEntry], sides: Sequence[_Sides]) -> ReconciledRow:
    """What entries cost that share contracts; the account, with one cost for each contract, tells only the sum."""
    file_cost = _sum_of_known([entry.opening_cost for entry in together])
    account_cost = _sum_of_known([side.account_cost for side in sides])
    compared = file_cost is not None and account_cost is not None
    differs = _differ(file_cost, account_cost, sides)
    names = format_ids(together)
    return ReconciledRow(
        symbol=None,
        label=f"{names}, which share contracts (net debit)",
        agrees=not differs if compared else None,
        file_cost=file_cost,
        account_cost=account_cost,
        causes=(Cause.COST_METHOD,) if differs else () if compared else (Cause.NOT_COMPARED,),
        advice=f"{UNLESS_MEANT} Change the costs of {names} so that together they come to {account_cost:,.2f}."
        if differs
        else None,
    )


def _sum_of_known(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, _NONE) if len(known) == len(amounts) else None


def _differ(file: Decimal | None, account: Decimal | None, sides: Sequence[_Sides]) -> bool:
    """Whether two amounts are farther apart than rounding to cents per share puts them."""
    if file is None or account is None:
        return False
    shares = sum((abs(one.file_quantity) * (one.multiplier or 1) for one in sides), _NONE)
    return abs(file - account) > COST_TOLERANCE * shares
