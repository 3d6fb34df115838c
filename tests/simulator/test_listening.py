"""A server that ends while somebody connects keeps no socket that nobody closes."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection, serve

from options_helper.simulator.listening import stop_listening
from tests.kit.left_open import nothing_left_open
from tests.kit.waiting import AT_ONCE

TURNS = range(8)  # of the event loop, from the call to connect until the connection is there, and some more


@pytest.mark.parametrize("turns", TURNS)
def test_who_connects_while_a_server_ends_is_let_go(turns: int):
    """Each moment of it: in the system's queue, accepted, on the way to a connection, and there."""
    with socket.socket() as client:
        with nothing_left_open():
            asyncio.run(ending(client, turns))

        client.settimeout(AT_ONCE)
        with suppress(ConnectionResetError):
            while client.recv(1_024):
                pass


async def ending(client: socket.socket, turns: int) -> None:
    made: list[ServerConnection] = []

    def connection(*arguments: Any, **keywords: Any) -> ServerConnection:
        made.append(ServerConnection(*arguments, **keywords))
        return made[-1]

    server = await serve(
        ServerConnection.wait_closed, "127.0.0.1", 0, create_connection=cast("Any", connection)
    )
    client.connect(server.sockets[0].getsockname())
    for _ in range(turns):
        await asyncio.sleep(0)
    await stop_listening(server)
    for each in made:
        each.transport.abort()
