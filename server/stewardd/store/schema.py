"""
Brings a store's schema up to the code's, one transaction a step, and never back.
"""

from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from typing import Any

from peewee import SqliteDatabase
from playhouse.migrations import Runner

from steward.errors import FailedPrecondition

LONGEST = 64  # characters of a name that are told


def migrate(database: SqliteDatabase) -> list[str]:
    """
    Apply what *database* lacks; return the names of what was applied.

    Raises: FailedPrecondition when a newer Steward has been at work on it.
    """
    with as_file(files("stewardd.store") / "migrations") as directory:
        runner = Runner(database, str(directory))
        unknown = [each.name for each in runner.status() if each.path is None]
        if unknown:
            raise FailedPrecondition(
                f"the store is newer than this Steward, which does not know {unknown[-1]}: update it"
            )
        return list(runner.up())


def lacks(database: SqliteDatabase) -> bool:
    """Whether *database* is a store that lacks what `migrate` would apply, and that no newer Steward was at work on."""
    with as_file(files("stewardd.store") / "migrations") as directory:
        steps = Runner(database, str(directory)).status()
    applied = [each.applied is not None for each in steps]
    return any(applied) and not all(applied) and all(each.path is not None for each in steps)


def demand_known(name: str, *, of: str) -> None:
    """Raise FailedPrecondition when that whose last migration has this *name*, a store or what it is *of*, is newer."""
    if not is_known(name):
        raise FailedPrecondition(f"{of} is newer than this Steward, which does not know {name[:LONGEST]!r}: update it")


def is_known(name: str) -> bool:
    """Whether this code has a migration of this *name*."""
    return name in _names()


def is_older(name: str) -> bool:
    """Whether a store whose last migration has this *name* lacks one."""
    return name < max(_names())


def _names() -> set[str]:
    found = (each.name for each in (files("stewardd.store") / "migrations").iterdir())
    return {each.removesuffix(".py") for each in found if each.endswith(".py") and not each.startswith("_")}


def misfits(database: SqliteDatabase) -> list[str]:
    """Return the names of a store's tables that *database* has not, or has so that nothing could be recorded there."""
    fresh = SqliteDatabase(":memory:")
    migrate(fresh)
    wanted, found = _layouts(fresh), _layouts(database)
    fresh.close()
    return [name for name, layout in wanted.items() if not (name in found and layout.is_met_by(found[name]))]


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a table is laid out, in whichever words it was made."""

    rules: tuple[bool, ...]
    columns: list[Any]
    references: list[Any]
    unique: list[Any]  # indexes
    others: list[Any]

    def is_met_by(self, other: "_Layout") -> bool:
        """Whether *other* is the same, but for indexes that somebody added."""
        same = replace(other, others=self.others) == self
        return same and all(each in other.others for each in self.others)


def _layouts(database: SqliteDatabase) -> dict[str, _Layout]:
    """Return how each table is laid out, by its name, but for those of Peewee and SQLite."""

    def rows(sql: str, *given: object) -> list[Any]:
        return list(database.execute_sql(sql, given).fetchall())

    def indexes(table: str, *, unique: bool) -> list[Any]:
        listed = rows('SELECT origin, partial, name FROM pragma_index_list(?) WHERE "unique" = ?', table, unique)
        columns = 'SELECT seqno, cid, name, "desc", coll, key FROM pragma_index_xinfo(?)'
        return sorted([*each, rows(columns, name)] for *each, name in listed)

    return {
        name: _Layout(
            rules=tuple(word in sql.upper() for word in _RULES),
            columns=rows('SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', name),
            references=sorted(
                rows('SELECT "from", "table", "to", on_update, on_delete FROM pragma_foreign_key_list(?)', name)
            ),
            unique=indexes(name, unique=True),
            others=indexes(name, unique=False),
        )
        for name, sql in rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        if name not in _OTHERS
    }


_RULES = ("CHECK", "WITHOUT ROWID", "STRICT")
_OTHERS = ("schema_migration", "sqlite_sequence")


def version(database: SqliteDatabase) -> str:
    """Return the name of the last migration that *database* has had."""
    (name,) = database.execute_sql("SELECT MAX(name) FROM schema_migration").fetchone()
    return str(name)
