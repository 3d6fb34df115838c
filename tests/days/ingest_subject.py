"""An ingestion: killed at any write, on a full disk, beside another program, and with a REST side that goes wrong."""

from __future__ import annotations

import random
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from options_helper.ingest.jobs import all_jobs
from tests.days.clocks import NS
from tests.days.day import Day, Trouble
from tests.days.ingest.archive import Archive
from tests.days.ingest.oracle import IngestOracle
from tests.days.ingest.program import REQUESTS, Ingester, Page
from tests.days.stage import Stage

JOBS: Final = all_jobs()
# At the end nothing goes wrong for so long: the longest pause after failures, and what piled up in it.
_CALM_SECONDS: Final = 1_500.0
# A window is due each quarter of an hour at least.
_TO_WRITE_SECONDS: Final = 400.0


@dataclass(frozen=True, slots=True)
class Ingested:
    """From when to when there is an ingestion, in seconds of the day, and how often the other program asks."""

    since: float
    until: float
    page_every: float


class IngestSubject:
    """What is due, asked, answered and stored, by the product's own course, store, questions and budget."""

    name = "ingest"

    def choose(self, day: Day, rng: random.Random) -> tuple[Ingested | None, Iterable[Trouble]]:
        """On some days an hour or so, with up to eight troubles."""
        length = (day.until_ns - day.start_ns) / NS
        lasts = rng.uniform(2_100, 3_900)
        if rng.random() < 0.75 or length < lasts + 60:
            return None, ()
        since = round(rng.uniform(0, length - lasts - 30), 1)
        ingested = Ingested(since, since + lasts, rng.choice((5.0, 15.0, 60.0)))
        ahead = self._ahead(random.Random(f"{day.seed}/ingest, ahead"), ingested)
        return ingested, (*self._troubles(rng, ingested), *ahead)

    @staticmethod
    def _ahead(dice: random.Random, ingested: Ingested) -> Iterable[Trouble]:
        """A clock that is ahead for a while: what it stores lies in the future, and that comes."""
        if dice.random() < 0.25:
            ahead, lasts = dice.choice((1_200.0, 3_600.0)), dice.choice((30.0, 300.0))
            at = round(dice.uniform(ingested.since, ingested.until - _CALM_SECONDS - lasts), 2)
            yield Trouble(at, "clock", number=ahead)
            yield Trouble(at + lasts, "clock", number=-ahead)

    @staticmethod
    def _troubles(rng: random.Random, ingested: Ingested) -> Iterable[Trouble]:
        last = ingested.until - _CALM_SECONDS
        for _ in range(rng.randint(1, 8)):
            at = round(rng.uniform(ingested.since, last), 2)
            seconds = min(rng.choice((2.0, 20.0, 90.0, 400.0)), max(0.0, last - at))
            how = rng.choice(
                (
                    "kill",
                    "kill",
                    "kill",
                    "frozen",
                    "full",
                    "busy",
                    "slow",
                    "mute",
                    "silence",
                    "refused",
                    "late",
                    "late",
                )
            )
            number = 0.0
            if how == "kill":
                how, number = rng.choice(("before", "torn", "after")), rng.randrange(4)
            if how == "silence":
                number = rng.choice((5.0, 40.0, 120.0))
            if rng.random() < 0.4:  # most is asked for at the beginning
                at = round(ingested.since + rng.choice((0.0, rng.uniform(0, 90))), 2)
            yield Trouble(at, "ingest", "", round(seconds, 2), how, number)

    def build(self, stage: Stage) -> None:
        """Folder, archive, programs and oracle."""
        ingested = stage.day.more[self.name]
        self._oracle: IngestOracle | None = None
        stage.on("ingest", self._strike, aside=True)
        stage.have_computer()
        if ingested is None:
            return
        assert isinstance(ingested, Ingested)
        self._stage = stage
        self._root = Path(tempfile.mkdtemp(prefix="oh-days-", dir=_memory()))
        # Also where the day ends before the ingestion does.
        self._remove = weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        oracle = self._oracle = IngestOracle(stage, self._root, JOBS)
        self._archive = Archive(stage.dice("archive"))
        self._ingester = Ingester(stage, oracle, self._archive, JOBS, self._root)
        self._page = Page(stage, oracle, self._root / REQUESTS, ingested.page_every)
        self._woke_ns = 0
        stage.after_sleep.append(self._wake)
        at = stage.day.at
        stage.agenda.at(at(ingested.since), self._ingester.start, product=True)
        stage.agenda.at(at(ingested.since) + NS, self._page.start, product=True)
        stage.agenda.at(at(ingested.until), self._close, product=True)

    def begin(self, stage: Stage) -> None:
        """Name the law."""
        if self._oracle is not None:
            stage.law("each window is stored once, and nothing is asked too often", self._oracle.check)

    def end(self, stage: Stage) -> None:
        """What the day did not come to."""
        self._close()

    def _close(self) -> None:
        if self._oracle is None or self._oracle.is_over:
            return
        clocks = self._stage.clocks
        # A process that was stopped until just now had no calm while.
        ran_ns = clocks.true_ns - max(self._woke_ns, self._until_ns - int(_CALM_SECONDS * NS))
        if self._ingester.is_alive and clocks.true_ns >= self._until_ns and ran_ns >= _CALM_SECONDS * NS:
            self._oracle.left(self._ingester.look(), self._ingester.now)
        self._ingester.kill()
        self._page.end_life()
        self._oracle.audit()
        self._oracle.is_over = True
        self._remove()

    def _wake(self) -> None:
        self._woke_ns = self._stage.clocks.true_ns

    @property
    def _until_ns(self) -> int:
        ingested = self._stage.day.more[self.name]
        assert isinstance(ingested, Ingested)
        return self._stage.day.at(ingested.until)

    def _strike(self, trouble: Trouble) -> None:
        after = partial(self._stage.agenda.after, trouble.seconds)
        ingester = self._ingester
        match trouble.how:
            case "before" | "torn" | "after":
                if ingester.is_alive:
                    ingester.disk.kill_in, ingester.disk.how = int(trouble.number), trouble.how
                    ingester.away = trouble.seconds
                # Where it does not write so often, it is killed at rest, or in the midst of a question.
                self._stage.agenda.after(_TO_WRITE_SECONDS, ingester.kill_if_due, product=True)
            case "frozen":
                ingester.freeze()
                after(ingester.go_on, product=True)
            case "full":
                ingester.disk.fill()
                after(ingester.disk.clear)
            case "late":
                self._archive.be_late()
                after(self._archive.be_on_time)
            case how:
                self._archive.how, self._archive.pause = how, trouble.number
                after(partial(setattr, self._archive, "how", ""))


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a private folder is made in it
