"""Where a simulated day is played: clocks, agenda, dice, what was noted, and the laws that are watched."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from tests.days.agenda import Agenda
from tests.days.clocks import NS, Clocks
from tests.days.day import Day, Trouble, clock_time

Check = Callable[[], str | None]


class Subject(Protocol):
    """One part of the product with the world around it; see the package's docstring."""

    name: str

    def choose(self, day: Day, rng: random.Random) -> tuple[object, Iterable[Trouble]]:
        """What this subject does on that day (kept in `day.more[name]`), and what goes wrong for it."""

    def build(self, stage: Stage) -> None:
        """Put the world's part on the stage, and what handles this subject's troubles."""

    def begin(self, stage: Stage) -> None:
        """Start the product's part, and name the laws."""


class LawBroken(AssertionError):
    """A law does not hold, found at that moment of true time."""

    def __init__(self, law: str, sentence: str, at_ns: int) -> None:
        super().__init__(f"{clock_time(at_ns)} {law}: {sentence}")
        self.law = law
        self.sentence = sentence
        self.at_ns = at_ns


class Stage:
    """One day, being played."""

    # What happened is looked at half a second later, as the product's own threads do, and each second while in flux.
    SOON = 0.5
    FLUX_LOOK = 1.0
    CALM_LOOK = 10.0
    # Between sessions nothing is due; what opens or goes wrong is in flux.
    NIGHT_LOOK = 900.0

    def __init__(self, day: Day) -> None:
        self.day = day
        self.clocks = Clocks(day.start_ns)
        self.agenda = Agenda(self.clocks)
        self.parts: dict[str, Any] = {}
        self.notes: list[tuple[int, str]] = []
        self._handlers: dict[str, Callable[[Trouble], None]] = {}
        self._aside: set[str] = set()
        # Until when what concerns the whole computer is in flux.
        self.computer_in_flux_until = day.start_ns
        self._laws: list[tuple[str, Check]] = []
        self._flux_until = day.start_ns
        self._next_check = 0
        # Told of each stir: when to look at the latest.
        self.look_soon: list[Callable[[int], None]] = []
        # When something turns that nobody tells the product of.
        self._turns = [edge - NS for edge in day.edges()]
        self.errors: list[str] = []
        # Of further processes, beside the desk's: what happens to each before all of them stop, and when they go on.
        self.before_sleep: list[Callable[[], None]] = []
        self.after_sleep: list[Callable[[], None]] = []
        self.checks = 0

    def dice(self, subject: str) -> random.Random:
        """Dice of this subject's own, which no other subject's throws change."""
        return random.Random(f"{self.day.seed}/{subject}")

    def note(self, text: str) -> None:
        """Tell it in the story."""
        self.notes.append((self.clocks.true_ns, text))

    def on(self, kind: str, handler: Callable[[Trouble], None], *, aside: bool = False) -> None:
        """Have troubles of this kind handled so; `aside` are those of a part that looks after itself."""
        self._handlers[kind] = handler
        if aside:
            self._aside.add(kind)

    def law(self, name: str, check: Check) -> None:
        """From now on this is checked; it returns a sentence where the law is broken."""
        self._laws.append((name, check))

    def stir(self, seconds: float) -> None:
        """Something is in flux for so long: look closely."""
        now = self.clocks.true_ns
        self._flux_until = max(self._flux_until, now + int(seconds * NS))
        soon = now + int(self.SOON * NS)
        self._next_check = min(self._next_check, soon)
        for look in self.look_soon:
            look(soon)

    @property
    def in_flux(self) -> bool:
        """Whether everything is looked at closely."""
        return self.clocks.true_ns < self._flux_until

    def look_after(self) -> float:
        """Seconds until the product's housekeeping has to look again: nothing changes by itself before."""
        if self.in_flux:
            return self.FLUX_LOOK
        if self.day.is_open(self.clocks.true_ns, 900):
            return self.CALM_LOOK
        pause = (
            min((at - self.clocks.true_ns for at in self._turns if at > self.clocks.true_ns), default=0) / NS
        )
        return min(self.NIGHT_LOOK, max(self.SOON, pause)) if pause else self.NIGHT_LOOK

    def have_computer(self) -> None:
        """Set its clock, and let it sleep, where no desk of the streams does that."""
        if "desk" not in self.parts:
            self.on("clock", lambda trouble: self.set_clock(trouble.number))
            self.on("suspend", lambda trouble: self._suspend(trouble.seconds))

    def set_clock(self, seconds: float) -> None:
        """Put it forward; from now on something turns by it, too, as the product sees it."""
        self.clocks.put_forward(seconds)
        turns = [edge - self.clocks.offset_ns - NS for edge in self.day.edges()]
        for turn in turns:
            if turn > self.clocks.true_ns:
                self._turns.append(turn)
                self.agenda.at(turn, lambda: self.stir(4))

    def _suspend(self, seconds: float) -> None:
        if self.agenda.is_asleep:
            return

        def wake() -> None:
            self.agenda.wake(suspended=True)
            for go_on in self.after_sleep:
                go_on()

        for prepare in self.before_sleep:
            prepare()
        self.agenda.sleep()
        self.agenda.after(seconds, wake)

    def check(self, *, sampled: bool = True) -> None:
        """Check all laws now; a `sampled` check passes where there was one a moment ago and nothing is in flux."""
        now = self.clocks.true_ns
        if self.agenda.is_asleep or (sampled and now < self._next_check):
            return
        self._next_check = now + int(self.look_after() * NS)
        self.checks += 1
        for law, check in self._laws:
            if (sentence := check()) is not None:
                raise LawBroken(law, sentence, now)
        if self.errors:
            raise LawBroken("no error is swallowed", self.errors[0], now)

    def play(self, subjects: Sequence[Subject]) -> None:
        """Play the day; LawBroken where a law does not hold."""
        with _errors_heard(self.errors):
            for subject in subjects:
                subject.build(self)
            for trouble in self.day.troubles:
                self.agenda.at(self.day.at(trouble.at), partial(self._strike, trouble))
            for turn in self._turns:
                self.agenda.at(turn, lambda: self.stir(4))
            for subject in subjects:
                subject.begin(self)
            self.agenda.run(self.day.until_ns)
            self.check(sampled=False)
            for subject in subjects:
                if (end := getattr(subject, "end", None)) is not None:
                    end(self)
            self.check(sampled=False)

    def _strike(self, trouble: Trouble) -> None:
        self.note(str(trouble))
        if trouble.kind not in self._aside:
            self.stir(3)
            self.computer_in_flux_until = self._flux_until
        self._handlers[trouble.kind](trouble)


class _Errors(logging.Handler):
    """Hears what the product logs with a traceback: nothing of that may come up."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, where there is a traceback."""
        if record.exc_info:
            self._heard.append(f"{record.getMessage()} ({record.exc_info[1]!r})")


@contextmanager
def _errors_heard(heard: list[str]) -> Iterator[None]:
    logger, handler = logging.getLogger("options_helper"), _Errors(heard)
    propagates, level = logger.propagate, logger.level
    logger.addHandler(handler)
    # A bad day has thousands of lines of log, which cost more than the day.
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
        logger.setLevel(level)
