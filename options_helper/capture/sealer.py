"""Seal finished days beside the recording, in a thread of its own."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.periodic_task import PeriodicTask
from options_helper.errors import OptionsHelperError
from options_helper.model.market_hours import new_york_date

log = logging.getLogger(__name__)

# Late events of a day still come after midnight, and its files are in use so long.
SEAL_AFTER_MIDNIGHT: Final = timedelta(minutes=30)


class Sealer:
    """Makes Parquet copies of the days that are over, on a thread of its own; called from one thread."""

    def __init__(
        self, out: Path, *, wanted: bool, open_store: Callable[[Path], IntradayStore] = IntradayStore
    ) -> None:
        self._out = out
        self._open_store = open_store
        self._wanted = wanted
        self._task = PeriodicTask("live-sealer", self._seal, math.inf, self._failed)
        self._sealed_before: date | None = None  # read by the thread, replaced by the caller
        self.problems: tuple[str, ...] = ()  # of the last round

    @property
    def busy(self) -> bool:
        """Whether it is at work."""
        return self._task.is_busy

    def seal_after_midnight(self, now: datetime) -> None:
        """Seal the last day when it has been over for some time; to be called now and then."""
        day = new_york_date(now - SEAL_AFTER_MIDNIGHT)
        if self._sealed_before is not None and day > self._sealed_before:
            self.start(now)

    def start(self, now: datetime) -> None:
        """Seal what there is to seal, unless it is being done; returns at once."""
        if not self.busy:
            self.start_after_the_last(now)

    def start_after_the_last(self, now: datetime) -> None:
        """Seal what there is when the round at work is over; returns at once."""
        if self._wanted:
            self._sealed_before = new_york_date(now)
            self._task.run_within(0)
            self._task.start()

    def close(self) -> None:
        """Begin no more rounds; the one at work goes on, and the next capture does what it leaves."""
        self._task.request_stop()

    def _seal(self) -> None:
        before = self._sealed_before
        self.problems = () if before is None else tuple(self._seal_before(before))

    def _seal_before(self, before: date) -> Iterator[str]:
        """Seal the days before this one; what could not be, as sentences."""
        store = self._open_store(self._out)
        days = {
            part.key.day
            for part in find_parts(self._out)
            if part.key.day < before and not part.parquet_path.exists()
        }
        for day in sorted(days):
            try:
                reports = store.seal(day, parquet=True)
            except OptionsHelperError as error:
                yield str(error)
                continue
            except Exception as error:
                # One day must not keep the others from being sealed.
                log.exception("the files of %s are not sealed", day)
                yield f"{day}: {type(error).__name__}: {error}"
                continue
            yield from (f"{one.part.path}: {one.problem}" for one in reports if one.problem)

    def _failed(self, error: Exception) -> None:
        self.problems = (f"the finished days, because of {type(error).__name__}: {error}",)
