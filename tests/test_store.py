"""
The file: how it is opened, its schema, what is refused, and groups of changes.
"""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import peewee
import pytest
from peewee import SqliteDatabase

from steward import Client, FailedPrecondition, MetricPoint, ResourceExhausted, Unavailable, ids
from stewardd import performance
from stewardd.privacy import Redactor
from stewardd.rules import to_row
from stewardd.store import Store, database, refuse_old_sqlite, schema, writer
from stewardd.store.database import explained
from stewardd.store.models import MODELS, Interaction, Session
from stewardd.store.row import Row, Stored, Times
from stewardd.telemetry import Telemetry
from stewardd.testing import running_server, wait
from tests.samples import interaction, recorded

REDACTOR = Redactor(bytes(32))


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """A store of its own, without a server."""
    telemetry = Telemetry(level="error")
    opened = Store(tmp_path, telemetry=telemetry)
    yield opened
    opened.close()
    telemetry.close()


def row(**changes: Any) -> Row:
    """Return a row ready to store."""
    made = interaction(**changes)
    key = ids.parse(made.interaction_id)
    assert key is not None
    return to_row(made, key=key, session=REDACTOR.pseudonym(made.session_id), redactor=REDACTOR)[0]


async def append(store: Store, rows: list[Row]) -> list[Stored]:
    """Append *rows*."""
    return await store.append(rows)


def tables(db: SqliteDatabase) -> list[Any]:
    """Return what `sqlite_master` says of *db*, but for the history of migrations."""
    query = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '%migration%' ORDER BY name"
    return list(db.execute_sql(query))


def test_a_migrated_schema_is_that_of_the_models() -> None:
    """
    Migrations end where the models are.
    """
    migrated, fresh = SqliteDatabase(":memory:"), SqliteDatabase(":memory:")
    schema.migrate(migrated)
    with fresh.bind_ctx(MODELS):
        fresh.create_tables(MODELS)

    assert tables(fresh) == tables(migrated)
    migrated.close()
    fresh.close()


def test_a_store_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    """
    What an older Steward stored is there after the migration, and takes what is new.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        (receipt,) = recorded(client, interaction())
    older = database.open_writer(tmp_path / "steward.db")
    later = ("content_access", "business_metric", "metric_point", "alert_rule", "alert", "restore", "recorder")
    for table in ("recorder_gap", *later):
        older.execute_sql(f"DROP TABLE {table}")
    for column in ("session_rating", "session_converted"):
        older.execute_sql(f"ALTER TABLE session DROP COLUMN {column}")
    older.execute_sql("ALTER TABLE interaction DROP COLUMN rated_at")
    older.execute_sql("DELETE FROM schema_migration WHERE name > '0001_interactions'")
    older.close()

    with running_server(tmp_path) as server, Client(server.target) as client:
        found = client.get_session(session=receipt.session)
        rules = client.list_alert_rules()
        again = recorded(client, interaction())

    assert (1, None, 4, 2) == (found.total_queries, found.session_rating, len(rules), again[0].seq)


def test_a_store_of_a_newer_steward_is_refused(tmp_path: Path) -> None:
    """
    A migration that this program does not know is named.
    """
    db = database.open_writer(tmp_path / "steward.db")
    schema.migrate(db)
    db.execute_sql("INSERT INTO schema_migration (name, applied) VALUES ('9999_from_the_future', 0)")
    db.close()
    telemetry = Telemetry()

    with pytest.raises(FailedPrecondition, match="which does not know 9999_from_the_future"):
        Store(tmp_path, telemetry=telemetry)
    telemetry.close()


async def restore(store: Store, rows: list[tuple[Row, Times]]) -> list[bool]:
    """Restore *rows*."""
    return await store.restore(rows)


def test_a_restore_that_fails_leaves_nothing(store: Store) -> None:
    """
    Neither its rows nor its sessions are there, and what comes next stands where it would have stood without it.
    """
    kept = wait(append(store, [row()]))
    fine = (row(session_id="new"), Times(1, None))

    with pytest.raises(OverflowError):
        wait(restore(store, [fine, (row(session_id="newer"), Times(2**70, None))]))
    again = wait(restore(store, [fine, fine]))
    behind = wait(append(store, [row(session_id="newer")]))

    second = Interaction.select(Interaction.recorded_at, Interaction.rated_at).where(Interaction.seq == 2)
    assert [False, True] == again
    assert [1, 3] == [kept[0].seq, behind[0].seq]
    assert [(1, 1), (2, 1), (3, 1)] == store.rows(Session.select(Session.key, Session.total_queries))
    assert (1, None) == store.one(second)


PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "secure_delete": 1,
    "foreign_keys": 1,
    "auto_vacuum": 2,
    "trusted_schema": 0,
    "application_id": database.APPLICATION_ID,
}


def test_the_writer_has_its_pragmas(store: Store) -> None:
    """
    Commits are on disk, deleted text leaves the file, references hold, and the file is known as ours.
    """

    def pragmas(db: SqliteDatabase) -> dict[str, Any]:
        return {name: db.execute_sql(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}

    async def ask() -> dict[str, Any]:
        return await store.change(pragmas)

    assert PRAGMAS == wait(ask())


def test_a_reader_cannot_write(store: Store) -> None:
    """
    Readers' connections refuse changes.
    """
    with pytest.raises(Unavailable):
        store.rows(_Statement("DELETE FROM session"))


class _Statement(peewee.Node):
    """SQL that is no query."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def __sql__(self, ctx: Any) -> Any:
        return ctx.literal(self._sql)


def test_a_data_file_is_its_owners_alone(store: Store) -> None:
    """
    The file is made so that others cannot read it.
    """
    assert 0o600 == store.path.stat().st_mode & 0o777


@pytest.mark.parametrize("content", ["garbage", "foreign"])
def test_a_file_that_is_not_a_store_is_refused(tmp_path: Path, content: str) -> None:
    """
    Nonsense, or another program's database, is not touched.
    """
    path = tmp_path / "steward.db"
    if content == "garbage":
        path.write_bytes(b"not a database at all" * 500)
    else:
        other = SqliteDatabase(str(path))
        other.execute_sql("CREATE TABLE theirs (x)")
        other.close()
    before = path.read_bytes()
    telemetry = Telemetry()

    with pytest.raises(FailedPrecondition, match=r"steward\.db"):
        Store(tmp_path, telemetry=telemetry)

    telemetry.close()
    assert before == path.read_bytes()


def test_an_old_sqlite_is_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A SQLite that can corrupt its log is named, with what to do.
    """
    old = type("Old", (), {"sqlite_version_info": (3, 40, 1)})
    monkeypatch.setattr(database, "_SQLITE", old)

    with pytest.raises(FailedPrecondition, match="install pysqlite3"):
        refuse_old_sqlite(allowed=False)
    refuse_old_sqlite(allowed=True)


def test_a_job_that_fails_undoes_itself_alone(store: Store) -> None:
    """
    Of a group, a change that fails after it wrote leaves nothing, and its neighbours stay.
    """

    def bad(db: SqliteDatabase) -> None:
        Session.update(user_role="changed").bind(db).execute()
        raise LookupError("no")

    async def group() -> Any:
        jobs = [store.append([row()]), store.change(bad), store.append([row()])]
        return await asyncio.gather(*jobs, return_exceptions=True)

    first, failed, last = wait(group())

    assert (1, 2, LookupError) == (first[0].seq, last[0].seq, type(failed))
    assert [("Software Developer", 2)] == store.rows(Session.select(Session.user_role, Session.total_queries))


def test_a_row_that_the_database_refuses_fails_alone(store: Store) -> None:
    """
    A row that cannot be bound fails its own call, and the others of its group are stored.
    """

    async def group() -> Any:
        bad = row()._replace(response_length=2**70)
        return await asyncio.gather(*(store.append([each]) for each in (row(), bad, row())), return_exceptions=True)

    results = wait(group())

    assert [list, OverflowError, list] == [type(each) for each in results]
    assert 2 == len(store.rows(Interaction.select(Interaction.seq)))


def test_a_full_queue_refuses_with_a_time_to_come_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    More rows than the queue takes are RESOURCE_EXHAUSTED; what was taken is stored.
    """
    monkeypatch.setattr(writer, "MOST_QUEUED_ROWS", 5)

    async def flood() -> Any:
        return await asyncio.gather(*(store.append([row(), row()]) for _ in range(20)), return_exceptions=True)

    results = wait(flood())

    refused = [each for each in results if isinstance(each, ResourceExhausted)]
    stored = [each for each in results if isinstance(each, list)]
    assert {("QUEUE_FULL", 0.1)} == {(each.reason, each.retry_after) for each in refused}
    assert 2 * len(stored) == len(store.rows(Interaction.select(Interaction.seq)))
    assert 20 == len(refused) + len(stored)


def test_what_records_say_counts_in_the_queue(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    More text of labels than the queue takes is RESOURCE_EXHAUSTED, however few the records.
    """
    monkeypatch.setattr(writer, "MOST_QUEUED_BYTES", 100_000)
    labels = {f"{number}": "v" * 1024 for number in range(32)}

    async def flood() -> Any:
        points = [performance.to_row(MetricPoint(name="m", value=1, labels=labels), redactor=REDACTOR)[0]] * 10
        return await asyncio.gather(*(store.add([each]) for each in points), return_exceptions=True)

    results = wait(flood())

    assert {list, ResourceExhausted} == {type(each) for each in results}


def test_a_closing_store_writes_what_waits_and_takes_no_more(tmp_path: Path) -> None:
    """
    What was submitted before the close is stored and answered; what comes after is UNAVAILABLE.
    """
    telemetry = Telemetry(level="error")
    opened = Store(tmp_path, telemetry=telemetry)

    async def close() -> tuple[list[Any], Any]:
        jobs = [asyncio.ensure_future(opened.append([row()])) for _ in range(50)]
        await asyncio.sleep(0)  # each has submitted
        await asyncio.to_thread(opened.close)
        (late,) = await asyncio.gather(opened.append([row()]), return_exceptions=True)
        return await asyncio.gather(*jobs), late

    done, late = wait(close())
    telemetry.close()

    assert (50, "STOPPING") == (len(done), late.reason)
    assert not opened.path.with_name("steward.db-wal").exists()


def test_sequence_numbers_are_not_used_again(tmp_path: Path) -> None:
    """
    After the newest rows are gone and the store is opened again, numbers go on from where they were.
    """
    telemetry = Telemetry(level="error")
    first = Store(tmp_path, telemetry=telemetry)
    wait(append(first, [row(), row()]))

    async def forget() -> None:
        await first.change(lambda db: Interaction.delete().bind(db).execute())

    wait(forget())
    first.close()
    second = Store(tmp_path, telemetry=telemetry)
    (place,) = wait(append(second, [row()]))
    second.close()
    telemetry.close()

    assert 3 == place.seq


@pytest.mark.parametrize(
    ("said", "reason"),
    [("database or disk is full", "STORAGE_FULL"), ("disk I/O error", "STORE_UNAVAILABLE")],
)
def test_an_error_of_the_disk_is_told_as_what_it_means(said: str, reason: str) -> None:
    """
    A full disk and a broken one are not the caller's fault, and say what happened to the call.
    """
    found = explained(peewee.OperationalError(said))

    assert (Unavailable, reason, 1.0) == (type(found), found.reason, found.retry_after)
    assert said not in found.message


def test_the_pages_of_the_file_are_sound_after_a_stop(tmp_path: Path) -> None:
    """
    Another process finds the stopped store whole: integrity, references, and no log beside it.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        for start in range(0, 3000, 1000):
            client.record_interactions(interaction(session_id=f"s-{n // 8}") for n in range(start, start + 1000))

    check = (
        "import sys, peewee; db = peewee.SqliteDatabase(sys.argv[1]); "
        "print([db.execute_sql(f'PRAGMA {p}').fetchall() for p in ('integrity_check', 'foreign_key_check')])"
    )
    found = subprocess.run(
        [sys.executable, "-c", check, str(tmp_path / "steward.db")], capture_output=True, text=True, check=True
    )

    assert "[[('ok',)], []]" == found.stdout.strip()
    assert ["privacy.key", "steward.db", "steward.lock"] == sorted(path.name for path in tmp_path.iterdir())
