"""
Reads the files of Steward's predecessor: SQLite, gzipped or not, of its older or newer generation of tables.

Runs where the file is, not in the server. Reads into memory, so that no unpacked copy of what the file holds is left
behind. Judges nothing: rows come as they are, and what no interaction can hold is a rejection.
"""

import gzip
import json
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from steward import ids
from steward.errors import InvalidArgument
from steward.types import FieldViolation, ImportedInteraction, ImportRejection, Interaction

T = TypeVar("T")

TABLE = "user_interactions"
# What both generations have. The newer has privacy_score and created_at too.
COLUMNS = (
    "id",
    "session_id",
    "timestamp",
    "user_role",
    "query",
    "query_type",
    "response_time",
    "response_length",
    "code_snippets_shown",
    "citations_provided",
    "success",
    "user_rating",
    "follow_up_query",
    "conversation_turn",
)
_GZIP, _SQLITE = b"\x1f\x8b", b"SQLite format 3\0"
_HASH = re.compile(r"[0-9a-f]{16,64}")
MOST_BYTES = 2 * 1024**3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LegacyFile:
    """An open file of the predecessor. Close it at the end."""

    def __init__(self, path: Path) -> None:
        """Open the file at *path*. Raises: InvalidArgument when it cannot be read, or is not the predecessor's."""
        self._path = path
        self._database = _open(path)
        try:
            self._check()
            self.count: int = self._one(f"SELECT COUNT(*) FROM {TABLE}")  # noqa: S608 -- our own name
            self.skipped = self._others()  # tables that are not read, and their rows
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise _refused(path, f"is damaged: {error}") from None
        except InvalidArgument:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def interactions(self, *, zone: tzinfo = UTC) -> Iterator[ImportedInteraction | ImportRejection]:
        """
        Yield every interaction in the order of its id, its naive time taken as one of *zone*.

        Its id is made from the row itself, without the zone: so importing it twice stores it once.
        """
        with closing(self._database.execute(f"SELECT * FROM {TABLE} ORDER BY id")) as cursor:  # noqa: S608 -- see above
            names = [each[0] for each in cursor.description]
            try:
                for row in cursor:
                    yield _interaction(dict(zip(names, row, strict=True)), zone)
            except sqlite3.DatabaseError as error:
                raise _refused(self._path, f"is damaged: {error}") from None

    def _check(self) -> None:
        tables = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"  # a view could take for ever
        if not self._database.execute(tables, (TABLE,)).fetchone():
            raise _refused(self._path, f"is not the predecessor's: it has no table {TABLE}")
        found = {name for (name,) in self._database.execute("SELECT name FROM pragma_table_info(?)", (TABLE,))}
        missing = [name for name in COLUMNS if name not in found]
        if missing:
            raise _refused(self._path, f"is not the predecessor's: {TABLE} has no column {missing[0]}")
        if self._one("PRAGMA quick_check(1)") != "ok":
            raise _refused(self._path, "is damaged: SQLite's quick_check fails")

    def _others(self) -> dict[str, int]:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
        names = [name for (name,) in self._database.execute(query) if name != TABLE]
        quoted = {name: '"' + name.replace('"', '""') + '"' for name in names}
        return {name: self._one(f"SELECT COUNT(*) FROM {quoted[name]}") for name in names}  # noqa: S608 -- quoted

    def _one(self, sql: str) -> Any:
        return self._database.execute(sql).fetchone()[0]


# Opening


def _refused(path: Path, why: str) -> InvalidArgument:
    return InvalidArgument(f"{path} {why}")


def _open(path: Path) -> sqlite3.Connection:
    content = bytearray(_read(path))
    if not content.startswith(_SQLITE):
        raise _refused(path, "is not the predecessor's: it holds no SQLite database")
    page = int.from_bytes(content[16:18], "big")
    if len(content) < int.from_bytes(content[28:32], "big") * (65536 if page == 1 else page):
        raise _refused(path, "is truncated: it is shorter than it says")
    content[18:20] = b"\1\1"  # a file in memory has no write-ahead log: https://sqlite.org/fileformat2.html#1.3.3
    database = sqlite3.connect(":memory:", check_same_thread=False)  # gRPC reads what it sends on its own thread
    database.deserialize(bytes(content))
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA query_only = ON")
    database.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return database


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            with gzip.open(path) as unpacked:
                content = unpacked.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise _refused(path, "is not the predecessor's: it unpacks to more than 2 GiB")
            return content
    except OSError as error:  # gzip.BadGzipFile is one
        raise _refused(path, f"cannot be read: {error.strerror or 'it is not gzip, or damaged'}") from None
    except EOFError:
        raise _refused(path, "is truncated: its gzip ends too early") from None
    except zlib.error:
        raise _refused(path, "is damaged: its gzip does not unpack") from None
    if path.suffix == ".gz":
        raise _refused(path, "is not gzip, though its name says so")
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise _refused(path, f"has changes in {log.name} that are not in it yet: close what uses it, then try again")
    return content


# A row


def _interaction(row: dict[str, Any], zone: tzinfo) -> ImportedInteraction | ImportRejection:
    bad: list[FieldViolation] = []

    def take(column: str, read: Callable[[Any], T], default: T, *, field: str | None = None) -> T:
        value = row[column]
        try:
            return default if value is None else read(value)
        except (ValueError, OverflowError) as error:
            bad.append(FieldViolation(field or column, str(error)))
            return default

    naive = take("timestamp", _time, None, field="occurred_at")
    number = row["id"] if isinstance(row["id"], int) else 0
    if naive is None:
        rule = FieldViolation("occurred_at", "must be an ISO 8601 time")
        return ImportRejection(number, (rule,))
    session = take("session_id", _text, "")
    interaction = Interaction(
        interaction_id=_id(row, naive),
        session_id="" if _HASH.fullmatch(session) else session,
        occurred_at=take("timestamp", lambda _: _placed(naive, zone), None, field="occurred_at"),
        user_role=take("user_role", _text, ""),
        query=take("query", _text, ""),
        query_type=take("query_type", _text, ""),
        response_time_seconds=take("response_time", _real, None, field="response_time_seconds"),
        response_length=take("response_length", _whole, None),
        code_snippets_shown=take("code_snippets_shown", _whole, 0),
        citations_provided=take("citations_provided", _whole, 0),
        success=take("success", _truth, None),
        user_rating=take("user_rating", _real, None),
        follow_up_query=take("follow_up_query", _truth, False),
        conversation_turn=take("conversation_turn", _whole, 1),
    )
    if bad:
        return ImportRejection(number, tuple(bad))
    kept = session if _HASH.fullmatch(session) else ""
    return ImportedInteraction(row=number, interaction=interaction, session=kept)


def _id(row: dict[str, Any], naive: datetime) -> str:
    content = json.dumps(row, sort_keys=True, default=bytes.hex)
    return ids.derive((naive.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1), content.encode())


def _time(value: Any) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 time")  # noqa: TRY004 -- see _text
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("must be an ISO 8601 time") from None


def _placed(time: datetime, zone: tzinfo) -> datetime:
    return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        raise ValueError("must be text")  # noqa: TRY004 -- a row that is wrong, not a caller
    text = str(value)
    if not text.isprintable() and any("\ud800" <= each <= "\udfff" for each in text):
        raise ValueError("must be text in UTF-8")
    return text


def _real(value: Any) -> float:
    if not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 -- see _text
    return float(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int | float) or value != int(value) or not -(2**63) <= value < 2**63:
        raise ValueError("must be a whole number of 64 bits")
    return int(value)


def _truth(value: Any) -> bool:
    if value not in (0, 1):
        raise ValueError("must be 0 or 1")
    return bool(value)
