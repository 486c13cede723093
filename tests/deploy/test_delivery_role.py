"""The delivery role, with IAM enforced: it deploys its environment, and nothing else that it tries."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.systems import bootstrap, deploy_all
from stack_templates import tree

from tocsin.cloud.deploy import Work
from tocsin.cloud.embedded import embedded
from tocsin.cloud.environments import Environment, read_environment
from tocsin.cloud.session import Cloud, connect, error_code

ENVIRONMENT = """
[dev]
region = "eu-west-1"
[dev.stacks.delivery]
GitHubRepository = "owner/name"
[dev.data_pipeline]
DeletionProtection = false
[dev.notification]
DeletionProtection = false
"""


def token(repository: str, environment: str) -> str:
    """A token as GitHub makes it for a job, but for the signature, which the embedded AWS does not look at."""
    claims = {
        "iss": "https://token.actions.githubusercontent.com",
        "aud": "sts.amazonaws.com",
        "sub": f"repo:{repository}:environment:{environment}",
        "exp": 4_102_444_800,
    }
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "signature"])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """An environment that an administrator has set up."""
    path = tmp_path_factory.mktemp("environments") / "environments.toml"
    path.write_text(ENVIRONMENT)
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.boto3_environment().items():
            patch.setenv(name, value)
        described = read_environment(path, "dev")
        outcome = bootstrap(described)
        # The embedded AWS has no condition key cloudformation:RoleArn, under which alone change sets are allowed.
        document = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": "cloudformation:CreateChangeSet",
                    "Resource": "arn:aws:cloudformation:*:*:stack/dev-*/*",
                }
            ],
        }
        role = outcome.outputs["DeliveryRoleArn"]
        connect().client("iam").put_role_policy(
            RoleName=role.rpartition("/")[2], PolicyName="AnyRole", PolicyDocument=json.dumps(document)
        )
        given = (
            connect()
            .client("sts")
            .assume_role_with_web_identity(
                RoleArn=role, RoleSessionName="delivery", WebIdentityToken=token("owner/name", "dev")
            )["Credentials"]
        )
        patch.setenv("AWS_ACCESS_KEY_ID", given["AccessKeyId"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"])
        patch.setenv("AWS_SESSION_TOKEN", given["SessionToken"])
        yield described


@pytest.fixture(scope="module")
def cloud(environment: Environment) -> Cloud:
    return connect(environment.region)


def test_it_deploys_everything_and_then_nothing(environment: Environment) -> None:
    first = deploy_all(environment)
    assert {outcome.work for outcome in first} == {Work.CREATE}
    assert {outcome.work for outcome in deploy_all(environment)} == {Work.NOTHING}


REFUSED: dict[str, Callable[[Cloud], object]] = {
    "another environment": lambda cloud: cloud.client("cloudformation").create_change_set(
        StackName="qa-network", ChangeSetName="x", TemplateBody=json.dumps(tree("network"))
    ),
    "a stack without a change set": lambda cloud: cloud.client("cloudformation").create_stack(
        StackName="dev-network", TemplateBody=json.dumps(tree("network"))
    ),
    "a role of its own": lambda cloud: cloud.client("iam").create_role(
        RoleName="dev-mine", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []})
    ),
    "more permissions": lambda cloud: cloud.client("iam").put_role_policy(
        RoleName="dev-delivery-DeliveryRole", PolicyName="x", PolicyDocument="{}"
    ),
    "a function's code": lambda cloud: cloud.client("lambda").update_function_code(
        FunctionName="dev-data-pipeline-Loader", ZipFile=b""
    ),
    "a user's file": lambda cloud: cloud.client("s3").put_object(
        Bucket="dev-data-pipeline-incoming-000000000000-eu-west-1", Key="incoming/airlines/a.csv", Body=b""
    ),
    "a user of the API": lambda cloud: cloud.client("sts").assume_role(
        RoleArn=user_role(cloud), RoleSessionName="anna"
    ),
    "where pages go": lambda cloud: cloud.client("secretsmanager").get_secret_value(
        SecretId="tocsin/dev/on-call/engagement-page"
    ),
    "the owner's password": lambda cloud: cloud.client("secretsmanager").get_secret_value(SecretId="rds!db-x"),
}


def user_role(cloud: Cloud) -> str:
    (stack,) = cloud.client("cloudformation").describe_stacks(StackName="dev-notification")["Stacks"]
    return next(str(o["OutputValue"]) for o in stack["Outputs"] if o["OutputKey"] == "UserRoleArn")


def test_it_becomes_a_user_of_its_own_making(cloud: Cloud) -> None:
    session = cloud.client("sts").assume_role(RoleArn=user_role(cloud), RoleSessionName="synthetic-1")
    assert session["AssumedRoleUser"]["Arn"].endswith("/synthetic-1")


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused(cloud: Cloud, what: str) -> None:
    with pytest.raises(Exception, match="not authorized") as refusal:
        REFUSED[what](cloud)
    assert error_code(refusal.value) in ("AccessDenied", "AccessDeniedException")


@pytest.mark.parametrize(("repository", "environment_named"), [("someone/else", "dev"), ("owner/name", "prod")])
def test_the_token_of_another_gets_no_role(environment: Environment, repository: str, environment_named: str) -> None:
    role = role_of(environment)
    with pytest.raises(Exception, match=r"(?i)not authorized|denied"):
        connect(environment.region).client("sts").assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="delivery", WebIdentityToken=token(repository, environment_named)
        )


def role_of(environment: Environment) -> str:
    (stack,) = connect(environment.region).client("cloudformation").describe_stacks(StackName="dev-delivery")["Stacks"]
    return next(str(o["OutputValue"]) for o in stack["Outputs"] if o["OutputKey"] == "DeliveryRoleArn")
