"""The newest articles of a run, each in its newest form, whichever way it came."""

from __future__ import annotations

from typing import Final

from options_helper.model.events import News
from options_helper.model.news import Article, to_article, updated_ns

ARTICLES_AT_MOST: Final = 100


class NewsBoard:
    """The newest `at_most` articles; its owner sees to the threads."""

    def __init__(self, at_most: int = ARTICLES_AT_MOST) -> None:
        self._at_most = at_most
        # By id: when it was made in the form that is known, and the article.
        self._known: dict[int, tuple[int, Article]] = {}
        # Of what was kept and found no room any more, the newest: nothing from before that is new.
        self._forgotten_ns = -1
        self._newest_first: tuple[Article, ...] | None = ()  # None: to be made anew

    def add(self, news: News, *, is_asked: bool = False) -> bool:
        """Take an article over, if it is new or in a newer form than the known one; whether it was."""
        made_ns = updated_ns(news)
        known = self._known.get(news.article_id)
        if made_ns <= (self._forgotten_ns if known is None else known[0]):
            return False
        self._known[news.article_id] = made_ns, to_article(news, is_asked=is_asked)
        self._newest_first = None
        if len(self._known) > self._at_most:
            oldest = min(self._known, key=lambda article_id: self._known[article_id][0])
            self._forgotten_ns, _ = self._known.pop(oldest)
            return oldest != news.article_id
        return True

    @property
    def newest_ns(self) -> int | None:
        """When the newest form of any of them was made, epoch nanoseconds; None: there are none."""
        return max((made_ns for made_ns, _ in self._known.values()), default=None)

    def articles(self) -> tuple[Article, ...]:
        """What is known, newest first."""
        if self._newest_first is None:
            newest_first = sorted(self._known.values(), key=lambda known: known[0], reverse=True)
            self._newest_first = tuple(article for _, article in newest_first)
        return self._newest_first

    def receive_later(self, by_ns: int) -> None:
        """Move the receipt of all of them."""
        self._known = {
            article_id: (made_ns, article.received_later(by_ns))
            for article_id, (made_ns, article) in self._known.items()
        }
        self._newest_first = None

    def clear(self) -> None:
        """Forget them."""
        self._known, self._newest_first, self._forgotten_ns = {}, (), -1
