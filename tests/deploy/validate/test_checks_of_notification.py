"""The checks of the notification system: each passes on what was deployed, and fails on what was broken."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from deploy.package import packages, write_zip
from deploy.run.stage import Stage
from deploy.validate.reader import reader

from deploy.validate import CheckFailedError, Target, notification_travels, other_user, perform, unsigned_call
from tocsin.cloud.environments import FromVariable

pytestmark = pytest.mark.long

ANSWERS_EVERYBODY = (
    'def handler(event, context):\n    return {"statusCode": 200, "body": "{\\"notifications\\": []}"}\n'
)


def items(stage: Stage, table: str) -> int:
    """How many items a table holds."""
    return int(stage.client("dynamodb").scan(TableName=stage.outputs["notification"][table], Select="COUNT")["Count"])


@contextmanager
def reader_that_answers_everybody(stage: Stage) -> Iterator[None]:
    """GetNotifications as somebody might write it who leaves the question of whose data it is to others."""
    functions, name = stage.client("lambda"), stage.outputs["notification"]["GetNotificationsName"]
    before = functions.get_function_configuration(FunctionName=name)["Handler"]
    functions.update_function_code(FunctionName=name, ZipFile=write_zip({"everybody.py": ANSWERS_EVERYBODY.encode()}))
    functions.update_function_configuration(FunctionName=name, Handler="everybody.handler")
    try:
        yield
    finally:
        [package] = [each for each in packages("notification") if each.parameter == "GetNotificationsCodeKey"]
        functions.update_function_code(FunctionName=name, ZipFile=package.content)
        functions.update_function_configuration(FunctionName=name, Handler=before)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_command_that_is_shown_for_the_api_answers(stage: Stage) -> None:
    """As somebody pastes it into a terminal that knows nothing of this AWS."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = f"{stage.curl('reader-1')} --silent --show-error --write-out ' %{{http_code}}'"
    done = subprocess.run(["sh", "-c", command], env=plain, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    body, _, status = done.stdout.rpartition(" ")
    assert (status, json.loads(body)) == ("200", {"notifications": [], "cursor": None})


def test_a_notification_travels_and_leaves_nothing(stage: Stage, target: Target) -> None:
    tables = ("DefinitionsName", "SubscriptionsName", "NotificationsName")
    before = [items(stage, table) for table in tables]
    result = perform(notification_travels.CHECK, target)
    assert result.passed, result.found
    assert result.found.startswith("synthetic-")
    assert [items(stage, table) for table in tables] == before


def test_a_notification_that_does_not_travel(stage: Stage, hasty: Target) -> None:
    events, rule = stage.client("events"), stage.outputs["notification"]["ValidationRuleName"]
    events.disable_rule(Name=rule)
    try:
        result = perform(notification_travels.CHECK, hasty)
    finally:
        events.enable_rule(Name=rule)
    assert not result.passed
    assert "could not be read after 2 s; it is not among the user's notifications" in result.found
    assert items(stage, "DefinitionsName") == 0


def test_a_notification_cannot_be_read_at_all(stage: Stage, hasty: Target) -> None:
    stage.break_reader()
    try:
        result = perform(notification_travels.CHECK, hasty)
    finally:
        stage.mend_reader()
    assert not result.passed
    assert "the API answered 5" in result.found


def test_an_unsigned_call_is_refused(target: Target) -> None:
    result = perform(unsigned_call.CHECK, target)
    assert (result.passed, result.found) in {(True, "refused with 403"), (True, "refused with 401")}


def test_an_api_without_authorizer(stage: Stage, target: Target) -> None:
    apis, api = stage.client("apigatewayv2"), stage.outputs["notification"]["ApiId"]
    [route] = apis.get_routes(ApiId=api)["Items"]
    apis.update_route(ApiId=api, RouteId=route["RouteId"], AuthorizationType="NONE")
    try:
        with reader_that_answers_everybody(stage):
            result = perform(unsigned_call.CHECK, target)
    finally:
        apis.update_route(ApiId=api, RouteId=route["RouteId"], AuthorizationType=route["AuthorizationType"])
    assert (result.passed, result.found) == (False, "an unsigned request was answered with 200, not 401 or 403")


def test_another_users_data_is_refused(target: Target) -> None:
    result = perform(other_user.CHECK, target)
    assert (result.passed, result.found) == (True, "refused with 403; his own are answered")


def test_a_reader_that_answers_everybody(stage: Stage, target: Target) -> None:
    with reader_that_answers_everybody(stage):
        result = perform(other_user.CHECK, target)
    assert (result.passed, result.found) == (False, "a user who asked for another's notifications got 200, not 403")


def test_a_refusal_shows_nothing_where_everybody_is_refused(stage: Stage, target: Target) -> None:
    stage.break_reader()
    try:
        result = perform(other_user.CHECK, target)
    finally:
        stage.mend_reader()
    assert not result.passed
    assert "so a refusal would show nothing" in result.found


# An API that wants tokens.


def token(claims: dict[str, str]) -> str:
    """Something with the shape of a JSON Web Token; who verifies it is the API."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


@pytest.fixture
def wants_tokens(target: Target) -> Target:
    """The same system, deployed with another parameter."""
    stack = target.stacks["notification"]
    parameters = {**stack.parameters, "ApiAuthorization": "JWT"}
    environment = replace(target.environment, validation_token=FromVariable("TOKEN"))
    return replace(
        target,
        environment=environment,
        stacks={**target.stacks, "notification": replace(stack, parameters=parameters)},
    )


def test_the_user_of_a_token_is_its_subject(wants_tokens: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", token({"sub": "validation-user"}))
    assert reader(wants_tokens).user == "validation-user"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "the API wants a token, but TOKEN is not set"),
        ("", "the API wants a token, but TOKEN is not set"),
        ("nonsense", "the token is no JSON Web Token with a claim sub"),
        ("a.b.c", "the token is no JSON Web Token"),
        (token({"name": "x"}), "no JSON Web Token with a claim sub"),
    ],
)
def test_a_token_that_cannot_be_used(
    wants_tokens: Target, monkeypatch: pytest.MonkeyPatch, value: str | None, said: str
) -> None:
    monkeypatch.delenv("TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("TOKEN", value)
    result = perform(notification_travels.CHECK, wants_tokens)
    assert not result.passed
    assert said in result.found


def test_no_token_is_configured(wants_tokens: Target) -> None:
    plain = replace(wants_tokens, environment=replace(wants_tokens.environment, validation_token=None))
    with pytest.raises(CheckFailedError, match=r"state laptop\.validation_token = \{ variable"):
        reader(plain)
