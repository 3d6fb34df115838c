"""What an owner says of itself and of the account, followed beside the streams."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from options_helper.bus.accounts import TRUTH, AccountPlace, place_of
from options_helper.bus.address import BusAddress
from options_helper.bus.clocks import DeskClock
from options_helper.bus.connection import BusConnection
from options_helper.bus.loop import LoopThread
from options_helper.bus.truth import (
    DeskAccount,
    DeskBooks,
    DeskHealth,
    DeskNews,
    DeskRisk,
    Picture,
    PictureEvent,
    decode,
)
from options_helper.errors import ConfigError, StreamError, StreamRefused
from options_helper.model.risk_inputs import RiskInputs
from options_helper.model.streams import DEFAULT_ACCOUNT

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.5
REFUSED_SECONDS: Final = 5.0  # what the server does not let us do, it will not a moment later
LOOK_SECONDS: Final = 0.1
# An owner's first word after a hole may be of before it, its second is not; and its picture is told before its word.
# One that has not applied yet what it received is looked at again, until so many.
PICTURE_WORDS: Final = 2
MOST_PICTURE_WORDS: Final = 20
STOP_SECONDS: Final = 1.0
# Of 2,000 symbols each; what says that there are more is no owner's word.
MOST_PARTS: Final = 500
# What is kept as it is said: where it is said, of what kind it is, and which part of the desk it is.
_PARTS: Final[dict[str, tuple[str, type[msgspec.Struct]]]] = {
    TRUTH: ("account", DeskAccount),
    "news": ("news", DeskNews),
    "books": ("books", DeskBooks),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What is known of the owner; `heard_at` by the monotonic clock, None: never."""

    health: DeskHealth | None = None
    heard_at: float | None = None
    account: DeskAccount | None = None  # the one that is followed
    place: AccountPlace | None = None  # where that is; None: it is not served, or nobody has said
    # Of a further account: how it is there, and when that was heard. The desk's own is in `health`.
    account_health: DeskHealth | None = None
    account_heard_at: float | None = None
    account_since: float | None = None  # since when it is followed, by the same clock
    account_problem: str | None = None  # why it may not be followed
    risk_inputs: RiskInputs | None = None
    news: DeskNews | None = None
    books: DeskBooks | None = None
    problem: str | None = None  # of the connection to the bus


@dataclass(frozen=True, slots=True)
class _Looks:
    """After which of the owner's words, counted by `DeskFollower`, its picture is looked at."""

    began_at: int = 0  # how many there were at the hole
    looked_at: int = 0
    whole: bool = False  # the last look showed what was received before the hole ended

    def is_due(self, words: int) -> bool:
        """Whether it is to be looked at after so many."""
        return not self.whole and words > max(self.began_at, self.looked_at)

    def after(self, words: int, *, lags: bool) -> _Looks:
        """Once it was; `lags` where the owner has received what its picture may not show yet."""
        since = words - self.began_at
        whole = since >= (MOST_PICTURE_WORDS if lags else PICTURE_WORDS)
        return replace(self, looked_at=words, whole=whole)


class DeskFollower:
    """Owns the thread `live-follower`; `desk` is replaced whole and may be read by any.

    `pictured` is given the events of each picture, on that thread; `holes` says how often one was needed so far.
    `account` is followed by its name, or the desk's own where it is "default"; None follows none. Without `of_market`
    nothing else of the desk is.
    """

    def __init__(
        self,
        address: BusAddress,
        *,
        clock: DeskClock,
        monotonic: Callable[[], float],
        holes: Callable[[], int],
        pictured: Callable[[Sequence[PictureEvent]], object],
        account: str | None = DEFAULT_ACCOUNT,
        of_market: bool = True,
    ) -> None:
        self._account, self._of_market = account, of_market
        self._address, self._names = address, address.names
        self._clock, self._monotonic = clock, monotonic
        self._holes, self._pictured = holes, pictured
        self._loop = LoopThread("live-follower")
        self._stopping = threading.Event()
        self._words = 0  # of the owner's on how it is, heard so far
        self.desk = Desk()

    def start(self) -> None:
        """Begin."""
        self._loop.start()
        self._loop.begin(self._follow())

    def stop(self) -> None:
        """End; a second at most."""
        self._stopping.set()
        self._loop.stop(STOP_SECONDS)

    async def _follow(self) -> None:
        # The client may swallow a cancellation while it closes, so the end is asked for as well.
        while not self._stopping.is_set():
            bus, pause = BusConnection(self._address), RETRY_SECONDS
            try:
                await bus.open("options-helper follower")
                self.desk = replace(self.desk, problem=None)
                await self._hear(bus)
            except (StreamError, ConfigError) as error:
                pause = REFUSED_SECONDS if isinstance(error, StreamRefused) else RETRY_SECONDS
                self.desk = replace(self.desk, problem=str(error))
            except Exception as error:
                # The thread's last line: without it the page would show an owner that is long gone.
                log.exception("following the owner failed; it is tried again")
                self.desk = replace(self.desk, problem=f"{type(error).__name__}: {error}")
            finally:
                await bus.close()
            if not self._stopping.is_set():
                await asyncio.sleep(pause)

    async def _hear(self, bus: BusConnection) -> None:
        """Until the connection is gone."""
        await self._hear_of(bus, self._names.told("*" if self._of_market else "health"))
        for what in ("health", "risk", "news", "books") if self._of_market else ("health",):
            await self._take_kept(bus, self._names.state_store, self._names.state(what))
        place = self._place()
        await self._hear_account(bus, place)
        seen: tuple[int, int] | None = None
        looks = _Looks()
        while not bus.ended.done() and not self._stopping.is_set():
            if (found := self._place()) != place:
                if place is not None:
                    return  # the owner serves others now: what was followed is not that account any more
                place = found
                await self._hear_account(bus, found)
            # Before a picture is taken over: it has the receipts of that clock. One that was taken over by a wrong one
            # lacks all that seemed to come later than now.
            await self._clock.measure(bus, self._names)
            wanted = self._holes(), self._clock.moves
            if not self._of_market:
                pass
            elif wanted != seen:
                seen, looks = wanted, _Looks(self._words)
                await self._look(bus)
            elif looks.is_due(self._words):
                looks = looks.after(self._words, lags=self._lags())
                await self._look(bus)
            await asyncio.wait([bus.ended], timeout=LOOK_SECONDS)
        if bus.ended.done():
            raise StreamError(
                f"The connection to the bus at {self._address.url} ended: {bus.ended.result()}."
            )

    def _place(self) -> AccountPlace | None:
        return None if self._account is None else place_of(self._account, self.desk.health)

    async def _hear_account(self, bus: BusConnection, place: AccountPlace | None) -> None:
        """Follow the account there; where that may not be, the rest is known all the same."""
        if place != self.desk.place:
            self.desk = replace(self.desk, account=None, account_health=None)
        # What was heard before says nothing of the time in which nobody was here to hear it.
        self.desk = replace(
            self.desk,
            place=place,
            account_since=self._monotonic(),
            account_heard_at=None,
            account_problem=None,
        )
        if place is None:
            return
        names = self._names
        try:
            await self._hear_of(bus, names.account_told("*", place.account), place)
            for what in (TRUTH,) if place.is_own else (TRUTH, "health"):
                await self._take_kept(
                    bus, names.state_store_of(place.account), names.account_state(what, place.account), place
                )
        except StreamRefused as error:
            self.desk = replace(self.desk, account_problem=str(error))

    async def _hear_of(self, bus: BusConnection, subject: str, place: AccountPlace | None = None) -> None:
        await bus.subscribe(subject, lambda subject, data, _: self._take(subject, data, place, heard=True))

    async def _take_kept(
        self, bus: BusConnection, store: str, subject: str, place: AccountPlace | None = None
    ) -> None:
        stored = await bus.kept(store, subject)
        if stored is not None:
            self._take(subject, stored.data, place, heard=False)

    def _take(self, subject: str, data: bytes, place: AccountPlace | None = None, *, heard: bool) -> None:
        """Take over what was said, there of an account; only what is heard now says that the owner lives."""
        match subject.rpartition(".")[2]:
            case "health" if place is not None:
                if (health := decode(data, DeskHealth)) is not None:
                    self._clock.hear_of_account(health)
                    heard_at = self._monotonic() if heard else self.desk.account_heard_at
                    self.desk = replace(self.desk, account_health=health, account_heard_at=heard_at)
            case "health":
                if (health := decode(data, DeskHealth)) is not None:
                    self._words += heard
                    self._clock.hear(health, now=heard)
                    heard_at = self._monotonic() if heard else self.desk.heard_at
                    self.desk = replace(self.desk, health=health, heard_at=heard_at)
            case "risk":
                if (risk := decode(data, DeskRisk)) is not None:
                    self.desk = replace(self.desk, risk_inputs=risk.inputs)
            case what if (part := _PARTS.get(what)) is not None:
                name, kind = part
                if (value := decode(data, kind)) is not None:
                    changed: dict[str, Any] = {name: value}
                    self.desk = replace(self.desk, **changed)

    def _lags(self) -> bool:
        """Whether the owner has received what its picture may not show yet."""
        health = self.desk.health
        return health is not None and not health.ended and any(one.queued for one in health.streams.values())

    async def _look(self, bus: BusConnection) -> None:
        """Take over the newest prices that the owner has."""
        health = self.desk.health
        for number in range(0 if health is None else min(health.picture_parts, MOST_PARTS)):
            stored = await bus.kept(self._names.state_store, self._names.state(f"picture.{number}"))
            picture = None if stored is None else decode(stored.data, Picture)
            if picture is not None:
                self._pictured(picture.events)
