"""On-call files for the routing to be rendered from, as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tocsin.model import Severity
from tocsin.paging.declared import Heartbeat, Member, OnCall, Route, SecretSource, Team, Tool, ToolName, Way


def team(owner: str, pages: Route, tickets: Route) -> Team:
    """A team with one owner of the same name."""
    return Team(
        owner,
        (owner,),
        (Member(f"{owner}-primary@example.com", admin=True),),
        {Severity.PAGE: pages, Severity.TICKET: tickets},
    )


DIRECT = Route((Way.TOOL,))
FORWARDED = Route((Way.FORWARDER,))
MAILED = Route((Way.EMAIL,), email="payments-tickets@example.com")
TOLD = Route((Way.TOOL, Way.CHAT), chat_workspace="T0123ABCD", chat_channel="C0123ABCD")

# Every way once: payments by the tool and by e-mail, search through the forwarder and in chat.
ON_CALL = OnCall(
    path="deploy/oncall.toml",
    project="shop",
    tool=Tool(ToolName.OPSGENIE, SecretSource(variable="OPSGENIE_API_KEY"), region="eu"),
    environments=("prod", "qa"),
    teams=(team("payments", DIRECT, MAILED), team("search", FORWARDED, TOLD)),
    second_way="on-call-fallback@example.com",
    heartbeat=Heartbeat("payments", timedelta(minutes=1), timedelta(minutes=10)),
)
OWNERS = ("payments", "search")


def large(owners: int) -> tuple[tuple[str, ...], OnCall]:
    """So many owners, each with every way at once and a name as long as they may be."""
    names = tuple(f"team-{number:02}-{'x' * 55}" for number in range(owners))
    every = Route(tuple(Way), email="tickets@example.com", chat_workspace="T0123ABCD", chat_channel="C0123ABCD")
    return names, replace(ON_CALL, teams=tuple(team(name, every, every) for name in names))
