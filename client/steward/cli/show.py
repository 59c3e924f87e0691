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
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

PIPED_WIDTH = 200  # columns where there is no terminal to ask

console = Console(highlight=False, width=None if sys.stdout and sys.stdout.isatty() else PIPED_WIDTH)


def document(value: Any) -> None:
    """Print *value* as one JSON document: fields named as in the .proto, times ISO 8601 UTC, null where not known."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))  # noqa: T201 -- a command line talks


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


def record(value: Any, *, title: str) -> None:
    """Print the fields of *value* below each other."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for field in dataclasses.fields(value):
        table.add_row(_words(field.name), cell(getattr(value, field.name)))
    console.print(table)


def rows(values: Iterable[Any], *, title: str, columns: Sequence[str]) -> None:
    """Print a line for each of *values*, with those of its fields that *columns* names."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(_words(column), no_wrap=column not in ("reason", "query"), overflow="ellipsis")
    for value in values:
        table.add_row(*(cell(getattr(value, column)) for column in columns))
    console.print(table)


def first(values: Iterator[Any], *, limit: int, name: str, columns: Sequence[str], json: bool) -> None:
    """Print the first *limit* of *values*, called *name*, and say whether there are more."""
    found = list(islice(values, limit + 1))
    shown, more = found[:limit], len(found) > limit
    if json:
        document({name: shown, "more": more})
    else:
        title = f"{len(shown)} {name}, newest first" + ("; there are more: see --limit" if more else "")
        rows(shown, title=title, columns=columns)


def cell(value: Any) -> str:  # noqa: PLR0911 -- a line for each kind
    """Return *value* as a person reads it; what the user wrote is not markup."""
    match value:
        case None:
            return "[dim]no data[/]"
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
    return escape("".join(map(_visible, str(value))))


def _visible(character: str) -> str:
    """Return *character*, spelled out when a terminal would obey it."""
    return character if character.isprintable() else ascii(character)[1:-1]


def _words(name: str) -> str:
    return name.replace("_seconds", " (s)").replace("_bytes", " (bytes)").replace("_", " ")
