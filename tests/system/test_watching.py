"""What a daemon notices by itself while it runs."""

from collections.abc import Iterator

import pytest

from node.lab.mesh import wait_until
from tests.system.pair import RULE, Pair, pair, pause

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The gate and the laptop, joined, with an echo server on the gate."""
    with pair(tmp_path_factory.mktemp("mesh")) as made:
        made.found()
        made.enrol()
        made.gate.serve([22])
        wait_until(lambda: made.can_reach(22), seconds=10, what="the first connection")
        yield made


def _alarms(mesh: Pair) -> set[str]:
    return {alarm["code"] for alarm in mesh.gate.status()["alarms"]}


def test_rules_that_another_program_flushes_are_back_at_once(mesh: Pair) -> None:
    """Without them the tunnel would be open: seconds count, and a person is told."""
    before = mesh.gate.host.run("nft", "list", "tables")
    assert "hedgerow" in before
    mesh.gate.host.run("nft", "flush", "ruleset")
    wait_until(
        lambda: mesh.gate.host.run("nft", "list", "tables") == before,
        seconds=3,
        what="the table to be back",
    )
    assert "firewall-changed" in _alarms(mesh)
    # The table comes back closed; its grants follow in a change of their own.
    wait_until(lambda: mesh.can_reach(22), seconds=5, what="the grants to be back")


def test_a_grant_that_another_program_deletes_is_back_at_once(mesh: Pair) -> None:
    """Nothing opened, but somebody who may connect could not."""
    mesh.gate.host.run("nft", "flush", "set", "inet", "hedgerow", "live4")
    wait_until(lambda: mesh.can_reach(22), seconds=5, what="the grant to be back")


def test_what_a_daemon_changes_itself_is_no_alarm(mesh: Pair) -> None:
    """Its own nft is not taken for a stranger."""
    log = mesh.gate.state / "daemon.log"
    said = log.read_text().count("changed by another program")
    mesh.gate.run(
        "publish",
        str(
            mesh.sign(RULE.format(id="ssh", allow="tcp/22") + RULE.format(id="b", allow="tcp/23"))
        ),
    )
    mesh.wait_for(mesh.gate, mesh.version)
    pause(1.5)
    assert log.read_text().count("changed by another program") == said
