"""What a teller makes of a store that answers late, or has lost something."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from options_helper.bus.connection import Stored, WrongSequence
from options_helper.bus.publisher import Fenced
from options_helper.bus.teller import StoreTeller
from options_helper.bus.truth import decode as read_truth
from options_helper.errors import StreamError


class Word(msgspec.Struct):
    """What is told here."""

    number: int


class Store:
    """Keeps every message; acknowledges none while it is `late`."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.late = 0

    async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
        if last != len(self.messages):
            raise WrongSequence("another is the last")
        self.messages.append((subject, data))
        if self.late:
            self.late -= 1
            raise StreamError("no answer in time")
        return len(self.messages)

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        found = [Stored(at, data) for at, (one, data) in enumerate(self.messages, 1) if one == subject]
        return found[-1] if found else None

    async def last_sequence(self, store: str) -> int:
        return len(self.messages)

    def told(self, subject: str) -> list[int]:
        words = [read_truth(data, Word) for one, data in self.messages if one == subject]
        return [word.number for word in words if word is not None]


class Away(Store):
    """Takes no term while it is away."""

    is_away = False

    async def store_fenced(self, subject: str, data: bytes, *, message_id: str, last: int) -> int:
        if self.is_away and subject == "desk.term":
            raise StreamError("It is away.")
        return await super().store_fenced(subject, data, message_id=message_id, last=last)


async def begun(store: Store, epoch: int = 7) -> StoreTeller:
    teller = StoreTeller("A store", "desk.term")
    await teller.begin(store, epoch)
    return teller


def test_an_owner_whose_words_are_acknowledged_too_late_again_and_again_is_not_fenced_by_itself():
    """The second that comes too late is that of its own term, which it began again."""

    async def story() -> None:
        store = Store()
        teller = await begun(store)
        store.late = 2
        for number in (1, 2):
            with pytest.raises(StreamError, match="no answer in time"):
                await teller.tell(store, "desk.health", Word(number))
        assert store.late == 0
        await teller.tell(store, "desk.health", Word(3))
        assert store.told("desk.health")[-1] == 3

    asyncio.run(story())


def test_one_that_was_followed_while_its_words_came_too_late_is_fenced():
    async def story() -> None:
        store = Store()
        teller = await begun(store)
        store.late = 2
        for number in (1, 2):
            with pytest.raises(StreamError, match="no answer in time"):
                await teller.tell(store, "desk.health", Word(number))
        await begun(store, epoch=8)
        with pytest.raises(Fenced):
            await teller.tell(store, "desk.health", Word(3))

    asyncio.run(story())


def test_after_a_store_has_lost_something_all_is_told_again_even_if_that_failed_at_first():
    async def story() -> None:
        store = Store()
        teller = await begun(store)
        await teller.tell(store, "desk.risk", Word(1))
        await teller.tell(store, "desk.health", Word(1))
        store.messages.clear()
        store.late = 1
        with pytest.raises(StreamError, match="no answer in time"):
            await teller.tell(store, "desk.health", Word(2))
        await teller.tell(store, "desk.risk", Word(1))
        assert store.told("desk.risk") == [1]

    asyncio.run(story())


def test_whose_the_words_are_is_said_in_a_store_that_has_lost_everything_even_if_that_failed_at_first():
    """Who followed found no term there, and took the words that it was told for nobody's."""

    async def story() -> None:
        store = Away()
        teller = await begun(store)
        await teller.tell(store, "desk.health", Word(1))
        store.messages.clear()
        store.is_away = True
        with pytest.raises(StreamError, match="away"):
            await teller.tell(store, "desk.health", Word(2))
        store.is_away = False
        await teller.tell(store, "desk.health", Word(2))

        assert await teller.newest_term(store) == 7
        assert store.told("desk.health") == [2]

    asyncio.run(story())
