"""The course of alerts by its steps: who was stopped between two, and lost the lease, does nothing that counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from options_helper.alerting.books import AlertBooks
from options_helper.alerting.course import (
    AlertCourse,
    Answer,
    Append,
    Command,
    Course,
    Judge,
    Judged,
    Offer,
    OfLog,
    OfTargets,
    Seen,
)
from options_helper.alerting.runner import AlertRunner
from options_helper.data.firing_log import FiringLog, Logged, LoggedFiring, Round, Took, Trying
from options_helper.data.lease import Lease
from options_helper.data.lease_course import Ask, Holder, LeaseCourse, Told, carry_out
from options_helper.data.notify.messages import Message, Urgency
from options_helper.data.notify.targets import NO_TARGETS, Target, Targets
from options_helper.model.alerts import Evaluation, Firing, RuleState

AT = datetime(2026, 11, 27, 20, 50, tzinfo=UTC)
SEEN = Seen(AT, 100.0)
MESSAGE = Message("k", "title", "text", "text", Urgency.WARNING, False, AT)  # noqa: FBT003 - its parts in their order
FIRED = Firing(
    key="k", rule="above", subject="SPY", crossed_at=AT, fired_at=AT, severity="warning", title="k", text="risen",
    text_with_amounts="risen", targets=("phone",),
)  # fmt: skip


def course() -> AlertCourse:
    return AlertCourse(LeaseCourse(Holder("watch", 1, "den", AT)), SEEN, looked=None)


T = TypeVar("T")


def played(steps: Course[T], leases: list[bool], *firings: LoggedFiring) -> tuple[T, list[Command]]:
    """What they come to where the lease is found to be so by turns, and the steps."""
    seen: list[Command] = []

    def do(step: Command) -> Answer:
        seen.append(step)
        match step:
            case OfLog.LOOK:
                terms = [
                    one.row.term for one in seen if isinstance(one, Append) and isinstance(one.row, Took)
                ]
                return Logged({one.firing.key: one for one in firings}, term=max(terms, default=0))
            case OfTargets.LOAD:
                return Targets({"phone": Target("phone", SecretStr("ntfy://127.0.0.1:1/x"))})
            case Judge():
                return Judged(Evaluation({"above": RuleState(is_known=True)}, (FIRED,)), rules=1)
            case Ask.IS_MINE:
                return Told(1.0, is_so=leases.pop(0))
            case Ask.READ:
                return Told(1.0)
        return None

    return carry_out(steps, do), seen


def test_who_lost_the_lease_over_the_row_of_a_try_sends_nothing():
    may_send, seen = played(course().before(MESSAGE, "phone", 1, SEEN), [True, False])

    assert not may_send
    assert seen == [
        OfLog.ENTER,
        Ask.IS_MINE,
        Append(Trying("k", "phone", 1, AT)),
        OfLog.LEAVE,
        Ask.IS_MINE,
    ]


def test_who_has_not_the_lease_writes_and_offers_nothing_of_what_it_judges():
    _, seen = played(course().observe(560.0, SEEN), [False, False])

    assert any(isinstance(step, Judge) for step in seen)
    assert not [step for step in seen if isinstance(step, Append | Offer)]


def test_each_row_is_written_under_the_lock_of_the_log_right_after_the_lease_was_asked_for():
    """But for the one step that was next, whoever was stopped does nothing for a lease that is another's by now."""
    unaddressed = LoggedFiring(FIRED, is_unaddressed=True)
    begun = course()

    def whole() -> Course[None]:
        yield from begun.keep(SEEN)
        yield from begun.observe(560.0, SEEN)
        yield from begun.before(MESSAGE, "phone", 1, SEEN)

    _, seen = played(whole(), [True] * 20, unaddressed)

    rows = [type(step.row) for step in seen if isinstance(step, Append)]
    assert rows == [Took, Round, Round, Trying]
    for number, step in enumerate(seen):
        if isinstance(step, Append):
            in_the_lock = [one for one in seen[:number] if one in (OfLog.ENTER, OfLog.LEAVE)][-1]
            assert (seen[number - 1], in_the_lock) == (Ask.IS_MINE, OfLog.ENTER), step


class Programs:
    """Two on one log and one lease, each carried on by steps."""

    def __init__(self, folder: Path) -> None:
        self._monotonic = 0.0
        self._log, self._lease = folder / "log.jsonl", folder / "log.lease"
        earlier = Lease(self._lease, "watch", since=AT, monotonic=lambda: self._monotonic)
        earlier.keep()
        earlier.release()
        self._runners: dict[str, AlertRunner[float]] = {
            name: self._runner(name) for name in ("page", "watch")
        }

    def _runner(self, name: str) -> AlertRunner[float]:
        log = FiringLog(self._log, append=_add, patience_seconds=0.0)
        lease = Lease(self._lease, name, since=AT, monotonic=lambda: self._monotonic)
        judged = Judged(Evaluation({"above": RuleState(is_known=True)}, (FIRED,)), rules=1)
        clocks = {"now": lambda: AT, "elapsed": lambda: 100.0}
        return AlertRunner(AlertBooks(log, lease), lambda *_: judged, lambda: NO_TARGETS, **clocks)

    def keep(self, name: str) -> Iterator[Command]:
        return self._steps(name, self._runners[name].course.keep(SEEN))

    def observe(self, name: str) -> Iterator[Command]:
        return self._steps(name, self._runners[name].course.observe(560.0, SEEN))

    def pass_a_minute(self) -> None:
        self._monotonic += 60.0

    def fired(self) -> list[str]:
        """As the file says."""
        return list(FiringLog(self._log).look().firings)

    def _steps(self, name: str, course: Course[None]) -> Iterator[Command]:
        """Each of them, before it is done."""
        told: Any = None
        with ExitStack() as entered, suppress(StopIteration):
            while True:
                command = course.send(told)
                yield command
                told = self._runners[name].do(command, entered)


def _add(path: Path, data: bytes, *, durable: bool) -> None:
    del durable  # a second program's rows are read whether or not the disk has them
    with path.open("ab") as file:
        file.write(data)


def carry_on(steps: Iterator[Command], most: int | None = None) -> int:
    """So many of them, or all; how many there were."""
    return sum(1 for _ in islice(steps, most))


def to_a_row(steps: Iterator[Command]) -> int:
    """By which of them a row is written; all are done."""
    return next(number for number, step in enumerate(list(steps), 1) if isinstance(step, Append))


def test_who_was_stopped_as_it_took_the_lease_silences_nobody_who_has_taken_it_since(tmp_path: Path):
    """Before whichever of its steps, and until the other one looks or is about to write its row, which counts."""
    whole = Programs(tmp_path / "whole")
    to_take, to_row = carry_on(whole.keep("page")), to_a_row(whole.observe("page"))
    assert whole.fired() == ["k"]

    for stopped_at in range(1, to_take + 1):
        for until in (0, to_row):
            programs = Programs(tmp_path / f"{stopped_at}-{until}")
            stopped = programs.keep("page")
            carry_on(stopped, stopped_at)
            programs.pass_a_minute()
            carry_on(programs.keep("watch"))
            looks = programs.observe("watch")
            carry_on(looks, until)
            carry_on(stopped)
            carry_on(looks)
            assert programs.fired() == ["k"], (stopped_at, until)


def test_who_takes_the_lease_back_within_a_renewal_begins_a_term(tmp_path: Path):
    """Else the one that had it meanwhile, and was stopped before the row of its term, begins a newer one."""
    whole = Programs(tmp_path / "whole")
    carry_on(whole.keep("page"))
    to_row = to_a_row(whole.observe("page"))
    programs = Programs(tmp_path / "two")
    carry_on(programs.keep("page"))

    renewal, takeover = programs.keep("page"), programs.keep("watch")
    assert [*islice(renewal, 3)][-1] is Ask.IS_MINE
    programs.pass_a_minute()
    next(step for step in takeover if isinstance(step, Append))
    programs.pass_a_minute()
    carry_on(renewal)
    looks = programs.observe("page")
    carry_on(looks, to_row)
    carry_on(takeover)
    carry_on(looks)

    assert programs.fired() == ["k"]


@pytest.mark.parametrize("lasted", [True, False])
def test_who_takes_over_counts_no_time_over_a_look_of_its_own_in_which_it_did_not_hold(*, lasted: bool):
    """Whoever had the lease was killed before it could see that, and the log says that it has held all the while."""
    held = RuleState(is_known=True, is_armed=True, met_since=AT)
    after = held if lasted else RuleState(is_known=True, is_armed=True)
    begun, judged = course(), []

    def look(step: Command) -> Answer:
        match step:
            case OfLog.LOOK:
                return Logged(states={"above; SPY": held})
            case Judge(states=states):
                judged.append(states["above; SPY"].met_since)
                return Judged(Evaluation({"above; SPY": after}), rules=1)
            case Ask.READ:
                return Told(100.0, holder=Holder("page", 2, "den", AT, looked=99.0))
            case _:
                return Told(100.0) if isinstance(step, Ask) else None

    for _ in range(2):
        carry_out(begun.observe(560.0, SEEN), look)

    assert judged == [AT, AT if lasted else None]
