"""docs/on-call.md: what it shows is what happens, and who is woken is who deploy/oncall.toml says."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import process
from documents import ROOT, SHELL, Fence, broken_links, fences, missing, steps
from tocsin.cli import main
from tocsin.cli.oncall import oncall
from tocsin.cloud.environments import read_environments
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
    "python -m tocsin.paging.embedded --user payments-primary@example.com": "stays up until Ctrl-C; what it starts runs here",
}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The checkout of the tutorial, deployed as dev-checkout in an AWS, and an on-call tool; variables to reach both."""
    pytest.importorskip("ministack", reason="the embedded AWS is not installed")
    from oncall_tools import as_caller, cloud_of

    from tocsin.cloud.embedded import embedded
    from tocsin.paging.embedded import embedded_oncall

    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "docs" / "example", folder, ignore=shutil.ignore_patterns("__pycache__"))
    with embedded() as aws, embedded_oncall(users=PEOPLE, certificates_from=aws.endpoint) as pager:
        cloud = cloud_of(aws)
        with as_caller(aws):
            variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        variables["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), variables["PATH"]))
        variables["OPSGENIE_API_KEY"] = pager.key
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("orders.py", "def accept(event, context): ...\n\n\ndef fulfil(event, context): ...\n")
            archive.writestr("books.py", "def close(event, context): ...\n")
        s3, stacks = cloud.client("s3"), cloud.client("cloudformation")
        for bucket in ("code", "checkout-artifacts"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})
        s3.put_object(Bucket="code", Key="checkout.zip", Body=code.getvalue())
        stacks.create_stack(
            StackName="dev-checkout",
            TemplateBody=(folder / "template.yaml").read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": "CodeBucket", "ParameterValue": "code"}],
            Capabilities=["CAPABILITY_IAM"],
        )
        stacks.get_waiter("stack_create_complete").wait(StackName="dev-checkout", WaiterConfig={"Delay": 1})
        (folder / "deploy").mkdir()
        (folder / "deploy" / "environments.toml").write_text(
            f'[dev]\nregion = "{aws.region}"\nartifacts_bucket = "checkout-artifacts"\noncall_url = "{pager.url}"\n',
            encoding="utf-8",
        )
        for tutorial in fences(ROOT / "docs" / "tutorial.md"):
            if tutorial.options.get("file") == "monitoring/systems/checkout.py":
                path = folder / "monitoring" / "systems" / "checkout.py"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(tutorial.text, encoding="utf-8")
        yield {**variables, "PWD": str(folder)}


def test_a_reader_who_does_what_is_shown_sees_what_is_shown(shell: dict[str, str]) -> None:
    folder = Path(shell["PWD"])
    for fence in BLOCKS:
        if "file" in fence.options:
            (folder / fence.options["file"]).write_text(fence.text, encoding="utf-8")
        elif fence.language in SHELL:
            follow(fence, folder, shell)


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
            timeout=120,
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
