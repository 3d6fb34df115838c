"""Whose a shortage is: a leg is blamed for what it adds, not for what the whole lacks."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.delivery import demand, together
from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.attention.held_legs import HeldLine, held_lines
from options_helper.analysis.attention.shortage import blame
from options_helper.analysis.priced_lines import price_entries
from options_helper.model.portfolio import Leg, MultiLegPosition, PortfolioEntry, Side
from tests.analysis.attention.world import FRIDAY, HALF_DAY, attention, live_at, of_kind, only
from tests.kit.builders import holding, leg, portfolio, position, structure

KO = 62.22
SELL = "Sell it, or ask Alpaca not to exercise it."
CLOSE = "Close it, or roll it to a later expiry."
TOGETHER = "Close it together with what offsets it: to close either alone leaves more missing."


def option(side: Side, strike: float, option_type: str, contracts: int = 1) -> Leg:
    return leg(side, strike, option_type, contracts=contracts, expiry=FRIDAY)  # type: ignore[arg-type]


def spread(*legs: Leg) -> MultiLegPosition:
    return structure(*legs, symbol="KO", net_debit=-60)


def today(
    *held: PortfolioEntry, power: float | None = 1_000, account: list[PortfolioEntry] | None = None
) -> Attention:
    prices: dict[str, tuple[float | None, float | None]] = {"KO": (KO - 0.01, KO + 0.01)}
    theirs = None if account is None else portfolio(*account)
    return attention(held, live_at("2026-11-20 14:30", prices, held=held, power=power, account=theirs))


def told(found: Attention) -> tuple[dict[tuple[str, ...], str], dict[tuple[str, ...], str]]:
    """The remedies of the long legs that are blamed, and of the short ones in the money, by contracts."""
    longs, shorts = (
        {one.symbols: one.remedy for one in of_kind(found, kind)}
        for kind in (AttentionKind.LONG_WITHOUT_MONEY, AttentionKind.IN_THE_MONEY_SHORT)
    )
    return longs, shorts


def symbol(strike: int, kind: str) -> tuple[str]:
    return (f"KO261120{kind}{strike * 1000:08d}",)


def test_a_put_ratio_lacks_its_money_for_the_surplus_puts_that_were_sold():
    """Exercising the long put brings $7,000 and delivers 100 of the 300 shares: without it $18,500 are missing."""
    found = today(spread(option("long", 70, "put"), option("short", 65, "put", 3)))

    assert told(found) == (
        {},
        {
            symbol(
                65, "P"
            ): "Close the surplus, 2 of 3 contracts of KO 20 Nov 26 65 P, or roll it to a later expiry."
        },
    )
    short = only(found, AttentionKind.IN_THE_MONEY_SHORT)
    assert "with all that ends with it: options buying power $1,000: short by $11,500" in short.amounts
    assert short.discreet_remedy == (
        "Close the surplus, a part of KO 20 Nov 26 65 P, or roll it to a later expiry."
    )


def test_a_call_ratio_lacks_its_shares_for_the_surplus_calls_that_were_sold():
    found = today(spread(option("long", 55, "call"), option("short", 58, "call", 3)))

    assert told(found) == (
        {},
        {
            symbol(
                58, "C"
            ): "Close the surplus, 2 of 3 contracts of KO 20 Nov 26 58 C, or roll it to a later expiry."
        },
    )


def test_so_many_calls_as_shares_cover_are_not_too_many():
    """Shares are partners as options are."""
    sold = position("KO", 58, "call", contracts=-3, expiry=FRIDAY)

    _, shorts = told(today(holding("KO", 200), sold))
    _, covered = told(today(holding("KO", 300), sold))

    assert "the surplus, 1 of 3 contracts" in shorts[symbol(58, "C")]
    assert covered == {symbol(58, "C"): CLOSE}


def test_of_two_long_legs_the_one_is_blamed_that_takes_the_money():
    """The long put brings money; the long calls take it, and all of them."""
    found = today(
        position("KO", 70, "put", contracts=1, expiry=FRIDAY),
        position("KO", 60, "call", contracts=3, expiry=FRIDAY),
    )

    (entry,) = of_kind(found, AttentionKind.LONG_WITHOUT_MONEY)
    assert entry.symbols == symbol(60, "C")
    assert entry.remedy == (
        "Sell 2 of 3 contracts of KO 20 Nov 26 60 C, or ask Alpaca not to exercise so many."
    )


def test_a_spread_that_costs_more_than_is_there_is_closed_as_a_whole():
    """Each leg offsets the other: without the long call 100 shares are missing, without the short one $6,100."""
    found = today(spread(option("long", 61, "call"), option("short", 58, "call")), power=100)

    assert told(found) == ({}, {symbol(58, "C"): TOGETHER})


def test_what_is_exercised_without_its_money_is_still_told_to_be_sold():
    found = today(spread(option("long", 55, "call"), option("short", 70, "call")))

    assert told(found) == ({symbol(55, "C"): SELL}, {})


def test_the_surplus_is_that_of_the_account():
    """The file has one short put too many; by the account there is none."""
    file = [spread(option("long", 70, "put"), option("short", 65, "put", 3))]
    account = [spread(option("long", 70, "put"), option("short", 65, "put", 1))]

    assert told(today(*file, account=account))[1] == {symbol(65, "P"): CLOSE}
    assert "surplus, 2 of 3" in told(today(*account, account=file))[1][symbol(65, "P")]


def test_a_long_leg_that_ends_later_brings_nothing_to_this_end():
    later = leg("long", 70, "put", expiry=HALF_DAY)

    _, shorts = told(today(spread(later, option("short", 65, "put", 3)), power=7_000))

    assert "surplus, 2 of 3" in shorts[symbol(65, "P")]


@pytest.mark.parametrize("power", [None, 1e6])
def test_how_many_are_too_many_is_not_said_where_the_money_is_not_known_or_is_there(power: float | None):
    found = today(spread(option("long", 70, "put"), option("short", 65, "put", 3)), power=power)

    assert told(found) == ({}, {symbol(65, "P"): CLOSE})


def test_what_is_settled_in_cash_has_no_surplus():
    index = structure(
        leg("long", 6_100, "put", expiry=FRIDAY),
        leg("short", 6_050, "put", contracts=3, expiry=FRIDAY),
        symbol="SPXW",
    )
    live = live_at(
        "2026-11-20 14:30", {"SPX": (6_000.0, 6_000.2), "SPXW": (6_000.0, 6_000.2)}, held=[index], power=0
    )

    longs, shorts = told(attention([index], live))

    assert (longs, set(shorts.values()) - {CLOSE}) == ({}, set())


LEGS = st.lists(
    st.tuples(
        st.sampled_from([50, 55, 58, 60, 61, 64, 65, 70]),
        st.sampled_from(["call", "put"]),
        st.integers(-4, 4).filter(bool),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda one: one[:2],
)


@cache
def _line(strike: int, kind: str) -> HeldLine:
    """One contract of it, held."""
    book = portfolio(position("KO", strike, kind, contracts=1, expiry=FRIDAY))  # type: ignore[arg-type]
    live = live_at("2026-11-20 14:30", {"KO": (KO - 0.01, KO + 0.01)}, held=book.positions)
    priced = price_entries(book.positions, book, live, stale_after_seconds=30.0, wide_spread_pct=10.0)
    (line,) = held_lines(book, live, priced=priced, book=None)
    return line


def _missing(legs: list[tuple[int, str, float]], shares: float, money: float) -> tuple[float, float]:
    """Dollars and shares that are missing, by a computation of the test's own."""
    cash, stock = money, shares
    for strike, kind, contracts in legs:
        if (strike < KO) if kind == "call" else (strike > KO):
            bought = contracts * 100 * (1 if kind == "call" else -1)
            stock += bought
            cash -= bought * strike
    return max(0.0, -cash), max(0.0, -stock)


@given(LEGS, st.sampled_from([0.0, 100.0, 250.0]), st.integers(0, 40_000))
def test_without_what_is_blamed_less_is_missing_and_nothing_that_was_not(
    legs: list[tuple[int, str, int]], shares: float, money: int
):
    options = [replace(_line(strike, kind), quantity=float(count)) for strike, kind, count in legs]
    outcome = together(options, KO)
    assert outcome is not None
    found = blame(options, demand(outcome, shares), money)
    contracts = {(strike, kind): float(count) for strike, kind, count in legs}
    whole = _missing(legs, shares, money)  # type: ignore[arg-type]

    for part in found.longs:
        key = (int(part.leg.instrument.strike or 0), part.leg.instrument.option_type or "")
        without = _missing(
            [(*one, n - part.contracts if one == key else n) for one, n in contracts.items()], shares, money
        )
        assert without != whole
        assert all(one <= before for one, before in zip(without, whole, strict=True))
    for part in (*found.longs, *found.shorts):
        key = (int(part.leg.instrument.strike or 0), part.leg.instrument.option_type or "")
        before = _missing([(*one, n) for one, n in contracts.items()], shares, money)
        contracts[key] -= part.contracts if contracts[key] > 0 else -part.contracts
        after = _missing([(*one, n) for one, n in contracts.items()], shares, money)
        assert after != before
        assert all(one <= more for one, more in zip(after, before, strict=True))
    assert found.is_rest == any(_missing([(*one, n) for one, n in contracts.items()], shares, money))


@settings(max_examples=25)  # each is a whole look at a book
@given(LEGS, st.integers(0, 40_000))
def test_each_entry_names_a_long_leg_that_adds_to_the_shortage(legs: list[tuple[int, str, int]], money: int):
    """Through all of it: one contract less of what is named makes the shortage smaller."""
    held = [position("KO", k, kind, contracts=n, expiry=FRIDAY) for k, kind, n in legs]  # type: ignore[arg-type]
    counts: list[tuple[int, str, float]] = [(k, kind, n) for k, kind, n in legs]
    whole = _missing(counts, 0.0, money)

    found = of_kind(today(*held, power=money), AttentionKind.LONG_WITHOUT_MONEY)

    for named in (one for entry in found for one in entry.symbols):
        fewer = [
            (k, kind, n - 1 if named == f"KO261120{kind[0].upper()}{k * 1000:08d}" else n)
            for k, kind, n in counts
        ]
        assert sum(n for *_, n in fewer) == sum(n for *_, n in counts) - 1
        without = _missing(fewer, 0.0, money)
        assert without != whole
        assert all(one <= before for one, before in zip(without, whole, strict=True))
