"""A put that may be assigned tonight is held against the money there is, beside all that may be assigned with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.attention.world import FRIDAY, attention, dividend, live_at, of_kind
from tests.kit.builders import leg, position, structure

DECEMBER, NEXT_WEEK = date(2026, 12, 18), date(2026, 11, 23)
NEVER = date(2027, 12, 1)
PRICES = {"AAPL": 190.0, "KO": 60.0}


def put(symbol: str, strike: float, contracts: int = -1, expiry: date = DECEMBER) -> PortfolioEntry:
    return position(
        symbol, strike, "put", contracts=contracts, expiry=expiry, identity=f"{symbol} {strike:g} {expiry}"
    )


def puts(*book: PortfolioEntry, power: float | None, cash: float | None = None) -> dict[str, Entry]:
    """By label; every put in the money is bid for at what exercising brings, so that its holder gains by it."""
    prices: dict[str, tuple[float | None, float | None]] = {
        name: (price - 0.01, price + 0.01) for name, price in PRICES.items()
    }
    for line in (line for entry in book for line in entry.lines):
        inside = max(0.0, (line.instrument.strike or 0.0) - PRICES[line.instrument.underlying])
        prices[line.instrument.live_symbol] = (inside + 0.01, inside + 0.1)
    actions = [dividend(name, NEVER, 1.0) for name in PRICES]
    live = live_at("2026-11-20 12:00", prices, held=book, power=power, cash=cash, actions=actions)
    found = of_kind(attention(book, live, with_risk=True), AttentionKind.EARLY_EXERCISE)
    return {one.what.split(" P ")[0]: one for one in found}


@pytest.mark.parametrize(
    ("power", "cash", "said"),
    [
        (0, 500, "Assigned: +100 AAPL for $25,000; options buying power $0: short by $25,000."),
        (
            300,
            25_300,
            (
                "Assigned: +100 AAPL for $25,000; options buying power $300 and $25,000 set aside for it, as computed "
                "here: enough."
            ),
        ),
        (None, None, "Assigned: +100 AAPL for $25,000; the buying power is not known."),
    ],
)
def test_what_it_takes_is_held_against_the_buying_power_and_what_is_set_aside(
    power: float | None, cash: float | None, said: str
):
    (entry,) = puts(put("AAPL", 250), power=power, cash=cash).values()

    assert entry.amounts == said
    assert ("its money is not there" in entry.remedy) is ("short by" in said)


def test_what_covers_one_is_not_set_aside_for_two():
    """One bought put stands beside either of two sold ones: with both assigned it covers one."""
    book = [put("AAPL", 250), put("AAPL", 245), put("AAPL", 240, contracts=1)]

    found = puts(*book, power=1_000, cash=27_000)

    # All that is set aside for the three is 255 dollars a share at a price of 0.
    assert {label: entry.set_aside for label, entry in found.items()} == {
        "AAPL 18 Dec 26 250": 1_000,
        "AAPL 18 Dec 26 245": 500,
    }
    shorts = {entry.amounts.split("short by ")[-1] for entry in found.values()}
    assert shorts == {"$23,000."}


def test_all_that_may_be_assigned_that_night_is_added_up():
    """Either could be paid, and not both."""
    book = [structure(leg("short", 250, "put", expiry=DECEMBER), leg("long", 240, "put", expiry=DECEMBER))]

    alone, other = (
        puts(*some, power=24_000)["AAPL 18 Dec 26 250"] for some in (book, [*book, put("KO", 80)])
    )

    assert alone.amounts.endswith(
        "options buying power $24,000 and $1,000 set aside for it, as computed here: enough."
    )
    assert other.amounts.endswith("as computed here: enough.")  # what is set aside for KO pays for it
    third = structure(
        leg("short", 85, "put", expiry=DECEMBER),
        leg("long", 80, "put", expiry=DECEMBER),
        symbol="KO",
        identity="KO",
    )
    both = puts(*book, third, power=24_000)
    assert both["AAPL 18 Dec 26 250"].amounts.endswith(
        "options buying power $24,000, $16,000 of it left by what else may be assigned that night, and $1,000 set "
        "aside for it, as computed here: short by $8,000."
    )
    assert both["KO 18 Dec 26 85"].amounts.endswith("short by $8,000.")


def test_what_ends_today_takes_its_own_before():
    ends = structure(
        leg("short", 80, "put", expiry=FRIDAY), leg("long", 55, "put", expiry=FRIDAY), symbol="KO"
    )

    found = puts(ends, put("AAPL", 250, -1), put("AAPL", 255, 1), power=3_000)
    entry = found["AAPL 18 Dec 26 250"]

    assert "$0 of it left by what else ends soon: short by $25,000" in entry.amounts


def test_what_ends_in_the_next_session_takes_its_dollars_once():
    """It may be assigned tonight, and is at its end."""
    spread = structure(leg("short", 250, "put", expiry=NEXT_WEEK), leg("long", 240, "put", expiry=NEXT_WEEK))

    (entry,) = puts(spread, power=24_000).values()

    assert entry.amounts.endswith(
        "options buying power $24,000 and $1,000 set aside for it, as computed here: enough."
    )


def far_puts(*book: PortfolioEntry, power: float) -> dict[str, Entry]:
    """By label; each has time value that its holder would give up, so nothing says that it is exercised soon."""
    prices: dict[str, tuple[float | None, float | None]] = {
        name: (price - 0.01, price + 0.01) for name, price in PRICES.items()
    }
    for line in (line for entry in book for line in entry.lines):
        inside = max(0.0, (line.instrument.strike or 0.0) - PRICES[line.instrument.underlying])
        prices[line.instrument.live_symbol] = (inside + 5.0, inside + 5.1)
    live = live_at("2026-11-20 12:00", prices, held=book, power=power)
    found = of_kind(attention(book, live), AttentionKind.IN_THE_MONEY_SHORT)
    return {one.what.split(" P ")[0]: one for one in found}


def spread(symbol: str, strike: float, identity: str) -> PortfolioEntry:
    legs = (leg(side, at, "put", expiry=DECEMBER) for side, at in (("short", strike), ("long", strike - 5)))  # type: ignore[arg-type]
    return structure(*legs, symbol=symbol, identity=identity)


def test_of_what_may_be_assigned_any_day_none_is_paid_with_the_money_of_another():
    """Either could be paid, and not both; it is one account that pays, whichever entries or names they are in."""
    of_one, of_both = (
        far_puts(*book, power=9_000)
        for book in (
            [spread("KO", 85, "a")],
            [spread("KO", 85, "a"), spread("KO", 86, "b")],
        )
    )

    assert of_one["KO 18 Dec 26 85"].amounts == "Assigned: +100 KO for $8,500."
    assert {label: one.amounts for label, one in of_both.items()} == {
        f"KO 18 Dec 26 {strike}": (
            f"Assigned: +100 KO for ${needs:,}; options buying power $9,000, ${left:,} of it left by what else may be "
            "assigned that night: short by $7,100."
        )
        for strike, needs, left in ((85, 8_500, 1_400), (86, 8_600, 1_500))
    }


def test_one_contract_of_several_entries_is_assigned_as_one():
    """The account has one position of it."""
    book = [spread("KO", 85, "a"), spread("KO", 85, "b")]

    (entry,) = far_puts(*book, power=9_000).values()

    assert entry.amounts.startswith("Assigned: +200 KO for $17,000; ")
    assert entry.amounts.endswith("short by $7,000.")


def test_what_is_told_to_be_exercised_early_is_assigned_in_the_same_night():
    book = [spread("KO", 85, "a"), put("AAPL", 250)]
    prices: dict[str, tuple[float | None, float | None]] = {
        "KO": (59.99, 60.01), "AAPL": (189.99, 190.01), book[1].lines[0].instrument.live_symbol: (60.01, 60.1),
        book[0].lines[0].instrument.live_symbol: (30, 30.1), book[0].lines[1].instrument.live_symbol: (25, 25.1),
    }  # fmt: skip
    actions = [dividend(name, NEVER, 1.0) for name in PRICES]
    live = live_at("2026-11-20 12:00", prices, held=book, power=9_000, actions=actions)
    live = replace(
        live, account=replace(live.account, moved=frozenset({"AAPL"}))
    )  # what is set aside is not known

    (entry,) = of_kind(attention(book, live, with_risk=True), AttentionKind.IN_THE_MONEY_SHORT)

    assert "$0 of it left by what else may be assigned that night" in entry.amounts
