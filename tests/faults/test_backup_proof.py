"""
Backups under load are gap-free prefixes with all that was acknowledged; whatever damages one is found.
"""

import json
import os
import random
import threading
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import monotonic

import pytest
import zstandard

from steward import Client, ids
from stewardd.backup import Backups, finished
from stewardd.privacy import Redactor, load_key
from stewardd.testing import Daemon, running_server
from tests.faults.journal import _sqlite
from tests.samples import interaction, recorded

pytestmark = pytest.mark.faults

LONG = int(os.environ.get("STEWARD_FAULT_CYCLES", "0")) > 0
BACKUPS = 50 if LONG else 5
DAMAGES, INTACT = (2000, 200) if LONG else (200, 20)
SEED = int(os.environ.get("STEWARD_FAULT_SEED", "1"))
BATCH = 20
RATE = 1000  # interactions a second
PAGE = 4096


class Writer(threading.Thread):
    """Records at the RATE, and knows what was acknowledged."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._address = target
        self._ending = threading.Event()
        self.acknowledged = 0  # places, which have no gaps as nobody else records

    def run(self) -> None:
        started = monotonic()
        with Client(self._address) as client:
            for batch in count(1):
                receipts = recorded(client, *(interaction(session_id=ids.mint()) for _ in range(BATCH)))
                self.acknowledged = max(each.seq for each in receipts)
                if self._ending.wait(max(0.0, started + batch * BATCH / RATE - monotonic())):
                    return

    def end(self) -> None:
        """Record no more."""
        self._ending.set()
        self.join()


def test_a_backup_under_load_is_a_prefix(tmp_path: Path) -> None:
    """
    Each holds the first so many interactions without a gap, and among them all that were acknowledged before it began.
    """
    found = []
    with Daemon(tmp_path / "data") as daemon, Client(daemon.target) as client:
        writer = Writer(daemon.target)
        writer.start()
        started = monotonic()
        for _ in range(BACKUPS):
            before = writer.acknowledged
            made = client.create_backup()
            found.append((before, tmp_path / "data" / "backups" / f"{made.id}.db.zst"))
        seconds = monotonic() - started
        writer.end()

    gaps = lost = 0
    for before, path in found:
        with path.open("rb") as file, (tmp_path / "copy.db").open("wb") as copy:
            zstandard.ZstdDecompressor().copy_stream(file, copy)
        with closing(_sqlite.connect(tmp_path / "copy.db")) as db:
            rows, newest = db.execute("SELECT COUNT(*), COALESCE(MAX(seq), 0) FROM interaction").fetchone()
            assert [("ok",)] == db.execute("PRAGMA integrity_check").fetchall()
        gaps += rows != newest
        lost += newest < before
    rate = round(writer.acknowledged / seconds)
    print("\n" + json.dumps({"backups": BACKUPS, "gaps": gaps, "lost": lost, "writes_per_s": rate}))
    assert (0, 0) == (gaps, lost)


def test_every_damage_is_found(tmp_path: Path) -> None:
    """
    Flipped bits, truncations, zeroed and swapped pages, the manifest of another: all are found, and nothing else is.
    """
    print(f"\nSTEWARD_FAULT_SEED={SEED}")
    chance = random.Random(SEED)
    data = tmp_path / "data"
    with running_server(data) as server, Client(server.target) as client:
        recorded(client, *(interaction(query=chance.randbytes(3000).hex()) for _ in range(20)))
        made, other = client.create_backup(), client.create_backup()
    backups = Backups(data / "backups", redactor=Redactor(load_key(data, given=None, fresh=False)))
    path = backups.source(made.id)
    content, foreign = path.read_bytes(), backups.source(other.id).read_bytes()
    manifest = len(content) - made.stored_bytes
    assert len(content) > 4 * PAGE

    def damaged(kind: str) -> bytes:
        page, second = (PAGE * each for each in chance.sample(range(len(content) // PAGE), 2))
        match kind:
            case "flip":
                bit = chance.randrange(8 * len(content))
                return content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :]
            case "truncation":
                return content[: chance.randrange(len(content))]
            case "zeroed page":
                return content[:page] + bytes(PAGE) + content[page + PAGE :]
            case "swapped pages":
                first, last = min(page, second), max(page, second)
                swapped = content[last : last + PAGE], content[first + PAGE : last], content[first : first + PAGE]
                return content[:first] + b"".join(swapped) + content[last + PAGE :]
            case _:
                return content[:-manifest] + foreign[-(len(foreign) - other.stored_bytes) :]

    kinds = ["flip", "flip", "truncation", "zeroed page", "swapped pages", "swapped manifests"]
    missed: Counter[str] = Counter()
    for number in range(DAMAGES):
        kind = kinds[number % len(kinds)]
        path.write_bytes(damaged(kind))
        missed[kind] += finished(backups.verify(made.id, now=datetime.now(UTC))).passed
    path.write_bytes(content)
    alarms = sum(not finished(backups.verify(made.id, now=datetime.now(UTC))).passed for _ in range(INTACT))

    print(json.dumps({"damages": DAMAGES, "missed": missed.total(), "intact": INTACT, "alarms": alarms}))
    assert (0, 0) == (missed.total(), alarms)
