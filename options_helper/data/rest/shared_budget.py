"""One budget of requests for all of this user's programs on this computer: a small file, and a lock of the kernel's.

The file is replaced as a whole, so a program that is killed in the midst of it leaves the one before. That a program
lives is told by a lock that it holds on a file of its own: the kernel takes it back with the process, however that
ends, and its share is the others'. Each keeps its own requests in mind and writes them anew each time it asks, so a
file that is lost comes back by itself.

Names of files are made of account, host and computer with a random number of this folder's, and so tell nothing of a
key; the folder and all in it are for their owner only.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from weakref import finalize

import msgspec
from msgspec.structs import replace
from pydantic import SecretStr

from options_helper.clock import boot_name
from options_helper.data.atomic_file import replace_file
from options_helper.data.file_lock import is_at, is_held, lock_file
from options_helper.data.rest.budget_ledger import (
    Answer,
    Ledger,
    Member,
    Share,
    Turn,
    Window,
    decide,
    recent,
    share_of,
    take_alone,
    tick_of,
)
from options_helper.data.secret_name import secret_name
from options_helper.data.state_folder import state_folder
from options_helper.decoders import json_decoder

log = logging.getLogger(__name__)

_LEDGERS: Final = json_decoder(Ledger)

FOLDER: Final = "requests"
# Another program holds the lock for a fraction of a millisecond; whoever finds it taken comes back after so long.
_BUSY_SECONDS: Final = 0.01
# By then it is not at work, but stopped in the midst of it.
_PATIENCE_SECONDS: Final = 1.0
# Of an account or a server that nobody has asked for so long nothing is kept.
_KEPT_SECONDS: Final = 3_600.0
# No server is believed that wants silence for longer; a file that says so is of another start of the computer.
_LONGEST_HOLD_SECONDS: Final = 86_400.0


class _Busy(Exception):
    """Another program is just at it."""


def shared_folder() -> Path:
    """Where this user's programs share what they know; OSError for a user without a home."""
    try:
        return state_folder() / FOLDER
    except RuntimeError as error:
        raise OSError(errno.ENOENT, "this user has no home") from error


class SharedBudget:
    """A program's part in the budget of one account at one host; never waits.

    Callable from one thread at a time. Instants are seconds since the computer's start, on a clock that all programs
    share. Where the folder does not serve (it is another's, the disk is full, the system has no such locks) the program
    keeps to its own share and says so; it looks again each time.
    """

    def __init__(
        self,
        account: SecretStr | None,
        host: str,
        share: Share,
        folder: Callable[[], Path] = shared_folder,
    ) -> None:
        self._find_folder = folder
        self._folder = Path()  # known once it was found
        self._key = f"{socket.gethostname()}\0{host}\0{'' if account is None else account.get_secret_value()}"
        self._share = share
        self._token = secrets.token_hex(4)
        self._name = ""  # of the ledger, known once the folder's number is
        self._alive: int | None = None  # the descriptor whose lock says that this program lives
        self._leave: Callable[[], object] = bool  # closes it, once
        self._busy_since: float | None = None
        self._turn: Turn | None = None  # the newest that was decided with the others
        self._problem: str | None = None

    def take(self, per_minute: int, at_most: int, sent: Window, held_until: float, now: float) -> Answer:
        """Let a request leave, or say when one may; `sent` is what this program has sent, and is told the others."""
        tick = tick_of(now)
        me = Member(self._token, self._share, per_minute, at_most, tick, recent(sent, tick))
        try:
            answer = self._take(me, held_until, now)
        except _Busy:
            return self._while_busy(me, held_until, now)
        except OSError as error:
            self._name = ""  # the folder may be gone, and is made anew
            return self._alone(me, held_until, now, _reason(error))
        self._busy_since, self._turn = None, answer.turn
        self._say(None)
        return answer

    def hold(self, held_until: float) -> None:
        """Tell the others that a server wants silence; where that is not possible now, the next request does."""
        with suppress(OSError, _Busy), self._locked():
            ledger = self._read()
            if ledger.boot == boot_name() and held_until > ledger.held_until:
                self._write(replace(ledger, held_until=held_until))

    def _take(self, me: Member, held_until: float, now: float) -> Answer:
        with self._locked():
            self._join()
            ledger = self._read()
            ledger = ledger.of(boot_name(), self._living(ledger), me.asked).with_member(me)
            told = ledger.held_until if ledger.held_until <= now + _LONGEST_HOLD_SECONDS else 0.0
            held_until = max(held_until, told)
            ledger, turn = decide(replace(ledger, held_until=held_until), self._token, now)
            self._write(ledger)
        return Answer(turn, ledger.member(self._token).sent, held_until)

    def _while_busy(self, me: Member, held_until: float, now: float) -> Answer:
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since < _PATIENCE_SECONDS:
            turn = self._turn or Turn(0.0, share_of(me, me.per_minute), 1, 1)
            return Answer(replace(turn, wait=_BUSY_SECONDS), me.sent, held_until, self._problem)
        return self._alone(me, held_until, now, "another program stopped while it held it")

    def _alone(self, me: Member, held_until: float, now: float, reason: str) -> Answer:
        """By its own share, as if one of each kind of program were at work that it cannot see."""
        self._say(
            f"The budget of requests is not shared with this computer's other programs, because the folder "
            f"{FOLDER} in the user's state folder cannot be used: {reason}. This one keeps to its share."
        )
        answer = take_alone(replace(me, at_most=share_of(me, me.per_minute)), held_until, now)
        return replace(answer, problem=self._problem)

    def _say(self, problem: str | None) -> None:
        if problem != self._problem:
            self._problem = problem
            log.warning(problem or "The budget of requests is shared again.")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the ledger's lock; _Busy when another program does."""
        if not self._name:
            self._folder = self._find_folder()
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._name = secret_name(self._folder, self._key)
        descriptor = lock_file(self._path("lock"))
        if descriptor is None:
            raise _Busy
        try:
            yield
        finally:
            os.close(descriptor)

    def _path(self, suffix: str) -> Path:
        return self._folder / f"{self._name}.{suffix}"

    def _join(self) -> None:
        """Show the others that this program lives; also after somebody has emptied the folder."""
        path = self._path(f"{self._token}.alive")
        if self._alive is not None:
            if is_at(path, self._alive):
                return
            # Somebody has emptied the folder. It gets another number, and by that the ledger another name.
            self._leave()
            self._alive, self._name = None, ""
            raise _Busy
        self._alive = lock_file(path)
        if self._alive is None:
            raise OSError(errno.EBUSY, "this program's own file in it is held by another", str(path))
        self._leave = finalize(self, os.close, self._alive)
        self._remove_abandoned(os.fstat(self._alive).st_mtime)

    def _living(self, ledger: Ledger) -> Iterator[str]:
        for one in ledger.members:
            if one.token == self._token or is_held(self._path(f"{one.token}.alive")):
                yield one.token

    def _read(self) -> Ledger:
        try:
            return _LEDGERS.decode(self._path("json").read_bytes())
        except FileNotFoundError:
            return Ledger()
        except (msgspec.DecodeError, UnicodeDecodeError):
            log.warning("The budget of requests in %s cannot be read, and is begun anew.", self._path("json"))
            return Ledger()

    def _write(self, ledger: Ledger) -> None:
        replace_file(self._path("json"), msgspec.json.encode(ledger), mode=0o600)

    def _remove_abandoned(self, now: float) -> None:
        """Remove what programs left that are gone, of other accounts and servers too; under this ledger's lock.

        `now` is by the clock of the disk.
        """
        _remove_the_dead(self._folder, self._name)
        with suppress(OSError):
            for ledger in self._folder.glob("*.json"):
                if ledger.stem != self._name and now - ledger.stat().st_mtime > _KEPT_SECONDS:
                    _remove_unless_used(ledger.with_suffix(".lock"))


def _remove_the_dead(folder: Path, name: str) -> bool:
    """Remove the files of programs that are gone; whether none is left. Under the ledger's lock."""
    held = False
    for path in folder.glob(f"{name}.*.alive"):
        if is_held(path):
            held = True
        else:
            path.unlink(missing_ok=True)
    return not held


def _remove_unless_used(lock: Path) -> None:
    """Remove a ledger with all its files, unless somebody uses it."""
    descriptor = lock_file(lock)
    if descriptor is None:
        return
    try:
        if _remove_the_dead(lock.parent, lock.stem):
            lock.with_suffix(".json").unlink(missing_ok=True)
            lock.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
