"""
The connection of a recorder to its server: made for the first call, let go of before a fork and at the end.
"""

import _thread
from typing import Any

import grpc

from steward.recording.batches import METHOD
from steward.transport import channel
from steward.v1.ingest_pb2 import RecordInteractionsResponse


class Line:
    """A connection to *target*, whose calls may take so many seconds, the *timeout*."""

    def __init__(self, target: str, *, timeout: float) -> None:
        """Prepare to connect."""
        self._target = target
        self._timeout = timeout
        self._channel: grpc.Channel | None = None
        self._record: Any = None  # the RPC

    def call(self, request: bytes) -> Any:
        """Send a RecordInteractionsRequest; return the call. Raises: RuntimeError when no thread is to be had."""
        # Asked first, as an interpreter that ends gives none, and a channel whose own did not start never closes.
        _thread.start_new_thread(int, ())
        if self._channel is None:
            self._channel = channel(self._target)
            self._record = self._channel.unary_unary(
                METHOD, response_deserializer=RecordInteractionsResponse.FromString
            )
        return self._record.future(request, timeout=self._timeout)

    def close(self) -> None:
        """Let go of the connection. The next call makes another."""
        if self._channel is not None:
            self._channel.close()
            self._channel = self._record = None
