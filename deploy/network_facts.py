"""What the network needs from EC2 and a template cannot say: AWS's lists of addresses, and the group that EC2 makes itself."""

from __future__ import annotations

from collections.abc import Mapping

from tocsin.cloud.session import Cloud, asking
from tocsin.errors import CloudError

# Parameter of network.yaml -> service whose addresses AWS keeps as a list in every region.
_LISTS = {"S3PrefixListId": "s3", "DynamoDbPrefixListId": "dynamodb"}


def prefix_lists(cloud: Cloud) -> Mapping[str, str]:
    """The ids of the lists of addresses that the network lets traffic out to, by parameter.  Raises CloudError."""
    names = {parameter: f"com.amazonaws.{cloud.region}.{service}" for parameter, service in _LISTS.items()}
    with asking("look up AWS's prefix lists"):
        answer = cloud.client("ec2").describe_managed_prefix_lists(
            Filters=[{"Name": "prefix-list-name", "Values": sorted(names.values())}]
        )
    ids = {found["PrefixListName"]: str(found["PrefixListId"]) for found in answer["PrefixLists"]}
    missing = sorted(name for name in names.values() if name not in ids)
    if missing:
        raise CloudError(f"region {cloud.region} has no prefix list {' and no '.join(missing)}; use another region")
    return {parameter: ids[name] for parameter, name in sorted(names.items())}


def close_default_group(cloud: Cloud, group: str) -> int:
    """Take every rule from the security group that EC2 made with the network; returns how many there were.

    Nothing is in the group, but whoever forgets to name a group would be.  A template cannot change what it did not
    create.  Raises CloudError.
    """
    ec2 = cloud.client("ec2")
    with asking(f"close the default security group {group}"):
        rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])[
            "SecurityGroupRules"
        ]
        outward = [rule["SecurityGroupRuleId"] for rule in rules if rule["IsEgress"]]
        inward = [rule["SecurityGroupRuleId"] for rule in rules if not rule["IsEgress"]]
        if outward:
            ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=outward)
        if inward:
            ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=inward)
    return len(rules)
