"""Thresholds are derived from production's sizes: in a smaller environment no alarm may ring for its size alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tocsin.catalog.rds_instance_classes import instance_class
from tocsin.cloud.environments import read_environments
from tocsin.cloudformation.document import load

ROOT = Path(__file__).parents[2]
GIB = 2**30
ENVIRONMENTS = read_environments(ROOT / "deploy" / "environments.toml")
ALARMS: dict[str, Any] = load(ROOT / "alarms" / "data_pipeline.yaml").tree["Resources"]


def threshold(logical_id: str) -> float:
    return float(ALARMS[logical_id]["Properties"]["Threshold"])


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_fits_the_thresholds(name: str) -> None:
    """A database at rest leaves half of its memory free and nearly all of its storage: a quarter is no false alarm."""
    sizes = ENVIRONMENTS[name].of("data_pipeline").parameters
    hardware = instance_class(str(sizes["DatabaseClass"]))
    assert hardware is not None
    assert threshold("DatabaseRdsInstanceMemory") * 4 <= hardware.memory * GIB
    assert threshold("DatabaseRdsInstanceStorage") * 4 <= int(str(sizes["DatabaseStorageGb"])) * GIB
    assert threshold("DatabaseRdsInstanceLoad") <= hardware.vcpus


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_alarm_on_the_loaders_concurrency_can_ring_everywhere(name: str) -> None:
    most = int(str(ENVIRONMENTS[name].of("data_pipeline").parameters["LoaderConcurrency"]))
    assert threshold("LoaderLambdaFunctionConcurrency") < most
