"""
A process that is spoken to in lines: it says when it is ready, and answers each line with one.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

LEAVE = 60  # s after the end of its input in which it must end


class Child:
    """A module of this package as a process. Use it as a context."""

    def __init__(
        self, module: str, *arguments: str, python: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """
        Start *module* with *arguments* and wait for its first line.

        It is run by *python*, or this one; its variables are those of *environment*, or ours.

        Raises: RuntimeError when it ends before it says something.
        """
        self._module = module
        command = [str(python or sys.executable), "-m", f"tests.benchmarks.{module}", *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        try:
            self.greeting = self._line()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=LEAVE)  # the end of its input is the end of it
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

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
