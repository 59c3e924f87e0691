"""
What the store holds, as Peewee models bound to no database: `query.bind(db)` says where a query runs.

Times are whole microseconds since 1970, UTC: exact, and the same on every database. What is not known is NULL.
"""

from peewee import (
    BigIntegerField,
    BlobField,
    BooleanField,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)
from playhouse.sqlite_ext import AutoIncrementField


class Meta(Model):
    """A few facts about the store itself: its epoch, the fingerprint of its key."""

    name = TextField(primary_key=True)
    value = TextField()


class Session(Model):
    """
    A conversation and the running totals of its interactions, kept in the transaction that stores them.

    Means are kept as sum and count, so that one more interaction is one addition.
    """

    key = IntegerField(primary_key=True)  # in order of first sight, so that indexes on it grow at the right
    pseudonym = TextField(unique=True)
    user_role = TextField()  # of the first recorded interaction
    started_at = BigIntegerField()
    last_activity_at = BigIntegerField()
    total_queries = IntegerField()
    successful_queries = IntegerField()
    detailed_queries = IntegerField()  # answered well, with code or citations: what conversion counts
    timed_queries = IntegerField()  # those whose response time is known
    response_time_sum = DoubleField()  # s
    total_code_snippets = BigIntegerField()
    total_citations = BigIntegerField()
    ratings = IntegerField()
    rating_sum = DoubleField()

    class Meta:
        # Every list is a window of start times.
        indexes = ((("started_at", "key"), False),)


class Interaction(Model):
    """One redacted interaction. Rows are added and purged; only a rating ever changes."""

    seq = AutoIncrementField()  # arrival order, never reused: an export resumes by it
    interaction_id = BlobField(unique=True)  # the 16 bytes of a UUIDv7
    session = ForeignKeyField(Session, column_name="session", index=False)
    occurred_at = BigIntegerField()
    recorded_at = BigIntegerField()
    user_role = TextField()
    query = TextField()
    query_type = TextField()  # '' when not known
    response_time_seconds = DoubleField(null=True)
    response_length = BigIntegerField(null=True)
    code_snippets_shown = BigIntegerField()
    citations_provided = BigIntegerField()
    success = BooleanField(null=True)
    user_rating = DoubleField(null=True)
    follow_up_query = BooleanField()
    conversation_turn = BigIntegerField()

    class Meta:
        # Windows of time, in the order lists show them; and the interactions of a session.
        indexes = ((("occurred_at", "seq"), False), (("session", "seq"), False))


MODELS = (Meta, Session, Interaction)
