"""One question, step by step: no thread, no pause, no server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from options_helper.data.rest.breaker import FAILURES_TO_OPEN
from options_helper.data.rest.endpoints import Endpoint
from options_helper.data.rest.question import Addressee, Failure, Pause, Tried, Try, question
from options_helper.data.rest.rate_limit import HostRequests, RequestLimiter, RestPolicy
from options_helper.errors import RestError, RestStopped
from options_helper.model.providers import BreakerState, FailureKind

NOW = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
ALPACA = Addressee("Alpaca", "127.0.0.1", "/v2/x")
BUSY = Failure(RestError("Alpaca answered 503."), FailureKind.SERVER, passing=True)


class Host:
    """One host with one endpoint, by a clock that the test moves."""

    def __init__(self, per_minute: int = 100) -> None:
        self.at = 1_000.0
        self.requests = HostRequests(RequestLimiter(per_minute, now=lambda: self.at), now=lambda: self.at)

    @property
    def endpoint(self) -> Endpoint:
        return self.requests.endpoint("/v2/x")

    def ask(
        self, *answers: object, policy: RestPolicy | None = None, stops: bool = False
    ) -> tuple[Any, list[object]]:
        """What it comes to, an error too, and what had to be done for it."""
        policy = policy or RestPolicy()
        course = question(self.requests, "/v2/x", ALPACA, policy, now=lambda: NOW, random=lambda: 1.0)
        left, steps = list(answers), list[object]()
        try:
            step = next(course)
            while True:
                steps.append(step)
                if isinstance(step, Pause):
                    self.at += step.seconds
                    step = course.send(None)
                else:
                    step = course.send(Tried(left.pop(0), 0.1, stops))
        except StopIteration as end:
            return end.value, steps
        except (RestError, RestStopped) as error:
            return error, steps


def pauses(steps: list[object]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Pause) and step.seconds]


def test_an_answer_needs_one_try_and_no_pause():
    answer, steps = Host().ask("it")

    assert answer == "it"
    assert steps == [Pause(0), Try()]


def test_what_may_pass_is_tried_again_after_longer_pauses_and_given_up_at_last():
    host = Host()
    answer, steps = host.ask(BUSY, BUSY, BUSY)

    assert answer is BUSY.error
    assert pauses(steps) == [1.0, 2.0]
    assert host.endpoint.report().failures == {FailureKind.SERVER: 3}


def test_what_does_not_pass_is_tried_once():
    refused = Failure(RestError("No."), FailureKind.QUESTION)
    answer, steps = Host().ask(refused)

    assert answer is refused.error
    assert steps.count(Try()) == 1


def test_a_server_that_wants_silence_is_given_it_and_nothing_more():
    told = Failure(RestError("429"), FailureKind.TOO_MANY, passing=True, pause=7.0)
    answer, steps = Host().ask(told, "it")

    assert answer == "it"
    assert pauses(steps) == [7.0]


def test_a_silence_that_is_longer_than_anybody_waits_is_told_and_nothing_is_sent():
    host = Host()
    host.ask(Failure(RestError("429"), FailureKind.TOO_MANY, passing=True, pause=900.0))

    answer, steps = host.ask("it")

    assert "wants a pause" in str(answer)
    assert answer.retry_after == pytest.approx(900, abs=1)
    assert Try() not in steps


def test_a_request_waits_for_its_turn_in_the_minute():
    host = Host(per_minute=1)
    host.ask("it")

    answer, steps = host.ask("it")

    assert answer == "it"
    assert pauses(steps) == [pytest.approx(60, abs=0.1)]


def test_one_that_is_stopped_after_a_try_keeps_the_silence_that_was_asked_for_and_counts_no_failure():
    host = Host()
    told = Failure(RestError("429"), FailureKind.TOO_MANY, passing=True, pause=7.0)
    answer, _ = host.ask(told, stops=True)

    assert isinstance(answer, RestStopped)
    assert host.requests.limiter.held() == pytest.approx(7.0)
    assert host.endpoint.report().requests == 0


def test_an_endpoint_that_fails_again_and_again_is_not_asked_and_one_that_is_left_leaves_the_probe_to_the_next():
    host, once = Host(), RestPolicy(attempts=1)
    for _ in range(FAILURES_TO_OPEN):
        host.ask(BUSY, policy=once)
    answer, steps = host.ask("it")
    assert "was not asked" in str(answer)
    assert steps == []

    host.at += 31
    left = question(host.requests, "/v2/x", ALPACA, once, now=lambda: NOW, random=lambda: 1.0)
    next(left)
    assert host.ask("it")[1] == [], "one finds out, and nobody else"
    left.close()
    assert host.ask("it")[0] == "it"
    assert host.endpoint.report().breaker is BreakerState.CLOSED


def refused(asked: str, **facts: Any) -> Failure:
    return Failure(
        RestError(f"{Addressee('Alpaca', '127.0.0.1', asked)} is down. Wait.", **facts), FailureKind.SERVER
    )


def error_of(host: Host, asked: str, failure: Failure | None) -> RestError:
    """What a question to an endpoint ends with."""
    where = Addressee("Alpaca", "127.0.0.1", asked)
    course = question(
        host.requests, asked, where, RestPolicy(attempts=1), now=lambda: NOW, random=lambda: 1.0
    )
    try:
        step = next(course)
        while True:
            step = course.send(None if isinstance(step, Pause) else Tried(failure, 0.1))
    except RestError as error:
        return error


def test_two_questions_that_fail_alike_have_one_cause_also_when_they_are_left_alone():
    """Whichever the question was and whenever it may be asked again, which the error says beside."""
    host = Host()
    for asked in ("/v2/x", "/v2/y"):
        for _ in range(FAILURES_TO_OPEN):
            failed = error_of(host, asked, refused(asked))
            assert (failed.cause, failed.asked) == ("Alpaca (127.0.0.1) is down. Wait.", asked)
            assert str(failed) == f"Alpaca (127.0.0.1, {asked}) is down. Wait."
        host.at += 1
    left = [error_of(host, asked, None) for asked in ("/v2/x", "/v2/y")]

    assert {one.cause for one in left} == {"Alpaca (127.0.0.1) is down. Wait."}
    first, second = (one.again_at for one in left)
    assert first is not None
    assert second is not None
    assert second - first == timedelta(seconds=1)
    assert "was not asked" in str(left[0])
