"""The time of the market being watched: the computer's for Alpaca, the simulator's for a session it plays.

A simulator announces its time in the websocket handshake, because ages and days to expiry are those of the session
shown, not of the day it is shown on. One thread at a time changes the clock; any may read it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from options_helper.model.announcement import Announcement, MarketKind
from options_helper.model.clock_skew import ClockSkew
from options_helper.model.market_hours import NOTHING_TOLD, ToldSessions

# A reconnect finds the session about where it was left; one that is this much earlier is another session.
_SAME_SESSION_NS: Final = 60 * 1_000_000_000
# No market is closed for longer between two events of a session that is played.
_LONGEST_PAUSE_NS: Final = 31 * 86_400 * 1_000_000_000


class _Reading(NamedTuple):
    """All that the clock is read from; replaced whole, so that a reader on another thread sees no mixture."""

    announced: Announcement | None = None
    event_ns: int = 0  # the newest event's market time …
    event_wall_ns: int | None = None  # … and its arrival; None until the first
    floor_ns: int = 0


class MarketClock:
    """Turns the computer's time into the market's; both in epoch nanoseconds.

    Alpaca's is the computer's, put right by what is known of its error.

    For a played session it follows the events: each one sets it to the event's time, and between them it runs at the
    announced speed, so that quotes grow old when the events stop. It never goes back; where it ran ahead of the
    events it stands still until they catch up. `unannounced` is whose market it is until one announces itself.
    """

    def __init__(self, unannounced: MarketKind = MarketKind.ALPACA) -> None:
        self._unannounced = unannounced
        self._reading = _Reading()
        # By so much this computer's clock is ahead of the market's; of account while no session is played.
        self.ahead_ns = 0
        # What is known of that, whether it matters or not.
        self.skew: ClockSkew | None = None
        # What the market itself said of its hours; replaced whole by whoever asks it, read by any thread.
        self.told: ToldSessions = NOTHING_TOLD

    @property
    def plays(self) -> bool:
        """Whether this is a simulator's time, which follows the events."""
        return self._reading.announced is not None

    @property
    def speed(self) -> float:
        """The market's seconds per second of the computer: 1, but for a session that is played at another pace."""
        announced = self._reading.announced
        return announced.speed if announced else 1.0

    @property
    def kind(self) -> MarketKind:
        """Whose time this is."""
        announced = self._reading.announced
        return announced.kind if announced else self._unannounced

    @property
    def replay_of(self) -> MarketKind | None:
        """Whose market was recorded, where this is a replay of one that was not Alpaca's."""
        announced = self._reading.announced
        return announced.replay_of if announced else None

    def announce(self, announcement: Announcement) -> bool:
        """Run on the simulator's time from now on; it stands still until the first event.

        Whether another session began: one that was started again, earlier than what was seen of the one before.
        """
        now = self._reading
        tolerance_ns = int(_SAME_SESSION_NS * max(1.0, announcement.speed))
        another = now.announced is not None and announcement.now_ns < now.event_ns - tolerance_ns
        before = _Reading() if another else now
        floor_ns = max(before.floor_ns, announcement.now_ns)
        self._reading = before._replace(announced=announcement, floor_ns=floor_ns)
        return another

    def arrival(self, event_ns: int | None, wall_ns: int) -> int:
        """The market's time at which an event of `event_ns` arrived; a played session's clock follows it.

        A late event does not move the clock.
        """
        now_ns = self.at(wall_ns)
        announced, newest_ns, _, floor_ns = self._reading
        if announced is None or event_ns is None or event_ns < newest_ns:
            return now_ns
        if event_ns > max(now_ns, newest_ns) + _LONGEST_PAUSE_NS:
            # An impossible time must not end the session for good.
            return now_ns
        self._reading = _Reading(announced, event_ns, wall_ns, max(floor_ns, now_ns))
        return max(now_ns, event_ns)

    def wall_was_set(self, put_forward_ns: int) -> None:
        """Somebody put this computer's clock forward by so much, or back: a played session goes on where it is."""
        event_wall_ns = self._reading.event_wall_ns
        if event_wall_ns is not None:
            self._reading = self._reading._replace(event_wall_ns=event_wall_ns + put_forward_ns)

    def at(self, wall_ns: int) -> int:
        """The market's time at that moment of the computer's."""
        announced, event_ns, event_wall_ns, floor_ns = self._reading
        if announced is None:
            return wall_ns - self.ahead_ns
        if event_wall_ns is None:
            return floor_ns
        moment = event_ns + int((wall_ns - event_wall_ns) * announced.speed)
        if wall_ns < event_wall_ns:
            # A moment that is past, such as when a connection began: the clock's own standing still does not matter.
            return moment
        if announced.until_ns is not None:
            moment = max(event_ns, min(moment, announced.until_ns))
        return max(floor_ns, moment)

    def ended(self, market_ns: int) -> bool:
        """Whether a played session has no more data at that market time."""
        announced = self._reading.announced
        return announced is not None and announced.until_ns is not None and market_ns >= announced.until_ns
