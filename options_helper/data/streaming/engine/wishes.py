"""What is wanted of a connection, as channels by symbol: what several want together, and what changes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

# The channels that are wanted of each symbol, in the order of asking.
Wishes = Mapping[str, tuple[str, ...]]


class Subscriber(Protocol):
    """What takes subscriptions."""

    def subscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols too."""

    def unsubscribe(self, symbols: Iterable[str], *, channels: Sequence[str] | None = None) -> None:
        """Stream these symbols no longer, on these channels or on all."""


def send_difference(streamer: Subscriber, old: Wishes, new: Wishes) -> None:
    """Ask for what is wanted now and was not, and no more for what was and is not."""
    if gone := [symbol for symbol in old if symbol not in new]:
        streamer.unsubscribe(gone)
    for channels, symbols in _lacking({symbol: old[symbol] for symbol in old if symbol in new}, new).items():
        streamer.unsubscribe(symbols, channels=channels)
    for channels, symbols in _lacking(new, old).items():
        streamer.subscribe(symbols, channels=channels)


def _lacking(some: Wishes, others: Wishes) -> dict[tuple[str, ...], list[str]]:
    """The channels that some have and others have not, and of which symbols: those with the same ones together."""
    lacking: dict[tuple[str, ...], list[str]] = {}
    for symbol, channels in some.items():
        known = others.get(symbol, ())
        if missing := tuple(channel for channel in channels if channel not in known):
            lacking.setdefault(missing, []).append(symbol)
    return lacking


def united(wishes: Iterable[Wishes]) -> dict[str, tuple[str, ...]]:
    """What all of these want together; who came first is first."""
    together: dict[str, tuple[str, ...]] = {}
    for wish in wishes:
        for symbol, channels in wish.items():
            together[symbol] = tuple(dict.fromkeys((*together.get(symbol, ()), *channels)))
    return together


def with_channels(wishes: Wishes, symbols: Iterable[str], channels: Iterable[str]) -> Wishes:
    """The same, with these symbols on these channels too."""
    return united((wishes, dict.fromkeys(symbols, tuple(channels))))


def without_channels(wishes: Wishes, symbols: Iterable[str], channels: Iterable[str] | None) -> Wishes:
    """The same, without these symbols on these channels; None: on all."""
    gone, dropped = set(symbols), None if channels is None else set(channels)
    left = {
        symbol: tuple(one for one in had if dropped is not None and one not in dropped)
        if symbol in gone
        else had
        for symbol, had in wishes.items()
    }
    return {symbol: had for symbol, had in left.items() if had}
