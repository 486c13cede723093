"""The stage of tests of `oncall apply`: an account of AWS, a project that is built once, and folders of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from applying import forget, publish, secrets_of
from oncall_tools import ON_CALL, USERS, as_caller, cloud_of, deploy_watched, shop, succeed

from tocsin.cloud.embedded import EmbeddedAws, embedded
from tocsin.cloud.session import Cloud
from tocsin.paging.embedded import EmbeddedOnCall, embedded_oncall

TICKETS_TOO = ON_CALL.replace('tickets = { email = "payments-tickets@example.com" }', 'tickets = "tool"')
HEARTBEAT = '[heartbeat]\nteam = "payments"\n'


TABLES = ("teams", "schedules", "escalations", "routing_rules", "integrations", "heartbeats")


@dataclass(frozen=True)
class Stage:
    """The account, in which the shop is deployed and nothing is on call; ``shop`` is its project, built.

    ``built`` are routings by on-call file.
    """

    aws: EmbeddedAws
    cloud: Cloud
    shop: Path
    built: dict[str, str] = field(default_factory=dict)

    def copy(self, folder: Path, url: str) -> Path:
        """A shop of one's own in ``folder``, built, on call at ``url``."""
        shutil.copytree(self.shop, folder)
        return shop(folder, self.aws, url)

    def build(self, folder: Path, text: str) -> None:
        """Another deploy/oncall.toml in ``folder``, which is the current one; built, once for each text."""
        (folder / "deploy" / "oncall.toml").write_text(text, encoding="utf-8")
        routing = folder / "deploy" / "routing.yaml"
        if text not in self.built:
            succeed("build")
            self.built[text] = routing.read_text(encoding="utf-8")
        routing.write_text(self.built[text], encoding="utf-8")


@contextmanager
def stage(*, iam: bool = False) -> Iterator[Stage]:
    """An account with the shop in it.  Whoever is written to by SNS confirms at once."""
    with embedded(iam=iam) as aws, TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        aws.confirm_mail()
        cloud = cloud_of(aws)
        deploy_watched(cloud, aws)
        built = shop(Path(folder), aws, "http://127.0.0.1:1")
        patch.chdir(built)
        succeed("build")
        patch.undo()
        yield Stage(aws, cloud, built, {ON_CALL: (built / "deploy" / "routing.yaml").read_text(encoding="utf-8")})


@dataclass(frozen=True)
class Setting:
    """The embedded AWS, the embedded on-call, and a project folder between them."""

    stage: Stage
    pager: EmbeddedOnCall
    folder: Path

    @property
    def aws(self) -> EmbeddedAws:
        return self.stage.aws

    @property
    def cloud(self) -> Cloud:
        return self.stage.cloud

    def declare(self, text: str) -> None:
        """Another deploy/oncall.toml, built."""
        self.stage.build(self.folder, text)

    def secrets(self) -> dict[str, str]:
        """The secrets of the on-call that are not on their way out, with their values."""
        return secrets_of(self.cloud)

    def delivers(self, severity: str = "page") -> bool:
        """Whether what the topic publishes opens an alert."""
        name = publish(self.cloud, severity)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if name in self.pager.open_alerts():
                return True
            time.sleep(0.02)
        return False

    def names(self) -> dict[str, list[str]]:
        """What is in the tool, by kind."""
        state = self.pager.state
        with state.lock:
            return {table: sorted(str(one["name"]) for one in getattr(state, table)) for table in TABLES}


@contextmanager
def on_opsgenie(account: Stage, folder: Path) -> Iterator[Setting]:
    """A tool and an account in which nothing is on call yet; the current folder is ``folder``, a shop."""
    with (
        embedded_oncall(users=USERS, certificates_from=account.aws.endpoint) as pager,
        as_caller(account.aws),
        pytest.MonkeyPatch.context() as patch,
    ):
        account.copy(folder, pager.url)
        patch.chdir(folder)
        patch.setenv("OPSGENIE_API_KEY", pager.key)
        yield Setting(account, pager, folder)
    forget(account.cloud)
