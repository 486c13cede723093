"""What all on-call tools share: whose key a secret holds, and whose alarm an alert tells of."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tocsin.paging.tool import Delivery, KeyNotToldError, ToolAlert

KEY = "0b1f6d52-1111-4222-8333-444455556666"
EU = "https://api.eu.opsgenie.com"
JIRA = "https://api.atlassian.com/jsm/ops/integration"


@pytest.mark.parametrize(
    ("address", "endpoint", "key", "ours"),
    [
        (f"{EU}/v1/json/cloudwatch", f"{EU}/v1/json/cloudwatch?apiKey={KEY}", KEY, True),
        (f"{EU}/v1/json/cloudwatch", f"https://api.opsgenie.com/v1/json/cloudwatch?apiKey={KEY}", KEY, False),
        (f"{EU}/v1/json/cloudwatch", f"{EU}/v2/alerts", KEY, False),
        (f"{EU}/v1/json/cloudwatch", f"{JIRA}/v1/json/cloudwatch?apiKey={KEY}", KEY, False),
        (f"{JIRA}/v1/json/cloudwatch", f"{JIRA}/v1/json/cloudwatch?apiKey={KEY}", KEY, True),
        (f"{JIRA}/v1/json/cloudwatch", f"{EU}/v1/json/cloudwatch?apiKey={KEY}", KEY, False),
        (f"{JIRA}/v1/json/cloudwatch", "https://events.pagerduty.com/integration/k/enqueue", KEY, False),
        (f"{EU}/v2/alerts", f"{EU}/v2/alerts", KEY, True),
        (f"{EU}/v2/alerts", f"{EU}/v2/alerts", "", False),
        (f"{EU}/v2/heartbeats/tocsin-shop-prod/ping", f"{EU}/v2/heartbeats/tocsin-shop-qa/ping", KEY, False),
        (f"{EU}/v2/alerts", "", "", False),
    ],
)
def test_a_secret_counts_while_it_goes_to_where_the_tool_is(address: str, endpoint: str, key: str, ours: bool) -> None:
    assert KeyNotToldError("untold", address).is_of(Delivery(endpoint, key=key)) is ours


@pytest.mark.parametrize(
    ("details", "description", "owner"),
    [
        ({"owner": "search"}, "Owner: payments", "search"),
        ({"Owner": "search"}, "", "search"),
        ({"region": "eu-west-1"}, "x.\nSeverity: page. Owner: payments. System: shop.", "payments"),
        # People's words come before the lines that are generated.
        ({}, "Owner: nobody.\nSeverity: page. Owner: payments. System: shop.", "payments"),
        ({}, "no such line", ""),
    ],
)
def test_the_owner_of_an_alert_is_the_alarms(details: dict[str, str], description: str, owner: str) -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    alert = ToolAlert("1", "a", True, True, "m", description, "P1", (), details, now, None, 1)
    assert alert.owner == owner
