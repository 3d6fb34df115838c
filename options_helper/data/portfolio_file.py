"""Read a portfolio file that a browser named, from known folders only, and notice when it changes."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from options_helper.errors import ConfigError
from options_helper.model.portfolio import Portfolio, parse_portfolio

MAX_BYTES: Final = 1_000_000
DEFAULT_NAME: Final = "portfolio.json"
OUTSIDE: Final = (
    "The portfolio must lie in the working folder or in a folder named at launch; "
    "start with --portfolio PATH to allow another."
)

# Modification time in nanoseconds and size: what tells one state of a file from the next.
Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PortfolioFile:
    """The last good reading of a portfolio file, and what is wrong with the file now, if anything."""

    path: Path
    name: str  # as the page shows it: relative to its folder, never absolute
    stamp: Stamp | None = None
    portfolio: Portfolio | None = None
    problem: str | None = None


def known_roots(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The folders a portfolio may lie in: those the launcher names, then the working folder."""
    named = [Path(root) for root in environ.get("OH_PORTFOLIO_ROOTS", "").split(os.pathsep) if root]
    return tuple(dict.fromkeys(root.resolve() for root in [*named, Path.cwd()]))


def default_text(roots: Sequence[Path], environ: Mapping[str, str] = os.environ) -> str:
    """What the path box says at first: the launcher's file relative to its folder, else `portfolio.json`."""
    named = environ.get("OH_PORTFOLIO")
    return _shown(Path(named).resolve(), roots) if named else DEFAULT_NAME


def open_portfolio_file(text: str, roots: Sequence[Path]) -> PortfolioFile:
    """Find and read the file `text` names under `roots`; what is wrong is in `problem`, never raised."""
    try:
        candidates = [(root / text).resolve() for root in roots]
        allowed = [path for path in candidates if any(path.is_relative_to(root) for root in roots)]
        path = next((path for path in allowed if path.exists()), allowed[0] if allowed else None)
    except (OSError, ValueError, RuntimeError):
        # A name that no file can have, or links that lead in a circle.
        return PortfolioFile(Path(), name="the portfolio", problem="That is no name of a file; type another.")
    # The answer for a file outside is the same whether it exists or not.
    if path is None:
        return PortfolioFile(Path(), name=Path(text).name, problem=OUTSIDE)
    return reread(PortfolioFile(path, name=_shown(path, roots)))


def reread(file: PortfolioFile) -> PortfolioFile:
    """Read again when the file changed since the last reading; keeps the last good portfolio when it is broken."""
    if not file.path.name:
        return file
    try:
        stamp = stamp_of(file.path)
        if stamp is not None and stamp == file.stamp:
            return file
        portfolio = parse_portfolio(_content(file), file.name)
    except ConfigError as error:
        return replace(file, stamp=stamp_of(file.path), problem=str(error))
    return replace(file, stamp=stamp, portfolio=portfolio, problem=None)


def follow(file: PortfolioFile) -> PortfolioFile:
    """As `reread`, for who has begun with one account: the file of another leaves the last good reading in use."""
    found, before = reread(file), file.portfolio
    if before is None or found.portfolio is None or found.portfolio.account == before.account:
        return found
    return replace(
        found,
        portfolio=before,
        problem=f"{found.name} is of {_account(found.portfolio)} now, and was of {_account(before)}. "
        "Stop and start again to follow that.",
    )


def _account(portfolio: Portfolio) -> str:
    return "no named account" if portfolio.account is None else f"the account {portfolio.account!r}"


def stamp_of(path: Path) -> Stamp | None:
    """The present state of the file, or None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _content(file: PortfolioFile) -> bytes:
    if file.path.suffix != ".json":
        raise ConfigError(f"{file.name} is no .json file.")
    try:
        status = file.path.stat()
        # Checked before opening: a pipe would make the reader wait.
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{file.name} is not a regular file.")
        if status.st_size > MAX_BYTES:
            raise ConfigError(f"{file.name} is larger than 1 MB; a portfolio is a short list of positions.")
        return file.path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"There is no {file.name}; check the name, or create the file.") from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{file.name} cannot be read: {reason}.") from error


def _shown(path: Path, roots: Sequence[Path]) -> str:
    root = next((root for root in roots if path.is_relative_to(root)), None)
    return path.name if root is None else str(path.relative_to(root))
