"""What the documents for people show is true: commands run, outputs are real, declarations load, links lead somewhere."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from command_line import named_commands
from documents import (
    ROOT,
    SHELL,
    Fence,
    Step,
    broken_links,
    fences,
    ignored,
    inline_code,
    markdown_files,
    missing,
    steps,
    without_comment,
)
from tocsin.cli import main
from tocsin.declarations import load_systems
from tocsin.plan import plan

# Where `tocsin` and `python` are that run these tests.
PROGRAMS = str(Path(sys.executable).parent)
EXAMPLE = ROOT / "docs" / "example"

# Where a reader stands who types the first command: in the clone, or beside the template.
NAMED = named_commands()

STARTS = {
    "README.md": "checkout",
    "CONTRIBUTING.md": "tocsin",
    "docs/tutorial.md": "tocsin",
    "docs/how-to.md": "tocsin",
    "docs/simulator.md": "tocsin",
    "docs/backtest.md": "tocsin",
    "docs/review.md": "tocsin",
}
# docs/on-call.md has a runner of its own, tests/oncall/test_on_call_page.py: its reader needs an on-call tool with people in
# it, an environment that leads there, and the checkout deployed anew, where the account here is shared by all documents.
# What is said below of commands in running text holds for that page as well.

FIRST_RUN = r"""aws lambda invoke --function-name "$(aws cloudformation describe-stacks --stack-name dev-notification --output text \
  --query "Stacks[0].Outputs[?OutputKey=='FindDailyNotificationsName'].OutputValue")" \
  --cli-binary-format raw-in-base64-out --payload "{\"day\": \"$(date -u +%F)\"}" /dev/stdout"""

# What is not run, and why.  It must still exist: targets of make, and commands of tocsin with their options.
NOT_RUN = {
    ("README.md", "make run"): "takes minutes and draws on ports and a database; it is the demonstration",
    ("README.md", "make test"): "is what runs this",
    ("README.md", "tocsin deploy dev --plan"): "a reader's own environments; the tutorial's plan is run",
    ("README.md", "tocsin drill laptop"): "is done in that shell; tests/deploy/test_laptop.py holds what it prints",
    (
        "README.md",
        "tocsin review --month 2026-10 --history examples/month -o october.html",
    ): "is of the clone and not of the reader's own folder; a test below runs it there",
    ("docs/review.md", "tocsin history pull prod"): "refuses credentials of any other account; tests/history run it",
    ("docs/tutorial.md", "make setup"): "installs packages; this runs in what it makes",
    ("docs/how-to.md", "make run ARGS=--keep"): "stays up until Ctrl-C",
    ("docs/how-to.md", "make laptop"): "opens a shell; tests/deploy/test_laptop.py runs it and what is done in it",
    ("docs/how-to.md", "make bootstrap ENV=laptop"): "is done in that shell",
    ("docs/how-to.md", "make deploy ENV=laptop"): "is done in that shell",
    ("docs/how-to.md", "tocsin oncall apply laptop"): "is done in that shell",
    ("docs/how-to.md", "make validate ENV=laptop"): "is done in that shell",
    ("docs/how-to.md", "tocsin drill laptop"): "is done in that shell",
    ("docs/how-to.md", "make contract ENV=laptop"): "is done in that shell",
    ("docs/how-to.md", "make deploy ENV=dev ARGS=--yes"): "refuses credentials of any other account",
    ("docs/how-to.md", "make validate ENV=dev"): "refuses credentials of any other account",
    ("docs/how-to.md", FIRST_RUN): "a test of the reference system holds the event and the output's name",
    ("docs/how-to.md", "tocsin deploy prod"): "asks, and refuses credentials of any other account",
    ("docs/how-to.md", "tocsin deploy prod --system checkout --yes"): "refuses credentials of any other account",
    (
        "docs/how-to.md",
        'aws logs tail "sns/eu-west-1/111122223333/prod-tocsin-payments-page/Failure" --since 1d',
    ): "the AWS command line is no dependency; tests of the routing hold the name of the group",
    ("docs/how-to.md", "cdk synth --quiet"): "the CDK is no dependency",
    ("docs/how-to.md", "tocsin discover cdk.out/Shop.template.json"): "reads what the CDK wrote",
    (
        "docs/how-to.md",
        "aws cloudformation get-template --stack-name shop --template-stage Processed --query TemplateBody > processed.json",
    ): "the AWS command line is no dependency",
    ("docs/how-to.md", "tocsin discover processed.json"): "reads what the AWS command line wrote",
}

# Blocks of these languages are pictures of something, not text that could be held against anything.
PICTURES = {"mermaid", "text"}


@dataclass
class Shell:
    """One terminal: a folder and variables that last from one command to the next."""

    folder: Path
    state: Path
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        keep = 'import json, os, sys; json.dump([os.getcwd(), dict(os.environ)], open(sys.argv[1], "w"))'
        remember = shlex.join([sys.executable, "-c", keep, str(self.state)])
        done = subprocess.run(
            ["bash", "-c", f"{command}\nstatus=$?\n{remember}\nexit $status"],
            check=False,
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            timeout=120,
        )
        folder, self.variables = json.loads(self.state.read_text())
        self.folder = Path(folder)
        return done


@pytest.fixture(scope="module")
def account() -> Iterator[dict[str, str]]:
    """An AWS in which the example is deployed as dev-checkout: the variables under which it is reached."""
    pytest.importorskip("ministack", reason="the embedded AWS is not installed")
    import boto3

    from tocsin.cloud.embedded import embedded

    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("orders.py", "def accept(event, context): ...\n\n\ndef fulfil(event, context): ...\n")
        archive.writestr("books.py", "def close(event, context): ...\n")
    with embedded() as aws:
        variables = aws.boto3_environment()
        session = boto3.Session(variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], None, aws.region)
        s3, stacks = (session.client(name, endpoint_url=aws.endpoint) for name in ("s3", "cloudformation"))
        for bucket in ("code", "checkout-artifacts", "checkout-dev-artifacts"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})
        s3.put_object(Bucket="code", Key="checkout.zip", Body=code.getvalue())
        stacks.create_stack(
            StackName="dev-checkout",
            TemplateBody=(EXAMPLE / "template.yaml").read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": "CodeBucket", "ParameterValue": "code"}],
            Capabilities=["CAPABILITY_IAM"],
        )
        stacks.get_waiter("stack_create_complete").wait(
            StackName="dev-checkout", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        yield variables


@pytest.fixture(params=STARTS)
def reader(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[str, Shell]:
    """A document, and a terminal with a clone, a folder of the reader's own beside it, and AWS where it is needed."""
    document = request.param
    shutil.copytree(ROOT, tmp_path / "tocsin", ignore=shutil.ignore_patterns(*ignored()))
    if STARTS[document] == "checkout":
        shutil.copytree(EXAMPLE, tmp_path / "checkout", ignore=shutil.ignore_patterns(*ignored()))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTEST_"))}
    variables["PATH"] = os.pathsep.join((PROGRAMS, variables["PATH"]))
    if any(step.command.startswith("tocsin deploy") and not reason(step) for step in all_steps(document)):
        variables |= request.getfixturevalue("account")
    return document, Shell(tmp_path / STARTS[document], tmp_path / "state.json", variables)


def blocks(document: str) -> list[Fence]:
    return fences(ROOT / document, document)


def all_steps(document: str) -> list[Step]:
    return [step for fence in blocks(document) if fence.language in SHELL for step in steps(fence)]


def reason(step: Step) -> str | None:
    """Why a command is not run; None for one that is."""
    return NOT_RUN.get((step.where.partition(":")[0], without_comment(step.command)))


def test_a_reader_who_does_what_is_shown_sees_what_is_shown(reader: tuple[str, Shell]) -> None:
    document, shell = reader
    for fence in blocks(document):
        if fence.language in SHELL:
            for step in steps(fence):
                if not reason(step):
                    follow(step, shell)
        elif "file" in fence.options:
            path = shell.folder / fence.options["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fence.text, encoding="utf-8")
        elif "excerpt" in fence.options:
            text = (shell.folder / fence.options["excerpt"]).read_text(encoding="utf-8")
            absent = missing(fence.text.splitlines(), text, whole=False)
            assert absent is None, f"{fence.where}: {fence.options['excerpt']} has no such lines:\n{absent}"


def follow(step: Step, shell: Shell) -> None:
    done = shell.run(step.command)
    said = f"{step.where}: {step.command}"
    assert done.returncode == 0, f"{said}: exit code {done.returncode}\n{done.stdout}"
    if step.shown:
        absent = missing(list(step.shown), done.stdout, whole=True)
        assert absent is None, f"{said}: does not print\n{absent}\n\nbut\n{done.stdout}"


def test_the_review_that_the_readme_shows_is_that_of_the_clone(tmp_path: Path) -> None:
    shutil.copytree(ROOT, tmp_path / "tocsin", ignore=shutil.ignore_patterns(*ignored()))
    shell = Shell(
        tmp_path / "tocsin",
        tmp_path / "state.json",
        {"PATH": os.pathsep.join((PROGRAMS, os.environ["PATH"])), "HOME": str(tmp_path)},
    )
    (step,) = (step for step in all_steps("README.md") if step.command.startswith("tocsin review"))
    follow(step, shell)


def test_links_in_what_a_newcomer_builds_lead_somewhere(tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "template.yaml", tmp_path)
    shell = Shell(tmp_path, tmp_path / "state.json", {"PATH": os.pathsep.join((PROGRAMS, os.environ["PATH"]))})
    for command in ("tocsin init --template template.yaml --name checkout --owner payments", "tocsin build"):
        assert shell.run(command).returncode == 0
    pages = sorted(tmp_path.rglob("*.md"))
    assert len(pages) > 20
    assert not {path.name: broken for path in pages if (broken := broken_links(path))}


def test_what_is_not_run_is_shown_somewhere() -> None:
    found = {(document, without_comment(step.command)) for document in STARTS for step in all_steps(document)}
    assert NOT_RUN.keys() <= found


@pytest.mark.parametrize("document", STARTS)
def test_every_block_is_held_against_something(document: str) -> None:
    loose = [
        f"{fence.where}: {fence.language or 'no language'}"
        for fence in blocks(document)
        if not (fence.language in SHELL or fence.language == "python" or fence.language in PICTURES)
        and not fence.options.keys() & {"file", "excerpt"}
    ]
    assert not loose, "name the file= the reader writes or the excerpt= it is of"


@pytest.mark.parametrize("document", STARTS)
def test_declarations_can_be_planned(document: str, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "template.yaml", tmp_path)
    for number, fence in enumerate(fence for fence in blocks(document) if fence.language == "python"):
        text = fence.text
        if "System(" not in text:  # the promises alone
            before = 'from tocsin import *\nstack = discover("template.yaml")\n'
            after = 'system = System(name="checkout", owner="payments", resources=stack, slos=slos)\n'
            text = before + text + after
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "checkout.py").write_text(text, encoding="utf-8")
        (system,) = load_systems(tmp_path, str(number))
        assert plan(system).alarms, fence.where


def test_environments_can_be_read(tmp_path: Path) -> None:
    from tocsin.cloud.environments import read_environments

    path = tmp_path / "environments.toml"
    for document in STARTS:
        for fence in blocks(document):
            if fence.options.get("file") == "deploy/environments.toml":
                path.write_text(fence.text, encoding="utf-8")
                assert read_environments(path), fence.where
    assert path.exists()


def commands(program: str) -> list[tuple[str, str]]:
    """(where, command) for each command of a program in any document: in blocks, and in backticks in running text."""
    found = [(step.where, step.command) for document in STARTS for step in all_steps(document)]
    for path in markdown_files():
        found += [(path.relative_to(ROOT).as_posix(), code) for code in inline_code(path)]
    return [(where, without_comment(text)) for where, text in found if re.match(rf"{program}( |$)", text)]


def test_targets_of_make_exist() -> None:
    rules = re.findall(r"^([a-z ]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    found = commands("make")
    assert found
    for where, command in found:
        asked = [word for word in shlex.split(command)[1:] if "=" not in word]
        assert set(asked) <= targets, f"{where}: {command}"


def test_options_of_the_run_exist() -> None:
    options = {option for _, command in commands("make run") for option in re.findall(r"--[a-z-]+", command)}
    assert options
    done = subprocess.run(
        [sys.executable, "-m", "deploy.run", "--help"], check=True, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert all(option in done.stdout for option in options)


def test_commands_of_tocsin_exist_with_their_options() -> None:
    found = commands("tocsin")
    assert found
    for where, command in found:
        for part in re.split(r"\s*(?:&&|\|\|?|>)\s*", command):
            words = shlex.split(part.replace("…", "X"))
            if words[:1] != ["tocsin"] or len(words) == 1:
                continue
            name = next((name for name in (" ".join(words[1:3]), words[1]) if name in NAMED), "")
            known = NAMED.get(name)
            options = {option for parameter in (known or main).params for option in parameter.opts} | {"--help"}
            assert known is not None or words[1] in options, f"{where}: {command}: no command {words[1]}"
            strange = [word for word in words[1:] if word.startswith("-") and word.partition("=")[0] not in options]
            assert not strange, f"{where}: {command}: no option {', '.join(strange)}"
