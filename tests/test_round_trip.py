"""An alarm read back from the rendered template equals the alarm that was planned."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tocsin.alarm import Alarm, CompositeAlarm
from tocsin.catalog import entries
from tocsin.cloudformation.document import parse
from tocsin.cloudformation.intrinsics import resolve
from tocsin.declare import availability, heartbeat, latency
from tocsin.model import Resource, System
from tocsin.own_metrics import counted, ranked, succeeded
from tocsin.plan import Plan, plan
from tocsin.render.alarms import alarm_template
from tocsin.simulate.template import read_template

ROOT = Path(__file__).parents[1]

texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)
logical_ids = st.from_regex(r"[A-Z][A-Za-z0-9]{0,20}", fullmatch=True)
objectives = st.fractions(min_value=Fraction(9, 10), max_value=Fraction(9999, 10000), max_denominator=10**5)


def read_back(planned: Plan, folder: Path) -> dict[str, Alarm | CompositeAlarm]:
    path = folder / "template.yaml"
    path.write_text(alarm_template(planned), encoding="utf-8")
    template = read_template(path, defaults=False)
    assert not template.unsupported
    return {one.name: one for one in (*template.alarms, *template.composites)}


@given(
    names=st.lists(logical_ids, min_size=1, max_size=3, unique=True),
    because=texts,
    objective=objectives,
    window=st.sampled_from([7, 28, 30, 90]),
    below=st.integers(min_value=1, max_value=2999),
    hours=st.integers(min_value=1, max_value=160),
    reserved=st.one_of(st.none(), st.integers(min_value=0, max_value=1000)),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_planned_is_what_is_read_back(
    names: list[str],
    because: str,
    objective: Fraction,
    window: int,
    below: int,
    hours: int,
    reserved: int | None,
    tmp_path: Path,
) -> None:
    properties = {"Timeout": 3} | ({} if reserved is None else {"ReservedConcurrentExecutions": reserved})
    functions = [Resource("AWS::Lambda::Function", name, None, properties) for name in names]
    days = timedelta(days=window)
    planned = plan(
        System(
            "shop",
            "payments",
            functions,
            [
                availability(functions[0], objective=objective, window=days, because=because, name="works"),
                latency(functions[0], below=f"{below}ms", objective=objective, window=days, name="fast"),
                heartbeat(functions[-1], every=timedelta(hours=hours), tolerates="90min", name="beats"),
            ],
        )
    )
    assert read_back(planned, tmp_path) == {one.alarm.name: one.alarm for one in planned.alarms}


@given(
    namespace=st.from_regex(r"[A-Za-z0-9 ._/#-][A-Za-z0-9 ._/#:-]{0,60}", fullmatch=True).filter(
        lambda text: not text.startswith("AWS/")
    ),
    metrics=st.lists(
        st.from_regex(r"[!-9;-~][ -~]{0,40}", fullmatch=True).filter(lambda text: "${" not in text),
        min_size=2,
        max_size=2,
        unique=True,
    ),
    service=texts.filter(lambda text: text.strip()),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_team_calls_its_metrics_is_read_back(
    namespace: str, metrics: list[str], service: str, tmp_path: Path
) -> None:
    bad, good = metrics
    job = Resource("AWS::Lambda::Function", "Job")
    other = Resource("AWS::Lambda::Function", "Other")
    files = counted(namespace=namespace, bad=bad, good=good, dimensions={"Service": service, "FunctionName": job})
    seconds = ranked(good, namespace=namespace, unit="Seconds")
    done = succeeded(good, namespace=namespace, reported_by=[job, other])
    planned = plan(
        System(
            "shop",
            "payments",
            [job, other],
            [
                availability(job, objective="99%", window="28d", name="works", measure=files),
                latency(job, below="90s", objective="99%", window="28d", name="fast", measure=seconds),
                heartbeat(job, every="1d", tolerates="2h", name="beats", measure=done),
            ],
        )
    )
    assert read_back(planned, tmp_path) == {one.alarm.name: one.alarm for one in planned.alarms}


@pytest.mark.parametrize("system", ["notification", "data_pipeline"])
def test_the_reference_systems_read_back(system: str, tmp_path: Path) -> None:
    from tocsin.declarations import load_systems

    (declared,) = load_systems(ROOT, "monitoring/systems", only=system)
    planned = plan(declared)
    assert read_back(planned, tmp_path) == {one.alarm.name: one.alarm for one in planned.alarms}


def test_every_alarm_kind_of_the_catalog_renders_on_a_bare_resource(tmp_path: Path) -> None:
    """A resource without a single property gets alarms or reasons, never a crash."""
    for entry in entries():
        resource = Resource(entry.type, "Bare", None, {})
        if entry.unwatched(resource) is not None:
            continue
        planned = plan(System("bare", "team", [resource]))
        assert read_back(planned, tmp_path) == {one.alarm.name: one.alarm for one in planned.alarms}
        said = {left.kind for left in planned.left_out} | {one.kind for one in planned.alarms}
        assert said == {kind.id for kind in entry.alarm_kinds}, "each kind is planned or said to be left out"


def test_the_same_plan_is_the_same_text() -> None:
    function = Resource("AWS::Lambda::Function", "Reader", None, {"Timeout": 10})
    system = System("shop", "payments", [function], [availability(function, objective="99.9%", window="28d")])
    assert alarm_template(plan(system)) == alarm_template(plan(system))


def test_a_template_is_readable_yaml_with_short_tags() -> None:
    function = Resource("AWS::Lambda::Function", "Reader", None, {"Timeout": 10})
    text = alarm_template(plan(System("shop", "payments", [function])))
    assert "!Ref ReaderName" in text
    assert "Fn::Sub" not in text
    assert resolve(parse(text, "template.yaml"))


def test_alarms_on_a_conditional_resource_exist_where_the_resource_does(tmp_path: Path) -> None:
    function = Resource("AWS::Lambda::Function", "Reader", "reader", {"Timeout": 10}, conditional=True)
    planned = plan(
        System("shop", "payments", [function], [availability(function, objective="99.9%", window="28d", name="works")])
    )
    assert read_back(planned, tmp_path) == {one.alarm.name: one.alarm for one in planned.alarms}
    path = tmp_path / "template.yaml"
    assert not read_template(path).alarms, "without a name there is nothing to watch"
    there = read_template(path, {"ReaderName": "reader"})
    assert len(there.alarms) + len(there.composites) == len(planned.alarms)
