"""Everything deployed on an embedded AWS that enforces IAM, and validated as the delivery pipeline does it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("ministack", reason="the embedded AWS is not installed")

from deploy.run.on_call import declaration, people, set_up_on_call
from deploy.run.stage import Stage, believe, describe_environment, in_environment, set_up_alarms, set_up_systems

from deploy.validate import Target, target_of
from tocsin.cloud.embedded import embedded
from tocsin.paging.embedded import embedded_oncall

PATIENCE = 60.0


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Both reference systems with their alarms, as `make run` sets them up.  Tests mend again what they break."""
    users = people(declaration())
    with embedded_oncall(users=users) as pager, embedded(tmp_path_factory.mktemp("aws"), iam=True) as aws:
        believe(pager, aws)
        with in_environment(aws.boto3_environment()):
            made = set_up_on_call(set_up_systems(aws, describe_environment(aws)), pager)
            set_up_alarms(made)
            yield made


@pytest.fixture
def target(stage: Stage) -> Iterator[Target]:
    """What a check sees with the credentials of the delivery role."""
    with stage.as_delivery():
        yield target_of(stage.environment, PATIENCE)


@pytest.fixture
def hasty(stage: Stage) -> Iterator[Target]:
    """The same, for a check that waits in vain."""
    with stage.as_delivery():
        yield target_of(stage.environment, 2.0)
