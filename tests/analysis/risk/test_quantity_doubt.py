"""Figures of the file's quantities say so where the account's are others, and what the worst is by the account's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.extremes import Extreme, Limit
from options_helper.analysis.risk.figures_together import AccountFigures, figures_together
from options_helper.analysis.risk.payoff_view import PayoffView, payoff_view, subjects
from options_helper.analysis.risk.quantity_doubt import worst_words
from options_helper.model.account import AccountPosition, AccountState
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.risk.test_book_risk import market, quoted, risk_of
from tests.analysis.test_day_pnl import account, held, traded
from tests.kit.builders import AAPL_CALL, AS_OF, holding, leg, position, share_leg, structure

C185 = "AAPL261218C00185000"
PRICES = market(quoted("AAPL", 180.0), quoted(AAPL_CALL, 6.0), quoted(C185, 4.0), quoted("MSFT", 400.0))
VERTICAL = structure(leg("long", 180), leg("short", 185), net_debit=200.0)
COVERED = structure(share_leg(), leg("short", 180), net_debit=17_400.0)
OTHER = holding("MSFT", 10, cost_basis=390.0)


def beside(known: AccountState | Mapping[str, Any], *entries: PortfolioEntry) -> BookFigures:
    """The file's entries where the account holds this."""
    state = known if isinstance(known, AccountState) else account(known)
    return risk_of(*entries, live=replace(PRICES, account=state))


def worst(found: BookFigures) -> Extreme:
    assert found.doubt.worst is not None
    return found.doubt.worst


def costing(known: AccountState, symbol: str, price: float) -> AccountState:
    """The same account, which says what a position cost."""
    assert known.view is not None
    position: AccountPosition = replace(
        held(symbol, known.view.positions[symbol].quantity), average_price=price
    )
    return replace(known, view=replace(known.view, positions={**known.view.positions, symbol: position}))


def test_a_worst_by_the_account_says_until_when_it_holds():
    insured = Extreme(Limit.NUMBER, Decimal(-600), until=date(2026, 12, 18))

    assert worst_words(insured, replace(insured, until=None)) == "600.00 until 18 Dec 26"
    assert worst_words(replace(insured, until=None), insured) == "600.00"


def test_where_file_and_account_agree_nothing_is_in_doubt():
    found = beside({AAPL_CALL: 1, C185: -1, "MSFT": 10}, VERTICAL, OTHER)

    assert (found.doubt.labels, found.doubt.underlyings, found.doubt.worst) == ((), (), None)
    assert not any(line.quantity_in_doubt for line in found.lines)
    assert not any("account" in one for one in found.alarms)


@pytest.mark.parametrize(
    ("held_there", "doubtful"),
    [({AAPL_CALL: 1, C185: -2}, {C185}), ({C185: -1}, {AAPL_CALL}), ({}, {AAPL_CALL, C185})],
    ids=["another quantity", "one leg lacks", "both lack"],
)
def test_each_leg_of_a_structure_that_is_apart_is_in_doubt(held_there: dict[str, Any], doubtful: set[str]):
    found = beside({**held_there, "MSFT": 10}, VERTICAL, OTHER)

    assert found.doubt.symbols == doubtful
    assert {line.symbol for line in found.lines if line.quantity_in_doubt} == doubtful
    assert found.doubt.underlyings == ("AAPL",)
    for line in found.lines:
        assert ("The account holds another quantity." in line.reasons) == line.quantity_in_doubt


def test_a_line_that_has_ended_and_that_the_account_lacks_says_so_and_is_in_no_sum():
    """`today` said that the file holds what the account lacks, and the line that nothing was in doubt."""
    gone = position(expiry=date(2026, 11, 13), identity="gone")
    found = beside({"MSFT": 10}, gone, OTHER)

    (line,) = [one for one in found.lines if one.has_ended]
    assert line.quantity_in_doubt
    assert "The account holds another quantity." in line.reasons
    assert (found.doubt.symbols, found.doubt.underlyings) == (frozenset(), ())


def test_that_sums_are_of_the_files_quantities_is_an_alarm_that_names_leg_and_underlying():
    found = beside({AAPL_CALL: 1, C185: -2, "MSFT": 10}, VERTICAL, OTHER)

    assert found.alarms[0] == (
        "The account holds another quantity than the file, or may, of AAPL 18 Dec 26 185 C: the figures of AAPL and "
        "of the book are by the file's."
    )


@pytest.mark.parametrize(
    ("held_there", "reason"),
    [
        ({AAPL_CALL: 1, C185: -2}, "calls on 100 shares are sold until 18 Dec 26"),
        ({C185: -1}, "calls on 100 shares are sold until 18 Dec 26"),
        ({AAPL_CALL: 1, C185: -1, "AAPL": -50}, "50 shares are sold short"),
        ({AAPL_CALL: -3, C185: 1}, "calls on 200 shares are sold until 18 Dec 26"),
    ],
    ids=["ratio", "cover sold", "short shares that the file lacks", "turned round"],
)
def test_a_loss_that_is_undefined_by_the_accounts_quantities_alone_is_said(
    held_there: dict[str, Any], reason: str
):
    found = beside({**held_there, "MSFT": 10}, VERTICAL, OTHER)

    assert found.max_loss.limit is Limit.NUMBER
    assert worst(found).limit is Limit.UNDEFINED
    assert worst(found).reason == f"AAPL: {reason}, and nothing that is held as long covers them"
    said = f"By the account's quantities the greatest loss is undefined: {worst(found).reason}."
    assert said in found.alarms


def test_what_only_the_account_holds_is_in_no_figure_and_makes_none_of_an_underlying_doubtful():
    found = beside({AAPL_CALL: 1, C185: -2, "MSFT": 10, "NVDA": 5}, VERTICAL, OTHER)

    assert "the figures of AAPL and of the book are by the file's." in found.alarms[0]
    assert found.alarms[1] == "The account holds what the file lacks, and it is in no figure: NVDA shares."
    assert found.doubt.underlyings == ("AAPL", "NVDA")


def test_shares_sold_from_under_a_covered_call_leave_it_naked():
    found = beside({AAPL_CALL: -1}, COVERED)

    assert found.doubt.labels == ("AAPL shares",)
    assert worst(found).limit is Limit.UNDEFINED


def test_a_worst_that_is_a_number_by_the_account_counts_the_accounts_cost():
    """Of four calls each cost 6: 2,400 dollars, beside the ten shares of MSFT of which the file says it."""
    known = costing(account({AAPL_CALL: 4, "MSFT": 10}), AAPL_CALL, 6)
    found = beside(known, position(contracts=1, cost_basis=5.0), OTHER)

    assert float(found.max_loss.amount or 0) == -500 - 3_900
    assert float(worst(found).amount or 0) == -2_400 - 3_900
    of_aapl = found.doubt.worst_of("AAPL")
    assert of_aapl is not None
    assert float(of_aapl.amount or 0) == -2_400
    assert "By the account's quantities the greatest loss is 6,300.00." in found.alarms


def test_what_was_executed_since_the_account_was_read_counts_and_its_cost_is_not_guessed():
    """Of two positions that were read, one was added to and the other, which the file lacks, was sold in part."""
    read = costing(account({AAPL_CALL: 4, "MSFT": 10, C185: -3}), AAPL_CALL, 6)
    later = replace(read, later=(traded(AAPL_CALL, 1, 9.0), traded(C185, 1, 4.0)))
    book = (position(contracts=1, cost_basis=5.0), OTHER)

    before, after = beside(read, *book), beside(later, *book)

    assert before.doubt.by_account is not None
    assert after.doubt.by_account is not None
    held_before, held_after = (
        [float(line.quantity) for one in found.entries for line in one.lines if line.instrument.is_option]
        for found in (before.doubt.by_account, after.doubt.by_account)
    )
    assert (held_before, held_after) == ([4, -3], [5, -2])
    assert [one.basis for one in after.doubt.by_account.entries if one.name != OTHER.id] == [None, None]


def test_what_a_changed_quantity_cost_is_not_guessed():
    found = beside({AAPL_CALL: 4}, position(contracts=1, cost_basis=5.0))

    assert worst(found) == Extreme(Limit.UNKNOWN, reason="what was paid is not known of AAPL 18 Dec 26 180 C")


def test_how_much_the_account_holds_may_not_be_known_and_then_neither_is_its_worst():
    found = beside(account({AAPL_CALL: 1, "MSFT": 10}, left_out={C185}), VERTICAL, OTHER)

    reason = "how much of it the account holds is not known"
    assert worst(found) == Extreme(Limit.UNKNOWN, reason=f"AAPL: {reason}")
    assert found.doubt.worst_of("AAPL") == Extreme(Limit.UNKNOWN, reason=reason)
    assert found.doubt.worst_of("MSFT") == found.extremes.underlyings[1].worst
    assert found.doubt.unread == ("AAPL 18 Dec 26 185 C",)
    (line,) = [one for one in found.lines if one.quantity_in_doubt]
    assert "How much of it the account holds is not known." in line.reasons
    assert "How much the account holds is not known of AAPL 18 Dec 26 185 C." in found.alarms
    assert f"By the account's quantities the greatest loss is not known: AAPL: {reason}." in found.alarms


def test_a_quantity_that_is_being_read_hides_no_undefined_loss_of_another_name():
    """For some seconds after a fill it is not known whether the positions have it."""
    known = replace(account({AAPL_CALL: -1, "MSFT": 10}), unsettled=frozenset({"MSFT"}))
    found = beside(known, VERTICAL, OTHER)

    assert worst(found).limit is Limit.UNDEFINED
    assert worst(found).reason.startswith("AAPL: calls on 100 shares are sold until 18 Dec 26")
    of_msft = found.doubt.worst_of("MSFT")
    assert of_msft is not None
    assert of_msft.limit is Limit.UNKNOWN


def test_an_account_that_nobody_asked_says_nothing_against_the_file():
    assert beside(AccountState(), VERTICAL).doubt.labels == ()


GONE = position(expiry=date(2026, 11, 13), identity="gone")
GONE_SYMBOL = "AAPL261113C00180000"
GONE_LABEL = "AAPL 13 Nov 26 180 C"


@pytest.mark.parametrize(
    ("in_file", "there", "by_account", "alone"),
    [
        ((GONE, VERTICAL), {GONE_SYMBOL: 1, AAPL_CALL: 1, C185: -1}, (GONE_LABEL,), ()),
        ((GONE, VERTICAL), {AAPL_CALL: 1, C185: -1}, (), ()),
        ((VERTICAL,), {GONE_SYMBOL: -2, AAPL_CALL: 1, C185: -1}, (GONE_LABEL,), (GONE_LABEL,)),
        ((VERTICAL,), {GONE_SYMBOL: 0, AAPL_CALL: 1, C185: -1}, (), ()),
    ],
    ids=["both have it", "the account has booked it", "the account alone", "the account has none of it"],
)
def test_what_has_ended_and_the_account_still_lists_is_named_beside_its_worst(
    in_file: tuple[PortfolioEntry, ...],
    there: dict[str, Any],
    by_account: tuple[str, ...],
    alone: tuple[str, ...],
):
    """Its settlement is owed, by the account too; a contract that the file lacked was named by nobody."""
    found = beside(there, *in_file)
    sentences = [one for one in found.alarms if "in the account alone" in one]

    assert found.doubt.ended.labels == by_account
    assert found.doubt.ended_alone.labels == alone
    assert [one.split(" has ended")[0] for one in sentences] == list(alone)
    assert found.ended_words == tuple(
        [f"{'of the account alone, ' if alone else ''}1 leg that has ended is not in it"]
        if alone or GONE in in_file
        else []
    )


def test_a_worst_by_the_account_of_what_has_ended_there_alone_is_not_known_and_no_0():
    found = beside({GONE_SYMBOL: 3}, VERTICAL)

    assert worst(found).limit is Limit.UNKNOWN
    of_aapl = found.doubt.worst_of("AAPL")
    assert of_aapl is not None
    assert of_aapl.limit is Limit.UNKNOWN
    (said,) = [one for one in found.alarms if one.startswith("By the account's quantities")]
    assert said.endswith(f"(1 leg that has ended is not in it: {GONE_LABEL}).")


def test_what_ended_since_the_account_was_read_is_no_open_position_of_it():
    """Read a minute before its end: a call that was sold there alone made the worst undefined for that minute."""
    ended_at = datetime(2026, 11, 20, 21, 0, tzinfo=AS_OF.tzinfo)
    known = account({"AAPL261120C00185000": -1, AAPL_CALL: 1, C185: -1})
    assert known.view is not None
    known = replace(known, view=replace(known.view, as_of=ended_at - timedelta(seconds=30)))
    before, after = (
        risk_of(VERTICAL, live=replace(PRICES, account=known, as_of=ended_at + timedelta(seconds=seconds)))
        for seconds in (-10, 10)
    )

    assert worst(before).limit is Limit.UNDEFINED
    assert before.doubt.ended_alone.labels == ()
    assert worst(after) == after.max_loss
    assert after.doubt.account_only == ()
    assert after.doubt.ended_alone.labels == ("AAPL 20 Nov 26 185 C",)


def drawn(book: BookFigures, key: str) -> PayoffView:
    (subject,) = [one for one in subjects(book) if one.key == key]
    view = payoff_view(book, subject)
    assert isinstance(view, PayoffView)
    return view


def test_a_payoff_says_that_it_is_the_files_and_what_the_worst_is_by_the_account():
    found = beside({AAPL_CALL: 1, C185: -2, "MSFT": 10}, VERTICAL, OTHER)
    entry, underlying = drawn(found, f"e:{VERTICAL.id}"), drawn(found, "u:AAPL")
    said = (
        "Drawn is what the file holds; the account holds another quantity, or may, of AAPL 18 Dec 26 185 C."
    )

    assert said in entry.notes
    assert said in underlying.notes
    assert entry.worst_by_account is None
    assert underlying.worst_by_account is not None
    assert underlying.worst_by_account.limit is Limit.UNDEFINED


def test_a_payoff_of_what_is_the_same_in_the_account_says_nothing():
    found = beside({AAPL_CALL: 1, C185: -1, "MSFT": 5}, VERTICAL, OTHER)

    assert not any("account" in note for note in drawn(found, "u:AAPL").notes)


def test_of_several_accounts_a_payoff_says_in_which_one_the_quantity_is_another():
    both = figures_together(
        [
            AccountFigures("main", beside({AAPL_CALL: 1, C185: -2}, VERTICAL)),
            AccountFigures("ira", beside({AAPL_CALL: 1, C185: -1}, VERTICAL)),
        ]
    )
    (subject,) = [one for one in subjects(both) if one.key == "u:AAPL"]
    view = payoff_view(both, subject)
    assert isinstance(view, PayoffView)

    label = "AAPL 18 Dec 26 185 C"
    assert f"the account main holds another quantity, or may, of {label}." in " ".join(view.notes)
    assert "the account ira" not in " ".join(view.notes)
    assert view.worst_by_account != view.worst
    assert view.whose == "each account's"
