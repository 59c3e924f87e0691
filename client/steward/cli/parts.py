"""
A file on its way: FILE.part, and beside it in FILE.part.json how far it has come, until it is whole and gets its name.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

from steward.disk import sync_directory
from steward.errors import Error

NOTED = 1.0  # s between notes of how far it has come
_BLOCK = 1024 * 1024  # bytes read at a time


@dataclass(frozen=True, slots=True)
class Note:
    """How far a part has come."""

    token: str  # goes on behind it
    bytes: int
    sha256: str  # of those bytes, in hex


class Part:
    """A file on its way to *path*. Use it as a context: what is not done at its end stays, to be gone on with."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = path.with_name(path.name + ".part")
        self._note_place = path.with_name(path.name + ".part.json")
        self._digest: Any = hashlib.sha256()
        self._file: BinaryIO | None = None
        self._bytes = 0
        self._token = ""
        self._noted = 0.0  # when, by the monotonic clock

    def refuse(self, *, force: bool, resume: bool) -> None:
        """Raise Error when something is there that neither *force* nor *resume* allows to be taken away."""
        if self._path.exists() and not force:
            raise Error(f"{self._path} is there already: --force replaces it")
        if self._note_place.exists() and not (force or resume):
            raise Error(f"{self.place} is there of a broken export: --resume goes on with it, --force begins anew")

    def note(self) -> Note | None:
        """Return how far an earlier export has come, None without one. Raises: Error when the note is none."""
        try:
            content = json.loads(self._note_place.read_text(encoding="utf-8"))
            return Note(str(content["token"]), int(content["bytes"]), str(content["sha256"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            raise Error(f"{self._note_place} cannot be read as what --resume needs: --force begins anew") from None

    @property
    def sha256(self) -> str:
        """The digest of all that is written."""
        return str(self._digest.hexdigest())

    def open(self, note: Note | None) -> None:
        """Begin, or go on where *note* was made. Raises: Error when the part is not what the note says."""
        with self._explained():
            flags = os.O_RDWR | os.O_CREAT | (os.O_TRUNC if note is None else 0)
            self._file = open(os.open(self.place, flags, 0o600), "r+b")  # noqa: PTH123, SIM115 -- with its mode
            if note is None:
                self._note_place.unlink(missing_ok=True)
            else:
                self._go_on(self._file, note)

    def _go_on(self, file: BinaryIO, note: Note) -> None:
        left = note.bytes
        while left and (block := file.read(min(left, _BLOCK))):
            self._digest.update(block)
            left -= len(block)
        if left or self.sha256 != note.sha256:
            raise Error(f"{self.place} is not what {self._note_place.name} says: --force begins anew")
        file.seek(note.bytes)
        file.truncate()
        self._bytes, self._token = note.bytes, note.token

    def write(self, data: bytes, token: str) -> None:
        """Write *data*, behind which *token* goes on."""
        assert self._file is not None
        with self._explained():
            self._file.write(data)
            self._digest.update(data)
            self._bytes += len(data)
            self._token = token
            if token and time.monotonic() - self._noted >= NOTED:
                self._write_note()

    def finish(self) -> None:
        """Give the file its name, once it is on disk."""
        assert self._file is not None
        with self._explained():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self.place.replace(self._path)
            self._note_place.unlink(missing_ok=True)
            sync_directory(self._path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._file is None or kind is None:
            return
        with contextlib.suppress(OSError):  # where the disk is full the last note stands
            if self._token:
                self._write_note()
        with contextlib.suppress(OSError):
            self._file.close()
        if not self._note_place.exists():
            self.place.unlink(missing_ok=True)  # it cannot be gone on with

    def _write_note(self) -> None:
        assert self._file is not None
        self._file.flush()  # a note never says more than is there
        content = json.dumps({"token": self._token, "bytes": self._bytes, "sha256": self.sha256})
        fresh = self._note_place.with_name(self._note_place.name + ".new")
        try:
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 -- see above
                file.write(content)
            fresh.replace(self._note_place)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        self._noted = time.monotonic()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            rest = "; --resume goes on with what came" if self._token else ""
            raise Error(f"{self.place} cannot be written: {error.strerror}{rest}") from None
