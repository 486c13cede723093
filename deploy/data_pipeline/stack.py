"""The data pipeline as CloudFormation: a bucket, the loader, a PostgreSQL database and the functions that look after it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from troposphere import (
    GetAtt,
    If,
    NoValue,
    Output,
    Parameter,
    Ref,
    Sub,
    Template,
    awslambda,
    cloudformation,
    kms,
    rds,
    sqs,
)

from deploy.functions import Function, Statement, Value, add_code_parameters, add_function

from .database import (
    DATABASE_NAME,
    add_database,
    add_database_parameters,
    add_security_groups,
    may_connect,
    secret_arn,
)
from .storage import BUCKET_ARN, INCOMING, QUARANTINE, add_bucket, add_key, add_storage_parameters
from .task import HAS_TASK, add_task, add_task_parameters, add_task_roles, may_start_task, task_environment

HANDLERS = "deploy.data_pipeline.handlers"
MIGRATIONS = Path(__file__).resolve().parent / "migrations"
FOURTEEN_DAYS = 14 * 24 * 3600  # the longest a queue keeps a message
LONGEST = 900  # seconds a function may take at most

# Function name -> further Python distributions its package needs beside the handlers.
PACKAGES: dict[str, tuple[str, ...]] = {"Loader": ("pg8000",), "Migrator": ("pg8000",), "Probe": ("pg8000",)}


class Schema(cloudformation.CustomResource):
    """The database's schema as a resource: CloudFormation calls the migrator when ``Migrations`` changes."""

    resource_type = "Custom::Schema"
    props = {**cloudformation.CustomResource.props, "Migrations": (str, True)}  # noqa: RUF012  troposphere's own way


def template() -> Template:
    """The whole stack."""
    stack = Template(Description="Data pipeline: CSV files put into a bucket are loaded into PostgreSQL")
    stack.set_version()
    add_code_parameters(stack)
    add_database_parameters(stack)
    add_storage_parameters(stack)
    add_task_parameters(stack)
    _add_parameters(stack)
    key = add_key(stack)
    group, clients = add_security_groups(stack)
    database = add_database(stack, key, group)
    groups = [GetAtt(clients, "GroupId")]
    schema = _add_schema(stack, database, key, groups)
    _add_probe(stack, database, schema, groups)
    _add_loading(stack, database, key, schema, groups)
    return stack


def _add_parameters(stack: Template) -> None:
    stack.add_parameter(
        Parameter(
            "LoaderConcurrency",
            Type="Number",
            Default=5,
            MinValue=1,
            Description="Loads that may run at once; each holds a database connection",
        )
    )
    stack.add_parameter(
        Parameter(
            "MaxRejectedShare",
            Type="String",
            Default="0.01",
            AllowedPattern=r"0(\.[0-9]+)?|1(\.0+)?",
            Description="Share of a file's rows that may be rejected before the whole file is",
        )
    )


def connection(database: rds.DBInstance) -> dict[str, Value]:
    """Where the database is, for the environment of a function."""
    return {
        "DATABASE_HOST": GetAtt(database, "Endpoint.Address"),
        "DATABASE_PORT": GetAtt(database, "Endpoint.Port"),
        "DATABASE_NAME": DATABASE_NAME,
    }


def migrations_fingerprint() -> str:
    """Changes with every migration, so that CloudFormation calls the migrator again."""
    digest = hashlib.sha256()
    for path in sorted(MIGRATIONS.glob("*.sql")):
        digest.update(f"{path.name}\n{path.read_text(encoding='utf-8')}\n".encode())
    return digest.hexdigest()[:32]


def _add_schema(stack: Template, database: rds.DBInstance, key: kms.Key, groups: list[Any]) -> str:
    """The migrator, and the database's schema as a resource that it makes; returns that resource's name."""
    migrator = add_function(
        stack,
        Function(
            name="Migrator",
            description="Brings the database's schema to that of the code",
            handler=f"{HANDLERS}.migrator.handler",
            timeout=LONGEST,
            memory=256,
            environment={**connection(database), "DATABASE_SECRET": secret_arn(database)},
            allow=[
                Statement(["secretsmanager:GetSecretValue"], [secret_arn(database)]),
                _may_use(key, ["kms:Decrypt"], "secretsmanager"),
            ],
            security_groups=groups,
        ),
    )
    schema = stack.add_resource(
        Schema(
            "Schema",
            ServiceToken=GetAtt(migrator, "Arn"),
            ServiceTimeout=LONGEST + 60,
            Migrations=migrations_fingerprint(),
        )
    )
    return str(schema.title)


def _add_probe(stack: Template, database: rds.DBInstance, schema: str, groups: list[Any]) -> None:
    probe = add_function(
        stack,
        Function(
            name="Probe",
            description="Looks with the reader's eyes, to validate a deployment",
            handler=f"{HANDLERS}.probe.handler",
            timeout=60,
            memory=256,
            environment={**connection(database), "DATABASE_USER": "reader"},
            allow=[may_connect(database, "reader")],
            security_groups=groups,
        ),
    )
    probe.DependsOn = [schema]


def _add_loading(stack: Template, database: rds.DBInstance, key: kms.Key, schema: str, groups: list[Any]) -> None:
    """The loader as function and as container, what tells them of a file, and what keeps the word of a failure."""
    dead_letters = _add_dead_letters(stack)
    loads = [
        Statement(["s3:GetObjectVersion"], [Sub(f"{BUCKET_ARN}/{INCOMING}*")]),
        Statement(["s3:AbortMultipartUpload", "s3:PutObject"], [Sub(f"{BUCKET_ARN}/{QUARANTINE}*")]),
        _may_use(key, ["kms:Decrypt", "kms:GenerateDataKey"], "s3"),
        may_connect(database, "loader"),
    ]
    task_role, start_role = add_task_roles(stack, loads)
    environment = {
        **connection(database),
        "DATABASE_USER": "loader",
        "MAX_REJECTED_SHARE": Ref("MaxRejectedShare"),
    }
    loader = add_function(
        stack,
        Function(
            name="Loader",
            description="Copies each arriving CSV file into its table",
            handler=f"{HANDLERS}.loader.handler",
            timeout=LONGEST,
            memory=1769,  # the size from which on a function has a whole processor
            environment={**environment, **task_environment([Ref("EndpointClientsSecurityGroupId"), *groups])},
            allow=[
                *loads,
                Statement(["sqs:SendMessage"], [GetAtt(dead_letters, "Arn")]),
                *may_start_task(task_role, start_role),
            ],
            reserved_concurrency=Ref("LoaderConcurrency"),
            security_groups=groups,
        ),
    )
    loader.DependsOn = [schema]
    # What Lambda sets by itself, and boto3 and the metrics ask for.
    as_in_lambda = {"AWS_DEFAULT_REGION": Ref("AWS::Region"), "AWS_LAMBDA_FUNCTION_NAME": Ref(loader)}
    limit: dict[str, Value] = {"TASK_MINUTES": Ref("LoaderTaskMinutes")}
    add_task(stack, {**environment, **as_in_lambda, **limit}, task_role, start_role, dead_letters)
    stack.add_resource(
        awslambda.EventInvokeConfig(
            "LoaderRetries",
            FunctionName=Ref(loader),
            Qualifier="$LATEST",
            MaximumRetryAttempts=2,
            # A file that could not be loaded stays in the bucket; this keeps the word of it.
            DestinationConfig=awslambda.DestinationConfig(
                OnFailure=awslambda.OnFailure(Destination=GetAtt(dead_letters, "Arn"))
            ),
        )
    )
    permission = stack.add_resource(
        awslambda.Permission(
            "IncomingPermission",
            Action="lambda:InvokeFunction",
            FunctionName=Ref(loader),
            Principal="s3.amazonaws.com",
            SourceAccount=Ref("AWS::AccountId"),
            SourceArn=Sub(BUCKET_ARN),
        )
    )
    own = If(HAS_TASK, GetAtt(task_role, "Arn"), GetAtt("LoaderRole", "Arn"))
    add_bucket(stack, key, GetAtt(loader, "Arn"), str(permission.title), own)


def _add_dead_letters(stack: Template) -> sqs.Queue:
    """Where the word of failed loads is kept: the function's role writes to it, and the rule on failed tasks."""
    queue = stack.add_resource(
        sqs.Queue(
            "LoaderDeadLetters",
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",
            MessageRetentionPeriod=FOURTEEN_DAYS,
            SqsManagedSseEnabled=True,
        )
    )
    tells = {
        "Sid": "FailedTasks",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": ["sqs:SendMessage"],
        "Resource": GetAtt(queue, "Arn"),
        "Condition": {"ArnEquals": {"aws:SourceArn": GetAtt("LoaderTaskFailed", "Arn")}},
    }
    stack.add_resource(
        sqs.QueuePolicy(
            "LoaderDeadLettersPolicy",
            Queues=[Ref(queue)],
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "DenyPlainHttp",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "sqs:*",
                        "Resource": GetAtt(queue, "Arn"),
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    },
                    If(HAS_TASK, tells, NoValue),
                ],
            },
        )
    )
    stack.add_output(Output("LoaderDeadLettersUrl", Value=Ref(queue), Description="URL of the queue of failed loads"))
    return queue


def _may_use(key: kms.Key, actions: list[str], service: str) -> Statement:
    """Using the key by way of one service only."""
    via = {"StringEquals": {"kms:ViaService": Sub(f"{service}.${{AWS::Region}}.amazonaws.com")}}
    return Statement(actions, [GetAtt(key, "Arn")], via)
