"""
A file that is damaged while it is served: calls are told so, and health says what is wrong.
"""

from pathlib import Path

import pytest

from steward import Client, Interaction
from steward.errors import Unavailable
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
