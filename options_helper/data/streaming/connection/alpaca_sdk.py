"""One connection through alpaca-py: the SDK connects, authenticates and subscribes, we read the frames.

alpaca-py 0.44 hides the server's answers: it waits for them without end, drops their codes, retries what is final and
never compares an acknowledgement with the request. Its own receive loop also costs several times what a frame is
worth. Everything that reaches past its public surface is in this module, and `tests/wire` guards it.
"""

# ruff: noqa: SLF001 - the one place that reaches past alpaca-py's public surface

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from options_helper.data.network import (
    CERTIFICATE_REMEDY,
    certificate_problem,
    proxy_for,
    tls_context,
)
from options_helper.data.proxy_tunnel import open_tunnel
from options_helper.data.streaming.connection.reading_pause import ReadingPause
from options_helper.data.streaming.connection.server_errors import handshake_error, key_error
from options_helper.data.streaming.connection.websocket_frames import Inflater, MessageReader
from options_helper.data.streaming.messages import Message, read_message
from options_helper.data.tcp_socket import connect_socket
from options_helper.errors import StreamError
from options_helper.model.announcement import ANNOUNCEMENT_HEADER
from options_helper.settings import NO_COMPRESSION, Settings

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024

# At DEBUG the websockets library logs every frame it sends, and the first one holds the secret.
_wire_log = logging.getLogger("options_helper.websocket")
_wire_log.setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class ConnectionTiming:
    """How long each step may take. All in seconds.

    A half-open socket is noticed after at most ping interval + ping timeout + twice closing, about 16 s; the SDK's
    own settings need some 210 s.
    """

    opening: float = 10.0  # connect and welcome; then again for the answer to the key
    acknowledgement: float = 10.0
    ping_interval: float = 5.0
    ping_timeout: float = 10.0
    closing: float = 0.5


DEFAULT_TIMING: Final = ConnectionTiming()


def _message_reader(
    protocol: Any, on_message: Callable[[bytes], None], pass_on: Callable[[bytes], None]
) -> MessageReader:
    """What reads an open connection's bytes; a message that cannot be inflated ends the connection."""
    return MessageReader(
        on_message,
        pass_on,
        MAX_MESSAGE_BYTES,
        # What the handshake did not agree on the server must not send.
        inflate=Inflater(MAX_MESSAGE_BYTES).inflate if protocol.extensions else None,
        on_failure=lambda error: protocol.fail_connection(error.code, str(error)),
    )


def _go_on(_size: int) -> None:
    pass


def _pausing(may_wait: Callable[[], bool]) -> Callable[[int], None]:
    """What pauses on the loop's thread after a read, where more is to be expected and may wait."""
    pause = ReadingPause()

    def after_read(size: int) -> None:
        seconds = pause.after(time.monotonic(), size)
        if seconds and may_wait():
            # Held up is this connection alone, whose loop it is. `pause_reading` would do the same for a plain socket,
            # but not under TLS, which goes on waking the loop for each record.
            time.sleep(seconds)

    return after_read


@functools.cache
def connection_protocol() -> type[Any]:
    """The SDK's websocket protocol class, which reads data messages by `MessageReader` once the connection is open."""
    from websockets.legacy.client import WebSocketClientProtocol
    from websockets.legacy.exceptions import InvalidStatusCode

    class TappedProtocol(WebSocketClientProtocol):
        # The last message that the SDK read itself: the welcome, the answer to the key.
        last_message: Message | None = None
        # Is told the size of each read.
        after_read: Callable[[int], None] = staticmethod(_go_on)
        tap: Callable[[Message], None] | None = None
        _messages_in: MessageReader | None = None

        def connection_open(self) -> None:
            super().connection_open()
            self._messages_in = _message_reader(self, self._arrive, super().data_received)
            # The first message may have come with the handshake's answer, in the same packet.
            buffered: bytearray = vars(self.reader)["_buffer"]
            early = bytes(buffered)
            buffered.clear()
            self._messages_in.feed(early)

        def data_received(self, data: bytes) -> None:
            if self._messages_in is None:
                super().data_received(data)
            else:
                self._messages_in.feed(data)
                self.after_read(len(data))

        def _arrive(self, message: bytes) -> None:
            if self.tap is not None:
                self.tap(message)
                return
            self.messages.append(message)
            if self._pop_message_waiter is not None:
                self._pop_message_waiter.set_result(None)
                self._pop_message_waiter = None

        async def read_http_response(self) -> tuple[int, Any]:
            status, headers = await super().read_http_response()
            if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
                # The library would follow, and the SDK would send the keys to wherever that leads.
                raise InvalidStatusCode(status, headers)
            return status, headers

        async def recv(self) -> Message:
            self.last_message = await super().recv()
            return self.last_message

    return TappedProtocol


class SdkConnection:
    """Holds one `StockDataStream`, `OptionDataStream` or `TradingStream` of alpaca-py for one connection.

    Lives on one event loop; `feed` names it in errors, and `compression` is what the server is offered. The SDK
    object's `run` and `stop` are not used.
    """

    def __init__(
        self,
        make_stream: Callable[[dict[str, Any]], Any],
        feed: str,
        timing: ConnectionTiming,
        *,
        compression: str = NO_COMPRESSION,
    ) -> None:
        self._feed = feed
        self._timing = timing
        self._protocol: Any = None
        # The protocol closes it once it has taken it over.
        self._socket: socket.socket | None = None
        self._through: str | None = None
        self._stream = make_stream(
            {
                "create_protocol": self._make_protocol,
                "open_timeout": timing.opening,
                "close_timeout": timing.closing,
                "ping_interval": timing.ping_interval,
                "ping_timeout": timing.ping_timeout,
                "max_size": MAX_MESSAGE_BYTES,
                "logger": _wire_log,
                "compression": None if compression == NO_COMPRESSION else compression,
            }
        )

    def _make_protocol(self, **arguments: Any) -> Any:
        self._protocol = connection_protocol()(**arguments)
        return self._protocol

    async def open(self) -> None:
        """Connect, read the welcome and authenticate; StreamError with the server's own words otherwise.

        ConfigError when the address is neither encrypted nor on this computer, or no certificate can be trusted.
        """
        Settings.require_safe(self._address)
        if self._address.startswith("wss:"):
            # The roots that REST trusts, too; the library's own choice is another list.
            self._stream._websocket_params["ssl"] = tls_context()
        await self._step("connect to", self._connect())
        await self._step("authenticate on", self._stream._auth())

    @property
    def _address(self) -> str:
        return str(getattr(self._stream._endpoint, "value", self._stream._endpoint))

    @property
    def _host(self) -> str:
        return urlsplit(self._address).netloc

    def _silence(self, action: str) -> str:
        """How far it came when the time was over."""
        protocol = self._protocol
        if protocol is None:
            if self._through is not None:
                return f"The proxy {self._through} did not open the way to {self._host} for the {self._feed} feed"
            return f"No address of {self._host} took the {self._feed} connection"
        server = f"The {self._feed} server ({self._host})"
        if getattr(protocol, "transport", None) is None:
            return f"{server} took the connection and did not finish the handshake of its encryption"
        if action != "connect to":
            return f"{server} gave no answer to the key"
        if not protocol.open:
            return f"{server} took the connection and gave no answer to its handshake, and so no welcome"
        return f"{server} gave no welcome"

    async def _connect(self) -> None:
        parts = urlsplit(self._address)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "wss" else 80)
        # Nothing comes between this computer and a simulator of its own.
        if parts.scheme == "wss" and (proxy := proxy_for(host)) is not None:
            self._through = proxy.shown
            self._socket = await open_tunnel(proxy, host, port)
        else:
            self._socket = await connect_socket(host, port)
        self._stream._websocket_params["sock"] = self._socket
        await self._stream._connect()

    async def _step(self, action: str, step: Any) -> None:
        try:
            async with asyncio.timeout(self._timing.opening):
                await step
        except StreamError:
            raise
        except TimeoutError as error:
            raise StreamError(
                f"{self._silence(action)} within {self._timing.opening:.0f} s; it is tried again."
            ) from error
        except Exception as error:
            # The SDK and the socket library raise many types here; what the server said tells them apart.
            raise self._opening_error(action, error) from error

    def _opening_error(self, action: str, error: Exception) -> StreamError:
        status = getattr(error, "status_code", None)
        if isinstance(status, int):
            return handshake_error(self._feed, status)
        answer = read_message(self._protocol.last_message) if self._protocol is not None else None
        return key_error(self._feed, answer) or self._network_error(action, error)

    def _network_error(self, action: str, error: Exception) -> StreamError:
        if (reason := certificate_problem(error)) is not None:
            return StreamError(
                f"{self._host} shows a certificate for the {self._feed} feed that is not trusted here ({reason}). "
                f"{CERTIFICATE_REMEDY}"
            )
        if isinstance(error, OSError):
            why = str(error) or type(error).__name__
            return StreamError(f"Cannot {action} the {self._feed} feed at {self._host}: {why}.")
        return StreamError(f"Cannot {action} the {self._feed} feed: {str(error) or type(error).__name__}.")

    @property
    def announcement(self) -> str | None:
        """What a simulator said of its market in the handshake; None from Alpaca."""
        value = self._protocol.response_headers.get(ANNOUNCEMENT_HEADER)
        return None if value is None else str(value)

    def listen(
        self, on_message: Callable[[Message], None], may_wait: Callable[[], bool] | None = None
    ) -> None:
        """Hand every further message to `on_message`, on the loop's thread, in order, none left behind.

        While `may_wait` says so, messages that follow one another are read some milliseconds late, several at a time.
        Nothing but this connection may be on the loop then.
        """
        protocol = self._protocol
        while protocol.messages:
            on_message(protocol.messages.popleft())
        protocol.tap = on_message
        if may_wait is not None:
            protocol.after_read = _pausing(may_wait)

    async def subscribe(self, channels: dict[str, tuple[str, ...]]) -> None:
        """Send one subscribe message; the answer comes as a message."""
        self._stream._handlers = {channel: dict.fromkeys(symbols) for channel, symbols in channels.items()}
        await self._sending(self._stream._send_subscribe_msg())

    async def unsubscribe(self, channel: str, symbols: tuple[str, ...]) -> None:
        """Send one unsubscribe message; the answer comes as a message."""
        await self._sending(self._stream._send_unsubscribe_msg(channel, list(symbols)))

    async def subscribe_trade_updates(self) -> None:
        """Ask for the account's order updates; the answer comes as a message."""
        self._stream._trade_updates_handler = _unused_handler
        await self._sending(self._stream._subscribe_trade_updates())

    async def _sending(self, send: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await send
        except ConnectionClosed as error:
            raise self.loss() from error

    async def ended(self) -> None:
        """Wait until the connection is gone."""
        await self._protocol.wait_closed()

    def loss(self) -> StreamError:
        """Why the connection is gone, in words; what ended it is the cause."""
        cause = self._protocol.connection_closed_exc()
        loss = StreamError(f"The {self._feed} connection was lost: {cause}.")
        loss.__cause__ = cause
        return loss

    async def close(self) -> None:
        """Say goodbye if the peer answers soon, and free the socket in any case; harmless before `open`."""
        protocol = self._protocol
        if protocol is None or getattr(protocol, "transport", None) is None:
            if self._socket is not None:
                self._socket.close()
            return
        protocol.tap, protocol.after_read = None, _go_on
        # The library's own close outlasts its timeout several times, and a cancellation of it too.
        goodbye = asyncio.ensure_future(protocol.close())
        goodbye.add_done_callback(_forget_outcome)
        try:
            await asyncio.wait({goodbye}, timeout=self._timing.closing)
        finally:
            protocol.transport.abort()


def with_parameters(stream: Any, websocket_params: dict[str, Any]) -> Any:
    """A ready-made SDK stream, made to connect with these parameters."""
    stream._websocket_params = websocket_params
    return stream


def _forget_outcome(task: asyncio.Future[Any]) -> None:
    # A dying socket may raise anything; it is cut off all the same.
    if not task.cancelled():
        task.exception()


async def _unused_handler(_update: Any) -> None:
    """The SDK sends `listen` only when a handler is set; messages reach us before it would be called."""
