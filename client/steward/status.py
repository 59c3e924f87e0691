"""
Errors as gRPC statuses, and back. One table serves both ends.

An error travels as a google.rpc.Status: ErrorInfo always, BadRequest for fields, RetryInfo when coming back is worth
it, RequestInfo for the server's log.
"""

from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from steward import errors
from steward.types import FieldViolation

DOMAIN = "steward"
DETAILS = "grpc-status-details-bin"
MOST_VIOLATIONS = 20  # told; gRPC refuses a status of more than 8 KiB

STATUS: dict[type[errors.Error], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled: grpc.StatusCode.CANCELLED,
    errors.Unimplemented: grpc.StatusCode.UNIMPLEMENTED,
    errors.StreamTruncated: grpc.StatusCode.DATA_LOSS,
    errors.Internal: grpc.StatusCode.INTERNAL,
}
_ERROR = {code: kind for kind, code in STATUS.items()}
_OWN: dict[type[errors.Error], str] = {
    errors.Unavailable: "the server cannot be reached: is stewardd running there? gRPC says: {}",
    errors.DeadlineExceeded: errors.NO_ANSWER,
}


def to_status(error: errors.Error, *, request_id: str) -> Status:
    """Return *error* as a status, with its details and the *request_id* of the call."""
    status = Status(code=STATUS[type(error)].value[0], message=error.message)
    status.details.extend(_packed(each) for each in _details(error, request_id))
    return status


def from_call(call: Any, *, closed: bool = False) -> errors.Error:
    """Return what the failed *call* of a client, itself *closed* or not, met: the class that the server raised."""
    code, message = call.code(), call.details() or ""
    if code is grpc.StatusCode.CANCELLED and not closed:  # what gRPC does to calls that come while a server stops
        return errors.Unavailable("the server stopped before it answered", reason="STOPPING")
    kind, told = _ERROR.get(code, errors.Error), _told(call)
    if kind is errors.Error:
        message = f"{code.name}: {message}"
    elif not told:  # gRPC's own words
        message = _OWN.get(kind, "{}").format(message)
    return kind(message, **told)  # type: ignore[arg-type]


def _details(error: errors.Error, request_id: str) -> list[Message]:
    found: list[Message] = [details.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.violations:
        fields = [
            details.BadRequest.FieldViolation(field=v.field, description=v.rule)
            for v in error.violations[:MOST_VIOLATIONS]
        ]
        found.append(details.BadRequest(field_violations=fields))
    if error.retry_after is not None:
        nanos = round(error.retry_after * 1e9)
        delay = Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
        found.append(details.RetryInfo(retry_delay=delay))
    found.append(details.RequestInfo(request_id=request_id))
    return found


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _told(call: Any) -> dict[str, object]:
    """Return what the status details of *call* say, as arguments of an error."""
    told: dict[str, object] = {}
    for each in _status(call).details:
        info, bad, retry, request = (
            details.ErrorInfo(),
            details.BadRequest(),
            details.RetryInfo(),
            details.RequestInfo(),
        )
        if each.Unpack(info):
            told["reason"] = info.reason
        elif each.Unpack(bad):
            told["violations"] = [FieldViolation(v.field, v.description) for v in bad.field_violations]
        elif each.Unpack(retry):
            told["retry_after"] = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        elif each.Unpack(request):
            told["request_id"] = request.request_id
    return told


def _status(call: Any) -> Status:
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:  # not from a Steward: the code and message still stand
                break
    return Status()
