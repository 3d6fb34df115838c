"""The streams, from Start to Stop: what goes wrong for them, and how that is done."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final

from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.model.market_hours import Session as ToldSession
from options_helper.model.market_hours import ToldSessions
from tests.days.clocks import NS
from tests.days.day import NEW_YORK, Day, Trouble
from tests.days.oracle.streams import StreamOracle
from tests.days.product.streams import Desk
from tests.days.screen.oracle import ScreenOracle
from tests.days.stage import Stage
from tests.days.world.market import Board, Market
from tests.days.world.network import Network

STOCKS, OPTIONS, FILLS = "stocks", "options", "fills"
MARKET_STREAMS: Final = (STOCKS, OPTIONS)
SHARES: Final = ("AAPL", "MSFT", "SPY")
CONTRACTS: Final = ("AAPL270115C00180000", "SPY270115P00500000")
REFUSALS: Final = (
    "401", "403", "404", "407", "408", "425", "429", "500", "503",
    "answer 402", "answer 404", "answer 406", "answer 409", "answer 500", "silence", "unreachable",
)  # fmt: skip
ROUGH: Final = ("merged", "split", "repeated", "unreadable")
ACKS: Final = ("missing", "late", "split", "behind data")
KINDS: Final = (
    "mute", "mute", "refuse", "refuse", "cut", "half-open", "half-open", "acks", "rough", "late", "burst", "clock",
    "clock", "suspend", "stopped", "busy", "symbols", "restart", "revive", "decree", "error", "orders", "held slot",
)  # fmt: skip
SLEEPS: Final = (3.0, 7.0, 40.0, 591.0, 7_200.0)
CODES: Final = {
    402: "auth failed",
    406: "connection limit exceeded",
    407: "slow client",
    500: "internal error",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the streams of a day are."""

    paces: Mapping[str, float]
    queue: int


class StreamsSubject:
    """Stocks, options and fills, through the product's own manager."""

    name = "streams"

    def choose(self, day: Day, rng: random.Random) -> tuple[Choice, Iterable[Trouble]]:
        """A pace for each stream, the queue's size, and three to twelve troubles."""
        paces = {STOCKS: rng.choice((6.0, 12.0, 20.0)), OPTIONS: rng.choice((10.0, 18.0, 18.0, 45.0))}
        choice = Choice(MappingProxyType(paces), rng.choice((100, 1_000, 10_000)))
        length = (day.until_ns - day.start_ns) / NS
        edges = [(edge - day.start_ns) / NS for edge in day.edges()]
        edges = [edge for edge in edges if 0 < edge < length] or [length / 2]
        troubles: list[Trouble] = []
        for _ in range(rng.randint(3, 12)):
            troubles.extend(self._trouble(rng, _moment(rng, length, edges, troubles)))
        # With dice of their own, so that they change nothing of what is chosen above.
        dice = random.Random(f"{day.seed}/streams, together")
        if dice.random() < 0.3:
            troubles.extend(_together(dice, _moment(dice, length, edges, troubles)))
        more = random.Random(f"{day.seed}/streams, two clocks")
        if more.random() < 0.15:
            troubles.extend(_set_back_asleep(more, length))
        if more.random() < 0.5:
            troubles.extend(_mute_over_night(more, day, length))
        troubles.extend(_set_while_frames_wait(random.Random(f"{day.seed}/streams, waiting"), length))
        return choice, troubles

    def _trouble(self, rng: random.Random, at: float) -> Iterable[Trouble]:
        kind = rng.choice(KINDS)
        whose, market = rng.choice((*MARKET_STREAMS * 2, FILLS)), rng.choice(MARKET_STREAMS)
        lasts = round(rng.choice((rng.uniform(2, 20), rng.uniform(20, 150), rng.uniform(150, 1_500))), 1)
        dice = {
            "mute": lambda: [Trouble(at, kind, market, lasts)],
            "refuse": lambda: [
                Trouble(at, kind, whose, lasts, rng.choice(REFUSALS)),
                Trouble(at + 0.1, "cut", whose),
            ],
            "held slot": lambda: [
                Trouble(at, "refuse", whose, 90.0, "answer 406"),
                Trouble(at + 0.1, "half-open", whose),
            ],
            "acks": lambda: [
                Trouble(at, kind, market, min(lasts, 120.0), rng.choice(ACKS)),
                Trouble(at + 0.1, "cut", market),
            ],
            "rough": lambda: [Trouble(at, kind, market, lasts, rng.choice(ROUGH))],
            "late": lambda: [
                Trouble(at, kind, market, min(lasts, 200.0), number=round(rng.uniform(0.5, 20), 1))
            ],
            "burst": lambda: [Trouble(at, kind, market, number=rng.choice((3, 20, 40)))],
            "clock": lambda: [
                Trouble(at, kind, number=rng.choice((-3_600, -600, -40, -2, 3, 45, 300, 3_600)))
            ],
            "suspend": lambda: [Trouble(at, kind, seconds=rng.choice(SLEEPS))],
            "stopped": lambda: [Trouble(at, kind, seconds=rng.choice(SLEEPS))],
            "busy": lambda: [
                Trouble(at, kind, seconds=rng.choice((0.4, 2.0, 4.0))),
                Trouble(at + 0.1, "burst", market, number=20),
            ],
            "symbols": lambda: [
                Trouble(at, kind, how=rng.choice(("fewer", "none", "others"))),
                Trouble(at + lasts, kind, how="all"),
            ],
            "restart": lambda: [Trouble(at, kind, seconds=min(lasts, 100.0))],
            "decree": lambda: [Trouble(at, kind, seconds=round(rng.uniform(5, 200), 1))],
            "error": lambda: [
                Trouble(at, kind, market, number=rng.choice(tuple(CODES))),
                Trouble(at + 2, "cut", market),
            ],
            "orders": lambda: [Trouble(at, kind, FILLS, how=rng.choice(("filled", "refused")))],
        }
        return dice[kind]() if kind in dice else [Trouble(at, kind, whose)]

    def build(self, stage: Stage) -> None:
        """Market, network and product, and what each trouble does."""
        choice = stage.day.more[self.name]
        assert isinstance(choice, Choice)
        boards = [
            Board(STOCKS, SHARES, choice.paces[STOCKS]),
            Board(OPTIONS, CONTRACTS, choice.paces[OPTIONS], CONTRACTS[1:]),
        ]
        market = Market(stage, boards, odd=True)
        network = Network(stage, market)
        oracle = StreamOracle(stage, network, market)
        desk = Desk(stage, network, oracle, stage.parts.get("rest"))
        oracle.desk = desk
        stage.parts |= {"market": market, "network": network, "desk": desk, "streams oracle": oracle}
        _Troubles(stage, choice.queue)
        self._screen = ScreenOracle(stage, oracle, desk, KINDS)

    def begin(self, stage: Stage) -> None:
        """Press Start."""
        oracle: StreamOracle = stage.parts["streams oracle"]
        for name, check in oracle.laws():
            stage.law(name, check)
        stage.law("what the page says is so", self._screen.check)
        stage.parts["streams troubles"].start()

    def end(self, stage: Stage) -> None:
        """Press Stop, where somebody can."""
        if not stage.agenda.is_asleep:
            stage.parts["streams troubles"].stop()


def _together(dice: random.Random, at: float) -> Iterable[Trouble]:
    """Troubles that chance seldom puts so close to each other."""
    market = dice.choice(MARKET_STREAMS)
    soon, sooner = round(dice.uniform(2, 8), 1), round(dice.uniform(0.5, 3), 1)
    match dice.choice(("set back", "mute asleep", "half-open asleep", "unreadable after mute")):
        case "set back":
            # Before anything that comes tells by how much.
            yield Trouble(at, "cut", market)
            yield Trouble(at + soon, "clock", number=dice.choice((-3_600, -600)))
            yield Trouble(at + soon + sooner, "cut", market)
        case "mute asleep":
            asleep = at + dice.uniform(15, 58)
            yield Trouble(at, "mute", market, dice.choice((200.0, 900.0)))
            yield Trouble(
                round(asleep, 1), dice.choice(("suspend", "stopped")), seconds=dice.choice(SLEEPS[1:4])
            )
        case "half-open asleep":
            yield Trouble(at, "half-open", market)
            yield Trouble(at + soon, dice.choice(("suspend", "stopped")), seconds=dice.choice(SLEEPS[1:4]))
        case _:
            quiet = round(dice.uniform(30, 55), 1)
            yield Trouble(at, "mute", market, quiet)
            yield Trouble(at + quiet - 1, "rough", market, 200.0, "unreadable")


def _set_back_asleep(dice: random.Random, length: float) -> Iterable[Trouble]:
    """A gap, and soon another one that is told by a clock of before it."""
    at = round(dice.uniform(0, max(1.0, length - 700)), 1)
    soon = round(at + 40 + dice.uniform(4, 60), 1)
    yield Trouble(at, "suspend", seconds=dice.choice((7.0, 40.0)))
    yield Trouble(soon, "suspend", seconds=dice.choice((40.0, 591.0)))
    yield Trouble(round(soon + dice.uniform(1, 6), 1), "clock", number=dice.choice((-3_600, -600)))


def _set_while_frames_wait(dice: random.Random, length: float) -> Iterable[Trouble]:
    """The clock is set while nobody takes what is in the queue."""
    if dice.random() < 0.1:
        at = round(dice.uniform(0, max(1.0, length - 10)), 1)
        yield Trouble(at, "busy", seconds=4.0)
        yield Trouble(round(at + 0.1, 1), "burst", dice.choice(MARKET_STREAMS), number=20)
        yield Trouble(
            round(at + dice.uniform(0.5, 3.5), 1), "clock", number=dice.choice((-3_600, -40, 45, 3_600))
        )


def _mute_over_night(dice: random.Random, day: Day, length: float) -> Iterable[Trouble]:
    """Data were due for less than a silence takes, and are due again hours later, on the same mute connection."""
    for before, after in pairwise(day.sessions):
        at = (before.closes_ns - day.start_ns) / NS - round(dice.uniform(15, 55), 1)
        if 0 < at < length:
            until = min(length - 300, (after.opens_ns - day.start_ns) / NS + 200)
            yield Trouble(round(at, 1), "mute", STOCKS, round(until - at, 1))


def _moment(rng: random.Random, length: float, edges: list[float], earlier: list[Trouble]) -> float:
    """Anywhere, about an edge of a session, or beside a trouble that is there already."""
    where = rng.random()
    if where < 0.25:
        at = rng.choice(edges) + rng.gauss(0, 40)
    elif where < 0.6 and earlier:
        at = rng.choice(earlier).at + rng.uniform(0, 90)
    else:
        at = rng.uniform(0, length)
    return round(min(max(0.0, at), length - 1), 1)


class _Troubles:
    """What each kind of trouble does to the world, or has the user do."""

    def __init__(self, stage: Stage, queue: int) -> None:
        self._stage = stage
        market: Market = stage.parts["market"]
        network: Network = stage.parts["network"]
        self._market, self._network = market, network
        self._desk: Desk = stage.parts["desk"]
        self._oracle: StreamOracle = stage.parts["streams oracle"]
        self._config = LiveStreamConfig(stocks=SHARES, option_contracts=CONTRACTS, queue_maxsize=queue)
        self._now = self._config
        self._orders = 0
        self._told: ToldSessions = {}
        stage.parts["streams troubles"] = self
        for kind, handler in {
            "mute": self._mute,
            "refuse": lambda trouble: self._lasting(network.refusals, trouble, trouble.how),
            "acks": lambda trouble: self._lasting(network.acks, trouble, trouble.how),
            "rough": lambda trouble: self._lasting(network.rough, trouble, trouble.how),
            "late": lambda trouble: self._lasting(network.late, trouble, trouble.number),
            "cut": self._cut,
            "half-open": self._half_open,
            "burst": lambda trouble: market.burst(trouble.whose, int(trouble.number), 15),
            "clock": self._clock,
            "suspend": lambda trouble: self._sleep(trouble, suspended=True),
            "stopped": lambda trouble: self._sleep(trouble, suspended=False),
            "busy": self._busy,
            "symbols": self._symbols,
            "restart": self._restart,
            "revive": lambda _: self._awake(self._revive),
            "decree": self._decree,
            "error": self._error,
            "orders": self._send_order,
        }.items():
            stage.on(kind, handler)

    def start(self) -> None:
        """Press Start."""
        self._oracle.begin_run(_wanted(self._now))
        self._desk.start(self._now)
        if self._told:
            # A new run asks for the hours after a moment, as each does.
            self._stage.agenda.timer(2.0, self._tell_hours)

    def stop(self) -> None:
        """Press Stop."""
        self._oracle.end_run()
        self._desk.stop()

    def _awake(self, action: Any) -> None:
        """A user's hand does nothing while the computer is asleep."""
        if not self._stage.agenda.is_asleep:
            action()

    def _mute(self, trouble: Trouble) -> None:
        self._network.for_a_while(self._network.mutes, trouble, value=True)

    def _lasting(self, what: dict[str, Any], trouble: Trouble, value: Any) -> None:
        self._oracle.trouble(trouble.whose)
        self._network.for_a_while(what, trouble, value)
        self._stage.agenda.after(trouble.seconds, lambda: self._oracle.trouble(trouble.whose))

    def _cut(self, trouble: Trouble) -> None:
        if (line := self._network.lines.get(trouble.whose)) is not None:
            line.cut()

    def _half_open(self, trouble: Trouble) -> None:
        if (line := self._network.lines.get(trouble.whose)) is not None:
            line.die()

    def _clock(self, trouble: Trouble) -> None:
        self._stage.set_clock(trouble.number)
        self._oracle.clock_was_set()

    def _sleep(self, trouble: Trouble, *, suspended: bool) -> None:
        if self._stage.agenda.is_asleep:
            return
        since = self._stage.clocks.true_ns
        self._desk.sleep()

        def wake() -> None:
            self._stage.note("awake")
            self._stage.stir(20)
            self._oracle.slept(since)
            self._desk.wake(suspended=suspended)

        self._stage.agenda.after(trouble.seconds, wake)

    def _busy(self, trouble: Trouble) -> None:
        if self._desk.run is not None:
            self._desk.run.consumes_again_at = self._stage.clocks.true_ns + int(trouble.seconds * NS)

    def _symbols(self, trouble: Trouble) -> None:
        changed = {
            "fewer": lambda: LiveStreamConfig(
                stocks=SHARES[:1], option_contracts=CONTRACTS[1:], queue_maxsize=self._config.queue_maxsize
            ),
            "none": lambda: LiveStreamConfig(stocks=SHARES, queue_maxsize=self._config.queue_maxsize),
            "others": lambda: LiveStreamConfig(
                stocks=SHARES[1:], option_contracts=CONTRACTS[:1], queue_maxsize=self._config.queue_maxsize
            ),
            "all": lambda: self._config,
        }[trouble.how]()
        self._awake(lambda: self._become(changed))

    def _become(self, config: LiveStreamConfig) -> None:
        self._now = config
        if self._desk.manager.is_running():
            self._oracle.change(_wanted(config))
            self._desk.start(config)

    def _restart(self, trouble: Trouble) -> None:
        def stop() -> None:
            if self._desk.manager.is_running():
                self.stop()
                self._stage.agenda.after(trouble.seconds, lambda: self._awake_later(self.start))

        self._awake(stop)

    def _awake_later(self, action: Any) -> None:
        self._stage.agenda.after(0.0, action, product=True)

    def _revive(self) -> None:
        if self._desk.manager.is_running():
            self._desk.start(self._now)

    def _decree(self, trouble: Trouble) -> None:
        now = self._stage.clocks.true_ns
        if self._market.decreed[1] or not self._stage.day.is_open(now):
            return
        session = next(one for one in self._stage.day.sessions if one.opens_ns <= now < one.closes_ns)
        self._market.decreed = (now, session.closes_ns + 900 * NS)
        opens, closes = (datetime.fromtimestamp(ns / NS, NEW_YORK) for ns in (session.opens_ns, now))

        def tell() -> None:
            self._told = {opens.date(): ToldSession(opens, closes)}
            self._tell_hours()

        self._stage.agenda.after(trouble.seconds, lambda: self._awake_later(tell))

    def _tell_hours(self) -> None:
        if self._desk.run is not None:
            self._oracle.told_closed = self._market.decreed
            self._desk.run.hear_hours(self._told)

    def _error(self, trouble: Trouble) -> None:
        if (line := self._network.lines.get(trouble.whose)) is not None:
            line.complain(int(trouble.number), CODES[int(trouble.number)])

    def _send_order(self, trouble: Trouble) -> None:
        if (line := self._network.lines.get(FILLS)) is None or not line.subscribed:
            return
        self._orders += 1
        update = _update(self._orders, self._stage.clocks.true_ns, refused=trouble.how == "refused")
        line.send_json({"stream": "trade_updates", "data": update}, events=1)


def _wanted(config: LiveStreamConfig) -> dict[str, tuple[str, ...]]:
    return {STOCKS: tuple(config.stocks), OPTIONS: tuple(config.option_contracts)}


def _update(number: int, true_ns: int, *, refused: bool) -> dict[str, Any]:
    at = datetime.fromtimestamp(true_ns / NS, NEW_YORK).isoformat()
    order = {
        "id": f"00000000-0000-4000-8000-{number:012d}", "client_order_id": f"c{number}", "symbol": "AAPL",
        "side": "buy", "qty": "10", "filled_qty": "0" if refused else "10", "type": "market", "status": "new",
    }  # fmt: skip
    if refused:
        return {
            "event": "rejected",
            "timestamp": at,
            "order": order,
            "error_message": "insufficient buying power",
        }
    return {
        "event": "fill", "execution_id": f"10000000-0000-4000-8000-{number:012d}", "timestamp": at, "order": order,
        "price": "50.5", "qty": "10", "position_qty": "10",
    }  # fmt: skip
