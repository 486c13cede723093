"""What should be there against what is: plans, ownership, adoption, and how a plan reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.errors import InputError
from tocsin.paging.changes import adoption, describe, find_changes, find_differences, is_marked, mark, marked
from tocsin.paging.tool import Action, Found, Kind, Thing


def thing(name: str = "engagement", kind: Kind = Kind.TEAM, **body: Any) -> Thing:
    return Thing(kind, name, body)


def found(name: str = "engagement", kind: Kind = Kind.TEAM, owned: bool = True, id: str = "1", **body: Any) -> Found:
    return Found(kind, name, body, id, owned)


def test_what_is_as_it_should_be_needs_no_change() -> None:
    assert find_changes([thing(members=["a"])], [found(members=["a"])]) == ()


def test_what_is_missing_is_created_what_differs_updated_what_is_no_longer_wanted_goes() -> None:
    changes = find_changes(
        [thing("new"), thing("same", x=1), thing("other", x={"y": [1, 2]})],
        [found("same", x=1), found("other", x={"y": [1, 3]}), found("old")],
    )
    assert [(change.action, change.name) for change in changes] == [
        (Action.CREATE, "new"),
        (Action.UPDATE, "other"),
        (Action.DELETE, "old"),
    ]
    assert changes[1].differences == find_differences({"x": {"y": [1, 3]}}, {"x": {"y": [1, 2]}})


def test_kinds_are_made_in_order_and_go_in_the_opposite_one() -> None:
    wanted = [thing(f"b-{kind.value}", kind) for kind in reversed(Kind)]
    there = [found(f"a-{kind.value}", kind) for kind in Kind]
    changes = find_changes(wanted, there)
    kinds = list(Kind)
    assert [change.kind for change in changes] == kinds + kinds[::-1]


def test_other_peoples_things_are_left_alone() -> None:
    assert find_changes([thing("ours")], [found("theirs", owned=False), found("ours")]) == ()


def test_a_wanted_name_that_is_somebody_elses_is_refused_with_the_way_to_take_it_over() -> None:
    there = [found(owned=False), found("night watch", Kind.ROUTING_RULE, owned=False), found("else", owned=False)]
    with pytest.raises(InputError) as caught:
        find_changes([thing(), thing("night watch", Kind.ROUTING_RULE)], there)
    assert str(caught.value) == (
        "team 'engagement' is in the on-call tool and not Tocsin's; routing rule 'night watch' is in the on-call tool and"
        " not Tocsin's: rename it in deploy/oncall.toml, or take it over with --adopt team/engagement --adopt"
        ' "routing-rule/night watch"'
    )


def test_an_adopted_thing_is_brought_to_what_is_declared() -> None:
    (change,) = find_changes([thing(x=1)], [found(owned=False, x=2)], {"team/engagement"})
    assert (change.action, change.found and change.found.owned) == (Action.UPDATE, False)
    assert [one.path for one in change.differences] == ["x"]


def test_an_adopted_thing_that_is_as_declared_is_still_marked() -> None:
    (change,) = find_changes([thing(x=1)], [found(owned=False, x=1)], {"team/engagement"})
    assert describe(change) == ("~ team engagement", '    mark: null → "Tocsin\'s"')


def test_an_adoption_of_what_is_already_ours_changes_nothing() -> None:
    assert find_changes([thing(x=1)], [found(x=1)], {"team/engagement"}) == ()


def test_an_adoption_of_what_is_not_wanted_is_refused() -> None:
    with pytest.raises(InputError, match=r"--adopt team/engagment: .* did you mean 'team/engagement'\?"):
        find_changes([thing()], [], {"team/engagment"})


def test_of_two_of_ours_with_one_name_one_goes() -> None:
    there = [found(id="2", x=1), found(id="1", x=1), found(id="0", x=5, owned=False)]
    (change,) = find_changes([thing(x=1)], there)
    assert (change.action, change.found and change.found.id) == (Action.DELETE, "2")


def test_a_plan_reads_as_a_diff() -> None:
    changes = find_changes(
        [
            thing("a", description="x\ny", members=[{"user": "a@example.com"}]),
            thing("b", Kind.SCHEDULE, days=["mo", "tu"]),
        ],
        [found("b", Kind.SCHEDULE, days=["mo"]), found("c", Kind.HEARTBEAT)],
    )
    assert [line for change in changes for line in describe(change)] == [
        "+ team a",
        '    description: "x\\ny"',
        '    members: [{"user": "a@example.com"}]',
        "~ schedule b",
        '    days.1: null → "tu"',
        "- heartbeat c",
    ]


@pytest.mark.parametrize("path", ["apiKey", "key", "secretText"])
def test_a_plan_shows_no_secret(path: str) -> None:
    (change,) = find_changes([thing(**{path: "5f1c0ffe"})], [found(**{path: "c0ffee"})])
    assert describe(change) == ("~ team engagement", f"    {path}: … → …")


def test_the_mark_is_the_last_line_of_a_description() -> None:
    text = marked("Looks after the API.", "shop")
    assert text == "Looks after the API.\nManaged by Tocsin (shop); change deploy/oncall.toml."
    assert marked("", "shop") == mark("shop")
    assert is_marked(text, "shop")
    assert is_marked(text + "\n", "shop")
    assert not is_marked(text, "shop-eu")
    assert not is_marked(f"{text}\nBut ask us first.", "shop")
    assert not is_marked("", "shop")
    assert not is_marked(None, "shop")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
BODY = st.dictionaries(st.text("abcd", min_size=1, max_size=2), JSON, max_size=3)
NAMES = st.sampled_from(["a", "b", "c"])
KINDS = st.sampled_from(list(Kind))


@given(before=JSON, after=JSON)
def test_no_difference_is_equality(before: Any, after: Any) -> None:
    same = _plain(before) == _plain(after)
    assert (find_differences(before, after) == ()) == same


def _plain(value: Any) -> Any:
    """Nothing and a missing name are one in a body; so are lists of different length that end in nothing."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if _plain(one) is not None}
    if isinstance(value, list):
        plain = [_plain(one) for one in value]
        while plain and plain[-1] is None:
            plain.pop()
        return plain
    return value


@given(
    wanted=st.dictionaries(st.tuples(KINDS, NAMES), BODY, max_size=4),
    there=st.dictionaries(st.tuples(KINDS, NAMES), st.tuples(BODY, st.booleans()), max_size=6),
)
def test_a_plan_touches_only_what_is_ours_or_adopted_and_leads_where_it_should(
    wanted: dict[tuple[Kind, str], dict[str, Any]], there: dict[tuple[Kind, str], tuple[dict[str, Any], bool]]
) -> None:
    things = [Thing(kind, name, body) for (kind, name), body in wanted.items()]
    present = [Found(kind, name, body, f"{kind}{name}", owned) for (kind, name), (body, owned) in there.items()]
    taken = {adoption(kind, name) for (kind, name) in wanted if (kind, name) in there and not there[kind, name][1]}
    if taken:
        with pytest.raises(InputError):
            find_changes(things, present)
    state = {(one.kind, one.name): one for one in present}
    for change in find_changes(things, present, taken):
        key = (change.kind, change.name)
        assert change.action is Action.CREATE or state[key].owned or adoption(*key) in taken
        if change.wanted is None:
            del state[key]
        else:
            state[key] = Found(change.kind, change.name, change.wanted.body, "new", True)
    assert find_changes(things, state.values()) == ()
    theirs = {key: one for key, one in state.items() if not one.owned}
    assert theirs == {key: one for key, one in theirs.items() if one in present}
    assert len(theirs) == sum(not owned for _, owned in there.values()) - len(taken)
