"""A server that acknowledges nothing: what was asked for, what was heard, and what is never asked for."""

from __future__ import annotations

import pytest

from options_helper.data.breeze.master import Instrument, Master
from options_helper.data.streaming.breeze.joins import Joins

MASTER = Master(
    [Instrument("NSE", "2885", "RELIND", "RELIANCE", "EQ"), Instrument("NSE", "11536", "TCS", "TCS", "EQ")]
)


@pytest.fixture
def joins() -> Joins:
    made = Joins()
    made.want(["NSE:RELIANCE"], ["depth"])
    made.begin(MASTER)
    return made


def test_a_symbol_is_asked_for_once_and_acknowledged_by_its_first_tick(joins):
    assert joins.next_join() == ("4.2!2885",)
    assert joins.next_join() == ()
    assert joins.acknowledged == ()

    assert joins.hear(joins.symbol_of("4.2!2885"))
    assert not joins.hear("NSE:RELIANCE")
    assert joins.acknowledged == joins.requested == ("NSE:RELIANCE",)


def test_a_change_asks_for_the_difference_alone(joins):
    joins.next_join()
    joins.want(["NSE:RELIANCE"], ["quotes"])
    joins.want(["NSE:TCS"], ["depth"])

    assert (joins.next_leave(), joins.next_join()) == ((), ("4.1!2885", "4.2!11536"))

    joins.unwant(["NSE:RELIANCE", "NSE:NEVER"], ["depth", "quotes"])
    assert (joins.next_leave(), joins.next_join()) == (("4.2!2885", "4.1!2885"), ())
    assert joins.requested == ("NSE:TCS",)


def test_a_symbol_that_is_left_and_joined_again_has_to_be_heard_again(joins):
    joins.next_join()
    joins.hear("NSE:RELIANCE")
    joins.unwant(["NSE:RELIANCE"], ["depth"])
    joins.next_leave()
    joins.want(["NSE:RELIANCE"], ["depth"])

    assert joins.next_join() == ("4.2!2885",)
    assert joins.acknowledged == ()


def test_an_unknown_symbol_is_refused_and_never_asked_for(joins):
    joins.want(["NSE:RELAINCE", "TCS"], ["depth"])

    assert joins.next_join() == ("4.2!2885",)
    assert set(joins.refusals) == {"NSE:RELAINCE", "TCS"}
    assert "NSE:RELIANCE" in joins.refusals["NSE:RELAINCE"]


def test_one_instrument_under_two_names_is_asked_for_once(joins):
    joins.want(["NSE:RELIND"], ["depth"])

    assert joins.next_join() == ("4.2!2885",)
    assert "same instrument as NSE:RELIANCE" in joins.refusals["NSE:RELIND"]


def test_a_new_conversation_asks_for_everything_that_is_wanted(joins):
    joins.next_join()
    joins.hear("NSE:RELIANCE")
    joins.begin(MASTER)

    assert (joins.next_leave(), joins.next_join()) == ((), ("4.2!2885",))
    assert joins.acknowledged == ()


def test_a_tick_that_nobody_asked_for_keeps_its_number(joins):
    assert joins.symbol_of("4.2!99") == "4.2!99"


def test_what_is_renewed_is_left_and_joined_again_and_stays_what_it_was():
    """A set of what is wanted does not change by it, so only a request of its own reaches the server."""
    joins = Joins()
    joins.want(["NSE:RELIANCE", "NSE:TCS"], ["depth"])
    joins.begin(MASTER)
    joins.next_join()
    joins.hear("NSE:RELIANCE")

    joins.renew(["NSE:RELIANCE", "NSE:NEVER"], "depth")

    assert joins.next_leave() == ("4.2!2885",)
    assert joins.symbol_of("4.2!2885") == "NSE:RELIANCE"
    assert joins.next_join() == ("4.2!2885",)
    assert (joins.next_leave(), joins.next_join()) == ((), ())
    assert joins.acknowledged == ("NSE:RELIANCE",)


def test_what_is_dropped_before_it_is_renewed_stays_dropped():
    joins = Joins()
    joins.want(["NSE:RELIANCE"], ["depth"])
    joins.begin(MASTER)
    joins.next_join()
    joins.renew(["NSE:RELIANCE"], "depth")
    joins.unwant(["NSE:RELIANCE"], ["depth"])
    joins.renew(["NSE:RELIANCE"], "depth")

    assert (joins.next_leave(), joins.next_join()) == (("4.2!2885",), ())
