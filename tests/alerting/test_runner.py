"""The runner: what fires is logged and sent once, by one program of several, over restarts and takeovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from pydantic import SecretStr

from options_helper.alerting.books import books_at
from options_helper.alerting.course import SETTLES_SECONDS, Judged
from options_helper.alerting.runner import AlertRunner
from options_helper.analysis.alerts.evaluator import evaluate
from options_helper.data import firing_log
from options_helper.data.firing_log import FiringLog, Round, Trying, tried
from options_helper.data.lease import Lease
from options_helper.data.lease_course import STALE_SECONDS, Ask, Step, Told
from options_helper.data.notify.delivery import Delivery
from options_helper.data.notify.lifesign import Called
from options_helper.data.notify.messages import Attempt, Message, Outcome
from options_helper.data.notify.sending import Sent
from options_helper.data.notify.target_queue import WAITING_AT_MOST, Pacing
from options_helper.data.notify.targets import NO_TARGETS, LifeSignTarget, Target, Targets, load_targets
from options_helper.errors import ConfigError
from options_helper.model.alerts import (
    Elapsed,
    Evaluation,
    Firing,
    Operator,
    Reading,
    Rule,
    RuleState,
    Subject,
    SubjectKind,
)
from tests.kit.notified import fake_ntfy
from tests.kit.waiting import FOREVER, wait_until

AT = datetime(2026, 11, 27, 20, 50, tzinfo=UTC)


class Post:
    """A target that takes everything, or what the test says."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.answer = Sent(Outcome.DELIVERED)

    def __call__(self, _: Target, message: Message) -> Sent:
        self.taken.append(message)
        return self.answer

    @property
    def keys(self) -> list[str]:
        return [one.key for one in self.taken]


ARMED, FIRED = RuleState(is_known=True), RuleState(is_armed=False, is_known=True)


def above(level: float) -> Callable[[float, Mapping[str, RuleState]], Judged]:
    """A rule that fires when a number rises above the level, and not for what is so at first."""

    def judge(value: float, states: Mapping[str, RuleState]) -> Judged:
        met, was_below = value > level, states.get("above") == ARMED
        fired = (firing(f"above-{value:g}"),) if met and was_below else ()
        return Judged(Evaluation({"above": FIRED if met else ARMED}, fired), rules=1)

    return judge


def firing(key: str, targets: tuple[str, ...] = ("phone",)) -> Firing:
    return Firing(
        key=key, rule="above", subject="underlying:SPY", crossed_at=AT, fired_at=AT, severity="warning", title=key,
        text="risen", text_with_amounts="risen, $1", targets=targets,
    )  # fmt: skip


def targets(*names: str) -> Targets:
    return Targets(
        {name: Target(name, SecretStr("ntfy://127.0.0.1:1/hidden-topic")) for name in names or ("phone",)}
    )


class Desk:
    """Programs of one account on one computer."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self.path, self._stack = path, stack
        self.post = Post()
        self.monotonic = 1_000.0

    def runner(self, who: str = "watch", **more: Any) -> AlertRunner[float]:
        books = books_at(self.path, who, AT)
        lease = Lease(self.path.with_suffix(".lease"), who, since=AT, monotonic=lambda: self.monotonic)
        facts = {
            "judge": above(560),
            "load": targets,
            "make_delivery": self._delivery,
            "now": lambda: AT,
        } | more
        runner = AlertRunner(type(books)(books.log, lease), every_seconds=3_600, **facts)
        self._stack.callback(runner.stop)
        runner.start()
        return runner

    def _delivery(self, *arguments: Any, **more: Any) -> Delivery:
        pacing = Pacing(pause_seconds=0.01, longest_pause_seconds=0.02)
        return Delivery(*arguments, send=self.post, pacing=pacing, **more)

    def settled(self, key: str) -> bool:
        return not FiringLog(self.path.with_suffix(".jsonl")).look().firings[key].unsettled

    def states(self) -> dict[str, RuleState]:
        return dict(FiringLog(self.path.with_suffix(".jsonl")).look().states)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(tmp_path / "alerts" / "account", stack)


def test_what_fires_is_sent_once_and_logged_with_whom_it_reached(desk: Desk):
    runner = desk.runner()
    for value in (559, 561, 562, 563):
        runner.observe(value)
    wait_until(lambda: desk.settled("above-561"))

    assert desk.post.keys == ["above-561"]
    status = runner.status()
    assert (status.delivers, status.rules, status.judged_at is not None) == (True, 1, True)
    assert status.firings[0].deliveries["phone"].outcome is Outcome.DELIVERED
    assert status.targets == ("phone (ntfy)",)
    assert "hidden-" not in repr(status)


def test_a_restart_repeats_nothing_and_loses_no_crossing_in_between(desk: Desk):
    first = desk.runner()
    first.observe(561)
    first.observe(559)
    first.stop()

    second = desk.runner()
    second.observe(565)
    wait_until(lambda: desk.settled("above-565"))
    second.stop()
    third = desk.runner()
    third.observe(566)

    assert desk.post.keys == ["above-565"]


def test_the_second_judges_and_shows_and_does_not_send(desk: Desk):
    page, watch = desk.runner("dashboard"), desk.runner("watch")
    for value in (559, 561):
        page.observe(value)
        watch.observe(value)
    wait_until(lambda: desk.settled("above-561"))

    status = watch.status()
    assert (status.delivers, status.rules) == (False, 1)
    assert status.holder is not None
    assert status.holder.who == "dashboard"
    assert [one.firing.key for one in status.firings] == ["above-561"]
    assert desk.post.keys == ["above-561"]


@pytest.mark.parametrize("how", ["ended", "stopped"])
def test_it_takes_over_where_the_first_left_off(desk: Desk, how: str):
    page, watch = desk.runner("dashboard"), desk.runner("watch")
    for one in (page, watch):
        one.observe(559)
    page.observe(561)
    wait_until(lambda: desk.settled("above-561"))
    if how == "ended":
        page.stop()
    else:
        desk.monotonic += 20

    watch.keep()
    watch.observe(561)
    watch.observe(559)
    watch.observe(562)
    page.observe(563)
    wait_until(lambda: desk.settled("above-562"))

    assert desk.post.keys == ["above-561", "above-562"]
    assert (page.status().delivers, watch.status().delivers) == (False, True)


@pytest.mark.parametrize("how", ["ended", "killed"])
def test_what_only_the_second_saw_has_to_last_from_its_takeover_on(desk: Desk, how: str):
    """Its own streams are down while the first has them, and that is no minute in which anything was."""
    elapsed = [5_000.0]
    rule = Rule(
        "down",
        Subject(SubjectKind.STREAM, "stocks"),
        "phase",
        operator=Operator.IS_NOT,
        words=("live",),
        for_seconds=60.0,
    )

    def judge(phase: str, states: Mapping[str, RuleState]) -> Judged:
        readings = {(SubjectKind.STREAM, "phase"): {"stocks": Reading(phase, "The stocks stream")}}
        moment = {"at": AT + timedelta(seconds=elapsed[0]), "now": AT, "elapsed": Elapsed(elapsed[0], "boot")}
        return Judged(evaluate([rule], readings, states, **moment), rules=1)

    facts = {"judge": judge, "elapsed": lambda: elapsed[0]}
    page, watch = desk.runner("dashboard", **facts), desk.runner("watch", **facts)

    def pass_five_seconds() -> None:
        elapsed[0] += 5
        desk.monotonic += 5

    for _ in range(30):
        pass_five_seconds()
        page.observe("live")
        page.keep()
        watch.observe("reconnecting")
        watch.keep()
    if how == "ended":
        page.stop()
    gone_at = elapsed[0]
    while not watch.status().firings:
        pass_five_seconds()
        watch.observe("reconnecting")
        watch.keep()
        assert elapsed[0] - gone_at < 120
    assert elapsed[0] - gone_at >= 60


def test_who_lost_the_lease_and_has_not_noticed_writes_and_sends_nothing(desk: Desk):
    """A program that was stopped goes on with a crossing before its next look at the lease."""
    page, watch = desk.runner("dashboard"), desk.runner("watch")
    for one in (page, watch):
        one.observe(559)
    desk.monotonic += 20
    watch.keep()
    page.observe(561)

    assert FiringLog(desk.path.with_suffix(".jsonl")).look().firings == {}
    watch.observe(562)
    wait_until(lambda: desk.settled("above-562"))
    assert desk.post.keys == ["above-562"]


def test_who_had_the_lease_before_sends_what_another_left_meanwhile(desk: Desk):
    """It was stopped, another took over, fired, and was killed before it could send."""
    page = desk.runner("dashboard")
    page.observe(559)
    desk.monotonic += 20
    books = books_at(desk.path, "watch", AT)
    other = Lease(desk.path.with_suffix(".lease"), "watch", since=AT, monotonic=lambda: desk.monotonic)
    assert other.keep()
    books.log.append(Round((firing("left"),), {"above": FIRED}), durable=True)
    desk.monotonic += 20

    page.keep()
    wait_until(lambda: desk.settled("left"))
    assert desk.post.keys == ["left"]


def test_who_judges_nothing_any_more_leaves_the_lease_to_another(desk: Desk):
    """The thread that renews lives, and what it watches by does not: a stuck terminal, a run that ended."""
    elapsed = [5_000.0]
    page = desk.runner("dashboard", elapsed=lambda: elapsed[0])
    watch = desk.runner("watch", elapsed=lambda: elapsed[0])
    page.observe(559)
    elapsed[0] += 300
    watch.observe(559)
    page.keep()
    watch.keep()
    assert (page.status().delivers, watch.status().delivers) == (False, True)

    page.observe(561)
    watch.observe(562)
    wait_until(lambda: desk.settled("above-562"))
    assert desk.post.keys == ["above-562"]


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_costs_nobody_the_lease(desk: Desk, hours: int):
    clock = [AT]
    page = desk.runner("dashboard", now=lambda: clock[0])
    page.observe(559)

    clock[0] += timedelta(hours=hours)
    page.keep()

    assert page.status().delivers
    assert page.course.is_watching(page.seen().elapsed)


def test_a_slip_in_the_file_of_targets_sends_nothing_twice(desk: Desk):
    problem: list[ConfigError] = []

    def load() -> Targets:
        if problem:
            raise problem[0]
        return targets()

    made: list[Delivery] = []

    def make(*arguments: Any, **more: Any) -> Delivery:
        made.append(desk._delivery(*arguments, **more))  # noqa: SLF001 - the desk's own
        return made[-1]

    runner = desk.runner(load=load, make_delivery=make)
    problem.append(ConfigError("alert-targets.toml, line 2: no address."))
    runner.keep()

    assert len(made) == 1
    assert runner.status().problems == ("alert-targets.toml, line 2: no address.",)


def test_what_the_first_had_not_sent_the_next_sends(desk: Desk):
    desk.post.answer = Sent(Outcome.FAILED, "down")
    page = desk.runner("dashboard")
    page.observe(559)
    page.observe(561)
    wait_until(lambda: desk.post.taken)
    page.stop()
    tries = len(desk.post.taken)
    desk.post.answer = Sent(Outcome.DELIVERED)

    desk.runner("watch")
    wait_until(lambda: desk.settled("above-561"))

    assert len(desk.post.taken) == tries + 1
    assert not desk.post.taken[-1].may_have_come


def test_a_try_without_an_end_is_sent_again_and_says_so(desk: Desk):
    page = desk.runner("dashboard", load=Targets)
    page.observe(559)
    page.observe(561)
    page.stop()
    FiringLog(desk.path.with_suffix(".jsonl")).append(Trying("above-561", "phone", 1, AT))

    desk.runner("watch")
    wait_until(lambda: desk.settled("above-561"))

    assert [one.may_have_come for one in desk.post.taken] == [True]


def test_a_rule_without_targets_tells_all_of_them(desk: Desk):
    judge = lambda *_: Judged(Evaluation({}, (firing("k", ()),)))  # noqa: E731 - a rule of this test
    runner = desk.runner(judge=judge, load=lambda: targets("phone", "mail"))
    runner.observe(1)
    runner.observe(1)
    wait_until(lambda: desk.settled("k"))

    assert desk.post.keys == ["k", "k"]
    assert set(runner.status().firings[0].deliveries) == {"phone", "mail"}


def test_a_target_that_nobody_named_is_told_of_and_one_whose_file_is_wrong_waits(desk: Desk):
    is_wrong = True

    def load() -> Targets:
        if is_wrong:
            raise ConfigError("alert-targets.toml holds addresses that others may read.")
        return targets("mail")

    runner = desk.runner(
        judge=lambda *_: Judged(Evaluation({}, (firing("k", ("mail", "phone")),))), load=load
    )
    runner.observe(1)
    assert "others may read" in runner.status().problems[0]
    assert desk.post.keys == []
    is_wrong = False

    runner.keep()
    wait_until(lambda: desk.settled("k"))

    found = runner.status().firings[0].deliveries
    assert (found["mail"].outcome, found["phone"].outcome) == (Outcome.DELIVERED, Outcome.GAVE_UP)
    assert found["phone"].why == "no target has this name"
    assert runner.status().problems == ()


def test_an_acknowledgement_is_everybodys(desk: Desk):
    page, watch = desk.runner("dashboard"), desk.runner("watch")
    page.observe(559)
    page.observe(561)

    watch.acknowledge("above-561")
    watch.acknowledge("nothing")

    assert page.status().firings[0].acknowledged_at is not None


def test_a_simulated_market_is_named_in_each_message(desk: Desk):
    runner = desk.runner(simulated=True)
    runner.observe(559)
    runner.observe(561)
    wait_until(lambda: desk.post.taken)

    assert desk.post.taken[0].title == "SIMULATED: above-561"


def test_an_account_that_its_user_has_named_is_named_in_each_message(desk: Desk):
    runner = desk.runner(account="ira")
    runner.observe(559)
    runner.observe(561)
    wait_until(lambda: desk.post.taken)

    assert desk.post.taken[0].title == "ira: above-561"


def test_where_no_lease_can_be_had_it_sends_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    do = Lease.do

    def refuse(lease: Lease, step: Step) -> Told:
        if step is Ask.LOCK:
            raise OSError(95, "Operation not supported")
        return do(lease, step)

    monkeypatch.setattr(Lease, "do", refuse)
    runner = desk.runner()
    runner.observe(559)
    runner.observe(561)
    wait_until(lambda: desk.settled("above-561"))

    assert "operation not supported" in runner.status().problems[0]


def called(runner: AlertRunner[float]) -> Called:
    found = runner.status().life_sign
    assert found is not None
    return found


def test_a_dead_mans_service_is_called_while_snapshots_come(desk: Desk):
    at, named = AT, Targets()
    with fake_ntfy() as service:
        runner = desk.runner(load=lambda: named, now=lambda: at)
        runner.observe(559)
        named = Targets(life_sign=LifeSignTarget(SecretStr(f"http://127.0.0.1:{service.port}/hidden-check")))
        runner.keep()
        wait_until(lambda: called(runner).answered_at)
        runner.stop()
        at += timedelta(minutes=3)
        silent = desk.runner(load=lambda: named, now=lambda: at)
        wait_until(lambda: called(silent).problem)

    assert service.titles == ["/hidden-check"]


def test_what_cannot_be_judged_raises_and_the_next_snapshot_goes_on(desk: Desk):
    def judge(value: float, states: Mapping[str, RuleState]) -> Judged:
        if value < 0:
            raise ValueError("no price is negative")
        return above(560)(value, states)

    runner = desk.runner(judge=judge)
    runner.observe(559)
    with pytest.raises(ValueError, match="negative"):
        runner.observe(-1)
    runner.observe(561)
    wait_until(lambda: desk.settled("above-561"))

    assert desk.post.keys == ["above-561"]


def test_a_file_of_targets_that_is_being_written_at_the_start_costs_no_message(desk: Desk):
    logged(desk, "old")
    found = [NO_TARGETS]
    of_all = firing("new", targets=())
    judge = lambda *_: Judged(Evaluation({}, (of_all,)), rules=1)  # noqa: E731 - of this test
    runner = desk.runner(load=lambda: found[0], judge=judge)
    runner.observe(561)
    runner.acknowledge("new")
    assert not desk.settled("old"), "whom it is for is not known yet"

    found[0] = targets("phone")
    runner.keep()
    wait_until(lambda: desk.settled("old") and desk.settled("new") and len(desk.post.keys) == 2)

    (new,) = (one for one in runner.status().firings if one.firing.key == "new")
    assert (new.deliveries["phone"].outcome, new.acknowledged_at) == (Outcome.DELIVERED, AT)
    assert sorted(desk.post.keys) == ["new", "old"]


def test_that_there_are_no_targets_is_believed_once_the_file_has_said_so_for_a_while(desk: Desk):
    """However often it is looked at meanwhile: each look may have met an editor that writes it again and again."""
    logged(desk, "old")
    elapsed = [100.0]
    runner = desk.runner(load=lambda: NO_TARGETS, elapsed=lambda: elapsed[0])
    for _ in range(20):
        runner.keep()
        elapsed[0] += SETTLES_SECONDS / 21
    assert not desk.settled("old")

    elapsed[0] = 100.0 + SETTLES_SECONDS
    runner.keep()
    assert desk.settled("old")

    delivered = runner.status().firings[0].deliveries["phone"]
    assert (delivered.outcome, delivered.why) == (Outcome.GAVE_UP, "no target has this name")


def test_one_that_was_stopped_with_a_message_in_hand_sends_it_no_more(desk: Desk):
    """Whoever took over has it too: right before each try it is looked whose the lease is."""
    asked: list[Callable[[Message, str, int], bool]] = []

    def asking(*arguments: Any, before: Callable[[Message, str, int], bool], **more: Any) -> Delivery:
        asked.append(before)
        return Delivery(*arguments, before=lambda *_: False, send=desk.post, **more)

    page = desk.runner("dashboard", make_delivery=asking)
    page.observe(559)
    page.observe(561)
    message = Message("above-561", "", "", "")
    assert asked[0](message, "phone", 1)

    desk.monotonic += STALE_SECONDS
    desk.runner("watch")
    wait_until(lambda: desk.settled("above-561"))

    assert not asked[0](message, "phone", 2)
    assert desk.settled("above-561"), "nor does it write down a try"
    assert desk.post.keys == ["above-561"]


def test_after_a_stop_nothing_is_judged_taken_or_sent_whatever_waited_for_it(desk: Desk):
    """A round of its own thread, or a snapshot, may have been waiting for the lock while it was stopped."""
    page = desk.runner("dashboard")
    page.observe(559)
    page.stop()
    other = desk.runner("watch")
    other.stop()

    page.keep()
    page.observe(561)

    assert not page.status().delivers
    assert (desk.states(), desk.post.taken) == ({"above": ARMED}, [])
    assert desk.runner("watch").status().delivers, "nobody has kept the lease"


def test_whoever_has_the_lease_keeps_the_log_from_growing_for_ever(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(firing_log, "LARGE_BYTES", 1)
    old = AT - timedelta(days=40)
    log = FiringLog(desk.path.with_suffix(".jsonl"))
    log.append(Round((replace(firing("old"), fired_at=old),)))
    log.append(tried(Attempt("old", "phone", Outcome.DELIVERED, old, 1)))
    page = desk.runner("dashboard")
    after_start = set(log.look().firings)
    log.append(Round((replace(firing("old"), fired_at=old),)))
    log.append(tried(Attempt("old", "phone", Outcome.DELIVERED, old, 1)))
    other = desk.runner("watch")
    other.keep()
    assert "old" in log.look().firings, "only the holder shortens it"
    page.keep()

    assert (after_start, set(log.look().firings)) == (set(), set())


def test_an_attempt_has_no_address():
    assert "ntfy://" not in repr(Attempt("k", "phone", Outcome.DELIVERED, AT))


def logged(desk: Desk, *keys: str) -> None:
    """What a program before this one has fired and not sent."""
    FiringLog(desk.path.with_suffix(".jsonl")).append(Round(tuple(firing(key) for key in keys)))


def test_what_is_late_is_still_sent_and_says_since_when_it_was_so(desk: Desk):
    logged(desk, "old")
    desk.runner(now=lambda: AT + timedelta(hours=3))
    wait_until(lambda: desk.settled("old"))

    (sent,) = desk.post.taken
    assert "Late: this was so at 15:50 on 27 Nov, New York time." in sent.body(amounts=False)


def test_a_target_that_is_down_over_a_restart_is_not_tried_for_ever(desk: Desk):
    logged(desk, "old")
    desk.post.answer = Sent(Outcome.FAILED, "down")
    runner = desk.runner(now=lambda: AT + timedelta(hours=3))
    wait_until(lambda: desk.settled("old"))

    delivered = runner.status().firings[0].deliveries["phone"]
    assert (delivered.outcome, delivered.tries, delivered.why) == (Outcome.GAVE_UP, 1, "down")
    assert len(desk.post.taken) == 1


def test_of_more_than_can_wait_the_newest_are_sent_and_the_others_are_told_of(desk: Desk):
    keys = [f"k{number}" for number in range(WAITING_AT_MOST + 2)]
    logged(desk, *keys)
    is_held, may_go = Event(), Event()

    def held(_: Target, message: Message) -> Sent:
        is_held.set()
        may_go.wait(FOREVER)
        return desk.post(_, message)

    make = lambda *arguments, **more: Delivery(*arguments, send=held, **more)  # noqa: E731 - of this test
    runner = desk.runner(make_delivery=make)
    may_go.set()
    wait_until(lambda: all(desk.settled(key) for key in keys))

    outcomes = {one.firing.key: one.deliveries["phone"].outcome for one in runner.status().firings}
    given_up = [key for key in keys if outcomes[key] is Outcome.GAVE_UP]
    # The first may be on its way when the last is offered, and leaves its place to one more.
    assert given_up in (keys[:2], keys[1:2], keys[:1])
    assert desk.post.keys[0] == keys[2]


def test_a_time_in_which_nobody_looked_makes_nothing_last(desk: Desk):
    seen: list[RuleState] = []
    held = RuleState(is_known=True, met_since=AT, unknown_since=AT)

    def judge(_: float, states: Mapping[str, RuleState]) -> Judged:
        seen.append(states.get("r", held))
        return Judged(Evaluation({"r": seen[-1]}), rules=1)

    elapsed = [0.0]
    page = desk.runner("dashboard", judge=judge, elapsed=lambda: elapsed[0])
    page.observe(1)
    elapsed[0] += 44
    page.observe(1)
    assert seen[-1] == held, "a slow pace is no absence"
    elapsed[0] += 46  # no rule may last for a minute over a sleep of 46 s
    page.observe(1)
    assert seen[-1] == RuleState(is_known=True)
    assert desk.states() == {"r": RuleState(is_known=True)}


def test_who_takes_over_right_after_a_time_in_which_nobody_looked_goes_on_counting_from_then(desk: Desk):
    """It looked before it had the lease, when nobody could write down that nothing had lasted."""
    held, later = (
        RuleState(is_known=True, met_since=AT),
        RuleState(is_known=True, met_since=AT + timedelta(hours=1)),
    )
    elapsed, found = [5_000.0], [held]
    holder = desk.runner(
        "dashboard", judge=lambda *_: Judged(Evaluation({"r": found[0]}), rules=1), elapsed=lambda: elapsed[0]
    )
    holder.observe(1)
    seen: list[RuleState] = []

    def judge(_: float, states: Mapping[str, RuleState]) -> Judged:
        seen.append(states["r"])
        return Judged(Evaluation({"r": seen[-1]}), rules=1)

    watch = desk.runner("watch", judge=judge, elapsed=lambda: elapsed[0])
    elapsed[0] += 70
    watch.observe(1)
    elapsed[0] += 2
    watch.observe(1)
    assert seen == [RuleState(is_known=True)] * 2

    found[0] = later
    holder.observe(1)
    watch.observe(1)
    assert seen[-1] == later, "what began since lasts"


def test_who_found_that_nobody_had_looked_and_ended_before_it_could_write_that_tells_of_no_look(desk: Desk):
    """It took the lease, and whoever goes on after it has to find the same."""
    held = RuleState(is_known=True, met_since=AT)
    elapsed = [5_000.0]
    desk.runner(
        "dashboard", judge=lambda *_: Judged(Evaluation({"r": held}), rules=1), elapsed=lambda: elapsed[0]
    ).observe(1)
    seen: list[RuleState] = []

    def judge(_: float, states: Mapping[str, RuleState]) -> Judged:
        seen.append(states["r"])
        return Judged(Evaluation({"r": seen[-1]}), rules=1)

    second = desk.runner("watch", judge=judge, elapsed=lambda: elapsed[0])
    elapsed[0] += 70
    second.observe(1)
    desk.monotonic += 20
    second.keep()
    assert second.status().delivers
    desk.monotonic += 20
    elapsed[0] += 2
    desk.runner("dashboard", judge=judge, elapsed=lambda: elapsed[0]).observe(1)
    assert seen == [RuleState(is_known=True)] * 2


@pytest.mark.parametrize(("idle", "lasts"), [(20, True), (200, False), (None, False)])
def test_who_takes_over_goes_on_counting_only_where_somebody_looked_until_then(
    desk: Desk, idle: float | None, *, lasts: bool
):
    held = RuleState(is_known=True, met_since=AT)
    page = desk.runner(
        "dashboard", judge=lambda *_: Judged(Evaluation({"r": held}), rules=1), elapsed=lambda: 5_000.0
    )
    page.observe(1)
    page.stop()
    seen: list[RuleState] = []

    def judge(_: float, states: Mapping[str, RuleState]) -> Judged:
        seen.append(states["r"])
        return Judged(Evaluation(dict(states)), rules=1)

    now = 100.0 if idle is None else 5_000.0 + idle  # None: the computer was started anew
    desk.runner("watch", judge=judge, elapsed=lambda: now).observe(1)
    assert seen == [held if lasts else RuleState(is_known=True)]


def test_a_program_that_only_renewed_the_lease_has_not_looked(desk: Desk):
    """It ended before its first look: whoever comes after it counts from the last look of the one before."""
    held = RuleState(is_known=True, met_since=AT)
    page = desk.runner(
        "dashboard", judge=lambda *_: Judged(Evaluation({"r": held}), rules=1), elapsed=lambda: 5_000.0
    )
    page.observe(1)
    page.keep()
    page.stop()
    desk.runner("dashboard", elapsed=lambda: 5_040.0).stop()
    seen: list[RuleState] = []

    def judge(_: float, states: Mapping[str, RuleState]) -> Judged:
        seen.append(states["r"])
        return Judged(Evaluation(dict(states)), rules=1)

    desk.runner("dashboard", judge=judge, elapsed=lambda: 5_070.0).observe(1)
    assert seen == [RuleState(is_known=True)]


def test_a_file_of_targets_that_is_being_written_loses_none_and_one_that_stays_so_does(desk: Desk):
    found, elapsed = [targets("phone", "mail")], [100.0]
    runner = desk.runner(load=lambda: found[0], elapsed=lambda: elapsed[0])
    found[0] = NO_TARGETS
    runner.keep()
    assert len(runner.status().targets) == 2
    elapsed[0] += SETTLES_SECONDS
    found[0] = targets("phone", "mail")
    runner.keep()
    found[0] = NO_TARGETS
    runner.keep()
    elapsed[0] += SETTLES_SECONDS
    found[0] = targets("phone")
    runner.keep()
    assert len(runner.status().targets) == 2, "another one is gone than at the look before"
    elapsed[0] += SETTLES_SECONDS
    runner.keep()
    assert runner.status().targets == ("phone (ntfy)",)
    found[0] = targets("phone", "pager")
    runner.keep()
    assert len(runner.status().targets) == 2, "a new one is of use at once"


def test_targets_whose_file_is_gone_hold_until_it_is_there_again_as_rules_do(desk: Desk, tmp_path: Path):
    """An editor, or what decrypts the file, may take it away for longer than one is empty while it is written."""
    file, elapsed = tmp_path / "alert-targets.toml", [100.0]

    def write(content: str) -> None:
        file.touch(mode=0o600)
        file.write_text(content, encoding="utf-8")

    write('[targets.phone]\nurl = "ntfy://hidden-topic"\n')
    fires = iter([Judged(Evaluation({}, (firing("meanwhile", targets=()),)), rules=1)])
    runner = desk.runner(
        load=lambda: load_targets({}, file),
        elapsed=lambda: elapsed[0],
        judge=lambda *_: next(fires, Judged(rules=1)),
    )
    file.unlink()
    for _ in range(3):
        elapsed[0] += 5 * SETTLES_SECONDS
        runner.keep()
    runner.observe(561)
    wait_until(lambda: desk.settled("meanwhile"))

    status = runner.status()
    assert desk.post.keys == ["meanwhile"]
    assert status.targets == ("phone (ntfy)",)
    gone = (
        "alert-targets.toml is gone. Its targets hold until it is there again, or this program begins anew."
    )
    assert status.problems == (gone,)

    write("")
    runner.keep()
    assert runner.status().problems == ()
    elapsed[0] += SETTLES_SECONDS
    runner.keep()
    assert runner.status().targets == (), "one that is there and names none is what its holder chose"


def test_a_dead_mans_service_that_is_gone_for_a_look_is_called_on(desk: Desk):
    called = Targets(life_sign=LifeSignTarget(SecretStr("http://127.0.0.1:1/")))
    found, elapsed = [called], [100.0]
    runner = desk.runner(load=lambda: found[0], elapsed=lambda: elapsed[0])
    found[0] = NO_TARGETS
    runner.keep()
    assert runner.course.targets.life_sign == called.life_sign
    elapsed[0] += SETTLES_SECONDS
    runner.keep()
    assert runner.course.targets.life_sign is None


def test_what_fires_while_the_file_of_targets_is_broken_is_sent_by_whoever_goes_on(desk: Desk):
    def broken() -> Targets:
        raise ConfigError("alert-targets.toml, line 3: no address.")

    fires = lambda *_: Judged(Evaluation({}, (firing("k", ()),)))  # noqa: E731 - a rule of this test
    page = desk.runner("dashboard", judge=fires, load=broken)
    page.observe(1)
    page.stop()
    assert desk.post.keys == []

    again = desk.runner("watch", judge=lambda *_: Judged())
    wait_until(lambda: desk.post.keys == ["k"] and desk.settled("k"))
    again.stop()
    desk.runner("watch", judge=lambda *_: Judged())
    assert desk.post.keys == ["k"]
