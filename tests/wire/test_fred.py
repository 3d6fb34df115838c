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

from options_helper.data.fred import TRIES, Fred
from options_helper.errors import ConfigError, RestError, RestStopped
from options_helper.settings import FredSettings
from tests.kit.scripted_server import Reply, ScriptedServer
from tests.kit.waiting import at_once, wait_until

KEY = "sentinel0123456789abcdef"
SINCE = date(2026, 11, 1)
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
def fred(server: ScriptedServer) -> Iterator[Fred]:
    settings = FredSettings(SecretStr(KEY), server.url)
    with Fred(settings, random=lambda: 0.0, pause_seconds=0.0, again_seconds=0.01) as made:
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
