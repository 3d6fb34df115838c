"""Several things that may each take their second, done in one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def do_at_once(work: Sequence[Callable[[], object]], name: str) -> None:
    """Do all of it, each on a thread of its own called `name` but the first, and wait for it.

    What fails keeps no other from being done; one of the errors is raised when all has ended.
    """
    errors: list[BaseException] = []

    def tried(one: Callable[[], object]) -> None:
        try:
            one()
        except BaseException as error:  # noqa: BLE001 - it is raised when the others have ended
            errors.append(error)

    threads = [threading.Thread(target=tried, args=(one,), name=name, daemon=True) for one in work[1:]]
    for thread in threads:
        thread.start()
    for one in work[:1]:
        tried(one)
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
