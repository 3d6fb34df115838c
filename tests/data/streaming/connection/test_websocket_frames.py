"""Messages are cut out of a websocket's bytes whole and in order; what is not plain data reaches the library."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from options_helper.data.streaming.connection.websocket_frames import InflateError, Inflater, MessageReader

LIMIT = 100_000


def from_server(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=False)


def marked_compressed(frame: bytes) -> bytes:
    return bytes([frame[0] | 0x40]) + frame[1:]


class CompressingServer:
    """Sends messages compressed, as RFC 7692 has it: one window for all, the tail of each cut off."""

    def __init__(self) -> None:
        self._window = zlib.compressobj(wbits=-15)

    def deflate(self, data: bytes) -> bytes:
        return (self._window.compress(data) + self._window.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def message(self, data: bytes, opcode: Opcode = Opcode.BINARY) -> bytes:
        return marked_compressed(from_server(opcode, self.deflate(data)))

    def fragments(self, data: bytes) -> bytes:
        deflated = self.deflate(data)
        middle = len(deflated) // 2
        first = marked_compressed(from_server(Opcode.BINARY, deflated[:middle], fin=False))
        return first + from_server(Opcode.PING, b"between") + from_server(Opcode.CONT, deflated[middle:])


class ReadFrames:
    """A reader, what it handed over and what it passed on."""

    def __init__(self, *, compressed: bool = False) -> None:
        self.messages: list[bytes] = []
        self.passed_on = b""
        self.failures: list[InflateError] = []
        self.reader = MessageReader(
            self.messages.append,
            self._pass_on,
            LIMIT,
            inflate=Inflater(LIMIT).inflate if compressed else None,
            on_failure=self.failures.append,
        )

    def _pass_on(self, data: bytes) -> None:
        self.passed_on += data


def read(stream: bytes, *, piece: int = 0, compressed: bool = False) -> ReadFrames:
    frames = ReadFrames(compressed=compressed)
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


@given(
    st.lists(
        st.tuples(st.sampled_from(["plain", "whole", "text", "fragments"]), st.binary(max_size=300)),
        max_size=8,
    ),
    st.integers(1, 50),
)
def test_compressed_messages_are_read_like_plain_ones(parts: list[tuple[str, bytes]], piece: int):
    """Both kinds may come in turn: a sender compresses what it finds worth it."""
    server, stream = CompressingServer(), b""
    for kind, data in parts:
        match kind:
            case "plain":
                stream += from_server(Opcode.BINARY, data)
            case "fragments":
                stream += server.fragments(data)
            case _:
                stream += server.message(data, Opcode.TEXT if kind == "text" else Opcode.BINARY)

    for frames in (read(stream, compressed=True), read(stream, piece=piece, compressed=True)):
        assert frames.messages == [data for _, data in parts]
        assert frames.failures == []
        assert frames.passed_on.count(b"between") == [kind for kind, _ in parts].count("fragments")


def test_a_server_may_begin_each_message_with_an_empty_window():
    stream = b"".join(CompressingServer().message(b"the same words") for _ in range(3))

    assert read(stream, compressed=True).messages == [b"the same words"] * 3


def test_a_message_may_end_its_sender_s_stream():
    """RFC 7692 §7.2.3.4: a final block, and the byte that makes room for the tail."""
    final = bytes.fromhex("f348cdc9c9070000")
    stream = marked_compressed(from_server(Opcode.BINARY, final)) * 2

    assert read(stream, compressed=True).messages == [b"Hello"] * 2


def test_what_stands_behind_the_end_of_a_sender_s_stream_is_not_passed_over():
    ended, more = bytes.fromhex("f348cdc9c90700"), bytes.fromhex("f248cdc9c90700")
    frames = read(marked_compressed(from_server(Opcode.BINARY, ended + more)), compressed=True)

    assert frames.messages == []
    assert [error.code for error in frames.failures] == [1007]


def test_a_message_that_cannot_be_inflated_ends_the_reading_and_says_so():
    server = CompressingServer()
    broken = marked_compressed(from_server(Opcode.BINARY, b"\xff\xff\xff"))
    stream = server.message(b"before") + broken + server.message(b"after")
    close = from_server(Opcode.CLOSE, b"\x03\xef")
    frames = read(stream, compressed=True)
    frames.reader.feed(close)

    assert frames.messages == [b"before"]
    assert [(str(error), error.code) for error in frames.failures] == [
        ("a compressed message cannot be read", 1007)
    ]
    assert frames.passed_on == close


@pytest.mark.parametrize("size", [LIMIT, LIMIT + 1, 50 * LIMIT])
def test_a_message_may_not_grow_beyond_the_limit(size: int):
    frames = read(CompressingServer().message(bytes(size)), compressed=True)

    assert [len(message) for message in frames.messages] == ([size] if size <= LIMIT else [])
    assert [error.code for error in frames.failures] == ([] if size <= LIMIT else [1009])


@pytest.mark.parametrize(
    "broken",
    [
        b"\xe2\x00",
        b"\xc9\x00",
        from_server(Opcode.BINARY, b"begun", fin=False) + b"\xc0\x00",
    ],
    ids=["two bits", "a ping", "a later fragment"],
)
def test_only_the_first_frame_of_a_message_says_that_it_is_compressed(broken: bytes):
    frames = read(broken, compressed=True)

    assert (frames.messages, frames.failures) == ([], [])
    assert frames.passed_on.endswith(broken[-2:])
