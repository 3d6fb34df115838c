"""What was written about the portfolio: headlines as text, each with its source and its times."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import streamlit as st

from apps.streamlit.components.formatting import age, clock
from apps.streamlit.components.live_rest import REASON_ABOVE
from apps.streamlit.components.style import draw, tag
from options_helper.live.screen import ScreenModel
from options_helper.live.session import NewsOf
from options_helper.model.account import RestTask
from options_helper.model.news import Article
from options_helper.model.text import named

SHOWN_AT_MOST: Final = 25
TEXT_AT_MOST: Final = 280
SYMBOLS_AT_MOST: Final = 6
NEWS_STYLE: Final = """
<style>
.oh-news { max-height: 24rem; overflow-y: auto; padding-right: .5rem; }
.oh-article { padding: .3rem 0 .4rem; overflow-wrap: anywhere;
  border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
.oh-article:last-child { border-bottom: 0; }
.oh-headline { font-size: .92rem; font-weight: 600; }
.oh-headline a { color: inherit; text-decoration: underline; text-underline-offset: .15em;
  text-decoration-color: color-mix(in srgb, currentColor 40%, transparent); }
.oh-symbols { color: var(--accent); font-weight: 650; }
.oh-article p { margin: .1rem 0 0; font-size: .84rem; line-height: 1.35; }
</style>
"""


def news_panel(screen: ScreenModel) -> None:
    """Draw the newest articles, or say how to get them; nothing of an article is ever read as HTML or Markdown."""
    run = screen.run
    if run is None or run.choices.news is NewsOf.NOTHING:
        st.caption("No news is streamed. Choose whose under News of, in the settings' Feeds and limits.")
        return
    draw(screen.once(_news))


def _news(screen: ScreenModel) -> str:
    articles = screen.snapshot.news[:SHOWN_AT_MOST]
    listed = "".join(_article(one, screen) for one in articles)
    return tag("div", " ".join(_about(screen)), "oh-quiet") + (
        f'<div class="oh-news" tabindex="0">{listed}</div>' if articles else ""
    )


def _about(screen: ScreenModel) -> Iterator[str]:
    """Whose news these are, and what is known of their being all."""
    run, known = screen.run, screen.snapshot.news
    if not known:
        yield f"No article about {_whose(screen)} so far; hours without one are normal."
    else:
        shown = (
            f"the newest {SHOWN_AT_MOST} of {len(known)} articles"
            if len(known) > SHOWN_AT_MOST
            else "the newest articles"
        )
        yield f"About {_whose(screen)}: {shown}, as text. Times are of {screen.options.zone.key}."
    is_lacking = bool(screen.snapshot.account.reports[RestTask.NEWS].problems)
    if is_lacking and run is not None and run.ended is None:
        yield f"What was written before the stream was there is not known, {REASON_ABOVE}."


def _whose(screen: ScreenModel) -> str:
    is_everything = screen.run is not None and screen.run.choices.news is NewsOf.EVERYTHING
    return "every symbol" if is_everything else "the portfolio's symbols"


def _article(article: Article, screen: ScreenModel) -> str:
    symbols = tag("span", named(article.symbols, SYMBOLS_AT_MOST) or "no symbol", "oh-symbols")
    facts = tag("span", f" · {' · '.join(_facts(article, screen))}", "")
    text = "" if article.text is None else tag("p", _shortened(article.text), "")
    return (
        f'<div class="oh-article"><div class="oh-headline">{_headline(article)}</div>{text}'
        f'<div class="oh-note">{symbols}{facts}</div></div>'
    )


def _headline(article: Article) -> str:
    if article.link is None:
        return tag("span", article.headline, "")
    host = urlsplit(article.link).hostname or ""
    return tag(
        "a", article.headline, "", href=article.link, target="_blank", rel="noopener noreferrer", title=host
    )


def _facts(article: Article, screen: ScreenModel) -> Iterator[str]:
    as_of = screen.snapshot.as_of

    def when(moment: datetime | None) -> str:
        return clock(moment, screen.options.zone, today=as_of)

    yield article.source or "source not said"
    if article.author is not None:
        yield article.author
    seconds = article.age_seconds(as_of)
    yield "age not known" if seconds is None else f"{age(seconds)} old"
    yield f"made {when(article.created_at)}"
    if article.is_updated:
        yield f"updated {when(article.updated_at)}"
    yield f"{'asked for' if article.is_asked else 'received'} {when(article.received_at)}"


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_AT_MOST else f"{text[:TEXT_AT_MOST].rstrip()}…"
