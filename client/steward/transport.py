"""
What both clients share of a connection: where to, with which channel options, how long, and when to try again.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from google.protobuf.descriptor_pb2 import MethodOptions

from steward import errors
from steward.types import LIMITS
from steward.v1 import backup_service_pb2, data_management_service_pb2, health_service_pb2

DEFAULT_PORT = 50051
DEFAULT_TARGET = f"127.0.0.1:{DEFAULT_PORT}"
OPTIONS = (
    ("grpc.enable_retries", 0),  # the client's own, which heed what the server says of when to come back
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", 4 * LIMITS.message_bytes),  # the server says best what is too large
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # While it waits to connect again, gRPC fails every call at once: by itself up to 2 min after the server is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """
    When a call that may be repeated is tried again: only where the server is away or busy, with full jitter.

    The method is that of https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """

    attempts: int = 5  # in all
    first_delay: float = 0.1  # s, at most; doubles each time
    max_delay: float = 5.0  # s

    def delay(self, error: errors.Error, *, attempt: int) -> float | None:
        """Return how many seconds to wait after *attempt* met *error*; None when it is not to be tried again."""
        if attempt >= self.attempts or not _passing(error):
            return None
        backoff = min(self.max_delay, self.first_delay * 2 ** (attempt - 1))
        jitter = random.uniform(0, backoff)  # noqa: S311 -- not a secret
        return (error.retry_after or 0.0) + jitter


def _passing(error: errors.Error) -> bool:
    if isinstance(error, errors.Unavailable):
        return True
    return isinstance(error, errors.ResourceExhausted) and error.retry_after is not None


def target(given: str | None) -> str:
    """Return where to connect to: *given*, else STEWARD_TARGET, else this machine."""
    chosen = given or os.environ.get("STEWARD_TARGET") or DEFAULT_TARGET
    return chosen if ":" in chosen else f"{chosen}:{DEFAULT_PORT}"


_used_in: int | None = None  # the first process that made a channel


def _use() -> None:
    global _used_in  # noqa: PLW0603 -- a process has one gRPC
    _used_in = _used_in or os.getpid()


def stranded() -> bool:
    """Whether this process was forked from one that had used gRPC, which may then hang here for ever, lock in hand."""
    return _used_in not in (None, os.getpid())


def used() -> bool:
    """Whether this process has used gRPC, so that its children may not."""
    return _used_in == os.getpid()


def channel(address: str) -> grpc.Channel:
    """Return a channel for a synchronous client."""
    _use()
    return grpc.insecure_channel(address, options=OPTIONS)


def aio_channel(address: str) -> grpc.aio.Channel:
    """Return a channel for an asynchronous client."""
    _use()
    return grpc.aio.insecure_channel(address, options=OPTIONS)


def _repeatable() -> frozenset[str]:
    """Return the request types of the RPCs that the .proto files call idempotent."""
    return frozenset(
        method.input_type.full_name
        for file in (data_management_service_pb2, backup_service_pb2, health_service_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
    )


REPEATABLE = _repeatable()


def gone_by(deadline: float, clock: Callable[[], float]) -> float:
    """Return how many seconds are left until *deadline*. Raises: DeadlineExceeded when none are."""
    left = deadline - clock()
    if left <= 0:
        raise errors.DeadlineExceeded(errors.NO_ANSWER)
    return left
