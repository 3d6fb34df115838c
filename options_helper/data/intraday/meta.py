"""What is known about a partition file without reading it: `<day>.meta.json`, replaced as a whole.

kind, dataset, timeframe, symbol, day
columns         the header line
schema_version  1; another number means other columns or another layout: such a file is neither continued nor changed
rows            rows in the file when this was written; a file that is being recorded may have more by now
first_seq, last_seq
first_ts_ns, last_ts_ns, first_recv_ns, last_recv_ns
                exchange time and receipt of its first and of its last row; null where that row has none
sessions        one for each run of a recorder that wrote into it: id, pid, host, started_ns, first_seq
gaps            stretches in which rows are missing: since_ns, until_ns, reason, lost (how many, null when nobody
                can count)
sealed          whether the day is over for this file; later events go into the next one
sha256          of the sealed files, by name

Fields that this version does not know are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any, Final

import msgspec

from options_helper.data.atomic_file import replace_file
from options_helper.data.intraday.layout import PartFile
from options_helper.data.read_errors import is_passing
from options_helper.decoders import converter, json_decoder
from options_helper.errors import StoreError
from options_helper.model.gaps import Gap

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a recorder; `first_seq` is the first row that it wrote, or would have."""

    id: str
    pid: int
    host: str
    started_ns: int
    first_seq: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How many rows there are, and the numbers and times of the first and the last one."""

    rows: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    first_ts_ns: int | None = None
    last_ts_ns: int | None = None
    first_recv_ns: int | None = None
    last_recv_ns: int | None = None

    def extended(self, more: Extent) -> Extent:
        """With the rows of `more` behind these."""
        if not more.rows:
            return self
        first = self if self.rows else more
        return Extent(
            rows=self.rows + more.rows,
            first_seq=first.first_seq,
            first_ts_ns=first.first_ts_ns,
            first_recv_ns=first.first_recv_ns,
            last_seq=more.last_seq,
            last_ts_ns=more.last_ts_ns,
            last_recv_ns=more.last_recv_ns,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PartMeta(Extent):
    """One `.meta.json`."""

    kind: str
    dataset: str
    timeframe: str
    symbol: str
    day: date
    columns: tuple[str, ...]
    schema_version: int = SCHEMA_VERSION
    sessions: tuple[Session, ...] = ()
    gaps: tuple[Gap, ...] = ()
    sealed: bool = False
    sha256: Mapping[str, str] = field(default_factory=dict)
    unknown: Mapping[str, Any] = field(default_factory=dict)  # fields that another version has written

    @property
    def is_of_the_future(self) -> bool:
        """Whether a later version has written it, which may mean something else by the same words."""
        return self.schema_version > SCHEMA_VERSION

    @property
    def extent(self) -> Extent:
        """What it says about the rows."""
        return Extent(**_extent_of(self))

    def covering(self, extent: Extent) -> PartMeta:
        """With that said about the rows instead."""
        return replace(self, **_extent_of(extent))


_EXTENT: Final = tuple(one.name for one in fields(Extent))


def _extent_of(extent: Extent) -> dict[str, Any]:
    return {name: getattr(extent, name) for name in _EXTENT}


_FIELDS: Final = frozenset(one.name for one in fields(PartMeta)) - {"unknown"}


def new_meta(part: PartFile) -> PartMeta:
    """What is known about a file without rows."""
    key = part.key
    return PartMeta(
        kind=key.kind,
        dataset=key.dataset.name,
        timeframe=key.dataset.timeframe,
        symbol=key.symbol,
        day=key.day,
        columns=key.dataset.columns,
    )


def load_meta(part: PartFile) -> PartMeta | None:
    """What was written last; None where nothing is, or nothing readable. OSError where it cannot be read for now."""
    try:
        return _decode(part.meta_path.read_bytes())
    except OSError as error:
        if is_passing(error):
            raise
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def require_known_schema(part: PartFile) -> None:
    """StoreError where a later version has written the file, which this one must not change."""
    meta = load_meta(part)
    if meta is not None and meta.is_of_the_future:
        raise StoreError(
            f"{part.meta_path.name} has schema_version {meta.schema_version}, and this version of options-helper knows "
            f"{SCHEMA_VERSION}. Use the version that wrote it."
        )


def save_meta(part: PartFile, meta: PartMeta, *, durable: bool = False) -> None:
    """Replace the file in one step; `durable` waits until the disk has it."""
    data = msgspec.json.format(msgspec.json.encode(_written(meta)), indent=1) + b"\n"
    replace_file(part.meta_path, data, durable=durable)


def _written(meta: PartMeta) -> dict[str, Any]:
    # Their stream and symbol are not written: they are the file's.
    gaps = [
        {"since_ns": gap.since_ns, "until_ns": gap.until_ns, "reason": gap.reason, "lost": gap.lost}
        for gap in meta.gaps
    ]
    known = msgspec.to_builtins(replace(meta, gaps=(), unknown={}))
    del known["unknown"]
    return {**known, "gaps": gaps, **meta.unknown}


_FACTS: Final = json_decoder(dict[str, Any])
_rows: Final = converter(list[dict[str, Any]])
_meta: Final = converter(PartMeta)


def _decode(data: bytes) -> PartMeta:
    found = _FACTS.decode(data)
    gaps = _rows(found.get("gaps", []))
    unknown = {name: value for name, value in found.items() if name not in _FIELDS}
    return _meta(
        {
            **found,
            "unknown": unknown,
            "gaps": [{**gap, "stream": found.get("kind"), "symbols": ()} for gap in gaps],
        }
    )
