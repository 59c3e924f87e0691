"""
Restores under load: whoever writes meanwhile is told to come back and does, and what is acknowledged after one stays.

The safety backup of a restore tells exactly what came before it: all places up to the newest it holds, and no other.
"""

import json
import os
import random
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard

from steward import Backup, BackupReason, Client, FailedPrecondition, ids
from steward.types import FileChunk
from stewardd.testing import Daemon
from tests.faults.journal import FILE, Journal, Known, Writers, _sqlite, known
from tests.samples import interaction

pytestmark = pytest.mark.faults

LONG = int(os.environ.get("STEWARD_FAULT_CYCLES", "0")) > 0
RESTORES = 20 if LONG else 3
SEED = int(os.environ.get("STEWARD_FAULT_SEED", "1"))
CLIENTS = 16
LOOK = 0.05  # s between looks into the journals
Rows = dict[int, bytes]  # ids of interactions by their places


@dataclass(frozen=True)
class Reign:
    """The time from one restore to the next."""

    base: Rows  # what was restored
    after: int  # the newest place that was handed out before
    until: int  # and by its end
    rows: Rows  # what was there then

    @property
    def since(self) -> Rows:
        """What was stored in it."""
        return {place: key for place, key in self.rows.items() if place > self.after}


class Assistant(threading.Thread):
    """A client as it comes, which records one after the other; whatever it cannot live with ends it."""

    def __init__(self, target: str, journal: Path) -> None:
        super().__init__()
        self._address = target
        self._journal = Journal(journal)
        self._ending = threading.Event()
        self.met: list[BaseException] = []

    def run(self) -> None:
        try:
            with closing(self._journal), Client(self._address) as client:
                while not self._ending.is_set():
                    made = interaction(session_id=ids.mint())
                    self._journal.sent([made])
                    self._journal.acknowledged([client.record_interaction(made)])
        except BaseException as error:  # noqa: BLE001 -- for the test to see
            self.met.append(error)

    def end(self) -> None:
        """Record no more."""
        self._ending.set()
        self.join()


def newest(journal: Path) -> int:
    """Return the newest place that the client of the *journal* was told of."""
    told = (line.split() for line in journal.read_text(encoding="ascii").rpartition("\n")[0].splitlines())
    return max((int(words[2]) for words in told if words[0] == "acknowledged"), default=0)


def wait_for_all(journals: Path, *, behind: int) -> None:
    """Wait until every client has been told of a place *behind* this one."""
    while any(newest(each) <= behind for each in journals.iterdir()):
        time.sleep(LOOK)


def rows_of(path: Path) -> Rows:
    """Return what the store at *path* holds, of which no server is in use."""
    with closing(_sqlite.connect(path)) as db:
        assert [("ok",)] == db.execute("PRAGMA integrity_check").fetchall()
        return {seq: bytes(key) for seq, key in db.execute("SELECT seq, interaction_id FROM interaction")}


def rows_in(data: Path, backup: Backup, scratch: Path) -> Rows:
    """Return what is in a *backup* of the store in *data*, unpacked into *scratch*."""
    with (data / "backups" / f"{backup.id}.db.zst").open("rb") as packed, scratch.open("wb") as plain:
        zstandard.ZstdDecompressor().copy_stream(packed, plain)
    return rows_of(scratch)


def verdict(found: Known, reigns: Sequence[Reign]) -> dict[str, int]:
    """Return how many things are wrong, by kind, with *reigns* by what the clients *found*. Each should be 0."""
    owners: defaultdict[int, set[bytes]] = defaultdict(set)
    for key, places in found.acknowledged.items():
        for place, _ in places:
            owners[place].add(key)
    acknowledged = set(owners)
    for each in reigns:
        for place, key in each.rows.items():
            owners[place].add(key)
    return {
        "lost": sum(
            len({place for place in acknowledged if each.after < place <= each.until} - each.rows.keys())
            for each in reigns
        ),
        "given_twice": sum(len(each) > 1 for each in owners.values()),
        "never_sent": sum(len(set(each.since.values()) - found.sent.keys()) for each in reigns),
        "not_restored": sum(each.rows != each.base | each.since for each in reigns),
    }


@pytest.mark.timeout(1800)
def test_restores_lose_nothing_of_what_comes_after_them(tmp_path: Path) -> None:
    """
    Under 16 writing clients each restore leaves exactly the backup and what was acknowledged since; no place is given
    twice, tokens of before are refused, what was before is a backup, and all clients come back by themselves.
    """
    print(f"\nSTEWARD_FAULT_SEED={SEED}")
    chance = random.Random(SEED)
    data, journals = tmp_path / "data", tmp_path / "journals"
    journals.mkdir()
    restored: list[Backup] = []
    safeties: list[Backup] = []
    seconds, reasons = [], []
    with (
        Daemon(data) as daemon,
        Client(daemon.target) as client,
        Writers(daemon.target, journals, clients=CLIENTS, seed=SEED) as writers,
    ):
        assistant = Assistant(daemon.target, journals / "assistant.journal")
        assistant.start()
        wait_for_all(journals, behind=0)
        backups = [client.create_backup()]
        for _ in range(RESTORES):
            part = next(each for each in client.export_table_parts("interactions") if isinstance(each, FileChunk))
            restored.append(chance.choice(backups))
            started = time.monotonic()
            done = client.restore_backup(restored[-1].id).restore
            seconds.append(time.monotonic() - started)
            assert done is not None
            with pytest.raises(FailedPrecondition) as caught:
                list(client.export_table_parts("interactions", resume_token=part.resume_token))
            reasons.append(caught.value.reason)
            safeties.append(client.get_backup(done.safety_backup_id))
            backups.append(safeties[-1])
            wait_for_all(journals, behind=safeties[-1].newest_seq)
        failures = writers.stop()
        assistant.end()
        listed = list(client.list_backups(reasons=[BackupReason.SAFETY]))
        verified = [client.verify_backup(each.id).passed for each in safeties]

    held = {each.id: rows_in(data, each, tmp_path / "copy") for each in backups}
    bases = [{}, *(held[each.id] for each in restored)]
    bounds = [0, *(each.newest_seq for each in safeties), sys.maxsize]
    ends = [*(held[each.id] for each in safeties), rows_of(data / FILE)]
    reigns = [Reign(base, *places, rows) for base, places, rows in zip(bases, pairwise(bounds), ends, strict=True)]
    found = known(journals)
    wrong = verdict(found, reigns)
    figures = {
        "restores": RESTORES,
        "clients": CLIENTS,
        "acknowledged": len(found.acknowledged),
        **wrong,
        "told_to_come_back": failures,
        "restore_p50_s": round(sorted(seconds)[len(seconds) // 2], 3),
        "restore_max_s": round(max(seconds), 3),
    }
    print(json.dumps(figures))
    assert {"lost": 0, "given_twice": 0, "never_sent": 0, "not_restored": 0} == wrong
    assert ["RESTORED"] * RESTORES == reasons
    assert ["Unavailable RESTORING"] == list(failures)
    assert [] == assistant.met
    assert safeties[::-1] == listed
    assert [True] * RESTORES == verified
