"""Bad input: one line that says what is wrong, where and what to do; nothing half written; never a traceback."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_line import DATA_PIPELINE, NOTIFICATION, SHOP, declare, process, refused, snapshot, tocsin
from tocsin.catalog import CATALOG

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder of its own that holds the shop's template."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template.yaml").write_text(SHOP)
    return tmp_path


# Every command that reads a template, with FILE in its place.
READERS = [
    ["discover", "FILE"],
    ["build", "--template", "FILE", "--name", "shop", "--out", "out"],
    ["init", "--template", "FILE", "--name", "shop"],
    ["check", "--template", "FILE"],
    ["simulate", "--template", "FILE", "--series", "series.json"],
]
readers = pytest.mark.parametrize("reader", READERS, ids=[reader[0] for reader in READERS])


def with_file(reader: list[str], file: str) -> list[str]:
    return [file if word == "FILE" else word for word in reader]


class TestTemplates:
    @readers
    def test_no_such_file(self, reader: list[str]) -> None:
        assert refused(*with_file(reader, "nope.yaml")) == "nope.yaml: no such file"

    @readers
    @pytest.mark.parametrize(
        ("text", "where"),
        [
            ("Resources:\n  A: [1,\n  B: 2\n", "bad.txt:4:1: not YAML: "),
            ("Resources:\n\tA: 1\n", "bad.txt:2:1: not YAML: "),
            ('{"Resources": {\n  "A": {"Type" "x"}\n}}', "bad.txt:2:16: not JSON: "),
            ('{"Resources": {}', "bad.txt:1:17: not JSON: "),
            ("Resources:\n  A: !!python/object:os.system {}\n", "bad.txt:"),
            ("Resources: &a\n  A: *b\n", "bad.txt:2:6: the alias *b has no anchor before it"),
        ],
    )
    def test_neither_yaml_nor_json(self, reader: list[str], text: str, where: str, folder: Path) -> None:
        (folder / "bad.txt").write_text(text)
        assert refused(*with_file(reader, "bad.txt")).startswith(where)

    @readers
    @pytest.mark.parametrize("text", ["hello", "- 1\n- 2\n", "{}", "Resources: text", "[]", "null", "AWSTemplate: 1"])
    def test_not_a_template(self, reader: list[str], text: str, folder: Path) -> None:
        (folder / "bad.yaml").write_text(text)
        assert refused(*with_file(reader, "bad.yaml")).startswith("bad.yaml: not a CloudFormation template")

    @readers
    def test_an_empty_file(self, reader: list[str], folder: Path) -> None:
        (folder / "bad.yaml").write_text("\n")
        assert refused(*with_file(reader, "bad.yaml")) == "bad.yaml: empty: there is no template in it"

    @readers
    def test_a_folder_or_a_binary_file(self, reader: list[str], folder: Path) -> None:
        assert "a folder, not a template" in refused(*with_file(reader, "."))
        (folder / "bad.yaml").write_bytes(b"\x7fELF\0\0\0")
        assert refused(*with_file(reader, "bad.yaml")) == "bad.yaml: a binary file, not a template"

    def test_nothing_to_watch(self, folder: Path) -> None:
        (folder / "roles.yaml").write_text("Resources: {R: {Type: AWS::IAM::Role}}")
        message = "nothing in it is watched; `tocsin discover roles.yaml` says why"
        assert refused("build", "--template", "roles.yaml") == f"roles.yaml: {message}"
        (folder / "t").mkdir()
        (folder / "roles.yaml").rename("t/roles.yaml")
        result = tocsin("build", "--templates", "t")
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1].startswith("tocsin: t: nothing in its templates is watched")
        assert set(snapshot(folder)) == {"t", "t/roles.yaml", "template.yaml"}


class TestParameters:
    @readers
    @pytest.mark.parametrize("text", ["Timeout", "=5", "=", ""])
    def test_malformed(self, reader: list[str], text: str) -> None:
        command = with_file(reader, "template.yaml")
        message = f"Invalid value for '--param': {text!r} is not NAME=VALUE; see `tocsin {reader[0]} --help`"
        assert refused(*command, "--param", text) == message

    @pytest.mark.parametrize("reader", READERS[:4], ids=[reader[0] for reader in READERS[:4]])
    def test_unknown(self, reader: list[str]) -> None:
        message = refused(*with_file(reader, "template.yaml"), "--param", "Timeoutt=5")
        assert message == "template.yaml: the template has no parameter 'Timeoutt'; did you mean 'Timeout'?"

    def test_unknown_to_all_templates(self, folder: Path) -> None:
        (folder / "t").mkdir()
        (folder / "template.yaml").rename("t/shop.yaml")
        message = refused("build", "--templates", "t", "--param", "Stagee=live")
        assert message == "--param Stagee: no template has such a parameter; did you mean 'Stage'?"

    def test_a_value_that_the_template_does_not_allow(self) -> None:
        message = refused("discover", "template.yaml", "--param", "Stage=nonsense")
        assert message == "template.yaml: the parameter Stage must be one of live, test; got 'nonsense'"
        message = refused("discover", "template.yaml", "--param", "Timeout=long")
        assert message == "template.yaml: the parameter Timeout must be a number; got 'long'"


class TestWords:
    """What is wrong with the command itself."""

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["bild"], "No such command 'bild'"),
            (["--nope"], "No such option '--nope'"),
            (["discover"], "Missing argument 'TEMPLATE'"),
            (["discover", "template.yaml", "--jsn"], "No such option '--jsn'"),
            (["discover", "template.yaml", "other.yaml"], "Got unexpected extra argument"),
            (["deploy"], "Missing argument 'ENVIRONMENT'"),
            (["init"], "Missing option '--template'"),
            (["simulate", "--template", "template.yaml"], "Missing option '--series'"),
            (["check", "--budget", "much"], "Invalid value for '--budget': 'much' is not a valid float"),
            (["check", "--budget", "-1"], "Invalid value for '--budget': -1.0 is not in the range x>=0"),
            (["build", "--name", "shop"], "--name goes with --template or --templates"),
            (["build", "--owner", "team"], "--owner goes with --template or --templates"),
            (["build", "--out", "out"], "--out goes with --template or --templates"),
            (["build", "--template", "template.yaml", "--templates", "."], "give --template or --templates, not both"),
            (["build", "--templates", ".", "--name", "shop"], "--name goes with --template; systems built with"),
            (["build", "--templates", "none"], "none: no such folder"),
            (["build", "--templates", "template.yaml"], "template.yaml: is a file; name a folder"),
            (["explain", "T999"], "no finding 'T999'; there are: T001, T002"),
            (["explain", "T0012"], "no finding 'T0012'; did you mean 'T012'?"),
        ],
    )
    def test_wrong_words(self, arguments: list[str], message: str) -> None:
        assert refused(*arguments).startswith(message)

    @pytest.mark.parametrize("option", ["--name", "--owner"])
    @pytest.mark.parametrize("value", ["Shop", "1shop", "../../shop", "my shop", "", "x" * 64, "shöp", "shop\n"])
    @pytest.mark.parametrize("command", ["build", "init"])
    def test_names_that_files_and_alarms_cannot_have(self, command: str, option: str, value: str) -> None:
        arguments = [command, "--template", "template.yaml", option, value]
        if option == "--owner":
            arguments += ["--name", "shop"]
        assert "use at most 63 lower-case letters, digits, '-' and '_', a letter first" in refused(*arguments)

    def test_two_templates_of_one_name(self, folder: Path) -> None:
        (folder / "t").mkdir()
        for name in ("big_shop.yaml", "big-shop.yaml"):
            (folder / "t" / name).write_text(SHOP)
        message = "t/big_shop.yaml and t/big-shop.yaml would both be system 'big-shop'; rename one file"
        assert refused("build", "--templates", "t") == message


class TestWhereToWrite:
    def test_a_file_in_place_of_the_folder(self, folder: Path) -> None:
        (folder / "file").write_text("mine")
        assert (
            refused("build", "--template", "template.yaml", "--out", "file") == "--out file: is a file; name a folder"
        )
        message = refused("build", "--template", "template.yaml", "--out", "file/below")
        assert message == "file: is a file, where a folder is needed; move it away, or choose another folder"

    def test_a_file_in_place_of_a_folder_below(self, folder: Path) -> None:
        (folder / "out").mkdir()
        (folder / "out" / "runbooks").write_text("mine")
        assert "out/runbooks: is a file" in refused("build", "--template", "template.yaml", "--out", "out")

    def test_a_folder_in_place_of_a_file(self, folder: Path) -> None:
        (folder / "out" / "dashboards" / "shop.json").mkdir(parents=True)
        message = refused("build", "--template", "template.yaml", "--name", "shop", "--out", "out")
        assert message == "out/dashboards/shop.json: cannot be read: Is a directory; move it away"

    def test_a_file_that_somebody_else_wrote(self, folder: Path) -> None:
        (folder / "out" / "deploy").mkdir(parents=True)
        (folder / "out" / "deploy" / "routing.yaml").write_text("Resources: {Mine: {Type: AWS::SNS::Topic}}\n")
        message = refused("build", "--template", "template.yaml", "--out", "out")
        assert message.startswith("out/deploy/routing.yaml: Tocsin did not generate this file")

    def test_among_declared_systems(self, folder: Path) -> None:
        declare(folder)
        assert refused("build", "--template", "template.yaml").startswith("--out is needed here")
        assert tocsin("build", "--template", "template.yaml", "--out", "out").exit_code == 0

    @pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc, which only Linux has")
    def test_a_folder_that_cannot_be_written(self) -> None:
        message = refused("build", "--template", "template.yaml", "--out", "/proc/tocsin")
        assert message.startswith("/proc/tocsin: cannot be written: ")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_without_permission(self, folder: Path) -> None:
        (folder / "out").mkdir(mode=0o500)
        message = refused("build", "--template", "template.yaml", "--out", "out")
        assert "cannot be written: Permission denied" in message


def promise(call: str, folder: Path) -> str:
    """What is said of a declaration with this promise."""
    declare(folder, call)
    return refused("build")


class TestPromises:
    WHERE = "monitoring/systems/shop.py:4: "

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (
                'latency(stack["Orders"], below="1s", objective="99%", window="28d")',
                "Orders (SQS queue) has no latency SLI; it has: freshness, completeness",
            ),
            (
                'availability(stack["Ordesr"], objective="99%", window="28d")',
                "template.yaml: no resource 'Ordesr'; did you mean 'Orders'?",
            ),
            (
                'availability(stack["Role"], objective="99%", window="28d")',
                "template.yaml: Role (AWS::IAM::Role) is not watched: no metrics of its own: permissions",
            ),
            (
                'availability(stack["Api"], objective="100%", window="28d")',
                "availability of Api: an objective of 100 % leaves no error budget; 99.99 % is the most to promise",
            ),
            (
                'availability(stack["Api"], objective="0%", window="28d")',
                "availability of Api: an objective of 0 % promises nothing; promise 90 % or more",
            ),
            (
                'availability(stack["Api"], objective="-5%", window="28d")',
                "availability of Api: an objective of -5 % promises nothing; promise 90 % or more",
            ),
            (
                'availability(stack["Api"], objective="101%", window="28d")',
                "availability of Api: an objective of 101 % ",
            ),
            (
                'availability(stack["Api"], objective="99.999%", window="28d")',
                "availability of Api: an objective of 99.999 % is outside 90 % to 99.99 %",
            ),
            ('availability(stack["Api"], objective="high", window="28d")', "not a ratio: 'high'; write it as \"99.9%\""),
            ('availability(stack["Api"], objective=0.99, window="28d")', 'a ratio is text such as "99.9%", got 0.99'),
            (
                'availability(stack["Api"], objective="99%", window="1d")',
                "availability of Api: a window of 1 d has no burn-rate windows; use one of 7d, 28d, 30d, 90d",
            ),
            ('availability(stack["Api"], objective="99%", window="0d")', "a duration must be a positive whole number"),
            ('availability(stack["Api"], objective="99%", window="-7d")', "not a duration: '-7d'"),
            ('availability(stack["Api"], objective="99%", window="a month")', "not a duration: 'a month'"),
            ('availability(stack["Api"], objective="99%", window="7 fortnights")', "unknown unit 'fortnights'"),
            ('latency(stack["Api"], below="soon", objective="99%", window="28d")', "not a duration: 'soon'"),
            (
                'freshness(stack["Orders"], below="5min")',
                "freshness of Orders: say which objective over which window",
            ),
            (
                'availability(stack["Api"], objective="99%", window="28d", minimum_bad_events=0)',
                "availability of Api: minimum_bad_events must be 1 or more, got 0",
            ),
            ('availability("Api", objective="99%", window="28d")', "AttributeError: "),
            ('availability(stack["Api"], goal="99%")', "TypeError: "),
        ],
    )  # fmt: skip
    def test_promises_that_cannot_be_made(self, call: str, message: str, folder: Path) -> None:
        assert promise(call, folder).startswith(self.WHERE + message)

    def test_two_promises_of_one_name(self, folder: Path) -> None:
        call = 'availability(stack["Api"], objective="99%", window="28d")'
        message = "system shop: two SLOs are called 'Api-availability'; give one a name=…"
        assert promise(f"{call}, {call}", folder) == message

    def test_a_promise_on_a_resource_of_another_system(self, folder: Path) -> None:
        text = (
            'from tocsin import System, availability, discover\nstack = discover("template.yaml")\n'
            'slo = availability(stack["Api"], objective="99%", window="28d")\n'
            'system = System("shop", "payments", [stack["Orders"]], [slo])\n'
        )
        declare(folder, text=text)
        message = "system shop: SLO Api-availability is on Api, which is not among the system's resources"
        assert refused("build") == message

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            ('override("sqs-queue-agee", stack["Orders"], because="x")', "override of Orders: no alarm kind"),
            ('override("sqs-queue-age", stack["Orders"], because=" ")', "override of sqs-queue-age on Orders: say why"),
        ],
    )
    def test_wrong_overrides(self, call: str, message: str, folder: Path) -> None:
        declare(folder, text=declare(folder).read_text().replace("slos=[]", f"overrides=[{call}]"))
        assert refused("build").startswith(self.WHERE + message)


class TestDeclarations:
    def say(self, folder: Path, text: str) -> str:
        declare(folder, text=textwrap.dedent(text))
        said = {refused("build"), refused("check"), refused("build", "--json")}
        assert len(said) == 1
        return said.pop()

    def test_none(self, folder: Path) -> None:
        assert refused("build").startswith(
            "monitoring/systems: no such folder; declare a system there with `tocsin init"
        )
        (folder / "monitoring" / "systems").mkdir(parents=True)
        assert refused("build").startswith("monitoring/systems: declares no system; start one with `tocsin init")

    def test_without_a_system(self, folder: Path) -> None:
        assert self.say(folder, "x = 1\n").startswith("monitoring/systems/shop.py: defines no System; write `system =")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("\n1 / 0\n", "2: ZeroDivisionError: division by zero"),
            ("x = 1\nraise ValueError('two\\nlines')\n", "2: ValueError: two lines"),
            ("raise ValueError\n", "1: ValueError"),
            ("x = (\n\ny = 2\n", "1: SyntaxError: '(' was never closed"),
            ("def f():\nreturn 1\n", "2: IndentationError: expected an indented block"),
            ("def f():\n    return f()\n\nf()\n", "2: RecursionError: maximum recursion depth exceeded"),
            ("import sys\nsys.exit(0)\n", "2: SystemExit: 0"),
            ("import sys\nsys.exit('enough')\n", "2: SystemExit: enough"),
            ("exit()\n", "1: SystemExit"),
            ("import no_such_module\n", "1: ModuleNotFoundError: No module named 'no_such_module'"),
            ("from tocsin import latncy\n", "1: ImportError: cannot import name 'latncy' from 'tocsin'"),
            ("from tocsin import discover\ndiscover('nope.yaml')\n", "2: nope.yaml: no such file"),
            ("from tocsin import System\nSystem('Shop', 'x', [])\n", "2: system name 'Shop': use at most 63"),
            ("import json\njson.loads('{')\n", "2: JSONDecodeError: Expecting property name"),
        ],
    )
    def test_one_that_raises_is_named_with_its_line(self, text: str, message: str, folder: Path) -> None:
        assert self.say(folder, text).startswith(f"monitoring/systems/shop.py:{message}")

    def test_not_python_at_all(self, folder: Path) -> None:
        path = declare(folder)
        for data in (b"\xff\xfe\x00", b"\0", "é = '\udcff'".encode("utf-8", "surrogateescape")):
            path.write_bytes(data)
            assert refused("build").startswith("monitoring/systems/shop.py:1: ")

    def test_a_folder_in_place_of_a_file(self, folder: Path) -> None:
        declare(folder)
        (folder / "monitoring" / "systems" / "other.py").mkdir()
        assert refused("build").startswith("monitoring/systems/other.py:1: ")

    def test_two_systems_of_one_name(self, folder: Path) -> None:
        declare(folder)
        declare(folder, file="zebra.py")
        message = (
            "monitoring/systems/zebra.py: system 'shop' is already declared in monitoring/systems/shop.py; rename one"
        )
        assert refused("build") == message

    def test_two_owners_of_one_topic(self, folder: Path) -> None:
        declare(folder, text=declare(folder).read_text().replace("payments", "on-call"))
        other = declare(folder).read_text().replace("payments", "on_call").replace('"shop"', '"other"')
        declare(folder, text=other, file="other.py")
        declare(folder, text=other.replace("on_call", "on-call").replace('"other"', '"shop"'))
        assert refused("build").startswith("owners 'on_call' and 'on-call' would share their topics")

    def test_one_bad_system_keeps_all_from_being_written(self, folder: Path) -> None:
        declare(folder)
        declare(folder, text="1 / 0\n", file="zebra.py")
        refused("build")
        assert not (folder / "alarms").exists()


class TestLimits:
    def test_more_resources_than_a_template_may_have(self, folder: Path) -> None:
        queues = {f"Queue{number}": {"Type": "AWS::SQS::Queue"} for number in range(300)}
        (folder / "big.json").write_text(json.dumps({"Resources": queues}))
        message = refused("build", "--template", "big.json")
        assert message.startswith("alarms/big.yaml: ")
        assert " are allowed. Split the system in two" in message

    def test_more_names_than_a_template_may_have_parameters(self, folder: Path) -> None:
        topics = {f"Topic{number}": {"Type": "AWS::SNS::Topic"} for number in range(199)}
        (folder / "big.json").write_text(json.dumps({"Resources": topics}))
        assert "parameters, 200 are allowed. Split the system in two" in refused("build", "--template", "big.json")

    def test_names_too_long(self, folder: Path) -> None:
        (folder / "long.json").write_text(json.dumps({"Resources": {"Q" * 200: {"Type": "AWS::SQS::Queue"}}}))
        message = refused("build", "--template", "long.json")
        assert message.startswith(f"alarms/long.yaml#{'Q' * 200}")
        assert "255 are allowed. Shorten the name" in message

    def test_a_reason_too_long(self, folder: Path) -> None:
        message = promise(f'availability(stack["Api"], objective="99%", window="28d", because="{"x" * 1100}")', folder)
        assert "1,024 are allowed. Shorten the because= of the SLO or override" in message

    @pytest.mark.parametrize(
        "name", ['say "now"', "two\nlines", "${Reader}", "é", "a/b", "a\\b", "(x)", " ", "-a", "²"]
    )
    def test_names_that_promises_cannot_have(self, name: str, folder: Path) -> None:
        message = promise(f'availability(stack["Api"], objective="99%", window="28d", name={name!r})', folder)
        assert message.startswith(f"monitoring/systems/shop.py: SLO name {name!r}: use letters, digits, spaces")

    @pytest.mark.parametrize("name", ["a b", "api.v2_reads-fast", "9", "and", "OK"])
    def test_names_that_promises_can_have(self, name: str, folder: Path) -> None:
        declare(folder, f'availability(stack["Api"], objective="99%", window="28d", name={name!r})')
        assert tocsin("build").exit_code == 0
        assert tocsin("check").exit_code == 0


class TestProject:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("alarms = ", "tocsin.toml: not TOML: "),
            ("alarm = 'x'", "tocsin.toml: unknown key 'alarm'; did you mean 'alarms'?"),
            ("alarms = 3", "tocsin.toml: alarms must be text, got 3"),
            ("alarms = '/etc'", "tocsin.toml: alarms must be a path inside the project"),
            ("alarms = '../x'", "tocsin.toml: alarms must be a path inside the project"),
            ("alarms = ''", "tocsin.toml: alarms must be a path inside the project"),
        ],
    )
    def test_settings(self, text: str, message: str, folder: Path) -> None:
        declare(folder)
        (folder / "tocsin.toml").write_text(text)
        assert refused("build").startswith(message)

    def test_hand_edited_beyond_reading(self, folder: Path) -> None:
        declare(folder)
        tocsin("build")
        for data in (b"{", b"\xff", b"[]", b""):
            (folder / "alarms" / "shop.yaml").write_bytes(data)
            result = tocsin("check")
            assert result.exit_code == 1
            assert "alarms/shop.yaml: T001 edited by hand, or not rebuilt" in result.stdout

    def test_a_folder_in_place_of_a_generated_file(self, folder: Path) -> None:
        declare(folder)
        (folder / "SLOs.md").mkdir()
        assert refused("check").endswith("SLOs.md: cannot be read: Is a directory; move it away")


class TestEnvironments:
    """What the command line says; what AWS answers is tested with the cloud."""

    def test_no_environments(self) -> None:
        message = "deploy/environments.toml: no such file; describe your environments there, each as a table [dev]"
        assert refused("deploy", "prod") == message

    def test_unknown(self, folder: Path) -> None:
        self.describe(folder, "[prod]\n[dev]\n")
        assert refused("deploy", "prd") == "deploy/environments.toml: no environment 'prd'; did you mean 'prod'?"

    def test_not_toml(self, folder: Path) -> None:
        self.describe(folder, "[prod\n")
        assert refused("deploy", "prod").startswith("deploy/environments.toml: not TOML: ")

    def test_a_protected_one_needs_somebody_to_ask(self, folder: Path) -> None:
        self.describe(folder, "[prod]\nprotected = true\n")
        assert refused("deploy", "prod", "--json") == (
            "prod is protected and --json cannot ask; look at --plan, then give --yes"
        )

    def test_nothing_built(self, folder: Path) -> None:
        self.describe(folder, "[dev]\nregion = 'eu-west-1'\n")
        assert "run `tocsin build` first" in refused("deploy", "dev")

    def test_no_credentials(self, folder: Path) -> None:
        declare(folder)
        tocsin("build")
        self.describe(folder, "[dev]\nregion = 'eu-west-1'\n")
        before = snapshot(folder)
        nothing: dict[str, str | None] = {name: None for name in os.environ if name.startswith("AWS_")}
        nothing |= {
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        outcome = process("deploy", "dev", "--plan", cwd=folder, environment=nothing)
        assert outcome.returncode == 2
        assert len(outcome.stderr.splitlines()) == 1
        assert "credentials" in outcome.stderr
        assert snapshot(folder) == before

    @staticmethod
    def describe(folder: Path, text: str) -> None:
        (folder / "deploy").mkdir(exist_ok=True)
        (folder / "deploy" / "environments.toml").write_text(text)


class TestSeries:
    @pytest.fixture(autouse=True)
    def alarms(self, folder: Path) -> None:
        assert tocsin("build", "--template", "template.yaml", "--name", "shop", "--out", "out").exit_code == 0

    def simulate(self, *more: str, text: str = "[]", folder: Path) -> str:
        (folder / "series.json").write_text(text)
        return refused("simulate", "--template", "out/alarms/shop.yaml", "--series", "series.json", *more)

    @pytest.mark.parametrize("text", ["", "{", "[1]", "[]", '{"Namespace": 1}', "hello", '{"Name": "x"}', "\0"])
    def test_no_series(self, text: str, folder: Path) -> None:
        assert "series" in self.simulate(text=text, folder=folder)

    def test_no_such_file(self) -> None:
        assert refused("simulate", "--template", "out/alarms/shop.yaml", "--series", "none.json").startswith(
            "none.json: "
        )

    SERIES = json.dumps(
        {
            "Namespace": "AWS/SQS",
            "MetricName": "M",
            "Period": 60,
            "Start": "2026-01-01T00:00:00Z",
            "Values": [1] * 10,
        }
    )

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (["--from", "yesterday"], "--from: not a time: 'yesterday'; write it as 2026-01-01T00:00:00Z"),
            (["--to", "2026-13-01"], "--to: not a time: '2026-13-01'"),
            (["--from", "2026-01-02", "--to", "2026-01-01"], ""),
            (["--from", "0001-01-01T00:00:00+14:00"], "--from: not a time"),
        ],
    )
    def test_times(self, more: list[str], message: str, folder: Path) -> None:
        assert self.simulate(*more, text=self.SERIES, folder=folder).startswith(message)

    def test_a_parameter_that_the_template_does_not_have(self, folder: Path) -> None:
        message = self.simulate("--param", "OrdersNam=x", text=self.SERIES, folder=folder)
        assert "did you mean 'OrdersName'?" in message


# The whole line on templates that nobody would write.  What is random is the template; what it is said to hold is not.
NAMES = ("A", "B", "Api", "Queue", "Reader", "P")
LOGICAL_IDS = st.from_regex(r"[A-Za-z0-9]{1,6}", fullmatch=True)
leaves = st.one_of(
    st.sampled_from(
        [*NAMES, "${A}", "${A.Arn}", "rate(1 day)", "cron(0 5 * * ? *)", "", "30", "db.t3.micro", "${!x}", "${"]
    ),
    st.integers(-5, 10**6),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
)
references = st.one_of(
    st.builds(lambda name: {"Ref": name}, st.sampled_from(NAMES)),
    st.builds(lambda name: {"Fn::GetAtt": [name, "Arn"]}, st.sampled_from(NAMES)),
    st.builds(lambda name: {"Fn::Sub": f"x-${{{name}}}"}, st.sampled_from(NAMES)),
)
PROPERTIES = (
    "AllocatedStorage", "BatchSize", "BillingMode", "DBInstanceClass", "DeadLetterConfig", "Engine", "EventSourceArn",
    "FunctionName", "GlobalSecondaryIndexes", "Name", "Principal", "ProvisionedThroughput", "QueueName",
    "RedrivePolicy", "ReservedConcurrentExecutions", "RestApiId", "ScheduleExpression", "StageName", "State",
    "Target", "Targets", "Timeout", "TopicName", "VisibilityTimeout", "MessageRetentionPeriod", "BucketName",
    "MetricsConfigurations", "ProtocolType", "ApiId", "DBProxyName", "deadLetterTargetArn", "maxReceiveCount", "Id", "Arn",
    "ReadCapacityUnits", "WriteCapacityUnits", "IndexName", "TableName", "AlarmName", "MetricName", "Namespace", "Period",
    "Statistic", "EvaluationPeriods", "Threshold", "ComparisonOperator", "Metrics", "AlarmRule", "Dimensions", "Value",
    "Expression", "MetricStat", "Stat", "Metric", "KmsMasterKeyId", "KeyPolicy", "DashboardBody",
)  # fmt: skip
trees = st.recursive(
    st.one_of(leaves, references),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(PROPERTIES), inner, max_size=3)
    ),
    max_leaves=8,
)
TYPES = sorted(
    {
        *CATALOG,
        "AWS::IAM::Role",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::CompositeAlarm",
        "AWS::CloudWatch::Dashboard",
    }
    | {"AWS::KMS::Key", "T"}
)
resources = st.fixed_dictionaries(
    {"Type": st.sampled_from(TYPES), "Properties": st.dictionaries(st.sampled_from(PROPERTIES), trees, max_size=6)},
    optional={"Condition": st.sampled_from(["Yes", "Maybe"]), "Metadata": trees},
)
templates = st.fixed_dictionaries(
    {"Resources": st.dictionaries(st.one_of(st.sampled_from(NAMES), LOGICAL_IDS), resources, max_size=5)},
    optional={
        "Parameters": st.dictionaries(st.just("P"), st.one_of(trees, st.just({"Type": "String"})), max_size=1),
        "Conditions": st.dictionaries(st.sampled_from(["Yes", "Maybe"]), trees, max_size=2),
        "Transform": st.sampled_from(["AWS::Serverless-2016-10-31", "AWS::LanguageExtensions", "Mine"]),
    },
)
whole_line = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


class TestAnyTemplate:
    """``tocsin`` in this process raises its own mistakes, so none can hide behind the line it prints for a user."""

    @whole_line
    @given(template=templates)
    def test_discover_build_init_and_build(
        self, template: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        here = tmp_path_factory.mktemp("any")
        (here / "t.json").write_text(json.dumps(template))
        monkeypatch = pytest.MonkeyPatch()
        with monkeypatch.context() as inside:
            inside.chdir(here)
            assert tocsin("discover", "t.json", "--json").exit_code in (0, 2)
            before = snapshot(here)
            built = tocsin("build", "--template", "t.json", "--name", "any", "--out", "out")
            assert built.exit_code in (0, 2)
            if built.exit_code == 2:
                assert snapshot(here) == before
                return
            if (here / "out" / "alarms" / "any.yaml").exists():
                findings = json.loads(tocsin("check", "--template", "out/alarms/any.yaml", "--json").stdout)["findings"]
                assert findings == []
            assert tocsin("init", "--template", "t.json", "--name", "any").exit_code == 0
            declared = tocsin("build")
            assert declared.exit_code == 0, declared.output
            checked = tocsin("check")
            assert checked.exit_code == 0, checked.output

    @whole_line
    @given(template=templates)
    def test_check_of_somebody_elses(self, template: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
        path = tmp_path_factory.mktemp("any") / "t.json"
        path.write_text(json.dumps(template))
        assert tocsin("check", "--template", path, "--json").exit_code in (0, 1, 2)


def test_the_reference_templates_build_with_every_parameter_missing(folder: Path) -> None:
    for path in (NOTIFICATION, DATA_PIPELINE):
        assert tocsin("build", "--template", path, "--out", path.parent.name).exit_code == 0
