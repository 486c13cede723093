"""Clients of AWS: one for each service, also when several threads want the first at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from deploy import clients

THREADS = 8


@pytest.fixture(autouse=True)
def forget() -> None:
    clients.forget_clients()


def test_threads_that_want_the_first_client_at_once_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3's session is not for several threads; each of ours would have made a client of its own."""
    at_work, made = threading.Lock(), []
    together = threading.Barrier(THREADS)

    def make(service: str, **settings: Any) -> object:
        assert at_work.acquire(blocking=False), "two clients are made at once"
        made.append(service)
        threading.Event().wait(0.05)  # as long as the others need to come here, if they may
        at_work.release()
        return object()

    def wants(number: int) -> Any:
        together.wait()
        return clients.client("sqs")

    monkeypatch.setattr(clients.boto3, "client", make)
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(wants, range(THREADS)))
    assert made == ["sqs"]
    assert all(each is found[0] for each in found)
    clients.forget_clients()
