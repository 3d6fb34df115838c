"""Run a module whose imports of large packages wait until something in them is used."""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from types import ModuleType, SimpleNamespace
from typing import Any, Final


@contextmanager
def late_imports(late: Mapping[str, Collection[str]]) -> Iterator[None]:
    """Meanwhile the modules that `late` names import the packages it gives them only when they use them.

    They are found as ever, and have an `import` of their own for as long as they live: no other module notices, nor
    another thread. A package that somebody has imported before is given to them as it is, and whatever is used of one
    raises what its import raises; a name that it lacks is an AttributeError then. For one thread at a time.
    """
    # There for good, and idle but for the block: an import of another thread walks the list of finders as it stands,
    # and where one is taken away meanwhile, it passes over the next.
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    before = _finder.late
    _finder.late = {**before, **late}
    try:
        yield
    finally:
        _finder.late = before


class _LateFinder(MetaPathFinder):
    """Finds modules where they are, and has some import in their own way."""

    def __init__(self) -> None:
        self.late: Mapping[str, Collection[str]] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - as `import` asks
    ) -> ModuleSpec | None:
        late = self.late.get(fullname)
        found = PathFinder.find_spec(fullname, path) if late else None
        if late is None or found is None or not isinstance(found.loader, SourceFileLoader):
            return None
        loader = _LateLoader(fullname, found.loader.path, late)
        return spec_from_file_location(fullname, found.origin, loader=loader)


_finder: Final = _LateFinder()


class _LateLoader(SourceFileLoader):
    """Runs a module with an `import` of its own."""

    def __init__(self, fullname: str, path: str, late: Collection[str]) -> None:
        super().__init__(fullname, path)
        self._late = late

    def exec_module(self, module: ModuleType) -> None:
        # `exec` leaves the builtins alone that it finds in the names it runs with, and `import` is one of them.
        vars(module)["__builtins__"] = vars(builtins) | {"__import__": self._import}
        super().exec_module(module)

    def _import(
        self,
        name: str,
        globals: Any = None,  # noqa: A002 - as `import` passes them
        locals: Any = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        # One that somebody has imported, or is about to, costs nothing more.
        if level or name not in self._late or name in sys.modules:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if fromlist:
            return SimpleNamespace(**{one: _LateName(name, one) for one in fromlist})
        return _LatePackage(name)


class _LatePackage(ModuleType):
    """A package that is imported when something in it is first used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


@dataclass(frozen=True, slots=True)
class _LateName:
    """One name of such a package: called, asked and judged by as what it stands for."""

    package: str
    name: str

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._found()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found(), name)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self._found())

    def _found(self) -> Any:
        return getattr(importlib.import_module(self.package), self.name)
