"""
How much memory a daemon takes, with the processes it started.
"""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self


class Peak:
    """The most memory that a process and those it started have taken since this was made, sampled. Use as a context."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stopped = threading.Event()
        self._sampler = threading.Thread(target=self._sample)
        self.mib = 0.0

    def __enter__(self) -> Self:
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._sampler.join()

    def _sample(self) -> None:
        while not self._stopped.wait(0.05):
            self.mib = max(self.mib, taken(self._pid))


def taken(pid: int) -> float:
    """Return the memory of process *pid* and of those it started, in MiB: what they share counts once (PSS)."""
    return sum(_share(each) for each in _tree(pid)) / 1024


def _tree(pid: int) -> list[int]:
    parents = dict(_parents())
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for each in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            yield int(each.parent.name), int(each.read_text(encoding="ascii").rpartition(")")[2].split()[1])


def _share(pid: int) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0
