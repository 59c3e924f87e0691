"""
Bringing interactions in from elsewhere, and the predecessor's files.
"""

import gzip
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from steward import Client, InvalidArgument
from steward.legacy import LegacyFile
from steward.types import ImportedInteraction, ImportRejection, Interaction
from tests.legacy_files import NEWER, OLDER, legacy_file
from tests.samples import NOON, imported, interaction

REAL = Path(__file__).parent.parent.parent / "shared/data/legacy/analytics_backup_2025-09-30_22-34-30.db.gz"
needs_the_real_file = pytest.mark.skipif(
    not REAL.exists(), reason="SKIPPED: the predecessor's real file is not at ../shared/data/legacy"
)


def the_only(path: Path, *, zone: ZoneInfo | None = None) -> Any:
    """Return the one row of the predecessor's file at *path*."""
    with LegacyFile(path) as file:
        (row,) = file.interactions(zone=zone or UTC)
        return row


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


# The predecessor's files


@pytest.mark.parametrize("schema", [OLDER, NEWER], ids=["older", "newer"])
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
        ids = {each.interaction.interaction_id for each in file.interactions() if isinstance(each, ImportedInteraction)}

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
        bad, good = file.interactions(zone=ZoneInfo("Asia/Tokyo"))

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
        rows = [each for each in file.interactions() if isinstance(each, ImportedInteraction)]
        skipped = file.skipped
    first, again = client.import_interactions([rows]), client.import_interactions([rows])
    found = client.get_summary(since=datetime(2025, 8, 1, tzinfo=UTC), until=datetime(2025, 10, 2, tzinfo=UTC))

    assert (100, 0, 0, 100) == (first.stored, first.rejected, again.stored, again.already_stored)
    assert (10, "session_analytics" in skipped) == (found.sessions.total, True)
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


def test_the_samples_are_good(client: Client) -> None:
    """
    The interactions that other tests start from are taken by a live call and by an import.
    """
    assert 1 == client.record_interaction(interaction(occurred_at=NOON)).seq
    assert 1 == client.import_interactions([[imported()]]).stored
