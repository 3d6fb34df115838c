"""One owner's term: who has yielded while it begins leaves the desk to the one that leads; what is told, and when."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from options_helper.bus.batch import Head
from options_helper.bus.connection import Stored
from options_helper.bus.continuity import Position, Verdict
from options_helper.bus.names import Names
from options_helper.bus.owner_term import OwnerTerm
from options_helper.bus.publisher import Fenced
from options_helper.bus.stores import further_stores_of, stores_of
from options_helper.bus.teller import DeskTeller, FurtherTeller
from options_helper.bus.truth import DeskNews
from options_helper.data.recording.journal import RecordKind
from options_helper.errors import StreamError
from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.frames import Frame
from options_helper.model.streams import StreamId, StreamName, fills_of
from tests.kit.jetstream import AnswersAtOnce, JetStream, at_once

NAMES = Names()
NOW_NS = 50


class Meanwhile(AnswersAtOnce):
    """Something happens before the last sequence is told."""

    then: Callable[[], None] | None = None

    async def last_sequence(self, store: str) -> int:
        if self.then is not None:
            then, self.then = self.then, None
            then()
        return await super().last_sequence(store)


def test_who_has_yielded_while_it_begins_begins_no_term():
    server = a_server()
    words = DeskTeller(NAMES)
    den = OwnerTerm(NAMES, (StreamName.STOCKS,), 100, DeskTeller(NAMES))
    attic = OwnerTerm(NAMES, (StreamName.STOCKS,), 200, words)

    def lose() -> None:
        at_once(attic.begin(AnswersAtOnce(server), 1))
        den.yield_to_another("the lease was lost")

    bus = Meanwhile(server)
    bus.then = lose
    with pytest.raises(Fenced):
        at_once(den.begin(bus, 2))

    assert den.epoch < attic.epoch
    at_once(words.tell(AnswersAtOnce(server), "news", DeskNews(())))


@pytest.mark.parametrize("asleep_at", [0, 1, 2, 3])
def test_who_wakes_and_is_not_sure_of_its_lease_begins_no_term_over_the_one_that_leads(asleep_at: int):
    """Whichever word of its term it was about to say: it would be the newer one, and fence whoever leads."""
    server, words = a_server(), DeskTeller(NAMES)
    attic = OwnerTerm(NAMES, (StreamName.STOCKS, StreamName.FILLS), 200, words)
    left = [asleep_at]

    def sleep_or_go_on() -> None:
        if not left[0]:
            if not attic.epoch:
                at_once(attic.begin(AnswersAtOnce(server), 1))
            raise StreamError("It is not known whether this one has the lease.")
        left[0] -= 1

    den = OwnerTerm(
        NAMES,
        (StreamName.STOCKS, StreamName.FILLS),
        300,
        DeskTeller(NAMES),
        require_lease=sleep_or_go_on,
    )
    for _ in range(2):
        with pytest.raises(StreamError, match="not known"):
            at_once(den.begin(AnswersAtOnce(server), 2))

    frames = [Frame(one, b"[]", 1, 7) for one in (StreamName.STOCKS, StreamName.FILLS)]
    attic.offer(frames, None, 3)
    at_once(attic.publish(AnswersAtOnce(server), NOW_NS))
    at_once(words.tell(AnswersAtOnce(server), "news", DeskNews(())))
    assert sum(one.stored for one in attic.counts.values()) == 2


class Away(AnswersAtOnce):
    """A bus that may go away before it says which the newest message of a stream is."""

    is_away = False

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        if self.is_away:
            raise StreamError("The bus is away.")
        return await super().last(store, subject, direct=direct)


@pytest.mark.parametrize("is_sure", [True, False])
def test_who_is_held_up_as_it_begins_anew_on_a_bus_that_lost_its_past_begins_anew_all_the_same(
    *, is_sure: bool
):
    """By its lease, of which it has to be sure, or by the bus: it went on in the old term as if nothing was lost."""
    may_begin = True

    def require() -> None:
        if not may_begin:
            raise StreamError("It is not known whether this one has the lease.")

    bus = Away(a_server())
    den = OwnerTerm(NAMES, (StreamName.STOCKS,), 100, DeskTeller(NAMES), require_lease=require)
    at_once(den.begin(bus, 1))
    for _ in range(2):
        frames = [Frame(StreamName.STOCKS, b"[]", 1, 7)]
        den.offer(frames, None, 1)
        at_once(den.publish(bus, NOW_NS))
        den.settle(frames)
    emptied(bus.server)
    den.offer([Frame(StreamName.STOCKS, b"[]", 1, 8)], None, 2)
    may_begin, bus.is_away = is_sure, is_sure
    for _ in range(2):
        with pytest.raises(StreamError, match=r"not known|away"):
            at_once(den.publish(bus, NOW_NS))
    assert (den.fenced, den.epoch, den.lost_messages) == (None, 100, 0)
    may_begin, bus.is_away = True, False
    at_once(den.publish(bus, NOW_NS))

    assert (den.epoch, den.unknown, den.lost_messages) == (101, 0, 3)


def test_what_a_simulator_announces_is_told_once_and_again_when_it_announces_something_new():
    server = a_server()
    told: list[list[RecordKind]] = []
    term = OwnerTerm(
        NAMES,
        (StreamName.STOCKS,),
        1,
        DeskTeller(NAMES),
        lambda _, __, records: told.append([record.kind for record in records]),
    )
    bus = AnswersAtOnce(server)
    at_once(term.begin(bus, 1))
    played, anew = (Announcement(MarketKind.SIMULATED, now_ns, 1.0, None) for now_ns in (5, 9))
    for announced in (None, played, played, anew):
        frames = [Frame(StreamName.STOCKS, b"[]", 1, 7)]
        term.offer(frames, announced, 1)
        at_once(term.publish(bus, NOW_NS))
        term.settle(frames)

    frame, market = [RecordKind.FRAME], [RecordKind.MARKET]
    assert told == [frame, market, frame, frame, market, frame]


def test_of_several_accounts_runs_each_has_its_own_place_and_tells_its_own_market():
    """One whose frames wait keeps no other's from being taken."""
    ira, roth = fills_of("ira"), fills_of("roth")
    told: list[tuple[StreamId, list[RecordKind]]] = []
    term = OwnerTerm(
        NAMES,
        (ira, roth),
        1,
        FurtherTeller(NAMES, ("ira", "roth")),
        lambda stream, _, records: told.append((stream, [record.kind for record in records])),
    )
    bus = AnswersAtOnce(a_server())
    at_once(term.begin(bus, 1))
    waiting, other = [Frame(ira, b"{}", 1, 7)], [Frame(roth, b"{}", 1, 8)]
    term.offer(waiting, Announcement(MarketKind.SIMULATED, 5, 1.0, None), 1, "ira")
    term.offer(other, None, 1, "roth")
    term.offer(waiting, None, 1, "ira")
    at_once(term.publish(bus, NOW_NS))
    term.settle(other, "roth")

    market, frame = [RecordKind.MARKET], [RecordKind.FRAME]
    assert told == [(ira, market), (ira, frame), (roth, frame)]
    assert [term.stored_unsettled_of(name) for name in ("ira", "roth")] == [1, 0]
    assert term.stored_unsettled == 1


def test_what_a_new_run_offers_is_published_though_the_one_before_it_ended_without_an_answer():
    """Frames of its own were taken for those of before, and counted as stored."""
    ira = fills_of("ira")
    told: list[tuple[bytes, ...]] = []
    term = OwnerTerm(
        NAMES,
        (ira,),
        1,
        FurtherTeller(NAMES, ("ira",)),
        lambda _, __, records: told.append(tuple(record.payload for record in records)),
    )
    bus = AnswersAtOnce(a_server())
    at_once(term.begin(bus, 1))
    before, after = [Frame(ira, b"{1}", 1, 7)], [Frame(ira, b"{2}", 2, 8)]
    term.offer(before, None, 1, "ira")
    for _ in range(2):
        term.offer(after, None, 1, "ira")
    at_once(term.publish(bus, NOW_NS))
    term.settle(after, "ira")

    assert told == [(b"{1}",), (b"{2}",)]
    assert (term.counts[ira].stored, term.stored_unsettled_of("ira")) == (3, 1)


def a_server() -> JetStream:
    wishes = (*stores_of(NAMES, 10**9), *further_stores_of(NAMES))
    return JetStream([(wish, wish.subjects[0].rstrip(".>*")) for wish in wishes])


def emptied(server: JetStream) -> None:
    for store in server.stores:
        server.put_back(store, 0)


@pytest.mark.parametrize("is_told", [True, False])
def test_who_finds_a_bus_that_lost_its_past_begins_no_term_over_one_that_leads_by_now(*, is_told: bool):
    """Whether its own lease has told it already, or what has begun on the emptied bus does."""
    server = a_server()
    den, attic = (OwnerTerm(NAMES, (StreamName.STOCKS,), epoch, DeskTeller(NAMES)) for epoch in (100, 200))
    at_once(den.begin(AnswersAtOnce(server), 1))
    for _ in range(9):
        frames = [Frame(StreamName.STOCKS, b"[]", 1, 7)]
        den.offer(frames, None, 1)
        at_once(den.publish(AnswersAtOnce(server), NOW_NS))
        den.settle(frames)
    emptied(server)
    bus = Meanwhile(server)
    if is_told:
        bus.then = lambda: den.yield_to_another("the lease was lost")
    else:
        at_once(attic.begin(AnswersAtOnce(server), 2))
    den.offer([Frame(StreamName.STOCKS, b"[]", 1, 7)], None, 3)
    with pytest.raises(Fenced):
        at_once(den.publish(bus, NOW_NS))

    assert den.epoch == 100
    if is_told:
        at_once(attic.begin(AnswersAtOnce(server), 2))
    attic.offer([Frame(StreamName.STOCKS, b"[]", 1, 7)], None, 4)
    at_once(attic.publish(AnswersAtOnce(server), NOW_NS))
    assert attic.epoch == 200


def test_who_never_heard_of_a_newer_term_that_the_bus_lost_is_believed_by_whoever_followed_that():
    """Its new term had the number behind its own, and was of an owner of before for all who had followed another."""
    server = a_server()
    bus, heard = AnswersAtOnce(server), list[Head]()
    den, attic = (
        OwnerTerm(
            NAMES, (StreamName.STOCKS,), epoch, DeskTeller(NAMES), lambda _, head, __: heard.append(head)
        )
        for epoch in (100, 200)
    )
    at_once(den.begin(bus, 100))
    at_once(attic.begin(bus, 200))
    for term, now_ns in ((attic, 250), (den, 300)):
        term.offer([Frame(StreamName.STOCKS, b"[]", 1, now_ns)], None, now_ns)
        at_once(term.publish(bus, now_ns))
        emptied(server)

    position, followed = Position().take(heard[0])
    after, arrival = position.take(heard[1])
    assert (followed.is_new, arrival.verdict, after.delivered) == (True, Verdict.NEW_OWNER, 2)
