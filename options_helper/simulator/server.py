"""A real websocket and HTTP server on a loopback port, in a thread of its own, that plays a market to its clients."""

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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from typing import Any, Final, Protocol, Self, cast
from weakref import WeakKeyDictionary, WeakSet

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from options_helper.data.market_hours import new_york_date
from options_helper.data.streaming.events import StreamName, count_messages, epoch_nanoseconds, utc_datetime
from options_helper.data.streaming.market_clock import ANNOUNCEMENT_HEADER
from options_helper.errors import ConfigError
from options_helper.simulator.account import Holding, Number, SimulatedAccount
from options_helper.simulator.faults import NO_FAULTS, SLOW_CLIENT, Ending, Faults
from options_helper.simulator.market import HoldingMarket, Interest, Market, PlayingClock
from options_helper.simulator.protocol import (
    DEMO_KEY,
    DEMO_SECRET,
    ENDPOINTS,
    NO_LIMITS,
    TO_JSON,
    Conversation,
    Encoding,
    Endpoint,
    Keys,
    Limits,
    Payload,
    Reply,
    converse,
    websocket_frame,
)
from options_helper.simulator.rest import answer_request
from options_helper.simulator.rest_desk import Answer, Desk, refusal, session_before
from options_helper.simulator.tape import Tape

log = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
# Frames that leave in one write, so that a fast market costs one system call for many of them.
BATCH: Final = 64
# Frames that `push` may be ahead of the sockets before it waits, and how long it is willing to wait.
PUSH_BACKLOG: Final = 1_000
PUSH_PATIENCE_SECONDS: Final = 30.0
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
REFUSED: Final = {"message": "refused by the simulator, as it was told to"}
STOP_SECONDS: Final = 5.0


class OutgoingFrame(Protocol):
    """Messages on their way to everybody who subscribed to them."""

    @property
    def stream(self) -> StreamName:
        """Whose clients get it."""

    def bytes_for(self, conversation: Conversation) -> bytes:
        """What this client gets of it, as whole websocket frames; counted in the conversation's wire."""


class MessageFrame:
    """Messages that are encoded once, and again only for a client that gets part of them."""

    def __init__(self, stream: StreamName, messages: Sequence[Any]) -> None:
        self.stream = stream
        self._messages = messages
        self._whole: dict[Encoding, bytes] = {}

    def bytes_for(self, conversation: Conversation) -> bytes:
        """Filtered by the client's subscription, spoiled by its faults."""
        wanted = [message for message in self._messages if conversation.wants(message)]
        if not wanted:
            return b""
        wire = conversation.wire
        if not wire.transparent:
            return b"".join(
                _framed(conversation.payloads(frame.messages, as_json_text=frame.as_json_text))
                for frame in wire.outgoing(wanted)
            )
        wire.sent += len(wanted)
        if len(wanted) < len(self._messages):
            return _framed(conversation.payloads(wanted))
        whole = self._whole.get(conversation.encoding)
        if whole is None:
            whole = self._whole[conversation.encoding] = _framed(conversation.payloads(wanted))
        return whole


class EncodedFrame:
    """One frame that somebody else encoded; it goes to every listener, as it is."""

    def __init__(self, stream: StreamName, payload: bytes) -> None:
        self.stream = stream
        self._events = 1 if stream is StreamName.FILLS else count_messages(payload)
        self._bytes = websocket_frame(Payload(payload, text=False))

    def bytes_for(self, conversation: Conversation) -> bytes:
        """Whole or not at all: nothing inside it can be left out or spoiled."""
        if not conversation.listening or conversation.wire.silenced:
            return b""
        conversation.wire.sent += self._events
        return self._bytes


def _framed(payloads: Iterable[Payload]) -> bytes:
    return b"".join(map(websocket_frame, payloads))


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

    def __init__(self, connection: ServerConnection, number: int, conversation: Conversation) -> None:
        self.connection = connection
        self.conversation = conversation
        self._number = number

    @property
    def endpoint(self) -> Endpoint:
        """Where it connected."""
        return self.conversation.endpoint

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
        # Past the library's own sending: a server's frame is not masked, so one copy serves all clients.
        if content and self.open:
            self.connection.transport.write(content)

    async def drained(self) -> None:
        """Wait until the client has read most of what was written, or is gone."""
        if self.connection.paused and self.open:
            with contextlib.suppress(OSError):
                await self.connection.drain()

    def view(self) -> ClientView:
        """A copy for other threads."""
        talk = self.conversation
        subscription = dict(talk.subscription)
        return ClientView(self.endpoint.path, self._number, talk.authenticated, subscription, talk.wire.sent)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A handshake that was let in: where, as the how-manieth, what shall go wrong, and what its headers said."""

    endpoint: Endpoint
    number: int
    faults: Faults
    content_type: str | None
    key: str | None = field(repr=False)
    secret: str | None = field(repr=False)


class Ledger:
    """What the server counts, for other threads to read; it outlives a restart of the server."""

    def __init__(self) -> None:
        # Guarded by self._lock: written by the server's loop, read by everybody.
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._requests: Counter[str] = Counter()
        self._sent: Counter[StreamName] = Counter()

    @property
    def connections(self) -> Counter[str]:
        """Websocket handshakes ever begun, per path."""
        with self._lock:
            return self._connections.copy()

    @property
    def requests(self) -> Counter[str]:
        """Plain HTTP requests ever made, per path."""
        with self._lock:
            return self._requests.copy()

    @property
    def sent(self) -> Counter[StreamName]:
        """Events ever written to a socket, per stream; one that went to two clients counts twice."""
        with self._lock:
            return self._sent.copy()

    def count_connection(self, path: str) -> int:
        """Count a handshake; which one it is on this path, from 1."""
        with self._lock:
            self._connections[path] += 1
            return self._connections[path]

    def count_request(self, path: str) -> None:
        """Count a plain HTTP request."""
        with self._lock:
            self._requests[path] += 1

    def count_sent(self, events: Counter[StreamName]) -> None:
        """Count what was just written."""
        with self._lock:
            self._sent.update(events)


class Books:
    """What REST tells: the account, and the last prices. They outlive a restart of the server."""

    def __init__(self, market: Market) -> None:
        # Guarded by self._lock: written by the server's loop and by everybody who pushes, read by requests.
        self._lock = threading.Lock()
        self._account = _opening_account(market)
        self._tape = Tape()

    def note(self, stream: StreamName, messages: Iterable[Any], now_ns: int) -> None:
        """Keep what is being said, whether or not somebody listens."""
        with self._lock:
            if stream is not StreamName.FILLS:
                self._tape.note(messages)
                return
            for message in messages:
                self._account.note(message, now_ns)

    def set_close(self, symbol: str, price: float, day: date) -> None:
        """The price at which a session ended."""
        with self._lock:
            self._tape.set_close(symbol, price, day)

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[SimulatedAccount, Tape]]:
        """The account and the tape, which nobody else touches meanwhile."""
        with self._lock:
            yield self._account, self._tape


def _opening_account(market: Market) -> SimulatedAccount:
    if not isinstance(market, HoldingMarket):
        return SimulatedAccount()
    return SimulatedAccount(market.holdings(), None if market.cash is None else Decimal(str(market.cash)))


class AccountFace:
    """The simulated account for tests, from any thread; what is put in here, no stream tells."""

    def __init__(self, books: Books, now_ns: Callable[[], int]) -> None:
        self._books = books
        self._now_ns = now_ns

    def set_position(
        self, symbol: str, quantity: Number, average_price: Number | None = None, **raw: Any
    ) -> None:
        """Hold exactly this much, short is negative, 0 nothing; `raw` are fields of the answer as they shall be."""
        average = None if average_price is None else Decimal(str(average_price))
        holding = Holding(symbol, Decimal(str(quantity)), average, raw)
        with self._books.opened() as (account, _):
            account.set_holding(holding)

    def set_cash(self, dollars: Number) -> None:
        """Have exactly this much cash."""
        with self._books.opened() as (account, _):
            account.cash = Decimal(str(dollars))

    def add_order(self, raw: Mapping[str, Any]) -> str:
        """Have placed an order, or changed the one with its id; returns the id. Missing id and time are made up."""
        with self._books.opened() as (account, _):
            return account.add_order(raw, self._now_ns())

    def add_activity(
        self,
        kind: str,
        symbol: str | None = None,
        qty: Number | None = None,
        price: Number | None = None,
        *,
        at: datetime | int | None = None,
        **fields: Any,
    ) -> str:
        """Let something have happened, now or `at` an instant, and return its id; the positions stay as they are.

        `qty` is the change of the position (an assigned short call: +1), but a fill's is positive beside its
        `side`. Other fields of the answer, and `execution_id` for the second half of the id, come by name; None
        leaves a field out of the answer.
        """
        at_ns = self._now_ns() if at is None else epoch_nanoseconds(at)
        named = {"symbol": symbol, "qty": _number_text(qty), "price": _number_text(price)} | fields
        with self._books.opened() as (account, _):
            return account.add_activity(kind, self._now_ns() if at_ns is None else at_ns, named)


def _number_text(number: Number | None) -> str | None:
    return None if number is None else str(number)


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


class Floor:
    """Everything that happens inside the server's loop: handshakes, conversations, the market's play."""

    def __init__(
        self, market: Market, *, keys: Keys, limits: Limits, faults: Faults, ledger: Ledger, books: Books
    ) -> None:
        self.muted: frozenset[StreamName] = frozenset()
        self.clients: tuple[Client, ...] = ()  # replaced, never changed: other threads look at it
        self.pushed = PushQueue()
        self.clock = PlayingClock(market, steady=time.monotonic, computer_ns=time.time_ns)
        self.finished = threading.Event()
        self.loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        self.push_arrived = asyncio.Event()
        self._market = market
        self._keys = keys
        self._limits = limits
        self._ledger = ledger
        self._books = books
        self._faults = faults
        self._connections_before_faults: Counter[str] = Counter()
        self._requests_of_faults = 0
        self._interest = Interest()
        self._clock_started = asyncio.Event()
        self._arrivals: WeakKeyDictionary[ServerConnection, Arrival] = WeakKeyDictionary()
        self._connections: WeakSet[ServerConnection] = WeakSet()
        # Per path: who has the one place there, and until when (loop time) a departed client's place is held.
        self._holders: dict[str, ServerConnection] = {}
        self._held_until: dict[str, float] = {}
        # Sockets of half-open connections: neither read nor written, closed at the end.
        self._abandoned: list[socket.socket] = []
        self._closings: set[asyncio.Task[None]] = set()

    async def run(self, port: int, ready: Future[tuple[int, Floor]]) -> None:
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

    def set_faults(self, faults: Faults) -> None:
        """Let these go wrong from now on; connections are counted anew for them."""
        self._faults = faults
        self._connections_before_faults = self._ledger.connections
        self._requests_of_faults = 0

    async def _listen(self, port: int) -> Server:
        return await serve(
            self._converse,
            LOOPBACK,
            port,
            process_request=self._answer_handshake,
            process_response=self._announce_market,
            create_connection=cast("type[ServerConnection]", self._create_connection),
            # The same bytes for every client; a compressed frame would be each client's own.
            compression=None,
            close_timeout=CLOSE_SECONDS,
            max_size=LONGEST_REQUEST,
            open_timeout=HANDSHAKE_SECONDS,
            write_limit=WRITE_LIMIT,
            logger=log,
        )

    async def _shut_down(self, server: Server) -> None:
        server.close()
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
        path, _, query = request.path.partition("?")
        if "Upgrade" not in request.headers:
            return await self._answer_request(connection, request, path, query)
        endpoint = ENDPOINTS.get(path)
        if endpoint is None:
            return _json_response(
                connection, HTTPStatus.NOT_FOUND, {"message": f"there is no feed at {path}"}
            )
        number = self._ledger.count_connection(path)
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
            return _json_response(connection, faults.http_status, REFUSED)
        content_type = request.headers.get("Content-Type")
        self._arrivals[connection] = Arrival(endpoint, number, faults, content_type, *_offered_keys(request))
        return None

    def _faults_for(self, endpoint: Endpoint, number: int) -> Faults:
        since_set = number - self._connections_before_faults[endpoint.path]
        return self._faults if self._faults.concern(endpoint.stream, since_set) else NO_FAULTS

    async def _announce_market(self, _: ServerConnection, __: Request, response: Response) -> None:
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            response.headers[ANNOUNCEMENT_HEADER] = self.clock.announcement().header()

    async def _answer_request(
        self, connection: ServerConnection, request: Request, path: str, query: str
    ) -> Response | None:
        self._ledger.count_request(path)
        faults = self._faults_for_request(path)
        if await self._stopped_within(None if faults.rest_hang else faults.rest_slow):
            connection.transport.abort()
            await connection.wait_closed()
            return None
        if faults.rest_status is not None:
            return _refusal_response(connection, faults.rest_status, faults.rest_retry_after)
        if _offered_keys(request) != (self._keys.key, self._keys.secret):
            refused = refusal(HTTPStatus.UNAUTHORIZED, "access key verification failed")
            return _json_response(connection, HTTPStatus.UNAUTHORIZED, refused)
        # In a thread, because the calendar of trading hours takes a moment to load.
        status, content = await asyncio.to_thread(self._answer, path, query, self.clock.now_ns(), faults)
        return _json_response(connection, status, content, truncated=faults.rest_truncated)

    def _faults_for_request(self, path: str) -> Faults:
        if not self._faults.concern_request(path):
            return NO_FAULTS
        self._requests_of_faults += 1
        first = self._faults.rest_first_requests
        return self._faults if first is None or self._requests_of_faults <= first else NO_FAULTS

    async def _stopped_within(self, seconds: float | None) -> bool:
        """Wait so long (None: for ever), and say whether the server was told to stop meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                return await self.stopping.wait()
        except TimeoutError:
            return False

    def _answer(self, path: str, query: str, now_ns: int, faults: Faults) -> Answer:
        last_session = session_before(new_york_date(utc_datetime(now_ns)))
        with self._books.opened() as (account, tape):
            desk = Desk(self._market, tape, account, now_ns, last_session, self._limits, faults)
            return answer_request(path, query, desk)

    # One client.

    async def _converse(self, connection: ServerConnection) -> None:
        arrival = self._arrivals[connection]
        client = self._admit(connection, arrival)
        talk = client.conversation
        try:
            await self._perform(client, talk.open(arrival.key, arrival.secret))
            await self._authenticate(client)
            async for message in connection:
                await self._perform(client, talk.receive(message))
        except ConnectionClosed as error:
            log.debug("a client of %s left: %s", client.endpoint.path, error)
        finally:
            self._dismiss(client)

    def _admit(self, connection: ServerConnection, arrival: Arrival) -> Client:
        conversation = converse(
            arrival.endpoint,
            encoding=Encoding.of(arrival.content_type),
            keys=self._keys,
            limits=self._limits,
            faults=arrival.faults,
            claim_place=partial(self._claim_place, arrival.endpoint.path, connection),
        )
        client = Client(connection, arrival.number, conversation)
        self.clients = (*self.clients, client)
        return client

    async def _authenticate(self, client: Client) -> None:
        talk = client.conversation
        try:
            async with asyncio.timeout(self._limits.auth_timeout_seconds):
                while not talk.authenticated:
                    await self._perform(client, talk.receive(await client.connection.recv()))
        except TimeoutError:
            await self._perform(client, talk.time_out())

    def _dismiss(self, client: Client) -> None:
        self.clients = tuple(other for other in self.clients if other is not client)
        self._note_interest()
        path = client.endpoint.path
        if self._holders.get(path) is client.connection:
            del self._holders[path]
            self._held_until[path] = self.loop.time() + client.conversation.wire.faults.hold_session_seconds

    def _claim_place(self, path: str, connection: ServerConnection) -> bool:
        if not self._limits.one_connection:
            return True
        if path in self._holders or self.loop.time() < self._held_until.get(path, 0.0):
            return False
        self._holders[path] = connection
        return True

    async def _perform(self, client: Client, reply: Reply) -> None:
        """Send an answer; begin what a subscription makes due."""
        client.write(_framed(reply.payloads))
        if reply.close_code is not None:
            await _close_or_abort(client.connection, reply.close_code)
            return
        if client.conversation.listening:
            self._note_interest()
            self._start_clock()
            self._end_if_due(client)
        await client.drained()

    def _note_interest(self) -> None:
        symbols: dict[tuple[StreamName, str], frozenset[str]] = {}
        for client in self.clients:
            stream = client.endpoint.stream
            for channel, subscribed in client.conversation.subscription.items():
                symbols[stream, channel] = symbols.get((stream, channel), frozenset()).union(subscribed)
        self._interest.replace(symbols)

    # How a connection ends.

    def _end_if_due(self, client: Client) -> None:
        ending = client.conversation.wire.take_ending()
        if ending is not None and client.open:
            self.end(client, ending)

    def end(self, client: Client, ending: Ending) -> None:
        """End a running connection, politely or not; an error alone lets it go on."""
        if ending.error is not None:
            reply = client.conversation.in_stream_error(ending.error)
            client.write(_framed(reply.payloads))
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
        listening = {client.endpoint.stream for client in self.clients if client.conversation.listening}
        if self._market.awaited <= listening:
            self._let_run()
        else:
            self.loop.call_later(GATHERING_SECONDS, self._let_run)

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
        for step in self._market.steps(self._interest):
            self.clock.skip_silence(step.market_ns)
            wait = self.clock.seconds_until(step.market_ns)
            if batch and (wait > 0 or len(batch) >= BATCH):
                await self._deliver(batch)
                batch = []
            if wait > 0:
                await asyncio.sleep(wait)
            self.clock.reach(step.market_ns)
            self._books.note(step.stream, step.messages, step.market_ns)
            batch.append(MessageFrame(step.stream, step.messages))
        await self._deliver(batch)

    async def _deliver_pushes(self) -> None:
        while True:
            await self.push_arrived.wait()
            self.push_arrived.clear()
            while batch := self.pushed.take():
                try:
                    await self._deliver(batch)
                except (
                    Exception
                ):  # a task's last line: a message that cannot be sent must not stop all others
                    log.exception("what was pushed could not be sent")

    async def _deliver(self, frames: Sequence[OutgoingFrame]) -> None:
        """Write frames to everybody who wants them; in a lossless market, wait for the slowest."""
        events: Counter[StreamName] = Counter()
        for client in self.clients:
            if client.endpoint.stream not in self.muted:
                events[client.endpoint.stream] += self._send(client, frames)
        self._ledger.count_sent(events)
        # Let the others speak: a market at full speed would never wait by itself.
        await asyncio.sleep(0)
        for client in self.clients:
            await self._keep_pace(client)

    def _send(self, client: Client, frames: Sequence[OutgoingFrame]) -> int:
        """Events that were sent to this client."""
        if not client.open:
            return 0
        talk = client.conversation
        before = talk.wire.sent
        stream = client.endpoint.stream
        client.write(b"".join([frame.bytes_for(talk) for frame in frames if frame.stream is stream]))
        self._end_if_due(client)
        return talk.wire.sent - before

    async def _keep_pace(self, client: Client) -> None:
        if self._market.lossless:
            await client.drained()
        elif client.open and client.unsent_bytes > SLOW_CLIENT_BYTES:
            self.end(client, Ending(error=SLOW_CLIENT, close_code=1000))


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


def _offered_keys(request: Request) -> tuple[str | None, str | None]:
    return request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY")


def _json_response(
    connection: ServerConnection, status: int, content: Any, *, truncated: bool = False
) -> Response:
    body = TO_JSON(content).decode()
    response = connection.respond(status, body[: len(body) // 2] if truncated else body)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response


def _refusal_response(connection: ServerConnection, status: int, retry_after: float | None) -> Response:
    response = _json_response(connection, status, refusal(status, REFUSED["message"]))
    if retry_after is not None:
        response.headers["Retry-After"] = f"{retry_after:g}"
    return response


class SimulatorServer:
    """Plays a market on one loopback port; `start` and `stop`, or a `with` block.

    All work is done in the thread named `simulator`; every method here may be called from any other thread.
    """

    def __init__(
        self,
        market: Market,
        *,
        port: int = 0,
        faults: Faults = NO_FAULTS,
        key: str = DEMO_KEY,
        secret: str = DEMO_SECRET,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._market = market
        self._port = port
        self._faults = faults
        self._keys = Keys(key, secret)
        self._limits = limits
        self._ledger = Ledger()
        self._books = Books(market)
        self._thread: threading.Thread | None = None
        self._running: Floor | None = None

    def start(self) -> None:
        """Listen; returns when clients can connect, and raises ConfigError when the port is taken.

        A stopped server may be started again: it comes back on the same port, and its market begins anew.
        """
        ready: Future[tuple[int, Floor]] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="simulator", daemon=True)
        self._thread.start()
        try:
            self._port, self._running = ready.result()
        finally:
            if self._running is None:
                self._thread.join(STOP_SECONDS)

    def stop(self) -> None:
        """Close every connection and end the thread; harmless when it does not run."""
        floor, self._running = self._running, None
        if floor is not None:
            floor.loop.call_soon_threadsafe(floor.stopping.set)
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def stream_url(self) -> str:
        """The base of the market-data websockets."""
        return f"ws://{LOOPBACK}:{self._port}"

    @property
    def rest_url(self) -> str:
        """The base of the REST addresses, and of the trading stream."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def now_ns(self) -> int:
        """The market's time, epoch nanoseconds."""
        return self._floor.clock.now_ns()

    @property
    def finished(self) -> bool:
        """Whether the market has nothing more to say."""
        return self._floor.finished.is_set()

    @property
    def connections(self) -> Mapping[str, int]:
        """Websocket handshakes ever begun, per path; 0 for a path nobody tried."""
        return self._ledger.connections

    @property
    def requests(self) -> Mapping[str, int]:
        """Plain HTTP requests ever made, per path."""
        return self._ledger.requests

    @property
    def sent(self) -> Mapping[StreamName, int]:
        """Events ever written to a socket, per stream; one that went to two clients counts twice."""
        return self._ledger.sent

    @property
    def clients(self) -> Mapping[str, tuple[ClientView, ...]]:
        """Who is connected now, per path; a path without clients is absent."""
        views: dict[str, tuple[ClientView, ...]] = {}
        for client in self._floor.clients:
            view = client.view()
            views[view.path] = (*views.get(view.path, ()), view)
        return views

    def subscribed(self, stream: StreamName, channel: str | None = None) -> frozenset[str]:
        """The symbols that clients of a stream have subscribed to, on one channel or on any."""
        return frozenset(
            symbol
            for client in self._floor.clients
            if client.endpoint.stream is stream
            for name, symbols in client.conversation.subscription.items()
            if channel in (None, name)
            for symbol in symbols
        )

    def push(self, stream: StreamName, messages: Sequence[Any]) -> None:
        """Send exact wire messages, in one frame, to every client that subscribed to them.

        Returns before they are written, and waits only when a thousand frames are ahead. Times under `t` are
        msgpack extensions, datetimes, or whatever else the client shall get. A message without a channel's type
        goes to every client that subscribed to anything. REST knows of them from this moment on.
        """
        messages = list(messages)
        self._books.note(stream, messages, self.now_ns)
        self._push(MessageFrame(stream, messages))

    def push_frame(self, stream: StreamName, payload: bytes) -> None:
        """Send one frame that is encoded already, to every client of the stream that subscribed to anything."""
        self._push(EncodedFrame(stream, payload))

    def set_previous_close(self, symbol: str, price: float, day: date) -> None:
        """Let a session before today have ended at this price, for those who ask over REST."""
        self._books.set_close(symbol, price, day)

    @property
    def account(self) -> AccountFace:
        """The account behind the market, to change from a test."""
        return AccountFace(self._books, self._time_ns)

    def _time_ns(self) -> int:
        """The market's time, or the computer's while the server does not run."""
        return time.time_ns() if self._running is None else self.now_ns

    def flush(self, timeout: float = PUSH_PATIENCE_SECONDS) -> None:
        """Wait until all that was pushed has been written to the sockets, or was for nobody."""
        self._floor.pushed.wait_empty(timeout)

    def set_faults(self, faults: Faults) -> None:
        """Let these go wrong for connections to come, counted from now, and for every REST request."""
        self._faults = faults
        self._do(lambda floor: floor.set_faults(faults))

    def mute(self, on: bool = True, *, stream: StreamName | None = None) -> None:  # noqa: FBT001, FBT002 - as said
        """Send no more data, or send again; pings and control messages are answered all the while."""
        streams = frozenset(StreamName) if stream is None else frozenset({stream})

        def change(floor: Floor) -> None:
            floor.muted = floor.muted | streams if on else floor.muted - streams

        self._do(change)

    def disconnect_all(self, code: int = 1000, stream: StreamName | None = None) -> None:
        """Close every connection, or those of one stream, with a closing handshake."""
        self._end_all(Ending(close_code=code), stream)

    def reset_all(self, stream: StreamName | None = None) -> None:
        """Abort every TCP connection, or those of one stream."""
        self._end_all(Ending(reset=True), stream)

    def freeze_all(self, stream: StreamName | None = None) -> None:
        """Stop reading and writing without closing: what a dead network looks like to a client."""
        self._end_all(Ending(half_open=True), stream)

    @property
    def _floor(self) -> Floor:
        if self._running is None:
            raise RuntimeError("the simulator is not running: call start() first")
        return self._running

    def _run(self, ready: Future[tuple[int, Floor]]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: Future[tuple[int, Floor]]) -> None:
        floor = Floor(
            self._market,
            keys=self._keys,
            limits=self._limits,
            faults=self._faults,
            ledger=self._ledger,
            books=self._books,
        )
        await floor.run(self._port, ready)

    def _push(self, frame: OutgoingFrame) -> None:
        floor = self._floor
        if floor.pushed.put(frame):
            floor.loop.call_soon_threadsafe(floor.push_arrived.set)

    def _end_all(self, ending: Ending, stream: StreamName | None) -> None:
        def end(floor: Floor) -> None:
            for client in floor.clients:
                if stream in (None, client.endpoint.stream) and client.open:
                    floor.end(client, ending)

        self._do(end)

    def _do(self, action: Callable[[Floor], None]) -> None:
        """Do it inside the loop, and return when it is done."""
        floor = self._floor
        done: Future[None] = Future()

        def act() -> None:
            try:
                action(floor)
            except BaseException as error:  # noqa: BLE001 - the calling thread gets it
                done.set_exception(error)
            else:
                done.set_result(None)

        floor.loop.call_soon_threadsafe(act)
        done.result(STOP_SECONDS)
