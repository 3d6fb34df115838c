"""One connection to a server: whatever the client does under it, nobody waits for ever."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.connection import CONNECT_SECONDS, KEPT_SPELLINGS, BusConnection
from options_helper.errors import StreamError
from tests.kit.bus import NatsServer, both_servers, nats_server
from tests.kit.secured import secured_bus
from tests.kit.serving import Relay
from tests.kit.waiting import AT_ONCE

GREETING = b'INFO {"version": "2.15.0", "max_payload": 1048576}\r\n'


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


def test_a_connection_remembers_no_more_of_what_it_was_asked_however_long_it_lasts():
    """A recorder of a quiet stream asks with a name of its own every few seconds, for weeks."""

    async def ask() -> list[str]:
        bus = BusConnection(BusAddress("nats://127.0.0.1:4222"))
        for number in range(3 * KEPT_SPELLINGS):
            for subject in ("Often", f"Once.{number}"):
                with suppress(StreamError):
                    await bus.ask(subject)
        return list(vars(bus)["_spelling"].values())

    kept = asyncio.run(ask())
    assert len(kept) == KEPT_SPELLINGS
    assert {"Often", f"Once.{3 * KEPT_SPELLINGS - 1}"} <= set(kept)


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
        # Whoever could not open it need not close it.
        await gone.wait()
        server.close()
        await server.wait_closed()

    gone = asyncio.Event()
    asyncio.run(asyncio.wait_for(story(), AT_ONCE))


def test_a_connection_that_is_reset_while_something_waits_to_be_sent_is_told_as_ended():
    """The client's own end begins with what waits, stumbles over it, and tells nobody."""

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        while await reader.readline() != b"PING\r\n":
            pass
        writer.write(b"PONG\r\n")
        await something_waits.wait()
        lingering = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
        writer.transport.abort()

    async def story() -> str:
        async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            bus = BusConnection(BusAddress.parse(f"nats://127.0.0.1:{port}", "desk"))
            await bus.open("a test")
            client = bus._open_client  # noqa: SLF001 - the moment between two of its steps
            client._pending.append(b"PING\r\n")  # noqa: SLF001
            client._pending_data_size += 6  # noqa: SLF001
            something_waits.set()
            return await bus.ended

    something_waits = asyncio.Event()
    assert "reset" in asyncio.run(asyncio.wait_for(story(), AT_ONCE)).lower()


def test_a_loop_that_ends_leaves_no_socket_open():
    """Nobody closed it, and there is more to send than the other side takes."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        bus = BusConnection(BusAddress.parse(f"nats://127.0.0.1:{listener.getsockname()[1]}", "desk"))
        opening = asyncio.create_task(bus.open("a test"))
        server, _ = await loop.sock_accept(listener)
        open_until_the_end.enter_context(server)
        await loop.sock_sendall(server, GREETING)
        said = b""
        while b"PING" not in said:
            said += await loop.sock_recv(server, 65_536)
        await loop.sock_sendall(server, b"PONG\r\n")
        await opening
        transport = bus._open_client._transport  # noqa: SLF001
        assert transport is not None
        transport.write(b"x" * 32_000_000)

    # The fixture that looks at each loop that is closed has the claim.
    with ExitStack() as open_until_the_end, socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)  # for the loop
        asyncio.run(asyncio.wait_for(story(), AT_ONCE))


def test_a_server_that_does_not_answer_the_goodbye_of_tls_leaves_no_socket_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The same fixture has the claim."""
    monkeypatch.setattr("options_helper.bus.connection.ANSWER_SECONDS", 0.05)

    async def story() -> None:
        bus = BusConnection(replace(secured.user("laptop").address, url=f"tls://127.0.0.1:{relay.port}"))
        await bus.open("a test")
        relay.mute()
        await bus.close()
        assert bus.ended.result() == "closed"

    with secured_bus(tmp_path) as secured, Relay(secured.server.port) as relay:
        asyncio.run(asyncio.wait_for(story(), AT_ONCE))


@both_servers
def test_what_finds_no_room_here_ends_the_connection_so_that_nothing_is_left_out_unseen(
    binary, monkeypatch: pytest.MonkeyPatch
):
    """The client drops what is new, and whoever follows could not tell that from silence."""
    monkeypatch.setattr("options_helper.bus.connection.PENDING_MESSAGES", 3)

    async def story(server: NatsServer, relay: Relay) -> tuple[list[int], str]:
        speaker, listener = BusConnection(server.address), BusConnection(relay.address)
        heard: list[int] = []
        for one in (speaker, listener):
            await one.open("a test")
        await listener.subscribe("said", lambda _, data, __: heard.append(int(data)))
        relay.mute()
        for number in range(200):
            await speaker.send("said", str(number).encode())
        await speaker.settle()
        relay.unmute()
        why = await listener.ended
        await speaker.close()
        return heard, why

    with nats_server(binary) as server, Relay(server.port) as relay:
        heard, why = asyncio.run(asyncio.wait_for(story(server, relay), AT_ONCE))
    assert len(heard) < 200
    assert "could not be taken" in why
