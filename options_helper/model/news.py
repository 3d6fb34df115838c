"""An article as it is shown: text only, with its source and its times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from options_helper.model.events import News
from options_helper.model.instants import epoch_nanoseconds, utc_datetime
from options_helper.model.plain_text import plain_text, safe_link

# Stands for the news of every symbol, in a subscription.
ALL_SYMBOLS: Final = "*"

LONGEST_HEADLINE: Final = 400
LONGEST_TEXT: Final = 2_000
LONGEST_NAME: Final = 100
MOST_SYMBOLS: Final = 50


@dataclass(frozen=True, slots=True)
class Article:
    """What is known of an article in its newest form; texts are plain and may hold any character, times are UTC.

    None is what the message did not say, or said in a way that cannot be read.
    """

    article_id: int
    headline: str
    text: str | None  # the summary, or else the beginning of the content
    source: str | None
    author: str | None
    link: str | None  # of the web, encrypted
    symbols: tuple[str, ...]
    created_at: datetime | None
    updated_at: datetime | None
    received_at: datetime  # on the market's clock
    is_asked: bool = False  # over plain HTTP, and not streamed: `received_at` is when it was answered

    @property
    def is_updated(self) -> bool:
        """Whether it was changed after it was made."""
        return None not in (self.created_at, self.updated_at) and self.created_at != self.updated_at

    def age_seconds(self, as_of: datetime) -> float | None:
        """Since it was made in this form; None: it does not say when."""
        made_at = self.updated_at or self.created_at
        return None if made_at is None else (as_of - made_at).total_seconds()

    def received_later(self, by_ns: int) -> Article:
        """The same, received so much later."""
        return replace(self, received_at=self.received_at + timedelta(microseconds=by_ns / 1_000))


def to_article(news: News, *, is_asked: bool = False) -> Article:
    """What a message says, as text."""
    return Article(
        article_id=news.article_id,
        headline=plain_text(news.headline, LONGEST_HEADLINE) or "(no headline)",
        text=plain_text(news.summary, LONGEST_TEXT) or plain_text(news.content, LONGEST_TEXT),
        source=plain_text(news.source, LONGEST_NAME),
        author=plain_text(news.author, LONGEST_NAME),
        link=safe_link(news.url),
        symbols=tuple(filter(None, (plain_text(one, LONGEST_NAME) for one in news.symbols or ())))[
            :MOST_SYMBOLS
        ],
        created_at=_instant(news.created),
        updated_at=news.exchange_at,
        received_at=news.received_at,
        is_asked=is_asked,
    )


def updated_ns(news: News) -> int:
    """When it was made in this form, epoch nanoseconds; when it was received, where it does not say."""
    return news.timestamp_ns or news.received_ns


def _instant(timestamp: object) -> datetime | None:
    made_ns = epoch_nanoseconds(timestamp)
    try:
        return None if made_ns is None else utc_datetime(made_ns)
    except (ValueError, OverflowError, OSError):  # beyond what a calendar has
        return None
