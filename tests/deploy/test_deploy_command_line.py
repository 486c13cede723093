"""``python -m deploy``: what is said of a wrong command line or a wrong environment, before anything is asked of AWS."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command as a person runs it, without a terminal; AWS is nowhere."""
    nowhere = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "111111111111",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, "-m", "deploy", *arguments],
        cwd=folder,
        env={**os.environ, **nowhere, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "the following arguments are required: VERB, ENV; see `python -m deploy --help`"),
        (("plna", "dev"), "no verb 'plna'; did you mean 'plan'?"),
        (("plan", "prd"), "deploy/environments.toml: no environment 'prd'; did you mean 'prod'?"),
        (("deploy", "prod"), "prod is protected and there is no terminal to confirm it at; look at the plan, then give --yes"),
        (("bootstrap", "prod"), "prod is protected and there is no terminal"),
        (("contract", "prod"), "prod is protected and there is no terminal to confirm it at; validate it, then give --yes"),
        (("deploy", "dev", "--json"), "--json is for plan and validate, not for deploy"),
        (("plan", "dev", "--param", "LoaderImage"), "--param LoaderImage: write it as NAME=VALUE"),
        (("plan", "dev", "--environments", "nowhere.toml"), "nowhere.toml: no such file"),
        (("plan", "dev", "--pram", "a=b"), "unrecognized arguments: --pram"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[dev.stacks.netwrok]", "dev.stacks.netwrok: no such stack; did you mean 'network'?"),
        ("[dev.stacks.network]\nVpcCdir = 1", "dev.stacks.network.VpcCdir: deploy/network.yaml has no such parameter"),
        ("[dev.notification]\nLogRetentionDay = 7", "did you mean 'LogRetentionDays'?"),
        ('[dev.stacks.network]\nstack = "dev-routing"', "dev: two stacks are named dev-routing; rename one"),
    ],
)
def test_a_wrong_key_is_named_with_its_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "e.toml"
    path.write_text(text)
    done = run("plan", "dev", "--environments", str(path))
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert said in done.stderr


def test_several_environments_are_one_too_many() -> None:
    done = run("plan", "dev prod")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "plan: ENV='dev prod': one environment at a time, the first before the next\n"


def test_a_migration_that_the_template_does_not_know_is_not_shipped(tmp_path: Path) -> None:
    """The code is taken from the sources, and CloudFormation calls the migrator only for what the template says."""
    for name in ("deploy", "alarms"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "e.toml"
    file.write_text("[dev]\nregion = 'eu-west-1'\n")
    assert run("plan", "dev", "--environments", str(file), folder=tmp_path).returncode == 1  # AWS does not answer
    (tmp_path / "deploy" / "data_pipeline" / "migrations" / "0099_expand_more.sql").write_text("select 1;\n")
    done = run("plan", "dev", "--environments", str(file), folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "plan: deploy/data_pipeline/template.yaml is not what its sources say; run `python -m deploy.render`, look at the "
        "difference and commit it\n"
    )


def test_an_unknown_parameter_names_the_nearest(tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text("[dev]\n")
    done = run("plan", "dev", "--param", "LogRetentonDays=7", "--environments", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert "no template of dev has a parameter 'LogRetentonDays'; did you mean 'LogRetentionDays'?" in done.stderr


def test_aws_that_does_not_answer_is_exit_code_1(tmp_path: Path) -> None:
    file = tmp_path / "e.toml"
    file.write_text('[dev]\nregion = "eu-west-1"\n')
    done = run("plan", "dev", "--environments", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert "http://127.0.0.1:9/ does not answer" in done.stderr


def test_help_names_every_verb() -> None:
    done = run("--help")
    assert done.returncode == 0
    for verb in ("bootstrap", "plan", "deploy", "validate", "contract"):
        assert f"\n  {verb} " in done.stdout


@pytest.mark.parametrize("verb", ["bootstrap", "plan", "deploy", "validate", "contract"])
def test_make_wants_an_environment(verb: str) -> None:
    """Whoever forgets ENV is told how to state it."""
    text = (ROOT / "Makefile").read_text()
    [recipe] = [part for part in text.split("\n\n") if "bootstrap plan deploy validate contract:" in part]
    [line] = [line for line in recipe.splitlines() if "test -n" in line]
    shell = line.strip().lstrip("@").replace("$(ENV)", "").replace("$@", verb)
    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"make {verb} ENV=dev" in done.stderr
