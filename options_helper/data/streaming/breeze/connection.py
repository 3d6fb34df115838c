"""One websocket to Breeze: the two handshakes, the pings, and each message as it came."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from options_helper.data.breeze.account import LONGEST_MESSAGE, SESSION_OVER, Access, without_secrets
from options_helper.data.network import CERTIFICATE_REMEDY, certificate_problem, proxy_for, tls_context
from options_helper.data.proxy_tunnel import open_tunnel
from options_helper.data.streaming.breeze.packets import (
    GOODBYE,
    PONG,
    SOCKET_PATH,
    Data,
    Dismissed,
    Opened,
    Pinged,
    Refused,
    Welcomed,
    enter,
    read_packet,
)
from options_helper.data.streaming.connection.alpaca_sdk import ConnectionTiming
from options_helper.data.tcp_socket import connect_socket
from options_helper.errors import StreamError, StreamRefused
from options_helper.model.announcement import ANNOUNCEMENT_HEADER
from options_helper.settings import BreezeSettings

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
# The digits of the packet by which Socket.IO refuses a user.
CONNECT_ERROR: Final = 44

# At DEBUG the library logs every message it sends, and the first one holds the session's key.
_wire_log = logging.getLogger("options_helper.websocket")
_wire_log.setLevel(logging.INFO)


class _StraightConnect(connect):
    """Follows no redirect: the key would go to wherever that leads."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


class BreezeConnection:
    """Connects as one user; each tick goes to `on_data`, on the loop's thread, in the order of arrival."""

    def __init__(
        self,
        settings: BreezeSettings,
        access: Access,
        timing: ConnectionTiming,
        on_data: Callable[[bytes], None],
    ) -> None:
        self._settings = settings
        self._url = settings.stream_url
        self._host = urlsplit(self._url).netloc
        self._access = access
        self._timing = timing
        self._on_data = on_data
        self._socket: ClientConnection | None = None
        # Closed here while no connection has taken it over.
        self._way: socket.socket | None = None
        self._ping_seconds = 0.0
        self._loss = "it ended"
        self._cause: Exception | None = None

    async def open(self) -> None:
        """Connect and be let in; StreamRefused where Breeze does not know the user, StreamError otherwise."""
        try:
            async with asyncio.timeout(self._timing.opening):
                self._socket = await self._connect()
                await self._be_welcomed(self._socket)
        except StreamError:
            raise
        except TimeoutError as error:
            step = "did not take the connection" if self._socket is None else "did not let the stream in"
            raise StreamError(
                f"Breeze ({self._host}) {step} within {self._timing.opening:.0f} s; it is tried again."
            ) from error
        except (OSError, WebSocketException) as error:
            raise self._opening_error(error) from error

    async def _connect(self) -> ClientConnection:
        parts = urlsplit(self._url)
        is_encrypted = parts.scheme == "wss"
        host, port = parts.hostname or "", parts.port or (443 if is_encrypted else 80)
        # Nothing comes between this computer and a fake of its own.
        if is_encrypted and (proxy := proxy_for(host)) is not None:
            self._way = await open_tunnel(proxy, host, port)
        else:
            self._way = await connect_socket(host, port)
        return await _StraightConnect(
            self._url + SOCKET_PATH,
            proxy=None,
            compression=None,
            open_timeout=None,
            ping_interval=self._timing.ping_interval,
            ping_timeout=self._timing.ping_timeout,
            close_timeout=self._timing.closing,
            max_size=MAX_MESSAGE_BYTES,
            logger=_wire_log,
            sock=self._way,
            ssl=tls_context() if is_encrypted else None,
        )

    async def _be_welcomed(self, stream: ClientConnection) -> None:
        while True:
            match read_packet(await stream.recv(decode=False)):
                case Opened(ping_interval, ping_timeout):
                    self._ping_seconds = ping_interval + ping_timeout
                    await stream.send(enter(self._access.user, self._access.key.get_secret_value()))
                case Welcomed() if self._ping_seconds:
                    return
                case Pinged():
                    await stream.send(PONG)
                case Refused(reason):
                    said = self._quoted(reason) or "no reason was given"
                    raise StreamRefused(
                        f"Breeze did not let the stream in: {said}. {SESSION_OVER}",
                        code=CONNECT_ERROR,
                    )
                case Dismissed():
                    raise StreamError("Breeze ended the connection before it had begun; it is tried again.")
                case _:
                    raise StreamError(
                        f"{self._host} does not speak as Breeze does; check BREEZE_STREAM_URL. It is tried again."
                    )

    def _opening_error(self, error: Exception) -> StreamError:
        if isinstance(error, InvalidStatus):
            return _handshake_error(self._host, error.response.status_code)
        is_closed = isinstance(
            error, ConnectionClosed
        )  # after the handshake, where no certificate is in question
        if not is_closed and (reason := certificate_problem(error)) is not None:
            return StreamError(
                f"{self._host} shows a certificate that is not trusted here ({reason}). {CERTIFICATE_REMEDY}"
            )
        said = self._quoted(str(error)) or type(error).__name__
        return StreamError(f"Cannot connect to Breeze at {self._host}: {said}.")

    def _quoted(self, said: str) -> str:
        """The server's words as they may be shown."""
        return without_secrets(said, self._settings, self._access)[:LONGEST_MESSAGE].rstrip(" .")

    @property
    def _stream(self) -> ClientConnection:
        if self._socket is None:
            raise RuntimeError("a connection has to be opened before it is used")
        return self._socket

    @property
    def announcement(self) -> str | None:
        """What a fake said of its market in the handshake; None from ICICI."""
        response = self._stream.response
        return None if response is None else response.headers.get(ANNOUNCEMENT_HEADER)

    async def send(self, message: str) -> None:
        """Send one packet."""
        try:
            await self._stream.send(message)
        except ConnectionClosed as error:
            self._note_close(error)
            raise self.loss() from error

    async def ended(self) -> None:
        """Hand on what comes, answer pings, and return when nothing more will come."""
        stream = self._stream
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._ping_seconds) as patience:
                while True:
                    message = await stream.recv(decode=False)
                    match read_packet(message):
                        case Data():
                            self._on_data(message)
                        case Pinged():
                            patience.reschedule(loop.time() + self._ping_seconds)
                            await stream.send(PONG)
                        case Dismissed():
                            self._loss = "Breeze ended it, without saying why"
                            return
                        case _:
                            pass
        except ConnectionClosed as error:
            self._note_close(error)
        except TimeoutError as error:
            self._cause = error
            self._loss = f"no ping came for {self._ping_seconds:.0f} s, which Breeze had promised"
        except Exception as error:  # noqa: BLE001 - a task's last line: whoever hears of the end gets it as the cause
            self._cause = error
            self._loss = f"what came could not be taken ({type(error).__name__}); please report it"

    def _note_close(self, error: ConnectionClosed) -> None:
        self._cause = error
        self._loss = self._quoted(str(error))

    def loss(self) -> StreamError:
        """Why the connection is gone, in words; what ended it is the cause."""
        loss = StreamError(f"The Breeze connection was lost: {self._loss}.")
        loss.__cause__ = self._cause
        return loss

    async def close(self) -> None:
        """Say goodbye if the peer answers soon, and free the socket in any case."""
        stream = self._socket
        if stream is None:
            if self._way is not None:
                self._way.close()
            return
        try:
            async with asyncio.timeout(self._timing.closing):
                await stream.send(GOODBYE)
                await stream.close()
        except (ConnectionClosed, OSError, TimeoutError):
            pass  # a dying socket says no goodbye
        finally:
            stream.transport.abort()


def _handshake_error(host: str, status: int) -> StreamError:
    said = f"{host} refused the Breeze connection with HTTP {status}."
    if 300 <= status < 400:
        return StreamRefused(
            f"{said} Keys are never sent to where it points; check BREEZE_STREAM_URL.", code=status
        )
    if status in (401, 403):
        return StreamRefused(f"{said} {SESSION_OVER}", code=status)
    if status == 404:
        return StreamRefused(f"{said} There is no such stream there; check BREEZE_STREAM_URL.", code=status)
    return StreamError(f"{said} It is tried again.", code=status, retry_slowly=status == 429)
