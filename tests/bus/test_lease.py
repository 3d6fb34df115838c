"""The lease of a desk as values: when to renew it, and when to leave before another may come."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from options_helper.bus.lease import RENEW_SECONDS, TTL_SECONDS, Claim, Lease, Step, read_claim

FOLLOWED = Lease(7, renewed_at=100.0, asked_at=100.0, is_followed=True)


def test_it_is_renewed_twice_a_second():
    assert FOLLOWED.judge(100.0 + RENEW_SECONDS - 0.01) is Step.KEEP
    assert FOLLOWED.judge(100.0 + RENEW_SECONDS) is Step.RENEW


def test_a_renewal_that_was_asked_for_is_not_asked_for_again_at_once():
    asked = FOLLOWED.ask(100.6)

    assert asked.judge(100.7) is Step.KEEP
    assert asked.judge(101.2) is Step.RENEW


def test_a_renewal_counts_from_when_it_was_asked_for_and_not_from_its_answer():
    renewed = FOLLOWED.ask(101.0).renew(9, is_followed=True)

    assert (renewed.revision, renewed.renewed_at) == (9, 101.0)


def test_who_cannot_renew_it_leaves_at_two_thirds_where_another_waits():
    unanswered = FOLLOWED.ask(101.9)

    assert unanswered.judge(101.99) is Step.KEEP
    assert unanswered.judge(102.0) is Step.STEP_DOWN
    assert FOLLOWED.judge(1_000.0) is Step.STEP_DOWN, "the computer slept"


def test_who_is_alone_listens_on_whatever_the_bus_does():
    alone = Lease(7, renewed_at=100.0, asked_at=100.0)

    assert alone.judge(1_000.0) is Step.RENEW


@given(st.lists(st.floats(0.01, 4.0), min_size=1, max_size=20), st.floats(0.0, 1.0))
def test_two_never_hold_it_at_once_however_the_holder_is_held_up(pauses, travel):
    """The server lets another have it no sooner than its time after the last renewal arrived."""
    now, lease, arrived = 0.0, Lease(1, 0.0, 0.0, is_followed=True), 0.0
    for pause in pauses:
        now += pause
        match lease.judge(now):
            case Step.STEP_DOWN:
                return
            case Step.RENEW:
                arrived, asked = now + travel, lease.ask(now)
                assert arrived - travel - lease.renewed_at < TTL_SECONDS
                lease = asked.renew(lease.revision + 1, is_followed=True)
            case Step.KEEP:
                pass
        assert now < arrived + TTL_SECONDS


def test_a_claim_is_read_as_it_was_written_and_what_is_none_is_none():
    claim = Claim("me", "den", 7)

    assert read_claim(msgspec.msgpack.encode(claim)) == claim
    assert read_claim(b"\xff") is None
    assert read_claim(b"") is None
    assert claim.words == "den (process 7)"


def test_a_lease_that_was_given_back_is_anybodys_and_one_that_is_held_is_not():
    assert Claim("one", free=True).may_be_taken_by("another")
    assert not Claim("one").may_be_taken_by("another")
    assert Claim("one").may_be_taken_by("one")
