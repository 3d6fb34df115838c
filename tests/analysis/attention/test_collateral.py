"""What was set aside for what is sold is there for its end beside the buying power, and only what is sure of it."""

from __future__ import annotations

from datetime import date

import pytest

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.entries import AttentionKind
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.attention.world import FRIDAY, attention, live_at, of_kind, only, sold_since
from tests.kit.builders import holding, leg, position, share_leg, structure

DECEMBER = date(2026, 12, 18)
NVDA = 176.9


def today(
    *held: PortfolioEntry, power: float | None = 300, price: float = NVDA, is_asked_before: bool = False
) -> Attention:
    """NVDA at that price; the account said its buying power while it held these, or some trade came since."""
    prices: dict[str, tuple[float | None, float | None]] = {"NVDA": (price - 0.01, price + 0.01)}
    live = live_at("2026-11-20 14:30", prices, held=held, power=power)
    return attention(held, sold_since(live, "NVDA") if is_asked_before else live)


def put(strike: float, contracts: int = -1, expiry: date = FRIDAY) -> PortfolioEntry:
    return position(
        "NVDA", strike, "put", contracts=contracts, expiry=expiry, identity=f"{strike:g} {contracts} {expiry}"
    )


def call(strike: float, contracts: int = 1, expiry: date = FRIDAY) -> PortfolioEntry:
    return position(
        "NVDA",
        strike,
        "call",
        contracts=contracts,
        expiry=expiry,
        identity=f"{strike:g} {contracts} {expiry}",
    )


def condor(expiry: date = FRIDAY) -> PortfolioEntry:
    return structure(
        leg("long", 170, "put", expiry=expiry),
        leg("short", 180, "put", expiry=expiry),
        leg("short", 190, "call", expiry=expiry),
        leg("long", 200, "call", expiry=expiry),
        symbol="NVDA",
    )


def test_a_cash_secured_put_lacks_nothing():
    """300 are left, and 19,000 were set aside when it was sold: it was said to be short by 18,700."""
    found = today(put(190))

    expiring, short = only(found, AttentionKind.EXPIRING), only(found, AttentionKind.IN_THE_MONEY_SHORT)
    there = "options buying power $300 and $19,000 set aside for it, as computed here: enough"
    assert f"+100 NVDA for $19,000; {there}." in expiring.amounts
    assert short.amounts == f"Assigned: +100 NVDA for $19,000; with all that ends with it: {there}."
    for entry in (expiring, short):
        assert (entry.needs, entry.has, entry.set_aside) == (19_000, 300, 19_000)
    assert short.remedy == "Close it, or roll it to a later expiry."


@pytest.mark.parametrize(
    ("held", "price", "aside"),
    [
        ([put(190), put(185)], NVDA, 37_500),
        ([put(190, -3)], NVDA, 57_000),
        ([put(190), put(185, 1)], NVDA, 500),
        ([put(190), put(185, 1)], 188.0, 500),
        ([put(190), put(185)], 188.0, 19_000),  # the other one ends worthless
        ([condor()], 175.0, 1_000),
        ([condor()], 195.0, 1_000),
        ([call(170, -1), holding("NVDA", 100)], NVDA, 0),  # covered
        ([call(170, -1)], NVDA, 0),  # naked
        ([structure(share_leg(), leg("short", 170, expiry=FRIDAY), symbol="NVDA"), put(190)], NVDA, 19_000),
        ([call(170, -1), call(175, 1)], NVDA, 500),
        ([put(190), put(180, -1, DECEMBER)], NVDA, 19_000),  # what goes on keeps its own
        ([put(190), put(190, 1, DECEMBER)], NVDA, 0),  # it is covered by what goes on
        ([put(190), put(185, 1, DECEMBER)], NVDA, 500),
        ([put(190), condor(DECEMBER)], NVDA, 19_000),
        ([put(190), call(200, -1, DECEMBER), holding("NVDA", 100)], NVDA, 19_000),
        (
            [put(190), holding("NVDA", -100)],
            NVDA,
            0,
        ),  # what it takes beside shares sold short, nobody knows here
        # Whether the shares stand behind the call that ends or the one that goes on, the account does not say.
        (
            [call(170, -1), holding("NVDA", 100), call(175, -1, DECEMBER), call(180, 1, DECEMBER)],
            NVDA,
            0,
        ),
    ],
)
def test_what_is_set_aside_is_the_greatest_loss_of_what_was_sold_with_what_covers_it(
    held: list[PortfolioEntry], price: float, aside: float
):
    assert only(today(*held, price=price), AttentionKind.EXPIRING).set_aside == aside


def test_what_was_sold_after_the_account_was_asked_has_set_nothing_aside_of_what_it_said():
    entry = only(today(put(190), is_asked_before=True), AttentionKind.EXPIRING)

    assert "options buying power $300: short by $18,700" in entry.amounts
    assert entry.set_aside == 0


@pytest.mark.parametrize(("cash", "aside"), [(19_000.0, 19_000), (18_999.0, 0), (None, 0)])
def test_a_buying_power_of_zero_is_left_of_it_or_hides_a_deficit(cash: float | None, aside: float):
    """It is never below 0; the cash says which of the two it is."""
    held = [put(190)]
    prices: dict[str, tuple[float | None, float | None]] = {"NVDA": (NVDA - 0.01, NVDA + 0.01)}
    live = live_at("2026-11-20 14:30", prices, held=held, power=0, cash=cash)

    entry = only(attention(held, live), AttentionKind.EXPIRING)

    assert entry.set_aside == aside
    assert ("short by $19,000" in entry.amounts) is (not aside)


def test_an_unknown_buying_power_is_not_made_up_of_what_is_set_aside():
    entry = only(today(put(190), power=None), AttentionKind.EXPIRING)

    assert "the buying power is not known" in entry.amounts
    assert (entry.has, entry.set_aside) == (None, 0)


def test_what_is_set_aside_for_one_pays_for_no_other():
    """The put has its own 19,000; for the call there are 300."""
    found = today(put(190), call(170))

    assert only(found, AttentionKind.EXPIRING).amounts.endswith(
        "options buying power $300 and $19,000 set aside for it, as computed here: short by $16,700."
    )
    lacking = only(found, AttentionKind.LONG_WITHOUT_MONEY)
    assert (
        lacking.remedy == "Sell it, or ask Alpaca not to exercise it, which gives up 6.90 a share."
    )  # the put's closing is no way: it costs too


def test_a_put_that_ends_worthless_pays_for_no_call():
    """Its 15,000 come back only once it has ended."""
    entry = only(today(put(150), call(170), power=15_000), AttentionKind.LONG_WITHOUT_MONEY)

    assert "options buying power $15,000: short by $2,000" in entry.amounts


def test_an_assignment_that_may_come_any_day_has_it_too():
    entry = only(today(put(190, -1, DECEMBER)), AttentionKind.IN_THE_MONEY_SHORT)

    assert entry.amounts == (
        "Assigned: +100 NVDA for $19,000; "
        "options buying power $300 and $19,000 set aside for it, as computed here: enough."
    )


def test_ends_of_several_underlyings_are_held_against_the_buying_power_together_with_what_each_has_set_aside():
    """51,000 are left of 70,000, and 19,000 are set aside: the call takes 64,000."""
    spy = position("SPY", 640, "call", contracts=1, expiry=FRIDAY)
    prices: dict[str, tuple[float | None, float | None]] = {
        "SPY": (639.98, 640.0),
        "NVDA": (NVDA - 0.01, NVDA + 0.01),
    }
    book = [spy, put(190)]
    live = live_at("2026-11-20 14:30", prices, held=book, power=51_000)

    known = only(attention(book, live), AttentionKind.PIN)
    before = live_at("2026-11-20 14:30", prices, held=book, power=70_000)
    unknown = only(attention(book, sold_since(before, "NVDA")), AttentionKind.PIN)

    assert known.amounts == (
        "Above 640: +100 SPY for $64,000 (options buying power $51,000: short by $13,000); below: nothing."
    )
    assert (
        "options buying power $70,000, $51,000 of it left by what else ends soon: short by $13,000"
        in unknown.amounts
    )
    assert of_kind(attention(book, live), AttentionKind.LONG_WITHOUT_MONEY) == []
