"""
A table as a file, piece by piece, in steps that are short.

Pure but for what it asks the store it is handed.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from steward.errors import Unavailable
from steward.types import ExportCompression, ExportFormat, FieldViolation
from stewardd import formats, tables
from stewardd.filters import demand
from stewardd.formats import Format, Writer
from stewardd.pages import Page, Pages
from stewardd.store import Reading
from stewardd.tables import Table

PIECE = 128 * 1024  # bytes of what is not cut at rows
FORMATS = {
    ExportFormat.CSV: formats.CSV,
    ExportFormat.JSONL: formats.JSONL,
    ExportFormat.JSON: formats.JSON,
    ExportFormat.PARQUET: formats.PARQUET,
    ExportFormat.ARROW: formats.ARROW,
    ExportFormat.XLSX: formats.XLSX,
}
COMPRESSIONS: dict[ExportCompression, tuple[str, str, Callable[[], Any]]] = {
    ExportCompression.GZIP: (".gz", "application/gzip", formats.gzip),
    ExportCompression.ZSTD: (".zst", "application/zstd", formats.zstd),
}


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file has come: what a resume token holds."""

    key: int  # of the last row that was sent
    last: int  # where it ends, fixed at the start
    rows: int  # sent so far
    bytes: int  # sent so far


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of a file, and the place behind them."""

    data: bytes
    place: Place


@dataclass(frozen=True, slots=True)
class File:
    """A file that is asked for. It can be handed to another process."""

    table: Table
    kind: ExportFormat
    compression: ExportCompression
    pages: Pages

    @classmethod
    def of(
        cls,
        table: Table,
        chosen: Sequence[Any],
        *,
        kind: ExportFormat = ExportFormat.CSV,
        compression: ExportCompression = ExportCompression.UNSPECIFIED,
        raw: bool = False,
    ) -> Self:
        """Return the file of those rows of *table* that are *chosen*, made harmless for spreadsheets unless *raw*."""
        return cls(table, kind, compression, FORMATS[kind].pages(table, chosen, raw=raw))

    @property
    def form(self) -> Format:
        """How it is written."""
        return FORMATS[self.kind]

    @property
    def resumable(self) -> bool:
        """Whether each of its pieces has whole rows, and the rest can be asked for."""
        return self.form.resumable and not self.compression

    @property
    def name(self) -> str:
        """What it should be called."""
        return f"{self.table.name}.{self.form.suffix}" + (COMPRESSIONS[self.compression][0] if self.compression else "")

    @property
    def media_type(self) -> str:
        """Its media type."""
        return COMPRESSIONS[self.compression][1] if self.compression else self.form.media_type

    def begin(self, store: Reading) -> Place:
        """Return its start, which says where it ends."""
        return Place(0, tables.bound(store, self.table), 0, 0)

    def pieces(self, store: Reading, place: Place, *, scratch: Path) -> Iterator[Piece]:
        """Yield it from *place* on. The directory *scratch* is made where it takes one, and left."""
        with made(scratch) if self.form.scratch else nullcontext():
            writer = self.form.make(self.table, scratch)
            if self.compression:
                writer = formats.Compressed(writer, COMPRESSIONS[self.compression][2]())
            with closing(writer):
                yield from (_by_rows if self.resumable else _by_bytes)(self._pages(store, place), writer, place)

    def _pages(self, store: Reading, place: Place) -> Iterator[Page]:
        key = place.key
        while page := self.pages.after(store, key, place.last):
            yield page
            key = page.key


def choose(
    table: str,
    *,
    file_format: int,
    compression: int,
    since: datetime | None,
    until: datetime | None,
    user_roles: Sequence[str],
    raw: bool,
    now: datetime,
) -> File:
    """Return the file that is asked for. Raises: InvalidArgument by field, FailedPrecondition without pyarrow."""
    chosen = tables.named(table)
    demand(_violations(file_format, compression))
    kind = ExportFormat(file_format or ExportFormat.CSV)
    FORMATS[kind].demand()
    rows = tables.choose(chosen, since=since, until=until, user_roles=user_roles, now=now)
    return File.of(chosen, rows, kind=kind, compression=ExportCompression(compression), raw=raw)


def _violations(file_format: int, compression: int) -> Iterator[FieldViolation]:
    form = {0: formats.CSV, **{int(kind): each for kind, each in FORMATS.items()}}.get(file_format)
    if form is None:
        yield FieldViolation("format", f"must be one of {', '.join(each.name for each in FORMATS)}")
    elif compression and compression not in list(COMPRESSIONS):
        yield FieldViolation("compression", f"must be unset, or one of {', '.join(each.name for each in COMPRESSIONS)}")
    elif compression and not form.text:
        yield FieldViolation("compression", f"must be unset: {form.suffix} is compressed by itself")


@contextmanager
def made(directory: Path) -> Iterator[None]:
    """Make *directory* for what is written meanwhile. Raises: Unavailable when that has no room."""
    try:
        directory.parent.mkdir(mode=0o700, exist_ok=True)
        directory.mkdir(mode=0o700)
        yield
    except OSError as error:
        message = f"the server has no room for the scratch files of an export: {error.strerror}"
        raise Unavailable(message, reason="STORAGE_FULL", retry_after=1.0) from error


def _by_rows(pages: Iterator[Page], writer: Writer, place: Place) -> Iterator[Piece]:
    """Yield whole rows: what follows each piece does not depend on those before it."""
    data = b"" if place.bytes else writer.begin()
    for page in pages:
        data += writer.add(page)
        place = Place(page.key, place.last, place.rows + page.rows, place.bytes + len(data))
        yield Piece(data, place)
        data = b""
    if data:
        yield Piece(data, replace(place, bytes=place.bytes + len(data)))


def _by_bytes(pages: Iterator[Page], writer: Writer, place: Place) -> Iterator[Piece]:
    """Yield bytes as there are enough of them."""
    held, sent = bytearray(), 0
    for part, reached in _written(pages, writer, place):
        held += part
        place = replace(reached, bytes=sent)
        while len(held) >= PIECE:
            data = bytes(held[:PIECE])
            del held[:PIECE]
            sent += len(data)
            place = replace(place, bytes=sent)
            yield Piece(data, place)
    yield Piece(bytes(held), replace(place, bytes=sent + len(held)))


def _written(pages: Iterator[Page], writer: Writer, place: Place) -> Iterator[tuple[bytes, Place]]:
    yield writer.begin(), place
    for page in pages:
        place = replace(place, key=page.key, rows=place.rows + page.rows)
        yield writer.add(page), place
    for part in writer.end():
        yield part, place
