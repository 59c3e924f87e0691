"""
Brings a store's schema up to the code's, one transaction a step, and never back.
"""

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


def demand_known(name: str) -> None:
    """Raise FailedPrecondition when a backup whose last migration has this *name* is of a newer Steward than this."""
    known = {each.name.removesuffix(".py") for each in (files("stewardd.store") / "migrations").iterdir()}
    if name not in known:
        newer = f"this backup is of a newer Steward than this one, which does not know {name[:LONGEST]!r}: update it"
        raise FailedPrecondition(newer)


def misfits(database: SqliteDatabase) -> list[str]:
    """Return the names of the tables of *database* that a store has not, or has not like this."""
    fresh = SqliteDatabase(":memory:")
    migrate(fresh)
    wanted, found = _layout(fresh), _layout(database)
    fresh.close()
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def _layout(database: SqliteDatabase) -> dict[str, Any]:
    """Return how each table is laid out, by its name, in whichever words it was made."""

    def rows(sql: str, *given: object) -> list[Any]:
        return list(database.execute_sql(sql, given).fetchall())

    def indexes(table: str) -> list[Any]:
        listed = rows('SELECT "unique", origin, partial, name FROM pragma_index_list(?)', table)
        columns = 'SELECT seqno, cid, name, "desc", coll, key FROM pragma_index_xinfo(?)'
        return sorted([*each, rows(columns, name)] for *each, name in listed)

    return {
        name: (
            (without_rowid, strict, "CHECK" in sql.upper()),
            rows('SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', name),
            sorted(rows('SELECT "from", "table", "to", on_update, on_delete FROM pragma_foreign_key_list(?)', name)),
            indexes(name),
        )
        for name, without_rowid, strict, sql in rows(_TABLES)
    }


_TABLES = """
SELECT t.name, t.wr, t.strict, m.sql FROM pragma_table_list AS t JOIN sqlite_master AS m ON m.name = t.name
WHERE t.schema = 'main' AND m.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
"""


def version(database: SqliteDatabase) -> str:
    """Return the name of the last migration that *database* has had."""
    (name,) = database.execute_sql("SELECT MAX(name) FROM schema_migration").fetchone()
    return str(name)
