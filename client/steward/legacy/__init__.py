"""
Reads the files of Steward's predecessor: SQLite, gzipped or not, of its older or newer generation of tables.

Runs where the file is, not in the server. Judges nothing: rows come as they are, and what can be no record is a
rejection.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from steward.errors import InvalidArgument
from steward.legacy.opening import opened, refused
from steward.legacy.rows import FIGURES, INTERACTIONS, QUERIES, SESSIONS, SOURCES, Source
from steward.types import Importable, ImportRejection

__all__ = ["LegacyFile", "SkippedTable"]

# What a session's row says beyond its interactions; what is odd there is read too, to be rejected.
_SAID = "session_rating IS NOT NULL OR conversion_achieved <> 0"
_KNOWN = {each.name for each in SOURCES}


@dataclass(frozen=True, slots=True)
class SkippedTable:
    """Rows that are not read, and why."""

    table: str
    rows: int
    reason: str


class LegacyFile:
    """An open file of the predecessor. Close it at the end."""

    def __init__(self, path: Path) -> None:
        """Open the file at *path*. Raises: InvalidArgument when it cannot be read, or is not the predecessor's."""
        self._path = path
        self._database = opened(path)
        try:
            self._tables = self._found()
            self._check()
            self._sources = [each for each in SOURCES if each is self._source(each.name)]
            self.count = sum(self._items(each) for each in self._sources)  # of what is read, when all of it is good
            self.skipped = (*self._others(), *self._unsaid())
        except (sqlite3.DatabaseError, UnicodeError) as error:  # a name may be no UTF-8
            self._database.close()
            raise refused(path, f"is damaged: {error}") from None
        except InvalidArgument:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def rows(self, *, zone: tzinfo = UTC) -> Iterator[Importable | ImportRejection]:
        """
        Yield what is in it, table by table in the order of its ids, its naive times taken as those of *zone*.

        Interactions come first, sessions last. Ids are made from the rows themselves, without the zone: so importing
        them twice stores them once.
        """
        try:
            for source in self._sources:
                with closing(self._database.execute(_selecting(source))) as cursor:
                    names = [each[0] for each in cursor.description]
                    for row in cursor:
                        yield from source.read(dict(zip(names, row, strict=True)), zone)
        except sqlite3.DatabaseError as error:
            raise refused(self._path, f"is damaged: {error}") from None

    def _found(self) -> dict[str, set[str]]:
        """Return the columns of each table; no views, which could take for ever."""
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
        columns = "SELECT name FROM pragma_table_info(?)"
        names = [name for (name,) in self._database.execute(query)]
        return {table: {name for (name,) in self._database.execute(columns, (table,))} for table in names}

    def _check(self) -> None:
        if INTERACTIONS not in self._tables:
            raise refused(self._path, f"is not the predecessor's: it has no table {INTERACTIONS}")
        missing = [name for name in SOURCES[0].columns if name not in self._tables[INTERACTIONS]]
        if missing:
            raise refused(self._path, f"is not the predecessor's: {INTERACTIONS} has no column {missing[0]}")
        if self._one("PRAGMA quick_check(1)") != "ok":
            raise refused(self._path, "is damaged: SQLite's quick_check fails")

    def _source(self, table: str) -> Source | None:
        """Return how *table* is read, None when it is not."""
        columns = self._tables.get(table, set())
        return next((each for each in SOURCES if each.name == table and columns.issuperset(each.columns)), None)

    def _items(self, source: Source) -> int:
        known = " + ".join(f"({name} IS NOT NULL)" for name in FIGURES)
        items = f"COALESCE(SUM({known}), 0)" if "date" in source.columns else "COUNT(*)"
        return int(self._one(f"SELECT {items} FROM {source.name} WHERE {_meant(source)}"))  # noqa: S608 -- our own names

    def _others(self) -> Iterator[SkippedTable]:
        for table, columns in self._tables.items():
            if self._source(table) is None:
                quoted = '"' + table.replace('"', '""') + '"'
                rows = self._one(f"SELECT COUNT(*) FROM {quoted}")  # noqa: S608 -- quoted
                yield SkippedTable(table, rows, _reason(table, columns))

    def _unsaid(self) -> Iterator[SkippedTable]:
        if self._source(SESSIONS) is not None:
            rows = self._one(f"SELECT COUNT(*) FROM {SESSIONS} WHERE ({_SAID}) IS NOT TRUE")  # noqa: S608 -- see above
            if rows:
                yield SkippedTable(SESSIONS, rows, "derived from interactions, with neither rating nor conversion")

    def _one(self, sql: str) -> Any:
        return self._database.execute(sql).fetchone()[0]


def _meant(source: Source) -> str:
    return _SAID if source.name == SESSIONS else "TRUE"


def _selecting(source: Source) -> str:
    columns = "rowid AS id, *" if source.name == SESSIONS else "*"
    return f"SELECT {columns} FROM {source.name} WHERE {_meant(source)} ORDER BY id"  # noqa: S608 -- our own names


def _reason(table: str, columns: set[str]) -> str:
    if table == "data_retention_policy":
        return "retention is the server's to say"
    if table == QUERIES and "query_normalized" in columns:
        return "derived from interactions"
    return "its columns are of neither generation" if table in _KNOWN else "not a table of the predecessor"
