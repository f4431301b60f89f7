"""An invite for many: two devices whose keys choose one address are both in force."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from crypto.identity import DeviceKeys
from crypto.invite import Invite
from node import address, keystore
from node.lab.mesh import Member, wait_until
from node.lab.netns import address as give
from tests.system.pair import ADDRESSES, GATE_PORT, Pair, pair

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

RANGE = "100.64.9.0/29"


def _meet(invite: Invite, folder: Path, wanted: str) -> None:
    """Leave keys in a folder, as an interrupted join does, that choose an address."""
    while True:
        keys = DeviceKeys.generate(os.urandom)
        chosen = address.choose(invite.ticket.addresses, invite.mesh_id, keys.device_id)
        if str(chosen) == wanted:
            break
    folder.mkdir(mode=0o700)
    keystore.save(folder, keys)


def _in_force(member: Member) -> bool:
    status = member.status()
    codes = {alarm["code"] for alarm in status["alarms"]}
    return not codes & {"not-in-force", "join-refused"} and status["bundle"]["version"] == 1


def _guest(made: Pair) -> Member:
    """Return a third machine, on a cable of its own to the gate."""
    host = made.lab.host("second")
    made.lab.link(made.gate.host, host, names=("eth1", "eth0"))
    give(made.gate.host, "eth1", "198.18.1.1/24")
    give(host, "eth0", "198.18.1.2/24")
    return Member(host, made.folder / "second")


def test_a_device_whose_address_is_taken_joins_with_another(tmp_path: Path) -> None:
    """The second is refused for its address, signs itself another one, and is in."""
    with pair(tmp_path) as made:
        second = _guest(made)
        made.found()
        via = f"gate={ADDRESSES['gate']}:{GATE_PORT}"
        text = made.admin.invite("--uses", "3", "--address", RANGE, "--via", via)
        made.laptop.run("join", text, "--name", "laptop")
        made.laptop.up()
        wait_until(lambda: _in_force(made.laptop), seconds=10, what="the first to be in force")
        invite = Invite.decode(text)
        _meet(invite, second.state, made.laptop.overlay4)
        (gate,) = invite.bootstrap
        moved = replace(invite, bootstrap=(replace(gate, host="198.18.1.1"),))
        second.run("join", moved.encode(), "--name", "second")
        second.up()
        wait_until(lambda: _in_force(second), seconds=15, what="the second to be in force")
        mine = second.status()["self"]["overlay4"]
        assert mine != made.laptop.overlay4
        assert mine in second.host.run("ip", "-4", "address")
        assert _in_force(made.laptop)
