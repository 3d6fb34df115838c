"""Look at this computer: Python, packages, disk."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from options_helper.doctor.findings import INSTALL, Finding, Verdict

# Of a package: its version, None where it is not installed.
Installed = Callable[[str], str | None]

OLDEST_PYTHON: Final = (3, 11)
# A recorded day of a busy portfolio takes some hundred megabytes.
SCARCE_BYTES: Final = 1_000_000_000
FULL_BYTES: Final = 100_000_000

_REQUIREMENT: Final = re.compile(
    r"(?P<name>[\w.-]+)(?:\[[^\]]*\])? ?(?P<bounds>[^;]*)(?:;.*extra == ['\"](?P<extra>\w+)['\"])?"
)


def check_python(version: tuple[int, ...]) -> Finding:
    """Is this Python new enough?"""
    said = f"{'.'.join(map(str, version))} on {platform.system()} {platform.machine()}"
    if version[:2] < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return Finding(Verdict.FAILED, f"{said} is too old.", f"Install Python {oldest} or newer.")
    return Finding(Verdict.OK, said)


def check_packages(requirements: Sequence[str] | None, installed: Installed) -> Finding:
    """What the streams need, and whether each is there in a version that fits."""
    return _judge_packages(
        [None, "alpaca"], requirements, installed, Verdict.FAILED, "no stream can be opened without it"
    )


def check_page_packages(requirements: Sequence[str] | None, installed: Installed) -> Finding:
    """What only the page needs: recording works without."""
    return _judge_packages(
        ["ui"], requirements, installed, Verdict.WARNING, "the page cannot be opened; recording works"
    )


def _judge_packages(
    extras: Sequence[str | None],
    requirements: Sequence[str] | None,
    installed: Installed,
    verdict: Verdict,
    consequence: str,
) -> Finding:
    if requirements is None:
        return Finding(
            Verdict.WARNING,
            "options-helper is not installed but run from a folder, so nothing says what it needs.",
            "In a checkout: sh scripts/setup",
        )
    wanted = dict(_wanted(requirements, extras))
    found = {name: installed(name) for name in wanted}
    versions = {name: version for name, version in found.items() if version is not None}
    missing = [name for name, version in found.items() if version is None]
    if missing:
        return Finding(verdict, f"{', '.join(missing)} not installed: {consequence}.", INSTALL, versions)
    unfit = [
        f"{name} {had} ({wanted[name]})" for name, had in versions.items() if not _fits(had, wanted[name])
    ]
    if unfit:
        return Finding(verdict, f"These versions do not fit: {', '.join(unfit)}.", INSTALL, versions)
    return Finding(
        Verdict.OK, ", ".join(f"{name} {version}" for name, version in versions.items()), None, versions
    )


def _wanted(requirements: Sequence[str], extras: Sequence[str | None]) -> Iterator[tuple[str, str]]:
    """Name and bounds ("<0.45,>=0.44") of each requirement of these extras; None stands for what all need."""
    for requirement in requirements:
        parts = _REQUIREMENT.match(requirement)
        if parts is not None and parts["extra"] in extras:
            yield parts["name"], parts["bounds"].strip()


def _fits(version: str, bounds: str) -> bool:
    had = _numbers(version)
    for bound in filter(None, bounds.split(",")):
        limit = _numbers(bound)
        if (bound.startswith(">=") and had < limit) or (bound.startswith("<") and had >= limit):
            return False
    return True


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", re.split(r"[a-z]", version.lower(), maxsplit=1)[0])))


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def check_disk(
    folders: Iterable[Path],
    free_bytes: Callable[[Path], int],
    may_write: Callable[[Path], bool] = _may_write,
) -> Finding:
    """Is there room where heartbeats and recordings go, and may they be written?"""
    there = [_existing(folder) for folder in folders]
    free = {str(folder): free_bytes(folder) for folder in there}
    tightest = min(free, key=free.__getitem__)
    said = f"{free[tightest] / 1e9:,.1f} GB free at {tightest}"
    if free[tightest] < FULL_BYTES:
        return Finding(Verdict.FAILED, f"The disk is as good as full: {said}.", "Make room before recording.")
    if locked := [str(folder) for folder in there if not may_write(folder)]:
        remedy = "Start from a folder of your own, or correct its owner and mode."
        return Finding(Verdict.WARNING, f"This user may not write to {' and '.join(locked)}.", remedy)
    if free[tightest] < SCARCE_BYTES:
        remedy = "It is enough for the page; make room before recording for days."
        return Finding(Verdict.WARNING, f"Room is scarce: {said}.", remedy)
    return Finding(Verdict.OK, said)


def _existing(folder: Path) -> Path:
    return next((path for path in (folder, *folder.parents) if path.is_dir()), Path("/"))
