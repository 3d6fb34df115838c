"""What must have fired, and who must have been told: knows each level, each look and each message that came."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from options_helper.data.notify.messages import Message
from options_helper.model.alerts import Rule
from tests.days.clocks import NS
from tests.days.stage import Stage

# Written down here, so that the product is not asked about itself.
_UNSEEN_SECONDS: Final = 45.0
_LATE_SECONDS: Final = 60.0
# Longer than the longest pause between two tries.
_SETTLED_KEEPS: Final = 75


@dataclass(frozen=True, slots=True)
class _Stands:
    """A rule, as whoever looked has seen it."""

    is_known: bool = False
    is_armed: bool = True
    met_since_ns: int | None = None


@dataclass(frozen=True, slots=True)
class _Fired:
    """When a crossing was seen, in true time, by how much the wall clock was ahead, and after how many renewals."""

    at_ns: int
    ahead_ns: int
    keeps: int


@dataclass(frozen=True, slots=True)
class _Came:
    """A message at its target."""

    target: str
    key: str
    is_repetition: bool


class AlertOracle:
    """Follows the looks of whoever has the lease, and what stands on the disk."""

    def __init__(self, stage: Stage, rules: Iterable[Rule], path: Path, targets: Iterable[str]) -> None:
        self._stage, self._rules, self._path, self._targets = stage, tuple(rules), path, tuple(targets)
        self.broken: str | None = None
        self._stands: Mapping[str, _Stands] = {rule.name: _Stands() for rule in self._rules}
        self._next: tuple[str, Mapping[str, _Stands], list[tuple[str, int]]] | None = None
        self._looker: str | None = None  # whose look counted last
        self._judged = stage.clocks.true_ns, 0  # when the look that is under way found what fires
        self._looked_ns: dict[str, int] = {}
        # Of each look, by what the wall clock showed: of one that was put back, at two looks the same.
        self._true_ns: dict[int, list[int]] = {}
        self._lasts_ns: int | None = None  # when anybody looked last
        self._looks_again_ns = 0  # since when somebody looks without a break
        self._told_ns: int | None = None  # and the last look that came to its end, which others are told of
        # Of each program, since when each rule held as it found that nobody had looked for a while.
        self._of_before: dict[str, Mapping[str, _Stands]] = {}
        self.must: dict[tuple[str, int], _Fired] = {}  # by rule and crossing
        self._unwritten: set[str] = set()
        self._is_loose = (
            False  # rows were lost with their process, which the product says may repeat what fired
        )
        self._read_to = self._term = 0
        self._fired: dict[
            str, tuple[str, int]
        ] = {}  # on the disk, by key: the rule, and what the clock showed
        self._tries: Counter[tuple[str, str]] = Counter()
        self._ended: dict[tuple[str, str], list[str]] = {}
        self.came: Counter[_Came] = Counter()
        # How often a holder has renewed the lease: a measure of how long anybody could work.
        self._keeps = self._troubled = 0

    def trouble(self) -> None:
        """Something goes wrong."""
        self._troubled = self._keeps

    # What the programs do.

    def looks(self, who: str, price: float, *, counts: bool) -> None:
        """A program looks; `counts` where it has the lease."""
        # To the microsecond, as instants are written.
        now = self._stage.clocks.true_ns // 1_000 * 1_000
        self._true_ns.setdefault(self._stage.clocks.wall_ns() // 1_000 * 1_000, []).append(now)
        mine, self._looked_ns[who] = self._looked_ns.get(who), now
        # A program knows its own looks, and what those with the lease have told of theirs.
        before = max((at for at in (mine, self._told_ns) if at is not None), default=None)
        has_paused = _has_paused(before, now)
        anybodys, self._lasts_ns = self._lasts_ns, now
        # Who knows nothing of a look without the lease, or of one that was not told any more, may be right either way.
        if _has_paused(anybodys, now):
            self._looks_again_ns = now
        if before is not None:
            self._is_loose |= has_paused is not (before < self._looks_again_ns)
        if has_paused:
            self._of_before[who] = self._stands
        if not counts:
            # It goes on with it once it has the lease, and has seen that it did not last.
            broken = {
                rule.name: self._stands[rule.name]
                for rule in self._rules
                if price <= rule.level and self._stands[rule.name].met_since_ns is not None
            }
            self._of_before[who] = {**self._of_before.get(who, {}), **broken}
            return
        # So may, about there, who was killed between a look and a renewal.
        self._is_loose |= before is not None and abs((now - before) / NS - _UNSEEN_SECONDS) < 12
        of_before = self._of_before.get(who, {})
        after, fires = {}, []
        for rule in self._rules:
            stands = self._stands[rule.name]
            if rule.name in of_before and stands.met_since_ns == of_before[rule.name].met_since_ns:
                stands = replace(stands, met_since_ns=None)
            stands, crossed_ns = _seen(rule, stands, price, now)
            after[rule.name] = stands
            if crossed_ns is not None:
                fires.append((rule.name, crossed_ns))
        self._next = (who, after, fires)
        self._looker = who

    def judges(self, who: str) -> None:
        """In the midst of a look it finds what fires now."""
        if self._next is not None and self._next[0] == who:
            clocks = self._stage.clocks
            self._judged = clocks.true_ns, clocks.offset_ns

    def looked(self, who: str, *, has_lease: bool) -> None:
        """The look is over, and the process lives; who has lost the lease in its midst has looked for nobody."""
        if has_lease:
            self._told_ns = self._looked_ns.get(who, self._told_ns)
            self._take_next_of(who)
        elif self._next is not None and self._next[0] == who:
            self._next = None

    def _take_next_of(self, who: str) -> None:
        if self._next is not None and self._next[0] == who:
            self._take_next()

    def wrote(self, who: str, data: bytes, *, has_lease: bool) -> None:
        """All that this process knows is on the disk, of the look that it is at too.

        But for what counts no more: another has begun a term since it looked whether it has the lease.
        """
        self._unwritten.discard(who)
        self.read()
        if has_lease or self._term in _terms(data):
            self._take_next_of(who)
            # A look of before another took the lease, and could not write that down: whose is later cannot be told.
            self._is_loose |= not has_lease and self._looker not in (None, who)

    def refused(self, who: str) -> None:
        """The disk does not take a row."""
        self._unwritten.add(who)

    def kept(self, who: str, *, has_lease: bool) -> None:
        """A process has asked for the lease."""
        self._keeps += has_lease
        # Whoever takes over from one with such rows knows nothing of them.
        if self._unwritten and (who in self._unwritten) is not has_lease:
            self._is_loose = True

    def died(self, who: str) -> None:
        """A process is no more; the look that it was at counts where its row is on the disk."""
        self._looked_ns.pop(who, None)
        self._of_before.pop(who, None)
        if who in self._unwritten:
            self._unwritten.discard(who)
            self._is_loose = True
        if self._next is not None and self._next[0] == who:
            self._next = None

    def _take_next(self) -> None:
        assert self._next is not None
        _, self._stands, fires = self._next
        self._next = None
        for one in fires:
            self.must[one] = _Fired(*self._judged, self._keeps)

    def may_send(self, who: str, holders: Iterable[str]) -> None:
        """The product says that this program may send now; `holders` have the lease."""
        if rivals := [one for one in holders if one != who]:
            self._break(f"the {who} sends while the {' and the '.join(rivals)} has the lease")

    def sent(self, target: str, message: Message, *, arrives: bool, has_lease: bool) -> None:
        """A message goes out; who was stopped after it was allowed to may have lost the lease since."""
        key = message.key
        self.read()
        if key not in self._fired and not self._unwritten:
            self._break(f"{target} is sent what is not on the disk: {key}")
        number = self._tries[target, key] = self._tries[target, key] + 1
        fired = self.must.get(self._crossing(*self._fired[key])) if key in self._fired else None
        clocks = self._stage.clocks
        # By a clock that was set since, nobody can tell an age.
        if fired is not None and abs(fired.ahead_ns - clocks.offset_ns) < NS // 2:
            age = (clocks.true_ns - fired.at_ns) / NS
            if (age >= _LATE_SECONDS) is not message.is_late and abs(age - _LATE_SECONDS) > 1:
                self._break(
                    f"a message {age:.0f} s old is{'' if message.is_late else ' not'} said to be late"
                )
        if not arrives:
            return
        self.came[_Came(target, key, message.may_have_come)] += 1
        if not has_lease:
            return
        before = sum(self.came[_Came(target, key, again)] for again in (False, True)) - 1
        if before and not message.may_have_come and not self._is_loose:
            self._break(
                f"{target} is told a second time of {key}, and not that it may have come (try {number})"
            )
        if before and "delivered" in self._ended.get((target, key), ()) and not self._is_loose:
            self._break(f"{target} is told again of {key}, which it has taken")

    # What stands on the disk.

    def read(self) -> None:
        """What has come to the log."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read_to)
                data, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        self._read_to += len(data) + len(newline)
        for line in data.split(b"\n"):
            try:
                row = json.loads(line) if line else {}
            except ValueError:
                continue  # torn
            self._row(row)

    def _row(self, row: Mapping[str, Any]) -> None:
        if row.get("row") == "took":
            self._term = max(self._term, row["term"])
        elif 0 < row.get("term", 0) < self._term:
            pass  # of one who was stopped, and in whose place another is
        elif row.get("row") == "round":
            for firing in row.get("fired", ()):
                crossing = (firing["rule"], _ns(firing["crossed_at"]))
                if self._fired.get(firing["key"], crossing) != crossing:
                    self._break(f"two crossings have one key: {firing['key']}")
                self._fired[firing["key"]] = crossing
        elif row.get("row") == "tried":
            self._ended.setdefault((row["target"], row["key"]), []).append(row["outcome"])

    def _crossing(self, rule: str, shown_ns: int) -> tuple[str, int]:
        """The rule and the true time of its crossing, by what the clock showed then."""
        each = [(rule, true_ns) for true_ns in self._true_ns[shown_ns]]
        return next((one for one in each if one in self.must), each[-1])

    def check(self) -> str | None:
        """Whether what fired is what must have."""
        if self.broken or self._is_loose or self._unwritten:
            return self.broken
        self.read()
        fired = Counter(self._crossing(*one) for one in self._fired.values())
        for crossing, times in fired.items():
            if crossing not in self.must:
                self._break(f"{_said(crossing)} fired, and nobody saw it cross")
            if times > 1:
                self._break(f"{_said(crossing)} fired {times} times")
        for crossing in self.must:
            if crossing not in fired:
                self._break(f"{_said(crossing)} was seen and never fired")
        return self.broken

    def settle(self, excused: Mapping[tuple[str, str], int]) -> None:
        """At the end: everybody was told of all that is not fresh, or `excused` says how often a target failed."""
        self.check()
        if self._keeps - self._troubled < _SETTLED_KEEPS or self._is_loose:
            return
        for key, shown in self._fired.items():
            crossing = self._crossing(*shown)
            fired = self.must.get(crossing)
            if fired is None or self._keeps - fired.keeps < _SETTLED_KEEPS:
                continue
            for target in self._targets:
                came = sum(self.came[_Came(target, key, again)] for again in (False, True))
                if not came and not excused.get((target, key)):
                    self._break(f"{target} was never told of {_said(crossing)}")

    def _break(self, sentence: str) -> None:
        self.broken = self.broken or sentence


def _terms(data: bytes) -> set[int]:
    """Those of the rows, each of which is whole, but for what a full disk left of one before them."""
    terms = set()
    for line in filter(None, data.split(b"\n")):
        with suppress(ValueError):
            terms.add(json.loads(line).get("term", 0))
    return terms - {0}


def _has_paused(before: int | None, now: int) -> bool:
    return before is None or now - before >= _UNSEEN_SECONDS * NS


def _seen(rule: Rule, stands: _Stands, price: float, now: int) -> tuple[_Stands, int | None]:
    met = price > rule.level
    if not stands.is_known:
        return _Stands(is_known=True, is_armed=not met), None
    if not met:
        returned = price <= rule.level - rule.rearm_margin
        return _Stands(is_known=True, is_armed=stands.is_armed or returned), None
    if not stands.is_armed:
        return stands, None
    since = now if stands.met_since_ns is None else stands.met_since_ns
    if now - since >= rule.for_seconds * NS:
        return _Stands(is_known=True, is_armed=False), since
    return replace(stands, met_since_ns=since), None


def _ns(text: str) -> int:
    """To the microsecond."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1_000


def _said(crossing: tuple[str, int]) -> str:
    rule, at = crossing
    return f"{rule} of {datetime.fromtimestamp(at / NS, UTC):%H:%M:%S}"
