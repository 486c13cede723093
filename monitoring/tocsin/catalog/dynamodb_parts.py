"""The table and its indexes: each has its own metrics and, billed by the hour or capped, its own capacity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..alarm import Metric
from ..cloudformation.symbolic import escape
from ..model import Resource
from .entry import Inapplicable, name_of
from .properties import amount, known_when_deployed, mappings

NAMESPACE = "AWS/DynamoDB"


@dataclass(frozen=True, slots=True)
class Part:
    """The table itself or one of its global secondary indexes: each has its own capacity and its own metrics."""

    suffix: str
    what: str
    dimensions: tuple[tuple[str, str], ...]
    resource: Resource
    index: str | None = None

    def metric(self, name: str) -> Metric:
        return Metric(NAMESPACE, name, self.dimensions)


def parts_of(table: Resource) -> tuple[Part, ...]:
    """The table, then its indexes in the order of the template.  An index without a known name is left out."""
    own = (("TableName", name_of(table)),)
    found = [Part("", "the table", own, table)]
    for index in mappings(table.properties.get("GlobalSecondaryIndexes")):
        name = index.get("IndexName")
        if type(name) is not str:
            continue
        plain = "".join(word[:1].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", name))
        suffix, taken = plain, {part.suffix for part in found}
        while suffix in taken:
            suffix = f"{plain}{len(found)}" if suffix == plain else f"{suffix}x"
        settings = Resource(table.type, table.logical_id, properties={**index, "BillingMode": billing_mode(table)})
        dimensions = (*own, ("GlobalSecondaryIndexName", escape(name)))
        found.append(Part(suffix, f"index {name}", dimensions, settings, name))
    return tuple(found)


def billing_mode(table: Resource) -> Any:
    """The billing mode; CloudFormation's default is PROVISIONED, that of SAM's SimpleTable depends."""
    default = "PROVISIONED"
    if table.type == "AWS::Serverless::SimpleTable" and "ProvisionedThroughput" not in table.properties:
        default = "PAY_PER_REQUEST"
    return table.properties.get("BillingMode", default)


def limit_of(table: Resource, part: Part, direction: str) -> tuple[float, str] | Inapplicable:
    """How many units a second ``part`` can serve and what sets that limit."""
    mode = part.resource.properties.get("BillingMode") if part.index else billing_mode(table)
    if mode == "PAY_PER_REQUEST":
        name, block, what = f"Max{direction}RequestUnits", "OnDemandThroughput", f"the maximum {direction.lower()} rate"
        if table.type == "AWS::DynamoDB::GlobalTable":
            block = f"{direction}OnDemandThroughputSettings"
    elif mode == "PROVISIONED":
        if (most := _most_scaled(table, part, direction)) is not None:
            return most
        name, block = f"{direction}CapacityUnits", "ProvisionedThroughput"
        what = f"the provisioned {direction.lower()} capacity"
        if table.type == "AWS::DynamoDB::GlobalTable":
            return Inapplicable("each replica's capacity scales by itself; its own alarms watch that")
    else:
        return known_when_deployed("its billing mode")
    settings = next(iter(mappings(part.resource.properties.get(block))), {})
    if name not in settings:
        if mode == "PAY_PER_REQUEST":
            return Inapplicable("it is billed on demand without a maximum: there is no capacity to use up")
        return known_when_deployed(f"its {direction.lower()} capacity")
    units = amount(Resource(table.type, table.logical_id, properties=settings), name, 0)
    return (units, what) if units else known_when_deployed(what.replace("the ", "its ", 1))


def _most_scaled(table: Resource, part: Part, direction: str) -> tuple[float, str] | Inapplicable | None:
    """The most that Application Auto Scaling may provision, where the template lets it scale ``part``."""
    place = f"/index/{part.index}" if part.index else ""
    named = {f"table/{name}{place}" for name in (f"${{{table.logical_id}}}", table.name) if name}
    kind = "index" if part.index else "table"
    for _, target in sorted(table.surroundings.items()):
        if (
            target.type == "AWS::ApplicationAutoScaling::ScalableTarget"
            and target.properties.get("ResourceId") in named
            and target.properties.get("ScalableDimension") == f"dynamodb:{kind}:{direction}CapacityUnits"
        ):
            most = amount(target, "MaxCapacity", 0)
            if not most:
                return known_when_deployed(f"the most {direction.lower()} capacity it scales to")
            return most, f"the most {direction.lower()} capacity that auto scaling may provision"
    return None
