"""A real websocket and HTTP server on a loopback port, in a thread of its own, that plays a market to its clients."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import date, datetime
from typing import Any, Final, Self

from options_helper.clock import utc_now_ns
from options_helper.model.instants import epoch_nanoseconds
from options_helper.model.streams import StreamName
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.counters import AccountFace, Counters, SimulatorState
from options_helper.simulator.faults import NO_FAULTS, Ending, Faults
from options_helper.simulator.market.market import Market
from options_helper.simulator.server_loop import GATHERING_SECONDS, LOOPBACK, ClientView, ServerLoop
from options_helper.simulator.wire.outgoing import (
    PUSH_PATIENCE_SECONDS,
    EncodedFrame,
    MessageFrame,
    OutgoingFrame,
)
from options_helper.simulator.wire.protocol import FIRST_ACCOUNT, NO_LIMITS, Keys, Limits

STOP_SECONDS: Final = 5.0


class SimulatorServer:
    """Plays a market on one loopback port; `start` and `stop`, or a `with` block.

    All work is done in the thread named `simulator`; every method here may be called from any other thread. A replay
    begins once each stream that it has events of has a subscriber, or `gathering_seconds` after the first one. With
    `compression` it agrees to deflate for clients that offer it, each of which then gets bytes of its own. `accounts`
    are the secrets of further accounts by their keys: each has orders, positions and activities of its own.
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
        computer_ns: Callable[[], int] = utc_now_ns,
        gathering_seconds: float = GATHERING_SECONDS,
        compression: bool = False,
        accounts: Mapping[str, str] | None = None,
    ) -> None:
        self._market = market
        self._port = port
        self._faults = faults
        self._keys = Keys(key, secret, dict(accounts or {}))
        self._limits = limits
        self._computer_ns = computer_ns
        self._gathering_seconds = gathering_seconds
        self._compression = compression
        self._counters = Counters()
        self._state = SimulatorState(market, self._keys.others)
        self._thread: threading.Thread | None = None
        self._running: ServerLoop | None = None

    def start(self) -> None:
        """Listen; returns when clients can connect, and raises ConfigError when the port is taken.

        A stopped server may be started again: it comes back on the same port, and its market begins anew.
        """
        ready: Future[tuple[int, ServerLoop]] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="simulator", daemon=True)
        self._thread.start()
        try:
            self._port, self._running = ready.result()
        finally:
            if self._running is None:
                self._thread.join(STOP_SECONDS)

    def stop(self) -> None:
        """Close every connection and end the thread; harmless when it does not run."""
        loop, self._running = self._running, None
        if loop is not None:
            loop.loop.call_soon_threadsafe(loop.stopping.set)
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
        return self._loop.clock.now_ns()

    @property
    def finished(self) -> bool:
        """Whether the market has nothing more to say."""
        return self._loop.finished.is_set()

    @property
    def connections(self) -> Mapping[str, int]:
        """Websocket handshakes ever begun, per path; 0 for a path nobody tried."""
        return self._counters.connections

    @property
    def requests(self) -> Mapping[str, int]:
        """Plain HTTP requests ever made, per path."""
        return self._counters.requests

    @property
    def sent(self) -> Mapping[StreamName, int]:
        """Events ever written to a socket, per stream; one that went to two clients counts twice."""
        return self._counters.sent

    @property
    def clients(self) -> Mapping[str, tuple[ClientView, ...]]:
        """Who is connected now, per path; a path without clients is absent."""
        views: dict[str, tuple[ClientView, ...]] = {}
        for client in self._loop.clients:
            view = client.view()
            views[view.path] = (*views.get(view.path, ()), view)
        return views

    def subscribed(self, stream: StreamName, channel: str | None = None) -> frozenset[str]:
        """The symbols that clients of a stream have subscribed to, on one channel or on any."""
        return frozenset(
            symbol
            for client in self._loop.clients
            if client.endpoint.stream is stream
            for name, symbols in client.protocol.subscription.items()
            if channel in (None, name)
            for symbol in symbols
        )

    def push(self, stream: StreamName, messages: Sequence[Any], *, account: str = FIRST_ACCOUNT) -> None:
        """Send exact wire messages, in one frame, to every client that subscribed to them; orders to their account's.

        Returns before they are written, and waits only when a thousand frames are ahead. Times under `t` are
        msgpack extensions, datetimes, or whatever else the client shall get. A message without a channel's type
        goes to every client that subscribed to anything. REST knows of them from this moment on.
        """
        messages = list(messages)
        self._state.note(stream, messages, self.now_ns, account)
        self._push(MessageFrame(stream, messages, account))

    def push_frame(self, stream: StreamName, payload: bytes) -> None:
        """Send one frame that is encoded already, to every client of the stream that subscribed to anything."""
        self._push(EncodedFrame(stream, payload))

    def set_previous_close(self, symbol: str, price: float, day: date) -> None:
        """Let a session before today have ended at this price, for those who ask over REST."""
        self._state.set_close(symbol, price, day)

    @property
    def account(self) -> AccountFace:
        """The account behind the market, to change from a test."""
        return self.account_of(FIRST_ACCOUNT)

    def account_of(self, key: str) -> AccountFace:
        """One of the further accounts, by its key."""
        return AccountFace(self._state, self._time_ns, key)

    def _time_ns(self) -> int:
        """The market's time, or the computer's while the server does not run."""
        return self._computer_ns() if self._running is None else self.now_ns

    def flush(self, timeout: float = PUSH_PATIENCE_SECONDS) -> None:
        """Wait until all that was pushed has been written to the sockets, or was for nobody."""
        self._loop.pushed.wait_empty(timeout)

    def jump(self, to: datetime) -> None:
        """Let it be this market time now, with all that is due by then; clients learn of it by the next event."""
        market_ns = epoch_nanoseconds(to) or 0
        self._do(lambda loop: loop.jump(market_ns))

    def set_faults(self, faults: Faults) -> None:
        """Let these go wrong for connections to come, counted from now, and for every REST request."""
        self._faults = faults
        self._do(lambda loop: loop.set_faults(faults))

    def mute(self, on: bool = True, *, stream: StreamName | None = None) -> None:  # noqa: FBT001, FBT002 - as said
        """Send no more data, or send again; pings and control messages are answered all the while."""
        streams = frozenset(StreamName) if stream is None else frozenset({stream})

        def change(loop: ServerLoop) -> None:
            loop.muted = loop.muted | streams if on else loop.muted - streams

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
    def _loop(self) -> ServerLoop:
        if self._running is None:
            raise RuntimeError("the simulator is not running: call start() first")
        return self._running

    def _run(self, ready: Future[tuple[int, ServerLoop]]) -> None:
        try:
            asyncio.run(self._serve(ready))
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    async def _serve(self, ready: Future[tuple[int, ServerLoop]]) -> None:
        loop = ServerLoop(
            self._market,
            keys=self._keys,
            limits=self._limits,
            faults=self._faults,
            counters=self._counters,
            state=self._state,
            computer_ns=self._computer_ns,
            gathering_seconds=self._gathering_seconds,
            compression=self._compression,
        )
        await loop.run(self._port, ready)

    def _push(self, frame: OutgoingFrame) -> None:
        loop = self._loop
        if loop.pushed.put(frame):
            loop.loop.call_soon_threadsafe(loop.push_arrived.set)

    def _end_all(self, ending: Ending, stream: StreamName | None) -> None:
        def end(loop: ServerLoop) -> None:
            for client in loop.clients:
                if stream in (None, client.endpoint.stream) and client.open:
                    loop.end(client, ending)

        self._do(end)

    def _do(self, action: Callable[[ServerLoop], None]) -> None:
        """Do it inside the loop, and return when it is done."""
        loop = self._loop
        done: Future[None] = Future()

        def act() -> None:
            try:
                action(loop)
            except BaseException as error:  # noqa: BLE001 - the calling thread gets it
                done.set_exception(error)
            else:
                done.set_result(None)

        loop.loop.call_soon_threadsafe(act)
        done.result(PUSH_PATIENCE_SECONDS)
