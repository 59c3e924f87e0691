"""What each recorder numbered, and which numbers have not come."""

from typing import Any

from peewee import BigIntegerField, BlobField, ForeignKeyField, Model, SqliteDatabase, TextField
from playhouse.sqlite_ext import AutoIncrementField


def up(_migrator: Any, db: SqliteDatabase) -> None:
    """Make the tables."""

    class Recorder(Model):
        number = AutoIncrementField()
        recorder_id = BlobField(unique=True)
        name = TextField()
        first_seen_at = BigIntegerField()
        last_seen_at = BigIntegerField()
        issued = BigIntegerField()
        highest = BigIntegerField()
        forgone = BigIntegerField()
        lost = BigIntegerField()

        class Meta:
            table_name = "recorder"
            database = db

    class RecorderGap(Model):
        number = AutoIncrementField()
        recorder = ForeignKeyField(Recorder, column_name="recorder", index=False)
        first = BigIntegerField()
        last = BigIntegerField()
        since = BigIntegerField()

        class Meta:
            table_name = "recorder_gap"
            database = db
            indexes = ((("recorder", "first"), True),)

    db.create_tables([Recorder, RecorderGap], safe=False)
