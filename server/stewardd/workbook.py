"""
Tables as Excel workbooks: text never as a formula or a link, sheets of at most as many rows as Excel takes.

Needs a directory for its scratch files. Times are text, as in CSV: Excel's own have no microseconds.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.exceptions import FileCreateError

from steward.errors import InvalidArgument
from steward.types import FieldViolation
from stewardd.pages import Page
from stewardd.tables import Column, Kind

SHEET_ROWS = 1_048_575  # below the header
CELL_LENGTH = 32_767  # UTF-16 units
_BLOCK = 128 * 1024  # bytes read at a time
_AS_TEXT = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}


class Workbook:
    """An Excel workbook, written row by row into scratch files and read back when it is done."""

    def __init__(self, columns: Sequence[Column], *, name: str, scratch: Path, sheet_rows: int = SHEET_ROWS) -> None:
        self._columns = columns
        self._name = name
        self._path = scratch / "workbook.xlsx"
        self._sheet_rows = sheet_rows
        options = {"constant_memory": True, "tmpdir": str(scratch), **_AS_TEXT}
        self._book = xlsxwriter.Workbook(str(self._path), options)
        self._sheets = 0
        self._rows = 0

    def begin(self) -> bytes:
        self._begin_sheet()
        return b""

    def add(self, page: Page) -> bytes:
        for row in page.content:
            if self._line > self._sheet_rows:
                self._begin_sheet()
            self._rows += 1
            for index, (column, value) in enumerate(zip(self._columns, row, strict=False)):  # the key is left
                if value is not None and value != "":
                    self._write(index, column, value)
            self._line += 1
        return b""

    def end(self) -> Iterator[bytes]:
        try:
            self._book.close()
        except FileCreateError as error:  # by which the library says that it could not write
            raise error.args[0] from None
        with self._path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block

    def close(self) -> None:
        for sheet in self._book.worksheets():
            if sheet.row_data_fh is not None:  # the scratch file, which the library closes only when it is done
                sheet.row_data_fh.close()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._sheet = self._book.add_worksheet(self._name if self._sheets == 1 else f"{self._name} {self._sheets}")
        for index, each in enumerate(self._columns):
            self._sheet.write_string(0, index, each.name)
        self._line = 1

    def _write(self, index: int, column: Column, value: Any) -> None:
        match column.kind:
            case Kind.INTEGER | Kind.REAL:
                self._sheet.write_number(self._line, index, value)
            case Kind.BOOLEAN:
                self._sheet.write_boolean(self._line, index, value == "true")
            case _:
                if len(value) * 2 > CELL_LENGTH and len(value.encode("utf-16-le")) > 2 * CELL_LENGTH:
                    raise InvalidArgument.of(
                        FieldViolation(
                            "format",
                            f"must not be XLSX: row {self._rows}, column {column.name}, is longer than the "
                            f"{CELL_LENGTH} characters that a cell takes; CSV takes them",
                        )
                    )
                self._sheet.write_string(self._line, index, value)
