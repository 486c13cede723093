"""The data pipeline's PostgreSQL as CloudFormation: private, encrypted, TLS only, with a secret that RDS itself rotates."""

from __future__ import annotations

from typing import Any

from troposphere import Equals, GetAtt, If, Not, NoValue, Output, Parameter, Ref, Sub, Template, ec2, iam, kms, rds

from deploy.functions import Statement, policy, trust
from deploy.network import NOWHERE

PORT = 5432
DATABASE_NAME = "pipeline"
OWNER = "pipeline"

# Of one connection for sorting and joining, in kB: twice the largest file.  A query that wants more fails alone, instead
# of filling the disk for everybody.
TEMPORARY_KB = 10 * 1024 * 1024


def add_database_parameters(stack: Template) -> None:
    """Size, cost and protection of the database."""
    yes_or_no = {"Type": "String", "AllowedValues": ["true", "false"]}
    stack.add_parameter(
        Parameter(
            "DatabaseClass",
            Type="String",
            Default="db.t4g.micro",
            Description="Instance class of the database, such as db.t4g.micro",
        )
    )
    stack.add_parameter(
        Parameter(
            "DatabaseStorageGb", Type="Number", Default=20, MinValue=20, Description="Allocated storage of the database"
        )
    )
    stack.add_parameter(
        Parameter(
            "DatabaseMaxStorageGb",
            Type="Number",
            Default=100,
            MinValue=26,
            Description="What the storage grows to by itself when it fills; above DatabaseStorageGb by a quarter at least",
        )
    )
    stack.add_parameter(
        Parameter(
            "DatabaseMultiAz", Default="false", Description="Whether a standby runs in a second zone", **yes_or_no
        )
    )
    stack.add_parameter(
        Parameter(
            "BackupRetentionDays",
            Type="Number",
            Default=7,
            MinValue=1,
            MaxValue=35,
            Description="Days to keep the database's automatic backups",
        )
    )
    stack.add_parameter(
        Parameter(
            "DeletionProtection", Default="true", Description="Whether the database refuses to be deleted", **yes_or_no
        )
    )
    stack.add_parameter(
        Parameter(
            "PerformanceInsights",
            Default="true",
            Description="Whether RDS keeps what the database waited for, for seven days, which costs nothing",
            **yes_or_no,
        )
    )
    stack.add_condition("HasPerformanceInsights", Equals(Ref("PerformanceInsights"), "true"))
    stack.add_parameter(
        Parameter(
            "EnhancedMonitoringSeconds",
            Type="Number",
            Default=60,
            AllowedValues=[0, 1, 5, 10, 15, 30, 60],
            Description="How often the machine's own figures are logged; 0 for never, the rest is billed as logs",
        )
    )
    stack.add_condition("HasEnhancedMonitoring", Not(Equals(Ref("EnhancedMonitoringSeconds"), 0)))


def add_security_groups(stack: Template) -> tuple[ec2.SecurityGroup, ec2.SecurityGroup]:
    """The group of the database and the group of those who connect to it, each of which names the other."""
    database = stack.add_resource(
        ec2.SecurityGroup(
            "DatabaseGroup",
            VpcId=Ref("VpcId"),
            GroupDescription="The database of the pipeline",
            SecurityGroupEgress=[NOWHERE],
        )
    )
    clients = stack.add_resource(
        ec2.SecurityGroup(
            "DatabaseClients",
            VpcId=Ref("VpcId"),
            GroupDescription="Whoever connects to the database of the pipeline",
            SecurityGroupEgress=[
                _postgres("To the database", "DestinationSecurityGroupId", GetAtt(database, "GroupId"))
            ],
        )
    )
    stack.add_resource(
        ec2.SecurityGroupIngress(
            "DatabaseFromClients",
            GroupId=GetAtt(database, "GroupId"),
            **_postgres("From the clients of the database", "SourceSecurityGroupId", GetAtt(clients, "GroupId")),
        )
    )
    return database, clients


def _postgres(description: str, end: str, group: GetAtt) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": PORT, "Description": description, end: group}


def add_database(stack: Template, key: kms.Key, group: ec2.SecurityGroup) -> rds.DBInstance:
    """The instance, with what it stands on."""
    subnets = stack.add_resource(
        rds.DBSubnetGroup(
            "DatabaseSubnets",
            DBSubnetGroupDescription="The private subnets",
            SubnetIds=Ref("PrivateSubnetIds"),
        )
    )
    settings = stack.add_resource(
        rds.DBParameterGroup(
            "DatabaseSettings",
            Description="TLS only",
            Family="postgres18",
            Parameters={"rds.force_ssl": "1", "temp_file_limit": str(TEMPORARY_KB)},
        )
    )
    database = stack.add_resource(
        rds.DBInstance(
            "Database",
            UpdateReplacePolicy="Snapshot",
            DeletionPolicy="Snapshot",
            Engine="postgres",
            EngineVersion="18",
            AutoMinorVersionUpgrade=True,
            DBInstanceClass=Ref("DatabaseClass"),
            DBName=DATABASE_NAME,
            Port=str(PORT),
            AllocatedStorage=Ref("DatabaseStorageGb"),
            MaxAllocatedStorage=Ref("DatabaseMaxStorageGb"),
            StorageType="gp3",
            StorageEncrypted=True,
            KmsKeyId=GetAtt(key, "Arn"),
            MasterUsername=OWNER,
            ManageMasterUserPassword=True,
            MasterUserSecret=rds.MasterUserSecret(KmsKeyId=GetAtt(key, "Arn")),
            EnableIAMDatabaseAuthentication=True,
            CACertificateIdentifier="rds-ca-rsa2048-g1",
            DBParameterGroupName=Ref(settings),
            DBSubnetGroupName=Ref(subnets),
            VPCSecurityGroups=[GetAtt(group, "GroupId")],
            PubliclyAccessible=False,
            MultiAZ=Ref("DatabaseMultiAz"),
            BackupRetentionPeriod=Ref("BackupRetentionDays"),
            CopyTagsToSnapshot=True,
            DeletionProtection=Ref("DeletionProtection"),
            EnableCloudwatchLogsExports=["postgresql", "upgrade"],
            EnablePerformanceInsights=Ref("PerformanceInsights"),
            PerformanceInsightsRetentionPeriod=If("HasPerformanceInsights", 7, NoValue),
            PerformanceInsightsKMSKeyId=If("HasPerformanceInsights", GetAtt(key, "Arn"), NoValue),
            MonitoringInterval=Ref("EnhancedMonitoringSeconds"),
            MonitoringRoleArn=If("HasEnhancedMonitoring", GetAtt(_add_monitoring_role(stack), "Arn"), NoValue),
        )
    )
    outputs = {
        "DatabaseEndpoint": (GetAtt(database, "Endpoint.Address"), "Host of the database"),
        "DatabasePort": (GetAtt(database, "Endpoint.Port"), "Port of the database"),
        "DatabaseName": (Ref(database), "Identifier of the database instance"),
        "DatabaseSecretArn": (secret_arn(database), "ARN of the secret of the database's owner"),
    }
    for name, (value, description) in outputs.items():
        stack.add_output(Output(name, Value=value, Description=description))
    return database


def secret_arn(database: rds.DBInstance) -> GetAtt:
    """The secret of the database's owner, which RDS makes and rotates."""
    return GetAtt(database, "MasterUserSecret.SecretArn")


def may_connect(database: rds.DBInstance, user: str) -> Statement:
    """Connecting as that database user, with a token instead of a password."""
    resource = Sub(
        "arn:${AWS::Partition}:rds-db:${AWS::Region}:${AWS::AccountId}:dbuser:${Id}/" + user,
        Id=GetAtt(database, "DbiResourceId"),
    )
    return Statement(["rds-db:connect"], [resource])


def _add_monitoring_role(stack: Template) -> iam.Role:
    """What enhanced monitoring needs: one log group, which has this name in every account.

    Source: AWS managed policy AmazonRDSEnhancedMonitoringRole.
    """
    group = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:RDSOSMetrics"
    actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:GetLogEvents", "logs:PutLogEvents"]
    document = trust("monitoring.rds.amazonaws.com")
    document["Statement"][0]["Condition"] = {"StringEquals": {"aws:SourceAccount": Ref("AWS::AccountId")}}
    return stack.add_resource(
        iam.Role(
            "MonitoringRole",
            Condition="HasEnhancedMonitoring",
            AssumeRolePolicyDocument=document,
            PermissionsBoundary=Ref("PermissionsBoundaryArn"),
            Policies=[
                iam.Policy(
                    PolicyName="EnhancedMonitoring",
                    PolicyDocument=policy(
                        [
                            Statement(["logs:CreateLogGroup", "logs:PutRetentionPolicy"], [Sub(f"{group}*")]),
                            Statement(actions, [Sub(f"{group}:log-stream:*")]),  # one stream for each instance
                        ]
                    ),
                )
            ],
        )
    )
