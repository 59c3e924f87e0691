"""
A full disk in the middle of an export: where the file is to be, and where the server makes a workbook.

The disk is a tmpfs of the process that needs it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from steward import Client, ExportFormat, Unavailable
from steward.transport import Retry
from stewardd.app import App
from stewardd.testing import Daemon
from tests.faults.disks import mountable, mounting
from tests.samples import interaction, recorded

pytestmark = pytest.mark.faults

STEWARD = Path(sys.executable).parent / "steward"
MOUNTED = mounting("24m")

# Exports with too little room, looks what is there, makes room, goes on, and takes the file off the disk.
SCRIPT = """
cd "$1"; name=$2; steward=$3; out=$4
head -c 24000000 /dev/zero > filler
"$steward" export interactions --output "$name" --quiet; echo "exit $?"
ls
rm filler
"$steward" export interactions --output "$name" --quiet --resume; echo "exit $?"
ls
cp "$name" "$out"
"""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A directory that a process under MOUNTED sees as a small disk."""
    return mountable(MOUNTED, tmp_path / "disk", "EXPORTS ON A FULL DISK")


def fill(client: Client) -> None:
    """Record some 2 MB."""
    for number in range(20):
        recorded(client, *(interaction(query=f"{number}: {'x' * 900}") for _ in range(100)))


@pytest.mark.parametrize("form", [ExportFormat.CSV, ExportFormat.JSONL], ids=["csv", "jsonl"])
def test_a_part_on_a_full_disk_is_gone_on_with(
    server: App, client: Client, disk: Path, tmp_path: Path, form: ExportFormat
) -> None:
    """
    On a full disk an export says so with exit code 1 and leaves its part; with room, --resume makes it the whole file.
    """
    fill(client)
    name, out = f"a.{form.name.lower()}", tmp_path / "out"

    done = subprocess.run(
        [*MOUNTED, str(disk), "sh", "-c", SCRIPT, "sh", str(disk), name, str(STEWARD), str(out)],
        capture_output=True,
        text=True,
        check=False,
        env={"STEWARD_TARGET": server.target},
    )

    full = f"steward: {name}.part cannot be written: No space left on device; --resume goes on with what came\n"
    assert full == done.stderr
    assert f"exit 1\n{name}.part\n{name}.part.json\nfiller\nexit 0\n{name}\n" == done.stdout
    assert b"".join(client.export_table("interactions", format=form)) == out.read_bytes()


@pytest.fixture
def daemon(disk: Path) -> Iterator[Daemon]:
    with Daemon(disk / "data", under=(*MOUNTED, str(disk))) as made:
        yield made


@pytest.mark.parametrize("room", [0, 1, 4, 5], ids=["none", "for-some-rows", "for-the-rows", "for-the-sheet"])
def test_a_workbook_without_room_is_storage_full(daemon: Daemon, disk: Path, room: int) -> None:
    """
    Wherever the scratch files of a workbook find no room, it is STORAGE_FULL, they are gone, and all else goes on.
    """
    root = Path(f"/proc/{daemon.process.pid}/root{disk}")
    filler = root / "filler"
    with Client(daemon.target, retry=Retry(attempts=1)) as client:
        fill(client)
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(filler, filler.stat().st_size - room * 2**20)
        with pytest.raises(Unavailable) as caught:
            list(client.export_table("interactions", format=ExportFormat.XLSX))
        left = list((root / "data/scratch").glob("*"))
        rows = len(list(client.export_interactions()))
        filler.unlink()
        workbook = b"".join(client.export_table("interactions", format=ExportFormat.XLSX))

    assert ("STORAGE_FULL", []) == (caught.value.reason, left)
    assert "the server has no room for the scratch files of an export: No space left on device" in str(caught.value)
    assert (2000, b"PK") == (rows, workbook[:2])
