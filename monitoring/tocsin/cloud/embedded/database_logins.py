"""Who may log in to an RDS instance: whether TLS is demanded, and whether an IAM token lets a database user in.

A token is a presigned ``rds-db:connect`` request: made for this host, port and user, at most 15 minutes old, signed
with credentials that IAM or STS gave out.  Where IAM is enforced the caller's policies must allow ``rds-db:connect`` on
``arn:aws:rds-db:<region>:<account>:dbuser:<DbiResourceId>/<user>``.
Source: Amazon RDS user guide, "IAM database authentication for MariaDB, MySQL, and PostgreSQL".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from .base import core, scope, service

_TLS_BY_DEFAULT_SINCE = 15
"""The default parameter groups have rds.force_ssl = 1 from this major version on."""
_ENDLESS_SECONDS = 365 * 86400
Owner = tuple[str, str]


def needs_tls(owner: Owner, identifier: str) -> bool:
    """True if the instance's parameter group has rds.force_ssl on, or its version by default."""
    rds = service("rds")
    record: Mapping[str, Any] = rds._instances.get_scoped(*owner, identifier) or {}
    for group in record.get("DBParameterGroups") or ():
        found = rds._param_groups.get_scoped(*owner, group.get("DBParameterGroupName", "")) or {}
        value = ((found.get("Parameters") or {}).get("rds.force_ssl") or {}).get("ParameterValue")
        if value is not None:
            return str(value).lower() in ("1", "true", "on")
    major = str(record.get("EngineVersion") or "").partition(".")[0]
    return not major.isdigit() or int(major) >= _TLS_BY_DEFAULT_SINCE


def refusal(owner: Owner, identifier: str, user: str, token: str, *, enforced: bool) -> str | None:
    """Why the token does not let ``user`` in, in a few words without the token; None if it does."""
    account, region = owner
    record = service("rds")._instances.get_scoped(account, region, identifier)
    if record is None or not record.get("IAMDatabaseAuthenticationEnabled"):
        return "IAM database authentication is not enabled on the instance"
    tokens = core("rds_iam")
    _date_session(token)
    with scope(account, region):
        endpoint = record["Endpoint"]
        verified = tokens.verify_rds_iam_token(
            token, hostname=endpoint["Address"], port=int(endpoint["Port"]), db_user=user, region=region, account_id=account
        )  # fmt: skip
        if isinstance(verified, tokens.RdsIamTokenError):
            return f"the token is not accepted: {verified.code}"
        if not enforced:
            return None
        resource = f"arn:aws:rds-db:{region}:{account}:dbuser:{record['DbiResourceId']}/{user}"
        principal = tokens.resolve_principal(verified.access_key_id, account)
        if isinstance(principal, tokens.AuthError):
            return "the credentials are not known any more"
        if principal.policies is None:  # the account's root
            return None
        context = tokens.EvalContext(
            principal_arn=principal.arn, principal_type=principal.type, principal_account=account,
            action="rds-db:connect", resource_arn=resource, region=region, principal_keys=principal.keys,
        )  # fmt: skip
        if tokens.evaluate(context, principal.policies, *principal.limits).decision != "Allow":
            return f"{principal.arn} is not authorized to perform: rds-db:connect on resource: {resource}"
    return None


def _date_session(token: str) -> None:
    """ministack gives the sessions of functions no end, and accepts tokens only of sessions that have one."""
    key = parse_qs(token.partition("?")[2]).get("X-Amz-Credential", [""])[0].partition("/")[0]
    session = service("sts")._sessions.get(key)
    if session is not None and session.get("Expiration") is None:
        session["Expiration"] = time.time() + _ENDLESS_SECONDS
