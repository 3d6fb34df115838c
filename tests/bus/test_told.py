"""Each moment at which an owner asked or heard something is on the clock of the screen, and no other is touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec
import pytest

from options_helper.bus.clocks import Offset
from options_helper.bus.told import Told
from options_helper.bus.truth import DeskAccount, DeskNews
from options_helper.model.account import AccountPositions, AccountState, RestReport, RestTask, Source
from options_helper.model.contract_records import ContractRecord
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.instants import utc_datetime
from options_helper.model.news import Article
from options_helper.model.order_updates import BlotterEntry
from options_helper.model.problems import Problem
from options_helper.model.risk_inputs import (
    CorporateActions,
    DailyCloses,
    ExpiryChain,
    RiskInputs,
    SessionClose,
    VendorGreeks,
)
from tests.kit.builders import quote
from tests.kit.fakes import NOON

SECOND: Final = 1_000_000_000
AHEAD: Final = Offset(60 * SECOND, 1)
AT: Final = utc_datetime(NOON)
DAY: Final = date(2026, 6, 11)
# Moments of the owner's clock; those of the exchange, of an order and of an author are everybody's.
MOVED: Final = {
    ("AccountPositions", "as_of"),
    ("Article", "received_at"),
    ("BlotterEntry", "received_at"),
    ("ContractRecord", "read_at"),
    ("Problem", "again_at"),
    ("CorporateActions", "read_at"),
    ("DailyCloses", "read_at"),
    ("ExpiryChain", "read_at"),
    ("ExpiryFacts", "executions_read_at"),
    ("ExpiryFacts", "late_close_read_at"),
    ("Quote", "received_ns"),
    ("RestReport", "finished_at"),
    ("SessionClose", "read_at"),
    ("VendorGreeks", "read_at"),
}
KEPT: Final = {
    ("Article", "created_at"),
    ("Article", "updated_at"),
    ("BlotterEntry", "timestamp_ns"),
    ("Execution", "at_ns"),
    ("VendorGreeks", "quoted_at"),
}

ACCOUNT: Final = DeskAccount(
    AccountState(
        reports={
            RestTask.POSITIONS: RestReport(
                RestTask.POSITIONS, finished_at=AT, problems=(Problem("Nobody answers.", again_at=AT),)
            )
        },
        view=AccountPositions(AT, {}),
    ),
    (BlotterEntry(identity="one", source=Source.STREAM, timestamp_ns=NOON, received_at=AT),),
    ExpiryFacts(
        {"CALL": ContractRecord(symbol="CALL", read_at=AT)}, {"SPY": True}, {"SPY": AT}, executions_read_at=AT
    ),
)
NEWS: Final = DeskNews((Article(1, "said", None, None, None, None, ("SPY",), AT, AT, AT),))
QUOTE: Final = msgspec.structs.replace(quote("CALL", 1, 2), received_ns=NOON)
RISK: Final = RiskInputs(
    actions={"SPY": CorporateActions("SPY", AT, DAY)},
    closes={"SPY": DailyCloses("SPY", AT)},
    vendor_greeks={"CALL": VendorGreeks("CALL", quoted_at=AT, read_at=AT)},
    session_closes={("SPY", DAY): SessionClose("SPY", DAY, 1.0, AT)},
    chains={"SPY": ExpiryChain("SPY", DAY, AT, {"CALL": QUOTE}, QUOTE)},
    partners={"PUT": QUOTE},
)


def moments_of(
    kind: Any, at: tuple[str, str] = ("", ""), seen: frozenset[Any] = frozenset()
) -> Iterator[Any]:
    """Type and name of each field with a moment in it, of all that a value of that type may hold."""
    for one in get_args(kind) if get_origin(kind) is not None else ():
        yield from moments_of(one, at, seen)
    if kind is datetime:
        yield at
    is_made_of_fields = isinstance(kind, type) and (
        dataclasses.is_dataclass(kind) or issubclass(kind, msgspec.Struct)
    )
    if is_made_of_fields and kind not in seen:
        for name, hint in get_type_hints(kind).items():
            if name.endswith("_ns"):
                yield kind.__name__, name
            yield from moments_of(hint, (kind.__name__, name), seen | {kind})


def test_every_moment_of_what_an_owner_tells_is_either_its_own_or_everybodys():
    """Whoever adds one says here which it is, and moves it where it is the owner's."""
    found = {one for kind in (DeskAccount, DeskNews, RiskInputs) for one in moments_of(kind)}

    assert found == MOVED | KEPT
    assert not MOVED & KEPT


def values_of(value: Any, at: tuple[str, str] = ("", "")) -> Iterator[tuple[tuple[str, str], int]]:
    """Each moment in a value with where it stands, in whole seconds."""
    if isinstance(value, datetime):
        yield at, round(value.timestamp())
    elif isinstance(value, Mapping | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from values_of(one, at)
    elif dataclasses.is_dataclass(value) or isinstance(value, msgspec.Struct):
        for name in get_type_hints(type(value)):
            one, here = getattr(value, name, None), (type(value).__name__, name)
            if name.endswith("_ns") and one is not None:
                yield here, one // SECOND
            yield from values_of(one, here)


def test_the_owners_moments_are_moved_and_the_others_stay():
    told = Told()
    moved = (told.account(ACCOUNT, AHEAD), told.news(NEWS, AHEAD), told.risk_inputs(RISK, AHEAD))
    before, after = list(values_of((ACCOUNT, NEWS, RISK))), list(values_of(moved))

    assert {at for at, _ in before} >= MOVED, "each is in what is tried here"
    pairs = zip(before, after, strict=True)
    assert all(there - here == (60 if at in MOVED else 0) for (at, there), (_, here) in pairs)


@pytest.mark.parametrize("offset", [AHEAD, Offset(5, 1)])
def test_what_has_not_changed_is_the_same_value_in_each_snapshot(offset: Offset):
    told = Told()

    assert told.risk_inputs(RISK, offset) is told.risk_inputs(RISK, offset)
    assert (told.account(ACCOUNT, offset) is ACCOUNT) is not offset.matters
    assert told.risk_inputs(RiskInputs(), offset) == RiskInputs()
