"""One owner of the account's connection and any number of programs that follow it, over NATS.

In: frames and what the owner knows of its streams. Out: the same on another computer, every loss counted.
Beyond this computer: TLS before anything else, and keys by role. Imports `data`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "access": ("BusAccess",),
    "accounts": ("alerts_key", "earlier_alerts_key", "why_not_served"),
    "accounts_owner": ("AccountsOwner",),
    "address": (
        "BUS_VARIABLE",
        "DEFAULT_PORT",
        "DESK_ACCOUNTS_VARIABLE",
        "BusAddress",
        "bus_environment",
        "bus_of",
        "desk_accounts_of",
        "is_loopback",
    ),
    "admission": ("OWN_DEVICES", "Admissions"),
    "connection": ("BusConnection",),
    "demand": ("BOOKS", "HALTS"),
    "detail": ("Detail",),
    "keeper": ("LeaseKeeper",),
    "lease_course": ("Standing",),
    "names": ("DEFAULT_DESK", "Names"),
    "roles": ("ALL_ACCOUNTS", "OWN_ACCOUNT", "Role", "abilities", "part_of", "rights_of"),
    "seeds": ("Seed", "make_seed", "read_seed", "seed_text"),
    "server_config": (
        "OWNER_NAME",
        "ServerPlan",
        "User",
        "desk_in",
        "require_names",
        "server_text",
        "users_in",
        "with_users",
    ),
    "truth": ("DeskHealth", "decode"),
    "first_look": ("FEEDS_SECONDS", "look_at_desk"),
    "owner": ("AnnouncedSource", "BusOwner"),
    "owner_term": ("Require", "no_lease"),
    "recording": ("BusRecording",),
    "stores": ("DEFAULT_KEEP_BYTES",),
    "term_carrier": ("Owner", "TermCarrier"),
    "viewer": ("BusManager",),
}
