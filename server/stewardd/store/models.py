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
    session_rating = DoubleField(null=True)  # these two only an import brings: what was said of the session as a whole
    session_converted = BooleanField(null=True)

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
    rated_at = BigIntegerField(null=True)  # when it was last rated after it had been recorded

    class Meta:
        # Windows of time, in the order lists show them; and the interactions of a session.
        indexes = ((("occurred_at", "seq"), False), (("session", "seq"), False))


class ContentAccess(Model):
    """One time that a piece of content was used; of an import, several that it had added up."""

    seq = AutoIncrementField()
    access_id = BlobField(unique=True)  # the 16 bytes of a UUIDv7
    occurred_at = BigIntegerField()
    recorded_at = BigIntegerField()
    content_type = TextField()
    content_id = TextField()  # '' when not known
    user_roles = TextField()  # a JSON array
    accesses = BigIntegerField()
    relevance_score = DoubleField(null=True)
    engagement_score = DoubleField(null=True)
    effectiveness_score = DoubleField(null=True)
    metadata = TextField()  # a JSON object

    class Meta:
        table_name = "content_access"
        indexes = ((("occurred_at", "seq"), False),)


class BusinessMetric(Model):
    """A figure of the business, counted elsewhere."""

    seq = AutoIncrementField()
    metric_id = BlobField(unique=True)  # the 16 bytes of a UUIDv7
    occurred_at = BigIntegerField()
    recorded_at = BigIntegerField()
    name = TextField()
    value = DoubleField()
    metric_type = TextField()
    metadata = TextField()  # a JSON object
    date = TextField()  # YYYY-MM-DD, '' when it is about no day

    class Meta:
        table_name = "business_metric"
        indexes = ((("occurred_at", "seq"), False),)


class MetricPoint(Model):
    """A measurement from outside."""

    seq = AutoIncrementField()
    metric_id = BlobField(unique=True)  # the 16 bytes of a UUIDv7
    occurred_at = BigIntegerField()
    recorded_at = BigIntegerField()
    name = TextField()
    value = DoubleField()
    unit = TextField()
    component = TextField()
    labels = TextField()  # a JSON object

    class Meta:
        table_name = "metric_point"
        indexes = ((("occurred_at", "seq"), False),)


class AlertRule(Model):
    """When to raise an alert, and how that has gone so far. Metric, operator and state by their names."""

    name = TextField(primary_key=True)
    metric = TextField()
    operator = TextField()
    threshold = DoubleField()
    enabled = BooleanField()
    cooldown_seconds = DoubleField()
    state = TextField()
    since = BigIntegerField(null=True)
    last_triggered_at = BigIntegerField(null=True)
    last_evaluated_at = BigIntegerField(null=True)
    last_value = DoubleField(null=True)
    evaluations = BigIntegerField()
    firing_evaluations = BigIntegerField()
    transitions = BigIntegerField()

    class Meta:
        table_name = "alert_rule"


class Alert(Model):
    """One time that a rule fired, as the rule was then."""

    alert_id = AutoIncrementField()
    rule = TextField()
    metric = TextField()
    operator = TextField()
    threshold = DoubleField()
    value = DoubleField()
    severity = TextField()
    started_at = BigIntegerField()
    ended_at = BigIntegerField(null=True)

    class Meta:
        # The history by time; and the few that are firing, whatever the length of the history.
        indexes = ((("started_at", "alert_id"), False), (("ended_at", "rule"), False))


class Restore(Model):
    """One time that a backup was restored. Goes from store to store."""

    number = AutoIncrementField()
    restored_at = BigIntegerField()
    backup_id = TextField()
    safety_backup_id = TextField()  # '' when there was nothing before
    epoch_before = TextField()  # tells a token of then from one that is none
    epoch_after = TextField()

    class Meta:
        table_name = "restore"


class Recorder(Model):
    """
    One life of a recorder's numbering. Of the numbers up to the highest each is received, forgone, lost, or in a gap.

    Changed in the transaction that stores what the numbers are of, so that the two agree after a crash or a restore.
    """

    number = AutoIncrementField()
    recorder_id = BlobField(unique=True)  # the 16 bytes of a UUIDv7
    name = TextField()  # '' when it has none
    first_seen_at = BigIntegerField()
    last_seen_at = BigIntegerField()
    issued = BigIntegerField()  # how many numbers it has given out, as far as it has said
    highest = BigIntegerField()  # the highest number that came or was forgone
    forgone = BigIntegerField()  # how many numbers will never come, as it said itself
    lost = BigIntegerField()  # how many were in gaps that are given up

    class Meta:
        table_name = "recorder"


class RecorderGap(Model):
    """Numbers below a recorder's highest one that have not come. Gaps of a recorder do not touch."""

    number = AutoIncrementField()
    recorder = ForeignKeyField(Recorder, column_name="recorder", index=False)
    first = BigIntegerField()
    last = BigIntegerField()
    since = BigIntegerField()  # when a number behind the gap came

    class Meta:
        table_name = "recorder_gap"
        indexes = ((("recorder", "first"), True),)


MODELS = (
    Meta,
    Session,
    Interaction,
    ContentAccess,
    BusinessMetric,
    MetricPoint,
    AlertRule,
    Alert,
    Restore,
    Recorder,
    RecorderGap,
)
