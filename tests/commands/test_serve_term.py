"""One time of leading a desk: whoever is to step down does so at once, whatever its streams are at."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from options_helper.bus.address import BusAddress
from options_helper.bus.lease_course import Standing
from options_helper.clock import utc_now
from options_helper.commands.serve_run import FINE, ServeRequest, _Serving
from options_helper.commands.serve_term import ServeTerm
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.live.further_accounts import FurtherAccount
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.fakes import SETTINGS
from tests.kit.waiting import AT_ONCE


class SlowManager:
    """Streams that take their time to begin; as a manager's, its end waits for its beginning."""

    def __init__(self) -> None:
        self.may_begin = threading.Event()
        self.begins = threading.Event()
        self.runs = False
        self.begun = 0
        self.before: Callable[[], object] = lambda: None
        self._lock = threading.Lock()

    def start(self, _: LiveStreamConfig) -> None:
        self.before()
        with self._lock:
            self.begins.set()
            assert self.may_begin.wait(AT_ONCE)
            self.runs = True
            self.begun += 1

    def stop(self) -> None:
        with self._lock:
            self.runs = False


@pytest.fixture
def term() -> Iterator[ServeTerm]:
    made = ServeTerm(
        BusAddress.parse("nats://127.0.0.1"),
        SETTINGS,
        RequestLimits("a test"),
        keep_bytes=1,
        plan={},
        took_over=False,
    )
    made.manager = SlowManager()  # type: ignore[assignment]
    made.owner._loop.start()  # noqa: SLF001 - it is connected to nothing
    yield made
    made.owner.close()


def streams(term: ServeTerm) -> SlowManager:
    assert isinstance(term.manager, SlowManager)
    return term.manager


def test_nothing_begins_after_it_was_stepped_down(term: ServeTerm):
    streams(term).may_begin.set()
    term.step_down("another leads")
    term.start(LiveStreamConfig())

    assert streams(term).begun == 0
    assert term.yields == "another leads"


def test_it_yields_at_once_while_its_streams_begin_and_they_do_not_stay(term: ServeTerm):
    beginning = threading.Thread(target=term.start, args=(LiveStreamConfig(),))
    beginning.start()
    assert streams(term).begins.wait(AT_ONCE)
    leaving = threading.Thread(target=term.step_down, args=("another leads",))
    leaving.start()
    while term.yields is None:
        assert leaving.is_alive()
    assert term.owner.fenced == "another leads"
    streams(term).may_begin.set()
    beginning.join(AT_ONCE)
    leaving.join(AT_ONCE)

    assert not streams(term).runs


def test_the_first_reason_to_step_down_stays(term: ServeTerm):
    term.step_down("another leads")
    term.step_down("and another")

    assert term.yields == "another leads"


def test_what_was_stepped_down_just_before_its_streams_begin_has_none(term: ServeTerm):
    streams(term).may_begin.set()
    streams(term).before = lambda: term.step_down("another leads")
    term.start(LiveStreamConfig())

    assert streams(term).begun == 1
    assert not streams(term).runs


class NotedManager(SlowManager):
    """Streams that begin at once."""

    failure = None

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()
        self.may_begin.set()

    def snapshot(self) -> LiveSnapshot:
        return LiveSnapshot(utc_now(), running=self.runs)


class Several:
    """A term of three accounts, of which one cannot be used, connected to nothing; and the runs that it made."""

    def __init__(self) -> None:
        self.made: list[NotedManager] = []
        self.term = ServeTerm(
            BusAddress.parse("nats://127.0.0.1"),
            SETTINGS,
            RequestLimits("a test"),
            keep_bytes=1,
            plan={},
            took_over=False,
            account="main",
            further=[
                FurtherAccount("ira", replace(SETTINGS, account="ira")),
                FurtherAccount("roth", problem="roth.env is not there."),
            ],
            manager_cls=self._make,
        )
        for owner in self.term._owners:  # noqa: SLF001 - they are connected to nothing
            owner._loop.start()  # noqa: SLF001

    def _make(self, *_: object, **__: object) -> NotedManager:
        self.made.append(NotedManager())
        return self.made[-1]


@pytest.fixture
def several() -> Iterator[Several]:
    made = Several()
    yield made
    for owner in made.term._owners:  # noqa: SLF001 - as above
        owner.yield_to_another("the test is over")
        owner.close()


def test_each_account_begins_once_and_all_end_together(several: Several):
    several.term.start(LiveStreamConfig())
    several.term.start(LiveStreamConfig(stocks=("AAPL",)))

    main, ira = several.made
    assert (main.begun, ira.begun) == (2, 1), (
        "what one of them is refused is not asked at each change of symbols"
    )
    several.term.step_down("another leads")
    assert not any(one.runs for one in several.made)
    assert {one.fenced for one in several.term._owners} == {"another leads"}  # noqa: SLF001


def test_of_no_account_anything_begins_after_it_was_stepped_down(several: Several):
    several.term.step_down("another leads")
    several.term.start(LiveStreamConfig())

    assert [one.begun for one in several.made] == [0]


def test_no_account_is_looked_after_once_it_was_stepped_down(
    several: Several, monkeypatch: pytest.MonkeyPatch
):
    """What it holds now may want a run begun anew, which nobody would end before the turn does."""
    further, asked = several.term._further, []  # noqa: SLF001
    several.term.start(LiveStreamConfig())

    def stepped_down_meanwhile() -> None:
        asked.append(1)
        several.term.step_down("another leads")
        several.made[1].start(LiveStreamConfig())

    monkeypatch.setattr(further, "follow_ends", stepped_down_meanwhile)
    for _ in range(2):
        several.term.look_after_accounts()

    assert asked == [1]
    assert not any(one.runs for one in several.made)


def test_who_is_refused_for_one_account_yields_for_all(several: Several):
    further = several.term._owners[1]  # noqa: SLF001 - as the server would refuse it
    further.yield_to_another("Another owner serves this desk.")

    assert several.term.yields == "Another owner serves this desk."
    several.term.start(LiveStreamConfig())
    assert [one.begun for one in several.made] == [0]


def test_an_account_that_cannot_be_used_is_told_by_its_name_once_it_was_tried(several: Several):
    assert several.term.trouble(several.term.snapshot()) is None
    several.term.start(LiveStreamConfig())

    assert several.term.trouble(several.term.snapshot()) == "The account roth: roth.env is not there."


class Keeper:
    """A lease that is held, of a desk that nobody else wants."""

    standing = Standing(leads=True)

    def __init__(self) -> None:
        self.given_back = 0

    def want(self) -> None: ...

    def require_fresh(self) -> None: ...

    def give_back(self) -> None:
        self.given_back += 1


class AskedToEnd:
    """Signals, of which the second look finds one."""

    looks = 0

    def wait(self, _: float) -> bool:
        self.looks += 1
        return self.looks > 1


def test_a_term_that_could_not_begin_is_ended_and_its_lease_given_back_each_time():
    """Whoever waits for the desk would wait for one that serves nobody."""
    request = ServeRequest(BusAddress.parse("nats://127.0.0.1:9"))  # where nobody listens
    serving = _Serving(request, SETTINGS, book=None, term=ServeTerm, now=utc_now, turn_seconds=1.0)
    serving._keeper.stop()  # noqa: SLF001 - another stands in for it
    serving._keeper = keeper = Keeper()  # type: ignore[assignment] # noqa: SLF001
    said = io.StringIO()
    serving.take_part(AskedToEnd(), Console(file=said, width=200))  # type: ignore[arg-type]

    assert keeper.given_back == 2
    assert said.getvalue().count("127.0.0.1:9") == 1, "it is said once"
    assert serving.conclude(Console(file=said)) == FINE
