"""What goes out to Alpaca's plain HTTP side, and what becomes of its answers: the real SDK against a server of ours."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from alpaca.trading.requests import MarketOrderRequest, ReplaceOrderRequest
from pydantic import SecretStr
from requests.utils import get_netrc_auth

from options_helper.clock import utc_now
from options_helper.data.rest.client import PAGES_AT_MOST, AlpacaRest, batches
from options_helper.data.rest.rate_limit import RequestLimits, RestPolicy
from options_helper.errors import ConfigError, RestError, RestStopped
from options_helper.settings import Settings
from tests.kit.scripted_server import Dripping, Reply, Request, ScriptedServer
from tests.kit.waiting import AT_ONCE, FOREVER, wait_until

KEY, SECRET = "PKSENTINEL0000000001", "sentinelSecret/000000000000000000000001"
QUICK = RestPolicy(backoff_base_seconds=0.01, backoff_cap_seconds=0.02, requested_pause_cap_seconds=5)
# Whoever waits for an answer or a pause of these does so for longer than any test.
PATIENT = RestPolicy(
    read_seconds=FOREVER,
    answer_seconds=FOREVER,
    backoff_base_seconds=2 * FOREVER,  # half of it is random
    backoff_cap_seconds=2 * FOREVER,
)
SINCE = datetime(2026, 3, 20, 14, 30, tzinfo=UTC)
ORDER_ID = "61e69015-8549-4bfd-b9c3-01e75843f47d"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.close()


class Stopping(threading.Event):
    """A stop event that remembers what was waited for on it."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0)
        return super().wait(timeout)

    @property
    def pausing(self) -> bool:
        return any(pause > 1 for pause in self.pauses)


Client = Callable[..., AlpacaRest]


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[Client]:
    """Ask the server; `client(policy=…, rest_per_minute=…)`. All clients keep one pace."""
    made: list[AlpacaRest] = []
    limits = RequestLimits()

    def make(
        *, policy: RestPolicy = QUICK, rest_per_minute: int = 10_000, base_url: str | None = None, **more: Any
    ) -> AlpacaRest:
        settings = Settings(
            api_key=SecretStr(KEY),
            api_secret=SecretStr(SECRET),
            base_url=base_url or server.url,
            data_url=server.url,
            rest_per_minute=rest_per_minute,
        )
        made.append(AlpacaRest(settings, policy=policy, **{"limits": limits, **more}))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def order(number: int, at: datetime) -> dict[str, Any]:
    return {"id": f"order-{number}", "submitted_at": at.isoformat()}


def ids(pages: Iterator[list[dict[str, Any]]]) -> list[str]:
    return [row["id"] for page in pages for row in page]


@pytest.mark.parametrize(
    ("ask", "path", "query"),
    [
        (lambda rest: rest.stock_snapshots(["AAPL", "BRK.B"], "iex"), "/v2/stocks/snapshots",
         {"symbols": "AAPL,BRK.B", "feed": "iex"}),
        (lambda rest: rest.option_snapshots(["AAPL260320C00180000"], "opra"), "/v1beta1/options/snapshots",
         {"symbols": "AAPL260320C00180000", "feed": "opra", "limit": "1000"}),
        (lambda rest: rest.latest_stock_trades(["AAPL"]), "/v2/stocks/trades/latest", {"symbols": "AAPL"}),
        (lambda rest: rest.clock(), "/v2/clock", {}),
        (lambda rest: rest.account(), "/v2/account", {}),
        (lambda rest: rest.option_contract("AAPL260320C00180000"), "/v2/options/contracts/AAPL260320C00180000", {}),
        (lambda rest: rest.asset("BRK.B"), "/v2/assets/BRK.B", {}),
        (lambda rest: rest.asset("../orders?x=1"), "/v2/assets/..%2Forders%3Fx%3D1", {}),
        (lambda rest: list(rest.option_contracts({"root_symbol": "AAPL"})), "/v2/options/contracts",
         {"limit": "1000", "root_symbol": "AAPL"}),
    ],
)  # fmt: skip
def test_a_question_is_one_request_with_the_keys(
    server: ScriptedServer, client: Client, ask: Callable[[AlpacaRest], Any], path: str, query: dict[str, str]
):
    server.replies(Reply({"option_contracts": []}))

    ask(client())

    (request,) = server.requests
    assert (request.method, request.path, request.query) == ("GET", path, query)
    assert (request.headers["APCA-API-KEY-ID"], request.headers["APCA-API-SECRET-KEY"]) == (KEY, SECRET)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda sdk: sdk.submit_order(
            MarketOrderRequest(symbol="AAPL", qty=1, side="buy", time_in_force="day")
        ),
        lambda sdk: sdk.replace_order_by_id(ORDER_ID, ReplaceOrderRequest(qty=2)),
        lambda sdk: sdk.cancel_orders(),
        lambda sdk: sdk.close_all_positions(cancel_orders=True),
        lambda sdk: sdk.close_position("AAPL"),
        lambda sdk: sdk.exercise_options_position("AAPL260320C00180000"),
    ],
    ids=["submit", "replace", "cancel", "close all", "close one", "exercise"],
)
def test_no_order_can_be_sent(server: ScriptedServer, client: Client, attempt: Callable[[Any], Any]):
    """Even somebody who reaches for the SDK's client behind ours gets nothing out."""
    sdk = client()._account  # noqa: SLF001 - the one that could

    with pytest.raises(RestError, match="only reads"):
        attempt(sdk)

    assert server.requests == []


def test_without_keys_nothing_is_asked():
    with pytest.raises(ConfigError, match="no Alpaca keys"):
        AlpacaRest(Settings())


def test_without_the_extra_it_says_what_to_install(client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "alpaca.trading.client", None)

    with pytest.raises(ConfigError, match=r"needs alpaca, .*pip install 'options-helper\[ui,alpaca\]'"):
        client()


def test_a_proxy_does_not_get_the_keys_of_this_computer_s_own_server(
    server: ScriptedServer, client: Client, monkeypatch: pytest.MonkeyPatch
):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    client().clock()

    assert server.paths == ["/v2/clock"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda rest: rest.clock(),
        lambda rest: rest.stock_snapshots(["AAPL"], "iex"),
        lambda rest: rest.option_snapshots(["AAPL260320C00180000"], "opra"),
    ],
    ids=["account", "stocks", "options"],
)
def test_another_service_s_password_never_reaches_alpaca(
    server: ScriptedServer,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[AlpacaRest], Any],
):
    """The HTTP library would take it out of ~/.netrc and send it along."""
    (tmp_path / ".netrc").write_text("default login someuser password somepass\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert get_netrc_auth(server.url) == ("someuser", "somepass")

    ask(client())

    (request,) = server.requests
    assert "Authorization" not in request.headers
    assert (request.headers["APCA-API-KEY-ID"], request.headers["APCA-API-SECRET-KEY"]) == (KEY, SECRET)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524])
def test_what_may_pass_is_asked_again(server: ScriptedServer, client: Client, status: int):
    server.replies(Reply(status=status), Reply(status=status), Reply({"cash": "12.30"}))

    assert client().account() == {"cash": "12.30"}
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (400, "symbols"),
        (401, "APCA_API_SECRET_KEY"),
        (403, "plan"),
        (404, "OH_ALPACA_DATA_URL"),
        (418, "report"),
        (422, "symbols"),
    ],
)
def test_what_would_be_answered_the_same_is_asked_once_and_says_what_to_do(
    server: ScriptedServer, client: Client, status: int, says: str
):
    server.replies(Reply({"code": 1, "message": "the server's own words."}, status=status))

    with pytest.raises(RestError, match=rf"HTTP {status}: the server's own words\. .*{says}") as failed:
        client().account()

    assert failed.value.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("reply", "says", "status"),
    [
        (Reply(status=429), "OH_ALPACA_REST_PER_MINUTE", 429),
        (Reply(status=503), "try again in a minute", 503),
        (Reply(b"<html>Bad gateway</html>", status=502), "HTTP 502. It is a fault on its side", 502),
        (Reply(b'{"cash": "12'), "cannot be read", 200),
        (Reply(b"[" * 100_000), "cannot be read", 200),
        (Reply(b"[" * 100_000, status=503), "HTTP 503. It is a fault on its side", 503),
        (Reply(b"\xef\xbb\xbf\n<!doctype html><title>Welcome</title>"), "login page", 200),
        (Reply(status=408), "try again in a minute", 408),
        (Reply(status=522), "try again in a minute", 522),
        (Reply(b'{"cash"', announced_bytes=100), "connection broke off", None),
        (Reply(silent=True), "did not answer in time", None),
    ],
    ids=[
        "too many",
        "busy",
        "no JSON in a refusal",
        "truncated",
        "without a bottom",
        "a refusal without a bottom",
        "a hotel's login page",
        "408",
        "522",
        "cut off",
        "silent",
    ],
)
def test_a_fault_that_stays_is_said_after_the_last_try(
    server: ScriptedServer, client: Client, reply: Reply, says: str, status: int | None
):
    server.replies(reply)
    rest = client(policy=replace(QUICK, read_seconds=0.3) if reply.silent else QUICK)

    with pytest.raises(RestError, match=rf"127\.0\.0\.1, /v2/account.*{says}") as failed:
        rest.account()

    assert failed.value.status == status
    wait_until(lambda: len(server.requests) == QUICK.attempts, saw=lambda: server.requests)


@pytest.mark.parametrize("dripping", Dripping)
def test_an_answer_that_drips_without_end_is_given_up(
    server: ScriptedServer, client: Client, dripping: Dripping
):
    """Each byte is in time; the whole is not."""
    server.replies(Reply(dripping=dripping))
    rest = client(policy=replace(QUICK, read_seconds=5, answer_seconds=0.4, attempts=2))
    began = time.monotonic()

    with pytest.raises(RestError, match="did not answer in time") as failed:
        rest.account()

    assert time.monotonic() - began >= 0.8
    assert failed.value.status is None
    wait_until(lambda: len(server.requests) == 2, saw=lambda: server.requests)


def test_a_client_that_is_stopped_has_no_connection_open_whatever_still_refers_to_it(
    server: ScriptedServer, client: Client
):
    """The trace of an error does, for as long as somebody keeps it."""
    server.replies(Reply(b"no JSON"))
    rest = client(policy=replace(QUICK, attempts=1))
    with pytest.raises(RestError, match="cannot be read") as kept:
        rest.account()
    assert connected(server)

    rest.stop()

    assert not connected(server)
    assert kept.value.__traceback__ is not None


def connected(server: ScriptedServer) -> list[Any]:
    """The connections to it that a client in this process has open."""
    port = urlsplit(server.url).port
    return [
        one for one in psutil.Process().net_connections("tcp4") if getattr(one.raddr, "port", None) == port
    ]


def test_an_answer_that_stops_halfway_is_late_too(server: ScriptedServer, client: Client):
    server.replies(Reply(b'{"cash"', announced_bytes=100, stays_open=True))

    with pytest.raises(RestError, match="did not answer in time"):
        client(policy=replace(QUICK, read_seconds=0.2, attempts=1)).account()


def test_a_server_that_is_not_there_is_said_to_be_out_of_reach(server: ScriptedServer, client: Client):
    rest = client()
    server.close()

    with pytest.raises(RestError, match="cannot be reached") as failed:
        rest.clock()

    assert failed.value.status is None


def test_an_answer_that_broke_off_once_is_asked_for_again(server: ScriptedServer, client: Client):
    server.replies(Reply(b'{"cash": "12'), Reply({"cash": "12.30"}))

    assert client().account() == {"cash": "12.30"}


def test_the_server_says_how_long_to_wait(server: ScriptedServer, client: Client):
    server.replies(Reply(status=429, headers={"Retry-After": "0.4"}), Reply())

    client().clock()

    first, second = server.requests
    assert second.at - first.at >= 0.4


def test_a_fault_is_not_waited_out_to_the_end_of_the_minute(server: ScriptedServer, client: Client):
    """The account side tells when its minute ends in every answer, and most of the minute's requests are left."""
    minute = {"X-RateLimit-Remaining": "180", "X-RateLimit-Reset": str(int(utc_now().timestamp() + FOREVER))}
    server.replies(Reply(status=500, headers=minute), Reply())
    stopping = Stopping()

    client(stopping=stopping).clock()

    assert len(server.requests) == 2
    assert not stopping.pausing


@pytest.mark.parametrize("retry_after", ["0", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_pause_that_is_over_is_not_waited_for(server: ScriptedServer, client: Client, retry_after: str):
    server.replies(Reply(status=503, headers={"Retry-After": retry_after}), Reply())

    stopping = Stopping()

    client(policy=PATIENT, stopping=stopping).clock()

    assert len(server.requests) == 2
    assert not stopping.pausing


def test_everybody_keeps_the_pause_that_one_was_asked_for(server: ScriptedServer, client: Client):
    """Another client, another thread, and after the last try too."""
    server.replies(Reply(status=429, headers={"Retry-After": "0.6"}), Reply())

    with pytest.raises(RestError) as failed:
        client(policy=replace(QUICK, attempts=1)).clock()
    others = [threading.Thread(target=client().account, name="live-test") for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join(AT_ONCE)

    refused, *later = server.requests
    assert failed.value.retry_after == 0.6
    assert len(later) == 2
    assert all(each.at - refused.at >= 0.6 for each in later)


def test_a_pause_too_long_to_wait_for_is_said_and_nothing_is_asked_before_its_end(
    server: ScriptedServer, client: Client
):
    """Neither by who was asked for it nor by the next one."""
    server.replies(Reply(status=429, headers={"Retry-After": "3600"}), Reply())
    says = r"may be asked again at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"

    with pytest.raises(RestError, match=rf"HTTP 429\. .*{says}") as refused:
        client(policy=PATIENT).clock()
    with pytest.raises(RestError, match=rf"not asked.*{says}") as held_back:
        client(policy=PATIENT).account()

    assert len(server.requests) == 1
    assert (refused.value.status, held_back.value.status) == (429, None)
    assert refused.value.retry_after == 3600
    assert held_back.value.retry_after == pytest.approx(3600, abs=10)


def test_a_refusal_without_a_pause_tells_none(server: ScriptedServer, client: Client):
    server.replies(Reply(status=429))

    with pytest.raises(RestError) as refused:
        client().clock()

    assert refused.value.retry_after is None


def test_the_sdk_s_own_pauses_are_off(server: ScriptedServer, client: Client):
    """It would ask three times more, sleep before each, and hear no stop meanwhile."""
    server.replies(Reply(status=429))

    with pytest.raises(RestError):
        client(policy=RestPolicy(attempts=1)).clock()

    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_other_address_gets_the_keys(server: ScriptedServer, client: Client, status: int):
    server.replies(Reply(status=status, headers={"Location": f"{server.url}/elsewhere"}))

    with pytest.raises(RestError, match="another address"):
        client().clock()

    assert server.paths == ["/v2/clock"]


def test_no_secret_is_in_what_is_told(server: ScriptedServer, client: Client):
    server.replies(Reply({"message": f"key {KEY} with\nsecret {SECRET} is wrong"}, status=401))

    with pytest.raises(RestError, match=r"key … with secret … is wrong") as failed:
        client().clock()

    text = "".join(traceback.format_exception(failed.value)) + repr(failed.value)
    assert KEY not in text
    assert SECRET not in text


def test_stop_ends_a_request_that_waits_for_its_answer(server: ScriptedServer, client: Client):
    server.replies(Reply(silent=True))
    rest = client(policy=PATIENT)

    assert_ends_it(rest.stop, rest, once=lambda: server.requests)


@pytest.mark.parametrize("dripping", Dripping)
def test_stop_ends_an_answer_that_drips(server: ScriptedServer, client: Client, dripping: Dripping):
    server.replies(Reply(dripping=dripping))
    rest = client(policy=PATIENT)

    assert_ends_it(rest.stop, rest, once=lambda: server.requests)


def test_stop_ends_the_pause_before_another_try(server: ScriptedServer, client: Client):
    server.replies(Reply(status=503))
    stopping = Stopping()
    rest = client(policy=PATIENT, stopping=stopping)

    assert_ends_it(rest.stop, rest, once=lambda: stopping.pausing)
    assert len(server.requests) == 1


def test_stop_ends_the_wait_for_the_pace(server: ScriptedServer, client: Client):
    stopping = Stopping()
    rest = client(rest_per_minute=1, stopping=stopping)
    rest.clock()

    assert_ends_it(rest.stop, rest, once=lambda: stopping.pausing)
    assert len(server.requests) == 1


def test_what_stops_its_owner_stops_the_pauses_too(server: ScriptedServer, client: Client):
    server.replies(Reply(status=503))
    stopping = Stopping()
    rest = client(policy=PATIENT, stopping=stopping)

    assert_ends_it(stopping.set, rest, once=lambda: stopping.pausing)


def test_after_stop_nothing_is_asked(server: ScriptedServer, client: Client):
    rest = client()
    rest.stop()
    rest.stop()

    with pytest.raises(RestStopped):
        rest.clock()

    assert server.requests == []


def assert_ends_it(stop: Callable[[], None], rest: AlpacaRest, *, once: Callable[[], Any]) -> None:
    """A thread that asks the clock, and would for long, ends when it is stopped, which is done `once` that holds."""
    ended: list[Exception] = []

    def ask() -> None:
        try:
            rest.clock()
        except RestStopped as stopped:
            ended.append(stopped)

    thread = threading.Thread(target=ask, name="live-test")
    thread.start()
    wait_until(once)
    stop()
    thread.join(AT_ONCE)
    assert [type(each) for each in ended] == [RestStopped]


def test_all_clients_of_an_account_keep_one_pace(server: ScriptedServer, client: Client):
    stopping = Stopping()
    first, second = client(rest_per_minute=3), client(rest_per_minute=3, stopping=stopping)

    first.clock()
    second.account()
    first.account()

    assert_ends_it(second.stop, second, once=lambda: stopping.pausing)
    assert len(server.requests) == 3


def test_paper_and_live_clients_share_the_pace_of_the_data_host_alone(server: ScriptedServer, client: Client):
    """Each account has a host of its own; the market's data is asked at one."""
    elsewhere = ScriptedServer()
    try:
        paper = client(rest_per_minute=2, base_url=elsewhere.url)
        live = client(rest_per_minute=2, stopping=(stopping := Stopping()))
        paper.latest_stock_trades(["AAPL"])
        live.latest_stock_trades(["AAPL"])
        paper.clock()

        assert_ends_it(live.stop, live, once=lambda: stopping.pausing)
        assert (len(server.requests), elsewhere.paths) == (2, ["/v2/clock"])
    finally:
        elsewhere.close()


def test_a_client_keeps_its_own_pace_when_it_shares_none(server: ScriptedServer, client: Client):
    client(rest_per_minute=1, limits=None).clock()
    client(rest_per_minute=1, limits=None).clock()

    assert len(server.requests) == 2


def test_every_try_counts(server: ScriptedServer, client: Client):
    server.replies(Reply(status=500))
    stopping = Stopping()
    rest = client(rest_per_minute=QUICK.attempts, stopping=stopping)

    with pytest.raises(RestError):
        rest.clock()

    assert_ends_it(rest.stop, rest, once=lambda: stopping.pausing)
    assert len(server.requests) == QUICK.attempts


def test_orders_are_followed_to_the_last_page_and_each_comes_once(server: ScriptedServer, client: Client):
    """Three a page, and three of one instant, which a page cuts apart."""
    at = [SINCE + timedelta(seconds=second) for second in (1, 2, 2, 2, 3, 3.0005, 4)]
    orders = [order(number, moment) for number, moment in enumerate(at)]

    def answer(request: Request) -> Reply:
        after = datetime.fromisoformat(request.query["after"])
        return Reply([each for each in orders if datetime.fromisoformat(each["submitted_at"]) > after][:3])

    server.answer = answer

    assert ids(client().orders(SINCE, SINCE + timedelta(hours=1))) == [each["id"] for each in orders]
    assert server.requests[0].query == {
        "status": "all",
        "nested": "true",
        "direction": "asc",
        "limit": "500",
        "until": "2026-03-20T15:30:00+00:00",
        "after": "2026-03-20T14:30:00+00:00",
    }


@pytest.mark.parametrize("rows_a_page", [1, 2, 100])
def test_activities_are_followed_from_the_last_one_known(
    server: ScriptedServer, client: Client, rows_a_page: int
):
    rows = [{"id": f"20260320{number:09d}::{ORDER_ID}"} for number in range(5)]

    def answer(request: Request) -> Reply:
        token = request.query.get("page_token", "")
        return Reply([each for each in rows if each["id"] > token][:rows_a_page])

    server.answer = answer

    assert ids(client().activities(["FILL", "OPASN"], SINCE)) == [each["id"] for each in rows]
    assert server.requests[0].query == {
        "activity_types": "FILL,OPASN",
        "after": "2026-03-20T14:30:00+00:00",
        "direction": "asc",
        "page_size": "100",
    }


def test_snapshots_and_contracts_are_followed_by_the_token(server: ScriptedServer, client: Client):
    def answer(request: Request) -> Reply:
        second = "page_token" in request.query
        return Reply(
            {
                "snapshots": {"B" if second else "A": {}},
                "option_contracts": [{"symbol": "B" if second else "A"}],
                "next_page_token": None if second else "next",
            }
        )

    server.answer = answer
    rest = client()

    assert rest.option_snapshots(["A", "B"], "opra") == {"A": {}, "B": {}}
    assert list(rest.option_contracts({})) == [[{"symbol": "A"}], [{"symbol": "B"}]]


@pytest.mark.parametrize(
    "ask",
    [
        lambda rest: rest.orders(SINCE),
        lambda rest: rest.activities(["FILL"], SINCE),
    ],
    ids=["orders", "activities"],
)
def test_a_server_that_repeats_its_page_ends_the_list(
    server: ScriptedServer, client: Client, ask: Callable[[AlpacaRest], Iterator[list[dict[str, Any]]]]
):
    server.replies(Reply([order(1, SINCE)]))

    assert ids(ask(client())) == ["order-1"]
    assert len(server.requests) <= 3


def test_a_list_without_end_is_said_to_be_one(server: ScriptedServer, client: Client):
    server.replies(Reply({"option_contracts": [], "next_page_token": "again"}))

    with pytest.raises(RestError, match="more than 100 pages"):
        list(client().option_contracts({}))

    assert len(server.requests) == PAGES_AT_MOST


@pytest.mark.parametrize(
    "ask", [lambda rest: rest.asset("NONE"), lambda rest: rest.option_contract("NONE260320C00180000")]
)
def test_what_alpaca_does_not_know_is_none_and_not_an_error(
    server: ScriptedServer, client: Client, ask: Callable[[AlpacaRest], Any]
):
    server.replies(Reply({"message": "asset not found"}, status=404), Reply(status=403))
    rest = client()

    assert ask(rest) is None
    with pytest.raises(RestError, match="HTTP 403"):
        ask(rest)


@pytest.mark.parametrize("body", [[], None, "text", 1, b""])
def test_an_answer_of_another_form_is_said_to_be_one(server: ScriptedServer, client: Client, body: Any):
    server.replies(Reply(body))

    with pytest.raises(RestError, match=r"another form|cannot be read"):
        client().account()


@pytest.mark.parametrize("body", [{}, None, "text"])
def test_a_list_of_another_form_is_said_to_be_one(server: ScriptedServer, client: Client, body: Any):
    server.replies(Reply(body))

    with pytest.raises(RestError, match="another form"):
        client().positions()


def test_rows_come_as_alpaca_wrote_them(
    server: ScriptedServer, client: Client, caplog: pytest.LogCaptureFixture
):
    """Unknown words and nulls are the reader's business; only what is no row at all is left out, and said."""
    rows = [{"symbol": "AAPL", "exchange": "MARS", "qty": None}, {"side": "sideways"}]
    server.replies(Reply([rows[0], None, rows[1]]))

    assert client().positions() == rows
    assert "1 rows" in caplog.text


@pytest.mark.parametrize(
    "body", [{"AAPL": {"latestQuote": None}}, {"snapshots": {"AAPL": {"latestQuote": None}}}]
)
def test_stock_snapshots_are_understood_with_and_without_their_wrapping(
    server: ScriptedServer, client: Client, body: Any
):
    server.replies(Reply(body))

    assert client().stock_snapshots(["AAPL"], "iex") == {"AAPL": {"latestQuote": None}}


def test_batches_keep_the_order_and_name_each_symbol_once():
    assert list(batches(["C", "A", "C", "B", "D"], 2)) == [["C", "A"], ["B", "D"]]
    assert list(batches([], 2)) == []
