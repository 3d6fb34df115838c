"""Messages are cut out of a websocket's bytes whole and in order; what is not plain data reaches the library."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from options_helper.data.streaming.connection.websocket_frames import MessageReader

LIMIT = 100_000


def from_server(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=False)


class ReadFrames:
    """A reader, what it handed over and what it passed on."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.passed_on = b""
        self.reader = MessageReader(self.messages.append, self._pass_on, LIMIT)

    def _pass_on(self, data: bytes) -> None:
        self.passed_on += data


def read(stream: bytes, *, piece: int = 0) -> ReadFrames:
    frames = ReadFrames()
    for start in range(0, len(stream), piece or len(stream) or 1):
        frames.reader.feed(stream[start : start + (piece or len(stream))])
    return frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, LIMIT])
def test_a_message_of_any_length_is_read_whole(size: int):
    message = bytes(size)

    assert read(from_server(Opcode.BINARY, message)).messages == [message]


def test_text_is_handed_over_as_its_bytes():
    assert read(from_server(Opcode.TEXT, b'{"stream":1}')).messages == [b'{"stream":1}']


@given(
    st.lists(
        st.tuples(st.sampled_from(["data", "text", "ping", "fragments"]), st.binary(max_size=300)), max_size=8
    ),
    st.integers(1, 50),
)
def test_however_the_bytes_are_cut_the_messages_are_the_same(parts: list[tuple[str, bytes]], piece: int):
    stream, messages, pings = b"", [], b""
    for kind, data in parts:
        match kind:
            case "ping":
                ping = from_server(Opcode.PING, data[:125])
                stream += ping
                pings += ping
                continue
            case "fragments":
                middle = len(data) // 2
                stream += from_server(Opcode.BINARY, data[:middle], fin=False)
                # Control frames may stand between fragments.
                stream += from_server(Opcode.PONG, b"")
                pings += from_server(Opcode.PONG, b"")
                stream += from_server(Opcode.CONT, data[middle:])
            case _:
                stream += from_server(Opcode.TEXT if kind == "text" else Opcode.BINARY, data)
        messages.append(data)

    for frames in (read(stream), read(stream, piece=piece)):
        assert frames.messages == messages
        assert frames.passed_on == pings


def test_a_close_reaches_the_library():
    close = from_server(Opcode.CLOSE, b"\x03\xe8")
    frames = read(from_server(Opcode.BINARY, b"last") + close)

    assert (frames.messages, frames.passed_on) == ([b"last"], close)


@pytest.mark.parametrize(
    "broken",
    [
        Frame(Opcode.BINARY, b"masked").serialize(mask=True),
        b"\xc2\x0acompressed",
        from_server(Opcode.CONT, b"continues nothing"),
        from_server(Opcode.BINARY, b"begun", fin=False) + from_server(Opcode.BINARY, b"another"),
        b"\x83\x00",
        from_server(Opcode.BINARY, bytes(LIMIT + 1))[:2_000],
        from_server(Opcode.BINARY, bytes(LIMIT), fin=False) + from_server(Opcode.CONT, b"x"),
    ],
    ids=["masked", "compressed", "continuation", "interrupted", "reserved", "too long", "too long in pieces"],
)
def test_what_no_server_may_send_is_the_library_s_with_all_that_follows(broken: bytes):
    after = from_server(Opcode.BINARY, b"after")
    frames = read(from_server(Opcode.BINARY, b"before") + broken + after)

    assert frames.messages == [b"before"]
    assert frames.passed_on.endswith(after)


def test_the_library_is_told_that_a_message_was_interrupted():
    """Otherwise it would take the frame that interrupts for a good one, and nobody would read what follows."""
    begun, another = from_server(Opcode.BINARY, b"begun", fin=False), from_server(Opcode.BINARY, b"another")

    assert read(begun + another).passed_on == b"\x02\x00" + another


def test_fragments_without_end_are_given_up():
    frames = read(
        from_server(Opcode.BINARY, b"", fin=False) + from_server(Opcode.CONT, b"", fin=False) * 5_000
    )

    assert frames.messages == []
    assert frames.passed_on


def test_a_long_message_in_small_pieces_is_joined_once():
    message = bytes(range(256)) * 300

    assert read(from_server(Opcode.BINARY, message), piece=7).messages == [message]
