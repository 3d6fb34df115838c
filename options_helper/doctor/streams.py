"""Look into each stream for a moment: connect, authenticate, ask for one symbol, hear the answer, leave.

A run that holds a stream keeps it: the server refuses the second connection, which is this one.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from urllib.parse import urlsplit

from options_helper.data.network import proxy_for
from options_helper.data.streaming.alpaca_stream import AlpacaOptionStreamer, AlpacaStockStreamer
from options_helper.data.streaming.alpaca_trading_stream import AlpacaTradingStreamer
from options_helper.data.streaming.connection.alpaca_sdk import ConnectionTiming
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.doctor.findings import Finding, Verdict, explained
from options_helper.errors import StreamError
from options_helper.model.alpaca_symbols import contract_symbol
from options_helper.model.streams import StreamId, StreamName, fills_of
from options_helper.monitoring.stream_holders import stream_holder
from options_helper.settings import Settings

# Connecting, the answer to the key and the acknowledgement may each take so long.
STREAM_TIMING: Final = ConnectionTiming(opening=5.0, acknowledgement=5.0)
STOCK: Final = "SPY"
TEST_STOCK: Final = "FAKEPACA"


@dataclass(frozen=True, slots=True)
class Visit:
    """A stream to look into: what is asked of it, and how a streamer is made that asks it."""

    name: StreamId
    feed: str
    requested: str
    address: str
    variable: str  # what to check when the address does not answer
    connect: Callable[[StreamSink], Streamer]


def stock_visit(settings: Settings, timing: ConnectionTiming) -> Visit:
    """Look into the stock feed that is set."""
    feed = settings.stock_feed
    symbol = TEST_STOCK if feed == "test" else STOCK

    def connect(sink: StreamSink) -> Streamer:
        streamer = AlpacaStockStreamer(settings, feed=feed, sink=sink, timing=timing)
        streamer.subscribe((symbol,), channels=("quotes",))
        return streamer

    return Visit(StreamName.STOCKS, feed, symbol, settings.stream_url, "OH_ALPACA_STREAM_URL", connect)


def option_visit(settings: Settings, timing: ConnectionTiming, today: date) -> Visit:
    """Look into the option feed that is set."""
    feed = settings.options_feed
    contract = contract_symbol(STOCK, listed_expiry(today), "call", 600)

    def connect(sink: StreamSink) -> Streamer:
        streamer = AlpacaOptionStreamer(settings, feed=feed, sink=sink, timing=timing)
        streamer.subscribe((contract,), channels=("quotes",))
        return streamer

    return Visit(StreamName.OPTIONS, feed, contract, settings.stream_url, "OH_ALPACA_STREAM_URL", connect)


def order_visit(settings: Settings, timing: ConnectionTiming) -> Visit:
    """Look into the account's own stream."""

    def connect(sink: StreamSink) -> Streamer:
        streamer = AlpacaTradingStreamer(settings, sink=sink, timing=timing)
        streamer.subscribe_trade_updates()
        return streamer

    stream, address = fills_of(settings.account), settings.trading_stream_url
    return Visit(stream, "trading", "listening", address, "APCA_API_BASE_URL", connect)


def listed_expiry(today: date) -> date:
    """A day on which contracts of large funds expire: the third Friday of a December, which is never a holiday."""
    year = today.year + (today.month == 12)
    return next(day for day in (date(year, 12, number) for number in range(15, 22)) if day.weekday() == 4)


class _Visitor(StreamSink):
    """Hears one connection as far as the acknowledgement, notes when, and leaves."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.leave: Callable[[], None] = lambda: None
        self.announcement: str | None = None
        self.refusals: Mapping[str, str] = {}
        self.connected_at: float | None = None
        self.acknowledged_at: float | None = None

    def connected(self, announcement: str | None) -> None:
        self.connected_at = self._clock()
        self.announcement = announcement

    def subscribed(
        self,
        requested: Sequence[str],  # noqa: ARG002 - the sink's signature
        acknowledged: Sequence[str],  # noqa: ARG002
        refusals: Mapping[str, str],
    ) -> None:
        self.acknowledged_at = self._clock()
        self.refusals = refusals
        self.leave()

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        """Data are not what was come for."""

    def notice(self, sentence: str) -> None:
        """A complaint that ends nothing; what it leads to is told."""

    def invite(self) -> None:
        """A visit is one try."""


def visit_stream(
    visit: Visit, holder: Callable[[], str | None], clock: Callable[[], float] = time.monotonic
) -> Finding:
    """Connect, authenticate, ask for one symbol, hear the acknowledgement, leave. Blocks.

    `holder` says what on this computer holds the stream, for the case that it is held.
    """
    if problem := _unresolved(visit.address):
        return Finding(Verdict.FAILED, problem, _check_network(visit))
    visitor = _Visitor(clock)
    streamer = visit.connect(visitor)
    visitor.leave = streamer.stop
    began = clock()
    try:
        streamer.run()
    except StreamError as error:
        # That every symbol was refused may end the run in order as well: by then we are leaving.
        if not visitor.refusals:
            return _slot_taken(visit, error, holder()) if error.code == 406 else _not_welcomed(visit, error)
    if visitor.refusals:
        return _symbol_refused(visit, visitor)
    return _welcomed(visit, visitor, began, clock())


def _not_welcomed(visit: Visit, error: StreamError) -> Finding:
    own_fault = error.code is not None and error.code >= 500
    return explained(error, "That is the server's fault." if own_fault else _check_network(visit))


def _check_network(visit: Visit) -> str:
    return f"Check the network, a firewall or proxy in between, and {visit.variable}."


def _unresolved(url: str) -> str | None:
    """What is wrong with the address's name. A name server that does not answer keeps only this thread waiting."""
    host = urlsplit(url).hostname or ""
    if url.startswith("wss:") and proxy_for(host) is not None:
        return None  # the proxy looks it up
    try:
        # The event loop would look it up on a thread that the program waits for at its end.
        socket.getaddrinfo(host, None)
    except OSError:
        return f"The name {host} leads to no address."
    return None


def _welcomed(visit: Visit, visitor: _Visitor, began: float, left: float) -> Finding:
    connected, acknowledged = visitor.connected_at or left, visitor.acknowledged_at or left
    seconds = {
        "connected and authenticated": connected - began,
        "acknowledged": acknowledged - connected,
        "left": left - acknowledged,
    }
    simulated = "" if visitor.announcement is None else "; a SIMULATED market answers"
    return Finding(
        Verdict.OK,
        f"{visit.feed} at {urlsplit(visit.address).netloc}: connected and authenticated in "
        f"{seconds['connected and authenticated']:.2f} s, {visit.requested} acknowledged in "
        f"{seconds['acknowledged']:.2f} s, left in {seconds['left']:.2f} s{simulated}",
        None,
        {step: f"{taken:.3f} s" for step, taken in seconds.items()},
    )


def _symbol_refused(visit: Visit, visitor: _Visitor) -> Finding:
    reason = next(iter(visitor.refusals.values())).rstrip(".")
    return Finding(
        Verdict.WARNING,
        f"The {visit.feed} feed let us in and refused {visit.requested}: {reason}.",
        "Other symbols may work; press Start and look under Details.",
    )


def _slot_taken(visit: Visit, error: StreamError, holder: str | None) -> Finding:
    if holder is not None:
        return Finding(
            Verdict.WARNING,
            f"The one connection to the {visit.feed} feed is in use by {holder}, as it should be while that runs.",
            "Nothing to do; to test this stream, stop that first.",
        )
    message = explained(error, "").message
    return Finding(
        Verdict.FAILED,
        f"{message} The one connection that the account may have is taken.",
        "Stop the other program, tab or computer that uses this feed with your account; if there is none, Alpaca "
        "still holds an old session, so look again in 90 s.",
    )


def holder_of(visit: Visit, environ: Mapping[str, str], now: datetime, key: str | None = None) -> str | None:
    """The program of this computer whose heartbeat says that it uses this feed; None where none does.

    With a `market_key` none of another server or account.
    """
    return stream_holder([(visit.name, visit.feed)], now, environ, key=key)
