"""One connection for each stream, however many runs of this process want it.

An account has one connection for each feed, and a page and a recorder in one process have a run each: queue, ledger,
gaps and retrying of their own. What they share is the connection alone. The first run makes it, the last one ends it;
its frames go to all of them with one moment of receipt, each run is sent its share, and the server is asked for what
they want together.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from options_helper.clock import utc_now_ns
from options_helper.data.streaming.connection.connection_runner import Streamer, StreamSink
from options_helper.data.streaming.engine.shared_connection import SharedConnection, SharedStreamer
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_source import StreamSource
from options_helper.data.streaming.messages import Decode, decode_frame
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId
from options_helper.settings import Settings


class SharedConnections:
    """The connections of one process to the streams of a source; `of` gives each run a source of its own.

    `now_ns` tells when a frame arrived, epoch nanoseconds.
    """

    def __init__(self, source: StreamSource, *, now_ns: Callable[[], int] = utc_now_ns) -> None:
        self._source = source
        self._now_ns = now_ns
        self._lock = threading.Lock()
        # Guarded by self._lock; by the account too where a stream is an account's own.
        self._connections: dict[tuple[StreamId, str], SharedConnection] = {}

    def of(self, user: str) -> SharedSource:
        """The source for one run; `user` names it in sentences for the others: "the recording"."""
        return SharedSource(self, self._source, user)

    def connection(self, stream: StreamId, account: str = DEFAULT_ACCOUNT) -> SharedConnection:
        """The one of that stream; of a stream that carries orders, the one of that account."""
        key = stream, account if stream.kind.carries_orders else DEFAULT_ACCOUNT
        with self._lock:
            found = self._connections.get(key)
            if found is None:
                found = self._connections[key] = SharedConnection(stream, self._source, self._now_ns)
            return found


class SharedSource:
    """A `StreamSource` whose streamers share their connections with those of other runs.

    A stream whose frames this program cannot part by symbol is not shared: that run has a connection for itself.
    """

    def __init__(self, connections: SharedConnections, source: StreamSource, user: str) -> None:
        self._connections = connections
        self._source = source
        self._user = user

    @property
    def streams(self) -> Sequence[StreamId]:
        """All that there are."""
        return self._source.streams

    def check(self, settings: Settings) -> None:
        """As the source does."""
        self._source.check(settings)

    def decoder(self, stream: StreamId) -> Decode:
        """As the source does."""
        return self._source.decoder(stream)

    def streamer(
        self, stream: StreamId, settings: Settings, config: LiveStreamConfig, sink: StreamSink
    ) -> Streamer:
        """A part in the connection, made when it runs and nobody has made it."""
        if stream.kind.channels and self._source.decoder(stream) is not decode_frame:
            return self._source.streamer(stream, settings, config, sink)
        connection = self._connections.connection(stream, settings.account)
        return SharedStreamer(connection, self._user, settings, config, sink)
