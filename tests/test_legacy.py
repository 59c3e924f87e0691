"""
The predecessor's files: what each table of each generation becomes.
"""

import gzip
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from steward import Client, InvalidArgument
from steward.legacy import LegacyFile, SkippedTable
from steward.types import (
    BusinessMetric,
    ContentAccess,
    ImportedBusinessMetric,
    ImportedContentAccess,
    ImportedInteraction,
    ImportedMetric,
    ImportedSession,
    ImportRejection,
    ImportReport,
    Interaction,
    MetricPoint,
)
from stewardd.business import FIGURES
from tests.legacy_files import NEWER, OLDER, legacy_file

REAL = Path(__file__).parent.parent.parent / "shared/data/legacy/analytics_backup_2025-09-30_22-34-30.db.gz"
needs_the_real_file = pytest.mark.skipif(
    not REAL.exists(), reason="SKIPPED: the predecessor's real file is not at ../shared/data/legacy"
)
BERLIN = ZoneInfo("Europe/Berlin")
TEN = datetime(2025, 9, 1, 10, tzinfo=UTC)
GENERATIONS = pytest.mark.parametrize("schema", [OLDER, NEWER], ids=["older", "newer"])


def every(path: Path, *, zone: ZoneInfo | None = None) -> list[Any]:
    """Return all that is read of the predecessor's file at *path*."""
    with LegacyFile(path) as file:
        return list(file.rows(zone=zone or UTC))


def the_only(path: Path, *, zone: ZoneInfo | None = None) -> Any:
    """Return the one row of the predecessor's file at *path*."""
    (row,) = every(path, zone=zone)
    return row


def brought_in(client: Client, path: Path, *, zone: ZoneInfo | None = None) -> ImportReport:
    """Import all of the predecessor's file at *path*, which must be readable."""
    return client.import_interactions([every(path, zone=zone)])


# Interactions


@GENERATIONS
@pytest.mark.parametrize("name", ["file.db", "file.db.gz"])
def test_a_row_of_either_generation_is_read(tmp_path: Path, schema: str, name: str) -> None:
    """
    All fields come over, and the session's hash is kept.
    """
    row = the_only(legacy_file(tmp_path / name, {}, schema=schema))

    expected = ImportedInteraction(
        row=1,
        session="2714dfeca1bf6fed",
        interaction=Interaction(
            interaction_id=row.interaction.interaction_id,
            session_id="",
            occurred_at=datetime(2025, 9, 1, 7, 54, 30, 946690, tzinfo=UTC),
            user_role="Software Developer",
            query="How does it scale?",
            query_type="technical",
            response_time_seconds=1.5,
            response_length=900,
            code_snippets_shown=1,
            citations_provided=2,
            success=True,
            user_rating=4.0,
            follow_up_query=False,
            conversation_turn=3,
        ),
    )
    assert expected == row


def test_a_time_with_a_space_is_read(tmp_path: Path) -> None:
    """
    The newer generation writes a space where the older writes a T.
    """
    row = the_only(legacy_file(tmp_path / "f.db", {"timestamp": "2025-09-01 07:54:30"}, schema=NEWER))

    assert datetime(2025, 9, 1, 7, 54, 30, tzinfo=UTC) == row.interaction.occurred_at


def test_a_zone_moves_the_time_and_not_the_id(tmp_path: Path) -> None:
    """
    The naive times are taken as those of the zone; the id is that of the row.
    """
    path = legacy_file(tmp_path / "f.db", {"timestamp": "2025-07-01T12:00:00"})

    plain, moved = the_only(path), the_only(path, zone=ZoneInfo("America/New_York"))

    assert plain.interaction.occurred_at + timedelta(hours=4) == moved.interaction.occurred_at
    assert plain.interaction.interaction_id == moved.interaction.interaction_id


def test_rows_that_differ_have_ids_that_differ(tmp_path: Path) -> None:
    """
    Equal rows under two ids are two interactions.
    """
    with LegacyFile(legacy_file(tmp_path / "f.db", {}, {}, {"query": "other"})) as file:
        ids = {each.interaction.interaction_id for each in file.rows() if isinstance(each, ImportedInteraction)}

    assert 3 == len(ids)


def test_a_session_that_is_no_hash_gets_a_pseudonym(tmp_path: Path) -> None:
    """
    A plain session id of the older generation is handed over as one, to be made a pseudonym.
    """
    row = the_only(legacy_file(tmp_path / "f.db", {"session_id": "jordan's chat"}))

    assert ("jordan's chat", "") == (row.interaction.session_id, row.session)


def test_what_the_predecessor_left_out_is_not_known(tmp_path: Path) -> None:
    """
    NULL is not known, or the predecessor's default.
    """
    names = ("response_time", "response_length", "success", "user_rating", "code_snippets_shown", "conversation_turn")
    row = the_only(legacy_file(tmp_path / "f.db", dict.fromkeys((*names, "query_type", "follow_up_query")))).interaction

    assert (None, None, None, None, 0, 1, "", False) == (
        row.response_time_seconds,
        row.response_length,
        row.success,
        row.user_rating,
        row.code_snippets_shown,
        row.conversation_turn,
        row.query_type,
        row.follow_up_query,
    )


ODD: list[tuple[dict[str, Any], str]] = [
    ({"timestamp": "yesterday"}, "occurred_at"),
    ({"timestamp": 5}, "occurred_at"),
    ({"response_time": "fast"}, "response_time_seconds"),
    ({"response_length": 1.5}, "response_length"),
    ({"success": 2}, "success"),
    ({"response_length": 1e300}, "response_length"),
    ({"response_length": float("inf")}, "response_length"),
    ({"timestamp": b"2025"}, "occurred_at"),
    ({"query": b"\x00\x01"}, "query"),
    ({"user_rating": "good"}, "user_rating"),
    ({"timestamp": "0001-01-01T00:00:00"}, "occurred_at"),
]


@pytest.mark.parametrize(("change", "field"), ODD)
def test_a_row_that_is_none_is_a_rejection(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    """
    What no interaction can hold is named by row and field, and stops nothing.
    """
    with LegacyFile(legacy_file(tmp_path / "f.db", change, {})) as file:
        bad, good = file.rows(zone=ZoneInfo("Asia/Tokyo"))

    assert isinstance(bad, ImportRejection)
    assert (1, [field]) == (bad.row, [each.field for each in bad.violations])
    assert isinstance(good, ImportedInteraction)


def test_text_that_is_not_utf8_is_a_rejection(tmp_path: Path) -> None:
    """
    Bytes in a text column that are no UTF-8 reject their row.
    """
    path = legacy_file(tmp_path / "f.db", {})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE user_interactions SET query = CAST(x'ff41' AS TEXT)")

    bad = the_only(path)

    assert isinstance(bad, ImportRejection)
    assert ["query"] == [each.field for each in bad.violations]


def test_an_interactions_id_stays_what_it_was(tmp_path: Path) -> None:
    """
    A file that an earlier version imported is still known row by row.
    """
    row = the_only(legacy_file(tmp_path / "f.db", {}))

    assert "01990445-3ea2-7941-b950-3aeddacf952e" == row.interaction.interaction_id


# The other tables


def test_an_older_content_row_is_its_accesses(tmp_path: Path) -> None:
    """
    One row stands for all accesses it had counted, in all its roles.
    """
    row = the_only(legacy_file(tmp_path / "f.db", content_analytics=[{}]))

    expected = ImportedContentAccess(
        row=1,
        access=ContentAccess(
            access_id=row.access.access_id,
            content_type="project",
            content_id="rag-engine",
            relevance_score=0.75,
            occurred_at=TEN,
        ),
        accesses=7,
        user_roles=("Software Developer", "Just looking around"),
    )
    assert expected == row


def test_a_newer_content_row_is_an_access(tmp_path: Path) -> None:
    """
    Its scores and its metadata come over; which content it was, it never said.
    """
    row = the_only(legacy_file(tmp_path / "f.db", schema=NEWER, content_analytics=[{}]))

    expected = ImportedContentAccess(
        row=1,
        access=ContentAccess(
            access_id=row.access.access_id,
            content_type="project",
            content_id="",
            engagement_score=0.5,
            effectiveness_score=0.9,
            metadata={"page": "home", "depth": "3"},
            occurred_at=TEN,
        ),
    )
    assert expected == row


def test_an_older_business_row_is_a_figure_for_each_that_it_knows(tmp_path: Path) -> None:
    """
    Each figure that is not NULL is a daily one of that date, under an id of its own.
    """
    change = {"avg_session_duration": None}
    rows = every(legacy_file(tmp_path / "f.db", business_metrics=[change]))

    values = {
        "hiring_manager_sessions": 3.0,
        "developer_sessions": 5.0,
        "casual_visitor_sessions": 0.0,
        "conversion_to_detailed_queries": 0.25,
        "code_display_engagement": 0.5,
        "citation_click_through_rate": 0.1,
    }
    expected = [
        ImportedBusinessMetric(
            row=1,
            metric=BusinessMetric(
                metric_id=each.metric.metric_id, name=name, value=value, metric_type="daily", date="2025-09-01"
            ),
        )
        for each, (name, value) in zip(rows, values.items(), strict=True)
    ]
    assert expected == rows
    assert 6 == len({each.metric.metric_id for each in rows})


def test_the_figures_are_those_of_the_server(tmp_path: Path) -> None:
    """
    What the reader takes from a day is what the server knows of one.
    """
    rows = every(legacy_file(tmp_path / "f.db", business_metrics=[{}]))

    assert list(FIGURES) == [each.metric.name for each in rows]


def test_a_newer_business_row_is_a_figure(tmp_path: Path) -> None:
    """
    Its name, value, type, time and metadata come over.
    """
    row = the_only(legacy_file(tmp_path / "f.db", schema=NEWER, business_metrics=[{}]))

    expected = BusinessMetric(
        metric_id=row.metric.metric_id,
        name="leads",
        value=4.0,
        metric_type="daily",
        metadata={"metadata": "from the form"},
        occurred_at=TEN,
    )
    assert ImportedBusinessMetric(row=1, metric=expected) == row


POINTS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        OLDER,
        "system_performance",
        {},
        {
            "name": "memory",
            "value": 512.0,
            "unit": "MB",
            "component": "retriever",
            "labels": {"alert_threshold": "1024.0", "is_alert": "false"},
        },
    ),
    (
        OLDER,
        "system_performance",
        dict.fromkeys(("metric_unit", "component", "alert_threshold", "is_alert")),
        {"name": "memory", "value": 512.0},
    ),
    (
        OLDER,
        "system_performance",
        {"alert_threshold": None, "is_alert": 1, "metric_unit": "", "component": ""},
        {"name": "memory", "value": 512.0, "labels": {"is_alert": "true"}},
    ),
    (NEWER, "system_performance", {}, {"name": "memory", "value": 512.0}),
    (
        NEWER,
        "query_performance",
        {},
        {
            "name": "query.execution_time",
            "value": 0.125,
            "unit": "s",
            "labels": {"query_hash": "9f86d081884c7d65", "result_count": "8"},
        },
    ),
    (
        NEWER,
        "query_performance",
        {"result_count": None},
        {"name": "query.execution_time", "value": 0.125, "unit": "s", "labels": {"query_hash": "9f86d081884c7d65"}},
    ),
]


@pytest.mark.parametrize(("schema", "table", "change", "fields"), POINTS)
def test_a_performance_row_is_a_measurement(
    tmp_path: Path, schema: str, table: str, change: dict[str, Any], fields: dict[str, Any]
) -> None:
    """
    What is known of a measurement comes over; what is NULL is left out.
    """
    row = the_only(legacy_file(tmp_path / "f.db", schema=schema, **{table: [change]}))

    expected = MetricPoint(metric_id=row.point.metric_id, occurred_at=TEN, **fields)
    assert ImportedMetric(row=1, point=expected) == row


@GENERATIONS
def test_of_sessions_only_what_was_said_is_read(tmp_path: Path, schema: str) -> None:
    """
    A session that is rated or converted is read, behind the interactions; one that is neither is skipped and counted.
    """
    sessions: list[dict[str, Any]] = [
        {"session_id": "ab" * 8},
        {"session_id": "cd" * 8, "session_rating": 4.5},
        {"session_id": "jordan's chat", "conversion_achieved": 1},
        {"session_id": "ef" * 8, "conversion_achieved": None},
    ]
    with LegacyFile(legacy_file(tmp_path / "f.db", {}, schema=schema, session_analytics=sessions)) as file:
        _, *rows = file.rows()
        count, skipped = file.count, file.skipped

    expected = [
        ImportedSession(row=2, session="cd" * 8, session_rating=4.5),
        ImportedSession(row=3, session_id="jordan's chat", conversion_achieved=True),
    ]
    assert expected == rows
    assert (3, 2) == (count, {each.table: each.rows for each in skipped}["session_analytics"])


TIMED = [
    (OLDER, "content_analytics", "access"),
    (NEWER, "content_analytics", "access"),
    (NEWER, "business_metrics", "metric"),
    (OLDER, "system_performance", "point"),
    (NEWER, "system_performance", "point"),
    (NEWER, "query_performance", "point"),
]


@pytest.mark.parametrize(("schema", "table", "record"), TIMED)
def test_the_zone_is_that_of_every_table(tmp_path: Path, schema: str, table: str, record: str) -> None:
    """
    The naive times of all tables are taken as those of the zone, which their ids do not know.
    """
    path = legacy_file(tmp_path / "f.db", schema=schema, **{table: [{}]})

    plain, moved = (getattr(the_only(path, zone=zone), record) for zone in (None, BERLIN))

    assert (TEN, TEN - timedelta(hours=2)) == (plain.occurred_at, moved.occurred_at)
    assert getattr(plain, f"{record}_id".replace("point", "metric")) == getattr(
        moved, f"{record}_id".replace("point", "metric")
    )


def test_equal_rows_of_two_tables_are_two(tmp_path: Path) -> None:
    """
    The table is in the id, so that rows that look alike are not taken for one.
    """
    business = {"metric_name": "m", "metric_value": 1.0}
    path = legacy_file(tmp_path / "f.db", schema=NEWER, business_metrics=[business], system_performance=[business])
    with closing(sqlite3.connect(path)) as database, database:
        for column in ("metric_type", "metadata"):
            database.execute(f"ALTER TABLE system_performance ADD COLUMN {column}")
        database.execute("UPDATE system_performance SET metric_type = 'daily', metadata = 'from the form'")

    metric, point = every(path)

    assert metric.metric.occurred_at == point.point.occurred_at
    assert metric.metric.metric_id != point.point.metric_id


def test_content_that_was_never_accessed_is_as_old_as_its_row(tmp_path: Path) -> None:
    """
    Without last_accessed, created_at is the time, which is UTC; without both the row is rejected.
    """
    path = legacy_file(tmp_path / "f.db", content_analytics=[{"last_accessed": None}])
    without = the_only(path, zone=BERLIN)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE content_analytics ADD COLUMN created_at DATETIME DEFAULT '2025-09-01 10:00:00'")

    assert ["occurred_at"] == [each.field for each in without.violations]
    assert TEN == the_only(path, zone=BERLIN).access.occurred_at


ROLES: list[tuple[str | None, tuple[str, ...]]] = [
    (None, ()),
    ("", ()),
    ("[]", ()),
    ('["Dev", "Manager"]', ("Dev", "Manager")),
    ('{"Dev": 3, "Manager": 1}', ("Dev", "Manager")),
]


@pytest.mark.parametrize(("text", "roles"), ROLES)
def test_roles_are_read_as_the_predecessor_wrote_them(tmp_path: Path, text: str | None, roles: tuple[str, ...]) -> None:
    """
    An array of roles, or an object with a count for each; NULL and '' are none.
    """
    row = the_only(legacy_file(tmp_path / "f.db", content_analytics=[{"user_roles_accessing": text}]))

    assert roles == row.user_roles


METADATA: list[tuple[str | None, Mapping[str, str]]] = [
    (None, {}),
    ("", {}),
    ("{}", {}),
    (
        '{"a": "b", "n": 1.5, "t": true, "z": null, "l": [1, "é"]}',
        {"a": "b", "n": "1.5", "t": "true", "z": "null", "l": '[1, "é"]'},
    ),
    ("plain words", {"metadata": "plain words"}),
    ('{"a": ', {"metadata": '{"a": '}),
    ("[1, 2]", {"metadata": "[1, 2]"}),
    (r'["a\u0040b.io"]', {"metadata": '["a@b.io"]'}),  # or redaction would not see it
    ("[" * 900, {"metadata": "[" * 900}),
    ("[" * 100_000, {"metadata": "[" * 100_000}),
]


@pytest.mark.parametrize(("text", "metadata"), METADATA)
def test_metadata_is_read_whatever_it_is(tmp_path: Path, text: str | None, metadata: Mapping[str, str]) -> None:
    """
    A JSON object is its names and values, what is no text in it as JSON; all else is one value.
    """
    path = legacy_file(tmp_path / "f.db", schema=NEWER, content_analytics=[{"metadata": text}])

    assert metadata == the_only(path).access.metadata


BAD: list[tuple[str, str, dict[str, Any], tuple[str, str]]] = [
    (OLDER, "content_analytics", {"last_accessed": "yesterday"}, ("content_accesses", "occurred_at")),
    (OLDER, "content_analytics", {"access_count": "many"}, ("content_accesses", "accesses")),
    (OLDER, "content_analytics", {"avg_relevance_score": "high"}, ("content_accesses", "relevance_score")),
    (OLDER, "content_analytics", {"user_roles_accessing": "Dev, Manager"}, ("content_accesses", "user_roles")),
    (OLDER, "content_analytics", {"user_roles_accessing": "[1]"}, ("content_accesses", "user_roles")),
    (OLDER, "content_analytics", {"user_roles_accessing": "null"}, ("content_accesses", "user_roles")),
    (OLDER, "content_analytics", {"user_roles_accessing": r'["\ud800"]'}, ("content_accesses", "user_roles")),
    (OLDER, "content_analytics", {"user_roles_accessing": "[" * 100_000}, ("content_accesses", "user_roles")),
    (NEWER, "content_analytics", {"metadata": r'{"a": "\ud800"}'}, ("content_accesses", "metadata")),
    (NEWER, "content_analytics", {"metadata": b"\x00"}, ("content_accesses", "metadata")),
    (NEWER, "content_analytics", {"timestamp": "0001-01-01"}, ("content_accesses", "occurred_at")),
    (OLDER, "business_metrics", {"date": None}, ("business_metrics", "date")),
    (OLDER, "business_metrics", {"date": "last Monday"}, ("business_metrics", "date")),
    (OLDER, "business_metrics", {"developer_sessions": "some"}, ("business_metrics", "developer_sessions")),
    (NEWER, "business_metrics", {"metric_value": "some"}, ("business_metrics", "value")),
    (OLDER, "system_performance", {"metric_value": None}, ("metrics", "value")),
    (OLDER, "system_performance", {"alert_threshold": "high"}, ("metrics", "alert_threshold")),
    (OLDER, "system_performance", {"is_alert": "perhaps"}, ("metrics", "is_alert")),
    (NEWER, "system_performance", {"metric_name": b"\xff"}, ("metrics", "name")),
    (NEWER, "query_performance", {"result_count": 1.5}, ("metrics", "result_count")),
    (NEWER, "session_analytics", {"session_rating": "good"}, ("sessions", "session_rating")),
    (NEWER, "session_analytics", {"conversion_achieved": "true"}, ("sessions", "conversion_achieved")),
]


@pytest.mark.parametrize(("schema", "table", "change", "named"), BAD)
def test_what_does_not_fit_is_rejected_by_row_table_and_field(
    tmp_path: Path, schema: str, table: str, change: dict[str, Any], named: tuple[str, str]
) -> None:
    """
    A cell that is not what it should be rejects its row, named by what the row would have been, and no other.
    """
    good = {"session_id": "ab" * 8, "session_rating": 3} if table == "session_analytics" else {}
    bad, *rest = every(
        legacy_file(tmp_path / "f.db", schema=schema, **{table: [change, good]}), zone=ZoneInfo("Asia/Tokyo")
    )

    assert isinstance(bad, ImportRejection)
    assert (1, *named) == (bad.row, bad.table, *(each.field for each in bad.violations))
    assert rest
    assert [] == [each for each in rest if isinstance(each, ImportRejection)]


DERIVED, RETENTION = "derived from interactions", "retention is the server's to say"
SKIPPED: list[tuple[str, str, list[SkippedTable]]] = [
    (
        OLDER,
        "",
        [SkippedTable("data_retention_policy", 1, RETENTION), SkippedTable("query_performance", 2, DERIVED)],
    ),
    (NEWER, "", [SkippedTable("data_retention_policy", 1, RETENTION)]),
    (
        NEWER,
        """
        CREATE TABLE "my ""own"" notes" (x);
        INSERT INTO "my ""own"" notes" VALUES (1), (2), (3);
        ALTER TABLE business_metrics DROP COLUMN metric_type;
        """,
        [
            SkippedTable("business_metrics", 1, "its columns are of neither generation"),
            SkippedTable("data_retention_policy", 1, RETENTION),
            SkippedTable('my "own" notes', 3, "not a table of the predecessor"),
        ],
    ),
]


@pytest.mark.parametrize(("schema", "script", "expected"), SKIPPED)
def test_what_is_not_read_is_named_with_its_reason(
    tmp_path: Path, schema: str, script: str, expected: list[SkippedTable]
) -> None:
    """
    Every table that is not read is told, with how many rows it has and why.
    """
    rows: dict[str, list[dict[str, Any]]] = {"data_retention_policy": [{}], "business_metrics": [{}]}
    path = legacy_file(tmp_path / "f.db", schema=schema, **rows, query_performance=[{}, {}])
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)

    with LegacyFile(path) as file:
        assert expected == list(file.skipped)


# Through the server


def whole(path: Path, schema: str) -> Path:
    """Write a file to *path* that has two rows in every table, one session of it rated and converted."""
    two: list[dict[str, Any]] = [{}, {}]
    timed = [{}, {"metric_value": 500.0}]
    days = [{}, {"date": "2025-09-02"}] if schema == OLDER else timed
    said: list[dict[str, Any]] = [{"session_rating": 4.5, "conversion_achieved": 1}, {"session_id": "ab" * 8}]
    tables = {"content_analytics": two, "business_metrics": days, "query_performance": two}
    other = {"session_id": "ab" * 8, "code_snippets_shown": 0, "citations_provided": 0}
    return legacy_file(path, {}, other, schema=schema, **tables, system_performance=timed, session_analytics=said)


@pytest.mark.parametrize(
    ("schema", "counts"),
    [
        (OLDER, {"interactions": 2, "content_accesses": 2, "business_metrics": 14, "metrics": 2, "sessions": 1}),
        (NEWER, {"interactions": 2, "content_accesses": 2, "business_metrics": 2, "metrics": 4, "sessions": 1}),
    ],
    ids=["older", "newer"],
)
def test_a_file_is_imported_once_whatever_the_zone(
    client: Client, tmp_path: Path, schema: str, counts: dict[str, int]
) -> None:
    """
    All tables of either generation are stored, and imported again as of another zone, nothing is stored twice.
    """
    path = whole(tmp_path / "f.db", schema)

    first, again = brought_in(client, path), brought_in(client, path, zone=BERLIN)

    total = sum(counts.values())
    assert (total, total, 0, ()) == (first.read, first.stored, first.already_stored, first.rejections)
    assert (total, 0, total) == (again.read, again.stored, again.already_stored)
    assert counts == {each.table: each.stored for each in first.tables}
    assert counts == {each.table: each.already_stored for each in again.tables}
    with LegacyFile(path) as file:
        assert total == file.count


@GENERATIONS
def test_what_is_said_of_sessions_shows(client: Client, tmp_path: Path, schema: str) -> None:
    """
    A session's imported rating and conversion are its own, and count in the summary's conversion rate.
    """
    brought_in(client, whole(tmp_path / "f.db", schema))

    said, unsaid = client.get_session(session="2714dfeca1bf6fed"), client.get_session(session="ab" * 8)
    summary = client.get_summary(since=datetime(2025, 8, 1, tzinfo=UTC))
    assert (4.5, True) == (said.session_rating, said.conversion_achieved)
    assert (None, False) == (unsaid.session_rating, unsaid.conversion_achieved)
    assert (2, 0.5) == (summary.sessions.total, summary.sessions.conversion_rate)


def test_an_older_file_shows_in_the_reports(client: Client, tmp_path: Path) -> None:
    """
    Accesses count as many as they were, in all their roles; figures stand under their day; measurements are summed up.
    """
    brought_in(client, whole(tmp_path / "f.db", OLDER))

    (item,) = client.get_content_report().items
    report = client.get_business_report(since=datetime(2025, 9, 1, tzinfo=UTC), until=datetime(2025, 9, 3, tzinfo=UTC))
    (metric,) = client.get_performance(until=datetime(2025, 9, 2, tzinfo=UTC)).recorded
    assert ("rag-engine", 14, 0.75, ("Just looking around", "Software Developer"), TEN) == (
        item.content_id,
        item.accesses,
        item.mean_relevance_score,
        item.user_roles,
        item.last_access_at,
    )
    assert {"2025-09-01": sorted(FIGURES), "2025-09-02": sorted(FIGURES)} == {
        day.date: [each.name for each in day.recorded] for day in report.days
    }
    assert ("memory", "MB", "retriever", 2, 500.0, 512.0) == (
        metric.name,
        metric.unit,
        metric.component,
        metric.points,
        metric.min,
        metric.max,
    )


def test_a_newer_file_shows_in_the_reports(client: Client, tmp_path: Path) -> None:
    """
    Accesses to content without an id count in its type; figures and measurements stand under their names.
    """
    brought_in(client, whole(tmp_path / "f.db", NEWER))

    report = client.get_content_report()
    (day,) = client.get_business_report(since=datetime(2025, 9, 1, tzinfo=UTC)).days
    recorded = client.get_performance(until=datetime(2025, 9, 2, tzinfo=UTC)).recorded
    (kind,) = report.types
    assert ((), "project", 0, 2, 0.5, 0.9) == (
        report.items,
        kind.content_type,
        kind.items,
        kind.accesses,
        kind.mean_engagement_score,
        kind.mean_effectiveness_score,
    )
    assert [("leads", "daily", 2, 252.0)] == [
        (each.name, each.metric_type, each.records, each.mean) for each in day.recorded
    ]
    assert [("memory", "", 2, 506.0), ("query.execution_time", "s", 2, 0.125)] == [
        (each.name, each.unit, each.points, each.mean) for each in recorded
    ]


# The file


def damaged(content: bytes) -> bytes:
    """Return the file *content* with a page of nonsense in it."""
    return content[:4096] + b"\xa5" * 4096 + content[8192:]


REFUSALS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "not a database": (lambda _: b"root:x:0:0", "it holds no SQLite database"),
    "cut short": (lambda content: content[:-4096], "is truncated"),
    "damaged": (damaged, "is damaged"),
    "gzip cut short": (lambda content: gzip.compress(content)[:-200], "is truncated: its gzip ends too early"),
    "gzip damaged": (lambda _: b"\x1f\x8b\x08\x00" + b"\xff" * 50, "is damaged"),
    "empty": (lambda _: b"", "it holds no SQLite database"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_file_that_is_not_the_predecessors_is_refused(tmp_path: Path, case: str) -> None:
    """
    A file that cannot be read is refused, and the message says which and why.
    """
    change, why = REFUSALS[case]
    path = legacy_file(tmp_path / "file.db", *[{}] * 200)
    path.write_bytes(change(path.read_bytes()))

    with pytest.raises(InvalidArgument) as caught:
        the_only(path)

    assert str(path) in caught.value.message
    assert why in caught.value.message


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """
    A database without the table, or without one of its columns, is not the predecessor's.
    """
    other, older = tmp_path / "other.db", tmp_path / "older.db"
    for path, schema in ((other, "CREATE TABLE t (x)"), (older, "CREATE TABLE user_interactions (id, session_id)")):
        with closing(sqlite3.connect(path)) as database, database:
            database.executescript(schema)

    view = tmp_path / "view.db"
    with closing(sqlite3.connect(view)) as database, database:
        database.execute("CREATE VIEW user_interactions AS SELECT 1 AS id")

    refusals = ((other, "no table user_interactions"), (older, "no column timestamp"), (view, "no table"))
    for path, why in refusals:
        with pytest.raises(InvalidArgument, match=why):
            LegacyFile(path)


def test_a_table_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    """
    A table's name that is not UTF-8 is damage, and told as such.
    """
    path = legacy_file(tmp_path / "file.db", {})
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE zzzz (x)")
    path.write_bytes(path.read_bytes().replace(b"zzzz", b"zz\xffz"))

    with pytest.raises(InvalidArgument, match="is damaged"):
        LegacyFile(path)


def test_a_name_that_says_gzip_must_be_gzip(tmp_path: Path) -> None:
    """
    A .gz that is not gzip is refused as such, and a missing file as missing.
    """
    path = legacy_file(tmp_path / "file.db", {}).rename(tmp_path / "file.db.gz")

    with pytest.raises(InvalidArgument, match="is not gzip, though its name says so"):
        LegacyFile(path)
    with pytest.raises(InvalidArgument, match="cannot be read: No such file"):
        LegacyFile(tmp_path / "none.db")


def test_changes_beside_the_file_are_not_lost_in_silence(tmp_path: Path) -> None:
    """
    A file whose write-ahead log holds more than it does is refused until that is folded in.
    """
    path = legacy_file(tmp_path / "file.db", {})
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        with database:
            database.execute("DELETE FROM user_interactions")

        with pytest.raises(InvalidArgument, match=r"has changes in file\.db-wal"):
            LegacyFile(path)


@needs_the_real_file
def test_the_predecessors_own_file_is_imported_whole(client: Client) -> None:
    """
    Its 100 interactions of 10 sessions are stored once, and sum up to what plain SQL says of them.
    """
    with LegacyFile(REAL) as file:
        rows = [each for each in file.rows() if isinstance(each, ImportedInteraction)]
        count, skipped = file.count, file.skipped
    first, again = client.import_interactions([rows]), client.import_interactions([rows])
    found = client.get_summary(since=datetime(2025, 8, 1, tzinfo=UTC), until=datetime(2025, 10, 2, tzinfo=UTC))

    assert (100, 0, 0, 100) == (first.stored, first.rejected, again.stored, again.already_stored)
    assert (10, 100) == (found.sessions.total, count)
    assert [("data_retention_policy", 6), ("session_analytics", 10)] == [(each.table, each.rows) for each in skipped]
    assert plain_sql(REAL) == pytest.approx(
        (
            found.interactions.total,
            found.interactions.unique_sessions,
            found.interactions.mean_response_time_seconds,
            found.interactions.success_rate,
            found.interactions.mean_rating,
            found.interactions.code_snippets,
            found.interactions.citations,
            found.sessions.queries_per_session,
            found.sessions.mean_response_time_seconds,
        ),
        abs=1e-9,
    )


def plain_sql(path: Path) -> Any:
    """Return the figures of the predecessor's file at *path*, asked of SQLite itself."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[18:20] = b"\1\1"
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(bytes(content))
        return database.execute(
            """
            SELECT COUNT(*), COUNT(DISTINCT session_id), AVG(response_time), AVG(success), AVG(user_rating),
                   SUM(code_snippets_shown), SUM(citations_provided),
                   (SELECT AVG(n) FROM (SELECT COUNT(*) n FROM user_interactions GROUP BY session_id)),
                   (SELECT AVG(t) FROM (SELECT AVG(response_time) t FROM user_interactions GROUP BY session_id))
            FROM user_interactions
            """
        ).fetchone()
