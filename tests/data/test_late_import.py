"""What a module imports late it has when it uses it; nobody else notices, and nothing of it stays where it failed."""

from __future__ import annotations

import copy
import importlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from types import ModuleType

import pytest

from options_helper.data.late_import import late_imports

LARGE, USER, OTHER, FAILING = "large_package", "its_user", "its_other_user", "its_failing_user"
HOME = "its_home"
NAMESAKE = f"{HOME}.user"  # has a neighbour of that name
LATE = {USER: {LARGE}, FAILING: {LARGE}, NAMESAKE: {LARGE}}
MODULES = {
    f"{LARGE}/__init__.py": "class Frame:\n    size = 2\n",
    f"{LARGE}/part.py": "size = 3\n",
    f"{USER}.py": (
        f"import {LARGE} as lp\nfrom {LARGE} import Frame\n"
        "def frame() -> Frame: return Frame()\n"
        "def is_frame(value): return isinstance(value, Frame)\n"
        "def later():\n"
        f"    import {LARGE}.part\n"
        f"    return {LARGE}.part.size\n"
    ),
    f"{HOME}/__init__.py": "",
    f"{HOME}/{LARGE}.py": "size = 4\n",
    f"{HOME}/user.py": f"from .{LARGE} import size\n",
    f"{OTHER}.py": f"import {LARGE} as lp\n",
    f"{FAILING}.py": f"import {LARGE}\nimport no_such_package\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [one for one in sys.modules if one.partition(".")[0] in {LARGE, USER, OTHER, FAILING, HOME}]:
        del sys.modules[name]


def imported_late(name: str = USER) -> ModuleType:
    with late_imports(LATE):
        return importlib.import_module(name)


@pytest.mark.usefixtures("folder")
def test_a_package_is_imported_when_something_in_it_is_used():
    user = imported_late()
    assert LARGE not in sys.modules

    assert user.lp.Frame.size == 2
    assert type(user.frame()) is user.lp.Frame is sys.modules[LARGE].Frame


@pytest.mark.usefixtures("folder")
def test_a_name_of_it_does_what_it_stands_for():
    user = imported_late()

    assert user.Frame.size == 2
    assert user.is_frame(user.frame())
    assert not user.is_frame(2)
    assert user.later() == 3
    assert copy.copy(user.Frame) == pickle.loads(pickle.dumps(user.Frame)) == user.Frame  # noqa: S301 - made here
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = user.lp.no_such_name


@pytest.mark.usefixtures("folder")
def test_a_package_that_is_there_is_given_as_it_is():
    large = importlib.import_module(LARGE)

    user = imported_late()

    assert user.lp is large
    assert user.Frame is large.Frame


@pytest.mark.usefixtures("folder")
def test_all_others_import_it_meanwhile_as_ever():
    with late_imports(LATE):
        importlib.import_module(USER)
        elsewhere = Thread(target=importlib.import_module, args=(OTHER,))
        elsewhere.start()
        elsewhere.join()

        assert sys.modules[OTHER].lp is sys.modules[LARGE]
        assert type(sys.modules[LARGE]) is ModuleType


@pytest.mark.usefixtures("folder")
def test_a_neighbour_of_the_same_name_is_no_such_package():
    assert imported_late(NAMESAKE).size == 4


@pytest.mark.usefixtures("folder")
def test_it_ends_with_the_block_also_where_an_import_fails():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        imported_late(FAILING)

    assert FAILING not in sys.modules
    assert importlib.import_module(USER).lp is importlib.import_module(LARGE)


@pytest.mark.usefixtures("folder")
def test_no_finder_is_taken_from_under_an_import_of_another_thread():
    with late_imports({}):
        meanwhile = list(sys.meta_path)

    imported_late()

    assert sys.meta_path == meanwhile


def test_what_is_used_of_a_package_that_cannot_be_had_raises_what_its_import_raises(folder: Path):
    user = imported_late()
    (folder / LARGE / "__init__.py").write_text("raise ImportError('broken')")

    for use in (user.frame, lambda: user.lp.Frame):
        with pytest.raises(ImportError, match="broken"):
            use()


@pytest.mark.usefixtures("folder")
def test_one_block_within_another_leaves_that_one_in_place():
    with late_imports(LATE):
        with late_imports({}):
            pass
        importlib.import_module(USER)

    assert LARGE not in sys.modules
