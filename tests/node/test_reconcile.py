"""The drivers together: order, differences, and what a failure leaves standing."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from crypto.clock import Interval
from crypto.errors import LocalError
from node.alarms import Alarms
from node.engine.compute import compute
from node.engine.desired import Address, Desired, FirewallPlan, Network, TunnelPeer
from node.kernel import links
from node.kernel.wireguard import PeerStatus
from node.reconcile import GREETING_DELAY_SECONDS, GREETING_SECONDS, Reconciler
from policy.model import Policy, Rule, Selector, SelectorKind
from policy.ports import parse_ports
from tests.node.engine.world import NOW, view


class Kernel:
    """All drivers in one, recording what they are told in order."""

    backend = "fake"

    def __init__(self) -> None:
        self.told: list[str] = []
        self.broken: set[str] = set()
        self.intact = True

    def _tell(self, word: str) -> None:
        self.told.append(word)
        if word in self.broken:
            raise LocalError(f"{word} failed", remedy="look")

    async def install(self, plan: FirewallPlan) -> None:
        """Record."""
        self._tell("install")

    async def verify(self, *, elements: bool = False) -> bool:
        """Say what the test says."""
        self._tell("verify all" if elements else "verify")
        return self.intact

    async def remove(self) -> None:
        """Record."""
        self._tell("remove")

    async def up(self, interface: str, private_key: bytes, listen_port: int) -> None:
        """Record."""
        self._tell("up")

    async def down(self) -> None:
        """Record."""
        self._tell("down")


class Firewall(Kernel):
    """The firewall's half."""

    async def apply(self, plan: FirewallPlan, now: float) -> None:
        """Record."""
        self._tell("rules")


class Tunnel(Kernel):
    """The tunnel's half."""

    def __init__(self) -> None:
        super().__init__()
        self.peers: Mapping[bytes, TunnelPeer] = {}
        self.pulses: list[int] = []
        self.found: dict[bytes, PeerStatus] = {}

    async def read(self) -> Mapping[bytes, PeerStatus]:
        """Return what the test says a daemon before us has left."""
        return self.found

    async def apply(self, peers: Mapping[bytes, TunnelPeer]) -> None:
        """Record."""
        self.peers = peers
        self.pulses += [peer.keepalive_seconds for peer in peers.values()]
        self._tell("peers")


class Rig:
    """A reconciler over recording drivers that share one record."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.firewall, self.tunnel = Firewall(), Tunnel()
        self.told = self.tunnel.told = self.firewall.told
        self.broken = self.tunnel.broken = self.firewall.broken
        self.alarms = Alarms()
        self.reconciler = Reconciler(self.firewall, self.tunnel, self.alarms)

        async def addresses(interface: str, wanted: tuple[Address, ...]) -> None:
            self.firewall._tell("addresses")

        async def routes(interface: str, networks: tuple[Network, ...]) -> None:
            self.firewall._tell("routes")

        monkeypatch.setattr(links, "set_addresses", addresses)
        monkeypatch.setattr(links, "sync_routes", routes)

    async def start(self, desired: Desired) -> None:
        """Start, and forget what that told."""
        await self.reconciler.start(desired, bytes(32), NOW)
        self.told.clear()

    def codes(self) -> set[str]:
        """Return the codes of the alarms that stand."""
        return {code for code, _ in self.alarms}


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A rig."""
    return Rig(monkeypatch)


def desired(*, peers: bool = True) -> Desired:
    """Return a desired state with a peer, or with none."""
    rule = Rule(
        "ssh",
        (Selector(SelectorKind.DEVICE, "alice-laptop"),),
        (Selector(SelectorKind.DEVICE, "db1"),),
        parse_ports("tcp/22"),
    )
    policy = Policy("acme", rules=(rule,) if peers else ())
    return compute(view("db1", policy), Interval.exact(NOW)).desired


async def test_the_deny_stands_before_there_is_an_interface(rig: Rig) -> None:
    """Starting: table first, tunnel next, grants before peers."""
    await rig.reconciler.start(desired(), bytes(32), NOW)
    assert rig.told == ["install", "up", "addresses", "routes", "rules", "peers"]


async def test_t32_without_a_firewall_no_interface_comes_up(rig: Rig) -> None:
    """T32: a table that cannot be loaded ends the start before anything else is touched."""
    rig.broken.add("install")
    with pytest.raises(LocalError, match="install failed"):
        await rig.reconciler.start(desired(), bytes(32), NOW)
    assert rig.told == ["install"]


async def test_only_what_differs_is_told(rig: Rig) -> None:
    """The firewall always hears, because its deadlines follow the clock; the rest on change."""
    await rig.start(desired())
    assert await rig.reconciler.apply(desired(), NOW)
    assert rig.told == ["rules"]
    rig.told.clear()
    assert await rig.reconciler.apply(desired(peers=False), NOW)
    assert rig.told == ["rules", "peers"]


async def test_a_new_address_is_set(rig: Rig) -> None:
    """A device that is given another address gets it on its interface."""
    await rig.start(desired())
    before = desired()
    moved = replace(before, plan=replace(before.plan, address4=before.plan.address4 + 9))
    await rig.reconciler.apply(moved, NOW)
    assert rig.told == ["rules", "addresses", "routes"]


@pytest.mark.parametrize(
    ("word", "code"), [("rules", "firewall"), ("peers", "wireguard"), ("routes", "links")]
)
async def test_t32_a_failure_is_an_alarm_and_is_tried_whole_again(
    rig: Rig, word: str, code: str
) -> None:
    """T32: the other drivers are still told, and the next call tells all of them again."""
    await rig.start(desired(peers=False))
    rig.broken.add(word)
    before = desired()
    moved = replace(before, plan=replace(before.plan, address4=before.plan.address4 + 9))
    assert not await rig.reconciler.apply(moved, NOW)
    assert rig.codes() == {code}
    assert {"rules", "peers", "addresses"} <= set(rig.told)
    rig.broken.clear()
    rig.told.clear()
    assert await rig.reconciler.apply(moved, NOW)
    assert {"rules", "peers", "addresses", "routes"} <= set(rig.told)
    assert rig.codes() == set()


async def test_t32_a_machine_without_memory_ends_no_daemon(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T32: a child process that cannot be started is an alarm like any other failure."""

    async def no_memory(*arguments: object, **options: object) -> bool:
        raise OSError(12, "Cannot allocate memory")

    await rig.start(desired())
    monkeypatch.setattr(rig.firewall, "apply", no_memory)
    monkeypatch.setattr(rig.firewall, "verify", no_memory)
    assert not await rig.reconciler.apply(desired(), NOW)
    await rig.reconciler.verify()
    assert dict(rig.alarms) == {"firewall": "[Errno 12] Cannot allocate memory"}


async def test_a_table_that_another_program_changed_is_an_alarm(rig: Rig) -> None:
    """It stands until the table is as it should be."""
    await rig.start(desired())
    rig.firewall.intact = False
    assert not await rig.reconciler.verify(elements=True)
    assert rig.told == ["verify all"]
    assert rig.codes() == {"firewall-changed"}
    rig.firewall.intact = True
    assert await rig.reconciler.verify()
    assert rig.codes() == set()


async def test_a_table_that_cannot_be_read_is_an_alarm(rig: Rig) -> None:
    """A verification that fails says so."""
    await rig.start(desired())
    rig.broken.add("verify")
    assert not await rig.reconciler.verify()
    assert rig.codes() == {"firewall"}


async def test_after_a_farewell_nothing_is_put_back(rig: Rig) -> None:
    """The tunnel goes first, then the table; a change that was under way changes nothing."""
    await rig.start(desired())
    await rig.reconciler.stop()
    assert rig.told == ["down", "remove"]
    assert await rig.reconciler.apply(desired(peers=False), NOW)
    await rig.reconciler.verify()
    assert rig.told == ["down", "remove"]


async def test_a_peer_is_set_up_when_it_is_known_where_it_is(rig: Rig) -> None:
    """Without a place its first packet would wait for WireGuard's next try, five seconds on."""
    nowhere, somewhere = desired(), placed(begins=True)
    await rig.start(nowhere)
    assert nowhere.peers
    assert rig.tunnel.peers == {}
    assert await rig.reconciler.apply(somewhere, NOW)
    assert rig.tunnel.peers == somewhere.peers
    assert await rig.reconciler.apply(nowhere, NOW + 1)
    assert rig.tunnel.peers == nowhere.peers


async def test_a_peer_that_a_daemon_before_us_left_stays(rig: Rig) -> None:
    """A restart knows no paths yet and takes no tunnel down."""
    nowhere = desired()
    rig.tunnel.found = {key: PeerStatus(None, 0.0, 0, 0) for key in nowhere.peers}
    await rig.start(nowhere)
    assert rig.tunnel.peers == nowhere.peers


def placed(*, begins: bool, keepalive: int = 0) -> Desired:
    """Return a desired state whose peer has a place."""
    base = desired()
    peers = {
        key: replace(
            peer, endpoint=("203.0.113.9", 4_000), begins=begins, keepalive_seconds=keepalive
        )
        for key, peer in base.peers.items()
    }
    return replace(base, peers=peers)


async def test_the_end_that_begins_greets_at_once_and_only_once(rig: Rig) -> None:
    """A keepalive makes WireGuard shake hands; it goes again where none was wished."""
    await rig.start(placed(begins=True))
    assert rig.tunnel.pulses == [GREETING_SECONDS, 0]
    assert rig.reconciler.greeting_in(NOW) is None
    assert await rig.reconciler.apply(placed(begins=True), NOW + 1)
    assert rig.tunnel.pulses == [GREETING_SECONDS, 0]


async def test_the_other_end_greets_a_moment_later(rig: Rig) -> None:
    """In case the first end was ready before it; at the same time they would cross."""
    await rig.start(placed(begins=False, keepalive=20))
    assert rig.tunnel.peers == {}
    assert rig.reconciler.greeting_in(NOW) == pytest.approx(GREETING_DELAY_SECONDS)
    assert await rig.reconciler.apply(placed(begins=False, keepalive=20), NOW + 1)
    assert rig.tunnel.pulses == [GREETING_SECONDS, 20]
    assert rig.reconciler.greeting_in(NOW + 1) is None


async def test_a_renewed_peer_is_taken_out_and_added_again(rig: Rig) -> None:
    """The others stay set up, and the one is greeted as a new one is."""
    wanted = placed(begins=True)
    await rig.start(wanted)
    await rig.reconciler.apply(wanted, NOW)
    (key,) = wanted.peers
    rig.told.clear()
    rig.tunnel.pulses.clear()
    await rig.reconciler.renew({key}, NOW)
    assert rig.told == ["peers", "peers", "peers"]
    assert rig.tunnel.pulses == [25, 0]
    assert set(rig.tunnel.peers) == {key}


async def test_a_renewal_that_fails_is_put_right_by_the_next_update(rig: Rig) -> None:
    """A peer that was taken out and not added again is no lasting state."""
    wanted = placed(begins=True)
    await rig.start(wanted)
    (key,) = wanted.peers
    rig.broken.add("peers")
    await rig.reconciler.renew({key}, NOW)
    assert rig.codes() == {"wireguard"}
    rig.broken.clear()
    assert await rig.reconciler.apply(wanted, NOW)
    assert set(rig.tunnel.peers) == {key}
    assert rig.codes() == set()


async def test_after_a_farewell_nothing_is_renewed(rig: Rig) -> None:
    """What was removed stays removed."""
    wanted = placed(begins=True)
    await rig.start(wanted)
    await rig.reconciler.stop()
    rig.told.clear()
    await rig.reconciler.renew(set(wanted.peers), NOW)
    assert rig.told == []
