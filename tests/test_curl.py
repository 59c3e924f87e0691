"""
Every RPC as an operator calls it from a shell: buf curl, which asks reflection as grpcurl does. `pytest -s` prints all.
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from steward import Client, ids
from stewardd.app import App
from stewardd.testing import running_server
from tests.samples import interaction, recorded
from tests.test_grid import METHODS

BUF = Path(sys.executable).parent / "buf"
KNOWN = ids.mint()
# What a call needs that does not work empty. All others are called with an empty request.
REQUESTS: dict[str, dict[str, Any]] = {
    "RecordInteraction": {
        "interaction": {"interaction_id": ids.mint(), "session_id": "s", "user_role": "Developer", "query": "How?"}
    },
    "RecordInteractions": {
        "interactions": [{"interaction_id": ids.mint(), "session_id": "s", "user_role": "Developer", "query": "Why?"}]
    },
    "RateInteraction": {"interaction_id": KNOWN, "user_rating": 4},
    "GetInteraction": {"interaction_id": KNOWN},
    "GetSession": {"session_id": "session-1"},
    "RecordMetrics": {"points": [{"metric_id": ids.mint(), "name": "query.execution_time", "value": 0.2, "unit": "s"}]},
    "RecordContentAccess": {
        "access": {"access_id": ids.mint(), "content_type": "project", "content_id": "rag", "relevance_score": 0.8}
    },
    "RecordBusinessMetric": {"day": {"day_id": ids.mint(), "date": "2025-09-30", "developer_sessions": 3}},
    "SetAlertRule": {"name": "slow_store", "metric": "ALERT_METRIC_DB_QUERY_TIME", "operator": 1, "threshold": 0.5},
    "ExportTable": {"table": "interactions"},
    "ImportInteractions": {
        "interactions": [
            {
                "row": 1,
                "interaction": {
                    "interaction_id": ids.mint(),
                    "session_id": "s",
                    "occurred_at": "2025-09-30T12:00:00Z",
                    "query": "Imported?",
                },
            }
        ]
    },
}
OF_A_BACKUP = (
    "GetBackup",
    "VerifyBackup",
    "DeleteBackup",
    "DownloadBackup",
    "RestoreBackup",
)  # each is asked about one of its own


def command(server: App, method: Any, request: dict[str, Any]) -> list[str]:
    """Return the command line that calls *method* with *request*."""
    url = f"http://{server.target}/{method.containing_service.full_name}/{method.name}"
    return [str(BUF), "curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", json.dumps(request), url]


@pytest.fixture(scope="module")
def server() -> Iterator[App]:
    """A server with one interaction, for all calls."""
    with running_server() as running, Client(running.target) as client:
        recorded(client, interaction(interaction_id=KNOWN))
        REQUESTS.update({name: {"id": client.create_backup().id} for name in OF_A_BACKUP})
        yield running


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
def test_every_rpc_answers_in_a_shell(server: App, method: Any) -> None:
    """
    Each RPC answers its example, or an empty request, with JSON of its response; a stream begins at once.
    """
    called = command(server, method, REQUESTS.get(method.name, {}))
    if method.server_streaming:
        with subprocess.Popen(called, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            output = _document(process.stdout)
            process.terminate()
    else:
        done = subprocess.run(called, capture_output=True, text=True, check=False)
        assert (0, "") == (done.returncode, done.stderr)
        output = done.stdout

    answer = json.loads(output)

    print(f"\n{method.name} {json.dumps(REQUESTS.get(method.name, {}))}\n  {json.dumps(answer)}")
    assert set(answer) <= {field.json_name for field in method.output_type.fields}


def _document(lines: Iterable[str]) -> str:
    """Return the first JSON document of *lines*, which are indented or not."""
    text = ""
    for line in lines:
        text += line
        try:
            json.loads(text)
        except ValueError:
            continue
        return text
    return text


REFUSED = [
    ("GetPerformance", {"hours": 0}, "hours"),
    ("ListCommonQuestions", {"limit": 1001}, "limit"),
    ("RecordBusinessMetric", {}, "figures"),
    ("GetBusinessReport", {"time_zone": "Mars/Base"}, "time_zone"),
    ("GetInsights", {"since": "2025-01-02T00:00:00Z", "until": "2025-01-01T00:00:00Z"}, "until"),
    ("SetAlertRule", {"name": "x", "metric": 99, "operator": 1, "threshold": 1}, "metric"),
    ("SetQualityThresholds", {"min_success_rate": "NaN"}, "min_success_rate"),
]


@pytest.mark.parametrize(("name", "request_", "field"), REFUSED)
def test_bad_input_is_named_in_a_shell(server: App, name: str, request_: dict[str, Any], field: str) -> None:
    """
    INVALID_ARGUMENT, and the details name the field and what would be right.
    """
    (method,) = (each for each in METHODS if each.name == name)

    done = subprocess.run(command(server, method, request_), capture_output=True, text=True, check=False)

    told = json.loads(done.stderr)
    (bad,) = (each["value"] for each in told["details"] if each["type"] == "google.rpc.BadRequest")
    assert "invalid_argument" == told["code"]
    assert f"{field}: must" in told["message"]
    assert bad
