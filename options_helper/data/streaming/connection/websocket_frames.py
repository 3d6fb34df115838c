"""Take whole messages out of a websocket's bytes in one pass, and leave everything else to the library.

The SDK's websocket library reads each frame in a chain of coroutines, which costs several times what decoding a quote
does. A server's data frame is a length and that many bytes, so it is cut out here, as RFC 6455 §5.2 lays it out;
pings, pongs, closes and whatever breaks the protocol reach the library as they came, and it answers them. Where the
handshake agreed on compression (RFC 7692), messages are inflated here, too: the library would read them frame by frame.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final

_FINAL: Final = 0x80
_RESERVED: Final = 0x70
_COMPRESSED: Final = 0x40
_CONTINUATION, _TEXT, _BINARY = 0x0, 0x1, 0x2
_FIRST_CONTROL: Final = 0x8
_MAX_FRAGMENTS: Final = 4_096
_UNFINISHED_FRAGMENT: Final = b"\x02\x00"
_WHOLE: Final = (_FINAL | _BINARY, _FINAL | _TEXT)
# What a sender cuts off the end of each message (RFC 7692 §7.2.1).
_TAIL: Final = b"\x00\x00\xff\xff"
# Behind a final block: that alone, or with the byte that makes room for it (§7.2.3.4).
_NOTHING_MORE: Final = (_TAIL, b"\x00" + _TAIL)
_BAD_DATA, _TOO_BIG = 1007, 1009  # codes of a close, RFC 6455 §7.4.1


class InflateError(Exception):
    """A compressed message brought nothing; `code` is what the connection is closed with."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


class Inflater:
    """Inflates a connection's messages in their order, each to `max_bytes` at most.

    One window for all of them, which also reads the messages of a server that begins each with an empty one.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._window = zlib.decompressobj(-zlib.MAX_WBITS)

    def inflate(self, payload: bytes) -> bytes:
        """The message; InflateError for one that is too long or no compressed message, after which none can be read."""
        try:
            message = self._window.decompress(payload + _TAIL, self._max_bytes)
        except zlib.error as error:
            raise InflateError("a compressed message cannot be read", _BAD_DATA) from error
        if self._window.unconsumed_tail:
            raise InflateError(f"a message is longer than {self._max_bytes} bytes when inflated", _TOO_BIG)
        if self._window.eof:
            if self._window.unused_data not in _NOTHING_MORE:
                raise InflateError("a compressed message goes on behind its end", _BAD_DATA)
            # A sender may end its stream with a message; the next one begins another.
            self._window = zlib.decompressobj(-zlib.MAX_WBITS)
        return message


class MessageReader:
    """Hands each data message to `on_message` and the bytes of every other frame to `pass_on`, in order.

    Text comes as its bytes. A message above `max_bytes`, like a frame that no server may send, goes to the library
    with all that follows: it ends the connection for the right reason. A compressed message may come where `inflate`
    is given; one that cannot be inflated goes to `on_failure`, and nothing that follows is read.
    """

    def __init__(
        self,
        on_message: Callable[[bytes], None],
        pass_on: Callable[[bytes], None],
        max_bytes: int,
        *,
        inflate: Callable[[bytes], bytes] | None = None,
        on_failure: Callable[[InflateError], None] = lambda _: None,
    ) -> None:
        self._on_message = on_message
        self._pass_on = pass_on
        self._max_bytes = max_bytes
        self._inflate = inflate
        self._on_failure = on_failure
        self._is_compressed = False  # the message whose fragments are being gathered
        self._chunks: list[bytes] = []
        self._have = 0
        self._needed = 2  # bytes until there is anything to do
        self._fragments: list[bytes] | None = None
        self._fragment_bytes = 0
        self._given_up = False

    def feed(self, data: bytes) -> None:
        """Read what just arrived."""
        try:
            self._feed(data)
        except InflateError as error:
            # The library goes on behind the broken message, so that it hears the answer to its close.
            self._given_up, self._fragments, self._chunks = True, None, []
            self._on_failure(error)

    def _feed(self, data: bytes) -> None:
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
        if reserved := first & _RESERVED:
            # Only the first frame of a message says that it is compressed.
            begins = opcode in (_TEXT, _BINARY) and self._fragments is None
            return reserved == _COMPRESSED and begins and self._inflate is not None
        if opcode >= _FIRST_CONTROL:
            return True
        if opcode not in (_CONTINUATION, _TEXT, _BINARY):
            return False
        return (opcode == _CONTINUATION) == (self._fragments is not None)

    def _add_fragment(self, first: int, payload: bytes) -> bool:
        if self._fragments is None:
            self._fragments, self._fragment_bytes = [], 0
            self._is_compressed = bool(first & _COMPRESSED)
        self._fragments.append(payload)
        self._fragment_bytes += len(payload)
        if self._fragment_bytes > self._max_bytes or len(self._fragments) > _MAX_FRAGMENTS:
            return False
        if first & _FINAL:
            message = b"".join(self._fragments)
            self._fragments = None
            self._on_message(self._inflate(message) if self._is_compressed and self._inflate else message)
        return True
