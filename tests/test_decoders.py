"""Two threads that are the first to read a type end no process: msgspec's typed decoders are made in one place."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.waiting import A_PROCESS

THE_ONE = Path("options_helper/decoders.py")
# What learns a type, if it is given one.
LEARNING = {
    "convert",
    *(f"{form}.{name}" for form in ("json", "msgpack", "toml", "yaml") for name in ("Decoder", "decode")),
}
PROGRAM = """
import sys, threading, types
from options_helper.decoders import converter, json_decoder, msgpack_decoder

made = types.ModuleType("made")
sys.modules["made"] = made
exec("from dataclasses import dataclass", made.__dict__)
for number in range(30):
    exec(f'''
@dataclass
class Part{number}:
    size: int = 0

@dataclass
class Whole{number}:
    part: Part{number} | None = None
    sizes: list[int] | None = None
''', made.__dict__)
READERS = [
    lambda kind: json_decoder(kind).decode(b'{"part": {"size": 7}, "sizes": [7]}'),
    lambda kind: msgpack_decoder(kind).decode(b"\\x82\\xa4part\\x81\\xa4size\\x07\\xa5sizes\\x91\\x07"),
    lambda kind: converter(kind)({"part": {"size": 7}, "sizes": [7]}),
]
begin, right = threading.Barrier(4), []

def read():
    for number in range(30):
        begin.wait()
        whole = READERS[number % 3](getattr(made, f"Whole{number}"))
        right.append((whole.part.size, whole.sizes) == (7, [7]))

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=read, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(right), all(right))
"""


@pytest.mark.processes
def test_threads_that_are_the_first_to_read_a_type_end_nothing(repository: Path):
    """In a program of its own: what goes wrong here goes wrong without an exception."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=A_PROCESS,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (0, "120 True\n"), ended.stderr


def test_whatever_reads_typed_values_is_made_in_one_place(repository: Path):
    found = [
        f"{path.relative_to(repository)}:{line}"
        for folder in ("options_helper", "apps")
        for path in sorted((repository / folder).rglob("*.py"))
        if path.relative_to(repository) != THE_ONE
        if "msgspec" in (source := path.read_text(encoding="utf-8"))
        for line in learning(source)
    ]

    assert not found, f"make these with {THE_ONE}: {found}"


@pytest.mark.parametrize(
    "fault",
    [
        "import msgspec\ndef read(data): return msgspec.json.decode(data, type=Beat)",
        "import msgspec\nREAD = msgspec.msgpack.Decoder(Beat)",
        "import msgspec as m\nm.convert(facts, Beat)",
        "import msgspec.json\nmsgspec.json.decode(data, type=Beat)",
        "import msgspec.json as fast\nfast.decode(data, type=Beat)",
        "from msgspec import convert as made\nmade(facts, Beat)",
        "from msgspec import json\njson.decode(data, **how)",
        "from msgspec.json import Decoder\nDecoder(Beat)",
        "import msgspec\nread = partial(msgspec.json.decode, type=Beat)",
        "from msgspec.msgpack import *",
    ],
)
def test_a_decoder_that_is_made_elsewhere_is_found_however_it_is_written(fault: str):
    assert list(learning(fault))


@pytest.mark.parametrize(
    "well",
    [
        "import msgspec\nmsgspec.json.decode(data)\nREAD = msgspec.json.Decoder().decode",
        "import msgspec\ndef read(by: msgspec.json.Decoder[Beat]): return by.decode(data)",
        "import json\njson.decode(data, type=Beat)",
        "from msgspec import json\njson.encode(beat)",
    ],
)
def test_what_learns_no_type_may_stand_anywhere(well: str):
    assert not list(learning(well))


def learning(source: str) -> Iterator[int]:
    """The lines where msgspec may learn a type, whatever it is called there."""
    tree = ast.parse(source)
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "msgspec":
                    names[alias.asname or "msgspec"] = alias.name if alias.asname else "msgspec"
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "msgspec":
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            if any(alias.name == "*" for alias in node.names):
                yield node.lineno
    untyped = {
        id(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and not node.keywords
        and len(node.args) <= (dotted(node.func, names).endswith("decode"))
    }
    written = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Subscript)}  # annotations
    for node in ast.walk(tree):
        learns = dotted(node, names).removeprefix("msgspec.") in LEARNING
        if learns and id(node) not in untyped | written:
            yield node.lineno  # type: ignore[attr-defined]  # names and attributes have one


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    """What it is called where it is from; empty where it is not msgspec's."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute) and (before := dotted(node.value, names)):
        return f"{before}.{node.attr}"
    return ""
