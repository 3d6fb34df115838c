"""What a viewer follows beside the streams, without a bus."""

from __future__ import annotations

from options_helper.bus.follower import MOST_PICTURE_WORDS, PICTURE_WORDS, _Looks


def looked_after(words: list[int], *, lags_until: int = 0, began_at: int = 5) -> list[int]:
    """After which of those words the owner's picture is looked at again."""
    looks, found = _Looks(began_at), []
    for word in words:
        if looks.is_due(word):
            looks = looks.after(word, lags=word < lags_until)
            found.append(word)
    return found


def test_a_picture_is_looked_at_until_one_shows_what_was_received_before_the_hole_ended():
    """However late the owner's words come: the first may be of before, and a busy one tells only of what it applied."""
    assert looked_after([5, 5, 5]) == [], "it has not spoken since"
    assert looked_after(list(range(5, 30))) == [6, 7]
    assert looked_after([5, 9, 9, 12]) == [9], "several came at once, and the last of them is none of before"
    assert looked_after(list(range(5, 40)), lags_until=11) == list(range(6, 12))
    assert looked_after(list(range(5, 40)), lags_until=99) == list(range(6, 6 + MOST_PICTURE_WORDS))
    assert PICTURE_WORDS == 2
