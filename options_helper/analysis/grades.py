"""How good the price of a line is, in one word: what a sum rests on is counted by it.

A grade is of the price of now, the quantity held and the session it is of, whichever of them is worst. Sums count the
grades of their parts (`Tally`), and whoever shows a sum shows what is not of the first grade.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import numpy as np

from options_helper.analysis.marks import Findings, Flags, Integers, Marks, MarkSource, QuoteWarning


class Grade(StrEnum):
    """What a line's figure rests on, from the best to the worst."""

    TWO_SIDED = "two-sided"  # the middle of a quote that is narrow enough
    LAST_TRADE = "last trade"  # inside what is known of the quote
    WIDE = "wide"  # the middle of a wide quote, or of one in which nobody bids: a rough guess
    AT_LEAST = "at least"  # a bound: a long at the bid, a short at the ask
    AT_BEST = "at best"  # a bound: a short at the bid, a long at the ask
    AFTER_HOURS = "after hours"  # made after the session that the other prices are of
    DELAYED = "delayed"  # long made when it came
    STALE = "stale"  # too old while its market is open
    OTHER_SESSION = "other session"  # made before the latest session began
    CROSSED = "crossed"  # a trade between crossed sides
    QUANTITY = "quantity in doubt"  # the account holds another quantity than the file
    NOT_BELIEVED = "not believed"  # a structure cannot be worth what its legs come to
    NO_PRICE = "no price"
    ENDED = "ended"  # a contract whose trading is over

    @property
    def speaks_against_natural(self) -> bool:
        """Whether it speaks against what closing now would fetch, too: that needs no middle, only the side it is at."""
        return self in _AGAINST_NATURAL

    def counted(self, count: int) -> str:
        """How many lines are of this grade, as a person says it: "1 wide", "2 of another session"."""
        return f"{count} {_WORDS.get(self, self.value)}"


GRADES: Final = tuple(Grade)
RANKS: Final[Mapping[Grade, int]] = {grade: rank for rank, grade in enumerate(GRADES)}
_WORDS: Final = {
    Grade.LAST_TRADE: "by the last trade",
    Grade.AFTER_HOURS: "of after hours",
    Grade.OTHER_SESSION: "of another session",
    Grade.CROSSED: "with a crossed quote",
    Grade.QUANTITY: "with a quantity in doubt",
    Grade.NO_PRICE: "without a price",
}
_AGAINST_NATURAL: Final = frozenset(
    (Grade.AFTER_HOURS, Grade.DELAYED, Grade.STALE, Grade.OTHER_SESSION, Grade.QUANTITY)
)
_BY_RANK: Final = np.array(GRADES, dtype=object)


def rank_lines(marks: Marks, findings: Findings, *, short: Flags) -> Integers:
    """The grade of each line as its place in `GRADES`; the worst that holds counts.

    `findings` are those of the lines, `short` where less is better.
    """

    def found(warning: QuoteWarning) -> Flags:
        return findings.get(warning, np.zeros(len(short), dtype=bool))

    from_trade = marks.source == MarkSource.TRADE
    at_bid, at_ask = marks.source == MarkSource.BID, marks.source == MarkSource.ASK
    holds = {
        Grade.ENDED: found(QuoteWarning.EXPIRED),
        Grade.NO_PRICE: np.isnan(marks.price),
        Grade.QUANTITY: found(QuoteWarning.QUANTITY_IN_DOUBT) | found(QuoteWarning.CHANGES_TODAY),
        Grade.CROSSED: found(QuoteWarning.CROSSED_MARKET),
        Grade.OTHER_SESSION: found(QuoteWarning.OTHER_SESSION),
        Grade.STALE: np.where(from_trade, found(QuoteWarning.STALE_TRADE), found(QuoteWarning.STALE_QUOTE)),
        Grade.DELAYED: found(QuoteWarning.DELAYED_PRICE),
        Grade.AFTER_HOURS: found(QuoteWarning.AFTER_HOURS),
        Grade.AT_BEST: np.where(short, at_bid, at_ask),
        Grade.AT_LEAST: np.where(short, at_ask, at_bid),
        Grade.LAST_TRADE: from_trade,
        # Nobody would pay the middle of nothing and an offer, however small that is.
        Grade.WIDE: found(QuoteWarning.WIDE_SPREAD) | found(QuoteWarning.ZERO_BID),
    }
    ranks: Integers = np.select(
        list(holds.values()), [RANKS[grade] for grade in holds], default=RANKS[Grade.TWO_SIDED]
    )
    return ranks


def grades_of(ranks: Integers) -> list[Grade]:
    """The grades of these ranks."""
    grades: list[Grade] = _BY_RANK[ranks].tolist()
    return grades


def count_words(grades: Iterable[Grade]) -> str:
    """How many are not of the first grade, the worst first: "1 at best, 2 wide"; empty where all are."""
    counts = Counter(grades)
    return ", ".join(grade.counted(counts[grade]) for grade in reversed(GRADES[1:]) if counts[grade])
