"""IAM: ministack's verdicts on calls, mended where AWS decides otherwise.

With ``iam`` every call is checked against the policies of its caller: identity policies, permissions boundary,
session policies, and the resource's own policy.  The access key ``test`` is the account's root and may do everything.

Mended here (source, unless said otherwise: Service Authorization Reference, page of the service):

- A batch call needs the permission of the single call: SendMessageBatch needs ``sqs:SendMessage``.
- Lambda calls are named by Lambda's own API, so that PutFunctionEventInvokeConfig is not UpdateFunctionCode.
- A write to S3 carries ``s3:x-amz-server-side-encryption-aws-kms-key-id``, if it names a key.
- PutMetricData carries ``cloudwatch:namespace``; PutEvents carries ``events:source`` and ``events:detail-type``.
- AssumeRole carries ``sts:RoleSessionName``.
- Wildcards stand for line ends, too (IAM User Guide, "Using wildcards in resource ARNs": any combination of characters).
- Calls on stacks carry ``cloudformation:RoleArn``, ``cloudformation:ChangeSetName`` and ``cloudformation:TemplateUrl``.
- RunTask is authorized on the task definition, DescribeTasks and StopTask on the task; the cluster is a condition.
- Calls on a log group are authorized on its streams, ``log-group:NAME:log-stream:…``, except for tags.
- ``aws:PrincipalArn`` of a role's session is the role (IAM user guide, "AWS global condition context keys").
- A caller who hands a role to a service needs ``iam:PassRole`` for it, with ``iam:PassedToService``: Lambda, ECS,
  EventBridge and CloudFormation.
- Code that runs in a function carries ``lambda:SourceFunctionArn`` (Lambda developer guide, "Using source function ARN
  to control function access behavior").

What a transport demands holds with and without ``iam``: a resource policy's Deny that asks for nothing but
``aws:SecureTransport`` refuses plain HTTP even to the root, for buckets, queues, topics, secrets and keys.

What callers need of KMS keys stands in `keys`, what services do in a role's name in `service_roles`, the resources of
CloudWatch's and EventBridge's calls in `iam_resources`.

Not simulated: KMS grants, the policies of VPC endpoints (``aws:SourceVpce``), ``dynamodb:LeadingKeys``, the permissions
CloudFormation needs to make resources with a service role (but for what `dynamic_references` read), and service
control policies.  A missing object is "not
found" to somebody who may not list the bucket, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from . import iam_resources, tls
from .base import core, here, service
from .parts import Parts

Handler = Callable[[str, str, dict[str, str], bytes, Any], Awaitable[Any]]

_SINGLE = {
    "sqs:SendMessageBatch": "sqs:SendMessage",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sns:PublishBatch": "sns:Publish",
}
_OF_STACKS = {
    "cloudformation:ChangeSetName": "ChangeSetName",
    "cloudformation:RoleArn": "RoleARN",
    "cloudformation:TemplateUrl": "TemplateURL",
}
_INVOKE = ("Invoke", "InvokeAsync", "InvokeWithResponseStream")
_WITH_POLICIES = ("s3", "sqs", "sns", "secretsmanager", "kms")


def install(parts: Parts) -> None:
    """Mend the verdicts."""
    actions, evaluator = core("iam_actions"), core("iam_evaluator")
    actions._BOTOCORE_SERVICE_MAP["lambda"] = ["lambda"]
    evaluator._fnmatch_compile = _wildcards
    _name_actions(actions)
    _name_resources(actions)
    _add_conditions(actions)
    _name_source_functions(evaluator)
    _name_roles(evaluator)
    handlers = import_module("ministack.app").SERVICE_HANDLERS
    for name in _WITH_POLICIES:
        handlers[name] = _only_over_tls(name, handlers[name])
    if parts.enforce_iam:
        iam_resources.install()
        for name in _PASSED:
            handlers[name] = _passing_roles(name, handlers[name])


@lru_cache(maxsize=4096)
def _wildcards(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """A text of a policy as a pattern; a wildcard stands for line ends, too, which the key of an object may hold."""
    signs = {"*": ".*", "?": "."}
    regex = "".join(signs.get(sign) or re.escape(sign) for sign in pattern)
    return re.compile(rf"{regex}\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _name_actions(actions: Any) -> None:
    extract = actions.extract_iam_action

    def extract_iam_action(
        name: str, method: str, path: str, headers: dict[str, str], body: bytes, parameters: Any
    ) -> str | None:
        if name == "lambda" and (operation := actions._match_rest_action(name, method, path, parameters)):
            return "lambda:InvokeFunction" if operation in _INVOKE else f"lambda:{operation}"
        action: str | None = extract(name, method, path, headers, body, parameters)
        if action is None and name == "monitoring" and "/operation/" in path:
            # The CBOR protocol names the operation in the path.
            return "cloudwatch:" + path.rpartition("/operation/")[2].strip("/")
        return _SINGLE.get(action, action) if action else None

    actions.extract_iam_action = extract_iam_action


def _name_resources(actions: Any) -> None:
    extract = actions.extract_resource_arn

    def extract_resource_arn(
        name: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        parameters: Any,
        region: str,
        account: str,
    ) -> str:
        if arns := iam_resources.find_arns(name, path, headers, body, parameters):
            return arns[0]
        if name == "ecs":
            request = _json(body)
            operation = headers.get("x-amz-target", "").rpartition(".")[2]
            if operation in ("RunTask", "StartTask") and request.get("taskDefinition"):
                return _task_definition_arn(str(request["taskDefinition"]))
            task = request.get("task") or next(iter(request.get("tasks") or ()), None)
            if operation in ("DescribeTasks", "StopTask") and task:
                cluster = str(request.get("cluster") or "default").rpartition("/")[2]
                whole = str(task).startswith("arn:")
                return str(task) if whole else f"arn:aws:ecs:{region}:{account}:task/{cluster}/{task}"
        if name == "logs":
            request = _json(body)
            group = str(request.get("logGroupName") or "")
            if group and "Tag" not in headers.get("x-amz-target", "").rpartition(".")[2]:
                stream = request.get("logStreamName") or ""
                return f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:{stream}"
        found: str = extract(name, method, path, headers, body, parameters, region, account)
        return found

    actions.extract_resource_arn = extract_resource_arn


def _task_definition_arn(given: str) -> str:
    """The ARN with revision of what RunTask was given: an ARN, ``family:revision`` or a family."""
    records = service("ecs")._task_defs.values()
    for record in records:
        arn = str(record["taskDefinitionArn"])
        if given in (arn, arn.rpartition("/")[2]):
            return arn
    family = given.rpartition("/")[2]
    revisions = [record for record in records if record.get("family") == family and record.get("status") == "ACTIVE"]
    if revisions:
        return str(max(revisions, key=lambda record: int(record["revision"]))["taskDefinitionArn"])
    account, region = here()
    return given if given.startswith("arn:") else f"arn:aws:ecs:{region}:{account}:task-definition/{given}"


def _add_conditions(actions: Any) -> None:
    context = actions.request_tag_context

    def request_context(name: str, action: str, body: bytes, parameters: Any) -> dict[str, Any]:
        found: dict[str, Any] = dict(context(name, action, body, parameters))
        if action == "cloudwatch:PutMetricData" and (namespace := _namespace(body, parameters)):
            found["cloudwatch:namespace"] = namespace
        if action == "events:PutEvents":
            entries = [entry for entry in _json(body).get("Entries") or () if isinstance(entry, dict)]
            found |= _several("events:source", (entry.get("Source") for entry in entries))
            found |= _several("events:detail-type", (entry.get("DetailType") for entry in entries))
        if action == "sts:AssumeRole":
            found |= _several("sts:RoleSessionName", (parameters or {}).get("RoleSessionName") or ())
        if name == "cloudformation":
            for key, parameter in _OF_STACKS.items():
                found |= _several(key, (parameters or {}).get(parameter) or ())
        if name == "ecs" and (cluster := _json(body).get("cluster")):
            account, region = here()
            whole = str(cluster).startswith("arn:")
            found["ecs:cluster"] = cluster if whole else f"arn:aws:ecs:{region}:{account}:cluster/{cluster}"
        return found

    of_s3 = actions.s3_service_context

    def s3_context(action: str, parameters: Any, path: str = "", headers: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = of_s3(action, parameters, path, headers)
        name = "x-amz-server-side-encryption-aws-kms-key-id"
        key = (headers or {}).get(name) if action == "s3:PutObject" else None
        return {**found, f"s3:{name}": key} if key else found

    actions.request_tag_context, actions.s3_service_context = request_context, s3_context


def _several(key: str, values: Any) -> dict[str, Any]:
    found = sorted({str(value) for value in ([values] if isinstance(values, str) else values) if value})
    return {key: found[0] if len(found) == 1 else found} if found else {}


def _namespace(body: bytes, parameters: Any) -> str | None:
    """The Namespace of PutMetricData, in any of CloudWatch's protocols."""
    given = parameters.get("Namespace") if parameters else None
    if given:
        return str(given[0] if isinstance(given, list) else given)
    request = _json(body)
    if not request:
        try:
            request = import_module("cbor2").loads(body)
        except Exception:
            return None
    return str(request["Namespace"]) if isinstance(request, dict) and request.get("Namespace") else None


def _name_source_functions(evaluator: Any) -> None:
    runtime, sessions = core("lambda_runtime"), service("sts")._sessions
    credentials, keys = runtime.execution_credentials, evaluator._principal_keys

    def execution_credentials(config: dict[str, Any]) -> dict[str, str]:
        made: dict[str, str] = credentials(config)
        session = sessions.get(made["AWS_ACCESS_KEY_ID"])
        if session is not None:
            role = service("iam")._roles.get(str(config.get("Role", "")).rpartition("/")[2]) or {}
            session["SourceFunctionArn"] = config.get("FunctionArn", "")
            session["UserId"] = f"{role.get('RoleId', '')}:{session['Arn'].rpartition('/')[2]}"
        return made

    def principal_keys(credential: Any) -> dict[str, Any]:
        found: dict[str, Any] = keys(credential)
        source = (sessions.get(credential.access_key_id) or {}).get("SourceFunctionArn")
        return {**found, "lambda:sourcefunctionarn": source} if source else found

    runtime.execution_credentials, evaluator._principal_keys = execution_credentials, principal_keys


def _name_roles(evaluator: Any) -> None:
    resolve = evaluator._resolve_condition_key

    def resolve_key(key: str, context: Any) -> Any:
        if key.lower() == "aws:principalarn" and ":assumed-role/" in context.principal_arn:
            return role_arn(context.principal_arn)
        return resolve(key, context)

    evaluator._resolve_condition_key = resolve_key


def role_arn(session_arn: str) -> str:
    """The role behind an assumed-role session, path and all."""
    account, name = session_arn.split(":")[4], session_arn.split("/")[1]
    record = service("iam")._roles.get_scoped(account, None, name) or {}
    return str(record.get("Arn") or f"arn:aws:iam::{account}:role/{name}")


def _only_over_tls(name: str, handle: Handler) -> Handler:
    """Refuse plain HTTP where the resource's policy does."""
    actions, evaluator, app = core("iam_actions"), core("iam_evaluator"), import_module("ministack.app")

    async def handler(method: str, path: str, headers: dict[str, str], body: bytes, parameters: Any) -> Any:
        if tls.plain():
            account, region = here()
            merged = app._routing_params(method, path, headers, body, parameters)
            action = actions.extract_iam_action(name, method, path, headers, body, merged) or ""
            arn = actions.extract_resource_arn(name, method, path, headers, body, merged, region, account)
            policy = evaluator._resource_policy(name, arn) if action else None
            if policy is not None and _demands_tls(policy[0], action, arn):
                return actions.access_denied_response(
                    name, action, f"arn:aws:iam::{account}:root", "plain-http", headers=headers,
                    resource_arn=arn, explicit_deny=True, resource_policy_arn=arn,
                )  # fmt: skip
        return await handle(method, path, headers, body, parameters)

    return handler


def _demands_tls(policy: Any, action: str, arn: str) -> bool:
    """Whether a Deny that asks for nothing but the transport meets this call."""
    evaluator = core("iam_evaluator")
    document = _json(policy)
    statements = document.get("Statement") or ()
    for statement in [statements] if isinstance(statements, dict) else statements:
        conditions = statement.get("Condition") or {}
        keys = [key.lower() for block in conditions.values() for key in block]
        if statement.get("Effect") != "Deny" or keys != ["aws:securetransport"]:
            continue
        context = evaluator.EvalContext("*", "Anonymous", "", action, arn, "", secure_transport=False)
        if (
            evaluator.evaluate(context, [evaluator.parse_policy_document({"Statement": [statement]})]).decision
            == "Deny"
        ):
            return True
    return False


def _passing_roles(name: str, handle: Handler) -> Handler:
    """Check ``iam:PassRole`` for each role that a request hands to a service."""
    actions, evaluator, app = core("iam_actions"), core("iam_evaluator"), import_module("ministack.app")
    find, receiver = _PASSED[name]

    async def handler(method: str, path: str, headers: dict[str, str], body: bytes, parameters: Any) -> Any:
        merged = app._routing_params(method, path, headers, body, parameters)
        action = actions.extract_iam_action(name, method, path, headers, body, merged) or ""
        for role in sorted(find(action.partition(":")[2], _json(body), merged)):
            key = app.extract_access_key_id(headers, parameters)
            denied = evaluator.enforce(
                key, "iam:PassRole", "iam", here()[1], resource_arn=role,
                service_context={"iam:PassedToService": receiver},
            )  # fmt: skip
            if denied is not None:
                return actions.access_denied_response(
                    name, "iam:PassRole", getattr(denied, "principal_arn", ""), "pass-role", headers=headers,
                    resource_arn=role, explicit_deny=getattr(denied, "decision", "") == "Deny",
                )  # fmt: skip
        return await handle(method, path, headers, body, parameters)

    return handler


def _lambda_roles(operation: str, request: Mapping[str, Any], _parameters: Any) -> set[str]:
    if not operation.startswith(("CreateFunction", "UpdateFunctionConfiguration")):
        return set()
    return {str(request["Role"])} if request.get("Role") else set()


def _task_roles(operation: str, request: Mapping[str, Any], _parameters: Any) -> set[str]:
    if operation == "RegisterTaskDefinition":
        given = [request]
    elif operation in ("RunTask", "StartTask"):
        # What an override names replaces the definition's role.
        arn = _task_definition_arn(str(request.get("taskDefinition", "")))
        record: dict[str, Any] = next(
            (each for each in service("ecs")._task_defs.values() if each["taskDefinitionArn"] == arn), {}
        )
        given = [{**record, **(request.get("overrides") or {})}]
    else:
        return set()
    return {str(each[name]) for each in given for name in ("taskRoleArn", "executionRoleArn") if each.get(name)}


def _target_roles(operation: str, request: Mapping[str, Any], _parameters: Any) -> set[str]:
    targets = request.get("Targets") or () if operation == "PutTargets" else ()
    return {str(target["RoleArn"]) for target in targets if target.get("RoleArn")}


def _stack_roles(_operation: str, request: Mapping[str, Any], parameters: Any) -> set[str]:
    given = request.get("RoleARN") or (parameters or {}).get("RoleARN")
    given = given[0] if isinstance(given, list) else given
    return {str(given)} if given else set()


_PASSED: Mapping[str, tuple[Callable[[str, Mapping[str, Any], Any], set[str]], str]] = {
    "lambda": (_lambda_roles, "lambda.amazonaws.com"),
    "ecs": (_task_roles, "ecs-tasks.amazonaws.com"),
    "events": (_target_roles, "events.amazonaws.com"),
    "cloudformation": (_stack_roles, "cloudformation.amazonaws.com"),
}


def _json(text: Any) -> dict[str, Any]:
    if isinstance(text, dict):
        return text
    try:
        found = json.loads(text or b"{}")
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
