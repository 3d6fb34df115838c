"""Of a piece of HTML what differs is sent, and it comes out as it was meant."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from apps.streamlit.components.piece_delta import Delta, piece_delta

# As many as make a piece long enough; the words are few, so that much of two pieces is alike.
ITEMS = st.lists(st.lists(st.sampled_from(["a", "b", "€ 🦀", "c<b>d</b>", ""]), max_size=4), max_size=6)
FILLING = "x" * 400
NAMES = [f"{one}{other}" for one in "ABCDEFGHIJ" for other in "KLMNOPQRST"]


def html(items: list[list[str]]) -> str:
    listed = "".join(f"<li>{'<i>'.join(words)}</li>" for words in items)
    return f"<b>{len(items)}</b><ul title='{FILLING}'>{listed}</ul>"


def patched(before: str, parts: str | Delta) -> str:
    """As the browser does it."""
    if isinstance(parts, str):
        return parts
    tags, made, rest = before.split("<"), [], iter(parts)
    for part in rest:
        made += [part] if isinstance(part, str) else tags[part : int(next(rest))]
    return "<".join(made)


@given(ITEMS, ITEMS)
@example([["a"]], [["a"]])
@example([], [["a"]])
def test_a_piece_comes_out_as_it_was_meant(before: list[list[str]], after: list[list[str]]):
    old, new = html(before), html(after)

    assert patched(old, piece_delta(old, new)) == new


@given(st.text("<li>ab", max_size=40), st.text("<li>ab", max_size=40))
@example("Nothing yet.<ul>", "<p>3</p>")  # what begins with no tag, and has nothing like it after
def test_so_does_what_is_no_html(before: str, after: str):
    old, new = f"{before}<li>{FILLING}", f"{after}<li>{FILLING}"

    assert patched(old, piece_delta(old, new)) == new


def test_of_a_long_list_in_which_every_countdown_and_one_item_moved_little_is_sent():
    def listed(minutes: int, more: str = "") -> str:
        items = "".join(
            f"<li><b>{name}</b> <i>{minutes} min left</i> <span>{name} is pinned, and {'so on' * 40}</span></li>"
            for name in NAMES
        )
        return f"<p>Attention</p><ul>{more}{items}</ul>"

    before, after = listed(60), listed(59, "<li><b>new</b></li>")
    delta = piece_delta(before, after)

    assert patched(before, delta) == after
    assert len(json.dumps(delta)) < len(after) / 5


def test_what_is_short_or_another_altogether_is_sent_as_it_is():
    assert piece_delta("<b>one</b>", "<b>two</b>") == "<b>two</b>"
    assert piece_delta("", FILLING) == FILLING
    assert piece_delta("<b>" * 200, "<i>" * 200) == "<i>" * 200
