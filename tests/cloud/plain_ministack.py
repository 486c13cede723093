"""A ministack process as it is published, for tests that need AWS but none of our additions to it.

A test module takes these fixtures with ``pytest_plugins = ["plain_ministack"]``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from plain_server import REGION, Server, free_port, variables, wait_until_up

from tocsin.cloud.session import Cloud, connect


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the whole run; tests keep apart by the names of their environments."""
    folder = tmp_path_factory.mktemp("ministack")
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MINISTACK_"))}
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "LAMBDA_EXECUTOR": "local",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "ministack")], env=clean | settings, cwd=folder, stdout=log, stderr=log
        )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(process, endpoint, folder / "log")
        yield Server(endpoint, variables(endpoint))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def plain_aws(ministack: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, with the process environment of a user who works with it."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    for name, value in ministack.variables.items():
        monkeypatch.setenv(name, value)
    return ministack


@pytest.fixture
def plain_cloud(plain_aws: Server) -> Cloud:
    """The engine's own connection to it."""
    return connect()


@pytest.fixture
def unused() -> str:
    """A name that no other test uses, fit for an environment."""
    return f"t{uuid.uuid4().hex[:10]}"
