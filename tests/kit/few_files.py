"""A process that may hold few files open, however many it has by then."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

ROOM = 20


@contextmanager
def few_files() -> Iterator[None]:
    """Let this process open twenty files more and no others; what earlier tests left open counts as it is."""
    import resource  # which Windows has none of

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Numbers that are free come first, so the last of these is the highest that may be given out.
    probes = [os.open(os.devnull, os.O_RDONLY) for _ in range(ROOM)]
    highest = max(probes)
    for probe in probes:
        os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
