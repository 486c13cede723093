"""The addresses in an alert: the alarm in the console, and the dashboard around the moment its state changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

#: What a dashboard shows from: the longest burn-rate window of the severity before the change of state.
_BEFORE = {"page": timedelta(hours=6), "ticket": timedelta(days=3)}
_BEFORE_UNKNOWN = timedelta(hours=3)
_AFTER = timedelta(minutes=10)

# Partition → domain of the console.  AWS General Reference; China regions and GovCloud have consoles of their own.
_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}


def console_address(name: str, region: str, partition: str = "aws") -> str:
    """The alarm in the CloudWatch console; its name is encoded as JavaScript's encodeURIComponent does it."""
    if not region:
        return ""
    domain = _CONSOLES.get(partition, _CONSOLES["aws"])
    alarm = quote(name, safe="!~*'()")
    return f"https://{region}.{domain}/cloudwatch/home?region={region}#alarmsV2:alarm/{alarm}"


def dashboard_address(address: str, severity: str, changed_at: datetime, state: str) -> str:
    """The dashboard around the change of state, in Grafana's ``from`` and ``to`` (milliseconds); to now while it lasts."""
    if not address:
        return ""
    begin = changed_at - _BEFORE.get(severity, _BEFORE_UNKNOWN)
    end = "now" if state == "ALARM" else str(_milliseconds(changed_at + _AFTER))
    parts = urlsplit(address)
    span = urlencode({"from": _milliseconds(begin), "to": end})
    return urlunsplit(parts._replace(query=f"{parts.query}&{span}" if parts.query else span))


def shows_moment(address: str, expected: str, moment: datetime) -> bool:
    """Whether a dashboard's address is the expected one with a time range that holds the moment."""
    span = parse_qs(urlsplit(address).query)
    try:
        begin, end = span["from"][0], span["to"][0]
        held = int(begin) <= _milliseconds(moment) and (end == "now" or int(end) >= _milliseconds(moment))
    except (KeyError, ValueError):
        return False
    return held and address.partition("?")[0] == expected.partition("?")[0]


def _milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
