"""
A network to a server that can be cut in the midst of what it carries, or fall silent: a proxy of TCP.
"""

import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Self

CHUNK = 16384
PATIENCE = 30.0  # s


class Network:
    """Passes on what comes to its `target`, from the time it is entered."""

    def __init__(self, server: str) -> None:
        host, _, port = server.rpartition(":")
        self._server = (host, int(port))
        self._door = socket.create_server(("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self._door.getsockname()[1]}"
        self._peers: dict[socket.socket, socket.socket] = {}
        self._left: int | None = None  # bytes to pass until the cut, if there is to be one
        self._cut = threading.Event()
        self._silent = False
        self._over = False
        self._orders: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._ear, self._mouth = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="network")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._order(self._end)
        self._thread.join()

    def cut(self, *, after: int) -> None:
        """Reset all connections in the midst of what they carry, *after* so many bytes; return when that is done."""
        self._cut.clear()
        self._order(lambda: setattr(self, "_left", after))
        assert self._cut.wait(PATIENCE), f"within {PATIENCE:g} s nothing came that could be cut"

    def silence(self) -> None:
        """Take connections, as a network does that loses all packets on the way, and pass nothing on."""
        self._order(lambda: setattr(self, "_silent", True))

    def heal(self, *, reset: bool) -> None:
        """Pass on again, also what came meanwhile, or *reset* all connections first."""
        if reset:
            self._order(self._reset)
        self._order(lambda: setattr(self, "_silent", False))

    def _order(self, what: Callable[[], None]) -> None:
        self._orders.put(what)
        self._mouth.send(b"!")

    def _end(self) -> None:
        self._over = True

    def _serve(self) -> None:
        with self._door, self._ear, self._mouth:
            while not self._over:
                heard = [self._ear] if self._silent else [self._ear, self._door, *self._peers]
                for ready in select.select(heard, (), ())[0]:
                    if ready is self._ear:
                        self._ear.recv(1)
                        self._orders.get()()
                        break  # what was ready may be gone
                    if ready is self._door:
                        self._connect()
                    elif ready in self._peers:
                        self._pass(ready)
            self._reset()

    def _connect(self) -> None:
        caller, _ = self._door.accept()
        try:
            server = socket.create_connection(self._server)
        except OSError:  # it is away
            caller.close()
        else:
            self._peers.update({caller: server, server: caller})

    def _pass(self, source: socket.socket) -> None:
        """Pass on what came from *source*, up to the cut."""
        try:
            data = source.recv(CHUNK)
            if self._left is not None:
                data, self._left = data[: self._left], self._left - len(data)
            self._peers[source].sendall(data)
        except OSError:
            data = b""
        if self._left is not None and self._left <= 0:
            self._left = None
            self._reset()
            self._cut.set()
        elif not data:
            for each in (source, self._peers.pop(source)):
                self._peers.pop(each, None)
                each.close()

    def _reset(self) -> None:
        for each in self._peers:
            with suppress(OSError):  # it may be at its end
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
            each.close()
        self._peers.clear()
