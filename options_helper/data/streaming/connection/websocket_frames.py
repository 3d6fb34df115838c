"""Take whole messages out of a websocket's bytes in one pass, and leave everything else to the library.

The SDK's websocket library reads each frame in a chain of coroutines, which costs several times what decoding a quote
does. A server's data frame is a length and that many bytes, so it is cut out here, as RFC 6455 §5.2 lays it out;
pings, pongs, closes and whatever breaks the protocol reach the library as they came, and it answers them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_FINAL: Final = 0x80
_RESERVED: Final = 0x70
_CONTINUATION, _TEXT, _BINARY = 0x0, 0x1, 0x2
_FIRST_CONTROL: Final = 0x8
_MAX_FRAGMENTS: Final = 4_096
_UNFINISHED_FRAGMENT: Final = b"\x02\x00"
_WHOLE: Final = (_FINAL | _BINARY, _FINAL | _TEXT)


class MessageReader:
    """Hands each data message to `on_message` and the bytes of every other frame to `pass_on`, in order.

    Text comes as its bytes. A message above `max_bytes`, like a frame that no server may send, goes to the library
    with all that follows: it ends the connection for the right reason.
    """

    def __init__(
        self, on_message: Callable[[bytes], None], pass_on: Callable[[bytes], None], max_bytes: int
    ) -> None:
        self._on_message = on_message
        self._pass_on = pass_on
        self._max_bytes = max_bytes
        self._chunks: list[bytes] = []
        self._have = 0
        self._needed = 2  # bytes until there is anything to do
        self._fragments: list[bytes] | None = None
        self._fragment_bytes = 0
        self._given_up = False

    def feed(self, data: bytes) -> None:
        """Read what just arrived."""
        if self._given_up:
            self._pass_on(data)
            return
        self._chunks.append(data)
        self._have += len(data)
        # A long message arrives in many pieces: joining them only when it is complete keeps that linear.
        if self._have < self._needed:
            return
        buffer = data if len(self._chunks) == 1 else b"".join(self._chunks)
        rest = buffer[self._read(buffer) :]
        self._chunks = [rest] if rest else []
        self._have = len(rest)

    def _read(self, buffer: bytes) -> int:
        """Read every complete frame; where the rest begins."""
        start, end = 0, len(buffer)
        while end - start >= 2:
            first, size, body = buffer[start], buffer[start + 1], start + 2
            if size in (126, 127):
                body += 2 if size == 126 else 8
                size = int.from_bytes(buffer[start + 2 : body], "big") if body <= end else 0
            elif size > 127:
                return self._give_up(buffer, start)  # masked, as only a client's frames are
            if size > self._max_bytes:
                return self._give_up(buffer, start)
            stop = body + size
            if stop > end:
                self._needed = stop - start
                return start
            if first in _WHOLE and self._fragments is None:
                self._on_message(buffer[body:stop])
            elif not self._allowed(first):
                return self._give_up(buffer, start)
            elif first & 0x0F >= _FIRST_CONTROL:
                self._pass_on(buffer[start:stop])
            elif not self._add_fragment(first, buffer[body:stop]):
                return self._give_up(buffer, start)
            start = stop
        self._needed = 2
        return start

    def _give_up(self, buffer: bytes, start: int) -> int:
        self._given_up = True
        if self._fragments is not None:
            # The library has to know that a message is open, or it takes what follows for a good one.
            self._pass_on(_UNFINISHED_FRAGMENT)
        self._pass_on(buffer[start:])
        return len(buffer)

    def _allowed(self, first: int) -> bool:
        opcode = first & 0x0F
        if first & _RESERVED:
            return False
        if opcode >= _FIRST_CONTROL:
            return True
        if opcode not in (_CONTINUATION, _TEXT, _BINARY):
            return False
        return (opcode == _CONTINUATION) == (self._fragments is not None)

    def _add_fragment(self, first: int, payload: bytes) -> bool:
        if self._fragments is None:
            self._fragments, self._fragment_bytes = [], 0
        self._fragments.append(payload)
        self._fragment_bytes += len(payload)
        if self._fragment_bytes > self._max_bytes or len(self._fragments) > _MAX_FRAGMENTS:
            return False
        if first & _FINAL:
            message = b"".join(self._fragments)
            self._fragments = None
            self._on_message(message)
        return True
