"""What is registered as a callback, looked at once: a function, a method, an object with a `__call__`."""

from __future__ import annotations

import inspect
from functools import partial
from types import ModuleType

from options_helper.data.streaming.callbacks.delivery import Callback


def is_asynchronous(callback: Callback) -> bool:
    """Whether what it returns is to be awaited; another one may return such a thing all the same."""
    function = _unwrapped(callback)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - of an object
    )


def owner_of(callback: Callback) -> object:
    """Whose event loop it runs on: its object's, or that of all functions made of the same code; to be compared."""
    function = _unwrapped(callback)
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):
        return id(owner)
    return getattr(function, "__code__", id(function))


def _unwrapped(callback: Callback) -> Callback:
    while isinstance(callback, partial):
        callback = callback.func
    return callback
