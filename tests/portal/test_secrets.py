"""No secret is told: by the page, the doctor, `alerts test` and `bus check`, well or ill, and by what they log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from options_helper.bus.address import bus_environment
from options_helper.cli import app
from options_helper.live.session import LiveSession, install_session
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.fakes import deliver
from tests.kit.notified import fake_ntfy
from tests.kit.secured import SecuredBus, secured_bus
from tests.kit.serving import quotes, serving
from tests.kit.waiting import A_PROCESS, wait_until
from tests.portal import scenes
from tests.portal.conftest import Portal, everything, press

# What a program may be given, each made so that it is found wherever it should turn up.
SECRETS = {
    "APCA_API_KEY_ID": "PKSENTINELALPACAKEY1",
    "APCA_API_SECRET_KEY": "sentinelAlpacaSecret000000000000000000002",
    "FRED_API_KEY": "sentinelfredkey000000000000000003",
    "BREEZE_API_KEY": "sentinelBreezeKey4",
    "BREEZE_API_SECRET": "sentinelBreezeSecret5",
    "BREEZE_SESSION": "sentinelBreezeSession6",
}
HIDDEN = ("hidden-user", "hidden-word", "hidden-topic", "hidden-check")
# Of a key so much may be shown that it is told from another.
SHOWN_OF_A_KEY = 4


@pytest.fixture
def told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[list[str]]:
    """Texts that were shown; at the end none of them, and nothing that was logged, may hold a secret."""
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    # Whoever is asked is not there, which is where errors would quote what was sent.
    for name in (
        "APCA_API_BASE_URL",
        "OH_ALPACA_DATA_URL",
        "FRED_URL",
        "BREEZE_REST_URL",
        "BREEZE_MASTER_URL",
    ):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("OH_ALPACA_STREAM_URL", "BREEZE_STREAM_URL"):
        monkeypatch.setenv(name, "ws://127.0.0.1:9")
    shown: list[str] = []
    yield shown
    assert any(shown)
    for text in (*shown, caplog.text):
        for secret in SECRETS.values():
            assert secret[: SHOWN_OF_A_KEY + 1] not in text
        for secret in HIDDEN:
            assert secret not in text


def ran(*words: str) -> str:
    ended = CliRunner().invoke(app, list(words))
    return f"{ended.output}\n{ended.exception!r}"


@pytest.mark.parametrize("form", [(), ("--json",)])
@pytest.mark.parametrize("enabled", ["yes", "no"])
def test_by_the_doctor_where_nobody_answers(told: list[str], form, enabled, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BREEZE_ENABLED", enabled)
    with fake_ntfy(status=500) as phone:
        monkeypatch.setenv("OH_ALERT_TARGET_PHONE", phone.url)
        monkeypatch.setenv("OH_ALERT_LIFE_SIGN", "http://127.0.0.1:9/hidden-check")
        told.append(ran("doctor", *form))
    assert "account" in told[0].lower()


@pytest.mark.parametrize("status", [200, 401, 500])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_by_alerts_test_whatever_the_target_answers(told: list[str], form, status, monkeypatch):
    with fake_ntfy(status=status) as phone:
        monkeypatch.setenv("OH_ALERT_TARGET_PHONE", phone.url)
        monkeypatch.setenv("OH_ALERT_LIFE_SIGN", f"http://127.0.0.1:{phone.port}/hidden-check")
        told.append(ran("alerts", "test", *form))
    # And where nobody is there at all.
    told.append(ran("alerts", "test", *form))
    assert "phone" in told[0]


@pytest.mark.parametrize("scene", [scenes.live, scenes.failed, scenes.reconnecting, scenes.partial])
def test_by_the_page(portal: Portal, told: list[str], scene, monkeypatch):
    monkeypatch.setenv("OH_ALERT_TARGET_PHONE", "ntfy://hidden-user:hidden-word@127.0.0.1:9/hidden-topic")
    monkeypatch.setenv("OH_ALERT_LIFE_SIGN", "http://127.0.0.1:9/hidden-check")
    told.append(everything(portal.show(scene)))
    portal.session.stop()


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SecuredBus]:
    (tmp_path / "network").mkdir()
    with secured_bus(tmp_path / "network") as made:
        yield made


def follow(bus: SecuredBus, portal: Portal, user: str | None, monkeypatch: pytest.MonkeyPatch) -> LiveSession:
    """A page that is led to the bus; its streams are real."""
    address = bus.as_user(None) if user is None else bus.user(user).address
    for name, value in bus_environment(address).items():
        monkeypatch.setenv(name, value)
    portal.session = LiveSession(housekeeping_seconds=3_600)
    install_session(portal.session)
    return portal.session


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ("study", "served by here"),
        ("laptop", "positions, orders and fills are not shown here"),
        (None, "wants to know who asks"),
    ],
)
def test_by_a_page_on_a_bus(
    bus: SecuredBus, portal: Portal, told: list[str], *, user, says, monkeypatch, caplog
):
    with serving(bus.user("owner"), deliver(*quotes(0, 3))):
        session = follow(bus, portal, user, monkeypatch)
        tab = portal.open()
        press(tab, "start")

        def snapshot() -> LiveSnapshot | None:
            return session.snapshot()

        def is_told() -> bool:
            now = snapshot()
            return now is not None and says in repr(now.desk)

        try:
            wait_until(is_told, A_PROCESS, saw=snapshot)
            tab.run()
            told += [everything(tab), repr(snapshot())]
        finally:
            session.stop()
    assert not [seed for seed in bus.seeds for text in (*told, caplog.text) if seed in text]


@pytest.mark.parametrize("user", ["owner", "laptop", "nas"])
def test_by_bus_check(bus: SecuredBus, told: list[str], user, monkeypatch, caplog):
    for name, value in bus.user(user).environment.items():
        monkeypatch.setenv(name, value)
    for url in (bus.url, bus.url.replace("tls", "nats"), "tls://127.0.0.1:9"):
        told += [ran("bus", "check", url, "--desk", "home", *form) for form in ((), ("--json",))]
    monkeypatch.setenv("OH_BUS_CA_FILE", str(bus.folder / "owner.seed"))
    told.append(ran("bus", "check", bus.url))
    assert "holds no certificate" in told[-1]
    assert not [seed for seed in bus.seeds for text in (*told, caplog.text) if seed in text]
