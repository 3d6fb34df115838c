"""Keep each fill once: the socket forgets what happened while it was down, and REST repeats what the socket said."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from heapq import nlargest
from typing import Any, Final

from options_helper.model.account import AccountMove, Execution, ExecutionKind, PositionMove, Source
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.order_updates import (
    BlotterEntry,
    CorrectionKind,
    LegUpdate,
    OrderUpdate,
    UpdateKind,
)

# Days on which something happened; weekends and holidays rarely count.
KEPT_DAYS: Final = 5
# How far apart the socket and REST may date the same event.
REPORTS_APART_NS: Final = 60 * NANOSECONDS
# How far the broker's clock may be ahead of this one.
CLOCKS_APART: Final = timedelta(minutes=10)

# What `status` says of an assignment, exercise or expiry that did not happen, or not yet.
_NOT_EXECUTED: Final = ("canceled", "pending")

# The event by which an order has all that it asks for.
_COMPLETE: Final = "fill"
# What takes a contract away.
_ENDS: Final = (
    ExecutionKind.ASSIGNMENT,
    ExecutionKind.CASH_SETTLEMENT,
    ExecutionKind.EXERCISE,
    ExecutionKind.EXPIRY,
)

_UPDATE_FIELDS: Final = tuple(one.name for one in fields(OrderUpdate))
_LEG_FIELDS: Final = tuple(one.name for one in fields(LegUpdate))
_ENTRY_FIELDS: Final = tuple(one.name for one in fields(BlotterEntry))

_SortKey = tuple[int, str, Decimal, str]


@dataclass(frozen=True, slots=True)
class Backfill:
    """What REST reports of a stretch of time."""

    updates: tuple[OrderUpdate, ...] = ()
    legs: Mapping[str, frozenset[str]] = field(
        default_factory=dict
    )  # of a multi-leg order: those of its legs
    problems: tuple[str, ...] = ()  # what was not reported, or could not be read, as sentences


@dataclass(frozen=True, slots=True)
class _Settled:
    """What follows from all that is known of one order."""

    entries: tuple[BlotterEntry, ...]
    executions: tuple[tuple[_SortKey, Execution], ...]
    problems: tuple[tuple[date | None, str], ...]  # None: of a day that is not known
    unclear: tuple[BlotterEntry, ...]  # what changed a position, and does not say which or by how much
    moves: tuple[AccountMove, ...]  # splits, transfers and the like


@dataclass(slots=True)
class _Order:
    """All that is known of one order, by the way it came and by identity."""

    streamed: dict[str, BlotterEntry] = field(default_factory=dict)
    requested: dict[str, BlotterEntry] = field(default_factory=dict)  # of REST
    _settled: _Settled | None = None

    def add(self, entry: BlotterEntry) -> bool:
        """Note an entry, and say whether it is news; a socket's first account of an event stands, and REST's last."""
        is_streamed = entry.source is Source.STREAM
        entries = self.streamed if is_streamed else self.requested
        known = entries.get(entry.identity)
        if known is not None:
            first_seen = _earlier(known.received_at, entry.received_at)
            entry = _completed(known, entry) if is_streamed else _completed(entry, known)
            entry = replace(entry, received_at=first_seen)
            if entry == known:
                return False
        entries[entry.identity] = entry
        self._settled = None
        return True

    def forget(self, unwanted: Callable[[BlotterEntry], bool]) -> None:
        """Drop entries, whichever way they came."""
        self.streamed = {name: entry for name, entry in self.streamed.items() if not unwanted(entry)}
        self.requested = {name: entry for name, entry in self.requested.items() if not unwanted(entry)}
        self._settled = None

    def settled(self) -> _Settled:
        """Each event once, and the executions that stand."""
        if self._settled is None:
            self._settled = _settle(_merged(self.streamed, self.requested))
        return self._settled

    @property
    def filled(self) -> Decimal:
        """How much of it is filled, by its executions."""
        return sum((abs(one.quantity) for _, one in self.settled().executions), Decimal(0))

    def is_leg_of(self, whole: BlotterEntry, filled: Decimal) -> bool:
        """Whether it looks like a leg of an order whose legs nobody named: told by REST alone, at the same time."""
        legs = self.settled().executions
        if self.streamed or not legs or self.filled % filled:
            return False
        return any(abs(key[0] - _time_ns(whole)) <= REPORTS_APART_NS for key, _ in legs)


class Blotter:
    """Order updates of the socket and of REST, each event once, in whatever order and overlap they come.

    One writer; whoever shares it with readers guards it. `size` bounds what `entries` shows; executions are kept for
    the newest few days, however many they are.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.clear()

    def clear(self) -> None:
        """Forget everything: another session is played."""
        self._orders: dict[str, _Order] = {}
        self._days: set[date] = set()
        self._legs: dict[str, frozenset[str]] = {}  # of a multi-leg order: the orders of its legs
        self._states_added = 0  # since they were last pruned, and what was left then
        self._oldest_state_ns: int | None = None
        self._entries: tuple[BlotterEntry, ...] | None = None

    def add_update(self, update: OrderUpdate, received_at: datetime) -> None:
        """Note an update that came over the socket; a fill of several legs is one a leg."""
        self._note_legs(update)
        for part in _by_leg(update):
            self._add(_entered(part, Source.STREAM, received_at))
        self._prune()

    def add_backfill(self, backfill: Backfill, received_at: datetime | None = None) -> int:
        """Note what REST reports, asked for at `received_at`, and say how many of its events were news."""
        self._legs |= backfill.legs
        entries = [_entered(update, Source.REST, received_at) for update in backfill.updates]
        names = {_order_name(entry) for entry in entries}
        before = self._count(names)
        for entry in entries:
            self._add(entry)
        added = self._count(names) - before
        self._prune()
        return max(0, added)

    def entries(self) -> tuple[BlotterEntry, ...]:
        """The newest events by exchange time, newest last."""
        if self._entries is None:
            every = (entry for order in self._orders.values() for entry in order.settled().entries)
            shown = (entry for entry in every if not self._is_told_by_legs(entry))
            self._entries = tuple(reversed(nlargest(self._size, shown, key=_sort_key)))
        return self._entries

    def executions(self, day: date) -> tuple[Execution, ...]:
        """All executions known of that day in New York, oldest first."""
        found = [
            (key, one)
            for order in self._orders.values()
            for key, one in order.settled().executions
            if one.day == day
        ]
        return _once_settled(one for _, one in sorted(found, key=lambda pair: pair[0]))

    def moved(self, day: date) -> frozenset[str]:
        """The symbols of which a split, a transfer or the like changed the position on that day, by any amount."""
        return frozenset(one.symbol for one in self.moves(day))

    def moves(self, day: date) -> tuple[AccountMove, ...]:
        """The splits, transfers and the like of that day."""
        found = (one for order in self._orders.values() for one in order.settled().moves)
        return tuple(sorted((one for one in found if one.day == day), key=lambda one: one.identity))

    def problems(self, day: date) -> tuple[str, ...]:
        """Why the executions of that day may be incomplete or wrong, as sentences."""
        found = [problem for order in self._orders.values() for problem in order.settled().problems]
        found += [
            (entry.day, _unclear(entry))
            for order in self._orders.values()
            for entry in order.settled().unclear
            if not self._is_told_by_legs(entry)
        ]
        return tuple(sorted({sentence for of_day, sentence in found if of_day in (day, None)}))

    def _note_legs(self, update: OrderUpdate) -> None:
        """Remember which orders the legs of this one have; any update of the whole may say it."""
        legs = frozenset(leg.order_id for leg in update.legs or () if leg.order_id)
        if update.order_id and legs:
            self._legs[update.order_id] = legs
            self._entries = None

    def _is_told_by_legs(self, entry: BlotterEntry) -> bool:
        """Whether the fill of a whole order of several legs is known leg by leg, which is how REST reports it."""
        if not entry.is_fill or entry.symbol is not None or entry.order_id is None:
            return False
        filled = entry.filled_qty or entry.fill_qty or (entry.qty if entry.event == _COMPLETE else None)
        legs = self._legs.get(entry.order_id)
        if not filled:
            return False
        if legs:
            return all(name in self._orders and self._orders[name].filled >= filled for name in legs)
        return any(
            order.is_leg_of(entry, filled) for name, order in self._orders.items() if name != entry.order_id
        )

    def _count(self, names: Iterable[str]) -> int:
        return sum(len(self._orders[name].settled().entries) for name in names if name in self._orders)

    def _add(self, entry: BlotterEntry) -> None:
        if not self._is_new_enough(entry):
            return
        if self._orders.setdefault(_order_name(entry), _Order()).add(entry):
            self._states_added += _is_state(entry)
            self._entries = None

    def _is_new_enough(self, entry: BlotterEntry) -> bool:
        """Whether an entry is to be kept: what was forgotten must not come back as news."""
        if _is_state(entry) and self._oldest_state_ns is not None and _time_ns(entry) < self._oldest_state_ns:
            return False
        day = entry.day
        if day is None or day in self._days:
            return True
        if len(self._days) == KEPT_DAYS:
            oldest = min(self._days)
            if day < oldest:
                return False
            self._days.remove(oldest)
            self._forget(lambda known: known.day == oldest)
        self._days.add(day)
        return True

    def _prune(self) -> None:
        """Keep no more order states than `entries` can show, nor legs of orders of which nothing is kept."""
        self._prune_legs()
        if self._states_added <= 2 * self._size:
            return
        entries = (entry for order in self._orders.values() for entry in order.settled().entries)
        newest = nlargest(self._size, (_time_ns(entry) for entry in entries if _is_state(entry)))
        self._states_added = len(newest)
        if newest and len(newest) == self._size:
            self._oldest_state_ns = oldest_ns = newest[-1] - REPORTS_APART_NS
            self._forget(lambda entry: _is_state(entry) and _time_ns(entry) < oldest_ns)

    def _prune_legs(self) -> None:
        if len(self._legs) <= len(self._orders) + 2 * self._size:
            return
        unknown = [
            whole
            for whole, legs in self._legs.items()
            if whole not in self._orders and legs.isdisjoint(self._orders)
        ]
        # The newest stay: they may be told of before any of their orders is.
        for whole in unknown[: max(0, len(unknown) - self._size)]:
            del self._legs[whole]

    def _forget(self, unwanted: Callable[[BlotterEntry], bool]) -> None:
        for order in self._orders.values():
            order.forget(unwanted)
        self._orders = {
            name: order for name, order in self._orders.items() if order.streamed or order.requested
        }
        self._entries = None


def settled_executions(
    updates: Iterable[OrderUpdate],
) -> tuple[tuple[Execution, ...], tuple[str, ...], tuple[AccountMove, ...]]:
    """The executions that stand after all these updates of REST, oldest first, and a sentence for each in doubt.

    Last come the splits, transfers and the like. Unlike a `Blotter` it forgets no day.
    """
    orders: defaultdict[str, _Order] = defaultdict(_Order)
    for update in updates:
        entry = _entered(update, Source.REST, None)
        orders[_order_name(entry)].add(entry)
    settled = [order.settled() for order in orders.values()]
    found = [pair for order in settled for pair in order.executions]
    problems = [sentence for order in settled for _, sentence in order.problems]
    problems += [_unclear(entry) for order in settled for entry in order.unclear]
    moves = tuple(one for order in settled for one in order.moves)
    return _once_settled(one for _, one in sorted(found, key=lambda pair: pair[0])), tuple(problems), moves


def _once_settled(executions: Iterable[Execution]) -> tuple[Execution, ...]:
    """Each contract that ended once: a settlement in cash is the other half of the event that took the contract away.

    As with shares, the event itself has no price where the cash is told by a row of its own.
    """
    every = tuple(executions)
    ended: defaultdict[tuple[str, date, Decimal], Counter[bool]] = defaultdict(Counter)
    for one in every:
        if one.kind in _ENDS:
            ended[one.symbol, one.day, one.quantity][_is_cash(one)] += 1
    left = {key: min(count[True], count[False]) for key, count in ended.items()}
    kept: list[Execution] = []
    for one in every:
        key = one.symbol, one.day, one.quantity
        if one.kind in _ENDS and not _is_cash(one) and not one.price and left[key]:
            left[key] -= 1
        else:
            kept.append(one)
    return tuple(kept)


def _is_cash(execution: Execution) -> bool:
    return execution.kind is ExecutionKind.CASH_SETTLEMENT


def _by_leg(update: OrderUpdate) -> Iterator[OrderUpdate]:
    """The executions of a fill's legs: REST reports them leg by leg, each with its own order."""
    legs = (update.legs or ()) if update.is_fill else ()
    executed = [leg for leg in legs if leg.execution_id or leg.fill_qty is not None]
    # Where the update does not say what was executed, the totals of the legs' orders say that something was.
    parts = executed or [leg for leg in legs if leg.order_id and leg.filled_qty]
    if not parts:
        yield update
    for leg in parts:
        of_leg = {name: getattr(leg, name) for name in _LEG_FIELDS}
        of_leg["status"] = leg.status or update.status
        # The limit is that of the whole.
        yield replace(update, **of_leg, legs=None, limit_price=None, stop_price=None)


def _entered(update: OrderUpdate, source: Source, received_at: datetime | None) -> BlotterEntry:
    """The update with its day, its identity and the way it came."""
    day = update.day or _day_of(update.timestamp or received_at)
    dated_ahead = (
        received_at is not None and day is not None and day > new_york_date(received_at + CLOCKS_APART)
    )
    if dated_ahead:
        # A day that is still to come is not believed, as it would push out the days that there were.
        update, day = replace(update, timestamp_ns=None), _day_of(received_at)
    reported: dict[str, Any] = {name: getattr(update, name) for name in _UPDATE_FIELDS}
    reported["day"] = day
    return BlotterEntry(
        **reported,
        identity=_identity(update, source, received_at),
        source=source,
        received_at=received_at,
        dated_ahead=dated_ahead,
    )


def _day_of(moment: datetime | None) -> date | None:
    return None if moment is None else new_york_date(moment)


def _identity(update: OrderUpdate, source: Source, received_at: datetime | None) -> str:
    """What makes one event this event, as far as one way reports it."""
    event, order_id, execution_id = update.event, update.order_id, update.execution_id
    if execution_id and update.is_fill:
        return execution_id
    if update.kind is UpdateKind.POSITION_MOVE:
        # What one symbol loses another may gain under the same identifier.
        return f"{event}:{execution_id}:{update.symbol}:{update.position_change}"
    if execution_id and not _is_state(update):
        # An exercise and the shares it moves may share one identifier.
        return f"{event}:{execution_id}"
    if order_id and update.is_fill and update.filled_qty is not None:
        return f"{order_id}:{update.filled_qty}"
    if order_id and source is Source.REST:
        return f"{order_id}:{event}"
    reported = (order_id, event, update.timestamp_ns or received_at, update.symbol, update.fill_qty)
    return ":".join(map(str, reported))


def _order_name(entry: BlotterEntry) -> str:
    return str(entry.order_id or entry.identity)


def _is_state(update: OrderUpdate) -> bool:
    """Whether it is about an order, and nothing was executed or moved."""
    return update.kind is UpdateKind.ORDER_STATE


def _sort_key(entry: BlotterEntry) -> _SortKey:
    return (_time_ns(entry), str(entry.order_id), entry.filled_qty or Decimal(0), entry.identity)


def _time_ns(entry: BlotterEntry) -> int:
    if entry.timestamp_ns is not None:
        return entry.timestamp_ns
    if entry.source is Source.REST and entry.day is not None:
        # Expiries and assignments have a day and no time: they are what its trading led to.
        midnight = datetime.combine(entry.day + timedelta(days=1), time(), NEW_YORK)
        return (epoch_nanoseconds(midnight) or 0) - 1
    return epoch_nanoseconds(entry.received_at) or 0


def _merged(
    streamed: Mapping[str, BlotterEntry], requested: Mapping[str, BlotterEntry]
) -> list[BlotterEntry]:
    """Each event once; what the socket said of it stands, completed by REST."""
    partners = _partners(streamed, requested)
    reported = [
        _combined(entry, requested[partners[name]]) if name in partners else entry
        for name, entry in streamed.items()
    ]
    only_requested = requested.keys() - partners.values()
    return sorted((*reported, *(requested[name] for name in only_requested)), key=_sort_key)


def _partners(streamed: Mapping[str, BlotterEntry], requested: Mapping[str, BlotterEntry]) -> dict[str, str]:
    """Which entry of REST reports the same event as one of the socket: socket's identity to REST's.

    The same execution identifier is certain and goes first; the order's total may recur after an execution was
    withdrawn.
    """
    partners = {name: name for name in streamed.keys() & requested.keys()}
    unmatched: defaultdict[Hashable, list[str]] = defaultdict(list)
    for name in sorted(streamed.keys() - partners.keys()):
        unmatched[_occasion(streamed[name])].append(name)
    for name in sorted(requested.keys() - partners.keys()):
        candidates = unmatched[_occasion(requested[name])]
        match = next((one for one in candidates if _agree(streamed[one], requested[name])), None)
        if match is not None:
            candidates.remove(match)
            partners[match] = name
    alike = [
        (_apart_ns(streamed[one], requested[other]), one, other)
        for one in streamed.keys() - partners.keys()
        for other in requested.keys() - partners.values()
        if _is_same_fill(streamed[one], requested[other])
    ]
    for _, one, other in sorted(alike):
        if one not in partners and other not in partners.values():
            partners[one] = other
    return partners


def _is_same_fill(streamed: BlotterEntry, requested: BlotterEntry) -> bool:
    """Whether two reports are of one fill, where one of them lacks the order's total: so the legs of some updates."""
    by_total = streamed.filled_qty is not None and requested.filled_qty is not None
    if by_total or not (streamed.is_fill and requested.is_fill):
        return False
    is_alike = all(one is not None and one == other for one, other in _facts(streamed, requested))
    return is_alike and _apart_ns(streamed, requested) <= REPORTS_APART_NS


def _apart_ns(streamed: BlotterEntry, requested: BlotterEntry) -> int:
    return abs(_time_ns(streamed) - _time_ns(requested))


def _occasion(entry: BlotterEntry) -> Hashable:
    """What the two ways have in common where the identifier of the execution is not it."""
    if entry.is_fill:
        return ("fill", entry.filled_qty if entry.filled_qty is not None else entry.identity)
    return entry.event


def _agree(streamed: BlotterEntry, requested: BlotterEntry) -> bool:
    """Whether nothing that both entries know tells them apart."""
    return all(
        one == other for one, other in _facts(streamed, requested) if one is not None and other is not None
    )


def _facts(streamed: BlotterEntry, requested: BlotterEntry) -> Iterator[tuple[object, object]]:
    """What was executed, as the one and as the other reports it."""
    yield streamed.symbol, requested.symbol
    yield streamed.fill_qty, requested.fill_qty
    yield streamed.price, requested.price


def _combined(streamed: BlotterEntry, requested: BlotterEntry) -> BlotterEntry:
    """What the socket said stands, unless it dated the event into the future."""
    return _completed(requested, streamed) if streamed.dated_ahead else _completed(streamed, requested)


def _completed(entry: BlotterEntry, other: BlotterEntry) -> BlotterEntry:
    """The entry, and what only the other one knows."""
    lacking = [name for name in _ENTRY_FIELDS if getattr(entry, name) is None]
    known: dict[str, Any] = {name: value for name in lacking if (value := getattr(other, name)) is not None}
    return replace(entry, **known) if known else entry


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _settle(entries: list[BlotterEntry]) -> _Settled:
    executions: dict[str, tuple[_SortKey, Execution]] = {}
    problems: list[tuple[date | None, str]] = [
        (entry.day, _ahead(entry)) for entry in entries if entry.dated_ahead and not _is_state(entry)
    ]
    dated = [entry for entry in entries if not entry.dated_ahead]
    unclear: list[BlotterEntry] = []
    for entry in dated:
        if not _changes_a_position(entry):
            continue
        execution = _execution(entry)
        if execution is None:
            unclear.append(entry)
        else:
            executions[execution.identity] = (_sort_key(entry), execution)
    corrections = [entry for entry in dated if entry.kind is UpdateKind.CORRECTION]
    problems += [(entry.day, _unplaced(entry)) for entry in corrections if not _correct(executions, entry)]
    moves = [entry for entry in dated if entry.kind is UpdateKind.POSITION_MOVE and not _is_void(entry)]
    unclear += [entry for entry in moves if entry.symbol is None or entry.day is None]
    made = [
        AccountMove(entry.identity, PositionMove(entry.event), entry.symbol, entry.position_change, entry.day)
        for entry in moves
        if entry.event and entry.symbol and entry.day
    ]
    filled = sum((abs(one.quantity) for _, one in executions.values()), Decimal(0))
    told = {entry.identity for entry in unclear if _is_in_total(entry, filled)}
    problems += _beyond_total(dated, filled)
    return _Settled(
        entries=tuple(entry for entry in entries if entry.identity not in told),
        executions=tuple(executions.values()),
        problems=tuple(problems),
        unclear=tuple(entry for entry in unclear if entry.identity not in told),
        moves=tuple(made),
    )


def _is_in_total(entry: BlotterEntry, filled: Decimal) -> bool:
    """Whether a fill that says only what its order has got so far is told in full by the order's executions."""
    nothing_else = entry.fill_qty is None and entry.price is None
    return entry.is_fill and nothing_else and entry.filled_qty is not None and filled >= entry.filled_qty


def _beyond_total(entries: Iterable[BlotterEntry], filled: Decimal) -> Iterator[tuple[date | None, str]]:
    """A sentence where an order has more executions than it was filled: one of them may be told twice."""
    of_order = [entry for entry in entries if entry.order_id is not None and entry.filled_qty is not None]
    total = max((entry.filled_qty or Decimal(0) for entry in of_order), default=None)
    if total is not None and filled > total:
        newest = max(of_order, key=_sort_key)
        sentence = (
            f"The executions of an order for {newest.symbol or 'an unnamed contract'} come to "
            f"{filled.normalize():f}, and it was filled to {total.normalize():f}, so one of them may be told twice. "
            "Compare the day's trades with the account's activities at Alpaca."
        )
        yield newest.day, sentence


def _changes_a_position(entry: BlotterEntry) -> bool:
    return entry.kind is UpdateKind.EXECUTION and not _is_void(entry)


def _is_void(entry: BlotterEntry) -> bool:
    # An order's status is not its execution's: an order may be cancelled after it was partly filled.
    return entry.order_id is None and entry.status in _NOT_EXECUTED


def _execution(entry: BlotterEntry) -> Execution | None:
    kind, quantity = entry.execution_kind, entry.position_change
    if kind is None or entry.symbol is None or quantity is None or entry.day is None:
        return None
    return Execution(
        identity=entry.identity,
        kind=kind,
        symbol=entry.symbol,
        quantity=quantity,
        price=entry.price,
        day=entry.day,
        at_ns=entry.timestamp_ns,
        order_id=entry.order_id,
        source=entry.source,
    )


def _correct(executions: dict[str, tuple[_SortKey, Execution]], entry: BlotterEntry) -> bool:
    """Take back or restate the execution a correction means; False when it cannot be quantity which that is."""
    meant = _meant(executions, entry)
    if meant is None or entry.day is None:
        return False
    key, wrong = executions.pop(meant)
    of_today = replace(wrong, day=entry.day, at_ns=entry.timestamp_ns, source=entry.source)
    if wrong.day != entry.day:
        # Its own day went by with it; the position changes back on the day of the correction.
        executions[meant] = key, wrong
        reversal = replace(of_today, identity=f"{entry.identity}:reversal", quantity=-wrong.quantity)
        executions[reversal.identity] = _sort_key(entry), reversal
    if entry.event == CorrectionKind.RESTATEMENT:
        restated = replace(
            of_today,
            identity=entry.identity,
            quantity=wrong.quantity if entry.position_change is None else entry.position_change,
            price=wrong.price if entry.price is None else entry.price,
        )
        executions[restated.identity] = _sort_key(entry), restated
    return True


def _meant(executions: Mapping[str, tuple[_SortKey, Execution]], entry: BlotterEntry) -> str | None:
    previous = entry.previous_execution_id
    if previous is not None:
        return previous if previous in executions else None
    if entry.execution_id in executions:
        return entry.execution_id
    # A restated quantity is the new one, so only a bust's can tell which execution it means.
    quantity = entry.position_change if entry.event == CorrectionKind.BUST else None
    fitting = [name for name, (_, one) in executions.items() if quantity is None or one.quantity == quantity]
    return fitting[0] if len(fitting) == 1 else None


def _ahead(entry: BlotterEntry) -> str:
    return (
        f"A {entry.event} of {entry.symbol or 'an unnamed contract'} is dated after the day on which it came, so it "
        "is not counted. Compare the day's trades with the account's activities at Alpaca."
    )


def _unclear(entry: BlotterEntry) -> str:
    return (
        f"A {entry.event} of {entry.symbol or 'an unnamed contract'} came without its symbol, side, quantity or day, "
        "so it is not counted. Compare the day's trades with the account's activities at Alpaca."
    )


def _unplaced(entry: BlotterEntry) -> str:
    what = "withdrew" if entry.event == CorrectionKind.BUST else "restated"
    return (
        f"Alpaca {what} an execution of {entry.symbol or 'an unnamed contract'}, and it is not known which one, so it "
        "still counts. Compare the day's trades with the account's activities at Alpaca."
    )
