"""
The settings of the daemon: one frozen object, from flags and STEWARD_* variables.

A leaf. Each field's description is what `stewardd config` prints and the README lists.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from steward.errors import InvalidArgument
from steward.types import FieldViolation

LOCALHOST = "localhost"
_KEY = re.compile(r"\s*[0-9a-fA-F]{64}\s*")
Level = Literal["debug", "info", "warning", "error"]


class Config(BaseSettings):
    """How a daemon is to run. A flag of `stewardd serve` wins over the variable."""

    model_config = SettingsConfigDict(env_prefix="STEWARD_", frozen=True, extra="forbid")

    listen: Annotated[str, Field(description="HOST:PORT to serve on; port 0 takes a free one")] = "127.0.0.1:50051"
    data: Annotated[Path, Field(description="directory of the store, made when missing")] = Path("steward-data")
    insecure: Annotated[bool, Field(description="allow serving without TLS beyond this machine")] = False
    privacy_key: Annotated[
        SecretStr | None, Field(description="64 hex digits; unset: DATA/privacy.key, made at first start")
    ] = None
    allow_old_sqlite: Annotated[bool, Field(description="serve on a SQLite that can corrupt its log")] = False
    readers: Annotated[int, Field(ge=1, le=64, description="threads that answer questions to the store")] = 4
    max_calls: Annotated[int, Field(ge=1, description="calls handled at once, probes apart")] = 2000
    exports: Annotated[int, Field(ge=1, le=64, description="exports under way at once; more are told to come back")] = 4
    conversion_queries: Annotated[
        int, Field(ge=1, description="answered well with code or citations, this many make a session a conversion")
    ] = 3
    low_disk_mb: Annotated[
        int, Field(ge=0, description="free MB on the store's disk below which health is degraded")
    ] = 512
    alert_seconds: Annotated[float, Field(ge=0.1, le=3600, description="how often the alert rules are evaluated")] = (
        10.0
    )
    missing_seconds: Annotated[
        float,
        Field(ge=0, le=86400, description="how long what a recorder numbered may be under way before it is missing"),
    ] = 60.0
    backup_seconds: Annotated[
        float, Field(ge=0.1, le=3600, description="how often it is looked whether a backup is due by the policy")
    ] = 30.0
    drain_seconds: Annotated[
        float, Field(ge=0, le=60, description="how long calls that come while stopping are told to come back")
    ] = 0.2
    stop_seconds: Annotated[
        float, Field(gt=0, le=60, description="how long calls under way may take when stopping")
    ] = 5.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="debug, info, warning or error")
    ] = "info"

    @field_validator("listen")
    @classmethod
    def _has_a_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 -- a port
            raise ValueError("must be HOST:PORT, such as 127.0.0.1:50051")
        return value

    @field_validator("privacy_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _KEY.fullmatch(value.get_secret_value()):
            raise ValueError("must be 64 hexadecimal digits")
        return value

    @model_validator(mode="after")
    def _stays_on_this_machine(self) -> "Config":
        host = self.listen.rpartition(":")[0].strip("[]")
        if not self.insecure and not _loopback(host):
            raise ValueError(
                "listen: anyone who reaches this address could read and write the store: "
                "serve on 127.0.0.1, or say --insecure when a trusted network or proxy guards it"
            )
        return self


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == LOCALHOST


def load(**flags: object) -> Config:
    """
    Return the settings that the environment and *flags* give; flags that are None are not given.

    Raises: InvalidArgument, naming each setting that is wrong and what would be right.
    """
    try:
        return Config(**{name: value for name, value in flags.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise InvalidArgument.of(*(_violation(each["loc"], each["msg"]) for each in error.errors())) from None


def _violation(place: tuple[int | str, ...], message: str) -> FieldViolation:
    rule = message.removeprefix("Value error, ").replace("Input should be", "must be")
    if not place:
        name, _, rule = rule.partition(": ")
        return FieldViolation(name, rule)
    return FieldViolation(".".join(map(str, place)), rule)
