"""
A full disk, of the backups or of the store: what is done to backups says so and leaves nothing, until there is room.

The disks are tmpfs of the daemon's own, seen from here through /proc.
"""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from steward import Backup, BackupReason, Client
from steward.errors import Unavailable
from steward.transport import Retry
from stewardd.testing import Daemon
from tests.faults.disks import PAGE, Disk, mountable, mounting
from tests.samples import interaction, recorded

pytestmark = pytest.mark.faults

LONG = int(os.environ.get("STEWARD_FAULT_CYCLES", "0")) > 0
STEP = 4 if LONG else 64  # pages more room at a time
MOUNTED = mounting("32m", "", "/backups")
BACKUPS_FULL = ("BACKUP_STORAGE_FULL", "the disk that holds the backups is full: nothing was done")
STORE_FULL = ("STORAGE_FULL", "the disk that holds the store is full: nothing was restored")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that a daemon under MOUNTED sees as a small disk, and the backups in it as another."""
    return mountable(MOUNTED, tmp_path / "data", "BACKUPS ON A FULL DISK")


@pytest.fixture
def daemon(data: Path) -> Iterator[Daemon]:
    with Daemon(data, under=(*MOUNTED, str(data))) as made:
        yield made


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with Client(daemon.target, retry=Retry(attempts=1)) as made:
        yield made


def filled(client: Client, *, rows: int) -> Backup:
    """Record so many interactions of 10 KB, and return a backup of them."""
    chance = random.Random(1)
    for _ in range(rows):
        recorded(client, interaction(query=chance.randbytes(5000).hex()))
    return client.create_backup()


def met(call: Callable[[], object]) -> tuple[str, str] | None:
    """Return the reason and the message of what *call* met, None when it was done."""
    try:
        call()
    except Unavailable as error:
        return error.reason, error.message
    return None


@pytest.mark.timeout(1800)
def test_without_room_nothing_is_done_to_backups(daemon: Daemon, client: Client, data: Path) -> None:
    """
    However little room there is, making, verifying and restoring one meet BACKUP_STORAGE_FULL, leave nothing and leave
    the store alone, until there is enough and it is done.
    """
    disk = Disk(daemon.process, data / "backups")
    made = filled(client, rows=100)
    calls: dict[str, Callable[[], object]] = {
        "create": client.create_backup,
        "verify": lambda: client.verify_backup(made.id),
        "restore": lambda: client.restore_backup(made.id),
    }
    refused = dict.fromkeys(calls, 0)
    for name, call in calls.items():
        names, listed = disk.names(), list(client.list_backups())
        rows = len(list(client.export_interactions()))
        disk.fill(room=0)
        while told := met(call):
            refused[name] += 1
            assert BACKUPS_FULL == told, (name, refused)
            assert names | {"filler"} == disk.names(), (name, refused)
            assert listed == list(client.list_backups()), (name, refused)
            assert recorded(client, interaction(query="meanwhile"))
            assert rows + refused[name] == len(list(client.export_interactions())), (name, refused)
            disk.fill(room=refused[name] * STEP)
        disk.free()

    print(f"\n{refused}")
    assert client.verify_backup(client.create_backup().id).passed
    assert all(each > 2 for each in refused.values())


@pytest.mark.timeout(1800)
def test_without_room_for_the_store_nothing_is_restored(daemon: Daemon, client: Client, data: Path) -> None:
    """
    However little room the store's disk has, a restore meets STORAGE_FULL and changes nothing, until there is enough.
    """
    disk = Disk(daemon.process, data)
    made = filled(client, rows=600)
    recorded(client, interaction(query="later"))
    names, rows = disk.names(), len(list(client.export_interactions()))
    refused = 0
    disk.fill(room=0)
    while told := met(lambda: client.restore_backup(made.id)):
        disk.free()
        refused += 1
        assert STORE_FULL == told, refused
        assert names == disk.names(), refused
        assert [] == client.list_restores(), refused
        assert recorded(client, interaction(query="again"))
        assert rows + refused == len(list(client.export_interactions()))
        for each in client.list_backups(reasons=[BackupReason.SAFETY]):  # for which there was room
            client.delete_backup(each.id)
        disk.fill(room=refused * 4 * STEP)
    disk.free()

    print(f"\n{refused}")
    assert 600 == len(list(client.export_interactions()))
    assert recorded(client, interaction(query="at last"))
    assert refused > 1


@pytest.mark.timeout(1800)
def test_where_store_and_backups_share_a_disk_a_backup_leaves_room(tmp_path: Path) -> None:
    """
    One for which there is no room is refused before it takes what is left, and no record is refused meanwhile.
    """
    alone = mounting("64m")
    data = mountable(alone, tmp_path / "data", "BACKUPS ON THE DISK OF THE STORE")
    with (
        Daemon(data, under=(*alone, str(data))) as daemon,
        Client(daemon.target, retry=Retry(attempts=1)) as client,
    ):
        disk = Disk(daemon.process, data)
        made = filled(client, rows=600)
        names = disk.names()
        disk.fill(room=made.plain_bytes // PAGE)
        met_by = [met(client.create_backup), met(lambda: client.verify_backup(made.id))]
        met_by.append(met(lambda: client.restore_backup(made.id)))
        stored = recorded(client, *(interaction(query="meanwhile") for _ in range(100)))
        left = disk.names() - {"filler"}
        disk.free()
        done = client.verify_backup(client.create_backup().id)

    assert [BACKUPS_FULL] * 3 == met_by
    assert (100, names, True) == (len(stored), left, done.passed)
