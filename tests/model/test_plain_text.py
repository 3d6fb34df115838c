"""Whatever somebody writes into an article, what comes out is a line of text and nothing that a page would obey."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.model.plain_text import READ_AT_MOST, plain_text, safe_link


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("Apple opens a shop", "Apple opens a shop"),
        ("<p>One.</p><p>Two.</p>", "One. Two."),
        ("line<br/>break", "line break"),
        ("b<b>ol</b>d <em>and</em> so<i>on</i>", "bold and soon"),
        ("AT&amp;T &lt;T&gt; &#8364;5 &nbsp; &quot;up&quot;", 'AT&T <T> €5 "up"'),
        ("3 < 4 and 5 > 2", "3 < 4 and 5 > 2"),
        ("a <!-- hidden <b> --> b", "a b"),
        ("<!DOCTYPE html><?xml version='1'?>text", "text"),
        ('<img src=x onerror="alert(1)">text', "text"),
        ("<script>alert('x')</script>text", "text"),
        ("<SCRIPT\n src=//evil.example>alert(1)</ScRiPt >text", "text"),
        ("<style>p { color: red }</style><p>text</p>", "text"),
        ("<template><p>hidden</p></template>text", "text"),
        ("<noscript>Switch it on.</noscript>text", "text"),
        ("<iframe src=//evil.example>no frames here</iframe>text", "text"),
        ("<object data=x>nothing can play this</object>text", "text"),
        ("<title>The site</title>text", "text"),
        ("<HEAD><meta charset=x>The site</HEAD><body>text", "text"),
        ("before<script>never closed", "before"),
        ("before<b unclosed", "before"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;", "<script>alert(1)</script>"),
        ("<scr<script></script>ipt>alert(1)", "ipt>alert(1)"),
        ("\u202egnp.exe\u2066\u200b\x00\x1b[31m", "gnp.exe[31m"),
        ("  many \n\t spaces\u00a0here ", "many spaces here"),
    ],
)
def test_html_becomes_what_a_reader_would_see(html: str, text: str):
    assert plain_text(html) == text


@pytest.mark.parametrize("html", [None, "", "   ", "<p></p>", "<script>x</script>", "\u200b"])
def test_what_shows_nothing_is_not_known(html: str | None):
    assert plain_text(html) is None


def test_a_long_text_is_cut_and_says_so():
    assert plain_text("word " * 10, 20) == "word word word word…"
    assert plain_text("<p>" + "x" * READ_AT_MOST + "</p>" + "y") == "x" * (READ_AT_MOST - 3) + "…"


@pytest.mark.parametrize(
    "piece", ["<", "<!--", "<a ", "</", "<script", "<script>", "&lt", "<style></style", "<p>", "\u202e"]
)
def test_a_message_of_many_megabytes_is_read_as_quickly_as_a_short_one(piece: str):
    """Only its beginning is read, in one pass; a reading that went back for each sign would never end here."""
    assert len(plain_text(piece * (2**24 // len(piece))) or "") <= READ_AT_MOST


@given(st.text(alphabet=st.sampled_from("<>/!-&;ab \"'=\n\u202e\x00")) | st.text())
def test_whatever_comes_is_one_line_without_tags_or_signs_that_cannot_be_seen(html: str):
    text = plain_text(html) or ""

    assert " ".join(text.split()) == text
    assert not {"\x00", "\u202e", "\u200b", "\n"} & set(text)


@pytest.mark.parametrize(
    "url",
    ["https://www.benzinga.com/news/1?a=b&c=d#e", "https://example.com:8443/x", " https://example.com "],
)
def test_an_encrypted_address_of_the_web_is_a_link(url: str):
    assert safe_link(url) == url.strip()


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "http://example.com/",
        "//example.com",
        "https://",
        "https:///path",
        "https://user:secret@example.com/",
        "https://example.com:x/",
        'https://example.com/" onmouseover="alert(1)',
        "https://example.com/a b",
        "https://example.com/\nX: y",
        "https://exаmple.com/",
        "https://example.com/" + "x" * 3_000,
        "https://[::1",
    ],
)
def test_any_other_is_none(url: str | None):
    assert safe_link(url) is None
