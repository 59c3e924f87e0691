"""
Values as tables for people, and as JSON for programs.
"""

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from itertools import islice
from operator import attrgetter
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 200  # columns where there is no terminal to ask

UNKNOWN = "[dim]no data[/]"
WRAPPED = ("message", "query", "question", "reason", "user_roles")  # what is long is not cut off
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


def record(value: Any, *, title: str, columns: Sequence[str] = ()) -> None:
    """Print the fields of *value* below each other, only those that *columns* names if it names any."""
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name in columns or _names(value):
        table.add_row(_words(name), cell(getattr(value, name)))
    _print(table, title)


def rows(values: Iterable[Any], *, title: str, columns: Sequence[str], unset: str = UNKNOWN) -> None:
    """Print a line for each of *values*, with those of its fields, or of theirs by a dot, that *columns* names."""
    table = Table(caption_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        heading = _words(column.rpartition(".")[2])
        heading = heading.replace(" ", "\n") if len(columns) >= WIDE else heading
        table.add_column(heading, no_wrap=column not in WRAPPED, overflow="ellipsis")
    for value in values:
        found = (attrgetter(column)(value) for column in columns)
        table.add_row(*(unset if each is None else cell(each) for each in found))
    table.caption = None if table.rows else "none"
    _print(table, title)


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
    title = f"{len(values)} {name}, newest first" + ("; there are more: see --limit" if more else "")
    rows(values, title=title, columns=columns, unset=unset)


def said(text: str) -> None:
    """Print *text*, which is not markup, as one line."""
    console.print("".join(map(_visible, text)), markup=False, soft_wrap=True)


def span(value: Any) -> str:
    """Return the window of *value* in words."""
    return f"from {cell(value.since)} {'on' if value.until is None else f'to {cell(value.until)}'}"


def cell(value: Any) -> str:  # noqa: PLR0911 -- a line for each kind
    """Return *value* as a person reads it; what the user wrote is not markup."""
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        case Enum():
            return value.name
        case Mapping():
            return ", ".join(f"{count} {kind}" for kind, count in value.items()) or "nothing"
        case list() | tuple():
            return ", ".join(map(cell, value))
    if dataclasses.is_dataclass(value):
        return ", ".join(f"{_words(name)} {cell(getattr(value, name))}" for name in _names(value))
    return escape("".join(map(_visible, str(value))))


def _names(value: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(value)]


def _visible(character: str) -> str:
    """Return *character*, spelled out when a terminal would obey it."""
    return character if character.isprintable() else ascii(character)[1:-1]


def _words(name: str) -> str:
    return name.replace("_seconds", " (s)").replace("_bytes", " (bytes)").replace("_", " ")
