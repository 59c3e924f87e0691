"""Interactions, their sessions, and the facts about the store."""

from typing import Any

from peewee import (
    BigIntegerField,
    BlobField,
    BooleanField,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    Model,
    SqliteDatabase,
    TextField,
)
from playhouse.sqlite_ext import AutoIncrementField


def up(_migrator: Any, db: SqliteDatabase) -> None:
    """Create the first tables."""

    class Meta(Model):
        name = TextField(primary_key=True)
        value = TextField()

        class Meta:
            database = db

    class Session(Model):
        key = IntegerField(primary_key=True)
        pseudonym = TextField(unique=True)
        user_role = TextField()
        started_at = BigIntegerField()
        last_activity_at = BigIntegerField()
        total_queries = IntegerField()
        successful_queries = IntegerField()
        detailed_queries = IntegerField()
        timed_queries = IntegerField()
        response_time_sum = DoubleField()
        total_code_snippets = BigIntegerField()
        total_citations = BigIntegerField()
        ratings = IntegerField()
        rating_sum = DoubleField()

        class Meta:
            database = db
            indexes = ((("started_at", "key"), False),)

    class Interaction(Model):
        seq = AutoIncrementField()
        interaction_id = BlobField(unique=True)
        session = ForeignKeyField(Session, column_name="session", index=False)
        occurred_at = BigIntegerField()
        recorded_at = BigIntegerField()
        user_role = TextField()
        query = TextField()
        query_type = TextField()
        response_time_seconds = DoubleField(null=True)
        response_length = BigIntegerField(null=True)
        code_snippets_shown = BigIntegerField()
        citations_provided = BigIntegerField()
        success = BooleanField(null=True)
        user_rating = DoubleField(null=True)
        follow_up_query = BooleanField()
        conversation_turn = BigIntegerField()

        class Meta:
            database = db
            indexes = ((("occurred_at", "seq"), False), (("session", "seq"), False))

    db.create_tables([Meta, Session, Interaction], safe=False)
