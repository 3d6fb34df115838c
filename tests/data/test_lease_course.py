"""The lease by its steps: in whatever order those of several come, one has it, and each knows whether it does."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from options_helper.data.lease_course import (
    STALE_SECONDS,
    Ask,
    Holder,
    LeaseCourse,
    Step,
    Steps,
    Supplant,
    Told,
    Write,
    carry_out,
)

ME = Holder("watch", 1, "den", datetime(2026, 11, 27, tzinfo=UTC))


@dataclass(eq=False)
class File:
    """One that may have lost its name."""

    holder: Holder | None = None


@dataclass
class Disk:
    """What several programs see: which file has the name, and who has which lock."""

    named: File = field(default_factory=File)
    locks: dict[File, str] = field(default_factory=dict)
    turn: str | None = None
    now: float = 1_000.0
    is_full: bool = False


@dataclass
class Program:
    """Carries out its steps on that disk."""

    name: str
    disk: Disk
    held: File | None = None
    ahead: float = 0.0  # the clock of its computer, of the disk's

    def __post_init__(self) -> None:
        self.me = replace(ME, who=self.name, clock=f"of {self.ahead}")
        self.course = LeaseCourse(self.me)

    @property
    def has_it(self) -> bool:
        return self.held is not None and self.held is self.disk.named

    def do(self, step: Step) -> Told:
        disk = self.disk
        if isinstance(step, Ask):
            holder = disk.named.holder if step is Ask.READ else None
            return Told(self._now, self._is_so(step), holder)
        if isinstance(step, Supplant):
            if disk.is_full:
                raise OSError(28, "No space left on device")
            disk.named = self.held = File()
            disk.locks[disk.named] = self.name
        if self.held is not None:
            self.held.holder = step.holder
        return Told(self._now)

    @property
    def _now(self) -> float:
        return self.disk.now + self.ahead

    def _is_so(self, asked: Ask) -> bool:
        disk = self.disk
        match asked:
            case Ask.IS_MINE:
                return self.has_it
            case Ask.LOCK if disk.named not in disk.locks:
                disk.locks[disk.named], self.held = self.name, disk.named
                return True
            case Ask.TURN if disk.turn is None:
                disk.turn = self.name
                return True
            case Ask.END_TURN:
                disk.turn = None
            case Ask.LET_GO if self.held is not None:
                del disk.locks[self.held]
                self.held = None
        return False


def going_on(steps: Steps[bool], told: Told) -> Step | bool:
    """The next step, or what they came to."""
    try:
        return steps.send(told)
    except StopIteration as end:
        return bool(end.value)


@pytest.mark.parametrize("seed", range(60))
def test_one_has_it_in_whatever_order_the_steps_of_several_come(seed: int):
    """Each of them may stand still between any two steps for longer than a lease lasts."""
    dice, disk = random.Random(seed), Disk()
    programs = [Program(name, disk) for name in ("page", "watch", "third")]
    under_way = {one.name: one.course.keep(None) for one in programs}
    step = {name: next(course) for name, course in under_way.items()}
    for _ in range(400):
        one = dice.choice(programs)
        disk.now += dice.choice((0.0, 0.0, 0.5, STALE_SECONDS))
        told = one.do(step[one.name])
        assert sum(each.has_it for each in programs) <= 1
        following = going_on(under_way[one.name], told)
        if isinstance(following, bool):
            assert following is told.is_so is one.has_it, "what it believes is what it saw last"
            under_way[one.name] = one.course.keep(None)
            following = next(under_way[one.name])
        step[one.name] = following


def test_who_was_stopped_over_a_renewal_learns_that_another_has_it():
    disk = Disk()
    page, watch = Program("page", disk), Program("watch", disk)
    assert carry_out(page.course.keep(None), page.do)
    renewal = page.course.keep(None)
    write = renewal.send(page.do(next(renewal)))
    disk.now += STALE_SECONDS
    assert carry_out(watch.course.keep(None), watch.do)

    look = renewal.send(page.do(write))

    assert going_on(renewal, page.do(look)) is False
    assert disk.named.holder == replace(watch.me, renewed=disk.now)


@pytest.mark.parametrize("ahead", [5_000.0, -900.0])
def test_of_another_computer_is_believed_what_this_one_has_seen_itself(ahead: float):
    """In a shared home the two clocks say nothing of each other: who renews would be supplanted, or nobody ever."""
    disk = Disk()
    page, watch = Program("page", disk), Program("watch", disk, ahead=ahead)
    for _ in range(20):
        assert carry_out(page.course.keep(None), page.do)
        disk.now += 3.0
        assert not carry_out(watch.course.keep(None), watch.do)

    looks = 0
    while not carry_out(watch.course.keep(None), watch.do):
        looks += 1
        disk.now += 3.0

    assert looks * 3.0 == STALE_SECONDS
    assert not carry_out(page.course.keep(None), page.do)


def test_a_full_disk_keeps_nobody_from_its_turn():
    disk = Disk()
    page, watch = Program("page", disk), Program("watch", disk)
    assert carry_out(page.course.keep(None), page.do)
    disk.now += STALE_SECONDS
    disk.is_full = True

    with pytest.raises(OSError, match="No space left"):
        carry_out(watch.course.keep(None), watch.do)
    disk.is_full = False

    assert carry_out(watch.course.keep(None), watch.do)


def test_a_note_that_the_disk_does_not_take_is_nobodys_concern():
    disk = Disk()
    page = Program("page", disk)
    assert carry_out(page.course.keep(None), page.do)

    def refuse(step: Step) -> Told:
        if isinstance(step, Write):
            raise OSError(28, "No space left on device")
        return page.do(step)

    carry_out(page.course.note(5.0), refuse)
    assert disk.named.holder is not None
    assert disk.named.holder.looked is None
