"""The page that `page_refresh.py` serves: a run of the size asked for, of which every second brings other prices.

While the file that BENCH_SEED_WHILE names exists, a thread beside it asks BENCH_REST for all prices, again and again.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from _wire import settings_for
from tables import AS_OF, UNDERLYINGS, singles, snapshot_of

from apps.streamlit.components.live_portfolio_page import render_live_portfolio_page
from options_helper.clock import utc_now_ns
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.data.rest.client import AlpacaRest
from options_helper.data.rest.seeding import seed
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.data.streaming.state.live_state import LiveState
from options_helper.live.session import LiveSession, RunSettings, install_session, process_session
from options_helper.model.events import Quote
from options_helper.model.instants import NANOSECONDS
from options_helper.model.snapshot import LiveSnapshot
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
        """The snapshot of this second, made anew for each who asks, as a manager does; a round takes a minute."""
        return replace(self._frames[int(time.monotonic()) % SECONDS])


def _moved(snapshot: LiveSnapshot, second: int) -> LiveSnapshot:
    quotes = {
        symbol: Quote(
            symbol=symbol,
            timestamp=quote.timestamp,
            received_ns=quote.received_ns + second * NANOSECONDS,
            bid_price=quote.bid_price,
            ask_price=(quote.ask_price or 0.0) + (second + index) % 9 / 100,
        )
        for index, (symbol, quote) in enumerate(snapshot.option_quotes.items())
    }
    return replace(
        snapshot,
        as_of=AS_OF + timedelta(seconds=second),
        quotes=MappingProxyType({**snapshot.quotes, **quotes}),
    )


def begin(positions: int) -> None:
    """Start the run of this process."""
    session = LiveSession(build_manager=lambda _settings: Film(positions))
    install_session(session)
    portfolio_file = PortfolioFile(Path("bench.json"), "bench.json", portfolio=singles(positions))
    session.start(portfolio_file, RunSettings(max_option_contracts=1_000, idle_stop_minutes=0), Settings())


def begin_seeding(positions: int, url: str, while_exists: Path) -> None:
    """Seed on a thread as the account watch does, whenever the file is there."""
    contracts = tuple(item.live_symbol for item in singles(positions).instruments)
    state, lock = LiveState(fills_cache_size=200), threading.Lock()

    def once(rest: AlpacaRest) -> None:
        feeds = {"stock_feed": "iex", "options_feed": "indicative"}
        for batch in seed(rest, UNDERLYINGS, contracts, today=AS_OF.date(), **feeds):
            with lock:
                state.seed(batch.stream, [*batch.quotes, *batch.trades], utc_now_ns())

    def work() -> None:
        rest = AlpacaRest(replace(settings_for(url), rest_per_minute=10_000))
        while True:
            if while_exists.exists():
                once(rest)
            else:
                time.sleep(0.05)

    threading.Thread(target=work, name="live-prices", daemon=True).start()


if not os.environ["BENCH_FREEZE"]:
    # The baseline: Streamlit as it comes.
    gc.freeze = lambda: None
    gc.set_threshold = lambda *_: None
if not process_session().running:
    begin(int(os.environ["BENCH_POSITIONS"]))
    if os.environ.get("BENCH_REST"):
        begin_seeding(
            int(os.environ["BENCH_POSITIONS"]), os.environ["BENCH_REST"], Path(os.environ["BENCH_SEED_WHILE"])
        )
render_live_portfolio_page()
