"""Several pins of one evening: each may end on either side, and one buying power pays for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.model.portfolio import PortfolioEntry
from options_helper.model.risk_inputs import SessionClose
from tests.analysis.attention.world import FRIDAY, attention, live_at, of_kind, sold_since
from tests.kit.builders import holding, new_york, portfolio, position

SPOTS = {"AAPL": 200.0, "KO": 60.0, "F": 12.0}
AT = "2026-11-20 15:50"


def look(
    *held: PortfolioEntry, power: float | None = 1_000, is_aside_known: bool = False, at: str = AT
) -> Attention:
    """All three shares, each quoted a cent wide around its price; the strikes of the books stand near."""
    prices: dict[str, tuple[float | None, float | None]] = {
        name: (spot - 0.05, spot + 0.05) for name, spot in SPOTS.items()
    }
    live = live_at(at, prices, held=held, power=power)
    if not is_aside_known:
        trades = [one for name in SPOTS for one in sold_since(live, name).account.later]
        live = replace(live, account=replace(live.account, later=tuple(trades)))
    return attention(held, live)


def option(symbol: str, strike: float, kind: str, contracts: int) -> PortfolioEntry:
    return position(
        symbol,
        strike,
        kind,  # type: ignore[arg-type]
        contracts=contracts,
        expiry=FRIDAY,
        identity=f"{symbol} {strike} {kind}",
    )


def all_together(found: Attention) -> Entry | None:
    several = [one for one in of_kind(found, AttentionKind.PIN) if "legs are pinned" in one.what]
    assert len(several) <= 1
    return several[0] if several else None


TWO_PUTS = (option("AAPL", 200, "put", -1), option("KO", 60, "put", -2))


def test_two_puts_that_can_each_be_paid_and_not_both_say_so():
    """Each alone left nothing short: it was held against the buying power with the other at its price of now."""
    found = look(*TWO_PUTS, power=25_000)

    entry = all_together(found)
    assert entry is not None
    assert entry.what == (
        "2 legs are pinned, AAPL 20 Nov 26 200 P, KO 20 Nov 26 60 P: "
        "each may end on either side, and what they take adds up."
    )
    assert entry.amounts == (
        "At the worst closing price of each: AAPL at 199.99 takes $20,000 and KO at 59.99 takes $12,000; "
        "together $32,000; options buying power $25,000: short by $7,000."
    )
    assert (entry.needs, entry.has, entry.subject) == (32_000, 25_000, "AAPL, KO")
    assert [one.amounts for one in of_kind(found, AttentionKind.PIN) if one is not entry] == [
        "Above 200: nothing; below: +100 AAPL for $20,000.",
        "Above 60: nothing; below: +200 KO for $12,000.",
    ]


def test_one_pin_stands_alone_and_so_do_two_contracts_of_one_strike():
    assert all_together(look(TWO_PUTS[0])) is None
    assert all_together(look(option("KO", 60, "put", -1), option("KO", 60, "call", -1))) is None


def test_what_is_set_aside_for_each_pays_for_it():
    entry = all_together(look(*TWO_PUTS, power=300, is_aside_known=True))

    assert entry is not None
    assert entry.set_aside == 32_000
    assert entry.amounts.endswith(
        "options buying power $300 and $32,000 set aside for it, as computed here: enough."
    )


def test_two_strikes_of_one_share_end_at_one_price():
    """Above both the call takes the shares, below both the puts take the dollars: never both, and that is said."""
    entry = all_together(look(option("KO", 60, "put", -2), option("KO", 60.05, "call", -1), power=None))

    assert entry is not None
    assert entry.amounts == (
        "At the worst closing price of each: KO at 59.99 takes $12,000 and at 60.06 100 KO are to be delivered that "
        "are not free; the buying power is not known. "
        "Of KO one closing price takes the dollars and another the shares: both together are a bound."
    )


def test_what_is_in_doubt_or_over_is_closed_by_nobody():
    entry = all_together(look(*TWO_PUTS, at="2026-11-20 17:00"))

    assert entry is not None
    assert entry.remedy == "Look at the positions before the next open."


STRIKES = {"AAPL": [199.95, 200.0, 200.05], "KO": [59.95, 60.0, 60.05], "F": [11.95, 12.0]}
LEGS = st.sampled_from([(name, strike) for name, strikes in STRIKES.items() for strike in strikes]).flatmap(
    lambda one: st.tuples(
        st.just(one[0]), st.just(one[1]), st.sampled_from(["call", "put"]), st.sampled_from([-2, -1, 1, 3])
    )
)
Legs = Sequence[tuple[str, float, str, int]]


def taken(legs: Legs, price: float) -> tuple[float, float]:
    """Dollars to be paid, and shares to be delivered, of one share at a closing price, by the rule of a cent."""
    dollars = shares = 0.0
    for _, strike, kind, count in legs:
        inside = price - strike if kind == "call" else strike - price
        if inside < 0.01 - 1e-9:
            continue
        buys = (kind == "call") == (count > 0)
        dollars += (1 if buys else -1) * 100 * abs(count) * strike
        shares += (-1 if buys else 1) * 100 * abs(count)
    return max(0.0, dollars), max(0.0, shares)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(LEGS, min_size=2, max_size=6, unique_by=lambda one: one[:3]), st.sampled_from([0.0, 15_000.0])
)
def test_no_closing_prices_take_more_than_is_said(legs: list[tuple[str, float, str, int]], power: float):
    """Every cent of each share is tried with every cent of the others, and the most of these is what is said."""
    entry = all_together(look(*(option(*one) for one in legs), power=power))
    strikes = {(name, strike) for name, strike, _, _ in legs}

    assert (entry is None) is (len(strikes) == 1)
    if entry is None:
        return
    by_name = {name: [one for one in legs if one[0] == name] for name, _ in strikes}
    cents = range(-10, 11)
    worst = max(
        sum(at)
        for at in product(
            *(
                {taken(of_name, SPOTS[name] + cent / 100)[0] for cent in cents}
                for name, of_name in by_name.items()
            )
        )
    )
    assert (entry.needs or 0.0) == pytest.approx(worst)
    short = max(0.0, worst - power)
    assert (f"short by ${short:,.0f}" in entry.amounts) if short else ("short by" not in entry.amounts)
    for name, of_name in by_name.items():
        most = max(taken(of_name, SPOTS[name] + cent / 100)[1] for cent in cents)
        assert (
            (f"{most:.0f} {name} are to be delivered" in entry.amounts)
            if most
            else (f"{name} are to be delivered" not in entry.amounts)
        )


def test_shares_that_are_held_are_delivered_first():
    legs = (option("KO", 60, "call", -3), option("AAPL", 200, "call", -1), holding("KO", 200))
    entry = all_together(look(*legs))

    assert entry is not None
    assert "at 60.01 100 KO are to be delivered that are not free" in entry.amounts
    assert "at 200.01 100 AAPL are to be delivered that are not free" in entry.amounts


MONDAY_PUT = position("KO", 63, "put", contracts=-1, expiry=date(2026, 11, 23), identity="monday")


@pytest.mark.parametrize(
    ("at", "read_at", "spot", "is_pinned"),
    [
        ("2026-11-20 17:29", "2026-11-20 16:05", 63.0, False),  # holders decide by the price of now
        ("2026-11-20 17:30", "2026-11-20 16:05", 63.0, True),
        ("2026-11-23 09:00", "2026-11-20 16:05", 63.0, True),
        ("2026-11-23 09:00", "2026-11-20 15:00", 63.0, False),  # read before its end that is no close
    ],
)
def test_what_has_ended_is_pinned_by_the_close_that_decided_and_not_by_where_the_share_went_since(
    at: str, read_at: str, spot: float, *, is_pinned: bool
):
    """It had closed at the strike, and on Monday the warning was gone: the share had risen before the market opened."""
    ended = option("KO", 60, "put", -2)
    live = live_at(at, {"KO": (spot - 0.05, spot + 0.05)}, held=[ended])
    close = SessionClose("KO", FRIDAY, 60.0, new_york(read_at))
    inputs = replace(live.risk_inputs, session_closes={("KO", FRIDAY): close})
    found = attention([ended], replace(live, risk_inputs=inputs))

    assert [one.symbols for one in of_kind(found, AttentionKind.PIN)] == (
        [("KO261120P00060000",)] if is_pinned else []
    )


@pytest.mark.parametrize("in_file", [1, 2], ids=["one in the account alone", "both in the file"])
def test_two_ends_of_one_name_have_each_the_price_that_decides_it(in_file: int):
    """Friday's by Friday's close, Monday's by the price of now; by one price one of the two was not pinned."""
    both = [option("KO", 60, "put", -2), MONDAY_PUT]
    held = both[:in_file]
    live = live_at(
        "2026-11-23 09:00", {"KO": (62.95, 63.05)}, held=held, account=portfolio(*both), power=1_000
    )
    close = SessionClose("KO", FRIDAY, 60.0, new_york("2026-11-20 16:05"))
    found = attention(
        held, replace(live, risk_inputs=replace(live.risk_inputs, session_closes={("KO", FRIDAY): close}))
    )

    entry = all_together(found)
    assert entry is not None
    assert entry.what.startswith("2 legs are pinned, KO 20 Nov 26 60 P, KO 23 Nov 26 63 P")
    assert "KO at 59.99 takes $12,000" in entry.amounts
    assert "KO at 62.99" in entry.amounts
    assert "takes $6,300" in entry.amounts


@pytest.mark.parametrize(
    ("shares", "lacks"), [(0.0, "100 AAPL are to be delivered that are not free"), (100.0, "")]
)
def test_a_pin_says_on_which_side_shares_are_missing(shares: float, lacks: str):
    call = option("AAPL", 200, "call", -1)
    held = (call, holding("AAPL", shares)) if shares else (call,)
    found = of_kind(look(*held), AttentionKind.PIN)

    above, below = found[0].amounts.split("; below: ")
    assert lacks in above
    assert ("not free" in above) == bool(lacks)
    assert below == "nothing."
