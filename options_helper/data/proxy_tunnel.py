"""A socket through the proxy that the environment names, as REST takes it: the SDK's websocket library knows none."""

from __future__ import annotations

import asyncio
import base64
import socket
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from options_helper.data.network import UNREADABLE_ADDRESS, Proxy
from options_helper.data.tcp_socket import connect_socket
from options_helper.errors import StreamError

_LONGEST_ANSWER: Final = 16_384  # bytes
_WITHOUT: Final = "Where the host can be reached without a proxy, name it in NO_PROXY."


async def open_tunnel(proxy: Proxy, host: str, port: int) -> socket.socket:
    """A connected socket that leads to host and port; StreamError with the remedy, none of it naming a password.

    Whoever gets it closes it; what is cancelled leaves none open.
    """
    parts = _address(proxy)
    sock = await _connected(parts)
    try:
        await asyncio.get_running_loop().sock_sendall(sock, _request(parts, host, port))
        status = _status(await _answer(sock))
    except OSError as error:
        sock.close()
        raise StreamError(
            f"The proxy {proxy.shown}, which {proxy.variable} names, broke off on the way to {host}. {_WITHOUT}"
        ) from error
    except BaseException:
        sock.close()
        raise
    if status == 200:
        return sock
    sock.close()
    raise _refused(proxy, host, status)


def _address(proxy: Proxy) -> SplitResult:
    if proxy.shown == UNREADABLE_ADDRESS:
        # What Python says of it would show a part of the password.
        raise StreamError(
            f"The proxy that {proxy.variable} names has an address that cannot be read. Write it as "
            "http://NAME:PASSWORD@HOST:PORT; in name and password write / as %2F, # as %23, ? as %3F and @ as %40. "
            f"{_WITHOUT}"
        )
    text = proxy.address.get_secret_value()
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http" or not parts.hostname:
        raise StreamError(
            f"Streams go through proxies that begin with http:// alone, and {proxy.variable} names {proxy.shown}. "
            f"Name such a one in HTTPS_PROXY. {_WITHOUT}"
        )
    return parts


async def _connected(parts: SplitResult) -> socket.socket:
    port = parts.port or 80
    try:
        return await connect_socket(parts.hostname or "", port)
    except OSError as error:
        raise StreamError(
            f"The proxy {parts.hostname}:{port}, through which the streams go as REST does, cannot be reached "
            f"({error}). Check HTTPS_PROXY or ALL_PROXY. {_WITHOUT}"
        ) from error


def _request(parts: SplitResult, host: str, port: int) -> bytes:
    place = f"{f'[{host}]' if ':' in host else host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    return "\r\n".join((*lines, "", "")).encode()


async def _answer(sock: socket.socket) -> bytes:
    """The head of the answer; what lies behind it speaks only when it is spoken to."""
    loop = asyncio.get_running_loop()
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await loop.sock_recv(sock, 1_024)
        head += piece
        if not piece or len(head) > _LONGEST_ANSWER:
            raise OSError("the proxy's answer has no end")
    return head


def _status(head: bytes) -> int:
    words = head.split(b"\r\n", 1)[0].split()
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _refused(proxy: Proxy, host: str, status: int) -> StreamError:
    if status == 407:
        return StreamError(
            f"The proxy {proxy.shown} wants to know who asks (407). Write its name and password into "
            f"{proxy.variable}, as in http://NAME:PASSWORD@{proxy.shown}."
        )
    return StreamError(
        f"The proxy {proxy.shown}, which {proxy.variable} names, does not lead to {host} (HTTP {status}). {_WITHOUT}"
    )
