"""
Brings a store's schema up to the code's, one transaction a step, and never back.
"""

from importlib.resources import as_file, files

from peewee import SqliteDatabase
from playhouse.migrations import Runner

from steward.errors import FailedPrecondition


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


def version(database: SqliteDatabase) -> str:
    """Return the name of the last migration that *database* has had."""
    (name,) = database.execute_sql("SELECT MAX(name) FROM schema_migration").fetchone()
    return str(name)
