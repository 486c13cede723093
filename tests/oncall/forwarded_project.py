"""This repository as a project of one environment, with engagement's pages over the forwarder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deploy.forwarder import stack
from deploy.render import template_path

from deploy import systems
from documents import ROOT
from tocsin.cloud.committed import Committed
from tocsin.cloud.embedded import EmbeddedAws
from tocsin.cloud.environments import Environment, read_environment
from tocsin.paging.oncall_file import read_oncall
from tocsin.render.routing import routing_template
from tocsin.render.template_text import to_yaml

OWNERS = ("data-platform", "engagement")
USERS = tuple(
    f"{owner}-{role}@example.com"
    for owner in OWNERS
    for role in ("lead", "primary", "second", "day", "day-second", "night", "night-second")
)


@contextmanager
def rendered(folder: Path) -> Iterator[None]:
    """The forwarder's template as `python -m deploy.render` writes it for the project's on-call file, which is what is
    deployed in the block: the repository's own is for a file without such a route."""
    path = folder / "deploy" / "forwarder.yaml"
    routes = stack.over_forwarder(read_oncall(folder / "deploy" / "oncall.toml"))
    path.write_text(to_yaml(stack.template(routes).to_dict(), "One route over the forwarder."), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(systems, "template_path", lambda name: path if name == "forwarder" else template_path(name))
        yield


def write_project(folder: Path, aws: EmbeddedAws, on_call: str) -> tuple[Environment, Committed]:
    """The committed files, with that one route changed; ``on_call`` is the address of an on-call tool."""
    (folder / "tocsin.toml").write_text("", encoding="utf-8")
    shutil.copytree(ROOT / "alarms", folder / "alarms")
    deploy = folder / "deploy"
    deploy.mkdir()
    declared = (ROOT / "deploy" / "oncall.toml").read_text(encoding="utf-8")
    assert declared.count('pages = "tool"') == 1
    (deploy / "oncall.toml").write_text(declared.replace('pages = "tool"', 'pages = "forwarder"'), encoding="utf-8")
    routing = routing_template(OWNERS, read_oncall(deploy / "oncall.toml"))
    (deploy / "routing.yaml").write_text(routing, encoding="utf-8")
    (deploy / "environments.toml").write_text(
        f'[laptop]\nregion = "{aws.region}"\nendpoint_url = "{aws.tls_endpoint}"\n'
        f'plain_endpoint_url = "{aws.endpoint}"\noncall_url = "{on_call}"\n'
        "[laptop.stacks.forwarder]\nLogRetentionDays = 7\n"
        "[laptop.notification]\nDeletionProtection = false\n[laptop.data_pipeline]\nDeletionProtection = false\n",
        encoding="utf-8",
    )
    return read_environment(deploy / "environments.toml", "laptop"), Committed(
        folder / "alarms", deploy / "routing.yaml"
    )
