"""A desk on a bus: two or three owners, killed, frozen, cut off and asked to end, and a server that goes away."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from options_helper.bus.address import BusAddress
from options_helper.bus.keeper import lease_store
from options_helper.bus.stores import DEFAULT_KEEP_BYTES, stores_of
from tests.days.clocks import NS
from tests.days.day import Day, Trouble
from tests.days.lease.lines import Network, Server
from tests.days.lease.oracle import DeskOracle
from tests.days.lease.owner import NAMES, STREAMS, Alpaca, Owner, frames
from tests.days.lease.recorder import Recorder
from tests.days.lease.viewer import Viewer
from tests.days.stage import Stage
from tests.kit.jetstream import JetStream

OWNERS: Final = ("den", "attic", "cellar")
LOOK_SECONDS: Final = 0.25
# What a server loses: all it has, or one store.
WHAT: Final = ("", "", "market", "account", "state")
VIEWER_TROUBLES: Final = ("kill", "frozen", "cut", "cut", "lost", "slow", "reset", "reset", "busy")
RECORDER_TROUBLES: Final = (
    "kill", "kill midway", "kill midway", "frozen", "cut", "lost", "slow", "reset", "busy", "some lost", "some lost",
)  # fmt: skip
# At the end nothing goes wrong for so long.
_CALM_SECONDS: Final = 25.0
# A batch of several frames comes by then, or not at all.
_TO_WRITE_SECONDS: Final = 8.0


@dataclass(frozen=True, slots=True)
class Served:
    """From when to when there is a desk, in seconds of the day, by how many, and how the server is."""

    since: float
    until: float
    owners: int
    every: float  # seconds from one frame to the next
    ids_first: bool
    late: float  # so much longer than its age a message is there


class LeaseSubject:
    """Who leads and what is stored, by the product's own lease course and owner's term."""

    name = "lease"

    def choose(self, day: Day, rng: random.Random) -> tuple[Served | None, Iterable[Trouble]]:
        """On some days two minutes, with up to eight troubles."""
        length = (day.until_ns - day.start_ns) / NS
        lasts = rng.uniform(60, 150)
        if rng.random() < 0.65 or length < lasts + 60:
            return None, ()
        since = round(rng.uniform(0, length - lasts - 30), 1)
        served = Served(
            since, since + lasts, rng.choice((2, 2, 3)), rng.choice((0.2, 0.7, 3.0)), rng.random() < 0.5,
            rng.choice((0.0, 0.2, 0.9)),
        )  # fmt: skip
        troubles = list(self._troubles(rng, served))
        troubles += self._losses(random.Random(f"{day.seed}/lease, forgetful"), served)
        troubles += self._follows(
            "viewer", VIEWER_TROUBLES, random.Random(f"{day.seed}/lease, viewer"), served
        )
        dice = random.Random(f"{day.seed}/lease, recorder")
        strikes = list(self._follows("recorder", RECORDER_TROUBLES, dice, served))
        strikes += self._absences(dice, troubles)
        # Of several frames is a batch whose owner was slow, for less than its lease lasts.
        slow = [
            Trouble(round(max(served.since, one.at - 1), 2), "lease", whose, 1.5, "slow")
            for one in strikes
            if one.how == "kill midway"
            for whose in OWNERS[: served.owners]
        ]
        return served, (*troubles, *strikes, *slow)

    @staticmethod
    def _follows(whose: str, hows: Sequence[str], dice: random.Random, served: Served) -> Iterable[Trouble]:
        """What goes wrong for who follows."""
        for _ in range(dice.randint(0, 4)):
            at = round(dice.uniform(served.since, served.until - _CALM_SECONDS), 2)
            how = dice.choice(hows)
            seconds = min(dice.choice((0.3, 1.5, 4.0, 9.0, 20.0)), served.until - _CALM_SECONDS + 3 - at)
            yield Trouble(at, "lease", whose, round(seconds, 2), how)

    @staticmethod
    def _absences(dice: random.Random, troubles: Sequence[Trouble]) -> Iterable[Trouble]:
        """A recorder that is away as the server loses its past, and for so long that this has outgrown its place."""
        for one in troubles:
            if one.how in ("emptied", "old copy") and dice.random() < 0.5:
                at = round(one.at - dice.uniform(0.1, 2.5), 2)
                how = dice.choice(("kill", "frozen", "cut"))
                yield Trouble(at, "lease", "recorder", dice.choice((6.0, 9.0, 20.0)), how)

    @staticmethod
    def _losses(dice: random.Random, served: Served) -> Iterable[Trouble]:
        """A server that has another past when it is back: nothing, or a copy of some seconds before."""
        if dice.random() < 0.6:
            return
        last = served.until - _CALM_SECONDS
        moments = sorted(
            round(dice.uniform(served.since + 5, last), 2) for _ in range(dice.choice((1, 1, 2)))
        )
        for turn, at in enumerate(moments):
            if turn and at - moments[0] < 7:
                continue  # while the server is still away
            # A copy of before the first loss would count on from what those who follow have left behind.
            age = 0.0 if turn else dice.choice((0.0, 4.0, 15.0, 60.0))
            what, how = dice.choice(WHAT), "old copy" if age else "emptied"
            yield Trouble(at, "lease", what, dice.choice((0.3, 1.5, 6.0)), how, age)
            if dice.random() < 0.5:
                # Somebody's batch is on its way then, or who runs no more knows nothing of it.
                how, whose = dice.choice(("lost", "frozen", "kill")), OWNERS[dice.randrange(served.owners)]
                before = round(at - dice.uniform(0.1, 2.5), 2)
                yield Trouble(before, "lease", whose, dice.choice((2.5, 6.0, 9.0)), how)

    @staticmethod
    def _troubles(rng: random.Random, served: Served) -> Iterable[Trouble]:
        for _ in range(rng.randint(1, 8)):
            at = round(rng.uniform(served.since + 2, served.until - _CALM_SECONDS), 2)
            whose = OWNERS[rng.randrange(served.owners)]
            how = rng.choice(
                (
                    "kill",
                    "kill",
                    "frozen",
                    "frozen",
                    "quit",
                    "quit as it takes",
                    "cut",
                    "cut",
                    "lost",
                    "slow",
                    "reset",
                    "alpaca",
                    "server",
                    "sleepy",
                )
            )
            seconds = min(rng.choice((0.3, 1.5, 2.5, 4.0, 9.0, 20.0)), served.until - _CALM_SECONDS + 5 - at)
            if how in ("server", "alpaca"):
                whose = ""
            yield Trouble(at, "lease", whose, round(seconds, 2), how)

    def build(self, stage: Stage) -> None:
        """Server, owners and oracle."""
        served = stage.day.more[self.name]
        self._oracle: DeskOracle | None = None
        stage.on("lease", self._strike, aside=True)
        if served is None:
            return
        assert isinstance(served, Served)
        self._stage, self._served = stage, served
        wishes = [(one, one.subjects[0].rstrip(">")) for one in stores_of(NAMES, DEFAULT_KEEP_BYTES)]
        wishes.append((lease_store(BusAddress.parse("nats://127.0.0.1")), "$KV."))
        self._server = Server(stage, JetStream(wishes, ids_first=served.ids_first, late=served.late))
        oracle = self._oracle = DeskOracle(stage, self._server, STREAMS, NAMES)
        self._server.forgot = oracle.forgot
        self._copies = {0.0: self._server.values.copied()}  # as it began, and as it was at each asked moment
        self._alpaca = Alpaca(stage)
        for name in OWNERS[: served.owners]:
            network = Network(stage.dice(f"{name}'s way to the bus"))
            self._server.networks.append(network)
            oracle.owners.append(Owner(oracle, name, self._server, network, self._alpaca))
        network = Network(stage.dice("the viewer's way to the bus"))
        self._server.networks.append(network)
        room = stage.dice("the viewer's room").choice((20, 20_000))
        self._viewer = oracle.views.viewer = Viewer(stage, oracle.views, self._server, network, room)
        network = Network(stage.dice("the recorder's way to the bus"))
        self._server.networks.append(network)
        room = stage.dice("the recorder's room").choice((200, 20_000))
        self._recorder = oracle.records.recorder = Recorder(
            stage, oracle.records, self._server, network, room
        )
        self._owners = {one.name: one for one in oracle.owners}
        stage.after_sleep.append(oracle.woke)
        at = stage.day.at
        for number, owner in enumerate(oracle.owners):
            stage.agenda.at(at(served.since) + number * NS, owner.start, product=True)
        stage.agenda.at(at(served.since) + NS // 2, self._viewer.start, product=True)
        stage.agenda.at(at(served.since) + NS // 2, self._recorder.start, product=True)
        stage.agenda.at(at(served.since), oracle.begin, product=True)
        stage.agenda.at(at(served.since), partial(self._play, 0))
        stage.agenda.at(at(served.since), self._look, product=True)
        stage.agenda.at(at(served.until), self._close)
        for one in stage.day.troubles:
            if one.kind == "lease" and one.how == "old copy":
                moment = max(served.since, one.at - one.number)
                stage.agenda.at(at(moment), partial(self._copy, one.at))

    def begin(self, stage: Stage) -> None:
        """Name the law."""
        if self._oracle is not None:
            stage.law("one leads a desk, and what is stored goes on", self._oracle.check)

    def _play(self, number: int) -> None:
        """The market's next turn."""
        assert self._oracle is not None
        if self._oracle.is_over:
            return
        for frame in frames(number):
            self._alpaca.frame(frame)
        self._stage.agenda.after(self._served.every, partial(self._play, number + 1))

    def _copy(self, name: float) -> None:
        self._copies[name] = self._server.values.copied()

    def _lose(self, trouble: Trouble) -> None:
        copy = self._copies[trouble.at if trouble.how == "old copy" else 0.0]
        stores = {"market": [NAMES.market_store], "account": [NAMES.account_store, NAMES.account_state_store],
                  "state": [NAMES.state_store]}  # fmt: skip
        lost = stores.get(trouble.whose, list(copy))
        self._server.lose({name: copy[name] for name in lost})
        self._server_back()

    def _look(self) -> None:
        oracle = self._oracle
        if oracle is not None and not oracle.is_over:
            oracle.look()
            self._stage.agenda.timer(LOOK_SECONDS, self._look)

    def _close(self) -> None:
        if self._oracle is not None:
            self._oracle.is_over = True
            for owner in self._oracle.owners:
                owner.kill()
            self._viewer.kill()
            self._recorder.kill()

    def _strike(self, trouble: Trouble) -> None:
        assert self._oracle is not None
        after = partial(self._stage.agenda.after, trouble.seconds)
        if trouble.whose == "viewer":
            self._oracle.views.trouble()
            self._strike_viewer(trouble, after)
            return
        if trouble.whose == "recorder":
            self._oracle.records.trouble()
            self._strike_recorder(trouble, after)
            return
        self._oracle.trouble()
        if trouble.how == "alpaca":
            self._alpaca.cut()
        elif trouble.how == "server":
            self._server.go_down()
            after(self._server_back)
        elif trouble.how in ("emptied", "old copy"):
            self._server.go_down()
            after(partial(self._lose, trouble))
        else:
            self._strike_owner(self._owners[trouble.whose], trouble, after)

    def _strike_owner(self, owner: Owner, trouble: Trouble, after: Callable[..., object]) -> None:
        assert self._oracle is not None
        match trouble.how:
            case "kill":
                owner.kill()
                after(owner.start, product=True)
            case "quit":
                owner.ask_to_end()
                after(owner.start, product=True)
            case "quit as it takes":
                owner.ends_as_it_takes = True
                after(owner.start, product=True)
            case "frozen":
                owner.freeze()
                after(partial(self._go_on, owner), product=True)
            case "sleepy":  # frozen now and then
                for turn in range(4):
                    self._stage.agenda.after(turn * 2.5, owner.freeze)
                    self._stage.agenda.after(turn * 2.5 + 1.9, partial(self._go_on, owner), product=True)
            case "reset":
                for line in list(owner.network.lines):
                    line.end()
            case how:
                self._set_way(owner.network, how, on=True)
                after(partial(self._set_way, owner.network, how, on=False))
                after(self._oracle.trouble)

    def _strike_viewer(self, trouble: Trouble, after: Callable[..., object]) -> None:
        viewer = self._viewer
        match trouble.how:
            case "kill":
                viewer.kill()
                after(viewer.start, product=True)
            case "frozen":
                viewer.freeze()
                after(viewer.go_on, product=True)
            case "reset":
                for line in list(viewer.network.lines):
                    line.end()
            case "busy":
                viewer.is_slow = True
                after(viewer.consume_again)
            case how:
                self._set_way(viewer.network, how, on=True)
                after(partial(self._set_way, viewer.network, how, on=False))

    def _strike_recorder(self, trouble: Trouble, after: Callable[..., object]) -> None:
        recorder = self._recorder
        match trouble.how:
            case "kill":
                recorder.kill()
                after(recorder.start, product=True)
            case "kill midway":
                recorder.away = trouble.seconds
                # Where it comes to none, it is killed at rest.
                self._stage.agenda.after(_TO_WRITE_SECONDS, recorder.kill_where_due, product=True)
            case "frozen":
                recorder.freeze()
                after(recorder.go_on, product=True)
            case "reset":
                for line in list(recorder.network.lines):
                    line.end()
            case "busy":
                recorder.is_slow = True
                after(recorder.write_again)
            case how:
                self._set_way(recorder.network, how, on=True)
                after(partial(self._set_way, recorder.network, how, on=False))

    def _go_on(self, owner: Owner) -> None:
        assert self._oracle is not None
        self._oracle.trouble()
        owner.go_on()

    def _server_back(self) -> None:
        assert self._oracle is not None
        self._server.is_down = False
        self._oracle.trouble()

    @staticmethod
    def _set_way(network: Network, how: str, *, on: bool) -> None:
        if how == "cut":
            network.is_cut = on
        elif how == "lost":
            network.loses_answers = on
        elif how == "some lost":
            network.loses_some = on
        else:
            network.is_slow = on
