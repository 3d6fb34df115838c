"""A watch with the real client: streams or REST, rules of a file, and a message at a real ntfy's address."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC
from pathlib import Path

import pytest

from options_helper.alerting.judging import named_rules
from options_helper.alerting.program import ProgramAlerts
from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.clock import utc_now
from options_helper.data.notify.targets import load_targets
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.model.streams import StreamName
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.watch.book import FileBook
from options_helper.watch.engine import Watch, Watching
from options_helper.watch.readings import Observer
from options_helper.watch.rest_follower import RestFollower
from tests.kit.alerting import alert_books
from tests.kit.builders import holding, nanoseconds, new_york, portfolio, position
from tests.kit.notified import FakeNtfy, fake_ntfy
from tests.kit.simulated import settings_for
from tests.kit.waiting import A_PROCESS, wait_until

AT = "2026-11-20 11:00"
RULES = """
[[rules]]
name = "AAPL rises"
subject = "underlying:AAPL"
figure = "price"
operator = "above"
level = 195
targets = ["phone"]
"""


class Station:
    """A watch of a file on a simulated market, whose turns the test takes."""

    def __init__(self, folder: Path, server: SimulatorServer, ntfy: FakeNtfy, stack: ExitStack) -> None:
        self.server = server
        self.holder: str | None = None
        settings = settings_for(server)
        file = folder / "portfolio.json"
        book = portfolio(holding("AAPL", 100), position("AAPL", 180, "call", contracts=-1))
        file.write_text(portfolio_text(book), encoding="utf-8")
        (folder / "alerts.toml").write_text(RULES, encoding="utf-8")
        load = lambda: load_targets({"OH_ALERT_TARGET_PHONE": ntfy.url})  # noqa: E731 - as a watch passes it
        rules = named_rules(folder / "alerts.toml")
        self.alerts = ProgramAlerts(alert_books(folder / "alerts", "watch", utc_now()), rules, load)
        stack.callback(self.alerts.stop)
        self.alerts.start()
        self.watch = Watch(
            settings,
            FileBook(file),
            manager=LiveStreamManager(settings),
            follower=RestFollower(settings, now=utc_now, pace_seconds=0.2),
            alerts=self.alerts,
            observer=Observer(RiskChoices(), utc_now),
            holder=lambda: self.holder,
            now=utc_now,
            monotonic=time.monotonic,
        )
        stack.callback(self.watch.stop)

    def turns_until(self, holds: Callable[[Watching], object]) -> Watching:
        last: list[Watching] = []

        def turn() -> bool:
            last[:] = [self.watch.turn()]
            return bool(holds(last[0]))

        wait_until(turn, A_PROCESS, saw=lambda: last and (last[0].activity, last[0].problems))
        return last[0]

    def quote(self, price: float) -> None:
        at = new_york(AT).astimezone(UTC)
        raw = {"T": "q", "S": "AAPL", "bp": price - 0.01, "bs": 5, "ap": price + 0.01, "as": 5, "t": at}
        self.server.push(StreamName.STOCKS, [raw])


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Station, FakeNtfy]]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with ExitStack() as stack:
        server = SimulatorServer(
            SilentMarket(start_ns=nanoseconds(new_york(AT))), key=DEMO_KEY, secret=DEMO_SECRET
        )
        server.start()
        stack.callback(server.stop)
        ntfy = stack.enter_context(fake_ntfy())
        yield Station(tmp_path, server, ntfy, stack), ntfy


def test_a_crossing_on_the_streams_is_one_message(station: tuple[Station, FakeNtfy]):
    watch, ntfy = station
    watch.turns_until(lambda now: now.source == "streams")
    watch.quote(190)
    watch.turns_until(
        lambda now: any(one.rule.name == "AAPL rises" and one.reading.value for one in now.alerts.judgements)
    )
    for price in (196, 197, 196):
        watch.quote(price)
    watch.turns_until(lambda _: ntfy.posted)
    done = watch.turns_until(lambda now: now.alerts.firings and not now.alerts.firings[0].unsettled)

    assert len(ntfy.posted) == 1
    assert "AAPL" in ntfy.titles[0]
    assert "$" not in str(ntfy.posted).replace("$ a share", "").replace("$196", "").replace("$195", "")
    assert (done.legs, done.alerts.rules > 1) == (2, True)
    assert done.activity.startswith("watching 2 legs, ")


def test_beside_another_program_it_asks_over_rest_and_takes_the_streams_when_they_are_free(
    station: tuple[Station, FakeNtfy],
):
    watch, ntfy = station
    watch.holder = "the dashboard on this computer (process 1)"
    watch.quote(190)
    followed = watch.turns_until(
        lambda now: any(one.rule.name == "AAPL rises" and one.reading.value for one in now.alerts.judgements)
    )
    assert followed.source == f"prices over REST, since {watch.holder} has the streams"
    watch.quote(196)
    watch.turns_until(lambda _: ntfy.posted)

    watch.holder = None
    watch.turns_until(lambda now: now.source == "streams")
    watch.turns_until(lambda now: not now.alerts.firings[0].unsettled)

    assert len(ntfy.posted) == 1
