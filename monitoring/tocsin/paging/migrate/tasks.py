"""What a person does to leave Opsgenie, in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..declared import OnCall, ToolName
from ..tool import heartbeat_name
from .found import END_OF_OPSGENIE, Fate, Moved


def tasks_of(items: Sequence[Moved], declared: OnCall) -> tuple[str, ...]:
    """In order: what a step needs, the steps before it made; pages never have nowhere to go."""
    kinds = {item.kind for item in items if item.fate is not Fate.UNKNOWN}
    by_hand = Counter(item.kind for item in items if item.fate is Fate.BY_HAND)
    tasks = list[str]()
    if any(item.fate is Fate.UNKNOWN for item in items):
        tasks.append(
            "Give the key the right to read what could not be read, and run this again; or look for it by hand."
        )
    tasks.append(
        "Choose the site and its plan: heartbeats, global integrations and outgoing ones are not part of every plan."
    )
    tasks.append(
        "Start Atlassian's own migration (Opsgenie, Settings, Migrate Opsgenie), which makes users and teams; or invite"
        " the users, make the teams and switch their operations on by hand."
    )
    tasks.append(
        "Make an account for Tocsin that is in these teams as their operations admin, and a token with the scopes"
        " read:jira-user, read:, write: and delete:ops-config:jira-service-management, read: and"
        " write:ops-alert:jira-service-management; it ends after a year at most, so write down when."
    )
    if declared.tool.name is not ToolName.JIRA:
        tasks.append(
            f'In {declared.path}, write name = "jira" under [tool] with site and account, and where the token is; leave region.'
        )
    tasks.append(
        "Run `tocsin oncall plan ENV` and read it; what Atlassian's migration made under a wanted name is taken over with"
        " --adopt."
    )
    tasks.append(
        "Run `tocsin oncall apply ENV`, first where nobody is woken: it makes schedules, escalations, routing rules,"
        " integrations and the heartbeat, writes the new keys into the same secrets, and deploys the routing: only then the"
        " SNS subscriptions and the dead-man's switch go to the new addresses. Opsgenie's stay valid until then, so no page"
        " is lost in between. Integrations that Atlassian's migration brought along are made anew, with keys of their own."
    )
    if declared.heartbeat is not None:
        beats = ", ".join(heartbeat_name(declared.project, one) for one in declared.environments)
        tasks.append(
            f"Switch the heartbeats of those environments off in Opsgenie ({beats}): they are pinged no more, and their"
            " silence would page there."
        )
    tasks.append(
        "Run `tocsin drill ENV` for each owner, and once with --page; let each person set up Jira's own app first."
    )
    others = [f"{many} {kind}" for kind, many in sorted(by_hand.items())]
    if others:
        tasks.append(f"Make by hand what Tocsin does not own: {', '.join(others)}.")
    if "integration" in kinds:
        tasks.append("Tell whoever else sends to an Opsgenie integration its new address and key.")
    tasks.append(
        f"When nothing comes in there any more, remove Opsgenie's side; at the latest by {END_OF_OPSGENIE.isoformat()}, and"
        " within 120 days of Atlassian's migration, when the account is switched off."
    )
    return tuple(tasks)
