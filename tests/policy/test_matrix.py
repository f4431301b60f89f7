"""The matrix: rows, columns, and what stands where they meet."""

from __future__ import annotations

import json

from hypothesis import given

from crypto.clock import Interval
from policy.decide import decide
from policy.matrix import Cell, Matrix, matrix
from policy.model import Facts, Reason, Subject
from policy.selectors import SelectorKind
from tests.policy.build import RANDOM, RESOURCES, World, loaded, moments, selectors, worlds

HOSTED = [f"resource:{name}" for name in RESOURCES]
WORLD = """
[issuers.okta]
iss = "https://acme.okta.com"
client_id = "0oa1"
jwks = "okta.jwks.json"
[users.ann]
[users.bob]
id = "okta:1"
not_after = 2026-12-01T00:00:00Z
[groups]
ops = ["bob"]
[tags.prod]
[devices.db1]
tags = ["prod"]
[devices.lap]
owner = "bob"
[resources.db]
host = "db1"
[resources.idle]
host = "lap"
[[rule]]
id = "ssh"
from = ["group:ops"]
to = ["tag:prod"]
allow = ["tcp/22", "icmp"]
not_after = 2026-11-30T00:00:00Z
[[rule]]
id = "pg"
from = ["user:ann", "user:bob", "device:lap"]
to = ["resource:db"]
allow = ["tcp/5432"]
not_before = 2026-11-23T00:00:00Z
[[block]]
id = "q"
who = ["user:ann"]
"""
NOW = Interval.exact(0)


def table(body: str = WORLD) -> Matrix:
    """Make the matrix of a document."""
    return matrix(*loaded(body), NOW)


def cell(row: str, column: str) -> Cell | None:
    """Give one cell."""
    pair = selectors([row])[0], selectors([column])[0]
    return table().cells.get(pair)


def test_rows_are_who_and_columns_are_what() -> None:
    """Users, groups, tags and devices against resources and what rules name, all sorted."""
    found = table()
    assert [str(row) for row in found.rows] == [
        "user:ann",
        "user:bob",
        "group:ops",
        "tag:prod",
        "device:db1",
        "device:lap",
    ]
    assert [str(column) for column in found.columns] == [
        "tag:prod",
        "resource:db",
        "resource:idle",
    ]


def test_a_cell_has_an_entry_for_each_rule() -> None:
    """Ports and conditions are told, whether they hold now or not."""
    found = cell("user:bob", "resource:db")
    assert found is not None
    pg, ssh = found.entries
    assert (pg.rule, pg.allow, pg.reason) == ("pg", False, Reason.NOT_YET)
    assert pg.conditions == (
        "user bob ends at 2026-12-01T00:00:00Z",
        "user bob is logged in",
        "rule pg begins at 2026-11-23T00:00:00Z",
    )
    assert (ssh.rule, ssh.reason, ssh.until) == ("ssh", Reason.NO_TOKEN, None)
    assert ssh.conditions[-1] == "rule ssh ends at 2026-11-30T00:00:00Z"


def test_a_group_is_shown_in_general() -> None:
    """What membership gives does not depend on who the members are."""
    found = cell("group:ops", "tag:prod")
    assert found is not None
    (entry,) = found.entries
    assert (entry.allow, entry.until) == (True, 1_795_996_800)
    assert entry.conditions == ("rule ssh ends at 2026-11-30T00:00:00Z",)


def test_a_device_has_the_conditions_of_its_owner_only_where_they_count() -> None:
    """A rule that names the device itself does not ask for its user."""
    by_name, by_user = cell("device:lap", "resource:db"), cell("device:lap", "tag:prod")
    assert by_name is not None
    assert by_user is not None
    assert by_name.entries[0].conditions == ("rule pg begins at 2026-11-23T00:00:00Z",)
    assert "user bob is logged in" in by_user.entries[0].conditions


def test_a_block_is_told() -> None:
    """A cell that rules fill and a block closes names the block."""
    found = cell("user:ann", "resource:db")
    assert found is not None
    assert found.block == "q"


def test_a_pair_that_no_rule_joins_has_no_cell() -> None:
    """Most of a large table is empty."""
    assert cell("user:ann", "resource:idle") is None
    assert cell("device:db1", "tag:prod") is None


def test_the_matrix_is_plain_data() -> None:
    """It is written as JSON with stable keys."""
    data = json.loads(json.dumps(table().as_json()))
    assert sorted(data) == ["cells", "columns", "rows"]
    first = next(each for each in data["cells"] if each["from"] == "group:ops")
    assert first == {
        "from": "group:ops",
        "to": "tag:prod",
        "block": None,
        "entries": [
            {
                "rule": "ssh",
                "ports": "icmp, tcp/22",
                "allow": True,
                "reason": "allowed",
                "conditions": ["rule ssh ends at 2026-11-30T00:00:00Z"],
                "until": "2026-11-30T00:00:00Z",
            }
        ],
    }


@given(worlds(), moments())
@RANDOM
def test_the_matrix_is_the_decision(world: World, now: Interval) -> None:
    """Between declared devices and resources a cell allows a port exactly if `decide` does."""
    found = matrix(world.policy, world.directory, now)
    devices = {
        name: Subject(entry.device_id or b"", name, name_trusted=True)
        for name, entry in world.directory.devices.items()
    }
    for row in (each for each in found.rows if each.kind is SelectorKind.DEVICE):
        for column in (
            each
            for each in found.columns
            if each.kind is SelectorKind.RESOURCE and each.name != "printer"
        ):
            entries = found.cells.get((row, column), Cell(())).entries
            block = found.cells.get((row, column), Cell(())).block
            for port in (22, 25, 40):
                decision = decide(
                    world.policy,
                    world.directory,
                    source=devices[row.name],
                    destination=devices[world.policy.resources[column.name]],
                    proto=6,
                    port=port,
                    facts=Facts(),
                    now=now,
                )
                open_now = any(
                    entry.allow and any(ports.covers(6, port) for ports in entry.ports)
                    for entry in entries
                )
                assert (open_now and block is None) is decision.allow
