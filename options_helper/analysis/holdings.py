"""What the file holds beside what the account holds: a sum of the file's lines is right only as far as they agree."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from options_helper.model.account import AccountPosition, AccountPositions, AccountState, RestPhase, RestTask
from options_helper.model.contract_hours import has_ended
from options_helper.model.contract_symbols import is_contract_symbol, parse_contract_symbol
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions
from options_helper.model.portfolio import AccountPortfolio, Portfolio
from options_helper.model.text import format_count, format_holding, named

_ZERO: Final = Decimal(0)
# Two totals that are as near as this are one cost: what a split leaves as it is.
_SAME_COST: Final = Decimal("0.005")
# The quantities of what was split differ by a tenth at least; what differs by less was traded.
_SPLIT_AT_LEAST: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Holdings:
    """Where the quantities of file and account differ; symbols in Alpaca's spelling, in the order of their side."""

    read_at: datetime | None = (
        None  # the account's positions, on the market's clock; None: nothing is known of them
    )
    account_only: tuple[str, ...] = ()  # the file lacks them
    file_only: tuple[str, ...] = ()  # the account lacks them
    other_quantity: tuple[str, ...] = ()  # both have them
    unread: tuple[str, ...] = ()  # how much the account has of them is not known
    # Of those that differ, what a split, a transfer or the like moved: neither quantity nor cost are in today's share.
    moved: tuple[str, ...] = ()
    # What the account holds of each that differs, 0 of what it lacks, with what was executed since it was read.
    of_account: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    cash: Decimal | None = None  # the account's
    # Why the account, which was asked, is not known as it is now: "it could not be read"; empty where it is, and where
    # nobody asks it. With `read_at` it was known before.
    unanswered: str = ""
    is_account: bool = False  # what is compared was made of the account itself, and is no file
    lacking_of: tuple[
        str, ...
    ] = ()  # of several accounts together, those that hold what `account_only` names
    without: tuple[str, ...] = ()  # of several accounts together, those of which nothing is known
    not_compared_of: tuple[str, ...] = ()  # of several together: what is not compared, each with its account

    @property
    def in_doubt(self) -> frozenset[str]:
        """The symbols whose quantity in the file is not the account's, or may not be."""
        return frozenset((*self.file_only, *self.other_quantity, *self.unread))

    @property
    def differing(self) -> int:
        """How many symbols differ."""
        return len(self.account_only) + len(self.file_only) + len(self.other_quantity)

    @property
    def holder(self) -> str:
        """Who holds what `account_only` names: "the account", of several by name."""
        if not self.lacking_of:
            return "the account"
        return f"the account{'s' * (len(self.lacking_of) > 1)} {' and '.join(self.lacking_of)}"

    @property
    def lacking(self) -> str:
        """What is said of a position that is the account's alone."""
        return "cannot be shown here" if self.is_account else "the file lacks"

    @property
    def not_compared(self) -> str:
        """That there is no account to compare the file with, or only an old one, and why; empty where it is of now.

        Where the quantities are the account's own, that they are old.
        """
        if self.not_compared_of:
            return "; ".join(self.not_compared_of)
        if not self.unanswered:
            return ""
        if self.is_account:
            return f"of an older reading of the account ({self.unanswered} since)"
        if self.read_at is None:
            return f"not compared with the account ({self.unanswered})"
        return f"compared with an older reading of the account ({self.unanswered} since)"

    @property
    def caveat(self) -> str:
        """What is said at each figure that rests on the file's quantities alone; empty where they are the account's."""
        count = len(self.account_only)
        are = "is" if count == 1 else "are"
        only = "NOT ALL OF IT" if self.is_account else "FILE ONLY"
        missing = f"{only}: {format_count(count, 'position')} of {self.holder} {are} missing" if count else ""
        doubt = f"QUANTITIES {self.not_compared}" if self.unanswered else ""
        without = f"WITHOUT {' and '.join(self.without)}: what it holds is not known" if self.without else ""
        return "\n".join(filter(None, (without, missing, doubt)))

    def sentences(self, explained: Collection[str] = ()) -> tuple[str, ...]:
        """What file and account hold differently, in sentences without amounts; what is `explained` is left out."""
        return tuple(
            f"{beginning}: {_names(unexplained)}."
            for beginning, symbols in (
                (f"The account holds what {self.lacking}", self.account_only),
                ("The file holds what the account lacks", self.file_only),
                (
                    "The account holds another quantity than the file of these",
                    tuple(symbol for symbol in self.other_quantity if symbol not in self.moved),
                ),
                ("A split, a transfer or the like changed these, and the file does not know it", self.moved),
            )
            if (unexplained := [symbol for symbol in symbols if symbol not in explained])
        )


def is_unread(view: AccountPositions, symbol: str) -> bool:
    """Whether how much the account holds of it is not known: a row that names nothing may be of anything."""
    return symbol in view.left_out or (view.unnamed > 0 and symbol not in view.positions)


def compare_holdings(
    portfolio: Portfolio, account: AccountState, told: ToldSessions = NOTHING_TOLD
) -> Holdings:
    """Lay the quantities side by side, with what was executed since the account was read.

    A contract that has ended, by the market's `told` hours too, and that the account still lists, lacks in no file.
    """
    view = account.view
    unanswered = _unanswered(account)
    if view is None:
        return _not_compared(portfolio, account, unanswered)
    in_file, in_account = portfolio.quantities, account_quantities(view, account)
    unread = tuple(symbol for symbol in in_file if is_unread(view, symbol) or symbol in account.unsettled)
    known = [symbol for symbol in in_file if symbol not in unread]
    other = [symbol for symbol in known if in_account.get(symbol, _ZERO) != in_file[symbol]]
    costs = _share_costs(portfolio)
    account_only = tuple(
        symbol
        for symbol, quantity in in_account.items()
        if quantity
        and symbol not in in_file
        and symbol not in account.unsettled
        and not view.is_foreign(symbol)
        and not _is_over(symbol, view, told)
    )
    return Holdings(
        read_at=view.as_of,
        account_only=account_only,
        file_only=tuple(symbol for symbol in other if not in_account.get(symbol)),
        other_quantity=tuple(symbol for symbol in other if in_account.get(symbol)),
        unread=unread,
        moved=tuple(
            symbol
            for symbol in (*other, *unread)
            if symbol in account.moved
            or was_split(view.positions.get(symbol), in_file[symbol], costs.get(symbol))
        ),
        of_account=MappingProxyType(
            {symbol: in_account.get(symbol, _ZERO) for symbol in (*other, *account_only)}
        ),
        cash=view.cash,
        unanswered=unanswered,
        is_account=isinstance(portfolio, AccountPortfolio),
    )


def _not_compared(portfolio: Portfolio, account: AccountState, unanswered: str) -> Holdings:
    """What is known where the positions are not: of what was traded, nobody knows whether the file has it."""
    if account.reports[RestTask.POSITIONS].phase is RestPhase.OFF:
        return Holdings()
    executed = {execution.symbol for execution in (*account.executions, *account.later)}
    traded = executed | account.unsettled | account.moved
    unread = tuple(symbol for symbol in portfolio.quantities if symbol in traded)
    return Holdings(unread=unread, unanswered=unanswered, is_account=isinstance(portfolio, AccountPortfolio))


def _unanswered(account: AccountState) -> str:
    """Why nothing of now is known of the account that was asked; empty where it answered, or was not asked."""
    report = account.reports[RestTask.POSITIONS]
    if report.phase is RestPhase.OFF:
        return ""
    if report.problem is not None or report.phase is RestPhase.FAILED:
        return "it could not be read"
    return "it has not answered yet" if account.view is None and report.phase is not RestPhase.WAITING else ""


def account_quantities(view: AccountPositions, account: AccountState) -> Mapping[str, Decimal]:
    """How much the account holds of each symbol, signed, with what was executed since it was read."""
    quantities = {symbol: position.quantity for symbol, position in view.positions.items()}
    for execution in account.later:
        quantities[execution.symbol] = quantities.get(execution.symbol, _ZERO) + execution.quantity
    return quantities


def _share_costs(portfolio: Portfolio) -> Mapping[str, Decimal | None]:
    """What the file says that its shares of each symbol cost, in dollars; contracts are replaced in a split."""
    costs: dict[str, Decimal | None] = {}
    for line in portfolio.lines:
        if line.instrument.is_option:
            continue
        symbol, cost = line.instrument.live_symbol, line.opening_cost
        before = costs.get(symbol, _ZERO)
        costs[symbol] = None if before is None or cost is None else before + cost
    return costs


def _is_over(symbol: str, view: AccountPositions, told: ToldSessions) -> bool:
    """Whether it is a contract that had ended when the account was read."""
    return is_contract_symbol(symbol) and has_ended(
        symbol, parse_contract_symbol(symbol).expiry, view.as_of, told
    )


def was_split(position: AccountPosition | None, quantity: Decimal, cost: Decimal | None) -> bool:
    """Whether the account has other shares of the very cost: so it was not traded, whatever is told of it.

    `quantity` and `cost`, in dollars, are the file's.
    """
    if position is None or position.cost_basis is None or not cost or not quantity:
        return False
    ratio = position.quantity / quantity
    same_cost = abs(abs(position.cost_basis) - abs(cost)) <= _SAME_COST * abs(cost)
    return same_cost and ratio > 0 and abs(ratio - 1) >= _SPLIT_AT_LEAST


def _names(symbols: Iterable[str]) -> str:
    return named([format_holding(symbol) for symbol in symbols], 4)
