"""An embedded AWS for the tests of a module, with what a test needs to use it: clients, stacks, an HTTP receiver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from embedded_tools import Receiver, Stack, clients_of, receiving

from tocsin.cloud.embedded import EmbeddedAws, embedded


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[EmbeddedAws]:
    """An embedded AWS in plain time; tests step it with ``aws.next_minute()``."""
    with embedded(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(scope="module")
def client(aws) -> Callable[..., Any]:
    """``client("sqs")``: a boto3 client of the embedded AWS."""
    return clients_of(aws)


@pytest.fixture
def stack(client) -> Iterator[Callable[..., Stack]]:
    """``stack("name", resources)`` creates a stack; all are deleted after the test."""
    made: list[Stack] = []

    def create(name: str, resources: dict[str, Any], outputs: dict[str, Any] | None = None, **rest: Any) -> Stack:
        one = Stack(client("cloudformation"), name)
        made.append(one)
        one.create(resources, outputs, **rest)
        return one

    yield create
    for one in reversed(made):
        one.delete()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A local HTTP endpoint that confirms subscriptions and keeps what it gets."""
    with receiving() as one:
        yield one
