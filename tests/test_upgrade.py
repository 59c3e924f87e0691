"""
Migrations of a store that exists, and restores while no server runs.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from steward import BackupReason, Client, FailedPrecondition, MetricPoint, ids
from steward.types import FileChunk
from stewardd import app, config, upgrade
from stewardd.store import database, schema
from stewardd.testing import running_server
from tests.backup_files import path_of, wrong
from tests.samples import interaction, recorded
from tests.test_cli import run

DROPPED = [f"DROP TABLE {table}" for table in ("recorder_gap", "recorder", "restore")]  # of what came later


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory of a store with an interaction."""
    with running_server(tmp_path / "data") as server, Client(server.target) as client:
        recorded(client, interaction(query="kept"))
    return tmp_path / "data"


def changed(data: Path, *statements: str) -> None:
    """Run *statements* on the store in *data*."""
    with closing(database.open_writer(data / "steward.db")) as db:
        for statement in statements:
            db.execute_sql(statement)


def version_of(path: Path) -> str:
    """Return the schema of the store at *path*."""
    with closing(database.open_writer(path)) as db:
        return schema.version(db)


def questions(client: Client) -> list[tuple[int, str]]:
    """Return what is recorded, in the order of arrival."""
    return [(each.seq, each.query) for each in client.export_interactions()]


def test_a_migration_is_preceded_by_a_verified_backup(data: Path) -> None:
    """
    It is of the schema of before; and where nothing is migrated, none is made.
    """
    changed(data, *DROPPED, "DELETE FROM schema_migration WHERE name > '0003_rated_at'")

    with running_server(data) as server, Client(server.target) as client:
        (made,) = client.list_backups()
        found = questions(client)
    with running_server(data) as server, Client(server.target) as client:
        again = list(client.list_backups())

    assert made.verification is not None
    assert (BackupReason.MIGRATION, "0003_rated_at", True) == (
        made.reason,
        made.schema_version,
        made.verification.passed,
    )
    assert ([(1, "kept")], [made]) == (found, again)


def test_a_migration_that_fails_on_a_copy_leaves_the_store(data: Path) -> None:
    """
    The server does not start, and says why; the store is as it was.
    """
    changed(data, "DELETE FROM schema_migration WHERE name > '0002_figures'")

    with pytest.raises(
        FailedPrecondition, match=r"so it was not migrated: it cannot be brought up to date: duplicate column"
    ):
        running_server(data).__enter__()

    assert "0002_figures" == version_of(data / "steward.db")
    assert [] == list((data / "backups").iterdir())


def test_a_migration_that_fails_all_the_same_is_undone(data: Path, tmp_path: Path) -> None:
    """
    What its first steps did is gone too.
    """
    changed(data, *DROPPED, "DELETE FROM schema_migration WHERE name > '0003_rated_at'")
    before = tmp_path / "copy"
    shutil.copyfile(data / "steward.db", before)
    changed(data, "DELETE FROM schema_migration WHERE name = '0003_rated_at'")

    with pytest.raises(FailedPrecondition, match="failed and was undone; the backup ID has what was before"):
        upgrade.migrate(data / "steward.db", before, "ID")

    assert "0003_rated_at" == version_of(data / "steward.db")


def test_what_cannot_be_migrated_can_be_replaced(data: Path, tmp_path: Path) -> None:
    """
    A restore sets aside what no migration fits, and only where a restore would be done at all.
    """
    backup_id = downloaded(data, tmp_path / "copy")
    with running_server(tmp_path / "other") as server, Client(server.target) as client:
        other = client.create_backup()
    changed(data, "DELETE FROM schema_migration WHERE name > '0002_figures'")

    strange = restore(str(tmp_path / "other" / "backups" / f"{other.id}.db.zst"), "--data", str(data), "--yes")
    done = restore(backup_id, "--data", str(data), "--yes")

    assert (1, "was made under another privacy key" in strange[2]) == (strange[0], True)
    assert f"what was before is {data / 'steward.db'}.damaged-1, which is damaged" in done[1]


def test_a_store_in_another_programs_hands_is_not_replaced(data: Path, tmp_path: Path) -> None:
    """
    That it cannot be opened at the moment says nothing of what is in it.
    """
    backup_id = downloaded(data, tmp_path / "copy")

    with closing(sqlite3.connect(data / "steward.db", isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        code, _, said = restore(backup_id, "--data", str(data), "--yes")

    assert (1, True) == (code, "locked" in said)
    assert [] == list(data.glob("*.damaged*"))


def test_a_newer_store_is_not_replaced(data: Path, tmp_path: Path) -> None:
    """
    Nor does a dry run say what would become of it.
    """
    backup_id = downloaded(data, tmp_path / "copy")
    changed(data, "INSERT INTO schema_migration (name, applied) VALUES ('9999_later', 0)")

    said = [restore(backup_id, "--data", str(data), each) for each in ("--dry-run", "--yes")]

    assert [1, 1] == [code for code, _, _ in said]
    assert all("the store is newer than this Steward, which does not know '9999_later'" in why for _, _, why in said)


def test_a_damaged_store_is_not_migrated_but_can_be_restored(data: Path, tmp_path: Path) -> None:
    """
    However often that is tried, nothing is left of it; the restore sets the store aside.
    """
    backup_id = downloaded(data, tmp_path / "copy")
    orphan = "UPDATE interaction SET session = 99"
    changed(
        data, *DROPPED, "DELETE FROM schema_migration WHERE name > '0003_rated_at'", "PRAGMA foreign_keys=OFF", orphan
    )
    backups = names(data / "backups")

    for _ in range(2):
        with pytest.raises(
            FailedPrecondition, match="the store is damaged, so it was not migrated: 2 rows refer to rows"
        ):
            running_server(data).__enter__()
    left = names(data / "backups")
    with running_server(tmp_path / "other") as server, Client(server.target) as client:
        other = client.create_backup()
    refused, _, why = restore(str(path_of(tmp_path / "other", other)), "--data", str(data), "--yes")
    planned = restore(backup_id, "--data", str(data), "--dry-run")
    code, said, _ = restore(backup_id, "--data", str(data), "--yes")
    with running_server(data) as server, Client(server.target) as client:
        found = questions(client)

    assert backups == left
    assert (1, True) == (refused, "another privacy key" in why)
    assert "it would be set aside" in planned[1]
    assert (0, [(1, "kept")]) == (code, found)
    assert "steward.db.damaged-1, which is damaged" in said


# Restores while no server runs


def restore(*arguments: str) -> tuple[int, str, str]:
    """Run `stewardd restore`."""
    done = run("restore", *arguments, program="stewardd")
    return done.returncode, done.stdout, done.stderr


def downloaded(data: Path, path: Path) -> str:
    """Download a backup of the store in *data* to *path*, record another interaction, and return its id."""
    with running_server(data) as server, Client(server.target) as client:
        made = client.create_backup()
        path.write_bytes(b"".join(client.download_backup(made.id)))
        recorded(client, interaction(query="later"))
    return made.id


def test_a_downloaded_backup_is_taken_back(data: Path, tmp_path: Path) -> None:
    """
    By its file and by its id; what was before is a safety backup, and the order of arrival goes on.
    """
    backup_id = downloaded(data, tmp_path / "copy.db.zst")

    by_file = restore(str(tmp_path / "copy.db.zst"), "--data", str(data), "--yes")
    by_id = restore(backup_id, "--data", str(data), "--yes")
    with running_server(data) as server, Client(server.target) as client:
        recorded(client, interaction(query="new"))
        found, done = questions(client), client.list_restores()

    assert (0, "") == (by_file[0], by_file[2])
    assert "interaction: 2 rows before, 1 after" in by_file[1]
    assert f"restored {backup_id}; what was before is the backup {done[0].safety_backup_id}" in by_id[1]
    assert [(1, "kept"), (3, "new")] == found
    assert [backup_id, backup_id] == [each.backup_id for each in done]


def test_a_lost_machine_comes_back_from_the_file_and_the_key(data: Path, tmp_path: Path) -> None:
    """
    Into an empty directory, once its key is there; without it, it says so, and with --foreign a key is made.
    """
    backup_id = downloaded(data, tmp_path / "copy.db.zst")
    fresh, strange = tmp_path / "fresh", tmp_path / "strange"
    source = str(tmp_path / "copy.db.zst")

    refused = restore(source, "--data", str(fresh), "--yes")
    shutil.copy(data / "privacy.key", fresh / "privacy.key")
    done = restore(source, "--data", str(fresh), "--yes")
    foreign = restore(source, "--data", str(strange), "--yes", "--foreign")
    with running_server(fresh) as server, Client(server.target) as client:
        found = questions(client), client.get_session(session_id="session-1").total_queries
        same = client.create_backup().store
    with running_server(strange) as server, Client(server.target) as client:
        strangers = questions(client)
    with running_server(data) as server, Client(server.target) as client:
        store = client.get_backup(backup_id).store

    assert 1 == refused[0]
    assert "the privacy key of this store is missing" in refused[2]
    assert (0, f"restored {backup_id}; what was before is nothing") == (done[0], done[1].splitlines()[-1])
    assert (0, store) == (foreign[0], same)
    assert ([(1, "kept")], 1) == found
    assert [(1, "kept")] == strangers


def test_what_is_no_backup_is_not_restored(data: Path, tmp_path: Path) -> None:
    """
    Of whatever kind the file is, or where there is none, that is told, and the store is what it was.
    """
    with running_server(data) as server, Client(server.target) as client:
        made = client.create_backup()
    files = wrong(data, made, tmp_path / "scratch")
    for number, (content, _) in enumerate(files.values()):
        (tmp_path / f"{number}").write_bytes(content)
    sources = [str(tmp_path / f"{number}") for number in range(len(files))]
    missing = [str(tmp_path / "none"), str(tmp_path), "x" * 5000, "../" * 2000, "", ids.mint()]
    reasons = []

    for source in [*sources, *missing]:
        with pytest.raises(FailedPrecondition) as caught:
            app.restore(config.load(data=data, log_level="error"), source, dry_run=False, foreign=False)
        reasons.append(caught.value.message)
    code, _, said = restore(sources[0], "--data", str(data), "--yes")

    with running_server(data) as server, Client(server.target) as client:
        assert ([(1, "kept")], [made]) == (questions(client), list(client.list_backups()))
    assert all(told in reason for (_, told), reason in zip(files.values(), reasons, strict=False)), reasons
    assert all("is neither a file nor the id of a backup" in each for each in reasons[len(files) :]), reasons
    assert (1, f"stewardd: {reasons[0]}\n") == (code, said)


def test_places_of_a_lost_store_are_not_handed_out_again(data: Path, tmp_path: Path) -> None:
    """
    Restored into an empty directory, a store goes on behind all that the lost one may have handed out since the backup,
    of every kind, and refuses its tokens with their reason.
    """
    with running_server(data) as server, Client(server.target) as client:
        made = client.create_backup()
        (tmp_path / "copy").write_bytes(b"".join(client.download_backup(made.id)))
        lost = [each.seq for each in recorded(client, *(interaction() for _ in range(1000)))]
        client.record_metrics([MetricPoint(name="m", value=1.0)])
        part = next(each for each in client.export_table_parts("interactions") if isinstance(each, FileChunk))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(data / "privacy.key", fresh)

    done = restore(str(tmp_path / "copy"), "--data", str(fresh), "--yes")
    with running_server(fresh) as server, Client(server.target) as client:
        first, second = recorded(client, interaction(), interaction())
        with pytest.raises(FailedPrecondition) as caught:
            list(client.export_table_parts("interactions", resume_token=part.resume_token))
        exported = [each.seq for each in client.export_interactions()]

    assert 0 == done[0], done[2]
    assert max(lost) < first.seq == second.seq - 1 < 2**53  # which JSON can tell apart
    assert [1, first.seq, second.seq] == exported
    assert all(counter > 1000 for counter in counters(fresh).values())
    assert "RESTORED" == caught.value.reason


def counters(data: Path) -> dict[str, int]:
    """Return the newest place that each table of the store in *data* has handed out."""
    with closing(database.open_writer(data / "steward.db")) as db:
        return dict(db.execute_sql("SELECT name, seq FROM sqlite_sequence").fetchall())


def names(data: Path) -> set[str]:
    """Return what is in *data*, without the logs that SQLite begins when it looks at a file."""
    return {each.name for each in data.iterdir() if not each.name.endswith(("-wal", "-shm"))}


def zeroed(content: bytes) -> bytes:
    """Return *content* without its second half."""
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "no database": lambda _: b"no database" * 10_000,
    "no header": lambda content: bytes(100) + content[100:],
    "truncated": lambda content: content[: len(content) // 8192 * 4096],
    "half of it zeros": zeroed,
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_store_is_set_aside(data: Path, tmp_path: Path, kind: str) -> None:
    """
    What cannot be read is kept beside what is restored, which hands out no place again that it may have handed out.
    """
    backup_id = downloaded(data, tmp_path / "copy")
    with running_server(data) as server, Client(server.target) as client:
        lost = [each.seq for each in recorded(client, *(interaction(session_id=ids.mint()) for _ in range(1000)))]
    path = data / "steward.db"
    damaged = DAMAGED[kind](path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(FailedPrecondition, match=r"steward\.db cannot be opened as a store"):
        running_server(data).__enter__()

    planned = restore(backup_id, "--data", str(data), "--dry-run")
    before = path.read_bytes()
    done = restore(backup_id, "--data", str(data), "--yes")
    with running_server(data) as server, Client(server.target) as client:
        (receipt,) = recorded(client, interaction(query="new"))
        found = questions(client)

    assert (0, damaged) == (planned[0], before)
    assert f"{path} cannot be read, so nobody knows what would be lost; it would be set aside" in planned[1]
    assert (0, "") == (done[0], done[2])
    assert f"what was before is {path}.damaged-1, which is damaged" in done[1]
    assert damaged == (data / "steward.db.damaged-1").read_bytes()
    assert [(1, "kept"), (receipt.seq, "new")] == found
    assert receipt.seq > max(lost)
    assert {"privacy.key", "steward.lock", "backups", "steward.db", "steward.db.damaged-1"} == names(data)


def test_a_damaged_store_stays_where_nothing_is_restored(data: Path, tmp_path: Path) -> None:
    """
    A backup that is damaged too leaves it as it is; and another program's file is not touched whatever the backup.
    """
    backup_id = downloaded(data, tmp_path / "copy")
    path = data / "steward.db"
    path.write_bytes(b"no database" * 10_000)
    (tmp_path / "half").write_bytes((tmp_path / "copy").read_bytes()[10:])

    refused = restore(str(tmp_path / "half"), "--data", str(data), "--yes")
    left, content = names(data), path.read_bytes()
    path.unlink()
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (a)")
    theirs = restore(backup_id, "--data", str(data), "--yes")

    assert (1, b"no database" * 10_000) == (refused[0], content)
    assert {"privacy.key", "steward.lock", "backups", "steward.db"} == left
    assert 1 == theirs[0]
    assert "is another program's database" in theirs[2]
    assert [] == list(data.glob("*damaged*"))


def test_a_dry_run_changes_nothing(data: Path, tmp_path: Path) -> None:
    """
    It migrates no store, and where there is none it makes neither that nor a key.
    """
    backup_id = downloaded(data, tmp_path / "copy")
    changed(data, *DROPPED, "DELETE FROM schema_migration WHERE name > '0003_rated_at'")
    before, content = names(data), (data / "steward.db").read_bytes()

    planned = restore(backup_id, "--data", str(data), "--dry-run")
    strange = restore(str(tmp_path / "copy"), "--data", str(tmp_path / "strange"), "--dry-run", "--foreign")
    missing = restore(str(tmp_path / "none"), "--data", str(tmp_path / "missing"), "--dry-run", "--foreign")

    assert (0, 0, 1) == (planned[0], strange[0], missing[0])
    assert "interaction: 2 rows before, 1 after" in planned[1]
    assert "interaction: 0 rows before, 1 after" in strange[1]
    assert (before, content) == (names(data), (data / "steward.db").read_bytes())
    assert {"steward.db-wal", "steward.db-shm"}.isdisjoint(names(data))
    assert [{"steward.lock"}] * 2 == [names(tmp_path / each) for each in ("strange", "missing")]


def test_a_store_in_use_is_not_restored_behind_its_server(tmp_path: Path) -> None:
    """
    Whoever holds it is named; and without --yes nothing is done.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        made = client.create_backup()
        held = restore(made.id, "--data", str(tmp_path), "--yes")
        asked = restore(made.id, "--data", str(tmp_path))

    assert 1 == held[0]
    assert "is in use by another stewardd" in held[2]
    assert 1 == asked[0]


def test_a_restore_shows_what_would_be_lost_and_asks(data: Path, tmp_path: Path) -> None:
    """
    Without an answer it is exit code 1, and the store is what it was.
    """
    backup_id = downloaded(data, tmp_path / "copy")

    code, shown, asked = restore(backup_id, "--data", str(data))

    with running_server(data) as server, Client(server.target) as client:
        found = questions(client)
    assert (1, [(1, "kept"), (2, "later")]) == (code, found)
    assert "interaction: 2 rows before, 1 after" in shown
    assert "newest interaction: 2" in shown
    assert f"Replace what is in {data} by {backup_id}?" in asked
