"""Each folder's face: its `__init__` says what comes in and goes out, and which names who else may use."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.kit.first_paths import FIRST_PATHS

REPOSITORY = Path(__file__).resolve().parents[1]
LIBRARY = REPOSITORY / "options_helper"
FOLDERS = sorted(
    ".".join(path.parent.relative_to(REPOSITORY).parts)
    for path in LIBRARY.rglob("__init__.py")
    if path.parent != LIBRARY
)
UNSAID = ("options_helper", "options_helper.decoders", "options_helper.errors", "options_helper.clock")


class Use(NamedTuple):
    """One name that one module takes from another; no name: the module itself."""

    user: str
    module: str
    name: str


@cache
def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
        for folder in (LIBRARY, REPOSITORY / "apps")
        for path in folder.rglob("*.py")
    }


@cache
def uses() -> tuple[Use, ...]:
    return tuple(use for module, path in modules().items() for use in uses_in(module, path))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def uses_in(module: str, path: Path) -> Iterator[Use]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (Use(module, alias.name, "") for alias in node.names if alias.name in modules())
        if not isinstance(node, ast.ImportFrom):
            continue
        assert node.level == 0, f"{module} imports by its own place, which hides from where"
        if not (node.module or "").startswith("options_helper"):
            continue
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            yield Use(module, whole, "") if whole in modules() else Use(module, str(node.module), alias.name)


@cache
def folder_of(module: str) -> str:
    within = [name for name in FOLDERS if module == name or module.startswith(f"{name}.")]
    return max(within, key=len, default="")


def subject_of(module: str) -> str:
    """A floor, or one foreign thing in `data`; the store's own module belongs to its parts."""
    parts = module.replace("intraday_store", "intraday").split(".")
    return ".".join(parts[: 3 if parts[:2] == ["options_helper", "data"] else 2])


def shown(folder: str, *names: str) -> dict[str, tuple[str, ...]]:
    face = importlib.import_module(folder)
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        for module, of_module in getattr(face, name, {}).items():
            found[module] = (*found.get(module, ()), *of_module)
    return found


def from_outside(folder: str) -> Iterator[Use]:
    return (use for use in uses() if folder_of(use.module) == folder != folder_of(use.user))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_it_imports(folder: str):
    """Its own parents and parts, `errors`, `clock` and `decoders` go without saying."""
    said = (importlib.import_module(folder).__doc__ or "").partition("Imports `")[2]
    named = set(re.findall(r"`([\w.]+)`", "`" + re.split(r"[.;](?:\s|$)", said)[0]))

    imported = {
        home.removeprefix("options_helper.")
        for use in uses()
        if folder_of(use.user) == folder and (home := folder_of(use.module) or use.module) not in UNSAID
        if not (f"{home}.".startswith(f"{folder}.") or f"{folder}.".startswith(f"{home}."))
    }

    assert {
        home for home in imported if not any(f".{home}.".find(f".{name}.") >= 0 for name in named)
    } == set()
    assert {name for name in named if not any(f".{home}.".find(f".{name}.") >= 0 for home in imported)} <= {
        "errors"
    }


@pytest.mark.parametrize("folder", FOLDERS)
def test_others_use_only_what_a_folder_shows_them(folder: str):
    for_all, for_neighbours = shown(folder, "PUBLIC"), shown(folder, "PUBLIC", "SHARED")

    hidden = []
    for use in from_outside(folder):
        face = for_neighbours if subject_of(use.user) == subject_of(use.module) else for_all
        names = face.get(use.module.removeprefix(f"{folder}."))
        if names is None or (use.name and use.name not in names):
            hidden.append(f"{use.user} uses {use.name or 'all'} of {use.module}")

    assert hidden == [], f"show them in {folder}/__init__.py: PUBLIC, or SHARED for neighbours"


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_a_folder_shows_is_there_and_used(folder: str):
    """A name that nobody else uses is nobody else's business."""
    used = {(use.module, use.name) for use in from_outside(folder)}
    used |= {(module, name) for module, names in FIRST_PATHS.items() for name in names}

    idle = [
        f"{module}.{name}"
        for module, names in shown(folder, "PUBLIC", "SHARED").items()
        for name in names
        if not hasattr(importlib.import_module(f"{folder}.{module}"), name)
        or (f"{folder}.{module}", name) not in used
    ]

    assert idle == []


def test_a_newcomer_meets_half_of_the_classes_at_most():
    met = {
        found
        for folder in FOLDERS
        for module, names in shown(folder, "PUBLIC").items()
        for name in names
        if inspect.isclass(found := getattr(importlib.import_module(f"{folder}.{module}"), name))
    }

    every = [
        node
        for module, path in modules().items()
        if module.startswith("options_helper")
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
    ]
    assert len(met) <= len(every) / 2
