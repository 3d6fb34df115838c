"""How far what a payoff is drawn of has come, for how long it is held, and what capital the account names for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.extremes import Limit
from options_helper.analysis.risk.payoff_view import Subject
from options_helper.analysis.risk.trade_progress import days_in_trade, percent_of_best
from options_helper.model.account import AccountPositions, AccountState
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import Portfolio, PortfolioEntry
from options_helper.model.text import format_holding


@dataclass(frozen=True, slots=True)
class Progress:
    """What is known of a trade beside its curves; None is "not known", and its reason stands beside it."""

    percent_of_best: float | None  # of the greatest profit at the end
    why_no_percent: str  # a clause
    days: int | None  # calendar days since the first of it was opened
    cost_by_account: float | None  # dollars, for what is held of it; a credit is negative
    why_no_cost: str  # a clause
    buying_power: float | None  # dollars, of the whole account for options
    account_age_seconds: float | None  # since the account was asked; None: it was not read


def progress_of(subject: Subject, book: BookFigures, portfolio: Portfolio, account: AccountState) -> Progress:
    """That of an entry, or of all entries on an underlying, at the book's instant."""
    entries = _entries(subject, portfolio)
    profits = [book.profits.unrealized.get(entry.id) for entry in entries]
    known = [profit for profit in profits if profit is not None]
    percent = percent_of_best(sum(known), subject.held.best) if len(known) == len(profits) else None
    days = [days_in_trade(entry, new_york_date(book.as_of)) for entry in entries]
    opened = [one for one in days if one is not None]
    view = account.view
    cost, why = (None, "it was not read") if view is None else _cost(entries, view)
    power = None if view is None or view.options_buying_power is None else float(view.options_buying_power)
    return Progress(
        percent_of_best=percent,
        why_no_percent=""
        if percent is not None
        else _why_no_percent(subject, is_known=len(known) == len(profits)),
        days=max(opened) if opened and len(opened) == len(days) else None,
        cost_by_account=cost,
        why_no_cost=why,
        buying_power=power,
        account_age_seconds=None if view is None else max(0.0, (book.as_of - view.as_of).total_seconds()),
    )


def _entries(subject: Subject, portfolio: Portfolio) -> list[PortfolioEntry]:
    if subject.key.startswith("e:"):
        return [entry for entry in portfolio.positions if entry.id == subject.held.name]
    return [
        entry
        for entry in portfolio.positions
        if all(line.instrument.underlying == subject.underlying for line in entry.lines)
    ]


def _why_no_percent(subject: Subject, *, is_known: bool) -> str:
    best = subject.held.best
    if best.limit is Limit.UNLIMITED:
        return "there is no most to win"
    if best.amount is None:
        return f"the most to win is not known: {best.reason}"
    return "at its best it wins nothing" if is_known else "the profit so far is not known"


def _cost(entries: Iterable[PortfolioEntry], view: AccountPositions) -> tuple[float | None, str]:
    """Dollars, and why there are none: of what the account holds more of than these entries, their part of it."""
    held: dict[str, Decimal] = {}
    for entry in entries:
        for line in entry.lines:
            symbol = line.instrument.live_symbol
            held[symbol] = held.get(symbol, Decimal(0)) + line.quantity
    total = Decimal(0)
    for symbol, quantity in held.items():
        position = view.positions.get(symbol)
        if position is None or quantity * position.quantity <= 0 or abs(quantity) > abs(position.quantity):
            return None, f"it does not hold as much of {format_holding(symbol)}"
        if position.cost_basis is None:
            return None, f"it names no cost of {format_holding(symbol)}"
        # A short's is written with a minus and without.
        total += abs(position.cost_basis) * quantity / abs(position.quantity)
    return float(total), ""
