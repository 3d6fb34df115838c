"""The dashboard's process: one run of streams for all tabs, its history, and the screen as values.

In: settings, the portfolio file, what the user chose. Out: `LiveSnapshot` and values ready to draw. No Streamlit.
Imports `alerting`, `bus`, `monitoring`, `data`, `analysis`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "account_book": ("ACCOUNT_FILE", "PortfolioSource", "default_source"),
    "attention": ("GRAVE_WARNINGS", "Item", "attention", "worth_saying"),
    "change_history": ("ChangeRecord",),
    "connections": ("PROCESS_MODULE", "process_connections"),
    "further_accounts": ("FurtherAccount", "FurtherAccounts"),
    "pnl_history": ("PnlPoint",),
    "screen": (
        "ACCOUNT_PANEL",
        "Banner",
        "Preferences",
        "ScreenModel",
        "State",
        "ViewOptions",
        "Viewpoint",
        "build_screen",
        "said_of_each",
        "shared_screen",
        "take_snapshot",
    ),
    "session": (
        "ACCOUNT_NEEDS_FILLS",
        "LiveSession",
        "Run",
        "NewsOf",
        "RunSettings",
        "config_for",
        "changed_code",
        "install_session",
        "new_session",
        "process_session",
    ),
    "shared_ticks": ("Once",),
}
