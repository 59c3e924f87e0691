"""
A file that is damaged while it is served: calls are told so, and health says what is wrong.
"""

import shutil
from pathlib import Path

import pytest

from steward import Client, Interaction
from steward.errors import FailedPrecondition, Unavailable
from steward.transport import Retry
from steward.types import ComponentStatus
from stewardd.testing import Daemon

pytestmark = pytest.mark.faults

PAGE = 4096


def some(count: int) -> list[Interaction]:
    return [
        Interaction(
            session_id=f"conversation {number}", user_role="Software Developer", query="What does it take? " * 25
        )
        for number in range(count)
    ]


def test_a_file_damaged_under_a_daemon_is_told_and_shown(tmp_path: Path) -> None:
    """
    With pages of its file overwritten, records and reads meet Unavailable, and health names store and writer.
    """
    with Daemon(tmp_path) as daemon, Client(daemon.target) as client:
        client.record_interactions(some(1000))
    with Daemon(tmp_path) as daemon, Client(daemon.target, retry=Retry(attempts=1)) as client:
        path = tmp_path / "steward.db"
        with path.open("r+b") as file:
            file.seek(2 * PAGE)
            file.write(b"\xa5" * (path.stat().st_size - 3 * PAGE))

        with pytest.raises(Unavailable, match="cannot be used"):
            client.record_interactions(some(100))
        with pytest.raises(Unavailable, match="cannot be used"):
            client.get_summary()
        failing = {
            each.name for each in client.get_system_health().components if each.status is ComponentStatus.FAILING
        }

        assert {"store", "writer"} == failing
        daemon.kill()


def test_a_backup_that_the_disk_does_not_give_back_is_damaged(tmp_path: Path) -> None:
    """
    It does not pass, is not listed and shows in health; the others are listed, and a new one can be made.
    """
    if shutil.which("strace") is None:
        pytest.skip("NOTHING IS KNOWN OF BACKUPS THAT CANNOT BE READ: strace is not installed")
    with Daemon(tmp_path) as daemon, Client(daemon.target) as client:
        client.record_interactions(some(10))
        sound, lost = client.create_backup(), client.create_backup()
    unreadable = ("-P", str(tmp_path / "backups" / f"{lost.id}.db.zst"), "-e", "inject=read,pread64:error=EIO")
    with (
        Daemon(tmp_path, under=("strace", "-D", "-f", "-qq", "-o", "/dev/null", *unreadable)) as daemon,
        Client(daemon.target) as client,
    ):
        verification = client.verify_backup(lost.id)
        status = client.get_backup_status()
        (health,) = (each for each in client.get_system_health().components if each.name == "backup")
        listed = [each.id for each in client.list_backups()]
        with pytest.raises(FailedPrecondition) as caught:
            list(client.download_backup(lost.id))
        made = client.create_backup()

    assert ("this backup cannot be used: it cannot be read: Input/output error",) == verification.problems
    assert ([sound.id], 1, ComponentStatus.DEGRADED) == (listed, status.damaged, health.status)
    assert "BACKUP_DAMAGED" == caught.value.reason
    assert made.newest_seq == sound.newest_seq
