"""A bus beyond this computer: TLS before anything else, keys by role, and a sentence for each way not to be let in."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import msgspec
import pytest
import trustme

from options_helper.bus.access import BusAccess
from options_helper.bus.accounts_owner import AccountsOwner
from options_helper.bus.address import BusAddress
from options_helper.bus.admission import PAUSES, Admissions, ServerFacts
from options_helper.bus.connection import BusConnection
from options_helper.bus.roles import Role
from options_helper.bus.seeds import make_seed, read_seed, seed_text
from options_helper.bus.term_carrier import Owner
from options_helper.bus.viewer import BusManager
from options_helper.clock import utc_now_ns
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.errors import ConfigError, StreamError, StreamRefused
from options_helper.model.frames import Frame
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.model.streams import StreamId, StreamName, fills_of
from options_helper.settings import Settings
from tests.bus.test_keeper import keeping
from tests.bus.test_viewer import WANTED, bid, is_well, said, stocks, viewing
from tests.kit.bus import CURRENT, SYSTEM, NatsServer, nats_server
from tests.kit.fakes import NOON, deliver, wait_for
from tests.kit.order_updates import order_update
from tests.kit.secured import DESK, ROLES, SecuredBus, certificate, secured_bus, trusted
from tests.kit.serving import Relay, quotes, serving
from tests.kit.waiting import AT_ONCE, wait_until


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SecuredBus]:
    with secured_bus(tmp_path) as made:
        yield made


def dial(address: BusAddress) -> None:
    """Connect once, and leave; whatever was said to others before."""

    async def run() -> None:
        connection = BusConnection(address, Admissions())
        try:
            await connection.open("a test")
        finally:
            await connection.close()

    asyncio.run(asyncio.wait_for(run(), AT_ONCE))


def copied(bus: SecuredBus, name: str, folder: Path) -> Path:
    """A user's seed on its own computer."""
    path = folder / f"{name}-there.seed"
    shutil.copy(bus.folder / f"{name}.seed", path)
    return path


def test_each_user_is_let_in_with_its_seed(bus: SecuredBus):
    for name in ("owner", *dict(ROLES)):
        dial(bus.user(name).address)


def test_without_a_seed_nobody_is_let_in(bus: SecuredBus):
    with pytest.raises(StreamRefused, match=r"wants to know who asks\. Set OH_BUS_SEED_FILE"):
        dial(bus.as_user(None))


def test_a_seed_of_another_server_is_not_admitted(bus: SecuredBus, tmp_path: Path):
    stranger = tmp_path / "stranger.seed"
    stranger.write_text(seed_text(make_seed("stranger", Role.OWNER), DESK))
    stranger.chmod(0o600)

    with pytest.raises(
        StreamRefused, match=r"does not admit stranger \(owner\): the seed in .* was revoked"
    ) as refused:
        dial(bus.as_user(stranger))
    assert read_seed(stranger).text.get_secret_value() not in str(refused.value)


def test_a_server_with_anybody_elses_certificate_is_not_believed(bus: SecuredBus, tmp_path: Path):
    other = trusted(tmp_path, trustme.CA())

    with pytest.raises(StreamRefused, match=r"is signed by none that .*ca.pem has .*Set OH_BUS_CA_FILE"):
        dial(bus.as_user(bus.folder / "laptop.seed", other))


def test_a_certificate_of_another_name_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tests.kit import secured

    monkeypatch.setattr(secured, "certificate", lambda folder, *_: certificate(folder, "bus.example.net"))
    with (
        secured_bus(tmp_path) as elsewhere,
        pytest.raises(StreamRefused, match=r"is made out to another name than 127\.0\.0\.1"),
    ):
        dial(elsewhere.user("laptop").address)


def test_the_certificate_of_who_signed_is_needed_where_this_computer_does_not_trust_it(bus: SecuredBus):
    address = BusAddress.parse(bus.url, DESK, BusAccess(bus.folder / "laptop.seed"))

    with pytest.raises(StreamRefused, match="signed by none that this computer trusts"):
        dial(address)


def test_a_server_without_encryption_is_told_nothing_though_the_address_says_tls(tmp_path: Path):
    """The client alone would log in to it without a word."""
    seed = tmp_path / "laptop.seed"
    seed.write_text(seed_text(make_seed("laptop", Role.VIEWER), DESK))
    seed.chmod(0o600)
    with nats_server() as plain:
        address = BusAddress.parse(f"tls://127.0.0.1:{plain.port}", DESK, BusAccess(seed, trusted(tmp_path)))
        with pytest.raises(StreamRefused, match="does not begin with TLS, so nothing was sent to it"):
            dial(address)

        viewer = BusManager(Settings(), address)
        viewer.start(WANTED)
        try:
            wait_until(lambda: stocks(viewer).phase is Phase.FAILED, saw=lambda: stocks(viewer))
            assert "does not begin with TLS" in (stocks(viewer).last_error or "")
            wait_until(lambda: "does not begin with TLS" in said(viewer))
        finally:
            viewer.stop()


@pytest.mark.parametrize("old", [False, True])
def test_a_server_that_encrypts_only_after_its_greeting_is_told_nothing(tmp_path: Path, *, old: bool):
    """One in whose configuration a line is missing, and one that is too old to know the line."""
    binary = SYSTEM if old else CURRENT
    if binary is None:
        pytest.skip("there is no nats-server of the system here")

    def without_the_line(port: int) -> Path:
        proof, key = certificate(tmp_path, "127.0.0.1")
        path = tmp_path / "late.conf"
        path.write_text(
            f'listen: "127.0.0.1:{port}"\ntls {{ cert_file: "{proof}", key_file: "{key}" }}\n',
            encoding="utf-8",
        )
        return path

    with NatsServer(binary, without_the_line) as late:
        address = BusAddress.parse(f"tls://127.0.0.1:{late.port}", DESK, BusAccess(None, trusted(tmp_path)))
        with pytest.raises(StreamError, match=r"does not begin with TLS|did not answer the beginning of TLS"):
            dial(address)


def test_an_address_without_tls_of_a_server_with_it_is_told_the_other_address(bus: SecuredBus):
    plain = BusAddress.parse(f"nats://127.0.0.1:{bus.server.port}")

    with pytest.raises(StreamError, match=f"its address is tls://127.0.0.1:{bus.server.port}"):
        dial(plain)


def test_prices_and_account_go_over_tls_to_those_who_may_have_them(bus: SecuredBus):
    go_on = threading.Event()
    with (
        serving(bus.user("owner"), wait_for(go_on), deliver(*quotes(0, 20))) as owner,
        viewing(bus.user("study").address) as study,
        viewing(bus.user("laptop").address) as laptop,
    ):
        wait_until(lambda: is_well(study) and is_well(laptop), saw=lambda: (stocks(study), stocks(laptop)))
        go_on.set()
        wait_until(lambda: bid(laptop.snapshot()) == 119 == bid(study.snapshot()))
        wait_until(lambda: owner.events() == 40)  # what the owner folds, others may have had before

        theirs = owner.manager.snapshot()
        assert dict(laptop.snapshot().quotes) == dict(theirs.quotes) == dict(study.snapshot().quotes)
        wait_until(lambda: study.snapshot().streams[StreamName.FILLS].phase in (Phase.LIVE, Phase.QUIET))
        assert laptop.snapshot().streams[StreamName.FILLS].phase is Phase.OFF, (
            "not failed: it has no such right"
        )
        assert "seed is for prices" in said(laptop)
        assert "seed is for prices" not in said(study)


def test_a_viewer_whose_seed_promises_more_than_the_server_lets_it_says_which_role_and_subject(
    bus: SecuredBus,
):
    seed = bus.folder / "laptop.seed"
    seed.write_text(seed.read_text().replace("viewer", "account-viewer"))
    with serving(bus.user("owner"), deliver(*quotes(0, 1))), viewing(bus.as_user(seed)) as viewer:
        wait_until(lambda: viewer.snapshot().streams[StreamName.FILLS].phase is Phase.FAILED)

        why = viewer.snapshot().streams[StreamName.FILLS].last_error or ""
        assert "does not let laptop (account-viewer) follow oh.home.acct.md.fills" in why
        wait_until(lambda: is_well(viewer) and bid(viewer.snapshot()) == 100, saw=lambda: stocks(viewer))
        assert "follow oh.home.acct.md.state.*" in said(viewer)


def test_who_is_revoked_is_cut_off_fails_with_what_to_do_and_asks_ever_more_rarely(
    bus: SecuredBus, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Two streams and a follower, each of which asks again, together ask no more often than one."""
    caplog.set_level(logging.DEBUG)
    seed = copied(bus, "laptop", tmp_path)
    with (
        Relay(bus.server.port) as relay,
        serving(bus.user("owner"), deliver(*quotes(0, 1))),
        viewing(replace(bus.as_user(seed), url=f"tls://127.0.0.1:{relay.port}")) as laptop,
        viewing(bus.user("study").address) as study,
    ):
        wait_until(lambda: is_well(laptop) and is_well(study))
        assert relay.accepted == 3
        bus.revoke("laptop")
        wait_until(lambda: stocks(laptop).phase is Phase.FAILED, saw=lambda: stocks(laptop))

        assert "does not admit laptop (viewer)" in (stocks(laptop).last_error or "")
        assert "bus config" in (stocks(laptop).last_error or "")
        assert is_well(study), "the others notice nothing"
        wait_until(lambda: "does not admit laptop (viewer)" in said(laptop))
        assert relay.accepted <= 6, "each may have dialled before the first was refused"
    secret = read_seed(seed).text.get_secret_value()
    assert secret not in caplog.text
    assert secret not in repr(laptop.snapshot())


def test_a_new_seed_in_the_old_ones_place_is_used_without_a_restart(bus: SecuredBus, tmp_path: Path):
    seed = copied(bus, "laptop", tmp_path)
    with serving(bus.user("owner"), deliver(*quotes(0, 1))), viewing(bus.as_user(seed)) as laptop:
        wait_until(lambda: is_well(laptop))
        bus.revoke("laptop", ("laptop", Role.VIEWER))
        wait_until(lambda: stocks(laptop).phase is not Phase.LIVE, saw=lambda: stocks(laptop))
        copied(bus, "laptop", tmp_path)

        wait_until(lambda: is_well(laptop) and bid(laptop.snapshot()) == 100, saw=lambda: stocks(laptop))


def test_what_was_refused_is_not_asked_again_before_its_pause_is_over():
    now = [0.0]
    admissions = Admissions(lambda: now[0])
    admissions.require(("a",))
    for pause in (*PAUSES, PAUSES[-1]):
        admissions.refuse(("a",), "No.")
        with pytest.raises(StreamRefused, match=r"No\."):
            admissions.require(("a",))
        admissions.require(("another seed",))
        now[0] += pause - 0.1
        with pytest.raises(StreamRefused):
            admissions.require(("a",))
        now[0] += 0.2
        admissions.require(("a",))
    admissions.refuse(("a",), "No.")
    admissions.admit(("a",))
    admissions.require(("a",))


@pytest.mark.parametrize(
    ("url", "seed", "why"),
    [
        ("nats://10.0.0.7:4222", True, "unencrypted. Use tls://10.0.0.7"),
        ("nats://bus.example.com", True, "unencrypted"),
        ("tls://bus.example.com", False, "nothing here says who asks. Set OH_BUS_SEED_FILE"),
    ],
)
def test_beyond_this_computer_both_are_required(url, seed, why):
    with pytest.raises(ConfigError, match=why):
        BusAddress.parse(url, None, BusAccess(Path("some.seed") if seed else None))


def test_beyond_this_computer_both_are_enough():
    address = BusAddress.parse("tls://bus.example.com", "home", BusAccess(Path("some.seed")))

    assert (address.url, address.is_encrypted) == ("tls://bus.example.com:4222", True)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (ServerFacts((2, 15, 1), "127.0.0.1", asks_who=False, encrypts=False), None),
        (ServerFacts((2, 9, 10), "127.0.0.1", asks_who=False, encrypts=False), None),
        (ServerFacts((2, 15, 1), "0.0.0.0", asks_who=True, encrypts=True), None),  # noqa: S104
        (ServerFacts((2, 10, 22), "0.0.0.0", asks_who=True, encrypts=True), "2.10.22 is too old"),  # noqa: S104
        (ServerFacts((2, 10, 22), "127.0.0.1", asks_who=True, encrypts=True), "2.10.22 is too old"),
        (ServerFacts((2, 10, 23), "10.0.0.7", asks_who=True, encrypts=True), None),
        (ServerFacts((2, 15, 1), "0.0.0.0", asks_who=False, encrypts=False), "encryption and without asking"),  # noqa: S104
        (ServerFacts((2, 15, 1), "0.0.0.0", asks_who=True, encrypts=False), "without encryption"),  # noqa: S104
    ],
)
def test_what_is_dangerous_about_a_server_is_told(facts, why):
    found = " ".join(facts.warnings)
    assert (why in found) if why else not found
    assert ("own devices" in " ".join(facts.notices)) is facts.listens_beyond


def test_a_server_tells_of_itself(bus: SecuredBus):
    async def facts() -> ServerFacts:
        connection = BusConnection(bus.user("laptop").address)
        await connection.open("a test")
        try:
            return connection.facts
        finally:
            await connection.close()

    found = asyncio.run(facts())
    assert (found.listens_on, found.asks_who, found.encrypts) == ("127.0.0.1", True, True)
    assert found.version >= (2, 11)


def test_a_seed_never_shows(tmp_path: Path):
    seed = make_seed("laptop", Role.VIEWER)
    path = tmp_path / "laptop.seed"
    path.write_text(seed_text(seed, DESK))
    path.chmod(0o600)
    secret = seed.text.get_secret_value()
    address = BusAddress.parse("tls://127.0.0.1", DESK, BusAccess(path))

    assert secret.startswith("SU")
    for shown in (repr(seed), str(seed), repr(address), repr(address.access), repr(read_seed(path))):
        assert secret not in shown


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("{seed}", 0o644, "others on this computer may read it"),
        ("{seed}", 0o640, "chmod 600"),
        ("# nothing\n", 0o600, "holds no seed"),
        ("{seed}\n{seed}", 0o600, "holds no seed"),
        ("{seed}x", 0o600, "holds no seed"),
        ("UACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY", 0o600, "holds no seed"),
    ],
)
def test_a_file_that_is_no_seed_or_not_ones_own_is_refused_and_not_quoted(tmp_path, text, mode, why):
    secret = make_seed("laptop", Role.VIEWER).text.get_secret_value()
    path = tmp_path / "laptop.seed"
    path.write_text(text.format(seed=secret))
    path.chmod(mode)

    with pytest.raises(ConfigError, match=why) as refused:
        BusAccess(path).require_usable()
    assert secret not in str(refused.value)
    assert str(path) in str(refused.value)


def test_bytes_that_are_no_text_and_a_file_that_is_not_there_are_told(tmp_path: Path):
    binary = tmp_path / "binary.seed"
    binary.write_bytes(b"\xff\xfe\x00SU")
    binary.chmod(0o600)

    with pytest.raises(ConfigError, match="is no text"):
        BusAccess(binary).require_usable()
    with pytest.raises(ConfigError, match="which OH_BUS_SEED_FILE names: No such file"):
        BusAccess(tmp_path / "none.seed").require_usable()
    with pytest.raises(ConfigError, match=r"OH_BUS_CA_FILE names .*none.pem, and there is no such file"):
        BusAccess(None, tmp_path / "none.pem").require_usable()


def test_settings_name_the_files_and_the_environment_goes_before_the_file(tmp_path: Path):
    env_file = tmp_path / "alpaca.env"
    env_file.write_text("OH_BUS_SEED_FILE=/a/laptop.seed\nOH_BUS_CA_FILE=/a/ca.pem\n")

    assert BusAccess.load({}, env_file) == BusAccess(Path("/a/laptop.seed"), Path("/a/ca.pem"))
    found = BusAccess.load({"OH_BUS_CA_FILE": "/b/ca.pem"}, env_file)
    assert found == BusAccess(Path("/a/laptop.seed"), Path("/b/ca.pem"))
    assert BusAccess.load(found.environment, tmp_path / "none.env") == found


def test_what_is_no_certificate_is_told(bus: SecuredBus, tmp_path: Path):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")

    with pytest.raises(StreamRefused, match="holds no certificate"):
        dial(bus.as_user(bus.folder / "laptop.seed", wrong))


def test_an_owner_may_hold_the_lease_stand_by_for_it_and_take_over_with_its_rights_alone(bus: SecuredBus):
    address = bus.user("owner").address
    with keeping(address, "den") as first:
        first.until_leads()
        with keeping(address, "attic", 2) as second:
            second.until_follows("den (process 1)")
            wait_until(lambda: first.keeper.is_followed, saw=lambda: first.keeper.standing)
            first.keeper.give_back()
            second.until_leads()
            assert second.keeper.standing.problem is None


def test_a_seed_for_one_of_several_accounts_shows_that_one_and_says_of_the_others_that_it_is_not_for_them(
    tmp_path: Path,
):
    """The owner's rights are enough for all of them, and each viewer's for what it was made for."""
    of = {"phone": ("ira",), "wall": ("all",)}
    roles = [*ROLES, *((name, Role.ACCOUNT_VIEWER) for name in of)]
    update = msgspec.json.encode(order_update())
    with secured_bus(tmp_path, roles=roles, accounts=of) as bus:
        owner = AccountsOwner(
            bus.user("owner").address, Owner("here", 1, NOON), ("main", "ira"), now_ns=utc_now_ns
        )
        with serving(bus.user("owner"), deliver(*quotes(0, 1)), accounts=("main", "ira")) as main:
            owner.open()
            ira = fills_of("ira")
            own = replace(main.manager.snapshot(), streams={ira: StreamHealth(ira, Phase.LIVE)})
            owner.tell_of(lambda: replace(own, accounts=MappingProxyType({"ira": own})))
            try:
                with (
                    following(bus, "phone", "ira") as phone,
                    following(bus, "phone", "main") as not_phones,
                    following(bus, "study", "ira") as not_studys,
                    following(bus, "wall", "ira") as wall,
                ):
                    for viewer in (phone, wall):
                        wait_until(partial(is_in, viewer, ira, Phase.LIVE))
                    owner.carry_of("ira", main.source)([Frame(ira, update, 1, 7)])
                    for viewer in (phone, wall):
                        wait_until(partial(has_applied, viewer, ira))
                    wait_until(partial(has_lost_it, not_phones))
                    wait_until(partial(has_lost_it, not_studys))
                    desks = [one.snapshot().desk for one in (phone, not_phones, not_studys, wall)]
            finally:
                owner.close()
    assert [None if desk is None else desk.unseen for desk in desks] == [("main",), ("main",), ("ira",), ()]
    assert [None if desk is None else desk.account for desk in desks] == ["ira", None, None, "ira"]
    for desk, who in zip(
        desks[1:3], ("phone (account-viewer of ira)", "study (account-viewer)"), strict=True
    ):
        assert desk is not None
        assert f"This computer's seed, that of {who}, is not for the account" in (desk.account_problem or "")


def is_in(viewer: BusManager, stream: StreamId, phase: Phase) -> bool:
    return viewer.snapshot().streams[stream].phase is phase


def has_lost_it(viewer: BusManager) -> bool:
    desk = viewer.snapshot().desk
    return desk is not None and desk.account_problem is not None


def has_applied(viewer: BusManager, stream: StreamId) -> bool:
    return viewer.snapshot().streams[stream].applied == 1


@contextmanager
def following(bus: SecuredBus, user: str, account: str) -> Iterator[BusManager]:
    """A viewer of an account's fills alone, with that user's seed."""
    viewer = BusManager(replace(Settings(), account=account), bus.user(user).address)
    viewer.start(LiveStreamConfig(stream_stocks=False, stream_options=False))
    try:
        yield viewer
    finally:
        viewer.stop()
