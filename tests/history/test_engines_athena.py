"""Athena over the stack as it is deployed: the same answers as DuckDB, to everything a review asks, with no more rights.

The embedded AWS answers Athena's queries by DuckDB; whether Trino, which is what Athena runs, takes them is held by a parser
of its dialect at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.history.history_cloud import BUCKET
from tests.history.history_rows import OCTOBER, START, counts
from tests.history.test_history_stack import PSEUDO

from tocsin.cloud.athena import ask_athena
from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.session import Cloud, connect
from tocsin.cloudformation.document import parse
from tocsin.cloudformation.intrinsics import resolve
from tocsin.errors import CloudError
from tocsin.history.engine import Engine, open_athena, open_duckdb
from tocsin.history.partitions import Partition, merge_rows, read_rows
from tocsin.history.schema import (
    ALARM,
    ALARM_COVERAGE,
    ALARM_STATE,
    ALERT,
    ALERT_COVERAGE,
    COVERAGE,
    PROMISE,
    SLI,
    TABLES,
)
from tocsin.history.store import open_store
from tocsin.render.history_stack import DATABASE, WORKGROUP, render_history_stack

HISTORY = f"s3://{BUCKET}/some/history"
QUERY_CALLS = ["athena:GetQueryExecution", "athena:GetQueryResults", "athena:StopQueryExecution"]
PARAMETERS = {"Bucket": BUCKET, "Prefix": "some/history", "Systems": "billing,shop", "BytesScannedCutoff": "20000000"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[EmbeddedAws]:
    """An embedded AWS that checks permissions, with the bucket and the stack."""
    with embedded(tmp_path_factory.mktemp("aws"), iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def as_user(aws) -> Callable[[str, str], Cloud]:
    """A connection with somebody's keys."""

    def make(key: str, secret: str) -> Cloud:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
            made = connect(aws.region, endpoint_url=aws.endpoint)
            for service in ("s3", "athena", "glue", "cloudformation", "iam", "cloudwatch"):
                made.client(service)
            return made

    return make


@pytest.fixture(scope="module")
def root(as_user) -> Cloud:
    return as_user("test", "test")


@pytest.fixture(scope="module")
def stack(root, aws) -> dict[str, str]:
    """The stack's outputs."""
    root.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
    cloudformation = root.client("cloudformation")
    cloudformation.create_stack(
        StackName="history",
        TemplateBody=render_history_stack(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in PARAMETERS.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName="history", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    found = cloudformation.describe_stacks(StackName="history")["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}


@pytest.fixture(scope="module")
def user(root, stack, as_user) -> Callable[[str], Cloud]:
    """A connection of a user with the policy that an output names, and nothing else."""
    iam = root.client("iam")

    def make(output: str) -> Cloud:
        iam.create_user(UserName=output)
        iam.attach_user_policy(UserName=output, PolicyArn=stack[output])
        if output == "ReadPolicyArn":
            # These calls name a query. AWS knows its workgroup (Service Authorization Reference, Athena), the embedded
            # one does not, and asks for a permission on everything.
            statement = {"Effect": "Allow", "Action": QUERY_CALLS, "Resource": "*"}
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=output, PolicyName="queries", PolicyDocument=document)
        key = iam.create_access_key(UserName=output)["AccessKey"]
        return as_user(key["AccessKeyId"], key["SecretAccessKey"])

    return make


@pytest.fixture(scope="module")
def reader(user) -> Cloud:
    return user("ReadPolicyArn")


@pytest.fixture(scope="module")
def puller(user) -> Cloud:
    return user("PullPolicyArn")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def properties(kind: str) -> dict[str, dict[str, Any]]:
    """What the template says of the resources of a type, under the parameters that were deployed."""
    document = parse(render_history_stack(), "deploy/history.yaml")
    defaults = {name: str(each["Default"]) for name, each in document.tree["Parameters"].items() if "Default" in each}
    pseudo = {**PSEUDO, "AWS::AccountId": "000000000000"}
    found = resolve(document, {**defaults, **PARAMETERS}, pseudo=pseudo)
    return {one.logical_id: one.properties for one in found if one.type == kind}


# --- as it is deployed ------------------------------------------------------------------------------------------------


def test_outputs_say_what_the_commands_are_given(stack):
    assert stack["History"] == HISTORY
    assert (stack["Database"], stack["Workgroup"]) == (DATABASE, WORKGROUP)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_property_of_a_table_reads_back(root, stack, name):
    (wanted,) = (
        each["TableInput"] for each in properties("AWS::Glue::Table").values() if each["TableInput"]["Name"] == name
    )
    found = root.client("glue").get_table(DatabaseName=stack["Database"], Name=name)["Table"]
    assert {key: found[key] for key in wanted} == wanted


def test_every_property_of_the_database_reads_back(root, stack):
    (wanted,) = properties("AWS::Glue::Database").values()
    found = root.client("glue").get_database(Name=stack["Database"])["Database"]
    assert {key: found[key] for key in wanted["DatabaseInput"]} == wanted["DatabaseInput"]


def test_every_property_of_the_workgroup_reads_back(root, stack):
    (wanted,) = properties("AWS::Athena::WorkGroup").values()
    found = root.client("athena").get_work_group(WorkGroup=stack["Workgroup"])["WorkGroup"]
    assert (found["Name"], found["State"], found["Description"]) == (
        wanted["Name"],
        wanted["State"],
        wanted["Description"],
    )
    settings = found["Configuration"]
    expected = wanted["WorkGroupConfiguration"]
    # CloudFormation makes a number of it, the embedded one keeps the parameter's text.
    assert int(settings["BytesScannedCutoffPerQuery"]) == int(expected.pop("BytesScannedCutoffPerQuery")) == 20_000_000
    assert {key: settings[key] for key in expected} == expected


@pytest.mark.parametrize("name", ["PullPolicy", "ReadPolicy"])
def test_a_policy_reads_back(root, stack, name):
    iam = root.client("iam")
    policy = iam.get_policy(PolicyArn=stack[f"{name}Arn"])["Policy"]
    found = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId=policy["DefaultVersionId"])["PolicyVersion"]
    document = found["Document"] if isinstance(found["Document"], dict) else json.loads(found["Document"])
    statements = {each["Sid"]: each for each in document["Statement"]}
    wanted = {each["Sid"]: each for each in properties("AWS::IAM::ManagedPolicy")[name]["PolicyDocument"]["Statement"]}
    assert statements.keys() == wanted.keys()
    assert {sid: each["Action"] for sid, each in statements.items()} == {
        sid: each["Action"] for sid, each in wanted.items()
    }
    assert "${" not in json.dumps(document)


# --- with no more rights than the policies give -----------------------------------------------------------------------


@dataclass(frozen=True)
class Both:
    """Asks both engines and holds the answers against each other."""

    duckdb: Engine
    athena: Engine
    asked: list[str] = field(default_factory=list)

    name = "both"
    skipped = ()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        self.asked.append(sql)
        one, other = self.duckdb.rows(sql), self.athena.rows(sql)
        assert one == other, sql
        kinds = [[type(cell) for cell in row] for row in one]
        assert kinds == [[type(cell) for cell in row] for row in other], sql
        return one


def plant(cloud: Cloud) -> None:
    """Two systems in October 2026: an incident, an alarm that told of it, and a heartbeat."""
    store = open_store(HISTORY, lambda: cloud)
    first = START - timedelta(days=2)

    def put(table: Any, rows: list[tuple[Any, ...]], system: str = "shop", month: str = "2026-10") -> None:
        merge_rows(store, Partition(table, "prod", system, month), rows)

    with store.locked():
        for system in ("shop", "billing"):
            rows = []
            for minute in range(0, 31 * 1440, 5):
                bad = 40 if 5000 <= minute < 5030 else int(minute % 700 == 0)
                rows.append(("orders", START + timedelta(minutes=minute), 300, 100 - bad, 100))
            put(SLI, rows, system)
            put(COVERAGE, [("orders", START, START + timedelta(days=31), 300)], system)
            promise = ("orders", first, "availability", "999/1000", 28 * 86_400, "requests that succeed", "payments")
            put(PROMISE, [promise], system, "2026-09")
        day = [("nightly", START + timedelta(days=n), 3600, 1, 1) for n in range(31) if n != 9]
        put(SLI, day)
        put(COVERAGE, [("nightly", START, START + timedelta(days=31), 3600)])
        put(PROMISE, [("nightly", first, "heartbeat", None, 90_000, "runs that end", "payments")], month="2026-09")
        put(ALARM, [("prod-shop-orders-page", first, "page", "orders", "slo-burn")], month="2026-09")
        at = START + timedelta(minutes=5010)
        put(
            ALARM_STATE,
            [
                ("prod-shop-orders-page", START + timedelta(seconds=3), None, "OK", "created"),
                ("prod-shop-orders-page", at, "OK", "ALARM", 'it\'s "burning"\nfast'),
                ("prod-shop-orders-page", at + timedelta(hours=1), "ALARM", "OK", "over"),
            ],
        )
        put(ALARM_COVERAGE, [(START, START + timedelta(days=31))])
        put(ALERT, [("prod-shop-orders-page", at, at + timedelta(minutes=4), None)])
        put(ALERT_COVERAGE, [(START, START + timedelta(days=31))])


@pytest.fixture(scope="module")
def planted(puller) -> None:
    """Written by somebody who may do just that."""
    plant(puller)


@pytest.fixture
def both(reader, planted, stack) -> Both:
    store = open_store(stack["History"], lambda: reader)
    return Both(open_duckdb(store), open_athena(reader, stack["Workgroup"], stack["Database"]))


def test_every_table_answers_alike(both):
    for table in TABLES.values():
        key = ", ".join(f'"{name}"' for name in ("environment", "system", "month", *table.key))
        columns = ", ".join(f'"{column.name}"' for column in table.columns)
        assert both.rows(f"SELECT {key}, {columns} FROM {table.name} ORDER BY {key}"), table.name


def test_a_whole_review_is_the_same_from_both(both):
    from tocsin.review.make import make_pack

    arguments: dict[str, Any] = {
        "month": "2026-10",
        "environment": "prod",
        "zone": "Europe/Berlin",
        "systems": None,
        "now": datetime(2026, 11, 2, tzinfo=UTC),
    }
    pack = make_pack(both, **arguments)
    assert len(both.asked) > 8
    assert [one.incidents for one in pack.slos if one.slo == "orders"] != [(), ()]
    assert pack == make_pack(both.athena, **arguments)


def test_values_of_every_type_are_the_same(both):
    ((*values,),) = both.rows(
        "SELECT CAST(7 AS BIGINT), CAST(7 AS INTEGER), CAST('1.500' AS DECIMAL(18,3)), TIMESTAMP '2026-10-01 00:00:00', "
        "TIMESTAMP '2026-10-01 00:00:00.250', DATE '2026-10-01', true, false, CAST(1.5 AS DOUBLE), '', 'a ''b'' \n,\"c\"', NULL"
    )
    assert values == [
        7,
        7,
        Decimal("1.500"),
        START.replace(tzinfo=None),
        START.replace(tzinfo=None, microsecond=250_000),
        date(2026, 10, 1),
        True,
        False,
        1.5,
        "",
        "a 'b' \n,\"c\"",
        None,
    ]


def test_a_thousand_rows_a_page_and_no_header_among_them(both):
    found = both.rows("SELECT slo, \"at\", good FROM sli WHERE system = 'billing' ORDER BY 2 LIMIT 2500")
    assert len(found) == 2500
    assert both.rows("SELECT slo FROM sli WHERE slo = 'nothing'") == []


def test_a_reader_can_neither_change_nor_lock(reader, planted):
    store = open_store(HISTORY, lambda: reader)
    assert len(read_rows(store, OCTOBER)) > 1000
    with pytest.raises(CloudError, match="not allowed to write"):
        merge_rows(store, OCTOBER, counts())
    with pytest.raises(CloudError, match="not allowed to write"), store.locked():
        pass


def test_neither_leaves_the_history(reader, puller, root, planted):
    root.client("s3").put_object(Bucket=BUCKET, Key="private/rows.parquet", Body=b"x")
    for cloud in (reader, puller):
        for use in (
            lambda each: each.client("s3").get_object(Bucket=BUCKET, Key="private/rows.parquet"),
            lambda each: each.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="private/"),
            lambda each: each.client("s3").delete_object(Bucket=BUCKET, Key="private/rows.parquet"),
            lambda each: each.client("athena").start_query_execution(QueryString="SELECT 1", WorkGroup="primary"),
        ):
            with pytest.raises(Exception, match=r"not authorized|AccessDenied|Access Denied"):
                use(cloud)


def test_a_puller_can_ask_what_a_pull_asks(puller):
    cloudwatch, stacks = puller.client("cloudwatch"), puller.client("cloudformation")
    query = {"Id": "q", "MetricStat": {"Metric": {"Namespace": "n", "MetricName": "m"}, "Period": 60, "Stat": "Sum"}}
    span = {"StartTime": START, "EndTime": START + timedelta(hours=1)}
    assert cloudwatch.get_metric_data(MetricDataQueries=[query], **span)["MetricDataResults"]
    assert cloudwatch.describe_alarm_history(MaxRecords=1)["AlarmHistoryItems"] == []
    assert stacks.describe_stacks(StackName="history")["Stacks"]
    assert stacks.list_stack_resources(StackName="history")["StackResourceSummaries"]
    with pytest.raises(Exception, match="not authorized"):
        cloudwatch.put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 1}])


def test_a_puller_can_put_a_corrupt_file_aside(puller, root, planted):
    from tocsin.history.partitions import CorruptError

    other = Partition(SLI, "prod", "billing", "2026-08")
    root.client("s3").put_object(Bucket=BUCKET, Key=f"some/history/{other.path}", Body=b"garbage")
    store = open_store(HISTORY, lambda: puller)
    with store.locked(), pytest.raises(CorruptError):
        read_rows(store, other, put_aside=True)


def test_what_was_put_aside_is_not_read_by_athena(both, puller, root, planted):
    """It reads whatever lies below a table's location, but for names that begin with an underscore."""
    test_a_puller_can_put_a_corrupt_file_aside(puller, root, planted)
    assert both.rows("SELECT count(*) FROM sli WHERE month = '2026-08'") == [(0,)]


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELEC", "failed: "),
        ("SELECT nothing FROM sli", "failed: "),
        ("SELECT * FROM elsewhere", "failed: "),
    ],
)
def test_a_refused_query_is_one_line(reader, stack, planted, sql, said):
    engine = open_athena(reader, stack["Workgroup"], stack["Database"])
    with pytest.raises(CloudError, match=said) as refused:
        engine.rows(sql)
    assert "\n" not in str(refused.value)


def test_a_workgroup_without_a_place_for_answers_is_told(root, stack):
    with pytest.raises(CloudError, match="No output location"):
        open_athena(root, "primary", stack["Database"]).rows("SELECT 1")
    there = open_athena(root, "primary", stack["Database"], f"s3://{BUCKET}/elsewhere/")
    assert there.rows("SELECT 1") == [(1,)]


def test_no_answer_in_time_is_told_and_the_query_stopped(root, stack, planted):
    endless = "SELECT count(*) FROM sli a, sli b, sli c WHERE a.good + b.good = c.valid"
    with pytest.raises(CloudError, match="no answer within 0 s") as refused:
        ask_athena(root, endless, stack["Workgroup"], stack["Database"], seconds=0)
    query = str(refused.value).rpartition(" ")[2]
    state = root.client("athena").get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"]
    assert state == "CANCELLED"


# --- Trino's dialect --------------------------------------------------------------------------------------------------


# Trino documentation, "Keywords and identifiers": these are no names without quotes.
RESERVED = {
    "alter",
    "and",
    "as",
    "between",
    "by",
    "case",
    "cast",
    "constraint",
    "create",
    "cross",
    "cube",
    "current_catalog",
    "current_date",
    "current_path",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "deallocate",
    "delete",
    "describe",
    "distinct",
    "drop",
    "else",
    "end",
    "escape",
    "except",
    "execute",
    "exists",
    "extract",
    "false",
    "for",
    "from",
    "full",
    "group",
    "grouping",
    "having",
    "in",
    "inner",
    "insert",
    "intersect",
    "into",
    "is",
    "join",
    "json_array",
    "json_exists",
    "json_object",
    "json_query",
    "json_table",
    "json_value",
    "left",
    "like",
    "listagg",
    "localtime",
    "localtimestamp",
    "natural",
    "normalize",
    "not",
    "null",
    "on",
    "or",
    "order",
    "outer",
    "prepare",
    "recursive",
    "right",
    "rollup",
    "select",
    "skip",
    "table",
    "then",
    "trim",
    "true",
    "uescape",
    "union",
    "unnest",
    "using",
    "values",
    "when",
    "where",
    "with",
}
# Functions that are in the documentation of both, with the same meaning.
SHARED = {
    "cast",
    "coalesce",
    "count",
    "date_diff",
    "lag",
    "lead",
    "max",
    "min",
    "row_number",
    "split_part",
    "sum",
    "timestampdiff",
    "datediff",
}


def test_trino_s_grammar_takes_every_query(both):
    """A parser, not Trino itself: that types agree there as they do in DuckDB is not proven by this."""
    sqlglot = pytest.importorskip("sqlglot", reason="sqlglot is not installed: it knows Trino's grammar")
    from tocsin.review.make import make_pack

    make_pack(both, "2026-10", "prod", "UTC", None, datetime(2026, 11, 2, tzinfo=UTC))
    exp = sqlglot.exp
    operators = (exp.Connector, exp.Case, exp.If, exp.Exists)
    for sql in both.asked:
        (statement,) = sqlglot.parse(sql, dialect="trino")
        found = {table.name for table in statement.find_all(exp.Table)}
        named = {one.alias_or_name for one in statement.find_all(exp.CTE)}
        assert found - named <= set(TABLES), sql
        bare = {one.name.lower() for one in statement.find_all(exp.Identifier) if not one.args.get("quoted")}
        assert bare & RESERVED == set(), sql
        called = {one.sql_name().lower() for one in statement.find_all(exp.Func) if not isinstance(one, operators)}
        assert called <= SHARED, sql
        # DuckDB divides integers into fractions, Trino into integers.
        assert not list(statement.find_all(exp.Div)), sql
