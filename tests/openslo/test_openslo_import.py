"""`tocsin import openslo` and `tocsin export openslo`: documents of others, what is left out, and files that are wrong."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent, indent

import pytest
import yaml

from command_line import SHOP, tocsin
from openslo.openslo_rules import problems
from tocsin.declarations import load_systems

FUNCTION = """\
Resources:
  Checkout:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: checkout}
  Other:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: other}
"""
SOURCE = "{type: CloudWatch, spec: {region: eu-central-1, namespace: %s, metricName: %s, stat: Sum, dimensions: [{name: FunctionName, value: checkout}]}}"
RATIO = f"""\
ratioMetric:
  counter: true
  bad: {{metricSource: {SOURCE % ("AWS/Lambda", "Errors")}}}
  total: {{metricSource: {SOURCE % ("AWS/Lambda", "Invocations")}}}
"""
WINDOW = "[{duration: 4w, isRolling: true}]"


def slo(
    name: str = "few-errors",
    *,
    ratio: str = RATIO,
    window: str = WINDOW,
    method: str = "Occurrences",
    objectives: str = "[{targetPercent: 99.9}]",
    service: str = "checkout",
    more: str = "",
) -> str:
    """An SLO as somebody else would write it, with nothing of Tocsin's in it."""
    return f"""\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: {name}
spec:
  description: Orders are lost.
  service: {service}
  indicator:
    metadata: {{name: inline}}
    spec:
{indent(ratio, "      ")}
  timeWindow: {window}
  budgetingMethod: {method}
  objectives: {objectives}
{more}"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "template.yaml").write_text(FUNCTION)
    return tmp_path


def imported(*documents: str, code: int = 0) -> str:
    Path("in.yaml").write_text("---\n".join(documents))
    done = tocsin("import", "openslo", "in.yaml", "--template", "template.yaml", "-o", "monitoring/systems/made.py")
    assert done.exit_code == code, done.output
    return done.output


def test_what_others_wrote_becomes_a_declaration(project: Path) -> None:
    out = imported(slo())
    assert out == "wrote monitoring/systems/made.py: 1 SLO; read it, then run `tocsin build`\n"
    assert Path("monitoring/systems/made.py").read_text() == dedent(
        '''\
        """What checkout promised in OpenSLO: read it, correct it, and say why in because=."""

        from tocsin import System, availability, discover

        stack = discover("template.yaml")

        system = System(
            name="checkout",
            owner="on-call",
            resources=stack,
            slos=[
                availability(
                    stack["Checkout"],
                    name="few-errors",
                    objective="99.9%",
                    window="28d",
                    because="Orders are lost.",
                ),
            ],
        )
        '''
    )
    assert len(load_systems(project, "monitoring/systems")) == 1
    assert tocsin("build").exit_code == 0


def test_it_is_printed_without_a_file_and_never_written_over_one() -> None:
    Path("in.yaml").write_text(slo())
    printed = tocsin("import", "openslo", "in.yaml", "--template", "template.yaml")
    assert printed.exit_code == 0
    assert 'stack["Checkout"]' in printed.stdout
    Path("own.py").write_text("mine\n")
    done = tocsin("import", "openslo", "in.yaml", "--template", "template.yaml", "-o", "own.py")
    assert (done.exit_code, done.stderr) == (
        2,
        "tocsin: own.py: is already there; name another file with -o, or take it away\n",
    )
    assert Path("own.py").read_text() == "mine\n"


def test_a_service_of_its_own_document_tells_who_is_told() -> None:
    service = "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: checkout, labels: {owner: payments}}\nspec: {description: Sells.}\n"
    imported(service, slo())
    (system,) = load_systems(Path(), "monitoring/systems")
    assert (system.owner, system.description) == ("payments", "Sells.")


def test_an_sli_and_a_data_source_are_found_in_another_file(project: Path) -> None:
    source = "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: here}\nspec: {type: cloudwatch, connectionDetails: {}}\n"
    sli = "apiVersion: openslo/v1\nkind: SLI\nmetadata: {name: errors}\nspec:\n" + indent(
        RATIO.replace("type: CloudWatch", "metricSourceRef: here"), "  "
    )
    Path("sources.yaml").write_text(f"{source}---\n{sli}")
    Path("slo.yaml").write_text(
        re.sub(r"  indicator:\n.*?(?=  timeWindow)", "  indicatorRef: errors\n", slo(), flags=re.S)
    )
    done = tocsin("import", "openslo", "slo.yaml", "sources.yaml", "--template", "template.yaml")
    assert done.exit_code == 0, done.output
    assert 'objective="99.9%"' in done.stdout
    alone = tocsin("import", "openslo", "slo.yaml", "--template", "template.yaml")
    assert alone.exit_code == 2
    assert "left out: checkout/few-errors: its SLI 'errors' is in none of the files\n" in alone.stderr


THRESHOLD = "thresholdMetric:\n  metricSource: {type: CloudWatch, spec: {query: x}}\n"
LEFT_OUT = {
    "prometheus": (
        {"ratio": RATIO.replace("CloudWatch", "Prometheus")},
        "its data source is Prometheus; Tocsin reads CloudWatch",
    ),
    "timeslices": ({"method": "Timeslices"}, "it counts Timeslices; Tocsin counts events (Occurrences)"),
    "calendar": (
        {"window": "[{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: UTC}}]"},
        "its window is of the calendar; burn rates need a rolling one",
    ),
    "months": (
        {"window": "[{duration: 1M, isRolling: true}]"},
        "its window of 1M has no fixed length; burn rates need one in days",
    ),
    "length": (
        {"window": "[{duration: 14d, isRolling: true}]"},
        "availability of Checkout: a window of 14 d has no burn-rate windows; use one of 7d, 28d, 30d, 90d",
    ),
    "several": (
        {"objectives": "[{target: 0.99}, {target: 0.999}]"},
        "it has 2 objectives; Tocsin has one for each SLO",
    ),
    "composite": (
        {"objectives": "[{target: 0.99, indicatorRef: a}, {target: 0.99, indicatorRef: b}]"},
        "it is composed of several indicators; Tocsin has one for each SLO",
    ),
    "threshold": ({"ratio": THRESHOLD}, "it compares single samples (thresholdMetric), which CloudWatch does not keep"),
    "low": (
        {"objectives": "[{target: 0.5}]"},
        "availability of Checkout: an objective of 50 % is outside 90 % to 99.99 %",
    ),
    "raw": (
        {"ratio": f"ratioMetric: {{rawType: success, raw: {{metricSource: {SOURCE % ('AWS/Lambda', 'Errors')}}}}}"},
        "raw is a ratio that was computed before; Tocsin counts events: give bad and total",
    ),
    "good": (
        {"ratio": RATIO.replace("bad:", "good:")},
        "good and total: no metric counts the bad events, which is what alarms need; give bad and total",
    ),
    "elsewhere": (
        {"ratio": RATIO.replace("value: checkout", "value: unknown")},
        "its metrics are of unknown, which template.yaml does not name; add the annotation tocsin/resource",
    ),
    "metric": (
        {"ratio": RATIO.replace("metricName: Errors", "metricName: Throttles")},
        "no SLI of Checkout (Lambda function) is counted by its metrics",
    ),
    "query": (
        {"ratio": RATIO.replace("namespace: AWS/Lambda, ", "", 1)},
        "its spec names no metric by namespace, metricName and stat, nor metric math as json",
    ),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_a_declaration_cannot_say_is_left_out_and_said(case: str) -> None:
    fields, why = LEFT_OUT[case]
    said = imported(slo(), slo("other", **fields), code=1).splitlines()
    assert said[0] == f"left out: checkout/other: {why}"
    assert said[1] == "wrote monitoring/systems/made.py: 1 SLO; read it, then run `tocsin build`"
    (system,) = load_systems(Path(), "monitoring/systems")
    assert [one.name for one in system.slos] == ["few-errors"]


def test_nothing_is_written_when_nothing_is_left() -> None:
    said = imported(slo(method="Timeslices"), code=2).splitlines()
    assert said[-1] == "tocsin: none of these SLOs can be said in a declaration; nothing is written"
    assert not Path("monitoring").exists()


BAD = {
    "yaml": ("a: [1,\n", "in.yaml:2: not YAML: "),
    "empty": ("", "in.yaml: holds no document"),
    "text": ("hello\n", "in.yaml:1: document: not a mapping"),
    "tag": (
        "!!python/object/apply:os.system ['true']\n",
        "in.yaml:1: tag tag:yaml.org,2002:python/object/apply:os.system is not read",
    ),
    "deep": ("[" * 4000 + "]" * 4000, "in.yaml: nested too deep to be OpenSLO"),
    "control": ("a: \x01\n", "in.yaml:1: not YAML: "),
    "twice": (slo() + "  service: again\n", "in.yaml:19: spec: service stands here twice"),
    "twice where nobody reads": (
        "apiVersion: openslo/v1\nkind: DataSource\nmetadata: {name: x}\nspec:\n"
        "  {type: CloudWatch, connectionDetails: {a: b, a: c}}\n",
        "in.yaml:5: connectionDetails: a stands here twice",
    ),
    "a key that a terminal would obey": (
        slo(more='  "\\e[31m\\nred": x\n'),
        "in.yaml:19:  [31m red: OpenSLO v1 has no such field here",
    ),
    "merge": ("<<: {a: b}\n" + slo(), "in.yaml:1: document: merge keys (<<) are not read"),
    "version": (
        slo().replace("openslo/v1", "openslo/v1alpha"),
        "in.yaml:1: apiVersion: 'openslo/v1alpha' is not read; write openslo/v1",
    ),
    "kind": (
        slo().replace("kind: SLO", "kind: SL0"),
        "in.yaml:2: kind: 'SL0' is none of OpenSLO v1; did you mean 'SLO'?",
    ),
    "name": (slo("' '"), "in.yaml:4: name: ' ' is no name"),
    "field": (
        slo(more="  servce: x\n"),
        "in.yaml:19: servce: OpenSLO v1 has no such field here; did you mean 'service'?",
    ),
    "both": (
        slo(objectives="[{target: 0.9, targetPercent: 90}]"),
        "in.yaml:18: objectives: give target or targetPercent",
    ),
    "range": (slo(objectives="[{target: 99.9}]"), "in.yaml:18: target: 99.9 is not from 0 up to, but not, 1"),
    "number": (slo(objectives="[{target: high}]"), "in.yaml:18: target: not a number: 'high'"),
    "infinite": (slo(objectives="[{target: .inf}]"), "in.yaml:18: target: not a number: '.inf'"),
    "huge": (slo(objectives=f"[{{target: 0.{'9' * 400}}}]"), "in.yaml:18: target: not a number: "),
    "method": (slo(method="Occurences"), "in.yaml:17: budgetingMethod: 'Occurences'; did you mean 'Occurrences'?"),
    "duration": (
        slo(window="[{duration: 28 days, isRolling: true}]"),
        "in.yaml:16: duration: not a duration: '28 days'; write it as 28d",
    ),
    "windows": (
        slo(window="[{duration: 28d, isRolling: true}, {duration: 7d, isRolling: true}]"),
        "in.yaml:16: timeWindow: a time window too many",
    ),
    "same": (f"{slo()}---\n{slo()}", "in.yaml:20: document: SLO 'few-errors' stands in in.yaml:1 too; rename one"),
    "none": ("apiVersion: openslo/v1\nkind: Service\nmetadata: {name: x}\nspec: {}\n", "in.yaml: holds no SLO"),
    "roles": (slo(ratio=RATIO.replace("bad:", "bid:")), "bid: OpenSLO v1 has no such field here; did you mean 'bad'?"),
    "json": (
        slo(ratio=RATIO.replace(SOURCE % ("AWS/Lambda", "Errors"), "{type: CloudWatch, spec: {json: '[1]'}}")),
        "json: not a list of MetricDataQueries as GetMetricData takes them",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_file_is_one_line_that_says_where(case: str) -> None:
    text, said = BAD[case]
    out = imported(text, code=2)
    assert out.count("\n") == 1, out
    assert out.startswith("tocsin: ")
    assert said in out
    assert not Path("monitoring").exists()


def test_a_file_that_is_not_there_not_text_or_too_large(project: Path) -> None:
    Path("latin.yaml").write_bytes(b"a: b\nc: \xe9\n")
    Path("large.yaml").write_bytes(b"# " + b"x" * 2_000_001)
    for name, said in (
        ("absent.yaml", "tocsin: absent.yaml: cannot be read: No such file or directory\n"),
        (".", "tocsin: .: cannot be read: Is a directory\n"),
        ("latin.yaml", "tocsin: latin.yaml:2: not UTF-8; save it as UTF-8\n"),
        ("large.yaml", "tocsin: large.yaml: larger than 2 MB, so not OpenSLO; split it\n"),
    ):
        done = tocsin("import", "openslo", name, "--template", "template.yaml")
        assert (done.exit_code, done.stderr) == (2, said)


def test_aliases_that_multiply_are_read_in_no_time() -> None:
    bomb = "x0: &x0 [a]\n" + "".join(f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]\n" for n in range(1, 60))
    assert "x0: OpenSLO v1 has no such field here" in imported(f"{bomb}{slo()}", code=2)


def test_a_file_of_nothing_but_values_is_given_up_soon() -> None:
    said = "tocsin: in.yaml: more than 50,000 values, so not OpenSLO; split it\n"
    assert imported("[" + "a," * 50_001 + "]", code=2) == said
    assert imported("--- a\n" * 50_001, code=2) == said


def test_names_that_a_terminal_would_obey_are_one_plain_line() -> None:
    other = slo("other", method="Timeslices").replace(
        "  name: other\n", '  name: other\n  displayName: "a\\e[31m\\nb"\n'
    )
    assert imported(slo(), other, code=1).splitlines()[0] == (
        "left out: checkout/a [31m b: it counts Timeslices; Tocsin counts events (Occurrences)"
    )


def test_a_service_without_a_template_says_what_to_do() -> None:
    Path("in.yaml").write_text(slo())
    done = tocsin("import", "openslo", "in.yaml")
    assert (done.exit_code, done.stderr) == (
        2,
        "tocsin: service checkout: say which template its resources are in, with --template\n",
    )


def test_two_services_become_two_systems_of_one_file() -> None:
    other = slo("other-errors", service="and-more", ratio=RATIO.replace("value: checkout", "value: other"))
    imported(slo(), other)
    found = load_systems(Path(), "monitoring/systems")
    assert [(system.name, [one.sli.resource.logical_id for one in system.slos]) for system in found] == [
        ("and-more", ["Other"]),
        ("checkout", ["Checkout"]),
    ]


POLICY = """\
  alertPolicies:
    - kind: AlertPolicy
      metadata: {name: fast}
      spec:
        conditions:
          - kind: AlertCondition
            metadata: {name: burns}
            spec: {severity: page, condition: {kind: burnrate, op: gt, threshold: 2, lookbackWindow: 1h, alertAfter: 5m}}
        notificationTargets: [{targetRef: somebody}]
"""


@pytest.mark.parametrize("policies", [POLICY, "  alertPolicies: [{alertPolicyRef: elsewhere}]\n"])
def test_other_alert_policies_are_not_kept_and_that_is_said(policies: str) -> None:
    said = imported(slo(more=policies)).splitlines()
    assert said[0] == "note: checkout/few-errors: its alert policies are not kept; Tocsin's own tiers hold"


def test_own_metrics_of_others_are_counted() -> None:
    own = RATIO.replace("AWS/Lambda", "Orders").replace("Errors", "Lost").replace("Invocations", "Placed")
    imported(slo(ratio=own))
    text = Path("monitoring/systems/made.py").read_text()
    assert 'measure=counted(namespace="Orders", valid="Placed", bad="Lost"),' in text
    load_systems(Path(), "monitoring/systems")


DECLARED = """\
from fractions import Fraction
from tocsin import System, availability, discover, heartbeat, latency, override, report
stack = discover("template.yaml")
system = System(name="shop", owner="payments", resources=stack, slos=[
    availability(stack["Api"], objective="99.9%", window="28d"),
    availability(stack["Reader"], objective=Fraction(2000, 2001), window="28d"),
    latency(stack["Api"], below="800ms", objective="99%", window="7d", because="x" * 1100),
    heartbeat(stack["Reader"], every="1d"),
], reports=[report(stack["Reader"], "Sold", namespace="Shop")])
"""


def test_an_export_lists_what_openslo_cannot_say(project: Path) -> None:
    (project / "template.yaml").write_text(SHOP)
    (project / "monitoring" / "systems").mkdir(parents=True)
    (project / "monitoring" / "systems" / "shop.py").write_text(DECLARED)
    done = tocsin("export", "openslo", "shop")
    assert done.exit_code == 0
    documents = list(yaml.safe_load_all(done.stdout))
    assert problems(documents) == []
    assert [one["metadata"]["displayName"] for one in documents if one["kind"] == "SLO"] == [
        "Api-availability",
        "Api-latency",
    ]
    assert done.stderr.splitlines() == [
        f"not in OpenSLO: {line}"
        for line in (
            "shop/Reader-availability: an objective of 2000/2001 ends in no decimal, which OpenSLO's target is",
            "shop/Api-latency: 51 characters over OpenSLO's limit of 1,050 are cut off",
            "shop/Reader-heartbeat: heartbeat is kept or broken; OpenSLO knows shares only",
            "shop: 1 reported metric: not about an SLO",
            "shop: short windows of its burn-rate alarms: kept in annotations; other tools look at the long ones alone",
            "shop: least numbers of bad events: kept in annotations; other tools do not wait for them",
        )
    ]
    assert "target: 0.999\n" in done.stdout


def test_an_export_to_a_file_writes_it_whole(project: Path) -> None:
    (project / "template.yaml").write_text(SHOP)
    (project / "monitoring" / "systems").mkdir(parents=True)
    (project / "monitoring" / "systems" / "shop.py").write_text(DECLARED)
    printed = tocsin("export", "openslo").stdout
    done = tocsin("export", "openslo", "-o", "out/shop.yaml")
    assert done.stdout.startswith("wrote out/shop.yaml: 2 SLOs in ")
    assert Path("out/shop.yaml").read_text() == printed
    assert [path.name for path in Path("out").iterdir()] == ["shop.yaml"]
    assert (
        tocsin("export", "openslo", "shpo").stderr
        == "tocsin: monitoring/systems: no system 'shpo'; did you mean 'shop'?\n"
    )
    Path("out/blocked").mkdir()
    assert tocsin("export", "openslo", "-o", "out/blocked").stderr.startswith(
        "tocsin: out/blocked: cannot be written: "
    )
