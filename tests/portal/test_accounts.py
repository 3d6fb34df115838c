"""The choice of an account on the page: only where there are several, and always told whose it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from options_helper.settings import Settings
from tests.portal.conftest import SECRET, Portal, everything, html, press

MAIN = f'[accounts.main]\nmarket_data = true\npaper = true\nkey = "PKMAIN"\nsecret = "{SECRET}"\n'
IRA = f'[accounts.ira]\npaper = false\nkey = "AKIRA"\nsecret = "{SECRET}"\n'


def configure(folder: Path, text: str) -> None:
    # Beside the file of keys, which is hidden from every test.
    file = folder / "accounts.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)


def name_account(folder: Path, account: str) -> None:
    file = folder / "portfolio.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text(encoding="utf-8")), "account": account}), encoding="utf-8"
    )


def settings_of(portal: Portal) -> Settings:
    run = portal.session.run
    assert run is not None
    return run.settings


def box_of(tab: AppTest) -> list[str]:
    return [box.key for box in tab.selectbox if box.key == "account_name"]


@pytest.mark.parametrize("text", [None, MAIN], ids=["no file", "one in the file"])
def test_who_has_one_account_chooses_none(portal: Portal, text: str | None):
    if text is not None:
        configure(portal.folder, text)

    tab = portal.open()

    assert box_of(tab) == []
    assert not tab.button(key="start-page").disabled


def test_one_of_several_is_chosen_and_its_name_stands_on_the_page(portal: Portal):
    configure(portal.folder, MAIN + IRA)
    tab = portal.open()
    assert tab.selectbox(key="account_name").value == "main"

    tab.selectbox(key="account_name").select("ira").run()
    press(tab, "start")

    settings = settings_of(portal)
    assert settings.account == "ira"
    assert settings.require_credentials()[0] == "AKIRA"
    assert settings.market_data.require_credentials()[0] == "PKMAIN"
    assert "account ira" in html(tab)
    assert SECRET not in everything(tab)


def test_another_account_is_applied_as_a_run_of_its_own(portal: Portal):
    configure(portal.folder, MAIN + IRA)
    tab = portal.open()
    press(tab, "start")
    assert settings_of(portal).account == "main"

    tab.selectbox(key="account_name").select("ira").run()
    assert "account main" in html(tab), "what runs is shown until the choice is applied"
    tab.button(key="apply").click().run()

    assert not tab.exception
    assert settings_of(portal).account == "ira"
    assert len(portal.managers) == 2


def test_a_file_that_names_its_account_leaves_nothing_to_choose(portal: Portal):
    configure(portal.folder, MAIN + IRA)
    name_account(portal.folder, "ira")

    tab = portal.open()
    assert box_of(tab) == []
    press(tab, "start")

    assert settings_of(portal).account == "ira"


def test_a_file_of_an_account_that_is_not_there_cannot_be_started_and_the_page_says_why(portal: Portal):
    name_account(portal.folder, "ira")

    tab = portal.open()

    assert tab.button(key="start-page").disabled
    assert "There is no account 'ira'" in html(tab)


def test_an_account_that_cannot_be_used_costs_the_other_nothing(portal: Portal):
    configure(portal.folder, MAIN + '[accounts.ira]\nenv_file = "ira.env"\n')
    tab = portal.open()

    tab.selectbox(key="account_name").select("ira").run()
    assert tab.button(key="start-page").disabled
    assert "account ira: env_file" in html(tab)

    tab.selectbox(key="account_name").select("main").run()
    assert not tab.button(key="start-page").disabled
