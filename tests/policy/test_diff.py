"""The difference between two policies: who gains, who loses, and what means something else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.clock import Interval
from policy.decide import Decision, Evaluator, Moment
from policy.diff import Change, Difference, Side, compare
from policy.ends import Ends
from policy.facts import Supposed, Via
from policy.model import Selector, SelectorKind
from tests.policy.build import RANDOM, World, flows, loaded, moments, worlds

WORLD = """
[issuers.okta]
iss = "https://acme.okta.com"
client_id = "0oa1"
jwks = "okta.jwks.json"
[users.ann]
[users.bob]
id = "okta:1"
[groups]
ops = ["ann"]
eng = ["claim:okta:eng"]
[tags.prod]
[tags.lab]
[devices.db1]
tags = ["prod"]
[devices.db2]
[devices.lap]
owner = "ann"
[sites]
hq = { subnets = ["10.0.0.0/24"], gateways = ["db2"] }
[resources.db]
host = "db1"
[postures.sound]
max_age = "30m"
all = ["disk.encrypted == true"]
[windows]
office = { tz = "UTC", days = ["mon-fri"], from = "09:00", to = "17:00" }
[places]
home = { country = ["IN"] }
[[rule]]
id = "ssh"
from = ["group:ops"]
to = ["tag:prod"]
allow = ["tcp/22"]
[[rule]]
id = "pg"
from = ["user:bob", "group:eng"]
to = ["resource:db"]
allow = ["tcp/5432"]
posture = ["sound"]
when = ["office"]
where = ["home"]
"""


KEY = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"


def side(body: str = WORLD) -> Side:
    """Compile one side."""
    return Side(*loaded(body))


def diff(old: str, new: str) -> Difference:
    """Compare two variants of the same document, in which `old` stands."""
    assert old in WORLD
    return compare(side(), side(WORLD.replace(old, new)))


def lines(found: Difference) -> list[str]:
    """Write the changes."""
    return [str(change) for change in found.changes]


def test_equal_policies_do_not_differ() -> None:
    """The same meaning is no change, however it is written."""
    assert not compare(side(), side())
    renamed = WORLD.replace('"ssh"', '"zz-ssh"')
    assert not compare(side(), side(renamed))


def test_a_rule_split_in_two_changes_nothing() -> None:
    """Ports under the same conditions are joined before they are compared."""
    one = WORLD.replace('"tcp/22"', '"tcp/22", "tcp/23"')
    two = WORLD + '[[rule]]\nid = "b"\nfrom = ["group:ops"]\nto = ["tag:prod"]\nallow = ["tcp/23"]'
    assert not compare(side(one), side(two))


def test_a_rule_that_another_covers_changes_nothing() -> None:
    """What is granted under further conditions than something else is no access of its own."""
    idle = (
        '[[rule]]\nid = "x"\nfrom = ["group:ops"]\nto = ["tag:prod"]\nallow = ["tcp/22"]\n'
        "not_after = 2027-01-01T00:00:00Z\n"
    )
    assert not compare(side(), side(WORLD + idle))


def test_a_wider_rule_is_a_gain_for_all_whom_it_names() -> None:
    """People, groups and devices are told, with the ports before and after."""
    assert lines(diff('"tcp/22"', '"tcp/22", "icmp"')) == [
        f"changes {who} to {what}: tcp/22 becomes icmp, tcp/22"
        for who in ("user:ann", "group:ops", "device:lap")
        for what in ("tag:prod", "resource:db")
    ]


def test_a_member_who_leaves_loses() -> None:
    """His name and his device are told; the group itself gives what it gave."""
    assert [
        (change.kind, str(change.source), str(change.destination))
        for change in diff('ops = ["ann"]', "ops = []").changes
    ] == [
        ("loses", who, what)
        for who in ("user:ann", "device:lap")
        for what in ("tag:prod", "resource:db")
    ]


def test_a_tag_that_moves_is_told_of_devices() -> None:
    """The tag is reached as before, but not the same devices."""
    found = diff(
        '[devices.db1]\ntags = ["prod"]\n[devices.db2]',
        '[devices.db1]\n[devices.db2]\ntags = ["prod"]',
    )
    told = {(change.kind, str(change.destination)) for change in found.changes}
    assert ("gains", "device:db2") in told
    assert ("loses", "resource:db") in told
    assert not any(str(change.destination) == "tag:prod" for change in found.changes)


def test_a_resource_that_moves_is_told_of_devices() -> None:
    """Who reached the resource reaches another device by it."""
    found = diff('host = "db1"', 'host = "db2"')
    told = {(str(change.destination), change.kind) for change in found.changes}
    assert {("device:db2", "gains"), ("device:db1", "loses")} & told


def test_a_block_takes_away_at_both_ends() -> None:
    """Access of and to what is blocked is lost."""
    found = compare(side(), side(WORLD + '[[block]]\nid = "q"\nwho = ["device:db1"]\n'))
    assert {change.kind for change in found.changes} == {"loses"}
    assert {str(change.destination) for change in found.changes} == {"resource:db"}
    blocked = compare(side(), side(WORLD + '[[block]]\nid = "q"\nwho = ["group:ops"]\n'))
    assert [str(change.source) for change in blocked.changes][:1] == ["user:ann"]


def test_a_block_by_claim_becomes_a_condition() -> None:
    """Whoever may be in the group must show a token that says he is not."""
    found = compare(side(), side(WORLD + '[[block]]\nid = "q"\nwho = ["group:eng"]\n'))
    bob = next(each for each in found.changes if str(each.source) == "user:bob")
    assert "a token keeps it out of block q" in str(bob)


def test_who_is_in_a_group_by_claim_is_told_with_the_claim() -> None:
    """Another claim is another condition."""
    found = diff('claim:okta:eng"', 'claim:okta:all"')
    assert not found.changes, "bob has the access by his own name too"
    by_group = WORLD.replace('"user:bob", "group:eng"', '"group:eng"')
    changed = compare(side(by_group), side(by_group.replace("claim:okta:eng", "claim:okta:all")))
    (change,) = [each for each in changed.changes if str(each.destination) == "resource:db"]
    assert "the token of bob lists claim:okta:eng" in str(change)
    assert "the token of bob lists claim:okta:all" in str(change)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("disk.encrypted == true", "disk.encrypted == false", "posture sound"),
        ('to = "17:00"', 'to = "18:00"', "window office"),
        ('country = ["IN"]', 'country = ["DE"]', "place home"),
        ('id = "okta:1"', 'id = "okta:2"', "user bob"),
    ],
)
def test_a_new_meaning_of_a_name_is_told(old: str, new: str, what: str) -> None:
    """The words of the condition stay, so the change says that they mean something else."""
    found = diff(old, new)
    assert found.redefined == (what,)
    assert found.changes
    assert all("which means something else now" in str(change) for change in found.changes)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("10.0.0.0/24", "10.0.1.0/24", "site hq"),
        (
            "[devices.db2]",
            f'[devices.db2]\nkey = "ed25519:{KEY}"',
            "device db2",
        ),
        ('client_id = "0oa1"', 'client_id = "0oa2"', "issuer okta"),
        ("[users.ann]", '[defaults]\naudit = "denied"\n[users.ann]', "default audit"),
    ],
)
def test_what_stands_behind_a_name_is_told(old: str, new: str, what: str) -> None:
    """A difference that no pair shows is a difference."""
    found = diff(old, new)
    assert found
    assert found.redefined == (what,)


def test_a_first_policy_gives_all_it_gives() -> None:
    """Without anything before, every access is a gain."""
    found = compare(None, side())
    assert {change.kind for change in found.changes} == {"gains"}
    assert found.redefined == ()


def test_access_that_survives_expiry_is_told() -> None:
    """Of a grant with an end it matters whether an expired bundle keeps it."""
    end = 'allow = ["tcp/22"]\nnot_after = 2027-01-01T00:00:00Z'
    ended = WORLD.replace('allow = ["tcp/22"]', end)
    kept = ended.replace(end, f"{end}\nsurvives_expiry = true")
    found = compare(side(ended), side(kept))
    assert str(found.changes[0]).endswith(
        "becomes tcp/22 if it is before 2027-01-01T00:00:00Z, even from an expired bundle"
    )


def test_the_difference_is_plain_data() -> None:
    """It is written as JSON with stable keys."""
    data = json.loads(json.dumps(diff('"tcp/22"', '"tcp/23"').as_json()))
    assert sorted(data) == ["changed", "changes", "redefined"]
    assert data["changes"][0] == {
        "kind": "changes",
        "from": "user:ann",
        "to": "tag:prod",
        "before": [{"ports": "tcp/22", "conditions": [], "survives_expiry": True}],
        "after": [{"ports": "tcp/23", "conditions": [], "survives_expiry": True}],
    }


@given(worlds())
@RANDOM
def test_nothing_differs_from_itself(world: World) -> None:
    """A policy compared with itself is no change."""
    one = Side(world.policy, world.directory)
    assert not compare(one, one)


# Two worlds are slow to draw.
FEWER = settings(RANDOM, max_examples=40)
SUPPOSED = st.builds(
    Supposed,
    mfa_age=st.none() | st.sampled_from([0, 50, 150]),
    postures=st.sampled_from([(), ("sound",)]),
    country=st.sampled_from([None, "IN"]),
    via=st.just(Via.DIRECT),
) | st.just(Supposed(login=False))


@given(worlds(), worlds(), st.data())
@FEWER
def test_the_difference_is_what_is_decided(one: World, two: World, data: st.DataObject) -> None:
    """Where no change is told both decide alike; what is only gained was denied, and so on."""
    two = replace(two, policy=replace(two.policy, defaults=one.policy.defaults))
    before, after = (Side(each.policy, each.directory) for each in (one, two))
    found = compare(before, after)
    told = {(change.source, change.destination): change for change in found.changes}
    names = [*one.directory.devices, "lap"]
    row = Selector(SelectorKind.DEVICE, data.draw(st.sampled_from(names)))
    people = [row, *(Selector(SelectorKind.USER, name) for name in one.directory.users)]
    row = data.draw(st.sampled_from(people))
    column = data.draw(st.sampled_from(found.columns))
    supposed, flow, now = data.draw(SUPPOSED), data.draw(flows()), data.draw(moments())
    old, new = (_decision(each, (row, column), supposed, flow, now) for each in (before, after))
    # What is told of a resource is not told again of the device it is at.
    at_it = [name for name, host in one.policy.resources.items() if host == column.name]
    same = [column, *(Selector(SelectorKind.RESOURCE, name) for name in at_it)]
    change = next((told[row, each] for each in same if (row, each) in told), None)
    _agree(change, old, new, redefined=bool(found.redefined))


def _decision(
    which: Side,
    pair: tuple[Selector, Selector],
    supposed: Supposed,
    flow: tuple[int | None, int | None],
    now: Interval,
) -> Decision:
    """Decide as one side does."""
    evaluator = Evaluator(which.policy, which.directory)
    ends = Ends(evaluator, which.directory)
    moment = Moment(now)
    return evaluator.decide(
        ends.general(pair[0], moment, supposed), ends.general(pair[1], moment), flow, moment
    )


def _agree(change: Change | None, old: Decision, new: Decision, *, redefined: bool) -> None:
    """Compare what is told with what is decided."""
    if change is None:
        assert old.allow is new.allow
    elif change.kind == "gains":
        assert not old.allow
    elif change.kind == "loses":
        assert not new.allow
    else:
        assert change.before != change.after or redefined
