"""
Interactions as files that the client writes: whole under their name, or not there.

Their columns and the spelling are those of the table of interactions as the server writes it. The order of arrival is
not among them, as it means nothing elsewhere.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import mkstemp
from typing import Any, BinaryIO, Protocol

from steward.arrow import Arrow, ArrowStream, ParquetFile
from steward.columns import KINDS, lists, times
from steward.disk import sync_directory
from steward.errors import Error, FailedPrecondition, InvalidArgument
from steward.spreadsheets import harmless
from steward.types import FieldViolation
from steward.v1.export_pb2 import InteractionColumns

NAMES = [name for name in KINDS if name != "seq"]

_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Form(Protocol):
    """A kind of file."""

    def add(self, columns: InteractionColumns) -> bytes:
        """Return what *columns* add to it."""

    def end(self) -> bytes:
        """Return what ends it."""


class Written:
    """A file that interactions are written into."""

    def __init__(self, file: BinaryIO, form: Form) -> None:
        self._file = file
        self._form = form
        self.rows = 0  # written so far

    def add(self, columns: InteractionColumns) -> None:
        """Write *columns*. Raises: StreamTruncated, OSError."""
        self._file.write(self._form.add(columns))
        self.rows += len(columns.seq)

    def end(self) -> None:
        """Write what ends the file, and see it on disk. Raises: OSError."""
        self._file.write(self._form.end())
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def fresh(path: Path, *, force: bool) -> Iterator[Written]:
    """
    Have a file to write into meanwhile; at the end it is called *path*, or is gone when anything went wrong.

    Raises: InvalidArgument when the suffix is none, FailedPrecondition when *path* is there without *force*, or pyarrow
    is not, Error when it cannot be written.
    """
    form = _form(path)
    if not force and os.path.lexists(path):
        raise FailedPrecondition(f"{path} is there already: force=True replaces it")
    try:
        with _beside(path) as file:
            written = Written(file, form)
            yield written
            written.end()
    except OSError as error:
        raise Error(f"{path} cannot be written: {error.strerror or error}") from None


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    number, name = mkstemp(prefix=".steward-", suffix=".part", dir=path.parent)
    place = Path(name)
    try:
        with open(number, "wb") as file:  # noqa: PTH123 -- has its number
            yield file
        place.replace(path)
        sync_directory(path.parent)
    finally:
        place.unlink(missing_ok=True)


class _Typed:
    """A file of typed columns."""

    def __init__(self, kind: type[ArrowStream] | type[ParquetFile]) -> None:
        self._arrow = Arrow(left_out="seq")
        self._file = kind(self._arrow.schema)

    def add(self, columns: InteractionColumns) -> bytes:
        return self._file.write(self._arrow.batch(columns))

    def end(self) -> bytes:
        return self._file.end()


class _Jsonl:
    """A JSON object a line."""

    def add(self, columns: InteractionColumns) -> bytes:
        rows = zip(*_spelled(columns), strict=True)
        return "".join([_encoded(dict(zip(NAMES, row, strict=True))) + "\n" for row in rows]).encode()

    def end(self) -> bytes:
        return b""


class _Csv:
    """RFC 4180 with a header, no text of which a spreadsheet takes for a formula."""

    def __init__(self) -> None:
        self._header: list[Any] = [NAMES]

    def add(self, columns: InteractionColumns) -> bytes:
        return self._lines(zip(*map(_cells, NAMES, _spelled(columns)), strict=True))

    def end(self) -> bytes:
        return self._lines(())

    def _lines(self, rows: Any) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([*self._header, *rows])
        self._header = []
        return text.getvalue().encode()


def _spelled(columns: InteractionColumns) -> list[list[Any]]:
    """Return the values of each of NAMES, times as text."""
    found = dict(zip(KINDS, lists(columns), strict=True))
    return [_times(name, found[name]) if KINDS[name] is datetime else found[name] for name in NAMES]


def _times(name: str, found: list[int | None]) -> list[str | None]:
    return [None if each is None else f"{each.isoformat(timespec='microseconds')[:-6]}Z" for each in times(name, found)]


def _cells(name: str, values: list[Any]) -> list[Any]:
    if KINDS[name] is str:
        return [harmless(value) for value in values]
    if KINDS[name] is bool:
        return [_TRUTHS[value] for value in values]
    return values


_TRUTHS = {None: None, False: "false", True: "true"}
_FORMS: dict[str, Callable[[], Form]] = {
    ".arrow": partial(_Typed, ArrowStream),
    ".csv": _Csv,
    ".jsonl": _Jsonl,
    ".parquet": partial(_Typed, ParquetFile),
}


def _form(path: Path) -> Form:
    try:
        return _FORMS[path.suffix.lower()]()
    except KeyError:
        rule = f"must end in one of {', '.join(_FORMS)}, not as {path.name}"
        raise InvalidArgument.of(FieldViolation("path", rule)) from None
