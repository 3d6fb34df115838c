"""What turns one piece of HTML into a later one, so that of a long list only what became another is sent.

Pure. HTML is told in tags, the texts between two `<`, and never in characters, which Python and a browser count
differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Final, TypeAlias

# Two numbers: from where to where of the tags that were there before. A text: what stands between.
Delta: TypeAlias = list[int | str]

_SHORT: Final = 400  # characters; of less nothing is saved
_ITEM: Final = "li"
_NUMBER_CHARACTERS: Final = 5  # with its comma
_BEGINNING: Final = 200  # characters
# Pieces of full messages, each of which many short ones are told against.
_KEPT: Final = 32
_FIGURES: Final = re.compile(r"\d+")


@lru_cache(maxsize=_KEPT)  # viewers who began together have the same pieces
def piece_delta(before: str, after: str) -> str | Delta:
    """What is to be sent of `after` to who has `before`: what differs, or all of it where that is shorter.

    To be read alone: who asks for the same gets the same list.
    """
    if len(after) < _SHORT:
        return after
    delta, old = _Delta(), _items(before)
    for item in _split(after):
        start, was = old.like(item)
        if was == item:
            delta.keep(start, start + _tags(item))
        else:
            delta.change(start, [] if was is None else was.split("<"), item.split("<"))
    return after if delta.characters >= len(after) else delta.parts


def _split(html: str) -> list[str]:
    """Its items, each without the `<` that it begins with; what stands before the first is one too."""
    first, *others = html.split(f"<{_ITEM}")
    return [first, *(f"{_ITEM}{other}" for other in others)]


def _tags(item: str) -> int:
    return item.count("<") + 1


def _shape(item: str) -> str:
    """How it begins, but for its figures."""
    return _FIGURES.sub("", item[:_BEGINNING])


class _Items:
    """The items that were there before, and from which tag on each is."""

    def __init__(self, html: str) -> None:
        items = _split(html)
        starts = (0, *accumulate(map(_tags, items)))
        self._same = dict(zip(items, starts, strict=False))

    @cached_property
    def _shapes(self) -> Mapping[str, tuple[int, str]]:
        return {_shape(item): (start, item) for item, start in reversed(self._same.items())}

    def like(self, item: str) -> tuple[int, str | None]:
        """What it was: the same, else one that begins as it does but for its figures; None: it is new."""
        start = self._same.get(item)
        return self._shapes.get(_shape(item), (0, None)) if start is None else (start, item)


@lru_cache(maxsize=_KEPT)
def _items(html: str) -> _Items:
    return _Items(html)


class _Delta:
    """A delta under way; neighbours are one part."""

    def __init__(self) -> None:
        self.parts: Delta = []

    @property
    def characters(self) -> int:
        """How long it is, about."""
        return sum(len(part) if isinstance(part, str) else _NUMBER_CHARACTERS for part in self.parts)

    def keep(self, start: int, end: int) -> None:
        """These of the old tags."""
        if start == end:
            return
        if self.parts and self.parts[-1] == start:
            self.parts[-1] = end
        else:
            self.parts += (start, end)

    def say(self, tags: Sequence[str]) -> None:
        """Other tags."""
        if not tags:
            return
        words = "<".join(tags)
        if self.parts and isinstance(self.parts[-1], str):
            self.parts[-1] = f"{self.parts[-1]}<{words}"
        else:
            self.parts.append(words)

    def change(self, start: int, old: Sequence[str], tags: Sequence[str]) -> None:
        """These tags in place of the old ones, which begin there.

        Tag by tag where there are as many, else between what both begin and end with.
        """
        if len(old) == len(tags):
            for place, (was, now) in enumerate(zip(old, tags, strict=True), start):
                if was == now:
                    self.keep(place, place + 1)
                else:
                    self.say([now])
            return
        first = _alike(old, tags)
        last = _alike(old[first:][::-1], tags[first:][::-1])
        end = start + len(old)
        self.keep(start, start + first)
        self.say(tags[first : len(tags) - last])
        self.keep(end - last, end)


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """How many tags they begin with are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))
