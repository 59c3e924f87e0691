"""
How the rows of a table are written as a file: page by page, in memory that does not grow with their number.

What a writer is given it gives back as bytes.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import zstandard

from stewardd.columnar import Columnar, demand_pyarrow
from stewardd.lines import csv_line, json_line, typed_line
from stewardd.pages import Lines, Page, Pages, Rows
from stewardd.tables import Table
from stewardd.workbook import Workbook

LARGE_PAGE = 512 * 1024  # characters
TEXT_PAGE = 112 * 1024  # characters: with most texts, chunks of 64 to 256 KiB


class Writer(Protocol):
    """Writes one file."""

    def begin(self) -> bytes:
        """Return what comes before the first row."""
        ...

    def add(self, page: Page) -> bytes:
        """Return the rows of *page*, or what of the file is ready by now."""
        ...

    def end(self) -> Iterator[bytes]:
        """Yield the rest of the file in small steps."""
        ...

    def close(self) -> None:
        """Let go of what it holds, done or not."""
        return


class Text(Writer):
    """Lines between a *head* and a *tail*."""

    def __init__(self, *, head: bytes = b"", tail: bytes = b"") -> None:
        self._head = head
        self._tail = tail

    def begin(self) -> bytes:
        return self._head

    def add(self, page: Page) -> bytes:
        lines: bytes = page.content
        return lines

    def end(self) -> Iterator[bytes]:
        if self._tail:
            yield self._tail


class Array(Text):
    """One array of JSON. Each line begins with the comma that ends the one before: the first one's is left out."""

    def __init__(self) -> None:
        super().__init__(head=b"[", tail=b"\n]\n")
        self._comma = 0

    def add(self, page: Page) -> bytes:
        if not page.rows or self._comma:
            return super().add(page)
        self._comma = 1
        return super().add(page)[1:]


class Compressed(Writer):
    """What another writer writes, compressed."""

    def __init__(self, writer: Writer, compressor: Any) -> None:
        self._writer = writer
        self._compressor = compressor

    def begin(self) -> bytes:
        return self._pressed(self._writer.begin())

    def add(self, page: Page) -> bytes:
        return self._pressed(self._writer.add(page))

    def end(self) -> Iterator[bytes]:
        yield from map(self._pressed, self._writer.end())
        yield self._compressor.flush()

    def close(self) -> None:
        self._writer.close()

    def _pressed(self, data: bytes) -> bytes:
        pressed: bytes = self._compressor.compress(data)
        return pressed


def gzip() -> Any:
    """Return a compressor that makes a gzip member without a name or a time in it."""
    return zlib.compressobj(wbits=31)


def zstd() -> Any:
    """Return a compressor that makes a Zstandard frame."""
    return zstandard.ZstdCompressor(write_checksum=True).compressobj()


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file."""

    suffix: str
    media_type: str
    make: Callable[[Table, Path], Writer]  # for a table, with a directory for scratch files
    line: Callable[[Table, bool], Any] | None  # how a row is spelled, raw or not; None where it is taken cell by cell
    page: int = TEXT_PAGE  # characters of text, about
    text: bool = True  # whether it is compressed on request
    resumable: bool = False  # whether it is the same from any row on, whatever came before
    scratch: bool = False  # whether it needs the directory
    demand: Callable[[], None] = lambda: None  # raises when it cannot be made here

    def pages(self, table: Table, chosen: Sequence[Any], *, raw: bool) -> Pages:
        """Return the rows of *table* that are *chosen*, as the writer takes them."""
        if self.line is None:
            return Rows(table, chosen, raw=raw, weight=self.page)
        return Lines(table, chosen, line=self.line(table, raw), weight=self.page)


CSV = Format(
    "csv",
    "text/csv",
    lambda table, _: Text(head=(",".join(each.name for each in table.columns) + "\r\n").encode()),
    lambda table, raw: csv_line(table.columns, raw=raw),
    resumable=True,
)
JSONL = Format(
    "jsonl",
    "application/jsonl",
    lambda _table, _: Text(),
    lambda table, _: json_line(table.columns, behind="\n"),
    resumable=True,
)
JSON = Format(
    "json",
    "application/json",
    lambda _table, _: Array(),
    lambda table, _: json_line(table.columns, before=",\n"),
)
PARQUET = Format(
    "parquet",
    "application/vnd.apache.parquet",
    lambda table, _: Columnar(table.columns, parquet=True),
    lambda table, _: typed_line(table.columns),
    page=LARGE_PAGE,
    text=False,
    demand=demand_pyarrow,
)
ARROW = Format(
    "arrow",
    "application/vnd.apache.arrow.stream",
    lambda table, _: Columnar(table.columns),
    lambda table, _: typed_line(table.columns),
    page=LARGE_PAGE,
    text=False,
    demand=demand_pyarrow,
)
XLSX = Format(
    "xlsx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    lambda table, scratch: Workbook(table.columns, name=table.name, scratch=scratch),
    None,
    text=False,
    scratch=True,
)
