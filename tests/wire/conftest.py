"""Servers and bare SDK clients for tests on a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from options_helper.simulator.market.market import Market, SilentMarket
from options_helper.simulator.server import SimulatorServer


@pytest.fixture
def running_simulator() -> Iterator[Callable[..., SimulatorServer]]:
    """Start simulated servers; `running_simulator(faults=…, limits=…)` listens, and the test's end stops it."""
    servers: list[SimulatorServer] = []

    def start(market: Market | None = None, **options: Any) -> SimulatorServer:
        server = SimulatorServer(market or SilentMarket(), **options)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()
