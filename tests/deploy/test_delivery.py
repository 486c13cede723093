"""The delivery: whom its roles trust, what they may do, and workflows that use no key and only commands there are."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.delivery import image
from deploy.delivery.stack import LONGEST_ENVIRONMENT
from deploy.delivery.stack import STACKS as DELIVERED
from deploy.systems import stack_names
from stack_templates import ROOT, STACKS, Stated, allowed, flat, resources, statements, sub_text, tree
from tests.render.routing_examples import ON_CALL, OWNERS

from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.environments import OtherStack, read_environments
from tocsin.cloud.session import connect
from tocsin.errors import CloudError
from tocsin.render.routing import routing_template

DELIVERY = ROOT / "deploy" / "delivery"
WORKFLOWS = ["github.yml", "github-environment.yml", "gitlab.yml"]
LINT = ROOT / ".venv-lint" / "bin" / "check-jsonschema"

# IAM quotas, "IAM and AWS STS character limits", white space not counted.
MANAGED_POLICY, INLINE_POLICIES = 6_144, 10_240

# The action that makes a resource of each type; the type's others are beside it in execution/.
MADE_BY = {
    "AWS::ApiGatewayV2::Api": "apigateway:POST",
    "AWS::ApiGatewayV2::Authorizer": "apigateway:POST",
    "AWS::ApiGatewayV2::Integration": "apigateway:POST",
    "AWS::ApiGatewayV2::Route": "apigateway:POST",
    "AWS::ApiGatewayV2::Stage": "apigateway:POST",
    "AWS::Chatbot::SlackChannelConfiguration": "chatbot:CreateSlackChannelConfiguration",
    "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm",
    "AWS::CloudWatch::CompositeAlarm": "cloudwatch:PutCompositeAlarm",
    "AWS::DynamoDB::Table": "dynamodb:CreateTable",
    "AWS::EC2::FlowLog": "ec2:CreateFlowLogs",
    "AWS::EC2::RouteTable": "ec2:CreateRouteTable",
    "AWS::EC2::SecurityGroup": "ec2:CreateSecurityGroup",
    "AWS::EC2::SecurityGroupIngress": "ec2:AuthorizeSecurityGroupIngress",
    "AWS::EC2::Subnet": "ec2:CreateSubnet",
    "AWS::EC2::SubnetRouteTableAssociation": "ec2:AssociateRouteTable",
    "AWS::EC2::VPC": "ec2:CreateVpc",
    "AWS::EC2::VPCEndpoint": "ec2:CreateVpcEndpoint",
    "AWS::ECS::Cluster": "ecs:CreateCluster",
    "AWS::ECS::TaskDefinition": "ecs:RegisterTaskDefinition",
    "AWS::Events::ApiDestination": "events:CreateApiDestination",
    "AWS::Events::Connection": "events:CreateConnection",
    "AWS::Events::Rule": "events:PutRule",
    "AWS::IAM::Role": "iam:CreateRole",
    "AWS::KMS::Alias": "kms:CreateAlias",
    "AWS::KMS::Key": "kms:CreateKey",
    "AWS::Lambda::EventInvokeConfig": "lambda:PutFunctionEventInvokeConfig",
    "AWS::Lambda::EventSourceMapping": "lambda:CreateEventSourceMapping",
    "AWS::Lambda::Function": "lambda:CreateFunction",
    "AWS::Lambda::Permission": "lambda:AddPermission",
    "AWS::Logs::LogGroup": "logs:CreateLogGroup",
    "AWS::RDS::DBInstance": "rds:CreateDBInstance",
    "AWS::RDS::DBParameterGroup": "rds:CreateDBParameterGroup",
    "AWS::RDS::DBSubnetGroup": "rds:CreateDBSubnetGroup",
    "AWS::S3::Bucket": "s3:CreateBucket",
    "AWS::S3::BucketPolicy": "s3:PutBucketPolicy",
    "AWS::SNS::Subscription": "sns:Subscribe",
    "AWS::SNS::Topic": "sns:CreateTopic",
    "AWS::SNS::TopicPolicy": "sns:SetTopicAttributes",
    "AWS::SQS::Queue": "sqs:CreateQueue",
    "AWS::SQS::QueuePolicy": "sqs:SetQueueAttributes",
    "Custom::Schema": "lambda:InvokeFunction",
}


def types_delivered() -> set[str]:
    found = {body["Type"] for stack in STACKS if stack != "delivery" for body in tree(stack)["Resources"].values()}
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "alarms").glob("*.yaml")]
    texts += [(ROOT / "deploy" / "routing.yaml").read_text(encoding="utf-8"), routing_template(OWNERS, ON_CALL)]
    return found | {kind for text in texts for kind in re.findall(r"^    Type: (AWS::\w+::\w+)$", text, re.MULTILINE)}


def execution_actions() -> set[str]:
    return {
        action
        for stated in allowed("delivery")
        if stated.where.startswith("delivery.Execution")
        for action in stated.actions
    }


def test_cloudformation_may_make_every_type_of_resource_and_no_others() -> None:
    types = types_delivered()
    assert types == set(MADE_BY)
    assert {MADE_BY[each] for each in types} - execution_actions() == set()


def test_roles_are_made_with_the_boundary_only_and_those_of_the_delivery_not_at_all() -> None:
    making = {"iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"}
    for stated in allowed("delivery"):
        if making & set(stated.actions):
            condition = stated.statement["Condition"]
            assert condition == {"ArnEquals": {"iam:PermissionsBoundary": {"Ref": "PermissionsBoundary"}}}
    assert "iam:DeleteRolePermissionsBoundary" not in execution_actions()
    assert not [
        action for action in execution_actions() if re.search(r"iam:.*(PolicyVersion|CreatePolicy|User|Key)", action)
    ]
    (refused,) = [each for each in denied() if each.statement["Action"] == ["iam:*"]]
    assert refused.texts == [
        f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:{kind}/${{AWS::StackName}}-*" for kind in ("role", "policy")
    ]


def denied() -> list[Stated]:
    return [each for each in statements("delivery") if each.statement["Effect"] == "Deny" and each.identity]


def test_roles_are_those_of_the_stacks_that_have_some() -> None:
    """Not ENV-*: the trust of a role and to whom it is passed know no condition on its boundary."""
    named = {
        f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:role/${{Environment}}-{stack}-*"
        for stack in ("network", "notification", "data-pipeline", "forwarder", "routing")
    }
    on_roles = {"iam:CreateRole", "iam:PassRole", "iam:UpdateAssumeRolePolicy"}
    for stated in allowed("delivery"):
        if stated.where.startswith("delivery.Execution") and on_roles & set(stated.actions):
            assert set(stated.texts) == named


def test_a_key_of_another_stack_keeps_its_policy() -> None:
    (refused,) = [each for each in denied() if "kms:PutKeyPolicy" in each.actions]
    assert set(refused.actions) == {"kms:PutKeyPolicy", "kms:ScheduleKeyDeletion"}
    tag = "aws:ResourceTag/aws:cloudformation:stack-name"
    assert refused.statement["Condition"] == {
        "Null": {tag: "false"},
        "StringNotLike": {tag: {"Fn::Sub": "${Environment}-*"}},
    }


def test_what_the_handler_of_a_database_asks_for_is_allowed() -> None:
    # CloudFormation registry, AWS::RDS::DBInstance, handlers.
    asked = {
        "ec2:DescribeAccountAttributes",
        "ec2:DescribeInternetGateways",
        "rds:DescribeDBClusters",
        "rds:DescribeEvents",
    }
    assert asked - execution_actions() == set()


def of_delivery_role(action: str) -> list[Stated]:
    return [each for each in allowed("delivery") if each.where == "delivery.DeliveryRole" and action in each.actions]


def test_the_delivery_takes_rules_from_groups_that_no_stack_made() -> None:
    (revoking,) = of_delivery_role("ec2:RevokeSecurityGroupEgress")
    assert [text.rpartition(":")[2] for text in revoking.texts] == ["security-group/*", "security-group-rule/*"]
    assert revoking.statement["Condition"] == {"Null": {"aws:ResourceTag/aws:cloudformation:stack-name": "true"}}


def test_the_delivery_validates_as_a_synthetic_user_with_synthetic_items() -> None:
    (assuming,) = of_delivery_role("sts:AssumeRole")
    assert assuming.statement["Condition"] == {"StringLike": {"sts:RoleSessionName": "synthetic-*"}}
    written = {
        text.rpartition("-notification-")[2]: (set(each.actions), each.statement.get("Condition"))
        for each in of_delivery_role("dynamodb:DeleteItem")
        for text in each.texts
    }
    leading = "dynamodb:LeadingKeys"
    assert written == {
        "Definitions-*": ({"dynamodb:DeleteItem", "dynamodb:PutItem"}, None),
        "Subscriptions-*": (
            {"dynamodb:DeleteItem", "dynamodb:PutItem"},
            {"ForAllValues:StringLike": {leading: ["synthetic-*"]}},
        ),
        "Notifications-*": (
            {"dynamodb:DeleteItem"},
            {"ForAllValues:StringLike": {leading: [{"Ref": "ValidationUser"}]}},
        ),
    }
    assert tree("delivery")["Parameters"]["ValidationUser"]["Default"] == "synthetic-*"


def test_what_outlives_its_stack_is_not_in_the_way_of_the_next_try() -> None:
    """A name of its own making would be taken: by the repository, the provider, the buckets of a failed creation."""
    kept = {
        f"{stack}.{name}": body["DeletionPolicy"]
        for stack in STACKS
        for name, body in tree(stack)["Resources"].items()
        if "Retain" in body.get("DeletionPolicy", "")
    }
    names = ("Artifacts", "GitHubProvider", "GitLabProvider", "LoaderRepository")
    expected = [*(f"delivery.{name}" for name in names), "data_pipeline.AccessLog", "data_pipeline.DataKey"]
    assert kept == dict.fromkeys(expected, "RetainExceptOnCreate")


def test_a_session_lasts_as_long_as_the_job() -> None:
    job = workflow("github-environment.yml")["jobs"]["deliver"]
    seconds = [
        step["with"]["role-duration-seconds"] for step in job["steps"] if "configure-aws" in step.get("uses", "")
    ]
    assert seconds == [delivery_role()["MaxSessionDuration"]] == [60 * job["timeout-minutes"]]


@pytest.mark.parametrize(
    "name",
    ["owner/name", "my.org/a-b_c", "octocat@123456/my-repo@456789", "octocat-123456/my-repo-456789", "", "a/b/c"],
)
def test_a_repository_may_be_named_with_its_ids(name: str) -> None:
    """GitHub's subjects name owner and repository with their ids, for repositories made since June 2026."""
    assert re.fullmatch(tree("delivery")["Parameters"]["GitHubRepository"]["AllowedPattern"], name)


@pytest.mark.parametrize("name", ["owner", "owner/*", "owner/name:ref", "/name", "owner/"])
def test_no_pattern_and_no_further_claim_gets_into_a_repository(name: str) -> None:
    assert not re.fullmatch(tree("delivery")["Parameters"]["GitHubRepository"]["AllowedPattern"], name)


def test_every_generated_name_is_whole_in_the_environment_with_the_longest_name() -> None:
    """CloudFormation cuts longer ones, and then nothing that names them by how they begin would match."""
    pattern = tree("delivery")["Parameters"]["Environment"]["AllowedPattern"]
    environment = "e" * LONGEST_ENVIRONMENT
    assert re.fullmatch(pattern, environment)
    assert not re.fullmatch(pattern, environment + "e")
    limits = {"AWS::IAM::Role": 64, "AWS::Lambda::Function": 64, "AWS::RDS::DBInstance": 63, "AWS::SQS::Queue": 80}
    for stack in STACKS:
        for kind, limit in limits.items():
            for name in resources(stack, kind):
                assert len(f"{environment}-{stack}-{name}-1A2B3C4D5E6F7") <= limit, name
    bucket = resources("data_pipeline", "AWS::S3::Bucket")["Incoming"]["BucketName"]["Fn::Sub"]
    values = {
        "AWS::StackName": f"{environment}-data-pipeline",
        "AWS::AccountId": "1" * 12,
        "AWS::Region": "ap-southeast-1",  # no region has a longer name
    }
    for key, value in values.items():
        bucket = bucket.replace(f"${{{key}}}", value)
    assert len(bucket) <= 63


def test_policies_are_within_the_limits_of_iam() -> None:
    def size(policy: dict[str, Any]) -> int:
        text = json.dumps(policy, separators=(",", ":")).replace('{"Fn::Sub":', "")
        # The longest name of an environment, and a stack's name with it.
        for name, value in {
            "Environment": "e" * LONGEST_ENVIRONMENT,
            "AWS::StackName": "s" * 41,
            "AWS::Region": "ap-southeast-1",
        }.items():
            text = text.replace(f"${{{name}}}", value)
        return len(text)

    for policy in resources("delivery", "AWS::IAM::ManagedPolicy").values():
        assert size(policy["PolicyDocument"]) <= MANAGED_POLICY
    for stack in STACKS:
        for role in resources(stack, "AWS::IAM::Role").values():
            assert sum(size(policy["PolicyDocument"]) for policy in role.get("Policies", [])) <= INLINE_POLICIES


def delivery_role() -> dict[str, Any]:
    return resources("delivery", "AWS::IAM::Role")["DeliveryRole"]


def test_a_token_counts_for_one_repository_and_environment() -> None:
    github, gitlab = flat(delivery_role()["AssumeRolePolicyDocument"]["Statement"])
    for statement in (github, gitlab):
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        assert list(statement["Condition"]) == ["StringEquals"]  # no pattern that more would match
    assert {key: sub_text(value) for key, value in github["Condition"]["StringEquals"].items()} == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": "repo:${GitHubRepository}:environment:${Environment}",
    }
    assert gitlab["Condition"]["StringEquals"]["gitlab.com:aud"] == "https://gitlab.com"
    condition, claimed, plain = gitlab["Condition"]["StringEquals"]["gitlab.com:sub"]["Fn::If"]
    branch = "project_path:${GitLabProject}:ref_type:branch:ref:${GitLabBranch}"
    assert (condition, sub_text(claimed), sub_text(plain)) == ("HasGitLabClaims", branch + ":${GitLabClaims}", branch)
    claims = tree("delivery")["Parameters"]["GitLabClaims"]["AllowedPattern"]
    assert re.fullmatch(claims, "environment_protected:true:deployment_tier:production")
    assert not re.fullmatch(claims, "environment_protected:*")


def test_without_a_repository_nobody_gets_the_role() -> None:
    stack = tree("delivery")
    assert stack["Resources"]["DeliveryRole"]["Condition"] == "HasPipeline"
    assert stack["Conditions"]["HasPipeline"] == {"Fn::Or": [{"Condition": "HasGitHub"}, {"Condition": "HasGitLab"}]}
    assert [stack["Parameters"][name]["Default"] for name in ("GitHubRepository", "GitLabProject")] == ["", ""]


def test_the_delivery_changes_the_stacks_of_its_environment_and_not_its_own() -> None:
    (environment,) = [
        each for each in read_environments(ROOT / "deploy" / "environments.toml").values() if each.name == "dev"
    ]
    with_forwarder = replace(environment, stacks={**environment.stacks, "forwarder": OtherStack("dev-forwarder")})
    assert sorted(f"dev-{name}" for name in DELIVERED) == sorted(stack_names(with_forwarder))
    assert sorted({*stack_names(environment), "dev-forwarder"}) == sorted(stack_names(with_forwarder))
    for stated in allowed("delivery"):
        changing = [each for each in stated.actions if re.search("cloudformation:(Create|Execute|Delete|Update)", each)]
        for text in stated.texts if changing else []:
            assert re.search(r":stack/\$\{Environment\}-(?!delivery)[a-z-]+/\*$", text)
        if "cloudformation:CreateChangeSet" in changing:
            acting = stated.statement["Condition"]["ArnEquals"]["cloudformation:RoleArn"]
            assert acting == {"Fn::GetAtt": ["ExecutionRole", "Arn"]}


def test_images_and_code_are_kept_as_they_were_pushed() -> None:
    (repository,) = resources("delivery", "AWS::ECR::Repository").values()
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    rules = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert [rule["rulePriority"] for rule in rules] == [1, 2]


def workflow(name: str) -> dict[Any, Any]:
    return yaml.safe_load((DELIVERY / name).read_text(encoding="utf-8"))


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in workflow(name)["jobs"].values():
        yield from job.get("steps", [])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_the_form_its_service_wants(name: str) -> None:
    if not LINT.exists():
        pytest.skip(f"{LINT.relative_to(ROOT)} is not there")
    schema = ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"] if "gitlab" in name else ["vendor.github-workflows"]
    done = subprocess.run(
        [LINT, "--builtin-schema", *schema, DELIVERY / name], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_uses_commands_that_there_are(name: str) -> None:
    text = (DELIVERY / name).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z ]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    known = {target for line in targets for target in line.split()}
    used = set(re.findall(r"\bmake ([a-z]+)", text))
    assert used - known == set()
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists()
    for path in re.findall(r"--file (\S+)", text):
        assert (ROOT / path).exists()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_knows_no_key(name: str) -> None:
    text = (DELIVERY / name).read_text(encoding="utf-8")
    assert not re.search(
        r"secrets\.|AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY|aws-access-key-id|password", text, re.IGNORECASE
    )


@pytest.mark.parametrize("name", ["github.yml", "github-environment.yml"])
def test_actions_are_pinned_and_permissions_minimal(name: str) -> None:
    for step in steps(name):
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+\.\d+\.\d+", step["uses"])
            assert "checkout" not in step["uses"] or step["with"]["persist-credentials"] is False
    assert workflow(name)["permissions"] == {"contents": "read"}
    for job in workflow(name)["jobs"].values():
        delivers = "uses" in job or "environment" in job
        assert ("id-token" in job.get("permissions", {})) == delivers
        assert set(job.get("permissions", {})) <= {"contents", "id-token"}


def order(name: str) -> dict[str, list[str]]:
    if name == "github.yml":
        return {job: flat(body.get("needs", [])) for job, body in workflow(name)["jobs"].items()}
    base = workflow(name)[".deliver"]
    return {
        job: body.get("needs", base["needs"]) for job, body in workflow(name).items() if job in ("dev", "qa", "prod")
    }


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_environments_come_one_after_the_other(name: str) -> None:
    needs = order(name)
    assert "build" in needs["dev"]
    assert "dev" in needs["qa"]
    assert "qa" in needs["prod"]


def commands(name: str) -> str:
    if name == "gitlab.yml":
        return "\n".join(workflow(name)[".deliver"]["script"])
    return "\n".join(step["run"] for step in steps(name) if "run" in step)


@pytest.mark.parametrize("name", ["github-environment.yml", "gitlab.yml"])
def test_an_environment_is_deployed_then_validated_then_contracted(name: str) -> None:
    made = re.findall(r"make (deploy|validate|contract)", commands(name))
    assert made == ["deploy", "validate", "contract"]


def test_production_waits_for_a_person() -> None:
    (rule,) = workflow("gitlab.yml")["prod"]["rules"]
    assert (rule["when"], rule["allow_failure"]) == ("manual", False)
    # On GitHub it is the environment that asks, so the job must be in it.
    assert workflow("github-environment.yml")["jobs"]["deliver"]["environment"] == "${{ inputs.environment }}"
    assert workflow("github.yml")["jobs"]["prod"]["with"] == {"environment": "prod"}


# A stand-in for skopeo that leaves in the repository what the real one would.
SKOPEO = """#!{python}
import json, pathlib, sys
import boto3
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([sys.argv[1:], sys.stdin.read() if "--password-stdin" in sys.argv else None]) + "\\n")
if (here / "fails").exists():
    sys.exit("no such\\nfile")
if sys.argv[1] == "copy":
    name, tag = sys.argv[-1].split("/", 3)[3].split(":")
    boto3.client("ecr").put_image(repositoryName=name, imageTag=tag, imageManifest='{{"schemaVersion": 2}}')
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws")) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.boto3_environment().items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(scope="module")
def outputs(aws: EmbeddedAws) -> dict[str, str]:
    cloudformation = connect().client("cloudformation")
    values = {"Environment": "dev", "GitHubRepository": "owner/name", "GitLabProject": "group/name"}
    cloudformation.create_stack(
        StackName="dev-delivery",
        TemplateBody=json.dumps(tree("delivery")),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName="dev-delivery", WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName="dev-delivery")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


@pytest.fixture
def skopeo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "skopeo"
    program.parent.mkdir()
    program.write_text(SKOPEO.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent))
    return program.parent


def test_the_stack_comes_up_and_tells_what_later_stacks_want(outputs: dict[str, str]) -> None:
    wanted = {
        "ArtifactsBucketName",
        "DeliveryRoleArn",
        "ExecutionRoleArn",
        "LoaderRepositoryUri",
        "PermissionsBoundaryArn",
    }
    assert wanted <= set(outputs)
    later = {name for stack in STACKS if stack != "delivery" for name in tree(stack)["Parameters"]}
    assert {"DeliveryRoleArn", "LoaderRepositoryArn", "PermissionsBoundaryArn"} <= later & set(outputs)


def test_an_image_is_pushed_once(outputs: dict[str, str], skopeo: Path, tmp_path: Path) -> None:
    cloud = connect()
    first = image.put_image(cloud, "dev-delivery", tmp_path / "loader.tar", "one")
    assert re.fullmatch(re.escape(outputs["LoaderRepositoryUri"]) + "@sha256:[0-9a-f]{64}", first)
    calls = [json.loads(line) for line in (skopeo / "calls").read_text().splitlines()]
    assert [arguments[0] for arguments, _ in calls] == ["login", "copy"]
    assert calls[1][0][-2:] == [
        f"docker-archive:{tmp_path / 'loader.tar'}",
        f"docker://{outputs['LoaderRepositoryUri']}:one",
    ]
    password = calls[0][1]
    assert password
    assert not any(password in argument for arguments, _ in calls for argument in arguments)
    assert image.put_image(cloud, "dev-delivery", tmp_path / "loader.tar", "one") == first
    assert len((skopeo / "calls").read_text().splitlines()) == len(calls)


def test_a_push_that_fails_says_why(outputs: dict[str, str], skopeo: Path, tmp_path: Path) -> None:
    (skopeo / "fails").touch()
    with pytest.raises(CloudError, match="skopeo login failed: no such file"):
        image.put_image(connect(), "dev-delivery", tmp_path / "loader.tar", "two")
    (skopeo / "skopeo").unlink()
    with pytest.raises(CloudError, match="skopeo is not installed"):
        image.put_image(connect(), "dev-delivery", tmp_path / "loader.tar", "two")


def test_an_environment_that_was_never_set_up_is_said(aws: EmbeddedAws, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match=r"stack qa-delivery does not tell LoaderRepositoryUri.*make bootstrap"):
        image.put_image(connect(), "qa-delivery", tmp_path / "loader.tar", "one")
