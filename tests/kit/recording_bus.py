"""A recorder on a test's own bus, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from options_helper.bus.address import BusAddress
from options_helper.bus.recording import BusRecording
from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.clock import utc_now_ns
from options_helper.data.intraday_store import IntradayStore, StorePolicy
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.model.snapshot import StreamHealth
from options_helper.model.streams import StreamName
from options_helper.settings import Settings
from tests.kit.waiting import FOREVER

STOCKS: Final = StreamName.STOCKS
WANTED: Final = LiveStreamConfig(
    stocks=("AAPL", "MSFT"),
    stream_options=False,
    stream_fills=False,
    reconnect_base_seconds=0.02,
    reconnect_cap_seconds=0.05,
)
# One member for each file, at the end.
AT_THE_END: Final = StorePolicy(flush_rows=1_000_000, flush_seconds=FOREVER)


def recorder(
    address: BusAddress,
    out: Path,
    streams: LiveStreamConfig = WANTED,
    *,
    policy: StorePolicy = AT_THE_END,
    **more: Any,
) -> CaptureEngine:
    """One that has not begun; it has no keys."""
    now_ns = more.pop("now_ns", utc_now_ns)
    bus = BusRecording(address, now_ns=now_ns, **more)
    return CaptureEngine(CaptureConfig(streams, out, policy=policy), Settings(), bus=bus, now_ns=now_ns)


@contextmanager
def recording(address: BusAddress, out: Path, *arguments: Any, **more: Any) -> Iterator[CaptureEngine]:
    """One at work; it ends in order, and its ledger is checked."""
    engine = recorder(address, out, *arguments, **more)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
        assert engine.status().accounted, engine.status().streams


def stocks(engine: CaptureEngine) -> StreamHealth:
    """How its stream of stocks is."""
    return engine.status().streams[STOCKS]


def bids(out: Path, symbol: str = "AAPL") -> list[float]:
    """The bids that were recorded, in order."""
    if not any(out.glob(f"stocks/quotes/tick/{symbol}/*")):
        return []
    return [float(bid) for bid in IntradayStore(out).read("stocks", "quotes", symbol)["bid_price"]]
