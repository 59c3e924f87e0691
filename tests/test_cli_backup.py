"""
`steward backup`, run as its users run it.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

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
