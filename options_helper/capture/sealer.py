"""Seal finished days beside the recording, in a thread of its own."""

from __future__ import annotations

import threading
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday_store import IntradayStore
from options_helper.errors import OptionsHelperError
from options_helper.model.market_hours import new_york_date

# Late events of a day still come after midnight, and its files are in use so long.
SEAL_AFTER_MIDNIGHT: Final = timedelta(minutes=30)


class Sealer:
    """Makes Parquet copies of the days that are over, on a thread of its own; called from one thread."""

    def __init__(self, out: Path, *, wanted: bool) -> None:
        self._out = out
        self._wanted = wanted
        self._thread: threading.Thread | None = None
        self._sealed_before: date | None = None
        self.problems: list[str] = []  # of the last round

    @property
    def busy(self) -> bool:
        """Whether it is at work."""
        return self._thread is not None and self._thread.is_alive()

    def look(self, now: datetime) -> None:
        """Seal the last day some time after midnight."""
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
            self._sealed_before = before = new_york_date(now)
            round_before = self._thread
            self._thread = threading.Thread(
                target=self._seal, args=(before, round_before), name="live-sealer", daemon=True
            )
            self._thread.start()

    def _seal(self, before: date, round_before: threading.Thread | None) -> None:
        if round_before is not None:
            round_before.join()
        problems: list[str] = []
        store = IntradayStore(self._out)
        days = {
            part.key.day
            for part in find_parts(self._out)
            if part.key.day < before and not part.parquet_path.exists()
        }
        for day in sorted(days):
            try:
                reports = store.seal(day, parquet=True)
            except OptionsHelperError as error:
                problems.append(str(error))
                continue
            problems += [f"{one.part.path}: {one.problem}" for one in reports if one.problem]
        self.problems = problems
