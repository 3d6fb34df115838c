"""The roles of a bus: their rights as values, and each cell of the matrix at a real server with TLS."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from options_helper.bus.connection import BusConnection, StoreWish
from options_helper.bus.names import Names
from options_helper.bus.roles import ALL_ACCOUNTS, OWN_ACCOUNT, Role, abilities, rights_of
from options_helper.bus.seeds import read_seed
from options_helper.bus.server_config import users_in
from options_helper.bus.stores import further_stores_of, stores_of
from options_helper.bus.truth import DeskHealth, encode
from options_helper.doctor.bus import look_at_bus
from options_helper.doctor.findings import Verdict
from options_helper.errors import StreamError, StreamRefused
from options_helper.model.announcement import MarketKind
from options_helper.model.streams import fills_of
from tests.kit.secured import DESK, ROLES, USERS, SecuredBus, secured_bus
from tests.kit.waiting import AT_ONCE

T = TypeVar("T")
NAMES = Names(DESK)
# Who may do what; what is not named here nobody may.
MATRIX = {
    "follow prices": {"laptop", "study", "nas"},
    "follow the slow feed": {"laptop", "study", "nas"},
    "follow the owner's health": {"laptop", "study", "nas"},
    "read the newest of the owner": {"owner", "laptop", "study", "nas"},
    "ask the owner": {"laptop", "study", "nas"},
    "follow orders and fills": {"study"},
    "follow the account": {"study"},
    "read positions": {"owner", "study"},
    "read stored orders": {"owner"},
    "read stored prices": {"owner", "nas"},
    "record": {"nas"},
    "publish prices": {"owner"},
    "send the slow feed": {"owner"},
    "publish orders": {"owner"},
    "speak for the owner": {"owner"},
    "speak for the account": {"owner"},
    "hold the lease": {"owner"},
    "make the stores": {"owner"},
    "answer those who ask": {"owner"},
    "follow everything": set(),
    "speak for the server": set(),
}


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBus]:
    """A bus with a user of each role, and the owner's stores on it."""
    with secured_bus(tmp_path_factory.mktemp("secured")) as made:
        as_user(made, "owner", keep_all)
        yield made


async def keep_all(owner: BusConnection) -> None:
    for wish in stores_of(NAMES, 64 * 1024 * 1024):
        await owner.keep(wish)
    await owner.store("oh.home.in.stocks", b"a price")
    await owner.store("oh.home.acct.in.fills", b"a fill")
    await owner.store("oh.home.state.health", b"well")
    await owner.store("oh.home.acct.state.truth", b"rich")


def as_user(bus: SecuredBus, name: str, work: Callable[[BusConnection], Awaitable[T]]) -> T:
    async def run() -> T:
        connection = BusConnection(bus.user(name).address)
        await connection.open(f"a test's {name}")
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(asyncio.wait_for(run(), AT_ONCE))


def test_the_matrix_names_each_ability_once():
    assert list(MATRIX) == [one.words for one in abilities(NAMES)]


@pytest.fixture(scope="module")
def tried(bus: SecuredBus) -> dict[str, dict[str, bool]]:
    """What the server let each user do."""

    async def each(connection: BusConnection) -> dict[str, bool]:
        return {one.words: await connection.may(one.subject, follow=one.follow) for one in abilities(NAMES)}

    return {user: as_user(bus, user, each) for user in USERS}


@pytest.mark.parametrize("words", MATRIX)
@pytest.mark.parametrize("user", USERS)
def test_each_cell_of_the_matrix_is_what_the_server_does(tried, user: str, words: str):
    ability = next(one for one in abilities(NAMES) if one.words == words)
    rights = rights_of(USERS[user], NAMES, "UKEY")

    may = tried[user][words]
    assert may is (user in MATRIX[words])
    assert rights.allow(ability.subject, follow=ability.follow) is may, "what `bus check` holds it against"


# On a desk with accounts beside its own. `study` sees its own alone, as it was made before there were others.
OF_ACCOUNTS = {
    "phone": ("ira",),
    "tablet": ("default", "roth"),
    "wall": (ALL_ACCOUNTS,),
    "wrong": ("main",),
    "lost": ("pension",),
}
FURTHER_USERS = {**USERS, **dict.fromkeys(OF_ACCOUNTS, Role.ACCOUNT_VIEWER)}
FURTHER_MATRIX = {
    "follow prices": set(FURTHER_USERS) - {"owner"},
    "follow orders and fills": {"study", "tablet", "wall"},
    "follow the account": {"study", "tablet", "wall"},
    "read positions": {"owner", "study", "tablet", "wall"},
    "read stored orders": {"owner"},
    "read stored orders of further accounts": {"owner"},
    "read any word on them": {"owner"},
    "publish their orders": {"owner"},
    "speak for them": {"owner"},
    "make their stores": {"owner"},
    "follow the orders of all of them": set(),
    "follow orders and fills of ira": {"phone", "wall"},
    "follow the account ira": {"phone", "wall"},
    "read positions of ira": {"owner", "phone", "wall"},
    "follow orders and fills of roth": {"tablet", "wall"},
    "follow the account roth": {"tablet", "wall"},
    "read positions of roth": {"owner", "tablet", "wall"},
}


@pytest.fixture(scope="module")
def further(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBus]:
    """A bus with users who may see some of the accounts, and the stores of all of them on it."""
    roles = [*ROLES, *((name, Role.ACCOUNT_VIEWER) for name in OF_ACCOUNTS)]
    with secured_bus(tmp_path_factory.mktemp("further"), roles=roles, accounts=OF_ACCOUNTS) as made:
        as_user(made, "owner", keep_further)
        yield made


async def keep_further(owner: BusConnection) -> None:
    await keep_all(owner)
    for wish in further_stores_of(NAMES):
        await owner.keep(wish)
    for account in ("ira", "roth"):
        await owner.store(NAMES.published(fills_of(account)), account.encode())
        await owner.store(NAMES.account_state("truth", account), account.encode())


@pytest.fixture(scope="module")
def tried_further(further: SecuredBus) -> dict[str, dict[str, bool]]:
    async def each(connection: BusConnection) -> dict[str, bool]:
        return {
            one.words: await connection.may(one.subject, follow=one.follow)
            for one in abilities(NAMES, ("ira", "roth"))
        }

    return {user: as_user(further, user, each) for user in FURTHER_USERS}


@pytest.mark.parametrize("words", FURTHER_MATRIX)
@pytest.mark.parametrize("user", FURTHER_USERS)
def test_a_seed_for_one_account_may_do_nothing_with_another(tried_further, user: str, words: str):
    ability = next(one for one in abilities(NAMES, ("ira", "roth")) if one.words == words)
    rights = rights_of(FURTHER_USERS[user], NAMES, "UKEY", OF_ACCOUNTS.get(user, OWN_ACCOUNT))

    may = tried_further[user][words]
    assert may is (user in FURTHER_MATRIX[words])
    assert rights.allow(ability.subject, follow=ability.follow) is may, "what `bus check` holds it against"


def test_whoever_may_see_an_account_hears_what_the_server_stored_of_it_and_of_no_other(further: SecuredBus):
    heard: dict[str, list[bytes]] = {"phone": [], "wall": []}

    def hear(name: str, _subject: str, data: bytes, _reply: object) -> None:
        heard[name].append(data)

    async def story() -> None:
        connections = {name: BusConnection(further.user(name).address) for name in ("owner", *heard)}
        for connection in connections.values():
            await connection.open("a test")
        for name, account in (("phone", "ira"), ("wall", "ira"), ("wall", "roth")):
            for subject in NAMES.further_followed(account):
                await connections[name].subscribe(subject, partial(hear, name))
        for account in ("ira", "roth"):
            await connections["owner"].store(NAMES.published(fills_of(account)), f"fill {account}".encode())
            await connections["owner"].store(
                NAMES.account_state("truth", account), f"rich {account}".encode()
            )
        for connection in connections.values():
            await connection.settle()
        kept = await connections["phone"].kept(NAMES.further_state_store, NAMES.account_state("truth", "ira"))
        assert kept is not None
        assert kept.data == b"rich ira"
        with pytest.raises(StreamRefused, match=r"does not let phone \(account-viewer of ira\)"):
            await connections["phone"].kept(NAMES.further_state_store, NAMES.account_state("truth", "roth"))
        for connection in connections.values():
            await connection.close()

    asyncio.run(asyncio.wait_for(story(), AT_ONCE))
    assert heard["phone"] == [b"fill ira", b"rich ira"]
    assert heard["wall"] == [b"fill ira", b"rich ira", b"fill roth", b"rich roth"]


@pytest.mark.parametrize(
    ("user", "verdict", "said"),
    [
        ("phone", Verdict.OK, "with the accounts main, ira, roth, of which main is its own"),
        ("study", Verdict.OK, "main is its own"),
        (
            "wrong",
            Verdict.WARNING,
            "The seed is for main by its name, and the desk's own account is for a seed without",
        ),
        ("lost", Verdict.WARNING, "The seed is for the account pension, which is not served."),
    ],
)
def test_bus_check_says_which_accounts_there_are_and_whether_the_seed_is_for_any(
    further: SecuredBus, user: str, verdict: Verdict, said: str
):
    told = DeskHealth(
        program="1", host="den", pid=1, at_ns=1, market=MarketKind.ALPACA, accounts=("main", "ira", "roth")
    )

    async def tell(owner: BusConnection) -> None:
        await owner.store(NAMES.state("health"), encode(told))

    as_user(further, "owner", tell)
    looked = {one.what: one.finding for one in look_at_bus(further.user(user).address)}

    assert looked["rights"].verdict is Verdict.OK, looked["rights"]
    assert looked["owner"].verdict is verdict
    assert said in looked["owner"].message


def test_a_role_says_its_accounts_where_it_is_written_and_reads_them_again(further: SecuredBus):
    text = (further.folder / "nats-server.conf").read_text()
    found = {user.name: user for user in users_in(text)}

    assert {name: found[name].accounts for name in OF_ACCOUNTS} == OF_ACCOUNTS
    assert found["study"].part == "account-viewer"
    assert [read_seed(further.folder / f"{name}.seed").accounts for name in ("phone", "study")] == [
        ("ira",),
        OWN_ACCOUNT,
    ]
    assert read_seed(further.folder / "phone.seed").who == "phone (account-viewer of ira)"


def test_to_find_out_what_is_allowed_changes_nothing(bus: SecuredBus):
    async def look(owner: BusConnection) -> list[object]:
        stores = (NAMES.market_store, NAMES.account_store, NAMES.state_store, NAMES.account_state_store)
        sequences: list[object] = [await owner.last_sequence(store) for store in stores]
        return [*sequences, await owner.message(NAMES.market_store, 1)]

    async def try_all(connection: BusConnection) -> None:
        for one in abilities(NAMES):
            await connection.may(one.subject, follow=one.follow)

    before = as_user(bus, "owner", look)
    for user in USERS:
        as_user(bus, user, try_all)
    assert as_user(bus, "owner", look) == before


@pytest.mark.parametrize("user", ["laptop", "nas"])
@pytest.mark.parametrize("subject", ["oh.home.acct.md.fills", "oh.home.acct.state.truth", "oh.home.acct.>"])
def test_whoever_has_no_account_is_told_what_it_may_not_follow(bus: SecuredBus, user: str, subject: str):
    async def follow(connection: BusConnection) -> None:
        await connection.subscribe(subject, lambda *_: None)

    with pytest.raises(StreamRefused, match=rf"does not let {user} \({USERS[user]}\) follow {subject}\. Use"):
        as_user(bus, user, follow)


@pytest.mark.parametrize("user", ["laptop", "study", "nas"])
def test_a_fill_is_not_had_by_its_number(bus: SecuredBus, user: str):
    """A direct get cannot be limited by subject, so orders are stored apart, and nobody but the owner may."""

    async def get(connection: BusConnection) -> object:
        return await connection.message(NAMES.account_store, 1)

    with pytest.raises(StreamRefused, match=r"publish to \$JS\.API\.DIRECT\.GET\.OH_home_ACCT\. Use"):
        as_user(bus, user, get)


def test_an_account_viewer_reads_the_account_and_a_recorder_reads_prices_from_any_on(bus: SecuredBus):
    async def account(connection: BusConnection) -> object:
        await connection.subscribe("oh.home.acct.md.fills", lambda *_: None)
        return await connection.kept(NAMES.account_state_store, "oh.home.acct.state.truth")

    async def prices(connection: BusConnection) -> object:
        assert await connection.last_sequence(NAMES.market_store) >= 1
        return await connection.message(NAMES.market_store, 1)

    assert getattr(as_user(bus, "study", account), "data", None) == b"rich"
    assert getattr(as_user(bus, "nas", prices), "data", None) == b"a price"


@pytest.mark.parametrize("user", ["laptop", "study", "nas"])
@pytest.mark.parametrize("subject", ["oh.home.in.stocks", "oh.home.md.stocks", "oh.home.state.health"])
def test_nobody_but_the_owner_publishes_and_the_refusal_names_subject_and_role(bus, user, subject):
    async def publish(connection: BusConnection) -> None:
        await connection.store(subject, b"a lie")

    with pytest.raises(
        StreamRefused, match=rf"does not let {user} \({USERS[user]}\) publish to {subject}\. Use"
    ):
        as_user(bus, user, publish)


@pytest.mark.parametrize("user", USERS)
def test_nobody_removes_what_is_stored(bus: SecuredBus, user: str):
    async def remove(connection: BusConnection) -> None:
        manager = connection._open_client.jsm(timeout=0.2)  # noqa: SLF001 - our code has no way to do that
        for store in (NAMES.market_store, NAMES.account_store):
            for act in (manager.delete_stream, manager.purge_stream):
                with pytest.raises(Exception):  # noqa: B017, PT011 - refused, in whatever way
                    await act(store)

    async def look(connection: BusConnection) -> object:
        return await connection.message(NAMES.account_store, 1)

    as_user(bus, user, remove)
    assert as_user(bus, "owner", look) is not None


def test_the_owner_of_one_desk_has_nothing_to_say_on_another(bus: SecuredBus):
    async def keep(connection: BusConnection) -> None:
        await connection.keep(StoreWish("OH_other_MD", ("oh.other.in.>",)))

    with pytest.raises(StreamRefused, match="does not let owner"):
        as_user(bus, "owner", keep)


def test_an_answer_goes_to_whoever_asks_and_nowhere_else(bus: SecuredBus):
    """Who may ask names where the answer goes: not to a place where only the owner may publish."""

    async def answered() -> tuple[bytes, list[object]]:
        owner, viewer = (BusConnection(bus.user(name).address) for name in ("owner", "laptop"))
        replies: list[object] = []
        for connection in (owner, viewer):
            await connection.open("a test")

        def hear(_subject, _data, reply):
            replies.append(reply)
            if reply is not None:
                tasks.append(asyncio.ensure_future(reply(b"now")))

        tasks: list[asyncio.Future[None]] = []
        await owner.subscribe("oh.home.ask.time", hear)
        answer = await viewer.ask("oh.home.ask.time")
        await viewer._open_client.publish("oh.home.ask.time", b"", reply="oh.home.in.stocks")  # noqa: SLF001
        await viewer.settle()
        await owner.settle()
        await asyncio.gather(*tasks)
        await owner.close()
        await viewer.close()
        return answer, replies

    answer, replies = asyncio.run(asyncio.wait_for(answered(), AT_ONCE))
    assert answer == b"now"
    assert [reply is None for reply in replies] == [False, True]


def test_an_inbox_is_read_by_its_own_user_alone(bus: SecuredBus):
    async def follow(connection: BusConnection) -> None:
        await connection.subscribe("_INBOX.>", lambda *_: None)

    for user in USERS:
        with pytest.raises((StreamRefused, StreamError), match="does not let"):
            as_user(bus, user, follow)


def test_a_role_is_a_word_with_a_meaning():
    assert [role.meaning for role in Role if not role.meaning] == []


def test_a_right_to_a_subject_is_one_to_what_is_below_it_and_no_further():
    rights = rights_of(Role.VIEWER, NAMES, "UKEY")

    assert rights.allow("oh.home.md.stocks", follow=True)
    assert not rights.allow("oh.home.md", follow=True)
    assert not rights.allow("oh.home.mdx.stocks", follow=True)
    assert not rights.allow("oh.other.md.stocks", follow=True)


def test_the_folder_of_a_test_has_no_seed_that_others_may_read(bus: SecuredBus):
    seeds: list[Path] = list(bus.folder.glob("*.seed"))

    assert {path.stem for path in seeds} == set(USERS)
    assert {path.stat().st_mode & 0o777 for path in seeds} == {0o600}
