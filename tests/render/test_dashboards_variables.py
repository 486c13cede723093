"""How a dashboard finds the physical names that only a deployment knows."""

from __future__ import annotations

import re

import pytest
from dashboard_systems import checkout, function

from tocsin.cloudformation.symbolic import Symbolic
from tocsin.model import Resource, System
from tocsin.plan import plan
from tocsin.render.dashboards import slo_overview, system_dashboard


def variables(*resources: Resource, name: str = "checkout"):
    dashboard = system_dashboard(plan(System(name, "payments", resources)))
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def matches(variable, value: str, stack: str) -> bool:
    """Grafana puts the stack filter into the pattern, escaped, and tests every value with it."""
    pattern = re.fullmatch(r"/(.*)/i", variable["regex"].replace("${Stack:regex}", re.escape(stack)))
    assert pattern is not None
    return re.match(pattern[1], value, re.IGNORECASE) is not None


def test_a_stated_name_is_kept_in_a_hidden_box_and_asks_nobody():
    found = variables(function("Billing", FunctionName="billing"))

    assert found["BillingName"]["type"] == "textbox"
    assert found["BillingName"]["query"] == "billing"
    assert found["BillingName"]["hide"] == 2
    assert "Stack" not in found


@pytest.mark.parametrize(
    ("logical_id", "value", "stack", "found"),
    [
        ("Orders", "prod-checkout-Orders-1A2B3C4D5E6F", "checkout", True),
        ("Orders", "prod-checkout-Orders-1A2B3C4D5E6F", "", True),
        ("Orders", "prod-shipping-Orders-1A2B3C4D5E6F", "checkout", False),
        ("Orders", "prod-checkout-OldOrders-1A2B3C4D5E6F", "checkout", False),
        ("Orders", "prod-checkout-OrdersReader-1A2B3C4D5E6F", "checkout", False),
        ("Orders", "prod-checkout-orders-1a2b3c4d5e6f", "checkout", True),
        ("Orders", "dev-checkout-Orders-1A2B3C4D5E6F", "prod-checkout", False),
        ("FindDailyNotificationsOfUsers", "prod-checkout-FindDailyNotificationsOf-1A2B3C", "checkout", True),
        ("FindDailyNotificationsOfUsers", "prod-checkout-FindWeekly-1A2B3C", "checkout", False),
    ],
)
def test_an_unnamed_resource_is_found_by_the_name_cloudformation_makes(logical_id, value, stack, found):
    variable = variables(function(logical_id))[f"{logical_id}Name"]

    assert variable["type"] == "query"
    assert variable["hide"] == 2
    assert variable["refresh"] == 2
    assert variable["query"]["dimensionKey"] == "FunctionName"
    assert variable["query"]["metricName"] == "Invocations"
    assert matches(variable, value, stack) is found


@pytest.mark.parametrize(
    ("stated", "value", "found"),
    [
        ("${Stage}-orders.v1", "prod-orders.v1", True),
        ("${Stage}-orders.v1", "prod-orders-v1", False),
        ("${Stage}-orders", "prod-orders-old", False),
        ("${AWS::StackName}-orders", "prod-checkout-orders", True),
        ("${AWS::StackName}-orders", "prod-shipping-orders", False),
    ],
)
def test_a_name_with_placeholders_is_its_own_pattern(stated, value, found):
    variable = variables(function("Orders", FunctionName=Symbolic(stated)))["OrdersName"]

    assert matches(variable, value, "checkout") is found


def test_where_the_template_tells_nothing_the_reader_chooses():
    variable = variables(function("Orders", FunctionName=Symbolic("${Name}")))["OrdersName"]

    assert variable["hide"] == 0
    assert matches(variable, "anything", "checkout")


def test_the_stack_filter_begins_with_the_systems_name_as_a_stack_can_have_it():
    found = variables(function("Orders"), name="data_pipeline")

    assert found["Stack"]["query"] == "data-pipeline"
    assert found["Stack"]["hide"] == 0


def test_each_system_of_the_overview_has_a_filter_of_its_own():
    names = [variable["name"] for variable in slo_overview([checkout()])["templating"]["list"]]

    assert names[:2] == ["cloudwatch_datasource", "region"]
    assert set(names[2:]) == {"CheckoutStack", "CheckoutOrdersName", "CheckoutBillingName", "CheckoutNightlyName"}


def test_two_names_of_one_metric_do_not_wait_for_each_other():
    surroundings: dict[str, Resource] = {}
    api = Resource(
        "AWS::ApiGateway::RestApi", "Api", properties={"Name": Symbolic("${AWS::StackName}")}, surroundings=surroundings
    )
    stage = Resource(
        "AWS::ApiGateway::Stage",
        "Live",
        properties={"RestApiId": Symbolic("${Api}"), "StageName": Symbolic("${Stage}")},
        surroundings=surroundings,
    )
    surroundings |= {"Api": api, "Live": stage}
    found = variables(api, stage)
    names = [name for name in found if name.endswith("Name")]
    waits = {
        name: {other for other in names if f"${{{other}}}" in str(found[name]["query"]["dimensionFilters"])}
        for name in names
    }

    assert "ApiName" in names
    assert not any(name in waits[other] for name in names for other in waits[name])
    assert all(waits[name] <= {"ApiName"} for name in names)
    assert waits["ApiName"] == set()
