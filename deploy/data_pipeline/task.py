"""The container task that loads what does not fit into a function's time, as CloudFormation; only with a ``LoaderImage``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from troposphere import (
    Equals,
    GetAtt,
    If,
    Join,
    Not,
    Output,
    Parameter,
    Ref,
    Sub,
    Template,
    ecs,
    events,
    iam,
    logs,
    sqs,
)

from deploy.functions import Statement, Value, policy, trust

CONTAINER = "loader"
HAS_TASK = "HasTask"

# The loader starts the newest revision of the family: its name is known before the task, which needs the loader's.
FAMILY = "${AWS::StackName}-loader"


def add_task_parameters(stack: Template) -> None:
    """The image of the container, which the delivery pipeline builds."""
    stack.add_parameter(
        Parameter(
            "LoaderImage",
            Type="String",
            Default="",
            Description="Image for files too large for the function, by tag or digest; empty for none",
        )
    )
    stack.add_parameter(
        Parameter(
            "LoaderTaskMinutes",
            Type="Number",
            # 5 GB, the largest single upload, at 1.5 MB/s, below the slower path, are 56 minutes.
            Default=120,
            MinValue=15,
            MaxValue=1440,
            Description="Time a container task has for its file; then nothing of it is loaded and it counts as rejected",
        )
    )
    stack.add_parameter(
        Parameter(
            "LoaderRepositoryArn",
            Type="String",
            AllowedPattern="arn:[a-z0-9-]+:ecr:[a-z0-9-]+:[0-9]{12}:repository/.+",
            Description="Repository that LoaderImage is in",
        )
    )
    stack.add_condition(HAS_TASK, Not(Equals(Ref("LoaderImage"), "")))


def add_task_roles(stack: Template, allow: Sequence[Statement]) -> tuple[iam.Role, iam.Role]:
    """The role the container works with, and the one ECS starts it with."""
    log_group = stack.add_resource(
        logs.LogGroup(
            "LoaderTaskLogs",
            Condition=HAS_TASK,
            UpdateReplacePolicy="Delete",
            DeletionPolicy="Delete",
            LogGroupName=Sub("/ecs/${AWS::StackName}-loader"),
            RetentionInDays=Ref("LogRetentionDays"),
        )
    )
    start = [
        Statement(["ecr:GetAuthorizationToken"], ["*"]),  # the login is to the registry; ECR knows no resource for it
        Statement(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [Ref("LoaderRepositoryArn")],
        ),
        Statement(["logs:CreateLogStream", "logs:PutLogEvents"], [GetAtt(log_group, "Arn")]),
    ]
    return _role(stack, "LoaderTaskRole", allow), _role(stack, "LoaderTaskStartRole", start)


def _role(stack: Template, name: str, allow: Sequence[Statement]) -> iam.Role:
    """A role that ECS hands to tasks of this account only (Amazon ECS Developer Guide, "Amazon ECS task IAM role")."""
    document = trust("ecs-tasks.amazonaws.com")
    document["Statement"][0]["Condition"] = {
        "StringEquals": {"aws:SourceAccount": Ref("AWS::AccountId")},
        "ArnLike": {"aws:SourceArn": Sub("arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:*")},
    }
    return stack.add_resource(
        iam.Role(
            name,
            Condition=HAS_TASK,
            AssumeRolePolicyDocument=document,
            PermissionsBoundary=Ref("PermissionsBoundaryArn"),
            Policies=[iam.Policy(PolicyName=name, PolicyDocument=policy(allow))],
        )
    )


def may_start_task(task_role: iam.Role, start_role: iam.Role) -> list[Statement]:
    """Starting the task in our cluster, and handing it its two roles and no others."""
    arn = "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}"
    return [
        Statement(
            ["ecs:RunTask"],
            [Sub(f"{arn}:task-definition/{FAMILY}:*")],  # any revision: the newest is meant
            {"ArnEquals": {"ecs:cluster": GetAtt("LoaderCluster", "Arn")}},
            only_if=HAS_TASK,
        ),
        Statement(
            ["iam:PassRole"],
            [GetAtt(task_role, "Arn"), GetAtt(start_role, "Arn")],
            {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
            only_if=HAS_TASK,
        ),
    ]


def task_environment(groups: Sequence[Value]) -> dict[str, Value]:
    """What the function must know to start the task; TASK_DEFINITION is empty where there is none."""
    return {
        "TASK_CLUSTER": If(HAS_TASK, Ref("LoaderCluster"), ""),
        "TASK_DEFINITION": If(HAS_TASK, Sub(FAMILY), ""),
        "TASK_CONTAINER": CONTAINER,
        "TASK_SUBNETS": Join(",", Ref("PrivateSubnetIds")),
        "TASK_SECURITY_GROUPS": Join(",", list(groups)),
    }


def add_task(
    stack: Template,
    environment: Mapping[str, Value],
    task_role: iam.Role,
    start_role: iam.Role,
    dead_letters: sqs.Queue,
) -> None:
    """Cluster and task; a task that fails is told to ``dead_letters``, as a failed function is."""
    cluster = stack.add_resource(
        ecs.Cluster(
            "LoaderCluster",
            Condition=HAS_TASK,
            ClusterSettings=[ecs.ClusterSetting(Name="containerInsights", Value="enabled")],
        )
    )
    definition = stack.add_resource(
        ecs.TaskDefinition(
            "LoaderTask",
            Condition=HAS_TASK,
            Family=Sub(FAMILY),
            RequiresCompatibilities=["FARGATE"],
            NetworkMode="awsvpc",
            RuntimePlatform=ecs.RuntimePlatform(CpuArchitecture="ARM64", OperatingSystemFamily="LINUX"),
            Cpu="1024",
            Memory="2048",
            TaskRoleArn=GetAtt(task_role, "Arn"),
            ExecutionRoleArn=GetAtt(start_role, "Arn"),
            Volumes=[ecs.Volume(Name="scratch")],
            ContainerDefinitions=[
                ecs.ContainerDefinition(
                    Name=CONTAINER,
                    Image=Ref("LoaderImage"),
                    Essential=True,
                    # As in the Dockerfile: whoever reads the template sees what runs.
                    EntryPoint=["python", "-m", "deploy.data_pipeline.handlers.task"],
                    ReadonlyRootFilesystem=True,
                    MountPoints=[ecs.MountPoint(ContainerPath="/tmp", SourceVolume="scratch")],  # noqa: S108  its own
                    Environment=[ecs.Environment(Name=name, Value=environment[name]) for name in sorted(environment)],
                    LogConfiguration=ecs.LogConfiguration(
                        LogDriver="awslogs",
                        Options={
                            "awslogs-group": Ref("LoaderTaskLogs"),
                            "awslogs-region": Ref("AWS::Region"),
                            "awslogs-stream-prefix": CONTAINER,
                        },
                    ),
                )
            ],
        )
    )
    failed = {
        "clusterArn": [GetAtt(cluster, "Arn")],
        "lastStatus": ["STOPPED"],
        "$or": [
            {"containers": {"exitCode": [{"anything-but": 0}]}},
            # Whatever else ended it: it could not be started, was stopped by hand, or its machine went away.
            {"stopCode": [{"anything-but": "EssentialContainerExited"}]},
        ],
    }
    stack.add_resource(
        events.Rule(
            "LoaderTaskFailed",
            Condition=HAS_TASK,
            Description="Keeps the word of a container task that did not load its file",
            EventPattern={"source": ["aws.ecs"], "detail-type": ["ECS Task State Change"], "detail": failed},
            State="ENABLED",
            Targets=[events.Target(Id="LoaderDeadLetters", Arn=GetAtt(dead_letters, "Arn"))],
        )
    )
    stack.add_output(
        Output("TaskDefinitionArn", Condition=HAS_TASK, Value=Ref(definition), Description="The container task")
    )
