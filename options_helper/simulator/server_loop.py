"""What happens inside the server's event loop: handshakes, conversations, and the market's play to its clients."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Final, cast
from weakref import WeakKeyDictionary, WeakSet

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.http11 import Request, Response
from websockets.protocol import State

from options_helper.errors import ConfigError
from options_helper.model.announcement import ANNOUNCEMENT_HEADER
from options_helper.model.instants import NANOSECONDS
from options_helper.model.streams import StreamName
from options_helper.simulator.counters import Counters, SimulatorState
from options_helper.simulator.faults import NO_FAULTS, SLOW_CLIENT, Ending, Faults
from options_helper.simulator.listening import stop_listening
from options_helper.simulator.market.market import Interest, Market, PlayingClock
from options_helper.simulator.rest.http import REFUSED, PlainHttp, json_response, offered_keys
from options_helper.simulator.wire.outgoing import (
    BATCH,
    Deflater,
    MessageFrame,
    OutgoingFrame,
    PushQueue,
    framed,
)
from options_helper.simulator.wire.protocol import (
    ENDPOINTS,
    Encoding,
    Endpoint,
    Keys,
    Limits,
    Reply,
    ServerProtocol,
    protocol_for,
)

log = logging.getLogger(__name__)
# To those who debug, the library tells each request with its headers, and keys are among them.
_wire_log: Final = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.INFO)

LOOPBACK: Final = "127.0.0.1"
# Unsent bytes of one client at which the server stops to wait for it …
WRITE_LIMIT: Final = 2**18
# … or, in a market that does not wait, cuts it off as Alpaca does.
SLOW_CLIENT_BYTES: Final = 2**23
# How long the first subscriber of a replay waits for the clients of the other streams.
GATHERING_SECONDS: Final = 1.5
CLOSE_SECONDS: Final = 0.4
# A subscription to ten thousand contracts has a quarter of a megabyte.
LONGEST_REQUEST: Final = 2**24
# A REST fault may answer late.
HANDSHAKE_SECONDS: Final = 60.0
ABANDONED_AT_MOST: Final = 100
MINUTE_NS: Final = 60 * NANOSECONDS
_Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class ClientView:
    """One connected client, as it was when you asked."""

    path: str
    number: int
    authenticated: bool
    subscription: Mapping[str, tuple[str, ...]]
    sent: int


class Client:
    """One connection and the conversation on it; belongs to the server's loop."""

    def __init__(self, connection: ServerConnection, number: int, protocol: ServerProtocol) -> None:
        self.connection = connection
        self._deflater = _deflater_of(connection)
        self.protocol = protocol
        self.noted = (
            protocol.subscription
        )  # as the market was told of it last; one that changes is another object
        self._number = number

    @property
    def endpoint(self) -> Endpoint:
        """Where it connected."""
        return self.protocol.endpoint

    @property
    def open(self) -> bool:
        """Whether it can be written to."""
        connection = self.connection
        return connection.protocol.state is State.OPEN and not connection.transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        """What waits for the client to read."""
        return self.connection.transport.get_write_buffer_size()

    def write(self, content: bytes) -> None:
        """Put whole websocket frames on the way; never waits."""
        # Past the library's own sending: a server's frame is not masked, so one copy serves all clients, and only who
        # agreed on compression gets bytes of its own.
        if content and self.open:
            if self._deflater is not None:
                content = self._deflater.deflate(content, spoiled=self.protocol.wire.spoils_compression)
            self.connection.transport.write(content)

    async def drained(self) -> None:
        """Wait until the client has read most of what was written, or is gone."""
        if self.connection.paused and self.open:
            with contextlib.suppress(OSError):
                await self.connection.drain()

    def view(self) -> ClientView:
        """A copy for other threads."""
        protocol = self.protocol
        subscription = dict(protocol.subscription)
        return ClientView(
            self.endpoint.path, self._number, protocol.authenticated, subscription, protocol.wire.sent
        )


def _deflater_of(connection: ServerConnection) -> Deflater | None:
    """What compresses for this client, as it asked in the handshake; None where it did not."""
    for extension in connection.protocol.extensions:
        if isinstance(extension, PerMessageDeflate):
            return Deflater(extension.local_max_window_bits, begins_anew=extension.local_no_context_takeover)
    return None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A handshake that was let in: where, its number there, what shall go wrong, and what its headers said."""

    endpoint: Endpoint
    number: int
    faults: Faults
    content_type: str | None
    key: str | None = field(repr=False)
    secret: str | None = field(repr=False)


class ServerLoop:
    """Everything that happens inside the server's loop: handshakes, conversations, the market's play."""

    def __init__(
        self,
        market: Market,
        *,
        keys: Keys,
        limits: Limits,
        faults: Faults,
        counters: Counters,
        state: SimulatorState,
        computer_ns: Callable[[], int],
        gathering_seconds: float,
        compression: bool = False,
    ) -> None:
        self.muted: frozenset[StreamName] = frozenset()
        self.clients: tuple[Client, ...] = ()  # replaced, never changed: other threads look at it
        self.pushed = PushQueue()
        self._broker_said: deque[OutgoingFrame] = deque()
        self.clock = PlayingClock(market, steady=time.monotonic, computer_ns=computer_ns)
        self.finished = threading.Event()
        self.loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        self.push_arrived = asyncio.Event()
        self._market = market
        self._keys = keys
        self._limits = limits
        self._counters = counters
        self._state = state
        self._gathering_seconds = gathering_seconds
        self._compression = compression
        self._faults = faults
        self._connections_before_faults: Counter[str] = Counter()
        self._plain_http = PlainHttp(
            market,
            state,
            keys=keys,
            limits=limits,
            now_ns=self.clock.now_ns,
            stopping=self.stopping,
            tell=self._tell_fills,
        )
        self._plain_http.set_faults(faults)
        self._interest = Interest()
        self._clock_started = asyncio.Event()
        self._arrivals: WeakKeyDictionary[ServerConnection, Arrival] = WeakKeyDictionary()
        self._connections: WeakSet[ServerConnection] = WeakSet()
        # Per path and account: who has the one place there, and until when (loop time) a departed client's is held.
        self._holders: dict[_Place, ServerConnection] = {}
        self._held_until: dict[_Place, float] = {}
        # Sockets of half-open connections: neither read nor written, closed at the end.
        self._abandoned: list[socket.socket] = []
        self._closings: set[asyncio.Task[None]] = set()

    async def run(self, port: int, ready: Future[tuple[int, ServerLoop]]) -> None:
        """Serve until `stopping` is set; `ready` gets the port, or the reason why there is none."""
        try:
            server = await self._listen(port)
        except OSError as error:
            ready.set_exception(_listening_failed(port, error))
            return
        plays = [asyncio.create_task(self._play()), asyncio.create_task(self._deliver_pushes())]
        ready.set_result((server.sockets[0].getsockname()[1], self))
        await self.stopping.wait()
        self.pushed.close()
        for play in plays:
            play.cancel()
        await self._shut_down(server)

    def jump(self, market_ns: int) -> None:
        """Let it be this market time, and have happened what is due by then."""
        self.clock.jump(market_ns)
        self._plain_http.settle()

    def _tell_fills(self, updates: Sequence[Any], account: str) -> None:
        """Send what the broker did; never waits, and on any thread, since answers are made on threads of their own."""
        if updates:
            self._broker_said.append(MessageFrame(StreamName.FILLS, updates, account))
            self.loop.call_soon_threadsafe(self.push_arrived.set)

    def set_faults(self, faults: Faults) -> None:
        """Let these go wrong from now on; connections are counted anew for them."""
        self._faults = faults
        self._connections_before_faults = self._counters.connections
        self._plain_http.set_faults(faults)

    async def _listen(self, port: int) -> Server:
        return await serve(
            self._serve,
            LOOPBACK,
            port,
            process_request=self._answer_handshake,
            process_response=self._announce_market,
            create_connection=cast("type[ServerConnection]", self._create_connection),
            compression="deflate" if self._compression else None,
            close_timeout=CLOSE_SECONDS,
            max_size=LONGEST_REQUEST,
            open_timeout=HANDSHAKE_SECONDS,
            write_limit=WRITE_LIMIT,
            logger=_wire_log,
        )

    async def _shut_down(self, server: Server) -> None:
        await stop_listening(server)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await server.wait_closed()
        except TimeoutError:
            log.debug("some clients did not answer the close; their connections are aborted")
        for connection in list(self._connections):
            connection.transport.abort()
        for abandoned in self._abandoned:
            abandoned.close()

    def _create_connection(self, *arguments: Any, **keywords: Any) -> ServerConnection:
        connection = ServerConnection(*arguments, **keywords)
        self._connections.add(connection)
        return connection

    # The handshake.

    async def _answer_handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        """None lets a websocket client in; a response is a refusal or the answer to a plain request."""
        path = request.path.partition("?")[0]
        if "Upgrade" not in request.headers:
            self._counters.count_request(path)
            return await self._plain_http.answer(connection, request)
        endpoint = ENDPOINTS.get(path)
        if endpoint is None:
            return json_response(connection, HTTPStatus.NOT_FOUND, {"message": f"there is no feed at {path}"})
        number = self._counters.count_connection(path)
        faults = self._faults_for(endpoint, number)
        if faults.never_upgrade:
            self._abandon(connection)
            await connection.wait_closed()
            return None
        if faults.redirect is not None:
            elsewhere = connection.respond(HTTPStatus.FOUND, "")
            elsewhere.headers["Location"] = faults.redirect
            return elsewhere
        if faults.http_status is not None:
            return json_response(connection, faults.http_status, {"message": REFUSED})
        content_type = request.headers.get("Content-Type")
        self._arrivals[connection] = Arrival(endpoint, number, faults, content_type, *offered_keys(request))
        return None

    def _faults_for(self, endpoint: Endpoint, number: int) -> Faults:
        since_set = number - self._connections_before_faults[endpoint.path]
        return self._faults if self._faults.concern(endpoint.stream, since_set) else NO_FAULTS

    async def _announce_market(self, _: ServerConnection, __: Request, response: Response) -> None:
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            response.headers[ANNOUNCEMENT_HEADER] = self.clock.announcement().header()

    # One client.

    async def _serve(self, connection: ServerConnection) -> None:
        arrival = self._arrivals[connection]
        client = self._admit(connection, arrival)
        protocol = client.protocol
        try:
            await self._perform(client, protocol.open(arrival.key, arrival.secret))
            await self._authenticate(client)
            async for message in connection:
                await self._perform(client, protocol.receive(message))
        except ConnectionClosed as error:
            log.debug("a client of %s left: %s", client.endpoint.path, error)
        finally:
            self._dismiss(client)

    def _admit(self, connection: ServerConnection, arrival: Arrival) -> Client:
        protocol = protocol_for(
            arrival.endpoint,
            encoding=Encoding.of(arrival.content_type),
            keys=self._keys,
            limits=self._limits,
            faults=arrival.faults,
            claim_slot=partial(self._claim_slot, arrival.endpoint.path, connection),
        )
        client = Client(connection, arrival.number, protocol)
        self.clients = (*self.clients, client)
        return client

    async def _authenticate(self, client: Client) -> None:
        protocol = client.protocol
        try:
            async with asyncio.timeout(self._limits.auth_timeout_seconds):
                while not protocol.authenticated:
                    await self._perform(client, protocol.receive(await client.connection.recv()))
        except TimeoutError:
            await self._perform(client, protocol.time_out())

    def _dismiss(self, client: Client) -> None:
        self.clients = tuple(other for other in self.clients if other is not client)
        self._note_interest()
        place = (client.endpoint.path, client.protocol.account)
        if self._holders.get(place) is client.connection:
            del self._holders[place]
            self._held_until[place] = self.loop.time() + client.protocol.wire.faults.hold_session_seconds

    def _claim_slot(self, path: str, connection: ServerConnection) -> bool:
        if not self._limits.one_connection:
            return True
        account = next(client.protocol.account for client in self.clients if client.connection is connection)
        place = (path, account)
        if place in self._holders or self.loop.time() < self._held_until.get(place, 0.0):
            return False
        self._holders[place] = connection
        return True

    async def _perform(self, client: Client, reply: Reply) -> None:
        """Send an answer; begin what a subscription makes due."""
        client.write(framed(reply.payloads))
        if reply.close_code is not None:
            await _close_or_abort(client.connection, reply.close_code)
            return
        if client.noted is not client.protocol.subscription:
            client.noted = client.protocol.subscription
            self._note_interest()
        if client.protocol.listening:
            self._start_clock()
            self._end_if_due(client)
        await client.drained()

    def _note_interest(self) -> None:
        symbols: dict[tuple[StreamName, str], frozenset[str]] = {}
        for client in self.clients:
            stream = client.endpoint.stream
            for channel, subscribed in client.protocol.subscription.items():
                symbols[stream, channel] = symbols.get((stream, channel), frozenset()).union(subscribed)
        self._interest.replace(symbols)

    # How a connection ends.

    def _end_if_due(self, client: Client) -> None:
        ending = client.protocol.wire.take_ending()
        if ending is not None and client.open:
            self.end(client, ending)

    def end(self, client: Client, ending: Ending) -> None:
        """End a running connection, politely or not; an error alone lets it go on."""
        if ending.error is not None:
            reply = client.protocol.in_stream_error(ending.error)
            client.write(framed(reply.payloads))
            self._begin_close(client, reply.close_code)
        if ending.half_open:
            self._abandon(client.connection)
        elif ending.reset:
            _reset(client.connection)
        else:
            self._begin_close(client, ending.close_code)

    def _begin_close(self, client: Client, code: int | None) -> None:
        if code is None:
            return
        # In a task, because the closing handshake waits for the client.
        closing = asyncio.create_task(_close_or_abort(client.connection, code))
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)

    def _abandon(self, connection: ServerConnection) -> None:
        """Leave the client alone with a connection that nobody reads, writes or closes."""
        # A second descriptor keeps the TCP connection alive: closing the first one sends no FIN.
        if len(self._abandoned) >= ABANDONED_AT_MOST:
            self._abandoned.pop(0).close()
        self._abandoned.append(connection.transport.get_extra_info("socket").dup())
        connection.transport.abort()

    # The market.

    def _start_clock(self) -> None:
        if self.clock.started:
            return
        listening = {client.endpoint.stream for client in self.clients if client.protocol.listening}
        if self._market.awaited <= listening:
            self._let_run()
        else:
            self.loop.call_later(self._gathering_seconds, self._let_run)

    def _let_run(self) -> None:
        self.clock.start()
        self._clock_started.set()

    async def _play(self) -> None:
        await self._clock_started.wait()
        try:
            await self._play_steps()
        except Exception:  # a task's last line: without the market the server goes on, and says why
            log.exception("the market ended because of an error")
        self.finished.set()

    async def _play_steps(self) -> None:
        batch: list[OutgoingFrame] = []
        settles_ns = 0
        for step in self._market.steps(self._interest):
            self.clock.skip_silence(step.market_ns)
            wait = self.clock.seconds_until(step.market_ns)
            if batch and (wait > 0 or len(batch) >= BATCH):
                await self._deliver(batch)
                batch = []
            if wait > 0:
                await asyncio.sleep(wait)
            self.clock.reach(step.market_ns)
            self._state.note(step.stream, step.messages, step.market_ns, step.account)
            if step.market_ns >= settles_ns:
                self._plain_http.settle()
                settles_ns = step.market_ns + MINUTE_NS
            batch.append(MessageFrame(step.stream, step.messages, step.account))
        await self._deliver(batch)

    async def _deliver_pushes(self) -> None:
        while True:
            await self.push_arrived.wait()
            self.push_arrived.clear()
            while batch := [*self._broker_words(), *self.pushed.take()]:
                try:
                    await self._deliver(batch)
                except (
                    Exception
                ):  # a task's last line: a message that cannot be sent must not stop all others
                    log.exception("what was pushed could not be sent")

    def _broker_words(self) -> Iterator[OutgoingFrame]:
        while self._broker_said:
            yield self._broker_said.popleft()

    async def _deliver(self, frames: Sequence[OutgoingFrame]) -> None:
        """Write frames to everybody who wants them; in a lossless market, wait for the slowest."""
        for client in self.clients:
            if client.endpoint.stream not in self.muted:
                self._send(client, frames)
        # Let the others speak: a market at full speed would never wait by itself.
        await asyncio.sleep(0)
        for client in self.clients:
            await self._keep_pace(client)

    def _send(self, client: Client, frames: Sequence[OutgoingFrame]) -> None:
        if not client.open:
            return
        protocol = client.protocol
        before = protocol.wire.sent
        stream = client.endpoint.stream
        outgoing = b"".join(
            [
                frame.bytes_for(protocol)
                for frame in frames
                if frame.stream is stream and _may_have(protocol, frame)
            ]
        )
        # Counted before it leaves: who asks after a client has heard of an event finds it counted.
        self._counters.count_sent(stream, protocol.wire.sent - before)
        client.write(outgoing)
        self._end_if_due(client)

    async def _keep_pace(self, client: Client) -> None:
        if self._market.lossless:
            await client.drained()
        elif client.open and client.unsent_bytes > SLOW_CLIENT_BYTES:
            self.end(client, Ending(error=SLOW_CLIENT, close_code=1000))


def _may_have(protocol: ServerProtocol, frame: OutgoingFrame) -> bool:
    """Market data are everybody's, orders are an account's."""
    return not frame.stream.kind.carries_orders or frame.account == protocol.account


def _listening_failed(port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"Port {port} on {LOOPBACK} is taken by another program. Choose another one, or 0 for any free one."
        )
    return ConfigError(f"The simulator cannot listen on {LOOPBACK}:{port}: {error}. Choose another port.")


async def _close_or_abort(connection: ServerConnection, code: int) -> None:
    """Close with a handshake; a client that does not take part is cut off."""
    try:
        async with asyncio.timeout(2 * CLOSE_SECONDS):
            await connection.close(code)
    except TimeoutError:
        connection.transport.abort()


def _reset(connection: ServerConnection) -> None:
    """Abort the TCP connection: the client gets an RST instead of a FIN."""
    linger_for_no_time = struct.pack("ii", 1, 0)
    raw = connection.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_no_time)
    connection.transport.abort()
