"""An account is grouped again after every fill, and what somebody watches stays what and where it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from options_helper.analysis.reconcile.regrouping import regroup
from options_helper.model.portfolio import (
    MultiLegPosition,
    Portfolio,
    PortfolioEntry,
    Position,
    ShareHolding,
)
from tests.analysis.reconcile.test_grouping import contracts, legs_of
from tests.kit.builders import holding, position

VERTICAL = contracts("+2 C180", "-2 C190")
VERTICAL_ID = "aapl-18dec26-vertical-180c-190c"
SHARES = holding("AAPL", 200)


def named(singles: Iterable[Position | ShareHolding]) -> list[Position | ShareHolding]:
    """With ids of their own, as the account's positions have them."""
    return [
        one if isinstance(one, ShareHolding) else one.changed(id=one.instrument.live_symbol)
        for one in singles
    ]


def grouped(singles: Sequence[Position | ShareHolding], before: Sequence[PortfolioEntry] = ()) -> Portfolio:
    return Portfolio(positions=regroup(named(singles), before))


def structures(book: Portfolio) -> dict[str, list[str]]:
    return {entry.id: legs_of(entry) for entry in book.structures}


def test_the_id_of_a_structure_says_what_it_is_and_needs_no_history():
    assert structures(grouped(VERTICAL)) == {VERTICAL_ID: ["+2 C180", "-2 C190"]}
    assert list(structures(grouped(contracts("-1 C180", "+1 C180 later")))) == [
        "aapl-18dec26-calendar-180c-180c-15jan27"
    ]


def test_a_contract_that_comes_does_not_take_a_leg_out_of_a_structure_that_is_held():
    """By rule alone, the nearer strike would be the partner."""
    before = grouped(contracts("+1 C180", "-1 C190"))
    nearer = contracts("+1 C180", "+1 C185", "-1 C190")
    assert VERTICAL_ID not in structures(grouped(nearer))

    after = grouped(nearer, before.positions)

    assert structures(after) == structures(before)
    assert [entry.id for entry in after.singles] == ["AAPL261218C00185000"]


def test_a_second_vertical_leaves_the_first_one_what_it_was():
    before = grouped(contracts("-1 P170", "+1 P160"))
    after = grouped(contracts("-1 P170", "+1 P160", "-1 C190", "+1 C200"), before.positions)
    assert structures(after).items() > structures(before).items()


def test_more_units_are_the_same_structure_and_fewer_too():
    before = grouped(VERTICAL)
    more = grouped(contracts("+5 C180", "-5 C190"), before.positions)
    fewer = grouped(contracts("+1 C180", "-1 C190"), more.positions)

    assert structures(more) == {VERTICAL_ID: ["+5 C180", "-5 C190"]}
    assert structures(fewer) == {VERTICAL_ID: ["+1 C180", "-1 C190"]}


def test_what_is_closed_on_one_side_leaves_the_other_alone():
    before = grouped(VERTICAL)
    after = grouped(contracts("+2 C180", "-1 C190"), before.positions)

    assert structures(after) == {VERTICAL_ID: ["+1 C180", "-1 C190"]}
    assert [(entry.id, entry.contracts) for entry in after.singles] == [("AAPL261218C00180000", 1)]
    assert structures(grouped(contracts("+2 C180"), after.positions)) == {}


def test_legs_that_changed_sides_are_no_longer_the_structure_that_they_were():
    before = grouped(VERTICAL)
    after = grouped(contracts("-2 C180", "+2 C190"), before.positions)
    assert structures(after) == {VERTICAL_ID: ["-2 C180", "+2 C190"]}


def test_a_covered_call_grows_with_its_calls_and_the_other_shares_stay():
    before = grouped([SHARES, *contracts("-1 C190")])
    after = grouped([SHARES, *contracts("-2 C190")], before.positions)

    assert structures(before) == {"aapl-18dec26-covered-call-190c": ["+100 shares", "-1 C190"]}
    assert structures(after) == {"aapl-18dec26-covered-call-190c": ["+200 shares", "-2 C190"]}
    assert [entry.shares for entry in before.shares] == [100.0]
    assert after.shares == ()


def test_a_structure_has_the_costs_of_now_and_keeps_together_while_one_is_not_known():
    before = grouped(VERTICAL)
    later = [VERTICAL[0].changed(cost_basis=1.5), VERTICAL[1].changed(cost_basis=None)]

    (entry,) = grouped(later, before.positions).structures

    assert entry.id == VERTICAL_ID
    assert [leg.cost_basis for leg in entry.legs] == [1.5, None]
    assert entry.opening_cost is None


def test_two_structures_of_one_name_and_other_ratios_have_two_ids():
    one = MultiLegPosition.model_validate(
        {**grouped(VERTICAL).structures[0].model_dump(), "id": "aapl-18dec26-vertical-180c-190c"}
    )
    uneven = one.changed(legs=(one.legs[0], one.legs[1].changed(contracts=1)))
    after = grouped(contracts("+4 C180", "-3 C190"), [uneven])
    assert list(structures(after)) == [VERTICAL_ID, f"{VERTICAL_ID}-2"]


strikes = st.integers(90, 96).map(float)
single = st.builds(
    position,
    strike=strikes,
    option_type=st.sampled_from(["call", "put"]),
    contracts=st.integers(-3, 3).filter(bool),
    cost_basis=st.sampled_from([None, 1.0]),
)
accounts = st.tuples(
    st.lists(single, max_size=8, unique_by=lambda one: one.instrument.live_symbol),
    st.lists(
        st.integers(-300, 300).filter(bool).map(lambda shares: holding("AAPL", shares)),
        max_size=1,
    ),
).map(lambda parts: [*parts[1], *parts[0]])


def quantities(singles: Iterable[Position | ShareHolding]) -> dict[str, Decimal]:
    return {one.instrument.live_symbol: one.lines[0].quantity for one in singles}


@given(st.lists(accounts, min_size=1, max_size=4))
def test_whatever_was_held_before_nothing_is_lost_or_held_twice(history):
    book = Portfolio(positions=())
    for account in history:
        book = grouped(account, book.positions)  # ids are unique, or it would be refused
        assert book.quantities == quantities(account)


@given(accounts)
def test_the_same_holdings_again_are_the_same_book(account):
    book = grouped(account)
    assert grouped(account, book.positions) == book


@given(accounts, accounts)
def test_a_structure_whose_legs_are_untouched_is_untouched(account, others):
    """Whatever else comes: all that was held stays, and contracts at other strikes come beside it."""
    before = grouped(account)
    more = [one.changed(strike=one.strike + 10) for one in others if isinstance(one, Position)]
    after = grouped([*account, *more], before.positions)
    assert structures(after).keys() >= structures(before).keys()
    kept = {entry.id: entry for entry in after.structures}
    for entry in before.structures:
        held = {line.instrument.live_symbol: line.quantity for line in kept[entry.id].lines}
        assert all(abs(held[line.instrument.live_symbol]) >= abs(line.quantity) for line in entry.lines)
