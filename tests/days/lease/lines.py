"""Questions to the bus on their way: coroutines of the product are resumed when an answer is there, by the agenda."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final, NamedTuple, Protocol

from options_helper.bus.connection import ANSWER_SECONDS, Stored
from options_helper.errors import StreamError
from tests.days.clocks import NS
from tests.days.stage import Stage
from tests.kit.jetstream import JetStream, KeptStore

GONE: Final = "The connection to the bus ended."
NO_ANSWER: Final = "The bus does not answer."
# Of what a consumer brings over a bad way, so much dies on it.
LOST_SHARE: Final = 0.2
# So long a way may be cut before the client notices that nothing answers its pings.
PINGS_SECONDS: Final = 12.0


class Runs(Protocol):
    """A process in which something is resumed."""

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """In so long, if it still runs then."""


class Asked:
    """What a coroutine waits for; `do` is what the server does when it arrives."""

    def __init__(self, line: Line, do: Callable[[float], Any]) -> None:
        self.line, self.do = line, do

    def __await__(self) -> Generator[Asked, Any, Any]:
        return (yield self)


class Work:
    """A coroutine under way in a process; `ended` hears once what it comes to, or which of our errors ended it."""

    def __init__(
        self,
        process: Runs,
        work: Coroutine[Any, Any, Any],
        ended: Callable[[Any, StreamError | None], None],
        *,
        within: float | None = None,
    ) -> None:
        self._work, self._ended = work, ended
        self.is_over = False
        self._go_on(None, None)
        if within is not None and not self.is_over:
            process.later(within, self._give_up)

    def _give_up(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._work.close()
            self._ended(None, StreamError(NO_ANSWER))

    def _go_on(self, answer: Any, error: Exception | None) -> None:
        if self.is_over:
            return
        try:
            asked = self._work.send(answer) if error is None else self._work.throw(error)
        except StopIteration as end:
            self.is_over = True
            self._ended(end.value, None)
        except StreamError as failed:
            self.is_over = True
            self._ended(None, failed)
        else:
            asked.line.ask(asked.do, self._go_on)


@dataclass(slots=True)
class Network:
    """How one process reaches the server; `is_cut`, and what gets lost or is slow, changes with the troubles."""

    dice: random.Random
    is_cut: bool = False
    loses_answers: bool = False
    is_slow: bool = False
    loses_some: bool = False  # of what a consumer brings
    lines: list[Line] = field(default_factory=list)

    def travel(self) -> float:
        """How long one way takes, in seconds."""
        return self.dice.uniform(0.2, 0.9) if self.is_slow else self.dice.uniform(0.001, 0.03)


class Server:
    """The server in true time: it may be away for a while, and keeps what it has."""

    def __init__(self, stage: Stage, values: JetStream) -> None:
        self.stage, self.values = stage, values
        self.is_down = False
        self.networks: list[Network] = []

        self.forgot: Callable[[frozenset[str]], None] = lambda _: None  # hears which stores have another past

    @property
    def now(self) -> float:
        """Its time, in seconds."""
        return self.stage.clocks.true_ns / NS

    def send(self, subject: str, data: bytes) -> None:
        """What it has stored goes to all who follow that subject."""
        for network in self.networks:
            for line in list(network.lines):
                line.push(subject, data)

    def lose(self, copy: Mapping[str, KeptStore]) -> None:
        """Go on from that copy, in the stores that it has."""
        self.values.restore(copy)
        self.forgot(frozenset(copy))

    def go_down(self) -> None:
        """End all connections, and answer nobody."""
        self.is_down = True
        for network in self.networks:
            for line in list(network.lines):
                if not network.is_cut:
                    line.end()


class Delivered(NamedTuple):
    """A message of a consumer's: where it is in its store, which of the consumer's it is, and what it says."""

    sequence: int
    nth: int
    data: bytes


class Pull:
    """A consumer: it brings what its store has from there on, when it is asked, and counts what it has sent."""

    def __init__(self, line: Line, store: str, subject: str, first: int) -> None:
        self._line, self._store, self._subject, self._next = line, store, subject, first
        self._nth = 0

    async def fetch(self, most: int) -> list[Delivered]:
        """The next ones that are there."""
        found: list[Delivered] = await Asked(self._line, lambda _: self._bring(most))
        return found

    def _bring(self, most: int) -> list[Delivered]:
        newest_first = reversed(self._line.server.values.stores[self._store].messages)
        new = list(takewhile(lambda one: one.sequence >= self._next, newest_first))[::-1]
        sent = []
        for one in [message for message in new if message.subject == self._subject][:most]:
            self._next, self._nth = one.sequence + 1, self._nth + 1
            sent.append(Delivered(one.sequence, self._nth, one.data))
        network = self._line.network
        return [one for one in sent if not network.loses_some or network.dice.random() >= LOST_SHARE]


class Line:
    """One connection of a process: a bus as the product's machines know it. What is asked arrives in its order."""

    room = 100_000

    def __init__(
        self,
        server: Server,
        network: Network,
        process: Runs,
        stored: Callable[..., None] = lambda *_: None,
        ended: Callable[[Line], None] = lambda _: None,
    ) -> None:
        """`stored` hears in the world what the server takes, `ended` in the process that it is gone."""
        self.server, self.network, self._process = server, network, process
        self._stored, self._ended = stored, ended
        self._followed: dict[str, Callable[[bytes], None]] = {}
        self._pushed_ns = 0
        self._held: list[Callable[[], None]] = []  # while the way is cut: it comes later, or never
        self.is_ended = False
        self._arrived_ns = 0
        # By a number, so that each is answered once.
        self._waiting: dict[int, Callable[[Any, Exception | None], None]] = {}
        self._count = 0
        network.lines.append(self)

    def ask(self, do: Callable[[float], Any], answered: Callable[[Any, Exception | None], None]) -> None:
        """Send it; `answered` gets what comes of it, in the process."""
        self._count += 1
        number = self._count
        self._waiting[number] = answered
        if self.is_ended:
            self._process.later(0.0, lambda: self._answer(number, None, StreamError(GONE)))
            return
        self._process.later(ANSWER_SECONDS, lambda: self._answer(number, None, StreamError(NO_ANSWER)))
        clocks = self.server.stage.clocks
        self._arrived_ns = max(self._arrived_ns, clocks.true_ns + int(self.network.travel() * NS))
        self.server.stage.agenda.at(self._arrived_ns, lambda: self._arrive(number, do))

    def _arrive(self, number: int, do: Callable[[float], Any]) -> None:
        """What is on its way when a process ends arrives all the same."""
        network, server = self.network, self.server
        if network.is_cut:
            return
        if server.is_down:
            self.end()
            return
        answer, error = None, None
        try:
            answer = do(server.now)
        except StreamError as refused:
            error = refused
        if not network.loses_answers:
            server.stage.agenda.after(network.travel(), lambda: self._return(number, answer, error))

    def _return(self, number: int, answer: Any, error: Exception | None) -> None:
        # One that is gone brings nothing, least of all to the process that came after its own.
        if not self.network.is_cut and not self.is_ended:
            self._process.later(0.0, lambda: self._answer(number, answer, error))

    def _answer(self, number: int, answer: Any, error: Exception | None) -> None:
        answered = self._waiting.pop(number, None)
        if answered is not None:
            answered(answer, error)

    def follows(self, subject: str) -> bool:
        """Whether the server sends this one what it stores there."""
        return subject in self._followed

    def push(self, subject: str, data: bytes) -> None:
        """Send it to this one, behind what was sent before, if it follows that subject."""
        if (heard := self._followed.get(subject)) is None:
            return
        clocks = self.server.stage.clocks
        self._pushed_ns = max(self._pushed_ns, clocks.true_ns + int(self.network.travel() * NS))
        self.server.stage.agenda.at(self._pushed_ns, lambda: self._come(lambda: heard(data)))

    def _come(self, hear: Callable[[], None]) -> None:
        if self.is_ended:
            return
        if self.network.is_cut:
            if not self._held:
                self.server.stage.agenda.after(PINGS_SECONDS, self._look_at_held)
            self._held.append(hear)
            return
        held, self._held = self._held, []
        for one in (*held, hear):
            self._process.later(0.0, one)

    def _look_at_held(self) -> None:
        """Nothing came for as long as pings are waited for."""
        if self._held:
            self.end()

    def end(self) -> None:
        """It is gone, and whoever waits hears so."""
        if self.is_ended:
            return
        self.is_ended = True
        self._process.later(0.0, lambda: self._ended(self))
        self.network.lines.remove(self)
        for number in list(self._waiting):
            self._process.later(0.0, lambda number=number: self._answer(number, None, StreamError(GONE)))  # type: ignore[misc]

    async def greet(self) -> None:
        """Say who one is, and have the stores made: two ways there and back."""
        await Asked(self, lambda _: None)
        await Asked(self, lambda _: None)

    async def follow(self, subject: str, heard: Callable[[bytes], None]) -> None:
        """Have the server send what it stores there from when it hears of that."""

        def follow(_: float) -> None:
            self._followed[subject] = heard

        await Asked(self, follow)

    async def store(self, subject: str, data: bytes) -> int:
        """Store it."""
        found: int = await Asked(self, lambda now: self.server.values.put(now, subject, data))
        return found

    async def store_fenced(
        self, subject: str, data: bytes, *, message_id: str, last: int, of_subject: bool = False
    ) -> int:
        """Store it behind that message."""

        def put(now: float) -> int:
            values = self.server.values
            before = values.store_of(subject).last_sequence
            sequence = values.put(now, subject, data, message_id=message_id, last=last, of_subject=of_subject)
            if sequence > before:
                self._stored(subject, data)
            return sequence

        found: int = await Asked(self, put)
        return found

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        """The newest of a subject."""
        found: Stored | None = await Asked(self, lambda now: self.server.values.last(now, store, subject))
        return found

    async def message(self, store: str, sequence: int, *, direct: bool = True) -> Stored | None:
        """That one."""
        found: Stored | None = await Asked(self, lambda now: self.server.values.message(now, store, sequence))
        return found

    async def recorded(self, store: str, subject: str) -> Stored | None:
        """The newest of a subject."""
        return await self.last(store, subject)

    def pull(self, store: str, subject: str, first: int) -> Pull:
        """A consumer of what that subject has from there on."""
        return Pull(self, store, subject, first)

    async def last_sequence(self, store: str) -> int:
        """The newest of a store."""
        found: int = await Asked(self, lambda _: self.server.values.stores[store].last_sequence)
        return found
