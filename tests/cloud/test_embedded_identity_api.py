"""HTTP APIs of the embedded AWS: who gets through, what the function learns of the caller, and what is measured."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from embedded_tools import ROLE, function

from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.embedded.authority import Authority

ECHO = """
import json
def handler(event, context):
    if "fail" in event["rawPath"]:
        raise ValueError("no")
    return {"statusCode": 200, "body": json.dumps(event)}
"""
LOG_FORMAT = "$context.requestId $context.httpMethod $context.routeKey $context.status $context.identity.userArn $context.nothing"
AUDIENCE = "notifications"
ROOT = Credentials("test", "test")


def api(name: str, *, issuer: str = "http://127.0.0.1:1", **stage: Any) -> dict[str, Any]:
    """A function behind an HTTP API whose routes ``/iam``, ``/jwt`` and ``/open`` differ in their authorization."""
    resources: dict[str, Any] = {
        "Role": ROLE,
        "Function": function(name, ECHO),
        "Log": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": f"/api/{name}"}},
        "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": name, "ProtocolType": "HTTP"}},
        "Integration": {
            "Type": "AWS::ApiGatewayV2::Integration",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": {"Fn::GetAtt": ["Function", "Arn"]},
                "PayloadFormatVersion": "2.0",
            },
        },
        "Authorizer": {
            "Type": "AWS::ApiGatewayV2::Authorizer",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "Name": "tokens",
                "AuthorizerType": "JWT",
                "IdentitySource": ["$request.header.Authorization"],
                "JwtConfiguration": {"Issuer": issuer, "Audience": [AUDIENCE]},
            },
        },
        "Stage": {
            "Type": "AWS::ApiGatewayV2::Stage",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "StageName": "live",
                "AutoDeploy": True,
                "AccessLogSettings": {"DestinationArn": {"Fn::GetAtt": ["Log", "Arn"]}, "Format": LOG_FORMAT},
                **stage,
            },
        },
        "Permission": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Ref": "Function"},
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {
                    "Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/*"
                },
            },
        },
    }
    for path, kind in (("iam", "AWS_IAM"), ("jwt", "JWT"), ("open", "NONE")):
        resources[f"Route{path}"] = {
            "Type": "AWS::ApiGatewayV2::Route",
            "Properties": {
                "ApiId": {"Ref": "Api"},
                "RouteKey": f"GET /{path}/{{user}}",
                "AuthorizationType": kind,
                "Target": {"Fn::Join": ["/", ["integrations", {"Ref": "Integration"}]]},
                **({"AuthorizerId": {"Ref": "Authorizer"}} if kind == "JWT" else {}),
            },
        }
    return resources


@pytest.fixture(scope="module", params=[False, True], ids=["everybody", "iam"])
def aws(request, tmp_path_factory) -> Iterator[EmbeddedAws]:
    with embedded(tmp_path_factory.mktemp("aws"), iam=request.param) as running:
        yield running


@pytest.fixture
def get(aws) -> Callable[..., tuple[int, Any]]:
    """``get(api, "/iam/ann")``: status and body of a request, signed if there are credentials."""

    def call(
        api_id: str,
        path: str,
        signer: Credentials | None = None,
        *,
        presigned: bool = False,
        signed_for: str = "execute-api",
        headers: dict[str, str] | None = None,
        stage: str = "live",
    ) -> tuple[int, Any]:
        prepared = AWSRequest("GET", f"{aws.tls_endpoint}/_aws/execute-api/{api_id}/{stage}{path}", headers=headers)
        if signer is not None:
            sign = SigV4QueryAuth if presigned else SigV4Auth
            sign(signer, signed_for, aws.region).add_auth(prepared)
        request = urllib.request.Request(prepared.prepare().url, headers=dict(prepared.headers))
        trust = ssl.create_default_context(cafile=aws.ca_file)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        try:
            with opener.open(request, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    return call


FORBIDDEN = (403, {"message": "Forbidden"})


def test_unsigned_and_wrongly_signed_calls_are_forbidden(stack, get):
    made = stack("signed", api("signed"), {"ApiId": {"Value": {"Ref": "Api"}}})
    api_id = made.outputs()["ApiId"]
    assert get(api_id, "/iam/ann") == FORBIDDEN
    assert get(api_id, "/iam/ann", Credentials("test", "wrong")) == FORBIDDEN
    assert get(api_id, "/iam/ann", Credentials("AKIAUNKNOWNUNKNOWN00", "test")) == FORBIDDEN
    assert get(api_id, "/iam/ann", ROOT, signed_for="s3") == FORBIDDEN
    assert get(api_id, "/iam/ann", headers={"Authorization": "Bearer e30.e30.e30"}) == FORBIDDEN
    status, event = get(api_id, "/iam/ann?limit=3&cursor=a%2Fb", ROOT)
    assert (status, event["pathParameters"], event["queryStringParameters"]) == (
        200, {"user": "ann"}, {"limit": "3", "cursor": "a/b"},
    )  # fmt: skip
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/live/iam/ann"
    assert get(api_id, "/iam/ann", ROOT, presigned=True)[0] == 200
    assert get(api_id, "/open/ann")[0] == 200


def test_function_learns_who_called(stack, get, client):
    made = stack(
        "who",
        {
            **api("who"),
            "UserRole": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": "who-user",
                    "AssumeRolePolicyDocument": {
                        "Statement": [
                            {
                                "Effect": "Allow",
                                "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}},
                                "Action": "sts:AssumeRole",
                            }
                        ]
                    },
                    "Policies": [
                        {
                            "PolicyName": "call",
                            "PolicyDocument": {
                                "Statement": [
                                    {
                                        "Effect": "Allow",
                                        "Action": "execute-api:Invoke",
                                        "Resource": {
                                            "Fn::Sub": "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/live/GET/iam/a*"
                                        },
                                    }
                                ]
                            },
                        }
                    ],
                },
            },
        },
        {"ApiId": {"Value": {"Ref": "Api"}}, "Role": {"Value": {"Fn::GetAtt": ["UserRole", "Arn"]}}},
    )
    outputs = made.outputs()
    got = client("sts").assume_role(RoleArn=outputs["Role"], RoleSessionName="ann")
    session = got["Credentials"]
    signer = Credentials(session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    status, event = get(outputs["ApiId"], "/iam/ann", signer)
    assert status == 200
    caller = event["requestContext"]["authorizer"]["iam"]
    assert caller == {
        "accessKey": session["AccessKeyId"],
        "accountId": "000000000000",
        "callerId": got["AssumedRoleUser"]["AssumedRoleId"],
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": "arn:aws:sts::000000000000:assumed-role/who-user/ann",
        "userId": got["AssumedRoleUser"]["AssumedRoleId"],
    }
    stolen = Credentials(session["AccessKeyId"], session["SecretAccessKey"], "another token")
    assert get(outputs["ApiId"], "/iam/ann", stolen) == FORBIDDEN


def test_policy_of_the_caller_decides_with_iam_only(stack, get, client, aws, request):
    made = stack("policy", api("policy"), {"ApiId": {"Value": {"Ref": "Api"}}})
    api_id = made.outputs()["ApiId"]
    iam = client("iam")
    name = f"caller-{api_id}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    signer = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    enforced = "iam" in request.node.callspec.id
    assert get(api_id, "/iam/ann", signer)[0] == (403 if enforced else 200)
    document = {
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "execute-api:Invoke",
                "Resource": f"arn:aws:execute-api:{aws.region}:000000000000:{api_id}/live/GET/iam/ann",
            }
        ]
    }
    iam.put_user_policy(UserName=name, PolicyName="call", PolicyDocument=json.dumps(document))
    assert get(api_id, "/iam/ann", signer)[0] == 200
    assert get(api_id, "/iam/bob", signer)[0] == (403 if enforced else 200)


def test_stage_throttles(stack, get):
    limits = {"ThrottlingRateLimit": 0.001, "ThrottlingBurstLimit": 2}
    made = stack("slow", api("slow", DefaultRouteSettings=limits), {"ApiId": {"Value": {"Ref": "Api"}}})
    api_id = made.outputs()["ApiId"]
    answers = [get(api_id, "/open/ann") for _ in range(4)]
    assert [status for status, _ in answers] == [200, 200, 429, 429]
    assert answers[-1][1] == {"message": "Too Many Requests"}


def test_requests_are_logged_and_measured_refused_or_not(stack, get, client, aws):
    made = stack("seen", api("seen"), {"ApiId": {"Value": {"Ref": "Api"}}})
    api_id = made.outputs()["ApiId"]
    assert get(api_id, "/open/ann")[0] == 200
    assert get(api_id, "/open/fail")[0] == 500
    assert get(api_id, "/iam/ann")[0] == 403
    request_id = get(api_id, "/iam/ann", ROOT)[1]["requestContext"]["requestId"]
    assert get(api_id, "/nowhere")[0] == 404
    lines = [event["message"] for event in client("logs").filter_log_events(logGroupName="/api/seen")["events"]]
    assert [line.split(" ", 1)[1] for line in lines] == [
        "GET GET /open/{user} 200 - -",
        "GET GET /open/{user} 500 - -",
        "GET GET /iam/{user} 403 - -",
        "GET GET /iam/{user} 200 arn:aws:iam::000000000000:root -",
        "GET - 404 - -",
    ]
    assert lines[3].split(" ", 1)[0] == request_id

    def total(name: str, **dimensions: str) -> float:
        now = aws.now()
        found = client("cloudwatch").get_metric_statistics(
            Namespace="AWS/ApiGateway",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=5),
            Period=3600,
            Statistics=["Sum", "SampleCount"],
        )["Datapoints"]
        return sum(point["SampleCount" if name.endswith("Latency") else "Sum"] for point in found)

    for dimensions in ({"ApiId": api_id}, {"ApiId": api_id, "Stage": "live"}):
        assert {name: total(name, **dimensions) for name in ("Count", "4xx", "5xx", "Latency", "IntegrationLatency")} == {
            "Count": 5, "4xx": 2, "5xx": 1, "Latency": 5, "IntegrationLatency": 3,
        }  # fmt: skip


@pytest.fixture(params=["http", "https"])
def issuer(request, aws) -> Iterator[Issuer]:
    """An issuer of tokens on this machine, plain and with a certificate of the embedded AWS's authority."""
    with Issuer(aws if request.param == "https" else None) as one:
        yield one


class Issuer:
    """Serves its public key and signs tokens."""

    def __init__(self, certified_by: EmbeddedAws | None) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                documents = {
                    "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                    "/keys": {"keys": [issuer.public_key()]},
                }
                content = json.dumps(documents.get(self.path, {})).encode()
                self.send_response(200 if self.path in documents else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certified_by is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*Authority(certified_by.directory).certificate_for("localhost"))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme, host = ("https", "localhost") if certified_by is not None else ("http", "127.0.0.1")
        self.url = f"{scheme}://{host}:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Issuer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def public_key(self) -> dict[str, str]:
        numbers = self.key.public_key().public_numbers()
        return {"kty": "RSA", "kid": "one", "alg": "RS256", "n": encoded(numbers.n), "e": encoded(numbers.e)}

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        whole = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 60, **claims}
        signed = f"{encoded({'alg': 'RS256', 'kid': 'one'})}.{encoded(whole)}"
        return f"{signed}.{encoded(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def encoded(value: Any) -> str:
    if isinstance(value, int):
        value = value.to_bytes((value.bit_length() + 7) // 8, "big")
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def test_tokens_are_checked_against_their_issuer(stack, get, issuer):
    name = f"tokens-{issuer.url.partition(':')[0]}"
    made = stack(name, api(name, issuer=issuer.url), {"ApiId": {"Value": {"Ref": "Api"}}})
    api_id = made.outputs()["ApiId"]

    def call(token: str) -> tuple[int, Any]:
        return get(api_id, "/jwt/ann", headers={"Authorization": f"Bearer {token}"})

    status, event = call(issuer.token(admin=True))
    assert status == 200
    claims = event["requestContext"]["authorizer"]["jwt"]["claims"]
    assert (claims["sub"], claims["admin"], claims["iss"]) == ("ann", "true", issuer.url)
    unauthorized = (401, {"message": "Unauthorized"})
    assert get(api_id, "/jwt/ann") == unauthorized
    good = issuer.token()
    for bad in (
        issuer.token(iss="https://elsewhere"),
        issuer.token(aud="another"),
        issuer.token(exp=int(time.time()) - 1),
        issuer.token(exp="soon"),
        good[:-8] + "AAAAAAAA",
        ".".join([encoded({"alg": "none", "kid": "one"}), good.split(".")[1], ""]),
        "W10.e30.x",
        "nothing",
    ):
        assert call(bad) == unauthorized, bad


def test_issuer_that_is_not_there_lets_nobody_in(stack, get):
    made = stack("lost", api("lost"), {"ApiId": {"Value": {"Ref": "Api"}}})
    answer = get(made.outputs()["ApiId"], "/jwt/ann", headers={"Authorization": "Bearer W10.e30.x"})
    assert answer == (401, {"message": "Unauthorized"})


def test_description_keeps_what_was_declared(stack, client):
    limits = {"ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 100}
    made = stack("kept", api("kept", issuer="https://issuer.example", DefaultRouteSettings=limits))
    ids = made.ids()
    gateway = client("apigatewayv2")
    stage = gateway.get_stage(ApiId=ids["Api"], StageName="live")
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] == 50
    assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] == 100
    assert stage["AccessLogSettings"]["Format"] == LOG_FORMAT
    assert stage["AccessLogSettings"]["DestinationArn"].endswith(":log-group:/api/kept:*")
    (authorizer,) = gateway.get_authorizers(ApiId=ids["Api"])["Items"]
    assert authorizer["JwtConfiguration"] == {"Issuer": "https://issuer.example", "Audience": [AUDIENCE]}
