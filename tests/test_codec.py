"""
Messages to values and back, and errors to statuses and back.
"""

import os
import re
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from steward import codec, errors, ids, types
from steward.errors import InvalidArgument
from steward.status import DETAILS, STATUS, from_call, to_status
from steward.types import FieldViolation
from steward.v1 import (
    alerts_pb2,
    analytics_pb2,
    backup_pb2,
    business_pb2,
    content_pb2,
    errors_pb2,
    health_pb2,
    imports_pb2,
    ingest_pb2,
    interaction_pb2,
    performance_pb2,
    quality_pb2,
    questions_pb2,
    records_pb2,
    sessions_pb2,
)
from tests.samples import interaction

TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001 -- hypothesis adds it
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.floats(allow_nan=False)
WHOLES = st.integers(-(2**63), 2**63 - 1)

for each in (datetime, str, float, int):
    st.register_type_strategy(each, {datetime: TIMES, str: TEXTS, float: NUMBERS, int: WHOLES}[each])

PAIRS: list[tuple[type, type[Message]]] = [
    (types.Interaction, interaction_pb2.Interaction),
    (types.RecordedInteraction, interaction_pb2.RecordedInteraction),
    (types.Numbering, ingest_pb2.Numbering),
    (types.Receipt, ingest_pb2.Receipt),
    (types.Rejection, ingest_pb2.Rejection),
    (types.RecordReceipt, records_pb2.RecordReceipt),
    (types.Session, sessions_pb2.Session),
    (types.Summary, analytics_pb2.GetSummaryResponse),
    (types.Insights, analytics_pb2.GetInsightsResponse),
    (types.CommonQuestions, questions_pb2.ListCommonQuestionsResponse),
    (types.Suggestion, questions_pb2.Suggestion),
    (types.ContentAccess, content_pb2.ContentAccess),
    (types.ContentReport, content_pb2.GetContentReportResponse),
    (types.BusinessMetric, business_pb2.BusinessMetric),
    (types.BusinessDay, business_pb2.BusinessDay),
    (types.BusinessReport, business_pb2.GetBusinessReportResponse),
    (types.QualityReport, quality_pb2.GetQualityReportResponse),
    (types.QualityThresholds, quality_pb2.QualityThresholds),
    (types.MetricPoint, performance_pb2.MetricPoint),
    (types.Performance, performance_pb2.GetPerformanceResponse),
    (types.AlertRule, alerts_pb2.AlertRule),
    (types.Alert, alerts_pb2.Alert),
    (types.AlertEvent, alerts_pb2.AlertEvent),
    (types.AlertEvaluation, alerts_pb2.EvaluateAlertsResponse),
    (types.Backup, backup_pb2.Backup),
    (types.Verification, backup_pb2.Verification),
    (types.BackupPolicy, backup_pb2.BackupPolicy),
    (types.BackupStatus, backup_pb2.BackupStatus),
    (types.PruneDecision, backup_pb2.PruneDecision),
    (types.Restoration, backup_pb2.Restoration),
    (types.Restore, backup_pb2.Restore),
    (types.BackupProgress, backup_pb2.BackupProgress),
    (types.ImportedInteraction, imports_pb2.ImportedInteraction),
    (types.ImportedContentAccess, imports_pb2.ImportedContentAccess),
    (types.ImportedBusinessMetric, imports_pb2.ImportedBusinessMetric),
    (types.ImportedMetric, imports_pb2.ImportedMetric),
    (types.ImportedSession, imports_pb2.ImportedSession),
    (types.ImportReport, imports_pb2.ImportInteractionsResponse),
    (types.SystemHealth, health_pb2.SystemHealth),
    (types.ServerInfo, health_pb2.GetServerInfoResponse),
]
COUNTS = st.dictionaries(TEXTS, st.integers(0, 2**31 - 1))


def values(kind: type) -> st.SearchStrategy[Any]:
    """Return any value of *kind*."""
    if kind is types.ImportedSession:  # named in one way or the other
        return st.builds(kind, session_id=st.none()) | st.builds(kind, session=st.none())
    redacted = kind in (types.Receipt, types.RecordReceipt)
    return st.builds(kind, redactions=COUNTS) if redacted else st.builds(kind)


@pytest.mark.parametrize(("kind", "message"), PAIRS)
@given(data=st.data())
def test_a_value_comes_back_from_its_message(kind: type, message: type[Message], data: st.DataObject) -> None:
    """
    Any value that is encoded, sent and decoded is the same value.
    """
    value = data.draw(values(kind))

    sent = message.FromString(codec.encode(message, value).SerializeToString())

    assert value == codec.decode(kind, sent)


@pytest.mark.parametrize(("kind", "message"), PAIRS)
def test_a_value_has_the_fields_of_its_message(kind: type, message: type[Message]) -> None:
    """
    Names are those of the .proto, so that what is shown as JSON is what grpcurl shows.
    """
    assert {each.name for each in fields(kind)} == set(message.DESCRIPTOR.fields_by_name)


def test_a_decoded_value_is_as_frozen_as_any() -> None:
    """
    Values made the fast way are of their class, and cannot be changed.
    """
    value = codec.decode(types.Receipt, ingest_pb2.Receipt(seq=5))

    assert type(value) is types.Receipt
    with pytest.raises(AttributeError):
        value.seq = 6  # type: ignore[misc]


@pytest.mark.parametrize(("seconds", "nanos"), [(2**62, 0), (-(2**62), 0), (0, -1), (0, 10**9)])
def test_a_time_that_is_none_is_named(seconds: int, nanos: int) -> None:
    """
    A Timestamp out of range is INVALID_ARGUMENT naming its field; of a batch's item, a rejection.
    """
    message = interaction_pb2.Interaction(occurred_at={"seconds": seconds, "nanos": nanos})  # type: ignore[arg-type]

    outcome = codec.to_interaction(message)
    interactions = [imports_pb2.ImportedInteraction(row=7, interaction=message)]
    points = [imports_pb2.ImportedMetric(row=8, point={"occurred_at": message.occurred_at})]  # type: ignore[arg-type]
    imported = codec.to_imported(imports_pb2.ImportInteractionsRequest(interactions=interactions, metrics=points))

    assert isinstance(outcome, types.Rejection)
    assert ["occurred_at"] == [each.field for each in outcome.violations]
    assert [
        types.ImportRejection(7, outcome.violations),
        types.ImportRejection(8, outcome.violations, "metrics"),
    ] == imported


@pytest.mark.parametrize(
    "time",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
    ],
)
def test_a_time_outside_of_the_years_in_utc_is_named(time: datetime) -> None:
    """
    A time that Python has in its zone only is refused before it is sent.
    """
    with pytest.raises(InvalidArgument, match="occurred_at: must be a time of the years 1 to 9999 in UTC"):
        codec.encode(interaction_pb2.Interaction, interaction(occurred_at=time))


def test_a_batch_of_an_import_comes_back_kind_by_kind() -> None:
    """
    Mixed kinds travel in one message, and come out in the order in which they are stored.
    """
    session = types.ImportedSession(row=1, session="ab" * 8, conversion_achieved=True)
    point = types.ImportedMetric(row=2, point=types.MetricPoint(name="m", value=1.5))
    interaction = types.ImportedInteraction(
        row=3, interaction=types.Interaction(session_id="s", user_role="r", query="q")
    )

    assert [interaction, point, session] == codec.to_imported(codec.from_imported([session, point, interaction]))


def test_what_does_not_fit_is_named_wherever_it_is() -> None:
    """
    A number out of range is named by its field, within one of several values too, and nothing else is.
    """
    good = types.Numbering(recorder_id=ids.mint(), numbers=(types.NumberRange(1, 2),), issued=2)

    for wrong, field in (
        (replace(good, issued=2**64), "issued"),
        (replace(good, numbers=(types.NumberRange(1, 2), types.NumberRange(3, 2**64))), "last"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            codec.encode(ingest_pb2.Numbering, wrong)
        assert [field] == [each.field for each in refused.value.violations]


def test_a_component_status_of_a_newer_server_is_unspecified() -> None:
    """
    An enum value this client does not know is no error.
    """
    message = health_pb2.SystemHealth.FromString(b"\x08\x63")

    assert types.ComponentStatus.UNSPECIFIED == codec.decode(types.SystemHealth, message).status


class Failed(grpc.RpcError):
    """A call that failed as a server said."""

    def __init__(self, code: grpc.StatusCode, message: str, details: bytes) -> None:
        self._code, self._message, self._details = code, message, details

    def code(self) -> grpc.StatusCode:
        """Return the status."""
        return self._code

    def details(self) -> str:
        """Return the message."""
        return self._message

    def trailing_metadata(self) -> Any:
        """Return the trailers."""
        return ((DETAILS, self._details),)


@pytest.mark.parametrize("kind", STATUS)
def test_an_error_comes_back_as_the_class_that_was_raised(kind: type[errors.Error]) -> None:
    """
    An error and all that it tells survives the wire.
    """
    violation = FieldViolation("query", "must be text")
    sent = kind("said so", reason="QUEUE_FULL", violations=[violation], retry_after=1.25)

    status = to_status(sent, request_id="r-1")
    got = from_call(Failed(STATUS[kind], status.message, status.SerializeToString()), closed=True)

    assert (kind, "said so", "QUEUE_FULL", (violation,), 1.25, "r-1") == (
        type(got),
        got.message,
        got.reason,
        got.violations,
        got.retry_after,
        got.request_id,
    )


def test_a_call_cancelled_by_a_stopping_server_is_unavailable() -> None:
    """
    CANCELLED, when it was not this client that gave up, means that the server went away: try again.
    """
    got = from_call(Failed(grpc.StatusCode.CANCELLED, "", b""))

    assert (errors.Unavailable, "STOPPING") == (type(got), got.reason)


def test_every_reason_is_one_of_the_contract() -> None:
    """
    What the code gives as a reason is in the enum that callers read.
    """
    root = Path(__file__).parent.parent
    code = "\n".join(
        path.read_text(encoding="utf-8") for part in ("client", "server") for path in (root / part).rglob("*.py")
    )
    given = set(re.findall(r'reason(?:: str)? ?= ?"([A-Z_]+)"', code))

    assert "QUEUE_FULL" in given
    assert set() == {f"ERROR_REASON_{each}" for each in given} - set(errors_pb2.ErrorReason.keys())


def test_every_error_has_its_own_status() -> None:
    """
    No two classes of the tree share a status, and none is without.
    """
    leaves = set(errors.Error.__subclasses__())

    assert leaves == set(STATUS)
    assert len(leaves) == len(set(STATUS.values()))


def test_a_status_of_another_program_is_still_an_error() -> None:
    """
    A code that Steward does not use, and details that are none, are told as they are.
    """
    got = from_call(Failed(grpc.StatusCode.ABORTED, "gone", b"\xff\xff"))

    assert (errors.Error, "ABORTED: gone", None) == (type(got), got.message, got.retry_after)


def test_an_error_names_its_first_field() -> None:
    """
    The message of an invalid argument is its first violation, and says how many more there are.
    """
    assert "a: must b (and 1 more)" == str(InvalidArgument.of(FieldViolation("a", "must b"), FieldViolation("c", "d")))


@given(st.integers(0, 2**48 - 1), st.binary())
def test_a_derived_id_is_a_uuid7_of_its_content(milliseconds: int, content: bytes) -> None:
    """
    An id made from content is always the same, is a UUIDv7, and sorts by its time.
    """
    text = ids.derive(milliseconds, content)
    parsed = ids.parse(text)

    assert parsed is not None
    assert (text, text, milliseconds) == (
        ids.derive(milliseconds, content),
        ids.spell(parsed),
        int.from_bytes(parsed[:6], "big"),
    )


def test_minted_ids_differ() -> None:
    """
    Every id that is minted is another UUIDv7.
    """
    minted = {ids.mint() for _ in range(1000)}

    assert 1000 == len(minted)
    assert all(ids.parse(each) for each in minted)


def test_a_child_mints_ids_of_its_own() -> None:
    """
    The random parts of ids of a forked child are not those of its parent, nor of another child.
    """
    minted = []
    for _ in range(2):
        back, forth = os.pipe()
        if (child := os.fork()) == 0:
            os.write(forth, ids.mint().encode())
            os._exit(0)
        os.close(forth)
        with os.fdopen(back, encoding="ascii") as file:
            minted.append(file.read()[15:])
        os.waitpid(child, 0)

    assert 3 == len({*minted, ids.mint()[15:]} - {""})
