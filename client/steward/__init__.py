"""
The client of Steward: record what an assistant learns, and ask for it.

    from steward import Client, Interaction

    with Client("127.0.0.1:50051") as client:
        client.record_interaction(Interaction(session_id="s-1", user_role="Developer", query="How does it scale?"))
"""

from steward.aio import AsyncClient
from steward.client import Client
from steward.errors import (
    Cancelled,
    DeadlineExceeded,
    Error,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from steward.transport import Retry
from steward.types import (
    Component,
    ComponentStatus,
    FieldViolation,
    Figure,
    ImportedInteraction,
    ImportRejection,
    ImportReport,
    Interaction,
    InteractionFigures,
    InteractionFilter,
    Limits,
    Receipt,
    RecordedInteraction,
    Rejection,
    RpcFigures,
    ServerInfo,
    Session,
    SessionFigures,
    Summary,
    SystemHealth,
)

__all__ = [
    "AsyncClient",
    "Cancelled",
    "Client",
    "Component",
    "ComponentStatus",
    "DeadlineExceeded",
    "Error",
    "FailedPrecondition",
    "FieldViolation",
    "Figure",
    "ImportRejection",
    "ImportReport",
    "ImportedInteraction",
    "Interaction",
    "InteractionFigures",
    "InteractionFilter",
    "Internal",
    "InvalidArgument",
    "Limits",
    "NotFound",
    "PermissionDenied",
    "Receipt",
    "RecordedInteraction",
    "Rejection",
    "ResourceExhausted",
    "Retry",
    "RpcFigures",
    "ServerInfo",
    "Session",
    "SessionFigures",
    "Summary",
    "SystemHealth",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]
