"""Owners, recorders and whoever means ill, on a bus with TLS and roles: the rights are enough, and no more."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from options_helper.bus.connection import BusConnection
from options_helper.bus.keeper import LeaseKeeper
from options_helper.bus.names import Names
from options_helper.errors import StreamRefused
from options_helper.model.snapshot import Phase
from tests.bus.test_viewer import bid, is_well, viewing
from tests.bus.test_viewer import stocks as shown
from tests.kit.fakes import deliver, wait_for
from tests.kit.recording_bus import bids, recording, stocks
from tests.kit.secured import DESK, SecuredBus, User, secured_bus
from tests.kit.serving import Relay, quotes, serving
from tests.kit.waiting import AT_ONCE, wait_until

NAMES = Names(DESK)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SecuredBus]:
    with secured_bus(tmp_path) as made:
        yield made


def test_a_recorder_records_with_its_role_from_where_it_stopped(bus: SecuredBus, tmp_path: Path):
    out, go_on, later = tmp_path / "out", threading.Event(), threading.Event()
    with serving(
        bus.user("owner"),
        wait_for(go_on),
        deliver(*quotes(0, 10)),
        wait_for(later),
        deliver(*quotes(10, 10)),
    ) as owner:
        address = bus.user("nas").address
        with recording(address, out) as engine:
            wait_until(lambda: stocks(engine).phase in (Phase.LIVE, Phase.QUIET), saw=lambda: stocks(engine))
            go_on.set()
            wait_until(lambda: stocks(engine).applied == 20, saw=lambda: stocks(engine))
        later.set()
        wait_until(lambda: owner.events() == 40)
        with recording(address, out) as engine:
            wait_until(lambda: stocks(engine).applied == 20, saw=lambda: stocks(engine))
    assert bids(out) == [float(100 + number) for number in range(20)]


def test_a_viewer_cannot_record_and_the_recording_says_why(bus: SecuredBus, tmp_path: Path):
    with (
        serving(bus.user("owner"), deliver(*quotes(0, 1))),
        recording(bus.user("laptop").address, tmp_path / "out") as engine,
    ):
        wait_until(lambda: stocks(engine).phase is Phase.FAILED, saw=lambda: stocks(engine))
        assert "does not let laptop (viewer)" in (stocks(engine).last_error or "")


def test_owners_pass_the_lease_on_with_their_role(bus: SecuredBus):
    lost: list[str] = []
    first, second = (
        LeaseKeeper(bus.user("owner").address, "here", number, lost=lost.append) for number in (1, 2)
    )
    first.open()
    first.want()
    try:
        wait_until(lambda: first.standing.leads, saw=lambda: first.standing)
        second.open()
        second.want()
        try:
            wait_until(lambda: second.standing.leader is not None, saw=lambda: second.standing)
            assert not second.standing.leads
            first.give_back()
            wait_until(lambda: second.standing.leads, saw=lambda: second.standing)
        finally:
            second.stop()
    finally:
        first.stop()
    assert lost == []


def test_nobody_but_an_owner_holds_the_lease(bus: SecuredBus):
    keeper = LeaseKeeper(bus.user("study").address, "here", 1, lost=lambda _: None)

    with pytest.raises(StreamRefused, match=r"does not let study \(account-viewer\)"):
        keeper.open()


def test_an_owner_that_is_revoked_keeps_what_comes_says_so_and_storms_nobody(
    bus: SecuredBus, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    go_on = threading.Event()
    there = tmp_path / "owner-there.seed"
    shutil.copy(bus.folder / "owner.seed", there)
    with Relay(bus.server.port) as relay:
        address = replace(bus.as_user(there), url=f"tls://127.0.0.1:{relay.port}")
        with serving(User(address), deliver(*quotes(0, 1)), wait_for(go_on), deliver(*quotes(1, 1))) as owner:
            wait_until(lambda: owner.events() == 2)
            dialled = relay.accepted
            bus.revoke("owner")
            # The server reads its configuration in its own time.
            wait_until(lambda: "the bus was not told how the streams are" in caplog.text)
            go_on.set()
            wait_until(lambda: "does not admit owner (owner)" in (owner.owner.problem or ""))
            tries = [0]

            def asked_again() -> bool:
                # Twice a second it would tell how it is, and four times publish.
                tries[0] += 1
                return tries[0] > 100

            wait_until(asked_again)
            assert relay.accepted - dialled <= 3
            assert owner.events() == 2, "what is not stored is shown to nobody"
            assert owner.manager.snapshot().queue_depth > 0
    assert there.read_text().splitlines()[-1] not in caplog.text


@pytest.mark.parametrize("place", ["oh.home.in.stocks", "oh.home.md.stocks", "oh.home.md.state.health"])
def test_what_a_viewer_has_the_server_send_anywhere_is_believed_by_nobody(bus: SecuredBus, place: str):
    """The server answers to whatever place it is told, which no right limits."""
    go_on, later = threading.Event(), threading.Event()
    with (
        serving(
            bus.user("owner"),
            wait_for(go_on),
            deliver(*quotes(0, 5)),
            wait_for(later),
            deliver(*quotes(5, 5)),
        ) as owner,
        viewing(bus.user("study").address) as viewer,
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: shown(viewer))
        go_on.set()
        wait_until(lambda: bid(viewer.snapshot()) == 104)

        async def mislead() -> None:
            connection = BusConnection(bus.user("laptop").address)
            await connection.open("a test")
            client = connection._open_client  # noqa: SLF001 - our code does not do that
            subject = f"$JS.API.DIRECT.GET.{NAMES.state_store}.{NAMES.state('health')}"
            await client.publish(subject, b"", reply=place)
            await connection.settle()
            await connection.close()

        asyncio.run(asyncio.wait_for(mislead(), AT_ONCE))
        later.set()
        wait_until(lambda: owner.events() == 20, saw=lambda: owner.owner.problem)
        wait_until(lambda: bid(viewer.snapshot()) == 109, saw=lambda: shown(viewer))
        health = shown(viewer)
        assert (health.applied, health.missed) == (20, 0)
        assert owner.owner.fenced is None
        wait_until(lambda: is_well(viewer), saw=lambda: shown(viewer))
