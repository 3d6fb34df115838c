"""Which of a name's addresses gets the connection."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from options_helper.data.tcp_socket import connect_socket


def addresses(monkeypatch: pytest.MonkeyPatch, *places: tuple[int, Any]) -> None:
    """From now on every name leads to these families and addresses."""

    def lookup(*_: Any, flags: int = 0, **__: Any) -> Any:
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in places]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def test_a_family_that_this_computer_lacks_does_not_keep_it_from_the_next(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        addresses(monkeypatch, (9_999, ("nowhere", 1)), (socket.AF_INET, listener.getsockname()))

        with asyncio.run(connect_socket("a-name", 1)) as found:
            assert found.getpeername() == listener.getsockname()


def test_families_take_turns_so_that_one_that_leads_nowhere_costs_one_wait(monkeypatch: pytest.MonkeyPatch):
    tried: list[Any] = []

    async def refuse(_: Any, __: Any, address: Any) -> None:
        tried.append(address)
        raise OSError("refused")

    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", refuse)
    six, four = socket.AF_INET6, socket.AF_INET
    addresses(monkeypatch, (six, "six"), (six, "six again"), (four, "four"), (four, "four again"))

    with pytest.raises(OSError, match="refused"):
        asyncio.run(connect_socket("a-name", 1))

    assert tried == ["six", "four", "six again", "four again"]


def test_a_name_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch):
    addresses(monkeypatch)

    with pytest.raises(OSError, match="a-name has no address"):
        asyncio.run(connect_socket("a-name", 1))
