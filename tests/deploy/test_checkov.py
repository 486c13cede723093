"""checkov and cfn-lint over our templates: nothing found that is not explained in `deploy/exceptions.toml`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tests.deploy.exceptions import ABSENT, LINT, ROOT, Found, idle, read, stack_of, templates, unexplained

CFN_LINT = Path(sys.executable).with_name("cfn-lint")
# With these it asks nobody on the network: no platform, no key, no download of guidelines.
CHECKOV = ["--framework", "cloudformation", "--skip-download", "--compact", "--output", "json"]
needs_checkov = pytest.mark.skipif(not LINT.is_dir(), reason=ABSENT)


def checkov(paths: list[Path]) -> list[Found]:
    """What checkov finds.  A template that it could not read would be passed over: that is an error here.

    It reads copies: a path with forty letters, digits and slashes in a row, which a checkout may have, it takes for a
    secret key of AWS (CKV_AWS_45).  A hyphen ends such a row.
    """
    with tempfile.TemporaryDirectory(prefix="judged-") as folder:
        copies = []
        for path in paths:
            copies.append(Path(folder).resolve() / "copy-" / path.parent.name / path.name)
            copies[-1].parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copies[-1])
        return _judge(copies)


def _judge(paths: list[Path]) -> list[Found]:
    command = [LINT / "python", LINT / "checkov", *CHECKOV]
    for path in paths:
        command += ["--file", path]
    environment = {"PATH": os.environ["PATH"], "HOME": os.devnull, "BC_SKIP_MAPPING": "TRUE"}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert ended.returncode in (0, 1), ended.stderr
    report = json.loads(ended.stdout)
    assert report["summary"]["parsing_errors"] == 0
    results = report["results"]
    stacks = {str(path): stack_of(path) for path in paths}
    seen = {check["file_abs_path"] for kind in ("passed_checks", "failed_checks") for check in results[kind]}
    assert seen == set(stacks)
    return [
        Found(
            "checkov",
            check["check_id"],
            f"{stacks[check['file_abs_path']]}.{check['resource'].rpartition('.')[2]}",
            text=check["check_name"],
        )
        for check in results["failed_checks"]
    ]


def cfn_lint(paths: list[Path]) -> list[Found]:
    """What cfn-lint finds, remarks included."""
    command = [CFN_LINT, "--include-checks", "I", "--format", "json", "--template", *paths]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    return [
        Found(
            "cfn-lint", each["Rule"]["Id"], f"{stack_of(Path(each['Filename']))}.{_place(each)}", text=each["Message"]
        )
        for each in json.loads(ended.stdout)
    ]


def _place(finding: dict) -> str:
    path = finding["Location"]["Path"]
    return path[1] if path and path[0] == "Resources" and len(path) > 1 else "/".join(map(str, path or ()))


@pytest.fixture(scope="module")
def judged() -> list[Found]:
    return checkov(templates())


@needs_checkov
def test_checkov_finds_nothing_that_is_not_explained(judged: list[Found]) -> None:
    assert unexplained(judged, read()) == []


@needs_checkov
def test_no_explanation_for_checkov_has_outlived_its_finding(judged: list[Found]) -> None:
    assert idle("checkov", judged, read()) == []


@pytest.fixture(scope="module")
def linted() -> list[Found]:
    alarms = sorted((ROOT / "alarms").glob("*.yaml"))
    assert alarms
    return cfn_lint([*templates(), *alarms])


def test_cfn_lint_finds_nothing_that_is_not_explained(linted: list[Found]) -> None:
    assert unexplained(linted, read()) == []


def test_no_explanation_for_cfn_lint_has_outlived_its_finding(linted: list[Found]) -> None:
    assert idle("cfn-lint", linted, read()) == []


def test_all_stacks_are_judged() -> None:
    assert {stack_of(path) for path in templates()} >= {"data_pipeline", "notification", "routing"}


OPEN = """
Resources:
  Open:
    Type: AWS::S3::Bucket
    Properties:
      AccessControl: PublicRead
"""


@needs_checkov
def test_checkov_and_cfn_lint_find_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "careless.yaml"
    path.write_text(OPEN)
    assert ("CKV_AWS_20", "careless.Open") in {(each.check, each.at) for each in checkov([path])}
    assert "careless.Open" in {each.at for each in cfn_lint([path])}


class TestExceptions:
    ENTRY = '[[exception]]\ntool = "checkov"\ncheck = "CKV_1"\nat = ["a.B", "a.C"]\n'
    REASON = 'reason = "Because this is long enough to say something of use."\n'

    def test_a_finding_is_covered_at_its_place_only_and_a_place_without_one_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "e.toml").write_text(self.ENTRY + self.REASON)
        kept = read(tmp_path / "e.toml")
        found = [Found("checkov", "CKV_1", "a.B"), Found("checkov", "CKV_1", "a.D"), Found("checkov", "CKV_2", "a.C")]
        assert unexplained(found, kept) == ["checkov CKV_1 at a.D", "checkov CKV_2 at a.C"]
        assert idle("checkov", found, kept) == [
            "checkov CKV_1: a.C is not found any more: take it out of deploy/exceptions.toml"
        ]

    def test_an_entry_about_actions_covers_these_alone(self, tmp_path: Path) -> None:
        (tmp_path / "e.toml").write_text(self.ENTRY.replace(', "a.C"', "") + 'about = ["s:A", "s:B"]\n' + self.REASON)
        kept = read(tmp_path / "e.toml")
        found = [Found("checkov", "CKV_1", "a.B", "s:A"), Found("checkov", "CKV_1", "a.B", "s:C")]
        assert unexplained(found, kept) == ["checkov CKV_1 at a.B s:C"]
        assert "s:B is not found any more" in idle("checkov", found, kept)[0]

    @pytest.mark.parametrize("text", [ENTRY, ENTRY + 'reason = "false positive"', ENTRY + 'because = "x"\n' + REASON])
    def test_an_entry_without_a_proper_reason_is_refused(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "e.toml").write_text(text)
        with pytest.raises(ValueError, match="reason"):
            read(tmp_path / "e.toml")
