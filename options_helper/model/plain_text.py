"""HTML of any origin as text: nothing of it is ever drawn as HTML. One pass over the characters, however they are."""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from typing import Final
from urllib.parse import urlsplit

# Of whatever is longer, the rest is left out: nobody reads more in a panel, and a message may have 64 MiB.
READ_AT_MOST: Final = 20_000
CUT: Final = "…"
LONGEST_LINK: Final = 2_000

_TAG_BEGINS: Final = re.compile(r"<(?=[A-Za-z/!?])")
_TAG_NAME: Final = re.compile(r"[A-Za-z0-9]+")
# What is no text to be read.
_UNREAD: Final = frozenset({"script", "style", "template", "noscript", "iframe", "object", "title", "head"})
# What stands within a line of text; everything else begins a new word.
_INLINE: Final = re.compile(
    r"/?(?:abbr|a|bdi|bdo|b|cite|code|em|font|i|mark|q|small|span|strong|sub|sup|s|u)\b", re.IGNORECASE
)


def plain_text(html: str | None, at_most: int = READ_AT_MOST) -> str | None:
    """What a reader would see of it, in one line of at most so many characters; None where that is nothing.

    Tags go, scripts and styles with what is in them, references become their characters, and whatever cannot be
    seen or turns the direction of what follows is left out. What looks like a tag afterwards is text, and has to be
    shown as such.
    """
    if not html:
        return None
    read = html[:READ_AT_MOST]
    text = _visible(unescape(_without_tags(read)))
    if len(text) > at_most or len(html) > len(read):
        text = text[: at_most - len(CUT)].rstrip() + CUT
    return text or None


def safe_link(url: str | None) -> str | None:
    """The address where it is one of the web, encrypted, that names a host and nobody's password; None otherwise."""
    text = (url or "").strip()
    if not text.isascii() or not text.isprintable() or len(text) > LONGEST_LINK or _HARMFUL.search(text):
        return None
    try:
        parts = urlsplit(text)
        is_named = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return text if is_named and parts.username is None and parts.password is None else None


# What no address holds unescaped, and what would end the attribute that it stands in.
_HARMFUL: Final = re.compile(r"[\s\"'<>\\^`{|}]")


def _without_tags(html: str) -> str:
    pieces: list[str] = []
    start = 0
    while (found := _TAG_BEGINS.search(html, start)) is not None:
        pieces.append(html[start : found.start()])
        start, between = _after_tag(html, found.end())
        pieces.append(between)
    return "".join((*pieces, html[start:]))


def _after_tag(html: str, start: int) -> tuple[int, str]:
    """Where the text goes on behind the tag, and what stands for it; one that never ends takes all that follows."""
    if html.startswith("!--", start):
        return _behind(html, "-->", start), ""
    named = _TAG_NAME.match(html, start)
    name = named[0].lower() if named else ""
    if name in _UNREAD:
        closing = re.compile(rf"</{name}\b", re.IGNORECASE).search(html, start)
        return (len(html) if closing is None else _behind(html, ">", closing.end())), " "
    return _behind(html, ">", start), "" if _INLINE.match(html, start) else " "


def _behind(html: str, end: str, start: int) -> int:
    found = html.find(end, start)
    return len(html) if found < 0 else found + len(end)


def _visible(text: str) -> str:
    """Without control characters, overrides of direction and the like, and with single spaces."""
    kept = (" " if char.isspace() else char for char in text if char.isspace() or _can_be_seen(char))
    return " ".join("".join(kept).split())


def _can_be_seen(char: str) -> bool:
    return unicodedata.category(char)[0] != "C"
