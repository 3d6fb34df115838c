"""Where `stream books` tells how it goes: ladders in place at a terminal, a line for each book elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from options_helper.commands.books_view import BooksView, book_lines, screen
from options_helper.commands.capture_display import LINE_EVERY_SECONDS, open_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live


class BooksDisplay(Protocol):
    """Called on one thread."""

    def say(self, sentence: str) -> None:
        """Tell something that stays on the screen."""

    def show(self, view: BooksView) -> None:
        """Tell how the books are now."""

    def conclude(self, view: BooksView) -> None:
        """Tell how they were at the end."""


@contextmanager
def open_books_display(levels: int) -> Iterator[BooksDisplay]:
    """The display that fits what stdout is."""
    with open_console() as (console, live):
        yield BooksLines(console, levels) if live is None else BooksScreen(live, console, levels)


class BooksLines:
    """A line for each book each time, and the truth line at each change and every half minute."""

    def __init__(self, console: Console, levels: int) -> None:
        self._console = console
        self._levels = levels
        self._said_at: datetime | None = None

    def say(self, sentence: str) -> None:
        """As it is: what it is about has its time in its lines."""
        self._console.print(sentence, markup=False, soft_wrap=True)
        self._console.file.flush()

    def show(self, view: BooksView) -> None:
        """The books, and now and then whose they are."""
        since = None if self._said_at is None else (view.as_of - self._said_at).total_seconds()
        if since is None or not 0 <= since < LINE_EVERY_SECONDS:
            self._said_at = view.as_of
            self.say(f"{view.as_of:%H:%M:%S}Z {view.truth}")
        for line in book_lines(view, self._levels):
            self.say(line)

    def conclude(self, view: BooksView) -> None:
        """Whose they were, and what was lost."""
        self.say(f"{view.as_of:%H:%M:%S}Z {view.truth}")


class BooksScreen:
    """Ladders that are drawn anew in their place."""

    def __init__(self, live: Live, console: Console, levels: int) -> None:
        self._live = live
        self._console = console
        self._levels = levels

    def say(self, sentence: str) -> None:
        """Above the ladders."""
        self._console.print(sentence, markup=False, soft_wrap=True)

    def show(self, view: BooksView) -> None:
        """Everything at this moment."""
        self._live.update(screen(view, self._levels), refresh=True)

    def conclude(self, view: BooksView) -> None:
        """The ladders that stay."""
        self._live.update("", refresh=True)
        self._console.print(screen(view, self._levels))
