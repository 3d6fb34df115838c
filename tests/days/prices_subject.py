"""Prices over REST: asked for after a start, a lost connection and midnight, of a server that answers badly."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from tests.days.clocks import NS
from tests.days.day import NEW_YORK, Day, Trouble
from tests.days.prices.desk import STREAMS, PriceDesk
from tests.days.prices.held_desk import HeldDesk
from tests.days.prices.held_oracle import HeldOracle
from tests.days.prices.held_world import HeldWorld
from tests.days.prices.marks_oracle import MarksOracle
from tests.days.prices.oracle import PriceOracle
from tests.days.stage import Stage
from tests.days.world.market import Board, Market

SHARES: Final = ("AAPL", "MSFT", "SPY")
CONTRACTS: Final = ("AAPL270115C00180000", "SPY270115P00500000")
SOLD: Final = ("QQQ", "SPY270115C00700000")
QUIET_SECONDS: Final = 200.0


@dataclass(frozen=True, slots=True)
class Asked:
    """From when to when, in seconds of the day, and how often each stream brings something."""

    since: float
    until: float
    stocks: float
    options: float


class PricesSubject:
    """What is shown of prices that were asked for, by the product's own course and fold."""

    name = "prices"

    def choose(self, day: Day, rng: random.Random) -> tuple[Asked | None, Iterable[Trouble]]:
        """On some days some minutes, about midnight where there is one, with up to seven troubles."""
        length = (day.until_ns - day.start_ns) / NS
        lasts = rng.uniform(240, 700) + QUIET_SECONDS
        if rng.random() < 0.6 or length < lasts + 60:
            return None, ()
        since = rng.uniform(0, length - lasts - 30)
        last = datetime.fromtimestamp(day.until_ns / NS, NEW_YORK)
        midnight = (
            last.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * NS - day.start_ns
        ) / NS
        if midnight > lasts and rng.random() < 0.7:
            since = midnight - rng.uniform(30, lasts - QUIET_SECONDS - 60)
        asked = Asked(
            round(since, 1), round(since + lasts, 1), rng.choice((3.0, 20.0)), rng.choice((9.0, 40.0))
        )
        # With dice of their own, so that they change nothing of what is chosen above.
        ahead = self._ahead(random.Random(f"{day.seed}/prices, ahead"), asked)
        held = self._held(random.Random(f"{day.seed}/prices, held"), asked)
        return asked, (*self._troubles(rng, asked), *ahead, *held)

    @staticmethod
    def _held(dice: random.Random, asked: Asked) -> Iterable[Trouble]:
        """A dividend is announced, a share is not known for a while, something is held no longer."""
        for how in ("announced", "unknown", "fewer"):
            if dice.random() < 0.3:
                at = round(dice.uniform(asked.since, asked.until - QUIET_SECONDS), 2)
                seconds = round(min(90.0, asked.until - QUIET_SECONDS - at), 2)
                yield Trouble(at, "held", dice.choice(("AAPL", "MSFT")), seconds, how)

    @staticmethod
    def _ahead(dice: random.Random, asked: Asked) -> Iterable[Trouble]:
        """Who is asked anew tells times that are a little ahead, which is believed, and then the stream goes on."""
        if dice.random() < 0.2:
            at = round(dice.uniform(asked.since + 5, asked.until - QUIET_SECONDS - 60), 2)
            yield Trouble(at, "prices", "", 30.0, "ahead", dice.choice((20.0, 40.0)))
            yield Trouble(round(at + 1, 2), "prices", dice.choice(tuple(STREAMS)), 5.0, "deaf")

    @staticmethod
    def _troubles(rng: random.Random, asked: Asked) -> Iterable[Trouble]:
        last = asked.until - QUIET_SECONDS
        for _ in range(rng.randint(1, 7)):
            at = round(rng.uniform(asked.since, last - 5), 2)
            lasts = round(min(rng.choice((5.0, 40.0, 150.0)), last - at), 2)
            how = rng.choice(
                ("deaf", "deaf", "deaf", "slow", "hang", "refused", "busy", "too many", "stale", "ahead", "sold",
                 "clock", "suspend")
            )  # fmt: skip
            match how:
                case "deaf":
                    yield Trouble(at, "prices", rng.choice(tuple(STREAMS)), lasts, how)
                case "sold":
                    yield Trouble(at, "prices", rng.choice(SOLD), 0.0, how)
                case "clock":
                    yield Trouble(at, "clock", number=rng.choice((-3_600, -400, -40, 40, 400, 3_600)))
                case "suspend":
                    yield Trouble(at, "suspend", seconds=rng.choice((7.0, 40.0)))
                case _:
                    number = {"slow": (1.0, 8.0), "stale": (20.0, 240.0), "ahead": (40.0, 100.0, 900.0)}.get(
                        how, (0.0,)
                    )
                    yield Trouble(at, "prices", "", lasts, how, rng.choice(number))

    def build(self, stage: Stage) -> None:
        """Market, desk and oracle of its own."""
        asked = stage.day.more[self.name]
        self._oracle: PriceOracle | None = None
        self._held_oracle: HeldOracle | None = None
        stage.on("prices", self._strike, aside=True)
        stage.on("held", self._strike_held, aside=True)
        stage.have_computer()
        if asked is None:
            return
        assert isinstance(asked, Asked)
        self._oracle = oracle = PriceOracle(stage, (*SHARES, *CONTRACTS))
        config = LiveStreamConfig(stocks=SHARES, option_contracts=CONTRACTS)
        self._desk = desk = PriceDesk(stage, config, oracle)
        self._world = world = HeldWorld(stage.day, oracle)
        self._held_oracle = held = HeldOracle(stage, world, oracle)
        holding = LiveStreamConfig(stocks=SHARES, option_contracts=(*CONTRACTS, *world.ending))
        self._held_desk = HeldDesk(stage, desk, holding, world, held)
        self._marks_oracle = marks = MarksOracle(stage, world)
        desk.looks += [partial(held.look, self._held_desk), partial(marks.look, self._held_desk)]
        market = Market(
            stage, [Board("stocks", SHARES, asked.stocks), Board("options", CONTRACTS, asked.options)]
        )
        for stream in STREAMS:
            stage.agenda.at(
                stage.day.at(asked.since - 30), partial(market.carry, stream, partial(desk.hear, stream))
            )
        stage.agenda.at(stage.day.at(asked.since), desk.begin, product=True)
        stage.agenda.at(stage.day.at(asked.since), self._held_desk.begin, product=True)
        stage.agenda.at(stage.day.at(asked.until), self._end, product=True)
        self._stage, self._quiet_since = stage, 0

    def begin(self, stage: Stage) -> None:
        """Name the law."""
        if (oracle := self._oracle) is not None:
            stage.law("no price is shown as what it is not", lambda: oracle.broken)
        if (held := self._held_oracle) is not None:
            marks = self._marks_oracle
            stage.law("what is asked about what is held is told as it is", lambda: held.broken)
            stage.law("a line is worth what is known of it", lambda: marks.broken)

    def end(self, stage: Stage) -> None:
        """Nothing is asked any more."""
        if self._oracle is not None:
            self._desk.is_over = True

    def _strike(self, trouble: Trouble) -> None:
        self._desk.go_wrong(trouble)

    def _strike_held(self, trouble: Trouble) -> None:
        stage, world = self._stage, self._world
        match trouble.how:
            case "announced":
                world.announce(trouble.whose, stage.clocks.true_ns)
            case "unknown":
                world.unknown = frozenset({trouble.whose})
            case _:
                self._held_desk.change_symbols(
                    LiveStreamConfig(stocks=SHARES, option_contracts=(*CONTRACTS, *world.ending[:2]))
                )

    def _end(self) -> None:
        assert self._oracle is not None
        assert self._held_oracle is not None
        stage = self._stage
        now = (stage.clocks.true_ns - stage.day.start_ns) / NS
        is_quiet = not any(
            one.kind in ("clock", "suspend", "stopped")
            and now - QUIET_SECONDS < one.at + one.seconds
            and one.at <= now
            for one in stage.day.troubles
        )
        if is_quiet:
            self._oracle.finished(self._desk)
            self._held_oracle.finished(self._held_desk)
        self._desk.is_over = True
        stage.check(sampled=False)
