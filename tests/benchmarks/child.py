"""
A baseline in a process of its own, spoken to in lines: it says when it is ready, and answers each line with one.
"""

import subprocess
import sys
from typing import Self


class Child:
    """A module of this package as a process. Use it as a context."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Start *module* with *arguments* and wait for its first line."""
        self._module = module
        command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.greeting = self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # the end of its input is the end of it

    def ask(self, line: str) -> str:
        """Return what it answers to *line*."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self._module} ended early")
        return line.strip()
