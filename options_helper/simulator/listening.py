"""End a server's listening without losing hold of who has just connected."""

from __future__ import annotations

import asyncio
from typing import Final

from websockets.asyncio.server import Server

# An accepted socket becomes a connection in three turns of the event loop: a task begins, makes the transport, and the
# transport tells the connection.
_TURNS_TO_CONNECT: Final = 3


async def stop_listening(server: Server) -> None:
    """Accept nobody more, see everybody in who was accepted, and begin to close the server.

    asyncio makes no transport for a server that is closed, and forgets a socket that it had accepted by then
    (python/cpython#109564): neither side would hear of it, until the garbage collector comes across the socket.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(_TURNS_TO_CONNECT):
        await asyncio.sleep(0)
    server.close()
