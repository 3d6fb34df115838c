"""What an owner says of itself and of the account, followed beside the streams."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from options_helper.bus.address import BusAddress
from options_helper.bus.clocks import Offset, measure_offset
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

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 0.5
REFUSED_SECONDS: Final = 5.0  # what the server does not let us do, it will not a moment later
CLOCK_SECONDS: Final = 30.0
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
    "truth": ("account", DeskAccount),
    "news": ("news", DeskNews),
    "books": ("books", DeskBooks),
}


@dataclass(frozen=True, slots=True)
class Desk:
    """What is known of the owner; `heard_at` by the monotonic clock, None: never."""

    health: DeskHealth | None = None
    heard_at: float | None = None
    account: DeskAccount | None = None
    risk_inputs: RiskInputs | None = None
    news: DeskNews | None = None
    books: DeskBooks | None = None
    offset: Offset = field(default_factory=Offset)
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
    """

    def __init__(
        self,
        address: BusAddress,
        *,
        now_ns: Callable[[], int],
        monotonic: Callable[[], float],
        holes: Callable[[], int],
        pictured: Callable[[Sequence[PictureEvent], Offset], object],
        follows_account: bool = True,
    ) -> None:
        self._follows_account = follows_account
        self._address, self._names = address, address.names
        self._now_ns, self._monotonic = now_ns, monotonic
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
        await self._hear_of(bus, self._names.told("*"))
        with_account = self._follows_account
        if with_account:
            try:
                await self._hear_of(bus, self._names.account_told("*"))
            except StreamRefused as error:
                # The rest is known all the same.
                with_account, self.desk = False, replace(self.desk, problem=str(error))
        for store, subject in self._kept(with_account=with_account):
            stored = await bus.kept(store, subject)
            if stored is not None:
                self._take(subject, stored.data, heard=False)
        seen, next_clock, looks = -1, 0.0, _Looks()
        while not bus.ended.done() and not self._stopping.is_set():
            now, holes = self._monotonic(), self._holes()
            if holes != seen:
                seen, looks = holes, _Looks(self._words)
                await self._look(bus)
            elif looks.is_due(self._words):
                looks = looks.after(self._words, lags=self._lags())
                await self._look(bus)
            if now >= next_clock:
                next_clock = now + CLOCK_SECONDS
                self.desk = replace(self.desk, offset=await measure_offset(bus, self._names, self._now_ns))
            await asyncio.wait([bus.ended], timeout=LOOK_SECONDS)
        if bus.ended.done():
            raise StreamError(
                f"The connection to the bus at {self._address.url} ended: {bus.ended.result()}."
            )

    async def _hear_of(self, bus: BusConnection, subject: str) -> None:
        await bus.subscribe(subject, lambda subject, data, _: self._take(subject, data, heard=True))

    def _kept(self, *, with_account: bool) -> tuple[tuple[str, str], ...]:
        state, account = self._names.state_store, self._names.account_state_store
        return (
            (state, self._names.state("health")),
            (state, self._names.state("risk")),
            (state, self._names.state("news")),
            (state, self._names.state("books")),
            *(((account, self._names.account_state("truth")),) if with_account else ()),
        )

    def _take(self, subject: str, data: bytes, *, heard: bool) -> None:
        """Take over what was said; only what is heard now says that the owner lives."""
        match subject.rpartition(".")[2]:
            case "health":
                if (health := decode(data, DeskHealth)) is not None:
                    self._words += heard
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
                self._pictured(picture.events, self.desk.offset)
