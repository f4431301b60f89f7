"""Real daemons in namespaces: joining, enforcing, dying, coming back, leaving."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.lab.errors import LabError
from node.lab.mesh import wait_until
from tests.system.pair import GATE_PORT, RULE, Pair, attempt, pair, tables

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The gate and the laptop, joined, with echo servers on the gate."""
    with pair(tmp_path_factory.mktemp("mesh")) as made:
        made.found()
        made.enrol()
        made.gate.serve([22, 23])
        yield made


def test_a_node_that_joined_reaches_what_its_rule_names_and_nothing_else(mesh: Pair) -> None:
    """Two commands, and the first connection passes; the port beside it is refused at once."""
    wait_until(lambda: mesh.can_reach(22), seconds=10, what="the first connection")
    assert not mesh.can_reach(23)


def test_status_has_the_promised_shape(mesh: Pair) -> None:
    """Names, addresses, port and peers are those of the machine."""
    status = mesh.gate.status()
    assert status["mesh"] == "acme"
    assert status["self"]["name"] == "gate"
    assert status["wireguard"]["port"] == GATE_PORT
    assert status["bundle"]["state"] == "fresh"
    (peer,) = status["peers"]
    assert (peer["name"], peer["state"], peer["path"]) == ("laptop", "alive", "direct")
    assert status["alarms"] == []


def test_ping_and_why_by_name(mesh: Pair) -> None:
    """Both answer in the words of the mesh."""
    assert "gate answered in" in mesh.laptop.run("ping", "gate")
    assert mesh.gate.run("why", "laptop", "gate:tcp/22").startswith("allow by ssh")
    denied = attempt(
        mesh.gate.host, "--state", str(mesh.gate.state), "why", "laptop", "gate:tcp/9"
    )
    assert (denied.returncode, denied.stdout.splitlines()[0]) == (1, "deny: no-rule")


def test_a_new_bundle_changes_what_passes_everywhere(mesh: Pair) -> None:
    """Published at one node, enforced at both."""
    bundle = mesh.sign(RULE.format(id="ssh", allow="tcp/22") + RULE.format(id="b", allow="tcp/23"))
    mesh.gate.run("publish", str(bundle))
    mesh.wait_for(mesh.laptop, mesh.version)
    wait_until(lambda: mesh.can_reach(23), seconds=5, what="the new port")
    mesh.gate.run("publish", str(mesh.sign(RULE.format(id="ssh", allow="tcp/22"))))
    mesh.wait_for(mesh.laptop, mesh.version)
    wait_until(lambda: not mesh.can_reach(23), seconds=5, what="the port to close")
    assert mesh.can_reach(22)


def test_an_old_bundle_is_refused(mesh: Pair) -> None:
    """Exit code 1 with the reason; nothing changes."""
    old = mesh.folder / "bundle-1.hgb"
    done = attempt(mesh.gate.host, "--state", str(mesh.gate.state), "publish", str(old))
    assert done.returncode == 1
    assert "older" in done.stderr
    assert mesh.gate.status()["bundle"]["version"] == mesh.version


def test_kill_9_and_a_restart_cut_nothing(mesh: Pair) -> None:
    """A connection lives through the daemon's death and its return, on both ends."""
    flow = mesh.laptop.flow(mesh.gate, 22)
    for member in (mesh.gate, mesh.laptop):
        flow.alive()
        member.kill()
        flow.alive()
        member.up()
        flow.alive()
    flow.stop()
    assert mesh.can_reach(22)
    assert mesh.gate.status()["wireguard"]["port"] == GATE_PORT


def test_a_stopped_daemon_leaves_rules_and_tunnel_in_force(mesh: Pair) -> None:
    """SIGTERM: allowed traffic goes on, refused traffic stays refused, the next start adopts."""
    flow = mesh.laptop.flow(mesh.gate, 22)
    mesh.terminate(mesh.gate)
    flow.alive()
    assert not mesh.can_reach(23)
    mesh.gate.up()
    flow.alive()
    flow.stop()


def test_after_a_restart_the_nodes_find_each_other_again(mesh: Pair) -> None:
    """Both were dead at once: the last known addresses are enough."""
    mesh.gate.kill()
    mesh.laptop.kill()
    mesh.gate.up()
    mesh.laptop.up()
    wait_until(
        lambda: mesh.laptop.status()["peers"][0]["path"] == "direct",
        seconds=15,
        what="a path between the two",
    )


def test_a_second_daemon_on_one_folder_is_refused(mesh: Pair) -> None:
    """The message names the process that holds it; the first daemon goes on."""
    done = attempt(mesh.gate.host, "--state", str(mesh.gate.state), "up")
    assert done.returncode == 1
    assert f"({mesh.gate.daemon_pid()})" in done.stderr
    assert mesh.gate.status()["mesh"] == "acme"


def test_t57_another_user_may_not_talk_to_the_daemon(mesh: Pair) -> None:
    """T57: neither the keys nor the socket are within another user's reach."""
    for file in ("device.key", "state.db", "daemon.sock"):
        assert (mesh.gate.state / file).stat().st_mode & 0o077 == 0
    assert mesh.gate.state.stat().st_mode & 0o077 == 0


def test_t31_dynamic_grants_die_on_time_without_any_daemon(mesh: Pair) -> None:
    """T31: both daemons are killed while a grant lives; the kernel ends it, static rules stay."""
    ends = int(mesh_clock()) + 6
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    dynamic = RULE.format(id="b", allow="tcp/23") + f"not_after = {stamp}\n"
    mesh.gate.run("publish", str(mesh.sign(RULE.format(id="ssh", allow="tcp/22") + dynamic)))
    mesh.wait_for(mesh.laptop, mesh.version)
    wait_until(lambda: mesh.can_reach(23), seconds=3, what="the grant")
    flow, static = mesh.laptop.flow(mesh.gate, 23), mesh.laptop.flow(mesh.gate, 22)
    flow.alive()
    mesh.gate.kill()
    mesh.laptop.kill()
    flow.ended()
    assert mesh_clock() >= ends
    assert mesh_clock() < ends + 2
    static.alive()
    static.stop()
    assert not mesh.can_reach(23)
    mesh.gate.up()
    mesh.laptop.up()
    assert not mesh.can_reach(23)


def test_t31_a_lease_is_renewed_by_a_living_daemon_and_ends_after_its_death(mesh: Pair) -> None:
    """T31: a grant of an hour lives on five-second leases; without daemons it dies with one."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(mesh_clock() + 3_600))
    rules = RULE.format(id="ssh", allow="tcp/22") + f"not_after = {stamp}\n"
    mesh.gate.run("publish", str(mesh.sign(rules, lease="5s")))
    mesh.wait_for(mesh.laptop, mesh.version)
    wait_until(lambda: mesh.can_reach(22), seconds=3, what="the grant")
    flow = mesh.laptop.flow(mesh.gate, 22)
    began = time.monotonic()
    while time.monotonic() < began + 11:
        flow.alive()
    mesh.gate.kill()
    mesh.laptop.kill()
    killed = time.monotonic()
    assert flow.ended()["at"] - killed < 6
    assert not mesh.can_reach(22)
    mesh.gate.up()
    mesh.laptop.up()
    wait_until(lambda: mesh.can_reach(22), seconds=10, what="the grant again")


def mesh_clock() -> float:
    """Return the wall clock that the daemons read."""
    from node.clock import Clock

    return Clock().wall()


def test_a_revoked_device_is_cut_off_everywhere_at_once(tmp_path: Path) -> None:
    """Its connection ends, its tunnel peer is gone, and why says so."""
    with pair(tmp_path) as made:
        made.found()
        made.enrol()
        made.gate.serve([22])
        wait_until(lambda: made.can_reach(22), seconds=10, what="the first connection")
        flow = made.laptop.flow(made.gate, 22)
        flow.alive()
        began = time.monotonic()
        made.gate.run("publish", str(made.revoke(made.laptop.device_id)))
        assert flow.ended()["at"] - began < 5
        wait_until(lambda: made.gate.status()["peers"] == [], seconds=5, what="no peers")
        interface = next(name for name in made.gate.host.interfaces() if name.startswith("hg"))
        assert made.gate.host.run("wg", "show", interface, "peers") == ""
        assert (
            "revoked"
            in attempt(
                made.gate.host, "--state", str(made.gate.state), "why", "laptop", "gate:tcp/22"
            ).stdout
        )
        with pytest.raises(LabError):
            made.laptop.flow(made.gate, 22, patience=1)


def test_down_leaves_nothing_and_up_comes_back(tmp_path: Path) -> None:
    """Interface, routes and table are gone, the other end hears it; up restores all of it."""
    with pair(tmp_path) as made:
        made.found()
        made.enrol()
        made.gate.serve([22])
        wait_until(lambda: made.can_reach(22), seconds=10, what="the first connection")
        made.laptop.run("down")
        assert made.laptop.host.interfaces() == ("eth0",)
        assert tables(made.laptop.host) == ""
        assert "100." not in made.laptop.host.run("ip", "route")
        wait_until(
            lambda: made.gate.status()["peers"][0]["state"] == "left",
            seconds=5,
            what="the gate to hear the farewell",
        )
        wait_until(lambda: made.laptop.daemon_pid() is None, seconds=5, what="the end")
        assert (
            "no daemon was running"
            in attempt(made.laptop.host, "--state", str(made.laptop.state), "down").stderr
        )
        made.laptop.up()
        wait_until(lambda: made.can_reach(22), seconds=10, what="the connection again")


def test_down_after_a_kill_removes_what_was_left(tmp_path: Path) -> None:
    """Without a daemon the command itself removes interface and table."""
    with pair(tmp_path) as made:
        made.found()
        made.gate.kill()
        assert len(made.gate.host.interfaces()) == 2
        made.gate.run("down")
        assert made.gate.host.interfaces() == ("eth0",)
        assert tables(made.gate.host) == ""
