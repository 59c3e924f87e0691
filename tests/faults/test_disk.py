"""
A full disk: the writer says so, everything else goes on, and room is all it needs to write again.

The disk is a tmpfs of the daemon's own, seen from here through /proc.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from steward import Client, Interaction, Receipt
from steward.errors import Error, Unavailable
from steward.transport import Retry
from steward.types import ComponentStatus
from stewardd.testing import Daemon
from tests.faults.disks import Disk, mountable, mounting
from tests.faults.journal import FILE, Journal, Verdict, audit

pytestmark = pytest.mark.faults

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
MOUNTED = mounting("6m")
ROUNDS = 3
TRIES = 10
FULL = "the last commit failed: the disk that holds the store is full: nothing was stored"
LOW = "less than the 512 MB that are wanted are free"
MOST_BATCHES = 500  # any of which may be the one that finds the disk full


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A directory that a daemon under MOUNTED sees as a small disk."""
    return mountable(MOUNTED, tmp_path / "disk", "A FULL DISK")


@pytest.fixture
def daemon(disk: Path) -> Iterator[Daemon]:
    with Daemon(disk / "data", under=(*MOUNTED, str(disk))) as made:
        yield made


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with Client(daemon.target, retry=Retry(attempts=1)) as made:
        yield made


def copied(store: Path, to: Path) -> Path:
    """Copy the store of an idle daemon, whose disk goes when it does."""
    to.mkdir()
    for name in (FILE, f"{FILE}-wal"):
        shutil.copyfile(store / name, to / name)
    return to


def one() -> Interaction:
    return Interaction(session_id="conversation", user_role="Software Developer", query="What does it take? " * 50)


def record(client: Client, journal: Journal, *, count: int) -> Error | None:
    """Record *count* interactions, journaled; return what it met."""
    interactions = [one() for _ in range(count)]
    journal.sent(interactions)
    try:
        if count == 1:
            journal.acknowledged([client.record_interaction(interactions[0])])
        else:
            journal.acknowledged(each for each in client.record_interactions(interactions) if isinstance(each, Receipt))
    except Error as error:
        return error
    return None


def met(error: Error | None) -> tuple[type[object], str]:
    return type(error), error.reason if error else ""


def failing(client: Client) -> dict[str, str]:
    """Return which parts fail, and why."""
    components = client.get_system_health().components
    return {each.name: each.reason for each in components if each.status == ComponentStatus.FAILING}


def next_status(daemon: Daemon, *, other_than: int) -> int:
    """Return what a watching probe is told of the service that writes, once that is *other_than* this."""
    request = health_pb2.HealthCheckRequest(service="steward.v1.DataManagementService")
    with grpc.insecure_channel(daemon.target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(request, timeout=30)
        return int(next(each.status for each in watch if each.status != other_than))


def test_a_full_disk_stops_the_writing_and_nothing_else(
    daemon: Daemon, disk: Path, client: Client, tmp_path: Path
) -> None:
    """
    While the disk is full a record meets STORAGE_FULL, and reads and health go on; with room it is taken. None is lost.
    """
    full, held = (Unavailable, "STORAGE_FULL"), Disk(daemon.process, disk)
    journals = tmp_path / "journals"
    journals.mkdir()
    journal = Journal(journals / "one.journal")
    assert record(client, journal, count=100) is None
    for number in range(ROUNDS):
        held.fill()
        # The log has room of its own for a while, as it is written over from its start.
        first = next(error for _ in range(MOST_BATCHES) if (error := record(client, journal, count=20)))
        assert full == met(first), daemon.log[-3:]
        assert {full} == {met(record(client, journal, count=count)) for count in (1, 20) for _ in range(TRIES)}
        assert {"writer": FULL, "disk": LOW} == failing(client)
        assert NOT_SERVING == next_status(daemon, other_than=SERVING)
        assert client.get_summary().interactions.total >= 100
        assert len(list(client.list_interactions())) >= 100

        held.free()

        if number == 0:  # nobody has to write for it to be seen
            assert SERVING == next_status(daemon, other_than=NOT_SERVING)
        assert record(client, journal, count=1) is None, number
        assert {} == failing(client)
        assert SERVING == next_status(daemon, other_than=NOT_SERVING)
    journal.close()
    assert Verdict() == audit(copied(held.root / "data", tmp_path / "copy"), journals)
    assert 0 == daemon.stop()
    assert os.listdir(disk) == []  # noqa: PTH208 -- it was on the daemon's own disk
