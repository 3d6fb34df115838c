"""What of the portfolio is asked for: the file is followed, and one that is broken leaves the last good reading."""

from __future__ import annotations

from pathlib import Path

from options_helper.data.portfolio_file import stamp_of
from options_helper.errors import ConfigError
from options_helper.ingest.selection import Selection
from options_helper.model.portfolio import load_portfolio
from options_helper.model.text import named


class FollowedPortfolio:
    """A portfolio file and the symbols of it; ConfigError where it cannot be read at first.

    `look` is for one thread; `selection` and `problem` are replaced as a whole, and may be read by any.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = stamp_of(path)
        self.selection = Selection.of(load_portfolio(path))
        self.problem: str | None = None  # what is wrong with the file now

    def look(self) -> list[str]:
        """Read it again if it was changed; a sentence about each thing that is other than before."""
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return []
        self._stamp = stamp
        before, had_problem = self.selection, self.problem is not None
        try:
            self.selection, self.problem = Selection.of(load_portfolio(self._path)), None
        except ConfigError as error:
            self.problem = f"{error} What it said before is asked for meanwhile."
            return [self.problem]
        again = [f"{self._path.name} can be read again."] if had_problem else []
        return [*again, *_changes(before, self.selection)]


def _changes(before: Selection, now: Selection) -> list[str]:
    symbols, known = now.symbols, before.symbols
    new = [symbol for symbol in symbols if symbol not in known]
    gone = [symbol for symbol in known if symbol not in symbols]
    said = [f"New in the portfolio, and asked for from now on: {named(new)}."] if new else []
    said += [f"No more in the portfolio, and no more asked for: {named(gone)}."] if gone else []
    return said + ([now.left_out] if now.left_out and now.left_out != before.left_out else [])
