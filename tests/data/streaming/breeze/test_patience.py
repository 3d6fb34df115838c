"""How long a server's pings are waited for, on a loop whose time the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from pydantic import SecretStr

from options_helper.data.breeze.account import Access
from options_helper.data.streaming.breeze.connection import BreezeConnection
from options_helper.settings import BreezeSettings
from tests.kit.breeze import PATIENT


class MovedLoop(asyncio.SelectorEventLoop):
    """Its time jumps when it is told to."""

    ahead = 0.0

    def time(self) -> float:
        """As the loop counts, and what it was moved by."""
        return super().time() + self.ahead


WELCOME = (b'0{"pingInterval":25000,"pingTimeout":20000}', b'40{"sid":"y"}')


class Pinging:
    """Lets 30 s pass before each packet behind the welcome; the server promised a ping within 45."""

    def __init__(self, loop: MovedLoop, packets: Iterable[bytes]) -> None:
        self._loop = loop
        self._packets = iter((*WELCOME, *packets))

    async def recv(self, *, decode: bool) -> bytes:
        """The next one."""
        assert not decode
        packet = next(self._packets)
        if packet not in WELCOME:
            self._loop.ahead += 30.0
            for _ in range(3):
                await asyncio.sleep(0)
        return packet

    async def send(self, _: str) -> None:
        """Nobody reads it."""


class Stubbed(BreezeConnection):
    """On such a server, without a socket."""

    stub: Pinging

    async def _connect(self) -> Any:
        return self.stub


def loss_of(*packets: bytes) -> str:
    loop = MovedLoop()
    connection = Stubbed(BreezeSettings.load({}), Access("A", SecretStr("b")), PATIENT, lambda _: None)
    connection.stub = Pinging(loop, packets)
    try:
        loop.run_until_complete(connection.open())
        loop.run_until_complete(connection.ended())
    finally:
        loop.close()
    return str(connection.loss())


def test_each_ping_is_good_for_as_long_again():
    assert "Breeze ended it" in loss_of(b"2", b"2", b"2", b"41")


def test_a_tick_is_no_ping():
    assert "no ping came for 45 s" in loss_of(b"6", b"6", b"41")
