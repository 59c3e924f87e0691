"""
Real servers for tests: in this process, or in one of their own that can be killed.

    with running_server() as server, Client(server.target) as client:
        client.record_interaction(...)
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

from stewardd import config
from stewardd.app import App

T = TypeVar("T")

ANY_PORT = "127.0.0.1:0"


@cache
def loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that all servers of this process run on: gRPC wants no second one."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="steward-testing", daemon=True).start()
    return made


def wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* on the servers' loop and return what it returns. An AsyncClient is to be used this way too."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop()).result()


@contextmanager
def running_server(data: Path | None = None, **settings: object) -> Iterator[App]:
    """
    Run a server in this process on a free port: a fresh store, or that of *data*, with *settings* of the config.

    Its `target` is where to connect to. SQLite must not be opened on its file by another library in this process. A
    script asks for it under `if __name__ == "__main__"`, as multiprocessing wants, which makes the exports.
    """
    with TemporaryDirectory(prefix="steward-") as scratch:
        listed: dict[str, object] = {
            "listen": ANY_PORT,
            "data": data or Path(scratch),
            "log_level": "error",
            "drain_seconds": 0.0,
            **settings,
        }
        app = App(config.load(**listed))
        wait(app.start())
        try:
            yield app
        finally:
            wait(app.stop())


class Daemon:
    """A server in a process of its own. It serves once this is made; use it as a context, or `stop` or `kill` it."""

    def __init__(
        self,
        data: Path,
        *flags: str,
        listen: str = ANY_PORT,
        environment: Mapping[str, str] | None = None,
        stdout: Path | None = None,
        under: Sequence[str] = (),
    ) -> None:
        """
        Start `stewardd serve` on *data*, by way of the command *under*, which must become it.

        What it writes to stdout goes into the file *stdout*, if given.

        Raises: RuntimeError with what it said when it does not come to serve.
        """
        command = [*under, sys.executable, "-m", "stewardd", "serve", "--listen", listen, "--data", str(data), *flags]
        with stdout.open("wb") if stdout else nullcontext() as output:
            self.process = subprocess.Popen(  # noqa: S603 -- our own program
                command, stdout=output, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
            )
        self.log: list[str] = []  # what it wrote to stderr
        self.target = ""
        self._settled = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._settled.wait()
        if not self.target:
            self.process.wait()
            self._reader.join()
            raise RuntimeError("".join(self.log).strip())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def stop(self) -> int:
        """Ask it to stop, as an operator would, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it at once."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait()
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.log.append(line)
                if '"server.serving"' in line:
                    self.target = json.loads(line)["listen"]
                    self._settled.set()
        self._settled.set()
