"""What a capture records, and where."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from options_helper import __version__
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.errors import ConfigError


@dataclass(frozen=True, slots=True)
class CaptureConfig:
    """What to record and where. `streams` never has fills: those are the account's, not the market's.

    `due` is when it should have begun, where it begins too late: what was sent since is written down as lost.
    """

    streams: LiveStreamConfig
    out: Path
    journal: bool = True
    policy: StorePolicy = field(default_factory=StorePolicy)  # when the partitions are written
    due: datetime | None = None

    def __post_init__(self) -> None:
        if self.streams.further:
            names = ", ".join(request.stream for request in self.streams.further)
            raise ConfigError(f"Stocks and options can be recorded; there are no files yet for {names}.")
        object.__setattr__(self, "streams", replace(self.streams, stream_fills=False))

    def facts(self) -> dict[str, object]:
        """What a journal says of its session."""
        streams = asdict(self.streams)
        del streams["further"]  # never any here
        return {
            "version": __version__,
            "streams": streams,
            "flush_events": self.policy.flush_rows,
            "flush_seconds": self.policy.flush_seconds,
        }
