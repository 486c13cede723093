"""What tests need to know of a plain ministack server: how it is reached, and what is in it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

REGION = "eu-west-1"
ACCOUNT = "111122223333"  # ministack takes an access key of twelve digits for the account


@dataclass(frozen=True)
class Server:
    """A running endpoint and the variables under which boto3 finds it."""

    endpoint: str
    variables: Mapping[str, str] = field(repr=False)

    def client(self, service: str) -> Any:
        """A client of the test's own, to read back what was made."""
        # A session of its own: boto3's default one keeps the credentials of whichever test came first.
        session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="test", region_name=REGION)
        return session.client(service, endpoint_url=self.endpoint)


def variables(endpoint: str) -> dict[str, str]:
    """The environment of a user whose AWS is at ``endpoint``."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
    """Wait until the process answers; fail with its log if it never does."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(300):
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            with opener.open(f"{endpoint}/_ministack/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"ministack did not answer: {log.read_text(errors='replace')[-2000:]}")


def wait_for(server: Server, stack: str, *statuses: str) -> None:
    """Wait until a stack that the test itself changes is in one of ``statuses``."""
    for _ in range(200):
        found = server.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
        if found in statuses:
            return
        time.sleep(0.05)
    pytest.fail(f"stack {stack} is {found}, not {statuses}")


def make_stack(server: Server, stack: str, template: str) -> None:
    """Create a stack without the engine."""
    server.client("cloudformation").create_stack(StackName=stack, TemplateBody=template)
    wait_for(server, stack, "CREATE_COMPLETE")


def is_there(server: Server, stack: str) -> bool:
    """Whether a stack of that name exists in any state."""
    pages = server.client("cloudformation").get_paginator("list_stacks").paginate()
    return any(
        item["StackName"] == stack and item["StackStatus"] != "DELETE_COMPLETE"
        for page in pages
        for item in page["StackSummaries"]
    )
