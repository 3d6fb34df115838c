"""Several accounts served over a bus, through the real clients: each under its name, and none for another."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from options_helper.alerting.books import open_books
from options_helper.bus.accounts import alerts_key
from options_helper.bus.address import DESK_ACCOUNTS_VARIABLE, BusAddress
from options_helper.bus.first_look import look_at_desk
from options_helper.bus.term_carrier import TermCarrier
from options_helper.bus.viewer import BusManager
from options_helper.clock import utc_now
from options_helper.commands.page_launcher import told_accounts
from options_helper.commands.serve_run import ServeRequest, further_of
from options_helper.commands.serve_term import ServeTerm
from options_helper.commands.watch_run import WatchRequest, accounts_of
from options_helper.data.accounts_file import Accounts
from options_helper.data.rest.budget_ledger import PAGE
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.sdk_import import load_sdk
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.errors import ConfigError, Unavailable
from options_helper.live.further_accounts import FurtherAccount
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.snapshots_together import snapshots_together
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamName, fills_of
from options_helper.monitoring.heartbeat import Role
from options_helper.monitoring.heartbeat_file import read_heartbeat
from options_helper.settings import DEMO_SECRET, Settings
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.simulator.wire.protocol import Limits
from tests.kit.bus import NatsServer, both_servers, nats_server
from tests.kit.programs import Program
from tests.kit.serving import Relay
from tests.kit.waiting import A_PROCESS, AT_ONCE, until_no_thread, wait_until
from tests.wire.test_account_watch import ONE_TRY, SOON, fill
from tests.wire.test_accounts import IRA_KEY, IRA_SECRET, WRONG, accounts_at, held
from tests.wire.test_engine import CALL, CONFIG, NOON, quote

FILLS, OPTIONS = StreamName.FILLS, StreamName.OPTIONS
WELL = (Phase.LIVE, Phase.QUIET)
FILLS_ALONE = replace(CONFIG, stocks=(), option_contracts=(), stream_stocks=False, stream_options=False)
PLAN = {StreamName.STOCKS: None, StreamName.OPTIONS: 100, StreamName.CRYPTO: None, StreamName.NEWS: None}
MANY = 10_000
Simulators = Callable[..., SimulatorServer]


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """What is loaded once may take as long as it does; what is awaited begins after it."""
    load_sdk()


@pytest.fixture
def nats() -> Iterator[NatsServer]:
    with nats_server() as server:
        yield server


@pytest.fixture
def simulator(running_simulator: Simulators) -> SimulatorServer:
    server = running_simulator(
        SilentMarket(start_ns=NOON), accounts={IRA_KEY: IRA_SECRET}, limits=Limits(one_connection=False)
    )
    server.account.set_position("MSFT", 7, 400)
    server.account_of(IRA_KEY).set_position(CALL, 3, 1)
    return server


def term_of(accounts: Accounts, nats: NatsServer, *names: str) -> ServeTerm:
    """An owner of `main` together with these, not begun."""

    def settings(name: str) -> Settings:
        # They are asked three times a second, by two owners too.
        return replace(accounts.settings(name), rest_per_minute=MANY)

    return ServeTerm(
        nats.address,
        settings("main").without_name,
        RequestLimits(PAGE),
        keep_bytes=64 * 1024 * 1024,
        plan=PLAN,
        took_over=False,
        account="main",
        further=[FurtherAccount(name, settings(name)) for name in names],
        manager_cls=partial(LiveStreamManager, watch=SOON, rest_cls=ONE_TRY),
    )


@contextmanager
def owning(
    accounts: Accounts, nats: NatsServer, *names: str, config: LiveStreamConfig = CONFIG
) -> Iterator[ServeTerm]:
    term = term_of(accounts, nats, *names)
    term.open()
    try:
        term.start(config)
        yield term
    finally:
        term.end()


@contextmanager
def viewing(
    address: BusAddress, *accounts: str, config: LiveStreamConfig = FILLS_ALONE
) -> Iterator[Sequence[BusManager]]:
    """A viewer for each account, without any keys; the ledgers are looked at in the end."""
    viewers = [BusManager(replace(Settings(), account=name), address) for name in accounts]
    try:
        for viewer in viewers:
            viewer.start(config)
        yield viewers
    finally:
        for viewer in viewers:
            viewer.stop()
        # Also of the owner, which has ended where it began after this.
        for viewer in viewers:
            for health in viewer.snapshot().streams.values():
                assert health.accounted, health


def until_held(viewer: BusManager, quantities: dict[str, int]) -> LiveSnapshot:
    wait_until(lambda: held(viewer.snapshot()) == quantities, saw=lambda: told(viewer))
    return viewer.snapshot()


def until_heard(viewer: BusManager, account: str) -> None:
    wait_until(lambda: viewer.snapshot().streams[fills_of(account)].phase in WELL, saw=lambda: told(viewer))


def told(viewer: BusManager) -> object:
    snapshot = viewer.snapshot()
    return snapshot.desk, dict(snapshot.streams), snapshot.account.view


def symbols(snapshot: LiveSnapshot) -> set[str]:
    return {one.symbol or "" for one in snapshot.fills}


@both_servers
def test_each_served_account_has_its_fills_and_positions_under_its_name_and_nobody_elses(
    simulator: SimulatorServer, tmp_path: Path, binary: str | Path | None
):
    accounts = accounts_at(tmp_path, simulator)
    with (
        nats_server(binary) as nats,
        owning(accounts, nats, "ira"),
        viewing(nats.address, DEFAULT_ACCOUNT, "main", "ira") as (own, main, ira),
    ):
        for viewer, name in ((own, DEFAULT_ACCOUNT), (main, "main"), (ira, "ira")):
            until_heard(viewer, name)
        until_held(ira, {CALL: 3})
        until_held(own, {"MSFT": 7})
        simulator.push(FILLS, [fill("e1", 2, 2)], account=IRA_KEY)
        until_held(ira, {CALL: 5})
        simulator.push(FILLS, [fill("e2", 1, 1, symbol="MSFT", price="400")])
        snapshots = [until_held(own, {"MSFT": 8}), until_held(main, {"MSFT": 8}), ira.snapshot()]

    assert [symbols(one) for one in snapshots] == [{"MSFT"}, {"MSFT"}, {CALL}]
    assert [held(one) for one in snapshots] == [{"MSFT": 8}, {"MSFT": 8}, {CALL: 5}]
    names = [None if one.desk is None else one.desk.account for one in snapshots]
    assert names == ["main", "main", "ira"]
    assert {None if one.desk is None else one.desk.accounts for one in snapshots} == {("main", "ira")}
    for snapshot, name in zip(snapshots, (DEFAULT_ACCOUNT, "main", "ira"), strict=True):
        health = snapshot.streams[fills_of(name)]
        assert (health.received, health.applied, health.missed) == (1, 1, 0)

    whole = snapshots_together("main", snapshots[1], {"ira": snapshots[2]})
    assert {name: held(one) for name, one in whole.accounts.items()} == {
        "main": {"MSFT": 8},
        "ira": {CALL: 5},
    }
    assert set(whole.streams) >= {fills_of("main"), fills_of("ira")}


def test_an_account_with_the_prices_of_the_desk_is_one_snapshot(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    wanted = replace(CONFIG, stocks=(), option_contracts=(CALL,))
    with (
        owning(accounts_at(tmp_path, simulator), nats, "ira"),
        viewing(nats.address, "ira", config=wanted) as (ira,),
    ):
        until_held(ira, {CALL: 3})
        until_heard(ira, "ira")
        wait_until(lambda: CALL in simulator.subscribed(OPTIONS))
        simulator.push(OPTIONS, [quote(CALL, 4.2)])
        wait_until(lambda: ira.snapshot().quotes.get(CALL), saw=lambda: told(ira))
        snapshot = ira.snapshot()

    assert held(snapshot) == {CALL: 3}
    assert FILLS not in snapshot.streams


def test_refused_keys_of_one_account_are_told_by_its_name_and_cost_neither_the_other_nor_the_prices(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    accounts = accounts_at(tmp_path, simulator, ira_secret=WRONG)
    wanted = replace(CONFIG, stocks=(), option_contracts=(CALL,))
    with (
        owning(accounts, nats, "ira") as term,
        viewing(nats.address, "main", config=wanted) as (main,),
        viewing(nats.address, "ira") as (ira,),
    ):
        until_held(main, {"MSFT": 7})
        until_heard(main, "main")
        wait_until(
            lambda: ira.snapshot().account.reports[RestTask.POSITIONS].phase is RestPhase.FAILED,
            saw=lambda: told(ira),
        )
        wait_until(lambda: ira.snapshot().streams[fills_of("ira")].phase is Phase.FAILED)
        simulator.push(FILLS, [fill("e2", 1, 1, symbol="MSFT", price="400")])
        until_held(main, {"MSFT": 8})
        wait_until(lambda: CALL in simulator.subscribed(OPTIONS))
        simulator.push(OPTIONS, [quote(CALL, 4.2)])
        wait_until(lambda: main.snapshot().quotes.get(CALL), saw=lambda: told(main))
        trouble, snapshots = term.trouble(term.snapshot()), (main.snapshot(), ira.snapshot())

    assert (trouble or "").startswith("The account ira: ")
    assert snapshots[0].streams[fills_of("main")].last_error is None
    assert (snapshots[1].account.view, snapshots[1].fills) == (None, ())


def test_an_account_that_hangs_holds_up_neither_the_other_nor_the_prices(
    running_simulator: Simulators, nats: NatsServer, tmp_path: Path
):
    """Its broker takes connections and questions, and answers none."""
    data = running_simulator(SilentMarket(start_ns=NOON))
    data.account.set_position("MSFT", 7, 400)
    with Mute() as mute, viewing(nats.address, "main") as (main,):
        accounts = accounts_at(tmp_path, data, mute)  # type: ignore[arg-type]
        with owning(accounts, nats, "ira") as term:
            until_held(main, {"MSFT": 7})
            until_heard(main, "main")
            wait_until(lambda: mute.accepted)
            data.push(FILLS, [fill("e2", 1, 1, symbol="MSFT", price="400")])
            until_held(main, {"MSFT": 8})
            assert held(term.snapshot().accounts["ira"]) == {}


class Mute(Relay):
    """A broker's address behind which nobody ever answers."""

    def __init__(self) -> None:
        super().__init__(0)
        self._held: list[socket.socket] = []  # guarded by the lock

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for one in self._held:
            one.close()

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.accepted += 1
                self._held.append(client)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("roth", "The owner serves main, ira, and not roth: `stream serve --together-with roth` would."),
        ("ira", None),
    ],
)
def test_an_account_that_is_not_served_is_said_so_and_nothing_is_shown_for_it(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path, asked: str, why: str | None
):
    with (
        owning(accounts_at(tmp_path, simulator), nats, "ira"),
        viewing(nats.address, asked) as (viewer,),
    ):
        stream = fills_of(asked)
        if why is None:
            until_held(viewer, {CALL: 3})
            return
        wait_until(lambda: viewer.snapshot().streams[stream].phase is Phase.FAILED, saw=lambda: told(viewer))
        snapshot = viewer.snapshot()

    assert snapshot.streams[stream].last_error == why
    assert (snapshot.account.view, snapshot.fills) == (None, ())
    assert snapshot.account.reports[RestTask.POSITIONS].problem == why
    assert snapshot.desk is not None
    assert (snapshot.desk.account, snapshot.desk.account_problem) == (None, why)


def test_an_owner_of_one_account_says_which_and_no_other_is_taken_for_it(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    with (
        owning(accounts_at(tmp_path, simulator), nats),
        viewing(nats.address, "main", "ira") as (main, ira),
    ):
        until_held(main, {"MSFT": 7})
        wait_until(lambda: ira.snapshot().streams[fills_of("ira")].phase is Phase.FAILED)
        assert held(ira.snapshot()) == {}


def test_what_is_missed_of_one_account_is_counted_there_and_nowhere_else(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    with (
        owning(accounts_at(tmp_path, simulator), nats, "ira") as term,
        Relay(nats.port) as relay,
        viewing(nats.address, "main") as (main,),
        viewing(relay.address, "ira") as (ira,),
    ):
        until_heard(main, "main")
        until_heard(ira, "ira")
        simulator.push(FILLS, [fill("e1", 1, 1)], account=IRA_KEY)
        wait_until(lambda: ira.snapshot().streams[fills_of("ira")].applied == 1, saw=lambda: told(ira))
        relay.cut(stays_away=True)
        wait_until(lambda: ira.snapshot().streams[fills_of("ira")].phase is Phase.RECONNECTING)
        simulator.push(FILLS, [fill("e2", 1, 2), fill("e3", 1, 3)], account=IRA_KEY)
        wait_until(lambda: term.snapshot().streams[fills_of("ira")].applied == 3)
        relay.heal()
        until_heard(ira, "ira")
        simulator.push(FILLS, [fill("e4", 1, 4)], account=IRA_KEY)
        wait_until(lambda: ira.snapshot().streams[fills_of("ira")].applied == 2, saw=lambda: told(ira))
        health, other = ira.snapshot().streams[fills_of("ira")], main.snapshot().streams[fills_of("main")]
        fills = wait_until(lambda: len(found := ira.snapshot().fills) == 4 and found, saw=lambda: told(ira))

    assert (health.received, health.applied, health.missed) == (4, 2, 2)
    assert (other.received, other.missed) == (0, 0)
    assert len(fills) == 4, "the owner's own list has what was missed on the way"


def test_another_owner_takes_all_accounts_and_the_one_before_is_refused_for_each(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    """The former one is not told to step down: it was frozen, and goes on where it was."""
    accounts = accounts_at(tmp_path, simulator)
    former, newer = term_of(accounts, nats, "ira"), term_of(accounts, nats, "ira")
    with viewing(nats.address, "main", "ira") as (main, ira):
        former.open()
        try:
            former.start(CONFIG)
            until_held(main, {"MSFT": 7})
            until_held(ira, {CALL: 3})
            until_heard(ira, "ira")
            newer.open()
            try:
                newer.start(CONFIG)
                wait_until(lambda: former.yields, saw=lambda: former.yields)
                former.end()
                wait_until(lambda: newer.snapshot().streams[fills_of("ira")].phase in WELL)
                simulator.push(FILLS, [fill("e1", 2, 2)], account=IRA_KEY)
                until_held(ira, {CALL: 5})
                until_held(main, {"MSFT": 7})
                until_heard(ira, "ira")
                wait_until(lambda: ira.snapshot().fills, saw=lambda: told(ira))
                snapshots = main.snapshot(), ira.snapshot()
            finally:
                newer.end()
        finally:
            former.end()
    until_no_thread("live-")

    assert [len(one.fills) for one in snapshots] == [0, 1]
    assert [
        one.streams[fills_of(name)].missed for one, name in zip(snapshots, ("main", "ira"), strict=True)
    ] == [0, 0]


def test_names_on_the_command_line_are_the_files_and_all_is_whoever_there_is(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    accounts_at(tmp_path, simulator)
    monkeypatch.setenv("OH_ALPACA_ACCOUNTS", str(tmp_path / "accounts.toml"))

    def served(*names: str) -> list[str]:
        request = ServeRequest(nats.address, together_with=names)
        return [one.name for one in further_of(request, "main")]

    assert (served(), served("all"), served("ira"), served("all", "ira")) == ([], ["ira"], ["ira"], ["ira"])
    with pytest.raises(ConfigError, match=r"no account 'roth' in accounts\.toml; it has main, ira"):
        served("roth")
    with pytest.raises(ConfigError, match="Leave it out"):
        served("main")
    (tmp_path / "ira.env").unlink()
    (lost,) = further_of(ServeRequest(nats.address, together_with=("all",)), "main")
    assert lost.settings is None
    assert "is not there" in (lost.problem or "")


def environment(folder: Path, simulator: SimulatorServer, name: str) -> dict[str, str]:
    """Of an owner's process of its own."""
    return {
        **os.environ,
        "OH_ALPACA_ACCOUNTS": str(folder / "accounts.toml"),
        "APCA_API_BASE_URL": simulator.rest_url,
        "OH_ALPACA_DATA_URL": simulator.rest_url,
        "OH_ALPACA_STREAM_URL": simulator.stream_url,
        "XDG_STATE_HOME": str(folder / f"state of {name}"),
    }


@contextmanager
def program(folder: Path, environ: dict[str, str], *command: str) -> Iterator[Program]:
    made = Program(*command, cwd=folder, env=environ)
    try:
        yield made
    finally:
        made.kill()
        made.communicate()


@pytest.mark.processes
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM])
def test_who_stands_by_takes_all_accounts_and_no_fill_is_there_twice_or_missing(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path, how: signal.Signals
):
    accounts_at(tmp_path, simulator)
    command = ("stream", "serve", "--bus", nats.url, "--together-with", "all", "--keep", "0.05", "--state")
    states = {name: tmp_path / f"{name}.json" for name in ("first", "second")}

    def activity(name: str) -> str:
        return "" if (beat := read_heartbeat(states[name])) is None else beat.activity or ""

    with (
        program(tmp_path, environment(tmp_path, simulator, "first"), *command, str(states["first"])) as first,
        viewing(nats.address, "main", "ira") as (main, ira),
    ):
        wait_until(lambda: "serving" in activity("first"), A_PROCESS)
        with program(
            tmp_path, environment(tmp_path, simulator, "second"), *command, str(states["second"])
        ) as second:
            wait_until(lambda: "leads the desk" in activity("second"), A_PROCESS)
            wait_until(lambda: held(ira.snapshot()) == {CALL: 3}, A_PROCESS, saw=lambda: told(ira))
            wait_until(lambda: ira.snapshot().streams[fills_of("ira")].phase in WELL, A_PROCESS)
            simulator.push(FILLS, [fill("e1", 2, 2)], account=IRA_KEY)
            wait_until(lambda: len(ira.snapshot().fills) == 1, A_PROCESS, saw=lambda: told(ira))
            first.send_signal(how)
            wait_until(lambda: "serving" in activity("second"), A_PROCESS, saw=lambda: activity("second"))
            # Alpaca keeps its connection while it is frozen, so what is filled now comes to both.
            wait_until(
                lambda: (
                    ira.snapshot().streams[fills_of("ira")].phase in WELL
                    and (desk := ira.snapshot().desk) is not None
                    and f"process {second.pid}" in desk.owner
                ),
                A_PROCESS,
                saw=lambda: told(ira),
            )
            simulator.push(FILLS, [fill("e2", 1, 3)], account=IRA_KEY)
            simulator.push(FILLS, [fill("e3", 1, 1, symbol="MSFT", price="400")])
            wait_until(lambda: held(main.snapshot()) == {"MSFT": 8}, A_PROCESS, saw=lambda: told(main))
            if how is signal.SIGSTOP:
                first.send_signal(signal.SIGCONT)
                wait_until(
                    lambda: "standing by" in activity("first"), A_PROCESS, saw=lambda: activity("first")
                )
            wait_until(lambda: held(ira.snapshot()) == {CALL: 6}, A_PROCESS, saw=lambda: told(ira))
            snapshots = main.snapshot(), ira.snapshot()

    executions = [[one.execution_id for one in snapshot.fills] for snapshot in snapshots]
    assert executions[0] == ["e3"]
    assert executions[1][-1] == "e2"
    assert len(executions[1]) == len(set(executions[1])), "none twice"
    gaps = [one for one in snapshots[1].streams[fills_of("ira")].gaps if "Another owner" in one.reason]
    assert gaps, "the time between the two is told, of this account too"
    assert snapshots[1].streams[fills_of("ira")].missed == 0


@pytest.mark.processes
def test_the_command_serves_all_accounts_says_which_and_keeps_their_keys_to_itself(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    accounts_at(tmp_path, simulator)
    state = tmp_path / "health.json"
    environ = environment(tmp_path, simulator, "owner")
    command = ["stream", "serve", "--bus", nats.url, "--together-with", "all", "--account", "--keep", "0.05"]
    owner = Program(*command, "--state", str(state), cwd=tmp_path, env=environ)
    try:
        with viewing(nats.address, "main", "ira") as (main, ira):
            wait_until(lambda: held(main.snapshot()) == {"MSFT": 7}, A_PROCESS, saw=lambda: told(main))
            wait_until(lambda: held(ira.snapshot()) == {CALL: 3}, A_PROCESS, saw=lambda: told(ira))
            wait_until(lambda: CALL in simulator.subscribed(OPTIONS), A_PROCESS)
            wait_until(lambda: "MSFT" in simulator.subscribed(StreamName.STOCKS), A_PROCESS)
            owner.send_signal(signal.SIGTERM)
            said, _ = owner.communicate(timeout=A_PROCESS)
            wait_until(
                lambda: ira.snapshot().streams[fills_of("ira")].phase is Phase.STOPPED, saw=lambda: told(ira)
            )
    finally:
        owner.kill()
        owner.communicate()

    assert owner.returncode == 0, said
    assert "for the accounts main, ira at" in said
    beat = state.read_text()
    assert "alpaca/ira/fills" in beat
    for secret in (IRA_KEY, IRA_SECRET, DEMO_SECRET):
        assert secret not in said + beat


@pytest.mark.processes
def test_a_watch_follows_the_account_that_is_named_and_no_other(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    state = tmp_path / "watch.json"
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = ("watch", "--bus", nats.url, "--account", "--account-name")
    with owning(
        accounts_at(tmp_path, simulator), nats, "ira", config=replace(CONFIG, option_contracts=(CALL,))
    ):
        wait_until(lambda: look_at_desk(nats.address))
        lost = Program(*command, "roth", cwd=tmp_path, env=environ)
        said, _ = lost.communicate(timeout=A_PROCESS)
        watch = Program(*command, "ira", "--state", str(state), cwd=tmp_path, env=environ)
        try:
            wait_until(
                lambda: (
                    (beat := read_heartbeat(state))
                    and "watching 1 leg" in (beat.activity or "")
                    and "alpaca/ira/fills" in beat.streams
                ),
                A_PROCESS,
                saw=lambda: read_heartbeat(state),
            )
            watch.send_signal(signal.SIGTERM)
            watch.communicate(timeout=A_PROCESS)
        finally:
            watch.kill()
            watch.communicate()

    assert (lost.returncode, watch.returncode) == (75, 0), said
    assert "The owner serves main, ira, and not roth" in said


def test_what_is_said_at_the_end_is_said_of_all_accounts_at_once(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    """Each may take its seconds where the bus does not answer."""
    both = threading.Barrier(2)
    term = term_of(accounts_at(tmp_path, simulator), nats, "ira")
    term.open()
    closed: list[TermCarrier] = []

    def close(owner: TermCarrier) -> None:
        both.wait(AT_ONCE)
        owner.close()
        closed.append(owner)

    owners = term._owners  # noqa: SLF001 - who closes them, and when
    closing = [SimpleNamespace(fenced=None, close=partial(close, owner)) for owner in owners]
    term.owner, term._accounts_owner = cast("Any", closing)  # noqa: SLF001
    term.end()

    assert set(closed) == set(owners)


RULE = f"""
[[rules]]
name = "dear"
subject = "leg:{CALL}"
figure = "mark"
operator = "above"
level = 5
"""


@pytest.mark.processes
def test_a_watch_follows_all_accounts_that_are_served_each_by_its_own_rules_and_lease(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    (tmp_path / "alerts.toml").write_text(RULE)
    state, folder = tmp_path / "watch.json", tmp_path / "state"
    environ = {**os.environ, "XDG_STATE_HOME": str(folder)}
    command = ("watch", "--bus", nats.url, "--account", "--together-with", "all", "--rules", "alerts.toml")

    def activity() -> str:
        return "" if (beat := read_heartbeat(state)) is None else beat.activity or ""

    with owning(
        accounts_at(tmp_path, simulator), nats, "ira", config=replace(CONFIG, option_contracts=(CALL,))
    ):
        wait_until(lambda: look_at_desk(nats.address))
        with program(tmp_path, environ, *command, "--state", str(state)) as watch:
            wait_until(lambda: activity().count("watching 1 leg, ") == 2, A_PROCESS, saw=activity)
            wait_until(lambda: activity().count("streams over the bus") == 2, A_PROCESS, saw=activity)
            wait_until(lambda: CALL in simulator.subscribed(OPTIONS), A_PROCESS)
            simulator.push(OPTIONS, [quote(CALL, 1.0)])
            wait_until(
                lambda: (
                    (beat := read_heartbeat(state))
                    and (options := beat.streams.get("options"))
                    and options.applied
                ),
                A_PROCESS,
                saw=lambda: read_heartbeat(state),
            )
            simulator.push(OPTIONS, [quote(CALL, 9.0)])
            books = {
                name: open_books(
                    Settings(),
                    None,
                    Role.WATCH,
                    utc_now(),
                    environ,
                    account=alerts_key(nats.address, name, "main"),
                )
                for name in ("main", "ira")
            }

            def fired(account: str) -> list[str]:
                logs = [one.log.look().firings.values() for one in books[account].values()]
                return [one.firing.rule for log in logs for one in log]

            wait_until(lambda: "dear" in fired("ira"), A_PROCESS, saw=activity)
            beat = read_heartbeat(state)
            watch.send_signal(signal.SIGTERM)
            said, _ = watch.communicate(timeout=A_PROCESS)

    assert watch.returncode == 0, said
    assert beat is not None
    assert {"alpaca/main/fills", "alpaca/ira/fills"} <= set(beat.streams)
    assert "main: watching 1 leg, " in said
    assert "dear" not in fired("main"), "it holds none of it"
    assert len(list(folder.rglob("alerts/*.lease"))) == 4, (
        "of what is the account's and of its positions, each"
    )


def test_which_accounts_a_watch_follows_is_known_before_it_begins_and_under_what_their_alerts_are_kept(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    def asked(*together: str, account: str = DEFAULT_ACCOUNT) -> dict[str, str | None]:
        request = WatchRequest(bus=nats.address, together_with=together)
        found = accounts_of(request, replace(Settings(), account=account), tmp_path / "portfolio.json")
        assert [one.file is None for one in found] == [False, *[True] * len(together)]
        return {one.settings.account: one.key for one in found}

    with pytest.raises(Unavailable, match="Nobody has served"):
        asked("all")
    with owning(accounts_at(tmp_path, simulator), nats, "ira"):
        wait_until(lambda: look_at_desk(nats.address))
        main, ira = alerts_key(nats.address, DEFAULT_ACCOUNT, None), alerts_key(nats.address, "ira", "main")

        assert asked() == {DEFAULT_ACCOUNT: main}
        assert asked("all") == asked("ira") == {"main": main, "ira": ira}
        assert asked("main", account="ira") == {"ira": ira, "main": main}
        with pytest.raises(Unavailable, match="serves main, ira, and not roth"):
            asked("ira", "roth")
        for own in (DEFAULT_ACCOUNT, "main"):
            with pytest.raises(ConfigError, match="watched already"):
                asked("main", account=own)
    with owning(accounts_at(tmp_path, simulator), nats):
        wait_until(lambda: (word := look_at_desk(nats.address)) and word.accounts == ("main",))
        with pytest.raises(Unavailable, match="no account beside main"):
            asked("all")
    with pytest.raises(ConfigError, match="--bus"):
        accounts_of(WatchRequest(together_with=("all",)), Settings(), None)


def test_a_page_is_told_which_accounts_there_are_where_its_owner_answers(
    simulator: SimulatorServer, nats: NatsServer, tmp_path: Path
):
    assert told_accounts(nats.address) == {DESK_ACCOUNTS_VARIABLE: ""}, "nobody serves it yet"
    with owning(accounts_at(tmp_path, simulator), nats, "ira"):
        wait_until(lambda: told_accounts(nats.address) == {DESK_ACCOUNTS_VARIABLE: "main,ira"})
    nats.kill()
    assert told_accounts(nats.address) == {DESK_ACCOUNTS_VARIABLE: ""}
