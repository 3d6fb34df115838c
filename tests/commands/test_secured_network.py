"""The whole product on a bus with TLS and roles, each program a process of its own, and no secret anywhere."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.bus.access import CA_VARIABLE, SEED_VARIABLE
from options_helper.bus.connection import BusConnection
from options_helper.bus.names import Names
from options_helper.bus.viewer import BusManager
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.model.announcement import MarketKind
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamName
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.settings import DEMO_KEY, DEMO_SECRET, Settings
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.commands.test_bus_commands import command
from tests.kit.builders import holding, nanoseconds, new_york, portfolio
from tests.kit.secured import DESK, SecuredBus, secured_bus
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until

WELL = (Phase.LIVE, Phase.QUIET)


def kept(bus: SecuredBus) -> bytes:
    """All that the bus keeps, as its owner may read it."""

    async def read() -> bytes:
        connection = BusConnection(bus.user("owner").address)
        await connection.open("a test")
        names, found = Names(DESK), b""
        for store in (names.state_store, names.account_state_store, names.market_store, names.account_store):
            for sequence in range(1, await connection.last_sequence(store) + 1):
                if (message := await connection.message(store, sequence)) is not None:
                    found += message.data
        await connection.close()
        return found

    return asyncio.run(asyncio.wait_for(read(), AT_ONCE))


@pytest.mark.processes
def test_owner_watch_and_viewer_follow_each_other_with_the_rights_of_their_roles(tmp_path: Path):
    (tmp_path / "portfolio.json").write_text(
        portfolio_text(portfolio(holding("AAPL", 100))), encoding="utf-8"
    )
    market = SimulatorServer(
        SilentMarket(start_ns=nanoseconds(new_york("2026-11-20 11:00"))), key=DEMO_KEY, secret=DEMO_SECRET
    )
    market.start()
    keys = {
        "APCA_API_KEY_ID": DEMO_KEY,
        "APCA_API_SECRET_KEY": DEMO_SECRET,
        "APCA_API_BASE_URL": market.rest_url,
        "OH_ALPACA_DATA_URL": market.rest_url,
        "OH_ALPACA_STREAM_URL": market.stream_url,
    }
    owned, watched = tmp_path / "owner.json", tmp_path / "watch.json"
    with secured_bus(tmp_path) as bus:
        place = ("--bus", bus.url, "--desk", DESK)
        of_owner, of_laptop = bus.user("owner").environment, bus.user("laptop").environment
        assert set(of_owner) == {SEED_VARIABLE, CA_VARIABLE}
        serve = ("stream", "serve", *place, "--keep", "0.05", "--state", str(owned))
        viewer = BusManager(Settings(), bus.user("study").address)
        with (
            command(tmp_path, {**keys, **of_owner}, *serve) as owner,
            command(tmp_path, of_laptop, "watch", *place, "--state", str(watched)) as watch,
        ):
            try:
                viewer.start(LiveStreamConfig(stocks=("AAPL",)))
                wait_until(
                    lambda: (
                        (beat := read_heartbeat(watched))
                        and (stocks := beat.streams.get("stocks"))
                        and stocks.phase in WELL
                        and beat.market is MarketKind.SIMULATED
                        and stocks.acknowledged == 1
                    ),
                    A_PROCESS,
                    saw=lambda: (read_heartbeat(owned), read_heartbeat(watched)),
                )
                wait_until(
                    lambda: all(
                        viewer.snapshot().streams[name].phase in WELL
                        for name in (StreamName.STOCKS, StreamName.FILLS)
                    ),
                    A_PROCESS,
                    saw=lambda: viewer.snapshot().streams,
                )
                wait_until(lambda: viewer.snapshot().account.view is not None, A_PROCESS)
                beat = read_heartbeat(watched)
                assert beat is not None
                fills = beat.streams.get("fills")
                assert fills is None or fills.phase is Phase.OFF, "its seed is for prices"

                watch.send_signal(signal.SIGTERM)
                watch_said, _ = watch.communicate(timeout=A_PROCESS)
                owner.send_signal(signal.SIGTERM)
                owner_said, _ = owner.communicate(timeout=A_PROCESS)
            finally:
                viewer.stop()
                market.stop()
        on_the_bus = kept(bus)
        seeds = bus.seeds

    assert (owner.returncode, watch.returncode) == (0, 0), owner_said + watch_said
    places = [owner_said, watch_said, owned.read_text(), watched.read_text(), repr(viewer.snapshot())]
    places += [path.read_text(errors="replace") for path in (tmp_path / "state").rglob("*") if path.is_file()]
    for secret in (*seeds, DEMO_SECRET, DEMO_KEY):
        assert not [place for place in places if secret in place]
        assert secret.encode() not in on_the_bus


@pytest.mark.processes
@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("laptop", "does not let laptop (viewer) publish to $JS.API"),
        ("nas", "does not let nas (recorder) publish to $JS.API"),
        (None, "wants to know who asks. Set OH_BUS_SEED_FILE"),
    ],
)
def test_who_is_no_owner_cannot_serve_and_is_told_why_before_anything_begins(user, words, tmp_path: Path):
    keys = {"APCA_API_KEY_ID": DEMO_KEY, "APCA_API_SECRET_KEY": DEMO_SECRET}
    with secured_bus(tmp_path) as bus:
        access = {CA_VARIABLE: str(bus.ca_file)} if user is None else bus.user(user).environment
        with command(
            tmp_path, {**keys, **access}, "stream", "serve", "--bus", bus.url, "--desk", DESK
        ) as owner:
            said, _ = owner.communicate(timeout=A_PROCESS)

    assert owner.returncode == 2
    assert words in said
    assert "Traceback" not in said
