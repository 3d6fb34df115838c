"""An order update says what it is about and how it changes a position, whatever Alpaca may add to its words."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from options_helper.model.account import ExecutionKind, PositionMove, Source
from options_helper.model.order_updates import (
    BlotterEntry,
    CorrectionKind,
    OrderUpdate,
    UpdateKind,
)


@pytest.mark.parametrize(
    ("event", "kind", "execution"),
    [
        ("fill", UpdateKind.EXECUTION, ExecutionKind.FILL),
        ("partial_fill", UpdateKind.EXECUTION, ExecutionKind.FILL),
        *((kind.value, UpdateKind.EXECUTION, kind) for kind in ExecutionKind),
        *((correction.value, UpdateKind.CORRECTION, None) for correction in CorrectionKind),
        *((move.value, UpdateKind.POSITION_MOVE, None) for move in PositionMove),
        ("canceled", UpdateKind.ORDER_STATE, None),
        ("something_new", UpdateKind.ORDER_STATE, None),
        (None, UpdateKind.ORDER_STATE, None),
    ],
)
def test_each_event_is_of_one_kind(event: str | None, kind: UpdateKind, execution: ExecutionKind | None):
    update = OrderUpdate(event=event)

    assert (update.kind, update.execution_kind) == (kind, execution)


@pytest.mark.parametrize(
    ("side", "change"),
    [("buy", 2), ("buy_to_close", 2), ("sell", -2), ("sell_short", -2), ("swap", None), (None, None)],
)
def test_the_side_gives_an_execution_its_sign(side: str | None, change: int | None):
    assert OrderUpdate(event="fill", side=side, fill_qty=Decimal(2)).position_change == change


def test_a_change_that_is_reported_needs_no_side():
    assert (
        OrderUpdate(event="assignment", fill_qty=Decimal(2), reported_change=Decimal(2)).position_change == 2
    )


def test_an_order_that_only_changed_its_state_changes_no_position():
    assert OrderUpdate(event="canceled", side="buy", fill_qty=Decimal(2)).position_change is None


def test_a_time_is_exact_in_nanoseconds_and_cut_to_the_microsecond_as_a_datetime():
    update = OrderUpdate(timestamp_ns=1_710_268_730_817_928_712)

    assert update.timestamp == datetime(2024, 3, 12, 18, 38, 50, 817928, tzinfo=UTC)
    assert OrderUpdate().timestamp is None


def test_an_entry_is_an_update_that_stays_as_it_is_and_says_the_way_it_came():
    entry = BlotterEntry(identity="e1", source=Source.REST, event="fill")

    assert isinstance(entry, OrderUpdate)
    assert entry.backfilled
    with pytest.raises(FrozenInstanceError):
        entry.event = "canceled"  # type: ignore[misc]
