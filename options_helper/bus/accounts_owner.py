"""The owner's side of the accounts beside the desk's own: the fills and the truth of each, under its name.

They have a connection, a term and fences of their own, so that nothing of theirs holds up what is the market's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from options_helper import __version__
from options_helper.bus.accounts import TRUTH
from options_helper.bus.address import BusAddress
from options_helper.bus.connection import BusConnection, StoreWish
from options_helper.bus.owner import AnnouncedSource
from options_helper.bus.owner_term import OwnerTerm, Require, no_lease
from options_helper.bus.publisher import Fenced
from options_helper.bus.stores import further_stores_of
from options_helper.bus.teller import FurtherTeller
from options_helper.bus.term_carrier import Owner, TermCarrier
from options_helper.bus.truth import DeskAccount, DeskHealth, Published
from options_helper.errors import StreamError
from options_helper.model.frames import Frame
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.snapshot import LiveSnapshot, StreamHealth
from options_helper.model.streams import fills_of

log = logging.getLogger(__name__)

Carry = Callable[[Sequence[Frame]], bool]


class AccountsOwner(TermCarrier):
    """Carries the fills of these accounts' runs to the bus, and tells what each account has.

    What it is to tell of, `tell_of`, are snapshots with each account's own (`LiveSnapshot.accounts`).
    """

    def __init__(
        self,
        address: BusAddress,
        owner: Owner,
        accounts: Sequence[str],
        *,
        now_ns: Callable[[], int],
        require_lease: Require = no_lease,
    ) -> None:
        """`accounts` are all that the desk serves; the first is its own, and another carries that."""
        self._owner, self._accounts = owner, tuple(accounts[1:])
        self._host = owner.host_with(accounts)
        self._words = FurtherTeller(address.names, self._accounts)
        self._failing: set[str] = set()  # of which nothing can be told, as logged
        super().__init__(
            address,
            OwnerTerm(
                address.names,
                [fills_of(one) for one in self._accounts],
                owner.epoch,
                self._words,
                require_lease=require_lease,
            ),
            what="the further accounts",
            threads=("live-bus-accounts", "live-desk-accounts"),
            now_ns=now_ns,
        )

    def carry_of(self, account: str, source: AnnouncedSource) -> Carry:
        """What that account's run gives its frames to; for its consumer alone. Otherwise as `BusOwner.carry`."""
        return partial(self._carry_from, source, account)

    def _carry_from(self, source: AnnouncedSource, account: str, frames: Sequence[Frame]) -> bool:
        return self._carry(frames, source.announced, account)

    def _stores(self) -> tuple[StoreWish, ...]:
        return further_stores_of(self._names)

    def found_no_place(self, account: str, health: StreamHealth) -> int:
        """Events of an account that are not stored, and never will be; after the end. `health` is its run's own."""
        unsettled, counts = self._term.stored_unsettled_of(account), self.counts[fills_of(account)]
        return max(0, health.dropped + health.queued - unsettled - counts.waiting)

    async def _begun(self, connection: BusConnection) -> None:
        """Nobody asks it for anything."""

    async def _tell_all(self, connection: BusConnection, snapshot: LiveSnapshot) -> None:
        untold: dict[str, str] = {}
        for account in self._accounts:
            try:
                await self._tell_of(connection, account, snapshot.accounts.get(account), untold)
            except (Fenced, StreamError):
                raise  # of the bus, and so of all of them
            except Exception:
                # This account's last line: the others are told, and who follows this one hears that nothing comes.
                if account not in self._failing:
                    log.exception("the bus was not told of the account %s", account)
                self._failing.add(account)
            else:
                self._failing.discard(account)
        self.untold = untold

    async def _tell_of(
        self, connection: BusConnection, account: str, own: LiveSnapshot | None, untold: dict[str, str]
    ) -> None:
        if own is None:
            return  # nothing of it was begun yet
        key = f"{TRUTH} of {account}"
        truth = DeskAccount(own.account, own.fills, own.expiry_facts, account)
        await self._try_to_tell(untold, key, self._words.tell(connection, account, TRUTH, truth))
        lacks = {TRUTH: untold[key]} if key in untold else {}
        await self._words.tell(connection, account, "health", self._health(account, own, untold=lacks))

    async def _say_goodbye(self, connection: BusConnection, snapshot: LiveSnapshot) -> None:
        for account in self._accounts:
            if (own := snapshot.accounts.get(account)) is not None:
                health = self._health(account, own, ended=True)
                await self._words.tell(connection, account, "health", health)

    def _health(
        self, account: str, own: LiveSnapshot, *, ended: bool = False, untold: dict[str, str] | None = None
    ) -> DeskHealth:
        stream = fills_of(account)
        health, at, counts = own.streams.get(stream), self._term.progress[stream], self.counts[stream]
        return DeskHealth(
            program=__version__,
            host=self._host,
            computer=self._owner.host,
            pid=self._owner.pid,
            epoch=at.epoch,
            at_ns=self._now_ns(),
            as_of_ns=datetime_nanoseconds(own.as_of),
            market=own.market,
            running=own.running,
            ended=ended,
            streams={} if health is None else {str(stream): health},
            published={str(stream): Published(at.epoch, at.events)},
            unsendable={str(stream): counts.unsendable} if counts.unsendable else {},
            untold=untold or {},
            accounts=(account,),
        )
