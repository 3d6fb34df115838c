"""A loop on a thread of its own: what is asked of it is done, or is over when its error comes."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from options_helper.bus.loop import LoopThread, end_tasks
from options_helper.errors import StreamError
from tests.kit.waiting import AT_ONCE, FOREVER, wait_until


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    made = LoopThread("live-test-loop")
    made.start()
    yield made
    made.stop(AT_ONCE)


def test_what_is_asked_of_one_that_never_began_is_refused_at_once():
    """An owner whose server is away closes what it never opened, and tries again."""
    asked: list[str] = []

    async def work() -> None:
        asked.append("begun")

    made = LoopThread("live-test-loop")
    waiting = work()
    with pytest.raises(StreamError, match="was not opened"):
        made.call(waiting, FOREVER)
    made.stop(AT_ONCE)

    assert asked == []
    with pytest.raises(RuntimeError, match="already"):
        waiting.send(None)


def test_what_is_begun_while_the_rest_is_ended_is_ended_too():
    """A connection that is being made as its loop ends may begin to listen yet."""
    made, ended = LoopThread("live-test-loop"), threading.Event()
    is_there = threading.Event()
    later: list[asyncio.Task[None]] = []

    async def listen() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def connect() -> None:
        is_there.set()
        try:
            await asyncio.Event().wait()
        finally:
            later.append(asyncio.ensure_future(listen()))
            await asyncio.sleep(0)

    made.start()
    made.begin(connect())
    assert is_there.wait(AT_ONCE)
    made.stop(AT_ONCE)

    assert ended.is_set()
    assert [one.done() for one in later] == [True]


def test_what_waits_for_what_nobody_else_knows_of_is_kept(loop: LoopThread):
    began, ended = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    loop.begin(work())
    assert began.wait(AT_ONCE)
    gc.collect()
    assert not ended.is_set()

    loop.stop(AT_ONCE)
    assert ended.is_set()


def test_what_was_too_slow_has_ended_when_that_is_told(loop: LoopThread):
    """Otherwise whoever tries again does it twice."""
    done: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)  # an end takes a moment
            done.append("ended")

    with pytest.raises(StreamError, match="did not answer"):
        loop.call(work(), 0.05)

    assert done == ["ended"]


def test_what_was_done_in_the_last_moment_is_done_and_no_error(loop: LoopThread):
    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "stored"
        return "never"

    assert loop.call(work(), 0.05) == "stored"


def test_an_end_in_the_midst_of_a_question_is_an_error_that_may_pass(loop: LoopThread):
    begun = threading.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    ending = threading.Thread(target=lambda: (begun.wait(AT_ONCE), loop.stop(AT_ONCE)))
    ending.start()
    with pytest.raises(StreamError):
        loop.call(work(), AT_ONCE)
    ending.join(AT_ONCE)
    with pytest.raises(StreamError, match="was closed"):
        loop.call(work(), AT_ONCE)


def test_what_nobody_waits_for_is_heard_of_when_it_fails(loop: LoopThread, caplog: pytest.LogCaptureFixture):
    async def work() -> None:
        raise RuntimeError("nobody thought of this")

    future = loop.begin(work())
    with pytest.raises(RuntimeError):
        future.result(AT_ONCE)
    wait_until(lambda: "nobody thought of this" in caplog.text)
    assert "live-test-loop" in caplog.text


def test_what_was_given_up_while_the_loop_was_busy_never_begins(loop: LoopThread):
    busy, free = threading.Event(), threading.Event()
    begun: list[str] = []

    async def block() -> None:
        busy.set()
        free.wait(2 * AT_ONCE)

    async def work() -> None:
        begun.append("begun")

    loop.begin(block())
    assert busy.wait(AT_ONCE)
    with pytest.raises(StreamError, match="did not answer"):
        loop.call(work(), 0.0)
    free.set()

    async def after() -> list[str]:
        return begun

    assert loop.call(after(), AT_ONCE) == []


def test_a_task_that_swallows_a_cancellation_is_cancelled_until_it_ends():
    async def stubborn(began: asyncio.Event) -> None:
        began.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def course() -> bool:
        began = asyncio.Event()
        task = asyncio.create_task(stubborn(began))
        await began.wait()
        async with asyncio.timeout(10):
            await end_tasks([task])
        return task.cancelled()

    assert asyncio.run(course())
