"""What a capture records, and where."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path

from options_helper import __version__
from options_helper.data.intraday.layout import kinds_of
from options_helper.data.intraday_store import StorePolicy
from options_helper.data.recording.book_recorder import BookSampling
from options_helper.data.streaming.engine.stream_config import LiveStreamConfig
from options_helper.errors import ConfigError
from options_helper.model.streams import StreamId, StreamName


@dataclass(frozen=True, slots=True)
class CaptureConfig:
    """What to record and where. `streams` never has fills: those are the account's, not the market's.

    Of a desk's streams, which are everybody's, rows are made of the symbols that were asked for. `due` is
    when it should have begun, where it begins too late: what was sent since is written down as lost.
    """

    streams: LiveStreamConfig
    out: Path
    journal: bool = True
    policy: StorePolicy = field(default_factory=StorePolicy)  # when the partitions are written
    due: datetime | None = None
    desk: str | None = None  # whose streams are followed on a bus; None: it has connections of its own
    books: BookSampling = field(default_factory=BookSampling)  # how order books are sampled

    def __post_init__(self) -> None:
        if strange := [stream for stream in wanted_streams(self.streams) if not kinds_of(stream)]:
            raise ConfigError(
                f"There are no files yet for {', '.join(strange)}; leave them out of the capture."
            )
        if self.desk is not None and not self.journal:
            raise ConfigError("A recording of a bus keeps its place there in its journal: it needs one.")
        object.__setattr__(self, "streams", replace(self.streams, stream_fills=False))

    def facts(self) -> dict[str, object]:
        """What a journal says of its session."""
        facts = {
            "version": __version__,
            "streams": asdict(self.streams),
            "flush_events": self.policy.flush_rows,
            "flush_seconds": self.policy.flush_seconds,
        }
        if self.desk is not None:
            facts["desk"] = self.desk
        has_books = any("books" in kinds_of(stream) for stream in wanted_streams(self.streams))
        return {**facts, "books": asdict(self.books)} if has_books else facts


def wanted_streams(config: LiveStreamConfig) -> list[StreamId]:
    """The market's streams that there is something to record of, those of the default account first."""
    every = (*StreamName, *(request.stream for request in config.further))
    return [stream for stream in every if config.wants(stream) and not stream.kind.carries_orders]
