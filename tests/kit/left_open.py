"""Whether something that was opened is left to the garbage collector, which then warns in whatever test runs."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """Fail where what was opened here is closed by the garbage collector alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what others left is no fault of this
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in said if issubclass(one.category, ResourceWarning)] == []
