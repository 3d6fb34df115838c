"""What things are called on the bus: subjects, streams and ids of one desk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from options_helper.errors import ConfigError
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId, stream_named

DEFAULT_DESK: Final = "desk"
_DESK: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
# Accounts beside the desk's own: not below "acct", which whoever may see that one may follow all of.
_FURTHER: Final = "accts"
# In place of an account's name, which cannot begin so: what is said of all of them.
ALL_FURTHER: Final = "_"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one desk: an owner and all who follow it. A name that you choose, never the account's number."""

    desk: str = DEFAULT_DESK

    def __post_init__(self) -> None:
        if not _DESK.fullmatch(self.desk):
            raise ConfigError(
                f"{self.desk!r} is no name for a desk: 1 to 32 letters, digits, - and _ (they stand in subjects)."
            )

    def published(self, stream: StreamId) -> str:
        """Where the owner's batches of a stream go; the server stores them."""
        root, place = self._place(stream)
        return f"{root}.in.{place}"

    def followed(self, stream: StreamId) -> str:
        """Where the server sends what it has stored."""
        root, place = self._place(stream)
        return f"{root}.md.{place}"

    def slow(self, stream: StreamId) -> str:
        """Where the owner sends the slow feed of a stream; nobody stores it."""
        return f"oh.{self.desk}.slow.{_token(stream)}"

    @property
    def slow_feeds(self) -> str:
        """All of those."""
        return f"oh.{self.desk}.slow.>"

    def store(self, stream: StreamId) -> str:
        """The JetStream stream of a stream's batches: orders have one of their own, with rights of their own."""
        if not stream.kind.carries_orders:
            return self.market_store
        return self.account_store if stream.account == DEFAULT_ACCOUNT else self.further_store

    def _place(self, stream: StreamId) -> tuple[str, str]:
        """Below which subject it is, and what it is called there."""
        if not stream.kind.carries_orders:
            return f"oh.{self.desk}", _token(stream)
        if stream.account == DEFAULT_ACCOUNT:
            return f"oh.{self.desk}.acct", _token(stream)
        return f"oh.{self.desk}.{_FURTHER}", f"{stream.account}.{stream.kind.name}"

    @property
    def market_store(self) -> str:
        """The JetStream stream of market data."""
        return f"OH_{self.desk}_MD"

    @property
    def account_store(self) -> str:
        """The JetStream stream of orders."""
        return f"OH_{self.desk}_ACCT"

    @property
    def state_store(self) -> str:
        """The JetStream stream that keeps the newest message of each subject of the owner's state."""
        return f"OH_{self.desk}_STATE"

    @property
    def account_state_store(self) -> str:
        """The same for what the account says."""
        return f"OH_{self.desk}_ACCT_STATE"

    @property
    def stored_market(self) -> tuple[str, str]:
        """All subjects of market data, as they are published and as they are followed."""
        return f"oh.{self.desk}.in.>", f"oh.{self.desk}.md.>"

    @property
    def stored_account(self) -> tuple[str, str]:
        """All subjects of orders, likewise."""
        return f"oh.{self.desk}.acct.in.>", f"oh.{self.desk}.acct.md.>"

    @property
    def further_store(self) -> str:
        """The JetStream stream of the orders of all further accounts: who fences one of them fences them all."""
        # No desk can be called so that one of its own stores had this name.
        return f"OH_{self.desk}+ACCT"

    @property
    def further_state_store(self) -> str:
        """The same for what those accounts say."""
        return f"OH_{self.desk}+ACCT_STATE"

    @property
    def stored_further(self) -> tuple[str, str]:
        """All subjects of their orders, as they are published and as they are followed."""
        return f"oh.{self.desk}.{_FURTHER}.in.>", f"oh.{self.desk}.{_FURTHER}.md.>"

    @property
    def told_further(self) -> tuple[str, str]:
        """All subjects of what is said of them, likewise."""
        return f"oh.{self.desk}.{_FURTHER}.state.>", f"oh.{self.desk}.{_FURTHER}.told.>"

    def further_followed(self, account: str) -> tuple[str, str]:
        """What whoever may see this further account follows: its orders, and what is said of it."""
        return f"oh.{self.desk}.{_FURTHER}.md.{account}.>", f"oh.{self.desk}.{_FURTHER}.told.{account}.>"

    def state(self, what: str) -> str:
        """Where the owner says something of itself, such as its health; the server keeps it."""
        return f"oh.{self.desk}.state.{what}"

    def told(self, what: str) -> str:
        """Where the server sends what it keeps of that: nobody else can say it there, a former owner least of all."""
        return f"oh.{self.desk}.md.state.{what}"

    def account_state(self, what: str, account: str = DEFAULT_ACCOUNT) -> str:
        """Where it says something of an account; of the desk's own where none is named."""
        if account == DEFAULT_ACCOUNT:
            return f"oh.{self.desk}.acct.state.{what}"
        return f"oh.{self.desk}.{_FURTHER}.state.{account}.{what}"

    def account_told(self, what: str, account: str = DEFAULT_ACCOUNT) -> str:
        """Where the server sends what it keeps of that."""
        if account == DEFAULT_ACCOUNT:
            return f"oh.{self.desk}.acct.md.state.{what}"
        return f"oh.{self.desk}.{_FURTHER}.told.{account}.{what}"

    def state_store_of(self, account: str) -> str:
        """Where the server keeps what is said of an account."""
        return self.account_state_store if account == DEFAULT_ACCOUNT else self.further_state_store

    @property
    def lease_store(self) -> str:
        """The JetStream stream behind the bucket of the owner's lease."""
        return f"KV_oh_{self.desk}_lease"

    @property
    def lease_keys(self) -> str:
        """All subjects of that bucket."""
        return f"$KV.oh_{self.desk}_lease.>"

    @property
    def lease_key(self) -> str:
        """Who has the lease."""
        return f"$KV.oh_{self.desk}_lease.owner"

    @property
    def standby_key(self) -> str:
        """Who waits for it."""
        return f"$KV.oh_{self.desk}_lease.standby"

    def ask(self, what: str) -> str:
        """Where the owner is asked for something."""
        return f"oh.{self.desk}.ask.{what}"


def _token(stream: StreamId) -> str:
    """The stream as one token of a subject, in which a dot or a slash would be two."""
    return quote(stream, safe="").replace(".", "%2E")


def stream_of(subject: str) -> StreamId:
    """The stream whose batches this subject carries; ValueError where it carries none."""
    return stream_named(unquote(subject.rpartition(".")[2]))


def message_id(stream: StreamId, epoch: int, number: int) -> str:
    """The id by which the server knows a batch that comes twice."""
    return f"{_token(stream)}-{epoch}-{number}"
