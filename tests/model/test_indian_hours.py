"""India's days are the BSE's of exchange_calendars, and what it leaves out stands in a table of its own."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time

import pytest

from options_helper.model.indian_hours import (
    INDIA,
    indian_days_known_until,
    indian_session,
    is_indian_session,
)
from options_helper.model.market_hours import expects_data
from options_helper.model.streams import BOOKS, StreamId

REGULAR = (time(9, 15), time(15, 30))


@pytest.mark.parametrize(
    ("day", "hours"),
    [
        (date(2026, 11, 27), REGULAR),  # a Friday
        (date(2026, 11, 28), None),
        (date(2026, 11, 24), None),  # Guru Nanak Jayanti
        (date(2024, 1, 20), REGULAR),  # a Saturday on which they traded
        (date(2025, 10, 21), (time(13, 45), time(14, 45))),  # Muhurat, at Diwali
        (date(2026, 2, 1), REGULAR),  # the budget, on a Sunday
        (date(2026, 1, 15), None),  # elections, which the calendar does not know
    ],
)
def test_a_day_has_its_hours_or_none(day, hours):
    assert indian_session(day) == hours


def test_a_year_beyond_the_calendar_is_not_known_and_nothing_is_expected_in_it():
    beyond = date(indian_days_known_until().year + 1, 1, 4)

    assert indian_session(beyond) is None
    assert not is_indian_session(datetime.combine(beyond, time(12), INDIA))


@pytest.mark.parametrize(
    ("at", "trades"),
    [
        (datetime(2026, 11, 27, 3, 44, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 27, 3, 45, tzinfo=UTC), True),
        (datetime(2026, 11, 27, 9, 59, 59, tzinfo=UTC), True),
        (datetime(2026, 11, 27, 10, 0, tzinfo=UTC), False),
        (datetime(2026, 11, 27, 18, 0, tzinfo=UTC), False),  # New York trades
    ],
)
def test_breezes_books_are_expected_while_india_trades(at, trades):
    assert expects_data(StreamId(BOOKS, "breeze"), "nse", at) is trades


@pytest.mark.processes
def test_two_calendars_that_two_threads_need_at_once_do_not_wait_for_each_other():
    """In a new process, since a package is loaded once in each, and of a year that no table has."""
    program = (
        "import sys, threading\n"
        "from datetime import date\n"
        "from options_helper.model.indian_hours import indian_session\n"
        "from options_helper.model.market_hours import regular_session\n"
        "sys.setswitchinterval(1e-5)\n"
        "found = []\n"
        "ask = lambda look: found.append(look(date(1999, 11, 26)))\n"
        "threads = [threading.Thread(target=ask, args=(look,)) for look in (indian_session, regular_session)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print(len(found), 'exchange_calendars' in sys.modules)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("2 True", "")
