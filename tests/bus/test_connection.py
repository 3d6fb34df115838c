"""One connection to a server: whatever the client does under it, nobody waits for ever."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.connection import CONNECT_SECONDS, BusConnection
from options_helper.errors import StreamError
from tests.kit.bus import nats_server
from tests.kit.waiting import AT_ONCE


def test_a_client_that_is_cut_while_it_begins_to_write_holds_nobody_up():
    """The client's writer may be ended with what it was asked for; nobody else answers that."""

    async def settle() -> float:
        bus = BusConnection(server.address)
        await bus.open("a test")
        client = bus._open_client  # noqa: SLF001 - the moment between two of its steps
        assert client._flusher_task is not None  # noqa: SLF001
        client._flusher_task.cancel()  # noqa: SLF001
        client._flusher_task = asyncio.create_task(asyncio.sleep(AT_ONCE))  # noqa: SLF001 - alive, and deaf
        began = time.monotonic()
        await bus.settle()
        await bus.close()
        return time.monotonic() - began

    with nats_server() as server:
        assert asyncio.run(asyncio.wait_for(settle(), AT_ONCE)) < AT_ONCE / 2
    assert CONNECT_SECONDS < AT_ONCE / 2


@pytest.mark.parametrize(
    "greeting",
    [
        pytest.param(b"x" * 200_000, id="a line without an end"),
        pytest.param(b"INFO []\r\n", id="no object"),
        pytest.param(b"INFO {}\r\n-ERR \xff\r\n", id="no text"),
    ],
)
def test_what_greets_as_no_bus_does_is_told_as_one_that_is_away(greeting):
    """The client stumbles over each in another way, and whoever keeps a lease must outlive it."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(greeting)
            await reader.read()  # until the client leaves
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        gone.set()

    async def story() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        bus = BusConnection(BusAddress.parse(f"nats://127.0.0.1:{port}", "desk"))
        with pytest.raises(StreamError, match="does not speak as a bus does"):
            await bus.open("a test")
        await bus.close()
        await gone.wait()
        server.close()
        await server.wait_closed()

    gone = asyncio.Event()
    asyncio.run(asyncio.wait_for(story(), AT_ONCE))
