"""ICICI's Breeze as a source of streams: five levels of depth and the best prices on NSE, BSE and NFO."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from options_helper.data.breeze.master import require_symbols
from options_helper.data.streaming.breeze.streamer import BreezeStreamer, Pass
from options_helper.data.streaming.breeze.ticks import decode_tick
from options_helper.data.streaming.connection.alpaca_sdk import DEFAULT_TIMING, ConnectionTiming
from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig, StreamRequest
from options_helper.data.streaming.messages import Decode
from options_helper.model.streams import BOOKS, StreamId
from options_helper.settings import BreezeSettings, Settings

BREEZE_BOOKS: Final = StreamId(BOOKS, "breeze")


def breeze_request(symbols: Iterable[str], channels: Iterable[str] = ("depth",)) -> StreamRequest:
    """What to put into `LiveStreamConfig.further` for these symbols, written as `NSE:RELIANCE`.

    ConfigError for one that names no exchange; whether the exchange has it is known once the list of instruments is.
    """
    wanted = tuple(symbols)
    require_symbols(wanted)
    return StreamRequest(BREEZE_BOOKS, wanted, feed="nse", channels=tuple(channels))


@dataclass(frozen=True, slots=True)
class BreezeSource:
    """Breeze's one stream, for `LiveStreamManager(source=…)`; off unless `BREEZE_ENABLED` says otherwise.

    `load` gives its settings, which are others than Alpaca's: from the environment and `config/alpaca.env` at each
    connection, so that the new session of a day is taken without a restart.
    """

    load: Callable[[], BreezeSettings] = BreezeSettings.load
    timing: ConnectionTiming = DEFAULT_TIMING
    day: Pass = field(default_factory=Pass, repr=False)

    @property
    def streams(self) -> tuple[StreamId, ...]:
        """Books, which its quotes come with."""
        return (BREEZE_BOOKS,)

    def check(self, settings: Settings) -> None:  # noqa: ARG002 - those are Alpaca's
        """It must be switched on, and needs an app key and a session."""
        self.load().require_session()

    def streamer(
        self,
        stream: StreamId,  # noqa: ARG002 - there is one
        settings: Settings,  # noqa: ARG002 - those are Alpaca's
        config: LiveStreamConfig,  # noqa: ARG002 - symbols and channels come by `subscribe`
        sink: StreamSink,
    ) -> BreezeStreamer:
        """A fresh connection, without symbols yet."""
        return BreezeStreamer(self.load, self.day, sink=sink, timing=self.timing)

    def decoder(self, stream: StreamId) -> Decode:  # noqa: ARG002 - there is one
        """What reads its ticks, live and in a journal."""
        return decode_tick
