"""Make decoders one at a time: where two threads are the first to read a dataclass, msgspec ends the process.

It (0.22 is the newest there is) keeps on the class how its fields are read, and puts that there unfinished. A
thread that finds it so follows a null pointer, and the process dies without a word. So whatever reads typed values is
made here, under one lock; a test holds everybody to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

import msgspec

T = TypeVar("T")
Hook = Callable[[type, Any], Any]

# Guards what msgspec keeps on classes: nobody uses it before the decoder that needed it was returned from here.
_LOCK: Final = threading.Lock()


@overload
def json_decoder(kind: type[T], dec_hook: Hook | None = None) -> msgspec.json.Decoder[T]: ...
@overload
def json_decoder(kind: Any, dec_hook: Hook | None = None) -> msgspec.json.Decoder[Any]: ...
def json_decoder(kind: Any, dec_hook: Hook | None = None) -> msgspec.json.Decoder[Any]:
    """What reads JSON as this type; made and used on any thread. TypeError where msgspec knows no such type."""
    with _LOCK:
        return msgspec.json.Decoder(kind, dec_hook=dec_hook)


@overload
def msgpack_decoder(kind: type[T], dec_hook: Hook | None = None) -> msgspec.msgpack.Decoder[T]: ...
@overload
def msgpack_decoder(kind: Any, dec_hook: Hook | None = None) -> msgspec.msgpack.Decoder[Any]: ...
def msgpack_decoder(kind: Any, dec_hook: Hook | None = None) -> msgspec.msgpack.Decoder[Any]:
    """What reads MessagePack as this type; made and used on any thread. TypeError where msgspec knows no such."""
    with _LOCK:
        return msgspec.msgpack.Decoder(kind, dec_hook=dec_hook)


def converter(kind: type[T], *, strict: bool = True) -> Callable[[Any], T]:
    """What makes this type of builtin values, ValidationError where it cannot; made and used on any thread.

    Not `strict`: a number may come as its text.
    """
    msgpack_decoder(kind)  # from here on msgspec knows the class, and those of its fields

    def convert(value: Any) -> T:
        return msgspec.convert(value, kind, strict=strict)

    return convert
