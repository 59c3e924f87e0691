"""The restores that were done."""

from typing import Any

from peewee import BigIntegerField, Model, SqliteDatabase, TextField
from playhouse.sqlite_ext import AutoIncrementField


def up(_migrator: Any, db: SqliteDatabase) -> None:
    """Make the table."""

    class Restore(Model):
        number = AutoIncrementField()
        restored_at = BigIntegerField()
        backup_id = TextField()
        safety_backup_id = TextField()
        epoch_before = TextField()
        epoch_after = TextField()

        class Meta:
            table_name = "restore"
            database = db

    db.create_tables([Restore])
