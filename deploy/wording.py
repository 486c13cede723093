"""What the command of an environment says: a plan stack by stack, and each step of carrying it out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tocsin.cloud.deploy import DeployEvent, StackOutcome, StackPlan, Work
from tocsin.cloud.stacks import StackEvent
from tocsin.cloud.wording import planned as changes_of

_DOING = {
    Work.CREATE: "creating",
    Work.RECREATE: "deleting what a failed creation left, creating",
    Work.UPDATE: "changing",
}
_DONE = {Work.CREATE: "created", Work.RECREATE: "created", Work.UPDATE: "changed", Work.NOTHING: "is as committed"}
_TO_BE = {Work.CREATE: "to be created", Work.RECREATE: "to be created again", Work.UPDATE: "to be changed"}


def planned(plans: Sequence[StackPlan]) -> Iterator[str]:
    """Every stack and its changes, in order, and a sum at the end."""
    for plan in plans:
        yield from changes_of(replace(plan, unknown=()))
        if plan.unknown:
            yield f"  known only once the stacks before it are there: {', '.join(plan.unknown)}"
    yield ""
    yield f"{_stacks(len(plans))}: {_counted(_TO_BE, [plan.work for plan in plans])}"


def done(outcomes: Sequence[StackOutcome]) -> str:
    """What a deployment came to."""
    works = [Work.CREATE if outcome.work is Work.RECREATE else outcome.work for outcome in outcomes]
    return f"{_stacks(len(outcomes))}: {_counted(_DONE, works)}"


@dataclass(frozen=True, slots=True)
class Progress:
    """Tells each step with the seconds since the beginning; ``shown`` are the plans that have been shown before."""

    say: Callable[[str], None]
    shown: Mapping[str, StackPlan] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def __call__(self, event: DeployEvent) -> None:
        """Say what is worth a line."""
        for number, line in enumerate(self._lines(event)):
            time_of_it = f"[{time.monotonic() - self.started:6.1f} s]" if number == 0 else " " * 10
            self.say(f"{time_of_it} {line}")

    def _lines(self, event: DeployEvent) -> Iterator[str]:
        match event:
            case StackPlan(work=Work.NOTHING):
                return
            case StackPlan():
                yield f"{event.stack}: {_DOING[event.work]} {_resources(len(event.changes))}"
                before = self.shown.get(event.stack)
                if before is not None and event.work is Work.UPDATE and event.changes != before.changes:
                    # It could not be told exactly before the stacks that it builds on had been changed.
                    yield from list(changes_of(event))[1:]
            case StackOutcome():
                yield f"{event.stack}: {_DONE[event.work]}"
            case StackEvent() if event.failed:
                yield f"{event.stack}: {event.logical_id} failed: {' '.join(event.reason.split()) or event.status}"
            case _:
                return


def _counted(words: Mapping[Work, str], works: Sequence[Work]) -> str:
    numbers = Counter(works)
    told = [f"{numbers[work]} {word}" for work, word in words.items() if numbers[work] and work is not Work.NOTHING]
    if as_committed := numbers[Work.NOTHING]:
        told.append(f"{as_committed} as committed")
    return ", ".join(told)


def _stacks(number: int) -> str:
    return f"{number} stack{'' if number == 1 else 's'}"


def _resources(number: int) -> str:
    return f"{number} resource{'' if number == 1 else 's'}"
