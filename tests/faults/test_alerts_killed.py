"""Programs that send alerts, killed at random: no crossing is lost, none fires twice, a repetition says so."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from options_helper.data.atomic_file import replace_file
from options_helper.data.firing_log import FiringLog
from options_helper.data.notify.messages import Message
from tests.kit.notified import FakeNtfy, fake_ntfy
from tests.kit.pace import LONG
from tests.kit.programs import Program
from tests.kit.waiting import A_PROCESS, wait_until

KILLS = 100 if LONG else 5
# About what a start, a judgement and a message take.
WITHIN_SECONDS = 0.6


RULES = """
[[rules]]
name = "SPY rises"
subject = "underlying:SPY"
figure = "price"
operator = "above"
level = 560
hours = "always"
rearm_margin = 0.5
targets = ["phone"]
"""


def put_files(folder: Path, ntfy: FakeNtfy) -> None:
    """The rule and its target, as an editor leaves them."""
    replace_file(folder / "rules.toml", RULES.encode())
    replace_file(folder / "targets.toml", f'[targets.phone]\nurl = "{ntfy.url}"\n'.encode(), mode=0o600)


class Writing:
    """An editor that writes both files again and again without care: for a moment each is empty, then torn."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / "rules.toml", folder / "targets.toml"]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write, name="an-editor")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()

    def _write(self) -> None:
        whole = [one.read_bytes() for one in self._files]
        while not self._ending.wait(0.03):
            for file, content in zip(self._files, whole, strict=True):
                for part in (b"", content[: len(content) // 2], content + b"# again\n"):
                    file.write_bytes(part)
                    self._ending.wait(0.01)


@contextmanager
def program(folder: Path, ntfy: FakeNtfy, who: str = "watch") -> Iterator[subprocess.Popen[str]]:
    if not (folder / "rules.toml").exists():
        put_files(folder, ntfy)
    main = "from tests.faults.alert_program import main; main()"
    process = Program(str(folder), who, program=main, stderr=None)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def put_price(folder: Path, price: float) -> None:
    replace_file(folder / "price", str(price).encode())


def arrived(ntfy: FakeNtfy, *, repetitions: bool) -> Counter[str]:
    """How often each message came, by its reference, of those that say they may have come before, or of the others."""
    return Counter(
        str(one["message"]).rpartition("[")[2].rstrip("] \n")
        for one in ntfy.posted
        if ("may have come before" in str(one["message"])) is repetitions
    )


def has_fired(log: FiringLog, times: int) -> bool:
    return len(log.look().firings) >= times


def is_armed(log: FiringLog) -> bool:
    states = log.look().states.values()
    return bool(states) and all(one.is_armed and one.is_known for one in states)


def is_settled(log: FiringLog) -> bool:
    return not any(one.unsettled or one.is_unaddressed for one in log.look().firings.values())


def assert_each_came(ntfy: FakeNtfy, log: FiringLog) -> None:
    """Each once as news; what came twice said that it might have come before."""
    once, again = arrived(ntfy, repetitions=False), arrived(ntfy, repetitions=True)
    assert once.keys() | again.keys() == {Message(key, "", "", "").reference for key in log.look().firings}
    assert set(once.values()) <= {1}, "who sends twice says so"


def test_no_crossing_is_lost_and_none_fires_twice(tmp_path: Path):
    dice = random.Random(12)
    log = FiringLog(tmp_path / "alerts.jsonl")
    put_price(tmp_path, 559)
    with fake_ntfy() as ntfy:
        for crossing in range(1, KILLS + 1):
            with program(tmp_path, ntfy):
                put_price(tmp_path, 559)
                wait_until(lambda: is_armed(log), A_PROCESS)
                put_price(tmp_path, 561)
                time.sleep(dice.uniform(0, WITHIN_SECONDS))  # a kill comes when it comes
            with program(tmp_path, ntfy):
                wait_until(partial(has_fired, log, crossing), A_PROCESS)
                wait_until(partial(is_settled, log), A_PROCESS)

    assert len(log.look().firings) == KILLS
    assert_each_came(ntfy, log)


def test_rules_and_targets_that_are_written_again_and_again_around_a_kill_cost_no_crossing(tmp_path: Path):
    """Also where a program begins while either file is empty or torn: a rule that is away for a moment is no other."""
    dice = random.Random(56)
    log = FiringLog(tmp_path / "alerts.jsonl")
    put_price(tmp_path, 559)
    with fake_ntfy() as ntfy:
        put_files(tmp_path, ntfy)
        for crossing in range(1, KILLS + 1):
            with Writing(tmp_path):
                with program(tmp_path, ntfy):
                    put_price(tmp_path, 559)
                    wait_until(lambda: is_armed(log), A_PROCESS)
                    time.sleep(dice.uniform(0, WITHIN_SECONDS))  # a kill comes when it comes
                put_price(tmp_path, 561)
                with program(tmp_path, ntfy):
                    wait_until(partial(has_fired, log, crossing), A_PROCESS)
                    time.sleep(dice.uniform(0, WITHIN_SECONDS))
            with program(tmp_path, ntfy):
                wait_until(partial(is_settled, log), A_PROCESS)

    assert len(log.look().firings) == KILLS
    assert_each_came(ntfy, log)


def test_of_two_programs_that_are_killed_again_and_again_the_other_sends_each_crossing(tmp_path: Path):
    """Whichever of them has the lease at that moment."""
    dice = random.Random(34)
    log = FiringLog(tmp_path / "alerts.jsonl")
    put_price(tmp_path, 559)
    with fake_ntfy() as ntfy, ExitStack() as stack:
        running = {who: stack.enter_context(program(tmp_path, ntfy, who)) for who in ("dashboard", "watch")}
        for crossing in range(1, KILLS + 1):
            put_price(tmp_path, 559)
            wait_until(lambda: is_armed(log), A_PROCESS)
            put_price(tmp_path, 561)
            time.sleep(dice.uniform(0, WITHIN_SECONDS))  # a kill comes when it comes
            who = dice.choice(tuple(running))
            running[who].kill()
            running[who].wait()
            wait_until(partial(has_fired, log, crossing), A_PROCESS)
            wait_until(partial(is_settled, log), A_PROCESS)
            running[who] = stack.enter_context(program(tmp_path, ntfy, who))

    assert len(log.look().firings) == KILLS
    assert_each_came(ntfy, log)


def test_the_second_program_takes_over_and_repeats_nothing(tmp_path: Path):
    log = FiringLog(tmp_path / "alerts.jsonl")
    put_price(tmp_path, 559)
    with fake_ntfy() as ntfy, program(tmp_path, ntfy, "dashboard") as first, program(tmp_path, ntfy, "watch"):
        wait_until(lambda: is_armed(log), A_PROCESS)
        put_price(tmp_path, 561)
        wait_until(lambda: ntfy.posted, A_PROCESS)
        wait_until(partial(is_settled, log), A_PROCESS)
        first.kill()
        first.wait()
        put_price(tmp_path, 559)
        wait_until(lambda: is_armed(log), A_PROCESS)
        put_price(tmp_path, 562)
        wait_until(lambda: len(ntfy.posted) > 1, A_PROCESS)
        wait_until(partial(is_settled, log), A_PROCESS)

    assert set(arrived(ntfy, repetitions=False).values()) == {1}
    assert not arrived(ntfy, repetitions=True)
    assert len(log.look().firings) == 2
