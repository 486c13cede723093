"""What of a declaration is what in OpenSLO v1, and what has no counterpart; docs/openslo.md shows these tables.

The specification: https://github.com/OpenSLO/OpenSLO, version openslo/v1.
"""

from __future__ import annotations

VERSION = "openslo/v1"
SPECIFICATION = "https://github.com/OpenSLO/OpenSLO"
#: What OpenSLO has no field for is kept in annotations, which it has for that.
PREFIX = "tocsin/"

#: Field of a declaration → field of OpenSLO; each comes back as it went.
MAPPED = (
    ("`System.name`", "`Service` `metadata.name`; the exact name in the annotation `tocsin/system` where it differs"),
    ("`System.owner`", "`Service` label `owner`; each `AlertNotificationTarget` is one owner and severity"),
    ("`System.description`", "`Service` `spec.description`"),
    ("the template", "`Service` annotation `tocsin/template`"),
    ("name of an SLO", "`SLO` `metadata.displayName`; `metadata.name` is made of the system's name and it"),
    ("`objective=`", "`SLO` `objectives[0].target`, the exact decimal; `targetPercent` is read too"),
    ("`window=`", "`SLO` `timeWindow[0]` with `isRolling: true`; `4w` is read as `28d`"),
    ("`because=`", "`SLO` `spec.description`"),
    ("`minimum_bad_events=`", "`SLO` annotation `tocsin/minimum-bad-events`"),
    (
        "availability, latency, freshness, completeness",
        "`SLO` annotation `tocsin/kind`; found by its metrics without it",
    ),
    ("the resource", "`SLO` annotation `tocsin/resource`; found by its metrics without it"),
    ("bad beside valid events", "`SLI` `ratioMetric` with `bad` and `total`"),
    ("bad beside good events", "the same; `total` is metric math that adds the two"),
    ("messages added to a dead-letter queue", "the same; `bad` is metric math: what the queue's depth rose by"),
    (
        "`below=`",
        "`SLI` `ratioMetric` with `good` and `total`; `good` is metric math: percentile rank times number of samples",
    ),
    ("`unit=` of a metric of your own", "`SLO` annotation `tocsin/unit`"),
    ("`share_of=`", "`SLI` `spec.description`"),
    ("a tier of burn-rate alarms", "`AlertCondition` of kind `burnrate`: `threshold` and `lookbackWindow`"),
    ("page, ticket", "`AlertCondition` `severity`"),
    ("CloudWatch", "`DataSource` of type `CloudWatch`, without connection details"),
)

#: In a declaration, not in OpenSLO → what is said of it.
NOT_EXPORTED = (
    ("heartbeat, and freshness since the last success", "kept or broken, not a share"),
    ("an objective that ends in no decimal", "OpenSLO's target is a decimal"),
    ("the short window of a tier", "an annotation of the AlertCondition that other tools do not read"),
    ("the least number of bad events", "an annotation of the SLO that other tools do not read"),
    ("overrides and reported metrics", "not about an SLO"),
    ("text over 1,050 characters", "OpenSLO's limit: cut"),
)

#: In OpenSLO, not in a declaration → what is said of it.
NOT_IMPORTED = (
    ("a data source other than CloudWatch", "Tocsin reads CloudWatch"),
    ("`Timeslices` and `RatioTimeslices`", "Tocsin counts events (Occurrences)"),
    ("a calendar window", "burn rates need a rolling one"),
    ("a rolling window other than 7, 28, 30 or 90 days, or in months, quarters, years", "it has no burn-rate windows"),
    ("several objectives", "one objective, one SLO"),
    ("composite objectives", "one indicator, one SLO"),
    ("`thresholdMetric`", "CloudWatch keeps no single samples to compare"),
    ("`raw`", "a ratio that was computed before has no number of events"),
    ("`good` and `total` of plain metrics", "no metric counts the bad events"),
    ("metric math of other forms", "not known"),
    ("an objective outside 90 % to 99.99 %", "no burn-rate tier can watch it"),
    ("alert policies that are not those of the export", "a note: the tiers of burn-rate alarms are Tocsin's own"),
    ("metrics of no resource of the template", "there is nothing to put the promise on"),
)
