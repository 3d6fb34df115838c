"""Whose market this is, and what a simulator announces of the one it plays."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ANNOUNCEMENT_HEADER: Final = "X-Simulated-Market"


class MarketKind(StrEnum):
    """Whose prices these are; a simulator announces itself in its handshake."""

    ALPACA = "alpaca"
    LOCAL = "local"  # on this computer, so not Alpaca's; it has not said which of the next two it is
    SIMULATED = "simulated"
    REPLAY = "replay"

    @property
    def plays(self) -> bool:
        """Whether it has told a time of its own, that of the session it plays."""
        return self in (MarketKind.SIMULATED, MarketKind.REPLAY)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a simulator says of the market it plays: its time now, its speed (0: as fast as can be), its end.

    `replay_of` is whose market was recorded, of a replay that is not of Alpaca's; None where it is, or nobody knows.
    """

    kind: MarketKind
    now_ns: int
    speed: float
    until_ns: int | None
    replay_of: MarketKind | None = None

    @classmethod
    def parse(cls, header: str) -> Announcement:
        """Read `kind=replay; now_ns=…; speed=…; until_ns=…`; ValueError where it is not that."""
        fields = dict(part.strip().split("=", 1) for part in header.split(";") if "=" in part)
        try:
            until, of = fields.get("until_ns"), fields.get("of")
            return cls(
                MarketKind(fields["kind"]),
                int(fields["now_ns"]),
                float(fields["speed"]),
                int(until) if until else None,
                MarketKind(of) if of else None,
            )
        except KeyError as error:
            raise ValueError(f"the {ANNOUNCEMENT_HEADER} header lacks {error}") from error

    def header(self) -> str:
        """The header's value, as `parse` reads it."""
        until = "" if self.until_ns is None else f"; until_ns={self.until_ns}"
        of = "" if self.replay_of is None else f"; of={self.replay_of}"
        return f"kind={self.kind}; now_ns={self.now_ns}; speed={self.speed}{until}{of}"
