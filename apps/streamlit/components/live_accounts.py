"""Which of several accounts the page shows; where there is one, nothing of this is drawn."""

from __future__ import annotations

import os
from collections.abc import Iterable

import streamlit as st

from apps.streamlit.components.formatting import plain
from options_helper.bus.address import bus_of
from options_helper.data.accounts_file import load_accounts, load_desk_settings
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.errors import ConfigError
from options_helper.live.further_accounts import FurtherAccount
from options_helper.live.screen import ScreenModel
from options_helper.live.session import Run, process_session
from options_helper.model.streams import DEFAULT_ACCOUNT
from options_helper.settings import NO_KEYS, Settings

KEY = "account_name"
FURTHER_KEY = "further_accounts"
SHOWN_KEY = "accounts"
FURTHER_HELP = (
    "Accounts whose positions and fills are asked for too, each with its own keys. Prices come once, for all."
)
SHOWN_HELP = "One or several accounts; none chosen: all of them together."
HELP_ON_BUS = (
    "Whose fills and positions these are, of the accounts that the owner of the streams serves. {own} is its own. "
    "Prices are the same for all."
)
HELP = (
    "Whose fills, positions and reconciliation these are, of the accounts in config/accounts.toml. Prices come with "
    "the keys of {market_data}."
)


def account_box(portfolio_file: PortfolioFile) -> str | None:
    """Draw the choice and read it; None where there is nothing to choose, or the file names its account."""
    if (offered := _offered()) is None:
        return None
    names, usual = offered
    if (written := _written(portfolio_file)) is not None:
        st.caption(plain(f"{portfolio_file.name} is of the account {written}."))
        return None
    if st.session_state.get(KEY) not in names:
        st.session_state[KEY] = usual
    if not follows_a_bus():
        return st.selectbox("Account", names, key=KEY, help=HELP.format(market_data=usual))
    chosen = st.selectbox("Account", names, key=KEY, help=HELP_ON_BUS.format(own=names[0]))
    # A run that began before its owner had said a name follows the desk's own without one.
    return None if chosen == names[0] else chosen


def _offered() -> tuple[tuple[str, ...], str] | None:
    """The accounts that there are to choose of, and the usual one; None where there is one.

    Over a bus they are its owner's, as far as it has said, and its own is the first; the usual one is the first that
    this computer's seed is for.
    """
    if follows_a_bus():
        names = process_session().desk_accounts
        seen = (name for name in names if _may_be_seen(name, names[0]))
        return (names, next(seen, names[0])) if len(names) > 1 else None
    try:
        accounts = load_accounts()
    except ConfigError:
        return None  # why nothing can be started says more
    return (accounts.names, accounts.market_data) if accounts.are_several else None


def further_box(account: str | None, portfolio_file: PortfolioFile) -> tuple[str, ...]:
    """Draw the choice of accounts that are asked beside that one, and read it; in the file's order."""
    if (offered := _offered()) is None:
        return ()
    names, usual = offered
    first = account or _written(portfolio_file) or (names[0] if follows_a_bus() else usual)
    others = [name for name in names if name != first]
    # Streamlit takes no choice that is not offered; told one again, it takes back what was picked meanwhile.
    if not set(st.session_state.get(FURTHER_KEY) or ()) <= set(others):
        st.session_state[FURTHER_KEY] = [name for name in st.session_state[FURTHER_KEY] if name in others]
    chosen = st.multiselect("Together with", others, key=FURTHER_KEY, help=FURTHER_HELP)
    return tuple(name for name in others if name in chosen)


def _may_be_seen(name: str, own: str) -> bool:
    """As far as the seed's own note says."""
    try:
        address = bus_of(os.environ)
        return address is None or address.access.sees(DEFAULT_ACCOUNT if name == own else name)
    except ConfigError:
        return True  # what is wrong with it is said where it is used


def further_accounts(names: Iterable[str]) -> tuple[FurtherAccount, ...]:
    """These accounts with their settings of this moment; of one that cannot be used, why."""
    found = []
    for name in names:
        try:
            settings = load_desk_settings(name) if follows_a_bus() else load_accounts().settings(name)
            found.append(FurtherAccount(name, settings))
        except ConfigError as error:
            found.append(FurtherAccount(name, problem=str(error)))
    return tuple(found)


def shown_accounts(run: Run | None) -> tuple[str, ...]:
    """Draw which accounts of a run that has several this tab shows, and read it; kept in the address. None: all."""
    if run is None or not run.further:
        return ()
    names = list(run.portfolios)
    with st.container(key="accounts-choice"):
        chosen = st.pills(
            "Accounts",
            names,
            selection_mode="multi",
            key=SHOWN_KEY,
            bind="query-params",
            help=SHOWN_HELP,
            label_visibility="collapsed",
        )
    return tuple(name for name in names if name in (chosen or ()))


def account_choice(screen: ScreenModel, key: str) -> ScreenModel:
    """Of several accounts that are shown the one that is chosen here; of one, that."""
    if not screen.accounts:
        return screen
    names = list(screen.accounts)
    chosen = st.segmented_control("Account", names, default=names[0], key=key, label_visibility="collapsed")
    return screen.accounts[next((name for name in names if name == chosen), names[0])]


def settings_of(account: str | None, portfolio_file: PortfolioFile) -> Settings:
    """The settings of what is chosen, as they are at this moment; ConfigError for what cannot be used."""
    written = _written(portfolio_file)
    if follows_a_bus():
        offered = _offered()
        # Of several the desk's own is called by its name too, once that is known: each row says whose it is.
        own = None if offered is None or written is not None else offered[0][0]
        return load_desk_settings(account or own, written, portfolio_file.name)
    return load_accounts().settings_for(account, written, portfolio_file.name)


def check_settings(account: str | None, portfolio_file: PortfolioFile) -> tuple[Settings | None, str | None]:
    """The same, None where there are none; and why nothing can be started with them, where that is so."""
    try:
        settings = settings_of(account, portfolio_file)
    except ConfigError as error:
        return None, str(error)
    try:
        needs_no_keys = bus_of(os.environ) is not None
    except ConfigError as error:
        return settings, str(error)
    return settings, None if settings.has_credentials or needs_no_keys else NO_KEYS


def follows_a_bus() -> bool:
    """Whether this page's streams are another program's."""
    try:
        return bus_of(os.environ) is not None
    except ConfigError:
        return False  # it is said where it is needed


def _written(portfolio_file: PortfolioFile) -> str | None:
    return None if portfolio_file.portfolio is None else portfolio_file.portfolio.account
