"""How long each book that was shown could not be believed, and what is to be said of that at the end."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from options_helper.analysis.live_health import Level
from options_helper.commands.books_view import BooksView
from options_helper.commands.durations import format_duration
from options_helper.model.order_book import Book
from options_helper.model.text import format_count, named

# What is shorter is told as no time at all, so it is not told.
SHORTEST_SECONDS: Final = 0.5


class BooksWatch:
    """Sees the books at each look; for one thread. A condition lasts from the look that finds it to the next one."""

    def __init__(self) -> None:
        self._view: BooksView | None = None
        self._seen_at = 0.0
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)  # of each symbol and word
        self._whole: set[str] = set()  # the symbols that were at some look

    def see(self, view: BooksView, elapsed: float) -> None:
        """Take in how they are, so many seconds after the beginning."""
        for symbol, word in self._words().items():
            self._seconds[symbol, word] += max(0.0, elapsed - self._seen_at)
        self._view, self._seen_at = view, elapsed
        for symbol, word in self._words().items():
            if word == "synced" and symbol not in self._whole:
                self._whole.add(symbol)
                # Nothing is wrong with a book on its way in: what counts is how it was after that.
                self._seconds.update({key: 0.0 for key in self._seconds if key[0] == symbol})

    def troubles(self) -> list[str]:
        """A sentence for each book that was not whole when it was seen last."""
        if (view := self._view) is None:
            return []
        refused = [symbol for symbol in view.symbols if symbol in view.refused]
        heard = [
            symbol for symbol in view.symbols if _is_heard(view.books.get(symbol)) and symbol not in refused
        ]
        silent = [symbol for symbol in view.symbols if symbol not in (*heard, *refused)]
        sentences = [f"Nothing came for {named(silent)}."] if silent else []
        sentences += [f"The book of {symbol} was refused. {view.refused[symbol]}" for symbol in refused]
        return sentences + [told for symbol in heard if (told := self._trouble(symbol, view))]

    def notes(self) -> list[str]:
        """What happened to the books that were whole at last, a sentence for each."""
        symbols = () if self._view is None else self._view.symbols
        return [
            told for symbol in symbols if self._words()[symbol] == "synced" and (told := self._note(symbol))
        ]

    def _words(self) -> dict[str, str]:
        if (view := self._view) is None:
            return {}
        return {symbol: view.trust(symbol).word for symbol in view.symbols}

    def _trouble(self, symbol: str, view: BooksView) -> str | None:
        found = view.trust(symbol)
        if found.level is Level.OK:
            return None
        lasted = self._lasted(symbol)
        if symbol in self._whole:
            since = f" After it was whole first: {lasted}." if lasted else ""
            return f"The book of {symbol} was {found.word} at the end. {found.sentence}{since}"
        return f"The book of {symbol} was never whole{f': {lasted}' if lasted else ''}. {found.sentence}".rstrip()

    def _note(self, symbol: str) -> str | None:
        view = self._view
        book = None if view is None else view.books.get(symbol)
        facts = [lasted] if (lasted := self._lasted(symbol)) else []
        if book is not None and book.counts.resyncs:
            facts.append(f"asked for anew {format_count(book.counts.resyncs, 'time')}")
        if book is not None and book.counts.differed:
            facts.append(f"other than REST said {format_count(book.counts.differed, 'time')}")
        return f"The book of {symbol} is whole; meanwhile it was {', '.join(facts)}." if facts else None

    def _lasted(self, symbol: str) -> str:
        """How long it was in each condition but the good one, as words; empty where that is nothing."""
        return ", ".join(
            f"{word} for {format_duration(seconds)}"
            for (whose, word), seconds in self._seconds.items()
            if whose == symbol and word != "synced" and seconds >= SHORTEST_SECONDS
        )


def _is_heard(book: Book | None) -> bool:
    return book is not None and book.counts.messages > 0
