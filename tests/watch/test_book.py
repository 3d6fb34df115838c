"""The account as a watch has it: the same structures and the same fills as on the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from options_helper.live.account_book import AccountBooks
from options_helper.model.account import AccountState
from options_helper.model.snapshot import DeskRemarks, LiveSnapshot
from options_helper.watch.book import AccountBook
from tests.kit.builders import AAPL_CALL
from tests.live.test_account_book import HIGHER, account, bought, held, snapshot


def told(states: Iterable[AccountState]) -> list[LiveSnapshot]:
    return [snapshot(state) for state in states]


def test_it_is_grouped_as_on_the_page_reading_after_reading():
    """By rule alone, one more contract would put those that are held together in another way."""
    vertical = account(held(AAPL_CALL, 1), held(HIGHER, -1))
    states = [
        vertical,
        replace(vertical, later=(bought("AAPL261218C00185000", 1), bought("AAPL261218C00175000", -1))),
        account(held(AAPL_CALL, 2), held(HIGHER, -1), held("AAPL", 100), read_after=60),
        account(held(AAPL_CALL, 2), held("AAPL", 100), read_after=120),
    ]
    page, watch = AccountBooks(), AccountBook()
    for one in told(states):
        shown, seen = page.settled(partial(replace, one)), watch.look(one)
        assert page.newest is not None
        assert seen.portfolio == page.newest.portfolio
        assert seen.snapshot == shown


def test_a_fill_is_in_it_before_the_positions_are_read_again():
    watch = AccountBook()
    before = account(held(AAPL_CALL, 1))
    watch.look(snapshot(before))
    after = watch.look(snapshot(replace(before, later=(bought(AAPL_CALL, 1, "4"),))))

    assert after.portfolio is not None
    assert after.portfolio.quantities == {AAPL_CALL: 2}
    assert after.snapshot.account.view is not None
    assert after.snapshot.account.view.positions[AAPL_CALL].quantity == 2, "both tell of the same moment"


def test_while_it_is_open_whether_a_fill_is_in_it_the_portfolio_of_before_stays():
    watch = AccountBook()
    first = watch.look(snapshot(account(held(AAPL_CALL, 1))))
    unsettled = account(held(AAPL_CALL, 2), read_after=60, unsettled=frozenset({AAPL_CALL}))

    assert watch.look(snapshot(unsettled)).portfolio is first.portfolio


def test_what_nobody_tells_of_any_more_is_not_judged_and_comes_back():
    """Yesterday's positions at today's prices are no figures."""
    watch, known = AccountBook(), snapshot(account(held(AAPL_CALL, 1)))
    lost = replace(known, desk=DeskRemarks("a desk", account_problem="The owner serves main, and not ira."))

    assert watch.look(known).portfolio is not None
    now = watch.look(lost)
    assert (now.portfolio, now.problem) == (None, "The owner serves main, and not ira.")
    assert now.snapshot is lost
    assert watch.look(known).portfolio is not None


def test_before_the_first_reading_there_is_none_and_that_is_said():
    now = AccountBook().look(snapshot(AccountState()))

    assert (now.portfolio, now.problem) == (None, "The account has not been read yet.")


def test_what_could_not_be_read_of_the_account_is_said():
    state = account(held(AAPL_CALL, 1))
    assert state.view is not None
    state = replace(state, view=replace(state.view, left_out=frozenset({"MSFT"})))

    assert AccountBook().look(snapshot(state)).problem == "Held, but how much of it could not be read: MSFT."
