"""Ask about contracts that end soon or did: how they are settled, how long they are traded, what became of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from http import HTTPStatus
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.contract_records import read_contract_record
from options_helper.data.streaming.polling.fill_backfill import backfill_reading
from options_helper.data.streaming.polling.moment import Moment
from options_helper.data.streaming.polling.question import Asking, Question, ask_all
from options_helper.data.streaming.state.blotter import settled_executions
from options_helper.errors import RestError
from options_helper.model.alpaca_symbols import is_index, to_alpaca_symbol
from options_helper.model.contract_records import ContractRecord
from options_helper.model.contract_symbols import (
    ParsedContract,
    is_contract_symbol,
    parse_contract_symbol,
)
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.problems import Problem
from options_helper.model.text import named
from options_helper.model.tolerant import field, items, word

# What ends later is asked about when it comes near.
AHEAD: Final = timedelta(days=7)
BEHIND: Final = timedelta(days=7)
# What was read later than now by more is of another market's time; by less, a clock was put right since.
_CLOCKS_DIFFER: Final = timedelta(days=1)
LATE_CLOSE: Final = "options_late_close"
# Requests of one look, for records and for shares; there are two hundred a minute for all programs.
AT_MOST: Final = 30
# What was asked about: a class with an expiry, or a share.
Sought = tuple[str, date] | str


@dataclass(frozen=True, slots=True)
class ExpiryReading:
    """What was told, and a problem for all that was not."""

    facts: ExpiryFacts
    problems: tuple[Problem, ...] = ()
    asked: frozenset[Sought] = frozenset()  # of which an answer was sought, whatever it was
    left: int = 0  # questions for which this look had no room


@dataclass(frozen=True, slots=True)
class AskContract:
    """Ask for a contract's record."""

    symbol: str

    def read(self, rest: AlpacaRest) -> Mapping[str, Any] | None:
        """None where there is none; blocks, RestError."""
        return rest.option_contract(self.symbol)


@dataclass(frozen=True, slots=True)
class AskAsset:
    """Ask for a share's record."""

    symbol: str

    def read(self, rest: AlpacaRest) -> Mapping[str, Any] | None:
        """None where there is none; blocks, RestError."""
        return rest.asset(self.symbol)


def read_expiry_facts(
    rest: AlpacaRest,
    contracts: Iterable[str],
    at: datetime,
    *,
    traded: bool = True,
    asked: Collection[Sought] = (),
) -> ExpiryReading:
    """What is told of those that end within a week, of adjusted ones, and of the account's last week; blocks.

    Contracts of one class and expiry have one record between them, which costs one question. One look has so many
    questions at most; those of `asked` had their turn in a look before. With `traded` the account's executions are
    asked for too. An answer that fails costs itself and is said. All of it is of `at`, when the look begins.
    """
    moment = Moment(datetime_nanoseconds(at))
    return ask_all(rest, expiry_reading(contracts, lambda: moment, traded=traded, asked=asked))


def expiry_reading(
    contracts: Iterable[str], moment: Callable[[], Moment], *, traded: bool, asked: Collection[Sought]
) -> Asking[ExpiryReading]:
    """The questions of `read_expiry_facts`, one by one; `moment` is that of the last answer, or of the beginning."""
    today = moment().today
    near = sorted(
        symbol
        for symbol in set(contracts)
        if is_contract_symbol(symbol) and _is_asked(parse_contract_symbol(symbol), today)
    )
    problems: list[Problem] = []
    classes = {key: some for key, some in _classes(near).items() if key not in asked}
    shares = [one for one in _shares(near) if one not in asked]
    sought: list[Sought] = []
    records = yield from _records(classes, moment, sought, problems)
    late_close = yield from _late_closes(shares, moment, sought, problems)
    facts = ExpiryFacts(
        records=MappingProxyType(records),
        late_close=MappingProxyType({share: is_late for share, (is_late, _) in late_close.items()}),
        late_close_read_at=MappingProxyType({share: read_at for share, (_, read_at) in late_close.items()}),
    )
    reading = ExpiryReading(
        facts, tuple(problems), frozenset(sought), len(classes) + len(shares) - len(sought)
    )
    if not traded:
        return reading
    since = today - BEHIND
    try:
        begin = moment()
        backfill = yield from backfill_reading(datetime.combine(since, time(), NEW_YORK))
    except RestError as error:
        # A recording has no account: nothing became of what it holds.
        if error.status != HTTPStatus.NOT_FOUND:
            problems.append(Problem.of(error, "what became of contracts that ended"))
        return replace(reading, problems=tuple(problems))
    executions, doubts, _ = settled_executions(backfill.updates)
    told = replace(
        facts,
        executions=executions,
        executions_since=since,
        executions_read_at=moment().time_of(begin),
    )
    return replace(reading, facts=told, problems=(*problems, *map(Problem, (*backfill.problems, *doubts))))


def together(before: ExpiryFacts, now: ExpiryFacts, at: datetime) -> ExpiryFacts:
    """What was told now, and what was told before of that which was not, each as old as it is; of market time `at`.

    The record of a contract that ended more than a week ago is of no use to anybody, and what was read later than now
    is of another market's time.
    """
    since = new_york_date(at) - BEHIND

    def counts(read_at: datetime | None) -> bool:
        return read_at is None or read_at <= at + _CLOCKS_DIFFER

    late_close_read_at = {**before.late_close_read_at, **now.late_close_read_at}
    of_account = now if now.executions_since is not None or not counts(before.executions_read_at) else before
    return ExpiryFacts(
        records=MappingProxyType(
            {
                symbol: record
                for symbol, record in {**before.records, **now.records}.items()
                if parse_contract_symbol(symbol).expiry >= since and counts(record.read_at)
            }
        ),
        late_close=MappingProxyType(
            {
                share: is_late
                for share, is_late in {**before.late_close, **now.late_close}.items()
                if counts(late_close_read_at.get(share))
            }
        ),
        late_close_read_at=MappingProxyType(
            {share: read_at for share, read_at in late_close_read_at.items() if counts(read_at)}
        ),
        executions=of_account.executions,
        executions_since=of_account.executions_since,
        executions_read_at=of_account.executions_read_at,
    )


def _is_asked(terms: ParsedContract, today: date) -> bool:
    """Whether it ends soon; what an adjusted one delivers is asked for as long as it lives."""
    return today <= terms.expiry and (terms.adjusted or terms.expiry <= today + AHEAD)


def _classes(near: Iterable[str]) -> Mapping[Sought, list[str]]:
    """The contracts of each class and expiry."""
    classes: dict[Sought, list[str]] = {}
    for symbol in near:
        terms = parse_contract_symbol(symbol)
        classes.setdefault((terms.underlying, terms.expiry), []).append(symbol)
    return classes


def _shares(near: Iterable[str]) -> Iterator[str]:
    """What these are contracts on, each once, indices left out."""
    underlyings = dict.fromkeys(
        to_alpaca_symbol(parse_contract_symbol(symbol).underlying_norm) for symbol in near
    )
    return (one for one in underlyings if not is_index(one))


def _timed(question: Question, moment: Callable[[], Moment]) -> Asking[tuple[Any, datetime]]:
    """The answer, and when it was asked for, by the clock as the answer itself put it right."""
    asked = moment()
    answer = yield question
    return answer, moment().time_of(asked)


def _records(
    classes: Mapping[Sought, list[str]],
    moment: Callable[[], Moment],
    sought: list[Sought],
    problems: list[Problem],
) -> Asking[dict[str, ContractRecord]]:
    """Settlement and delivery of each contract, by the record of the first of its class and expiry."""
    found: dict[str, ContractRecord] = {}
    for key, symbols in islice(classes.items(), AT_MOST):
        sought.append(key)
        try:
            row, read_at = yield from _timed(AskContract(symbols[0]), moment)
        except RestError as error:
            problems.append(Problem.of(error, f"how {named(symbols, 3)} are settled, so their root decides"))
            if error.status is None:
                break
            continue
        if row is None:
            continue
        record = read_contract_record(symbols[0], row)
        # What one strike says of its price and its trading is not another's.
        found |= {
            symbol: ContractRecord(
                symbol=symbol,
                settled_at_open=record.settled_at_open,
                exercise_style=record.exercise_style,
                last_trading_day=record.last_trading_day,
                multiplier=record.multiplier,
                size=record.size,
                deliverables=record.deliverables,
                read_at=read_at,
            )
            for symbol in symbols
        }
    return found


def _late_closes(
    shares: Sequence[str], moment: Callable[[], Moment], sought: list[Sought], problems: list[Problem]
) -> Asking[dict[str, tuple[bool, datetime]]]:
    """Of each share, whether its options are traded for a quarter of an hour longer, and when that was read."""
    found: dict[str, tuple[bool, datetime]] = {}
    for underlying in shares[:AT_MOST]:
        sought.append(underlying)
        try:
            row, read_at = yield from _timed(AskAsset(underlying), moment)
        except RestError as error:
            problems.append(Problem.of(error, f"how long options on {underlying} are traded"))
            if error.status is None:
                break
            continue
        late = _late_close(row)
        if late is not None:
            found[underlying] = late, read_at
    return found


def _late_close(row: Mapping[str, Any] | None) -> bool | None:
    """None where the record has no list of attributes: then it says nothing."""
    attributes = None if row is None else field(row, "attributes")
    if not isinstance(attributes, list):
        return None
    return LATE_CLOSE in [word(one) for one in items(attributes)]
