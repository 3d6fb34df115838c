"""The alerts of one account in the log where they belong: over a bus that may become another while somebody watches."""

from __future__ import annotations

from collections.abc import Callable

from options_helper.alerting.judging import Observed
from options_helper.alerting.program import ProgramAlerts, ProgramStatus
from options_helper.data.firing_log import LoggedFiring
from options_helper.model.snapshot import LiveSnapshot

# The key of the log in which this snapshot's alerts belong, None as `open_books` takes it; the one of now goes in.
KeyOf = Callable[[LiveSnapshot, str | None], str | None]


def same_key(_: LiveSnapshot, key: str | None) -> str | None:
    """Without a bus an account has the one log."""
    return key


class KeptAlerts:
    """Owns the `ProgramAlerts` of one log after another, which `open_log` makes; for one thread, but for `status`.

    The one that is open is that of the newest snapshot: an account that is the desk's own has its log with whoever
    watches that one without a name, and a later owner may have another for its own.
    """

    def __init__(
        self, open_log: Callable[[str | None], ProgramAlerts], key: str | None, key_of: KeyOf = same_key
    ) -> None:
        self._open_log, self._key, self._key_of = open_log, key, key_of
        self._now = open_log(key)
        self._is_open = True  # False: it was left, and the next could not be opened
        # Of this run, each as it was when its log was left, by the keys of log and firing.
        self._left: dict[tuple[str | None, str], LoggedFiring] = {}
        self._found: tuple[LoggedFiring, ...] = self._now.status().firings
        self._found_keys = frozenset(one.firing.key for one in self._found)
        self._is_on = False

    def start(self) -> None:
        """Ask for the leases, and go on asking."""
        self._is_on = True
        self._now.start()

    def stop(self) -> None:
        """Send no more, and give the leases back; a second at most, harmless twice."""
        self._is_on = False
        self._now.stop()

    def observe(self, observed: Observed) -> None:
        """Judge one snapshot, in its log. What opens that one raises; nothing is judged in another's meanwhile."""
        key = self._key_of(observed.snapshot, self._key)
        if key != self._key or not self._is_open:
            self._go_over_to(key)
        self._now.observe(observed)

    def _go_over_to(self, key: str | None) -> None:
        was_open, self._is_open = self._is_open, False
        self._now.stop()
        if was_open:
            self._left |= self._fired()
        # What is stopped judges no more, so one is opened next time whatever the key is then.
        self._key = key
        self._now = self._open_log(key)
        self._found = self._now.status().firings
        self._found_keys = frozenset(one.firing.key for one in self._found)
        if self._is_on:
            self._now.start()
        self._is_open = True

    def status(self) -> ProgramStatus:
        """How it stands now; from any thread."""
        return self._now.status()

    def take_found(self) -> tuple[LoggedFiring, ...]:
        """What had fired in a log by the time it was opened, once: that is no news."""
        found, self._found = self._found, ()
        return found

    @property
    def firings(self) -> tuple[LoggedFiring, ...]:
        """What fired in a log while it was open here, each once; of one that was left as it stood then."""
        return tuple((self._left | self._fired() if self._is_open else self._left).values())

    def _fired(self) -> dict[tuple[str | None, str], LoggedFiring]:
        """Of the log that is open: what is new in it since, or was told of in this run before."""
        by_key = {(self._key, one.firing.key): one for one in self._now.status().firings}
        return {
            at: one
            for at, one in by_key.items()
            if at in self._left or one.firing.key not in self._found_keys
        }
