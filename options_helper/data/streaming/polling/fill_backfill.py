"""Ask for the fills that no socket will tell again: what happened while it was down, and what it never tells."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from options_helper.data.rest.client import AlpacaRest
from options_helper.data.streaming.polling.question import ask_all
from options_helper.data.streaming.state.blotter import Backfill
from options_helper.data.streaming.trading_normalizers import (
    ENDS_OF_CONTRACTS,
    FILL_ACTIVITY,
    POSITION_MOVES,
    SHARES_MOVED,
    is_payment,
    read_activity,
    read_order,
)
from options_helper.errors import RestError
from options_helper.model.instants import epoch_nanoseconds
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.order_updates import OrderUpdate
from options_helper.model.tolerant import amount, field, items, word

log = logging.getLogger(__name__)

# An execution may be entered a little after its own time, and clocks differ. What comes twice counts once.
OVERLAP: Final = timedelta(minutes=5)
# Orders are found by when they were placed, expiries and assignments by their day, which may be that of the session
# before a long weekend.
LOOKBACK: Final = timedelta(days=4)

# Kinds that not every account's server may know: for one that it does not, it refuses the whole question.
RARE_KINDS: Final = frozenset({"ALLOC", "DVF", "FOPT", "JNL", "OPCSH", "OPXRC", "SC"})
# Kinds that are told and cannot be asked for (Alpaca's changelog of 6 November 2026), and what they are told among.
UNASKABLE: Final = frozenset({"CORR", "DTCS", "SSO", "SSP"})
MISCELLANEOUS: Final = "MISC"
REFUSED: Final = frozenset({400, 422})

# How an order ends that is not filled. Fills are read from the activities, one by one.
ENDINGS: Final = ("canceled", "expired", "rejected", "replaced", "done_for_day")


@dataclass(frozen=True, slots=True)
class AskOrders:
    """Ask for the orders that were placed since then."""

    since: datetime

    def read(self, rest: AlpacaRest) -> list[Any]:
        """Their rows; blocks, RestError."""
        return [row for page in rest.orders(self.since) for row in page]


@dataclass(frozen=True, slots=True)
class AskActivities:
    """Ask for the account's activities of these kinds since then."""

    kinds: tuple[str, ...]
    since: datetime

    def read(self, rest: AlpacaRest) -> list[Any]:
        """Their rows; blocks, RestError."""
        return [row for page in rest.activities(self.kinds, self.since) for row in page]


_Rows = Generator[AskOrders | AskActivities, list[Any], list[Any]]
BackfillReading = Generator[AskOrders | AskActivities, list[Any], Backfill]


def read_backfill(rest: AlpacaRest, since: datetime) -> Backfill:
    """What happened to the account's orders and positions since an instant; blocks while it asks, raises RestError.

    Assignments, exercises, expiries, splits, transfers and the like reach a few days further back. An order that was
    placed before these days and was cancelled since is not found; its fills are. A row that cannot be read costs itself
    and is said.
    """
    return ask_all(rest, backfill_reading(since))


def backfill_reading(since: datetime) -> BackfillReading:
    """The questions of `read_backfill`, one by one; each is answered with rows, or has a RestError thrown in."""
    begin = since - OVERLAP
    first_day = datetime.combine((begin - LOOKBACK).astimezone(NEW_YORK), time(), NEW_YORK)
    # Orders go first: what is filled in between is then in the activities too, and no order seems to lack a fill.
    orders = yield AskOrders(begin - LOOKBACK)
    activities = yield AskActivities((FILL_ACTIVITY,), begin)
    # An exercise and the shares it moved have one identifier, and a page begins behind the one before.
    ends = yield from _request(tuple(ENDS_OF_CONTRACTS), first_day)
    shares = yield from _request((SHARES_MOVED,), first_day)
    moves, refusals = yield from _request_moves(first_day)
    activities = [*activities, *ends, *shares, *moves]
    activities += yield from _among_others(first_day, activities)
    by_id = {name: order for order in _with_legs(orders) if (name := word(field(order, "id")))}
    fills, problems = _read_activities(activities, by_id)
    return Backfill(
        updates=(*fills, *_endings(orders, begin)),
        legs=_legs_of_orders(orders),
        problems=(*refusals, *problems, *_lacking(by_id.values(), fills, begin)),
    )


def _request_moves(
    first_day: datetime,
) -> Generator[AskOrders | AskActivities, list[Any], tuple[list[Any], tuple[str, ...]]]:
    """The splits, transfers and the like, and a sentence where Alpaca would not say."""
    kinds = tuple(kind for kind in POSITION_MOVES if kind not in UNASKABLE)
    try:
        rows = yield from _request(kinds, first_day)
    except RestError as error:
        if error.status not in REFUSED:
            raise
        sentence = (
            "Alpaca would not say whether a split, a transfer or the like changed a position, so the quantities at "
            f"midnight are not known: {error}"
        )
        return [], (sentence,)
    return [row for row in rows if not is_payment(row)], ()


def _request(kinds: tuple[str, ...], first_day: datetime) -> _Rows:
    """The activities of these kinds; those that not every server knows are left away where it refuses them."""
    try:
        return (yield AskActivities(kinds, first_day))
    except RestError as error:
        known = tuple(kind for kind in kinds if kind not in RARE_KINDS)
        if error.status not in REFUSED or len(known) == len(kinds):
            raise
    return (yield AskActivities(known, first_day))


def _among_others(first_day: datetime, known: Sequence[Any]) -> _Rows:
    """What changes a position and is only told among everything that is neither a fill, a payment nor a dividend."""
    try:
        rows = yield AskActivities((MISCELLANEOUS,), first_day)
    except RestError as error:
        if error.status not in REFUSED:
            raise
        log.info("Alpaca lists no activities of the kind %s: %s", MISCELLANEOUS, error)
        return []
    told = {_name_of(row) for row in known}
    return [row for row in rows if _is_among_them(row) and _name_of(row) not in told]


def _is_among_them(row: Any) -> bool:
    kind = word(field(row, "activity_type")) or ""
    return (kind in UNASKABLE or kind in RARE_KINDS) and not is_payment(row)


def _name_of(activity: Any) -> tuple[str | None, ...]:
    # Under one identifier one symbol may lose what another gains.
    return tuple(word(field(activity, name)) for name in ("activity_type", "id", "symbol", "qty"))


def _legs_of_orders(orders: Iterable[Any]) -> dict[str, frozenset[str]]:
    """The orders of the legs, by that of the whole, of each order of several legs."""
    found = {
        name: frozenset(leg for one in items(field(order, "legs")) if (leg := word(field(one, "id"))))
        for order in orders
        if word(field(order, "order_class")) == "mleg" and (name := word(field(order, "id")))
    }
    return {name: legs for name, legs in found.items() if legs}


def _with_legs(orders: Iterable[Any]) -> Iterator[Any]:
    for order in orders:
        yield order
        yield from _with_legs(items(field(order, "legs")))


def _read_activities(
    activities: Iterable[Any], orders: Mapping[str, Any]
) -> tuple[list[OrderUpdate], list[str]]:
    updates: list[OrderUpdate] = []
    problems: list[str] = []
    for activity in activities:
        update = read_activity(activity, orders.get(word(field(activity, "order_id")) or ""))
        if update is None:
            problems.append(_unreadable(activity))
        else:
            updates.append(update)
    return updates, problems


def _endings(orders: Iterable[Any], begin: datetime) -> Iterator[OrderUpdate]:
    """The orders that ended otherwise than filled; a multi-leg order ends as one, the legs of others each by itself."""
    for order in orders:
        update = read_order(order)
        if update.event in ENDINGS and (update.timestamp is None or update.timestamp >= begin):
            yield update
        if word(field(order, "order_class")) != "mleg":
            yield from _endings(items(field(order, "legs")), begin)


def _lacking(orders: Iterable[Any], fills: Iterable[OrderUpdate], begin: datetime) -> Iterator[str]:
    """A sentence for each order whose own total is beyond that of its fills."""
    reported: defaultdict[str | None, Decimal] = defaultdict(Decimal)
    for fill in fills:
        reported[fill.order_id] = max(reported[fill.order_id], fill.filled_qty or Decimal(0))
    begin_ns = epoch_nanoseconds(begin) or 0
    for order in orders:
        symbol, filled = word(field(order, "symbol")), amount(field(order, "filled_qty"))
        submitted_ns = epoch_nanoseconds(field(order, "submitted_at"))
        # Of an earlier order only the later fills were asked for, and a multi-leg order is filled leg by leg.
        is_whole = symbol is not None and submitted_ns is not None and submitted_ns >= begin_ns
        known = reported[word(field(order, "id"))]
        if is_whole and filled is not None and filled > known:
            yield (
                f"An order for {symbol} is filled to {filled}, and Alpaca tells of fills up to {known} only. Where "
                "this stays, compare the day's trades with the account's activities at Alpaca."
            )


def _unreadable(activity: Any) -> str:
    kind, symbol = word(field(activity, "activity_type")), word(field(activity, "symbol"))
    return (
        f"An account activity ({kind or 'of no kind'}, {symbol or 'no symbol'}) cannot be read and is left out. "
        "Compare the day's trades with the account's activities at Alpaca."
    )
