from __future__ import annotations

from datetime import timedelta

import pytest
from catalog_stacks import conditions, dimensions, offer, only, reason, ref, stack

from tocsin.alarm import TreatMissingData
from tocsin.catalog import CATALOG
from tocsin.cloudformation.symbolic import Symbolic
from tocsin.errors import DeclarationError
from tocsin.model import SliKind

BUCKET = "AWS::S3::Bucket"
REQUESTS = ("s3-bucket-client-errors", "s3-bucket-server-errors", "s3-bucket-latency")


def _bucket(**properties: object):
    return stack(Files=(BUCKET, properties), Copies=(BUCKET, {}))["Files"]


def _rule(**changes: object) -> dict[str, object]:
    rule = {
        "Id": "all-files",
        "Status": "Enabled",
        "Destination": {"Bucket": "arn:aws:s3:::copies", "Metrics": {"Status": "Enabled"}},
    }
    return {"ReplicationConfiguration": {"Rules": [{**rule, **changes}]}}


WHOLE = _bucket(MetricsConfigurations=[{"Id": "EntireBucket"}, {"Id": "reports", "Prefix": "reports/"}])
PARTS = _bucket(MetricsConfigurations=[{"Id": "raw-files", "Prefix": "raw/"}, {"Id": "reports", "Prefix": "reports/"}])


@pytest.mark.parametrize("kind", REQUESTS)
def test_request_metrics_are_alarmed_on_only_where_they_are_switched_on(kind: str) -> None:
    """Defects 13 and 15 of other tools: alarms on request metrics that nobody switched on."""
    assert "MetricsConfigurations" in reason(_bucket(), kind)
    assert "give it with --param" in reason(_bucket(MetricsConfigurations=Symbolic("${Metrics}")), kind)
    assert "give it with --param" in reason(_bucket(MetricsConfigurations=[{"Id": Symbolic("${Id}")}]), kind)
    assert "give it with --param" in reason(_bucket(MetricsConfigurations=[{"Id": 7}]), kind)
    assert "MetricsConfigurations" in reason(_bucket(MetricsConfigurations="odd"), kind)
    assert dimensions(only(WHOLE, kind)) == {"BucketName": "${FilesName}", "FilterId": "EntireBucket"}


@pytest.mark.parametrize("kind", REQUESTS)
def test_without_a_filter_for_the_whole_each_part_is_watched(kind: str) -> None:
    found = conditions(PARTS, kind)
    assert [condition.suffix for condition in found] == ["RawFiles", "Reports"]
    assert [dimensions(condition)["FilterId"] for condition in found] == ["raw-files", "reports"]


def test_errors_are_a_share_with_a_minimum_and_not_a_count() -> None:
    condition = only(WHOLE, "s3-bucket-client-errors")
    assert condition.threshold == 5
    assert (condition.datapoints_to_alarm, condition.evaluation_periods) == (2, 3)
    assert ">= 5" in str(condition.queries[0].expression)


def test_the_first_byte_may_take_five_times_as_long_as_usual() -> None:
    assert only(WHOLE, "s3-bucket-latency").threshold == 1000


def test_a_failed_replication_is_told_and_stays_told() -> None:
    condition = only(_bucket(**_rule()), "s3-bucket-replication-failed")
    assert dimensions(condition) == {
        "SourceBucket": "${FilesName}",
        "DestinationBucket": "copies",
        "RuleId": "all-files",
    }
    assert (condition.threshold, condition.treat_missing_data) == (0, TreatMissingData.IGNORE)
    to_own = _rule(Destination={"Bucket": ref("Copies.Arn"), "Metrics": {"Status": "Enabled"}})
    assert dimensions(only(_bucket(**to_own), "s3-bucket-replication-failed"))["DestinationBucket"] == "${CopiesName}"


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({}, "it replicates nothing"),
        (_rule(Status="Disabled"), "metrics are switched off"),
        (_rule(Destination={"Bucket": "arn:aws:s3:::copies"}), "metrics are switched off"),
        (_rule(Id=None), "give it an Id"),
        (_rule(Destination={"Bucket": Symbolic("${Arn}"), "Metrics": {"Status": "Enabled"}}), "give it with --param"),
        ({"ReplicationConfiguration": Symbolic("${Replication}")}, "metrics are switched off"),
    ],
)
def test_a_replication_that_publishes_nothing_says_why(properties: dict[str, object], why: str) -> None:
    assert why in reason(_bucket(**properties), "s3-bucket-replication-failed")


def test_slis_need_metrics_of_the_whole_bucket() -> None:
    for kind in (SliKind.AVAILABILITY, SliKind.LATENCY):
        assert offer(WHOLE, kind).applies(WHOLE) is None
        assert "switched off" in str(offer(WHOLE, kind).applies(_bucket()))
        assert "several parts" in str(offer(WHOLE, kind).applies(PARTS))
        with pytest.raises(DeclarationError):
            offer(WHOLE, kind).measure(PARTS, timedelta(seconds=1))
    assert offer(WHOLE, SliKind.LATENCY).measure(WHOLE, timedelta(milliseconds=500)).limit == 500


def test_a_bucket_without_request_metrics_still_shows_its_size() -> None:
    assert [panel.title for panel in CATALOG[BUCKET].panels(_bucket())] == ["How much does the bucket hold?"]
    assert len(CATALOG[BUCKET].panels(PARTS)) == 5
