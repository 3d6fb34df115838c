"""Single contracts are put together by rules that can be named, and nothing is lost or held twice on the way."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.analysis.reconcile.grouping import Grouping, group_entries
from options_helper.model.portfolio import (
    Leg,
    MultiLegPosition,
    Portfolio,
    PortfolioEntry,
    Position,
    ShareLeg,
    parse_portfolio,
)
from tests.kit.builders import EXPIRY, holding, leg, lots_of, position, structure

LATER = date(2027, 1, 15)


def contract(text: str, cost_basis: float | None = 1.0) -> Position:
    """`+2 C100` or `-1 P95 later`, of AAPL."""
    contracts, name, *later = text.split()
    return position(
        strike=float(name[1:]),
        option_type="call" if name[0] == "C" else "put",
        contracts=int(contracts),
        expiry=LATER if later else EXPIRY,
        cost_basis=cost_basis,
    )


def contracts(*texts: str) -> list[Position]:
    return [contract(text) for text in texts]


def names(grouping: Grouping) -> list[str]:
    return [proposal.kind.value for proposal in grouping.proposals]


def legs_of(entry: PortfolioEntry) -> list[str]:
    assert isinstance(entry, MultiLegPosition)
    return [said(one) for one in entry.legs]


def said(one: Leg | ShareLeg) -> str:
    if isinstance(one, ShareLeg):
        return f"{one.signed_shares:+g} shares"
    later = " later" if one.expiry == LATER else ""
    return f"{one.signed_contracts:+} {one.option_type[0].upper()}{one.strike:g}{later}"


@pytest.mark.parametrize(
    ("kind", "held"),
    [
        ("vertical", ["+2 C100", "-2 C110"]),
        ("vertical", ["+1 P95", "-1 P100"]),
        ("iron condor", ["+2 P90", "-2 P95", "-2 C110", "+2 C120"]),
        ("iron condor", ["-1 P90", "+1 P95", "+1 C110", "-1 C115"]),
        ("iron butterfly", ["+1 P90", "-1 P100", "-1 C100", "+1 C110"]),
        ("butterfly", ["+1 C100", "-2 C110", "+1 C120"]),
        ("butterfly", ["-3 P90", "+6 P95", "-3 P100"]),
        ("condor", ["+1 C100", "-1 C110", "-1 C120", "+1 C130"]),
        ("calendar", ["-1 C100", "+1 C100 later"]),
        ("calendar", ["+4 P95", "-4 P95 later"]),
        ("straddle", ["+1 P100", "+1 C100"]),
        ("strangle", ["-2 P90", "-2 C110"]),
        ("diagonal", ["-1 C110", "+1 C100 later"]),
    ],
)
def test_a_structure_is_recognised_whatever_the_order_of_its_contracts(kind: str, held: list[str]):
    for order in (held, held[::-1]):
        grouping = group_entries(contracts(*order))

        assert names(grouping) == [kind]
        (made,) = grouping.entries
        assert legs_of(made) == held


@pytest.mark.parametrize(
    "held",
    [
        ["+1 C100", "+1 C110"],
        ["-1 P100", "+1 C110"],
        ["+1 P110", "+1 C100"],
        ["+1 C100", "-1 P100 later"],
        ["+1 C110", "-1 C100 later"],
        ["-1 C100"],
    ],
)
def test_what_fits_no_rule_stays_single(held: list[str]):
    singles = contracts(*held)

    assert group_entries(singles) == Grouping(tuple(singles), ())


def test_verticals_of_unequal_width_are_no_butterfly():
    grouping = group_entries(contracts("+1 C100", "-2 C110", "+1 C125"))

    assert names(grouping) == ["vertical", "vertical"]


def test_verticals_in_the_same_direction_are_no_condor():
    grouping = group_entries(contracts("+1 P90", "-1 P95", "+1 C110", "-1 C115"))

    assert names(grouping) == ["vertical", "vertical"]


def test_equal_quantities_belong_together_before_near_strikes():
    grouping = group_entries(contracts("+3 C100", "-1 C105", "-3 C120"))

    assert [legs_of(grouping.entries[0]), grouping.entries[1]] == [
        ["+3 C100", "-3 C120"],
        contract("-1 C105"),
    ]


def test_near_strikes_belong_together_before_far_ones():
    grouping = group_entries(contracts("+1 C100", "-1 C105", "-1 C120"))

    assert legs_of(grouping.entries[0]) == ["+1 C100", "-1 C105"]


def test_what_a_structure_leaves_of_a_contract_stays_single():
    grouping = group_entries(contracts("+10 C100", "-4 C110"))

    assert legs_of(grouping.entries[0]) == ["+4 C100", "-4 C110"]
    assert grouping.entries[1] == contract("+6 C100").changed(id=contract("+10 C100").id)


def test_different_underlyings_expiries_and_roots_are_never_mixed():
    singles = [
        position("SPX", 6800, contracts=1),
        position("SPXW", 6850, contracts=-1),
        position("SPY", 680, contracts=-1),
        position("SPY", 681, contracts=1, expiry=date(2026, 11, 27)),
    ]

    assert group_entries(singles).entries == tuple(singles)


@pytest.mark.parametrize(
    "singles",
    [
        [contract("+1 C100"), contract("-1 C110", None)],
        [position("AAPL1", 100), position("AAPL1", 110, contracts=-1)],
        [position("AAPL", 100, multiplier=10), position("AAPL", 110, contracts=-1, multiplier=10)],
    ],
    ids=["one cost is missing", "adjusted", "another multiplier"],
)
def test_contracts_that_a_structure_would_make_less_known_stay_single(singles: list[Position]):
    assert group_entries(singles).entries == tuple(singles)


def test_contracts_of_unknown_cost_are_a_structure_of_unknown_cost():
    (made,) = group_entries([contract("+1 C100", None), contract("-1 C110", None)]).entries

    assert isinstance(made, MultiLegPosition)
    assert made.net_debit is None
    assert made.opening_cost is None


def test_each_leg_keeps_its_cost_and_together_they_are_the_net_debit():
    bought, sold = contract("+2 C100", 8.4), contract("-2 C110", 3.15)

    (made,) = group_entries([bought, sold]).entries

    assert isinstance(made, MultiLegPosition)
    assert [one.cost_basis for one in made.legs] == [8.4, 3.15]
    assert made.net_debit is None
    assert made.opening_cost == 1050


def test_shares_and_the_calls_that_they_cover_are_one_structure_and_the_rest_of_the_shares_stays():
    shares, call = holding("AAPL", 250, cost_basis=240), contract("-2 C110", 3.5)

    grouping = group_entries([shares, call])

    covered, rest = grouping.entries
    assert isinstance(covered, MultiLegPosition)
    assert covered.id == "aapl-18dec26-covered-call"
    assert legs_of(covered) == ["+200 shares", "-2 C110"]
    assert covered.opening_cost == 200 * 240 - 700
    assert rest == shares.changed(shares=50.0)
    assert grouping.proposals[0].entries == (covered.id,)
    assert grouping.proposals[0].reason == (
        "2 × AAPL shares/18 Dec 26 110C is a covered call: the shares could be delivered."
    )


def test_shares_between_a_put_and_a_call_are_a_collar():
    grouping = group_entries([holding("AAPL", 200), *contracts("-2 C110", "+1 P90")])

    assert names(grouping) == ["collar", "covered call"]
    assert [legs_of(entry) for entry in grouping.entries] == [
        ["+100 shares", "+1 P90", "-1 C110"],
        ["+100 shares", "-1 C110"],
    ]


def test_shares_of_unknown_cost_cover_no_call_of_known_cost():
    entries = [holding("AAPL", 100, cost_basis=None), contract("-1 C110")]

    assert group_entries(entries).entries == tuple(entries)


def test_shares_cover_as_many_calls_as_they_can_and_the_rest_is_free_for_other_rules():
    grouping = group_entries([holding("AAPL", 199.5), *contracts("-3 C110", "-2 P90")])

    assert names(grouping) == ["covered call", "strangle"]
    covered, rest, strangle = grouping.entries
    assert legs_of(covered) == ["+100 shares", "-1 C110"]
    assert rest == holding("AAPL", 99.5)
    assert legs_of(strangle) == ["-2 P90", "-2 C110"]


def test_what_has_lots_gains_or_fees_of_its_own_is_not_divided():
    entries = [
        holding("AAPL", 100, fees=1),
        lots_of((1, 2.0, None)),
        position(strike=185, contracts=-1, realized=5),
    ]

    assert group_entries(entries).entries == tuple(entries)


def test_short_shares_cover_nothing():
    entries = [holding("AAPL", -200), contract("-1 C110")]

    assert group_entries(entries).entries == tuple(entries)


def test_a_vertical_goes_before_a_covered_call():
    grouping = group_entries([holding("AAPL", 100), *contracts("+1 C120", "-1 C110")])

    assert names(grouping) == ["vertical"]


def test_every_proposal_says_why():
    (proposal,) = group_entries(contracts("+2 P90", "-2 P95", "-2 C110", "+2 C120")).proposals

    assert proposal.reason == (
        "2 × AAPL 18 Dec 26 90P/95P/110C/120C is an iron condor: "
        "a put vertical lies below a call vertical of the same expiry."
    )


def test_structures_of_the_file_stay_as_they_are():
    made = structure(leg("long", 100), leg("short", 110))

    assert group_entries([made, contract("-1 C105")]).entries == (made, contract("-1 C105"))


CONTRACTS = st.builds(
    position,
    symbol=st.sampled_from(["AAPL", "SPY"]),
    strike=st.sampled_from([95.0, 100.0, 105.0, 110.0]),
    option_type=st.sampled_from(["call", "put"]),
    contracts=st.integers(-4, 4).filter(bool),
    expiry=st.sampled_from([EXPIRY, LATER]),
    cost_basis=st.sampled_from([None, 0.05, 1.15, 2.4]),
)
BOOKS = st.lists(CONTRACTS, max_size=14, unique_by=lambda one: one.id).map(
    lambda singles: [holding("AAPL", 350), *singles]
)


def counts(entries: tuple[PortfolioEntry, ...]) -> dict[str, Decimal]:
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        for line in entry.lines:
            found[line.instrument.live_symbol] += line.quantity
    return {symbol: quantity for symbol, quantity in found.items() if quantity}


def cost(entries: tuple[PortfolioEntry, ...]) -> Decimal:
    """Of what names one."""
    return sum((line.opening_cost or Decimal(0) for entry in entries for line in entry.lines), Decimal(0))


@given(BOOKS)
def test_nothing_is_lost_doubled_or_turned(book: list[PortfolioEntry]):
    """Contracts, cost and shares are the same before and after, and the file is one that can be read."""
    grouping = group_entries(book)

    assert counts(grouping.entries) == counts(tuple(book))
    assert cost(grouping.entries) == cost(tuple(book))
    made = Portfolio(positions=grouping.entries)
    assert parse_portfolio(portfolio_text(made), "made.json") == made


@given(BOOKS, st.randoms(use_true_random=False))
def test_the_order_of_the_entries_changes_no_structure(book: list[PortfolioEntry], dice):
    shuffled = list(book)
    dice.shuffle(shuffled)

    def structures(grouping: Grouping) -> list[str]:
        found = [one for one in grouping.entries if isinstance(one, MultiLegPosition)]
        return sorted(json.dumps([one.symbol, *legs_of(one)]) for one in found)

    assert structures(group_entries(shuffled)) == structures(group_entries(book))
