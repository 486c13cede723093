"""An embedded AWS with the tables and the queue of the notification system, for handlers that run in the test's process."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import boto3
import pytest
from notification_tools import DAY, Place, make_place, set_clock

from deploy import clients
from tocsin.cloud.embedded import EmbeddedAws, embedded


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture
def place(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Tables and a queue of the test's own, and the process environment that the functions would have; it is DAY, 05:00."""
    set_clock(monkeypatch, DAY)
    # Handlers in this process take the plain endpoint: what TLS costs is of no interest here.
    for name, value in (aws.boto3_environment() | {"AWS_ENDPOINT_URL": aws.endpoint}).items():
        monkeypatch.setenv(name, value)
    clients.forget_clients()
    made = make_place(functools.cache(boto3.client))
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    clients.forget_clients()
