"""Keep each fill once: the socket forgets what happened while it was down, and REST repeats what the socket said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from heapq import nlargest
from types import MappingProxyType
from typing import Any, Final

from options_helper.data.streaming.trading_normalizers import CORRECTIONS, FILL_EVENTS, MOVE_EVENTS, Row
from options_helper.model.account import Execution, ExecutionKind, Source
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds
from options_helper.model.market_hours import NEW_YORK, new_york_date

# Days on which something happened; weekends and holidays rarely count.
KEPT_DAYS: Final = 5
# How far apart the socket and REST may date the same event.
TELLINGS_APART_NS: Final = 60 * NANOSECONDS
# How far the broker's clock may be ahead of this one.
CLOCKS_APART: Final = timedelta(minutes=10)

_KINDS: Final[Mapping[str | None, ExecutionKind]] = {
    **{kind.value: kind for kind in ExecutionKind},
    **dict.fromkeys(FILL_EVENTS, ExecutionKind.FILL),
}
# What `status` says of an assignment, exercise or expiry that did not happen, or not yet.
_NOT_EXECUTED: Final = ("canceled", "pending")

_SortKey = tuple[int, str, Decimal, str]


@dataclass(frozen=True, slots=True)
class Backfill:
    """What REST tells of a stretch of time; `rows` have the keys of `normalize_trade_update`."""

    rows: tuple[Mapping[str, Any], ...] = ()
    executions: tuple[Execution, ...] = ()  # oldest first
    problems: tuple[str, ...] = ()  # what was not told, or could not be read, as sentences
    # Why these executions may be incomplete or wrong; a book tells that by day, of all it knows.
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Settled:
    """What follows from all that is known of one order."""

    rows: tuple[Row, ...]
    executions: tuple[tuple[_SortKey, Execution], ...]
    problems: tuple[tuple[date | None, str], ...]  # None: of a day that is not known
    moved: tuple[tuple[date, str], ...]  # the symbols of splits, transfers and the like


@dataclass(slots=True)
class _Order:
    """All that is known of one order, by the way it came and by identity."""

    streamed: dict[str, Row] = field(default_factory=dict)
    asked: dict[str, Row] = field(default_factory=dict)
    _settled: _Settled | None = None

    def add(self, row: Row) -> None:
        """Note a row; of one that is known, a socket's first account stands and REST's last one."""
        is_streamed = row["source"] is Source.STREAM
        rows = self.streamed if is_streamed else self.asked
        known = rows.get(row["identity"])
        if known is not None:
            first_seen = _earlier(known["received_at"], row["received_at"])
            row = _completed(known, row) if is_streamed else _completed(row, known)
            row["received_at"] = first_seen
        rows[row["identity"]] = row
        self._settled = None

    def forget(self, unwanted: Callable[[Row], bool]) -> None:
        """Drop rows, whichever way they came."""
        self.streamed = {name: row for name, row in self.streamed.items() if not unwanted(row)}
        self.asked = {name: row for name, row in self.asked.items() if not unwanted(row)}
        self._settled = None

    def settled(self) -> _Settled:
        """Each event once, and the executions that stand."""
        if self._settled is None:
            self._settled = _settle(_merged(self.streamed, self.asked))
        return self._settled


class Blotter:
    """Order updates of the socket and of REST, each event once, in whatever order and overlap they come.

    A row has the keys of `normalize_trade_update` and in addition `source`, `backfilled`, `received_at` (UTC, None: not
    known), `day` (in New York), `running_qty` and `order_qty` (the order's total so far, and what it asked for),
    `position_change` (signed; None: none, or not known), `identity`, and `dated_ahead` (it claims a day after the one
    on which it came; it then has that day and no time, and is not counted).

    One writer; whoever shares it with readers guards it. `size` bounds what `rows` shows; executions are kept for the
    newest few days, however many they are.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.clear()

    def clear(self) -> None:
        """Forget everything: another session is played."""
        self._orders: dict[str, _Order] = {}
        self._days: set[date] = set()
        self._states_added = 0  # since they were last pruned, and what was left then
        self._oldest_state_ns: int | None = None
        self._rows: tuple[Mapping[str, Any], ...] | None = None

    def add_update(self, row: Mapping[str, Any], received_at: datetime) -> None:
        """Note a row of `normalize_trade_update` that came over the socket; a fill of several legs is one a leg."""
        for part in _by_leg(row):
            self._add(_finished(part, Source.STREAM, received_at))
        self._prune()

    def add_backfill(self, backfill: Backfill, received_at: datetime | None = None) -> int:
        """Note what REST tells, asked for at `received_at`, and say how many of its events were news."""
        rows = [_finished(row, Source.REST, received_at) for row in backfill.rows]
        names = {_order_name(row) for row in rows}
        before = self._count(names)
        for row in rows:
            self._add(row)
        added = self._count(names) - before
        self._prune()
        return max(0, added)

    def rows(self) -> tuple[Mapping[str, Any], ...]:
        """The newest events by exchange time, newest last."""
        if self._rows is None:
            every = (row for order in self._orders.values() for row in order.settled().rows)
            newest = nlargest(self._size, every, key=_sort_key)
            self._rows = tuple(MappingProxyType(row) for row in reversed(newest))
        return self._rows

    def executions(self, day: date) -> tuple[Execution, ...]:
        """All executions known of that day in New York, oldest first."""
        found = [
            (key, one)
            for order in self._orders.values()
            for key, one in order.settled().executions
            if one.day == day
        ]
        return tuple(one for _, one in sorted(found, key=lambda pair: pair[0]))

    def moved(self, day: date) -> frozenset[str]:
        """The symbols of which a split, a transfer or the like changed the position on that day, by how much ever."""
        told = (moved for order in self._orders.values() for moved in order.settled().moved)
        return frozenset(symbol for of_day, symbol in told if of_day == day)

    def problems(self, day: date) -> tuple[str, ...]:
        """Why the executions of that day may be incomplete or wrong, as sentences."""
        told = (problem for order in self._orders.values() for problem in order.settled().problems)
        return tuple(sorted({sentence for of_day, sentence in told if of_day in (day, None)}))

    def _count(self, names: Iterable[str]) -> int:
        return sum(len(self._orders[name].settled().rows) for name in names if name in self._orders)

    def _add(self, row: Row) -> None:
        if not self._is_new_enough(row):
            return
        self._orders.setdefault(_order_name(row), _Order()).add(row)
        self._states_added += _is_state(row)
        self._rows = None

    def _is_new_enough(self, row: Row) -> bool:
        """Whether a row is to be kept: what was forgotten must not come back as news."""
        if _is_state(row) and self._oldest_state_ns is not None and _time_ns(row) < self._oldest_state_ns:
            return False
        day = row["day"]
        if day is None or day in self._days:
            return True
        if len(self._days) == KEPT_DAYS:
            oldest = min(self._days)
            if day < oldest:
                return False
            self._days.remove(oldest)
            self._forget(lambda known: known["day"] == oldest)
        self._days.add(day)
        return True

    def _prune(self) -> None:
        """Keep no more order states than `rows` can show."""
        if self._states_added <= 2 * self._size:
            return
        rows = (row for order in self._orders.values() for row in order.settled().rows)
        newest = nlargest(self._size, (_time_ns(row) for row in rows if _is_state(row)))
        self._states_added = len(newest)
        if len(newest) == self._size:
            self._oldest_state_ns = oldest_ns = newest[-1] - TELLINGS_APART_NS
            self._forget(lambda row: _is_state(row) and _time_ns(row) < oldest_ns)

    def _forget(self, unwanted: Callable[[Row], bool]) -> None:
        for order in self._orders.values():
            order.forget(unwanted)
        self._orders = {name: order for name, order in self._orders.items() if order.streamed or order.asked}
        self._rows = None


def settled_executions(
    rows: Iterable[Mapping[str, Any]],
) -> tuple[tuple[Execution, ...], tuple[str, ...]]:
    """The executions that stand after all these rows of REST, oldest first, and a sentence for each that is in doubt.

    Unlike the book it forgets no day.
    """
    orders: defaultdict[str, _Order] = defaultdict(_Order)
    for row in rows:
        finished = _finished(row, Source.REST, None)
        orders[_order_name(finished)].add(finished)
    found = [pair for order in orders.values() for pair in order.settled().executions]
    problems = [sentence for order in orders.values() for _, sentence in order.settled().problems]
    return tuple(one for _, one in sorted(found, key=lambda pair: pair[0])), tuple(problems)


def _by_leg(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The executions of a fill's legs: REST tells them leg by leg, each with its own order."""
    legs = row["legs"] if row["event"] in FILL_EVENTS else None
    executed = [leg for leg in legs or () if leg["execution_id"] or leg["fill_qty"] is not None]
    # Where the update does not say what was executed, the totals of the legs' orders tell that something was.
    parts = executed or [leg for leg in legs or () if leg["order_id"] and leg["filled_qty"]]
    if not parts:
        yield row
    for leg in parts:
        status = leg["status"] or row["status"]
        # The limit is that of the whole.
        yield {**row, **leg, "status": status, "legs": None, "limit_price": None, "stop_price": None}


def _finished(row: Mapping[str, Any], source: Source, received_at: datetime | None) -> Row:
    finished = {
        **row,
        **_dated(row, received_at),
        "source": source,
        "backfilled": source is Source.REST,
        "received_at": received_at,
        "running_qty": row["filled_qty"],
        "order_qty": row["qty"],
        "position_change": row.get("position_change"),
    }
    return {**finished, "identity": _identity(finished)}


def _dated(row: Mapping[str, Any], received_at: datetime | None) -> Row:
    """The day of a row; one that is still to come is not believed, as it would push out the days that there were."""
    moment = row["timestamp"] or received_at
    day = row.get("day") or (None if moment is None else new_york_date(moment))
    if received_at is None or day is None or day <= new_york_date(received_at + CLOCKS_APART):
        return {"day": day, "dated_ahead": False}
    return {"day": new_york_date(received_at), "dated_ahead": True, "timestamp": None, "timestamp_ns": None}


def _identity(row: Row) -> str:
    """What makes one event this event, as far as one way tells it."""
    event, order_id, execution_id = row["event"], row["order_id"], row["execution_id"]
    if execution_id and event in FILL_EVENTS:
        return str(execution_id)
    if event in MOVE_EVENTS:
        # What one symbol loses another may gain under the same identifier.
        return f"{event}:{execution_id}:{row['symbol']}:{row['position_change']}"
    if execution_id and not _is_state(row):
        # An exercise and the shares it moves may share one identifier.
        return f"{event}:{execution_id}"
    if order_id and event in FILL_EVENTS and row["filled_qty"] is not None:
        return f"{order_id}:{row['filled_qty']}"
    if order_id and row["source"] is Source.REST:
        return f"{order_id}:{event}"
    told = (order_id, event, row["timestamp_ns"] or row["received_at"], row["symbol"], row["fill_qty"])
    return ":".join(map(str, told))


def _order_name(row: Row) -> str:
    return str(row["order_id"] or row["identity"])


def _is_state(row: Row) -> bool:
    """Whether a row tells of an order and not of an execution."""
    return row["event"] not in _KINDS and row["event"] not in CORRECTIONS and row["event"] not in MOVE_EVENTS


def _sort_key(row: Row) -> _SortKey:
    return (_time_ns(row), str(row["order_id"]), row["running_qty"] or Decimal(0), row["identity"])


def _time_ns(row: Row) -> int:
    if row["timestamp_ns"] is not None:
        return int(row["timestamp_ns"])
    if row["source"] is Source.REST and row["day"] is not None:
        # Expiries and assignments have a day and no time: they are what its trading led to.
        midnight = datetime.combine(row["day"] + timedelta(days=1), time(), NEW_YORK)
        return (epoch_nanoseconds(midnight) or 0) - 1
    return epoch_nanoseconds(row["received_at"]) or 0


def _merged(streamed: Mapping[str, Row], asked: Mapping[str, Row]) -> list[Row]:
    """Each event once; what the socket said of it stands, completed by REST."""
    partners = _partners(streamed, asked)
    told = [
        _told_twice(row, asked[partners[name]]) if name in partners else row for name, row in streamed.items()
    ]
    only_asked = asked.keys() - partners.values()
    return sorted((*told, *(asked[name] for name in only_asked)), key=_sort_key)


def _partners(streamed: Mapping[str, Row], asked: Mapping[str, Row]) -> dict[str, str]:
    """Which row of REST tells the same event as a row of the socket: socket's identity to REST's.

    The same execution identifier is certain and goes first; the order's total may recur after an execution was
    withdrawn.
    """
    partners = {name: name for name in streamed.keys() & asked.keys()}
    open_rows: defaultdict[Any, list[str]] = defaultdict(list)
    for name in sorted(streamed.keys() - partners.keys()):
        open_rows[_occasion(streamed[name])].append(name)
    for name in sorted(asked.keys() - partners.keys()):
        candidates = open_rows[_occasion(asked[name])]
        match = next((one for one in candidates if _agree(streamed[one], asked[name])), None)
        if match is not None:
            candidates.remove(match)
            partners[match] = name
    alike = [
        (_apart_ns(streamed[one], asked[other]), one, other)
        for one in streamed.keys() - partners.keys()
        for other in asked.keys() - partners.values()
        if _is_same_fill(streamed[one], asked[other])
    ]
    for _, one, other in sorted(alike):
        if one not in partners and other not in partners.values():
            partners[one] = other
    return partners


def _is_same_fill(streamed: Row, asked: Row) -> bool:
    """Whether two tellings are of one fill, where one of them lacks the order's total: so the legs of some updates."""
    told_by_total = streamed["running_qty"] is not None and asked["running_qty"] is not None
    if told_by_total or not {streamed["event"], asked["event"]} <= set(FILL_EVENTS):
        return False
    pairs = [(streamed[name], asked[name]) for name in ("symbol", "fill_qty", "price")]
    is_alike = all(one is not None and one == other for one, other in pairs)
    return is_alike and _apart_ns(streamed, asked) <= TELLINGS_APART_NS


def _apart_ns(streamed: Row, asked: Row) -> int:
    return abs(_time_ns(streamed) - _time_ns(asked))


def _occasion(row: Row) -> Any:
    """What the two ways have in common where the identifier of the execution is not it."""
    if row["event"] in FILL_EVENTS:
        return ("fill", row["running_qty"] if row["running_qty"] is not None else row["identity"])
    return row["event"]


def _agree(streamed: Row, asked: Row) -> bool:
    """Whether nothing that both rows know tells them apart."""
    pairs = [(streamed[name], asked[name]) for name in ("symbol", "fill_qty", "price")]
    return all(one == other for one, other in pairs if one is not None and other is not None)


def _told_twice(streamed: Row, asked: Row) -> Row:
    """What the socket said stands, unless it dated the event into the future."""
    return _completed(asked, streamed) if streamed["dated_ahead"] else _completed(streamed, asked)


def _completed(row: Row, other: Row) -> Row:
    return {**other, **{name: value for name, value in row.items() if value is not None}}


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _settle(rows: list[Row]) -> _Settled:
    executions: dict[str, tuple[_SortKey, Execution]] = {}
    problems: list[tuple[date | None, str]] = []
    told = [{**row, "position_change": _position_change(row)} for row in rows]
    problems += [(row["day"], _ahead(row)) for row in told if row["dated_ahead"] and not _is_state(row)]
    dated = [row for row in told if not row["dated_ahead"]]
    for row in dated:
        if not _changes_a_position(row):
            continue
        execution = _execution(row)
        if execution is None:
            problems.append((row["day"], _unclear(row)))
        else:
            executions[execution.identity] = (_sort_key(row), execution)
    corrections = [row for row in dated if row["event"] in CORRECTIONS]
    problems += [(row["day"], _unplaced(row)) for row in corrections if not _correct(executions, row)]
    moves = [row for row in dated if row["event"] in MOVE_EVENTS and not _is_void(row)]
    problems += [(row["day"], _unclear(row)) for row in moves if row["symbol"] is None or row["day"] is None]
    moved = [(row["day"], row["symbol"]) for row in moves if row["symbol"] and row["day"]]
    return _Settled(tuple(told), tuple(executions.values()), tuple(problems), tuple(moved))


def _changes_a_position(row: Row) -> bool:
    return row["event"] in _KINDS and not _is_void(row)


def _is_void(row: Row) -> bool:
    # An order's status is not its execution's: an order may be cancelled after it was partly filled.
    return row["order_id"] is None and row["status"] in _NOT_EXECUTED


def _position_change(row: Row) -> Decimal | None:
    if row["position_change"] is not None or row["fill_qty"] is None or _is_state(row):
        return row["position_change"]  # type: ignore[no-any-return]
    side = row["side"] or ""
    quantity = abs(row["fill_qty"])
    if side.startswith("buy"):
        return quantity  # type: ignore[no-any-return]
    return -quantity if side.startswith("sell") else None


def _execution(row: Row) -> Execution | None:
    if row["symbol"] is None or row["position_change"] is None or row["day"] is None:
        return None
    return Execution(
        identity=row["identity"],
        kind=_KINDS[row["event"]],
        symbol=row["symbol"],
        quantity=row["position_change"],
        price=row["price"],
        day=row["day"],
        at_ns=row["timestamp_ns"],
        order_id=row["order_id"],
        source=row["source"],
    )


def _correct(executions: dict[str, tuple[_SortKey, Execution]], row: Row) -> bool:
    """Take back or restate the execution a correction means; False when it cannot be told which that is."""
    meant = _meant(executions, row)
    if meant is None or row["day"] is None:
        return False
    key, wrong = executions.pop(meant)
    of_today = replace(wrong, day=row["day"], at_ns=row["timestamp_ns"], source=row["source"])
    if wrong.day != row["day"]:
        # Its own day went by with it; the position changes back on the day of the correction.
        executions[meant] = key, wrong
        reversal = replace(of_today, identity=f"{row['identity']}:reversal", quantity=-wrong.quantity)
        executions[reversal.identity] = _sort_key(row), reversal
    if row["event"] == "trade_correct":
        restated = replace(
            of_today,
            identity=row["identity"],
            quantity=wrong.quantity if row["position_change"] is None else row["position_change"],
            price=wrong.price if row["price"] is None else row["price"],
        )
        executions[restated.identity] = _sort_key(row), restated
    return True


def _meant(executions: Mapping[str, tuple[_SortKey, Execution]], row: Row) -> str | None:
    previous = row["previous_execution_id"]
    if previous is not None:
        return previous if previous in executions else None
    if row["execution_id"] in executions:
        return str(row["execution_id"])
    # A restated quantity is the new one, so only a bust's can tell which execution it means.
    told = row["position_change"] if row["event"] == "trade_bust" else None
    fitting = [name for name, (_, one) in executions.items() if told is None or one.quantity == told]
    return fitting[0] if len(fitting) == 1 else None


def _ahead(row: Row) -> str:
    return (
        f"A {row['event']} of {row['symbol'] or 'an unnamed contract'} is dated after the day on which it came, so it "
        "is not counted. Compare the day's trades with the account's activities at Alpaca."
    )


def _unclear(row: Row) -> str:
    return (
        f"A {row['event']} of {row['symbol'] or 'an unnamed contract'} came without its symbol, side, quantity or day, "
        "so it is not counted. Compare the day's trades with the account's activities at Alpaca."
    )


def _unplaced(row: Row) -> str:
    what = "withdrew" if row["event"] == "trade_bust" else "restated"
    return (
        f"Alpaca {what} an execution of {row['symbol'] or 'an unnamed contract'}, and it is not known which one, so it "
        "still counts. Compare the day's trades with the account's activities at Alpaca."
    )
