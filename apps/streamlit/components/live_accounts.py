"""Which of several accounts the page shows; where there is one, nothing of this is drawn."""

from __future__ import annotations

import os

import streamlit as st

from apps.streamlit.components.formatting import plain
from options_helper.bus.address import bus_of
from options_helper.data.accounts_file import load_accounts, load_desk_settings
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.errors import ConfigError
from options_helper.settings import NO_KEYS, Settings

KEY = "account_name"
HELP = (
    "Whose fills, positions and reconciliation these are, of the accounts in config/accounts.toml. Prices come with "
    "the keys of {market_data}."
)


def account_box(portfolio_file: PortfolioFile) -> str | None:
    """Draw the choice and read it; None where there is nothing to choose, or the file names its account."""
    if _follows_a_bus():
        return None
    try:
        accounts = load_accounts()
    except ConfigError:
        return None  # why nothing can be started says more
    if not accounts.are_several:
        return None
    if (written := _written(portfolio_file)) is not None:
        st.caption(plain(f"{portfolio_file.name} is of the account {written}."))
        return None
    if st.session_state.get(KEY) not in accounts.names:
        st.session_state[KEY] = accounts.market_data
    return st.selectbox(
        "Account", accounts.names, key=KEY, help=HELP.format(market_data=accounts.market_data)
    )


def settings_of(account: str | None, portfolio_file: PortfolioFile) -> Settings:
    """The settings of what is chosen, as they are at this moment; ConfigError for what cannot be used."""
    written = _written(portfolio_file)
    if _follows_a_bus():
        return load_desk_settings(account, written)
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


def _follows_a_bus() -> bool:
    try:
        return bus_of(os.environ) is not None
    except ConfigError:
        return False  # it is said where it is needed


def _written(portfolio_file: PortfolioFile) -> str | None:
    return None if portfolio_file.portfolio is None else portfolio_file.portfolio.account
