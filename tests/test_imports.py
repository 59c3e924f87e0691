"""
Bringing in what was recorded elsewhere.
"""

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from steward import Client, InvalidArgument
from steward.types import (
    BusinessMetric,
    ContentAccess,
    Importable,
    ImportedBusinessMetric,
    ImportedContentAccess,
    ImportedInteraction,
    ImportedMetric,
    ImportedSession,
    ImportedTable,
    MetricPoint,
)
from stewardd.testing import running_server
from tests.samples import NOON, imported, interaction


def test_an_import_counts_what_became_of_each(client: Client) -> None:
    """
    Read, stored, already there and rejected are told, with the rows and reasons of the rejected.
    """
    known = imported(1)
    batches = [
        [known, imported(2), imported(3, user_rating=9.0)],
        [known, imported(4, query="", response_time_seconds=-1.0, user_role="")],
    ]

    report = client.import_interactions(batches)

    assert (5, 3, 1, 1) == (report.read, report.stored, report.already_stored, report.rejected)
    assert [(3, "user_rating")] == [(each.row, each.violations[0].field) for each in report.rejections]


def test_an_import_keeps_what_quality_has_to_see(client: Client) -> None:
    """
    An empty question, a negative time and a date ahead are taken as they are, which a live call refuses.
    """
    odd = imported(query="", user_role="", response_time_seconds=-2.5, occurred_at=datetime(2030, 1, 1, tzinfo=UTC))

    report = client.import_interactions([[odd]])

    found = client.get_interaction(odd.interaction.interaction_id)
    assert 1 == report.stored
    assert ("", -2.5, 2030) == (found.query, found.response_time_seconds, found.occurred_at.year)


def test_an_import_redacts_and_keeps_pseudonyms(client: Client) -> None:
    """
    Imported text is redacted as any, and a session's hash from the source stays what it was.
    """
    item = imported(session="2714DFECA1BF6FED", session_id="", query="I am a@b.io")

    client.import_interactions([[item]])

    found = client.get_interaction(item.interaction.interaction_id)
    assert ("2714dfeca1bf6fed", "I am [EMAIL_REDACTED]") == (found.session, found.query)


BAD = [
    (imported(session="xyz", session_id=""), "session"),
    (imported(session="ab" * 16, session_id="both"), "session"),
    (imported(session_id=""), "session"),
    (imported(occurred_at=None), "occurred_at"),
    (imported(occurred_at=datetime(1969, 1, 1, tzinfo=UTC)), "occurred_at"),
    (imported(response_time_seconds=math.nan), "response_time_seconds"),
    (imported(interaction_id="x"), "interaction_id"),
    (imported(query="\0"), "query"),
]


@pytest.mark.parametrize(("item", "field"), BAD)
def test_what_cannot_be_kept_is_rejected_with_its_row(client: Client, item: ImportedInteraction, field: str) -> None:
    """
    A bad row is rejected, named by row and field, and the others are stored.
    """
    report = client.import_interactions([[item, imported(2)]])

    assert (1, 1) == (report.stored, report.rejected)
    assert (1, field) == (report.rejections[0].row, report.rejections[0].violations[0].field)


def test_of_many_rejections_the_first_hundred_are_told(client: Client) -> None:
    """
    All rejections are counted, a hundred are named.
    """
    report = client.import_interactions([[imported(row, query="\0") for row in range(150)]])

    assert (150, list(range(100))) == (report.rejected, [each.row for each in report.rejections])


def test_a_batch_that_is_too_large_ends_the_import(client: Client) -> None:
    """
    A batch over the limit is refused; what came before it stays.
    """
    first = [imported()]

    with pytest.raises(InvalidArgument, match="interactions: must be at most 1000"):
        client.import_interactions([first, [imported(row) for row in range(1001)]])

    assert [first[0].interaction.interaction_id] == [each.interaction_id for each in client.list_interactions()]


def test_what_fails_while_reading_the_source_is_what_the_caller_sees(client: Client) -> None:
    """
    An error of the caller's own iterator is raised as it is; what came before it may stay.
    """

    def broken() -> Iterator[Sequence[ImportedInteraction]]:
        yield [imported()]
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="the source is gone"):
        client.import_interactions(broken())


def test_an_empty_import_is_nothing(client: Client) -> None:
    """
    A stream without batches, or with empty ones, stores nothing.
    """
    assert (0, 0) == (client.import_interactions([]).read, client.import_interactions([[], []]).read)


# The other kinds


def content(row: int = 1, **changes: Any) -> ImportedContentAccess:
    """Return accesses to import; *changes* of the import's own fields, or else of the access."""
    own = {name: changes.pop(name) for name in ("accesses", "user_roles") if name in changes}
    access = ContentAccess(**{"content_type": "project", "content_id": "rag", "occurred_at": NOON, **changes})
    return ImportedContentAccess(row=row, access=access, **own)


def figure(row: int = 1, **changes: Any) -> ImportedBusinessMetric:
    """Return a figure to import, with *changes*."""
    fields: dict[str, Any] = {"name": "leads", "value": 4.0, "occurred_at": NOON}
    return ImportedBusinessMetric(row=row, metric=BusinessMetric(**{**fields, **changes}))


def point(row: int = 1, **changes: Any) -> ImportedMetric:
    """Return a measurement to import, with *changes*."""
    fields: dict[str, Any] = {"name": "memory", "value": 512.0, "occurred_at": NOON}
    return ImportedMetric(row=row, point=MetricPoint(**{**fields, **changes}))


def said(row: int = 1, **changes: Any) -> ImportedSession:
    """Return what is said of the usual session, with *changes*."""
    fields: dict[str, Any] = {"session_id": "session-1", "session_rating": 4.0, "conversion_achieved": True}
    return ImportedSession(row=row, **{**fields, **changes})


def test_a_batch_may_mix_kinds(client: Client) -> None:
    """
    Each kind is counted by itself, in a fixed order, and what is said of a session finds interactions of its batch.
    """
    batch: list[Importable] = [
        said(9),
        point(),
        figure(),
        content(),
        imported(),
        point(2, value=math.inf),
        figure(2, name=""),
    ]

    first, again = client.import_interactions([batch]), client.import_interactions([batch])

    assert (7, 5, 0, 2) == (first.read, first.stored, first.already_stored, first.rejected)
    assert (7, 0, 5, 2) == (again.read, again.stored, again.already_stored, again.rejected)
    assert [
        ImportedTable(table="interactions", read=1, stored=1, already_stored=0, rejected=0),
        ImportedTable(table="content_accesses", read=1, stored=1, already_stored=0, rejected=0),
        ImportedTable(table="business_metrics", read=2, stored=1, already_stored=0, rejected=1),
        ImportedTable(table="metrics", read=2, stored=1, already_stored=0, rejected=1),
        ImportedTable(table="sessions", read=1, stored=1, already_stored=0, rejected=0),
    ] == list(first.tables)
    assert [("business_metrics", 2, "name"), ("metrics", 2, "value")] == [
        (each.table, each.row, each.violations[0].field) for each in first.rejections
    ]


def test_kinds_that_were_not_read_are_not_told(client: Client) -> None:
    """
    Only the tables that something was read of are in the report.
    """
    report = client.import_interactions([[content()], [content()]])

    assert [("content_accesses", 2)] == [(each.table, each.read) for each in report.tables]


def test_the_kinds_together_keep_to_the_limit(client: Client) -> None:
    """
    A batch over the limit is refused, however many kinds it is of.
    """
    batch: list[Importable] = [*map(content, range(501)), *map(point, range(500))]

    with pytest.raises(InvalidArgument, match="interactions: must be at most 1000"):
        client.import_interactions([batch])


BAD_OTHERS: list[tuple[Importable, str]] = [
    (content(access_id="x"), "access_id"),
    (content(content_type=""), "content_type"),
    (content(content_id="\0"), "content_id"),
    (content(content_id="x" * 129), "content_id"),
    (content(occurred_at=None), "occurred_at"),
    (content(occurred_at=datetime(1969, 1, 1, tzinfo=UTC)), "occurred_at"),
    (content(relevance_score=math.nan), "relevance_score"),
    (content(accesses=-1), "accesses"),
    (content(accesses=10**9 + 1), "accesses"),
    (content(user_role="Dev", user_roles=("Dev",)), "user_role"),
    (content(user_roles=("",)), "user_roles"),
    (content(user_roles=("x" * 129, "x" * 129)), "user_roles"),
    (content(user_roles=tuple(str(n) for n in range(101))), "user_roles"),
    (content(metadata={"a": "x" * 1025}), "metadata.value"),
    (figure(metric_id="x"), "metric_id"),
    (figure(value=math.inf), "value"),
    (figure(occurred_at=None), "occurred_at"),
    (figure(date="2025-13-01"), "date"),
    (figure(metadata={str(n): "" for n in range(33)}), "metadata"),
    (point(name=""), "name"),
    (point(occurred_at=None), "occurred_at"),
    (point(labels={"": "x"}), "labels.key"),
    (said(session_id=None), "session"),
    (said(session_id=None, session="xyz"), "session"),
    (said(session_id="x" * 129), "session_id"),
    (said(session_rating=5.5), "session_rating"),
    (said(session_rating=math.nan), "session_rating"),
    (said(session_id="unheard of"), "session"),
]


@pytest.mark.parametrize(("item", "field"), BAD_OTHERS, ids=lambda each: each if isinstance(each, str) else each.table)
def test_what_cannot_be_kept_of_any_kind_is_rejected(client: Client, item: Importable, field: str) -> None:
    """
    A bad one of any kind is rejected, named by table, row and field, once for each field, and the others are stored.
    """
    batch = [item, imported(2), content(2), figure(2), point(2), said(2)]

    report = client.import_interactions([batch])

    assert (5, 1) == (report.stored, report.rejected)
    assert [(item.table, 1, [field])] == [
        (each.table, each.row, [violation.field for violation in each.violations]) for each in report.rejections
    ]


def test_a_session_without_interactions_is_a_rejection_that_says_what_to_do(client: Client) -> None:
    """
    What is said of a session whose interactions are not there names the way out; once they are, it is stored.
    """
    early = client.import_interactions([[said()]])
    late = client.import_interactions([[imported()], [said()]])

    ((violation,),) = [each.violations for each in early.rejections]
    assert "must be a session whose interactions are here: they must be imported first" == violation.rule
    assert (2, 0) == (late.stored, late.rejected)


def test_what_is_said_of_a_session_is_said_once(client: Client) -> None:
    """
    The same again changes nothing; another word takes its place, in every way to name the session.
    """
    client.import_interactions([[imported(session="ab" * 8, session_id="")]])
    words = [
        said(session_id=None, session=key, session_rating=rating) for key, rating in (("ab" * 8, 4.0), ("AB" * 8, 4.0))
    ]
    other = said(session_id=None, session="ab" * 8, session_rating=None, conversion_achieved=False)

    first = client.import_interactions([words])
    before = client.get_session(session="ab" * 8)
    second = client.import_interactions([[other], [other]])
    after = client.get_session(session="ab" * 8)

    assert (1, 1) == (first.stored, first.already_stored)
    assert (4.0, True) == (before.session_rating, before.conversion_achieved)
    assert (1, 1) == (second.stored, second.already_stored)
    assert (None, False) == (after.session_rating, after.conversion_achieved)


def test_what_is_said_of_a_session_counts_in_the_summary(client: Client) -> None:
    """
    A session that converted elsewhere counts as converted here, and keeps its own rating beside that of its questions.
    """
    client.import_interactions(
        [[imported(user_rating=2.0), imported(2, session_id="session-2", success=False), said()]]
    )

    session, summary = client.get_session(session_id="session-1"), client.get_summary(since=NOON)
    assert (4.0, 2.0, True) == (session.session_rating, session.mean_rating, session.conversion_achieved)
    assert 0.5 == summary.sessions.conversion_rate


def test_accesses_count_as_many_as_they_were(client: Client) -> None:
    """
    Imported accesses weigh by their number, in each of their roles; one without an id counts in its type.
    """
    both = ("Manager", "Dev")
    batch = [
        content(accesses=3, relevance_score=1.0, user_roles=both),
        content(2, relevance_score=0.0, user_role="Guest"),
        content(3, accesses=0, relevance_score=9.0),
        content(4, accesses=5, content_id=""),
    ]

    client.import_interactions([batch])

    report = client.get_content_report()
    assert [("rag", 4, 0.75, ("Dev", "Guest", "Manager"))] == [
        (each.content_id, each.accesses, each.mean_relevance_score, each.user_roles) for each in report.items
    ]
    assert [("project", 1, 9)] == [(each.content_type, each.items, each.accesses) for each in report.types]
    assert 3 == client.get_content_report(user_roles=["Manager"]).items[0].accesses


def test_what_is_dated_ahead_is_kept(client: Client) -> None:
    """
    Records of the future are taken as they are, which a live call refuses, and show in reports of the future.
    """
    ahead = datetime(2040, 1, 1, 12, tzinfo=UTC)
    batch: list[Importable] = [
        content(occurred_at=ahead),
        figure(occurred_at=ahead),
        figure(2, occurred_at=None, date="2040-01-01"),
    ]

    report = client.import_interactions([[*batch, point(occurred_at=ahead)]])

    (day,) = client.get_business_report(since=ahead).days
    assert 4 == report.stored
    assert ahead == client.get_content_report().items[0].last_access_at
    assert [("2040-01-01", 2)] == [(day.date, each.records) for each in day.recorded]
    assert ahead == client.get_performance(until=datetime(2040, 1, 2, tzinfo=UTC)).recorded[0].last_at


def test_imported_records_are_redacted(tmp_path: Path) -> None:
    """
    Nothing that is personal in names, metadata and labels is anywhere in the store; what is shown has the markers.
    """
    mail, pairs = "ann@b.io", {"by ann@b.io": "call 555-123-4567"}
    batch: list[Importable] = [
        imported(),
        content(content_type=f"of {mail}", content_id=mail, user_roles=(mail,), metadata=pairs),
        figure(name=f"of {mail}", metric_type=mail, metadata=pairs),
        point(name=f"of {mail}", unit=mail, component=mail, labels=pairs),
    ]

    with running_server(tmp_path) as server, Client(server.target) as client:
        assert 4 == client.import_interactions([batch]).stored
        (item,) = client.get_content_report().items
        (metric,) = client.get_performance(until=NOON + timedelta(hours=1)).recorded

    marker, stored = "[EMAIL_REDACTED]", (tmp_path / "steward.db").read_bytes()
    assert (f"of {marker}", marker, (marker,)) == (item.content_type, item.content_id, item.user_roles)
    assert (f"of {marker}", marker, marker) == (metric.name, metric.unit, metric.component)
    assert 3 == stored.count(b'{"by [EMAIL_REDACTED]": "call [PHONE_REDACTED]"}')
    assert (0, 0) == (stored.count(mail.encode()), stored.count(b"555-123"))


def test_what_no_message_can_hold_is_named_before_it_is_sent(client: Client) -> None:
    """
    A naive time or half a character in any kind is refused where the caller is, by its field.
    """
    naive = NOON.replace(tzinfo=None)
    cases: list[tuple[Importable, str]] = [(content(occurred_at=naive), "occurred_at"), (point(unit="\ud800"), "unit")]
    for bad, field in cases:
        with pytest.raises(InvalidArgument) as caught:
            client.import_interactions([[bad]])
        assert [field] == [each.field for each in caught.value.violations]


def test_the_samples_are_good(client: Client) -> None:
    """
    The interactions that other tests start from are taken by a live call and by an import.
    """
    assert 1 == client.record_interaction(interaction(occurred_at=NOON)).seq
    assert 1 == client.import_interactions([[imported()]]).stored
