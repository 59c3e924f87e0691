"""When an interaction was last rated, so that an export can ask for it."""

from typing import Any

from peewee import BigIntegerField, SqliteDatabase


def up(migrator: Any, _db: SqliteDatabase) -> None:
    """Add the column."""
    migrator.migrate(migrator.add_column("interaction", "rated_at", BigIntegerField(null=True)))
