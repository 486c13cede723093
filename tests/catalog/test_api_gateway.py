"""REST and HTTP APIs: alarmed once, per stage where there is one, on the dimensions that are published."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from catalog_stacks import dimensions, offer, only, reason, ref, stack

from tocsin.catalog import CATALOG
from tocsin.catalog.entry import NameSource
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.errors import DeclarationError
from tocsin.model import SliKind

REST, REST_STAGE = "AWS::ApiGateway::RestApi", "AWS::ApiGateway::Stage"
HTTP, HTTP_STAGE = "AWS::ApiGatewayV2::Api", "AWS::ApiGatewayV2::Stage"
SYMPTOMS = ("server-errors", "client-errors", "latency")


def rest(**others):
    return stack(Api=(REST, {"Name": "orders"}), **others)


def rest_stage(name="prod", api=None):
    return (REST_STAGE, {"RestApiId": api or ref("Api"), "StageName": name})


def http(protocol="HTTP", **others):
    return stack(Api=(HTTP, {"Name": "orders", "ProtocolType": protocol}), **others)


def http_stage(name="$default", api=None):
    return (HTTP_STAGE, {"ApiId": api or ref("Api"), "StageName": name})


def function(timeout=None):
    return ("AWS::Lambda::Function", {} if timeout is None else {"Timeout": timeout})


def method(uri=None, **integration):
    return ("AWS::ApiGateway::Method", {"RestApiId": ref("Api"), "Integration": {"Uri": uri, **integration}})


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_a_stage_is_alarmed_under_its_api_and_its_name(symptom):
    stacks = rest(Prod=rest_stage())
    assert dimensions(only(stacks["Prod"], f"rest-api-{symptom}")) == {"ApiName": "${ApiName}", "Stage": "prod"}
    assert reason(stacks["Api"], f"rest-api-{symptom}") == "alarmed per stage: Prod"
    assert CATALOG[REST].panels(stacks["Api"]) == ()


def test_a_stage_name_that_only_a_deployment_knows_is_a_parameter():
    stage = rest(Prod=rest_stage(Symbolic("${Environment}")))["Prod"]
    assert dimensions(only(stage, "rest-api-server-errors"))["Stage"] == "${ProdName}"


@pytest.mark.parametrize("kind", [REST, "AWS::Serverless::Api"])
def test_an_api_without_a_stage_of_its_own_is_alarmed_over_all_stages(kind):
    api = stack(Api=(kind, {"Name": "orders"}))["Api"]
    for symptom in SYMPTOMS:
        assert dimensions(only(api, f"rest-api-{symptom}")) == {"ApiName": "${ApiName}"}
    assert CATALOG[kind].name_source is NameSource.REST_API_NAME


def test_no_name_holds_an_unresolved_token_when_no_stage_is_given():
    """Names come from logical ids alone, so they do not change with unrelated code."""
    condition = only(rest()["Api"], "rest-api-latency")
    assert dimensions(condition) == {"ApiName": "${ApiName}"}


@pytest.mark.parametrize("api", ["a1b2c3", Symbolic("${SharedApi}"), ref("Table"), None])
def test_a_rest_stage_of_an_api_elsewhere_is_not_watched_and_says_why(api):
    properties = {"StageName": "prod", **({"RestApiId": api} if api is not None else {})}
    stage = stack(Prod=(REST_STAGE, properties), Table=("AWS::DynamoDB::Table", {}))["Prod"]
    assert "its API is not in the template" in (CATALOG[REST_STAGE].unwatched(stage) or "")
    for symptom in SYMPTOMS:
        assert "its API is not in the template" in reason(stage, f"rest-api-{symptom}")


def test_errors_are_rates_of_the_documented_statistics():
    stage = rest(Prod=rest_stage())["Prod"]
    server = only(stage, "rest-api-server-errors")
    assert [(query.stat.metric.name, query.stat.statistic) for query in server.queries if query.stat] == [
        ("5XXError", "Average")
    ]
    assert server.threshold == 5
    client = only(stage, "rest-api-client-errors")
    assert [(query.stat.metric.name, query.stat.statistic) for query in client.queries if query.stat] == [
        ("4XXError", "Sum"),
        ("Count", "SampleCount"),
    ]
    assert client.threshold == 25


@pytest.mark.parametrize(
    ("others", "seconds", "what"),
    [
        ({}, 29, "the time API Gateway waits"),
        ({"Get": method(ref("Fn.Arn")), "Fn": function(10)}, 10, "the timeout of function Fn"),
        ({"Get": method(ref("Fn.Arn")), "Fn": function()}, 3, "the timeout of function Fn"),
        ({"Get": method(ref("Fn.Arn")), "Fn": function(900)}, 29, "the time API Gateway waits"),
        ({"Get": method("http://a", TimeoutInMillis=5000)}, 5, "the integration's timeout"),
        ({"Get": method("http://a", TimeoutInMillis=60000)}, 60, "the integration's timeout"),
        (
            {"Get": method(ref("A.Arn")), "Put": method(ref("B.Arn")), "A": function(5), "B": function(12)},
            12,
            "the timeout of function B",
        ),
        (
            {"Get": method(ref("A.Arn")), "Options": method(Type="MOCK"), "A": function(5)},
            5,
            "the timeout of function A",
        ),
    ],
)
def test_latency_is_alarmed_at_80_percent_of_what_a_request_can_take(others, seconds, what):
    """A threshold above what the resources behind the API allow could never be crossed."""
    condition = only(rest(Prod=rest_stage(), **others)["Prod"], "rest-api-latency")
    assert condition.threshold == pytest.approx(seconds * 800)
    assert condition.queries[0].stat.statistic == "p99"
    assert f"80 % of {what} ({seconds} s)" in condition.because


def test_functions_named_in_an_open_api_text_count():
    body = {
        "paths": {
            "/": {"get": {"x-amazon-apigateway-integration": {"uri": ref("Fn.Arn"), "credentials": ref("R.Arn")}}}
        }
    }
    stacks = stack(Api=(REST, {"Body": body}), Fn=function(8), R=("AWS::IAM::Role", {}))
    assert only(stacks["Api"], "rest-api-latency").threshold == pytest.approx(6400)


def test_functions_that_name_a_sam_api_in_their_events_count():
    events = {"Get": {"Type": "Api", "Properties": {"RestApiId": ref("Api")}}}
    stacks = stack(
        Api=("AWS::Serverless::Api", {"StageName": "prod"}),
        Fn=("AWS::Serverless::Function", {"Timeout": 7, "Events": events}),
    )
    assert only(stacks["Api"], "rest-api-latency").threshold == pytest.approx(5600)


@pytest.mark.parametrize(
    "others",
    [
        {"Get": method(ref("Fn.Arn")), "Fn": function(ref("Timeout"))},
        {"Get": method("http://a", TimeoutInMillis=ref("Timeout"))},
    ],
)
def test_a_timeout_that_only_a_deployment_knows_is_asked_for(others):
    assert "--param" in reason(rest(Prod=rest_stage(), **others)["Prod"], "rest-api-latency")


@pytest.mark.parametrize("kind", [HTTP, "AWS::Serverless::HttpApi"])
def test_an_http_api_goes_by_its_id(kind):
    api = stack(Api=(kind, {"Name": "orders"}))["Api"]
    assert dimensions(only(api, "http-api-server-errors")) == {"ApiId": "${ApiName}"}
    assert CATALOG[kind].name_source is NameSource.PHYSICAL_ID
    assert CATALOG[kind].name_property is None


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_an_http_stage_is_alarmed_instead_of_its_api(symptom):
    stacks = http(Live=http_stage())
    assert dimensions(only(stacks["Live"], f"http-api-{symptom}")) == {"ApiId": "${ApiName}", "Stage": "$default"}
    assert reason(stacks["Api"], f"http-api-{symptom}") == "alarmed per stage: Live"


def test_an_http_api_publishes_lower_case_names_and_waits_30_seconds():
    stage = http(Live=http_stage())["Live"]
    assert only(stage, "http-api-server-errors").queries[1].stat.metric.name == "5xx"
    assert only(stage, "http-api-latency").threshold == 24_000


def test_an_http_stage_of_an_api_elsewhere_is_watched_if_the_id_is_known():
    known = stack(Live=http_stage(api="a1b2c3"))["Live"]
    assert dimensions(only(known, "http-api-latency")) == {"ApiId": "a1b2c3", "Stage": "$default"}
    unknown = stack(Live=http_stage(api=Symbolic("${SharedApi}")))["Live"]
    assert "its API is not in the template" in (CATALOG[HTTP_STAGE].unwatched(unknown) or "")
    assert "its API is not in the template" in reason(unknown, "http-api-latency")


def test_websocket_apis_are_not_watched_and_say_why():
    stacks = http("WEBSOCKET", Live=http_stage())
    for name, kind in (("Api", HTTP), ("Live", HTTP_STAGE)):
        assert "WebSocket" in (CATALOG[kind].unwatched(stacks[name]) or "")
        assert "WebSocket" in reason(stacks[name], "http-api-latency")


@pytest.mark.parametrize(("name", "server_errors"), [("Prod", "5XXError"), ("Api", "5XXError")])
def test_a_rest_api_can_be_held_to_its_availability(name, server_errors):
    resource = rest(Prod=rest_stage())[name]
    found = offer(resource, SliKind.AVAILABILITY)
    assert found.applies(resource) is None
    measure = found.measure(resource, None)
    assert (measure.bad.name, measure.bad_statistic) == (server_errors, "Sum")
    assert (measure.valid.name, measure.valid_statistic) == ("Count", "SampleCount")
    assert measure.bad.dimensions == measure.valid.dimensions
    assert ("Stage" in dict(measure.bad.dimensions)) is (name == "Prod")


def test_a_latency_slo_is_in_milliseconds_and_needs_a_limit_that_can_be_missed():
    resource = http(Live=http_stage())["Live"]
    found = offer(resource, SliKind.LATENCY)
    assert found.needs_limit
    assert found.measure(resource, timedelta(milliseconds=800)).limit == Fraction(800)
    with pytest.raises(DeclarationError, match="needs a limit"):
        found.measure(resource, None)
    with pytest.raises(DeclarationError, match="always met"):
        found.measure(resource, timedelta(seconds=30))


def test_both_types_of_an_api_share_their_runbooks():
    for api, stage in ((REST, REST_STAGE), (HTTP, HTTP_STAGE)):
        assert [kind.id for kind in CATALOG[api].alarm_kinds] == [kind.id for kind in CATALOG[stage].alarm_kinds]


@pytest.mark.parametrize("kind", [REST, REST_STAGE, HTTP, HTTP_STAGE])
@pytest.mark.parametrize("value", [None, 7, "text", [], [[]], {}, True, float("inf"), Symbolic("${X}")])
def test_no_property_makes_an_api_crash(kind, value):
    names = ("RestApiId", "ApiId", "StageName", "ProtocolType", "Body", "DefinitionBody", "Name")
    for name in names:
        resources = stack(
            Api=(kind, {name: value}),
            Get=("AWS::ApiGateway::Method", {"RestApiId": ref("Api"), "Integration": value}),
            Put=("AWS::ApiGateway::Method", {"RestApiId": ref("Api"), "Integration": {"TimeoutInMillis": value}}),
            Any=("AWS::ApiGatewayV2::Integration", {"ApiId": ref("Api"), "TimeoutInMillis": value}),
        )
        entry = CATALOG[kind]
        for found in entry.alarm_kinds:
            found.conditions(resources["Api"])
        entry.panels(resources["Api"])
        entry.unwatched(resources["Api"])
