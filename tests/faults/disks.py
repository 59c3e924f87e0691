"""
Small disks: each a tmpfs that one process and what it starts see, and that is seen from here through /proc.
"""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

PAGE = 4096


def mounting(size: str, *places: str) -> tuple[str, ...]:
    """Return the start of a command that sees disks of *size* at *places* below the directory that it is given next."""
    mounts = (f'mkdir -p "$0{each}" && mount -t tmpfs -o size={size} tmpfs "$0{each}" && ' for each in places or ("",))
    return ("unshare", "-rm", "sh", "-c", f'{"".join(mounts)}exec "$@"')


def mountable(command: tuple[str, ...], directory: Path, what: str) -> Path:
    """Return *directory* when *command* can mount there; else skip the test, saying that nothing is known of *what*."""
    directory.mkdir()
    tried = subprocess.run([*command, str(directory), "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"NOTHING IS KNOWN OF {what}: a tmpfs cannot be mounted here: {tried.stderr.strip()}")
    return directory


class Disk:
    """The disk that *process* has at *mounted*, from outside."""

    def __init__(self, process: "subprocess.Popen[str]", mounted: Path) -> None:
        self.root = Path(f"/proc/{process.pid}/root{mounted}")
        self._filler = self.root / "filler"

    def fill(self, *, room: int = 0) -> None:
        """Leave *room*, in pages."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (65536, PAGE, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
        os.truncate(self._filler, self._filler.stat().st_size - room * PAGE)

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink()

    def names(self) -> set[str]:
        """Return what is on it."""
        return {each.name for each in self.root.iterdir()}
