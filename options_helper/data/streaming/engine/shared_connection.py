"""One connection of several runs: made for the first, ended with the last, and each is sent its share of the frames."""

from __future__ import annotations

import copy
import logging
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import SecretStr

from options_helper.data.streaming.connection.connection_runner import StreamSink
from options_helper.data.streaming.engine.frame_share import FrameHeads, Wanted
from options_helper.data.streaming.engine.inbox import Inbox
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.data.streaming.engine.stream_source import StreamSource, SymbolStreamer
from options_helper.data.streaming.engine.wishes import (
    Wishes,
    send_difference,
    united,
    with_channels,
    without_channels,
)
from options_helper.errors import OptionsHelperError, StreamError, StreamRefused
from options_helper.model.announcement import Announcement
from options_helper.model.streams import StreamId
from options_helper.settings import Settings

log = logging.getLogger(__name__)

_DEFAULT_CHANNELS: Final = ("quotes", "trades")


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a connection is made with: two runs that differ in it cannot have the same one."""

    feed: str
    api_key: SecretStr | None
    api_secret: SecretStr | None
    address: str

    @classmethod
    def of(cls, stream: StreamId, settings: Settings, config: LiveStreamConfig) -> _Terms:
        feed = config.feed(stream)
        if stream.kind.carries_orders:
            address = settings.for_account(paper=config.paper).base_url
            return cls(feed, settings.api_key, settings.api_secret, address)
        data = settings.market_data
        return cls(feed, data.api_key, data.api_secret, data.stream_url)


class SharedStreamer:
    """One run's part in a shared connection; a `SymbolStreamer`. Symbols are spelled as the server spells them."""

    def __init__(
        self,
        connection: SharedConnection,
        user: str,
        settings: Settings,
        config: LiveStreamConfig,
        sink: StreamSink,
    ) -> None:
        self.user = user
        self.settings = settings
        self.config = config
        self.sink = sink
        self.terms = _Terms.of(connection.stream, settings, config)
        self._connection = connection
        # Guarded by the connection's lock, as everything below.
        self.wishes: Wishes = {}
        self.is_stopped = False
        self.inbox = Inbox(sink)
        # Of the connection's frames; None: all of them. Replaced whole.
        self.wanted: Wanted | None = None
        # How many frames of the connection had come when this one was sent the last.
        self.heard = 0
        # The last answer that the sink was told.
        self.told: tuple[tuple[str, ...], tuple[str, ...], Mapping[str, str]] | None = None

    def subscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols too; before or during `run`, never waits."""
        chosen = channels
        if chosen is None:
            offered = self._connection.stream.kind.channels
            chosen = tuple(name for name in _DEFAULT_CHANNELS if name in offered) or offered
        with self._connection.lock:
            self._connection.change_wishes(self, with_channels(self.wishes, symbols, chosen))

    def unsubscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols no longer; what another run wants goes on for that one."""
        with self._connection.lock:
            self._connection.change_wishes(self, without_channels(self.wishes, symbols, channels))

    def renew(self, symbols: Iterable[str], channel: str) -> None:
        """Take them again, for all who have them: their whole books come then."""
        with self._connection.lock:
            self._connection.renew(self, symbols, channel)

    def run(self) -> None:
        """Take part in the connection; return when stopped, raise StreamError for whatever ended it. Blocks."""
        life = self._connection.join(self)
        if life is None:
            return
        try:
            self.inbox.hear()
        finally:
            self._connection.leave(self, life)

    def stop(self) -> None:
        """Leave, soon; the connection goes on for the others."""
        with self._connection.lock:
            self.is_stopped = True
            self.inbox.end(None)
            self._connection.lock.notify_all()

    def abandon(self) -> None:
        """Leave because nothing is heard; where the others hear nothing either, all of them leave."""
        with self._connection.lock:
            self._connection.abandon(self)
        self.stop()


class SharedConnection:
    """One stream's connection, as it comes and goes.

    What is public here is for its streamers, who hold `lock` where it is not said that a method takes it.
    """

    def __init__(self, stream: StreamId, source: StreamSource, now_ns: Callable[[], int]) -> None:
        self.stream = stream
        self.lock = threading.Condition(threading.Lock())
        self._source = source
        self._now_ns = now_ns
        # Everything below is guarded by self.lock.
        self._life: _Life | None = None
        # Who lost the connection and has not come back, and who was refused because it wants another one.
        self._lost: weakref.WeakSet[StreamSink] = weakref.WeakSet()
        self._refused: weakref.WeakSet[StreamSink] = weakref.WeakSet()

    def join(self, streamer: SharedStreamer) -> _Life | None:
        """Take part in the connection that there is, or make one; None where it was stopped. Takes the lock, and waits.

        StreamRefused where the others' connection is another than it wants; OptionsHelperError where none can be made.
        """
        invited: list[StreamSink] = []
        with self.lock:
            while self._life is not None and self._life.is_ending and not streamer.is_stopped:
                self.lock.wait()
            if streamer.is_stopped:
                return None
            streamer.inbox, streamer.told = Inbox(streamer.sink), None
            self._lost.discard(streamer.sink)
            self._refused.discard(streamer.sink)
            life = self._life
            if life is None:
                life = _Life(self, streamer, self._source, self._now_ns)
                life.add(streamer)
                life.thread.start()
                self._life = life
                invited = list(self._lost)
            elif life.terms == streamer.terms:
                life.add(streamer)
            else:
                self._refused.add(streamer.sink)
                raise life.refusal_of(streamer)
        for sink in invited:
            sink.invite()
        return life

    def leave(self, streamer: SharedStreamer, life: _Life) -> None:
        """Take part no more; the last one waits until the connection is closed. Takes the lock."""
        with self.lock:
            if not life.remove(streamer):
                return
        life.thread.join()

    def ended(self, life: _Life, error: OptionsHelperError) -> None:
        """It is over; on its own thread. Takes the lock."""
        invited: list[StreamSink] = []
        with self.lock:
            self._life = None
            if not life.members:
                # There is room now for the one that they want.
                invited = list(self._refused)
            for streamer in life.members:
                self._lost.add(streamer.sink)
                # Each run writes a traceback of its own into what it raises.
                streamer.inbox.end(copy.copy(error))
            life.members = ()
            self.lock.notify_all()
        for sink in invited:
            sink.invite()

    def change_wishes(self, streamer: SharedStreamer, wishes: Wishes) -> None:
        """Take this for what it wants from now on."""
        streamer.wishes = wishes
        if (life := self._life_of(streamer)) is not None:
            life.follow_wishes()

    def renew(self, streamer: SharedStreamer, symbols: Iterable[str], channel: str) -> None:
        """Ask anew."""
        if (life := self._life_of(streamer)) is not None:
            life.streamer.renew(symbols, channel)

    def abandon(self, streamer: SharedStreamer) -> None:
        """End the connection, unless it brings others what they want: then it is silent for this one alone."""
        life = self._life_of(streamer)
        if life is not None and life.frames == streamer.heard:
            life.abandoned_by = streamer.user
            # Whoever left it for its silence is not to find it again.
            life.is_ending = True
            self._lost.add(streamer.sink)
            life.streamer.stop()

    def _life_of(self, streamer: SharedStreamer) -> _Life | None:
        life = self._life
        return life if life is not None and streamer in life.members else None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the server said last: to what, what it has of it, and why not the rest."""

    asked: Wishes
    held: Wishes
    refusals: Mapping[str, str]

    def to(self, wishes: Wishes) -> tuple[tuple[str, ...], tuple[str, ...], Mapping[str, str]] | None:
        """Requested, acknowledged and refused of these; None where some of it was not asked for yet."""
        if not all(self._asked_for(symbol, channels) for symbol, channels in wishes.items()):
            return None
        return (
            tuple(wishes),
            tuple(symbol for symbol in wishes if self._has_some(symbol, wishes)),
            {
                symbol: self.refusals[symbol]
                for symbol in wishes
                if symbol in self.refusals and not self._has_all(symbol, wishes)
            },
        )

    def _asked_for(self, symbol: str, channels: tuple[str, ...]) -> bool:
        return symbol in self.asked and set(channels) <= set(self.asked[symbol])

    def _has_some(self, symbol: str, wishes: Wishes) -> bool:
        held = self.held.get(symbol)
        return held is not None and not (wishes[symbol] and set(held).isdisjoint(wishes[symbol]))

    def _has_all(self, symbol: str, wishes: Wishes) -> bool:
        # Another run's channel may be the one that was refused.
        return bool(wishes[symbol]) and set(wishes[symbol]) <= set(self.held.get(symbol, ()))


def _by_symbols(
    requested: Sequence[str], acknowledged: Sequence[str], union: Wishes
) -> tuple[Wishes, Wishes]:
    """An answer that names symbols alone, taken for what is wanted of them now."""
    asked = {symbol: union.get(symbol, ()) for symbol in requested}
    return asked, {symbol: asked[symbol] for symbol in acknowledged if symbol in asked}


class _Life(StreamSink):
    """One connection from its making to its end, on a thread of its own; it is the sink of the source's streamer.

    Its methods for streamers are called under the connection's lock; those of a sink take it, but `frame`.
    """

    def __init__(
        self,
        connection: SharedConnection,
        first: SharedStreamer,
        source: StreamSource,
        now_ns: Callable[[], int],
    ) -> None:
        self.terms = first.terms
        self.is_ending = False
        self.abandoned_by: str | None = None
        # Replaced whole; frame() reads it without the lock.
        self.members: tuple[SharedStreamer, ...] = ()
        # Counted by its own thread; abandon() may see it a moment late.
        self.frames = 0
        self._connection = connection
        self._stream = connection.stream
        self._now_ns = now_ns
        self._is_connected = False
        self._announcement: str | None = None
        self._announced_ns = 0
        self._answer: _Answer | None = None
        # By channels, where the source tells them: what was asked of it, and what the server has.
        self._channels: tuple[Wishes, Wishes] | None = None
        self._union: Wishes = {}
        # What may still come: what was wanted at the last answer, and since.
        self._flowing: Wishes = {}
        # As the source promises, where the stream has channels; nothing else is asked of one that has none.
        self.streamer: SymbolStreamer = source.streamer(  # type: ignore[assignment]
            connection.stream, first.settings, first.config, self
        )
        self.thread = threading.Thread(target=self._run, name=f"live-shared-{self._stream}", daemon=True)

    def _run(self) -> None:
        try:
            self.streamer.run()
            error: OptionsHelperError = StreamError(f"The {self._stream} stream ended without a reason.")
        except OptionsHelperError as raised:
            error = raised
        except BaseException as raised:
            # The thread's last line of defence, as a worker's: all who share the connection are told.
            log.exception("the %s stream raised an unexpected error", self._stream)
            error = StreamError(
                f"The {self._stream} stream ended unexpectedly ({type(raised).__name__}): {raised}"
            )
        if self.abandoned_by is not None:
            error = StreamError(
                f"Nothing came over the {self._stream} connection, so {self.abandoned_by} has it made anew."
            )
        self._connection.ended(self, error)

    def refusal_of(self, streamer: SharedStreamer) -> StreamRefused:
        """Why it cannot take part."""
        users = " and ".join(dict.fromkeys(one.user for one in self.members)) or "another run"
        mine, theirs = streamer.terms, self.terms
        if mine.feed != theirs.feed:
            return StreamRefused(
                f"{users[0].upper()}{users[1:]} has the {self._stream} connection with the feed {theirs.feed}, and "
                f"the account has one connection: {streamer.user} cannot have {mine.feed} beside it. "
                "Choose the same feed, or end the other first."
            )
        return StreamRefused(
            f"{users[0].upper()}{users[1:]} has the {self._stream} connection with other keys or at another address, "
            f"so {streamer.user} cannot share it. End the other first."
        )

    def add(self, streamer: SharedStreamer) -> None:
        """From now on it is told everything, and first of all what it missed."""
        if self._is_connected:
            sink, announcement = streamer.sink, self._announcement_now()
            streamer.inbox.tell(lambda: sink.connected(announcement))
        streamer.heard = self.frames
        self.members = (*self.members, streamer)
        self.follow_wishes()

    def remove(self, streamer: SharedStreamer) -> bool:
        """Whether it was the last one, and the connection ends."""
        if streamer not in self.members:
            return False
        self.members = tuple(one for one in self.members if one is not streamer)
        if self.members:
            self.follow_wishes()
            return False
        self.is_ending = True
        self.streamer.stop()
        return True

    def follow_wishes(self) -> None:
        """Ask the server for what is wanted now, and send each its share."""
        before, self._union = self._union, united(one.wishes for one in self.members)
        if before != self._union:
            self._flowing = united((self._flowing, self._union))
            send_difference(self.streamer, before, self._union)
        self._part()
        for streamer in self.members:
            self._tell_answer(streamer)

    def _part(self) -> None:
        for streamer in self.members:
            streamer.wanted = None if _has_all(streamer.wishes, self._flowing) else Wanted(streamer.wishes)

    def connected(self, announcement: str | None) -> None:
        """Tell them all."""
        with self._connection.lock:
            self._is_connected = True
            self._announcement, self._announced_ns = announcement, self._now_ns()
            for streamer in self.members:
                sink = streamer.sink
                streamer.inbox.tell(lambda sink=sink: sink.connected(announcement))  # type: ignore[misc]

    def _announcement_now(self) -> str | None:
        """What the simulator would say of its market now; one that plays as fast as it can has no pace to go by."""
        if self._announcement is None:
            return None
        try:
            said = Announcement.parse(self._announcement)
        except ValueError:
            return self._announcement
        now_ns = said.now_ns + int((self._now_ns() - self._announced_ns) * said.speed)
        if said.until_ns is not None:
            now_ns = max(said.now_ns, min(now_ns, said.until_ns))
        return replace(said, now_ns=now_ns).header()

    def subscribed(
        self, requested: Sequence[str], acknowledged: Sequence[str], refusals: Mapping[str, str]
    ) -> None:
        """Tell each what the answer means for it."""
        with self._connection.lock:
            asked, held = self._channels or _by_symbols(requested, acknowledged, self._union)
            self._answer = _Answer(asked, held, dict(refusals))
            # What was left before it comes no more.
            self._flowing = united((asked, self._union))
            self._part()
            for streamer in self.members:
                self._tell_answer(streamer)

    def answered(self, asked: Wishes, held: Wishes) -> None:
        """Note it for the answer that comes next."""
        with self._connection.lock:
            self._channels = dict(asked), dict(held)

    def _tell_answer(self, streamer: SharedStreamer) -> None:
        """What the server said to its wishes, where it has answered them all."""
        if self._answer is None:
            return
        # One without symbols to choose asks for what its source names.
        mine = streamer.wishes if self._stream.kind.channels else self._answer.asked
        answer = self._answer.to(mine)
        if answer is None:
            return
        if answer == streamer.told:
            return
        streamer.told = answer
        sink, inbox = streamer.sink, streamer.inbox
        inbox.tell(lambda: sink.subscribed(*answer))
        asked, taken, refused = answer
        if asked and not taken and refused:
            reason = next(iter(refused.values()))
            inbox.end(
                StreamRefused(f"The server refused every symbol that {streamer.user} asked for: {reason}")
            )

    def frame(self, payload: bytes, events: int, received_ns: int | None = None) -> None:
        """Send each its share, with the same moment of receipt: it is data for whoever records."""
        if received_ns is None:
            received_ns = self._now_ns()
        self.frames += 1
        heads: FrameHeads | None = None
        for streamer in self.members:
            wanted = streamer.wanted
            if wanted is None:
                streamer.inbox.frame(payload, events, received_ns)
            else:
                heads = heads or FrameHeads(payload, events)
                share = heads.share(wanted)
                if share is None:
                    continue
                streamer.inbox.frame(share.payload, share.events, received_ns)
            streamer.heard = self.frames

    def notice(self, sentence: str) -> None:
        """Tell them all."""
        with self._connection.lock:
            for streamer in self.members:
                sink = streamer.sink
                streamer.inbox.tell(lambda sink=sink: sink.notice(sentence))  # type: ignore[misc]

    def may_wait(self) -> bool:
        """Only while nobody who shares it wants frames at once: a recorder's times of receipt are data."""
        return all(streamer.sink.may_wait() for streamer in self.members)

    def invite(self) -> None:
        """Nobody does: the connection is here."""


def _has_all(wishes: Wishes, flowing: Wishes) -> bool:
    """Whether everything that may come is wanted."""
    return all(set(channels) <= set(wishes.get(symbol, ())) for symbol, channels in flowing.items())
