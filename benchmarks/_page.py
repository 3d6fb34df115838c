"""The page that `page_refresh.py` serves: a run of the size asked for, of which every second brings other prices."""

from __future__ import annotations

import gc
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from tables import AS_OF, singles, snapshot_of

from apps.streamlit.components.live_portfolio_page import render_live_portfolio_page
from options_helper.data.portfolio_file import Book
from options_helper.data.streaming.events import NANOSECONDS, Quote
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.data.streaming.live_session import Choices, LiveSession, install_session, process_session
from options_helper.data.streaming.snapshot import LiveSnapshot
from options_helper.settings import Settings

SECONDS = 60


class Film:
    """A manager without streams: it shows one prepared snapshot after the other, so that only drawing is measured."""

    def __init__(self, positions: int) -> None:
        first = snapshot_of(singles(positions))
        self._frames = [_moved(first, second) for second in range(SECONDS)]
        self._running = False

    def start(self, config: LiveStreamConfig) -> None:  # noqa: ARG002 - there is nothing to connect to
        """Begin."""
        self._running = True

    def stop(self) -> None:
        """End."""
        self._running = False

    def is_running(self) -> bool:
        """Whether it was begun."""
        return self._running

    def snapshot(self) -> LiveSnapshot:
        """The snapshot of this second; a round takes a minute."""
        return self._frames[int(time.monotonic()) % SECONDS]


def _moved(snapshot: LiveSnapshot, second: int) -> LiveSnapshot:
    quotes = {
        symbol: Quote(
            symbol=symbol,
            timestamp=quote.timestamp,
            received_ns=quote.received_ns + second * NANOSECONDS,
            bid_price=quote.bid_price,
            ask_price=(quote.ask_price or 0.0) + (second + place) % 9 / 100,
        )
        for place, (symbol, quote) in enumerate(snapshot.option_quotes.items())
    }
    return replace(snapshot, as_of=AS_OF + timedelta(seconds=second), option_quotes=MappingProxyType(quotes))


def begin(positions: int) -> None:
    """Start the run of this process, once."""
    if process_session().running:
        return
    session = LiveSession(build_manager=lambda _settings: Film(positions))
    install_session(session)
    book = Book(Path("bench.json"), "bench.json", portfolio=singles(positions))
    session.start(book, Choices(max_option_contracts=1_000, idle_stop_minutes=0), Settings())


if not os.environ["BENCH_FREEZE"]:
    gc.freeze = lambda: None  # the baseline: Streamlit as it comes
begin(int(os.environ["BENCH_POSITIONS"]))
render_live_portfolio_page()
