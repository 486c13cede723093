"""The validation as a whole: its order, its words, its exit code, and what it says where nothing is deployed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from deploy.__main__ import main
from deploy.run.stage import Stage
from deploy.validate.waiting import wait_for
from deploy.validate.wording import lines, summary

from deploy.validate import CHECKS, Check, Target, as_json, perform, target_of
from tocsin.cloud.environments import Environment
from tocsin.errors import CloudError

pytestmark = pytest.mark.long


@pytest.fixture
def file(stage: Stage, tmp_path: Path) -> Path:
    """The environment of the embedded AWS as a person would describe it."""
    path = tmp_path / "environments.toml"
    path.write_text(
        f'[laptop]\nregion = "{stage.aws.region}"\nendpoint_url = "{stage.aws.tls_endpoint}"\n'
        f'plain_endpoint_url = "{stage.aws.endpoint}"\n'
    )
    return path


def test_every_check_passes_on_what_was_deployed(stage: Stage, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stage.as_delivery():
        code = main(["validate", "laptop", "--environments", str(file)])
    out, err = capsys.readouterr()
    assert (code, err) == (0, ""), out
    assert re.findall(r"^ok +[0-9.]+ s  (\S+)", out, re.M) == [check.name for check in CHECKS]
    assert re.search(rf"^laptop: validated: {len(CHECKS)} checks in [0-9.]+ s$", out, re.M)


def test_a_failure_is_exit_code_1_with_reason_and_what_to_do(
    stage: Stage, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sqs, url = stage.client("sqs"), stage.outputs["notification"]["GenerateMessageDeadLettersUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="nobody can read this")
    try:
        with stage.as_delivery():
            code = main(["validate", "laptop", "--json", "--patience", "20", "--environments", str(file)])
    finally:
        sqs.purge_queue(QueueUrl=url)
    told = json.loads(capsys.readouterr().out)
    assert code == 1
    assert told["passed"] is False
    [failed] = [check for check in told["checks"] if check["name"] == "dead-letters-empty"]
    assert failed["passed"] is False
    assert failed["found"] == f"1 message in GenerateMessageDeadLetters ({url})"
    assert "runbooks/sqs-dead-letter-queue-not-empty.md" in failed["mend"]


def test_nothing_is_deployed(stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "environments.toml"
    path.write_text(f'[empty]\nregion = "{stage.aws.region}"\nendpoint_url = "{stage.aws.tls_endpoint}"\n')
    assert main(["validate", "empty", "--environments", str(path)]) == 1
    assert "stack empty-notification does not exist in eu-west-1; run `make deploy ENV=empty` first" in (
        capsys.readouterr().err
    )
    with pytest.raises(CloudError):
        target_of(Environment("empty", "e.toml", region=stage.aws.region))


def test_names_are_unique_and_files_of_their_own() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert len({check.run.__module__ for check in CHECKS}) == len(CHECKS)
    assert all(check.holds and check.mend for check in CHECKS)


def test_what_cannot_be_carried_out_has_not_passed(target: Target) -> None:
    def breaks(target: Target) -> str:
        return target.output("notification", "NoSuchName")

    result = perform(Check("a", "a holds", "mend a", breaks), target)
    assert not result.passed
    assert result.found.startswith("cannot be carried out: stack laptop-notification has no output NoSuchName")
    assert list(lines(result))[1:] == [f"{'':17}why: {result.found}", f"{'':17}do:  mend a"]
    assert summary([result]).startswith("1 of 1 checks failed in ")
    assert as_json("laptop", [result])["checks"][0]["mend"] == "mend a"


def test_waiting_ends_with_the_first_find() -> None:
    looks = iter([None, None, "there", "never asked for"])
    assert wait_for(lambda: next(looks), 60) == "there"
    assert next(looks) == "never asked for"


def test_waiting_looks_once_even_without_patience() -> None:
    looks = []
    assert wait_for(lambda: looks.append(1), 0) is None
    assert looks == [1]
