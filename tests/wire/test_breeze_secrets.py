"""Servers that repeat what they were told, or point elsewhere: nothing secret is shown, and nothing is followed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import pytest
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from options_helper.data.breeze.account import Access, BreezeAccount
from options_helper.data.breeze.master import Instrument
from options_helper.data.streaming.breeze.connection import BreezeConnection
from options_helper.errors import StreamError
from options_helper.settings import BreezeSettings
from options_helper.simulator.breeze.server import BreezeServer
from tests.kit.breeze import INDIAN_NOON, PATIENT, settings_of
from tests.kit.scripted_server import Reply, ScriptedServer

ACCESS = Access("AUSER", SecretStr("ThatKeyOfToday"))
SECRETS = ("AUSER", "ThatKeyOfToday", "AnAppKey", "ASecret", "ASession")
OPENED = '0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'
Handler = Callable[[ServerConnection], Awaitable[None]]


async def refuse(connection: ServerConnection) -> None:
    """With all that it was told at the end of a long sentence."""
    await connection.send(OPENED)
    told = str(await connection.recv())
    await connection.send(
        "44" + json.dumps({"message": "x" * 150 + f" unknown: {told} AnAppKey ASecret ASession"})
    )
    await connection.wait_closed()


async def close_on(connection: ServerConnection) -> None:
    await connection.send(OPENED)
    told = json.loads(str(await connection.recv())[2:])
    await connection.close(4_001, f"unknown {told['user']} {told['token']} ASession")


async def close_later(connection: ServerConnection) -> None:
    await connection.send(OPENED)
    told = json.loads(str(await connection.recv())[2:])
    await connection.send('40{"sid":"y"}')
    await connection.close(4_001, f"unknown {told['user']} {told['token']} ASession")


def sentence_of(
    handler: Handler, look: Callable[[ServerConnection, Request], Response | None] | None = None
) -> str:
    async def main() -> str:
        async with serve(handler, "127.0.0.1", 0, process_request=look) as server:
            port = server.sockets[0].getsockname()[1]
            settings = BreezeSettings.load(
                {
                    "BREEZE_ENABLED": "yes",
                    "BREEZE_API_KEY": "AnAppKey",
                    "BREEZE_API_SECRET": "ASecret",
                    "BREEZE_SESSION": "ASession",
                    "BREEZE_STREAM_URL": f"ws://127.0.0.1:{port}",
                }
            )
            connection = BreezeConnection(settings, ACCESS, PATIENT, lambda _: None)
            try:
                await connection.open()
                await connection.ended()
                raise connection.loss()
            except StreamError as error:
                return str(error)
            finally:
                await connection.close()

    return asyncio.run(main())


@pytest.mark.parametrize("handler", [refuse, close_on, close_later])
def test_no_secret_is_in_what_a_stream_s_server_says(handler: Handler):
    said = sentence_of(handler)

    assert "unknown" in said
    assert not any(secret in said or secret[:8] in said for secret in SECRETS)


def test_a_stream_that_points_elsewhere_is_not_followed():
    asked: list[str] = []

    def look(connection: ServerConnection, request: Request) -> Response:
        asked.append(request.path)
        response = connection.respond(HTTPStatus.FOUND, "")
        response.headers["Location"] = "/elsewhere"
        return response

    assert "Keys are never sent to where it points" in sentence_of(refuse, look)
    assert len(asked) == 1


@pytest.fixture
def elsewhere() -> Iterator[ScriptedServer]:
    """Another host: whoever asks here has followed."""
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def pointing(elsewhere: ScriptedServer) -> Iterator[ScriptedServer]:
    """Where Breeze should be, and is not any more."""
    server = ScriptedServer()
    there = elsewhere.url.replace("127.0.0.1", "localhost")
    server.answer = lambda asked: Reply(status=302, headers={"Location": f"{there}{asked.path}"})
    yield server
    server.close()


def settings_at(server: ScriptedServer) -> BreezeSettings:
    return BreezeSettings.load(
        {
            "BREEZE_ENABLED": "yes",
            "BREEZE_API_KEY": "AnAppKey",
            "BREEZE_API_SECRET": "ASecret",
            "BREEZE_SESSION": "ASession",
            "BREEZE_REST_URL": f"{server.url}/breezeapi/api/v1",
            "BREEZE_MASTER_URL": f"{server.url}/SecurityMaster.zip",
            "BREEZE_STREAM_URL": server.url.replace("http", "ws"),
        }
    )


@pytest.mark.parametrize(
    "ask",
    [
        lambda account: account.log_in(),
        lambda account: account.master(),
        lambda account: account.last_price(ACCESS, Instrument("NSE", "1", "X")),
    ],
    ids=["log_in", "master", "last_price"],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_host_hears_nothing_of_a_question_that_is_pointed_there(
    pointing: ScriptedServer, elsewhere: ScriptedServer, ask: Callable[[BreezeAccount], object], status: int
):
    pointing.answer = lambda asked: Reply(status=status, headers={"Location": f"{elsewhere.url}{asked.path}"})
    account = BreezeAccount(settings_at(pointing))
    try:
        with pytest.raises(StreamError, match="points to another address"):
            ask(account)
    finally:
        account.close()

    assert (len(pointing.requests), elsewhere.requests) == (1, [])


def test_another_host_hears_nothing_of_a_stream_that_is_pointed_there(
    pointing: ScriptedServer, elsewhere: ScriptedServer
):
    async def main() -> None:
        connection = BreezeConnection(settings_at(pointing), ACCESS, PATIENT, lambda _: None)
        try:
            with pytest.raises(StreamError, match="Keys are never sent to where it points"):
                await connection.open()
        finally:
            await connection.close()

    asyncio.run(main())

    assert (len(pointing.requests), elsewhere.requests) == (1, [])


class Repeating(BreezeServer):
    """Refuses with all that it was told."""

    def answer(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str], raw: str
    ) -> tuple[int, bytes]:
        said = f"unknown {headers['X-SessionToken']} AUSER ThatKeyOfToday {headers['X-AppKey']}"
        return HTTPStatus.UNAUTHORIZED, json.dumps({"Success": None, "Error": said}).encode()


def test_no_secret_is_in_what_is_answered_over_http():
    with Repeating(now_ns=lambda: INDIAN_NOON) as server:
        account = BreezeAccount(settings_of(server))
        with pytest.raises(StreamError) as refused:
            account.last_price(ACCESS, Instrument("NSE", "1", "X"))
        account.close()

    assert "unknown … … … …" in str(refused.value)
