"""One place for each foreign thing: the streams, REST, the files of a recording, the portfolio file.

In: settings, sockets, bytes. Out: values of `model`. Imports `model` and `settings`; never what is computed from it.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "accounts_file": (
        "Accounts",
        "FILE_NAME",
        "load_accounts",
        "load_desk_settings",
        "load_market_settings",
        "load_settings",
    ),
    "alerts_file": ("RulesFile", "reread_rules", "rules_file"),
    "at_once": ("do_at_once",),
    "atomic_file": ("make_folder", "replace_file", "sync_folder"),
    "betas_file": ("load_betas",),
    "dividends_file": ("load_dividends",),
    "earnings_file": ("load_earnings",),
    "file_lock": ("is_at", "is_held", "lock_file", "try_lock"),
    "firing_log": (
        "Acknowledged",
        "Delivered",
        "FiringLog",
        "Logged",
        "LoggedFiring",
        "Round",
        "Row",
        "Took",
        "Trying",
        "tried",
    ),
    "fred": ("Fred", "Observation"),
    "get_only": ("GetOnlyAdapter", "require_reading"),
    "intraday_store": ("IntradayStore", "StoreCounts", "StorePolicy"),
    "lease": ("Lease", "RENEW_SECONDS"),
    "lease_course": ("Ask", "Holder", "LeaseCourse", "Step", "Supplant", "Told", "Write", "carry_out"),
    "network": (
        "BYPASS_VARIABLES",
        "CERTIFICATE_REMEDY",
        "CERTIFICATE_VARIABLES",
        "PROXY_VARIABLES",
        "certificate_problem",
        "proxy_for",
        "tls_context",
        "readable_roots",
        "without_password",
    ),
    "periodic_task": ("PeriodicTask", "STOP_SECONDS"),
    "portfolio_file": (
        "DEFAULT_NAME",
        "PortfolioFile",
        "default_text",
        "follow",
        "known_roots",
        "open_portfolio_file",
        "reread",
        "stamp_of",
    ),
    "private_file": ("read_private_text",),
    "proxy_tunnel": ("open_tunnel",),
    "read_errors": ("is_passing", "not_read_now"),
    "secret_name": ("secret_name",),
    "sdk_import": ("load_sdk", "sdk_class"),
    "state_folder": ("state_folder",),
    "tcp_socket": ("connect_socket",),
}
