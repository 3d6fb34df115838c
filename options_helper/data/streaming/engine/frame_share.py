"""One run's share of a frame that several runs hear: what it asked for, and no message more.

A connection that is shared carries what all of its runs want. Whoever records must not find symbols in its files that
it never asked for, and a page must not spend its time on them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from options_helper.data.streaming.engine.wishes import Wishes
from options_helper.data.streaming.messages import UNREADABLE
from options_helper.decoders import msgpack_decoder
from options_helper.model.news import ALL_SYMBOLS

# Which channels bring a message of each type. Whoever has trades is sent their corrections and cancels unasked.
_CHANNELS: Final[Mapping[str, tuple[str, ...]]] = {
    "q": ("quotes",),
    "t": ("trades",),
    "b": ("bars",),
    "u": ("updatedBars",),
    "d": ("dailyBars",),
    "s": ("statuses",),
    "l": ("lulds",),
    "c": ("corrections", "trades"),
    "x": ("cancelErrors", "trades"),
    "o": ("orderbooks",),
    "n": ("news",),
}
# It may be about several symbols, or about none.
_ARTICLE: Final = "n"


class _Head(msgspec.Struct, frozen=True, gc=False):
    """As much of a message as says whose it is."""

    T: str = ""
    S: str = ""
    symbols: list[str] = []


_READ_HEADS: Final = msgpack_decoder(list[_Head]).decode
_READ_HEAD: Final = msgpack_decoder(_Head).decode
_TAKE_APART: Final = msgpack_decoder(list[msgspec.Raw]).decode
_UNKNOWN: Final = _Head()


class Share(NamedTuple):
    """A frame, and how many events it announces."""

    payload: bytes
    events: int


class FrameHeads:
    """A frame's messages by type and symbol, read once for all who ask for their share."""

    def __init__(self, payload: bytes, events: int) -> None:
        self._whole = Share(payload, events)
        self._messages: list[msgspec.Raw] | None = None
        self._heads: Sequence[_Head] | None = None
        try:
            self._heads = _READ_HEADS(payload)
        except UNREADABLE:
            self._read_one_by_one(payload)

    def _read_one_by_one(self, payload: bytes) -> None:
        try:
            self._messages = _TAKE_APART(payload)
        except UNREADABLE:
            return
        self._heads = [_head_of(message) for message in self._messages]

    def share(self, wanted: Wanted) -> Share | None:
        """What is wanted of it, None where nothing is.

        A message of which nobody can say what it is about is everybody's, and so is a frame that cannot be read: each
        run counts it as rejected, as if it had the connection for itself.
        """
        heads = self._heads
        if heads is None:
            return self._whole
        kept = [wanted.has(head) for head in heads]
        if all(kept):
            return self._whole
        if not any(kept):
            return None
        if self._messages is None:
            self._messages = _TAKE_APART(self._whole.payload)
        parts = [bytes(message) for message, is_kept in zip(self._messages, kept, strict=True) if is_kept]
        return Share(b"\xdd" + struct.pack(">I", len(parts)) + b"".join(parts), len(parts))


def _head_of(message: msgspec.Raw) -> _Head:
    try:
        return _READ_HEAD(message)
    except UNREADABLE:
        return _UNKNOWN


class Wanted:
    """The symbols that a run wants of each type of message."""

    def __init__(self, wishes: Wishes) -> None:
        self._by_type = {
            kind: frozenset(symbol for symbol, had in wishes.items() if not set(channels).isdisjoint(had))
            for kind, channels in _CHANNELS.items()
        }
        # Of a type that nobody knows.
        self._any = frozenset(wishes)

    def has(self, head: _Head) -> bool:
        """Whether a message is for this run."""
        symbols = self._by_type.get(head.T, self._any)
        if head.T == _ARTICLE:
            return ALL_SYMBOLS in symbols or not symbols.isdisjoint(head.symbols)
        return not head.S or head.S in symbols or ALL_SYMBOLS in symbols
