"""Who may do what on the bus, as the subjects that a server's configuration names; what is not named is refused."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from options_helper.bus.names import Names

_API: Final = "$JS.API"


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


def rights_of(role: Role, names: Names, public_key: str) -> Rights:
    """What that user may do on this desk."""
    inbox = f"{inbox_of(public_key)}.>"
    if role is Role.OWNER:
        return _owner(names, inbox)
    publish = [names.ask(">"), *_newest(names.state_store, names.state(">"))]
    subscribe = [names.stored_market[1], names.slow_feeds, inbox]
    if role is Role.ACCOUNT_VIEWER:
        publish += _newest(names.account_state_store, names.account_state(">"))
        subscribe.append(names.stored_account[1])
    if role is Role.RECORDER:
        publish += _reading(names.market_store)
    return Rights(tuple(publish), tuple(subscribe))


def _owner(names: Names, inbox: str) -> Rights:
    """All of its own desk, except to take away what is stored, and to say what only the server says."""
    stores = (names.market_store, names.account_store, names.state_store, names.account_state_store)
    publish = [
        names.stored_market[0],
        names.stored_account[0],
        names.state(">"),
        names.account_state(">"),
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


def abilities(names: Names) -> tuple[Ability, ...]:
    """What the roles differ in, on this desk.

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
    )
