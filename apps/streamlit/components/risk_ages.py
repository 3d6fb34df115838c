"""Which risk figures rest on something that is older than this viewer takes for fresh, while it should be moving."""

from __future__ import annotations

from collections.abc import Iterable

from options_helper.analysis.risk.book_values import LineRisk
from options_helper.live.screen import ScreenModel
from options_helper.model.market_hours import expects_data
from options_helper.model.streams import StreamName


class RiskAges:
    """The ages of one screen; what is expected at its instant is asked once for each underlying."""

    def __init__(self, screen: ScreenModel) -> None:
        self._live = screen.snapshot
        self._limit = screen.options.preferences.stale_after_seconds
        self._moving: dict[tuple[str, bool], bool] = {}
        self._old: dict[int, bool] = {}

    def is_old(self, line: LineRisk) -> bool:
        """Whether an input of its figures should have moved since; `line` is one of the screen's."""
        # Asked of each line by each sum and each figure that it is in.
        found = self._old.get(id(line))
        if found is None:
            seconds = line.greek_age_seconds
            found = self._old[id(line)] = (
                seconds is not None
                and seconds > self._limit
                and self.is_moving(line.underlying, is_option=line.iv_state is not None)
            )
        return found

    def is_moving(self, underlying: str, *, is_option: bool) -> bool:
        """Whether prices of it, or of options on it, are expected at this moment."""
        # In the session all do; after it options on some underlyings for a while.
        return self._expects("", is_option=is_option) or (
            is_option and self._expects(underlying, is_option=True)
        )

    def _expects(self, underlying: str, *, is_option: bool) -> bool:
        """Whether they are, of this one or without a name of all; asked once."""
        key = underlying, is_option
        if key not in self._moving:
            name = StreamName.OPTIONS if is_option else StreamName.STOCKS
            feed = self._live.streams[name].feed or ""
            symbols = (underlying,) if underlying else ()
            self._moving[key] = expects_data(name, feed, self._live.as_of, symbols, self._live.told_sessions)
        return self._moving[key]


def oldest(lines: Iterable[LineRisk]) -> float | None:
    """The age of the oldest input of all their figures, seconds."""
    return max((line.greek_age_seconds for line in lines if line.greek_age_seconds is not None), default=None)
