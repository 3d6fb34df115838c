"""One connection to a server: whatever the client does under it, nobody waits for ever."""

from __future__ import annotations

import asyncio
import time

from options_helper.bus.connection import CONNECT_SECONDS, BusConnection
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
