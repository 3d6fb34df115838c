"""What became of contracts that ended: laid beside the account's positions and its executions since.

An expiry, an assignment or an exercise comes over REST alone, with a day and no time; on paper it is told on the next
day. Until the next session has ended its absence is awaited, and from then on it is unexplained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from options_helper.analysis.attention.deadlines import contract_life
from options_helper.analysis.holdings import is_unread
from options_helper.analysis.option_events import halves
from options_helper.model.account import AccountPositions, Execution, ExecutionKind, executions_by_symbol
from options_helper.model.alpaca_symbols import underlying_root
from options_helper.model.announcement import MarketKind
from options_helper.model.contract_symbols import is_contract_symbol, parse_contract_symbol, short_date
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.market_hours import ToldSessions, new_york_date, next_session, regular_session
from options_helper.model.portfolio import Instrument, Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.text import format_symbol

# What ended before is the file's business: it is said to be expired, and to be taken out.
LOOKS_BACK: Final = timedelta(days=7)
_NOTHING: Final = Decimal(0)
_ENDS: Final[Mapping[ExecutionKind, str]] = {
    ExecutionKind.EXPIRY: "expired",
    ExecutionKind.ASSIGNMENT: "assigned",
    ExecutionKind.EXERCISE: "exercised",
    ExecutionKind.CASH_SETTLEMENT: "settled in cash",
}


class EndedState(StrEnum):
    """Whether it is known what became of a contract."""

    EXPLAINED = "explained"
    AWAITED = "awaited"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class EndedContract:
    """One contract that ended in the last days."""

    symbol: str
    label: str
    state: EndedState
    why: str  # a sentence without an amount of the holder's
    ended: datetime  # when its worth was fixed
    quantity: float | None  # that was held; None: only the account's executions tell of it


@dataclass(frozen=True, slots=True)
class _Ended:
    """What is known of one."""

    symbol: str
    ended: datetime
    held: Decimal | None  # by the file; None: it lacks it
    executions: tuple[Execution, ...]  # since the day on which it was traded for the last time
    in_account: Decimal | None  # since it ended; None: not known
    half_told: bool  # its assignment or exercise, or the shares that it moved, is missing


def ended_contracts(portfolio: Portfolio, live: LiveSnapshot) -> tuple[EndedContract, ...]:
    """Each contract whose worth was fixed in the last days, by file, positions or executions; in order of its end."""
    if live.market is MarketKind.REPLAY:
        return ()  # a recording has no account
    told, facts, view = live.told_sessions, live.expiry_facts, live.account.view
    by_symbol = executions_by_symbol(facts.executions)
    instruments = {one.live_symbol: one for one in portfolio.instruments if one.is_option}
    symbols = dict.fromkeys(
        (
            *instruments,
            *(() if view is None else filter(is_contract_symbol, view.positions)),
            *(
                symbol
                for symbol, of_symbol in by_symbol.items()
                if is_contract_symbol(symbol) and any(one.kind in _ENDS for one in of_symbol)
            ),
        )
    )
    found = []
    tomorrow = new_york_date(live.as_of) + timedelta(days=1)
    for symbol in symbols:
        # Without the calendar of its year, which takes its time to make.
        if parse_contract_symbol(symbol).expiry > tomorrow:
            continue
        ended = _ended_at(symbol, instruments.get(symbol), facts, told)
        if ended is None or not live.as_of - LOOKS_BACK <= ended <= live.as_of:
            continue
        first_day = new_york_date(ended) - timedelta(days=1)
        executions = tuple(one for one in by_symbol.get(symbol, ()) if one.day >= first_day)
        found.append(
            _Ended(
                symbol,
                ended,
                portfolio.quantities.get(symbol),
                executions,
                _in_account(symbol, view, ended),
                underlying_root(symbol) in _half_told(facts.executions, first_day),
            )
        )
    judged = [_judge(one, live) for one in sorted(found, key=lambda one: (one.ended, one.symbol))]
    return tuple(judged)


def _ended_at(
    symbol: str, instrument: Instrument | None, facts: ExpiryFacts, told: ToldSessions
) -> datetime | None:
    life = contract_life(instrument or _instrument(symbol), facts, told)
    return None if life is None else life.settles


def _instrument(symbol: str) -> Instrument:
    terms = parse_contract_symbol(symbol)
    return Instrument(
        symbol=terms.underlying_norm,
        live_symbol=symbol,
        label=format_symbol(symbol),
        underlying=terms.underlying_norm,
        multiplier=None,
        adjusted=terms.adjusted,
        option_type=terms.option_type,
        expiry=terms.expiry,
        strike=terms.strike,
    )


def _in_account(symbol: str, view: AccountPositions | None, ended: datetime) -> Decimal | None:
    if view is None or view.as_of < ended or is_unread(view, symbol):
        return None
    position = view.positions.get(symbol)
    return _NOTHING if position is None else position.quantity


def _half_told(executions: Iterable[Execution], since: date) -> frozenset[str]:
    return halves(one for one in executions if one.day >= since)


def _judge(one: _Ended, live: LiveSnapshot) -> EndedContract:
    state, why = _verdict(one, live)
    return EndedContract(
        one.symbol,
        format_symbol(one.symbol),
        state,
        why,
        one.ended,
        None if one.held is None else float(one.held),
    )


def _verdict(one: _Ended, live: LiveSnapshot) -> tuple[EndedState, str]:
    since = live.expiry_facts.executions_since
    read_at = _read_at(one, live)
    not_read = EndedState.AWAITED, "The account's executions since it ended were not read."
    if since is None or since > new_york_date(one.ended):
        return not_read
    ends = [execution for execution in one.executions if execution.kind in _ENDS]
    missing = _missing(one, ends)
    if missing is None and one.held is not None and not _accounts_for(one.held, one.executions):
        if ends:
            return EndedState.UNEXPLAINED, f"{_happened(ends)}, for another quantity than the file holds."
        missing = "Traded on its last day, for another quantity than the file holds."
    if missing is not None:
        if read_at < one.ended:
            return not_read
        # It is told late on paper: until the next session has closed it may still come, whoever asks no more.
        until = told_until(one.ended, live.told_sessions)
        waits = until is not None and read_at < until
        return EndedState.AWAITED if waits else EndedState.UNEXPLAINED, missing
    if ends:
        return EndedState.EXPLAINED, f"{_happened(ends)}."
    return (
        EndedState.EXPLAINED,
        f"Closed by a trade on {short_date(one.executions[-1].day)}, before it ended.",
    )


def _read_at(one: _Ended, live: LiveSnapshot) -> datetime:
    """Until when what is missing would have been seen; of an owner that does not say it, until now."""
    view, told_at = live.account.view, live.expiry_facts.executions_read_at or live.as_of
    return told_at if view is None or not one.in_account else min(told_at, view.as_of)


def _missing(one: _Ended, ends: Sequence[Execution]) -> str | None:
    """What is not told yet, a sentence; None: all of it is."""
    if one.in_account:
        told = f"{_happened(ends)}, and the" if ends else "Nothing is told of it, and the"
        return f"{told} account still lists it."
    if not one.executions:
        gone = (
            "It is gone from the account" if one.in_account is not None else "The account was not read since"
        )
        return f"{gone}, and no expiry, assignment or exercise is told."
    if ends and one.half_told:
        return f"{_happened(ends)}; of contract and shares only one half is told."
    return None


def _accounts_for(held: Decimal, executions: Sequence[Execution]) -> bool:
    """Whether what happened takes away all that the file holds; of what was traded that day, a part may be in it."""
    changes = [-one.quantity for one in executions]
    # The file may have been brought up to date after any of them, so the last ones alone may be what it lacks.
    return any(sum(changes[first:], _NOTHING) == held for first in range(len(changes)))


def _happened(ends: Sequence[Execution]) -> str:
    """What ended it, by kind: "Assigned and expired on 20 Nov 26"."""
    words = list(dict.fromkeys(_ENDS[one.kind] for one in ends))
    said = " and ".join(words)
    return f"{said[0].upper()}{said[1:]} on {short_date(ends[-1].day)}"


def told_until(ended: datetime, told: ToldSessions) -> datetime | None:
    """By when an end is told at the latest: the close of the next session."""
    day = next_session(new_york_date(ended), told)
    session = None if day is None else regular_session(day, told)
    return None if session is None else session.closes
