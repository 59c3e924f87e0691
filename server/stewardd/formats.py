"""
How the rows of a table are written as a file: page by page, in memory that does not grow with their number.

Pure: what a writer is given it gives back as bytes.
"""

import csv
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import zstandard

from stewardd.columnar import Columnar, demand_pyarrow
from stewardd.tables import Column, Style, Table
from stewardd.workbook import Workbook

Row = tuple[Any, ...]  # with the key at its end

LARGE_PAGE = 512 * 1024  # characters
TEXT_PAGE = 112 * 1024  # characters: with most texts, chunks of 64 to 256 KiB


class Writer(Protocol):
    """Writes one file."""

    def begin(self) -> bytes:
        """Return what comes before the first row."""
        ...

    def add(self, rows: Sequence[Row]) -> bytes:
        """Return *rows*, or what of the file is ready by now."""
        ...

    def end(self) -> Iterator[bytes]:
        """Yield the rest of the file in small steps."""
        ...

    def close(self) -> None:
        """Let go of what it holds, done or not."""
        return


class Csv(Writer):
    """Comma-separated values by RFC 4180."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._names = [each.name for each in columns]

    def begin(self) -> bytes:
        return _lines([self._names])

    def add(self, rows: Sequence[Row]) -> bytes:
        return _lines(row[:-1] for row in rows)

    def end(self) -> Iterator[bytes]:
        return iter(())


def _lines(rows: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)  # writes a float as repr does, None as nothing, and ends lines with CRLF
    return text.getvalue().encode()


class JsonLines(Writer):
    """A JSON object a line, or with *array* one array of them."""

    def __init__(self, columns: Sequence[Column], *, array: bool = False) -> None:
        names = (f'"{each.name}":"%s"' if each.bare else f'"{each.name}":%s' for each in columns)
        self._form = "{" + ",".join(names) + "}%.0s"  # the key at the end of a row shows as nothing
        self._array = array
        self._first = True

    def begin(self) -> bytes:
        return b"[" if self._array else b""

    def add(self, rows: Sequence[Row]) -> bytes:
        if not self._array:
            return "".join([f"{self._form % row}\n" for row in rows]).encode()
        text = ("" if self._first else ",") + "\n" + ",\n".join([self._form % row for row in rows])
        self._first = False
        return text.encode()

    def end(self) -> Iterator[bytes]:
        if self._array:
            yield b"]\n" if self._first else b"\n]\n"


class Compressed(Writer):
    """What another writer writes, compressed."""

    def __init__(self, writer: Writer, compressor: Any) -> None:
        self._writer = writer
        self._compressor = compressor

    def begin(self) -> bytes:
        return self._pressed(self._writer.begin())

    def add(self, rows: Sequence[Row]) -> bytes:
        return self._pressed(self._writer.add(rows))

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
    style: Style
    page: int = TEXT_PAGE  # characters of text, about
    text: bool = True  # whether it is compressed on request
    resumable: bool = False  # whether it is the same from any row on, whatever came before
    cells: bool = False  # whether a spreadsheet may take its texts for formulas
    scratch: bool = False  # whether it needs the directory
    demand: Callable[[], None] = lambda: None  # raises when it cannot be made here


CSV = Format("csv", "text/csv", lambda table, _: Csv(table.columns), Style.CELLS, resumable=True, cells=True)
JSONL = Format("jsonl", "application/jsonl", lambda table, _: JsonLines(table.columns), Style.JSON, resumable=True)
JSON = Format("json", "application/json", lambda table, _: JsonLines(table.columns, array=True), Style.JSON)
PARQUET = Format(
    "parquet",
    "application/vnd.apache.parquet",
    lambda table, _: Columnar(table.columns, parquet=True),
    Style.PLAIN,
    page=LARGE_PAGE,
    text=False,
    demand=demand_pyarrow,
)
ARROW = Format(
    "arrow",
    "application/vnd.apache.arrow.stream",
    lambda table, _: Columnar(table.columns),
    Style.PLAIN,
    page=LARGE_PAGE,
    text=False,
    demand=demand_pyarrow,
)
XLSX = Format(
    "xlsx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    lambda table, scratch: Workbook(table.columns, name=table.name, scratch=scratch),
    Style.CELLS,
    text=False,
    cells=True,
    scratch=True,
)
