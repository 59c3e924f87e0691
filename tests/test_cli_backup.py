"""
`steward backup`, run as its users run it.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from steward import Backup, Client
from steward.cli import backup as cli_backup
from steward.cli import show
from stewardd.app import App
from stewardd.testing import running_server
from tests.test_cli import run, steward


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of the server."""
    return tmp_path / "data"


@pytest.fixture
def server(data: Path) -> Iterator[App]:
    """A server on *data*."""
    with running_server(data) as running:
        yield running


def test_what_is_made_is_listed_and_shown_alike(server: App) -> None:
    """
    Create, list and show have the same document, with its id under the same name.
    """
    made = steward(server, "backup", "create")

    assert made == steward(server, "backup", "show", made["id"])
    assert {"backups": [made], "more": False} == steward(server, "backup", "list")
    assert {"backups": [], "more": False} == steward(server, "backup", "list", "--reason", "safety")
    assert made["id"] in run("backup", "list", STEWARD_TARGET=server.target).stdout


def test_a_backup_can_be_read_on_a_terminal(server: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    On 80 columns its tables stand below each other, and so does what came of verifying it.
    """
    made = steward(server, "backup", "create")
    found, screen = fetched(server, made["id"]), Console(width=80, file=StringIO())
    monkeypatch.setattr(show, "console", screen)

    cli_backup.tell(found)
    created = screen.file.getvalue()  # type: ignore[attr-defined] # a StringIO
    steward(server, "backup", "verify", made["id"])
    cli_backup.tell(fetched(server, made["id"]))
    verified = screen.file.getvalue()[len(created) :]  # type: ignore[attr-defined]

    assert all(len(line) <= 80 for line in verified.splitlines())
    assert ["interaction", "0"] in [line.split() for line in created.splitlines()]
    assert ["verified", "never"] in [line.split() for line in created.splitlines()]
    assert ["verified", "passed"] in [line.split() for line in verified.splitlines()]
    assert "name interaction" not in created


def fetched(server: App, backup_id: str) -> Backup:
    """Return the backup of an id."""
    with Client(server.target) as client:
        return client.get_backup(backup_id)


def test_a_backup_that_does_not_pass_is_exit_code_1(server: App, data: Path) -> None:
    """
    One that passes is 0; both are told in full.
    """
    made = steward(server, "backup", "create")
    passed = steward(server, "backup", "verify", made["id"])
    path = data / "backups" / f"{made['id']}.db.zst"
    path.write_bytes(path.read_bytes()[:-1])

    done = run("backup", "verify", made["id"], "--json", STEWARD_TARGET=server.target)

    failed = json.loads(done.stdout)
    assert (made["id"], True, []) == (passed["id"], passed["passed"], passed["problems"])
    assert (1, False) == (done.returncode, failed["passed"])
    assert ["this backup cannot be used: it does not end as a backup does"] == failed["problems"]


def health(server: App) -> tuple[int, str, str, str]:
    """Return the exit code of `steward health`, its first line, what it says of backups, and that part of the score."""
    done = run("health", STEWARD_TARGET=server.target)
    lines = [each.strip() for each in done.stdout.splitlines()]
    said, *_, part = (each for each in lines if re.match(r"backup +(OK|DEGRADED|\d$)", each))
    status, reason = re.fullmatch(r"backup +(\w+) +(.+)", said).groups()  # type: ignore[union-attr]
    return done.returncode, lines[0], f"{status}: {reason}", part.split()[-1]


def test_health_tells_how_backups_are(server: App, data: Path) -> None:
    """
    Before the first, after it, after it passed and after it was found damaged, which leaves the server serving.
    """
    told = [health(server)]
    made = steward(server, "backup", "create")
    told.append(health(server))
    steward(server, "backup", "verify", made["id"])
    told.append(health(server))
    path = data / "backups" / f"{made['id']}.db.zst"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    run("backup", "verify", made["id"], STEWARD_TARGET=server.target)
    told.append(health(server))

    at = f"{datetime.fromisoformat(made['created_at']):%Y-%m-%d %H:%M:%S} UTC"
    aim = "one is made every day at 03:00 UTC"
    assert [
        (0, "Serving; OK", f"OK: no backup yet; {aim}", "0"),
        (0, "Serving; OK", f"OK: the last backup is of {at}; none is verified; {aim}", "1"),
        (0, "Serving; OK", f"OK: the last backup is of {at}; the last verified one is of {at}; {aim}", "1"),
        (
            0,
            "Serving; DEGRADED",
            f"DEGRADED: the last backup, of {at}, did not pass when it was verified; none is verified; {aim}",
            "0",
        ),
    ] == told


def test_deleting_asks_first(server: App) -> None:
    """
    No answer and no are exit code 1 and leave it; yes deletes it.
    """
    made = steward(server, "backup", "create")

    codes = [
        run("backup", "delete", made["id"], stdin=said, STEWARD_TARGET=server.target).returncode for said in ("", "n\n")
    ]
    left = steward(server, "backup", "list")["backups"]
    deleted = steward(server, "backup", "delete", made["id"], "--yes")

    assert ([1, 1], [made]) == (codes, left)
    assert {"id": made["id"], "deleted": True} == deleted
    assert [] == steward(server, "backup", "list")["backups"]


@pytest.mark.parametrize("command", ["show", "verify", "delete"])
def test_what_is_no_id_fails_in_one_line(server: App, command: str) -> None:
    """
    With exit code 1 and what would be right.
    """
    options = ["--yes"] if command == "delete" else []

    done = run("backup", command, "../steward", *options, STEWARD_TARGET=server.target)

    assert (1, "steward: id: must be the id of a backup, as they are listed\n") == (done.returncode, done.stderr)


def test_pruning_asks_first_and_says_why(server: App) -> None:
    """
    A dry run and an answer that is not yes delete nothing.
    """
    made = [steward(server, "backup", "create")["id"] for _ in range(3)]
    policy = steward(server, "backup", "policy", "--keep-last", "1", "--every", "3600")

    planned = steward(server, "backup", "prune", "--dry-run")
    refused = run("backup", "prune", STEWARD_TARGET=server.target)
    left = len(steward(server, "backup", "list")["backups"])
    done = steward(server, "backup", "prune", "--yes")

    assert (1, 3600, "") == (policy["keep_last"], policy["interval_seconds"], policy["time_of_day"])
    assert (1, 3) == (refused.returncode, left)
    assert "Delete 2 backups?" in refused.stderr
    assert planned["decisions"] == done["decisions"]
    assert [(made[2], "KEPT"), (made[1], "SURPLUS"), (made[0], "SURPLUS")] == [
        (each["id"], each["cause"]) for each in done["decisions"]
    ]


def test_the_status_has_the_policy_and_the_last_backup(server: App) -> None:
    """
    As JSON, and as tables.
    """
    made = steward(server, "backup", "create")

    found = steward(server, "backup", "status")
    shown = run("backup", "status", STEWARD_TARGET=server.target).stdout

    assert (1, made, None) == (found["backups"], found["last"], found["last_verified"])
    assert steward(server, "backup", "policy") == found["policy"]
    assert made["id"] in shown
    assert "03:00" in shown


def test_a_backup_leaves_the_machine(server: App, data: Path, tmp_path: Path) -> None:
    """
    Under the name it has, or another, and it is what is stored.
    """
    made = steward(server, "backup", "create")
    content = (data / "backups" / f"{made['id']}.db.zst").read_bytes()

    done = steward(server, "backup", "download", made["id"], "--output", str(tmp_path / "copy"))

    assert (content, len(content)) == ((tmp_path / "copy").read_bytes(), done["bytes"])


def test_restoring_shows_what_would_be_lost_and_asks(server: App) -> None:
    """
    An answer that is not yes restores nothing; --yes does, and the restore is listed.
    """
    made = steward(server, "backup", "create")
    steward(server, "record", "--session-id", "s", "--role", "Dev", "--query", "gone")

    refused = run("backup", "restore", made["id"], stdin="n\n", STEWARD_TARGET=server.target)
    kept = len(steward(server, "list")["interactions"])
    planned = steward(server, "backup", "restore", made["id"], "--dry-run")
    done = steward(server, "backup", "restore", made["id"], "--yes")

    assert (1, 1) == (refused.returncode, kept)
    assert "A restore would do this" in refused.stdout
    assert (None, planned["tables"]) == (planned["restore"], done["tables"])
    assert {"restores": [done["restore"]]} == steward(server, "backup", "restores")
    assert [] == steward(server, "list")["interactions"]
