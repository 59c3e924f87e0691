"""
Restores: all or nothing, into a store that is in use. What clients that write meanwhile see of them is in
tests/faults/test_restore_load.py.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steward import (
    AlertMetric,
    AlertOperator,
    Backup,
    BackupReason,
    Client,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Restoration,
    ids,
)
from steward.types import FileChunk
from stewardd import config
from stewardd.app import restore
from stewardd.backup import Backups, finished
from stewardd.privacy import Redactor, load_key
from stewardd.store import database
from stewardd.testing import running_server
from tests.backup_files import changed, path_of, wrong
from tests.samples import interaction, recorded


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of the server."""
    return tmp_path / "data"


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    """A client of a server on *data*."""
    with running_server(data) as server, Client(server.target) as connected:
        yield connected


def questions(client: Client) -> list[tuple[int, str]]:
    """Return what is recorded, in the order of arrival."""
    return [(each.seq, each.query) for each in client.export_interactions()]


def rows(restoration: Restoration, table: str) -> tuple[int, int]:
    """Return how many rows of *table* were before, and are after."""
    (found,) = (each for each in restoration.tables if each.name == table)
    return found.rows_before, found.rows_after


def test_a_restore_brings_back_what_was(client: Client) -> None:
    """
    What came after the backup is gone, and what comes next stands behind it all the same.
    """
    recorded(client, interaction(query="one"), interaction(query="two"))
    made = client.create_backup()
    recorded(client, interaction(query="three"), interaction(query="four"))
    epoch = client.get_server_info().epoch

    done = client.restore_backup(made.id)
    recorded(client, interaction(query="five"))

    info = client.get_server_info()
    assert [(1, "one"), (2, "two"), (5, "five")] == questions(client)
    assert ((4, 2), 3) == (rows(done, "interaction"), client.get_session(session_id="session-1").total_queries)
    assert done.restore is not None
    assert (epoch, info.epoch) == (done.restore.epoch_before, done.restore.epoch_after)
    assert [done.restore] == client.list_restores()


def test_what_was_before_is_a_safety_backup(client: Client) -> None:
    """
    It can be restored in turn, and then all is as before.
    """
    made = client.create_backup()
    recorded(client, interaction(query="precious"))

    first = client.restore_backup(made.id)
    assert first.restore is not None
    (safety,) = client.list_backups(reasons=[BackupReason.SAFETY])
    empty = questions(client)
    second = client.restore_backup(first.restore.safety_backup_id)

    assert (first.restore.safety_backup_id, []) == (safety.id, empty)
    assert [(1, "precious")] == questions(client)
    assert [second.restore, first.restore] == client.list_restores()
    assert client.verify_backup(safety.id).passed


def test_a_safety_backup_alone_is_no_backup(client: Client) -> None:
    """
    The score of health counts what was made by hand or by the policy only.
    """
    made = client.create_backup()
    client.restore_backup(made.id)
    client.delete_backup(made.id)

    (part,) = (each for each in client.get_system_health().score.parts if each.name == "backup")
    assert [BackupReason.SAFETY] == [each.reason for each in client.list_backups()]
    assert ["no complete backup exists that was made by hand or by the policy"] == [
        each.reason for each in part.deductions
    ]


def test_a_dry_run_says_what_would_be_lost(client: Client) -> None:
    """
    Rows and newest times of before and after; and nothing happens.
    """
    recorded(client, interaction())
    made = client.create_backup()
    (receipt,) = recorded(client, interaction())

    planned = client.restore_backup(made.id, dry_run=True)

    assert ((2, 1), None) == (rows(planned, "interaction"), planned.restore)
    assert (receipt.recorded_at, made.newest_recorded_at) == (planned.newest_before, planned.newest_after)
    assert 2 == len(questions(client))
    assert [made] == list(client.list_backups())


def test_a_restore_survives_a_restart(data: Path) -> None:
    """
    Content, epoch and order are on disk.
    """
    with running_server(data) as server, Client(server.target) as client:
        made = client.create_backup()
        recorded(client, interaction(query="gone"))
        done = client.restore_backup(made.id)

    with running_server(data) as server, Client(server.target) as client:
        recorded(client, interaction(query="next"))
        found, info = questions(client), client.get_server_info()

    assert done.restore is not None
    assert ([(2, "next")], done.restore.epoch_after) == (found, info.epoch)


def settings(client: Client) -> tuple[object, ...]:
    """Return what is set at a server, and how its alerts are."""
    policy = client.get_backup_status().policy
    return policy, client.get_quality_thresholds(), client.list_alert_rules(), list(client.list_alerts())


def test_what_is_set_outlives_a_restore(data: Path) -> None:
    """
    Policy, thresholds, alert rules and the alerts they raised are those of now, and the plan counts them so.
    """
    with running_server(data, alert_seconds=3600.0) as server, Client(server.target) as client:
        client.set_quality_thresholds(min_success_rate=0.5)
        client.set_alert_rule("any", metric=AlertMetric.TOTAL_INTERACTIONS, operator=AlertOperator.GT, threshold=0)
        recorded(client, interaction())
        client.evaluate_alerts()
        made = client.create_backup()
        client.set_backup_policy(keep_last=3)
        client.set_quality_thresholds(min_success_rate=0.6)
        client.set_alert_rule("any", threshold=1000)
        client.set_alert_rule("some", metric=AlertMetric.TOTAL_INTERACTIONS, operator=AlertOperator.GT, threshold=0)
        client.evaluate_alerts()
        before = settings(client)

        planned = client.restore_backup(made.id, dry_run=True)
        done = client.restore_backup(made.id)
        after = settings(client)
        told = client.evaluate_alerts().events

    assert before == after
    assert [False, True] == [each.ended_at is not None for each in list(after[-1])]  # type: ignore[call-overload]
    assert () == told
    assert [(6, 6), (2, 2)] == [rows(planned, table) for table in ("alert_rule", "alert")]
    assert planned.tables == done.tables


def test_what_is_set_is_the_backups_where_nothing_was(data: Path, tmp_path: Path) -> None:
    """
    Restored into an empty directory, a store has the settings and the alerts of the backup.
    """
    with running_server(data, alert_seconds=3600.0) as server, Client(server.target) as client:
        client.set_quality_thresholds(min_success_rate=0.5)
        client.set_backup_policy(keep_last=3)
        client.set_alert_rule("any", metric=AlertMetric.TOTAL_INTERACTIONS, operator=AlertOperator.GT, threshold=0)
        recorded(client, interaction())
        client.evaluate_alerts()
        before, made = settings(client), client.create_backup()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (data / "privacy.key").rename(fresh / "privacy.key")

    path = data / "backups" / f"{made.id}.db.zst"
    restore(config.load(data=fresh, log_level="error"), str(path), dry_run=False, foreign=False)
    with running_server(fresh, alert_seconds=3600.0) as server, Client(server.target) as client:
        after = settings(client)

    assert before == after


def test_tokens_of_before_are_refused_with_their_reason(client: Client) -> None:
    """
    Of a page, and of an export: neither goes on in what is another store now; also after a second restore.
    """
    recorded(client, *(interaction(query="x" * 60_000) for _ in range(40)))
    made = client.create_backup()
    part = next(each for each in client.export_table_parts("interactions") if isinstance(each, FileChunk))

    for _ in range(2):
        client.restore_backup(made.id)
        with pytest.raises(FailedPrecondition) as caught:
            list(client.export_table_parts("interactions", resume_token=part.resume_token))
        assert "RESTORED" == caught.value.reason


def test_an_export_under_way_does_not_go_on_in_another_store(client: Client) -> None:
    """
    It ends with its reason, and is not whole.
    """
    for _ in range(10):
        recorded(client, *(interaction(query="x" * 60_000) for _ in range(100)))
    made = client.create_backup()
    export = client.export_interactions()
    next(export)

    client.restore_backup(made.id)

    with pytest.raises(FailedPrecondition) as caught:
        list(export)
    assert "RESTORED" == caught.value.reason


def test_a_damaged_backup_is_not_restored(client: Client, data: Path) -> None:
    """
    The store is what it was, and no safety backup was made for nothing.
    """
    made = client.create_backup()
    recorded(client, interaction(query="stays"))
    path = data / "backups" / f"{made.id}.db.zst"
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)

    with pytest.raises(FailedPrecondition) as caught:
        client.restore_backup(made.id)

    assert "BACKUP_DAMAGED" == caught.value.reason
    assert [(1, "stays")] == questions(client)
    assert [] == list(client.list_backups(reasons=[BackupReason.SAFETY]))


@pytest.mark.parametrize("foreign", [False, True])
def test_what_is_no_backup_is_not_restored(client: Client, data: Path, tmp_path: Path, foreign: bool) -> None:  # noqa: FBT001
    """
    Of whatever kind it is, also of anyone's making, that is told; the store and the backups are what they were.
    """
    recorded(client, interaction(query="stays"))
    made, other = client.create_backup(), client.create_backup()
    for kind, (content, told) in wrong(data, made, tmp_path / "scratch").items():
        path_of(data, made).write_bytes(content)

        with pytest.raises(FailedPrecondition) as caught:
            client.restore_backup(made.id, foreign=foreign)

        assert (kind, "BACKUP_DAMAGED") == (kind, caught.value.reason)
        assert told in caught.value.message, kind
        assert {f"{each.id}.db.zst" for each in (made, other)} == {each.name for each in (data / "backups").iterdir()}
    assert [(1, "stays")] == questions(client)
    assert [] == client.list_restores()


def test_what_is_not_there_is_not_restored(client: Client) -> None:
    """
    Unknown ids and what is none.
    """
    with pytest.raises(NotFound):
        client.restore_backup(ids.mint())
    with pytest.raises(InvalidArgument):
        client.restore_backup("../steward.db")


def test_a_backup_under_another_name_is_not_restored(client: Client, data: Path) -> None:
    """
    As it is not listed either.
    """
    one, other = client.create_backup(), client.create_backup()
    path_of(data, one).rename(data / "one")
    path_of(data, other).rename(path_of(data, one))

    for dry_run in (True, False):
        with pytest.raises(FailedPrecondition, match=f"it is the backup {other.id} under another name"):
            client.restore_backup(one.id, dry_run=dry_run)

    assert [] == client.list_restores()


def test_the_rows_that_are_told_are_those_that_are_there(client: Client) -> None:
    """
    The plan tells what comes, the restore itself among it, and what the store knows of itself is no loss.
    """
    made = client.create_backup()
    planned, done = client.restore_backup(made.id, dry_run=True), client.restore_backup(made.id)

    assert (planned.tables, (0, 1)) == (done.tables, rows(done, "restore"))
    assert {"meta", "schema_migration"}.isdisjoint(each.name for each in done.tables)


ADDED = {
    "a table": "CREATE TABLE more (a)",
    "an index": "CREATE INDEX more ON interaction (query_type)",
    "a column of Peewee's": "ALTER TABLE schema_migration ADD COLUMN note TEXT",
}


@pytest.mark.parametrize("kind", ADDED)
def test_what_somebody_added_hinders_no_restore(data: Path, kind: str) -> None:
    """
    A backup that passes can be restored; and what is in no way of recording is none of it.
    """
    with running_server(data) as server, Client(server.target) as client:
        recorded(client, interaction(query="kept"))
    made = of_schema(data, ADDED[kind])

    with running_server(data) as server, Client(server.target) as client:
        passed = client.verify_backup(made.id).passed
        client.restore_backup(made.id)
        recorded(client, interaction(query="new"))
        found = questions(client)

    assert (True, [(1, "kept"), (2, "new")]) == (passed, found)


LAYOUTS = {
    "a column is missing": "ALTER TABLE interaction DROP COLUMN rated_at",
    "a column more": "ALTER TABLE session ADD COLUMN more TEXT",
    "an index is missing": "DROP INDEX interaction_occurred_at_seq",
    "a condition": "ALTER TABLE session ADD COLUMN never TEXT CHECK (never IS NULL)",
    "pages of another size": "PRAGMA page_size=65536; VACUUM",
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_what_is_not_laid_out_as_a_store_is_not_restored(client: Client, data: Path, tmp_path: Path, kind: str) -> None:
    """
    Nor does it pass, whoever signed it, as the server could not go on from it.
    """
    recorded(client, interaction(query="kept"))
    made = client.create_backup()
    path_of(data, made).write_bytes(changed(data, made, LAYOUTS[kind], tmp_path / "changed.db"))

    with pytest.raises(FailedPrecondition) as caught:
        client.restore_backup(made.id)

    assert "BACKUP_DAMAGED" == caught.value.reason
    assert not client.verify_backup(made.id).passed
    assert [(1, "kept")] == questions(client)
    assert recorded(client, interaction())
    assert [] == client.list_restores()


def brought(data: Path, other: Path) -> str:
    """Make a backup of another store, bring it into *data*, and return its id."""
    with running_server(other) as server, Client(server.target) as foreign:
        recorded(foreign, interaction(query="foreign", session_id="theirs"))
        made = foreign.create_backup()
    (data / "backups").mkdir(exist_ok=True)
    (other / "backups" / f"{made.id}.db.zst").rename(data / "backups" / f"{made.id}.db.zst")
    return made.id


def test_a_backup_of_another_store_or_key_is_taken_only_when_told_so(
    client: Client, data: Path, tmp_path: Path
) -> None:
    """
    Each is refused with its reason. Taken, the store stays itself: its key, and its older backups.
    """
    mine = client.create_backup()
    (tmp_path / "same").mkdir()
    (tmp_path / "same" / "privacy.key").write_bytes((data / "privacy.key").read_bytes())
    (tmp_path / "same" / "privacy.key").chmod(0o600)
    stranger = brought(data, tmp_path / "other")
    sibling = brought(data, tmp_path / "same")
    reasons = []

    for each in (stranger, sibling):
        with pytest.raises(FailedPrecondition) as caught:
            client.restore_backup(each)
        reasons.append(caught.value.reason)
    client.restore_backup(sibling, foreign=True)
    same_key = client.get_session(session_id="theirs").total_queries
    client.restore_backup(stranger, foreign=True)
    with pytest.raises(NotFound):
        client.get_session(session_id="theirs")
    taken = questions(client)
    client.restore_backup(mine.id)

    assert ["OTHER_KEY", "OTHER_STORE"] == reasons
    assert (1, ["foreign"], []) == (same_key, [each for _, each in taken], questions(client))


def test_an_older_backup_is_brought_up_to_date(data: Path) -> None:
    """
    One of an earlier schema is migrated on its way; one of a later schema is refused, and the store stays.
    """
    with running_server(data) as server, Client(server.target) as client:
        recorded(client, interaction(query="old"))
    dropped = [f"DROP TABLE {table}" for table in ("recorder_gap", "recorder", "restore")]
    old = of_schema(data, *dropped, "DELETE FROM schema_migration WHERE name > '0003_rated_at'")
    with running_server(data) as server, Client(server.target) as client:
        recorded(client, interaction(query="new"))
    later = of_schema(data, "INSERT INTO schema_migration (name, applied) VALUES ('9999_later', 0)")
    db = database.open_writer(data / "steward.db")
    db.execute_sql("DELETE FROM schema_migration WHERE name = '9999_later'")
    db.close()

    with running_server(data) as server, Client(server.target) as client:
        for dry_run in (True, False):
            with pytest.raises(FailedPrecondition, match="9999_later"):
                client.restore_backup(later.id, dry_run=dry_run)
        before = questions(client)
        client.restore_backup(old.id)
        after, done = questions(client), client.list_restores()

    assert ("0003_rated_at", "9999_later") == (old.schema_version, later.schema_version)
    assert ([(1, "old"), (2, "new")], [(1, "old")]) == (before, after)
    assert [old.id] == [each.backup_id for each in done]


def of_schema(data: Path, *statements: str) -> Backup:
    """Change the schema of the store in *data* by *statements*, and return a backup of it."""
    db = database.open_writer(data / "steward.db")
    for statement in statements:
        db.execute_sql(statement)
    db.close()
    backups = Backups(data / "backups", redactor=Redactor(load_key(data, given=None, fresh=False)))
    return finished(backups.create(data / "steward.db", reason=BackupReason.MANUAL, now=datetime.now(UTC)))
