"""What has to be true of the streams: no loss is unnoticed, nothing is said that is not so, nothing stays broken."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from options_helper.analysis.live_health import SILENT_SECONDS, Level, headline
from options_helper.model.gaps import Gap
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from tests.days.clocks import NS
from tests.days.day import clock_time
from tests.days.product.streams import Desk, Heard
from tests.days.stage import Stage
from tests.days.world.market import LATE_SECONDS, Made, Market
from tests.days.world.network import Lost, Message, Network

# As the product's documents state them.
STALL_SECONDS: Final = 60.0
MOST_PATIENCE: Final = 900.0
PINGS_SECONDS: Final = 17.0
ABSENT_SECONDS: Final = 5.0
SLACK: Final = 2.0
KEPT_GAPS: Final = 200
STALE_SECONDS: Final = 30.0
# No trouble delays what comes by more.
MOST_DELAY: Final = 20.0
# A refused stream is looked at again after pauses that grow no faster than this.
GROWTH: Final = 3.0
# Answers that say of themselves that the next may be better.
PASSING: Final = frozenset(
    {"408", "425", "429", "500", "502", "503", "silence", "unreachable", "answer 404", "answer 500"}
)


@dataclass(slots=True)
class Truth:
    """What is really so with one stream, in true time."""

    delivered: int = 0  # events handed to the product
    readable_ns: int = 0  # the last time that something readable was
    ended_ns: int = 0
    resumed_ns: int = 0  # the last time that something came after a silence
    live_ns: int = 0  # the last time that it was told that all is answered
    due_again_ns: int = 0  # the last time that the clock was set from a time at which nothing was due
    is_live: bool = False
    was_live: bool = False  # in this run
    failed_tries: int = 0  # in this run
    longest_silence: float = 0.0
    silent_connections: int = 0
    heard_on_this: bool = False
    received_ns: deque[int] = field(default_factory=lambda: deque(maxlen=2_000))
    bad_since: int | None = None
    well_since: int = 0
    refusals: list[str] = field(default_factory=list)  # since it was live
    muted: list[Lost] = field(default_factory=list)
    # What has to be in a gap, and since when that is known.
    to_cover: list[tuple[Lost, int]] = field(default_factory=list)
    gaps_checked: set[tuple[Gap, int]] = field(default_factory=set)


class StreamOracle(Heard):
    """Hears everything, and checks."""

    def __init__(self, stage: Stage, network: Network, market: Market) -> None:
        self._stage = stage
        self._network = network
        self._market = market
        self.truths: dict[str, Truth] = {}
        self.newest: dict[str, Made] = {}
        self._every: set[str] = set()
        self.newest_arrival: dict[str, float] = {}
        self.unsure: set[str] = set()
        self.wanted: dict[str, tuple[str, ...]] = {}
        self.is_running = False
        self.started_ns = 0
        self._woke_ns = self._absent_ns = self._changed_ns = 0
        self._offsets = [0]
        # How late what came since the clock was set was at most: one that is behind is put right by just that. And what
        # came before: by that clock a gap is told on that lasted as it was set.
        self._latest_ns = self._latest_before_ns = 0
        self._snapshot: LiveSnapshot | None = None
        # Of it: all, and with what is true of those that are wanted.
        self._healths: Mapping[str, StreamHealth] = {}
        self._each: Sequence[tuple[str, Truth, StreamHealth]] = ()
        self.told_closed: tuple[int, int] = (0, 0)
        self.desk: Desk | None = None
        self._trouble: str | None = None
        network.is_listened = self._is_wanted
        network.hear_lost = self._lost
        self._expected_ns: dict[str, int] = {}

    # What happens.

    def begin_run(self, wanted: Mapping[str, tuple[str, ...]]) -> None:
        """The product starts anew: ledgers and caches are empty."""
        now = self._stage.clocks.true_ns
        self.truths = {name: Truth(well_since=now) for name in ("stocks", "options", "fills")}
        self.newest, self.unsure = {}, set()
        self.is_running, self.started_ns = True, now
        self.told_closed = (0, 0)
        self.change(wanted)

    def end_run(self) -> None:
        """It was stopped."""
        self.is_running = False

    def change(self, wanted: Mapping[str, tuple[str, ...]]) -> None:
        """From now on these symbols are wanted."""
        for name, symbols in wanted.items():
            if symbols and not self.wanted.get(name):
                # Another worker, which knows nothing yet.
                self.truths[name] = Truth(delivered=self.truths[name].delivered)
        self.wanted = dict(wanted)
        self._changed_ns = self._stage.clocks.true_ns
        self._every = every = {symbol for symbols in wanted.values() for symbol in symbols}
        self.newest = {symbol: made for symbol, made in self.newest.items() if symbol in every}
        for name in self.truths:
            self.trouble(name)

    def _is_wanted(self, stream: str) -> bool:
        return self.is_running and (stream == "fills" or bool(self.wanted.get(stream)))

    def trouble(self, stream: str) -> None:
        """Something is wrong with this stream now, or was until now."""
        truth, now = self.truths.get(stream), self._stage.clocks.true_ns
        if truth is not None:
            if truth.bad_since is None:
                truth.bad_since = now
            truth.well_since = now

    def clock_was_set(self) -> None:
        """Times are told by another offset from now on."""
        self._offsets.append(self._stage.clocks.offset_ns)
        self._latest_ns, self._latest_before_ns = 0, self._latest_ns
        now = self._stage.clocks.true_ns
        for stream, truth in self.truths.items():
            # Until it is known by how much, nothing may be due, and a silence begins anew.
            truth.muted.clear()
            if not self._is_due(stream, now + self._offsets[-2]):
                truth.due_again_ns = now

    def slept(self, since_ns: int) -> None:
        """The process did not run since then."""
        now = self._stage.clocks.true_ns
        self._woke_ns = now
        if now - since_ns >= ABSENT_SECONDS * NS:
            self._absent_ns = now
        for stream, truth in self.truths.items():
            self.trouble(stream)
            if now - since_ns < (ABSENT_SECONDS + 1) * NS or not truth.is_live or not self.is_running:
                continue
            offset = self._stage.clocks.offset_ns
            for moment in (since_ns + NS, (since_ns + now) // 2, now - NS):
                truth.to_cover.append((Lost(moment, moment + offset, "everything", "asleep"), now))

    def _lost(self, stream: str, lost: Lost) -> None:
        truth = self.truths[stream]
        # A run has no gap before its first answer, and calls itself connecting.
        has_begun = truth.was_live or truth.failed_tries
        if lost.why == "mute":
            # Nothing is missed by whose clock says that nothing is due, until it is put right.
            if has_begun and self._is_due(stream, self._stage.clocks.wall_ns()):
                truth.muted.append(lost)
        elif lost.why != "unreadable" and has_begun:
            truth.to_cover.append((lost, self._stage.clocks.true_ns))

    def frame(self, stream: str, message: Message, *, kept: bool) -> None:
        truth, now = self.truths[stream], self._stage.clocks.true_ns
        truth.delivered += message.events
        if not message.readable:
            self._network.lose(stream, message, "unreadable")
            return
        quiet = self._quiet_for(stream, truth)
        truth.longest_silence = max(truth.longest_silence, quiet)
        if quiet > STALL_SECONDS / 4:
            truth.resumed_ns = now
        if quiet > STALL_SECONDS / 2 - SLACK:
            self._stage.stir(SLACK)  # it may have been shown as stalled
        truth.readable_ns = now
        truth.heard_on_this = True
        truth.muted.clear()
        if truth.is_live:
            truth.received_ns.append(now)
        for quote in message.quotes:
            self._latest_ns = max(self._latest_ns, now - quote.made_ns)
            if not kept:
                self.unsure.add(quote.symbol)
                continue
            if quote.symbol not in self._every:
                continue  # it was asked for when this was sent
            known = self.newest.get(quote.symbol)
            # Within a second the order of arrival stands.
            if known is None or quote.made_ns // NS >= known.made_ns // NS:
                self.newest[quote.symbol] = quote
                self.newest_arrival[quote.symbol] = self._stage.clocks.elapsed()
                self.unsure.discard(quote.symbol)

    def live(self, stream: str) -> None:
        truth = self.truths[stream]
        if not truth.is_live:
            truth.is_live = truth.was_live = True
            truth.heard_on_this = False
            truth.live_ns = self._stage.clocks.true_ns
            truth.refusals.clear()
            truth.bad_since = None
            self._stage.note(f"{stream} live")

    def ended(self, stream: str, why: str, *, by_us: bool) -> None:
        truth = self.truths.get(stream)
        if truth is None or not self.is_running:
            return
        if by_us:
            self._judge_end(stream, truth, why)
        self._stage.note(f"{stream}: {why}")
        self.trouble(stream)
        if why == "abandoned":
            truth.to_cover.extend((lost, self._stage.clocks.true_ns) for lost in truth.muted)
            truth.silent_connections = 0 if truth.heard_on_this else truth.silent_connections + 1
        if not truth.is_live:
            truth.failed_tries += 1
            truth.refusals.append(why)
        truth.muted.clear()
        truth.is_live = False
        truth.ended_ns = self._stage.clocks.true_ns

    def _judge_end(self, stream: str, truth: Truth, why: str) -> None:
        """The product ended a connection: it needs a reason."""
        line = self._network.lines.get(stream)
        if why == "abandoned":
            silence = self._at_most_quiet_for(stream, truth)
            if silence < STALL_SECONDS - 1:
                self._trouble = (
                    f"{stream} was torn down as silent, and data came {silence:.1f} s ago or are not due"
                )
        elif why == "no answer" and line is not None and line.answers_arrived >= line.asked:
            self._trouble = f"{stream} was torn down for want of an answer, and that had come"
        elif why == "given up" and line is not None and not line.has_complained:
            self._trouble = f"{stream} was given up, and the server had not complained"

    # What is so.

    def _is_due(self, stream: str, now: int | None = None) -> bool:
        now = self._stage.clocks.true_ns if now is None else now
        if stream == "fills" or not self.wanted.get(stream):
            return False
        board = self._market.boards[stream]
        late = LATE_SECONDS if set(self.wanted[stream]).intersection(board.late_symbols) else 0.0
        if self.told_closed[0] + late * NS <= now < self.told_closed[1]:
            return False
        return self._stage.day.is_open(now, late)

    def _silence(self, stream: str, truth: Truth) -> float:
        """Seconds in which data were due, and the product could have heard something readable and did not.

        Due by the exchange's time and by this computer's: as long as nothing tells the one from the other, the product
        cannot know better.
        """
        clocks = self._stage.clocks
        now, wall = clocks.true_ns, clocks.wall_ns()
        if not truth.is_live or not (self._is_due(stream) and self._is_due(stream, wall)):
            return 0.0
        opened = max(
            (one.opens_ns for one in self._stage.day.sessions if one.opens_ns <= min(now, wall)), default=now
        )
        opened += max(0, -clocks.offset_ns)
        since = max(
            truth.readable_ns, truth.live_ns, truth.due_again_ns, opened, self._woke_ns, self._changed_ns
        )
        return (now - since) / NS

    def _quiet_for(self, stream: str, truth: Truth) -> float:
        """The same, where they are due by either clock, or were a moment ago."""
        clocks = self._stage.clocks
        moments = (clocks.true_ns, clocks.wall_ns())
        if not any(self._is_due(stream, at - back * NS) for at in moments for back in (0, 1)):
            return 0.0
        return (clocks.true_ns - max(truth.readable_ns, truth.live_ns, self._absent_ns)) / NS

    def _patience(self, truth: Truth) -> float:
        patience = max(STALL_SECONDS, 3 * truth.longest_silence)
        return min(patience * 2.0 ** min(truth.silent_connections, 10), MOST_PATIENCE)

    def is_gone(self, stream: str) -> bool:
        """Whether it is wanted, and has had no connection for a while."""
        truth = self.truths.get(stream)
        is_known = truth is not None and self._is_wanted(stream) and not truth.is_live
        return is_known and self._settled(max(truth.ended_ns, self._changed_ns) if truth else 0)

    def is_open(self) -> bool:
        """Whether shares are traded by true time and by this computer's, and have been for a moment."""
        clocks, day = self._stage.clocks, self._stage.day
        now, wall, slack_ns = clocks.true_ns, clocks.wall_ns(), int(SLACK * NS)
        if self.told_closed[0] <= now < self.told_closed[1]:
            return False
        return all(day.is_open(at) and day.is_open(at - slack_ns) for at in (now, wall))

    def is_in_one_session(self) -> bool:
        """Whether true time and this computer's are in the same session, or after the same one."""
        clocks, slack_ns = self._stage.clocks, int(SLACK * NS)
        walls = (clocks.wall_ns(), clocks.wall_ns() - slack_ns)
        return (
            len({self._edges_before(at) for at in (*walls, clocks.true_ns, clocks.true_ns - slack_ns)}) == 1
        )

    def _edges_before(self, at_ns: int) -> int:
        return sum(edge <= at_ns for edge in self._stage.day.edges())

    @property
    def was_set(self) -> bool:
        """Whether this computer's clock was ever wrong."""
        return len(self._offsets) > 1

    @property
    def was_behind(self) -> bool:
        """Whether it was ever behind."""
        return min(self._offsets) < 0

    # What must be so.

    def laws(self) -> Iterable[tuple[str, Callable[[], str | None]]]:
        """Each by its name; the first takes the snapshot that the others look at."""
        return (
            ("no connection is ended without a reason", self._ends),
            ("received = applied + dropped + rejected + queued", self._conservation),
            ("phases are honest", self._phases),
            ("what passes does not last", self._recovery),
            ("every deaf stretch is in the ledger", self._ledger),
            ("no gap where something was heard", self._false_gaps),
            ("what is shown is the newest that was heard", self._quotes),
            ("nobody is called refused who streams", self._refusals),
            ("the headline is honest", self._headline),
            ("nothing grows without bound", self._bounds),
        )

    def _ends(self) -> str | None:
        assert self.desk is not None
        self._snapshot = self.desk.snapshot()
        healths = self._healths = {str(name): health for name, health in self._snapshot.streams.items()}
        self._each = [
            (name, truth, healths[name]) for name, truth in self.truths.items() if self._is_wanted(name)
        ]
        return self._trouble

    def _conservation(self) -> str | None:
        for name, health in self._healths.items():
            if not health.accounted:
                return f"{name}: {health.received} received"
            truth = self.truths.get(name)
            if truth is not None and health.received != truth.delivered:
                return f"{name}: {health.received} received, and {truth.delivered} were delivered"
        return None

    def _phases(self) -> str | None:
        said = (self._lie_in(name, truth, health) for name, truth, health in self._each)
        return next((sentence for sentence in said if sentence), None)

    def _lie_in(self, name: str, truth: Truth, health: StreamHealth) -> str | None:
        lie = self._lie(name, truth, health)
        return None if lie is None else f"{name} is {health.phase}, and {lie}"

    def _lie(self, name: str, truth: Truth, health: StreamHealth) -> str | None:
        """What is not so, where it is said; only what each phase claims is worked out, since this is done often."""
        if health.phase in (Phase.LIVE, Phase.QUIET):
            if not truth.is_live:
                return "there is no connection" if self._settled(truth.ended_ns) else None
            silence = self._silence(name, truth)
            is_too_long = silence > SLACK and silence > self._patience(truth) / 2 + SLACK
            return f"nothing came for {silence:.0f} s" if is_too_long else None
        if health.phase is Phase.STALLED:
            return self._lie_of_stall(name, truth) if truth.is_live else None
        if truth.is_live and self._settled(truth.live_ns):
            return "all was answered"
        no_answer_was_final = bool(truth.refusals) and PASSING.issuperset(truth.refusals)
        return "no answer was final" if health.phase is Phase.FAILED and no_answer_was_final else None

    def _lie_of_stall(self, name: str, truth: Truth) -> str | None:
        quiet, silence = self._at_most_quiet_for(name, truth), self._silence(name, truth)
        if quiet < STALL_SECONDS / 2 - SLACK and self._settled(max(truth.resumed_ns, self._woke_ns)):
            return f"data came {quiet:.1f} s ago or are not due"
        if silence > self._patience(truth) + self._stage.CALM_LOOK + SLACK:
            return f"nobody ends it, after {silence:.0f} s"
        return None

    def _at_most_quiet_for(self, stream: str, truth: Truth) -> float:
        """The same as `_quiet_for`, by whatever the product may take for the time."""
        quiet = self._quiet_for(stream, truth)
        if quiet or not self._may_be_due(stream):
            return quiet
        return (self._stage.clocks.true_ns - max(truth.readable_ns, truth.live_ns, self._absent_ns)) / NS

    def _may_be_due(self, stream: str) -> bool:
        """Whether data is due at some time between the computer's and the true one.

        By what comes late a clock that is behind is found to be so by less than it is.
        """
        wall, true = self._stage.clocks.wall_ns(), self._stage.clocks.true_ns
        return any(self._is_due(stream, at) for at in range(wall, true, 60 * NS))

    def _settled(self, since_ns: int) -> bool:
        return self._stage.clocks.true_ns - since_ns > SLACK * NS

    def _recovery(self) -> str | None:
        now = self._stage.clocks.true_ns
        for name, truth, health in self._each:
            if truth.is_live or self._is_wrong(name):
                continue
            bad_since = truth.bad_since if truth.bad_since is not None else truth.well_since
            lasted = (truth.well_since - bad_since) / NS
            allowed = 90 + GROWTH * lasted
            if now - truth.well_since > allowed * NS:
                return (
                    f"{name} is {health.phase} {(now - truth.well_since) / NS:.0f} s after all was well again"
                )
        return None

    def _is_wrong(self, stream: str) -> bool:
        """Whether the world hinders this stream now."""
        network = self._network
        wrong = any(stream in what for what in (network.refusals, network.acks, network.rough, network.late))
        if wrong or network.mutes.get(stream):
            self.trouble(stream)
        return wrong

    def _ledger(self) -> str | None:
        now = self._stage.clocks.true_ns
        for name, truth, health in self._each:
            left = []
            for lost, known_ns in truth.to_cover:
                if any(self._covers(gap, lost) for gap in health.gaps):
                    continue
                # Its pings tell of a dead connection while the process runs.
                if now - max(known_ns, self._woke_ns) < (PINGS_SECONDS + 4) * NS:
                    left.append((lost, known_ns))
                    continue
                return f"{name}: {lost.what} of {clock_time(lost.true_ns)} was lost ({lost.why}) and is in no gap"
            truth.to_cover = left
        return None

    def _covers(self, gap: Gap, lost: Lost) -> bool:
        # A clock that was behind is put right by how much it was, until something tells that it was set since.
        walls = {
            lost.wall_ns,
            *(lost.true_ns + one - other for one in self._offsets for other in self._offsets),
        }
        walls.update(lost.true_ns + offset for offset in self._offsets)
        # What was under way is missed when it would have come, and so is what was made after it.
        early_ns = int((1 + max(lost.late, MOST_DELAY * (lost.why == "under way"))) * NS)
        # A clock that is behind is known to be so by what comes, less the time that it was under way.
        told_early_ns = NS + max(self._latest_ns, self._latest_before_ns) * (self._stage.clocks.offset_ns < 0)
        return any(
            gap.since_ns <= wall + early_ns and (gap.until_ns is None or gap.until_ns >= wall - told_early_ns)
            for wall in walls
        )

    def _false_gaps(self) -> str | None:
        for name, truth, health in self._each:
            for gap in health.gaps[-3:]:
                if gap.until_ns is None:
                    if truth.is_live and self._settled(truth.live_ns):
                        return f"{name} hears again, and its gap from {gap.since:%H:%M:%S} UTC on is not over"
                    continue
                checked = gap, len(self._offsets)
                if checked in truth.gaps_checked or not self._settled(truth.live_ns):
                    continue  # nothing that comes later is heard in the midst of it
                truth.gaps_checked.add(checked)
                # Whichever of the clocks it is told on.
                lies_in = [
                    (gap.since_ns + NS - offset, gap.until_ns - NS - offset) for offset in self._offsets
                ]
                for at in truth.received_ns:
                    if all(since < at < until for since, until in lies_in):
                        return f"{name}: something was heard in the midst of the gap from {gap.since:%H:%M:%S} UTC on"
        return None

    def _quotes(self) -> str | None:
        snapshot = self._snapshot
        assert snapshot is not None
        if not self.is_running or snapshot.queue_depth:
            return None
        elapsed = self._stage.clocks.elapsed()
        for symbol, made in self.newest.items():
            shown = snapshot.quotes.get(symbol)
            if shown is None:
                return f"{symbol} is not shown"
            if symbol not in self.unsure and shown.bid_price != made.bid:
                return f"{symbol} is shown at {shown.bid_price}, and the newest is {made.bid}"
            age = snapshot.as_of.timestamp() - shown.received_ns / NS
            real = elapsed - self.newest_arrival[symbol]
            if symbol not in self.unsure and abs(age - real) > SLACK:
                return f"{symbol} is said to be {age:.1f} s old, and is {real:.1f} s"
        return None

    def _refusals(self) -> str | None:
        for name, truth, health in self._each:
            line = self._network.lines.get(name)
            if line is None or not truth.is_live or line.answers_arrived < line.asked or name == "fills":
                continue
            if not self._settled(line.last_answer_ns):
                continue
            has = line.subscribed.get("quotes", set()) & line.subscribed.get("trades", set())
            if wrongly := has.intersection(health.refused_symbols):
                return f"{name}: {', '.join(sorted(wrongly))} is called refused, and the server has it"
        return None

    def _headline(self) -> str | None:
        assert self._snapshot is not None
        as_of_ns = self._snapshot.as_of.timestamp() * NS
        stale = [
            symbol
            for symbol, quote in self._snapshot.quotes.items()
            if as_of_ns - quote.received_ns > STALE_SECONDS * NS
        ]
        said = headline(self._snapshot, stale_symbols=stale)
        if said.sentence.startswith("Live"):
            for name, truth, _ in self._each:
                silence = self._silence(name, truth)
                if silence > SILENT_SECONDS + SLACK and name not in said.sentence:
                    return f"{said.sentence!r}, and nothing of {name} came for {silence:.0f} s"
        if said.level is not Level.OK:
            return None
        for name, truth, _ in self._each:
            if not truth.is_live and self._settled(truth.ended_ns):
                return f"{said.sentence!r}, and {name} has no connection"
        # What the kernel kept was received late.
        woke_lately = self._stage.clocks.true_ns - self._woke_ns < 2 * STALE_SECONDS * NS
        for symbol, made in self.newest.items():
            behind = (self._market.newest[symbol].made_ns - made.made_ns) / NS
            if behind > STALE_SECONDS + MOST_DELAY + SLACK and not woke_lately:
                return f"{said.sentence!r}, and {symbol} is {behind:.0f} s behind the market"
        return None

    def _bounds(self) -> str | None:
        for name, _, health in self._each:
            if len(health.gaps) > KEPT_GAPS or len(health.last_rejections) > 5:
                return f"{name} keeps {len(health.gaps)} gaps"
        return None
