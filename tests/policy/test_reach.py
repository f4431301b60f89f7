"""Who can reach one thing, and what one name can reach."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings

from crypto.clock import Interval
from crypto.errors import LocalError
from policy.matrix import matrix
from policy.ports import parse_ports
from policy.reach import Reach, by_address, what_can, who_can
from tests.policy.build import RANDOM, World, loaded, moments, worlds

WORLD = """
[users.ann]
[users.bob]
[groups]
ops = ["ann"]
[devices.db1]
[devices.gw1]
[sites]
hq = { subnets = ["10.0.0.0/24", "fd00:1::/64"], gateways = ["gw1"] }
[resources.db]
host = "db1"
[resources.printer]
host = { site = "hq", address = "10.0.0.9" }
[[rule]]
id = "pg"
from = ["group:ops"]
to = ["resource:db", "resource:printer"]
allow = ["tcp/5432", "tcp/100-200"]
not_after = 2026-12-01T00:00:00Z
[[rule]]
id = "ssh"
from = ["user:bob"]
to = ["device:db1"]
allow = ["tcp/22"]
[[block]]
id = "q"
who = ["user:bob"]
"""
NOW = Interval.exact(0)
POLICY, DIRECTORY = loaded(WORLD)


def who(what: str, ports: str = "") -> list[tuple[str, str, bool]]:
    """Ask who can reach something."""
    asked = parse_ports(ports) if ports else ()
    found = who_can(POLICY, DIRECTORY, what, NOW, ports=asked)
    return [(str(each.source), each.entry.rule, each.allow) for each in found]


def test_all_who_can_reach_a_resource_are_told() -> None:
    """Also those whom only a block keeps out, as such."""
    assert who("db") == [
        ("user:ann", "pg", True), ("user:bob", "ssh", False), ("group:ops", "pg", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ports", "rules"),
    [("tcp/22", {"ssh"}), ("tcp/150", {"pg"}), ("any", {"pg", "ssh"}), ("udp/53", set())],
)
def test_ports_narrow_the_question(ports: str, rules: set[str]) -> None:
    """Only rules that open one of them are told."""
    assert {rule for _, rule, _ in who("db", ports)} == rules


@pytest.mark.parametrize("what", ["printer", "site:hq/10.0.0.9", "10.0.0.9"])
def test_an_address_at_a_site_can_be_asked_about(what: str) -> None:
    """It is the part of the site that it is in."""
    assert [source for source, _, _ in who(what)] == ["user:ann", "group:ops"]


def test_addresses_are_found_in_sites() -> None:
    """Both families are, with or without brackets; another name stays as it is."""
    assert by_address(POLICY, "[fd00:1::7]") == "site:hq/fd00:1::7/128"
    assert by_address(POLICY, "db") == "db"
    with pytest.raises(LocalError, match=r"no site has the address 192\.0\.2\.1"):
        by_address(POLICY, "192.0.2.1")


def test_what_a_name_can_reach() -> None:
    """Conditions are in words, and a block is the first of them."""
    found = what_can(POLICY, DIRECTORY, "ann", NOW)
    assert [(str(each.destination), each.conditions) for each in found] == [
        (name, "rule pg ends at 2026-12-01T00:00:00Z")
        for name in ("device:db1", "resource:db", "resource:printer")
    ]
    (blocked, _) = what_can(POLICY, DIRECTORY, "bob", NOW)
    assert blocked.conditions == "never: blocked by q"


def test_reach_is_plain_data() -> None:
    """It is written as JSON with stable keys."""
    found = who_can(POLICY, DIRECTORY, "db", NOW)
    assert json.loads(json.dumps([each.as_json() for each in found]))[0] == {
        "from": "user:ann",
        "to": "resource:db",
        "ports": "tcp/100-200, tcp/5432",
        "rule": "pg",
        "conditions": ["rule pg ends at 2026-12-01T00:00:00Z"],
        "block": None,
        "allow": True,
        "reason": "allowed",
        "until": "2026-12-01T00:00:00Z",
    }


@given(worlds(), moments())
@settings(RANDOM, max_examples=15)
def test_rows_and_columns_are_those_of_the_matrix(world: World, now: Interval) -> None:
    """Asked one by one, they say what the whole table says."""
    table = matrix(world.policy, world.directory, now)
    cells = [
        Reach(row, column, entry, cell.block)
        for (row, column), cell in table.cells.items()
        for entry in cell.entries
    ]
    by_column = [
        each
        for column in table.columns
        for each in who_can(world.policy, world.directory, str(column), now)
    ]
    by_row = [
        each
        for row in table.rows
        for each in what_can(world.policy, world.directory, str(row), now)
    ]
    assert sorted(map(str, by_column)) == sorted(map(str, cells))
    assert by_row == cells
