"""
What many tests start from: a server on a fresh store, and a client of it.
"""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from steward import Client
from stewardd.app import App
from stewardd.testing import running_server

# How fast a machine is that others use too says nothing about the code.
settings.register_profile("steward", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steward")


@pytest.fixture
def server() -> Iterator[App]:
    """A server on a fresh store."""
    with running_server() as running:
        yield running


@pytest.fixture
def client(server: App) -> Iterator[Client]:
    """A client of the server."""
    with Client(server.target) as connected:
        yield connected


@pytest.fixture(scope="session")
def asked() -> Iterator[Client]:
    """A client of a server that is shared by all tests that store nothing."""
    with running_server(alert_seconds=3600.0) as running, Client(running.target) as connected:
        yield connected
