"""
One daemon to a data directory: an advisory lock that the kernel drops when its holder dies, however it dies.
"""

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import IO

from steward.errors import FailedPrecondition


class Lock:
    """A data directory, held until `release`."""

    def __init__(self, data: Path) -> None:
        """Take hold of *data*. Raises: FailedPrecondition, naming who holds it."""
        path = data / "steward.lock"
        self._file: IO[str] = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = self._file.read()
            self._file.close()
            raise FailedPrecondition(f"{data} is in use by another stewardd: {_named(holder)}. Stop it first") from None
        self.say(listen="")

    def say(self, *, listen: str) -> None:
        """Write down who holds the directory, and where it listens."""
        self._file.seek(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname(), "listen": listen}, self._file)
        self._file.truncate()
        self._file.flush()

    def release(self) -> None:
        """Let go. The file stays: removing it would let two hold what they take for the same."""
        self._file.close()


def _named(holder: str) -> str:
    try:
        known = json.loads(holder)
        return f"process {known['pid']} on {known['host']}, listening on {known['listen'] or 'nothing yet'}"
    except (ValueError, KeyError, TypeError):
        return "it has not said which process"
