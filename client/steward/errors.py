"""
Everything that can go wrong with a call, as the server raises it and as the client gets it back.

    Error
    ├── InvalidArgument       a field breaks a rule: do not send it again as it is
    ├── NotFound              there is no such thing
    ├── FailedPrecondition    not in the present state
    ├── Unauthenticated       who you are is not known
    ├── PermissionDenied      you may not
    ├── ResourceExhausted     too much at once, or too large
    ├── Unavailable           the server is away, stopping, or cannot write or read its store
    ├── DeadlineExceeded      no answer in time: whether it was done is not known
    ├── Cancelled             the caller gave up
    ├── Unimplemented         this server does not know the call
    ├── StreamTruncated       what came of a stream is not what was sent
    └── Internal              a fault of the server: its log has it under the request id

Each class has one gRPC status, in steward.status.
"""

from collections.abc import Sequence

from steward.types import FieldViolation

NO_ANSWER = "no answer within the time given: whether it was done is not known"


class Error(Exception):
    """Something went wrong with a call."""

    reason: str = "UNSPECIFIED"  # a name of steward.v1.ErrorReason, without its prefix

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message  # what was wrong and what would be right
        self.reason = reason or type(self).reason
        self.violations = tuple(violations)  # the fields in question, if there are any
        self.retry_after = retry_after  # s; None when the server did not say
        self.request_id = request_id  # the call's id in the server's log, if it was told


class InvalidArgument(Error):
    """A field breaks a rule."""

    reason = "INVALID_FIELD"

    @classmethod
    def of(cls, *violations: FieldViolation) -> "InvalidArgument":
        """Return the error that names *violations*."""
        first, more = violations[0], len(violations) - 1
        rest = f" (and {more} more)" if more else ""
        return cls(f"{first.field}: {first.rule}{rest}", violations=violations)


class NotFound(Error):
    """There is no such thing."""


class FailedPrecondition(Error):
    """It cannot be done in the present state."""


class Unauthenticated(Error):
    """Who calls is not known."""


class PermissionDenied(Error):
    """Who calls may not do it."""


class ResourceExhausted(Error):
    """It is too much at once, or too large."""


class Unavailable(Error):
    """The server is away, stopping, or cannot write or read its store."""


class DeadlineExceeded(Error):
    """No answer came in time; whether it was done is not known."""


class Cancelled(Error):
    """The caller gave up."""


class Unimplemented(Error):
    """This server does not know the call."""


class StreamTruncated(Error):
    """What came of a stream is not what was sent: something is missing, or changed on the way."""


class Internal(Error):
    """A fault of the server."""

    reason = "INTERNAL"
