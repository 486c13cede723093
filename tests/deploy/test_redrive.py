"""What was given up is sent again: from the word that Lambda or ECS left of it to the event that the loader takes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.data_pipeline.handlers.files import File
from deploy.data_pipeline.handlers.loader import files_of, moment
from deploy.run.stage import Stage, describe_environment, in_environment, set_up_systems
from hypothesis import given
from hypothesis import strategies as st

from deploy import redrive
from tocsin.cloud.embedded import embedded

TIME = "2026-11-21T06:00:00+00:00"


def by_lambda(*keys: str) -> str:
    records = [
        {"eventTime": TIME, "s3": {"bucket": {"name": "b"}, "object": {"key": key, "versionId": "v"}}} for key in keys
    ]
    return json.dumps({"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": {"Records": records}})


def by_ecs(key: str, bucket: str = "b", version: str = "v") -> str:
    told = {"BUCKET": bucket, "KEY": key, "VERSION": version, "ARRIVED": TIME}
    environment = [{"name": name, "value": value} for name, value in told.items()]
    detail = {
        "lastStatus": "STOPPED",
        "overrides": {"containerOverrides": [{"name": "loader", "environment": environment}]},
    }
    return json.dumps({"source": "aws.ecs", "detail": detail})


def test_the_event_of_a_function_is_its_own() -> None:
    event = redrive.event_of(by_lambda("incoming/airlines/a+b.csv", "incoming/airlines/c.csv"))
    assert event is not None
    assert [file.key for file in files_of(event)] == ["incoming/airlines/a b.csv", "incoming/airlines/c.csv"]


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_the_event_of_a_task_is_its_file(key: str) -> None:
    event = redrive.event_of(by_ecs(key))
    assert event is not None
    assert files_of(event) == [File("b", key, "v", moment(TIME))]


@pytest.mark.parametrize(
    "body", ["", "x", "[]", "{}", "null", '{"requestPayload": {"Records": "?"}}', '{"detail": {}}']
)
def test_what_names_no_file_is_left(body: str) -> None:
    assert redrive.event_of(body) is None


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as aws, in_environment(aws.boto3_environment()):
        yield set_up_systems(aws, describe_environment(aws))


@pytest.mark.long
def test_files_are_loaded_and_what_is_none_stays(stage: Stage) -> None:
    outputs = stage.outputs["data_pipeline"]
    bucket, queue = outputs["IncomingName"], outputs["LoaderDeadLettersUrl"]
    s3, sqs = stage.client("s3"), stage.client("sqs")
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={}
    )  # as if nobody had loaded them
    for name, tell in (("a b.csv", by_ecs), ("c.csv", by_ecs)):
        key = f"incoming/airlines/{name}"
        put = s3.put_object(Bucket=bucket, Key=key, Body=f"carrier,name\n{name[0]},Airline\n".encode())
        sqs.send_message(QueueUrl=queue, MessageBody=tell(key, bucket, put["VersionId"]))
    sqs.send_message(QueueUrl=queue, MessageBody="{}")
    lines = sorted(redrive.redrive(stage.environment))
    assert [line.partition(":")[0] for line in lines] == [
        "left in the queue, for it names no file",
        "sent again",
        "sent again",
    ]
    end = time.monotonic() + 30
    while stage.rows("airlines") < 2:
        assert time.monotonic() < end, "the files were not loaded"
        time.sleep(0.1)
    assert list(redrive.redrive(stage.environment)) == [
        "laptop: no load was given up"
    ]  # what is left is hidden for now


def test_wrong_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    assert redrive.main(["dev", "--environments", str(tmp_path / "none.toml")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("redrive: ")
