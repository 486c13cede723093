"""How a dashboard finds the physical names that only a deployment knows."""

from __future__ import annotations

import re

import pytest
from dashboard_systems import checkout, function, panels

from tocsin.cloudformation.symbolic import Symbolic
from tocsin.model import Resource, System
from tocsin.plan import plan
from tocsin.render.dashboards import slo_overview, system_dashboard


def variables(*resources: Resource, name: str = "checkout"):
    dashboard = system_dashboard(plan(System(name, "payments", resources)))
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def found_by(dashboard_variables, name: str, listed: list[str], **values: str) -> list[str]:
    """What Grafana offers for a variable: the captured part of every value that the pattern finds."""
    pattern = re.fullmatch(r"/(.*)/i", dashboard_variables[name]["regex"])
    assert pattern is not None
    text = re.sub(r"\$\{(\w+):regex\}", lambda found: re.escape(values[found[1]]), pattern[1])
    hits = [hit for value in listed if (hit := re.search(text, value, re.IGNORECASE))]
    return [hit[1] if hit.re.groups else hit[0] for hit in hits]


def matches(found, value: str, stack: str) -> bool:
    return bool(found_by(found, "OrdersName", [value], Stack=stack))


def written(*resources: Resource, name: str = "checkout") -> set[str]:
    """The values of all dimensions, as the dashboard writes them."""
    dashboard = system_dashboard(plan(System(name, "payments", resources)))
    return {
        value
        for item in panels(dashboard)
        for target in item["targets"]
        for values in target["dimensions"].values()
        for value in values
    }


def test_a_stated_name_is_kept_in_a_hidden_box_and_asks_nobody():
    found = variables(function("Billing", FunctionName="billing"))

    assert found["BillingName"]["type"] == "textbox"
    assert found["BillingName"]["query"] == "billing"
    assert found["BillingName"]["hide"] == 2
    assert "Stack" not in found


@pytest.mark.parametrize(
    ("logical_id", "value", "found"),
    [
        ("Orders", "prod-checkout-Orders-1A2B3C4D5E6F", ["Orders-1A2B3C4D5E6F"]),
        ("Orders", "prod-shipping-Orders-1A2B3C4D5E6F", []),
        ("Orders", "dev-prod-checkout-Orders-1A2B3C4D5E6F", []),
        ("Orders", "prod-checkout-eu-Orders-1A2B3C4D5E6F", []),
        ("Orders", "prod-checkout-OldOrders-1A2B3C4D5E6F", []),
        ("Orders", "prod-checkout-OrdersReader-1A2B3C4D5E6F", []),
        ("Orders", "prod-checkout-orders-1a2b3c4d5e6f", ["orders-1a2b3c4d5e6f"]),
        (
            "FindDailyNotificationsOfUsers",
            "prod-checkout-FindDailyNotificationsOf-1A2B3C",
            ["FindDailyNotificationsOf-1A2B3C"],
        ),
        ("FindDailyNotificationsOfUsers", "prod-checkout-FindWeekly-1A2B3C", []),
    ],
)
def test_an_unnamed_resource_is_found_by_the_name_cloudformation_makes(logical_id, value, found):
    all_variables = variables(function(logical_id))
    variable = all_variables[f"{logical_id}Name"]

    assert variable["type"] == "query"
    assert variable["hide"] == 2
    assert variable["refresh"] == 2
    assert variable["query"]["dimensionKey"] == "FunctionName"
    assert variable["query"]["metricName"] == "Invocations"
    assert found_by(all_variables, f"{logical_id}Name", [value], Stack="prod-checkout") == found


def test_what_is_not_found_leaves_no_empty_dimension_which_cloudwatch_would_refuse_with_the_whole_panel():
    surroundings: dict[str, Resource] = {}
    queue = Resource("AWS::SQS::Queue", "Dead", role="dlq", surroundings=surroundings)
    api = Resource(
        "AWS::ApiGateway::RestApi", "Api", properties={"Name": Symbolic("${AWS::StackName}")}, surroundings=surroundings
    )
    surroundings |= {"Api": api}
    stage = Resource(
        "AWS::ApiGateway::Stage",
        "Live",
        properties={"RestApiId": Symbolic("${Api}"), "StageName": "live"},
        surroundings=surroundings,
    )
    database = Resource(
        "AWS::RDS::DBInstance", "Data", properties={"Engine": "postgres", "DBInstanceClass": "db.t3.micro"}
    )
    named = function("Orders", FunctionName=Symbolic("${Stage}-orders"))
    unknown = function("Other", FunctionName=Symbolic("${Name}"))
    resources = (queue, api, stage, database, named, unknown)
    found = variables(*resources)
    assert {"${Stack}-${DeadName}", "${Stack}", "${DataName}", "${OrdersName}-orders", "${OtherName}"} <= written(
        *resources
    )
    for text in written(*resources):
        while_nothing_is_found = re.sub(r"\$\{(\w+)\}", lambda name: found[name[1]].get("allValue", ""), text)
        assert while_nothing_is_found
        assert all(found[name]["includeAll"] == ("allValue" in found[name]) for name in re.findall(r"\{(\w+)\}", text))


def test_a_name_of_the_stacks_name_alone_is_not_looked_up():
    orders = function("Orders", FunctionName=Symbolic("${AWS::StackName}-orders"))
    found = variables(orders)

    assert "OrdersName" not in found
    assert "${Stack}-orders" in written(orders)
    assert found_by(found, "Stack", ["prod-checkout-orders", "prod-checkout-bills"], StackPart="checkout") == [
        "prod-checkout"
    ]


def test_names_without_capitals_are_looked_up_whole_because_the_stack_may_have_some():
    database = Resource(
        "AWS::RDS::DBInstance", "Data", properties={"Engine": "postgres", "DBInstanceClass": "db.t3.micro"}
    )
    found = variables(database)

    assert "${DataName}" in written(database)
    listed = ["prod-checkout-data-a1b2", "prod-shipping-data-a1b2"]
    assert found_by(found, "DataName", listed, Stack="Prod-Checkout") == ["prod-checkout-data-a1b2"]


@pytest.mark.parametrize(
    ("stated", "value", "found"),
    [
        ("${Stage}-orders.v1", "prod-orders.v1", True),
        ("${Stage}-orders.v1", "prod-orders-v1", False),
        ("${Stage}-orders", "prod-orders-old", False),
        ("${AWS::StackName}-${Stage}-orders", "prod-checkout-x-orders", True),
        ("${AWS::StackName}-${Stage}-orders", "prod-shipping-x-orders", False),
        ("${Stage}-${AWS::StackName}", "x-prod-checkout", True),
        ("${Stage}-${AWS::StackName}", "x-prod-shipping", False),
    ],
)
def test_a_name_with_placeholders_is_its_own_pattern(stated, value, found):
    orders = function("Orders", FunctionName=Symbolic(stated))
    all_variables = variables(orders)

    assert matches(all_variables, value, "prod-checkout") is found
    if found:
        (text,) = written(orders)
        (part,) = found_by(all_variables, "OrdersName", [value], Stack="prod-checkout")
        assert text.replace("${OrdersName}", part).replace("${Stack}", "prod-checkout") == value


def test_where_the_template_tells_nothing_the_reader_chooses():
    found = variables(function("Orders", FunctionName=Symbolic("${Name}")))

    assert found["OrdersName"]["hide"] == 0
    assert matches(found, "anything", "checkout")


def test_the_stacks_of_one_account_are_offered_and_the_usual_one_is_taken():
    found = variables(function("Orders"), name="data_pipeline")
    listed = [
        f"{stack}-Orders-1A2B3C4D5E6F"
        for stack in ("data-pipeline-dev", "data-pipeline-prod", "billing-data-pipeline", "shop")
    ]

    assert found["StackPart"]["query"] == "data-pipeline"
    assert (found["StackPart"]["hide"], found["Stack"]["hide"]) == (0, 0)
    offered = found_by(found, "Stack", listed, StackPart="data-pipeline")
    assert offered == ["data-pipeline-dev", "data-pipeline-prod", "billing-data-pipeline"]
    assert found_by(found, "Stack", listed, StackPart="") == [*offered, "shop"]
    assert found["Stack"]["current"]["value"] == "data-pipeline-prod"


def test_the_stack_is_told_by_what_always_has_metrics_and_a_name_that_is_whole():
    resources = (
        Resource("AWS::SQS::Queue", "Alpha"),
        function("BetaWithANameThatIsTooLongToBeWhole"),
        function("Gamma"),
    )

    assert "-(?:Gamma-" in variables(*resources)["Stack"]["regex"]


def test_each_system_of_the_overview_has_a_stack_of_its_own_to_choose():
    found = {variable["name"]: variable for variable in slo_overview([checkout()])["templating"]["list"]}
    names = list(found)

    assert names[:3] == ["cloudwatch_datasource", "region", "Environment"]
    assert set(names[3:]) == {
        "CheckoutStack",
        "CheckoutStackPart",
        "CheckoutOrdersName",
        "CheckoutBillingName",
        "CheckoutNightlyName",
    }
    assert found["CheckoutStack"]["hide"] == 0
    assert found["Environment"]["hide"] == 2


def test_following_a_link_keeps_stack_and_environment():
    overview = slo_overview([checkout()])
    down = {
        entry["value"][0]["url"]
        for item in panels(overview)
        for override in item["fieldConfig"]["overrides"]
        for entry in override["properties"]
        if entry["id"] == "links"
    }
    (up,) = [link["url"] for link in system_dashboard(checkout())["links"] if link["title"] == "SLO overview"]

    assert all(url.endswith("&var-Stack=${CheckoutStack}") for url in down)
    assert up.endswith("&var-CheckoutStack=${Stack}")
    assert all("${Environment:queryparam}" in url for url in (up, *down))


def test_two_names_of_one_metric_do_not_wait_for_each_other():
    surroundings: dict[str, Resource] = {}
    api = Resource(
        "AWS::ApiGateway::RestApi", "Api", properties={"Name": Symbolic("${Stage}-api")}, surroundings=surroundings
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
