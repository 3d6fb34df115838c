"""Every fill is on the page once, says how it came to be known, and is announced only when it is news."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from html import unescape
from types import MappingProxyType

import pytest

from options_helper.model.account import AccountState, RestPhase, RestReport, RestTask, Source
from options_helper.model.order_updates import BlotterEntry
from options_helper.model.problems import Problem
from tests.portal import scenes
from tests.portal.conftest import html, press, table
from tests.portal.scenes import OPEN, account_with, backfilled, fill, gone, known_account

KNOWN = known_account()
NOT_YET = account_with(RestTask.FILLS, RestPhase.REQUESTING)


def showing(*fills, account=KNOWN):
    return lambda: scenes.live(fills=fills, account=account)


def toasts(tab) -> list[str]:
    return [unescape(toast.value) for toast in tab.toast]


def captions(tab) -> str:
    return " ".join(caption.value for caption in tab.caption)


def test_a_fill_is_announced_once_and_old_ones_never(portal):
    portal.show(showing(fill(1)))
    tab = portal.open()
    assert toasts(tab) == []

    portal.scene = showing(fill(1), fill(2, symbol="MSFT261218P00500000"))
    tab.run()
    assert toasts(tab) == ["Fill: buy 1 MSFT 18 Dec 26 500 P at $9.15"]

    tab.run()
    assert toasts(tab) == []


def test_many_fills_at_once_do_not_bury_the_page(portal):
    tab = portal.show(showing())
    portal.scene = showing(*(fill(number) for number in range(40)))
    tab.run()

    assert len(tab.toast) == 4
    assert tab.toast[3].value == "37 more fills are in the table of fills."


def test_what_the_day_began_with_is_no_news_and_what_is_backfilled_later_is(portal):
    tab = portal.show(showing(account=NOT_YET))
    morning = [backfilled(number) for number in range(9)]
    # The record of the day may arrive before its report says so, or together with it.
    for account in (NOT_YET, KNOWN):
        portal.scene = showing(*morning, account=account)
        tab.run()
        assert toasts(tab) == []

    portal.scene = showing(*morning, backfilled(20))
    tab.run()
    assert toasts(tab) == ["Fill: buy 1 AAPL 15 Jan 27 275 C at $9.15 (backfilled)"]


def test_a_streamed_fill_is_news_even_before_the_day_is_known(portal):
    tab = portal.show(showing(account=NOT_YET))
    portal.scene = showing(backfilled(1), fill(2), account=NOT_YET)
    tab.run()

    assert toasts(tab) == ["Fill: buy 1 AAPL 15 Jan 27 275 C at $9.15"]


def test_the_record_of_the_day_is_no_news_after_a_new_start_either(portal):
    tab = portal.show(showing(fill(1)))
    press(tab, "stop")
    portal.scene = lambda: replace(showing(fill(1), backfilled(7))(), running_since=OPEN)
    press(tab, "start")

    assert toasts(tab) == []


def test_a_fill_that_rest_told_first_and_the_stream_again_is_announced_once(portal):
    tab = portal.show(showing())
    portal.scene = showing(backfilled(3, identity="from-rest", execution_id=None))
    tab.run()
    assert len(tab.toast) == 1

    portal.scene = showing(fill(3))
    tab.run()
    assert toasts(tab) == []


def test_an_expiry_is_told_in_words_and_with_its_day(portal):
    tab = portal.show(showing(gone("expiry")))
    row = table(tab, "Event").iloc[0]

    assert row["Event"] == "expired"
    assert row["Time"] == "20 Nov 26"
    assert row["Source"] == "REST, backfilled"
    assert row["Side, qty"] == "2"
    assert list(row[["Order so far", "Price $", "Average $", "Order type"]]) == ["—"] * 4


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("assignment", "assigned"),
        ("exercise", "exercised"),
        ("option_trade", "shares moved by assignment or exercise"),
        ("partial_fill", "partial fill"),
        ("something_new", "something new"),
    ],
)
def test_what_happened_is_told_in_words(portal, event, words):
    assert list(table(portal.show(showing(gone(event))), "Event")["Event"]) == [words]


def test_an_assignment_that_becomes_known_later_is_announced(portal):
    tab = portal.show(showing())
    tab.run()
    portal.scene = showing(gone("assignment"))
    tab.run()

    assert toasts(tab) == ["Assigned: 2 AAPL 15 Jan 27 275 C (backfilled)"]


def test_partial_fills_are_rows_of_their_own_with_a_running_total(portal):
    parts = [
        fill(1, fill_qty=Decimal(3), filled_qty=Decimal(3), qty=Decimal(5), event="partial_fill"),
        fill(1, fill_qty=Decimal("2.000"), filled_qty=Decimal(5), qty=Decimal(5), identity="execution-2"),
    ]
    rows = table(portal.show(showing(*parts)), "Event")

    assert list(rows["Side, qty"]) == ["buy 2", "buy 3"]
    assert list(rows["Order so far"]) == ["5 of 5", "3 of 5"]
    assert list(rows["Source"]) == ["stream", "stream"]


def test_fills_are_listed_newest_first_in_words(portal):
    tab = portal.show(showing(fill(1), fill(2, symbol="TSLA")))

    assert list(table(tab, "Event")["Contract"]) == ["TSLA", "AAPL 15 Jan 27 275 C"]


def test_a_contract_of_the_file_has_the_name_it_has_there(portal):
    tab = portal.show(showing(fill(1, symbol="BRKB270319C00510000"), fill(2, symbol="MSFT")))

    assert list(table(tab, "Event")["Contract"]) == ["MSFT shares", "BRK-B 19 Mar 27 510 C"]


def test_an_update_with_nothing_in_it_is_still_a_row(portal):
    bare = BlotterEntry(identity="bare", source=Source.STREAM)
    tab = portal.show(showing(bare))

    assert list(table(tab, "Event")["Status"]) == ["—"]


def test_when_what_and_for_how_much_come_first_where_a_phone_shows_them(portal):
    rows = table(portal.show(showing(fill(1))), "Event")

    assert list(rows.columns[:4]) == ["Time", "Side, qty", "Contract", "Price $"]
    assert list(rows.iloc[0][1:4]) == ["buy 1", "AAPL 15 Jan 27 275 C", "9.15"]


def test_the_time_of_day_of_each_fill_is_in_its_cell_and_the_zone_once_above(portal):
    """A cell that holds a whole date besides is cut before the time."""
    tab = portal.show(showing(fill(1, at=OPEN - timedelta(days=1)), fill(2)))

    assert list(table(tab, "Event")["Time"]) == ["15:32:04", "19 Nov 15:32:04"]
    assert "Times are of UTC." in captions(tab)


def test_hidden_amounts_leave_the_side(portal):
    tab = portal.show(showing(fill(1), fill(2, side=None)))
    tab.toggle(key="hide").set_value(True).run()

    assert list(table(tab, "Event")["Side, qty"]) == ["—", "buy"]


def again(phase):
    reports = dict(KNOWN.reports)
    reports[RestTask.FILLS] = RestReport(
        RestTask.FILLS, phase, finished_at=OPEN, problems=(Problem("No route."),)
    )
    return replace(KNOWN, reports=MappingProxyType(reports))


@pytest.mark.parametrize(
    ("account", "sentence"),
    [
        (NOT_YET, "has not been read yet; until then here is only what the stream told since Start"),
        (
            account_with(RestTask.FILLS, RestPhase.FAILED, problems=(Problem("No route."),)),
            "could not be read, for the reason above, so here is only",
        ),
        (AccountState(), "was not asked for, so here is only what the stream told since Start"),
        (KNOWN, "Known since midnight in New York (20 Nov 26)"),
        (again(RestPhase.FAILED), "Reading it again failed, for the reason above."),
        (again(RestPhase.REQUESTING), "Reading it again is held up, for the reason above."),
        (
            account_with(RestTask.FILLS, RestPhase.REQUESTING, problems=(Problem("No route."),)),
            "has not been read yet, for the reason above; until then here is only",
        ),
        (replace(KNOWN, doubts=("An order is odd.",)), "Some of it is in doubt"),
    ],
    ids=["asking", "failed", "off", "known", "failed again", "asking again", "held up", "in doubt"],
)
def test_the_table_says_since_when_it_knows_everything(portal, account, sentence):
    assert sentence in captions(portal.show(showing(fill(1), account=account)))


def test_why_the_day_is_in_doubt_is_told_in_full(portal):
    tab = portal.show(showing(account=replace(KNOWN, doubts=("An order is filled to 5, told are 3.",))))

    assert "An order is filled to 5, told are 3." in html(tab)
    tab.toggle(key="hide").set_value(True).run()
    assert "filled to 5" not in html(tab)
