"""Whose clock a receipt is of: an owner's, which may be another, and either may be set; and what is said of it."""

# ruff: noqa: SLF001 - what a subscription hands in is handed in here, without a server

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace as replace_struct

from options_helper.bus.accounts import place_of
from options_helper.bus.address import BusAddress
from options_helper.bus.batch import Head, encode
from options_helper.bus.clocks import (
    AGAIN_SECONDS,
    CLOCK_SECONDS,
    KEPT_OWNERS,
    NOT_KNOWN,
    DeskClock,
    Offset,
    process_named,
)
from options_helper.bus.detail import Detail
from options_helper.bus.follower import Desk, DeskFollower
from options_helper.bus.legs import UNHEARD_SECONDS
from options_helper.bus.streamer import BusStreamer, Legs
from options_helper.bus.truth import DeskAccount, DeskHealth, Picture, Published
from options_helper.bus.truth import encode as encode_truth
from options_helper.bus.viewed_stream import CLOCK_PATIENCE_SECONDS
from options_helper.bus.viewer import BusManager
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.errors import StreamError
from options_helper.live.pnl_history import was_interrupted
from options_helper.model.account import AccountPositions, AccountState
from options_helper.model.announcement import MarketKind
from options_helper.model.clock_skew import ClockSkew
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.gaps import Gap
from options_helper.model.instants import utc_datetime
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamId, StreamName, fills_of
from tests.kit.fakes import NOON, SETTINGS
from tests.kit.waiting import AT_ONCE

SECOND = 1_000_000_000
STOCKS, FILLS, WORK = StreamName.STOCKS, StreamName.FILLS, fills_of("work")
ADDRESS = BusAddress.parse("nats://127.0.0.1:4222", "desk")


class Computer:
    """The two clocks of this computer."""

    def __init__(self) -> None:
        self.seconds, self.set_by = 0.0, 0

    def monotonic(self) -> float:
        return 1_000.0 + self.seconds

    def now_ns(self) -> int:
        return NOON + self.set_by + int(self.seconds * SECOND)


class Owners:
    """A bus on which one owner after another answers, by a clock of its own; an answer takes its time."""

    def __init__(self, here: Computer) -> None:
        self.here, self.ahead, self.took = here, 0, 0.02
        self.answers = True
        self.asked = self.answered = 0
        self.set_meanwhile = 0
        self.whom = b""

    async def ask(self, subject: str, whom: bytes) -> bytes:
        assert subject == ADDRESS.names.ask("time")
        self.asked += 1
        self.whom = whom
        await asyncio.sleep(0)
        self.here.seconds += self.took / 2
        at_ns = self.at_ns
        self.here.seconds += self.took / 2
        self.here.set_by += self.set_meanwhile
        self.answered += 1
        if not self.answers:
            raise StreamError("oh.desk.ask.time did not answer (timeout).")
        return str(at_ns).encode()

    @property
    def at_ns(self) -> int:
        """The owner's time; it does not follow this computer's clock where that is set."""
        return NOON + int(self.here.seconds * SECOND) + self.ahead

    def word(self, epoch: int = 1, host: str = "den", pid: int | None = None, **terms: int) -> DeskHealth:
        """`terms` are those of its streams, where they are not all the same."""
        return DeskHealth(
            program="1",
            host=host,
            pid=epoch if pid is None else pid,
            epoch=epoch,
            at_ns=self.at_ns,
            market=MarketKind.ALPACA,
            published={stream: Published(term, 0) for stream, term in terms.items()},
        )

    def word_on(self, stream: StreamId, epoch: int, host: str = "den", pid: int = 1) -> DeskHealth:
        """What the same process says of a further account, whose orders have a term of their own."""
        return self.word(epoch, host, pid, **{str(stream): epoch})


@pytest.fixture
def here() -> Computer:
    return Computer()


@pytest.fixture
def owners(here: Computer) -> Owners:
    return Owners(here)


@pytest.fixture
def clock(here: Computer) -> DeskClock:
    return DeskClock(here.now_ns, here.monotonic)


def measured(clock: DeskClock, owners: Owners) -> Offset | None:
    asyncio.run(clock.measure(owners, ADDRESS.names))  # type: ignore[arg-type]
    return clock.offset


def said(clock: DeskClock) -> str:
    return clock.sentence or ""


def ahead(offset: Offset | None) -> int | None:
    """Whole seconds."""
    return None if offset is None else round(offset.ahead_ns / SECOND)


def test_an_offset_holds_until_it_is_time_to_measure_it_anew_and_one_answer_that_fails_changes_nothing(
    here: Computer, owners: Owners, clock: DeskClock
):
    owners.ahead = 5 * SECOND
    assert measured(clock, owners) is None, "there is nobody to ask"
    clock.hear(owners.word(), now=True)
    assert ahead(measured(clock, owners)) == 5
    assert owners.asked == 1
    here.seconds += CLOCK_SECONDS / 2
    measured(clock, owners)
    assert owners.asked == 1

    owners.answers = False
    here.seconds += CLOCK_SECONDS
    assert ahead(measured(clock, owners)) == 5
    assert owners.asked == 2
    assert "ages are corrected" in said(clock)
    owners.answers = True
    here.seconds += AGAIN_SECONDS
    measured(clock, owners)
    assert owners.asked == 3


def test_of_an_owner_that_does_not_answer_it_is_said_that_ages_are_not_corrected(
    here: Computer, owners: Owners, clock: DeskClock
):
    clock.hear(owners.word(), now=True)
    assert not said(clock), "it was not asked yet"
    owners.answers = False

    assert measured(clock, owners) is None
    assert said(clock) == NOT_KNOWN
    owners.answers = True
    here.seconds += AGAIN_SECONDS
    assert ahead(measured(clock, owners)) == 0
    assert not said(clock)


@pytest.mark.parametrize(("host", "at_first"), [("den", 5), ("attic", None)])
def test_another_owner_is_asked_at_once_and_has_the_same_clock_on_the_same_computer_only(
    owners: Owners, clock: DeskClock, host: str, at_first: int | None
):
    owners.ahead = 5 * SECOND
    clock.hear(owners.word(), now=True)
    measured(clock, owners)
    owners.ahead = 65 * SECOND
    clock.hear(owners.word(2, host), now=True)

    assert ahead(clock.offset) == at_first
    assert ahead(clock.offset_of(STOCKS, 1)) == 5, "what that one sent last comes yet"
    assert ahead(measured(clock, owners)) == 65
    assert (ahead(clock.offset_of(STOCKS, 1)), ahead(clock.offset_of(STOCKS, 2))) == (5, 65)
    assert clock.offset_of(STOCKS, 3) is None
    clock.hear(owners.word(), now=False)
    assert ahead(clock.offset) == 65, "what is found in the store may be of before"


def test_owners_that_say_no_term_are_told_apart(owners: Owners, clock: DeskClock):
    owners.ahead = 5 * SECOND
    clock.hear(owners.word(0), now=True)
    measured(clock, owners)
    assert ahead(clock.offset_of(STOCKS, 77)) == 5
    clock.hear(owners.word(0, "attic"), now=True)
    assert clock.offset_of(STOCKS, 77) is None


def test_only_the_last_owners_clocks_are_kept(owners: Owners, clock: DeskClock):
    for epoch in range(1, KEPT_OWNERS + 3):
        clock.hear(owners.word(epoch), now=True)
        measured(clock, owners)
    assert [epoch for epoch in range(1, KEPT_OWNERS + 3) if clock.offset_of(STOCKS, epoch)] == [3, 4, 5, 6]


def test_an_owners_clock_is_that_of_each_of_its_terms(here: Computer, owners: Owners, clock: DeskClock):
    """The store of orders was emptied, and began a term anew: prices go on in the one that they were in."""
    owners.ahead = 60 * SECOND
    clock.hear(owners.word(101, pid=1, stocks=100, fills=101), now=True)
    measured(clock, owners)

    assert ahead(clock.offset_of(STOCKS, 100)) == 60, "of a viewer that came later, too"
    assert ahead(clock.offset_of(FILLS, 101)) == 60
    owners.ahead = 90 * SECOND
    here.seconds += CLOCK_SECONDS
    measured(clock, owners)
    assert ahead(clock.offset_of(STOCKS, 100)) == 90
    assert clock.offset_of(STOCKS, 99) is None


def test_a_term_that_an_owner_had_before_it_began_another_goes_on_by_what_is_measured_later(
    here: Computer, owners: Owners, clock: DeskClock
):
    clock.hear(owners.word(100, pid=1, stocks=100, fills=100), now=True)
    measured(clock, owners)
    clock.hear(owners.word(101, pid=1, stocks=100, fills=101), now=True)
    owners.ahead = 60 * SECOND
    measured(clock, owners)

    assert [ahead(clock.offset_of(*one)) for one in ((STOCKS, 100), (FILLS, 101))] == [60, 60]


def test_the_orders_of_a_further_account_are_received_by_the_clock_of_their_own_owner(
    owners: Owners, clock: DeskClock
):
    """They have a term of their own, and another owner may have one of the same number in another store."""
    owners.ahead = 60 * SECOND
    clock.hear(owners.word(100, pid=1, stocks=100, fills=100), now=True)
    measured(clock, owners)
    assert clock.offset_of(WORK, 100) is None, "nobody has said yet whose term that is"
    on_account = owners.word_on(WORK, 102)
    clock.hear_of_account(on_account)
    clock.hear_of_account(owners.word_on(WORK, 7, "attic", 2))

    assert ahead(clock.offset_of(WORK, 102)) == 60
    assert clock.offset_of(WORK, 7) is None, "that one has not spoken of the desk"
    assert clock.here(on_account).at_ns == on_account.at_ns - 60 * SECOND
    owners.ahead = 0
    clock.hear(owners.word(102, "attic", 2, stocks=102, fills=102), now=True)
    measured(clock, owners)
    assert [ahead(clock.offset_of(one, 102)) for one in (WORK, STOCKS)] == [60, 0]


def test_a_late_word_of_an_owner_that_another_has_followed_changes_nothing(
    here: Computer, owners: Owners, clock: DeskClock
):
    """Each connection of a viewer's brings the same words, and one of them may lag behind."""
    clock.hear(owners.word(1), now=True)
    measured(clock, owners)
    late = owners.word(1)
    owners.ahead = 60 * SECOND
    clock.hear(owners.word(2, "attic"), now=True)
    measured(clock, owners)
    here.seconds += UNHEARD_SECONDS - 0.5
    clock.hear(late, now=True)

    assert ahead(clock.offset) == 60
    here.seconds += CLOCK_SECONDS
    measured(clock, owners)
    assert [ahead(clock.offset_of(STOCKS, one)) for one in (1, 2)] == [0, 60], "it is the other's answer"


@pytest.mark.parametrize("is_heard", [True, False])
def test_an_owner_of_an_earlier_term_that_is_heard_alone_is_the_one_that_is_there(
    here: Computer, owners: Owners, clock: DeskClock, *, is_heard: bool
):
    """A bus that was emptied lets one begin whose clock is behind that of the one before."""
    clock.hear(owners.word(2, "attic"), now=True)
    measured(clock, owners)
    here.seconds += UNHEARD_SECONDS
    owners.ahead = 60 * SECOND
    clock.hear(owners.word(1), now=is_heard)

    assert ahead(measured(clock, owners)) == (60 if is_heard else 0)


@pytest.mark.parametrize("whose", ["this computer's", "the owner's"])
def test_a_clock_that_was_set_is_measured_anew_as_soon_as_the_owner_speaks(
    here: Computer, owners: Owners, clock: DeskClock, whose: str
):
    clock.hear(owners.word(), now=True)
    measured(clock, owners)
    here.seconds += 2 * AGAIN_SECONDS
    clock.hear(owners.word(), now=True)
    measured(clock, owners)
    assert owners.asked == 1, "its word fits"
    if whose == "the owner's":
        owners.ahead += 60 * SECOND
    else:
        here.set_by -= 60 * SECOND
    clock.hear(owners.word(), now=False)
    measured(clock, owners)
    assert owners.asked == 1, "when that was said nobody knows"
    clock.hear(owners.word(), now=True)

    assert ahead(measured(clock, owners)) == 60


def test_a_clock_that_is_set_while_an_answer_is_on_its_way_is_known_truly(
    here: Computer, owners: Owners, clock: DeskClock
):
    owners.set_meanwhile = 40 * SECOND
    clock.hear(owners.word(), now=True)
    assert ahead(measured(clock, owners)) == -40


def test_whose_time_it_is_says_who_is_asked(owners: Owners, clock: DeskClock):
    """One that another has followed, and that was frozen meanwhile, would answer too, by a clock of its own."""
    clock.hear(owners.word(7, "attic", 31), now=True)
    measured(clock, owners)

    assert owners.whom == process_named("attic", 31) == b"31 attic"


def test_an_answer_of_an_owner_that_is_followed_by_another_meanwhile_is_nobodys(
    owners: Owners, clock: DeskClock
):
    async def story() -> None:
        clock.hear(owners.word(), now=True)
        asking = asyncio.create_task(clock.measure(owners, ADDRESS.names))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        clock.hear(owners.word(2, "attic"), now=True)
        await asking

    asyncio.run(story())
    assert (clock.offset_of(STOCKS, 1), clock.offset_of(STOCKS, 2)) == (None, None)


def test_a_slow_answer_replaces_no_exact_one_that_may_be_as_true():
    exact, slow, other = Offset(5 * SECOND, 10), Offset(5 * SECOND + 100, SECOND), Offset(9 * SECOND, SECOND)
    assert exact.better(slow) is exact
    assert slow.better(exact) is exact
    assert exact.better(other) is other


class Received:
    """A sink that notes when each frame was received, by this computer's clock."""

    def __init__(self) -> None:
        self.frames: list[tuple[bytes, int | None]] = []

    def connected(self, announcement: str | None) -> None: ...

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None: ...

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        self.frames.append((payload, received_ns))

    def notice(self, problem: str) -> None: ...


class Standby:
    """A viewer of an owner whose clock is this computer's, and of one on another computer, a minute ahead."""

    def __init__(self, here: Computer, owners: Owners, clock: DeskClock) -> None:
        self.here, self.owners, self.clock = here, owners, clock
        self.received = Received()
        self.legs = Legs()
        self.streamer = BusStreamer(
            ADDRESS,
            STOCKS,
            self.received,  # type: ignore[arg-type]
            self.legs,
            viewer="v",
            clock=clock,
            monotonic=here.monotonic,
        )
        self.before = {1: 0, 2: 0}

    def speak(self, epoch: int, **terms: int) -> None:
        word = self.owners.word(epoch, "den" if epoch == 1 else "attic", **terms)
        self.streamer._hear_health(encode_truth(word), asyncio.Event())

    def come(self, payload: bytes, epoch: int, *, at_ns: int) -> None:
        """A batch with one frame, received then by its owner's clock."""
        number, before = self.before[epoch], sum(self.before.values())
        self.before[epoch] += 1
        record = Record(RecordKind.FRAME, at_ns, payload, STOCKS, 1)
        data = encode(Head(epoch, number, before, 1), [record])
        self.streamer._viewed.take(data, Detail.FULL, self.here.monotonic())

    def measure(self) -> None:
        measured(self.clock, self.owners)
        self.streamer._viewed.hand_on(self.here.monotonic())


@pytest.fixture
def standby(here: Computer, owners: Owners, clock: DeskClock) -> Standby:
    return Standby(here, owners, clock)


@pytest.mark.parametrize("speaks_first", [True, False])
def test_what_an_owner_on_another_computer_received_is_of_its_clock_on_a_connection_that_goes_on(
    standby: Standby, owners: Owners, here: Computer, *, speaks_first: bool
):
    """A price of two minutes ago looked as fresh as one of a minute, or one of now as a minute old."""
    standby.speak(1)
    standby.measure()
    standby.come(b"of den", 1, at_ns=NOON)
    owners.ahead, here.seconds = 60 * SECOND, 2.0
    if speaks_first:
        standby.speak(2)
    standby.come(b"of attic", 2, at_ns=NOON + 61 * SECOND)
    standby.come(b"and again", 2, at_ns=NOON + 62 * SECOND)
    assert [payload for payload, _ in standby.received.frames] == [b"of den"]
    standby.speak(2)
    standby.measure()

    moments = [
        (payload, round((at_ns or 0) / SECOND) - NOON // SECOND) for payload, at_ns in standby.received.frames
    ]
    assert moments == [(b"of den", 0), (b"of attic", 1), (b"and again", 2)]


def test_what_is_received_in_a_term_that_is_not_the_owners_newest_is_not_held_up_and_is_of_its_clock(
    standby: Standby, owners: Owners
):
    """A viewer that came after another store had begun anew showed all prices two seconds late, and a minute off."""
    owners.ahead = 60 * SECOND
    standby.speak(2, stocks=1, fills=2)
    standby.measure()
    standby.come(b"of now", 1, at_ns=owners.at_ns)

    ((payload, at_ns),) = standby.received.frames
    assert (payload, round((at_ns or 0) / SECOND)) == (b"of now", NOON // SECOND)


@pytest.mark.parametrize("whose", ["this computer's, back", "the owner's, forward"])
def test_what_comes_after_a_clock_was_set_and_before_it_is_measured_is_not_fresh_until_that_time_comes(
    standby: Standby, owners: Owners, here: Computer, whose: str
):
    """A quote that nothing followed was 0 s old for an hour: it had come an hour later than now."""
    standby.speak(1)
    standby.measure()
    if whose == "the owner's, forward":
        owners.ahead = 3_600 * SECOND
    else:
        here.set_by = -3_600 * SECOND
    here.seconds = 5.0
    came_at = here.now_ns()
    standby.come(b"of now", 1, at_ns=owners.at_ns)
    here.seconds = 65.0
    standby.speak(1)
    standby.measure()
    standby.come(b"later", 1, at_ns=owners.at_ns)

    moments = [
        (payload, round((at_ns - came_at) / SECOND)) for payload, at_ns in standby.received.frames if at_ns
    ]
    assert moments == [(b"of now", 0), (b"later", 60)]


def test_what_the_owner_of_before_sent_last_is_of_its_own_clock(standby: Standby, owners: Owners):
    standby.speak(1)
    standby.measure()
    owners.ahead = 60 * SECOND
    standby.speak(2)
    standby.measure()
    standby.come(b"of den", 1, at_ns=NOON)

    assert standby.received.frames == [(b"of den", NOON)]


def test_an_owner_that_tells_no_time_holds_up_nothing_for_long(
    standby: Standby, owners: Owners, here: Computer
):
    standby.speak(1)
    standby.measure()
    owners.answers = False
    standby.speak(2)
    standby.come(b"one", 2, at_ns=NOON + SECOND)
    standby.measure()
    assert not standby.received.frames
    here.seconds += CLOCK_PATIENCE_SECONDS
    standby.come(b"two", 2, at_ns=NOON + 2 * SECOND)

    assert standby.received.frames == [(b"one", NOON + SECOND), (b"two", NOON + 2 * SECOND)]
    assert said(standby.clock) == NOT_KNOWN


def test_each_owner_that_tells_no_time_is_waited_for_anew(standby: Standby, owners: Owners, here: Computer):
    owners.answers = False
    frames = standby.received.frames
    for term in (1, 2):
        before = len(frames)
        standby.speak(term)
        standby.come(b"first", term, at_ns=NOON + term * SECOND)
        standby.measure()
        assert len(frames) == before
        here.seconds += CLOCK_PATIENCE_SECONDS
        standby.come(b"second", term, at_ns=NOON + term * SECOND)
        assert len(frames) == before + 2


class Slow:
    """A bus to a follower whose owner tells its time late; what is subscribed to is handed in by the test."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.heard: dict[str, Any] = {}
        self.followed, self.asked, self.may_answer = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def subscribe(self, subject: str, heard: Any) -> None:
        self.heard[subject] = heard
        self.followed.set()

    async def kept(self, *_: str) -> None: ...

    async def ask(self, *_: object) -> bytes:
        self.asked.set()
        await self.may_answer.wait()
        return b"1"


def test_what_a_follower_hears_while_it_waits_for_the_owners_time_is_not_forgotten(
    owners: Owners, clock: DeskClock, here: Computer
):
    async def story() -> bool:
        bus = Slow()
        follower = DeskFollower(
            ADDRESS, clock=clock, monotonic=here.monotonic, holes=lambda: 0, pictured=lambda _: None
        )
        following = asyncio.create_task(follower._hear(bus))  # type: ignore[arg-type]
        async with asyncio.timeout(AT_ONCE):
            await bus.followed.wait()
        names = ADDRESS.names
        bus.heard[names.told("*")](names.told("health"), encode_truth(owners.word()), None)
        async with asyncio.timeout(AT_ONCE):
            await bus.asked.wait()
        told = DeskAccount(AccountState(), (), ExpiryFacts(), "paper")
        account = names.account_told("*")
        bus.heard[account](account.replace("*", "truth"), encode_truth(told), None)
        bus.may_answer.set()
        bus.ended.set_result("cut")
        with pytest.raises(StreamError, match="cut"):
            await following
        follower.stop()
        assert clock.offset is not None
        return follower.desk.account == told

    assert asyncio.run(story())


class Painted:
    """A bus to a follower whose owner has a picture; how often that was taken over, and by which clock, is noted."""

    def __init__(self, owners: Owners, clock: DeskClock, here: Computer) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._owners, self._clock = owners, clock
        self._hear: Any = lambda *_: None
        self.taken: list[int | None] = []
        self.follower = DeskFollower(
            ADDRESS,
            clock=clock,
            monotonic=here.monotonic,
            holes=lambda: 0,
            pictured=lambda _: self.taken.append(ahead(clock.offset)),
            account=None,
        )

    async def subscribe(self, _: str, heard: Any) -> None:
        self._hear = heard

    async def kept(self, _: str, subject: str) -> Any:
        if subject == ADDRESS.names.state("health"):
            return SimpleNamespace(data=encode_truth(replace_struct(self._owners.word(), picture_parts=1)))
        if subject == ADDRESS.names.state("picture.0"):
            return SimpleNamespace(data=encode_truth(Picture([])))
        return None

    async def ask(self, subject: str, whom: bytes) -> bytes:
        return await self._owners.ask(subject, whom)

    async def speak_until(self, is_so: Callable[[], bool]) -> None:
        """Let the owner speak again and again."""
        async with asyncio.timeout(AT_ONCE):
            while not is_so():
                word = replace_struct(self._owners.word(), picture_parts=1)
                self._hear(ADDRESS.names.told("health"), encode_truth(word), None)
                await asyncio.sleep(0)


def test_a_picture_that_was_taken_over_by_a_clock_that_was_set_is_taken_over_again(
    owners: Owners, clock: DeskClock, here: Computer
):
    """Of it was left out what seemed to come later than now, and that was missing until the next hole."""

    async def story() -> list[int | None]:
        bus = Painted(owners, clock, here)
        following = asyncio.create_task(bus.follower._hear(bus))  # type: ignore[arg-type]
        # Once at the beginning, and once after so many words that this clock shows nothing more.
        await bus.speak_until(lambda: len(bus.taken) == 2)
        owners.ahead, owners.answers = 60 * SECOND, False
        here.seconds += 2 * AGAIN_SECONDS
        answered = owners.answered
        await bus.speak_until(lambda: owners.answered > answered)
        owners.answers = True
        here.seconds += 2 * AGAIN_SECONDS
        await bus.speak_until(lambda: len(bus.taken) > 2)
        bus.ended.set_result("cut")
        with pytest.raises(StreamError, match="cut"):
            await following
        bus.follower.stop()
        return bus.taken

    assert asyncio.run(story())[:3] == [0, 0, 60]


@pytest.mark.parametrize("wrong_seconds", [0, 60])
@pytest.mark.parametrize("ahead_seconds", [0, 60, -60])
def test_what_the_owner_tells_of_itself_and_of_the_account_is_shown_on_the_clock_of_the_screen(
    here: Computer, owners: Owners, ahead_seconds: int, wrong_seconds: int
):
    """A gap of five seconds ago lay a minute in the past or in the future, and broke no line of the chart, or each.

    Where the owner knows by how much its clock is wrong, what it tells is put right by that.
    """
    owners.ahead = ahead_seconds * SECOND
    viewer = BusManager(SETTINGS, ADDRESS, now_ns=here.now_ns, monotonic=here.monotonic)
    clock = viewer._source.clock
    clock.hear(owners.word(), now=True)
    measured(clock, owners)
    now_ns = owners.at_ns - wrong_seconds * SECOND
    now = utc_datetime(now_ns)
    gap = Gap(STOCKS, now_ns - 15 * SECOND, now_ns - 5 * SECOND, "lost")
    ago = timedelta(seconds=5)
    theirs = StreamHealth(
        STOCKS, phase=Phase.LIVE, gaps=(gap,), gap_count=1, silent_since=now - ago, next_try_at=now + ago
    )
    view = AccountPositions(now - ago, {})
    told = DeskAccount(AccountState(view=view), (), ExpiryFacts())
    skew = ClockSkew(wrong_seconds, 0.1)
    word = replace_struct(owners.word(), clock_skew=skew, streams={"stocks": theirs})
    follower = SimpleNamespace(
        desk=Desk(health=word, heard_at=here.monotonic(), account=told, place=place_of("default", word))
    )
    viewer._follower = cast("Any", follower)
    viewer.streams = cast("Any", SimpleNamespace(snapshot=lambda: of_a_run(here), queue_fill=0.0))

    snapshot = viewer.snapshot()
    health = snapshot.streams[STOCKS]
    seconds_ago = [
        round((snapshot.as_of - at).total_seconds())
        for at in (health.gaps[0].since, health.gaps[0].until, health.silent_since, health.next_try_at)
        if at is not None
    ]
    assert seconds_ago == [15, 5, 5, -5]
    assert was_interrupted(snapshot, snapshot.as_of - timedelta(seconds=20))
    assert not was_interrupted(snapshot, snapshot.as_of - timedelta(seconds=2))
    assert snapshot.account.view is not None
    assert round((snapshot.as_of - snapshot.account.view.as_of).total_seconds()) == 5


def of_a_run(here: Computer) -> LiveSnapshot:
    """What is folded here, of a run whose stream is well."""
    return LiveSnapshot(utc_datetime(here.now_ns()), streams={STOCKS: StreamHealth(STOCKS, phase=Phase.LIVE)})


def test_a_takeover_is_a_gap_on_this_computers_clock_whatever_the_two_owners_clocks_say(
    standby: Standby, owners: Owners, here: Computer
):
    standby.speak(1)
    standby.measure()
    standby.come(b"of den", 1, at_ns=NOON)
    owners.ahead = -60 * SECOND
    here.seconds = 8.0
    standby.speak(2)
    standby.measure()
    standby.come(b"of attic", 2, at_ns=NOON + (8 - 60) * SECOND)

    (gap,) = standby.legs.of(STOCKS).gaps
    assert [round((at or 0) / SECOND) - NOON // SECOND for at in (gap.since_ns, gap.until_ns)] == [0, 8]
