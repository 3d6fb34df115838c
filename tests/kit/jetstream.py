"""A JetStream server as values: stores with fences, ages and ids that come twice; knows no socket and no clock."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from options_helper.bus.connection import Stored, StoreWish, WrongSequence

T = TypeVar("T")
REFUSED: Final = "The server has another last message."


@dataclass(slots=True)
class Message:
    """One that is kept."""

    sequence: int
    subject: str
    data: bytes
    at: float
    message_id: str | None


@dataclass(slots=True)
class KeptStore:
    """One JetStream stream; `late` is how much longer than its age a message may be there."""

    wish: StoreWish
    late: float = 0.0
    messages: list[Message] = field(default_factory=list)
    last_sequence: int = 0
    ids: dict[str, tuple[int, float]] = field(default_factory=dict)

    def expire(self, now: float) -> None:
        """Let go what is too old."""
        if self.wish.max_age is not None:
            oldest = now - self.wish.max_age - self.late
            self.messages = [one for one in self.messages if one.at >= oldest]
        self.ids = {
            one: (at, when) for one, (at, when) in self.ids.items() if now - when < self.wish.duplicates
        }

    def copied(self) -> KeptStore:
        """The same as it is now, whatever is stored later."""
        return replace(self, messages=list(self.messages), ids=dict(self.ids))

    def newest(self, subject: str) -> Message | None:
        """The newest message of a subject."""
        return next((one for one in reversed(self.messages) if one.subject == subject), None)


class JetStream:
    """The stores of one server. `now` is its own time, in seconds; versions differ in what they look at first."""

    def __init__(
        self, wishes: Iterable[tuple[StoreWish, str]], *, ids_first: bool = True, late: float = 0.0
    ) -> None:
        self.stores = {wish.name: KeptStore(wish, late) for wish, _ in wishes}
        # By the beginning of the subjects that a store keeps; the longest one that fits has it.
        self._prefixes = sorted(
            ((prefix, wish.name) for wish, prefix in wishes), key=lambda one: -len(one[0])
        )
        self._ids_first = ids_first

    def store_of(self, subject: str) -> KeptStore:
        """Which store keeps it."""
        return self.stores[next(name for prefix, name in self._prefixes if subject.startswith(prefix))]

    def put(
        self,
        now: float,
        subject: str,
        data: bytes,
        *,
        message_id: str | None = None,
        last: int | None = None,
        of_subject: bool = False,
    ) -> int:
        """Store a message; its sequence. WrongSequence where `last` is not the last one's."""
        store = self.store_of(subject)
        store.expire(now)
        known = store.ids.get(message_id) if message_id is not None else None
        if known is not None and self._ids_first:
            return known[0]
        if last is not None:
            newest = store.newest(subject)
            there = (0 if newest is None else newest.sequence) if of_subject else store.last_sequence
            if there != last:
                raise WrongSequence(REFUSED)
        if known is not None:
            return known[0]
        store.last_sequence += 1
        if store.wish.per_subject == 1:
            store.messages = [one for one in store.messages if one.subject != subject]
        store.messages.append(Message(store.last_sequence, subject, data, now, message_id))
        if message_id is not None:
            store.ids[message_id] = (store.last_sequence, now)
        return store.last_sequence

    def last(self, now: float, store: str, subject: str) -> Stored | None:
        """The newest message of a subject."""
        kept = self.stores[store]
        kept.expire(now)
        found = kept.newest(subject)
        return None if found is None else Stored(found.sequence, found.data)

    def message(self, now: float, store: str, sequence: int) -> Stored | None:
        """The one of that sequence."""
        kept = self.stores[store]
        kept.expire(now)
        return next(
            (Stored(one.sequence, one.data) for one in kept.messages if one.sequence == sequence), None
        )

    def put_back(self, store: str, sequence: int) -> None:
        """An old copy of the store: it knows nothing of what came later."""
        kept = self.stores[store]
        kept.messages = [one for one in kept.messages if one.sequence <= sequence]
        kept.last_sequence = min(kept.last_sequence, sequence)
        kept.ids = {one: at for one, at in kept.ids.items() if at[0] <= sequence}

    def copied(self) -> dict[str, KeptStore]:
        """All stores as they are now, for `restore`."""
        return {name: one.copied() for name, one in self.stores.items()}

    def restore(self, copy: Mapping[str, KeptStore]) -> None:
        """Have these stores again as they were; the others stay."""
        self.stores |= {name: one.copied() for name, one in copy.items()}


class AnswersAtOnce:
    """That server as a connection on which everything is answered at once; `now` is moved on by the test."""

    room = 1_000_000

    def __init__(self, server: JetStream) -> None:
        self.server = server
        self.now = 0.0

    async def store(self, subject: str, data: bytes) -> int:
        """Store it."""
        return self.server.put(self.now, subject, data)

    async def store_fenced(
        self, subject: str, data: bytes, *, message_id: str, last: int, of_subject: bool = False
    ) -> int:
        """Store it behind that message."""
        return self.server.put(
            self.now, subject, data, message_id=message_id, last=last, of_subject=of_subject
        )

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        """The newest of a subject."""
        return self.server.last(self.now, store, subject)

    async def message(self, store: str, sequence: int, *, direct: bool = True) -> Stored | None:
        """That one."""
        return self.server.message(self.now, store, sequence)

    async def last_sequence(self, store: str) -> int:
        """The newest of a store."""
        return self.server.stores[store].last_sequence


def at_once(asked: Coroutine[Any, Any, T]) -> T:
    """What it comes to, where nothing has to be waited for."""
    try:
        asked.send(None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    asked.close()
    raise AssertionError("it waits for something")
