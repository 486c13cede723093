"""The private network: nothing leads to the internet, and what the systems call is let through, no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from deploy.network import GATEWAYS, INTERFACES, NOWHERE
from deploy.network_facts import close_default_group, prefix_lists
from stack_templates import STACKS, SYSTEMS, flat, resources, role_actions, sub_text, tree

from tocsin.cloud.embedded import embedded
from tocsin.cloud.session import Cloud, connect
from tocsin.errors import CloudError

# Allowed to a function's role, but called by Lambda itself from outside the network.
BY_LAMBDA = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}


def rules(stack: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, group in resources(stack, "AWS::EC2::SecurityGroup").items():
        for direction in ("SecurityGroupIngress", "SecurityGroupEgress"):
            for rule in group.get(direction, []):
                yield f"{name}.{direction}", rule
    for direction in ("Ingress", "Egress"):
        for name, rule in resources(stack, f"AWS::EC2::SecurityGroup{direction}").items():
            yield name, rule


@pytest.mark.parametrize("stack", STACKS)
def test_every_rule_names_a_group_or_a_prefix_list(stack: str) -> None:
    for where, rule in rules(stack):
        if rule == NOWHERE:
            continue
        ends = [key for key in rule if key.endswith(("SecurityGroupId", "PrefixListId"))]
        assert len(ends) == 1, where
        assert not [key for key in rule if key.startswith("Cidr")], where
        assert rule["IpProtocol"] == "tcp", where
        assert rule["FromPort"] == rule["ToPort"], where
        assert rule["Description"], where


@pytest.mark.parametrize("stack", STACKS)
def test_no_group_keeps_the_rule_that_lets_everything_out(stack: str) -> None:
    # EC2 takes it away only for a group that is created with a rule of its own.
    for name, group in resources(stack, "AWS::EC2::SecurityGroup").items():
        assert group["SecurityGroupEgress"], name


@pytest.mark.parametrize("stack", STACKS)
def test_nothing_leads_to_the_internet(stack: str) -> None:
    types = {body["Type"] for body in tree(stack)["Resources"].values()}
    assert not types & {
        "AWS::EC2::EIP",
        "AWS::EC2::EgressOnlyInternetGateway",
        "AWS::EC2::InternetGateway",
        "AWS::EC2::NatGateway",
        "AWS::EC2::Route",
        "AWS::EC2::TransitGatewayAttachment",
        "AWS::EC2::VPCPeeringConnection",
    }
    assert "0.0.0.0/0" not in json.dumps(tree(stack))
    assert "::/0" not in json.dumps(tree(stack))
    assert all(subnet["MapPublicIpOnLaunch"] is False for subnet in resources(stack, "AWS::EC2::Subnet").values())
    assert all(not each["PubliclyAccessible"] for each in resources(stack, "AWS::RDS::DBInstance").values())


def test_the_subnets_are_in_two_zones_at_least() -> None:
    subnets = resources("network", "AWS::EC2::Subnet").values()
    zones = {json.dumps(subnet["AvailabilityZone"]) for subnet in subnets}
    assert len(zones) == len(subnets) >= 2
    assert len({json.dumps(subnet["CidrBlock"]) for subnet in subnets}) == len(subnets)


def test_every_endpoint_has_a_policy_for_our_account() -> None:
    endpoints = resources("network", "AWS::EC2::VPCEndpoint")
    assert len(endpoints) == len(GATEWAYS) + len(INTERFACES)
    for name, endpoint in endpoints.items():
        for statement in endpoint["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            condition = statement.get("Condition", {}).get("StringEquals", {})
            if statement["Resource"] == "*":
                assert condition["aws:PrincipalAccount"] == {"Ref": "AWS::AccountId"}, name
            if statement["Sid"] == "OwnRolesOwnResources":
                assert condition["aws:ResourceAccount"] == {"Ref": "AWS::AccountId"}, name


def test_the_only_foreign_resources_are_buckets_of_aws() -> None:
    foreign = [
        (statement["Action"], sub_text(statement["Resource"]))
        for endpoint in resources("network", "AWS::EC2::VPCEndpoint").values()
        for statement in endpoint["PolicyDocument"]["Statement"]
        if "Condition" not in statement
    ]
    assert foreign == [
        (["s3:GetObject"], "arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*"),
        (["s3:PutObject"], "arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-${Region}/*"),
    ]


def endpoint_actions() -> set[str]:
    return {action for actions in (*GATEWAYS.values(), *INTERFACES.values()) for action in actions}


def called_from_inside() -> set[str]:
    services = {action.split(":")[0] for action in endpoint_actions()} - {"logs"}
    inside = {action for role, actions in role_actions().items() if role.split(".")[0] in SYSTEMS for action in actions}
    return {action for action in inside if action.split(":")[0] in services} - BY_LAMBDA - {"ecr:GetAuthorizationToken"}


def test_what_the_systems_may_call_is_let_through_and_no_more() -> None:
    # Functions log through Lambda; only the container's lines pass the endpoint.
    assert endpoint_actions() == called_from_inside() | {"logs:CreateLogStream", "logs:PutLogEvents"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_function_runs_in_the_network(system: str) -> None:
    for name, function in resources(system, "AWS::Lambda::Function").items():
        network = function["VpcConfig"]
        assert network["SubnetIds"] == {"Ref": "PrivateSubnetIds"}, name
        assert network["SecurityGroupIds"][0] == {"Ref": "EndpointClientsSecurityGroupId"}, name


def test_flow_logs_go_to_an_encrypted_log_group() -> None:
    (flow_log,) = resources("network", "AWS::EC2::FlowLog").values()
    (group,) = resources("network", "AWS::Logs::LogGroup").values()
    (key,) = resources("network", "AWS::KMS::Key").values()
    assert flow_log["ResourceId"] == {"Ref": "Vpc"}
    assert flow_log["TrafficType"] == "ALL"
    assert flow_log["LogDestination"] == {"Fn::GetAtt": ["FlowLogs", "Arn"]}
    assert group["KmsKeyId"] == {"Fn::GetAtt": ["FlowLogKey", "Arn"]}
    assert key["EnableKeyRotation"] is True
    (use,) = [each for each in key["KeyPolicy"]["Statement"] if "Service" in each["Principal"]]
    named = use["Condition"]["ArnEquals"]["kms:EncryptionContext:aws:logs:arn"]
    assert sub_text(named).endswith(":log-group:" + group["LogGroupName"]["Fn::Sub"])


def test_groups_of_endpoints_and_database_name_each_other() -> None:
    for stack, server, clients, rule in (
        ("network", "Endpoints", "EndpointClients", "EndpointsFromClients"),
        ("data_pipeline", "DatabaseGroup", "DatabaseClients", "DatabaseFromClients"),
    ):
        ingress = resources(stack, "AWS::EC2::SecurityGroupIngress")[rule]
        assert ingress["GroupId"] == {"Fn::GetAtt": [server, "GroupId"]}
        assert ingress["SourceSecurityGroupId"] == {"Fn::GetAtt": [clients, "GroupId"]}
        egress = resources(stack, "AWS::EC2::SecurityGroup")[clients]["SecurityGroupEgress"]
        assert {"Fn::GetAtt": [server, "GroupId"]} in [each.get("DestinationSecurityGroupId") for each in egress]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with embedded(tmp_path_factory.mktemp("aws")) as aws, pytest.MonkeyPatch.context() as patch:
        for name, value in aws.boto3_environment().items():
            patch.setenv(name, value)
        yield connect()


def create(cloud: Cloud) -> dict[str, str]:
    cloudformation = cloud.client("cloudformation")
    values = {**prefix_lists(cloud), "PermissionsBoundaryArn": "arn:aws:iam::000000000000:policy/boundary"}
    cloudformation.create_stack(
        StackName="dev-network",
        TemplateBody=json.dumps(tree("network")),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(StackName="dev-network", WaiterConfig={"Delay": 1})
    (stack,) = cloudformation.describe_stacks(StackName="dev-network")["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def test_the_stack_comes_up_and_the_group_of_ec2_is_closed_once(cloud: Cloud) -> None:
    outputs = create(cloud)
    ec2 = cloud.client("ec2")
    subnets = ec2.describe_subnets(SubnetIds=outputs["PrivateSubnetIds"].split(","))["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == len(subnets) == 2
    assert {subnet["VpcId"] for subnet in subnets} == {outputs["VpcId"]}
    (clients,) = ec2.describe_security_groups(GroupIds=[outputs["EndpointClientsSecurityGroupId"]])["SecurityGroups"]
    lists = [each["PrefixListId"] for rule in clients["IpPermissionsEgress"] for each in rule["PrefixListIds"]]
    assert sorted(lists) == sorted(prefix_lists(cloud).values())
    default = outputs["DefaultSecurityGroupId"]
    assert close_default_group(cloud, default) > 0
    (group,) = ec2.describe_security_groups(GroupIds=[default])["SecurityGroups"]
    assert (group["IpPermissions"], group["IpPermissionsEgress"]) == ([], [])
    assert close_default_group(cloud, default) == 0


def test_a_region_without_the_lists_is_said(cloud: Cloud) -> None:
    elsewhere = Cloud("nowhere-1", cloud.endpoint_url, cloud._session, {"ec2": cloud.client("ec2")})
    with pytest.raises(CloudError, match=r"nowhere-1 has no prefix list com\.amazonaws\.nowhere-1\.dynamodb"):
        prefix_lists(elsewhere)


def test_flat_sees_both_sides_of_a_condition() -> None:
    assert flat([1, {"Fn::If": ["C", 2, {"Ref": "AWS::NoValue"}]}, {"Fn::If": ["D", 3, 4]}]) == [1, 2, 3, 4]
