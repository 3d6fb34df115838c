"""The heartbeat's file: where it is, and how it is replaced and read in one step."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from options_helper.data.atomic_file import replace_file
from options_helper.data.state_folder import state_folder
from options_helper.decoders import json_decoder
from options_helper.errors import StoreError
from options_helper.monitoring.heartbeat import Heartbeat, Role

log = logging.getLogger(__name__)


CAPTURE_FILE: Final = ".health.json"
# Another name, so that an ingestion can keep its data where a capture records.
INGESTION_FILE: Final = ".ingest-health.json"
# In the state folder, by role and process: the file of a dashboard, or a link to that of a capture or an ingestion, so
# that a person need not name it. Two dashboards that shared one would write over each other.
_OF_A_PROCESS: Final = "{role}-{pid}.json"


# The file's size is a multiple of this, so that a full disk, which has no new block, can still take the next one.
_BLOCK: Final = 4_096

_BEATS: Final = json_decoder(Heartbeat)


def write_heartbeat(path: Path, beat: Heartbeat) -> None:
    """Replace the file in one step, for its owner only; OSError when the disk refuses.

    A disk that is full, which is what somebody should learn from it, takes it in place of the old one, in one write.
    """
    data = msgspec.json.format(msgspec.json.encode(beat), indent=1)
    data = data.ljust(-(-(len(data) + 1) // _BLOCK) * _BLOCK - 1) + b"\n"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        replace_file(path, data, mode=0o600)
    except OSError as error:
        if error.errno != errno.ENOSPC or not _overwrite(path, data):
            raise


def _overwrite(path: Path, data: bytes) -> bool:
    """Write over the file's own blocks; whether there is such a file and it is long enough."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        size = os.fstat(descriptor).st_size
        return size >= len(data) and os.write(descriptor, data.ljust(size)) == size
    finally:
        os.close(descriptor)


def read_heartbeat(path: Path) -> Heartbeat | None:
    """What was written last; None where there is no file. StoreError where it cannot be read or is no heartbeat."""
    try:
        return _BEATS.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"The heartbeat {path} cannot be read: {error.strerror or error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{path} is no heartbeat of this version: {error}. Name the file of a capture or of the dashboard."
        ) from error


def file_of(role: Role) -> Path:
    """Where a run of this process is found by its role: a dashboard's heartbeat, or a link to that of another.

    RuntimeError as `state_folder`.
    """
    return state_folder() / _OF_A_PROCESS.format(role=role, pid=os.getpid())


def dashboard_file() -> Path | None:
    """Where the dashboard of this process keeps its heartbeat; None for a user without a home."""
    try:
        return file_of(Role.DASHBOARD)
    except RuntimeError:
        return None


def remember_run(path: Path, role: Role) -> None:
    """Let `stream health` or `ingest health` without a name find this process's file.

    A system that refuses only loses that. RuntimeError as `state_folder`.
    """
    link = file_of(role)
    try:
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
    except OSError as error:
        log.info("%s cannot be made: %s", link, error)


def known_heartbeats(
    environ: Mapping[str, str] | None = None, roles: Iterable[Role] = Role
) -> tuple[Path, ...]:
    """The files of this user's runs of these roles, the one written last first. RuntimeError as `state_folder`."""
    folder = state_folder(environ)
    found = {path: _written_ns(path) for role in roles for path in folder.glob(f"*{role}*.json")}
    return tuple(sorted((path for path, written in found.items() if written), key=lambda path: -found[path]))


def forget_heartbeats(process_lives: Callable[[int], bool | None]) -> None:
    """Remove what processes have left that are gone, now that another run takes their place; never raises.

    A home may be shared: what another computer wrote, or nobody can say who, is left alone.
    """
    with suppress(OSError, RuntimeError):
        folder = state_folder()
        for path in (path for role in Role for path in folder.glob(f"{role}-*.json")):
            number = path.stem.rpartition("-")[2]
            if number.isdecimal() and process_lives(int(number)) is False and _is_of_this_host(path):
                path.unlink(missing_ok=True)


def _is_of_this_host(path: Path) -> bool:
    try:
        beat = read_heartbeat(path)
    except StoreError:
        return False
    return beat is not None and beat.host == socket.gethostname()


def _written_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
