"""The command line from outside: every command and option, what goes where, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from command_line import (
    DATA_PIPELINE,
    NOTIFICATION,
    SHOP,
    command,
    declare,
    named_commands,
    only_line,
    process,
    refused,
    tocsin,
)
from tocsin.cli import main
from tocsin.cli.here import system_name

NAMED = named_commands()
COMMANDS = sorted(NAMED)
# They join AWS and the on-call tool, or read what is committed, and no template of a user's.
# Groups of commands, which do nothing by themselves; "oncall" is one, too, but its examples are of its commands.
GROUPS = {name for name in COMMANDS if isinstance(NAMED[name], click.Group)}
# What they print or write is for machines as it is, or a file for a person to edit.
ONE_FORM = {"export openslo", "history stack", "import openslo", "init"}
# They read no template, or a file that was built of one.
NO_TEMPLATE = {"explain", "history show", "history stack"}
OF_ON_CALL = {name for name in COMMANDS if name.partition(" ")[0] in ("drill", "mute", "oncall")}
SLOS = 'availability(stack["Api"], objective="99.9%", window="28d")'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder of its own that holds the shop's template."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template.yaml").write_text(SHOP)
    return tmp_path


def as_json(*arguments: str | Path) -> Any:
    result = tocsin(*arguments, "--json")
    return json.loads(result.stdout)


class TestHelp:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_each_command_explains_itself_with_examples(self, name: str) -> None:
        for flag in ("--help", "-h"):
            result = tocsin(*name.split(), flag)
            assert result.exit_code == 0
            assert result.stderr == ""
            assert "Examples:" in result.stdout
            assert f"tocsin {name}" in result.stdout.split("Examples:")[1]

    @pytest.mark.parametrize("name", COMMANDS)
    def test_each_option_has_a_text(self, name: str) -> None:
        for parameter in NAMED[name].params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts}"

    @pytest.mark.parametrize("name", COMMANDS)
    def test_each_example_uses_only_what_there_is(self, name: str) -> None:
        options = {option for parameter in NAMED[name].params for option in parameter.opts}
        for line in (NAMED[name].epilog or "").splitlines():
            if line.strip().startswith(f"tocsin {name} "):
                assert {word for word in line.split() if word.startswith("--")} <= options, line

    @pytest.mark.parametrize("name", sorted(set(COMMANDS) - GROUPS - ONE_FORM))
    def test_a_machine_can_read_every_command_that_tells_something(self, name: str) -> None:
        assert any("--json" in parameter.opts for parameter in NAMED[name].params)

    def test_every_command_that_reads_a_template_takes_its_parameters(self) -> None:
        for name in set(COMMANDS) - GROUPS - NO_TEMPLATE - OF_ON_CALL:
            assert any("--param" in parameter.opts for parameter in NAMED[name].params), name

    def test_the_whole_lists_every_command(self) -> None:
        result = tocsin("--help")
        assert result.exit_code == 0
        assert all(name in result.stdout for name in main.commands)

    def test_without_anything_the_help_is_shown(self) -> None:
        result = tocsin()
        assert result.exit_code == 2
        assert "Commands:" in result.output

    def test_version(self) -> None:
        result = tocsin("--version")
        assert result.exit_code == 0
        assert result.stdout.startswith("tocsin, version ")


class TestDiscover:
    def test_table(self) -> None:
        result = tocsin("discover", "template.yaml")
        assert result.exit_code == 0
        assert result.stderr == ""
        assert "4 watched" in result.stdout
        assert "dead-letter queue" in result.stdout
        assert "Role" in result.stdout.split("1 not watched")[1]
        assert all(line == line.rstrip() for line in result.stdout.splitlines())

    def test_json(self) -> None:
        listing = as_json("discover", "template.yaml")
        assert set(listing) == {"resources", "unwatched"}
        (failed,) = [one for one in listing["resources"] if one["logical_id"] == "Failed"]
        assert failed == {
            "type": "AWS::SQS::Queue",
            "logical_id": "Failed",
            "name": None,
            "conditional": False,
            "role": "dlq",
        }
        assert [(one["type"], one["logical_id"]) for one in listing["unwatched"]] == [("AWS::IAM::Role", "Role")]

    def test_notes_do_not_mix_with_what_a_machine_reads(self, folder: Path) -> None:
        (folder / "twice.yaml").write_text("Resources:\n  A: {Type: AWS::SQS::Queue}\n  A: {Type: AWS::SQS::Queue}\n")
        for arguments in (["twice.yaml"], ["twice.yaml", "--json"]):
            result = tocsin("discover", *arguments)
            assert result.exit_code == 0
            assert (
                result.stderr == "note: twice.yaml: line 3, column 3: the key 'A' stands twice; the last one counts\n"
            )
        assert json.loads(result.stdout)["resources"]

    def test_a_name_with_brackets_is_no_markup(self, folder: Path) -> None:
        (folder / "t.json").write_text(
            json.dumps({"Resources": {"A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "[red]q\\[/]:x:"}}}})
        )
        assert "[red]q\\[/]:x:" in tocsin("discover", "t.json").stdout

    def test_parameters(self, folder: Path) -> None:
        (folder / "t.yaml").write_text(
            "Parameters: {Name: {Type: String}}\n"
            "Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Name}}}\n"
        )
        assert as_json("discover", "t.yaml")["resources"][0]["name"] is None
        assert as_json("discover", "t.yaml", "--param", "Name=a=b")["resources"][0]["name"] == "a=b"


class TestBuild:
    def test_what_is_declared(self, folder: Path) -> None:
        declare(folder, SLOS)
        result = tocsin("build")
        assert result.exit_code == 0
        assert result.stderr == ""
        assert "wrote    alarms/shop.yaml" in result.stdout.splitlines()
        for path in ("alarms/shop.yaml", "alarms/README.md", "dashboards/shop.json", "dashboards/slo-overview.json"):
            assert (folder / path).is_file()
        for path in ("SLOs.md", "deploy/routing.yaml", "runbooks/README.md", "runbooks/slo-availability.md"):
            assert (folder / path).is_file()

    def test_a_second_time_changes_nothing(self, folder: Path) -> None:
        declare(folder, SLOS)
        first = as_json("build")
        second = as_json("build")
        assert first["written"]
        assert second["written"] == second["removed"] == []
        assert second["unchanged"] == first["written"]
        assert (
            second["systems"]
            == first["systems"]
            == {"shop": {"alarms": second["systems"]["shop"]["alarms"], "slos": 1}}
        )

    def test_what_was_built_passes_the_check(self, folder: Path) -> None:
        declare(folder, SLOS)
        assert tocsin("build").exit_code == 0
        result = tocsin("check")
        assert result.exit_code == 0, result.output
        assert "0 findings" in result.stdout

    def test_from_a_folder_below(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        declare(folder, SLOS)
        monkeypatch.chdir(folder / "monitoring")
        assert tocsin("build").exit_code == 0
        assert (folder / "alarms" / "shop.yaml").is_file()

    def test_a_system_that_is_gone_takes_its_files_along(self, folder: Path) -> None:
        declare(folder, SLOS)
        declare(folder, text=declare(folder).read_text().replace("shop", "other"), file="other.py")
        tocsin("build")
        assert (folder / "alarms" / "other.yaml").is_file()
        (folder / "monitoring" / "systems" / "other.py").unlink()
        assert as_json("build")["removed"] == ["alarms/other.yaml", "dashboards/other.json"]
        assert not (folder / "alarms" / "other.yaml").exists()
        assert (folder / "alarms" / "shop.yaml").is_file()

    def test_what_a_declaration_prints_is_no_part_of_the_output(self, folder: Path) -> None:
        path = declare(folder)
        path.write_text(path.read_text() + "print('hello')\n")
        result = tocsin("build", "--json")
        assert json.loads(result.stdout)["systems"] == {
            "shop": {"alarms": json.loads(result.stdout)["systems"]["shop"]["alarms"], "slos": 0}
        }
        assert result.stderr == "hello\n"

    def test_a_template_alone(self, folder: Path) -> None:
        built = as_json("build", "--template", "template.yaml", "--name", "shop", "--owner", "payments", "--out", "out")
        assert set(built["systems"]) == {"shop"}
        assert (folder / "out" / "alarms" / "shop.yaml").is_file()
        assert "owned by payments" in (folder / "out" / "alarms" / "shop.yaml").read_text()
        written = {Path(path).stem for path in built["written"] if path.startswith("runbooks/")}
        kinds = _kinds(folder / "out" / "alarms" / "shop.yaml")
        # Beyond those of its alarms only runbooks that another one links to.
        texts = "".join((folder / "out" / "runbooks" / f"{kind}.md").read_text() for kind in written)
        assert set(kinds) <= written
        beside = written - set(kinds) - {"on-call-delivery"}  # the routing has alarms of its own
        assert all(f"]({kind}.md)" in texts for kind in beside)

    def test_a_template_here_under_its_own_name(self, folder: Path) -> None:
        (folder / "checkout.yaml").write_text(SHOP)
        assert tocsin("build", "--template", "checkout.yaml").exit_code == 0
        assert (folder / "alarms" / "checkout.yaml").is_file()
        assert "owned by on-call" in (folder / "alarms" / "checkout.yaml").read_text()

    def test_parameters_reach_the_thresholds(self, folder: Path) -> None:
        for timeout in ("10", "100"):
            out = folder / timeout
            result = tocsin(
                "build", "--template", "template.yaml", "--name", "shop", "--param", f"Timeout={timeout}", "--out", out
            )
            assert result.exit_code == 0
        short, long = ((folder / timeout / "alarms" / "shop.yaml").read_text() for timeout in ("10", "100"))
        assert short != long

    def test_a_folder_of_templates(self, folder: Path) -> None:
        templates = folder / "templates"
        templates.mkdir()
        (templates / "shop.yaml").write_text(SHOP)
        (templates / "Big_Store.template.json").write_text('{"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}')
        (templates / "notes.txt").write_text("no template")
        built = as_json("build", "--templates", "templates", "--out", "out", "--param", "Timeout=20")
        assert set(built["systems"]) == {"shop", "big-store"}
        assert (folder / "out" / "alarms" / "big-store.yaml").is_file()

    def test_a_template_with_nothing_to_watch_among_others_is_left_out_and_said(self, folder: Path) -> None:
        templates = folder / "templates"
        templates.mkdir()
        (templates / "shop.yaml").write_text(SHOP)
        (templates / "roles.yaml").write_text("Resources: {R: {Type: AWS::IAM::Role}}")
        result = tocsin("build", "--templates", "templates", "--out", "out")
        assert result.exit_code == 0
        assert result.stderr == "note: templates/roles.yaml: nothing in it is watched, so it is left out\n"
        assert not (folder / "out" / "alarms" / "roles.yaml").exists()

    def test_the_same_templates_one_by_one_and_together(self, folder: Path) -> None:
        templates = folder / "templates"
        templates.mkdir()
        for path, source in (("notification.yaml", NOTIFICATION), ("pipeline.yaml", DATA_PIPELINE)):
            (templates / path).write_bytes(source.read_bytes())
        assert tocsin("build", "--templates", "templates", "--out", "together").exit_code == 0
        for name in ("notification", "pipeline"):
            assert tocsin("build", "--template", templates / f"{name}.yaml", "--out", name).exit_code == 0
            for kind, suffix in (("alarms", "yaml"), ("dashboards", "json")):
                path = f"{kind}/{name}.{suffix}"
                assert (folder / name / path).read_bytes() == (folder / "together" / path).read_bytes()


def _kinds(path: Path) -> set[str]:
    from tocsin.cloudformation.document import load

    return {body["Metadata"]["Tocsin"]["Kind"] for body in load(path).tree["Resources"].values()}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("checkout.yaml", "checkout"),
        ("Shop.template.json", "shop"),
        ("a/b/order-service/template.yaml", "order-service"),
        ("My Service (old).yml", "my-service-old"),
        ("2024.yaml", "system-2024"),
        ("Ümläut.yaml", "ml-ut"),
        ("%%%.yaml", "system"),
        ("x" * 100 + ".yaml", "x" * 63),
    ],
)
def test_a_system_is_named_after_its_file(path: str, name: str) -> None:
    assert system_name(Path(path)) == name


class TestCheck:
    def test_findings_end_in_one(self, folder: Path) -> None:
        declare(folder, SLOS)
        result = tocsin("check")
        assert result.exit_code == 1
        assert "alarms/shop.yaml: T002 missing" in result.stdout.splitlines()
        assert result.stderr == ""

    def test_json(self, folder: Path) -> None:
        declare(folder, SLOS)
        tocsin("build")
        report = as_json("check")
        assert report["findings"] == []
        assert report["cost"]["usd_a_month"] == pytest.approx(
            sum(line["usd_a_month"] for line in report["cost"]["lines"])
        )
        (folder / "SLOs.md").unlink()
        assert [(one["id"], one["where"]) for one in as_json("check")["findings"]] == [("T002", "SLOs.md")]

    def test_budget(self, folder: Path) -> None:
        declare(folder, SLOS)
        tocsin("build")
        assert tocsin("check", "--budget", "1000").exit_code == 0
        result = tocsin("check", "--budget", "0.5")
        assert result.exit_code == 1
        assert "--budget: T070 all alarms together cost USD" in result.stdout
        nan = tocsin("check", "--budget", "nan")
        assert nan.exit_code == 2
        assert "--budget nan: give an amount in US dollars" in only_line(nan.stderr)

    def test_somebody_elses_alarms(self, folder: Path) -> None:
        (folder / "alarms.yaml").write_text(
            "Parameters: {Window: {Type: Number, Default: 300}}\n"
            "Resources:\n"
            "  A:\n"
            "    Type: AWS::CloudWatch::Alarm\n"
            "    Properties:\n"
            "      {Namespace: AWS/SQS, MetricName: NumberOfMessagesSend, Statistic: Sum, Period: !Ref Window, EvaluationPeriods: 1,\n"
            "       Threshold: 1, ComparisonOperator: GreaterThanThreshold, AlarmActions: [t]}\n"
        )
        result = tocsin("check", "--template", "alarms.yaml")
        assert result.exit_code == 1
        assert "alarms.yaml#A: T050" in result.stdout
        assert "1 alarm, USD 0.10 a month, 1 finding" in result.stdout
        found = as_json("check", "--template", "alarms.yaml", "--param", "Window=45")
        assert sorted(one["id"] for one in found["findings"]) == ["T032", "T050"]


class TestExplain:
    def test_all(self) -> None:
        result = tocsin("explain")
        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) == len(as_json("explain"))

    def test_one(self) -> None:
        assert "What to do:" in tocsin("explain", "t012").stdout
        assert as_json("explain", "T012")["id"] == "T012"


class TestInit:
    def test_it_builds_at_once(self, folder: Path) -> None:
        result = tocsin("init", "--template", "template.yaml", "--name", "shop", "--owner", "payments")
        assert result.exit_code == 0
        assert result.stdout.startswith("wrote monitoring/systems/shop.py")
        assert tocsin("build").exit_code == 0
        assert tocsin("check").exit_code == 0

    def test_what_is_there_stays_unless_forced(self, folder: Path) -> None:
        tocsin("init", "--template", "template.yaml", "--name", "shop")
        path = folder / "monitoring" / "systems" / "shop.py"
        path.write_text("mine")
        assert "--force" in refused("init", "--template", "template.yaml", "--name", "shop")
        assert path.read_text() == "mine"
        assert tocsin("init", "--template", "template.yaml", "--name", "shop", "--force").exit_code == 0
        assert path.read_text() != "mine"

    def test_the_parameters_it_was_read_with_are_kept(self, folder: Path) -> None:
        tocsin(
            "init", "--template", "template.yaml", "--name", "shop", "--param", "Timeout=77", "--param", "Stage=test"
        )
        text = (folder / "monitoring" / "systems" / "shop.py").read_text()
        assert '"Timeout": "77"' in text
        assert tocsin("build").exit_code == 0

    def test_a_template_outside_is_named_from_the_project(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        project = folder / "project"
        project.mkdir()
        monkeypatch.chdir(project)
        assert tocsin("init", "--template", folder / "template.yaml", "--name", "shop").exit_code == 0
        assert 'discover("../template.yaml")' in (project / "monitoring" / "systems" / "shop.py").read_text()
        assert tocsin("build").exit_code == 0


class TestSimulate:
    @pytest.fixture
    def files(self, folder: Path) -> list[str]:
        (folder / "alarms.yaml").write_text(
            "Parameters: {Queue: {Type: String}}\n"
            "Resources:\n"
            "  A:\n"
            "    Type: AWS::CloudWatch::Alarm\n"
            "    Properties:\n"
            "      {AlarmName: deep, Namespace: AWS/SQS, MetricName: ApproximateNumberOfMessagesVisible, Statistic: Maximum,\n"
            "       Dimensions: [{Name: QueueName, Value: !Ref Queue}], Period: 60, EvaluationPeriods: 1, Threshold: 5,\n"
            "       ComparisonOperator: GreaterThanThreshold, AlarmActions: ['arn:aws:sns:eu-west-1:111111111111:t']}\n"
        )
        series = {
            "Namespace": "AWS/SQS",
            "MetricName": "ApproximateNumberOfMessagesVisible",
            "Dimensions": {"QueueName": "orders"},
            "Period": 60,
            "Start": "2026-01-01T00:00:00Z",
            "Statistic": "Maximum",
            "Values": [0, 0, 0, 9, 9, 9, 0, 0, 0, 0],
        }
        (folder / "series.json").write_text(json.dumps(series))
        return ["simulate", "--template", "alarms.yaml", "--series", "series.json", "--param", "Queue=orders"]

    def test_lines_and_json(self, files: list[str]) -> None:
        result = tocsin(*files)
        assert result.exit_code == 0, result.output
        assert "deep: OK → ALARM" in result.stdout
        assert "tells arn:aws:sns:eu-west-1:111111111111:t" in result.stdout
        changes = as_json(*files)["alarms"]["deep"]
        assert [change["state"] for change in changes][-2:] == ["ALARM", "OK"]

    def test_a_part_of_the_time(self, files: list[str]) -> None:
        part = as_json(*files, "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T00:02:00")
        assert part["to"] == "2026-01-01T00:02:00Z"
        assert all(change["state"] != "ALARM" for change in part["alarms"]["deep"])


class TestProcess:
    """What only a process of its own shows."""

    @pytest.mark.parametrize(
        "arguments", [["explain"], ["discover", NOTIFICATION], ["discover", NOTIFICATION, "--json"]]
    )
    def test_a_reader_that_has_seen_enough(self, arguments: list[str], folder: Path) -> None:
        child = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder)
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        with child.stderr:
            assert child.stderr.read() == b""
        assert child.wait() == 0

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
    def test_a_full_disk_under_the_output(self, folder: Path) -> None:
        with Path("/dev/full").open("w") as full:
            outcome = subprocess.run(
                command("discover", "template.yaml"),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                cwd=folder,
                check=False,
            )
        assert outcome.returncode == 2
        assert only_line(outcome.stderr) == "the output: No space left on device"

    def test_ctrl_c(self, folder: Path) -> None:
        path = declare(folder)
        path.write_text("import sys, time\nsys.stderr.write('waiting\\n')\nsys.stderr.flush()\ntime.sleep(60)\n")
        child = subprocess.Popen(command("build"), stderr=subprocess.PIPE, text=True, cwd=folder)
        assert child.stderr is not None
        with child.stderr:
            assert child.stderr.readline() == "waiting\n"
            child.send_signal(signal.SIGINT)
            assert child.stderr.read() == "tocsin: interrupted\n"
        # Python may end itself by the signal instead; a shell calls both 130.
        assert child.wait() in (130, -signal.SIGINT)
        assert not (folder / "alarms").exists()

    def test_a_folder_that_is_gone(self, folder: Path) -> None:
        gone = folder / "gone"
        gone.mkdir()
        script = (
            f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); from tocsin.cli import main; main()"
        )
        outcome = subprocess.run(
            [command()[0], "-c", script, "build"], capture_output=True, text=True, cwd=folder, check=False
        )
        assert outcome.returncode == 2
        assert only_line(outcome.stderr) == "the current folder is gone; change to one that is there"

    def test_an_output_that_knows_ascii_only(self, folder: Path) -> None:
        for arguments in (["discover", "template.yaml"], ["explain", "T031"], ["discover", "template.yaml", "--json"]):
            outcome = process(*arguments, cwd=folder, environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
            assert outcome.returncode == 0, outcome.stderr
            assert outcome.stdout.isascii()

    @pytest.mark.parametrize("columns", ["10", "40", "200"])
    def test_a_terminal_of_any_width(self, columns: str, folder: Path) -> None:
        text = on_terminal(["discover", "template.yaml"], folder, {"COLUMNS": columns})
        assert "watched" in text
        shown = [line for line in click.unstyle(text).splitlines() if line.strip()]
        assert max(map(len, shown)) <= max(int(columns), 20)

    def test_colour_is_for_terminals_that_want_it(self, folder: Path) -> None:
        arguments = ["discover", "template.yaml"]
        assert "\x1b[" in on_terminal(arguments, folder, {"TERM": "xterm-256color"})
        plain = on_terminal(arguments, folder, {"TERM": "xterm-256color", "NO_COLOR": "1"})
        assert not re.search("\x1b\\[[0-9;]*(3[0-9]|4[0-9]|9[0-9])m", plain), "bold and italic may stay"
        assert "\x1b[" not in on_terminal(arguments, folder, {"TERM": "dumb"})
        assert "\x1b[" not in process(*arguments, cwd=folder).stdout

    def test_a_mistake_of_its_own_is_one_line_too(self, folder: Path) -> None:
        script = (
            "import tocsin.findings\n"
            "tocsin.findings.FINDINGS = None\n"  # as broken as a program can be
            "from tocsin.cli import main\n"
            "main()"
        )
        run = [command()[0], "-c", script, "explain"]
        outcome = subprocess.run(run, capture_output=True, text=True, cwd=folder, check=False)
        assert outcome.returncode == 3
        assert outcome.stderr.startswith("tocsin: a mistake in Tocsin, not yours: AttributeError: ")
        assert len(outcome.stderr.splitlines()) == 1
        shown = subprocess.run(
            run, capture_output=True, text=True, cwd=folder, check=False, env={**os.environ, "TOCSIN_TRACEBACK": "1"}
        )
        assert "Traceback" in shown.stderr

    def test_help_loads_nothing_heavy(self, folder: Path) -> None:
        heavy = {"numpy", "boto3", "botocore", "troposphere", "grafanalib", "cfnlint", "samtranslator", "rich", "yaml"}
        script = (
            "import sys\n"
            "from tocsin.cli import main\n"
            "main(['--help'], standalone_mode=False)\n"
            "print('\\n'.join(sorted({name.split('.')[0] for name in sys.modules})))"
        )
        outcome = subprocess.run([command()[0], "-c", script], capture_output=True, text=True, cwd=folder, check=True)
        assert not heavy & set(outcome.stdout.splitlines())

    def test_a_build_loads_no_linter_and_no_cloud(self, folder: Path) -> None:
        script = (
            "import sys\n"
            "from tocsin.cli import main\n"
            "main(['build', '--template', 'template.yaml', '--out', 'out'], standalone_mode=False)\n"
            "print('\\n'.join(sorted({name.split('.')[0] for name in sys.modules})))"
        )
        outcome = subprocess.run([command()[0], "-c", script], capture_output=True, text=True, cwd=folder, check=True)
        assert not {"numpy", "boto3", "botocore", "cfnlint", "samtranslator", "rich"} & set(outcome.stdout.splitlines())


def on_terminal(arguments: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    own = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TERM")
    }
    child = subprocess.Popen(
        command(*arguments), stdout=theirs, cwd=folder, env={**own, "TERM": "xterm", **environment}
    )
    os.close(theirs)
    printed = b""
    while True:
        try:
            read = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not read:
            break
        printed += read
    os.close(ours)
    assert child.wait() == 0
    return printed.decode()
