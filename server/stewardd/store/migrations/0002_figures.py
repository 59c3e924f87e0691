"""Content, business, measurements, alerts and their first rules, and what an import says of a session."""

from typing import Any

from peewee import BigIntegerField, BlobField, BooleanField, DoubleField, Model, SqliteDatabase, TextField
from playhouse.sqlite_ext import AutoIncrementField

# Name, metric, operator, threshold: the predecessor's.
FIRST_RULES = (
    ("high_response_time", "AVG_RESPONSE_TIME", "GT", 10.0),
    ("low_success_rate", "SUCCESS_RATE", "LT", 0.8),
    ("high_query_volume", "QUERY_VOLUME", "GT", 1000.0),
    ("high_error_rate", "ERROR_RATE", "GT", 0.1),
)


def up(migrator: Any, db: SqliteDatabase) -> None:
    """Create the tables, add the columns, and lay down the first rules."""

    class ContentAccess(Model):
        seq = AutoIncrementField()
        access_id = BlobField(unique=True)
        occurred_at = BigIntegerField()
        recorded_at = BigIntegerField()
        content_type = TextField()
        content_id = TextField()
        user_roles = TextField()
        accesses = BigIntegerField()
        relevance_score = DoubleField(null=True)
        engagement_score = DoubleField(null=True)
        effectiveness_score = DoubleField(null=True)
        metadata = TextField()

        class Meta:
            table_name = "content_access"
            database = db
            indexes = ((("occurred_at", "seq"), False),)

    class BusinessMetric(Model):
        seq = AutoIncrementField()
        metric_id = BlobField(unique=True)
        occurred_at = BigIntegerField()
        recorded_at = BigIntegerField()
        name = TextField()
        value = DoubleField()
        metric_type = TextField()
        metadata = TextField()
        date = TextField()

        class Meta:
            table_name = "business_metric"
            database = db
            indexes = ((("occurred_at", "seq"), False),)

    class MetricPoint(Model):
        seq = AutoIncrementField()
        metric_id = BlobField(unique=True)
        occurred_at = BigIntegerField()
        recorded_at = BigIntegerField()
        name = TextField()
        value = DoubleField()
        unit = TextField()
        component = TextField()
        labels = TextField()

        class Meta:
            table_name = "metric_point"
            database = db
            indexes = ((("occurred_at", "seq"), False),)

    class AlertRule(Model):
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
            database = db

    class Alert(Model):
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
            database = db
            indexes = ((("started_at", "alert_id"), False), (("ended_at", "rule"), False))

    db.create_tables([ContentAccess, BusinessMetric, MetricPoint, AlertRule, Alert], safe=False)
    migrator.migrate(
        migrator.add_column("session", "session_rating", DoubleField(null=True)),
        migrator.add_column("session", "session_converted", BooleanField(null=True)),
    )
    for name, metric, operator, threshold in FIRST_RULES:
        AlertRule.insert(
            name=name,
            metric=metric,
            operator=operator,
            threshold=threshold,
            enabled=True,
            cooldown_seconds=0.0,
            state="OK",
            evaluations=0,
            firing_evaluations=0,
            transitions=0,
        ).execute()
