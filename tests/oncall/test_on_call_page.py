"""docs/on-call.md: what it shows is what happens, and who is woken is who deploy/oncall.toml says."""

from __future__ import annotations

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from command_line import process
from documents import GAP, ROOT, SHELL, Fence, broken_links, fences, missing, steps
from tocsin.cli import main
from tocsin.cli.oncall import oncall
from tocsin.cloud.environments import read_environments
from tocsin.cloud.session import Cloud, connect
from tocsin.model import Severity
from tocsin.paging.declared import OnCall, Recipient, RecipientKind, Route, Team, Way
from tocsin.paging.oncall_file import read_oncall
from tocsin.units import format_duration

PAGE = ROOT / "docs" / "on-call.md"
BLOCKS = fences(PAGE, "docs/on-call.md")
PEOPLE = ("payments-lead@example.com", "payments-primary@example.com", "payments-second@example.com")

# Tests of these commands hold what the page says they may, `page_policy` of oncall_tools.
POLICIES = ("apply", "drill", "mute", "replay")

# What is not run here, and why.
NOT_RUN = {
    "tocsin oncall migrate --to jira": "reads an Opsgenie account at its own address; a test of the command reads another",
    "aws s3 mb s3://checkout-artifacts": "needs the AWS command line; `watched` makes the same",
    "aws s3 mb s3://code": "as above",
    "aws s3 cp checkout.zip s3://code/": "as above",
    "aws cloudformation deploy --stack-name laptop-checkout --template-file template.yaml "
    "--parameter-overrides CodeBucket=code --capabilities CAPABILITY_IAM": "as above",
}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The checkout of the tutorial, deployed as dev-checkout in an AWS, and an on-call tool; variables to reach both."""
    pytest.importorskip("ministack", reason="the embedded AWS is not installed")
    from oncall_tools import as_caller, cloud_of

    from tocsin.cloud.embedded import embedded
    from tocsin.paging.embedded import embedded_oncall

    folder = checkout(tmp_path)
    with embedded() as aws, embedded_oncall(users=PEOPLE, certificates_from=aws.endpoint) as pager:
        with as_caller(aws):
            variables = inherited()
        variables["OPSGENIE_API_KEY"] = pager.key
        watched(cloud_of(aws), "dev-checkout", folder)
        yield {**variables, "PWD": str(folder), "ONCALL_URL": pager.url}


def inherited() -> dict[str, str]:
    """This process's variables, with its `tocsin` and without what pytest adds."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return {**variables, "PATH": os.pathsep.join((str(Path(sys.executable).parent), variables["PATH"]))}


def checkout(folder: Path) -> Path:
    """The project as the tutorial leaves it."""
    folder = folder / "checkout"
    shutil.copytree(ROOT / "docs" / "example", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for tutorial in fences(ROOT / "docs" / "tutorial.md"):
        if tutorial.options.get("file") in ("monitoring/systems/checkout.py", "deploy/environments.toml"):
            path = folder / tutorial.options["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(tutorial.text, encoding="utf-8")
    return folder


def watched(cloud: Cloud, stack: str, folder: Path) -> None:
    """What the alarms watch, deployed as ``stack``, and the buckets."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("orders.py", "def accept(event, context): ...\n\n\ndef fulfil(event, context): ...\n")
        archive.writestr("books.py", "def close(event, context): ...\n")
    s3, stacks = cloud.client("s3"), cloud.client("cloudformation")
    for bucket in ("code", "checkout-artifacts"):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": cloud.region})
    s3.put_object(Bucket="code", Key="checkout.zip", Body=code.getvalue())
    stacks.create_stack(
        StackName=stack,
        TemplateBody=(folder / "template.yaml").read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": "CodeBucket", "ParameterValue": "code"}],
        Capabilities=["CAPABILITY_IAM"],
    )
    stacks.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})


def test_a_reader_who_does_what_is_shown_sees_what_is_shown(shell: dict[str, str]) -> None:
    folder = Path(shell["PWD"])
    stand_in = f'oncall_url = "{shell["ONCALL_URL"]}"\n'
    for fence in BLOCKS:
        if "part" in fence.options:
            continue
        if "file" in fence.options:
            text = fence.text
            if fence.options["file"].endswith("environments.toml"):
                refuse_addresses(folder, shell, stand_in)
                text += stand_in
            (folder / fence.options["file"]).write_text(text, encoding="utf-8")
        elif fence.language in SHELL:
            follow(fence, folder, shell)


def refuse_addresses(folder: Path, variables: dict[str, str], stand_in: str) -> None:
    """What the page says of the tutorial's addresses is so, and for each of them."""
    folder = Path(shutil.copytree(folder, folder.with_name("step-8")))
    file = folder / "deploy" / "environments.toml"
    # In another shell than that of step 8, the addresses are in no variable.
    told = {**variables, "PAYMENTS_PAGE_ENDPOINT": None, "PAYMENTS_TICKET_ENDPOINT": None}
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    own = lines.index("[dev.routing]\n")
    lines[own:own] = [stand_in, "\n"]
    file.write_text("".join(lines), encoding="utf-8")
    assert process("build", cwd=folder, environment=told).returncode == 0
    refused = []
    while (done := process("oncall", "plan", "dev", cwd=folder, environment=told)).returncode == 2:
        (name,) = re.findall(r"dev\.routing\.(\w+)", done.stderr)
        refused.append(name)
        lines = [line for line in lines if not line.startswith(name)]
        file.write_text("".join(lines), encoding="utf-8")
    assert sorted(refused) == ["PaymentsPageEndpoint", "PaymentsTicketEndpoint", "SecondWayEmail"], done.stderr


def test_a_laptop_has_all_of_it(tmp_path: Path) -> None:
    pytest.importorskip("ministack", reason="the embedded AWS is not installed")
    folder, variables = checkout(tmp_path), inherited()
    for fence in BLOCKS:
        if fence.options.get("file") == "deploy/oncall.toml":
            (folder / "deploy" / "oncall.toml").write_text(fence.text, encoding="utf-8")
    ports = {"4566": free_port(), "8080": free_port()}
    with ExitStack() as up:
        for fence in BLOCKS:
            if fence.options.get("part") != "laptop":
                continue
            text = re.sub("|".join(ports), lambda match: ports[match[0]], fence.text)
            here = replace(fence, text=text)
            if "file" in fence.options:
                (folder / fence.options["file"]).write_text(text, encoding="utf-8")
                cloud = connect("eu-west-1", endpoint_url=f"http://127.0.0.1:{ports['4566']}")
                with as_root():
                    watched(cloud, "laptop-checkout", folder)
            elif text.startswith("python -m "):
                printed = up.enter_context(served(next(steps(here)).command, folder, variables))
                variables |= dict(re.findall(r"^export (\w+)=(\S+)$", printed, re.MULTILINE))
            elif text.startswith("export "):
                stated = dict(re.findall(r"(\w+)=(\S+)", text))
                assert variables["OPSGENIE_API_KEY"], "the tool has printed it"
                variables |= {name: value for name, value in stated.items() if value != GAP}
            else:
                follow(here, folder, variables)


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


@contextmanager
def as_root() -> Iterator[None]:
    """As the page's exports say."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.delenv("AWS_SESSION_TOKEN", raising=False)
        yield


@contextmanager
def served(command: str, folder: Path, variables: dict[str, str]) -> Iterator[str]:
    """A server for the length of the block; what it prints when it is ready, up to its last line."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        try:
            printed = ""
            for line in child.stdout:
                printed += line
                if line.startswith(("{", "export ")):
                    break
            assert printed, command
            yield printed
        finally:
            child.terminate()
            child.communicate(timeout=30)


def follow(fence: Fence, folder: Path, variables: dict[str, str]) -> None:
    for step in steps(fence):
        if step.command.strip() in NOT_RUN:
            continue
        done = subprocess.run(
            ["bash", "-c", step.command],
            check=False,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        said = f"{step.where}: {step.command}"
        assert done.returncode == 0, f"{said}: exit code {done.returncode}\n{done.stdout}"
        if step.shown:
            absent = missing(list(step.shown), done.stdout, whole=True)
            assert absent is None, f"{said}: does not print\n{absent}\n\nbut\n{done.stdout}"


def test_what_is_not_run_is_shown() -> None:
    shown = {step.command.strip() for fence in BLOCKS if fence.language in SHELL for step in steps(fence)}
    assert NOT_RUN.keys() <= shown


def test_every_block_is_held_against_something(tmp_path: Path) -> None:
    """Commands run, files are written and used, each policy is a command's under enforced IAM; the rest is read here."""
    rest = [
        fence
        for fence in BLOCKS
        if not (fence.language in SHELL or fence.language == "mermaid" or "file" in fence.options)
        and fence.options.get("policy") not in POLICIES
    ]
    path = tmp_path / "environments.toml"
    for fence in rest:
        assert fence.language == "toml", f"{fence.where}: name the file= the reader writes"
        path.write_text(fence.text, encoding="utf-8")
        assert all(one.oncall_url for one in read_environments(path).values()), fence.where


def test_links_lead_somewhere() -> None:
    assert broken_links(PAGE) == []


def test_every_command_for_on_call_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert {"drill", "mute", "oncall"} <= main.commands.keys()
    for name in ("tocsin drill", "tocsin mute", *(f"tocsin oncall {each}" for each in oncall.commands)):
        assert name in text, name


def test_who_is_woken_is_who_the_file_says() -> None:
    declared = read_oncall(ROOT / "deploy" / "oncall.toml")
    text = PAGE.read_text(encoding="utf-8")
    rows = [
        f"| `{owner}` | {told(team, team.routes[Severity.PAGE], Severity.PAGE)} "
        f"| {told(team, team.routes[Severity.TICKET], Severity.TICKET)} |"
        for owner, team in sorted((owner, team) for team in declared.teams for owner in team.owners)
    ]
    for row in rows:
        assert row in text, f"docs/on-call.md lacks:\n{row}"
    assert sum(line.startswith("| `") and "on-call tool" in line for line in text.splitlines()) >= len(rows)
    check_sentences(declared, text)


def check_sentences(declared: OnCall, text: str) -> None:
    assert f"the file lists: {', '.join(f'`{name}`' for name in declared.environments)}." in text
    assert f"{declared.second_way} is told by e-mail" in text
    assert declared.heartbeat is not None
    silent = format_duration(declared.heartbeat.silent_after)
    assert f"not heard of for {silent}, the team {declared.heartbeat.team} is paged" in text


def told(team: Team, route: Route, severity: Severity) -> str:
    ways = [
        {
            Way.TOOL: "by the on-call tool",
            Way.FORWARDER: "by the forwarder and the on-call tool",
            Way.EMAIL: f"by e-mail to {route.email}",
            Way.CHAT: "chat",
        }[way]
        for way in route.ways
    ]
    if severity is Severity.TICKET:
        return ", and ".join(ways) + "; nobody is woken"
    assert team.escalation is not None
    said = [
        f"{'at once' if not step.after else f'after {format_duration(step.after)}'} {whom(step.recipient)}"
        for step in team.escalation.steps
    ]
    if team.escalation.repeat_after:
        said.append(f"again {format_duration(team.escalation.repeat_after)} after the last step")
    return f"{', and '.join(ways)}: {'; '.join(said)}"


def whom(recipient: Recipient) -> str:
    return recipient.name if recipient.kind is RecipientKind.USER else f"{recipient.kind.value} {recipient.name}"


def test_migrate_reads_and_changes_nothing(tmp_path: Path) -> None:
    from oncall_tools import ON_CALL, USERS

    from tocsin.paging.embedded import embedded_oncall

    with embedded_oncall(users=USERS) as pager:
        (tmp_path / "tocsin.toml").write_text("", encoding="utf-8")
        (tmp_path / "deploy").mkdir()
        file = tmp_path / "deploy" / "oncall.toml"
        file.write_text(
            ON_CALL.replace('name = "opsgenie"\n', f'name = "opsgenie"\nurl = "{pager.url}"\n'), encoding="utf-8"
        )
        with pager.state.lock:
            pager.state.teams.add({"name": "search", "description": "Made by hand."})
        for more in ((), ("--to", "jira", "--json")):
            done = process("oncall", "migrate", *more, cwd=tmp_path, environment={"OPSGENIE_API_KEY": pager.key})
            assert done.returncode == 0, done.stderr
            assert "search" in done.stdout
            assert "2027-04-05" in done.stdout
            assert pager.key not in done.stdout
        assert len(pager.state.teams) == 1
        done = process("oncall", "migrate", cwd=tmp_path, environment={"OPSGENIE_API_KEY": None})
        assert "the variable OPSGENIE_API_KEY is not set" in done.stderr
