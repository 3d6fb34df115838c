"""Messages on their way to the clients: encoded once for all of them, and queued from any thread into the loop."""

from __future__ import annotations

import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from options_helper.data.streaming.messages import count_messages
from options_helper.model.streams import StreamName
from options_helper.simulator.wire.protocol import (
    FIRST_ACCOUNT,
    TEXT_FRAME,
    Encoding,
    Payload,
    ServerProtocol,
    frame_bounds,
    websocket_frame,
)

# Frames that leave in one write, so that a fast market costs one system call for many of them.
BATCH: Final = 64
# Frames that `push` may be ahead of the sockets before it waits, and how long it is willing to wait.
PUSH_BACKLOG: Final = 1_000
PUSH_PATIENCE_SECONDS: Final = 30.0
# What a flush ends with and a message is sent without (RFC 7692 §7.2.1).
_TAIL: Final = b"\x00\x00\xff\xff"
# The block type that is reserved (RFC 1951 §3.2.3).
_NO_DEFLATE: Final = b"\xff\xff\xff"


class OutgoingFrame(Protocol):
    """Messages on their way to everybody who subscribed to them."""

    @property
    def stream(self) -> StreamName:
        """Whose clients get it."""

    @property
    def account(self) -> str:
        """Of orders: whose they are."""

    def bytes_for(self, conversation: ServerProtocol) -> bytes:
        """What this client gets of it, as whole websocket frames; counted in the conversation's wire."""


class MessageFrame:
    """Messages that are encoded once, and again only for a client that gets part of them."""

    def __init__(self, stream: StreamName, messages: Sequence[Any], account: str = FIRST_ACCOUNT) -> None:
        self.stream = stream
        self.account = account
        self._messages = messages
        self._whole: dict[Encoding, bytes] = {}

    def bytes_for(self, conversation: ServerProtocol) -> bytes:
        """Filtered by the client's subscription, spoiled by its faults."""
        wanted = [message for message in self._messages if conversation.wants(message)]
        if not wanted:
            return b""
        wire = conversation.wire
        if not wire.transparent:
            return b"".join(
                framed(conversation.payloads(frame.messages, as_json_text=frame.as_json_text))
                for frame in wire.outgoing(wanted)
            )
        wire.sent += len(wanted)
        if len(wanted) < len(self._messages):
            return framed(conversation.payloads(wanted))
        whole = self._whole.get(conversation.encoding)
        if whole is None:
            whole = self._whole[conversation.encoding] = framed(conversation.payloads(wanted))
        return whole


class EncodedFrame:
    """One frame that somebody else encoded; it goes to every listener, as it is."""

    def __init__(self, stream: StreamName, payload: bytes) -> None:
        self.stream = stream
        self.account = FIRST_ACCOUNT
        self._events = 1 if stream is StreamName.FILLS else count_messages(payload)
        self._bytes = websocket_frame(Payload(payload, text=False))

    def bytes_for(self, conversation: ServerProtocol) -> bytes:
        """Whole or not at all: nothing inside it can be left out or spoiled."""
        if not conversation.listening or conversation.wire.silenced:
            return b""
        conversation.wire.sent += self._events
        return self._bytes


def framed(payloads: Iterable[Payload]) -> bytes:
    """Whole websocket frames, one after the other."""
    return b"".join(map(websocket_frame, payloads))


class Deflater:
    """Compresses one client's messages as the handshake agreed (RFC 7692): in a window of 2 ** `window_bits` bytes.

    All in one window, or with `begins_anew` each in one of its own.
    """

    def __init__(self, window_bits: int = zlib.MAX_WBITS, *, begins_anew: bool = False) -> None:
        self._window_bits = window_bits
        self._begins_anew = begins_anew
        self._window = self._empty_window()

    def _empty_window(self) -> zlib._Compress:
        return zlib.compressobj(wbits=-self._window_bits)

    def deflate(self, frames: bytes, *, spoiled: bool = False) -> bytes:
        """The same whole frames, each message compressed; or so that no window can inflate it."""
        deflated: list[bytes] = []
        start = 0
        while start < len(frames):
            body, stop = frame_bounds(frames, start)
            text = frames[start] == TEXT_FRAME
            if self._begins_anew:
                self._window = self._empty_window()
            data = self._window.compress(frames[body:stop]) + self._window.flush(zlib.Z_SYNC_FLUSH)
            sent = _NO_DEFLATE if spoiled else data[: -len(_TAIL)]
            deflated.append(websocket_frame(Payload(sent, text=text), compressed=True))
            start = stop
        return b"".join(deflated)


class PushQueue:
    """Frames on their way from any thread into the loop; bounded, and `put` waits when it is full."""

    def __init__(self) -> None:
        # Guarded by self._changed, which is notified when there is room again, and when the queue is closed.
        self._changed = threading.Condition()
        self._frames: deque[OutgoingFrame] = deque()
        self._in_delivery = 0
        self._closed = False

    def put(self, frame: OutgoingFrame) -> bool:
        """Add one; True when the queue was empty before, so that the loop must be woken."""
        with self._changed:
            self._wait_for(lambda: len(self._frames) < PUSH_BACKLOG, PUSH_PATIENCE_SECONDS)
            self._frames.append(frame)
            return len(self._frames) == 1

    def take(self) -> list[OutgoingFrame]:
        """Up to a batch of them, in order; the batch before counts as delivered."""
        with self._changed:
            self._in_delivery = min(BATCH, len(self._frames))
            batch = [self._frames.popleft() for _ in range(self._in_delivery)]
            self._changed.notify_all()
            return batch

    def wait_empty(self, timeout: float) -> None:
        """Wait until everything is delivered."""
        with self._changed:
            self._wait_for(lambda: not self._frames and not self._in_delivery, timeout)

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait_for(self, condition: Callable[[], bool], timeout: float) -> None:
        if not self._changed.wait_for(lambda: self._closed or condition(), timeout):
            raise TimeoutError(f"the simulator's clients have not read for {timeout:g} s")
        if self._closed:
            raise RuntimeError("the simulator was stopped: nothing can be pushed")
