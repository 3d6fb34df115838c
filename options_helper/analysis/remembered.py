"""Remember what follows alone from values that never change and are the same objects at each refresh: a portfolio."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Final, Generic, TypeVar

Thing = TypeVar("Thing")
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
# A page has its viewers' portfolios, and the account's, which is another object after each reading.
_KEPT: Final = 8


def remembered(make: Callable[[Thing, Key], Value]) -> Callable[[Thing, Key], Value]:
    """The same function, which makes nothing anew for a thing and a key of its last calls; callable from any thread.

    The things are compared by identity: to compare a portfolio by its values takes longer than most of what is made of
    it. They are kept as long as they are among the last.
    """
    kept: list[tuple[Thing, Key, Value]] = []

    @wraps(make)
    def known(thing: Thing, key: Key) -> Value:
        for one, its_key, value in tuple(kept):
            if one is thing and its_key == key:
                return value
        value = make(thing, key)
        # Replaced in one step, so that another thread sees the list before or after it.
        kept[:] = [(thing, key, value), *kept[: _KEPT - 1]]
        return value

    return known


class Itself(Generic[Thing]):
    """A value that never changes as a key, by its identity: to compare all that it has takes too long."""

    __slots__ = ("value",)

    def __init__(self, value: Thing) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)
