"""The committed templates: they are what the sources say, cfn-lint has nothing against them, and policies are narrow."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from stack_templates import ROOT, STACKS, SYSTEMS, Stated, allowed, flat, resources, role_actions, statements, tree
from tests.render.routing_examples import ON_CALL, OWNERS

from deploy import render
from tocsin.cloud.environments import Environment, FromVariable, read_environments
from tocsin.cloudformation.document import parse
from tocsin.render.routing import routing_template

ENVIRONMENTS = read_environments(ROOT / "deploy" / "environments.toml")
OUTPUTS = {name for stack in ("delivery", "network") for name in tree(stack)["Outputs"]}
# Known only when a deployment begins: the code, and what the shared stacks put out.
AT_DEPLOYMENT = re.compile("|".join(["CodeBucket", ".*CodeKey", *sorted(OUTPUTS)]))

# Actions that AWS lets nobody limit to a resource (Service Authorization Reference: no resource type), and why they are needed.
NO_RESOURCE = {
    "chatbot:(CreateSlackChannelConfiguration|DescribeSlackChannelConfigurations)": "has no ARN before it is there; a list",
    "cloudwatch:GetMetricData": "CloudWatch limits no reading of metrics",
    "cloudwatch:DescribeAlarm(History|s)": "composite alarms are described only to those who may describe all",
    "ec2:Describe[A-Za-z]+": "EC2 limits nothing that only describes",
    "ecr:GetAuthorizationToken": "the login is to the registry",
    "ecs:(DeregisterTaskDefinition|DescribeTaskDefinition)": "ECS limits neither",
    "kms:CreateKey": "a key has no ARN before it is there",
    "kms:ListAliases": "a list is of no key",
    "lambda:CreateEventSourceMapping": "limited by the function, in a condition",
    "logs:(Create|Delete|Get|Update)LogDelivery": "deliveries of flow logs and access logs have no ARN",
    "logs:(DescribeIndexPolicies|DescribeLogGroups|DescribeResourcePolicies|ListLogDeliveries|PutResourcePolicy)": "lists",
    "rds:(DescribeDBEngineVersions|DescribeEngineDefaultParameters|DescribeEvents)": "about RDS, not about a database",
    "sns:(GetSubscriptionAttributes|SetSubscriptionAttributes|Unsubscribe)": "SNS limits no subscription by its ARN",
}

# Resources with a wildcard, as the end of an ARN, and why it is there.
WILDCARDS = {
    r"ec2:.*:\*/\*": "what Lambda's guide asks for, so that Lambda may delete a network interface; the code itself may not",
    r"ec2:.*:(flow-log|route-table|security-group|security-group-rule|subnet|vpc|vpc-endpoint|vpc-flow-log)/\*": "EC2 chooses the ids",
    r"kms:.*:key/\*": "KMS chooses the ids; what uses one also names the service it goes through",
    r"lambda:.*:event-source-mapping:\*": "Lambda chooses the ids",
    r"route53::.*:hostedzone/\*": "the zone of an endpoint's private names is AWS's own",
    r"apigateway:.*::/(apis|tags)/\*": "API Gateway chooses the ids",
    r"s3:::.*/(incoming/|quarantine/|incoming/synthetic/)?\*": "objects to come",
    r"s3:::\$\{Environment\}-data-pipeline-\*": "buckets of that stack of the environment",
    r"\$\{(Artifacts|AccessLog|Incoming)\.Arn\}/(incoming/)?\*": "objects to come",
    r"[a-z-]+:.*[:/]\$\{Environment\}-[A-Za-z-]*\*?(:|DeadLetters-|/)?\*?": "CloudFormation ends every name with letters of its own",
    r"cloudformation:.*:stack/\$\{(Environment\}-[a-z-]+|AWS::StackName\})/\*": "the id that CloudFormation adds to a stack's name",
    r"logs:.*:log-group:/(aws/lambda|aws/apigateway|ecs|vpc)/\$\{Environment\}-\*": "log groups of the environment",
    r"logs:.*:log-group:sns/\$\{AWS::Region\}/\$\{AWS::AccountId\}/\$\{Environment\}-\*": "SNS names them after the topics",
    r"logs:.*:log-group:RDSOSMetrics(:(log-stream:)?)?\*": "one stream for each database; RDS names the group with and without :*",
    r"chatbot::.*:chat-configuration/slack-channel/\$\{Environment\}-\*": "one for each channel",
    r"secretsmanager:.*:secret:events!connection/\$\{Environment\}-\*": "EventBridge ends the name with an id",
    r"secretsmanager:.*:secret:tocsin/\$\{Environment\}/on-call/\*": "one for each owner and severity",
    r"secretsmanager:.*:secret:rds!db-\*": "RDS chooses the name of the secret it makes",
    r"rds:.*:(pg:default\.|og:default:)\*": "what RDS brings along",
    r"rds:.*:cluster:\*": "the instance's handler looks at the cluster that an instance may be part of; reading only",
    r"rds-db:.*:dbuser:\*/(loader|reader)": "in the boundary: whichever database, but never its owner",
    r"iam::.*:role/aws-service-role/\*": "AWS names the roles of its services",
    r"ecs:.*:task-definition/\$\{AWS::StackName\}-loader:\*": "the newest revision is meant",
    r"execute-api:.*/\*?/?live/GET/users/\*/notifications": "every user; the function compares him with the caller",
}


def test_the_stacks_are_found() -> None:
    assert render.systems() == SYSTEMS
    assert render.stacks() == STACKS


@pytest.mark.parametrize("stack", STACKS)
def test_the_committed_template_is_the_rendered_one(stack: str) -> None:
    assert render.difference(stack) == ""
    assert render.template_path(stack).read_bytes() == render.render(stack).encode()


def test_two_processes_with_other_hash_seeds_render_the_same() -> None:
    code = "from deploy.render import *; print([render(s) for s in stacks()])"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_hand_edit_is_shown_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for shared in ("delivery", "forwarder"):
        (tmp_path / shared).mkdir()
    for system in SYSTEMS:
        (tmp_path / system / "handlers").mkdir(parents=True)
        (tmp_path / system / "stack.py").touch()
    monkeypatch.setattr(render, "ROOT", tmp_path)
    assert render.main([]) == 0
    assert render.main(["--check"]) == 0
    path = tmp_path / "notification" / "template.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("maxReceiveCount: 3", "maxReceiveCount: 9"))
    network = tmp_path / "network.yaml"
    network.write_text(network.read_text(encoding="utf-8").replace("TrafficType: ALL", "TrafficType: REJECT"))
    capsys.readouterr()
    assert render.main(["--check"]) == 1
    shown = capsys.readouterr().out
    assert "-        maxReceiveCount: 9\n+        maxReceiveCount: 3\n" in shown
    assert "-      TrafficType: REJECT\n+      TrafficType: ALL\n" in shown
    assert "run `python -m deploy.render`" in shown
    assert render.main([]) == 0
    assert render.main(["--check"]) == 0


@pytest.mark.parametrize("stack", STACKS)
def test_cfn_lint_finds_nothing_not_even_remarks(stack: str) -> None:
    program = Path(sys.executable).with_name("cfn-lint")
    command = [program, "--include-checks", "I", "--template", render.template_path(stack)]
    found = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.parametrize("stack", STACKS)
def test_a_template_fits_into_a_request(stack: str) -> None:
    assert len(render.template_path(stack).read_bytes()) <= 51_200


@pytest.mark.parametrize("stack", STACKS)
def test_policies_name_each_action(stack: str) -> None:
    for stated in allowed(stack):
        assert stated.actions, stated.where
        assert not [action for action in stated.actions if "*" in action], stated.where


def judged(stated: Stated) -> str | None:
    """What is wrong with the resources of a statement; a policy of a key or an endpoint is about that one thing."""
    if not stated.identity and stated.texts == ["*"]:
        return None
    for text in stated.texts:
        if text == "*":
            wrong = [each for each in stated.actions if not any(re.fullmatch(known, each) for known in NO_RESOURCE)]
            if wrong:
                return f"{stated.where}: {wrong} on every resource"
        elif "*" in text and not any(re.search(rf"(^|:){known}$", text) for known in WILDCARDS):
            return f"{stated.where}: no reason is given for {text}"
    return None


@pytest.mark.parametrize("stack", STACKS)
def test_policies_name_each_resource_or_a_reason(stack: str) -> None:
    assert [problem for stated in allowed(stack) if (problem := judged(stated))] == []


def test_a_wildcard_without_a_reason_is_found() -> None:
    def problem(action: str, resource: str) -> str | None:
        return judged(Stated("x", True, {"Effect": "Allow", "Action": [action], "Resource": [resource]}))

    assert problem("sqs:SendMessage", "*") is not None
    assert problem("sqs:SendMessage", "arn:aws:sqs:eu-west-1:111122223333:*") is not None
    assert problem("s3:GetObject", "arn:aws:s3:::*") is not None
    assert problem("iam:PassRole", "arn:aws:iam::111122223333:role/*") is not None
    assert problem("ec2:DescribeVpcs", "*") is None


def test_every_reason_is_needed() -> None:
    texts = [text for stack in STACKS for stated in allowed(stack) for text in stated.texts]
    actions = [
        action for stack in STACKS for stated in allowed(stack) if stated.texts == ["*"] for action in stated.actions
    ]
    assert [known for known in NO_RESOURCE if not any(re.fullmatch(known, action) for action in actions)] == []
    assert [known for known in WILDCARDS if not any(re.search(rf"(^|:){known}$", text) for text in texts)] == []


@pytest.mark.parametrize("stack", [stack for stack in STACKS if stack != "delivery"])
def test_every_role_carries_the_boundary(stack: str) -> None:
    for role, properties in resources(stack, "AWS::IAM::Role").items():
        assert properties["PermissionsBoundary"] == {"Ref": "PermissionsBoundaryArn"}, role


def test_the_boundary_allows_what_the_roles_may_do_and_no_more() -> None:
    limit = {action for stated in allowed("delivery") if stated.where.endswith("Boundary") for action in stated.actions}
    every_way = parse(routing_template(OWNERS, ON_CALL), "routing.yaml").tree["Resources"]
    of_routing = {
        action
        for body in every_way.values()
        for policy in body["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        for action in flat(statement["Action"])
    }
    of_stacks = role_actions([stack for stack in STACKS if stack != "delivery"])
    assert limit == {action for actions in of_stacks.values() for action in actions} | of_routing


@pytest.mark.parametrize("stack", STACKS)
def test_a_role_is_taken_on_by_one_kind_of_principal(stack: str) -> None:
    for role, properties in resources(stack, "AWS::IAM::Role").items():
        for statement in flat(properties["AssumeRolePolicyDocument"]["Statement"]):
            assert statement["Principal"] != "*", role
            assert "*" not in json.dumps(statement["Principal"]), role


@pytest.mark.parametrize("stack", STACKS)
def test_roles_are_passed_to_named_services_only(stack: str) -> None:
    passed = [stated for stated in allowed(stack) if "iam:PassRole" in stated.actions]
    for stated in passed:
        assert stated.actions == ["iam:PassRole"], stated.where
        assert stated.statement["Condition"]["StringEquals"]["iam:PassedToService"], stated.where


@pytest.mark.parametrize("system", SYSTEMS)
def test_no_two_functions_share_a_role_or_a_log_group(system: str) -> None:
    functions = resources(system, "AWS::Lambda::Function")
    for value in (lambda f: f["Role"], lambda f: f["LoggingConfig"]["LogGroup"], lambda f: f["Code"]["S3Key"]):
        assert len({json.dumps(value(function)) for function in functions.values()}) == len(functions)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_function_may_not_make_network_interfaces_though_lambda_may_for_it(system: str) -> None:
    for function in resources(system, "AWS::Lambda::Function"):
        own = [stated for stated in statements(system) if stated.where == f"{system}.{function}Role"]
        network = {
            action
            for stated in own
            if stated.statement["Effect"] == "Allow"
            for action in stated.actions
            if action.startswith("ec2:")
        }
        (refused,) = [stated for stated in own if stated.statement["Effect"] == "Deny"]
        assert set(refused.actions) >= network != set(), function
        assert list(refused.statement["Condition"]) == ["ArnLike"]
        assert list(refused.statement["Condition"]["ArnLike"]) == ["lambda:SourceFunctionArn"]
        # Lambda Developer Guide, "Giving Lambda functions access to resources in an Amazon VPC": all ids, or no network.
        (deletes,) = [
            each for each in own if each.statement["Effect"] == "Allow" and "ec2:DeleteNetworkInterface" in each.actions
        ]
        assert deletes.texts == ["arn:${AWS::Partition}:ec2:${AWS::Region}:${AWS::AccountId}:*/*"], function
        assert "Condition" not in deletes.statement, function


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_handler_of_the_template_exists(system: str) -> None:
    for properties in resources(system, "AWS::Lambda::Function").values():
        module, name = properties["Handler"].rsplit(".", 1)
        assert callable(getattr(__import__(module, fromlist=[name]), name))


@pytest.mark.parametrize("stack", STACKS)
def test_buckets_are_private_versioned_and_encrypted_and_take_only_tls(stack: str) -> None:
    plain = {
        json.dumps(policy["Bucket"])
        for policy in resources(stack, "AWS::S3::BucketPolicy").values()
        for statement in flat(policy["PolicyDocument"]["Statement"])
        if statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and statement["Action"] in ("s3:*", ["s3:*"])
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        and len(statement["Resource"]) == 2
    }
    for name, bucket in resources(stack, "AWS::S3::Bucket").items():
        assert all(bucket["PublicAccessBlockConfiguration"].values()), name
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4, name
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}, name
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}], name
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"], name
        assert any("AbortIncompleteMultipartUpload" in r for r in bucket["LifecycleConfiguration"]["Rules"]), name
        assert json.dumps({"Ref": name}) in plain, name


@pytest.mark.parametrize("stack", STACKS)
def test_keys_are_rotated(stack: str) -> None:
    for name, key in resources(stack, "AWS::KMS::Key").items():
        assert key["EnableKeyRotation"] is True, name
        for statement in flat(key["KeyPolicy"]["Statement"]):
            assert "*" not in json.dumps(statement["Principal"]), name
            using = {"kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant"} & set(statement["Action"])
            assert not using or statement["Condition"], name


def incoming_statements() -> dict[str, dict[str, object]]:
    (policy,) = [
        each for name, each in resources("data_pipeline", "AWS::S3::BucketPolicy").items() if name == "IncomingPolicy"
    ]
    return {each["Sid"]: each for each in flat(policy["PolicyDocument"]["Statement"]) if "Sid" in each}


@pytest.mark.parametrize(
    ("sid", "parameter"), [("DenyUnnamedReaders", "ReaderArns"), ("DenyUnnamedWriters", "WriterArns")]
)
def test_files_are_for_those_who_are_named(sid: str, parameter: str) -> None:
    statement = incoming_statements()[sid]
    assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
    (named,) = statement["Condition"]["ArnNotEquals"].values()  # type: ignore[index]
    text = json.dumps(named)
    for one in ("LoaderRole", "LoaderTaskRole", "DeliveryRoleArn", parameter):
        assert one in text
    # Nobody is locked out of the settings: those who administer the bucket can mend its policy.
    assert not [action for action in statement["Action"] if "Policy" in action or action == "s3:*"]  # type: ignore[attr-defined]


def test_the_database_is_out_of_reach_and_speaks_tls_only() -> None:
    (database,) = resources("data_pipeline", "AWS::RDS::DBInstance").values()
    (settings,) = resources("data_pipeline", "AWS::RDS::DBParameterGroup").values()
    assert settings["Parameters"]["rds.force_ssl"] == "1"
    assert database["DBParameterGroupName"] == {"Ref": "DatabaseSettings"}
    assert database["DBSubnetGroupName"] == {"Ref": "DatabaseSubnets"}
    assert database["VPCSecurityGroups"] == [{"Fn::GetAtt": ["DatabaseGroup", "GroupId"]}]
    for name in (
        "StorageEncrypted",
        "ManageMasterUserPassword",
        "EnableIAMDatabaseAuthentication",
        "CopyTagsToSnapshot",
    ):
        assert database[name] is True
    assert "MasterUserPassword" not in database


def test_the_database_grows_before_it_is_full_and_one_query_cannot_fill_it() -> None:
    (database,) = resources("data_pipeline", "AWS::RDS::DBInstance").values()
    (settings,) = resources("data_pipeline", "AWS::RDS::DBParameterGroup").values()
    assert database["MaxAllocatedStorage"] == {"Ref": "DatabaseMaxStorageGb"}
    assert (
        5 * 1024 * 1024 < int(settings["Parameters"]["temp_file_limit"]) < 20 * 1024 * 1024
    )  # kB: a file, not the disk
    for environment in ENVIRONMENTS.values():
        given = plain(environment, "data_pipeline")
        # Amazon RDS User Guide, "Managing capacity automatically with storage autoscaling": at least 26 % above.
        assert int(given["DatabaseMaxStorageGb"]) >= 1.26 * int(given["DatabaseStorageGb"]), environment.name


def test_enhanced_monitoring_may_make_its_log_group_and_is_tried_before_production() -> None:
    """IAM compares the name of a log group with and without its last ``:*``, as the call has it."""
    for stack, where in (("data_pipeline", "MonitoringRole"), ("delivery", "PermissionsBoundary")):
        (makes,) = [
            stated
            for stated in allowed(stack)
            if stated.where == f"{stack}.{where}" and "logs:PutRetentionPolicy" in stated.actions
        ]
        assert [text.rpartition(":")[2] for text in makes.texts] == ["RDSOSMetrics*"], where
    seconds = {name: plain(ENVIRONMENTS[name], "data_pipeline")["EnhancedMonitoringSeconds"] for name in ("qa", "prod")}
    assert seconds == {"qa": "60", "prod": "60"}


def test_functions_come_after_the_schema_they_work_with() -> None:
    functions = {
        name: body
        for name, body in tree("data_pipeline")["Resources"].items()
        if body["Type"] == "AWS::Lambda::Function"
    }
    assert {name for name, body in functions.items() if "Schema" in body.get("DependsOn", [])} == {"Loader", "Probe"}


def test_the_loader_may_be_called_by_its_own_bucket_only() -> None:
    (permission,) = resources("data_pipeline", "AWS::Lambda::Permission").values()
    bucket = resources("data_pipeline", "AWS::S3::Bucket")["Incoming"]
    assert permission["SourceArn"]["Fn::Sub"] == "arn:${AWS::Partition}:s3:::" + bucket["BucketName"]["Fn::Sub"]
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_every_new_file_under_incoming_is_told_and_no_other() -> None:
    bucket = resources("data_pipeline", "AWS::S3::Bucket")["Incoming"]
    (told,) = bucket["NotificationConfiguration"]["LambdaConfigurations"]
    assert told["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": "incoming/"}]


def test_the_api_lets_nobody_in_unasked() -> None:
    for route in resources("notification", "AWS::ApiGatewayV2::Route").values():
        assert route["AuthorizationType"] in ({"Ref": "ApiAuthorization"}, "AWS_IAM", "JWT")
    assert tree("notification")["Parameters"]["ApiAuthorization"]["AllowedValues"] == ["AWS_IAM", "JWT"]


def test_environments_differ_in_values_not_in_keys() -> None:
    assert sorted(ENVIRONMENTS) == ["dev", "prod", "qa"]
    shapes = [
        {system: sorted(stacks.parameters) for system, stacks in environment.systems.items() if system in SYSTEMS}
        for environment in ENVIRONMENTS.values()
    ]
    assert all(sorted(shape) == SYSTEMS for shape in shapes)
    assert shapes[0] == shapes[1] == shapes[2]


def plain(environment: Environment, system: str) -> dict[str, str]:
    parameters = environment.systems[system].parameters
    return {name: value for name, value in parameters.items() if not isinstance(value, FromVariable)}


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_an_environment_sets_only_what_the_template_takes_and_all_it_needs(system: str, name: str) -> None:
    declared = tree(system)["Parameters"]
    given = plain(ENVIRONMENTS[name], system)
    assert set(given) <= set(declared)
    needed = {
        key for key, parameter in declared.items() if "Default" not in parameter and not AT_DEPLOYMENT.fullmatch(key)
    }
    assert needed <= set(given)
    for key, value in given.items():
        parameter = declared[key]
        assert value in map(str, parameter.get("AllowedValues", [value]))
        if parameter["Type"] == "Number":
            assert parameter.get("MinValue", 0) <= float(value) <= parameter.get("MaxValue", float("inf"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_message_stays_hidden_six_times_as_long_as_the_function_may_take(name: str) -> None:
    # AWS Lambda, "Using Lambda with Amazon SQS": visibility timeout at least six times the function's timeout.
    defaults = {key: body.get("Default") for key, body in tree("notification")["Parameters"].items()}
    given = {**defaults, **plain(ENVIRONMENTS[name], "notification")}
    assert int(given["GenerateVisibilitySeconds"]) >= 6 * int(given["GenerateTimeoutSeconds"])


def test_production_is_protected() -> None:
    prod = ENVIRONMENTS["prod"]
    assert prod.protected
    assert {plain(prod, system)["DeletionProtection"] for system in SYSTEMS} == {"true"}
