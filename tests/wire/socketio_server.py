"""python-socketio's own server in a process of its own, told by lines what to do: it vouches for our client."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from typing import Any

import socketio
import uvicorn


def say(**said: Any) -> None:
    """One line for the test that waits."""
    sys.stdout.write(f"{json.dumps(said)}\n")
    sys.stdout.flush()


class Breeze(socketio.AsyncNamespace):  # type: ignore[misc]
    """As much of Breeze as a stream is: one user is let in, and joins and leaves rooms."""

    def __init__(self, user: str, token: str) -> None:
        super().__init__("/")
        self._accepts = {"user": user, "token": token}
        self._clients: set[str] = set()

    async def on_connect(self, sid: str, _environ: dict[str, Any], auth: Any) -> None:
        """Let in whoever has the key."""
        if auth != self._accepts:
            raise socketio.exceptions.ConnectionRefusedError("Authentication failed")
        self._clients.add(sid)

    async def on_disconnect(self, sid: str, *_reason: Any) -> None:
        """Forget it."""
        self._clients.discard(sid)

    async def on_join(self, sid: str, tokens: list[str]) -> None:
        """A room for each number."""
        for token in tokens:
            await self.enter_room(sid, token)
        say(joined=tokens)

    async def on_leave(self, sid: str, tokens: list[str]) -> None:
        """Out of the rooms."""
        for token in tokens:
            await self.leave_room(sid, token)
        say(left=tokens)

    async def obey(self, line: str) -> None:
        """`tick 300 4.2!2885` sends so many books to a room; `dismiss` ends the namespace of every client."""
        command, *arguments = line.split()
        if command == "dismiss":
            for sid in tuple(self._clients):
                await self.disconnect(sid)
            return
        count, token = arguments
        for number in range(1, int(count) + 1):
            rows = [[number, 1, 1, "", number + 1, 1, 1, ""]]
            await self.emit("stock", [token, number, rows], room=token)


async def serve(breeze: Breeze) -> None:
    """Serve until stdin ends."""
    server = socketio.AsyncServer(async_mode="asgi", ping_interval=0.2, ping_timeout=60)
    server.register_namespace(breeze)
    listening = socket.create_server(("127.0.0.1", 0))
    web = uvicorn.Server(
        uvicorn.Config(socketio.ASGIApp(server), ws="wsproto", log_level="error", lifespan="off")
    )
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for line in sys.stdin:
            asyncio.run_coroutine_threadsafe(breeze.obey(line), loop).result()
        web.should_exit = True

    threading.Thread(target=listen, daemon=True).start()
    say(port=listening.getsockname()[1])
    await web.serve(sockets=[listening])


if __name__ == "__main__":
    asyncio.run(serve(Breeze(*sys.argv[1:])))
