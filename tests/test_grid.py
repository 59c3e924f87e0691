"""
The architecture: every RPC on every layer, and every layer's file in its row.
"""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from steward import AsyncClient, Client
from steward.v1 import annotations_pb2, backup_service_pb2, data_management_service_pb2, health_service_pb2

ROOT = Path(__file__).parent.parent
IDEAS = {
    "alerts",
    "analytics",
    "backup",
    "business",
    "content",
    "export",
    "health",
    "imports",
    "ingest",
    "maintenance",
    "performance",
    "privacy",
    "quality",
    "questions",
    "recorders",
    "retention",
    "sessions",
    "subject",
}
FILES = (data_management_service_pb2, backup_service_pb2, health_service_pb2)
METHODS = [
    method for file in FILES for service in file.DESCRIPTOR.services_by_name.values() for method in service.methods
]
RPCS = [(Path(method.input_type.file.name).stem, method.name) for method in METHODS]


def snake(name: str) -> str:
    """Return the method name of an RPC's *name*."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def texts(folder: str) -> str:
    """Return all that is written in the Python files of *folder*."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).rglob("*.py")))


SERVICERS = texts("server/stewardd/rpc")


def test_no_test_is_named_after_the_time(request: pytest.FixtureRequest) -> None:
    """
    No test's name holds a time near now: two workers that collect a second apart would know different tests.
    """
    near = [f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}" for days in range(-7, 8)]

    assert [] == [item.nodeid for item in request.session.items if any(day in item.nodeid for day in near)]


@pytest.mark.parametrize(("idea", "rpc"), RPCS)
def test_an_rpc_is_on_every_layer(idea: str, rpc: str) -> None:
    """
    An RPC has a servicer method, a module and a test file of its idea that names it, and a method in both clients.
    """
    assert idea in IDEAS
    assert f"async def {rpc}(" in SERVICERS
    assert (ROOT / f"server/stewardd/{idea}.py").exists()
    assert snake(rpc) in (ROOT / f"tests/test_{idea}.py").read_text(encoding="utf-8")
    assert hasattr(Client, snake(rpc))
    assert hasattr(AsyncClient, snake(rpc))


def test_an_ideas_cells_are_named_for_it() -> None:
    """
    Every idea that has a module has a test file of its name.
    """
    modules = {path.stem for path in (ROOT / "server/stewardd").glob("*.py")} & IDEAS
    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}

    assert set() == modules - tests


def messages() -> list[Descriptor]:
    """Return every message that a service of ours takes or gives, and what they hold."""
    found: dict[str, Descriptor] = {}

    def visit(message: Descriptor) -> None:
        if message.full_name not in found and message.full_name.startswith("steward."):
            found[message.full_name] = message
            for field in message.fields:
                if field.message_type is not None:
                    visit(field.message_type)

    for method in METHODS:
        visit(method.input_type)
        visit(method.output_type)
    return list(found.values())


def strings_of(message: Descriptor) -> list[FieldDescriptor]:
    """Return every string field of *message*; of a map of strings, the field that holds it."""
    if message.GetOptions().map_entry:
        return []
    held = [
        [field]
        if field.message_type is None or not field.message_type.GetOptions().map_entry
        else field.message_type.fields
        for field in message.fields
    ]
    return [
        field
        for field, parts in zip(message.fields, held, strict=True)
        if any(each.type == FieldDescriptor.TYPE_STRING for each in parts)
    ]


def strings() -> list[FieldDescriptor]:
    """Return every string field of ours."""
    return [field for message in messages() for field in strings_of(message)]


@pytest.mark.parametrize("field", strings(), ids=lambda each: each.full_name)
def test_every_string_is_classified(field: FieldDescriptor) -> None:
    """
    Each string field says what it holds, so that none escapes redaction.
    """
    assert annotations_pb2.TEXT_KIND_UNSPECIFIED != kind_of(field)


WRITTEN = (annotations_pb2.TEXT_KIND_FREE_TEXT, annotations_pb2.TEXT_KIND_LABEL)


# The messages that are recorded, and the module with the one way of each into the store.
RECORDED = {
    "Interaction": "rules",
    "ContentAccess": "content",
    "BusinessMetric": "business",
    "MetricPoint": "performance",
    "Numbering": "recorders",
}


@pytest.mark.parametrize(("name", "module"), RECORDED.items())
def test_what_people_write_is_what_the_redactor_is_given(name: str, module: str) -> None:
    """
    The free texts and labels of what is recorded are those that the one way into the store redacts.
    """
    (message,) = (each for each in messages() if each.name == name)
    written = {each.name for each in strings_of(message) if kind_of(each) in WRITTEN}
    code = (ROOT / f"server/stewardd/{module}.py").read_text(encoding="utf-8")
    redacted = set(re.findall(r"redactor\.redact\w*\((?:each\.)?(\w+)\)", code))

    assert written == {"user_role" if each == "user_roles" else each for each in redacted}


def kind_of(field: FieldDescriptor) -> Any:
    """Return what *field* says it holds."""
    return field.GetOptions().Extensions[annotations_pb2.text_kind]


DECLARED = re.compile(
    r"\s*(rpc|message|enum|service|oneof|(repeated |optional |map<.*> )?[\w.]+ \w+ = \d+|[A-Z_]+ = \d+)"
)


@pytest.mark.parametrize("path", sorted((ROOT / "protos/steward/v1").glob("*.proto")), ids=lambda each: each.stem)
def test_all_that_is_declared_is_documented(path: Path) -> None:
    """
    Each field, message, enum value and RPC of the .proto files has a comment right above it.
    """
    lines = path.read_text(encoding="utf-8").splitlines()

    bare = [line for above, line in pairwise(lines) if DECLARED.match(line) and not above.strip().startswith("//")]

    assert [] == bare
