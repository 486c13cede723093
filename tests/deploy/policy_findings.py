"""What parliament and cloudsplaining find in policies; run by the Python of .venv-lint, JSON in and JSON out.

In: a list of {"at", "kind", "document"}.  Out: a list of {"tool", "check", "at", "about", "text"}.
"""

import json
import sys
import warnings

warnings.simplefilter("ignore")  # parliament imports pkg_resources, which warns of its end

from cloudsplaining.scan.policy_document import PolicyDocument  # noqa: E402
from cloudsplaining.scan.resource_policy_document import ResourcePolicyDocument  # noqa: E402
from parliament import analyze_policy_string, enhance_finding  # noqa: E402

# parliament asks every statement for a Resource; a trust policy has none, so it gets the one thing it is about.
TRUST_RESOURCE = "arn:aws:iam::111122223333:role/itself"


def parliament(policy):
    """Each finding, one for each action it is about."""
    document = json.loads(json.dumps(policy["document"]))
    if policy["kind"] == "trust":
        for statement in document["Statement"]:
            statement["Resource"] = TRUST_RESOURCE
    for finding in analyze_policy_string(json.dumps(document)).findings:
        enhance_finding(finding)
        detail = finding.detail
        abouts = [""]
        if finding.issue == "UNKNOWN_CONDITION_FOR_ACTION":  # "Unknown condition KEY for action ACTION"
            abouts = [detail.split()[2]]
        if isinstance(detail, list):
            abouts = [item["action"] if isinstance(item, dict) else item for item in detail]
        for about in abouts:
            yield finding.issue, about, f"{finding.title.strip()} {detail if abouts == [''] and detail else ''}".strip()


def cloudsplaining(policy):
    """Each risk, one for each action it is about."""
    if policy["kind"] == "identity":
        document = PolicyDocument(policy["document"])
        lists = {
            "InfrastructureModification": document.infrastructure_modification,
            "PermissionsManagement": document.permissions_management_without_constraints,
            "DataExfiltration": document.allows_data_exfiltration_actions,
            "CredentialsExposure": document.credentials_exposure,
            "ServiceWildcard": document.service_wildcard,
        }
        for escalation in document.allows_privilege_escalation:
            yield "PrivilegeEscalation", escalation["type"], " and ".join(escalation["actions"])
        for statement in document.contains_statement_using_not_action:
            if statement.get("Effect") == "Allow":
                yield "NotAction", "", "allows everything but the actions named"
    else:
        lists = {"InternetAccessible": ResourcePolicyDocument(policy["document"]).internet_accessible_actions}
    for check, actions in lists.items():
        for action in actions:
            yield check, action, ""


found = []
for policy in json.load(sys.stdin):
    for tool in (parliament, cloudsplaining):
        for check, about, text in tool(policy):
            found.append({"tool": tool.__name__, "check": check, "at": policy["at"], "about": about, "text": text})
json.dump(found, sys.stdout)
