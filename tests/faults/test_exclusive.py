"""
Who may serve a data directory: one daemon, with the store's own key, on a file that is a Steward's.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from stewardd.testing import ANY_PORT, Daemon

pytestmark = pytest.mark.faults

OTHER_KEY = {"STEWARD_PRIVACY_KEY": "5a" * 32}


def refusal(data: Path, *, listen: str = ANY_PORT, environment: Mapping[str, str] | None = None) -> str:
    """Start a daemon that must refuse to serve, with status 1 and one line, and return that line."""
    command = [sys.executable, "-m", "stewardd", "serve", "--data", str(data), "--listen", listen]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=30, env={**os.environ, **(environment or {})}
    )
    assert (1, 1) == (ended.returncode, len(ended.stderr.splitlines())), ended.stderr
    assert ended.stderr.startswith("stewardd: ")
    return ended.stderr.strip()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that a daemon has served and left."""
    data = tmp_path_factory.mktemp("made") / "data"
    assert 0 == Daemon(data).stop()
    return data


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """The same, to be spoilt."""
    return shutil.copytree(made, tmp_path / "data")


def contents(directory: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in directory.iterdir() if each.name != "steward.lock"}


def test_a_held_directory_is_refused_naming_its_holder_and_free_again_when_that_is_killed(data: Path) -> None:
    """
    A second daemon on a directory is told which process has it; after kill -9 it is free at once.
    """
    holder = Daemon(data)

    said = refusal(data)

    assert f"{data} is in use by another stewardd: process {holder.process.pid} on " in said
    assert f"listening on {holder.target}" in said
    holder.kill()
    assert 0 == Daemon(data).stop()


def test_a_taken_port_is_refused_by_name_and_nothing_is_held_afterwards(tmp_path: Path, data: Path) -> None:
    """
    A daemon on a taken port is told the address, and its own directory is free again.
    """
    with Daemon(data) as holder:
        said = refusal(tmp_path / "other", listen=holder.target)

        assert f"{holder.target} cannot be listened on" in said
        assert 0 == Daemon(tmp_path / "other").stop()


def test_another_key_is_refused(data: Path) -> None:
    """
    A store is not served under a key that is not its own, and is left as it is.
    """
    before = contents(data)

    said = refusal(data, environment=OTHER_KEY)

    assert "this store belongs to another privacy key" in said
    assert before == contents(data)


def test_a_lost_key_is_not_replaced(data: Path) -> None:
    """
    A store whose key file is missing is not served under a new one.
    """
    key = data / "privacy.key"
    key.unlink()

    said = refusal(data)

    assert f"put your copy back as {key}" in said
    assert not key.exists()


def test_a_key_that_others_can_read_is_refused(data: Path) -> None:
    """
    A key file that others can read is no secret, and is not used.
    """
    key = data / "privacy.key"
    key.chmod(0o640)

    assert f"{key} can be read by others: make it yours alone with chmod 600" in refusal(data)


def test_another_programs_database_is_refused_and_left_alone(data: Path) -> None:
    """
    Another program's SQLite file is not served, and not a byte of it changes.
    """
    path = data / "steward.db"
    path.unlink()
    with closing(sqlite3.connect(path)) as foreign:
        foreign.executescript("CREATE TABLE note (text TEXT); INSERT INTO note VALUES ('mine')")
    before = contents(data)

    said = refusal(data)

    assert f"{path} is another program's database" in said
    assert before == contents(data)


def spoilt(how: str, whole: bytes) -> bytes:
    """Return what is left of a store's bytes."""
    return {
        "garbage": b"not a database, and quite long " * 1000,
        "cut short": whole[: len(whole) // 2],
        "garbage behind the first page": whole[:4096] + b"\xa5" * (len(whole) - 4096),
    }[how]


@pytest.mark.parametrize("how", ["garbage", "cut short", "garbage behind the first page"])
def test_a_damaged_file_is_refused(data: Path, how: str) -> None:
    """
    A store that cannot be read is refused by name, and left as it is for whoever mends it.
    """
    path = data / "steward.db"
    path.write_bytes(spoilt(how, path.read_bytes()))
    before = contents(data)

    said = refusal(data)

    assert f"{path} cannot be opened as a store" in said
    assert before == contents(data)


def test_a_newer_store_is_refused(data: Path) -> None:
    """
    A store that a newer Steward has migrated is not served by this one.
    """
    with closing(sqlite3.connect(data / "steward.db")) as db, db:
        db.execute("INSERT INTO schema_migration (name, applied) VALUES ('9999_later', '2099-01-01')")

    said = refusal(data)

    assert "the store is newer than this Steward, which does not know 9999_later" in said
