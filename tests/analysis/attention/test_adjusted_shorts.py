"""A sold call that delivers something else too: its underlying alone may put it in the money, whatever the rest is."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.live_health import Level
from options_helper.model.contract_records import ContractRecord, Deliverable
from options_helper.model.portfolio import Position
from tests.analysis.attention.world import FRIDAY, attention, live_at, of_kind, only
from tests.kit.builders import position

DECEMBER = date(2026, 12, 18)
AAPL, ACME, OPEN = (
    Deliverable("AAPL", Decimal(100)),
    Deliverable("ACME", Decimal(10)),
    Deliverable(None, None),
)


def look(sold: Position, *parts: Deliverable, at_account: bool = False) -> Attention:
    """At noon of a Friday; AAPL is at 190, and what else a contract delivers has no price."""
    record = ContractRecord(symbol=sold.instrument.live_symbol, multiplier=Decimal(100), deliverables=parts)
    prices = {"AAPL": (189.99, 190.01), sold.instrument.live_symbol: (29.0, 29.2)}
    live = live_at("2026-11-20 12:00", prices, held=[sold], records=[record])
    return attention([] if at_account else [sold], live)


def sold(strike: float = 180, kind: str = "call", expiry: date = DECEMBER) -> Position:
    return position("AAPL1", strike, kind, contracts=-2, expiry=expiry)  # type: ignore[arg-type]


@pytest.mark.parametrize("at_account", [False, True], ids=["file", "account alone"])
@pytest.mark.parametrize(
    ("rest", "said"), [(ACME, "100 AAPL and 10 ACME"), (OPEN, "100 AAPL and cash that is not determined yet")]
)
def test_its_underlying_alone_puts_it_in_the_money(rest: Deliverable, said: str, *, at_account: bool):
    found = look(sold(), AAPL, rest, at_account=at_account)

    entry = only(found, AttentionKind.IN_THE_MONEY_SHORT)
    lacking = ", which is in the account alone," if at_account else ""
    assert entry.what == (
        f"AAPL1 18 Dec 26 180 C{lacking} delivers {said} by Alpaca's record: by its AAPL alone it is in the money by "
        "1,000.00 a contract at least, and may be assigned any day."
    )
    assert entry.level is Level.INFO
    assert entry.amounts == f"Assigned: 2 times {said} are delivered."
    assert found.not_judged == (
        (
            f"AAPL1 18 Dec 26 180 C: it is adjusted ({said} each), so whether it may be assigned early or for a "
            "dividend cannot be judged."
        ),
    )
    assert found.unjudged[AttentionKind.IN_THE_MONEY_SHORT] == frozenset()
    assert found.unjudged[AttentionKind.EARLY_EXERCISE] == {entry.symbols[0]}


def test_what_ends_today_is_grave_and_is_to_be_closed():
    found = look(sold(expiry=FRIDAY), AAPL, ACME)

    entry = only(found, AttentionKind.IN_THE_MONEY_SHORT)
    assert (entry.level, entry.remedy) == (Level.ERROR, "Close it, or roll it to a later expiry.")
    assert "is assigned unless it is closed today" in entry.what
    assert not any("whether it is in the money" in one for one in found.not_judged)


@pytest.mark.parametrize(
    ("strike", "kind"),
    [(189.995, "call"), (195, "call"), (250, "put")],
    ids=["by less than a cent", "out", "put"],
)
def test_what_the_rest_may_turn_is_not_judged(strike: float, kind: str):
    """A call out of the money by its underlying, and every put: what else is delivered may be worth anything."""
    found = look(sold(strike, kind), AAPL, ACME)

    assert of_kind(found, AttentionKind.IN_THE_MONEY_SHORT) == []
    assert any("whether it is in the money, or may be" in one for one in found.not_judged)
    assert found.unjudged[AttentionKind.IN_THE_MONEY_SHORT]


def test_without_a_record_nothing_is_sure():
    assert of_kind(look(sold()), AttentionKind.IN_THE_MONEY_SHORT) == []
