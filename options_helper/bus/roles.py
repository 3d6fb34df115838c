"""Who may do what on the bus, as the subjects that a server's configuration names; what is not named is refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from options_helper.bus.names import Names
from options_helper.model.streams import DEFAULT_ACCOUNT

_API: Final = "$JS.API"
# In place of an account's name: the desk's own, and every further one, also those that it does not serve yet.
ALL_ACCOUNTS: Final = "all"
OWN_ACCOUNT: Final = (DEFAULT_ACCOUNT,)


class Role(StrEnum):
    """What a user of the bus is for."""

    OWNER = "owner"
    VIEWER = "viewer"
    ACCOUNT_VIEWER = "account-viewer"
    RECORDER = "recorder"

    @property
    def sees_account(self) -> bool:
        """Whether it may have positions, orders and fills."""
        return self in (Role.OWNER, Role.ACCOUNT_VIEWER)

    @property
    def meaning(self) -> str:
        """In a few words."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    Role.OWNER: "publishes, and nobody else does",
    Role.VIEWER: "prices, and nothing of the account",
    Role.ACCOUNT_VIEWER: "prices, positions, orders and fills",
    Role.RECORDER: "market data from wherever it stopped, and nothing of the account",
}


def part_of(role: Role, accounts: Sequence[str]) -> str:
    """A role and the accounts that it may see, as a configuration and a seed's note say it."""
    is_plain = role is not Role.ACCOUNT_VIEWER or tuple(accounts) == OWN_ACCOUNT
    return str(role) if is_plain else f"{role} of {', '.join(accounts)}"


def accounts_in(text: str | None) -> tuple[str, ...]:
    """Those that such words name; the desk's own where they name none."""
    return OWN_ACCOUNT if text is None else tuple(text.split(", "))


@dataclass(frozen=True, slots=True)
class Rights:
    """The subjects of one user."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool = False  # may answer whoever asks it

    def allow(self, subject: str, *, follow: bool = False) -> bool:
        """Whether the server will let this user do that."""
        return any(_covers(pattern, subject) for pattern in (self.subscribe if follow else self.publish))


def _covers(pattern: str, subject: str) -> bool:
    wanted, had = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted = wanted[:-1]
        return len(had) > len(wanted) and all(map(_fits, wanted, had))
    return len(wanted) == len(had) and all(map(_fits, wanted, had))


def _fits(wanted: str, had: str) -> bool:
    return wanted in ("*", had)


@dataclass(frozen=True, slots=True)
class Ability:
    """Something that a user may do or not, by one subject that shows it."""

    words: str
    subject: str
    follow: bool = False


def inbox_of(public_key: str) -> str:
    """Where the answers to this user go, and to nobody else's."""
    return f"_INBOX.{public_key}"


def rights_of(role: Role, names: Names, public_key: str, accounts: Sequence[str] = OWN_ACCOUNT) -> Rights:
    """What that user may do on this desk; `accounts` are those that an account viewer may see, by name.

    The desk's own has none on the bus: it is called "default" here.
    """
    inbox = f"{inbox_of(public_key)}.>"
    if role is Role.OWNER:
        return _owner(names, inbox)
    publish = [names.ask(">"), *_newest(names.state_store, names.state(">"))]
    subscribe = [names.stored_market[1], names.slow_feeds, inbox]
    if role is Role.ACCOUNT_VIEWER:
        for account in (DEFAULT_ACCOUNT, "*") if ALL_ACCOUNTS in accounts else accounts:
            publish += _newest(names.state_store_of(account), names.account_state(">", account))
            is_own = account == DEFAULT_ACCOUNT
            subscribe += names.stored_account[1:] if is_own else names.further_followed(account)
    if role is Role.RECORDER:
        publish += _reading(names.market_store)
    return Rights(tuple(publish), tuple(subscribe))


def _owner(names: Names, inbox: str) -> Rights:
    """All of its own desk, except to take away what is stored, and to say what only the server says."""
    stores = (
        names.market_store,
        names.account_store,
        names.state_store,
        names.account_state_store,
        names.further_store,
        names.further_state_store,
    )
    publish = [
        names.stored_market[0],
        names.stored_account[0],
        names.state(">"),
        names.account_state(">"),
        names.stored_further[0],
        names.told_further[0],
        names.slow_feeds,
        names.lease_keys,
        f"{_API}.INFO",
        f"{_API}.STREAM.*.{names.lease_store}",
        f"{_API}.STREAM.MSG.GET.{names.lease_store}",
        f"{_API}.CONSUMER.*.{names.lease_store}.>",
        *_direct(names.lease_store),
    ]
    for store in stores:
        publish += [
            *(f"{_API}.STREAM.{verb}.{store}" for verb in ("CREATE", "UPDATE", "INFO", "MSG.GET")),
            *_direct(store),
        ]
    return Rights(tuple(publish), (names.ask(">"), inbox), answers=True)


def _newest(store: str, subject: str) -> list[str]:
    """To read what a subject holds now, and no other message of the store."""
    return [f"{_API}.DIRECT.GET.{store}.{subject}"]


def _direct(store: str) -> list[str]:
    return [f"{_API}.DIRECT.GET.{store}", f"{_API}.DIRECT.GET.{store}.>"]


def _reading(store: str) -> list[str]:
    """To read a store from any message on, over consumers of one's own."""
    return [
        f"{_API}.STREAM.INFO.{store}",
        *(f"{_API}.CONSUMER.{verb}.{store}.>" for verb in ("CREATE", "INFO", "MSG.NEXT", "DELETE")),
        f"{_API}.CONSUMER.CREATE.{store}",
        *_direct(store),
    ]


def right_to_record(store: str) -> str:
    """A subject to which only those may publish who may read a store from any message on."""
    return f"{_API}.CONSUMER.CREATE.{store}.check"


def abilities(names: Names, accounts: Sequence[str] = ()) -> tuple[Ability, ...]:
    """What the roles differ in, on this desk; also of these accounts beside its own, where it has any.

    Nothing happens when somebody publishes what is empty to these subjects. So removing is not among them.
    """
    return (
        Ability("follow prices", names.stored_market[1], follow=True),
        Ability("follow the slow feed", names.slow_feeds, follow=True),
        Ability("follow the owner's health", names.told(">"), follow=True),
        Ability(
            "read the newest of the owner", f"{_API}.DIRECT.GET.{names.state_store}.{names.state('health')}"
        ),
        Ability("ask the owner", names.ask("check")),
        Ability("follow orders and fills", names.stored_account[1], follow=True),
        Ability("follow the account", names.account_told(">"), follow=True),
        Ability(
            "read positions", f"{_API}.DIRECT.GET.{names.account_state_store}.{names.account_state('truth')}"
        ),
        Ability("read stored orders", f"{_API}.DIRECT.GET.{names.account_store}"),
        Ability("read stored prices", f"{_API}.DIRECT.GET.{names.market_store}"),
        Ability("record", right_to_record(names.market_store)),
        Ability("publish prices", f"{names.stored_market[0][:-1]}check"),
        Ability("send the slow feed", f"{names.slow_feeds[:-1]}check"),
        Ability("publish orders", f"{names.stored_account[0][:-1]}check"),
        Ability("speak for the owner", names.state("check")),
        Ability("speak for the account", names.account_state("check")),
        Ability("hold the lease", f"{names.lease_keys[:-1]}check"),
        Ability("make the stores", f"{_API}.STREAM.CREATE.{names.market_store}"),
        Ability("answer those who ask", names.ask(">"), follow=True),
        Ability("follow everything", ">", follow=True),
        Ability("speak for the server", f"{names.stored_market[1][:-1]}check"),
        *(_of_further(names, accounts) if accounts else ()),
    )


def _of_further(names: Names, accounts: Sequence[str]) -> Iterator[Ability]:
    """What there is besides where a desk serves further accounts."""
    yield Ability("read stored orders of further accounts", f"{_API}.DIRECT.GET.{names.further_store}")
    yield Ability("read any word on them", f"{_API}.DIRECT.GET.{names.further_state_store}")
    yield Ability("publish their orders", f"{names.stored_further[0][:-1]}check.check")
    yield Ability("speak for them", f"{names.told_further[0][:-1]}check.check")
    yield Ability("make their stores", f"{_API}.STREAM.CREATE.{names.further_store}")
    yield Ability("follow the orders of all of them", names.stored_further[1], follow=True)
    for account in accounts:
        orders, told = names.further_followed(account)
        kept = names.account_state("truth", account)
        yield Ability(f"follow orders and fills of {account}", orders, follow=True)
        yield Ability(f"follow the account {account}", told, follow=True)
        yield Ability(f"read positions of {account}", f"{_API}.DIRECT.GET.{names.further_state_store}.{kept}")
