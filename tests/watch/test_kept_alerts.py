"""In whose log a watch judges, where the desk's own account becomes another while it watches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from options_helper.alerting.books import Scope, open_books
from options_helper.alerting.judging import Observed, named_rules
from options_helper.alerting.program import ProgramAlerts
from options_helper.bus.address import BusAddress
from options_helper.commands.watch_run import key_of
from options_helper.data.firing_log import Acknowledged
from options_helper.data.notify.targets import NO_TARGETS
from options_helper.model.alerts import Reading, SubjectKind
from options_helper.model.snapshot import DeskRemarks, LiveSnapshot
from options_helper.watch.kept_alerts import KeptAlerts, same_key
from tests.kit.fakes import SETTINGS
from tests.kit.waiting import until_no_thread
from tests.portal import scenes
from tests.portal.scenes import OPEN

ADDRESS = BusAddress.parse("nats://127.0.0.1:4333", "home")
OVERDUE = "overdue heartbeat"


def seen(*accounts: str, overdue: bool, minute: int) -> Observed:
    """A snapshot of an owner that serves these accounts, and a capture."""
    scene = scenes.live()
    at = scene.as_of.replace(minute=minute)
    snapshot: LiveSnapshot = replace(scene, as_of=at, desk=DeskRemarks("the desk home", (), accounts))
    runs = {
        (SubjectKind.RUN, "heartbeat_overdue"): MappingProxyType(
            {"capture 12": Reading(float(overdue), "The capture (process 12)", "its heartbeat")}
        )
    }
    return Observed(snapshot, runs)


class Station:
    """A watch's alerts, and where all logs of this computer are."""

    def __init__(self, folder: Path) -> None:
        self._environ = {"XDG_STATE_HOME": str(folder)}
        self._rules = folder / "alerts.toml"
        self._rules.write_text("")
        self.refuses = False

    def open_log(self, key: str | None) -> ProgramAlerts:
        if self.refuses:
            raise OSError("No space left on device")
        books = open_books(SETTINGS, None, "watch", OPEN, self._environ, account=key)
        return ProgramAlerts(
            books, named_rules(self._rules), lambda: NO_TARGETS, now=lambda: OPEN, elapsed=lambda: 0.0
        )

    def fired(self, key: str | None) -> int:
        """How often the heartbeat was told in that log."""
        books = open_books(SETTINGS, None, "reader", OPEN, self._environ, account=key)
        logs = [one.log.look().firings.values() for one in books.values()]
        return sum(one.firing.rule == OVERDUE for log in logs for one in log)

    def acknowledge(self, key: str | None, firing: str) -> None:
        """Another program's user has seen a firing of what is the account's in that log."""
        books = open_books(SETTINGS, None, "reader", OPEN, self._environ, account=key)
        books[Scope.ACCOUNT].log.append(Acknowledged(firing, OPEN))


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    yield Station(tmp_path)
    until_no_thread("live-alerts")


def key(account: str, own: str) -> str | None:
    return key_of(ADDRESS, account)(seen(own, overdue=False, minute=0).snapshot, "of before")


def test_an_account_is_judged_in_the_log_that_is_its_own_with_the_owner_that_is_there(station: Station):
    """Its alerts stood in the log of another account, which by then was the desk's own, and had its lease."""
    own, further = key("main", "main"), key("main", "ira")
    assert own != further
    kept = KeptAlerts(station.open_log, own, key_of(ADDRESS, "main"))
    kept.start()
    try:
        for minute, overdue in ((1, False), (2, True)):
            kept.observe(seen("main", "ira", overdue=overdue, minute=minute))
        assert (station.fired(own), station.fired(further)) == (1, 0)
        assert kept.take_found() == ()
        for minute, overdue in ((3, False), (4, True)):
            kept.observe(seen("ira", "main", overdue=overdue, minute=minute))
        assert (station.fired(own), station.fired(further)) == (1, 1)
        assert len(kept.status().firings) == 1, "of the log that is its own now"
        assert len(kept.firings) == 2, "of this run"
        kept.observe(seen("main", "ira", overdue=True, minute=5))
        assert [one.firing.rule for one in kept.take_found()] == [OVERDUE], "it was told before"
    finally:
        kept.stop()


def test_where_its_log_cannot_be_opened_nothing_is_judged_in_anothers(station: Station):
    own, further = key("main", "main"), key("main", "ira")
    kept = KeptAlerts(station.open_log, own, key_of(ADDRESS, "main"))
    kept.start()
    try:
        kept.observe(seen("main", overdue=False, minute=1))
        station.refuses = True
        for minute in (2, 3):
            with pytest.raises(OSError, match="No space"):
                kept.observe(seen("ira", "main", overdue=True, minute=minute))
        assert station.fired(own) == 0
        station.refuses = False
        for minute, overdue in ((4, False), (5, True)):
            kept.observe(seen("ira", "main", overdue=overdue, minute=minute))
        assert (station.fired(own), station.fired(further)) == (0, 1)
    finally:
        kept.stop()


def test_after_a_log_that_could_not_be_opened_that_of_before_is_opened_anew(station: Station):
    """It stayed stopped: whatever came until the run's end was judged by nobody, and nothing said so."""
    own, further = key("main", "main"), key("main", "ira")
    kept = KeptAlerts(station.open_log, own, key_of(ADDRESS, "main"))
    kept.start()
    try:
        kept.observe(seen("main", "ira", overdue=False, minute=1))
        station.refuses = True
        with pytest.raises(OSError, match="No space"):
            kept.observe(seen("ira", "main", overdue=False, minute=2))
        with pytest.raises(OSError, match="No space"):
            kept.observe(seen("main", "ira", overdue=False, minute=3))
        station.refuses = False
        kept.observe(seen("main", "ira", overdue=True, minute=4))
        assert (station.fired(own), station.fired(further)) == (1, 0)
        assert kept.status().sends == "judges; no target is named", "it has the leases again"
        assert len(kept.firings) == 1
    finally:
        kept.stop()


def test_of_a_run_is_what_fired_in_a_log_while_it_was_open_and_each_once(station: Station):
    """A log that was left and opened again was counted twice, and with what others fired in it meanwhile."""
    own = key("main", "main")
    kept = KeptAlerts(station.open_log, own, key_of(ADDRESS, "main"))
    other = station.open_log(own)
    kept.start()
    try:
        for minute, overdue in ((1, False), (2, True)):
            kept.observe(seen("main", "ira", overdue=overdue, minute=minute))
        (of_run,) = kept.firings
        kept.observe(seen("ira", "main", overdue=False, minute=3))
        other.start()
        for minute, overdue in ((30, False), (50, True)):
            other.observe(seen("main", "ira", overdue=overdue, minute=minute))
        other.stop()
        assert station.fired(own) == 2
        assert kept.firings == (of_run,)
        kept.observe(seen("main", "ira", overdue=True, minute=55))
        assert len(kept.take_found()) == 2
        assert kept.firings == (of_run,)
    finally:
        kept.stop()
        other.stop()


def test_a_firing_of_this_run_is_followed_on_where_its_log_is_opened_again(station: Station):
    own = key("main", "main")
    kept = KeptAlerts(station.open_log, own, key_of(ADDRESS, "main"))
    kept.start()
    try:
        for minute, overdue in ((1, False), (2, True)):
            kept.observe(seen("main", "ira", overdue=overdue, minute=minute))
        (of_run,) = kept.firings
        kept.observe(seen("ira", "main", overdue=False, minute=3))
        station.acknowledge(own, of_run.firing.key)
        assert [one.acknowledged_at for one in kept.firings] == [None], "as it was when its log was left"
        kept.observe(seen("main", "ira", overdue=True, minute=4))
        assert [one.acknowledged_at for one in kept.firings] == [OPEN]
    finally:
        kept.stop()


def test_the_log_stays_the_same_where_nobody_says_whose_it_is_and_without_a_bus():
    silent = replace(seen(overdue=False, minute=0).snapshot, desk=None)
    assert key_of(ADDRESS, "main")(silent, "of before") == "of before"
    assert key_of(None, "main") is same_key
    assert same_key(seen("ira", overdue=False, minute=0).snapshot, None) is None
    assert key("main", "main") == key("default", "main"), "as of a watch without a name"
