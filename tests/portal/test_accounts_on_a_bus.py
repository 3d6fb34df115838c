"""The accounts of another program's desk on the page: which there are, which are shown, and none that hides itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from options_helper.bus.address import DESK_ACCOUNTS_VARIABLE, BusAddress, bus_environment
from options_helper.bus.roles import Role
from options_helper.bus.seeds import make_seed, seed_text
from options_helper.model.snapshot import DeskRemarks, LiveSnapshot
from options_helper.model.snapshots_together import Unusable, without_account
from tests.portal.conftest import Portal, board, html, press, tile, warned
from tests.portal.test_accounts import box_of, name_account, settings_of
from tests.portal.test_accounts_together import CALL, scene_of

ACCOUNTS = ("main", "ira", "roth")
HELD = {"main": {"AAPL": 100, CALL: 2}, "ira": {CALL: -1}, "roth": {"AAPL": 3}}


def on_desk(account: str, held: dict[str, int] | None, *, problem: str | None = None) -> LiveSnapshot:
    """What a viewer of that account has; with a `problem` nothing of it."""
    name = "main" if account == "default" else account
    shown = scene_of(account, held or {})
    if problem is not None:
        shown = without_account(shown, Unusable(problem), keeping_streams=True)
    desk = DeskRemarks("the desk home", (), ACCOUNTS, None if problem else name, account_problem=problem)
    return replace(shown, desk=desk)


def scene(account: str, problem: str | None = None) -> Callable[[], LiveSnapshot]:
    held = HELD["main" if account == "default" else account]
    return lambda: on_desk(account, held, problem=problem)


@pytest.fixture
def desk(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> Portal:
    """A page that is led to a bus, whose owner serves three accounts, as was told when it was."""
    for name, value in bus_environment(BusAddress.parse("127.0.0.1:4333", "home")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(DESK_ACCOUNTS_VARIABLE, ",".join(ACCOUNTS))
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
        monkeypatch.delenv(name)
    portal.scenes = {name: scene(name) for name in (*ACCOUNTS, "default")}
    return portal


def start(portal: Portal, *further: str, account: str | None = None) -> AppTest:
    tab = portal.open(book="account")
    if account is not None:
        tab.selectbox(key="account_name").select(account).run()
    if further:
        tab.multiselect(key="further_accounts").set_value(list(further)).run()
    press(tab, "start")
    portal.session.keep()
    tab.run()
    assert not tab.exception
    return tab


def quantities(tab: AppTest) -> dict[str, str]:
    shown = board(tab)
    return {
        name: said for name, said in zip(shown.index, shown["Qty"], strict=True) if name.startswith("275 C")
    }


def test_the_owners_accounts_are_offered_and_its_own_is_shown_where_nothing_is_chosen(desk: Portal):
    tab = start(desk)

    assert list(tab.selectbox(key="account_name").options) == list(ACCOUNTS)
    assert tab.selectbox(key="account_name").value == "main"
    assert settings_of(desk).account == "main", "each row says whose it is, by its name"
    assert "1 of 3 accounts" in html(tab)
    assert "account main" in html(tab)
    assert list(quantities(tab).values()) == ["+2"]


def test_another_one_is_shown_alone_and_not_as_the_desks_own(desk: Portal):
    tab = start(desk, account="ira")

    assert settings_of(desk).account == "ira"
    assert "1 of 3 accounts" in html(tab)
    assert "account ira" in html(tab)
    assert list(quantities(tab).values()) == ["−1"]


def test_several_stand_side_by_side_and_what_the_owner_has_besides_is_counted(desk: Portal):
    tab = start(desk, "ira")

    assert "2 of 3 accounts: main + ira" in html(tab)
    assert "The owner serves 3 accounts: main, ira, roth. Shown are main, ira." in html(tab)
    assert quantities(tab) == {"275 C · 15 Jan 27 · main": "+2", "275 C · 15 Jan 27 · ira": "−1"}


def test_all_of_them_are_called_all(desk: Portal):
    assert "all 3 accounts: main + ira + roth" in html(start(desk, "ira", "roth"))


REASONS = [
    "This computer's seed, that of phone (account-viewer of main), is not for the account ira.",
    "The owner has not told of the account ira for 4 s, though it is heard.",
    "The owner serves main, roth, and not ira.",
]


@pytest.mark.parametrize("why", REASONS)
def test_an_account_that_may_not_be_believed_is_missing_from_each_sum_by_its_name(desk: Portal, why: str):
    tab = start(desk, "ira")
    assert "WITHOUT" not in tile(tab, "Theta")

    desk.scenes["ira"] = scene("ira", problem=why)
    desk.session.keep()
    tab.run()

    assert why in warned(tab)
    assert "without what the account ira holds" in html(tab)
    assert "WITHOUT ira" in tile(tab, "Theta")
    assert list(quantities(tab).values()) == ["+2"], "what it held before is not shown as what it holds"
    assert "Shown is main." in html(tab)


@pytest.mark.parametrize("why", REASONS[1:])
def test_so_is_the_desks_own_where_it_is_that_one(desk: Portal, why: str):
    tab = start(desk, "ira")

    desk.scenes["main"] = scene("main", problem=why)
    desk.session.keep()
    tab.run()

    assert "without what the account main holds" in html(tab)
    assert "WITHOUT main" in tile(tab, "Theta")
    assert list(quantities(tab).values()) == ["−1"]


def test_a_file_of_one_of_them_is_compared_with_that_one(desk: Portal):
    name_account(desk.folder, "ira")

    tab = desk.open()
    assert box_of(tab) == []
    press(tab, "start")

    assert settings_of(desk).account == "ira"


def test_who_was_told_of_no_accounts_chooses_none_until_the_owner_has_said(
    desk: Portal, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(DESK_ACCOUNTS_VARIABLE)
    tab = desk.open(book="account")
    assert box_of(tab) == []

    press(tab, "start")
    assert settings_of(desk).account == "default"
    desk.session.keep()
    tab.run()

    assert list(tab.selectbox(key="account_name").options) == list(ACCOUNTS)
    assert tab.selectbox(key="account_name").value == "main"
    assert not [one for one in tab.button if one.key == "apply"], "nothing else was chosen"
    assert "1 of 3 accounts" in html(tab)


@pytest.mark.parametrize(
    ("accounts", "usual"),
    [(("ira",), "ira"), (("default", "ira"), "main"), (("all",), "main"), (("pension",), "main")],
)
def test_the_first_account_that_this_computers_seed_is_for_is_the_usual_one(
    desk: Portal, monkeypatch: pytest.MonkeyPatch, accounts: tuple[str, ...], usual: str
):
    file = desk.folder / "phone.seed"
    file.write_text(seed_text(make_seed("phone", Role.ACCOUNT_VIEWER, accounts), "home"))
    file.chmod(0o600)
    monkeypatch.setenv("OH_BUS_SEED_FILE", str(file))

    tab = start(desk)

    assert tab.selectbox(key="account_name").value == usual
    assert settings_of(desk).account == usual
    assert [one for one in ACCOUNTS if one != usual] == list(tab.multiselect(key="further_accounts").options)


def test_an_owner_of_one_account_offers_nothing_to_choose(desk: Portal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(DESK_ACCOUNTS_VARIABLE)
    alone = replace(scene("main")(), desk=DeskRemarks("the desk home", (), ("default",), "default"))
    desk.scenes["default"] = lambda: alone

    tab = start(desk)

    assert box_of(tab) == []
    assert "accounts" not in html(tab).split("oh-bar")[1][:400]
