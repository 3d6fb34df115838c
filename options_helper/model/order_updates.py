"""What happens to the account's orders, contracts and positions: one value for each event, whichever way it came.

Amounts are exact, prices in dollars per share, quantities in contracts or shares. None means that it does not apply,
was left out or could not be read. Words are Alpaca's own and its lists of them grow, so an event, a side, a status, an
order type or a time in force may be one that nobody knows yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from options_helper.model.account import ExecutionKind, PositionMove, Source
from options_helper.model.instants import utc_datetime

# The events by which an order's executions are reported, one by one.
FILL_EVENTS: Final = ("fill", "partial_fill")


class CorrectionKind(StrEnum):
    """How an execution is taken back; the values are Alpaca's events."""

    BUST = "trade_bust"  # withdrawn
    RESTATEMENT = "trade_correct"


class UpdateKind(StrEnum):
    """What an update is about."""

    EXECUTION = "execution"  # a fill, an expiry, an assignment …: what an `ExecutionKind` is for
    CORRECTION = "correction"  # of an execution
    POSITION_MOVE = "position move"
    ORDER_STATE = "order state"  # new, canceled, replaced …, and whatever else Alpaca may say of an order


_EXECUTION_KINDS: Final[Mapping[str | None, ExecutionKind]] = {
    **{kind.value: kind for kind in ExecutionKind},
    **dict.fromkeys(FILL_EVENTS, ExecutionKind.FILL),
}
_UPDATE_KINDS: Final[Mapping[str | None, UpdateKind]] = {
    **dict.fromkeys(_EXECUTION_KINDS, UpdateKind.EXECUTION),
    **{correction.value: UpdateKind.CORRECTION for correction in CorrectionKind},
    **{move.value: UpdateKind.POSITION_MOVE for move in PositionMove},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LegUpdate:
    """What an update says of one leg of a multi-leg order; the fields are those of `OrderUpdate`."""

    order_id: str | None = None
    symbol: str | None = None
    side: str | None = None
    qty: Decimal | None = None
    filled_qty: Decimal | None = None
    filled_avg_price: Decimal | None = None
    status: str | None = None
    execution_id: str | None = None
    price: Decimal | None = None
    fill_qty: Decimal | None = None
    position_qty: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderUpdate:
    """One event as it was reported. `qty` and `filled_…` are the order's; `price` and `fill_qty` this execution's."""

    timestamp_ns: int | None = None  # epoch nanoseconds of the event, within the years that a datetime has
    event: str | None = None  # fill, canceled, expiry, split …
    order_id: str | None = None
    symbol: str | None = None  # in Alpaca's spelling; a multi-leg order has none of its own
    side: str | None = None  # buy, sell, sell_short, sell_to_close …
    qty: Decimal | None = None  # what the order asks for
    filled_qty: Decimal | None = None  # what it has got so far, this event included
    filled_avg_price: Decimal | None = None
    status: str | None = None  # the order's after it; of an activity without an order, the activity's
    execution_id: str | None = None
    previous_execution_id: str | None = None  # of a correction: what it corrects
    price: Decimal | None = None
    fill_qty: Decimal | None = None  # without a sign
    order_type: str | None = None
    tif: str | None = None  # time in force
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    position_qty: Decimal | None = None  # the account's after it; short is negative
    legs: tuple[LegUpdate, ...] | None = None  # None: the order has none
    day: date | None = None  # in New York, where it is told in place of a time
    reported_change: Decimal | None = None  # of the position, signed, where no order says which side it was

    @property
    def timestamp(self) -> datetime | None:
        """When it happened, as a UTC datetime cut to the microsecond."""
        return None if self.timestamp_ns is None else utc_datetime(self.timestamp_ns)

    @property
    def kind(self) -> UpdateKind:
        """What it is about."""
        return _UPDATE_KINDS.get(self.event, UpdateKind.ORDER_STATE)

    @property
    def execution_kind(self) -> ExecutionKind | None:
        """Which execution it is; None for anything else."""
        return _EXECUTION_KINDS.get(self.event)

    @property
    def is_fill(self) -> bool:
        """Whether an order was filled, in part or to its end."""
        return self.event in FILL_EVENTS

    @property
    def position_change(self) -> Decimal | None:
        """By how much it changed the position, a purchase positive; None: by nothing, or it cannot be said."""
        if self.reported_change is not None or self.fill_qty is None or self.kind is UpdateKind.ORDER_STATE:
            return self.reported_change
        side = (self.side or "").lower()
        if side.startswith("buy"):
            return abs(self.fill_qty)
        return -abs(self.fill_qty) if side.startswith("sell") else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlotterEntry(OrderUpdate):
    """One event as a blotter has it: once, with all that the stream and REST report of it.

    `day` is set wherever a day is known at all: that of the event, else that of its receipt.
    """

    identity: str  # the same for the same event, over whichever way it came
    source: Source  # REST: the stream did not report it
    received_at: datetime | None = None  # UTC; the first time that it came
    # It claimed a day after the one on which it came: it then has that day and no time, and is not counted.
    dated_ahead: bool = False

    @property
    def backfilled(self) -> bool:
        """Whether only the account's own record reports it."""
        return self.source is Source.REST
