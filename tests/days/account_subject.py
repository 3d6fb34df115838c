"""The account: what happens to it, how badly it can be asked, and what must be true of what is told of it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Final

from tests.days.account.book_oracle import BookOracle
from tests.days.account.day_oracle import DayOracle
from tests.days.account.desk import AccountDesk
from tests.days.account.laws import broken_law, unfinished
from tests.days.account.world import busy_account
from tests.days.clocks import NS
from tests.days.day import NEW_YORK, Day, Trouble
from tests.days.stage import Stage

# How long the account is watched, and how long it is left alone before the end.
WATCHED_SECONDS: Final = (600, 1_800)
QUIET_SECONDS: Final = 300.0
# The first look of a day comes a minute after midnight at the latest.
NEW_DAY_SECONDS: Final = 90.0


@dataclass(frozen=True, slots=True)
class Watched:
    """From when on the account is watched, in seconds of the day, and until when."""

    since: float
    until: float


class AccountSubject:
    """Fills, positions and what was held at midnight, from the product's own account course."""

    name = "account"

    def choose(self, day: Day, rng: random.Random) -> tuple[Watched, Iterable[Trouble]]:
        """A stretch of the day in which the account is watched, and up to five troubles."""
        length = (day.until_ns - day.start_ns) / NS
        watched = min(length, rng.uniform(*WATCHED_SECONDS) + QUIET_SECONDS)
        # About midnight, where there is one.
        middle = _midnight(day) if rng.random() < 0.7 else None
        begin = rng.uniform(0, length - watched) if middle is None else middle - rng.uniform(0, watched)
        begin = min(max(0.0, begin), length - watched)
        window = Watched(begin, begin + watched)
        return window, tuple(self._troubles(rng, window))

    @staticmethod
    def _troubles(rng: random.Random, window: Watched) -> Iterable[Trouble]:
        last = window.until - QUIET_SECONDS
        deaf_until = 0.0
        for at in sorted(rng.uniform(window.since, last) for _ in range(rng.randint(0, 5))):
            how = rng.choice(("deaf", "deaf", "slow", "hang", "refused", "busy", "stale"))
            seconds = min(rng.choice((3.0, 20.0, 90.0, 300.0)), last - at)
            number = {
                "deaf": rng.choice((0.0, 0.5, 5.0, 17.0)),
                "slow": rng.choice((1.0, 5.0, 20.0)),
                "stale": rng.choice((5.0, 60.0, 300.0)),
            }.get(how, 0.0)
            if how == "deaf":
                if at < deaf_until:
                    continue
                seconds = max(seconds, number)
                deaf_until = at + seconds + 2
            yield Trouble(round(at, 2), "account", "", round(seconds, 2), how, number)

    def build(self, stage: Stage) -> None:
        """The account's world and desk, and what each trouble does."""
        window = stage.day.more[self.name]
        assert isinstance(window, Watched)
        first = datetime.fromtimestamp(stage.day.start_ns / NS, NEW_YORK).date()
        opened = datetime.combine(first, time(), NEW_YORK).astimezone(UTC)
        began = stage.day.start_ns / NS - opened.timestamp()
        account = busy_account(
            stage.dice("account"),
            opened,
            began + window.since + 5,
            began + window.until - QUIET_SECONDS,
        )
        self._broken: str | None = None
        desk = AccountDesk(stage, account, lambda: self._look(stage))
        stage.parts |= {"account": account, "account desk": desk}
        self._book = BookOracle(stage, account, desk, began + window.since)
        self._today = DayOracle(stage, account, desk)
        stage.on("account", desk.go_wrong, aside=True)
        self._until_ns = stage.day.at(window.until)
        stage.agenda.at(stage.day.at(window.since), desk.begin, product=True)
        stage.agenda.at(self._until_ns, lambda: self._end(stage))

    def begin(self, stage: Stage) -> None:
        """Name the law."""
        stage.law("the account is told as it is", lambda: self._broken)

    def _look(self, stage: Stage) -> None:
        if self._broken is None and stage.clocks.true_ns <= self._until_ns:
            account, desk = stage.parts["account"], stage.parts["account desk"]
            now = account.seconds(stage.clocks.true_ns)
            self._broken = broken_law(account, desk, now) or self._book.look(now) or self._today.look(now)
            if self._broken is not None:
                stage.check(sampled=False)

    def _end(self, stage: Stage) -> None:
        account, desk = stage.parts["account"], stage.parts["account desk"]
        is_quiet = not (self._slept_lately(stage) or self._day_began_lately(stage))
        if desk.seconds_watched() >= QUIET_SECONDS and is_quiet:
            self._broken = self._broken or unfinished(account, desk, account.seconds(stage.clocks.true_ns))
        desk.end()
        stage.check(sampled=False)

    @staticmethod
    def _day_began_lately(stage: Stage) -> bool:
        """Whether what was executed the day before is just being told apart, which takes a look more."""
        now = (stage.clocks.true_ns - stage.day.start_ns) / NS
        middle = _midnight(stage.day)
        return middle is not None and 0 <= now - middle < NEW_DAY_SECONDS

    @staticmethod
    def _slept_lately(stage: Stage) -> bool:
        """Whether there were no quiet minutes, since the process did not run."""
        now = (stage.clocks.true_ns - stage.day.start_ns) / NS
        return any(
            one.at <= now and one.at + one.seconds > now - QUIET_SECONDS
            for one in stage.day.troubles
            if one.kind in ("suspend", "stopped")
        )


def _midnight(day: Day) -> float | None:
    """Seconds from the day's start to the first midnight in New York after it; None where there is none."""
    start = datetime.fromtimestamp(day.start_ns / NS, NEW_YORK)
    last = datetime.fromtimestamp(day.until_ns / NS, NEW_YORK)
    if last.date() == start.date():
        return None
    following = datetime.fromordinal(start.date().toordinal() + 1).replace(tzinfo=NEW_YORK)
    return following.timestamp() - start.timestamp()
