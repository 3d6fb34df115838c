"""Send a test message to each target once, all at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from options_helper.data.notify.delivery import Delivery
from options_helper.data.notify.lifesign import call_once
from options_helper.data.notify.messages import Attempt, Message, Outcome
from options_helper.data.notify.sending import Sent, send
from options_helper.data.notify.target_queue import LONGEST_TRY_SECONDS, Pacing
from options_helper.data.notify.targets import Target, Targets
from options_helper.model.market_hours import NEW_YORK

LIFE_SIGN: Final = "life_sign"
_ONCE: Final = Pacing(give_up_seconds=0.0)


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of it at one target."""

    name: str
    scheme: str
    why: str | None  # it did not arrive; None: it was taken

    @property
    def shown(self) -> str:
        """Name and kind of service, and nothing else of the address."""
        return f"{self.name} ({self.scheme})"


def trial_message(at: datetime) -> Message:
    """What a trial sends; `at` says when, to tell one trial from another."""
    said = (
        f"A test of options-helper at {at.astimezone(NEW_YORK):%H:%M:%S} New York: alerts reach this target."
    )
    return Message(f"test-{at:%H%M%S}", "options-helper: test", said, said)


def try_all(
    targets: Targets, at: datetime, *, send: Callable[[Target, Message], Sent] = send
) -> tuple[Tried, ...]:
    """Try each once; blocks for as long as a try may last."""
    told: dict[str, Attempt] = {}
    changed = threading.Condition()

    def tell(attempt: Attempt) -> None:
        with changed:
            told[attempt.target] = attempt
            changed.notify_all()

    delivery = Delivery(targets.by_name.values(), before=lambda *_: True, tell=tell, send=send, pacing=_ONCE)
    try:
        delivery.offer(trial_message(at), targets.by_name)
        called = (
            [] if targets.life_sign is None else [Tried(LIFE_SIGN, "https", call_once(targets.life_sign))]
        )
        with changed:
            changed.wait_for(lambda: told.keys() >= targets.by_name.keys(), LONGEST_TRY_SECONDS + 1)
    finally:
        delivery.stop()
    return (
        *(Tried(one.name, one.scheme, _why(told.get(one.name))) for one in targets.by_name.values()),
        *called,
    )


def _why(attempt: Attempt | None) -> str | None:
    if attempt is None:
        return "it came to no end"
    return None if attempt.outcome is Outcome.DELIVERED else attempt.why
