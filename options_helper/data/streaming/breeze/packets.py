"""Engine.IO 4 and Socket.IO 5 over one websocket, as far as Breeze needs them; knows no socket.

Each websocket message is one packet: a digit of Engine.IO, and behind its 4 a digit of Socket.IO (socket.io's own
engine.io-protocol and socket.io-protocol). Breeze uses the main namespace, sends text alone and asks for no
acknowledgement, so what else the two protocols have is passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from options_helper.decoders import json_decoder

# Where a Socket.IO server listens, and how: over a websocket from the beginning, with the fourth Engine.IO.
SOCKET_PATH: Final = "/socket.io/?EIO=4&transport=websocket"
PONG: Final = "3"
GOODBYE: Final = "41"
# Everything that Breeze has to say is an event of the main namespace, and of those one kind is asked for.
_TICK: Final = b'42["stock",'
# An event of another kind: of the account's orders, or one that ICICI has thought of since.
_ANOTHER_EVENT: Final = re.compile(rb'42\[\s*"(?!stock")[^"]*"')
# An answer to a ping of ours, an upgrade of the transport, a filler; and the answer to an event, which we want of none.
_UNUSED: Final = (b"3", b"5", b"6", b"43")


@dataclass(frozen=True, slots=True)
class Opened:
    """The server's first packet: how often it pings, and how long it waits for an answer, in seconds."""

    ping_interval: float
    ping_timeout: float


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The namespace is connected: user and key were accepted."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The namespace was not connected; the server's own words, on one line, which may repeat what it was told."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pinged:
    """The server wants to hear that we are there."""


@dataclass(frozen=True, slots=True)
class Dismissed:
    """The server ended the connection or the namespace: nothing more will come."""


@dataclass(frozen=True, slots=True)
class Data:
    """A tick, or what is no packet at all: whoever reads the content finds out."""


@dataclass(frozen=True, slots=True)
class Unused:
    """A packet that has no meaning here."""


Packet = Opened | Welcomed | Refused | Pinged | Dismissed | Data | Unused


def read_packet(message: bytes) -> Packet:
    """What a websocket message says; never raises."""
    if message.startswith(_TICK):  # nearly all of them
        return Data()
    if message.startswith(b"0"):
        return _opened(message[1:])
    if message.startswith(b"44"):
        return Refused(_reason(message[2:]))
    if message.startswith(_UNUSED) or _ANOTHER_EVENT.match(message):
        return Unused()
    return _BY_HEAD.get(message[:2], _BY_HEAD.get(message[:1], Data()))


_BY_HEAD: Final[dict[bytes, Packet]] = {
    b"1": Dismissed(),
    b"2": Pinged(),
    b"40": Welcomed(),
    b"41": Dismissed(),
}


class _Head(msgspec.Struct):
    pingInterval: float  # noqa: N815 - the protocol's names; milliseconds
    pingTimeout: float  # noqa: N815


_HEADS: Final = json_decoder(_Head)


def _opened(content: bytes) -> Packet:
    try:
        head = _HEADS.decode(content)
    except msgspec.MsgspecError:
        return Data()
    return Opened(head.pingInterval / 1_000, head.pingTimeout / 1_000)


def _reason(content: bytes) -> str:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        said = content.decode(errors="replace")
    message = said.get("message", "") if isinstance(said, dict) else said
    return " ".join(str(message).split()).rstrip(" .")


def enter(user: str, key: str) -> str:
    """Connect the main namespace as that user; the text holds the key, so it is sent and never logged."""
    return "40" + _compact({"user": user, "token": key})


def join(tokens: Sequence[str]) -> str:
    """Ask for these; the server answers nothing."""
    return "42" + _compact(["join", list(tokens)])


def leave(tokens: Sequence[str]) -> str:
    """Ask for these no longer; the server answers nothing."""
    return "42" + _compact(["leave", list(tokens)])


def _compact(content: Any) -> str:
    return json.dumps(content, separators=(",", ":"))
