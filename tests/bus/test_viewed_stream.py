"""What a viewer counts from: nothing that was published before it followed is missed by it."""

from __future__ import annotations

from options_helper.bus.batch import Head, encode
from options_helper.bus.clocks import Offset
from options_helper.bus.detail import Detail
from options_helper.bus.streamer import Legs
from options_helper.bus.truth import DeskHealth, Published
from options_helper.bus.viewed_stream import ViewedStream
from options_helper.data.recording.journal import Record, RecordKind
from options_helper.model.announcement import MarketKind
from options_helper.model.streams import StreamId, StreamName

STOCKS = StreamName.STOCKS


class OneClock:
    """The owner's computer is the viewer's."""

    @staticmethod
    def offset_of(_: StreamId, __: int) -> Offset:
        return Offset()

    @staticmethod
    def received_here(owner_ns: int, offset: Offset | None) -> int:
        return owner_ns

    @staticmethod
    def here(health: DeskHealth) -> DeskHealth:
        return health


class Silent:
    """Takes everything in."""

    def connected(self, announcement: str | None) -> None: ...

    def notice(self, sentence: str) -> None: ...

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None: ...


def word(events: int) -> DeskHealth:
    """The owner says how far it has published."""
    return DeskHealth(
        program="1", host="den", pid=7, at_ns=0, market=MarketKind.ALPACA,
        published={"stocks": Published(1, events)},
    )  # fmt: skip


def batch(number: int, before: int, events: int) -> bytes:
    return encode(Head(1, number, before, events), [Record(RecordKind.FRAME, 1, b"[]", STOCKS, events)])


def test_words_of_before_it_followed_do_not_count():
    """The newest came live, and the kept one of some seconds before arrived after it."""
    viewed = ViewedStream(STOCKS, Silent(), Legs(), OneClock())
    viewed.published(word(279))
    viewed.published(word(276))
    viewed.begin()
    viewed.published(word(279))
    viewed.follow()
    viewed.answer(0.0)

    viewed.take(batch(142, 282, 1), Detail.FULL, 0.0)

    assert (viewed.leg.position.missed, viewed.leg.position.received) == (0, 1)


def test_from_the_second_word_since_it_follows_on_all_is_counted():
    viewed = ViewedStream(STOCKS, Silent(), Legs(), OneClock())
    viewed.begin()
    viewed.follow()
    viewed.answer(0.0)
    viewed.published(word(276))
    viewed.published(word(279))

    viewed.take(batch(142, 282, 1), Detail.FULL, 0.0)

    assert (viewed.leg.position.missed, viewed.leg.position.received) == (3, 4)
