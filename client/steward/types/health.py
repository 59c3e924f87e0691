"""
How the server is, and what it accepts.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class ComponentStatus(IntEnum):
    """How a component is. A higher one is worse."""

    UNSPECIFIED = 0
    OK = 1
    DEGRADED = 2
    FAILING = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """A number about a component."""

    name: str
    value: float
    unit: str  # UCUM: By, s, {row}


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the server and how it is."""

    name: str
    status: ComponentStatus
    reason: str
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, slots=True)
class Deduction:
    """Why a part of the score is not full."""

    amount: float  # off the score; the score and all its deductions make 1
    reason: str


@dataclass(frozen=True, slots=True)
class ScorePart:
    """A part of the score."""

    name: str  # quality, performance or backup
    value: float  # 0 to 1
    deductions: tuple[Deduction, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthScore:
    """How well things are, as one number."""

    value: float  # 0 to 1, the mean of the parts
    parts: tuple[ScorePart, ...]
    has_data: bool  # False: there is nothing to judge by


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemHealth:
    """How the server is."""

    status: ComponentStatus  # the worst of the components
    components: tuple[Component, ...]
    checked_at: datetime
    score: HealthScore
    sqlite_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the server accepts at most."""

    id_bytes: int = 128
    label_bytes: int = 128
    text_bytes: int = 64 * 1024
    batch_size: int = 1000
    page_size: int = 1000
    message_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcFigures:
    """How an RPC has fared since the server started."""

    method: str  # package.Service/Method
    calls: int
    errors: int
    mean_seconds: float
    p99_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """What server this is."""

    version: str
    sqlite_version: str
    python_version: str
    grpc_version: str
    protobuf_version: str
    schema_version: str
    redaction_rules_version: str
    epoch: str
    started_at: datetime
    limits: Limits
    rpcs: tuple[RpcFigures, ...]
    key_fingerprint: str  # tells its privacy key from another, and says nothing about it


LIMITS = Limits()
