"""
What tables an export knows: their columns, what they are paged by, and which of their rows can be chosen.

Pure but for what it asks the store it is handed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from peewee import SQL, Model, Select, fn

from steward.errors import InvalidArgument
from steward.types import FieldViolation
from stewardd.filters import demand, label_violations, window_violations, within
from stewardd.store import Reading
from stewardd.store.models import (
    Alert,
    AlertRule,
    BusinessMetric,
    ContentAccess,
    Interaction,
    MetricPoint,
    Recorder,
    RecorderGap,
    Session,
)


class Kind(Enum):
    """What a column holds."""

    UUID = "uuid"
    PSEUDONYM = "pseudonym"
    TIME = "time"
    TEXT = "text"
    JSON = "json"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    REAL = "real"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an export."""

    name: str
    source: Any  # the field it is read from
    kind: Kind
    wide: bool = False  # whether it may be long


@dataclass(frozen=True, slots=True)
class Table:
    """What is exported of a model."""

    name: str
    model: type[Model]
    columns: tuple[Column, ...]
    key: Any  # rises with each row, and is never reused
    time: Any = None  # what since and until are held against
    roles: Callable[[Sequence[str]], Any] | None = None  # the condition that a row is of one of these roles
    left_out: Mapping[str, str] = field(default_factory=dict)  # columns of the model that are not exported, and why
    joined: tuple[type[Model], Any] | None = None  # a table that columns are taken from, and on what

    def __reduce__(self) -> tuple[Callable[[str], "Table"], tuple[str]]:
        """Be the same table in another process."""
        return named, (self.name,)


def _columns(model: Any, kinds: Mapping[Kind, str], *, wide: str = "", others: Sequence[Column] = ()) -> list[Column]:
    """Return the columns of *model* in its order: those that *kinds* names by kind, and *others*."""
    named = {name: kind for kind, names in kinds.items() for name in names.split()}
    given = {each.name: each for each in others}
    return [
        given.get(each.name) or Column(each.name, each, named[each.name], each.name in wide.split())
        for each in model._meta.sorted_fields  # noqa: SLF001 -- Peewee's name for what is public
        if each.name in named or each.name in given
    ]


def _role(source: Any) -> Callable[[Sequence[str]], Any]:
    return lambda roles: source.in_(list(roles))


def _any_role(roles: Sequence[str]) -> Any:
    among = Select([fn.JSON_EACH(ContentAccess.user_roles)], [SQL("1")])
    return fn.EXISTS(among.where(SQL("value").in_(list(roles))))


ARRIVAL = "the order of arrival in this store, which means nothing elsewhere"

INTERACTIONS = Table(
    name="interactions",
    model=Interaction,
    columns=tuple(
        _columns(
            Interaction,
            {
                Kind.UUID: "interaction_id",
                Kind.TIME: "occurred_at recorded_at rated_at",
                Kind.TEXT: "user_role query query_type",
                Kind.REAL: "response_time_seconds user_rating",
                Kind.INTEGER: "response_length code_snippets_shown citations_provided conversation_turn",
                Kind.BOOLEAN: "success follow_up_query",
            },
            wide="query",
            others=[Column("session", Session.pseudonym, Kind.PSEUDONYM)],
        )
    ),
    key=Interaction.seq,
    time=Interaction.occurred_at,
    roles=_role(Interaction.user_role),
    left_out={"seq": ARRIVAL},
    joined=(Session, Interaction.session == Session.key),
)
SESSIONS = Table(
    name="sessions",
    model=Session,
    columns=(
        Column("session", Session.pseudonym, Kind.PSEUDONYM),
        *_columns(
            Session,
            {
                Kind.TEXT: "user_role",
                Kind.TIME: "started_at last_activity_at",
                Kind.INTEGER: "total_queries successful_queries detailed_queries timed_queries total_code_snippets "
                "total_citations ratings",
                Kind.REAL: "response_time_sum rating_sum session_rating",
                Kind.BOOLEAN: "session_converted",
            },
        ),
    ),
    key=Session.key,
    time=Session.started_at,
    roles=_role(Session.user_role),
    left_out={"key": "the pseudonym stands for it, as session", "pseudonym": "it is called session"},
)
CONTENT = Table(
    name="content",
    model=ContentAccess,
    columns=tuple(
        _columns(
            ContentAccess,
            {
                Kind.UUID: "access_id",
                Kind.TIME: "occurred_at recorded_at",
                Kind.TEXT: "content_type content_id",
                Kind.JSON: "user_roles metadata",
                Kind.INTEGER: "accesses",
                Kind.REAL: "relevance_score engagement_score effectiveness_score",
            },
            wide="content_id user_roles metadata",
        )
    ),
    key=ContentAccess.seq,
    time=ContentAccess.occurred_at,
    roles=_any_role,
    left_out={"seq": ARRIVAL},
)
BUSINESS = Table(
    name="business",
    model=BusinessMetric,
    columns=tuple(
        _columns(
            BusinessMetric,
            {
                Kind.UUID: "metric_id",
                Kind.TIME: "occurred_at recorded_at",
                Kind.TEXT: "name metric_type date",
                Kind.REAL: "value",
                Kind.JSON: "metadata",
            },
            wide="metadata",
        )
    ),
    key=BusinessMetric.seq,
    time=BusinessMetric.occurred_at,
    left_out={"seq": ARRIVAL},
)
METRICS = Table(
    name="metrics",
    model=MetricPoint,
    columns=tuple(
        _columns(
            MetricPoint,
            {
                Kind.UUID: "metric_id",
                Kind.TIME: "occurred_at recorded_at",
                Kind.TEXT: "name unit component",
                Kind.REAL: "value",
                Kind.JSON: "labels",
            },
            wide="labels",
        )
    ),
    key=MetricPoint.seq,
    time=MetricPoint.occurred_at,
    left_out={"seq": ARRIVAL},
)
ALERTS = Table(
    name="alerts",
    model=Alert,
    columns=tuple(
        _columns(
            Alert,
            {
                Kind.INTEGER: "alert_id",
                Kind.TEXT: "rule metric operator severity",
                Kind.REAL: "threshold value",
                Kind.TIME: "started_at ended_at",
            },
        )
    ),
    key=Alert.alert_id,
    time=Alert.started_at,
)
ALERT_RULES = Table(
    name="alert_rules",
    model=AlertRule,
    columns=tuple(
        _columns(
            AlertRule,
            {
                Kind.TEXT: "name metric operator state",
                Kind.REAL: "threshold cooldown_seconds last_value",
                Kind.BOOLEAN: "enabled",
                Kind.TIME: "since last_triggered_at last_evaluated_at",
                Kind.INTEGER: "evaluations firing_evaluations transitions",
            },
        )
    ),
    key=SQL("rowid"),  # its names have no order of coming; rules are never deleted
)
RECORDERS = Table(
    name="recorders",
    model=Recorder,
    columns=tuple(
        _columns(
            Recorder,
            {
                Kind.UUID: "recorder_id",
                Kind.TEXT: "name",
                Kind.TIME: "first_seen_at last_seen_at",
                Kind.INTEGER: "issued highest forgone lost",
            },
        )
    ),
    key=Recorder.number,
    time=Recorder.first_seen_at,
    left_out={"number": ARRIVAL},
)
RECORDER_GAPS = Table(
    name="recorder_gaps",
    model=RecorderGap,
    columns=(
        Column("recorder_id", Recorder.recorder_id, Kind.UUID),
        *_columns(RecorderGap, {Kind.INTEGER: "first last", Kind.TIME: "since"}),
    ),
    key=RecorderGap.number,
    time=RecorderGap.since,
    left_out={"number": ARRIVAL, "recorder": "the id stands for it, as recorder_id"},
    joined=(Recorder, RecorderGap.recorder == Recorder.number),
)
TABLES = {
    each.name: each
    for each in (
        INTERACTIONS,
        SESSIONS,
        CONTENT,
        BUSINESS,
        METRICS,
        ALERTS,
        ALERT_RULES,
        RECORDERS,
        RECORDER_GAPS,
    )
}


def named(name: str) -> Table:
    """Return the table of this *name*. Raises: InvalidArgument."""
    if name not in TABLES:
        raise InvalidArgument.of(FieldViolation("table", f"must be one of {', '.join(TABLES)}"))
    return TABLES[name]


def choose(
    table: Table,
    *,
    since: datetime | None,
    until: datetime | None,
    user_roles: Sequence[str],
    now: datetime,
) -> list[Any]:
    """Return which rows of *table* are asked for, as conditions. Raises: InvalidArgument, naming each wrong field."""
    violations = [*window_violations(since, until, now=now), *label_violations("user_roles", user_roles)]
    if table.time is None:
        given = {"since": since, "until": until}
        rule = f"must be unset: {table.name} have no time to choose by"
        violations += [FieldViolation(name, rule) for name, value in given.items() if value is not None]
    if user_roles and table.roles is None:
        violations.append(FieldViolation("user_roles", f"must be empty: {table.name} have no role to choose by"))
    demand(violations)
    chosen = [] if table.time is None else within(table.time, since, until)
    return [*chosen, table.roles(user_roles)] if user_roles and table.roles else chosen


def bound(store: Reading, table: Table) -> int:
    """Return the newest key of *table*, 0 when it is empty."""
    (newest,) = store.sole(table.model.select(fn.COALESCE(fn.MAX(table.key), 0)))
    return int(newest)
