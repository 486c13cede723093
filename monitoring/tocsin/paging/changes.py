"""What has to change in the on-call tool: what should be there against what is, never touching what people made."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import InputError, nearest
from .tool import Action, Change, Difference, Found, Kind, Thing, changes_in_order

_SIGN = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-"}


def mark(project: str) -> str:
    """The line that ends the description of each thing that is this project's."""
    return f"Managed by Tocsin ({project}); change deploy/oncall.toml."


def marked(text: str, project: str) -> str:
    """``text`` with the mark as its last line."""
    return f"{text.rstrip()}\n{mark(project)}".lstrip("\n")


def is_marked(text: str | None, project: str) -> bool:
    """Whether a description ends with the mark of that project."""
    return bool(text) and (text or "").rstrip().splitlines()[-1:] == [mark(project)]


def adoption(kind: Kind, name: str) -> str:
    """What ``--adopt`` takes over: ``team/engagement``, ``routing-rule/…``."""
    return f"{kind.value.replace(' ', '-')}/{name}"


def find_changes(
    wanted: Sequence[Thing], present: Iterable[Found], adopt: Collection[str] = frozenset()
) -> tuple[Change, ...]:
    """The steps from ``present`` to ``wanted``, in the order they are to be done; none when nothing differs.

    What is ours and no longer wanted goes.  Raises InputError, before anything is changed, for a wanted name that
    somebody else's thing has and that is not in ``adopt``, and for an adoption of what is not wanted.
    """
    there: dict[tuple[Kind, str], list[Found]] = defaultdict(list)
    for found in present:
        there[found.kind, found.name].append(found)
    _refuse_unknown_adoptions(wanted, adopt)
    taken = [
        thing
        for thing in wanted
        if (same := there.get((thing.kind, thing.name)))
        and not any(found.owned for found in same)
        and adoption(thing.kind, thing.name) not in adopt
    ]
    if taken:
        raise InputError(
            "; ".join(f"{thing.kind.value} {thing.name!r} is in the on-call tool and not Tocsin's" for thing in taken)
            + ": rename it in deploy/oncall.toml, or take it over with "
            + " ".join(f"--adopt {_quoted(adoption(thing.kind, thing.name))}" for thing in taken)
        )
    changes: list[Change] = []
    for thing in wanted:
        # Ours before other people's of the same name; of two of ours the rest goes.
        same = sorted(there.pop((thing.kind, thing.name), []), key=lambda found: (not found.owned, found.id))
        changes += _change(thing, same[0] if same else None)
        changes += [_deletion(found) for found in same[1:] if found.owned]
    changes += [_deletion(found) for same in there.values() for found in same if found.owned]
    return changes_in_order(changes)


def describe(change: Change) -> tuple[str, ...]:
    """A change as lines of a diff: what it is done to, then each value before and after."""
    head = f"{_SIGN[change.action]} {change.kind.value} {change.name}"
    if change.action is Action.DELETE:
        return (head,)
    before_unknown = change.action is Action.CREATE
    return (
        head,
        *(
            f"    {one.path}: {_shown(one.path, one.after)}"
            if before_unknown
            else f"    {one.path}: {_shown(one.path, one.before)} → {_shown(one.path, one.after)}"
            for one in change.differences
        ),
    )


def find_differences(before: Any, after: Any, path: str = "") -> tuple[Difference, ...]:
    """Each value that differs, by its dotted path, in the order of paths; a part that is only on one side is one value."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return tuple(
            difference
            for name in sorted({*before, *after})
            for difference in find_differences(before.get(name), after.get(name), f"{path}.{name}".lstrip("."))
        )
    if _is_list(before) and _is_list(after):
        longest = max(len(before), len(after))
        return tuple(
            difference
            for number in range(longest)
            for difference in find_differences(
                before[number] if number < len(before) else None,
                after[number] if number < len(after) else None,
                f"{path}.{number}".lstrip("."),
            )
        )
    return () if before == after else (Difference(path, before, after),)


def _change(thing: Thing, found: Found | None) -> Iterator[Change]:
    if found is None:
        yield Change(Action.CREATE, thing.kind, thing.name, thing, None, find_differences({}, thing.body))
        return
    differences = find_differences(found.body, thing.body)
    if not found.owned and not differences:
        differences = (Difference("mark", None, "Tocsin's"),)
    if differences:
        yield Change(Action.UPDATE, thing.kind, thing.name, thing, found, differences)


def _deletion(found: Found) -> Change:
    return Change(Action.DELETE, found.kind, found.name, None, found, find_differences(found.body, {}))


def _refuse_unknown_adoptions(wanted: Sequence[Thing], adopt: Collection[str]) -> None:
    names = {adoption(thing.kind, thing.name) for thing in wanted}
    if unknown := sorted(set(adopt) - names):
        raise InputError(
            f"--adopt {_quoted(unknown[0])}: deploy/oncall.toml wants no such thing; {nearest(unknown[0], names)}"
        )


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _shown(path: str, value: Any) -> str:
    # Bodies hold no keys; should one ever be written into one, a plan in a public log is not where it comes out.
    if "key" in path.rpartition(".")[2].lower() or "secret" in path.lower():
        return "…"
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
