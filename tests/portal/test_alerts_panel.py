"""What fired is on the page for every tab, whoever judged it, and is acknowledged once for all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest

from options_helper.alerting.books import AlertBooks, Scope
from options_helper.data.firing_log import Round
from options_helper.live.alerts_view import AlertsReader
from options_helper.live.session import LiveSession, install_session
from options_helper.model.alerts import Firing
from tests.kit.alerting import alert_books
from tests.kit.waiting import wait_until
from tests.portal import scenes
from tests.portal.conftest import everything, press
from tests.portal.scenes import manager_for

FIRED = datetime(2026, 11, 20, 15, 41, 2, tzinfo=UTC)
HALF = Firing(
    key="half-1",
    rule="half the profit",
    subject="structure:condor",
    crossed_at=FIRED,
    fired_at=FIRED,
    severity="warning",
    title="Half the profit",
    text="the condor has half of its profit",
    text_with_amounts="the condor has half of its profit: $196",
)


@pytest.fixture
def watch(portal, tmp_path: Path) -> Iterator[dict[Scope, AlertBooks]]:
    """Another program of this account; the page's session reads what it writes."""
    reader = AlertsReader(
        time.monotonic,
        open_books=lambda _settings, _portfolio, who, since: alert_books(tmp_path / "log", who, since),
    )
    portal.session = LiveSession(
        build_manager=manager_for(scenes.live), housekeeping_seconds=3_600, alerts=reader
    )
    install_session(portal.session)
    books = alert_books(tmp_path / "log", "watch", FIRED)
    yield books
    for one in books.values():
        one.lease.release()


def toasts(tab) -> str:
    return " ".join(toast.value for toast in tab.toast)


def test_before_start_no_account_s_log_is_looked_at(portal, watch):
    assert "the log belongs to an account" in everything(portal.open())


def test_it_says_that_nobody_sends_or_who_does(portal, watch):
    tab = portal.open()
    press(tab, "start")
    assert "Nobody judges the rules" in everything(tab)

    for scope, others in ((Scope.ACCOUNT, "portfolio"), (Scope.BOOK, None)):
        watch[scope].lease.keep()
        tab.run()
        if others is not None:
            assert "What is of the account: judged and sent by watch (process" in everything(tab)
            assert f"What is of the {others}: judged and sent by nobody." in everything(tab)
    assert "Judged and sent by watch (process" in everything(tab)


def test_a_firing_is_listed_raises_one_toast_and_is_acknowledged_for_all_tabs(portal, watch):
    first = portal.open()
    press(first, "start")
    second = portal.open()
    watch[Scope.BOOK].log.append(Round((HALF,)))

    # Tabs that look at the same time share what was known up to a second before.
    said = wait_until(lambda: toasts(first.run()), every=0.2)
    assert "half the profit: the condor has half of its profit: $196" in unescape(said)
    first.run()
    assert toasts(first) == ""
    first.button(key="acknowledge half-1").click().run()
    assert "acknowledge half-1" not in {button.key for button in first.button}
    second.run()
    assert "acknowledge half-1" not in {button.key for button in second.button}
    assert "Acknowledged" in everything(second)
    assert watch[Scope.BOOK].log.look().firings["half-1"].acknowledged_at is not None


def test_hidden_amounts_are_in_no_firing(portal, watch):
    watch[Scope.BOOK].log.append(Round((HALF,)))
    tab = portal.open()
    tab.toggle(key="hide").set_value(True).run()
    press(tab, "start")
    assert "the condor has half of its profit" in everything(tab)
    assert "196" not in everything(tab)


def test_a_log_that_cannot_be_opened_is_said_and_stops_nothing(portal):
    def refuse(*_: object) -> AlertBooks:
        raise OSError(28, "No space left on device")

    portal.session = LiveSession(
        build_manager=manager_for(scenes.live),
        housekeeping_seconds=3_600,
        alerts=AlertsReader(time.monotonic, open_books=refuse),
    )
    install_session(portal.session)
    tab = portal.open()
    press(tab, "start")
    said = "No rule is judged, because the log of alerts cannot be opened: No space left on device. It is tried again."
    assert said in everything(tab)
