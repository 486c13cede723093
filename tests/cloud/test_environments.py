"""environments.toml: what a name stands for, and what is said of a file that is wrong."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.cloud.environments import FromVariable, OtherStack, read_environment, read_environments
from tocsin.errors import InputError

FULL = """
[dev]

[prod]
region = "eu-central-1"
account = "111122223333"
protected = true
artifacts_bucket = "prod-artifacts"
profile = "prod"
endpoint_url = "http://127.0.0.1:4566"
plain_endpoint_url = "http://127.0.0.1:4565"
execution_role = "arn:aws:iam::111122223333:role/prod-execution"
permissions_boundary = "arn:aws:iam::111122223333:policy/prod-boundary"
oncall_url = "http://127.0.0.1:8080/tool"
validation_token = { variable = "TOKEN" }

[prod.stacks.network]
stack = "prod-vpc"
FlowLogRetentionDays = 90

[prod.routing]
stack = "prod-pager"
PaymentsPageEndpoint = { variable = "PAYMENTS_PAGE_ENDPOINT" }
EndpointProtocol = "https"

[prod.checkout]
stack = "checkout-prod"
LogRetentionDays = 90
DeletionProtection = true

[prod.checkout.alarms]
Sensitivity = "high"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "environments.toml"
    path.write_text(text)
    return path


def test_everything_that_can_be_stated(tmp_path: Path) -> None:
    prod = read_environment(write(tmp_path, FULL), "prod")
    assert (prod.name, prod.region, prod.account, prod.protected) == ("prod", "eu-central-1", "111122223333", True)
    assert (prod.artifacts_bucket, prod.profile) == ("prod-artifacts", "prod")
    assert prod.endpoint_url == "http://127.0.0.1:4566"
    assert prod.plain_endpoint_url == "http://127.0.0.1:4565"
    assert prod.execution_role == "arn:aws:iam::111122223333:role/prod-execution"
    assert prod.permissions_boundary == "arn:aws:iam::111122223333:policy/prod-boundary"
    assert prod.oncall_url == "http://127.0.0.1:8080/tool"
    assert prod.validation_token == FromVariable("TOKEN")
    assert prod.other("network") == OtherStack("prod-vpc", {"FlowLogRetentionDays": "90"})
    assert prod.other("delivery") == OtherStack("prod-delivery")
    assert set(prod.systems) == {"checkout"}
    assert prod.routing_stack == "prod-pager"
    assert prod.routing_parameters == {
        "PaymentsPageEndpoint": FromVariable("PAYMENTS_PAGE_ENDPOINT"),
        "EndpointProtocol": "https",
    }
    checkout = prod.of("checkout")
    assert (checkout.stack, checkout.alarm_stack) == ("checkout-prod", "prod-checkout-alarms")
    assert checkout.parameters == {"LogRetentionDays": "90", "DeletionProtection": "true"}
    assert checkout.alarm_parameters == {"Sensitivity": "high"}


def test_an_empty_environment_has_defaults(tmp_path: Path) -> None:
    dev = read_environment(write(tmp_path, FULL), "dev")
    assert (dev.region, dev.account, dev.protected, dev.artifacts_bucket) == (None, None, False, None)
    assert (dev.permissions_boundary, dev.oncall_url) == (None, None)
    assert dev.routing_stack == "dev-routing"
    # A stack's name has no underscore.
    assert (dev.of("data_pipeline").stack, dev.of("data_pipeline").alarm_stack) == (
        "dev-data-pipeline",
        "dev-data-pipeline-alarms",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[dev]\n= 1", r"environments\.toml: not TOML: .*line 2"),
        ("dev = 1", "dev: must be a table, got 1; a key stands under its environment, such as \\[dev\\]"),
        ('Region = "eu-west-1"\n[dev]', "Region: must be a table, got 'eu-west-1'; a key stands under its environment"),
        ("[Dev]", "Dev: name it with at most 32 lower-case letters"),
        ('[dev]\nregoin = "eu-west-1"', r"dev\.regoin: unknown key; did you mean 'region'\?"),
        ("[dev]\nregion = 1", r"dev\.region: must be text, got 1"),
        ('[dev]\nregion = " "', r"dev\.region: must be text"),
        ('[dev]\naccount = "12"', r"dev\.account: an account is text of 12 digits, got '12'"),
        ("[dev]\naccount = 111122223333", r"dev\.account: must be text"),
        ('[dev]\nprotected = "yes"', r"dev\.protected: true or false, got 'yes'"),
        ('[dev.routing]\nstack = "a_b"', r"dev\.routing\.stack: 'a_b' is no stack name"),
        ('[dev.routing]\nstakc = "a"', r"dev\.routing\.stakc: unknown key; did you mean 'stack'\?"),
        ('[dev.checkout]\nalarm_stak = "a"', r"dev\.checkout\.alarm_stak: unknown key; did you mean 'alarm_stack'\?"),
        ("[dev.checkout]\nalarms = 1", r"dev\.checkout\.alarms: must be a table"),
        ('[dev.checkout.alarms]\nlower = "a"', r"dev\.checkout\.alarms\.lower: unknown key"),
        ("[dev.stacks]\nnetwork = 1", r"dev\.stacks\.network: must be a table, got 1"),
        ('[dev.stacks.network]\nstakc = "a"', r"dev\.stacks\.network\.stakc: unknown key; did you mean 'stack'\?"),
        ('[dev]\nexecution_role = "admin"', r"dev\.execution_role: the ARN of a role"),
        ('[dev]\npermissions_boundary = "limit"', r"dev\.permissions_boundary: the ARN of a policy"),
        ("[dev]\noncall_url = 1", r"dev\.oncall_url: must be text"),
        ('[dev]\nvalidation_token = "ey"', r"dev\.validation_token: must be \{ variable"),
        ("[dev]\nvalidation_token = { varable = 'A' }", r"dev\.validation_token: must be"),
        ("[dev.checkout]\nSize = 1.5", r"dev\.checkout\.Size: must be text, a whole number"),
        ("[dev.checkout]\nKey = { varable = 'A' }", r"dev\.checkout\.Key: must be text"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read_environments(write(tmp_path, text))
    assert "environments.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://stand-in.example", "http://localhost:8080", "http://[::1]:8080/x"])
def test_a_stand_in_may_be_anywhere_with_tls_and_here_without(tmp_path: Path, url: str) -> None:
    assert read_environment(write(tmp_path, f'[dev]\noncall_url = "{url}"'), "dev").oncall_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/?k=secret",
        "http://127.0.0.1.example/?k=secret",
        "ftp://x/?k=secret",
        "secret",
        "https://:0/secret",
    ],
)
def test_another_address_of_a_stand_in_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(
        InputError, match=r"dev\.oncall_url: must be an address with https://; http:// is for"
    ) as caught:
        read_environments(write(tmp_path, f'[dev]\noncall_url = "{url}"'))
    assert "secret" not in str(caught.value)


def test_an_unknown_environment_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no environment 'prd'; did you mean 'prod'\?"):
        read_environment(write(tmp_path, FULL), "prd")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; describe your environments there"):
        read_environments(tmp_path / "environments.toml")


@given(text=st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8")
    with contextlib.suppress(InputError):
        read_environments(path)


def test_the_committed_environments_are_read() -> None:
    environments = read_environments(Path(__file__).parents[2] / "deploy" / "environments.toml")
    assert {"dev", "qa", "prod"} <= environments.keys()
