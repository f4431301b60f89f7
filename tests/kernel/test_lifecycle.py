"""The firewall over restarts, failures, other programs and clock steps."""

import asyncio
import contextlib
import shutil
import socket
import stat
import textwrap
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from node.engine.desired import Direction, FirewallPlan
from node.kernel.firewall import Firewall, FirewallError, Readback
from tests.kernel.tunnel import IN, TCP, UDP, Machine, direction, named, tunnel
from tests.netns import namespaces

pytestmark = pytest.mark.system

Pair = tuple[Machine, Machine]


def now() -> float:
    """Return the wall clock, which deadlines are given in."""
    return time.time()  # noqa: TID251 - the test stands for the daemon


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two machines with a tunnel; only the second enforces."""
    with tunnel() as (a, b):
        a.namespace.wait(a.firewall.remove)
        yield a, b


@pytest.fixture
def alone() -> Iterator[Machine]:
    """One machine without a tunnel: its tables are real, its traffic is not."""
    with namespaces(1) as (namespace,):
        yield Machine(namespace, 2, named(), "192.0.2.2")


@contextlib.contextmanager
def steady(a: Machine, b: Machine) -> Iterator[list[str]]:
    """Keep bytes going back and forth on one connection; collect what goes wrong."""
    server = b.namespace.listen(str(b.address4), 80)
    client = a.namespace.connect(str(b.address4), 80)
    connection = b.namespace.accept(server)
    wrong: list[str] = []
    over = threading.Event()

    def talk() -> None:
        rounds = 0
        while not over.is_set():
            try:
                client.sendall(b"q")
                connection.recv(1)
                connection.sendall(b"a")
                client.recv(1)
            except OSError as error:
                wrong.append(f"round {rounds}: {error}")
                return
            rounds += 1
        if rounds < 10:
            wrong.append(f"only {rounds} rounds")

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        yield wrong
    finally:
        over.set()
        talker.join()


def readback(machine: Machine) -> Readback:
    """Return the machine's table."""
    found = machine.namespace.wait(machine.firewall.readback)
    assert found is not None
    return found


def healthy(machine: Machine) -> bool:
    """Say what `status` would say of the machine's firewall."""
    return machine.firewall.health.ok


def test_a_restart_cuts_nothing_that_is_still_allowed(pair: Pair) -> None:
    """New daemons adopt the table while a connection is busy; not one byte is lost."""
    a, b = pair
    grants = direction(a, [(TCP, 80, 80, IN, now() + 60), (UDP, 9, 9, IN + 1, None)])
    b.grant(grants)
    with steady(a, b) as wrong:
        for _ in range(5):
            b.firewall = Firewall()
            b.install()
            b.grant(grants)
    assert wrong == []
    assert b.count("ended") == 0
    assert set(readback(b).content.live) == set(grants.live)


def test_a_restart_takes_back_what_is_no_longer_allowed(pair: Pair) -> None:
    """What the new plan does not grant ends with its first update, deadlines are set anew."""
    a, b = pair
    b.grant(direction(a, [(TCP, 80, 80, IN, None), (UDP, 9, 9, IN + 1, now() + 60)]))
    b.firewall = Firewall()
    b.install()
    assert len(readback(b).content.live) == 4
    later = now() + 600
    b.grant(direction(a, [(UDP, 9, 9, IN + 1, later)]))
    live = readback(b).content.live
    assert {gid for _, gid in live} == {IN + 1}
    assert all(until is not None and abs(until - later) < 2 for until in live.values())


def test_t31_grants_die_without_a_daemon(alone: Machine) -> None:
    """With nobody there, a dynamic grant is gone at its deadline; a static one stays."""
    peer = Machine(alone.namespace, 1, "other", "192.0.2.1")
    alone.install()
    deadline = now() + 1.5
    alone.grant(direction(peer, [(TCP, 80, 80, IN, deadline), (TCP, 81, 81, IN + 1, None)]))
    assert len(readback(alone).content.live) == 4
    end = time.monotonic() + 10
    while len(readback(alone).content.live) > 2 and time.monotonic() < end:
        time.sleep(0.05)
    assert now() > deadline - 0.1
    assert {gid for _, gid in readback(alone).content.live} == {IN + 1}


def test_the_first_transaction_denies(pair: Pair) -> None:
    """After the installation, before any grant, nothing passes in either direction."""
    a, b = pair
    b.namespace.listen(str(b.address4), 80)
    a.namespace.listen(str(a.address4), 80)
    with pytest.raises(TimeoutError):
        a.namespace.connect(str(b.address4), 80, timeout_seconds=0.5)
    with pytest.raises(OSError, match="No route"):
        b.namespace.connect(str(a.address4), 80)


def test_a_past_deadline_is_no_grant(alone: Machine) -> None:
    """A plan's grant whose deadline is over is not installed, and is taken out if it was."""
    peer = Machine(alone.namespace, 1, "other", "192.0.2.1")
    alone.install()
    alone.grant(direction(peer, [(TCP, 80, 80, IN, now() + 100)]))
    assert len(readback(alone).content.live) == 2
    alone.grant(direction(peer, [(TCP, 80, 80, IN, now() - 1)]))
    assert readback(alone).content.live == {}


class Nft:
    """An nft that fails on demand, as the kernel does when it runs out of memory."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "nft"
        self._flag = folder / "fail"
        self.path.write_text(
            textwrap.dedent(
                f"""\
                #!/bin/sh
                if [ -e {self._flag} ] && [ "$1" = -f ]; then
                    cat > /dev/null
                    echo "stdin:7:1-2: Error: Could not process: $(cat {self._flag})" >&2
                    exit 1
                fi
                exec {shutil.which("nft")} "$@"
                """
            )
        )
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)

    def fail(self, reason: str) -> None:
        """Refuse every change from now on."""
        self._flag.write_text(reason)

    def heal(self) -> None:
        """Work again."""
        self._flag.unlink()


def test_t32_a_failed_load_leaves_the_rules_in_force(pair: Pair, tmp_path: Path) -> None:
    """When a load fails, what was allowed stays allowed, what was not stays closed."""
    a, b = pair
    nft = Nft(tmp_path)
    b.firewall = Firewall(nft=str(nft.path))
    b.install()
    b.grant(direction(a, [(TCP, 80, 80, IN, None)]))
    assert healthy(b)
    before = readback(b)
    nft.fail("Cannot allocate memory")
    with steady(a, b) as wrong:
        with pytest.raises(FirewallError, match="Cannot allocate memory") as caught:
            b.grant(direction(a, [(TCP, 81, 81, IN + 1, None)]))
        assert "still in force" in caught.value.remedy
        assert not healthy(b)
        assert not b.namespace.wait(b.firewall.verify)
        assert "Cannot allocate memory" in b.firewall.health.message
        b.namespace.listen(str(b.address4), 81)
        with pytest.raises(TimeoutError):
            a.namespace.connect(str(b.address4), 81, timeout_seconds=0.5)
    assert wrong == []
    assert (readback(b).rules, readback(b).content) == (before.rules, before.content)
    nft.heal()
    b.grant(direction(a, [(TCP, 81, 81, IN + 1, None)]))
    assert healthy(b)
    a.namespace.connect(str(b.address4), 81)


def test_t32_the_kernel_refuses_the_whole_transaction(alone: Machine) -> None:
    """A change that the kernel refuses half-way changes nothing at all."""
    peer = Machine(alone.namespace, 1, "other", "192.0.2.1")
    alone.install()
    alone.grant(direction(peer, [(TCP, 80, 80, IN, None)]))
    before = readback(alone)
    good = direction(peer, [(TCP, 81, 81, IN + 1, None)])
    # The engine never makes overlapping ranges; the kernel refuses them when the rest is done.
    bad = direction(peer, [(TCP, 81, 90, IN + 2, None), (TCP, 85, 95, IN + 3, None)])
    with pytest.raises(FirewallError, match=r"File exists|overlap"):
        alone.grant(Direction(good.classes, {**good.ports, **bad.ports}, good.live))
    assert (readback(alone).rules, readback(alone).content) == (before.rules, before.content)
    alone.grant(good)
    assert {gid for _, gid in readback(alone).content.live} == {IN + 1}


def test_t32_nft_is_missing(alone: Machine, tmp_path: Path) -> None:
    """Without nft the error says what to install, and the earlier rules stay."""
    alone.install()
    before = readback(alone)
    missing = Firewall(nft=str(tmp_path / "nft"))
    plan: FirewallPlan = alone.plan()
    for work in (lambda: missing.install(plan), lambda: missing.apply(plan, now())):
        with pytest.raises(FirewallError, match="cannot be started") as caught:
            alone.namespace.wait(work)
        assert "install" in caught.value.remedy
        assert not missing.health.ok
    assert readback(alone).rules == before.rules


def test_without_rights_the_error_says_so(alone: Machine, tmp_path: Path) -> None:
    """An unprivileged daemon is told which right it lacks."""
    wrapper = tmp_path / "nft"
    drop = "setpriv --bounding-set -net_admin --inh-caps -net_admin"
    wrapper.write_text(f'#!/bin/sh\nexec {drop} {shutil.which("nft")} "$@"\n')
    wrapper.chmod(0o755)
    with pytest.raises(FirewallError, match="not permitted") as caught:
        alone.namespace.wait(lambda: Firewall(nft=str(wrapper)).install(alone.plan()))
    assert "CAP_NET_ADMIN" in caught.value.remedy


def test_a_flushed_table_is_noticed_and_repaired_in_one_step(pair: Pair) -> None:
    """`nft flush ruleset` by another program is seen by verify; the repair cuts nothing."""
    a, b = pair
    grants = direction(a, [(TCP, 80, 80, IN, None), (UDP, 9, 9, IN + 1, now() + 60)])
    b.grant(grants)
    assert b.namespace.wait(lambda: b.firewall.verify(elements=True))
    with steady(a, b) as wrong:
        b.namespace.run("nft", "flush", "ruleset")
        assert not b.namespace.wait(b.firewall.verify)
        assert not healthy(b)
        b.grant(grants)
    assert wrong == []
    assert b.namespace.wait(lambda: b.firewall.verify(elements=True))
    assert b.count("ended") == 0


def test_a_lost_element_is_repaired_by_the_change_that_trips_over_it(alone: Machine) -> None:
    """When a delta does not fit what is there, it is worked out anew from what is."""
    peer = Machine(alone.namespace, 1, "other", "192.0.2.1")
    grants = direction(peer, [(TCP, 80, 80, IN, None), (UDP, 9, 9, IN + 1, now() + 60)])
    alone.install()
    alone.grant(grants)
    alone.namespace.run("nft", "flush", "set", "inet", "hedgerow", "live4")
    alone.namespace.run("nft", "flush", "map", "inet", "hedgerow", "in_ports")
    assert not alone.namespace.wait(lambda: alone.firewall.verify(elements=True))
    alone.firewall = Firewall()
    alone.grant(grants)
    alone.namespace.run("nft", "flush", "map", "inet", "hedgerow", "in_ports")
    alone.grant(direction(peer, [(TCP, 81, 81, IN + 2, None)]))
    assert {key.lo for key in readback(alone).content.in_ports} == {81}
    assert alone.namespace.wait(lambda: alone.firewall.verify(elements=True))


def test_a_changed_rule_is_noticed(alone: Machine) -> None:
    """A rule that another program puts into our table is found, and gone after the repair."""
    alone.install()
    alone.grant()
    alone.namespace.run("nft", "insert", "rule", "inet", "hedgerow", "in_tun", "accept")
    assert not alone.namespace.wait(alone.firewall.verify)
    alone.grant()
    assert alone.namespace.wait(alone.firewall.verify)


@pytest.mark.parametrize(
    "foreign",
    [
        "add chain inet hedgerow old_version",
        "add set inet hedgerow live4 { type ipv4_addr; }",
        "add set inet hedgerow live4 { type ipv4_addr; elements = { 192.0.2.1 }; }",
    ],
    ids=["extra chain", "other kind of set", "other elements"],
)
def test_another_versions_table_is_replaced(alone: Machine, foreign: str) -> None:
    """A table that another version left is replaced as a whole, also when it does not fit."""
    alone.namespace.run("nft", "add", "table", "inet", "hedgerow")
    alone.namespace.run("nft", "-f", "-", text=foreign)
    alone.install()
    alone.grant()
    assert alone.namespace.wait(lambda: alone.firewall.verify(elements=True))
    assert "old_version" not in alone.namespace.run("nft", "list", "ruleset")


def test_replacing_another_versions_table_keeps_its_grants(pair: Pair) -> None:
    """An upgrade with new chains cuts no flow between the installation and the first update."""
    a, b = pair
    b.grant(direction(a, [(TCP, 80, 80, IN, None), (UDP, 9, 9, IN + 1, now() + 60)]))
    b.namespace.run("nft", "add", "chain", "inet", "hedgerow", "old_version")
    with steady(a, b) as wrong:
        b.firewall = Firewall()
        b.install()
        time.sleep(0.2)
    assert wrong == []
    assert len(readback(b).content.live) == 4


@pytest.mark.parametrize("step", [-3600.0, 90.0], ids=["back", "forward"])
def test_a_clock_step_moves_the_kernels_deadlines(alone: Machine, step: float) -> None:
    """After the wall clock has stepped, deadlines end when the new clock says so."""
    peer = Machine(alone.namespace, 1, "other", "192.0.2.1")
    alone.install()
    begin = now()
    plan = alone.plan(direction(peer, [(TCP, 80, 80, IN, begin + 100)]))
    alone.namespace.wait(lambda: alone.firewall.apply(plan, begin))
    alone.namespace.wait(lambda: alone.firewall.apply(plan, begin + step))
    listed = alone.namespace.run("nft", "-j", "list", "set", "inet", "hedgerow", "live4")
    expires = int(listed.split('"expires":')[1].split("}")[0])
    assert abs(expires - (100 - step)) < 10


def test_two_tables_live_side_by_side(alone: Machine) -> None:
    """Tables with other names, such as a second mesh's, are never touched."""
    alone.install()
    other = Firewall(table="second_mesh")
    alone.namespace.wait(lambda: other.install(alone.plan()))
    alone.namespace.wait(alone.firewall.remove)
    assert alone.namespace.wait(alone.firewall.readback) is None
    assert alone.namespace.wait(other.readback) is not None
    alone.namespace.wait(alone.firewall.remove)


def test_overlapping_updates_run_one_after_the_other(alone: Machine) -> None:
    """Two updates at once end in the state of the later one, never in a mixture."""
    peer = Machine(alone.namespace, 1, "other", "192.0.2.1")
    first = alone.plan(direction(peer, [(TCP, port, port, IN + port, None) for port in (80, 81)]))
    second = alone.plan(direction(peer, [(TCP, 82, 82, IN + 82, None)]))

    async def both() -> None:
        await asyncio.gather(
            alone.firewall.apply(first, now()),
            alone.firewall.apply(second, now()),
        )

    alone.namespace.wait(both)
    assert {key.lo for key in readback(alone).content.in_ports} == {82}
    assert alone.namespace.wait(lambda: alone.firewall.verify(elements=True))


def test_a_large_plan_does_not_hold_up_the_loop(alone: Machine) -> None:
    """While 20,000 elements are rendered and loaded the event loop goes on turning."""
    addresses = [IPv4Address("100.64.1.0") + number for number in range(10_000)]
    many = Direction(
        dict.fromkeys(addresses, 7), {}, {(address, IN): now() + 600 for address in addresses}
    )
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def work() -> int:
        counter = asyncio.ensure_future(count())
        await alone.firewall.apply(alone.plan(many), now())
        counter.cancel()
        return turns

    assert alone.namespace.wait(work) > 1_000
    assert len(readback(alone).content.live) == 10_000


def test_the_udp_sockets_family_does_not_matter(pair: Pair) -> None:
    """A dual-stack socket is judged by the packet, not by the socket."""
    a, b = pair
    b.grant(direction(a, [(UDP, 53, 53, IN, None)]))
    server = b.namespace.open(socket.SOCK_DGRAM, "::", 53)
    for target, source in ((b.address4, a.address4), (b.address6, a.address6)):
        a.namespace.udp(str(source)).sendto(b"x", (str(target), 53))
        assert server.recv(8) == b"x"
