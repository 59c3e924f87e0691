"""
Messages to values and back, for both ends.

A value of steward.types and its message have fields of the same names, so one rule per kind of field serves them all:
times are Timestamps, an optional field is None when unset, several are a tuple. The rule is compiled once per type, as
dataclasses do it, into what one would write by hand.

Pure. What no message or no value can hold, such as an unpaired surrogate, is an InvalidArgument that names the field.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import cache, lru_cache
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from steward.errors import InvalidArgument
from steward.types import (
    IMPORT_KINDS,
    FieldViolation,
    Importable,
    ImportRejection,
    Interaction,
    InteractionFilter,
    Receipt,
    RecordReceipt,
    Rejection,
    maker,
)
from steward.v1 import imports_pb2, ingest_pb2, interaction_pb2, records_pb2

V = TypeVar("V")
M = TypeVar("M", bound=Message)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # s since 1970: the years 1 to 9999


def decode(kind: type[V], message: Message) -> V:
    """
    Return the value of *kind* that *message* holds.

    Raises: InvalidArgument, naming the time that is none.
    """
    try:
        return typing.cast("V", _decoder(kind, message.DESCRIPTOR)(message))
    except OverflowError:
        raise InvalidArgument.of(*_no_times(message)) from None


def encode(kind: type[M], value: object) -> M:
    """
    Return *value* as a message of *kind*.

    Raises: InvalidArgument, naming each field that does not fit.
    """
    try:
        return kind(**_encoder(kind.DESCRIPTOR, type(value))(value))
    except (AttributeError, TypeError, ValueError, OverflowError):  # UnicodeEncodeError is a ValueError
        raise InvalidArgument.of(*_misfits(kind, value)) from None


def fields(kind: type[Message], value: object) -> dict[str, Any]:
    """Return the fields of *value* as a message of *kind* takes them, for one that holds many such."""
    return _encoder(kind.DESCRIPTOR, type(value))(value)


def request(kind: type[M], **given: object) -> M:
    """
    Return the request of *kind* with the fields *given*, those that are None left unset.

    Raises: InvalidArgument, naming each field that does not fit.
    """
    plain = {name: each for name, each in given.items() if each is not None}
    try:
        return kind(**{name: _plain(each) for name, each in plain.items()})
    except (TypeError, ValueError, OverflowError):
        raise InvalidArgument.of(*_misfits_among(kind, plain)) from None


# Several of a kind, or one of two


def or_rejection(kind: type[V], message: Message) -> V | Rejection:
    """Return the value of *kind* that *message* holds, or what is wrong with it."""
    try:
        return decode(kind, message)
    except InvalidArgument as error:
        return Rejection(error.violations)


def to_interaction(message: interaction_pb2.Interaction) -> Interaction | Rejection:
    return or_rejection(Interaction, message)


def to_imported(message: imports_pb2.ImportInteractionsRequest) -> list[Importable | ImportRejection]:
    """Return what *message* holds, kind by kind; what is none becomes its rejection."""
    return [_imported(kind, each) for kind in IMPORT_KINDS for each in getattr(message, kind.table)]


def _imported(kind: type[Importable], message: Any) -> Importable | ImportRejection:
    try:
        return decode(kind, message)
    except InvalidArgument as error:
        return ImportRejection(message.row, error.violations, kind.table)


def from_imported(batch: Iterable[Importable], *, preserve: str = "") -> imports_pb2.ImportInteractionsRequest:
    """
    Return *batch* as a message, of an import that is to *preserve* under the key of that fingerprint.

    Raises: InvalidArgument, naming the field that does not fit.
    """
    tables: dict[str, Any] = {}
    for each in batch:
        tables.setdefault(each.table, []).append(encode(_IMPORTED[type(each)], each))
    return imports_pb2.ImportInteractionsRequest(**tables, key_fingerprint=preserve)


_IMPORTED: dict[type[Importable], type[Message]] = {kind: getattr(imports_pb2, kind.__name__) for kind in IMPORT_KINDS}


def to_outcome(message: ingest_pb2.Outcome) -> Receipt | Rejection:
    if message.WhichOneof("outcome") == "rejection":
        return decode(Rejection, message.rejection)
    return decode(Receipt, message.receipt)


def from_outcome(value: Receipt | Rejection) -> dict[str, Any]:
    """Return *value* as the fields of an Outcome."""
    if isinstance(value, Receipt):
        return {"receipt": fields(ingest_pb2.Receipt, value)}
    return {"rejection": fields(ingest_pb2.Rejection, value)}


def from_filter(chosen: InteractionFilter | None) -> interaction_pb2.InteractionFilter | None:
    """Return *chosen* as a message. Raises: InvalidArgument, naming the field of the filter that does not fit."""
    return None if chosen is None else encode(interaction_pb2.InteractionFilter, chosen)


def to_record_outcome(message: records_pb2.RecordOutcome) -> RecordReceipt | Rejection:
    if message.WhichOneof("outcome") == "rejection":
        return decode(Rejection, message.rejection)
    return decode(RecordReceipt, message.receipt)


def from_record_outcome(value: RecordReceipt | Rejection) -> records_pb2.RecordOutcome:
    if isinstance(value, RecordReceipt):
        return records_pb2.RecordOutcome(receipt=encode(records_pb2.RecordReceipt, value))
    return records_pb2.RecordOutcome(rejection=encode(ingest_pb2.Rejection, value))


# Time


def to_time(message: Timestamp) -> datetime:
    """Return the time that *message* says, to the microsecond. OverflowError when there is no such time."""
    if not 0 <= message.nanos < 10**9:
        raise OverflowError
    return EPOCH + timedelta(0, message.seconds, message.nanos // 1000)  # by position: twice as fast


@lru_cache(maxsize=64)  # what a batch is answered with has one time
def from_time(time: datetime) -> Mapping[str, int]:
    """Return *time* as the fields of a Timestamp. ValueError when it is not aware, or in UTC no time that there is."""
    if time.tzinfo is None:
        raise ValueError("must be aware: give it a time zone, such as tzinfo=UTC")
    seconds, micros = divmod((time - EPOCH) // MICROSECOND, 1_000_000)
    if not _FIRST <= seconds <= _LAST:
        raise ValueError("must be a time of the years 1 to 9999 in UTC")
    return {"seconds": seconds, "nanos": micros * 1000}


def to_optional_time(message: Message, name: str) -> datetime | None:
    """Return the time in the field *name* of *message*, None when it is unset; InvalidArgument when it is none."""
    try:
        return to_time(getattr(message, name)) if message.HasField(name) else None
    except OverflowError:
        raise InvalidArgument.of(FieldViolation(name, TIME_RULE)) from None


# The rule, compiled


def _decoding(kind: Any, message: Descriptor) -> Callable[[Message], Any]:
    scope: dict[str, object] = {"make": maker(kind), "decode": decode, "to_time": to_time}
    arguments = []
    for field in dataclasses.fields(kind):
        hint, optional = field_type(kind, field.name)
        scope[f"hint_{field.name}"], scope[f"default_{field.name}"] = hint, field.default
        expression = _read(f"message.{field.name}", f"hint_{field.name}", hint)
        descriptor = message.fields_by_name[field.name]
        if descriptor.has_presence and optional and descriptor.message_type is None:
            # What is not nothing is there: that saves the dearer question in most cases.
            expression = f"(value if (value := {expression}) or message.HasField({field.name!r}) else None)"
        elif descriptor.has_presence and optional:
            expression = f"({expression} if message.HasField({field.name!r}) else None)"
        elif descriptor.has_presence and descriptor.message_type is None:
            expression = f"({expression} if message.HasField({field.name!r}) else default_{field.name})"
        arguments.append(expression)
    return _compiled(f"lambda message: make({', '.join(arguments)})", scope)


def _read(source: str, name: str, hint: Any) -> str:
    """Return the expression for a field *source* whose type is *hint*, known as *name*."""
    if hint is datetime:
        return f"to_time({source})"
    if dataclasses.is_dataclass(hint):
        return f"decode({name}, {source})"
    if typing.get_origin(hint) is tuple:
        element = typing.get_args(hint)[0]
        whole = f"decode({name}.__args__[0], each)" if dataclasses.is_dataclass(element) else "each"
        return f"tuple([{whole} for each in {source}])"
    if typing.get_origin(hint) is Mapping:
        return f"dict({source})"
    if issubclass(hint, IntEnum):  # one that a newer server knows is UNSPECIFIED here
        return f"{name}({source} if {source} in {name}._value2member_map_ else 0)"
    return source


def _encoding(message: Descriptor, kind: Any) -> Callable[[object], dict[str, Any]]:
    scope: dict[str, object] = {"from_time": from_time}
    entries = []
    for field in dataclasses.fields(kind):
        hint, optional = field_type(kind, field.name)
        nested = message.fields_by_name[field.name].message_type
        source = expression = f"value.{field.name}"
        if hint is datetime:
            expression = f"from_time({source})"
        elif dataclasses.is_dataclass(hint):
            scope[f"fields_{field.name}"] = _encoder(nested, hint)
            expression = f"fields_{field.name}({source})"
        elif typing.get_origin(hint) is tuple and nested is not None:
            scope[f"fields_{field.name}"] = _encoder(nested, typing.get_args(hint)[0])
            expression = f"[fields_{field.name}(each) for each in {source}]"
        elif typing.get_origin(hint) is Mapping:
            expression = f"{source} or None"
        if optional and expression is not source:
            expression = f"(None if {source} is None else {expression})"
        entries.append(f"{field.name!r}: {expression}")
    return _compiled(f"lambda value: {{{', '.join(entries)}}}", scope)


_decoder: Callable[[Any, Any], Callable[[Message], Any]] = cache(_decoding)
_encoder: Callable[[Any, Any], Callable[[object], dict[str, Any]]] = cache(_encoding)


def field_type(kind: type, name: str) -> tuple[Any, bool]:
    """Return the type of the field *name* of *kind*, without None, and whether None was in it."""
    hint = typing.get_type_hints(kind)[name]
    if isinstance(hint, types.UnionType):
        (inner,) = (each for each in hint.__args__ if each is not types.NoneType)
        return inner, True
    return hint, False


def _compiled(source: str, scope: dict[str, object]) -> Callable[[Any], Any]:
    return typing.cast("Callable[[Any], Any]", eval(source, scope))  # noqa: S307 -- made of names of our own types


# What went wrong

TIME_RULE = "must be a time of the years 1 to 9999, with nanos from 0 to 999,999,999"


def _no_times(message: Message) -> Iterator[FieldViolation]:
    for field, value in message.ListFields():
        if isinstance(value, Timestamp):
            try:
                to_time(value)
            except OverflowError:
                yield FieldViolation(field.name, TIME_RULE)


def _misfits(message: type[Message], value: object) -> list[FieldViolation]:
    assert dataclasses.is_dataclass(value)
    names = (field.name for field in dataclasses.fields(value))
    return _misfits_among(message, {name: getattr(value, name) for name in names})


def _misfits_among(message: type[Message], given: Mapping[str, object]) -> list[FieldViolation]:
    found = []
    for name, value in given.items():
        parts = value if isinstance(value, tuple) else (value,)
        if any(map(dataclasses.is_dataclass, parts)):
            nested: Any = message.DESCRIPTOR.fields_by_name[name].message_type
            found += [each for part in parts for each in _misfits(GetMessageClass(nested), part)]
            continue
        try:
            message(**{name: _plain(value)})
        except UnicodeEncodeError:
            found.append(FieldViolation(name, "must be text without unpaired surrogates"))
        except (TypeError, ValueError, OverflowError) as error:
            aware = isinstance(value, datetime)
            found.append(FieldViolation(name, str(error) if aware else "must fit the type and range of this field"))
    return found


def _plain(value: object) -> Any:
    return from_time(value) if isinstance(value, datetime) else value
