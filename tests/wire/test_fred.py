"""FRED is asked politely, its odd answers are sentences, and its key is in none of them."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
from pydantic import SecretStr

from options_helper.data.fred import PER_MINUTE, Fred
from options_helper.data.rest.rate_limit import RequestLimits, RestPolicy
from options_helper.errors import ConfigError, RestError, RestStopped
from options_helper.model.providers import FailureKind
from options_helper.settings import FredSettings
from tests.kit.scripted_server import Reply, ScriptedServer
from tests.kit.waiting import at_once, wait_until

KEY = "sentinel0123456789abcdef"
SINCE = date(2026, 11, 1)
TRIES = 3
POLICY = RestPolicy(attempts=TRIES, backoff_base_seconds=0.01)
ROWS = [
    {"date": "2026-11-17", "value": "4.13", "realtime_start": "2026-11-18"},
    {"date": "2026-11-18", "value": ".", "realtime_start": "2026-11-18"},
    {"date": "never", "value": "1"},
]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()


@pytest.fixture
def limits() -> RequestLimits:
    return RequestLimits()


@pytest.fixture
def fred(server: ScriptedServer, limits: RequestLimits) -> Iterator[Fred]:
    settings = FredSettings(SecretStr(KEY), server.url)
    with Fred(settings, random=lambda: 0.0, policy=POLICY, limits=limits) as made:
        yield made


def test_values_have_their_day_and_the_day_on_which_they_were_so(server: ScriptedServer, fred: Fred):
    server.replies(Reply({"observations": ROWS}))

    values = fred.observations("DGS10", SINCE)

    assert [(one.day.isoformat(), one.value) for one in values] == [
        ("2026-11-17", Decimal("4.13")),
        ("2026-11-18", None),
    ]
    assert values[0].vintage == date(2026, 11, 18)
    (asked,) = server.requests
    assert asked.query == {
        "series_id": "DGS10",
        "observation_start": "2026-11-01",
        "file_type": "json",
        "api_key": KEY,
    }


@pytest.mark.parametrize(
    ("reply", "said", "tries"),
    [
        (Reply({}, status=400), "refused (HTTP 400). Check FRED_API_KEY", 1),
        (Reply({}, status=404), "answered with HTTP 404", 1),
        (Reply({}, status=429), "answered with HTTP 429", TRIES),
        (Reply({}, status=503), "answered with HTTP 503", TRIES),
        (Reply(b"<html>log in</html>"), "gave an answer that cannot be read", TRIES),
        (Reply({}, status=302, headers={"Location": "http://127.0.0.1:9/"}), "answered with HTTP 302", 1),
        (Reply({}, announced_bytes=100_000), "cannot be reached", TRIES),
    ],
)
def test_what_is_no_answer_is_a_sentence_and_tried_again_where_that_may_help(
    server: ScriptedServer, fred: Fred, reply: Reply, said: str, tries: int
):
    server.replies(reply)

    with pytest.raises(RestError) as raised:
        fred.observations("DGS10", SINCE)

    assert str(raised.value).startswith("FRED (127.0.0.1, DGS10) ")
    assert said in str(raised.value)
    assert len(server.requests) == tries


def test_the_key_is_in_no_error_no_log_and_no_picture(
    server: ScriptedServer, fred: Fred, caplog: pytest.LogCaptureFixture
):
    """What `requests` and `urllib3` say of an address has it in them."""
    caplog.set_level(logging.DEBUG)
    server.replies(Reply({}, status=503))
    with pytest.raises(RestError) as raised:
        fred.observations("DGS10", SINCE)
    server.close()
    with pytest.raises(RestError) as unreached:
        fred.observations("DGS10", SINCE)

    shown = "".join(
        part for error in (raised.value, unreached.value) for part in traceback.format_exception(error)
    )
    assert KEY not in shown
    assert "/fred/series/observations" in caplog.text
    assert KEY not in caplog.text
    assert KEY not in repr(FredSettings(SecretStr(KEY)))


def test_its_requests_are_counted_and_within_its_own_minute(
    server: ScriptedServer, fred: Fred, limits: RequestLimits
):
    server.replies(Reply({}, status=503), Reply({"observations": ROWS}))

    fred.observations("DGS10", SINCE)

    (report,) = limits.report().values()
    endpoint = report.endpoints["/fred/series/observations"]
    assert (endpoint.requests, endpoint.successes) == (2, 1)
    assert endpoint.failures == {FailureKind.SERVER: 1}
    assert (report.budget.per_minute, report.budget.left) == (PER_MINUTE, PER_MINUTE - 2)


def test_a_minute_that_is_used_up_is_waited_for(server: ScriptedServer):
    server.replies(Reply({"observations": ROWS}))
    limits = RequestLimits(at_most=1)
    stopping = Stopped()
    with Fred(
        FredSettings(SecretStr(KEY), server.url), random=lambda: 0.0, limits=limits, stopping=stopping
    ) as fred:
        fred.observations("DGS10", SINCE)
        with pytest.raises(RestStopped):
            fred.observations("DGS2", SINCE)

    assert len(server.requests) == 1
    assert stopping.waited > 50


class Stopped(threading.Event):
    """Set by whoever has to wait for it; `waited` is how long that would have been."""

    waited = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        """As the event, but at once."""
        self.waited = max(self.waited, timeout or 0.0)
        return bool(timeout) or self.is_set()


def test_fred_is_left_alone_while_it_fails_again_and_again(server: ScriptedServer, fred: Fred):
    server.replies(Reply({}, status=503))
    for _ in range(5):
        with pytest.raises(RestError, match="HTTP 503"):
            fred.observations("DGS10", SINCE)
    asked = len(server.requests)

    with pytest.raises(RestError, match="was not asked") as raised:
        fred.observations("DGS10", SINCE)

    assert len(server.requests) == asked
    assert raised.value.retry_after is not None


def test_a_pause_that_fred_asks_for_is_kept(server: ScriptedServer, fred: Fred):
    server.replies(Reply({}, status=429, headers={"Retry-After": "200"}))

    with pytest.raises(RestError) as raised:
        fred.observations("DGS10", SINCE)

    assert raised.value.retry_after == 200
    assert len(server.requests) == 1
    with pytest.raises(RestError, match="because it wants a pause"):
        fred.observations("DGS10", SINCE)


def test_a_stop_ends_a_question_that_hangs(server: ScriptedServer, fred: Fred):
    server.replies(Reply(silent=True))
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            fred.observations("DGS10", SINCE)
        except RestStopped as error:
            ended.append(error)

    asking = threading.Thread(target=ask, name="live-fred-asking")
    asking.start()
    wait_until(lambda: server.requests)
    with at_once():
        fred.stop()
        asking.join()

    assert len(ended) == 1


def test_a_key_is_not_sent_in_the_clear_to_another_computer():
    with pytest.raises(ConfigError, match="FRED_URL"):
        FredSettings(SecretStr(KEY), "http://api.stlouisfed.org")


def test_settings_come_from_the_environment():
    settings = FredSettings.load({"FRED_API_KEY": f" {KEY} ", "FRED_URL": "http://127.0.0.1:8080/"})

    assert (settings.require_key(), settings.url) == (KEY, "http://127.0.0.1:8080")
    with pytest.raises(ConfigError, match="no FRED_API_KEY"):
        FredSettings.load({}).require_key()
    with pytest.raises(ConfigError, match="no key of FRED's has"):
        FredSettings.load({"FRED_API_KEY": "two words"})


def test_nothing_stays_open_at_the_end(server: ScriptedServer, limits: RequestLimits):
    server.replies(Reply({"observations": ROWS}))
    with Fred(FredSettings(SecretStr(KEY), server.url), random=lambda: 0.0, limits=limits) as made:
        made.observations("DGS10", SINCE)
        sockets = list(made._adapter._sockets._sockets)  # noqa: SLF001 - they are nobody else's
        assert [one.fileno() >= 0 for one in sockets] == [True]

    assert [one.fileno() for one in sockets] == [-1]
