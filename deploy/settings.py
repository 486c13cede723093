"""What an environment's settings must not be: found out from the file alone, before AWS is asked for anything."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from deploy.delivery.stack import LONGEST_ENVIRONMENT
from tocsin.cloud.committed import CommittedTemplate
from tocsin.cloud.environments import Environment, FromVariable, Setting
from tocsin.errors import InputError

PLACEHOLDER_ACCOUNT = re.compile(r"([1-9])\1{11}")
PLACEHOLDER_OWNER = "example/"
VISIBILITY_FACTOR = 6  # AWS Lambda Developer Guide, "Using Lambda with Amazon SQS"


def refuse_environment(environment: Environment) -> None:
    """Raise InputError for a name that is too long, for the account of the example, and for a protected one without any.

    The longest name that is generated is that of a role, ``<environment>-notification-FindDailyNotificationsRole-`` and
    13 letters of CloudFormation's: of IAM's 64 characters it leaves 10.  CloudFormation would cut a longer one, and no
    policy that names roles by how they begin would match.  The bucket's name would pass S3's 63 a little later.
    """
    if len(environment.name) > LONGEST_ENVIRONMENT:
        raise InputError(
            f"{environment.path}: {environment.name}: an environment's name has at most {LONGEST_ENVIRONMENT} characters, "
            "because the names of buckets, roles and functions begin with it; choose a shorter one"
        )
    if environment.protected and environment.account is None:
        raise InputError(
            f"{environment.path}: {environment.name}.account is missing: a protected environment says whose it is, so that the "
            "credentials of another account do not reach it; state it"
        )
    if environment.account is not None and PLACEHOLDER_ACCOUNT.fullmatch(environment.account):
        raise InputError(
            f"{environment.path}: {environment.name}.account: {environment.account} is a placeholder; put the id of your "
            "own account there"
        )


def refuse_delivery(
    environment: Environment,
    where: str,
    file: CommittedTemplate,
    configured: Mapping[str, Setting],
    given: Mapping[str, str],
) -> None:
    """Raise InputError for who must not get the delivery role: the example's repository, or any job of a GitLab branch.

    ``where`` is the dotted key of ``configured`` in the environment's file; ``given`` goes before it.
    """
    values = _values(file, configured, given)
    for name in ("GitHubRepository", "GitLabProject"):
        if values.get(name, "").startswith(PLACEHOLDER_OWNER):
            raise InputError(
                f"{environment.path}: {where}.{name}: {values[name]} is a placeholder, and whoever owns that name could "
                "deploy; put your own repository there, or nothing"
            )
    if environment.protected and values.get("GitLabProject") and not values.get("GitLabClaims"):
        raise InputError(
            f"{environment.path}: {where}.GitLabClaims is missing: without it every job of the branch could deploy the "
            f"protected environment {environment.name}; see deploy/delivery/README.md"
        )


def refuse_notification(
    environment: Environment,
    where: str,
    file: CommittedTemplate,
    configured: Mapping[str, Setting],
    given: Mapping[str, str],
) -> None:
    """Raise InputError for times of the queue that Lambda refuses, and where nobody says who may be any user."""
    values = _values(file, configured, given)
    hidden, most = values.get("GenerateVisibilitySeconds", ""), values.get("GenerateTimeoutSeconds", "")
    if hidden.isdecimal() and most.isdecimal() and int(hidden) < VISIBILITY_FACTOR * int(most):
        raise InputError(
            f"{environment.path}: {where}.GenerateVisibilitySeconds: {hidden} is less than {VISIBILITY_FACTOR} times "
            f"GenerateTimeoutSeconds ({most}); state at least {VISIBILITY_FACTOR * int(most)}"
        )
    signed = values.get("ApiAuthorization") == "AWS_IAM"
    if environment.protected and signed and not values.get("IdentityLayerArn", "named later"):
        raise InputError(
            f"{environment.path}: {where}.IdentityLayerArn is missing: without it whoever may assume roles in the account "
            f"could read as any user of the protected environment {environment.name}; name the identity layer's role there"
        )


def _values(file: CommittedTemplate, configured: Mapping[str, Setting], given: Mapping[str, str]) -> Mapping[str, str]:
    """The values of parameters as far as the files and the command line tell."""
    found = {}
    for parameter in file.parameters.values():
        value: Setting | None = given.get(parameter.name, configured.get(parameter.name, parameter.default))
        if isinstance(value, FromVariable):
            value = os.environ.get(value.variable)
        if value is not None:
            found[parameter.name] = str(value)
    return found
