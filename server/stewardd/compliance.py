"""
What an auditor wants to have: three tables, a report about them, and digests, in one gzipped tar archive.

A tar archive says how large a file is before the file, so each is written into a scratch directory first; the archive
is made from there as it is sent. Pure but for that, and for what it asks the store it is handed.
"""

import hashlib
import json
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steward.types import FieldViolation
from stewardd import files, tables
from stewardd.files import PIECE, File, Piece, Place
from stewardd.filters import demand, window_violations
from stewardd.privacy import RULES_VERSION, Clean, Redactor
from stewardd.store import Reading

NAME = "compliance.tar.gz"
MEDIA_TYPE = "application/gzip"
TABLES = (tables.INTERACTIONS, tables.SESSIONS, tables.METRICS)
MOST_PURPOSE = 1024  # bytes
PRIVACY = (
    "Sessions stand under keyed pseudonyms only. Texts and labels were redacted before they were stored; the values "
    "that were found are not kept."
)
_BLOCK = 128 * 1024  # bytes read at a time


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive that is asked for."""

    since: datetime | None
    until: datetime | None
    purpose: Clean
    now: datetime

    def pieces(self, store: Reading, *, schema_version: str, epoch: str, scratch: Path) -> Iterator[Piece]:
        """Yield it, of a store of this version and epoch. The directory *scratch* is made, and left."""
        with files.made(scratch):
            members = list(self._tables(store, scratch))
            place = Place(0, 0, sum(each.rows for each in members), 0)
            report = self._report(members, schema_version=schema_version, epoch=epoch)
            members.append(_text(scratch / "report.json", report))
            sums = "".join(f"{each.sha256}  {each.path.name}\n" for each in members)
            members.append(_text(scratch / "SHA256SUMS", sums))
            held = bytearray()
            for data in _archive(members, at=self.now):
                held += data
                if len(held) >= PIECE:
                    place = replace(place, bytes=place.bytes + len(held))
                    yield Piece(bytes(held), place)
                    held.clear()
            yield Piece(bytes(held), replace(place, bytes=place.bytes + len(held)))

    def _tables(self, store: Reading, directory: Path) -> Iterator["Member"]:
        """Write the tables into *directory*; yield each."""
        asked = [self._file(table) for table in TABLES]
        starts = [each.begin(store) for each in asked]  # all of one moment, nearly
        for file, start in zip(asked, starts, strict=True):
            path, digest, place = directory / file.name, hashlib.sha256(), start
            with path.open("wb") as out:
                for piece in file.pieces(store, start, scratch=directory):
                    out.write(piece.data)
                    digest.update(piece.data)
                    place = piece.place
            yield Member(path, place.rows, place.bytes, digest.hexdigest())

    def _file(self, table: tables.Table) -> File:
        rows = tables.choose(table, since=self.since, until=self.until, user_roles=(), now=self.now)
        return File.of(table, rows)

    def _report(self, members: list["Member"], *, schema_version: str, epoch: str) -> str:
        report: dict[str, Any] = {
            "purpose": self.purpose,
            "generated_at": _spelled(self.now),
            "period": {"since": _spelled(self.since), "until": _spelled(self.until)},
            "files": [
                {"name": each.path.name, "rows": each.rows, "bytes": each.bytes, "sha256": each.sha256}
                for each in members
            ],
            "redaction_rules_version": RULES_VERSION,
            "schema_version": schema_version,
            "epoch": epoch,
            "privacy": PRIVACY,
        }
        return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive."""

    path: Path
    rows: int
    bytes: int
    sha256: str  # in hex


def choose(
    *, since: datetime | None, until: datetime | None, purpose: str, redactor: Redactor, now: datetime
) -> Bundle:
    """Return the archive that is asked for. Raises: InvalidArgument, naming each field that is wrong."""
    demand(_violations(since, until, purpose, now))
    clean, _ = redactor.redact(purpose)
    return Bundle(since, until, clean, now)


def _violations(
    since: datetime | None, until: datetime | None, purpose: str, now: datetime
) -> Iterator[FieldViolation]:
    yield from window_violations(since, until, now=now)
    if len(purpose.encode()) > MOST_PURPOSE or "\0" in purpose:
        yield FieldViolation("purpose", f"must be at most {MOST_PURPOSE} bytes of UTF-8, without NUL")


def _text(path: Path, text: str) -> Member:
    content = text.encode()
    path.write_bytes(content)
    return Member(path, 0, len(content), hashlib.sha256(content).hexdigest())


def _archive(members: list[Member], *, at: datetime) -> Iterator[bytes]:
    """Yield the archive of *members* in small steps. tarfile would write a whole file in one."""
    compressor = zlib.compressobj(wbits=31)
    for each in members:
        entry = tarfile.TarInfo(each.path.name)
        entry.size, entry.mode, entry.mtime = each.bytes, 0o600, int(at.timestamp())
        yield compressor.compress(entry.tobuf())
        with each.path.open("rb") as file:
            while block := file.read(_BLOCK):
                yield compressor.compress(block)
        yield compressor.compress(bytes(-each.bytes % tarfile.BLOCKSIZE))
    yield compressor.compress(bytes(2 * tarfile.BLOCKSIZE))
    yield compressor.flush()


def _spelled(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
