"""What must be true of what is told of an account, whatever happened to it and on the way to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, time
from decimal import Decimal
from itertools import chain

from options_helper.model.account import AccountState, RestPhase, RestTask
from options_helper.model.market_hours import NEW_YORK, new_york_date
from tests.days.account.desk import AccountDesk
from tests.days.account.world import SYMBOLS, Account


def broken_law(account: Account, desk: AccountDesk, now: float) -> str | None:
    """A sentence for the first law that what is told now breaks; `now` in the account's seconds."""
    state = desk.account_state
    laws = (
        _midnight(account, desk, now),
        _one_moment(account, state, now),
        _told_once(desk),
        _says_why(state),
    )
    return next(chain(*laws), None)


def _midnight(account: Account, desk: AccountDesk, now: float) -> Iterator[str]:
    """Held now less what was executed today is what was held at midnight, wherever no doubt is told.

    But for what happened just before the day's first reading and was told late: nobody can know of that.
    """
    state = desk.account_state
    today = new_york_date(account.moment(now))
    if state.view is None or state.executions_day != today:
        return
    midnight = datetime.combine(today, time(), NEW_YORK)
    really = account.quantities((midnight - account.opened).total_seconds() - 0.001)
    executed: defaultdict[str, Decimal] = defaultdict(Decimal)
    for execution in state.executions:
        executed[execution.symbol] += execution.quantity
    first, late = desk.first_reading.get(today, (now, 0.0))
    untold = {
        symbol
        for one in account.happenings
        if first - late < one.at <= first + 1
        for symbol, _ in one.changes
    }
    for symbol in SYMBOLS:
        if symbol in state.unsettled | state.unexplained | state.moved | untold:
            continue
        position = state.view.positions.get(symbol)
        told = (position.quantity if position else Decimal(0)) - executed[symbol]
        if told != really.get(symbol, 0):
            yield f"{symbol}: {told} held at midnight, says the account's state; it was {really.get(symbol, 0)}"


def _one_moment(account: Account, state: AccountState, now: float) -> Iterator[str]:
    """There is a moment at which just these positions were held, after all that is counted in and before the rest."""
    if state.view is None:
        return
    asked = (state.view.as_of - account.opened).total_seconds()
    moments = [asked, *(one.at for one in account.happenings if asked <= one.at <= now)]
    happened = {piece.execution_id: one.at for one in account.happenings for piece in one.pieces}
    for symbol in SYMBOLS:
        if symbol in state.unsettled:
            continue
        position = state.view.positions.get(symbol)
        held = position.quantity if position else Decimal(0)
        counted = [happened.get(one.identity, 0.0) for one in state.executions if one.symbol == symbol]
        later = [happened.get(one.identity, now) for one in state.later if one.symbol == symbol]
        if not any(
            held == account.quantities(at).get(symbol, 0)
            and all(one <= at for one in counted)
            and all(one > at for one in later)
            for at in moments
        ):
            yield f"{symbol}: {held} held beside {len(later)} later executions, as at no moment since it was asked"


def _told_once(desk: AccountDesk) -> Iterator[str]:
    entries = Counter(
        (entry.order_id, entry.filled_qty, entry.symbol)
        for entry in desk.state.fills.entries()
        if entry.is_fill
    )
    for name, count in entries.items():
        if count > 1:
            yield f"a fill is told {count} times: {name}"


def _says_why(state: AccountState) -> Iterator[str]:
    """Where no day is known, there is a sentence."""
    is_done = all(
        state.reports[task].phase is RestPhase.DONE for task in (RestTask.FILLS, RestTask.POSITIONS)
    )
    if state.view is not None and state.executions_day is None and is_done and not state.doubts:
        yield "no day is known, and nobody says why"


def unfinished(account: Account, desk: AccountDesk, now: float) -> str | None:
    """What should be known by now, after some quiet minutes, and is not."""
    return next(_unfinished(account, desk, now), None)


def _unfinished(account: Account, desk: AccountDesk, now: float) -> Iterator[str]:
    state = desk.account_state
    if state.executions_day is None and not state.doubts:
        yield "today's executions are not known after some quiet minutes"
    if state.unsettled:
        yield f"still open after some quiet minutes: {', '.join(sorted(state.unsettled))}"
    if state.unexplained:
        yield f"still unexplained after some quiet minutes: {', '.join(sorted(state.unexplained))}"
    if state.view is not None:
        really = {symbol: quantity for symbol, quantity in account.quantities(now).items() if quantity}
        told = {symbol: int(one.quantity) for symbol, one in state.view.positions.items()}
        if told != really:
            yield f"positions are told as {told} and are {really}"
    wanted = {piece.execution_id for one in account.until(now) for piece in one.pieces}
    told_ids = {entry.execution_id for entry in desk.state.fills.entries() if entry.is_fill}
    if missing := sorted(wanted - told_ids):
        yield f"never told: {', '.join(missing)}"
