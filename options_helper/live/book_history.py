"""What one book was in a run: its profit and its marks for the chart, and its steps for what changed it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.figures_together import id_of
from options_helper.analysis.risk.fill_costs import DayTrades
from options_helper.live.change_history import ChangeHistory
from options_helper.live.pnl_history import Measure, PnlHistory, is_heard, was_interrupted
from options_helper.model.snapshot import LiveSnapshot


class BookHistory:
    """Of one portfolio, or of several accounts' together. Knows no thread: its owner guards it."""

    def __init__(self) -> None:
        self.pnl = PnlHistory()
        self.changes = ChangeHistory()
        self._read_until: datetime | None = None

    def go_on(self, *, is_same: bool) -> None:
        """The run goes on, with the same positions or with others: what comes is not the same sum going on."""
        if is_same:
            self.pnl.break_line()
        else:
            self.pnl.begin_book()

    def sample(self, snapshot: LiveSnapshot, measure: Measure) -> None:
        """Note what the book is worth at this snapshot."""
        seen_until = self.pnl.seen_until
        if seen_until is not None and snapshot.as_of < seen_until:
            if snapshot.market.plays:
                # A replay begun again starts at its own morning: that is another session.
                self.pnl = PnlHistory()
            else:
                # This computer's clock was set or put right; the session goes on.
                self.pnl.forget_after(snapshot.as_of)
            # Steps of another session, or of a time that is still to come, can be told from no more.
            self.changes, self._read_until = ChangeHistory(), None
        self.pnl.add(snapshot, measure)

    def note(self, book: BookFigures, trades: DayTrades | None, snapshot: LiveSnapshot) -> None:
        """Note what the book is, so that its change can be told by causes."""
        heard = is_heard(snapshot)
        lost = heard and was_interrupted(snapshot, self._read_until)
        self.changes.add(book, trades, is_heard=heard, was_lost=lost)
        self._read_until = snapshot.as_of


def measures_together(measures: Mapping[str, Measure | None]) -> Measure:
    """What several accounts are worth; one of which nothing is known (None) counts as a part that lacks."""
    known = {account: one for account, one in measures.items() if one is not None}
    pnl = [one.pnl for one in known.values() if one.pnl is not None]
    natural = [one.natural for one in known.values() if one.natural is not None]
    return Measure(
        pnl=sum(pnl) if pnl else None,
        # Beside a sum of other positions it would show a distance that is not there.
        natural=sum(natural) if natural and len(natural) == len(pnl) else None,
        counted=sum(one.counted for one in known.values()),
        positions=sum(one.positions for one in known.values()) + len(measures) - len(known),
        marks={
            id_of(account, key): mark for account, one in known.items() for key, mark in one.marks.items()
        },
    )
