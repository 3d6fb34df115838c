"""The recorder: a process of its own on a market of its own, killed and started again, on a disk that is bad."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import weakref
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from options_helper.capture.capture_config import CaptureConfig
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from tests.days.clocks import NS
from tests.days.day import Day, Trouble
from tests.days.recorder.disk import BadDisk
from tests.days.recorder.history import broken_closing
from tests.days.recorder.oracle import RecorderOracle
from tests.days.recorder.process import Process
from tests.days.stage import Stage
from tests.days.world.market import Board, Market
from tests.days.world.network import Network

STOCKS, OPTIONS = "stocks", "options"
SHARES: Final = ("AAPL", "SPY")
CONTRACTS: Final = ("AAPL270115C00180000",)
REMOVED: Final = {"rows": "*.csv.gz", "journal": "*.jnl.gz"}
RECORDED_SECONDS: Final = (300, 1_500)
# From whenever it begins.
TO_THE_END_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """From when to when there is a recorder, in seconds of the day; nothing where it does not take part."""

    since: float
    until: float
    queue: int
    flush_rows: int
    flush_seconds: float
    journal: bool


class RecorderSubject:
    """Quotes into files, through the product's own capture engine."""

    name = "recorder"

    def choose(self, day: Day, rng: random.Random) -> tuple[Recorded | None, Iterable[Trouble]]:
        """On some days a stretch of recording, with up to eight troubles."""
        if rng.random() < 0.5:
            return None, ()
        length = (day.until_ns - day.start_ns) / NS
        lasts = min(length, rng.uniform(*RECORDED_SECONDS))
        lasts = max(lasts - 30, lasts / 2)
        since = rng.uniform(0, length - lasts - 25)
        # With dice of their own, so that they change nothing of what is chosen otherwise.
        dice = random.Random(f"{day.seed}/recorder, more")
        recorded = Recorded(
            since,
            since + lasts,
            rng.choice((100, 1_000)),
            rng.choice((1, 10, 500)),
            rng.choice((0.5, 5.0, 30.0)),
            journal=dice.random() < 0.8,
        )
        unnoticed = self._unnoticed(random.Random(f"{day.seed}/recorder, unnoticed"), recorded)
        put_back = self._put_back(random.Random(f"{day.seed}/recorder, put back"), recorded)
        away = self._away_long(random.Random(f"{day.seed}/recorder, away"), recorded)
        waking = self._killed_as_it_wakes(random.Random(f"{day.seed}/recorder, waking"), recorded)
        to_the_end = self._refused_to_the_end(random.Random(f"{day.seed}/recorder, to the end"), recorded)
        more = (*self._more(dice, recorded), *unnoticed, *put_back, *away, *waking, *to_the_end)
        return recorded, (*self._troubles(rng, recorded), *more)

    @staticmethod
    def _away_long(dice: random.Random, recorded: Recorded) -> Iterable[Trouble]:
        """Some minutes no recorder runs, and the clock is set meanwhile."""
        if dice.random() < 0.1:
            at = round(dice.uniform(recorded.since + 5, max(recorded.since + 6, recorded.until - 200)), 2)
            yield Trouble(at, "recorder", "", 150.0, "kill at rest")
            yield Trouble(round(at + 20, 2), "clock", number=dice.choice((-600, -3_600, 600)))

    @staticmethod
    def _killed_as_it_wakes(dice: random.Random, recorded: Recorded) -> Iterable[Trouble]:
        """A connection is cut in a sleep, and the recorder killed at one of its first writes after that."""
        if dice.random() < 0.08:
            at = round(dice.uniform(recorded.since + 5, max(recorded.since + 6, recorded.until - 60)), 2)
            yield Trouble(at, "suspend", seconds=40.0)
            yield Trouble(round(at + 5, 2), "recorder", dice.choice((STOCKS, OPTIONS)), 2.0, "cut")
            yield Trouble(round(at + 10, 2), "recorder", "", 3.0, "kill", dice.randrange(12))

    @staticmethod
    def _refused_to_the_end(dice: random.Random, recorded: Recorded) -> Iterable[Trouble]:
        """Nothing of a stream is heard any more: no row after its gap says how far an answer of history goes."""
        if dice.random() < 0.25:
            at = round(recorded.until - dice.uniform(40, 150), 2)
            yield Trouble(max(at, recorded.since + 5), "recorder", STOCKS, TO_THE_END_SECONDS, "refused")

    @staticmethod
    def _put_back(dice: random.Random, recorded: Recorded) -> Iterable[Trouble]:
        """While no recorder runs the clock is put back, and what the last one left is gone in part."""
        if dice.random() < 0.15:
            at = round(dice.uniform(recorded.since + 5, recorded.until - 15), 2)
            yield Trouble(at, "recorder", "", 6.0, "kill at rest")
            yield Trouble(
                round(at + 1, 2), "recorder", dice.choice(("note", "note", "journal")), how="removed"
            )
            yield Trouble(round(at + 2, 2), "clock", number=dice.choice((-600, -3_600)))

    @staticmethod
    def _unnoticed(dice: random.Random, recorded: Recorded) -> Iterable[Trouble]:
        """A connection dies, and the recorder is killed before it can notice, which chance seldom brings about."""
        if dice.random() < 0.2:
            at = round(dice.uniform(recorded.since + 5, recorded.until - 25), 2)
            yield Trouble(at, "recorder", dice.choice((STOCKS, OPTIONS)), 60.0, "half-open")
            yield Trouble(round(at + dice.uniform(6, 14), 2), "recorder", "", 3.0, "kill at rest")

    @staticmethod
    def _more(dice: random.Random, recorded: Recorded) -> Iterable[Trouble]:
        at = round(dice.uniform(recorded.since + 5, recorded.until - 5), 2)
        match dice.choice(("nothing", "nothing", "nothing", "full over kills", "removed", "removed")):
            case "full over kills":
                # The disk takes nothing from before the first kill until after the second.
                yield Trouble(at, "recorder", "", 120.0, "full")
                for pause in (dice.uniform(1, 20), dice.uniform(25, 60)):
                    yield Trouble(round(at + pause, 2), "recorder", "", 3.0, "kill at rest")
            case "removed":
                yield Trouble(at, "recorder", dice.choice(("rows", "rows", "journal")), how="removed")
            case _:
                pass

    @staticmethod
    def _troubles(rng: random.Random, recorded: Recorded) -> Iterable[Trouble]:
        for _ in range(rng.randint(1, 8)):
            at = round(rng.uniform(recorded.since + 5, recorded.until - 5), 2)
            stream = rng.choice((STOCKS, OPTIONS))
            match rng.choice(("kill", "kill", "kill", "full", "pieces", "cut", "half-open", "burst")):
                case "kill":
                    # In the midst of one of the next writes; and how long until it is started again.
                    away = rng.choice((0.2, 3.0, 40.0))
                    if rng.random() < 0.3:
                        yield Trouble(at - 0.1, "recorder", "", 0.0, "kill again", rng.randrange(12))
                    yield Trouble(at, "recorder", "", away, "kill", rng.randrange(12))
                case "full" | "pieces" as how:
                    yield Trouble(at, "recorder", "", rng.choice((1.0, 20.0, 120.0)), how)
                case "burst":
                    yield Trouble(at, "recorder", stream, how="burst", number=rng.choice((20, 60)))
                case how:
                    yield Trouble(at, "recorder", stream, rng.choice((2.0, 30.0, 200.0)), how)

    def build(self, stage: Stage) -> None:
        """Market, network, disk and oracle of its own."""
        recorded = stage.day.more[self.name]
        self._broken: str | None = None
        if recorded is None:
            return
        assert isinstance(recorded, Recorded)
        self._stage, self._recorded = stage, recorded
        self._market = Market(stage, [Board(STOCKS, SHARES, 4.0), Board(OPTIONS, CONTRACTS, 7.0, CONTRACTS)])
        self._market.history = []
        self._network = Network(stage, self._market)
        self._oracle = RecorderOracle(stage, journal=recorded.journal)
        self._network.hear_lost = self._oracle.lost
        self._network.stir = self._stir
        self._network.is_listened = lambda _: self._is_wanted
        self._is_wanted = False
        self._disk = BadDisk(stage.dice("recorder's disk"))
        self._process: Process | None = None
        self._away = 1.0
        self._kill_next: int | None = None  # at which write the next process is killed
        stage.before_sleep.append(lambda: self._process and self._process.before_sleep())
        stage.after_sleep.append(self._after_sleep)
        stage.on("recorder", self._strike, aside=True)
        stage.have_computer()
        # Nobody starts or ends anything while the computer is asleep.
        stage.agenda.at(stage.day.at(recorded.since), self._first, product=True)
        stage.agenda.at(stage.day.at(recorded.until), self._last, product=True)

    def begin(self, stage: Stage) -> None:
        """Name the law."""
        stage.law("a recording has every row, or tells of its loss", lambda: self._broken)

    def _first(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="oh-days-", dir=_memory()))
        # Also where the day ends before the recording does.
        self._taken: list[int] = []
        self._remove = weakref.finalize(self, _remove, self._root, self._taken)
        self._is_wanted, self._is_ending = True, False
        self._start()

    def _start(self) -> None:
        recorded = self._recorded
        streams = LiveStreamConfig(
            stocks=SHARES,
            option_contracts=CONTRACTS,
            stream_fills=False,
            queue_maxsize=recorded.queue,
            # Of which there is a history that was quoted.
            stock_channels=("quotes",),
        )
        policy = StorePolicy(flush_rows=recorded.flush_rows, flush_seconds=recorded.flush_seconds)
        self._process = Process(
            self._stage,
            self._network,
            self._oracle,
            config=CaptureConfig(streams, self._root, policy=policy, journal=recorded.journal),
            disk=self._disk,
            died=self._died,
            taken=self._taken,
        )
        # It may be killed as it begins.
        self._disk.kill_in, self._kill_next = self._kill_next, None
        self._oracle.process_began(self._process.engine.session)
        if self._disk.is_full:
            self._oracle.disk_is_full()
        self._process.start()

    def _died(self) -> None:
        self._stage.note("the recorder is killed")
        self._oracle.process_ended()
        if self._is_wanted:
            self._stage.agenda.timer(self._away, self._again)

    def _again(self) -> None:
        if self._is_wanted and (self._process is None or not self._process.is_alive):
            self._stage.note("the recorder starts again")
            self._start()

    def _after_sleep(self) -> None:
        if self._process is not None:
            self._process.after_sleep()
        self._network.wake()

    def _strike(self, trouble: Trouble) -> None:
        if not self._is_wanted or self._is_ending:
            return
        self._stir(3)
        match trouble.how:
            case "kill" | "kill again" | "kill at rest":
                self._kill(trouble)
            case "removed":
                self._remove_files(trouble.whose)
            case "full" | "pieces":
                self._set_disk(trouble.how, on=True)
                self._stage.agenda.after(trouble.seconds, lambda: self._set_disk(trouble.how, on=False))
            case "burst":
                self._market.burst(trouble.whose, int(trouble.number), 3)
            case how:
                line = self._network.lines.get(trouble.whose)
                if how == "refused":
                    self._network.refusals[trouble.whose] = "503"
                if line is not None:
                    (line.die if how == "half-open" else line.cut)()

    def _stir(self, seconds: float) -> None:
        """Of this part alone."""
        if self._process is not None:
            self._process.stir(seconds)

    def _kill(self, trouble: Trouble) -> None:
        if trouble.how == "kill again":
            self._kill_next = int(trouble.number)
            return
        self._away = trouble.seconds
        if trouble.how == "kill":
            self._disk.kill_in = int(trouble.number)
        elif self._process is not None and self._process.is_alive and not self._stage.agenda.is_asleep:
            self._process.kill()

    def _remove_files(self, what: str) -> None:
        """Somebody deletes one or more files of the recording, while it is written: otherwise nobody could tell.

        Or, while it is not, what the last session left of itself.
        """
        if self._process is None or (what == "rows" and not self._process.is_alive):
            return
        if what == "note":
            self._spoil_note()
            return
        found = sorted(path for path in self._root.rglob(REMOVED[what]) if path.is_file())
        for path in found[: self._stage.dice("removed").randint(1, 3)]:
            self._stage.note(f"somebody deletes {path.name}")
            self._oracle.is_robbed = True
            path.unlink()

    def _spoil_note(self) -> None:
        """What a loss of power leaves of a file that was replaced a moment before."""
        if self._process is not None and not self._process.is_alive:
            session = self._process.engine.session
            path = self._root / "sessions" / f"{session}.json"
            if path.exists():
                self._stage.note(f"the note of {session} is spoiled")
                self._oracle.is_robbed = True
                path.write_bytes(b"")

    def _set_disk(self, how: str, *, on: bool) -> None:
        if how == "full":
            self._disk.is_full = on
            self._oracle.disk_is_full()
        else:
            self._disk.in_pieces = on

    def _last(self) -> None:
        """One more process, if need be, finds all that was left: from now on nothing goes wrong."""
        self._is_ending = True
        self._disk.kill_in, self._disk.is_full, self._disk.in_pieces = None, False, False
        self._kill_next = None
        if self._process is None or not self._process.is_alive:
            self._start()
        self._stage.agenda.timer(20.0, self._end)

    def _end(self) -> None:
        """It ends as it should, and its recording is looked at."""
        assert self._process is not None
        try:
            self._process.stop()
            self._oracle.process_stopped()
            status = self._process.engine.status()
            problem = None if self._oracle.is_robbed else status.problem
            self._broken = problem or self._oracle.broken_law(self._root) or self._broken_closing()
        finally:
            self._is_wanted = False
            self._remove()
        self._stage.check(sampled=False)

    def _broken_closing(self) -> str | None:
        history, dice = self._market.history, self._stage.dice("recorder's history")
        if history is None or self._oracle.is_robbed or dice.random() < 0.5:
            return None
        # Where nothing was recorded after a gap, first of one that ends early.
        first = "short" if self._network.refusals else None
        wall_ns = self._stage.clocks.wall_ns()
        return broken_closing(self._root, history, self._oracle, wall_ns, dice, first=first)


def _remove(root: Path, taken: list[int]) -> None:
    for descriptor in taken:
        with suppress(OSError):
            # Those that nobody has closed since, and another file has not got the number of.
            if Path(f"/proc/self/fd/{descriptor}").readlink() == Path(os.devnull):
                os.close(descriptor)
    shutil.rmtree(root, ignore_errors=True)


def _memory() -> str | None:
    """Where files are quick, if there is such a place."""
    place = Path("/dev/shm")  # noqa: S108 - a folder in memory, not a name in it
    return str(place) if place.is_dir() else None
