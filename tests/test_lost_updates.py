"""What was read before an `await` is old after it: no value of an object is made of one, whatever came meanwhile."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest


def lost_updates(source: str) -> list[int]:
    """The lines on which a value of an object is read, something is awaited, and what is made of both is kept.

    `self.x = f(self.x, await …)`, `self.x += await …`, and `replace(self.x, y=await …)` whatever becomes of it: what
    was assigned to `self.x` meanwhile is forgotten.
    """
    nodes = tuple(ast.walk(ast.parse(source)))
    found = [node.lineno for node in nodes if isinstance(node, ast.Call) and _replaces(node)]
    for node in nodes:
        if not isinstance(node, ast.Assign | ast.AugAssign):
            continue
        targets: list[ast.expr] = node.targets if isinstance(node, ast.Assign) else [node.target]
        reads = set() if isinstance(node, ast.Assign) else {ast.unparse(node.target)}
        reads |= {ast.unparse(one) for one in _beside_awaits(node.value) if isinstance(one, ast.Attribute)}
        kept = {ast.unparse(one) for one in targets if isinstance(one, ast.Attribute)}
        if _awaits(node.value) and reads & kept:
            found.append(node.lineno)
    return sorted(set(found))


def _replaces(call: ast.Call) -> bool:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    is_of_object = bool(call.args) and isinstance(call.args[0], ast.Attribute)
    return name == "replace" and is_of_object and any(_awaits(one.value) for one in call.keywords)


def _beside_awaits(node: ast.AST) -> Iterator[ast.AST]:
    """What is not awaited itself: what is handed to whom is awaited, that one may hold against what is there then."""
    if isinstance(node, ast.Await):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _beside_awaits(child)


def _awaits(value: ast.expr) -> bool:
    return any(isinstance(one, ast.Await) for one in ast.walk(value))


@pytest.mark.parametrize(
    "line",
    [
        "self.desk = replace(self.desk, offset=await measured())",
        "changed = replace(self.desk, offset=await measured())",
        "self.count += await counted()",
        "self.all = [*self.all, await one()]",
    ],
)
def test_an_update_over_an_await_is_found(line: str):
    assert lost_updates(f"async def f(self):\n    {line}\n") == [2]


@pytest.mark.parametrize(
    "line",
    [
        "self.desk = replace(self.desk, offset=offset)",
        "self.desk = await measured()",
        "self.desk = await renewed(self.desk)",
        "count += await counted()",
    ],
)
def test_what_is_awaited_before_is_none(line: str):
    assert lost_updates(f"async def f(self):\n    {line}\n") == []


def test_nothing_that_comes_while_something_is_awaited_is_forgotten(repository: Path):
    sources = [*(repository / "options_helper").rglob("*.py"), *(repository / "apps").rglob("*.py")]
    found = [
        f"{path.relative_to(repository)}:{line}"
        for path in sources
        for line in lost_updates(path.read_text(encoding="utf-8"))
    ]

    assert len(sources) > 300
    assert found == []
