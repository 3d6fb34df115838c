"""What can be done about what ends together: no remedy that is named leaves more shares or dollars missing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import combinations
from math import copysign

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from options_helper.analysis.attention import shortage
from options_helper.analysis.attention.aftermath import Aftermath, Harm, Missing
from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.closings import NONE_CLOSED, Closed
from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.attention.held_legs import HeldLine, held_lines
from options_helper.analysis.attention.remedies import to_close, to_sell
from options_helper.analysis.attention.shortage import Settlement, settlement
from options_helper.analysis.priced_lines import price_entries
from options_helper.model.portfolio import Leg, MultiLegPosition, PortfolioEntry, Side
from tests.analysis.attention.world import (
    FRIDAY,
    HALF_DAY,
    attention,
    dividend,
    live_at,
    of_kind,
    only,
    sold_since,
)
from tests.kit.builders import holding, leg, portfolio, position, structure

KO = 62.22
SELL = "Sell it, or ask Alpaca not to exercise it, which gives up 2.22 a share."
CLOSE = "Close it, or roll it to a later expiry."


def option(side: Side, strike: float, option_type: str, contracts: int = 1) -> Leg:
    return leg(side, strike, option_type, contracts=contracts, expiry=FRIDAY)  # type: ignore[arg-type]


def spread(*legs: Leg) -> MultiLegPosition:
    return structure(*legs, symbol="KO", net_debit=-60)


def today(
    *held: PortfolioEntry, power: float | None = 1_000, account: list[PortfolioEntry] | None = None
) -> Attention:
    prices: dict[str, tuple[float | None, float | None]] = {"KO": (KO - 0.01, KO + 0.01)}
    theirs = None if account is None else portfolio(*account)
    live = live_at("2026-11-20 14:30", prices, held=held, power=power, account=theirs)
    # What is set aside for what was sold is another matter (`test_collateral.py`): here the buying power is all.
    return attention(held, sold_since(live, "KO"))


def told(found: Attention) -> tuple[dict[tuple[str, ...], str], dict[tuple[str, ...], str]]:
    """The remedies of the long legs that are blamed, and of the short ones in the money, by contracts."""
    longs, shorts = (
        {one.symbols: one.remedy for one in of_kind(found, kind)}
        for kind in (AttentionKind.LONG_WITHOUT_MONEY, AttentionKind.IN_THE_MONEY_SHORT)
    )
    return longs, shorts


def symbol(strike: int, kind: str) -> tuple[str]:
    return (f"KO261120{kind}{strike * 1000:08d}",)


def test_short_puts_that_bring_the_shares_of_short_calls_are_not_closed_alone():
    """100 KO are missing; without the two puts it were 300."""
    call = position("KO", 55, "call", contracts=-3, expiry=FRIDAY)
    put = position("KO", 70, "put", contracts=-2, expiry=FRIDAY)
    found = today(call, put, power=5_000)

    surplus = "lose the surplus, 1 of 3 contracts of KO 20 Nov 26 55 C, or roll it to a later expiry."
    assert told(found) == (
        {},
        {
            symbol(55, "C"): f"C{surplus}",
            symbol(70, "P"): f"C{surplus} To close KO 20 Nov 26 70 P alone leaves 300 KO missing.",
        },
    )


def test_two_lines_each_of_which_is_safe_alone_say_that_both_are_not():
    """Either put brings the shares that the call has to deliver, and nothing is missing before."""
    call = position("KO", 55, "call", contracts=-1, expiry=FRIDAY)
    puts = [position("KO", k, "put", contracts=-1, expiry=FRIDAY, identity=f"{k}") for k in (70, 75)]
    found = today(call, *puts, power=20_000)

    assert told(found) == (
        {},
        {
            symbol(55, "C"): CLOSE,
            symbol(70, "P"): f"{CLOSE} But not KO 20 Nov 26 75 P as well: without both, 100 KO are missing.",
            # Between the two strikes it brings what the call has to deliver.
            symbol(75, "P"): (
                "Close KO 20 Nov 26 75 P together with KO 20 Nov 26 55 C: "
                "alone that leaves more KO shares missing between 70 and 75."
            ),
        },
    )
    short = of_kind(found, AttentionKind.IN_THE_MONEY_SHORT)
    assert all("100" not in one.discreet_remedy for one in short)


def test_what_has_no_cover_is_not_closed_without_what_it_pays_for():
    """Without all three calls the two puts would bring 200 KO for $14,000."""
    call = position("KO", 55, "call", contracts=-3, expiry=FRIDAY)
    put = position("KO", 70, "put", contracts=-2, expiry=FRIDAY)
    entry = only(today(call, put, power=5_000), AttentionKind.UNDEFINED_RISK)

    assert entry.remedy == (
        "Close the surplus, 1 of 3 contracts of KO 20 Nov 26 55 C, or roll it to a later expiry. Then nothing is "
        "missing at the price of now. In place of that, to end the risk too: close 3 contracts of KO 20 Nov 26 55 C "
        "together with 1 of 2 contracts of KO 20 Nov 26 70 P: alone that leaves $9,000 missing."
    )
    assert "3" not in entry.discreet_remedy.replace("KO 20 Nov 26", "")


def test_before_an_ex_date_a_short_call_that_ends_with_what_it_pays_for_is_told_the_same():
    call = position("KO", 55, "call", contracts=-3, expiry=FRIDAY)
    put = position("KO", 70, "put", contracts=-2, expiry=FRIDAY)
    prices: dict[str, tuple[float | None, float | None]] = {
        "KO": (KO - 0.01, KO + 0.01),
        symbol(55, "C")[0]: (7.2, 7.3),
    }
    live = live_at(
        "2026-11-19 14:30", prices, held=[call, put], power=5_000, actions=[dividend("KO", FRIDAY, 0.5)]
    )

    assert only(attention([call, put], live), AttentionKind.EARLY_EXERCISE).remedy == (
        "Close the surplus, 1 of 3 contracts of KO 20 Nov 26 55 C, or roll it to a later expiry."
    )


def test_a_pinned_leg_is_not_closed_without_what_it_covers_on_either_side():
    """Below 62 the short put brings the shares that the long ones deliver."""
    pinned = position("KO", 62.2, "put", contracts=-1, expiry=FRIDAY)
    beside = position("KO", 70, "put", contracts=1, expiry=FRIDAY)

    assert only(today(pinned), AttentionKind.PIN).remedy == CLOSE
    assert only(today(pinned, beside), AttentionKind.PIN).remedy == (
        "Close KO 20 Nov 26 62.2 P together with KO 20 Nov 26 70 P, the sold leg first: "
        "alone that leaves more KO shares missing below 62.2."
    )


def test_a_short_put_that_offsets_a_part_of_the_long_ones_is_not_closed():
    """Two long puts deliver 200 KO, of which the short one brings 100."""
    found = today(spread(option("long", 65, "put", 2), option("short", 70, "put")), power=20_000)

    sell = (
        "Sell 1 of 2 contracts of KO 20 Nov 26 65 P, or ask Alpaca not to exercise so many, "
        "which gives up 2.78 a share."
    )
    assert told(found) == (
        {symbol(65, "P"): sell},
        {symbol(70, "P"): f"{sell} To close KO 20 Nov 26 70 P alone leaves 200 KO missing."},
    )


def test_where_either_of_two_legs_is_enough_both_lines_say_so():
    """A long call to leave out, or a short put to close: each takes money, and for one of them it is there."""
    call = position("KO", 60, "call", contracts=1, expiry=FRIDAY)
    found = today(call, position("KO", 70, "put", contracts=-1, expiry=FRIDAY), power=12_000)

    one = "Do one of the two, not both."
    assert told(found) == (
        {symbol(60, "C"): f"{SELL} Or instead: close KO 20 Nov 26 70 P, or roll it to a later expiry. {one}"},
        {
            symbol(70, "P"): f"{CLOSE} Or instead: sell KO 20 Nov 26 60 C, or ask Alpaca not to exercise it, "
            f"which gives up 2.22 a share. {one}"
        },
    )


def test_a_long_put_that_covers_sold_ones_lower_down_is_not_what_is_left_out():
    """At the price of now to leave it out cures the shortage; at 0 it pays for one of the three that are sold."""
    found = today(
        position("KO", 60, "call", contracts=-3, expiry=FRIDAY),
        spread(option("long", 70, "put"), option("short", 65, "put", 3)),
        power=5_000,
    )

    close = "Close the surplus, 1 of 3 contracts of KO 20 Nov 26 60 C, or roll it to a later expiry."
    assert told(found) == (
        {},
        {
            symbol(60, "C"): close,
            symbol(65, "P"): f"{close} To close KO 20 Nov 26 65 P alone leaves 400 KO missing.",
        },
    )


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
        "Sell 2 of 3 contracts of KO 20 Nov 26 60 C, or ask Alpaca not to exercise so many, "
        "which gives up 2.22 a share."
    )


def test_a_spread_that_costs_more_than_is_there_is_closed_as_a_whole():
    """Each leg offsets the other: without the long call 100 shares are missing, without the short one $6,100."""
    found = today(spread(option("long", 61, "call"), option("short", 58, "call")), power=100)

    assert told(found) == (
        {},
        {
            symbol(58, "C"): (
                "Close KO 20 Nov 26 58 C and KO 20 Nov 26 61 C together, the sold leg first: "
                "KO 20 Nov 26 58 C alone leaves $6,000 missing; KO 20 Nov 26 61 C alone leaves 100 KO missing."
            )
        },
    )


def test_what_is_exercised_without_its_money_is_still_told_to_be_sold():
    found = today(position("KO", 55, "call", contracts=1, expiry=FRIDAY))

    assert told(found) == ({symbol(55, "C"): SELL.replace("2.22", "7.22")}, {})


def test_a_spread_is_closed_as_a_pair_also_where_its_sold_leg_is_out_of_the_money():
    """At 62 only the long one is exercised; sold alone it left the other one naked."""
    calls = today(spread(option("long", 55, "call"), option("short", 70, "call")))
    puts = today(spread(option("long", 70, "put"), option("short", 55, "put")))

    assert told(calls)[0][symbol(55, "C")] == (
        "Close KO 20 Nov 26 55 C and KO 20 Nov 26 70 C together, the sold leg first: KO 20 Nov 26 55 C alone leaves "
        "KO 20 Nov 26 70 C uncovered; KO 20 Nov 26 70 C alone leaves more money missing above 70."
    )
    assert told(puts)[0][symbol(70, "P")] == (
        "Close KO 20 Nov 26 55 P and KO 20 Nov 26 70 P together, the sold leg first: KO 20 Nov 26 55 P alone leaves "
        "more KO shares missing below 55; KO 20 Nov 26 70 P alone leaves KO 20 Nov 26 55 P uncovered."
    )


def test_of_two_that_are_closed_together_it_is_said_what_each_alone_leaves():
    """Neither is worse alone than nothing: less is missing after either, and something all the same."""
    call = position("KO", 60, "call", contracts=5, expiry=FRIDAY)
    put = position("KO", 70, "put", contracts=-2, expiry=FRIDAY)

    (remedy,) = told(today(call, put, power=100))[0].values()

    assert remedy == (
        "Close KO 20 Nov 26 60 C and KO 20 Nov 26 70 P together, the sold leg first: KO 20 Nov 26 60 C alone leaves "
        "$13,900 missing; KO 20 Nov 26 70 P alone leaves $29,900 missing."
    )


def test_the_surplus_is_that_of_the_account():
    """The file has one short put too many; by the account there is none."""
    file = [spread(option("long", 70, "put"), option("short", 65, "put", 3))]
    account = [spread(option("long", 70, "put"), option("short", 65, "put", 1))]

    together = "Close KO 20 Nov 26 65 P together with KO 20 Nov 26 70 P, the sold leg first"
    alone = f"{together}: alone that leaves more KO shares missing."
    assert told(today(*file, account=account))[1] == {symbol(65, "P"): alone}
    assert "surplus, 2 of 3" in told(today(*account, account=file))[1][symbol(65, "P")]


def test_a_long_leg_that_ends_later_brings_nothing_to_this_end():
    later = leg("long", 70, "put", expiry=HALF_DAY)

    _, shorts = told(today(spread(later, option("short", 65, "put", 3)), power=7_000))

    assert "surplus, 2 of 3" in shorts[symbol(65, "P")]


@pytest.mark.parametrize("power", [None, 1e6])
def test_where_nothing_is_missing_or_nobody_knows_a_leg_goes_with_what_it_pays_for(power: float | None):
    """All three short puts alone would leave 100 shares missing, which the long one delivers."""
    found = today(spread(option("long", 70, "put"), option("short", 65, "put", 3)), power=power)

    assert told(found) == (
        {},
        {
            symbol(65, "P"): (
                "Close KO 20 Nov 26 65 P together with KO 20 Nov 26 70 P, the sold leg first: "
                "alone that leaves more KO shares missing."
            )
        },
    )


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
    held = position("KO", strike, kind, contracts=1, expiry=FRIDAY) if strike else holding("KO", 1)  # type: ignore[arg-type]
    book = portfolio(held)
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


def _settled(legs: list[tuple[int, str, int]], shares: float | None, money: float | None) -> Settlement:
    options = [structs.replace(_line(strike, kind), quantity=float(count)) for strike, kind, count in legs]
    beside = [structs.replace(_line(0, "shares"), quantity=shares)] if shares else []
    found = settlement(options, KO, shares, money, beside)
    assert found is not None
    return found


def _left(legs: list[tuple[int, str, int]], closed: dict[str, float]) -> list[tuple[int, str, float]]:
    """What is held after so much of it was closed."""
    return [(k, kind, n - copysign(closed.get(*symbol(k, kind[0].upper()), 0.0), n)) for k, kind, n in legs]


def _no_more(after: tuple[float, float], before: tuple[float, float]) -> bool:
    return all(one <= more for one, more in zip(after, before, strict=True))


@given(LEGS, st.sampled_from([None, 0.0, 100.0, 250.0]), st.sampled_from([None, 0, 700, 40_000]), st.data())
def test_what_is_missing_now_is_what_the_table_of_all_prices_says_of_now(
    legs: list[tuple[int, str, int]], shares: float | None, money: float | None, data: st.DataObject
):
    """Most ends are asked for the price of now alone, and then no table is made."""
    found = _settled(legs, shares, money)
    symbols = [one.instrument.live_symbol for one in found.after.ending]
    closed = {
        one: float(data.draw(st.integers(0, 4))) for one in data.draw(st.sets(st.sampled_from(symbols)))
    }

    for each in ({}, closed):
        now, by_table = found.missing(each), found.after.missing(each)
        assert (now.shares, now.dollars) == pytest.approx((by_table.shares, by_table.dollars))


@given(st.sampled_from([55, 65]), st.sampled_from(["call", "put"]), st.integers(-3, 3).filter(bool))
def test_nothing_is_worse_after_closing_all_of_one_leg_and_something_is_after_closing_more(
    strike: int, kind: str, contracts: int
):
    """Closing more than there is would open the opposite, which for a call that was held has no cover."""
    found = _settled([(strike, kind, contracts)], 0.0, 500)
    (own,) = symbol(strike, kind[0].upper())
    held = float(abs(contracts))

    assert found.harm({own: held}) is None
    assert not found.after.missing({own: held})
    if contracts > 0 and kind == "call":
        assert found.harm({own: held + 1}) is not None


@given(LEGS, st.sampled_from([0.0, 100.0, 250.0]), st.integers(0, 40_000))
def test_after_each_way_nothing_is_missing_and_one_contract_less_does_not_do(
    legs: list[tuple[int, str, int]], shares: float, money: int
):
    settled = _settled(legs, shares, money)
    ways = settled.ways
    whole = _missing(_left(legs, {}), shares, money)

    assert bool(ways) == any(whole)
    for way in ways:
        closed = {part.symbol: part.contracts for part in way}
        assert not any(_missing(_left(legs, closed), shares, money))
        for name, count in closed.items():
            fewer = {**closed, name: count - 1}
            is_less = any(_missing(_left(legs, fewer), shares, money))
            assert is_less or settled.harm(fewer) is not None, name


@given(LEGS, st.sampled_from([None, 0.0, 100.0, 250.0]), st.sampled_from([None, 0, 700, 7_000, 40_000]))
def test_what_is_closed_with_a_leg_leaves_no_more_missing_whatever_is_there(
    legs: list[tuple[int, str, int]], shares: float | None, money: int | None
):
    settled = _settled(legs, shares, money)
    for one in settled.legs:
        parts = settled.with_what_offsets({one.symbol: one.contracts})
        left = _left(legs, {part.symbol: part.contracts for part in parts})
        for there in [0.0, 100.0, 300.0] if shares is None else [shares]:
            for dollars in [0, 5_000, 20_000] if money is None else [money]:
                before = _missing(_left(legs, {}), there, dollars)
                assert _no_more(_missing(left, there, dollars), before)


def _said(remedy: str, legs: list[tuple[int, str, int]], own: str) -> dict[str, float]:
    """What a holder closes who does what the sentence says."""
    first = re.split(" Or instead: | To close | But not |: ", remedy, maxsplit=1)[0]
    closed = {}
    for k, kind, n in legs:
        label = f"KO 20 Nov 26 {k} {kind[0].upper()}"
        if label in first or (label == own and re.match("(Close|Sell) it", first)):
            part = re.search(rf"(\d+) of \d+ contracts? of {label}", first)
            closed[symbol(k, kind[0].upper())[0]] = float(part[1]) if part else float(abs(n))
    return closed


@given(LEGS, st.sampled_from([0.0, 100.0, 250.0]), st.integers(0, 40_000))
def test_who_does_what_is_said_of_any_leg_has_no_more_missing(
    legs: list[tuple[int, str, int]], shares: float, money: int
):
    """Of each line its own words are followed, and nothing else."""
    settled = _settled(legs, shares, money)
    whole = _missing(_left(legs, {}), shares, money)
    lines = [part.leg for part in settled.legs]
    said = [(one.instrument.label, to_close(one, lines, settled).words) for one in lines if one.quantity < 0]
    if longs := to_sell(settled):
        said.append((longs[0][0].leg.instrument.label, longs[1].words))

    for own, words in said:
        closed = _said(words, legs, own)
        after = _missing(_left(legs, closed), shares, money)
        assert closed
        assert _no_more(after, whole)
        assert after != whole or not any(whole)


@given(LEGS, st.sampled_from([0.0, 100.0, 250.0]), st.integers(0, 40_000))
def test_who_does_what_is_said_of_two_sold_legs_has_no_more_missing_where_nothing_was(
    legs: list[tuple[int, str, int]], shares: float, money: int
):
    """One after the other, unless one of the two lines says not to."""
    settled = _settled(legs, shares, money)
    if settled.missing():
        return
    lines = [part.leg for part in settled.legs]
    remedies = {
        one.instrument.label: to_close(one, lines, settled).words for one in lines if one.quantity < 0
    }
    alone = [label for label, words in remedies.items() if words.startswith("Close it")]

    for first, second in combinations(alone, 2):
        closed = {**_said(remedies[first], legs, first), **_said(remedies[second], legs, second)}
        if any(_missing(_left(legs, closed), shares, money)):
            assert "But not" in remedies[first]
            assert "But not" in remedies[second]


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


@dataclass(frozen=True)
class Asked(Aftermath):
    """Counts what it is asked, each time."""

    times: list[int] = field(default_factory=list)

    def harm(self, closed: Closed, *, counts_bought: bool = False) -> Harm | None:
        self.times.append(1)
        return super().harm(closed, counts_bought=counts_bought)

    def missing(self, closed: Closed = NONE_CLOSED) -> Missing:
        self.times.append(1)
        return super().missing(closed)


@pytest.mark.parametrize("sides", [(1, -1), (-1, -1)])
def test_legs_of_one_name_are_asked_about_as_often_as_there_are_legs_and_not_as_their_square(
    sides: tuple[int, int],
):
    """What each question costs grows with them too: 60 legs took a third of a second at each look, and 240 nine."""
    times = {}
    for count in (20, 40, 80):
        legs = [
            structs.replace(
                _line(45 + n // 2, "call" if n % 2 else "put"),
                quantity=float(sides[n // 2 % 2] * (1 + n % 3)),
            )
            for n in range(count)
        ]
        found = settlement(legs, KO, 0.0, 3_000.0, ())
        assert found is not None
        asked = Asked(**{one.name: getattr(found.after, one.name) for one in fields(found.after)})
        settled = replace(found, after=asked)

        for way in settled.ways:
            assert not found.missing({part.symbol: part.contracts for part in way})
        for one in legs:
            closed = {one.instrument.live_symbol: abs(one.quantity)}
            parts = settled.with_what_offsets(closed)
            assert found.harm({part.symbol: part.contracts for part in parts}) is None
        times[count] = len(asked.times) / count

    assert max(times.values()) < 20, times


@pytest.mark.parametrize(("tried_at_most", "is_said"), [(1_000, False), (12, True)])
def test_a_search_that_ends_before_all_was_tried_says_that_less_may_be_enough(
    monkeypatch: pytest.MonkeyPatch, tried_at_most: int, *, is_said: bool
):
    """It ends after so much work, whatever is held: what it has by then is enough, and may be more than that."""
    monkeypatch.setattr(shortage, "_SPENT_AT_MOST", tried_at_most)
    legs = [
        structs.replace(_line(45 + n // 2, "call" if n % 2 else "put"), quantity=-float(1 + n % 3))
        for n in range(12)
    ]
    found = settlement(legs, KO, 0.0, 3_000.0, ())
    assert found is not None

    words = [to_close(one, legs, found).words for one in legs if one.is_in_the_money]

    assert all(("Less of that may be enough" in one) is is_said for one in words), words
