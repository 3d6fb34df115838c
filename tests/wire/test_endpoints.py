"""Breakers, counts and the shared minute beneath the real SDK, against a server that fails and the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from options_helper.data.rest.budget_ledger import PAGE, RECORDER
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.rate_limit import RequestLimits, RestPolicy
from options_helper.errors import RestError
from options_helper.model.providers import BreakerState, EndpointReport, FailureKind, ProviderReport
from options_helper.settings import DEFAULT_REST_PER_MINUTE, Settings
from options_helper.simulator.faults import Faults
from options_helper.simulator.server import SimulatorServer
from tests.kit.scripted_server import Reply, ScriptedServer
from tests.kit.simulated import PATIENT_REST, settings_for
from tests.kit.waiting import FOREVER

ONE_TRY = RestPolicy(connect_seconds=FOREVER, read_seconds=FOREVER, answer_seconds=FOREVER, attempts=1)
THREE_TRIES = RestPolicy(backoff_base_seconds=0.001, backoff_cap_seconds=0.001)


class Clock:
    """Stands until a test sets it on."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Asked:
    """A client of a scripted server, and the clock that its pace and breakers go by."""

    def __init__(self, url: str, policy: RestPolicy) -> None:
        self.clock = Clock()
        self.limits = RequestLimits(now=self.clock)
        settings = Settings(
            api_key=SecretStr("key"), api_secret=SecretStr("secret"), base_url=url, data_url=url
        )
        self.rest = AlpacaRest(settings, policy=policy, limits=self.limits)

    @property
    def provider(self) -> ProviderReport:
        (report,) = self.limits.report().values()
        return report

    def endpoint(self, family: str) -> EndpointReport:
        return self.provider.endpoints[family]

    def fails(self, ask: Callable[[AlpacaRest], Any] = AlpacaRest.clock) -> str:
        with pytest.raises(RestError) as refusal:
            ask(self.rest)
        return str(refusal.value)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()


@pytest.fixture
def asking() -> Iterator[Callable[..., Asked]]:
    """Make clients, which are stopped when the test is over."""
    made: list[Asked] = []

    def make(url: str, policy: RestPolicy = ONE_TRY) -> Asked:
        made.append(Asked(url, policy))
        return made[-1]

    yield make
    for one in made:
        one.rest.stop()


def test_an_endpoint_that_failed_five_times_is_left_alone_and_the_others_are_not(
    asking: Callable[..., Asked], server: ScriptedServer
):
    server.answer = lambda request: Reply(status=503 if request.path == "/v2/clock" else 200)
    asked = asking(server.url)
    for _ in range(5):
        asked.fails()

    said = asked.fails()

    assert len(server.requests) == 5, "the sixth did not leave"
    assert "was not asked. It may be asked again at " in said
    assert "Its last requests failed: Alpaca (127.0.0.1, /v2/clock) answered with HTTP 503." in said
    assert asked.rest.account() == {}
    assert asked.endpoint("/v2/clock").breaker is BreakerState.OPEN
    assert asked.endpoint("/v2/clock").retry_seconds == 30


def test_one_question_finds_out_whether_it_works_again(asking: Callable[..., Asked], server: ScriptedServer):
    server.replies(*[Reply(status=503)] * 5, Reply())
    asked = asking(server.url)
    for _ in range(5):
        asked.fails()
    asked.clock.seconds += 30
    assert asked.endpoint("/v2/clock").breaker is BreakerState.HALF_OPEN

    assert asked.rest.clock() == {}

    report = asked.endpoint("/v2/clock")
    assert (report.breaker, report.failing, report.problem) == (BreakerState.CLOSED, 0, None)


def test_how_long_it_is_left_alone_is_the_policy_s(asking: Callable[..., Asked], server: ScriptedServer):
    server.replies(Reply(status=503))
    asked = asking(server.url, replace(ONE_TRY, breaker_pause_seconds=3))
    for _ in range(5):
        asked.fails()

    assert asked.endpoint("/v2/clock").retry_seconds == 3


def test_tries_of_one_question_are_one_failure_and_a_probe_has_one_try(
    asking: Callable[..., Asked], server: ScriptedServer
):
    server.replies(Reply(status=503))
    asked = asking(server.url, THREE_TRIES)
    for _ in range(4):
        asked.fails()
    report = asked.endpoint("/v2/clock")
    assert (report.requests, report.failing, report.breaker) == (12, 4, BreakerState.CLOSED)
    asked.fails()
    asked.clock.seconds += 30

    asked.fails()

    assert asked.endpoint("/v2/clock").requests == 16


@pytest.mark.parametrize(
    ("status", "kind", "failing"),
    [
        (404, FailureKind.QUESTION, 0),
        (422, FailureKind.QUESTION, 0),
        (401, FailureKind.REFUSED, 9),
        (403, FailureKind.REFUSED, 9),
        (429, FailureKind.TOO_MANY, 9),
    ],
)
def test_what_an_endpoint_that_works_says_no_to_opens_nothing(
    asking: Callable[..., Asked], server: ScriptedServer, status: int, kind: FailureKind, failing: int
):
    server.replies(Reply(status=status))
    asked = asking(server.url)
    for _ in range(9):
        asked.fails()

    report = asked.endpoint("/v2/clock")
    assert report.breaker is BreakerState.CLOSED
    assert report.failures == {kind: 9}
    assert (report.failing, report.failing_as) == (failing, kind if failing else None)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=500), FailureKind.SERVER),
        (Reply(b"<html>log in</html>"), FailureKind.UNREADABLE),
        (Reply(status=408), FailureKind.TIMEOUT),
        (Reply(announced_bytes=1_000), FailureKind.NETWORK),
    ],
)
def test_every_request_is_a_success_or_a_failure_of_one_kind(
    asking: Callable[..., Asked], server: ScriptedServer, reply: Reply, kind: FailureKind
):
    server.replies(Reply(), reply, Reply())
    asked = asking(server.url)
    asked.rest.clock()
    asked.fails()
    asked.rest.clock()

    report = asked.endpoint("/v2/clock")
    assert (report.requests, report.successes, report.failures) == (3, 2, {kind: 1})
    assert report.latency_p50 is not None
    assert report.latency_p95 is not None
    assert 0 < report.latency_p50 <= report.latency_p95 < FOREVER


def test_an_answer_that_comes_late_is_a_timeout_and_nobody_there_is_the_network(
    asking: Callable[..., Asked], server: ScriptedServer
):
    server.replies(Reply(silent=True))
    late = asking(server.url, RestPolicy(read_seconds=0.01, attempts=1))
    late.fails()
    gone = asking("http://127.0.0.1:9")
    gone.fails()

    assert late.endpoint("/v2/clock").failures == {FailureKind.TIMEOUT: 1}
    assert gone.endpoint("/v2/clock").failures == {FailureKind.NETWORK: 1}
    assert gone.endpoint("/v2/clock").latency_last is None, "nothing was answered"


def test_symbols_make_no_endpoints(asking: Callable[..., Asked], server: ScriptedServer):
    asked = asking(server.url)
    for symbol in ("AAPL", "BRK.B", "AAPL260320C00180000"):
        asked.rest.asset(symbol)
        asked.rest.option_contract(symbol)
    asked.rest.account()

    assert list(asked.provider.endpoints) == ["/v2/account", "/v2/assets", "/v2/options/contracts"]


def test_the_budget_says_what_is_left(asking: Callable[..., Asked], server: ScriptedServer):
    asked = asking(server.url)
    for _ in range(3):
        asked.rest.clock()

    budget = asked.provider.budget
    assert (budget.per_minute, budget.share, budget.left, budget.programs) == (200, 200, 197, 1)
    asked.clock.seconds += 61
    assert asked.provider.budget.left == 200


def test_a_page_and_a_recorder_share_the_simulator_s_minute_and_its_pause(
    running_simulator: Callable[..., SimulatorServer],
):
    server = running_simulator()
    clock, settings = Clock(), replace(settings_for(server), rest_per_minute=DEFAULT_REST_PER_MINUTE)
    shares = [RequestLimits(share, now=clock) for share in (PAGE, RECORDER)]
    page, recorder = (AlpacaRest(settings, policy=PATIENT_REST, limits=each) for each in shares)
    with page, recorder:
        page.clock()
        recorder.clock()
        page.clock()
        (budget,) = (one.budget for one in shares[0].report().values())
        assert (budget.share, budget.programs, budget.left) == (133, 2, 131)

        server.set_faults(Faults(rest_status=429, rest_retry_after=300))
        with pytest.raises(RestError, match="asked again"):
            page.clock()
        server.set_faults(Faults())

        with pytest.raises(RestError, match="was not asked, because it wants a pause") as held:
            recorder.clock()
        assert held.value.retry_after == 300
        clock.seconds += 300
        assert recorder.clock()
