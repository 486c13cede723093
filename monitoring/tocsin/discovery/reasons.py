"""Why a resource whose type is not in the catalog is not watched, in words that help.

What publishes metrics is taken from the AWS page "AWS services that publish CloudWatch metrics":
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/aws-services-cloudwatch-metrics.html
"""

from __future__ import annotations

NO_METRICS = "no metrics of its own"
NOT_YET = "not in the catalog yet"

_SETTING = f"{NO_METRICS}: a setting of another resource"
_PERMISSION = f"{NO_METRICS}: permissions"
_NETWORK = f"{NO_METRICS}: network layout"
_ALREADY = "it watches other resources itself"

# The longest prefix that fits counts; one without "::" at its end names exactly one type.
_FAMILIES = {
    "AWS::ApiGateway::": _SETTING,
    "AWS::ApiGatewayV2::": _SETTING,
    "AWS::AppConfig::": NO_METRICS,
    "AWS::ApplicationAutoScaling::": f"{NO_METRICS}: scaling rules",
    "AWS::AutoScaling::LaunchConfiguration": _SETTING,
    "AWS::AutoScaling::LifecycleHook": _SETTING,
    "AWS::AutoScaling::ScalingPolicy": f"{NO_METRICS}: scaling rules",
    "AWS::AutoScaling::ScheduledAction": f"{NO_METRICS}: scaling rules",
    "AWS::CDK::Metadata": f"{NO_METRICS}: a note of the CDK",
    "AWS::CloudFormation::Macro": NO_METRICS,
    "AWS::CloudFormation::WaitCondition": f"{NO_METRICS}: it only orders the deployment",
    "AWS::CloudFormation::WaitConditionHandle": f"{NO_METRICS}: it only orders the deployment",
    "AWS::CloudFront::CachePolicy": _SETTING,
    "AWS::CloudFront::CloudFrontOriginAccessIdentity": _PERMISSION,
    "AWS::CloudFront::OriginAccessControl": _PERMISSION,
    "AWS::CloudFront::OriginRequestPolicy": _SETTING,
    "AWS::CloudFront::ResponseHeadersPolicy": _SETTING,
    "AWS::CloudWatch::": _ALREADY,
    "AWS::CodeDeploy::": f"{NO_METRICS}: part of a delivery pipeline",
    "AWS::Cognito::IdentityPool": NO_METRICS,
    "AWS::Cognito::IdentityPoolRoleAttachment": _PERMISSION,
    "AWS::Cognito::UserPoolClient": _SETTING,
    "AWS::Cognito::UserPoolDomain": _SETTING,
    "AWS::EC2::": _NETWORK,
    "AWS::EC2::ClientVpnEndpoint": NOT_YET,
    "AWS::EC2::EC2Fleet": NOT_YET,
    "AWS::EC2::Host": NOT_YET,
    "AWS::EC2::Instance": NOT_YET,
    "AWS::EC2::KeyPair": _PERMISSION,
    "AWS::EC2::LaunchTemplate": _SETTING,
    "AWS::EC2::NatGateway": NOT_YET,
    "AWS::EC2::SpotFleet": NOT_YET,
    "AWS::EC2::TransitGateway": NOT_YET,
    "AWS::EC2::TransitGatewayAttachment": NOT_YET,
    "AWS::EC2::VPCEndpoint": NOT_YET,
    "AWS::EC2::VPNConnection": NOT_YET,
    "AWS::EC2::Volume": NOT_YET,
    "AWS::ECS::TaskDefinition": _SETTING,
    "AWS::EFS::AccessPoint": _SETTING,
    "AWS::EFS::MountTarget": _NETWORK,
    "AWS::ElastiCache::ParameterGroup": _SETTING,
    "AWS::ElastiCache::SubnetGroup": _NETWORK,
    "AWS::ElasticLoadBalancingV2::Listener": _SETTING,
    "AWS::ElasticLoadBalancingV2::ListenerCertificate": _SETTING,
    "AWS::ElasticLoadBalancingV2::ListenerRule": _SETTING,
    "AWS::Events::ApiDestination": _SETTING,
    "AWS::Events::Archive": _SETTING,
    "AWS::Events::Connection": _SETTING,
    "AWS::Events::EventBusPolicy": _PERMISSION,
    "AWS::Glue::Database": f"{NO_METRICS}: a catalog of tables",
    "AWS::Glue::Table": f"{NO_METRICS}: a catalog of tables",
    "AWS::IAM::": _PERMISSION,
    "AWS::KMS::": NO_METRICS,
    "AWS::Lambda::Alias": "its function's alarms count its invocations too",
    "AWS::Lambda::CodeSigningConfig": _SETTING,
    "AWS::Lambda::EventInvokeConfig": _SETTING,
    "AWS::Lambda::LayerVersion": f"{NO_METRICS}: code that functions share",
    "AWS::Lambda::LayerVersionPermission": _PERMISSION,
    "AWS::Lambda::Permission": _PERMISSION,
    "AWS::Lambda::Url": "its function's alarms count its invocations too",
    "AWS::Lambda::Version": "its function's alarms count its invocations too",
    "AWS::Logs::": f"{NO_METRICS} worth an alarm: what is logged shows in the alarms of who writes it",
    "AWS::RDS::DBClusterParameterGroup": _SETTING,
    "AWS::RDS::DBParameterGroup": _SETTING,
    "AWS::RDS::DBProxyEndpoint": "its proxy's alarms cover it",
    "AWS::RDS::DBProxyTargetGroup": _SETTING,
    "AWS::RDS::DBSecurityGroup": _PERMISSION,
    "AWS::RDS::DBSecurityGroupIngress": _PERMISSION,
    "AWS::RDS::DBSubnetGroup": _NETWORK,
    "AWS::RDS::EventSubscription": _ALREADY,
    "AWS::RDS::OptionGroup": _SETTING,
    "AWS::ResourceGroups::": NO_METRICS,
    "AWS::Route53::HostedZone": NOT_YET,
    "AWS::Route53::RecordSet": f"{NO_METRICS}: a name of another resource",
    "AWS::Route53::RecordSetGroup": f"{NO_METRICS}: names of other resources",
    "AWS::S3::AccessPoint": _PERMISSION,
    "AWS::S3::BucketPolicy": _PERMISSION,
    "AWS::SNS::Subscription": "its topic's alarms count what cannot be delivered",
    "AWS::SNS::TopicPolicy": _PERMISSION,
    "AWS::SQS::QueueInlinePolicy": _PERMISSION,
    "AWS::SQS::QueuePolicy": _PERMISSION,
    "AWS::SSM::Document": NO_METRICS,
    "AWS::SSM::Parameter": f"{NO_METRICS}: a value that others read",
    "AWS::Scheduler::ScheduleGroup": f"{NO_METRICS} apart from its schedules",
    "AWS::SecretsManager::": NO_METRICS,
    "AWS::Serverless::Application": "a nested application: run Tocsin on its own template",
    "AWS::Serverless::Connector": _PERMISSION,
    "AWS::Serverless::LayerVersion": f"{NO_METRICS}: code that functions share",
    "AWS::ServiceDiscovery::": f"{NO_METRICS}: names of other resources",
}


def why_unwatched(type_name: str) -> str:
    """The reason for a type that the catalog does not hold."""
    if not type_name:
        return "it has no Type, so CloudFormation would refuse it"
    if type_name == "AWS::CloudFormation::Stack":
        return "a nested stack: run Tocsin on its own template"
    if type_name == "AWS::CloudFormation::CustomResource" or type_name.startswith("Custom::"):
        return "a custom resource: only its own code knows what it makes; the function behind it can be watched"
    if type_name.endswith("::MODULE"):
        return "a module: run Tocsin on the template that CloudFormation makes of it (aws cloudformation get-template)"
    if not type_name.startswith("AWS::"):
        return f"not a type of AWS; {NOT_YET}"
    service = type_name.rpartition("::")[0] + "::"
    return _FAMILIES.get(type_name) or _FAMILIES.get(service, NOT_YET)
