"""An owner's further accounts on a real server: what one of them comes to holds up neither another nor the market."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from options_helper.bus.accounts_owner import AccountsOwner
from options_helper.bus.batch import Batch
from options_helper.bus.batch import decode as decode_batch
from options_helper.bus.connection import BusConnection
from options_helper.bus.names import Names
from options_helper.bus.publisher import Fenced
from options_helper.bus.term_carrier import Owner
from options_helper.bus.truth import DeskAccount, DeskHealth, decode
from options_helper.clock import utc_now_ns
from options_helper.model.account import AccountState
from options_helper.model.frames import Frame
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import fills_of
from tests.kit.builders import AS_OF
from tests.kit.bus import NatsServer, both_servers, nats_server
from tests.kit.fakes import deliver
from tests.kit.serving import Serving, quotes
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until

NAMES = Names()
ACCOUNTS = ("main", "ira", "roth")


class NoSource:
    """A market that announces nothing."""

    announced = None


@contextmanager
def owning(
    server: NatsServer, snapshot: Callable[[], LiveSnapshot], epoch: int = 1
) -> Iterator[AccountsOwner]:
    owner = AccountsOwner(server.address, Owner("here", 1, epoch), ACCOUNTS, now_ns=utc_now_ns)
    owner.open()
    owner.tell_of(snapshot)
    try:
        yield owner
    finally:
        owner.close()


def snapshots(**states: AccountState) -> LiveSnapshot:
    def one(name: str) -> LiveSnapshot:
        stream = fills_of(name)
        streams = {stream: StreamHealth(stream, Phase.LIVE)}
        return LiveSnapshot(AS_OF, streams=streams, account=states.get(name, AccountState()))

    accounts: Mapping[str, LiveSnapshot] = {name: one(name) for name in ACCOUNTS}
    return replace(accounts["main"], accounts=MappingProxyType(dict(accounts)))


def kept(server: NatsServer, store: str, subject: str, kind: type) -> Any:
    async def read() -> Any:
        connection = BusConnection(server.address)
        await connection.open("a test")
        message = await connection.kept(store, subject)
        await connection.close()
        return None if message is None else decode(message.data, kind)

    return asyncio.run(asyncio.wait_for(read(), AT_ONCE))


def health_of(server: NatsServer, account: str) -> Any:
    return kept(server, NAMES.further_state_store, NAMES.account_state("health", account), DeskHealth)


def truth_of(server: NatsServer, account: str) -> Any:
    return kept(server, NAMES.further_state_store, NAMES.account_state("truth", account), DeskAccount)


# No bus takes so much, however it is compressed.
LARGE = AccountState(doubts=(secrets.token_hex(3_000_000),))


def test_an_account_whose_truth_is_too_large_says_so_and_the_others_are_told_as_ever():
    with nats_server() as server, owning(server, lambda: snapshots(ira=LARGE)) as owner:
        wait_until(lambda: truth_of(server, "roth"))
        ira = wait_until(lambda: health_of(server, "ira"))
        roth = wait_until(lambda: health_of(server, "roth"))

        assert "larger than" in ira.untold["truth"]
        assert roth.untold == {}
        assert truth_of(server, "ira") is None
        assert [one.accounts for one in (ira, roth)] == [("ira",), ("roth",)]
        assert list(owner.untold) == ["truth of ira"]


def test_what_nobody_thought_of_in_one_account_costs_that_one_alone():
    broken = snapshots()
    accounts = dict(broken.accounts)
    accounts["ira"] = replace(accounts["ira"], fills=(object(),))  # type: ignore[arg-type]
    with (
        nats_server() as server,
        owning(server, lambda: replace(broken, accounts=MappingProxyType(accounts))),
    ):
        wait_until(lambda: health_of(server, "roth"))

        assert health_of(server, "ira") is None, "whoever follows it hears nothing, and says so"


def test_the_desks_own_truth_that_is_too_large_holds_up_neither_its_health_nor_its_prices():
    with nats_server() as server:
        made = Serving(server, deliver(*quotes(0, 3)))
        made.owner.open()
        made.owner.tell_of(lambda: replace(made.manager.snapshot(), account=LARGE))
        try:
            made.start()
            wait_until(lambda: made.events() == 6)
            health = wait_until(
                lambda: (
                    (found := kept(server, NAMES.state_store, NAMES.state("health"), DeskHealth))
                    and found.published["stocks"].events == 6
                    and found
                )
            )
        finally:
            made.manager.stop()
            made.owner.close()

    assert "larger than" in health.untold["truth"]
    assert health.picture_parts == 1


def test_frames_of_each_account_are_stored_under_its_name_and_counted_for_it_alone():
    ira, roth = (fills_of(name) for name in ("ira", "roth"))
    with nats_server() as server, owning(server, snapshots) as owner:
        carry_ira = owner.carry_of("ira", NoSource())  # type: ignore[arg-type]
        carry_roth = owner.carry_of("roth", NoSource())  # type: ignore[arg-type]
        assert carry_ira([Frame(ira, b"{}", 1, 7), Frame(ira, b"{}", 1, 8)])
        assert carry_roth([Frame(roth, b"{}", 1, 9)])
        wait_until(lambda: (found := health_of(server, "ira")) and found.published[str(ira)].events == 2)
        told = wait_until(
            lambda: (found := health_of(server, "roth")) and found.published[str(roth)].events and found
        )

        assert set(told.published) == {str(roth)}, "of another it says nothing, not even how many"
        assert (owner.counts[ira].stored, owner.counts[roth].stored) == (2, 1)


def test_another_owner_fences_each_account_and_goes_on_counting_where_the_one_before_was():
    ira = fills_of("ira")
    with nats_server() as server, owning(server, snapshots) as former:
        former.carry_of("ira", NoSource())([Frame(ira, b"{}", 1, 7)])  # type: ignore[arg-type]
        with owning(server, snapshots, epoch=2) as newer:
            wait_until(lambda: former.fenced)
            for name in ("ira", "roth"):
                carry = former.carry_of(name, NoSource())  # type: ignore[arg-type]
                try:
                    carry([Frame(fills_of(name), b"{}", 1, 8)])
                except Fenced:
                    continue
                raise AssertionError(f"{name} was taken from an owner of before")
            newer.carry_of("ira", NoSource())([Frame(ira, b"{}", 1, 9)])  # type: ignore[arg-type]
            told = wait_until(
                lambda: (
                    (found := health_of(server, "ira")) and found.published[str(ira)].events == 2 and found
                )
            )

    assert told.published[str(ira)].epoch > 1


# An owner of ira that publishes a fill every few milliseconds, and tells nothing, until another has taken the desk.
PUBLISHING = """
import sys, time
from options_helper.bus.accounts_owner import AccountsOwner
from options_helper.bus.address import BusAddress
from options_helper.bus.publisher import Fenced
from options_helper.bus.term_carrier import Owner
from options_helper.model.frames import Frame
from options_helper.model.streams import fills_of

class NoSource:
    announced = None

address = BusAddress.parse(sys.argv[1])
owner = AccountsOwner(address, Owner("den", 1, 1), ("main", "ira"), now_ns=time.time_ns)
owner.open()
carry, number = owner.carry_of("ira", NoSource()), 0
try:
    while True:
        number += 1
        carry([Frame(fills_of("ira"), b"{}", 1, number)])
        print(number, flush=True)
except Fenced:
    print("fenced", flush=True)
owner.close()
"""


@pytest.mark.processes
@both_servers
def test_an_owner_that_was_frozen_stores_nothing_once_it_wakes_behind_one_of_other_accounts(binary):
    """It has heard of nobody, and no stream of its own shows that another leads."""
    ira, roth = fills_of("ira"), fills_of("roth")

    async def stored(server: NatsServer) -> list[tuple[str, int]]:
        connection = BusConnection(server.address)
        await connection.open("a test")
        found = []
        for sequence in range(1, await connection.last_sequence(NAMES.further_store) + 1):
            message = await connection.message(NAMES.further_store, sequence)
            batch = None if message is None else decode_batch(message.data)
            assert isinstance(batch, Batch)
            found.append((str(batch.records[0].stream), batch.head.epoch))
        await connection.close()
        return found

    with nats_server(binary) as server:
        frozen = subprocess.Popen(
            [sys.executable, "-c", PUBLISHING, server.url], stdout=subprocess.PIPE, text=True
        )
        assert frozen.stdout is not None
        try:
            assert [frozen.stdout.readline().strip() for _ in range(3)] == ["1", "2", "3"]
            frozen.send_signal(signal.SIGSTOP)
            newer = AccountsOwner(server.address, Owner("attic", 2, 2), ("main", "roth"), now_ns=utc_now_ns)
            newer.open()
            with closing(newer):
                frozen.send_signal(signal.SIGCONT)
                said, _ = frozen.communicate(timeout=A_PROCESS)
                assert said.splitlines()[-1] == "fenced"
                assert newer.carry_of("roth", NoSource())([Frame(roth, b"{}", 1, 1)])  # type: ignore[arg-type]
            batches = asyncio.run(asyncio.wait_for(stored(server), A_PROCESS))
        finally:
            frozen.kill()
            frozen.wait()

    begins = batches.index((str(roth), 2))
    assert {stream for stream, _ in batches[:begins]} == {str(ira)}
    assert batches[begins:] == [(str(roth), 2)] * 2, "its first word, and its fill"
