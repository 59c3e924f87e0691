"""
What the clients of a fault test know, kept apart from the server, and what its store is held against it for.

A store is looked into from a process that runs no server on it, or after its server has ended.
"""

import hashlib
import importlib
import json
import os
import random
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from steward.ids import parse
from steward.types import Interaction, Receipt
from stewardd.store.times import micros

FILE = "steward.db"
TOLERANCE = 1e-9
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # s, for clients to come to an end

_sqlite: Any = sqlite3
with suppress(ImportError):  # the one the server has, where it is installed
    _sqlite = importlib.import_module("pysqlite3.dbapi2")

# In the order of the columns below.
_SENT = (
    "user_role",
    "query",
    "query_type",
    "response_time_seconds",
    "response_length",
    "code_snippets_shown",
    "citations_provided",
    "success",
    "user_rating",
    "follow_up_query",
    "conversation_turn",
)

_ROWS = f"""
SELECT i.interaction_id, i.seq, s.pseudonym, i.occurred_at, i.recorded_at, {", ".join(f"i.{name}" for name in _SENT)}
FROM interaction i LEFT JOIN session s ON s.key = i.session
"""  # noqa: S608 -- names of columns

# The sessions as their rows make them, beside what the store keeps of them.
_SESSIONS = """
SELECT s.total_queries, s.successful_queries, s.detailed_queries, s.timed_queries, s.total_code_snippets,
       s.total_citations, s.ratings, s.started_at, s.last_activity_at, s.user_role, s.response_time_sum, s.rating_sum,
       COUNT(i.seq), TOTAL(i.success),
       TOTAL(i.success AND (i.code_snippets_shown OR i.citations_provided)), COUNT(i.response_time_seconds),
       TOTAL(i.code_snippets_shown), TOTAL(i.citations_provided), COUNT(i.user_rating), MIN(i.occurred_at),
       MAX(i.occurred_at), (SELECT f.user_role FROM interaction f WHERE f.session = s.key ORDER BY f.seq LIMIT 1),
       TOTAL(i.response_time_seconds), TOTAL(i.user_rating)
FROM session s LEFT JOIN interaction i ON i.session = s.key
GROUP BY s.key
"""
_EXACT = 10  # of those, the figures that must be equal; the two sums may be off by a rounding


class Journal:
    """What one client is about to send, and what it was told is on disk. Each line is written before it goes on."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def close(self) -> None:
        """Bring it to disk and let go of it."""
        self.sync()
        os.close(self._file)

    def sent(self, interactions: Iterable[Interaction]) -> None:
        """Note what is about to be sent."""
        self._write(f"sent {each.interaction_id} {digest(each)}\n" for each in interactions)

    def acknowledged(self, receipts: Iterable[Receipt]) -> None:
        """Note what the server says it has."""
        self._write(f"acknowledged {each.interaction_id} {each.seq} {each.session}\n" for each in receipts)

    def sync(self) -> None:
        """
        Bring it to disk.

        No test takes this machine's power away, so this is for the failures and the end; a written line outlives both
        the server and the client.
        """
        os.fsync(self._file)

    def _write(self, lines: Iterable[str]) -> None:
        os.write(self._file, "".join(lines).encode())


@dataclass(frozen=True, slots=True)
class Known:
    """What all journals say."""

    sent: Mapping[bytes, frozenset[str]]  # digests by interaction id
    acknowledged: Mapping[bytes, frozenset[tuple[int, str]]]  # seq and session by interaction id; should be one each


def known(directory: Path) -> Known:
    """Read the journals in *directory*, which may still be written."""
    sent: dict[bytes, set[str]] = {}
    acknowledged: dict[bytes, set[tuple[int, str]]] = {}
    for line in _lines(directory):
        match line.split():
            case ["sent", key, payload]:
                sent.setdefault(_id(key), set()).add(payload)
            case ["acknowledged", key, seq, session]:
                acknowledged.setdefault(_id(key), set()).add((int(seq), session))
    return Known(
        {key: frozenset(values) for key, values in sent.items()},
        {key: frozenset(values) for key, values in acknowledged.items()},
    )


def _lines(directory: Path) -> Iterator[str]:
    for path in sorted(directory.glob("*.journal")):
        yield from lines(path)


def lines(path: Path) -> list[str]:
    """Return the whole lines of the journal at *path*: the last one may be under way."""
    whole, _, _ = path.read_text(encoding="ascii").rpartition("\n")
    return whole.splitlines()


def _id(text: str) -> bytes:
    key = parse(text)
    assert key is not None
    return key


def digest(sent: Interaction) -> str:
    """Return what tells the payload of *sent* from any other."""
    at = None if sent.occurred_at is None else micros(sent.occurred_at)
    return _digest([getattr(sent, name) for name in _SENT], at)


def _digest(values: Sequence[Any], occurred_at: int | None) -> str:
    """Return the digest of *values*, as sent or as stored; the server's own time is not of the payload."""
    spelled = repr([None if value is None else value if isinstance(value, str) else float(value) for value in values])
    return hashlib.sha256(f"{spelled} {occurred_at}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many things are wrong with a store, by kind. Each should be 0."""

    lost: int = 0  # acknowledged and not stored
    never_sent: int = 0
    duplicated: int = 0  # ids, or places in the order, that stand twice
    misplaced: int = 0  # elsewhere than a receipt said, or with two receipts that differ
    altered: int = 0  # stored other than sent
    sessions_wrong: int = 0  # those that do not agree with their rows
    corrupt: int = 0  # complaints of integrity_check and foreign_key_check


def audit(data: Path, journals: Path) -> Verdict:
    """
    Hold the store in *data* against all *journals*.

    Right under load too: what was acknowledged before, in one snapshot, of what was sent until after.
    """
    before = known(journals)
    with reading(data) as db:
        rows = db.execute(_ROWS).fetchall()
        wrong, corrupt = _sessions_wrong(db), _complaints(db)
    after = known(journals)
    places = {bytes(row[0]): (row[1], row[2]) for row in rows}
    return Verdict(
        lost=sum(key not in places for key in before.acknowledged),
        never_sent=len(places.keys() - after.sent.keys()),
        duplicated=2 * len(rows) - len(places) - len({row[1] for row in rows}),
        misplaced=sum({places[key]} != said for key, said in before.acknowledged.items() if key in places),
        altered=sum(not _stored_digests(row) & after.sent.get(bytes(row[0]), frozenset()) for row in rows),
        sessions_wrong=wrong,
        corrupt=corrupt,
    )


def _stored_digests(row: Sequence[Any]) -> set[str]:
    occurred_at, recorded_at, values = row[3], row[4], row[5:]
    return {_digest(values, at) for at in ((occurred_at, None) if occurred_at == recorded_at else (occurred_at,))}


def _sessions_wrong(db: Any) -> int:
    rows = [(row[: len(row) // 2], row[len(row) // 2 :]) for row in db.execute(_SESSIONS)]
    return sum(not _agree(kept, counted) for kept, counted in rows)


def _agree(kept: Sequence[Any], counted: Sequence[Any]) -> bool:
    sums = zip(kept[_EXACT:], counted[_EXACT:], strict=True)
    return kept[:_EXACT] == counted[:_EXACT] and all(abs(a - b) <= TOLERANCE * max(1.0, abs(b)) for a, b in sums)


def _complaints(db: Any) -> int:
    found = [each for (each,) in db.execute("PRAGMA integrity_check") if each != "ok"]
    return len(found) + len(db.execute("PRAGMA foreign_key_check").fetchall())


def missing(data: Path, acknowledged: Collection[bytes]) -> int:
    """Return how many of *acknowledged* the store in *data* lacks: the quick look, by index."""
    with reading(data) as db:
        found = (db.execute("SELECT 1 FROM interaction WHERE interaction_id = ?", (key,)) for key in acknowledged)
        return sum(cursor.fetchone() is None for cursor in found)


@contextmanager
def reading(data: Path) -> Iterator[Any]:
    """Open the store in *data* to look at one state of it, and to change nothing."""
    with closing(_sqlite.connect(f"{(data / FILE).as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
        db.execute("BEGIN")
        yield db


# The clients


class Writers:
    """Processes of writing clients, from the time they write to `stop`."""

    def __init__(self, target: str, directory: Path, *, clients: int, seed: int, give_up: bool = False) -> None:
        """Start *clients* in two processes, keeping their journals in *directory*."""
        command = [sys.executable, "-m", "tests.faults.writers", target, str(directory)]
        flags = ["--clients", str(clients // 2), *(["--give-up"] if give_up else [])]
        self._processes = [
            subprocess.Popen(
                [*command, *flags, "--seed", str(2 * seed + half)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            for half in range(2)
        ]
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "writing\n"

    def stop(self) -> Counter[str]:
        """Let each client finish what it is at, and return how many calls failed with which error and reason."""
        said = [process.communicate("", timeout=PATIENCE)[0] for process in self._processes]
        assert [0, 0] == [process.returncode for process in self._processes]
        return sum((Counter(json.loads(each)) for each in said), Counter())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
                process.communicate()


def free_port() -> int:
    """Return a free port below those the system hands to callers: a client knocking on one of those may get itself."""
    while True:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), closing(socket.create_server(("127.0.0.1", port))):
            return port
