"""Who leads a desk, decided without a thread, a server or a clock: courses over a server of values."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.connection import Stored
from options_helper.bus.keeper import lease_store
from options_helper.bus.lease import RENEW_SECONDS, TTL_SECONDS, Claim
from options_helper.bus.lease_course import NOT_FRESH, NOT_IN_TIME, LeaseCourse
from options_helper.errors import StreamError
from tests.kit.jetstream import AnswersAtOnce, JetStream, at_once

ADDRESS = BusAddress.parse("nats://127.0.0.1")
NAMES = ADDRESS.names


def a_bus() -> AnswersAtOnce:
    return AnswersAtOnce(JetStream([(lease_store(ADDRESS), "$KV.")]))


def one(name: str) -> LeaseCourse:
    made = LeaseCourse(NAMES, Claim(f"{name}'s process", name, 1))
    made.want()
    return made


def look(course: LeaseCourse, bus: AnswersAtOnce, now: float) -> str | None:
    bus.now = now
    return at_once(course.look(bus, now))


class Interrupted(AnswersAtOnce):
    """Something happens while the answer to a claim is on its way, or the next claim itself; or the answer is lost."""

    def __init__(self, bus: AnswersAtOnce) -> None:
        super().__init__(bus.server)
        self.meanwhile: Callable[[], object] = lambda: None
        self.before: Callable[[], object] = lambda: None
        self.loses_answer = False

    async def store_fenced(
        self, subject: str, data: bytes, *, message_id: str, last: int, of_subject: bool = False
    ) -> int:
        before, self.before = self.before, lambda: None
        before()
        stored = await super().store_fenced(
            subject, data, message_id=message_id, last=last, of_subject=of_subject
        )
        self.meanwhile()
        if self.loses_answer:
            raise StreamError("no answer")
        return stored


def held(bus: AnswersAtOnce) -> Stored | None:
    return at_once(bus.last(NAMES.lease_store, NAMES.lease_key))


def test_the_first_leads_and_the_second_knows_who():
    bus, den, attic = a_bus(), one("den"), one("attic")

    look(den, bus, 0.0)
    look(attic, bus, 0.1)

    assert den.standing.leads
    assert (attic.standing.leads, attic.standing.leader) == (False, "den (process 1)")


def test_who_does_not_want_it_takes_nothing():
    bus, den = a_bus(), LeaseCourse(NAMES, Claim("den"))

    look(den, bus, 0.0)

    assert not den.standing.leads
    assert held(bus) is None


def test_what_is_given_back_is_taken_at_once():
    bus, den, attic = a_bus(), one("den"), one("attic")
    look(den, bus, 0.0)
    look(attic, bus, 0.1)

    assert den.give_back()
    at_once(den.free(bus))
    look(attic, bus, 0.2)

    assert attic.standing.leads
    assert not den.standing.leads


def test_what_was_given_back_while_it_was_being_taken_is_free_at_once():
    """Otherwise whoever waits is kept out, by one that leads nothing."""
    bus, den, attic = Interrupted(a_bus()), one("den"), one("attic")
    told = []
    bus.meanwhile = lambda: told.append(den.give_back())

    look(den, bus, 0.0)
    look(attic, bus, 0.1)

    assert told[0], "who ends at once frees it without the answer"
    assert not den.standing.leads
    assert attic.standing.leads


def test_what_was_lost_by_time_alone_is_freed_by_who_ends_then():
    """The server may have it as this one's, of a renewal whose answer never came: nobody waits for that to run out."""
    bus, den = Interrupted(a_bus()), one("den")
    attic = followed(den, bus)
    bus.loses_answer = True
    with pytest.raises(StreamError):
        look(den, bus, 1.2)
    bus.loses_answer = False
    assert den.overdue(3.4)

    assert den.give_back()
    at_once(den.free(bus))
    look(attic, bus, 3.5)

    assert attic.standing.leads
    assert not den.give_back(), "nothing of it is there any more"


def test_one_that_was_killed_is_followed_when_its_time_is_over_and_not_before():
    bus, den, attic = a_bus(), one("den"), one("attic")
    look(den, bus, 0.0)

    look(attic, bus, TTL_SECONDS - 0.01)
    assert not attic.standing.leads
    look(attic, bus, TTL_SECONDS + 0.01)
    assert attic.standing.leads


def followed(den: LeaseCourse, bus: AnswersAtOnce) -> LeaseCourse:
    attic = one("attic")
    look(den, bus, 0.0)
    look(attic, bus, 0.1)
    look(den, bus, RENEW_SECONDS)
    assert den.is_followed
    return attic


def test_who_cannot_renew_it_leaves_before_another_may_come_where_another_waits():
    bus, den = a_bus(), one("den")
    attic = followed(den, bus)

    assert den.overdue(RENEW_SECONDS + 1.9) is None
    assert den.overdue(RENEW_SECONDS + 2.0) == NOT_IN_TIME
    assert not den.standing.leads
    look(attic, bus, RENEW_SECONDS + 2.1)
    assert not attic.standing.leads, "the server keeps it for a second more"


def test_what_is_lost_is_not_taken_again_before_it_is_wanted_again():
    """The streams of before have to be closed first."""
    bus, den = a_bus(), one("den")
    followed(den, bus)
    den.overdue(10.0)

    look(den, bus, 20.0)
    assert not den.standing.leads
    den.want()
    look(den, bus, 20.1)
    assert den.standing.leads


def test_who_is_alone_leads_on_however_long_the_bus_is_away():
    bus, den = a_bus(), one("den")
    look(den, bus, 0.0)

    assert den.overdue(1_000.0) is None
    assert look(den, bus, 1_000.0) is None
    assert den.standing.leads
    assert held(bus) is not None


def test_who_was_asleep_is_sure_of_its_lease_only_once_it_is_renewed():
    """Whoever began to wait meanwhile is not known, and may have it."""
    bus, den = a_bus(), one("den")
    with pytest.raises(StreamError, match=NOT_FRESH):
        den.require_fresh(0.0)
    look(den, bus, 0.0)
    look(den, bus, RENEW_SECONDS)
    den.require_fresh(RENEW_SECONDS + 1.9)
    with pytest.raises(StreamError, match=NOT_FRESH):
        den.require_fresh(RENEW_SECONDS + 2.0)
    assert den.standing.leads, "it has not looked yet"

    look(den, bus, RENEW_SECONDS + 2.0)
    den.require_fresh(RENEW_SECONDS + 2.0)


def test_who_comes_back_to_another_leaves():
    bus, den, attic = a_bus(), one("den"), one("attic")
    look(den, bus, 0.0)
    look(attic, bus, 10.0)

    assert look(den, bus, 10.1) == "attic (process 1) has taken the lease of this desk: this one steps down."
    assert attic.standing.leads


def test_a_renewal_whose_answer_was_lost_is_ones_own():
    bus, den = Interrupted(a_bus()), one("den")
    look(den, bus, 0.0)
    bus.loses_answer = True
    with pytest.raises(StreamError):
        look(den, bus, 0.6)
    bus.loses_answer = False

    assert look(den, bus, 1.2) is None
    assert den.standing.leads


def test_a_claim_whose_answer_was_lost_is_taken_again():
    bus, den = Interrupted(a_bus()), one("den")
    bus.loses_answer = True
    with pytest.raises(StreamError):
        look(den, bus, 0.0)
    bus.loses_answer = False
    look(den, bus, 0.1)

    assert den.standing.leads


def test_what_is_lost_while_its_renewal_is_on_its_way_stays_lost():
    bus, den = Interrupted(a_bus()), one("den")
    followed(den, bus)
    bus.meanwhile = lambda: den.overdue(100.0)

    look(den, bus, 1.2)

    assert not den.standing.leads
    assert not den.is_followed, "it holds nothing"


def test_what_is_no_claim_is_anybodys():
    bus, den = a_bus(), one("den")
    bus.server.put(0.0, NAMES.lease_key, b"\xff")

    look(den, bus, 0.1)

    assert den.standing.leads


def test_why_the_server_cannot_be_asked_stands_beside_who_leads():
    bus, den = a_bus(), one("den")
    look(den, bus, 0.0)

    den.note_problem("The bus is away.")
    assert (den.standing.leads, den.standing.problem) == (True, "The bus is away.")
    den.note_problem(None)
    assert den.standing.problem is None


def test_what_was_lost_before_another_is_found_to_have_it_is_lost_once():
    """Its streams are closed for the first reason; a second one would close those of a later time."""
    bus, den = Interrupted(a_bus()), one("den")
    attic = followed(den, bus)
    bus.before = lambda: (den.overdue(3.4), look(attic, AnswersAtOnce(bus.server), 4.0))

    assert look(den, bus, 1.2) is None
    assert attic.standing.leads


def test_what_is_given_back_is_free_though_a_renewal_came_between():
    bus, den, attic = Interrupted(a_bus()), one("den"), one("attic")
    look(den, bus, 0.0)
    den.give_back()
    mine = held(bus)
    assert mine is not None
    bus.before = lambda: bus.server.put(0.1, NAMES.lease_key, mine.data)
    at_once(den.free(bus))
    look(attic, bus, 0.2)

    assert attic.standing.leads


def test_what_is_held_anew_by_then_is_not_given_away():
    bus, den = Interrupted(a_bus()), one("den")
    look(den, bus, 0.0)
    den.give_back()
    den.want()
    bus.before = lambda: look(den, AnswersAtOnce(bus.server), 0.1)
    at_once(den.free(bus))
    look(one("attic"), bus, 0.2)

    assert den.standing.leads
    assert look(den, bus, 0.7) is None
    assert den.standing.leads


def test_a_renewal_that_came_too_late_is_given_back():
    bus, den, attic = a_bus(), one("den"), one("attic")
    look(den, bus, 0.0)
    look(attic, bus, 0.1)
    look(den, bus, 0.6)
    late = Interrupted(bus)
    late.before, late.now = lambda: den.overdue(2.8), 2.8
    at_once(den.look(late, 1.2))
    look(attic, bus, 3.7)

    assert not den.standing.leads
    assert attic.standing.leads
    mine = held(bus)
    at_once(den.free(bus))
    assert held(bus) == mine, "another's is not freed"


def test_who_does_not_want_it_does_not_wait_for_it_either():
    """Otherwise one that is alone would leave Alpaca for somebody who will never lead."""
    bus, den, attic = a_bus(), one("den"), LeaseCourse(NAMES, Claim("attic"))
    look(den, bus, 0.0)
    look(attic, bus, 0.1)
    look(den, bus, RENEW_SECONDS)

    assert attic.standing.leader == "den (process 1)"
    assert not den.is_followed


class OnAReplica(AnswersAtOnce):
    """Whatever is read directly may come from a server that has not heard the newest."""

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        return None if direct else await super().last(store, subject)


def test_who_leads_and_who_waits_is_asked_of_the_server_that_has_the_newest():
    bus = OnAReplica(a_bus().server)

    attic = followed(one("den"), bus)

    assert not attic.standing.leads
