"""What a viewer may show as an account's: nothing of another, of before, or of an owner that says no name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from options_helper.bus.access import BusAccess
from options_helper.bus.account_look import AccountLook
from options_helper.bus.accounts import OWN, AccountPlace, alerts_key, place_of
from options_helper.bus.address import BusAddress
from options_helper.bus.follower import Desk
from options_helper.bus.roles import ALL_ACCOUNTS, Role
from options_helper.bus.seeds import Seed
from options_helper.bus.term_carrier import Owner
from options_helper.bus.truth import DeskAccount, DeskHealth, decode, encode
from options_helper.model.account import AccountState
from options_helper.model.announcement import MarketKind
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.snapshot import DeskRemarks
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamName, fills_of

IRA = AccountPlace("ira")


def health(*accounts: str, pid: int = 1, untold: dict[str, str] | None = None) -> DeskHealth:
    return DeskHealth(
        program="2.0",
        host="den",
        pid=pid,
        at_ns=1,
        market=MarketKind.ALPACA,
        accounts=accounts,
        untold=untold or {},
    )


BEFORE = DeskHealth(program="1.0", host="den", pid=1, at_ns=1, market=MarketKind.ALPACA)


def account(name: str) -> DeskAccount:
    return DeskAccount(AccountState(), (), ExpiryFacts(), name)


def seed(*accounts: str, role: Role = Role.ACCOUNT_VIEWER) -> Seed:
    return Seed(SecretStr("secret"), "UKEY", "phone", role, accounts)


def desk(
    place: AccountPlace | None, *accounts: str, of: str, heard: tuple[float, float] = (10.0, 9.5)
) -> Desk:
    """An owner that is well, and has told of that account."""
    return Desk(
        health=health(*accounts),
        heard_at=heard[0],
        account=account(of),
        place=place,
        account_health=health(of),
        account_heard_at=heard[1],
    )


@pytest.mark.parametrize(
    ("asked", "told", "place"),
    [
        (DEFAULT_ACCOUNT, None, OWN),
        (DEFAULT_ACCOUNT, health("main", "ira"), OWN),
        ("main", health("main", "ira"), OWN),
        ("ira", health("main", "ira"), IRA),
        ("roth", health("main", "ira"), None),
        ("main", health(DEFAULT_ACCOUNT), None),
        ("main", BEFORE, None),
        ("main", None, None),
    ],
)
def test_where_an_account_is_the_owner_says(asked: str, told: DeskHealth | None, place: AccountPlace | None):
    assert place_of(asked, told) == place


def test_the_desks_own_account_has_the_subjects_of_before_and_others_their_own():
    assert (OWN.stream, IRA.stream) == (StreamName.FILLS, fills_of("ira"))


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (BEFORE, "the owner (version 1.0) is of before several could be served, and does not say which"),
        (health(DEFAULT_ACCOUNT), "serves one account, which has no name there"),
        (health("main"), "The owner serves main, and not ira"),
    ],
)
def test_what_an_owner_does_not_serve_is_not_shown_and_said(told: DeskHealth, why: str):
    said = AccountLook("ira").problem(Desk(health=told, account=account("")))

    assert why in (said or "")


def test_an_owner_of_before_is_followed_as_ever_where_no_account_is_named():
    look = AccountLook(DEFAULT_ACCOUNT)
    found = Desk(health=BEFORE, account=account(""), place=OWN)

    assert (look.problem(found), look.name(found)) == (None, "")
    assert DeskRemarks("an owner").said_of_accounts(()) is None


def test_all_is_well_where_the_account_that_is_told_is_the_one_that_is_followed():
    assert AccountLook("ira").problem(desk(IRA, "main", "ira", of="ira")) is None
    assert AccountLook("main").problem(desk(OWN, "main", "ira", of="main")) is None
    assert AccountLook(DEFAULT_ACCOUNT).problem(desk(OWN, "main", "ira", of="main")) is None


@pytest.mark.parametrize("asked", ["main", DEFAULT_ACCOUNT])
def test_what_the_store_has_of_another_account_is_not_taken_for_this_one(asked: str):
    """The owner's own account is another than it was, and its first word on it is to come."""
    said = AccountLook(asked).problem(desk(OWN, "main", "ira", of="ira"))

    assert said == "The owner has not told of the account main yet: what is there is of ira."


def test_an_owner_that_is_heard_and_says_nothing_of_an_account_has_lost_it():
    silent = desk(IRA, "main", "ira", of="ira", heard=(20.0, 16.0))

    assert AccountLook("ira").problem(silent) == (
        "The owner has not told of the account ira for 4 s, though it is heard."
    )
    assert AccountLook("ira").problem(replace(silent, heard_at=16.5)) is None, (
        "nobody is heard: the streams say so"
    )


@pytest.mark.parametrize("kept", [True, False], ids=["kept of before", "never told"])
def test_so_it_has_where_it_said_nothing_since_this_program_follows_it(kept: bool):  # noqa: FBT001 - two cases
    """What the store keeps may be hours old."""
    found = replace(
        desk(IRA, "main", "ira", of="ira", heard=(20.0, 0.0)), account_heard_at=None, account_since=16.0
    )
    if not kept:
        found = replace(found, account=None, account_health=None)

    assert "has not told of the account ira for 4 s" in (AccountLook("ira").problem(found) or "")
    assert AccountLook("ira").problem(replace(found, account_since=18.0)) is None


def test_a_new_owners_word_is_awaited_before_what_the_one_before_told_counts_again():
    taken_over = replace(desk(IRA, "main", "ira", of="ira"), health=health("main", "ira", pid=2))

    assert "has not told of the account ira yet" in (AccountLook("ira").problem(taken_over) or "")


@pytest.mark.parametrize(("place", "asked"), [(OWN, "main"), (IRA, "ira")])
def test_what_could_not_be_told_is_not_shown_as_it_was(place: AccountPlace, asked: str):
    lacking = {"truth": "It is larger than the bus takes."}
    found = replace(
        desk(place, "main", "ira", of=asked),
        health=health("main", "ira", untold=lacking),
        account_health=health("ira", untold=lacking),
    )

    assert AccountLook(asked).problem(found) == (
        f"What the owner knows of the account {asked} could not be told: It is larger than the bus takes."
    )


@pytest.mark.parametrize(
    ("accounts", "unseen"),
    [
        ((DEFAULT_ACCOUNT,), ("ira", "roth")),
        (("ira",), ("main", "roth")),
        ((DEFAULT_ACCOUNT, "roth"), ("ira",)),
        ((ALL_ACCOUNTS,), ()),
    ],
)
def test_which_accounts_a_seed_may_not_see_its_own_note_says(
    accounts: tuple[str, ...], unseen: tuple[str, ...]
):
    assert AccountLook("ira", seed(*accounts)).unseen(health("main", "ira", "roth")) == unseen


def test_a_seed_of_another_account_says_whose_it_is_and_how_to_get_one():
    said = AccountLook("ira", seed("roth")).problem(desk(IRA, "main", "ira", of="ira"))

    assert said == (
        "This computer's seed, that of phone (account-viewer of roth), is not for the account ira. "
        "`bus config --account-viewer NAME=ira` writes one that is."
    )


def test_who_follows_prices_alone_is_told_no_trouble_of_an_account():
    look = AccountLook(DEFAULT_ACCOUNT, seed(DEFAULT_ACCOUNT, role=Role.VIEWER))

    assert not look.may_be_seen
    assert look.is_for_prices
    assert look.problem(desk(OWN, "main", "ira", of="main")) is None


@pytest.mark.parametrize("asked", ["main", DEFAULT_ACCOUNT])
def test_a_seed_for_another_account_alone_is_no_seed_for_prices_alone(asked: str):
    look = AccountLook(asked, seed("ira"))

    assert (look.may_be_seen, look.is_for_prices) == (False, False)
    assert "that of phone (account-viewer of ira), is not for the " in (
        look.problem(Desk(health=health("main", "ira"))) or ""
    )


def test_a_viewer_of_prices_that_names_an_account_is_told_that_it_may_not_see_it():
    look = AccountLook("ira", seed(DEFAULT_ACCOUNT, role=Role.VIEWER))

    assert "that of phone (viewer), is not for the account ira" in (
        look.problem(Desk(health=health("main", "ira"))) or ""
    )


def test_all_accounts_are_counted_and_those_that_are_not_seen_named():
    remarks = DeskRemarks("an owner", accounts=("main", "ira", "roth"), unseen=("roth",))

    assert remarks.said_of_accounts(["ira"]) == (
        "The owner serves 3 accounts: main, ira, roth. Shown is ira. This computer's seed is not for roth."
    )
    assert "Shown are main, ira." in (remarks.said_of_accounts(["ira", "main"]) or "")
    assert "Shown is none of them." in (remarks.said_of_accounts([]) or "")


def test_a_program_of_before_shows_beside_the_owner_that_it_has_one_account_of_several():
    """It shows the host and one account, and knows nothing of others."""
    served = Owner("den", 1, 1).host_with(("main", "ira"))

    assert served == "den, with 2 accounts (main, ira), of which this is main"
    assert Owner("den", 1, 1).host_with(("main",)) == "den"
    assert replace_host(served).where == "den"


def replace_host(host: str) -> DeskHealth:
    found = decode(
        encode(DeskHealth(program="2", host=host, computer="den", pid=1, at_ns=1, market=MarketKind.ALPACA)),
        DeskHealth,
    )
    assert found is not None
    return found


def key(url: str, account: str, own: str | None = "main", desk: str = "home") -> str | None:
    access = BusAccess(seed_file=Path("a.seed"))
    return alerts_key(BusAddress.parse(url, desk, access), account, own)


def test_alerts_of_an_account_are_kept_under_one_key_whoever_calls_it_whatever():
    remote = "tls://desk.lan:4222"

    assert key(remote, "main") == key(remote, DEFAULT_ACCOUNT) == key(remote, DEFAULT_ACCOUNT, own=None)
    assert key("nats://127.0.0.1:4222", "ira") == key("nats://localhost:4222", "ira")
    every = {
        key(remote, "main"),
        key(remote, "ira"),
        key(remote, "roth"),
        key(remote, "ira", desk="office"),
        key("tls://other.lan:4222", "ira"),
        key("nats://127.0.0.1:4222", "ira"),
    }
    assert len(every) == 6, "two accounts never share one"


def test_the_own_account_of_this_computers_only_desk_has_the_key_it_always_had():
    local = "nats://127.0.0.1:4222"

    assert key(local, DEFAULT_ACCOUNT, desk="desk") is None
    assert key(local, "main", desk="desk") is None
    assert key(local, "ira", desk="desk") is not None
