"""
Interactions to requests, and answers to what became of each.

A record is made into its message once, when it leaves the queue; these bytes go into the spool and into requests as
they are. Pure: no clock, no disk, no network.
"""

import json
import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any

from google.protobuf.message import DecodeError

from steward import codec, errors
from steward.status import from_call
from steward.transport import Retry
from steward.types import Interaction, Rejection
from steward.v1 import ingest_pb2, interaction_pb2

METHOD = "/steward.v1.DataManagementService/RecordInteractions"
TOO_LARGE = "larger than max"  # gRPC's own words, of either end, for what is no use to send again
LONG = 30.0  # s to wait at least where a person has to do something first

Record = tuple[int, bytes]  # its number in its recorder's life, and its message
Range = tuple[int, int]  # numbers from the first to the last, both in it


@dataclass(frozen=True, slots=True)
class Life:
    """A numbering of records: that of a recorder from its opening, or the fork that made its process, to its end."""

    id: str  # a UUIDv7
    name: str  # what operators call the recorder


@dataclass(slots=True, eq=False)
class Place:
    """Where records of a batch stand in the spool."""

    segment: Any
    left: int  # how many of them are not settled


@dataclass(slots=True, eq=False)
class Doubt:
    """How often the server failed at a batch."""

    failures: int = 0  # on end
    alone: int = 0  # of these, when it was one record and others had got through since the last
    passed: int = 0  # batches that the server had taken by the last
    retry_at: float = 0.0  # s, monotonic


@dataclass(slots=True, eq=False)
class Batch:
    """Records of one life that go out together."""

    life: Life
    records: Sequence[Record]
    place: Place | None = None  # when they come from the spool
    spooled: bool = False  # whether they are in the spool too, since no answer came for so long
    sent_at: float = 0.0  # s, monotonic
    kept: Sequence[Range] = ()  # numbers of its life that never come, not told yet, that come from the spool with it
    forgone: Sequence[Range] = ()  # numbers of its life that never come, told with it
    doubt: Doubt = field(default_factory=Doubt)

    @property
    def numbers(self) -> "list[Range]":
        """The numbers of the records, in their order."""
        return ranges(number for number, _ in self.records)

    def halves(self) -> "list[Batch]":
        """Return it as two, or itself anew when it has but one record."""
        return self.parts((len(self.records) + 1) // 2)

    def parts(self, most: int) -> "list[Batch]":
        """Return it as several, of *most* records each."""
        starts = range(0, len(self.records), most)
        found = [
            Batch(self.life, self.records[start : start + most], self.place, doubt=replace(self.doubt))
            for start in starts
        ]
        found[0].kept = self.kept
        return found


def message(interaction: Interaction, recorded_at: int) -> bytes:
    """
    Return *interaction* as bytes; it occurred when *recorded_at* says, in ns since 1970, unless it says itself.

    Raises: InvalidArgument, naming each field that does not fit.
    """
    try:
        found = codec.encode(interaction_pb2.Interaction, interaction)
        if interaction.occurred_at is None:
            found.occurred_at.FromNanoseconds(recorded_at // 1000 * 1000)
        return found.SerializeToString()
    except errors.InvalidArgument:
        raise
    except Exception as error:  # a time zone of the caller's, for one, may raise anything
        raise errors.InvalidArgument(f"it cannot be made into a message: {type(error).__name__}") from error


def plain(interaction: Interaction) -> dict[str, object]:
    """Return *interaction*, whatever it is made of, as JSON has it."""
    return {each.name: _plain(getattr(interaction, each.name)) for each in fields(interaction)}


def _plain(value: object) -> object:
    """Return *value* if JSON has it, else what it says of itself, else only its type."""
    with suppress(Exception):
        json.dumps(value)
        return value
    with suppress(Exception):
        return str(value)
    return f"<{type(value).__name__}>"


def request(batch: Batch, numbering: ingest_pb2.Numbering | None) -> bytes:
    """Return the RecordInteractionsRequest of *batch* as bytes, with its *numbering* if it is to have one."""
    parts = [ingest_pb2.RecordInteractionsRequest(numbering=numbering).SerializeToString()]
    for _, data in batch.records:
        parts.append(b"\x0a" + _varint(len(data)))  # of the field `interactions`
        parts.append(data)
    return b"".join(parts)


def numbered(batch: Batch, *, issued: int) -> ingest_pb2.Numbering:
    """Return the numbering of *batch*, of whose life at least so many numbers were *issued*."""
    told = batch.numbers
    return ingest_pb2.Numbering(
        recorder_id=batch.life.id,
        recorder_name=batch.life.name,
        numbers=_messages(told),
        issued=max([issued, *(last for _, last in (*told, *batch.forgone))]),
        forgone=_messages(batch.forgone),
    )


def ranges(numbers: Iterable[int]) -> list[Range]:
    """Return *numbers*, in their order, as ranges."""
    found: list[Range] = []
    for number in numbers:
        if found and found[-1][1] + 1 == number:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def _messages(given: Iterable[Range]) -> list[ingest_pb2.NumberRange]:
    return [ingest_pb2.NumberRange(first=first, last=last) for first, last in given]


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:  # noqa: PLR2004 -- seven bits a byte
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def refused(call: Any, batch: Batch) -> dict[int, errors.Error]:
    """
    Return which records of *batch* the answer to *call* refuses, by their index, and why.

    Raises: Error when it failed; Internal when it does not say of each record what became of it.
    """
    if call.exception() is not None:
        raise from_call(call)
    outcomes = call.result().outcomes
    if len(outcomes) != len(batch.records) or not all(each.WhichOneof("outcome") for each in outcomes):
        raise errors.Internal("the server did not answer for each record")
    return {index: _refusal(each.rejection) for index, each in enumerate(outcomes) if each.HasField("rejection")}


def _refusal(message: ingest_pb2.Rejection) -> errors.Error:
    violations = codec.decode(Rejection, message).violations
    if not violations:
        return errors.InvalidArgument("the server refused it, and did not say why")
    return errors.InvalidArgument.of(*violations)


def why(refused: errors.Error) -> str:
    """Return in one line what is wrong."""
    return "; ".join(f"{each.field}: {each.rule}" for each in refused.violations) or refused.message


def interaction(data: bytes) -> Interaction:
    """Return the interaction whose message *data* is, less a time that is none; or, if it is none, as the query."""
    try:
        found = interaction_pb2.Interaction.FromString(data)
    except DecodeError:
        return Interaction(session_id="", user_role="", query=data.decode(errors="backslashreplace"), interaction_id="")
    try:
        return codec.decode(Interaction, found)
    except errors.InvalidArgument:
        found.ClearField("occurred_at")
        return codec.decode(Interaction, found)


def final(error: errors.Error) -> bool:
    """Whether the same again would meet *error* again: it is the request that is wrong, or too large."""
    if isinstance(error, errors.ResourceExhausted):
        return TOO_LARGE in error.message
    return isinstance(error, errors.InvalidArgument)


def pause(retry: Retry, error: errors.Error, *, failures: int) -> float:
    """Return how many seconds to wait after *error*, the latest of so many *failures* on end."""
    backoff = min(retry.max_delay, retry.first_delay * 2 ** min(failures - 1, 30))
    least = LONG if isinstance(error, errors.Unauthenticated | errors.PermissionDenied) else 0.0
    return least + (error.retry_after or 0.0) + random.uniform(0, backoff)  # noqa: S311 -- not a secret
