"""Whether an owner listens to a stream for a recording, and how long none did, as far as no row says so yet.

The row of a takeover, or of a connection that the owner made anew, comes with the next frame. Until then, and where no
next owner ever comes, nothing on the bus tells of the time in between: the owners' own words do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from options_helper.bus.truth import DeskHealth
from options_helper.model.frames import Place
from options_helper.model.snapshot import Phase
from options_helper.model.streams import StreamId

# An owner speaks twice a second: this is two words that did not come.
SILENT_SECONDS: Final = 1.5
_HEARS: Final = (Phase.LIVE, Phase.QUIET, Phase.STALLED)
_BEGINS: Final = (Phase.OFF, Phase.CONNECTING)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time by the monotonic clock, seconds."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.until - self.since


@dataclass(frozen=True, slots=True)
class Listening:
    """What is known of one stream; all times by this computer's monotonic clock.

    Up to `until` somebody listened, or it is in `untold` or `counted`. `untold` is the time without anybody of which
    the next frame will bring a row; `counted` is what passed without one. `reached` is since when the bus is; None: it
    is not, and of what its owner does nothing is known. `said` is how far the stream was published at the last word,
    its term and its events: frames come by another way than words, and one from before says nothing of what the word
    tells.
    """

    until: float  # at first when the bus was reached
    heard_at: float = float("-inf")
    hears: bool = False
    ever: bool = False  # somebody listened since this recording began
    reached: float | None = None
    untold: tuple[Span, ...] = ()
    counted: tuple[Span, ...] = ()
    said: tuple[int, int] = (0, 0)

    def reach(self, now: float) -> Listening:
        """The bus is there."""
        return replace(self, reached=now)

    def lose(self) -> Listening:
        """It is not."""
        return replace(self, reached=None)

    def hear(self, health: DeskHealth, stream: StreamId, now: float) -> Listening:
        """The owner said now how its streams are."""
        owner = health.health_of(stream)
        published = health.published.get(str(stream))
        said = self.said if published is None else (published.epoch, published.events)
        heard = replace(self, heard_at=now, said=said)
        if health.ended:
            return replace(heard, hears=False)
        if owner is not None and owner.phase in _HEARS:
            since = self._since(health, stream, now)
            return replace(heard, until=now, hears=True, ever=True, untold=self._untold_until(since))
        if not self.ever and (owner is None or owner.phase in _BEGINS):
            # It is asked for just now, by this recording: nobody was to listen before.
            late = now if now - self.until > SILENT_SECONDS and not self.hears else self.until
            return replace(heard, until=now, hears=True, untold=self._untold_until(late))
        return replace(heard, hears=False)

    def _since(self, health: DeskHealth, stream: StreamId, now: float) -> float:
        lasts = health.connected_for(stream)
        if lasts is None or (self.hears and not self.ever):
            return self.until
        return now - lasts

    def _untold_until(self, since: float) -> tuple[Span, ...]:
        return self.untold if since <= self.until else (*self.untold, Span(self.until, since))

    def told(self, place: Place, now: float) -> Listening:
        """A row has come of the time in which nobody listened, with what was heard first after it, up to that place."""
        if place.epoch < self.said[0]:
            return self
        return self._at_work(place, now, untold=())

    def go_on(self, place: Place, now: float) -> Listening:
        """Frames have come up to that place without one, so none will."""
        if not self._is_news(place):
            return self
        lasting = self.lasting(now) if place.epoch > self.said[0] else None
        passed = self.untold if lasting is None else (*self.untold, lasting)
        return self._at_work(place, now, untold=(), counted=(*self.counted, *passed))

    def _is_news(self, place: Place) -> bool:
        """Whether it was published after the last word; before the first, frames may be of any time."""
        return self.heard_at > float("-inf") and (place.epoch, place.events) > self.said

    def _at_work(self, place: Place, now: float, **changes: tuple[Span, ...]) -> Listening:
        """What was published after the last word shows, as a word does, that somebody listens."""
        changed = replace(self, **changes)  # type: ignore[arg-type]
        return (
            replace(changed, until=now, heard_at=now, hears=True, ever=True)
            if self._is_news(place)
            else changed
        )

    def lasting(self, now: float) -> Span | None:
        """Since when nobody listens; None where somebody does, for all that is known."""
        if self.reached is None:
            return None
        silent = now - max(self.heard_at, self.reached) > SILENT_SECONDS
        if not silent and (self.hears or self.heard_at < self.reached):
            return None
        return Span(self.until, now) if now > self.until else None

    def spans(self, now: float) -> tuple[Span, ...]:
        """The time without anybody of which no row has come."""
        lasting = self.lasting(now)
        known = (*self.counted, *self.untold)
        return known if lasting is None else (*known, lasting)

    def seconds(self, now: float) -> float:
        """How long that is."""
        return sum(one.seconds for one in self.spans(now))
