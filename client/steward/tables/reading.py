"""
What the lines of an exported table are: interactions as they were, or rejections that name row and column.

Pure but for the source it is handed.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from steward.tables.cells import SPELLED, Reader, real, text, time, truth, whole
from steward.tables.opening import MOST_LINE, Source
from steward.types import FORMULA_STARTS, FieldViolation, ImportedInteraction, ImportRejection, Interaction

# The columns, in the order of an export, and what reads their cells.
COLUMNS: dict[str, Reader] = {
    "interaction_id": text,
    "session": text,
    "occurred_at": time,
    "recorded_at": time,
    "user_role": text,
    "query": text,
    "query_type": text,
    "response_time_seconds": real,
    "response_length": whole,
    "code_snippets_shown": whole,
    "citations_provided": whole,
    "success": truth,
    "user_rating": real,
    "follow_up_query": truth,
    "conversation_turn": whole,
    "rated_at": time,
}
_SPELLED = {name: SPELLED.get(read, read) for name, read in COLUMNS.items()}
_MAY_BE_UNKNOWN = {"response_time_seconds", "response_length", "success", "user_rating", "rated_at"}
_OURS = ("recorded_at", "rated_at")  # which the server says anew
_MARKED = re.compile(f"'+[{re.escape(FORMULA_STARTS)}]")  # what an export has put an apostrophe before

Item = ImportedInteraction | ImportRejection


def jsonl_rows(source: Source, *, preserve: bool = False) -> Iterator[Item]:
    """
    Yield what the JSON Lines of *source* are: an object a row, its number that of its line. Blank lines are none.

    When a row was recorded and rated is read only to *preserve* it.
    """
    reads = _meant(COLUMNS, preserve=preserve)
    for number, line in enumerate(source.lines(), start=1):
        content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if content.strip():
            yield _of_line(number, content, reads)


def csv_rows(source: Source, *, raw: bool = False, preserve: bool = False) -> Iterator[Item]:
    """
    Return what the rows of the CSV in *source* are, one at a time, numbered from 1 behind the header.

    Text that an export has put an apostrophe before loses it unless *raw*. When a row was recorded and
    rated is read only to *preserve* it.
    Raises: InvalidArgument when the header names other columns, or what follows is no CSV.
    """
    rows = _csv(source)
    header = next(rows, [])
    unmarked = {} if raw else {name: _unmarked for name, read in COLUMNS.items() if read is text}
    reads = _meant({**_SPELLED, **unmarked}, preserve=preserve)
    _check_header(source, header, reads)
    return _of_rows(rows, header, reads)


def _meant(reads: Mapping[str, Reader], *, preserve: bool) -> dict[str, Reader]:
    """Return those of *reads* whose columns are read, and must be there."""
    return {name: read for name, read in reads.items() if preserve or name not in _OURS}


def _of_rows(rows: Iterator[list[str]], header: Sequence[str], reads: Mapping[str, Reader]) -> Iterator[Item]:
    for number, row in enumerate(rows, start=1):
        if len(row) == len(header):
            yield _item(number, dict(zip(header, row, strict=True)), reads)
        else:
            yield _rejected(number, "row", f"must have {len(header)} cells, as the header has, not {len(row)}")


def _of_line(number: int, line: bytes, reads: Mapping[str, Reader]) -> Item:
    if len(line) > MOST_LINE:
        return _rejected(number, "row", "must be at most 1 MiB")
    try:
        row = json.loads(line.decode())
    except UnicodeDecodeError:
        return _rejected(number, "row", "must be UTF-8")
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        return _rejected(number, "row", "must be a JSON object")
    missing, unknown = _odd(row, reads)
    bad = [FieldViolation(name, "must be there") for name in missing]
    bad += [FieldViolation(_named(name), "is not a column of interactions") for name in unknown]
    return ImportRejection(number, tuple(bad)) if bad else _item(number, row, reads)


def _csv(source: Source) -> Iterator[list[str]]:
    """Yield the rows of the CSV in *source*, blank lines apart."""
    reader = csv.reader(_decoded(source), strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise source.refused(f"is damaged, or no CSV, at its line {reader.line_num}: {error}") from None
        if row is None:
            return
        if row:
            yield row


def _decoded(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.lines(), start=1):
        if len(line) > MOST_LINE:
            raise source.refused(f"is no CSV of interactions: its line {number} is longer than 1 MiB")
        content = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        yield content.decode(errors="surrogateescape")  # what is no UTF-8 is a bad cell, found when it is read


def _check_header(source: Source, header: Sequence[str], meant: Iterable[str]) -> None:
    missing, unknown = _odd(header, meant)
    twice = sorted({name for name in header if header.count(name) > 1})
    for names, why in ((missing, "lacks"), (unknown, "has what is no column of interactions:"), (twice, "repeats")):
        if names:
            raise source.refused(f"cannot be imported: its header {why} {', '.join(map(_named, names))}")


def _odd(names: Sequence[str] | Mapping[str, Any], meant: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the columns that *names* lack of those *meant*, and those that there are not."""
    missing = [name for name in meant if name not in names]
    return missing, [name for name in names if name not in COLUMNS]


def _named(name: str) -> str:
    """Return *name*, which may be anything, as it can be told."""
    return ascii(name[:64])[1:-1] or "''"


def _rejected(number: int, field: str, rule: str) -> ImportRejection:
    return ImportRejection(number, (FieldViolation(field, rule),))


def _item(number: int, row: Mapping[str, Any], reads: Mapping[str, Reader]) -> Item:
    """Return the interaction in *row*, or what is wrong with it."""
    values: dict[str, Any] = {}
    bad: list[FieldViolation] = []
    for name, read in reads.items():
        cell = row[name]
        try:
            values[name] = _empty(name) if cell is None or cell == "" else read(cell)
        except ValueError as error:
            bad.append(FieldViolation(name, str(error)))
    if bad:
        return ImportRejection(number, tuple(bad))
    beside = {name: values.pop(name) for name in ("session", *_OURS) if name in values}
    return ImportedInteraction(row=number, interaction=Interaction(session_id="", **values), **beside)


def _empty(name: str) -> str | None:
    """Return what an empty cell stands for in the column *name*. Raises: ValueError when it may not be empty."""
    if COLUMNS[name] is text:
        return ""
    if name not in _MAY_BE_UNKNOWN:
        raise ValueError("must be given")
    return None


def _unmarked(cell: str) -> str:
    return text(cell[1:] if _MARKED.match(cell) else cell)
