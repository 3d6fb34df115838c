"""What an owner says of itself and of the account, kept by the server while this owner's term lasts.

As with batches, each message says which one must be the last of its store, and the first of a term tells whose it is.
So an owner that is followed by another is refused at its next word, twice a second, although nothing comes over its
streams. Those who follow hear what the server has kept, and nothing else.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from options_helper.bus.connection import Stored, WrongSequence
from options_helper.bus.names import ALL_FURTHER, Names
from options_helper.bus.publisher import BEGIN_TRIES, TRIES, Fenced
from options_helper.bus.truth import encode
from options_helper.decoders import msgpack_decoder
from options_helper.errors import StreamError

TERM: Final = "term"
TAKEN: Final = "Another owner serves this desk: it has told of itself since. This one ends."


class Term(msgspec.Struct, frozen=True):
    """Whose word is kept in a store."""

    epoch: int


_TERMS: Final = msgpack_decoder(Term)


class StateStore(Protocol):
    """What a teller needs of a `BusConnection`."""

    async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
        """Store it if the last message of the store has that sequence; the one it got."""

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        """The newest message of a subject."""

    async def last_sequence(self, store: str) -> int:
        """The sequence of the newest message of a store."""


class StoreTeller:
    """Tells what is kept in one store; for one event loop. `begin` first."""

    def __init__(self, store: str, term_subject: str) -> None:
        self._store, self._term_subject = store, term_subject
        self._epoch = 0
        self._count = 0
        self._last_sequence = 0
        self._told: dict[str, int] = {}  # checksums of what was told last, by subject

    async def newest_term(self, bus: StateStore) -> int:
        """The last term that there was; 0 where there was none."""
        stored = await bus.last(self._store, self._term_subject, direct=False)
        if stored is None:
            return 0
        try:
            return _TERMS.decode(stored.data).epoch
        except msgspec.MsgspecError:
            return 0

    async def begin(self, bus: StateStore, epoch: int) -> None:
        """Begin a term: whoever spoke here before is refused from now on. Does nothing where it has begun."""
        if not self._epoch:
            await self._open(bus, epoch)

    async def _open(self, bus: StateStore, epoch: int) -> None:
        for _ in range(BEGIN_TRIES):
            last = await bus.last_sequence(self._store)
            await self._require_newest(bus, epoch)
            term = msgspec.msgpack.encode(Term(epoch))
            try:
                await self._store_one(bus, self._term_subject, term, epoch, last)
            except WrongSequence:
                continue  # the owner of before has spoken meanwhile
            self._epoch = epoch
            return
        raise StreamError(f"Another owner speaks so often in {self._store} that none can begin after it.")

    async def _require_newest(self, bus: StateStore, epoch: int) -> None:
        if await self.newest_term(bus) > epoch:
            raise Fenced(TAKEN)

    def forget_told(self) -> None:
        """Tell everything again, also what has not changed: the server may have lost it."""
        self._told.clear()

    async def tell(self, bus: StateStore, subject: str, value: msgspec.Struct) -> None:
        """Tell it, where it is another than was told last. Fenced where another owner has begun."""
        data = encode(value)
        checksum = zlib.crc32(data)
        if self._told.get(subject) == checksum:
            return
        for _ in range(TRIES):
            try:
                await self._store_one(bus, subject, data, self._epoch, self._last_sequence)
            except WrongSequence:
                await self._find_out(bus)
            else:
                self._told[subject] = checksum
                return
        raise StreamError(f"The bus refuses what is told to {self._store} again and again.")

    async def _find_out(self, bus: StateStore) -> None:
        """Another owner's word, one of this owner's whose acknowledgement was lost, or a server that has lost some."""
        await self._require_newest(bus, self._epoch)
        self.forget_told()  # first, as what follows may fail
        await self._open(bus, self._epoch)

    async def _store_one(self, bus: StateStore, subject: str, data: bytes, epoch: int, last: int) -> None:
        """Which is the last is not believed before something is stored behind it: whatever fails is found out anew."""
        self._count += 1
        self._last_sequence = await bus.store_fenced(
            subject,
            data,
            message_id=f"{subject.rpartition('.')[2]}-{epoch}-{self._count}",
            last=last,
        )


class TermTeller:
    """What an owner tells in one term, in all of its stores; for one event loop. `begin` before anything is told."""

    def __init__(self, *stores: StoreTeller, healths: Sequence[tuple[str, str]]) -> None:
        self._stores = stores
        self.healths = tuple(healths)  # where it says how far it has published: store and subject

    async def newest_term(self, bus: StateStore) -> int:
        """The last term that any of its stores knows of."""
        return max([await one.newest_term(bus) for one in self._stores])

    async def begin(self, bus: StateStore, epoch: int) -> None:
        """Begin a term in each."""
        for one in self._stores:
            await one.begin(bus, epoch)

    def forget_told(self) -> None:
        """Tell everything again."""
        for one in self._stores:
            one.forget_told()


class DeskTeller(TermTeller):
    """Tells what is the desk's and what is its own account's, each in its store."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._desk = StoreTeller(names.state_store, names.state(TERM))
        self._account = StoreTeller(names.account_state_store, names.account_state(TERM))
        super().__init__(self._desk, self._account, healths=[(names.state_store, names.state("health"))])

    async def tell(self, bus: StateStore, what: str, value: msgspec.Struct) -> None:
        """Tell something of the desk, where it has changed."""
        await self._desk.tell(bus, self._names.state(what), value)

    async def tell_account(self, bus: StateStore, what: str, value: msgspec.Struct) -> None:
        """Tell something of the account, where it has changed."""
        await self._account.tell(bus, self._names.account_state(what), value)


class FurtherTeller(TermTeller):
    """Tells of the accounts beside the desk's own, which have one store together."""

    def __init__(self, names: Names, accounts: Sequence[str]) -> None:
        self._names, store = names, names.further_state_store
        self._accounts = StoreTeller(store, names.account_state(TERM, ALL_FURTHER))
        healths = [(store, names.account_state("health", one)) for one in accounts]
        super().__init__(self._accounts, healths=healths)

    async def tell(self, bus: StateStore, account: str, what: str, value: msgspec.Struct) -> None:
        """Tell something of one of them, where it has changed."""
        await self._accounts.tell(bus, self._names.account_state(what, account), value)
