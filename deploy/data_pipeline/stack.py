"""The data pipeline as CloudFormation: a bucket, the loader, a PostgreSQL database and its secret."""

from __future__ import annotations

from troposphere import GetAtt, Output, Parameter, Ref, Sub, Template, awslambda, rds, s3, secretsmanager, sqs

from deploy.functions import Function, Statement, add_code_parameters, add_function

FOURTEEN_DAYS = 14 * 24 * 3600  # the longest a queue keeps a message
DATABASE_NAME = "pipeline"

# The bucket tells the loader, so the loader, its role and its permission must know the bucket's name before it exists.
BUCKET_NAME = "${AWS::StackName}-incoming-${AWS::AccountId}-${AWS::Region}"
BUCKET_ARN = f"arn:${{AWS::Partition}}:s3:::{BUCKET_NAME}"

# Function name -> further Python distributions its package needs beside the handlers.
PACKAGES: dict[str, tuple[str, ...]] = {"Loader": ("pg8000",)}


def template() -> Template:
    """The whole stack."""
    stack = Template(Description="Data pipeline: CSV files put into a bucket are loaded into PostgreSQL")
    stack.set_version()
    add_code_parameters(stack)
    _add_parameters(stack)
    database, secret = _add_database(stack)
    loader = _add_loader(stack, database, secret)
    _add_bucket(stack, loader)
    return stack


def _add_parameters(stack: Template) -> None:
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
            "DatabaseStorageGb",
            Type="Number",
            Default=20,
            MinValue=20,
            Description="Allocated storage of the database",
        )
    )
    stack.add_parameter(
        Parameter(
            "DatabaseMultiAz",
            Type="String",
            Default="false",
            AllowedValues=["true", "false"],
            Description="Whether a standby runs in a second zone",
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
            "DeletionProtection",
            Type="String",
            Default="true",
            AllowedValues=["true", "false"],
            Description="Whether the database refuses to be deleted",
        )
    )
    stack.add_parameter(
        Parameter(
            "DatabaseTls",
            Type="String",
            Default="require",
            AllowedValues=["require", "off"],
            Description="off only where database and loader run on one machine",
        )
    )
    stack.add_parameter(
        Parameter(
            "LoaderConcurrency",
            Type="Number",
            Default=5,
            MinValue=1,
            Description="Loads that may run at once; each holds a database connection",
        )
    )


def _add_database(stack: Template) -> tuple[rds.DBInstance, secretsmanager.Secret]:
    secret = stack.add_resource(
        secretsmanager.Secret(
            "DatabaseSecret",
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",
            Description="User and password of the pipeline's database",
            GenerateSecretString=secretsmanager.GenerateSecretString(
                SecretStringTemplate='{"username": "pipeline"}',
                GenerateStringKey="password",
                PasswordLength=32,
                ExcludePunctuation=True,
            ),
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
            AllocatedStorage=Ref("DatabaseStorageGb"),
            StorageType="gp3",
            StorageEncrypted=True,
            MasterUsername=Sub("{{resolve:secretsmanager:${DatabaseSecret}:SecretString:username}}"),
            MasterUserPassword=Sub("{{resolve:secretsmanager:${DatabaseSecret}:SecretString:password}}"),
            MultiAZ=Ref("DatabaseMultiAz"),
            PubliclyAccessible=False,
            BackupRetentionPeriod=Ref("BackupRetentionDays"),
            CopyTagsToSnapshot=True,
            DeletionProtection=Ref("DeletionProtection"),
            EnableCloudwatchLogsExports=["postgresql"],
        )
    )
    stack.add_output(
        Output("DatabaseEndpoint", Value=GetAtt(database, "Endpoint.Address"), Description="Host of the database")
    )
    stack.add_output(
        Output("DatabasePort", Value=GetAtt(database, "Endpoint.Port"), Description="Port of the database")
    )
    stack.add_output(Output("DatabaseName", Value=Ref(database), Description="Identifier of the database instance"))
    stack.add_output(
        Output("DatabaseSecretArn", Value=GetAtt(secret, "Id"), Description="ARN of the database's secret")
    )
    return database, secret


def _add_loader(stack: Template, database: rds.DBInstance, secret: secretsmanager.Secret) -> awslambda.Function:
    dead_letters = stack.add_resource(
        sqs.Queue(
            "LoaderDeadLetters",
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",
            MessageRetentionPeriod=FOURTEEN_DAYS,
            SqsManagedSseEnabled=True,
        )
    )
    loader = add_function(
        stack,
        Function(
            name="Loader",
            description="Copies each arriving CSV file into its table",
            handler="deploy.data_pipeline.handlers.loader.handler",
            timeout=300,
            memory=512,
            environment={
                "DATABASE_HOST": GetAtt(database, "Endpoint.Address"),
                "DATABASE_PORT": GetAtt(database, "Endpoint.Port"),
                "DATABASE_NAME": DATABASE_NAME,
                "DATABASE_SECRET": GetAtt(secret, "Id"),
                "DATABASE_TLS": Ref("DatabaseTls"),
            },
            allow=[
                Statement(["s3:GetObjectVersion"], [Sub(f"{BUCKET_ARN}/*")]),
                Statement(["secretsmanager:GetSecretValue"], [GetAtt(secret, "Id")]),
                Statement(["sqs:SendMessage"], [GetAtt(dead_letters, "Arn")]),
            ],
            reserved_concurrency=Ref("LoaderConcurrency"),
        ),
    )
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
    stack.add_output(
        Output("LoaderDeadLettersUrl", Value=Ref(dead_letters), Description="URL of the queue of failed loads")
    )
    return loader


def _add_bucket(stack: Template, loader: awslambda.Function) -> None:
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
    bucket = stack.add_resource(
        s3.Bucket(
            "Incoming",
            DependsOn=[permission.title],
            UpdateReplacePolicy="Retain",
            DeletionPolicy="Delete",  # refused by S3 while there is a file in it
            BucketName=Sub(BUCKET_NAME),
            VersioningConfiguration=s3.VersioningConfiguration(Status="Enabled"),
            BucketEncryption=s3.BucketEncryption(
                ServerSideEncryptionConfiguration=[
                    s3.ServerSideEncryptionRule(
                        ServerSideEncryptionByDefault=s3.ServerSideEncryptionByDefault(SSEAlgorithm="aws:kms"),
                        BucketKeyEnabled=True,
                    )
                ]
            ),
            OwnershipControls=s3.OwnershipControls(
                Rules=[s3.OwnershipControlsRule(ObjectOwnership="BucketOwnerEnforced")]
            ),
            PublicAccessBlockConfiguration=s3.PublicAccessBlockConfiguration(
                BlockPublicAcls=True, BlockPublicPolicy=True, IgnorePublicAcls=True, RestrictPublicBuckets=True
            ),
            NotificationConfiguration=s3.NotificationConfiguration(
                LambdaConfigurations=[
                    s3.LambdaConfigurations(
                        Event="s3:ObjectCreated:*",
                        Function=GetAtt(loader, "Arn"),
                        Filter=s3.Filter(S3Key=s3.S3Key(Rules=[s3.Rules(Name="suffix", Value=".csv")])),
                    )
                ]
            ),
        )
    )
    stack.add_resource(
        s3.BucketPolicy(
            "IncomingPolicy",
            Bucket=Ref(bucket),
            PolicyDocument={
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "DenyPlainHttp",
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": [GetAtt(bucket, "Arn"), Sub("${Incoming.Arn}/*")],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                    }
                ],
            },
        )
    )
    stack.add_output(Output("IncomingName", Value=Ref(bucket), Description="Bucket that takes the CSV files"))
