"""
Kill -9 at every system call of create, verify, prune and restore that changes a file.

Each is run once to count its calls, then once for each of them, on a fresh copy of the same store; in the short run for
one of each kind.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from steward import Client
from stewardd.backup import Backups, finished
from stewardd.privacy import Redactor, load_key
from stewardd.testing import running_server
from tests.samples import interaction, recorded

pytestmark = pytest.mark.faults

LONG = int(os.environ.get("STEWARD_FAULT_CYCLES", "0")) > 0
TIMES = 3 if LONG else 1
ROOT = Path(__file__).parents[2]
CHANGING = ("mkdir", "write", "pwrite64", "ftruncate", "fsync", "fdatasync", "rename", "unlink", "unlinkat", "rmdir")
KILLED = -9


@dataclass(frozen=True)
class Made:
    """A store with two rows, of which its two backups have one."""

    data: Path
    older: str
    newer: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    data = tmp_path_factory.mktemp("made") / "data"
    with running_server(data) as server, Client(server.target) as client:
        recorded(client, interaction(query="old"))
        older, newer = client.create_backup(), client.create_backup()
        client.verify_backup(newer.id)
        recorded(client, interaction(query="new"))
    return Made(data, older.id, newer.id)


def traced(data: Path, log: Path, step: str, *flags: str) -> int:
    """Run *step* on *data* under strace with *flags*, and return its exit code."""
    command = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={','.join(CHANGING)}", *flags]
    program = [sys.executable, "-B", "-m", "tests.faults.backup_steps", str(data), *step.split()]
    return subprocess.run([*command, *program], cwd=ROOT, capture_output=True, check=False).returncode


def calls_of(log: Path) -> Counter[str]:
    """Return how many of each call there are in *log*."""
    return Counter(re.findall(r"^\d+ +(\w+)\(", log.read_text(errors="replace"), re.MULTILINE))


def state(data: Path) -> tuple[list[str], list[bool], list[str]]:
    """
    Start a server on *data* and return what it has: questions, whether its backups pass, and what else is beside them.
    """
    with running_server(data) as server, Client(server.target) as client:
        questions = [each.query for each in client.export_interactions()]
        recorded(client, interaction(query="after"))
    backups = Backups(data / "backups", redactor=Redactor(load_key(data, given=None, fresh=False)))
    passed = [finished(backups.verify(each.id, now=each.created_at)).passed for each in backups.listed()]
    strange = [each.name for each in (data / "backups").iterdir() if not each.name.endswith((".db.zst", ".verified"))]
    return questions, passed, strange


STEPS = {
    "create": [["old", "new"]],
    "verify": [["old", "new"]],
    "prune": [["old", "new"]],
    "restore": [["old", "new"], ["old"]],
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.timeout(7200)
def test_a_kill_leaves_all_or_nothing(made: Made, tmp_path: Path, step: str) -> None:
    """
    Whichever call it comes at, every backup that is listed passes, a restore happened or did not, and the next start
    cleans up.
    """
    if shutil.which("strace") is None:
        pytest.skip("NOTHING IS KNOWN OF KILLS: strace is not installed")
    arguments = {"verify": f"verify {made.older}", "restore": f"restore {made.older}"}.get(step, step)
    whole, log = tmp_path / "whole", tmp_path / "log"
    shutil.copytree(made.data, whole)
    code = traced(whole, log, arguments)
    calls = calls_of(log)

    points = [(call, number) for call, count in sorted(calls.items()) for number in _chosen(count)]
    killed = 0
    for call, number in points * TIMES:
        data = tmp_path / "data"
        shutil.copytree(made.data, data)
        killed += KILLED == traced(data, log, arguments, "-e", f"inject={call}:signal=KILL:when={number}")
        questions, passed, strange = state(data)
        assert questions in STEPS[step], (call, number)
        assert all(passed), (call, number)
        assert len(passed) >= 1, (call, number)
        assert [] == strange, (call, number)
        shutil.rmtree(data)

    print(f"\n{step}: {dict(calls)}; {killed} of {len(points) * TIMES} killed, all as they should be")
    assert 0 == code
    assert killed >= len(points) * TIMES * 0.9  # the rest came to their end with fewer calls


def _chosen(count: int) -> list[int]:
    """Return which of so many calls to kill at: all, or in the short run the one in the middle."""
    return list(range(1, count + 1)) if LONG else [(count + 1) // 2]
