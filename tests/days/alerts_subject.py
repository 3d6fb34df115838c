"""Alerts: two programs of one account, killed and stopped, a disk that is full, targets that are slow or mute."""

from __future__ import annotations

import random
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from options_helper.data.notify.messages import Message, Outcome
from options_helper.data.notify.sending import Sent
from options_helper.data.notify.targets import NO_TARGETS, Target, Targets
from options_helper.errors import ConfigError
from options_helper.model.alerts import Operator, Rule, Subject, SubjectKind
from tests.days.alerts.oracle import AlertOracle
from tests.days.alerts.program import Program
from tests.days.clocks import NS
from tests.days.day import Day, Trouble
from tests.days.stage import Stage

PROGRAMS: Final = ("page", "watch")
NAMES: Final = ("phone", "mail")
_SPY: Final = Subject(SubjectKind.UNDERLYING, "SPY")
_LEVEL: Final = 560.0
RULES: Final = (
    Rule("up", _SPY, "price", Operator.ABOVE, _LEVEL, rearm_margin=1.0),
    Rule("stays up", _SPY, "price", Operator.ABOVE, _LEVEL, rearm_margin=1.0, for_seconds=50.0),
)
PRICES: Final = (557.0, 558.5, 559.5, 560.5, 561.0, 562.0)
# At the end nothing goes wrong for so long, and everybody has been told.
_CALM_SECONDS: Final = 320.0


@dataclass(frozen=True, slots=True)
class Watched:
    """From when to when, in seconds of the day, how often each program looks, and the price at each turn."""

    since: float
    until: float
    looks: tuple[float, ...]
    prices: tuple[tuple[float, float], ...]


class AlertsSubject:
    """Rules over a price that wanders over levels, through the product's own runner, log, lease and queues."""

    name = "alerts"

    def choose(self, day: Day, rng: random.Random) -> tuple[Watched | None, Iterable[Trouble]]:
        """On some days a quarter of an hour, with up to eight troubles."""
        length = (day.until_ns - day.start_ns) / NS
        lasts = rng.uniform(500, 900)
        if rng.random() < 0.65 or length < lasts + 60:
            return None, ()
        since = round(rng.uniform(0, length - lasts - 30), 1)
        prices, at = [(since, 557.0)], since
        while (at := at + rng.choice((2.0, 8.0, 25.0, 70.0))) < since + lasts:
            prices.append((at, rng.choice(PRICES)))
        looks = tuple(rng.choice((2.0, 5.0, 11.0)) for _ in PROGRAMS[: rng.choice((1, 2, 2))])
        watched = Watched(since, since + lasts, looks, tuple(prices))
        # With dice of their own, so that they change nothing of what is chosen above.
        asleep = self._asleep_over_a_level(random.Random(f"{day.seed}/alerts, asleep"), watched)
        return watched, (*self._troubles(rng, watched), *self._stops_as_one_takes(rng, watched), *asleep)

    @staticmethod
    def _asleep_over_a_level(dice: random.Random, watched: Watched) -> Iterable[Trouble]:
        """The computer sleeps while a condition has to last, and one is killed before it can say that nobody looked."""
        last = watched.until - _CALM_SECONDS
        rises = [
            at
            for (_, before), (at, price) in pairwise(watched.prices)
            if before <= _LEVEL < price and at < last - 40
        ]
        if rises and dice.random() < 0.3:
            at = round(dice.choice(rises) + dice.uniform(3, 30), 2)
            yield Trouble(at, "suspend", seconds=70.0)
            for whose in PROGRAMS[: len(watched.looks)][: dice.choice((1, 1, 2))]:
                yield Trouble(round(at + 1, 2), "alerts", whose, 70.0, "before", 0)

    @staticmethod
    def _stops_as_one_takes(rng: random.Random, watched: Watched) -> Iterable[Trouble]:
        """All end, and one that is back before the other is stopped while it takes the lease."""
        if rng.random() < 0.5:
            at = round(rng.uniform(watched.since + 10, watched.until - _CALM_SECONDS), 2)
            whose = PROGRAMS[rng.randrange(len(watched.looks))]
            seconds, steps = rng.choice((4.0, 25.0, 40.0, 70.0)), rng.randrange(8)
            yield Trouble(at, "alerts", whose, seconds, "stopped as it takes", steps)

    @staticmethod
    def _troubles(rng: random.Random, watched: Watched) -> Iterable[Trouble]:
        for _ in range(rng.randint(1, 8)):
            at = round(rng.uniform(watched.since + 10, watched.until - _CALM_SECONDS), 2)
            whose = PROGRAMS[rng.randrange(len(watched.looks))]
            match rng.choice(
                (
                    "kill",
                    "kill",
                    "kill",
                    "frozen",
                    "midway",
                    "midway",
                    "midway",
                    "quit",
                    "full",
                    "target",
                    "target",
                    "file",
                    "clock",
                    "suspend",
                )
            ):
                case "midway":
                    # Killed or stopped between any two steps, or right before a row.
                    how = rng.choice(
                        ("killed midway", "stopped midway", "stopped at a row", "stopped at a row")
                    )
                    steps = rng.randrange(4 if how == "stopped at a row" else 45)
                    yield Trouble(at, "alerts", whose, rng.choice((4.0, 20.0, 25.0, 70.0)), how, steps)
                case "clock":
                    yield Trouble(at, "clock", number=rng.choice((-3_600, -70, -3, 3, 70, 3_600)))
                case "suspend":
                    yield Trouble(at, "suspend", seconds=rng.choice((7.0, 25.0, 70.0)))
                case "kill":
                    how = rng.choice(("before", "torn", "after"))
                    yield Trouble(
                        at, "alerts", whose, rng.choice((0.2, 5.0, 20.0, 70.0)), how, rng.randrange(4)
                    )
                case "full":
                    yield Trouble(at, "alerts", whose, rng.choice((3.0, 20.0, 60.0)), "full")
                case "target":
                    how = rng.choice(("slow", "mute", "lost", "refuse", "wrong"))
                    yield Trouble(at, "alerts", rng.choice(NAMES), rng.choice((5.0, 30.0, 100.0)), how)
                case "file":
                    how, lasts = rng.choice((("empty", 2.0), ("half written", 20.0), ("half written", 2.0)))
                    yield Trouble(at, "alerts", "file", lasts, how)
                case how:
                    yield Trouble(at, "alerts", whose, rng.choice((4.0, 15.0, 25.0, 70.0)), how)

    def build(self, stage: Stage) -> None:
        """Files, targets, programs and the oracle."""
        watched = stage.day.more[self.name]
        self._oracle: AlertOracle | None = None
        self._is_closed = False
        stage.on("alerts", self._strike, aside=True)
        stage.have_computer()
        if watched is None:
            return
        assert isinstance(watched, Watched)
        self._stage, self._watched = stage, watched
        stage.parts["alert dice"] = stage.dice("alerts' pauses")
        self._folder = Path(tempfile.mkdtemp(prefix="oh-days-", dir=_memory()))
        # Also where the day ends before the alerts do.
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / "account"
        self._oracle = AlertOracle(stage, RULES, path.with_suffix(".jsonl"), NAMES)
        self._price = watched.prices[0][1]
        self._file = ""
        self._how: dict[str, str] = {}
        self._failed: Counter[tuple[str, str]] = Counter()
        self._programs = {
            name: Program(
                stage, name, path, self._oracle, rules=RULES, price=lambda: self._price, load=self._load,
                post=partial(self._post, name), look_seconds=look, holders=self._holders,
            )
            for name, look in zip(PROGRAMS, watched.looks, strict=False)
        }  # fmt: skip
        at = stage.day.at
        for then, price in watched.prices:
            stage.agenda.at(at(then), partial(self._put_price, price))
        stage.agenda.at(at(watched.until), self._close, product=True)
        for index, program in enumerate(self._programs.values()):
            stage.agenda.at(at(watched.since) + index * NS, program.start, product=True)

    def begin(self, stage: Stage) -> None:
        """Name the law."""
        if (oracle := self._oracle) is not None:
            stage.law("each crossing that was seen fires once, and each target is told once", oracle.check)

    def end(self, stage: Stage) -> None:
        """Nobody was left out."""
        self._close()

    def _close(self) -> None:
        if self._oracle is None or self._is_closed:
            return
        self._is_closed = True
        self._oracle.settle(self._failed)
        for program in self._programs.values():
            program.kill()
            program.is_over = True
        self._remove()

    def _put_price(self, price: float) -> None:
        self._price = price

    def _load(self) -> Targets:
        if self._file == "half written":
            raise ConfigError("The file ends in the midst of a line.")
        if self._file == "empty":
            return NO_TARGETS
        return Targets({name: Target(name, SecretStr("ntfy://127.0.0.1:1/x")) for name in NAMES})

    def _post(self, who: str, target: str, message: Message) -> tuple[float, Sent]:
        how = self._how.get(target, "")
        assert self._oracle is not None
        self._oracle.sent(
            target,
            message,
            arrives=how not in ("lost", "refuse", "wrong"),
            has_lease=self._programs[who].has_lease,
        )
        self._failed[target, message.key] += how in ("mute", "lost", "wrong", "refuse")
        match how:
            case "slow":
                return 8.0, Sent(Outcome.DELIVERED)
            case "mute":
                return 40.0, Sent(Outcome.DELIVERED)
            case "lost":
                return 10.0, Sent(Outcome.UNANSWERED, "no answer")
            case "refuse":
                return 0.2, Sent(Outcome.FAILED, "503")
            case "wrong":
                return 0.2, Sent(Outcome.FAILED, "404", is_final=True)
            case _:
                return 0.2, Sent(Outcome.DELIVERED)

    def _holders(self) -> list[str]:
        return [name for name, one in self._programs.items() if one.has_lease]

    def _strike(self, trouble: Trouble) -> None:
        after = partial(self._stage.agenda.after, trouble.seconds)
        assert self._oracle is not None
        self._oracle.trouble()
        if trouble.whose in NAMES:
            self._how[trouble.whose] = trouble.how
            after(lambda: self._how.pop(trouble.whose, None))
            return
        if trouble.whose == "file":
            self._file = trouble.how
            after(partial(setattr, self, "_file", ""))
            return
        program = self._programs[trouble.whose]
        match trouble.how:
            case "full":
                program.disk.fill()
                after(program.disk.clear)
            case "frozen":
                program.stop()
                after(program.go_on, product=True)
            case "stopped midway" | "stopped at a row" as how:
                program.cut_short(int(trouble.number), trouble.seconds, at_rows=how == "stopped at a row")
            case "stopped as it takes":
                for delay, one in enumerate(
                    sorted(self._programs.values(), key=lambda one: one is not program)
                ):
                    one.kill()
                    self._stage.agenda.after(1.0 + delay, one.start, product=True)
                program.cut_short(int(trouble.number), trouble.seconds, as_it_takes=True)
            case "killed midway":
                program.cut_short(int(trouble.number))
                self._stage.agenda.after(8.0, program.kill_if_due, product=True)
                self._stage.agenda.after(8.0 + trouble.seconds, program.start, product=True)
            case "quit":
                program.quit()
                after(program.start, product=True)
            case how:
                program.disk.kill_in, program.disk.how = int(trouble.number), how
                # Where it writes nothing, it is killed at rest.
                self._stage.agenda.after(8.0, program.kill_if_due, product=True)
                self._stage.agenda.after(8.0 + trouble.seconds, program.start, product=True)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a private folder is made in it
