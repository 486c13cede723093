"""Service roles: what AWS does in a function's or a resource's name is checked as AWS checks it, with ``iam``.

Checked against the role of the function (AWS Lambda developer guide, pages "Defining Lambda function permissions with
an execution role", "Using Lambda with Amazon SQS", "Giving Lambda functions access to resources in an Amazon VPC",
"Capturing records of Lambda asynchronous invocations"):

- its log lines: ``logs:CreateLogStream`` and ``logs:PutLogEvents``, and ``logs:CreateLogGroup`` while there is no group;
  without them the function runs and leaves no line;
- its mapping from a queue: ``sqs:ReceiveMessage``, ``sqs:DeleteMessage`` and ``sqs:GetQueueAttributes``; without them no
  mapping is made, and one that exists does not poll;
- its failure destination and dead-letter queue or topic: ``sqs:SendMessage`` or ``sns:Publish``; without it what
  failed is lost;
- its place in a VPC: the network interface permissions, without which it is not created or changed;
- itself: a function is not created with a role that does not trust ``lambda.amazonaws.com``.

Checked against the execution role of an ECS task (Amazon ECS developer guide, "Amazon ECS task execution IAM role"):
pulling its image from ECR, its ``awslogs`` stream, and its secrets.  Without them the task stops before it runs.

Checked against the policy of the resource that is called, with the caller as ``aws:SourceArn``:

- a function called by EventBridge, EventBridge Scheduler (by its role), S3, SNS or API Gateway;
- a queue that an EventBridge rule, SNS or S3 sends to;
- a topic that CloudWatch or S3 sends to.

`sns_delivery` asks the functions of SNS, `alarms` the
topics of CloudWatch, and `api_destinations` the roles of EventBridge.  What is not checked: the role CloudFormation works
with, VPC flow logs' and RDS's roles, and keys (see `iam`).
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .base import core, here, service
from .parts import Parts

_log = logging.getLogger("tocsin.roles")

_NETWORK = (
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
_PULLING = ("ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage")
_ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[^/]+/(?P<name>[^:@]+)")
_POLLING = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")


def install(parts: Parts) -> None:
    """Check from now on, if ``iam`` is on."""
    if not parts.enforce_iam:
        return
    _check_logs()
    _check_mappings()
    _check_failures()
    _check_networks()
    _check_rules(parts)
    _check_callers_of_functions()
    _check_callers_of_queues_and_topics()


def allowed(
    role_arn: str, session: str, action: str, resource: str, conditions: Mapping[str, Any] | None = None
) -> bool:
    """Whether a service that acts as ``role_arn`` may do this: identity policies, boundary and resource policy.

    ``resource`` is an ARN.  Services call over TLS.  A role that does not exist may do nothing.
    """
    evaluator = core("iam_evaluator")
    parts = role_arn.split(":", 5)
    if len(parts) < 6 or not parts[5].startswith("role/"):
        return False
    account, name = parts[4], parts[5].rpartition("/")[2]
    if service("iam")._roles.get_scoped(account, None, name) is None:
        return False
    context = evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
        principal_type="AssumedRole",
        principal_account=account,
        action=action,
        resource_arn=resource,
        region=here()[1],
        secure_transport=True,
        service_context={key.lower(): value for key, value in (conditions or {}).items()},
    )
    limits = evaluator._permissions_boundary(service("iam")._roles, name, account)
    result = evaluator.evaluate(context, evaluator._gather_role_policies(name, account), *limits)
    policy = evaluator._resource_policy(action.partition(":")[0], resource)
    if policy is not None:
        result = evaluator.combine_resource_policy(result, context, *policy, limits=limits)
    return bool(result.decision == "Allow")


def service_may_call(policy: Any, principal: str, action: str, resource: str, source: str, account: str) -> bool:
    """Whether a resource's own policy lets the service ``principal`` call it for the resource ``source``."""
    evaluator = core("iam_evaluator")
    context = evaluator.EvalContext(
        principal_arn="*",
        principal_type="Service",
        principal_account="",
        action=action,
        resource_arn=resource,
        region=here()[1],
        secure_transport=True,
        service_context={"aws:sourcearn": source, "aws:sourceaccount": account, "aws:sourceowner": account},
    )
    return bool(evaluator.evaluate_resource_policy(policy, context, service=principal).decision == "Allow")


def _may(config: Mapping[str, Any], action: str, resource: str) -> bool:
    """Whether a function's role allows what Lambda does for it."""
    return allowed(str(config.get("Role", "")), str(config.get("FunctionName", ""))[:64], action, resource)


def check_task(parts: Parts, definition: Mapping[str, Any], session: str) -> None:
    """Raise ValueError, in the words of ECS, if the execution role of a task may not start it."""
    if not parts.enforce_iam:
        return
    role = str(definition.get("executionRoleArn") or "")
    account, region = here()

    def require(problem: str, needed: Iterable[tuple[str, str]]) -> None:
        for action, resource in needed:
            if not allowed(role, session, action, resource):
                raise ValueError(f"{problem}: AccessDeniedException: {role or 'no execution role'} may not {action}")

    for container in definition.get("containerDefinitions") or ():
        if found := _ECR.match(str(container.get("image", ""))):
            repository = f"arn:aws:ecr:{found['region']}:{found['account']}:repository/{found['name']}"
            require(
                "unable to pull secrets or registry auth: unable to retrieve ecr registry auth",
                [("ecr:GetAuthorizationToken", "*"), *((action, repository) for action in _PULLING)],
            )
        for secret in container.get("secrets") or ():
            value = str(secret.get("valueFrom", ""))
            action = "secretsmanager:GetSecretValue" if ":secretsmanager:" in value else "ssm:GetParameters"
            whole = (
                value if value.startswith("arn:") else f"arn:aws:ssm:{region}:{account}:parameter/{value.lstrip('/')}"
            )
            require("unable to pull secrets or registry auth", [(action, ":".join(whole.split(":")[:7]))])
        log = container.get("logConfiguration") or {}
        if log.get("logDriver") == "awslogs":
            options = log.get("options") or {}
            group = f"arn:aws:logs:{region}:{account}:log-group:{options.get('awslogs-group', '')}:log-stream:"
            needed = ["logs:CreateLogStream", "logs:PutLogEvents"]
            if str(options.get("awslogs-create-group", "")).lower() == "true":
                needed.insert(0, "logs:CreateLogGroup")
            require("failed to validate logger args", [(action, group) for action in needed])


def _check_logs() -> None:
    functions, logs = service("lambda_svc"), service("cloudwatch_logs")
    emit = functions._emit_lambda_logs

    def emit_logs(function: dict[str, Any], *arguments: Any, **options: Any) -> None:
        config = function.get("config") or function
        account, region = here()
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config.get('FunctionName')}"
        arn = f"arn:aws:logs:{region}:{account}:log-group:{group}:log-stream:"
        needed = ["logs:CreateLogStream", "logs:PutLogEvents"]
        if group not in logs._log_groups:
            needed.insert(0, "logs:CreateLogGroup")
        denied = [action for action in needed if not _may(config, action, arn)]
        if denied:
            _log.warning("function %s writes no log: %s", config.get("FunctionName"), ", ".join(denied))
            return
        emit(function, *arguments, **options)

    functions._emit_lambda_logs = emit_logs


def _check_mappings() -> None:
    functions, provisioners = service("lambda_svc"), service("cloudformation").provisioners
    every, create = functions._iter_all_esms, functions._create_esm
    handler = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]

    def iter_all() -> Iterator[Any]:
        for account, region, mapping in every():
            with core("responses").request_scope(account, region):
                refused = _polling_refused(mapping.get("FunctionName", ""), str(mapping.get("EventSourceArn", "")))
            if refused:
                mapping["LastProcessingResult"] = f"PROBLEM: {refused}"
                continue
            yield account, region, mapping

    def create_mapping(data: dict[str, Any]) -> Any:
        refused = _polling_refused(data.get("FunctionName", ""), str(data.get("EventSourceArn", "")))
        return _invalid(refused) if refused else create(data)

    def create_resource(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        refused = _polling_refused(properties.get("FunctionName", ""), str(properties.get("EventSourceArn", "")))
        if refused:
            raise ValueError(refused)
        return handler["create"](logical_id, properties, stack)

    functions._iter_all_esms, functions._create_esm = iter_all, create_mapping
    provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"] = {**handler, "create": create_resource}


def _polling_refused(function: str, queue: str) -> str | None:
    """Why Lambda may not poll a queue for a function; None if it may, or if the source is no queue."""
    if ":sqs:" not in queue:
        return None
    _, config, _ = service("lambda_svc")._get_func_record_for_ref(function)
    if not config:
        return None
    denied = [action for action in _POLLING if not _may(config, action, queue)]
    return _lacking(denied[0]) if denied else None


def _lacking(action: str) -> str:
    """As Lambda says it."""
    kind, _, name = action.partition(":")
    return f"The provided execution role does not have permissions to call {name} on {kind.upper()}"


def _invalid(message: str) -> Any:
    return service("lambda_svc").error_response_json("InvalidParameterValueException", message, 400)


def _check_failures() -> None:
    functions = service("lambda_svc")
    route = functions._route_async_failure

    def route_failure(target: str, name: str, event: Any, result: Any) -> None:
        config = (functions._functions.get(name) or {}).get("config") or {}
        action = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}.get(
            target.split(":")[2] if target.count(":") >= 5 else ""
        )
        if action and not _may(config, action, target):
            _log.warning("what %s failed with does not reach %s: %s is denied", name, target, action)
            return
        route(target, name, event, result)

    functions._route_async_failure = route_failure


def _check_networks() -> None:
    functions, provisioners = service("lambda_svc"), service("cloudformation").provisioners
    create, update = functions._create_function, functions._update_config
    handler = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]

    def create_function(data: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        refused = _trust_refused(data) or _network_refused(data)
        return _invalid(refused) if refused else create(data, *arguments, **options)

    def update_function(name: str, data: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        present = (functions._functions.get(name) or {}).get("config") or {}
        refused = _network_refused({**present, **data}) if {"VpcConfig", "Role"} & set(data) else None
        return _invalid(refused) if refused else update(name, data, *arguments, **options)

    def create_resource(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        if refused := _trust_refused(properties) or _network_refused(properties):
            raise ValueError(refused)
        return handler["create"](logical_id, properties, stack)

    def update_resource(physical_id: str, old: dict[str, Any], new: dict[str, Any], *arguments: Any) -> Any:
        if refused := _network_refused(new):
            raise ValueError(refused)
        return handler["update"](physical_id, old, new, *arguments)

    functions._create_function, functions._update_config = create_function, update_function
    provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"] = {
        **handler, "create": create_resource, "update": update_resource,
    }  # fmt: skip


def _trust_refused(properties: Mapping[str, Any]) -> str | None:
    """What Lambda says of a role that it may not assume; None if it may."""
    if trusts(str(properties.get("Role", "")), "lambda.amazonaws.com"):
        return None
    return "The role defined for the function cannot be assumed by Lambda."


def trusts(role_arn: str, principal: str) -> bool:
    """Whether a role lets the service ``principal`` assume it; conditions are not looked at."""
    evaluator = core("iam_evaluator")
    role = service("iam")._roles.get(role_arn.rpartition("/")[2])
    document = (role or {}).get("AssumeRolePolicyDocument") or "{}"
    statements = (json.loads(document) if isinstance(document, str) else document).get("Statement") or ()
    for statement in [statements] if isinstance(statements, dict) else statements:
        named = statement.get("Principal")
        if statement.get("Effect") == "Allow" and (
            named == "*" or evaluator._service_principal_matches(named, principal)
        ):
            return True
    return False


def _network_refused(properties: Mapping[str, Any]) -> str | None:
    """Why Lambda may not give a function its network interfaces; None if it may, or if it has no VPC."""
    network = properties.get("VpcConfig") or {}
    if not network.get("SubnetIds"):
        return None
    account, region = here()
    base = f"arn:aws:ec2:{region}:{account}"
    created = [f"{base}:network-interface/*"]
    created += [f"{base}:subnet/{each}" for each in network["SubnetIds"]]
    created += [f"{base}:security-group/{each}" for each in network.get("SecurityGroupIds") or ()]
    # The Describe actions know no resources (Service Authorization Reference, Amazon EC2); for DeleteNetworkInterface the
    # guide wants every resource of the account and region.
    resources = {
        "ec2:CreateNetworkInterface": created,
        "ec2:DeleteNetworkInterface": [f"{base}:*/*"],
        "ec2:DescribeNetworkInterfaces": ["*"],
        "ec2:DescribeSubnets": ["*"],
    }
    for action in _NETWORK:
        if not all(_may(properties, action, each) for each in resources.get(action, created[:1])):
            return _lacking(action)
    return None


def _check_rules(parts: Parts) -> None:
    """Rules call with the target's role or, without one, as ``events.amazonaws.com``; schedules always with a role."""
    events, queues = service("eventbridge"), service("sqs")
    invoke, to_function, to_queue = events._invoke_target, events._dispatch_to_lambda, events._dispatch_to_sqs
    current = threading.local()

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        current.rule, current.target = rule, target
        try:
            invoke(target, event, rule, view)
        finally:
            current.rule = current.target = None

    def may(action: str, arn: str, policy: Any) -> bool:
        rule, target = getattr(current, "rule", None) or {}, getattr(current, "target", None) or {}
        if target.get("RoleArn"):
            fine = allowed(target["RoleArn"], "events", action, arn)
        else:
            fine = service_may_call(policy, "events.amazonaws.com", action, arn, str(rule.get("Arn", "")), here()[0])
        if not fine:
            _log.warning("rule %s may not call %s", rule.get("Name"), arn)
            name = {"RuleName": str(rule.get("Name", ""))}
            parts.recorder.record("AWS/Events", "FailedInvocations", name, 1, "Count")
        return fine

    def call_function(arn: str, payload: str) -> None:
        function, config, _ = service("lambda_svc")._get_func_record_for_ref(arn)
        if not function or may("lambda:InvokeFunction", str((config or {}).get("FunctionArn", arn)), _policy(function)):
            to_function(arn, payload)

    def send(spec: Any, payload: str, *rest: Any) -> None:
        queue = queues._queue_by_arn(str(spec))
        policy = ((queue or {}).get("attributes") or {}).get("Policy") or ""
        if not queue or may("sqs:SendMessage", str(spec), policy):
            to_queue(spec, payload, *rest)

    events._invoke_target, events._dispatch_to_lambda, events._dispatch_to_sqs = invoke_target, call_function, send


def _check_callers_of_functions() -> None:
    s3, http = service("s3"), service("apigateway")
    deliver, proxy = s3._deliver_event_to_lambda, http._invoke_lambda_proxy

    def deliver_s3(arn: str, event: dict[str, Any], region: str, *rest: Any) -> None:
        bucket = event["Records"][0]["s3"]["bucket"]["name"]
        if function_lets(arn, "s3.amazonaws.com", f"arn:aws:s3:::{bucket}"):
            deliver(arn, event, region, *rest)

    async def call(
        integration: Any, api: str, stage: str, path: str, method: str, headers: Any, body: Any, parameters: Any,
        route_key: str = "$default", *arguments: Any, **options: Any,
    ) -> Any:  # fmt: skip
        arn = http._extract_lambda_ref_from_integration_uri(integration.get("integrationUri", ""))
        account, region = here()
        # "GET /users/{user}" stands as GET/users/{user} behind the stage.
        source = f"arn:aws:execute-api:{region}:{account}:{api}/{stage}/{route_key.replace(' ', '')}"
        if not function_lets(arn, "apigateway.amazonaws.com", source):
            return 500, {"Content-Type": "application/json"}, b'{"message":"Internal Server Error"}'
        return await proxy(
            integration, api, stage, path, method, headers, body, parameters, route_key, *arguments, **options
        )

    s3._deliver_event_to_lambda, http._invoke_lambda_proxy = deliver_s3, call


def function_lets(arn: str, principal: str, source: str) -> bool:
    """Whether the function's own policy lets a service call it."""
    function, config, name = service("lambda_svc")._get_func_record_for_ref(arn)
    if not function or not config:
        return True  # ministack says that it is missing
    whole = config.get("FunctionArn", arn)
    # A bucket's ARN has no account; its owner is here.
    if service_may_call(_policy(function), principal, "lambda:InvokeFunction", whole, source, here()[0]):
        return True
    _log.warning("%s may not call function %s for %s", principal, name, source)
    return False


def _check_callers_of_queues_and_topics() -> None:
    """ministack asks their policies as if CloudWatch, SNS and S3 came over plain HTTP; they come over TLS."""
    sqs, sns = service("sqs"), service("sns")

    def queue_allows(queue_arn: str, principal: str, source: str, account: str) -> bool:
        policy = ((sqs._queue_by_arn(queue_arn) or {}).get("attributes") or {}).get("Policy")
        return bool(policy) and service_may_call(policy, principal, "sqs:SendMessage", queue_arn, source, account)

    def topic_allows(topic_arn: str, principal: str, source: str, account: str) -> bool:
        policy = ((sns._topic_by_arn_any_scope(topic_arn) or {}).get("attributes") or {}).get("Policy")
        return bool(policy) and service_may_call(policy, principal, "sns:Publish", topic_arn, source, account)

    sqs.queue_policy_allows = queue_allows
    sns.topic_policy_allows = topic_allows


def _policy(function: Mapping[str, Any]) -> Any:
    return function.get("policy") or (function.get("config") or {}).get("_policy")
