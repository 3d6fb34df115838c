"""A market that runs in this process, and the variables by which a client finds it instead of Alpaca."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from options_helper.model.announcement import MarketKind
from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import load_portfolio
from options_helper.settings import DEFAULT_REST_PER_MINUTE, DEMO_KEY, DEMO_SECRET, NO_COMPRESSION
from options_helper.simulator.faults import NO_FAULTS, Faults
from options_helper.simulator.market.conditions import NO_CONDITIONS, Conditions
from options_helper.simulator.market.market import Market
from options_helper.simulator.market.pricing import RATE
from options_helper.simulator.server import SimulatorServer


def simulated_market(
    portfolio: Path, seed: int | None = None, conditions: Conditions = NO_CONDITIONS
) -> Market:
    """Make up a market for everything the portfolio holds; ConfigError when it cannot be read."""
    from options_helper.simulator.market.seeded import DEFAULT_SEED, SeededMarket

    held = load_portfolio(portfolio)
    return SeededMarket(held, seed=DEFAULT_SEED if seed is None else seed, conditions=conditions)


def replayed_market(directory: Path, speed: float) -> Market:
    """Play recorded files again at `speed` times their pace, 0 for as fast as they can be read."""
    from options_helper.simulator.market.replay import ReplayMarket

    return ReplayMarket(directory, speed=speed)


@contextmanager
def serve_market(market: Market, *, port: int = 0, faults: Faults = NO_FAULTS) -> Iterator[Mapping[str, str]]:
    """Serve the market on loopback for the time of the context, and say how to find it.

    The keys are the simulator's own, so that a user's real ones stay where they are.
    """
    with SimulatorServer(market, port=port, faults=faults, key=DEMO_KEY, secret=DEMO_SECRET) as server:
        now = utc_datetime(server.now_ns)
        # What its prices earn; a recording is of a market whose rate is the user's to say.
        rates = {"OH_RISK_RATES": f"{new_york_date(now)} {RATE}"}
        yield {
            "APCA_API_KEY_ID": DEMO_KEY,
            "APCA_API_SECRET_KEY": DEMO_SECRET,
            "APCA_API_BASE_URL": server.rest_url,
            "OH_ALPACA_DATA_URL": server.rest_url,
            "OH_ALPACA_STREAM_URL": server.stream_url,
            "OH_ALPACA_STOCK_FEED": "iex",
            "OH_ALPACA_OPTIONS_FEED": "indicative",
            "OH_ALPACA_REST_PER_MINUTE": str(DEFAULT_REST_PER_MINUTE),
            "OH_ALPACA_COMPRESSION": NO_COMPRESSION,
            # Before anything is connected, a page has to know of what day the book is to be shown.
            "OH_ALPACA_MARKET_TIME": now.isoformat(timespec="seconds"),
            **(rates if market.kind is MarketKind.SIMULATED else {}),
        }
