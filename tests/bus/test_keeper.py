"""Keepers of one desk's lease on a real server: one leads, the other waits, and takes over."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from options_helper.bus.address import BusAddress
from options_helper.bus.connection import BusConnection
from options_helper.bus.keeper import LeaseKeeper, lease_store
from options_helper.bus.lease import TTL_SECONDS
from options_helper.errors import StreamError
from tests.kit.bus import NatsServer, both_servers, nats_server
from tests.kit.serving import Relay
from tests.kit.waiting import AT_ONCE, until_no_thread, wait_until


class Kept:
    """A keeper, with a clock that the test can move on, and what it was told."""

    def __init__(self, address: BusAddress, name: str, pid: int) -> None:
        self.slept = 0.0
        self.lost: list[str] = []
        self.fails = False
        self.closed = threading.Event()
        self.closed.set()
        self.keeper = LeaseKeeper(address, name, pid, lost=self._lose, elapsed=self._elapsed)

    def _elapsed(self) -> float:
        return time.monotonic() + self.slept

    def _lose(self, why: str) -> None:
        assert self.closed.wait(AT_ONCE)
        self.lost.append(why)
        if self.fails:
            raise RuntimeError("nobody thought of this")

    @property
    def leads(self) -> bool:
        return self.keeper.standing.leads

    def until_leads(self) -> None:
        wait_until(lambda: self.leads, saw=lambda: (self.keeper.standing, self.lost))

    def until_follows(self, whom: str) -> None:
        wait_until(lambda: self.keeper.standing.leader == whom, saw=lambda: self.keeper.standing)


@contextmanager
def keeping(address: BusAddress, name: str, pid: int = 1) -> Iterator[Kept]:
    kept = Kept(address, name, pid)
    kept.keeper.open()
    kept.keeper.want()
    try:
        yield kept
    finally:
        kept.keeper.stop()


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until_no_thread("live-lease")


@both_servers
def test_one_leads_the_other_knows_who_and_leads_at_once_when_it_is_given_back(binary):
    with nats_server(binary) as server, keeping(server.address, "den") as first:
        first.until_leads()
        with keeping(server.address, "attic", 2) as second:
            second.until_follows("den (process 1)")
            assert not second.leads
            first.keeper.give_back()
            assert not first.leads
            second.until_leads()
            assert not first.leads
            assert first.lost == []


@both_servers
def test_one_that_was_killed_is_followed_when_its_time_is_over_and_not_before(binary):
    with nats_server(binary) as server:
        with keeping(server.address, "den") as first:
            first.until_leads()
        with keeping(server.address, "attic", 2) as second:
            second.until_follows("den (process 1)")
            second.until_leads()


def test_one_that_is_cut_off_leaves_where_another_waits_and_its_streams_are_closed_before_anything_else():
    with (
        nats_server() as server,
        Relay(server.port) as relay,
        keeping(relay.address, "den") as first,
    ):
        first.until_leads()
        with keeping(server.address, "attic", 2) as second:
            second.until_follows("den (process 1)")
            wait_until(lambda: first.keeper.is_followed)
            first.closed.clear()
            relay.cut(stays_away=True)
            wait_until(lambda: not first.leads)
            relay.heal()
            second.until_leads()
            # While its streams are being closed it does nothing else, and wants nothing back.
            assert first.lost == []
            first.closed.set()
            wait_until(lambda: first.lost)
            first.keeper.want()
            first.until_follows("attic (process 2)")


def test_one_that_is_alone_leads_on_while_the_bus_is_away_and_when_it_is_back():
    with nats_server() as server, keeping(server.address, "den") as first:
        first.until_leads()
        server.kill()
        wait_until(lambda: first.keeper.standing.problem)
        first.slept = 10 * TTL_SECONDS
        server.start()
        wait_until(lambda: first.keeper.standing.problem is None, saw=lambda: first.keeper.standing)
        wait_until(lambda: held_by(server) is not None)

        assert first.leads
        assert first.lost == []


def test_one_that_stumbles_over_what_answers_says_so_and_tries_again(monkeypatch):
    async def stumble(*_: object) -> None:
        raise AttributeError("nobody thought of this")

    with nats_server() as server, Relay(server.port) as relay, keeping(relay.address, "den") as kept:
        kept.until_leads()
        with monkeypatch.context() as patched:
            patched.setattr(BusConnection, "open", stumble)
            relay.cut()
            wait_until(lambda: "nobody thought of this" in (kept.keeper.standing.problem or ""))
        wait_until(lambda: kept.keeper.standing.problem is None)
        assert kept.leads


def held_by(server: NatsServer) -> bytes | None:
    async def look() -> bytes | None:
        connection = BusConnection(server.address)
        await connection.open("a test")
        names = server.address.names
        stored = await connection.last(names.lease_store, names.lease_key, direct=False)
        await connection.close()
        return None if stored is None else stored.data

    return asyncio.run(asyncio.wait_for(look(), AT_ONCE))


def test_where_no_server_is_it_does_not_begin_and_leaves_nothing_behind():
    with nats_server() as server:
        server.kill()
        with pytest.raises(StreamError, match="cannot be reached"):
            Kept(server.address, "den", 1).keeper.open()


def test_the_server_keeps_a_claim_for_as_long_as_a_lease_and_one_of_each_key():
    wish = lease_store(BusAddress.parse("nats://127.0.0.1"))

    assert (wish.max_age, wish.per_subject) == (TTL_SECONDS, 1)


def test_one_whose_streams_could_not_be_closed_is_heard_of_and_looks_after_its_next_lease(caplog):
    with (
        nats_server() as server,
        keeping(server.address, "den") as first,
        keeping(server.address, "attic", 2) as second,
    ):
        for holder in (first, second):
            holder.fails = True
        for _ in range(3):
            wait_until(lambda: first.leads or second.leads)
            holder = first if first.leads else second
            before = len(holder.lost)
            wait_until(lambda: holder.keeper.is_followed)  # noqa: B023
            holder.slept += TTL_SECONDS
            wait_until(lambda: len(holder.lost) > before)  # noqa: B023
            holder.keeper.want()
    assert "closing the streams failed" in caplog.text
