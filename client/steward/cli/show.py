"""
Values as tables for people, and as JSON for programs.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from itertools import islice
from operator import attrgetter
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 200  # columns where there is no terminal to ask
LEAST = 1e-6  # below it, numbers have an exponent

UNKNOWN = "[dim]no data[/]"
WRAPPED = ("message", "query", "question", "reason", "user_roles")  # what is long is not cut off
WRAPPED_WIDTH = 24  # columns of the screen that a wrapped column needs to be read
WIDE = 9  # columns from which on headings are stacked

console = Console(highlight=False, width=None if sys.stdout and sys.stdout.isatty() else PIPED_WIDTH)


def document(value: Any) -> None:
    """Print *value* as one JSON document: fields named as in the .proto, times ISO 8601 UTC, null where not known."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))  # noqa: T201 -- a command line talks


def line(value: Any) -> None:
    """Print *value* as JSON on a line of its own, at once."""
    print(json.dumps(plain(value), ensure_ascii=False), flush=True)  # noqa: T201 -- a command line talks


def plain(value: Any) -> Any:
    """Return *value* as JSON knows it."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def record(value: Any, *, title: str, columns: Sequence[str] = (), unset: str = UNKNOWN) -> None:
    """Print the fields of *value* below each other, only those that *columns* names if it names any."""
    table = _pairs()
    for name in columns or _names(value):
        found = getattr(value, name)
        table.add_row(_words(name), unset if found is None else cell(found))
    _print(table, title)


def rows(values: Iterable[Any], *, title: str, columns: Sequence[str], unset: str = UNKNOWN) -> None:
    """
    Print a line for each of *values*, with those of its fields, or of theirs by a dot, that *columns* names.

    Where the screen is too narrow for that, print the fields below each other: nothing is cut off.
    """
    found = [[attrgetter(column)(value) for column in columns] for value in values]
    lines = [[unset if each is None else cell(each) for each in line] for line in found]
    headings = [_words(column.rpartition(".")[2]) for column in columns]
    stacked = [each.replace(" ", "\n") for each in headings]
    if len(columns) < WIDE and _fits(headings, lines, columns):
        _print(_beside(headings, lines, columns), title)
    elif _fits(stacked, lines, columns):
        _print(_beside(stacked, lines, columns), title)
    else:
        _print(_below(headings, lines), title)


def _fits(headings: Sequence[str], lines: Sequence[Sequence[str]], columns: Sequence[str]) -> bool:
    """Whether a table has room for all that is not wrapped."""
    room = 1
    for n, column in enumerate(columns):
        parts = headings[n].split("\n")
        width = max(map(cell_len, [*parts, *(Text.from_markup(line[n]).plain for line in lines)]))
        room += 3 + (min(width, WRAPPED_WIDTH) if column in WRAPPED else width)
    return room <= console.width


def _beside(headings: Sequence[str], lines: Sequence[Sequence[str]], columns: Sequence[str]) -> Table:
    """Return a table with a line for each of *lines*."""
    table = Table(caption_justify="left", box=box.SIMPLE_HEAD)
    for heading, column in zip(headings, columns, strict=True):
        table.add_column(heading, no_wrap=column not in WRAPPED, overflow="fold")
    for line in lines:
        table.add_row(*line)
    table.caption = None if lines else "none"
    return table


def _below(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Table:
    """Return a table with the values of each of *lines* below each other, for where they have no room beside."""
    table = _pairs()
    for n, line in enumerate(lines):
        for heading, value in zip(headings, line, strict=True):
            table.add_row(heading, value)
        if n < len(lines) - 1:
            table.add_row()
    if not lines:
        table.add_row("[dim]none[/]")
    return table


def _pairs() -> Table:
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    return table


def _print(table: Table, title: str) -> None:
    console.print(Text(title, style="table.title"), soft_wrap=True)  # the table's own would be no wider than the table
    console.print(table)


def first(values: Iterator[Any], *, limit: int, name: str, columns: Sequence[str], json: bool) -> None:
    """Print the first *limit* of *values*, called *name*, and say whether there are more."""
    shown, more = cut(values, limit=limit)
    document({name: shown, "more": more}) if json else newest(shown, more=more, name=name, columns=columns)


def cut(values: Iterator[Any], *, limit: int) -> tuple[list[Any], bool]:
    """Return the first *limit* of *values*, and whether there are more."""
    found = list(islice(values, limit + 1))
    return found[:limit], len(found) > limit


def newest(values: Sequence[Any], *, more: bool, name: str, columns: Sequence[str], unset: str = UNKNOWN) -> None:
    """Print *values*, called *name*, of which there may be *more*."""
    title = f"1 {name.removesuffix('s')}" if len(values) == 1 else f"{len(values)} {name}, newest first"
    title += "; there are more: see --limit" if more else ""
    rows(values, title=title, columns=columns, unset=unset)


def said(text: str) -> None:
    """Print *text*, which is not markup, as one line."""
    console.print("".join(map(_visible, text)), markup=False, soft_wrap=True)


def span(value: Any) -> str:
    """Return the window of *value* in words."""
    return f"from {cell(value.since)} UTC {'on' if value.until is None else f'to {cell(value.until)} UTC'}"


def cell(value: Any) -> str:  # noqa: PLR0911 -- a line for each kind
    """Return *value* as a person reads it; what the user wrote is not markup."""
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "yes" if value else "no"
        case float():
            return _number(value)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case Enum():
            return value.name if value.value else UNKNOWN
        case Mapping():
            return ", ".join(f"{count} {kind}" for kind, count in value.items()) or "nothing"
        case list() | tuple():
            return ", ".join(map(cell, value))
    if dataclasses.is_dataclass(value):
        return ", ".join(f"{_words(name)} {cell(getattr(value, name))}" for name in _names(value))
    return escape("".join(map(_visible, str(value))))


def _number(value: float) -> str:
    """Return *value* to four digits, and to the ones where it has more, without an exponent while that is readable."""
    if abs(value) >= 1000:  # noqa: PLR2004 -- four digits
        return f"{value:.0f}"
    return f"{value:.4g}" if abs(value) < LEAST else format(Decimal(f"{value:.4g}"), "f")


def _names(value: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(value)]


def _visible(character: str) -> str:
    """Return *character*, spelled out when a terminal would obey it."""
    return character if character.isprintable() else ascii(character)[1:-1]


def _words(name: str) -> str:
    return name.replace("_seconds", " (s)").replace("_bytes", " (bytes)").replace("_", " ")
