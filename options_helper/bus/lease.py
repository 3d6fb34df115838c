"""Who leads a desk, as values: a lease that is held for three seconds at a time, and what to do about it when.

The lease is politeness towards Alpaca, which allows one connection; that nothing is told twice is the fence's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import msgspec

from options_helper.decoders import msgpack_decoder

TTL_SECONDS: Final = 3.0
RENEW_SECONDS: Final = 0.5
# Of the time: whoever cannot renew it leaves before another may take it.
STEP_DOWN_AT: Final = 2 / 3


class Step(StrEnum):
    """What the holder of a lease is to do."""

    KEEP = "keep"
    RENEW = "renew"
    STEP_DOWN = "step down"


class Claim(msgspec.Struct, frozen=True):
    """What is written into the lease: by whom, and whether it is free again."""

    holder: str  # of one process, and of no other ever
    host: str = ""
    pid: int = 0
    free: bool = False

    @property
    def words(self) -> str:
        """Who that is, for people."""
        return f"{self.host} (process {self.pid})"

    def may_be_taken_by(self, holder: str) -> bool:
        """Whether that one need not wait until it has run out."""
        return self.free or self.holder == holder


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that is held, by a clock of the holder's own that nobody sets; seconds.

    `is_followed`: somebody waits for it, so that it is not to be held longer than it lasts. Without anybody who would
    take over, leaving would lose what comes, and help nobody.
    """

    revision: int
    renewed_at: float  # when that which the server acknowledged was asked for
    asked_at: float
    is_followed: bool = False
    ttl: float = TTL_SECONDS

    def is_fresh(self, now: float) -> bool:
        """Whether it was renewed so lately that nobody else can have it."""
        return now - self.renewed_at < self.ttl * STEP_DOWN_AT

    def judge(self, now: float) -> Step:
        """What to do now."""
        if self.is_followed and not self.is_fresh(now):
            return Step.STEP_DOWN
        return Step.RENEW if now - self.asked_at >= RENEW_SECONDS else Step.KEEP

    def ask(self, now: float) -> Lease:
        """The same, its renewal just asked for."""
        return replace(self, asked_at=now)

    def renew(self, revision: int, *, is_followed: bool) -> Lease:
        """The same, renewed: from when that was asked for, since the server may have done it at once."""
        return replace(self, revision=revision, renewed_at=self.asked_at, is_followed=is_followed)


_CLAIMS: Final = msgpack_decoder(Claim)


def read_claim(data: bytes) -> Claim | None:
    """The claim; None where these bytes are none."""
    try:
        return _CLAIMS.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
