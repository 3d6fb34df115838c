"""Several journal records as one message, behind a header by which anybody can count what did not arrive.

A batch is 32 bytes, little endian, and records as in a journal: version, records, events, number, checksum, epoch,
events before. `epoch` is one owner's term and grows from each to the next; `number` counts its batches of a stream from
0. `events before` counts the events of all batches of this stream before this one, those of earlier epochs too.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from options_helper.data.recording.journal import Record, RecordKind, record_parts, records_in
from options_helper.model.streams import StreamId

VERSION: Final = 1
# A batch is closed when it has this much; one frame may be more.
BATCH_BYTES: Final = 256 * 1024
MAX_RECORDS: Final = 0xFFFF

_HEAD: Final = struct.Struct("<HHIIIQQ")
_CHECKSUM_AT: Final = 12


class Head(NamedTuple):
    """Which batch this is, and how many events it and all before it announce."""

    epoch: int
    number: int
    events_before: int
    events: int

    @property
    def events_until(self) -> int:
        """The events of all batches up to and with this one."""
        return self.events_before + self.events


class Batch(NamedTuple):
    """One message of the bus."""

    head: Head
    records: tuple[Record, ...]


def encode(head: Head, records: Sequence[Record]) -> bytes:
    """The bytes of a batch. `head.events` are the records' events together; ValueError where they are not."""
    if sum(record.events for record in records) != head.events:
        raise ValueError(f"the records do not announce {head.events} events")
    body = b"".join(part for record in records for part in record_parts(record))
    without = _HEAD.pack(VERSION, len(records), head.events, head.number, 0, head.epoch, head.events_before)
    checksum = zlib.crc32(body, zlib.crc32(without)).to_bytes(4, "little")
    return without[:_CHECKSUM_AT] + checksum + without[_CHECKSUM_AT + 4 :] + body


def decode(payload: bytes) -> Batch | str:
    """The batch, or a sentence that says why these bytes are none; never raises.

    The events of one that is damaged are not lost to the count: the next batch says how many there were before it.
    """
    found = _read(payload)
    if isinstance(found, str):
        return found
    head, records = found
    try:
        read = tuple(records_in(payload[_HEAD.size :]))
    except (ValueError, IndexError, struct.error) as error:
        return f"A batch holds what is no record ({error})."
    if len(read) != records or sum(record.events for record in read) != head.events:
        return "A batch announces other records than it holds."
    return Batch(head, read)


def read_head(payload: bytes) -> Head | None:
    """Which batch these bytes are, without reading the records in it; None where they are none."""
    found = _read(payload)
    return None if isinstance(found, str) else found[0]


def _read(payload: bytes) -> tuple[Head, int] | str:
    """The head of an undamaged batch and the number of its records; a sentence where these bytes are none."""
    if len(payload) < _HEAD.size:
        return f"A message of {len(payload)} bytes is no batch."
    version, records, events, number, checksum, epoch, before = _HEAD.unpack_from(payload)
    if version != VERSION:
        return (
            f"The batch has version {version}, and this program reads {VERSION}: update the older of the two."
        )
    without = payload[:_CHECKSUM_AT] + bytes(4) + payload[_CHECKSUM_AT + 4 : _HEAD.size]
    if zlib.crc32(memoryview(payload)[_HEAD.size :], zlib.crc32(without)) != checksum:
        return "A batch is damaged: its checksum is another."
    return Head(epoch, number, before, events), records


def opening(opened_ns: int, stream: StreamId, feed: str = "") -> Record:
    """The record of the batch that opens a term of a stream: of which feed all is that follows; empty: nobody says."""
    return Record(RecordKind.TICK, opened_ns, feed.encode(), stream)


def opened_feed(batch: Batch) -> str | None:
    """Of which feed the term is that this batch opens; None where it opens none, or its owner does not say."""
    if batch.head.number != 0 or not batch.records or batch.records[0].kind is not RecordKind.TICK:
        return None
    return batch.records[0].payload.decode(errors="replace") or None


def split(records: Iterable[Record], limit: int = BATCH_BYTES) -> Iterator[list[Record]]:
    """The same records in their order, in lists whose batches have `limit` bytes at most, but for a larger record."""
    part: list[Record] = []
    size, last = _HEAD.size, 0
    for record in records:
        head, payload = record_parts(record)
        more = len(head) + len(payload)
        if part and (size + more > limit or len(part) == MAX_RECORDS):
            # What is left out of a frame stands before it, and is counted with it: both are in one batch.
            bound = part.pop() if part[-1].kind is RecordKind.LEFT_OUT else None
            if part:
                yield part
            part, size = ([], _HEAD.size) if bound is None else ([bound], _HEAD.size + last)
        part.append(record)
        size += more
        last = more
    if part:
        yield part
