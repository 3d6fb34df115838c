"""A socket connected to the first of a name's addresses that takes it; whatever ends the wait, no other stays open.

asyncio's own race of addresses forgets the socket that has won where it is cancelled before it has told of it, which
takes several turns of the loop; so the SDK and the websocket library get theirs from here.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import zip_longest
from typing import Any, Final

# What an address has for itself before the next one is tried too; RFC 8305 names this length.
NEXT_ADDRESS_SECONDS: Final = 0.25

# As `getaddrinfo` has it: family, kind, protocol, name, address.
_Place = tuple[Any, ...]


async def connect_socket(host: str, port: int) -> socket.socket:
    """Try the addresses side by side; OSError where none takes it. Whoever gets the socket closes it."""
    places = _alternating(await _places(host, port))
    problem = OSError(f"{host} has no address")
    # The sockets that have connected: an attempt that is over has either put its own here, or closed it.
    connected: list[socket.socket] = []
    waiting: set[asyncio.Task[OSError | None]] = set()
    try:
        while places or waiting:
            if places:
                waiting.add(asyncio.create_task(_try(places.pop(0), connected)))
            done, waiting = await asyncio.wait(
                waiting,
                timeout=NEXT_ADDRESS_SECONDS if places else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                problem = attempt.result() or problem
            if connected:
                return connected.pop(0)
    finally:
        for attempt in waiting:
            attempt.cancel()
        for other in connected:
            other.close()
    raise problem


async def _places(host: str, port: int) -> list[_Place]:
    try:
        # Where there is nothing to look up, no thread is begun for it.
        return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)]
    except socket.gaierror:
        return [*await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _alternating(places: list[_Place]) -> list[_Place]:
    """The families in turn: where one of them leads nowhere, it holds up the other only once."""
    families: dict[int, list[_Place]] = {}
    for place in places:
        families.setdefault(place[0], []).append(place)
    return [place for row in zip_longest(*families.values()) for place in row if place is not None]


async def _try(place: _Place, connected: list[socket.socket]) -> OSError | None:
    """Why this address does not take it; None where it did."""
    family, kind, protocol, _, address = place
    try:
        # Made here, because a computer may lack the whole family.
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        return error
    try:
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
        await asyncio.get_running_loop().sock_connect(sock, address)
    except OSError as error:
        sock.close()
        return error
    except BaseException:
        sock.close()
        raise
    connected.append(sock)
    return None
